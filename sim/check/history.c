#include "sim/check/history.h"

#include <stdarg.h>
#include <string.h>

#include "base/assert.h"

void history_init(struct history *history, struct heap *heap, uint32_t key_count)
{
    *history = (struct history){.heap = heap, .key_count = key_count};
}

void history_release(struct history *history)
{
    heap_free(history->heap, history->ops, history->capacity * sizeof(*history->ops));
    history->ops = NULL;
    history->count = history->capacity = 0;
}

uint64_t history_token(const struct history *history)
{
    return history->count + 1;
}

size_t history_begin(struct history *history, uint32_t client, uint32_t key, struct register_op op,
                     uint64_t now_ns)
{
    ASSERT(key < history->key_count);
    if (history->count == history->capacity) {
        size_t capacity = history->capacity > 0 ? 2 * history->capacity : 1024;
        struct history_op *ops = heap_alloc_zero(history->heap, capacity * sizeof(*ops));
        ASSERT(ops != NULL);
        if (history->count > 0)
            memcpy(ops, history->ops, history->count * sizeof(*ops));
        heap_free(history->heap, history->ops, history->capacity * sizeof(*ops));
        history->ops = ops;
        history->capacity = capacity;
    }
    op.begin_ns = now_ns;
    op.end_ns = UINT64_MAX;
    history->ops[history->count] =
        (struct history_op){.op = op, .key = key, .client = client, .open = true};
    return history->count++;
}

static struct history_op *end(struct history *history, size_t index, uint64_t now_ns)
{
    struct history_op *at = &history->ops[index];
    ASSERT(at->open);
    at->open = false;
    at->op.end_ns = now_ns;
    return at;
}

void history_done(struct history *history, size_t index, const struct register_state *before,
                  uint64_t now_ns)
{
    struct history_op *at = end(history, index, now_ns);
    at->op.observed = before != NULL;
    if (before != NULL)
        at->op.before = *before;
    if (before != NULL && !register_condition_holds(&at->op, *before))
        history_violation(history,
                          "key %u: an operation was done on token %llu although its condition does "
                          "not hold there",
                          at->key, (unsigned long long)before->token);
}

void history_refused(struct history *history, size_t index, const struct register_state *before,
                     uint64_t now_ns)
{
    struct history_op *at = end(history, index, now_ns);
    if (register_condition_holds(&at->op, *before))
        history_violation(history,
                          "key %u: an operation was refused on token %llu although its condition "
                          "holds there",
                          at->key, (unsigned long long)before->token);
    at->op.effect = REGISTER_READ;
    at->op.observed = true;
    at->op.before = *before;
}

void history_void(struct history *history, size_t index, uint64_t now_ns)
{
    end(history, index, now_ns)->void_op = true;
}

void history_unknown(struct history *history, size_t index)
{
    struct history_op *at = &history->ops[index];
    ASSERT(at->open);
    at->open = false;
    at->op.maybe = true;
    at->void_op = at->op.effect == REGISTER_READ;
}

void history_settle(struct history *history, uint64_t now_ns)
{
    for (size_t i = 0; i < history->count; i++) {
        struct history_op *at = &history->ops[i];
        if ((at->open || at->op.maybe) && at->op.end_ns == UINT64_MAX)
            at->op.end_ns = now_ns;
    }
}

void history_violation(struct history *history, const char *format, ...)
{
    if (history->violation[0] != '\0')
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(history->violation, sizeof(history->violation), format, arguments);
    va_end(arguments);
}

/* ---- Judgement ---- */

static size_t collect(const struct history *history, uint32_t key, struct register_op *ops)
{
    size_t count = 0;
    for (size_t i = 0; i < history->count; i++) {
        const struct history_op *at = &history->ops[i];
        if (at->key != key || at->void_op || at->weak)
            continue;
        ASSERT(count < REGISTER_OPS_MAX);
        ops[count] = at->op;
        ops[count].maybe = at->op.maybe || at->open;
        count++;
    }
    return count;
}

/* An eventually consistent read shows a state that somebody wrote before it ended. */
static void check_weak(struct history *history, const struct history_op *read)
{
    uint64_t token = read->op.before.token;
    if (token == 0)
        return;
    for (size_t i = 0; i < history->count; i++) {
        const struct history_op *at = &history->ops[i];
        bool writes = at->op.effect == REGISTER_PUT || at->op.effect == REGISTER_UPDATE;
        if (at->key == read->key && writes && at->op.token == token &&
            at->op.begin_ns <= read->op.end_ns)
            return;
    }
    history_violation(history, "key %u: a read shows token %llu, which nobody wrote there",
                      read->key, (unsigned long long)token);
}

bool history_check(struct history *history)
{
    size_t bytes = (history->count + 1) * sizeof(struct register_op);
    struct register_op *ops = heap_alloc_zero(history->heap, bytes);
    ASSERT(ops != NULL);
    for (uint32_t key = 0; key < history->key_count; key++) {
        size_t count = collect(history, key, ops);
        size_t stuck = 0;
        enum register_verdict verdict = register_check(history->heap, ops, count, &stuck);
        if (verdict == REGISTER_UNDECIDED)
            history->undecided++;
        if (verdict == REGISTER_VIOLATED)
            history_violation(history,
                              "key %u: no order of the operations explains the answers; the one "
                              "at %.6f s is not reached",
                              key, (double)ops[stuck].begin_ns / 1e9);
    }
    heap_free(history->heap, ops, bytes);
    for (size_t i = 0; i < history->count; i++)
        if (history->ops[i].weak && history->ops[i].op.observed)
            check_weak(history, &history->ops[i]);
    return history->violation[0] == '\0';
}

void history_print(const struct history *history, uint32_t key, FILE *to)
{
    static const char *const effects[] = {"read", "put", "delete", "update"};
    static const char *const conditions[] = {"", " if absent", " if token ="};
    for (size_t i = 0; i < history->count; i++) {
        const struct history_op *at = &history->ops[i];
        const struct register_op *op = &at->op;
        if (at->key != key || at->void_op)
            continue;
        bool writes = op->effect == REGISTER_PUT || op->effect == REGISTER_UPDATE;
        fprintf(to, "  %12.6f .. %12.6f client %u %s%s", (double)op->begin_ns / 1e9,
                op->end_ns == UINT64_MAX ? -1.0 : (double)op->end_ns / 1e9, at->client,
                at->weak ? "weak " : "", effects[op->effect]);
        if (writes)
            fprintf(to, " %llu", (unsigned long long)op->token);
        fputs(conditions[op->condition], to);
        if (op->condition == REGISTER_EQUALS)
            fprintf(to, " %llu", (unsigned long long)op->expected);
        if (op->observed)
            fprintf(to, " saw (%llu, %llu)", (unsigned long long)op->before.token,
                    (unsigned long long)op->before.count);
        fputs(op->maybe ? " outcome unknown\n" : at->open ? " open\n" : "\n", to);
    }
}
