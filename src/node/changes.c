/* changes.c - the records of changes: made from entries as they are applied, read, trimmed. */
#include "node/changes.h"

#include "base/assert.h"
#include "node/node_private.h"

#define ROW_KEY_BYTES    20u
#define ROW_FORMAT       1u
#define ROW_HEAD_BYTES   16u
#define KEY_FOR_STREAM   1u
#define HEAD_APART       1u
#define SECOND_NS        UINT64_C(1000000000)
#define TRIM_EACH_SECOND 256u   /* records that may be trimmed beside those behind batches */
#define TRIM_ROWS_MAX    256u   /* in one turn with an applier */
#define TRIM_CREDIT_MAX  65536u /* records */
#define MARK_GOES        UINT64_MAX

/* ---- Rows ---- */

enum row_part { PART_HEAD, PART_OLD, PART_NEW };

struct row_key {
    struct change_position position;
    uint64_t hlc;
    uint8_t stream, part;
};

static void row_key_write(uint8_t *to, const struct row_key *key)
{
    put_u64_be(to, key->position.slot);
    put_u16_be(to + 8, key->position.number);
    put_u64_be(to + 10, key->hlc);
    to[18] = key->stream;
    to[19] = key->part;
}

static enum status row_key_read(struct bytes bytes, struct row_key *key)
{
    if (bytes.count != ROW_KEY_BYTES)
        return STATUS_CORRUPT;
    *key = (struct row_key){
        .position = {.slot = get_u64_be(bytes.at), .number = get_u16_be(bytes.at + 8)},
        .hlc = get_u64_be(bytes.at + 10),
        .stream = bytes.at[18],
        .part = bytes.at[19],
    };
    return key->part <= PART_NEW ? STATUS_OK : STATUS_CORRUPT;
}

/* ---- Made from entries ---- */

static enum status image_of(struct bytes stored, struct value *image)
{
    struct row row;
    *image = VALUE_ABSENT;
    if (stored.count == 0)
        return STATUS_OK;
    TRY(row_read(stored, &row));
    *image = row.item;
    return STATUS_OK;
}

static enum status add_row(struct context *ctx, struct change_batch *batch, struct row_key *key,
                           enum row_part part, struct bytes value)
{
    uint8_t *at = arena_alloc(&ctx->arena, ROW_KEY_BYTES);
    if (at == NULL || value.at == NULL)
        return STATUS_NO_MEMORY;
    key->part = (uint8_t)part;
    row_key_write(at, key);
    ASSERT(batch->count < batch->capacity);
    batch->mutations[batch->count++] = (struct tree_mutation){
        .kind = TREE_PUT, .key = bytes_of(at, ROW_KEY_BYTES), .value = value};
    return STATUS_OK;
}

static enum status add_record(struct context *ctx, struct change_batch *batch, struct row_key *key,
                              const struct change_record *record)
{
    struct bytes images[2] = {bytes_of(record->old.at, record->old.bytes),
                              bytes_of(record->current.at, record->current.bytes)};
    size_t head_bytes = ROW_HEAD_BYTES + record->key.count;
    bool apart = head_bytes + images[0].count + images[1].count > TREE_VALUE_BYTES_MAX;
    size_t bytes = apart ? head_bytes : head_bytes + images[0].count + images[1].count;
    uint8_t *head = arena_alloc(&ctx->arena, bytes);
    if (head == NULL)
        return STATUS_NO_MEMORY;
    head[0] = ROW_FORMAT;
    head[1] = (uint8_t)record->kind;
    head[2] = record->actor;
    head[3] = apart ? HEAD_APART : 0;
    put_u32(head + 4, (uint32_t)record->key.count);
    put_u32(head + 8, (uint32_t)images[0].count);
    put_u32(head + 12, (uint32_t)images[1].count);
    memcpy(head + ROW_HEAD_BYTES, record->key.at, record->key.count);
    TRY(add_row(ctx, batch, key, PART_HEAD, bytes_of(head, bytes)));
    uint8_t *to = head + head_bytes;
    for (unsigned i = 0; i < 2; i++) {
        if (images[i].count == 0)
            continue;
        if (apart) { /* the entry lives until the batch is applied */
            TRY(add_row(ctx, batch, key, i == 0 ? PART_OLD : PART_NEW, images[i]));
            continue;
        }
        memcpy(to, images[i].at, images[i].count);
        to += images[i].count;
    }
    return STATUS_OK;
}

static bool same_image(struct value a, struct value b)
{
    return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.at, b.at, a.bytes) == 0);
}

/* The stream has records from `first` to `last`; of too many streams the oldest is forgotten. */
static void span_add(struct changes_span *spans, uint32_t *count, uint8_t stream, uint64_t first,
                     uint64_t last)
{
    uint32_t at = 0;
    while (at < *count && spans[at].stream != stream)
        at++;
    if (at < *count) {
        spans[at].last_slot = MAX(spans[at].last_slot, last);
        return;
    }
    if (*count == CHANGES_SPANS_MAX) {
        memmove(spans, spans + 1, (CHANGES_SPANS_MAX - 1) * sizeof(*spans));
        at = --*count;
    }
    spans[at] = (struct changes_span){.stream = stream, .first_slot = first, .last_slot = last};
    ++*count;
}

static void gather_mark(const struct mutation *mutation, struct change_batch *batch)
{
    batch->marks[batch->mark_count++] = (struct changes_mark){
        .consumer = get_u64_be(mutation->key.at),
        .slot = mutation->row.count > 0 ? get_u64(mutation->row.at) : MARK_GOES};
}

enum status changes_gather(struct context *ctx, const struct replica *replica,
                           const struct log_entry *entry, struct change_batch *batch)
{
    struct entry_header header;
    TRY(entry_read(entry->payload, &header));
    /* What this tree was given before a crash is there, or trimmed. */
    const struct tree *tree = replica->changes.tree;
    bool again = tree != NULL && entry->slot <= tree_row(tree).applied;
    struct mutation_walk walk = mutation_walk_of(entry->payload);
    struct mutation mutation;
    struct row_key key = {
        .position = {.slot = entry->slot}, .hlc = header.hlc, .stream = header.stream};
    for (uint16_t i = 0; mutation_next(&walk, &mutation); i++) {
        if (mutation.kind == MUTATION_MARK) {
            gather_mark(&mutation, batch);
            continue;
        }
        if ((header.flags & ENTRY_KEEPS_CHANGES) == 0 ||
            key_collection(mutation.key) != KEY_COLLECTION_ITEM || mutation.is_stamp)
            continue;
        struct change_record record = {.actor = header.actor, .key = mutation.key};
        TRY(image_of(mutation.before, &record.old));
        TRY(image_of(mutation.row, &record.current));
        if (same_image(record.old, record.current))
            continue;
        record.kind = record.old.bytes == 0       ? CHANGE_INSERT
                      : record.current.bytes == 0 ? CHANGE_REMOVE
                                                  : CHANGE_MODIFY;
        key.position.number = i;
        batch->newest = key.position;
        if (header.stream != 0)
            span_add(batch->spans, &batch->span_count, header.stream, entry->slot, entry->slot);
        if (again)
            continue;
        batch->records++;
        TRY(add_record(ctx, batch, &key, &record));
    }
    return STATUS_OK;
}

/* ---- Marks ---- */

static struct changes_mark *find_mark(const struct replica *replica, uint64_t consumer)
{
    struct changes_marks *marks = replica->changes.marks;
    for (uint32_t i = 0; marks != NULL && i < marks->count; i++) {
        if (marks->at[i].consumer == consumer)
            return &marks->at[i];
    }
    return NULL;
}

/* Memory for marks, before there is one. */
static enum status reserve_marks(struct replica *replica)
{
    struct change_log *log = &replica->changes;
    if (log->marks == NULL)
        log->marks = heap_alloc_zero(replica->node->env->heap, sizeof(*log->marks));
    return log->marks == NULL ? STATUS_NO_MEMORY : STATUS_OK;
}

static void take_mark(struct replica *replica, const struct changes_mark *mark)
{
    struct changes_marks *marks = replica->changes.marks;
    struct changes_mark *found = find_mark(replica, mark->consumer);
    replica->counts_saved = false;
    if (mark->slot == MARK_GOES) {
        if (found != NULL)
            *found = marks->at[--marks->count];
        return;
    }
    if (found == NULL && marks->count == CHANGES_MARKS_MAX)
        return; /* changes_mark_set says so */
    if (found == NULL)
        found = &marks->at[marks->count++];
    *found = *mark;
}

bool changes_mark(const struct replica *replica, uint64_t consumer, uint64_t *slot)
{
    const struct changes_mark *mark = find_mark(replica, consumer);
    if (mark != NULL)
        *slot = mark->slot;
    return mark != NULL;
}

/* The entry of a mark, and its proposal. */
static enum status propose_mark(struct context *ctx, struct replica *replica,
                                const struct changes_mark *mark, uint64_t *slot)
{
    uint8_t key[8], row[8];
    put_u64_be(key, mark->consumer);
    put_u64(row, mark->slot);
    size_t row_bytes = mark->slot == MARK_GOES ? 0 : sizeof(row);
    struct mutation mutation = {
        .kind = MUTATION_MARK, .key = bytes_of(key, sizeof(key)), .row = bytes_of(row, row_bytes)};
    uint64_t hlc = MAX(wall_now_ns(ctx->env), replica->hlc + 1);
    struct entry_header header = {.mutation_count = 1,
                                  .hlc = hlc,
                                  .table_id = replica->table_id,
                                  .request_id = {ctx->trace_id[0], ctx->trace_id[1]}};
    struct log_entry *entry = log_entry_new(
        replica->node, ENTRY_HEADER_BYTES + ENTRY_MUTATION_BYTES + sizeof(key) + row_bytes, 1);
    if (entry == NULL)
        return STATUS_NO_MEMORY;
    uint8_t *to = log_entry_payload(entry);
    entry_header_write(to, &header);
    (void)mutation_write(to + ENTRY_HEADER_BYTES, &mutation);
    TRY(replica_propose(replica, entry, true));
    replica->hlc = hlc;
    *slot = entry->slot;
    return STATUS_OK;
}

static enum status log_mark(struct context *ctx, struct replica *replica, struct changes_mark mark)
{
    struct node *node = replica->node;
    uint64_t slot;
    for (;;) {
        TRY(replica_serves(replica));
        enum status status = propose_mark(ctx, replica, &mark, &slot);
        if (status == STATUS_OK)
            break;
        if (status != STATUS_BUSY)
            return status;
        TRY(node_log_refused(node));
        TRY(wait_queue_wait(ctx, &node->log_room));
    }
    TRY(replica_wait_commit(ctx, replica, slot));
    while (replica->applied_slot < slot) {
        if (replica->state != REPLICA_SERVING)
            return STATUS_UNKNOWN_OUTCOME;
        TRY(wait_queue_wait(ctx, &replica->changes.newer));
    }
    return STATUS_OK;
}

enum status changes_mark_set(struct context *ctx, struct replica *replica, uint64_t consumer,
                             uint64_t slot)
{
    uint64_t set;
    ASSERT(slot != MARK_GOES);
    TRY(log_mark(ctx, replica, (struct changes_mark){consumer, slot}));
    return changes_mark(replica, consumer, &set) ? STATUS_OK : STATUS_NO_SPACE;
}

enum status changes_mark_remove(struct context *ctx, struct replica *replica, uint64_t consumer)
{
    return log_mark(ctx, replica, (struct changes_mark){consumer, MARK_GOES});
}

/* ---- Applied ---- */

enum status changes_apply(struct context *ctx, struct replica *replica,
                          const struct change_batch *batch, uint64_t last_slot)
{
    struct change_log *log = &replica->changes;
    TRY(reserve_marks(replica)); /* taking the batch's cannot fail */
    if (batch->count == 0)
        return STATUS_OK;
    if (log->tree == NULL)
        TRY(tree_create_second(replica->tree, &log->tree));
    TRY(tree_apply(ctx, log->tree, batch->mutations, batch->count, last_slot));
    log->trim_credit = MIN(log->trim_credit + 2 * batch->records, TRIM_CREDIT_MAX);
    replica->node->stats.changes_kept += batch->records;
    return STATUS_OK;
}

static void start_timer(struct node *node)
{
    if (node->changes_timer_runs || node->closing)
        return;
    node->changes_timer_runs = true;
    env_timer_start(node->env, &node->changes_timer, SECOND_NS);
}

/* May the record go, that has this key?  (3) */
static bool may_go(const struct replica *replica, uint64_t slot, uint64_t hlc, bool for_stream,
                   uint64_t now_ns)
{
    const struct changes_marks *marks = replica->changes.marks;
    if (slot > replica->applied_slot)
        return false;
    if (for_stream && (hlc > now_ns || now_ns - hlc < CHANGES_RETENTION_NS))
        return false;
    for (uint32_t i = 0; marks != NULL && i < marks->count; i++) {
        if (slot > marks->at[i].slot)
            return false;
    }
    return true;
}

/* Ask for a turn with an applier, if there may be something to trim. */
static void trim_later(struct replica *replica, uint32_t credit)
{
    struct change_log *log = &replica->changes;
    log->trim_credit = MIN(log->trim_credit + credit, TRIM_CREDIT_MAX);
    if (log->tree == NULL || log->trim_credit == 0 || log->trim_due)
        return;
    log->trim_due =
        !log->oldest.known ||
        (!log->oldest.none && may_go(replica, log->oldest.slot, log->oldest.hlc, log->oldest.stream,
                                     wall_now_ns(replica->node->env)));
    if (log->trim_due)
        replica_apply_later(replica);
}

void changes_applied(struct replica *replica, const struct change_batch *batch)
{
    struct change_log *log = &replica->changes;
    for (uint32_t i = 0; i < batch->mark_count; i++)
        take_mark(replica, &batch->marks[i]);
    for (uint32_t i = 0; i < batch->span_count; i++) {
        const struct changes_span *span = &batch->spans[i];
        span_add(log->marks->spans, &log->marks->span_count, span->stream, span->first_slot,
                 span->last_slot);
        replica->counts_saved = false;
    }
    if (batch->newest.slot > 0) {
        log->newest = batch->newest;
        log->newest_known = true;
        if (log->oldest.none)
            log->oldest.known = log->oldest.none = false;
        start_timer(replica->node);
    }
    trim_later(replica, 0);
    wait_queue_wake_all(&log->newer);
    const struct replica_service *service = &replica->node->service;
    if (batch->newest.slot > 0 && service->on_changes != NULL)
        service->on_changes(service->on_changes_owner, replica->group_id);
}

void changes_init(struct replica *replica)
{
    replica->changes = (struct change_log){0};
    wait_queue_init(&replica->changes.newer);
}

void changes_release(struct replica *replica)
{
    struct heap *heap = replica->node->env->heap;
    if (replica->changes.marks != NULL)
        heap_free(heap, replica->changes.marks, sizeof(*replica->changes.marks));
}

enum status changes_restore(struct replica *replica, uint64_t trimmed_slot,
                            const struct changes_marks *marks)
{
    struct change_log *log = &replica->changes;
    log->tree = tree_second(replica->tree);
    log->trimmed_slot = trimmed_slot;
    if (marks->count == 0 && marks->span_count == 0)
        return STATUS_OK;
    TRY(reserve_marks(replica));
    *log->marks = *marks;
    return STATUS_OK;
}

void changes_forget_marks(struct replica *replica)
{
    if (replica->changes.marks != NULL)
        replica->changes.marks->count = 0;
    replica->counts_saved = false;
}

uint64_t changes_trimmed_slot(const struct replica *replica)
{
    return replica->changes.trimmed_slot;
}

bool changes_span(const struct replica *replica, uint8_t stream, struct changes_span *span)
{
    const struct changes_marks *marks = replica->changes.marks;
    *span = (struct changes_span){0};
    for (uint32_t i = 0; marks != NULL && i < marks->span_count; i++) {
        if (marks->spans[i].stream == stream)
            *span = marks->spans[i];
    }
    return span->stream != 0;
}

void changes_size(const struct replica *replica, uint64_t *rows, uint64_t *bytes)
{
    struct forest_row row = {0};
    if (replica->changes.tree != NULL)
        row = tree_row(replica->changes.tree);
    *rows = row.items;
    *bytes = row.bytes;
}

struct collection_size node_changes_size(const struct node *node)
{
    struct collection_size size = {0};
    uint32_t position = 0;
    const struct replica *replica;
    while ((replica = hash_map_next(&node->replicas, &position)) != NULL) {
        uint64_t rows, bytes;
        changes_size(replica, &rows, &bytes);
        size.count += rows;
        size.bytes += bytes;
    }
    return size;
}

/* ---- Reading ---- */

enum status changes_open(struct context *ctx, struct replica *replica, struct change_position from,
                         struct changes_walk *walk)
{
    uint8_t key[10];
    *walk = (struct changes_walk){
        .replica = replica, .ctx = ctx, .empty = replica->changes.tree == NULL};
    if (walk->empty)
        return STATUS_OK;
    put_u64_be(key, from.slot);
    put_u16_be(key + 8, from.number);
    return tree_cursor_open(ctx, replica->changes.tree, 0, bytes_of(key, sizeof(key)), true,
                            &walk->cursor);
}

static enum status head_read(struct bytes value, struct change_record *record, bool *apart,
                             uint32_t image_bytes[2])
{
    struct reader r = reader_of(value);
    uint8_t format = read_u8(&r);
    uint8_t kind = read_u8(&r);
    record->actor = read_u8(&r);
    uint8_t flags = read_u8(&r);
    uint32_t key_bytes = read_u32(&r);
    image_bytes[0] = read_u32(&r);
    image_bytes[1] = read_u32(&r);
    record->key = read_bytes(&r, key_bytes);
    if (!r.failed && format != ROW_FORMAT)
        return STATUS_VERSION;
    record->kind = (enum change_kind)kind;
    *apart = (flags & HEAD_APART) != 0;
    record->old = record->current = VALUE_ABSENT;
    if (!*apart && image_bytes[0] > 0)
        record->old = (struct value){read_bytes(&r, image_bytes[0]).at, image_bytes[0]};
    if (!*apart && image_bytes[1] > 0)
        record->current = (struct value){read_bytes(&r, image_bytes[1]).at, image_bytes[1]};
    bool sound = kind >= CHANGE_INSERT && kind <= CHANGE_REMOVE && flags <= HEAD_APART &&
                 (kind == CHANGE_INSERT) == (image_bytes[0] == 0) &&
                 (kind == CHANGE_REMOVE) == (image_bytes[1] == 0);
    return r.failed || reader_left(&r) > 0 || !sound ? STATUS_CORRUPT : STATUS_OK;
}

/* An image in a row of its own, copied.
 *   STATUS_NOT_FOUND  it was trimmed while this waited */
static enum status read_image(struct changes_walk *walk, const struct change_record *record,
                              enum row_part part, uint32_t bytes, struct value *image)
{
    struct bytes key, value;
    struct row_key at;
    enum status status = tree_cursor_next(&walk->cursor, &key, &value);
    if (status == STATUS_END)
        return STATUS_NOT_FOUND;
    TRY(status);
    TRY(row_key_read(key, &at));
    if (at.position.slot != record->position.slot ||
        at.position.number != record->position.number || at.part != part)
        return STATUS_NOT_FOUND;
    if (value.count != bytes)
        return STATUS_CORRUPT;
    struct bytes copy =
        value.count > TREE_INLINE_VALUE_BYTES_MAX ? value : arena_copy(&walk->ctx->arena, value);
    *image = (struct value){copy.at, bytes};
    return copy.at == NULL ? STATUS_NO_MEMORY : STATUS_OK;
}

static enum status read_images(struct changes_walk *walk, struct change_record *record,
                               const uint32_t bytes[2])
{
    record->key = arena_copy(&walk->ctx->arena, record->key);
    if (record->key.at == NULL)
        return STATUS_NO_MEMORY;
    if (bytes[0] > 0)
        TRY(read_image(walk, record, PART_OLD, bytes[0], &record->old));
    if (bytes[1] > 0)
        TRY(read_image(walk, record, PART_NEW, bytes[1], &record->current));
    return STATUS_OK;
}

/* Others have their turn after TURN_WORK. */
static enum status give_way(struct changes_walk *walk)
{
    if (LIKELY(walk->work < TURN_WORK))
        return STATUS_OK;
    walk->work = 0;
    TRY(context_check(walk->ctx));
    context_yield(walk->ctx);
    return STATUS_OK;
}

enum status changes_next(struct changes_walk *walk, struct change_record *record)
{
    struct bytes row, value;
    struct row_key key;
    bool apart;
    uint32_t image_bytes[2];
    while (!walk->empty) {
        TRY(give_way(walk));
        TRY(tree_cursor_next(&walk->cursor, &row, &value));
        walk->work += STEP_WORK + value.count;
        walk->bytes += value.count;
        TRY(row_key_read(row, &key));
        if (key.position.slot > walk->replica->applied_slot)
            return STATUS_END; /* (2) */
        if (key.part != PART_HEAD)
            continue; /* its head was trimmed */
        record->position = key.position;
        record->hlc = key.hlc;
        record->stream = key.stream;
        TRY(head_read(value, record, &apart, image_bytes));
        if (LIKELY(!apart))
            return STATUS_OK;
        walk->work += (size_t)image_bytes[0] + image_bytes[1];
        walk->bytes += (size_t)image_bytes[0] + image_bytes[1];
        enum status status = read_images(walk, record, image_bytes);
        if (status != STATUS_NOT_FOUND)
            return status;
        /* It was trimmed while this waited for its images. */
        struct change_position next = {.slot = key.position.slot,
                                       .number = (uint16_t)(key.position.number + 1)};
        size_t work = walk->work, bytes = walk->bytes;
        TRY(changes_open(walk->ctx, walk->replica, next, walk));
        walk->work = work;
        walk->bytes = bytes;
    }
    return STATUS_END;
}

/* The position of the newest record that is applied; zero: there is none.  May wait for a page, the
 * first time after a start. */
static enum status find_newest(struct context *ctx, struct replica *replica,
                               struct change_position *newest)
{
    struct change_log *log = &replica->changes;
    struct change_position found = {0};
    if (!log->newest_known && log->tree != NULL) {
        struct tree_cursor cursor;
        struct bytes row, value;
        struct row_key key;
        TRY(tree_cursor_open(ctx, log->tree, TREE_CURSOR_BACKWARD | TREE_CURSOR_KEYS,
                             (struct bytes){0}, true, &cursor));
        do {
            enum status status = tree_cursor_next(&cursor, &row, &value);
            if (status == STATUS_END)
                break;
            TRY(status);
            TRY(row_key_read(row, &key));
            found = key.position;
        } while (found.slot > replica->applied_slot);
        if (found.slot > replica->applied_slot)
            found = (struct change_position){0};
    }
    if (!log->newest_known && found.slot > 0) { /* no batch has come meanwhile */
        log->newest = found;
        log->newest_known = true;
    }
    *newest = log->newest;
    return STATUS_OK;
}

enum status changes_wait(struct context *ctx, struct replica *replica, struct change_position after)
{
    for (;;) {
        struct change_position newest;
        if (replica->state >= REPLICA_RETIRED || !replica->readable)
            return replica->state >= REPLICA_RETIRED ? STATUS_MOVED : STATUS_UNAVAILABLE;
        TRY(find_newest(ctx, replica, &newest));
        if (change_before(after, newest))
            return STATUS_OK;
        TRY(replica_serves(replica)); /* else no other will come */
        TRY(wait_queue_wait(ctx, &replica->changes.newer));
    }
}

/* ---- For the router ---- */

static enum status give(struct context *ctx, struct replica *replica,
                        const struct replica_changes *read, struct change_sink *sink,
                        struct replica_changes_result *result)
{
    struct changes_walk walk;
    struct change_record record;
    uint64_t commit_slot = replica->commit_slot;
    TRY(changes_open(ctx, replica, read->from, &walk));
    for (uint32_t rows = 0; rows < CHANGES_CALL_ROWS_MAX && walk.bytes < CHANGES_CALL_BYTES_MAX;
         rows++) {
        enum status status = changes_next(&walk, &record);
        if (status == STATUS_END) {
            /* What comes is beyond what was committed, if all of that was applied meanwhile. */
            result->at_end = replica->applied_slot >= commit_slot;
            return STATUS_OK;
        }
        TRY(status);
        result->next = record.position;
        if (record.stream == read->stream) {
            fiber_no_wait_begin(ctx);
            status = sink->take(sink, &record);
            fiber_no_wait_end(ctx);
            if (status == STATUS_END)
                return STATUS_OK;
            TRY(status);
        }
        result->next.number++;
    }
    return STATUS_OK;
}

enum status node_changes(struct context *ctx, struct replica_service *service,
                         const struct replica_target *target, const struct replica_changes *read,
                         struct change_sink *sink, struct replica_changes_result *result)
{
    struct node *node = CONTAINER_OF(service, struct node, service);
    struct replica *replica;
    struct changes_span span;
    TRY(replica_enter_changes(node, target->group_id, &replica));
    *result = (struct replica_changes_result){.next = read->from};
    enum status status = read->none ? STATUS_OK : give(ctx, replica, read, sink, result);
    /* Asked afterwards: what was trimmed meanwhile was perhaps not read. */
    if (changes_span(replica, read->stream, &span)) {
        result->first_slot = span.first_slot;
        result->last_slot = span.last_slot;
        result->trimmed = span.trimmed.slot > 0 && !change_before(span.trimmed, read->from);
    }
    result->commit_slot = replica->commit_slot;
    replica_leave_changes(replica);
    return status;
}

/* ---- Trimming ---- */

bool changes_trims(const struct replica *replica)
{
    return replica->changes.trim_due && replica->state != REPLICA_CLOSING;
}

/* The first rows that may go, at most `max`; *records of them begin there.  What comes behind them
 * is the oldest. */
static enum status find_trimmable(struct context *ctx, struct replica *replica, struct bytes *keys,
                                  uint32_t max, uint32_t *count, uint32_t *records)
{
    struct change_log *log = &replica->changes;
    struct tree_cursor cursor;
    uint64_t now_ns = wall_now_ns(ctx->env);
    *count = *records = 0;
    TRY(tree_cursor_open(ctx, log->tree, TREE_CURSOR_BACKGROUND | TREE_CURSOR_KEYS,
                         (struct bytes){0}, true, &cursor));
    for (;;) {
        struct bytes row, value;
        struct row_key key;
        enum status status = tree_cursor_next(&cursor, &row, &value);
        log->oldest.known = log->oldest.none = status == STATUS_END;
        if (status == STATUS_END)
            return STATUS_OK;
        TRY(status);
        TRY(row_key_read(row, &key));
        log->oldest.known = true;
        log->oldest.slot = key.position.slot;
        log->oldest.hlc = key.hlc;
        log->oldest.stream = key.stream;
        bool goes = may_go(replica, key.position.slot, key.hlc, key.stream != 0, now_ns);
        if (!goes || *count == max)
            return STATUS_OK;
        keys[*count] = arena_copy(&ctx->arena, row);
        if (keys[*count].at == NULL)
            return STATUS_NO_MEMORY;
        (*count)++;
        *records += key.part == PART_HEAD ? 1 : 0;
    }
}

/* The streams have lost these records. */
static void note_trimmed(struct changes_marks *marks, const struct bytes *keys, uint32_t count)
{
    for (uint32_t i = 0; i < count && marks != NULL; i++) {
        struct row_key key;
        if (row_key_read(keys[i], &key) != STATUS_OK)
            continue;
        for (uint32_t at = 0; at < marks->span_count; at++) {
            struct changes_span *span = &marks->spans[at];
            if (span->stream == key.stream)
                span->trimmed = key.position; /* in order */
        }
    }
}

static enum status trim(struct context *ctx, struct replica *replica)
{
    struct change_log *log = &replica->changes;
    struct bytes keys[TRIM_ROWS_MAX];
    uint32_t count, records;
    arena_reset(&ctx->arena);
    enum status status =
        find_trimmable(ctx, replica, keys, MIN(TRIM_ROWS_MAX, log->trim_credit), &count, &records);
    if (status == STATUS_OK && count > 0) {
        /* No checkpoint may have fewer records without saying so (4). */
        log->trimmed_slot = MAX(log->trimmed_slot, get_u64_be(keys[count - 1].at));
        note_trimmed(log->marks, keys, count);
        replica->counts_saved = false;
        status = replica_save(replica);
    }
    if (status == STATUS_OK && count > 0)
        status = tree_prune(ctx, log->tree, keys, count);
    if (status != STATUS_OK) {
        log->oldest.known = log->oldest.none = false;
        return status;
    }
    log->trim_credit -= count;
    replica->node->stats.changes_trimmed += records;
    return STATUS_OK;
}

void changes_trim(struct context *ctx, struct replica *replica)
{
    enum status status = trim(ctx, replica);
    replica->changes.trim_due = false;
    if (status == STATUS_OK)
        trim_later(replica, 0);
    /* What failed is tried again in a second: the timer. */
}

void changes_timer_fire(struct env_timer *timer)
{
    struct node *node = CONTAINER_OF(timer, struct node, changes_timer);
    bool any = false;
    uint32_t position = 0;
    struct replica *replica;
    node->changes_timer_runs = false;
    while ((replica = hash_map_next(&node->replicas, &position)) != NULL) {
        const struct tree *tree = replica->changes.tree;
        if (tree == NULL || tree_row(tree).items == 0)
            continue;
        any = true;
        trim_later(replica, TRIM_EACH_SECOND);
    }
    if (any)
        start_timer(node);
}
