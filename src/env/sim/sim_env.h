/* sim_env.h - the simulated world: nodes, disks, links and clients in virtual time, from one seed.
 *
 * A `struct sim` is a virtual clock and a queue of events in a total order.  Nodes live in it: each
 * has a disk that survives, and, while it runs, an incarnation: a fresh `struct env` over a fresh
 * heap, which a crash drops whole.  Everything that is left open by the contract of env.h is chosen
 * by the seed: how long things take, in which order workers finish, how bytes on a link are cut in
 * pieces, what of the unsynced data a power loss leaves.  The same seed, options and calls give the
 * same run, which sim_trace_hash shows: every event, file operation with its bytes, and byte sent
 * is folded into it.
 *
 * How the disk behaves.  A write changes the current content, which reads see.  A sync makes
 * durable what was written before the sync began.  A power loss leaves of everything else each
 * 512 B sector old or new, at random; file sizes likewise; and of the creations, removals and
 * renames since a directory's last sync the first n of them.  An operation in flight at a crash
 * may have happened in part.  Killing the process loses only what is in flight.
 *
 * How a worker behaves.  A job runs on a stack of its own and is suspended in each file function
 * for a seeded time, so that other events, and crashes, fall between any two of its operations.
 * The bytes handed to a write are hashed when it begins and checked when it ends.
 *
 * Memory of the world comes from malloc by a heap of its own; the simulator aborts when there is
 * none.
 *
 * Functions that crash, stop or free are called between events (outside sim_step) or from a
 * sim_event, never from a callback of a client or of a node.
 */
#ifndef ENV_SIM_SIM_ENV_H
#define ENV_SIM_SIM_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/compiler.h"
#include "base/prng.h"
#include "env/env.h"

struct sim;
struct sim_node;

/* ---- Faults ---- */

/* name, text: what the world counts when it happens */
#define SIM_FAULT_MAP(X)                                                                           \
    X(KILL, "process killed")                                                                      \
    X(POWER_LOSS, "power lost")                                                                    \
    X(DROPPED, "unsynced writes dropped (per file)")                                               \
    X(TORN, "unsynced writes kept in part (per file)")                                             \
    X(UNDONE_NAME, "unsynced names undone (per directory)")                                        \
    X(OPEN_ERROR, "open failed")                                                                   \
    X(READ_ERROR, "read failed")                                                                   \
    X(WRITE_ERROR, "write failed")                                                                 \
    X(SYNC_ERROR, "sync failed")                                                                   \
    X(NO_SPACE, "no space")                                                                        \
    X(STALL, "disk stalled")                                                                       \
    X(LOST_WRITE, "write lost silently")                                                           \
    X(MISDIRECTED, "write misdirected")                                                            \
    X(FLIP, "bit flipped at rest")                                                                 \
    X(CUT, "connection cut")                                                                       \
    X(LINK_STALL, "link stalled")

enum sim_fault {
#define SIM_FAULT_ENUM(name, text) SIM_FAULT_##name,
    SIM_FAULT_MAP(SIM_FAULT_ENUM)
#undef SIM_FAULT_ENUM
        SIM_FAULT_COUNT
};

const char *sim_fault_text(enum sim_fault fault);

/* How often each happens: once in so many operations; 0 = never.  LOST_WRITE and MISDIRECTED are
 * damage that one node can only find out, not survive. */
struct sim_rates {
    uint32_t open_error;
    uint32_t read_error;
    uint32_t write_error;
    uint32_t sync_error;
    uint32_t no_space;
    uint32_t stall;      /* of a file operation, for up to stall_ns_max */
    uint32_t lost_write; /* reported as done */
    uint32_t misdirected;
    const char *damage_in; /* lost_write and misdirected: only in files whose path has this in it */
    uint32_t cut;          /* of deliveries on a link */
    uint32_t link_stall;   /* of deliveries on a link, for up to stall_ns_max */
    uint64_t stall_ns_max;
};

struct sim_options {
    uint64_t seed;
    struct sim_rates rates;
    uint64_t disk_bytes_max; /* of each node's disk; 0 = no bound */
    uint64_t disk_ns;        /* what a write takes on average; a sync about ten times that */
    uint64_t link_ns;        /* what a delivery takes on average */
    uint32_t read_workers;   /* of ENV_LANE_READ; 0 = 4 */
    uint32_t link_window;    /* bytes under way in one direction of a link; 0 = 64 KiB */
    unsigned bugs;           /* enum bug, for every node; only with TRINE_DEBUG */
    void (*trace)(void *sink, uint64_t now_ns, const char *line); /* NULL = none */
    void *trace_sink;
};

/* Options for an ordinary seed: latencies, window and worker count chosen by the seed, no fault. */
struct sim_options sim_options_from_seed(uint64_t seed);

/* ---- The world ---- */

struct sim *sim_create(const struct sim_options *options);

/* Frees the world with all that lives in it. */
void sim_free(struct sim *sim);

/* The wall clock of a node when virtual time begins; it is up to two seconds ahead of that, as each
 * start of the node finds it. */
#define SIM_WALL_BASE_NS (UINT64_C(1767225600) * 1000000000u) /* 2026-01-01 */

uint64_t sim_now_ns(const struct sim *sim);

/* Folded over all that happened so far. */
uint64_t sim_trace_hash(const struct sim *sim);

/* Fold `value` into the trace hash: what a scenario decides or sees. */
void sim_trace_fold(struct sim *sim, uint64_t value);

/* A line for the trace, when one is wanted; it is not part of the hash. */
void sim_trace(struct sim *sim, const char *format, ...) PRINTF_LIKE(2, 3);

/* Randomness for scenarios and workloads, apart from the world's own choices. */
struct prng *sim_prng(struct sim *sim);

/* Change the rates from now on; a scenario that ends quiet sets them to zero. */
void sim_set_rates(struct sim *sim, const struct sim_rates *rates);

/* Bound the current content of each node's disk from now on; 0 = no bound. */
void sim_set_disk_bytes_max(struct sim *sim, uint64_t bytes);

/* How often `fault` happened. */
uint64_t sim_fault_count(const struct sim *sim, enum sim_fault fault);

/* ---- Events of scenarios and clients; embedded in their owner ---- */

struct sim_event {
    uint64_t due_ns;
    uint64_t sequence; /* breaks ties: in the order of scheduling */
    size_t position;   /* in the queue, from 1; 0 = not scheduled.  Zero before the first use */
    struct sim_node *node;
    void (*run)(struct sim_event *event); /* set by the owner */
};

/* Run `event` after delay_ns; one that is scheduled already is moved. */
void sim_schedule(struct sim *sim, struct sim_event *event, uint64_t delay_ns);
void sim_cancel(struct sim *sim, struct sim_event *event);

/* Run the next event; false when there is none. */
bool sim_step(struct sim *sim);

/* Run all events that are due by time_ns, and set the clock to it. */
void sim_run_until(struct sim *sim, uint64_t time_ns);

/* Run events until *done, or time_ns, or none is left; returns *done. */
bool sim_run_while(struct sim *sim, const bool *done, uint64_t time_ns);

/* ---- Nodes ---- */

/* A node with an empty disk that does not run yet; freed with the world. */
struct sim_node *sim_node_create(struct sim *sim, const char *name);

/* Begin an incarnation: the env that the program gets.  The node must not run. */
struct env *sim_node_start(struct sim_node *node);

/* The running incarnation's env; NULL when the node does not run. */
struct env *sim_node_env(struct sim_node *node);

enum sim_crash {
    SIM_CRASH_KILL, /* the process dies; the page cache survives */
    SIM_CRASH_POWER /* unsynced data and names are lost as the seed says */
};

/* End the incarnation where it is: fibers, jobs, timers and memory vanish; streams break. */
void sim_node_crash(struct sim_node *node, enum sim_crash crash);

/* Crash by itself during the `count`-th changing file operation from now (1 = the next): create,
 * write, sync, truncate, remove, rename, dir_create or dir_sync.  0 = no longer. */
void sim_node_crash_at(struct sim_node *node, enum sim_crash crash, uint64_t count);

/* Changing file operations that the node has begun, over all incarnations. */
uint64_t sim_node_changes(const struct sim_node *node);

/* End the incarnation of a program that has ended by itself, as by exit.  Returns the bytes that
 * it had not freed. */
size_t sim_node_stop(struct sim_node *node);

/* ---- A node's disk, from outside: what a scenario may look at and damage ---- */

/* STATUS_NOT_FOUND  no such file */
MUST_USE enum status sim_disk_size(struct sim_node *node, const char *path, uint64_t *bytes);

/* Whether all that reads see of the file is durable; false when there is no such file. */
bool sim_disk_durable(struct sim_node *node, const char *path);

/* Bytes of the disk that are taken: what sim_set_disk_bytes_max bounds. */
uint64_t sim_disk_used(const struct sim_node *node);

/* Call `each` for every file (directories left out), sorted by path. */
void sim_disk_list(struct sim_node *node, void (*each)(void *argument, const char *path),
                   void *argument);

/* The current content.  STATUS_NOT_FOUND, STATUS_END  outside the file */
MUST_USE enum status sim_disk_read(struct sim_node *node, const char *path, uint64_t offset,
                                   void *to, size_t count);

/* Exclusive-or `mask` into the byte at `offset`, durable and current.
 *   STATUS_NOT_FOUND, STATUS_END  outside the file */
MUST_USE enum status sim_disk_flip(struct sim_node *node, const char *path, uint64_t offset,
                                   uint8_t mask);

/* ---- Clients ---- */

/* Connect to `port` of `node`.  The stream is the client's end, and its callbacks come as those of
 * a node's stream do; when nobody listens, or the node began a new incarnation meanwhile, on_end
 * comes with STATUS_IO.  What is written at once goes out when the connection stands.  Every client
 * is closed by its owner in the end, also after on_end. */
struct env_stream *sim_connect(struct sim *sim, struct sim_node *node, uint16_t port,
                               const struct env_stream_events *events, void *owner);

void sim_client_write(struct env_stream *stream, struct bytes bytes);
void sim_client_pause(struct env_stream *stream);
void sim_client_resume(struct env_stream *stream);

/* Send no more: the node's on_end comes with STATUS_END after the last byte. */
void sim_client_finish(struct env_stream *stream);

/* Close at once; only on_closed comes after it. */
void sim_client_close(struct env_stream *stream);

/* The same, and the node's on_end comes with STATUS_IO: the connection is reset. */
void sim_client_reset(struct env_stream *stream);

#endif
