/* What the load generator sends: accepted by the server's own verifier, items of the size it
 * promises, and answers told right from wrong. */
#include "unit/cmocka_headers.h"

#include <stdio.h>
#include <stdlib.h>

#include "load/ring.h"
#include "wire/http_parse.h"
#include "wire/item_json.h"
#include "wire/sigv4.h"

#define NOW_S  UINT64_C(1767225600) /* 2026-01-01T00:00:00Z */
#define SECRET "a-secret-of-more-than-sixty-bytes-so-that-the-key-is-hashed-first-rfc-2104"
#define ITEMS  1000u

struct fixture {
    struct heap heap;
    struct arena arena;
    struct credentials credentials;
    struct sigv4_verifier *verifier;
    struct signer signer;
    struct workload workload;
};

static void open_all(struct fixture *f)
{
    static const struct signer_options options = {
        .host = "127.0.0.1:8000", .access_key = "AKID", .secret_key = SECRET, .region = "r-1"};
    uint32_t line;
    heap_init(&f->heap, false);
    arena_init(&f->arena, &f->heap, 1 << 20);
    credentials_init(&f->credentials, &f->heap, 7);
    assert_int_equal(credentials_parse(&f->credentials, BYTES("AKID " SECRET "\n"), &line),
                     STATUS_OK);
    assert_int_equal(sigv4_verifier_open(&f->heap, &f->credentials, 9, &f->verifier), STATUS_OK);
    assert_int_equal(signer_init(&f->signer, &options, NOW_S), STATUS_OK);
    f->workload = (struct workload){.table = "bench", .item_count = ITEMS, .iterator = "1|a/b+="};
    prng_init(&f->workload.prng, 3);
}

static void close_all(struct fixture *f)
{
    sigv4_verifier_close(f->verifier);
    credentials_release(&f->credentials);
    arena_release(&f->arena);
    assert_int_equal(f->heap.bytes_used, 0);
}

/* The body of a request that parses as HTTP and that the verifier accepts. */
static struct bytes accepted_body(struct fixture *f, struct bytes text)
{
    struct http_server_options limits = http_server_options_default();
    static struct http_parse parse;
    static struct http_header headers[HTTP_HEADERS_MAX];
    struct http_request request;
    struct sigv4_result result;
    http_parse_init(&parse, &f->heap, &limits);
    assert_int_equal(http_parse_run(&parse, text), HTTP_PARSE_DONE);
    assert_int_equal(parse.consumed, text.count);
    http_parse_fill(&parse, text.at, headers, &request);
    request.raw_body = request.body = bytes_of(text.at + parse.body.at, parse.body.count);
    enum status status =
        sigv4_verify(f->verifier, &f->arena, &request, NOW_S * 1000000000, NULL, &result);
    if (status != STATUS_OK)
        fail_msg("refused: %.*s", BYTES_ARGS(result.message));
    return request.body;
}

static bool is_json(struct fixture *f, struct bytes body)
{
    struct json_scanner s;
    json_scanner_init(&s, body, &f->arena);
    json_skip(&s);
    return json_scanner_finish(&s) == STATUS_OK;
}

static void requests_are_signed_as_the_verifier_wants(void **state)
{
    (void)state;
    struct fixture f;
    open_all(&f);
    for (uint32_t op = 0; op < WORKLOAD_PLAIN_GET; op++) {
        struct ring ring;
        assert_int_equal(ring_build(&ring, &f.heap, &f.workload, &f.signer,
                                    (enum workload_operation)op, 20, 100),
                         STATUS_OK);
        for (uint32_t i = 0; i < 20; i++) {
            struct bytes body = accepted_body(&f, ring_bytes(&ring, ring_take(&ring)));
            assert_true(is_json(&f, body));
        }
        assert_int_equal(ring.next, 0);
        ring_release(&ring);
    }
    close_all(&f);
}

/* A request with another body than was signed is refused: the test above can fail. */
static void a_changed_body_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    open_all(&f);
    struct buffer text;
    buffer_init(&text, &f.heap, 10000);
    signer_append(&f.signer, "DynamoDB_20120810.ListTables", BYTES("{}"), &text);
    struct http_server_options limits = http_server_options_default();
    struct http_header headers[HTTP_HEADERS_MAX];
    struct http_parse parse;
    struct http_request request;
    struct sigv4_result result;
    http_parse_init(&parse, &f.heap, &limits);
    assert_int_equal(http_parse_run(&parse, buffer_bytes(&text)), HTTP_PARSE_DONE);
    http_parse_fill(&parse, text.at, headers, &request);
    request.raw_body = request.body = BYTES("[]");
    assert_int_equal(
        sigv4_verify(f.verifier, &f.arena, &request, NOW_S * 1000000000, NULL, &result),
        STATUS_DENIED);
    buffer_release(&text);
    close_all(&f);
}

static void texts_too_long_to_sign_are_refused(void **state)
{
    (void)state;
    char text[SIGN_HOST_MAX + 1];
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = 0;
    struct signer signer;
    struct signer_options good = {.host = "h", .access_key = "a", .secret_key = "s", .region = "r"};
    const char **const fields[] = {&good.host, &good.access_key, &good.secret_key, &good.region};
    for (size_t i = 0; i < ARRAY_COUNT(fields); i++) {
        const char *before = *fields[i];
        *fields[i] = text;
        assert_int_equal(signer_init(&signer, &good, NOW_S), STATUS_TOO_LARGE);
        *fields[i] = before;
    }
}

/* The item of a PutItem has the size that its users are promised, as the service counts. */
static void items_have_the_promised_size(void **state)
{
    (void)state;
    struct fixture f;
    open_all(&f);
    struct buffer body, binary;
    buffer_init(&body, &f.heap, 10000);
    buffer_init(&binary, &f.heap, 10000);
    for (uint32_t i = 0; i < 100; i++) {
        struct json_scanner s;
        struct value_writer w;
        struct item_json_fault fault;
        struct value item;
        struct bytes name;
        buffer_clear(&body);
        buffer_clear(&binary);
        (void)workload_append(&f.workload, WORKLOAD_PUT_ITEM, 0, &body);
        json_scanner_init(&s, buffer_bytes(&body), &f.arena);
        value_writer_init(&w, &binary);
        json_object_begin(&s);
        while (json_object_next(&s, &name)) {
            if (bytes_equal(name, BYTES("Item")))
                assert_int_equal(item_json_read_map(&s, &w, &f.arena, &fault), STATUS_OK);
            else
                json_skip(&s);
        }
        assert_int_equal(json_scanner_finish(&s), STATUS_OK);
        assert_int_equal(value_writer_finish(&w, &item), STATUS_OK);
        assert_int_equal(item_size(item), WORKLOAD_ITEM_BYTES);
        assert_int_equal(value_count(item), 5);
    }
    buffer_release(&body);
    buffer_release(&binary);
    close_all(&f);
}

#define ITEM(pk, sk)                                                                               \
    "{\"pk\":{\"S\":\"user#" pk "\"},\"sk\":{\"S\":\"order#" sk                                    \
    "\"},\"hits\":{\"N\":\"1\"},\"title\":{\"S\":\"t\"},\"data\":{\"S\":\"d\"}}"

static void answers_are_told_right_from_wrong(void **state)
{
    (void)state;
    static const struct {
        enum workload_operation operation;
        bool right;
        const char *body;
    } cases[] = {
        {WORKLOAD_GET_ITEM, true, "{\"Item\":" ITEM("00000001", "0002") "}"},
        {WORKLOAD_GET_ITEM, false, "{\"Item\":" ITEM("00000001", "0003") "}"},
        {WORKLOAD_GET_ITEM, false, "{\"Item\":" ITEM("00000002", "0002") "}"},
        {WORKLOAD_GET_ITEM, false, "{\"Item\":{\"pk\":{\"S\":\"user#00000001\"}}}"},
        {WORKLOAD_GET_ITEM, false, "{}"},
        {WORKLOAD_GET_ITEM, false, "[]"},
        {WORKLOAD_GET_ITEM, false, "{\"Item\":"},
        {WORKLOAD_PUT_ITEM, true, "{}"},
        {WORKLOAD_PUT_ITEM, false, "{}{}"},
        {WORKLOAD_BATCH_WRITE, true, "{\"UnprocessedItems\":{}}"},
        {WORKLOAD_BATCH_WRITE, false, "{\"UnprocessedItems\":{\"bench\":[]}}"},
        {WORKLOAD_QUERY, false, "{\"Items\":[" ITEM("00000001", "0000") "],\"Count\":1}"},
        {WORKLOAD_DESCRIBE_TABLE, true, "{\"Table\":{\"TableStatus\":\"ACTIVE\"}}"},
        {WORKLOAD_DESCRIBE_TABLE, false, "{\"Table\":{\"TableStatus\":\"CREATING\"}}"},
        {WORKLOAD_GET_RECORDS, false, "{\"NextShardIterator\":\"x\",\"Records\":[]}"},
        {WORKLOAD_LIST_TABLES, true, "{\"TableNames\":[\"bench\"]}"},
        {WORKLOAD_PLAIN_GET, true, "ok"},
    };
    struct fixture f;
    open_all(&f);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct workload_request request = {.operation = cases[i].operation, .item = 12};
        bool right = workload_answer_is_right(request, bytes_of_text(cases[i].body), &f.arena);
        if (right != cases[i].right)
            fail_msg("case %zu: %s", i, cases[i].body);
    }
    close_all(&f);
}

/* Ten items of a Query, 25 of a BatchGetItem: right; one less is wrong. */
static void answers_of_many_items_are_counted(void **state)
{
    (void)state;
    static const struct {
        enum workload_operation operation;
        uint32_t count;
        const char *begin, *end;
    } cases[] = {
        {WORKLOAD_QUERY, 10, "{\"Count\":10,\"Items\":[", "]}"},
        {WORKLOAD_BATCH_GET, 25, "{\"Responses\":{\"bench\":[", "]},\"UnprocessedKeys\":{}}"},
    };
    struct fixture f;
    open_all(&f);
    struct buffer body;
    buffer_init(&body, &f.heap, 100000);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        for (uint32_t less = 0; less <= 1; less++) {
            struct workload_request request = {.operation = cases[i].operation, .item = 10};
            buffer_clear(&body);
            buffer_append_bytes(&body, bytes_of_text(cases[i].begin));
            for (uint32_t n = 0; n < cases[i].count - less; n++)
                buffer_append_format(&body, "%s" ITEM("00000001", "%04u"), n > 0 ? "," : "", n);
            buffer_append_bytes(&body, bytes_of_text(cases[i].end));
            assert_int_equal(workload_answer_is_right(request, buffer_bytes(&body), &f.arena),
                             less == 0);
        }
    }
    buffer_release(&body);
    close_all(&f);
}

/* Records of a stream: as many as were asked for, each with its change. */
static void answers_of_many_records_are_counted(void **state)
{
    (void)state;
    struct fixture f;
    open_all(&f);
    struct buffer body;
    buffer_init(&body, &f.heap, 100000);
    for (uint32_t wrong = 0; wrong <= 2; wrong++) {
        struct workload_request request = {.operation = WORKLOAD_GET_RECORDS};
        uint32_t count = WORKLOAD_RECORDS - (wrong == 1 ? 1 : 0);
        buffer_clear(&body);
        buffer_append_format(&body, "{\"NextShardIterator\":\"x\",\"Records\":[");
        for (uint32_t n = 0; n < count; n++)
            buffer_append_format(&body, "%s{\"eventName\":\"MODIFY\",\"%s\":{}}", n > 0 ? "," : "",
                                 wrong == 2 && n == 7 ? "other" : "dynamodb");
        buffer_append_format(&body, "]}");
        assert_int_equal(workload_answer_is_right(request, buffer_bytes(&body), &f.arena),
                         wrong == 0);
    }
    buffer_release(&body);
    close_all(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_signed_as_the_verifier_wants),
        cmocka_unit_test(a_changed_body_is_refused),
        cmocka_unit_test(texts_too_long_to_sign_are_refused),
        cmocka_unit_test(items_have_the_promised_size),
        cmocka_unit_test(answers_are_told_right_from_wrong),
        cmocka_unit_test(answers_of_many_items_are_counted),
        cmocka_unit_test(answers_of_many_records_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
