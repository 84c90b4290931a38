/* signer.h - a client's side of Signature Version 4, written apart from the server's: over texts,
 * by OpenSSL's EVP and HMAC functions, the plain way. */
#ifndef TESTS_SIGNER_H
#define TESTS_SIGNER_H

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

struct signer {
    const char *access_key, *secret_key, *date_time, *region, *service;
};

static inline void signer_hex(const unsigned char *hash, char hex[65])
{
    for (int i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", hash[i]);
}

static inline void signer_sha256(const char *text, size_t count, char hex[65])
{
    unsigned char hash[32];
    EVP_Digest(text, count, hash, NULL, EVP_sha256(), NULL);
    signer_hex(hash, hex);
}

static inline void signer_hmac(const void *key, size_t key_count, const char *text,
                               unsigned char mac[32])
{
    unsigned count;
    HMAC(EVP_sha256(), key, (int)key_count, (const unsigned char *)text, strlen(text), mac, &count);
}

/* The signature of a canonical request that lacks its last line, the hash of the body. */
static inline void signer_sign(const struct signer *s, const char *canonical_without_hash,
                               const char *body, size_t body_count, char signature[65])
{
    static char canonical[70000];
    char hex[65], text[1000], secret[200];
    unsigned char mac[32];
    signer_sha256(body, body_count, hex);
    snprintf(canonical, sizeof(canonical), "%s%s", canonical_without_hash, hex);
    signer_sha256(canonical, strlen(canonical), hex);
    snprintf(text, sizeof(text), "AWS4-HMAC-SHA256\n%s\n%.8s/%s/%s/aws4_request\n%s", s->date_time,
             s->date_time, s->region, s->service, hex);
    snprintf(secret, sizeof(secret), "AWS4%s", s->secret_key);
    char date[9];
    snprintf(date, sizeof(date), "%.8s", s->date_time);
    signer_hmac(secret, strlen(secret), date, mac);
    signer_hmac(mac, 32, s->region, mac);
    signer_hmac(mac, 32, s->service, mac);
    signer_hmac(mac, 32, "aws4_request", mac);
    signer_hmac(mac, 32, text, mac);
    signer_hex(mac, signature);
}

#endif
