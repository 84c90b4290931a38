/* conformance_binding.h - what the conformance suite wants from a binding, and what its tests
 * share. */
#ifndef TESTS_CONFORMANCE_BINDING_H
#define TESTS_CONFORMANCE_BINDING_H

#include "unit/cmocka_headers.h"

#include <stdio.h>
#include <stdlib.h>

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

#endif
