#include "wire/gzip.h"

#include <libdeflate.h>

#include "base/assert.h"
#include "base/codec.h"

#define LEVEL               1      /* of 1..12 */
#define WORKER_BYTES_MIN    65536u /* more than this many bytes of content go to a worker */
#define DECOMPRESS_GUESS    4u     /* first guess: this many times the compressed size */
#define GZIP_BYTES_MIN      18u    /* header and trailer */
#define GZIP_LENGTH_TRAILER 4u     /* the last field: content length modulo 2^32 */

/* One call of libdeflate; its own memory comes and goes within `run`. */
struct work {
    struct env_job job;
    enum gzip_format format;
    struct bytes in;
    uint8_t *out;
    size_t capacity;
    size_t count;
    enum status status;
};

static struct work *work_of(struct env_job *job)
{
    return CONTAINER_OF(job, struct work, job);
}

static void compress(struct env_job *job)
{
    struct work *work = work_of(job);
    struct libdeflate_compressor *compressor = libdeflate_alloc_compressor(LEVEL);
    work->status = STATUS_NO_MEMORY;
    if (compressor == NULL)
        return;
    work->count = libdeflate_gzip_compress(compressor, work->in.at, work->in.count, work->out,
                                           work->capacity);
    libdeflate_free_compressor(compressor);
    work->status = work->count > 0 ? STATUS_OK : STATUS_TOO_LARGE;
}

static enum libdeflate_result
decompress_as(struct work *work, struct libdeflate_decompressor *decompressor, size_t *taken)
{
    if (work->format == GZIP_FORMAT_GZIP)
        return libdeflate_gzip_decompress_ex(decompressor, work->in.at, work->in.count, work->out,
                                             work->capacity, taken, &work->count);
    enum libdeflate_result result = libdeflate_zlib_decompress_ex(
        decompressor, work->in.at, work->in.count, work->out, work->capacity, taken, &work->count);
    if (result != LIBDEFLATE_BAD_DATA)
        return result;
    return libdeflate_deflate_decompress_ex(decompressor, work->in.at, work->in.count, work->out,
                                            work->capacity, taken, &work->count);
}

static void decompress(struct env_job *job)
{
    struct work *work = work_of(job);
    struct libdeflate_decompressor *decompressor = libdeflate_alloc_decompressor();
    work->status = STATUS_NO_MEMORY;
    if (decompressor == NULL)
        return;
    size_t taken = 0;
    enum libdeflate_result result = decompress_as(work, decompressor, &taken);
    libdeflate_free_decompressor(decompressor);
    if (result == LIBDEFLATE_INSUFFICIENT_SPACE)
        work->status = STATUS_TOO_LARGE;
    else if (result != LIBDEFLATE_SUCCESS || taken != work->in.count)
        work->status = STATUS_CORRUPT;
    else
        work->status = STATUS_OK;
}

/* On a worker when `bytes` is much; here when it is little, or when the workers have no room. */
static enum status run(struct context *ctx, struct work *work, void (*function)(struct env_job *),
                       size_t bytes)
{
    work->job = (struct env_job){.lane = ENV_LANE_READ, .run = function};
    if (bytes < WORKER_BYTES_MIN || context_run_job(ctx, &work->job) != STATUS_OK)
        function(&work->job);
    return work->status;
}

void gzip_block_free(struct heap *heap, struct gzip_block *block)
{
    heap_free(heap, block->at, block->capacity);
    *block = (struct gzip_block){0};
}

enum status gzip_compress(struct context *ctx, struct bytes bytes, struct gzip_block *block)
{
    size_t capacity = libdeflate_gzip_compress_bound(NULL, bytes.count);
    uint8_t *out = heap_alloc(ctx->env->heap, capacity);
    if (out == NULL)
        return STATUS_NO_MEMORY;
    struct work work = {.in = bytes, .out = out, .capacity = capacity};
    enum status status = run(ctx, &work, compress, bytes.count);
    *block = (struct gzip_block){out, work.count, capacity};
    if (status != STATUS_OK)
        gzip_block_free(ctx->env->heap, block);
    return status;
}

/* How much room the content needs: gzip says it, modulo 2^32; for the others, a guess. */
static enum status first_capacity(enum gzip_format format, struct bytes bytes, size_t bytes_max,
                                  size_t *capacity)
{
    if (format == GZIP_FORMAT_DEFLATE) {
        *capacity = MIN(bytes.count, bytes_max / DECOMPRESS_GUESS) * DECOMPRESS_GUESS;
        return STATUS_OK;
    }
    if (bytes.count < GZIP_BYTES_MIN)
        return STATUS_CORRUPT;
    *capacity = get_u32(bytes.at + bytes.count - GZIP_LENGTH_TRAILER);
    return *capacity > bytes_max ? STATUS_TOO_LARGE : STATUS_OK;
}

enum status gzip_decompress(struct context *ctx, enum gzip_format format, struct bytes bytes,
                            size_t bytes_max, struct gzip_block *block)
{
    size_t capacity;
    TRY(first_capacity(format, bytes, bytes_max, &capacity));
    for (;;) {
        /* No run of bytes is empty for libdeflate, nor for the heap. */
        size_t room = MAX(capacity, (size_t)1);
        uint8_t *out = heap_alloc(ctx->env->heap, room);
        if (out == NULL)
            return STATUS_NO_MEMORY;
        struct work work = {.format = format, .in = bytes, .out = out, .capacity = capacity};
        enum status status = run(ctx, &work, decompress, capacity);
        if (status == STATUS_OK) {
            *block = (struct gzip_block){out, work.count, room};
            return STATUS_OK;
        }
        heap_free(ctx->env->heap, out, room);
        if (status != STATUS_TOO_LARGE)
            return status;
        if (format == GZIP_FORMAT_GZIP)
            return STATUS_CORRUPT; /* longer than its own trailer says */
        if (capacity >= bytes_max)
            return STATUS_TOO_LARGE;
        capacity = capacity > bytes_max / DECOMPRESS_GUESS
                       ? bytes_max
                       : MAX(capacity, (size_t)64) * DECOMPRESS_GUESS;
    }
}
