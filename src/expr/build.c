/* Programs from trees of terms: the same code that the grammars of conditions and updates emit. */
#include "base/assert.h"
#include "expr/expr_private.h"

#define JUMP_BYTES      5u
#define TERM_CODE_BYTES 16u /* no term but its steps makes more code */

/* The room that a tree needs. */
struct extent {
    uint32_t terms, steps;
};

static void measure(const struct expr_term *term, uint32_t depth, struct extent *extent)
{
    ASSERT(depth <= EXPR_TERM_DEPTH_MAX);
    extent->terms++;
    extent->steps += term->step_count;
    for (const struct expr_term *below = term->first; below != NULL; below = below->next)
        measure(below, depth + 1, extent);
}

static enum status build_open(struct compiler *c, struct arena *arena, enum expr_kind kind,
                              const struct extent *extent, struct expr_fault *fault)
{
    memset(c, 0, offsetof(struct compiler, code_local));
    c->arena = arena;
    c->fault = fault;
    c->kind = kind;
    c->bare = true;
    c->code_capacity = extent->terms * TERM_CODE_BYTES + extent->steps * ELEMENT_BYTES;
    c->code = arena_alloc(arena, c->code_capacity);
    c->pool_capacity = extent->terms + extent->steps;
    c->pool = arena_alloc_array(arena, c->pool_capacity, sizeof(*c->pool));
    c->element_capacity = extent->steps + 1;
    c->elements = arena_alloc_array(arena, c->element_capacity, sizeof(*c->elements));
    return c->code == NULL || c->pool == NULL || c->elements == NULL ? STATUS_NO_MEMORY : STATUS_OK;
}

static enum status build_finish(struct compiler *c, struct expr_program *program)
{
    if (c->no_memory)
        return STATUS_NO_MEMORY;
    if (c->operators > EXPR_OPERATORS_MAX)
        return compiler_refuse(
            c,
            arena_format(c->arena, "The expression contains too many operators; operator count: %u",
                         c->operators));
    if (c->semantic.at != NULL)
        return compiler_refuse(c, c->semantic);
    return compiler_assemble(c, program);
}

/* ---- Operands ---- */

static struct operand take_path(struct compiler *c, const struct expr_term *term)
{
    struct operand path = {.what = OPERAND_PATH, .first = c->element_count};
    if (term->step_count > PATH_ELEMENTS_MAX)
        SEMANTIC(c, "The document path has too many nesting elements; nesting levels: %u",
                 term->step_count);
    for (uint32_t i = 0; i < MIN(term->step_count, PATH_ELEMENTS_MAX); i++) {
        const struct expr_step *step = &term->steps[i];
        struct path_element *element = &c->elements[c->element_count++];
        if (step->name.at == NULL)
            *element = (struct path_element){.a = step->index, .b = ELEMENT_INDEX};
        else
            *element = (struct path_element){.name = step->name,
                                             .a = compiler_pool(c, step->name),
                                             .b = (uint32_t)step->name.count};
        path.elements++;
    }
    return path;
}

static void emit_pooled(struct compiler *c, struct value value)
{
    emit_value(c, value, compiler_pool(c, bytes_of(value.at, value.bytes)));
}

static struct operand build_size(struct compiler *c, const struct expr_term *term)
{
    const struct expr_term *argument = term->first;
    struct operand path = {0};
    ASSERT(argument != NULL && argument->next == NULL);
    *compiler_emit(c, 1) = OP_SIZE;
    if (argument->kind != TERM_PATH) {
        SEMANTIC(c, "Operator or function requires a document path; operator or function: %s",
                 "size");
    } else {
        path = take_path(c, argument);
        emit_path(c, &path);
    }
    return (struct operand){.what = OPERAND_SIZE, .type = VALUE_N, .function = FUNCTION_SIZE};
}

static struct operand build_operand(struct compiler *c, const struct expr_term *term)
{
    struct operand operand = {.what = OPERAND_FUNCTION, .function = FUNCTION_NONE};
    switch (term->kind) {
    case TERM_PATH:
        operand = take_path(c, term);
        emit_path(c, &operand);
        break;
    case TERM_VALUE:
        emit_pooled(c, term->value);
        operand = (struct operand){
            .what = OPERAND_VALUE, .type = value_type(term->value), .value = term->value};
        break;
    case TERM_SIZE:
        c->operators++;
        operand = build_size(c, term);
        break;
    default:
        SEMANTIC(c, "%s", "An operand of a comparison must be an attribute or a value");
        break;
    }
    return operand;
}

/* ---- Conditions ---- */

static enum op term_op(enum expr_term_kind kind)
{
    switch (kind) {
    case TERM_BETWEEN:
        return OP_BETWEEN;
    case TERM_IN:
        return OP_IN;
    case TERM_EXISTS:
        return OP_EXISTS;
    case TERM_NOT_EXISTS:
        return OP_NOT_EXISTS;
    case TERM_TYPE:
        return OP_TYPE;
    case TERM_BEGINS_WITH:
        return OP_BEGINS_WITH;
    case TERM_CONTAINS:
        return OP_CONTAINS;
    default:
        return OP_EQ + (kind - TERM_EQ);
    }
}

static void check_term(struct compiler *c, enum op op, const struct operand *operands,
                       uint32_t count)
{
    switch (op) {
    case OP_EXISTS:
        check_function(c, FUNCTION_ATTRIBUTE_EXISTS, operands, count);
        break;
    case OP_NOT_EXISTS:
        check_function(c, FUNCTION_ATTRIBUTE_NOT_EXISTS, operands, count);
        break;
    case OP_TYPE:
        check_function(c, FUNCTION_ATTRIBUTE_TYPE, operands, count);
        break;
    case OP_BEGINS_WITH:
        check_function(c, FUNCTION_BEGINS_WITH, operands, count);
        break;
    case OP_CONTAINS:
        check_function(c, FUNCTION_CONTAINS, operands, count);
        break;
    case OP_BETWEEN:
        check_comparison(c, op, operands, count);
        check_between(c, &operands[1], &operands[2]);
        break;
    default:
        check_comparison(c, op, operands, count);
        break;
    }
}

static void build_in(struct compiler *c, const struct expr_term *term, uint32_t head)
{
    struct operand first = build_operand(c, term->first);
    uint32_t count = 0;
    for (const struct expr_term *below = term->first->next; below != NULL; below = below->next) {
        struct operand other = build_operand(c, below);
        check_in(c, &first, &other);
        count++;
    }
    if (count == 0 || count > EXPR_IN_MAX)
        SEMANTIC(c, "The IN operator is provided with too %s operands; number of operands: %u",
                 count == 0 ? "few" : "many", count);
    c->code[head] = OP_IN;
    c->code[head + 1] = (uint8_t)(1 + MIN(count, EXPR_IN_MAX));
}

static void build_operation(struct compiler *c, const struct expr_term *term)
{
    uint32_t head = c->code_count, count = 0;
    c->operators++;
    put_u16(compiler_emit(c, 2), 0);
    if (term->kind == TERM_IN) {
        build_in(c, term, head);
        return;
    }
    enum op op = term_op(term->kind);
    struct operand operands[3] = {0};
    for (const struct expr_term *below = term->first; below != NULL; below = below->next) {
        struct operand operand = build_operand(c, below);
        operands[MIN(count, 2u)] = operand;
        count++;
    }
    check_term(c, op, operands, count);
    c->code[head] = (uint8_t)op;
    c->code[head + 1] = (uint8_t)count;
}

static void build_condition(struct compiler *c, const struct expr_term *term);

/* Each jump but the last goes to the end, too; until then they hold where the one before is. */
static void build_junction(struct compiler *c, const struct expr_term *term)
{
    uint32_t jump = UINT32_MAX;
    for (const struct expr_term *below = term->first; below != NULL; below = below->next) {
        build_condition(c, below);
        if (below->next == NULL)
            break;
        c->operators++;
        uint32_t at = c->code_count;
        uint8_t *to = compiler_emit(c, JUMP_BYTES);
        to[0] = term->kind == TERM_AND ? OP_JUMP_IF_FALSE : OP_JUMP_IF_TRUE;
        put_u32(to + 1, jump);
        jump = at;
    }
    while (jump != UINT32_MAX && !c->no_memory) {
        uint32_t before = get_u32(c->code + jump + 1);
        put_u32(c->code + jump + 1, c->code_count - jump - JUMP_BYTES);
        jump = before;
    }
}

static void build_condition(struct compiler *c, const struct expr_term *term)
{
    switch (term->kind) {
    case TERM_AND:
    case TERM_OR:
        build_junction(c, term);
        break;
    case TERM_NOT:
        c->operators++;
        build_condition(c, term->first);
        *compiler_emit(c, 1) = OP_NOT;
        break;
    case TERM_PATH:
    case TERM_VALUE:
    case TERM_SIZE:
    case TERM_LIST_APPEND:
    case TERM_ADD:
    case TERM_SUBTRACT:
        SEMANTIC(c, "%s", "An attribute or a value is not a condition");
        break;
    default:
        build_operation(c, term);
        break;
    }
}

enum status expr_build_condition(struct arena *arena, enum expr_kind kind,
                                 const struct expr_term *term, struct expr_program *program,
                                 struct expr_fault *fault)
{
    struct compiler c;
    struct extent extent = {0};
    measure(term, 1, &extent);
    TRY(build_open(&c, arena, kind, &extent, fault));
    build_condition(&c, term);
    return build_finish(&c, program);
}

/* ---- Updates ---- */

/* A right-hand side but a sum: what it pushes, and what it is. */
static struct operand build_value(struct compiler *c, const struct expr_term *term,
                                  uint32_t *pushes)
{
    if (term->kind != TERM_LIST_APPEND) {
        if (term->kind != TERM_PATH && term->kind != TERM_VALUE)
            SEMANTIC(c, "%s", "The right-hand side of SET has too many operators");
        ++*pushes;
        return build_operand(c, term);
    }
    struct operand arguments[2];
    c->operators++;
    arguments[0] = build_value(c, term->first, pushes);
    arguments[1] = build_value(c, term->first->next, pushes);
    check_function(c, FUNCTION_LIST_APPEND, arguments, 2);
    *compiler_emit(c, 1) = OP_APPEND;
    return (struct operand){
        .what = OPERAND_FUNCTION, .function = FUNCTION_LIST_APPEND, .type = VALUE_L};
}

static void build_set(struct compiler *c, const struct expr_term *term, uint32_t *pushes)
{
    if (term->kind != TERM_ADD && term->kind != TERM_SUBTRACT) {
        (void)build_value(c, term, pushes);
        return;
    }
    bool plus = term->kind == TERM_ADD;
    c->operators++;
    struct operand left = build_value(c, term->first, pushes);
    struct operand right = build_value(c, term->first->next, pushes);
    check_operand_type(c, plus ? "+" : "-", left.type, TYPE_BIT(VALUE_N));
    check_operand_type(c, plus ? "+" : "-", right.type, TYPE_BIT(VALUE_N));
    *compiler_emit(c, 1) = plus ? OP_ADD : OP_SUBTRACT;
}

static struct action build_assignment(struct compiler *c, const struct expr_assignment *assignment)
{
    static const uint8_t verbs[] = {[ASSIGN_SET] = VERB_SET,
                                    [ASSIGN_REMOVE] = VERB_REMOVE,
                                    [ASSIGN_ADD] = VERB_ADD,
                                    [ASSIGN_DELETE] = VERB_DELETE};
    struct operand path = take_path(c, assignment->path);
    uint32_t code_at = c->code_count, pushes = 0;
    if (assignment->verb == ASSIGN_SET) {
        build_set(c, assignment->value, &pushes);
    } else if (assignment->verb != ASSIGN_REMOVE) {
        ASSERT(assignment->value->kind == TERM_VALUE);
        emit_pooled(c, assignment->value->value);
        pushes = 1;
    }
    c->pushes = MAX(c->pushes, pushes);
    return (struct action){.first = path.first,
                           .code_at = code_at,
                           .code_bytes = c->code_count - code_at,
                           .elements = (uint8_t)path.elements,
                           .verb = verbs[assignment->verb]};
}

enum status expr_build_update(struct arena *arena, const struct expr_assignment *assignments,
                              uint32_t count, struct expr_program *program,
                              struct expr_fault *fault)
{
    struct compiler c;
    struct extent extent = {0};
    ASSERT(count > 0 && count <= UINT16_MAX);
    for (uint32_t i = 0; i < count; i++) {
        measure(assignments[i].path, 1, &extent);
        if (assignments[i].value != NULL)
            measure(assignments[i].value, 1, &extent);
    }
    TRY(build_open(&c, arena, EXPR_UPDATE, &extent, fault));
    struct action *actions = arena_alloc_array(arena, count, sizeof(*actions));
    if (actions == NULL)
        return STATUS_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++) {
        actions[i] = build_assignment(&c, &assignments[i]);
        actions[i].order = (uint16_t)i;
    }
    if (c.no_memory || c.pushes > UINT16_MAX)
        return STATUS_NO_MEMORY;
    TRY(compile_tree(&c, actions, count));
    return build_finish(&c, program);
}

struct value expr_find(const struct expr_step *steps, uint32_t count, struct value item)
{
    struct value at = item;
    for (uint32_t i = 0; i < count; i++) {
        struct value below;
        bool index = steps[i].name.at == NULL;
        if (value_type(at) != (index ? VALUE_L : VALUE_M))
            return VALUE_ABSENT;
        if (index ? !value_at(at, steps[i].index, &below) : !value_find(at, steps[i].name, &below))
            return VALUE_ABSENT;
        at = below;
    }
    return at;
}
