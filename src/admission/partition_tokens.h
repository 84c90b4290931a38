/* partition_tokens.h - hold one partition to its share of a table's throughput, in one direction
 * (reads or writes).
 *
 * As the service does it (Elhemali et al., USENIX ATC 2022, "Bursting"): a partition has an
 * allocated bucket, which gains its share of the table's provisioned throughput, and a burst
 * bucket, which keeps what was not used of up to 300 s.  Who goes beyond what is allocated is let
 * in while there is something kept, the node has capacity to spare, and the partition stays within
 * what one partition may ever serve (3,000 reads, 1,000 writes a second).
 *
 *   kept       share * 300 s; allocated and burst tokens together
 *   allocated  share * 1 s; what of these is the share of this second
 *   maximum    the partition's maximum * 1 s
 *
 * One account: what a request consumed is charged to all of them, and to the node's bucket.  A
 * request is let in while a token is left and may leave a debt behind, since what a read costs is
 * known after it; at once it is charged `least`, what it costs at any rate, so that many that wait
 * side by side are not all let in on one token.
 *
 * Pure, as token_bucket.h.
 */
#ifndef ADMISSION_PARTITION_TOKENS_H
#define ADMISSION_PARTITION_TOKENS_H

#include "admission/token_bucket.h"
#include "base/status.h"

#define BURST_SECONDS             300u
#define PARTITION_READ_UNITS_MAX  3000u /* a second */
#define PARTITION_WRITE_UNITS_MAX 1000u

enum admission_kind { ADMISSION_READ, ADMISSION_WRITE, ADMISSION_KINDS };

/* What limits a table or an index, as ThrottlingReasons names it. */
enum throttle_limit {
    THROTTLE_PROVISIONED,
    THROTTLE_KEY_RANGE,
    THROTTLE_ON_DEMAND_MAXIMUM,
    THROTTLE_LIMITS
};

/* What a partition is held to.  Zeros: to nothing; a request with these leaves the partition's
 * buckets as they are, since others that it serves may be held. */
struct partition_rate {
    uint32_t share;   /* hundredths of a token a second; 0: it has no share to be held to */
    uint32_t maximum; /* tokens a second; 0: no maximum */
};

/* Of `units` a second that a table is provisioned with, the share of one of `partitions`.  The
 * maximum grows with the share where the table has fewer partitions than its throughput
 * asks for. */
struct partition_rate partition_rate_of(enum admission_kind kind, uint64_t units,
                                        uint32_t partitions);

/* Embed by value; zero before the first use. */
struct partition_tokens {
    struct partition_rate rate;
    struct token_bucket kept, allocated, maximum;
};

/* May one more request begin?  If so `least` tokens are charged.  The rate is as the table has it
 * now; a new share keeps the tokens that there are.
 *   STATUS_THROTTLED  it has no token left of its share, and nothing kept, or the node none to
 *   spare
 *   STATUS_HOT        it serves as much as one partition may */
MUST_USE enum status partition_tokens_admit(struct partition_tokens *pt, struct partition_rate rate,
                                            struct token_bucket *node, uint32_t least,
                                            uint64_t now_ns);

/* Charge what a request of this rate has cost beyond what it was charged before; negative: less. */
void partition_tokens_charge(struct partition_tokens *pt, struct partition_rate rate,
                             struct token_bucket *node, int64_t tokens);

#endif
