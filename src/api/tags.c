/* tags.c - TagResource, UntagResource, ListTagsOfResource. */
#include "api/api_private.h"

static enum status refuse_missing(struct api_call *call, struct bytes arn)
{
    return error_format(&call->error, call_arena(call), ERROR_RESOURCE_NOT_FOUND,
                        "Requested resource not found: ResourceArn: %.*s not found",
                        BYTES_ARGS(arn));
}

/* A table that is not there is reported with its ARN. */
static enum status not_found(struct api_call *call, enum status status, struct bytes arn)
{
    return call->error.code == ERROR_RESOURCE_NOT_FOUND ? refuse_missing(call, arn) : status;
}

/* The table whose tags these are; a stream has none, and is not found. */
static enum status read_resource(struct api_call *call, struct bytes arn, struct bytes *name)
{
    struct bytes label;
    bool is_stream;
    TRY(call_stream_name(call, arn, name, &label, &is_stream));
    return is_stream ? refuse_missing(call, arn) : call_resource_name(call, arn, name);
}

#define TAG_KEY_LENGTH_MAX   128u
#define TAG_VALUE_LENGTH_MAX 256u

/* Symbols beyond ASCII, in the bytes of UTF-8: from arrows to dingbats, and emoji. */
static bool is_symbol(struct bytes text)
{
    static const uint8_t low[][4] = {{0xe2, 0x86, 0x90}, {0xf0, 0x9f, 0x80, 0x80}};
    static const uint8_t high[][4] = {{0xe2, 0xaf, 0xbf}, {0xf0, 0x9f, 0xaf, 0xbf}};
    for (unsigned i = 0; i < ARRAY_COUNT(low); i++) {
        size_t count = i + 3;
        if (text.count >= count && memcmp(text.at, low[i], count) >= 0 &&
            memcmp(text.at, high[i], count) <= 0)
            return true;
    }
    return false;
}

/* Letters, digits and spaces of any script, and some signs. */
static bool has_tag_letters(struct bytes text)
{
    for (; text.count > 0; text = bytes_after(text, 1)) {
        uint8_t c = text.at[0];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (c < 0x80 ? !letter && memchr(" +-=._:/@", c, 9) == NULL : is_symbol(text))
            return false;
    }
    return true;
}

static enum status check_tag_text(struct api_call *call, const char *what, struct bytes text,
                                  size_t min, size_t max)
{
    size_t length = text.at == NULL ? 0 : model_text_length(text);
    if (text.at != NULL && length >= min && length <= max && has_tag_letters(text))
        return STATUS_OK;
    struct bytes shown = text.at == NULL ? BYTES("null") : text;
    return error_format(&call->error, call_arena(call), ERROR_VALIDATION,
                        "The Tag %s provided is invalid, %s: %.*s", what, what, BYTES_ARGS(shown));
}

/* In capitals too. */
static bool is_reserved(struct bytes key)
{
    static const char prefix[] = "aws:";
    for (size_t i = 0; i < sizeof(prefix) - 1; i++) {
        uint8_t letter = i < key.count ? key.at[i] : 0;
        if (letter >= 'A' && letter <= 'Z')
            letter = (uint8_t)(letter - 'A' + 'a');
        if (letter != (uint8_t)prefix[i])
            return false;
    }
    return true;
}

static enum status check_reserved(struct api_call *call, struct bytes key)
{
    if (!is_reserved(key))
        return STATUS_OK;
    return error_format(&call->error, call_arena(call), ERROR_VALIDATION,
                        "Tag Key cannot be prefixed with aws:, Key: %.*s", BYTES_ARGS(key));
}

static enum status check_tag_key(struct api_call *call, struct bytes key)
{
    return check_tag_text(call, "Key", key, 1, TAG_KEY_LENGTH_MAX);
}

static enum status check_tag(struct api_call *call, const struct tag_input *given, uint32_t index)
{
    struct bytes key = given[index].key;
    TRY(check_tag_key(call, key));
    TRY(check_tag_text(call, "Value", given[index].value, 0, TAG_VALUE_LENGTH_MAX));
    TRY(check_reserved(call, key));
    for (uint32_t i = 0; i < index; i++) {
        if (bytes_equal(given[i].key, key))
            return error_format(
                &call->error, call_arena(call), ERROR_VALIDATION,
                "Duplicate Tag Keys provided as input: Duplicate Tag Key found %.*s",
                BYTES_ARGS(key));
    }
    return STATUS_OK;
}

enum status call_read_tags(struct api_call *call, const struct model_list *given, struct tag **tags,
                           uint32_t *count)
{
    const struct tag_input *inputs = given->at;
    *tags = NULL;
    *count = 0;
    if (given->count == 0)
        return STATUS_OK;
    if (given->count > TAGS_MAX)
        return call_invalid(call,
                            "Number of Tags exceed the current limit for the provided ResourceArn");
    struct tag *read = arena_alloc_array(call_arena(call), given->count, sizeof(*read));
    if (read == NULL)
        return call_no_memory(call);
    for (uint32_t i = 0; i < given->count; i++) {
        TRY(check_tag(call, inputs, i));
        read[i] = (struct tag){.key = inputs[i].key, .value = inputs[i].value};
    }
    *tags = read;
    *count = given->count;
    return STATUS_OK;
}

enum status api_tag_resource(struct api_call *call)
{
    const struct tag_resource_input *input = call->input.at;
    struct bytes name;
    struct tag *tags;
    uint32_t count;
    TRY(call_rate(call, API_RATE_TAG));
    TRY(read_resource(call, input->resource, &name));
    TRY(call_read_tags(call, &input->tags, &tags, &count));
    if (count == 0)
        return call_invalid(call, "Atleast one Tag needs to be provided as Input.");
    enum status status =
        router_tag_table(call->ctx, call_router(call), name, tags, count, &call->error);
    return status == STATUS_OK ? status : not_found(call, status, input->resource);
}

enum status api_untag_resource(struct api_call *call)
{
    const struct untag_resource_input *input = call->input.at;
    struct bytes name;
    TRY(call_rate(call, API_RATE_TAG));
    TRY(read_resource(call, input->resource, &name));
    if (input->keys.count == 0)
        return call_invalid(call, "Atleast one Tag Key needs to be provided as Input.");
    if (input->keys.count > TAGS_MAX)
        return call_invalid(call,
                            "Number of Tags exceed the current limit for the provided ResourceArn");
    const struct bytes *keys = input->keys.at;
    for (uint32_t i = 0; i < input->keys.count; i++) {
        TRY(check_tag_key(call, keys[i]));
        TRY(check_reserved(call, keys[i]));
    }
    enum status status = router_untag_table(call->ctx, call_router(call), name, keys,
                                            input->keys.count, &call->error);
    return status == STATUS_OK ? status : not_found(call, status, input->resource);
}

enum status api_list_tags_of_resource(struct api_call *call)
{
    const struct list_tags_input *input = call->input.at;
    const struct table *table;
    struct bytes name;
    TRY(call_rate(call, API_RATE_LIST_TAGS));
    TRY(read_resource(call, input->resource, &name));
    /* All tags fit in one answer: no token was ever given, and one is not looked at. */
    enum status status =
        router_describe_table(call->ctx, call_router(call), name, &table, &call->error);
    if (status != STATUS_OK)
        return not_found(call, status, input->resource);
    json_write_object_begin(&call->json);
    write_name(&call->json, "Tags");
    json_write_array_begin(&call->json);
    for (uint32_t i = 0; i < table->tag_count; i++) {
        json_write_object_begin(&call->json);
        write_text(&call->json, "Key", table->tags[i].key);
        write_text(&call->json, "Value", table->tags[i].value);
        json_write_object_end(&call->json);
    }
    json_write_array_end(&call->json);
    json_write_object_end(&call->json);
    return STATUS_OK;
}
