/* streams.c - ListStreams, DescribeStream, GetShardIterator, GetRecords.
 *
 * A shard is what one partition adds to one stream: it lives as long as both do, and has no parent.
 * Its id has the stream's time and the partition's group, so that nothing is to be kept of it.
 *
 * What sequence numbers and shard iterators are: api/stream_iterator.h.
 */
#include <stdio.h>

#include "api/api_private.h"
#include "api/stream_iterator.h"
#include "base/checksum.h"
#include "base/codec.h"
#include "base/date.h"

#define LIST_MAX          100u
#define RECORDS_MAX       1000u
#define RECORDS_BYTES_MAX (1024u * 1024u)
#define ITERATOR_LIVES_MS UINT64_C(900000)
#define ITERATOR_SEED     UINT64_C(0x7368617264697472)
#define EVENT_SEED        UINT64_C(0x6576656e742d6964)
#define SHARD_ID_BYTES    37u /* "shardId-" 20 digits "-" 8 hexadecimal ones */
#define NANOSECONDS       UINT64_C(1000000000)

static uint64_t now_ms(const struct api_call *call)
{
    return wall_now_ns(call->api->env) / UINT64_C(1000000);
}

/* ---- Names ---- */

const char *stream_view_name(uint8_t view)
{
    static const char *const names[] = {[STREAM_NEW_IMAGE] = "NEW_IMAGE",
                                        [STREAM_OLD_IMAGE] = "OLD_IMAGE",
                                        [STREAM_NEW_AND_OLD_IMAGES] = "NEW_AND_OLD_IMAGES",
                                        [STREAM_KEYS_ONLY] = "KEYS_ONLY"};
    return names[view];
}

void stream_label(const struct table_stream *stream, char to[STREAM_LABEL_BYTES + 1])
{
    struct date date = date_from_seconds(stream->created_ms / 1000);
    to = date_put_digits(to, date.year, 4);
    *to++ = '-';
    to = date_put_digits(to, date.month, 2);
    *to++ = '-';
    to = date_put_digits(to, date.day, 2);
    *to++ = 'T';
    to = date_put_digits(to, date.hour, 2);
    *to++ = ':';
    to = date_put_digits(to, date.minute, 2);
    *to++ = ':';
    to = date_put_digits(to, date.second, 2);
    *to++ = '.';
    *date_put_digits(to, (unsigned)(stream->created_ms % 1000), 3) = '\0';
}

struct bytes stream_arn(struct api_call *call, const struct table *table,
                        const struct table_stream *stream)
{
    char label[STREAM_LABEL_BYTES + 1];
    const struct api_options *options = &call->api->options;
    struct bytes name = table_stream_name(table);
    stream_label(stream, label);
    return arena_format(call_arena(call), "arn:aws:dynamodb:%.*s:%.*s:table/%.*s/stream/%s",
                        BYTES_ARGS(options->region), BYTES_ARGS(options->account), BYTES_ARGS(name),
                        label);
}

static struct bytes shard_id(const struct table_stream *stream, const struct partition *partition,
                             char to[SHARD_ID_BYTES + 1])
{
    snprintf(to, SHARD_ID_BYTES + 1, "shardId-%020llu-%08x", (unsigned long long)stream->created_ms,
             (unsigned)partition->group_id);
    return bytes_of(to, SHARD_ID_BYTES);
}

/* ---- Streams and shards ---- */

/* A stream, of a table that is held. */
struct found {
    const struct table *table;
    const struct table_stream *stream;
};

static enum status no_stream(struct api_call *call, struct bytes arn)
{
    return error_format(&call->error, call_arena(call), ERROR_RESOURCE_NOT_FOUND,
                        "Requested resource not found: Stream: %.*s not found", BYTES_ARGS(arn));
}

static enum status no_shard(struct api_call *call)
{
    return error_set(&call->error, ERROR_RESOURCE_NOT_FOUND,
                     "Requested resource not found: Shard does not exist");
}

/* The table's stream of that label; NULL: it has none that can be read. */
static const struct table_stream *labelled(const struct table *table, struct bytes label,
                                           uint64_t now)
{
    for (uint32_t i = 0; i < table->stream_count; i++) {
        char text[STREAM_LABEL_BYTES + 1];
        stream_label(&table->streams[i], text);
        if (memcmp(text, label.at, STREAM_LABEL_BYTES) == 0 &&
            table_stream_lives(&table->streams[i], now))
            return &table->streams[i];
    }
    return NULL;
}

/* The stream of that name; NULL: there is none.  Departed tables may have had the name, too. */
static const struct table_stream *named_stream(const struct api_call *call, struct bytes table_name,
                                               struct bytes label, const struct table **found)
{
    const struct table *table;
    uint64_t id = 0, now = now_ms(call);
    if (label.count != STREAM_LABEL_BYTES)
        return NULL;
    while ((table = router_next_streamed(call_router(call), table_name, id)) != NULL &&
           bytes_equal(table_stream_name(table), table_name)) {
        const struct table_stream *stream = labelled(table, label, now);
        *found = table;
        if (stream != NULL)
            return stream;
        id = table->id;
    }
    return NULL;
}

/* Find and hold it. */
static enum status find_stream(struct api_call *call, struct bytes arn, struct found *found)
{
    struct bytes name, label;
    bool named;
    TRY(call_stream_name(call, arn, &name, &label, &named));
    found->stream = named ? named_stream(call, name, label, &found->table) : NULL;
    if (found->stream == NULL)
        return no_stream(call, arn);
    table_hold(found->table);
    return STATUS_OK;
}

static const struct partition *find_shard(const struct found *found, struct bytes id)
{
    char text[SHARD_ID_BYTES + 1];
    for (uint32_t i = 0; i < found->table->partition_count; i++) {
        const struct partition *partition = &found->table->partitions[i];
        if (bytes_equal(shard_id(found->stream, partition, text), id))
            return partition;
    }
    return NULL;
}

static enum status read_limit(struct api_call *call, const struct model_number *given,
                              uint32_t most, uint32_t *limit)
{
    *limit = given->given ? (uint32_t)MIN((uint64_t)given->value, (uint64_t)most) : most;
    if (given->given && given->value > (int64_t)most)
        return error_format(&call->error, call_arena(call), ERROR_VALIDATION,
                            "1 validation error detected: Value '%lld' at 'limit' failed to "
                            "satisfy constraint: Member must have value less than or equal to %u",
                            (long long)given->value, most);
    return STATUS_OK;
}

/* ---- ListStreams ---- */

static enum status write_listed(struct api_call *call, const struct table *table,
                                const struct table_stream *stream, struct bytes *last)
{
    char label[STREAM_LABEL_BYTES + 1];
    stream_label(stream, label);
    *last = stream_arn(call, table, stream);
    if (last->at == NULL)
        return call_no_memory(call);
    json_write_object_begin(&call->json);
    write_text(&call->json, "StreamArn", *last);
    write_text(&call->json, "TableName", table_stream_name(table));
    write_text(&call->json, "StreamLabel", bytes_of_text(label));
    json_write_object_end(&call->json);
    return STATUS_OK;
}

/* Is the stream behind the one named by table and label? */
static bool is_behind(const struct table *table, const struct table_stream *stream,
                      struct bytes table_name, struct bytes label)
{
    char text[STREAM_LABEL_BYTES + 1];
    int order = bytes_compare(table_stream_name(table), table_name);
    stream_label(stream, text);
    return order > 0 || (order == 0 && bytes_compare(bytes_of_text(text), label) > 0);
}

enum status api_list_streams(struct api_call *call)
{
    const struct list_streams_input *input = call->input.at;
    struct bytes start = {0}, label = {0}, last = {0}, only = {0};
    uint64_t now = now_ms(call);
    uint32_t limit, count = 0;
    bool started = true, more = false;
    TRY(read_limit(call, &input->limit, LIST_MAX, &limit));
    if (input->table.at != NULL)
        TRY(call_table_name(call, input->table, &only));
    if (input->exclusive_start.at != NULL)
        TRY(call_stream_name(call, input->exclusive_start, &start, &label, &started));
    if (!started)
        return no_stream(call, input->exclusive_start);
    json_write_object_begin(&call->json);
    write_name(&call->json, "Streams");
    json_write_array_begin(&call->json);
    const struct table *table = NULL;
    struct bytes name = only.at != NULL ? only : start;
    uint64_t id = 0;
    while (!more && (table = router_next_streamed(call_router(call), name, id)) != NULL) {
        name = table_stream_name(table); /* nothing waits in here */
        id = table->id;
        if (only.at != NULL && !bytes_equal(only, name))
            break;
        for (uint32_t i = 0; i < table->stream_count && !more; i++) {
            const struct table_stream *stream = &table->streams[i];
            if (!table_stream_lives(stream, now) || !is_behind(table, stream, start, label))
                continue;
            more = count == limit;
            if (!more)
                TRY(write_listed(call, table, stream, &last));
            count++;
        }
    }
    json_write_array_end(&call->json);
    if (more)
        write_text(&call->json, "LastEvaluatedStreamArn", last);
    json_write_object_end(&call->json);
    return STATUS_OK;
}

/* ---- DescribeStream ---- */

/* Has the stream ended, and nothing can come any more?  Of a table that is being deleted writes may
 * still be on their way. */
static bool is_closed(const struct found *found)
{
    return found->stream->ended_ms != 0 && found->table->status != TABLE_DELETING;
}

static const char *status_name_of(const struct found *found)
{
    bool enabled = found->stream->ended_ms == 0;
    bool newest = found->stream == &found->table->streams[found->table->stream_count - 1];
    if (newest && found->table->status == TABLE_DELETING)
        return "DISABLING";
    if (newest && found->table->status == TABLE_CREATING)
        return "ENABLING";
    if (newest && found->table->status == TABLE_UPDATING)
        return enabled ? "ENABLING" : "DISABLING";
    return enabled ? "ENABLED" : "DISABLED";
}

/* What an update of something else does not show. */
static const char *stream_status(const struct found *found, uint64_t now)
{
    uint64_t changed_ms =
        found->stream->ended_ms != 0 ? found->stream->ended_ms : found->stream->created_ms;
    const char *name = status_name_of(found);
    bool enabled = found->stream->ended_ms == 0;
    bool recent = now < changed_ms + 60000;
    return recent ? name : enabled ? "ENABLED" : "DISABLED";
}

static enum status write_shard(struct api_call *call, const struct found *found,
                               const struct partition *partition)
{
    char text[SHARD_ID_BYTES + 1];
    struct json_writer *json = &call->json;
    struct replica_changes read = {.stream = found->stream->number, .none = true};
    struct replica_changes_result at;
    TRY(router_read_stream(call->ctx, call_router(call), found->table, partition, &read, NULL, &at,
                           &call->error));
    json_write_object_begin(json);
    write_text(json, "ShardId", shard_id(found->stream, partition, text));
    write_name(json, "SequenceNumberRange");
    json_write_object_begin(json);
    struct change_position first = {.slot = at.first_slot};
    struct change_position last = {.slot = at.last_slot, .number = UINT16_MAX};
    write_text(json, "StartingSequenceNumber", sequence_number_write(first, text));
    if (is_closed(found))
        write_text(json, "EndingSequenceNumber",
                   sequence_number_write(at.last_slot == 0 ? first : last, text));
    json_write_object_end(json);
    json_write_object_end(json);
    return STATUS_OK;
}

/* Shards in the order of their ids, which is that of the partitions' groups. */
static enum status write_shards(struct api_call *call, const struct found *found, uint32_t limit,
                                struct bytes *last)
{
    const struct describe_stream_input *input = call->input.at;
    char text[SHARD_ID_BYTES + 1];
    uint32_t count = 0;
    *last = (struct bytes){0};
    write_name(&call->json, "Shards");
    json_write_array_begin(&call->json);
    /* No shard has children: partitions are never divided while a stream lives. */
    uint32_t shards = input->filter != NULL ? 0 : found->table->partition_count;
    for (uint32_t i = 0; i < shards; i++) {
        const struct partition *partition = &found->table->partitions[i];
        struct bytes id = shard_id(found->stream, partition, text);
        if (input->exclusive_start.at != NULL && bytes_compare(id, input->exclusive_start) <= 0)
            continue;
        if (count == limit) {
            *last = arena_copy(call_arena(call),
                               shard_id(found->stream, &found->table->partitions[i - 1], text));
            break;
        }
        TRY(write_shard(call, found, partition));
        count++;
    }
    json_write_array_end(&call->json);
    return STATUS_OK;
}

static enum status describe_stream(struct api_call *call, const struct found *found, uint32_t limit)
{
    const struct describe_stream_input *input = call->input.at;
    struct json_writer *json = &call->json;
    char label[STREAM_LABEL_BYTES + 1];
    struct bytes last;
    if (input->filter != NULL && (input->filter->type == 0 || input->filter->shard.at == NULL))
        return call_invalid(call, INVALID_VALUES "ShardFilter must have both Type and ShardId");
    if (input->filter != NULL && find_shard(found, input->filter->shard) == NULL)
        return no_shard(call);
    stream_label(found->stream, label);
    json_write_object_begin(json);
    write_name(json, "StreamDescription");
    json_write_object_begin(json);
    write_text(json, "StreamArn", stream_arn(call, found->table, found->stream));
    write_text(json, "StreamLabel", bytes_of_text(label));
    write_text(json, "StreamStatus", bytes_of_text(stream_status(found, now_ms(call))));
    write_text(json, "StreamViewType", bytes_of_text(stream_view_name(found->stream->view)));
    write_time(json, "CreationRequestDateTime", found->stream->created_ms);
    write_text(json, "TableName", table_stream_name(found->table));
    write_key_schema(json, &found->table->schema.partition, &found->table->schema.sort);
    TRY(write_shards(call, found, limit, &last));
    if (last.at != NULL)
        write_text(json, "LastEvaluatedShardId", last);
    json_write_object_end(json);
    json_write_object_end(json);
    return STATUS_OK;
}

enum status api_describe_stream(struct api_call *call)
{
    const struct describe_stream_input *input = call->input.at;
    struct found found;
    uint32_t limit;
    TRY(read_limit(call, &input->limit, LIST_MAX, &limit));
    TRY(find_stream(call, input->stream, &found));
    enum status status = describe_stream(call, &found, limit);
    table_drop(found.table);
    return status;
}

/* ---- Iterators ---- */

static uint64_t iterator_seed(const struct table *table)
{
    return checksum64(bytes_of(table->uuid, sizeof(table->uuid)), table->hash_seed ^ ITERATOR_SEED);
}

static struct bytes write_iterator(struct api_call *call, const struct found *found,
                                   const struct stream_iterator *iterator)
{
    struct bytes arn = stream_arn(call, found->table, found->stream);
    struct stream_iterator whole = *iterator;
    whole.table_id = found->table->id;
    whole.stream_ms = found->stream->created_ms;
    return arn.at == NULL
               ? arn
               : stream_iterator_write(call_arena(call), arn, &whole, iterator_seed(found->table));
}

/* Whatever is not an iterator that this server gave is refused.  On STATUS_OK the table is held. */
static enum status read_iterator(struct api_call *call, struct bytes text, struct found *found,
                                 struct stream_iterator *iterator)
{
    uint8_t raw[STREAM_ITERATOR_BYTES];
    struct bytes arn;
    if (!stream_iterator_split(text, &arn, raw))
        return call_invalid(call, "Invalid ShardIterator");
    TRY(find_stream(call, arn, found));
    if (stream_iterator_read(raw, iterator_seed(found->table), iterator) &&
        iterator->table_id == found->table->id && iterator->stream_ms == found->stream->created_ms)
        return STATUS_OK;
    table_drop(found->table);
    return call_invalid(call, "Invalid ShardIterator");
}

static enum status trimmed(struct api_call *call)
{
    return error_set(&call->error, ERROR_TRIMMED_DATA,
                     "The data you are trying to access has been trimmed");
}

/* Where an iterator of this kind begins. */
static enum status begin(struct api_call *call, const struct found *found,
                         const struct partition *partition, struct stream_iterator *iterator)
{
    const struct shard_iterator_input *input = call->input.at;
    bool at_number =
        input->type == ITERATOR_AT_SEQUENCE_NUMBER || input->type == ITERATOR_AFTER_SEQUENCE_NUMBER;
    struct replica_changes read = {.stream = found->stream->number, .none = true};
    struct replica_changes_result at;
    if (at_number && input->sequence_number.at == NULL)
        return call_invalid(call, INVALID_VALUES
                            "SequenceNumber must be specified for this ShardIteratorType");
    if (!at_number && input->sequence_number.at != NULL)
        return call_invalid(call, INVALID_VALUES
                            "SequenceNumber must not be specified for this ShardIteratorType");
    if (at_number && !sequence_number_read(input->sequence_number, &read.from))
        return call_invalid(call, "Invalid SequenceNumber");
    if (input->type == ITERATOR_AFTER_SEQUENCE_NUMBER)
        read.from = read.from.number < UINT16_MAX
                        ? (struct change_position){read.from.slot, read.from.number + 1}
                        : (struct change_position){read.from.slot + 1, 0};
    TRY(router_read_stream(call->ctx, call_router(call), found->table, partition, &read, NULL, &at,
                           &call->error));
    if (at_number && at.trimmed)
        return trimmed(call);
    iterator->position = read.from;
    if (input->type == ITERATOR_LATEST)
        iterator->position = (struct change_position){.slot = at.commit_slot + 1};
    iterator->from_oldest = input->type == ITERATOR_TRIM_HORIZON;
    return STATUS_OK;
}

static enum status get_shard_iterator(struct api_call *call, const struct found *found)
{
    const struct shard_iterator_input *input = call->input.at;
    const struct partition *partition = find_shard(found, input->shard);
    if (partition == NULL)
        return no_shard(call);
    struct stream_iterator iterator = {.group_id = partition->group_id, .given_ms = now_ms(call)};
    TRY(begin(call, found, partition, &iterator));
    struct bytes text = write_iterator(call, found, &iterator);
    if (text.at == NULL)
        return call_no_memory(call);
    json_write_object_begin(&call->json);
    write_text(&call->json, "ShardIterator", text);
    json_write_object_end(&call->json);
    return STATUS_OK;
}

enum status api_get_shard_iterator(struct api_call *call)
{
    const struct shard_iterator_input *input = call->input.at;
    struct found found;
    TRY(find_stream(call, input->stream, &found));
    enum status status = get_shard_iterator(call, &found);
    table_drop(found.table);
    return status;
}

/* ---- GetRecords ---- */

struct reading {
    struct change_sink sink; /* first */
    struct api_call *call;
    const struct found *found;
    const struct partition *partition;
    uint32_t limit, count;
    uint64_t bytes;
};

static void write_keys(struct json_writer *json, const struct key_schema *schema,
                       struct value image, uint64_t *bytes)
{
    const struct key_attribute *attributes[] = {&schema->partition, &schema->sort};
    write_name(json, "Keys");
    json_write_object_begin(json);
    for (unsigned i = 0; i < 2; i++) {
        struct value value;
        if (attributes[i]->type == VALUE_NONE || !value_find(image, attributes[i]->name, &value))
            continue;
        json_write_name(json, attributes[i]->name);
        item_json_write_value(json, value);
        *bytes += attributes[i]->name.count + value_size(value);
    }
    json_write_object_end(json);
}

static void write_image(struct json_writer *json, const char *name, struct value image,
                        uint64_t *bytes)
{
    if (value_type(image) == VALUE_NONE)
        return;
    write_name(json, name);
    item_json_write_map(json, image);
    *bytes += item_size(image);
}

static void write_event_id(const struct reading *reading, const struct change_record *record)
{
    uint8_t raw[34];
    char text[33];
    memcpy(raw, reading->found->table->uuid, 16);
    put_u64(raw + 16, reading->partition->group_id);
    put_u64(raw + 24, record->position.slot);
    put_u16(raw + 32, record->position.number);
    struct bytes all = bytes_of(raw, sizeof(raw));
    snprintf(text, sizeof(text), "%016llx%016llx", (unsigned long long)checksum64(all, EVENT_SEED),
             (unsigned long long)checksum64(all, EVENT_SEED + 1));
    write_text(&reading->call->json, "eventID", bytes_of(text, 32));
}

/* What the view shows of the record, under "dynamodb". */
static uint64_t write_shown(const struct reading *reading, const struct change_record *record)
{
    struct json_writer *json = &reading->call->json;
    uint8_t view = reading->found->stream->view;
    bool was = value_type(record->old) != VALUE_NONE;
    char text[SEQUENCE_BYTES + 1];
    uint64_t bytes = 0;
    json_write_object_begin(json);
    write_u64(json, "ApproximateCreationDateTime", record->hlc / NANOSECONDS);
    write_keys(json, &reading->found->table->schema, was ? record->old : record->current, &bytes);
    if (view == STREAM_NEW_IMAGE || view == STREAM_NEW_AND_OLD_IMAGES)
        write_image(json, "NewImage", record->current, &bytes);
    if (view == STREAM_OLD_IMAGE || view == STREAM_NEW_AND_OLD_IMAGES)
        write_image(json, "OldImage", record->old, &bytes);
    write_text(json, "SequenceNumber", sequence_number_write(record->position, text));
    write_u64(json, "SizeBytes", bytes);
    write_text(json, "StreamViewType", bytes_of_text(stream_view_name(view)));
    json_write_object_end(json);
    return bytes;
}

/* At least what the record counts: of its images that are shown. */
static uint64_t shown_bytes(const struct reading *reading, const struct change_record *record)
{
    uint8_t view = reading->found->stream->view;
    uint64_t bytes = 0;
    if (view != STREAM_OLD_IMAGE && view != STREAM_KEYS_ONLY && record->current.at != NULL)
        bytes += item_size(record->current);
    if (view != STREAM_NEW_IMAGE && view != STREAM_KEYS_ONLY && record->old.at != NULL)
        bytes += item_size(record->old);
    return bytes;
}

static enum status take_record(struct change_sink *sink, const struct change_record *record)
{
    static const char *const names[] = {
        [CHANGE_INSERT] = "INSERT", [CHANGE_MODIFY] = "MODIFY", [CHANGE_REMOVE] = "REMOVE"};
    struct reading *reading = CONTAINER_OF(sink, struct reading, sink);
    struct api_call *call = reading->call;
    struct json_writer *json = &call->json;
    if (reading->count == reading->limit ||
        (reading->count > 0 && reading->bytes + shown_bytes(reading, record) > RECORDS_BYTES_MAX))
        return STATUS_END;
    json_write_object_begin(json);
    write_event_id(reading, record);
    write_text(json, "eventName", bytes_of_text(names[record->kind]));
    write_text(json, "eventVersion", BYTES("1.1"));
    write_text(json, "eventSource", BYTES("aws:dynamodb"));
    write_text(json, "awsRegion", call->api->options.region);
    write_name(json, "dynamodb");
    reading->bytes += write_shown(reading, record);
    if (record->actor == WRITE_BY_EXPIRY) {
        write_name(json, "userIdentity");
        json_write_object_begin(json);
        write_text(json, "PrincipalId", BYTES("dynamodb.amazonaws.com"));
        write_text(json, "Type", BYTES("Service"));
        json_write_object_end(json);
    }
    json_write_object_end(json);
    reading->count++;
    return json->to->failed ? STATUS_NO_MEMORY : STATUS_OK;
}

static enum status get_records(struct api_call *call, const struct found *found, uint32_t limit,
                               const struct stream_iterator *iterator)
{
    struct reading reading = {
        .sink = {.take = take_record}, .call = call, .found = found, .limit = limit};
    struct replica_changes read = {.stream = found->stream->number, .from = iterator->position};
    struct replica_changes_result result;
    for (uint32_t i = 0; i < found->table->partition_count; i++) {
        if (found->table->partitions[i].group_id == iterator->group_id)
            reading.partition = &found->table->partitions[i];
    }
    if (reading.partition == NULL)
        return no_shard(call);
    json_write_object_begin(&call->json);
    write_name(&call->json, "Records");
    json_write_array_begin(&call->json);
    TRY(router_read_stream(call->ctx, call_router(call), found->table, reading.partition, &read,
                           &reading.sink, &result, &call->error));
    if (result.trimmed && !iterator->from_oldest)
        return trimmed(call);
    json_write_array_end(&call->json);
    bool closed = is_closed(found) && result.at_end;
    if (!closed) {
        bool moved = change_before(iterator->position, result.next);
        struct stream_iterator next = {.from_oldest = iterator->from_oldest && !moved,
                                       .position = result.next,
                                       .group_id = iterator->group_id,
                                       .given_ms = now_ms(call)};
        struct bytes text = write_iterator(call, found, &next);
        if (text.at == NULL)
            return call_no_memory(call);
        write_text(&call->json, "NextShardIterator", text);
    }
    json_write_object_end(&call->json);
    return STATUS_OK;
}

enum status api_get_records(struct api_call *call)
{
    const struct get_records_input *input = call->input.at;
    struct stream_iterator iterator = {0};
    struct found found = {0};
    uint32_t limit;
    TRY(read_limit(call, &input->limit, RECORDS_MAX, &limit));
    TRY(read_iterator(call, input->iterator, &found, &iterator));
    uint64_t now = now_ms(call);
    enum status status;
    if (now > iterator.given_ms + ITERATOR_LIVES_MS)
        status = error_set(&call->error, ERROR_EXPIRED_ITERATOR,
                           "The shard iterator has expired and can no longer be used to retrieve "
                           "stream records. A shard iterator expires 15 minutes after it is "
                           "retrieved using the GetShardIterator action.");
    else
        status = get_records(call, &found, limit, &iterator);
    table_drop(found.table);
    return status;
}
