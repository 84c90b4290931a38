/* Damaged files: flipped, swapped and old pages are found out and never served; files that are no
 * forest, of a newer version, or cut off have a status each. */
#include "forest_fixture.h"

#include "base/arena.h"
#include "base/checksum.h"
#include "base/codec.h"
#include "storage/superblock.h"

#define ITEMS     900u
#define PAGE      FOREST_PAGE_BYTES
#define IMAGE_MAX ((size_t)16 << 20)

struct damage {
    struct fixture fixture;
    struct forest *forest;
    struct model model;
    uint64_t version; /* of the values */
    bool found;       /* the damage was found out */
    enum status expected;
    uint8_t *image, *image_old; /* of the file */
    size_t image_bytes, image_old_bytes;
};

static void fill(struct context *ctx, void *argument)
{
    struct damage *damage = argument;
    struct tree *tree;
    uint8_t key[2000];
    static uint8_t value[20000];
    assert_int_equal(forest_open(ctx, &damage->fixture.options, &damage->forest), STATUS_OK);
    tree = forest_tree(damage->forest, fixture_replica(9));
    if (tree == NULL)
        assert_int_equal(tree_create(damage->forest, fixture_replica(9), BYTES("d"), &tree),
                         STATUS_OK);
    uint64_t slot = tree_row(tree).applied;
    damage->version++;
    for (unsigned i = 0; i < ITEMS; i++) {
        int bytes = snprintf((char *)key, sizeof(key), "%05u", i * 7);
        size_t key_bytes = i % 60 == 0 ? sizeof(key) : (size_t)bytes;
        memset(key + bytes, 'k', sizeof(key) - (size_t)bytes);
        size_t value_bytes = i % 40 == 0 ? sizeof(value) : 300;
        memset(value, (int)(i + damage->version), value_bytes);
        struct tree_mutation put = {.kind = TREE_PUT,
                                    .key = bytes_of(key, key_bytes),
                                    .value = bytes_of(value, value_bytes)};
        assert_int_equal(tree_apply(ctx, tree, &put, 1, ++slot), STATUS_OK);
        model_apply(&damage->model, &put);
        if (i % 100 == 99)
            assert_int_equal(forest_checkpoint(ctx, damage->forest, (struct lsn){slot}), STATUS_OK);
    }
    assert_int_equal(forest_close(ctx, damage->forest, (struct lsn){slot}), STATUS_OK);
}

/* Read everything: each value that is served is right; what is not is CORRUPT. */
static void read_all(struct context *ctx, void *argument)
{
    struct damage *damage = argument;
    damage->found = false;
    enum status status = forest_open(ctx, &damage->fixture.options, &damage->forest);
    if (status != STATUS_OK) {
        assert_int_equal(status, STATUS_CORRUPT);
        damage->found = true;
        return;
    }
    damage->found = forest_recovered(damage->forest).fell_back;
    struct tree *tree = forest_tree(damage->forest, fixture_replica(9));
    assert_non_null(tree);
    for (size_t i = 0; i < damage->model.count; i++) {
        struct bytes value;
        const struct model_item *item = &damage->model.items[i];
        status = tree_get(ctx, tree, bytes_of(item->key, item->key_bytes), &value);
        if (status == STATUS_OK) {
            assert_bytes_equal(value, bytes_of(item->value, item->value_bytes));
        } else {
            assert_int_equal(status, STATUS_CORRUPT);
            assert_true(forest_stats(damage->forest).corrupt_pages > 0);
            damage->found = true;
        }
        arena_reset(&ctx->arena);
    }
    if (forest_verify(ctx, damage->forest) != STATUS_OK)
        damage->found = true;
}

/* Read after damage, and forget what the process had. */
static bool is_found_out(struct damage *damage)
{
    fixture_start(&damage->fixture);
    assert_true(fixture_run(&damage->fixture, read_all, damage));
    sim_node_crash(damage->fixture.node, SIM_CRASH_KILL);
    return damage->found;
}

static void take_image(struct damage *damage, uint8_t *image, size_t *bytes)
{
    uint64_t size;
    assert_int_equal(sim_disk_size(damage->fixture.node, FIXTURE_PATH, &size), STATUS_OK);
    assert_true(size <= IMAGE_MAX);
    assert_int_equal(sim_disk_read(damage->fixture.node, FIXTURE_PATH, 0, image, size), STATUS_OK);
    *bytes = size;
}

/* Make the page at `number` of the file what `content` is; from what it is now. */
static void set_page(struct damage *damage, size_t number, const uint8_t *content)
{
    uint8_t now[PAGE];
    assert_int_equal(sim_disk_read(damage->fixture.node, FIXTURE_PATH, number * PAGE, now, PAGE),
                     STATUS_OK);
    for (size_t i = 0; i < PAGE; i++) {
        if (now[i] != content[i])
            assert_int_equal(sim_disk_flip(damage->fixture.node, FIXTURE_PATH, number * PAGE + i,
                                           now[i] ^ content[i]),
                             STATUS_OK);
    }
}

/* Make the page at `number` what it was, and the superblocks: when one led to the damage it was
 * replaced by a copy of the other. */
static void repair(struct damage *damage, size_t number)
{
    set_page(damage, number, damage->image + number * PAGE);
    set_page(damage, 0, damage->image);
    set_page(damage, SUPERBLOCK_SPACING / PAGE, damage->image + SUPERBLOCK_SPACING);
}

static void stop(struct damage *damage)
{
    fiber_pool_close(sim_node_env(damage->fixture.node));
    assert_int_equal(sim_node_stop(damage->fixture.node), 0);
}

static void damage_open(struct damage *damage, uint64_t seed)
{
    *damage = (struct damage){.image = malloc(IMAGE_MAX), .image_old = malloc(IMAGE_MAX)};
    fixture_open(&damage->fixture, seed);
    damage->fixture.options.create = true;
    assert_true(fixture_run(&damage->fixture, fill, damage));
    stop(damage);
    take_image(damage, damage->image, &damage->image_bytes);
}

static void damage_close(struct damage *damage)
{
    model_release(&damage->model);
    free(damage->image);
    free(damage->image_old);
    fixture_close(&damage->fixture);
}

/* Which pages are used: those whose damage is found. */
static void finds_every_flipped_byte(void **state)
{
    (void)state;
    struct damage damage;
    struct prng prng;
    prng_init(&prng, 1);
    damage_open(&damage, 21);
    assert_false(is_found_out(&damage));
    unsigned used = 0;
    size_t pages = damage.image_bytes / PAGE;
    for (size_t page = 16; page < pages; page += 1 + page % 5) {
        /* Every part of the header, and of the body somewhere. */
        static const unsigned offsets[] = {0, 9, 17, 25, 28, 30, 31, 40, 62, 64, 67, 72, 81};
        bool found_one = false;
        for (unsigned i = 0; i < 3; i++) {
            size_t at = i < 2 ? offsets[(page * 2 + i) % ARRAY_COUNT(offsets)]
                              : 80 + (size_t)prng_below(&prng, PAGE - 80);
            uint8_t mask = (uint8_t)(1u << prng_below(&prng, 8));
            assert_int_equal(
                sim_disk_flip(damage.fixture.node, FIXTURE_PATH, page * PAGE + at, mask),
                STATUS_OK);
            bool found = is_found_out(&damage);
            assert_true(i == 0 || found == found_one);
            found_one = found;
            repair(&damage, page);
            if (!found)
                break; /* a free page */
        }
        used += found_one ? 1 : 0;
    }
    assert_true(used > 20);
    assert_false(is_found_out(&damage));
    damage_close(&damage);
}

static void finds_swapped_pages(void **state)
{
    (void)state;
    struct damage damage;
    unsigned found = 0;
    damage_open(&damage, 22);
    size_t pages = damage.image_bytes / PAGE;
    for (size_t page = 16; page + 3 < pages; page += 5) {
        set_page(&damage, page, damage.image + (page + 3) * PAGE);
        set_page(&damage, page + 3, damage.image + page * PAGE);
        found += is_found_out(&damage) ? 1 : 0;
        repair(&damage, page);
        repair(&damage, page + 3);
    }
    assert_true(found > 20);
    assert_false(is_found_out(&damage));
    damage_close(&damage);
}

/* A page as it was at an earlier checkpoint, whole and at its place. */
static void finds_pages_that_went_back_in_time(void **state)
{
    (void)state;
    struct damage damage;
    unsigned found = 0;
    damage_open(&damage, 23);
    memcpy(damage.image_old, damage.image, damage.image_bytes);
    damage.image_old_bytes = damage.image_bytes;
    fixture_start(&damage.fixture);
    assert_true(fixture_run(&damage.fixture, fill, &damage));
    stop(&damage);
    take_image(&damage, damage.image, &damage.image_bytes);
    size_t pages = MIN(damage.image_bytes, damage.image_old_bytes) / PAGE;
    for (size_t page = 16; page < pages; page += 3) {
        if (memcmp(damage.image + page * PAGE, damage.image_old + page * PAGE, PAGE) == 0)
            continue;
        set_page(&damage, page, damage.image_old + page * PAGE);
        found += is_found_out(&damage) ? 1 : 0;
        repair(&damage, page);
    }
    assert_true(found > 20);
    assert_false(is_found_out(&damage));
    damage_close(&damage);
}

/* ---- Opening ---- */

struct file_job {
    struct env_job job;
    struct bytes content;
    enum status status;
};

static void write_file(struct env_job *job)
{
    struct file_job *write = CONTAINER_OF(job, struct file_job, job);
    struct env_file *file;
    write->status = env_file_open(job->env, FIXTURE_PATH, ENV_FILE_CREATE, &file);
    if (write->status != STATUS_OK)
        return;
    write->status = env_file_truncate(job->env, file, 0);
    if (write->status == STATUS_OK && write->content.count > 0)
        write->status = env_file_write(job->env, file, 0, &write->content, 1);
    env_file_close(job->env, file);
}

static void open_fails(struct context *ctx, void *argument)
{
    struct damage *damage = argument;
    struct file_job job = {.job = {.lane = ENV_LANE_BACKGROUND, .run = write_file},
                           .content = bytes_of(damage->image, damage->image_bytes)};
    list_init(&job.job.link);
    assert_int_equal(context_run_job(ctx, &job.job), STATUS_OK);
    assert_int_equal(job.status, STATUS_OK);
    assert_int_equal(forest_open(ctx, &damage->fixture.options, &damage->forest), damage->expected);
}

static void expect_open(struct damage *damage, enum status expected)
{
    damage->expected = expected;
    fixture_start(&damage->fixture);
    assert_true(fixture_run(&damage->fixture, open_fails, damage));
    stop(damage);
}

static void set_version(uint8_t *block)
{
    put_u32(block + 16, 2);
    put_u64(block + 4088, checksum64(bytes_of(block, 4088), UINT64_C(0x7375706572626c6b)));
}

static void other_files_have_a_status_each(void **state)
{
    (void)state;
    struct damage damage;
    damage_open(&damage, 24);
    uint8_t *copy = damage.image_old;
    size_t bytes = damage.image_bytes;
    memcpy(copy, damage.image, bytes);

    damage.fixture.options.create = false;
    damage.image_bytes = 0;
    expect_open(&damage, STATUS_CORRUPT);
    damage.fixture.options.create = true;
    damage.image_bytes = bytes / PAGE / 2 * PAGE; /* cut off */
    expect_open(&damage, STATUS_CORRUPT);
    damage.image_bytes = 5000;
    expect_open(&damage, STATUS_CORRUPT);
    damage.image_bytes = bytes;
    memset(damage.image, 'x', bytes);
    expect_open(&damage, STATUS_INVALID);
    memcpy(damage.image, copy, bytes);
    set_version(damage.image);
    set_version(damage.image + SUPERBLOCK_SPACING);
    expect_open(&damage, STATUS_VERSION);
    memcpy(damage.image, copy, bytes);
    damage.image[100] ^= 1;
    damage.image[SUPERBLOCK_SPACING + 100] ^= 1;
    expect_open(&damage, STATUS_CORRUPT);
    memcpy(damage.image, copy, bytes);
    damage.fixture.options.node_id = 77;
    expect_open(&damage, STATUS_INVALID);
    damage.fixture.options.node_id = 0;
    damage.fixture.options.cache_bytes = 1000;
    expect_open(&damage, STATUS_INVALID);
    damage_close(&damage);
}

/* What the making of a file may leave: a name, and of its superblocks nothing or a part. */
static void make_anew(struct context *ctx, void *argument)
{
    struct damage *damage = argument;
    struct file_job job = {.job = {.lane = ENV_LANE_BACKGROUND, .run = write_file},
                           .content = bytes_of(damage->image, damage->image_bytes)};
    list_init(&job.job.link);
    assert_int_equal(context_run_job(ctx, &job.job), STATUS_OK);
    damage->fixture.options.log_named_later = true;
    assert_int_equal(forest_open(ctx, &damage->fixture.options, &damage->forest), damage->expected);
    damage->fixture.options.log_named_later = false;
    if (damage->expected != STATUS_OK)
        return;
    assert_true(forest_recovered(damage->forest).created);
    assert_int_equal(forest_name_log(ctx, damage->forest, 4711), STATUS_OK);
    forest_abandon(ctx, damage->forest);
    damage->fixture.options.log_id = 4711;
    assert_int_equal(forest_open(ctx, &damage->fixture.options, &damage->forest), STATUS_OK);
    assert_false(forest_recovered(damage->forest).created);
    assert_int_equal(forest_name_log(ctx, damage->forest, 4712), STATUS_OK); /* it is already */
    assert_int_equal(forest_recovered(damage->forest).log_id, 4711);
    assert_int_equal(forest_close(ctx, damage->forest, (struct lsn){1}), STATUS_OK);
    damage->fixture.options.log_id = 0;
}

static void expect_anew(struct damage *damage, enum status expected)
{
    damage->expected = expected;
    fixture_start(&damage->fixture);
    assert_true(fixture_run(&damage->fixture, make_anew, damage));
    stop(damage);
}

static void a_file_whose_making_was_cut_short_is_made_anew(void **state)
{
    (void)state;
    struct damage damage;
    damage_open(&damage, 25);
    struct superblock super = {.forest_id = UINT64_MAX,
                               .cluster_id = UINT64_MAX,
                               .log_id = UINT64_MAX,
                               .epoch = 1,
                               .page_count = UINT32_MAX};
    static uint8_t block[SUPERBLOCK_BYTES];
    superblock_encode(&super, block);
    for (size_t kept = 0; kept < SUPERBLOCK_BYTES; kept += 64) {
        memset(damage.image, 0, SUPERBLOCK_BYTES);
        memcpy(damage.image, block, kept);
        damage.image_bytes = kept == 0 ? 0 : SUPERBLOCK_BYTES;
        expect_anew(&damage, STATUS_OK);
        memset(damage.image, 0, kept); /* the end of it alone */
        memcpy(damage.image + kept, block + kept, SUPERBLOCK_BYTES - kept);
        damage.image_bytes = SUPERBLOCK_BYTES;
        if (kept > 0)
            expect_anew(&damage, STATUS_OK);
    }
    memcpy(damage.image, block, SUPERBLOCK_BYTES);
    damage.image[1000] = 1; /* the making of a file does not leave this */
    expect_anew(&damage, STATUS_CORRUPT);
    memset(damage.image, 0, SUPERBLOCK_BYTES);
    memcpy(damage.image, "#!/bin/sh\n", 10);
    expect_anew(&damage, STATUS_INVALID);
    damage_close(&damage);
}

static void open_without_create(struct context *ctx, void *argument)
{
    struct damage *damage = argument;
    damage->fixture.options.create = false;
    assert_int_equal(forest_open(ctx, &damage->fixture.options, &damage->forest), STATUS_NOT_FOUND);
    damage->fixture.options.create = true;
    assert_int_equal(forest_open(ctx, &damage->fixture.options, &damage->forest), STATUS_OK);
    assert_true(forest_recovered(damage->forest).created);
    assert_int_equal(forest_recovered(damage->forest).log_from.value, 0);
    struct forest *second;
    assert_int_equal(forest_open(ctx, &damage->fixture.options, &second), STATUS_LOCKED);
    assert_int_equal(forest_close(ctx, damage->forest, (struct lsn){1}), STATUS_OK);
}

static void is_made_and_locked(void **state)
{
    (void)state;
    struct damage damage = {0};
    fixture_open(&damage.fixture, 25);
    assert_true(fixture_run(&damage.fixture, open_without_create, &damage));
    fixture_close(&damage.fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_every_flipped_byte),
        cmocka_unit_test(finds_swapped_pages),
        cmocka_unit_test(finds_pages_that_went_back_in_time),
        cmocka_unit_test(other_files_have_a_status_each),
        cmocka_unit_test(a_file_whose_making_was_cut_short_is_made_anew),
        cmocka_unit_test(is_made_and_locked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
