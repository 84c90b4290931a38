/* Writers and readers at once, over crashes: every acknowledged write is there, ranges are in order
 * and as new as the writes that were acknowledged before they began. */
#include "node_fixture.h"

#include "base/prng.h"

#define KEYS    300u /* with their values more than the cache holds */
#define WRITERS 6u
#define READERS 3u

/* Each key's number only grows: written by one flow, in order. */
struct model {
    uint64_t issued[KEYS];
    uint64_t acknowledged[KEYS];
    uint64_t reads, writes;
};

static struct model model;

struct flow {
    struct fixture *f;
    uint32_t id;
    uint32_t *running;
    struct prng prng;
    uint64_t until_ns;
};

static struct bytes key_of(uint32_t i, char text[16])
{
    snprintf(text, 16, "key %05u", i);
    return bytes_of_text(text);
}

static void write_run(struct context *ctx, void *argument)
{
    struct flow *flow = argument;
    while (env_now_ns(ctx->env) < flow->until_ns) {
        uint32_t i = (uint32_t)prng_below(&flow->prng, KEYS / WRITERS) * WRITERS + flow->id;
        char text[16];
        uint64_t number = ++model.issued[i];
        size_t pad = prng_one_in(&flow->prng, 3) ? 20000 : 300;
        if (put(ctx, flow->f, GROUP, key_of(i, text), number, pad) != STATUS_OK)
            break;
        model.acknowledged[i] = number;
        model.writes++;
        arena_reset(&ctx->arena);
    }
    (*flow->running)--;
}

struct page {
    struct item_sink sink;
    struct flow *flow;
    uint64_t before[KEYS]; /* acknowledged when the range began */
    bool backward;
    uint32_t next;  /* the key that is due */
    uint32_t first; /* of the page */
};

static enum status check_item(struct item_sink *base, struct value item)
{
    struct page *page = (struct page *)base;
    struct fixture *f = page->flow->f;
    struct value key;
    unsigned i = KEYS;
    char text[16];
    CHECK(f, value_find(item, BYTES("k"), &key));
    memcpy(text, value_bytes(key).at, MIN(value_bytes(key).count, sizeof(text)));
    text[MIN(value_bytes(key).count, sizeof(text) - 1)] = 0;
    if (sscanf(text, "key %u", &i) != 1 || i >= KEYS) {
        CHECK(f, i < KEYS);
        return STATUS_CORRUPT;
    }
    /* In order, and nothing left out that was acknowledged before. */
    while (page->next != i && page->next < KEYS) {
        CHECK(f, page->before[page->next] == 0);
        page->next = page->backward ? page->next - 1 : page->next + 1;
    }
    CHECK(f, page->next == i);
    CHECK(f, item_number(item) >= page->before[i] && item_number(item) <= model.issued[i]);
    page->next = page->backward ? page->next - 1 : page->next + 1;
    model.reads++;
    return STATUS_OK;
}

static enum status read_range(struct context *ctx, struct flow *flow)
{
    struct page *page = arena_alloc_zero(&ctx->arena, sizeof(*page));
    *page = (struct page){
        .sink = {.take = check_item}, .flow = flow, .backward = prng_one_in(&flow->prng, 2)};
    memcpy(page->before, model.acknowledged, sizeof(page->before));
    char low[16], high[16];
    uint32_t from = (uint32_t)prng_below(&flow->prng, KEYS);
    uint32_t to = from + 1 + (uint32_t)prng_below(&flow->prng, KEYS - from);
    struct replica_target target = target_of(GROUP);
    struct replica_range range = {.low = key_of(from, low),
                                  .high = key_of(to, high),
                                  .backward = page->backward,
                                  .consistent = true,
                                  .bytes_max = UINT64_MAX};
    page->next = page->backward ? to - 1 : from;
    struct replica_range_result result = {0};
    struct replica_service *service = flow->f->service;
    TRY(service->range(ctx, service, &target, &range, &page->sink, &result));
    uint32_t end = page->backward ? from - 1 : to;
    for (; page->next != end; page->next = page->backward ? page->next - 1 : page->next + 1)
        CHECK(flow->f, page->before[page->next] == 0);
    return STATUS_OK;
}

static void read_run(struct context *ctx, void *argument)
{
    struct flow *flow = argument;
    while (env_now_ns(ctx->env) < flow->until_ns && read_range(ctx, flow) == STATUS_OK) {
        arena_reset(&ctx->arena);
        if (context_sleep(ctx, 4000000) != STATUS_OK)
            break;
    }
    (*flow->running)--;
}

/* Everything acknowledged is there; what was not may be: from here on it is what it is. */
static void verify_body(struct context *ctx, struct fixture *f)
{
    for (uint32_t i = 0; i < KEYS; i++) {
        char text[16];
        uint64_t number;
        CHECK(f, get(ctx, f, GROUP, key_of(i, text), &number) == STATUS_OK);
        CHECK(f, number >= model.acknowledged[i] && number <= model.issued[i]);
        model.issued[i] = model.acknowledged[i] = number;
        arena_reset(&ctx->arena);
    }
}

static void live(struct fixture *f, struct prng *prng)
{
    struct flow flows[WRITERS + READERS];
    uint32_t running = WRITERS + READERS;
    uint64_t span_ns = SECOND / 2 + prng_below(prng, SECOND);
    uint64_t until_ns = env_now_ns(sim_node_env(f->machine)) + span_ns;
    uint64_t bound_ns = sim_now_ns(f->sim) + span_ns + 600 * SECOND;
    for (uint32_t i = 0; i < WRITERS + READERS; i++) {
        struct fiber_options options = {.arena_bytes_max = ARENA_BYTES, .deadline_ns = UINT64_MAX};
        flows[i] = (struct flow){.f = f, .id = i, .running = &running, .until_ns = until_ns};
        prng_init(&flows[i].prng, prng_below(prng, UINT64_MAX));
        assert_int_equal(fiber_spawn(sim_node_env(f->machine), &options,
                                     i < WRITERS ? write_run : read_run, &flows[i]),
                         STATUS_OK);
    }
    while (running > 0 && sim_node_env(f->machine) != NULL) {
        if (!sim_step(f->sim) || sim_now_ns(f->sim) > bound_ns)
            fail_msg("%u flows wait for ever\n%s", running, f->log_text);
    }
    fixture_check(f);
}

static void run_seed(uint64_t seed)
{
    struct prng prng;
    prng_init(&prng, seed * 31 + 7);
    memset(&model, 0, sizeof(model));
    struct fixture *f = fixture_create_open(seed);
    for (int life = 0; life < 4; life++) {
        enum sim_crash crash = prng_one_in(&prng, 2) ? SIM_CRASH_POWER : SIM_CRASH_KILL;
        if (prng_one_in(&prng, 2))
            sim_node_crash_at(f->machine, crash, 1 + prng_below(&prng, 400));
        live(f, &prng);
        sim_node_crash_at(f->machine, crash, 0);
        if (sim_node_env(f->machine) != NULL && prng_one_in(&prng, 3)) {
            fixture_close(f);
        } else {
            fixture_crash(f, crash);
        }
        fixture_open(f);
        assert_true(fixture_run(f, verify_body));
    }
    fixture_close(f);
    fixture_free(f);
}

static void acknowledged_writes_survive_and_ranges_are_right(void **state)
{
    (void)state;
    const char *wanted = getenv("TRINE_TEST_SEEDS");
    uint64_t seeds = wanted != NULL ? strtoull(wanted, NULL, 10) : 3;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        run_seed(seed);
        if (model.reads < 1000 || model.writes < 100)
            fail_msg("seed %u: %u reads, %u writes", (unsigned)seed, (unsigned)model.reads,
                     (unsigned)model.writes);
    }
}

/* ---- The first start ---- */

static bool put_acknowledged;

static void put_body(struct context *ctx, struct fixture *f)
{
    CHECK(f, put(ctx, f, GROUP, BYTES("first"), 1, 0) == STATUS_OK);
    put_acknowledged = true;
}

static void get_body(struct context *ctx, struct fixture *f)
{
    uint64_t number;
    CHECK(f, get(ctx, f, GROUP, BYTES("first"), &number) == STATUS_OK);
    CHECK(f, number == 1 || !put_acknowledged);
}

/* false: the machine crashed. */
static bool first_life(struct fixture *f)
{
    if (!fixture_run(f, open_body))
        return false;
    assert_int_equal(f->status, STATUS_OK);
    if (!fixture_run(f, create_body))
        return false;
    assert_int_equal(f->status, STATUS_OK);
    return fixture_run(f, put_body) && fixture_run(f, close_body);
}

/* ---- Files that are removed by hand ---- */

struct remove_job {
    struct env_job job;
    const char *start; /* of the names */
    char names[16][32];
    unsigned count;
};

static void find_name(void *argument, const char *name)
{
    struct remove_job *remove = argument;
    if (strncmp(name, remove->start, strlen(remove->start)) == 0 && remove->count < 16)
        snprintf(remove->names[remove->count++], sizeof(remove->names[0]), "%s", name);
}

static void remove_run(struct env_job *job)
{
    struct remove_job *remove = CONTAINER_OF(job, struct remove_job, job);
    char path[64];
    (void)!env_dir_list(job->env, "data", find_name, remove);
    for (unsigned i = 0; i < remove->count; i++) {
        snprintf(path, sizeof(path), "data/%s", remove->names[i]);
        (void)!env_file_remove(job->env, path);
    }
    (void)!env_dir_sync(job->env, "data");
}

static const char *remove_start;

static void remove_body(struct context *ctx, struct fixture *f)
{
    struct remove_job remove = {.job = {.lane = ENV_LANE_BACKGROUND, .run = remove_run},
                                .start = remove_start};
    list_init(&remove.job.link);
    CHECK(f, context_run_job(ctx, &remove.job) == STATUS_OK);
    CHECK(f, remove.count > 0);
}

/* Remove the files, and see the node refuse to start. */
static void remove_and_open(struct fixture *f, const char *start, const char *message)
{
    remove_start = start;
    assert_true(fixture_run(f, remove_body));
    for (int i = 0; i < 2; i++) { /* not by refusing once */
        assert_true(fixture_run(f, open_body));
        if (f->status != STATUS_CORRUPT || strstr(f->log_text, message) == NULL)
            fail_msg("without %s: %s\n%s", start, status_name(f->status), f->log_text);
    }
}

static void gone_body(struct context *ctx, struct fixture *f)
{
    uint64_t number;
    CHECK(f, get(ctx, f, GROUP, BYTES("first"), &number) == STATUS_MOVED);
}

/* Whatever is left opens, or is made anew; what was acknowledged outlives a loss of power behind
 * it. */
static void check_after(struct fixture *f, enum sim_crash crash)
{
    fixture_crash(f, crash);
    fixture_open(f);
    assert_true(fixture_run(f, create_body));
    assert_int_equal(f->status, STATUS_OK);
    assert_true(fixture_run(f, get_body));
    assert_true(fixture_run(f, put_body));
    fixture_crash(f, SIM_CRASH_POWER);
    fixture_open(f);
    assert_true(fixture_run(f, get_body));
    fixture_close(f);
}

static void a_first_start_may_end_at_every_change(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        enum sim_crash crash = seed % 2 == 0 ? SIM_CRASH_POWER : SIM_CRASH_KILL;
        bool whole = false;
        for (uint64_t change = 1; !whole; change++) {
            assert_true(change < 1000);
            struct fixture *f = fixture_create(seed);
            put_acknowledged = false;
            sim_node_crash_at(f->machine, crash, change);
            whole = first_life(f);
            if (!whole)
                check_after(f, crash);
            fixture_free(f);
            assert_true(!whole || change > 20); /* so many crashes there were */
        }
    }
}

static void check_without_log(uint64_t seed, uint64_t change)
{
    struct fixture *f = fixture_create(seed);
    enum sim_crash crash = seed % 2 == 0 ? SIM_CRASH_POWER : SIM_CRASH_KILL;
    put_acknowledged = false;
    sim_node_crash_at(f->machine, crash, change);
    (void)!first_life(f);
    if (put_acknowledged) {
        fixture_crash(f, crash);
        remove_and_open(f, "log-", "the log "); /* is gone, or ends before a checkpoint */
        f->options.accept_loss = true;
        fixture_open(f);
        f->options.accept_loss = false;
        assert_true(fixture_run(f, create_body));
        assert_int_equal(f->status, STATUS_OK);
        put_acknowledged = false;
        assert_true(fixture_run(f, put_body));
        fixture_crash(f, SIM_CRASH_POWER);
        fixture_open(f);
        assert_true(fixture_run(f, get_body));
        fixture_close(f);
    }
    fixture_free(f);
}

/* Before the first checkpoint and after the last one: a log that is gone is not taken for a new
 * one. */
static void a_log_that_was_removed_is_missed(void **state)
{
    (void)state;
    for (uint64_t change = 20; change < 60; change++)
        check_without_log(change, change);
    struct fixture *f = fixture_create_open(4);
    fixture_crash(f, SIM_CRASH_KILL);
    remove_and_open(f, "log-", "the log files (log-*) of data are gone");
    f->options.accept_loss = true;
    fixture_open(f);
    assert_true(fixture_run(f, gone_body));
    fixture_close(f);
    fixture_free(f);

    f = fixture_create_open(5);
    assert_true(fixture_run(f, put_body));
    fixture_close(f);
    remove_and_open(f, "log-", "ends before the checkpoint");
    f->options.accept_loss = true;
    fixture_open(f);
    assert_true(fixture_run(f, get_body));
    fixture_close(f);
    fixture_free(f);
}

static void a_tree_that_was_removed_is_missed(void **state)
{
    (void)state;
    for (uint64_t seed = 6; seed < 8; seed++) {
        struct fixture *f = fixture_create_open(seed);
        assert_true(fixture_run(f, put_body));
        if (seed % 2 == 0)
            fixture_close(f);
        else
            fixture_crash(f, SIM_CRASH_KILL);
        remove_and_open(f, "tree", "its tree file is gone");
        fixture_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_first_start_may_end_at_every_change),
        cmocka_unit_test(a_log_that_was_removed_is_missed),
        cmocka_unit_test(a_tree_that_was_removed_is_missed),
        cmocka_unit_test(acknowledged_writes_survive_and_ranges_are_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
