#include "metadata/table.h"

#include "base/assert.h"
#include "base/codec.h"
#include "base/compiler.h"
#include "request/change.h"

/* The catalog's record: integers little-endian, texts as u16 length + bytes.
 *
 *   u8 format: 2 | u64 id | u64 schema version | name | 16 uuid | u64 hash seed
 *   | partition key: name, u8 type | sort key: name, u8 type
 *   | u8 status | u64 created | u8 billing | u64 billing changed | u64 read | u64 write
 *   | u64 last increase | u64 last decrease | u32 decreases today
 *   | u8 has maximum | u64 read maximum | u64 write maximum
 *   | u8 deletion protection | u8 class | u64 class changed
 *   | u32 tags: (key, value)... | u32 partitions: (u64 group, low, high)...
 *   | indexes: model/index.h
 *   | u8 TTL status | TTL attribute | u64 TTL changed
 *   | u64 warm reads | u64 warm writes | u8 KMS | KMS key | 4 * u64 switched to on-demand
 *   | 2 * u64 class updated
 *   | u64 policy revision | policy
 *   | u8 streams: (u64 created, u64 ended, u8 number, u8 view)...
 *   | u8 global indexes: (u64 id | u64 hash seed | u8 status | u8 online | u8 backfilling
 *     | u64 read | u64 write | u64 last increase | u64 last decrease | u32 decreases today
 *     | u8 has maximum | u64 read maximum | u64 write maximum | u64 warm reads | u64 warm writes
 *     | u32 partitions: (u64 group, low, high)...)...
 */

static void put_key_attribute(struct buffer *to, const struct key_attribute *attribute)
{
    buffer_append_text(to, attribute->name);
    buffer_append_u8(to, (uint8_t)attribute->type);
}

static void put_settings(struct buffer *to, const struct table *table)
{
    buffer_append_u64(to, table->warm.read_units);
    buffer_append_u64(to, table->warm.write_units);
    buffer_append_u8(to, table->sse.kms);
    buffer_append_text(to, table->sse.key_arn);
    for (uint32_t i = 0; i < BILLING_SWITCHES; i++)
        buffer_append_u64(to, table->switched_ms[i]);
    for (uint32_t i = 0; i < CLASS_CHANGES; i++)
        buffer_append_u64(to, table->class_changes_ms[i]);
    buffer_append_u64(to, table->policy_revision);
    buffer_append_text(to, table->policy);
}

static void put_partitions(struct buffer *to, const struct partition *partitions, uint32_t count)
{
    buffer_append_u32(to, count);
    for (uint32_t i = 0; i < count; i++) {
        buffer_append_u64(to, partitions[i].group_id);
        buffer_append_text(to, partitions[i].low);
        buffer_append_text(to, partitions[i].high);
    }
}

static void put_global(struct buffer *to, const struct table_index *index)
{
    buffer_append_u64(to, index->id);
    buffer_append_u64(to, index->hash_seed);
    buffer_append_u8(to, (uint8_t)index->status);
    buffer_append_u8(to, index->online);
    buffer_append_u8(to, index->backfilling);
    buffer_append_u64(to, index->read_units);
    buffer_append_u64(to, index->write_units);
    buffer_append_u64(to, index->last_increase_ms);
    buffer_append_u64(to, index->last_decrease_ms);
    buffer_append_u32(to, index->decreases_today);
    buffer_append_u8(to, index->has_on_demand_maximum);
    buffer_append_u64(to, (uint64_t)index->on_demand_read_max);
    buffer_append_u64(to, (uint64_t)index->on_demand_write_max);
    buffer_append_u64(to, index->warm.read_units);
    buffer_append_u64(to, index->warm.write_units);
    put_partitions(to, index->partitions, index->partition_count);
}

void table_encode(const struct table *table, struct buffer *to)
{
    buffer_append_u8(to, TABLE_FORMAT);
    buffer_append_u64(to, table->id);
    buffer_append_u64(to, table->schema_version);
    buffer_append_text(to, table->name);
    buffer_append(to, table->uuid, sizeof(table->uuid));
    buffer_append_u64(to, table->hash_seed);
    put_key_attribute(to, &table->schema.partition);
    put_key_attribute(to, &table->schema.sort);
    buffer_append_u8(to, (uint8_t)table->status);
    buffer_append_u64(to, table->created_ms);
    buffer_append_u8(to, (uint8_t)table->billing);
    buffer_append_u64(to, table->billing_changed_ms);
    buffer_append_u64(to, table->read_units);
    buffer_append_u64(to, table->write_units);
    buffer_append_u64(to, table->last_increase_ms);
    buffer_append_u64(to, table->last_decrease_ms);
    buffer_append_u32(to, table->decreases_today);
    buffer_append_u8(to, table->has_on_demand_maximum);
    buffer_append_u64(to, (uint64_t)table->on_demand_read_max);
    buffer_append_u64(to, (uint64_t)table->on_demand_write_max);
    buffer_append_u8(to, table->deletion_protection);
    buffer_append_u8(to, (uint8_t)table->table_class);
    buffer_append_u64(to, table->table_class_changed_ms);
    buffer_append_u32(to, table->tag_count);
    for (uint32_t i = 0; i < table->tag_count; i++) {
        buffer_append_text(to, table->tags[i].key);
        buffer_append_text(to, table->tags[i].value);
    }
    put_partitions(to, table->partitions, table->partition_count);
    index_encode(table->indexes, table->index_count, to);
    buffer_append_u8(to, (uint8_t)table->ttl);
    buffer_append_text(to, table->ttl_attribute);
    buffer_append_u64(to, table->ttl_changed_ms);
    put_settings(to, table);
    buffer_append_u8(to, (uint8_t)table->stream_count);
    for (uint32_t i = 0; i < table->stream_count; i++) {
        buffer_append_u64(to, table->streams[i].created_ms);
        buffer_append_u64(to, table->streams[i].ended_ms);
        buffer_append_u8(to, table->streams[i].number);
        buffer_append_u8(to, table->streams[i].view);
    }
    buffer_append_u8(to, (uint8_t)table->global_count);
    for (uint32_t i = 0; i < table->global_count; i++)
        put_global(to, &table->globals[i]);
}

/* A byte that stands for one of `count` choices. */
static uint8_t read_choice(struct reader *r, uint8_t count)
{
    uint8_t value = read_u8(r);
    if (value >= count)
        r->failed = true;
    return r->failed ? 0 : value;
}

static struct key_attribute read_key_attribute(struct reader *r)
{
    struct key_attribute attribute = {.name = read_text(r)};
    attribute.type = (enum value_type)read_choice(r, VALUE_TYPE_COUNT);
    return attribute;
}

static void read_settings(struct reader *r, struct table *table)
{
    table->warm.read_units = read_u64(r);
    table->warm.write_units = read_u64(r);
    table->sse.kms = read_choice(r, 2) != 0;
    table->sse.key_arn = read_text(r);
    for (uint32_t i = 0; i < BILLING_SWITCHES; i++)
        table->switched_ms[i] = read_u64(r);
    for (uint32_t i = 0; i < CLASS_CHANGES; i++)
        table->class_changes_ms[i] = read_u64(r);
    table->policy_revision = read_u64(r);
    table->policy = read_text(r);
    if (table->policy.count > POLICY_BYTES_MAX)
        r->failed = true;
}

static void read_definition(struct reader *r, struct table *table)
{
    table->id = read_u64(r);
    table->schema_version = read_u64(r);
    table->name = read_text(r);
    struct bytes uuid = read_bytes(r, sizeof(table->uuid));
    if (uuid.count > 0)
        memcpy(table->uuid, uuid.at, sizeof(table->uuid));
    table->hash_seed = read_u64(r);
    table->schema.partition = read_key_attribute(r);
    table->schema.sort = read_key_attribute(r);
    table->status = (enum table_status)read_choice(r, TABLE_DEPARTED + 1);
    table->created_ms = read_u64(r);
    table->billing = (enum billing_mode)read_choice(r, BILLING_ON_DEMAND + 1);
    table->billing_changed_ms = read_u64(r);
    table->read_units = read_u64(r);
    table->write_units = read_u64(r);
    table->last_increase_ms = read_u64(r);
    table->last_decrease_ms = read_u64(r);
    table->decreases_today = read_u32(r);
    table->has_on_demand_maximum = read_choice(r, 2) != 0;
    table->on_demand_read_max = (int64_t)read_u64(r);
    table->on_demand_write_max = (int64_t)read_u64(r);
    table->deletion_protection = read_choice(r, 2) != 0;
    table->table_class = (enum table_class)read_choice(r, TABLE_CLASS_INFREQUENT_ACCESS + 1);
    table->table_class_changed_ms = read_u64(r);
}

/* The arrays of a table that is being read; those that are NULL are not filled. */
struct arrays {
    struct tag *tags;
    struct partition *partitions; /* of the table, then of each global index */
    struct index_schema *indexes;
    struct table_index *globals;
    uint32_t partition_count; /* read so far, of all */
};

/* Partitions of one table or index; *first is where they lie. */
static uint32_t read_partitions(struct reader *r, struct arrays *arrays, struct partition **first)
{
    uint32_t count = read_u32(r);
    if (count == 0 || count > TABLE_PARTITIONS_MAX)
        r->failed = true;
    *first = arrays->partitions == NULL ? NULL : arrays->partitions + arrays->partition_count;
    for (uint32_t i = 0; i < count && !r->failed; i++) {
        struct partition partition = {.group_id = read_u64(r)};
        partition.low = read_text(r);
        partition.high = read_text(r);
        if (*first != NULL)
            (*first)[i] = partition;
    }
    if (!r->failed)
        arrays->partition_count += count;
    return count;
}

static void read_indexes(struct reader *r, struct table *table, struct arrays *arrays)
{
    const uint8_t *from = r->at;
    uint32_t locals = 0;
    table->index_count = index_read_count(r);
    for (uint32_t i = 0; i < table->index_count && !r->failed; i++) {
        struct index_schema index;
        index_read(r, &index);
        locals += index.kind == INDEX_LOCAL;
        if (index.kind == INDEX_LOCAL && (locals != i + 1 || index.collection != i + 1))
            r->failed = true;
        if (arrays->indexes != NULL)
            arrays->indexes[i] = index;
    }
    if (!r->failed)
        table->index_run = bytes_of(from, (size_t)(r->at - from));
    table->global_count = table->index_count - locals;
}

static void read_global(struct reader *r, struct arrays *arrays, struct table_index *index)
{
    *index = (struct table_index){.id = read_u64(r)};
    index->hash_seed = read_u64(r);
    index->status = (enum table_status)read_choice(r, TABLE_DELETING + 1);
    index->online = read_choice(r, 2) != 0;
    index->backfilling = read_choice(r, 2) != 0;
    index->read_units = read_u64(r);
    index->write_units = read_u64(r);
    index->last_increase_ms = read_u64(r);
    index->last_decrease_ms = read_u64(r);
    index->decreases_today = read_u32(r);
    index->has_on_demand_maximum = read_choice(r, 2) != 0;
    index->on_demand_read_max = (int64_t)read_u64(r);
    index->on_demand_write_max = (int64_t)read_u64(r);
    index->warm.read_units = read_u64(r);
    index->warm.write_units = read_u64(r);
    index->partition_count = read_partitions(r, arrays, &index->partitions);
}

static void read_globals(struct reader *r, const struct table *table, struct arrays *arrays)
{
    if (read_u8(r) != table->global_count)
        r->failed = true;
    for (uint32_t i = 0; i < table->global_count && !r->failed; i++) {
        struct table_index index;
        read_global(r, arrays, &index);
        if (arrays->globals != NULL)
            arrays->globals[i] = index;
    }
}

static void read_ttl(struct reader *r, struct table *table)
{
    table->ttl = (enum ttl_status)read_choice(r, TTL_STATUS_COUNT);
    table->ttl_attribute = read_text(r);
    table->ttl_changed_ms = read_u64(r);
    if ((table->ttl == TTL_DISABLED) != (table->ttl_attribute.count == 0) ||
        table->ttl_attribute.count > TTL_NAME_BYTES_MAX)
        r->failed = true;
}

static void read_streams(struct reader *r, struct table *table)
{
    table->stream_count = read_choice(r, TABLE_STREAMS_MAX + 1);
    for (uint32_t i = 0; i < table->stream_count && !r->failed; i++) {
        struct table_stream *stream = &table->streams[i];
        stream->created_ms = read_u64(r);
        stream->ended_ms = read_u64(r);
        stream->number = read_u8(r);
        stream->view = read_choice(r, STREAM_KEYS_ONLY + 1);
        bool last = i + 1 == table->stream_count;
        if (stream->number == 0 || stream->view == 0 || (stream->ended_ms == 0 && !last))
            r->failed = true;
    }
}

/* Read the record into `table`, whose arrays hold as many elements as the counts allow; with NULL
 * arrays only the counts are read. */
static void read_record(struct reader *r, struct table *table, struct arrays *arrays)
{
    read_definition(r, table);
    table->tag_count = read_u32(r);
    if (table->tag_count > TAGS_MAX)
        r->failed = true;
    for (uint32_t i = 0; i < table->tag_count && !r->failed; i++) {
        struct tag tag = {.key = read_text(r)};
        tag.value = read_text(r);
        if (arrays->tags != NULL)
            arrays->tags[i] = tag;
    }
    table->partition_count = read_partitions(r, arrays, &table->partitions);
    read_indexes(r, table, arrays);
    read_ttl(r, table);
    read_settings(r, table);
    read_streams(r, table);
    read_globals(r, table, arrays);
    if (reader_left(r) != 0)
        r->failed = true;
}

/* A departed table has a name that says of which table it was, streams that have ended, and no
 * indexes. */
static bool departed_is_sound(const struct table *table)
{
    char name[DEPARTED_NAME_BYTES_MAX];
    if (!table_is_departed(table))
        return table->status != TABLE_DEPARTED;
    struct bytes due = table_departed_name(table_stream_name(table), table->id, name);
    return bytes_equal(due, table->name) && table->stream_count > 0 &&
           table_stream(table) == NULL && table->index_count == 0 &&
           (table->status == TABLE_DEPARTED || table->status == TABLE_DELETING);
}

/* The partitions cover all keys, each beginning where the one before it ends. */
static bool gapless(const struct partition *partitions, uint32_t count)
{
    for (uint32_t i = 0; i + 1 < count; i++) {
        if (!bytes_equal(partitions[i].high, partitions[i + 1].low) ||
            bytes_compare(partitions[i].low, partitions[i].high) >= 0)
            return false;
    }
    return partitions[0].low.count == 0 && partitions[count - 1].high.count == 0;
}

static bool all_gapless(const struct table *table)
{
    bool all = gapless(table->partitions, table->partition_count);
    for (uint32_t i = 0; i < table->global_count; i++)
        all &= gapless(table->globals[i].partitions, table->globals[i].partition_count);
    return all;
}

enum status table_decode(struct bytes record, struct heap *heap, struct table **table)
{
    if (record.count == 0)
        return STATUS_CORRUPT;
    if (record.at[0] != TABLE_FORMAT)
        return STATUS_VERSION;
    struct table counts = {0};
    struct arrays arrays = {0};
    struct reader r = reader_of(bytes_after(record, 1));
    read_record(&r, &counts, &arrays);
    if (r.failed)
        return STATUS_CORRUPT;

    size_t bytes = sizeof(struct table) + counts.tag_count * sizeof(struct tag) +
                   arrays.partition_count * sizeof(struct partition) +
                   counts.index_count * sizeof(struct index_schema) +
                   counts.global_count * sizeof(struct table_index) + record.count;
    struct table *made = heap_alloc_zero(heap, bytes);
    if (made == NULL)
        return STATUS_NO_MEMORY;
    *made = (struct table){.references = 1, .heap = heap, .bytes = bytes};
    made->tags = (struct tag *)(made + 1);
    made->indexes = (struct index_schema *)(made->tags + counts.tag_count);
    made->globals = (struct table_index *)(made->indexes + counts.index_count);
    uint8_t *copy = (uint8_t *)(made->globals + counts.global_count) +
                    arrays.partition_count * sizeof(struct partition);
    arrays =
        (struct arrays){.tags = made->tags,
                        .partitions = (struct partition *)(made->globals + counts.global_count),
                        .indexes = made->indexes,
                        .globals = made->globals};
    memcpy(copy, record.at, record.count);
    r = reader_of(bytes_of(copy + 1, record.count - 1));
    read_record(&r, made, &arrays);
    ASSERT(!r.failed);
    if (made->global_count > 0)
        made->keeps_changes = KEEP_CHANGES;
    if (table_stream(made) != NULL) {
        made->stream_number = table_stream(made)->number;
        made->keeps_changes = KEEP_CHANGES_FOR_STREAM;
    }
    if (!all_gapless(made) || !departed_is_sound(made)) {
        table_drop(made);
        return STATUS_CORRUPT;
    }
    *table = made;
    return STATUS_OK;
}

/* ---- Departed tables ---- */

#define DEPARTED_PREFIX_BYTES (sizeof(DEPARTED_PREFIX) - 1)
#define DEPARTED_ID_DIGITS    20u

bool table_is_departed(const struct table *table)
{
    return table->name.count > DEPARTED_PREFIX_BYTES + 1 + DEPARTED_ID_DIGITS &&
           table->name.count <= DEPARTED_NAME_BYTES_MAX &&
           memcmp(table->name.at, DEPARTED_PREFIX, DEPARTED_PREFIX_BYTES) == 0;
}

struct bytes table_stream_name(const struct table *table)
{
    if (LIKELY(!table_is_departed(table)))
        return table->name;
    return bytes_of(table->name.at + DEPARTED_PREFIX_BYTES,
                    table->name.count - DEPARTED_PREFIX_BYTES - 1 - DEPARTED_ID_DIGITS);
}

struct bytes table_departed_name(struct bytes name, uint64_t id, char to[DEPARTED_NAME_BYTES_MAX])
{
    char *at = to;
    ASSERT(name.count <= TABLE_NAME_BYTES_MAX);
    memcpy(at, DEPARTED_PREFIX, DEPARTED_PREFIX_BYTES);
    at += DEPARTED_PREFIX_BYTES;
    if (name.count > 0)
        memcpy(at, name.at, name.count);
    at += name.count;
    *at++ = '#';
    for (unsigned i = DEPARTED_ID_DIGITS; i > 0; i--, id /= 10)
        at[i - 1] = (char)('0' + id % 10);
    return bytes_of(to, (size_t)(at - to) + DEPARTED_ID_DIGITS);
}

uint64_t table_streams_end_ms(const struct table *table)
{
    uint64_t end_ms = 0;
    for (uint32_t i = 0; i < table->stream_count; i++) {
        const struct table_stream *stream = &table->streams[i];
        if (stream->ended_ms == 0)
            return UINT64_MAX;
        end_ms = MAX(end_ms, stream->ended_ms + STREAM_RETENTION_MS);
    }
    return end_ms;
}

void table_depart(struct table *table, struct bytes name, uint64_t now_ms)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < table->stream_count; i++) {
        if (table_stream_lives(&table->streams[i], now_ms))
            table->streams[count++] = table->streams[i];
    }
    table->name = name;
    table->status = TABLE_DEPARTED;
    table->stream_count = count;
    table->index_count = table->global_count = table->tag_count = 0;
    table->ttl = TTL_DISABLED;
    table->ttl_attribute = table->policy = table->sse.key_arn = (struct bytes){0};
    table->deletion_protection = false;
}

/* The last partition whose low bound is not above the key. */
static const struct partition *find_partition(const struct partition *partitions, uint32_t count,
                                              struct bytes key)
{
    uint32_t low = 0, high = count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (bytes_compare(partitions[middle].low, key) <= 0)
            low = middle;
        else
            high = middle;
    }
    return &partitions[low];
}

const struct partition *table_partition(const struct table *table, struct bytes key)
{
    return find_partition(table->partitions, table->partition_count, key);
}

const struct partition *table_index_partition(const struct table_index *index, struct bytes key)
{
    return find_partition(index->partitions, index->partition_count, key);
}

struct table_index *table_global(const struct table *table, const struct index_schema *schema)
{
    uint32_t at = (uint32_t)(schema - table->indexes);
    ASSERT(at < table->index_count);
    uint32_t locals = table->index_count - table->global_count;
    return at < locals ? NULL : &table->globals[at - locals];
}

const struct index_schema *table_global_schema(const struct table *table,
                                               const struct table_index *index)
{
    uint32_t at = (uint32_t)(index - table->globals);
    ASSERT(at < table->global_count);
    return &table->indexes[table->index_count - table->global_count + at];
}

struct table_index *table_global_of_id(const struct table *table, uint64_t id)
{
    for (uint32_t i = 0; i < table->global_count; i++) {
        if (table->globals[i].id == id)
            return &table->globals[i];
    }
    return NULL;
}

uint32_t table_partitions(const struct table *table)
{
    uint32_t count = table->partition_count;
    for (uint32_t i = 0; i < table->global_count; i++)
        count += table->globals[i].partition_count;
    return count;
}

/* A new on-demand table serves 12,000 reads and 4,000 writes at once (Developer Guide, "On-demand
 * capacity mode"), another what it was provisioned with. */
#define ON_DEMAND_WARM_READS  12000u
#define ON_DEMAND_WARM_WRITES 4000u

struct warm_throughput warm_by_itself(enum billing_mode billing, uint64_t read_units,
                                      uint64_t write_units)
{
    if (billing == BILLING_ON_DEMAND)
        return (struct warm_throughput){ON_DEMAND_WARM_READS, ON_DEMAND_WARM_WRITES};
    return (struct warm_throughput){read_units, write_units};
}

struct warm_throughput warm_most(struct warm_throughput a, struct warm_throughput b)
{
    return (struct warm_throughput){MAX(a.read_units, b.read_units),
                                    MAX(a.write_units, b.write_units)};
}

struct warm_throughput table_warm(const struct table *table)
{
    return warm_most(table->warm,
                     warm_by_itself(table->billing, table->read_units, table->write_units));
}

struct warm_throughput index_warm(enum billing_mode billing, const struct table_index *index)
{
    return warm_most(index->warm, warm_by_itself(billing, index->read_units, index->write_units));
}

bool table_is_settled(const struct table *table)
{
    bool settled = table->status == TABLE_ACTIVE || table->status == TABLE_DEPARTED;
    for (uint32_t i = 0; i < table->global_count; i++)
        settled &= table->globals[i].status == TABLE_ACTIVE;
    return settled;
}

const struct index_schema *table_index(const struct table *table, struct bytes name)
{
    for (uint32_t i = 0; i < table->index_count; i++) {
        if (bytes_equal(table->indexes[i].name, name))
            return &table->indexes[i];
    }
    return NULL;
}

const struct table_stream *table_stream(const struct table *table)
{
    if (table->stream_count == 0)
        return NULL;
    const struct table_stream *last = &table->streams[table->stream_count - 1];
    return last->ended_ms == 0 ? last : NULL;
}

bool table_stream_lives(const struct table_stream *stream, uint64_t now_ms)
{
    return stream->ended_ms == 0 || now_ms < stream->ended_ms + STREAM_RETENTION_MS;
}

void table_stream_begin(struct table *table, uint8_t view, uint64_t now_ms)
{
    struct table_stream *streams = table->streams;
    struct table_stream before = {0};
    ASSERT(table_stream(table) == NULL);
    if (table->stream_count > 0)
        before = streams[table->stream_count - 1];
    if (table->stream_count == TABLE_STREAMS_MAX)
        memmove(streams, streams + 1, --table->stream_count * sizeof(*streams));
    streams[table->stream_count++] = (struct table_stream){
        .created_ms = MAX(now_ms, before.created_ms + 1),
        .number = (uint8_t)(before.number % UINT8_MAX + 1),
        .view = view,
    };
}

void table_stream_end(struct table *table, uint64_t now_ms)
{
    ASSERT(table_stream(table) != NULL);
    struct table_stream *last = &table->streams[table->stream_count - 1];
    last->ended_ms = MAX(now_ms, last->created_ms);
}

void table_hold(const struct table *table)
{
    ((struct table *)(uintptr_t)table)->references++;
}

void table_drop(const struct table *dropped)
{
    struct table *table = (struct table *)(uintptr_t)dropped;
    if (table == NULL)
        return;
    ASSERT(table->references > 0);
    if (--table->references == 0)
        heap_free(table->heap, table, table->bytes);
}

const char *table_status_name(enum table_status status)
{
    static const char *const names[] = {"CREATING", "ACTIVE", "UPDATING", "DELETING", "DEPARTED"};
    return names[status];
}

const char *ttl_status_name(enum ttl_status status)
{
    static const char *const names[] = {"DISABLED", "ENABLING", "ENABLED", "DISABLING"};
    return names[status];
}
