/* http_fuzz.c - the HTTP server fed with any bytes, cut anywhere.
 *
 * The first byte chooses how the rest is cut into reads, and whether allocations fail.  Checked:
 * the sanitizers; that as much is answered however the bytes are cut; that nothing is
 * left behind. */
#include "env/fiber.h"
#include "unit/wire/wire_env.h"
#include "wire/http.h"

static void handle(struct context *ctx, void *owner, const struct http_request *request,
                   struct http_response *response)
{
    ++*(uint32_t *)owner;
    if (request->path.count % 3 == 1)
        context_yield(ctx);
    for (uint32_t i = 0; i < request->header_count; i++)
        buffer_append_bytes(&response->body, request->headers[i].value);
    buffer_append_bytes(&response->body, request->query);
    buffer_append_bytes(&response->body, request->body);
}

static void on_drained(void *drained)
{
    *(bool *)drained = true;
}

/* Returns how many requests were served. */
static uint32_t run(const uint8_t *data, size_t count, size_t piece, uint64_t fail_after)
{
    struct wire_env world;
    uint32_t served = 0;
    bool drained = false;
    wire_open(&world);
    struct http_server_options options = http_server_options_default();
    options.handle = handle;
    options.owner = &served;
    options.body_bytes_max = 1u << 16;
    struct budget budget;
    budget_init(&budget, 1u << 19);
    options.budget = &budget;
    options.response_bytes_max = 1u << 18;
    struct http_server *server;
    ASSERT(fiber_pool_open(&world.tiny.env, 4, 65536) == STATUS_OK);
    ASSERT(http_server_open(&world.tiny.env, &options, &server) == STATUS_OK);
    world.tiny.heap.fail_after = fail_after;
    wire_send(wire_connect(&world), data, count, piece);
    world.tiny.heap.fail_after = 0;
    tiny_settle(&world.tiny);
    http_server_drain(server, on_drained, &drained);
    for (int i = 0; i < 200 && !drained; i++)
        tiny_advance(&world.tiny, UINT64_C(1000000000));
    ASSERT(drained);
    http_server_close(server);
    fiber_pool_close(&world.tiny.env);
    ASSERT(world.tiny.heap.bytes_used == 0);
    wire_free_streams(&world);
    return served;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    if (count < 1 || count > 60000)
        return 0;
    size_t piece = data[0] % 64 + 1u;
    uint64_t fail_after = data[0] / 64 * 7u;
    uint32_t whole = run(data + 1, count - 1, SIZE_MAX, 0);
    uint32_t cut = run(data + 1, count - 1, piece, fail_after);
    ASSERT(fail_after > 0 || whole == cut);
    return 0;
}
