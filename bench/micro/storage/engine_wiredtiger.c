/* engine_wiredtiger.c - WiredTiger: a B-tree whose pages are rebuilt in memory, a log, checkpoints
 * by a thread of its own; a group is a transaction that commits with a sync of the log. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wiredtiger.h>

#include "engine.h"

#define TABLE "table:items"

struct engine {
    WT_CONNECTION *connection;
};

struct session {
    WT_SESSION *session;
    WT_CURSOR *cursor;
};

static void must(int code, const char *what)
{
    if (code != 0)
        bench_fail(what, wiredtiger_strerror(code));
}

static struct engine *open_engine(struct worker *worker, const struct engine_options *options)
{
    (void)worker;
    struct engine *engine = calloc(1, sizeof(*engine));
    WT_SESSION *session;
    char config[512];
    if (engine == NULL)
        bench_fail("wiredtiger", "no memory");
    (void)snprintf(config, sizeof(config),
                   "create,cache_size=%" PRIu64 ",log=(enabled=true,archive=true,file_max=%" PRIu64
                   "),checkpoint=(log_size=%" PRIu64
                   "),transaction_sync=(enabled=true,method=fsync),session_max=200",
                   options->cache_bytes, options->log_bytes, options->log_bytes);
    must(wiredtiger_open(options->dir, NULL, config, &engine->connection), "wiredtiger open");
    must(engine->connection->open_session(engine->connection, NULL, NULL, &session),
         "wiredtiger session");
    /* Pages of 8 KiB on disk, as ours: its default of 32 KiB costs it more where the data is larger
     * than the cache, and gains nothing here where it fits. */
    must(session->create(session, TABLE,
                         "key_format=u,value_format=u,checksum=on,block_compressor=none,"
                         "leaf_page_max=8KB"),
         "wiredtiger create");
    must(session->close(session, NULL), "wiredtiger session");
    return engine;
}

static void close_engine(struct worker *worker, struct engine *engine)
{
    (void)worker;
    must(engine->connection->close(engine->connection, NULL), "wiredtiger close");
    free(engine);
}

static void set_key(WT_CURSOR *cursor, struct bytes key)
{
    WT_ITEM item = {.data = key.at, .size = key.count};
    cursor->set_key(cursor, &item);
}

static void set_value(WT_CURSOR *cursor, struct bytes value)
{
    WT_ITEM item = {.data = value.at, .size = value.count};
    cursor->set_value(cursor, &item);
}

static void load(struct worker *worker, struct engine *engine, engine_source *source,
                 void *argument)
{
    (void)worker;
    WT_SESSION *session;
    WT_CURSOR *cursor;
    struct bytes key;
    struct bytes value;
    must(engine->connection->open_session(engine->connection, NULL, NULL, &session),
         "wiredtiger session");
    must(session->open_cursor(session, TABLE, NULL, "bulk", &cursor), "wiredtiger bulk");
    while (source(argument, &key, &value)) {
        set_key(cursor, key);
        set_value(cursor, value);
        must(cursor->insert(cursor), "wiredtiger insert");
    }
    must(cursor->close(cursor), "wiredtiger bulk");
    must(session->checkpoint(session, NULL), "wiredtiger checkpoint");
    must(session->close(session, NULL), "wiredtiger session");
}

static struct session *session_open(struct worker *worker, struct engine *engine)
{
    (void)worker;
    struct session *session = calloc(1, sizeof(*session));
    if (session == NULL)
        bench_fail("wiredtiger", "no memory");
    must(engine->connection->open_session(engine->connection, NULL, NULL, &session->session),
         "wiredtiger session");
    must(session->session->open_cursor(session->session, TABLE, NULL, "overwrite=true",
                                       &session->cursor),
         "wiredtiger cursor");
    return session;
}

static void session_close(struct session *session)
{
    must(session->session->close(session->session, NULL), "wiredtiger session");
    free(session);
}

static bool get(struct session *session, struct bytes key, struct bytes *value)
{
    WT_CURSOR *cursor = session->cursor;
    WT_ITEM item;
    must(cursor->reset(cursor), "wiredtiger reset"); /* the last read's value was borrowed */
    set_key(cursor, key);
    int code = cursor->search(cursor);
    if (code == WT_NOTFOUND)
        return false;
    must(code, "wiredtiger search");
    must(cursor->get_value(cursor, &item), "wiredtiger value");
    *value = bytes_of(item.data, item.size);
    return true;
}

static unsigned range(struct session *session, struct bytes key, unsigned count,
                      void (*each)(void *argument, struct bytes key, struct bytes value),
                      void *argument)
{
    WT_CURSOR *cursor = session->cursor;
    unsigned given = 0;
    int order;
    must(cursor->reset(cursor), "wiredtiger reset");
    set_key(cursor, key);
    int code = cursor->search_near(cursor, &order);
    if (code == 0 && order < 0)
        code = cursor->next(cursor);
    while (code == 0 && given < count) {
        WT_ITEM k, v;
        must(cursor->get_key(cursor, &k), "wiredtiger key");
        must(cursor->get_value(cursor, &v), "wiredtiger value");
        each(argument, bytes_of(k.data, k.size), bytes_of(v.data, v.size));
        if (++given < count)
            code = cursor->next(cursor);
    }
    if (code != WT_NOTFOUND)
        must(code, "wiredtiger range");
    must(cursor->reset(cursor), "wiredtiger reset");
    return given;
}

/* false: rolled back for want of room in the cache, to be done again. */
static bool try_group(struct session *session, const struct engine_change *changes, unsigned count)
{
    WT_SESSION *wt = session->session;
    WT_CURSOR *cursor = session->cursor;
    must(wt->begin_transaction(wt, NULL), "wiredtiger begin");
    for (unsigned i = 0; i < count; i++) {
        set_key(cursor, changes[i].key);
        int code;
        if (changes[i].value.at != NULL) {
            set_value(cursor, changes[i].value);
            code = cursor->insert(cursor);
        } else {
            code = cursor->remove(cursor);
        }
        if (code == WT_ROLLBACK) {
            must(wt->rollback_transaction(wt, NULL), "wiredtiger rollback");
            return false;
        }
        must(code, "wiredtiger change");
    }
    int code = wt->commit_transaction(wt, "sync=on");
    if (code == WT_ROLLBACK)
        return false;
    must(code, "wiredtiger commit");
    return true;
}

static void group(struct session *session, const struct engine_change *changes, unsigned count)
{
    while (!try_group(session, changes, count))
        continue;
}

const struct engine_type engine_wiredtiger = {
    .name = "wiredtiger",
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
