/* The simulated world: time, jobs, what a disk keeps, links, crashes, and the same run from the
 * same seed. */
#include "env/sim/sim_env.h"

#include "unit/cmocka_headers.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "env/fiber.h"

#define SECOND UINT64_C(1000000000)
#define SECTOR 512u

static struct sim_options options_of(uint64_t seed)
{
    return sim_options_from_seed(seed);
}

/* ---- Running a piece of work in a job ---- */

struct work {
    struct env_job job;
    void (*body)(struct env *env, void *argument);
    void *argument;
    bool done;
};

static void work_run(struct env_job *job)
{
    struct work *work = CONTAINER_OF(job, struct work, job);
    work->body(job->env, work->argument);
}

static void work_done(struct env_job *job)
{
    CONTAINER_OF(job, struct work, job)->done = true;
}

static void work_submit(struct env *env, struct work *work, enum env_lane lane,
                        void (*body)(struct env *env, void *argument), void *argument)
{
    *work = (struct work){.body = body, .argument = argument};
    work->job = (struct env_job){.lane = lane, .run = work_run, .done = work_done};
    assert_int_equal(env_job_submit(env, &work->job), STATUS_OK);
}

static void run_in_job(struct sim *sim, struct sim_node *node,
                       void (*body)(struct env *env, void *argument), void *argument)
{
    struct work work;
    work_submit(sim_node_env(node), &work, ENV_LANE_BACKGROUND, body, argument);
    assert_true(sim_run_while(sim, &work.done, UINT64_MAX));
}

struct world {
    struct sim *sim;
    struct sim_node *node;
};

static struct world world_of(const struct sim_options *options)
{
    struct world world = {.sim = sim_create(options)};
    world.node = sim_node_create(world.sim, "n1");
    sim_node_start(world.node);
    return world;
}

static void power_loss(struct world *world)
{
    sim_node_crash(world->node, SIM_CRASH_POWER);
    sim_node_start(world->node);
}

/* ---- Time ---- */

struct tick {
    struct env_timer timer;
    char name;
    char *order;
};

static void tick_fire(struct env_timer *timer)
{
    struct tick *tick = CONTAINER_OF(timer, struct tick, timer);
    size_t count = strlen(tick->order);
    tick->order[count] = tick->name;
}

static void timers_fire_in_order_of_deadline_then_start(void **state)
{
    (void)state;
    struct sim_options options = options_of(1);
    struct world world = world_of(&options);
    struct env *env = sim_node_env(world.node);
    char order[8] = "";
    struct tick ticks[5] = {
        {.name = 'a'}, {.name = 'b'}, {.name = 'c'}, {.name = 'd'}, {.name = 'e'}};
    const uint64_t delays[5] = {3000, 1000, 3000, 0, 2000};
    uint64_t start_ns = env_now_ns(env);
    for (int i = 0; i < 5; i++) {
        ticks[i].order = order;
        ticks[i].timer.fire = tick_fire;
        env_timer_start(env, &ticks[i].timer, delays[i] * 1000000);
        assert_int_equal(ticks[i].timer.due_ns, start_ns + delays[i] * 1000000);
    }
    env_timer_stop(env, &ticks[4].timer);
    sim_run_until(world.sim, 10 * SECOND);
    assert_string_equal(order, "dbac");
    assert_int_equal(env_now_ns(env), start_ns + 10 * SECOND);
    sim_free(world.sim);
}

static void equal_seeds_give_equal_hashes(void **state)
{
    (void)state;
    uint64_t hashes[3];
    for (int i = 0; i < 3; i++) {
        struct sim_options options = options_of(i == 2 ? 8 : 7);
        struct world world = world_of(&options);
        char order[8] = "";
        struct tick tick = {.name = 'a', .order = order, .timer.fire = tick_fire};
        env_timer_start(sim_node_env(world.node), &tick.timer, 1000);
        sim_run_until(world.sim, SECOND);
        hashes[i] = sim_trace_hash(world.sim);
        sim_free(world.sim);
    }
    assert_int_equal(hashes[0], hashes[1]);
    assert_int_not_equal(hashes[0], hashes[2]);
}

/* ---- Jobs ---- */

static void look_for_nothing(struct env *env, void *argument)
{
    struct env_file *file;
    (void)argument;
    assert_int_equal(env_file_open(env, "nothing", 0, &file), STATUS_NOT_FOUND);
}

static void a_lane_is_bounded_and_drains(void **state)
{
    (void)state;
    struct sim_options options = options_of(3);
    struct world world = world_of(&options);
    struct env *env = sim_node_env(world.node);
    size_t count = ENV_LANE_JOBS_MAX + 1; /* one runs */
    struct work *works = calloc(count + 1, sizeof(*works));
    for (size_t i = 0; i < count; i++)
        work_submit(env, &works[i], ENV_LANE_LOG, look_for_nothing, NULL);
    works[count].job = (struct env_job){.lane = ENV_LANE_LOG, .run = work_run, .done = work_done};
    assert_int_equal(env_job_submit(env, &works[count].job), STATUS_BUSY);
    assert_int_equal(env->stats.lane_busy[ENV_LANE_LOG], 1);
    sim_run_until(world.sim, 60 * SECOND);
    for (size_t i = 0; i < count; i++)
        assert_true(works[i].done);
    assert_false(works[count].done);
    assert_int_equal(env->stats.lane_ns[ENV_LANE_LOG].count, count);
    free(works);
    sim_free(world.sim);
}

static void workers_finish_in_an_order_of_the_seed(void **state)
{
    (void)state;
    bool overtaken = false;
    for (uint64_t seed = 1; seed < 20 && !overtaken; seed++) {
        struct sim_options options = options_of(seed);
        options.read_workers = 4;
        struct world world = world_of(&options);
        struct work works[4];
        for (int i = 0; i < 4; i++)
            work_submit(sim_node_env(world.node), &works[i], ENV_LANE_READ, look_for_nothing, NULL);
        assert_true(sim_run_while(world.sim, &works[3].done, SECOND));
        overtaken = !works[0].done || !works[1].done || !works[2].done;
        sim_free(world.sim);
    }
    assert_true(overtaken);
}

/* ---- Disk ---- */

static void make_file(struct env *env, void *argument)
{
    struct env_file *file;
    (void)argument;
    assert_int_equal(env_dir_create(env, "data"), STATUS_OK);
    assert_int_equal(env_dir_sync(env, "."), STATUS_OK);
    assert_int_equal(env_file_open(env, "data/f", ENV_FILE_CREATE | ENV_FILE_EXCLUSIVE, &file),
                     STATUS_OK);
    uint8_t block[64 * SECTOR] = {0};
    struct bytes run = bytes_of(block, sizeof(block));
    assert_int_equal(env_file_write(env, file, 0, &run, 1), STATUS_OK);
    assert_int_equal(env_file_sync(env, file), STATUS_OK);
    assert_int_equal(env_dir_sync(env, "data"), STATUS_OK);
    env_file_close(env, file);
}

/* A sector holds its version in every byte.  `durable` is the newest version that a sync covers;
 * `newest` the last written. */
#define SECTORS 64u

struct sector_model {
    struct prng *prng;
    uint8_t durable[SECTORS], newest[SECTORS];
    uint32_t writes;
    bool sync_last;
};

static void write_some(struct env *env, void *argument)
{
    struct sector_model *model = argument;
    struct env_file *file;
    assert_int_equal(env_file_open(env, "data/f", 0, &file), STATUS_OK);
    for (uint32_t i = 0; i < model->writes; i++) {
        size_t first = (size_t)prng_below(model->prng, SECTORS);
        size_t count = 1 + (size_t)prng_below(model->prng, SECTORS - first);
        uint8_t bytes[SECTORS * SECTOR];
        for (size_t s = 0; s < count; s++) {
            model->newest[first + s]++;
            memset(bytes + s * SECTOR, model->newest[first + s], SECTOR);
        }
        size_t half = count * SECTOR / 2;
        struct bytes runs[2] = {bytes_of(bytes, half),
                                bytes_of(bytes + half, count * SECTOR - half)};
        assert_int_equal(env_file_write(env, file, first * SECTOR, runs, 2), STATUS_OK);
        if (prng_one_in(model->prng, 4) || (model->sync_last && i + 1 == model->writes)) {
            assert_int_equal(env_file_sync(env, file), STATUS_OK);
            memcpy(model->durable, model->newest, SECTORS);
        }
    }
    env_file_close(env, file);
}

/* Every sector is whole and between what was synced and what was written. */
static uint32_t check_sectors(struct sim_node *node, struct sector_model *model)
{
    uint32_t lost = 0;
    for (size_t s = 0; s < SECTORS; s++) {
        uint8_t sector[SECTOR];
        assert_int_equal(sim_disk_read(node, "data/f", s * SECTOR, sector, SECTOR), STATUS_OK);
        for (size_t i = 1; i < SECTOR; i++)
            assert_int_equal(sector[i], sector[0]);
        assert_true(sector[0] >= model->durable[s] && sector[0] <= model->newest[s]);
        lost += sector[0] != model->newest[s];
        model->durable[s] = model->newest[s] = sector[0];
    }
    return lost;
}

static void a_power_loss_keeps_what_was_synced(void **state)
{
    (void)state;
    uint32_t lost = 0;
    uint64_t torn = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct sim_options options = options_of(seed);
        struct world world = world_of(&options);
        run_in_job(world.sim, world.node, make_file, NULL);
        struct sector_model model = {.prng = sim_prng(world.sim)};
        for (int round = 0; round < 5; round++) {
            model.writes = 1 + (uint32_t)prng_below(model.prng, 6);
            model.sync_last = round % 2 == 0;
            run_in_job(world.sim, world.node, write_some, &model);
            power_loss(&world);
            uint32_t lost_now = check_sectors(world.node, &model);
            if (model.sync_last)
                assert_int_equal(lost_now, 0);
            lost += lost_now;
        }
        torn += sim_fault_count(world.sim, SIM_FAULT_TORN);
        sim_free(world.sim);
    }
    assert_true(lost > 100);
    assert_true(torn > 0);
}

static void a_killed_process_leaves_its_writes(void **state)
{
    (void)state;
    struct sim_options options = options_of(5);
    struct world world = world_of(&options);
    run_in_job(world.sim, world.node, make_file, NULL);
    struct sector_model model = {.prng = sim_prng(world.sim), .writes = 9};
    run_in_job(world.sim, world.node, write_some, &model);
    sim_node_crash(world.node, SIM_CRASH_KILL);
    sim_node_start(world.node);
    assert_int_equal(check_sectors(world.node, &model), 0);
    sim_free(world.sim);
}

/* The crash falls in the middle of each operation in turn. */
static void a_crash_at_each_change_leaves_a_legal_disk(void **state)
{
    (void)state;
    for (uint64_t k = 1; k <= 24; k++) {
        struct sim_options options = options_of(k);
        struct world world = world_of(&options);
        run_in_job(world.sim, world.node, make_file, NULL);
        struct sector_model model = {.prng = sim_prng(world.sim), .writes = 24};
        uint64_t before = sim_node_changes(world.node);
        sim_node_crash_at(world.node, k % 2 == 0 ? SIM_CRASH_POWER : SIM_CRASH_KILL, k);
        struct work work;
        work_submit(sim_node_env(world.node), &work, ENV_LANE_LOG, write_some, &model);
        assert_false(sim_run_while(world.sim, &work.done, SECOND));
        assert_null(sim_node_env(world.node));
        assert_int_equal(sim_node_changes(world.node), before + k);
        check_sectors(world.node, &model);
        sim_free(world.sim);
    }
}

static void make_two(struct env *env, void *argument)
{
    const bool *sync = argument;
    struct env_file *file;
    for (int i = 0; i < 2; i++) {
        const char *path = i == 0 ? "data/new1" : "data/new2";
        assert_int_equal(env_file_open(env, path, ENV_FILE_CREATE, &file), STATUS_OK);
        struct bytes run = BYTES("content");
        assert_int_equal(env_file_write(env, file, 0, &run, 1), STATUS_OK);
        assert_int_equal(env_file_sync(env, file), STATUS_OK);
        env_file_close(env, file);
    }
    assert_int_equal(env_file_rename(env, "data/new1", "data/renamed"), STATUS_OK);
    if (*sync)
        assert_int_equal(env_dir_sync(env, "data"), STATUS_OK);
}

static void names_last_when_their_directory_is_synced(void **state)
{
    (void)state;
    unsigned seen = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct sim_options options = options_of(seed);
        struct world world = world_of(&options);
        run_in_job(world.sim, world.node, make_file, NULL);
        bool sync = seed % 2 == 0;
        run_in_job(world.sim, world.node, make_two, &sync);
        power_loss(&world);
        uint64_t bytes;
        bool new1 = sim_disk_size(world.node, "data/new1", &bytes) == STATUS_OK;
        bool new2 = sim_disk_size(world.node, "data/new2", &bytes) == STATUS_OK;
        bool renamed = sim_disk_size(world.node, "data/renamed", &bytes) == STATUS_OK;
        assert_true(sync ? !new1 && new2 && renamed : !(new1 && renamed) && (!renamed || new2));
        if (!sync)
            seen |= 1u << (renamed ? 3 : new2 ? 2 : new1 ? 1 : 0);
        char content[7];
        if (renamed) {
            assert_int_equal(sim_disk_read(world.node, "./data//renamed", 0, content, 7),
                             STATUS_OK);
            assert_memory_equal(content, "content", 7);
        }
        sim_free(world.sim);
    }
    assert_int_equal(seen, 15); /* each prefix of the changes was left by some seed */
}

struct attempt {
    uint32_t failed, passed;
    enum status expected;
};

static void write_with_faults(struct env *env, void *argument)
{
    struct attempt *attempt = argument;
    struct env_file *file;
    uint8_t block[4096] = {7};
    struct bytes run = bytes_of(block, sizeof(block));
    assert_int_equal(env_file_open(env, "data/f", 0, &file), STATUS_OK);
    for (int i = 0; i < 64; i++) {
        enum status status = env_file_write(env, file, 4096 * (uint64_t)i, &run, 1);
        if (status == STATUS_OK)
            status = env_file_sync(env, file);
        if (status == STATUS_OK)
            status = env_file_read(env, file, 4096 * (uint64_t)i, block, sizeof(block));
        attempt->passed += status == STATUS_OK;
        attempt->failed += status != STATUS_OK;
        assert_true(status == STATUS_OK || status == attempt->expected);
    }
    env_file_close(env, file);
}

static void faults_happen_at_their_rate(void **state)
{
    (void)state;
    struct sim_options options = options_of(9);
    struct world world = world_of(&options);
    run_in_job(world.sim, world.node, make_file, NULL);
    struct sim_rates rates = {.read_error = 5, .write_error = 5, .sync_error = 5};
    sim_set_rates(world.sim, &rates);
    struct attempt attempt = {.expected = STATUS_IO};
    run_in_job(world.sim, world.node, write_with_faults, &attempt);
    assert_true(attempt.failed > 10 && attempt.passed > 10);
    assert_int_equal(attempt.failed, sim_fault_count(world.sim, SIM_FAULT_READ_ERROR) +
                                         sim_fault_count(world.sim, SIM_FAULT_WRITE_ERROR) +
                                         sim_fault_count(world.sim, SIM_FAULT_SYNC_ERROR));
    rates = (struct sim_rates){0};
    sim_set_rates(world.sim, &rates);
    attempt = (struct attempt){.expected = STATUS_OK};
    run_in_job(world.sim, world.node, write_with_faults, &attempt);
    assert_int_equal(attempt.passed, 64);
    sim_free(world.sim);
}

static void a_full_disk_says_so(void **state)
{
    (void)state;
    struct sim_options options = options_of(10);
    options.disk_bytes_max = 20 * 4096;
    struct world world = world_of(&options);
    run_in_job(world.sim, world.node, make_file, NULL);
    struct attempt attempt = {.expected = STATUS_NO_SPACE};
    run_in_job(world.sim, world.node, write_with_faults, &attempt);
    assert_int_equal(attempt.passed, 20);
    assert_int_equal(attempt.failed, 44);
    sim_free(world.sim);
}

static void a_failed_sync_may_lose_what_it_covered(void **state)
{
    (void)state;
    uint32_t lost = 0;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct sim_options options = options_of(seed);
        struct world world = world_of(&options);
        run_in_job(world.sim, world.node, make_file, NULL);
        struct sim_rates rates = {.sync_error = 1};
        sim_set_rates(world.sim, &rates);
        struct attempt attempt = {.expected = STATUS_IO};
        run_in_job(world.sim, world.node, write_with_faults, &attempt);
        power_loss(&world);
        for (uint64_t i = 0; i < 8; i++) {
            uint8_t byte;
            assert_int_equal(sim_disk_read(world.node, "data/f", 4096 * i, &byte, 1), STATUS_OK);
            assert_true(byte == 0 || byte == 7);
            lost += byte == 0;
        }
        sim_free(world.sim);
    }
    assert_true(lost > 10 && lost < 70);
}

static void lock_twice(struct env *env, void *argument)
{
    struct env_file *first, *second;
    (void)argument;
    assert_int_equal(env_file_open(env, "lock", ENV_FILE_CREATE | ENV_FILE_LOCK, &first),
                     STATUS_OK);
    assert_int_equal(env_file_open(env, "lock", ENV_FILE_CREATE | ENV_FILE_LOCK, &second),
                     STATUS_LOCKED);
    env_file_close(env, first);
    assert_int_equal(env_file_open(env, "lock", ENV_FILE_LOCK, &second), STATUS_OK);
}

static void a_lock_ends_with_its_process(void **state)
{
    (void)state;
    struct sim_options options = options_of(11);
    struct world world = world_of(&options);
    run_in_job(world.sim, world.node, lock_twice, NULL);
    sim_node_crash(world.node, SIM_CRASH_KILL);
    sim_node_start(world.node);
    run_in_job(world.sim, world.node, lock_twice, NULL);
    sim_free(world.sim);
}

static void a_flipped_bit_is_read_and_survives(void **state)
{
    (void)state;
    struct sim_options options = options_of(12);
    struct world world = world_of(&options);
    run_in_job(world.sim, world.node, make_file, NULL);
    assert_int_equal(sim_disk_flip(world.node, "data/f", 5000, 0x10), STATUS_OK);
    assert_int_equal(sim_disk_flip(world.node, "data/f", 64 * SECTOR, 1), STATUS_END);
    power_loss(&world);
    uint8_t byte;
    assert_int_equal(sim_disk_read(world.node, "data/f", 5000, &byte, 1), STATUS_OK);
    assert_int_equal(byte, 0x10);
    sim_free(world.sim);
}

/* ---- Bytes that are being written ---- */

static void write_once(struct env *env, void *argument)
{
    uint8_t *bytes = argument;
    struct bytes run = bytes_of(bytes, 4096);
    struct env_file *file;
    assert_int_equal(env_file_open(env, "f", ENV_FILE_CREATE, &file), STATUS_OK);
    assert_int_equal(env_file_write(env, file, 0, &run, 1), STATUS_OK);
    env_file_close(env, file);
}

/* How a child ends whose loop changes (or not) the bytes between any two events of a write. */
static int write_in_child(bool change)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit no_core = {0};
        setrlimit(RLIMIT_CORE, &no_core);
        if (freopen("/dev/null", "w", stderr) == NULL)
            _exit(1);
        struct sim_options options = options_of(71);
        struct world world = world_of(&options);
        static uint8_t bytes[4096];
        struct work work;
        work_submit(sim_node_env(world.node), &work, ENV_LANE_BACKGROUND, write_once, bytes);
        while (!work.done && sim_step(world.sim))
            bytes[4095] = (uint8_t)(bytes[4095] + (change ? 1 : 0));
        _exit(work.done ? 0 : 1);
    }
    int how = 0;
    assert_int_equal(waitpid(child, &how, 0), child);
    return how;
}

static void bytes_that_change_while_they_are_written_end_the_program(void **state)
{
    (void)state;
    assert_int_equal(write_in_child(false), 0);
    int how = write_in_child(true);
    assert_true(WIFSIGNALED(how));
    assert_int_equal(WTERMSIG(how), SIGABRT);
}

/* ---- Links: a server that sends back what it gets ---- */

struct echo {
    struct env *env;
    struct env_listener *listener;
    struct env_stream *stream;
    uint64_t drains, closed;
};

static void echo_read(void *owner, struct bytes bytes)
{
    struct echo *echo = owner;
    size_t queued = 0;
    enum status status = env_stream_write(echo->env, echo->stream, &bytes, 1, &queued);
    assert_true(status == STATUS_OK || status == STATUS_CLOSED);
    if (queued > 0)
        env_stream_pause(echo->env, echo->stream);
}

static void echo_end(void *owner, enum status status)
{
    struct echo *echo = owner;
    (void)status;
    env_stream_close(echo->env, echo->stream);
}

static void echo_drain(void *owner)
{
    struct echo *echo = owner;
    echo->drains++;
    env_stream_resume(echo->env, echo->stream);
}

static void echo_closed(void *owner)
{
    struct echo *echo = owner;
    echo->closed++;
    heap_free(echo->env->heap, echo, sizeof(*echo));
}

static const struct env_stream_events echo_events = {echo_read, echo_end, echo_drain, echo_closed};

static void echo_accept(void *owner, struct env_stream *stream)
{
    struct env *env = owner;
    struct echo *echo = heap_alloc_zero(env->heap, sizeof(*echo));
    echo->env = env;
    echo->stream = stream;
    env_stream_start(env, stream, &echo_events, echo);
}

static const struct env_listener_events listener_events = {echo_accept};

struct peer {
    struct env_stream *stream;
    size_t received;
    uint64_t pieces;
    bool ended, closed, wrong;
    enum status status;
};

static void peer_read(void *owner, struct bytes bytes)
{
    struct peer *peer = owner;
    for (size_t i = 0; i < bytes.count; i++)
        peer->wrong |= bytes.at[i] != (uint8_t)((peer->received + i) * 31 >> 3);
    peer->received += bytes.count;
    peer->pieces++;
}

static void peer_end(void *owner, enum status status)
{
    struct peer *peer = owner;
    peer->ended = true;
    peer->status = status;
    sim_client_close(peer->stream);
}

static void peer_drain(void *owner)
{
    (void)owner;
}

static void peer_closed(void *owner)
{
    ((struct peer *)owner)->closed = true;
}

static const struct env_stream_events peer_events = {peer_read, peer_end, peer_drain, peer_closed};

static void send_pattern(struct peer *peer, size_t from, size_t count)
{
    uint8_t *bytes = malloc(count);
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)((from + i) * 31 >> 3);
    sim_client_write(peer->stream, bytes_of(bytes, count));
    free(bytes);
}

static void bytes_arrive_whole_and_in_pieces(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct sim_options options = options_of(seed);
        struct world world = world_of(&options);
        struct env *env = sim_node_env(world.node);
        struct env_listener *listener, *second;
        assert_int_equal(env_listen(env, "127.0.0.1", 8000, &listener_events, env, &listener),
                         STATUS_OK);
        assert_int_equal(env_listen(env, "127.0.0.1", 8000, &listener_events, env, &second),
                         STATUS_EXISTS);
        assert_int_equal(env_listener_port(env, listener), 8000);
        struct peer peer = {0};
        peer.stream = sim_connect(world.sim, world.node, 8000, &peer_events, &peer);
        size_t sent = 0;
        for (int i = 0; i < 20; i++) {
            size_t count = 1 + (size_t)prng_below(sim_prng(world.sim), 30000);
            send_pattern(&peer, sent, count);
            sent += count;
            sim_run_until(world.sim, sim_now_ns(world.sim) + 100000);
        }
        sim_client_finish(peer.stream);
        assert_true(sim_run_while(world.sim, &peer.closed, 3600 * SECOND));
        assert_false(peer.wrong);
        assert_true(peer.received <= sent);
        assert_true(peer.pieces > 5);
        sim_run_until(world.sim, sim_now_ns(world.sim) + SECOND);
        env_listener_close(env, listener);
        assert_int_equal(sim_node_stop(world.node), 0);
        sim_free(world.sim);
    }
}

static void connecting_to_nobody_ends(void **state)
{
    (void)state;
    struct sim_options options = options_of(2);
    struct world world = world_of(&options);
    struct peer peer = {0};
    peer.stream = sim_connect(world.sim, world.node, 1, &peer_events, &peer);
    sim_client_write(peer.stream, BYTES("hello"));
    assert_true(sim_run_while(world.sim, &peer.closed, SECOND));
    assert_int_equal(peer.status, STATUS_IO);
    sim_free(world.sim);
}

static void a_crash_or_a_cut_ends_the_clients(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct sim_options options = options_of(seed);
        if (seed % 2 == 0)
            options.rates.cut = 20;
        struct world world = world_of(&options);
        struct env *env = sim_node_env(world.node);
        struct env_listener *listener;
        assert_int_equal(env_listen(env, "::", 8000, &listener_events, env, &listener), STATUS_OK);
        struct peer peers[4] = {{0}};
        for (int i = 0; i < 4; i++) {
            peers[i].stream = sim_connect(world.sim, world.node, 8000, &peer_events, &peers[i]);
            send_pattern(&peers[i], 0, 100000);
        }
        sim_run_until(world.sim, 2000000);
        sim_node_crash(world.node, seed % 3 == 0 ? SIM_CRASH_KILL : SIM_CRASH_POWER);
        sim_node_start(world.node);
        for (int i = 0; i < 4; i++) {
            assert_true(sim_run_while(world.sim, &peers[i].closed, 60 * SECOND));
            assert_true(peers[i].ended);
            assert_false(peers[i].wrong);
        }
        sim_free(world.sim);
    }
}

/* ---- A program on fibers, crashed at random moments ---- */

struct program {
    struct env_job job;
    struct env *env;
    uint64_t rounds;
};

static void program_job(struct env_job *job)
{
    struct env_file *file;
    if (env_file_open(job->env, "log", ENV_FILE_CREATE, &file) != STATUS_OK)
        return;
    struct bytes run = BYTES("record");
    if (env_file_write(job->env, file, 0, &run, 1) == STATUS_OK &&
        env_file_sync(job->env, file) == STATUS_OK)
        env_file_close(job->env, file);
}

static void program_main(struct context *ctx, void *argument)
{
    struct program *program = argument;
    for (;;) {
        program->job = (struct env_job){.lane = ENV_LANE_LOG, .run = program_job};
        void *garbage = arena_alloc(&ctx->arena, 100);
        if (garbage == NULL || context_run_job(ctx, &program->job) != STATUS_OK)
            return;
        program->rounds++;
        if (context_sleep(ctx, 1 + env_random_u64(ctx->env) % 1000000) != STATUS_OK)
            return;
        context_yield(ctx);
    }
}

static uint64_t run_program(uint64_t seed)
{
    struct sim_options options = options_of(seed);
    options.rates.stall = 100;
    struct sim *sim = sim_create(&options);
    struct sim_node *node = sim_node_create(sim, "n1");
    for (int i = 0; i < 10; i++) {
        struct env *env = sim_node_start(node);
        assert_int_equal(fiber_pool_open(env, 16, 65536), STATUS_OK);
        for (int f = 0; f < 4; f++) {
            struct program *program = heap_alloc_zero(env->heap, sizeof(*program));
            struct fiber_options fiber = {.arena_bytes_max = 1 << 20, .deadline_ns = UINT64_MAX};
            assert_int_equal(fiber_spawn(env, &fiber, program_main, program), STATUS_OK);
        }
        sim_run_until(sim, sim_now_ns(sim) + prng_below(sim_prng(sim), 20000000));
        sim_node_crash(node, i % 2 == 0 ? SIM_CRASH_POWER : SIM_CRASH_KILL);
    }
    uint64_t hash = sim_trace_hash(sim);
    sim_free(sim);
    return hash;
}

static void a_program_on_fibers_repeats_itself(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++)
        assert_int_equal(run_program(seed), run_program(seed));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_in_order_of_deadline_then_start),
        cmocka_unit_test(equal_seeds_give_equal_hashes),
        cmocka_unit_test(a_lane_is_bounded_and_drains),
        cmocka_unit_test(workers_finish_in_an_order_of_the_seed),
        cmocka_unit_test(a_power_loss_keeps_what_was_synced),
        cmocka_unit_test(a_killed_process_leaves_its_writes),
        cmocka_unit_test(a_crash_at_each_change_leaves_a_legal_disk),
        cmocka_unit_test(names_last_when_their_directory_is_synced),
        cmocka_unit_test(faults_happen_at_their_rate),
        cmocka_unit_test(a_full_disk_says_so),
        cmocka_unit_test(a_failed_sync_may_lose_what_it_covered),
        cmocka_unit_test(bytes_that_change_while_they_are_written_end_the_program),
        cmocka_unit_test(a_lock_ends_with_its_process),
        cmocka_unit_test(a_flipped_bit_is_read_and_survives),
        cmocka_unit_test(bytes_arrive_whole_and_in_pieces),
        cmocka_unit_test(connecting_to_nobody_ends),
        cmocka_unit_test(a_crash_or_a_cut_ends_the_clients),
        cmocka_unit_test(a_program_on_fibers_repeats_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
