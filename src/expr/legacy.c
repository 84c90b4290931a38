/* The parameters that expressions replaced (Expected, QueryFilter, ScanFilter, KeyConditions,
 * AttributeUpdates, AttributesToGet): from their typed form to the programs that expressions make.
 *
 * Sources: Developer Guide, "Legacy conditional parameters", and its page "Writing conditions with
 * legacy parameters"; API Reference, Condition, ExpectedAttributeValue, AttributeValueUpdate.
 */
#include "base/assert.h"
#include "expr/expr_private.h"

#define JUMP_BYTES      5u
#define PATH_BYTES      (2u + ELEMENT_BYTES)
#define OPERAND_BYTES   9u
#define CONDITION_BYTES (JUMP_BYTES + 2 * (2u + PATH_BYTES) + JUMP_BYTES + 1u) /* without values */
#define CHANGE_BYTES    (JUMP_BYTES + PATH_BYTES + 2 * OPERAND_BYTES + 1u)

#define TYPES_ALL    (~0u)
#define TYPES_SINGLE (~(TYPES_SETS | TYPE_BIT(VALUE_L) | TYPE_BIT(VALUE_M)))
#define TYPES_TEXT   (TYPE_BIT(VALUE_S) | TYPE_BIT(VALUE_B))

/* What each operator takes, and the operation that it is. */
static const struct rule {
    const char *name;
    enum op op;
    uint32_t types; /* of its values */
    uint8_t least, most;
    bool key; /* may stand in KeyConditions */
} rules[] = {
    [COMPARISON_IN] = {"IN", OP_IN, TYPES_ORDERED, 1, EXPR_IN_MAX, false},
    [COMPARISON_NULL] = {"NULL", OP_NOT_EXISTS, TYPES_ALL, 0, 0, false},
    [COMPARISON_BETWEEN] = {"BETWEEN", OP_BETWEEN, TYPES_ORDERED, 2, 2, true},
    [COMPARISON_LT] = {"LT", OP_LT, TYPES_ORDERED, 1, 1, true},
    [COMPARISON_NOT_CONTAINS] = {"NOT_CONTAINS", OP_CONTAINS, TYPES_SINGLE, 1, 1, false},
    [COMPARISON_EQ] = {"EQ", OP_EQ, TYPES_ALL, 1, 1, true},
    [COMPARISON_GT] = {"GT", OP_GT, TYPES_ORDERED, 1, 1, true},
    [COMPARISON_NOT_NULL] = {"NOT_NULL", OP_EXISTS, TYPES_ALL, 0, 0, false},
    [COMPARISON_NE] = {"NE", OP_NE, TYPES_ALL, 1, 1, false},
    [COMPARISON_LE] = {"LE", OP_LE, TYPES_ORDERED, 1, 1, true},
    [COMPARISON_BEGINS_WITH] = {"BEGINS_WITH", OP_BEGINS_WITH, TYPES_TEXT, 1, 1, true},
    [COMPARISON_GE] = {"GE", OP_GE, TYPES_ORDERED, 1, 1, true},
    [COMPARISON_CONTAINS] = {"CONTAINS", OP_CONTAINS, TYPES_SINGLE, 1, 1, false},
};

const char *expr_comparison_name(enum comparison comparison)
{
    return rules[comparison].name;
}

#define REFUSE(c, ...) compiler_refuse((c), arena_format((c)->arena, __VA_ARGS__))

/* Room for `count` names and `values` values, and for as many bytes of code. */
static enum status begin(struct compiler *c, struct arena *arena, enum expr_kind kind,
                         uint32_t count, size_t values, size_t code_bytes, struct expr_fault *fault)
{
    memset(c, 0, offsetof(struct compiler, code_local));
    c->arena = arena;
    c->fault = fault;
    c->kind = kind;
    ASSERT(count <= EXPR_LEGACY_MAX && code_bytes <= INT32_MAX);
    c->code_capacity = (uint32_t)code_bytes;
    c->code = arena_alloc(arena, code_bytes);
    c->pool_capacity = count + (uint32_t)values;
    c->pool = arena_alloc_array(arena, c->pool_capacity, sizeof(*c->pool));
    c->element_capacity = count;
    c->elements = arena_alloc_array(arena, count, sizeof(*c->elements));
    return c->code == NULL || c->pool == NULL || c->elements == NULL ? STATUS_NO_MEMORY : STATUS_OK;
}

/* The path of the attribute that is called so: dots in it are letters like others. */
static struct operand path_of(struct compiler *c, struct bytes name)
{
    c->elements[c->element_count] =
        (struct path_element){.name = name, .a = compiler_pool(c, name), .b = (uint32_t)name.count};
    return (struct operand){.what = OPERAND_PATH, .first = c->element_count++, .elements = 1};
}

static void emit_pooled(struct compiler *c, struct value value)
{
    emit_value(c, value, compiler_pool(c, bytes_of(value.at, value.bytes)));
}

static enum status finish(struct compiler *c, struct expr_program *program)
{
    return c->no_memory ? STATUS_NO_MEMORY : compiler_assemble(c, program);
}

/* ---- Conditions ---- */

static enum status check_condition(struct compiler *c, const struct expr_condition *condition)
{
    const struct rule *rule = &rules[condition->comparison];
    const struct value *values = condition->values;
    if (condition->value_count < rule->least || condition->value_count > rule->most)
        return REFUSE(c,
                      INVALID_VALUES "Invalid number of argument(s) for the %s "
                                     "ComparisonOperator",
                      rule->name);
    for (uint32_t i = 0; i < condition->value_count; i++) {
        enum value_type type = value_type(values[i]);
        if ((rule->types & TYPE_BIT(type)) == 0)
            return REFUSE(c,
                          INVALID_VALUES "ComparisonOperator %s is not valid for %s "
                                         "AttributeValue type",
                          rule->name, value_type_name(type));
        if (type != value_type(values[0]))
            return REFUSE(c, "%s",
                          INVALID_VALUES "AttributeValues inside AttributeValueList must "
                                         "all be of the same type");
    }
    if (rule->op == OP_BETWEEN && value_compare(values[0], values[1]) > 0)
        return REFUSE(c, "%s",
                      "The BETWEEN condition was provided a range where the lower bound "
                      "is greater than the upper bound");
    if (c->kind == EXPR_KEY_CONDITION && !rule->key)
        return REFUSE(c, "%s", "Attempted conditional constraint is not an indexable operation");
    return STATUS_OK;
}

static void emit_operation(struct compiler *c, enum op op, const struct operand *path,
                           const struct expr_condition *condition)
{
    uint8_t *head = compiler_emit(c, 2);
    uint32_t values = condition == NULL ? 0 : condition->value_count;
    head[0] = (uint8_t)op;
    head[1] = (uint8_t)(1 + values);
    emit_path(c, path);
    for (uint32_t i = 0; i < values; i++)
        emit_pooled(c, condition->values[i]);
}

/* A jump to be landed; returns where it is. */
static uint32_t emit_jump(struct compiler *c, enum op op)
{
    uint32_t at = c->code_count;
    uint8_t *jump = compiler_emit(c, JUMP_BYTES);
    jump[0] = (uint8_t)op;
    put_u32(jump + 1, 0);
    return at;
}

static void land(struct compiler *c, uint32_t jump)
{
    if (!c->no_memory)
        put_u32(c->code + jump + 1, c->code_count - jump - JUMP_BYTES);
}

static void emit_condition(struct compiler *c, const struct expr_condition *condition)
{
    struct operand path = path_of(c, condition->name);
    if (condition->comparison != COMPARISON_NOT_CONTAINS) {
        emit_operation(c, rules[condition->comparison].op, &path, condition);
        return;
    }
    /* It says something of an attribute that is there. */
    emit_operation(c, OP_EXISTS, &path, NULL);
    uint32_t jump = emit_jump(c, OP_JUMP_IF_FALSE);
    emit_operation(c, OP_CONTAINS, &path, condition);
    *compiler_emit(c, 1) = OP_NOT;
    land(c, jump);
}

enum status expr_compile_conditions(struct arena *arena, enum expr_kind kind,
                                    const struct expr_condition *conditions, uint32_t count,
                                    bool any, struct expr_program *program,
                                    struct expr_fault *fault)
{
    struct compiler c;
    size_t values = 0;
    if (count == 0)
        return STATUS_OK;
    for (uint32_t i = 0; i < count; i++)
        values += MIN(conditions[i].value_count, EXPR_IN_MAX); /* more are refused below */
    TRY(begin(&c, arena, kind, count, values, count * CONDITION_BYTES + values * OPERAND_BYTES,
              fault));
    /* Each jump ends where the next one is, which then jumps for the same reason: so they do not
     * nest, however many there are. */
    uint32_t jump = 0;
    for (uint32_t i = 0; i < count; i++) {
        TRY(check_condition(&c, &conditions[i]));
        if (i > 1)
            land(&c, jump);
        if (i > 0)
            jump = emit_jump(&c, any ? OP_JUMP_IF_TRUE : OP_JUMP_IF_FALSE);
        emit_condition(&c, &conditions[i]);
    }
    if (count > 1)
        land(&c, jump);
    return finish(&c, program);
}

/* ---- Changes ---- */

static enum status check_change(struct compiler *c, const struct expr_change *change)
{
    enum value_type type = value_type(change->value);
    uint32_t added = TYPES_SETS | TYPE_BIT(VALUE_N) | TYPE_BIT(VALUE_L);
    if (change->name.count == 0)
        return REFUSE(c, "%s", INVALID_VALUES "Empty attribute name");
    if (change->name.count > VALUE_NAME_BYTES_MAX)
        return REFUSE(c,
                      INVALID_VALUES "Attribute name has exceeded the maximum size limit of %u "
                                     "bytes",
                      VALUE_NAME_BYTES_MAX);
    if (type == VALUE_NONE && change->action != CHANGE_DELETE)
        return REFUSE(c, "%s",
                      INVALID_VALUES "Only DELETE action is allowed when no attribute "
                                     "value is specified");
    if (change->action == CHANGE_DELETE && type != VALUE_NONE && (TYPES_SETS & TYPE_BIT(type)) == 0)
        return REFUSE(c, INVALID_VALUES "DELETE action with value is not supported for the type %s",
                      value_type_name(type));
    if (change->action == CHANGE_ADD && (added & TYPE_BIT(type)) == 0)
        return REFUSE(c, INVALID_VALUES "ADD action is not supported for the type %s",
                      value_type_name(type));
    return STATUS_OK;
}

/* ADD on lists, which the documentation does not tell of, appends (observed: getmoto/moto #3585):
 * list_append(if_not_exists(name, empty), value). */
static void emit_append(struct compiler *c, const struct operand *path, struct value value)
{
    static const uint8_t empty[] = {VALUE_L, 4, 0, 0, 0, 0, 0, 0, 0}; /* value.h */
    uint8_t *test = compiler_emit(c, JUMP_BYTES);
    test[0] = OP_IF_EXISTS;
    put_u32(test + 1, OPERAND_BYTES);
    emit_path(c, path);
    emit_pooled(c, (struct value){empty, sizeof(empty)});
    emit_pooled(c, value);
    *compiler_emit(c, 1) = OP_APPEND;
    c->pushes = 3;
}

static enum verb emit_change(struct compiler *c, const struct expr_change *change,
                             const struct operand *path)
{
    bool append = change->action == CHANGE_ADD && value_type(change->value) == VALUE_L;
    c->pushes = MAX(c->pushes, 1u);
    if (append)
        emit_append(c, path, change->value);
    else if (value_type(change->value) != VALUE_NONE)
        emit_pooled(c, change->value);
    switch (change->action) {
    case CHANGE_PUT:
        return VERB_SET;
    case CHANGE_ADD:
        return append ? VERB_SET : VERB_ADD;
    default:
        return value_type(change->value) != VALUE_NONE ? VERB_DELETE : VERB_REMOVE;
    }
}

enum status expr_compile_changes(struct arena *arena, const struct expr_change *changes,
                                 uint32_t count, struct expr_program *program,
                                 struct expr_fault *fault)
{
    struct compiler c;
    if (count == 0)
        return STATUS_OK;
    TRY(begin(&c, arena, EXPR_UPDATE, count, 2 * (size_t)count, count * CHANGE_BYTES, fault));
    c.legacy = true;
    struct action *actions = arena_alloc_array(arena, count, sizeof(*actions));
    if (actions == NULL)
        return STATUS_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++) {
        TRY(check_change(&c, &changes[i]));
        struct operand path = path_of(&c, changes[i].name);
        uint32_t code_at = c.code_count;
        enum verb verb = emit_change(&c, &changes[i], &path);
        actions[i] = (struct action){.first = path.first,
                                     .code_at = code_at,
                                     .code_bytes = c.code_count - code_at,
                                     .order = (uint16_t)i,
                                     .elements = 1,
                                     .verb = (uint8_t)verb};
    }
    if (c.no_memory)
        return STATUS_NO_MEMORY;
    TRY(compile_tree(&c, actions, count));
    ASSERT(c.semantic.at == NULL); /* the names differ */
    return finish(&c, program);
}

/* ---- Names ---- */

/* The first name that came before; the actions are sorted, so that equal ones are neighbours. */
static struct bytes find_duplicate(const struct bytes *names, const struct action *actions,
                                   uint32_t count)
{
    uint32_t first = UINT32_MAX;
    for (uint32_t i = 1; i < count; i++) {
        uint32_t before = actions[i - 1].order, order = actions[i].order;
        if (bytes_equal(names[before], names[order]))
            first = MIN(first, MAX(before, order));
    }
    return first == UINT32_MAX ? (struct bytes){0} : names[first];
}

enum status expr_compile_names(struct arena *arena, const struct bytes *names, uint32_t count,
                               struct expr_program *program, struct expr_fault *fault)
{
    struct compiler c;
    if (count == 0)
        return STATUS_OK;
    TRY(begin(&c, arena, EXPR_PROJECTION, count, 0, 1, fault));
    struct action *actions = arena_alloc_array(arena, count, sizeof(*actions));
    if (actions == NULL)
        return STATUS_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++) {
        struct operand path = path_of(&c, names[i]);
        actions[i] = (struct action){
            .first = path.first, .order = (uint16_t)i, .elements = 1, .verb = VERB_KEEP};
    }
    TRY(compile_tree(&c, actions, count));
    if (c.semantic.at != NULL) {
        struct bytes name = find_duplicate(names, actions, count);
        return REFUSE(&c, INVALID_VALUES "Duplicate value in attribute name: %.*s",
                      BYTES_ARGS(name));
    }
    return finish(&c, program);
}
