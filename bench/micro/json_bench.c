/* What JSON costs: a PutItem body of about 400 bytes scanned and read into the binary form, and an
 * item of about 200 bytes written.  Prints nanoseconds an operation, the best of many rounds.
 */
#include <stdio.h>
#include <time.h>

#include "wire/item_json.h"

#define ROUNDS      50
#define REPETITIONS 20000

struct bench {
    struct heap heap;
    struct arena arena;
    struct buffer binary;
    struct buffer text;
    struct value item;
    uint64_t sink; /* so that no work is left out */
};

static const char item_json[] =
    "{\"pk\":{\"S\":\"user#0000012345\"},\"sk\":{\"S\":\"order#2024-05-17T10:11:12.345Z\"},"
    "\"amount\":{\"N\":\"1299.95\"},\"payload\":{\"S\":\"The quick brown fox jumps over the lazy "
    "dog, "
    "and then it does so again because the text has to have some length to it.\"},"
    "\"active\":{\"BOOL\":true}}";

static const char spaced_body[] =
    "{\"TableName\": \"orders-of-the-shop\", \"Item\": {\"pk\": {\"S\": \"user#0000012345\"}, "
    "\"sk\": {\"S\": \"order#2024-05-17T10:11:12.345Z\"}, \"amount\": {\"N\": \"1299.95\"}, "
    "\"payload\": {\"S\": \"The quick brown fox jumps over the lazy dog, and then it does so again "
    "because the text has to have some length to it.\"}, \"active\": {\"BOOL\": true}}, "
    "\"ReturnConsumedCapacity\": \"TOTAL\", \"ConditionExpression\": \"attribute_not_exists(pk)\"}";

static void skip_body(struct bench *b)
{
    struct json_scanner s;
    json_scanner_init(&s, BYTES(spaced_body), &b->arena);
    json_skip(&s);
    b->sink += json_scanner_finish(&s) == STATUS_OK;
}

static void read_item(struct bench *b, struct bytes json)
{
    struct json_scanner s;
    struct value_writer w;
    struct item_json_fault fault;
    buffer_clear(&b->binary);
    json_scanner_init(&s, json, &b->arena);
    value_writer_init(&w, &b->binary);
    if (item_json_read_map(&s, &w, &b->arena, &fault) == STATUS_OK &&
        value_writer_finish(&w, &b->item) == STATUS_OK)
        b->sink += b->item.bytes;
}

static void read_compact(struct bench *b)
{
    read_item(b, BYTES(item_json));
}

static void read_body(struct bench *b)
{
    struct json_scanner s;
    struct value_writer w;
    struct item_json_fault fault;
    struct bytes name;
    buffer_clear(&b->binary);
    json_scanner_init(&s, BYTES(spaced_body), &b->arena);
    value_writer_init(&w, &b->binary);
    json_object_begin(&s);
    while (json_object_next(&s, &name)) {
        if (bytes_equal(name, BYTES("Item")))
            b->sink += item_json_read_map(&s, &w, &b->arena, &fault) == STATUS_OK;
        else
            b->sink += json_string(&s).count;
    }
    b->sink += json_scanner_finish(&s) == STATUS_OK;
}

static void write_item(struct bench *b)
{
    struct json_writer w;
    buffer_clear(&b->text);
    json_writer_init(&w, &b->text);
    item_json_write_map(&w, b->item);
    b->sink += b->text.count;
}

static void size_item(struct bench *b)
{
    b->sink += item_size(b->item);
}

static void encode_number(struct bench *b)
{
    struct number number;
    enum number_fault fault;
    uint8_t encoded[NUMBER_ENCODED_BYTES_MAX];
    if (number_parse(BYTES("1299.95"), &number, &fault) == STATUS_OK)
        b->sink += number_encode(&number, encoded);
}

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void measure(struct bench *b, const char *what, size_t bytes, void (*run)(struct bench *))
{
    double best = 1e18;
    for (int round = 0; round < ROUNDS; round++) {
        double start = now_ns();
        for (int i = 0; i < REPETITIONS; i++)
            run(b);
        double took = (now_ns() - start) / REPETITIONS;
        best = MIN(best, took);
    }
    printf("%-32s %4zu bytes %8.1f ns\n", what, bytes, best);
}

int main(void)
{
    struct bench b = {0};
    heap_init(&b.heap, false);
    arena_init(&b.arena, &b.heap, 1u << 20);
    buffer_init(&b.binary, &b.heap, 1u << 20);
    buffer_init(&b.text, &b.heap, 1u << 20);
    read_compact(&b);
    measure(&b, "scan a body", sizeof(spaced_body) - 1, skip_body);
    measure(&b, "scan a body, its item to binary", sizeof(spaced_body) - 1, read_body);
    measure(&b, "item to binary", sizeof(item_json) - 1, read_compact);
    measure(&b, "item from binary", b.item.bytes, write_item);
    measure(&b, "size of an item", b.item.bytes, size_item);
    measure(&b, "number text to encoding", 7, encode_number);
    printf("(%llu)\n", (unsigned long long)b.sink);
    arena_release(&b.arena);
    buffer_release(&b.binary);
    buffer_release(&b.text);
    return 0;
}
