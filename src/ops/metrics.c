/* metrics.c - every counter of the process in Prometheus' text format (exposition format 0.0.4). */
#include "ops/ops.h"

#include <stdio.h>

#define PRINTED_BOUND_MIN_NS 1000u /* buckets below a microsecond are printed as one */

static void describe(struct buffer *to, const char *name, const char *type, const char *help)
{
    buffer_append_format(to, "# HELP trine_%s %s\n# TYPE trine_%s %s\n", name, help, name, type);
}

static void metric(struct buffer *to, const char *name, const char *type, const char *help,
                   uint64_t value)
{
    describe(to, name, type, help);
    buffer_append_format(to, "trine_%s %llu\n", name, (unsigned long long)value);
}

static void counter(struct buffer *to, const char *name, const char *help, uint64_t value)
{
    metric(to, name, "counter", help, value);
}

static void gauge(struct buffer *to, const char *name, const char *help, uint64_t value)
{
    metric(to, name, "gauge", help, value);
}

/* One histogram; `labels` is "" or "name=\"value\",".  `scale` divides: 1e9 turns nanoseconds into
 * seconds. */
static void histogram(struct buffer *to, const char *name, const char *labels,
                      const struct histogram *h, double scale)
{
    uint64_t seen = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->buckets[i];
        uint64_t bound = histogram_bound(i);
        bool power = (bound & (bound - 1)) == 0; /* one bucket per power of two is printed */
        if (power && (scale == 1 || bound >= PRINTED_BOUND_MIN_NS))
            buffer_append_format(to, "trine_%s_bucket{%sle=\"%.9g\"} %llu\n", name, labels,
                                 (double)bound / scale, (unsigned long long)seen);
    }
    buffer_append_format(to, "trine_%s_bucket{%sle=\"+Inf\"} %llu\n", name, labels,
                         (unsigned long long)h->count);
    size_t length = strlen(labels);
    const char *open = length > 0 ? "{" : "", *close = length > 0 ? "}" : "";
    int shown = length > 0 ? (int)length - 1 : 0; /* without the last comma */
    buffer_append_format(to, "trine_%s_sum%s%.*s%s %.9g\ntrine_%s_count%s%.*s%s %llu\n", name, open,
                         shown, labels, close, (double)h->sum / scale, name, open, shown, labels,
                         close, (unsigned long long)h->count);
}

static void one_histogram(struct buffer *to, const char *name, const char *help,
                          const struct histogram *h, double scale)
{
    describe(to, name, "histogram", help);
    histogram(to, name, "", h, scale);
}

static void write_operations(const struct api *api, struct buffer *to)
{
    describe(to, "operations_total", "counter", "Requests by operation and result.");
    for (uint32_t i = 0; i < api_operation_count(); i++) {
        const struct api_operation_stats *stats = api_operation_stats(api, i);
        for (int r = 0; stats != NULL && r < API_RESULT_COUNT; r++)
            buffer_append_format(
                to, "trine_operations_total{operation=\"%.*s\",result=\"%s\"} %llu\n",
                BYTES_ARGS(api_operation_name(i)), api_result_name((enum api_result)r),
                (unsigned long long)stats->results[r]);
    }
    describe(to, "consumed_capacity_units_total", "counter",
             "Capacity units consumed, by operation and kind.");
    for (uint32_t i = 0; i < api_operation_count(); i++) {
        const struct api_operation_stats *stats = api_operation_stats(api, i);
        if (stats == NULL)
            continue;
        struct bytes name = api_operation_name(i);
        buffer_append_format(
            to, "trine_consumed_capacity_units_total{operation=\"%.*s\",kind=\"read\"} %.1f\n",
            BYTES_ARGS(name), (double)stats->read_half_units / 2);
        buffer_append_format(
            to, "trine_consumed_capacity_units_total{operation=\"%.*s\",kind=\"write\"} %.1f\n",
            BYTES_ARGS(name), (double)stats->write_half_units / 2);
    }
    describe(to, "operation_seconds", "histogram",
             "Time from the last byte of a request to its complete answer.");
    for (uint32_t i = 0; i < api_operation_count(); i++) {
        const struct api_operation_stats *stats = api_operation_stats(api, i);
        if (stats == NULL)
            continue;
        char labels[96];
        struct bytes name = api_operation_name(i);
        snprintf(labels, sizeof(labels), "operation=\"%.*s\",", BYTES_ARGS(name));
        histogram(to, "operation_seconds", labels, &stats->latency_ns, 1e9);
    }
    counter(to, "unnamed_requests_total",
            "Requests that name no operation: refused signatures, unknown targets, health checks.",
            api_unnamed_requests(api));
}

static void write_http(const struct http_server_stats *http, struct buffer *to)
{
    gauge(to, "connections", "Connections of clients, open now.", http->connections);
    gauge(to, "requests_in_flight", "Requests that are being served now.", http->in_flight);
    counter(to, "connections_accepted_total", "Connections accepted.", http->connections_accepted);
    counter(to, "connections_refused_total", "Connections refused at the bound.",
            http->connections_refused);
    counter(to, "connections_timeouts_total", "Connections closed for a slow or silent client.",
            http->connections_timeouts);
    counter(to, "http_requests_total", "Requests that were well-formed HTTP.", http->requests);
    counter(to, "http_malformed_total", "Requests answered with 4xx by the HTTP server itself.",
            http->requests_malformed);
    counter(to, "http_refused_total", "Requests answered with 503 by the HTTP server itself.",
            http->requests_refused);
    counter(to, "http_cancelled_total", "Requests whose client went away before their answer.",
            http->requests_cancelled);
    counter(to, "tls_handshakes_failed_total", "TLS handshakes that failed.",
            http->handshakes_failed);
    counter(to, "received_bytes_total", "Bytes received from clients.", http->bytes_received);
    counter(to, "sent_bytes_total", "Bytes sent to clients.", http->bytes_sent);
}

static void write_log(const struct wal_stats *log, struct buffer *to)
{
    counter(to, "log_records_total", "Records appended to the log.", log->appends);
    counter(to, "log_appended_bytes_total", "Bytes of those records.", log->appended_bytes);
    counter(to, "log_refused_total", "Appends refused at a bound or after a failure.",
            log->refused);
    counter(to, "log_syncs_total", "Syncs of the log completed.", log->syncs);
    counter(to, "log_written_bytes_total", "Bytes written to the log, padding included.",
            log->written_bytes);
    gauge(to, "log_unsynced_bytes", "Bytes gathered or on their way to disk.", log->unsynced_bytes);
    gauge(to, "log_live_bytes", "Bytes of segments that hold the log.", log->live_bytes);
    one_histogram(to, "log_group_records", "Records that one sync covered.", &log->batch_records,
                  1);
    one_histogram(to, "log_sync_seconds", "Time of one write and sync of the log.", &log->sync_ns,
                  1e9);
}

static void write_tree(const struct forest_stats *forest, struct buffer *to)
{
    gauge(to, "cache_frames_max", "Page frames at most.", forest->frames_max);
    gauge(to, "cache_frames", "Page frames with memory.", forest->frames);
    gauge(to, "cache_frames_dirty", "Page frames that wait for a checkpoint.",
          forest->frames_dirty);
    counter(to, "cache_hits_total", "Page look-ups that found a frame.", forest->hits);
    counter(to, "cache_misses_total", "Page look-ups that read the file.", forest->misses);
    counter(to, "cache_evictions_total", "Frames taken from one page for another.",
            forest->evictions);
    counter(to, "corrupt_pages_total", "Pages that failed their check when read.",
            forest->corrupt_pages);
    counter(to, "pages_written_total", "Pages written to the tree file.", forest->pages_written);
    gauge(to, "tree_pages", "Pages of the tree file.", forest->pages);
    gauge(to, "tree_pages_free", "Free pages of the tree file.", forest->pages_free);
    counter(to, "checkpoints_total", "Checkpoints completed.", forest->checkpoints);
    counter(to, "checkpoint_failures_total", "Checkpoints that failed.",
            forest->checkpoint_failures);
    one_histogram(to, "checkpoint_seconds", "Time of one checkpoint.", &forest->checkpoint_ns, 1e9);
    one_histogram(to, "page_read_seconds", "Time to read a cold page.", &forest->read_ns, 1e9);
}

static void write_node(const struct node *node, struct buffer *to)
{
    const struct node_stats *stats = node_stats(node);
    gauge(to, "replicas", "Replicas on this node.", stats->replicas);
    counter(to, "proposals_total", "Log entries proposed.", stats->proposals);
    counter(to, "commits_total", "Log entries committed.", stats->commits);
    counter(to, "applied_total", "Log entries applied to the trees.", stats->applied);
    counter(to, "apply_failures_total", "Batches of entries that had to be applied again.",
            stats->apply_failures);
    gauge(to, "overlay_bytes", "Bytes of entries that are not yet applied.", stats->overlay_bytes);
    counter(to, "overlay_waits_total", "Writes that waited for the apply.", stats->overlay_waits);
    counter(to, "condition_failures_total", "Writes whose condition did not hold.",
            stats->condition_failures);
    counter(to, "ttl_deleted_items_total", "Items deleted because their time had come.",
            stats->expired);
    counter(to, "ttl_rows_total", "Rows looked at that say when items expire.",
            stats->expiries_seen);
    counter(to, "change_records_kept_total", "Records of changes that were kept.",
            stats->changes_kept);
    counter(to, "change_records_trimmed_total", "Records of changes that were trimmed.",
            stats->changes_trimmed);
    struct collection_size changes = node_changes_size(node);
    gauge(to, "change_record_rows", "Rows that records of changes take.", changes.count);
    gauge(to, "change_record_bytes", "Bytes of those rows.", changes.bytes);
    gauge(to, "intents", "Items that a transaction is prepared on, now.", stats->intents);
    counter(to, "transaction_conflicts_total",
            "Writes and transactions refused because a transaction was under way on their item.",
            stats->conflicts);
    counter(to, "unknown_outcomes_total", "Writes that ended without a known outcome.",
            stats->unknown_outcomes);
    one_histogram(to, "commit_seconds", "Time from a proposal to its commit.", &stats->commit_ns,
                  1e9);
    write_log(node_wal_stats(node), to);
    struct forest_stats forest = node_forest_stats(node);
    write_tree(&forest, to);
}

/* Of halves of units, with one decimal. */
static void tokens(struct buffer *to, const char *name, const char *kind, int64_t tokens)
{
    buffer_append_format(to, "trine_%s{kind=\"%s\"} %.1f\n", name, kind, (double)tokens / 2);
}

static void write_throttled(const struct router_stats *stats, enum throttle_resource resource,
                            enum admission_kind kind, enum throttle_limit limit, struct buffer *to)
{
    buffer_append_format(to, "trine_throttled_total{reason=\"%s\"} %llu\n",
                         router_throttle_reason(resource, kind, limit),
                         (unsigned long long)stats->throttled[resource][kind][limit]);
}

static void write_throttling(const struct router *router, const struct node *node,
                             struct buffer *to)
{
    static const char *const kinds[] = {[ADMISSION_READ] = "read", [ADMISSION_WRITE] = "write"};
    const struct router_stats *stats = router_stats(router);
    struct node_tokens levels = node_tokens(node);
    describe(to, "throttled_total", "counter",
             "Items and pages refused for what a table or an index may consume, by reason; those "
             "that a batch "
             "left unprocessed too.");
    for (int resource = 0; resource < THROTTLE_RESOURCES; resource++) {
        for (int kind = 0; kind < ADMISSION_KINDS; kind++) {
            for (int limit = 0; limit < THROTTLE_LIMITS; limit++)
                write_throttled(stats, (enum throttle_resource)resource, (enum admission_kind)kind,
                                (enum throttle_limit)limit, to);
        }
    }
    describe(to, "node_spare_units", "gauge",
             "Capacity units that bursts may take from the node now; below 0: a debt.");
    for (int kind = 0; kind < ADMISSION_KINDS; kind++)
        tokens(to, "node_spare_units", kinds[kind], levels.node[kind]);
    describe(to, "partition_units_least", "gauge",
             "Capacity units left, bursts included, of the partition that has the fewest of those "
             "that are held to a share; below 0: a debt.");
    for (int kind = 0; kind < ADMISSION_KINDS; kind++) {
        if (levels.partition_least[kind] != INT64_MAX)
            tokens(to, "partition_units_least", kinds[kind], levels.partition_least[kind]);
    }
}

static void write_departed(const struct router *router, struct buffer *to)
{
    const struct router_stats *stats = router_stats(router);
    gauge(to, "departed_tables", "Deleted tables of which streams can still be read.",
          router_departed_tables(router));
    counter(to, "departed_tables_total", "Tables that were deleted, and their streams stayed.",
            stats->departed);
    counter(to, "departed_tables_early_total",
            "Those of them whose streams went before their 24 hours were over.",
            stats->departed_early);
}

static void write_transactions(const struct router *router, struct buffer *to)
{
    struct transaction_stats stats = router_transaction_stats(router);
    const struct {
        const char *end;
        uint64_t count;
    } ends[] = {{"one_round", stats.one_round},
                {"two_phases", stats.two_phase},
                {"replayed", stats.replayed},
                {"cancelled", stats.cancelled},
                {"unknown", stats.unknown}};
    gauge(to, "transactions", "Transactions of several partitions, and recoveries, that run now.",
          stats.running);
    describe(to, "transactions_total", "counter",
             "TransactWriteItems, by how they ended: committed by one partition alone or by "
             "several, answered by their token, cancelled, or answered without knowing.");
    for (size_t i = 0; i < ARRAY_COUNT(ends); i++)
        buffer_append_format(to, "trine_transactions_total{end=\"%s\"} %llu\n", ends[i].end,
                             (unsigned long long)ends[i].count);
    counter(to, "transaction_recoveries_total",
            "Transactions that were taken up because their coordinator did not end them.",
            stats.recoveries);
}

static void write_indexes(const struct propagator *propagator, struct buffer *to)
{
    const struct propagator_stats *stats = propagator_stats(propagator);
    counter(to, "index_changes_total", "Changes of items taken into global indexes.",
            stats->changes);
    counter(to, "index_rows_total", "Rows that these put into or took out of global indexes.",
            stats->rows);
    counter(to, "index_backfilled_total", "Rows of items that were there before their index.",
            stats->backfilled);
    counter(to, "index_failures_total", "Attempts at that to be made again.", stats->failures);
    counter(to, "index_waits_total",
            "Times that changes had to wait because their index had no write capacity left.",
            stats->waits);
    gauge(to, "index_pumps_holding",
          "Pumps for which their partition refuses writes that would change the index.",
          stats->holding);
    gauge(to, "index_pumps", "Partitions of tables, for each of their global indexes.",
          stats->pumps);
    gauge(to, "index_pumps_active", "Those of them that have something to do.", stats->active);
    one_histogram(to, "index_lag_seconds",
                  "Time from the write of the oldest change of a batch until the index has it.",
                  &stats->lag_ns, 1e9);
}

static void write_env(struct env *env, struct buffer *to)
{
    static const char *const lanes[] = {"log", "read", "background"};
    one_histogram(to, "loop_turn_seconds", "Length of one turn of the event loop.",
                  &env->stats.turn_ns, 1e9);
    describe(to, "lane_seconds", "histogram", "Time of blocking work, by lane.");
    for (int lane = 0; lane < ENV_LANE_COUNT; lane++) {
        char labels[32];
        snprintf(labels, sizeof(labels), "lane=\"%s\",", lanes[lane]);
        histogram(to, "lane_seconds", labels, &env->stats.lane_ns[lane], 1e9);
    }
    describe(to, "lane_refused_total", "counter", "Work refused at a lane's bound.");
    for (int lane = 0; lane < ENV_LANE_COUNT; lane++)
        buffer_append_format(to, "trine_lane_refused_total{lane=\"%s\"} %llu\n", lanes[lane],
                             (unsigned long long)env->stats.lane_busy[lane]);
    struct fiber_pool_stats fibers = fiber_pool_stats(env);
    gauge(to, "fibers", "Flows that run or wait now.", fibers.live);
    counter(to, "fibers_refused_total", "Flows refused at the bound.", fibers.refused);
    gauge(to, "heap_bytes", "Memory taken from the heap; for pages, 32 MiB ahead of their use.",
          env->heap->bytes_used);
}

static void write_budget(const struct budget *budget, struct buffer *to)
{
    gauge(to, "request_memory_max_bytes", "Memory for requests and answers, at most.",
          budget->max_bytes);
    gauge(to, "request_memory_bytes", "Memory that requests and answers have now.",
          budget->used_bytes);
    counter(to, "request_memory_refused_total",
            "Times that a request needed more memory than there was, and was refused.",
            budget->refused);
}

void ops_write_metrics(const struct ops *ops, struct buffer *to)
{
    describe(to, "info", "gauge", "The version of this process.");
    buffer_append_format(to, "trine_info{version=\"" TRINE_VERSION "\"} 1\n");
    gauge(to, "uptime_seconds", "Time since the start.",
          (env_now_ns(ops->env) - ops->started_ns) / UINT64_C(1000000000));
    write_env(ops->env, to);
    if (ops->budget != NULL)
        write_budget(ops->budget, to);
    if (ops->http != NULL)
        write_http(http_server_stats(ops->http), to);
    if (ops->api != NULL)
        write_operations(ops->api, to);
    if (ops->router != NULL)
        write_throttling(ops->router, ops->node, to);
    if (ops->router != NULL)
        write_transactions(ops->router, to);
    if (ops->router != NULL)
        write_departed(ops->router, to);
    if (ops->node != NULL)
        write_node(ops->node, to);
    if (ops->propagator != NULL)
        write_indexes(ops->propagator, to);
}
