/* uv_env.c - the loop, its turns, clocks, randomness and signals.
 *
 * A turn begins when the wait returns.  libuv reports what came (streams, jobs that are done); then
 * after_wait fires due timers, runs jobs that need no thread and the tasks deferred so far; then
 * before_wait looks whether there is anything left to do at once, in which case the next wait does
 * not wait.  So between any two batches of tasks the system is asked for events.
 */
#include "env/uv/uv_env.h"

#include <errno.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>

#include "base/assert.h"
#include "env/uv/uv_env_private.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

/* ---- Clocks and randomness ---- */

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec time;
    int result = clock_gettime(clock, &time);
    ASSERT(result == 0);
    return (uint64_t)time.tv_sec * NS_PER_S + (uint64_t)time.tv_nsec;
}

uint64_t env_uv_now_ns(struct env *env)
{
    (void)env;
#ifdef CLOCK_BOOTTIME
    return clock_ns(CLOCK_BOOTTIME); /* counts the time that the machine was suspended */
#else
    return clock_ns(CLOCK_MONOTONIC); /* so does this one where the other does not exist */
#endif
}

/* Read once a turn. */
static uint64_t wall_ns(struct env *env)
{
    struct env_uv *uv = env_uv_of(env);
    if (uv->turn_began_ns == 0)
        return clock_ns(CLOCK_REALTIME);
    if (uv->turn_wall_ns == 0)
        uv->turn_wall_ns = clock_ns(CLOCK_REALTIME);
    return uv->turn_wall_ns;
}

static void random_fill(uint8_t *to, size_t count)
{
    while (count > 0) {
        ssize_t got = getrandom(to, count, 0);
        if (got < 0 && errno == EINTR)
            continue;
        ASSERT(got > 0); /* no program of ours is right without it */
        to += got;
        count -= (size_t)got;
    }
}

static void random_bytes(struct env *env, void *to, size_t count)
{
    struct env_uv *uv = env_uv_of(env);
    if (count > RANDOM_BYTES / 2) {
        random_fill(to, count);
        return;
    }
    if (count > uv->random_left) {
        random_fill(uv->random, RANDOM_BYTES);
        uv->random_left = RANDOM_BYTES;
    }
    uint8_t *from = uv->random + RANDOM_BYTES - uv->random_left;
    memcpy(to, from, count);
    memset(from, 0, count);
    uv->random_left -= count;
}

/* ---- Turns ---- */

static void defer_task(struct env *env, struct env_task *task)
{
    if (list_empty(&task->link))
        list_push_back(&env_uv_of(env)->tasks, &task->link);
}

static void woken_up(uv_timer_t *timer)
{
    struct env_uv *uv = timer->data;
    uv->wake_up_ns = UINT64_MAX;
}

static void nothing(uv_idle_t *idle)
{
    (void)idle;
}

static void set_wake_up(struct env_uv *uv, uint64_t now_ns)
{
    uint64_t due_ns = uv->timers != NULL ? uv->timers->due_ns : UINT64_MAX;
    if (due_ns == uv->wake_up_ns)
        return;
    uv->wake_up_ns = due_ns;
    if (due_ns == UINT64_MAX)
        uv_timer_stop(&uv->wake_up);
    else
        uv_timer_start(&uv->wake_up, woken_up, (due_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS, 0);
}

static void before_wait(uv_prepare_t *prepare)
{
    struct env_uv *uv = prepare->data;
    uint64_t now_ns = env_uv_now_ns(&uv->env);
    bool due = uv->timers != NULL && uv->timers->due_ns <= now_ns;
    if (due || !list_empty(&uv->tasks) || !list_empty(&uv->loop_jobs)) {
        uv_idle_start(&uv->do_not_wait, nothing);
    } else {
        uv_idle_stop(&uv->do_not_wait);
        set_wake_up(uv, now_ns);
    }
    if (uv->turn_began_ns != 0)
        histogram_record(&uv->env.stats.turn_ns, now_ns - uv->turn_began_ns);
    uv->turn_began_ns = uv->turn_wall_ns = 0;
}

static void after_wait(uv_check_t *check)
{
    struct env_uv *uv = check->data;
    uint64_t now_ns = env_uv_now_ns(&uv->env);
    if (uv->turn_began_ns == 0)
        uv->turn_began_ns = now_ns;
    env_uv_timers_fire(uv, now_ns);
    env_uv_loop_jobs_run(uv);

    struct list batch;
    list_init(&batch);
    list_append_all(&batch, &uv->tasks);
    for (struct list *node; (node = list_pop_front(&batch)) != NULL;) {
        struct env_task *task = LIST_ITEM(node, struct env_task, link);
        task->run(task);
    }
}

void env_uv_run(struct env *env)
{
    uv_run(&env_uv_of(env)->loop, UV_RUN_DEFAULT);
}

void env_uv_stop(struct env *env)
{
    uv_stop(&env_uv_of(env)->loop);
}

/* ---- What is the process's own ---- */

static void signal_came(uv_signal_t *handle, int number)
{
    struct env_uv *uv = handle->data;
    env_uv_turn_enter(uv);
    uv->options.on_signal(uv->options.owner, number);
}

static enum status signals_open(struct env_uv *uv)
{
    static const int numbers[] = {SIGTERM, SIGINT};
    if (uv->options.on_signal == NULL)
        return STATUS_OK;
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
        if (uv_signal_init(&uv->loop, &uv->signals[i]) != 0)
            return STATUS_BUSY;
        uv->signals[i].data = uv;
        uv->signal_count++;
        if (uv_signal_start(&uv->signals[i], signal_came, numbers[i]) != 0)
            return STATUS_BUSY;
    }
    return STATUS_OK;
}

/* Blocks of at least so much are mapped, and go back to the system when they are freed.  It is
 * above what pages of Scan and single items need: mapping costs a page fault for every 4 KiB. */
#define MAPPED_BYTES_MIN (4 << 20)
#define FREE_BYTES_MAX   (4 << 20) /* at the end of malloc's heap; more goes back */

#define FILES_KEPT 32u /* of those that the process may open: not for connections */

/* A broken connection and a file at its limit are answers of the call, not deaths; a connection
 * takes a file descriptor; and threads that hardly allocate need no arenas of malloc's own.  The
 * bounds of malloc are set, because it would raise them with each large block that is freed, up to
 * 32 MiB, and then keep what the largest bodies took, among blocks that live long. */
static void process_prepare(struct env_uv *uv)
{
    uv->streams_max = UINT64_MAX;
#ifdef M_ARENA_MAX
    mallopt(M_ARENA_MAX, 1);
#endif
#ifdef M_MMAP_THRESHOLD
    mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES_MIN);
    mallopt(M_TRIM_THRESHOLD, FREE_BYTES_MAX);
#endif
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files); /* what it is, it stays */
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur != RLIM_INFINITY)
        uv->streams_max = files.rlim_cur - MIN(files.rlim_cur / 2, (rlim_t)FILES_KEPT);
}

/* ---- Open and close ---- */

#define OPS_BUT_FILES                                                                              \
    .now_ns = env_uv_now_ns, .wall_ns = wall_ns, .random = random_bytes,                           \
    .timer_start = env_uv_timer_start, .timer_stop = env_uv_timer_stop, .defer = defer_task,       \
    .job_submit = env_uv_job_submit, .listen = env_uv_listen,                                      \
    .listener_port = env_uv_listener_port, .listener_close = env_uv_listener_close,                \
    .stream_start = env_uv_stream_start, .stream_pause = env_uv_stream_pause,                      \
    .stream_resume = env_uv_stream_resume, .stream_write = env_uv_stream_write,                    \
    .stream_close = env_uv_stream_close

static const struct env_ops ops_disk = {
    OPS_BUT_FILES,
    .file_open = env_uv_file_open,
    .file_close = env_uv_file_close,
    .file_size = env_uv_file_size,
    .file_read = env_uv_file_read,
    .file_write = env_uv_file_write,
    .file_sync = env_uv_file_sync,
    .file_truncate = env_uv_file_truncate,
    .file_remove = env_uv_file_remove,
    .file_rename = env_uv_file_rename,
    .dir_create = env_uv_dir_create,
    .dir_sync = env_uv_dir_sync,
    .dir_list = env_uv_dir_list,
};

static const struct env_ops ops_ram = {
    OPS_BUT_FILES,
    .file_open = ram_file_open,
    .file_close = ram_file_close,
    .file_size = ram_file_size,
    .file_read = ram_file_read,
    .file_write = ram_file_write,
    .file_sync = ram_file_sync,
    .file_truncate = ram_file_truncate,
    .file_remove = ram_file_remove,
    .file_rename = ram_file_rename,
    .dir_create = ram_dir_create,
    .dir_sync = ram_dir_sync,
    .dir_list = ram_dir_list,
};

static void loop_handles_open(struct env_uv *uv)
{
    uv_prepare_init(&uv->loop, &uv->before_wait);
    uv_check_init(&uv->loop, &uv->after_wait);
    uv_idle_init(&uv->loop, &uv->do_not_wait);
    uv_timer_init(&uv->loop, &uv->wake_up);
    uv->before_wait.data = uv->after_wait.data = uv->wake_up.data = uv;
    uv_prepare_start(&uv->before_wait, before_wait);
    uv_check_start(&uv->after_wait, after_wait);
    uv->wake_up_ns = UINT64_MAX;
}

static void loop_close(struct env_uv *uv)
{
    uv->closing = true;
    env_uv_streams_close_all(uv);
    uv_close((uv_handle_t *)&uv->before_wait, NULL);
    uv_close((uv_handle_t *)&uv->after_wait, NULL);
    uv_close((uv_handle_t *)&uv->do_not_wait, NULL);
    uv_close((uv_handle_t *)&uv->wake_up, NULL);
    for (uint32_t i = 0; i < uv->signal_count; i++)
        uv_close((uv_handle_t *)&uv->signals[i], NULL);
    /* A stop that no run has seen yet ends the first one at once. */
    if (uv_run(&uv->loop, UV_RUN_DEFAULT) != 0)
        uv_run(&uv->loop, UV_RUN_DEFAULT);
    int result = uv_loop_close(&uv->loop);
    ASSERT(result == 0);
}

enum status env_uv_open(const struct env_uv_options *options, struct env **env)
{
    struct env_uv *uv = calloc(1, sizeof(*uv));
    if (uv == NULL)
        return STATUS_NO_MEMORY;
    uv->options = *options;
    heap_init(&uv->heap, false);
    list_init(&uv->tasks);
    list_init(&uv->streams);
    process_prepare(uv);
    list_init(&uv->listeners);
    uv->loop_thread = uv_thread_self();
    uv->env = (struct env){
        .ops = options->in_memory ? &ops_ram : &ops_disk,
        .outside = &ops_disk,
        .heap = &uv->heap,
        .log = options->log,
    };
    if (options->in_memory) {
        uv->ram = ram_files_create(options->ram_bytes_max);
        if (uv->ram == NULL) {
            free(uv);
            return STATUS_NO_MEMORY;
        }
    }
    if (uv_loop_init(&uv->loop) != 0) {
        ram_files_free(uv->ram);
        free(uv);
        return STATUS_BUSY;
    }
    loop_handles_open(uv);
    enum status status = env_uv_lanes_open(uv);
    if (status == STATUS_OK) {
        status = signals_open(uv);
        if (status == STATUS_OK) {
            *env = &uv->env;
            return STATUS_OK;
        }
        env_uv_lanes_close(uv);
    }
    loop_close(uv);
    ram_files_free(uv->ram);
    free(uv);
    return status;
}

void env_uv_close(struct env *env)
{
    struct env_uv *uv = env_uv_of(env);
    env_uv_lanes_close(uv);
    loop_close(uv);
    ram_files_free(uv->ram);
    free(uv);
}

uint64_t env_uv_ram_bytes(struct env *env)
{
    struct env_uv *uv = env_uv_of(env);
    return uv->ram != NULL ? ram_files_bytes(uv->ram) : 0;
}
