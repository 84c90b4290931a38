/* What it costs to decode a body into the C struct of an operation's input, constraints looked at.
 * Prints nanoseconds a body, the best of several rounds.
 */
#include <stdio.h>
#include <time.h>

#include "api/input.h"
#include "api/model_shapes.h"

#define ROUNDS      10
#define REPETITIONS 100000

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void measure(const char *name, const struct model_shape *shape, const char *body)
{
    struct heap heap;
    struct arena arena;
    struct error error;
    struct model_input input;
    double best = 1e18;
    heap_init(&heap, false);
    arena_init(&arena, &heap, 1u << 24);
    for (int round = 0; round < ROUNDS; round++) {
        double start = now_ns();
        for (int i = 0; i < REPETITIONS; i++) {
            if (model_decode(shape, bytes_of_text(body), &arena, NULL, &input, &error) != STATUS_OK)
                printf("%s does not decode\n", name);
            arena_reset(&arena);
        }
        double each = (now_ns() - start) / REPETITIONS;
        best = each < best ? each : best;
    }
    arena_release(&arena);
    printf("%-28s %6.0f ns\n", name, best);
}

int main(void)
{
    measure("GetItem", &shape_GetItemInput,
            "{\"TableName\":\"benchmark\",\"Key\":{\"pk\":{\"S\":\"user0000000123\"}}}");
    measure("PutItem of 100 bytes", &shape_PutItemInput,
            "{\"TableName\":\"benchmark\",\"Item\":{\"pk\":{\"S\":\"user0000000123\"},\"text\":"
            "{\"S\":\"The quick brown fox jumps over the lazy dog, and does it again.\"},"
            "\"count\":{\"N\":\"12345\"},\"active\":{\"BOOL\":true}}}");
    measure("Query", &shape_QueryInput,
            "{\"TableName\":\"benchmark\",\"KeyConditionExpression\":\"pk = :p\","
            "\"ExpressionAttributeValues\":{\":p\":{\"S\":\"user0000000123\"}},\"Limit\":10}");
    return 0;
}
