"""The search for anomalies finds each of them in a history made by hand, and none in good ones."""

import random

import pytest

from isolation import FAILED, OK, UNKNOWN, Op, check, token


def names(ops, orders):
    return {name for name, _ in check(ops, orders)}


def write(number, begin, end, outcome=OK, reads=None, **keys):
    """An operation that appends its token to each key, or, "delete", deletes it."""
    return Op(number, begin, end, outcome, reads, {
        key: ("delete", ()) if how == "delete" else (how, (token(number),)) for key, how in keys.items()})


def read(number, begin, end, alone=False, strong=True, **reads):
    return Op(number, begin, end, OK, reads, alone=alone, strong=strong)


def versions(*numbers):
    """The versions of an item to which these appended, one after the other."""
    return [None] + [tuple(token(n) for n in numbers[:i + 1]) for i in range(len(numbers))]


A, B, AB = (token(1),), (token(2),), (token(1), token(2))
BAD = {
    # Both wrote both items, in different orders.
    "G0": ([write(1, 0, 9, x="append", y="append"), write(2, 0, 9, x="append", y="append")],
           {"x": versions(1, 2), "y": versions(2, 1)}),
    # A transaction that was refused is seen: by a reader, in the order of versions, by a delete.
    "G1a": [([write(1, 0, 9, FAILED, x="append"), read(2, 0, 9, x=A)], {"x": [None]}),
            ([write(1, 0, 9, FAILED, x="append")], {"x": versions(1)}),
            ([write(1, 0, 1, x="append"), write(2, 2, 3, FAILED, {"x": A}, x="delete")], {"x": [*versions(1), None]})],
    # One saw the half of what another wrote at once.
    "G1b": ([Op(1, 0, 9, OK, writes={"x": ("append", (token(1), token(1, 1)))}), read(2, 0, 9, x=A)],
            {"x": [None, (token(1), token(1, 1))]}),
    # Each saw what the other wrote; one saw the second of two that were written one after the other, not the first.
    "G1c": ([write(1, 0, 9, reads={"y": B}, x="append"), write(2, 0, 9, reads={"x": A}, y="append")],
            {"x": versions(1), "y": versions(2)}),
    # A lost update; a read of a transaction on one item and not on the other; a creation on what was there.
    "G-single": [([write(1, 0, 1, x="append"), write(2, 2, 9, reads={"x": A}, x="append"), write(3, 2, 9, reads={"x": A}, x="append")],
                  {"x": versions(1, 2, 3)}),
                 ([write(1, 0, 9, x="append", y="append"), read(2, 0, 9, x=A, y=None)], {"x": versions(1), "y": versions(1)}),
                 ([write(1, 0, 9, x="append"), write(2, 0, 9, reads={"x": None}, x="append")], {"x": versions(1, 2)})],
    # Write skew; two readers who saw two writers in different orders.
    "G2": [([write(1, 0, 9, reads={"y": None}, x="append"), write(2, 0, 9, reads={"x": None}, y="append")],
            {"x": versions(1), "y": versions(2)}),
           ([write(1, 0, 9, x="append"), write(2, 0, 9, y="append"), read(3, 0, 9, x=A, y=None), read(4, 0, 9, x=None, y=B)],
            {"x": versions(1), "y": versions(2)}),
           ([write(1, 0, 9, x="append"), write(2, 0, 9, reads={"x": A, "z": None}, y="append"),
             write(3, 0, 9, reads={"y": None}, z="append", x="append")], {"x": versions(1, 3), "y": versions(2), "z": versions(3)})],
    # In an order that is not that of time.
    "G0-realtime": ([write(1, 0, 1, x="append"), write(2, 2, 3, x="append")], {"x": versions(2, 1)}),
    "G1c-realtime": ([read(2, 0, 1, x=A), write(1, 2, 3, x="append")], {"x": versions(1)}),
    "G-single-realtime": [
        # A stale read: of a transaction, of an item alone, of a transaction that ended, on one of its items.
        ([write(1, 0, 1, x="append"), write(2, 2, 3, x="append"), read(3, 4, 5, x=A)], {"x": versions(1, 2)}),
        ([write(1, 0, 1, x="append"), write(2, 2, 3, x="append"), read(3, 4, 5, alone=True, x=A)], {"x": versions(1, 2)}),
        # Two reads of an item alone, the later one of the earlier version.
        ([write(1, 0, 1, x="append"), write(2, 2, 9, x="append"), read(3, 3, 4, alone=True, x=AB), read(4, 5, 6, alone=True, x=A)],
         {"x": versions(1, 2)}),
        # A transaction that is seen by a read of transactions, then not by a read of an item alone.
        ([write(1, 0, 9, x="append", y="append"), read(2, 1, 2, x=A, y=(token(3), token(1))), write(3, 0, 0, y="append"),
          read(4, 3, 4, alone=True, y=(token(3),))],
         {"x": versions(1), "y": versions(3, 1)})],
    "G2-realtime": ([write(1, 0, 1, x="append"), write(2, 0, 9, y="append"), read(3, 0, 9, x=None, y=B), read(4, 2, 3, y=None)],
                    {"x": versions(1), "y": versions(2)}),
    "lost write": [([write(1, 0, 1, x="append")], {}),
                   ([write(1, 0, 1, x="append"), write(2, 2, 3, reads={"x": A}, x="delete")], {"x": versions(1)}),
                   ([write(1, 0, 1, x="append", y="append")], {"x": versions(1), "y": [None]})],
    "torn write": ([write(1, 0, 1, UNKNOWN, x="append", y="append")], {"x": versions(1)}),
    "duplicate": [([write(1, 0, 1, x="append")], {"x": [None, A, A + A]}),
                  ([write(1, 0, 1, x="put")], {"x": [None, A, None, A]}),
                  ([write(1, 0, 1, x="append"), write(2, 2, 9, reads={"x": A}, x="delete"), write(3, 2, 9, reads={"x": A}, x="delete")],
                   {"x": [None, A, None]})],
    "wrong version": [([write(1, 0, 9, x="append"), write(2, 0, 9, x="append")], {"x": [None, A, B]}),
                      ([write(1, 0, 9, x="append"), write(2, 0, 9, x="put")], {"x": [None, A, AB]})],
    "unknown version": ([write(1, 0, 9, x="append"), write(2, 0, 9, x="append"), read(3, 0, 9, x=(token(2), token(1)))],
                        {"x": versions(1, 2)}),
    "garbage": [([], {"x": versions(7)}), ([read(1, 0, 9, x=versions(7)[1])], {}),
                ([write(1, 0, 1, x="append")], {"x": [None, A, None]})],
    "impossible absence": ([write(1, 0, 1, x="append"), write(2, 2, 3, reads={"x": A}, x="delete"),
                            write(3, 4, 5, x="append"), read(4, 6, 7, x=None)], {"x": [None, A, None, (token(3),)]}),
}


@pytest.mark.parametrize("name", BAD)
def test_each_anomaly_is_found(name):
    cases = BAD[name] if isinstance(BAD[name], list) else [BAD[name]]
    for ops, orders in cases:
        assert name in names(ops, orders), orders


def test_what_is_allowed():
    # Unknown outcomes: seen or not, and whenever.
    assert not names([write(1, 0, 9, UNKNOWN, x="append"), read(2, 5, 6, x=None)], {})
    assert not names([write(1, 0, 9, UNKNOWN, x="append"), read(2, 50, 60, x=None), read(3, 70, 80, x=A)], {"x": versions(1)})
    # One of two with unknown outcome deleted it; the one that did something besides is the one.
    deletes = [write(1, 0, 1, x="append"), write(2, 2, 9, UNKNOWN, {"x": A}, x="delete"), write(3, 2, 9, UNKNOWN, {"x": A}, x="delete")]
    assert not names(deletes, {"x": [None, A, None]})
    deletes[2] = write(3, 2, 9, UNKNOWN, {"x": A}, x="delete", y="append")
    assert not names(deletes, {"x": [None, A, None], "y": versions(3)})
    assert names(deletes[:1] + deletes[2:], {"x": [None, A, None]}) == {"garbage"}
    # Two reads of items alone during a transaction, which is on the first only; not so in one read, or if it ended.
    transaction = write(1, 0, 9, x="append", y="append")
    orders = {"x": versions(1), "y": versions(1)}
    assert not names([transaction, read(2, 1, 2, alone=True, x=A), read(3, 3, 4, alone=True, y=None)], orders)
    assert names([transaction, read(2, 1, 2, x=A), read(3, 3, 4, y=None)], orders) == {"G-single-realtime"}
    assert names([transaction, read(2, 10, 11, alone=True, y=None)], orders) == {"G-single-realtime"}
    # A read that is eventually consistent sees any version, but of something that was written.
    stale = [write(1, 0, 1, x="append"), write(2, 2, 3, x="append")]
    assert not names([*stale, read(3, 4, 5, strong=False, x=A)], {"x": versions(1, 2)})
    assert names([*stale, read(3, 4, 5, strong=False, x=B)], {"x": versions(1, 2)}) == {"unknown version"}


def ideal(chance, count):
    """A history of clients of which each operation takes place at once, somewhere between its begin and its end."""
    state, orders, ops = {}, {}, []
    for number in range(1, count):
        at = number * 10
        keys = chance.sample("uvwxyz", chance.randrange(1, 5))
        op = Op(number, at - chance.randrange(40), at + chance.randrange(40), OK)
        reading = chance.random() < 0.4
        op.alone = reading and len(keys) == 1
        if not reading and chance.random() < 0.1:
            op.outcome, op.end = UNKNOWN, float("inf")
        for key in keys:
            there = state.get(key)
            if reading or chance.random() < 0.3:
                op.reads[key] = there
            if reading or chance.random() < 0.2:
                continue
            how = chance.choice(["append", "append", "put", "delete"] if there else ["append", "put"])
            if how == "delete":
                op.reads[key], op.writes[key], state[key] = there, (how, ()), None
            else:
                op.writes[key] = how, (token(number), token(number, 1))[:chance.randrange(1, 3)]
                state[key] = (there if how == "append" and there else ()) + op.writes[key][1]
            orders.setdefault(key, [None]).append(state[key])
        ops.append(op)
    return ops, orders


def test_good_histories_are_good():
    for seed in range(60):
        assert check(*ideal(random.Random(seed), 200)) == [], seed


def test_good_histories_with_one_thing_changed():
    """Two neighbours in an item's order are exchanged, an acknowledged write is lost, a read is of the version before."""
    for seed in range(60):
        chance = random.Random(seed)
        ops, orders = ideal(chance, 200)
        what = seed % 3
        if what == 0:
            key, versions_of = chance.choice(list(orders.items()))
            place = chance.randrange(1, len(versions_of) - 1)
            versions_of[place], versions_of[place + 1] = versions_of[place + 1], versions_of[place]
        elif what == 1:
            op = chance.choice([o for o in ops if o.outcome == OK and any(how != "delete" for how, _ in o.writes.values())])
            op.outcome = FAILED
        else:
            op, key, place = chance.choice([(o, k, orders[k].index(v)) for o in ops for k, v in o.reads.items()
                                            if not o.writes and v is not None and orders[k].index(v) > 3])
            op.reads[key] = next(v for v in orders[key][place - 3::-1] if v is not None)
            op.begin = op.end = op.end  # it began when the versions behind that one were there already
        assert check(ops, orders), seed
