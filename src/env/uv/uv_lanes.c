/* uv_lanes.c - jobs: a queue and threads for each lane, and one wake-up of the loop for all.
 *
 * A lane's threads start with its first jobs: a program that never reads from a disk has no thread
 * for that.  What is done is chained, and the loop is woken when the chain was empty before.
 */
#include "base/assert.h"
#include "env/uv/uv_env_private.h"

#define READ_THREADS_DEFAULT 2u

/* ---- In a lane's thread ---- */

static void job_run(struct env_uv *uv, struct env_job *job)
{
    job->run(job);
    uv_mutex_lock(&uv->done_mutex);
    bool first = list_empty(&uv->done);
    list_push_back(&uv->done, &job->link);
    uv_mutex_unlock(&uv->done_mutex);
    if (first)
        uv_async_send(&uv->done_wake);
}

static void lane_thread(void *argument)
{
    struct env_uv_lane *lane = argument;
    uv_mutex_lock(&lane->mutex);
    for (;;) {
        while (list_empty(&lane->waiting) && !lane->stopping) {
            lane->idle_count++;
            uv_cond_wait(&lane->wanted, &lane->mutex);
            lane->idle_count--;
        }
        if (lane->stopping)
            break;
        struct list *node = list_pop_front(&lane->waiting);
        lane->waiting_count--;
        uv_mutex_unlock(&lane->mutex);
        job_run(lane->uv, LIST_ITEM(node, struct env_job, link));
        uv_mutex_lock(&lane->mutex);
    }
    uv_mutex_unlock(&lane->mutex);
}

/* ---- On the loop ---- */

static void job_finish(struct env_uv *uv, struct env_job *job)
{
    histogram_record(&uv->env.stats.lane_ns[job->lane],
                     env_uv_now_ns(&uv->env) - job->submitted_ns);
    job->done(job);
}

static void jobs_done(uv_async_t *async)
{
    struct env_uv *uv = async->data;
    env_uv_turn_enter(uv);
    struct list batch;
    list_init(&batch);
    uv_mutex_lock(&uv->done_mutex);
    list_append_all(&batch, &uv->done);
    uv_mutex_unlock(&uv->done_mutex);
    for (struct list *node; (node = list_pop_front(&batch)) != NULL;)
        job_finish(uv, LIST_ITEM(node, struct env_job, link));
}

/* Those that are submitted meanwhile wait for the next turn. */
void env_uv_loop_jobs_run(struct env_uv *uv)
{
    struct list batch;
    list_init(&batch);
    list_append_all(&batch, &uv->loop_jobs);
    for (struct list *node; (node = list_pop_front(&batch)) != NULL;) {
        struct env_job *job = LIST_ITEM(node, struct env_job, link);
        uv->loop_job_count[job->lane]--;
        uv->in_loop_job = true;
        job->run(job);
        uv->in_loop_job = false;
        job_finish(uv, job);
    }
}

static enum status loop_job_submit(struct env_uv *uv, struct env_job *job)
{
    if (uv->loop_job_count[job->lane] >= ENV_LANE_JOBS_MAX)
        return STATUS_BUSY;
    uv->loop_job_count[job->lane]++;
    list_push_back(&uv->loop_jobs, &job->link);
    return STATUS_OK;
}

/* Start one more thread when jobs wait for one; with the mutex.  Fails only when there is none. */
static enum status lane_threads_grow(struct env_uv_lane *lane)
{
    if (lane->waiting_count < lane->idle_count || lane->thread_count == lane->threads_max)
        return STATUS_OK;
    uv_thread_options_t options = {.flags = UV_THREAD_HAS_STACK_SIZE,
                                   .stack_size = LANE_STACK_BYTES};
    if (uv_thread_create_ex(&lane->threads[lane->thread_count], &options, lane_thread, lane) == 0)
        lane->thread_count++;
    return lane->thread_count > 0 ? STATUS_OK : STATUS_BUSY;
}

static enum status lane_job_submit(struct env_uv_lane *lane, struct env_job *job)
{
    uv_mutex_lock(&lane->mutex);
    enum status status =
        lane->waiting_count < ENV_LANE_JOBS_MAX ? lane_threads_grow(lane) : STATUS_BUSY;
    if (status == STATUS_OK) {
        list_push_back(&lane->waiting, &job->link);
        lane->waiting_count++;
    }
    uv_mutex_unlock(&lane->mutex);
    if (status == STATUS_OK)
        uv_cond_signal(&lane->wanted);
    return status;
}

enum status env_uv_job_submit(struct env *env, struct env_job *job)
{
    struct env_uv *uv = env_uv_of(env);
    ASSERT(job->lane < ENV_LANE_COUNT);
    job->env = env;
    job->submitted_ns = env_uv_now_ns(env);
    bool on_loop = uv->ram != NULL && job->lane != ENV_LANE_BACKGROUND;
    enum status status =
        on_loop ? loop_job_submit(uv, job) : lane_job_submit(&uv->lanes[job->lane], job);
    if (status != STATUS_OK)
        env->stats.lane_busy[job->lane]++;
    return status;
}

/* ---- Open and close ---- */

static void lane_close(struct env_uv_lane *lane)
{
    uv_mutex_lock(&lane->mutex);
    lane->stopping = true;
    uv_mutex_unlock(&lane->mutex);
    uv_cond_broadcast(&lane->wanted);
    for (uint32_t i = 0; i < lane->thread_count; i++)
        uv_thread_join(&lane->threads[i]);
    uv_cond_destroy(&lane->wanted);
    uv_mutex_destroy(&lane->mutex);
}

static enum status lane_open(struct env_uv *uv, struct env_uv_lane *lane, uint32_t threads_max)
{
    lane->uv = uv;
    lane->threads_max = threads_max;
    list_init(&lane->waiting);
    if (uv_mutex_init(&lane->mutex) != 0)
        return STATUS_NO_MEMORY;
    if (uv_cond_init(&lane->wanted) != 0) {
        uv_mutex_destroy(&lane->mutex);
        return STATUS_NO_MEMORY;
    }
    return STATUS_OK;
}

enum status env_uv_lanes_open(struct env_uv *uv)
{
    uint32_t read_threads =
        uv->options.read_threads > 0 ? uv->options.read_threads : READ_THREADS_DEFAULT;
    const uint32_t threads_max[ENV_LANE_COUNT] = {
        [ENV_LANE_LOG] = 1,
        [ENV_LANE_READ] = MIN(read_threads, LANE_THREADS_MAX),
        [ENV_LANE_BACKGROUND] = 1,
    };
    list_init(&uv->done);
    list_init(&uv->loop_jobs);
    if (uv_mutex_init(&uv->done_mutex) != 0)
        return STATUS_NO_MEMORY;
    uint32_t opened = 0;
    while (opened < ENV_LANE_COUNT &&
           lane_open(uv, &uv->lanes[opened], threads_max[opened]) == STATUS_OK)
        opened++;
    if (opened == ENV_LANE_COUNT && uv_async_init(&uv->loop, &uv->done_wake, jobs_done) == 0) {
        uv->done_wake.data = uv;
        return STATUS_OK;
    }
    while (opened > 0)
        lane_close(&uv->lanes[--opened]);
    uv_mutex_destroy(&uv->done_mutex);
    return STATUS_BUSY;
}

void env_uv_lanes_close(struct env_uv *uv)
{
    for (uint32_t i = 0; i < ENV_LANE_COUNT; i++)
        lane_close(&uv->lanes[i]);
    uv_close((uv_handle_t *)&uv->done_wake, NULL);
    uv_mutex_destroy(&uv->done_mutex);
}
