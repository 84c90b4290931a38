/* main.c - one storage engine, measured once: engines_bench --engine NAME --dir FOLDER [...].
 *
 * The folder is made, filled and removed.  Items are as the server keeps them: keys of ten items to
 * a partition key, behind a hash of that, and values of 200 bytes.  Prints one line of JSON;
 * `cpu_us` is of the whole process, all threads, user and kernel; bench/engines.py compares. */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/checksum.h"
#include "base/codec.h"
#include "base/compiler.h"
#include "base/prng.h"
#include "engine.h"

#define PK_BYTES      13u /* user#00000000 */
#define SK_BYTES      10u /* order#0000 */
#define KEY_BYTES     (8u + 2u + PK_BYTES + 1u + SK_BYTES)
#define VALUE_BYTES   200u
#define PARTITION     10u /* items of one partition key, and of one range */
#define POOL_BYTES    65536u
#define READERS_MAX   64u
#define CHECK_EVERY   64u /* operations between two looks at the clock */
#define WAIT_READ_NS  200000u
#define WAIT_GROUP_NS 10000000u
#define DELETE_SHARE  10u /* one item in so many is deleted at the end */

struct options {
    const struct engine_type *type;
    const char *dir;
    uint64_t items, cache_mib, log_mib;
    unsigned readers, group;
    double seconds;
};

struct bench {
    struct options options;
    struct engine *engine;
    struct session *session; /* the first worker's */
    uint64_t *partitions;    /* their numbers, in the order of their hashes */
    uint8_t *pool;           /* random bytes: values are pieces of it */
    uint64_t seed;           /* of the next worker's choices */
    /* What workers share; one at a time changes it, or each its own. */
    uint64_t until_ns, operations;
    uint64_t *waits;
    uint64_t wait_count, wait_count_max, updates;
    uint64_t wait_from_ns; /* when the next reader's first read is due */
    bool reading;
};

/* ---- Base ---- */

uint64_t bench_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t cpu_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void bench_fail(const char *what, const char *why)
{
    fprintf(stderr, "engines_bench: %s: %s\n", what, why);
    exit(1);
}

static void *must_alloc(size_t count, size_t bytes)
{
    void *memory = calloc(count, bytes);
    if (memory == NULL)
        bench_fail("memory", "none");
    return memory;
}

/* ---- Items ---- */

static void put_digits(uint8_t *to, unsigned digits, uint64_t number)
{
    while (digits-- > 0) {
        to[digits] = (uint8_t)('0' + number % 10);
        number /= 10;
    }
}

static uint64_t partition_hash(uint64_t partition, uint8_t pk[PK_BYTES])
{
    memcpy(pk, "user#", 5);
    put_digits(pk + 5, PK_BYTES - 5, partition);
    return checksum64(bytes_of(pk, PK_BYTES), 1);
}

/* As model/key.h encodes it. */
static struct bytes make_key(uint8_t to[KEY_BYTES], uint64_t item)
{
    uint64_t hash = partition_hash(item / PARTITION, to + 10);
    for (unsigned i = 0; i < 8; i++)
        to[i] = (uint8_t)(hash >> (56 - 8 * i));
    to[8] = 0;
    to[9] = PK_BYTES;
    uint8_t *sort = to + 10 + PK_BYTES;
    sort[0] = 0; /* the collection */
    memcpy(sort + 1, "order#", 6);
    put_digits(sort + 7, SK_BYTES - 6, item % PARTITION);
    return bytes_of(to, KEY_BYTES);
}

/* The item's number, and random bytes. */
static struct bytes make_value(const struct bench *bench, uint8_t to[VALUE_BYTES], uint64_t item,
                               uint64_t random)
{
    memcpy(to, bench->pool + random % (POOL_BYTES - VALUE_BYTES), VALUE_BYTES);
    put_u64(to, item);
    return bytes_of(to, VALUE_BYTES);
}

static void check_value(struct bytes value, uint64_t item)
{
    if (value.count != VALUE_BYTES || get_u64(value.at) != item)
        bench_fail("read", "not what was written");
}

/* ---- Measuring ---- */

struct measure {
    uint64_t wall_ns, cpu_ns;
};

static struct measure begin(void)
{
    return (struct measure){.wall_ns = bench_now_ns(), .cpu_ns = cpu_now_ns()};
}

static void report(const char *what, struct measure began, uint64_t operations)
{
    double count = (double)operations * 1000;
    printf(", \"%s\": {\"operations\": %" PRIu64 ", \"cpu_us\": %.4f, \"wall_us\": %.4f}", what,
           operations, (double)(cpu_now_ns() - began.cpu_ns) / count,
           (double)(bench_now_ns() - began.wall_ns) / count);
}

/* What the files of the folder take; removes them when asked to. */
static uint64_t folder_bytes(const char *dir, bool remove)
{
    uint64_t bytes = 0;
    DIR *folder = opendir(dir);
    if (folder == NULL)
        return 0;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        struct stat status;
        int fd = dirfd(folder);
        if (entry->d_name[0] == '.' || fstatat(fd, entry->d_name, &status, 0) != 0)
            continue;
        bytes += (uint64_t)status.st_blocks * 512;
        if (remove)
            (void)unlinkat(fd, entry->d_name, 0);
    }
    (void)closedir(folder);
    return bytes;
}

/* ---- The parts ---- */

struct load_at {
    const struct bench *bench;
    uint64_t given;
    uint8_t key[KEY_BYTES];
};

/* Values are pieces of the pool as they are, but for those of the items' numbers: two buffers'
 * worth of them must live at once (engine_trine batches them). */
static bool next_item(void *argument, struct bytes *key, struct bytes *value)
{
    static uint8_t values[256][VALUE_BYTES];
    struct load_at *at = argument;
    const struct bench *bench = at->bench;
    if (at->given == bench->options.items)
        return false;
    uint64_t item =
        bench->partitions[2 * (at->given / PARTITION) + 1] * PARTITION + at->given % PARTITION;
    *key = make_key(at->key, item);
    *value = make_value(bench, values[at->given % 256], item, item * 7919);
    at->given++;
    return true;
}

static int compare_hashes(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return x[0] < y[0] ? -1 : x[0] > y[0];
}

/* Pairs of hash and number. */
static void sort_partitions(struct bench *bench)
{
    uint64_t count = bench->options.items / PARTITION;
    uint8_t pk[PK_BYTES];
    bench->partitions = must_alloc(count, 2 * sizeof(uint64_t));
    for (uint64_t i = 0; i < count; i++) {
        bench->partitions[2 * i] = partition_hash(i, pk);
        bench->partitions[2 * i + 1] = i;
    }
    qsort(bench->partitions, count, 2 * sizeof(uint64_t), compare_hashes);
}

static uint64_t random_item(const struct bench *bench, struct prng *prng)
{
    return prng_below(prng, bench->options.items);
}

static void get_one(const struct bench *bench, struct session *session, struct prng *prng)
{
    uint8_t key[KEY_BYTES];
    struct bytes value;
    uint64_t item = random_item(bench, prng);
    if (!bench->options.type->get(session, make_key(key, item), &value))
        bench_fail("get", "not found");
    check_value(value, item);
}

struct range_check {
    uint64_t first;
    unsigned seen;
};

static void check_range(void *argument, struct bytes key, struct bytes value)
{
    struct range_check *check = argument;
    if (key.count != KEY_BYTES)
        bench_fail("range", "not the key");
    check_value(value, check->first + check->seen++);
}

/* The ten items of a partition key, as a Query of ten. */
static void range_one(const struct bench *bench, struct session *session, struct prng *prng)
{
    uint8_t key[KEY_BYTES];
    struct range_check check = {.first = random_item(bench, prng) / PARTITION * PARTITION};
    if (bench->options.type->range(session, make_key(key, check.first), PARTITION, check_range,
                                   &check) != PARTITION)
        bench_fail("range", "not whole");
}

static void repeat(struct worker *worker, struct bench *bench,
                   void (*one)(const struct bench *bench, struct session *session,
                               struct prng *prng))
{
    struct prng prng;
    struct session *session = worker->type->session_open(worker, bench->engine);
    uint64_t count = 0;
    prng_init(&prng, __atomic_add_fetch(&bench->seed, 1, __ATOMIC_RELAXED));
    while (bench_now_ns() < bench->until_ns)
        for (unsigned i = 0; i < CHECK_EVERY; i++, count++)
            one(bench, session, &prng);
    (void)__atomic_add_fetch(&bench->operations, count, __ATOMIC_RELAXED);
    worker->type->session_close(session);
}

static void get_worker(struct worker *worker, void *argument)
{
    repeat(worker, argument, get_one);
}

static void range_worker(struct worker *worker, void *argument)
{
    repeat(worker, argument, range_one);
}

static void measure_workers(struct worker *worker, struct bench *bench, const char *what,
                            worker_body *body)
{
    worker_body *bodies[READERS_MAX];
    for (unsigned i = 0; i < bench->options.readers; i++)
        bodies[i] = body;
    bench->operations = 0;
    bench->until_ns = bench_now_ns() + (uint64_t)(bench->options.seconds * 1e9);
    struct measure began = begin();
    worker->type->fork(worker, bodies, bench->options.readers, bench);
    report(what, began, bench->operations);
}

struct group {
    struct engine_change changes[ENGINE_GROUP_MAX];
    uint8_t keys[ENGINE_GROUP_MAX][KEY_BYTES];
    uint8_t values[ENGINE_GROUP_MAX][VALUE_BYTES];
};

static void update_group(const struct bench *bench, struct session *session, struct prng *prng,
                         struct group *group)
{
    for (unsigned i = 0; i < bench->options.group; i++) {
        uint64_t item = random_item(bench, prng);
        group->changes[i].key = make_key(group->keys[i], item);
        group->changes[i].value = make_value(bench, group->values[i], item, prng_u64(prng));
    }
    bench->options.type->group(session, group->changes, bench->options.group);
}

static void measure_updates(struct bench *bench)
{
    struct prng prng;
    struct group *group = must_alloc(1, sizeof(*group));
    uint64_t count = 0;
    prng_init(&prng, ++bench->seed);
    struct measure began = begin();
    uint64_t until_ns = began.wall_ns + (uint64_t)(2 * bench->options.seconds * 1e9);
    for (; bench_now_ns() < until_ns; count += bench->options.group)
        update_group(bench, bench->session, &prng, group);
    report("update", began, count);
    free(group);
}

static void measure_deletes(struct bench *bench)
{
    struct group *group = must_alloc(1, sizeof(*group));
    uint64_t count = 0;
    struct measure began = begin();
    while (count < bench->options.items / DELETE_SHARE) {
        for (unsigned i = 0; i < bench->options.group; i++, count++)
            group->changes[i] = (struct engine_change){
                .key = make_key(group->keys[i], count * DELETE_SHARE % bench->options.items)};
        bench->options.type->group(bench->session, group->changes, bench->options.group);
    }
    report("delete", began, count);
    free(group);
}

/* ---- What readers wait, beside a writer and its checkpoints ---- */

static void wait_reader(struct worker *worker, void *argument)
{
    struct bench *bench = argument;
    struct session *session = worker->type->session_open(worker, bench->engine);
    struct prng prng;
    uint64_t due_ns = bench->wait_from_ns;
    bench->wait_from_ns += WAIT_READ_NS;
    prng_init(&prng, due_ns);
    for (; due_ns < bench->until_ns; due_ns += WAIT_READ_NS * worker->type->wait_readers) {
        if (bench_now_ns() < due_ns)
            worker->type->wait(worker, due_ns, false);
        get_one(bench, session, &prng);
        if (bench->wait_count < bench->wait_count_max)
            bench->waits[bench->wait_count++] = bench_now_ns() - due_ns;
    }
    worker->type->session_close(session);
}

static void wait_writer(struct worker *worker, void *argument)
{
    struct bench *bench = argument;
    struct session *session = worker->type->session_open(worker, bench->engine);
    struct group *group = must_alloc(1, sizeof(*group));
    struct prng prng;
    prng_init(&prng, 78);
    for (uint64_t due_ns = bench_now_ns(); due_ns < bench->until_ns;) {
        update_group(bench, session, &prng, group);
        bench->updates += bench->options.group;
        due_ns = MAX(due_ns + WAIT_GROUP_NS, bench_now_ns());
        worker->type->wait(worker, due_ns, true);
    }
    free(group);
    worker->type->session_close(session);
}

static int compare_waits(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static void measure_waits(struct worker *worker, struct bench *bench)
{
    worker_body *bodies[READERS_MAX + 1];
    unsigned readers = worker->type->wait_readers;
    for (unsigned i = 0; i < readers; i++)
        bodies[i] = wait_reader;
    bodies[readers] = wait_writer;
    uint64_t ns = (uint64_t)(4 * bench->options.seconds * 1e9);
    bench->wait_count_max = ns / WAIT_READ_NS + 1;
    bench->waits = must_alloc(bench->wait_count_max, sizeof(uint64_t));
    memset(bench->waits, 1, bench->wait_count_max * sizeof(uint64_t)); /* no page fault later */
    bench->wait_from_ns = bench_now_ns();
    bench->until_ns = bench->wait_from_ns + ns;
    worker->type->fork(worker, bodies, readers + 1, bench);
    uint64_t count = bench->wait_count;
    qsort(bench->waits, count, sizeof(uint64_t), compare_waits);
    printf(", \"wait\": {\"reads\": %" PRIu64 ", \"updates_per_s\": %.0f, \"p50_us\": %.2f, "
           "\"p99.9_us\": %.2f, \"longest_us\": %.2f}",
           count, (double)bench->updates * 1e9 / (double)ns, (double)bench->waits[count / 2] / 1e3,
           (double)bench->waits[count - 1 - count / 1000] / 1e3,
           (double)bench->waits[count - 1] / 1e3);
    free(bench->waits);
}

/* ---- All of it ---- */

static void ignore_item(void *argument, struct bytes key, struct bytes value)
{
    (void)argument;
    (void)key;
    (void)value;
}

static struct engine *open_engine(struct worker *worker, const struct options *options)
{
    struct engine_options engine = {.dir = options->dir,
                                    .cache_bytes = options->cache_mib << 20,
                                    .log_bytes = options->log_mib << 20};
    return worker->type->open(worker, &engine);
}

static void first_worker(struct worker *worker, void *argument)
{
    struct bench *bench = argument;
    const struct options *options = &bench->options;
    const struct engine_type *type = options->type;
    struct load_at at = {.bench = bench};
    printf("{\"engine\": \"%s\"", type->name);
    bench->engine = open_engine(worker, options);
    struct measure began = begin();
    type->load(worker, bench->engine, next_item, &at);
    type->close(worker, bench->engine);
    report("load", began, options->items);
    printf(", \"bytes_loaded\": %" PRIu64, folder_bytes(options->dir, false));

    bench->engine = open_engine(worker, options);
    bench->session = type->session_open(worker, bench->engine);
    began = begin();
    if (type->range(bench->session, bytes_of("", 1), (unsigned)options->items + 1, ignore_item,
                    NULL) != options->items)
        bench_fail("scan", "not whole");
    report("scan", began, options->items);
    measure_workers(worker, bench, "get", get_worker);
    measure_workers(worker, bench, "range", range_worker);
    measure_updates(bench);
    measure_waits(worker, bench);
    measure_deletes(bench);
    type->session_close(bench->session);
    type->close(worker, bench->engine);
    printf(", \"bytes_after\": %" PRIu64 "}\n", folder_bytes(options->dir, true));
}

static const struct engine_type *const types[] = {&engine_trine, &engine_lmdb, &engine_wiredtiger,
                                                  &engine_rocksdb};

static const struct engine_type *find_type(const char *name)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (strcmp(types[i]->name, name) == 0)
            return types[i];
    return NULL;
}

static struct options parse(int argc, char **argv)
{
    struct options o = {
        .items = 200000, .cache_mib = 128, .log_mib = 16, .readers = 1, .group = 100, .seconds = 1};
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (strcmp(name, "--engine") == 0)
            o.type = find_type(value);
        else if (strcmp(name, "--dir") == 0)
            o.dir = value;
        else if (strcmp(name, "--items") == 0)
            o.items = strtoull(value, NULL, 10) / PARTITION * PARTITION;
        else if (strcmp(name, "--cache") == 0)
            o.cache_mib = strtoull(value, NULL, 10);
        else if (strcmp(name, "--log") == 0)
            o.log_mib = strtoull(value, NULL, 10);
        else if (strcmp(name, "--readers") == 0)
            o.readers = (unsigned)strtoul(value, NULL, 10);
        else if (strcmp(name, "--group") == 0)
            o.group = (unsigned)strtoul(value, NULL, 10);
        else if (strcmp(name, "--seconds") == 0)
            o.seconds = strtod(value, NULL);
        else
            o.type = NULL;
        if (o.type == NULL && strcmp(name, "--dir") != 0)
            break;
    }
    if (argc % 2 == 0 || o.type == NULL || o.dir == NULL || o.items < 1000 || o.readers == 0 ||
        o.readers > READERS_MAX || o.group == 0 || o.group > ENGINE_GROUP_MAX) {
        fprintf(stderr, "usage: engines_bench --engine trine|lmdb|wiredtiger|rocksdb --dir FOLDER\n"
                        "  [--items N] [--cache MiB] [--log MiB] [--readers N] [--group N]"
                        " [--seconds S]\n");
        exit(2);
    }
    return o;
}

int main(int argc, char **argv)
{
    struct bench bench = {.options = parse(argc, argv), .seed = 1};
    struct prng prng;
    prng_init(&prng, 3);
    bench.pool = must_alloc(1, POOL_BYTES);
    for (unsigned i = 0; i < POOL_BYTES; i += 8)
        put_u64(bench.pool + i, prng_u64(&prng));
    sort_partitions(&bench);
    (void)mkdir(bench.options.dir, 0700);
    (void)folder_bytes(bench.options.dir, true);
    bench.options.type->run(bench.options.type, first_worker, &bench);
    free(bench.partitions);
    free(bench.pool);
    (void)rmdir(bench.options.dir);
    return 0;
}
