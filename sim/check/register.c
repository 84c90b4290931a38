#include "sim/check/register.h"

#include <string.h>

#include "base/assert.h"
#include "base/prng.h"

#define STEPS_MAX 4000000u
#define NOBODY    SIZE_MAX
#define NOT_KNOWN UINT64_MAX

struct search {
    const struct register_op *ops;
    size_t count;
    bool *done;    /* linearized */
    size_t *seen;  /* of each operation: who wrote the token that it saw; NOBODY */
    size_t *seers; /* of each operation: certain ones not done that saw its token */
    bool *bare;    /* of each operation: of unknown outcome, and nobody who is sure saw its token */
    bool *asked;   /* of each operation: the condition of another is its token */
    bool *wanted;  /* of each bare operation: another that may matter has its token as condition */
    uint64_t *counts; /* of each operation: the count that it left, as somebody told; NOT_KNOWN */
    uint64_t *names;  /* random, one per operation: a set is the exclusive or of its names */
    uint64_t *memory; /* seen (set, state) pairs; open addressing, 0 = empty */
    size_t memory_count, memory_capacity;
    struct heap *heap;
    size_t certain_left;   /* operations that must still be linearized */
    size_t first;          /* all before it are done, or can no longer be */
    uint64_t begin_ns_max; /* the latest invocation among those done */
    uint64_t steps;
    size_t reached_max; /* most operations that any order had done */
    size_t stuck;
    size_t done_count;
};

/* The register where the search stands. */
struct place {
    struct register_state state;
    size_t writer; /* of its token; NOBODY when absent */
};

bool register_condition_holds(const struct register_op *op, struct register_state state)
{
    switch (op->condition) {
    case REGISTER_ABSENT:
        return state.token == 0;
    case REGISTER_EQUALS:
        return state.token == op->expected;
    default:
        return true;
    }
}

/* Whether operation `i` may stand at *place; changes it accordingly. */
static bool apply(const struct search *s, size_t i, struct place *place)
{
    const struct register_op *op = &s->ops[i];
    struct register_state state = place->state;
    if (op->observed && (op->before.token != state.token || op->before.count != state.count))
        return false;
    if (op->effect == REGISTER_READ)
        return true;
    if (!register_condition_holds(op, state))
        return false;
    /* A token is written once: whoever saw it must come before it goes. */
    size_t writer = place->writer;
    bool sees = op->observed && !op->maybe && s->seen[i] != NOBODY;
    if (writer != NOBODY && s->seers[writer] > (sees ? 1 : 0))
        return false;
    /* What overwrites without looking makes a write that need not stand anywhere pointless; but an
     * update's count may tell of it. */
    bool asks = op->condition == REGISTER_EQUALS;
    if (writer != NOBODY && s->bare[writer] && op->effect != REGISTER_UPDATE && !asks)
        return false;
    if (op->effect == REGISTER_DELETE) {
        /* Where there is no item, a delete that need not stand anywhere need not stand here. */
        if (op->maybe && state.token == 0)
            return false;
        *place = (struct place){.writer = NOBODY};
        return true;
    }
    uint64_t count = op->effect == REGISTER_UPDATE ? state.count + 1 : 0;
    if (s->counts[i] != NOT_KNOWN && s->counts[i] != count)
        return false;
    *place = (struct place){.writer = i, .state = {.token = op->token, .count = count}};
    return true;
}

static void memory_put(uint64_t *memory, size_t capacity, uint64_t key)
{
    size_t at = key & (capacity - 1);
    while (memory[at] != 0)
        at = (at + 1) & (capacity - 1);
    memory[at] = key;
}

/* Remember (set, state); false when it was seen before. */
static bool remember(struct search *s, uint64_t set, struct register_state state)
{
    struct prng mixed;
    prng_init(&mixed, set ^ state.token * UINT64_C(0x9e3779b97f4a7c15) ^ state.count << 48);
    uint64_t key = prng_u64(&mixed) | 1;
    size_t at = key & (s->memory_capacity - 1);
    for (; s->memory[at] != 0; at = (at + 1) & (s->memory_capacity - 1))
        if (s->memory[at] == key)
            return false;
    if (2 * (s->memory_count + 1) > s->memory_capacity) {
        size_t capacity = 2 * s->memory_capacity;
        uint64_t *memory = heap_alloc_zero(s->heap, capacity * sizeof(*memory));
        ASSERT(memory != NULL);
        for (size_t i = 0; i < s->memory_capacity; i++)
            if (s->memory[i] != 0)
                memory_put(memory, capacity, s->memory[i]);
        heap_free(s->heap, s->memory, s->memory_capacity * sizeof(*memory));
        s->memory = memory;
        s->memory_capacity = capacity;
    }
    memory_put(s->memory, s->memory_capacity, key);
    s->memory_count++;
    return true;
}

/* What a step changed, to take it back. */
struct undo {
    size_t op, first;
    uint64_t begin_ns_max;
};

/* An operation of unknown outcome that can stand nowhere any more. */
static bool is_past(const struct search *s, size_t i)
{
    return s->ops[i].maybe && s->ops[i].end_ns < s->begin_ns_max;
}

static struct undo do_op(struct search *s, size_t i)
{
    struct undo undo = {.op = i, .first = s->first, .begin_ns_max = s->begin_ns_max};
    s->done[i] = true;
    s->done_count++;
    s->certain_left -= !s->ops[i].maybe;
    if (!s->ops[i].maybe && s->seen[i] != NOBODY)
        s->seers[s->seen[i]]--;
    s->begin_ns_max = MAX(s->begin_ns_max, s->ops[i].begin_ns);
    while (s->first < s->count && (s->done[s->first] || is_past(s, s->first)))
        s->first++;
    return undo;
}

static void undo_op(struct search *s, const struct undo *undo)
{
    s->done[undo->op] = false;
    s->done_count--;
    s->certain_left += !s->ops[undo->op].maybe;
    if (!s->ops[undo->op].maybe && s->seen[undo->op] != NOBODY)
        s->seers[s->seen[undo->op]]++;
    s->begin_ns_max = undo->begin_ns_max;
    s->first = undo->first;
}

/* The earliest end among certain operations that are not done: what begins after it comes later. */
static uint64_t earliest_end(const struct search *s, size_t *which)
{
    uint64_t end_ns = UINT64_MAX;
    for (size_t i = s->first; i < s->count && s->ops[i].begin_ns <= end_ns; i++) {
        if (!s->done[i] && !s->ops[i].maybe && s->ops[i].end_ns < end_ns) {
            end_ns = s->ops[i].end_ns;
            *which = i;
        }
    }
    return end_ns;
}

/* The name of the set of operations that are not done and can still be.  All that begin after
 * `end_ns` are in it. */
static uint64_t what_is_left(const struct search *s, uint64_t end_ns)
{
    uint64_t set = 0;
    size_t i = s->first;
    for (; i < s->count && s->ops[i].begin_ns <= end_ns; i++)
        if (!s->done[i] && !is_past(s, i))
            set ^= s->names[i];
    return set ^ (uint64_t)i * UINT64_C(0xd6e8feb86659fd93);
}

/* It need not stand anywhere, and nobody can tell it from another of its kind. */
static bool is_of_a_kind(const struct search *s, size_t i)
{
    const struct register_op *op = &s->ops[i];
    return op->maybe && !op->observed &&
           (op->effect == REGISTER_DELETE || (s->bare[i] && !s->asked[i]));
}

static bool are_alike(const struct register_op *a, const struct register_op *b)
{
    return a->effect == b->effect && a->condition == b->condition && a->expected == b->expected;
}

/* Of those that are alike, the one that must come soonest stands first. */
static bool may_stand_next(const struct search *s, size_t i, uint64_t end_ns)
{
    const struct register_op *op = &s->ops[i];
    if (s->done[i] || is_past(s, i))
        return false;
    if (!is_of_a_kind(s, i))
        return true;
    for (size_t k = s->first; k < s->count && s->ops[k].begin_ns <= end_ns; k++) {
        const struct register_op *other = &s->ops[k];
        if (k != i && !s->done[k] && is_of_a_kind(s, k) && are_alike(op, other) &&
            other->end_ns >= s->begin_ns_max && other->begin_ns <= s->begin_ns_max &&
            (other->end_ns < op->end_ns || (other->end_ns == op->end_ns && k < i)))
            return false;
    }
    return true;
}

/* An update that did not look, and whose count may tell what stood before it. */
static bool an_update_waits(const struct search *s, uint64_t end_ns)
{
    for (size_t i = s->first; i < s->count && s->ops[i].begin_ns <= end_ns; i++)
        if (!s->done[i] && !is_past(s, i) && s->ops[i].effect == REGISTER_UPDATE &&
            !s->ops[i].observed && !s->bare[i])
            return true;
    return false;
}

static bool search(struct search *s, struct place place);

static bool try_op(struct search *s, size_t i, struct place place)
{
    if (!apply(s, i, &place))
        return false;
    struct undo undo = do_op(s, i);
    if (search(s, place))
        return true;
    undo_op(s, &undo);
    return false;
}

/* A read that agrees may stand here in any order that goes on from here: it changes nothing for the
 * others, unless an operation of unknown outcome would come too late behind it.  NOBODY: none. */
static size_t free_read(const struct search *s, struct place place, uint64_t end_ns)
{
    uint64_t begin_ns_max = UINT64_MAX;
    for (size_t i = s->first; i < s->count && s->ops[i].begin_ns <= end_ns; i++)
        if (!s->done[i] && s->ops[i].maybe && !is_past(s, i))
            begin_ns_max = MIN(begin_ns_max, s->ops[i].end_ns);
    for (size_t i = s->first; i < s->count && s->ops[i].begin_ns <= end_ns; i++)
        if (s->ops[i].effect == REGISTER_READ && s->ops[i].begin_ns <= begin_ns_max &&
            may_stand_next(s, i, end_ns) && apply(s, i, &place))
            return i;
    return NOBODY;
}

/* Whether what is not done can follow in some order. */
static bool search(struct search *s, struct place place)
{
    if (s->certain_left == 0)
        return true;
    size_t waits_longest = s->first;
    uint64_t end_ns = earliest_end(s, &waits_longest);
    if (s->steps++ >= STEPS_MAX || !remember(s, what_is_left(s, end_ns), place.state))
        return false;
    if (s->done_count >= s->reached_max) {
        s->reached_max = s->done_count;
        s->stuck = waits_longest;
    }
    size_t read = free_read(s, place, end_ns);
    if (read != NOBODY)
        return try_op(s, read, place);
    bool counts = an_update_waits(s, end_ns);
    for (int maybe = 0; maybe < 2; maybe++)
        for (size_t i = s->first; i < s->count && s->ops[i].begin_ns <= end_ns; i++) {
            bool pointless = s->bare[i] && !s->wanted[i] && !counts;
            if (s->ops[i].maybe == (maybe == 1) && !pointless && may_stand_next(s, i, end_ns) &&
                try_op(s, i, place))
                return true;
        }
    return false;
}

static size_t writer_of(const struct search *s, const size_t *table, size_t capacity,
                        uint64_t token)
{
    size_t at = (size_t)token & (capacity - 1);
    while (table[at] != 0 && s->ops[table[at] - 1].token != token)
        at = (at + 1) & (capacity - 1);
    return table[at] != 0 ? table[at] - 1 : NOBODY;
}

/* What is told of the count that a writer left; false: two tell otherwise. */
static bool learn_count(struct search *s, size_t writer, uint64_t count)
{
    bool agrees = s->counts[writer] == NOT_KNOWN || s->counts[writer] == count;
    s->counts[writer] = count;
    return agrees;
}

/* Who asks for whose token. */
static void note_conditions(struct search *s, const size_t *table, size_t capacity)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct register_op *op = &s->ops[i];
        if (op->condition != REGISTER_EQUALS || op->effect == REGISTER_READ)
            continue;
        size_t writer = writer_of(s, table, capacity, op->expected);
        if (writer == NOBODY)
            continue;
        s->asked[writer] = true;
        s->bare[writer] = s->bare[writer] && op->maybe;
    }
    for (bool changed = true; changed;) {
        changed = false;
        for (size_t i = s->count; i-- > 0;) {
            const struct register_op *op = &s->ops[i];
            if (op->condition != REGISTER_EQUALS || op->effect == REGISTER_READ ||
                !(op->effect == REGISTER_DELETE || !s->bare[i] || s->wanted[i]))
                continue;
            size_t writer = writer_of(s, table, capacity, op->expected);
            if (writer == NOBODY || s->wanted[writer])
                continue;
            changed = s->wanted[writer] = true;
        }
    }
}

/* Find who wrote what each operation saw.  false: somebody saw what nobody wrote. */
static bool find_writers(struct search *s, size_t *stuck)
{
    size_t capacity = 16;
    while (capacity < 2 * s->count)
        capacity *= 2;
    size_t *table = heap_alloc_zero(s->heap, capacity * sizeof(*table)); /* index + 1 */
    ASSERT(table != NULL);
    for (size_t i = 0; i < s->count; i++) {
        s->seen[i] = NOBODY;
        if (s->ops[i].effect != REGISTER_PUT && s->ops[i].effect != REGISTER_UPDATE)
            continue;
        size_t at = (size_t)s->ops[i].token & (capacity - 1);
        while (table[at] != 0)
            at = (at + 1) & (capacity - 1);
        table[at] = i + 1;
    }
    for (size_t i = 0; i < s->count; i++) {
        s->bare[i] = s->ops[i].maybe && s->ops[i].effect != REGISTER_DELETE;
        s->counts[i] = s->ops[i].counted ? s->ops[i].count_after : NOT_KNOWN;
    }
    bool found = true;
    for (size_t i = 0; i < s->count && found; i++) {
        uint64_t token = s->ops[i].before.token;
        if (!s->ops[i].observed || s->ops[i].maybe || token == 0)
            continue;
        size_t writer = writer_of(s, table, capacity, token);
        found = writer != NOBODY && learn_count(s, writer, s->ops[i].before.count);
        if (found) {
            s->seen[i] = writer;
            s->seers[writer]++;
            s->bare[writer] = false;
        } else {
            *stuck = i;
        }
    }
    note_conditions(s, table, capacity);
    heap_free(s->heap, table, capacity * sizeof(*table));
    return found;
}

static void *alloc(struct heap *heap, size_t count, size_t bytes)
{
    void *at = heap_alloc_zero(heap, count * bytes);
    ASSERT(at != NULL);
    return at;
}

enum register_verdict register_check(struct heap *heap, const struct register_op *ops, size_t count,
                                     size_t *stuck)
{
    ASSERT(count <= REGISTER_OPS_MAX);
    if (count == 0)
        return REGISTER_LINEARIZABLE;
    struct search s = {.ops = ops, .count = count, .heap = heap, .memory_capacity = 1024};
    s.done = alloc(heap, count, sizeof(*s.done));
    s.seen = alloc(heap, count, sizeof(*s.seen));
    s.seers = alloc(heap, count, sizeof(*s.seers));
    s.bare = alloc(heap, count, sizeof(*s.bare));
    s.asked = alloc(heap, count, sizeof(*s.asked));
    s.wanted = alloc(heap, count, sizeof(*s.wanted));
    s.counts = alloc(heap, count, sizeof(*s.counts));
    s.names = alloc(heap, count, sizeof(*s.names));
    s.memory = alloc(heap, s.memory_capacity, sizeof(*s.memory));
    struct prng prng;
    prng_init(&prng, count);
    for (size_t i = 0; i < count; i++) {
        ASSERT(i == 0 || ops[i - 1].begin_ns <= ops[i].begin_ns);
        s.names[i] = prng_u64(&prng);
        s.certain_left += !ops[i].maybe;
    }
    bool found = find_writers(&s, &s.stuck) && search(&s, (struct place){.writer = NOBODY});
    heap_free(heap, s.done, count * sizeof(*s.done));
    heap_free(heap, s.seen, count * sizeof(*s.seen));
    heap_free(heap, s.seers, count * sizeof(*s.seers));
    heap_free(heap, s.bare, count * sizeof(*s.bare));
    heap_free(heap, s.asked, count * sizeof(*s.asked));
    heap_free(heap, s.wanted, count * sizeof(*s.wanted));
    heap_free(heap, s.counts, count * sizeof(*s.counts));
    heap_free(heap, s.names, count * sizeof(*s.names));
    heap_free(heap, s.memory, s.memory_capacity * sizeof(*s.memory));
    *stuck = s.stuck;
    if (found)
        return REGISTER_LINEARIZABLE;
    return s.steps >= STEPS_MAX ? REGISTER_UNDECIDED : REGISTER_VIOLATED;
}
