/* engine.h - what the benchmark asks of a storage engine, and how it runs several workers in it.
 *
 * A *worker* is what an engine is called from at the same time as others: a thread, or a fiber of
 * the one loop (trine).  A *group* is updates that become durable together, by one sync: every
 * engine gets the same groups, and each in the form that serves it best.  Keys and values are
 * bytes.
 *
 * Whatever fails ends the program: half a result is none.
 */
#ifndef BENCH_STORAGE_ENGINE_H
#define BENCH_STORAGE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

#define ENGINE_GROUP_MAX 256u

struct engine;  /* a type's own */
struct session; /* a type's own: what one worker reads and writes with */

struct engine_options {
    const char *dir;      /* exists */
    uint64_t cache_bytes; /* all that the engine may cache */
    uint64_t log_bytes;   /* about as much log is between two checkpoints */
};

/* A worker; `place` is the type's own. */
struct worker {
    const struct engine_type *type;
    void *place;
};

typedef void worker_body(struct worker *worker, void *argument);

struct engine_change {
    struct bytes key;
    struct bytes value; /* .at == NULL: remove the key */
};

/* Gives the items of a load in order of their keys; false at the end. */
typedef bool engine_source(void *argument, struct bytes *key, struct bytes *value);

struct engine_type {
    const char *name;
    unsigned
        wait_readers; /* that share the reads whose waits are measured, as serves it best: a thread
                            * that is always awake, or fibers, one of which waits for a page while
                            * others go on */

    /* Run `body` on the first worker, and return when it has. */
    void (*run)(const struct engine_type *type, worker_body *body, void *argument);
    /* Run `count` more workers, all with the same argument, and return when all have ended. */
    void (*fork)(struct worker *worker, worker_body *const *bodies, unsigned count, void *argument);
    /* Wait until the monotonic clock says `until_ns`: busily, as one who is always awake, or
     * asleep. Others run meanwhile. */
    void (*wait)(struct worker *worker, uint64_t until_ns, bool asleep);

    /* Open what is in the folder, or make it. */
    struct engine *(*open)(struct worker *worker, const struct engine_options *options);
    void (*close)(struct worker *worker, struct engine *engine);
    /* Fill an empty engine, in the way that serves it best, and make it durable. */
    void (*load)(struct worker *worker, struct engine *engine, engine_source *source,
                 void *argument);

    struct session *(*session_open)(struct worker *worker, struct engine *engine);
    void (*session_close)(struct session *session);
    /* false: no such key.  *value is valid until the session's next call. */
    bool (*get)(struct session *session, struct bytes key, struct bytes *value);
    /* Give up to `count` items from `key` on to `each`; returns how many there were. */
    unsigned (*range)(struct session *session, struct bytes key, unsigned count,
                      void (*each)(void *argument, struct bytes key, struct bytes value),
                      void *argument);
    /* Make these changes, all of them durable when it returns; count <= ENGINE_GROUP_MAX.  One
     * worker at a time. */
    void (*group)(struct session *session, const struct engine_change *changes, unsigned count);
};

extern const struct engine_type engine_trine, engine_lmdb, engine_wiredtiger, engine_rocksdb;

uint64_t bench_now_ns(void);
_Noreturn void bench_fail(const char *what, const char *why);

/* Workers that are threads, for engine_type. */
void threads_run(const struct engine_type *type, worker_body *body, void *argument);
void threads_fork(struct worker *worker, worker_body *const *bodies, unsigned count,
                  void *argument);
void threads_wait(struct worker *worker, uint64_t until_ns, bool asleep);

#endif
