/* workload.h - what is asked: the table, its items, and the body of each request.
 *
 * The table has a partition key "pk" and a sort key "sk", both strings; an item has five attributes
 * and WORKLOAD_ITEM_BYTES as the service counts bytes.  Ten items share a partition key, which is
 * what Query asks for, and ExecuteStatement with a SELECT.  Item number n is (pk = "user#" n / 10,
 * sk = "order#" n % 10).
 */
#ifndef LOAD_WORKLOAD_H
#define LOAD_WORKLOAD_H

#include <stdint.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/bytes.h"
#include "base/prng.h"

#define WORKLOAD_ITEM_BYTES 200u
#define WORKLOAD_GROUP      10u  /* items with one partition key */
#define WORKLOAD_BATCH      25u  /* items of a BatchGetItem, of a BatchWriteItem of the loading */
#define WORKLOAD_RECORDS    100u /* of a GetRecords */
#define WORKLOAD_ITEMS_MAX  99999990u
#define WORKLOAD_BODY_MAX   (64u << 10) /* bytes of the largest request */

/* X(enum, the name of the operation, on the wire too) */
#define WORKLOAD_MAP(X)                                                                            \
    X(GET_ITEM, "GetItem")                                                                         \
    X(PUT_ITEM, "PutItem")                                                                         \
    X(UPDATE_ITEM, "UpdateItem")                                                                   \
    X(QUERY, "Query")                                                                              \
    X(TRANSACT, "TransactWriteItems")                                                              \
    X(SELECT, "ExecuteStatement")                                                                  \
    X(BATCH_GET, "BatchGetItem")                                                                   \
    X(BATCH_WRITE, "BatchWriteItem")                                                               \
    X(LIST_TABLES, "ListTables")                                                                   \
    X(CREATE_TABLE, "CreateTable")                                                                 \
    X(DESCRIBE_TABLE, "DescribeTable")                                                             \
    X(GET_RECORDS, "GetRecords")                                                                   \
    X(PLAIN_GET, "GET")

enum workload_operation {
#define WORKLOAD_ENUM(name, text) WORKLOAD_##name,
    WORKLOAD_MAP(WORKLOAD_ENUM)
#undef WORKLOAD_ENUM
        WORKLOAD_OPERATION_COUNT
};

/* What a request is about, for the check of its answer. */
struct workload_request {
    enum workload_operation operation;
    uint32_t item; /* number of the item, or of the first one */
};

struct workload {
    const char *table;    /* of 3..255 characters that JSON does not escape; borrowed */
    uint32_t item_count;  /* a multiple of WORKLOAD_GROUP, at least WORKLOAD_BATCH */
    const char *iterator; /* GetRecords: of a shard, that JSON does not escape; borrowed */
    struct prng prng;
};

const char *workload_name(enum workload_operation operation);

/* What the X-Amz-Target field says: "DynamoDB_20120810.GetItem". */
const char *workload_target(enum workload_operation operation);

/* The operation of that name; WORKLOAD_OPERATION_COUNT when there is none. */
enum workload_operation workload_find(const char *name);

/* Append the body of one request, its item chosen evenly; `first` is the first item that a
 * BatchWriteItem writes, as many as are left up to WORKLOAD_BATCH. */
struct workload_request workload_append(struct workload *workload,
                                        enum workload_operation operation, uint32_t first,
                                        struct buffer *body);

/* Bounds of the length of a right answer's body. */
void workload_answer_bounds(enum workload_operation operation, size_t *min, size_t *max);

/* Is `body` the right answer, by its meaning?  Parses the whole; strings go to `arena`.  Of a
 * DescribeTable only that of a table that is ACTIVE is right. */
bool workload_answer_is_right(struct workload_request request, struct bytes body,
                              struct arena *arena);

#endif
