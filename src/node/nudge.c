/* nudge.c - intents that stay are reported, so that somebody finishes their transactions. */
#include "node/node_private.h"

#define LOOK_NS  (TXN_STALE_NS / 4)  /* between two looks */
#define AGAIN_NS UINT64_C(100000000) /* after a look that told of more than was taken */

static void set_timer(struct node *node, uint64_t delay_ns)
{
    node->nudge_set = true;
    env_timer_start(node->env, &node->nudge_timer, delay_ns);
}

void node_set_nudger(struct node *node, const struct node_nudger *nudger)
{
    node->nudger = *nudger;
    if (nudger->nudge != NULL && node->stats.intents > 0)
        set_timer(node, 0); /* nobody waits for what was found at the start */
}

enum status replica_add_intent(struct replica *replica, struct bytes item,
                               const struct intent *intent, uint64_t nudge_ns)
{
    struct node *node = replica->node;
    uint32_t before = intents_count(&replica->intents);
    TRY(intents_add(&replica->intents, item, intent, nudge_ns));
    node->stats.intents += intents_count(&replica->intents) - before;
    if (!node->nudge_set)
        set_timer(node, LOOK_NS);
    return STATUS_OK;
}

void replica_take_back_intent(struct replica *replica, struct bytes item)
{
    intents_remove(&replica->intents, item);
    replica->node->stats.intents--;
}

void replica_forget_intents(struct replica *replica)
{
    struct node *node = replica->node;
    node->stats.intents -= intents_count(&replica->intents);
    intents_release(&replica->intents);
    intents_init(&replica->intents, node->env->heap, env_random_u64(node->env));
}

/* False: some were not taken.  Those that are may end in the call, with their held_intent. */
static bool nudge_replica(struct node *node, struct replica *replica, uint64_t now_ns)
{
    bool all = true;
    uint32_t position = 0;
    struct held_intent *held;
    while ((held = hash_map_next(&replica->intents.by_item, &position)) != NULL) {
        if (!held->is_read || held->nudge_ns > now_ns)
            continue;
        held->nudge_ns = now_ns + TXN_STALE_NS;
        if (node->nudger.nudge(node->nudger.owner, held->id, replica->table_id, held->item))
            continue;
        held->nudge_ns = now_ns;
        all = false;
    }
    return all;
}

static bool nudge_all(struct node *node)
{
    bool all = true;
    uint64_t now_ns = env_now_ns(node->env);
    uint32_t position = 0;
    struct replica *replica;
    while ((replica = hash_map_next(&node->replicas, &position)) != NULL) {
        if (intents_count(&replica->intents) > 0 && replica->state == REPLICA_SERVING &&
            !nudge_replica(node, replica, now_ns))
            all = false;
    }
    return all;
}

void nudge_timer_fire(struct env_timer *timer)
{
    struct node *node = CONTAINER_OF(timer, struct node, nudge_timer);
    node->nudge_set = false;
    if (node->stats.intents == 0 || node->closing)
        return;
    bool all = node->nudger.nudge == NULL || nudge_all(node);
    set_timer(node, all ? LOOK_NS : AGAIN_NS);
}

/* The row of one intent; it may have been applied away while the blob still listed it. */
static enum status read_row(struct context *ctx, struct replica *replica, struct held_intent *held)
{
    struct key key;
    struct bytes row;
    struct intent intent;
    TRY(intent_key(held->item, &key));
    enum status status = tree_get(ctx, replica->tree, key_bytes(&key), &row);
    if (status == STATUS_NOT_FOUND) {
        intents_forget(&replica->intents, held->item, UINT64_MAX);
        intents_remove(&replica->intents, held->item);
        replica->node->stats.intents--;
        return STATUS_OK;
    }
    TRY(status);
    TRY(intent_read(row, &intent));
    return replica_add_intent(replica, held->item, &intent, 0);
}

enum status replica_read_intents(struct context *ctx, struct replica *replica)
{
    uint32_t position = 0;
    struct held_intent *held;
    while ((held = hash_map_next(&replica->intents.by_item, &position)) != NULL) {
        if (!held->is_read)
            TRY(read_row(ctx, replica, held));
    }
    return STATUS_OK;
}
