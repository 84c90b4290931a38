#include "sim/workload/items.h"

#include "base/assert.h"
#include "sim/workload/items_private.h"
#include "sim/workload/items_stream.h"

#define PATIENCE_NS UINT64_C(20000000) /* of a client that goes away in the midst of a request */

/* ---- Phases ---- */

static void wake_after(struct items_actor *actor, uint64_t mean_ns)
{
    struct sim *sim = actor->items->sim;
    sim_schedule(sim, &actor->wake, prng_below(sim_prng(sim), 2 * mean_ns + 1));
}

static bool all_idle(const struct items *items)
{
    for (uint32_t i = 0; i < items->options.actors; i++)
        if (items->actors[i].http.busy)
            return false;
    return true;
}

/* A global index is looked at when all is known that it is to show, and again until it does. */
static void final_global(struct items_actor *actor, uint32_t table)
{
    struct items *items = actor->items;
    const struct items_options *o = &items->options;
    if (items->final_gets < o->tables * keys_of_table(o)) {
        actor->again = true;
        wake_after(actor, 1000000);
        return;
    }
    actor->table = table;
    if (actor->missing)
        ask_update_table(actor, true);
    else
        ask_global_scan(actor, table);
}

static void final_step(struct items_actor *actor)
{
    struct items *items = actor->items;
    const struct items_options *o = &items->options;
    if (!actor->again && items->final_next >= final_steps(o))
        return;
    if (!actor->again)
        actor->final_step = items->final_next++;
    actor->again = false;
    uint32_t keys = o->tables * keys_of_table(o);
    if (actor->final_step >= final_steps(o) - (o->global_indexes ? o->tables : 0)) {
        final_global(actor, final_steps(o) - 1 - actor->final_step);
        return;
    }
    if (actor->final_step >= keys) {
        uint32_t scan = actor->final_step - keys, table = 0;
        while (!has_indexes(table) || scan >= 2) {
            scan -= has_indexes(table) ? 2 : 0;
            table++;
        }
        ask_final_scan(actor, table, 1 + scan);
        return;
    }
    actor->key = actor->final_step;
    actor->table = actor->key / keys_of_table(o);
    ask_get(actor, true);
}

static void on_wake(struct sim_event *event)
{
    struct items_actor *actor = CONTAINER_OF(event, struct items_actor, wake);
    struct items *items = actor->items;
    ASSERT(!actor->http.busy);
    switch (items->phase) {
    case ITEMS_SETUP:
        actor->table = items->tables_ready;
        if (prng_one_in(sim_prng(items->sim), 2))
            ask_create_table(actor);
        else
            ask_describe_table(actor);
        break;
    case ITEMS_RUN:
        ask_something(actor);
        break;
    case ITEMS_STOP:
        items->phase_done = all_idle(items);
        break;
    case ITEMS_FINAL:
        final_step(actor);
        break;
    case ITEMS_FOLLOW:
    case ITEMS_DEPART:
        break;
    }
}

/* ---- Answers ---- */

static void on_answer(struct http_client *http, const struct http_answer *answer)
{
    struct items_actor *actor = CONTAINER_OF(http, struct items_actor, http);
    struct items *items = actor->items;
    uint64_t pause_ns = items->options.think_ns;
    sim_trace_fold(items->sim, ((uint64_t)answer->outcome << 32) | answer->status);
    sim_trace(items->sim, "client %u: request %d on key %u: %u %.*s", actor->number,
              (int)actor->kind, actor->key, answer->status,
              (int)MIN(answer->body.count, (size_t)120), (const char *)answer->body.at);
    if (answer->outcome == HTTP_ANSWERED) {
        actor->losses = 0;
        if (take_answer(actor, answer))
            return;
    } else {
        if (answer->outcome == HTTP_BROKEN)
            history_violation(&items->history, "a broken answer: %s", answer->text);
        take_loss(actor);
        pause_ns += UINT64_C(10000000) << MIN(actor->losses++, 3u);
    }
    if (items->phase == ITEMS_SETUP || (items->phase == ITEMS_FINAL && actor->again))
        pause_ns += 2000000;
    wake_after(actor, pause_ns);
}

/* ---- The whole ---- */

struct items_options items_options_from_seed(struct prng *prng, uint16_t port)
{
    struct items_options options = {
        .port = port,
        .tables = 1 + (uint32_t)prng_below(prng, 3),
        .partition_keys = 1 + (uint32_t)prng_below(prng, 6),
        .sort_keys = 4 + (uint32_t)prng_below(prng, 6),
        .actors = 1 + (uint32_t)prng_below(prng, 12),
        .think_ns = UINT64_C(1000) << prng_below(prng, 13),
        .timeout_ns = UINT64_C(500000000) << prng_below(prng, 6),
        .pad_bytes = 4u << prng_below(prng, 9),
        .mood_requests = 50 + (uint32_t)prng_below(prng, 300),
    };
    options.streams = prng_one_in(prng, 2);
    if (prng_one_in(prng, 4)) { /* more than a small cache holds */
        options.sort_keys = 20 + (uint32_t)prng_below(prng, 40);
        options.pad_bytes = 1024u << prng_below(prng, 4);
    }
    if (prng_one_in(prng, 12)) { /* high trees: long keys fill their inner pages */
        options.tables = 2;
        options.partition_keys = 1 + (uint32_t)prng_below(prng, 2);
        options.sort_keys = 200 + (uint32_t)prng_below(prng, 300);
        options.pad_bytes = 64;
        options.actors = MAX(options.actors, 4u);
    }
    return options;
}

void items_init(struct items *items, struct sim *sim, struct heap *heap, struct sim_node *node,
                const struct items_options *options)
{
    *items = (struct items){.sim = sim, .heap = heap, .node = node, .options = *options};
    uint32_t keys = options->tables * keys_of_table(options);
    history_init(&items->history, heap, keys);
    items->final = heap_alloc_zero(heap, keys * sizeof(*items->final));
    ASSERT(items->final != NULL);
    items->actors = heap_alloc_zero(heap, options->actors * sizeof(struct items_actor));
    ASSERT(items->actors != NULL);
    for (uint32_t i = 0; i < options->actors; i++) {
        struct items_actor *actor = &items->actors[i];
        actor->items = items;
        actor->number = i;
        actor->wake.run = on_wake;
        actor->seen = heap_alloc_zero(heap, keys);
        ASSERT(actor->seen != NULL);
        buffer_init(&actor->resume, heap, BODY_BYTES_MAX);
        http_client_init(&actor->http, sim, heap, node, options->port, options->timeout_ns,
                         on_answer);
        actor->http.patience_ns = PATIENCE_NS;
    }
}

void items_release(struct items *items)
{
    items_stream_end(items->stream);
    for (uint32_t i = 0; i < items->options.actors; i++) {
        struct items_actor *actor = &items->actors[i];
        sim_cancel(items->sim, &actor->wake);
        http_client_close(&actor->http);
        heap_free(items->heap, actor->seen, items->options.tables * keys_of_table(&items->options));
        buffer_release(&actor->resume);
    }
    heap_free(items->heap, items->actors, items->options.actors * sizeof(struct items_actor));
    heap_free(items->heap, items->final,
              items->options.tables * keys_of_table(&items->options) * sizeof(*items->final));
    history_release(&items->history);
}

void items_begin(struct items *items, enum items_phase phase)
{
    items->phase = phase;
    items->phase_done = false;
    items_stream_end(items->stream);
    items->stream = NULL;
    if (phase == ITEMS_FINAL)
        items->final_ns = sim_now_ns(items->sim);
    if (phase == ITEMS_FOLLOW || phase == ITEMS_DEPART) {
        items->phase_done = !items->options.streams;
        items->stream = items->options.streams ? items_stream_begin(items) : NULL;
        return;
    }
    items->final_next = items->final_done = items->final_gets = 0;
    for (uint32_t i = 0; i < items->options.actors; i++) {
        struct items_actor *actor = &items->actors[i];
        actor->again = actor->missing = false;
        if (!actor->http.busy && (phase != ITEMS_SETUP || i == 0))
            wake_after(actor, 1000);
    }
}

void items_crashed(struct items *items)
{
    history_settle(&items->history, sim_now_ns(items->sim));
}
