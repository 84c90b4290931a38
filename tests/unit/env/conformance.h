/* conformance.h - what every binding of struct env promises, as tests that run against any of them.
 *
 * A test program includes this, fills a `struct conformance` for its binding and calls
 * conformance_main.  Each test gets an env of its own.
 */
#ifndef TESTS_CONFORMANCE_H
#define TESTS_CONFORMANCE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"
#include "env/env.h"

/* The other end of a connection.  The binding embeds it as its first member. */
struct conformance_peer {
    uint8_t *received; /* all so far; from malloc */
    size_t received_count, received_room;
    bool ended; /* the other side sends no more, or refused, or broke */
};

struct conformance {
    /* Make an env: sets `env` and `directory`, an existing, empty directory for files. */
    void (*open)(struct conformance *c);
    /* All that the test opened in the env is closed by then. */
    void (*close)(struct conformance *c);
    /* Let the loop run until done(argument), which is asked between its turns.  False: it gave up,
     * because nothing is left that could happen, or after a long time. */
    bool (*run)(struct conformance *c, bool (*done)(void *argument), void *argument);

    /* A client that connects to `port`; takes in what comes. */
    struct conformance_peer *(*peer_connect)(struct conformance *c, uint16_t port);
    /* All of it goes out as the loop runs; the bytes are copied. */
    void (*peer_send)(struct conformance *c, struct conformance_peer *peer, struct bytes bytes);
    void (*peer_pause)(struct conformance *c, struct conformance_peer *peer);
    void (*peer_resume)(struct conformance *c, struct conformance_peer *peer);
    /* Send no more, after what was sent. */
    void (*peer_finish)(struct conformance *c, struct conformance_peer *peer);
    /* Close at once, and free. */
    void (*peer_close)(struct conformance *c, struct conformance_peer *peer);

    void *binding; /* the binding's own */
    struct env *env;
    const char *directory;
};

/* For bindings: `peer` received `bytes`. */
static inline void conformance_peer_took(struct conformance_peer *peer, struct bytes bytes)
{
    if (peer->received_count + bytes.count > peer->received_room) {
        peer->received_room = (peer->received_count + bytes.count) * 2;
        peer->received = realloc(peer->received, peer->received_room);
        assert_non_null(peer->received);
    }
    memcpy(peer->received + peer->received_count, bytes.at, bytes.count);
    peer->received_count += bytes.count;
}

/* ---- Helpers ---- */

static inline bool conformance_flag(void *argument)
{
    return *(volatile bool *)argument;
}

static inline void run_until(struct conformance *c, bool *flag)
{
    assert_true(c->run(c, conformance_flag, flag));
}

struct sleep_timer {
    struct env_timer timer;
    bool fired;
};

static inline void sleep_timer_fired(struct env_timer *timer)
{
    CONTAINER_OF(timer, struct sleep_timer, timer)->fired = true;
}

/* Let the loop run for that long: what is to happen, happens; what must not, is seen. */
static inline void run_for(struct conformance *c, uint64_t ns)
{
    struct sleep_timer sleep = {.timer = {.fire = sleep_timer_fired}};
    env_timer_start(c->env, &sleep.timer, ns);
    run_until(c, &sleep.fired);
}

#define MS UINT64_C(1000000)

/* A body of a test that runs in a job. */
struct job_body {
    struct env_job job;
    void (*body)(struct conformance *c);
    struct conformance *c;
    bool done;
};

static inline void job_body_run(struct env_job *job)
{
    struct job_body *body = CONTAINER_OF(job, struct job_body, job);
    body->body(body->c);
}

static inline void job_body_done(struct env_job *job)
{
    CONTAINER_OF(job, struct job_body, job)->done = true;
}

static inline void run_in_job(struct conformance *c, enum env_lane lane,
                              void (*body)(struct conformance *c))
{
    struct job_body job = {
        .job = {.lane = lane, .run = job_body_run, .done = job_body_done}, .body = body, .c = c};
    assert_int_equal(env_job_submit(c->env, &job.job), STATUS_OK);
    assert_false(job.done);
    run_until(c, &job.done);
}

/* cmocka fails a test by a jump, which must not leave a job's stack or thread. */
#define JOB_CHECK(x) ((x) ? (void)0 : job_check_failed(#x, __FILE__, __LINE__))

NORETURN static inline void job_check_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: %s does not hold\n", file, line, what);
    abort();
}

/* ---- Clocks and randomness ---- */

static inline void clock_never_goes_back(void **state)
{
    struct conformance *c = *state;
    uint64_t last_ns = env_now_ns(c->env);
    for (int i = 0; i < 1000; i++) {
        uint64_t now_ns = env_now_ns(c->env);
        assert_true(now_ns >= last_ns);
        last_ns = now_ns;
    }
    run_for(c, 2 * MS);
    assert_true(env_now_ns(c->env) >= last_ns + 2 * MS);
    assert_true(env_wall_ns(c->env) > 0);
}

static inline void random_differs(void **state)
{
    struct conformance *c = *state;
    uint64_t ones = 0, zeros = 0, last = 0;
    for (int i = 0; i < 200; i++) {
        uint64_t value = env_random_u64(c->env);
        assert_true(value != last);
        last = value;
        ones |= value;
        zeros |= ~value;
    }
    assert_true(ones == UINT64_MAX && zeros == UINT64_MAX);
    uint8_t large[1000] = {0};
    env_random(c->env, large, sizeof(large));
    env_random(c->env, large, 0);
    int set = 0;
    for (size_t i = 0; i < sizeof(large); i++)
        set += large[i] != 0;
    assert_true(set > 900);
}

/* ---- Tasks ---- */

struct counting_task {
    struct env_task task;
    struct env *env;
    uint32_t runs, runs_wanted;
    uint32_t *turn; /* counts the runs of all */
    uint32_t first_turn;
    bool enough;
};

static inline void counting_task_run(struct env_task *task)
{
    struct counting_task *counting = CONTAINER_OF(task, struct counting_task, task);
    counting->first_turn = counting->runs == 0 ? ++*counting->turn : counting->first_turn;
    if (++counting->runs < counting->runs_wanted)
        env_defer(counting->env, task);
    else
        counting->enough = true;
}

static inline void counting_task_init(struct counting_task *counting, struct env *env,
                                      uint32_t *turn, uint32_t runs_wanted)
{
    *counting = (struct counting_task){
        .task = {.run = counting_task_run}, .env = env, .turn = turn, .runs_wanted = runs_wanted};
    list_init(&counting->task.link);
}

static inline void tasks_run_once_in_order(void **state)
{
    struct conformance *c = *state;
    struct counting_task tasks[10];
    uint32_t turn = 0;
    for (int i = 0; i < 10; i++) {
        counting_task_init(&tasks[i], c->env, &turn, 1);
        env_defer(c->env, &tasks[i].task);
    }
    env_defer(c->env, &tasks[3].task); /* waits already */
    list_remove(&tasks[5].task.link);  /* taken back */
    assert_int_equal(turn, 0);
    run_until(c, &tasks[9].enough);
    run_for(c, 1 * MS);
    uint32_t position = 0;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(tasks[i].runs, i == 5 ? 0 : 1);
        if (i != 5)
            assert_int_equal(tasks[i].first_turn, ++position);
    }
}

/* A task that defers itself for ever does not keep events away. */
static inline void tasks_leave_room_for_events(void **state)
{
    struct conformance *c = *state;
    struct counting_task task;
    uint32_t turn = 0;
    counting_task_init(&task, c->env, &turn, UINT32_MAX);
    env_defer(c->env, &task.task);
    run_for(c, 2 * MS);
    assert_true(task.runs > 1);
    list_remove(&task.task.link);
    uint32_t runs = task.runs;
    run_for(c, 1 * MS);
    assert_int_equal(task.runs, runs);
}

/* ---- Timers ---- */

struct test_timer {
    struct env_timer timer;
    struct env *env;
    uint32_t number;
    uint32_t *order, *order_count;
    struct test_timer *to_stop;
    bool fired, early;
};

static inline void test_timer_fire(struct env_timer *timer)
{
    struct test_timer *test = CONTAINER_OF(timer, struct test_timer, timer);
    test->early = env_now_ns(test->env) < timer->due_ns;
    assert_false(test->fired);
    test->fired = true;
    test->order[(*test->order_count)++] = test->number;
    if (test->to_stop != NULL)
        env_timer_stop(test->env, &test->to_stop->timer);
}

static inline void timers_fire_in_order(void **state)
{
    struct conformance *c = *state;
    enum { COUNT = 6 };
    static const uint64_t delays_ns[COUNT] = {3 * MS, 1 * MS, 3 * MS, 0, 2 * MS, 3 * MS};
    static const uint32_t expected[COUNT] = {3, 1, 4, 0, 2, 5};
    struct test_timer timers[COUNT];
    uint32_t order[COUNT], count = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        timers[i] = (struct test_timer){.timer = {.fire = test_timer_fire},
                                        .env = c->env,
                                        .number = i,
                                        .order = order,
                                        .order_count = &count};
        uint64_t now_ns = env_now_ns(c->env);
        env_timer_start(c->env, &timers[i].timer, delays_ns[i]);
        assert_true(timers[i].timer.due_ns >= now_ns + delays_ns[i]);
    }
    assert_int_equal(count, 0);
    run_for(c, 10 * MS);
    assert_int_equal(count, COUNT);
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_int_equal(order[i], expected[i]);
        assert_false(timers[i].early);
    }
}

static inline void timers_stop_and_move(void **state)
{
    struct conformance *c = *state;
    struct test_timer timers[5];
    uint32_t order[5], count = 0;
    for (uint32_t i = 0; i < 5; i++) {
        timers[i] = (struct test_timer){.timer = {.fire = test_timer_fire},
                                        .env = c->env,
                                        .number = i,
                                        .order = order,
                                        .order_count = &count};
        if (i != 4)
            env_timer_start(c->env, &timers[i].timer, 2 * MS);
    }
    env_timer_stop(c->env, &timers[4].timer); /* never started: harmless */
    env_timer_stop(c->env, &timers[0].timer);
    env_timer_stop(c->env, &timers[0].timer);
    env_timer_start(c->env, &timers[1].timer, 4 * MS); /* moved behind the others */
    timers[2].to_stop = &timers[3];                    /* due too, but stopped in time */
    run_for(c, 10 * MS);
    assert_int_equal(count, 2);
    assert_int_equal(order[0], 2);
    assert_int_equal(order[1], 1);
    assert_false(timers[0].fired || timers[3].fired);
}

/* Against the plain rule: those not stopped fire by due time, equal ones by start. */
static inline void timers_obey_the_rule_at_random(void **state)
{
    struct conformance *c = *state;
    enum { COUNT = 500 };
    static struct test_timer timers[COUNT];
    static uint32_t order[COUNT];
    uint32_t count = 0, alive = 0;
    struct prng prng;
    prng_init(&prng, 17);
    bool stopped[COUNT] = {false};
    for (uint32_t i = 0; i < COUNT; i++) {
        timers[i] = (struct test_timer){.timer = {.fire = test_timer_fire},
                                        .env = c->env,
                                        .number = i,
                                        .order = order,
                                        .order_count = &count};
        env_timer_start(c->env, &timers[i].timer, prng_below(&prng, 20) * MS / 2);
        uint32_t other = (uint32_t)prng_below(&prng, i + 1);
        if (prng_one_in(&prng, 3)) {
            env_timer_stop(c->env, &timers[other].timer);
            stopped[other] = true;
        }
    }
    for (uint32_t i = 0; i < COUNT; i++)
        alive += !stopped[i];
    run_for(c, 15 * MS);
    assert_int_equal(count, alive);
    for (uint32_t i = 0; i < count; i++) {
        struct test_timer *timer = &timers[order[i]];
        assert_false(timer->early || stopped[order[i]]);
        if (i == 0)
            continue;
        struct test_timer *last = &timers[order[i - 1]];
        assert_true(last->timer.due_ns <= timer->timer.due_ns);
        if (last->timer.due_ns == timer->timer.due_ns)
            assert_true(last->number < timer->number);
    }
}

/* ---- Jobs ---- */

struct counting_job {
    struct env_job job;
    uint32_t number;
    uint32_t *run_count, *done_count; /* of all; run_count only in lanes of one thread */
    uint32_t run_position, done_position;
    bool *all_done;
    uint32_t all;
};

static inline void counting_job_run(struct env_job *job)
{
    struct counting_job *counting = CONTAINER_OF(job, struct counting_job, job);
    if (counting->run_count != NULL)
        counting->run_position = (*counting->run_count)++;
}

static inline void counting_job_done(struct env_job *job)
{
    struct counting_job *counting = CONTAINER_OF(job, struct counting_job, job);
    counting->done_position = (*counting->done_count)++;
    if (*counting->done_count == counting->all)
        *counting->all_done = true;
}

static inline void jobs_fill_a_lane(struct conformance *c, enum env_lane lane)
{
    bool ordered = lane != ENV_LANE_READ;
    bool all_done = false;
    uint32_t run_count = 0, done_count = 0, busy = 0;
    uint64_t busy_before = c->env->stats.lane_busy[lane];
    uint64_t done_before = c->env->stats.lane_ns[lane].count;
    struct counting_job *jobs = calloc(ENV_LANE_JOBS_MAX, sizeof(*jobs));
    assert_non_null(jobs);
    for (uint32_t i = 0; i < ENV_LANE_JOBS_MAX; i++) {
        jobs[i] = (struct counting_job){
            .job = {.lane = lane, .run = counting_job_run, .done = counting_job_done},
            .number = i,
            .run_count = ordered ? &run_count : NULL,
            .done_count = &done_count,
            .all_done = &all_done,
            .all = ENV_LANE_JOBS_MAX,
        };
        assert_int_equal(env_job_submit(c->env, &jobs[i].job), STATUS_OK);
    }
    struct counting_job more[4];
    for (uint32_t i = 0; i < 4; i++) {
        more[i] = jobs[0];
        if (env_job_submit(c->env, &more[i].job) == STATUS_BUSY)
            busy++;
        else
            for (uint32_t j = 0; j < ENV_LANE_JOBS_MAX; j++)
                jobs[j].all++;
        for (uint32_t j = 0; j < 4; j++)
            more[j].all = jobs[0].all;
    }
    assert_int_equal(done_count, 0);
    run_until(c, &all_done);
    assert_int_equal(done_count, ENV_LANE_JOBS_MAX + 4 - busy);
    assert_int_equal(c->env->stats.lane_busy[lane], busy_before + busy);
    assert_int_equal(c->env->stats.lane_ns[lane].count, done_before + done_count);
    for (uint32_t i = 0; ordered && i < ENV_LANE_JOBS_MAX; i++) {
        assert_int_equal(jobs[i].run_position, i);
        assert_int_equal(jobs[i].done_position, i);
    }
    free(jobs);
}

static inline void jobs_run_and_are_done(void **state)
{
    for (int lane = 0; lane < ENV_LANE_COUNT; lane++)
        jobs_fill_a_lane(*state, (enum env_lane)lane);
}

/* ---- Files; each body runs in a job ---- */

static inline char *path_in(struct conformance *c, char *to, size_t room, const char *name)
{
    int length = snprintf(to, room, "%s/%s", c->directory, name);
    JOB_CHECK(length > 0 && (size_t)length < room);
    return to;
}

#define PATH_ROOM  512
#define PATH(name) path_in(c, (char[PATH_ROOM]){0}, PATH_ROOM, name)

static inline enum status write_text(struct conformance *c, struct env_file *file, uint64_t offset,
                                     const char *text)
{
    struct bytes bytes = bytes_of_text(text);
    return env_file_write(c->env, file, offset, &bytes, 1);
}

static inline bool holds_text(struct conformance *c, struct env_file *file, uint64_t offset,
                              const char *text)
{
    char read[256];
    size_t count = strlen(text);
    return env_file_read(c->env, file, offset, read, count) == STATUS_OK &&
           memcmp(read, text, count) == 0;
}

static inline struct env_file *open_existing(struct conformance *c, const char *path)
{
    struct env_file *file = NULL;
    JOB_CHECK(env_file_open(c->env, path, 0, &file) == STATUS_OK);
    return file;
}

static inline struct env_file *create(struct conformance *c, const char *path)
{
    struct env_file *file = NULL;
    JOB_CHECK(env_file_open(c->env, path, ENV_FILE_CREATE, &file) == STATUS_OK);
    return file;
}

static inline void body_open(struct conformance *c)
{
    struct env_file *file = NULL;
    const char *path = PATH("file");
    JOB_CHECK(env_file_open(c->env, path, 0, &file) == STATUS_NOT_FOUND);
    JOB_CHECK(env_file_open(c->env, path, ENV_FILE_READ_ONLY, &file) == STATUS_NOT_FOUND);
    JOB_CHECK(env_file_open(c->env, PATH("no/file"), ENV_FILE_CREATE, &file) == STATUS_NOT_FOUND);
    JOB_CHECK(file == NULL);
    unsigned once = ENV_FILE_CREATE | ENV_FILE_EXCLUSIVE;
    JOB_CHECK(env_file_open(c->env, path, once, &file) == STATUS_OK);
    uint64_t bytes = 99;
    JOB_CHECK(env_file_size(c->env, file, &bytes) == STATUS_OK && bytes == 0);
    JOB_CHECK(write_text(c, file, 0, "content") == STATUS_OK);
    env_file_close(c->env, file);
    JOB_CHECK(env_file_open(c->env, path, once, &file) == STATUS_EXISTS);
    file = create(c, path); /* as it is */
    JOB_CHECK(holds_text(c, file, 0, "content"));
    env_file_close(c->env, file);
    JOB_CHECK(env_file_open(c->env, path, ENV_FILE_READ_ONLY, &file) == STATUS_OK);
    JOB_CHECK(holds_text(c, file, 0, "content"));
    JOB_CHECK(write_text(c, file, 0, "changed") == STATUS_DENIED);
    JOB_CHECK(env_file_truncate(c->env, file, 0) == STATUS_DENIED);
    JOB_CHECK(holds_text(c, file, 0, "content"));
    env_file_close(c->env, file);
}

static inline void body_content(struct conformance *c)
{
    struct env_file *file = create(c, PATH("file"));
    struct bytes runs[200];
    for (size_t i = 0; i < 200; i++)
        runs[i] = bytes_of("0123456789", i % 4 == 0 ? 0 : 10);
    JOB_CHECK(env_file_write(c->env, file, 3, runs, 200) == STATUS_OK);
    JOB_CHECK(env_file_write(c->env, file, 0, NULL, 0) == STATUS_OK);
    uint64_t bytes = 0;
    JOB_CHECK(env_file_size(c->env, file, &bytes) == STATUS_OK && bytes == 1503);
    JOB_CHECK(holds_text(c, file, 1493, "0123456789"));
    char one;
    JOB_CHECK(env_file_read(c->env, file, 0, &one, 1) == STATUS_OK && one == 0);
    JOB_CHECK(env_file_read(c->env, file, 1503, &one, 0) == STATUS_OK);
    JOB_CHECK(env_file_read(c->env, file, 1503, &one, 1) == STATUS_END);
    char ten[10];
    JOB_CHECK(env_file_read(c->env, file, 1494, ten, 10) == STATUS_END);
    JOB_CHECK(env_file_sync(c->env, file) == STATUS_OK);

    /* Cut and extended: zeros, not what was there. */
    JOB_CHECK(env_file_truncate(c->env, file, 5) == STATUS_OK);
    JOB_CHECK(env_file_truncate(c->env, file, 10) == STATUS_OK);
    JOB_CHECK(env_file_size(c->env, file, &bytes) == STATUS_OK && bytes == 10);
    JOB_CHECK(env_file_read(c->env, file, 0, ten, 10) == STATUS_OK);
    JOB_CHECK(memcmp(ten,
                     "\0\0\0"
                     "01"
                     "\0\0\0\0\0",
                     10) == 0);
    env_file_close(c->env, file);
}

static inline void body_names(struct conformance *c)
{
    struct env_file *file = create(c, PATH("a"));
    JOB_CHECK(write_text(c, file, 0, "first") == STATUS_OK);
    struct env_file *other = create(c, PATH("b"));
    JOB_CHECK(write_text(c, other, 0, "second") == STATUS_OK);
    JOB_CHECK(env_file_rename(c->env, PATH("none"), PATH("b")) == STATUS_NOT_FOUND);
    JOB_CHECK(env_file_rename(c->env, PATH("a"), PATH("no/b")) == STATUS_NOT_FOUND);
    JOB_CHECK(env_file_rename(c->env, PATH("a"), PATH("b")) == STATUS_OK);
    JOB_CHECK(holds_text(c, other, 0, "second")); /* open, without a name */
    JOB_CHECK(holds_text(c, file, 0, "first"));
    env_file_close(c->env, other);
    env_file_close(c->env, file);
    JOB_CHECK(env_file_open(c->env, PATH("a"), 0, &file) == STATUS_NOT_FOUND);
    file = open_existing(c, PATH("b"));
    JOB_CHECK(holds_text(c, file, 0, "first"));
    JOB_CHECK(env_file_remove(c->env, PATH("b")) == STATUS_OK);
    JOB_CHECK(env_file_remove(c->env, PATH("b")) == STATUS_NOT_FOUND);
    JOB_CHECK(write_text(c, file, 0, "still") == STATUS_OK && holds_text(c, file, 0, "still"));
    other = create(c, PATH("b")); /* a new one under the old name */
    uint64_t bytes = 99;
    JOB_CHECK(env_file_size(c->env, other, &bytes) == STATUS_OK && bytes == 0);
    env_file_close(c->env, other);
    env_file_close(c->env, file);
    JOB_CHECK(env_dir_sync(c->env, c->directory) == STATUS_OK);
}

struct names {
    char text[256];
};

static inline void names_add(void *argument, const char *name)
{
    struct names *names = argument;
    size_t length = strlen(names->text);
    snprintf(names->text + length, sizeof(names->text) - length, "%s,", name);
}

static inline void body_directories(struct conformance *c)
{
    struct names names = {{0}};
    JOB_CHECK(env_dir_list(c->env, c->directory, names_add, &names) == STATUS_OK);
    JOB_CHECK(strcmp(names.text, "") == 0);
    JOB_CHECK(env_dir_list(c->env, PATH("sub"), names_add, &names) == STATUS_NOT_FOUND);
    JOB_CHECK(env_dir_sync(c->env, PATH("sub")) == STATUS_NOT_FOUND);
    JOB_CHECK(env_dir_create(c->env, PATH("sub/deep")) == STATUS_NOT_FOUND);
    JOB_CHECK(env_dir_create(c->env, PATH("sub")) == STATUS_OK);
    JOB_CHECK(env_dir_create(c->env, PATH("sub")) == STATUS_EXISTS);
    JOB_CHECK(env_dir_create(c->env, PATH("sub/deep")) == STATUS_OK);
    static const char *const files[] = {"sub/z", "sub/a10",  "sub/a1", "sub/deep/x",
                                        "sub/B", "sub/\xff", "subway"};
    for (size_t i = 0; i < ARRAY_COUNT(files); i++)
        env_file_close(c->env, create(c, PATH(files[i])));
    JOB_CHECK(env_dir_list(c->env, PATH("sub"), names_add, &names) == STATUS_OK);
    JOB_CHECK(strcmp(names.text, "B,a1,a10,deep,z,\xff,") == 0);
    JOB_CHECK(env_dir_sync(c->env, PATH("sub")) == STATUS_OK);
    names.text[0] = 0;
    JOB_CHECK(env_dir_list(c->env, c->directory, names_add, &names) == STATUS_OK);
    JOB_CHECK(strcmp(names.text, "sub,subway,") == 0);
    JOB_CHECK(env_file_remove(c->env, PATH("sub/deep")) == STATUS_DENIED);
    struct env_file *file = NULL;
    JOB_CHECK(env_file_open(c->env, PATH("sub"), ENV_FILE_CREATE, &file) == STATUS_DENIED);
}

static inline void body_locks(struct conformance *c)
{
    struct env_file *first = NULL, *second = NULL, *plain = NULL;
    unsigned lock = ENV_FILE_CREATE | ENV_FILE_LOCK;
    JOB_CHECK(env_file_open(c->env, PATH("lock"), lock, &first) == STATUS_OK);
    JOB_CHECK(env_file_open(c->env, PATH("lock"), lock, &second) == STATUS_LOCKED);
    JOB_CHECK(second == NULL);
    JOB_CHECK(env_file_open(c->env, PATH("lock"), 0, &plain) == STATUS_OK); /* does not ask */
    env_file_close(c->env, plain);
    JOB_CHECK(env_file_open(c->env, PATH("lock"), ENV_FILE_LOCK, &second) == STATUS_LOCKED);
    env_file_close(c->env, first);
    JOB_CHECK(env_file_open(c->env, PATH("lock"), ENV_FILE_LOCK, &second) == STATUS_OK);
    env_file_close(c->env, second);
}

enum { MODEL_BYTES = 400000 };

static inline void model_step(struct conformance *c, struct env_file *file, struct prng *prng,
                              uint8_t *model, uint8_t *scratch, uint64_t *bytes)
{
    uint64_t offset = prng_below(prng, MODEL_BYTES);
    size_t count = (size_t)prng_below(prng, MIN(100000, MODEL_BYTES - offset) + 1);
    if (prng_one_in(prng, 3))
        count = MIN(count, (size_t)100);
    switch (prng_below(prng, 8)) {
    case 0: {
        JOB_CHECK(env_file_truncate(c->env, file, offset) == STATUS_OK);
        if (offset < *bytes)
            memset(model + offset, 0, *bytes - offset);
        *bytes = offset;
        break;
    }
    case 1:
    case 2:
    case 3: {
        uint8_t fill = (uint8_t)prng_below(prng, 4); /* zeros often: they may be holes */
        memset(scratch, fill, count);
        size_t cut = (size_t)prng_below(prng, count + 1);
        struct bytes runs[] = {{scratch, cut}, {scratch + cut, count - cut}};
        JOB_CHECK(env_file_write(c->env, file, offset, runs, 2) == STATUS_OK);
        memset(model + offset, fill, count);
        *bytes = count > 0 ? MAX(*bytes, offset + count) : *bytes;
        break;
    }
    default: {
        enum status expected = count > 0 && offset + count > *bytes ? STATUS_END : STATUS_OK;
        JOB_CHECK(env_file_read(c->env, file, offset, scratch, count) == expected);
        if (expected == STATUS_OK)
            JOB_CHECK(memcmp(scratch, model + offset, count) == 0);
        uint64_t size = 0;
        JOB_CHECK(env_file_size(c->env, file, &size) == STATUS_OK && size == *bytes);
        break;
    }
    }
}

/* Against an array of bytes. */
static inline void body_model(struct conformance *c)
{
    struct prng prng;
    prng_init(&prng, 5);
    uint8_t *model = calloc(1, MODEL_BYTES), *scratch = malloc(MODEL_BYTES);
    JOB_CHECK(model != NULL && scratch != NULL);
    uint64_t bytes = 0;
    struct env_file *file = create(c, PATH("model"));
    for (int i = 0; i < 600; i++)
        model_step(c, file, &prng, model, scratch, &bytes);
    env_file_close(c->env, file);
    free(model);
    free(scratch);
}

static inline void files_open(void **state)
{
    run_in_job(*state, ENV_LANE_BACKGROUND, body_open);
}

static inline void files_hold_their_content(void **state)
{
    run_in_job(*state, ENV_LANE_LOG, body_content);
}

static inline void files_have_names(void **state)
{
    run_in_job(*state, ENV_LANE_READ, body_names);
}

static inline void directories_list_names(void **state)
{
    run_in_job(*state, ENV_LANE_BACKGROUND, body_directories);
}

static inline void files_lock_others_out(void **state)
{
    run_in_job(*state, ENV_LANE_BACKGROUND, body_locks);
}

static inline void files_equal_a_model(void **state)
{
    run_in_job(*state, ENV_LANE_LOG, body_model);
}

/* ---- Streams ---- */

/* A server with one connection at a time. */
struct server {
    struct conformance *c;
    struct env_listener *listener;
    uint16_t port;
    struct env_stream *stream; /* NULL before and after */
    bool accepted, ended, drained, closed;
    enum status end_status;
    bool refuse;     /* close what is accepted */
    bool close_read; /* close at the first bytes */
    bool echo;
    uint8_t *got; /* all that was read */
    size_t got_count, got_wanted;
    size_t queued_bytes;
    bool got_all; /* got_wanted bytes */
};

static inline void server_read(void *owner, struct bytes bytes)
{
    struct server *server = owner;
    assert_non_null(server->stream);
    assert_false(server->ended);
    assert_true(bytes.count > 0);
    server->got = realloc(server->got, server->got_count + bytes.count);
    assert_non_null(server->got);
    memcpy(server->got + server->got_count, bytes.at, bytes.count);
    server->got_count += bytes.count;
    server->got_all = server->got_count >= server->got_wanted;
    if (server->echo)
        assert_int_equal(
            env_stream_write(server->c->env, server->stream, &bytes, 1, &server->queued_bytes),
            STATUS_OK);
    if (server->close_read) {
        env_stream_close(server->c->env, server->stream);
        server->stream = NULL;
    }
}

static inline void server_end(void *owner, enum status status)
{
    struct server *server = owner;
    assert_non_null(server->stream);
    assert_false(server->ended);
    server->ended = true;
    server->end_status = status;
}

static inline void server_drain(void *owner)
{
    struct server *server = owner;
    assert_non_null(server->stream);
    server->queued_bytes = 0;
    server->drained = true;
}

static inline void server_closed(void *owner)
{
    struct server *server = owner;
    assert_null(server->stream);
    assert_false(server->closed);
    server->closed = true;
}

static const struct env_stream_events server_stream_events = {
    .on_read = server_read,
    .on_end = server_end,
    .on_drain = server_drain,
    .on_closed = server_closed,
};

static inline void server_accept(void *owner, struct env_stream *stream)
{
    struct server *server = owner;
    assert_null(server->stream);
    server->accepted = true;
    if (server->refuse) {
        env_stream_close(server->c->env, stream);
        return;
    }
    server->closed = server->ended = server->drained = false;
    server->stream = stream;
    env_stream_start(server->c->env, stream, &server_stream_events, server);
}

static const struct env_listener_events server_events = {.on_accept = server_accept};

static inline void server_open(struct server *server, struct conformance *c)
{
    *server = (struct server){.c = c, .got_wanted = 1};
    assert_int_equal(env_listen(c->env, "127.0.0.1", 0, &server_events, server, &server->listener),
                     STATUS_OK);
    server->port = env_listener_port(c->env, server->listener);
    assert_true(server->port != 0);
}

static inline struct conformance_peer *server_connect(struct server *server)
{
    server->accepted = false;
    struct conformance_peer *peer = server->c->peer_connect(server->c, server->port);
    assert_non_null(peer);
    run_until(server->c, &server->accepted);
    return peer;
}

static inline void server_stream_close(struct server *server)
{
    env_stream_close(server->c->env, server->stream);
    server->stream = NULL;
    assert_false(server->closed);
    run_until(server->c, &server->closed);
}

static inline void server_close(struct server *server)
{
    if (server->stream != NULL)
        server_stream_close(server);
    env_listener_close(server->c->env, server->listener);
    free(server->got);
}

static inline enum status server_write(struct server *server, const struct bytes *runs,
                                       size_t run_count)
{
    return env_stream_write(server->c->env, server->stream, runs, run_count, &server->queued_bytes);
}

struct received {
    struct conformance_peer *peer;
    size_t count;
};

static inline bool has_received(void *argument)
{
    struct received *received = argument;
    return received->peer->received_count >= received->count;
}

static inline void run_until_received(struct conformance *c, struct conformance_peer *peer,
                                      size_t count)
{
    struct received received = {peer, count};
    assert_true(c->run(c, has_received, &received));
    assert_int_equal(peer->received_count, count);
}

static inline uint8_t *pattern_make(size_t count, uint64_t seed)
{
    uint8_t *bytes = malloc(count);
    assert_non_null(bytes);
    struct prng prng;
    prng_init(&prng, seed);
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)prng_u64(&prng);
    return bytes;
}

static inline void streams_carry_bytes_both_ways(void **state)
{
    struct conformance *c = *state;
    struct server server;
    server_open(&server, c);
    struct conformance_peer *peer = server_connect(&server);
    enum { COUNT = 300000 };
    uint8_t *there = pattern_make(COUNT, 1);
    server.echo = true;
    server.got_wanted = COUNT;
    c->peer_send(c, peer, bytes_of(there, 1000));
    c->peer_send(c, peer, bytes_of(there + 1000, COUNT - 1000));
    run_until(c, &server.got_all);
    assert_int_equal(server.got_count, COUNT);
    assert_memory_equal(server.got, there, COUNT);
    run_until_received(c, peer, COUNT);
    assert_memory_equal(peer->received, there, COUNT);

    /* Runs of all lengths, none included, arrive as one. */
    struct bytes runs[40];
    size_t at = 0;
    for (size_t i = 0; i < 40; i++) {
        runs[i] = bytes_of(there + at, i % 3 == 0 ? 0 : i * 7);
        at += runs[i].count;
    }
    assert_int_equal(server_write(&server, runs, 40), STATUS_OK);
    assert_int_equal(server_write(&server, runs, 1), STATUS_OK);
    assert_int_equal(server_write(&server, NULL, 0), STATUS_OK);
    run_until_received(c, peer, COUNT + at);
    assert_memory_equal(peer->received + COUNT, there, at);
    free(there);
    c->peer_close(c, peer);
    server_close(&server);
}

static inline void streams_queue_and_drain(void **state)
{
    struct conformance *c = *state;
    struct server server;
    server_open(&server, c);
    struct conformance_peer *peer = server_connect(&server);
    c->peer_pause(c, peer);
    enum { PIECE = 1 << 20, PIECES = 12 };
    uint8_t *bytes = pattern_make(PIECE, 2);
    for (int i = 0; i < PIECES; i++) {
        struct bytes runs[] = {{bytes, 100}, {bytes + 100, PIECE - 100}};
        size_t before = server.queued_bytes;
        assert_int_equal(server_write(&server, runs, 2), STATUS_OK);
        assert_true(server.queued_bytes <= before + PIECE);
    }
    assert_true(server.queued_bytes > 0);
    assert_false(server.drained);
    run_for(c, 2 * MS);
    assert_false(server.drained); /* nobody takes it */
    c->peer_resume(c, peer);
    run_until(c, &server.drained);
    run_until_received(c, peer, (size_t)PIECE * PIECES);
    for (int i = 0; i < PIECES; i++)
        assert_memory_equal(peer->received + (size_t)i * PIECE, bytes, PIECE);
    free(bytes);
    c->peer_close(c, peer);
    server_close(&server);
}

static inline void streams_pause(void **state)
{
    struct conformance *c = *state;
    struct server server;
    server_open(&server, c);
    struct conformance_peer *peer = server_connect(&server);
    env_stream_pause(c->env, server.stream);
    env_stream_pause(c->env, server.stream);
    c->peer_send(c, peer, BYTES("hello"));
    c->peer_finish(c, peer);
    run_for(c, 5 * MS);
    assert_int_equal(server.got_count, 0);
    assert_false(server.ended);
    env_stream_resume(c->env, server.stream);
    assert_int_equal(server.got_count, 0); /* never inside the call */
    run_until(c, &server.ended);
    assert_int_equal(server.got_count, 5);
    assert_int_equal(server.end_status, STATUS_END);
    env_stream_resume(c->env, server.stream); /* nothing comes any more */
    run_for(c, 2 * MS);
    c->peer_close(c, peer);
    server_close(&server);
}

static inline bool peer_ended(void *argument)
{
    return ((struct conformance_peer *)argument)->ended;
}

static inline void streams_end_and_close(void **state)
{
    struct conformance *c = *state;
    struct server server;
    server_open(&server, c);
    struct conformance_peer *peer = server_connect(&server);
    c->peer_send(c, peer, BYTES("last words"));
    c->peer_finish(c, peer);
    run_until(c, &server.ended);
    assert_int_equal(server.end_status, STATUS_END);
    assert_int_equal(server.got_count, 10);
    /* The other direction is still open. */
    struct bytes answer = BYTES("answer");
    assert_int_equal(server_write(&server, &answer, 1), STATUS_OK);
    run_until_received(c, peer, 6);
    assert_false(peer->ended);
    server_stream_close(&server);
    assert_true(c->run(c, peer_ended, peer));
    c->peer_close(c, peer);

    /* Closed where the bytes come in; only on_closed follows. */
    server.close_read = true;
    peer = server_connect(&server);
    c->peer_send(c, peer, BYTES("one"));
    run_until(c, &server.closed);
    assert_true(c->run(c, peer_ended, peer));
    c->peer_close(c, peer);

    /* Closed without being started: no callback at all. */
    server.refuse = true;
    server.closed = false;
    peer = server_connect(&server);
    assert_true(c->run(c, peer_ended, peer));
    assert_false(server.closed);
    c->peer_close(c, peer);
    server_close(&server);
}

struct breaking {
    struct server *server;
    enum status status;
    uint8_t block[100000];
};

static inline bool write_until_closed(void *argument)
{
    struct breaking *breaking = argument;
    struct bytes bytes = bytes_of(breaking->block, sizeof(breaking->block));
    if (breaking->server->queued_bytes == 0)
        breaking->status = server_write(breaking->server, &bytes, 1);
    return breaking->status != STATUS_OK;
}

static inline void streams_break(void **state)
{
    struct conformance *c = *state;
    struct server server;
    server_open(&server, c);
    struct conformance_peer *peer = server_connect(&server);
    c->peer_close(c, peer);
    run_until(c, &server.ended);
    static struct breaking breaking;
    breaking = (struct breaking){.server = &server};
    assert_true(c->run(c, write_until_closed, &breaking));
    assert_int_equal(breaking.status, STATUS_CLOSED);
    struct bytes more = BYTES("more");
    assert_int_equal(server_write(&server, &more, 1), STATUS_CLOSED);
    server_close(&server);

    /* A queue that will never go counts as drained. */
    server_open(&server, c);
    peer = server_connect(&server);
    c->peer_pause(c, peer);
    struct bytes block = bytes_of(breaking.block, sizeof(breaking.block));
    for (int i = 0; i < 200 && server.queued_bytes < 1000000; i++)
        assert_int_equal(server_write(&server, &block, 1), STATUS_OK);
    assert_true(server.queued_bytes >= 1000000);
    env_stream_pause(c->env, server.stream);
    c->peer_close(c, peer);
    run_until(c, &server.drained);
    assert_int_equal(server_write(&server, &more, 1), STATUS_CLOSED);
    server_close(&server);
}

static inline void listeners_hold_their_port(void **state)
{
    struct conformance *c = *state;
    struct server server;
    server_open(&server, c);
    struct env_listener *second = NULL;
    assert_int_equal(env_listen(c->env, "127.0.0.1", server.port, &server_events, &server, &second),
                     STATUS_EXISTS);
    assert_null(second);
    struct conformance_peer *peer = server_connect(&server);
    env_listener_close(c->env, server.listener);

    /* What was accepted lives on; nothing new comes in. */
    struct bytes hello = BYTES("hello");
    assert_int_equal(server_write(&server, &hello, 1), STATUS_OK);
    run_until_received(c, peer, 5);
    server.accepted = false;
    struct conformance_peer *late = c->peer_connect(c, server.port);
    assert_true(late == NULL || c->run(c, peer_ended, late));
    assert_false(server.accepted);
    if (late != NULL)
        c->peer_close(c, late);

    /* The port is free again, although a connection of its time lives. */
    assert_int_equal(
        env_listen(c->env, "127.0.0.1", server.port, &server_events, &server, &server.listener),
        STATUS_OK);
    assert_int_equal(env_listener_port(c->env, server.listener), server.port);
    server_stream_close(&server);
    c->peer_close(c, peer);
    peer = server_connect(&server);
    c->peer_close(c, peer);
    run_until(c, &server.ended);
    server_close(&server);
}

/* ---- All of them ---- */

static inline int conformance_setup(void **state)
{
    struct conformance *c = *state;
    c->open(c);
    return 0;
}

static inline int conformance_teardown(void **state)
{
    struct conformance *c = *state;
    c->close(c);
    return 0;
}

/* Run all tests against the binding; the number that failed. */
static inline int conformance_main(struct conformance *c, const char *name)
{
#define CONFORMANCE_TEST(test)                                                                     \
    cmocka_unit_test_prestate_setup_teardown(test, conformance_setup, conformance_teardown, c)
    const struct CMUnitTest tests[] = {
        CONFORMANCE_TEST(clock_never_goes_back),
        CONFORMANCE_TEST(random_differs),
        CONFORMANCE_TEST(tasks_run_once_in_order),
        CONFORMANCE_TEST(tasks_leave_room_for_events),
        CONFORMANCE_TEST(timers_fire_in_order),
        CONFORMANCE_TEST(timers_stop_and_move),
        CONFORMANCE_TEST(timers_obey_the_rule_at_random),
        CONFORMANCE_TEST(jobs_run_and_are_done),
        CONFORMANCE_TEST(files_open),
        CONFORMANCE_TEST(files_hold_their_content),
        CONFORMANCE_TEST(files_have_names),
        CONFORMANCE_TEST(directories_list_names),
        CONFORMANCE_TEST(files_lock_others_out),
        CONFORMANCE_TEST(files_equal_a_model),
        CONFORMANCE_TEST(streams_carry_bytes_both_ways),
        CONFORMANCE_TEST(streams_queue_and_drain),
        CONFORMANCE_TEST(streams_pause),
        CONFORMANCE_TEST(streams_end_and_close),
        CONFORMANCE_TEST(streams_break),
        CONFORMANCE_TEST(listeners_hold_their_port),
    };
#undef CONFORMANCE_TEST
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

#endif
