/* TLS of the HTTP server, against OpenSSL's own client over memory. */
#include "unit/cmocka_headers.h"

#include <stdio.h>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "unit/wire/wire_env.h"
#include "wire/http.h"
#include "wire/tls.h"

/* ---- A certificate, made anew in each run ---- */

static struct bytes pem_of(BIO *bio)
{
    char *at;
    long count = BIO_get_mem_data(bio, &at);
    uint8_t *copy = malloc((size_t)count);
    memcpy(copy, at, (size_t)count);
    BIO_free(bio);
    return bytes_of(copy, (size_t)count);
}

static void make_certificate(struct bytes *certificate_pem, struct bytes *key_pem)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    ASN1_TIME_set_string(X509_getm_notBefore(certificate), "20200101000000Z");
    ASN1_TIME_set_string(X509_getm_notAfter(certificate), "21200101000000Z");
    X509_set_pubkey(certificate, key);
    X509_NAME *name = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1,
                               0);
    X509_set_issuer_name(certificate, name);
    X509_sign(certificate, key, EVP_sha256());
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, certificate);
    *certificate_pem = pem_of(bio);
    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
    *key_pem = pem_of(bio);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

/* ---- The server and a client ---- */

struct fixture {
    struct wire_env world;
    struct tls_context *tls;
    struct http_server *server;
    struct bytes certificate_pem, key_pem;
    SSL_CTX *client_context;
    bool drained;
};

struct client {
    struct fixture *f;
    struct env_stream *stream;
    SSL *ssl;
    BIO *in, *out;
    size_t piece; /* bytes of one read of the server's */
    char *received;
    size_t received_count;
};

static void handle(struct context *ctx, void *owner, const struct http_request *request,
                   struct http_response *response)
{
    (void)owner;
    context_yield(ctx); /* so that bytes come while the request is served */
    if (bytes_equal(request->path, BYTES("/big")))
        for (int i = 0; i < 30000; i++)
            buffer_append_format(&response->body, "line %d;", i);
    buffer_append_format(&response->body, "body=%.*s", BYTES_ARGS(request->body));
}

static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
    SSL_SESSION **keep = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    if (keep == NULL)
        return 0;
    SSL_SESSION_free(*keep);
    *keep = session;
    return 1;
}

static void open_all(struct fixture *f)
{
    wire_open(&f->world);
    f->drained = false;
    make_certificate(&f->certificate_pem, &f->key_pem);
    struct bytes why;
    assert_int_equal(
        tls_context_open(&f->world.tiny.heap, f->certificate_pem, f->key_pem, &f->tls, &why),
        STATUS_OK);
    struct http_server_options options = http_server_options_default();
    options.handle = handle;
    options.tls = f->tls;
    assert_int_equal(fiber_pool_open(&f->world.tiny.env, 4, 65536), STATUS_OK);
    assert_int_equal(http_server_open(&f->world.tiny.env, &options, &f->server), STATUS_OK);
    f->client_context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_session_cache_mode(f->client_context,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(f->client_context, on_new_session);
}

static void on_drained(void *argument)
{
    ((struct fixture *)argument)->drained = true;
}

static void close_all(struct fixture *f)
{
    http_server_drain(f->server, on_drained, f);
    tiny_settle(&f->world.tiny);
    tiny_advance(&f->world.tiny, UINT64_C(60000000000));
    assert_true(f->drained);
    http_server_close(f->server);
    fiber_pool_close(&f->world.tiny.env);
    tls_context_close(f->tls);
    assert_int_equal(f->world.tiny.heap.bytes_used, 0);
    SSL_CTX_free(f->client_context);
    free((void *)(uintptr_t)f->certificate_pem.at);
    free((void *)(uintptr_t)f->key_pem.at);
    wire_free_streams(&f->world);
}

static void client_open(struct client *c, struct fixture *f, size_t piece)
{
    *c = (struct client){.f = f, .piece = piece, .received = calloc(1, 1)};
    c->stream = wire_connect(&f->world);
    c->ssl = SSL_new(f->client_context);
    c->in = BIO_new(BIO_s_mem());
    c->out = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(c->in, -1);
    SSL_set_bio(c->ssl, c->in, c->out);
    SSL_set_connect_state(c->ssl);
}

static void client_close(struct client *c)
{
    SSL_set_shutdown(c->ssl, SSL_SENT_SHUTDOWN); /* or its session could not be resumed */
    SSL_free(c->ssl);
    free(c->received);
}

/* Carry bytes both ways, and decrypt, until nothing moves. */
static void client_pump(struct client *c)
{
    for (bool moved = true; moved;) {
        char text[20000];
        int count;
        moved = false;
        while ((count = SSL_read(c->ssl, text, sizeof(text))) > 0)
            wire_append(&c->received, &c->received_count, text, (size_t)count);
        ERR_clear_error();
        while ((count = BIO_read(c->out, text, sizeof(text))) > 0) {
            wire_send(c->stream, text, (size_t)count, c->piece);
            moved = true;
        }
        tiny_settle(&c->f->world.tiny);
        if (c->stream->received_count > 0) {
            BIO_write(c->in, c->stream->received, (int)c->stream->received_count);
            wire_look_away(c->stream);
            moved = true;
        }
    }
}

static void client_send(struct client *c, const char *text)
{
    client_pump(c);
    assert_int_equal(SSL_write(c->ssl, text, (int)strlen(text)), strlen(text));
    client_pump(c);
}

/* ---- Tests ---- */

static void serves_both_versions_and_any_split(void **state)
{
    (void)state;
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    static const size_t pieces[] = {1, 7, 1000, SIZE_MAX};
    struct fixture f;
    open_all(&f);
    for (size_t v = 0; v < ARRAY_COUNT(versions); v++) {
        for (size_t p = 0; p < ARRAY_COUNT(pieces); p++) {
            struct client c;
            client_open(&c, &f, pieces[p]);
            SSL_set_min_proto_version(c.ssl, versions[v]);
            SSL_set_max_proto_version(c.ssl, versions[v]);
            SSL_set_alpn_protos(c.ssl, (const unsigned char *)"\x02h2\x08http/1.1", 12);
            client_pump(&c);
            assert_true(SSL_is_init_finished(c.ssl));
            const unsigned char *alpn;
            unsigned alpn_count;
            SSL_get0_alpn_selected(c.ssl, &alpn, &alpn_count);
            assert_true(bytes_equal(bytes_of(alpn, alpn_count), BYTES("http/1.1")));
            client_send(&c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}"
                            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
            const char *first = strstr(c.received, "body={}");
            assert_non_null(first);
            assert_non_null(strstr(first, "body=abc"));
            client_send(&c, "GET /big HTTP/1.1\r\n\r\n");
            assert_non_null(strstr(c.received, "line 0;line 1;"));
            assert_non_null(strstr(c.received, "line 29999;body="));
            client_send(&c, "GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
            assert_true(c.stream->closed);
            assert_int_equal(SSL_get_shutdown(c.ssl) & SSL_RECEIVED_SHUTDOWN,
                             SSL_RECEIVED_SHUTDOWN);
            client_close(&c);
        }
    }
    assert_int_equal(http_server_stats(f.server)->handshakes_failed, 0);
    close_all(&f);
}

static void resumes_sessions(void **state)
{
    (void)state;
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct fixture f;
    open_all(&f);
    SSL_SESSION *session = NULL;
    SSL_CTX_set_app_data(f.client_context, &session);
    for (size_t v = 0; v < ARRAY_COUNT(versions); v++) {
        for (int again = 0; again < 2; again++) {
            struct client c;
            client_open(&c, &f, SIZE_MAX);
            SSL_set_min_proto_version(c.ssl, versions[v]);
            SSL_set_max_proto_version(c.ssl, versions[v]);
            if (again)
                SSL_set_session(c.ssl, session);
            client_send(&c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
            assert_non_null(strstr(c.received, "200 OK"));
            assert_int_equal(SSL_session_reused(c.ssl), again);
            client_close(&c);
        }
    }
    SSL_SESSION_free(session);
    SSL_CTX_set_app_data(f.client_context, NULL);
    close_all(&f);
}

static void ends_with_close_notify_of_the_client(void **state)
{
    (void)state;
    struct fixture f;
    open_all(&f);
    struct client c;
    client_open(&c, &f, SIZE_MAX);
    client_send(&c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    SSL_shutdown(c.ssl);
    client_pump(&c);
    assert_true(c.stream->closed);
    client_close(&c);
    close_all(&f);
}

static void refuses_what_is_not_tls(void **state)
{
    (void)state;
    struct fixture f;
    open_all(&f);
    struct env_stream *plain = wire_connect(&f.world);
    wire_send(plain, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 27, SIZE_MAX);
    assert_true(plain->closed);
    struct client c;
    client_open(&c, &f, SIZE_MAX);
    SSL_set_min_proto_version(c.ssl, TLS1_VERSION);
    SSL_set_max_proto_version(c.ssl, TLS1_1_VERSION);
    SSL_set_security_level(c.ssl, 0);
    client_pump(&c);
    assert_false(SSL_is_init_finished(c.ssl));
    assert_true(c.stream->closed);
    client_close(&c);
    /* Damage after the handshake. */
    client_open(&c, &f, SIZE_MAX);
    client_send(&c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    wire_send(c.stream, "\x17\x03\x03\x00\x14 not what was sent at all", 25, SIZE_MAX);
    assert_true(c.stream->closed);
    client_close(&c);
    assert_int_equal(http_server_stats(f.server)->handshakes_failed, 2);
    close_all(&f);
}

static void bounds_the_handshake(void **state)
{
    (void)state;
    struct fixture f;
    open_all(&f);
    struct env_stream *silent = wire_connect(&f.world);
    struct client idle;
    client_open(&idle, &f, SIZE_MAX);
    client_pump(&idle);
    tiny_advance(&f.world.tiny, UINT64_C(25000000000));
    assert_true(silent->closed);
    assert_false(idle.stream->closing);
    client_send(&idle, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_non_null(strstr(idle.received, "200 OK"));
    client_close(&idle);
    close_all(&f);
}

static void says_what_is_wrong_with_the_files(void **state)
{
    (void)state;
    struct heap heap;
    heap_init(&heap, false);
    struct bytes certificate_pem, key_pem, other_certificate_pem, other_key_pem, why;
    make_certificate(&certificate_pem, &key_pem);
    make_certificate(&other_certificate_pem, &other_key_pem);
    struct tls_context *tls = NULL;
    assert_int_equal(tls_context_open(&heap, BYTES("nonsense"), key_pem, &tls, &why),
                     STATUS_INVALID);
    assert_true(bytes_equal(why, BYTES("the certificate is not a PEM certificate (chain)")));
    assert_int_equal(tls_context_open(&heap, certificate_pem, certificate_pem, &tls, &why),
                     STATUS_INVALID);
    assert_true(bytes_equal(why, BYTES("the key is not an unencrypted PEM private key")));
    assert_int_equal(tls_context_open(&heap, certificate_pem, other_key_pem, &tls, &why),
                     STATUS_INVALID);
    assert_true(bytes_equal(why, BYTES("the key does not belong to the certificate")));
    assert_null(tls);
    assert_int_equal(heap.bytes_used, 0);
    free((void *)(uintptr_t)certificate_pem.at);
    free((void *)(uintptr_t)key_pem.at);
    free((void *)(uintptr_t)other_certificate_pem.at);
    free((void *)(uintptr_t)other_key_pem.at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(serves_both_versions_and_any_split),
        cmocka_unit_test(resumes_sessions),
        cmocka_unit_test(ends_with_close_notify_of_the_client),
        cmocka_unit_test(refuses_what_is_not_tls),
        cmocka_unit_test(bounds_the_handshake),
        cmocka_unit_test(says_what_is_wrong_with_the_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
