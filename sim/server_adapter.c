/* server_adapter.c - the program's own server, as `trine serve` starts it. */
#include "sim/server_adapter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "env/fiber.h"
#include "main/server.h"
#include "storage/superblock.h"
#include "storage/wal_format.h"

struct whole_server {
    struct env *env;
    struct server *server;
    struct server_options options;
    void (*on_started)(void *owner, enum status status);
    void (*on_stopped)(void *owner);
    void *owner;
};

static void on_ready(void *owner, struct server *server)
{
    struct whole_server *whole = owner;
    (void)server;
    whole->on_started(whole->owner, STATUS_OK);
}

/* It was asked to, or it did not come up. */
static void on_stopped(void *owner, enum status status, const char *why)
{
    struct whole_server whole = *(struct whole_server *)owner;
    log_line(whole.env->log, LOG_INFO, "sim", "the server has stopped: %s %s", status_name(status),
             why);
    heap_free(whole.env->heap, owner, sizeof(whole));
    if (whole.on_stopped != NULL)
        whole.on_stopped(whole.owner);
    else
        whole.on_started(whole.owner, status);
}

static const struct server_events events = {on_ready, on_stopped};

static void start(struct env *env, const struct server_settings *settings,
                  void (*on_started)(void *owner, enum status status), void *owner, void **server)
{
    struct whole_server *whole = heap_alloc_zero(env->heap, sizeof(*whole));
    ASSERT(whole != NULL);
    whole->env = env;
    whole->on_started = on_started;
    whole->owner = owner;
    whole->options = server_options_default();
    whole->options.port = settings->port;
    whole->options.data_dir = settings->data;
    whole->options.cache_bytes = settings->cache_bytes;
    whole->options.checkpoint_bytes = settings->checkpoint_bytes;
    whole->options.on_demand_partitions = settings->on_demand_partitions;
    whole->options.ttl_sweep_ns = settings->ttl_sweep_ns;
    *server = whole;
    enum status status = fiber_pool_open(env, SERVER_FIBERS_MAX, SERVER_STACK_BYTES);
    if (status == STATUS_OK)
        status = server_start(env, &whole->options, &events, whole, &whole->server);
    ASSERT(status == STATUS_OK); /* want of memory is not simulated */
}

static void stop(struct env *env, void *server, void (*on_stopped_by_owner)(void *owner),
                 void *owner)
{
    struct whole_server *whole = server;
    (void)env;
    whole->on_stopped = on_stopped_by_owner;
    whole->owner = owner;
    server_stop(whole->server);
}

/* Either superblock of the tree file may be lost, as long as the other is there, and on
 * the disk. */
static bool damage(struct sim_node *node, const char *data, struct prng *prng)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/tree", data);
    if (!sim_disk_durable(node, path))
        return false;
    struct superblock supers[2];
    for (uint32_t i = 0; i < 2; i++) {
        uint8_t block[SUPERBLOCK_BYTES];
        uint64_t at = (uint64_t)i * SUPERBLOCK_SPACING;
        if (sim_disk_read(node, path, at, block, sizeof(block)) != STATUS_OK ||
            superblock_decode(block, i, &supers[i]) != STATUS_OK)
            return false;
    }
    uint64_t newer = supers[1].epoch > supers[0].epoch ? 1 : 0;
    uint64_t which = prng_one_in(prng, 4) ? 1 - newer : newer;
    uint64_t at = which * SUPERBLOCK_SPACING + prng_below(prng, SUPERBLOCK_BYTES);
    return sim_disk_flip(node, path, at, (uint8_t)(1u << prng_below(prng, 8))) == STATUS_OK;
}

/* ---- Damage of the log ---- */

#define BATCHES_MAX 4096u

struct batch_place {
    char path[128];
    uint64_t at;
    uint32_t bytes;
    uint64_t end; /* the LSN */
};

/* The batches of the log's files, and how much of it the newest ones know to be synced. */
struct log_places {
    struct sim_node *node;
    char prefix[128];
    struct batch_place batches[BATCHES_MAX];
    uint32_t count;
    uint64_t synced;
};

static void add_segment(void *argument, const char *path)
{
    struct log_places *places = argument;
    size_t prefix = strlen(places->prefix);
    uint8_t block[WAL_BLOCK_BYTES];
    struct wal_segment_header segment;
    if (strncmp(path, places->prefix, prefix) != 0 ||
        sim_disk_read(places->node, path, 0, block, sizeof(block)) != STATUS_OK ||
        wal_segment_header_decode(block, &segment) != WAL_VALID ||
        segment.sequence != wal_segment_sequence(path + prefix))
        return;
    uint64_t at = WAL_BLOCK_BYTES;
    struct wal_batch_header batch;
    while (places->count < BATCHES_MAX &&
           sim_disk_read(places->node, path, at, block, WAL_BATCH_HEADER_BYTES) == STATUS_OK &&
           wal_batch_header_decode(block, segment.log_id, &batch) &&
           batch.sequence == segment.sequence && batch.nonce == segment.nonce) {
        struct batch_place *place = &places->batches[places->count++];
        *place =
            (struct batch_place){.at = at, .bytes = batch.length, .end = wal_batch_end(&batch)};
        snprintf(place->path, sizeof(place->path), "%s", path);
        places->synced = MAX(places->synced, batch.synced);
        at += wal_padded(batch.length);
    }
}

/* A bit of a batch of which a later one says that it was synced.  Of the last one a node alone
 * cannot know whether a crash left it so. */
static bool damage_found(struct sim_node *node, const char *data, struct prng *prng)
{
    struct log_places *places = calloc(1, sizeof(*places));
    ASSERT(places != NULL);
    places->node = node;
    snprintf(places->prefix, sizeof(places->prefix), "%s/", data);
    sim_disk_list(node, add_segment, places);
    uint32_t count = 0;
    for (uint32_t i = 0; i < places->count; i++) {
        if (places->batches[i].end <= places->synced)
            places->batches[count++] = places->batches[i];
    }
    bool found = false;
    if (count > 0) {
        const struct batch_place *place = &places->batches[prng_below(prng, count)];
        uint64_t at = place->at + prng_below(prng, place->bytes);
        uint8_t mask = (uint8_t)(1u << prng_below(prng, 8));
        found = sim_disk_flip(node, place->path, at, mask) == STATUS_OK;
    }
    free(places);
    return found;
}

const struct server_adapter trine_adapter = {.name = "trine",
                                             .batches = true,
                                             .expires = true,
                                             .streams = true,
                                             .throttles = true,
                                             .frees_all = true,
                                             .start = start,
                                             .damage = damage,
                                             .damage_found = damage_found,
                                             .stop = stop};
