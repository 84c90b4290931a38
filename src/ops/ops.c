#include "ops/ops.h"

static void answer(struct http_response *response, int status, const char *text)
{
    response->status = status;
    response->content_type = BYTES("text/plain; charset=utf-8");
    buffer_append_format(&response->body, "%s\n", text);
}

static void answer_ready(const struct ops *ops, struct http_response *response)
{
    if (ops->draining) {
        answer(response, 503, "draining");
        return;
    }
    if (ops->node == NULL || ops->http == NULL) {
        answer(response, 503, "recovering");
        return;
    }
    enum status writable = node_writable(ops->node);
    if (writable == STATUS_OK) {
        answer(response, 200, "ready");
        return;
    }
    response->status = 503;
    response->content_type = BYTES("text/plain; charset=utf-8");
    buffer_append_format(&response->body, "not writable: %s\n", status_text(writable));
}

void ops_handle(struct context *ctx, void *argument, const struct http_request *request,
                struct http_response *response)
{
    const struct ops *ops = argument;
    if (bytes_start_with(request->path, BYTES(TESTING_PATH))) {
        testing_handle(ctx, ops->testing, request, response);
    } else if (request->verb != HTTP_VERB_GET && request->verb != HTTP_VERB_HEAD) {
        answer(response, 405, "only GET");
    } else if (bytes_equal(request->path, BYTES("/metrics"))) {
        response->content_type = BYTES("text/plain; version=0.0.4; charset=utf-8");
        ops_write_metrics(ops, &response->body);
    } else if (bytes_equal(request->path, BYTES("/live"))) {
        answer(response, 200, "live");
    } else if (bytes_equal(request->path, BYTES("/ready"))) {
        answer_ready(ops, response);
    } else {
        answer(response, 404, "there is /metrics, /live and /ready");
    }
}
