"""Items whose time has come: the states of a table's time to live, what goes and what stays, over restarts too."""

import threading

import pytest

from process import Refused, eventually
from test_admin_testing import done, fill

HOUR, YEAR = 3600, 365 * 86400
NOW = 1_900_000_000


@pytest.fixture
def server(start):
    server = start("--in-memory", "--admin", "0", "--admin-testing", "--on-demand-partitions", "3")
    set_clock(server, NOW)
    return server


def set_clock(server, second):
    done(server, "PUT", "clock", {"Now": second})


def advance(server, seconds):
    done(server, "PUT", "clock", {"AdvanceSeconds": seconds})


def expire(server):
    return done(server, "POST", "expire")["ItemsDeleted"]


def describe(server, table="tab"):
    return server.call("DescribeTimeToLive", TableName=table)["TimeToLiveDescription"]


def update(server, enabled, attribute="ttl", table="tab"):
    return server.call("UpdateTimeToLive", TableName=table, TimeToLiveSpecification={
        "Enabled": enabled, "AttributeName": attribute})


def settled(server, status, table="tab"):
    eventually(lambda: describe(server, table)["TimeToLiveStatus"] == status, lambda: describe(server, table))


def enable(server, table="tab", attribute="ttl"):
    update(server, True, attribute, table)
    settled(server, "ENABLED", table)


def put(server, pk, ttl=None, table="tab", **more):
    server.call("PutItem", TableName=table, Item={"pk": {"S": pk}, **more, **({} if ttl is None else {"ttl": ttl})})


def number(value):
    return {"N": str(value)}


def keys(server, table="tab"):
    return set(server.scan(table))


# ---- The two operations ----


def test_states_and_cool_down(server):
    server.create("tab")
    assert describe(server) == {"TimeToLiveStatus": "DISABLED"}
    assert update(server, True) == {"TimeToLiveSpecification": {"Enabled": True, "AttributeName": "ttl"}}
    assert describe(server)["AttributeName"] == "ttl"
    settled(server, "ENABLED")
    assert describe(server) == {"TimeToLiveStatus": "ENABLED", "AttributeName": "ttl"}

    def refused(enabled, attribute="ttl"):
        with pytest.raises(Refused) as error:
            update(server, enabled, attribute)
        assert (error.value.status, error.value.type) == (400, "ValidationException")
        return error.value.message
    modified = "Time to live has been modified multiple times within a fixed interval"
    other = "TimeToLive is active on a different AttributeName: current AttributeName is ttl"
    assert refused(True) == "TimeToLive is already enabled"
    assert refused(True, "other") == other
    assert refused(False, "other") == other
    assert refused(False) == modified
    advance(server, HOUR - 60)
    assert refused(False) == modified
    advance(server, 61)
    assert update(server, False) == {"TimeToLiveSpecification": {"Enabled": False, "AttributeName": "ttl"}}
    settled(server, "DISABLED")
    assert describe(server) == {"TimeToLiveStatus": "DISABLED"}
    assert refused(False) == "TimeToLive is already disabled"
    assert refused(True, "other") == modified
    advance(server, HOUR + 1)
    enable(server, attribute="other")
    assert describe(server) == {"TimeToLiveStatus": "ENABLED", "AttributeName": "other"}


def test_faults_of_requests(server):
    server.create("tab")
    for members, message in (
            ({"TableName": "tab"}, "1 validation error detected: Value null at 'timeToLiveSpecification' failed to "
             "satisfy constraint: Member must not be null"),
            ({"TableName": "tab", "TimeToLiveSpecification": {"Enabled": True, "AttributeName": ""}},
             "1 validation error detected: Value '' at 'timeToLiveSpecification.attributeName' failed to satisfy "
             "constraint: Member must have length greater than or equal to 1"),
            ({"TableName": "tab", "TimeToLiveSpecification": {"Enabled": True, "AttributeName": "x" * 256}},
             "1 validation error detected: Value '" + "x" * 256 + "' at 'timeToLiveSpecification.attributeName' failed "
             "to satisfy constraint: Member must have length less than or equal to 255"),
            ({"TableName": "tab", "TimeToLiveSpecification": {}},
             "2 validation errors detected: Value null at 'timeToLiveSpecification.attributeName' failed to satisfy "
             "constraint: Member must not be null; Value null at 'timeToLiveSpecification.enabled' failed to "
             "satisfy constraint: Member must not be null")):
        with pytest.raises(Refused) as error:
            server.call("UpdateTimeToLive", **members)
        assert (error.value.type, error.value.message) == ("ValidationException", message)
    with pytest.raises(Refused) as error:
        update(server, True, table="none")
    assert (error.value.type, error.value.message) == \
        ("ResourceNotFoundException", "Requested resource not found: Table: none not found")
    arn = server.call("DescribeTable", TableName="tab")["Table"]["TableArn"]
    assert update(server, True, table=arn)["TimeToLiveSpecification"]["Enabled"] is True


def test_a_table_that_changes_is_in_use(start):
    server = start("--in-memory", "--status-delay", "300")
    server.call("CreateTable", TableName="tab", BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
                KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}])
    with pytest.raises(Refused) as error:
        update(server, True)
    assert (error.value.type, error.value.message) == (
        "ResourceInUseException", "Attempt to change a resource which is still in use: Table is being created: tab")


# ---- What goes, and what stays ----


def test_what_has_expired_goes(server):
    server.create("tab")
    enable(server)
    stays = {
        "none": None, "future": number(NOW + HOUR), "string": {"S": str(NOW - 5)}, "set": {"NS": [str(NOW - 5)]},
        "list": {"L": [number(NOW - 5)]}, "null": {"NULL": True}, "milliseconds": number((NOW - 5) * 1000),
        "five years": number(NOW - 5 * YEAR - 60), "zero": number(0), "negative": number(-5), "tiny": number("0.5"),
        "huge": number("9" * 38), "largest": number("9.9E+125"), "huge negative": number("-1E+125"),
    }
    goes = {"past": number(NOW - 1), "fraction": number(f"{NOW - 2}.999"), "exponent": number("1.8E9"),
            "almost five years": number(NOW - 5 * YEAR + 60)}
    for pk, ttl in {**stays, **goes}.items():
        put(server, pk, ttl)
    assert expire(server) == len(goes)
    assert keys(server) == set(stays)
    assert expire(server) == 0
    advance(server, HOUR + 60)
    assert expire(server) == 1
    assert keys(server) == set(stays) - {"future"}
    metrics = server.metrics()
    assert metrics["ttl_deleted_items_total"] == metrics["ttl_rows_total"] == len(goes) + 1


def test_the_last_second_counts(server):
    server.create("tab")
    enable(server)
    put(server, "a", number(NOW - 10))
    for ttl in (number(NOW + 500), {"S": "never"}, None, number(NOW + 900)):
        put(server, "a", ttl)
        assert expire(server) == 0
    server.call("UpdateItem", TableName="tab", Key={"pk": {"S": "a"}}, UpdateExpression="SET #t = :t",
                ExpressionAttributeNames={"#t": "ttl"}, ExpressionAttributeValues={":t": number(NOW + 300)})
    advance(server, 400)
    assert expire(server) == 1
    put(server, "b", number(NOW + 500))
    server.call("DeleteItem", TableName="tab", Key={"pk": {"S": "b"}})
    put(server, "c", number(NOW + 500))
    server.call("UpdateItem", TableName="tab", Key={"pk": {"S": "c"}}, UpdateExpression="REMOVE #t",
                ExpressionAttributeNames={"#t": "ttl"})
    advance(server, HOUR)
    assert expire(server) == 0
    assert keys(server) == {"c"}


def test_reads_and_counts_do_not_see_what_says_when(server):
    server.create("tab")
    enable(server)
    server.create("two", "pk:S sk:N")
    enable(server, "two")
    for n in range(300):
        put(server, f"k{n}", number(NOW + n * 10))
        server.call("PutItem", TableName="two", Item={"pk": {"S": "p"}, "sk": {"N": str(n)}, "ttl": number(NOW + n * 10)})
    assert len(keys(server)) == 300
    segments = [server.call("Scan", TableName="tab", TotalSegments=5, Segment=n)["Items"] for n in range(5)]
    assert sum(map(len, segments)) == 300

    def pages(limit, **more):
        found, start = [], {}
        while True:
            page = server.call("Query", TableName="two", KeyConditionExpression="pk = :p", Limit=limit,
                               ExpressionAttributeValues={":p": {"S": "p"}}, **more, **start)
            found += [int(item["sk"]["N"]) for item in page["Items"]]
            if "LastEvaluatedKey" not in page:
                return found
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    assert pages(7) == list(range(300)) and pages(7, ScanIndexForward=False) == list(range(299, -1, -1))

    def item_count(table, count):
        eventually(lambda: server.call("DescribeTable", TableName=table)["Table"]["ItemCount"] == count,
                   lambda: server.call("DescribeTable", TableName=table)["Table"]["ItemCount"])
    item_count("tab", 300)
    advance(server, 1000)
    assert 2 * 100 <= expire(server) <= 2 * 105
    left = len(keys(server))
    assert 195 <= left <= 200
    item_count("tab", left)
    item_count("two", left)


def test_capacity_is_not_consumed_and_local_indexes_follow(server):
    server.call("CreateTable", TableName="tab", BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[{"AttributeName": n, "AttributeType": t} for n, t in
                                      (("pk", "S"), ("sk", "S"), ("ttl", "N"))],
                KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
                LocalSecondaryIndexes=[{"IndexName": "by_ttl", "Projection": {"ProjectionType": "ALL"}, "KeySchema": [
                    {"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "ttl", "KeyType": "RANGE"}]}])
    eventually(lambda: server.call("DescribeTable", TableName="tab")["Table"]["TableStatus"] == "ACTIVE", "ACTIVE")
    enable(server)
    for n in range(20):
        server.call("PutItem", TableName="tab", Item={"pk": {"S": "p"}, "sk": {"S": str(n)}, "ttl": number(NOW + n * 100)})

    def by_ttl():
        return [int(item["sk"]["S"]) for item in server.call(
            "Query", TableName="tab", IndexName="by_ttl", KeyConditionExpression="pk = :p",
            ExpressionAttributeValues={":p": {"S": "p"}})["Items"]]

    def units():
        return [line for line in server.admin("/metrics")[1].splitlines() if "kind=\"write\"" in line]
    assert by_ttl() == list(range(20))
    before = units()
    advance(server, 1050)
    assert expire(server) == 11
    assert units() == before
    assert by_ttl() == list(range(11, 20))


def test_streams_say_who_deleted(server):
    """Only the deletes are records, and of the service; what notes when items expire is none."""
    import boto3
    server.create("tab", StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"})
    arn = server.call("DescribeTable", TableName="tab")["Table"]["LatestStreamArn"]
    for n in range(5):
        put(server, f"before{n}", number(NOW - 5))
    enable(server)
    put(server, "after", number(NOW - 5))
    put(server, "stays", number(NOW + 5))
    server.call("DeleteItem", TableName="tab", Key={"pk": {"S": "stays"}})
    assert expire(server) == 6
    client = boto3.client("dynamodbstreams", endpoint_url=server.url, region_name="us-east-1", aws_access_key_id="any",
                          aws_secret_access_key="any")

    def records():
        found = []
        for shard in client.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
            iterator = client.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"],
                                                 ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
            found += client.get_records(ShardIterator=iterator)["Records"]
        return found
    eventually(lambda: len(records()) == 7 + 1 + 6, lambda: len(records()))
    removed = {r["dynamodb"]["Keys"]["pk"]["S"]: r for r in records() if r["eventName"] == "REMOVE"}
    assert set(removed) == {"after", "stays"} | {f"before{n}" for n in range(5)}
    assert "userIdentity" not in removed.pop("stays")
    for record in removed.values():
        assert record["userIdentity"] == {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}
        assert record["dynamodb"]["OldImage"]["ttl"] == number(NOW - 5)


def test_by_itself_at_the_interval(start):
    server = start("--in-memory", "--admin", "0", "--admin-testing", "--ttl-sweep-interval", "1")
    server.create("tab")
    enable(server)
    now = int(done(server, "GET", "clock")["Now"])
    for n in range(100):
        put(server, f"k{n}", number(now - 1 if n % 2 else now + HOUR))
    eventually(lambda: len(keys(server)) == 50, "the expired half does not go")
    assert keys(server) == {f"k{n}" for n in range(0, 100, 2)}


# ---- Tables that had items before ----


@pytest.mark.parametrize("partitions", [1, 5])
def test_items_that_were_there_before(start, partitions):
    server = start("--in-memory", "--admin", "0", "--admin-testing", "--on-demand-partitions", partitions)
    set_clock(server, NOW)
    server.create("tab")
    for n in range(3000):
        if n % 25 == 0:
            server.call("BatchWriteItem", RequestItems={"tab": [{"PutRequest": {"Item": {
                "pk": {"S": f"k{m}"}, "ttl": number(NOW - 5 if m % 3 == 0 else NOW + 10 * HOUR)}}}
                for m in range(n, n + 25)]})
    assert expire(server) == 0
    stop, changed = threading.Event(), set()

    def write():
        n = 1
        while not stop.is_set():
            put(server, f"k{n}", number(NOW - 7))
            changed.add(n)
            n += 3
    thread = threading.Thread(target=write)
    thread.start()
    enable(server)
    stop.set()
    thread.join()
    expire(server)
    left = {int(pk[1:]) for pk in keys(server)}
    assert left == {n for n in range(3000) if n % 3 != 0 and n not in changed}
    count = len(left)
    eventually(lambda: server.call("DescribeTable", TableName="tab")["Table"]["ItemCount"] == count, "counts")


def test_disabled_and_enabled_with_another_attribute(server):
    server.create("tab")
    enable(server)
    for n in range(200):
        put(server, f"k{n}", number(NOW + 60), other=number(NOW + 20 * HOUR + n))
    advance(server, HOUR)
    update(server, False)
    settled(server, "DISABLED")
    assert expire(server) == 0
    assert len(keys(server)) == 200
    advance(server, HOUR + 1)
    enable(server, attribute="other")
    assert expire(server) == 0
    set_clock(server, NOW + 20 * HOUR + 100)
    assert expire(server) in (100, 101, 102)
    assert len(keys(server)) in (98, 99, 100)


# ---- Restarts ----


def test_states_and_rows_survive_kills(start):
    server = start("--admin", "0", "--admin-testing", "--on-demand-partitions", "2")
    set_clock(server, NOW)
    server.create("tab")
    for n in range(100):
        put(server, f"a{n}", number(NOW + 60))
    enable(server)
    for n in range(100):
        put(server, f"b{n}", number(NOW + 60))
        put(server, f"c{n}", number(NOW + HOUR * 9))
    server.kill()
    server = start("--admin", "0", "--admin-testing", "--on-demand-partitions", "2")
    set_clock(server, NOW + 120)
    assert describe(server) == {"TimeToLiveStatus": "ENABLED", "AttributeName": "ttl"}
    assert expire(server) == 200
    server.kill()
    server = start("--admin", "0", "--admin-testing", "--on-demand-partitions", "2")
    set_clock(server, NOW + 120)
    assert expire(server) == 0
    assert keys(server) == {f"c{n}" for n in range(100)}
    assert server.call("DescribeTable", TableName="tab")["Table"]["ItemCount"] == 100
    server.stop()


def test_kill_while_it_is_being_enabled(start):
    server = start("--admin", "0", "--admin-testing")
    set_clock(server, NOW)
    server.create("tab")
    for n in range(0, 20000, 25):
        server.call("BatchWriteItem", RequestItems={"tab": [{"PutRequest": {"Item": {
            "pk": {"S": f"k{m}"}, "ttl": number(NOW + 60)}}} for m in range(n, n + 25)]})
    update(server, True)
    seen = describe(server)["TimeToLiveStatus"]
    server.kill()
    server = start("--admin", "0", "--admin-testing")
    assert seen in ("ENABLING", "ENABLED")
    settled(server, "ENABLED")
    set_clock(server, NOW + 120)
    assert expire(server) == 20000
    assert keys(server) == set()


def test_reset_and_snapshots_know_it(server):
    server.create("tab")
    enable(server)
    fill(server, "tab", 10)
    put(server, "a", number(NOW + 60))
    done(server, "PUT", "snapshots/s")
    advance(server, HOUR)
    assert expire(server) == 1
    done(server, "POST", "snapshots/s/restore")
    assert len(keys(server)) == 11
    assert expire(server) == 1
    done(server, "POST", "reset")
    done(server, "POST", "snapshots/s/restore")
    assert describe(server)["TimeToLiveStatus"] == "ENABLED"
    assert expire(server) == 1
    assert len(keys(server)) == 10
