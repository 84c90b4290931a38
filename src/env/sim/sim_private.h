/* sim_private.h - the inside of the simulated world; see sim_env.h.
 *
 * world.c  the clock, the queue of events, the trace        loop.c  a node's loop, clocks, timers
 * worker.c jobs on their stacks                              inode.c content of files
 * names.c  directories                                       file.c  the file functions of env.h
 * link.c   streams, listeners, clients                       node.c  incarnations
 * disk.c   power loss, and a disk from outside
 */
#ifndef ENV_SIM_SIM_PRIVATE_H
#define ENV_SIM_SIM_PRIVATE_H

#include "base/assert.h"
#include "base/buffer.h"
#include "base/list.h"
#include "env/sim/sim_env.h"
#include "env/switch.h"

#define SIM_BLOCK_BYTES  4096u
#define SIM_SECTOR_BYTES 512u
#define SIM_SECTORS      (SIM_BLOCK_BYTES / SIM_SECTOR_BYTES)
#define SIM_STACK_BYTES  ((size_t)512 << 10)
#define SIM_PATH_BYTES   256u
#define SIM_LINK_WINDOW  65536u
#define SIM_READ_WORKERS 4u
#define SIM_WORKERS_MAX  16u /* of one lane */

/* What is folded into the trace hash before its values. */
enum sim_trace_kind {
    SIM_TRACE_EVENT = 1,
    SIM_TRACE_TURN,
    SIM_TRACE_RANDOM,
    SIM_TRACE_JOB,
    SIM_TRACE_FILE,
    SIM_TRACE_BYTES,
    SIM_TRACE_FAULT,
    SIM_TRACE_SCENARIO,
};

struct sim {
    struct sim_options options;
    struct heap heap;
    uint64_t now_ns;
    uint64_t sequence;
    struct sim_event **queue; /* a binary heap by (due_ns, sequence); queue[0] is not used */
    size_t queue_count, queue_capacity;
    uint64_t hash;
    struct prng choices;  /* the world's own */
    struct prng scenario; /* sim_prng */
    uint64_t faults[SIM_FAULT_COUNT];
    struct list nodes;       /* sim_node.link */
    struct list connections; /* sim_connection.link */
    struct list stacks;      /* sim_stack.link: free ones */
    uint64_t connection_count;
    struct stack_switch loop;
    struct sim_worker *worker; /* whose stack runs; NULL on the loop's */
};

/* ---- world.c ---- */

void *sim_alloc(struct sim *sim, size_t bytes); /* zeroed; aborts when there is none */
void sim_fold(struct sim *sim, enum sim_trace_kind kind, uint64_t a, uint64_t b);
void sim_count_fault(struct sim *sim, enum sim_fault fault, const char *where);

/* True once in `one_in`; never when it is 0, and then draws nothing. */
bool sim_chance(struct sim *sim, uint32_t one_in);
uint64_t sim_below(struct sim *sim, uint64_t bound);

/* A duration around `mean_ns`: mostly within a factor of two, now and then ten times that. */
uint64_t sim_duration(struct sim *sim, uint64_t mean_ns);

/* Unschedule all events of `node`. */
void sim_cancel_node(struct sim *sim, const struct sim_node *node);

/* ---- loop.c: what waits for the node's loop ---- */

/* Work of a node's loop: falls due by its event, then waits in `ready` for the loop's next turn. */
struct sim_item {
    struct sim_event event;
    struct list ready;
    void (*run)(struct sim_item *item);
};

struct sim_timer {
    struct sim_item item;
    struct env_timer *timer;
    struct sim_node *node;
};

struct sim_inode;
struct sim_worker;
struct sim_disk;

/* A changing operation of the namespace that no sync of its directory has covered. */
enum sim_name_change { SIM_NAME_LINK, SIM_NAME_UNLINK, SIM_NAME_RENAME };

struct sim_disk {
    struct sim *sim;
    struct list current; /* sim_name.link, sorted by path: what is seen */
    struct list durable; /* sim_name.link, sorted by path: what a power loss leaves at least */
    struct list changes; /* sim_change.link: from durable to current, in order */
    uint64_t bytes_used;
    uint64_t write_sequence;
    uint64_t inode_count;
};

struct sim_lane {
    struct list waiting; /* sim_job.link */
    uint32_t waiting_count;
    uint64_t done_ns; /* of a single worker: when its last job is done */
    uint32_t worker_count;
    struct sim_worker *workers[SIM_WORKERS_MAX];
};

struct sim_node {
    struct list link;
    struct sim *sim;
    const char *name;
    struct sim_disk disk;
    uint64_t incarnation; /* counts starts */
    uint64_t changes;
    uint64_t crash_in; /* changing operations until a crash; 0 = none */
    enum sim_crash crash_kind;
    struct sim_event crash_event;

    /* The incarnation; of no meaning while !running. */
    bool running;
    struct env env;
    struct heap heap;
    struct log log;
    struct prng prng;
    uint64_t clock_offset_ns, wall_offset_ns;
    uint64_t busy_until_ns;
    struct sim_event turn;
    struct list ready;  /* sim_item.ready */
    struct list tasks;  /* env_task.link */
    struct heap kernel; /* what the world holds for the incarnation */
    struct sim_lane lanes[ENV_LANE_COUNT];
    struct list listeners; /* env_listener.link */
    struct list files;     /* env_file.link: open */
};

/* ---- loop.c, continued ---- */

/* Clocks, randomness and the loop of a new incarnation. */
void sim_loop_init(struct sim_node *node);
void sim_loop_ops(struct env_ops *ops);

/* Memory of the incarnation, not of its program; zeroed. */
void *sim_kernel_alloc(struct sim_node *node, size_t bytes);

void sim_item_schedule(struct sim_node *node, struct sim_item *item, uint64_t delay_ns,
                       void (*run)(struct sim_item *item));
void sim_item_cancel(struct sim *sim, struct sim_item *item);
bool sim_item_waits(const struct sim_item *item);

static inline struct sim_node *sim_node_of(struct env *env)
{
    return CONTAINER_OF(env, struct sim_node, env);
}

/* ---- worker.c ---- */

struct sim_stack {
    struct list link;
    void *low;
};

/* An operation of a worker that takes time; what a crash in its middle needs to know. */
struct sim_operation {
    enum { SIM_OPERATION_OTHER, SIM_OPERATION_WRITE, SIM_OPERATION_SYNC } kind;
    struct sim_inode *inode;
    uint64_t offset;
    const struct bytes *runs;
    size_t run_count;
    uint64_t write_sequence; /* of the disk, when a sync began */
};

/* A job from its submission until `done`. */
struct sim_job {
    struct list link; /* sim_lane.waiting */
    struct env_job *job;
    uint64_t submitted_ns;
    struct sim_item done;
};

struct sim_worker {
    struct sim_node *node;
    enum env_lane lane;
    struct stack_switch flow;
    struct sim_stack *stack; /* NULL until the job begins */
    struct sim_job *job;     /* NULL while idle */
    bool finished;           /* the job's run has returned */
    struct sim_event resume; /* the job's beginning, or the end of its operation */
    struct sim_operation operation;
};

void sim_workers_open(struct sim_node *node);

/* The jobs vanish where they are. */
void sim_workers_close(struct sim_node *node);
enum status sim_job_submit(struct env *env, struct env_job *job);

/* The worker on whose stack this runs; aborts outside a job. */
struct sim_worker *sim_worker_current(struct env *env);

/* Let virtual time pass for `operation`, on a worker's stack. */
void sim_worker_wait(struct sim_worker *worker, uint64_t delay_ns);

/* ---- inode.c, names.c, disk.c ---- */

struct sim_block {
    uint8_t *current; /* SIM_BLOCK_BYTES; NULL = zeros */
    uint8_t *durable; /* the same pointer = clean */
    uint64_t written; /* the disk's write_sequence at the last change */
    bool abandoned;   /* a sync failed: taken for clean, and never written by itself */
};

struct sim_inode {
    uint32_t references; /* names, changes and handles */
    uint64_t number;
    bool directory;
    struct env_file *lock;
    struct sim_block *blocks;
    size_t block_count, block_capacity;
    size_t dirty_low, dirty_end; /* all dirty blocks are in [dirty_low, dirty_end) */
    uint64_t bytes, bytes_durable;
};

struct sim_name {
    struct list link;
    struct sim_inode *inode;
    char path[SIM_PATH_BYTES];
};

void sim_disk_init(struct sim_disk *disk, struct sim *sim);
bool sim_disk_is_directory(const struct sim_disk *disk, const char *path);
struct sim_name *sim_disk_find(const struct list *names, const char *path);

/* `path` without "./", doubled and trailing slashes; false when it is too long. */
bool sim_path_clean(const char *path, char clean[SIM_PATH_BYTES]);

/* The directory part of a clean path; "" for the root. */
void sim_path_parent(const char *path, char parent[SIM_PATH_BYTES]);

enum status sim_disk_make(struct sim_disk *disk, const char *path, bool directory,
                          struct sim_inode **inode);
enum status sim_disk_remove(struct sim_disk *disk, const char *path);
enum status sim_disk_rename(struct sim_disk *disk, const char *from, const char *to);
enum status sim_disk_sync_dir(struct sim_disk *disk, const char *path);

void sim_inode_hold(struct sim_inode *inode);
void sim_inode_drop(struct sim_disk *disk, struct sim_inode *inode);
void sim_inode_read(const struct sim_inode *inode, uint64_t offset, uint8_t *to, size_t count);

/* STATUS_NO_SPACE  *done bytes were written before the disk was full */
enum status sim_inode_write(struct sim_disk *disk, struct sim_inode *inode, uint64_t offset,
                            struct bytes bytes, size_t *done);
void sim_inode_truncate(struct sim_disk *disk, struct sim_inode *inode, uint64_t bytes);

/* Make durable what was written up to `write_sequence`, and the size. */
void sim_inode_sync(struct sim_disk *disk, struct sim_inode *inode, uint64_t write_sequence);

/* Is all that reads see durable? */
bool sim_inode_durable(const struct sim_inode *inode);

/* Exclusive-or `mask` into the byte at `offset`, which the file has, durable and current. */
void sim_inode_flip(struct sim_disk *disk, struct sim_inode *inode, uint64_t offset, uint8_t mask);

/* Of what is not durable, some is kept. */
void sim_inode_power_loss(struct sim_disk *disk, struct sim_inode *inode, const char *path);

/* A sync failed: each dirty block is written, or taken for clean without being it. */
void sim_inode_sync_failed(struct sim_disk *disk, struct sim_inode *inode);

void sim_disk_power_loss(struct sim_disk *disk);

/* Of each directory the first n of its changes are kept. */
void sim_names_power_loss(struct sim_disk *disk);

/* ---- file.c ---- */

struct env_file {
    struct list link;
    struct sim_inode *inode;
    bool read_only;
    char path[SIM_PATH_BYTES]; /* as it was opened */
};

void sim_file_ops(struct env_ops *ops);

/* Close what the incarnation left open. */
void sim_files_close(struct sim_node *node);

/* The node dies: its operations in flight happen in part. */
void sim_operations_cut(struct sim_node *node, enum sim_crash crash);

/* ---- link.c ---- */

void sim_link_ops(struct env_ops *ops);

/* The node's ends vanish; its peers see what is still under way, then an end. */
void sim_links_drop(struct sim_node *node, enum sim_crash crash);

#endif
