/* main.c - trine-load: the load generator of the benchmarks.  See options.c for its use. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "load/options.h"
#include "load/table.h"

static double share(uint64_t part, uint64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : 0;
}

static double us(const struct latency *latency, double percentile)
{
    return (double)latency_percentile(latency, percentile) / 1000;
}

static void print_text(const char *text)
{
    putchar('"');
    for (; *text != 0; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte < 0x20 || byte > 0x7e)
            printf("\\u%04x", byte);
        else if (byte == '"' || byte == '\\')
            printf("\\%c", byte);
        else
            putchar(byte);
    }
    putchar('"');
}

static void print_result(const struct options *options, const struct engine_result *r)
{
    const struct latency *latency = &r->latency;
    printf("{\"operation\":\"%s\",\"connections\":%u,\"rate\":%llu,\"seconds\":%.3f,"
           "\"requests\":%llu,\"requests_per_s\":%.0f,\"errors\":%llu,\"unsent\":%llu,"
           "\"parsed\":%llu,",
           workload_name(options->operation), options->engine.connections,
           (unsigned long long)options->engine.rate_per_s, (double)r->window_ns / 1e9,
           (unsigned long long)r->answers, share(r->answers, r->window_ns) * 1e9,
           (unsigned long long)r->errors, (unsigned long long)r->unsent,
           (unsigned long long)r->parsed);
    printf("\"latency_us\":{\"mean\":%.1f,\"p50\":%.1f,\"p99\":%.1f,\"p99.9\":%.1f,\"max\":%.1f},",
           share(latency->sum_ns, latency->count) / 1000, us(latency, 0.5), us(latency, 0.99),
           us(latency, 0.999), (double)latency->max_ns / 1000);
    printf("\"server_cpu_us\":%.3f,\"server_busy\":%.3f,\"load_busy\":%.3f,\"error\":",
           share(r->server_cpu_ns, r->answers) / 1000, share(r->server_cpu_ns, r->window_ns),
           share(r->own_cpu_ns, r->window_ns));
    print_text(r->error);
    printf("}\n");
}

static enum status measure(const struct options *options, struct heap *heap,
                           struct workload *workload, const struct signer *signer,
                           struct engine_result *result)
{
    struct ring ring;
    TRY(ring_build(&ring, heap, workload, signer, options->operation, options->ring, 0));
    enum status status = engine_run(&options->engine, heap, &ring, result);
    ring_release(&ring);
    return status;
}

static int run(const struct options *options, struct engine_result *result)
{
    struct heap heap;
    struct signer signer;
    struct workload workload = {
        .table = options->table, .item_count = options->items, .iterator = options->iterator};
    enum status status = signer_init(&signer, &options->signer, (uint64_t)time(NULL));
    heap_init(&heap, false);
    prng_init(&workload.prng, options->engine.seed);
    if (status == STATUS_OK && options->load)
        status = table_load(&options->engine, &heap, &workload, &signer, result);
    bool measured = status == STATUS_OK && options->operation != WORKLOAD_OPERATION_COUNT;
    if (measured)
        status = measure(options, &heap, &workload, &signer, result);
    if (status != STATUS_OK) {
        fprintf(stderr, "trine-load: %s: %s\n", status_text(status), result->error);
        return 1;
    }
    if (measured)
        print_result(options, result);
    return result->errors > 0 ? 1 : 0;
}

int main(int count, char **words)
{
    struct options options;
    if (!options_parse(count, words, &options)) {
        if (options.fault == NULL) {
            fputs(options_help, stdout);
            return 0;
        }
        fprintf(stderr, "trine-load: %s: %s\n", options.fault, options.fault_word);
        return 2;
    }
    struct engine_result *result = calloc(1, sizeof(*result));
    int code = result != NULL ? run(&options, result) : 1;
    free(result);
    return code;
}
