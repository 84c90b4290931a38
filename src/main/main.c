/* main.c - the command line: trine serve. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "env/fiber.h"
#include "env/uv/uv_env.h"
#include "main/arguments.h"
#include "main/server.h"

#define EXIT_USAGE 2

/* The running process: what its callbacks need. */
struct process {
    struct env *env;
    struct server *server;
    const struct arguments *arguments;
    enum status status;
    uint32_t signals;
};

static void write_line(void *sink, enum log_level level, struct bytes line)
{
    (void)sink;
    (void)level;
    struct timespec now;
    struct tm utc;
    char stamp[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &utc);
    fprintf(stderr, "%s.%03ldZ %.*s\n", stamp, now.tv_nsec / 1000000, BYTES_ARGS(line));
}

#define URL_BYTES 300

static void format_url(char url[URL_BYTES], const char *scheme, const char *host, uint16_t port)
{
    const char *format = strchr(host, ':') != NULL ? "%s://[%s]:%u" : "%s://%s:%u";
    snprintf(url, URL_BYTES, format, scheme, host, port);
}

static void print_examples(const char *url, bool any_key)
{
    printf(
        "Try, in another shell, with the AWS CLI (%s):\n"
        "  export AWS_DEFAULT_REGION=us-east-1%s\n"
        "  aws --endpoint-url %s dynamodb create-table --table-name Greetings "
        "--billing-mode PAY_PER_REQUEST --attribute-definitions AttributeName=Who,AttributeType=S "
        "--key-schema AttributeName=Who,KeyType=HASH\n"
        "  aws --endpoint-url %s dynamodb put-item --table-name Greetings "
        "--item '{\"Who\": {\"S\": \"world\"}, \"Text\": {\"S\": \"hello\"}}'\n"
        "  aws --endpoint-url %s dynamodb scan --table-name Greetings\n",
        any_key ? "any region and any key will do" : "with a key that it knows",
        any_key ? " AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any" : "", url, url, url);
}

static void on_ready(void *owner, struct server *server)
{
    const struct process *process = owner;
    const struct server_options *options = &process->arguments->server;
    char url[URL_BYTES];
    format_url(url, options->certificate.count > 0 ? "https" : "http", options->host,
               server_port(server));
    printf("Trine " TRINE_VERSION " is ready: %s (%s%s)\n", url,
           options->in_memory ? "in memory: a stop loses everything" : "data in ",
           options->in_memory ? "" : options->data_dir);
    if (server_admin_port(server) != 0) {
        char admin_url[URL_BYTES];
        format_url(admin_url, "http", options->admin_host, server_admin_port(server));
        printf("Metrics and health: %s/metrics /live /ready\n", admin_url);
    }
    if (process->arguments->examples)
        print_examples(url, options->credentials.count == 0);
    fflush(stdout);
}

static void on_stopped(void *owner, enum status status, const char *why)
{
    struct process *process = owner;
    process->server = NULL;
    process->status = status;
    if (status != STATUS_OK)
        fprintf(stderr, "trine: %s\n", why);
    env_uv_stop(process->env);
}

/* The first signal stops cleanly; a second one does not wait. */
static void on_signal(void *owner, int signal_number)
{
    struct process *process = owner;
    if (++process->signals > 1)
        _Exit(128 + signal_number);
    if (process->server != NULL)
        server_stop(process->server);
}

static int serve(const struct arguments *arguments)
{
    static const struct server_events events = {.on_ready = on_ready, .on_stopped = on_stopped};
    struct log log = {.level_max = arguments->log_level, .write = write_line};
    struct process process = {.arguments = arguments};
    struct env_uv_options options = {.log = &log,
                                     .in_memory = arguments->server.in_memory,
                                     .on_signal = on_signal,
                                     .owner = &process};
    struct server *server;
    process.status = STATUS_UNAVAILABLE; /* until on_stopped says otherwise */
    enum status status = env_uv_open(&options, &process.env);
    if (status != STATUS_OK) {
        fprintf(stderr, "trine: cannot start: %s\n", status_text(status));
        return EXIT_FAILURE;
    }
    status = fiber_pool_open(process.env, SERVER_FIBERS_MAX, SERVER_STACK_BYTES);
    if (status == STATUS_OK)
        status = server_start(process.env, &arguments->server, &events, &process, &server);
    if (status != STATUS_OK) {
        fprintf(stderr, "trine: cannot start: %s\n", status_text(status));
    } else if (process.status == STATUS_UNAVAILABLE) {
        process.server = server;
        env_uv_run(process.env);
    }
    fiber_pool_close(process.env);
    env_uv_close(process.env);
    return process.status == STATUS_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- Files that the command line names ---- */

#define FILE_BYTES_MAX (UINT64_C(4) << 20)

/* Read a whole file; `secret`: others must not be able to read it.  Says what is wrong and returns
 * false. */
static bool read_file(const char *path, bool secret, struct bytes *content)
{
    if (path == NULL)
        return true;
    FILE *file = fopen(path, "re");
    struct stat stat;
    if (file == NULL || fstat(fileno(file), &stat) != 0) {
        fprintf(stderr, "trine: cannot read %s: %s\n", path, strerror(errno));
        if (file != NULL)
            fclose(file);
        return false;
    }
    const char *fault = NULL;
    if (secret && (stat.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        fault = "it holds secrets, and others can read or write it; chmod 600 it";
    else if (stat.st_size <= 0 || (uint64_t)stat.st_size > FILE_BYTES_MAX)
        fault = "it is empty or too large";
    uint8_t *bytes = fault == NULL ? malloc((size_t)stat.st_size) : NULL;
    if (bytes != NULL && fread(bytes, 1, (size_t)stat.st_size, file) != (size_t)stat.st_size)
        fault = "it cannot be read whole";
    fclose(file);
    if (fault != NULL || bytes == NULL) {
        fprintf(stderr, "trine: cannot use %s: %s\n", path,
                fault != NULL ? fault : "out of memory");
        free(bytes);
        return false;
    }
    *content = bytes_of(bytes, (size_t)stat.st_size);
    return true;
}

static void free_content(struct bytes content)
{
    free((void *)(uintptr_t)content.at);
}

int main(int count, char **words)
{
    struct arguments arguments;
    switch (arguments_parse(count, words, &arguments)) {
    case ARGUMENTS_FAULT:
        fprintf(stderr, "trine: %s\nSee 'trine %s%s--help'.\n", arguments.fault,
                arguments.serving ? "serve" : "", arguments.serving ? " " : "");
        return EXIT_USAGE;
    case ARGUMENTS_TEXT:
        fputs(arguments.text, stdout);
        return EXIT_SUCCESS;
    case ARGUMENTS_SERVE:
        break;
    }
    struct server_options *server = &arguments.server;
    int result = EXIT_USAGE;
    if (read_file(arguments.credentials_path, true, &server->credentials) &&
        read_file(arguments.certificate_path, false, &server->certificate) &&
        read_file(arguments.private_key_path, true, &server->private_key))
        result = serve(&arguments);
    free_content(server->credentials);
    free_content(server->certificate);
    free_content(server->private_key);
    return result;
}
