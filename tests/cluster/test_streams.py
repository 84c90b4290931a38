"""Streams over time and over the end of the process: a day's retention, iterators' quarter of an hour, who deleted what has
expired, and sequence numbers that go on after kill -9."""

import json
import re
import threading
import time
import urllib.request

import pytest

from process import HEADERS, Refused, eventually
from test_admin_testing import done

DAY = 86400
BOTH = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}


def ask(server, operation, **members):
    connection = server.connection()
    connection.request("POST", "/", json.dumps(members), {**HEADERS, "X-Amz-Target": f"DynamoDBStreams_20120810.{operation}"})
    response = connection.getresponse()
    answer = json.loads(response.read())
    if response.status != 200:
        raise Refused(operation, response.status, answer)
    return answer


def arn_of(server, table="tab"):
    return server.call("DescribeTable", TableName=table)["Table"]["LatestStreamArn"]


def iterators_of(server, arn, kind="TRIM_HORIZON", **more):
    shards = ask(server, "DescribeStream", StreamArn=arn)["StreamDescription"]["Shards"]
    return [ask(server, "GetShardIterator", StreamArn=arn, ShardId=s["ShardId"], ShardIteratorType=kind, **more)["ShardIterator"]
            for s in shards]


def records_of(server, arn):
    """All records, shard by shard, up to an empty page."""
    shards = []
    for iterator in iterators_of(server, arn):
        records = []
        while iterator:
            page = ask(server, "GetRecords", ShardIterator=iterator)
            records += page["Records"]
            iterator = page["Records"] and page.get("NextShardIterator")
        shards.append(records)
    return shards


def refused(server, operation, **members):
    with pytest.raises(Refused) as error:
        ask(server, operation, **members)
    return error.value.type, error.value.message


def advance(server, seconds):
    done(server, "PUT", "clock", {"AdvanceSeconds": seconds})


@pytest.fixture
def server(start):
    server = start("--admin", "0", "--admin-testing")
    server.create("tab", StreamSpecification=BOTH)
    return server


def test_a_day_and_a_quarter_of_an_hour(server):
    arn = arn_of(server)
    for n in range(5):
        server.put("tab", f"k{n}")
    (iterator,) = iterators_of(server, arn)
    eventually(lambda: len(records_of(server, arn)[0]) == 5, "five records")
    first = records_of(server, arn)[0][0]["dynamodb"]["SequenceNumber"]
    used = ask(server, "GetRecords", ShardIterator=iterator, Limit=2)["NextShardIterator"]
    advance(server, 901)
    for old in (iterator, used):
        assert refused(server, "GetRecords", ShardIterator=old)[0] == "ExpiredIteratorException"
    (iterator,) = iterators_of(server, arn, "AT_SEQUENCE_NUMBER", SequenceNumber=first)
    advance(server, 800)
    assert len(ask(server, "GetRecords", ShardIterator=iterator)["Records"]) == 5

    advance(server, DAY)
    eventually(lambda: records_of(server, arn) == [[]], lambda: records_of(server, arn))
    server.put("tab", "new")
    eventually(lambda: len(records_of(server, arn)[0]) == 1, "one record")
    trimmed = ("TrimmedDataAccessException", "The data you are trying to access has been trimmed")
    (shard,) = ask(server, "DescribeStream", StreamArn=arn)["StreamDescription"]["Shards"]
    for kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
        assert refused(server, "GetShardIterator", StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType=kind,
                       SequenceNumber=first) == trimmed
    (old,) = iterators_of(server, arn, "AT_SEQUENCE_NUMBER", SequenceNumber=records_of(server, arn)[0][0]["dynamodb"]["SequenceNumber"])
    assert len(ask(server, "GetRecords", ShardIterator=old)["Records"]) == 1

    # An iterator that is given before what it points to goes.
    advance(server, DAY - 600)
    (old,) = iterators_of(server, arn, "AT_SEQUENCE_NUMBER", SequenceNumber=records_of(server, arn)[0][0]["dynamodb"]["SequenceNumber"])
    assert len(ask(server, "GetRecords", ShardIterator=old)["Records"]) == 1
    advance(server, 660)
    eventually(lambda: records_of(server, arn) == [[]], lambda: records_of(server, arn))
    assert refused(server, "GetRecords", ShardIterator=old) == trimmed


def test_a_disabled_stream_goes_after_a_day(server):
    arn = arn_of(server)
    server.put("tab", "a")
    server.call("UpdateTable", TableName="tab", StreamSpecification={"StreamEnabled": False})
    eventually(lambda: ask(server, "DescribeStream", StreamArn=arn)["StreamDescription"]["StreamStatus"] == "DISABLED", "disabled")
    advance(server, DAY - 60)
    assert arn_of(server) == arn and [s["StreamArn"] for s in ask(server, "ListStreams")["Streams"]] == [arn]
    advance(server, 61)
    assert "LatestStreamArn" not in server.call("DescribeTable", TableName="tab")["Table"]
    assert ask(server, "ListStreams")["Streams"] == []
    assert refused(server, "DescribeStream", StreamArn=arn)[0] == "ResourceNotFoundException"


# ---- Of deleted tables ----


def gone(server, table="tab"):
    def is_gone():
        try:
            server.call("DescribeTable", TableName=table)
        except Refused as refusal:
            return refusal.type == "ResourceNotFoundException"
        return False
    eventually(is_gone, "the table to go")


def delete(server, table="tab"):
    server.call("DeleteTable", TableName=table)
    gone(server, table)


def metric(server, name):
    with urllib.request.urlopen(server.admin_url + "/metrics") as page:
        return float(re.search(rf"^{name} (\S+)$", page.read().decode(), re.MULTILINE).group(1))


def arns(server):
    found, start = [], {}
    while True:
        page = ask(server, "ListStreams", **start)
        found += [s["StreamArn"] for s in page["Streams"]]
        if "LastEvaluatedStreamArn" not in page:
            return found
        start = {"ExclusiveStartStreamArn": page["LastEvaluatedStreamArn"]}


def test_a_deleted_tables_stream_goes_after_a_day(server):
    arn = arn_of(server)
    for n in range(5):
        server.put("tab", f"k{n}")
    delete(server)
    assert metric(server, "trine_departed_tables") == metric(server, "trine_departed_tables_total") == 1
    (records,) = records_of(server, arn)
    assert len(records) == 5
    (iterator,) = iterators_of(server, arn)
    advance(server, DAY - 60)
    assert arns(server) == [arn] and ask(server, "DescribeStream", StreamArn=arn)["StreamDescription"]["Shards"]
    advance(server, 61)
    assert arns(server) == []
    for operation, members in (("DescribeStream", {"StreamArn": arn}), ("GetRecords", {"ShardIterator": iterator}),
                               ("GetShardIterator", {"StreamArn": arn, "ShardId": "s" * 30, "ShardIteratorType": "LATEST"})):
        assert refused(server, operation, **members)[0] == "ResourceNotFoundException"
    eventually(lambda: metric(server, "trine_departed_tables") == 0 and metric(server, "trine_replicas") == 1, "what it had to go")
    assert metric(server, "trine_departed_tables_early_total") == 0


def test_deleted_tables_of_one_name(server):
    """A label is never used twice, even if the clock goes back; a reset takes what has departed along, and so does a restore."""
    done(server, "PUT", "clock", {"Now": 2000000000})
    made = []
    for life in range(4):
        server.put("tab", f"k{life}")
        made.append(arn_of(server))
        delete(server)
        done(server, "PUT", "clock", {"Now": 2000000000 - life})
        server.create("tab", StreamSpecification=BOTH)
    made.append(arn_of(server))
    assert arns(server) == made == sorted(set(made))
    for life, arn in enumerate(made[:4]):
        assert [[r["dynamodb"]["Keys"]["pk"]["S"] for r in shard] for shard in records_of(server, arn)] == [[f"k{life}"]]
    server.put("tab", "kept")
    done(server, "PUT", "snapshots/one")
    server.create("other", StreamSpecification=BOTH)
    delete(server)
    assert len(arns(server)) == 6
    done(server, "POST", "snapshots/one/restore")
    assert arns(server) == [arn_of(server)] and server.get("tab", "kept") == {}
    delete(server)
    assert len(arns(server)) == 1
    done(server, "POST", "reset")
    assert arns(server) == [] and metric(server, "trine_departed_tables") == 0 and metric(server, "trine_replicas") == 1


@pytest.mark.parametrize("pause", [0, 0.002, 0.01, 0.05])
def test_a_deleted_tables_stream_over_kill(start, pause):
    """Wherever the deletion is when the process dies, the next one carries it to its end, and no record is lost."""
    options = ("--on-demand-partitions", "3", "--admin", "0", "--admin-testing")
    server = start(*options)
    server.create("tab", StreamSpecification=BOTH, GlobalSecondaryIndexes=[
        {"IndexName": "all", "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}], "Projection": {"ProjectionType": "ALL"}}])
    arn = arn_of(server)
    for n in range(60):
        server.put("tab", f"k{n % 50}", v=str(n))
    server.call("DeleteTable", TableName="tab")
    time.sleep(pause)
    for life in range(3):
        server.kill()
        server = start(*options)
        if life == 0:
            gone(server)
        shards = records_of(server, arn)
        assert sorted(r["dynamodb"]["NewImage"]["v"]["S"] for shard in shards for r in shard) == sorted(str(n) for n in range(60))
        if life == 0:
            server.create("tab", StreamSpecification=BOTH)
            server.put("tab", "anew")
    assert len(arns(server)) == 2 and [r for shard in records_of(server, arn_of(server)) for r in shard]
    server.stop()
    server = start(*options)
    assert arns(server)[0] == arn and metric(server, "trine_replicas") == 1 + 3 + 3
    advance(server, DAY + 1)
    eventually(lambda: metric(server, "trine_replicas") == 1 + 3, "its partitions to go")
    server.kill()
    server = start(*options)
    eventually(lambda: metric(server, "trine_departed_tables") == 0, "its row to go, if that was not the case before the kill")
    assert metric(server, "trine_replicas") == 1 + 3


def test_the_space_of_a_deleted_table(start, data):
    """Its items are gone at once, for whoever comes next; only the records stay, also when the process dies right behind it."""
    options = ("--admin", "0", "--admin-testing")
    server = start(*options)
    server.create("tab", StreamSpecification=BOTH)
    server.call("UpdateTable", TableName="tab", StreamSpecification={"StreamEnabled": False})
    eventually(lambda: server.call("DescribeTable", TableName="tab")["Table"]["TableStatus"] == "ACTIVE", "it is ACTIVE")
    for n in range(200):
        server.put("tab", f"k{n}", v="x" * 100000)
    delete(server)
    server.kill()
    server = start(*options)
    tree, sizes = data / "tree", []
    while not sizes or sizes[-1] > 4 << 20:
        assert len(sizes) < 50, sizes
        assert records_of(server, arns(server)[0]) == [[]] and metric(server, "trine_departed_tables") == 1
        time.sleep(0.05)  # for the reaper, who has its pace
        server.stop()
        sizes.append(tree.stat().st_size)
        server = start(*options)
    assert records_of(server, arns(server)[0]) == [[]]


def test_the_oldest_of_many_goes(start):
    """Who makes and deletes tables all day is never refused one."""
    server = start("--in-memory", "--admin", "0", "--admin-testing")
    made = []
    for n in range(540):
        name = f"t{n:04}"
        server.create(name, StreamSpecification=BOTH)
        made.append(arn_of(server, name))
        server.call("DeleteTable", TableName=name)
    eventually(lambda: metric(server, "trine_departed_tables") == 500 and metric(server, "trine_replicas") == 501,
               lambda: (metric(server, "trine_departed_tables"), metric(server, "trine_replicas")))
    assert arns(server) == made[40:]
    assert metric(server, "trine_departed_tables_early_total") == 40 and metric(server, "trine_departed_tables_total") == 540


def test_what_expires_is_the_services_doing(server):
    arn = arn_of(server)
    server.call("UpdateTimeToLive", TableName="tab", TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"})
    eventually(lambda: server.call("DescribeTimeToLive", TableName="tab")["TimeToLiveDescription"]["TimeToLiveStatus"] == "ENABLED", "enabled")
    now = int(done(server, "GET", "clock")["Now"])
    server.call("PutItem", TableName="tab", Item={"pk": {"S": "a"}, "ttl": {"N": str(now + 100)}})
    server.put("tab", "b")
    server.call("DeleteItem", TableName="tab", Key={"pk": {"S": "b"}})
    advance(server, 200)
    eventually(lambda: done(server, "POST", "expire")["ItemsDeleted"] == 1 or server.get("tab", "a") is None, "it expires")
    eventually(lambda: len(records_of(server, arn)[0]) == 4, "four records")
    removed = {r["dynamodb"]["Keys"]["pk"]["S"]: r for r in records_of(server, arn)[0] if r["eventName"] == "REMOVE"}
    assert removed["a"]["userIdentity"] == {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}
    assert removed["a"]["dynamodb"]["OldImage"]["ttl"] == {"N": str(now + 100)} and "userIdentity" not in removed["b"]


def test_nothing_is_lost_or_twice_over_kill(start):
    options = ("--on-demand-partitions", "3")
    server = start(*options)
    server.create("tab", StreamSpecification=BOTH)
    arn = arn_of(server)
    acknowledged, seen_before = {}, [[], [], []]
    for life in range(3):
        def write(writer, server=server, life=life):
            for n in range(10**6):
                try:
                    server.put("tab", f"{writer}.{n % 5}", v=f"{life}.{n}")
                except OSError:
                    return
                except Exception as broken:  # pylint: disable=broad-except
                    if type(broken).__module__ == "http.client":
                        return
                    raise
                acknowledged.setdefault(f"{writer}.{n % 5}", []).append(f"{life}.{n}")
        threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
        for thread in threads:
            thread.start()
        eventually(lambda: sum(map(len, acknowledged.values())) > 400 * (life + 1), "writes")
        server.kill()
        for thread in threads:
            thread.join()
        server = start(*options)
        shards = records_of(server, arn)
        last = {}
        for before, records in zip(seen_before, shards):
            assert records[:len(before)] == before  # what was there is there, under the same numbers
            numbers = [int(r["dynamodb"]["SequenceNumber"]) for r in records]
            assert numbers == sorted(set(numbers))
            for record in records:
                item = record["dynamodb"]["Keys"]["pk"]["S"]
                assert record["dynamodb"].get("OldImage") == (last[item][-1] if item in last else None)
                last.setdefault(item, []).append(record["dynamodb"]["NewImage"])
        for item, values in acknowledged.items():
            seen = [image["v"]["S"] for image in last[item]]
            assert [v for v in seen if v in set(values)] == values  # each once, in its order
            assert len(seen) - len(values) <= life + 1  # and what was on its way at a kill
        seen_before = shards
