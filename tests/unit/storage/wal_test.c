/* The log's contract, sentence by sentence; random runs are in wal_model_test.c. */
#include "wal_fixture.h"

/* ---- Work in a job, on the node's disk ---- */

struct disk_work {
    struct env_job job;
    struct fixture *f;
    char path[64];
    uint64_t offset;
    uint8_t *bytes; /* to write; NULL = remove the file */
    size_t count;
    enum status status;
};

static struct disk_work *disk_work_now;

static void disk_work_run(struct env_job *job)
{
    struct disk_work *work = CONTAINER_OF(job, struct disk_work, job);
    struct env_file *file;
    if (work->bytes == NULL) {
        work->status = env_file_remove(job->env, work->path);
        return;
    }
    work->status = env_file_open(job->env, work->path, 0, &file);
    if (work->status != STATUS_OK)
        return;
    struct bytes run = bytes_of(work->bytes, work->count);
    work->status = env_file_write(job->env, file, work->offset, &run, 1);
    if (work->status == STATUS_OK)
        work->status = env_file_sync(job->env, file);
    env_file_close(job->env, file);
}

static void disk_work_fiber(struct context *ctx, void *argument)
{
    struct fixture *f = argument;
    CHECK(f, context_run_job(ctx, &disk_work_now->job) == STATUS_OK);
    f->done = true;
}

static void disk_change(struct fixture *f, const char *path, uint64_t offset, uint8_t *bytes,
                        size_t count)
{
    struct disk_work work = {.f = f, .offset = offset, .bytes = bytes, .count = count};
    work.job = (struct env_job){.lane = ENV_LANE_BACKGROUND, .run = disk_work_run};
    strcpy(work.path, path);
    disk_work_now = &work;
    assert_true(run_fiber(f, disk_work_fiber));
    assert_int_equal(work.status, STATUS_OK);
}

static uint8_t *disk_read(struct fixture *f, const char *path, uint64_t *bytes)
{
    assert_int_equal(sim_disk_size(f->node, path, bytes), STATUS_OK);
    uint8_t *content = malloc((size_t)*bytes);
    assert_int_equal(sim_disk_read(f->node, path, 0, content, (size_t)*bytes), STATUS_OK);
    return content;
}

/* The segment file that holds the record at this LSN, and where in it. */
static void find_record(struct fixture *f, uint64_t lsn, char path[64], uint64_t *offset)
{
    struct file_list *list = files(f);
    bool found = false;
    for (uint32_t i = 0; i < list->count; i++) {
        uint64_t bytes;
        uint8_t *content = disk_read(f, list->paths[i], &bytes);
        struct wal_segment_header segment;
        struct wal_batch_header batch;
        uint64_t id = wal_log_id(f->wal);
        if (wal_segment_header_decode(content, &segment) == WAL_VALID) {
            for (uint64_t at = WAL_BLOCK_BYTES; at + WAL_BLOCK_BYTES <= bytes;
                 at += WAL_BLOCK_BYTES) {
                if (!wal_batch_header_decode(content + at, id, &batch) ||
                    batch.nonce != segment.nonce || lsn < batch.lsn || lsn >= wal_batch_end(&batch))
                    continue;
                strcpy(path, list->paths[i]);
                *offset = at + (lsn - batch.lsn);
                found = true;
            }
        }
        free(content);
    }
    free(list);
    assert_true(found);
}

static void flip_record(struct fixture *f, uint32_t index)
{
    char path[64];
    uint64_t offset;
    find_record(f, f->model[index].lsn, path, &offset);
    assert_int_equal(sim_disk_flip(f->node, path, offset + 70, 4), STATUS_OK);
}

static void flush(struct fixture *f)
{
    for (int i = 0; f->durable_count < f->model_count; i++) {
        assert_true(i < 100000);
        assert_true(sim_step(f->sim));
    }
}

/* ---- Group commit ---- */

static void appends_of_one_turn_share_a_batch(void **state)
{
    (void)state;
    struct fixture *f = fixture_create(1);
    open_well(f);
    uint64_t batches = wal_stats(f->wal)->batches;
    for (int i = 0; i < 20; i++)
        append_well(f, 300);
    assert_int_equal(f->durable_calls, 0); /* never inside the call */
    flush(f);
    assert_int_equal(f->durable_calls, 1);
    assert_int_equal(wal_stats(f->wal)->batches, batches + 1);
    assert_int_equal(wal_stats(f->wal)->unsynced_bytes, 0);
    assert_true(wal_durable(f->wal).value > f->lsn_highest);
    close_well(f);
    fixture_free(f);
}

static void what_gathers_meanwhile_is_the_next_batch(void **state)
{
    (void)state;
    struct fixture *f = fixture_create(2);
    open_well(f);
    append_well(f, 300);
    uint64_t changes = sim_node_changes(f->node);
    while (sim_node_changes(f->node) == changes)
        assert_true(sim_step(f->sim)); /* until it is being written */
    assert_int_equal(f->durable_calls, 0);
    for (int i = 0; i < 10; i++)
        append_well(f, 300);
    flush(f);
    assert_int_equal(f->durable_calls, 2);
    close_well(f);
    fixture_free(f);
}

static void a_record_is_reported_only_after_its_sync(void **state)
{
    (void)state;
    struct fixture *f = fixture_create(3);
    open_well(f);
    for (int i = 0; i < 30; i++) {
        uint64_t syncs = wal_stats(f->wal)->syncs;
        append_well(f, 100);
        flush(f);
        assert_true(wal_stats(f->wal)->syncs > syncs); /* (1) */
        crash(f, SIM_CRASH_POWER);
        open_well(f); /* check_recovered: nothing durable is lost */
    }
    fixture_free(f);
}

static void bounds_are_answered(void **state)
{
    (void)state;
    struct fixture *f = fixture_create(4);
    f->options.unsynced_bytes_max = 64u << 10;
    f->options.live_bytes_max = 512u << 10;
    open_well(f);
    enum status status = STATUS_OK;
    int appended = 0;
    while ((status = append_record(f, WAL_ENTRY, 1, 5000, false)) == STATUS_OK)
        appended++;
    assert_int_equal(status, STATUS_BUSY); /* (4) */
    assert_int_equal(appended, 12);
    assert_int_equal(wal_stats(f->wal)->refused, 1);
    flush(f);

    struct lsn lsn;
    uint8_t *big = calloc(1, WAL_PAYLOAD_BYTES_MAX + 1);
    struct wal_record record = {.type = WAL_ENTRY, .replica = {7, 3, 1}};
    record.payload = bytes_of(big, WAL_PAYLOAD_BYTES_MAX + 1);
    assert_int_equal(wal_append(f->wal, &record, &lsn), STATUS_TOO_LARGE);
    free(big);

    while (append_record(f, WAL_ENTRY, 1, 20000, false) == STATUS_OK)
        flush(f);
    assert_true(wal_stats(f->wal)->live_bytes > f->options.live_bytes_max);
    assert_int_equal(append_record(f, WAL_ENTRY, 1, 10, false), STATUS_BUSY);
    assert_int_equal(append_record(f, WAL_ENTRY, 1, 10, true), STATUS_OK); /* urgent */
    flush(f);
    release(f, f->durable_count);
    run_for(f, SECOND);
    assert_true(wal_stats(f->wal)->live_bytes <= f->options.live_bytes_max);
    append_well(f, 10);
    flush(f);
    close_well(f);
    fixture_free(f);
}

static void a_batch_larger_than_a_segment_is_written(void **state)
{
    (void)state;
    struct fixture *f = fixture_create(5);
    open_well(f);
    append_singly(f, 3, 250000);
    append_singly(f, 3, 50);
    crash(f, SIM_CRASH_POWER);
    open_well(f);
    assert_int_equal(f->replayed, 6);
    close_well(f);
    fixture_free(f);
}

/* ---- Sealing, torn tails, damage ---- */

static void an_idle_log_is_sealed_once(void **state)
{
    (void)state;
    struct fixture *f = fixture_create(6);
    open_well(f);
    run_for(f, SECOND);
    assert_int_equal(wal_stats(f->wal)->seals, 0); /* nothing to seal */
    append_singly(f, 3, 100);
    assert_int_equal(wal_stats(f->wal)->seals, 0);
    run_for(f, SECOND);
    assert_int_equal(wal_stats(f->wal)->seals, 1);
    run_for(f, 10 * SECOND);
    assert_int_equal(wal_stats(f->wal)->seals, 1);
    close_well(f);
    fixture_free(f);
}

static void a_torn_tail_is_cut(void **state)
{
    (void)state;
    struct fixture *f = fixture_create(7);
    open_well(f);
    append_singly(f, 5, 700);
    flip_record(f, 4); /* not sealed: nothing says that it was synced */
    f->durable_count = 4;
    crash(f, SIM_CRASH_KILL);
    open_well(f);
    assert_int_equal(f->replayed, 4);
    assert_true(wal_stats(f->wal)->torn_bytes > 700);
    append_singly(f, 2, 100);
    crash(f, SIM_CRASH_POWER);
    open_well(f);
    assert_int_equal(f->replayed, 6);
    close_well(f);
    fixture_free(f);
}

static void damage_before_what_is_known_synced_is_corruption(void **state)
{
    (void)state;
    for (uint32_t index = 0; index < 6; index++) {
        struct fixture *f = fixture_create(8);
        open_well(f);
        append_singly(f, 6, 9000); /* over two segments */
        run_for(f, SECOND);        /* sealed */
        uint64_t lost_from = f->model[index].lsn - WAL_BATCH_HEADER_BYTES;
        flip_record(f, index);
        crash(f, SIM_CRASH_KILL);
        assert_true(fixture_open(f));
        assert_int_equal(f->status, STATUS_CORRUPT);
        char position[64];
        snprintf(position, sizeof(position), "from position %llu", (unsigned long long)lost_from);
        assert_non_null(strstr(f->log_text, position));
        assert_non_null(strstr(f->log_text, "log/log-000000000000000"));
        assert_non_null(strstr(f->log_text, "at offset "));

        f->options.accept_loss = true; /* the operator says so */
        f->durable_count = index;
        open_well(f);
        assert_int_equal(f->replayed, index);
        append_singly(f, 3, 100);
        f->options.accept_loss = false;
        crash(f, SIM_CRASH_POWER);
        open_well(f); /* it is whole again */
        assert_int_equal(f->replayed, index + 3);
        close_well(f);
        fixture_free(f);
    }
}

static void a_damaged_header_is_corruption(void **state)
{
    (void)state;
    for (uint32_t index = 0; index < 6; index += 5) {
        struct fixture *f = fixture_create(9);
        open_well(f);
        append_singly(f, 6, 9000);
        run_for(f, SECOND);
        char path[64];
        uint64_t offset;
        find_record(f, f->model[index].lsn, path, &offset);
        assert_int_equal(sim_disk_flip(f->node, path, 41, 1), STATUS_OK);
        f->damaged = true;
        crash(f, SIM_CRASH_KILL);
        assert_true(fixture_open(f));
        assert_int_equal(f->status, STATUS_CORRUPT);
        fixture_free(f);
    }
}

static void every_flipped_byte_is_found_or_harmless(void **state)
{
    (void)state;
    struct fixture *f = fixture_create(10);
    open_well(f);
    append_singly(f, 3, 200);
    run_for(f, SECOND);
    char path[64];
    uint64_t offset;
    find_record(f, f->model[0].lsn, path, &offset);
    /* All bytes of the second batch's header and record, and the segment's header. */
    find_record(f, f->model[1].lsn, path, &offset);
    offset -= WAL_BATCH_HEADER_BYTES;
    for (uint32_t i = 0; i < 64 + 112 + 264; i++) {
        uint64_t at = i < 64 ? i : offset + i - 64;
        crash(f, SIM_CRASH_KILL);
        assert_int_equal(sim_disk_flip(f->node, path, at, 0x10), STATUS_OK);
        assert_true(fixture_open(f));
        assert_int_equal(f->status, STATUS_CORRUPT);
        assert_int_equal(sim_disk_flip(f->node, path, at, 0x10), STATUS_OK);
    }
    crash(f, SIM_CRASH_KILL);
    open_well(f);
    assert_int_equal(f->replayed, 3);
    close_well(f);
    fixture_free(f);
}

static void a_missing_segment_is_corruption(void **state)
{
    (void)state;
    for (int which = 0; which < 2; which++) { /* the first, one in the middle */
        struct fixture *f = fixture_create(11);
        open_well(f);
        append_singly(f, 20, 9000);
        run_for(f, SECOND);
        char path[64];
        uint64_t offset;
        find_record(f, f->model[which == 0 ? 0 : 10].lsn, path, &offset);
        crash(f, SIM_CRASH_KILL);
        disk_change(f, path, 0, NULL, 0);
        f->damaged = true;
        assert_true(fixture_open(f));
        assert_int_equal(f->status, STATUS_CORRUPT);
        assert_non_null(strstr(f->log_text, "lost"));
        fixture_free(f);
    }
}

/* ---- What is not this log ---- */

static void a_foreign_log_is_refused(void **state)
{
    (void)state;
    struct fixture *f = fixture_create(12);
    f->options.log_id = 77;
    open_well(f);
    assert_int_equal(wal_log_id(f->wal), 77);
    append_singly(f, 1, 10);
    close_well(f);
    f->options.log_id = 78;
    assert_true(fixture_open(f));
    assert_int_equal(f->status, STATUS_INVALID);
    assert_non_null(strstr(f->log_text, "belongs to another log"));
    f->options.log_id = 0; /* whichever */
    open_well(f);
    assert_int_equal(wal_log_id(f->wal), 77);
    close_well(f);
    fixture_free(f);
}

static void a_newer_format_is_refused(void **state)
{
    (void)state;
    struct fixture *f = fixture_create(13);
    open_well(f);
    append_singly(f, 1, 10);
    char path[64];
    uint64_t offset, bytes;
    find_record(f, f->model[0].lsn, path, &offset);
    close_well(f);
    uint8_t *content = disk_read(f, path, &bytes);
    struct wal_segment_header header;
    assert_int_equal(wal_segment_header_decode(content, &header), WAL_VALID);
    content[16] = 2; /* the version */
    uint64_t sum =
        checksum64(bytes_of(content + 16, WAL_BLOCK_BYTES - 16), UINT64_C(0x7472696e652e7365));
    memcpy(content + 8, &sum, sizeof(sum));
    disk_change(f, path, 0, content, WAL_BLOCK_BYTES);
    free(content);
    assert_true(fixture_open(f));
    assert_int_equal(f->status, STATUS_VERSION);
    fixture_free(f);
}

static void no_log_and_bad_options(void **state)
{
    (void)state;
    struct fixture *f = fixture_create(14);
    f->options.create = false;
    assert_true(fixture_open(f));
    assert_int_equal(f->status, STATUS_NOT_FOUND);
    f->options.create = true;
    f->options.segment_bytes_min = 4096;
    assert_true(fixture_open(f));
    assert_int_equal(f->status, STATUS_INVALID);
    f->options.segment_bytes_min = 32u << 10;
    f->options.needed = (struct lsn){5};
    assert_true(fixture_open(f));
    assert_int_equal(f->status, STATUS_CORRUPT); /* a checkpoint needs a log that is not there */
    f->options.needed = (struct lsn){0};
    open_well(f);
    append_singly(f, 2, 10);
    f->options.needed = wal_durable(f->wal);
    close_well(f);
    open_well(f);
    close_well(f);
    f->options.needed.value = UINT64_C(1) << 60;
    assert_true(fixture_open(f));
    assert_int_equal(f->status, STATUS_CORRUPT);
    assert_non_null(strstr(f->log_text, "ends before the checkpoint"));
    fixture_free(f);
}

static void what_the_owner_answers_ends_the_opening(void **state)
{
    (void)state;
    struct fixture *f = fixture_create(15);
    open_well(f);
    append_singly(f, 2, 10);
    close_well(f);
    f->replay_status = STATUS_NO_MEMORY;
    assert_true(fixture_open(f));
    assert_int_equal(f->status, STATUS_NO_MEMORY);
    f->replay_status = STATUS_OK;
    open_well(f);
    close_well(f);
    fixture_free(f);
}

/* ---- Failures ---- */

static void a_failed_sync_abandons_the_segment(void **state)
{
    (void)state;
    struct fixture *f = fixture_create(16);
    open_well(f);
    append_singly(f, 3, 300);
    run_for(f, SECOND); /* the spares are made */
    struct sim_rates rates = {.sync_error = 1};
    sim_set_rates(f->sim, &rates);
    append_well(f, 300);
    while (wal_stats(f->wal)->abandoned == 0)
        assert_true(sim_step(f->sim));
    assert_int_equal(f->durable_count, 3); /* not acknowledged */
    sim_set_rates(f->sim, &(struct sim_rates){0});
    flush(f);
    assert_int_equal(wal_state(f->wal), WAL_OK);
    append_singly(f, 3, 300);
    crash(f, SIM_CRASH_POWER);
    open_well(f);
    assert_int_equal(f->replayed, 7);
    close_well(f);
    fixture_free(f);
}

static void a_second_failure_is_final(void **state)
{
    (void)state;
    struct fixture *f = fixture_create(17);
    open_well(f);
    append_singly(f, 3, 300);
    run_for(f, SECOND);
    sim_set_rates(f->sim, &(struct sim_rates){.write_error = 1});
    append_well(f, 300);
    run_for(f, SECOND);
    assert_int_equal(wal_state(f->wal), WAL_FAILED);
    assert_int_equal(f->state, WAL_FAILED);
    assert_int_equal(wal_status(f->wal), STATUS_IO);
    assert_int_equal(f->durable_count, 3);
    assert_int_equal(append_record(f, WAL_ENTRY, 1, 10, true), STATUS_UNAVAILABLE);
    sim_set_rates(f->sim, &(struct sim_rates){0});
    run_for(f, 10 * SECOND);
    assert_int_equal(wal_state(f->wal), WAL_FAILED); /* stays */
    assert_true(fixture_close(f));
    assert_int_equal(f->status, STATUS_IO);
    open_well(f); /* at least what was durable */
    close_well(f);
    fixture_free(f);
}

static void a_full_disk_refuses_and_resumes(void **state)
{
    (void)state;
    struct fixture *f = fixture_create(18);
    open_well(f);
    append_singly(f, 10, 300);
    run_for(f, SECOND);
    sim_set_rates(f->sim, &(struct sim_rates){.no_space = 1});
    enum status status = STATUS_OK;
    sim_set_rates(f->sim, &(struct sim_rates){0});
    append_singly(f, 2, 30000); /* takes a spare: another one cannot be made */
    sim_set_rates(f->sim, &(struct sim_rates){.no_space = 1});
    run_for(f, SECOND);
    assert_int_equal(wal_state(f->wal), WAL_NO_SPACE);
    assert_int_equal(wal_status(f->wal), STATUS_NO_SPACE);
    status = append_record(f, WAL_ENTRY, 1, 100, false);
    assert_int_equal(status, STATUS_NO_SPACE);
    status = append_record(f, WAL_ENTRY, 1, 100, true); /* urgent, but the reserve is used up */
    assert_int_equal(status, STATUS_NO_SPACE);
    status = append_record(f, WAL_PROMISE, 1, 0, true);
    assert_int_equal(status, STATUS_OK);
    status = append_record(f, WAL_ENTRY, 1, 0, true); /* the barrier that follows the promise */
    assert_int_equal(status, STATUS_OK);
    run_for(f, SECOND);
    assert_true(f->durable_count < f->model_count); /* every write fails */
    sim_set_rates(f->sim, &(struct sim_rates){0});
    run_for(f, 5 * SECOND);
    assert_int_equal(wal_state(f->wal), WAL_OK);
    assert_int_equal(f->state, WAL_OK);
    assert_int_equal(f->durable_count, f->model_count);
    append_singly(f, 5, 300);
    crash(f, SIM_CRASH_POWER);
    open_well(f);
    assert_int_equal(f->replayed, f->model_count);
    close_well(f);
    fixture_free(f);
}

static void failing_allocations_are_answered(void **state)
{
    (void)state;
    struct fixture *f = fixture_create(19);
    open_well(f);
    append_singly(f, 8, 9000);
    for (uint32_t replica = 1; replica <= REPLICAS; replica++)
        assert_int_equal(append_record(f, WAL_PROMISE, replica, 0, false), STATUS_OK);
    flush(f);
    crash(f, SIM_CRASH_KILL);
    struct heap *heap = sim_node_env(f->node)->heap;
    for (uint64_t n = 1;; n++) {
        size_t before = heap->bytes_used;
        assert_true(n < 200);
        heap->fail_after = n;
        assert_true(fixture_open(f));
        heap->fail_after = 0;
        if (f->status == STATUS_OK)
            break;
        assert_int_equal(f->status, STATUS_NO_MEMORY);
        /* A fiber keeps its arena's chunk. */
        assert_true(heap->bytes_used <= before + (1u << 20));
    }
    for (uint64_t n = 1;; n++) {
        heap->fail_after = n;
        enum status status = append_record(f, WAL_CONFIGURATION, 1, 100, false);
        bool reached = heap->fail_after == 0;
        heap->fail_after = 0;
        if (status == STATUS_OK && !reached)
            break;
        if (status != STATUS_OK) {
            assert_int_equal(status, STATUS_NO_MEMORY);
            f->slots[1]--;
        }
        assert_true(n < 20);
    }
    flush(f);
    close_well(f);
    open_well(f);
    close_well(f);
    fixture_free(f);
}

/* ---- Segments ---- */

static void segments_are_recycled_and_promises_carried(void **state)
{
    (void)state;
    struct fixture *f = fixture_create(20);
    open_well(f);
    for (uint32_t replica = 1; replica <= REPLICAS; replica++)
        for (int i = 0; i < 3; i++)
            assert_int_equal(append_record(f, WAL_PROMISE, replica, 0, false), STATUS_OK);
    assert_int_equal(append_record(f, WAL_CONFIGURATION, 2, 90, false), STATUS_OK);
    assert_int_equal(append_record(f, WAL_REMOVAL, 4, 0, false), STATUS_OK);
    for (int round = 0; round < 10; round++) {
        append_singly(f, 30, 9000);
        release(f, f->durable_count);
        run_for(f, SECOND);
    }
    const struct wal_stats *stats = wal_stats(f->wal);
    assert_true(stats->recycled > 5);
    assert_true(stats->live_segments <= 2);
    assert_true(stats->carried >= 4 && stats->carried <= 60); /* three promises, a configuration */
    struct file_list *list = files(f);
    assert_true(list->total < 16 * f->options.segment_bytes_max);
    free(list);
    crash(f, SIM_CRASH_POWER);
    open_well(f); /* check_recovered looks at the promises */
    assert_int_equal(f->seen[1].promised, 3);
    assert_int_equal(f->seen[4].promised, 0);
    close_well(f);
    fixture_free(f);
}

static void one_configuration_before_the_newest_is_kept(void **state)
{
    (void)state;
    struct fixture *f = fixture_create(21);
    open_well(f);
    for (int i = 0; i < 3; i++)
        assert_int_equal(append_record(f, WAL_CONFIGURATION, 1, 90, false), STATUS_OK);
    flush(f);
    append_singly(f, 30, 9000);
    release(f, f->durable_count);
    run_for(f, SECOND);
    assert_int_equal(wal_stats(f->wal)->carried, 2);
    crash(f, SIM_CRASH_POWER);
    f->seen[1].configuration = 0;
    open_well(f);
    assert_int_equal(f->seen[1].configuration, 3);
    close_well(f);
    fixture_free(f);
}

static void settle_well(struct fixture *f)
{
    assert_true(run_fiber(f, settle_on_fiber));
    assert_int_equal(f->status, STATUS_OK);
    struct lsn durable = wal_durable(f->wal);
    run_for(f, SECOND);
    assert_true(wal_durable(f->wal).value == durable.value); /* it writes nothing by itself */
}

static void after_a_clean_stop_the_log_is_small(void **state)
{
    (void)state;
    struct fixture *f = fixture_create(22);
    f->options.segment_bytes_min = 0; /* the defaults */
    f->options.segment_bytes_max = 0;
    open_well(f);
    append_singly(f, 40, 250000);
    run_for(f, SECOND);
    assert_true(wal_stats(f->wal)->live_bytes > 10u << 20);
    settle_well(f);
    release(f, f->durable_count);
    struct lsn covered = wal_durable(f->wal);
    close_well(f);
    struct file_list *list = files(f);
    assert_true(list->total <= 4u << 20);
    free(list);
    f->options.needed = covered; /* the log begins there, not behind it */
    open_well(f);
    append_singly(f, 3, 100);
    close_well(f);
    list = files(f);
    assert_true(list->total <= 16u << 20);
    free(list);
    fixture_free(f);
}

static void an_opening_syncs_once_when_nothing_is_in_doubt(void **state)
{
    (void)state;
    struct fixture *f = fixture_create(24);
    open_well(f); /* a new log */
    assert_int_equal(wal_stats(f->wal)->syncs, 1);
    append_singly(f, 3, 100);
    crash(f, SIM_CRASH_KILL);
    open_well(f); /* the last batch may be in memory only */
    assert_int_equal(wal_stats(f->wal)->syncs, 2);
    settle_well(f);
    f->options.needed = wal_durable(f->wal);
    crash(f, SIM_CRASH_KILL);
    open_well(f); /* the checkpoint knows it to be durable */
    assert_int_equal(wal_stats(f->wal)->syncs, 1);
    append_singly(f, 3, 100);
    crash(f, SIM_CRASH_POWER);
    open_well(f);
    assert_int_equal(f->replayed, 6);
    close_well(f);
    fixture_free(f);
}

static void a_close_writes_out_what_is_gathered(void **state)
{
    (void)state;
    struct fixture *f = fixture_create(23);
    open_well(f);
    for (int i = 0; i < 10; i++)
        append_well(f, 5000);
    close_well(f);
    assert_int_equal(f->durable_count, 10);
    crash(f, SIM_CRASH_POWER);
    open_well(f);
    assert_int_equal(f->replayed, 10);
    close_well(f);
    fixture_free(f);
}

/* ---- Format ---- */

static void records_survive_their_encoding(void **state)
{
    (void)state;
    uint8_t bytes[512], payload[200];
    payload_fill(payload, sizeof(payload), 9);
    for (uint32_t count = 0; count <= sizeof(payload); count++) {
        struct wal_record record = {
            .type = WAL_ENTRY,
            .carried = count % 2 == 1,
            .replica = {.group = 1, .added = 2, .node = 3},
            .slot = 4,
            .ballot = {.round = 5, .replica = {.group = 1, .added = 6, .node = 7}},
            .payload = bytes_of(payload, count),
        };
        struct wal_record decoded;
        size_t length = (size_t)wal_record_bytes(count);
        wal_record_encode(&record, 99, bytes);
        struct bytes rest = bytes_of(bytes, length);
        assert_int_equal(wal_record_decode(&rest, 99, &decoded), STATUS_OK);
        assert_int_equal(rest.count, 0);
        assert_int_equal(decoded.carried, record.carried);
        assert_int_equal(decoded.slot, 4);
        assert_true(replica_equal(decoded.replica, record.replica));
        assert_true(ballot_equal(decoded.ballot, record.ballot));
        assert_true(bytes_equal(decoded.payload, record.payload));
        assert_int_equal(wal_record_decode(&rest, 99, &decoded), STATUS_END);
        rest = bytes_of(bytes, length);
        assert_int_equal(wal_record_decode(&rest, 98, &decoded), STATUS_CORRUPT); /* another log */
        for (size_t cut = 1; cut < length; cut++) {
            rest = bytes_of(bytes, cut);
            assert_int_equal(wal_record_decode(&rest, 99, &decoded), STATUS_CORRUPT);
        }
    }
}

static void names_of_segments(void **state)
{
    (void)state;
    char name[WAL_NAME_BYTES];
    wal_segment_name(0x1234567890abcdef, name);
    assert_string_equal(name, "log-1234567890abcdef");
    assert_int_equal(wal_segment_sequence(name), 0x1234567890abcdef);
    assert_int_equal(wal_segment_sequence("log-1234567890abcdeF"), 0);
    assert_int_equal(wal_segment_sequence("log-1234567890abcde"), 0);
    assert_int_equal(wal_segment_sequence("log-7fffffffffffffff"), WAL_SEQUENCE_MAX);
    assert_int_equal(wal_segment_sequence("log-8000000000000000"), 0);
    assert_int_equal(wal_segment_sequence("log-ffffffffffffffff"), 0);
    assert_int_equal(wal_segment_sequence("lost-log-0000000000000001"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_of_one_turn_share_a_batch),
        cmocka_unit_test(what_gathers_meanwhile_is_the_next_batch),
        cmocka_unit_test(a_record_is_reported_only_after_its_sync),
        cmocka_unit_test(bounds_are_answered),
        cmocka_unit_test(a_batch_larger_than_a_segment_is_written),
        cmocka_unit_test(an_idle_log_is_sealed_once),
        cmocka_unit_test(a_torn_tail_is_cut),
        cmocka_unit_test(damage_before_what_is_known_synced_is_corruption),
        cmocka_unit_test(a_damaged_header_is_corruption),
        cmocka_unit_test(every_flipped_byte_is_found_or_harmless),
        cmocka_unit_test(a_missing_segment_is_corruption),
        cmocka_unit_test(a_foreign_log_is_refused),
        cmocka_unit_test(a_newer_format_is_refused),
        cmocka_unit_test(no_log_and_bad_options),
        cmocka_unit_test(what_the_owner_answers_ends_the_opening),
        cmocka_unit_test(a_failed_sync_abandons_the_segment),
        cmocka_unit_test(a_second_failure_is_final),
        cmocka_unit_test(a_full_disk_refuses_and_resumes),
        cmocka_unit_test(failing_allocations_are_answered),
        cmocka_unit_test(segments_are_recycled_and_promises_carried),
        cmocka_unit_test(one_configuration_before_the_newest_is_kept),
        cmocka_unit_test(after_a_clean_stop_the_log_is_small),
        cmocka_unit_test(an_opening_syncs_once_when_nothing_is_in_doubt),
        cmocka_unit_test(a_close_writes_out_what_is_gathered),
        cmocka_unit_test(records_survive_their_encoding),
        cmocka_unit_test(names_of_segments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
