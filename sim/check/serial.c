#include "sim/check/serial.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

void serial_init(struct serial *serial, struct heap *heap, uint32_t key_count)
{
    ASSERT(key_count <= SERIAL_KEYS_MAX);
    *serial = (struct serial){.heap = heap, .key_count = key_count};
}

/* Twice the room, or some. */
static void *grow(struct heap *heap, void *at, size_t count, size_t *capacity, size_t bytes)
{
    if (count < *capacity)
        return at;
    size_t more = *capacity == 0 ? 16 : *capacity * 2;
    void *to = heap_alloc_zero(heap, more * bytes);
    ASSERT(to != NULL);
    if (count > 0)
        memcpy(to, at, count * bytes);
    heap_free(heap, at, *capacity * bytes);
    *capacity = more;
    return to;
}

void serial_release(struct serial *serial)
{
    struct heap *heap = serial->heap;
    for (size_t i = 0; i < serial->list_count; i++)
        heap_free(heap, serial->lists[i].tokens, serial->lists[i].capacity * sizeof(uint64_t));
    heap_free(heap, serial->lists, serial->list_capacity * sizeof(*serial->lists));
    heap_free(heap, serial->ops, serial->capacity * sizeof(*serial->ops));
}

void serial_violation(struct serial *serial, const char *format, ...)
{
    if (serial->violation[0] != '\0')
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(serial->violation, sizeof(serial->violation), format, arguments);
    va_end(arguments);
}

/* ---- Operations ---- */

uint64_t serial_begin(struct serial *serial, const struct serial_op *op, uint64_t now_ns)
{
    serial->ops = grow(serial->heap, serial->ops, serial->count, &serial->capacity, sizeof(*op));
    struct serial_op *at = &serial->ops[serial->count++];
    *at = *op;
    at->begin_ns = now_ns;
    at->end_ns = UINT64_MAX;
    at->outcome = SERIAL_OPEN;
    at->witnessed = false;
    return serial->count;
}

static struct serial_op *op_of(const struct serial *serial, uint64_t token)
{
    return token > 0 && token <= serial->count ? &serial->ops[token - 1] : NULL;
}

void serial_end(struct serial *serial, uint64_t token, enum serial_outcome outcome, uint64_t now_ns)
{
    struct serial_op *op = op_of(serial, token);
    ASSERT(op != NULL && op->outcome == SERIAL_OPEN);
    op->outcome = outcome;
    if (outcome == SERIAL_DONE)
        op->end_ns = now_ns;
}

/* ---- What reads show ---- */

static struct serial_list *find_list(struct serial *serial, uint32_t key, uint64_t first)
{
    for (size_t i = 0; i < serial->list_count; i++) {
        if (serial->lists[i].key == key && serial->lists[i].tokens[0] == first)
            return &serial->lists[i];
    }
    serial->lists = grow(serial->heap, serial->lists, serial->list_count, &serial->list_capacity,
                         sizeof(*serial->lists));
    struct serial_list *list = &serial->lists[serial->list_count++];
    *list = (struct serial_list){.key = key};
    return list;
}

static bool wrote(const struct serial_op *op, uint32_t key)
{
    for (uint32_t i = 0; i < op->access_count; i++) {
        if (op->accesses[i].key == key && op->accesses[i].kind == SERIAL_APPEND)
            return true;
    }
    return false;
}

static void witness(struct serial *serial, uint32_t key, uint64_t token)
{
    struct serial_op *op = op_of(serial, token);
    if (op == NULL || !wrote(op, key))
        serial_violation(serial, "key %u shows %llu, which nobody wrote there", key,
                         (unsigned long long)token);
    else
        op->witnessed = true;
}

void serial_saw(struct serial *serial, uint64_t token, uint32_t index, const uint64_t *tokens,
                size_t count)
{
    struct serial_access *access = &op_of(serial, token)->accesses[index];
    access->seen = count == 0 ? 0 : tokens[count - 1];
    if (count == 0)
        return;
    struct serial_list *list = find_list(serial, access->key, tokens[0]);
    for (size_t i = 0; i < count; i++) {
        if (i < list->count) {
            if (list->tokens[i] != tokens[i]) {
                serial_violation(serial, "key %u shows %llu where another read saw %llu",
                                 access->key, (unsigned long long)tokens[i],
                                 (unsigned long long)list->tokens[i]);
                return;
            }
            continue;
        }
        list->tokens =
            grow(serial->heap, list->tokens, list->count, &list->capacity, sizeof(uint64_t));
        list->tokens[list->count++] = tokens[i];
        witness(serial, access->key, tokens[i]);
    }
}

/* ---- The graph: operations, then nodes for the moments at which something began or ended: one for
 * each, and for each item one more ---- */

#define NODES_OF_ONE (1u + 2u + SERIAL_ACCESSES_MAX + 1u) /* at most */

struct edge {
    uint32_t to;
    uint32_t next; /* + 1; 0: none */
};

struct graph {
    uint32_t *first; /* edge + 1 */
    uint32_t *in;    /* edges into it */
    uint32_t nodes;
    struct edge *edges;
    size_t count, capacity;
    struct heap *heap;
};

static void add_edge(struct graph *graph, uint32_t from, uint32_t to)
{
    if (from == to)
        return;
    graph->edges =
        grow(graph->heap, graph->edges, graph->count, &graph->capacity, sizeof(*graph->edges));
    graph->edges[graph->count++] = (struct edge){to, graph->first[from]};
    graph->first[from] = (uint32_t)graph->count;
    graph->in[to]++;
}

/* Did it take place? */
static bool happened(const struct serial_op *op)
{
    return op->outcome == SERIAL_DONE || op->witnessed;
}

/* Where a token stands in the lists of a key. */
static struct serial_list *place_of(const struct serial *serial, uint32_t key, uint64_t token,
                                    size_t *position)
{
    for (size_t l = 0; l < serial->list_count; l++) {
        struct serial_list *list = &serial->lists[l];
        for (size_t i = 0; list->key == key && i < list->count; i++) {
            if (list->tokens[i] != token)
                continue;
            *position = i;
            return list;
        }
    }
    return NULL;
}

static void add_next(struct graph *graph, const struct serial_list *list, size_t position,
                     uint32_t from)
{
    if (position + 1 < list->count)
        add_edge(graph, from, (uint32_t)list->tokens[position + 1] - 1);
    else if (list->deleted_by != 0)
        add_edge(graph, from, (uint32_t)list->deleted_by - 1);
}

/* It was on this state: behind the one that wrote it, before the one that wrote next. */
static void add_read(struct serial *serial, struct graph *graph, uint32_t node,
                     const struct serial_access *access)
{
    size_t position;
    if (access->seen == 0) {
        /* Absent: of an item that is never deleted, before its first write. */
        for (size_t l = 0; l < serial->list_count; l++) {
            const struct serial_list *list = &serial->lists[l];
            if (list->key == access->key && !serial->deletes[access->key])
                add_edge(graph, node, (uint32_t)list->tokens[0] - 1);
        }
        return;
    }
    const struct serial_list *list = place_of(serial, access->key, access->seen, &position);
    if (list == NULL)
        return; /* nobody ever read it: its list was deleted before */
    add_edge(graph, (uint32_t)access->seen - 1, node);
    add_next(graph, list, position, node);
}

static void note_deletes(struct serial *serial, const struct serial_op *op, uint64_t token)
{
    for (uint32_t i = 0; i < op->access_count; i++) {
        const struct serial_access *access = &op->accesses[i];
        size_t position;
        if (access->kind != SERIAL_DELETE || op->outcome != SERIAL_DONE)
            continue;
        struct serial_list *list = place_of(serial, access->key, access->seen, &position);
        if (list == NULL)
            continue;
        if (list->deleted_by != 0)
            serial_violation(serial, "key %u was deleted twice, by %llu and %llu", access->key,
                             (unsigned long long)list->deleted_by, (unsigned long long)token);
        if (position + 1 < list->count)
            serial_violation(serial, "key %u: %llu follows on %llu, on which %llu deleted it",
                             access->key, (unsigned long long)list->tokens[position + 1],
                             (unsigned long long)access->seen, (unsigned long long)token);
        list->deleted_by = token;
    }
}

static void add_accesses(struct serial *serial, struct graph *graph, uint32_t node)
{
    const struct serial_op *op = &serial->ops[node];
    for (uint32_t i = 0; i < op->access_count; i++) {
        const struct serial_access *access = &op->accesses[i];
        bool saw = access->kind == SERIAL_READ ||
                   (access->kind == SERIAL_DELETE && op->outcome == SERIAL_DONE) ||
                   (access->kind == SERIAL_APPEND && access->conditional);
        if (saw)
            add_read(serial, graph, node, access);
    }
}

static void add_lists(struct serial *serial, struct graph *graph)
{
    for (size_t l = 0; l < serial->list_count; l++) {
        const struct serial_list *list = &serial->lists[l];
        for (size_t i = 0; i < list->count; i++)
            add_next(graph, list, i, (uint32_t)list->tokens[i] - 1);
    }
}

struct moment {
    uint64_t at_ns;
    uint32_t op;
    bool is_end;
};

static int compare_moments(const void *a, const void *b)
{
    const struct moment *x = a, *y = b;
    if (x->at_ns != y->at_ns)
        return x->at_ns < y->at_ns ? -1 : 1;
    return x->is_end - y->is_end; /* at one moment begins come first: they overlap */
}

/* A chain of moments: an operation's end leads into it, and it leads to what begins later.
 * `first`: of the nodes for it; returns the next one. */
static uint32_t add_chain(struct graph *graph, struct moment *moments, size_t count, uint32_t first)
{
    qsort(moments, count, sizeof(*moments), compare_moments);
    for (size_t i = 0; i < count; i++) {
        uint32_t node = first + (uint32_t)i;
        if (i + 1 < count)
            add_edge(graph, node, node + 1);
        if (moments[i].is_end)
            add_edge(graph, moments[i].op, node);
        else
            add_edge(graph, node, moments[i].op);
    }
    return first + (uint32_t)count;
}

static bool accesses_key(const struct serial_op *op, uint32_t key)
{
    for (uint32_t i = 0; i < op->access_count; i++) {
        if (op->accesses[i].key == key)
            return true;
    }
    return false;
}

/* The ends of reads that are alone count among the operations on their item only. */
static void add_times(struct serial *serial, struct graph *graph, struct moment *moments)
{
    size_t count = 0;
    for (uint32_t i = 0; i < serial->count; i++) {
        const struct serial_op *op = &serial->ops[i];
        if (!happened(op))
            continue;
        moments[count++] = (struct moment){op->begin_ns, i, false};
        if (op->end_ns != UINT64_MAX && !op->alone)
            moments[count++] = (struct moment){op->end_ns, i, true};
    }
    uint32_t next = add_chain(graph, moments, count, (uint32_t)serial->count);
    for (uint32_t key = 0; key < serial->key_count; key++) {
        count = 0;
        for (uint32_t i = 0; i < serial->count; i++) {
            const struct serial_op *op = &serial->ops[i];
            if (!happened(op) || !accesses_key(op, key))
                continue;
            moments[count++] = (struct moment){op->begin_ns, i, false};
            if (op->end_ns != UINT64_MAX && op->alone)
                moments[count++] = (struct moment){op->end_ns, i, true};
        }
        next = add_chain(graph, moments, count, next);
    }
    ASSERT(next <= graph->nodes);
}

/* Take away what nothing comes before, until nothing is left, or only cycles and what is behind
 * them. */
static bool is_acyclic(const struct serial *serial, struct graph *graph, uint32_t *stack,
                       uint32_t *left)
{
    uint32_t depth = 0, taken = 0;
    for (uint32_t i = 0; i < graph->nodes; i++) {
        if (graph->in[i] == 0)
            stack[depth++] = i;
    }
    while (depth > 0) {
        uint32_t node = stack[--depth];
        taken++;
        for (uint32_t e = graph->first[node]; e != 0; e = graph->edges[e - 1].next) {
            if (--graph->in[graph->edges[e - 1].to] == 0)
                stack[depth++] = graph->edges[e - 1].to;
        }
    }
    *left = 0;
    for (uint32_t i = 0; i < serial->count && *left == 0; i++) {
        if (graph->in[i] > 0)
            *left = i + 1;
    }
    return taken == graph->nodes;
}

/* Of what is left each node has one before it that is left too: going back from any leads into a
 * cycle.  `before` is room for a number of each node. */
static void describe_cycle(struct serial *serial, const struct graph *graph, uint32_t *before,
                           uint32_t start)
{
    char text[400] = "";
    size_t used = 0;
    for (uint32_t node = 0; node < graph->nodes; node++) {
        for (uint32_t e = graph->first[node]; graph->in[node] > 0 && e != 0;
             e = graph->edges[e - 1].next)
            before[graph->edges[e - 1].to] = node;
    }
    uint32_t node = start - 1;
    for (uint32_t steps = 0; steps < graph->nodes; steps++)
        node = before[node];
    uint32_t first = node;
    do {
        if (node < serial->count && used + 24 < sizeof(text))
            used += (size_t)snprintf(text + used, sizeof(text) - used, " %u", node + 1);
        node = before[node];
    } while (node != first);
    serial_violation(serial, "no order explains the transactions: a cycle, last first:%s", text);
}

static void find_cycle(struct serial *serial)
{
    struct heap *heap = serial->heap;
    uint32_t nodes = (uint32_t)(serial->count * NODES_OF_ONE);
    struct graph graph = {.nodes = nodes, .heap = heap};
    size_t bytes = (nodes + (size_t)1) * sizeof(uint32_t);
    size_t moments_bytes = (serial->count * 2 + 1) * sizeof(struct moment);
    graph.first = heap_alloc_zero(heap, bytes);
    graph.in = heap_alloc_zero(heap, bytes);
    uint32_t *stack = heap_alloc_zero(heap, bytes);
    struct moment *moments = heap_alloc_zero(heap, moments_bytes);
    ASSERT(graph.first != NULL && graph.in != NULL && stack != NULL && moments != NULL);
    add_lists(serial, &graph);
    for (uint32_t i = 0; i < serial->count; i++) {
        if (happened(&serial->ops[i]))
            add_accesses(serial, &graph, i);
    }
    add_times(serial, &graph, moments);
    uint32_t left;
    if (!is_acyclic(serial, &graph, stack, &left))
        describe_cycle(serial, &graph, stack, left);
    heap_free(heap, graph.first, bytes);
    heap_free(heap, graph.in, bytes);
    heap_free(heap, stack, bytes);
    heap_free(heap, moments, moments_bytes);
    heap_free(heap, graph.edges, graph.capacity * sizeof(*graph.edges));
}

/* ---- The whole ---- */

static void check_op(struct serial *serial, const struct serial_op *op, uint64_t token)
{
    if (op->outcome == SERIAL_CANCELLED && op->witnessed)
        serial_violation(serial, "%llu was cancelled, and was seen", (unsigned long long)token);
    for (uint32_t i = 0; happened(op) && i < op->access_count; i++) {
        const struct serial_access *access = &op->accesses[i];
        size_t position;
        if (access->kind == SERIAL_APPEND && !serial->deletes[access->key] &&
            place_of(serial, access->key, token, &position) == NULL)
            serial_violation(serial, "%llu %s, but is not on key %u", (unsigned long long)token,
                             op->outcome == SERIAL_DONE ? "was acknowledged" : "was seen",
                             access->key);
    }
}

static void check_lists(struct serial *serial)
{
    for (size_t l = 0; l < serial->list_count; l++) {
        const struct serial_list *list = &serial->lists[l];
        for (size_t i = 0; i < list->count; i++) {
            size_t position;
            const struct serial_list *found =
                place_of(serial, list->key, list->tokens[i], &position);
            if (found != list || position != i)
                serial_violation(serial, "key %u has %llu twice", list->key,
                                 (unsigned long long)list->tokens[i]);
        }
    }
}

bool serial_check(struct serial *serial)
{
    check_lists(serial);
    for (uint64_t token = 1; token <= serial->count; token++)
        note_deletes(serial, &serial->ops[token - 1], token);
    for (uint64_t token = 1; token <= serial->count; token++)
        check_op(serial, &serial->ops[token - 1], token);
    if (serial->violation[0] == '\0')
        find_cycle(serial);
    return serial->violation[0] == '\0';
}
