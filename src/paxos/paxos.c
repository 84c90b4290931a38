#include "paxos/paxos.h"

#include <string.h>

#include "base/assert.h"

/* ---- Configuration ---- */

static enum status configuration_check(const struct paxos_configuration *configuration,
                                       struct replica_id self)
{
    uint32_t voters = 0;
    bool storage_self = false;

    if (configuration->member_count == 0 || configuration->member_count > PAXOS_MEMBERS_MAX)
        return STATUS_INVALID;
    for (uint32_t i = 0; i < configuration->member_count; i++) {
        const struct paxos_member *member = &configuration->members[i];
        if (member->replica.node == 0 || member->replica.group != self.group)
            return STATUS_INVALID;
        for (uint32_t j = 0; j < i; j++) {
            if (replica_equal(configuration->members[j].replica, member->replica))
                return STATUS_INVALID;
        }
        voters += member->kind == PAXOS_STORAGE || member->kind == PAXOS_LOG;
        storage_self |= member->kind == PAXOS_STORAGE && replica_equal(member->replica, self);
    }
    if (!storage_self)
        return STATUS_INVALID;
    return voters == 1 && configuration->member_count == 1 ? STATUS_OK : STATUS_VERSION;
}

enum status paxos_init(struct paxos *group, struct replica_id self,
                       const struct paxos_configuration *configuration)
{
    TRY(configuration_check(configuration, self));
    *group = (struct paxos){.self = self, .configuration = *configuration, .role = PAXOS_FOLLOWER};
    return STATUS_OK;
}

/* ---- The invariants of paxos.h ---- */

static void check(const struct paxos *group)
{
    ASSERT(group->applied_slot <= group->commit_slot);                /* (1) */
    ASSERT(group->commit_slot <= group->synced_slot);                 /* (1) */
    ASSERT(group->synced_slot <= group->last_slot);                   /* (1) */
    ASSERT(ballot_compare(group->last_ballot, group->promised) <= 0); /* (2) */
    ASSERT(group->role != PAXOS_LEADER || ballot_equal(group->ballot, group->promised));
}

static bool serving(const struct paxos *group)
{
    return group->role == PAXOS_LEADER && group->barrier_slot != 0 &&
           group->applied_slot >= group->barrier_slot; /* (5) */
}

/* ---- Steps ---- */

/* Take the next slot for `payload`, in the own ballot. */
static void append(struct paxos *group, struct bytes payload, struct paxos_update *update)
{
    ASSERT(ballot_equal(group->ballot, group->promised));           /* (2) */
    ASSERT(ballot_compare(group->ballot, group->last_ballot) >= 0); /* (3) */
    group->last_slot++;
    group->last_ballot = group->ballot;
    update->append = (struct paxos_entries){
        .first_slot = group->last_slot,
        .count = 1,
        .ballot = group->ballot,
        .payload = payload,
    };
}

/* A candidate takes a ballot of its own, higher than any that it knows, and promises it to itself
 * before anything else ("Paxos Made Simple", section 2.2, phase 1).  In a group of one its promise
 * is the majority, and its own log the greatest: so the barrier, the first entry of the new ballot,
 * follows at once.  When it is committed, so is everything before it. */
static enum status step_start(struct paxos *group, const struct paxos_event *event,
                              struct paxos_update *update)
{
    struct ballot promised = event->start.promised;
    struct ballot last_ballot = event->start.last_ballot;

    if (group->started)
        return STATUS_INVALID;
    if (event->start.applied_slot > event->start.last_slot ||
        event->start.commit_slot > event->start.last_slot ||
        (event->start.last_slot == 0) != (last_ballot.round == 0))
        return STATUS_INVALID;
    /* An entry accepted in a ballot is a promise of it too. */
    if (ballot_compare(promised, last_ballot) < 0)
        promised = last_ballot;
    if (promised.round == UINT64_MAX || event->start.last_slot == UINT64_MAX)
        return STATUS_INVALID;

    group->started = true;
    group->role = PAXOS_CANDIDATE;
    group->promised = group->ballot =
        (struct ballot){.round = promised.round + 1, .replica = group->self};
    group->promise_pending = true;
    group->last_slot = group->synced_slot = event->start.last_slot; /* recovery synced its tail */
    group->last_ballot = last_ballot;
    group->applied_slot = event->start.applied_slot;
    group->commit_slot = event->start.commit_slot > group->applied_slot ? event->start.commit_slot
                                                                        : group->applied_slot;
    update->persist_promise = true;
    update->promised = group->promised;
    append(group, (struct bytes){0}, update);
    group->barrier_slot = group->last_slot;
    return STATUS_OK;
}

static enum status step_propose(struct paxos *group, const struct paxos_event *event,
                                struct paxos_update *update)
{
    if (paxos_is_barrier(event->propose.payload))
        return STATUS_INVALID;
    if (!serving(group) || group->last_slot == UINT64_MAX)
        return STATUS_UNAVAILABLE;
    append(group, event->propose.payload, update);
    return STATUS_OK;
}

/* The entry was of the own ballot, as is all from the barrier on, which is before it: last_ballot
 * is what it was. */
static enum status step_refused(struct paxos *group, const struct paxos_event *event)
{
    uint64_t slot = event->refused.slot;
    if (slot != group->last_slot || slot <= group->synced_slot || slot <= group->barrier_slot)
        return STATUS_INVALID;
    ASSERT(ballot_equal(group->last_ballot, group->ballot));
    group->last_slot--;
    return STATUS_OK;
}

/* The promise is durable: the majority of one has promised. */
static void promise_persisted(struct paxos *group)
{
    group->promise_pending = false;
    if (group->role == PAXOS_CANDIDATE)
        group->role = PAXOS_LEADER;
}

/* An entry is committed when a majority of the voters (the leader
 * counted by its own synced log) holds it and an entry of the leader's own ballot at or after it.
 */
static void log_persisted(struct paxos *group, const struct paxos_event *event)
{
    uint64_t slot = event->persisted.last_slot;

    if (slot <= group->synced_slot || slot > group->last_slot)
        return;
    /* Everything above what was recovered is of this incarnation's own ballot. */
    if (!ballot_equal(event->persisted.last_ballot, group->ballot))
        return;
    group->synced_slot = slot;
    promise_persisted(group); /* (2) */
    if (group->role == PAXOS_LEADER && slot >= group->barrier_slot)
        group->commit_slot = slot; /* (4), (6) */
}

static void step_persisted(struct paxos *group, const struct paxos_event *event)
{
    if (!ballot_equal(event->persisted.ballot, group->promised))
        return; /* of an earlier ballot: the log may have changed since */
    if (event->persisted.last_slot != 0)
        log_persisted(group, event);
    else if (group->promise_pending)
        promise_persisted(group);
}

static void step_applied(struct paxos *group, const struct paxos_event *event)
{
    if (event->applied.slot > group->applied_slot && event->applied.slot <= group->commit_slot)
        group->applied_slot = event->applied.slot;
}

/* There is no other member: nothing that arrives can be for this group. */
static enum status step_receive(const struct paxos *group, const struct paxos_event *event)
{
    (void)group;
    (void)event;
    return STATUS_INVALID;
}

static enum status step(struct paxos *group, const struct paxos_event *event,
                        struct paxos_update *update)
{
    if (event->type == PAXOS_START)
        return step_start(group, event, update);
    if (!group->started)
        return STATUS_UNAVAILABLE;
    switch (event->type) {
    case PAXOS_PROPOSE:
        return step_propose(group, event, update);
    case PAXOS_REFUSED:
        return step_refused(group, event);
    case PAXOS_PERSISTED:
        step_persisted(group, event);
        return STATUS_OK;
    case PAXOS_APPLIED:
        step_applied(group, event);
        return STATUS_OK;
    case PAXOS_RECEIVE:
        return step_receive(group, event);
    case PAXOS_STOP:
        group->role = PAXOS_STOPPED;
        return STATUS_OK;
    case PAXOS_START:
    case PAXOS_TIMEOUT: /* a group of one asks for none; a late one is harmless */
        return STATUS_OK;
    }
    return STATUS_INVALID;
}

enum status paxos_step(struct paxos *group, const struct paxos_event *event,
                       struct paxos_update *update)
{
    ASSERT(event->now_ns >= group->now_ns);
    *update = (struct paxos_update){0};

    enum status status = step(group, event, update);
    if (status == STATUS_OK)
        group->now_ns = event->now_ns;
    update->commit_slot = group->commit_slot;
    update->role = group->role;
    update->serving = serving(group);
    update->timeout_ns = PAXOS_NO_TIMEOUT;
    check(group);
    return status;
}
