/* engine_lmdb.c - LMDB: a memory map of one file, copy-on-write pages, no log; a group is a
 * transaction, and each commit a checkpoint.
 *
 * It has no cache of its own: the system's page cache is one, whatever options->cache_bytes says.
 * Its pages have no checksums. */
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

#define MAP_BYTES (UINT64_C(16) << 30)

struct engine {
    MDB_env *env;
    MDB_dbi dbi;
};

struct session {
    struct engine *engine;
    MDB_txn *txn; /* for reading; renewed for each read, so that it sees what is newest */
    MDB_cursor *cursor;
};

static void must(int code, const char *what)
{
    if (code != MDB_SUCCESS)
        bench_fail(what, mdb_strerror(code));
}

static struct engine *open_engine(struct worker *worker, const struct engine_options *options)
{
    (void)worker;
    struct engine *engine = calloc(1, sizeof(*engine));
    MDB_txn *txn;
    if (engine == NULL)
        bench_fail("lmdb", "no memory");
    must(mdb_env_create(&engine->env), "lmdb env");
    must(mdb_env_set_mapsize(engine->env, MAP_BYTES), "lmdb map");
    /* Readers are not bound to threads; reads are random, so nothing is read ahead of need. */
    must(mdb_env_open(engine->env, options->dir, MDB_NOTLS | MDB_NORDAHEAD, 0600), "lmdb open");
    must(mdb_txn_begin(engine->env, NULL, 0, &txn), "lmdb begin");
    must(mdb_dbi_open(txn, NULL, 0, &engine->dbi), "lmdb dbi");
    must(mdb_txn_commit(txn), "lmdb commit");
    return engine;
}

static void close_engine(struct worker *worker, struct engine *engine)
{
    (void)worker;
    mdb_env_close(engine->env);
    free(engine);
}

static MDB_val value_of(struct bytes bytes)
{
    union {
        const uint8_t *from;
        void *to; /* LMDB does not write to what it is given */
    } pointer = {.from = bytes.at};
    return (MDB_val){.mv_size = bytes.count, .mv_data = pointer.to};
}

static void load(struct worker *worker, struct engine *engine, engine_source *source,
                 void *argument)
{
    (void)worker;
    MDB_txn *txn;
    struct bytes key;
    struct bytes value;
    must(mdb_txn_begin(engine->env, NULL, 0, &txn), "lmdb begin");
    while (source(argument, &key, &value)) {
        MDB_val k = value_of(key), v = value_of(value);
        must(mdb_put(txn, engine->dbi, &k, &v, MDB_APPEND), "lmdb append");
    }
    must(mdb_txn_commit(txn), "lmdb commit");
}

static struct session *session_open(struct worker *worker, struct engine *engine)
{
    (void)worker;
    struct session *session = calloc(1, sizeof(*session));
    if (session == NULL)
        bench_fail("lmdb", "no memory");
    session->engine = engine;
    must(mdb_txn_begin(engine->env, NULL, MDB_RDONLY, &session->txn), "lmdb begin");
    must(mdb_cursor_open(session->txn, engine->dbi, &session->cursor), "lmdb cursor");
    mdb_txn_reset(session->txn);
    return session;
}

static void session_close(struct session *session)
{
    mdb_cursor_close(session->cursor);
    mdb_txn_abort(session->txn);
    free(session);
}

static bool get(struct session *session, struct bytes key, struct bytes *value)
{
    MDB_val k = value_of(key), v;
    mdb_txn_reset(session->txn); /* of the last read: until now its value was borrowed */
    must(mdb_txn_renew(session->txn), "lmdb renew");
    int code = mdb_get(session->txn, session->engine->dbi, &k, &v);
    if (code == MDB_NOTFOUND)
        return false;
    must(code, "lmdb get");
    *value = bytes_of(v.mv_data, v.mv_size);
    return true;
}

static unsigned range(struct session *session, struct bytes key, unsigned count,
                      void (*each)(void *argument, struct bytes key, struct bytes value),
                      void *argument)
{
    MDB_val k = value_of(key), v;
    unsigned given = 0;
    mdb_txn_reset(session->txn);
    must(mdb_txn_renew(session->txn), "lmdb renew");
    must(mdb_cursor_renew(session->txn, session->cursor), "lmdb cursor");
    int code = mdb_cursor_get(session->cursor, &k, &v, MDB_SET_RANGE);
    while (code == MDB_SUCCESS && given < count) {
        each(argument, bytes_of(k.mv_data, k.mv_size), bytes_of(v.mv_data, v.mv_size));
        if (++given < count)
            code = mdb_cursor_get(session->cursor, &k, &v, MDB_NEXT);
    }
    if (code != MDB_NOTFOUND)
        must(code, "lmdb range");
    return given;
}

static void group(struct session *session, const struct engine_change *changes, unsigned count)
{
    struct engine *engine = session->engine;
    MDB_txn *txn;
    mdb_txn_reset(session->txn); /* a reader that stands keeps pages from being used again */
    must(mdb_txn_begin(engine->env, NULL, 0, &txn), "lmdb begin");
    for (unsigned i = 0; i < count; i++) {
        MDB_val k = value_of(changes[i].key), v = value_of(changes[i].value);
        if (changes[i].value.at != NULL)
            must(mdb_put(txn, engine->dbi, &k, &v, 0), "lmdb put");
        else
            must(mdb_del(txn, engine->dbi, &k, NULL), "lmdb delete");
    }
    must(mdb_txn_commit(txn), "lmdb commit");
}

const struct engine_type engine_lmdb = {
    .name = "lmdb",
    .wait_readers = 1,
    .run = threads_run,
    .fork = threads_fork,
    .wait = threads_wait,
    .open = open_engine,
    .close = close_engine,
    .load = load,
    .session_open = session_open,
    .session_close = session_close,
    .get = get,
    .range = range,
    .group = group,
};
