#include "api/api.h"

#include "api/api_private.h"
#include "api/inject.h"
#include "base/assert.h"

#define SCRATCH_BYTES_MAX  (8u * 1024u * 1024u) /* of one projected item */
#define SCRATCH_BYTES_KEEP (64u * 1024u)        /* what the scratch buffer keeps between requests */

/* ---- Calls a second ---- */

static void rates_init(struct api *api)
{
    /* "You can call TagResource up to five times per second, per account", ListTagsOfResource ten
     * times; of DescribeLimits "you can expect throttling errors if you call it more than once in a
     * minute" (API Reference). */
    static const struct {
        uint32_t hundredths, at_once;
    } rates[API_RATES] = {
        [API_RATE_TAG] = {500, 5}, [API_RATE_LIST_TAGS] = {1000, 10}, [API_RATE_LIMITS] = {2, 1}};
    for (int i = 0; i < API_RATES; i++)
        token_bucket_init(&api->rates[i], rates[i].hundredths, rates[i].at_once,
                          wall_now_ns(api->env));
}

enum status call_rate(struct api_call *call, enum api_rate rate)
{
    struct token_bucket *tokens = &call->api->rates[rate];
    if (!call->api->options.rates_limited)
        return STATUS_OK;
    (void)token_bucket_open(tokens, wall_now_ns(call->api->env));
    if (token_bucket_level(tokens, wall_now_ns(call->api->env)) < 1) {
        (void)error_set(&call->error, ERROR_THROTTLING, "Rate exceeded");
        return STATUS_THROTTLED;
    }
    token_bucket_charge(tokens, 1);
    return STATUS_OK;
}

/* ---- Life ---- */

enum status api_open(struct env *env, const struct api_options *options, struct api **opened)
{
    struct api *api = heap_alloc_zero(env->heap, sizeof(*api));
    if (api == NULL)
        return STATUS_NO_MEMORY;
    *api = (struct api){.env = env, .options = *options};
    buffer_init(&api->scratch, env->heap, SCRATCH_BYTES_MAX);
    wait_queue_init(&api->large_queue);
    list_init(&api->injects);
    rates_init(api);
    enum status status =
        sigv4_verifier_open(env->heap, options->credentials, env_random_u64(env), &api->verifier);
    if (status != STATUS_OK) {
        heap_free(env->heap, api, sizeof(*api));
        return status;
    }
    *opened = api;
    return STATUS_OK;
}

void api_close(struct api *api)
{
    struct heap *heap = api->env->heap;
    api_inject_clear(api);
    for (uint32_t i = 0; i < API_OPERATION_COUNT; i++)
        heap_free(heap, api->stats[i], sizeof(*api->stats[i]));
    sigv4_verifier_close(api->verifier);
    buffer_release(&api->scratch);
    heap_free(heap, api, sizeof(*api));
}

/* ---- Counters ---- */

const char *api_result_name(enum api_result result)
{
    static const char *const names[] = {[API_OK] = "ok",
                                        [API_CONDITION_FAILED] = "condition_failed",
                                        [API_THROTTLED] = "throttled",
                                        [API_USER_ERROR] = "user_error",
                                        [API_SYSTEM_ERROR] = "system_error",
                                        [API_CANCELLED] = "cancelled"};
    return (unsigned)result < API_RESULT_COUNT ? names[result] : "unknown";
}

uint32_t api_operation_count(void)
{
    return API_OPERATION_COUNT;
}

struct bytes api_operation_name(uint32_t index)
{
    ASSERT(index < API_OPERATION_COUNT);
    return api_operations[index].name;
}

const struct api_operation_stats *api_operation_stats(const struct api *api, uint32_t index)
{
    ASSERT(index < API_OPERATION_COUNT);
    return api->stats[index];
}

uint64_t api_unnamed_requests(const struct api *api)
{
    return api->unnamed;
}

static enum api_result result_of(const struct api_call *call)
{
    enum error_code code = call->error.code;
    if (code == ERROR_NONE)
        return API_OK;
    if (code == ERROR_CONDITION_FAILED)
        return API_CONDITION_FAILED;
    if (code == ERROR_THROUGHPUT_EXCEEDED || code == ERROR_THROTTLING ||
        code == ERROR_REQUEST_LIMIT)
        return API_THROTTLED;
    if (error_form(code)->http_status < 500)
        return API_USER_ERROR;
    return call->ctx->cancelled ? API_CANCELLED : API_SYSTEM_ERROR;
}

static void count(struct api_call *call, uint64_t received_ns)
{
    struct api_operation_stats *stats = call->api->stats[call->operation - api_operations];
    uint64_t now_ns = env_now_ns(call->api->env);
    stats->results[result_of(call)]++;
    stats->read_half_units += call->read_half_units;
    stats->write_half_units += call->write_half_units;
    histogram_record(&stats->latency_ns, now_ns > received_ns ? now_ns - received_ns : 0);
}

/* ---- Errors ---- */

/* Has no text. */
static enum status unknown_operation(struct error *error)
{
    *error = (struct error){.code = ERROR_UNKNOWN_OPERATION};
    return STATUS_INVALID;
}

/* The one reason that there is, in a list; ThrottlingException spells the member as no other. */
static void write_throttling_reasons(const struct api *api, struct json_writer *json,
                                     const struct error *error)
{
    write_name(json, error->code == ERROR_THROTTLING ? "throttlingReasons" : "ThrottlingReasons");
    json_write_array_begin(json);
    json_write_object_begin(json);
    write_text(json, "reason", bytes_of_text(error->throttle_reason));
    write_name(json, "resource");
    write_table_arn(api, json, error->throttled);
    json_write_object_end(json);
    json_write_array_end(json);
}

/* Why each action of a transaction was refused, or that it was not. */
static void write_reasons(struct json_writer *json, const struct error *error)
{
    write_name(json, "CancellationReasons");
    json_write_array_begin(json);
    for (uint32_t i = 0; i < error->reason_count; i++) {
        const struct error *reason = &error->reasons[i];
        json_write_object_begin(json);
        if (value_type(reason->item) == VALUE_M) {
            write_name(json, "Item");
            item_json_write_map(json, reason->item);
        }
        write_text(json, "Code", router_reason_code(reason->code));
        if (reason->code != ERROR_NONE)
            write_text(json, "Message", reason->message);
        json_write_object_end(json);
    }
    json_write_array_end(json);
}

static void answer_error(const struct api *api, struct http_response *response,
                         const struct error *error)
{
    const struct error_form *form = error_form(error->code);
    struct json_writer json;
    buffer_clear(&response->body);
    response->body.owed = true;
    response->status = form->http_status;
    json_writer_init(&json, &response->body);
    json_write_object_begin(&json);
    write_text(&json, "__type", bytes_of_text(form->type));
    if (error->message.at != NULL)
        write_text(&json, form->member, error->message);
    if (error->throttle_reason != NULL)
        write_throttling_reasons(api, &json, error);
    if (value_type(error->item) == VALUE_M) {
        write_name(&json, "Item");
        item_json_write_map(&json, error->item);
    }
    if (error->reason_count > 0)
        write_reasons(&json, error);
    json_write_object_end(&json);
}

/* ---- Requests that are no operation ---- */

static void answer_text(struct http_response *response, int status, struct bytes text)
{
    response->status = status;
    response->content_type = (struct bytes){0};
    buffer_append_bytes(&response->body, text);
}

static void answer_not_found(struct http_response *response)
{
    answer_text(response, 404, BYTES("<UnknownOperationException/>\n"));
}

static void answer_health(const struct api *api, const struct http_request *request,
                          struct http_response *response)
{
    response->content_type = (struct bytes){0};
    if (request->verb == HTTP_VERB_GET)
        buffer_append_format(&response->body, "healthy: dynamodb.%.*s.amazonaws.com ",
                             BYTES_ARGS(api->options.region));
}

/* application/x-amz-json-1.0 or 1.1, with or without parameters behind a semicolon. */
static bool is_amz_json(struct bytes type)
{
    struct bytes prefix = BYTES("application/x-amz-json-1.");
    if (type.count <= prefix.count || !http_name_equal(bytes_of(type.at, prefix.count), prefix) ||
        (type.at[prefix.count] != '0' && type.at[prefix.count] != '1'))
        return false;
    struct bytes rest = bytes_after(type, prefix.count + 1);
    return rest.count == 0 || rest.at[0] == ';' || rest.at[0] == ' ';
}

/* The operation of this name, among those from `low` to before `high`; NULL: none. */
static const struct api_operation *operation_named(struct bytes name, uint32_t low, uint32_t high)
{
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = bytes_compare(name, api_operations[middle].name);
        if (order == 0)
            return &api_operations[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* The operation that the target names; NULL: none. */
static const struct api_operation *find_operation(struct bytes target)
{
    static const struct bytes dynamodb = {(const uint8_t *)"DynamoDB_20120810.", 18};
    static const struct bytes streams = {(const uint8_t *)"DynamoDBStreams_20120810.", 25};
    if (bytes_start_with(target, dynamodb))
        return operation_named(bytes_after(target, dynamodb.count), 0,
                               API_DYNAMODB_OPERATION_COUNT);
    if (bytes_start_with(target, streams))
        return operation_named(bytes_after(target, streams.count), API_DYNAMODB_OPERATION_COUNT,
                               API_OPERATION_COUNT);
    return NULL;
}

/* ---- Signatures ---- */

static enum error_code signature_error(enum sigv4_failure failure)
{
    switch (failure) {
    case SIGV4_MISSING_TOKEN:
        return ERROR_MISSING_TOKEN;
    case SIGV4_INCOMPLETE:
        return ERROR_INCOMPLETE_SIGNATURE;
    case SIGV4_UNKNOWN_KEY:
        return ERROR_UNRECOGNIZED_CLIENT;
    default:
        return ERROR_INVALID_SIGNATURE;
    }
}

static enum status verify(struct context *ctx, struct api *api, const struct http_request *request,
                          struct error *error)
{
    struct sigv4_result result;
    struct pause pause = context_pause(ctx);
    enum status status =
        sigv4_verify(api->verifier, &ctx->arena, request, env_wall_ns(api->env), &pause, &result);
    if (status == STATUS_OK)
        ctx->principal = result.access_key;
    else if (status == STATUS_DENIED)
        *error = (struct error){.code = signature_error(result.failure), .message = result.message};
    else
        (void)error_internal(error, status);
    return status;
}

/* ---- Operations ---- */

/* Decode the body, and everything that the model's table decides about it. */
static enum status decode(struct api_call *call)
{
    struct bytes body = call->request->body;
    const struct model_shape *shape = call->operation->input;
    struct model_input *input = &call->input;
    struct arena *arena = call_arena(call);
    struct pause pause = context_pause(call->ctx);
    TRY(model_decode(shape, body, arena, &pause, input, &call->error));
    if (input->doubtful)
        TRY(model_check(shape, body, arena, &pause, &call->error));
    if (input->mixed != NULL)
        return model_mixed(input, arena, &call->error);
    if (input->unbuilt != NULL)
        return error_format(&call->error, arena, ERROR_VALIDATION,
                            INVALID_VALUES "%s is not supported", input->unbuilt->name);
    if (input->value_fault.at != NULL) {
        call->error = (struct error){.code = ERROR_VALIDATION, .message = input->value_fault};
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

static enum status run(struct api_call *call)
{
    if (call->operation->run == NULL) /* the service has no text, but then it has the operation */
        return error_format(&call->error, call_arena(call), ERROR_UNKNOWN_OPERATION,
                            "%.*s is not supported", BYTES_ARGS(call->operation->name));
    TRY(decode(call));
    if (UNLIKELY(call->ctx->cancelled)) /* while it gave way: nothing was done, nobody waits */
        return error_internal(&call->error, STATUS_CANCELLED);
    TRY(call->operation->run(call));
    return call->json.to->failed ? call_no_memory(call) : STATUS_OK;
}

/* A failure that has no error yet gets one. */
static void name_failure(struct api_call *call, enum status status)
{
    /* What ran out of memory may look like broken JSON or a text that is missing. */
    if (call->ctx->arena.refused)
        (void)error_internal(&call->error, STATUS_NO_MEMORY);
    else if (call->error.code == ERROR_NONE)
        (void)error_internal(&call->error, status);
}

enum status api_perform(struct context *ctx, struct api *api, struct bytes operation,
                        struct bytes body, struct buffer *answer, struct error *error)
{
    struct http_request request = {.verb = HTTP_VERB_POST, .body = body, .raw_body = body};
    struct api_call call = {
        .ctx = ctx,
        .api = api,
        .operation = operation_named(operation, 0, API_DYNAMODB_OPERATION_COUNT),
        .request = &request,
    };
    ASSERT(call.operation != NULL);
    json_writer_init(&call.json, answer);
    enum status status = run(&call);
    if (status != STATUS_OK)
        name_failure(&call, status);
    if (api->scratch.capacity > SCRATCH_BYTES_KEEP)
        buffer_release(&api->scratch);
    *error = call.error;
    return status;
}

/* The counters of the operation, made on its first use. */
static bool have_stats(struct api *api, const struct api_operation *operation)
{
    struct api_operation_stats **stats = &api->stats[operation - api_operations];
    if (*stats == NULL)
        *stats = heap_alloc_zero(api->env->heap, sizeof(**stats));
    return *stats != NULL;
}

static void serve(struct context *ctx, struct api *api, const struct api_operation *operation,
                  const struct http_request *request, struct http_response *response)
{
    struct api_call call = {.ctx = ctx, .api = api, .operation = operation, .request = request};
    if (!have_stats(api, operation)) {
        api->unnamed++;
        (void)call_no_memory(&call);
        answer_error(api, response, &call.error);
        return;
    }
    json_writer_init(&call.json, &response->body);
    response->body.owed = !operation->reads;
    enum status status = verify(ctx, api, request, &call.error);
    if (UNLIKELY(api->inject_count > 0) && status == STATUS_OK)
        status = call_inject(&call);
    if (status == STATUS_OK)
        status = run(&call);
    if (status != STATUS_OK) {
        name_failure(&call, status);
        answer_error(api, response, &call.error);
    } else {
        call.error.code = ERROR_NONE;
    }
    if (api->scratch.capacity > SCRATCH_BYTES_KEEP)
        buffer_release(&api->scratch);
    count(&call, request->received_ns);
}

void api_handle(struct context *ctx, void *owner, const struct http_request *request,
                struct http_response *response)
{
    struct api *api = owner;
    const struct api_operation *operation = NULL;
    bool at_root = bytes_equal(request->path, BYTES("/"));
    if (at_root && request->verb == HTTP_VERB_POST) {
        if (is_amz_json(request->known[HTTP_HEADER_CONTENT_TYPE])) {
            operation = find_operation(request->known[HTTP_HEADER_X_AMZ_TARGET]);
            if (operation == NULL) {
                struct error error;
                (void)unknown_operation(&error);
                answer_error(api, response, &error);
            }
        } else {
            answer_not_found(response);
        }
    } else if (at_root && (request->verb == HTTP_VERB_GET || request->verb == HTTP_VERB_HEAD)) {
        answer_health(api, request, response);
    } else {
        answer_not_found(response);
    }
    if (operation != NULL)
        serve(ctx, api, operation, request, response);
    else
        api->unnamed++;
}
