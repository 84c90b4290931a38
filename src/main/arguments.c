#include "main/arguments.h"

#include <stdarg.h>
#include <stdio.h>

#include "metadata/table.h"
#include "router/propagator.h"

#define VERSION_TEXT "trine " TRINE_VERSION "\n"

#define HELP                                                                                       \
    "trine - DynamoDB, self-hosted\n"                                                              \
    "\n"                                                                                           \
    "usage: trine serve [options]     run a server\n"                                              \
    "       trine --help | --version\n"                                                            \
    "\n"                                                                                           \
    "'trine serve --help' lists its options.\n"

#define SERVE_HELP                                                                                 \
    "usage: trine serve [options]\n"                                                               \
    "\n"                                                                                           \
    "Where\n"                                                                                      \
    "  --listen HOST:PORT        endpoint for clients (127.0.0.1:8000; port 0: any free one)\n"    \
    "  --admin HOST:PORT         /metrics, /live and /ready; HOST may be left out (127.0.0.1)\n"   \
    "  --admin-testing           on it, for tests: reset, snapshots, errors, the clock, expiry\n"  \
    "  --data DIR                where the data is (./trine-data)\n"                               \
    "  --in-memory               keep all data in memory; a stop loses it\n"                       \
    "  --seed DIR                before it is ready, create tables of DIR/*.table.json and load\n" \
    "                            DIR/*.jsonl or exports; tables that are there are left alone\n"   \
    "\n"                                                                                           \
    "Who may ask\n"                                                                                \
    "  --credentials FILE        lines of ACCESS_KEY SECRET_KEY; signatures are verified.\n"       \
    "                            Without it any key and signature is accepted, and the server\n"   \
    "                            listens on loopback only\n"                                       \
    "  --accept-any-credentials  without --credentials, listen on other addresses all the same\n"  \
    "  --tls-cert FILE           PEM certificate chain, with --tls-key: HTTPS\n"                   \
    "  --tls-key FILE            its PEM private key\n"                                            \
    "\n"                                                                                           \
    "How it looks to clients\n"                                                                    \
    "  --region NAME             region in ARNs (us-east-1)\n"                                     \
    "  --account ID              account in ARNs, 12 digits (000000000000)\n"                      \
    "  --on-demand-partitions N  partitions of a new on-demand table (1)\n"                        \
    "  --ttl-sweep-interval S    expired items are deleted this often (60)\n"                      \
    "  --index-delay MS          a change is this old before a global index has it (0)\n"          \
    "  --status-delay MS         tables stay CREATING, UPDATING, DELETING this much longer (0)\n"  \
    "\n"                                                                                           \
    "Throttling (of provisioned tables, and of on-demand tables that have maximums)\n"             \
    "  --no-throttling           throttle nothing\n"                                               \
    "  --throttle-all            also what the service throttles beyond what a table says:\n"      \
    "                            partitions of on-demand tables, calls for tags and limits\n"      \
    "\n"                                                                                           \
    "Limits and repair\n"                                                                          \
    "  --cache MIB               memory for pages of the tree (128; in memory no bound)\n"         \
    "  --request-memory MIB      memory for all requests and answers at one time (512)\n"          \
    "  --connections-max N       connections of clients (20000)\n"                                 \
    "  --idle-timeout S          close a silent connection after this\n"                           \
    "  --accept-loss             start although the log has lost records; they stay lost\n"        \
    "  --log-level LEVEL         error, warning, info or debug (info)\n"                           \
    "  --examples                print commands to try when ready\n"

static enum arguments_outcome fault(struct arguments *a, const char *format, ...) PRINTF_LIKE(2, 3);

static enum arguments_outcome fault(struct arguments *a, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(a->fault, sizeof(a->fault), format, arguments);
    va_end(arguments);
    return ARGUMENTS_FAULT;
}

/* A whole number in decimal, at most `max`. */
static bool parse_number(const char *text, uint64_t max, uint64_t *number)
{
    uint64_t value = 0;
    if (*text == 0)
        return false;
    for (; *text != 0; text++) {
        if (*text < '0' || *text > '9')
            return false;
        uint64_t digit = (uint64_t)(*text - '0');
        if (value > (max - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *number = value;
    return true;
}

/* "HOST:PORT", "[HOST]:PORT", or with `port_alone` "PORT": then the host stays as it is. */
static bool parse_address(const char *text, bool port_alone, char host[ARGUMENTS_HOST_BYTES],
                          uint16_t *port)
{
    const char *colon = strrchr(text, ':');
    const char *digits = colon != NULL ? colon + 1 : text;
    uint64_t number;
    if ((colon == NULL && !port_alone) || !parse_number(digits, UINT16_MAX, &number))
        return false;
    if (colon != NULL) {
        size_t length = (size_t)(colon - text);
        if (length >= 2 && text[0] == '[' && colon[-1] == ']') {
            text++;
            length -= 2;
        }
        if (length == 0 || length >= ARGUMENTS_HOST_BYTES)
            return false;
        memcpy(host, text, length);
        host[length] = 0;
    }
    *port = (uint16_t)number;
    return true;
}

/* ---- Options: one row each ---- */

struct option {
    const char *name;
    bool takes_value;
    const char *wants; /* what a value must be, for the message */
    bool (*set)(struct arguments *a, const char *value);
};

static bool set_listen(struct arguments *a, const char *value)
{
    return parse_address(value, false, a->host, &a->server.port);
}

static bool set_admin(struct arguments *a, const char *value)
{
    a->server.admin_host = a->admin_host;
    return parse_address(value, true, a->admin_host, &a->server.admin_port);
}

static bool set_admin_testing(struct arguments *a, const char *value)
{
    (void)value;
    a->server.admin_testing = true;
    return true;
}

static bool set_data(struct arguments *a, const char *value)
{
    a->server.data_dir = value;
    return *value != 0;
}

static bool set_in_memory(struct arguments *a, const char *value)
{
    (void)value;
    a->server.in_memory = true;
    return true;
}

static bool set_seed(struct arguments *a, const char *value)
{
    a->server.seed_dir = value;
    return *value != 0;
}

static bool set_credentials(struct arguments *a, const char *value)
{
    a->credentials_path = value;
    return true;
}

static bool set_accept_any(struct arguments *a, const char *value)
{
    (void)value;
    a->accept_any_credentials = true;
    return true;
}

static bool set_certificate(struct arguments *a, const char *value)
{
    a->certificate_path = value;
    return true;
}

static bool set_private_key(struct arguments *a, const char *value)
{
    a->private_key_path = value;
    return true;
}

static bool set_region(struct arguments *a, const char *value)
{
    a->server.region = bytes_of_text(value);
    for (const char *at = value; *at != 0; at++) {
        if (!(*at >= 'a' && *at <= 'z') && !(*at >= '0' && *at <= '9') && *at != '-')
            return false;
    }
    return a->server.region.count > 0 && a->server.region.count <= 64;
}

static bool set_account(struct arguments *a, const char *value)
{
    uint64_t number;
    a->server.account = bytes_of_text(value);
    return a->server.account.count == 12 && parse_number(value, UINT64_MAX, &number);
}

static bool set_partitions(struct arguments *a, const char *value)
{
    uint64_t number = 0;
    bool right = parse_number(value, TABLE_PARTITIONS_MAX, &number) && number > 0;
    a->server.on_demand_partitions = (uint32_t)number;
    return right;
}

static bool set_index_delay(struct arguments *a, const char *value)
{
    uint64_t number = 0;
    bool right = parse_number(value, PROPAGATOR_DELAY_MS_MAX, &number);
    a->server.index_delay_ns = number * UINT64_C(1000000);
    return right;
}

static bool set_status_delay(struct arguments *a, const char *value)
{
    uint64_t number = 0;
    bool right = parse_number(value, 3600000, &number);
    a->server.status_delay_ns = number * UINT64_C(1000000);
    return right;
}

static bool set_ttl_sweep(struct arguments *a, const char *value)
{
    uint64_t number = 0;
    bool right = parse_number(value, 86400, &number) && number > 0;
    a->server.ttl_sweep_ns = number * UINT64_C(1000000000);
    return right;
}

static bool set_no_throttling(struct arguments *a, const char *value)
{
    (void)value;
    a->no_throttling = true;
    return true;
}

static bool set_throttle_all(struct arguments *a, const char *value)
{
    (void)value;
    a->throttle_all = true;
    return true;
}

static bool set_cache(struct arguments *a, const char *value)
{
    uint64_t number = 0;
    bool right = parse_number(value, 1u << 20, &number) && number >= 2;
    a->server.cache_bytes = number << 20;
    return right;
}

static bool set_request_memory(struct arguments *a, const char *value)
{
    uint64_t number = 0;
    bool right = parse_number(value, 1u << 20, &number) && number > 0;
    a->server.request_bytes = number << 20;
    return right;
}

static bool set_connections(struct arguments *a, const char *value)
{
    uint64_t number = 0;
    bool right = parse_number(value, 1000000, &number) && number > 0;
    a->server.connections_max = (uint32_t)number;
    return right;
}

static bool set_idle_timeout(struct arguments *a, const char *value)
{
    uint64_t number = 0;
    bool right = parse_number(value, 86400, &number) && number > 0;
    a->server.idle_timeout_ns = number * UINT64_C(1000000000);
    return right;
}

static bool set_accept_loss(struct arguments *a, const char *value)
{
    (void)value;
    a->server.accept_loss = true;
    return true;
}

static bool set_log_level(struct arguments *a, const char *value)
{
    for (int level = LOG_ERROR; level <= LOG_DEBUG; level++) {
        if (strcmp(value, log_level_name((enum log_level)level)) == 0) {
            a->log_level = (enum log_level)level;
            return true;
        }
    }
    return false;
}

static bool set_examples(struct arguments *a, const char *value)
{
    (void)value;
    a->examples = true;
    return true;
}

static const struct option options[] = {
    {"--listen", true, "HOST:PORT", set_listen},
    {"--admin", true, "HOST:PORT or PORT", set_admin},
    {"--admin-testing", false, "", set_admin_testing},
    {"--data", true, "a directory", set_data},
    {"--in-memory", false, "", set_in_memory},
    {"--seed", true, "a directory", set_seed},
    {"--credentials", true, "a file", set_credentials},
    {"--accept-any-credentials", false, "", set_accept_any},
    {"--tls-cert", true, "a file", set_certificate},
    {"--tls-key", true, "a file", set_private_key},
    {"--region", true, "a region's name, such as eu-west-1", set_region},
    {"--account", true, "12 digits", set_account},
    {"--on-demand-partitions", true, "a number from 1 to 1024", set_partitions},
    {"--index-delay", true, "milliseconds, at most 3600000", set_index_delay},
    {"--status-delay", true, "milliseconds, at most 3600000", set_status_delay},
    {"--ttl-sweep-interval", true, "seconds from 1 to 86400", set_ttl_sweep},
    {"--no-throttling", false, "", set_no_throttling},
    {"--throttle-all", false, "", set_throttle_all},
    {"--cache", true, "MiB, at least 2", set_cache},
    {"--request-memory", true, "MiB, at least 1", set_request_memory},
    {"--connections-max", true, "a number from 1 to 1000000", set_connections},
    {"--idle-timeout", true, "seconds from 1 to 86400", set_idle_timeout},
    {"--accept-loss", false, "", set_accept_loss},
    {"--log-level", true, "error, warning, info or debug", set_log_level},
    {"--examples", false, "", set_examples},
};

/* The option that `word` is, "--name" or "--name=value"; *value is NULL without one. */
static const struct option *find_option(const char *word, const char **value)
{
    const char *equals = strchr(word, '=');
    size_t length = equals != NULL ? (size_t)(equals - word) : strlen(word);
    *value = equals != NULL ? equals + 1 : NULL;
    for (size_t i = 0; i < ARRAY_COUNT(options); i++) {
        if (strlen(options[i].name) == length && strncmp(options[i].name, word, length) == 0)
            return &options[i];
    }
    return NULL;
}

static bool is_loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 ||
           strcmp(host, "localhost") == 0;
}

/* What only the whole command line shows. */
static enum arguments_outcome check_together(struct arguments *a, bool data_given)
{
    if ((a->certificate_path == NULL) != (a->private_key_path == NULL))
        return fault(a, "--tls-cert and --tls-key go together");
    if (a->server.in_memory && data_given)
        return fault(a, "--in-memory and --data exclude each other");
    if (a->server.admin_testing && a->server.admin_host == NULL)
        return fault(a, "--admin-testing needs --admin HOST:PORT, where it is served");
    if (a->credentials_path != NULL && a->accept_any_credentials)
        return fault(a, "--credentials and --accept-any-credentials exclude each other");
    if (a->credentials_path == NULL && !a->accept_any_credentials && !is_loopback(a->host))
        return fault(a,
                     "%s is not a loopback address: give --credentials FILE, or say "
                     "--accept-any-credentials if everyone who reaches it may do everything",
                     a->host);
    if (a->no_throttling && a->throttle_all)
        return fault(a, "--no-throttling and --throttle-all exclude each other");
    a->server.throttling = a->no_throttling  ? THROTTLING_NONE
                           : a->throttle_all ? THROTTLING_ALL
                                             : THROTTLING_TABLES;
    return ARGUMENTS_SERVE;
}

static bool is_any(const char *word, const char *a, const char *b, const char *c)
{
    return strcmp(word, a) == 0 || strcmp(word, b) == 0 || strcmp(word, c) == 0;
}

static enum arguments_outcome parse_serve(int count, char **words, struct arguments *a)
{
    bool data_given = false;
    for (int i = 0; i < count; i++) {
        if (is_any(words[i], "--help", "-h", "help")) {
            a->text = SERVE_HELP;
            return ARGUMENTS_TEXT;
        }
        if (is_any(words[i], "--version", "-V", "version")) {
            a->text = VERSION_TEXT;
            return ARGUMENTS_TEXT;
        }
        const char *value;
        const struct option *option = find_option(words[i], &value);
        if (option == NULL)
            return fault(a, "serve does not know '%s'", words[i]);
        if (!option->takes_value && value != NULL)
            return fault(a, "%s takes no value", option->name);
        if (option->takes_value && value == NULL) {
            if (i + 1 == count)
                return fault(a, "%s wants %s", option->name, option->wants);
            value = words[++i];
        }
        if (!option->set(a, value))
            return fault(a, "%s wants %s, not '%s'", option->name, option->wants, value);
        data_given = data_given || option->set == set_data;
    }
    return check_together(a, data_given);
}

enum arguments_outcome arguments_parse(int count, char **words, struct arguments *a)
{
    *a = (struct arguments){.server = server_options_default(), .log_level = LOG_INFO};
    snprintf(a->host, sizeof(a->host), "%s", a->server.host);
    snprintf(a->admin_host, sizeof(a->admin_host), "127.0.0.1");
    a->server.host = a->host;
    const char *command = count > 1 ? words[1] : NULL;
    if (command == NULL)
        return fault(a, "say what to do: trine serve");
    a->text = is_any(command, "--help", "-h", "help")         ? HELP
              : is_any(command, "--version", "-V", "version") ? VERSION_TEXT
                                                              : NULL;
    if (a->text != NULL)
        return ARGUMENTS_TEXT;
    if (strcmp(command, "serve") != 0)
        return fault(a, "there is no command '%s'", command);
    a->serving = true;
    return parse_serve(count - 2, words + 2, a);
}
