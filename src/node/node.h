/* node.h - the storage node: hosts the replicas of partitions, executes reads and writes on them,
 * applies their logs.
 *
 * A node has one write-ahead log and one forest for all its replicas.  Each replica is a
 * replication group's member: the protocol core decides (paxos/paxos.h), the node carries out.  A
 * write is evaluated against tree + overlay, proposed, answered when its entry is committed, and
 * applied to the tree behind that.
 *
 * Reading order: node_private.h, open.c (start and recovery), write.c, propose.c, apply.c, read.c,
 * checkpoint.c.
 */
#ifndef NODE_NODE_H
#define NODE_NODE_H

#include "env/fiber.h"
#include "route/replica_service.h"
#include "storage/forest.h"
#include "storage/wal.h"

struct node;

struct node_options {
    const char *dir;           /* holds the log and the tree file; exists */
    uint32_t node_id;          /* from 1 */
    bool in_memory;            /* the env's files are in RAM; there is no tree file */
    bool accept_loss;          /* the operator's flag: start although the log has lost records */
    uint64_t cache_bytes;      /* of the forest's frames; 0 = its default (forest.h) */
    uint64_t checkpoint_bytes; /* log between two checkpoints; bounds recovery: at eight times so
                                * much, and 64 MiB, writers wait; 0 = 64 MiB, 1 MiB in memory */
    uint64_t collection_bytes_max; /* of an item collection of a table with local indexes, beyond
                                      which it may not grow; 0 = 10 GB */
    uint32_t read_units;    /* a second, that bursts of all tables stay below; 0 = its default */
    uint32_t write_units;   /* likewise; at most 45,000 */
    uint64_t checkpoint_ns; /* the longest time between two checkpoints while anything changes; 0 =
                               60 s */
};

/* Open or make the node's files, recover, and start every replica; returns when all of them serve.
 *   STATUS_LOCKED, STATUS_CORRUPT, STATUS_VERSION, STATUS_INVALID (another kind of directory),
 *   STATUS_NO_SPACE, STATUS_DENIED, STATUS_IO, STATUS_NO_MEMORY: nothing is open; a log line says
 *   more */
MUST_USE enum status node_open(struct context *ctx, const struct node_options *options,
                               struct node **node);

/* Stop cleanly: no request may be running.  Applies what is committed, writes a last checkpoint,
 * closes log and forest. The node is freed whatever the status is; on another status than OK the
 * next start recovers from the log. */
MUST_USE enum status node_close(struct context *ctx, struct node *node);

/* The calls of the router. */
struct replica_service *node_service(struct node *node);

/* Whom to tell of intents that stay: that of `item` in a table belongs to transaction `id`, which
 * has not come to its end for TXN_STALE_NS, or was found at the start: told of at once.  Told again
 * each time as long passes; soon, if it answers false: it has too much to do, and has done nothing.
 * Does not wait; the transaction may end in the call. */
struct node_nudger {
    bool (*nudge)(void *owner, struct txn_id id, uint64_t table_id, struct bytes item);
    void *owner;
};

void node_set_nudger(struct node *node, const struct node_nudger *nudger);

/* Can it take writes?  STATUS_OK, STATUS_NO_SPACE, STATUS_IO, ... */
enum status node_writable(const struct node *node);

struct node_stats {
    uint64_t replicas;
    uint64_t proposals;      /* entries appended */
    uint64_t commits;        /* entries committed */
    uint64_t applied;        /* entries applied */
    uint64_t apply_failures; /* batches that had to be tried again */
    uint64_t overlay_bytes;  /* now, all replicas */
    uint64_t overlay_waits;  /* writes that waited for room */
    uint64_t condition_failures;
    uint64_t expired;       /* items deleted because their time had come */
    uint64_t expiries_seen; /* rows looked at that say when an item expires */
    uint64_t unknown_outcomes;
    uint64_t changes_kept;      /* change records made */
    uint64_t changes_trimmed;   /* and trimmed */
    uint64_t intents;           /* now, all replicas */
    uint64_t conflicts;         /* writes refused because of one, or for their timestamp */
    struct histogram commit_ns; /* from proposal to commit */
};

const struct node_stats *node_stats(const struct node *node);

/* What the records of changes take, of all replicas. */
struct collection_size node_changes_size(const struct node *node);

/* Tokens (halves of capacity units) that are left now, by kind; negative: debts. */
struct node_tokens {
    int64_t node[ADMISSION_KINDS];
    int64_t partition_least[ADMISSION_KINDS]; /* of the partition that has the fewest, of those that
                                               * are held to a share; INT64_MAX: there is none */
};
struct node_tokens node_tokens(const struct node *node);

const struct wal_stats *node_wal_stats(const struct node *node);
struct forest_stats node_forest_stats(const struct node *node);

#endif
