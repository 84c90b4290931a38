/* uv_timers.c - timers to the nanosecond, in order: a pairing heap through the timers themselves.
 *
 * libuv's own timers count milliseconds and are closed by a callback; one of them wakes the loop
 * for the first of ours.  Source: Fredman, Sedgewick, Sleator, Tarjan, "The pairing heap", 1986.
 */
#include "env/uv/uv_env_private.h"

/* What `binding` of a timer holds. */
struct timer_node {
    struct env_timer *child;  /* the first of its children */
    struct env_timer *next;   /* the next child of the same parent */
    struct env_timer **place; /* the pointer that leads here; NULL = the timer does not run */
    uint64_t sequence;        /* of the start; breaks ties */
};

_Static_assert(sizeof(struct timer_node) <= sizeof(((struct env_timer *)0)->binding), "it fits");

static struct timer_node *node_of(struct env_timer *timer)
{
    return (struct timer_node *)(void *)timer->binding;
}

static bool before(struct env_timer *a, struct env_timer *b)
{
    if (a->due_ns != b->due_ns)
        return a->due_ns < b->due_ns;
    return node_of(a)->sequence < node_of(b)->sequence;
}

static void put(struct env_timer **place, struct env_timer *timer)
{
    *place = timer;
    if (timer != NULL)
        node_of(timer)->place = place;
}

/* Both are roots; either may be NULL. */
static struct env_timer *merge(struct env_timer *a, struct env_timer *b)
{
    if (a == NULL || b == NULL)
        return a != NULL ? a : b;
    if (before(b, a)) {
        struct env_timer *swap = a;
        a = b;
        b = swap;
    }
    put(&node_of(b)->next, node_of(a)->child);
    put(&node_of(a)->child, b);
    return a;
}

/* Pair the siblings from the left, then merge the pairs from the right. */
static struct env_timer *merge_siblings(struct env_timer *first)
{
    struct env_timer *pairs = NULL; /* the last pair first */
    while (first != NULL) {
        struct env_timer *a = first, *b = node_of(a)->next;
        first = b != NULL ? node_of(b)->next : NULL;
        node_of(a)->next = NULL;
        if (b != NULL)
            node_of(b)->next = NULL;
        struct env_timer *pair = merge(a, b);
        node_of(pair)->next = pairs;
        pairs = pair;
    }
    struct env_timer *root = NULL;
    while (pairs != NULL) {
        struct env_timer *pair = pairs;
        pairs = node_of(pair)->next;
        node_of(pair)->next = NULL;
        root = merge(root, pair);
    }
    return root;
}

void env_uv_timer_stop(struct env *env, struct env_timer *timer)
{
    struct env_uv *uv = env_uv_of(env);
    struct timer_node *node = node_of(timer);
    if (node->place == NULL)
        return;
    put(node->place, node->next);
    struct env_timer *orphans = merge_siblings(node->child);
    *node = (struct timer_node){0};
    put(&uv->timers, merge(uv->timers, orphans));
}

void env_uv_timer_start(struct env *env, struct env_timer *timer, uint64_t delay_ns)
{
    struct env_uv *uv = env_uv_of(env);
    env_uv_timer_stop(env, timer);
    uint64_t now_ns = env_uv_now_ns(env);
    timer->due_ns = delay_ns < UINT64_MAX - now_ns ? now_ns + delay_ns : UINT64_MAX;
    node_of(timer)->sequence = ++uv->timer_sequence;
    put(&uv->timers, merge(uv->timers, timer));
}

void env_uv_timers_fire(struct env_uv *uv, uint64_t now_ns)
{
    uint64_t last = uv->timer_sequence;
    while (uv->timers != NULL && uv->timers->due_ns <= now_ns &&
           node_of(uv->timers)->sequence <= last) {
        struct env_timer *timer = uv->timers;
        env_uv_timer_stop(&uv->env, timer);
        timer->fire(timer);
    }
}
