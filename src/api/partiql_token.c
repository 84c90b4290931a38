/* partiql_token.c - NextToken of ExecuteStatement, in base64:
 *
 * offset size  meaning
 *      0    1  format: 1
 *      1    8  fingerprint of the statement and its parameters
 *      9    4  query of the plan
 *     13    -  the last key, a map value, or nothing
 *      -    8  checksum of what is before it
 *
 * Integers are little-endian.  A token holds no secret and is not trusted: the key in it is checked
 * as an ExclusiveStartKey is.
 */
#include "api/partiql_private.h"

#include "base/checksum.h"
#include "base/codec.h"
#include "wire/base64.h"

#define TOKEN_FORMAT     1u
#define TOKEN_HEAD_BYTES 13u
#define TOKEN_SUM_BYTES  8u

uint64_t partiql_fingerprint(struct bytes statement, const struct model_list *parameters)
{
    const struct value *values = parameters->at;
    uint64_t print = checksum64(statement, PARTIQL_TOKEN_SEED);
    for (uint32_t i = 0; i < parameters->count && i < MODEL_STORED_MAX; i++)
        print = checksum64(bytes_of(values[i].at, values[i].bytes), print);
    return print;
}

enum status partiql_token_write(struct api_call *call, uint64_t fingerprint,
                                const struct partiql_position *position)
{
    uint32_t key_bytes = position->last_key.bytes;
    size_t bytes = TOKEN_HEAD_BYTES + key_bytes + TOKEN_SUM_BYTES;
    uint8_t *at = arena_alloc(call_arena(call), bytes);
    if (at == NULL)
        return call_no_memory(call);
    at[0] = TOKEN_FORMAT;
    put_u64(at + 1, fingerprint);
    put_u32(at + 9, position->query);
    if (key_bytes > 0)
        memcpy(at + TOKEN_HEAD_BYTES, position->last_key.at, key_bytes);
    size_t summed = TOKEN_HEAD_BYTES + key_bytes;
    put_u64(at + summed, checksum64(bytes_of(at, summed), PARTIQL_TOKEN_SEED));
    write_name(&call->json, "NextToken");
    json_write_base64(&call->json, bytes_of(at, bytes));
    return STATUS_OK;
}

enum status partiql_token_read(struct api_call *call, struct bytes text, uint64_t fingerprint,
                               struct partiql_position *position)
{
    struct bytes token, why;
    enum status status = base64_decode(text, call_arena(call), &token, &why);
    if (status == STATUS_NO_MEMORY)
        return call_no_memory(call);
    if (status != STATUS_OK || token.count < TOKEN_HEAD_BYTES + TOKEN_SUM_BYTES ||
        token.at[0] != TOKEN_FORMAT)
        return call_invalid(call, PARTIQL_INVALID_TOKEN);
    size_t summed = token.count - TOKEN_SUM_BYTES;
    if (get_u64(token.at + summed) != checksum64(bytes_of(token.at, summed), PARTIQL_TOKEN_SEED))
        return call_invalid(call, PARTIQL_INVALID_TOKEN);
    if (get_u64(token.at + 1) != fingerprint)
        return call_invalid(call, "NextToken does not match request");
    struct bytes key = bytes_of(token.at + TOKEN_HEAD_BYTES, summed - TOKEN_HEAD_BYTES);
    position->query = get_u32(token.at + 9);
    position->last_key = VALUE_ABSENT;
    if (key.count == 0)
        return STATUS_OK;
    if (value_check(key, &position->last_key) != STATUS_OK ||
        value_type(position->last_key) != VALUE_M)
        return call_invalid(call, PARTIQL_INVALID_TOKEN);
    return STATUS_OK;
}
