#include "ops/testing.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "ops/testing_private.h"

#define SECOND_NS   INT64_C(1000000000)
#define SECONDS_MAX UINT64_C(253402300799) /* the end of the year 9999 */
#define MS_NS       UINT64_C(1000000)

enum status testing_refuse(struct testing_call *call, int http_status, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    call->response->status = http_status;
    buffer_clear(&call->response->body);
    json_writer_init(&call->json, &call->response->body);
    json_write_object_begin(&call->json);
    json_write_name(&call->json, BYTES("error"));
    json_write_string(&call->json, bytes_of_text(text));
    json_write_object_end(&call->json);
    return STATUS_INVALID;
}

enum status testing_read(struct testing_call *call, void *to,
                         bool (*take)(struct testing_call *call, void *to, struct bytes name,
                                      struct json_scanner *s))
{
    struct json_scanner s;
    struct bytes name, wrong = {0};
    if (call->request->body.count == 0)
        return STATUS_OK;
    json_scanner_init(&s, call->request->body, &call->ctx->arena);
    bool is_object = json_peek(&s) == JSON_OBJECT;
    if (is_object)
        json_object_begin(&s);
    while (is_object && json_object_next(&s, &name)) {
        bool fits = take != NULL && take(call, to, name, &s);
        if (take == NULL)
            json_skip(&s);
        if (!fits && wrong.at == NULL)
            wrong = name;
    }
    if (!is_object || json_scanner_finish(&s) != STATUS_OK)
        return testing_refuse(call, 400, "the body is not a JSON object");
    if (wrong.at != NULL)
        return testing_refuse(call, 400, "%.*s: there is no such member, or not with such a value",
                              (int)MIN(wrong.count, (size_t)64), (const char *)wrong.at);
    return STATUS_OK;
}

bool testing_number(struct json_scanner *s, uint64_t max, uint64_t *number)
{
    if (json_peek(s) != JSON_NUMBER) {
        json_skip(s);
        return false;
    }
    struct bytes text = json_number(s);
    uint64_t value = 0;
    for (size_t i = 0; i < text.count; i++) {
        if (text.at[i] < '0' || text.at[i] > '9' || value > max)
            return false;
        value = value * 10 + (uint64_t)(text.at[i] - '0');
    }
    *number = value;
    return value <= max;
}

static void write_number(struct testing_call *call, const char *name, uint64_t number)
{
    json_write_name(&call->json, bytes_of_text(name));
    json_write_u64(&call->json, number);
}

/* ---- Reset and snapshots ---- */

static enum status refuse_failure(struct testing_call *call, enum status status,
                                  const struct error *error)
{
    switch (status) {
    case STATUS_BUSY:
        return testing_refuse(call, 409, "another reset, snapshot or restore is under way");
    case STATUS_EXISTS:
        return testing_refuse(call, 409, "there are %u snapshots, the most there may be",
                              SNAPSHOTS_MAX);
    case STATUS_NO_SPACE:
        return testing_refuse(call, 409, "all snapshots together would need more than %u MiB",
                              (unsigned)(SNAPSHOT_BYTES_MAX >> 20));
    case STATUS_NOT_FOUND:
        return testing_refuse(call, 404, "there is no snapshot of this name");
    default:
        return testing_refuse(call, MAX(error_form(error->code)->http_status, 409),
                              "%s: %.*s; what was done until then stays", status_text(status),
                              BYTES_ARGS(error->message));
    }
}

static enum status reset(struct testing_call *call)
{
    struct snapshot_stats stats;
    struct error error = {0};
    TRY(testing_read(call, NULL, NULL));
    enum status status = snapshots_reset(call->ctx, call->testing->snapshots, &stats, &error);
    if (status != STATUS_OK)
        return refuse_failure(call, status, &error);
    json_write_object_begin(&call->json);
    write_number(call, "TablesDeleted", stats.tables);
    json_write_object_end(&call->json);
    return STATUS_OK;
}

static enum status list_snapshots(struct testing_call *call)
{
    struct snapshot_stats stats;
    struct bytes name;
    json_write_object_begin(&call->json);
    json_write_name(&call->json, BYTES("Snapshots"));
    json_write_array_begin(&call->json);
    for (uint32_t i = 0; snapshot_at(call->testing->snapshots, i, &name, &stats); i++) {
        json_write_object_begin(&call->json);
        json_write_name(&call->json, BYTES("Name"));
        json_write_string(&call->json, name);
        write_number(call, "Tables", stats.tables);
        write_number(call, "Items", stats.items);
        write_number(call, "Bytes", stats.bytes);
        json_write_object_end(&call->json);
    }
    json_write_array_end(&call->json);
    json_write_object_end(&call->json);
    return STATUS_OK;
}

static bool is_name(struct bytes name)
{
    for (size_t i = 0; i < name.count; i++) {
        uint8_t c = name.at[i];
        bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '_' || c == '.';
        if (!fits)
            return false;
    }
    return name.count > 0 && name.count <= SNAPSHOT_NAME_BYTES_MAX;
}

static enum status take_snapshot(struct testing_call *call, struct bytes name)
{
    struct snapshot_stats stats;
    struct error error = {0};
    TRY(testing_read(call, NULL, NULL));
    enum status status = snapshot_take(call->ctx, call->testing->snapshots, name, &stats, &error);
    if (status != STATUS_OK)
        return refuse_failure(call, status, &error);
    json_write_object_begin(&call->json);
    write_number(call, "Tables", stats.tables);
    write_number(call, "Items", stats.items);
    write_number(call, "Bytes", stats.bytes);
    json_write_object_end(&call->json);
    return STATUS_OK;
}

static enum status restore_snapshot(struct testing_call *call, struct bytes name)
{
    struct snapshot_stats stats;
    struct error error = {0};
    TRY(testing_read(call, NULL, NULL));
    enum status status =
        snapshot_restore(call->ctx, call->testing->snapshots, name, &stats, &error);
    if (status != STATUS_OK)
        return refuse_failure(call, status, &error);
    json_write_object_begin(&call->json);
    write_number(call, "Tables", stats.tables);
    write_number(call, "Items", stats.items);
    write_number(call, "ItemsPut", stats.put);
    write_number(call, "ItemsDeleted", stats.deleted);
    json_write_object_end(&call->json);
    return STATUS_OK;
}

static enum status drop_snapshot(struct testing_call *call, struct bytes name)
{
    enum status status = snapshot_drop(call->testing->snapshots, name);
    if (status != STATUS_OK)
        return refuse_failure(call, status, NULL);
    json_write_object_begin(&call->json);
    json_write_object_end(&call->json);
    return STATUS_OK;
}

/* "NAME" or "NAME/restore". */
static enum status serve_snapshot(struct testing_call *call, struct bytes rest)
{
    static const char restore[] = "/restore";
    const uint8_t *slash = memchr(rest.at, '/', rest.count);
    struct bytes name = rest;
    bool restores = false;
    if (slash != NULL) {
        name.count = (size_t)(slash - rest.at);
        restores = bytes_equal(bytes_after(rest, name.count), bytes_of_text(restore));
        if (!restores)
            return testing_refuse(call, 404, "there is nothing of this name");
    }
    if (!is_name(name))
        return testing_refuse(call, 400,
                              "a snapshot's name has 1 to %u of a-z, A-Z, 0-9, '-', '_' "
                              "and '.'",
                              SNAPSHOT_NAME_BYTES_MAX);
    enum http_verb verb = call->request->verb;
    if (restores && verb == HTTP_VERB_POST)
        return restore_snapshot(call, name);
    if (!restores && verb == HTTP_VERB_PUT)
        return take_snapshot(call, name);
    if (!restores && verb == HTTP_VERB_DELETE)
        return drop_snapshot(call, name);
    return testing_refuse(call, 405,
                          "PUT takes a snapshot, POST to NAME/restore brings it back, "
                          "DELETE drops it");
}

/* ---- How late global indexes are ---- */

static enum status answer_index_delay(struct testing_call *call)
{
    json_write_object_begin(&call->json);
    write_number(call, "DelayMs", propagator_delay_ns(call->testing->propagator) / MS_NS);
    json_write_object_end(&call->json);
    return STATUS_OK;
}

static bool take_index_delay(struct testing_call *call, void *to, struct bytes name,
                             struct json_scanner *s)
{
    (void)call;
    if (bytes_equal(name, BYTES("DelayMs")))
        return testing_number(s, PROPAGATOR_DELAY_MS_MAX, to);
    json_skip(s);
    return false;
}

static enum status set_index_delay(struct testing_call *call)
{
    uint64_t delay_ms = UINT64_MAX;
    TRY(testing_read(call, &delay_ms, take_index_delay));
    if (delay_ms == UINT64_MAX)
        return testing_refuse(call, 400, "give a DelayMs");
    propagator_set_delay(call->testing->propagator, delay_ms * MS_NS);
    return answer_index_delay(call);
}

static enum status serve_index_delay(struct testing_call *call)
{
    struct testing *testing = call->testing;
    switch (call->request->verb) {
    case HTTP_VERB_GET:
        return answer_index_delay(call);
    case HTTP_VERB_PUT:
        return set_index_delay(call);
    case HTTP_VERB_DELETE:
        propagator_set_delay(testing->propagator, testing->index_delay_ns);
        return answer_index_delay(call);
    default:
        return testing_refuse(call, 405, "GET shows it, PUT sets it, DELETE takes it back");
    }
}

/* ---- The clock ---- */

/* Milliseconds of what is given, as a number of seconds. */
static void write_seconds(struct testing_call *call, const char *name, int64_t ns)
{
    char text[40];
    uint64_t ms = (uint64_t)(ns < 0 ? -(ns / 1000000) : ns / 1000000);
    snprintf(text, sizeof(text), "%s%llu.%03u", ns < 0 ? "-" : "", (unsigned long long)(ms / 1000),
             (unsigned)(ms % 1000));
    json_write_name(&call->json, bytes_of_text(name));
    json_write_raw(&call->json, bytes_of_text(text));
}

static enum status answer_clock(struct testing_call *call)
{
    json_write_object_begin(&call->json);
    write_seconds(call, "Now", (int64_t)MIN(wall_now_ns(call->testing->env), (uint64_t)INT64_MAX));
    write_seconds(call, "Offset", call->testing->env->wall_offset_ns);
    json_write_object_end(&call->json);
    return STATUS_OK;
}

struct clock_change {
    bool has_now, has_advance;
    uint64_t now_s, advance_s;
};

static bool take_clock(struct testing_call *call, void *to, struct bytes name,
                       struct json_scanner *s)
{
    struct clock_change *change = to;
    (void)call;
    if (bytes_equal(name, BYTES("Now"))) {
        change->has_now = true;
        return testing_number(s, SECONDS_MAX, &change->now_s);
    }
    if (bytes_equal(name, BYTES("AdvanceSeconds"))) {
        change->has_advance = true;
        return testing_number(s, SECONDS_MAX, &change->advance_s);
    }
    json_skip(s);
    return false;
}

static void move_clock(struct testing_call *call, int64_t offset_ns)
{
    call->testing->env->wall_offset_ns = offset_ns;
    propagator_clock_moved(call->testing->propagator);
}

/* Times of the clock fit in 63 bits of nanoseconds: until the year 2262. */
static enum status set_clock(struct testing_call *call)
{
    struct clock_change change = {0};
    struct env *env = call->testing->env;
    TRY(testing_read(call, &change, take_clock));
    if (change.has_now == change.has_advance)
        return testing_refuse(call, 400, "give either Now or AdvanceSeconds");
    uint64_t now_ns = wall_now_ns(env), most_s = (uint64_t)(INT64_MAX / SECOND_NS);
    uint64_t wanted_s = change.has_now ? change.now_s : now_ns / SECOND_NS + change.advance_s;
    if (wanted_s >= most_s)
        return testing_refuse(call, 400, "the clock goes until the second %llu",
                              (unsigned long long)most_s);
    uint64_t wanted_ns = change.has_now ? change.now_s * (uint64_t)SECOND_NS
                                        : now_ns + change.advance_s * (uint64_t)SECOND_NS;
    move_clock(call, (int64_t)wanted_ns - (int64_t)env_wall_ns(env));
    return answer_clock(call);
}

static enum status serve_clock(struct testing_call *call)
{
    switch (call->request->verb) {
    case HTTP_VERB_GET:
        return answer_clock(call);
    case HTTP_VERB_PUT:
        return set_clock(call);
    case HTTP_VERB_DELETE:
        move_clock(call, 0);
        return answer_clock(call);
    default:
        return testing_refuse(call, 405, "GET shows the clock, PUT sets it, DELETE takes it back");
    }
}

/* ---- Items that expire ---- */

static enum status expire(struct testing_call *call)
{
    uint64_t deleted = 0;
    TRY(testing_read(call, NULL, NULL));
    enum status status = expiry_sweep_now(call->ctx, call->testing->expiry, &deleted);
    if (status != STATUS_OK)
        return testing_refuse(call, 503, "%s; %llu items were deleted", status_text(status),
                              (unsigned long long)deleted);
    json_write_object_begin(&call->json);
    write_number(call, "ItemsDeleted", deleted);
    json_write_object_end(&call->json);
    return STATUS_OK;
}

/* ---- Which request it is ---- */

static enum status serve_errors(struct testing_call *call)
{
    switch (call->request->verb) {
    case HTTP_VERB_GET:
        return testing_list_errors(call);
    case HTTP_VERB_POST:
        return testing_add_error(call);
    case HTTP_VERB_DELETE:
        return testing_remove_error(call, (struct bytes){0});
    default:
        return testing_refuse(call, 405,
                              "GET lists them, POST injects one, DELETE takes them back");
    }
}

static enum status serve(struct testing_call *call, struct bytes rest)
{
    enum http_verb verb = call->request->verb;
    struct bytes snapshot = BYTES("snapshots/"), error = BYTES("errors/");
    if (bytes_equal(rest, BYTES("reset")))
        return verb == HTTP_VERB_POST ? reset(call) : testing_refuse(call, 405, "only POST");
    if (bytes_equal(rest, BYTES("expire")))
        return verb == HTTP_VERB_POST ? expire(call) : testing_refuse(call, 405, "only POST");
    if (bytes_equal(rest, BYTES("snapshots")))
        return verb == HTTP_VERB_GET ? list_snapshots(call) : testing_refuse(call, 405, "only GET");
    if (bytes_start_with(rest, snapshot))
        return serve_snapshot(call, bytes_after(rest, snapshot.count));
    if (bytes_equal(rest, BYTES("errors")))
        return serve_errors(call);
    if (bytes_start_with(rest, error))
        return verb == HTTP_VERB_DELETE ? testing_remove_error(call, bytes_after(rest, error.count))
                                        : testing_refuse(call, 405, "only DELETE");
    if (bytes_equal(rest, BYTES("index-delay")))
        return serve_index_delay(call);
    if (bytes_equal(rest, BYTES("clock")))
        return serve_clock(call);
    return testing_refuse(call, 404,
                          "there is reset, snapshots, errors, index-delay, clock and expire");
}

static enum status serve_counted(struct testing_call *call)
{
    struct testing *testing = call->testing;
    testing->running++;
    enum status status = serve(call, bytes_after(call->request->path, sizeof(TESTING_PATH) - 1));
    testing->running--;
    wait_queue_wake_all(&testing->idle);
    return status;
}

void testing_stop(struct context *ctx, struct testing *testing)
{
    testing->api = NULL;
    if (testing->snapshots == NULL)
        return;
    while (testing->running > 0) {
        snapshots_cancel(testing->snapshots);
        wait_queue_wait_out(ctx, &testing->idle);
    }
    snapshots_close(testing->snapshots);
    testing->snapshots = NULL;
}

void testing_handle(struct context *ctx, struct testing *testing,
                    const struct http_request *request, struct http_response *response)
{
    struct testing_call call = {
        .ctx = ctx, .testing = testing, .request = request, .response = response};
    response->content_type = BYTES("application/json");
    response->body.owed = true;
    json_writer_init(&call.json, &response->body);
    enum status status;
    if (testing == NULL)
        status = testing_refuse(&call, 404, "the server was not started with --admin-testing");
    else if (testing->api == NULL || testing->snapshots == NULL || testing->expiry == NULL)
        status = testing_refuse(&call, 503, "the server does not serve yet, or no longer");
    else if (request->known[HTTP_HEADER_ORIGIN].at != NULL)
        status = testing_refuse(&call, 403, "pages that a browser shows may not do this");
    else
        status = serve_counted(&call);
    ASSERT((status == STATUS_OK) == (response->status == 200));
}
