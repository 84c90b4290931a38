/* What the server gave out, as clients give it back: sequence numbers, shard iterators, NextToken,
 * ARNs.  The first byte says which.
 *
 * What reads is written back as the same text; what is behind a checksum is also tried with a right
 * one; and what is changed in one place is refused.
 */
#include <stdint.h>
#include <stdlib.h>

#include "api/partiql_private.h"
#include "api/stream_iterator.h"
#include "base/assert.h"
#include "base/checksum.h"
#include "base/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SEED UINT64_C(7)

struct world {
    struct heap heap;
    struct context ctx;
    struct api api;
    struct api_operation operation;
    struct api_call call;
    struct buffer text;
};

static void world_open(struct world *world)
{
    *world = (struct world){.operation = {.name = BYTES("GetItem")}};
    heap_init(&world->heap, false);
    arena_init(&world->ctx.arena, &world->heap, 16u << 20);
    buffer_init(&world->text, &world->heap, 4u << 20);
    world->api.options.region = BYTES("us-east-1");
    world->api.options.account = BYTES("000000000000");
    world->call =
        (struct api_call){.ctx = &world->ctx, .api = &world->api, .operation = &world->operation};
    json_writer_init(&world->call.json, &world->text);
}

static void world_close(struct world *world)
{
    buffer_release(&world->text);
    arena_release(&world->ctx.arena);
    ASSERT(world->heap.bytes_used == 0);
}

static void try_sequence_number(struct bytes text)
{
    struct change_position position;
    char again[SEQUENCE_BYTES + 1];
    if (sequence_number_read(text, &position))
        ASSERT(bytes_equal(sequence_number_write(position, again), text));
}

/* Read what a write has made, and refuse it with another seed or another byte. */
static void try_iterator(struct world *world, struct bytes text)
{
    struct stream_iterator iterator, again;
    uint8_t raw[STREAM_ITERATOR_BYTES];
    struct bytes arn, arn_again;
    if (!stream_iterator_split(text, &arn, raw))
        return;
    ASSERT(arn.count > 0 && arn.at == text.at && arn.count < text.count);
    if (memchr(arn.at, 0, arn.count) != NULL)
        return; /* the server's have none */
    bool right = stream_iterator_read(raw, SEED, &iterator);
    struct bytes made = stream_iterator_write(&world->ctx.arena, arn, &iterator, SEED);
    ASSERT(made.at != NULL);
    ASSERT(!right || bytes_equal(made, text));
    ASSERT(stream_iterator_split(made, &arn_again, raw) && bytes_equal(arn_again, arn));
    ASSERT(stream_iterator_read(raw, SEED, &again));
    ASSERT(again.from_oldest == iterator.from_oldest &&
           again.position.slot == iterator.position.slot &&
           again.position.number == iterator.position.number &&
           again.table_id == iterator.table_id && again.group_id == iterator.group_id &&
           again.stream_ms == iterator.stream_ms && again.given_ms == iterator.given_ms);
    ASSERT(!stream_iterator_read(raw, SEED + 1, &again));
    raw[text.at[0] % STREAM_ITERATOR_BYTES] ^= 0x10;
    ASSERT(!stream_iterator_read(raw, SEED, &again));
}

static void check_refusal(const struct world *world)
{
    ASSERT(world->call.error.code != ERROR_NONE && world->call.error.message.count > 0);
}

/* A token of that text; of that statement it is written back. */
static void try_token(struct world *world, struct bytes text, uint64_t fingerprint)
{
    struct partiql_position position;
    struct value key;
    if (partiql_token_read(&world->call, text, fingerprint, &position) != STATUS_OK) {
        check_refusal(world);
        return;
    }
    if (value_type(position.last_key) != VALUE_NONE)
        ASSERT(value_check(bytes_of(position.last_key.at, position.last_key.bytes), &key) ==
               STATUS_OK);
    json_write_object_begin(&world->call.json);
    ASSERT(partiql_token_write(&world->call, fingerprint, &position) == STATUS_OK);
    json_write_object_end(&world->call.json);
    struct bytes made = buffer_bytes(&world->text);
    static const char begin[] = "{\"NextToken\":\"";
    size_t around = sizeof(begin) - 1;
    ASSERT(made.count == around + text.count + 2 && memcmp(made.at, begin, around) == 0);
    ASSERT(memcmp(made.at + around, text.at, text.count) == 0);
}

/* The same content with a right checksum. */
static void try_summed_token(struct world *world, struct bytes content)
{
    struct buffer raw, text;
    struct json_writer json;
    uint8_t sum[8];
    uint64_t fingerprint = content.count >= 9 ? get_u64(content.at + 1) : 0;
    buffer_init(&raw, &world->heap, 1u << 20);
    buffer_init(&text, &world->heap, 2u << 20);
    buffer_append_bytes(&raw, content);
    put_u64(sum, checksum64(content, PARTIQL_TOKEN_SEED));
    buffer_append(&raw, sum, sizeof(sum));
    json_writer_init(&json, &text);
    json_write_base64(&json, buffer_bytes(&raw));
    ASSERT(text.count >= 2);
    try_token(world, bytes_of(text.at + 1, text.count - 2), fingerprint);
    buffer_release(&text);
    buffer_release(&raw);
}

static bool lies_in(struct bytes part, struct bytes text)
{
    return part.at >= text.at && part.at + part.count <= text.at + text.count;
}

static void try_names(struct world *world, struct bytes text)
{
    struct bytes table = {0}, label = {0};
    bool found = false;
    if (call_table_name(&world->call, text, &table) == STATUS_OK)
        ASSERT(lies_in(table, text));
    else
        check_refusal(world);
    world->call.error = (struct error){0};
    if (call_resource_name(&world->call, text, &table) == STATUS_OK)
        ASSERT(lies_in(table, text));
    else
        check_refusal(world);
    world->call.error = (struct error){0};
    if (call_stream_name(&world->call, text, &table, &label, &found) != STATUS_OK)
        check_refusal(world);
    else if (found)
        ASSERT(lies_in(table, text) && lies_in(label, text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world world;
    if (size < 2)
        return 0;
    struct bytes rest = bytes_of(data + 1, size - 1);
    world_open(&world);
    switch (data[0] % 5) {
    case 0:
        try_sequence_number(rest);
        break;
    case 1:
        try_iterator(&world, rest);
        break;
    case 2:
        try_token(&world, rest, 1);
        break;
    case 3:
        try_summed_token(&world, rest);
        break;
    default:
        try_names(&world, rest);
        break;
    }
    world_close(&world);
    return 0;
}
