/* What a write may give the keys of indexes: each fault's text, and which index is named. */
#include "request/index_key.h"

#include "unit/cmocka_headers.h"

#include <stdlib.h>
#include <string.h>

struct fixture {
    struct heap heap;
    struct arena arena;
    struct buffer run, item;
};

static void setup(struct fixture *f)
{
    heap_init(&f->heap, false);
    arena_init(&f->arena, &f->heap, 1u << 20);
    buffer_init(&f->run, &f->heap, 65536);
    buffer_init(&f->item, &f->heap, 65536);
    struct index_schema indexes[2] = {{.name = BYTES("zz"), .collection = 1},
                                      {.name = BYTES("aa"), .collection = 2}};
    for (int i = 0; i < 2; i++) {
        indexes[i].partition_count = indexes[i].sort_count = 1;
        indexes[i].partition[0] = (struct key_attribute){BYTES("pk"), VALUE_S};
        indexes[i].sort[0] = (struct key_attribute){BYTES("ik"), VALUE_S};
    }
    index_encode(indexes, 2, &f->run);
}

static void teardown(struct fixture *f)
{
    arena_release(&f->arena);
    buffer_release(&f->run);
    buffer_release(&f->item);
    assert_int_equal(f->heap.bytes_used, 0);
}

/* {pk: "p", ik: a string of `count` letters}; a number instead, when `count` is -1; nothing, -2. */
static struct value item_of(struct fixture *f, int count)
{
    static char text[2048];
    struct value_writer w;
    struct value item;
    memset(text, 'x', sizeof(text));
    buffer_clear(&f->item);
    value_writer_init(&w, &f->item);
    value_write_begin(&w, VALUE_M);
    value_write_name(&w, BYTES("pk"));
    value_write_string(&w, BYTES("p"));
    if (count > -2)
        value_write_name(&w, BYTES("ik"));
    if (count >= 0)
        value_write_string(&w, bytes_of(text, (size_t)count));
    if (count == -1) {
        struct number number;
        number_from_u64(7, &number);
        value_write_number(&w, &number);
    }
    value_write_end(&w);
    assert_int_equal(value_writer_finish(&w, &item), STATUS_OK);
    return item;
}

static void says_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        int count;
        bool is_update;
        const char *text;
    } cases[] = {
        {-2, false, NULL},
        {1, false, NULL},
        {1024, true, NULL},
        {-1, true,
         "One or more parameter values were invalid: Type mismatch for Index Key ik Expected: S "
         "Actual: N IndexName: aa"},
        {0, false,
         "One or more parameter values are not valid. A value specified for a secondary index key "
         "is not supported. The AttributeValue for a key attribute cannot contain an empty string "
         "value. IndexName: aa, IndexKey: ik"},
        {0, true,
         "One or more parameter values are not valid. The update expression attempted to update a "
         "secondary index key to a value that is not supported. The AttributeValue for a key "
         "attribute cannot contain an empty string value."},
        {1025, false,
         "One or more parameter values were invalid: Aggregated size of all range keys has "
         "exceeded the size limit of 1024 bytes"},
    };
    struct fixture f;
    setup(&f);
    struct bytes run = buffer_bytes(&f.run);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct error error = {0};
        enum status status =
            index_key_check(run, item_of(&f, cases[i].count), cases[i].is_update, &f.arena, &error);
        assert_int_equal(status, cases[i].text == NULL ? STATUS_OK : STATUS_INVALID);
        if (cases[i].text != NULL)
            assert_true(bytes_equal(error.message, bytes_of_text(cases[i].text)));
    }
    struct error error;
    assert_int_equal(index_key_check(run, VALUE_ABSENT, true, &f.arena, &error), STATUS_OK);
    for (size_t cut = 0; cut < run.count; cut++) {
        enum status status =
            index_key_check(bytes_of(run.at, cut), item_of(&f, 1), false, &f.arena, &error);
        assert_int_equal(status, cut == 0 ? STATUS_OK : STATUS_CORRUPT);
    }
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
