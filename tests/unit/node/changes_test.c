/* The records of changes: what makes one, what is read, what a crash leaves, what is trimmed. */
#include "node_fixture.h"

#include "base/prng.h"
#include "node/node_private.h" /* the consumers of changes are in this room */

#define KEYS_MAX    12u
#define RECORDS_MAX 20000u

/* A record as the tests remember it. */
struct seen {
    struct change_position position;
    enum change_kind kind;
    uint8_t actor;
    bool for_stream;
    uint64_t hlc, old, current; /* numbers of the items; 0: none */
    size_t old_bytes, current_bytes;
    char key[16];
};

static struct seen seen[RECORDS_MAX];
static size_t seen_count;

static void read_from(struct context *ctx, struct fixture *f, struct change_position from)
{
    struct replica *replica = node_replica(f->node, GROUP);
    struct changes_walk walk;
    struct change_record record;
    enum status status;
    seen_count = 0;
    CHECK(f, changes_open(ctx, replica, from, &walk) == STATUS_OK);
    while ((status = changes_next(&walk, &record)) == STATUS_OK && seen_count < RECORDS_MAX) {
        struct seen *to = &seen[seen_count++];
        *to = (struct seen){.position = record.position,
                            .kind = record.kind,
                            .actor = record.actor,
                            .for_stream = record.stream != 0,
                            .hlc = record.hlc,
                            .old = item_number(record.old),
                            .current = item_number(record.current),
                            .old_bytes = record.old.bytes,
                            .current_bytes = record.current.bytes};
        snprintf(to->key, sizeof(to->key), "%.*s", (int)record.key.count, record.key.at);
    }
    CHECK(f, status == STATUS_END);
}

static void read_all(struct context *ctx, struct fixture *f)
{
    read_from(ctx, f, (struct change_position){0});
}

/* Everything that is committed is applied. */
static void settle(struct context *ctx, struct fixture *f)
{
    const struct replica *replica = node_replica(f->node, GROUP);
    while (replica->applied_slot < replica->commit_slot)
        CHECK(f, context_sleep(ctx, 1000000) == STATUS_OK);
}

/* ---- What makes a record ---- */

static void kinds_body(struct context *ctx, struct fixture *f)
{
    struct bytes key = BYTES("key");
    /* Sent before the consumer came whose mark is there now. */
    CHECK(f, put(ctx, f, GROUP, BYTES("before"), 1, 0) == STATUS_OK);
    f->keeps_changes = KEEP_CHANGES_FOR_STREAM;
    CHECK(f, put(ctx, f, GROUP, key, 5, 10) == STATUS_OK);
    CHECK(f, put(ctx, f, GROUP, key, 5, 10) == STATUS_OK); /* the same */
    CHECK(f, put(ctx, f, GROUP, key, 6, 10) == STATUS_OK);
    CHECK(f, remove_item(ctx, f, GROUP, key) == STATUS_OK);
    CHECK(f, remove_item(ctx, f, GROUP, key) == STATUS_OK); /* nothing is there */
    f->keeps_changes = KEEP_CHANGES;
    CHECK(f, put(ctx, f, GROUP, BYTES("before"), 2, 0) == STATUS_OK);
    f->actor = WRITE_BY_EXPIRY;
    CHECK(f, remove_item(ctx, f, GROUP, BYTES("before")) == STATUS_OK);
    settle(ctx, f);
}

static void check_kinds_body(struct context *ctx, struct fixture *f)
{
    static const struct seen expected[] = {
        {.kind = CHANGE_INSERT, .current = 1, .key = "before"},
        {.kind = CHANGE_INSERT, .current = 5, .for_stream = true, .key = "key"},
        {.kind = CHANGE_MODIFY, .old = 5, .current = 6, .for_stream = true, .key = "key"},
        {.kind = CHANGE_REMOVE, .old = 6, .for_stream = true, .key = "key"},
        {.kind = CHANGE_MODIFY, .old = 1, .current = 2, .key = "before"},
        {.kind = CHANGE_REMOVE, .old = 2, .key = "before", .actor = WRITE_BY_EXPIRY},
    };
    read_all(ctx, f);
    CHECK(f, seen_count == 6);
    for (size_t i = 0; i < 6; i++) {
        CHECK(f, seen[i].kind == expected[i].kind && seen[i].old == expected[i].old);
        CHECK(f, seen[i].current == expected[i].current && seen[i].actor == expected[i].actor);
        CHECK(f, seen[i].for_stream == expected[i].for_stream);
        CHECK(f, strcmp(seen[i].key, expected[i].key) == 0);
        CHECK(f, i == 0 || change_before(seen[i - 1].position, seen[i].position));
        CHECK(f, i == 0 || seen[i - 1].hlc < seen[i].hlc);
    }
    struct change_position third = seen[3].position;
    CHECK(f, changes_wait(ctx, node_replica(f->node, GROUP), seen[4].position) == STATUS_OK);
    read_from(ctx, f, third);
    CHECK(f, seen_count == 3 && seen[0].old == 6);
    third.number++;
    read_from(ctx, f, third);
    CHECK(f, seen_count == 2);
}

/* ---- Who is told ---- */

static uint32_t told;

static void note_told(void *owner, uint64_t group_id)
{
    (void)owner;
    assert_true(group_id == GROUP);
    told++;
}

/* Each allocation of an apply fails in turn. */
static void starved_applies_body(struct context *ctx, struct fixture *f)
{
    struct heap *heap = ctx->env->heap;
    uint64_t failures = node_stats(f->node)->apply_failures, failed = failures;
    f->keeps_changes = KEEP_CHANGES_FOR_STREAM;
    f->service->on_changes = note_told;
    for (uint64_t n = 1; n < 400 && f->wrong == NULL; n++) {
        char key[24];
        snprintf(key, sizeof(key), "%u", (unsigned)n);
        arena_reset(&ctx->arena);
        told = 0;
        CHECK(f, put(ctx, f, GROUP, bytes_of_text(key), n, 6000) == STATUS_OK);
        heap->fail_after = 1 + n % 10;
        settle(ctx, f);
        heap->fail_after = 0;
        CHECK(f, told == 1);
        failed = node_stats(f->node)->apply_failures;
    }
    CHECK(f, failed > failures + 100);
    f->service->on_changes = NULL;
    CHECK(f, node_stats(f->node)->changes_kept == 399);
    read_all(ctx, f);
    CHECK(f, seen_count == 399);
}

static void consumers_are_told_of_changes_whose_apply_is_tried_again(void **state)
{
    (void)state;
    struct fixture *f = fixture_create_open(90);
    assert_true(fixture_run(f, starved_applies_body));
    fixture_close(f);
    fixture_free(f);
}

static void mark_five_body(struct context *ctx, struct fixture *f)
{
    CHECK(f, changes_mark_set(ctx, node_replica(f->node, GROUP), 5, 0) == STATUS_OK);
}

static void each_change_of_an_item_makes_one_record(void **state)
{
    (void)state;
    struct fixture *f = fixture_create_open(1);
    assert_true(fixture_run(f, mark_five_body)); /* or what is not for a stream goes */
    assert_true(fixture_run(f, kinds_body));
    assert_true(fixture_run(f, check_kinds_body));
    fixture_close(f); /* to the trees */
    fixture_open(f);
    assert_true(fixture_run(f, check_kinds_body));
    fixture_crash(f, SIM_CRASH_POWER);
    fixture_open(f);
    assert_true(fixture_run(f, check_kinds_body));
    fixture_close(f);
    fixture_free(f);
}

/* ---- Writers that wait for the same page ---- */

static uint32_t writers;

static void delete_run(struct context *ctx, void *argument)
{
    struct fixture *f = argument;
    CHECK(f, remove_item(ctx, f, GROUP, BYTES("key")) == STATUS_OK);
    writers--;
}

static void put_run(struct context *ctx, void *argument)
{
    struct fixture *f = argument;
    CHECK(f, put(ctx, f, GROUP, BYTES("key"), 6, 0) == STATUS_OK);
    writers--;
}

static void put_five_body(struct context *ctx, struct fixture *f)
{
    f->keeps_changes = KEEP_CHANGES_FOR_STREAM;
    CHECK(f, put(ctx, f, GROUP, BYTES("key"), 5, 0) == STATUS_OK);
}

static void delete_and_put_body(struct context *ctx, struct fixture *f)
{
    struct fiber_options options = {.arena_bytes_max = ARENA_BYTES, .deadline_ns = UINT64_MAX};
    writers = 2;
    CHECK(f, fiber_spawn(ctx->env, &options, delete_run, f) == STATUS_OK);
    CHECK(f, fiber_spawn(ctx->env, &options, put_run, f) == STATUS_OK);
    while (writers > 0)
        CHECK(f, context_sleep(ctx, 1000000) == STATUS_OK);
    settle(ctx, f);
    read_all(ctx, f);
    CHECK(f, seen_count == 3);
    CHECK(f, seen[1].kind == CHANGE_REMOVE && seen[1].old == 5);
    CHECK(f, seen[2].kind == CHANGE_INSERT && seen[2].old == 0 && seen[2].current == 6);
}

/* The put finds the item in the page that both waited for, and the delete in the overlay. */
static void a_put_behind_a_delete_has_no_old_image(void **state)
{
    (void)state;
    struct fixture *f = fixture_create_open(2);
    assert_true(fixture_run(f, put_five_body));
    fixture_close(f);
    fixture_open(f);
    assert_true(fixture_run(f, delete_and_put_body));
    fixture_close(f);
    fixture_free(f);
}

/* ---- Images that do not fit in one row ---- */

/* An item that is stored in `count` times eleven bytes: sets of one empty string. */
static enum status put_sets(struct context *ctx, struct fixture *f, uint64_t number, uint32_t count)
{
    struct bytes key = BYTES("large");
    struct buffer buffer;
    struct value_writer w;
    struct number n;
    struct write_request request = {.kind = WRITE_PUT};
    buffer_init(&buffer, ctx->env->heap, ITEM_STORED_BYTES_MAX);
    value_writer_init(&w, &buffer);
    value_write_begin(&w, VALUE_M);
    value_write_name(&w, BYTES("k"));
    value_write_string(&w, key);
    number_from_u64(number, &n);
    value_write_name(&w, BYTES("n"));
    value_write_number(&w, &n);
    value_write_name(&w, BYTES("sets"));
    value_write_begin(&w, VALUE_L);
    for (uint32_t i = 0; i < count; i++) {
        value_write_begin(&w, VALUE_SS);
        value_write_string(&w, BYTES(""));
        value_write_end(&w);
    }
    value_write_end(&w);
    value_write_end(&w);
    CHECK(f, value_writer_finish(&w, &request.item) == STATUS_OK);
    struct write_result result;
    struct error error;
    enum status status = send_write(ctx, f, GROUP, key, &request, &result, &error);
    buffer_release(&buffer);
    return status;
}

static void large_body(struct context *ctx, struct fixture *f)
{
    f->keeps_changes = KEEP_CHANGES_FOR_STREAM;
    CHECK(f, put_sets(ctx, f, 1, 55000) == STATUS_OK);
    CHECK(f, put_sets(ctx, f, 2, 56000) == STATUS_OK);
    CHECK(f, put_sets(ctx, f, 3, 1) == STATUS_OK);
    CHECK(f, put_sets(ctx, f, 4, 80000) == STATUS_OK);
    settle(ctx, f);
    read_all(ctx, f);
    CHECK(f, seen_count == 4);
    for (uint32_t i = 0; i < 4; i++)
        CHECK(f, seen[i].old == i && seen[i].current == i + 1);
    CHECK(f, seen[1].old_bytes > 600000 && seen[1].current_bytes > 610000);
    CHECK(f, seen[3].old_bytes < 100 && seen[3].current_bytes > 880000);
    uint64_t rows, bytes;
    changes_size(node_replica(f->node, GROUP), &rows, &bytes);
    CHECK(f, rows == 6 && bytes > 11 * (2 * 55000 + 2 * 56000 + 80000));
}

static void large_images_have_rows_of_their_own(void **state)
{
    (void)state;
    struct fixture *f = fixture_create(2);
    f->options.cache_bytes = 16u << 20;
    f->options.checkpoint_bytes = 64u << 20;
    fixture_open(f);
    assert_true(fixture_run(f, create_body));
    assert_true(fixture_run(f, large_body));
    fixture_close(f);
    fixture_free(f);
}

/* ---- What one call gives ---- */

#define LARGE_CHANGES    40u
#define LARGE_PAD        (390u << 10)
#define CALL_ARENA_BYTES ((size_t)16 << 20) /* less than all those records need */

struct counting {
    struct follow_sink follow;
    struct change_sink changes;
    uint32_t count;
};

static enum status count_followed(struct follow_sink *sink, const struct replica_change *change)
{
    struct counting *counting = CONTAINER_OF(sink, struct counting, follow);
    counting->count += item_number(change->current) == counting->count + 1;
    return STATUS_OK;
}

static enum status count_read(struct change_sink *sink, const struct change_record *record)
{
    struct counting *counting = CONTAINER_OF(sink, struct counting, changes);
    counting->count += item_number(record->current) == counting->count + 1;
    return STATUS_OK;
}

static void large_changes_body(struct context *ctx, struct fixture *f)
{
    f->keeps_changes = KEEP_CHANGES_FOR_STREAM;
    for (uint64_t i = 1; i <= LARGE_CHANGES; i++) {
        CHECK(f, put(ctx, f, GROUP, BYTES("large"), i, LARGE_PAD) == STATUS_OK);
        arena_reset(&ctx->arena);
    }
    settle(ctx, f);
}

static void read_in_calls(struct context *ctx, void *argument)
{
    struct fixture *f = argument;
    struct replica_target target = target_of(GROUP);
    struct counting followed = {.follow = {.take = count_followed}};
    struct counting read = {.changes = {.take = count_read}};
    struct changes_walk walk;
    struct change_record record;
    uint64_t slot = 0;
    for (uint32_t before = UINT32_MAX; followed.count != before && f->wrong == NULL;) {
        arena_reset(&ctx->arena);
        before = followed.count;
        CHECK(f, f->service->follow(ctx, f->service, &target, slot, &followed.follow) == STATUS_OK);
        /* One write each, from the first on. */
        CHECK(f, changes_open(ctx, node_replica(f->node, GROUP), (struct change_position){0},
                              &walk) == STATUS_OK);
        if (slot == 0 && changes_next(&walk, &record) == STATUS_OK)
            slot = record.position.slot - 1;
        slot += followed.count - before;
    }
    CHECK(f, followed.count == LARGE_CHANGES);
    struct replica_changes call = {.stream = 1};
    struct replica_changes_result result = {0};
    while (!result.at_end && f->wrong == NULL) {
        arena_reset(&ctx->arena);
        CHECK(f, f->service->changes(ctx, f->service, &target, &call, &read.changes, &result) ==
                     STATUS_OK);
        call.from = result.next;
    }
    CHECK(f, read.count == LARGE_CHANGES);
    f->done = true;
}

static void a_call_gives_no_more_than_memory_holds(void **state)
{
    (void)state;
    struct fixture *f = fixture_create(3);
    struct fiber_options options = {.arena_bytes_max = CALL_ARENA_BYTES, .deadline_ns = UINT64_MAX};
    f->options.cache_bytes = 16u << 20;
    f->options.checkpoint_bytes = 64u << 20;
    fixture_open(f);
    assert_true(fixture_run(f, create_body));
    assert_true(fixture_run(f, large_changes_body));
    f->done = false;
    assert_int_equal(fiber_spawn(sim_node_env(f->machine), &options, read_in_calls, f), STATUS_OK);
    while (!f->done)
        assert_true(sim_step(f->sim));
    fixture_check(f);
    fixture_close(f);
    fixture_free(f);
}

/* ---- Crashes ---- */

struct life {
    uint64_t acknowledged[KEYS_MAX]; /* the newest number that is surely there; 0: none */
    uint64_t sent[KEYS_MAX];         /* the newest that may be */
    uint64_t number;
    struct prng prng;
};

static struct life life;

static void life_body(struct context *ctx, struct fixture *f)
{
    f->keeps_changes = KEEP_CHANGES_FOR_STREAM;
    for (;;) {
        char name[16];
        uint32_t k = (uint32_t)prng_below(&life.prng, KEYS_MAX);
        snprintf(name, sizeof(name), "key %u", k);
        size_t pad = prng_below(&life.prng, 20) == 0 ? 5000 : prng_below(&life.prng, 300);
        life.sent[k] = ++life.number;
        enum status status = put(ctx, f, GROUP, bytes_of_text(name), life.number, pad);
        if (status == STATUS_OK)
            life.acknowledged[k] = life.number;
        CHECK(f, status == STATUS_OK || status == STATUS_UNKNOWN_OUTCOME);
        if (prng_below(&life.prng, 4) == 0)
            CHECK(f, context_sleep(ctx, prng_below(&life.prng, 3000000)) == STATUS_OK);
        arena_reset(&ctx->arena);
    }
}

/* Each item's records are a chain from nothing to what it is now, without a hole. */
static void check_chains_body(struct context *ctx, struct fixture *f)
{
    settle(ctx, f);
    read_all(ctx, f);
    CHECK(f, seen_count < RECORDS_MAX);
    for (uint32_t k = 0; k < KEYS_MAX; k++) {
        char name[16];
        uint64_t now, last = 0;
        bool acknowledged = life.acknowledged[k] == 0;
        snprintf(name, sizeof(name), "key %u", k);
        CHECK(f, get(ctx, f, GROUP, bytes_of_text(name), &now) == STATUS_OK);
        for (size_t i = 0; i < seen_count; i++) {
            if (strcmp(seen[i].key, name) != 0)
                continue;
            CHECK(f, seen[i].old == last && seen[i].current > last);
            CHECK(f, seen[i].kind == (last == 0 ? CHANGE_INSERT : CHANGE_MODIFY));
            last = seen[i].current;
            acknowledged |= last == life.acknowledged[k];
        }
        CHECK(f, last == now && acknowledged && last <= life.sent[k]);
    }
    for (size_t i = 1; i < seen_count; i++)
        CHECK(f, change_before(seen[i - 1].position, seen[i].position));
}

static void crash_at_some_time(struct fixture *f)
{
    struct fiber_options options = {.arena_bytes_max = ARENA_BYTES, .deadline_ns = UINT64_MAX};
    f->body = life_body;
    assert_int_equal(fiber_spawn(sim_node_env(f->machine), &options, fixture_fiber, f), STATUS_OK);
    uint64_t steps = 200 + prng_below(&life.prng, 12000);
    while (steps-- > 0 && sim_step(f->sim))
        fixture_check(f);
    fixture_crash(f, prng_below(&life.prng, 2) == 0 ? SIM_CRASH_POWER : SIM_CRASH_KILL);
}

static void no_crash_loses_or_repeats_a_record(void **state)
{
    (void)state;
    const char *more = getenv("TRINE_TEST_SEEDS");
    uint64_t seeds = more != NULL ? strtoull(more, NULL, 10) : 12;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        struct fixture *f = fixture_create_open(seed);
        life = (struct life){0};
        prng_init(&life.prng, seed);
        for (unsigned i = 0; i < 4; i++) {
            crash_at_some_time(f);
            fixture_open(f);
            assert_true(fixture_run(f, check_chains_body));
        }
        fixture_close(f);
        fixture_open(f);
        assert_true(fixture_run(f, check_chains_body));
        fixture_close(f);
        fixture_free(f);
    }
}

/* ---- Trimming ---- */

#define DAY_NS (24 * 3600 * SECOND)

static void fill(struct context *ctx, struct fixture *f, uint64_t from, uint64_t count)
{
    for (uint64_t i = from; i < from + count; i++) {
        CHECK(f, put(ctx, f, GROUP, BYTES("key"), i + 1, i % 50 == 0 ? 3000 : 20) == STATUS_OK);
        arena_reset(&ctx->arena);
    }
    settle(ctx, f);
}

static uint64_t rows_of(struct fixture *f)
{
    uint64_t rows, bytes;
    changes_size(node_replica(f->node, GROUP), &rows, &bytes);
    return rows;
}

static void stream_body(struct context *ctx, struct fixture *f)
{
    const struct replica *replica = node_replica(f->node, GROUP);
    f->keeps_changes = KEEP_CHANGES_FOR_STREAM;
    fill(ctx, f, 0, 400);
    CHECK(f, context_sleep(ctx, 5 * SECOND) == STATUS_OK);
    CHECK(f, rows_of(f) == 400 && changes_trimmed_slot(replica) == 0);
    ctx->env->wall_offset_ns += (int64_t)DAY_NS;
    fill(ctx, f, 400, 50); /* makes room for a hundred */
    CHECK(f, rows_of(f) >= 50 && rows_of(f) < 450);
    CHECK(f, context_sleep(ctx, 4 * SECOND) == STATUS_OK);
    CHECK(f, rows_of(f) == 50);
    read_all(ctx, f);
    CHECK(f, seen_count == 50 && seen[0].old == 400);
    CHECK(f, changes_trimmed_slot(replica) == seen[0].position.slot - 1);
    CHECK(f, node_stats(f->node)->changes_trimmed == 400);
    CHECK(f, node_stats(f->node)->changes_kept == 450);
}

static void trimmed_body(struct context *ctx, struct fixture *f)
{
    read_all(ctx, f);
    CHECK(f, seen_count == 50 && seen[0].old == 400);
    CHECK(f, changes_trimmed_slot(node_replica(f->node, GROUP)) == seen[0].position.slot - 1);
    ctx->env->wall_offset_ns += 2 * (int64_t)DAY_NS;
    CHECK(f, context_sleep(ctx, 3 * SECOND) == STATUS_OK); /* without a write */
    CHECK(f, rows_of(f) == 0);
}

static void what_is_for_a_stream_goes_after_a_day(void **state)
{
    (void)state;
    struct fixture *f = fixture_create_open(5);
    assert_true(fixture_run(f, stream_body));
    fixture_close(f);
    fixture_open(f);
    assert_true(fixture_run(f, trimmed_body));
    fixture_close(f);
    fixture_free(f);
}

static void marks_body(struct context *ctx, struct fixture *f)
{
    struct replica *replica = node_replica(f->node, GROUP);
    uint64_t slot;
    f->keeps_changes = KEEP_CHANGES;
    CHECK(f, !changes_mark(replica, 1, &slot));
    CHECK(f, changes_mark_set(ctx, replica, 1, 0) == STATUS_OK);
    CHECK(f, changes_mark_set(ctx, replica, 2, 0) == STATUS_OK);
    fill(ctx, f, 0, 300);
    CHECK(f, context_sleep(ctx, 3 * SECOND) == STATUS_OK);
    CHECK(f, rows_of(f) == 300);
    read_all(ctx, f);
    CHECK(f, changes_mark_set(ctx, replica, 1, seen[199].position.slot) == STATUS_OK);
    CHECK(f, changes_mark_set(ctx, replica, 2, seen[99].position.slot) == STATUS_OK);
    CHECK(f, context_sleep(ctx, 3 * SECOND) == STATUS_OK);
    CHECK(f, rows_of(f) == 200);
    CHECK(f, changes_mark_remove(ctx, replica, 2) == STATUS_OK);
    CHECK(f, context_sleep(ctx, 3 * SECOND) == STATUS_OK);
    CHECK(f, rows_of(f) == 100 && !changes_mark(replica, 2, &slot));
}

static void marks_after_body(struct context *ctx, struct fixture *f)
{
    struct replica *replica = node_replica(f->node, GROUP);
    uint64_t slot = 0;
    /* What was trimmed behind the last checkpoint is there again, and goes again. */
    CHECK(f, context_sleep(ctx, 3 * SECOND) == STATUS_OK);
    read_all(ctx, f);
    CHECK(f, seen_count == 100);
    CHECK(f, changes_mark(replica, 1, &slot) && slot == seen[0].position.slot - 1);
    CHECK(f, !changes_mark(replica, 2, &slot));
    CHECK(f, context_sleep(ctx, 3 * SECOND) == STATUS_OK);
    CHECK(f, rows_of(f) == 100);
    for (uint64_t consumer = 2; consumer <= CHANGES_MARKS_MAX; consumer++)
        CHECK(f, changes_mark_set(ctx, replica, consumer, consumer) == STATUS_OK);
    CHECK(f, changes_mark_set(ctx, replica, CHANGES_MARKS_MAX + 1, 1) == STATUS_NO_SPACE);
    for (uint64_t consumer = 2; consumer <= CHANGES_MARKS_MAX; consumer++) {
        CHECK(f, changes_mark(replica, consumer, &slot) && slot == consumer);
        CHECK(f, changes_mark_remove(ctx, replica, consumer) == STATUS_OK);
    }
    CHECK(f, changes_mark(replica, 1, &slot) && slot == seen[0].position.slot - 1);
    read_all(ctx, f);
    CHECK(f, seen_count == 100);
}

static void marks_hold_what_their_consumers_need(void **state)
{
    (void)state;
    for (uint64_t seed = 6; seed < 9; seed++) {
        struct fixture *f = fixture_create_open(seed);
        assert_true(fixture_run(f, marks_body));
        if (seed == 6)
            fixture_close(f);
        else
            fixture_crash(f, seed == 7 ? SIM_CRASH_POWER : SIM_CRASH_KILL);
        fixture_open(f);
        assert_true(fixture_run(f, marks_after_body));
        fixture_close(f);
        fixture_free(f);
    }
}

static void last_slot_body(struct context *ctx, struct fixture *f)
{
    struct replica_target target = target_of(GROUP);
    struct replica_mark mark, later;
    CHECK(f, f->service->find_mark(ctx, f->service, &target, 5, &mark) == STATUS_OK);
    CHECK(f, !mark.is_there);
    fill(ctx, f, 1, 4); /* nobody records it */
    CHECK(f, f->service->find_mark(ctx, f->service, &target, 5, &later) == STATUS_OK);
    CHECK(f, later.last_slot == mark.last_slot + 4);
    CHECK(f, f->service->set_mark(ctx, f->service, &target, 5, later.last_slot) == STATUS_OK);
    CHECK(f, f->service->find_mark(ctx, f->service, &target, 5, &mark) == STATUS_OK);
    CHECK(f, mark.is_there && mark.slot == later.last_slot);
    CHECK(f, mark.last_slot == later.last_slot + 1); /* the mark is a write, too */
}

/* A consumer that begins now takes nothing from before, of which there may be a record or none. */
static void a_mark_may_be_set_above_all_that_was_written(void **state)
{
    (void)state;
    struct fixture *f = fixture_create_open(9);
    assert_true(fixture_run(f, last_slot_body));
    fixture_close(f);
    fixture_free(f);
}

/* ---- Waiting ---- */

struct waiter {
    struct fixture *f;
    enum status status;
    bool done;
};

static struct waiter waiter;

static void waiter_run(struct context *ctx, void *argument)
{
    struct waiter *w = argument;
    struct replica *replica;
    struct change_position newest = {0};
    read_all(ctx, w->f);
    if (seen_count > 0)
        newest = seen[seen_count - 1].position;
    CHECK(w->f, replica_enter(w->f->node, GROUP, true, &replica) == STATUS_OK);
    w->status = changes_wait(ctx, replica, newest);
    replica_leave(replica);
    w->done = true;
}

static void start_waiter(struct context *ctx, struct fixture *f)
{
    struct fiber_options options = {.arena_bytes_max = ARENA_BYTES, .deadline_ns = UINT64_MAX};
    waiter = (struct waiter){.f = f};
    CHECK(f, fiber_spawn(ctx->env, &options, waiter_run, &waiter) == STATUS_OK);
    CHECK(f, context_sleep(ctx, SECOND) == STATUS_OK);
    CHECK(f, !waiter.done);
}

static void wait_body(struct context *ctx, struct fixture *f)
{
    f->keeps_changes = KEEP_CHANGES_FOR_STREAM;
    start_waiter(ctx, f);
    CHECK(f, put(ctx, f, GROUP, BYTES("a"), 1, 0) == STATUS_OK);
    settle(ctx, f);
    CHECK(f, context_sleep(ctx, 1000000) == STATUS_OK);
    CHECK(f, waiter.done && waiter.status == STATUS_OK);
    start_waiter(ctx, f);
    f->keeps_changes = KEEP_NO_CHANGES;
    CHECK(f, put(ctx, f, GROUP, BYTES("a"), 2, 0) == STATUS_OK);
    CHECK(f, context_sleep(ctx, SECOND) == STATUS_OK);
    CHECK(f, !waiter.done);
    CHECK(f, f->service->remove_replica(ctx, f->service, GROUP) == STATUS_OK);
    CHECK(f, waiter.done && waiter.status == STATUS_MOVED);
    /* Made anew it has no records. */
    CHECK(f, create_replica(ctx, f, GROUP) == STATUS_OK);
    read_all(ctx, f);
    CHECK(f, seen_count == 0 && rows_of(f) == 0);
}

static void who_waits_is_woken_by_a_record_or_the_end(void **state)
{
    (void)state;
    struct fixture *f = fixture_create_open(11);
    assert_true(fixture_run(f, wait_body));
    fixture_close(f);
    fixture_free(f);
}

/* ---- The end ---- */

static uint64_t open_ns;

static void stay_open_body(struct context *ctx, struct fixture *f)
{
    CHECK(f, context_sleep(ctx, open_ns) == STATUS_OK);
}

/* A second after the start its records are looked at: wherever the stop is by then. */
static void a_stop_ends_what_looks_at_records_each_second(void **state)
{
    (void)state;
    struct fixture *f = fixture_create_open(12);
    assert_true(fixture_run(f, kinds_body));
    fixture_close(f);
    uint64_t before_ns = 0;
    for (uint64_t longest_ns = 1; before_ns < longest_ns; before_ns += 1 + longest_ns / 24) {
        fixture_open(f);
        open_ns = SECOND - before_ns;
        assert_true(fixture_run(f, stay_open_body));
        uint64_t began_ns = sim_now_ns(f->sim);
        fixture_close(f);
        longest_ns = MIN(MAX(longest_ns, sim_now_ns(f->sim) - began_ns), SECOND);
    }
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_change_of_an_item_makes_one_record),
        cmocka_unit_test(consumers_are_told_of_changes_whose_apply_is_tried_again),
        cmocka_unit_test(a_put_behind_a_delete_has_no_old_image),
        cmocka_unit_test(large_images_have_rows_of_their_own),
        cmocka_unit_test(a_call_gives_no_more_than_memory_holds),
        cmocka_unit_test(no_crash_loses_or_repeats_a_record),
        cmocka_unit_test(what_is_for_a_stream_goes_after_a_day),
        cmocka_unit_test(marks_hold_what_their_consumers_need),
        cmocka_unit_test(a_mark_may_be_set_above_all_that_was_written),
        cmocka_unit_test(who_waits_is_woken_by_a_record_or_the_end),
        cmocka_unit_test(a_stop_ends_what_looks_at_records_each_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
