/* transact.h - clients that write and read several items at once over HTTP, and keep their history.
 *
 * Items are lists of tokens (check/serial.h), in a few tables; some are deleted now and then.  Each
 * actor does one request after the other: TransactWriteItems of puts, deletes and checks with and
 * without conditions, TransactGetItems, and single writes and reads among them.  Half of the
 * transactions have a ClientRequestToken, and are asked again with it when no answer came.
 */
#ifndef SIM_WORKLOAD_TRANSACT_H
#define SIM_WORKLOAD_TRANSACT_H

#include "env/sim/sim_env.h"
#include "sim/check/serial.h"
#include "sim/workload/http_client.h"
#include "sim/workload/items.h"

struct transact_actor;

struct transact {
    struct sim *sim;
    struct heap *heap;
    struct serial serial;
    enum items_phase phase;
    bool phase_done;
    uint64_t requests; /* answered */
    uint64_t think_ns;
    uint32_t tables, keys, actor_count;
    struct transact_actor *actors;
    uint64_t last[SERIAL_KEYS_MAX]; /* the last token that a client saw of an item */
    uint32_t tables_ready;
    uint32_t final_next, final_done;
};

void transact_init(struct transact *t, struct sim *sim, struct heap *heap, struct sim_node *node,
                   uint16_t port);
void transact_release(struct transact *t);

/* Begin `phase`; the actors go on by themselves.  phase_done is set when it is over. */
void transact_begin(struct transact *t, enum items_phase phase);

#endif
