/* Conditions on items: a table of what each operator and function says, and random conditions
 * against a plain interpreter of trees. */
#include "unit/expr/fixture.h"

#include "base/prng.h"

static const char item_text[] =
    "{pk=\"k\" n=5 f=5.50 s=\"hello\" b=<00ff10> t=true z=null l=[1 \"two\" [3] {x=4}] "
    "m={a=1 b={c=\"deep\" d=[7 8]}} ss=(\"x\" \"y\") ns=(1 2 3) bs=(<00> <01>) es=\"\" el=[] "
    "em={} u=\"\xc3\xa9\xf0\x9d\x84\x9e\" same=5}";

static const char names[] = "#n=n #status=status #m=m";

static const struct {
    const char *text;
    const char *values;
    bool holds;
} cases[] = {
    /* comparators */
    {"n = :v", "{:v=5}", true},
    {"n = :v", "{:v=5.0}", true},
    {"n = :v", "{:v=\"5\"}", false},
    {"n <> :v", "{:v=\"5\"}", true},
    {"n <> :v", "{:v=5}", false},
    {"n < :v", "{:v=6}", true},
    {"n < :v", "{:v=5}", false},
    {"n <= :v", "{:v=5}", true},
    {"n > :v", "{:v=-7}", true},
    {"n >= :v", "{:v=5.01}", false},
    {":v > n", "{:v=6}", true},
    {"n < :v", "{:v=\"6\"}", false},
    {"s < :v", "{:v=\"hellp\"}", true},
    {"s > :v", "{:v=\"hell\"}", true},
    {"b >= :v", "{:v=<00ff>}", true},
    {"n = same", NULL, true},
    {"n < same", NULL, false},
    {"f > n", NULL, true},
    {"t = :v", "{:v=true}", true},
    {"z = :v", "{:v=null}", true},
    {"ss = :v", "{:v=(\"y\" \"x\")}", true},
    {"ss <> :v", "{:v=(\"y\" \"z\")}", true},
    {"ns = :v", "{:v=(3 2 1)}", true},
    {"m.b = :v", "{:v={d=[7 8] c=\"deep\"}}", true},
    {"l = :v", "{:v=[1 \"two\" [3] {x=4}]}", true},
    {"l < :v", "{:v=1}", false},
    /* what is not there */
    {"nothing = :v", "{:v=5}", false},
    {"nothing <> :v", "{:v=5}", true},
    {"nothing < :v", "{:v=5}", false},
    {"nothing = nowhere", NULL, false},
    {"NOT nothing = :v", "{:v=5}", true},
    {"nothing BETWEEN :a AND :b", "{:a=1 :b=9}", false},
    {"nothing IN (:a)", "{:a=1}", false},
    {"begins_with(nothing, :v)", "{:v=\"x\"}", false},
    {"contains(nothing, :v)", "{:v=\"x\"}", false},
    {"size(nothing) >= :v", "{:v=0}", false},
    {"attribute_type(nothing, :v)", "{:v=\"S\"}", false},
    /* BETWEEN, IN */
    {"n BETWEEN :a AND :b", "{:a=5 :b=5}", true},
    {"n BETWEEN :a AND :b", "{:a=6 :b=7}", false},
    {"n BETWEEN :a AND f", "{:a=1}", true},
    {":v BETWEEN n AND f", "{:v=5.2}", true},
    {"s BETWEEN :a AND :b", "{:a=1 :b=2}", false},
    {"n IN (:a, :b, :c)", "{:a=1 :b=\"5\" :c=5}", true},
    {"n IN (:a, f)", "{:a=1}", false},
    {"n IN (same)", NULL, true},
    {"t in (:a)", "{:a=true}", true},
    /* paths */
    {"m.a = :v", "{:v=1}", true},
    {"#m.b.c = :v", "{:v=\"deep\"}", true},
    {"m.b.d[1] = :v", "{:v=8}", true},
    {"m.b.d[2] = :v", "{:v=8}", false},
    {"l[2][0] = :v", "{:v=3}", true},
    {"l[3].x = :v", "{:v=4}", true},
    {"l[ 0 ] = :v", "{:v=1}", true},
    {"l.a = :v", "{:v=1}", false},
    {"m[0] = :v", "{:v=1}", false},
    {"s.a = :v", "{:v=1}", false},
    /* functions */
    {"attribute_exists(n)", NULL, true},
    {"attribute_exists(m.b.x)", NULL, false},
    {"attribute_exists(z)", NULL, true},
    {"attribute_not_exists(n)", NULL, false},
    {"attribute_not_exists(#status)", NULL, true},
    {"attribute_not_exists(l[4])", NULL, true},
    {"attribute_type(n, :v)", "{:v=\"N\"}", true},
    {"attribute_type(z, :v)", "{:v=\"NULL\"}", true},
    {"attribute_type(bs, :v)", "{:v=\"BS\"}", true},
    {"attribute_type(m, :v)", "{:v=\"L\"}", false},
    {"begins_with(s, :v)", "{:v=\"he\"}", true},
    {"begins_with(s, :v)", "{:v=\"\"}", true},
    {"begins_with(s, :v)", "{:v=\"ello\"}", false},
    {"begins_with(b, :v)", "{:v=<00>}", true},
    {"begins_with(b, :v)", "{:v=\"x\"}", false},
    {"begins_with(n, :v)", "{:v=\"5\"}", false},
    {"begins_with(:v, s)", "{:v=\"hello world\"}", true},
    {"contains(s, :v)", "{:v=\"ell\"}", true},
    {"contains(s, :v)", "{:v=\"\"}", true},
    {"contains(s, :v)", "{:v=\"elo\"}", false},
    {"contains(s, :v)", "{:v=5}", false},
    {"contains(b, :v)", "{:v=<ff10>}", true},
    {"contains(ss, :v)", "{:v=\"x\"}", true},
    {"contains(ss, :v)", "{:v=\"z\"}", false},
    {"contains(ns, :v)", "{:v=2.0}", true},
    {"contains(ns, :v)", "{:v=\"2\"}", false},
    {"contains(bs, :v)", "{:v=<01>}", true},
    {"contains(l, :v)", "{:v=\"two\"}", true},
    {"contains(l, :v)", "{:v=[3]}", true},
    {"contains(l, :v)", "{:v={x=4}}", true},
    {"contains(l, :v)", "{:v=3}", false},
    {"contains(m, :v)", "{:v=\"a\"}", false},
    {"contains(:v, n)", "{:v=[4 5 6]}", true},
    /* size */
    {"size(s) = :v", "{:v=5}", true},
    {"size(es) = :v", "{:v=0}", true},
    {"size(u) = :v", "{:v=3}", true},
    {"size(b) = :v", "{:v=3}", true},
    {"size(ss) = :v", "{:v=2}", true},
    {"size(l) = :v", "{:v=4}", true},
    {"size(em) = :v", "{:v=0}", true},
    {"size(m) = :v", "{:v=2}", true},
    {"size(n) >= :v", "{:v=0}", false},
    {"size(t) >= :v", "{:v=0}", false},
    {"size(s) > size(b)", NULL, true},
    {"size(:v) = n", "{:v=\"12345\"}", true},
    {"size(s) BETWEEN size(b) AND :v", "{:v=9}", true},
    {"size(s) IN (:a, size(u), size(s))", "{:a=1}", true},
    {"( size ( l )) < m.b.d[0]", NULL, true},
    /* logic */
    {"n = :v AND s = :w", "{:v=5 :w=\"hello\"}", true},
    {"n = :w OR n = :v", "{:v=5 :w=6}", true},
    {"NOT n = :v", "{:v=5}", false},
    {"NOT NOT n = :v", "{:v=5}", true},
    {"n = :v OR n = :v AND n = :w", "{:v=5 :w=6}", true},
    {"(n = :v OR n = :v) AND n = :w", "{:v=5 :w=6}", false},
    {"NOT n = :w AND n = :v", "{:v=5 :w=6}", true},
    {"NOT (n = :w AND n = :v)", "{:v=5 :w=6}", true},
    {"NOT (n = :v OR attribute_exists(nothing))", "{:v=5}", false},
    {"not (n between :a and :b) or (s = :c)", "{:a=1 :b=2 :c=\"x\"}", true},
    {"n BETWEEN :a AND :b AND s = :c", "{:a=1 :b=9 :c=\"hello\"}", true},
    {"(n) = (:v)", "{:v=5}", true},
    {"(n = :v)", "{:v=5}", true},
    {"(attribute_exists(n)) AND (attribute_exists(s) OR (n = :v))", "{:v=1}", true},
};

static void says_what_the_service_says(void **state)
{
    (void)state;
    static struct fixture f;
    fixture_init(&f);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct expr_program program;
        struct expr_scope scope;
        struct expr_fault fault;
        scope_of(&f, names, cases[i].values, &scope);
        assert_int_equal(expr_scope_init(&scope, &f.arena, &fault), STATUS_OK);
        if (expr_compile(&scope, EXPR_CONDITION, bytes_of_text(cases[i].text), &program, &fault) !=
            STATUS_OK)
            fail_msg("%s: %.*s", cases[i].text, BYTES_ARGS(fault.message));
        assert_int_equal(expr_program_check(program.code, EXPR_CONDITION), STATUS_OK);
        struct value item = text_value(&f, item_text);
        bool holds = expr_evaluate(&program, item);
        if (holds != cases[i].holds)
            fail_msg("%s %s is %d", cases[i].text, cases[i].values, holds);
        fixture_reset(&f);
    }
    fixture_release(&f);
}

static void holds_without_an_item(void **state)
{
    (void)state;
    static struct fixture f;
    fixture_init(&f);
    struct expr_program program =
        must_compile(&f, EXPR_CONDITION, "attribute_not_exists(pk) AND NOT n = :v", NULL, "{:v=1}");
    assert_true(expr_evaluate(&program, VALUE_ABSENT));
    struct expr_program none = {0};
    assert_true(expr_evaluate(&none, VALUE_ABSENT));
    fixture_release(&f);
}

static void count_pause(void *count)
{
    ++*(unsigned *)count;
}

/* Each operator on an item of PAUSE_BYTES is worth a pause; on a small one none is. */
static void long_conditions_pause(void **state)
{
    (void)state;
    static struct fixture f;
    fixture_init(&f);
    char text[1200] = "";
    for (int i = 0; i < 50; i++)
        strcat(text, i > 0 ? " OR contains(s, :v)" : "contains(s, :v)");
    struct expr_program program = must_compile(&f, EXPR_CONDITION, text, NULL, "{:v=\"b\"}");
    for (int large = 0; large < 2; large++) {
        uint8_t *content = arena_alloc(&f.arena, PAUSE_BYTES);
        memset(content, 'a', PAUSE_BYTES);
        struct value_writer w;
        struct value item;
        value_writer_init(&w, fixture_buffer(&f));
        value_write_begin(&w, VALUE_M);
        value_write_name(&w, BYTES("s"));
        value_write_string(&w, bytes_of(content, large ? PAUSE_BYTES : 10));
        value_write_end(&w);
        assert_int_equal(value_writer_finish(&w, &item), STATUS_OK);
        unsigned count = 0;
        struct pause pause = {count_pause, &count};
        assert_false(expr_evaluate_paused(&program, item, &pause));
        assert_int_equal(count, large ? 50 : 0);
        assert_true(expr_work_max(&program, item) >= 50 * (uint64_t)item.bytes);
    }
    fixture_release(&f);
}

/* ---- Random conditions against trees ---- */

/* A condition as a tree over the numbers a0..a3 (a3 is not there) and the values :v0..:v3, which
 * are
 * 0..3. */
enum tree_type { TREE_COMPARE, TREE_BETWEEN, TREE_IN, TREE_EXISTS, TREE_AND, TREE_OR, TREE_NOT };

struct tree {
    enum tree_type what;
    int operands[3]; /* 0..3: attribute; 4..7: value */
    int comparator;
    struct tree *left, *right;
};

static const int attributes[4] = {2, 0, 1, -1};

static int operand_number(int operand)
{
    return operand < 4 ? attributes[operand] : operand - 4;
}

static struct tree *grow(struct prng *prng, struct arena *arena, int depth)
{
    struct tree *t = arena_alloc_zero(arena, sizeof(*t));
    t->what = (enum tree_type)prng_below(prng, depth > 0 ? 7 : 4);
    t->comparator = (int)prng_below(prng, 6);
    for (int i = 0; i < 3; i++)
        t->operands[i] = (int)prng_below(prng, 8);
    t->operands[0] %= 4;
    for (int i = 1; i < 3; i++) {
        if (t->operands[i] == t->operands[0])
            t->operands[i] = 4 + t->operands[i];
    }
    if (t->operands[1] >= 4 && t->operands[2] >= 4 && t->operands[1] > t->operands[2])
        t->operands[2] = t->operands[1];
    if (t->what >= TREE_AND)
        t->left = grow(prng, arena, depth - 1);
    if (t->what == TREE_AND || t->what == TREE_OR)
        t->right = grow(prng, arena, depth - 1);
    return t;
}

static bool plain_compare(int comparator, int a, int b)
{
    bool both = a >= 0 && b >= 0;
    switch (comparator) {
    case 0:
        return both && a == b;
    case 1:
        return !(both && a == b);
    case 2:
        return both && a < b;
    case 3:
        return both && a <= b;
    case 4:
        return both && a > b;
    default:
        return both && a >= b;
    }
}

static bool plain(const struct tree *t)
{
    int x = operand_number(t->operands[0]), y = operand_number(t->operands[1]);
    int z = operand_number(t->operands[2]);
    switch (t->what) {
    case TREE_COMPARE:
        return plain_compare(t->comparator, x, y);
    case TREE_BETWEEN:
        return plain_compare(5, x, y) && plain_compare(3, x, z);
    case TREE_IN:
        return plain_compare(0, x, y) || plain_compare(0, x, z);
    case TREE_EXISTS:
        return x >= 0;
    case TREE_AND:
        return plain(t->left) && plain(t->right);
    case TREE_OR:
        return plain(t->left) || plain(t->right);
    default:
        return !plain(t->left);
    }
}

static char *print_operand(char *to, int operand)
{
    return to + sprintf(to, "%s%d", operand < 4 ? "a" : ":v", operand % 4);
}

/* Parentheses where precedence needs them, and at random around a whole operand of AND or OR. */
static char *print_tree(char *to, const struct tree *t, struct prng *prng)
{
    static const char *const comparators[] = {"=", "<>", "<", "<=", ">", ">="};
    switch (t->what) {
    case TREE_COMPARE:
        to = print_operand(to, t->operands[0]);
        to += sprintf(to, " %s ", comparators[t->comparator]);
        return print_operand(to, t->operands[1]);
    case TREE_BETWEEN:
        to = print_operand(to, t->operands[0]);
        to += sprintf(to, " BETWEEN ");
        to = print_operand(to, t->operands[1]);
        to += sprintf(to, " AND ");
        return print_operand(to, t->operands[2]);
    case TREE_IN:
        to = print_operand(to, t->operands[0]);
        to += sprintf(to, " IN (");
        to = print_operand(to, t->operands[1]);
        to += sprintf(to, ",");
        to = print_operand(to, t->operands[2]);
        return to + sprintf(to, ")");
    case TREE_EXISTS:
        return to + sprintf(to, "attribute_exists(a%d)", t->operands[0]);
    default:
        break;
    }
    const struct tree *sides[2] = {t->left, t->right};
    for (int i = 0; i < (t->what == TREE_NOT ? 1 : 2); i++) {
        const struct tree *side = sides[i];
        bool needs = (t->what == TREE_NOT && (side->what == TREE_AND || side->what == TREE_OR)) ||
                     (t->what == TREE_AND && side->what == TREE_OR);
        bool parens = needs || prng_one_in(prng, 3);
        if (t->what == TREE_NOT)
            to += sprintf(to, "NOT ");
        else if (i == 1)
            to += sprintf(to, t->what == TREE_AND ? " AND " : " or ");
        to += sprintf(to, "%s", parens ? "(" : "");
        to = print_tree(to, side, prng);
        to += sprintf(to, "%s", parens ? ")" : "");
    }
    return to;
}

static void agrees_with_a_plain_interpreter(void **state)
{
    (void)state;
    static struct fixture f;
    static char text[1 << 16];
    fixture_init(&f);
    struct prng prng;
    prng_init(&prng, 7);
    unsigned compiled = 0;
    for (int i = 0; i < 20000; i++) {
        struct tree *t = grow(&prng, &f.arena, (int)prng_below(&prng, 6));
        print_tree(text, t, &prng);
        struct expr_scope scope;
        struct expr_fault fault;
        struct expr_program program;
        scope_of(&f, NULL, "{:v0=0 :v1=1 :v2=2 :v3=3}", &scope);
        assert_int_equal(expr_scope_init(&scope, &f.arena, &fault), STATUS_OK);
        if (strlen(text) <= EXPR_BYTES_MAX) {
            if (expr_compile(&scope, EXPR_FILTER, bytes_of_text(text), &program, &fault) !=
                STATUS_OK)
                fail_msg("%d: %s: %.*s", i, text, BYTES_ARGS(fault.message));
            assert_int_equal(expr_program_check(program.code, EXPR_FILTER), STATUS_OK);
            struct value item = text_value(&f, "{a0=2 a1=0 a2=1}");
            bool holds = expr_evaluate(&program, item);
            if (holds != plain(t))
                fail_msg("%d: %s is %d", i, text, holds);
            compiled++;
        }
        fixture_reset(&f);
    }
    assert_true(compiled > 19000);
    fixture_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_the_service_says),
        cmocka_unit_test(holds_without_an_item),
        cmocka_unit_test(long_conditions_pause),
        cmocka_unit_test(agrees_with_a_plain_interpreter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
