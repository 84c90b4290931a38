/* uv_env_private.h - what the files of env/uv share. */
#ifndef ENV_UV_UV_ENV_PRIVATE_H
#define ENV_UV_UV_ENV_PRIVATE_H

#include "base/assert.h"
#include "env/uv/ram_files.h"
#include "env/uv/uv_env.h"

#include <uv.h> /* last: <sys/param.h> has MIN and MAX too */

#define LANE_THREADS_MAX  8u
#define LANE_STACK_BYTES  (256u * 1024u) /* of a worker's thread; touched pages alone count */
#define READ_BUFFER_BYTES 65536u         /* one for all streams */
#define RANDOM_BYTES      256u

struct env_uv_lane {
    struct env_uv *uv;
    uv_mutex_t mutex; /* over the fields below */
    uv_cond_t wanted;
    struct list waiting; /* jobs, oldest first */
    uint32_t waiting_count;
    uint32_t idle_count;   /* threads that wait for a job */
    uint32_t thread_count; /* threads started */
    uint32_t threads_max;
    bool stopping;
    uv_thread_t threads[LANE_THREADS_MAX];
};

struct env_uv {
    struct env env; /* first */
    struct heap heap;
    struct env_uv_options options;
    uv_loop_t loop;
    uv_thread_t loop_thread;

    /* Turns: see uv_env.c. */
    uv_prepare_t before_wait;
    uv_check_t after_wait;
    uv_idle_t do_not_wait; /* started while something is to be done at once */
    uv_timer_t wake_up;
    uint64_t wake_up_ns;    /* when wake_up was set to ring; UINT64_MAX = not set */
    uint64_t turn_began_ns; /* 0 = the loop waits */
    uint64_t turn_wall_ns;  /* 0 = nobody has asked in this turn */
    struct list tasks;
    struct env_timer *timers; /* the root of the heap; see uv_timers.c */
    uint64_t timer_sequence;

    uv_signal_t signals[2];
    uint32_t signal_count;

    /* Lanes. */
    struct env_uv_lane lanes[ENV_LANE_COUNT];
    uv_mutex_t done_mutex;
    struct list done; /* jobs that have run; under done_mutex */
    uv_async_t done_wake;
    struct list loop_jobs; /* in memory: jobs that run on the loop in its next turn */
    uint32_t loop_job_count[ENV_LANE_COUNT];
    bool in_loop_job;

    struct ram_files *ram; /* NULL: the system's files */

    struct list streams;
    uint64_t stream_count;
    uint64_t
        streams_max; /* more wait to be accepted: files need some of what the process may open */
    struct list listeners;
    bool closing; /* env_uv_close runs: no callback of an owner any more */

    uint8_t random[RANDOM_BYTES]; /* the last random_left bytes are not used yet */
    size_t random_left;
    char read_buffer[READ_BUFFER_BYTES];
};

static inline struct env_uv *env_uv_of(struct env *env)
{
    return (struct env_uv *)env;
}

/* The status that says what `error`, of errno's values, means. */
enum status env_uv_status_of_errno(int error);

uint64_t env_uv_now_ns(struct env *env);

/* Something was reported to the loop: the turn has begun, if it had not. */
static inline void env_uv_turn_enter(struct env_uv *uv)
{
    if (uv->turn_began_ns == 0)
        uv->turn_began_ns = env_uv_now_ns(&uv->env);
}

/* Rule (1) of env.h: files are used in jobs, so that the loop never waits for a disk. */
static inline void env_uv_assert_in_job(struct env *env)
{
    uv_thread_t self = uv_thread_self();
    ASSERT(!uv_thread_equal(&self, &env_uv_of(env)->loop_thread) || env_uv_of(env)->in_loop_job);
}

/* ---- uv_timers.c ---- */
void env_uv_timer_start(struct env *env, struct env_timer *timer, uint64_t delay_ns);
void env_uv_timer_stop(struct env *env, struct env_timer *timer);
/* Fire what is due at now_ns, but for what is started meanwhile. */
void env_uv_timers_fire(struct env_uv *uv, uint64_t now_ns);

/* ---- uv_lanes.c ---- */
MUST_USE enum status env_uv_lanes_open(struct env_uv *uv);
/* Wait for the jobs that run, drop the others, end the threads. */
void env_uv_lanes_close(struct env_uv *uv);
/* In memory: run the jobs that were submitted to the loop itself, and their `done`. */
void env_uv_loop_jobs_run(struct env_uv *uv);
enum status env_uv_job_submit(struct env *env, struct env_job *job);

/* ---- uv_files.c ---- */
enum status env_uv_file_open(struct env *env, const char *path, unsigned flags,
                             struct env_file **file);
void env_uv_file_close(struct env *env, struct env_file *file);
enum status env_uv_file_size(struct env *env, struct env_file *file, uint64_t *bytes);
enum status env_uv_file_read(struct env *env, struct env_file *file, uint64_t offset, void *to,
                             size_t count);
enum status env_uv_file_write(struct env *env, struct env_file *file, uint64_t offset,
                              const struct bytes *runs, size_t run_count);
enum status env_uv_file_sync(struct env *env, struct env_file *file);
enum status env_uv_file_truncate(struct env *env, struct env_file *file, uint64_t bytes);
enum status env_uv_file_remove(struct env *env, const char *path);
enum status env_uv_file_rename(struct env *env, const char *from, const char *to);
enum status env_uv_dir_create(struct env *env, const char *path);
enum status env_uv_dir_sync(struct env *env, const char *path);
enum status env_uv_dir_list(struct env *env, const char *path,
                            void (*each)(void *argument, const char *name), void *argument);

/* ---- uv_streams.c ---- */
enum status env_uv_listen(struct env *env, const char *host, uint16_t port,
                          const struct env_listener_events *events, void *owner,
                          struct env_listener **listener);
uint16_t env_uv_listener_port(struct env *env, struct env_listener *listener);
void env_uv_listener_close(struct env *env, struct env_listener *listener);
void env_uv_stream_start(struct env *env, struct env_stream *stream,
                         const struct env_stream_events *events, void *owner);
void env_uv_stream_pause(struct env *env, struct env_stream *stream);
void env_uv_stream_resume(struct env *env, struct env_stream *stream);
enum status env_uv_stream_write(struct env *env, struct env_stream *stream,
                                const struct bytes *runs, size_t run_count, size_t *queued_bytes);
void env_uv_stream_close(struct env *env, struct env_stream *stream);
/* Begin to close all that is open. */
void env_uv_streams_close_all(struct env_uv *uv);

#endif
