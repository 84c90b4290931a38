/* engine_rocksdb.c - RocksDB: a log-structured merge tree; memtables go to sorted files that
 * threads of its own merge; a group is a write batch with a sync of the log.
 *
 * The memtables are part of the memory that it is given, and two of them hold what the log does;
 * the files' indexes and filters are not (2 % of the data), as is its default.  Filters, and the
 * log's files used again, are what its makers advise. */
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

#define FILTER_BITS    10.0
#define LOAD_FILES_MAX 64u
#define FILE_BYTES     (64u << 20) /* of what is loaded: its own target */

struct engine {
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_block_based_table_options_t *table;
    rocksdb_cache_t *cache;
    char dir[200];
};

struct session {
    struct engine *engine;
    rocksdb_readoptions_t *read;
    rocksdb_writeoptions_t *write;
    rocksdb_writebatch_t *batch;
    rocksdb_pinnableslice_t *held; /* what the last get gave */
};

static void must(char *error, const char *what)
{
    if (error != NULL)
        bench_fail(what, error);
}

static rocksdb_block_based_table_options_t *make_table(rocksdb_cache_t *cache)
{
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(table, cache);
    rocksdb_block_based_options_set_filter_policy(
        table, rocksdb_filterpolicy_create_bloom_full(FILTER_BITS));
    return table;
}

static struct engine *open_engine(struct worker *worker, const struct engine_options *options)
{
    (void)worker;
    struct engine *engine = calloc(1, sizeof(*engine));
    char *error = NULL;
    if (engine == NULL)
        bench_fail("rocksdb", "no memory");
    if (options->cache_bytes <= options->log_bytes)
        bench_fail("rocksdb", "the memtables leave nothing of the cache");
    engine->cache = rocksdb_cache_create_lru(options->cache_bytes - options->log_bytes);
    engine->table = make_table(engine->cache);
    engine->options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(engine->options, 1);
    rocksdb_options_set_block_based_table_factory(engine->options, engine->table);
    rocksdb_options_set_compression(engine->options, rocksdb_no_compression);
    rocksdb_options_set_write_buffer_size(engine->options, options->log_bytes / 2);
    rocksdb_options_set_max_write_buffer_number(engine->options, 2);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(engine->options, 1);
    rocksdb_options_set_max_background_jobs(engine->options, 2);
    rocksdb_options_set_recycle_log_file_num(engine->options, 2);
    (void)snprintf(engine->dir, sizeof(engine->dir), "%s", options->dir);
    engine->db = rocksdb_open(engine->options, options->dir, &error);
    must(error, "rocksdb open");
    return engine;
}

static void close_engine(struct worker *worker, struct engine *engine)
{
    (void)worker;
    char *error = NULL;
    rocksdb_flushoptions_t *flush = rocksdb_flushoptions_create();
    rocksdb_flush(engine->db, flush, &error); /* as the others do when they are closed */
    must(error, "rocksdb flush");
    rocksdb_flushoptions_destroy(flush);
    rocksdb_close(engine->db);
    rocksdb_options_destroy(engine->options);
    rocksdb_block_based_options_destroy(engine->table);
    rocksdb_cache_destroy(engine->cache);
    free(engine);
}

static const char *chars(struct bytes bytes)
{
    return (const char *)bytes.at;
}

/* Write the next file of a load; *more: there may be another. */
static void load_file(struct engine *engine, const char *path, engine_source *source,
                      void *argument, bool *more)
{
    char *error = NULL;
    struct bytes key;
    struct bytes value;
    size_t bytes = 0;
    rocksdb_envoptions_t *env = rocksdb_envoptions_create();
    rocksdb_sstfilewriter_t *writer = rocksdb_sstfilewriter_create(env, engine->options);
    rocksdb_sstfilewriter_open(writer, path, &error);
    must(error, "rocksdb file");
    while (bytes < FILE_BYTES && (*more = source(argument, &key, &value))) {
        rocksdb_sstfilewriter_put(writer, chars(key), key.count, chars(value), value.count, &error);
        must(error, "rocksdb file");
        bytes += key.count + value.count;
    }
    rocksdb_sstfilewriter_finish(writer, &error);
    must(error, "rocksdb file");
    rocksdb_sstfilewriter_destroy(writer);
    rocksdb_envoptions_destroy(env);
}

static void load(struct worker *worker, struct engine *engine, engine_source *source,
                 void *argument)
{
    (void)worker;
    char *error = NULL;
    char paths[LOAD_FILES_MAX][256];
    const char *path[LOAD_FILES_MAX];
    size_t count = 0;
    for (bool more = true; more; count++) {
        if (count == LOAD_FILES_MAX)
            bench_fail("rocksdb", "too much to load");
        (void)snprintf(paths[count], sizeof(paths[count]), "%s/load-%zu", engine->dir, count);
        path[count] = paths[count];
        load_file(engine, paths[count], source, argument, &more);
    }
    rocksdb_ingestexternalfileoptions_t *ingest = rocksdb_ingestexternalfileoptions_create();
    rocksdb_ingestexternalfileoptions_set_move_files(ingest, 1);
    rocksdb_ingest_external_file(engine->db, path, count, ingest, &error);
    must(error, "rocksdb ingest");
    rocksdb_ingestexternalfileoptions_destroy(ingest);
}

static struct session *session_open(struct worker *worker, struct engine *engine)
{
    (void)worker;
    struct session *session = calloc(1, sizeof(*session));
    if (session == NULL)
        bench_fail("rocksdb", "no memory");
    session->engine = engine;
    session->read = rocksdb_readoptions_create();
    session->write = rocksdb_writeoptions_create();
    session->batch = rocksdb_writebatch_create();
    rocksdb_readoptions_set_verify_checksums(session->read, 1);
    rocksdb_writeoptions_set_sync(session->write, 1);
    return session;
}

static void drop_held(struct session *session)
{
    if (session->held != NULL)
        rocksdb_pinnableslice_destroy(session->held);
    session->held = NULL;
}

static void session_close(struct session *session)
{
    drop_held(session);
    rocksdb_writebatch_destroy(session->batch);
    rocksdb_readoptions_destroy(session->read);
    rocksdb_writeoptions_destroy(session->write);
    free(session);
}

static bool get(struct session *session, struct bytes key, struct bytes *value)
{
    char *error = NULL;
    size_t count;
    drop_held(session);
    session->held =
        rocksdb_get_pinned(session->engine->db, session->read, chars(key), key.count, &error);
    must(error, "rocksdb get");
    if (session->held == NULL)
        return false;
    const char *at = rocksdb_pinnableslice_value(session->held, &count);
    if (at == NULL)
        return false;
    *value = bytes_of((const uint8_t *)at, count);
    return true;
}

static unsigned range(struct session *session, struct bytes key, unsigned count,
                      void (*each)(void *argument, struct bytes key, struct bytes value),
                      void *argument)
{
    unsigned given = 0;
    char *error = NULL;
    drop_held(session);
    rocksdb_iterator_t *iterator = rocksdb_create_iterator(session->engine->db, session->read);
    for (rocksdb_iter_seek(iterator, chars(key), key.count);
         given < count && rocksdb_iter_valid(iterator);) {
        size_t key_bytes;
        size_t value_bytes;
        const char *k = rocksdb_iter_key(iterator, &key_bytes);
        const char *v = rocksdb_iter_value(iterator, &value_bytes);
        each(argument, bytes_of((const uint8_t *)k, key_bytes),
             bytes_of((const uint8_t *)v, value_bytes));
        if (++given < count)
            rocksdb_iter_next(iterator);
    }
    rocksdb_iter_get_error(iterator, &error);
    must(error, "rocksdb range");
    rocksdb_iter_destroy(iterator);
    return given;
}

static void group(struct session *session, const struct engine_change *changes, unsigned count)
{
    char *error = NULL;
    rocksdb_writebatch_clear(session->batch);
    for (unsigned i = 0; i < count; i++) {
        if (changes[i].value.at != NULL)
            rocksdb_writebatch_put(session->batch, chars(changes[i].key), changes[i].key.count,
                                   chars(changes[i].value), changes[i].value.count);
        else
            rocksdb_writebatch_delete(session->batch, chars(changes[i].key), changes[i].key.count);
    }
    rocksdb_write(session->engine->db, session->write, session->batch, &error);
    must(error, "rocksdb write");
}

const struct engine_type engine_rocksdb = {
    .name = "rocksdb",
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
