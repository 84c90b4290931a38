"""Streams over time and over the end of the process: a day's retention, iterators' quarter of an hour, who deleted what has
expired, and sequence numbers that go on after kill -9."""

import json
import threading

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
