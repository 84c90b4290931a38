/* workload_answer.c - is an answer the right one? */
#include <stdio.h>

#include "load/workload.h"
#include "wire/json.h"

void workload_answer_bounds(enum workload_operation operation, size_t *min, size_t *max)
{
    /* An item of WORKLOAD_ITEM_BYTES is about 270 bytes of JSON. */
    static const size_t item_min = 240, item_max = 400;
    *min = 2;
    *max = 1 << 20;
    switch (operation) {
    case WORKLOAD_GET_ITEM:
        *min = item_min;
        *max = item_max;
        break;
    case WORKLOAD_QUERY:
    case WORKLOAD_SELECT:
        *min = WORKLOAD_GROUP * item_min;
        *max = WORKLOAD_GROUP * item_max;
        break;
    case WORKLOAD_BATCH_GET:
        *min = WORKLOAD_BATCH * item_min;
        *max = WORKLOAD_BATCH * item_max;
        break;
    case WORKLOAD_GET_RECORDS: /* each with one or two images */
        *min = WORKLOAD_RECORDS * item_min;
        *max = WORKLOAD_RECORDS * 4 * item_max;
        break;
    case WORKLOAD_PUT_ITEM:
    case WORKLOAD_UPDATE_ITEM:
    case WORKLOAD_TRANSACT:
        *max = 64;
        break;
    default:
        break;
    }
}

/* The text of an attribute value {"S":"..."}; empty for another. */
static struct bytes string_value(struct json_scanner *s)
{
    struct bytes text = {0}, name;
    json_object_begin(s);
    while (json_object_next(s, &name)) {
        if (bytes_equal(name, BYTES("S")) && json_peek(s) == JSON_STRING)
            text = json_string(s);
        else
            json_skip(s);
    }
    return text;
}

static bool text_is(struct bytes text, const char *format, uint32_t number)
{
    char wanted[32];
    snprintf(wanted, sizeof(wanted), format, number);
    return bytes_equal(text, bytes_of_text(wanted));
}

struct seen {
    uint32_t items; /* or records */
    bool wrong;     /* an item lacks an attribute, or is not the one that was asked for */
    bool leftover;  /* something is said to be unprocessed */
};

/* One item; `request` says which one is wanted where there is one answer only. */
static void see_item(struct json_scanner *s, struct workload_request request, struct seen *seen)
{
    struct bytes name, pk = {0}, sk = {0};
    uint32_t others = 0;
    json_object_begin(s);
    while (json_object_next(s, &name)) {
        if (bytes_equal(name, BYTES("pk"))) {
            pk = string_value(s);
        } else if (bytes_equal(name, BYTES("sk"))) {
            sk = string_value(s);
        } else {
            others++;
            json_skip(s);
        }
    }
    bool same_pk = text_is(pk, "user#%08u", request.item / WORKLOAD_GROUP);
    bool same_sk = text_is(sk, "order#%04u", request.item % WORKLOAD_GROUP);
    bool any_pk = request.operation == WORKLOAD_BATCH_GET;
    bool any_sk = request.operation != WORKLOAD_GET_ITEM;
    if (others != 3 || !(same_pk || any_pk) || !(same_sk || any_sk))
        seen->wrong = true;
    seen->items++;
}

static void see_items(struct json_scanner *s, struct workload_request request, struct seen *seen)
{
    json_array_begin(s);
    while (json_array_next(s))
        see_item(s, request, seen);
}

/* Records of a stream; each has its change. */
static void see_records(struct json_scanner *s, struct seen *seen)
{
    struct bytes name;
    json_array_begin(s);
    while (json_array_next(s)) {
        bool changes = false;
        if (json_peek(s) != JSON_OBJECT) {
            json_skip(s);
        } else {
            json_object_begin(s);
            while (json_object_next(s, &name)) {
                changes |= bytes_equal(name, BYTES("dynamodb"));
                json_skip(s);
            }
        }
        seen->wrong |= !changes;
        seen->items++;
    }
}

/* {"table": [items]} */
static void see_responses(struct json_scanner *s, struct workload_request request,
                          struct seen *seen)
{
    struct bytes table;
    json_object_begin(s);
    while (json_object_next(s, &table))
        see_items(s, request, seen);
}

static void see_member(struct json_scanner *s, struct bytes name, struct workload_request request,
                       struct seen *seen)
{
    if (bytes_equal(name, BYTES("Item")) && json_peek(s) == JSON_OBJECT) {
        see_item(s, request, seen);
    } else if (bytes_equal(name, BYTES("Items")) && json_peek(s) == JSON_ARRAY) {
        see_items(s, request, seen);
    } else if (bytes_equal(name, BYTES("Records")) && json_peek(s) == JSON_ARRAY) {
        see_records(s, seen);
    } else if (bytes_equal(name, BYTES("Responses")) && json_peek(s) == JSON_OBJECT) {
        see_responses(s, request, seen);
    } else if (bytes_start_with(name, BYTES("Unprocessed")) && json_peek(s) == JSON_OBJECT) {
        struct bytes table;
        json_object_begin(s);
        while (json_object_next(s, &table)) {
            seen->leftover = true;
            json_skip(s);
        }
    } else {
        json_skip(s);
    }
}

static uint32_t items_expected(enum workload_operation operation)
{
    switch (operation) {
    case WORKLOAD_GET_ITEM:
        return 1;
    case WORKLOAD_QUERY:
    case WORKLOAD_SELECT:
        return WORKLOAD_GROUP;
    case WORKLOAD_BATCH_GET:
        return WORKLOAD_BATCH;
    case WORKLOAD_GET_RECORDS:
        return WORKLOAD_RECORDS;
    default:
        return 0;
    }
}

bool workload_answer_is_right(struct workload_request request, struct bytes body,
                              struct arena *arena)
{
    if (request.operation == WORKLOAD_PLAIN_GET)
        return true;
    static const char active[] = "\"TableStatus\":\"ACTIVE\"";
    if (request.operation == WORKLOAD_DESCRIBE_TABLE &&
        memmem(body.at, body.count, active, sizeof(active) - 1) == NULL)
        return false;
    struct json_scanner s;
    struct seen seen = {0};
    struct bytes name;
    json_scanner_init(&s, body, arena);
    if (json_peek(&s) != JSON_OBJECT)
        return false;
    json_object_begin(&s);
    while (json_object_next(&s, &name))
        see_member(&s, name, request, &seen);
    return json_scanner_finish(&s) == STATUS_OK && !seen.wrong && !seen.leftover &&
           seen.items == items_expected(request.operation);
}
