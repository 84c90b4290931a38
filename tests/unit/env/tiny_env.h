/* tiny_env.h - an env of a few lines for tests of what stands above it: a clock that moves when
 * told, timers, tasks and jobs, no files and no streams.  It needs nothing but base/. */
#ifndef TESTS_TINY_ENV_H
#define TESTS_TINY_ENV_H

#include "base/assert.h"
#include "base/prng.h"
#include "env/env.h"

struct tiny_env {
    struct env env; /* first */
    struct heap heap;
    struct log log;
    uint64_t now_ns;
    struct prng prng;
    struct list tasks;
    struct list jobs;
    struct env_timer *timers[4096];
    uint32_t timer_count;
    uint64_t timer_starts; /* in all */
    uint32_t jobs_max;
};

static inline struct tiny_env *tiny_of(struct env *env)
{
    return (struct tiny_env *)env;
}

static inline uint64_t tiny_now_ns(struct env *env)
{
    return tiny_of(env)->now_ns;
}

static inline void tiny_random(struct env *env, void *to, size_t count)
{
    for (uint8_t *at = to; count > 0; count--)
        *at++ = (uint8_t)prng_u64(&tiny_of(env)->prng);
}

static inline void tiny_timer_stop(struct env *env, struct env_timer *timer)
{
    struct tiny_env *tiny = tiny_of(env);
    for (uint32_t i = 0; i < tiny->timer_count; i++) {
        if (tiny->timers[i] != timer)
            continue;
        tiny->timer_count--;
        for (; i < tiny->timer_count; i++)
            tiny->timers[i] = tiny->timers[i + 1];
        return;
    }
}

/* Sorted by time, equal ones in the order of their start. */
static inline void tiny_timer_start(struct env *env, struct env_timer *timer, uint64_t delay_ns)
{
    struct tiny_env *tiny = tiny_of(env);
    tiny_timer_stop(env, timer);
    timer->due_ns = tiny->now_ns + delay_ns;
    uint32_t at = tiny->timer_count++;
    ASSERT(at < ARRAY_COUNT(tiny->timers));
    for (; at > 0 && tiny->timers[at - 1]->due_ns > timer->due_ns; at--)
        tiny->timers[at] = tiny->timers[at - 1];
    tiny->timers[at] = timer;
    tiny->timer_starts++;
}

static inline void tiny_defer(struct env *env, struct env_task *task)
{
    if (list_empty(&task->link))
        list_push_back(&tiny_of(env)->tasks, &task->link);
}

static inline enum status tiny_job_submit(struct env *env, struct env_job *job)
{
    if (tiny_of(env)->jobs_max == 0)
        return STATUS_BUSY;
    tiny_of(env)->jobs_max--;
    job->env = env;
    list_push_back(&tiny_of(env)->jobs, &job->link);
    return STATUS_OK;
}

/* One turn: due timers, the jobs submitted before, the tasks that wait.  False when nothing ran. */
static inline bool tiny_turn(struct tiny_env *tiny)
{
    bool ran = false;
    while (tiny->timer_count > 0 && tiny->timers[0]->due_ns <= tiny->now_ns) {
        struct env_timer *timer = tiny->timers[0];
        tiny_timer_stop(&tiny->env, timer);
        timer->fire(timer);
        ran = true;
    }
    struct list batch;
    list_init(&batch);
    list_append_all(&batch, &tiny->jobs);
    for (struct list *node; (node = list_pop_front(&batch)) != NULL; ran = true) {
        struct env_job *job = LIST_ITEM(node, struct env_job, link);
        job->run(job);
        tiny->jobs_max++;
        job->done(job);
    }
    list_append_all(&batch, &tiny->tasks);
    for (struct list *node; (node = list_pop_front(&batch)) != NULL; ran = true) {
        struct env_task *task = LIST_ITEM(node, struct env_task, link);
        task->run(task);
    }
    return ran;
}

/* Turn until nothing is left but timers in the future. */
static inline void tiny_settle(struct tiny_env *tiny)
{
    while (tiny_turn(tiny))
        continue;
}

static inline void tiny_advance(struct tiny_env *tiny, uint64_t by_ns)
{
    tiny->now_ns += by_ns;
    tiny_settle(tiny);
}

static inline void tiny_log_write(void *sink, enum log_level level, struct bytes line)
{
    (void)sink;
    (void)level;
    (void)line;
}

static inline void tiny_open(struct tiny_env *tiny)
{
    static const struct env_ops ops = {
        .now_ns = tiny_now_ns,
        .wall_ns = tiny_now_ns,
        .random = tiny_random,
        .timer_start = tiny_timer_start,
        .timer_stop = tiny_timer_stop,
        .defer = tiny_defer,
        .job_submit = tiny_job_submit,
    };
    *tiny = (struct tiny_env){.now_ns = 1000, .jobs_max = ENV_LANE_JOBS_MAX};
    heap_init(&tiny->heap, false);
    prng_init(&tiny->prng, 1);
    list_init(&tiny->tasks);
    list_init(&tiny->jobs);
    tiny->log.write = tiny_log_write;
    tiny->env.ops = &ops;
    tiny->env.heap = &tiny->heap;
    tiny->env.log = &tiny->log;
}

#endif
