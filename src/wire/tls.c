#include "wire/tls.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <string.h>

#include "base/assert.h"
#include "wire/tls_private.h"

#define PLAIN_BYTES    16384u /* a TLS record's content at most */
#define COALESCE_BYTES 4096u  /* head and body of an answer up to this go into one record */

struct tls_context {
    struct heap *heap;
    SSL_CTX *ssl;
    BIO_METHOD *method; /* of sessions' BIOs */
    uint8_t plain[PLAIN_BYTES];
};

struct tls_session {
    struct heap *heap;
    struct tls_context *context;
    SSL *ssl;
    struct bytes in;    /* ciphertext not yet read */
    struct buffer *out; /* where ciphertext goes, during a call */
    bool broken;        /* an error after which nothing may be sent */
};

/* ---- Between a session and OpenSSL: reads from `in`, writes to `out` ---- */

static int bio_read(BIO *bio, char *to, size_t count, size_t *taken)
{
    struct tls_session *session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *taken = MIN(count, session->in.count);
    if (*taken == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(to, session->in.at, *taken);
    session->in = bytes_after(session->in, *taken);
    return 1;
}

static int bio_write(BIO *bio, const char *from, size_t count, size_t *taken)
{
    struct tls_session *session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (session->out == NULL)
        return 0;
    buffer_append(session->out, from, count);
    *taken = session->out->failed ? 0 : count;
    return *taken > 0;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

/* ---- The context ---- */

static const unsigned char http_1_1[] = "\x08http/1.1";

/* A client that offers only other protocols gets no answer to its offer, and HTTP/1.1. */
static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_count,
                       const unsigned char *in, unsigned in_count, void *argument)
{
    (void)ssl;
    (void)argument;
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, out_count, http_1_1, sizeof(http_1_1) - 1, in, in_count) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* An encrypted key has no one here to ask for its password. */
static int no_password(char *to, int count, int write, void *argument)
{
    (void)to;
    (void)count;
    (void)write;
    (void)argument;
    return -1;
}

static BIO *bio_of(struct bytes bytes)
{
    return bytes.count <= INT_MAX ? BIO_new_mem_buf(bytes.at, (int)bytes.count) : NULL;
}

/* The first certificate is the server's, the others lead from it towards a root. */
static bool use_certificates(SSL_CTX *ssl, BIO *pem)
{
    X509 *certificate = PEM_read_bio_X509(pem, NULL, no_password, NULL);
    if (certificate == NULL)
        return false;
    bool ok = SSL_CTX_use_certificate(ssl, certificate) == 1;
    X509_free(certificate);
    while (ok && (certificate = PEM_read_bio_X509(pem, NULL, no_password, NULL)) != NULL) {
        ok = SSL_CTX_add1_chain_cert(ssl, certificate) == 1;
        X509_free(certificate);
    }
    return ok;
}

static enum status load(SSL_CTX *ssl, struct bytes certificate_pem, struct bytes key_pem,
                        const char **why)
{
    *why = "out of memory";
    BIO *pem = bio_of(certificate_pem);
    if (pem == NULL)
        return STATUS_NO_MEMORY;
    bool ok = use_certificates(ssl, pem);
    BIO_free(pem);
    if (!ok) {
        *why = "the certificate is not a PEM certificate (chain)";
        return STATUS_INVALID;
    }
    pem = bio_of(key_pem);
    if (pem == NULL)
        return STATUS_NO_MEMORY;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(pem, NULL, no_password, NULL);
    BIO_free(pem);
    if (key == NULL) {
        *why = "the key is not an unencrypted PEM private key";
        return STATUS_INVALID;
    }
    ok = SSL_CTX_use_PrivateKey(ssl, key) == 1 && SSL_CTX_check_private_key(ssl) == 1;
    EVP_PKEY_free(key);
    *why = "the key does not belong to the certificate";
    return ok ? STATUS_OK : STATUS_INVALID;
}

static bool configure(struct tls_context *context)
{
    /* No configuration file: what the server speaks is decided here. */
    if (OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
        return false;
    context->ssl = SSL_CTX_new(TLS_server_method());
    context->method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
    if (context->ssl == NULL || context->method == NULL)
        return false;
    BIO_meth_set_read_ex(context->method, bio_read);
    BIO_meth_set_write_ex(context->method, bio_write);
    BIO_meth_set_ctrl(context->method, bio_control);
    SSL_CTX *ssl = context->ssl;
    SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF); /* tickets keep no state here */
    SSL_CTX_set_alpn_select_cb(ssl, select_alpn, NULL);
    return SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_session_id_context(ssl, (const unsigned char *)"trine", 5) == 1 &&
           SSL_CTX_set_num_tickets(ssl, 1) == 1;
}

enum status tls_context_open(struct heap *heap, struct bytes certificate_pem, struct bytes key_pem,
                             struct tls_context **context_out, struct bytes *why_out)
{
    *why_out = BYTES("out of memory");
    struct tls_context *context = heap_alloc(heap, sizeof(*context));
    if (context == NULL)
        return STATUS_NO_MEMORY;
    context->heap = heap;
    context->ssl = NULL;
    context->method = NULL;
    ERR_clear_error();
    const char *why = "out of memory";
    enum status status =
        configure(context) ? load(context->ssl, certificate_pem, key_pem, &why) : STATUS_NO_MEMORY;
    ERR_clear_error();
    if (status != STATUS_OK) {
        *why_out = bytes_of_text(why);
        tls_context_close(context);
        return status;
    }
    *context_out = context;
    return STATUS_OK;
}

void tls_context_close(struct tls_context *context)
{
    SSL_CTX_free(context->ssl);
    BIO_meth_free(context->method);
    heap_free(context->heap, context, sizeof(*context));
}

/* ---- Sessions ---- */

struct tls_session *tls_session_open(struct tls_context *context, struct heap *heap)
{
    struct tls_session *session = heap_alloc_zero(heap, sizeof(*session));
    if (session == NULL)
        return NULL;
    session->heap = heap;
    session->context = context;
    session->ssl = SSL_new(context->ssl);
    BIO *bio = BIO_new(context->method);
    if (session->ssl == NULL || bio == NULL) {
        BIO_free(bio);
        SSL_free(session->ssl);
        heap_free(heap, session, sizeof(*session));
        return NULL;
    }
    BIO_set_data(bio, session);
    BIO_set_init(bio, 1);
    SSL_set_bio(session->ssl, bio, bio);
    SSL_set_accept_state(session->ssl);
    return session;
}

void tls_session_free(struct tls_session *session)
{
    session->out = NULL;
    SSL_free(session->ssl);
    heap_free(session->heap, session, sizeof(*session));
}

bool tls_session_established(const struct tls_session *session)
{
    return SSL_is_init_finished(session->ssl) == 1;
}

enum status tls_session_receive(struct tls_session *session, struct bytes in,
                                bool (*on_plain)(void *argument, struct bytes bytes),
                                void *argument, struct buffer *out)
{
    uint8_t *plain = session->context->plain;
    session->in = in;
    enum status status = STATUS_OK;
    for (bool wanted = true; wanted;) {
        size_t count;
        session->out = out; /* again: on_plain may have sent */
        ERR_clear_error();
        int result = SSL_read_ex(session->ssl, plain, PLAIN_BYTES, &count);
        if (result == 1) {
            wanted = on_plain(argument, bytes_of(plain, count));
            continue;
        }
        int error = SSL_get_error(session->ssl, result);
        if (error == SSL_ERROR_ZERO_RETURN)
            status = STATUS_END;
        else if (error != SSL_ERROR_WANT_READ)
            status = STATUS_CORRUPT;
        break;
    }
    session->broken |= status == STATUS_CORRUPT;
    session->in = (struct bytes){0};
    session->out = NULL;
    ERR_clear_error();
    return status;
}

static enum status send_run(struct tls_session *session, struct bytes run)
{
    size_t taken;
    if (run.count == 0)
        return STATUS_OK;
    return SSL_write_ex(session->ssl, run.at, run.count, &taken) == 1 ? STATUS_OK : STATUS_CLOSED;
}

enum status tls_session_send(struct tls_session *session, const struct bytes *runs,
                             size_t run_count, struct buffer *out)
{
    if (session->broken || !tls_session_established(session))
        return STATUS_CLOSED;
    size_t total = 0;
    for (size_t i = 0; i < run_count; i++)
        total += runs[i].count;
    ERR_clear_error();
    session->out = out;
    enum status status = STATUS_OK;
    if (total <= COALESCE_BYTES) {
        uint8_t one[COALESCE_BYTES];
        size_t count = 0;
        for (size_t i = 0; i < run_count; i++) {
            if (runs[i].count > 0)
                memcpy(one + count, runs[i].at, runs[i].count);
            count += runs[i].count;
        }
        status = send_run(session, bytes_of(one, count));
    } else {
        for (size_t i = 0; i < run_count && status == STATUS_OK; i++)
            status = send_run(session, runs[i]);
    }
    session->out = NULL;
    if (out->failed)
        status = STATUS_NO_MEMORY;
    session->broken |= status != STATUS_OK;
    return status;
}

void tls_session_end(struct tls_session *session, struct buffer *out)
{
    if (session->broken || !tls_session_established(session))
        return;
    ERR_clear_error();
    session->out = out;
    (void)SSL_shutdown(session->ssl);
    session->out = NULL;
    session->broken = true;
}
