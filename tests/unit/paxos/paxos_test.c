/* One group as a pure core: its rules in the order of the protocol, and random event orders against
 * the invariants. */
#include "paxos/paxos.h"

#include "unit/cmocka_headers.h"

#include <stdio.h>

#include "base/prng.h"

static const struct replica_id self = {.group = 5, .added = 0, .node = 1};

static struct paxos_configuration alone(void)
{
    return (struct paxos_configuration){.member_count = 1, .members = {{self, PAXOS_STORAGE}}};
}

static struct paxos group_new(void)
{
    struct paxos group;
    struct paxos_configuration configuration = alone();
    assert_int_equal(paxos_init(&group, self, &configuration), STATUS_OK);
    return group;
}

static struct ballot ballot_of(uint64_t round)
{
    return (struct ballot){.round = round, .replica = self};
}

static enum status start(struct paxos *group, uint64_t round, uint64_t last_slot,
                         uint64_t applied_slot, struct paxos_update *update)
{
    struct paxos_event event = {
        .type = PAXOS_START,
        .start = {.promised = ballot_of(round),
                  .last_slot = last_slot,
                  .last_ballot = last_slot > 0 ? ballot_of(round) : (struct ballot){0},
                  .commit_slot = applied_slot,
                  .applied_slot = applied_slot},
    };
    return paxos_step(group, &event, update);
}

static struct paxos_update persisted(struct paxos *group, struct ballot ballot, uint64_t last_slot,
                                     struct ballot last_ballot)
{
    struct paxos_update update;
    struct paxos_event event = {
        .type = PAXOS_PERSISTED,
        .persisted = {.ballot = ballot, .last_slot = last_slot, .last_ballot = last_ballot},
    };
    assert_int_equal(paxos_step(group, &event, &update), STATUS_OK);
    return update;
}

static struct paxos_update applied(struct paxos *group, uint64_t slot)
{
    struct paxos_update update;
    struct paxos_event event = {.type = PAXOS_APPLIED, .applied = {.slot = slot}};
    assert_int_equal(paxos_step(group, &event, &update), STATUS_OK);
    return update;
}

static enum status propose(struct paxos *group, struct paxos_update *update)
{
    struct paxos_event event = {.type = PAXOS_PROPOSE, .propose = {.payload = BYTES("entry")}};
    return paxos_step(group, &event, update);
}

/* A group that serves, after a fresh start: the barrier is slot 1. */
static struct paxos serving_group(void)
{
    struct paxos group = group_new();
    struct paxos_update update;
    assert_int_equal(start(&group, 0, 0, 0, &update), STATUS_OK);
    persisted(&group, ballot_of(1), 0, (struct ballot){0});
    persisted(&group, ballot_of(1), 1, ballot_of(1));
    assert_true(applied(&group, 1).serving);
    return group;
}

static void a_start_promises_a_new_ballot_with_the_barrier_behind_it(void **state)
{
    (void)state;
    struct paxos group = group_new();
    struct paxos_update update;
    assert_int_equal(start(&group, 6, 10, 7, &update), STATUS_OK);
    assert_true(update.persist_promise);
    assert_true(ballot_equal(update.promised, ballot_of(7)));
    assert_int_equal(update.append.count, 1);
    assert_int_equal(update.append.first_slot, 11);
    assert_true(ballot_equal(update.append.ballot, ballot_of(7)));
    assert_true(paxos_is_barrier(update.append.payload));
    assert_int_equal(update.messages.count, 0);
    assert_int_equal(update.role, PAXOS_CANDIDATE);
    assert_false(update.serving);
    assert_int_equal(update.commit_slot, 7);
    assert_true(update.timeout_ns == PAXOS_NO_TIMEOUT);
    assert_int_equal(start(&group, 6, 10, 7, &update), STATUS_INVALID); /* only once */
}

static void the_new_ballot_is_above_another_replicas(void **state)
{
    (void)state;
    struct paxos group = group_new();
    struct paxos_update update;
    struct replica_id other = {.group = 5, .added = 9, .node = 3};
    struct paxos_event event = {
        .type = PAXOS_START,
        .start = {.promised = {4, other}, .last_slot = 2, .last_ballot = {8, other}},
    };
    assert_int_equal(paxos_step(&group, &event, &update), STATUS_OK);
    assert_true(ballot_equal(update.promised, ballot_of(9)));
}

static void all_before_the_barrier_commits_with_it(void **state)
{
    (void)state;
    struct paxos group = group_new();
    struct paxos_update update;
    assert_int_equal(start(&group, 6, 10, 7, &update), STATUS_OK);
    update = persisted(&group, ballot_of(6), 0, (struct ballot){0}); /* an older promise */
    assert_int_equal(update.role, PAXOS_CANDIDATE);
    update = persisted(&group, ballot_of(7), 0, (struct ballot){0});
    assert_int_equal(update.append.count, 0);
    assert_int_equal(update.role, PAXOS_LEADER);
    assert_int_equal(update.commit_slot, 7); /* slots 8 to 10 commit with the barrier */
    update = persisted(&group, ballot_of(7), 0, (struct ballot){0}); /* twice */
    assert_int_equal(update.append.count, 0);

    update = persisted(&group, ballot_of(7), 11, ballot_of(7));
    assert_int_equal(update.commit_slot, 11);
    assert_false(update.serving); /* all before it is not applied */
    assert_false(applied(&group, 10).serving);
    assert_true(applied(&group, 11).serving);
}

static void a_proposal_gets_the_next_slot_and_commits_when_synced(void **state)
{
    (void)state;
    struct paxos group = serving_group();
    struct paxos_update update;
    for (uint64_t slot = 2; slot < 5; slot++) {
        assert_int_equal(propose(&group, &update), STATUS_OK);
        assert_int_equal(update.append.count, 1);
        assert_int_equal(update.append.first_slot, slot);
        assert_true(bytes_equal(update.append.payload, BYTES("entry")));
        assert_int_equal(update.commit_slot, 1);
        assert_true(update.serving);
    }
    update = persisted(&group, ballot_of(1), 3, ballot_of(1));
    assert_int_equal(update.commit_slot, 3);
    update = persisted(&group, ballot_of(1), 4, ballot_of(1));
    assert_int_equal(update.commit_slot, 4);
}

static enum status refused(struct paxos *group, uint64_t slot)
{
    struct paxos_update update;
    struct paxos_event event = {.type = PAXOS_REFUSED, .refused = {.slot = slot}};
    enum status status = paxos_step(group, &event, &update);
    assert_int_equal(update.append.count, 0);
    return status;
}

static void a_proposal_that_the_log_refuses_is_as_if_it_had_not_been(void **state)
{
    (void)state;
    struct paxos group = serving_group();
    struct paxos_update update;
    assert_int_equal(refused(&group, 1), STATUS_INVALID); /* the barrier */
    struct paxos before = group;
    assert_int_equal(propose(&group, &update), STATUS_OK);
    assert_int_equal(update.append.first_slot, 2);
    assert_int_equal(refused(&group, 1), STATUS_INVALID);
    assert_int_equal(refused(&group, 3), STATUS_INVALID);
    assert_int_equal(refused(&group, 2), STATUS_OK);
    assert_memory_equal(&before, &group, sizeof(group));
    assert_int_equal(propose(&group, &update), STATUS_OK);
    assert_int_equal(update.append.first_slot, 2);
    assert_int_equal(persisted(&group, ballot_of(1), 2, ballot_of(1)).commit_slot, 2);
    assert_int_equal(refused(&group, 2), STATUS_INVALID); /* it is synced */
}

static void a_persisted_that_does_not_match_is_ignored(void **state)
{
    (void)state;
    struct paxos group = serving_group();
    struct paxos_update update;
    assert_int_equal(propose(&group, &update), STATUS_OK);
    assert_int_equal(persisted(&group, ballot_of(2), 2, ballot_of(2)).commit_slot, 1);
    assert_int_equal(persisted(&group, ballot_of(1), 2, ballot_of(2)).commit_slot, 1);
    assert_int_equal(persisted(&group, ballot_of(1), 3, ballot_of(1)).commit_slot, 1);
    assert_int_equal(persisted(&group, ballot_of(1), 1, ballot_of(1)).commit_slot, 1);
    assert_int_equal(persisted(&group, ballot_of(1), 2, ballot_of(1)).commit_slot, 2);
}

static void proposals_are_refused_unless_serving(void **state)
{
    (void)state;
    struct paxos group = group_new();
    struct paxos_update update;
    assert_int_equal(propose(&group, &update), STATUS_UNAVAILABLE);
    assert_int_equal(start(&group, 0, 0, 0, &update), STATUS_OK);
    assert_int_equal(propose(&group, &update), STATUS_UNAVAILABLE);
    persisted(&group, ballot_of(1), 0, (struct ballot){0});
    assert_int_equal(propose(&group, &update), STATUS_UNAVAILABLE);
    persisted(&group, ballot_of(1), 1, ballot_of(1));
    assert_int_equal(propose(&group, &update), STATUS_UNAVAILABLE);
    assert_int_equal(update.commit_slot, 1); /* the update says what holds */
    applied(&group, 1);
    assert_int_equal(propose(&group, &update), STATUS_OK);

    struct paxos_event barrier = {.type = PAXOS_PROPOSE};
    assert_int_equal(paxos_step(&group, &barrier, &update), STATUS_INVALID);
}

static void a_stopped_group_commits_nothing_more(void **state)
{
    (void)state;
    struct paxos group = serving_group();
    struct paxos_update update;
    assert_int_equal(propose(&group, &update), STATUS_OK);
    struct paxos_event stop = {.type = PAXOS_STOP};
    assert_int_equal(paxos_step(&group, &stop, &update), STATUS_OK);
    assert_false(update.serving);
    assert_int_equal(update.role, PAXOS_STOPPED);
    assert_int_equal(propose(&group, &update), STATUS_UNAVAILABLE);
    assert_int_equal(persisted(&group, ballot_of(1), 2, ballot_of(1)).commit_slot, 1);
}

static void messages_and_timeouts_are_answered(void **state)
{
    (void)state;
    struct paxos group = serving_group();
    struct paxos_update update;
    struct paxos_event receive = {.type = PAXOS_RECEIVE,
                                  .receive = {.from = {5, 2, 2}, .frame = BYTES("prepare")}};
    assert_int_equal(paxos_step(&group, &receive, &update), STATUS_INVALID);
    assert_true(update.serving);
    struct paxos_event timeout = {.type = PAXOS_TIMEOUT};
    assert_int_equal(paxos_step(&group, &timeout, &update), STATUS_OK);
    assert_int_equal(update.append.count + update.messages.count, 0);
}

static void an_inconsistent_start_is_refused(void **state)
{
    (void)state;
    struct paxos_update update;
    struct paxos group = group_new();
    assert_int_equal(start(&group, 1, 3, 4, &update), STATUS_INVALID); /* applied beyond the log */
    assert_int_equal(start(&group, 0, 3, 0, &update), STATUS_INVALID); /* entries of no ballot */
    assert_int_equal(start(&group, UINT64_MAX, 3, 0, &update), STATUS_INVALID);
    assert_int_equal(start(&group, 1, 3, 3, &update), STATUS_OK);
}

static void configurations_are_checked(void **state)
{
    (void)state;
    struct paxos group;
    struct paxos_configuration c = alone();
    c.member_count = 0;
    assert_int_equal(paxos_init(&group, self, &c), STATUS_INVALID);
    c = alone();
    c.members[0].kind = PAXOS_LOG; /* not storage */
    assert_int_equal(paxos_init(&group, self, &c), STATUS_INVALID);
    c = alone();
    c.members[0].replica.node = 2; /* not a member */
    assert_int_equal(paxos_init(&group, self, &c), STATUS_INVALID);
    c = alone();
    c.member_count = 2;
    c.members[1] = (struct paxos_member){{5, 0, 2}, PAXOS_STORAGE};
    assert_int_equal(paxos_init(&group, self, &c), STATUS_VERSION); /* does not replicate yet */
    c.members[1].kind = PAXOS_LEARNER;
    assert_int_equal(paxos_init(&group, self, &c), STATUS_VERSION);
    c.members[1] = c.members[0];
    assert_int_equal(paxos_init(&group, self, &c), STATUS_INVALID); /* twice the same */
    c.members[1] = (struct paxos_member){{6, 0, 2}, PAXOS_STORAGE};
    assert_int_equal(paxos_init(&group, self, &c), STATUS_INVALID); /* of another group */
}

static void configurations_survive_their_encoding(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 1);
    for (uint32_t count = 1; count <= PAXOS_MEMBERS_MAX; count++) {
        struct paxos_configuration c = {.slot = prng_u64(&prng), .member_count = count};
        struct paxos_configuration decoded;
        uint8_t bytes[PAXOS_CONFIGURATION_BYTES_MAX];
        for (uint32_t i = 0; i < count; i++)
            c.members[i] = (struct paxos_member){
                {prng_u64(&prng), prng_u64(&prng), 1 + (uint32_t)prng_below(&prng, 1000)},
                (enum paxos_member_kind)(1 + prng_below(&prng, 3))};
        uint32_t length = paxos_configuration_encode(&c, bytes);
        assert_int_equal(paxos_configuration_decode(bytes_of(bytes, length), &decoded), STATUS_OK);
        assert_int_equal(decoded.slot, c.slot);
        assert_int_equal(decoded.member_count, count);
        for (uint32_t i = 0; i < count; i++) {
            assert_true(replica_equal(decoded.members[i].replica, c.members[i].replica));
            assert_int_equal(decoded.members[i].kind, c.members[i].kind);
        }
        for (uint32_t cut = 0; cut < length; cut++)
            assert_int_equal(paxos_configuration_decode(bytes_of(bytes, cut), &decoded),
                             STATUS_CORRUPT);
        bytes[0] = 2;
        assert_int_equal(paxos_configuration_decode(bytes_of(bytes, length), &decoded),
                         STATUS_VERSION);
    }
}

/* ---- Random orders of events ---- */

#define LOG_MAX 4096u

/* The shell's side: a log whose end may be lost in a restart, never below what was synced. */
struct shell {
    struct ballot log[LOG_MAX]; /* by slot */
    uint64_t last, synced, applied;
    struct ballot promised, promised_synced;
    uint64_t acknowledged; /* the highest commit slot ever announced */
    uint64_t now_ns;
};

static void carry_out(struct shell *shell, const struct paxos *group,
                      const struct paxos_update *update)
{
    if (update->persist_promise) {
        assert_true(ballot_compare(update->promised, shell->promised) > 0); /* (2) */
        shell->promised = update->promised;
    }
    if (update->append.count > 0) {
        assert_true(ballot_compare(update->append.ballot, shell->promised) <= 0); /* (2) */
        assert_int_equal(update->append.first_slot, shell->last + 1);             /* (3) */
        assert_true(shell->last == 0 ||
                    ballot_compare(shell->log[shell->last], update->append.ballot) <= 0); /* (3) */
        shell->log[++shell->last] = update->append.ballot;
    }
    assert_true(update->commit_slot <= shell->synced);       /* (1), (4) */
    assert_true(update->commit_slot >= group->applied_slot); /* (1) */
    if (update->commit_slot > shell->acknowledged) {
        shell->acknowledged = update->commit_slot; /* (6) within one life */
        assert_true(ballot_equal(shell->log[shell->synced], group->ballot) ||
                    update->role != PAXOS_LEADER); /* (4) */
    }
    assert_false(update->serving && shell->applied < group->barrier_slot); /* (5) */
    assert_false(update->serving && !ballot_equal(shell->promised_synced, group->ballot));
}

static void restart(struct shell *shell, struct paxos *group, struct prng *prng)
{
    if (shell->last > shell->synced)
        shell->last = shell->synced + prng_below(prng, shell->last - shell->synced + 1);
    shell->synced = shell->last; /* recovery syncs what it found */
    bool holds_entry = shell->last > 0 && ballot_equal(shell->log[shell->last], shell->promised);
    if (!holds_entry && prng_one_in(prng, 2)) /* the promise is before all entries of its ballot */
        shell->promised = shell->promised_synced;
    shell->promised_synced = shell->promised;
    assert_true(shell->last >= shell->acknowledged);
    *group = group_new();
    struct paxos_event event = {
        .type = PAXOS_START,
        .now_ns = 0,
        .start = {.promised = shell->promised,
                  .last_slot = shell->last,
                  .last_ballot = shell->last > 0 ? shell->log[shell->last] : (struct ballot){0},
                  .commit_slot = shell->applied,
                  .applied_slot = shell->applied},
    };
    struct paxos_update update;
    assert_int_equal(paxos_step(group, &event, &update), STATUS_OK);
    shell->now_ns = 0;
    carry_out(shell, group, &update);
}

static struct paxos_event random_event(struct shell *shell, struct prng *prng)
{
    struct paxos_event event = {.now_ns = shell->now_ns += prng_below(prng, 100)};
    uint64_t slot;
    switch (prng_below(prng, 8)) {
    case 0:
    case 1:
    case 2:
        event.type = PAXOS_PROPOSE;
        event.propose.payload = BYTES("x");
        break;
    case 3: /* a promise, true or stale */
        event.type = PAXOS_PERSISTED;
        if (prng_one_in(prng, 4)) {
            event.persisted.ballot = ballot_of(prng_below(prng, shell->promised.round + 1));
            if (event.persisted.ballot.round == shell->promised.round)
                shell->promised_synced = shell->promised;
        } else {
            event.persisted.ballot = shell->promised_synced = shell->promised;
        }
        break;
    case 4:
    case 5: /* the log, up to somewhere */
        event.type = PAXOS_PERSISTED;
        slot = shell->synced + prng_below(prng, shell->last - shell->synced + 1);
        if (slot == 0)
            return (struct paxos_event){.type = PAXOS_TIMEOUT, .now_ns = shell->now_ns};
        event.persisted.ballot = shell->promised;
        event.persisted.last_slot = slot;
        event.persisted.last_ballot = shell->log[slot];
        shell->synced = slot;
        if (ballot_equal(shell->log[slot], shell->promised))
            shell->promised_synced = shell->promised;
        break;
    case 6:
        event.type = PAXOS_APPLIED;
        if (shell->acknowledged > shell->applied)
            shell->applied += prng_below(prng, shell->acknowledged - shell->applied + 1);
        event.applied.slot = shell->applied;
        break;
    default:
        event.type = prng_one_in(prng, 2) ? PAXOS_TIMEOUT : PAXOS_RECEIVE;
        break;
    }
    return event;
}

static void invariants_hold_in_any_order_of_events(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct prng prng;
        struct paxos group;
        static struct shell shell;
        uint64_t proposed = 0;
        prng_init(&prng, seed);
        memset(&shell, 0, sizeof(shell));
        restart(&shell, &group, &prng);
        for (int i = 0; i < 600 && shell.last < LOG_MAX - 8; i++) {
            if (prng_one_in(&prng, 60)) {
                restart(&shell, &group, &prng);
                continue;
            }
            struct paxos_event event = random_event(&shell, &prng);
            struct paxos_update update;
            struct paxos before = group;
            enum status status = paxos_step(&group, &event, &update);
            if (status != STATUS_OK)
                assert_memory_equal(&before, &group, sizeof(group));
            if (status == STATUS_OK && event.type == PAXOS_PROPOSE && prng_one_in(&prng, 5)) {
                event.type = PAXOS_REFUSED;
                event.refused.slot = update.append.first_slot;
                assert_int_equal(paxos_step(&group, &event, &update), STATUS_OK);
                before.now_ns = group.now_ns;
                assert_memory_equal(&before, &group, sizeof(group));
                continue;
            }
            assert_true(group.commit_slot >= before.commit_slot); /* (6) */
            proposed += event.type == PAXOS_PROPOSE && status == STATUS_OK;
            carry_out(&shell, &group, &update);
        }
        assert_true(proposed > 5 || seed % 8 != 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_promises_a_new_ballot_with_the_barrier_behind_it),
        cmocka_unit_test(the_new_ballot_is_above_another_replicas),
        cmocka_unit_test(all_before_the_barrier_commits_with_it),
        cmocka_unit_test(a_proposal_gets_the_next_slot_and_commits_when_synced),
        cmocka_unit_test(a_proposal_that_the_log_refuses_is_as_if_it_had_not_been),
        cmocka_unit_test(a_persisted_that_does_not_match_is_ignored),
        cmocka_unit_test(proposals_are_refused_unless_serving),
        cmocka_unit_test(a_stopped_group_commits_nothing_more),
        cmocka_unit_test(messages_and_timeouts_are_answered),
        cmocka_unit_test(an_inconsistent_start_is_refused),
        cmocka_unit_test(configurations_are_checked),
        cmocka_unit_test(configurations_survive_their_encoding),
        cmocka_unit_test(invariants_hold_in_any_order_of_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
