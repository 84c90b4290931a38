/* Writes and reads by key: what of a WHERE is the key, and what is the condition. */
#include "request/partiql_plan_private.h"

#define NO_KEY "Where clause does not contain a mandatory equality on all key attributes"

struct expr_term *plan_term(struct arena *arena, enum expr_term_kind kind, struct expr_term *first)
{
    struct expr_term *term = arena_alloc_zero(arena, sizeof(*term));
    if (term != NULL) {
        term->kind = kind;
        term->first = first;
    }
    return term;
}

struct expr_term *plan_copy(struct arena *arena, const struct expr_term *term)
{
    struct expr_term *copy = arena_alloc(arena, sizeof(*copy));
    if (copy != NULL) {
        *copy = *term;
        copy->next = NULL;
    }
    return copy;
}

struct expr_term *plan_attribute(struct arena *arena, const struct key_attribute *attribute)
{
    struct expr_term *path = plan_term(arena, TERM_PATH, NULL);
    struct expr_step *step = arena_alloc_zero(arena, sizeof(*step));
    if (path == NULL || step == NULL)
        return NULL;
    step->name = attribute->name;
    path->steps = step;
    path->step_count = 1;
    return path;
}

bool plan_is_attribute(const struct expr_term *term, const struct key_attribute *attribute)
{
    return term->kind == TERM_PATH && term->step_count == 1 && attribute->type != VALUE_NONE &&
           bytes_equal(term->steps[0].name, attribute->name);
}

bool plan_compares(const struct expr_term *term, const struct key_attribute *attribute)
{
    if (term->first == NULL || !plan_is_attribute(term->first, attribute))
        return false;
    for (const struct expr_term *other = term->first->next; other != NULL; other = other->next) {
        if (other->kind != TERM_VALUE)
            return false;
    }
    return true;
}

const struct expr_term *plan_first_conjunct(const struct expr_term *where)
{
    return where != NULL && where->kind == TERM_AND ? where->first : where;
}

const struct expr_term *plan_next_conjunct(const struct expr_term *where,
                                           const struct expr_term *conjunct)
{
    return where->kind == TERM_AND ? conjunct->next : NULL;
}

enum status plan_check_type(const struct key_attribute *attribute, struct value value,
                            struct error *error)
{
    if (value_type(value) == attribute->type)
        return STATUS_OK;
    return error_set(error, ERROR_VALIDATION,
                     "Key attribute's data type should match its data type in table's schema");
}

enum status plan_build(struct arena *arena, enum expr_kind kind, const struct expr_term *term,
                       struct expr_program *program, struct error *error)
{
    struct expr_fault fault = {0};
    if (term == NULL)
        return error_internal(error, STATUS_NO_MEMORY);
    enum status status = expr_build_condition(arena, kind, term, program, &fault);
    if (status == STATUS_INVALID)
        *error = (struct error){.code = ERROR_VALIDATION, .message = fault.message};
    else if (status != STATUS_OK)
        (void)error_internal(error, status);
    return status;
}

/* ---- Keys ---- */

/* The first condition that says what a key attribute is; NULL: none. */
static const struct expr_term *find_equality(const struct expr_term *where,
                                             const struct key_attribute *attribute)
{
    for (const struct expr_term *c = plan_first_conjunct(where); c != NULL;
         c = plan_next_conjunct(where, c)) {
        if (c->kind == TERM_EQ && plan_compares(c, attribute))
            return c;
    }
    return NULL;
}

/* What a WHERE says of the key. */
struct key_terms {
    const struct expr_term *partition, *sort; /* sort == NULL: the table has none */
};

static bool find_key(const struct expr_term *where, const struct key_schema *schema,
                     struct key_terms *key)
{
    bool has_sort = schema->sort.type != VALUE_NONE;
    key->partition = find_equality(where, &schema->partition);
    key->sort = has_sort ? find_equality(where, &schema->sort) : NULL;
    return key->partition != NULL && (!has_sort || key->sort != NULL);
}

static enum status make_key(struct arena *arena, const struct key_schema *schema,
                            const struct key_terms *terms, struct value *key, struct error *error)
{
    struct value partition = terms->partition->first->next->value, sort = VALUE_ABSENT, written;
    size_t bytes = schema->partition.name.count + partition.bytes + 32;
    TRY(plan_check_type(&schema->partition, partition, error));
    if (terms->sort != NULL) {
        sort = terms->sort->first->next->value;
        bytes += schema->sort.name.count + sort.bytes + 32;
        TRY(plan_check_type(&schema->sort, sort, error));
    }
    struct buffer buffer;
    struct value_writer w;
    buffer_init(&buffer, arena->heap, 2 * bytes); /* sorting takes as much again */
    value_writer_init(&w, &buffer);
    value_write_begin(&w, VALUE_M);
    value_write_name(&w, schema->partition.name);
    value_write_value(&w, partition);
    if (terms->sort != NULL) {
        value_write_name(&w, schema->sort.name);
        value_write_value(&w, sort);
    }
    value_write_end(&w);
    enum status status = value_writer_finish(&w, &written);
    struct bytes copy = {0};
    if (status == STATUS_OK)
        copy = arena_copy(arena, bytes_of(written.at, written.bytes));
    *key = (struct value){copy.at, (uint32_t)copy.count};
    buffer_release(&buffer);
    return copy.at == NULL ? error_internal(error, STATUS_NO_MEMORY) : STATUS_OK;
}

enum status partiql_plan_get(struct arena *arena, const struct partiql_statement *statement,
                             const struct key_schema *schema, struct value *key,
                             struct error *error)
{
    struct key_terms terms;
    uint32_t count = 0;
    if (statement->index.at != NULL || statement->order_count > 0 ||
        !find_key(statement->where, schema, &terms))
        return STATUS_NOT_FOUND;
    for (const struct expr_term *c = plan_first_conjunct(statement->where); c != NULL;
         c = plan_next_conjunct(statement->where, c))
        count++;
    if (count != (terms.sort == NULL ? 1 : 2))
        return STATUS_NOT_FOUND;
    return make_key(arena, schema, &terms, key, error);
}

/* ---- Writes ---- */

/* What a WHERE says but the key, behind `*last`; *none: nothing. */
static enum status take_rest(struct arena *arena, const struct expr_term *where,
                             const struct key_terms *key, struct expr_term *last, bool *none)
{
    *none = true;
    for (const struct expr_term *c = plan_first_conjunct(where); c != NULL;
         c = plan_next_conjunct(where, c)) {
        if (c == key->partition || c == key->sort)
            continue;
        last->next = plan_copy(arena, c);
        if (last->next == NULL)
            return STATUS_NO_MEMORY;
        last = last->next;
        *none = false;
    }
    return STATUS_OK;
}

/* An UPDATE changes an item that is there, and an EXISTS finds one (`present`); a DELETE of one
 * that is not succeeds, whatever else it asks for (paritysuite/dynamodb-conformance,
 * executeStatement). */
static enum status write_condition(struct arena *arena, bool present, const struct expr_term *where,
                                   const struct key_schema *schema, const struct key_terms *key,
                                   struct expr_program *condition, struct error *error)
{
    struct expr_term *path = plan_attribute(arena, &schema->partition);
    struct expr_term *there = plan_term(arena, present ? TERM_EXISTS : TERM_NOT_EXISTS, path);
    struct expr_term head = {0}, *whole;
    bool none;
    if (path == NULL || there == NULL || take_rest(arena, where, key, &head, &none) != STATUS_OK)
        return error_internal(error, STATUS_NO_MEMORY);
    if (none && !present)
        return STATUS_OK;
    if (present) {
        there->next = head.next;
        whole = plan_term(arena, TERM_AND, there);
    } else {
        there->next = plan_term(arena, TERM_AND, head.next);
        whole = there->next == NULL ? NULL : plan_term(arena, TERM_OR, there);
    }
    return plan_build(arena, EXPR_CONDITION, whole, condition, error);
}

static enum status plan_insert(struct arena *arena, const struct partiql_statement *statement,
                               const struct key_schema *schema, struct write_request *request,
                               struct error *error)
{
    struct expr_term *path = plan_attribute(arena, &schema->partition);
    if (path == NULL)
        return error_internal(error, STATUS_NO_MEMORY);
    request->kind = WRITE_PUT;
    request->item = statement->item;
    return plan_build(arena, EXPR_CONDITION, plan_term(arena, TERM_NOT_EXISTS, path),
                      &request->condition, error);
}

enum status partiql_plan_write(struct arena *arena, const struct partiql_statement *statement,
                               const struct key_schema *schema, struct write_request *request,
                               struct error *error)
{
    struct key_terms key;
    struct expr_fault fault = {0};
    enum write_kind kind = statement->kind == PARTIQL_UPDATE   ? WRITE_UPDATE
                           : statement->kind == PARTIQL_EXISTS ? WRITE_CHECK
                                                               : WRITE_DELETE;
    if (statement->kind == PARTIQL_INSERT)
        return plan_insert(arena, statement, schema, request, error);
    if (!find_key(statement->where, schema, &key))
        return error_set(error, ERROR_VALIDATION, NO_KEY);
    request->kind = kind;
    request->return_values = statement->returned;
    TRY(make_key(arena, schema, &key, &request->item, error));
    TRY(write_condition(arena, kind != WRITE_DELETE, statement->where, schema, &key,
                        &request->condition, error));
    if (kind != WRITE_UPDATE)
        return STATUS_OK;
    enum status status = expr_build_update(arena, statement->assignments,
                                           statement->assignment_count, &request->update, &fault);
    if (status == STATUS_INVALID)
        *error = (struct error){.code = ERROR_VALIDATION, .message = fault.message};
    else if (status != STATUS_OK)
        (void)error_internal(error, status);
    return status;
}
