/* Projections of items. */
#include "unit/expr/fixture.h"

static const char item[] =
    "{pk=\"k\" a=1 b=2 l=[0 1 2 [30 31 32] {x=4 y=5}] m={a=1 b={c=3 d=4} e=[7 8]} z=null}";

static const struct {
    const char *text, *names, *expect;
} cases[] = {
    {"a", NULL, "{a=1}"},
    {"pk, a", NULL, "{a=1 pk=\"k\"}"},
    {"a,pk,b,nothing", NULL, "{a=1 b=2 pk=\"k\"}"},
    {"#x", "#x=z", "{z=null}"},
    {"m", NULL, "{m={a=1 b={c=3 d=4} e=[7 8]}}"},
    {"m.b", NULL, "{m={b={c=3 d=4}}}"},
    {"m.b.d, m.a", NULL, "{m={a=1 b={d=4}}}"},
    {"m.#b.c", "#b=b", "{m={b={c=3}}}"},
    {"l[2], l[0]", NULL, "{l=[0 2]}"},
    {"l[3][1], l[4].y, l[1]", NULL, "{l=[1 [31] {y=5}]}"},
    {"l[9]", NULL, "{}"},
    {"l[9], a", NULL, "{a=1}"},
    {"m.q, m.b.q", NULL, "{}"},
    {"m.b.q, m.a", NULL, "{m={a=1}}"},
    {"m[0], l.a, a.b, a[0]", NULL, NULL},
    {"m[0], l.a, b.b", NULL, "{}"},
    {"l[3][9], l[0]", NULL, "{l=[0]}"},
    {"m.e[1], m.e[5]", NULL, "{m={e=[8]}}"},
};

static void keeps_what_is_named(void **state)
{
    (void)state;
    static struct fixture f;
    fixture_init(&f);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct expr_program program;
        const char *message =
            try_compile(&f, EXPR_PROJECTION, cases[i].text, cases[i].names, NULL, &program);
        if (cases[i].expect == NULL) {
            assert_non_null(message);
            continue;
        }
        if (message != NULL)
            fail_msg("%s: %s", cases[i].text, message);
        struct value_writer w;
        struct value kept;
        value_writer_init(&w, fixture_buffer(&f));
        expr_project(&program, text_value(&f, item), &w);
        assert_int_equal(value_writer_finish(&w, &kept), STATUS_OK);
        if (strcmp(value_text(&f, kept), cases[i].expect) != 0)
            fail_msg("%s: %s", cases[i].text, f.text);
        fixture_reset(&f);
    }
    fixture_release(&f);
}

static void lists_attributes(void **state)
{
    (void)state;
    static struct fixture f;
    fixture_init(&f);
    static const struct {
        enum expr_kind kind;
        const char *text, *expect;
    } lists[] = {
        {EXPR_PROJECTION, "b.x, #q, a[1], b.c", "a;b;q;"},
        {EXPR_FILTER, "a = :v AND (size(b.c) > #q OR NOT d IN (:v, e)) AND contains(f, :v)",
         "a;b;q;d;e;f;"},
        {EXPR_KEY_CONDITION, "a = :v AND begins_with(#q, :v)", "a;q;"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(lists); i++) {
        struct expr_program program =
            must_compile(&f, lists[i].kind, lists[i].text, "#q=q",
                         lists[i].kind == EXPR_PROJECTION ? NULL : "{:v=\"x\"}");
        struct expr_attributes walk = {0};
        struct bytes name;
        char names[64] = "";
        while (expr_next_attribute(&program, &walk, &name)) {
            strncat(names, (const char *)name.at, name.count);
            strcat(names, ";");
        }
        assert_string_equal(names, lists[i].expect);
    }
    fixture_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_what_is_named),
        cmocka_unit_test(lists_attributes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
