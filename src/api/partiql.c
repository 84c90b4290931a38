/* partiql.c - ExecuteStatement: one PartiQL statement, run as the request that it stands for. */
#include "api/partiql_private.h"

#include "admission/units.h"
#include "base/compiler.h"

#define NO_SUCH_INDEX "The table does not have the specified index"

/* ---- What both operations do with a statement ---- */

enum status call_partiql(struct api_call *call, struct bytes text,
                         const struct model_list *parameters, struct partiql_statement *statement)
{
    if (parameters->count > MODEL_STORED_MAX)
        return error_format(&call->error, call_arena(call), ERROR_VALIDATION,
                            "A statement can have %u parameters at most", MODEL_STORED_MAX);
    return partiql_parse(call_arena(call), text, parameters->at, parameters->count, statement,
                         &call->error);
}

enum status call_partiql_target(struct api_call *call, const struct partiql_statement *statement,
                                struct partiql_target *target)
{
    TRY(call_table_name(call, statement->table, &target->name));
    TRY(router_table(call_router(call), target->name, &target->table, &call->error));
    if (router_index(target->table, statement->index, call_arena(call), &target->index,
                     &call->error) != STATUS_OK) {
        /* The service names no index here, unlike in a Query. */
        if (bytes_start_with(call->error.message, BYTES(NO_SUCH_INDEX)))
            return call_invalid(call, NO_SUCH_INDEX);
        return STATUS_INVALID;
    }
    return target->index == NULL ? STATUS_OK : call_partiql_check_index(call, target->index);
}

enum status call_partiql_check_index(struct api_call *call, const struct index_schema *index)
{
    if (index->partition_count > 1 || index->sort_count > 1)
        return call_invalid(call, "PartiQL statements cannot be executed on tables with "
                                  "multi-attribute HASH keys or multi-attribute RANGE keys.");
    return STATUS_OK;
}

enum status call_partiql_write(struct api_call *call, enum partiql_kind kind,
                               const struct write_request *request, struct write_result *result,
                               struct consumed *consumed)
{
    struct consumed of_this = {0};
    enum status status = router_write(call->ctx, call_router(call), request, result, &call->error);
    if (status == STATUS_OK)
        consume_write(&of_this, result);
    else if (call->error.code == ERROR_CONDITION_FAILED)
        of_this.half_units = units_write_halves(result->old_bytes, 0);
    call->write_half_units += consumed_total(&of_this);
    consume_more(consumed, &of_this);
    if (call->error.code == ERROR_CONDITION_FAILED && kind == PARTIQL_INSERT)
        return error_set(&call->error, ERROR_DUPLICATE_ITEM,
                         "Duplicate primary key exists in table");
    return status;
}

bool partiql_returns(const struct write_result *result)
{
    return value_type(result->attributes) == VALUE_M && value_count(result->attributes) > 0;
}

void write_partiql_item(struct json_writer *json, const struct partiql_statement *statement,
                        struct value item)
{
    if (statement->columns == NULL) {
        item_json_write_map(json, item);
        return;
    }
    json_write_object_begin(json);
    for (uint32_t i = 0; i < statement->column_count; i++) {
        const struct partiql_column *column = &statement->columns[i];
        struct value value = expr_find(column->steps, column->step_count, item);
        if (value_type(value) == VALUE_NONE)
            continue;
        json_write_name(json, column->name);
        item_json_write_value(json, value);
    }
    json_write_object_end(json);
}

/* ---- SELECT ---- */

/* Of Queries a page has this many: "Results are returned in pages of up to 10 items.  If the IN
 * list contains more values, you must use the NextToken returned in the response" (Developer Guide,
 * "PartiQL arithmetic, comparison, and logical operators for DynamoDB"). */
#define PAGE_QUERIES_MAX 10u

/* A SELECT under way: where it is, and what it has read.  Takes the items into the answer. */
struct select_run {
    struct item_sink sink;
    struct api_call *call;
    const struct partiql_statement *statement;
    struct partiql_select plan;
    struct partiql_position position; /* where it went on, and then where it ended */
    bool more;                        /* the position is not the end */
    uint64_t scanned_count, scanned_bytes;
    struct consumed consumed;
    struct partiql_target target; /* of the range that is read */
    bool cut;           /* items are whole, and to be cut to what the index holds of them */
    struct buffer rows; /* for that */
};

static enum status take_item(struct item_sink *sink, struct value item)
{
    struct select_run *run = CONTAINER_OF(sink, struct select_run, sink);
    if (run->cut) {
        buffer_clear(&run->rows);
        TRY(index_project(run->target.index, &run->target.table->schema, item, &run->rows, &item));
    }
    write_partiql_item(&run->call->json, run->statement, item);
    return run->call->json.to->failed ? STATUS_NO_MEMORY : STATUS_OK;
}

/* Does the SELECT name attributes that a local index does not hold?  They are read from the table.
 */
static bool beyond_index(const struct partiql_target *target,
                         const struct partiql_statement *statement)
{
    if (target->index == NULL || target->index->kind == INDEX_GLOBAL)
        return false;
    for (uint32_t i = 0; i < statement->column_count; i++) {
        if (!index_projects(target->index, &target->table->schema,
                            statement->columns[i].steps[0].name))
            return true;
    }
    return false;
}

/* Append the attribute to the list unless the index holds it. */
static void add_missing(const struct partiql_target *target, struct bytes name, struct buffer *list)
{
    if (!index_projects(target->index, &target->table->schema, name))
        buffer_append_format(list, "%s%.*s", list->count > 0 ? ", " : "", BYTES_ARGS(name));
}

/* A global index has what it holds and nothing else, and is read as it is by then. */
static enum status check_global(struct select_run *run)
{
    struct api_call *call = run->call;
    const struct execute_statement_input *input = call->input.at;
    const struct partiql_statement *statement = run->statement;
    const struct expr_program *filter = &run->plan.filter;
    struct expr_attributes walk = {0};
    struct bytes name;
    struct buffer missing;
    enum status status = STATUS_OK;
    if (input->consistent_read == MODEL_TRUE)
        return call_invalid(call, "Strongly consistent read is not supported on Global Secondary "
                                  "Indexes");
    buffer_init(&missing, call->ctx->env->heap, 1u << 20);
    for (uint32_t i = 0; i < statement->column_count; i++)
        add_missing(&run->target, statement->columns[i].steps[0].name, &missing);
    while (filter->code.count > 0 && expr_next_attribute(filter, &walk, &name))
        add_missing(&run->target, name, &missing);
    if (missing.failed)
        status = call_no_memory(call);
    else if (missing.count > 0)
        status =
            error_format(&call->error, call_arena(call), ERROR_VALIDATION,
                         "One or more parameter values were invalid: Global secondary index "
                         "%.*s does not project [%.*s]",
                         BYTES_ARGS(run->target.index->name), BYTES_ARGS(buffer_bytes(&missing)));
    buffer_release(&missing);
    return status;
}

/* The keys that the SELECT is planned by. */
static struct key_schema select_schema(const struct partiql_target *target)
{
    const struct index_schema *index = target->index;
    struct key_schema schema = target->table->schema;
    if (index == NULL)
        return schema;
    schema.partition = index->partition[0];
    schema.sort = index->sort_count > 0 ? index->sort[0] : (struct key_attribute){0};
    return schema;
}

/* Reading an index consumes of the index, and whole items that it led to of the table. */
static void consume_range(struct select_run *run, const struct range_result *result,
                          bool consistent)
{
    uint64_t half_units = units_read_halves(result->scanned_bytes, consistent);
    uint8_t place = run->consumed.index_shown;
    if (place == 0)
        run->consumed.half_units += half_units;
    else
        run->consumed.index_half_units[place - 1] += half_units;
    run->consumed.half_units += result->fetched_half_units;
    run->call->read_half_units = consumed_total(&run->consumed);
}

/* One range, from the position on.  The table is looked up for each, because reading one may wait;
 * while it does the router holds the table that this finds. */
static enum status run_range(struct select_run *run)
{
    struct api_call *call = run->call;
    const struct execute_statement_input *input = call->input.at;
    struct range_result result;
    TRY(call_partiql_target(call, run->statement, &run->target));
    struct range_request request = {
        .kind = run->plan.scan ? RANGE_SCAN : RANGE_QUERY,
        .table = run->target.name,
        .index = run->statement->index,
        .all_attributes = beyond_index(&run->target, run->statement),
        .filter = run->plan.filter,
        .start_key = run->position.last_key,
        .bytes_max = PAGE_BYTES_MAX - run->scanned_bytes,
        .backward = run->plan.backward,
        .consistent = input->consistent_read == MODEL_TRUE,
    };
    if (!run->plan.scan)
        request.key_condition = run->plan.key_conditions[run->position.query];
    if (input->limit.given)
        request.limit = (uint32_t)((uint64_t)input->limit.value - run->scanned_count);
    /* A filter may have whole items read. */
    run->cut = run->target.index != NULL && run->target.index->kind == INDEX_LOCAL &&
               run->statement->columns == NULL && request.filter.code.count > 0;
    TRY(router_range(call->ctx, call_router(call), &request, &run->sink, &result, &call->error));
    consume_range(run, &result, request.consistent);
    run->scanned_count += result.scanned_count;
    run->scanned_bytes += result.scanned_bytes;
    run->position.last_key = result.last_key;
    return STATUS_OK;
}

/* All ranges, until the limit or a page of them is read. */
static enum status run_ranges(struct select_run *run)
{
    const struct execute_statement_input *input = run->call->input.at;
    uint32_t count = run->plan.scan ? 1 : run->plan.query_count;
    for (uint32_t done = 0; run->position.query < count && done < PAGE_QUERIES_MAX; done++) {
        TRY(run_range(run));
        bool limited = input->limit.given && run->scanned_count >= (uint64_t)input->limit.value;
        run->more = value_type(run->position.last_key) != VALUE_NONE;
        if (run->more)
            return STATUS_OK;
        run->position.query++;
        if (limited || run->scanned_bytes >= PAGE_BYTES_MAX)
            break;
    }
    run->more = run->position.query < count;
    return STATUS_OK;
}

static enum status write_items(struct select_run *run)
{
    struct api_call *call = run->call;
    write_name(&call->json, "Items");
    json_write_array_begin(&call->json);
    buffer_init(&run->rows, call->ctx->env->heap, 2 * ITEM_STORED_BYTES_MAX);
    enum status status = run_ranges(run);
    buffer_release(&run->rows);
    json_write_array_end(&call->json);
    return status;
}

static enum status run_select(struct api_call *call, const struct partiql_statement *statement)
{
    const struct execute_statement_input *input = call->input.at;
    struct select_run run = {.sink = {.take = take_item}, .call = call, .statement = statement};
    uint64_t fingerprint = partiql_fingerprint(input->statement, &input->parameters);
    struct inject_item injected = {.item = VALUE_ABSENT};
    TRY(call_table_name(call, statement->table, &injected.table));
    TRY(call_inject_items(call, &injected, 1));
    TRY(call_partiql_target(call, statement, &run.target));
    const struct index_schema *index = run.target.index;
    struct key_schema schema = select_schema(&run.target);
    uint8_t place = index == NULL ? 0 : (uint8_t)(index - run.target.table->indexes + 1);
    run.consumed = (struct consumed){.shown = statement->table,
                                     .table = run.target.name,
                                     .index_count = place,
                                     .index_shown = place};
    TRY(partiql_plan_select(call_arena(call), statement, &schema, &run.plan, &call->error));
    if (index != NULL && index->kind == INDEX_GLOBAL)
        TRY(check_global(&run));
    if (input->next_token.at != NULL)
        TRY(partiql_token_read(call, input->next_token, fingerprint, &run.position));

    call->json.to->owed = false; /* it changes nothing and may answer much */
    json_write_object_begin(&call->json);
    TRY(write_items(&run));
    if (run.more)
        TRY(partiql_token_write(call, fingerprint, &run.position));
    if (value_type(run.position.last_key) != VALUE_NONE) {
        write_name(&call->json, "LastEvaluatedKey");
        item_json_write_map(&call->json, run.position.last_key);
    }
    write_capacity(call, input->return_consumed_capacity, &run.consumed);
    json_write_object_end(&call->json);
    return STATUS_OK;
}

/* ---- INSERT, UPDATE, DELETE ---- */

static enum status run_write(struct api_call *call, const struct partiql_statement *statement)
{
    const struct execute_statement_input *input = call->input.at;
    struct write_request request = {.return_on_failure =
                                        input->return_values_on_failure == ON_FAILURE_ALL_OLD};
    struct write_result result = {0};
    struct partiql_target target;
    if (input->next_token.at != NULL)
        return call_invalid(call, PARTIQL_INVALID_TOKEN);
    TRY(call_partiql_target(call, statement, &target));
    struct consumed consumed = {.shown = statement->table, .table = target.name};
    request.table = target.name;
    TRY(partiql_plan_write(call_arena(call), statement, &target.table->schema, &request,
                           &call->error));
    TRY(call_inject_items(call, &(struct inject_item){request.table, request.item}, 1));
    TRY(call_partiql_write(call, statement->kind, &request, &result, &consumed));

    json_write_object_begin(&call->json);
    write_name(&call->json, "Items");
    json_write_array_begin(&call->json);
    if (partiql_returns(&result))
        item_json_write_map(&call->json, result.attributes);
    json_write_array_end(&call->json);
    write_capacity(call, input->return_consumed_capacity, &consumed);
    json_write_object_end(&call->json);
    return STATUS_OK;
}

enum status api_execute_statement(struct api_call *call)
{
    const struct execute_statement_input *input = call->input.at;
    struct partiql_statement statement;
    TRY(call_partiql(call, input->statement, &input->parameters, &statement));
    if (statement.kind == PARTIQL_EXISTS)
        return call_invalid(call, PARTIQL_EXISTS_ALONE);
    return statement.kind == PARTIQL_SELECT ? run_select(call, &statement)
                                            : run_write(call, &statement);
}
