/* table_settings.c - WarmThroughput and SSESpecification of CreateTable and UpdateTable. */
#include "api/api_private.h"
#include "base/compiler.h"

/* ---- Warm throughput ---- */

#define ON_DEMAND_PAGE                                                                             \
    "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/"                            \
    "on-demand-capacity-mode.html#on-demand-capacity-mode-initial"

/* How the service calls the same of reading and of writing. */
struct warm_words {
    const char *member, *limit, *provisioned;
};

static enum status refuse_lower(struct api_call *call, const struct warm_words *words,
                                enum billing_mode billing, const struct throughput_of *of)
{
    const char *than = "current WarmThroughput, decreasing WarmThroughput is not supported";
    const char *more = "";
    if (of->made && billing == BILLING_ON_DEMAND) {
        than = "initial throughput for OnDemand. See: " ON_DEMAND_PAGE;
    } else if (of->made) {
        than = words->provisioned;
        more = " of ProvisionedThroughput";
    }
    return error_format(&call->error, call_arena(call), ERROR_VALIDATION,
                        INVALID_VALUES "Requested %s for WarmThroughput for %s%.*s is lower than "
                                       "%s%s",
                        words->member, of->index.count == 0 ? "table" : "index ",
                        BYTES_ARGS(of->index), than, more);
}

static enum status read_units(struct api_call *call, const struct warm_words *words,
                              const struct model_number *given, enum billing_mode billing,
                              uint64_t now, const struct throughput_of *of, uint64_t *units)
{
    if (!given->given)
        return STATUS_OK;
    if (given->value < 0 || (uint64_t)given->value < now)
        return refuse_lower(call, words, billing, of);
    if (given->value > TABLE_UNITS_MAX)
        return error_format(&call->error, call_arena(call), ERROR_LIMIT_EXCEEDED,
                            "Subscriber limit exceeded: Requested %s for WarmThroughput for "
                            "%s%.*s exceeds %s of the account in region %.*s",
                            words->member, of->index.count == 0 ? "table" : "index ",
                            BYTES_ARGS(of->index), words->limit,
                            BYTES_ARGS(call->api->options.region));
    *units = (uint64_t)given->value;
    return STATUS_OK;
}

bool call_warm_given(const struct warm_input *given)
{
    return given != NULL && (given->read.given || given->write.given);
}

enum status call_read_warm(struct api_call *call, const struct warm_input *given,
                           enum billing_mode billing, struct warm_throughput now,
                           const struct throughput_of *of, struct warm_throughput *warm)
{
    static const struct warm_words read = {"ReadUnitsPerSecond", "TableMaxReadCapacityUnits",
                                           "ReadCapacityUnits"};
    static const struct warm_words write = {"WriteUnitsPerSecond", "TableMaxWriteCapacityUnits",
                                            "WriteCapacityUnits"};
    *warm = (struct warm_throughput){0};
    if (!call_warm_given(given))
        return STATUS_OK;
    TRY(read_units(call, &read, &given->read, billing, now.read_units, of, &warm->read_units));
    return read_units(call, &write, &given->write, billing, now.write_units, of,
                      &warm->write_units);
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
    bool disabled = given->enabled == MODEL_FALSE;
    if (disabled && given->type != 0)
        return call_invalid(call,
                            INVALID_VALUES "SSEType can not be specified if Enabled is false");
    if (disabled && given->key_id.at != NULL)
        return call_invalid(call, INVALID_VALUES
                            "KMSMasterKeyId can not be specified if Enabled is false");
    if (given->type == SSE_AES256)
        return call_invalid(call, INVALID_VALUES "SSEType AES256 is not supported");
    if (given->key_id.at != NULL && given->type == 0)
        return call_invalid(call, INVALID_VALUES
                            "SSEType KMS is required if KMSMasterKeyId is specified");
    if (given->key_id.at != NULL &&
        (given->key_id.count == 0 || given->key_id.count > KEY_BYTES_LONGEST))
        return call_invalid(call, INVALID_VALUES "KMSMasterKeyId is empty or too long");
    if (disabled || (given->enabled != MODEL_TRUE && given->type == 0))
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
