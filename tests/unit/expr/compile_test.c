/* What the service refuses before it looks at an item, in its words; limits; programs as bytes. */
#include "unit/expr/fixture.h"

#include "base/prng.h"

#define C "Invalid ConditionExpression: "
#define F "Invalid FilterExpression: "
#define U "Invalid UpdateExpression: "
#define P "Invalid ProjectionExpression: "
#define K "Invalid KeyConditionExpression: "

#define OPERAND_TYPE "Incorrect operand type for operator or function; operator or function: "
#define COUNT        "Incorrect number of operands for operator or function; operator or function: "
#define WAY          "The function is not allowed to be used this way in an expression; function: "
#define DISTINCT                                                                                   \
    "The first operand must be distinct from the remaining operands for this operator or "         \
    "function; "                                                                                   \
    "operator: "
#define OVERLAP                                                                                    \
    "Two document paths overlap with each other; must remove or rewrite one of these paths; path " \
    "one: "
#define CONFLICT                                                                                   \
    "Two document paths conflict with each other; must remove or rewrite one of these paths; "     \
    "path "                                                                                        \
    "one: "

static const struct {
    enum expr_kind kind;
    const char *text, *names, *values, *message;
} cases[] = {
    /* syntax: the token, and the text from the token before to the token after */
    {EXPR_CONDITION, "a = = b", NULL, NULL, C "Syntax error; token: \"=\", near: \"= = b\""},
    {EXPR_CONDITION, "a = =", NULL, NULL, C "Syntax error; token: \"=\", near: \"= =\""},
    {EXPR_CONDITION, "a-b", NULL, NULL, C "Syntax error; token: \"-\", near: \"a-b\""},
    {EXPR_CONDITION, "a = :v AND", NULL, "{:v=1}",
     C "Syntax error; token: \"<EOF>\", near: \"AND\""},
    {EXPR_CONDITION, "a", NULL, NULL, C "Syntax error; token: \"<EOF>\", near: \"a\""},
    {EXPR_CONDITION, "(a = :v", NULL, "{:v=1}", C "Syntax error; token: \"<EOF>\", near: \":v\""},
    {EXPR_CONDITION, "a = :v)", NULL, "{:v=1}", C "Syntax error; token: \")\", near: \":v)\""},
    {EXPR_CONDITION, "(a AND b = c)", NULL, NULL,
     C "Syntax error; token: \"AND\", near: \"a AND b\""},
    {EXPR_CONDITION, "(NOT a)", NULL, NULL, C "Syntax error; token: \")\", near: \"a)\""},
    {EXPR_CONDITION, "a = b = c", NULL, NULL, C "Syntax error; token: \"=\", near: \"b = c\""},
    {EXPR_CONDITION, "a BETWEEN b OR c", NULL, NULL,
     C "Syntax error; token: \"OR\", near: \"b OR c\""},
    {EXPR_CONDITION, "a IN b", NULL, NULL, C "Syntax error; token: \"b\", near: \"IN b\""},
    {EXPR_CONDITION, "a IN ()", NULL, NULL, C "Syntax error; token: \")\", near: \"()\""},
    {EXPR_CONDITION, "size()", NULL, NULL, C "Syntax error; token: \")\", near: \"()\""},
    {EXPR_CONDITION, "a[x] = b", NULL, NULL, C "Syntax error; token: \"x\", near: \"[x]\""},
    {EXPR_CONDITION, "a[-1] = b", NULL, NULL, C "Syntax error; token: \"-\", near: \"[-1\""},
    {EXPR_CONDITION, "a. = b", NULL, NULL, C "Syntax error; token: \"=\", near: \". = b\""},
    {EXPR_CONDITION, "a == b", NULL, NULL, C "Syntax error; token: \"=\", near: \"== b\""},
    /* aws-sdk-js #1691, aws-sdk-java-v2 #3279: a name that begins with an underscore needs a '#' */
    {EXPR_UPDATE, "set _a = :v", NULL, "{:v=1}", U "Syntax error; token: \"_\", near: \"set _a\""},
    {EXPR_CONDITION, "_a = :v", NULL, "{:v=1}", C "Syntax error; token: \"_\", near: \"_a\""},
    {EXPR_CONDITION, "a AND __b", NULL, NULL, C "Syntax error; token: \"AND\", near: \"a AND _\""},
    {EXPR_KEY_CONDITION, "a = :v AND __b = :v", NULL, "{:v=1}",
     K "Syntax error; token: \"_\", near: \"AND __\""},
    {EXPR_CONDITION, "a_ = :_v AND #_ = b_c", "#_=_a", "{:_v=1}", NULL},
    {EXPR_CONDITION, "1a = b", NULL, NULL, C "Syntax error; token: \"1\", near: \"1a\""},
    {EXPR_CONDITION, "a = \"b\"", NULL, NULL, C "Syntax error; token: \"\"\", near: \"= \"b\""},
    {EXPR_CONDITION, "a = \xc3\xa9", NULL, NULL,
     C "Syntax error; token: \"\xc3\xa9\", near: \"= \xc3\xa9\""},
    {EXPR_PROJECTION, "!!", NULL, NULL, P "Syntax error; token: \"!\", near: \"!!\""},
    {EXPR_PROJECTION, "a,", NULL, NULL, P "Syntax error; token: \"<EOF>\", near: \",\""},
    {EXPR_PROJECTION, "a b", NULL, NULL, P "Syntax error; token: \"b\", near: \"a b\""},
    {EXPR_PROJECTION, ":v", NULL, "{:v=1}", P "Syntax error; token: \":v\", near: \":v\""},
    {EXPR_UPDATE, "INVALID SYNTAX HERE", NULL, "{:v=1}",
     U "Syntax error; token: \"INVALID\", near: \"INVALID SYNTAX\""},
    {EXPR_UPDATE, "ADD hits : incr", NULL, "{:incr=1}",
     U "Syntax error; token: \":\", near: \"hits : incr\""},
    {EXPR_UPDATE, "SET #as, #c = :v", "#as=a #c=c", "{:v=1}",
     U "Syntax error; token: \",\", near: \"#as, #c\""},
    {EXPR_UPDATE, "SET a = :v,", NULL, "{:v=1}", U "Syntax error; token: \"<EOF>\", near: \",\""},
    {EXPR_UPDATE, "SET a = :v + :v + :v", NULL, "{:v=1}",
     U "Syntax error; token: \"+\", near: \":v + :v\""},
    {EXPR_UPDATE, "SET a = (a + :v) + :v", NULL, "{:v=1}",
     U "Syntax error; token: \"+\", near: \") + :v\""},
    {EXPR_UPDATE, "SET a = list_append(a + :v, :v)", NULL, "{:v=[]}",
     U "Syntax error; token: \"+\", near: \"a + :v\""},
    {EXPR_UPDATE, "ADD a b", NULL, NULL, U "Syntax error; token: \"b\", near: \"a b\""},
    {EXPR_UPDATE, "REMOVE a = :v", NULL, "{:v=1}",
     U "Syntax error; token: \"=\", near: \"a = :v\""},
    {EXPR_KEY_CONDITION, "pk = :v extra", NULL, "{:v=1}",
     K "Syntax error; token: \"extra\", near: \":v extra\""},
    /* the whole */
    {EXPR_CONDITION, "", NULL, NULL, C "The expression can not be empty;"},
    {EXPR_FILTER, " \t\r\n ", NULL, NULL, F "The expression can not be empty;"},
    {EXPR_CONDITION, "((attribute_not_exists(pk)))", NULL, NULL,
     C "The expression has redundant parentheses;"},
    {EXPR_FILTER, "((a = :v)) AND b = :v", NULL, "{:v=1}",
     F "The expression has redundant parentheses;"},
    {EXPR_FILTER, "((a)) = :v", NULL, "{:v=1}", F "The expression has redundant parentheses;"},
    {EXPR_FILTER, "a = ((:v))", NULL, "{:v=1}", F "The expression has redundant parentheses;"},
    {EXPR_FILTER, "((NOT a = :v) AND (b = :v))", NULL, "{:v=1}", NULL},
    {EXPR_UPDATE, "SET a = ((b + :v))", NULL, "{:v=1}",
     U "The expression has redundant parentheses;"},
    /* names and values */
    {EXPR_UPDATE, "SET status = :v", NULL, "{:v=1}",
     U "Attribute name is a reserved keyword; reserved keyword: status"},
    {EXPR_CONDITION, "a.Zone = :v", NULL, "{:v=1}",
     C "Attribute name is a reserved keyword; reserved keyword: Zone"},
    {EXPR_PROJECTION, "ABORT", NULL, NULL,
     P "Attribute name is a reserved keyword; reserved keyword: ABORT"},
    {EXPR_PROJECTION, "a, localtimestamp", NULL, NULL,
     P "Attribute name is a reserved keyword; reserved keyword: localtimestamp"},
    {EXPR_FILTER, "#n = :v", NULL, "{:v=1}",
     F "An expression attribute name used in the document path is not defined; attribute name: #n"},
    {EXPR_PROJECTION, "a.#n.b", NULL, NULL,
     P "An expression attribute name used in the document path is not defined; attribute name: #n"},
    {EXPR_UPDATE, "SET a = :v", NULL, NULL,
     U "An expression attribute value used in expression is not defined; attribute value: :v"},
    {EXPR_CONDITION, "a = :x OR #b = :v", NULL, "{:v=1}",
     C "An expression attribute value used in expression is not defined; attribute value: :x"},
    {EXPR_PROJECTION, "a[99999999999]", NULL, NULL,
     P "List index is not within the allowable range; index: [99999999999]"},
    /* functions */
    {EXPR_FILTER, "not_contain(a, :v)", NULL, "{:v=1}",
     F "Invalid function name; function: not_contain"},
    {EXPR_CONDITION, "SIZE(a) > :v", NULL, "{:v=1}", C "Invalid function name; function: SIZE"},
    {EXPR_UPDATE, "SET a = foo(b)", NULL, NULL, U "Invalid function name; function: foo"},
    {EXPR_UPDATE, "SET a = size(b)", NULL, NULL,
     U "The function is not allowed in an update expression; function: size"},
    {EXPR_CONDITION, "if_not_exists(a, :v) = :v", NULL, "{:v=1}",
     C "The function is not allowed in a condition expression; function: if_not_exists"},
    {EXPR_FILTER, "list_append(a, :v) = :v", NULL, "{:v=[]}",
     F "The function is not allowed in a filter expression; function: list_append"},
    {EXPR_CONDITION, "size(a)", NULL, NULL, C WAY "size"},
    {EXPR_CONDITION, "a = :v AND size(a)", NULL, "{:v=1}", C WAY "size"},
    {EXPR_CONDITION, "attribute_exists(a) = :v", NULL, "{:v=true}", C WAY "attribute_exists"},
    {EXPR_CONDITION, "a IN (contains(a, :v))", NULL, "{:v=true}", C WAY "contains"},
    {EXPR_CONDITION, "contains(a, begins_with(b, :v))", NULL, "{:v=\"\"}", C WAY "begins_with"},
    {EXPR_CONDITION, "size(a, b) > :v", NULL, "{:v=1}", C COUNT "size, number of operands: 2"},
    {EXPR_CONDITION, "attribute_exists(a, b)", NULL, NULL,
     C COUNT "attribute_exists, number of operands: 2"},
    {EXPR_CONDITION, "begins_with(a)", NULL, NULL, C COUNT "begins_with, number of operands: 1"},
    {EXPR_CONDITION, "contains(a, b, c, d)", NULL, NULL, C COUNT "contains, number of operands: 4"},
    {EXPR_UPDATE, "SET a = if_not_exists(a)", NULL, NULL,
     U COUNT "if_not_exists, number of operands: 1"},
    {EXPR_CONDITION, "attribute_exists(:v)", NULL, "{:v=1}",
     C "Operator or function requires a document path; operator or function: attribute_exists"},
    {EXPR_UPDATE, "SET a = if_not_exists(:v, b)", NULL, "{:v=1}",
     U "Operator or function requires a document path; operator or function: if_not_exists"},
    /* operand types */
    {EXPR_FILTER, "begins_with(a, :v)", NULL, "{:v=1}",
     F OPERAND_TYPE "begins_with, operand type: N"},
    {EXPR_FILTER, "begins_with(a, size(b))", NULL, NULL,
     F OPERAND_TYPE "begins_with, operand type: N"},
    {EXPR_FILTER, "contains(:v, a)", NULL, "{:v={}}", F OPERAND_TYPE "contains, operand type: M"},
    {EXPR_FILTER, "size(:v) > :v", NULL, "{:v=1}", F OPERAND_TYPE "size, operand type: N"},
    {EXPR_FILTER, "size(size(a)) > :v", NULL, "{:v=1}", F OPERAND_TYPE "size, operand type: N"},
    {EXPR_FILTER, "a < :v", NULL, "{:v=true}", F OPERAND_TYPE "<, operand type: BOOL"},
    {EXPR_FILTER, "a >= :v", NULL, "{:v=[]}", F OPERAND_TYPE ">=, operand type: L"},
    {EXPR_FILTER, "a BETWEEN :v AND :w", NULL, "{:v=null :w=1}",
     F OPERAND_TYPE "BETWEEN, operand type: NULL"},
    {EXPR_FILTER, "a = :v AND b <> :w", NULL, "{:v=true :w={}}", NULL},
    {EXPR_CONDITION, "attribute_type(a, :v)", NULL, "{:v=1}",
     C OPERAND_TYPE "attribute_type, operand type: N"},
    {EXPR_CONDITION, "attribute_type(a, :v)", NULL, "{:v=\"XX\"}",
     C "Invalid attribute type name found; type: XX, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}"},
    {EXPR_UPDATE, "SET a = a + :v", NULL, "{:v=\"x\"}", U OPERAND_TYPE "+, operand type: S"},
    {EXPR_UPDATE, "SET a = :v - a", NULL, "{:v=true}", U OPERAND_TYPE "-, operand type: BOOL"},
    {EXPR_UPDATE, "SET a = list_append(a, :v)", NULL, "{:v={}}",
     U OPERAND_TYPE "list_append, operand type: M"},
    {EXPR_UPDATE, "SET a = list_append(a, :v) + :v", NULL, "{:v=[]}",
     U OPERAND_TYPE "+, operand type: L"},
    {EXPR_UPDATE, "ADD a :v", NULL, "{:v=\"x\"}",
     U "Incorrect operand type for operator or function; operator: ADD, operand type: STRING, "
       "typeSet: ALLOWED_FOR_ADD_OPERAND"},
    {EXPR_UPDATE, "ADD a :v", NULL, "{:v=[1]}",
     U
     "Incorrect operand type for operator or function; operator: ADD, operand type: LIST, typeSet: "
     "ALLOWED_FOR_ADD_OPERAND"},
    {EXPR_UPDATE, "DELETE a :v", NULL, "{:v=1}",
     U "Incorrect operand type for operator or function; operator: DELETE, operand type: NUMBER, "
       "typeSet: ALLOWED_FOR_DELETE_OPERAND"},
    {EXPR_FILTER, "a BETWEEN :v AND :w", NULL, "{:v=<0102> :w=<01>}",
     F
     "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower "
     "bound operand: AttributeValue: {B:AQI=}, upper bound operand: AttributeValue: {B:AQ==}"},
    /* distinct operands */
    {EXPR_CONDITION, "a = a", NULL, NULL, C DISTINCT "=, first operand: [a]"},
    {EXPR_CONDITION, "a.b[3] < #x.b[3]", "#x=a", NULL, C DISTINCT "<, first operand: [a, b, [3]]"},
    {EXPR_CONDITION, "contains(#a, #a)", "#a=data", NULL,
     C DISTINCT "contains, first operand: [data]"},
    {EXPR_CONDITION, "a IN (b, a)", NULL, NULL, C DISTINCT "IN, first operand: [a]"},
    {EXPR_CONDITION, "a BETWEEN b AND a", NULL, NULL, C DISTINCT "BETWEEN, first operand: [a]"},
    {EXPR_CONDITION, "a.b = a.c AND a[1] = a[2]", NULL, NULL, NULL},
    /* paths */
    {EXPR_UPDATE, "SET a = :v, a = :v", NULL, "{:v=1}", U OVERLAP "[a], path two: [a]"},
    {EXPR_UPDATE, "SET a = :v REMOVE a.b", NULL, "{:v=1}", U OVERLAP "[a], path two: [a, b]"},
    {EXPR_UPDATE, "SET a.b.c = :v, a.b = :v", NULL, "{:v=1}",
     U OVERLAP "[a, b, c], path two: [a, b]"},
    {EXPR_UPDATE, "SET z = :v, #a = :v, y = :v, a[1] = :v", "#a=a", "{:v=1}",
     U OVERLAP "[a], path two: [a, [1]]"},
    {EXPR_UPDATE, "SET a.b = :v, a[0] = :v", NULL, "{:v=1}",
     U CONFLICT "[a, b], path two: [a, [0]]"},
    {EXPR_PROJECTION, "a, a", NULL, NULL, P OVERLAP "[a], path two: [a]"},
    {EXPR_PROJECTION, "#a.b, a.b.c", "#a=a", NULL, P OVERLAP "[a, b], path two: [a, b, c]"},
    {EXPR_PROJECTION, "a[1], x, a.b", NULL, NULL, P CONFLICT "[a, [1]], path two: [a, b]"},
    {EXPR_PROJECTION, "a, ab, a1, b.a, b.ab, b[1].c", NULL, NULL,
     P CONFLICT "[b, a], path two: [b, [1], c]"},
    {EXPR_PROJECTION, "a.b, a.c, ab, l[1], l[10], l[2]", NULL, NULL, NULL},
    {EXPR_UPDATE, "SET a = :v SET b = :v", NULL, "{:v=1}",
     U "The \"SET\" section can only be used once in an update expression;"},
    {EXPR_UPDATE, "remove a add b :v REMOVE c", NULL, "{:v=1}",
     U "The \"REMOVE\" section can only be used once in an update expression;"},
    /* the scope */
    {EXPR_CONDITION, "a = :v", "", "{:v=1}", "ExpressionAttributeNames must not be empty"},
    {EXPR_CONDITION, "a = b", NULL, "{}", "ExpressionAttributeValues must not be empty"},
    {EXPR_CONDITION, "a = b", "x=y", NULL,
     "ExpressionAttributeNames contains invalid key: Syntax error; key: \"x\""},
    {EXPR_CONDITION, "a = b", "#a.b=y", NULL,
     "ExpressionAttributeNames contains invalid key: Syntax error; key: \"#a.b\""},
    {EXPR_CONDITION, "a = b", NULL, "{v=1}",
     "ExpressionAttributeValues contains invalid key: Syntax error; key: \"v\""},
    {EXPR_CONDITION, "a = b", "=y", NULL,
     "ExpressionAttributeNames contains invalid key: The expression attribute map contains an "
     "empty key"},
    {EXPR_CONDITION, "#a = b", "#a=", NULL,
     "ExpressionAttributeNames contains invalid value: Empty attribute name for key #a"},
    {EXPR_CONDITION, "#a = b", "#a=x #0=x #_=x", NULL,
     "Value provided in ExpressionAttributeNames unused in expressions: keys: {#0, #_}"},
    {EXPR_CONDITION, "a = :b", NULL, "{:a=1 :b=1 :c=1}",
     "Value provided in ExpressionAttributeValues unused in expressions: keys: {:a, :c}"},
};

static void refuses_in_the_words_of_the_service(void **state)
{
    (void)state;
    static struct fixture f;
    fixture_init(&f);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct expr_program program;
        const char *got = try_compile(&f, cases[i].kind, cases[i].text, cases[i].names,
                                      cases[i].values, &program);
        if ((got == NULL) != (cases[i].message == NULL) ||
            (got != NULL && strcmp(got, cases[i].message) != 0))
            fail_msg("%s: %s", cases[i].text, got);
        fixture_reset(&f);
    }
    fixture_release(&f);
}

static void refuses_names_and_values_without_use(void **state)
{
    (void)state;
    static struct fixture f;
    fixture_init(&f);
    struct expr_scope scope;
    struct expr_fault fault;
    scope_of(&f, "#a=a", "{:v=1}", &scope);
    scope.names_useless = scope.values_useless = true;
    assert_int_equal(expr_scope_init(&scope, &f.arena, &fault), STATUS_INVALID);
    assert_true(bytes_equal(
        fault.message,
        BYTES("ExpressionAttributeNames can only be specified when using expressions")));
    scope.names_useless = false;
    assert_int_equal(expr_scope_init(&scope, &f.arena, &fault), STATUS_INVALID);
    assert_true(bytes_equal(
        fault.message,
        BYTES("ExpressionAttributeValues can only be specified when using expressions")));
    scope.values_useless_note = "ConditionExpression is null";
    assert_int_equal(expr_scope_init(&scope, &f.arena, &fault), STATUS_INVALID);
    assert_true(bytes_equal(fault.message,
                            BYTES("ExpressionAttributeValues can only be specified when using "
                                  "expressions: ConditionExpression is null")));
    fixture_release(&f);
}

/* Several expressions share a scope; what one of them uses is used. */
static void shares_a_scope(void **state)
{
    (void)state;
    static struct fixture f;
    fixture_init(&f);
    struct expr_scope scope;
    struct expr_fault fault;
    struct expr_program update, condition;
    scope_of(&f, "#a=x #b=y", "{:v=1 :w=2}", &scope);
    assert_int_equal(expr_scope_init(&scope, &f.arena, &fault), STATUS_OK);
    assert_int_equal(expr_compile(&scope, EXPR_UPDATE, BYTES("SET #a = :v"), &update, &fault),
                     STATUS_OK);
    assert_int_equal(expr_scope_finish(&scope, &fault), STATUS_INVALID);
    assert_int_equal(
        expr_compile(&scope, EXPR_CONDITION, BYTES("#b = :w AND #b < :v"), &condition, &fault),
        STATUS_OK);
    assert_int_equal(expr_scope_finish(&scope, &fault), STATUS_OK);
    assert_false(expr_evaluate(&condition, text_value(&f, "{y=2}")));
    fixture_release(&f);
}

/* ---- Paths against each other ---- */

#define PATHS 5
#define DEEP  3

/* A path as small numbers: 0 and 1 are names, 2 and 3 indexes; -1 ends it. */
struct small_path {
    int at[DEEP + 1];
};

static int small_common(const struct small_path *a, const struct small_path *b)
{
    int i = 0;
    while (a->at[i] >= 0 && a->at[i] == b->at[i])
        i++;
    return i;
}

static char *print_small(char *to, const struct small_path *p, bool listed)
{
    static const char *const plain[] = {"a", "b", "[0]", "[1]"};
    for (int i = 0; p->at[i] >= 0; i++)
        to += sprintf(to, "%s%s",
                      i == 0         ? ""
                      : listed       ? ", "
                      : p->at[i] < 2 ? "."
                                     : "",
                      plain[p->at[i]]);
    return to;
}

/* The message about the first pair that a reader comes upon; "" for none. */
static void plain_clash(const struct small_path *paths, int count, char *to)
{
    *to = 0;
    for (int j = 0; j < count; j++) {
        for (int i = 0; i < j; i++) {
            int same = small_common(&paths[i], &paths[j]);
            int x = paths[i].at[same], y = paths[j].at[same];
            bool overlap = x < 0 || y < 0;
            if (!overlap && (same == 0 || (x < 2) == (y < 2)))
                continue;
            to += sprintf(to, P "%s[", overlap ? OVERLAP : CONFLICT);
            to = print_small(to, &paths[i], true);
            to += sprintf(to, "], path two: [");
            to = print_small(to, &paths[j], true);
            sprintf(to, "]");
            return;
        }
    }
}

static void finds_the_first_clash_of_paths(void **state)
{
    (void)state;
    static struct fixture f;
    fixture_init(&f);
    struct prng prng;
    prng_init(&prng, 5);
    unsigned clashes = 0, rounds = 20000;
    for (unsigned round = 0; round < rounds; round++) {
        struct small_path paths[PATHS];
        int count = 1 + (int)prng_below(&prng, PATHS);
        char expression[256], expected[512], *to = expression;
        for (int i = 0; i < count; i++) {
            int length = 1 + (int)prng_below(&prng, DEEP);
            for (int k = 0; k < length; k++)
                paths[i].at[k] = (int)prng_below(&prng, k == 0 ? 2 : 4);
            paths[i].at[length] = -1;
            to += sprintf(to, "%s", i > 0 ? ", " : "");
            to = print_small(to, &paths[i], false);
        }
        plain_clash(paths, count, expected);
        struct expr_program program;
        const char *got = try_compile(&f, EXPR_PROJECTION, expression, NULL, NULL, &program);
        if (strcmp(got == NULL ? "" : got, expected) != 0)
            fail_msg("%s: %s, not %s", expression, got, expected);
        clashes += got != NULL;
        fixture_reset(&f);
    }
    assert_in_range(clashes, rounds / 4, rounds - rounds / 10);
    fixture_release(&f);
}

/* ---- Limits ---- */

static char text[3 * EXPR_BYTES_MAX];

static void append_text(const char *more)
{
    strcat(text, more);
}

static const char *repeat(const char *head, const char *part, const char *glue, unsigned count,
                          const char *tail)
{
    strcpy(text, head);
    for (unsigned i = 0; i < count; i++) {
        if (i > 0)
            append_text(glue);
        append_text(part);
    }
    append_text(tail);
    return text;
}

static void expect(struct fixture *f, enum expr_kind kind, const char *expression,
                   const char *values, const char *message)
{
    struct expr_program program;
    const char *got = try_compile(f, kind, expression, NULL, values, &program);
    if (message == NULL ? got != NULL : got == NULL || strcmp(got, message) != 0)
        fail_msg("%s: %s", expression, got);
    fixture_reset(f);
}

static void holds_the_limits(void **state)
{
    (void)state;
    static struct fixture f;
    fixture_init(&f);
    /* 300 operators: comparators, and what joins them */
    expect(&f, EXPR_FILTER, repeat("", "a=:v", " OR ", 150, ""), "{:v=1}", NULL);
    expect(&f, EXPR_FILTER, repeat("NOT ", "a=:v", " OR ", 150, ""), "{:v=1}", NULL);
    expect(&f, EXPR_FILTER, repeat("NOT NOT ", "a=:v", " OR ", 150, ""), "{:v=1}",
           F "The expression contains too many operators; operator count: 301");
    expect(&f, EXPR_UPDATE, repeat("SET a=", "if_not_exists(b,", "", 32, ":v)" /* not closed */),
           "{:v=1}", U "Syntax error; token: \"<EOF>\", near: \")\"");
    /* 100 operands of IN */
    expect(&f, EXPR_CONDITION, repeat("a IN (", ":v", ",", 100, ")"), "{:v=1}", NULL);
    expect(&f, EXPR_CONDITION, repeat("a IN (", ":v", ",", 101, ")"), "{:v=1}",
           C "The IN operator is provided with too many operands; number of operands: 101");
    expect(&f, EXPR_CONDITION, repeat("a IN (", ":v", ",", 1000, ")"), "{:v=1}",
           C "The IN operator is provided with too many operands; number of operands: 1000");
    /* paths of 32 elements */
    expect(&f, EXPR_PROJECTION, repeat("", "a", ".", 32, ""), NULL, NULL);
    expect(&f, EXPR_PROJECTION, repeat("", "a", ".", 33, ""), NULL,
           P "The document path has too many nesting elements; nesting levels: 33");
    expect(&f, EXPR_UPDATE, repeat("REMOVE a", "[0]", "", 1300, ""), NULL,
           U "The document path has too many nesting elements; nesting levels: 1301");
    /* 4,096 bytes */
    expect(&f, EXPR_PROJECTION, repeat("b", "a", "", 4095, ""), NULL, NULL);
    expect(&f, EXPR_PROJECTION, repeat("b", "a", "", 4096, ""), NULL,
           P "Expression size has exceeded the maximum allowed size; expression size: 4097");
    fixture_release(&f);
}

/* Depth costs no stack, and no text takes more than its length to refuse. */
static void bears_hostile_texts(void **state)
{
    (void)state;
    static struct fixture f;
    fixture_init(&f);
    static const struct {
        const char *head, *part, *tail;
        unsigned count;
        enum expr_kind kind;
    } hostile[] = {
        {"", "(", "", 4096, EXPR_CONDITION},
        {"", "(", "a=b", 4093, EXPR_CONDITION},
        {"a=", "(", "b", 4090, EXPR_CONDITION},
        {"", "NOT ", "a=b", 1023, EXPR_CONDITION},
        {"", "(NOT ", "a=b", 818, EXPR_CONDITION},
        {"", "size(", "a", 819, EXPR_CONDITION},
        {"", "contains(a,", "a", 372, EXPR_CONDITION},
        {"", "a=b AND(", "a=b", 511, EXPR_CONDITION},
        {"a", "[0]", "", 1365, EXPR_PROJECTION},
        {"SET a=", "(", "b", 4089, EXPR_UPDATE},
        {"SET a=", "list_append(a,", "b", 292, EXPR_UPDATE},
        {"SET a=", "if_not_exists(a,", "b", 255, EXPR_UPDATE},
        {"SET ", "a=a,", "a=b", 1022, EXPR_UPDATE},
        {"SET ", "SET ", "", 1023, EXPR_UPDATE},
    };
    for (size_t i = 0; i < ARRAY_COUNT(hostile); i++) {
        repeat(hostile[i].head, hostile[i].part, "", hostile[i].count, hostile[i].tail);
        assert_true(strlen(text) <= EXPR_BYTES_MAX);
        struct expr_program program;
        assert_non_null(try_compile(&f, hostile[i].kind, text, NULL, NULL, &program));
        fixture_reset(&f);
    }
    /* the longest of each that is right */
    strcpy(text, "a0");
    for (int i = 1; i < 800; i++)
        sprintf(text + strlen(text), ",a%d", i);
    expect(&f, EXPR_PROJECTION, text, NULL, NULL);
    strcpy(text, "SET a0=a1");
    for (int i = 2; i < 450; i++)
        sprintf(text + strlen(text), ",a%d=b", 1000 - i);
    expect(&f, EXPR_UPDATE, text, NULL, NULL);
    repeat("", "(NOT ", "", 299, "a=b");
    for (int i = 0; i < 299; i++)
        append_text(")");
    expect(&f, EXPR_CONDITION, text, NULL, NULL);
    repeat("", "a<b", " OR ", 150, "");
    expect(&f, EXPR_CONDITION, text, NULL, NULL);
    fixture_release(&f);
}

/* A large value or name is in the program once, however often it is used. */
static void stores_values_once(void **state)
{
    (void)state;
    static struct fixture f;
    fixture_init(&f);
    static char values[70000];
    snprintf(values, sizeof(values), "{:v=\"%060000d\"}", 0);
    struct expr_program program =
        must_compile(&f, EXPR_CONDITION, repeat("a IN (", ":v", ",", 100, ")"), NULL, values);
    assert_in_range(program.code.count, 60000, 62000);
    fixture_release(&f);
}

static void survives_a_full_arena(void **state)
{
    (void)state;
    static struct fixture f;
    fixture_init(&f);
    struct value values = text_value(&f, "{:v=1 :w=[1]}");
    const char *texts[] = {"#a = :v AND size(:w) > b.c", "SET #a = :v, b = list_append(c, :w)",
                           "SET #a = :v, #a.c = list_append(c, :w)", "#a = :v :w"};
    unsigned failures = 0;
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        for (size_t cap = 0; cap < 6000; cap += 40) {
            struct arena small;
            arena_init(&small, &f.heap, cap);
            struct expr_name name = {.placeholder = BYTES("#a"), .name = BYTES("x")};
            struct expr_scope scope = {.names = &name,
                                       .name_count = 1,
                                       .values = values,
                                       .names_given = true,
                                       .values_given = true};
            struct expr_fault fault;
            struct expr_program program;
            enum status status = expr_scope_init(&scope, &small, &fault);
            if (status == STATUS_OK)
                status = expr_compile(&scope, i == 0 ? EXPR_CONDITION : EXPR_UPDATE,
                                      bytes_of_text(texts[i]), &program, &fault);
            failures += status == STATUS_NO_MEMORY;
            assert_true(status == STATUS_OK || status == STATUS_INVALID ||
                        status == STATUS_NO_MEMORY);
            arena_release(&small);
        }
    }
    assert_true(failures > 10);
    fixture_release(&f);
}

/* ---- Programs as bytes ---- */

static void use(struct fixture *f, const struct expr_program *program, enum expr_kind kind)
{
    struct value item = text_value(f, "{a=1 b={c=[1 2]} l=[1 {x=2}] s=(\"x\")}");
    struct value_writer w;
    struct expr_fault fault;
    struct expr_attributes walk = {0};
    struct bytes name;
    value_writer_init(&w, fixture_buffer(f));
    while (expr_next_attribute(program, &walk, &name))
        assert_true(name.count <= program->code.count);
    if (kind == EXPR_PROJECTION) {
        expr_project(program, item, &w);
    } else if (kind == EXPR_UPDATE) {
        (void)!expr_update(program, item, item, &w, &f->arena, &fault);
    } else if (kind == EXPR_KEY_CONDITION) {
        struct key_schema schema = {{BYTES("a"), VALUE_S}, {BYTES("b"), VALUE_N}};
        struct key_condition condition;
        (void)!expr_key_condition(program, &schema, &f->arena, &condition, &fault);
    } else {
        (void)!expr_evaluate(program, item);
    }
}

/* A program with bytes changed or cut is either refused or harmless. */
static void checks_programs_from_elsewhere(void **state)
{
    (void)state;
    static struct fixture f;
    fixture_init(&f);
    static const struct {
        enum expr_kind kind;
        const char *text;
    } programs[] = {
        {EXPR_CONDITION, "a = :v AND NOT (b.c[1] BETWEEN :v AND size(l) OR contains(s, :w))"},
        {EXPR_FILTER, "attribute_exists(a) OR l IN (:v, :w, a) AND attribute_type(a, :w)"},
        {EXPR_KEY_CONDITION, "a = :w AND b BETWEEN :v AND :v"},
        {EXPR_PROJECTION, "a, b.c[1], b.d, l[1], l[0].x"},
        {EXPR_UPDATE, "SET a = :v + if_not_exists(b.c[0], :v), b.c[1] = list_append(:l, "
                      "if_not_exists(l, list_append(l, :l))) REMOVE l[0] ADD n :v DELETE s :s"},
    };
    struct prng prng;
    prng_init(&prng, 3);
    unsigned refused = 0, harmless = 0;
    for (size_t i = 0; i < ARRAY_COUNT(programs); i++) {
        for (int round = 0; round < 3000; round++) {
            struct expr_scope scope;
            struct expr_fault fault;
            struct expr_program program;
            scope_of(&f, NULL, "{:v=1 :w=\"S\" :l=[1] :s=(\"x\" \"y\")}", &scope);
            assert_int_equal(expr_scope_init(&scope, &f.arena, &fault), STATUS_OK);
            assert_int_equal(expr_compile(&scope, programs[i].kind, bytes_of_text(programs[i].text),
                                          &program, &fault),
                             STATUS_OK);
            /* A copy of its own, so that a read past the end is seen. */
            size_t count =
                prng_one_in(&prng, 10) ? prng_below(&prng, program.code.count) : program.code.count;
            uint8_t *copy = malloc(count + 1);
            memcpy(copy, program.code.at, count);
            for (uint64_t flips = prng_below(&prng, 3); flips > 0 && count > 0; flips--)
                copy[prng_below(&prng, count)] = (uint8_t)prng_below(&prng, 256);
            struct expr_program changed = {bytes_of(copy, count)};
            if (expr_program_check(changed.code, programs[i].kind) == STATUS_OK) {
                use(&f, &changed, programs[i].kind);
                harmless++;
            } else {
                refused++;
            }
            free(copy);
            fixture_reset(&f);
        }
    }
    assert_true(refused > 3000 && harmless > 3000);
    fixture_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_in_the_words_of_the_service),
        cmocka_unit_test(refuses_names_and_values_without_use),
        cmocka_unit_test(shares_a_scope),
        cmocka_unit_test(finds_the_first_clash_of_paths),
        cmocka_unit_test(holds_the_limits),
        cmocka_unit_test(bears_hostile_texts),
        cmocka_unit_test(stores_values_once),
        cmocka_unit_test(survives_a_full_arena),
        cmocka_unit_test(checks_programs_from_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
