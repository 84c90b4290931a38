/* Indexes: their encoding there and back, damaged ones, and what they hold of an item. */
#include "model/index.h"

#include "unit/cmocka_headers.h"

#include <stdlib.h>

static const struct key_schema table = {
    .partition = {{(const uint8_t *)"pk", 2}, VALUE_S},
    .sort = {{(const uint8_t *)"sk", 2}, VALUE_N},
};

static struct index_schema local(struct bytes name, uint8_t collection, enum projection projection)
{
    struct index_schema index = {.name = name,
                                 .collection = collection,
                                 .partition_count = 1,
                                 .sort_count = 1,
                                 .projection = projection};
    index.partition[0] = table.partition;
    index.sort[0] = (struct key_attribute){BYTES("at"), VALUE_S};
    if (projection == PROJECT_INCLUDE) {
        index.non_key_count = 2;
        index.non_key[0] = BYTES("zeta");
        index.non_key[1] = BYTES("alpha");
    }
    return index;
}

static void reads_what_it_wrote(void **state)
{
    (void)state;
    struct heap heap;
    struct buffer run;
    heap_init(&heap, false);
    buffer_init(&run, &heap, 65536);
    struct index_schema indexes[3] = {local(BYTES("one"), 1, PROJECT_ALL),
                                      local(BYTES("two"), 5, PROJECT_INCLUDE),
                                      {.name = BYTES("other"),
                                       .kind = INDEX_GLOBAL,
                                       .partition_count = 2,
                                       .projection = PROJECT_KEYS_ONLY}};
    indexes[2].partition[0] = (struct key_attribute){BYTES("a"), VALUE_B};
    indexes[2].partition[1] = (struct key_attribute){BYTES("b"), VALUE_N};
    index_encode(indexes, 3, &run);
    struct reader r = reader_of(buffer_bytes(&run));
    assert_int_equal(index_read_count(&r), 3);
    for (int i = 0; i < 3; i++) {
        struct index_schema index;
        index_read(&r, &index);
        assert_false(r.failed);
        assert_true(bytes_equal(index.name, indexes[i].name));
        assert_int_equal(index.kind, indexes[i].kind);
        assert_int_equal(index.collection, indexes[i].collection);
        assert_int_equal(index.partition_count, indexes[i].partition_count);
        assert_int_equal(index.sort_count, indexes[i].sort_count);
        assert_int_equal(index.projection, indexes[i].projection);
        assert_int_equal(index.non_key_count, indexes[i].non_key_count);
    }
    assert_int_equal(reader_left(&r), 0);
    for (size_t cut = 0; cut < run.count; cut++) {
        struct index_schema index;
        r = reader_of(bytes_of(run.at, cut));
        uint8_t count = index_read_count(&r);
        for (uint8_t i = 0; i < count; i++)
            index_read(&r, &index);
        assert_true(r.failed);
    }
    buffer_release(&run);
    assert_int_equal(heap.bytes_used, 0);
}

static void refuses_what_is_not_valid(void **state)
{
    (void)state;
    struct heap heap;
    heap_init(&heap, false);
    for (int i = 0; i < 5; i++) {
        struct index_schema index = local(BYTES("one"), 1, PROJECT_INCLUDE);
        if (i == 1)
            index.collection = 0;
        if (i == 2)
            index.sort_count = 0;
        if (i == 3)
            index.projection = PROJECT_ALL;
        if (i == 4)
            index.sort[0].type = VALUE_M;
        struct buffer run;
        buffer_init(&run, &heap, 65536);
        index_encode(&index, 1, &run);
        struct reader r = reader_of(buffer_bytes(&run));
        assert_int_equal(index_read_count(&r), 1);
        index_read(&r, &index);
        assert_int_equal(r.failed, i != 0);
        buffer_release(&run);
    }
}

/* An item with the given attributes, each a string of one letter. */
static struct value item_of(struct buffer *to, const char *const *names, size_t count)
{
    struct value_writer w;
    struct value item;
    buffer_clear(to);
    value_writer_init(&w, to);
    value_write_begin(&w, VALUE_M);
    for (size_t i = 0; i < count; i++) {
        value_write_name(&w, bytes_of_text(names[i]));
        value_write_string(&w, BYTES("x"));
    }
    value_write_end(&w);
    assert_int_equal(value_writer_finish(&w, &item), STATUS_OK);
    return item;
}

static void holds_keys_and_what_is_included(void **state)
{
    (void)state;
    static const char *const names[] = {"alpha", "at", "beta", "pk", "sk", "zeta"};
    static const char *const kept[][6] = {{"alpha", "at", "beta", "pk", "sk", "zeta"},
                                          {"alpha", "at", "pk", "sk", "zeta"},
                                          {"at", "pk", "sk"}};
    static const size_t kept_count[] = {6, 5, 3};
    struct heap heap;
    struct buffer a, b, to;
    heap_init(&heap, false);
    buffer_init(&a, &heap, 65536);
    buffer_init(&b, &heap, 65536);
    buffer_init(&to, &heap, 65536);
    struct value item = item_of(&a, names, ARRAY_COUNT(names));
    for (int p = PROJECT_ALL; p <= PROJECT_KEYS_ONLY; p++) {
        struct index_schema index = local(BYTES("one"), 1, (enum projection)p);
        struct value projected;
        assert_int_equal(index_project(&index, &table, item, &to, &projected), STATUS_OK);
        assert_true(value_equal(projected, item_of(&b, kept[p], kept_count[p])));
    }
    /* Sparse: without the sort key, or with one of another type. */
    struct index_schema index = local(BYTES("one"), 1, PROJECT_ALL);
    struct value projected = item;
    index.sort[0].name = BYTES("missing");
    assert_int_equal(index_project(&index, &table, item, &to, &projected), STATUS_OK);
    assert_null(projected.at);
    index = local(BYTES("one"), 1, PROJECT_ALL);
    index.sort[0].type = VALUE_N;
    assert_int_equal(index_project(&index, &table, item, &to, &projected), STATUS_OK);
    assert_null(projected.at);
    assert_int_equal(index_project(&index, &table, VALUE_ABSENT, &to, &projected), STATUS_OK);
    assert_null(projected.at);
    buffer_release(&a);
    buffer_release(&b);
    buffer_release(&to);
    assert_int_equal(heap.bytes_used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_it_wrote),
        cmocka_unit_test(refuses_what_is_not_valid),
        cmocka_unit_test(holds_keys_and_what_is_included),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
