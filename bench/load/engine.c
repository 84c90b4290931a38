#include "load/engine.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/assert.h"
#include "load/answer.h"
#include "load/schedule.h"

#define EVENTS_MAX       256
#define RECEIVE_FIRST    4096u /* bytes of a connection's buffer at first; it doubles */
#define RECEIVE_MAX      (ANSWER_HEAD_MAX + ANSWER_BODY_MAX)
#define PARSE_ARENA_MAX  (1u << 20)
#define REST_NS          UINT64_C(5000000000) /* how long an open loop waits for what is late */
#define SILENCE_NS       UINT64_C(30000000000)
#define ERROR_BODY_SHOWN 300

struct connection {
    int fd;
    const struct ring_request *request; /* in flight; NULL: idle */
    size_t sent;                        /* bytes of it */
    uint64_t since_ns;                  /* what its latency counts from */
    uint8_t *received;                  /* of the answer */
    size_t received_count, received_capacity;
    struct answer answer; /* valid when head_known */
    bool head_known;
    bool watching_room; /* epoll tells when there is room to send */
};

struct engine {
    const struct engine_options *options;
    struct engine_result *result;
    struct heap *heap;
    struct ring *ring;
    struct arena arena; /* of one parse */
    int poll;
    struct connection *connections;
    struct connection **idle; /* open loop: a queue of connections, first freed first used */
    uint32_t idle_head, idle_count;
    struct schedule schedule;
    uint64_t sent_requests, answered_requests;
    uint64_t start_ns, end_ns; /* of the window */
    uint64_t heard_ns;         /* when the last answer came */
    size_t length_min, length_max;
    bool lost; /* a connection was: the run ends */
};

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static uint64_t now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

static void note_error(struct engine *e, const char *what, struct bytes shown)
{
    e->result->errors++;
    if (e->result->error[0] == 0)
        snprintf(e->result->error, sizeof(e->result->error), "%s: %.*s", what,
                 (int)MIN(shown.count, ERROR_BODY_SHOWN), (const char *)shown.at);
}

static void lose(struct engine *e, const char *why)
{
    e->lost = true;
    note_error(e, why, bytes_of_text(errno != 0 ? strerror(errno) : "closed by the server"));
}

/* ---- Connections ---- */

static bool open_connection(struct engine *e, struct connection *c)
{
    const struct engine_options *options = e->options;
    int one = 1;
    c->fd = socket(options->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return false;
    if (connect(c->fd, (const struct sockaddr *)&options->address, options->address_bytes) != 0)
        return false;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    c->received = heap_alloc(e->heap, RECEIVE_FIRST);
    c->received_capacity = RECEIVE_FIRST;
    return c->received != NULL && epoll_ctl(e->poll, EPOLL_CTL_ADD, c->fd, &event) == 0;
}

static void close_connection(struct engine *e, struct connection *c)
{
    heap_free(e->heap, c->received, c->received_capacity);
    if (c->fd >= 0)
        close(c->fd);
}

static void watch_room(struct engine *e, struct connection *c, bool watch)
{
    if (c->watching_room == watch)
        return;
    struct epoll_event event = {.events = EPOLLIN | (watch ? (uint32_t)EPOLLOUT : 0),
                                .data.ptr = c};
    if (epoll_ctl(e->poll, EPOLL_CTL_MOD, c->fd, &event) != 0)
        lose(e, "epoll_ctl");
    c->watching_room = watch;
}

/* ---- Sending ---- */

static void send_more(struct engine *e, struct connection *c)
{
    struct bytes rest = bytes_after(ring_bytes(e->ring, c->request), c->sent);
    ssize_t count = send(c->fd, rest.at, rest.count, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && errno != EAGAIN && errno != EINTR) {
        lose(e, "send");
        return;
    }
    c->sent += count > 0 ? (size_t)count : 0;
    watch_room(e, c, c->sent < c->request->count);
}

static void start_request(struct engine *e, struct connection *c, uint64_t since_ns)
{
    c->request = ring_take(e->ring);
    c->since_ns = since_ns;
    c->sent = 0;
    c->received_count = 0;
    c->head_known = false;
    e->sent_requests++;
    send_more(e, c);
}

static bool may_send(const struct engine *e, uint64_t now)
{
    uint64_t max = e->options->requests_max;
    return now < e->end_ns && (max == 0 || e->sent_requests < max);
}

static void set_idle(struct engine *e, struct connection *c)
{
    uint32_t count = e->options->connections;
    e->idle[(e->idle_head + e->idle_count) % count] = c;
    e->idle_count++;
}

/* Open loop: send what is due, as long as connections are free.  What is due after the end of the
 * window is never taken. */
static void send_due(struct engine *e)
{
    uint64_t due_ns;
    while (e->idle_count > 0 && e->schedule.due_ns < e->end_ns &&
           schedule_take(&e->schedule, now_ns(), &due_ns)) {
        struct connection *c = e->idle[e->idle_head];
        e->idle_head = (e->idle_head + 1) % e->options->connections;
        e->idle_count--;
        start_request(e, c, due_ns);
    }
}

/* ---- Answers ---- */

static void check_answer(struct engine *e, struct connection *c)
{
    const struct answer *answer = &c->answer;
    struct bytes body = bytes_of(c->received + answer->head_bytes, answer->body_bytes);
    if (answer->status != 200) {
        note_error(e, "the status is not 200", bytes_of(c->received, c->received_count));
        return;
    }
    if (body.count < e->length_min || body.count > e->length_max ||
        c->received_count != answer->head_bytes + body.count) {
        note_error(e, "the length is wrong", body);
        return;
    }
    if (e->answered_requests % e->options->parse_every != 0)
        return;
    e->result->parsed++;
    if (!workload_answer_is_right(c->request->about, body, &e->arena))
        note_error(e, "the content is wrong", body);
    arena_reset(&e->arena);
}

static void finish_request(struct engine *e, struct connection *c)
{
    uint64_t now = now_ns();
    bool open_loop = e->options->rate_per_s > 0;
    uint64_t counted_by = open_loop ? c->since_ns : now;
    check_answer(e, c);
    e->heard_ns = now;
    e->answered_requests++;
    if (now >= e->start_ns && now < e->end_ns)
        e->result->answers++;
    if (counted_by >= e->start_ns && counted_by < e->end_ns)
        latency_record(&e->result->latency, now - c->since_ns);
    c->request = NULL;
    if (open_loop)
        set_idle(e, c);
    else if (may_send(e, now))
        start_request(e, c, now);
}

static bool make_room(struct engine *e, struct connection *c)
{
    if (c->received_count < c->received_capacity)
        return true;
    size_t capacity = c->received_capacity * 2;
    uint8_t *larger = capacity <= RECEIVE_MAX * 2 ? heap_alloc(e->heap, capacity) : NULL;
    if (larger == NULL)
        return false;
    memcpy(larger, c->received, c->received_count);
    heap_free(e->heap, c->received, c->received_capacity);
    c->received = larger;
    c->received_capacity = capacity;
    return true;
}

static void receive_more(struct engine *e, struct connection *c)
{
    errno = 0;
    if (!make_room(e, c)) {
        lose(e, "an answer over every bound");
        return;
    }
    ssize_t count = recv(c->fd, c->received + c->received_count,
                         c->received_capacity - c->received_count, MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (count <= 0 || c->request == NULL) {
        lose(e, count <= 0 ? "recv" : "bytes that no request asked for");
        return;
    }
    c->received_count += (size_t)count;
    if (!c->head_known) {
        struct bytes received = bytes_of(c->received, c->received_count);
        enum answer_state state = answer_read(received, &c->answer);
        if (state == ANSWER_BROKEN) {
            note_error(e, "not an answer that is understood", received);
            e->lost = true;
        }
        c->head_known = state == ANSWER_HEAD;
    }
    if (c->head_known && c->received_count >= c->answer.head_bytes + c->answer.body_bytes)
        finish_request(e, c);
}

/* ---- A run ---- */

/* Never sleeps: waking a sleeper on another core is work of the waker, and with a hypervisor in
 * between a lot of it; it would be counted as the server's. */
static void poll_once(struct engine *e)
{
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(e->poll, events, EVENTS_MAX, 0);
    for (int i = 0; i < count && !e->lost; i++) {
        struct connection *c = events[i].data.ptr;
        if ((events[i].events & EPOLLOUT) != 0 && c->request != NULL)
            send_more(e, c);
        if ((events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
            receive_more(e, c);
    }
}

static bool is_silent(struct engine *e, uint64_t now)
{
    if (now < e->heard_ns + SILENCE_NS)
        return false;
    errno = ETIMEDOUT;
    lose(e, "no answer");
    return true;
}

/* Until `until_ns`, or until all that may be sent was answered. */
static void run_closed(struct engine *e, uint64_t until_ns)
{
    uint64_t now = now_ns();
    while (!e->lost && now < until_ns && !is_silent(e, now)) {
        poll_once(e);
        now = now_ns();
        if (e->options->requests_max > 0 && e->answered_requests >= e->options->requests_max)
            break;
    }
}

static void run_open(struct engine *e, uint64_t until_ns)
{
    while (!e->lost && now_ns() < until_ns) {
        send_due(e);
        poll_once(e);
    }
}

/* After the window: what was due in it is sent and answered, within bounds. */
static void run_rest(struct engine *e)
{
    uint64_t until_ns = e->end_ns + REST_NS;
    uint32_t connections = e->options->connections;
    while (!e->lost && now_ns() < until_ns &&
           (e->schedule.due_ns < e->end_ns || e->idle_count < connections)) {
        send_due(e);
        poll_once(e);
    }
    uint64_t due_ns;
    while (e->schedule.due_ns < e->end_ns && schedule_take(&e->schedule, e->end_ns, &due_ns))
        e->result->unsent++;
    e->result->unsent += connections - e->idle_count; /* sent, and never answered */
}

static void start(struct engine *e)
{
    const struct engine_options *options = e->options;
    uint64_t now = now_ns();
    e->heard_ns = now;
    e->start_ns = now + options->warmup_ns;
    e->end_ns = e->start_ns + options->window_ns;
    schedule_init(&e->schedule, now, options->rate_per_s, options->poisson, options->seed);
    for (uint32_t i = 0; i < options->connections; i++) {
        if (options->rate_per_s > 0)
            set_idle(e, &e->connections[i]);
        else if (may_send(e, now))
            start_request(e, &e->connections[i], now);
    }
}

static void run(struct engine *e)
{
    bool open_loop = e->options->rate_per_s > 0;
    void (*go)(struct engine *, uint64_t) = open_loop ? run_open : run_closed;
    start(e);
    go(e, e->start_ns);
    uint64_t began_ns = now_ns();
    uint64_t server_ns = cpu_used_ns(&e->options->server);
    uint64_t own_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    go(e, e->end_ns);
    e->result->server_cpu_ns = cpu_used_ns(&e->options->server) - server_ns;
    e->result->own_cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - own_ns;
    e->result->window_ns = now_ns() - began_ns;
    if (open_loop)
        run_rest(e);
}

static enum status set_up(struct engine *e)
{
    uint32_t count = e->options->connections;
    e->connections = heap_alloc_zero(e->heap, count * sizeof(*e->connections));
    e->idle = heap_alloc_zero(e->heap, count * sizeof(struct connection *));
    if (e->connections == NULL || e->idle == NULL)
        return STATUS_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++)
        e->connections[i].fd = -1;
    for (uint32_t i = 0; i < count; i++) {
        if (!open_connection(e, &e->connections[i])) {
            lose(e, "connect");
            return STATUS_UNAVAILABLE;
        }
    }
    return STATUS_OK;
}

static void tear_down(struct engine *e)
{
    uint32_t count = e->options->connections;
    for (uint32_t i = 0; e->connections != NULL && i < count; i++)
        close_connection(e, &e->connections[i]);
    heap_free(e->heap, e->connections, count * sizeof(*e->connections));
    heap_free(e->heap, e->idle, count * sizeof(struct connection *));
    arena_release(&e->arena);
    close(e->poll);
}

enum status engine_run(const struct engine_options *options, struct heap *heap, struct ring *ring,
                       struct engine_result *result)
{
    ASSERT(options->connections > 0 && options->connections <= ENGINE_CONNECTIONS_MAX);
    struct engine e = {.options = options, .result = result, .heap = heap, .ring = ring};
    memset(result, 0, sizeof(*result));
    e.poll = epoll_create1(EPOLL_CLOEXEC);
    if (e.poll < 0)
        return STATUS_IO;
    arena_init(&e.arena, heap, PARSE_ARENA_MAX);
    workload_answer_bounds(ring->requests[0].about.operation, &e.length_min, &e.length_max);
    enum status status = set_up(&e);
    if (status == STATUS_OK) {
        run(&e);
        status = e.lost ? STATUS_UNAVAILABLE : STATUS_OK;
    }
    tear_down(&e);
    return status;
}
