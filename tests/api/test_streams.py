"""Streams: what tables say of them, shards, iterators, records in each view, and what is refused."""

import re
import subprocess
import threading
import time

import pytest

from conftest import ROOT, definition, key, new_name

VALIDATION = "ValidationException"
NOT_FOUND = "ResourceNotFoundException"
INVALID = "One or more parameter values were invalid: "
SERVICE = "DynamoDBStreams_20120810"
ARN = re.compile(r"arn:aws:dynamodb:us-east-1:000000000000:table/([^/]+)/stream/(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})")


def spec(view="NEW_AND_OLD_IMAGES"):
    return {"StreamEnabled": True, "StreamViewType": view} if view else {"StreamEnabled": False}


@pytest.fixture
def streams(server):
    """streams("DescribeStream", StreamArn=...): the answer's JSON; fails on an error."""
    def call(operation, **members):
        answer = server.signed(operation, members, service=SERVICE)
        assert answer.status == 200, answer.body[:4000]
        return answer.json
    return call


@pytest.fixture
def refused(server):
    return lambda operation, **members: server.signed(operation, members, service=SERVICE).error


@pytest.fixture
def make_streamed(make_table, server):
    def make(view="NEW_AND_OLD_IMAGES", keys="pk:S", **more):
        name = make_table(keys, StreamSpecification=spec(view), **more)
        return name, server.call("DescribeTable", TableName=name)["Table"]["LatestStreamArn"]
    return make


def shards_of(streams, arn):
    found, start = [], {}
    while True:
        page = streams("DescribeStream", StreamArn=arn, **start)["StreamDescription"]
        found += page["Shards"]
        if "LastEvaluatedShardId" not in page:
            return found
        start = {"ExclusiveStartShardId": page["LastEvaluatedShardId"]}


def iterator_of(streams, arn, shard=None, kind="TRIM_HORIZON", **more):
    shard = shard or shards_of(streams, arn)[0]["ShardId"]
    return streams("GetShardIterator", StreamArn=arn, ShardId=shard, ShardIteratorType=kind, **more)["ShardIterator"]


def read_on(streams, iterator, at_least=0, **more):
    """Records from the iterator on: until a page is empty and there are enough; and the next iterator."""
    records, deadline = [], time.monotonic() + 30
    while iterator:
        page = streams("GetRecords", ShardIterator=iterator, **more)
        records += page["Records"]
        iterator = page.get("NextShardIterator")
        if not page["Records"] and len(records) >= at_least:
            break
        assert time.monotonic() < deadline, records
    return records, iterator


def read_all(streams, arn, at_least=0):
    shards = shards_of(streams, arn)
    records = []
    for shard in shards:
        enough = at_least if len(shards) == 1 else 0
        records += read_on(streams, iterator_of(streams, arn, shard["ShardId"]), enough)[0]
    return records


def list_all(streams, **more):
    """Those of tables that other tests have deleted are among them."""
    pages, start = [], {}
    while True:
        page = streams("ListStreams", **start, **more)
        pages += page["Streams"]
        if "LastEvaluatedStreamArn" not in page:
            return pages
        assert page["LastEvaluatedStreamArn"] == page["Streams"][-1]["StreamArn"]
        start = {"ExclusiveStartStreamArn": page["LastEvaluatedStreamArn"]}


def put(server, table, n, **more):
    server.call("PutItem", TableName=table, Item={"pk": {"S": f"k{n}"}, **more})


# ---- Tables ----


def test_tables_with_streams(server, streams):
    name = new_name()
    made = server.call("CreateTable", definition(name, StreamSpecification=spec("NEW_IMAGE")))["TableDescription"]
    assert made["StreamSpecification"] == spec("NEW_IMAGE")
    assert ARN.fullmatch(made["LatestStreamArn"]).groups() == (name, made["LatestStreamLabel"])
    server.wait_active(name)
    got = server.call("DescribeTable", TableName=name)["Table"]
    assert {m: got[m] for m in ("StreamSpecification", "LatestStreamArn", "LatestStreamLabel")} == \
        {m: made[m] for m in ("StreamSpecification", "LatestStreamArn", "LatestStreamLabel")}
    put(server, name, 1)

    # Disabled it stays, for a day, with what it has.
    server.call("UpdateTable", TableName=name, StreamSpecification=spec(None))
    server.wait_active(name)
    got = server.call("DescribeTable", TableName=name)["Table"]
    assert "StreamSpecification" not in got and got["LatestStreamArn"] == made["LatestStreamArn"]
    old = streams("DescribeStream", StreamArn=made["LatestStreamArn"])["StreamDescription"]
    assert old["StreamStatus"] == "DISABLED"
    put(server, name, 2)

    # Enabled anew it is another one.
    updated = server.call("UpdateTable", TableName=name, StreamSpecification=spec("KEYS_ONLY"))["TableDescription"]
    assert updated["StreamSpecification"] == spec("KEYS_ONLY")
    assert updated["LatestStreamArn"] > made["LatestStreamArn"]
    server.wait_active(name)
    put(server, name, 3)
    assert [r["dynamodb"]["Keys"]["pk"]["S"] for r in read_all(streams, made["LatestStreamArn"])] == ["k1"]
    assert [r["dynamodb"]["Keys"]["pk"]["S"] for r in read_all(streams, updated["LatestStreamArn"], 1)] == ["k3"]
    listed = streams("ListStreams", TableName=name)["Streams"]
    assert listed == [{"StreamArn": arn, "TableName": name, "StreamLabel": ARN.fullmatch(arn).group(2)}
                      for arn in (made["LatestStreamArn"], updated["LatestStreamArn"])]

    # Both outlive the table.
    server.call("DeleteTable", TableName=name)
    assert streams("ListStreams", TableName=name)["Streams"] == listed
    server.wait_gone(name)
    assert streams("ListStreams", TableName=name)["Streams"] == listed
    for arn, item in ((made["LatestStreamArn"], "k1"), (updated["LatestStreamArn"], "k3")):
        assert streams("DescribeStream", StreamArn=arn)["StreamDescription"]["StreamStatus"] == "DISABLED"
        assert [r["dynamodb"]["Keys"]["pk"]["S"] for r in read_all(streams, arn)] == [item]


def test_streams_outlive_their_table(server, streams, make_streamed, refused):
    name, arn = make_streamed("NEW_AND_OLD_IMAGES", "pk:S sk:N", ProvisionedThroughput={"ReadCapacityUnits": 3000, "WriteCapacityUnits": 3000},
                              GlobalSecondaryIndexes=[{"IndexName": "global", "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
                                                       "Projection": {"ProjectionType": "ALL"},
                                                       "ProvisionedThroughput": {"ReadCapacityUnits": 3000, "WriteCapacityUnits": 3000}}],
                              LocalSecondaryIndexes=[{"IndexName": "local", "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"},
                                                                                      {"AttributeName": "sk", "KeyType": "RANGE"}],
                                                      "Projection": {"ProjectionType": "ALL"}}])
    for n in range(200):
        server.call("PutItem", TableName=name, Item={"pk": {"S": f"k{n % 100}"}, "sk": {"N": "1"}, "v": {"N": str(n)}})
    shards = shards_of(streams, arn)
    assert len(shards) > 1
    early = {shard["ShardId"]: iterator_of(streams, arn, shard["ShardId"]) for shard in shards}
    deleted = server.call("DeleteTable", TableName=name)["TableDescription"]
    assert deleted["TableStatus"] == "DELETING"
    assert streams("DescribeStream", StreamArn=arn)["StreamDescription"]["StreamStatus"] in ("DISABLING", "DISABLED")
    server.wait_gone(name)
    described = streams("DescribeStream", StreamArn=arn)["StreamDescription"]
    assert {m: described[m] for m in ("StreamArn", "StreamStatus", "StreamViewType", "TableName", "KeySchema", "StreamLabel")} == \
        {"StreamArn": arn, "StreamStatus": "DISABLED", "StreamViewType": "NEW_AND_OLD_IMAGES", "TableName": name,
         "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
         "StreamLabel": ARN.fullmatch(arn).group(2)}
    assert [s["ShardId"] for s in described["Shards"]] == [s["ShardId"] for s in shards]

    seen = []
    for shard in described["Shards"]:
        sequence, where = shard["SequenceNumberRange"], {"shard": shard["ShardId"]}
        records, end = read_on(streams, iterator_of(streams, arn, shard["ShardId"]))
        assert end is None
        numbers = [int(r["dynamodb"]["SequenceNumber"]) for r in records]
        assert numbers == sorted(set(numbers)) and int(sequence["StartingSequenceNumber"]) <= numbers[0]
        assert numbers[-1] <= int(sequence["EndingSequenceNumber"])
        # An iterator from before, and each kind of those that are given now.
        assert read_on(streams, early[shard["ShardId"]]) == (records, None)
        second = records[1]["dynamodb"]["SequenceNumber"]
        assert read_on(streams, iterator_of(streams, arn, kind="AT_SEQUENCE_NUMBER", SequenceNumber=second, **where)) == (records[1:], None)
        assert read_on(streams, iterator_of(streams, arn, kind="AFTER_SEQUENCE_NUMBER", SequenceNumber=second, **where)) == (records[2:], None)
        page = streams("GetRecords", ShardIterator=iterator_of(streams, arn, kind="LATEST", **where))
        assert page["Records"] == [] and "NextShardIterator" not in page
        seen += [r["dynamodb"]["NewImage"]["v"]["N"] for r in records]
    assert sorted(seen, key=int) == [str(n) for n in range(200)]

    # Nothing else knows it any more, by any name.
    assert server.error("DescribeTable", TableName=name)[0] == NOT_FOUND
    assert name not in server.call("ListTables")["TableNames"] and not [n for n in server.call("ListTables")["TableNames"] if "#" in n]
    for inner in (f"#streams#{name}", "#streams#" + name + "#" + "0" * 20):
        assert server.error("DescribeTable", TableName=inner)[0] == VALIDATION
        assert refused("ListStreams", TableName=inner)[0] == VALIDATION
    assert server.error("GetItem", TableName=name, Key={"pk": {"S": "k1"}, "sk": {"N": "1"}})[0] == NOT_FOUND


def test_tables_of_one_name_one_after_the_other(server, streams, make_streamed):
    """Their streams are read beside each other, and listed in order, page by page."""
    names = sorted(new_name() for _ in range(2))
    names = [names[0], names[0] + "-", names[0] + ".x", names[0] + "0", names[1]]
    made = {}
    for life in range(3):
        for name in names:
            server.call("CreateTable", definition(name, StreamSpecification=spec("NEW_IMAGE")))
            server.wait_active(name)
            arn = server.call("DescribeTable", TableName=name)["Table"]["LatestStreamArn"]
            made[arn] = (name, life)
            put(server, name, life)
            if life < 2 or name != names[1]:
                server.call("DeleteTable", TableName=name)
                server.wait_gone(name)
    assert len(made) == 15
    expected = sorted(made, key=lambda arn: (made[arn][0], ARN.fullmatch(arn).group(2)))
    assert [made[arn][1] for arn in expected] == [0, 1, 2] * 5
    listed = [s for s in list_all(streams) if s["StreamArn"] in made]
    assert listed == [{"StreamArn": arn, "TableName": made[arn][0], "StreamLabel": ARN.fullmatch(arn).group(2)} for arn in expected]
    assert [s["StreamArn"] for s in list_all(streams, Limit=2) if s["StreamArn"] in made] == expected
    assert [s["StreamArn"] for s in streams("ListStreams", TableName=names[0])["Streams"]] == expected[:3]
    for arn, (name, life) in made.items():
        lives = life == 2 and name == names[1]
        assert streams("DescribeStream", StreamArn=arn)["StreamDescription"]["StreamStatus"] == ("ENABLED" if lives else "DISABLED")
        assert [r["dynamodb"]["NewImage"] for r in read_all(streams, arn)] == [key(f"k{life}")]
    server.call("DeleteTable", TableName=names[1])


def test_wrong_specifications(server, make_streamed, table):
    name, _ = make_streamed()
    for given, message in ((spec("OLD_IMAGE"), f"Table already has an enabled stream: TableName: {name}"),
                           (spec(), f"Table already has an enabled stream: TableName: {name}"),
                           ({"StreamEnabled": True}, INVALID + "If stream is being enabled then UpdateViewType is required"),
                           ({"StreamEnabled": False, "StreamViewType": "NEW_IMAGE"},
                            INVALID + "If stream is being disabled, then UpdateViewType must not be specified")):
        assert server.error("UpdateTable", TableName=name, StreamSpecification=given) == (VALIDATION, message)
    for given, message in (({"StreamEnabled": True}, "enabled, UpdateViewType is required"),
                           ({"StreamEnabled": False, "StreamViewType": "NEW_IMAGE"}, "disabled, UpdateViewType should not be specified")):
        assert server.error("CreateTable", definition(new_name(), StreamSpecification=given)) == (
            VALIDATION, INVALID + "Table is being created with a stream " + message)
    assert server.error("UpdateTable", TableName=table, StreamSpecification=spec(None)) == \
        (VALIDATION, f"Table has no stream to disable: TableName: {table}")
    assert server.error("CreateTable", definition(new_name(), StreamSpecification={"StreamEnabled": True, "StreamViewType": "ALL"})) == \
        (VALIDATION, "1 validation error detected: Value 'ALL' at 'streamSpecification.streamViewType' failed to satisfy "
                     "constraint: Member must satisfy enum value set: [NEW_IMAGE, OLD_IMAGE, NEW_AND_OLD_IMAGES, KEYS_ONLY]")


# ---- Records ----


@pytest.mark.parametrize("view", ["NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES", "KEYS_ONLY"])
def test_records_in_each_view(server, streams, make_streamed, view):
    name, arn = make_streamed(view, "pk:S sk:N")
    primary = {"pk": {"S": "a"}, "sk": {"N": "1"}}
    first, second = {**primary, "v": {"S": "one"}}, {**primary, "v": {"S": "two!"}, "w": {"L": [{"NULL": True}]}}
    before = int(time.time())
    server.call("PutItem", TableName=name, Item=first)
    server.call("PutItem", TableName=name, Item=first)  # changes nothing: no record
    server.call("UpdateItem", TableName=name, Key=primary, UpdateExpression="SET v = :v, w = :w",
                ExpressionAttributeValues={":v": second["v"], ":w": second["w"]})
    server.call("UpdateItem", TableName=name, Key=primary, UpdateExpression="SET v = :v",
                ExpressionAttributeValues={":v": second["v"]})  # nor does this
    server.call("DeleteItem", TableName=name, Key=primary)
    server.call("DeleteItem", TableName=name, Key=primary)  # nor this
    records = read_all(streams, arn, 3)
    assert [r["eventName"] for r in records] == ["INSERT", "MODIFY", "REMOVE"]
    images = [(None, first), (first, second), (second, None)]
    for record, (old, new) in zip(records, images):
        shown = record["dynamodb"]
        assert shown["Keys"] == primary and shown["StreamViewType"] == view
        assert shown.get("NewImage") == (new if view in ("NEW_IMAGE", "NEW_AND_OLD_IMAGES") else None)
        assert shown.get("OldImage") == (old if view in ("OLD_IMAGE", "NEW_AND_OLD_IMAGES") else None)
        assert shown["ApproximateCreationDateTime"] in range(before, int(time.time()) + 1)
        assert {m: record[m] for m in ("eventVersion", "eventSource", "awsRegion")} == \
            {"eventVersion": "1.1", "eventSource": "aws:dynamodb", "awsRegion": "us-east-1"}
        assert re.fullmatch("[0-9a-f]{32}", record["eventID"]) and "userIdentity" not in record
    numbers = [int(r["dynamodb"]["SequenceNumber"]) for r in records]
    assert numbers == sorted(set(numbers))
    assert len({r["eventID"] for r in records}) == 3
    keys_bytes = len("pk") + 1 + len("sk") + 2
    if view == "KEYS_ONLY":
        assert [r["dynamodb"]["SizeBytes"] for r in records] == [keys_bytes] * 3
    if view == "NEW_IMAGE":  # keys, and the image with them again
        assert records[0]["dynamodb"]["SizeBytes"] == 2 * keys_bytes + len("v") + len("one")
        assert records[2]["dynamodb"]["SizeBytes"] == keys_bytes


def test_every_kind_of_write(server, streams, make_streamed):
    name, arn = make_streamed()
    server.call("BatchWriteItem", RequestItems={name: [
        {"PutRequest": {"Item": {"pk": {"S": f"b{n}"}, "v": {"N": "1"}}}} for n in range(5)]})
    server.call("BatchWriteItem", RequestItems={name: [{"DeleteRequest": {"Key": key("b0")}}]})
    server.call("ExecuteStatement", Statement=f"INSERT INTO \"{name}\" VALUE {{'pk': 'p', 'v': 1}}")
    server.call("ExecuteStatement", Statement=f"UPDATE \"{name}\" SET v = 2 WHERE pk = 'p'")
    server.call("ExecuteStatement", Statement=f"UPDATE \"{name}\" SET v = 2 WHERE pk = 'p'")
    server.call("ExecuteStatement", Statement=f"DELETE FROM \"{name}\" WHERE pk = 'p'")
    server.call("UpdateItem", TableName=name, Key=key("u"), AttributeUpdates={"v": {"Value": {"N": "1"}, "Action": "ADD"}})
    assert server.error("PutItem", TableName=name, Item={"pk": {"S": "u"}}, ConditionExpression="attribute_not_exists(pk)")[0] == \
        "ConditionalCheckFailedException"
    events = [(r["eventName"], r["dynamodb"]["Keys"]["pk"]["S"]) for r in read_all(streams, arn, 10)]
    assert sorted(events[:5]) == [("INSERT", f"b{n}") for n in range(5)]
    assert events[5:] == [("REMOVE", "b0"), ("INSERT", "p"), ("MODIFY", "p"), ("REMOVE", "p"), ("INSERT", "u")]


def test_transactions_are_ordinary_writes(server, streams, make_streamed, table):
    """In one partition and over two, with one record of each item that changes, and none of a check or a write of the same."""
    name, arn = make_streamed()
    server.call("PutItem", TableName=name, Item={"pk": {"S": "checked"}})
    for extra in [], [{"Put": {"TableName": table, "Item": key("x")}}]:
        tag = f"t{len(extra)}"
        put_one = {"Put": {"TableName": name, "Item": {"pk": {"S": tag}, "v": {"N": "1"}}}}
        check = {"ConditionCheck": {"TableName": name, "Key": key("checked"), "ConditionExpression": "attribute_exists(pk)"}}
        add = {"Update": {"TableName": name, "Key": key(tag), "UpdateExpression": "ADD v :one",
                          "ExpressionAttributeValues": {":one": {"N": "1"}}}}
        for actions in [put_one, check], [add, check], [put_one, {"Delete": {"TableName": name, "Key": key("none")}}], \
                [put_one, check], [{"Delete": {"TableName": name, "Key": key(tag)}}]:
            server.call("TransactWriteItems", TransactItems=actions + extra)
    records = [(r["eventName"], r["dynamodb"]["Keys"]["pk"]["S"], r["dynamodb"].get("OldImage", {}).get("v"),
                r["dynamodb"].get("NewImage", {}).get("v")) for r in read_all(streams, arn, 9)]
    one, two = {"N": "1"}, {"N": "2"}
    expected = [("INSERT", "checked", None, None)]
    for tag in "t0", "t1":
        expected += [("INSERT", tag, None, one), ("MODIFY", tag, one, two), ("MODIFY", tag, two, one), ("REMOVE", tag, one, None)]
    assert records == expected


def test_pages_of_records(server, streams, make_streamed, refused):
    name, arn = make_streamed()
    for first in range(0, 1100, 25):
        server.call("BatchWriteItem", RequestItems={name: [
            {"PutRequest": {"Item": {"pk": {"S": f"k{n}"}}}} for n in range(first, first + 25)]})
    assert len(read_all(streams, arn, 1100)) == 1100
    iterator = iterator_of(streams, arn)
    page = streams("GetRecords", ShardIterator=iterator)
    assert len(page["Records"]) == 1000
    assert len(streams("GetRecords", ShardIterator=page["NextShardIterator"])["Records"]) == 100
    few = streams("GetRecords", ShardIterator=iterator, Limit=7)  # an iterator may be used again
    assert few["Records"] == page["Records"][:7]
    assert streams("GetRecords", ShardIterator=few["NextShardIterator"], Limit=3)["Records"] == page["Records"][7:10]
    for limit, text in ((1001, "less than or equal to 1000"), (0, "greater than or equal to 1")):
        assert refused("GetRecords", ShardIterator=iterator, Limit=limit) == \
            (VALIDATION, f"1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint: "
                         f"Member must have value {text}")


def test_a_page_has_a_megabyte(server, streams, make_streamed):
    name, arn = make_streamed("NEW_IMAGE")
    for n in range(9):
        put(server, name, n, v={"S": "x" * 300000})
    records, iterator, pages = [], iterator_of(streams, arn), []
    while len(records) < 9:
        page = streams("GetRecords", ShardIterator=iterator)
        pages.append(len(page["Records"]))
        records += page["Records"]
        iterator = page["NextShardIterator"]
    assert [n for n in pages if n] == [3, 3, 3]
    assert [r["dynamodb"]["Keys"]["pk"]["S"] for r in records] == [f"k{n}" for n in range(9)]
    server.call("DeleteItem", TableName=name, Key=key("k0"))


def test_large_images(server, streams, make_streamed):
    """Two images that are too long for one row: the binary form of many small sets is long."""
    name, arn = make_streamed()
    for n in (30000, 60000):
        server.call("PutItem", TableName=name, Item={"pk": {"S": "a"}, "v": {"L": [{"SS": [""]}] * n}})
    server.call("DeleteItem", TableName=name, Key=key("a"))
    records = read_all(streams, arn, 3)
    assert [(len(r["dynamodb"].get("OldImage", {"v": {"L": []}})["v"]["L"]),
             len(r["dynamodb"].get("NewImage", {"v": {"L": []}})["v"]["L"])) for r in records] == \
        [(0, 30000), (30000, 60000), (60000, 0)]


# ---- Iterators ----


def test_kinds_of_iterators(server, streams, make_streamed, refused):
    name, arn = make_streamed("KEYS_ONLY")
    for n in range(5):
        put(server, name, n)
    shard = shards_of(streams, arn)[0]["ShardId"]
    records = read_all(streams, arn, 5)
    third = records[2]["dynamodb"]["SequenceNumber"]

    def first(kind, **more):
        return streams("GetRecords", ShardIterator=iterator_of(streams, arn, shard, kind, **more))["Records"][:1]
    assert first("TRIM_HORIZON") == records[:1]
    assert first("AT_SEQUENCE_NUMBER", SequenceNumber=third) == records[2:3]
    assert first("AFTER_SEQUENCE_NUMBER", SequenceNumber=third) == records[3:4]
    latest = iterator_of(streams, arn, shard, "LATEST")
    page = streams("GetRecords", ShardIterator=latest)
    assert page["Records"] == [] and page["NextShardIterator"]
    put(server, name, 5)
    got, _ = read_on(streams, latest, 1)
    assert [r["dynamodb"]["Keys"] for r in got] == [key("k5")]

    again = {"StreamArn": arn, "ShardId": shard}
    for kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
        assert refused("GetShardIterator", ShardIteratorType=kind, **again)[0] == VALIDATION
        assert refused("GetShardIterator", ShardIteratorType=kind, SequenceNumber="x" * 26, **again) == \
            (VALIDATION, "Invalid SequenceNumber")
    assert refused("GetShardIterator", ShardIteratorType="LATEST", SequenceNumber=third, **again)[0] == VALIDATION
    assert refused("GetShardIterator", ShardIteratorType="NEWEST", **again) == \
        (VALIDATION, "1 validation error detected: Value 'NEWEST' at 'shardIteratorType' failed to satisfy constraint: Member "
                     "must satisfy enum value set: [TRIM_HORIZON, LATEST, AT_SEQUENCE_NUMBER, AFTER_SEQUENCE_NUMBER]")
    assert refused("GetShardIterator", StreamArn=arn, ShardId=shard[:-1] + "z", ShardIteratorType="LATEST") == \
        (NOT_FOUND, "Requested resource not found: Shard does not exist")


def test_what_is_no_iterator(server, streams, make_streamed, refused):
    name, arn = make_streamed()
    put(server, name, 1)
    iterator = iterator_of(streams, arn)
    head, tail = iterator.rsplit("|", 1)
    wrong = ["x", "|1|", tail, head + "|", iterator[:-1], iterator + "0", head + "|" + "0" * len(tail), head + "|" + "g" * len(tail),
             "|1|" + tail, iterator.replace("|1|", "|2|")]
    wrong += [head + "|" + tail[:at] + ("1" if tail[at] == "0" else "0") + tail[at + 1:] for at in range(len(tail))]
    for text in wrong:
        assert refused("GetRecords", ShardIterator=text) in (
            (VALIDATION, "Invalid ShardIterator"),), text
    assert refused("GetRecords", ShardIterator="arn:aws:dynamodb:us-east-1:000000000000:table/none" + "|1|" + tail)[0] == NOT_FOUND
    assert refused("GetRecords", ShardIterator="") == \
        (VALIDATION, "1 validation error detected: Value '' at 'shardIterator' failed to satisfy constraint: Member must have "
                     "length greater than or equal to 1")
    other, other_arn = make_streamed()
    assert refused("GetRecords", ShardIterator=other_arn + "|1|" + tail) == (VALIDATION, "Invalid ShardIterator")


def test_the_end_of_a_disabled_stream(server, streams, make_streamed):
    name, arn = make_streamed()
    for n in range(3):
        put(server, name, n)
    shard = shards_of(streams, arn)[0]
    assert "EndingSequenceNumber" not in shard["SequenceNumberRange"] and "ParentShardId" not in shard
    iterator = iterator_of(streams, arn)
    server.call("UpdateTable", TableName=name, StreamSpecification=spec(None))
    server.wait_active(name)
    put(server, name, 9)
    records, iterator = read_on(streams, iterator, 3)
    assert [r["dynamodb"]["Keys"] for r in records] == [key(f"k{n}") for n in range(3)] and iterator is None
    closed = shards_of(streams, arn)[0]["SequenceNumberRange"]
    numbers = [int(r["dynamodb"]["SequenceNumber"]) for r in records]
    assert int(closed["StartingSequenceNumber"]) <= numbers[0] and numbers[-1] <= int(closed["EndingSequenceNumber"])
    page = streams("GetRecords", ShardIterator=iterator_of(streams, arn, kind="LATEST"))
    assert page["Records"] == [] and "NextShardIterator" not in page


# ---- Shards ----


def test_partitions_are_shards(server, streams, make_streamed, refused):
    name, arn = make_streamed("NEW_AND_OLD_IMAGES", ProvisionedThroughput={"ReadCapacityUnits": 3000, "WriteCapacityUnits": 3000})
    shards = shards_of(streams, arn)
    assert len(shards) > 1 and [s["ShardId"] for s in shards] == sorted({s["ShardId"] for s in shards})
    assert all(re.fullmatch(r"shardId-\d{20}-[0-9a-f]{8}", s["ShardId"]) for s in shards)
    described = streams("DescribeStream", StreamArn=arn, Limit=1)["StreamDescription"]
    assert described["Shards"] == shards[:1] and described["LastEvaluatedShardId"] == shards[0]["ShardId"]
    assert {m: described[m] for m in ("StreamArn", "StreamStatus", "StreamViewType", "TableName", "KeySchema", "StreamLabel")} == \
        {"StreamArn": arn, "StreamStatus": "ENABLED", "StreamViewType": "NEW_AND_OLD_IMAGES", "TableName": name,
         "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}], "StreamLabel": ARN.fullmatch(arn).group(2)}
    assert time.time() - 100 < described["CreationRequestDateTime"] <= time.time()
    child = {"Type": "CHILD_SHARDS", "ShardId": shards[0]["ShardId"]}
    assert streams("DescribeStream", StreamArn=arn, ShardFilter=child)["StreamDescription"]["Shards"] == []
    assert refused("DescribeStream", StreamArn=arn, ShardFilter={**child, "ShardId": "s" * 30}) == \
        (NOT_FOUND, "Requested resource not found: Shard does not exist")
    assert refused("DescribeStream", StreamArn=arn, Limit=101)[0] == VALIDATION

    # All writers' changes, once each, in the order of each item.
    def write(writer):
        for n in range(40):
            put(server, name, n % 8, v={"S": f"{writer}.{n}"})
    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    time_limit = time.monotonic() + 30
    while True:
        records = read_all(streams, arn)
        if len(records) == 160:
            break
        assert time.monotonic() < time_limit, len(records)
    last = {}
    for record in records:
        item = record["dynamodb"]["Keys"]["pk"]["S"]
        assert record["dynamodb"].get("OldImage") == last.get(item)
        last[item] = record["dynamodb"]["NewImage"]
    assert sorted(r["dynamodb"]["NewImage"]["v"]["S"] for r in records) == sorted(f"{w}.{n}" for w in range(4) for n in range(40))
    for item, image in last.items():
        assert server.call("GetItem", TableName=name, Key=key(item), ConsistentRead=True)["Item"] == image


def test_list_streams(server, streams, make_streamed, refused, table):
    made = sorted(make_streamed() for _ in range(3))
    listed = list_all(streams)
    assert [s["StreamArn"] for s in listed if s["TableName"] in dict(made)] == [arn for _, arn in made]
    assert table not in {s["TableName"] for s in listed}
    assert [s["StreamArn"] for s in list_all(streams, Limit=1) if s["TableName"] in dict(made)] == [arn for _, arn in made]
    assert [s["StreamArn"] for s in streams("ListStreams", TableName=made[1][0])["Streams"]] == [made[1][1]]
    assert streams("ListStreams", TableName=table)["Streams"] == []
    assert refused("ListStreams", Limit=101)[0] == VALIDATION
    for arn in (made[0][1] + "x", made[0][1].replace("us-east-1", "eu-west-1"),
                "arn:aws:dynamodb:us-east-1:000000000000:table/nothing/stream/2015-05-11T21:21:33.291", "s" * 40,
                made[0][1].replace(made[0][0], "n" * 256), made[0][1].replace(made[0][0], "n" * 900)):
        assert refused("DescribeStream", StreamArn=arn) == \
            (NOT_FOUND, f"Requested resource not found: Stream: {arn} not found")
    long_name = made[0][1].replace(made[0][0], "n" * 256)
    assert refused("ListStreams", ExclusiveStartStreamArn=long_name)[0] == NOT_FOUND
    assert refused("DescribeStream", StreamArn=made[0][1].replace("000000000000", "111111111111"))[0] == "AccessDeniedException"
    assert server.signed("GetRecords", {}).error == ("UnknownOperationException", None)  # of the other service


# ---- Clients ----


def test_boto3(server, make_streamed):
    import boto3
    client = boto3.client("dynamodbstreams", endpoint_url=server.url, region_name="us-east-1",
                          aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="secret")
    name, arn = make_streamed()
    put(server, name, 1, b={"B": "AAEC"})
    shard = client.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]
    iterator = client.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    records = []
    while not records:
        page = client.get_records(ShardIterator=iterator)
        records, iterator = page["Records"], page["NextShardIterator"]
    assert records[0]["dynamodb"]["NewImage"]["b"] == {"B": b"\x00\x01\x02"}
    assert abs(records[0]["dynamodb"]["ApproximateCreationDateTime"].timestamp() - time.time()) < 100
    assert name in {s["TableName"] for s in client.list_streams(TableName=name)["Streams"]}
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.describe_stream(StreamArn=arn[:-1] + "x")


def test_the_js_sdk(server):
    folder = ROOT / "tests" / "js"
    result = subprocess.run([folder / "node_modules" / ".bin" / "node", "streams.mjs", server.url], cwd=folder,
                            capture_output=True, text=True, timeout=120, check=False)
    assert (result.returncode, result.stdout) == (0, "ok: 4 operations\n"), result.stdout + result.stderr
