/* table_settings.c - WarmThroughput and SSESpecification of CreateTable and UpdateTable. */
#include "api/api_private.h"
#include "base/compiler.h"

/* ---- Warm throughput ---- */

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

struct warm_throughput table_warm(const struct table *table)
{
    struct warm_throughput warm =
        warm_by_itself(table->billing, table->read_units, table->write_units);
    return (struct warm_throughput){MAX(warm.read_units, table->warm.read_units),
                                    MAX(warm.write_units, table->warm.write_units)};
}

struct warm_throughput index_warm(enum billing_mode billing, const struct table_index *index)
{
    struct warm_throughput warm = warm_by_itself(billing, index->read_units, index->write_units);
    return (struct warm_throughput){MAX(warm.read_units, index->warm.read_units),
                                    MAX(warm.write_units, index->warm.write_units)};
}

static enum status read_units(struct api_call *call, const char *member, const char *limit,
                              const struct model_number *given, uint64_t now, struct bytes of,
                              uint64_t *units)
{
    if (!given->given)
        return STATUS_OK;
    if (given->value < 1)
        return error_format(&call->error, call_arena(call), ERROR_VALIDATION,
                            INVALID_VALUES "Requested %s for WarmThroughput for %.*s is outside "
                                           "of valid range",
                            member, BYTES_ARGS(of));
    if ((uint64_t)given->value < now)
        return error_format(&call->error, call_arena(call), ERROR_VALIDATION,
                            INVALID_VALUES "Requested %s for WarmThroughput for %.*s is lower "
                                           "than current WarmThroughput, decreasing "
                                           "WarmThroughput is not supported",
                            member, BYTES_ARGS(of));
    if (given->value > TABLE_UNITS_MAX)
        return error_format(&call->error, call_arena(call), ERROR_LIMIT_EXCEEDED,
                            "Subscriber limit exceeded: Requested %s for WarmThroughput for %.*s "
                            "exceeds %s of the account in region %.*s",
                            member, BYTES_ARGS(of), limit, BYTES_ARGS(call->api->options.region));
    *units = (uint64_t)given->value;
    return STATUS_OK;
}

enum status call_read_warm(struct api_call *call, const struct warm_input *given,
                           struct warm_throughput now, struct bytes of,
                           struct warm_throughput *warm)
{
    *warm = (struct warm_throughput){0};
    if (given == NULL)
        return STATUS_OK;
    if (!given->read.given && !given->write.given)
        return call_invalid(call, INVALID_VALUES "Both ReadUnitsPerSecond and WriteUnitsPerSecond "
                                                 "of WarmThroughput are missing");
    TRY(read_units(call, "ReadUnitsPerSecond", "TableMaxReadCapacityUnits", &given->read,
                   now.read_units, of, &warm->read_units));
    return read_units(call, "WriteUnitsPerSecond", "TableMaxWriteCapacityUnits", &given->write,
                      now.write_units, of, &warm->write_units);
}

/* ---- Encryption ---- */

#define KEY_BYTES_LONGEST 2048u
#define DEFAULT_KEY       "alias/aws/dynamodb"

/* The ARN of what names a key: an ARN, an alias, or an id. */
static struct bytes key_arn(struct api_call *call, struct bytes key)
{
    const struct api_options *options = &call->api->options;
    if (bytes_start_with(key, BYTES("arn:")))
        return key;
    if (key.at == NULL)
        key = BYTES(DEFAULT_KEY);
    bool alias = bytes_start_with(key, BYTES("alias/"));
    return arena_format(call_arena(call), "arn:aws:kms:%.*s:%.*s:%s%.*s",
                        BYTES_ARGS(options->region), BYTES_ARGS(options->account),
                        alias ? "" : "key/", BYTES_ARGS(key));
}

enum status call_read_sse(struct api_call *call, const struct sse_input *given,
                          struct sse_setting *sse)
{
    *sse = (struct sse_setting){0};
    if (given == NULL)
        return STATUS_OK;
    if (given->enabled != MODEL_TRUE && (given->type != 0 || given->key_id.at != NULL))
        return call_invalid(call, INVALID_VALUES "SSEType and KMSMasterKeyId can be specified only "
                                                 "when Enabled is true");
    if (given->type == SSE_AES256)
        return call_invalid(call, INVALID_VALUES "SSEType AES256 is not supported, use KMS");
    if (given->key_id.at != NULL &&
        (given->key_id.count == 0 || given->key_id.count > KEY_BYTES_LONGEST))
        return call_invalid(call, INVALID_VALUES "KMSMasterKeyId is empty or too long");
    if (given->enabled != MODEL_TRUE)
        return STATUS_OK;
    *sse = (struct sse_setting){.kms = true, .key_arn = key_arn(call, given->key_id)};
    return sse->key_arn.at != NULL ? STATUS_OK : call_no_memory(call);
}

void write_sse(struct api_call *call, const struct table *table)
{
    if (!table->sse.kms)
        return;
    write_name(&call->json, "SSEDescription");
    json_write_object_begin(&call->json);
    write_text(&call->json, "Status",
               table->status == TABLE_UPDATING ? BYTES("UPDATING") : BYTES("ENABLED"));
    write_text(&call->json, "SSEType", BYTES("KMS"));
    write_text(&call->json, "KMSMasterKeyArn", table->sse.key_arn);
    json_write_object_end(&call->json);
}
