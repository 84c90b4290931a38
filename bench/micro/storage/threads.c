/* threads.c - workers that are threads. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "engine.h"

#define THREADS_MAX 64u

struct started {
    struct worker worker;
    worker_body *body;
    void *argument;
    pthread_t thread;
};

static void *start(void *argument)
{
    struct started *started = argument;
    started->body(&started->worker, started->argument);
    return NULL;
}

void threads_run(const struct engine_type *type, worker_body *body, void *argument)
{
    struct worker worker = {.type = type};
    body(&worker, argument);
}

void threads_fork(struct worker *worker, worker_body *const *bodies, unsigned count, void *argument)
{
    struct started started[THREADS_MAX];
    if (count > THREADS_MAX)
        bench_fail("threads", "too many");
    for (unsigned i = 0; i < count; i++) {
        started[i] = (struct started){
            .worker = {.type = worker->type}, .body = bodies[i], .argument = argument};
        if (pthread_create(&started[i].thread, NULL, start, &started[i]) != 0)
            bench_fail("threads", "cannot make one");
    }
    for (unsigned i = 0; i < count; i++)
        (void)pthread_join(started[i].thread, NULL);
}

void threads_wait(struct worker *worker, uint64_t until_ns, bool asleep)
{
    (void)worker;
    if (!asleep) {
        while (bench_now_ns() < until_ns)
            (void)sched_yield();
        return;
    }
    struct timespec until = {.tv_sec = (time_t)(until_ns / 1000000000u),
                             .tv_nsec = (long)(until_ns % 1000000000u)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        continue;
}
