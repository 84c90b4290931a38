/* names.c - tables by name or by ARN: arn:<partition>:dynamodb:<region>:<account>:table/<name>. */
#include "api/api_private.h"
#include "base/compiler.h"

#define TABLE_NAME_LENGTH_MIN 3u

enum arn_part { ARN_ARN, ARN_PARTITION, ARN_SERVICE, ARN_REGION, ARN_ACCOUNT, ARN_RESOURCE };

#define ARN_PARTS 6

/* Split at the first five colons; false when there are fewer. */
static bool split(struct bytes text, struct bytes parts[ARN_PARTS])
{
    for (int i = 0; i < ARN_PARTS - 1; i++) {
        const uint8_t *colon = text.count > 0 ? memchr(text.at, ':', text.count) : NULL;
        if (colon == NULL)
            return false;
        parts[i] = bytes_of(text.at, (size_t)(colon - text.at));
        text = bytes_after(text, parts[i].count + 1);
    }
    parts[ARN_RESOURCE] = text;
    return true;
}

/* The parts of a table's ARN; *name is what follows "table/".  false: it is none. */
static bool parse(struct bytes text, struct bytes parts[ARN_PARTS], struct bytes *name)
{
    struct bytes prefix = BYTES("table/");
    if (!bytes_start_with(text, BYTES("arn:")) || !split(text, parts) ||
        !bytes_equal(parts[ARN_SERVICE], BYTES("dynamodb")) ||
        !bytes_start_with(parts[ARN_RESOURCE], prefix))
        return false;
    *name = bytes_after(parts[ARN_RESOURCE], prefix.count);
    return model_name_matches(*name) && name->count >= TABLE_NAME_LENGTH_MIN &&
           name->count <= TABLE_NAME_BYTES_MAX;
}

static bool is_one_of(struct bytes name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes_equal(name, bytes_of_text(names[i])))
            return true;
    }
    return false;
}

static bool is_of_policies(struct bytes operation)
{
    static const char *const names[] = {"PutResourcePolicy", "GetResourcePolicy",
                                        "DeleteResourcePolicy"};
    return is_one_of(operation, names, ARRAY_COUNT(names));
}

/* Those on a table itself: they say less of why another account's is refused. */
static bool is_of_tables(struct bytes operation)
{
    static const char *const names[] = {
        "DescribeTable",           "UpdateTable",      "DeleteTable",
        "DescribeTimeToLive",      "UpdateTimeToLive", "DescribeContinuousBackups",
        "UpdateContinuousBackups", "TagResource",      "UntagResource",
        "ListTagsOfResource"};
    return is_one_of(operation, names, ARRAY_COUNT(names));
}

/* Tables of another account are not ours to give. */
static enum status check_account(struct api_call *call, struct bytes arn,
                                 const struct bytes parts[ARN_PARTS])
{
    struct bytes account = call->api->options.account;
    struct bytes name = call->operation->name;
    if (bytes_equal(parts[ARN_ACCOUNT], account))
        return STATUS_OK;
    if (is_of_policies(name))
        return call_invalid(call, "This action is only supported by accounts that match the "
                                  "resource owner\xe2\x80\x99s account.");
    if (is_of_tables(name))
        return error_format(&call->error, call_arena(call), ERROR_ACCESS_DENIED,
                            "Access is denied");
    return error_format(
        &call->error, call_arena(call), ERROR_ACCESS_DENIED,
        "User: arn:aws:iam::%.*s:root is not authorized to perform: dynamodb:%.*s on "
        "resource: %.*s because no resource-based policy allows the dynamodb:%.*s action",
        BYTES_ARGS(account), BYTES_ARGS(name), BYTES_ARGS(arn), BYTES_ARGS(name));
}

/* "aws", as in the ARNs given out here, or the one that the region is of. */
static bool is_partition(const struct api_call *call, const struct bytes parts[ARN_PARTS])
{
    struct bytes region = call->api->options.region;
    struct bytes partition = parts[ARN_PARTITION];
    if (bytes_start_with(region, BYTES("cn-")) && bytes_equal(partition, BYTES("aws-cn")))
        return true;
    if (bytes_start_with(region, BYTES("us-gov-")) && bytes_equal(partition, BYTES("aws-us-gov")))
        return true;
    return bytes_equal(partition, BYTES("aws"));
}

static bool is_here(const struct api_call *call, const struct bytes parts[ARN_PARTS])
{
    return bytes_equal(parts[ARN_REGION], call->api->options.region);
}

#define VIOLATION "Value '%.*s' at 'tableName' failed to satisfy constraint: Member must "

enum status call_check_table_name(struct api_call *call, struct bytes name)
{
    bool letters = model_name_matches(name);
    bool is_short = name.count < TABLE_NAME_LENGTH_MIN;
    bool is_long = name.count > TABLE_NAME_BYTES_MAX;
    if (letters && !is_short && !is_long)
        return STATUS_OK;
    struct bytes pattern = {0}, length = {0};
    if (!letters)
        pattern = arena_format(call_arena(call),
                               VIOLATION "satisfy regular expression pattern: " MODEL_NAME_PATTERN,
                               BYTES_ARGS(name));
    if (is_short || is_long)
        length = arena_format(call_arena(call), VIOLATION "have length %s than or equal to %u",
                              BYTES_ARGS(name), is_short ? "greater" : "less",
                              is_short ? TABLE_NAME_LENGTH_MIN : TABLE_NAME_BYTES_MAX);
    bool both = pattern.at != NULL && length.at != NULL;
    return error_format(&call->error, call_arena(call), ERROR_VALIDATION,
                        "%d validation error%s detected: %.*s%s%.*s", both ? 2 : 1, both ? "s" : "",
                        BYTES_ARGS(pattern), both ? "; " : "", BYTES_ARGS(length));
}

enum status call_table_name(struct api_call *call, struct bytes text, struct bytes *name)
{
    struct bytes parts[ARN_PARTS];
    *name = text;
    if (!bytes_start_with(text, BYTES("arn:")))
        return call_check_table_name(call, text);
    if (!parse(text, parts, name))
        return error_format(&call->error, call_arena(call), ERROR_VALIDATION,
                            "1 validation error detected: " VIOLATION
                            "satisfy regular expression pattern: " MODEL_NAME_PATTERN,
                            BYTES_ARGS(text));
    TRY(check_account(call, text, parts));
    if (!is_partition(call, parts) || !is_here(call, parts))
        return error_format(&call->error, call_arena(call), ERROR_VALIDATION,
                            "1 validation error detected: Invalid AWS %s in '%.*s'",
                            is_partition(call, parts) ? "region" : "partition", BYTES_ARGS(text));
    return STATUS_OK;
}

/* table/<name>/backup/<id>: no resource that has tags or a policy. */
static bool is_backup(struct bytes resource)
{
    struct bytes prefix = BYTES("table/");
    if (!bytes_start_with(resource, prefix))
        return false;
    struct bytes rest = bytes_after(resource, prefix.count);
    const uint8_t *slash = rest.count > 0 ? memchr(rest.at, '/', rest.count) : NULL;
    return slash != NULL &&
           bytes_start_with(bytes_after(rest, (size_t)(slash - rest.at)), BYTES("/backup/"));
}

enum status call_resource_name(struct api_call *call, struct bytes arn, struct bytes *name)
{
    struct bytes parts[ARN_PARTS];
    struct arena *arena = call_arena(call);
    if (!bytes_start_with(arn, BYTES("arn:")))
        return error_format(&call->error, arena, ERROR_VALIDATION,
                            INVALID_VALUES "ARNs must start with 'arn:': %.*s", BYTES_ARGS(arn));
    if (!split(arn, parts) || !bytes_equal(parts[ARN_SERVICE], BYTES("dynamodb")) ||
        is_backup(parts[ARN_RESOURCE]))
        return error_format(&call->error, arena, ERROR_VALIDATION,
                            INVALID_VALUES "Provided Arn is not a DynamoDB resource arn: %.*s",
                            BYTES_ARGS(arn));
    if (!parse(arn, parts, name))
        return error_format(&call->error, arena, ERROR_VALIDATION,
                            INVALID_VALUES "Invalid resource arn provided, only table or stream is "
                                           "accepted. Provided resource arn: %.*s",
                            BYTES_ARGS(arn));
    TRY(check_account(call, arn, parts));
    bool away = !is_partition(call, parts) || !is_here(call, parts);
    if (away && is_of_policies(call->operation->name))
        return error_format(&call->error, arena, ERROR_VALIDATION,
                            INVALID_VALUES "Invalid resource Arn: %.*s", BYTES_ARGS(arn));
    if (away)
        return error_format(&call->error, arena, ERROR_VALIDATION,
                            "Invalid TableArn: Invalid ResourceArn provided as input %.*s",
                            BYTES_ARGS(arn));
    return STATUS_OK;
}

enum status call_stream_name(struct api_call *call, struct bytes arn, struct bytes *table,
                             struct bytes *label, bool *found)
{
    static const struct bytes prefix = {(const uint8_t *)"table/", 6};
    static const struct bytes middle = {(const uint8_t *)"/stream/", 8};
    struct bytes parts[ARN_PARTS];
    *found = false;
    if (!bytes_start_with(arn, BYTES("arn:")) || !split(arn, parts) ||
        !bytes_equal(parts[ARN_SERVICE], BYTES("dynamodb")) ||
        !bytes_start_with(parts[ARN_RESOURCE], prefix))
        return STATUS_OK;
    struct bytes rest = bytes_after(parts[ARN_RESOURCE], prefix.count);
    const uint8_t *slash = rest.count > 0 ? memchr(rest.at, '/', rest.count) : NULL;
    if (slash == NULL)
        return STATUS_OK;
    *table = bytes_of(rest.at, (size_t)(slash - rest.at));
    rest = bytes_after(rest, table->count);
    if (!bytes_start_with(rest, middle) || !model_name_matches(*table) ||
        table->count > TABLE_NAME_BYTES_MAX)
        return STATUS_OK;
    *label = bytes_after(rest, middle.count);
    TRY(check_account(call, arn, parts));
    *found = is_here(call, parts);
    return STATUS_OK;
}
