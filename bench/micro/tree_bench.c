/* tree_bench.c - what one tree costs: loading in random and in ascending order, point reads,
 * ranges, updates, and bytes on disk.
 *
 *   tree_bench [items [value-bytes [cache-MiB [memory]]]]      default 1,000,000 200 512
 *
 * Works in the folder it is started in (removes tree_bench.tree), or in RAM with "memory".  Each
 * line: CPU time of the loop and wall time per item; checkpoints run as the forest asks
 * for them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/prng.h"
#include "env/fiber.h"
#include "env/uv/uv_env.h"
#include "storage/forest.h"
#include "storage/tree.h"

#define BATCH     25u
#define KEY_BYTES 30u
#define PATH      "tree_bench.tree"

struct bench {
    uint64_t items;
    size_t value_bytes;
    struct forest_options options;
    struct forest *forest;
    struct context *checkpointer;
    bool in_memory;
};

static void make_key(uint8_t *to, uint64_t number, bool ascending)
{
    uint64_t hash = number * UINT64_C(0x9e3779b97f4a7c15);
    hash ^= hash >> 29;
    if (ascending)
        hash = 0;
    for (unsigned i = 0; i < 8; i++)
        to[i] = (uint8_t)(hash >> (56 - 8 * i));
    char text[32];
    (void)snprintf(text, sizeof(text), "customer#%013" PRIu64, number);
    memcpy(to + 8, text, KEY_BYTES - 8);
}

/* The loop's thread alone: neighbours on the machine and the workers do not count. */
static uint64_t cpu_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

struct start {
    uint64_t wall_ns, cpu_ns;
};

static struct start start(struct context *ctx)
{
    return (struct start){.wall_ns = env_now_ns(ctx->env), .cpu_ns = cpu_ns()};
}

static uint64_t rss_kib(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long long size = 0;
    unsigned long long resident = 0;
    if (file != NULL) {
        if (fscanf(file, "%llu %llu", &size, &resident) != 2)
            resident = 0;
        fclose(file);
    }
    return resident * (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
}

static void report(const struct bench *bench, const char *what, struct start started,
                   uint64_t count, struct context *ctx)
{
    uint64_t cpu = cpu_ns() - started.cpu_ns;
    uint64_t wall = env_now_ns(ctx->env) - started.wall_ns;
    struct forest_stats stats = forest_stats(bench->forest);
    printf("%-26s %6.0f ns of CPU, %6.0f ns per item  file %6.1f MiB  free %5.1f MiB  pending "
           "%5.1f MiB  rss %6.1f MiB "
           " checkpoints %" PRIu64 "  misses %" PRIu64 "\n",
           what, (double)cpu / (double)count, (double)wall / (double)count,
           (double)stats.pages * FOREST_PAGE_BYTES / 1048576.0,
           (double)stats.pages_free * FOREST_PAGE_BYTES / 1048576.0,
           (double)stats.pages_pending * FOREST_PAGE_BYTES / 1048576.0, (double)rss_kib() / 1024.0,
           stats.checkpoints, stats.misses);
}

static void must(enum status status, const char *what)
{
    if (status == STATUS_OK)
        return;
    fprintf(stderr, "tree_bench: %s: %s\n", what, status_text(status));
    exit(1);
}

static void checkpointer(struct context *ctx, void *argument)
{
    struct bench *bench = argument;
    bench->checkpointer = ctx;
    while (forest_wait_checkpoint_due(ctx, bench->forest, UINT64_MAX) == STATUS_OK)
        must(forest_checkpoint(ctx, bench->forest, (struct lsn){0}), "checkpoint");
    bench->checkpointer = NULL;
}

static void load(struct context *ctx, struct bench *bench, struct tree *tree, bool ascending,
                 const char *what)
{
    uint8_t keys[BATCH][KEY_BYTES];
    static uint8_t value[TREE_INLINE_VALUE_BYTES_MAX];
    struct tree_mutation batch[BATCH];
    struct start started = start(ctx);
    uint64_t slot = tree_row(tree).applied;
    for (uint64_t at = 0; at < bench->items; at += BATCH) {
        for (unsigned i = 0; i < BATCH; i++) {
            make_key(keys[i], at + i, ascending);
            batch[i] = (struct tree_mutation){.kind = TREE_PUT,
                                              .key = bytes_of(keys[i], KEY_BYTES),
                                              .value = bytes_of(value, bench->value_bytes)};
        }
        must(tree_apply(ctx, tree, batch, BATCH, ++slot), "apply");
    }
    report(bench, what, started, bench->items, ctx);
}

static void read_points(struct context *ctx, struct bench *bench, struct tree *tree,
                        const char *what)
{
    struct prng prng;
    uint8_t key[KEY_BYTES];
    struct bytes value;
    uint64_t count = 1000000;
    prng_init(&prng, 5);
    struct start started = start(ctx);
    for (uint64_t i = 0; i < count; i++) {
        make_key(key, prng_below(&prng, bench->items), false);
        must(tree_get(ctx, tree, bytes_of(key, KEY_BYTES), &value), "get");
    }
    report(bench, what, started, count, ctx);
}

static void make_keys_only(struct context *ctx, struct bench *bench)
{
    struct prng prng;
    uint8_t key[KEY_BYTES];
    uint64_t sum = 0;
    prng_init(&prng, 5);
    struct start started = start(ctx);
    for (uint64_t i = 0; i < 1000000; i++) {
        make_key(key, prng_below(&prng, bench->items), false);
        sum += key[0];
    }
    report(bench, sum > 0 ? "(making the keys)" : "", started, 1000000, ctx);
}

static void read_ranges(struct context *ctx, struct bench *bench, struct tree *tree)
{
    struct tree_cursor cursor;
    struct bytes key;
    struct bytes value;
    struct start started = start(ctx);
    must(tree_cursor_open(ctx, tree, 0, (struct bytes){0}, true, &cursor), "cursor");
    uint64_t count = 0;
    while (tree_cursor_next(&cursor, &key, &value) == STATUS_OK)
        count++;
    if (count != bench->items)
        must(STATUS_CORRUPT, "the range is not whole");
    report(bench, "range over everything", started, count, ctx);
}

static void update(struct context *ctx, struct bench *bench, struct tree *tree)
{
    struct prng prng;
    uint8_t key[KEY_BYTES];
    static uint8_t value[TREE_INLINE_VALUE_BYTES_MAX];
    uint64_t count = bench->items / 4;
    uint64_t slot = tree_row(tree).applied;
    prng_init(&prng, 6);
    struct start started = start(ctx);
    for (uint64_t i = 0; i < count; i++) {
        make_key(key, prng_below(&prng, bench->items), false);
        struct tree_mutation put = {.kind = TREE_PUT,
                                    .key = bytes_of(key, KEY_BYTES),
                                    .value = bytes_of(value, bench->value_bytes)};
        must(tree_apply(ctx, tree, &put, 1, ++slot), "apply");
    }
    report(bench, "random updates, one by one", started, count, ctx);
}

static void run(struct context *ctx, void *argument)
{
    struct bench *bench = argument;
    struct tree *tree;
    struct tree *other;
    must(forest_open(ctx, &bench->options, &bench->forest), "open");
    struct fiber_options fiber = {.arena_bytes_max = 65536, .deadline_ns = UINT64_MAX};
    must(fiber_spawn(ctx->env, &fiber, checkpointer, bench), "fiber");
    must(tree_create(bench->forest, (struct replica_id){.group = 1, .node = 1}, BYTES(""), &tree),
         "create");
    load(ctx, bench, tree, false, "load in random order");
    make_keys_only(ctx, bench);
    read_points(ctx, bench, tree, "point reads");
    read_points(ctx, bench, tree, "point reads again");
    read_ranges(ctx, bench, tree);
    update(ctx, bench, tree);
    if (!bench->in_memory) {
        must(tree_create(bench->forest, (struct replica_id){.group = 2, .node = 1}, BYTES(""),
                         &other),
             "create");
        load(ctx, bench, other, true, "load in ascending order");
        tree_drop(other);
        while (forest_stats(bench->forest).trees_dropping > 0) {
            must(context_sleep(ctx, 10000000), "sleep");
            must(forest_checkpoint(ctx, bench->forest, (struct lsn){0}), "checkpoint");
        }
    }
    context_cancel(bench->checkpointer);
    while (bench->checkpointer != NULL)
        context_yield(ctx);
    uint64_t closed_ns = env_now_ns(ctx->env);
    must(forest_close(ctx, bench->forest, (struct lsn){0}), "close");
    printf("closed in %.0f ms\n", (double)(env_now_ns(ctx->env) - closed_ns) / 1e6);
    env_uv_stop(ctx->env);
}

static void log_write(void *sink, enum log_level level, struct bytes line)
{
    (void)sink;
    (void)level;
    fprintf(stderr, "%.*s\n", BYTES_ARGS(line));
}

int main(int argc, char **argv)
{
    static struct log log = {.level_max = LOG_WARNING, .write = log_write};
    struct bench bench = {.items = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000,
                          .value_bytes = argc > 2 ? strtoull(argv[2], NULL, 10) : 200};
    uint64_t cache_mib = argc > 3 ? strtoull(argv[3], NULL, 10) : 512;
    bench.in_memory = argc > 4 && strcmp(argv[4], "memory") == 0;
    bench.items = bench.items / BATCH * BATCH;
    if (bench.items == 0 || bench.value_bytes > TREE_INLINE_VALUE_BYTES_MAX)
        return 2;
    bench.options = (struct forest_options){
        .path = PATH, .create = true, .in_memory = bench.in_memory, .cache_bytes = cache_mib << 20};
    struct env_uv_options options = {.log = &log, .in_memory = bench.in_memory};
    struct env *env;
    if (!bench.in_memory)
        (void)unlink(PATH);
    must(env_uv_open(&options, &env), "loop");
    must(fiber_pool_open(env, 16, 256u << 10), "fibers");
    struct fiber_options fiber = {.arena_bytes_max = 64u << 20, .deadline_ns = UINT64_MAX};
    must(fiber_spawn(env, &fiber, run, &bench), "fiber");
    env_uv_run(env);
    if (!bench.in_memory) {
        FILE *file = fopen(PATH, "r");
        if (file != NULL) {
            (void)fseek(file, 0, SEEK_END);
            printf("%ld bytes on disk after closing: %.2f times the items' bytes (key and value)\n",
                   ftell(file),
                   (double)ftell(file) /
                       ((double)bench.items * (double)(bench.value_bytes + KEY_BYTES)));
            fclose(file);
        }
        (void)unlink(PATH);
    }
    fiber_pool_close(env);
    env_uv_close(env);
    return 0;
}
