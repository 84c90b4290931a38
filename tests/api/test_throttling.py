"""Throttling: provisioned tables by what they are provisioned with, on-demand tables by their maximums."""

import http.client
import json
import re
import threading

import pytest

from conftest import Server, definition, key, new_name

EXCEEDED = "ProvisionedThroughputExceededException"
EXCEEDED_TEXT = ("The level of configured provisioned throughput for the table was exceeded. Consider increasing your provisioning level "
                 "with the UpdateTable API.")
MAXIMUM_TEXT = "Throughput exceeds the maximum OnDemandThroughput configured on table or index"
HUGE = "x" * 380_000  # with its key some 372 units: more than the 300 s of one unit a second that a table keeps


def provisioned(read, write):
    return {"ReadCapacityUnits": read, "WriteCapacityUnits": write}


def arn(table):
    return f"arn:aws:dynamodb:us-east-1:000000000000:table/{table}"


def exhaust_writes(server, table):
    """One item that leaves a debt of a minute and more."""
    server.call("PutItem", TableName=table, Item={**key("huge"), "v": {"S": HUGE}})


def exhaust_reads(server, table):
    for _ in range(5):
        if server.signed("GetItem", {"TableName": table, "Key": key("huge"), "ConsistentRead": True}).status != 200:
            return
    raise AssertionError("never throttled")


@pytest.fixture
def small(make_table):
    """A table of one unit a second."""
    return make_table("pk:S", ProvisionedThroughput=provisioned(1, 1))


# ---- Provisioned tables ----

@pytest.mark.parametrize("operation,members", [
    ("PutItem", {"Item": key("a")}),
    ("UpdateItem", {"Key": key("a")}),
    ("DeleteItem", {"Key": key("a")}),
    ("BatchWriteItem", None)])
def test_writes_beyond_the_capacity(server, small, operation, members):
    exhaust_writes(server, small)
    body = {"TableName": small, **members} if members else {"RequestItems": {small: [{"PutRequest": {"Item": key("a")}}]}}
    answer = server.signed(operation, body)
    assert answer.status == 400
    assert answer.json == {"__type": "com.amazonaws.dynamodb.v20120810#" + EXCEEDED, "message": EXCEEDED_TEXT, "ThrottlingReasons": [
        {"reason": "TableWriteProvisionedThroughputExceeded", "resource": arn(small)}]}
    assert "Item" not in server.call("GetItem", TableName=small, Key=key("a"))  # reads are another account


@pytest.mark.parametrize("operation,members", [
    ("GetItem", {"Key": key("a")}),
    ("Query", {"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": {"S": "a"}}}),
    ("Scan", {}),
    ("BatchGetItem", None)])
def test_reads_beyond_the_capacity(server, small, operation, members):
    exhaust_writes(server, small)
    exhaust_reads(server, small)
    body = {"TableName": small, **members} if members is not None else {"RequestItems": {small: {"Keys": [key("a")]}}}
    answer = server.signed(operation, body)
    assert answer.error == (EXCEEDED, EXCEEDED_TEXT)
    assert answer.json["ThrottlingReasons"] == [{"reason": "TableReadProvisionedThroughputExceeded", "resource": arn(small)}]


def test_a_table_begins_with_what_it_may_keep(server, make_table):
    """300 seconds of its throughput serve at once."""
    table = make_table("pk:S", ProvisionedThroughput=provisioned(1, 2))
    done = 0
    while server.signed("PutItem", {"TableName": table, "Item": {**key("a"), "v": {"S": "x" * 9000}}}).status == 200:
        done += 9
        assert done < 1000
    assert 600 <= done <= 700  # and what came in meanwhile
    assert server.error("PutItem", TableName=table, Item=key("b"))[0] == EXCEEDED


def test_a_failed_condition_costs_units_and_a_bad_request_none(server, small):
    huge = {**key("huge"), "v": {"S": HUGE[:250_000]}}
    for _ in range(400):
        assert server.error("PutItem", TableName=small, Item={"pk": {"N": "1"}})[0] == "ValidationException"
        assert server.error("UpdateItem", TableName=small, Key=key("a"), UpdateExpression="SET v = nothing")[0] == "ValidationException"
    server.call("PutItem", TableName=small, Item=huge)
    assert server.error("PutItem", TableName=small, Item=key("huge"), ConditionExpression="attribute_not_exists(pk)") == (
        "ConditionalCheckFailedException", "The conditional request failed")
    assert server.error("PutItem", TableName=small, Item=key("a"))[0] == EXCEEDED


def test_one_table_does_not_throttle_another(server, make_table):
    one = make_table("pk:S", ProvisionedThroughput=provisioned(1, 1))
    two = make_table("pk:S", ProvisionedThroughput=provisioned(1, 1))
    exhaust_writes(server, one)
    assert server.error("PutItem", TableName=one, Item=key("a"))[0] == EXCEEDED
    server.call("PutItem", TableName=two, Item=key("a"))


def test_more_throughput_helps_at_once(server, small):
    exhaust_writes(server, small)
    assert server.error("PutItem", TableName=small, Item=key("a"))[0] == EXCEEDED
    server.call("UpdateTable", TableName=small, ProvisionedThroughput=provisioned(1, 5000))
    server.wait_active(small)
    for _ in range(200):
        if server.signed("PutItem", {"TableName": small, "Item": key("a")}).status == 200:
            break
    else:
        raise AssertionError("5,000 units a second do not pay a debt of 72")
    server.call("UpdateTable", TableName=small, BillingMode="PAY_PER_REQUEST")
    server.wait_active(small)
    for _ in range(3):
        exhaust_writes(server, small)


# ---- PartiQL ----

def test_statements_are_throttled_too(server, small):
    exhaust_writes(server, small)
    answer = server.signed("ExecuteStatement", {"Statement": f"INSERT INTO \"{small}\" VALUE {{'pk': 'a'}}"})
    assert answer.error == (EXCEEDED, EXCEEDED_TEXT)
    assert answer.json["ThrottlingReasons"] == [{"reason": "TableWriteProvisionedThroughputExceeded", "resource": arn(small)}]
    got = server.call("BatchExecuteStatement", Statements=[{"Statement": f"UPDATE \"{small}\" SET v = 1 WHERE pk = 'huge'"}])
    assert got["Responses"][0]["Error"] == {"Code": "ProvisionedThroughputExceeded", "Message": EXCEEDED_TEXT}
    exhaust_reads(server, small)
    assert server.error("ExecuteStatement", Statement=f'SELECT pk FROM "{small}"')[0] == EXCEEDED


# ---- Partial answers ----

def test_a_batch_write_returns_what_was_not_written(server, make_table):
    empty = make_table("pk:S", ProvisionedThroughput=provisioned(1, 1))
    other = make_table("pk:S")
    exhaust_writes(server, empty)
    got = server.call("BatchWriteItem", ReturnConsumedCapacity="TOTAL", RequestItems={
        empty: [{"PutRequest": {"Item": key("a")}}, {"DeleteRequest": {"Key": key("b")}}], other: [{"PutRequest": {"Item": key("a")}}]})
    assert got["UnprocessedItems"] == {empty: [{"PutRequest": {"Item": key("a")}}, {"DeleteRequest": {"Key": key("b")}}]}
    assert {c["TableName"]: c["CapacityUnits"] for c in got["ConsumedCapacity"]} == {empty: 0, other: 1}
    assert "Item" in server.call("GetItem", TableName=other, Key=key("a"))
    assert "Item" not in server.call("GetItem", TableName=empty, Key=key("a"))


def test_a_batch_write_is_written_in_part(server, small):
    """What one table may still write is written, the rest comes back."""
    requests = [{"PutRequest": {"Item": {**key(str(n)), "v": {"S": "x" * 40_000}}}} for n in range(12)]
    got = server.call("BatchWriteItem", RequestItems={small: requests})["UnprocessedItems"][small]
    assert got == requests[8:]  # 40 units each of 300


def test_a_batch_get_returns_the_keys_that_were_not_read(server, make_table):
    empty = make_table("pk:S", ProvisionedThroughput=provisioned(1, 1))
    other = make_table("pk:S")
    server.call("PutItem", TableName=other, Item=key("a"))
    exhaust_writes(server, empty)
    exhaust_reads(server, empty)
    part = {"Keys": [key("a"), key("b")], "ConsistentRead": True, "ProjectionExpression": "#p", "ExpressionAttributeNames": {"#p": "pk"}}
    got = server.call("BatchGetItem", RequestItems={empty: part, other: {"Keys": [key("a")]}})
    assert got == {"Responses": {empty: [], other: [key("a")]}, "UnprocessedKeys": {empty: part}}
    assert server.error("BatchGetItem", RequestItems={empty: part}) == (EXCEEDED, EXCEEDED_TEXT)


def test_a_scan_ends_early_at_a_partition_that_may_not_be_read():
    """What was read of other partitions is answered, with a key to go on from."""
    server = Server("--in-memory")
    try:
        server.call("CreateTable", definition("wide", ProvisionedThroughput=provisioned(3100, 3000)))  # five partitions
        server.wait_active("wide")
        for n in range(40):
            server.call("PutItem", TableName="wide", Item={**key(f"k{n}"), "v": {"S": "x"}})
        assert len(server.call("Scan", TableName="wide")["Items"]) == 40
        target = server.call("Scan", TableName="wide")["Items"][-1]["pk"]["S"]  # of the last partition
        server.call("PutItem", TableName="wide", Item={**key(target), "v": {"S": HUGE}})
        server.call("UpdateTable", TableName="wide", ProvisionedThroughput=provisioned(1, 3000))  # a fifth of a unit each
        server.wait_active("wide")

        def read():
            return server.signed("GetItem", {"TableName": "wide", "Key": key(target), "ConsistentRead": True}).status

        assert any(read() != 200 for _ in range(200))
        got = server.call("Scan", TableName="wide")
        assert 0 < got["Count"] < 40 and "LastEvaluatedKey" in got
        assert target not in {item["pk"]["S"] for item in got["Items"]}
    finally:
        server.stop()


# ---- On-demand tables ----

def test_maximums_of_an_on_demand_table(server, make_table):
    table = make_table("pk:S", OnDemandThroughput={"MaxReadRequestUnits": 5, "MaxWriteRequestUnits": 400})
    exhaust_writes(server, table)
    exhaust_writes(server, table)
    answer = server.signed("PutItem", {"TableName": table, "Item": key("a")})
    assert answer.error == ("ThrottlingException", MAXIMUM_TEXT)
    assert answer.json["throttlingReasons"] == [{"reason": "TableWriteMaxOnDemandThroughputExceeded", "resource": arn(table)}]
    assert server.error("BatchWriteItem", RequestItems={table: [{"PutRequest": {"Item": key("a")}}]}) == ("ThrottlingException", MAXIMUM_TEXT)
    server.call("Scan", TableName=table)
    for operation, members in (("GetItem", {"Key": key("a")}), ("Scan", {})):
        answer = server.signed(operation, {"TableName": table, **members})
        assert answer.error == ("ThrottlingException", MAXIMUM_TEXT)
        assert answer.json["throttlingReasons"][0]["reason"] == "TableReadMaxOnDemandThroughputExceeded"
    server.call("UpdateTable", TableName=table, OnDemandThroughput={"MaxReadRequestUnits": -1, "MaxWriteRequestUnits": -1})
    server.wait_active(table)
    for _ in range(3):
        exhaust_writes(server, table)
        assert server.call("Scan", TableName=table)["Count"] == 1


def test_a_refused_transaction_costs_what_was_read(server, make_table):
    maximum = {"OnDemandThroughput": {"MaxReadRequestUnits": 5}}
    other, spent = make_table(**maximum), make_table(**maximum)
    large = make_table(OnDemandThroughput={"MaxReadRequestUnits": 20})
    exhaust_writes(server, spent)
    server.call("GetItem", TableName=spent, Key=key("huge"), ConsistentRead=True)
    gets = [{"Get": {"TableName": table, "Key": key("huge")}} for table in (other, spent)]
    for _ in range(50):
        answer = server.signed("TransactGetItems", {"TransactItems": gets})
        assert answer.json["CancellationReasons"] == [{"Code": "None"}, {"Code": "ThrottlingError", "Message": MAXIMUM_TEXT}]
    server.call("GetItem", TableName=other, Key=key("a"))  # nothing was read of it
    names = [f"huge{n}" for n in range(12)]
    for name in names:
        server.call("PutItem", TableName=large, Item={**key(name), "v": {"S": HUGE}})
    assert server.error("TransactGetItems", TransactItems=[{"Get": {"TableName": large, "Key": key(name)}} for name in names])[0] == (
        "ValidationException")
    assert server.error("GetItem", TableName=large, Key=key("a")) == ("ThrottlingException", MAXIMUM_TEXT)


def test_an_on_demand_table_without_maximums_is_not_throttled(server, table):
    for _ in range(5):
        exhaust_writes(server, table)
        server.call("GetItem", TableName=table, Key=key("huge"))


# ---- What the options say ----

def test_no_throttling():
    server = Server("--in-memory", "--no-throttling")
    try:
        for name, more in (("small", {"ProvisionedThroughput": provisioned(1, 1)}),
                           ("maximum", {"OnDemandThroughput": {"MaxReadRequestUnits": 1, "MaxWriteRequestUnits": 1}})):
            server.call("CreateTable", definition(name, **more))
            server.wait_active(name)
            for _ in range(4):
                exhaust_writes(server, name)
                server.call("Scan", TableName=name)
    finally:
        server.stop()


def test_throttle_all():
    """A partition of an on-demand table, and calls that the service limits by the second."""
    server = Server("--in-memory", "--throttle-all")
    try:
        server.call("CreateTable", definition("hot"))
        server.wait_active("hot")
        answers = [server.signed("PutItem", {"TableName": "hot", "Item": {**key("huge"), "v": {"S": HUGE}}}) for _ in range(30)]
        refused = [answer for answer in answers if answer.status == 400]
        assert len(refused) < 30
        error, text = refused[0].error
        assert error == "ThrottlingException" and text.startswith("Throughput exceeds the current capacity of your table or index.")
        assert refused[0].json["throttlingReasons"] == [{"reason": "TableWriteKeyRangeThroughputExceeded", "resource": arn("hot")}]

        server.call("DescribeLimits")
        assert server.error("DescribeLimits") == ("ThrottlingException", "Rate exceeded")
        answers = [server.signed("TagResource", {"ResourceArn": arn("hot"), "Tags": [{"Key": "a", "Value": "b"}]}) for _ in range(20)]
        assert answers[0].status == 200 and any(answer.status == 400 and answer.error[1] == "Rate exceeded" for answer in answers)
        answers = [server.signed("ListTagsOfResource", {"ResourceArn": arn("hot")}) for _ in range(40)]
        assert answers[0].status == 200 and any(answer.status == 400 and answer.error[1] == "Rate exceeded" for answer in answers)
    finally:
        server.stop()


# ---- The clock that a tester moves ----

NOW = 2_000_000_000


class Clock:
    """A server whose clock the test moves, by the admin endpoint."""

    def __init__(self):
        self.server = Server("--in-memory", "--admin", "0", "--admin-testing")
        self.port = int(re.search(r"http://127\.0\.0\.1:(\d+)/metrics", "".join(self.server.log)).group(1))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.stop()

    def put(self, **members):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("PUT", "/testing/clock", json.dumps(members))
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()

    def make(self, name, read, write):
        self.server.call("CreateTable", definition(name, ProvisionedThroughput=provisioned(read, write)))
        self.server.wait_active(name)

    def update(self, name, **members):
        answer = self.server.signed("UpdateTable", {"TableName": name, **members})
        self.server.wait_active(name)
        return answer


def test_a_debt_is_paid_by_time():
    with Clock() as clock:
        clock.make("small", 1, 1)
        exhaust_writes(clock.server, "small")  # 72 units of debt
        assert clock.server.error("PutItem", TableName="small", Item=key("a"))[0] == EXCEEDED
        clock.put(AdvanceSeconds=60)
        assert clock.server.error("PutItem", TableName="small", Item=key("a"))[0] == EXCEEDED
        clock.put(AdvanceSeconds=15)
        clock.server.call("PutItem", TableName="small", Item=key("a"))
        clock.put(AdvanceSeconds=86400)  # no more than 300 units are kept
        exhaust_writes(clock.server, "small")
        assert clock.server.error("PutItem", TableName="small", Item=key("a"))[0] == EXCEEDED


def test_twenty_seven_decreases_in_a_day():
    """Four at once, then one an hour, until the day (UTC) is over."""
    with Clock() as clock:
        clock.put(Now=2_000_000_000 // 86400 * 86400)
        clock.make("big", 1000, 1)
        read, done = 1000, 0
        for hour in range(24):
            for _ in range(6):
                if clock.update("big", ProvisionedThroughput=provisioned(read - 1, 1)).status == 200:
                    read, done = read - 1, done + 1
            assert done == 4 + hour
            clock.put(AdvanceSeconds=3600)
        assert done == 27
        for _ in range(4):  # another day
            assert clock.update("big", ProvisionedThroughput=provisioned(read - 1, 1)).status == 200
            read -= 1
        assert clock.update("big", ProvisionedThroughput=provisioned(read - 1, 1)).error[0] == "LimitExceededException"


def test_a_switch_to_on_demand_is_free_again_after_a_day():
    with Clock() as clock:
        clock.make("switched", 5, 5)
        back = {"BillingMode": "PROVISIONED", "ProvisionedThroughput": provisioned(5, 5)}
        for _ in range(4):
            assert clock.update("switched", BillingMode="PAY_PER_REQUEST").status == 200
            assert clock.update("switched", **back).status == 200
            clock.put(AdvanceSeconds=3600)
        assert clock.update("switched", BillingMode="PAY_PER_REQUEST").error[0] == "LimitExceededException"
        clock.put(AdvanceSeconds=86400 - 4 * 3600)
        assert clock.update("switched", BillingMode="PAY_PER_REQUEST").status == 200
        assert clock.update("switched", **back).status == 200
        assert clock.update("switched", BillingMode="PAY_PER_REQUEST").error[0] == "LimitExceededException"


def test_a_table_changes_its_class_twice_in_thirty_days():
    day = 86400
    with Clock() as clock:
        clock.put(Now=NOW)
        clock.server.call("CreateTable", definition("classy", TableClass="STANDARD_INFREQUENT_ACCESS"))  # this is no change of it
        clock.server.wait_active("classy")
        assert clock.update("classy", TableClass="STANDARD").status == 200
        clock.put(AdvanceSeconds=10 * day)
        assert clock.update("classy", TableClass="STANDARD").status == 200  # nor is this
        assert clock.update("classy", TableClass="STANDARD_INFREQUENT_ACCESS").status == 200
        error, text = clock.update("classy", TableClass="STANDARD").error
        assert error == "LimitExceededException"
        assert text == "Subscriber limit exceeded: Updates to TableClass are limited to 2 times in 30 day(s)."
        assert clock.update("classy", DeletionProtectionEnabled=True).status == 200  # others are as they were
        clock.put(AdvanceSeconds=20 * day - 60)
        assert clock.update("classy", TableClass="STANDARD").error[0] == "LimitExceededException"
        clock.put(AdvanceSeconds=60)
        assert clock.update("classy", TableClass="STANDARD").status == 200
        assert clock.update("classy", TableClass="STANDARD_INFREQUENT_ACCESS").error[0] == "LimitExceededException"
        clock.put(AdvanceSeconds=10 * day)
        assert clock.update("classy", TableClass="STANDARD_INFREQUENT_ACCESS").status == 200
        got = clock.server.call("DescribeTable", TableName="classy")["Table"]["TableClassSummary"]
        assert got["TableClass"] == "STANDARD_INFREQUENT_ACCESS" and got["LastUpdateDateTime"] > NOW + 39 * day


# ---- From a client's side ----

def test_boto3_sees_the_exception_and_its_reasons(boto, server, small):
    exhaust_writes(server, small)
    with pytest.raises(boto.exceptions.ProvisionedThroughputExceededException) as raised:
        boto.put_item(TableName=small, Item=key("a"))
    assert raised.value.response["Error"]["Message"] == EXCEEDED_TEXT


def test_many_clients_together_get_no_more_than_one(server, make_table):
    """Requests that wait side by side are not let in on the same tokens."""
    table = make_table("pk:S", ProvisionedThroughput=provisioned(1, 1))
    done = []

    def write():
        for _ in range(60):
            answer = server.signed("PutItem", {"TableName": table, "Item": {**key("a"), "v": {"S": "x" * 1500}}})
            if answer.status == 200:
                done.append(2)

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 300 <= sum(done) <= 340


# ---- Metrics ----


def test_metrics():
    with Clock() as clock:
        server = clock.server

        def read():
            clock.put(Now=NOW)  # no time goes by
            connection = http.client.HTTPConnection("127.0.0.1", clock.port, timeout=30)
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
            return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if not line.startswith("#")}

        before = read()
        assert before['trine_throttled_total{reason="TableWriteProvisionedThroughputExceeded"}'] == 0
        assert before['trine_node_spare_units{kind="write"}'] > 0
        assert 'trine_partition_units_least{kind="write"}' not in before
        name = new_name()
        server.call("CreateTable", definition(name, ProvisionedThroughput=provisioned(1, 1)))
        server.wait_active(name)
        server.call("PutItem", TableName=name, Item=key("a"))
        kept = read()['trine_partition_units_least{kind="write"}']
        assert 299 <= kept <= 300
        exhaust_writes(server, name)
        assert server.error("PutItem", TableName=name, Item=key("a"))[0] == EXCEEDED
        server.call("CreateTable", definition("maximum", OnDemandThroughput={"MaxWriteRequestUnits": 1}))
        server.wait_active("maximum")
        exhaust_writes(server, "maximum")
        assert server.error("PutItem", TableName="maximum", Item=key("a"))[0] == "ThrottlingException"
        server.call("CreateTable", definition("free"))
        server.wait_active("free")  # what it consumes others cannot burst with
        server.call("BatchWriteItem", RequestItems={"free": [{"PutRequest": {"Item": {**key(str(n)), "v": {"S": HUGE}}}} for n in range(25)]})
        after = read()
        assert after['trine_throttled_total{reason="TableWriteProvisionedThroughputExceeded"}'] == 1
        assert after['trine_throttled_total{reason="TableWriteMaxOnDemandThroughputExceeded"}'] == 1
        assert after['trine_operations_total{operation="PutItem",result="throttled"}'] == 2
        assert after['trine_partition_units_least{kind="write"}'] < 0
        assert after['trine_node_spare_units{kind="write"}'] < before['trine_node_spare_units{kind="write"}']
