/* Updates on binary items: the old item and the tree of paths are walked together, once, and the
 * new item is written on the way.  Right-hand sides look into the old item, which does not change.
 */
#include "base/assert.h"
#include "expr/expr_private.h"

#define RUNS_LOCAL 8u

/* An operand while a right-hand side is computed: one value, or the elements of several lists one
 * after the other (list_append), which lie in `values` from `first` on. */
struct run {
    uint32_t first, count;
    bool appended;
};

struct update {
    const struct expr_program *program;
    const uint8_t *pool;
    struct value item;
    struct value_writer *w;
    struct arena *arena;
    struct expr_fault *fault;
    struct value *values; /* the machine's stacks; at most `pushes` of the program's head */
    struct run *runs;
    struct value values_local[RUNS_LOCAL];
    struct run runs_local[RUNS_LOCAL];
};

static const char missing[] =
    "The provided expression refers to an attribute that does not exist in the item";
static const char incorrect_type[] =
    "An operand in the update expression has an incorrect data type";
static const char incorrect_legacy_type[] = "Type mismatch for attribute to update";
static const char invalid_path[] =
    "The document path provided in the update expression is invalid for update";

static enum status refuse(struct update *u, const char *message)
{
    u->fault->message = bytes_of_text(message);
    return STATUS_INVALID;
}

static bool is_legacy(const struct expr_program *program)
{
    return program->code.count > 0 && (program->code.at[1] & PROGRAM_LEGACY) != 0;
}

static enum status refuse_type(struct update *u)
{
    return refuse(u, is_legacy(u->program) ? incorrect_legacy_type : incorrect_type);
}

static enum status refuse_number(struct update *u, enum number_fault fault)
{
    return refuse(u,
                  fault == NUMBER_FAULT_OVERFLOW
                      ? "Number overflow. Attempting to store a number with magnitude larger than "
                        "supported range"
                  : fault == NUMBER_FAULT_UNDERFLOW
                      ? "Number underflow. Attempting to store a number with magnitude smaller "
                        "than supported range"
                      : "Attempting to store more than 38 significant digits in a Number");
}

/* ---- Right-hand sides ---- */

static void push(struct update *u, uint32_t *count, struct value value)
{
    struct run *run = &u->runs[*count];
    uint32_t first = *count == 0 ? 0 : run[-1].first + run[-1].count;
    u->values[first] = value;
    *run = (struct run){first, 1, false};
    ++*count;
}

static bool is_list(const struct update *u, const struct run *run)
{
    return run->appended || value_type(u->values[run->first]) == VALUE_L;
}

static bool is_number(const struct update *u, const struct run *run)
{
    return !run->appended && value_type(u->values[run->first]) == VALUE_N;
}

static struct value code_path(const struct update *u, const uint8_t **at)
{
    unsigned count = (*at)[1];
    const uint8_t *elements = *at + 2;
    *at = elements + count * ELEMENT_BYTES;
    return path_find(elements, count, u->pool, u->item);
}

/* A path was looked up in the item. */
static void looked_up(struct update *u)
{
    if (UNLIKELY(u->w->meter.pause != NULL))
        pause_after(&u->w->meter, u->item.bytes);
}

/* Write the result of a sum; it is the whole of its right-hand side. */
static enum status write_sum(struct update *u, enum op op, struct value left, struct value right)
{
    struct number a, b, sum;
    enum number_fault fault;
    value_number(left, &a);
    value_number(right, &b);
    enum status status =
        op == OP_ADD ? number_add(&a, &b, &sum, &fault) : number_subtract(&a, &b, &sum, &fault);
    if (status != STATUS_OK)
        return refuse_number(u, fault);
    value_write_number(u->w, &sum);
    return STATUS_OK;
}

static enum status write_run(struct update *u, const struct run *run)
{
    if (!run->appended) {
        value_write_value(u->w, u->values[run->first]);
        return STATUS_OK;
    }
    value_write_begin(u->w, VALUE_L);
    for (uint32_t i = 0; i < run->count && !value_writer_is_over(u->w); i++) {
        struct value_cursor cursor;
        struct value element;
        value_cursor_init(&cursor, u->values[run->first + i]);
        while (value_next(&cursor, NULL, &element)) {
            value_write_value(u->w, element);
            pause_after(&u->w->meter, PAUSE_STEP_WORK);
        }
    }
    value_write_end(u->w);
    return STATUS_OK;
}

static enum status append(struct update *u, uint32_t *count)
{
    struct run *left = &u->runs[*count - 2], *right = &u->runs[*count - 1];
    if (!is_list(u, left) || !is_list(u, right))
        return refuse_type(u);
    left->count += right->count; /* right's values lie just after left's */
    left->appended = true;
    --*count;
    return STATUS_OK;
}

/* Compute the code [at, end) and write its value. */
static enum status write_operand(struct update *u, const uint8_t *at, const uint8_t *end)
{
    uint32_t count = 0;
    while (at < end) {
        enum op op = (enum op) * at;
        struct value value;
        switch (op) {
        case OP_PATH:
            value = code_path(u, &at);
            looked_up(u);
            if (value.at == NULL)
                return refuse(u, missing);
            push(u, &count, value);
            break;
        case OP_VALUE: {
            struct bytes bytes = pool_bytes(u->pool, at + 1);
            push(u, &count, (struct value){bytes.at, (uint32_t)bytes.count});
            at += 9;
            break;
        }
        case OP_IF_EXISTS: {
            uint32_t skip = get_u32(at + 1);
            at += 5;
            value = code_path(u, &at);
            looked_up(u);
            if (value.at != NULL) {
                push(u, &count, value);
                at += skip;
            }
            break;
        }
        case OP_APPEND:
            TRY(append(u, &count));
            at++;
            break;
        default: {
            const struct run *left = &u->runs[count - 2], *right = &u->runs[count - 1];
            if (!is_number(u, left) || !is_number(u, right))
                return refuse_type(u);
            return write_sum(u, op, u->values[left->first], u->values[right->first]);
        }
        }
    }
    return write_run(u, &u->runs[0]);
}

/* ---- ADD and DELETE on sets, which both are in order ---- */

/* Write what is in `a` or `b`. */
static void write_union(struct value_writer *w, struct value a, struct value b)
{
    struct value_cursor left, right;
    struct value x, y;
    value_cursor_init(&left, a);
    value_cursor_init(&right, b);
    value_write_begin(w, value_type(a));
    bool have_x = value_next(&left, NULL, &x);
    bool have_y = value_next(&right, NULL, &y);
    while (have_x || have_y) {
        int by = !have_x ? 1 : !have_y ? -1 : value_compare(x, y);
        value_write_value(w, by <= 0 ? x : y);
        pause_after(&w->meter, PAUSE_STEP_WORK);
        if (by <= 0)
            have_x = value_next(&left, NULL, &x);
        if (by >= 0)
            have_y = value_next(&right, NULL, &y);
    }
    value_write_end(w);
}

/* Visit what is in `a` and not in `b`; write it when `write` says so.  Returns how many. */
static uint32_t difference(struct value_writer *w, bool write, struct value a, struct value b)
{
    struct value_cursor left, right;
    struct value x, y;
    uint32_t count = 0;
    value_cursor_init(&left, a);
    value_cursor_init(&right, b);
    bool have_x = value_next(&left, NULL, &x);
    bool have_y = value_next(&right, NULL, &y);
    while (have_x) {
        int by = !have_y ? -1 : value_compare(x, y);
        if (by < 0) {
            count++;
            if (write)
                value_write_value(w, x);
        }
        pause_after(&w->meter, PAUSE_STEP_WORK);
        if (by <= 0)
            have_x = value_next(&left, NULL, &x);
        if (by >= 0)
            have_y = value_next(&right, NULL, &y);
    }
    return count;
}

/* ---- The walk ---- */

/* A place in the new item: a member of a map or of a list, and what was there. */
struct place {
    struct bytes name; /* of a member of a list: .at == NULL */
    struct value old;  /* VALUE_ABSENT: nothing */
};

static enum status update_nodes(struct update *u, const uint8_t *at, const uint8_t *end,
                                struct value old);

static void write_place(struct update *u, const struct place *place)
{
    if (place->name.at != NULL)
        value_write_name(u->w, place->name);
}

static struct value node_value(const struct update *u, const struct node *node)
{
    struct bytes bytes = pool_bytes(u->pool, node->content + 1);
    return (struct value){bytes.at, (uint32_t)bytes.count};
}

static enum status add(struct update *u, const struct node *node, const struct place *place)
{
    struct value more = node_value(u, node);
    if (place->old.at != NULL && value_type(place->old) != value_type(more))
        return refuse_type(u);
    write_place(u, place);
    if (place->old.at == NULL)
        value_write_value(u->w, more);
    else if (value_type(more) == VALUE_N)
        return write_sum(u, OP_ADD, place->old, more);
    else
        write_union(u->w, place->old, more);
    return STATUS_OK;
}

static enum status take_away(struct update *u, const struct node *node, const struct place *place)
{
    struct value less = node_value(u, node);
    if (place->old.at == NULL)
        return STATUS_OK;
    if (value_type(place->old) != value_type(less))
        return refuse_type(u);
    if (difference(u->w, false, place->old, less) == 0)
        return STATUS_OK; /* there are no empty sets */
    write_place(u, place);
    value_write_begin(u->w, value_type(place->old));
    difference(u->w, true, place->old, less);
    value_write_end(u->w);
    return STATUS_OK;
}

static enum status apply(struct update *u, const struct node *node, const struct place *place)
{
    switch (node->verb) {
    case VERB_SET:
        write_place(u, place);
        return write_operand(u, node->content, node->next);
    case VERB_ADD:
        return add(u, node, place);
    case VERB_DELETE:
        return take_away(u, node, place);
    case VERB_REMOVE:
        return STATUS_OK;
    default:
        break;
    }
    enum value_type type = get_u32(node->content + 8) == ELEMENT_INDEX ? VALUE_L : VALUE_M;
    if (value_type(place->old) != type)
        return refuse(u, invalid_path);
    write_place(u, place);
    value_write_begin(u->w, type);
    TRY(update_nodes(u, node->content, node->next, place->old));
    value_write_end(u->w);
    return STATUS_OK;
}

static int compare_place(const struct node *node, struct bytes name, uint32_t index)
{
    if (node->name.at != NULL)
        return bytes_compare(node->name, name);
    return node->index < index ? -1 : node->index > index;
}

/* Write the members of the map or list `old`, which is open in the writer, as the nodes [at, end)
 * change them.  Elements that a SET puts beyond the end of a list are appended in their order. */
static enum status update_nodes(struct update *u, const uint8_t *at, const uint8_t *end,
                                struct value old)
{
    struct value_cursor cursor;
    struct bytes name = {0};
    struct value value = VALUE_ABSENT;
    uint32_t index = 0;
    bool have = false;
    if (old.at != NULL) {
        value_cursor_init(&cursor, old);
        have = value_next(&cursor, &name, &value);
    }
    while (have || at < end) {
        if (UNLIKELY(value_writer_is_over(u->w)))
            return STATUS_NO_MEMORY;
        struct node node;
        int by = 1; /* the old member comes first */
        if (at < end) {
            node = node_read(at, u->pool);
            by = have ? compare_place(&node, name, index) : -1;
        }
        if (by > 0) {
            if (value_type(old) == VALUE_M)
                value_write_name(u->w, name);
            value_write_value(u->w, value);
            pause_after(&u->w->meter, PAUSE_STEP_WORK);
        } else {
            struct place place = {node.name, by == 0 ? value : VALUE_ABSENT};
            TRY(apply(u, &node, &place));
            at = node.next;
        }
        if (by >= 0) {
            have = value_next(&cursor, &name, &value);
            index++;
        }
    }
    return STATUS_OK;
}

static enum status open_stacks(struct update *u, uint32_t pushes)
{
    u->values = u->values_local;
    u->runs = u->runs_local;
    if (pushes <= RUNS_LOCAL)
        return STATUS_OK;
    u->values = arena_alloc_array(u->arena, pushes, sizeof(*u->values));
    u->runs = arena_alloc_array(u->arena, pushes, sizeof(*u->runs));
    return u->values == NULL || u->runs == NULL ? STATUS_NO_MEMORY : STATUS_OK;
}

enum status expr_update(const struct expr_program *program, struct value item, struct value key,
                        struct value_writer *w, struct arena *arena, struct expr_fault *fault)
{
    struct update u;
    u.program = program;
    u.item = item;
    u.w = w;
    u.arena = arena;
    u.fault = fault;
    const uint8_t *at = NULL, *end = NULL;
    if (program->code.count > 0) {
        struct program_view view = program_view(program);
        at = view.code;
        end = view.end;
        u.pool = view.pool;
        TRY(open_stacks(&u, get_u16(program->code.at + 2)));
    }
    value_write_begin(w, VALUE_M);
    TRY(update_nodes(&u, at, end, item.at != NULL ? item : key));
    value_write_end(w);
    if (w->status == STATUS_TOO_LARGE)
        return refuse(&u,
                      "Nesting Levels have exceeded supported limits: Attributes in the item have "
                      "nested levels beyond supported limit");
    return w->status == STATUS_NO_MEMORY ? STATUS_NO_MEMORY : STATUS_OK;
}

bool expr_update_only_deletes(const struct expr_program *program)
{
    if (program->code.count == 0)
        return false; /* it changes nothing, and makes an item of the key */
    struct program_view view = program_view(program);
    for (const uint8_t *at = view.code; at < view.end;) {
        struct node node = node_read(at, view.pool);
        if (node.verb != VERB_REMOVE && node.verb != VERB_DELETE)
            return false;
        at = node.next;
    }
    return true;
}
