/* env.h - the world as a parameter: clocks, randomness, timers, workers, files and byte streams.
 *
 * All that is not computation is reached through a `struct env`.  env/uv binds it to the operating
 * system, env/sim to virtual time and faulty disks and links.  One conformance suite runs against
 * both (tests/unit/env).
 *
 * Rules of both bindings
 *   (1) One loop, one thread: every function is called on the loop's thread, but for the file
 *       functions, which block and are called only inside a job's `run` (see struct env_job).
 *   (2) Completions run from the loop, never inside the call that asked for them.
 *   (3) Equal deadlines fire in the order in which they were started.
 *   (4) A call that returns an error never runs its callback.
 *   (5) Every queue has a bound, and answers STATUS_BUSY at it.
 */
#ifndef ENV_ENV_H
#define ENV_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/compiler.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/status.h"

struct env;
struct env_file;
struct env_listener;
struct env_stream;
struct fiber_pool;

/* ---- Timers and tasks: embedded in their owner ---- */

struct env_timer {
    void (*fire)(struct env_timer *timer); /* set by the owner before env_timer_start */
    uint64_t due_ns;                       /* read-only: when it fires, on the monotonic clock */
    void *binding[6];                      /* the binding's own; zero before the first start */
};

/* Runs once from the loop, after what is running now and before the loop waits.  A task that is
 * deferred while tasks run waits for the next turn: events come between.  The owner takes a waiting
 * task back by list_remove(&task->link). */
struct env_task {
    struct list link; /* list_init before the first use */
    void (*run)(struct env_task *task);
};

/* ---- Jobs: blocking work, off the loop ---- */

enum env_lane {
    ENV_LANE_LOG,        /* write + sync of one log batch; one thread */
    ENV_LANE_READ,       /* cold pages; several threads */
    ENV_LANE_BACKGROUND, /* checkpoint, compression, start-up, listing; one thread */
    ENV_LANE_COUNT
};

#define ENV_LANE_JOBS_MAX 1024u /* jobs waiting in one lane; beyond it STATUS_BUSY */

/* Embedded in its owner, which keeps it, and all memory that it refers to, until `done` has run.
 * `run` may call the file functions below and compute on memory that the job owns, and nothing
 * else: no heap, no other env function, no structure of the loop.  In the simulator `run` is on a
 * stack of its own that takes virtual time in each file function, and may end for ever in one of
 * them when the node crashes. */
struct env_job {
    struct list link;
    enum env_lane lane;
    void (*run)(struct env_job *job);
    void (*done)(struct env_job *job); /* on the loop */
    struct env *env;                   /* set by env_job_submit */
    uint64_t submitted_ns;             /* the binding's */
    void *waiter;                      /* who waits in context_run_job; env/fiber.c's */
};

/* ---- Files: blocking, only inside a job ---- */

enum env_file_flags {
    ENV_FILE_READ_ONLY = 1,
    ENV_FILE_CREATE = 2,    /* create when absent; the directory is not synced by that */
    ENV_FILE_EXCLUSIVE = 4, /* with CREATE: STATUS_EXISTS when present */
    ENV_FILE_LOCK = 8, /* lock against other processes for as long as it is open: STATUS_LOCKED */
};

/* ---- Streams: connections of clients ---- */

/* Callbacks of one stream; all from the loop.  `owner` is what env_stream_start was given. */
struct env_stream_events {
    /* `bytes` arrived: borrowed for the call.  */
    void (*on_read)(void *owner, struct bytes bytes);
    /* The peer will send no more (END: it may still read) or the stream broke (IO).  Nothing is
     * read after it; the owner still closes the stream. */
    void (*on_end)(void *owner, enum status status);
    /* Bytes that env_stream_write had to queue have all gone, or never will, because the stream
     * broke: then the next write answers CLOSED. */
    void (*on_drain)(void *owner);
    /* After env_stream_close, from the loop: nothing refers to the stream or to `owner` any more.
     * Not called for a stream that was never started. */
    void (*on_closed)(void *owner);
};

struct env_listener_events {
    /* A connection came.  The callee takes it: env_stream_start or env_stream_close. */
    void (*on_accept)(void *owner, struct env_stream *stream);
};

/* ---- What the binding counts ---- */

struct env_stats {
    struct histogram turn_ns; /* loop turns: from the return of the wait to the next wait */
    struct histogram lane_ns[ENV_LANE_COUNT]; /* submission to completion of jobs */
    uint64_t lane_busy[ENV_LANE_COUNT];       /* submissions refused at the bound */
};

struct env_ops {
    uint64_t (*now_ns)(struct env *env);
    uint64_t (*wall_ns)(struct env *env);
    void (*random)(struct env *env, void *to, size_t count);

    void (*timer_start)(struct env *env, struct env_timer *timer, uint64_t delay_ns);
    void (*timer_stop)(struct env *env, struct env_timer *timer);
    void (*defer)(struct env *env, struct env_task *task);
    enum status (*job_submit)(struct env *env, struct env_job *job);

    enum status (*file_open)(struct env *env, const char *path, unsigned flags,
                             struct env_file **file);
    void (*file_close)(struct env *env, struct env_file *file);
    enum status (*file_size)(struct env *env, struct env_file *file, uint64_t *bytes);
    enum status (*file_read)(struct env *env, struct env_file *file, uint64_t offset, void *to,
                             size_t count);
    enum status (*file_write)(struct env *env, struct env_file *file, uint64_t offset,
                              const struct bytes *runs, size_t run_count);
    enum status (*file_sync)(struct env *env, struct env_file *file);
    enum status (*file_truncate)(struct env *env, struct env_file *file, uint64_t bytes);
    enum status (*file_remove)(struct env *env, const char *path);
    enum status (*file_rename)(struct env *env, const char *from, const char *to);
    enum status (*dir_create)(struct env *env, const char *path);
    enum status (*dir_sync)(struct env *env, const char *path);
    enum status (*dir_list)(struct env *env, const char *path,
                            void (*each)(void *argument, const char *name), void *argument);

    enum status (*listen)(struct env *env, const char *host, uint16_t port,
                          const struct env_listener_events *events, void *owner,
                          struct env_listener **listener);
    uint16_t (*listener_port)(struct env *env, struct env_listener *listener);
    void (*listener_close)(struct env *env, struct env_listener *listener);
    void (*stream_start)(struct env *env, struct env_stream *stream,
                         const struct env_stream_events *events, void *owner);
    void (*stream_pause)(struct env *env, struct env_stream *stream);
    void (*stream_resume)(struct env *env, struct env_stream *stream);
    enum status (*stream_write)(struct env *env, struct env_stream *stream,
                                const struct bytes *runs, size_t run_count, size_t *queued_bytes);
    void (*stream_close)(struct env *env, struct env_stream *stream);
};

/* Embedded as the first member of a binding's own struct. */
struct env {
    const struct env_ops *ops;
    /* File functions for what lies outside the node, such as files that an operator names: those of
     * `ops`, but also the machine's own when the node's are in RAM.  Only to read. */
    const struct env_ops *outside;
    struct heap *heap; /* all memory of the node */
    struct log *log;
    struct fiber_pool *fibers; /* see env/fiber.h */
    struct env_stats stats;
    bool simulated;         /* a simulation: BUGGIFY may choose what is legal but rude */
    int64_t wall_offset_ns; /* see wall_now_ns; 0 unless a tester has moved the clock */
#ifdef TRINE_DEBUG
    unsigned bugs; /* seeded bugs that are switched on, see env/bugs.h */
#endif
};

/* Monotonic nanoseconds; counts suspended time where the system has such a clock. */
static inline uint64_t env_now_ns(struct env *env)
{
    return env->ops->now_ns(env);
}

/* Nanoseconds since 1970-01-01 UTC; may jump, and may stand still while a turn of the loop lasts.
 * Nothing's correctness rests on it. */
static inline uint64_t env_wall_ns(struct env *env)
{
    return env->ops->wall_ns(env);
}

/* What time it is for all that clients see of time passing: items that expire, tokens and iterators
 * that do, records that are kept for a day, dates in descriptions.  The wall clock, moved by what a
 * tester has set (wall_offset_ns).  In nanoseconds since 1970-01-01 UTC; may jump, also back.
 * Signatures, log lines and the log's own clocks go by env_wall_ns. */
static inline uint64_t wall_now_ns(struct env *env)
{
    uint64_t wall_ns = env->ops->wall_ns(env);
    uint64_t offset_ns = (uint64_t)env->wall_offset_ns; /* modulo 2^64, as the sum */
    uint64_t now_ns = wall_ns + offset_ns;
    if (env->wall_offset_ns < 0)
        return now_ns <= wall_ns ? now_ns : 0;
    return now_ns >= wall_ns ? now_ns : UINT64_MAX;
}

static inline void env_random(struct env *env, void *to, size_t count)
{
    env->ops->random(env, to, count);
}

static inline uint64_t env_random_u64(struct env *env)
{
    uint64_t value;
    env->ops->random(env, &value, sizeof(value));
    return value;
}

/* Fire `timer` after delay_ns; a timer that runs already is moved. */
static inline void env_timer_start(struct env *env, struct env_timer *timer, uint64_t delay_ns)
{
    env->ops->timer_start(env, timer, delay_ns);
}

/* Harmless on a timer that does not run.  After it the owner may free the timer. */
static inline void env_timer_stop(struct env *env, struct env_timer *timer)
{
    env->ops->timer_stop(env, timer);
}

/* Run `task` once, from the loop; harmless when it waits already. */
static inline void env_defer(struct env *env, struct env_task *task)
{
    env->ops->defer(env, task);
}

/* Hand `job` to its lane.
 *   STATUS_BUSY  the lane holds ENV_LANE_JOBS_MAX jobs; nothing happened */
MUST_USE static inline enum status env_job_submit(struct env *env, struct env_job *job)
{
    return env->ops->job_submit(env, job);
}

/* ---- File functions: block; only inside a job's run ----
 *   STATUS_IO, STATUS_NO_SPACE, STATUS_DENIED (also: a write to a file that was opened READ_ONLY),
 *   STATUS_NOT_FOUND as the system says.  After a failed write or sync the content of the range is
 *   undefined. */

MUST_USE static inline enum status env_file_open(struct env *env, const char *path, unsigned flags,
                                                 struct env_file **file)
{
    return env->ops->file_open(env, path, flags, file);
}

static inline void env_file_close(struct env *env, struct env_file *file)
{
    env->ops->file_close(env, file);
}

MUST_USE static inline enum status env_file_size(struct env *env, struct env_file *file,
                                                 uint64_t *bytes)
{
    return env->ops->file_size(env, file, bytes);
}

/* Read exactly `count` bytes.
 *   STATUS_END  the file ends before; the content of `to` is undefined */
MUST_USE static inline enum status env_file_read(struct env *env, struct env_file *file,
                                                 uint64_t offset, void *to, size_t count)
{
    return env->ops->file_read(env, file, offset, to, count);
}

/* Write the runs one after the other from `offset`; extends the file where needed. */
MUST_USE static inline enum status env_file_write(struct env *env, struct env_file *file,
                                                  uint64_t offset, const struct bytes *runs,
                                                  size_t run_count)
{
    return env->ops->file_write(env, file, offset, runs, run_count);
}

/* Make the file's content and size durable (fdatasync). */
MUST_USE static inline enum status env_file_sync(struct env *env, struct env_file *file)
{
    return env->ops->file_sync(env, file);
}

MUST_USE static inline enum status env_file_truncate(struct env *env, struct env_file *file,
                                                     uint64_t bytes)
{
    return env->ops->file_truncate(env, file, bytes);
}

/* Files only: STATUS_DENIED for a directory.  Who has it open keeps it until it is closed. */
MUST_USE static inline enum status env_file_remove(struct env *env, const char *path)
{
    return env->ops->file_remove(env, path);
}

/* Rename a file; one that is at `to` is replaced. */
MUST_USE static inline enum status env_file_rename(struct env *env, const char *from,
                                                   const char *to)
{
    return env->ops->file_rename(env, from, to);
}

/* Create a directory (one level).  STATUS_EXISTS when it is there. */
MUST_USE static inline enum status env_dir_create(struct env *env, const char *path)
{
    return env->ops->dir_create(env, path);
}

/* Make creations, removals and renames in the directory durable. */
MUST_USE static inline enum status env_dir_sync(struct env *env, const char *path)
{
    return env->ops->dir_sync(env, path);
}

/* Call `each` with every name in the directory but "." and "..", sorted by bytes. */
MUST_USE static inline enum status env_dir_list(struct env *env, const char *path,
                                                void (*each)(void *argument, const char *name),
                                                void *argument)
{
    return env->ops->dir_list(env, path, each, argument);
}

/* ---- Streams ---- */

/* Listen on host:port; port 0 lets the system choose.  `host` is an address, or a name that the
 * system knows: then on all its addresses ("localhost": 127.0.0.1 and ::1).
 *   STATUS_EXISTS   the port is in use
 *   STATUS_INVALID  no such host, or not an address of this machine
 *   STATUS_DENIED   the port is not for this user */
MUST_USE static inline enum status env_listen(struct env *env, const char *host, uint16_t port,
                                              const struct env_listener_events *events, void *owner,
                                              struct env_listener **listener)
{
    return env->ops->listen(env, host, port, events, owner, listener);
}

static inline uint16_t env_listener_port(struct env *env, struct env_listener *listener)
{
    return env->ops->listener_port(env, listener);
}

/* Accept nothing more; the listener is gone after the call. */
static inline void env_listener_close(struct env *env, struct env_listener *listener)
{
    env->ops->listener_close(env, listener);
}

/* Begin to read; `events` live as long as the stream. */
static inline void env_stream_start(struct env *env, struct env_stream *stream,
                                    const struct env_stream_events *events, void *owner)
{
    env->ops->stream_start(env, stream, events, owner);
}

/* Stop and go on reading: back-pressure.  No on_read or on_end comes while paused. */
static inline void env_stream_pause(struct env *env, struct env_stream *stream)
{
    env->ops->stream_pause(env, stream);
}

static inline void env_stream_resume(struct env *env, struct env_stream *stream)
{
    env->ops->stream_resume(env, stream);
}

/* Send the runs, in order, at once as far as the peer takes them; the rest is copied and sent
 * later, and *queued_bytes says how much waits now in all.  When it is not 0, on_drain comes when
 * all has gone.
 *   STATUS_CLOSED     the stream broke: what it did not take is lost, and so is all that follows
 *   STATUS_NO_MEMORY  the rest could not be copied; the stream is unusable, close it */
MUST_USE static inline enum status env_stream_write(struct env *env, struct env_stream *stream,
                                                    const struct bytes *runs, size_t run_count,
                                                    size_t *queued_bytes)
{
    return env->ops->stream_write(env, stream, runs, run_count, queued_bytes);
}

/* Close at once, unsent bytes included; only on_closed comes after it. */
static inline void env_stream_close(struct env *env, struct env_stream *stream)
{
    env->ops->stream_close(env, stream);
}

#endif
