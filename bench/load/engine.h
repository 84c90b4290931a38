/* engine.h - send the requests of a ring over some connections, and measure the answers.
 *
 * Closed loop: every connection sends its next request when its answer has come; the latency of a
 * request counts from its sending.  Open loop: requests are due by a schedule, whatever the server
 * does; one that is due while all connections are busy waits for the first to be free, and its
 * latency counts from the time it was due, the wait included.
 *
 * A run has a warm-up, which is not counted, a window, which is, and in the open loop a rest, in
 * which requests that were due in the window are still sent and answered.  One thread over epoll,
 * which never sleeps: it is on time, and the server has nobody to wake.
 */
#ifndef LOAD_ENGINE_H
#define LOAD_ENGINE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/heap.h"
#include "load/cpu.h"
#include "load/latency.h"
#include "load/ring.h"

#define ENGINE_CONNECTIONS_MAX 20000u

struct engine_options {
    struct sockaddr_storage address;
    socklen_t address_bytes;
    uint32_t connections; /* 1..ENGINE_CONNECTIONS_MAX */
    uint64_t warmup_ns;
    uint64_t window_ns;
    uint64_t requests_max; /* closed loop: stop after so many; 0: no such bound */
    uint64_t rate_per_s;   /* open loop; 0: closed */
    bool poisson;          /* open loop: independent arrivals instead of even ones */
    uint64_t seed;
    uint32_t parse_every; /* parse one answer in so many whole; each one's status and length is
                             checked */
    struct cpu server;
};

struct engine_result {
    uint64_t answers; /* that came in the window, right or wrong */
    uint64_t errors;  /* answers that were not right, at any time; see below */
    uint64_t unsent;  /* open loop: due in the window and never sent */
    uint64_t parsed;  /* answers that were parsed whole */
    uint64_t window_ns;
    uint64_t server_cpu_ns; /* used in the window */
    uint64_t own_cpu_ns;
    struct latency latency; /* of the requests that count */
    char error[512];        /* the first wrong answer; empty without one */
};

/*   STATUS_UNAVAILABLE  no connection could be opened, or one was lost: result->error says so
 *   STATUS_NO_MEMORY    STATUS_IO */
MUST_USE enum status engine_run(const struct engine_options *options, struct heap *heap,
                                struct ring *ring, struct engine_result *result);

#endif
