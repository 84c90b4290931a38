/* conformance_loop.h - promises on clocks, randomness, tasks, timers and jobs. */
#ifndef TESTS_CONFORMANCE_LOOP_H
#define TESTS_CONFORMANCE_LOOP_H

#include "unit/env/conformance_binding.h"

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

/* A tester's clock is the wall clock, moved; it neither wraps nor goes below 1970. */
static inline void wall_now_is_moved_by_its_offset(void **state)
{
    struct conformance *c = *state;
    uint64_t before_ns = env_wall_ns(c->env);
    assert_true(wall_now_ns(c->env) >= before_ns);
    c->env->wall_offset_ns = INT64_C(86400) * 1000000000;
    assert_true(wall_now_ns(c->env) >= before_ns + UINT64_C(86400) * 1000000000);
    c->env->wall_offset_ns = -INT64_C(1000000000);
    assert_true(wall_now_ns(c->env) < env_wall_ns(c->env));
    c->env->wall_offset_ns = INT64_MIN;
    assert_int_equal(wall_now_ns(c->env), 0);
    c->env->wall_offset_ns = INT64_MAX;
    assert_true(wall_now_ns(c->env) > INT64_MAX);
    c->env->wall_offset_ns = 0;
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

#endif
