/* storage_program.h - a program on a node's log and forest alone: what src/node does with them,
 * with everything that src/storage offers and the server does not use yet.
 *
 * It keeps a few trees, each with a writer that appends batches to the log, waits until they are
 * durable, and applies them; that removes its tree and makes a new one; and that installs a copy,
 * made from a snapshot, in its tree's place.  A checkpointer runs, and readers, which compare
 * points, ranges and whole snapshots with the model (check/tree_model.h).  The log says what trees
 * there are: CONFIGURATION makes one, ENTRY changes it, REMOVAL drops it.
 *
 * What must hold after any crash: every tree that the log confirmed is there, with every slot that
 * it confirmed, in order, and what it holds is the model's at its last slot.
 *
 * The struct outlives the node's incarnations; a life begins with storage_program_start and ends
 * with a crash or when `state` is STOPPED or GAVE_UP.
 */
#ifndef SIM_WORKLOAD_STORAGE_PROGRAM_H
#define SIM_WORKLOAD_STORAGE_PROGRAM_H

#include "sim/check/tree_model.h"
#include "sim/scenario.h"
#include "storage/forest.h"
#include "storage/wal.h"

#define STORAGE_TREES_MAX 3u
#define STORAGE_DIR       "data"

struct storage_options {
    uint32_t trees;
    struct tree_model_shape shape;
    uint64_t cache_bytes, snapshot_bytes;
    uint32_t reserve_pages, drop_pages_per_s;
    uint64_t segment_bytes; /* of the log: the first and the largest */
    uint64_t live_bytes;    /* of the log, at most */
    uint64_t checkpoint_ns; /* between two, at most */
    uint64_t pause_ns;      /* of writers and readers between two actions, at most */
    uint32_t fibers_max;    /* of the pool, over those that always run */
};

enum storage_tree_state {
    STORAGE_TREE_ABSENT,
    STORAGE_TREE_CREATING, /* its configuration is in the log, perhaps durable */
    STORAGE_TREE_PRESENT,
    STORAGE_TREE_REMOVING, /* its removal is in the log, perhaps durable */
};

struct storage_tree {
    struct storage_program *program;
    struct replica_id id; /* `added` grows with each tree that is made */
    enum storage_tree_state state;
    struct lsn structural; /* of the configuration or removal that is not carried out yet */
    struct tree_model model;
    uint64_t durable; /* slots that the log confirmed */
    /* Of this life. */
    struct tree *tree;
    uint64_t applied, applying; /* slots; the second while tree_apply runs */
    bool ready;                 /* what was logged is applied */
    /* While the log is read. */
    bool found;
    bool found_gap; /* of a tree whose configuration was carried forward, and which goes later on */
    uint64_t found_added, found_slot;
};

enum storage_state {
    STORAGE_DOWN,
    STORAGE_OPENING,
    STORAGE_OPEN, /* and what was in the log is applied */
    STORAGE_STOPPED,
    STORAGE_GAVE_UP, /* `status` says why */
};

struct storage_program {
    struct sim *sim;
    struct prng *prng;
    struct heap *heap; /* the scenario's */
    struct storage_options options;
    struct scenario_result *result;
    struct storage_tree trees[STORAGE_TREES_MAX];
    uint64_t token;      /* the last one */
    uint64_t operations; /* slots applied, reads compared */
    bool shrinking;      /* more is deleted than put */
    bool check_all;      /* each start compares every tree and page */
    /* Of this life. */
    struct env *env;
    struct forest *forest;
    struct wal *wal;
    struct lsn log_from;
    enum storage_state state;
    enum status status;
    uint32_t fibers;
    bool stopping;             /* what runs ends */
    bool closing;              /* only the checkpointer is left, and ends */
    struct wait_queue changed; /* of the log's state, and of `fibers` and `stopping` */
};

void storage_program_init(struct storage_program *program, struct sim *sim, struct heap *heap,
                          const struct storage_options *options, struct scenario_result *result);
void storage_program_release(struct storage_program *program);

void storage_program_start(struct storage_program *program, struct env *env);

/* Finish what runs, and close everything. */
void storage_program_stop(struct storage_program *program);

/* The node's memory is gone. */
void storage_program_crashed(struct storage_program *program);

#endif
