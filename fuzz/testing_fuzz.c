/* Requests under /testing/ of the admin endpoint, one after the other, with paths and bodies of any
 * bytes: those that need no table.  A newline ends a request; its first byte says which it is.
 *
 * Each is answered with JSON; what is injected is listed, and can be taken back.
 */
#include <stdint.h>
#include <stdlib.h>

#include "api/inject.h"
#include "base/assert.h"
#include "ops/testing.h"
#include "router/propagator_private.h"
#include "wire/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW_NS UINT64_C(1900000000000000000)

struct world {
    struct heap heap;
    struct env_ops ops;
    struct env env;
    struct context ctx;
    struct propagator propagator;
    struct testing testing;
    uint8_t expiry; /* only that there is one */
};

static uint64_t now_ns(struct env *env)
{
    (void)env;
    return NOW_NS;
}

static void random_bytes(struct env *env, void *to, size_t count)
{
    (void)env;
    memset(to, 1, count);
}

static void world_open(struct world *world)
{
    *world = (struct world){
        .ops = {.now_ns = now_ns, .wall_ns = now_ns, .random = random_bytes},
    };
    struct api_options options = {.region = BYTES("us-east-1"), .account = BYTES("000000000000")};
    heap_init(&world->heap, false);
    world->env.ops = world->env.outside = &world->ops;
    world->env.heap = &world->heap;
    world->ctx.env = &world->env;
    arena_init(&world->ctx.arena, &world->heap, 16u << 20);
    hash_map_init(&world->propagator.sources, &world->heap, 8, 1);
    world->testing = (struct testing){.env = &world->env,
                                      .expiry = (struct expiry *)(void *)&world->expiry,
                                      .propagator = &world->propagator};
    wait_queue_init(&world->testing.idle);
    ASSERT(api_open(&world->env, &options, &world->testing.api) == STATUS_OK);
    ASSERT(snapshots_open(&world->env, NULL, &world->testing.snapshots) == STATUS_OK);
}

static void world_close(struct world *world)
{
    struct api *api = world->testing.api;
    testing_stop(&world->ctx, &world->testing);
    api_inject_clear(api);
    api_close(api);
    hash_map_release(&world->propagator.sources);
    arena_release(&world->ctx.arena);
    ASSERT(world->heap.bytes_used == 0);
}

/* The answer's status. */
static int ask(struct world *world, enum http_verb verb, const char *path, struct bytes rest,
               struct bytes body)
{
    struct http_request request = {.verb = verb, .body = body};
    struct http_response response = {.status = 200};
    struct json_scanner s;
    struct buffer whole;
    buffer_init(&whole, &world->heap, 1u << 20);
    buffer_init(&response.body, &world->heap, 16u << 20);
    buffer_append_bytes(&whole, BYTES(TESTING_PATH));
    buffer_append_bytes(&whole, bytes_of_text(path));
    buffer_append_bytes(&whole, rest);
    request.path = buffer_bytes(&whole);
    testing_handle(&world->ctx, &world->testing, &request, &response);
    ASSERT(!response.body.failed && world->testing.running == 0);
    json_scanner_init(&s, buffer_bytes(&response.body), &world->ctx.arena);
    ASSERT(json_peek(&s) == JSON_OBJECT);
    json_skip(&s);
    ASSERT(json_scanner_finish(&s) == STATUS_OK);
    ASSERT(response.status == 200 || response.status == 400 || response.status == 404 ||
           response.status == 405 || response.status == 409);
    buffer_release(&response.body);
    buffer_release(&whole);
    arena_reset(&world->ctx.arena);
    return response.status;
}

static void try_request(struct world *world, uint8_t kind, struct bytes rest)
{
    static const struct bytes none = {0};
    uint32_t count = 0;
    switch (kind % 10) {
    case 0:
        if (ask(world, HTTP_VERB_POST, "errors", none, rest) == 200)
            ASSERT(api_inject_at(world->testing.api, 0) != NULL);
        break;
    case 1:
        (void)ask(world, HTTP_VERB_DELETE, "errors/", rest, none);
        break;
    case 2:
        (void)ask(world, HTTP_VERB_PUT, "clock", none, rest);
        break;
    case 3:
        if (ask(world, HTTP_VERB_PUT, "index-delay", none, rest) == 200)
            ASSERT(propagator_delay_ns(&world->propagator) <=
                   PROPAGATOR_DELAY_MS_MAX * UINT64_C(1000000));
        break;
    case 4:
        (void)ask(world, HTTP_VERB_DELETE, "snapshots/", rest, none);
        break;
    case 5:
        (void)ask(world, HTTP_VERB_POST, "snapshots/", rest, none);
        break;
    case 6:
        (void)ask(world, HTTP_VERB_GET, "", rest, none);
        break;
    case 7:
        (void)ask(world, HTTP_VERB_DELETE, "errors", none, rest);
        break;
    case 8:
        (void)ask(world, HTTP_VERB_GET, "clock", none, rest);
        break;
    default:
        ASSERT(ask(world, HTTP_VERB_GET, "errors", none, none) == 200);
        while (api_inject_at(world->testing.api, count) != NULL)
            count++;
        ASSERT(count <= INJECT_RULES_MAX);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world world;
    world_open(&world);
    for (size_t at = 0; at < size;) {
        const uint8_t *end = memchr(data + at, '\n', size - at);
        size_t count = end != NULL ? (size_t)(end - (data + at)) : size - at;
        if (count > 0)
            try_request(&world, data[at], bytes_of(data + at + 1, count - 1));
        at += count + 1;
    }
    try_request(&world, 9, (struct bytes){0});
    world_close(&world);
    return 0;
}
