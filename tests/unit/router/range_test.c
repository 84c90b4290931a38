/* Query and Scan over several partitions, page by page, against a list of all items. */
#include "fake_service.h"

#define PARTITION_KEYS 12u
#define SORT_KEYS      9u

static struct create_table_request table_request(void)
{
    return (struct create_table_request){
        .name = BYTES("items"),
        .schema = {.partition = {BYTES("p"), VALUE_S}, .sort = {BYTES("s"), VALUE_S}},
        .billing = BILLING_ON_DEMAND};
}

static struct value make(struct context *ctx, unsigned p, unsigned s, int attributes)
{
    char text[16];
    struct buffer buffer;
    buffer_init(&buffer, ctx->env->heap, 4096);
    struct value_writer w;
    value_writer_init(&w, &buffer);
    value_write_begin(&w, VALUE_M);
    snprintf(text, sizeof(text), "p%02u", p);
    value_write_name(&w, BYTES("p"));
    value_write_string(&w, bytes_of_text(text));
    snprintf(text, sizeof(text), "s%u", s);
    value_write_name(&w, BYTES("s"));
    value_write_string(&w, bytes_of_text(text));
    if (attributes > 0) {
        value_write_name(&w, BYTES("more"));
        value_write_string(&w, bytes_of_text(text));
    }
    value_write_end(&w);
    struct value item = VALUE_ABSENT;
    if (value_writer_finish(&w, &item) == STATUS_OK)
        item.at = arena_copy(&ctx->arena, bytes_of(item.at, item.bytes)).at;
    buffer_release(&buffer);
    return item;
}

static void fill(struct context *ctx, struct fake *f)
{
    struct create_table_request create = table_request();
    struct error error;
    fake_create_table(ctx, f, &create);
    for (unsigned p = 0; p < PARTITION_KEYS; p++) {
        for (unsigned s = 0; s < SORT_KEYS; s++) {
            struct write_request put = {
                .kind = WRITE_PUT, .table = create.name, .item = make(ctx, p, s, 1)};
            struct write_result result;
            CHECK(f, router_write(ctx, f->router, &put, &result, &error) == STATUS_OK);
        }
    }
}

/* What a range gave, in order. */
struct seen {
    struct item_sink sink;
    char keys[PARTITION_KEYS * SORT_KEYS + 1][8]; /* "p03s7" */
    uint32_t count;
};

static enum status see(struct item_sink *base, struct value item)
{
    struct seen *seen = (struct seen *)base;
    struct value p, s;
    if (seen->count == PARTITION_KEYS * SORT_KEYS + 1 || !value_find(item, BYTES("p"), &p) ||
        !value_find(item, BYTES("s"), &s))
        return STATUS_CORRUPT;
    snprintf(seen->keys[seen->count++], sizeof(seen->keys[0]), "%.*s%.*s",
             BYTES_ARGS(value_bytes(p)), BYTES_ARGS(value_bytes(s)));
    return STATUS_OK;
}

/* All pages of the request; each is checked: full when there is another. */
static void read_pages(struct context *ctx, struct fake *f, struct range_request request,
                       struct seen *seen)
{
    *seen = (struct seen){.sink = {.take = see}};
    request.table = BYTES("items");
    for (uint32_t pages = 0; pages < 200; pages++) {
        struct range_result result;
        struct error error = {0};
        uint32_t before = seen->count;
        enum status status = router_range(ctx, f->router, &request, &seen->sink, &result, &error);
        CHECK(f, status == STATUS_OK);
        CHECK(f, result.count == seen->count - before && result.scanned_count == result.count);
        bool more = value_type(result.last_key) != VALUE_NONE;
        if (request.limit > 0) /* a full page has a key to go on from, even at the very end */
            CHECK(f, more == (result.count == request.limit) && result.count <= request.limit);
        else
            CHECK(f, !more);
        if (!more || status != STATUS_OK)
            return;
        request.start_key = result.last_key;
    }
    CHECK(f, false);
}

static struct expr_program key_condition(struct context *ctx, struct fake *f, const char *text,
                                         unsigned p, const char *s)
{
    char name[16];
    struct buffer buffer;
    buffer_init(&buffer, ctx->env->heap, 256);
    struct value_writer w;
    value_writer_init(&w, &buffer);
    value_write_begin(&w, VALUE_M);
    snprintf(name, sizeof(name), "p%02u", p);
    value_write_name(&w, BYTES(":p"));
    value_write_string(&w, bytes_of_text(name));
    if (s != NULL) {
        value_write_name(&w, BYTES(":s"));
        value_write_string(&w, bytes_of_text(s));
        value_write_name(&w, BYTES(":t"));
        value_write_string(&w, BYTES("s6"));
    }
    value_write_end(&w);
    struct expr_scope scope = {.arena = &ctx->arena, .values_given = true};
    struct expr_program program = {0};
    struct expr_fault fault;
    CHECK(f, value_writer_finish(&w, &scope.values) == STATUS_OK);
    CHECK(f, expr_scope_init(&scope, &ctx->arena, &fault) == STATUS_OK);
    CHECK(f, expr_compile(&scope, EXPR_KEY_CONDITION, bytes_of_text(text), &program, &fault) ==
                 STATUS_OK);
    buffer_release(&buffer);
    return program;
}

/* The items of partition key p with lowest <= sort key <= highest, in the direction. */
static void expect_query(struct fake *f, const struct seen *seen, unsigned p, int lowest,
                         int highest, bool backward)
{
    CHECK(f, seen->count == (uint32_t)(highest - lowest + 1));
    for (uint32_t i = 0; i < seen->count && f->wrong == NULL; i++) {
        char key[32];
        snprintf(key, sizeof(key), "p%02us%d", p, backward ? highest - (int)i : lowest + (int)i);
        CHECK(f, strcmp(seen->keys[i], key) == 0);
    }
}

static void queries_body(struct context *ctx, struct fake *f)
{
    static const struct {
        const char *text;
        int lowest, highest;
    } cases[] = {
        {"p = :p", 0, 8},
        {"p = :p AND s = :s", 4, 4},
        {"p = :p AND s < :s", 0, 3},
        {"p = :p AND s <= :s", 0, 4},
        {"p = :p AND s > :s", 5, 8},
        {"p = :p AND s >= :s", 4, 8},
        {"p = :p AND begins_with(s, :s)", 4, 4},
        {"p = :p AND s BETWEEN :s AND :t", 4, 6},
    };
    struct seen *seen = malloc(sizeof(*seen));
    fill(ctx, f);
    for (unsigned c = 0; c < 8; c++) {
        for (uint32_t limit = 0; limit <= 10; limit++) {
            for (int backward = 0; backward < 2; backward++) {
                unsigned p = (c + limit) % PARTITION_KEYS;
                struct range_request query = {
                    .kind = RANGE_QUERY,
                    .key_condition = key_condition(ctx, f, cases[c].text, p, c > 0 ? "s4" : NULL),
                    .limit = limit,
                    .backward = backward != 0};
                read_pages(ctx, f, query, seen);
                expect_query(f, seen, p, cases[c].lowest, cases[c].highest, backward != 0);
            }
        }
    }
    free(seen);
}

static void queries_give_what_the_condition_says_in_pages(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    fake_run(f, queries_body);
    fake_close(f);
}

/* Every item once, whatever the pages and segments. */
static void scans_body(struct context *ctx, struct fake *f)
{
    struct seen *seen = malloc(sizeof(*seen));
    fill(ctx, f);
    for (uint32_t limit = 0; limit < 30; limit += 1 + limit / 4) {
        for (uint32_t segments = 0; segments <= 7; segments += 3) {
            bool had[PARTITION_KEYS][SORT_KEYS] = {0};
            uint32_t total = 0;
            for (uint32_t i = 0; i < MAX(segments, 1u); i++) {
                struct range_request scan = {
                    .kind = RANGE_SCAN, .limit = limit, .segment = i, .segment_count = segments};
                read_pages(ctx, f, scan, seen);
                for (uint32_t k = 0; k < seen->count; k++) {
                    unsigned p = 0, s = 0;
                    CHECK(f, sscanf(seen->keys[k], "p%us%u", &p, &s) == 2);
                    CHECK(f, p < PARTITION_KEYS && s < SORT_KEYS);
                    if (f->wrong != NULL)
                        break;
                    CHECK(f, !had[p][s]);
                    had[p][s] = true;
                    total++;
                }
            }
            CHECK(f, total == PARTITION_KEYS * SORT_KEYS);
        }
    }
    free(seen);
}

static void scans_give_each_item_once(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    fake_run(f, scans_body);
    fake_close(f);
}

static void refuse(struct context *ctx, struct fake *f, struct range_request request,
                   const char *message)
{
    struct seen seen = {.sink = {.take = see}};
    struct range_result result;
    struct error error = {0};
    request.table = BYTES("items");
    CHECK(f, router_range(ctx, f->router, &request, &seen.sink, &result, &error) == STATUS_INVALID);
    CHECK(f, error.code == ERROR_VALIDATION);
    if (!bytes_equal(error.message, bytes_of_text(message))) {
        print_error("%.*s\n", BYTES_ARGS(error.message));
        CHECK(f, false);
    }
}

static void start_keys_body(struct context *ctx, struct fake *f)
{
    fill(ctx, f);
    struct range_request query = {.kind = RANGE_QUERY,
                                  .key_condition = key_condition(ctx, f, "p = :p", 3, NULL),
                                  .start_key = make(ctx, 4, 1, 0)};
    refuse(ctx, f, query,
           "The provided starting key is outside query boundaries based on provided conditions");
    query.start_key = make(ctx, 3, 1, 1); /* an attribute too many */
    refuse(ctx, f, query, "The provided starting key is invalid");
    query.key_condition = key_condition(ctx, f, "p = :p AND s BETWEEN :s AND :t", 3, "s2");
    query.start_key = make(ctx, 3, 1, 0);
    refuse(ctx, f, query, "The provided starting key does not match the range key predicate");
    query.start_key = make(ctx, 4, 3, 0);
    refuse(ctx, f, query,
           "The provided starting key is outside query boundaries based on provided conditions");
    struct range_request scan = {.kind = RANGE_SCAN, .segment_count = 2};
    scan.start_key = make(ctx, 3, 1, 1);
    refuse(ctx, f, scan,
           "The provided starting key is invalid: The provided key element does not match the "
           "schema");
    for (unsigned p = 0, refused = 0; p < PARTITION_KEYS && refused == 0; p++) {
        struct seen *seen = malloc(sizeof(*seen));
        struct range_request first = {.kind = RANGE_SCAN, .segment = 1, .segment_count = 2};
        read_pages(ctx, f, first, seen);
        unsigned other = 0, s = 0;
        CHECK(f, sscanf(seen->keys[0], "p%us%u", &other, &s) == 2);
        free(seen);
        scan.start_key = make(ctx, other, s, 0); /* of segment 1, given to segment 0 */
        refuse(ctx, f, scan,
               "The provided starting key is invalid: Invalid ExclusiveStartKey. Please use "
               "ExclusiveStartKey with correct Segment. TotalSegments: 2 Segment: 0");
        refused++;
    }
}

static void start_keys_are_checked(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    fake_run(f, start_keys_body);
    fake_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queries_give_what_the_condition_says_in_pages),
        cmocka_unit_test(scans_give_each_item_once),
        cmocka_unit_test(start_keys_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
