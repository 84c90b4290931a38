"""What many clients of transactions and of single items see at the same time, with kills or without, is explained by one order
of their operations; streams and indexes say the same.

HISTORY_SEED repeats a run as far as the clients choose; HISTORY_ROUNDS and HISTORY_STEPS make it longer; with HISTORY_WAIT the
clock is not advanced to where what was in doubt is ended.
"""

import asyncio
import os
import random
import shutil
import time

import pytest

from history import TABLES, Client, Connection, Follower, History, create_tables, error_of, key_of, version_of
from isolation import OK, check
from process import eventually
from test_admin_testing import done

SEED = int(os.environ.get("HISTORY_SEED", "20261121"))
STEPS = int(os.environ.get("HISTORY_STEPS", "120"))
ROUNDS = int(os.environ.get("HISTORY_ROUNDS", "6"))
WAIT = "HISTORY_WAIT" in os.environ
CLIENTS = 16
OPTIONS = ["--no-throttling", "--admin", 0, "--admin-testing"]
SLOW = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", "inject=fdatasync:delay_enter=2000"]  # microseconds
STALE = 16  # seconds after which a transaction that has a token and no outcome is ended for who asks again
SECONDS_MAX = 60 + STEPS


def together(*jobs):
    """All of them at the same time; fails when one does."""
    async def run():
        await asyncio.wait_for(asyncio.gather(*jobs), SECONDS_MAX)
    asyncio.run(run())


async def settle(history, port):
    """Every item that ever was is written once more, when whatever transaction has it is finished, and read."""
    client, deadline = Client(history, "last"), time.monotonic() + 60
    client.connection = Connection(port)
    for key in list(history.known):
        while True:
            op = history.begin()
            await client.single(op, key, "UpdateItem", client.action(op, key, "Update"))
            if op.outcome == OK:
                break
            assert time.monotonic() < deadline, f"a transaction keeps {key}"
            await asyncio.sleep(0.005)
        await client.get(key)
    client.connection.close()


def items_of(server, table, **more):
    items, start = {}, {}
    while True:
        page = server.call("Scan", TableName=table, **more, **start)
        items.update((key_of(table, item), item) for item in page["Items"])
        if "LastEvaluatedKey" not in page:
            return items
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def judge(server, history, followers):
    """In the end: nothing is under way, the streams have it all, the index is what the table is, and the order is found."""
    together(history.ask_again(server.port), settle(history, server.port))
    items = {}
    for table in TABLES:
        items.update(items_of(server, table, ConsistentRead=True))
    orders = {}

    def all_there():
        orders.clear()
        for follower in followers:
            asyncio.run(follower.read(server.port))
            orders.update(follower.orders())
        return all(orders.get(key, [None])[-1] == version_of(item) for key, item in items.items())
    eventually(all_there, "the streams do not have the last changes")
    assert {key for key, versions in orders.items() if versions[-1]} == set(items)

    def with_tag(table):
        return {key: item for key, item in items.items() if key[0] == table and "tag" in item}
    assert items_of(server, "sorted", IndexName="by-tag", ConsistentRead=True) == with_tag("sorted")
    eventually(lambda: items_of(server, "indexed", IndexName="by-tag") == with_tag("indexed"),
               "the index does not become what the table is")
    print(history.summary(), f"{len(items)} items,", f"{sum(map(len, orders.values()))} versions")
    anomalies = check(history.ops, orders)
    assert not anomalies, "\n".join(f"{name}: {what}" for name, what in anomalies[:5])


@pytest.mark.parametrize("options, prefix", [(["--in-memory"], []), ([], []), ([], SLOW)], ids=["memory", "disk", "slow-disk"])
def test_one_order_explains_all(start, options, prefix):
    if prefix and shutil.which(prefix[0]) is None:
        pytest.skip("strace is not installed")
    server = start(*options, "--on-demand-partitions", 3, "--no-throttling", prefix=prefix)
    create_tables(server)
    history = History(SEED)
    together(*(Client(history, n).run(server.port, STEPS) for n in range(CLIENTS)))
    judge(server, history, [Follower(table) for table in TABLES])
    server.stop()


def test_one_order_explains_all_through_kills(start):
    """The server is killed in each round, once so many more operations have been acknowledged.  What was in doubt is asked for
    again with its token while the clients go on; the streams are followed over the restarts."""
    assert WAIT or STALE * ROUNDS < 500, "tokens would be forgotten after ten minutes of the advanced clock: HISTORY_WAIT"
    chance = random.Random(SEED)
    history, followers = History(SEED), [Follower(table) for table in TABLES]
    recoveries = 0
    server = start("--on-demand-partitions", 3, *OPTIONS)
    create_tables(server)
    for number in range(ROUNDS):
        goal = history.acknowledged + chance.randrange(20, 400)

        async def kill():
            while history.acknowledged < goal:
                for follower in followers:
                    await follower.read(server.port)
            server.send_signal(9)
        clients = [Client(history, f"{number} {n}") for n in range(CLIENTS)]
        together(history.ask_again(server.port), kill(), *(client.run(server.port, 10**9) for client in clients))
        server.kill()
        if chance.random() < 0.4:  # and once more, while it starts
            server = start(*OPTIONS, ready=False)
            time.sleep(chance.random() * 0.02)
            server.kill()
        history.known = {key: None if chance.random() < 0.1 else version for key, version in history.known.items()}
        server = start(*OPTIONS, *(["--cache", 2] if number % 2 else []))
        if not WAIT:
            done(server, "PUT", "clock", {"AdvanceSeconds": STALE * (number + 1)})  # the clock that tokens see
        recoveries += server.metrics()["transaction_recoveries_total"]
    judge(server, history, followers)
    print(f"{ROUNDS} kills, {recoveries + server.metrics()['transaction_recoveries_total']:.0f} transactions recovered")
    server.stop()


HUNDREDS = 300


async def at_once(port, requests):
    """Every request on a connection of its own; all are sent before any answer is read."""
    connections = [Connection(port) for _ in requests]
    for connection in connections:
        await connection.open()
    answers = await asyncio.gather(*(c.ask(*request) for c, request in zip(connections, requests)))
    for connection in connections:
        connection.close()
    return answers


@pytest.mark.parametrize("options", [("--in-memory",), ()], ids=["memory", "disk"])
def test_hundreds_of_conditional_writers_have_one_winner(start, options):
    """Single writes, transactions of one partition and of two; in the end all of them at once."""
    server = start(*options, "--on-demand-partitions", 3, "--no-throttling")
    for table in "one", "two":
        server.create(table)

    def single(name, n):
        return "PutItem", {"TableName": "one", "Item": {"pk": {"S": name}, "by": {"N": str(n)}},
                           "ConditionExpression": "attribute_not_exists(pk)"}

    def transaction(name, n, *others):
        return "TransactWriteItems", {"TransactItems": [{"Put": single(name, n)[1]}] + [
            {"Update": {"TableName": "two", "Key": {"pk": {"S": other}}, "UpdateExpression": "ADD wins :one",
                        "ExpressionAttributeValues": {":one": {"N": "1"}}}} for other in others]}
    for kind, make in enumerate([lambda name, n: single(name, n), lambda name, n: transaction(name, n),
                                 lambda name, n: transaction(name, n, "a", "b"),
                                 lambda name, n: [single(name, n), transaction(name, n), transaction(name, n, "a", "b")][n % 3]]):
        name = f"item{kind}"
        tries = 0
        while not server.get("one", name):  # transactions may all have met each other
            tries += 1
            assert tries < 100
            answers = asyncio.run(at_once(server.port, [make(name, n) for n in range(HUNDREDS)]))
            winners = [n for n, (status, _) in enumerate(answers) if status == 200]
            assert all(status == 200 or error_of(answer) in (
                "ConditionalCheckFailedException", "TransactionConflictException", "TransactionCanceledException")
                for status, answer in answers)
        assert [str(n) for n in winners] == [server.get("one", name)["by"]]
    server.stop()


def test_hundreds_of_counters_lose_nothing(start):
    """One counter for all, by single updates and by transactions with a second counter."""
    server = start("--on-demand-partitions", 3, "--no-throttling")
    for table in "one", "two":
        server.create(table)

    def add(table):
        return {"TableName": table, "Key": {"pk": {"S": "counter"}}, "UpdateExpression": "ADD n :one",
                "ExpressionAttributeValues": {":one": {"N": "1"}}}
    requests = [("UpdateItem", add("one")) if n % 3 else
                ("TransactWriteItems", {"TransactItems": [{"Update": add("one")}, {"Update": add("two")}]}) for n in range(HUNDREDS)]
    done = [0, 0]
    for _ in range(3):
        for (operation, _), (status, _) in zip(requests, asyncio.run(at_once(server.port, requests))):
            done[0] += status == 200
            done[1] += status == 200 and operation == "TransactWriteItems"
    assert [int((server.get(table, "counter") or {"n": 0})["n"]) for table in ("one", "two")] == done
    assert done[0] >= 3
    server.stop()
