/* paxos.h - one replication group as a pure state machine.
 *
 * The core takes one event and says what the shell must do: it reads no clock, draws no random
 * number, allocates nothing, does no I/O and calls nobody.  The shell (node/) carries each update
 * out, in the order of its fields, before it steps the next event of the same group that depends on
 * it (see struct paxos_update).  Time comes with the event.
 *
 * The protocol is Multi-Paxos with a stable leader: a ballot is (round, replica), an entry keeps
 * for ever the ballot it was first proposed in, and (slot, ballot) names one entry and all before
 * it. What is here is the group of one: whenever it starts it promises itself a new ballot, with a
 * barrier entry in that ballot right behind the promise in the log, and leads when the barrier is
 * committed.  An entry is committed when this replica's own log has synced it.  A configuration
 * with a second voter is refused: see paxos_init.
 *
 * Source: Lamport, "Paxos Made Simple", 2001; van Renesse and Altinbuken, "Paxos Made Moderately
 * Complex", 2015 (ballots, commanders); the barrier is Raft's no-op (Ongaro, 2014, section 8).
 *
 * Invariants between steps (the numbers are used in the .c and in the tests):
 *   (1) applied_slot <= commit_slot <= synced_slot <= last_slot
 *   (2) promised never decreases; entries of a ballot are behind its promise in the log, which
 *       becomes durable in its order
 *   (3) slots of appended entries are consecutive, their ballots never decrease; a slot is given
 *       out again only after REFUSED
 *   (4) a slot is committed at most once, and only with an entry of the leader's own ballot at or
 *       after it synced
 *   (5) serving only when leading, the barrier is committed and everything up to it is applied
 *   (6) commit_slot never decreases
 */
#ifndef PAXOS_PAXOS_H
#define PAXOS_PAXOS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/compiler.h"
#include "base/status.h"
#include "storage/log_types.h"

#define PAXOS_MEMBERS_MAX             9u /* of one configuration: two sets of voters and learners */
#define PAXOS_NO_TIMEOUT              UINT64_MAX
#define PAXOS_CONFIGURATION_BYTES_MAX 256u /* encoded */

/* ---- Configuration ---- */

enum paxos_member_kind {
    PAXOS_STORAGE = 1, /* votes, may lead, serves reads */
    PAXOS_LOG = 2,     /* votes, never leads */
    PAXOS_LEARNER = 3, /* does not vote */
};

struct paxos_member {
    struct replica_id replica;
    enum paxos_member_kind kind;
};

/* In force from `slot`; 0 for the configuration that a group begins with. */
struct paxos_configuration {
    uint64_t slot;
    uint32_t member_count;
    struct paxos_member members[PAXOS_MEMBERS_MAX];
};

/* ---- Events ---- */

enum paxos_event_type {
    PAXOS_START,     /* the replica's log was recovered; the first event, and only once */
    PAXOS_PROPOSE,   /* append this payload, if this replica leads */
    PAXOS_REFUSED,   /* the log did not take the entry of the PROPOSE just before, and nothing else
                      * of its update was carried out: as if it had not been stepped */
    PAXOS_PERSISTED, /* the promise, or the log up to here, is durable on this replica */
    PAXOS_APPLIED,   /* the shell has applied every entry up to here */
    PAXOS_RECEIVE,   /* a message from another member */
    PAXOS_TIMEOUT,   /* the time of an update's timeout_ns has come */
    PAXOS_STOP,      /* the log failed or the replica closes: give up leading, for ever */
};

struct paxos_message; /* between members; empty for a group of one, and encoded by paxos/ */

struct paxos_event {
    uint64_t now_ns; /* monotonic, counts suspended time; never goes back */
    enum paxos_event_type type;
    union {
        struct {
            struct ballot promised; /* the highest ballot promised or accepted in; zero = none */
            uint64_t last_slot;     /* of the last entry in the log; 0 = it is empty */
            struct ballot last_ballot;
            uint64_t commit_slot;  /* known committed: at least what is applied durably */
            uint64_t applied_slot; /* the tree holds every entry up to here */
        } start;
        struct {
            struct bytes payload; /* borrowed; handed back in `append` */
        } propose;
        struct {
            uint64_t slot; /* of the entry */
        } refused;
        struct {
            /* What the log held when the record was appended.  A promise: `ballot` alone, last_slot
             * 0.  Entries: the ballot they were accepted from, the last slot that is synced, and
             * the ballot of that slot.  Ignored if the log has changed there since. */
            struct ballot ballot;
            uint64_t last_slot;
            struct ballot last_ballot;
        } persisted;
        struct {
            uint64_t slot;
        } applied;
        struct {
            struct replica_id from;
            struct bytes frame; /* an encoded message, borrowed */
        } receive;
    };
};

/* ---- Updates ---- */

/* Consecutive entries to append to the log; borrowed until the next step. */
struct paxos_entries {
    uint64_t first_slot;
    uint32_t count; /* 0 or 1: one proposal, or a barrier */
    struct ballot ballot;
    struct bytes payload;
};

struct paxos_messages {
    uint32_t count;
    const struct paxos_message *const *at; /* borrowed from the core until the next step */
};

enum paxos_role { PAXOS_FOLLOWER, PAXOS_CANDIDATE, PAXOS_LEADER, PAXOS_STOPPED };

/* What to do after a step, in this order. */
struct paxos_update {
    bool persist_promise; /* write `promised` to the log; durable BEFORE any of `messages` is sent,
                           * and before what is in `append`.  Then step PAXOS_PERSISTED for it; no
                           * other event of this group before */
    struct ballot promised; /* with persist_promise */
    bool truncate;          /* cut the log after `truncate_after`, before appending */
    uint64_t truncate_after;
    struct paxos_entries append;    /* durable BEFORE PAXOS_PERSISTED is stepped for them */
    struct paxos_messages messages; /* to send */
    uint64_t commit_slot;           /* apply in order up to here, then step PAXOS_APPLIED */
    enum paxos_role role;
    bool serving;        /* may answer strong reads and take proposals now */
    uint64_t timeout_ns; /* step PAXOS_TIMEOUT at this time; PAXOS_NO_TIMEOUT = never */
};

/* ---- The group ---- */

/* Embed by value in the owner.  Fields are read-only outside paxos/. */
struct paxos {
    struct replica_id self;
    struct paxos_configuration configuration;
    enum paxos_role role;
    bool started;
    bool promise_pending; /* persist_promise was asked for and is not yet PERSISTED */
    struct ballot promised;
    struct ballot ballot;      /* its own, while candidate or leader */
    uint64_t last_slot;        /* of the log, synced or not */
    struct ballot last_ballot; /* of that slot */
    uint64_t synced_slot;
    uint64_t commit_slot;
    uint64_t applied_slot;
    uint64_t barrier_slot; /* of its own ballot; 0 = not appended */
    uint64_t now_ns;       /* of the last event */
};

/* Set up in place; nothing to release later.
 *   STATUS_INVALID  the configuration is malformed, or `self` is not a storage member of it
 *   STATUS_VERSION  more than one voter, or a learner: this program does not replicate */
MUST_USE enum status paxos_init(struct paxos *group, struct replica_id self,
                                const struct paxos_configuration *configuration);

/* Step one event.  *update is filled whatever the status is; on a status other than OK nothing
 * changed and it says what holds already (commit slot, role), with nothing new to do.
 *   PAXOS_START      STATUS_INVALID      started already, or the recovered state is inconsistent
 *   PAXOS_PROPOSE    STATUS_INVALID      the payload is empty
 *                    STATUS_UNAVAILABLE  not serving: starting, or stopped
 *                    STATUS_MOVED        another member leads (never in a group of one)
 *   PAXOS_REFUSED    STATUS_INVALID      not the newest entry, or a barrier, or synced
 *   PAXOS_RECEIVE    STATUS_INVALID      not from a member, or malformed: dropped
 *   PAXOS_PERSISTED, PAXOS_APPLIED, PAXOS_TIMEOUT, PAXOS_STOP
 *                    STATUS_OK; what no longer fits is ignored
 * Any event but START before START: STATUS_UNAVAILABLE. */
MUST_USE enum status paxos_step(struct paxos *group, const struct paxos_event *event,
                                struct paxos_update *update);

/* A barrier is an entry that changes nothing: its payload is empty, which no proposal's is. */
static inline bool paxos_is_barrier(struct bytes payload)
{
    return payload.count == 0;
}

/* Encode `configuration` for a WAL_CONFIGURATION record into `to`, which holds at least
 * PAXOS_CONFIGURATION_BYTES_MAX; returns the bytes used. */
uint32_t paxos_configuration_encode(const struct paxos_configuration *configuration, uint8_t *to);

/*   STATUS_CORRUPT  malformed
 *   STATUS_VERSION  of a newer format */
MUST_USE enum status paxos_configuration_decode(struct bytes bytes,
                                                struct paxos_configuration *configuration);

#endif
