/* Signature Version 4: published and independently computed signatures, and every refusal. */
#include "unit/cmocka_headers.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/prng.h"
#include "unit/wire/signer.h"
#include "wire/http_parse.h"
#include "wire/sigv4_private.h"

#define NOW_S UINT64_C(1767225600) /* 2026-01-01T00:00:00Z */
#define KEYS  "AKIDEXAMPLE wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY\n"
#define SCOPE "AKIDEXAMPLE/20260101/eu-west-1/dynamodb/aws4_request"
#define TARGET                                                                                     \
    "X-Amz-Target: DynamoDB_20120810.GetItem\r\nContent-Type: application/x-amz-json-1.0\r\n"

struct fixture {
    struct heap heap;
    struct arena arena;
    struct credentials credentials;
    struct sigv4_verifier *verifier;
    struct http_parse parse;
    struct http_header headers[HTTP_HEADERS_MAX];
    struct http_request request;
    struct sigv4_result result;
    char *text; /* the request's bytes */
};

static void open_with(struct fixture *f, const char *keys)
{
    heap_init(&f->heap, false);
    arena_init(&f->arena, &f->heap, 1 << 20);
    credentials_init(&f->credentials, &f->heap, 7);
    f->text = NULL;
    uint32_t line;
    if (keys != NULL)
        assert_int_equal(credentials_parse(&f->credentials, bytes_of_text(keys), &line), STATUS_OK);
    assert_int_equal(
        sigv4_verifier_open(&f->heap, keys != NULL ? &f->credentials : NULL, 9, &f->verifier),
        STATUS_OK);
}

static void close_all(struct fixture *f)
{
    free(f->text);
    sigv4_verifier_close(f->verifier);
    credentials_release(&f->credentials);
    arena_release(&f->arena);
    assert_int_equal(f->heap.bytes_used, 0);
}

/* `text` is a head without its blank line; Content-Length is added, unsigned. */
static void set_request(struct fixture *f, const char *text, const char *body)
{
    struct http_server_options limits = http_server_options_default();
    limits.header_bytes_max = 1 << 20;
    free(f->text);
    f->text = malloc(strlen(text) + strlen(body) + 100);
    sprintf(f->text, "%sContent-Length: %zu\r\n\r\n%s", text, strlen(body), body);
    http_parse_init(&f->parse, &f->heap, &limits);
    assert_int_equal(http_parse_run(&f->parse, bytes_of_text(f->text)), HTTP_PARSE_DONE);
    http_parse_fill(&f->parse, (const uint8_t *)f->text, f->headers, &f->request);
    f->request.raw_body = f->request.body =
        bytes_of(f->text + f->parse.body.at, f->parse.body.count);
}

static enum status verify(struct fixture *f, const char *text, const char *body, uint64_t now_s)
{
    set_request(f, text, body);
    return sigv4_verify(f->verifier, &f->arena, &f->request, now_s * 1000000000, NULL, &f->result);
}

static void expect_denied(struct fixture *f, enum status status, enum sigv4_failure failure,
                          const char *message)
{
    assert_int_equal(status, STATUS_DENIED);
    if (!bytes_equal(f->result.message, bytes_of_text(message)))
        fail_msg("the message is: %.*s", BYTES_ARGS(f->result.message));
    assert_int_equal(f->result.failure, failure);
    assert_int_equal(f->result.access_key.count, 0);
}

/* ---- Right signatures ---- */

/* The AWS Signature Version 4 test suite: "get-vanilla", "post-vanilla-query" and
 * "get-vanilla-query-order-key-case". */
static void signs_as_the_published_suite(void **state)
{
    (void)state;
    static const struct {
        const char *line, *signature;
    } cases[] = {
        {"GET / HTTP/1.1\r\n", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
        {"POST /?Param1=value1 HTTP/1.1\r\n",
         "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"},
        {"GET /?Param2=value2&Param1=value1 HTTP/1.1\r\n",
         "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
    };
    struct fixture f;
    open_with(&f, KEYS);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char text[400];
        snprintf(
            text, sizeof(text),
            "%sHost:example.amazonaws.com\r\nX-Amz-Date:20150830T123600Z\r\n"
            "Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/"
            "aws4_request, SignedHeaders=host;x-amz-date, Signature=x\r\n",
            cases[i].line);
        set_request(&f, text, "");
        struct sigv4_claim claim;
        struct sigv4_key key;
        uint8_t signature[32], body_hash[32];
        char hex[65];
        assert_int_equal(sigv4_claim_read(&f.arena, &f.request, &claim, &f.result), STATUS_OK);
        sigv4_key_derive(&key, BYTES("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"), &claim);
        sigv4_body_hash(&f.request, NULL, body_hash);
        assert_int_equal(sigv4_sign(&f.arena, &key, &f.request, body_hash, &claim, signature),
                         STATUS_OK);
        signer_hex(signature, hex);
        assert_string_equal(hex, cases[i].signature);
    }
    close_all(&f);
}

/* Computed with botocore 1.29.27. */
static void accepts_what_an_sdk_signs(void **state)
{
    (void)state;
    static const struct {
        const char *head, *body;
    } cases[] = {
        {"POST / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n" TARGET "X-Amz-Date: 20260101T000000Z\r\n"
         "Authorization: AWS4-HMAC-SHA256 Credential=" SCOPE ", "
         "SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature="
         "9342c48695692353bfb02a9b1359b547c23aeaebaa6c29e673546708991be80a\r\n",
         "{\"TableName\":\"t\",\"Key\":{\"a\":{\"S\":\"x\"}}}"},
        {"POST / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n" TARGET "X-Amz-Date: 20260101T000000Z\r\n"
         "X-Amz-Security-Token: a/token+with=signs\r\n"
         "Authorization: AWS4-HMAC-SHA256 Credential=" SCOPE ", "
         "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, Signature="
         "3823fc9e3fecde40ff9f2ec17212bca71bed1e7c13bec22fd65bcf0672c4e432\r\n",
         "{}"},
        {"POST /a%20b/c%2Fd?b=2&a=%20x&a=1&a-b=%C3%A9&c HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n" TARGET
         "X-Amz-Date: 20260101T000000Z\r\nX-Amz-Spaces: a   b  c\r\n"
         "Authorization: AWS4-HMAC-SHA256 Credential=" SCOPE ",  "
         "SignedHeaders=content-type;host;x-amz-date;x-amz-spaces;x-amz-target,Signature="
         "e46c9be5491f1262083c6e99f41a822c22f9f170cd6b4d8c43379e3906b51bb1\r\n",
         ""},
        {"GET /?Z=1&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20260101%2F"
         "eu-west-1%2Fdynamodb%2Faws4_request&X-Amz-Date=20260101T000000Z&X-Amz-Expires=300&"
         "X-Amz-SignedHeaders=host&X-Amz-Signature="
         "e19245a47380361243a04c1aeecf3ce1cc1b12ddff0b360a39661561c4536410 HTTP/1.1\r\n"
         "Host: 127.0.0.1:8000\r\n",
         ""},
    };
    struct fixture f;
    open_with(&f, KEYS);
    for (int again = 0; again < 2; again++) { /* without and with the key in the cache */
        for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
            enum status status = verify(&f, cases[i].head, cases[i].body, NOW_S);
            if (status != STATUS_OK)
                fail_msg("case %zu: %.*s", i, BYTES_ARGS(f.result.message));
            assert_true(bytes_equal(f.result.access_key, BYTES("AKIDEXAMPLE")));
            assert_true(bytes_equal(f.result.region, BYTES("eu-west-1")));
        }
    }
    close_all(&f);
}

/* A signed request, by a signer that shares no code with the verifier. */
static void sign(const struct signer *s, const char *body, char *to, size_t room)
{
    char canonical[1000], signature[65];
    snprintf(canonical, sizeof(canonical),
             "POST\n/\n\ncontent-type:application/x-amz-json-1.0\nhost:localhost:8000\n"
             "x-amz-date:%s\nx-amz-target:DynamoDB_20120810.GetItem\n\n"
             "content-type;host;x-amz-date;x-amz-target\n",
             s->date_time);
    signer_sign(s, canonical, body, strlen(body), signature);
    snprintf(to, room,
             "POST / HTTP/1.1\r\nHost: localhost:8000\r\n" TARGET "x-amz-date: %s\r\n"
             "Authorization: AWS4-HMAC-SHA256 Credential=%s/%.8s/%s/%s/aws4_request, SignedHeaders="
             "content-type;host;x-amz-date;x-amz-target, Signature=%s\r\n",
             s->date_time, s->access_key, s->date_time, s->region, s->service, signature);
}

static const struct signer example = {"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                                      "20260101T000000Z", "us-east-1", "dynamodb"};

/* Many keys, days and regions, more than the cache holds, in random order, right and wrong. */
static void accepts_the_right_and_refuses_the_wrong(void **state)
{
    (void)state;
    struct fixture f;
    char keys[20000] = "# comment\n\n";
    char secrets[40][41];
    struct prng prng;
    prng_init(&prng, 42);
    for (int i = 0; i < 40; i++) {
        for (int j = 0; j < 40; j++)
            secrets[i][j] = (char)('!' + prng_below(&prng, 94));
        secrets[i][40] = '\0';
        snprintf(keys + strlen(keys), sizeof(keys) - strlen(keys), "KEY%d\t %s \r\n", i,
                 secrets[i]);
    }
    open_with(&f, keys);
    for (int round = 0; round < 2000; round++) {
        char access_key[20], region[20], date[20], body[100], text[1000];
        size_t i = (size_t)prng_below(&prng, 40);
        snprintf(access_key, sizeof(access_key), "KEY%zu", i);
        snprintf(region, sizeof(region), "region-%d", (int)prng_below(&prng, 5));
        unsigned minute = (unsigned)prng_below(&prng, 15);
        if (prng_one_in(&prng, 2))
            snprintf(date, sizeof(date), "20260101T00%02u00Z", minute);
        else
            snprintf(date, sizeof(date), "20251231T23%02u00Z", 59 - minute);
        snprintf(body, sizeof(body), "{\"n\":%d}", round);
        bool wrong = prng_one_in(&prng, 4);
        size_t secret = wrong ? (i + 1) % 40 : i;
        struct signer s = {access_key, secrets[secret], date, region, "dynamodb"};
        sign(&s, body, text, sizeof(text));
        enum status status = verify(&f, text, body, NOW_S);
        assert_int_equal(status, wrong ? STATUS_DENIED : STATUS_OK);
        if (wrong)
            assert_int_equal(f.result.failure, SIGV4_MISMATCH);
        arena_reset(&f.arena);
    }
    close_all(&f);
}

static void counts_blanks_and_repeated_headers(void **state)
{
    (void)state;
    struct fixture f;
    open_with(&f, KEYS);
    char signature[65], text[1000];
    signer_sign(&example,
                "POST\n/\n\nhost:localhost\nx-amz-date:20260101T000000Z\nx-amz-meta:a b,c\n"
                "x-amz-none:\n\nhost;x-amz-date;x-amz-meta;x-amz-none\n",
                "", 0, signature);
    snprintf(text, sizeof(text),
             "POST / HTTP/1.1\r\nX-Amz-Meta:   a   b  \r\nhost: localhost\r\nx-amz-meta: c\r\n"
             "x-amz-date: 20260101T000000Z\r\nAuthorization: AWS4-HMAC-SHA256 Credential="
             "AKIDEXAMPLE/20260101/us-east-1/dynamodb/aws4_request,SignedHeaders="
             "host;x-amz-date;x-amz-meta;x-amz-none,Signature=%s\r\n",
             signature);
    assert_int_equal(verify(&f, text, "", NOW_S), STATUS_OK);
    close_all(&f);
}

/* ---- Refusals ---- */

static const char mismatch[] =
    "The request signature we calculated does not match the signature you provided. Check your AWS "
    "Secret Access Key and signing method. Consult the service documentation for details.";

/* Change any byte that is signed, and the signature is wrong. */
static void notices_every_changed_byte(void **state)
{
    (void)state;
    struct fixture f;
    open_with(&f, KEYS);
    char text[1000];
    static const char *const changes[][2] = {
        {"POST", "GET"},
        {"POST / ", "POST /x "},
        {"POST / ", "POST /?a "},
        {"localhost:8000", "localhost:8001"},
        {"DynamoDB_20120810.GetItem", "DynamoDB_20120810.PutItem"},
        {"x-amz-json-1.0", "x-amz-json-1.1"},
        {"content-type;host", "host"},
        {"us-east-1", "us-east-2"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(changes); i++) {
        char changed[1000];
        sign(&example, "{}", text, sizeof(text));
        const char *at = strstr(text, changes[i][0]);
        snprintf(changed, sizeof(changed), "%.*s%s%s", (int)(at - text), text, changes[i][1],
                 at + strlen(changes[i][0]));
        expect_denied(&f, verify(&f, changed, "{}", NOW_S), SIGV4_MISMATCH, mismatch);
    }
    sign(&example, "{}", text, sizeof(text));
    expect_denied(&f, verify(&f, text, "{ }", NOW_S), SIGV4_MISMATCH, mismatch);
    char *signature = strstr(text, "Signature=") + 10;
    for (int i = 0; i < 64; i++) {
        char was = signature[i];
        signature[i] = was == '0' ? '1' : '0';
        expect_denied(&f, verify(&f, text, "{}", NOW_S), SIGV4_MISMATCH, mismatch);
        signature[i] = was;
    }
    assert_int_equal(verify(&f, text, "{}", NOW_S), STATUS_OK);
    close_all(&f);
}

/* A payload that is not signed is not accepted, whatever x-amz-content-sha256 says. */
static void refuses_unsigned_payloads(void **state)
{
    (void)state;
    struct fixture f;
    open_with(&f, KEYS);
    unsigned char mac[32];
    char hex[65], text[1000], to_sign[300];
    const char *canonical = "POST\n/\n\nhost:localhost\nx-amz-content-sha256:UNSIGNED-PAYLOAD\n"
                            "x-amz-date:20260101T000000Z\n\nhost;x-amz-content-sha256;x-amz-date\n"
                            "UNSIGNED-PAYLOAD";
    signer_sha256(canonical, strlen(canonical), hex);
    snprintf(to_sign, sizeof(to_sign),
             "AWS4-HMAC-SHA256\n20260101T000000Z\n20260101/us-east-1/dynamodb/aws4_request\n%s",
             hex);
    snprintf(text, sizeof(text), "AWS4%s", example.secret_key);
    signer_hmac(text, strlen(text), "20260101", mac);
    signer_hmac(mac, 32, "us-east-1", mac);
    signer_hmac(mac, 32, "dynamodb", mac);
    signer_hmac(mac, 32, "aws4_request", mac);
    signer_hmac(mac, 32, to_sign, mac);
    signer_hex(mac, hex);
    snprintf(text, sizeof(text),
             "POST / HTTP/1.1\r\nHost: localhost\r\nx-amz-content-sha256: UNSIGNED-PAYLOAD\r\n"
             "x-amz-date: 20260101T000000Z\r\nAuthorization: AWS4-HMAC-SHA256 Credential="
             "AKIDEXAMPLE/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders="
             "host;x-amz-content-sha256;x-amz-date, Signature=%s\r\n",
             hex);
    expect_denied(&f, verify(&f, text, "{}", NOW_S), SIGV4_MISMATCH, mismatch);
    close_all(&f);
}

struct refusal {
    const char *head;
    enum sigv4_failure failure;
    const char *message;
};

#define REQUEST(authorization)                                                                     \
    "POST / HTTP/1.1\r\nHost: h\r\nX-Amz-Date: 20260101T000000Z\r\nAuthorization: " authorization  \
    "\r\n"
#define GOOD "AWS4-HMAC-SHA256 Credential=" SCOPE ", SignedHeaders=host, Signature=00"

/* Refused with and without credentials: the form is wrong. */
static const struct refusal bad_forms[] = {
    {"POST / HTTP/1.1\r\nHost: h\r\n", SIGV4_MISSING_TOKEN,
     "Request is missing Authentication Token"},
    {REQUEST("Bearer abc"), SIGV4_MISSING_TOKEN, "Request is missing Authentication Token"},
    {REQUEST(""), SIGV4_MISSING_TOKEN, "Request is missing Authentication Token"},
    {REQUEST("AWS AKID:signature"), SIGV4_INCOMPLETE,
     "Authorization header requires 'Credential' parameter. Authorization header requires "
     "'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. "
     "Authorization=AWS AKID:signature"},
    {"POST / HTTP/1.1\r\nHost: h\r\nAuthorization: AWS4-HMAC-SHA256\r\n", SIGV4_INCOMPLETE,
     "Authorization header requires 'Credential' parameter. Authorization header requires "
     "'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. "
     "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
     "Authorization=AWS4-HMAC-SHA256"},
    {REQUEST("AWS4-HMAC-SHA256 Credential=a"), SIGV4_INCOMPLETE,
     "Authorization header requires 'Signature' parameter. Authorization header requires "
     "'SignedHeaders' parameter. Authorization=AWS4-HMAC-SHA256 Credential=a"},
    {REQUEST("AWS4-HMAC-SHA256 Credential= a/b, SignedHeaders=host, Signature=0"), SIGV4_INCOMPLETE,
     "'a/b' not a valid key=value pair (missing equal-sign) in Authorization header: "
     "'AWS4-HMAC-SHA256 Credential= a/b, SignedHeaders=host, Signature=0'."},
    {REQUEST("AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=0"),
     SIGV4_INCOMPLETE,
     "Credential must have exactly 5 slash-delimited elements, e.g. "
     "keyid/date/region/service/term, got 'a/b/c'"},
    {REQUEST("AWS4-HMAC-SHA256 Credential=a/b/c/d/e/f, SignedHeaders=host, Signature=0"),
     SIGV4_INCOMPLETE,
     "Credential must have exactly 5 slash-delimited elements, e.g. "
     "keyid/date/region/service/term, got 'a/b/c/d/e/f'"},
    {"GET /?X-Amz-Algorithm=x HTTP/1.1\r\nAuthorization: AWS4-HMAC-SHA256 a=b\r\n",
     SIGV4_BOTH_FORMS,
     "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."},
    {"GET /?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=x HTTP/1.1\r\n", SIGV4_INCOMPLETE,
     "AWS query-string parameters must include 'X-Amz-Credential'. AWS query-string parameters "
     "must "
     "include 'X-Amz-Signature'. AWS query-string parameters must include 'X-Amz-SignedHeaders'. "
     "Re-examine the query-string parameters."},
};

/* Refused only with credentials. */
static const struct refusal bad_claims[] = {
    {REQUEST(GOOD), SIGV4_MISMATCH, mismatch},
    {"POST / HTTP/1.1\r\nX-Amz-Date: yesterday\r\nAuthorization: " GOOD "\r\n", SIGV4_INCOMPLETE,
     "Date must be in ISO-8601 'basic format'. Got 'yesterday'. See "
     "http://en.wikipedia.org/wiki/ISO_8601"},
    {"POST / HTTP/1.1\r\nX-Amz-Date: 20261301T000000Z\r\nAuthorization: " GOOD "\r\n",
     SIGV4_INCOMPLETE,
     "Date must be in ISO-8601 'basic format'. Got '20261301T000000Z'. See "
     "http://en.wikipedia.org/wiki/ISO_8601"},
    {"POST / HTTP/1.1\r\nX-Amz-Date: 20260102T000000Z\r\nAuthorization: " GOOD "\r\n", SIGV4_SCOPE,
     "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
     "'20260101' != '20260102', from '20260102T000000Z'."},
    {REQUEST("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/r/s3/aws4_request, "
             "SignedHeaders=host, Signature=0"),
     SIGV4_SCOPE, "Credential should be scoped to correct service: 'dynamodb'. "},
    {REQUEST("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101//dynamodb/aws4_request, "
             "SignedHeaders=host, Signature=0"),
     SIGV4_SCOPE, "Credential should be scoped to a valid region, not ''. "},
    {REQUEST("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/r/dynamodb/aws5, "
             "SignedHeaders=host, Signature=0"),
     SIGV4_SCOPE,
     "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5'. "},
    {REQUEST("AWS4-HMAC-SHA256 Credential=NOBODY/20260101/r/dynamodb/aws4_request, "
             "SignedHeaders=host, Signature=0"),
     SIGV4_UNKNOWN_KEY, "The security token included in the request is invalid."},
    {REQUEST("AWS4-HMAC-SHA256 Credential=" SCOPE ", SignedHeaders=x-host;hosts, Signature=0"),
     SIGV4_MISMATCH, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."},
    {REQUEST("AWS4-HMAC-SHA256 Credential=" SCOPE ", SignedHeaders=a-host;host, Signature=0"),
     SIGV4_MISMATCH, mismatch},
};

static void refuses_bad_forms(void **state)
{
    (void)state;
    for (int with = 0; with < 2; with++) {
        struct fixture f;
        open_with(&f, with ? KEYS : NULL);
        for (size_t i = 0; i < ARRAY_COUNT(bad_forms); i++)
            expect_denied(&f, verify(&f, bad_forms[i].head, "{}", NOW_S), bad_forms[i].failure,
                          bad_forms[i].message);
        close_all(&f);
    }
}

static void refuses_bad_claims(void **state)
{
    (void)state;
    struct fixture f;
    open_with(&f, KEYS);
    for (size_t i = 0; i < ARRAY_COUNT(bad_claims); i++)
        expect_denied(&f, verify(&f, bad_claims[i].head, "{}", NOW_S), bad_claims[i].failure,
                      bad_claims[i].message);
    close_all(&f);
    /* Without credentials the same are fine. */
    open_with(&f, NULL);
    for (size_t i = 0; i < ARRAY_COUNT(bad_claims); i++)
        assert_int_equal(verify(&f, bad_claims[i].head, "{}", NOW_S), STATUS_OK);
    assert_true(bytes_equal(f.result.access_key, BYTES("AKIDEXAMPLE")));
    close_all(&f);
}

static void bounds_the_skew(void **state)
{
    (void)state;
    struct fixture f;
    open_with(&f, KEYS);
    char text[1000];
    sign(&example, "{}", text, sizeof(text));
    assert_int_equal(verify(&f, text, "{}", NOW_S + 900), STATUS_OK);
    assert_int_equal(verify(&f, text, "{}", NOW_S - 900), STATUS_OK);
    expect_denied(&f, verify(&f, text, "{}", NOW_S + 901), SIGV4_EXPIRED,
                  "Signature expired: 20260101T000000Z is now earlier than 20260101T000001Z "
                  "(20260101T001501Z - 15 min.)");
    expect_denied(&f, verify(&f, text, "{}", NOW_S - 901), SIGV4_NOT_YET_CURRENT,
                  "Signature not yet current: 20260101T000000Z is still later than "
                  "20251231T235959Z (20251231T234459Z + 15 min.)");
    /* A presigned request says how long. */
    static const char presigned[] =
        "GET /?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20260101%2F"
        "eu-west-1%2Fdynamodb%2Faws4_request&X-Amz-Date=20260101T000000Z&X-Amz-Expires=300&"
        "X-Amz-SignedHeaders=host&Z=1&X-Amz-Signature="
        "e19245a47380361243a04c1aeecf3ce1cc1b12ddff0b360a39661561c4536410 HTTP/1.1\r\n"
        "Host: 127.0.0.1:8000\r\n";
    assert_int_equal(verify(&f, presigned, "", NOW_S + 300), STATUS_OK);
    expect_denied(&f, verify(&f, presigned, "", NOW_S + 301), SIGV4_EXPIRED,
                  "Signature expired: 20260101T000000Z is now earlier than 20260101T000001Z "
                  "(20260101T000501Z - 5 min.)");
    close_all(&f);
}

static void bounds_the_query(void **state)
{
    (void)state;
    struct fixture f;
    open_with(&f, KEYS);
    char text[2000] = "GET /?";
    for (unsigned i = 0; i <= SIGV4_QUERY_MAX; i++)
        strcat(text, "&a=b");
    strcat(text,
           " HTTP/1.1\r\nHost: h\r\nX-Amz-Date: 20260101T000000Z\r\nAuthorization: " GOOD "\r\n");
    expect_denied(&f, verify(&f, text, "", NOW_S), SIGV4_MISMATCH, mismatch);
    close_all(&f);
}

/* ---- The file of keys ---- */

static void reads_the_file_of_keys(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        enum status status;
        uint32_t line; /* or how many keys */
    } cases[] = {
        {"", STATUS_OK, 0},
        {"# only a comment", STATUS_OK, 0},
        {"a b", STATUS_OK, 1},
        {"a b\n\n  c\td  \r\n#e f\n", STATUS_OK, 2},
        {"a b\nc\n", STATUS_INVALID, 2},
        {"a b c\n", STATUS_INVALID, 1},
        {"a/b c\n", STATUS_INVALID, 1},
        {"a\x01 c\n", STATUS_INVALID, 1},
        {"a \xc3\xa9\n", STATUS_INVALID, 1},
        {"a b\n#\nc d\na d\n", STATUS_EXISTS, 4},
    };
    struct heap heap;
    heap_init(&heap, false);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct credentials credentials;
        uint32_t line = 0;
        credentials_init(&credentials, &heap, 1);
        enum status status = credentials_parse(&credentials, bytes_of_text(cases[i].file), &line);
        assert_int_equal(status, cases[i].status);
        if (status == STATUS_OK) {
            assert_int_equal(credentials_count(&credentials), cases[i].line);
        } else {
            assert_int_equal(line, cases[i].line);
            assert_int_equal(credentials_count(&credentials), 0);
        }
        credentials_release(&credentials);
        assert_int_equal(heap.bytes_used, 0);
    }
    char *many = malloc(300000);
    size_t count = 0;
    for (unsigned i = 0; i <= CREDENTIALS_MAX; i++)
        count += (size_t)sprintf(many + count, "key%u secret%u\n", i, i);
    struct credentials credentials;
    uint32_t line = 0;
    credentials_init(&credentials, &heap, 1);
    assert_int_equal(credentials_parse(&credentials, bytes_of(many, count), &line),
                     STATUS_TOO_LARGE);
    assert_int_equal(line, CREDENTIALS_MAX + 1);
    credentials_release(&credentials);
    memset(many, 'k', 300);
    many[CREDENTIALS_KEY_MAX + 1] = ' ';
    assert_int_equal(credentials_parse(&credentials, bytes_of(many, 140), &line), STATUS_INVALID);
    free(many);
    assert_int_equal(heap.bytes_used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_as_the_published_suite),
        cmocka_unit_test(accepts_what_an_sdk_signs),
        cmocka_unit_test(accepts_the_right_and_refuses_the_wrong),
        cmocka_unit_test(counts_blanks_and_repeated_headers),
        cmocka_unit_test(notices_every_changed_byte),
        cmocka_unit_test(refuses_unsigned_payloads),
        cmocka_unit_test(refuses_bad_forms),
        cmocka_unit_test(refuses_bad_claims),
        cmocka_unit_test(bounds_the_skew),
        cmocka_unit_test(bounds_the_query),
        cmocka_unit_test(reads_the_file_of_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
