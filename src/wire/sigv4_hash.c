/* sigv4_hash.c - the signature that a request must carry.
 *
 * OpenSSL's SHA256_* functions work on a context of the caller's and allocate nothing; the EVP
 * functions that replace them fetch and allocate per hash, which would cost more than hashing a
 * request does. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <string.h>

#include "base/assert.h"
#include "base/codec.h"
#include "wire/sigv4_private.h"

#define PAD_BYTES   64u /* SHA-256's block */
#define WRITE_BYTES 1024u

/* Not SHA256(), which goes through EVP. */
static void sha256(struct bytes bytes, uint8_t hash[SHA256_DIGEST_LENGTH])
{
    SHA256_CTX context;
    SHA256_Init(&context);
    SHA256_Update(&context, bytes.at, bytes.count);
    SHA256_Final(hash, &context);
}

/* ---- HMAC ---- */

static void key_init(struct sigv4_key *key, struct bytes secret)
{
    uint8_t hashed[SHA256_DIGEST_LENGTH];
    if (secret.count > PAD_BYTES) {
        sha256(secret, hashed);
        secret = bytes_of(hashed, sizeof(hashed));
    }
    uint8_t pad[PAD_BYTES];
    memset(pad, 0x36, sizeof(pad));
    for (size_t i = 0; i < secret.count; i++)
        pad[i] ^= secret.at[i];
    SHA256_Init(&key->inner);
    SHA256_Update(&key->inner, pad, sizeof(pad));
    for (size_t i = 0; i < sizeof(pad); i++)
        pad[i] ^= 0x36 ^ 0x5c;
    SHA256_Init(&key->outer);
    SHA256_Update(&key->outer, pad, sizeof(pad));
    OPENSSL_cleanse(pad, sizeof(pad));
    OPENSSL_cleanse(hashed, sizeof(hashed));
}

static void hmac(const struct sigv4_key *key, struct bytes text, uint8_t mac[SHA256_DIGEST_LENGTH])
{
    uint8_t inner[SHA256_DIGEST_LENGTH];
    SHA256_CTX context = key->inner;
    SHA256_Update(&context, text.at, text.count);
    SHA256_Final(inner, &context);
    context = key->outer;
    SHA256_Update(&context, inner, sizeof(inner));
    SHA256_Final(mac, &context);
}

void sigv4_key_derive(struct sigv4_key *key, struct bytes secret, const struct sigv4_claim *claim)
{
    uint8_t first[4 + CREDENTIALS_SECRET_MAX] = "AWS4";
    ASSERT(secret.count <= CREDENTIALS_SECRET_MAX);
    memcpy(first + 4, secret.at, secret.count);
    key_init(key, bytes_of(first, 4 + secret.count));
    OPENSSL_cleanse(first, sizeof(first));
    const struct bytes steps[] = {claim->scope_date, claim->region, claim->service,
                                  BYTES("aws4_request")};
    uint8_t mac[SHA256_DIGEST_LENGTH];
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        hmac(key, steps[i], mac);
        key_init(key, bytes_of(mac, sizeof(mac)));
    }
    OPENSSL_cleanse(mac, sizeof(mac));
}

/* ---- Text on its way into a hash ---- */

struct writer {
    SHA256_CTX hash;
    size_t count;
    uint8_t text[WRITE_BYTES];
};

static void write_begin(struct writer *w)
{
    SHA256_Init(&w->hash);
    w->count = 0;
}

static void write_flush(struct writer *w)
{
    SHA256_Update(&w->hash, w->text, w->count);
    w->count = 0;
}

static void write_bytes(struct writer *w, struct bytes bytes)
{
    if (UNLIKELY(bytes.count > WRITE_BYTES - w->count)) {
        write_flush(w);
        if (bytes.count > WRITE_BYTES) {
            SHA256_Update(&w->hash, bytes.at, bytes.count);
            return;
        }
    }
    if (bytes.count > 0)
        memcpy(w->text + w->count, bytes.at, bytes.count);
    w->count += bytes.count;
}

static void write_byte(struct writer *w, uint8_t byte)
{
    if (UNLIKELY(w->count == WRITE_BYTES))
        write_flush(w);
    w->text[w->count++] = byte;
}

static void write_end(struct writer *w, uint8_t hash[SHA256_DIGEST_LENGTH])
{
    write_flush(w);
    SHA256_Final(hash, &w->hash);
}

/* Four bytes at a time: spread to lanes of two, split into nibbles, then made digits all
 * at once. */
void sigv4_hex(const uint8_t hash[SHA256_DIGEST_LENGTH], uint8_t hex[SIGV4_HEX_BYTES])
{
    for (size_t i = 0; i < SHA256_DIGEST_LENGTH; i += 4) {
        uint64_t v = get_u32(hash + i);
        v = (v & 0xffff) | (v >> 16 & 0xffff) << 32;
        v = (v & UINT64_C(0x000000ff000000ff)) | (v & UINT64_C(0x0000ff000000ff00)) << 8;
        v = (v >> 4 & UINT64_C(0x000f000f000f000f)) | (v & UINT64_C(0x000f000f000f000f)) << 8;
        uint64_t letters = (v + UINT64_C(0x0606060606060606)) >> 4 & UINT64_C(0x0101010101010101);
        put_u64(hex + 2 * i, v + UINT64_C(0x3030303030303030) + letters * ('a' - '9' - 1));
    }
}

static void write_hash(struct writer *w, const uint8_t hash[SHA256_DIGEST_LENGTH])
{
    uint8_t hex[SIGV4_HEX_BYTES];
    sigv4_hex(hash, hex);
    write_bytes(w, bytes_of(hex, sizeof(hex)));
}

static bool is_unreserved(uint8_t byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '-' || byte == '.' || byte == '_' || byte == '~';
}

static void write_escaped(struct writer *w, uint8_t byte)
{
    if (is_unreserved(byte)) {
        write_byte(w, byte);
        return;
    }
    static const char digits[] = "0123456789ABCDEF";
    write_byte(w, '%');
    write_byte(w, (uint8_t)digits[byte >> 4]);
    write_byte(w, (uint8_t)digits[byte & 15]);
}

/* ---- The canonical request: IAM User Guide, "Create a canonical request" ---- */

/* Each segment of the path is encoded once more than it was sent. */
static void write_path(struct writer *w, struct bytes path)
{
    for (size_t i = 0; i < path.count; i++)
        if (path.at[i] == '/')
            write_byte(w, '/');
        else
            write_escaped(w, path.at[i]);
}

/* Parameters are compared in the form in which they are written: encoded.  A byte that is encoded
 * begins with '%', which sorts before all that are not. */
static int compare_encoded(struct bytes a, struct bytes b)
{
    size_t common = MIN(a.count, b.count);
    for (size_t i = 0; i < common; i++) {
        if (a.at[i] == b.at[i])
            continue;
        bool a_plain = is_unreserved(a.at[i]);
        if (a_plain != is_unreserved(b.at[i]))
            return a_plain ? 1 : -1;
        return a.at[i] < b.at[i] ? -1 : 1;
    }
    return a.count < b.count ? -1 : a.count > b.count;
}

static bool sorts_before(const struct sigv4_parameter *a, const struct sigv4_parameter *b)
{
    int order = compare_encoded(a->name, b->name);
    return order != 0 ? order < 0 : compare_encoded(a->value, b->value) < 0;
}

static enum status write_query(struct arena *arena, struct writer *w, struct bytes query,
                               bool presigned)
{
    struct sigv4_parameter parameters[SIGV4_QUERY_MAX];
    uint32_t count;
    TRY(sigv4_query_read(arena, query, parameters, &count));
    for (uint32_t i = 1; i < count; i++) {
        struct sigv4_parameter one = parameters[i];
        uint32_t at = i;
        for (; at > 0 && sorts_before(&one, &parameters[at - 1]); at--)
            parameters[at] = parameters[at - 1];
        parameters[at] = one;
    }
    bool first = true;
    for (uint32_t i = 0; i < count; i++) {
        if (presigned && bytes_equal(parameters[i].name, BYTES("X-Amz-Signature")))
            continue;
        if (!first)
            write_byte(w, '&');
        first = false;
        for (size_t j = 0; j < parameters[i].name.count; j++)
            write_escaped(w, parameters[i].name.at[j]);
        write_byte(w, '=');
        for (size_t j = 0; j < parameters[i].value.count; j++)
            write_escaped(w, parameters[i].value.at[j]);
    }
    return STATUS_OK;
}

/* Runs of blanks within a value count as one. */
static void write_value(struct writer *w, struct bytes value)
{
    if (LIKELY(value.count == 0 || memchr(value.at, ' ', value.count) == NULL)) {
        write_bytes(w, value);
        return;
    }
    for (size_t i = 0; i < value.count; i++)
        if (value.at[i] != ' ' || i == 0 || value.at[i - 1] != ' ')
            write_byte(w, value.at[i]);
}

/* "name:value,value\n": of a header that was not sent, no value. */
static void write_header(struct writer *w, const struct http_request *request, struct bytes name)
{
    write_bytes(w, name);
    write_byte(w, ':');
    bool first = true;
    for (uint32_t i = 0; i < request->header_count; i++) {
        const struct http_header *header = &request->headers[i];
        if (!http_name_equal(header->name, name))
            continue;
        if (!first)
            write_byte(w, ',');
        first = false;
        write_value(w, header->value);
    }
    write_byte(w, '\n');
}

static void write_headers(struct writer *w, const struct http_request *request,
                          struct bytes signed_headers)
{
    for (struct bytes rest = signed_headers; rest.count > 0;) {
        const uint8_t *end = memchr(rest.at, ';', rest.count);
        struct bytes name = bytes_of(rest.at, end != NULL ? (size_t)(end - rest.at) : rest.count);
        rest = bytes_after(rest, name.count + (end != NULL));
        write_header(w, request, name);
    }
}

void sigv4_body_hash(const struct http_request *request, const struct pause *pause,
                     uint8_t hash[SHA256_DIGEST_LENGTH])
{
    struct bytes rest = request->raw_body;
    SHA256_CTX context;
    SHA256_Init(&context);
    while (rest.count > PAUSE_BYTES) {
        SHA256_Update(&context, rest.at, PAUSE_BYTES);
        rest = bytes_after(rest, PAUSE_BYTES);
        pause_run(pause);
    }
    SHA256_Update(&context, rest.at, rest.count);
    SHA256_Final(hash, &context);
}

enum status sigv4_canonical_hash(struct arena *arena, const struct http_request *request,
                                 const uint8_t body_hash[SHA256_DIGEST_LENGTH],
                                 const struct sigv4_claim *claim,
                                 uint8_t hash[SHA256_DIGEST_LENGTH])
{
    struct writer w;
    write_begin(&w);
    write_bytes(&w, request->method);
    write_byte(&w, '\n');
    write_path(&w, request->path);
    write_byte(&w, '\n');
    if (request->query.count > 0)
        TRY(write_query(arena, &w, request->query, claim->presigned));
    write_byte(&w, '\n');
    write_headers(&w, request, claim->signed_headers);
    write_byte(&w, '\n');
    write_bytes(&w, claim->signed_headers);
    write_byte(&w, '\n');
    /* Always the hash of what came, never x-amz-content-sha256: so "UNSIGNED-PAYLOAD" is no way
     * past the body. */
    write_hash(&w, body_hash);
    write_end(&w, hash);
    return STATUS_OK;
}

enum status sigv4_sign(struct arena *arena, const struct sigv4_key *key,
                       const struct http_request *request,
                       const uint8_t body_hash[SHA256_DIGEST_LENGTH],
                       const struct sigv4_claim *claim, uint8_t signature[SHA256_DIGEST_LENGTH])
{
    uint8_t hash[SHA256_DIGEST_LENGTH];
    TRY(sigv4_canonical_hash(arena, request, body_hash, claim, hash));
    struct writer w;
    w.hash = key->inner;
    w.count = 0;
    write_bytes(&w, BYTES("AWS4-HMAC-SHA256\n"));
    write_bytes(&w, claim->timestamp);
    write_byte(&w, '\n');
    write_bytes(&w, claim->scope);
    write_byte(&w, '\n');
    write_hash(&w, hash);
    write_end(&w, hash);
    SHA256_CTX outer = key->outer;
    SHA256_Update(&outer, hash, sizeof(hash));
    SHA256_Final(signature, &outer);
    return STATUS_OK;
}
