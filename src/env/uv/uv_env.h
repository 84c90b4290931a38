/* uv_env.h - the world of a real process: libuv's loop, the system's files, clocks and sockets.
 *
 * The loop is one thread.  Each lane of jobs has threads of its own, which start with the lane's
 * first job and hand what is done back through one wake-up of the loop for however many.  With
 * `in_memory` the files are in RAM (ram_files.h); then jobs of the log and read lanes, which no
 * longer block, run on the loop before its next wait, without a thread or a system call.
 *
 * The loop's order in one turn: the wait; what the system reported; due timers; jobs that need no
 * thread; tasks that were deferred before this moment.
 */
#ifndef ENV_UV_UV_ENV_H
#define ENV_UV_UV_ENV_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/log.h"
#include "base/status.h"
#include "env/env.h"

struct env_uv_options {
    struct log *log;                            /* lives as long as the env */
    bool in_memory;                             /* files in RAM instead of the system's */
    uint64_t ram_bytes_max;                     /* of all files in RAM; 0 = no bound */
    uint32_t read_threads;                      /* of the read lane; 0 = 2 */
    void (*on_signal)(void *owner, int signal); /* SIGTERM or SIGINT, on the loop; NULL: as usual */
    void *owner;
};

/* Make the loop.  Sets what is the process's own: SIGPIPE and SIGXFSZ are ignored, and the soft
 * limit of open files is raised to the hard one; malloc gets one arena for all threads, and gives
 * large blocks back.
 *   STATUS_NO_MEMORY, STATUS_BUSY (no file descriptors) */
MUST_USE enum status env_uv_open(const struct env_uv_options *options, struct env **env);

/* Run the loop until env_uv_stop; may be called again after it. */
void env_uv_run(struct env *env);

/* Let env_uv_run return at the end of this turn.  On the loop. */
void env_uv_stop(struct env *env);

/* Not on the loop's stack: after env_uv_run has returned.  Jobs that run are waited for; those that
 * wait are dropped, and no `done` runs any more.  Streams and listeners that are still open are
 * closed without a callback.  All else that came from the env has been freed by its owners before.
 */
void env_uv_close(struct env *env);

/* Bytes that files in RAM hold now; 0 without in_memory. */
uint64_t env_uv_ram_bytes(struct env *env);

#endif
