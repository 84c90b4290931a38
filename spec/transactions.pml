/* transactions.pml - the transaction protocol of docs/transactions.md, for spin.
 *
 * Two items, each in a partition of its own; two transactions over both; single writes; a
 * TransactGetItems; a recovery or two; messages that come late or twice.  A step of a partition is
 * a committed entry of its log, a step of the ledger a committed conditional put, so each is atomic
 * and outlives a crash; what a crash or a lost answer takes away is what the caller knew.
 *
 * Not in the model: several items of one partition in one entry (that is one atomic step, like a
 * single write), idempotency tokens, splits, the log below (spec of the groups).
 *
 * Bounds, by -D:  COORDINATORS  transactions, 1 or 2
 *                 WRITES  single writes        LATE  late messages        RECOVERIES  processes
 *                 CRASHES of coordinators      READER  there is a TransactGetItems
 *                 KIND0, KIND1  what the transactions do to the first item
 *                 ABSENT  the first item is absent at first     LEDGER_PURGE  rows are purged
 *
 * Rules, each taken away by a -D; the check must then fail:
 *   NO_INTENT_CONFLICT     a prepare is refused where another transaction's intent is
 *   NO_SINGLE_CONFLICT     a single write is refused where an intent is
 *   NO_TIMESTAMP_CHECK     a prepare's timestamp must be above the item's
 *   NO_ABSENT_TIMESTAMP    for an absent item: above the group's highest of absent items
 *   NO_CHECK_STAMP         a committed condition check stamps the item
 *   NO_SINGLE_TIMESTAMP    a single write's timestamp is above the item's
 *   NO_LEDGER_CONDITION    a state follows only the one before it
 *   NO_INSERTED_CANCEL     who finds no row inserts CANCELLING before removing an intent
 *   NO_DECISION_FIRST      commits are sent only when COMMITTING is in the ledger
 *   NO_DECISION_READ       a coordinator that does not know what the ledger says asks it
 *   NO_DURABLE_INTENT      an intent is in the log before the prepare is answered
 *   NO_ANSWER_LAST         the client is told of success only when all commits are applied
 *   NO_COMPLETION_LAST     COMPLETED only when all participants have the outcome
 *   NO_NUDGE               a partition reports intents that stay
 *   NO_RETENTION           a row is purged only when its coordinator can no longer act
 *   NO_SECOND_READ         TransactGetItems reads twice and compares versions
 *   NO_READ_CONFLICT       it is refused where an intent is, at the second read too
 *   NO_ABSENT_VERSION      the version of an absent item is that of the group's last delete
 */
#ifndef COORDINATORS
#define COORDINATORS 2
#endif
#ifndef WRITES
#define WRITES 1
#endif
#ifndef LATE
#define LATE 1
#endif
#ifndef RECOVERIES
#define RECOVERIES 1
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifdef READER
#define READERS 1
#else
#define READERS 0
#endif

#define ITEMS 2
#define TXNS  2
#define AT(t, i) ((t) * ITEMS + (i))

mtype = { NONE, PREPARING, COMMITTING, CANCELLING, COMMITTED, CANCELLED }; /* the ledger's states;
                                     * the last two are COMPLETED, with its outcome */
mtype = { PUT, DELETE, CHECK };

/* ---- What is stored ---- */

bool present[ITEMS];
byte stamp[ITEMS];          /* write timestamp of a present item */
byte absent_stamp[ITEMS];   /* of the group: highest of deletes and of checks of absent items */
byte intent[ITEMS];         /* transaction + 1; 0 = none */
mtype ledger[TXNS] = NONE;

/* ---- The transactions ---- */

byte timestamp[TXNS];
mtype kind[TXNS * ITEMS];

/* ---- What really happened: only assertions look at this ---- */

byte count[ITEMS];           /* operations applied so far */
byte newest[ITEMS];          /* of them, the number of the last that wrote */
byte highest[ITEMS];         /* timestamp of the last operation, checks included */
byte wrote[ITEMS];           /* bit n: operation n wrote */
byte applied[TXNS * ITEMS];  /* the operation's number; 0 = not applied */
byte saw[TXNS * ITEMS];      /* the write that its condition was evaluated on */
bool sent[TXNS * ITEMS];     /* a prepare is on its way, perhaps more than once */
bool told_commit[TXNS], told_cancel[TXNS]; /* some coordinator may have sent these */
bool ended[TXNS];            /* the first coordinator can no longer act */
bool refused[TXNS];          /* the client was told that nothing happened */
bool purged[TXNS];
byte read_at[ITEMS];         /* the write that the reader saw */
bool read_done;
byte crashes = CRASHES;
byte running;                /* processes but the recoveries */

/* A version is a slot of the log; the number of the write says as much. */
#ifdef NO_ABSENT_VERSION
#define CURRENT_VERSION(i) (present[i] -> newest[i] : 0)
#else
#define CURRENT_VERSION(i) newest[i]
#endif
#ifdef NO_ABSENT_TIMESTAMP
#define CURRENT_STAMP(i) (present[i] -> stamp[i] : 0)
#else
#define CURRENT_STAMP(i) (present[i] -> stamp[i] : absent_stamp[i])
#endif

#ifdef NO_INTENT_CONFLICT
#define FREE_TO_PREPARE(i) true
#else
#define FREE_TO_PREPARE(i) (intent[i] == 0)
#endif
#ifdef NO_TIMESTAMP_CHECK
#define LATE_ENOUGH(t, i) true
#else
#define LATE_ENOUGH(t, i) (timestamp[t] > CURRENT_STAMP(i))
#endif
#ifdef NO_SINGLE_CONFLICT
#define FREE_TO_WRITE(i) true
#else
#define FREE_TO_WRITE(i) (intent[i] == 0)
#endif

inline select_one(i)
{
    if
    :: i = 0
    :: i = 1
    fi
}

/* Only late messages need to know what was sent. */
#if LATE > 0
#define NOTE(what) what = true
#else
#define NOTE(what) skip
#endif

/* ---- Steps of a partition ---- */

/* An operation takes effect: its place in the order of timestamps is behind all before it. */
inline happens(i, when)
{
    assert(when > highest[i]);
    highest[i] = when;
    count[i]++
}

inline write_item(i, how, when)
{
    newest[i] = count[i];
#ifdef READER
    wrote[i] = wrote[i] | (1 << count[i]);
#endif
    if
    :: how == PUT -> present[i] = true; stamp[i] = when
    :: else ->
        present[i] = false;
        stamp[i] = 0;
        absent_stamp[i] = (absent_stamp[i] > when -> absent_stamp[i] : when)
    fi
}

inline stamp_item(i, when)
{
#ifndef NO_CHECK_STAMP
    if
    :: present[i] -> stamp[i] = when
    :: else -> absent_stamp[i] = (absent_stamp[i] > when -> absent_stamp[i] : when)
    fi
#else
    skip
#endif
}

inline prepare(t, i, yes)
{
    d_step {
        NOTE(sent[AT(t, i)]);
        if
        :: intent[i] == t + 1 -> yes = true
        :: intent[i] != t + 1 && FREE_TO_PREPARE(i) && LATE_ENOUGH(t, i) ->
            intent[i] = t + 1;
            saw[AT(t, i)] = newest[i];
            yes = true
        :: else -> yes = false
        fi
    }
}

inline commit(t, i)
{
    d_step {
        if
        :: intent[i] == t + 1 ->
            assert(applied[AT(t, i)] == 0);      /* never twice */
            assert(saw[AT(t, i)] == newest[i]);  /* its condition still holds */
            happens(i, timestamp[t]);
            applied[AT(t, i)] = count[i];
            if
            :: kind[AT(t, i)] == CHECK || (kind[AT(t, i)] == DELETE && !present[i]) ->
                stamp_item(i, timestamp[t]) /* nothing is there to be deleted */
            :: else -> write_item(i, kind[AT(t, i)], timestamp[t])
            fi;
            intent[i] = 0;
            saw[AT(t, i)] = 0
        :: else
        fi
    }
}

inline cancel(t, i)
{
    d_step {
        if
        :: intent[i] == t + 1 -> intent[i] = 0; saw[AT(t, i)] = 0
        :: else
        fi
    }
}

/* ---- Steps of the ledger ---- */

/* The conditional put of a decision; `outcome` is what the ledger says afterwards. */
inline decide(t, from, to, outcome)
{
    d_step {
        if
#ifdef NO_LEDGER_CONDITION
        :: true -> ledger[t] = to
#else
        :: ledger[t] == from -> ledger[t] = to
        :: else
#endif
        fi;
        outcome = ledger[t]
    }
}

inline complete(t, outcome)
{
    d_step {
        if
        :: outcome == COMMITTING && ledger[t] == COMMITTING -> ledger[t] = COMMITTED
        :: outcome == CANCELLING && ledger[t] == CANCELLING -> ledger[t] = CANCELLED
        :: else
        fi
    }
}

#define IS_COMMIT(outcome) (outcome == COMMITTING || outcome == COMMITTED)

/* Send the outcome to both partitions. */
inline carry_out(t, outcome)
{
    if
    :: atomic { IS_COMMIT(outcome) -> NOTE(told_commit[t]); commit(t, 0) };
        commit(t, 1)
    :: atomic { !IS_COMMIT(outcome) -> NOTE(told_cancel[t]); cancel(t, 0) };
        cancel(t, 1)
    fi
}

/* ---- A transaction's first coordinator ---- */

#define MAY_CRASH :: atomic { crashes > 0 -> crashes--; goto gone }

inline ask(t, i)
{
    prepare(t, i, yes);
    if
    :: yes -> yes = false
    :: yes = false; failed = true /* refused, or no answer in time */
    fi
}

proctype coordinator(byte t)
{
    bool inserted, asked[ITEMS], failed, yes;
    mtype outcome = NONE;

    /* The row and the prepares are sent together and arrive in any order. */
    do
    :: d_step {
            !inserted ->
            if
            :: ledger[t] == NONE -> ledger[t] = PREPARING
            :: else -> failed = true
            fi;
            inserted = true
        }
    :: atomic { !failed && !asked[0] -> asked[0] = true; ask(t, 0) }
    :: atomic { !failed && !asked[1] -> asked[1] = true; ask(t, 1) }
    :: atomic { inserted && (failed || (asked[0] && asked[1])) -> break }
    MAY_CRASH
    od;

#ifdef NO_DECISION_FIRST
    if
    :: !failed -> NOTE(told_commit[t]); commit(t, 0)
    :: else
    fi;
    if
    :: true
    MAY_CRASH
    fi;
#endif
    if
    :: atomic { failed -> decide(t, PREPARING, CANCELLING, outcome) }
    :: atomic {
            !failed -> decide(t, PREPARING, COMMITTING, outcome);
#ifdef NO_DECISION_READ
            if
            :: true
            :: outcome = CANCELLING /* the answer is lost, and taken for a no */
            fi
#endif
        }
    MAY_CRASH
    fi;
    if
    :: true
    MAY_CRASH
    fi;
#ifdef NO_ANSWER_LAST
    if
    :: IS_COMMIT(outcome) -> assert(applied[AT(t, 0)] > 0 && applied[AT(t, 1)] > 0)
    :: else
    fi;
#endif
#ifdef NO_COMPLETION_LAST
    complete(t, outcome);
    if
    :: true
    MAY_CRASH
    fi;
#endif
    carry_out(t, outcome);
    atomic {
        if
        :: IS_COMMIT(outcome) -> assert(applied[AT(t, 0)] > 0 && applied[AT(t, 1)] > 0)
        :: else -> refused[t] = true
        fi;
        complete(t, outcome)
    }
gone:
    atomic {
#ifdef LEDGER_PURGE
        ended[t] = true;
#endif
        inserted = false; asked[0] = false; asked[1] = false; failed = false; outcome = NONE;
        running--
    }
}

/* ---- Recovery: by the scan of the ledger, and by the nudges of partitions ---- */

#define OPEN(t) (ledger[t] == PREPARING || ledger[t] == COMMITTING || ledger[t] == CANCELLING)
#ifdef NO_NUDGE
#define STALE(t) OPEN(t)
#else
#define STALE(t) (OPEN(t) || intent[0] == t + 1 || intent[1] == t + 1)
#endif
#define QUIET (running == 0 && intent[0] == 0 && intent[1] == 0 && !OPEN(0) && !OPEN(1))

#ifdef NO_RETENTION
#define MAY_PURGE(t) (!purged[t] && (ledger[t] == COMMITTED || ledger[t] == CANCELLED))
#else
#define MAY_PURGE(t) (!purged[t] && ended[t] && (ledger[t] == COMMITTED || ledger[t] == CANCELLED))
#endif

/* What it read may be old when it acts on it. */
inline recover(t, outcome)
{
    if
    :: atomic { outcome == NONE ->
#ifdef NO_INSERTED_CANCEL
            outcome = CANCELLING
#else
            decide(t, NONE, CANCELLING, outcome)
#endif
        }
    :: atomic { outcome == PREPARING -> decide(t, PREPARING, CANCELLING, outcome) }
    :: else
    fi;
    if
    :: atomic { outcome != NONE && outcome != PREPARING -> skip };
        carry_out(t, outcome);
        complete(t, outcome)
    :: else /* inserted, or purged, meanwhile: look again */
    fi;
    d_step { t = 0; outcome = NONE }
}

proctype recovery()
{
    byte t;
    mtype outcome = NONE;

    do
    :: atomic { STALE(0) -> t = 0; outcome = ledger[0] }; recover(t, outcome)
    :: atomic { STALE(1) -> t = 1; outcome = ledger[1] }; recover(t, outcome)
#ifdef LEDGER_PURGE
    :: d_step { MAY_PURGE(0) -> purged[0] = true; ledger[0] = NONE }
    :: d_step { MAY_PURGE(1) -> purged[1] = true; ledger[1] = NONE }
#endif
    :: QUIET -> break
    od
}

/* ---- Messages that come late, or twice ---- */

proctype network()
{
    byte left = LATE, t, i;
    bool yes;

    do
    :: atomic {
            left > 0 ->
            left--;
            select_one(t);
            select_one(i);
            if
            :: sent[AT(t, i)] -> prepare(t, i, yes); yes = false
            :: told_commit[t] -> commit(t, i)
            :: told_cancel[t] -> cancel(t, i)
            :: else
            fi;
            t = 0;
            i = 0
        }
    :: atomic { left == 0 || running == 1 -> break }
    od;
    atomic { left = 0; running-- }
}

#ifdef NO_DURABLE_INTENT
/* A partition's leader crashes, and what was only in its memory is gone. */
proctype crash()
{
    if
    :: intent[0] = 0
    :: intent[1] = 0
    fi;
    running--
}
#endif

/* ---- Single writes and reads ---- */

inline single_write(i, how)
{
    d_step {
        if
        :: FREE_TO_WRITE(i) && how == DELETE && !present[i] -> /* changes nothing */
        :: FREE_TO_WRITE(i) && (how == PUT || present[i]) ->
            /* The slowest of clocks: the rule alone gives the timestamp. */
#ifdef NO_SINGLE_TIMESTAMP
            happens(i, 2);
            write_item(i, how, 2)
#else
            next = (stamp[i] > absent_stamp[i] -> stamp[i] : absent_stamp[i]) + 1;
            happens(i, next);
            write_item(i, how, next);
            next = 0
#endif
        :: else /* TransactionConflictException */
        fi
    }
}

proctype writer()
{
    byte left = WRITES, i, next;

    do
    :: atomic {
            left > 0 ->
            left--;
            select_one(i);
            if
            :: single_write(i, PUT)
            :: single_write(i, DELETE)
            fi;
            i = 0
        }
    :: atomic { left == 0 -> running--; break }
    od
}

#ifdef NO_READ_CONFLICT
#define IN_FLIGHT(i) false
#else
#define IN_FLIGHT(i) (intent[i] != 0)
#endif

#ifdef READER
/* That a first read meets an intent need not be refused for what is read to be right: the second
 * read would be, or find another version.  So the model goes on. */
inline read_first(i)
{
    d_step { seen[i] = CURRENT_VERSION(i); read_at[i] = newest[i] }
}

inline read_second(i)
{
    d_step {
        if
        :: IN_FLIGHT(i) || seen[i] != CURRENT_VERSION(i) -> conflict = true
        :: else
        fi
    }
}

proctype reader()
{
    byte seen[ITEMS], first;
    bool conflict;

    atomic { select_one(first); read_first(first) };
    read_first(1 - first);
#ifndef NO_SECOND_READ
    atomic { select_one(first); read_second(first) };
    read_second(1 - first);
#endif
    d_step {
        read_done = !conflict;
        read_at[0] = (conflict -> 0 : read_at[0]);
        read_at[1] = (conflict -> 0 : read_at[1]);
        seen[0] = 0; seen[1] = 0; first = 0; conflict = false;
        running--
    }
}
#endif

/* ---- The choice of a run ---- */

/* Both write the second item; what they do to the first is given (KIND0, KIND1). */
#ifndef KIND0
#define KIND0 PUT
#endif
#ifndef KIND1
#define KIND1 CHECK
#endif

inline choose_transactions()
{
    kind[AT(0, 0)] = KIND0;
    kind[AT(0, 1)] = PUT;
    kind[AT(1, 0)] = KIND1;
    kind[AT(1, 1)] = PUT;
    /* A single write's comes to 2, then 3. */
    timestamp[0] = 3;
    if
    :: timestamp[1] = 2
    :: timestamp[1] = 4
    fi;
    present[1] = true;
    stamp[1] = 1;
    highest[0] = 1;
    highest[1] = 1;
    absent_stamp[0] = 1;
    absent_stamp[1] = 1;
#ifndef ABSENT
    present[0] = true;
    stamp[0] = 1
#endif
}

/* ---- What must hold in the end ---- */

/* Of item i: the first write behind what the reader saw. */
inline first_unseen(i, n)
{
    n = read_at[i] + 1;
    do
    :: n <= count[i] && !(wrote[i] & (1 << n)) -> n++
    :: else -> break
    od
}

/* What the reader saw is what its first reads returned: equal versions are to say that it is still
 * so, and was in between. */

/* Had the reader seen the transaction's operation on j, or what came after it there, while it did
 * not see a write on i that came before the transaction's operation there, then no order of the
 * three would explain it. */
#define TORN(t, i, j, unseen) (applied[AT(t, i)] > 0 && applied[AT(t, j)] > 0 && \
    unseen <= count[i] && unseen <= applied[AT(t, i)] && read_at[j] >= applied[AT(t, j)])

inline check_all()
{
    d_step {
        /* Atomicity, and that the client was told the truth. */
        assert((applied[AT(0, 0)] > 0) == (applied[AT(0, 1)] > 0));
        assert((applied[AT(1, 0)] > 0) == (applied[AT(1, 1)] > 0));
        assert(!(refused[0] && applied[AT(0, 0)] > 0));
        assert(!(refused[1] && applied[AT(1, 0)] > 0));
        if
        :: read_done ->
            first_unseen(0, n);
            assert(!TORN(0, 0, 1, n) && !TORN(1, 0, 1, n));
            first_unseen(1, n);
            assert(!TORN(0, 1, 0, n) && !TORN(1, 1, 0, n))
        :: else
        fi;
        n = 0
    }
}

init
{
    byte n;

    atomic {
        choose_transactions();
        run coordinator(0);
        running = 1 + READERS;
#if COORDINATORS > 1
        run coordinator(1);
        running++;
#endif
#if LATE > 0
        run network();
        running++;
#endif
#if WRITES > 0
        run writer();
        running++;
#endif
#ifdef READER
        run reader();
#endif
#ifdef NO_DURABLE_INTENT
        run crash();
        running++;
#endif
        n = 0;
        do
        :: n < RECOVERIES -> run recovery(); n++
        :: else -> break
        od;
        n = 0
    }
    /* Progress: whatever went wrong, the recoveries leave nothing behind and end; a run in which
     * they cannot is an invalid end state. */
    _nr_pr == 1;
    check_all()
}
