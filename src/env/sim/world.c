/* world.c - the clock, the queue of events, what the seed decides, the trace. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/checksum.h"
#include "env/sim/sim_private.h"

const char *sim_fault_text(enum sim_fault fault)
{
    static const char *const texts[] = {
#define SIM_FAULT_TEXT(name, text) text,
        SIM_FAULT_MAP(SIM_FAULT_TEXT)
#undef SIM_FAULT_TEXT
    };
    ASSERT(fault < SIM_FAULT_COUNT);
    return texts[fault];
}

struct sim_options sim_options_from_seed(uint64_t seed)
{
    struct prng prng;
    prng_init(&prng, seed ^ checksum64(BYTES("options"), 0));
    struct sim_options options = {.seed = seed};
    options.disk_ns = 5000u << prng_below(&prng, 5);
    options.link_ns = 10000u << prng_below(&prng, 6);
    options.read_workers = 1 + (uint32_t)prng_below(&prng, 8);
    options.link_window = 2048u << prng_below(&prng, 7);
    options.rates.stall_ns_max = UINT64_C(1000000) << prng_below(&prng, 11);
    return options;
}

void *sim_alloc(struct sim *sim, size_t bytes)
{
    void *at = heap_alloc_zero(&sim->heap, bytes);
    ASSERT(at != NULL);
    return at;
}

struct sim *sim_create(const struct sim_options *options)
{
    struct heap heap;
    heap_init(&heap, true);
    struct sim *sim = heap_alloc_zero(&heap, sizeof(*sim));
    ASSERT(sim != NULL);
    heap_init(&sim->heap, true); /* the world lies in its own heap */
    list_append_all(&sim->heap.blocks, &heap.blocks);
    sim->heap.bytes_used = heap.bytes_used;
    sim->options = *options;
    if (sim->options.disk_ns == 0)
        sim->options.disk_ns = 10000;
    if (sim->options.link_ns == 0)
        sim->options.link_ns = 50000;
    if (sim->options.read_workers == 0)
        sim->options.read_workers = SIM_READ_WORKERS;
    ASSERT(sim->options.read_workers <= SIM_WORKERS_MAX);
    if (sim->options.link_window == 0)
        sim->options.link_window = SIM_LINK_WINDOW;
    prng_init(&sim->choices, checksum64(BYTES("choices"), options->seed));
    prng_init(&sim->scenario, checksum64(BYTES("scenario"), options->seed));
    list_init(&sim->nodes);
    list_init(&sim->connections);
    list_init(&sim->stacks);
    switch_init_own(&sim->loop);
    sim->hash = options->seed;
    return sim;
}

uint64_t sim_now_ns(const struct sim *sim)
{
    return sim->now_ns;
}

uint64_t sim_trace_hash(const struct sim *sim)
{
    return sim->hash;
}

struct prng *sim_prng(struct sim *sim)
{
    return &sim->scenario;
}

/* One step of a multiply and fold hash; every bit of what went before stays in it. */
static uint64_t mix(uint64_t hash, uint64_t value)
{
    __extension__ typedef unsigned __int128 wide;
    wide product =
        (wide)(hash ^ value ^ UINT64_C(0x9e3779b97f4a7c15)) * (wide)UINT64_C(0xd6e8feb86659fd93);
    return (uint64_t)product ^ (uint64_t)(product >> 64) ^ (hash << 1 | hash >> 63);
}

void sim_fold(struct sim *sim, enum sim_trace_kind kind, uint64_t a, uint64_t b)
{
    sim->hash = mix(mix(mix(mix(sim->hash, sim->now_ns), (uint64_t)kind), a), b);
}

void sim_trace_fold(struct sim *sim, uint64_t value)
{
    sim_fold(sim, SIM_TRACE_SCENARIO, value, 0);
}

void sim_trace(struct sim *sim, const char *format, ...)
{
    if (sim->options.trace == NULL)
        return;
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    sim->options.trace(sim->options.trace_sink, sim->now_ns, line);
}

void sim_set_rates(struct sim *sim, const struct sim_rates *rates)
{
    sim->options.rates = *rates;
}

void sim_set_disk_bytes_max(struct sim *sim, uint64_t bytes)
{
    sim->options.disk_bytes_max = bytes;
}

uint64_t sim_fault_count(const struct sim *sim, enum sim_fault fault)
{
    return sim->faults[fault];
}

void sim_count_fault(struct sim *sim, enum sim_fault fault, const char *where)
{
    sim->faults[fault]++;
    sim_fold(sim, SIM_TRACE_FAULT, (uint64_t)fault, 0);
    sim_trace(sim, "fault: %s (%s)", sim_fault_text(fault), where);
}

bool sim_chance(struct sim *sim, uint32_t one_in)
{
    return one_in > 0 && prng_one_in(&sim->choices, one_in);
}

uint64_t sim_below(struct sim *sim, uint64_t bound)
{
    return prng_below(&sim->choices, bound);
}

uint64_t sim_duration(struct sim *sim, uint64_t mean_ns)
{
    uint64_t duration = mean_ns / 2 + sim_below(sim, mean_ns + 1);
    return prng_one_in(&sim->choices, 50) ? 10 * duration : duration;
}

/* ---- The queue: a binary heap; positions count from 1 ---- */

static bool before(const struct sim_event *a, const struct sim_event *b)
{
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->sequence < b->sequence;
}

static void place(struct sim *sim, size_t position, struct sim_event *event)
{
    sim->queue[position] = event;
    event->position = position;
}

static void sift_up(struct sim *sim, size_t position)
{
    struct sim_event *event = sim->queue[position];
    for (; position > 1 && before(event, sim->queue[position / 2]); position /= 2)
        place(sim, position, sim->queue[position / 2]);
    place(sim, position, event);
}

static void sift_down(struct sim *sim, size_t position)
{
    struct sim_event *event = sim->queue[position];
    for (;;) {
        size_t child = 2 * position;
        if (child > sim->queue_count)
            break;
        if (child < sim->queue_count && before(sim->queue[child + 1], sim->queue[child]))
            child++;
        if (!before(sim->queue[child], event))
            break;
        place(sim, position, sim->queue[child]);
        position = child;
    }
    place(sim, position, event);
}

static void queue_grow(struct sim *sim)
{
    size_t capacity = sim->queue_capacity > 0 ? 2 * sim->queue_capacity : 256;
    struct sim_event **queue = sim_alloc(sim, (capacity + 1) * sizeof(struct sim_event *));
    if (sim->queue != NULL) {
        memcpy(queue, sim->queue, (sim->queue_count + 1) * sizeof(struct sim_event *));
        heap_free(&sim->heap, sim->queue, (sim->queue_capacity + 1) * sizeof(struct sim_event *));
    }
    sim->queue = queue;
    sim->queue_capacity = capacity;
}

void sim_schedule(struct sim *sim, struct sim_event *event, uint64_t delay_ns)
{
    sim_cancel(sim, event);
    event->due_ns = delay_ns > UINT64_MAX - sim->now_ns ? UINT64_MAX : sim->now_ns + delay_ns;
    event->sequence = ++sim->sequence;
    if (sim->queue_count == sim->queue_capacity)
        queue_grow(sim);
    place(sim, ++sim->queue_count, event);
    sift_up(sim, sim->queue_count);
}

void sim_cancel(struct sim *sim, struct sim_event *event)
{
    size_t position = event->position;
    if (position == 0)
        return;
    ASSERT(sim->queue[position] == event);
    event->position = 0;
    struct sim_event *last = sim->queue[sim->queue_count--];
    if (last == event)
        return;
    place(sim, position, last);
    sift_up(sim, position);
    sift_down(sim, last->position);
}

void sim_cancel_node(struct sim *sim, const struct sim_node *node)
{
    size_t kept = 0;
    for (size_t i = 1; i <= sim->queue_count; i++) {
        struct sim_event *event = sim->queue[i];
        if (event->node == node)
            event->position = 0;
        else
            place(sim, ++kept, event);
    }
    sim->queue_count = kept;
    for (size_t i = kept / 2; i >= 1; i--)
        sift_down(sim, i);
}

bool sim_step(struct sim *sim)
{
    if (sim->queue_count == 0)
        return false;
    struct sim_event *event = sim->queue[1];
    sim_cancel(sim, event);
    ASSERT(event->due_ns >= sim->now_ns);
    sim->now_ns = event->due_ns;
    sim_fold(sim, SIM_TRACE_EVENT, event->sequence, 0);
    event->run(event);
    return true;
}

void sim_run_until(struct sim *sim, uint64_t time_ns)
{
    while (sim->queue_count > 0 && sim->queue[1]->due_ns <= time_ns)
        sim_step(sim);
    sim->now_ns = MAX(sim->now_ns, time_ns);
}

bool sim_run_while(struct sim *sim, const bool *done, uint64_t time_ns)
{
    while (!*done && sim->queue_count > 0 && sim->queue[1]->due_ns <= time_ns)
        sim_step(sim);
    return *done;
}
