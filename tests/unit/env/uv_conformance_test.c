/* The promises of env.h kept by env/uv: with the system's files, and with files in RAM. */
#include "unit/env/conformance.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "env/uv/uv_env.h"

#define GIVE_UP_NS UINT64_C(60000000000)

struct uv_peer {
    struct conformance_peer peer; /* first */
    struct list link;
    int fd;
    bool connected, paused, finish;
    uint8_t *unsent; /* from `sent` on */
    size_t unsent_count, sent;
};

struct uv_binding {
    bool in_memory;
    struct log log;
    char directory[64];
    struct list peers;
    struct env_task tick;
    struct conformance *c;
    bool (*done)(void *argument);
    void *argument;
    bool was_done;
    uint64_t began_ns;
};

/* ---- The other end: plain sockets, looked after once a turn ---- */

static void peer_send_some(struct uv_peer *peer)
{
    while (peer->sent < peer->unsent_count) {
        ssize_t sent = send(peer->fd, peer->unsent + peer->sent, peer->unsent_count - peer->sent,
                            MSG_NOSIGNAL);
        if (sent <= 0) {
            if (errno != EAGAIN && errno != ENOTCONN)
                peer->sent = peer->unsent_count; /* nobody takes it */
            return;
        }
        peer->sent += (size_t)sent;
    }
    if (peer->finish) {
        shutdown(peer->fd, SHUT_WR);
        peer->finish = false;
    }
}

static void peer_receive_some(struct uv_peer *peer)
{
    while (!peer->paused && !peer->peer.ended) {
        uint8_t bytes[65536];
        ssize_t got = recv(peer->fd, bytes, sizeof(bytes), 0);
        if (got > 0)
            conformance_peer_took(&peer->peer, bytes_of(bytes, (size_t)got));
        else if (got < 0 && (errno == EAGAIN || errno == ENOTCONN))
            return;
        else
            peer->peer.ended = true;
    }
}

static void tick(struct env_task *task)
{
    struct uv_binding *binding = CONTAINER_OF(task, struct uv_binding, tick);
    LIST_FOR_EACH (node, &binding->peers) {
        struct uv_peer *peer = LIST_ITEM(node, struct uv_peer, link);
        peer_send_some(peer);
        peer_receive_some(peer);
    }
    struct env *env = binding->c->env;
    binding->was_done = binding->done(binding->argument);
    if (binding->was_done || env_now_ns(env) - binding->began_ns > GIVE_UP_NS)
        env_uv_stop(env);
    else
        env_defer(env, task);
}

static struct conformance_peer *uv_peer_connect(struct conformance *c, uint16_t port)
{
    struct uv_binding *binding = c->binding;
    struct uv_peer *peer = calloc(1, sizeof(*peer));
    assert_non_null(peer);
    peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(peer->fd >= 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int result = connect(peer->fd, (struct sockaddr *)&address, sizeof(address));
    if (result != 0 && errno != EINPROGRESS)
        peer->peer.ended = true;
    list_push_back(&binding->peers, &peer->link);
    return &peer->peer;
}

static void uv_peer_send(struct conformance *c, struct conformance_peer *common, struct bytes bytes)
{
    (void)c;
    struct uv_peer *peer = (struct uv_peer *)common;
    peer->unsent = realloc(peer->unsent, peer->unsent_count + bytes.count);
    assert_non_null(peer->unsent);
    memcpy(peer->unsent + peer->unsent_count, bytes.at, bytes.count);
    peer->unsent_count += bytes.count;
}

static void uv_peer_pause(struct conformance *c, struct conformance_peer *common)
{
    (void)c;
    ((struct uv_peer *)common)->paused = true;
}

static void uv_peer_resume(struct conformance *c, struct conformance_peer *common)
{
    (void)c;
    ((struct uv_peer *)common)->paused = false;
}

static void uv_peer_finish(struct conformance *c, struct conformance_peer *common)
{
    (void)c;
    ((struct uv_peer *)common)->finish = true;
}

static void uv_peer_close(struct conformance *c, struct conformance_peer *common)
{
    (void)c;
    struct uv_peer *peer = (struct uv_peer *)common;
    list_remove(&peer->link);
    close(peer->fd);
    free(peer->unsent);
    free(peer->peer.received);
    free(peer);
}

/* ---- The binding ---- */

static void log_nothing(void *sink, enum log_level level, struct bytes line)
{
    (void)sink;
    (void)level;
    (void)line;
}

static void create_directory(struct conformance *c)
{
    JOB_CHECK(env_dir_create(c->env, c->directory) == STATUS_OK);
}

static void uv_binding_open(struct conformance *c)
{
    struct uv_binding *binding = c->binding;
    binding->log = (struct log){.write = log_nothing};
    list_init(&binding->peers);
    list_init(&binding->tick.link);
    binding->tick.run = tick;
    binding->c = c;
    struct env_uv_options options = {.log = &binding->log, .in_memory = binding->in_memory};
    assert_int_equal(env_uv_open(&options, &c->env), STATUS_OK);
    c->directory = binding->directory;
    if (binding->in_memory) {
        strcpy(binding->directory, "files");
        run_in_job(c, ENV_LANE_BACKGROUND, create_directory);
    } else {
        strcpy(binding->directory, "/tmp/trine-conformance-XXXXXX");
        assert_non_null(mkdtemp(binding->directory));
    }
}

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *where)
{
    (void)about;
    (void)kind;
    (void)where;
    return remove(path);
}

static void uv_binding_close(struct conformance *c)
{
    struct uv_binding *binding = c->binding;
    assert_true(list_empty(&binding->peers));
    list_remove(&binding->tick.link);
    env_uv_close(c->env);
    if (!binding->in_memory)
        nftw(binding->directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static bool uv_run_until(struct conformance *c, bool (*done)(void *argument), void *argument)
{
    struct uv_binding *binding = c->binding;
    binding->done = done;
    binding->argument = argument;
    binding->was_done = false;
    binding->began_ns = env_now_ns(c->env);
    env_defer(c->env, &binding->tick);
    env_uv_run(c->env);
    return binding->was_done;
}

int main(void)
{
    struct uv_binding binding = {.in_memory = false};
    struct conformance c = {
        .open = uv_binding_open,
        .close = uv_binding_close,
        .run = uv_run_until,
        .peer_connect = uv_peer_connect,
        .peer_send = uv_peer_send,
        .peer_pause = uv_peer_pause,
        .peer_resume = uv_peer_resume,
        .peer_finish = uv_peer_finish,
        .peer_close = uv_peer_close,
        .binding = &binding,
    };
    int failed = conformance_main(&c, "env/uv with the system's files");
    binding.in_memory = true;
    failed += conformance_main(&c, "env/uv with files in RAM");
    return failed;
}
