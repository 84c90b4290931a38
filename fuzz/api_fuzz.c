/* Bodies of any bytes for any operation: the first byte chooses it, the rest is decoded by its
 * shape, and checked.  Decoding twice gives the same; what is refused has an error whole.  Legacy
 * parameters that are decoded make programs that check out, or an error.
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

static void check_program(const struct api_call *call, enum status status,
                          const struct expr_program *program, enum expr_kind kind)
{
    ASSERT(status == STATUS_OK || status == STATUS_INVALID);
    if (status == STATUS_INVALID)
        check_error(&call->error);
    else if (program->code.count > 0)
        ASSERT(expr_program_check(program->code, kind) == STATUS_OK);
}

static void try_write(struct api_call *call)
{
    const struct write_item_input *input = call->input.at;
    struct expr_program update = {0}, condition = {0};
    enum status status = call_attribute_updates(call, &input->attribute_updates, &update);
    check_program(call, status, &update, EXPR_UPDATE);
    check_program(call, call_expected(call, input, &condition), &condition, EXPR_CONDITION);
}

static void try_range(struct api_call *call)
{
    const struct range_input *input = call->input.at;
    struct expr_program projection = {0}, filter = {0}, keys = {0};
    enum status status = call_attributes_to_get(call, &input->attributes_to_get, &projection);
    check_program(call, status, &projection, EXPR_PROJECTION);
    check_program(call, call_filter(call, input, &filter), &filter, EXPR_FILTER);
    status = call_key_conditions(call, &input->key_conditions, &keys);
    check_program(call, status, &keys, EXPR_KEY_CONDITION);
}

/* The legacy parameters of a body that is right. */
static void try_legacy(const struct api_operation *operation, const struct model_input *input,
                       struct context *ctx)
{
    struct api_call call = {.ctx = ctx, .operation = operation, .input = *input};
    if (operation->run == api_put_item || operation->run == api_update_item ||
        operation->run == api_delete_item)
        try_write(&call);
    else if (operation->run == api_query || operation->run == api_scan)
        try_range(&call);
}

static void try_body(const struct api_operation *operation, struct bytes body, struct context *ctx)
{
    const struct model_shape *shape = operation->input;
    struct arena *arena = &ctx->arena;
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
    } else if (input.legacy && input.value_fault.at == NULL) {
        try_legacy(operation, &input, ctx);
    }
    if (input.mixed != NULL) {
        ASSERT(model_mixed(&input, arena, &error) == STATUS_INVALID);
        check_error(&error);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct heap heap;
    struct context ctx = {0};
    if (size == 0)
        return 0;
    heap_init(&heap, false);
    arena_init(&ctx.arena, &heap, 64u << 20);
    try_body(&api_operations[data[0] % API_OPERATION_COUNT], bytes_of(data + 1, size - 1), &ctx);
    arena_release(&ctx.arena);
    ASSERT(heap.bytes_used == 0);
    return 0;
}
