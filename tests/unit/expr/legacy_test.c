/* Legacy parameters: a table of what each operator says and refuses, and random conditions and
 * changes against plain ones. */
#include "unit/expr/fixture.h"

#include "base/prng.h"

static const char item_text[] =
    "{pk=\"k\" n=5 s=\"hello\" b=<00ff10> t=true z=null l=[1 \"two\" [3]] m={a=1} ss=(\"x\" \"y\") "
    "ns=(1 2 3) bs=(<00> <01>) a.b=7}";

static enum comparison comparison_of(const char *name)
{
    for (enum comparison c = COMPARISON_IN; c <= COMPARISON_CONTAINS; c++) {
        if (strcmp(expr_comparison_name(c), name) == 0)
            return c;
    }
    fail_msg("%s is no operator", name);
    return 0;
}

/* A condition; `values` is a list in text, NULL: none. */
static struct expr_condition condition_of(struct fixture *f, const char *name,
                                          const char *comparison, const char *values)
{
    struct expr_condition condition = {.name = bytes_of_text(name),
                                       .comparison = comparison_of(comparison)};
    if (values == NULL)
        return condition;
    struct value list = text_value(f, values);
    struct value *at = arena_alloc_array(&f->arena, value_count(list), sizeof(*at));
    for (uint32_t i = 0; i < value_count(list); i++)
        assert_true(value_at(list, i, &at[i]));
    condition.values = at;
    condition.value_count = value_count(list);
    return condition;
}

/* NULL, or what is wrong. */
static const char *compile(struct fixture *f, enum expr_kind kind,
                           const struct expr_condition *conditions, uint32_t count, bool any,
                           struct expr_program *program)
{
    struct expr_fault fault = {0};
    enum status status =
        expr_compile_conditions(&f->arena, kind, conditions, count, any, program, &fault);
    if (status == STATUS_OK) {
        assert_true(count == 0 || expr_program_check(program->code, kind) == STATUS_OK);
        return NULL;
    }
    assert_int_equal(status, STATUS_INVALID);
    snprintf(f->text, sizeof(f->text), "%.*s", BYTES_ARGS(fault.message));
    return f->text;
}

/* ---- Conditions ---- */

static const struct {
    const char *name, *comparison, *values;
    bool holds;
} cases[] = {
    {"n", "EQ", "[5.0]", true},
    {"n", "EQ", "[\"5\"]", false},
    {"n", "NE", "[\"5\"]", true},
    {"n", "NE", "[5]", false},
    {"t", "EQ", "[true]", true},
    {"z", "EQ", "[null]", true},
    {"l", "EQ", "[[1 \"two\" [3]]]", true},
    {"m", "EQ", "[{a=1}]", true},
    {"m", "NE", "[{a=2}]", true},
    {"ss", "EQ", "[(\"y\" \"x\")]", true},
    {"ns", "NE", "[(1 2)]", true},
    {"n", "LT", "[6]", true},
    {"n", "LT", "[5]", false},
    {"n", "LE", "[5]", true},
    {"n", "GT", "[4]", true},
    {"n", "GE", "[5.01]", false},
    {"s", "LT", "[6]", false},
    {"s", "GT", "[6]", false},
    {"b", "GE", "[<00ff>]", true},
    {"n", "BETWEEN", "[5 5]", true},
    {"n", "BETWEEN", "[6 7]", false},
    {"s", "BETWEEN", "[1 2]", false},
    {"n", "IN", "[1 5 9]", true},
    {"n", "IN", "[\"5\"]", false},
    {"s", "IN", "[\"hello\"]", true},
    {"s", "BEGINS_WITH", "[\"he\"]", true},
    {"s", "BEGINS_WITH", "[\"lo\"]", false},
    {"b", "BEGINS_WITH", "[<00>]", true},
    {"n", "BEGINS_WITH", "[\"5\"]", false},
    {"s", "CONTAINS", "[\"ell\"]", true},
    {"b", "CONTAINS", "[<ff10>]", true},
    {"ss", "CONTAINS", "[\"x\"]", true},
    {"ss", "CONTAINS", "[\"z\"]", false},
    {"ns", "CONTAINS", "[2]", true},
    {"ns", "CONTAINS", "[\"2\"]", false},
    {"bs", "CONTAINS", "[<01>]", true},
    {"l", "CONTAINS", "[\"two\"]", true},
    {"l", "CONTAINS", "[3]", false},
    {"m", "CONTAINS", "[\"a\"]", false},
    {"s", "NOT_CONTAINS", "[\"ell\"]", false},
    {"s", "NOT_CONTAINS", "[\"xyz\"]", true},
    {"ss", "NOT_CONTAINS", "[\"z\"]", true},
    {"l", "NOT_CONTAINS", "[\"two\"]", false},
    {"n", "NOT_CONTAINS", "[\"5\"]", true},
    {"n", "NOT_NULL", NULL, true},
    {"z", "NOT_NULL", NULL, true},
    {"n", "NULL", NULL, false},
    {"z", "NULL", NULL, false},
    /* what is not there */
    {"x", "NULL", NULL, true},
    {"x", "NOT_NULL", "[]", false},
    {"x", "EQ", "[5]", false},
    {"x", "NE", "[5]", true},
    {"x", "LT", "[5]", false},
    {"x", "IN", "[5]", false},
    {"x", "BETWEEN", "[1 9]", false},
    {"x", "CONTAINS", "[5]", false},
    {"x", "NOT_CONTAINS", "[5]", false},
    {"x", "BEGINS_WITH", "[\"\"]", false},
    /* a name is not a path */
    {"a.b", "EQ", "[7]", true},
    {"m.a", "NOT_NULL", NULL, false},
    {"l[0]", "NOT_NULL", NULL, false},
};

static void each_operator_says_what_is_documented(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct expr_program program = {0};
        struct expr_condition condition =
            condition_of(f, cases[i].name, cases[i].comparison, cases[i].values);
        assert_null(compile(f, EXPR_CONDITION, &condition, 1, false, &program));
        if (expr_evaluate(&program, text_value(f, item_text)) != cases[i].holds)
            fail_msg("%s %s %s", cases[i].name, cases[i].comparison, cases[i].values);
        fixture_reset(f);
    }
}

#define INVALID "One or more parameter values were invalid: "

static const struct {
    const char *comparison, *values, *message;
} refused[] = {
    {"EQ", NULL, INVALID "Invalid number of argument(s) for the EQ ComparisonOperator"},
    {"EQ", "[1 2]", INVALID "Invalid number of argument(s) for the EQ ComparisonOperator"},
    {"NE", "[]", INVALID "Invalid number of argument(s) for the NE ComparisonOperator"},
    {"NULL", "[1]", INVALID "Invalid number of argument(s) for the NULL ComparisonOperator"},
    {"NOT_NULL", "[1]",
     INVALID "Invalid number of argument(s) for the NOT_NULL ComparisonOperator"},
    {"IN", "[]", INVALID "Invalid number of argument(s) for the IN ComparisonOperator"},
    {"BETWEEN", "[1]", INVALID "Invalid number of argument(s) for the BETWEEN ComparisonOperator"},
    {"CONTAINS", "[\"a\" \"b\"]",
     INVALID "Invalid number of argument(s) for the CONTAINS ComparisonOperator"},
    {"LT", "[true]", INVALID "ComparisonOperator LT is not valid for BOOL AttributeValue type"},
    {"GE", "[null]", INVALID "ComparisonOperator GE is not valid for NULL AttributeValue type"},
    {"LE", "[[1]]", INVALID "ComparisonOperator LE is not valid for L AttributeValue type"},
    {"GT", "[(1)]", INVALID "ComparisonOperator GT is not valid for NS AttributeValue type"},
    {"BEGINS_WITH", "[1]",
     INVALID "ComparisonOperator BEGINS_WITH is not valid for N AttributeValue type"},
    {"CONTAINS", "[(\"a\")]",
     INVALID "ComparisonOperator CONTAINS is not valid for SS AttributeValue type"},
    {"NOT_CONTAINS", "[{a=1}]",
     INVALID "ComparisonOperator NOT_CONTAINS is not valid for M AttributeValue type"},
    {"IN", "[1 (2)]", INVALID "ComparisonOperator IN is not valid for NS AttributeValue type"},
    {"IN", "[1 \"2\"]",
     INVALID "AttributeValues inside AttributeValueList must all be of the same type"},
    {"BETWEEN", "[1 \"2\"]",
     INVALID "AttributeValues inside AttributeValueList must all be of the same type"},
    {"BETWEEN", "[2 1]",
     "The BETWEEN condition was provided a range where the lower bound is greater than the upper "
     "bound"},
};

static void wrong_arguments_are_refused(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_COUNT(refused); i++) {
        struct expr_program program = {0};
        struct expr_condition condition =
            condition_of(f, "n", refused[i].comparison, refused[i].values);
        const char *message = compile(f, EXPR_FILTER, &condition, 1, false, &program);
        assert_non_null(message);
        assert_string_equal(message, refused[i].message);
        assert_null(program.code.at);
        fixture_reset(f);
    }
}

static void an_in_takes_a_hundred_values(void **state)
{
    struct fixture *f = *state;
    struct value values[EXPR_IN_MAX + 1], four = text_value(f, "4"), five = text_value(f, "5");
    for (uint32_t i = 0; i <= EXPR_IN_MAX; i++)
        values[i] = i == EXPR_IN_MAX - 1 ? five : four;
    struct expr_program program = {0};
    struct expr_condition condition = {BYTES("n"), COMPARISON_IN, values, EXPR_IN_MAX};
    assert_null(compile(f, EXPR_FILTER, &condition, 1, false, &program));
    assert_true(expr_evaluate(&program, text_value(f, item_text)));
    condition.value_count++;
    assert_string_equal(compile(f, EXPR_FILTER, &condition, 1, false, &program),
                        INVALID "Invalid number of argument(s) for the IN ComparisonOperator");
}

static void none_holds_always(void **state)
{
    struct fixture *f = *state;
    struct expr_program program = {0};
    assert_null(compile(f, EXPR_CONDITION, NULL, 0, true, &program));
    assert_true(expr_evaluate(&program, VALUE_ABSENT));
}

static void as_many_conditions_as_are_allowed(void **state)
{
    struct fixture *f = *state;
    struct expr_condition *conditions =
        arena_alloc_array(&f->arena, EXPR_LEGACY_MAX, sizeof(*conditions));
    for (uint32_t i = 0; i < EXPR_LEGACY_MAX; i++)
        conditions[i] =
            (struct expr_condition){.name = arena_format(&f->arena, "x%u", i),
                                    .comparison = i % 2 ? COMPARISON_NULL : COMPARISON_NOT_NULL};
    struct expr_program program = {0};
    struct value item = text_value(f, item_text);
    assert_null(compile(f, EXPR_FILTER, conditions, EXPR_LEGACY_MAX, true, &program));
    assert_true(expr_evaluate(&program, item));
    assert_null(compile(f, EXPR_FILTER, conditions, EXPR_LEGACY_MAX, false, &program));
    assert_false(expr_evaluate(&program, item));
}

/* ---- Random conditions ---- */

static const char *const names[] = {"a", "b", "c", "d"};
static const char *const item_values[] = {"1",    "2",    "\"x\"", "\"xy\"",  "<01>",      "<0102>",
                                          "true", "null", "(1 2)", "(\"x\")", "[1 \"x\"]", "{}"};
static const char *const lists[] = {"[1]",    "[2]",     "[\"x\"]", "[\"xy\"]",      "[<01>]",
                                    "[true]", "[(1 2)]", "[1 2]",   "[\"x\" \"y\"]", "[]"};

/* What `condition` says of `v`, in plain words. */
static bool plain_contains(struct value v, struct value part)
{
    enum value_type type = value_type(v);
    if (type == VALUE_S || type == VALUE_B) {
        if (value_type(part) != type)
            return false;
        struct bytes whole = value_bytes(v), inner = value_bytes(part);
        for (size_t i = 0; i + inner.count <= whole.count; i++) {
            if (memcmp(whole.at + i, inner.at, inner.count) == 0)
                return true;
        }
        return false;
    }
    if (type != VALUE_L && type != VALUE_SS && type != VALUE_NS && type != VALUE_BS)
        return false;
    struct value_cursor cursor;
    struct value element;
    value_cursor_init(&cursor, v);
    while (value_next(&cursor, NULL, &element)) {
        if (value_type(element) == value_type(part) && value_equal(element, part))
            return true;
    }
    return false;
}

static bool plain(struct value v, const struct expr_condition *c)
{
    bool there = value_type(v) != VALUE_NONE;
    struct value first = c->value_count > 0 ? c->values[0] : VALUE_ABSENT;
    bool same_type = there && value_type(v) == value_type(first);
    bool equal = same_type && value_equal(v, first);
    enum value_type type = value_type(first);
    bool ordered = same_type && (type == VALUE_N || type == VALUE_S || type == VALUE_B);
    int order = ordered ? value_compare(v, first) : 0;
    switch (c->comparison) {
    case COMPARISON_NULL:
        return !there;
    case COMPARISON_NOT_NULL:
        return there;
    case COMPARISON_EQ:
        return equal;
    case COMPARISON_NE:
        return !equal;
    case COMPARISON_LT:
        return ordered && order < 0;
    case COMPARISON_LE:
        return ordered && order <= 0;
    case COMPARISON_GT:
        return ordered && order > 0;
    case COMPARISON_GE:
        return ordered && order >= 0;
    case COMPARISON_BETWEEN:
        return ordered && order >= 0 && value_compare(v, c->values[1]) <= 0;
    case COMPARISON_IN:
        for (uint32_t i = 0; i < c->value_count; i++) {
            if (there && value_type(v) == value_type(c->values[i]) && value_equal(v, c->values[i]))
                return true;
        }
        return false;
    case COMPARISON_BEGINS_WITH:
        return same_type && bytes_start_with(value_bytes(v), value_bytes(first));
    case COMPARISON_CONTAINS:
        return there && plain_contains(v, first);
    case COMPARISON_NOT_CONTAINS:
        return there && !plain_contains(v, first);
    }
    return false;
}

static struct value random_item(struct fixture *f, struct prng *prng)
{
    char text[256] = "{";
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (prng_below(prng, 3) > 0)
            sprintf(text + strlen(text), "%s=%s ", names[i],
                    item_values[prng_below(prng, ARRAY_COUNT(item_values))]);
    }
    strcat(text, "}");
    return text_value(f, text);
}

static void random_conditions_agree_with_plain_ones(void **state)
{
    struct fixture *f = *state;
    struct prng prng;
    prng_init(&prng, 7031);
    uint32_t compiled = 0;
    for (int round = 0; round < 20000; round++) {
        struct expr_condition conditions[4];
        uint32_t count = 1 + (uint32_t)prng_below(&prng, 4);
        bool any = prng_below(&prng, 2) == 0;
        for (uint32_t i = 0; i < count; i++) {
            enum comparison comparison =
                (enum comparison)(1 + prng_below(&prng, COMPARISON_CONTAINS));
            bool bare = comparison == COMPARISON_NULL || comparison == COMPARISON_NOT_NULL;
            conditions[i] =
                condition_of(f, names[i], expr_comparison_name(comparison),
                             bare ? NULL : lists[prng_below(&prng, ARRAY_COUNT(lists))]);
        }
        struct expr_program program = {0};
        struct value item = random_item(f, &prng);
        if (compile(f, EXPR_FILTER, conditions, count, any, &program) == NULL) {
            bool expected = !any;
            for (uint32_t i = 0; i < count; i++) {
                struct value v = VALUE_ABSENT;
                (void)value_find(item, conditions[i].name, &v);
                bool one = plain(v, &conditions[i]);
                expected = any ? expected || one : expected && one;
            }
            if (expr_evaluate(&program, item) != expected)
                fail_msg("round %d: %s", round, value_text(f, item));
            compiled++;
        }
        fixture_reset(f);
    }
    assert_true(compiled > 2000);
}

/* ---- Key conditions ---- */

static void key_conditions_match_a_schema(void **state)
{
    struct fixture *f = *state;
    struct key_schema schema = {.partition = {BYTES("p"), VALUE_S}, .sort = {BYTES("s"), VALUE_N}};
    struct expr_condition both[2] = {condition_of(f, "s", "BETWEEN", "[1 3]"),
                                     condition_of(f, "p", "EQ", "[\"k\"]")};
    struct expr_program program = {0};
    struct key_condition condition;
    struct expr_fault fault = {0};
    assert_null(compile(f, EXPR_KEY_CONDITION, both, 2, false, &program));
    assert_int_equal(expr_key_condition(&program, &schema, &f->arena, &condition, &fault),
                     STATUS_OK);
    assert_int_equal(condition.sort, SORT_BETWEEN);
    assert_string_equal(value_text(f, condition.partition), "\"k\"");
    assert_string_equal(value_text(f, condition.low), "1");
    assert_string_equal(value_text(f, condition.high), "3");
    assert_null(compile(f, EXPR_KEY_CONDITION, both, 1, false, &program));
    assert_int_equal(expr_key_condition(&program, &schema, &f->arena, &condition, &fault),
                     STATUS_INVALID);
    static const char *const others[] = {"NE", "IN", "CONTAINS", "NOT_CONTAINS"};
    for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
        both[0] = condition_of(f, "s", others[i], "[1]");
        assert_string_equal(compile(f, EXPR_KEY_CONDITION, both, 2, false, &program),
                            "Attempted conditional constraint is not an indexable operation");
    }
    both[0] = condition_of(f, "s", "NULL", NULL);
    assert_string_equal(compile(f, EXPR_KEY_CONDITION, both, 2, false, &program),
                        "Attempted conditional constraint is not an indexable operation");
}

/* ---- Changes ---- */

static const char *compile_changes(struct fixture *f, const struct expr_change *changes,
                                   uint32_t count, struct expr_program *program)
{
    struct expr_fault fault = {0};
    enum status status = expr_compile_changes(&f->arena, changes, count, program, &fault);
    if (status == STATUS_OK) {
        assert_true(count == 0 || expr_program_check(program->code, EXPR_UPDATE) == STATUS_OK);
        return NULL;
    }
    assert_int_equal(status, STATUS_INVALID);
    snprintf(f->text, sizeof(f->text), "%.*s", BYTES_ARGS(fault.message));
    return f->text;
}

/* The item after it, in text, or what is wrong. */
static const char *change(struct fixture *f, const struct expr_program *program, const char *item)
{
    struct value_writer w;
    struct expr_fault fault = {0};
    struct value result;
    value_writer_init(&w, fixture_buffer(f));
    enum status status = expr_update(program, text_value(f, item), text_value(f, "{pk=\"k\"}"), &w,
                                     &f->arena, &fault);
    if (status == STATUS_INVALID) {
        snprintf(f->text, sizeof(f->text), "%.*s", BYTES_ARGS(fault.message));
        return f->text;
    }
    assert_int_equal(status, STATUS_OK);
    assert_int_equal(value_writer_finish(&w, &result), STATUS_OK);
    return value_text(f, result);
}

static const struct {
    enum change_action action;
    const char *value;    /* NULL: none */
    const char *old;      /* of the attribute; NULL: it is not there */
    const char *expected; /* the attribute after, or a message; NULL: it is not there */
} changes_made[] = {
    {CHANGE_PUT, "\"new\"", "5", "\"new\""},
    {CHANGE_PUT, "{a=[1]}", NULL, "{a=[1]}"},
    {CHANGE_DELETE, NULL, "5", NULL},
    {CHANGE_DELETE, NULL, NULL, NULL},
    {CHANGE_DELETE, "(1 9)", "(1 2)", "(2)"},
    {CHANGE_DELETE, "(1 2)", "(1 2)", NULL},
    {CHANGE_DELETE, "(1)", NULL, NULL},
    {CHANGE_DELETE, "(\"1\")", "(1)", "Type mismatch for attribute to update"},
    {CHANGE_DELETE, "(1)", "1", "Type mismatch for attribute to update"},
    {CHANGE_ADD, "2", "5", "7"},
    {CHANGE_ADD, "-2.5", NULL, "-2.5"},
    {CHANGE_ADD, "2", "\"5\"", "Type mismatch for attribute to update"},
    {CHANGE_ADD, "(3)", "(1 2)", "(1 2 3)"},
    {CHANGE_ADD, "(\"x\")", NULL, "(\"x\")"},
    {CHANGE_ADD, "(3)", "3", "Type mismatch for attribute to update"},
    {CHANGE_ADD, "[3]", "[1]", "[1 3]"},
    {CHANGE_ADD, "[3]", NULL, "[3]"},
    {CHANGE_ADD, "[3]", "(3)", "Type mismatch for attribute to update"},
    {CHANGE_ADD, "1", "99999999999999999999999999999999999999",
     "100000000000000000000000000000000000000"},
};

static void each_action_changes_an_attribute(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_COUNT(changes_made); i++) {
        char old[128] = "{pk=\"k\" z=0}", expected[128] = "{pk=\"k\" z=0}";
        struct expr_change one = {BYTES("v.w"), changes_made[i].action,
                                  text_value(f, changes_made[i].value)};
        struct expr_program program = {0};
        if (changes_made[i].old != NULL)
            snprintf(old, sizeof(old), "{pk=\"k\" v.w=%s z=0}", changes_made[i].old);
        if (changes_made[i].expected != NULL && changes_made[i].expected[0] == 'T')
            strcpy(expected, changes_made[i].expected);
        else if (changes_made[i].expected != NULL)
            snprintf(expected, sizeof(expected), "{pk=\"k\" v.w=%s z=0}", changes_made[i].expected);
        assert_null(compile_changes(f, &one, 1, &program));
        assert_string_equal(change(f, &program, old), expected);
        fixture_reset(f);
    }
}

static void wrong_changes_are_refused(void **state)
{
    struct fixture *f = *state;
    static const struct {
        enum change_action action;
        const char *value, *message;
    } wrong[] = {
        {CHANGE_PUT, NULL,
         INVALID "Only DELETE action is allowed when no attribute value is specified"},
        {CHANGE_ADD, NULL,
         INVALID "Only DELETE action is allowed when no attribute value is specified"},
        {CHANGE_ADD, "\"a\"", INVALID "ADD action is not supported for the type S"},
        {CHANGE_ADD, "<01>", INVALID "ADD action is not supported for the type B"},
        {CHANGE_ADD, "true", INVALID "ADD action is not supported for the type BOOL"},
        {CHANGE_ADD, "null", INVALID "ADD action is not supported for the type NULL"},
        {CHANGE_ADD, "{}", INVALID "ADD action is not supported for the type M"},
        {CHANGE_DELETE, "1", INVALID "DELETE action with value is not supported for the type N"},
        {CHANGE_DELETE, "[1]", INVALID "DELETE action with value is not supported for the type L"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        struct expr_program program = {0};
        struct expr_change one = {BYTES("v"), wrong[i].action, text_value(f, wrong[i].value)};
        const char *message = compile_changes(f, &one, 1, &program);
        assert_non_null(message);
        assert_string_equal(message, wrong[i].message);
    }
    struct expr_program program = {0};
    struct expr_change nameless = {BYTES(""), CHANGE_DELETE, VALUE_ABSENT};
    assert_string_equal(compile_changes(f, &nameless, 1, &program), INVALID "Empty attribute name");
    nameless.name = bytes_of(f->text, VALUE_NAME_BYTES_MAX + 1);
    assert_string_equal(compile_changes(f, &nameless, 1, &program), INVALID
                        "Attribute name has exceeded the maximum size limit of 65535 bytes");
}

static void deletions_alone_make_no_item(void **state)
{
    struct fixture *f = *state;
    struct expr_change changes[3] = {{BYTES("a"), CHANGE_DELETE, VALUE_ABSENT},
                                     {BYTES("b"), CHANGE_DELETE, text_value(f, "(1)")},
                                     {BYTES("c"), CHANGE_PUT, text_value(f, "1")}};
    struct expr_program program = {0};
    assert_false(expr_update_only_deletes(&program));
    assert_null(compile_changes(f, changes, 2, &program));
    assert_true(expr_update_only_deletes(&program));
    assert_null(compile_changes(f, changes, 3, &program));
    assert_false(expr_update_only_deletes(&program));
    program = must_compile(f, EXPR_UPDATE, "REMOVE a, b", NULL, NULL);
    assert_true(expr_update_only_deletes(&program));
    program = must_compile(f, EXPR_UPDATE, "REMOVE a SET b = c", NULL, NULL);
    assert_false(expr_update_only_deletes(&program));
}

/* Attributes "a" to "d" that hold a number, a set of small numbers as a mask, or nothing. */
struct plain_attribute {
    enum { NOTHING, NUMBER, SET } what;
    uint32_t number;
};

static void print_plain(char *to, const struct plain_attribute *attributes)
{
    sprintf(to, "{");
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        const struct plain_attribute *a = &attributes[i];
        if (a->what == NUMBER)
            sprintf(to + strlen(to), "%s=%u ", names[i], a->number);
        if (a->what != SET)
            continue;
        sprintf(to + strlen(to), "%s=(", names[i]);
        for (unsigned bit = 0; bit < 4; bit++) {
            if (a->number >> bit & 1)
                sprintf(to + strlen(to), "%u ", bit);
        }
        to[strlen(to) - 1] = ')';
        strcat(to, " ");
    }
    strcat(to, "pk=\"k\"}");
}

/* false: the types do not fit. */
static bool plain_change(struct plain_attribute *a, enum change_action action,
                         struct plain_attribute value)
{
    if (action == CHANGE_PUT) {
        *a = value;
    } else if (value.what == NOTHING) {
        a->what = NOTHING;
    } else if (action == CHANGE_ADD) {
        if (a->what != NOTHING && a->what != value.what)
            return false;
        a->number = a->what == NOTHING  ? value.number
                    : a->what == NUMBER ? a->number + value.number
                                        : (a->number | value.number);
        a->what = value.what;
    } else {
        if (a->what == NUMBER)
            return false;
        if (a->what == SET) {
            a->number &= ~value.number;
            a->what = a->number == 0 ? NOTHING : SET;
        }
    }
    return true;
}

static struct plain_attribute random_attribute(struct prng *prng, bool nothing)
{
    struct plain_attribute a = {nothing && prng_below(prng, 3) == 0 ? NOTHING
                                : prng_below(prng, 2) == 0          ? NUMBER
                                                                    : SET,
                                1 + (uint32_t)prng_below(prng, 15)};
    return a;
}

static struct value attribute_value(struct fixture *f, struct plain_attribute a)
{
    char text[64];
    struct plain_attribute four[4] = {a};
    struct value value = VALUE_ABSENT;
    print_plain(text, four);
    (void)value_find(text_value(f, text), BYTES("a"), &value);
    return value;
}

static void random_changes_agree_with_plain_ones(void **state)
{
    struct fixture *f = *state;
    struct prng prng;
    prng_init(&prng, 7032);
    for (int round = 0; round < 10000; round++) {
        struct plain_attribute attributes[4];
        struct expr_change changes[4];
        char old[128], expected[128];
        uint32_t count = 1 + (uint32_t)prng_below(&prng, 4);
        bool fits = true;
        for (size_t i = 0; i < 4; i++)
            attributes[i] = random_attribute(&prng, true);
        print_plain(old, attributes);
        for (uint32_t n = 0; n < count; n++) {
            uint32_t i = (n + 2) % 4; /* not in the order of names */
            enum change_action action = (enum change_action)(1 + prng_below(&prng, 3));
            struct plain_attribute value = random_attribute(&prng, action == CHANGE_DELETE);
            if (action == CHANGE_DELETE && value.what == NUMBER)
                value.what = SET;
            changes[n] =
                (struct expr_change){bytes_of_text(names[i]), action, attribute_value(f, value)};
            fits &= plain_change(&attributes[i], action, value);
        }
        print_plain(expected, attributes);
        struct expr_program program = {0};
        assert_null(compile_changes(f, changes, count, &program));
        const char *result = change(f, &program, old);
        assert_string_equal(result, fits ? expected : "Type mismatch for attribute to update");
        fixture_reset(f);
    }
}

/* ---- Names ---- */

static void attributes_to_get_are_a_projection(void **state)
{
    struct fixture *f = *state;
    struct bytes wanted[] = {BYTES("s"), BYTES("m.a"), BYTES("a.b"), BYTES("l"), BYTES("")};
    struct expr_program program = {0};
    struct expr_fault fault = {0};
    struct value_writer w;
    struct value result;
    assert_int_equal(expr_compile_names(&f->arena, wanted, ARRAY_COUNT(wanted), &program, &fault),
                     STATUS_OK);
    assert_int_equal(expr_program_check(program.code, EXPR_PROJECTION), STATUS_OK);
    value_writer_init(&w, fixture_buffer(f));
    expr_project(&program, text_value(f, item_text), &w);
    assert_int_equal(value_writer_finish(&w, &result), STATUS_OK);
    assert_string_equal(value_text(f, result), "{a.b=7 l=[1 \"two\" [3]] s=\"hello\"}");
    wanted[4] = BYTES("m.a");
    assert_int_equal(expr_compile_names(&f->arena, wanted, ARRAY_COUNT(wanted), &program, &fault),
                     STATUS_INVALID);
    snprintf(f->text, sizeof(f->text), "%.*s", BYTES_ARGS(fault.message));
    assert_string_equal(f->text, INVALID "Duplicate value in attribute name: m.a");
}

static int set_up(void **state)
{
    struct fixture *f = malloc(sizeof(*f));
    fixture_init(f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture_release(*state);
    free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_operator_says_what_is_documented, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_arguments_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_in_takes_a_hundred_values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(none_holds_always, set_up, tear_down),
        cmocka_unit_test_setup_teardown(as_many_conditions_as_are_allowed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(random_conditions_agree_with_plain_ones, set_up, tear_down),
        cmocka_unit_test_setup_teardown(key_conditions_match_a_schema, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_action_changes_an_attribute, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_changes_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(deletions_alone_make_no_item, set_up, tear_down),
        cmocka_unit_test_setup_teardown(random_changes_agree_with_plain_ones, set_up, tear_down),
        cmocka_unit_test_setup_teardown(attributes_to_get_are_a_projection, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
