/* The cores together, in one address space, against what they promise: coordinators on hosts whose
 * clocks differ, recoveries, partitions, a ledger, single writes, transactions in one round,
 * TransactGetItems; messages that come in any order, late, twice or never; coordinators that die.
 *
 * What really happened is kept beside it, and judged at the end: each transaction whole or not at
 * all, clients told the truth, timestamps growing along each item, and no cycle in the order of
 * versions (Adya: write-write, write-read and read-write edges).  The judge is judged too: with a
 * rule taken away it must find fault with some seed.
 */
#include "txn/coordinator.h"
#include "txn/participant.h"

#include "unit/cmocka_headers.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/prng.h"

#define GROUPS       3u
#define ITEMS        6u /* item i is in group i % GROUPS */
#define TXNS         24u
#define TOKENS       8u
#define COORDINATORS 12u
#define READERS      3u
#define MESSAGES     256u
#define NODES        1024u
#define HISTORY      512u
#define STEPS        6000u
#define MILLISECOND  UINT64_C(1000000)

enum broken {
    WHOLE,
    NO_INTENT_CONFLICT,
    NO_SINGLE_CONFLICT,
    NO_TIMESTAMP_CHECK,
    NO_CHECK_STAMP,
    NO_SINGLE_TIMESTAMP,
    NO_LEDGER_CONDITION,
    NO_INSERTED_CANCEL,
    NO_SECOND_READ,
    NO_READ_CONFLICT,
    BROKEN_COUNT
};

enum message_type {
    PREPARE,
    OUTCOME,
    LEDGER,
    TOKEN,
    PREPARED,
    CARRIED_OUT,
    LEDGER_SAID,
    TOKEN_SAID
};

struct message {
    enum message_type type;
    uint32_t coordinator, incarnation; /* who asked */
    uint32_t txn;
    uint32_t participant;
    enum txn_ledger_action action;
    bool commits;
    uint32_t ledger_number;
    enum txn_result result;
    enum txn_state found;
};

struct transaction {
    struct txn_id id;
    uint64_t timestamp;
    uint32_t count, items[ITEMS];
    enum txn_kind kinds[ITEMS];
    uint32_t participant_count, groups[GROUPS];
    uint32_t token;      /* TOKENS: without */
    bool begun, may_act; /* its first coordinator lives */
    bool purged;
    enum txn_answer answer;
    uint32_t applied; /* items on which it took effect */
    uint32_t node;
};

struct coordinator {
    struct txn_coordinator core;
    uint32_t incarnation;
    bool alive;
    uint32_t txn;
    uint64_t timeout_ns;
};

struct reader {
    uint32_t count, items[ITEMS], done; /* reads so far: first `count`, second `count` */
    uint64_t versions[ITEMS];
    uint32_t positions[ITEMS]; /* operations on the item that it has seen */
};

struct operation {
    uint32_t node;
    bool writes;
};

struct world {
    struct prng prng;
    enum broken broken;
    bool calm; /* no new trouble: everything must come to an end */
    uint64_t now_ns;
    struct txn_group groups[GROUPS];
    uint64_t slots[GROUPS], hlcs[GROUPS], skews[GROUPS];
    struct txn_item items[ITEMS];
    uint64_t highest[ITEMS]; /* timestamp of the last operation */
    struct operation history[ITEMS][HISTORY];
    uint32_t history_count[ITEMS];
    struct transaction txns[TXNS];
    uint32_t txn_count;
    enum txn_state ledger[TXNS];
    uint32_t tokens[TOKENS]; /* transaction + 1 */
    struct coordinator coordinators[COORDINATORS];
    struct txn_clock clocks[GROUPS];
    struct reader readers[READERS];
    struct message messages[MESSAGES];
    uint32_t message_count;
    uint32_t node_count;
    struct {
        uint32_t node, item, position;
    } reads[NODES];
    uint32_t read_count;
    uint32_t commits, recoveries, reads_done, replays;
    const char *fault; /* the first */
};

static void fault(struct world *w, const char *what)
{
    if (w->fault == NULL)
        w->fault = what;
}

#define CHECK(w, x)                                                                                \
    do {                                                                                           \
        if (!(x))                                                                                  \
            fault(w, #x);                                                                          \
    } while (0)

static bool one_in(struct world *w, uint64_t n)
{
    return prng_one_in(&w->prng, n);
}

static uint32_t below(struct world *w, uint64_t n)
{
    return (uint32_t)prng_below(&w->prng, n);
}

static uint32_t new_node(struct world *w)
{
    assert_true(w->node_count < NODES);
    return w->node_count++;
}

/* ---- Partitions ---- */

static uint64_t next_slot(struct world *w, uint32_t item)
{
    return ++w->slots[item % GROUPS];
}

/* An operation takes effect. */
static void apply(struct world *w, uint32_t item, const struct txn_effect *effect, uint32_t node)
{
    struct txn_item *at = &w->items[item];
    uint64_t slot = next_slot(w, item);
    if (effect->timestamp > 0) {
        CHECK(w, effect->timestamp > w->highest[item]);
        w->highest[item] = effect->timestamp;
        assert_true(w->history_count[item] < HISTORY);
        w->history[item][w->history_count[item]++] =
            (struct operation){node, effect->put_image || effect->delete_item};
    }
    if (effect->put_image) {
        at->present = true;
        at->timestamp = effect->timestamp;
        at->version = slot;
    }
    if (effect->delete_item) {
        at->present = false;
        at->timestamp = at->version = 0;
    }
    if (effect->stamp_item && w->broken != NO_CHECK_STAMP)
        at->timestamp = effect->timestamp;
    if (effect->remove_intent)
        at->has_intent = false;
    txn_group_apply(&w->groups[item % GROUPS], effect, slot);
}

static uint64_t hlc(struct world *w, uint32_t group)
{
    w->hlcs[group] = MAX(w->now_ns + w->skews[group], w->hlcs[group] + 1);
    return w->hlcs[group];
}

static enum txn_result prepare(struct world *w, struct transaction *txn, uint32_t group)
{
    bool refused = false;
    for (uint32_t i = 0; i < txn->count; i++) {
        uint32_t item = txn->items[i];
        if (item % GROUPS != group)
            continue;
        enum txn_prepare may =
            txn_may_prepare(&w->groups[group], &w->items[item], txn->id, txn->timestamp);
        if (w->broken == NO_INTENT_CONFLICT && may == TXN_PREPARE_CONFLICT)
            may = TXN_PREPARE_OK;
        if (w->broken == NO_TIMESTAMP_CHECK && may == TXN_PREPARE_TOO_OLD)
            may = TXN_PREPARE_OK;
        if (may == TXN_PREPARE_TOO_OLD)
            txn_clock_observe(&w->clocks[below(w, GROUPS)],
                              txn_item_timestamp(&w->groups[group], &w->items[item]));
        refused |= may == TXN_PREPARE_CONFLICT || may == TXN_PREPARE_TOO_OLD;
    }
    if (refused || (!w->calm && one_in(w, 20))) /* a condition may not hold */
        return TXN_RESULT_REFUSED;
    for (uint32_t i = 0; i < txn->count; i++) {
        struct txn_item *item = &w->items[txn->items[i]];
        if (txn->items[i] % GROUPS != group ||
            (item->has_intent && txn_id_equal(item->intent_id, txn->id)))
            continue;
        next_slot(w, txn->items[i]);
        item->has_intent = true;
        item->intent_id = txn->id;
        item->intent_kind = txn->kinds[i];
        item->intent_timestamp = txn->timestamp;
        item->intent_of_version = item->version;
    }
    return TXN_RESULT_OK;
}

static void carry_out(struct world *w, struct transaction *txn, uint32_t group, bool commits)
{
    for (uint32_t i = 0; i < txn->count; i++) {
        uint32_t item = txn->items[i];
        struct txn_effect effect;
        if (item % GROUPS != group)
            continue;
        if (!commits)
            txn_cancel(&w->items[item], txn->id, &effect);
        else if (txn_commit(&w->items[item], txn->id, &effect) != STATUS_OK)
            fault(w, "an item changed under its intent");
        if (effect.timestamp > 0)
            txn->applied++;
        if (effect.remove_intent)
            apply(w, item, &effect, txn->node);
    }
}

/* ---- The ledger and the tokens ---- */

static enum txn_result ledger_do(struct world *w, const struct message *m, enum txn_state *found)
{
    enum txn_state *state = &w->ledger[m->txn];
    enum txn_state to = TXN_STATE_NONE;
    *found = *state;
    switch (m->action) {
    case TXN_LEDGER_READ:
    case TXN_LEDGER_NOTHING:
        return TXN_RESULT_OK;
    case TXN_LEDGER_INSERT:
        to = TXN_STATE_PREPARING;
        break;
    case TXN_LEDGER_COMMIT:
        to = TXN_STATE_COMMITTING;
        break;
    case TXN_LEDGER_CANCEL:
        to = TXN_STATE_CANCELLING;
        break;
    case TXN_LEDGER_COMPLETE:
        to = m->commits ? TXN_STATE_COMMITTED : TXN_STATE_CANCELLED;
        break;
    }
    if (w->broken == NO_INSERTED_CANCEL && to == TXN_STATE_CANCELLING && *state == TXN_STATE_NONE)
        return TXN_RESULT_OK; /* says so, and inserts nothing */
    bool decision = to == TXN_STATE_COMMITTING || to == TXN_STATE_CANCELLING;
    if (!txn_state_may_follow(*state, to) && !(w->broken == NO_LEDGER_CONDITION && decision))
        return TXN_RESULT_REFUSED;
    *state = to;
    return TXN_RESULT_OK;
}

static enum txn_result token_do(struct world *w, uint32_t index)
{
    uint32_t *row = &w->tokens[w->txns[index].token];
    if (*row == 0)
        *row = index + 1;
    return *row == index + 1 ? TXN_RESULT_OK : TXN_RESULT_REFUSED;
}

/* ---- The network ---- */

static void post(struct world *w, struct message message)
{
    if (w->message_count < MESSAGES)
        w->messages[w->message_count++] = message; /* at the bound it is lost */
}

static void take_update(struct world *w, uint32_t index, const struct txn_update *update)
{
    struct coordinator *c = &w->coordinators[index];
    struct transaction *txn = &w->txns[c->txn];
    struct message base = {.coordinator = index, .incarnation = c->incarnation, .txn = c->txn};
    c->timeout_ns = update->timeout_ns;
    for (uint32_t i = 0; i < txn->participant_count; i++) {
        struct message m = base;
        m.participant = i;
        m.type = PREPARE;
        if (txn_set_has(update->prepare, i))
            post(w, m);
        m.type = OUTCOME;
        m.commits = true;
        if (txn_set_has(update->commit, i))
            post(w, m);
        m.commits = false;
        if (txn_set_has(update->cancel, i))
            post(w, m);
    }
    if (update->insert_token) {
        struct message m = base;
        m.type = TOKEN;
        post(w, m);
    }
    if (update->ledger != TXN_LEDGER_NOTHING) {
        struct message m = base;
        m.type = LEDGER;
        m.action = update->ledger;
        m.commits = update->commits;
        m.ledger_number = update->ledger_number;
        post(w, m);
    }
    if (update->answer != TXN_ANSWER_NONE) {
        CHECK(w, txn->answer == TXN_ANSWER_NONE);
        txn->answer = update->answer;
        if (update->answer == TXN_ANSWER_COMMITTED)
            CHECK(w, txn->applied == txn->count);
        w->commits += update->answer == TXN_ANSWER_COMMITTED;
        w->replays += update->answer == TXN_ANSWER_TOKEN_TAKEN;
    }
    if (update->ended) {
        c->alive = false;
        txn->may_act &= c->core.options.recovery;
    }
}

static void step(struct world *w, uint32_t index, struct txn_input input)
{
    struct txn_update update;
    input.now_ns = w->now_ns;
    txn_coordinator_step(&w->coordinators[index].core, &input, &update);
    take_update(w, index, &update);
}

static void serve(struct world *w, struct message *m)
{
    struct transaction *txn = &w->txns[m->txn];
    m->result = TXN_RESULT_OK;
    switch (m->type) {
    case PREPARE:
        m->result = prepare(w, txn, txn->groups[m->participant]);
        m->type = PREPARED;
        break;
    case OUTCOME:
        carry_out(w, txn, txn->groups[m->participant], m->commits);
        m->type = CARRIED_OUT;
        break;
    case LEDGER:
        m->result = ledger_do(w, m, &m->found);
        m->type = LEDGER_SAID;
        break;
    default:
        m->result = token_do(w, m->txn);
        m->type = TOKEN_SAID;
        break;
    }
}

static void receive(struct world *w, const struct message *m)
{
    static const enum txn_input_type types[] = {[PREPARED] = TXN_PREPARE_ANSWER,
                                                [CARRIED_OUT] = TXN_OUTCOME_ANSWER,
                                                [LEDGER_SAID] = TXN_LEDGER_ANSWER,
                                                [TOKEN_SAID] = TXN_TOKEN_ANSWER};
    struct coordinator *c = &w->coordinators[m->coordinator];
    if (!c->alive || c->incarnation != m->incarnation)
        return;
    step(w, m->coordinator,
         (struct txn_input){.type = types[m->type],
                            .result = m->result,
                            .participant = m->participant,
                            .found = m->found,
                            .is_cancel = !m->commits,
                            .ledger_number = m->ledger_number});
}

static void deliver(struct world *w)
{
    if (w->message_count == 0)
        return;
    uint32_t at = below(w, w->message_count);
    struct message m = w->messages[at];
    bool is_request = m.type <= TOKEN;
    if (w->calm || !is_request || !one_in(w, 12)) /* else it comes again, later */
        w->messages[at] = w->messages[--w->message_count];
    if (!is_request) {
        receive(w, &m);
        return;
    }
    bool lost = !w->calm && one_in(w, 25);
    bool silent = !w->calm && one_in(w, 25);
    if (!lost)
        serve(w, &m);
    else
        m.type = (enum message_type)(m.type + (PREPARED - PREPARE));
    if (lost || silent)
        m.result = TXN_RESULT_UNKNOWN;
    if (w->calm || !one_in(w, 40))
        post(w, m);
}

/* ---- Clients ---- */

static uint32_t choose_items(struct world *w, uint32_t items[ITEMS], uint32_t max)
{
    uint32_t chosen[ITEMS];
    for (uint32_t i = 0; i < ITEMS; i++)
        chosen[i] = i;
    uint32_t count = 1 + below(w, max);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t other = i + below(w, ITEMS - i);
        items[i] = chosen[other];
        chosen[other] = chosen[i];
    }
    return count;
}

static uint32_t free_coordinator(struct world *w)
{
    for (uint32_t i = 0; i < COORDINATORS; i++)
        if (!w->coordinators[i].alive)
            return i;
    return COORDINATORS;
}

static void start_coordinator(struct world *w, uint32_t txn, bool recovery)
{
    uint32_t index = free_coordinator(w);
    if (index == COORDINATORS)
        return;
    struct coordinator *c = &w->coordinators[index];
    struct txn_options options = {.participant_count = w->txns[txn].participant_count,
                                  .recovery = recovery,
                                  .with_token = w->txns[txn].token < TOKENS,
                                  .deadline_ns = w->now_ns + 3000 * MILLISECOND};
    c->incarnation++;
    c->alive = true;
    c->txn = txn;
    txn_coordinator_init(&c->core, &options);
    w->txns[txn].begun = true;
    w->txns[txn].may_act |= !recovery;
    w->recoveries += recovery;
    step(w, index, (struct txn_input){.type = TXN_BEGIN});
}

static void begin_transaction(struct world *w)
{
    if (w->txn_count == TXNS || free_coordinator(w) == COORDINATORS)
        return;
    uint32_t index = w->txn_count++;
    struct transaction *txn = &w->txns[index];
    *txn = (struct transaction){.id = {{1, (uint8_t)index}}, .token = TOKENS};
    txn->count = choose_items(w, txn->items, 4);
    uint32_t host = below(w, GROUPS);
    txn->timestamp = txn_clock_next(&w->clocks[host], w->now_ns + w->skews[GROUPS - 1 - host]);
    txn->node = new_node(w);
    if (one_in(w, 2))
        txn->token = below(w, TOKENS);
    for (uint32_t i = 0; i < txn->count; i++) {
        txn->kinds[i] = (enum txn_kind)(TXN_PUT + below(w, 3));
        bool known = false;
        for (uint32_t j = 0; j < txn->participant_count; j++)
            known |= txn->groups[j] == txn->items[i] % GROUPS;
        if (!known)
            txn->groups[txn->participant_count++] = txn->items[i] % GROUPS;
    }
    start_coordinator(w, index, false);
}

static void single_write(struct world *w)
{
    uint32_t item = below(w, ITEMS), group = item % GROUPS;
    if (!txn_may_write(&w->items[item]) && w->broken != NO_SINGLE_CONFLICT)
        return;
    bool is_delete = one_in(w, 3);
    if (is_delete && !w->items[item].present)
        return; /* changes nothing, and makes no entry */
    uint64_t timestamp = txn_write_timestamp(&w->groups[group], &w->items[item], hlc(w, group));
    if (w->broken == NO_SINGLE_TIMESTAMP)
        timestamp = w->hlcs[group];
    struct txn_effect effect;
    txn_write(&w->items[item], is_delete ? TXN_DELETE : TXN_PUT, timestamp, &effect);
    apply(w, item, &effect, new_node(w));
}

/* Two items of one partition, in one entry. */
static void one_round(struct world *w)
{
    uint32_t group = below(w, GROUPS);
    uint32_t items[2] = {group, group + GROUPS};
    uint64_t timestamp = hlc(w, group);
    for (uint32_t i = 0; i < 2; i++) {
        if (!txn_may_write(&w->items[items[i]]))
            return;
        timestamp = txn_write_timestamp(&w->groups[group], &w->items[items[i]], timestamp);
    }
    uint32_t node = new_node(w);
    for (uint32_t i = 0; i < 2; i++) {
        struct txn_effect effect;
        txn_write(&w->items[items[i]], (enum txn_kind)(TXN_PUT + below(w, 3)), timestamp, &effect);
        apply(w, items[i], &effect, node);
    }
}

static void read_on(struct world *w, struct reader *reader)
{
    if (reader->count == 0) {
        *reader = (struct reader){0};
        reader->count = choose_items(w, reader->items, 4);
        return;
    }
    uint32_t i = reader->done % reader->count;
    uint32_t item = reader->items[i];
    const struct txn_group *group = &w->groups[item % GROUPS];
    bool good;
    if (reader->done < reader->count) {
        /* The refusal at the first read is for speed alone: so half of the readers do without. */
        good = one_in(w, 2) || txn_may_read(&w->items[item]);
        reader->versions[i] = txn_item_version(group, &w->items[item]);
        reader->positions[i] = w->history_count[item];
    } else {
        good = w->broken == NO_READ_CONFLICT
                   ? txn_item_version(group, &w->items[item]) == reader->versions[i]
                   : txn_may_confirm(group, &w->items[item], reader->versions[i]);
        good |= w->broken == NO_SECOND_READ;
    }
    if (!good) {
        reader->count = 0;
        return;
    }
    if (++reader->done < 2 * reader->count)
        return;
    uint32_t node = new_node(w);
    for (uint32_t k = 0; k < reader->count && w->read_count < NODES; k++) {
        w->reads[w->read_count].node = node;
        w->reads[w->read_count].item = reader->items[k];
        w->reads[w->read_count++].position = reader->positions[k];
    }
    w->reads_done++;
    reader->count = 0;
}

/* ---- Recovery, purging, time ---- */

static bool open_in_ledger(enum txn_state state)
{
    return state == TXN_STATE_PREPARING || state == TXN_STATE_COMMITTING ||
           state == TXN_STATE_CANCELLING;
}

static bool has_intents(const struct world *w, uint32_t txn)
{
    for (uint32_t i = 0; i < ITEMS; i++)
        if (w->items[i].has_intent && txn_id_equal(w->items[i].intent_id, w->txns[txn].id))
            return true;
    return false;
}

static bool is_stale(const struct world *w, uint32_t txn)
{
    return w->txns[txn].begun && (open_in_ledger(w->ledger[txn]) || has_intents(w, txn));
}

static void recover(struct world *w)
{
    if (w->txn_count == 0)
        return;
    uint32_t txn = below(w, w->txn_count);
    if (is_stale(w, txn))
        start_coordinator(w, txn, true);
}

/* Rows stay until nothing of the first coordinator is under way. */
static void purge(struct world *w)
{
    if (w->txn_count == 0)
        return;
    uint32_t txn = below(w, w->txn_count);
    bool mute = w->ledger[txn] != TXN_STATE_COMMITTED && w->ledger[txn] != TXN_STATE_CANCELLED;
    for (uint32_t i = 0; i < w->message_count; i++)
        mute |= w->messages[i].type == LEDGER && w->messages[i].txn == txn;
    if (mute || w->txns[txn].may_act || w->txns[txn].purged)
        return;
    w->txns[txn].purged = true;
    w->ledger[txn] = TXN_STATE_NONE;
}

static void fire_timeouts(struct world *w)
{
    for (uint32_t i = 0; i < COORDINATORS; i++)
        if (w->coordinators[i].alive && w->now_ns >= w->coordinators[i].timeout_ns)
            step(w, i, (struct txn_input){.type = TXN_TIMEOUT});
}

static void crash(struct world *w)
{
    struct coordinator *c = &w->coordinators[below(w, COORDINATORS)];
    if (!c->alive)
        return;
    c->alive = false;
    w->txns[c->txn].may_act &= c->core.options.recovery;
}

static void turn(struct world *w)
{
    w->now_ns += below(w, 3) == 0 ? below(w, 20) * MILLISECOND : below(w, 1000);
    fire_timeouts(w);
    uint32_t choice = below(w, 100);
    if (choice < 55)
        deliver(w);
    else if (choice < 62)
        begin_transaction(w);
    else if (choice < 67)
        single_write(w);
    else if (choice < 69)
        one_round(w);
    else if (choice < 90)
        read_on(w, &w->readers[below(w, READERS)]);
    else if (choice < 93 && one_in(w, 3))
        recover(w);
    else if (choice < 95)
        purge(w);
    else if (choice == 95 && one_in(w, 2))
        crash(w);
}

/* ---- Judgement ---- */

/* Does a path lead from `node` back to itself?  colours: 0 new, 1 on the path, 2 done. */
static bool has_cycle(const uint8_t *edges, uint32_t count, uint32_t node, uint8_t *colours)
{
    colours[node] = 1;
    for (uint32_t next = 0; next < count; next++) {
        if (!edges[(size_t)node * count + next] || next == node)
            continue;
        if (colours[next] == 1 || (colours[next] == 0 && has_cycle(edges, count, next, colours)))
            return true;
    }
    colours[node] = 2;
    return false;
}

static void add_edge(uint8_t *edges, uint32_t count, uint32_t from, uint32_t to)
{
    edges[(size_t)from * count + to] = 1;
}

/* The edges that one operation, or one read at `position`, has with the writes around it. */
static void add_edges(struct world *w, uint8_t *edges, uint32_t item, uint32_t position,
                      uint32_t from, uint32_t node)
{
    const struct operation *history = w->history[item];
    uint32_t count = w->node_count;
    for (uint32_t k = position; k-- > 0;) {
        if (history[k].writes) {
            add_edge(edges, count, history[k].node, node);
            break;
        }
    }
    for (uint32_t k = from; k < w->history_count[item]; k++) {
        if (history[k].writes) {
            add_edge(edges, count, node, history[k].node);
            break;
        }
    }
}

static void judge_order(struct world *w)
{
    uint32_t count = w->node_count;
    uint8_t *edges = calloc((size_t)count + 1, count + 1);
    uint8_t *colours = calloc(count + 1, 1);
    assert_non_null(edges);
    assert_non_null(colours);
    for (uint32_t item = 0; item < ITEMS; item++)
        for (uint32_t k = 0; k < w->history_count[item]; k++)
            add_edges(w, edges, item, k, k + 1, w->history[item][k].node);
    for (uint32_t k = 0; k < w->read_count; k++)
        add_edges(w, edges, w->reads[k].item, w->reads[k].position, w->reads[k].position,
                  w->reads[k].node);
    for (uint32_t node = 0; node < count; node++)
        if (colours[node] == 0 && has_cycle(edges, count, node, colours))
            fault(w, "the order of versions has a cycle");
    free(edges);
    free(colours);
}

static void judge(struct world *w)
{
    uint32_t committed_under[TOKENS] = {0};
    for (uint32_t i = 0; i < w->txn_count; i++) {
        const struct transaction *txn = &w->txns[i];
        CHECK(w, txn->applied == 0 || txn->applied == txn->count);
        CHECK(w, txn->answer != TXN_ANSWER_COMMITTED || txn->applied == txn->count);
        CHECK(w, txn->answer != TXN_ANSWER_CANCELLED || txn->applied == 0);
        CHECK(w, txn->answer != TXN_ANSWER_TOKEN_TAKEN || txn->applied == 0);
        CHECK(w, !open_in_ledger(w->ledger[i]) && !has_intents(w, i));
        CHECK(w, !txn_state_commits(w->ledger[i]) || txn->applied == txn->count);
        if (txn->token < TOKENS && txn->applied > 0)
            CHECK(w, ++committed_under[txn->token] == 1);
    }
    judge_order(w);
}

/* Without new trouble everything ends: late messages arrive, recoveries see to the rest. */
static void come_to_rest(struct world *w)
{
    w->calm = true;
    for (uint32_t i = 0; i < 20000; i++) {
        bool busy = w->message_count > 0;
        for (uint32_t k = 0; k < COORDINATORS; k++)
            busy |= w->coordinators[k].alive;
        for (uint32_t k = 0; k < w->txn_count; k++)
            busy |= is_stale(w, k);
        if (!busy)
            return;
        w->now_ns += 10 * MILLISECOND;
        fire_timeouts(w);
        deliver(w);
        deliver(w);
        if (w->message_count == 0)
            recover(w);
    }
    fault(w, "it does not come to rest");
}

/* NULL, or what is wrong. */
static const char *run(uint64_t seed, enum broken broken, struct world *w)
{
    memset(w, 0, sizeof(*w));
    prng_init(&w->prng, seed);
    w->broken = broken;
    w->now_ns = UINT64_C(1000000000000);
    for (uint32_t i = 0; i < GROUPS; i++)
        w->skews[i] = below(w, 3) * 300 * MILLISECOND;
    for (uint32_t i = 0; i < STEPS && w->fault == NULL && w->node_count < NODES - 8; i++)
        turn(w);
    if (w->fault == NULL)
        come_to_rest(w);
    judge(w);
    return w->fault;
}

static uint64_t seeds(void)
{
    const char *text = getenv("TRINE_TEST_SEEDS");
    return text != NULL ? strtoull(text, NULL, 10) : 150;
}

static void transactions_are_serializable_whatever_happens(void **state)
{
    (void)state;
    static struct world w;
    uint32_t commits = 0, recoveries = 0, reads = 0, replays = 0;
    for (uint64_t seed = 1; seed <= seeds(); seed++) {
        const char *what = run(seed, WHOLE, &w);
        if (what != NULL)
            fail_msg("seed %llu: %s", (unsigned long long)seed, what);
        commits += w.commits;
        recoveries += w.recoveries;
        reads += w.reads_done;
        replays += w.replays;
    }
    /* The runs are worth something. */
    assert_true(commits > seeds());
    assert_true(recoveries > seeds());
    assert_true(reads > seeds());
    assert_true(replays > 0);
}

static void the_judge_finds_each_missing_rule(void **state)
{
    (void)state;
    static struct world w;
    for (int broken = WHOLE + 1; broken < BROKEN_COUNT; broken++) {
        uint64_t seed = 1;
        while (seed <= 400 && run(seed, (enum broken)broken, &w) == NULL)
            seed++;
        if (seed > 400)
            fail_msg("rule %d is not missed", broken);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transactions_are_serializable_whatever_happens),
        cmocka_unit_test(the_judge_finds_each_missing_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
