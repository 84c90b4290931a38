/* legacy.c - the parameters that expressions replaced: their forms checked, and compiled to the
 * programs that expressions make.  Texts as reported of the service (docs/compatibility.md). */
#include "api/api_private.h"

#define REFUSE(call, ...)                                                                          \
    error_format(&(call)->error, call_arena(call), ERROR_VALIDATION, __VA_ARGS__)

/* More than are stored are more than a program takes. */
static enum status check_count(struct api_call *call, const char *member, uint32_t count)
{
    if (count <= EXPR_LEGACY_MAX)
        return STATUS_OK;
    return REFUSE(call, INVALID_VALUES "%s has more than %u elements", member, EXPR_LEGACY_MAX);
}

_Static_assert(EXPR_LEGACY_MAX <= MODEL_STORED_MAX, "what is counted is there");

enum status call_attributes_to_get(struct api_call *call, const struct model_list *names,
                                   struct expr_program *projection)
{
    struct expr_fault fault = {0};
    TRY(check_count(call, "AttributesToGet", names->count));
    enum status status =
        expr_compile_names(call_arena(call), names->at, names->count, projection, &fault);
    return call_expr_status(call, status, &fault);
}

enum status call_attribute_updates(struct api_call *call, const struct model_map *given,
                                   struct expr_program *update)
{
    const struct update_input *inputs = given->values;
    struct expr_fault fault = {0};
    TRY(check_count(call, "AttributeUpdates", given->count));
    struct expr_change *changes =
        arena_alloc_array(call_arena(call), given->count, sizeof(*changes));
    if (changes == NULL)
        return call_no_memory(call);
    for (uint32_t i = 0; i < given->count; i++)
        changes[i] = (struct expr_change){
            .name = given->keys[i],
            .action = inputs[i].action == 0 ? CHANGE_PUT : (enum change_action)inputs[i].action,
            .value = inputs[i].value};
    enum status status =
        expr_compile_changes(call_arena(call), changes, given->count, update, &fault);
    return call_expr_status(call, status, &fault);
}

/* ---- Conditions ---- */

static enum status check_operator(struct api_call *call, uint8_t given,
                                  const struct model_map *conditions)
{
    if (given == CONDITIONAL_NOT_GIVEN)
        return STATUS_OK;
    if (!conditions->given)
        return call_invalid(call, "ConditionalOperator cannot be used without Filter or Expected");
    if (conditions->count < 2)
        return call_invalid(call, "ConditionalOperator can only be used when Filter or Expected "
                                  "has two or more elements");
    return STATUS_OK;
}

/* Room for as many conditions as were given. */
static enum status open_conditions(struct api_call *call, const char *member,
                                   const struct model_map *given,
                                   struct expr_condition **conditions)
{
    TRY(check_count(call, member, given->count));
    *conditions = arena_alloc_array(call_arena(call), given->count, sizeof(**conditions));
    return *conditions == NULL ? call_no_memory(call) : STATUS_OK;
}

static enum status compile(struct api_call *call, enum expr_kind kind,
                           const struct expr_condition *conditions, uint32_t count,
                           uint8_t conditional_operator, struct expr_program *program)
{
    struct expr_fault fault = {0};
    enum status status =
        expr_compile_conditions(call_arena(call), kind, conditions, count,
                                conditional_operator == CONDITIONAL_OR, program, &fault);
    return call_expr_status(call, status, &fault);
}

/* QueryFilter, ScanFilter, KeyConditions. */
static enum status compile_map(struct api_call *call, enum expr_kind kind, const char *member,
                               const struct model_map *given, uint8_t conditional_operator,
                               struct expr_program *program)
{
    const struct condition_input *inputs = given->values;
    struct expr_condition *conditions;
    TRY(open_conditions(call, member, given, &conditions));
    for (uint32_t i = 0; i < given->count; i++)
        conditions[i] = (struct expr_condition){.name = given->keys[i],
                                                .comparison = (enum comparison)inputs[i].comparison,
                                                .values = inputs[i].values.at,
                                                .value_count = inputs[i].values.count};
    return compile(call, kind, conditions, given->count, conditional_operator, program);
}

enum status call_filter(struct api_call *call, const struct range_input *input,
                        struct expr_program *filter)
{
    TRY(check_operator(call, input->conditional_operator, &input->filter));
    return compile_map(call, EXPR_FILTER, "Filter", &input->filter, input->conditional_operator,
                       filter);
}

enum status call_key_conditions(struct api_call *call, const struct model_map *given,
                                struct expr_program *key_condition)
{
    if (given->count < 1 || given->count > 2)
        return call_invalid(call, "Conditions can be of length 1 or 2 only");
    return compile_map(call, EXPR_KEY_CONDITION, "KeyConditions", given, CONDITIONAL_NOT_GIVEN,
                       key_condition);
}

/* ---- Expected ---- */

/* The older form: Value is what the attribute must equal, Exists false says that there is none. */
static enum status read_exists(struct api_call *call, struct bytes name,
                               const struct expected_input *expected,
                               struct expr_condition *condition)
{
    bool has_value = value_type(expected->value) != VALUE_NONE;
    if (expected->values.given)
        return REFUSE(call,
                      INVALID_VALUES "AttributeValueList can only be used with a "
                                     "ComparisonOperator for Attribute: %.*s",
                      BYTES_ARGS(name));
    if (expected->exists == MODEL_FALSE) {
        if (has_value)
            return REFUSE(call,
                          INVALID_VALUES "Value cannot be used when Exists is false for "
                                         "Attribute: %.*s",
                          BYTES_ARGS(name));
        condition->comparison = COMPARISON_NULL;
        return STATUS_OK;
    }
    if (!has_value)
        return REFUSE(call,
                      INVALID_VALUES "Value must be provided when Exists is %s for "
                                     "Attribute: %.*s",
                      expected->exists == MODEL_TRUE ? "true" : "null", BYTES_ARGS(name));
    condition->comparison = COMPARISON_EQ;
    condition->values = &expected->value;
    condition->value_count = 1;
    return STATUS_OK;
}

static enum status read_expected(struct api_call *call, struct bytes name,
                                 const struct expected_input *expected,
                                 struct expr_condition *condition)
{
    bool has_value = value_type(expected->value) != VALUE_NONE;
    *condition = (struct expr_condition){.name = name};
    if (has_value && expected->values.given)
        return REFUSE(call,
                      INVALID_VALUES "Value and AttributeValueList cannot be used together "
                                     "for Attribute: %.*s",
                      BYTES_ARGS(name));
    if (expected->comparison == 0)
        return read_exists(call, name, expected, condition);
    condition->comparison = (enum comparison)expected->comparison;
    if (expected->exists != MODEL_NOT_GIVEN)
        return REFUSE(call,
                      INVALID_VALUES "Exists and ComparisonOperator cannot be used together "
                                     "for Attribute: %.*s",
                      BYTES_ARGS(name));
    bool takes_values =
        condition->comparison != COMPARISON_NULL && condition->comparison != COMPARISON_NOT_NULL;
    if (takes_values && !has_value && !expected->values.given)
        return REFUSE(call,
                      INVALID_VALUES "Value or AttributeValueList must be used with "
                                     "ComparisonOperator: %s for Attribute: %.*s",
                      expr_comparison_name(condition->comparison), BYTES_ARGS(name));
    condition->values = has_value ? &expected->value : expected->values.at;
    condition->value_count = has_value ? 1 : expected->values.count;
    return STATUS_OK;
}

enum status call_expected(struct api_call *call, const struct write_item_input *input,
                          struct expr_program *condition)
{
    const struct model_map *given = &input->expected;
    const struct expected_input *inputs = given->values;
    struct expr_condition *conditions;
    TRY(check_operator(call, input->conditional_operator, given));
    TRY(open_conditions(call, "Expected", given, &conditions));
    for (uint32_t i = 0; i < given->count; i++)
        TRY(read_expected(call, given->keys[i], &inputs[i], &conditions[i]));
    return compile(call, EXPR_CONDITION, conditions, given->count, input->conditional_operator,
                   condition);
}
