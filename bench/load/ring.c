#include "load/ring.h"

static void append(struct ring *ring, struct workload *workload, const struct signer *signer,
                   enum workload_operation operation, uint32_t first, struct buffer *body)
{
    struct ring_request *request = &ring->requests[ring->count];
    buffer_clear(body);
    request->at = ring->bytes.count;
    request->about = workload_append(workload, operation, first, body);
    if (operation == WORKLOAD_PLAIN_GET)
        buffer_append_format(&ring->bytes, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", signer->host);
    else
        signer_append(signer, workload_target(operation), buffer_bytes(body), &ring->bytes);
    request->count = ring->bytes.count - request->at;
    ring->count++;
}

enum status ring_build(struct ring *ring, struct heap *heap, struct workload *workload,
                       const struct signer *signer, enum workload_operation operation,
                       uint32_t count, uint32_t first)
{
    *ring = (struct ring){.heap = heap};
    buffer_init(&ring->bytes, heap, RING_BYTES_MAX);
    ring->requests = heap_alloc(heap, count * sizeof(*ring->requests));
    if (ring->requests == NULL)
        return STATUS_NO_MEMORY;
    struct buffer body;
    buffer_init(&body, heap, WORKLOAD_BODY_MAX);
    for (uint32_t i = 0; i < count; i++)
        append(ring, workload, signer, operation, first + i * WORKLOAD_BATCH, &body);
    bool failed = body.failed || ring->bytes.failed;
    buffer_release(&body);
    if (failed)
        ring_release(ring);
    return failed ? STATUS_NO_MEMORY : STATUS_OK;
}

void ring_release(struct ring *ring)
{
    heap_free(ring->heap, ring->requests, ring->count * sizeof(*ring->requests));
    buffer_release(&ring->bytes);
    ring->count = 0;
}

const struct ring_request *ring_take(struct ring *ring)
{
    const struct ring_request *request = &ring->requests[ring->next];
    ring->next = ring->next + 1 < ring->count ? ring->next + 1 : 0;
    return request;
}

struct bytes ring_bytes(const struct ring *ring, const struct ring_request *request)
{
    return bytes_of(ring->bytes.at + request->at, request->count);
}
