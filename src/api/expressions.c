/* expressions.c - the expressions of a request, compiled with the names and values it gives. */
#include "api/api_private.h"

enum status call_expr_status(struct api_call *call, enum status status,
                             const struct expr_fault *fault)
{
    if (status == STATUS_INVALID)
        call->error = (struct error){.code = ERROR_VALIDATION, .message = fault->message};
    else if (status != STATUS_OK)
        (void)error_internal(&call->error, status);
    return status;
}

static enum status fault(struct api_call *call, const struct call_expressions *e,
                         enum status status)
{
    return call_expr_status(call, status, &e->fault);
}

enum status call_expressions_begin(struct api_call *call, struct call_expressions *e,
                                   const struct model_names *names, struct value values,
                                   bool have_any, bool have_valued, const char *values_note)
{
    bool values_given = value_type(values) != VALUE_NONE;
    *e = (struct call_expressions){
        .scope = {.arena = call_arena(call),
                  .names = names->at,
                  .name_count = names->count,
                  .values = values,
                  .names_given = names->given,
                  .values_given = values_given,
                  .names_useless = !have_any,
                  .values_useless = !have_valued,
                  .values_useless_note = values_note},
        .none = !have_any && !names->given && !values_given,
    };
    return e->none ? STATUS_OK
                   : fault(call, e, expr_scope_init(&e->scope, call_arena(call), &e->fault));
}

enum status call_compile(struct api_call *call, struct call_expressions *e, enum expr_kind kind,
                         struct bytes text, struct expr_program *program)
{
    if (text.at == NULL)
        return STATUS_OK;
    return fault(call, e, expr_compile(&e->scope, kind, text, program, &e->fault));
}

enum status call_expressions_end(struct api_call *call, struct call_expressions *e)
{
    return e->none ? STATUS_OK : fault(call, e, expr_scope_finish(&e->scope, &e->fault));
}
