/* tokens.c - what reads and writes on a replica may cost, and have cost. */
#include "admission/units.h"
#include "node/node_private.h"

void node_tokens_init(struct node *node)
{
    const uint32_t units[ADMISSION_KINDS] = {
        [ADMISSION_READ] =
            node->options.read_units > 0 ? node->options.read_units : NODE_READ_UNITS,
        [ADMISSION_WRITE] =
            node->options.write_units > 0 ? node->options.write_units : NODE_WRITE_UNITS,
    };
    for (int kind = 0; kind < ADMISSION_KINDS; kind++)
        token_bucket_init(&node->tokens[kind], units[kind] * 2 * 100, units[kind] * 2,
                          wall_now_ns(node->env));
}

enum status replica_admit(struct replica *replica, const struct replica_target *target,
                          enum admission_kind kind, uint32_t least)
{
    struct partition_tokens *tokens = &replica->tokens[kind];
    struct token_bucket *node = &replica->node->tokens[kind];
    struct partition_rate rate = target->rates[kind];
    return partition_tokens_admit(tokens, rate, node, least, wall_now_ns(replica->node->env));
}

void replica_charge(struct replica *replica, const struct replica_target *target,
                    enum admission_kind kind, int64_t tokens)
{
    partition_tokens_charge(&replica->tokens[kind], target->rates[kind],
                            &replica->node->tokens[kind], tokens);
}

void replica_charge_write(struct replica *replica, const struct replica_target *target,
                          enum status status, const struct write_result *result)
{
    replica_charge(replica, target, ADMISSION_WRITE, units_write_rest(status, result));
}

enum status replica_admit_range(struct replica *replica, const struct replica_target *target,
                                const struct replica_range *range,
                                struct replica_range_result *result)
{
    uint32_t least = result->charged_half_units > 0 ? 0 : units_read_least(range->consistent);
    TRY(replica_admit(replica, target, ADMISSION_READ, least));
    result->charged_half_units += least;
    return STATUS_OK;
}

void replica_charge_range(struct replica *replica, const struct replica_target *target,
                          const struct replica_range *range, struct replica_range_result *result)
{
    uint64_t cost =
        units_read_halves(result->scanned_bytes, range->consistent) + result->fetched_half_units;
    replica_charge(replica, target, ADMISSION_READ,
                   (int64_t)cost - (int64_t)result->charged_half_units);
    result->charged_half_units = cost;
}

struct node_tokens node_tokens(const struct node *node)
{
    uint64_t now_ns = wall_now_ns(node->env);
    struct node_tokens levels = {0};
    for (int kind = 0; kind < ADMISSION_KINDS; kind++) {
        int64_t least = INT64_MAX;
        uint32_t position = 0;
        const struct replica *replica;
        while ((replica = hash_map_next(&node->replicas, &position)) != NULL) {
            const struct partition_tokens *tokens = &replica->tokens[kind];
            if (tokens->rate.share > 0)
                least = MIN(least, token_bucket_level(&tokens->kept, now_ns));
        }
        levels.node[kind] = token_bucket_level(&node->tokens[kind], now_ns);
        levels.partition_least[kind] = least;
    }
    return levels;
}
