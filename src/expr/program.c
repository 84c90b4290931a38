/* Programs as bytes: a check of those that come from elsewhere, and a walk over their attributes.
 */
#include "expr/expr_private.h"

struct check {
    struct reader r;
    struct bytes pool;
    enum expr_kind kind;
    uint32_t pushes_max;
};

static bool in_pool(const struct check *k, uint32_t at, uint32_t count)
{
    return at <= k->pool.count && count <= k->pool.count - at;
}

static bool check_element(struct check *k)
{
    uint32_t a = read_u32(&k->r), b = read_u32(&k->r);
    return !k->r.failed && (b == ELEMENT_INDEX ? a <= LIST_INDEX_MAX : in_pool(k, a, b));
}

static bool first_is_name(const uint8_t *element)
{
    return get_u32(element + 4) != ELEMENT_INDEX;
}

/* A path, its OP_PATH included. */
static bool check_path(struct check *k)
{
    if (read_u8(&k->r) != OP_PATH)
        return false;
    unsigned count = read_u8(&k->r);
    if (count == 0 || count > PATH_ELEMENTS_MAX || reader_left(&k->r) < count * ELEMENT_BYTES ||
        !first_is_name(k->r.at))
        return false;
    for (unsigned i = 0; i < count; i++) {
        if (!check_element(k))
            return false;
    }
    return true;
}

static bool check_value(struct check *k, enum value_type *type)
{
    struct value value;
    if (read_u8(&k->r) != OP_VALUE)
        return false;
    uint32_t at = read_u32(&k->r), count = read_u32(&k->r);
    if (k->r.failed || !in_pool(k, at, count) ||
        value_check(bytes_of(k->pool.at + at, count), &value) != STATUS_OK)
        return false;
    *type = value_type(value);
    return true;
}

/* ---- Conditions ---- */

static uint8_t peek(const struct check *k)
{
    return reader_left(&k->r) > 0 ? *k->r.at : 0;
}

static bool check_operand(struct check *k)
{
    enum value_type type;
    if (peek(k) == OP_VALUE)
        return check_value(k, &type);
    if (peek(k) == OP_SIZE)
        k->r.at++;
    return check_path(k);
}

static bool operand_count_fits(enum op op, unsigned count)
{
    switch (op) {
    case OP_EXISTS:
    case OP_NOT_EXISTS:
        return count == 1;
    case OP_BETWEEN:
        return count == 3;
    case OP_IN:
        return count >= 2 && count <= EXPR_IN_MAX + 1;
    default:
        return count == 2 && op >= OP_EQ && op <= OP_CONTAINS;
    }
}

/* An operation of a key condition: one attribute, else values; BETWEEN and begins_with have the
 * attribute first. */
static bool check_key_operation(struct check *k, enum op op, unsigned count)
{
    unsigned paths = 0;
    enum value_type type;
    bool comparator = op == OP_EQ || (op >= OP_LT && op <= OP_GE);
    if (!comparator && op != OP_BETWEEN && op != OP_BEGINS_WITH)
        return false;
    for (unsigned i = 0; i < count; i++) {
        if (peek(k) == OP_VALUE) {
            if (!check_value(k, &type) || (i == 0 && !comparator))
                return false;
            continue;
        }
        paths++;
        if (reader_left(&k->r) < 2 || k->r.at[1] != 1 || !check_path(k))
            return false;
    }
    return paths == 1;
}

static bool check_operation(struct check *k)
{
    enum op op = (enum op)read_u8(&k->r);
    unsigned count = read_u8(&k->r);
    if (k->r.failed || !operand_count_fits(op, count))
        return false;
    if (k->kind == EXPR_KEY_CONDITION)
        return check_key_operation(k, op, count);
    for (unsigned i = 0; i < count; i++) {
        if (!check_operand(k))
            return false;
    }
    return true;
}

/* The instructions in order, and jumps that each end where an instruction begins, or at the end.
 * Jumps nest as the parentheses did: a jump inside another ends no later than it, so a stack of the
 * ends of those that are open, at most one per operator, suffices. */
static bool check_condition(struct check *k)
{
    const uint8_t *ends[EXPR_OPERATORS_MAX];
    uint32_t open = 0;
    bool flag = false; /* an operation came just before, so that a test or turn has a meaning */
    while (reader_left(&k->r) > 0) {
        while (open > 0 && ends[open - 1] == k->r.at)
            open--;
        if (open > 0 && ends[open - 1] < k->r.at)
            return false;
        uint8_t op = peek(k);
        if (op == OP_NOT || op == OP_JUMP_IF_FALSE || op == OP_JUMP_IF_TRUE) {
            if (!flag || (k->kind == EXPR_KEY_CONDITION && op != OP_JUMP_IF_FALSE))
                return false;
            k->r.at++;
            if (op == OP_NOT)
                continue;
            uint32_t skip = read_u32(&k->r);
            if (k->r.failed || skip == 0 || skip > reader_left(&k->r))
                return false;
            const uint8_t *end = k->r.at + skip;
            if (open == EXPR_OPERATORS_MAX || (open > 0 && end > ends[open - 1]))
                return false;
            ends[open++] = end;
            flag = false;
            continue;
        }
        if (flag || !check_operation(k))
            return false;
        flag = true;
    }
    while (open > 0 && ends[open - 1] == k->r.at)
        open--;
    return flag && open == 0;
}

/* ---- Projections and updates ---- */

/* The code of a SET up to `end`; `depth` is how many operands are pushed.  A default that IF_EXISTS
 * skips leaves one operand more, as the path it tests does; such defaults nest, but each is the
 * last thing before its end, so their ends are kept in a small stack. */
#define DEFAULTS_MAX 64u

struct defaults {
    const uint8_t *end[DEFAULTS_MAX];
    uint32_t depth[DEFAULTS_MAX]; /* that must be reached at the end */
    uint32_t count;
};

static bool close_defaults(const struct check *k, struct defaults *d, uint32_t depth)
{
    while (d->count > 0 && d->end[d->count - 1] == k->r.at) {
        if (d->depth[d->count - 1] != depth)
            return false;
        d->count--;
    }
    return d->count == 0 || d->end[d->count - 1] > k->r.at;
}

static bool open_default(struct check *k, struct defaults *d, uint32_t depth)
{
    k->r.at++;
    uint32_t skip = read_u32(&k->r);
    if (!check_path(k) || d->count == DEFAULTS_MAX || skip == 0 || skip > reader_left(&k->r))
        return false;
    const uint8_t *end = k->r.at + skip;
    if (d->count > 0 && end > d->end[d->count - 1])
        return false;
    d->end[d->count] = end;
    d->depth[d->count] = depth + 1;
    d->count++;
    return true;
}

static bool check_set(struct check *k)
{
    struct defaults d = {.count = 0};
    uint32_t depth = 0, pushes = 0;
    enum value_type type;
    bool sum = false;
    while (reader_left(&k->r) > 0) {
        if (sum || !close_defaults(k, &d, depth))
            return false;
        uint32_t floor = d.count > 0 ? d.depth[d.count - 1] - 1 : 0;
        uint8_t op = peek(k);
        switch (op) {
        case OP_PATH:
        case OP_VALUE:
            if (op == OP_PATH ? !check_path(k) : !check_value(k, &type))
                return false;
            depth++;
            pushes++;
            break;
        case OP_IF_EXISTS:
            if (!open_default(k, &d, depth))
                return false;
            pushes++;
            break;
        case OP_APPEND:
        case OP_ADD:
        case OP_SUBTRACT:
            if (depth < floor + 2 || (op != OP_APPEND && d.count > 0))
                return false;
            depth--;
            sum = op != OP_APPEND;
            k->r.at++;
            break;
        default:
            return false;
        }
    }
    return close_defaults(k, &d, depth) && d.count == 0 && depth == 1 && pushes <= k->pushes_max;
}

static bool check_leaf(struct check *k, enum verb verb)
{
    enum value_type type;
    if (k->kind == EXPR_PROJECTION)
        return verb == VERB_KEEP && reader_left(&k->r) == 0;
    switch (verb) {
    case VERB_SET:
        return check_set(k);
    case VERB_REMOVE:
        return reader_left(&k->r) == 0;
    case VERB_ADD:
    case VERB_DELETE:
        return check_value(k, &type) && reader_left(&k->r) == 0 &&
               (((verb == VERB_ADD ? TYPE_BIT(VALUE_N) : 0u) | TYPES_SETS) & TYPE_BIT(type)) != 0;
    default:
        return false;
    }
}

/* Does `element` come after `before`, of the same kind? */
static bool follows(const struct check *k, const uint8_t *before, const uint8_t *element)
{
    if (first_is_name(before) != first_is_name(element))
        return false;
    if (!first_is_name(element))
        return get_u32(before) < get_u32(element);
    return bytes_compare(pool_bytes(k->pool.at, before), pool_bytes(k->pool.at, element)) < 0;
}

/* Recursion is bounded by PATH_ELEMENTS_MAX. */
static bool check_nodes(struct check *k, unsigned level)
{
    const uint8_t *before = NULL;
    if (level == PATH_ELEMENTS_MAX || reader_left(&k->r) == 0)
        return false;
    while (reader_left(&k->r) > 0) {
        const uint8_t *start = k->r.at, *outer = k->r.end;
        uint32_t bytes = read_u32(&k->r);
        if (k->r.failed || bytes < NODE_HEAD_BYTES || bytes > (size_t)(outer - start))
            return false;
        k->r.end = start + bytes;
        const uint8_t *element = k->r.at;
        if (!check_element(k) || (level == 0 && !first_is_name(element)) ||
            (before != NULL && !follows(k, before, element)))
            return false;
        enum verb verb = (enum verb)read_u8(&k->r);
        if (verb == VERB_INNER ? !check_nodes(k, level + 1) : !check_leaf(k, verb))
            return false;
        k->r.end = outer;
        before = element;
    }
    return true;
}

enum status expr_program_check(struct bytes code, enum expr_kind kind)
{
    struct check k = {.r = reader_of(code), .kind = kind};
    unsigned format = read_u8(&k.r), own_kind = read_u8(&k.r);
    unsigned legacy = kind == EXPR_UPDATE ? PROGRAM_LEGACY : 0;
    k.pushes_max = read_u16(&k.r);
    uint32_t code_bytes = read_u32(&k.r), pool_bytes = read_u32(&k.r);
    if (k.r.failed || format != PROGRAM_FORMAT || (own_kind & ~legacy) != (unsigned)kind ||
        (uint64_t)code_bytes + pool_bytes != reader_left(&k.r))
        return STATUS_CORRUPT;
    k.pool = bytes_of(k.r.at + code_bytes, pool_bytes);
    k.r.end = k.r.at + code_bytes;
    bool valid =
        kind == EXPR_PROJECTION || kind == EXPR_UPDATE ? check_nodes(&k, 0) : check_condition(&k);
    return valid ? STATUS_OK : STATUS_CORRUPT;
}

/* ---- Attributes ---- */

/* Conditions: step over instructions and operands to the next path. */
static bool next_path(const struct program_view *view, uint32_t *position, struct bytes *name)
{
    const uint8_t *at = view->code + *position;
    while (at < view->end) {
        switch (*at) {
        case OP_PATH:
            *name = pool_bytes(view->pool, at + 2);
            *position = (uint32_t)(at - view->code) + 2 + at[1] * ELEMENT_BYTES;
            return true;
        case OP_VALUE:
            at += 9;
            break;
        case OP_JUMP_IF_FALSE:
        case OP_JUMP_IF_TRUE:
            at += 5;
            break;
        case OP_SIZE:
        case OP_NOT:
            at++;
            break;
        default:
            at += 2;
            break;
        }
    }
    return false;
}

bool expr_next_attribute(const struct expr_program *program, struct expr_attributes *walk,
                         struct bytes *name)
{
    if (program->code.count == 0)
        return false;
    struct program_view view = program_view(program);
    enum expr_kind kind = program_kind(program);
    if (kind != EXPR_PROJECTION && kind != EXPR_UPDATE)
        return next_path(&view, &walk->position, name);
    const uint8_t *at = view.code + walk->position;
    if (at == view.end)
        return false;
    struct node node = node_read(at, view.pool);
    *name = node.name;
    walk->position = (uint32_t)(node.next - view.code);
    return true;
}
