/* PartiQL statements: the texts that are refused, and what plans of the others make of items. */
#include "unit/expr/fixture.h"

#include "request/partiql.h"

#define NAME(literal)                                                                              \
    {                                                                                              \
        (const uint8_t *)(literal), sizeof(literal) - 1                                            \
    }

static const struct key_schema hash = {{NAME("pk"), VALUE_S}, {{NULL, 0}, VALUE_NONE}};
static const struct key_schema sorted = {{NAME("pk"), VALUE_S}, {NAME("sk"), VALUE_N}};

#define BAD "Statement wasn't well formed, can't be processed: "

/* Parse with the elements of a list as parameters; NULL, or what is wrong. */
static const char *parse(struct fixture *f, const char *text, const char *parameters,
                         struct partiql_statement *statement)
{
    struct value values[16];
    uint32_t count = 0;
    struct error error = {0};
    if (parameters != NULL) {
        struct value_cursor cursor;
        value_cursor_init(&cursor, text_value(f, parameters));
        while (value_next(&cursor, NULL, &values[count]))
            count++;
    }
    enum status status =
        partiql_parse(&f->arena, bytes_of_text(text), values, count, statement, &error);
    if (status == STATUS_OK)
        return NULL;
    assert_int_equal(status, STATUS_INVALID);
    assert_int_equal(error.code, ERROR_VALIDATION);
    snprintf(f->text, sizeof(f->text), "%.*s", BYTES_ARGS(error.message));
    return f->text;
}

static const char *kept(struct fixture *f, const struct error *error)
{
    assert_int_equal(error->code, ERROR_VALIDATION);
    snprintf(f->text, sizeof(f->text), "%.*s", BYTES_ARGS(error->message));
    return f->text;
}

/* What a statement is refused with, by its parser or its plan; "": it is not. */
static const char *refusal(struct fixture *f, const char *text, const struct key_schema *schema)
{
    struct partiql_statement statement;
    struct partiql_select plan;
    struct write_request request = {0};
    struct error error = {0};
    const char *message = parse(f, text, NULL, &statement);
    if (message != NULL)
        return message;
    enum status status = statement.kind == PARTIQL_SELECT
                             ? partiql_plan_select(&f->arena, &statement, schema, &plan, &error)
                             : partiql_plan_write(&f->arena, &statement, schema, &request, &error);
    return status == STATUS_OK ? "" : kept(f, &error);
}

static const struct refusal {
    const char *text, *message;
} refusals[] = {
    /* As measured on the service: paritysuite/dynamodb-conformance, partiqlGrammar and others. */
    {"SELECT * FROM t WHERE pk = 1 foo", BAD "Unexpected token after expression"},
    {"SELECT * FROM t WHERE pk = 1 e5", BAD "Unexpected token after expression"},
    {"INSERT INTO t VALUE {'pk': 970001} foo", BAD "Unexpected token after expression"},
    {"UPDATE t SET a = 9 WHERE pk = 970002 foo", BAD "Unexpected token after expression"},
    {"DELETE FROM t WHERE pk = 970003 foo", BAD "Unexpected token after expression"},
    {"SELECT * FROM t WHERE pk = 1)", BAD "Unexpected token after expression"},
    {"DELETE FROM t WHERE pk = 970004 ORDER BY pk", BAD "Unexpected token after expression"},
    {"SELECT * FROM t ORDER BY pk WHERE pk = 1", BAD "Unexpected token after expression"},
    {"SELECT * FROM t WHERE pk = 1e2147483648", BAD},
    {"SELECT * FROM t WHERE pk = 1e99999999999", BAD},
    {"SELECT * FROM t WHERE pk = 1.5e-2147483647", BAD},
    {"SELECT * FROM t WHERE pk = 1 # note", BAD},
    {"SELECT * FROM t WHERE pk = 1 /* note", BAD},
    {"SELECT * FROM \"t", BAD},
    {"SELECT * FROM t t WHERE pk = 'x'", "Aliasing is not supported"},
    {"SELECT * FROM t AS t WHERE pk = 'x'", "Aliasing is not supported"},
    {"UPDATE t t SET a = 3 WHERE pk = 'x'", "Aliasing is not supported"},
    {"DELETE FROM t t WHERE pk = 'x'", "Aliasing is not supported"},
    {"INSERT INTO t t VALUE {'pk': 'x'}", BAD "Unexpected token after expression"},
    {"SELECT * FROM t WHERE pk = 1e126",
     "Number overflow. Attempting to store a number with magnitude larger than supported range "
     "under root"},
    {"SELECT * FROM t WHERE pk = 1e-131",
     "Number underflow. Attempting to store a number with magnitude smaller than supported range "
     "under root"},
    {"SELECT * FROM t WHERE pk = 123456789012345678901234567890123456789",
     "Attempting to store more than 38 significant digits in a Number under root"},
    {"INSERT INTO t VALUE {'pk': 970006, 'm': {'x': 1e126}}",
     "Number overflow. Attempting to store a number with magnitude larger than supported range "
     "under root.x"},
    {"INSERT INTO t VALUE {'pk': 970007, 'l': [1, 1e126]}",
     "Number overflow. Attempting to store a number with magnitude larger than supported range "
     "under root[1]"},
    {"SELECT * FROM t WHERE", BAD "Unexpected term"},
    {"SELECT * FROM t WHERE;", BAD "Unexpected term"},
    {"UPDATE t SET a = 1 WHERE", BAD "Unexpected term"},
    {"SELECT * FROM t WHERE NOT", BAD "Unexpected term"},
    {"SELECT * FROM t WHERE (", BAD "Unexpected term"},
    {"SELECT * FROM t WHERE pk = 'p1' AND",
     BAD "Missing right-hand side expression of infix operator"},
    {"SELECT * FROM t WHERE pk = 'p1' OR",
     BAD "Missing right-hand side expression of infix operator"},
    {"SELECT * FROM t WHERE ORDER BY pk", BAD "Unexpected keyword"},
    {"SELECT * FROM t WHERE pk = 'a' AND x IS FOO", BAD "Expected type name"},
    {"SELECT * FROM t WHERE IS NULL", BAD "Unexpected operator"},
    {"SELECT * FROM t WHERE pk = LIKE", BAD "Unexpected operator"},
    {"DELETE FROM", BAD "Expected identifier for simple path"},
    {"DELETE FROM WHERE pk = 'a'", BAD "Expected identifier for simple path"},
    {"SELECT * FROM", BAD "Unexpected term"},
    {"ELECT * FROM t WHERE pk = 'a'", BAD "Expected data manipulation"},
    {"UPDATE Payment-t SET active = 1 WHERE pk = 'a'", BAD "Expected data manipulation"},
    {"FROM t SET c = 1",
     "Where clause does not contain a mandatory equality on all key attributes"},
    {"FROM t WHERE a = 1 SET c = 1",
     "Where clause does not contain a mandatory equality on all key attributes"},
    {"FROM t SET c = 1 WHERE pk = 'x'", BAD "Unexpected token after expression"},
    {"SELECT * FROM \"\" WHERE pk = 'p'", "Path component cannot be an empty string"},
    {"SELECT * FROM t.\"\" WHERE pk = 'p'", "Path component cannot be an empty string"},
    {"SELECT * FROM t.\"i\".\"x\" WHERE pk = 'p'",
     "A path may contain at most 2 components in the FROM clause"},
    {"DELETE FROM t WHERE pk = 'x' RETURNING MODIFIED OLD *",
     "Invalid returning clause: RETURNING MODIFIED OLD *. Only RETURNING ALL OLD * is allowed in "
     "DELETE statements."},
    {"SELECT * FROM t WHERE pk = 'a' AND v < true",
     "Incorrect operand type for operator or function; operator or function: <, operand type: "
     "BOOL"},
    {"SELECT * FROM t WHERE attribute_exists('ss')",
     "Operator or function requires a document path; operator or function: attribute_exists"},
    {"SELECT * FROM t WHERE attribute_exists()",
     "Incorrect number of operands for operator or function; operator or function: "
     "attribute_exists, number of operands: 0"},
    {"SELECT * FROM t WHERE attribute_exists(ss, ns)",
     "Incorrect number of operands for operator or function; operator or function: "
     "attribute_exists, number of operands: 2"},
    {"SELECT attribute_exists(ss) FROM t", "Unexpected path component at 1:8:16"},
    {"SELECT * FROM t WHERE EXISTS(ss)", "Unrecognized function: exists at 1:23:6"},
    {"SELECT * FROM t\n WHERE set_add(ss, <<'x'>>) = ss",
     "Unrecognized function: set_add at 2:8:7"},
    {"SELECT * FROM t WHERE attribute_exists(m.inner)", BAD "Invalid path dot component"},
    {"UPDATE t SET b = set_add(ss, <<'x'>>) WHERE pk = 'a'",
     "The first argument to SET_ADD must equal the assignment value at 1:18:7"},
    {"UPDATE t SET ss = set_add(ss, 'x') WHERE pk = 'a'",
     "The second argument to SET_ADD must be a value with type SET at 1:27:2"},
    {"UPDATE t SET ss = set_delete(ss) WHERE pk = 'a'",
     "SET_DELETE must have exactly two arguments at 1:19:10"},
    {"UPDATE t SET ss = set_add(ss, <<'x', 'x'>>) WHERE pk = 'a'",
     "One or more parameter values were invalid: Input collection [x, x] contains duplicates."},
    {"UPDATE t SET ss = set_add(ss, <<>>) WHERE pk = 'a'", "Empty bags are not supported"},
    {"INSERT INTO t VALUE {'pk': 'x', 'ss': set_add(<<'a'>>, <<'b'>>)}",
     "Unsupported data type: set_add under key root at 1:39:7"},
    {"SELECT a.z, b.z FROM t", "Duplicate identifiers in select clause: z"},
    {"SELECT * FROM t LIMIT 2", "Unsupported clause: LIMIT"},
    {"SELECT * FROM t WHERE pk = ?", "Number of parameters in request and statement don't match."},
    {"SELECT * FROM t ORDER BY pk",
     "Must have WHERE clause in the statement when using ORDER BY clause."},
    {"SELECT * FROM t WHERE pk = 'a' ORDER BY x",
     "Attribute x in ORDER BY clause must be part of the primary key"},
    {"UPDATE t SET a = 1, a = 2 WHERE pk = 'a'",
     "Two document paths overlap with each other; must remove or rewrite one of these paths; path "
     "one: [a], path two: [a]"},
    {"SELECT * FROM t WHERE pk = 5",
     "Key attribute's data type should match its data type in table's schema"},
};

static void test_refusals(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        const char *message = refusal(f, refusals[i].text, &hash);
        if (strcmp(message, refusals[i].message) != 0)
            fail_msg("%s\n  gives   %s\n  and not %s", refusals[i].text, message,
                     refusals[i].message);
        fixture_reset(f);
    }
}

static void test_overlap(void **state)
{
    struct fixture *f = *state;
    static const char overlap[] =
        "Overlapping conditions with range keys are not supported in where clause";
    static const char *const refused[] = {
        "x = 1 OR pk = 'a' AND sk = 2",
        "x <> 1 OR pk = 'a' AND sk = 2",
        "sk > 1 OR pk = 'a' AND sk = 2",
        "sk BETWEEN 1 AND 5 OR pk = 'a' AND sk >= 5",
    };
    static const char *const run[] = {
        "NOT sk = 1 OR pk = 'a' AND sk = 2", "sk <> 1 OR pk = 'a' AND sk = 2",
        "sk = 1 OR pk = 'a' AND sk = 2",     "sk < 2 OR pk = 'a' AND sk >= 2",
        "sk > 1 OR pk = 'b' AND sk = 2",     "x = 1 OR pk = 'a' AND NOT sk = 1",
    };
    char text[200];
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        snprintf(text, sizeof(text), "SELECT * FROM t WHERE pk = 'a' AND %s", refused[i]);
        assert_string_equal(refusal(f, text, &sorted), overlap);
        fixture_reset(f);
    }
    for (size_t i = 0; i < sizeof(run) / sizeof(run[0]); i++) {
        snprintf(text, sizeof(text), "SELECT * FROM t WHERE pk = 'a' AND %s", run[i]);
        assert_string_equal(refusal(f, text, &sorted), "");
        fixture_reset(f);
    }
}

/* Does an item come of a SELECT: of one of its Queries, or of its Scan, and through its filter? */
static unsigned times_selected(struct fixture *f, const struct partiql_select *plan,
                               struct value item)
{
    unsigned times = plan->scan && expr_evaluate(&plan->filter, item);
    for (uint32_t i = 0; i < plan->query_count; i++) {
        struct key_condition condition;
        struct expr_fault fault;
        assert_int_equal(expr_program_check(plan->key_conditions[i].code, EXPR_KEY_CONDITION),
                         STATUS_OK);
        assert_int_equal(
            expr_key_condition(&plan->key_conditions[i], &sorted, &f->arena, &condition, &fault),
            STATUS_OK);
        /* As a condition the same code says whether the key is in the range. */
        uint8_t *code = arena_alloc(&f->arena, plan->key_conditions[i].code.count);
        memcpy(code, plan->key_conditions[i].code.at, plan->key_conditions[i].code.count);
        code[1] = EXPR_FILTER;
        struct expr_program range = {bytes_of(code, plan->key_conditions[i].code.count)};
        times += expr_evaluate(&range, item) && expr_evaluate(&plan->filter, item);
    }
    return times;
}

/* A WHERE, how many Queries it is (0: a Scan), and whether they need a filter. */
static const struct selection {
    const char *where;
    uint32_t queries;
    bool filter;
} selections[] = {
    {"pk = 'a'", 1, false},
    {"'a' = pk", 1, false},
    {"pk = 'a' AND sk = 2", 1, false},
    {"pk = 'a' AND sk BETWEEN 1 AND 2", 1, false},
    {"pk = 'a' AND 2 <= sk", 1, false},
    {"pk = 'a' AND sk > 0 AND sk < 3", 1, true},
    {"pk = 'a' AND sk > 2 AND sk < 1", 1, true},
    {"pk = 'a' AND v = 1", 1, true},
    {"pk = 'a' AND (v = 1 OR sk = 2)", 1, true},
    {"pk IN ['a', 'b', 'a']", 2, false},
    {"pk IN ('a', 'b') AND sk >= 2 AND NOT v = 1", 2, true},
    {"pk = 'a' OR pk = 'b'", 2, false},
    {"(pk = 'a' OR pk IN ['c']) AND v = 1", 2, true},
    {"pk = 'a' AND sk = 1 OR pk = 'b' AND sk = 2", 2, false},
    {"pk = 'a' AND sk = 1 OR pk = 'a' AND sk = 2", 1, true},
    {"pk = 'a' AND v = 1 OR pk IN ['b', 'c'] AND sk = 2", 3, true},
    {"pk = 'a' AND NOT sk = 1 OR pk = 'a' AND sk = 2", 1, true},
    {"pk > 'a'", 0, true},
    {"v = 1", 0, true},
    {"pk = 'a' OR v = 1", 0, true},
    {"NOT pk = 'a'", 0, true},
    {"pk = 'a' AND v IS NOT MISSING", 1, true},
    {"v IS MISSING OR v IS STRING", 0, true},
    {"attribute_exists(v) = false AND pk = 'b'", 1, true},
    {"v NOT IN [1, 2] AND sk NOT BETWEEN 2 AND 3", 0, true},
    {"v = 3 - 2 OR NOT NOT (v = 2)", 0, true},
};

/* Every item of a small world comes of a plan as often as of a Scan with the whole WHERE. */
static void test_selections(void **state)
{
    struct fixture *f = *state;
    static const char *const values[] = {"", " v=1", " v=2", " v=\"x\""};
    for (size_t s = 0; s < sizeof(selections) / sizeof(selections[0]); s++) {
        struct partiql_statement statement;
        struct partiql_select plan;
        struct expr_program whole;
        struct expr_fault fault = {0};
        struct error error = {0};
        char text[200];
        snprintf(text, sizeof(text), "SELECT * FROM t WHERE %s", selections[s].where);
        assert_null(parse(f, text, NULL, &statement));
        assert_int_equal(partiql_plan_select(&f->arena, &statement, &sorted, &plan, &error),
                         STATUS_OK);
        if (plan.query_count != selections[s].queries || plan.scan != (plan.query_count == 0) ||
            (plan.filter.code.count > 0) != selections[s].filter)
            fail_msg("%s: %u queries, filter %zu", text, plan.query_count, plan.filter.code.count);
        assert_int_equal(
            expr_build_condition(&f->arena, EXPR_FILTER, statement.where, &whole, &fault),
            STATUS_OK);
        assert_int_equal(expr_program_check(whole.code, EXPR_FILTER), STATUS_OK);
        for (unsigned i = 0; i < 3 * 4 * 4; i++) {
            snprintf(text, sizeof(text), "{pk=\"%c\" sk=%u%s}", 'a' + (int)(i % 3), i / 3 % 4,
                     values[i / 12]);
            struct value item = text_value(f, text);
            unsigned times = times_selected(f, &plan, item);
            if (times != (unsigned)expr_evaluate(&whole, item))
                fail_msg("%s: %s comes %u times", selections[s].where, text, times);
            if (f->buffer_count > 60)
                for (; f->buffer_count > 0; f->buffer_count--)
                    buffer_release(&f->buffers[f->buffer_count - 1]);
        }
        fixture_reset(f);
    }
}

static void test_order(void **state)
{
    struct fixture *f = *state;
    struct partiql_statement statement;
    struct partiql_select plan;
    struct error error = {0};
    struct key_condition condition;
    struct expr_fault fault;
    assert_null(parse(f, "SELECT * FROM t WHERE pk IN ['b','c','a'] ORDER BY pk DESC, sk DESC",
                      NULL, &statement));
    assert_int_equal(partiql_plan_select(&f->arena, &statement, &sorted, &plan, &error), STATUS_OK);
    assert_true(plan.backward);
    assert_int_equal(plan.query_count, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(
            expr_key_condition(&plan.key_conditions[i], &sorted, &f->arena, &condition, &fault),
            STATUS_OK);
        assert_int_equal(value_bytes(condition.partition).at[0], 'c' - (int)i);
    }
    assert_string_equal(refusal(f, "SELECT * FROM t WHERE pk IN ['a','b'] ORDER BY sk", &sorted),
                        "ORDER BY the sort key needs a condition on one partition key, or the "
                        "partition key before it");
    assert_string_equal(refusal(f, "SELECT * FROM t WHERE sk = 1 ORDER BY sk", &sorted),
                        "Must have at least one non-optional hash key condition in WHERE clause "
                        "when using ORDER BY clause.");
}

/* ---- Values ---- */

static void test_items(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text, *parameters, *item;
    } cases[] = {
        {"{'pk': 'it''s', 'n': -1.50e1, 't': TRUE, 'u': null}", NULL,
         "{n=-15 pk=\"it's\" t=true u=null}"},
        {"{'s': <<'b', 'a'>>, 'n': <<2, 1>>, 'l': [1, [], {}], 'm': {'x': [true]}}", NULL,
         "{l=[1 [] {}] m={x=[true]} n=(1 2) s=(\"a\" \"b\")}"},
        {"{'pk': ?, 'l': [?, 2]}", "[\"a\" <01>]", "{l=[<01> 2] pk=\"a\"}"},
        {"{ -- a note\n 'n': .5 /* and \n another */ }", NULL, "{n=0.5}"},
        {"?", "[{a=1}]", "{a=1}"},
        {"{}", NULL, "{}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct partiql_statement statement;
        char text[200];
        snprintf(text, sizeof(text), "insert into \"t\".i value %s;", cases[i].text);
        assert_string_equal(parse(f, text, cases[i].parameters, &statement),
                            "This operation is not supported on an index");
        snprintf(text, sizeof(text), "insert into \"a\"\"b\" value %s;", cases[i].text);
        assert_null(parse(f, text, cases[i].parameters, &statement));
        assert_true(bytes_equal(statement.table, BYTES("a\"b")));
        assert_string_equal(value_text(f, statement.item), cases[i].item);
        fixture_reset(f);
    }
}

static void test_columns(void **state)
{
    struct fixture *f = *state;
    struct partiql_statement s;
    static const char *const names[] = {"a", "k[1][0]", "l[0]", "with \"quotes\""};
    assert_null(parse(f, "SELECT a, m.k[1][0], l[0], \"with \"\"quotes\"\"\" FROM t", NULL, &s));
    assert_int_equal(s.column_count, 4);
    for (unsigned i = 0; i < 4; i++)
        assert_true(bytes_equal(s.columns[i].name, bytes_of_text(names[i])));
    struct value item = text_value(f, "{m={k=[0 [7]]}}");
    struct value found = expr_find(s.columns[1].steps, s.columns[1].step_count, item);
    assert_string_equal(value_text(f, found), "7");
    assert_int_equal(value_type(expr_find(s.columns[2].steps, 2, item)), VALUE_NONE);
}

/* ---- Writes ---- */

static const struct change {
    const char *set, *before, *after;
} changes[] = {
    {"SET a = 1", "{pk=\"k\"}", "{a=1 pk=\"k\"}"},
    {"SET a = a + 1 SET b = 5 - 2", "{a=1 pk=\"k\"}", "{a=2 b=3 pk=\"k\"}"},
    {"SET a = a - b, b = 0 REMOVE c", "{a=1 b=3 c=1 pk=\"k\"}", "{a=-2 b=0 pk=\"k\"}"},
    {"SET l = list_append(l, [1]), m.x = 'y'", "{l=[0] m={} pk=\"k\"}",
     "{l=[0 1] m={x=\"y\"} pk=\"k\"}"},
    {"SET l[0] = list_append(['x'], list_append(k, l))", "{k=[1] l=[0] pk=\"k\"}",
     "{k=[1] l=[[\"x\" 1 0]] pk=\"k\"}"},
    {"SET s = set_add(s, <<'b'>>) SET n = SET_DELETE(n, <<1, 3>>)", "{n=(1 2) pk=\"k\" s=(\"a\")}",
     "{n=(2) pk=\"k\" s=(\"a\" \"b\")}"},
    {"REMOVE m.x REMOVE l[1]", "{l=[0 1 2] m={x=1} pk=\"k\"}", "{l=[0 2] m={} pk=\"k\"}"},
};

static void test_updates(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        struct partiql_statement statement;
        struct write_request request = {0};
        struct error error = {0};
        struct expr_fault fault = {0};
        struct value_writer w;
        struct value item;
        char text[200];
        snprintf(text, sizeof(text), "UPDATE t %s WHERE pk = 'k' RETURNING MODIFIED NEW *",
                 changes[i].set);
        const char *message = parse(f, text, NULL, &statement);
        if (message != NULL)
            fail_msg("%s: %s", text, message);
        assert_int_equal(partiql_plan_write(&f->arena, &statement, &hash, &request, &error),
                         STATUS_OK);
        assert_int_equal(request.kind, WRITE_UPDATE);
        assert_int_equal(request.return_values, RETURN_UPDATED_NEW);
        assert_string_equal(value_text(f, request.item), "{pk=\"k\"}");
        assert_int_equal(expr_program_check(request.update.code, EXPR_UPDATE), STATUS_OK);
        assert_int_equal(expr_program_check(request.condition.code, EXPR_CONDITION), STATUS_OK);
        value_writer_init(&w, fixture_buffer(f));
        struct value before = text_value(f, changes[i].before);
        assert_int_equal(expr_update(&request.update, before, request.item, &w, &f->arena, &fault),
                         STATUS_OK);
        assert_int_equal(value_writer_finish(&w, &item), STATUS_OK);
        assert_string_equal(value_text(f, item), changes[i].after);
        fixture_reset(f);
    }
}

/* What the condition of a write says of an item that is not there, of one with v = 1 and of one
 * with v = 2: "010" and the like. */
static void test_conditions(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text, *holds;
    } cases[] = {
        {"INSERT INTO t VALUE {'pk': 'k'}", "100"},
        {"UPDATE t SET a = 1 WHERE pk = 'k'", "011"},
        {"UPDATE t SET a = 1 WHERE v = 1 AND 'k' = pk", "010"},
        {"UPDATE t SET a = 1 WHERE pk = 'k' AND (v = 1 OR v = 2)", "011"},
        {"UPDATE t SET a = 1 WHERE pk = 'k' AND attribute_not_exists(pk)", "000"},
        {"DELETE FROM t WHERE pk = 'k'", "111"},
        {"DELETE FROM t WHERE pk = 'k' AND v = 1", "110"},
        {"DELETE FROM t WHERE pk = 'k' AND attribute_exists(w)", "100"},
        {"EXISTS(SELECT * FROM t WHERE pk = 'k')", "011"},
        {"EXISTS(SELECT * FROM t WHERE pk = 'k' AND v = 1)", "010"},
        {"EXISTS(SELECT * FROM t WHERE pk = 'k' AND w IS MISSING)", "011"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct partiql_statement statement;
        struct write_request request = {0};
        struct error error = {0};
        const char *const items[] = {NULL, "{pk=\"k\" v=1}", "{pk=\"k\" v=2}"};
        assert_null(parse(f, cases[i].text, NULL, &statement));
        assert_int_equal(partiql_plan_write(&f->arena, &statement, &hash, &request, &error),
                         STATUS_OK);
        for (unsigned k = 0; k < 3; k++) {
            bool held = expr_evaluate(&request.condition, text_value(f, items[k]));
            if (held != (cases[i].holds[k] == '1'))
                fail_msg("%s: item %u", cases[i].text, k);
        }
        fixture_reset(f);
    }
}

static void test_gets(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *where, *key;
    } cases[] = {
        {"sk = 1 AND pk = 'a'", "{pk=\"a\" sk=1}"},
        {"pk = 'a'", NULL},
        {"pk = 'a' AND sk = 1 AND v = 1", NULL},
        {"pk = 'a' AND sk > 1", NULL},
        {"pk = 'a' OR sk = 1", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct partiql_statement statement;
        struct error error = {0};
        struct value key = VALUE_ABSENT;
        char text[200];
        snprintf(text, sizeof(text), "SELECT v FROM t WHERE %s", cases[i].where);
        assert_null(parse(f, text, NULL, &statement));
        enum status status = partiql_plan_get(&f->arena, &statement, &sorted, &key, &error);
        assert_int_equal(status, cases[i].key == NULL ? STATUS_NOT_FOUND : STATUS_OK);
        if (cases[i].key != NULL)
            assert_string_equal(value_text(f, key), cases[i].key);
        fixture_reset(f);
    }
}

/* ---- Hostile texts ---- */

static void repeat(char *to, const char *head, const char *what, unsigned times, const char *tail)
{
    to += sprintf(to, "%s", head);
    for (unsigned i = 0; i < times; i++)
        to += sprintf(to, "%s", what);
    sprintf(to, "%s", tail);
}

static void test_depth(void **state)
{
    struct fixture *f = *state;
    static char text[1 << 15];
    static const struct {
        const char *head, *what, *tail;
    } cases[] = {
        {"SELECT * FROM t WHERE ", "(", "a = 1"},
        {"SELECT * FROM t WHERE ", "NOT (a = 1 AND ", "b = 1"},
        {"SELECT * FROM t WHERE a = 1", " BETWEEN 1 AND 2", ""},
        {"SELECT * FROM t WHERE a = 1", " = false", ""},
        {"SELECT * FROM t WHERE a = 1", " IS NULL", ""},
        {"SELECT * FROM t WHERE a = 1", " IN [1]", ""},
        {"SELECT * FROM t WHERE a = 1", " OR a = 1", ""},
        {"UPDATE t SET a = b", " + b", " WHERE pk = 'a'"},
        {"UPDATE t SET a = ", "list_append(b, ", "b"},
        {"INSERT INTO t VALUE {'pk': ", "[", ""},
        {"INSERT INTO t VALUE {'pk': ", "{'a': ", ""},
        {"INSERT INTO t VALUE {'pk': ", "<<", ""},
        {"INSERT INTO t VALUE {'pk': ", "f(", ""},
        {"SELECT a", ".a", " FROM t"},
        {"SELECT a", ", a", " FROM t"},
        {"SELECT * FROM t WHERE NOT ", "NOT ", "a = 1"},
        {"UPDATE t", " REMOVE a[0]", " WHERE pk = 'a'"},
        {"SELECT * FROM t WHERE pk IN ['x'", ", 'x'", "]"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (unsigned times = 1; times < 1000; times *= 3) {
            repeat(text, cases[i].head, cases[i].what, times, cases[i].tail);
            (void)refusal(f, text, &hash); /* and it comes back */
            fixture_reset(f);
        }
    }
}

static int setup(void **state)
{
    struct fixture *f = malloc(sizeof(*f));
    fixture_init(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_release(*state);
    free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_overlap, setup, teardown),
        cmocka_unit_test_setup_teardown(test_selections, setup, teardown),
        cmocka_unit_test_setup_teardown(test_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_items, setup, teardown),
        cmocka_unit_test_setup_teardown(test_columns, setup, teardown),
        cmocka_unit_test_setup_teardown(test_updates, setup, teardown),
        cmocka_unit_test_setup_teardown(test_conditions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gets, setup, teardown),
        cmocka_unit_test_setup_teardown(test_depth, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
