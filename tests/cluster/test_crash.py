"""kill -9 in the middle of everything: what was acknowledged is there, what was not is there whole or not at all.

A kill alone does not prove durability (the page cache survives it): test_durability.py does that.
"""

import http.client
import random
import threading

from process import Refused, eventually

SEED = 20260501
ROUNDS = 12
KEYS_PER_WRITER = 12


def body(version, bytes_max):
    """What an item holds at a version: a mixture of two versions, or half of one, is never equal to it."""
    return f"{version}:" + chr(97 + version % 26) * (version * 7919 % bytes_max)


class Writer:
    """Puts, updates and deletes its own keys, one after the other, and remembers what it knows of each."""

    def __init__(self, name, bytes_max, seed):
        self.name, self.bytes_max = name, bytes_max
        self.random = random.Random(seed)
        self.known = {}    # key: the version that was acknowledged last; 0 = deleted
        self.doubtful = {}  # key: the version that was under way when the connection broke
        self.version = 0
        self.acknowledged = 0

    def __call__(self, write):
        """Until the server is gone.  write(key, version)"""
        while True:
            key = f"{self.name}-{self.random.randrange(KEYS_PER_WRITER)}"
            self.version += 1
            version = 0 if self.random.random() < 0.15 else self.version
            self.doubtful[key] = version
            try:
                write(key, version)
            except (OSError, http.client.HTTPException):
                return
            self.known[key] = version
            del self.doubtful[key]
            self.acknowledged += 1

    def check(self, items):
        """`items`: what is there after the restart."""
        for key in {*self.known, *self.doubtful}:
            there = items.get(key)
            version = int(there["v"]) if there else 0
            allowed = {self.known.get(key, 0), self.doubtful.get(key, self.known.get(key, 0))}
            assert version in allowed, f"{key} is at {version}, not at one of {allowed}"
            if there:
                assert there == {"v": str(version), "body": body(version, self.bytes_max)}, key
            self.known[key] = version
        self.doubtful.clear()


def raw(server, bytes_max):
    """Puts and deletes by bare HTTP."""
    def write(key, version):
        if version == 0:
            server.call("DeleteItem", TableName="items", Key={"pk": {"S": key}})
        else:
            server.call("PutItem", TableName="items", Item={
                "pk": {"S": key}, "v": {"N": str(version)}, "body": {"S": body(version, bytes_max)}})
    return write


def sdk(server, bytes_max):
    """Updates and deletes by boto3."""
    from botocore.exceptions import BotoCoreError, HTTPClientError
    client = server.boto()

    def write(key, version):
        where = {"TableName": "items", "Key": {"pk": {"S": key}}}
        try:
            if version == 0:
                client.delete_item(**where)
            else:
                client.update_item(**where, UpdateExpression="SET v = :v, body = :b", ExpressionAttributeValues={
                    ":v": {"N": str(version)}, ":b": {"S": body(version, bytes_max)}})
        except (BotoCoreError, HTTPClientError) as error:
            raise OSError(str(error)) from error
    return write


class Counter:
    """Adds to one item that all counters share, and appends to one of its own."""

    def __init__(self, name):
        self.name, self.acknowledged, self.doubtful = name, 0, 0

    def __call__(self, server):
        while True:
            self.doubtful += 1
            try:
                server.call("UpdateItem", TableName="items", Key={"pk": {"S": "counter"}},
                            UpdateExpression="ADD amount :one, #mine :one", ExpressionAttributeNames={"#mine": self.name},
                            ExpressionAttributeValues={":one": {"N": "1"}})
            except (OSError, http.client.HTTPException):
                return
            self.doubtful -= 1
            self.acknowledged += 1


def test_kill_at_any_moment(start):
    """Twelve rounds with a small cache in every second one, so that checkpoints run too."""
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    writers = [Writer(f"w{i}", 300 if i % 2 else 30_000, chance.random()) for i in range(6)]
    counters = [Counter(f"c{i}") for i in range(2)]
    server = start()
    server.create("items")
    total = 0
    for number in range(ROUNDS):
        faults = []

        def work(job, *arguments):
            try:
                job(*arguments)
            except BaseException as fault:
                faults.append(fault)
        threads = [threading.Thread(target=work, args=(w, (sdk if i == 0 else raw)(server, w.bytes_max)))
                   for i, w in enumerate(writers)]
        threads += [threading.Thread(target=work, args=(c, server)) for c in counters]
        for thread in threads:
            thread.start()
        # The moment: once so many more writes are acknowledged.
        goal = total + chance.randrange(1, 250)
        eventually(lambda: faults or sum(w.acknowledged for w in writers) >= goal, "no progress")
        server.kill()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
        assert not faults, faults
        total = sum(w.acknowledged for w in writers)

        server = start(*(["--cache", "2"] if number % 2 else []))
        items = server.scan("items")
        shared = items.pop("counter", {})
        for writer in writers:
            writer.check({key: item for key, item in items.items() if key.startswith(writer.name + "-")})
        assert len(items) == sum(1 for w in writers for v in w.known.values() if v)
        for counter in counters:
            there = int(shared.get(counter.name, 0))
            assert counter.acknowledged <= there <= counter.acknowledged + counter.doubtful
            counter.acknowledged, counter.doubtful = there, 0
        assert int(shared.get("amount", 0)) == sum(c.acknowledged for c in counters)
    assert total > ROUNDS * 50
    server.stop()


def test_kill_while_tables_are_made_and_deleted(start):
    """A table that was answered for is there, or gone; one in doubt can be made, or deleted, anew."""
    chance = random.Random(SEED)
    server = start()
    known = {}
    for number in range(8):
        doubtful = []

        def work():
            try:
                for i in range(100):
                    name = f"table-{number}-{i}"
                    doubtful[:] = [name]
                    server.create(name)
                    server.put(name, "a", v=name)
                    known[name] = True
                    if i % 3 == 0:
                        server.call("DeleteTable", TableName=name)
                        known[name] = False
                    doubtful.clear()
            except (OSError, http.client.HTTPException, Refused):
                pass
        thread = threading.Thread(target=work)
        before, goal = len(known), chance.randrange(1, 12)
        thread.start()
        eventually(lambda: len(known) >= before + goal, "no progress")
        server.kill()
        thread.join(30)
        assert not thread.is_alive()
        server = start("--on-demand-partitions", "3")

        def settled():
            """All tables, once none is on its way."""
            names, last = [], {}
            while True:
                page = server.call("ListTables", **last)
                names += page["TableNames"]
                if "LastEvaluatedTableName" not in page:
                    break
                last = {"ExclusiveStartTableName": page["LastEvaluatedTableName"]}
            try:
                states = {server.call("DescribeTable", TableName=n)["Table"]["TableStatus"] for n in names}
            except Refused:
                return None
            return names if states <= {"ACTIVE"} else None
        names = set(eventually(lambda: settled() or None, "tables do not settle")) if known else set()
        for name, there in known.items():
            if name in doubtful:
                continue
            assert (name in names) == there, name
            if there:
                assert server.get(name, "a") == {"v": name}
        for name in doubtful:
            if name in names:
                server.call("DeleteTable", TableName=name)
            known[name] = False
        for name in names - set(doubtful):
            if len([n for n, there in known.items() if there]) > 10:
                server.call("DeleteTable", TableName=name)
                known[name] = False
    server.stop()
