/* Conditions on binary items: one flag, jumps forward, no stack. */
#include "base/assert.h"
#include "expr/expr_private.h"

struct value path_find(const uint8_t *elements, unsigned count, const uint8_t *pool,
                       struct value item)
{
    struct value at = item;
    for (unsigned i = 0; i < count; i++, elements += ELEMENT_BYTES) {
        struct value below;
        bool index = get_u32(elements + 4) == ELEMENT_INDEX;
        if (value_type(at) != (index ? VALUE_L : VALUE_M))
            return VALUE_ABSENT;
        if (index ? !value_at(at, get_u32(elements), &below)
                  : !value_find(at, pool_bytes(pool, elements), &below))
            return VALUE_ABSENT;
        at = below;
    }
    return at;
}

/* The service counts UTF-16 code units: two for what lies beyond the first plane. */
static uint64_t text_size(struct bytes text)
{
    uint64_t units = 0;
    for (size_t i = 0; i < text.count; i++)
        units += (uint64_t)((text.at[i] & 0xc0) != 0x80) + (text.at[i] >= 0xf0);
    return units;
}

bool size_of(struct value v, uint8_t *scratch, struct value *size)
{
    uint64_t count;
    switch (value_type(v)) {
    case VALUE_S:
        count = text_size(value_bytes(v));
        break;
    case VALUE_B:
        count = value_bytes(v).count;
        break;
    case VALUE_SS:
    case VALUE_NS:
    case VALUE_BS:
    case VALUE_L:
    case VALUE_M:
        count = value_count(v);
        break;
    default:
        return false;
    }
    /* value.h: an N is its type, u8 length and the encoded number. */
    struct number number;
    number_from_u64(count, &number);
    size_t bytes = number_encode(&number, scratch + 2);
    scratch[0] = VALUE_N;
    scratch[1] = (uint8_t)bytes;
    *size = (struct value){scratch, (uint32_t)(2 + bytes)};
    return true;
}

struct machine {
    const uint8_t *at; /* the next byte of code */
    const uint8_t *pool;
    struct value item;
    uint8_t scratch[2][VALUE_NUMBER_BYTES_MAX]; /* of size(), for the first operand and another */
};

static struct value take_path(struct machine *m)
{
    unsigned count = m->at[1];
    const uint8_t *elements = m->at + 2;
    m->at = elements + count * ELEMENT_BYTES;
    return path_find(elements, count, m->pool, m->item);
}

static struct value take_operand(struct machine *m, unsigned scratch)
{
    struct value size;
    switch (*m->at) {
    case OP_VALUE: {
        struct bytes bytes = pool_bytes(m->pool, m->at + 1);
        m->at += 9;
        return (struct value){bytes.at, (uint32_t)bytes.count};
    }
    case OP_SIZE:
        m->at++;
        return size_of(take_path(m), m->scratch[scratch], &size) ? size : VALUE_ABSENT;
    default:
        return take_path(m);
    }
}

static bool equal(struct value a, struct value b)
{
    return a.at != NULL && value_type(a) == value_type(b) && value_equal(a, b);
}

/* Order of two operands; false: they have none, and no comparison of them holds. */
static bool order(struct value a, struct value b, int *result)
{
    enum value_type type = value_type(a);
    if (type != value_type(b) || (TYPES_ORDERED & TYPE_BIT(type)) == 0)
        return false;
    *result = value_compare(a, b);
    return true;
}

static bool compare(enum op op, struct value a, struct value b)
{
    int by;
    if (op == OP_EQ)
        return equal(a, b);
    if (op == OP_NE)
        return !equal(a, b);
    if (!order(a, b, &by))
        return false;
    return op == OP_LT ? by < 0 : op == OP_LE ? by <= 0 : op == OP_GT ? by > 0 : by >= 0;
}

static bool begins_with(struct value a, struct value b)
{
    enum value_type type = value_type(a);
    return (type == VALUE_S || type == VALUE_B) && type == value_type(b) &&
           bytes_start_with(value_bytes(a), value_bytes(b));
}

static bool contains(struct value a, struct value b)
{
    struct bytes whole, part;
    switch (value_type(a)) {
    case VALUE_S:
    case VALUE_B:
        if (value_type(a) != value_type(b))
            return false;
        whole = value_bytes(a);
        part = value_bytes(b);
        return part.count == 0 || memmem(whole.at, whole.count, part.at, part.count) != NULL;
    case VALUE_SS:
    case VALUE_NS:
    case VALUE_BS:
    case VALUE_L:
        return b.at != NULL && value_contains(a, b);
    default:
        return false;
    }
}

static bool has_type(struct value v, struct value type)
{
    return v.at != NULL && value_type(type) == VALUE_S &&
           bytes_equal(value_bytes(type), bytes_of_text(value_type_name(value_type(v))));
}

static bool in(struct machine *m, struct value first, unsigned count)
{
    bool found = false;
    for (unsigned i = 1; i < count; i++) {
        struct value other = take_operand(m, 1);
        found = found || equal(first, other);
    }
    return found;
}

static bool between(struct machine *m, struct value v)
{
    struct value low = take_operand(m, 1);
    bool above = compare(OP_GE, v, low);
    struct value high = take_operand(m, 1);
    return above && compare(OP_LE, v, high);
}

static bool operate(struct machine *m, enum op op, unsigned count)
{
    struct value first = take_operand(m, 0);
    switch (op) {
    case OP_BETWEEN:
        return between(m, first);
    case OP_IN:
        return in(m, first, count);
    case OP_EXISTS:
        return first.at != NULL;
    case OP_NOT_EXISTS:
        return first.at == NULL;
    case OP_TYPE:
        return has_type(first, take_operand(m, 1));
    case OP_BEGINS_WITH:
        return begins_with(first, take_operand(m, 1));
    case OP_CONTAINS:
        return contains(first, take_operand(m, 1));
    default:
        return compare(op, first, take_operand(m, 1));
    }
}

uint64_t expr_work_max(const struct expr_program *program, struct value item)
{
    if (program->code.count == 0)
        return 0;
    struct program_view view = program_view(program);
    uint64_t steps = (uint64_t)(view.end - view.code) / ELEMENT_BYTES + 1;
    return steps * item.bytes;
}

bool expr_evaluate(const struct expr_program *program, struct value item)
{
    return expr_evaluate_paused(program, item, NULL);
}

bool expr_evaluate_paused(const struct expr_program *program, struct value item,
                          const struct pause *pause)
{
    if (program->code.count == 0)
        return true;
    struct program_view view = program_view(program);
    struct pause_meter meter = {.pause = pause};
    struct machine m;
    m.at = view.code;
    m.pool = view.pool;
    m.item = item;
    bool flag = true;
    while (m.at < view.end) {
        enum op op = (enum op)m.at[0];
        switch (op) {
        case OP_NOT:
            flag = !flag;
            m.at++;
            break;
        case OP_JUMP_IF_FALSE:
        case OP_JUMP_IF_TRUE:
            m.at += 5 + (flag == (op == OP_JUMP_IF_TRUE) ? get_u32(m.at + 1) : 0);
            break;
        default: {
            unsigned count = m.at[1];
            m.at += 2;
            const uint8_t *operands = m.at;
            flag = operate(&m, op, count);
            if (UNLIKELY(pause != NULL))
                pause_after(&meter, (size_t)(m.at - operands) / ELEMENT_BYTES * item.bytes);
            break;
        }
        }
    }
    return flag;
}
