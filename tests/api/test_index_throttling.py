"""Global secondary indexes have a throughput of their own: reads of them, and writes of their table that they cannot follow."""

import http.client
import json
import re
import time

import pytest

from conftest import Server, definition, key, new_name

EXCEEDED = "ProvisionedThroughputExceededException"
INDEX_TEXT = ("The level of configured provisioned throughput for one or more global secondary indexes of the table was exceeded. Consider "
              "increasing your provisioning level for the under-provisioned global secondary indexes with the UpdateTable API")
MAXIMUM_TEXT = "Throughput exceeds the maximum OnDemandThroughput configured on table or index"
HUGE = "x" * 380_000  # with its key some 372 write units, or 47 eventually consistent reads
SECONDS_MAX = 30


def units(read, write):
    return {"ReadCapacityUnits": read, "WriteCapacityUnits": write}


def arn(table, index="one"):
    return f"arn:aws:dynamodb:us-east-1:000000000000:table/{table}/index/{index}"


def item(pk, g=None, **more):
    return {**key(pk), **({"g": {"S": g}} if g else {}), **{name: {"S": text} for name, text in more.items()}}


def index(name="one", projection="ALL", **more):
    return {"IndexName": name, "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}], "Projection": {"ProjectionType": projection}, **more}


class Clocked:
    """A server whose clock the test moves, with its metrics."""

    def __init__(self, *arguments):
        self.server = Server("--in-memory", "--admin", "0", "--admin-testing", *arguments)
        self.port = int(re.search(r"http://127\.0\.0\.1:(\d+)/metrics", "".join(self.server.log)).group(1))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.stop()

    def ask(self, method, path, members=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, path, json.dumps(members) if members is not None else None)
        answer = connection.getresponse()
        body = answer.read().decode()
        assert answer.status == 200, body
        return body

    def advance(self, seconds):
        self.ask("PUT", "/testing/clock", {"AdvanceSeconds": seconds})

    def metrics(self):
        lines = (line for line in self.ask("GET", "/metrics").splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


@pytest.fixture
def clocked():
    with Clocked() as clocked:
        yield clocked


def settled(server, table):
    deadline = time.monotonic() + SECONDS_MAX
    while time.monotonic() < deadline:
        got = server.call("DescribeTable", TableName=table)["Table"]
        if got["TableStatus"] == "ACTIVE" and all(i["IndexStatus"] == "ACTIVE" for i in got.get("GlobalSecondaryIndexes", [])):
            return got
    raise AssertionError(got)


def make(server, *indexes, **members):
    """One partition: each of them refuses by itself what its changes wait for."""
    name = new_name()
    made = definition(name, "pk:S", **{"ProvisionedThroughput": units(1000, 500), **members})
    if indexes:
        made["AttributeDefinitions"] += [{"AttributeName": "g", "AttributeType": "S"}]
        made["GlobalSecondaryIndexes"] = list(indexes)
    server.call("CreateTable", made)
    settled(server, name)
    return name


def held(server, read, write, **more):
    """A table with an index of such a throughput."""
    return make(server, index(ProvisionedThroughput=units(read, write), **more))


def put(server, table, one):
    return server.signed("PutItem", {"TableName": table, "Item": one})


def until(ask, what="it does not come"):
    deadline = time.monotonic() + SECONDS_MAX
    while time.monotonic() < deadline:
        got = ask()
        if got:
            return got
        time.sleep(0.002)
    raise AssertionError(what)


def count(server, table, name="one"):
    return server.call("Scan", TableName=table, IndexName=name, Select="COUNT")["Count"]


def indexed(server, table, name="one"):
    """How many rows the index has, without reading them."""
    got = server.call("DescribeTable", TableName=table)["Table"]["GlobalSecondaryIndexes"]
    return next(one["ItemCount"] for one in got if one["IndexName"] == name)


def write_until_refused(server, table, most=3000):
    """Items that go into the index, until one is refused; how many were not, and the refusal."""
    for n in range(most):
        answer = put(server, table, item(f"n{n}", "a"))
        if answer.status != 200:
            return n, answer
    raise AssertionError("never refused")


# ---- Reads ----

@pytest.mark.parametrize("operation,members", [
    ("Query", {"KeyConditionExpression": "g = :g", "ExpressionAttributeValues": {":g": {"S": "a"}}}),
    ("Scan", {})])
def test_reads_beyond_the_capacity_of_an_index(clocked, operation, members):
    server = clocked.server
    table = held(server, 1, 500)
    put(server, table, item("a", "a", v=HUGE))
    until(lambda: indexed(server, table) == 1)
    request = {"TableName": table, "IndexName": "one", **members}
    answers = [server.signed(operation, request) for _ in range(12)]
    good = [answer for answer in answers if answer.status == 200]
    assert 6 <= len(good) <= 8  # 47 units each of 300
    assert answers[-1].status == 400
    assert answers[-1].json == {"__type": "com.amazonaws.dynamodb.v20120810#" + EXCEEDED, "message": INDEX_TEXT, "ThrottlingReasons": [
        {"reason": "IndexReadProvisionedThroughputExceeded", "resource": arn(table)}]}
    assert server.call("Scan", TableName=table)["Count"] == 1  # the table has its own
    assert server.signed("ExecuteStatement", {"Statement": f'SELECT * FROM "{table}"."one" WHERE g = \'a\''}).json["ThrottlingReasons"] == [
        {"reason": "IndexReadProvisionedThroughputExceeded", "resource": arn(table)}]
    assert clocked.metrics()['trine_throttled_total{reason="IndexReadProvisionedThroughputExceeded"}'] >= 4
    clocked.advance(600)
    assert server.signed(operation, request).status == 200


def test_reads_of_a_table_do_not_consume_an_index(clocked):
    server = clocked.server
    table = make(server, index(ProvisionedThroughput=units(1000, 1000)), ProvisionedThroughput=units(1, 1000))
    put(server, table, item("a", "a", v=HUGE))
    until(lambda: indexed(server, table) == 1)
    for _ in range(12):
        last = server.signed("Scan", {"TableName": table})
    assert last.json["ThrottlingReasons"][0]["reason"] == "TableReadProvisionedThroughputExceeded"
    assert count(server, table) == 1


def test_maximums_of_an_on_demand_index(clocked):
    server = clocked.server
    table = make(server, index(OnDemandThroughput={"MaxReadRequestUnits": 5}), BillingMode="PAY_PER_REQUEST", ProvisionedThroughput=None,
                 OnDemandThroughput={"MaxReadRequestUnits": 1000})
    put(server, table, item("a", "a", v=HUGE))
    until(lambda: indexed(server, table) == 1)
    assert count(server, table) == 1
    answer = server.signed("Scan", {"TableName": table, "IndexName": "one"})
    assert answer.error == ("ThrottlingException", MAXIMUM_TEXT)
    assert answer.json["throttlingReasons"] == [{"reason": "IndexReadMaxOnDemandThroughputExceeded", "resource": arn(table)}]
    assert server.call("Scan", TableName=table)["Count"] == 1
    clocked.advance(60)
    assert count(server, table) == 1
    assert clocked.metrics()['trine_throttled_total{reason="IndexReadMaxOnDemandThroughputExceeded"}'] == 1


# ---- Writes of the table ----

def test_writes_that_an_index_cannot_follow(clocked):
    server = clocked.server
    table = held(server, 1000, 1)
    assert put(server, table, item("huge", "a", v=HUGE)).status == 200  # a debt of a minute and more
    done, answer = write_until_refused(server, table)
    assert 1 <= done <= 100  # what comes before that is noticed
    done += 1
    assert answer.json == {"__type": "com.amazonaws.dynamodb.v20120810#" + EXCEEDED, "message": INDEX_TEXT, "ThrottlingReasons": [
        {"reason": "IndexWriteProvisionedThroughputExceeded", "resource": arn(table)}]}
    refused = [
        ("UpdateItem", {"Key": key("n0"), "UpdateExpression": "SET g = :b", "ExpressionAttributeValues": {":b": {"S": "b"}}}),
        ("DeleteItem", {"Key": key("n0")}),
        ("PutItem", {"Item": item("n0", "a", v="other")})]
    for operation, members in refused:
        assert server.error(operation, TableName=table, **members) == (EXCEEDED, INDEX_TEXT), operation
    batch = [{"PutRequest": {"Item": item("new", "a")}}]
    assert server.error("BatchWriteItem", RequestItems={table: batch}) == (EXCEEDED, INDEX_TEXT)
    others = [{"PutRequest": {"Item": item("no row")}}]
    assert server.call("BatchWriteItem", RequestItems={table: batch + others})["UnprocessedItems"] == {table: batch}
    assert server.signed("BatchExecuteStatement", {"Statements": [{"Statement": f"DELETE FROM \"{table}\" WHERE pk = 'n0'"}]}).json[
        "Responses"][0]["Error"] == {"Code": "ProvisionedThroughputExceeded", "Message": INDEX_TEXT}
    # What was refused was not written, and what leaves the index alone is not refused.
    assert server.call("GetItem", TableName=table, Key=key("n0"))["Item"] == item("n0", "a")
    assert "Item" not in server.call("GetItem", TableName=table, Key=key("new"))
    assert "Item" in server.call("GetItem", TableName=table, Key=key("no row"))
    server.call("DeleteItem", TableName=table, Key=key("no row"))
    metrics = clocked.metrics()
    assert metrics['trine_throttled_total{reason="IndexWriteProvisionedThroughputExceeded"}'] >= 7
    assert metrics["trine_index_waits_total"] >= 1 and metrics["trine_index_pumps_holding"] >= 1
    # Time gives the index what it needs, and the writes go on.
    clocked.advance(400)
    until(lambda: put(server, table, item("after", "a")).status == 200)
    until(lambda: count(server, table) == done + 1)
    assert clocked.metrics()["trine_index_pumps_holding"] == 0


@pytest.mark.parametrize("other", [False, True])
def test_transactions_that_an_index_cannot_follow(clocked, other):
    """In one partition, and over two tables: cancelled as for a table without capacity."""
    server = clocked.server
    table = held(server, 1000, 1)
    second = make(server) if other else table
    put(server, table, item("huge", "a", v=HUGE))
    write_until_refused(server, table)
    actions = [{"Put": {"TableName": second, "Item": item("free")}}, {"Put": {"TableName": table, "Item": item("new", "a")}}]
    answer = server.signed("TransactWriteItems", {"TransactItems": actions})
    assert answer.error[0] == "TransactionCanceledException"
    assert answer.json["CancellationReasons"] == [
        {"Code": "None"}, {"Code": "ProvisionedThroughputExceeded", "Message": INDEX_TEXT}]
    for name, pk in ((second, "free"), (table, "new")):
        assert "Item" not in server.call("GetItem", TableName=name, Key=key(pk))
    answer = server.signed("TransactWriteItems", {"TransactItems": [actions[0], {"Put": {"TableName": table, "Item": item("no row")}}]})
    assert answer.status == 200  # what leaves the index alone
    clocked.advance(600)
    until(lambda: server.signed("TransactWriteItems", {"TransactItems": actions}).status == 200)


def test_more_capacity_helps_at_once(clocked):
    server = clocked.server
    table = held(server, 1000, 1)
    done, _ = write_until_refused(server, table)
    assert 300 <= done <= 400  # what the index may keep, and what comes before that is noticed
    server.call("UpdateTable", TableName=table, GlobalSecondaryIndexUpdates=[
        {"Update": {"IndexName": "one", "ProvisionedThroughput": units(1000, 1000)}}])
    until(lambda: put(server, table, item("after", "a")).status == 200)
    until(lambda: count(server, table) == done + 1)


def test_an_index_that_is_deleted_holds_nobody(clocked):
    server = clocked.server
    table = held(server, 1000, 1)
    write_until_refused(server, table)
    server.call("UpdateTable", TableName=table, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "one"}}])
    settled(server, table)
    server.call("PutItem", TableName=table, Item=item("after", "a"))
    server.call("UpdateTable", TableName=table, AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("pk", "g")],
                GlobalSecondaryIndexUpdates=[{"Create": index(ProvisionedThroughput=units(1000, 1))}])
    server.call("PutItem", TableName=table, Item=item("and one", "a"))  # it has its name, and not its debts
    settled(server, table)
    assert clocked.metrics()["trine_index_pumps_holding"] == 0


def test_each_index_has_its_own(clocked):
    server = clocked.server
    table = make(server, index(ProvisionedThroughput=units(1000, 1000)), index("two", ProvisionedThroughput=units(1000, 1)))
    done, answer = write_until_refused(server, table)
    assert answer.json["ThrottlingReasons"] == [{"reason": "IndexWriteProvisionedThroughputExceeded", "resource": arn(table, "two")}]
    until(lambda: count(server, table, "one") == done)
    assert count(server, table, "two") < done


def test_a_moved_row_costs_two_writes_and_an_unchanged_one_none(clocked):
    server = clocked.server
    table = held(server, 1000, 1, projection="KEYS_ONLY")
    server.call("PutItem", TableName=table, Item=item("a", "a"))
    for n in range(400):
        server.call("PutItem", TableName=table, Item=item("a", "a", v=str(n)))
    assert clocked.metrics()["trine_index_waits_total"] == 0
    for n in range(300):
        if put(server, table, item("a", f"g{n}")).status != 200:
            break
    assert 148 <= n <= 200


def test_the_write_maximum_of_an_on_demand_index(clocked):
    server = clocked.server
    table = make(server, index(OnDemandThroughput={"MaxWriteRequestUnits": 50}), BillingMode="PAY_PER_REQUEST", ProvisionedThroughput=None)
    put(server, table, item("huge", "a", v=HUGE))
    _, answer = write_until_refused(server, table)
    assert answer.error == ("ThrottlingException", MAXIMUM_TEXT)
    assert answer.json["throttlingReasons"] == [{"reason": "IndexWriteMaxOnDemandThroughputExceeded", "resource": arn(table)}]
    assert clocked.metrics()['trine_throttled_total{reason="IndexWriteMaxOnDemandThroughputExceeded"}'] >= 1
    for _ in range(40):
        clocked.advance(10)
    until(lambda: put(server, table, item("after", "a")).status == 200)


def test_what_is_brought_into_a_new_index_costs_nothing(clocked):
    server = clocked.server
    table = make(server)
    for n in range(16):
        server.call("BatchWriteItem", RequestItems={table: [{"PutRequest": {"Item": item(f"{n} {m}", "a")}} for m in range(25)]})
    server.call("UpdateTable", TableName=table, AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("pk", "g")],
                GlobalSecondaryIndexUpdates=[{"Create": index(ProvisionedThroughput=units(1000, 1))}])
    settled(server, table)
    assert count(server, table) == 400
    server.call("PutItem", TableName=table, Item=item("after", "a"))
    until(lambda: count(server, table) == 401)
    assert clocked.metrics()["trine_index_waits_total"] == 0


def test_items_that_expire_cost_an_index_nothing():
    with Clocked("--ttl-sweep-interval", "1") as clocked:
        server = clocked.server
        table = held(server, 1000, 1)
        server.call("UpdateTimeToLive", TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "t"})
        now = int(time.time())
        for n in range(250):
            server.call("PutItem", TableName=table, Item={**item(f"n{n}", "a"), "t": {"N": str(now + 100)}})
        until(lambda: indexed(server, table) == 250)
        clocked.advance(101)  # and as many units: 151 are left at the most
        until(lambda: indexed(server, table) == 0)
        assert clocked.metrics()["trine_index_waits_total"] == 0


def test_a_snapshot_that_is_restored_costs_an_index_nothing(clocked):
    server = clocked.server
    table = held(server, 1000, 1)
    for half in range(2):
        for n in range(250):
            server.call("PutItem", TableName=table, Item=item(f"{half} {n}", "a"))
        until(lambda: indexed(server, table) == 250 * (half + 1))
        clocked.advance(300)
    waits = clocked.metrics()["trine_index_waits_total"]
    clocked.ask("PUT", "/testing/snapshots/full")
    clocked.ask("POST", "/testing/reset")
    clocked.ask("POST", "/testing/snapshots/full/restore")
    settled(server, table)
    until(lambda: indexed(server, table) == 500)
    server.call("PutItem", TableName=table, Item=item("after", "a"))
    until(lambda: indexed(server, table) == 501)
    assert clocked.metrics()["trine_index_waits_total"] == waits


# ---- Options ----

def test_no_throttling():
    with Clocked("--no-throttling") as clocked:
        server = clocked.server
        table = held(server, 1, 1)
        for n in range(400):
            server.call("PutItem", TableName=table, Item=item(f"n{n}", "a"))
        for n in range(3):
            put(server, table, item(f"huge{n}", "a", v=HUGE))
        until(lambda: indexed(server, table) == 403)
        for _ in range(20):
            server.call("Scan", TableName=table, IndexName="one")
        other = make(server, index(OnDemandThroughput={"MaxReadRequestUnits": 1, "MaxWriteRequestUnits": 1}), BillingMode="PAY_PER_REQUEST",
                     ProvisionedThroughput=None)
        for n in range(3):
            put(server, other, item(f"huge{n}", "a", v=HUGE))
        until(lambda: indexed(server, other) == 3)
        for _ in range(3):
            assert count(server, other) == 2  # a page of 1 MB
        assert clocked.metrics()["trine_index_waits_total"] == 0


def test_throttle_all_holds_partitions_of_on_demand_indexes():
    with Clocked("--throttle-all") as clocked:
        server = clocked.server
        table = make(server, index(), BillingMode="PAY_PER_REQUEST", ProvisionedThroughput=None)
        # Each on a partition key of its own: the table's partition takes as much as the index's.
        put(server, table, item("huge", "a", v=HUGE))
        until(lambda: indexed(server, table) == 1)
        answers = [server.signed("Scan", {"TableName": table, "IndexName": "one"}) for _ in range(200)]
        refused = next(answer for answer in answers if answer.status == 400)
        assert refused.error[0] == "ThrottlingException"
        assert refused.json["throttlingReasons"] == [{"reason": "IndexReadKeyRangeThroughputExceeded", "resource": arn(table)}]
