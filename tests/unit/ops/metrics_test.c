/* The metrics are Prometheus' text format: HELP and TYPE before the samples of a metric, each name
 * once, buckets cumulative. */
#include "unit/cmocka_headers.h"

#include <stdio.h>
#include <stdlib.h>

#include "env/sim/sim_env.h"
#include "ops/ops.h"
#include "router/router.h"

#define METRICS_MAX 256u
#define LINES_MAX   8192u

struct fixture {
    struct env *env;
    struct node *node;
    struct router *router;
    struct api *api;
    const char *wrong;
    bool done;
    void (*body)(struct context *ctx, struct fixture *f);
};

static void make_dir(struct env_job *job)
{
    if (env_dir_create(job->env, "data") == STATUS_OK && env_dir_sync(job->env, ".") == STATUS_OK)
        return;
}

static void nothing(void *owner)
{
    (void)owner;
}

static void open_body(struct context *ctx, struct fixture *f)
{
    struct env_job job = {.lane = ENV_LANE_BACKGROUND, .run = make_dir};
    list_init(&job.link);
    struct node_options node = {.dir = "data", .node_id = 1};
    enum status status = context_run_job(ctx, &job);
    if (status == STATUS_OK)
        status = node_open(ctx, &node, &f->node);
    if (status == STATUS_OK) {
        struct router_options router = {.service = node_service(f->node),
                                        .on_demand_partitions = 1,
                                        .on_tables_changed = nothing};
        status = router_open(ctx, &router, &f->router);
    }
    if (status == STATUS_OK) {
        struct api_options api = {
            .region = BYTES("r"), .account = BYTES("000000000000"), .router = f->router};
        status = api_open(f->env, &api, &f->api);
    }
    if (status != STATUS_OK)
        f->wrong = status_text(status);
}

static void close_body(struct context *ctx, struct fixture *f)
{
    api_close(f->api);
    router_close(f->router);
    if (node_close(ctx, f->node) != STATUS_OK)
        f->wrong = "close";
}

static void fiber(struct context *ctx, void *argument)
{
    struct fixture *f = argument;
    f->body(ctx, f);
    f->done = true;
}

static void run(struct sim *sim, struct fixture *f,
                void (*body)(struct context *ctx, struct fixture *f))
{
    struct fiber_options options = {.arena_bytes_max = 8u << 20, .deadline_ns = UINT64_MAX};
    f->done = false;
    f->body = body;
    assert_int_equal(fiber_spawn(f->env, &options, fiber, f), STATUS_OK);
    while (!f->done)
        assert_true(sim_step(sim));
    if (f->wrong != NULL)
        fail_msg("%s", f->wrong);
}

/* ---- The format ---- */

struct metric {
    char name[64];
    bool helped, typed, histogram, ended;
};

struct page {
    struct metric metrics[METRICS_MAX];
    uint32_t count;
    char *lines[LINES_MAX];
    uint32_t line_count;
    char series[256]; /* name and labels but `le` of the histogram that is being read */
    uint64_t seen;    /* in its last bucket */
    double bound;
};

static struct metric *metric_of(struct page *page, const char *name, size_t length)
{
    for (uint32_t i = 0; i < page->count; i++)
        if (strlen(page->metrics[i].name) == length &&
            memcmp(page->metrics[i].name, name, length) == 0)
            return &page->metrics[i];
    return NULL;
}

static void check_comment(struct page *page, const char *line)
{
    char what[8], name[64], rest[256];
    assert_int_equal(sscanf(line, "# %7s %63s %255[^\n]", what, name, rest), 3);
    struct metric *metric = metric_of(page, name, strlen(name));
    if (strcmp(what, "HELP") == 0) {
        assert_null(metric); /* each name once */
        assert_true(page->count < METRICS_MAX);
        if (page->count > 0)
            page->metrics[page->count - 1].ended = true;
        metric = &page->metrics[page->count++];
        *metric = (struct metric){.helped = true};
        memcpy(metric->name, name, sizeof(name));
        return;
    }
    assert_string_equal(what, "TYPE");
    assert_non_null(metric);
    assert_true(metric->helped && !metric->typed && !metric->ended);
    metric->typed = true;
    metric->histogram = strcmp(rest, "histogram") == 0;
    assert_true(metric->histogram || strcmp(rest, "counter") == 0 || strcmp(rest, "gauge") == 0);
    size_t length = strlen(name);
    if (strcmp(rest, "counter") == 0) /* its name says so */
        assert_true(length > 6 && strcmp(name + length - 6, "_total") == 0);
}

static void check_bucket(struct page *page, const char *labels, uint64_t value)
{
    const char *le = strstr(labels, "le=\"");
    assert_non_null(le);
    double bound = strncmp(le + 4, "+Inf", 4) == 0 ? 1e300 : strtod(le + 4, NULL);
    char series[256];
    snprintf(series, sizeof(series), "%s %.*s", page->metrics[page->count - 1].name,
             (int)(le - labels), labels);
    if (strcmp(series, page->series) != 0) {
        memcpy(page->series, series, sizeof(series));
        page->seen = 0;
        page->bound = -1;
    }
    assert_true(bound > page->bound);
    assert_true(value >= page->seen); /* cumulative */
    page->bound = bound;
    page->seen = value;
}

static void check_sample(struct page *page, const char *line)
{
    size_t length = strcspn(line, "{ ");
    const char *value = strrchr(line, ' ');
    char *end;
    assert_non_null(value);
    double number = strtod(value + 1, &end);
    assert_true(end != value + 1 && *end == 0 && number >= 0);
    struct metric *metric = metric_of(page, line, length);
    if (metric == NULL) {
        static const char *const parts[] = {"_bucket", "_sum", "_count"};
        for (int i = 0; i < 3 && metric == NULL; i++) {
            size_t part = strlen(parts[i]);
            if (length <= part || memcmp(line + length - part, parts[i], part) != 0)
                continue;
            metric = metric_of(page, line, length - part);
            assert_non_null(metric);
            assert_true(metric->histogram);
            if (i == 0)
                check_bucket(page, line + length, strtoull(value + 1, NULL, 10));
            if (i == 2) {
                assert_true(page->bound > 1e299); /* after +Inf */
                assert_true(strtoull(value + 1, NULL, 10) == page->seen);
            }
        }
    }
    assert_non_null(metric);
    assert_true(metric->typed && !metric->ended);
    for (uint32_t i = 0; i < page->line_count; i++) { /* no sample twice */
        const char *other = strrchr(page->lines[i], ' ');
        assert_false(other - page->lines[i] == value - line &&
                     memcmp(page->lines[i], line, (size_t)(value - line)) == 0);
    }
    assert_true(page->line_count < LINES_MAX);
    page->lines[page->line_count++] = (char *)(uintptr_t)line;
}

static void check_page(struct buffer *text)
{
    struct page *page = calloc(1, sizeof(*page));
    buffer_append_u8(text, 0);
    assert_false(text->failed);
    char *line = (char *)text->at;
    while (*line != 0) {
        char *end = strchr(line, '\n');
        assert_non_null(end); /* also after the last */
        *end = 0;
        if (line[0] == '#')
            check_comment(page, line);
        else
            check_sample(page, line);
        line = end + 1;
    }
    assert_true(page->count >= 8);
    for (uint32_t i = 0; i < page->count; i++)
        assert_true(page->metrics[i].typed);
    free(page);
}

static void metrics_are_well_formed(void **state)
{
    (void)state;
    struct sim_options options = sim_options_from_seed(2);
    struct sim *sim = sim_create(&options);
    struct sim_node *machine = sim_node_create(sim, "n1");
    struct fixture f = {.env = sim_node_start(machine)};
    assert_int_equal(fiber_pool_open(f.env, 16, 256u << 10), STATUS_OK);
    struct ops ops = {.env = f.env, .started_ns = env_now_ns(f.env)};
    struct buffer text;
    buffer_init(&text, f.env->heap, 4u << 20);
    ops_write_metrics(&ops, &text); /* while it starts: only what there is */
    check_page(&text);
    run(sim, &f, open_body);
    ops.node = f.node;
    ops.api = f.api;
    buffer_clear(&text);
    ops_write_metrics(&ops, &text);
    check_page(&text);
    buffer_release(&text);
    run(sim, &f, close_body);
    fiber_pool_close(f.env);
    assert_int_equal(sim_node_stop(machine), 0);
    sim_free(sim);
}

/* ---- Live and ready ---- */

static void answers(struct ops *ops, enum http_verb verb, const char *path, int status,
                    const char *body)
{
    struct http_request request = {.verb = verb, .path = bytes_of_text(path)};
    struct http_response response = {.status = 200};
    struct heap heap;
    heap_init(&heap, false);
    buffer_init(&response.body, &heap, 1u << 20);
    ops_handle(NULL, ops, &request, &response);
    assert_int_equal(response.status, status);
    assert_true(bytes_equal(buffer_bytes(&response.body), bytes_of_text(body)));
    buffer_release(&response.body);
}

static void readiness_says_why_not(void **state)
{
    (void)state;
    struct ops ops = {0};
    answers(&ops, HTTP_VERB_GET, "/live", 200, "live\n");
    answers(&ops, HTTP_VERB_GET, "/ready", 503, "recovering\n");
    ops.draining = true;
    answers(&ops, HTTP_VERB_GET, "/ready", 503, "draining\n");
    answers(&ops, HTTP_VERB_GET, "/live", 200, "live\n");
    answers(&ops, HTTP_VERB_POST, "/live", 405, "only GET\n");
    answers(&ops, HTTP_VERB_GET, "/", 404, "there is /metrics, /live and /ready\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metrics_are_well_formed),
        cmocka_unit_test(readiness_says_why_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
