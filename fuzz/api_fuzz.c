/* Bodies of any bytes for any operation: the first byte chooses it, the rest is decoded by its
 * shape, and checked.  Decoding twice gives the same; what is refused has an error whole.
 */
#include <stdint.h>

#include "api/api_private.h"
#include "base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_error(const struct error *error)
{
    ASSERT(error->code == ERROR_VALIDATION || error->code == ERROR_SERIALIZATION);
    ASSERT(error->code == ERROR_SERIALIZATION || error->message.count > 0);
}

static void try_body(const struct model_shape *shape, struct bytes body, struct arena *arena)
{
    struct model_input input, again;
    struct error error = {0};
    if (model_decode(shape, body, arena, NULL, &input, &error) != STATUS_OK) {
        check_error(&error);
        return;
    }
    ASSERT(model_decode(shape, body, arena, NULL, &again, &error) == STATUS_OK);
    ASSERT(again.given == input.given && again.doubtful == input.doubtful);
    ASSERT(again.unbuilt == input.unbuilt && again.mixed == input.mixed);
    if (model_check(shape, body, arena, NULL, &error) != STATUS_OK) {
        check_error(&error);
        ASSERT(input.doubtful); /* a look never misses what a check finds */
    }
    if (input.mixed != NULL) {
        ASSERT(model_mixed(&input, arena, &error) == STATUS_INVALID);
        check_error(&error);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct heap heap;
    struct arena arena;
    if (size == 0)
        return 0;
    heap_init(&heap, false);
    arena_init(&arena, &heap, 64u << 20);
    try_body(api_operations[data[0] % API_OPERATION_COUNT].input, bytes_of(data + 1, size - 1),
             &arena);
    arena_release(&arena);
    ASSERT(heap.bytes_used == 0);
    return 0;
}
