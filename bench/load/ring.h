/* ring.h - requests made and signed ahead of a run, so that making them costs the run nothing.
 *
 * A run walks the ring in order and starts over at its end: the requests are different from each
 * other, and the memory they take is known.  A signature is valid for 15 minutes, longer than any
 * run is allowed to be.
 */
#ifndef LOAD_RING_H
#define LOAD_RING_H

#include <stdint.h>

#include "base/buffer.h"
#include "load/sign.h"
#include "load/workload.h"

#define RING_BYTES_MAX ((size_t)512 << 20)

struct ring_request {
    size_t at; /* of its bytes in the ring's */
    size_t count;
    struct workload_request about;
};

struct ring {
    struct heap *heap;
    struct buffer bytes; /* of all requests, HTTP and all */
    struct ring_request *requests;
    uint32_t count;
    uint32_t next;
};

/* Make `count` requests.  A BatchWriteItem writes the items from `first` on, one batch after the
 * other; the others ignore it.
 *   STATUS_NO_MEMORY  or over RING_BYTES_MAX; nothing is held */
MUST_USE enum status ring_build(struct ring *ring, struct heap *heap, struct workload *workload,
                                const struct signer *signer, enum workload_operation operation,
                                uint32_t count, uint32_t first);
void ring_release(struct ring *ring);

/* The next request; valid until ring_release. */
const struct ring_request *ring_take(struct ring *ring);

struct bytes ring_bytes(const struct ring *ring, const struct ring_request *request);

#endif
