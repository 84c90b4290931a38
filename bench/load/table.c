#include "load/table.h"

#include <time.h>

#define CHUNK_BATCHES   500u /* batches that are made and signed at a time */
#define ACTIVE_TRIES    1000u
#define ACTIVE_PAUSE_NS 20000000
#define WINDOW_NS       UINT64_C(600000000000)

/* `count` requests of a kind, each answer parsed; any wrong answer is a failure. */
static enum status ask(const struct engine_options *options, struct heap *heap,
                       struct workload *workload, const struct signer *signer,
                       enum workload_operation operation, uint32_t count, uint32_t first,
                       struct engine_result *result)
{
    struct ring ring;
    struct engine_options all = *options;
    all.rate_per_s = 0;
    all.warmup_ns = 0;
    all.window_ns = WINDOW_NS;
    all.requests_max = count;
    all.parse_every = 1;
    all.connections = MIN(options->connections, count);
    TRY(ring_build(&ring, heap, workload, signer, operation, count, first));
    enum status status = engine_run(&all, heap, &ring, result);
    ring_release(&ring);
    if (status == STATUS_OK && result->errors > 0)
        status = STATUS_UNAVAILABLE;
    return status;
}

/* The answer is right when it says ACTIVE. */
static enum status wait_active(const struct engine_options *options, struct heap *heap,
                               struct workload *workload, const struct signer *signer,
                               struct engine_result *result)
{
    enum status status = STATUS_UNAVAILABLE;
    for (uint32_t i = 0; i < ACTIVE_TRIES && status == STATUS_UNAVAILABLE; i++) {
        struct timespec pause = {.tv_nsec = i > 0 ? ACTIVE_PAUSE_NS : 0};
        nanosleep(&pause, NULL);
        status = ask(options, heap, workload, signer, WORKLOAD_DESCRIBE_TABLE, 1, 0, result);
    }
    return status;
}

enum status table_load(const struct engine_options *options, struct heap *heap,
                       struct workload *workload, const struct signer *signer,
                       struct engine_result *result)
{
    TRY(ask(options, heap, workload, signer, WORKLOAD_CREATE_TABLE, 1, 0, result));
    TRY(wait_active(options, heap, workload, signer, result));
    uint32_t step = CHUNK_BATCHES * WORKLOAD_BATCH;
    for (uint32_t first = 0; first < workload->item_count; first += step) {
        uint32_t left = workload->item_count - first;
        uint32_t batches = (MIN(left, step) + WORKLOAD_BATCH - 1) / WORKLOAD_BATCH;
        TRY(ask(options, heap, workload, signer, WORKLOAD_BATCH_WRITE, batches, first, result));
    }
    return STATUS_OK;
}
