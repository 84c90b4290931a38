"""kill -9 while global indexes follow their table, while they are filled and while they are deleted: soon after the restart each
has what the table has, no more and no less, and what was asked for goes on by itself.

CRASH_SEED repeats the choices, CRASH_ROUNDS makes it longer.
"""

import asyncio
import itertools
import json
import os
import random
import re
import time
from collections import Counter

from history import BROKEN, Connection, error_of
from process import eventually
from test_admin_testing import done

SEED = int(os.environ.get("CRASH_SEED", "20261122"))
ROUNDS = int(os.environ.get("CRASH_ROUNDS", "4"))
FILL = 4000
WRITERS = 6
HOUR_MS = 3600_000
TYPES = {"pk": "S", "tag": "S", "kind": "S", "n": "N"}
REFUSED = {"ConditionalCheckFailedException", "TransactionConflictException", "TransactionCanceledException"}


class Index:
    """A definition, and what it makes of an item."""

    def __init__(self, name, hashes, ranges, projected):
        self.name, self.keys, self.projected = name, hashes + ranges, projected
        self.members = {"IndexName": name, "KeySchema": [{"AttributeName": a, "KeyType": k} for names, k in (
            (hashes, "HASH"), (ranges, "RANGE")) for a in names], "Projection": {"ProjectionType": "ALL"} if projected is None else
            {"ProjectionType": "INCLUDE", "NonKeyAttributes": projected} if projected else {"ProjectionType": "KEYS_ONLY"}}

    def row(self, item):
        """None: the item is not in it."""
        if any(a not in item for a in self.keys):
            return None
        return item if self.projected is None else {a: v for a, v in item.items() if a in ("pk", *self.keys, *self.projected)}


FIRST = Index("first", ["tag"], [], None)
LATER = [Index("later", ["kind"], ["n"], []), Index("later", ["tag", "kind"], ["n"], ["pad"]), Index("later", ["tag"], ["pk"], None)]


def some_item(chance, pk):
    item = {"pk": {"S": pk}, "pad": {"S": "x" * chance.randrange(300)}}
    for name, share in ("tag", 0.9), ("kind", 0.8), ("n", 0.8):
        if chance.random() < share:
            item[name] = {"N": str(chance.randrange(50))} if name == "n" else {"S": f"{name}{chance.randrange(20)}"}
    return item


class Writer:
    """Changes items and what indexes have of them, until the server is gone."""

    def __init__(self, name):
        self.random, self.acknowledged = random.Random(f"{SEED} {name}"), 0

    def pk(self):
        return f"k{self.random.randrange(FILL // 10)}"  # a few of what is there, so that they change often

    def change(self):
        """(kind of a transaction's action, its members)"""
        r, where = self.random, {"TableName": "tab", "Key": {"pk": {"S": self.pk()}}}
        kind = r.choice(["Put", "Update", "Update", "Delete"])
        if kind == "Put":
            return kind, {"TableName": "tab", "Item": some_item(r, where["Key"]["pk"]["S"])}
        if kind == "Update":
            name = r.choice(["tag", "kind", "n"])
            if r.random() < 0.3:
                return kind, {**where, "UpdateExpression": "REMOVE #a", "ExpressionAttributeNames": {"#a": name}}
            value = {"N": str(r.randrange(50))} if name == "n" else {"S": f"{name}{r.randrange(20)}"}
            return kind, {**where, "UpdateExpression": "SET #a = :v", "ExpressionAttributeNames": {"#a": name},
                          "ExpressionAttributeValues": {":v": value}}
        return kind, where

    async def run(self, port):
        connection = Connection(port)
        try:
            while True:
                if self.random.random() < 0.3:
                    changes = {str(m.get("Key", m.get("Item"))["pk"]): {kind: m} for kind, m in (self.change() for _ in range(3))}
                    status, answer = await connection.ask("TransactWriteItems", {"TransactItems": list(changes.values())})
                else:
                    kind, members = self.change()
                    status, answer = await connection.ask(f"{kind}Item", members)
                assert status == 200 or error_of(answer) in REFUSED, answer
                self.acknowledged += status == 200
        except BROKEN:
            pass
        finally:
            connection.close()


def canonical(item):
    return json.dumps(item, sort_keys=True)


def rows_of(server, **more):
    """All items of the table or of an index."""
    rows, start = [], {}
    while True:
        page = server.call("Scan", TableName="tab", **more, **start)
        rows += page["Items"]
        if "LastEvaluatedKey" not in page:
            return rows
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def states(server):
    """{index: (status, backfilling)}; the table's under None."""
    table = server.call("DescribeTable", TableName="tab")["Table"]
    return {None: (table["TableStatus"], False),
            **{i["IndexName"]: (i["IndexStatus"], i.get("Backfilling", False)) for i in table.get("GlobalSecondaryIndexes", [])}}


def converge(server, indexes):
    """These indexes are there, and what they should be; nothing is under way."""
    wanted = {None: ("ACTIVE", False), **{index.name: ("ACTIVE", False) for index in indexes}}
    eventually(lambda: states(server) == wanted, lambda: f"{states(server)} instead of {wanted}")
    for index in indexes:
        def difference():
            """The table is read each time: a transaction may still have to be carried out."""
            expected = {canonical(row) for row in map(index.row, rows_of(server, ConsistentRead=True)) if row}
            rows = rows_of(server, IndexName=index.name)
            there = set(map(canonical, rows))
            return (there - expected, expected - there) if there != expected or len(there) < len(rows) else None
        eventually(lambda: not difference(), lambda: f"{index.name} has and lacks, compared to its table: {difference()}")


def update_table(action, index):
    """The members of UpdateTable."""
    more = {} if action == "Delete" else {"AttributeDefinitions": [{"AttributeName": a, "AttributeType": TYPES[a]}
                                                                   for a in sorted({"pk", "tag", *index.keys})]}
    return {"TableName": "tab", **more, "GlobalSecondaryIndexUpdates": [
        {action: {"IndexName": index.name} if action == "Delete" else index.members}]}


def backfilled(server):
    return int(re.search(r"^trine_index_backfilled_total (\d+)", server.admin("/metrics")[1], re.M).group(1))


def write_until(server, writers, over, request=None):
    """The writers write, and beside them UpdateTable is asked for; the server is killed when over(), a coroutine, ends.  Was
    UpdateTable answered?"""
    answered = []

    async def ask(connection):
        try:
            status, answer = await connection.ask("UpdateTable", request)
            assert status == 200, answer
            answered.append(answer)
        except BROKEN:
            pass
        finally:
            connection.close()

    async def kill():
        await over(answered)
        server.send_signal(9)

    async def run():
        jobs = [ask(Connection(server.port))] if request else []
        await asyncio.wait_for(asyncio.gather(*jobs, kill(), *(writer.run(server.port) for writer in writers)), 60)
    asyncio.run(run())
    server.kill()
    return bool(answered)


def test_kill_while_indexes_change(start):
    chance = random.Random(SEED)
    options = ["--no-throttling", "--admin", 0, "--admin-testing"]
    server = start("--on-demand-partitions", 3, *options)
    server.create("tab")
    for first in range(0, FILL, 25):
        server.call("BatchWriteItem", RequestItems={"tab": [
            {"PutRequest": {"Item": some_item(chance, f"k{n}")}} for n in range(first, first + 25)]})
    began = time.monotonic()
    server.call("UpdateTable", **update_table("Create", FIRST))
    eventually(lambda: states(server)["first"] == ("ACTIVE", False), "the index is not ACTIVE")
    seconds = time.monotonic() - began  # that it takes to make one
    converge(server, [FIRST])
    kills, rounds = Counter(), itertools.count()

    def killed(where, over, request=None, writers=WRITERS, more=()):
        """Write, kill, start."""
        nonlocal server
        round_number = next(rounds)
        clients = [Writer(f"{round_number} {n}") for n in range(writers)]
        answered = write_until(server, clients, lambda answered: over(clients, answered), request)
        if chance.random() < 0.3:  # and once more, while it starts
            server = start(*options, ready=False)
            time.sleep(chance.random() * 0.02)
            server.kill()
        server = start(*options, *more)
        kills[where] += 1
        return answered

    async def when_written(clients, _):
        goal = chance.randrange(1, 200)
        while sum(c.acknowledged for c in clients) < goal:
            await asyncio.sleep(0)

    async def at_any_moment(*_):
        await asyncio.sleep(chance.random() * seconds)

    async def in_the_making(*_):
        await at_any_moment()
        kills["of these, of one filled in part"] += 0 < backfilled(server) < FILL * 0.9

    async def when_answered(_, answered):
        while not answered:
            await asyncio.sleep(0)
    for number in range(ROUNDS):
        # Propagation: at once, or with all changes still to be propagated.
        for delay in 0, chance.choice([5, HOUR_MS]):
            done(server, "PUT", "index-delay", {"DelayMs": delay})
            killed("in propagation", when_written)
        converge(server, [FIRST])

        # An index is made: killed at any moment, before the answer or after it, and then once more.
        later = LATER[number % len(LATER)]
        answered = killed("in a creation", in_the_making, update_table("Create", later), number % 2 * WRITERS)
        if "later" not in states(server):
            assert not answered
            server.call("UpdateTable", **update_table("Create", later))
        killed("in a creation", in_the_making, None, number % 2 * WRITERS, ["--cache", 2])
        converge(server, [FIRST, later])

        # And is deleted: killed as soon as that is answered, or at any moment.
        answered = killed("in a deletion", chance.choice([when_answered, at_any_moment]), update_table("Delete", later))
        state = states(server).get("later")
        assert not answered or state is None or state[0] == "DELETING"
        if state == ("ACTIVE", False):
            server.call("UpdateTable", **update_table("Delete", later))
        converge(server, [FIRST])
    print(f"seed {SEED}: kills {dict(kills)}")
    server.stop()
