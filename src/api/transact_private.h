/* transact_private.h - what TransactWriteItems, TransactGetItems and ExecuteTransaction share. */
#ifndef API_TRANSACT_PRIVATE_H
#define API_TRANSACT_PRIVATE_H

#include "api/api_private.h"

/* What a transaction consumed, by table, each once, in the order of the request. */
struct transact_tables {
    struct consumed consumed[TXN_ITEMS_MAX];
    uint32_t count;
};

/* Add what writing (or checking) item `i` of the request consumed; `shown` is its table as the
 * request names it. */
void transact_consume_write(struct api_call *call, struct transact_tables *tables,
                            struct bytes shown, const struct write_request *request,
                            const struct transact_result *result, uint32_t i);

/* Add what reading an item consumed. */
void transact_consume_read(struct api_call *call, struct transact_tables *tables,
                           struct bytes shown, const struct get_request *request,
                           const struct get_result *result);

/* "ConsumedCapacity": [...], when it was asked for. */
void transact_write_capacities(struct api_call *call, uint8_t asked,
                               const struct transact_tables *tables);

#endif
