/* Key conditions: the restrictions on their grammar, and their match with a schema. */
#include "expr/expr_private.h"
#include "model/index.h"

/* ---- While compiling ---- */

void key_check_word(struct compiler *c, const char *word)
{
    LATE(c, "Invalid operator used in KeyConditionExpression: %s", word);
}

static bool same_name(const struct program_view *view, const uint8_t *a, const uint8_t *b)
{
    return bytes_equal(pool_bytes(view->pool, a), pool_bytes(view->pool, b));
}

/* Which of the operands is the attribute: it is alone, top-level, and where the operator wants it.
 */
void key_check_operation(struct compiler *c, enum op op, const struct operand *operands,
                         uint32_t count)
{
    const char *name = op_name(op);
    uint32_t paths = 0, path = 0;
    if (op == OP_NE) {
        key_check_word(c, name);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (operands[i].what == OPERAND_PATH) {
            paths++;
            path = i;
        }
    }
    if (paths == 0)
        LATE(c, "%s", "Invalid condition in KeyConditionExpression: No key attribute specified");
    else if (paths > 1)
        LATE(c, "%s",
             "Invalid condition in KeyConditionExpression: Multiple attribute names used in one "
             "condition");
    else if (path > 0 && (op == OP_BETWEEN || op == OP_BEGINS_WITH))
        LATE(c,
             "Invalid condition in KeyConditionExpression: %s operator must have the key attribute "
             "as its first operand",
             name);
    else if (operands[path].elements > 1)
        LATE(c, "%s",
             "Invalid KeyConditionExpression: KeyConditionExpressions cannot have conditions on "
             "nested attributes");
}

/* ---- Matching ---- */

/* One condition of the program. */
struct clause {
    const uint8_t *name; /* of the attribute: its reference */
    enum op op;
    struct value operands[2];
};

/* The comparator as it reads with the attribute on the left. */
static enum op turned(enum op op)
{
    switch (op) {
    case OP_LT:
        return OP_GT;
    case OP_LE:
        return OP_GE;
    case OP_GT:
        return OP_LT;
    case OP_GE:
        return OP_LE;
    default:
        return op;
    }
}

/* Read the next condition; false: no more.  The compiler (and expr_program_check) has seen to it
 * that each has one path of one element and else values. */
static bool next_clause(const struct program_view *view, const uint8_t **at, struct clause *clause)
{
    const uint8_t *p = *at;
    while (p < view->end && *p == OP_JUMP_IF_FALSE)
        p += 5;
    if (p == view->end)
        return false;
    *clause = (struct clause){.op = (enum op)p[0]};
    unsigned count = p[1], values = 0;
    p += 2;
    for (unsigned i = 0; i < count; i++) {
        if (*p == OP_PATH) {
            clause->name = p + 2;
            clause->op = i == 0 ? clause->op : turned(clause->op);
            p += 2 + ELEMENT_BYTES;
            continue;
        }
        struct bytes value = pool_bytes(view->pool, p + 1);
        clause->operands[values++] = (struct value){value.at, (uint32_t)value.count};
        p += 9;
    }
    *at = p;
    return true;
}

void key_check_duplicates(struct compiler *c, const struct expr_program *program)
{
    struct program_view view = program_view(program);
    const uint8_t *at = view.code, *other;
    struct clause a, b;
    while (next_clause(&view, &at, &a)) {
        for (other = at; next_clause(&view, &other, &b);) {
            if (same_name(&view, a.name, b.name))
                LATE(
                    c, "%s",
                    "Invalid KeyConditionExpression: KeyConditionExpressions must only contain one "
                    "condition per key");
        }
    }
}

static enum status refuse(struct expr_fault *fault, struct bytes message)
{
    if (message.at == NULL)
        return STATUS_NO_MEMORY;
    fault->message = message;
    return STATUS_INVALID;
}

#define REFUSE(...) refuse(fault, arena_format(arena, __VA_ARGS__))

static enum status refuse_long(bool partition, struct arena *arena, struct expr_fault *fault)
{
    if (partition)
        return REFUSE(INVALID_VALUES
                      "Size of hashkey has exceeded the maximum size limit of%u bytes",
                      KEY_PARTITION_BYTES_MAX);
    return REFUSE(INVALID_VALUES
                  "Aggregated size of all range keys has exceeded the size limit of %u bytes",
                  KEY_SORT_BYTES_MAX);
}

static enum status check_operand(const struct key_attribute *attribute, const struct clause *clause,
                                 struct value operand, bool partition, struct arena *arena,
                                 struct expr_fault *fault)
{
    if (value_type(operand) != attribute->type ||
        (clause->op == OP_BEGINS_WITH && attribute->type == VALUE_N))
        return REFUSE("%s", INVALID_VALUES "Condition parameter type does not match schema type");
    if (attribute->type == VALUE_N)
        return STATUS_OK;
    size_t count = value_bytes(operand).count;
    if (count == 0 && clause->op == OP_EQ)
        return REFUSE("One or more parameter values are not valid. The AttributeValue for a key "
                      "attribute cannot contain an empty %s value. Key: %.*s",
                      attribute->type == VALUE_S ? "string" : "binary",
                      BYTES_ARGS(attribute->name));
    if (count > (partition ? KEY_PARTITION_BYTES_MAX : KEY_SORT_BYTES_MAX))
        return refuse_long(partition, arena, fault);
    return STATUS_OK;
}

static enum sort_operator sort_operator(enum op op)
{
    switch (op) {
    case OP_LT:
        return SORT_LT;
    case OP_LE:
        return SORT_LE;
    case OP_GT:
        return SORT_GT;
    case OP_GE:
        return SORT_GE;
    case OP_BETWEEN:
        return SORT_BETWEEN;
    case OP_BEGINS_WITH:
        return SORT_BEGINS;
    default:
        return SORT_EQ;
    }
}

static enum status missed(struct bytes name, struct arena *arena, struct expr_fault *fault)
{
    return REFUSE("Query condition missed key schema element: %.*s", BYTES_ARGS(name));
}

enum status expr_key_condition(const struct expr_program *program, const struct key_schema *schema,
                               struct arena *arena, struct key_condition *condition,
                               struct expr_fault *fault)
{
    struct program_view view = program_view(program);
    const uint8_t *at = view.code;
    struct clause clause, partition = {0}, sort = {0};
    uint32_t count = 0, attributes = schema->sort.type == VALUE_NONE ? 1 : 2;
    for (; next_clause(&view, &at, &clause); count++) {
        struct bytes name = pool_bytes(view.pool, clause.name);
        if (bytes_equal(name, schema->partition.name))
            partition = clause;
        else if (attributes == 2 && bytes_equal(name, schema->sort.name))
            sort = clause;
    }
    if (count > attributes)
        return REFUSE("The number of query conditions (%u) exceeds the number of key attributes "
                      "defined in the schema (%u)",
                      count, attributes);
    if (partition.name == NULL)
        return missed(schema->partition.name, arena, fault);
    if (count == 2 && sort.name == NULL)
        return missed(schema->sort.name, arena, fault);
    if (partition.op != OP_EQ)
        return REFUSE("%s", "Query key condition not supported");
    TRY(check_operand(&schema->partition, &partition, partition.operands[0], true, arena, fault));
    *condition = (struct key_condition){.partition = partition.operands[0], .sort = SORT_ANY};
    if (sort.name == NULL)
        return STATUS_OK;
    for (unsigned i = 0; i < (sort.op == OP_BETWEEN ? 2u : 1u); i++)
        TRY(check_operand(&schema->sort, &sort, sort.operands[i], false, arena, fault));
    condition->sort = sort_operator(sort.op);
    condition->low = sort.operands[0];
    condition->high = sort.operands[1];
    return STATUS_OK;
}

/* ---- Global indexes ---- */

struct clauses {
    struct clause partition[INDEX_KEY_ATTRIBUTES_MAX], sort[INDEX_KEY_ATTRIBUTES_MAX];
    uint32_t count, sort_count;
};

static bool put_clause(const struct key_attribute *attributes, uint8_t count, struct bytes name,
                       const struct clause *clause, struct clause *clauses)
{
    for (uint8_t i = 0; i < count; i++) {
        if (bytes_equal(attributes[i].name, name)) {
            clauses[i] = *clause;
            return true;
        }
    }
    return false;
}

static enum status find_clauses(const struct expr_program *program,
                                const struct index_schema *index, struct clauses *clauses,
                                struct arena *arena, struct expr_fault *fault)
{
    struct program_view view = program_view(program);
    const uint8_t *at = view.code;
    struct clause clause;
    uint32_t attributes = (uint32_t)index->partition_count + index->sort_count, unknown = 0;
    *clauses = (struct clauses){0};
    for (; next_clause(&view, &at, &clause); clauses->count++) {
        struct bytes name = pool_bytes(view.pool, clause.name);
        if (put_clause(index->partition, index->partition_count, name, &clause, clauses->partition))
            continue;
        if (put_clause(index->sort, index->sort_count, name, &clause, clauses->sort))
            clauses->sort_count++;
        else
            unknown++;
    }
    if (clauses->count > attributes)
        return REFUSE("The number of query conditions (%u) exceeds the number of key attributes "
                      "defined in the schema (%u)",
                      clauses->count, attributes);
    for (uint8_t i = 0; i < index->partition_count; i++) {
        if (clauses->partition[i].name == NULL)
            return missed(index->partition[i].name, arena, fault);
    }
    /* Conditions on the sort key are on its first attributes, without a gap. */
    for (uint8_t i = 0; i < index->sort_count; i++) {
        if (clauses->sort[i].name == NULL && (i < clauses->sort_count || unknown > 0))
            return missed(index->sort[i].name, arena, fault);
    }
    return STATUS_OK;
}

enum status expr_index_condition(const struct expr_program *program,
                                 const struct index_schema *index, struct arena *arena,
                                 struct index_condition *condition, struct expr_fault *fault)
{
    struct clauses clauses;
    size_t bytes = 0; /* of the contents so far: together they are no longer than a table's key */
    TRY(find_clauses(program, index, &clauses, arena, fault));
    *condition = (struct index_condition){.sort = SORT_ANY};
    for (uint8_t i = 0; i < index->partition_count; i++) {
        const struct clause *clause = &clauses.partition[i];
        if (clause->op != OP_EQ)
            return REFUSE("%s", "Query key condition not supported");
        TRY(check_operand(&index->partition[i], clause, clause->operands[0], true, arena, fault));
        condition->partition[i] = clause->operands[0];
        bytes += key_content(clause->operands[0]).count;
    }
    if (bytes > KEY_PARTITION_BYTES_MAX)
        return refuse_long(true, arena, fault);
    bytes = 0;
    for (uint32_t i = 0; i < clauses.sort_count; i++) {
        const struct clause *clause = &clauses.sort[i];
        size_t longest = 0;
        for (unsigned o = 0; o < (clause->op == OP_BETWEEN ? 2u : 1u); o++) {
            TRY(check_operand(&index->sort[i], clause, clause->operands[o], false, arena, fault));
            longest = MAX(longest, key_content(clause->operands[o]).count);
        }
        bytes += longest;
        if (bytes > KEY_SORT_BYTES_MAX)
            return refuse_long(false, arena, fault);
        if (clause->op == OP_EQ) {
            condition->equal[condition->equal_count++] = clause->operands[0];
            continue;
        }
        if (i + 1 < clauses.sort_count) /* only the last may be a range */
            return REFUSE("%s", "Query key condition not supported");
        condition->sort = sort_operator(clause->op);
        condition->low = clause->operands[0];
        condition->high = clause->operands[1];
    }
    return STATUS_OK;
}
