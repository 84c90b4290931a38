/* What env/uv does beyond the promises of every binding: threads, signals, the system's errors,
 * names of hosts, and what things cost. */
#include "env/uv/uv_env.h"

#include "unit/cmocka_headers.h"

#include <stdio.h>
#include <stdlib.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "env/fiber.h"

/* ---- An env and a turn until something is true ---- */

struct world {
    struct env *env;
    struct log log;
    struct env_task tick;
    bool *until;
    int signal_seen;
    bool got_signal;
};

static void log_nothing(void *sink, enum log_level level, struct bytes line)
{
    (void)sink;
    (void)level;
    (void)line;
}

static void signal_came(void *owner, int number)
{
    struct world *w = owner;
    w->signal_seen = number;
    w->got_signal = true;
}

static void tick(struct env_task *task)
{
    struct world *w = CONTAINER_OF(task, struct world, tick);
    if (*w->until)
        env_uv_stop(w->env);
    else
        env_defer(w->env, task);
}

static void run_until(struct world *w, bool *flag)
{
    w->until = flag;
    env_defer(w->env, &w->tick);
    env_uv_run(w->env);
}

static void world_open_with(struct world *w, struct env_uv_options options)
{
    *w = (struct world){.log = {.write = log_nothing}, .tick = {.run = tick}};
    list_init(&w->tick.link);
    options.log = &w->log;
    options.on_signal = signal_came;
    options.owner = w;
    assert_int_equal(env_uv_open(&options, &w->env), STATUS_OK);
}

static void world_open(struct world *w)
{
    world_open_with(w, (struct env_uv_options){0});
}

static void world_close(struct world *w)
{
    env_uv_close(w->env);
}

/* ---- Jobs ---- */

struct job {
    struct env_job job;
    struct world *w;
    void (*body)(struct job *job);
    bool done;
    enum status status;
    const char *path;
    pthread_barrier_t *gate;
    bool ran;
};

static void job_run(struct env_job *env_job)
{
    struct job *job = CONTAINER_OF(env_job, struct job, job);
    job->ran = true;
    job->body(job);
}

static void job_done(struct env_job *env_job)
{
    CONTAINER_OF(env_job, struct job, job)->done = true;
}

static struct job job_of(struct world *w, enum env_lane lane, void (*body)(struct job *job))
{
    return (struct job){
        .job = {.lane = lane, .run = job_run, .done = job_done}, .w = w, .body = body};
}

static enum status job_submit(struct job *job)
{
    return env_job_submit(job->w->env, &job->job);
}

static enum status run_job(struct job job)
{
    assert_int_equal(job_submit(&job), STATUS_OK);
    run_until(job.w, &job.done);
    return job.status;
}

static void pass_gate(struct job *job)
{
    pthread_barrier_wait(job->gate);
}

/* Once to say that it runs, once to be let go on. */
static void pass_gate_twice(struct job *job)
{
    pthread_barrier_wait(job->gate);
    pthread_barrier_wait(job->gate);
}

static void do_nothing(struct job *job)
{
    (void)job;
}

static uint32_t threads_now(void)
{
    uint32_t count = 0;
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(tasks);
    return count;
}

/* A thread that was joined may be listed for a moment more. */
static void assert_threads(uint32_t expected)
{
    for (int i = 0; i < 1000000 && threads_now() > expected; i++)
        sched_yield();
    assert_int_equal(threads_now(), expected);
}

static void lanes_start_their_threads_when_used(void **state)
{
    (void)state;
    struct world w;
    uint32_t before = threads_now();
    world_open_with(&w, (struct env_uv_options){.read_threads = 3});
    assert_threads(before);
    (void)run_job(job_of(&w, ENV_LANE_LOG, do_nothing));
    assert_threads(before + 1);
    (void)run_job(job_of(&w, ENV_LANE_LOG, do_nothing));
    assert_threads(before + 1);

    /* Three reads at a time: each waits for the others to run too. */
    pthread_barrier_t gate;
    pthread_barrier_init(&gate, NULL, 3);
    struct job reads[3];
    for (int i = 0; i < 3; i++) {
        reads[i] = job_of(&w, ENV_LANE_READ, pass_gate);
        reads[i].gate = &gate;
        assert_int_equal(job_submit(&reads[i]), STATUS_OK);
    }
    for (int i = 0; i < 3; i++)
        run_until(&w, &reads[i].done);
    assert_threads(before + 4);
    pthread_barrier_destroy(&gate);
    world_close(&w);
    assert_threads(before);
}

static void a_full_lane_is_busy(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    pthread_barrier_t gate;
    pthread_barrier_init(&gate, NULL, 2);
    struct job blocking = job_of(&w, ENV_LANE_LOG, pass_gate_twice);
    blocking.gate = &gate;
    assert_int_equal(job_submit(&blocking), STATUS_OK);
    pthread_barrier_wait(&gate); /* the thread has taken it */
    struct job *jobs = calloc(ENV_LANE_JOBS_MAX + 1, sizeof(*jobs));
    assert_non_null(jobs);
    for (uint32_t i = 0; i <= ENV_LANE_JOBS_MAX; i++) {
        jobs[i] = job_of(&w, ENV_LANE_LOG, do_nothing);
        assert_int_equal(job_submit(&jobs[i]), i < ENV_LANE_JOBS_MAX ? STATUS_OK : STATUS_BUSY);
    }
    assert_int_equal(w.env->stats.lane_busy[ENV_LANE_LOG], 1);
    struct job other = job_of(&w, ENV_LANE_BACKGROUND, do_nothing); /* a queue of its own */
    assert_int_equal(run_job(other), STATUS_OK);
    pthread_barrier_wait(&gate);
    run_until(&w, &jobs[ENV_LANE_JOBS_MAX - 1].done);
    assert_false(jobs[ENV_LANE_JOBS_MAX].ran);
    free(jobs);
    pthread_barrier_destroy(&gate);
    world_close(&w);
}

/* What was submitted and not taken by a thread is dropped; no `done` runs; all threads end. */
static void closing_drops_jobs_that_wait(void **state)
{
    (void)state;
    struct world w;
    uint32_t threads = threads_now();
    world_open(&w);
    struct job *jobs = calloc(ENV_LANE_JOBS_MAX, sizeof(*jobs));
    assert_non_null(jobs);
    for (uint32_t i = 0; i < ENV_LANE_JOBS_MAX; i++) {
        jobs[i] = job_of(&w, (enum env_lane)(i % ENV_LANE_COUNT), do_nothing);
        assert_int_equal(job_submit(&jobs[i]), STATUS_OK);
    }
    world_close(&w);
    assert_threads(threads);
    for (uint32_t i = 0; i < ENV_LANE_JOBS_MAX; i++)
        assert_false(jobs[i].done);
    free(jobs);
}

/* ---- The system's answers ---- */

static void open_writable(struct job *job)
{
    struct env *env = job->w->env;
    struct env_file *file;
    job->status = env_file_open(env, job->path, 0, &file);
    if (job->status != STATUS_OK)
        return;
    struct bytes bytes = BYTES("something");
    job->status = env_file_write(env, file, 0, &bytes, 1);
    env_file_close(env, file);
}

static void write_far(struct job *job)
{
    struct env *env = job->w->env;
    struct env_file *file;
    job->status = env_file_open(env, job->path, ENV_FILE_CREATE, &file);
    if (job->status != STATUS_OK)
        return;
    struct bytes bytes = BYTES("something");
    job->status = env_file_write(env, file, 100000, &bytes, 1);
    env_file_close(env, file);
    if (env_file_remove(env, job->path) != STATUS_OK)
        job->status = STATUS_INVALID;
}

static void open_locked(struct job *job)
{
    struct env_file *file;
    job->status = env_file_open(job->w->env, job->path, ENV_FILE_CREATE | ENV_FILE_LOCK, &file);
    if (job->status != STATUS_OK)
        return;
    /* Another process is locked out. */
    pid_t child = fork();
    if (child == 0) {
        struct env_file *again;
        enum status status = env_file_open(job->w->env, job->path, ENV_FILE_LOCK, &again);
        _exit(status == STATUS_LOCKED ? 0 : 1);
    }
    int how = 1;
    if (child < 0 || waitpid(child, &how, 0) != child || how != 0)
        job->status = STATUS_INVALID;
    env_file_close(job->w->env, file);
    (void)!env_file_remove(job->w->env, job->path);
}

static void answers_as_the_system_does(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    struct job job = job_of(&w, ENV_LANE_BACKGROUND, open_writable);
    job.path = "/dev/full";
    if (access(job.path, W_OK) == 0)
        assert_int_equal(run_job(job), STATUS_NO_SPACE);
    job.path = "/";
    assert_int_equal(run_job(job), STATUS_DENIED);
    job.path = "/dev/null/file";
    assert_int_equal(run_job(job), STATUS_NOT_FOUND);
    char longest[600];
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = 0;
    job.path = longest;
    assert_int_equal(run_job(job), STATUS_INVALID);

    /* A file at the limit of its size is a full disk, not the end of the process. */
    char path[64];
    snprintf(path, sizeof(path), "/tmp/trine-uv-env-%d", (int)getpid());
    struct rlimit before, small = {.rlim_cur = 50000};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    job = job_of(&w, ENV_LANE_LOG, write_far);
    job.path = path;
    enum status status = run_job(job);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(status, STATUS_NO_SPACE);

    job = job_of(&w, ENV_LANE_BACKGROUND, open_locked);
    job.path = path;
    assert_int_equal(run_job(job), STATUS_OK);
    world_close(&w);
}

static void signals_come_on_the_loop(void **state)
{
    (void)state;
    static const int numbers[] = {SIGTERM, SIGINT, SIGTERM};
    struct world w;
    world_open(&w);
    for (size_t i = 0; i < 3; i++) {
        w.got_signal = false;
        kill(getpid(), numbers[i]);
        run_until(&w, &w.got_signal);
        assert_int_equal(w.signal_seen, numbers[i]);
    }
    world_close(&w);
}

/* ---- Turns ---- */

static void timer_fired(struct env_timer *timer)
{
    (void)timer;
}

struct stopper {
    struct env_timer timer;
    struct env_timer first; /* starts `timer`: the loop turns at least twice, however late it is */
    struct env *env;
};

static void first_fired(struct env_timer *timer)
{
    struct stopper *stopper = CONTAINER_OF(timer, struct stopper, first);
    env_timer_start(stopper->env, &stopper->timer, 15500000); /* between libuv's milliseconds */
}

static void stopper_fired(struct env_timer *timer)
{
    env_uv_stop(CONTAINER_OF(timer, struct stopper, timer)->env);
}

static void an_idle_loop_sleeps(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    struct stopper stopper = {
        .timer = {.fire = stopper_fired}, .first = {.fire = first_fired}, .env = w.env};
    struct env_timer far = {.fire = timer_fired};
    env_timer_start(w.env, &far, UINT64_MAX);
    env_timer_start(w.env, &stopper.first, 5000000);
    uint64_t began_ns = env_now_ns(w.env);
    env_uv_run(w.env);
    assert_true(env_now_ns(w.env) >= began_ns + 20500000);
    assert_true(w.env->stats.turn_ns.count > 0);
    assert_true(w.env->stats.turn_ns.count < 10);
    env_timer_stop(w.env, &far);
    world_close(&w);
}

/* ---- Connections ---- */

struct acceptor {
    struct world *w;
    struct env_stream *streams[300];
    uint32_t count, wanted;
    bool all;
};

static void stream_read(void *owner, struct bytes bytes)
{
    (void)owner;
    (void)bytes;
}

static void stream_end(void *owner, enum status status)
{
    (void)owner;
    (void)status;
}

static void stream_quiet(void *owner)
{
    (void)owner;
}

static const struct env_stream_events stream_events = {.on_read = stream_read,
                                                       .on_end = stream_end,
                                                       .on_drain = stream_quiet,
                                                       .on_closed = stream_quiet};

static void stream_accepted(void *owner, struct env_stream *stream)
{
    struct acceptor *acceptor = owner;
    acceptor->streams[acceptor->count++] = stream;
    acceptor->all = acceptor->count == acceptor->wanted;
    env_stream_start(acceptor->w->env, stream, &stream_events, acceptor);
}

static const struct env_listener_events acceptor_events = {.on_accept = stream_accepted};

static int connect_to(int family, uint16_t port)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct sockaddr_in6 v6 = {
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int result = family == AF_INET ? connect(fd, (struct sockaddr *)&v4, sizeof(v4))
                                   : connect(fd, (struct sockaddr *)&v6, sizeof(v6));
    if (result == 0)
        return fd;
    close(fd);
    return -1;
}

static struct env_listener *acceptor_listen(struct acceptor *acceptor, struct world *w,
                                            const char *host)
{
    *acceptor = (struct acceptor){.w = w};
    struct env_listener *listener = NULL;
    assert_int_equal(env_listen(w->env, host, 0, &acceptor_events, acceptor, &listener), STATUS_OK);
    return listener;
}

static void idle_connections_are_small(void **state)
{
    (void)state;
    enum { COUNT = 300 };
    struct world w;
    world_open(&w);
    static struct acceptor acceptor;
    struct env_listener *listener = acceptor_listen(&acceptor, &w, "127.0.0.1");
    uint16_t port = env_listener_port(w.env, listener);
    int fds[COUNT];
    acceptor.wanted = COUNT;
    size_t before = w.env->heap->bytes_used;
    for (int i = 0; i < COUNT; i++) {
        fds[i] = connect_to(AF_INET, port);
        assert_true(fds[i] >= 0);
        assert_int_equal(write(fds[i], "GET", 3), 3);
    }
    run_until(&w, &acceptor.all);
    assert_true((w.env->heap->bytes_used - before) / COUNT <= 512);
    for (int i = 0; i < COUNT; i++)
        close(fds[i]);
    world_close(&w); /* closes what is open */
}

static void accepts_again_after_want_of_memory(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    static struct acceptor acceptor;
    struct env_listener *listener = acceptor_listen(&acceptor, &w, "127.0.0.1");
    acceptor.wanted = 2;
    int first = connect_to(AF_INET, env_listener_port(w.env, listener));
    int second = connect_to(AF_INET, env_listener_port(w.env, listener));
    w.env->heap->fail_after = 1;
    run_until(&w, &acceptor.all);
    assert_int_equal(w.env->heap->fail_after, 0);
    close(first);
    close(second);
    env_listener_close(w.env, listener);
    world_close(&w);
}

static void answers_no_memory(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    static struct acceptor acceptor;
    acceptor = (struct acceptor){.w = &w, .wanted = 1};
    struct env_listener *listener = NULL;
    w.env->heap->fail_after = 1;
    assert_int_equal(env_listen(w.env, "127.0.0.1", 0, &acceptor_events, &acceptor, &listener),
                     STATUS_NO_MEMORY);
    assert_null(listener);
    w.env->heap->fail_after = 1;
    assert_int_equal(fiber_pool_open(w.env, 10, 16384), STATUS_NO_MEMORY);
    assert_null(w.env->fibers);

    listener = acceptor_listen(&acceptor, &w, "127.0.0.1");
    acceptor.wanted = 1;
    int fd = connect_to(AF_INET, env_listener_port(w.env, listener));
    run_until(&w, &acceptor.all);
    enum { LARGE = 32 << 20 }; /* more than the system takes at once */
    uint8_t *large = calloc(1, LARGE);
    assert_non_null(large);
    struct bytes bytes = bytes_of(large, LARGE);
    size_t queued = 0;
    w.env->heap->fail_after = 1;
    assert_int_equal(env_stream_write(w.env, acceptor.streams[0], &bytes, 1, &queued),
                     STATUS_NO_MEMORY);
    bytes.count = 1;
    assert_int_equal(env_stream_write(w.env, acceptor.streams[0], &bytes, 1, &queued),
                     STATUS_CLOSED);
    env_stream_close(w.env, acceptor.streams[0]);
    free(large);
    close(fd);
    world_close(&w);
}

static bool has_ipv6(void)
{
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    if (fd < 0)
        return false;
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    bool has = bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    close(fd);
    return has;
}

static void listens_on_names_and_both_families(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    static struct acceptor acceptor;
    struct env_listener *listener = acceptor_listen(&acceptor, &w, "localhost");
    uint16_t port = env_listener_port(w.env, listener);
    acceptor.wanted = has_ipv6() ? 2 : 1;
    int v4 = connect_to(AF_INET, port), v6 = -1;
    assert_true(v4 >= 0);
    if (has_ipv6()) {
        v6 = connect_to(AF_INET6, port);
        assert_true(v6 >= 0);
    }
    run_until(&w, &acceptor.all);
    close(v4);
    if (v6 >= 0)
        close(v6);

    struct env_listener *other = NULL;
    struct env *env = w.env;
    assert_int_equal(env_listen(env, "localhost", port, &acceptor_events, &acceptor, &other),
                     STATUS_EXISTS);
    assert_int_equal(env_listen(env, "256.1.1.1", 0, &acceptor_events, &acceptor, &other),
                     STATUS_INVALID);
    assert_int_equal(env_listen(env, "192.0.2.1", 0, &acceptor_events, &acceptor, &other),
                     STATUS_INVALID); /* not an address of this machine */
    assert_int_equal(env_listen(env, "", 0, &acceptor_events, &acceptor, &other), STATUS_INVALID);
    env_listener_close(env, listener);
    world_close(&w);
}

/* ---- Files in RAM ---- */

#define CHUNK (1u << 20)

static void fill_ram(struct job *job)
{
    struct env *env = job->w->env;
    struct env_file *file;
    job->status = env_file_open(env, "file", ENV_FILE_CREATE, &file);
    if (job->status != STATUS_OK)
        return;
    uint8_t *block = calloc(1, CHUNK);
    struct bytes bytes = bytes_of(block, CHUNK);
    enum status zeros = STATUS_OK;
    for (uint64_t i = 0; i < 100; i++) /* ahead of need: takes nothing */
        zeros = env_file_write(env, file, i * CHUNK, &bytes, 1);
    bool free_zeros = zeros == STATUS_OK && env_uv_ram_bytes(env) == 0;
    block[0] = 1;
    uint64_t taken = 0;
    while (env_file_write(env, file, taken * CHUNK, &bytes, 1) == STATUS_OK)
        taken++;
    enum status full = env_file_write(env, file, taken * CHUNK, &bytes, 1);
    bool at_bound = full == STATUS_NO_SPACE && env_uv_ram_bytes(env) == taken * CHUNK;
    /* What is there can be read and overwritten, and room comes back. */
    bool still = env_file_write(env, file, 0, &bytes, 1) == STATUS_OK &&
                 env_file_read(env, file, 0, block, CHUNK) == STATUS_OK && block[0] == 1 &&
                 env_file_truncate(env, file, CHUNK) == STATUS_OK &&
                 env_uv_ram_bytes(env) == CHUNK &&
                 env_file_write(env, file, 5 * CHUNK, &bytes, 1) == STATUS_OK &&
                 env_file_remove(env, "file") == STATUS_OK && env_uv_ram_bytes(env) == 2 * CHUNK;
    env_file_close(env, file);
    free(block);
    bool gone = env_uv_ram_bytes(env) == 0;
    job->status =
        free_zeros && taken == 10 && at_bound && still && gone ? STATUS_OK : STATUS_INVALID;
}

static void ram_is_bounded_and_given_back(void **state)
{
    (void)state;
    struct world w;
    uint32_t threads = threads_now();
    world_open_with(&w,
                    (struct env_uv_options){.in_memory = true, .ram_bytes_max = 10 * CHUNK + 5});
    assert_int_equal(run_job(job_of(&w, ENV_LANE_LOG, fill_ram)), STATUS_OK);
    assert_int_equal(run_job(job_of(&w, ENV_LANE_READ, fill_ram)), STATUS_OK);
    assert_threads(threads); /* these lanes need none */
    assert_int_equal(run_job(job_of(&w, ENV_LANE_BACKGROUND, fill_ram)), STATUS_OK);
    assert_threads(threads + 1);
    world_close(&w);
}

/* The background lane's thread and the loop on one file. */
struct sharer {
    struct job job;
    uint8_t fill;
    bool wrong;
};

static void share_file(struct job *job)
{
    struct sharer *sharer = CONTAINER_OF(job, struct sharer, job);
    struct env *env = job->w->env;
    struct env_file *file;
    sharer->wrong = env_file_open(env, "shared", ENV_FILE_CREATE, &file) != STATUS_OK;
    if (sharer->wrong)
        return;
    uint8_t block[1000], read[1000];
    memset(block, sharer->fill, sizeof(block));
    struct bytes bytes = bytes_of(block, sizeof(block));
    for (uint64_t i = 0; i < 300; i++) {
        uint64_t offset = i * 2000 + (sharer->fill == 1 ? 0 : 1000);
        sharer->wrong |= env_file_write(env, file, offset, &bytes, 1) != STATUS_OK ||
                         env_file_read(env, file, offset, read, sizeof(read)) != STATUS_OK ||
                         memcmp(read, block, sizeof(read)) != 0;
    }
    env_file_close(env, file);
}

static void lanes_share_files_in_ram(void **state)
{
    (void)state;
    struct world w;
    world_open_with(&w, (struct env_uv_options){.in_memory = true});
    struct sharer background = {.job = job_of(&w, ENV_LANE_BACKGROUND, share_file), .fill = 1};
    struct sharer log = {.job = job_of(&w, ENV_LANE_LOG, share_file), .fill = 2};
    assert_int_equal(job_submit(&background.job), STATUS_OK);
    assert_int_equal(job_submit(&log.job), STATUS_OK);
    run_until(&w, &background.job.done);
    run_until(&w, &log.job.done);
    assert_false(background.wrong || log.wrong);
    world_close(&w);
}

/* ---- Fibers on the real loop ---- */

struct flow {
    struct job job;
    enum status slept, ran;
    uint64_t slept_ns;
    bool over;
};

static void flow_run(struct context *ctx, void *argument)
{
    struct flow *flow = argument;
    uint64_t began_ns = env_now_ns(ctx->env);
    flow->slept = context_sleep(ctx, 1500000);
    flow->slept_ns = env_now_ns(ctx->env) - began_ns;
    flow->ran = context_run_job(ctx, &flow->job.job);
    context_yield(ctx);
    flow->over = true;
}

static void fibers_wait_for_the_real_world(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    assert_int_equal(fiber_pool_open(w.env, 100, 32768), STATUS_OK);
    struct flow flows[50];
    struct fiber_options options = {.arena_bytes_max = 4096, .deadline_ns = UINT64_MAX};
    for (int i = 0; i < 50; i++) {
        flows[i] = (struct flow){.job = job_of(&w, ENV_LANE_READ, do_nothing)};
        assert_int_equal(fiber_spawn(w.env, &options, flow_run, &flows[i]), STATUS_OK);
    }
    for (int i = 0; i < 50; i++) {
        run_until(&w, &flows[i].over);
        assert_int_equal(flows[i].slept, STATUS_OK);
        assert_int_equal(flows[i].ran, STATUS_OK);
        assert_true(flows[i].slept_ns >= 1500000 && flows[i].job.ran);
    }
    assert_int_equal(fiber_pool_stats(w.env).live, 0);
    fiber_pool_close(w.env);
    assert_int_equal(w.env->heap->bytes_used, 0);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lanes_start_their_threads_when_used),
        cmocka_unit_test(a_full_lane_is_busy),
        cmocka_unit_test(closing_drops_jobs_that_wait),
        cmocka_unit_test(answers_as_the_system_does),
        cmocka_unit_test(signals_come_on_the_loop),
        cmocka_unit_test(an_idle_loop_sleeps),
        cmocka_unit_test(idle_connections_are_small),
        cmocka_unit_test(accepts_again_after_want_of_memory),
        cmocka_unit_test(answers_no_memory),
        cmocka_unit_test(listens_on_names_and_both_families),
        cmocka_unit_test(ram_is_bounded_and_given_back),
        cmocka_unit_test(lanes_share_files_in_ram),
        cmocka_unit_test(fibers_wait_for_the_real_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
