/* credentials.c - the known keys, and the file that lists them. */
#include "base/assert.h"
#include "wire/sigv4_private.h"

void credentials_init(struct credentials *credentials, struct heap *heap, uint64_t seed)
{
    credentials->heap = heap;
    hash_map_init(&credentials->by_access_key, heap, CREDENTIALS_MAX, seed);
}

/* Secrets do not stay in freed memory. */
static void free_credential(struct heap *heap, struct credential *credential)
{
    OPENSSL_cleanse(credential, sizeof(*credential));
    heap_free(heap, credential, sizeof(*credential));
}

void credentials_release(struct credentials *credentials)
{
    uint32_t position = 0;
    struct credential *credential;
    while ((credential = hash_map_next(&credentials->by_access_key, &position)) != NULL)
        free_credential(credentials->heap, credential);
    hash_map_release(&credentials->by_access_key);
}

uint32_t credentials_count(const struct credentials *credentials)
{
    return credentials->by_access_key.live;
}

const struct credential *credentials_find(const struct credentials *credentials,
                                          struct bytes access_key)
{
    return hash_map_find(&credentials->by_access_key, access_key);
}

/* ---- The file ---- */

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r';
}

/* Take the next word of *line; empty at its end. */
static struct bytes take_word(struct bytes *line)
{
    while (line->count > 0 && is_blank(line->at[0]))
        *line = bytes_after(*line, 1);
    struct bytes word = bytes_of(line->at, 0);
    while (word.count < line->count && !is_blank(line->at[word.count]))
        word.count++;
    *line = bytes_after(*line, word.count);
    return word;
}

/* What can stand in a Credential: visible ASCII without its separators. */
static bool is_key(struct bytes word, size_t bytes_max)
{
    if (word.count == 0 || word.count > bytes_max)
        return false;
    for (size_t i = 0; i < word.count; i++)
        if (word.at[i] <= ' ' || word.at[i] >= 0x7f)
            return false;
    return true;
}

static enum status add(struct credentials *credentials, struct bytes access_key,
                       struct bytes secret_key)
{
    bool separator = memchr(access_key.at, '/', access_key.count) != NULL ||
                     memchr(access_key.at, ',', access_key.count) != NULL;
    if (separator)
        return STATUS_INVALID;
    if (credentials_find(credentials, access_key) != NULL)
        return STATUS_EXISTS;
    struct credential *credential = heap_alloc_zero(credentials->heap, sizeof(*credential));
    if (credential == NULL)
        return STATUS_NO_MEMORY;
    memcpy(credential->access_key, access_key.at, access_key.count);
    memcpy(credential->secret_key, secret_key.at, secret_key.count);
    credential->secret_key_count = (uint8_t)secret_key.count;
    enum status status =
        hash_map_insert(&credentials->by_access_key,
                        bytes_of(credential->access_key, access_key.count), credential);
    if (status != STATUS_OK)
        free_credential(credentials->heap, credential);
    return status == STATUS_BUSY ? STATUS_TOO_LARGE : status;
}

static enum status parse_line(struct credentials *credentials, struct bytes line)
{
    struct bytes access_key = take_word(&line);
    if (access_key.count == 0 || access_key.at[0] == '#')
        return STATUS_OK;
    struct bytes secret_key = take_word(&line);
    if (!is_key(access_key, CREDENTIALS_KEY_MAX) || !is_key(secret_key, CREDENTIALS_SECRET_MAX) ||
        take_word(&line).count > 0)
        return STATUS_INVALID;
    return add(credentials, access_key, secret_key);
}

static enum status parse_lines(struct credentials *credentials, struct bytes file,
                               uint32_t *line_number)
{
    uint32_t number = 1;
    for (struct bytes rest = file; rest.count > 0; number++) {
        const uint8_t *end = memchr(rest.at, '\n', rest.count);
        struct bytes line = bytes_of(rest.at, end != NULL ? (size_t)(end - rest.at) : rest.count);
        rest = bytes_after(rest, line.count + (end != NULL));
        enum status status = parse_line(credentials, line);
        if (status != STATUS_OK) {
            *line_number = number;
            return status;
        }
    }
    return STATUS_OK;
}

enum status credentials_parse(struct credentials *credentials, struct bytes file, uint32_t *line)
{
    ASSERT(credentials_count(credentials) == 0);
    enum status status = parse_lines(credentials, file, line);
    if (status != STATUS_OK) {
        uint64_t seed = credentials->by_access_key.seed;
        credentials_release(credentials);
        credentials_init(credentials, credentials->heap, seed);
    }
    return status;
}
