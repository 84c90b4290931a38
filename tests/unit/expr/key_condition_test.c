/* Key conditions: what they match, and what the service refuses, in its words. */
#include "unit/expr/fixture.h"

#include "model/index.h"

static const char type_mismatch[] =
    "One or more parameter values were invalid: Condition parameter "
    "type does not match schema type";
static const char nested[] = "Invalid KeyConditionExpression: KeyConditionExpressions cannot have "
                             "conditions on nested attributes";
static const char twice[] =
    "Invalid KeyConditionExpression: KeyConditionExpressions must only contain "
    "one condition per key";
static const char unsupported[] = "Query key condition not supported";

/* pk is S; sk N, or with `text` set S. */
static const struct {
    const char *text, *values;
    bool sort_is_text;
    const char *expect; /* "partition operator low high", or the message */
} cases[] = {
    {"pk = :p", "{:p=\"a\"}", false, "\"a\" any absent absent"},
    {":p = pk", "{:p=\"a\"}", false, "\"a\" any absent absent"},
    {"(pk = :p)", "{:p=\"a\"}", false, "\"a\" any absent absent"},
    {"pk = :p AND sk = :s", "{:p=\"a\" :s=1}", false, "\"a\" = 1 absent"},
    {"sk < :s AND pk = :p", "{:p=\"a\" :s=1}", false, "\"a\" < 1 absent"},
    {"(pk = :p AND (sk <= :s))", "{:p=\"a\" :s=1}", false, "\"a\" <= 1 absent"},
    {"(pk = :p) AND (sk > :s)", "{:p=\"a\" :s=1}", false, "\"a\" > 1 absent"},
    {"pk = :p AND :s <= sk", "{:p=\"a\" :s=1}", false, "\"a\" >= 1 absent"},
    {"pk = :p AND :s > sk", "{:p=\"a\" :s=1}", false, "\"a\" < 1 absent"},
    {"pk = :p and sk between :s and :t", "{:p=\"a\" :s=1 :t=2}", false, "\"a\" between 1 2"},
    {"sk BETWEEN :s AND :t AND pk = :p", "{:p=\"a\" :s=1 :t=2}", false, "\"a\" between 1 2"},
    {"pk = :p AND begins_with(sk, :s)", "{:p=\"a\" :s=\"x\"}", true, "\"a\" begins \"x\" absent"},
    {"pk = :p AND begins_with(sk, :s)", "{:p=\"a\" :s=\"\"}", true, "\"a\" begins \"\" absent"},
    {"#p = :p", "{:p=\"a\"}", false, "\"a\" any absent absent"},
    /* operators */
    {"pk = :p OR sk = :s", "{:p=\"a\" :s=1}", false,
     "Invalid operator used in KeyConditionExpression: OR"},
    {"pk = :p AND NOT sk = :s", "{:p=\"a\" :s=1}", false,
     "Invalid operator used in KeyConditionExpression: NOT"},
    {"pk = :p AND sk <> :s", "{:p=\"a\" :s=1}", false,
     "Invalid operator used in KeyConditionExpression: <>"},
    {"pk = :p AND sk IN (:s)", "{:p=\"a\" :s=1}", false,
     "Invalid operator used in KeyConditionExpression: IN"},
    {"pk = :p AND contains(sk, :s)", "{:p=\"a\" :s=\"x\"}", true,
     "Invalid operator used in KeyConditionExpression: contains"},
    {"attribute_exists(pk)", NULL, true,
     "Invalid operator used in KeyConditionExpression: attribute_exists"},
    {"pk = :p AND size(sk) > :s", "{:p=\"a\" :s=1}", true,
     "Invalid operator used in KeyConditionExpression: size"},
    {"pk < :p", "{:p=\"a\"}", false, unsupported},
    {"begins_with(pk, :p)", "{:p=\"a\"}", false, unsupported},
    {"pk BETWEEN :p AND :q", "{:p=\"a\" :q=\"b\"}", false, unsupported},
    /* attributes */
    {"sk = :s", "{:s=1}", false, "Query condition missed key schema element: pk"},
    {"elsewhere = :s", "{:s=1}", false, "Query condition missed key schema element: pk"},
    {"pk = :p AND elsewhere = :s", "{:p=\"a\" :s=1}", false,
     "Query condition missed key schema element: sk"},
    {"sk = :s AND elsewhere = :s", "{:s=1}", false,
     "Query condition missed key schema element: pk"},
    {"pk = :p AND sk > :a AND sk < :b", "{:p=\"a\" :a=1 :b=2}", false, twice},
    {"pk = :p AND pk = :p", "{:p=\"a\"}", false, twice},
    {"pk = :p AND sk > :a AND extra = :b", "{:p=\"a\" :a=1 :b=2}", false,
     "The number of query conditions (3) exceeds the number of key attributes defined in the "
     "schema "
     "(2)"},
    {"pk.x = :p", "{:p=\"a\"}", false, nested},
    {"pk[0] = :p", "{:p=\"a\"}", false, nested},
    {"pk = :p AND sk.x = :p", "{:p=\"a\"}", false, nested},
    {"pk = :p AND begins_with(sk.x, :p)", "{:p=\"a\"}", false, nested},
    {"pk = :p AND sk.x BETWEEN :p AND :p", "{:p=\"a\"}", false, nested},
    {"pk = sk", NULL, false,
     "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition"},
    {":p = :p AND pk = :p", "{:p=\"a\"}", false,
     "Invalid condition in KeyConditionExpression: No key attribute specified"},
    {"pk = :p AND :s BETWEEN sk AND :s", "{:p=\"a\" :s=1}", false,
     "Invalid condition in KeyConditionExpression: BETWEEN operator must have the key attribute as "
     "its first operand"},
    /* types and sizes */
    {"pk = :p", "{:p=1}", false, type_mismatch},
    {"pk = :p AND sk = :s", "{:p=\"a\" :s=\"1\"}", false, type_mismatch},
    {"pk = :p AND sk = :s", "{:p=\"a\" :s=true}", false, type_mismatch},
    {"pk = :p AND begins_with(sk, :s)", "{:p=\"a\" :s=\"1\"}", false, type_mismatch},
    {"pk = :p AND begins_with(sk, :s)", "{:p=\"a\" :s=1}", false,
     "Invalid KeyConditionExpression: Incorrect operand type for operator or function; operator or "
     "function: begins_with, operand type: N"},
    {"pk = :p AND sk < :s", "{:p=\"a\" :s=true}", false,
     "Invalid KeyConditionExpression: Incorrect operand type for operator or function; operator or "
     "function: <, operand type: BOOL"},
    {"pk = :p AND :s >= sk", "{:p=\"a\" :s=true}", false,
     "Invalid KeyConditionExpression: Incorrect operand type for operator or function; operator or "
     "function: >=, operand type: BOOL"},
    {"pk = :p AND sk BETWEEN :s AND :t", "{:p=\"a\" :s=false :t=true}", false,
     "Invalid KeyConditionExpression: Incorrect operand type for operator or function; operator or "
     "function: BETWEEN, operand type: BOOL"},
    {"pk = :p AND sk BETWEEN :s AND :t", "{:p=\"a\" :s=5 :t=3}", false,
     "Invalid KeyConditionExpression: The BETWEEN operator requires upper bound to be greater than "
     "or "
     "equal to lower bound; lower bound operand: AttributeValue: {N:5}, upper bound operand: "
     "AttributeValue: {N:3}"},
    {"pk = :p AND sk BETWEEN :s AND :t", "{:p=\"a\" :s=5 :t=\"x\"}", false,
     "Invalid KeyConditionExpression: The BETWEEN operator requires same data type for lower and "
     "upper bounds; lower bound operand: AttributeValue: {N:5}, upper bound operand: "
     "AttributeValue: "
     "{S:x}"},
    {"pk = :p", "{:p=\"\"}", false,
     "One or more parameter values are not valid. The AttributeValue for a key attribute cannot "
     "contain an empty string value. Key: pk"},
    /* order of checks: what is written first, and operands before all else */
    {"pk = :missing AND begins_with(sk, :n)", "{:n=1}", false,
     "Invalid KeyConditionExpression: An expression attribute value used in expression is not "
     "defined; attribute value: :missing"},
    {"begins_with(sk, :n) AND pk = :missing", "{:n=1}", false,
     "Invalid KeyConditionExpression: Incorrect operand type for operator or function; operator or "
     "function: begins_with, operand type: N"},
    {"pk = :p AND begins_with(sk, :n) AND sk > :s", "{:p=\"a\" :n=1 :s=\"x\"}", false,
     "Invalid KeyConditionExpression: Incorrect operand type for operator or function; operator or "
     "function: begins_with, operand type: N"},
    {"((pk = :p)) AND ((sk = :s))", "{:p=\"a\" :s=1}", false,
     "Invalid KeyConditionExpression: The expression has redundant parentheses;"},
};

static const char *const operators[] = {"any", "=", "<", "<=", ">", ">=", "between", "begins"};

static const char *match(struct fixture *f, const struct expr_program *program,
                         const struct key_schema *schema)
{
    struct key_condition condition;
    struct expr_fault fault = {0};
    enum status status = expr_key_condition(program, schema, &f->arena, &condition, &fault);
    if (status != STATUS_OK) {
        assert_int_equal(status, STATUS_INVALID);
        snprintf(f->text, sizeof(f->text), "%.*s", BYTES_ARGS(fault.message));
        return f->text;
    }
    char *to = print_value(f->text, condition.partition);
    to += sprintf(to, " %s ", operators[condition.sort]);
    to = print_value(to, condition.low);
    to += sprintf(to, " ");
    to = print_value(to, condition.high);
    *to = 0;
    return f->text;
}

static void matches_and_refuses(void **state)
{
    (void)state;
    static struct fixture f;
    fixture_init(&f);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct key_schema schema = {
            {BYTES("pk"), VALUE_S},
            {BYTES("sk"), cases[i].sort_is_text ? VALUE_S : VALUE_N},
        };
        struct expr_program program;
        const char *names = strchr(cases[i].text, '#') != NULL ? "#p=pk" : NULL;
        const char *got =
            try_compile(&f, EXPR_KEY_CONDITION, cases[i].text, names, cases[i].values, &program);
        if (got == NULL)
            got = match(&f, &program, &schema);
        if (strcmp(got, cases[i].expect) != 0)
            fail_msg("%s: %s", cases[i].text, got);
        fixture_reset(&f);
    }
    fixture_release(&f);
}

static void knows_tables_without_a_sort_key(void **state)
{
    (void)state;
    static struct fixture f;
    fixture_init(&f);
    struct key_schema schema = {{BYTES("pk"), VALUE_B}, {{0}, VALUE_NONE}};
    struct expr_program program =
        must_compile(&f, EXPR_KEY_CONDITION, "pk = :p", NULL, "{:p=<00ff>}");
    assert_string_equal(match(&f, &program, &schema), "<00ff> any absent absent");
    program = must_compile(&f, EXPR_KEY_CONDITION, "pk = :p AND sk = :p", NULL, "{:p=<00ff>}");
    assert_string_equal(match(&f, &program, &schema),
                        "The number of query conditions (2) exceeds the number of key attributes "
                        "defined in the schema (1)");
    fixture_release(&f);
}

static void bounds_the_size_of_keys(void **state)
{
    (void)state;
    static struct fixture f;
    fixture_init(&f);
    struct key_schema schema = {{BYTES("pk"), VALUE_S}, {BYTES("sk"), VALUE_S}};
    static char values[4200];
    for (int over = 0; over < 2; over++) {
        snprintf(values, sizeof(values), "{:p=\"%0*d\" :s=\"%0*d\"}", 2048 + over, 0, 1024, 0);
        struct expr_program program =
            must_compile(&f, EXPR_KEY_CONDITION, "pk = :p AND sk > :s", NULL, values);
        const char *got = match(&f, &program, &schema);
        if (over)
            assert_string_equal(got,
                                "One or more parameter values were invalid: Size of hashkey has "
                                "exceeded the maximum size limit of2048 bytes");
        snprintf(values, sizeof(values), "{:p=\"%0*d\" :s=\"%0*d\"}", 2048, 0, 1024 + over, 0);
        program = must_compile(&f, EXPR_KEY_CONDITION, "pk = :p AND sk > :s", NULL, values);
        got = match(&f, &program, &schema);
        if (over)
            assert_string_equal(got,
                                "One or more parameter values were invalid: Aggregated size of "
                                "all range keys has exceeded the size limit of 1024 bytes");
        else
            assert_int_equal(got[0], '"');
    }
    fixture_release(&f);
}

static const char *match_index(struct fixture *f, const char *text, const char *values,
                               const struct index_schema *index)
{
    struct expr_program program = must_compile(f, EXPR_KEY_CONDITION, text, NULL, values);
    struct index_condition condition;
    struct expr_fault fault = {0};
    if (expr_index_condition(&program, index, &f->arena, &condition, &fault) == STATUS_OK)
        return "";
    snprintf(f->text, sizeof(f->text), "%.*s", BYTES_ARGS(fault.message));
    return f->text;
}

/* The attributes of a global index's key are together no longer than a table's. */
static void bounds_the_size_of_several_attributes(void **state)
{
    (void)state;
    static struct fixture f;
    static char values[16384];
    struct index_schema index = {.partition_count = 4, .sort_count = 4};
    const struct bytes names[] = {BYTES("a"), BYTES("b"), BYTES("c"), BYTES("d"),
                                  BYTES("e"), BYTES("f"), BYTES("g"), BYTES("h")};
    for (unsigned i = 0; i < 8; i++)
        (i < 4 ? index.partition : index.sort)[i % 4] =
            (struct key_attribute){names[i], i == 1 ? VALUE_N : VALUE_S};
    fixture_init(&f);
    const char *partition = "a = :p AND b = :n AND c = :q AND d = :q";
    for (int over = 0; over < 2; over++) { /* :n has two bytes */
        snprintf(values, sizeof(values), "{:p=\"%0*d\" :n=0 :q=\"%0*d\"}", 1047 + over, 0, 500, 0);
        assert_string_equal(match_index(&f, partition, values, &index),
                            over ? "One or more parameter values were invalid: Size of hashkey has "
                                   "exceeded the maximum size limit of2048 bytes"
                                 : "");
    }
    snprintf(values, sizeof(values), "{:p=\"%0*d\" :n=0 :q=\"%0*d\"}", 2048, 0, 2048, 0);
    assert_string_not_equal(match_index(&f, partition, values, &index), "");
    const char *sort = "a = :a AND b = :n AND c = :a AND d = :a AND e = :e AND f = :e AND g = :e "
                       "AND h BETWEEN :a AND :z";
    for (int over = 0; over < 2; over++) {
        snprintf(values, sizeof(values), "{:a=\"a\" :n=0 :e=\"%0*d\" :z=\"z%0*d\"}", 300, 0,
                 123 + over, 0);
        assert_string_equal(match_index(&f, sort, values, &index),
                            over ? "One or more parameter values were invalid: Aggregated size of "
                                   "all range keys has exceeded the size limit of 1024 bytes"
                                 : "");
    }
    fixture_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_and_refuses),
        cmocka_unit_test(knows_tables_without_a_sort_key),
        cmocka_unit_test(bounds_the_size_of_keys),
        cmocka_unit_test(bounds_the_size_of_several_attributes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
