"""Clients of transactions and of single items, and the history of what they asked and were told, for isolation.py.

Each item is a list, `l`, of the tokens of those who wrote it: an update appends, a put replaces it, a delete ends it.
Conditions name the list that a client saw last; so one that holds is a read.  In which order an item's lists came is in its
table's stream.  A list that has become long makes room for a new item, so that there are always a few that all want.
"""

import asyncio
import itertools
import json
import random
import re
import time
from collections import Counter, deque

from isolation import FAILED, OK, UNKNOWN, Op, token, writer_number
from process import HEADERS, eventually

SLOTS, HOT = 30, 6  # items at one time; those of them that every second operation wants
LENGTH_MAX = 16
TAGS = ["t0", "t1", "t2", None]  # None: not in the index
BROKEN = (OSError, EOFError)
REASONS = {"None", "ConditionalCheckFailed", "TransactionConflict"}
REFUSED = {"ConditionalCheckFailedException", "TransactionConflictException"}
GLOBAL = {"IndexName": "by-tag", "Projection": {"ProjectionType": "ALL"},
          "KeySchema": [{"AttributeName": "tag", "KeyType": "HASH"}, {"AttributeName": "pk", "KeyType": "RANGE"}]}
LOCAL = {**GLOBAL, "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "tag", "KeyType": "RANGE"}]}
STREAM = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
TABLES = ["plain", "sorted", "indexed"]


def create_tables(server):
    """By their keys and indexes; with --on-demand-partitions each has several partitions."""
    for table, types, more in (("plain", {"pk": "S"}, {}), ("sorted", {"pk": "S", "sk": "N", "tag": "S"}, {"LocalSecondaryIndexes": [LOCAL]}),
                               ("indexed", {"pk": "S", "tag": "S"}, {"GlobalSecondaryIndexes": [GLOBAL]})):
        server.call("CreateTable", TableName=table, BillingMode="PAY_PER_REQUEST", StreamSpecification=STREAM, **more,
                    KeySchema=[{"AttributeName": n, "KeyType": k} for n, k in (("pk", "HASH"), ("sk", "RANGE")) if n in types],
                    AttributeDefinitions=[{"AttributeName": n, "AttributeType": t} for n, t in types.items()])
    for table in TABLES:
        eventually(lambda: server.call("DescribeTable", TableName=table)["Table"]["TableStatus"] == "ACTIVE", f"{table} is not ACTIVE")


class Connection:
    """One connection to a server, by which one request after the other goes; made anew when it is needed."""

    def __init__(self, port):
        self.port, self.reader, self.writer = port, None, None

    async def open(self):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 24)

    async def ask(self, operation, members, service="DynamoDB_20120810"):
        """(status, answer); OSError or EOFError when the connection breaks."""
        if self.writer is None:
            await self.open()
        body = json.dumps(members).encode()
        head = "".join(f"{n}: {v}\r\n" for n, v in {**HEADERS, "Host": "127.0.0.1", "Content-Length": len(body),
                                                    "X-Amz-Target": f"{service}.{operation}"}.items())
        try:
            self.writer.write(f"POST / HTTP/1.1\r\n{head}\r\n".encode() + body)
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = int(re.search(rb"(?i)content-length: *(\d+)", head).group(1))
            return int(head[9:12]), json.loads(await self.reader.readexactly(length) or b"{}")
        except BROKEN:
            self.close()
            raise

    def close(self):
        if self.writer is not None:
            self.writer.close()
        self.writer = None


def error_of(answer):
    return answer.get("__type", "").rpartition("#")[2]


def key_members(key):
    """TableName and Key of (table, name)."""
    table, name = key
    if table == "sorted":
        name, _, number = name.partition("/")
        return {"TableName": table, "Key": {"pk": {"S": name}, "sk": {"N": number}}}
    return {"TableName": table, "Key": {"pk": {"S": name}}}


def key_of(table, item):
    """The key of an item, or of a stream's Keys."""
    return table, item["pk"]["S"] + (f"/{item['sk']['N']}" if table == "sorted" else "")


def version_of(item):
    return tuple(element["S"] for element in item["l"]["L"]) if item else None


def list_of(version):
    return {"L": [{"S": t} for t in version]}


class History:
    """What all clients did, over all starts of the server."""

    def __init__(self, seed):
        self.seed, self.numbers = seed, itertools.count(1)
        self.ops, self.counts = [], Counter()
        self.known = {}       # key: the version that somebody saw last
        self.generations = [0] * SLOTS
        self.in_doubt = deque()      # (operation, request) of transactions with a token
        self.done = deque(maxlen=8)  # the same of the last that were acknowledged

    def key(self, slot):
        """The item that is in this slot now.  The items of "sorted" share partition keys."""
        table, name = TABLES[slot % len(TABLES)], f"{slot // len(TABLES)}.{self.generations[slot]}"
        if table == "sorted":
            name = f"{self.generations[slot]}/{slot // len(TABLES)}"
        key = table, name
        if len(self.known.get(key) or ()) > LENGTH_MAX:
            self.generations[slot] += 1
            return self.key(slot)
        self.known.setdefault(key)
        return key

    def begin(self, **more):
        return Op(next(self.numbers), time.monotonic_ns(), **more)

    def end(self, op, outcome, what):
        op.end, op.outcome = time.monotonic_ns(), outcome
        self.ops.append(op)
        self.counts[what, outcome] += 1
        if outcome == OK:
            self.known.update(op.reads)
            for key, (how, tokens) in op.writes.items():
                there = op.reads.get(key, self.known.get(key)) or ()
                self.known[key] = {"append": there + tokens, "put": tokens, "delete": None}[how]

    def saw(self, begin, key, item, what, strong=True):
        """A read of one item alone, of those that an answer shows."""
        op = Op(next(self.numbers), begin, reads={key: version_of(item)}, alone=True, strong=strong)
        self.end(op, OK, what)

    async def ask_again(self, port):
        """What became of the transactions in doubt: their tokens tell, soon.  And what was acknowledged is not done again."""
        connection, deadline = Connection(port), time.monotonic() + 60
        in_doubt = self.in_doubt
        in_doubt += self.done
        self.done.clear()
        while in_doubt:
            op, request = in_doubt[0]
            try:
                status, answer = await connection.ask("TransactWriteItems", request)
            except BROKEN:
                return
            in_doubt.popleft()
            if error_of(answer) == "TransactionInProgressException":
                assert time.monotonic() < deadline, request
                in_doubt.append((op, request))
                await asyncio.sleep(0.01)
                continue
            if op.outcome == OK:
                assert status == 200, (op, answer)
                self.counts["acknowledged", "and asked again"] += 1
                continue
            assert status == 200 or error_of(answer) == "TransactionCanceledException", answer
            self.end(op, OK if status == 200 else FAILED, "TransactWriteItems asked again")
        connection.close()

    @property
    def acknowledged(self):
        """Operations, so far."""
        return sum(n for (_, outcome), n in self.counts.items() if outcome == OK)

    def summary(self):
        kinds = sorted({what for what, outcome in self.counts if outcome in (OK, FAILED, UNKNOWN)})
        return f"seed {self.seed}: {len(self.ops)} operations: " + ", ".join(
            f"{what} " + "/".join(str(self.counts[what, outcome]) for outcome in (OK, FAILED, UNKNOWN)) for what in kinds) + \
            " (ok/failed/unknown)" + "".join(f", {n} {what} {outcome}" for (what, outcome), n in self.counts.items()
                                             if outcome not in (OK, FAILED, UNKNOWN))


class Client:
    """One step after the other, as its seed says, until it has done them all or the server is gone."""

    def __init__(self, history, name):
        self.history, self.name = history, name
        self.random = random.Random(f"{history.seed} {name}")

    async def run(self, port, steps):
        self.connection, self.second = Connection(port), Connection(port)
        kinds = [(self.transact_write, 40), (self.transact_get, 20), (self.update, 12), (self.put, 6), (self.delete, 4), (self.get, 10),
                 (self.batch_get, 3), (self.batch_write, 3), (self.query, 2)]
        functions, weights = zip(*kinds)
        try:
            for _ in range(steps):
                step, = self.random.choices(functions, weights)
                await step()
        except BROKEN:
            pass
        finally:
            self.connection.close()
            self.second.close()

    # ---- What is written ----

    def keys(self, count):
        slots = self.random.sample(range(HOT if count <= HOT and self.random.random() < 0.4 else SLOTS), count)
        return [self.history.key(slot) for slot in slots]

    def condition(self, op, key, values):
        """That the list is the one that is known."""
        op.reads[key] = self.history.known[key]
        if op.reads[key] is None:
            return {"ConditionExpression": "attribute_not_exists(pk)"}
        values[":known"] = list_of(op.reads[key])
        return {"ConditionExpression": "l = :known"}

    def action(self, op, key, kind):
        """The members of one write of an item, as TransactWriteItems and the operations on one item have them."""
        r, values, members = self.random, {}, key_members(key)
        tokens = tuple(token(op.number, place) for place in range(r.choice([1, 1, 2])))
        tag = r.choice(TAGS)
        known = self.history.known[key]
        if kind == "ConditionCheck" or kind == "Delete" or r.random() < 0.25:
            members.update(self.condition(op, key, values))
        if kind == "Update":
            op.writes[key] = "append", tokens
            values.update({":none": {"L": []}, ":mine": list_of(tokens)})
            members["UpdateExpression"] = "SET l = list_append(if_not_exists(l, :none), :mine)" + (", tag = :tag" if tag else " REMOVE tag")
            if tag:
                values[":tag"] = {"S": tag}
        elif kind == "Put":
            if key in op.reads and known and r.random() < 0.8:
                tokens = known + tokens
            op.writes[key] = "put", tokens
            members["Item"] = {**members.pop("Key"), "l": list_of(tokens), **({"tag": {"S": tag}} if tag else {})}
        elif kind == "Delete":
            op.writes[key] = "delete", ()
        if values:
            members["ExpressionAttributeValues"] = values
        if "ConditionExpression" in members and r.random() < 0.5:
            members["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        return members

    def refused(self, op, begin, key, item, what):
        """A refusal that shows the item is a read of it; the condition did not hold on it, and it was not written by this."""
        version = version_of(item)
        assert version != op.reads[key] and op.number not in map(writer_number, version), (op, version)
        self.history.saw(begin, key, item, what)

    # ---- Transactions ----

    async def transact_write(self):
        r = self.random
        op = self.history.begin()
        actions = []
        for key in self.keys(r.choice([1, 2, 2, 2, 3, 4, 5])):
            kind = r.choice(["Update"] * 6 + ["Put"] * 2 + ["ConditionCheck"] * 3 + ["Delete"])
            if kind == "Delete" and self.history.known[key] is None:
                kind = "ConditionCheck"
            actions.append((key, {kind: self.action(op, key, kind)}))
        request = {"TransactItems": [action for _, action in actions]}
        if r.random() < 0.75:
            request["ClientRequestToken"] = f"{self.history.seed}-{op.number}"
        at_once = 2 if "ClientRequestToken" in request and r.random() < 0.08 else 1  # the same request
        ends = await asyncio.gather(*(self.send(op, actions, request, c) for c in (self.connection, self.second)[:at_once]))
        outcome = OK if OK in ends else UNKNOWN if UNKNOWN in ends else FAILED
        if "ClientRequestToken" in request and outcome != FAILED:
            (self.history.done if outcome == OK else self.history.in_doubt).append((op, request))
        if outcome != UNKNOWN or "ClientRequestToken" not in request:
            self.history.end(op, outcome, "TransactWriteItems")
        if outcome == OK and "ClientRequestToken" in request and r.random() < 0.05:
            status, answer = await self.connection.ask("TransactWriteItems", request)  # once more: it is done
            assert status == 200, answer
        if self.connection.writer is None:
            raise EOFError

    async def send(self, op, actions, request, connection):
        """How it ended, as far as this answer says."""
        try:
            status, answer = await connection.ask("TransactWriteItems", request)
        except BROKEN:
            return UNKNOWN
        if status == 200:
            return OK
        if error_of(answer) != "TransactionCanceledException":
            assert status == 500 or error_of(answer) == "TransactionInProgressException", answer
            self.history.counts["TransactWriteItems", error_of(answer) or status] += 1
            return UNKNOWN
        reasons = answer["CancellationReasons"]
        assert {r["Code"] for r in reasons} <= REASONS and {r["Code"] for r in reasons} != {"None"}, answer
        for (key, _), reason in zip(actions, reasons):
            if "Item" in reason:
                self.refused(op, op.begin, key, reason["Item"], "refusal of TransactWriteItems")
        return FAILED

    async def transact_get(self):
        op = self.history.begin()
        keys = self.keys(self.random.choice([1, 2, 3, 4, 6, 10]))
        status, answer = await self.connection.ask("TransactGetItems", {"TransactItems": [{"Get": key_members(k)} for k in keys]})
        if status == 200:
            op.reads = {key: version_of(r.get("Item")) for key, r in zip(keys, answer["Responses"])}
        else:
            assert {r["Code"] for r in answer.get("CancellationReasons", [])} - {"None"} == {"TransactionConflict"}, answer
        self.history.end(op, OK if status == 200 else FAILED, "TransactGetItems")

    # ---- Single items ----

    async def single(self, op, key, operation, members):
        try:
            status, answer = await self.connection.ask(operation, members)
        except BROKEN:
            self.history.end(op, UNKNOWN, operation)
            raise
        assert status == 200 or error_of(answer) in REFUSED, answer
        if status != 200 and "Item" in answer:
            self.refused(op, op.begin, key, answer["Item"], f"refusal of {operation}")
        if status == 200 and members.get("ReturnValues") == "ALL_OLD":
            self.shown(op, key, version_of(answer.get("Attributes")))
            if op.reads[key] is None and operation == "DeleteItem":
                op.writes = {}
        elif status == 200 and members.get("ReturnValues") == "ALL_NEW":
            shown, mine = version_of(answer["Attributes"]), op.writes[key][1]
            assert shown[-len(mine):] == mine, (op, shown)
            self.shown(op, key, shown[:-len(mine)] or None)
        self.history.end(op, OK if status == 200 else FAILED, operation)

    @staticmethod
    def shown(op, key, version):
        """What it wrote upon; and its condition held there."""
        assert op.reads.setdefault(key, version) == version, (op, version)

    async def update(self):
        op, key = self.history.begin(), self.keys(1)[0]
        members = self.action(op, key, "Update")
        await self.single(op, key, "UpdateItem", {**members, "ReturnValues": self.random.choice(["NONE", "ALL_OLD", "ALL_NEW"])})

    async def put(self):
        op, key = self.history.begin(), self.keys(1)[0]
        await self.single(op, key, "PutItem", {**self.action(op, key, "Put"), "ReturnValues": self.random.choice(["NONE", "ALL_OLD"])})

    async def delete(self):
        op, key = self.history.begin(), self.keys(1)[0]
        if self.history.known[key] is None or self.random.random() < 0.5:
            op.writes[key] = "delete", ()
            members = key_members(key)
        else:
            members = self.action(op, key, "Delete")
        await self.single(op, key, "DeleteItem", {**members, "ReturnValues": "ALL_OLD"})

    async def get(self, key=None):
        begin, strong = time.monotonic_ns(), key is not None or self.random.random() < 0.8
        key = key or self.keys(1)[0]
        status, answer = await self.connection.ask("GetItem", {**key_members(key), "ConsistentRead": strong})
        assert status == 200, answer
        self.history.saw(begin, key, answer.get("Item"), "GetItem", strong)

    async def batch_get(self):
        begin, asked = time.monotonic_ns(), {}
        for key in self.keys(4):
            asked.setdefault(key[0], {"ConsistentRead": True, "Keys": []})["Keys"].append(key_members(key)["Key"])
        status, answer = await self.connection.ask("BatchGetItem", {"RequestItems": asked})
        assert status == 200 and not answer["UnprocessedKeys"], answer
        for table, members in asked.items():
            found = {key_of(table, item): item for item in answer["Responses"].get(table, [])}
            for key in (key_of(table, k) for k in members["Keys"]):
                self.history.saw(begin, key, found.get(key), "item of BatchGetItem")

    async def batch_write(self):
        asked, ops = {}, {}
        for key in self.keys(3):
            op = self.history.begin()
            op.writes[key] = "put", (token(op.number),)
            ops[key] = op
            asked.setdefault(key[0], []).append({"PutRequest": {"Item": {**key_members(key)["Key"], "l": list_of(op.writes[key][1])}}})
        try:
            status, answer = await self.connection.ask("BatchWriteItem", {"RequestItems": asked})
        except BROKEN:
            for op in ops.values():
                self.history.end(op, UNKNOWN, "item of BatchWriteItem")
            raise
        assert status == 200, answer
        left = {key_of(table, r["PutRequest"]["Item"]) for table, requests in answer["UnprocessedItems"].items() for r in requests}
        for key, op in ops.items():
            self.history.end(op, FAILED if key in left else OK, "item of BatchWriteItem")

    async def query(self):
        """The items of one partition key of "sorted", by its local index or not, or some of "plain"; each item by itself."""
        begin = time.monotonic_ns()
        if self.random.random() < 0.5:
            table, pk = "sorted", self.history.key(1)[1].partition("/")[0]
            status, answer = await self.connection.ask("Query", {
                "TableName": table, "ConsistentRead": True, "KeyConditionExpression": "pk = :pk",
                "ExpressionAttributeValues": {":pk": {"S": pk}}, **self.random.choice([{}, {"IndexName": "by-tag"}])})
        else:
            table = "plain"
            status, answer = await self.connection.ask("Scan", {"TableName": table, "ConsistentRead": True, "Limit": 10})
        assert status == 200, answer
        for item in answer["Items"]:
            self.history.saw(begin, key_of(table, item), item, "item of a Query or Scan")


# ---- Streams ----

class Follower:
    """Reads a table's stream, shard by shard, from its beginning on, over restarts: goes on behind what it has."""

    def __init__(self, table):
        self.table, self.records = table, {}  # shard: records

    async def read(self, port):
        """All that is there now."""
        connection = Connection(port)

        async def ask(operation, service="DynamoDBStreams_20120810", **members):
            status, answer = await connection.ask(operation, members, service)
            assert status == 200, answer
            return answer
        arn = (await ask("DescribeTable", "DynamoDB_20120810", TableName=self.table))["Table"]["LatestStreamArn"]
        for shard in (await ask("DescribeStream", StreamArn=arn))["StreamDescription"]["Shards"]:
            there = self.records.setdefault(shard["ShardId"], [])
            place = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": there[-1]["dynamodb"]["SequenceNumber"]} \
                if there else {"ShardIteratorType": "TRIM_HORIZON"}
            iterator = (await ask("GetShardIterator", StreamArn=arn, ShardId=shard["ShardId"], **place))["ShardIterator"]
            while True:
                page = await ask("GetRecords", ShardIterator=iterator)
                there += page["Records"]
                if not page["Records"]:
                    break
                iterator = page["NextShardIterator"]
        connection.close()

    def orders(self):
        """The versions of each item; fails if a record is missing, is there twice, or is where it should not be."""
        orders, shards = {}, {}
        for shard, records in self.records.items():
            numbers = [int(r["dynamodb"]["SequenceNumber"]) for r in records]
            assert numbers == sorted(set(numbers)), shard
            for record in records:
                images = record["dynamodb"]
                key = key_of(self.table, images["Keys"])
                assert shards.setdefault(key, shard) == shard, key
                versions = orders.setdefault(key, [None])
                before, after = version_of(images.get("OldImage")), version_of(images.get("NewImage"))
                assert before == versions[-1], (key, versions, record)
                assert record["eventName"] == ("INSERT" if before is None else "REMOVE" if after is None else "MODIFY"), record
                versions.append(after)
        return orders
