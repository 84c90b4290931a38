/* log_types.h - the names of things in a log: positions, members of a group, ballots.
 *
 * A *group* is one replicated partition.  A member of it is a *replica*: a node, together with the
 * slot of the configuration that added it, so that a node that is removed and added again is
 * somebody else.  Entries of a group's log are counted by *slots*, consecutive from 1.  An *LSN* is
 * a position in one node's write-ahead log, which all its replicas share; it means nothing to
 * another node.
 *
 * Zero means "none" in each of them.
 */
#ifndef STORAGE_LOG_TYPES_H
#define STORAGE_LOG_TYPES_H

#include <stdbool.h>
#include <stdint.h>

/* A position in a node's write-ahead log; grows with every record, and is never used twice. */
struct lsn {
    uint64_t value;
};

/* One member of one group; unique on a node and in a cluster, for ever. */
struct replica_id {
    uint64_t group; /* the group's id */
    uint64_t added; /* the slot of the configuration entry that added it; 0 for a first member */
    uint32_t node;  /* the node's id, from 1 */
};

/* Who proposes, and when: ordered by round, then by replica. */
struct ballot {
    uint64_t round;
    struct replica_id replica;
};

static inline bool lsn_before(struct lsn a, struct lsn b)
{
    return a.value < b.value;
}

static inline bool replica_equal(struct replica_id a, struct replica_id b)
{
    return a.group == b.group && a.added == b.added && a.node == b.node;
}

/* < 0, 0, > 0: by group, then by the slot that added it, then by node. */
static inline int replica_compare(struct replica_id a, struct replica_id b)
{
    if (a.group != b.group)
        return a.group < b.group ? -1 : 1;
    if (a.added != b.added)
        return a.added < b.added ? -1 : 1;
    return a.node < b.node ? -1 : a.node > b.node;
}

/* < 0, 0, > 0; a total order of the ballots of one group. */
static inline int ballot_compare(struct ballot a, struct ballot b)
{
    if (a.round != b.round)
        return a.round < b.round ? -1 : 1;
    return replica_compare(a.replica, b.replica);
}

static inline bool ballot_equal(struct ballot a, struct ballot b)
{
    return ballot_compare(a, b) == 0;
}

#endif
