/* Updates on items: a table of what each action does, the errors at run time, random updates of
 * paths against a plain model, and what UPDATED_NEW shows. */
#include "unit/expr/fixture.h"

#include "base/prng.h"

#define OLD                                                                                        \
    "{pk=\"k\" n=5 s=\"hello\" l=[1 2 3] m={a=1 b={c=\"deep\"}} ss=(\"x\" \"y\") ns=(1 2) "        \
    "bs=(<00>)}"

static const char missing[] =
    "The provided expression refers to an attribute that does not exist in the item";
static const char incorrect_type[] =
    "An operand in the update expression has an incorrect data type";
static const char invalid_path[] =
    "The document path provided in the update expression is invalid for update";

struct update_case {
    const char *text;
    const char *values;
    const char *old;    /* NULL: no such item */
    const char *expect; /* the new item, or the message */
};

static const struct update_case cases[] = {
    /* SET */
    {"SET a = :v", "{:v=1}", "{pk=\"k\"}", "{a=1 pk=\"k\"}"},
    {"SET a = :v", "{:v=1}", NULL, "{a=1 pk=\"k\"}"},
    {"SET z = :v, a = :w", "{:v=1 :w={x=[1]}}", "{m=5 pk=\"k\"}", "{a={x=[1]} m=5 pk=\"k\" z=1}"},
    {"SET n = :v", "{:v=\"text\"}", "{n=5 pk=\"k\"}", "{n=\"text\" pk=\"k\"}"},
    {"SET n = n + :v", "{:v=2.5}", "{n=5 pk=\"k\"}", "{n=7.5 pk=\"k\"}"},
    {"SET n = n - :v", "{:v=7}", "{n=5 pk=\"k\"}", "{n=-2 pk=\"k\"}"},
    {"SET n = :v - n", "{:v=7}", "{n=5 pk=\"k\"}", "{n=2 pk=\"k\"}"},
    {"SET n = (n - :v)", "{:v=3}", "{n=10 pk=\"k\"}", "{n=7 pk=\"k\"}"},
    {"SET n = (n) - (:v)", "{:v=3}", "{n=10 pk=\"k\"}", "{n=7 pk=\"k\"}"},
    {"SET n = n + n", NULL, "{n=5 pk=\"k\"}", "{n=10 pk=\"k\"}"},
    {"SET a = b, b = a", NULL, "{a=1 b=2 pk=\"k\"}", "{a=2 b=1 pk=\"k\"}"},
    {"SET a = if_not_exists(a, :v)", "{:v=9}", "{a=1 pk=\"k\"}", "{a=1 pk=\"k\"}"},
    {"SET a = if_not_exists(a, :v)", "{:v=9}", "{pk=\"k\"}", "{a=9 pk=\"k\"}"},
    {"SET a = if_not_exists(b, c)", NULL, "{c=3 pk=\"k\"}", "{a=3 c=3 pk=\"k\"}"},
    {"SET a = if_not_exists(b, if_not_exists(c, :v))", "{:v=4}", "{pk=\"k\"}", "{a=4 pk=\"k\"}"},
    {"SET v = if_not_exists(v, :z) + :one", "{:z=0 :one=1}", NULL, "{pk=\"k\" v=1}"},
    {"SET v = if_not_exists(v, :z) + :one", "{:z=0 :one=1}", "{v=4}", "{v=5}"},
    {"SET v = :one + if_not_exists(v, :z)", "{:z=0 :one=1}", "{v=4}", "{v=5}"},
    {"SET l = list_append(l, :v)", "{:v=[3]}", "{l=[1 2]}", "{l=[1 2 3]}"},
    {"SET l = list_append(:v, l)", "{:v=[3]}", "{l=[1 2]}", "{l=[3 1 2]}"},
    {"SET l = list_append(list_append(:v, l), :v)", "{:v=[0]}", "{l=[1]}", "{l=[0 1 0]}"},
    {"SET l = list_append(:v, list_append(l, :v))", "{:v=[0]}", "{l=[1]}", "{l=[0 1 0]}"},
    {"SET l = list_append(if_not_exists(l, :e), :v)", "{:e=[] :v=[3]}", "{pk=1}", "{l=[3] pk=1}"},
    {"SET l = list_append(:v, if_not_exists(l, list_append(:v, :v)))", "{:v=[3]}", "{pk=1}",
     "{l=[3 3 3] pk=1}"},
    {"SET m.b.c = :v", "{:v=1}", "{m={a=1 b={c=0 d=2}}}", "{m={a=1 b={c=1 d=2}}}"},
    {"SET m.x = m.a", NULL, "{m={a=1}}", "{m={a=1 x=1}}"},
    {"SET l[1] = :v", "{:v=9}", "{l=[1 2 3]}", "{l=[1 9 3]}"},
    {"SET l[9] = :v", "{:v=9}", "{l=[1 2]}", "{l=[1 2 9]}"},
    {"SET l[0] = :v", "{:v=9}", "{l=[]}", "{l=[9]}"},
    {"SET l[9] = :v, l[5] = :w, l[0] = :x", "{:v=9 :w=5 :x=0}", "{l=[1 2]}", "{l=[0 2 5 9]}"},
    {"SET l[0].x = :v", "{:v=9}", "{l=[{x=1}]}", "{l=[{x=9}]}"},
    {"SET l[0][1] = :v", "{:v=9}", "{l=[[1 2] 3]}", "{l=[[1 9] 3]}"},
    {"SET a.b = :v", "{:v=1}", "{pk=1}", invalid_path},
    {"SET a.b.c = :v", "{:v=1}", "{a={x=1}}", invalid_path},
    {"SET s.b = :v", "{:v=1}", "{s=\"x\"}", invalid_path},
    {"SET l.b = :v", "{:v=1}", "{l=[1]}", invalid_path},
    {"SET m[0] = :v", "{:v=1}", "{m={}}", invalid_path},
    {"SET l[3].x = :v", "{:v=1}", "{l=[{x=1}]}", invalid_path},
    {"SET a.b = :v", "{:v=1}", NULL, invalid_path},
    {"SET a = b", NULL, "{pk=1}", missing},
    {"SET a = m.x", NULL, "{m={y=1}}", missing},
    {"SET a = l[3]", NULL, "{l=[1]}", missing},
    {"SET a = a + :v", "{:v=1}", "{pk=1}", missing},
    {"SET a = a + :v", "{:v=1}", NULL, missing},
    {"SET l = list_append(l, :v)", "{:v=[1]}", "{pk=1}", missing},
    {"SET a = s + :v", "{:v=1}", "{s=\"x\"}", incorrect_type},
    {"SET a = :v - l", "{:v=1}", "{l=[1]}", incorrect_type},
    {"SET l = list_append(s, :v)", "{:v=[1]}", "{s=\"x\"}", incorrect_type},
    {"SET l = list_append(:v, ss)", "{:v=[1]}", "{ss=(\"x\")}", incorrect_type},
    {"SET n = n + :v", "{:v=1E125}", "{n=9.9E125}",
     "Number overflow. Attempting to store a number with magnitude larger than supported range"},
    {"SET n = n - :v", "{:v=1.1E-130}", "{n=1.11E-130}",
     "Number underflow. Attempting to store a number with magnitude smaller than supported range"},
    {"SET n = n + :v", "{:v=1E-40}", "{n=1}",
     "Attempting to store more than 38 significant digits in a Number"},
    /* REMOVE */
    {"REMOVE a", NULL, "{a=1 b=2}", "{b=2}"},
    {"REMOVE a, zz", NULL, "{a=1 b=2}", "{b=2}"},
    {"REMOVE m.a, m.x", NULL, "{m={a=1 b=2}}", "{m={b=2}}"},
    {"REMOVE l[0], l[2], l[7]", NULL, "{l=[1 2 3 4]}", "{l=[2 4]}"},
    {"REMOVE l[0] SET l[1] = :v", "{:v=9}", "{l=[1 2 3]}", "{l=[9 3]}"},
    {"REMOVE a", NULL, NULL, "{pk=\"k\"}"},
    {"REMOVE a.b", NULL, "{pk=1}", invalid_path},
    {"REMOVE a[0]", NULL, "{a={x=1}}", invalid_path},
    /* ADD */
    {"ADD n :v", "{:v=2}", "{n=5}", "{n=7}"},
    {"ADD n :v", "{:v=-7}", "{n=5}", "{n=-2}"},
    {"ADD n :v", "{:v=2}", NULL, "{n=2 pk=\"k\"}"},
    {"ADD m.n :v, m.x :v", "{:v=2}", "{m={n=1}}", "{m={n=3 x=2}}"},
    {"ADD ss :v", "{:v=(\"a\" \"x\" \"z\")}", "{ss=(\"x\" \"y\")}",
     "{ss=(\"a\" \"x\" \"y\" \"z\")}"},
    {"ADD ns :v", "{:v=(2.0 3)}", "{ns=(1 2)}", "{ns=(1 2 3)}"},
    {"ADD bs :v", "{:v=(<>)}", "{bs=(<01>)}", "{bs=(<> <01>)}"},
    {"ADD ss :v", "{:v=(\"\")}", "{pk=1}", "{pk=1 ss=(\"\")}"},
    {"ADD l[0] :v, l[5] :v", "{:v=2}", "{l=[1]}", "{l=[3 2]}"},
    {"ADD n :v", "{:v=2}", "{n=\"5\"}", incorrect_type},
    {"ADD n :v", "{:v=(2)}", "{n=5}", incorrect_type},
    {"ADD ss :v", "{:v=(2)}", "{ss=(\"x\")}", incorrect_type},
    {"ADD m.n :v", "{:v=2}", "{pk=1}", invalid_path},
    {"ADD n :v", "{:v=9.9E125}", "{n=9E125}",
     "Number overflow. Attempting to store a number with magnitude larger than supported range"},
    /* DELETE */
    {"DELETE ss :v", "{:v=(\"y\" \"q\")}", "{ss=(\"x\" \"y\")}", "{ss=(\"x\")}"},
    {"DELETE ss :v", "{:v=(\"y\" \"x\")}", "{pk=1 ss=(\"x\" \"y\")}", "{pk=1}"},
    {"DELETE ss :v", "{:v=(\"y\")}", "{pk=1}", "{pk=1}"},
    {"DELETE m.ns :v", "{:v=(1)}", "{m={ns=(1 2)}}", "{m={ns=(2)}}"},
    {"DELETE ss :v", "{:v=(1)}", "{ss=(\"x\")}", incorrect_type},
    {"DELETE n :v", "{:v=(1)}", "{n=1}", incorrect_type},
    /* clauses together, in any order and case */
    {"delete ss :s add n :one remove l[0] set m.c = n", "{:s=(\"x\") :one=1}", OLD,
     "{bs=(<00>) l=[2 3] m={a=1 b={c=\"deep\"} c=5} n=6 ns=(1 2) pk=\"k\" s=\"hello\" ss=(\"y\")}"},
};

static struct value run(struct fixture *f, const struct expr_program *program, struct value old,
                        const char **message)
{
    struct value_writer w;
    struct value new_item = VALUE_ABSENT;
    struct expr_fault fault = {0};
    value_writer_init(&w, fixture_buffer(f));
    struct value key = text_value(f, "{pk=\"k\"}");
    enum status status = expr_update(program, old, key, &w, &f->arena, &fault);
    *message = NULL;
    if (status == STATUS_OK) {
        assert_int_equal(value_writer_finish(&w, &new_item), STATUS_OK);
        struct value checked;
        assert_int_equal(value_check(bytes_of(new_item.at, new_item.bytes), &checked), STATUS_OK);
        return new_item;
    }
    assert_int_equal(status, STATUS_INVALID);
    snprintf(f->text, sizeof(f->text), "%.*s", BYTES_ARGS(fault.message));
    *message = f->text;
    return new_item;
}

static void does_what_the_service_does(void **state)
{
    (void)state;
    static struct fixture f;
    fixture_init(&f);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const struct update_case *t = &cases[i];
        struct expr_program program = must_compile(&f, EXPR_UPDATE, t->text, NULL, t->values);
        const char *message;
        struct value result = run(&f, &program, text_value(&f, t->old), &message);
        const char *got = message != NULL ? message : value_text(&f, result);
        if (strcmp(got, t->expect) != 0)
            fail_msg("%s on %s: %s", t->text, t->old, got);
        fixture_reset(&f);
    }
    fixture_release(&f);
}

static void refuses_nesting_over_32(void **state)
{
    (void)state;
    static struct fixture f;
    fixture_init(&f);
    char deep[256] = "{:v=";
    for (int i = 0; i < 30; i++)
        strcat(deep, "[");
    strcat(deep, "1");
    for (int i = 0; i < 30; i++)
        strcat(deep, "]");
    strcat(deep, "}");
    const char *message;
    struct expr_program program = must_compile(&f, EXPR_UPDATE, "SET m.x = :v", NULL, deep);
    run(&f, &program, text_value(&f, "{m={}}"), &message);
    assert_null(message);
    program = must_compile(&f, EXPR_UPDATE, "SET m.x.y = :v", NULL, deep);
    run(&f, &program, text_value(&f, "{m={x={}}}"), &message);
    assert_string_equal(
        message, "Nesting Levels have exceeded supported limits: Attributes in the item have "
                 "nested levels beyond supported limit");
    fixture_release(&f);
}

static void updates_without_actions_keep_the_item(void **state)
{
    (void)state;
    static struct fixture f;
    fixture_init(&f);
    struct expr_program none = {0};
    const char *message;
    assert_string_equal(value_text(&f, run(&f, &none, text_value(&f, "{a=1}"), &message)), "{a=1}");
    assert_string_equal(value_text(&f, run(&f, &none, VALUE_ABSENT, &message)), "{pk=\"k\"}");
    fixture_release(&f);
}

static void shows_what_was_updated(void **state)
{
    (void)state;
    static struct fixture f;
    fixture_init(&f);
    struct expr_program program = must_compile(
        &f, EXPR_UPDATE, "SET m.b.c = :v, n = :v, m.x = :v REMOVE q, l[1]", NULL, "{:v=1}");
    struct value_writer w;
    struct value shown;
    value_writer_init(&w, fixture_buffer(&f));
    expr_updated(&program, text_value(&f, OLD), &w);
    assert_int_equal(value_writer_finish(&w, &shown), STATUS_OK);
    assert_string_equal(value_text(&f, shown), "{l=[2] m={b={c=\"deep\"}} n=5}");

    struct expr_attributes walk = {0};
    struct bytes name;
    char names[64] = "";
    while (expr_next_attribute(&program, &walk, &name))
        strncat(names, (const char *)name.at, name.count);
    assert_string_equal(names, "lmnq");
    fixture_release(&f);
}

/* ---- Random updates against a plain model ---- */

/* The item: a map of lists of numbers, a[i][j]; the model: an array.  Each update sets, removes or
 * adds to some elements. */
#define LISTS  4
#define LENGTH 6

struct model {
    int count[LISTS];
    int at[LISTS][LENGTH * 3];
};

static void model_text(const struct model *m, char *to)
{
    to += sprintf(to, "{");
    for (int i = 0; i < LISTS; i++) {
        to += sprintf(to, "%sa%d=[", i > 0 ? " " : "", i);
        for (int j = 0; j < m->count[i]; j++)
            to += sprintf(to, "%s%d", j > 0 ? " " : "", m->at[i][j]);
        to += sprintf(to, "]");
    }
    sprintf(to, "}");
}

struct change {
    int verb; /* 0 none, 1 SET, 2 REMOVE, 3 ADD */
    int value;
};

static void model_apply(struct model *m, struct change changes[LISTS][LENGTH + 2])
{
    struct model old = *m;
    for (int i = 0; i < LISTS; i++) {
        m->count[i] = 0;
        for (int j = 0; j < LENGTH + 2; j++) {
            struct change *c = &changes[i][j];
            bool there = j < old.count[i];
            if (c->verb == 2 || (c->verb == 0 && !there))
                continue;
            int value = there ? old.at[i][j] : 0;
            m->at[i][m->count[i]++] = c->verb == 1   ? c->value
                                      : c->verb == 3 ? value + c->value
                                                     : value;
        }
        for (int j = LENGTH + 2; j < old.count[i]; j++)
            m->at[i][m->count[i]++] = old.at[i][j];
    }
}

/* The clause's actions, in random order of lists and elements. */
static char *print_clause(char *to, int verb, struct change changes[LISTS][LENGTH + 2],
                          struct prng *prng)
{
    static const char *const words[] = {"", "SET", "REMOVE", "ADD"};
    const char *comma = "";
    int from = (int)prng_below(prng, LISTS * (LENGTH + 2));
    for (int k = 0; k < LISTS * (LENGTH + 2); k++) {
        int place = (from + k * 5) % (LISTS * (LENGTH + 2));
        int i = place % LISTS, j = place / LISTS;
        const struct change *c = &changes[i][j];
        if (c->verb != verb)
            continue;
        if (*comma == 0)
            to += sprintf(to, "%s ", words[verb]);
        to += sprintf(to, "%sa%d[%d]", comma, i, j);
        if (verb != 2)
            to += sprintf(to, "%s :v%d", verb == 1 ? " =" : "", c->value);
        comma = ", ";
    }
    return to + sprintf(to, " ");
}

static void agrees_with_a_plain_model(void **state)
{
    (void)state;
    static struct fixture f;
    fixture_init(&f);
    struct prng prng;
    prng_init(&prng, 11);
    for (int round = 0; round < 5000; round++) {
        struct model model = {0};
        for (int i = 0; i < LISTS; i++) {
            model.count[i] = (int)prng_below(&prng, LENGTH + 1);
            for (int j = 0; j < model.count[i]; j++)
                model.at[i][j] = (int)prng_below(&prng, 100);
        }
        static char before[4096], text[8192], expect[4096];
        struct change changes[LISTS][LENGTH + 2] = {{{0}}};
        unsigned total = 0;
        for (int i = 0; i < LISTS; i++) {
            for (int j = 0; j < LENGTH + 2; j++) {
                changes[i][j].verb = prng_one_in(&prng, 3) ? (int)prng_below(&prng, 4) : 0;
                changes[i][j].value = (int)prng_below(&prng, 4);
                total += changes[i][j].verb != 0;
            }
        }
        if (total == 0)
            continue;
        model_text(&model, before);
        model_apply(&model, changes);
        model_text(&model, expect);
        char *to = text;
        int first = (int)prng_below(&prng, 3);
        for (int k = 0; k < 3; k++)
            to = print_clause(to, 1 + (first + k) % 3, changes, &prng);
        struct expr_scope scope;
        struct expr_fault fault;
        struct expr_program program;
        scope_of(&f, NULL, "{:v0=0 :v1=1 :v2=2 :v3=3}", &scope);
        assert_int_equal(expr_scope_init(&scope, &f.arena, &fault), STATUS_OK);
        if (expr_compile(&scope, EXPR_UPDATE, bytes_of_text(text), &program, &fault) != STATUS_OK)
            fail_msg("%d: %s: %.*s", round, text, BYTES_ARGS(fault.message));
        assert_int_equal(expr_program_check(program.code, EXPR_UPDATE), STATUS_OK);
        const char *message;
        struct value result = run(&f, &program, text_value(&f, before), &message);
        if (message != NULL || strcmp(value_text(&f, result), expect) != 0)
            fail_msg("%d: %s on %s: %s, not %s", round, text, before, f.text, expect);
        fixture_reset(&f);
    }
    fixture_release(&f);
}

static void count_pause(void *count)
{
    ++*(unsigned *)count;
}

#define ELEMENTS 40000u

/* A set of ELEMENTS numbers, from `first` on. */
static struct value many_numbers(struct fixture *f, uint32_t first)
{
    struct value_writer w;
    struct value set = VALUE_ABSENT;
    value_writer_init(&w, fixture_buffer(f));
    value_write_begin(&w, VALUE_M);
    value_write_name(&w, BYTES(":s"));
    value_write_begin(&w, VALUE_NS);
    for (uint32_t i = 0; i < ELEMENTS; i++) {
        struct number number;
        number_from_u64(first + i, &number);
        value_write_number(&w, &number);
    }
    value_write_end(&w);
    value_write_end(&w);
    assert_int_equal(value_writer_finish(&w, &set), STATUS_OK);
    return set;
}

/* Sets merged, and paths looked up: with pauses, and the same result. */
static void long_updates_pause(void **state)
{
    (void)state;
    static const char *const texts[] = {"ADD #s :s", "DELETE #s :s",
                                        "SET a = #s, b = #s, c = #s, d = #s"};
    static struct fixture f;
    fixture_init(&f);
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        struct expr_name name = {.placeholder = BYTES("#s"), .name = BYTES(":s")};
        struct expr_scope scope = {.arena = &f.arena,
                                   .names = &name,
                                   .name_count = 1,
                                   .names_given = true,
                                   .values_given = i < 2};
        if (i < 2)
            scope.values = many_numbers(&f, ELEMENTS / 2);
        struct expr_fault fault = {0};
        struct expr_program program;
        assert_int_equal(expr_scope_init(&scope, &f.arena, &fault), STATUS_OK);
        assert_int_equal(
            expr_compile(&scope, EXPR_UPDATE, bytes_of_text(texts[i]), &program, &fault),
            STATUS_OK);
        struct value old = many_numbers(&f, 0), results[2];
        unsigned count = 0;
        struct pause pause = {count_pause, &count};
        for (int paused = 0; paused < 2; paused++) {
            struct value_writer w;
            value_writer_init(&w, fixture_buffer(&f));
            w.meter.pause = paused ? &pause : NULL;
            assert_int_equal(expr_update(&program, old, old, &w, &f.arena, &fault), STATUS_OK);
            assert_int_equal(value_writer_finish(&w, &results[paused]), STATUS_OK);
        }
        assert_true(value_equal(results[0], results[1]));
        assert_true(count >= (i < 2 ? ELEMENTS * PAUSE_STEP_WORK / PAUSE_BYTES : 4));
        fixture_reset(&f);
    }
    fixture_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(does_what_the_service_does),
        cmocka_unit_test(refuses_nesting_over_32),
        cmocka_unit_test(updates_without_actions_keep_the_item),
        cmocka_unit_test(shows_what_was_updated),
        cmocka_unit_test(agrees_with_a_plain_model),
        cmocka_unit_test(long_updates_pause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
