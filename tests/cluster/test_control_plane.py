"""The control plane with many clients and many tables, tables of many partitions, and the sizes that it tells."""

import concurrent.futures
import random
import time

import pytest

from process import Refused, eventually

ATTRIBUTES = [{"AttributeName": "pk", "AttributeType": "S"}]
SCHEMA = [{"AttributeName": "pk", "KeyType": "HASH"}]


def create(server, name):
    server.call("CreateTable", TableName=name, BillingMode="PAY_PER_REQUEST", AttributeDefinitions=ATTRIBUTES,
                KeySchema=SCHEMA)


def describe(server, name):
    return server.call("DescribeTable", TableName=name)["Table"]


def names(server):
    """All names, and how many pages they came in."""
    found, pages, start = [], 0, {}
    while True:
        page = server.call("ListTables", **start)
        found += page["TableNames"]
        pages += 1
        if "LastEvaluatedTableName" not in page:
            return found, pages
        assert len(page["TableNames"]) == 100
        start = {"ExclusiveStartTableName": page["LastEvaluatedTableName"]}


def patiently(call, *arguments):
    """As SDKs do: LimitExceededException is tried again."""
    for _ in range(3000):
        try:
            return call(*arguments)
        except Refused as refused:
            assert refused.type == "LimitExceededException", refused
            time.sleep(0.01)
    raise AssertionError("it stays at its limit")


def test_each_table_has_its_own_delay(start):
    """Fifty tables with a delay of half a second take half a second, not twenty-five."""
    server = start("--in-memory", "--status-delay", "500")
    began = time.monotonic()
    for i in range(50):
        create(server, f"table{i}")
    asked = time.monotonic()
    first = describe(server, "table0")["TableStatus"]
    assert first == "CREATING" or asked > began + 0.5
    eventually(lambda: all(describe(server, f"table{i}")["TableStatus"] == "ACTIVE" for i in range(50)), "not ACTIVE")
    assert asked + 0.5 <= time.monotonic() < asked + 5
    for i in range(50):
        server.call("DeleteTable", TableName=f"table{i}")
    began = time.monotonic()
    assert describe(server, "table49")["TableStatus"] == "DELETING"
    eventually(lambda: names(server)[0] == [], "not gone")
    assert time.monotonic() < began + 5


EXPECTED = {
    "CreateTable": {"ResourceInUseException", "LimitExceededException"},
    "DeleteTable": {"ResourceInUseException", "ResourceNotFoundException", "LimitExceededException"},
    "UpdateTable": {"ResourceInUseException", "ResourceNotFoundException", "LimitExceededException"},
    "TagResource": {"ResourceNotFoundException", "ResourceInUseException"},
    "DescribeTable": {"ResourceNotFoundException"},
    "PutItem": {"ResourceNotFoundException"},
}


def test_many_clients_race_for_the_same_names(start):
    server = start("--admin", "0")
    clients, rounds, tables = 12, 150, ["one.table", "two.table", "three.table"]

    def client(seed):
        rng = random.Random(seed)
        done = dict.fromkeys(EXPECTED, 0)
        for _ in range(rounds):
            name = rng.choice(tables)
            operation = rng.choice(list(EXPECTED))
            try:
                if operation == "CreateTable":
                    create(server, name)
                elif operation == "UpdateTable":
                    server.call(operation, TableName=name, TableClass=rng.choice(["STANDARD", "STANDARD_INFREQUENT_ACCESS"]))
                elif operation == "TagResource":
                    server.call(operation, ResourceArn=f"arn:aws:dynamodb:us-east-1:000000000000:table/{name}",
                                Tags=[{"Key": "by", "Value": str(seed)}])
                elif operation == "PutItem":
                    server.put(name, f"k{seed}", v="v")
                else:
                    answer = server.call(operation, TableName=name)
                    if operation == "DeleteTable":
                        assert answer["TableDescription"]["TableStatus"] == "DELETING"
                done[operation] += 1
            except Refused as refused:
                assert refused.type in EXPECTED[operation], (operation, refused)
        return done
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        done = list(pool.map(client, range(clients)))
    total = {operation: sum(d[operation] for d in done) for operation in EXPECTED}
    assert min(total.values()) > 0, total
    assert 0 <= total["CreateTable"] - total["DeleteTable"] <= len(tables)

    def settled():
        try:
            return all(describe(server, name)["TableStatus"] == "ACTIVE" for name in names(server)[0])
        except Refused:  # it went between the two calls
            return False
    eventually(settled, "a table is not settled")
    left = names(server)[0]
    assert len(left) == total["CreateTable"] - total["DeleteTable"]
    # The catalog's one, and those of the tables that are left.
    eventually(lambda: server.metrics()["replicas"] == 1 + len(left), server.metrics)
    server.kill()
    assert names(start())[0] == left


def test_many_tables(start, tmp_path):
    count = 620
    all_names = [f"table{i:04d}" for i in range(count)]
    server = start("--data", tmp_path / "data")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: patiently(create, server, name), all_names))
    assert names(server) == (all_names, count // 100 + 1)
    eventually(lambda: all(describe(server, name)["TableStatus"] == "ACTIVE" for name in all_names), "not ACTIVE")
    ids = {describe(server, name)["TableId"] for name in all_names}
    assert len(ids) == count
    server.kill()
    server = start("--data", tmp_path / "data")
    assert names(server)[0] == all_names
    assert {describe(server, name)["TableId"] for name in all_names} == ids
    server.stop()
    server = start("--data", tmp_path / "data")
    assert names(server)[0] == all_names
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: patiently(lambda: server.call("DeleteTable", TableName=name)), all_names))
    eventually(lambda: names(server)[0] == [], lambda: names(server)[0])
    server.stop()
    assert names(start("--data", tmp_path / "data"))[0] == []


def scan(server, table, **more):
    keys, start = [], {}
    while True:
        page = server.call("Scan", TableName=table, **more, **start)
        keys += [(item["pk"]["S"], int(item["sk"]["N"])) for item in page["Items"]]
        if "LastEvaluatedKey" not in page:
            return keys
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


@pytest.mark.parametrize("billing", ["on demand", "provisioned"])
def test_many_partitions(start, tmp_path, billing):
    """64 partitions by the option, 54 by what is provisioned: nobody can tell by what is read."""
    options = ["--data", tmp_path / "data", "--admin", "0", "--on-demand-partitions", "64"]
    server = start(*options)
    capacity = {"BillingMode": "PAY_PER_REQUEST"} if billing == "on demand" else {
        "ProvisionedThroughput": {"ReadCapacityUnits": 40000, "WriteCapacityUnits": 40000}}
    server.call("CreateTable", TableName="wide", **capacity,
                AttributeDefinitions=ATTRIBUTES + [{"AttributeName": "sk", "AttributeType": "N"}],
                KeySchema=SCHEMA + [{"AttributeName": "sk", "KeyType": "RANGE"}])
    eventually(lambda: describe(server, "wide")["TableStatus"] == "ACTIVE", "not ACTIVE")
    assert server.metrics()["replicas"] == 1 + (64 if billing == "on demand" else 54)
    keys = {(f"p{i % 100}", i) for i in range(1000)}
    for first in range(0, 1000, 25):
        answer = server.call("BatchWriteItem", RequestItems={"wide": [
            {"PutRequest": {"Item": {"pk": {"S": f"p{i % 100}"}, "sk": {"N": str(i)}, "v": {"S": "x" * 100}}}}
            for i in range(first, first + 25)]})
        assert not answer["UnprocessedItems"]

    def check(server):
        for more in [{}, {"ConsistentRead": True}, {"Limit": 7}]:
            found = scan(server, "wide", **more)
            assert len(found) == len(keys) and set(found) == keys
        for total in [2, 7, 64, 100]:
            found = [key for segment in range(total) for key in scan(server, "wide", Segment=segment, TotalSegments=total)]
            assert len(found) == len(keys) and set(found) == keys
        for p in range(100):
            answer = server.call("Query", TableName="wide", KeyConditionExpression="pk = :p", ConsistentRead=True,
                                 ExpressionAttributeValues={":p": {"S": f"p{p}"}}, ScanIndexForward=p % 2 == 0)
            numbers = [int(item["sk"]["N"]) for item in answer["Items"]]
            assert sorted(numbers) == list(range(p, 1000, 100)) and numbers == sorted(numbers, reverse=p % 2 == 1)
        answer = server.call("BatchGetItem", RequestItems={"wide": {"Keys": [
            {"pk": {"S": f"p{i % 100}"}, "sk": {"N": str(i)}} for i in range(100)]}})
        assert len(answer["Responses"]["wide"]) == 100 and not answer["UnprocessedKeys"]
    check(server)
    eventually(lambda: describe(server, "wide")["ItemCount"] == 1000, lambda: describe(server, "wide"))
    server.kill()
    server = start(*options)
    check(server)
    server.stop()
    server = start(*options)
    check(server)
    assert describe(server, "wide")["ItemCount"] == 1000
    server.call("DeleteTable", TableName="wide")
    eventually(lambda: server.metrics()["replicas"] == 1, server.metrics)


def size(item):
    """The documented size of an item: names and values, UTF-8 (here texts, one number of two digits, a map)."""
    sizes = {"S": lambda v: len(v.encode()), "N": lambda v: (len(v) + 1) // 2 + 1, "BOOL": lambda v: 1,
             "M": lambda v: 3 + sum(1 + len(n) + size_of(x) for n, x in v.items())}

    def size_of(value):
        return sizes[next(iter(value))](next(iter(value.values())))
    return sum(len(name.encode()) + size_of(value) for name, value in item.items())


def test_table_size_is_that_of_its_items(start, tmp_path):
    rng = random.Random(7)
    items = {}
    server = start("--data", tmp_path / "data")
    create(server, "items")
    eventually(lambda: describe(server, "items")["TableStatus"] == "ACTIVE", "not ACTIVE")

    def write():
        key = f"k{rng.randrange(60)}"
        kind = rng.randrange(4)
        if kind == 0:
            server.call("DeleteItem", TableName="items", Key={"pk": {"S": key}})
            items.pop(key, None)
        elif kind == 1 and key in items:
            value = {"S": "ü" * rng.randrange(200)}
            server.call("UpdateItem", TableName="items", Key={"pk": {"S": key}}, UpdateExpression="SET added = :v",
                        ExpressionAttributeValues={":v": value})
            items[key]["added"] = value
        else:
            items[key] = {"pk": {"S": key}, "number": {"N": "42"}, "flag": {"BOOL": True},
                          "map": {"M": {"inner": {"S": "y" * rng.randrange(50)}}},
                          "größe": {"S": "x" * rng.choice([0, 10, 500, 30000])}}
            server.call("PutItem", TableName="items", Item=items[key])

    def agrees():
        table = describe(server, "items")
        return (table["ItemCount"], table["TableSizeBytes"]) == (len(items), sum(map(size, items.values())))

    def what():
        return describe(server, "items"), len(items), sum(map(size, items.values()))
    for end in ["none", "kill", "stop", "kill", "none"]:
        for _ in range(200):
            write()
        if end != "none":
            getattr(server, end)()
            server = start("--data", tmp_path / "data")
        eventually(agrees, what)
    for key in list(items):
        server.call("DeleteItem", TableName="items", Key={"pk": {"S": key}})
        items.pop(key)
    eventually(agrees, what)
