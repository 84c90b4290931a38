/* directory.c - the tree of trees: its rows, and the trees in memory that they stand for.
 *
 * Key: u8 kind, then big-endian: LIVE, SECOND group u64, added u64, node u32; DROPPED tree id u64.
 * Value: u8 format 2 | u64 tree id | u32 height | ref of the root | u64 applied slot | u64 log
 * start
 *        | u64 items | u64 bytes | u64 item bytes | the owner's bytes.
 *
 * A tree that was dropped, or staged and not installed, keeps a DROPPED row until its pages are
 * freed; a restart goes on with that.  Rows are written by checkpoints only.
 */
#include <string.h>

#include "base/assert.h"
#include "storage/forest_private.h"

#define ROW_FORMAT      2u
#define ROW_LIVE        0u
#define ROW_SECOND      1u /* behind all LIVE rows */
#define ROW_DROPPED     2u
#define ROW_FIXED_BYTES (1u + 8u + 4u + PAGE_REF_BYTES + 5u * 8u)
#define UPDATE_TRIES    1000u

/* ---- Trees in memory ---- */

struct tree *tree_make(struct forest *forest, uint64_t tree_id)
{
    struct tree *tree = heap_alloc_zero(forest->env->heap, sizeof(*tree));
    if (tree == NULL)
        return NULL;
    tree->forest = forest;
    tree->tree_id = tree_id;
    tree->change = 1;
    list_init(&tree->drop_link);
    list_push_back(&forest->trees, &tree->link);
    return tree;
}

void tree_free(struct tree *tree)
{
    struct heap *heap = tree->forest->env->heap;
    list_remove(&tree->link);
    list_remove(&tree->drop_link);
    heap_free(heap, tree->blob, tree->blob_bytes);
    heap_free(heap, tree, sizeof(*tree));
}

void directory_release(struct forest *forest)
{
    LIST_FOR_EACH_SAFE (node, &forest->trees) {
        tree_free(LIST_ITEM(node, struct tree, link));
    }
    heap_free(forest->env->heap, forest->rows, forest->row_capacity * sizeof(*forest->rows));
    forest->rows = NULL;
    forest->row_count = forest->row_capacity = 0;
}

/* The first row that is not below `replica`. */
static uint32_t row_position(const struct forest *forest, struct replica_id replica)
{
    uint32_t low = 0;
    uint32_t high = forest->row_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (replica_compare(forest->rows[middle]->replica, replica) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct tree *forest_tree(const struct forest *forest, struct replica_id replica)
{
    uint32_t at = row_position(forest, replica);
    return at < forest->row_count && replica_equal(forest->rows[at]->replica, replica)
               ? forest->rows[at]
               : NULL;
}

static enum status row_reserve(struct forest *forest)
{
    if (forest->row_count < forest->row_capacity)
        return STATUS_OK;
    struct heap *heap = forest->env->heap;
    uint32_t capacity = MAX(16u, forest->row_capacity * 2);
    struct tree **rows = heap_alloc(heap, capacity * sizeof(struct tree *));
    if (rows == NULL)
        return STATUS_NO_MEMORY;
    if (forest->row_count > 0)
        memcpy(rows, forest->rows, forest->row_count * sizeof(struct tree *));
    heap_free(heap, forest->rows, forest->row_capacity * sizeof(struct tree *));
    forest->rows = rows;
    forest->row_capacity = capacity;
    return STATUS_OK;
}

static void row_insert(struct tree *tree, struct replica_id replica)
{
    struct forest *forest = tree->forest;
    uint32_t at = row_position(forest, replica);
    ASSERT(forest->row_count < forest->row_capacity);
    memmove(forest->rows + at + 1, forest->rows + at,
            (forest->row_count - at) * sizeof(struct tree *));
    forest->rows[at] = tree;
    forest->row_count++;
    tree->replica = replica;
    tree->live = true;
    tree->staged = false;
    tree->row_dirty = true;
}

static enum status copy_blob(struct forest *forest, struct bytes blob, uint8_t **copy)
{
    if (blob.count > FOREST_ROW_BLOB_BYTES_MAX)
        return STATUS_TOO_LARGE;
    *copy = NULL;
    if (blob.count == 0)
        return STATUS_OK;
    *copy = heap_alloc(forest->env->heap, blob.count);
    if (*copy == NULL)
        return STATUS_NO_MEMORY;
    memcpy(*copy, blob.at, blob.count);
    return STATUS_OK;
}

static void set_blob(struct tree *tree, uint8_t *blob, size_t bytes)
{
    heap_free(tree->forest->env->heap, tree->blob, tree->blob_bytes);
    tree->blob = blob;
    tree->blob_bytes = (uint32_t)bytes;
    tree->row_dirty = true;
}

enum status tree_create_staged(struct forest *forest, struct tree **made)
{
    struct tree *tree = tree_make(forest, forest->tree_id_next);
    if (tree == NULL)
        return STATUS_NO_MEMORY;
    forest->tree_id_next++;
    tree->staged = true;
    tree->row_dirty = true;
    *made = tree;
    return STATUS_OK;
}

enum status tree_create(struct forest *forest, struct replica_id replica, struct bytes blob,
                        struct tree **made)
{
    uint8_t *copy;
    if (forest_tree(forest, replica) != NULL)
        return STATUS_EXISTS;
    TRY(row_reserve(forest));
    TRY(copy_blob(forest, blob, &copy));
    struct tree *tree = tree_make(forest, forest->tree_id_next);
    if (tree == NULL) {
        heap_free(forest->env->heap, copy, blob.count);
        return STATUS_NO_MEMORY;
    }
    forest->tree_id_next++;
    set_blob(tree, copy, blob.count);
    row_insert(tree, replica);
    *made = tree;
    return STATUS_OK;
}

enum status tree_install(struct tree *staged, struct replica_id replica, uint64_t applied,
                         uint64_t log_start, struct bytes blob)
{
    struct forest *forest = staged->forest;
    uint8_t *copy;
    ASSERT(staged->staged);
    TRY(row_reserve(forest));
    TRY(copy_blob(forest, blob, &copy));
    struct tree *old = forest_tree(forest, replica);
    if (old != NULL)
        tree_drop(old);
    set_blob(staged, copy, blob.count);
    staged->applied = applied;
    staged->log_start = log_start;
    row_insert(staged, replica);
    return STATUS_OK;
}

/* `tree`, which has nothing else yet, becomes the second one of `first`. */
static void attach(struct tree *first, struct tree *tree)
{
    tree->replica = first->replica;
    tree->first = first;
    tree->live = true;
    tree->row_dirty = true;
    first->second = tree;
}

enum status tree_create_second(struct tree *first, struct tree **made)
{
    struct forest *forest = first->forest;
    ASSERT(first->live && first->first == NULL);
    if (first->second != NULL)
        return STATUS_EXISTS;
    struct tree *tree = tree_make(forest, forest->tree_id_next);
    if (tree == NULL)
        return STATUS_NO_MEMORY;
    forest->tree_id_next++;
    attach(first, tree);
    *made = tree;
    return STATUS_OK;
}

struct tree *tree_second(const struct tree *tree)
{
    return tree->second;
}

enum status tree_clear(struct tree *tree, struct tree **made)
{
    struct forest *forest = tree->forest;
    uint8_t *copy;
    ASSERT(tree->live && tree->first == NULL && tree->partial_slot == 0);
    TRY(row_reserve(forest));
    TRY(copy_blob(forest, bytes_of(tree->blob, tree->blob_bytes), &copy));
    struct tree *fresh = tree_make(forest, forest->tree_id_next);
    if (fresh == NULL) {
        heap_free(forest->env->heap, copy, tree->blob_bytes);
        return STATUS_NO_MEMORY;
    }
    forest->tree_id_next++;
    set_blob(fresh, copy, tree->blob_bytes);
    fresh->applied = tree->applied;
    fresh->log_start = tree->log_start;
    fresh->second = tree->second;
    if (fresh->second != NULL)
        fresh->second->first = fresh;
    tree->second = NULL;
    tree_drop(tree);
    row_insert(fresh, tree->replica);
    *made = fresh;
    return STATUS_OK;
}

void tree_drop(struct tree *tree)
{
    struct forest *forest = tree->forest;
    if (tree->second != NULL)
        tree_drop(tree->second);
    if (tree->first != NULL) {
        tree->first->second = NULL;
        tree->first = NULL;
    } else if (tree->live) {
        uint32_t at = row_position(forest, tree->replica);
        ASSERT(forest->rows[at] == tree);
        forest->row_count--;
        memmove(forest->rows + at, forest->rows + at + 1,
                (forest->row_count - at) * sizeof(struct tree *));
    }
    tree->live = tree->staged = false;
    tree->closed = true;
    tree->row_dirty = true;
    list_push_back(&forest->dropped, &tree->drop_link);
    reaper_wake(forest);
}

enum status tree_set_blob(struct tree *tree, struct bytes blob)
{
    uint8_t *copy;
    TRY(copy_blob(tree->forest, blob, &copy));
    set_blob(tree, copy, blob.count);
    return STATUS_OK;
}

void tree_add_item_bytes(struct tree *tree, int64_t change)
{
    uint64_t less = change < 0 ? (uint64_t)-change : 0;
    if (!EXPECT(less <= tree->item_bytes))
        less = tree->item_bytes;
    tree->item_bytes += (change > 0 ? (uint64_t)change : 0) - less;
    tree->row_dirty = true;
}

struct forest_row tree_row(const struct tree *tree)
{
    return (struct forest_row){.replica = tree->replica,
                               .applied = tree->applied,
                               .log_start = tree->log_start,
                               .items = tree->items,
                               .bytes = tree->bytes,
                               .item_bytes = tree->item_bytes,
                               .blob = bytes_of(tree->blob, tree->blob_bytes)};
}

uint64_t tree_applied_durable(const struct tree *tree)
{
    if (!tree->saved.valid || !tree->saved_before.valid)
        return 0;
    return MIN(tree->saved.applied, tree->saved_before.applied);
}

bool forest_rows(const struct forest *forest, struct replica_id after, struct forest_row *row)
{
    uint32_t at = row_position(forest, after);
    if (at < forest->row_count && replica_equal(forest->rows[at]->replica, after))
        at++;
    if (at == forest->row_count)
        return false;
    *row = tree_row(forest->rows[at]);
    return true;
}

/* ---- Rows on disk ---- */

static uint32_t encode_key(const struct tree *tree, uint8_t *to)
{
    to[0] = tree->first != NULL ? ROW_SECOND : tree->live ? ROW_LIVE : ROW_DROPPED;
    if (!tree->live) {
        put_u64_be(to + 1, tree->tree_id);
        return 9;
    }
    put_u64_be(to + 1, tree->replica.group);
    put_u64_be(to + 9, tree->replica.added);
    put_u32_be(to + 17, tree->replica.node);
    return 21;
}

static uint32_t encode_value(const struct tree *tree, uint8_t *to)
{
    uint8_t *at = to;
    *at++ = ROW_FORMAT;
    put_u64(at, tree->tree_id);
    put_u32(at + 8, tree->root.height);
    page_ref_put(at + 12, tree->root.page);
    at += 12 + PAGE_REF_BYTES;
    put_u64(at, tree->applied);
    put_u64(at + 8, tree->log_start);
    put_u64(at + 16, tree->items);
    put_u64(at + 24, tree->bytes);
    put_u64(at + 32, tree->item_bytes);
    at += 40;
    if (tree->blob_bytes > 0)
        memcpy(at, tree->blob, tree->blob_bytes);
    return (uint32_t)(at - to) + tree->blob_bytes;
}

static struct replica_id key_replica(struct bytes key)
{
    return (struct replica_id){.group = get_u64_be(key.at + 1),
                               .added = get_u64_be(key.at + 9),
                               .node = get_u32_be(key.at + 17)};
}

static enum status decode_row(struct forest *forest, struct bytes key, struct bytes value)
{
    struct reader r = reader_of(value);
    if (read_u8(&r) != ROW_FORMAT)
        return r.failed ? STATUS_CORRUPT : STATUS_VERSION;
    uint64_t tree_id = read_u64(&r);
    struct tree_root root = {.height = read_u32(&r)};
    root.page.number = read_u32(&r);
    root.page.epoch = read_u64(&r);
    uint64_t applied = read_u64(&r);
    uint64_t log_start = read_u64(&r);
    uint64_t items = read_u64(&r);
    uint64_t bytes = read_u64(&r);
    uint64_t item_bytes = read_u64(&r);
    bool live = key.count == 21 && (key.at[0] == ROW_LIVE || key.at[0] == ROW_SECOND);
    bool dropped = key.count == 9 && key.at[0] == ROW_DROPPED;
    struct tree *first = NULL;
    if (live && key.at[0] == ROW_SECOND) {
        first = forest_tree(forest, key_replica(key));
        if (first == NULL || first->second != NULL)
            return STATUS_CORRUPT;
    }
    if (r.failed || (!live && !dropped) || root.height > TREE_HEIGHT_MAX ||
        (root.height == 0) != (root.page.number == 0) || tree_id < TREE_ID_FIRST ||
        reader_left(&r) > FOREST_ROW_BLOB_BYTES_MAX)
        return STATUS_CORRUPT;
    uint8_t *blob;
    TRY(row_reserve(forest));
    TRY(copy_blob(forest, bytes_of(r.at, reader_left(&r)), &blob));
    struct tree *tree = tree_make(forest, tree_id);
    if (tree == NULL) {
        heap_free(forest->env->heap, blob, reader_left(&r));
        return STATUS_NO_MEMORY;
    }
    tree->root = root;
    tree->applied = applied;
    tree->log_start = log_start;
    tree->items = items;
    tree->bytes = bytes;
    tree->item_bytes = item_bytes;
    set_blob(tree, blob, reader_left(&r));
    if (first != NULL)
        attach(first, tree);
    else if (live)
        row_insert(tree, key_replica(key));
    tree->closed = dropped;
    if (dropped)
        list_push_back(&forest->dropped, &tree->drop_link);
    tree->row_dirty = false;
    tree->row_stored = true;
    tree->stored_key_bytes = (uint8_t)key.count;
    memcpy(tree->stored_key, key.at, key.count);
    tree->saved = (struct tree_saved){root, applied, live};
    return STATUS_OK;
}

enum status directory_load(struct context *ctx, struct forest *forest)
{
    struct tree_cursor cursor;
    TRY(tree_cursor_open(ctx, &forest->directory, 0, (struct bytes){0}, true, &cursor));
    for (;;) {
        struct bytes key;
        struct bytes value;
        enum status status = tree_cursor_next(&cursor, &key, &value);
        if (status == STATUS_END)
            return STATUS_OK;
        TRY(status);
        TRY(decode_row(forest, key, value));
    }
}

/* ---- Bringing the directory up to date ---- */

struct update {
    struct tree_mutation *mutations;
    size_t count, capacity;
    struct buffer bytes;
};

static bool tree_is_gone(const struct tree *tree)
{
    return tree->reaped && tree->root.height == 0 && tree->users == 0;
}

static void add(struct update *update, enum tree_mutation_kind kind, struct bytes key,
                struct bytes value)
{
    ASSERT(update->count < update->capacity);
    update->mutations[update->count++] =
        (struct tree_mutation){.kind = kind, .key = key, .value = value};
}

/* The mutations that make the rows of changed trees right: what is removed first, as another tree
 * may take its place. */
static enum status collect(struct forest *forest, struct update *update)
{
    size_t trees = 0;
    size_t bytes = 0;
    *update = (struct update){0};
    LIST_FOR_EACH (node, &forest->trees) {
        const struct tree *tree = LIST_ITEM(node, struct tree, link);
        if (!tree->row_dirty && !tree_is_gone(tree))
            continue;
        trees++;
        bytes += 2 * FOREST_ROW_KEY_MAX + ROW_FIXED_BYTES + tree->blob_bytes;
    }
    buffer_init(&update->bytes, forest->env->heap, bytes);
    if (trees == 0)
        return STATUS_OK;
    update->capacity = 2 * trees;
    update->mutations =
        heap_alloc(forest->env->heap, update->capacity * sizeof(*update->mutations));
    uint8_t *to = buffer_reserve(&update->bytes, bytes);
    if (update->mutations == NULL || to == NULL)
        return STATUS_NO_MEMORY;
    for (unsigned pass = 0; pass < 2; pass++) {
        LIST_FOR_EACH (node, &forest->trees) {
            const struct tree *tree = LIST_ITEM(node, struct tree, link);
            bool gone = tree_is_gone(tree);
            if (!tree->row_dirty && !gone)
                continue;
            uint8_t key[FOREST_ROW_KEY_MAX];
            uint32_t key_bytes = encode_key(tree, key);
            bool moved =
                tree->row_stored && !bytes_equal(bytes_of(tree->stored_key, tree->stored_key_bytes),
                                                 bytes_of(key, key_bytes));
            if (pass == 0 && tree->row_stored && (gone || moved))
                add(update, TREE_DELETE, bytes_of(tree->stored_key, tree->stored_key_bytes),
                    (struct bytes){0});
            if (pass == 0 || gone)
                continue;
            memcpy(to, key, key_bytes);
            uint32_t value_bytes = encode_value(tree, to + key_bytes);
            add(update, TREE_PUT, bytes_of(to, key_bytes), bytes_of(to + key_bytes, value_bytes));
            to += key_bytes + value_bytes;
        }
    }
    return STATUS_OK;
}

static void update_release(struct forest *forest, struct update *update)
{
    heap_free(forest->env->heap, update->mutations, update->capacity * sizeof(*update->mutations));
    buffer_release(&update->bytes);
}

/* The directory has all rows as they are. */
static void rows_are_stored(struct forest *forest)
{
    LIST_FOR_EACH_SAFE (node, &forest->trees) {
        struct tree *tree = LIST_ITEM(node, struct tree, link);
        if (tree_is_gone(tree)) {
            tree_free(tree);
            continue;
        }
        if (!tree->row_dirty)
            continue;
        tree->row_dirty = false;
        tree->row_stored = true;
        tree->stored_key_bytes = (uint8_t)encode_key(tree, tree->stored_key);
    }
}

enum status directory_update(struct context *ctx, struct forest *forest)
{
    for (unsigned i = 0; i < UPDATE_TRIES; i++) {
        struct update update;
        size_t done;
        bool now = false;
        enum status status = collect(forest, &update);
        if (status == STATUS_OK)
            now = tree_apply_now(ctx, &forest->directory, update.mutations, update.count);
        if (status == STATUS_OK && !now)
            status = tree_apply_mutations(ctx, &forest->directory, update.mutations, update.count,
                                          true, &done);
        update_release(forest, &update);
        TRY(status);
        if (now) {
            rows_are_stored(forest);
            return STATUS_OK;
        }
    }
    return STATUS_BUSY;
}
