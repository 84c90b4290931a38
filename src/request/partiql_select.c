/* SELECT: a Query for each value of the partition key, when the WHERE gives them, else a Scan.
 *
 * "To ensure that a SELECT statement does not result in a full table scan, the WHERE clause
 * condition must specify a partition key. Use the equality or IN operator." (Developer Guide,
 * "PartiQL select statements for DynamoDB"; its examples have OR of equalities, too.)
 *
 * The WHERE is taken as branches, any of which may hold (it is an OR, or there is one branch), each
 * a number of conditions that all must.  Every branch that gives values of the partition key makes
 * Queries of them, one for each distinct value; what it says of the sort key narrows them.  What
 * keys cannot say is the filter.  Of several branches the filter is the whole WHERE, so that no
 * item comes twice and none too many.
 */
#include "base/assert.h"
#include "base/compiler.h"
#include "request/partiql_plan_private.h"

#define BRANCHES_MAX EXPR_OPERATORS_MAX
#define VALUES_MAX   300u /* for the partition key, of all branches, the same ones counted again */

/* What a branch says of the sort key, as a range. */
struct sort_range {
    struct value low, high; /* VALUE_ABSENT: no bound */
    bool low_open, high_open;
    bool prefix; /* begins_with(low) */
};

struct branch {
    const struct expr_term *term;
    const struct expr_term *partition; /* the condition that gives values; NULL: none */
    const struct expr_term *sort;      /* the first that narrows */
    uint32_t conjuncts, narrowing;
    bool negated; /* something says what the sort key is not */
    struct sort_range range;
};

struct occurrence {
    struct value value;
    uint32_t branch;
    bool again;  /* it came before, of whichever branch */
    bool common; /* another branch gives it, too */
};

struct planner {
    struct arena *arena;
    const struct key_schema *schema;
    struct error *error;
    struct branch *branches;
    uint32_t branch_count;
    struct occurrence *values;
    uint32_t value_count, distinct_count;
    bool shared; /* two branches give one value */
};

/* ---- The partition key ---- */

static enum status refuse_values(const struct planner *p, uint32_t count)
{
    return error_format(p->error, p->arena, ERROR_VALIDATION,
                        "The IN operator is provided with too many operands; number of operands: "
                        "%u",
                        count);
}

/* Of what is too many only the number is kept. */
static void add_value(struct planner *p, struct value value)
{
    if (p->value_count < VALUES_MAX)
        p->values[p->value_count] = (struct occurrence){.value = value, .branch = p->branch_count};
    p->value_count++;
}

/* Does a condition give values of the partition key: an equality, an IN, or an OR of such? */
static bool gives_values(const struct planner *p, const struct expr_term *term)
{
    const struct key_attribute *partition = &p->schema->partition;
    if (term->kind == TERM_EQ || term->kind == TERM_IN)
        return plan_compares(term, partition);
    if (term->kind != TERM_OR)
        return false;
    for (const struct expr_term *below = term->first; below != NULL; below = below->next) {
        if (below->kind == TERM_OR || !gives_values(p, below))
            return false;
    }
    return true;
}

static enum status take_values(struct planner *p, const struct expr_term *term)
{
    if (term->kind == TERM_OR) {
        for (const struct expr_term *below = term->first; below != NULL; below = below->next)
            TRY(take_values(p, below));
        return STATUS_OK;
    }
    for (const struct expr_term *v = term->first->next; v != NULL; v = v->next) {
        TRY(plan_check_type(&p->schema->partition, v->value, p->error));
        add_value(p, v->value);
    }
    return STATUS_OK;
}

/* ---- The sort key ---- */

static bool narrows(const struct planner *p, const struct expr_term *term)
{
    switch (term->kind) {
    case TERM_EQ:
    case TERM_LT:
    case TERM_LE:
    case TERM_GT:
    case TERM_GE:
    case TERM_BETWEEN:
        return plan_compares(term, &p->schema->sort);
    case TERM_BEGINS_WITH:
        return p->schema->sort.type != VALUE_N && plan_compares(term, &p->schema->sort);
    default:
        return false;
    }
}

static bool negates(const struct planner *p, const struct expr_term *term)
{
    if (term->kind == TERM_NE)
        return plan_compares(term, &p->schema->sort);
    return term->kind == TERM_NOT && term->first->first != NULL &&
           plan_is_attribute(term->first->first, &p->schema->sort);
}

static void raise_low(struct sort_range *range, struct value low, bool open)
{
    int by = value_type(range->low) == VALUE_NONE ? 1 : value_compare(low, range->low);
    if (by > 0)
        range->low_open = open;
    if (by > 0)
        range->low = low;
    else if (by == 0)
        range->low_open |= open;
}

static void lower_high(struct sort_range *range, struct value high, bool open)
{
    int by = value_type(range->high) == VALUE_NONE ? -1 : value_compare(high, range->high);
    if (by < 0)
        range->high_open = open;
    if (by < 0)
        range->high = high;
    else if (by == 0)
        range->high_open |= open;
}

/* A prefix stands alone: what comes with it is left to the filter. */
static void narrow(struct sort_range *range, const struct expr_term *term)
{
    struct value value = term->first->next->value;
    if (range->prefix)
        return;
    switch (term->kind) {
    case TERM_LT:
    case TERM_LE:
        lower_high(range, value, term->kind == TERM_LT);
        break;
    case TERM_GT:
    case TERM_GE:
        raise_low(range, value, term->kind == TERM_GT);
        break;
    case TERM_BEGINS_WITH:
        *range = (struct sort_range){.low = value, .prefix = true};
        break;
    case TERM_BETWEEN:
        raise_low(range, value, false);
        lower_high(range, term->first->next->next->value, false);
        break;
    default:
        raise_low(range, value, false);
        lower_high(range, value, false);
        break;
    }
}

/* Does what begins at `low` begin within the range's upper bound? */
static bool begins_below(struct value low, bool open, const struct sort_range *range)
{
    if (range->prefix)
        return value_compare(low, range->low) < 0 ||
               bytes_start_with(value_bytes(low), value_bytes(range->low));
    if (value_type(range->high) == VALUE_NONE)
        return true;
    int by = value_compare(low, range->high);
    return by < 0 || (by == 0 && !open && !range->high_open);
}

static bool overlap(const struct sort_range *a, const struct sort_range *b)
{
    return (value_type(a->low) == VALUE_NONE || begins_below(a->low, a->low_open, b)) &&
           (value_type(b->low) == VALUE_NONE || begins_below(b->low, b->low_open, a));
}

/* ---- Branches ---- */

static enum status take_sort(struct planner *p, struct branch *branch, const struct expr_term *c)
{
    for (const struct expr_term *v = c->first->next; v != NULL; v = v->next)
        TRY(plan_check_type(&p->schema->sort, v->value, p->error));
    if (branch->sort == NULL)
        branch->sort = c;
    branch->narrowing++;
    narrow(&branch->range, c);
    return STATUS_OK;
}

static enum status take_branch(struct planner *p, const struct expr_term *term)
{
    struct branch *branch = &p->branches[p->branch_count];
    *branch = (struct branch){.term = term};
    for (const struct expr_term *c = plan_first_conjunct(term); c != NULL;
         c = plan_next_conjunct(term, c)) {
        branch->conjuncts++;
        if (branch->partition == NULL && gives_values(p, c)) {
            branch->partition = c;
            TRY(take_values(p, c));
        } else if (narrows(p, c)) {
            TRY(take_sort(p, branch, c));
        } else {
            branch->negated |= negates(p, c);
        }
    }
    p->branch_count++;
    return STATUS_OK;
}

/* A WHERE that is one OR of values is one branch, too. */
static enum status take_branches(struct planner *p, const struct expr_term *where, bool *scan)
{
    bool several = where->kind == TERM_OR && !gives_values(p, where);
    uint32_t count = 1;
    for (const struct expr_term *t = several ? where->first->next : NULL; t != NULL; t = t->next)
        count++;
    *scan = count > BRANCHES_MAX; /* the filter says what is wrong */
    if (*scan)
        return STATUS_OK;
    p->branches = arena_alloc_array(p->arena, count, sizeof(*p->branches));
    p->values = arena_alloc_array(p->arena, VALUES_MAX, sizeof(*p->values));
    if (p->branches == NULL || p->values == NULL)
        return error_internal(p->error, STATUS_NO_MEMORY);
    const struct expr_term *term = several ? where->first : where;
    for (; term != NULL; term = several ? term->next : NULL) {
        TRY(take_branch(p, term));
        *scan |= p->branches[p->branch_count - 1].partition == NULL;
    }
    return STATUS_OK;
}

/* Two branches of one partition must not both take an item by its sort key. */
static enum status check_overlap(struct planner *p, const struct branch *a, const struct branch *b)
{
    bool narrowed = a->narrowing > 0 || b->narrowing > 0;
    if (!narrowed || a->negated || b->negated || !overlap(&a->range, &b->range))
        return STATUS_OK;
    return error_set(p->error, ERROR_VALIDATION,
                     "Overlapping conditions with range keys are not supported in where clause");
}

/* Longer ones are no keys, and are refused as such: it would take long to tell them apart. */
static bool same_key(struct value a, struct value b)
{
    return a.bytes <= KEY_PARTITION_BYTES_MAX + 8 && value_equal(a, b);
}

static enum status find_distinct(struct planner *p)
{
    if (p->value_count > VALUES_MAX)
        return refuse_values(p, p->value_count);
    for (uint32_t i = 0; i < p->value_count; i++) {
        struct occurrence *v = &p->values[i];
        for (uint32_t j = 0; j < i; j++) {
            struct occurrence *before = &p->values[j];
            if (!same_key(before->value, v->value))
                continue;
            v->again = true;
            if (before->branch == v->branch)
                continue;
            before->common = true;
            p->shared = true;
            TRY(check_overlap(p, &p->branches[before->branch], &p->branches[v->branch]));
        }
        p->distinct_count += !v->again;
    }
    return p->distinct_count <= PARTIQL_KEYS_MAX ? STATUS_OK : refuse_values(p, p->distinct_count);
}

/* ---- Queries ---- */

static struct expr_term *compare(struct planner *p, enum expr_term_kind kind,
                                 const struct key_attribute *attribute, struct value first,
                                 struct value second)
{
    struct expr_term *path = plan_attribute(p->arena, attribute);
    struct expr_term *one = plan_term(p->arena, TERM_VALUE, NULL);
    struct expr_term *two = plan_term(p->arena, TERM_VALUE, NULL);
    if (path == NULL || one == NULL || two == NULL)
        return NULL;
    path->next = one;
    one->value = first;
    one->next = kind == TERM_BETWEEN ? two : NULL;
    two->value = second;
    return plan_term(p->arena, kind, path);
}

/* The range as one condition; bounds that are open between two are left to the filter. */
static struct expr_term *range_term(struct planner *p, const struct branch *branch)
{
    const struct key_attribute *sort = &p->schema->sort;
    const struct sort_range *range = &branch->range;
    if (branch->narrowing == 1)
        return plan_copy(p->arena, branch->sort);
    if (range->prefix)
        return compare(p, TERM_BEGINS_WITH, sort, range->low, VALUE_ABSENT);
    if (value_type(range->high) == VALUE_NONE)
        return compare(p, range->low_open ? TERM_GT : TERM_GE, sort, range->low, VALUE_ABSENT);
    if (value_type(range->low) == VALUE_NONE || value_compare(range->low, range->high) > 0)
        return compare(p, range->high_open ? TERM_LT : TERM_LE, sort, range->high, VALUE_ABSENT);
    return compare(p, TERM_BETWEEN, sort, range->low, range->high);
}

static enum status build_query(struct planner *p, const struct occurrence *v,
                               struct expr_program *key_condition)
{
    const struct branch *branch = &p->branches[v->branch];
    struct expr_term *term = compare(p, TERM_EQ, &p->schema->partition, v->value, VALUE_ABSENT);
    if (!v->common && branch->narrowing > 0 && term != NULL) {
        struct expr_term *range = range_term(p, branch);
        term->next = range;
        term = range == NULL ? NULL : plan_term(p->arena, TERM_AND, term);
    }
    return plan_build(p->arena, EXPR_KEY_CONDITION, term, key_condition, p->error);
}

/* Put the distinct ones to the front, sorted when the statement asks for it. */
static void order_values(struct planner *p, const struct partiql_order *order)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < p->value_count; i++) {
        struct occurrence v = p->values[i];
        if (v.again)
            continue;
        uint32_t at = count++;
        while (order != NULL && at > 0) {
            int by = value_compare(p->values[at - 1].value, v.value);
            if (order->descending ? by >= 0 : by <= 0)
                break;
            p->values[at] = p->values[at - 1];
            at--;
        }
        p->values[at] = v;
    }
}

/* ---- ORDER BY ---- */

static const struct partiql_order *find_order(const struct partiql_statement *statement,
                                              const struct key_attribute *attribute)
{
    for (uint32_t i = 0; i < statement->order_count; i++) {
        if (bytes_equal(statement->orders[i].name, attribute->name))
            return &statement->orders[i];
    }
    return NULL;
}

static enum status check_order(const struct planner *p, const struct partiql_statement *statement,
                               bool scan)
{
    if (statement->order_count == 0)
        return STATUS_OK;
    if (statement->where == NULL)
        return error_set(p->error, ERROR_VALIDATION,
                         "Must have WHERE clause in the statement when using ORDER BY clause.");
    if (scan)
        return error_set(p->error, ERROR_VALIDATION,
                         "Must have at least one non-optional hash key condition in WHERE clause "
                         "when using ORDER BY clause.");
    for (uint32_t i = 0; i < statement->order_count; i++) {
        if (!key_schema_has(p->schema, statement->orders[i].name))
            return error_format(p->error, p->arena, ERROR_VALIDATION,
                                "Attribute %.*s in ORDER BY clause must be part of the primary key",
                                BYTES_ARGS(statement->orders[i].name));
    }
    bool by_partition = bytes_equal(statement->orders[0].name, p->schema->partition.name);
    if (!by_partition && p->distinct_count > 1)
        return error_set(p->error, ERROR_VALIDATION,
                         "ORDER BY the sort key needs a condition on one partition key, or the "
                         "partition key before it");
    return STATUS_OK;
}

/* ---- The plan ---- */

/* Do the key conditions say all that the branch does? */
static bool is_exact(const struct branch *branch)
{
    return branch->narrowing <= 1 && branch->conjuncts == 1 + branch->narrowing;
}

/* What the key conditions do not say. */
static enum status build_filter(struct planner *p, const struct expr_term *where,
                                struct expr_program *filter)
{
    bool exact = !p->shared;
    for (uint32_t i = 0; i < p->branch_count; i++)
        exact = exact && is_exact(&p->branches[i]);
    if (exact)
        return STATUS_OK;
    if (p->branch_count > 1)
        return plan_build(p->arena, EXPR_FILTER, where, filter, p->error);
    const struct branch *branch = &p->branches[0];
    struct expr_term head = {0}, *last = &head;
    for (const struct expr_term *c = plan_first_conjunct(where); c != NULL;
         c = plan_next_conjunct(where, c)) {
        if (c == branch->partition || (c == branch->sort && branch->narrowing == 1))
            continue;
        last->next = plan_copy(p->arena, c);
        if (last->next == NULL)
            return error_internal(p->error, STATUS_NO_MEMORY);
        last = last->next;
    }
    return plan_build(p->arena, EXPR_FILTER, plan_term(p->arena, TERM_AND, head.next), filter,
                      p->error);
}

static enum status build_queries(struct planner *p, const struct partiql_statement *statement,
                                 struct partiql_select *plan)
{
    plan->key_conditions =
        arena_alloc_zero(p->arena, p->distinct_count * sizeof(*plan->key_conditions));
    if (plan->key_conditions == NULL)
        return error_internal(p->error, STATUS_NO_MEMORY);
    const struct partiql_order *sort = find_order(statement, &p->schema->sort);
    plan->backward = sort != NULL && sort->descending;
    order_values(p, find_order(statement, &p->schema->partition));
    for (uint32_t i = 0; i < p->distinct_count; i++) {
        TRY(build_query(p, &p->values[i], &plan->key_conditions[i]));
        plan->query_count++;
    }
    return STATUS_OK;
}

enum status partiql_plan_select(struct arena *arena, const struct partiql_statement *statement,
                                const struct key_schema *schema, struct partiql_select *plan,
                                struct error *error)
{
    struct planner p = {.arena = arena, .schema = schema, .error = error};
    *plan = (struct partiql_select){.scan = true};
    if (statement->where != NULL) {
        TRY(take_branches(&p, statement->where, &plan->scan));
        if (!plan->scan)
            TRY(find_distinct(&p));
    }
    TRY(check_order(&p, statement, plan->scan));
    if (!plan->scan) {
        TRY(build_queries(&p, statement, plan));
        return build_filter(&p, statement->where, &plan->filter);
    }
    if (statement->where == NULL)
        return STATUS_OK;
    return plan_build(arena, EXPR_FILTER, statement->where, &plan->filter, error);
}
