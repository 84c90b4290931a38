#include "load/options.h"

#include <arpa/inet.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "load/schedule.h"

#define SECONDS_MAX 600.0 /* signatures made ahead are valid for 900 */
#define RING_MAX    (1u << 20)

const char options_help[] =
    "usage: trine-load [options] [OPERATION]\n"
    "\n"
    "Send signed requests to an endpoint of the DynamoDB API and print one line of JSON: requests\n"
    "a second, percentiles of the latency, errors, and the server's CPU time a request.\n"
    "\n"
    "OPERATION is GetItem, PutItem, UpdateItem (with a condition), Query (of ten),\n"
    "TransactWriteItems (of two, without a token), ExecuteStatement (a SELECT of ten),\n"
    "BatchGetItem (of 25), GetRecords (of 100), ListTables, or GET: a plain request without\n"
    "a signature.\n"
    "\n"
    "  --endpoint IP:PORT   (127.0.0.1:8000)\n"
    "  --load               first create the table and fill it\n"
    "  --table NAME         (bench)\n"
    "  --iterator TEXT      of a stream's shard: what GetRecords (of 100) asks for\n"
    "  --items N            of 200 bytes; keys are chosen evenly among them (100000)\n"
    "  --connections N      (16)\n"
    "  --seconds S          length of the window that counts, at most 600 (1)\n"
    "  --warmup S           before it (0.2)\n"
    "  --requests N         closed loop: stop after so many\n"
    "  --rate N             open loop: so many requests a second are due, whatever the server "
    "does;\n"
    "                       latency counts from the time a request was due\n"
    "  --poisson            open loop: independent arrivals instead of evenly spaced ones\n"
    "  --pid PID            measure the CPU time of this process; may be given several times\n"
    "  --access-key KEY --secret-key KEY --region NAME   (bench, bench-secret, us-east-1)\n"
    "  --ring N             different requests, signed ahead (32768; BatchGetItem 4096)\n"
    "  --parse-every N      parse one answer in N whole; all are checked for status and length "
    "(64)\n"
    "  --seed N             (1)\n";

static bool parse_count(const char *text, uint64_t min, uint64_t max, uint64_t *number)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != 0 || value < min || value > max)
        return false;
    *number = value;
    return true;
}

static bool parse_u32(const char *text, uint32_t min, uint32_t max, uint32_t *number)
{
    uint64_t value;
    if (!parse_count(text, min, max, &value))
        return false;
    *number = (uint32_t)value;
    return true;
}

static bool parse_seconds(const char *text, uint64_t *ns)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != 0 || !(value >= 0) || value > SECONDS_MAX)
        return false;
    *ns = (uint64_t)llround(value * 1e9);
    return true;
}

static bool parse_endpoint(const char *text, struct options *o)
{
    char host[INET_ADDRSTRLEN];
    const char *colon = strrchr(text, ':');
    uint32_t port;
    struct sockaddr_in address = {.sin_family = AF_INET};
    if (colon == NULL || (size_t)(colon - text) >= sizeof(host) ||
        !parse_u32(colon + 1, 1, UINT16_MAX, &port))
        return false;
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = 0;
    address.sin_port = htons((uint16_t)port);
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
        return false;
    memcpy(&o->engine.address, &address, sizeof(address));
    o->engine.address_bytes = sizeof(address);
    o->signer.host = text;
    return true;
}

static bool parse_process(const char *text, struct options *o)
{
    uint64_t process;
    return parse_count(text, 1, INT32_MAX, &process) &&
           cpu_add(&o->engine.server, (pid_t)process) == STATUS_OK;
}

/* A flag that stands alone. */
static bool take_switch(const char *flag, struct options *o)
{
    if (strcmp(flag, "--load") == 0)
        o->load = true;
    else if (strcmp(flag, "--poisson") == 0)
        o->engine.poisson = true;
    else
        return false;
    return true;
}

/* A flag with a value: is it known, and is the value right? */
static bool take_value(const char *flag, const char *value, struct options *o, bool *known)
{
    struct engine_options *engine = &o->engine;
    *known = true;
    if (strcmp(flag, "--endpoint") == 0)
        return parse_endpoint(value, o);
    if (strcmp(flag, "--items") == 0)
        return parse_u32(value, 100, WORKLOAD_ITEMS_MAX, &o->items) &&
               o->items % WORKLOAD_GROUP == 0;
    if (strcmp(flag, "--connections") == 0)
        return parse_u32(value, 1, ENGINE_CONNECTIONS_MAX, &engine->connections);
    if (strcmp(flag, "--seconds") == 0)
        return parse_seconds(value, &engine->window_ns);
    if (strcmp(flag, "--warmup") == 0)
        return parse_seconds(value, &engine->warmup_ns);
    if (strcmp(flag, "--requests") == 0)
        return parse_count(value, 1, UINT64_MAX, &engine->requests_max);
    if (strcmp(flag, "--rate") == 0)
        return parse_count(value, 1, SCHEDULE_RATE_MAX, &engine->rate_per_s);
    if (strcmp(flag, "--pid") == 0)
        return parse_process(value, o);
    if (strcmp(flag, "--ring") == 0)
        return parse_u32(value, 1, RING_MAX, &o->ring);
    if (strcmp(flag, "--parse-every") == 0)
        return parse_u32(value, 1, UINT32_MAX, &engine->parse_every);
    if (strcmp(flag, "--seed") == 0)
        return parse_count(value, 0, UINT64_MAX, &engine->seed);
    if (strcmp(flag, "--table") == 0)
        return (o->table = value)[0] != 0;
    if (strcmp(flag, "--iterator") == 0)
        return strpbrk(o->iterator = value, "\"\\") == NULL && value[0] != 0;
    if (strcmp(flag, "--access-key") == 0)
        return (o->signer.access_key = value)[0] != 0;
    if (strcmp(flag, "--secret-key") == 0)
        return (o->signer.secret_key = value)[0] != 0;
    if (strcmp(flag, "--region") == 0)
        return (o->signer.region = value)[0] != 0;
    *known = false;
    return false;
}

static bool fault(struct options *o, const char *text, const char *word)
{
    o->fault = text;
    o->fault_word = word;
    return false;
}

static bool take_operation(const char *word, struct options *o)
{
    enum workload_operation operation = workload_find(word);
    if (o->operation != WORKLOAD_OPERATION_COUNT)
        return fault(o, "only one operation at a time", word);
    switch (operation) {
    case WORKLOAD_BATCH_WRITE:
    case WORKLOAD_CREATE_TABLE:
    case WORKLOAD_DESCRIBE_TABLE:
    case WORKLOAD_OPERATION_COUNT:
        return fault(o, "not an operation that is measured", word);
    default:
        o->operation = operation;
        return true;
    }
}

static bool take_words(int count, char **words, struct options *o)
{
    for (int i = 1; i < count; i++) {
        const char *word = words[i];
        bool known;
        if (strcmp(word, "--help") == 0)
            return fault(o, NULL, word);
        if (word[0] != '-') {
            if (!take_operation(word, o))
                return false;
        } else if (!take_switch(word, o)) {
            if (i + 1 == count)
                return fault(o, "no such option, or no value after it", word);
            if (!take_value(word, words[++i], o, &known))
                return fault(o, known ? "a wrong value for" : "no such option", word);
        }
    }
    return true;
}

bool options_parse(int count, char **words, struct options *o)
{
    *o = (struct options){
        .engine = {.connections = 16,
                   .warmup_ns = 200000000,
                   .window_ns = 1000000000,
                   .seed = 1,
                   .parse_every = 64},
        .signer = {.access_key = "bench", .secret_key = "bench-secret", .region = "us-east-1"},
        .table = "bench",
        .items = 100000,
        .operation = WORKLOAD_OPERATION_COUNT,
    };
    char endpoint[] = "127.0.0.1:8000";
    (void)parse_endpoint(endpoint, o);
    o->signer.host = "127.0.0.1:8000";
    if (!take_words(count, words, o))
        return false;
    if (o->operation == WORKLOAD_OPERATION_COUNT && !o->load)
        return fault(o, "say what to do: an operation, --load or both", "nothing");
    if (o->operation == WORKLOAD_GET_RECORDS && o->iterator == NULL)
        return fault(o, "it needs an --iterator", "GetRecords");
    if (o->ring == 0)
        o->ring = o->operation == WORKLOAD_BATCH_GET   ? 4096
                  : o->operation == WORKLOAD_PLAIN_GET ? 1
                                                       : 32768;
    return true;
}
