"""Damage on the disk: told, never served, and never passed over in silence."""

import json
import os
import signal
import threading
import http.client

import pytest

import disk
from process import Refused, eventually
from test_streams import ask, iterators_of


def write_until_gone(server, acknowledged):
    """Four writers; keys are k<writer>-<number>, in that order."""
    def write(writer):
        number = 0
        while True:
            try:
                server.put("items", f"k{writer}-{number}", v=f"value of k{writer}-{number}.")
            except (OSError, http.client.HTTPException):
                return
            acknowledged.append(f"k{writer}-{number}")
            number += 1
    threads = [threading.Thread(target=write, args=(w,)) for w in range(4)]
    for thread in threads:
        thread.start()
    return threads


@pytest.fixture
def killed(start, data):
    """A directory whose server was killed while it wrote, and the keys that were acknowledged."""
    server = start()
    server.create("items")
    acknowledged = []
    threads = write_until_gone(server, acknowledged)
    eventually(lambda: len(acknowledged) > 200, "no progress")
    server.kill()
    for thread in threads:
        thread.join()
    return data, acknowledged


def has(batch, key):
    return f"value of {key}.".encode() in batch.content


def keys_in(batches, keys):
    content = b"".join(b.content for b in batches)
    return {key for key in keys if f"value of {key}.".encode() in content}


def check(server, there):
    items = server.scan("items")
    assert {k: v for k, v in items.items() if k in there} == {key: {"v": f"value of {key}."} for key in there}
    return items


# ---- The log ----

def test_torn_tail_is_cut(start, killed):
    """The last batch was not written whole: it is cut, and the log says so."""
    data, acknowledged = killed
    batches = disk.batches(data)
    last = batches[-1]
    assert last.records > 0, "the server was killed while it wrote"
    disk.flip(last.path, last.offset + len(last.content) - 1)
    server = start()
    assert server.find(rf"info storage: the log ended in a batch of {len(last.content)} bytes that was not written "
                       r"whole; it was not acknowledged, and is cut$")
    items = check(server, keys_in(batches[:-1], acknowledged))
    assert not any(key in items for key in keys_in([last], acknowledged))
    server.put("items", "after", v="1")
    server.kill()
    assert start().get("items", "after") == {"v": "1"}


def test_bytes_that_were_never_written_whole(start, killed):
    """A last block of anything is a torn tail as well."""
    data, acknowledged = killed
    last = disk.batches(data)[-1]
    disk.change(last.path, last.offset + (len(last.content) + disk.BLOCK - 1) // disk.BLOCK * disk.BLOCK,
                b"TBAT" + b"\xa5" * 1000)
    check(start(), acknowledged)


@pytest.mark.parametrize("where", ["header", "record"])
def test_damage_before_intact_records(start, killed, where):
    """It is refused, naming file and offset; with --accept-loss it starts without what is lost."""
    data, acknowledged = killed
    batches = disk.batches(data)
    middle = next(i for i in range(len(batches) // 2, len(batches)) if batches[i].records > 0)
    damaged = batches[middle]
    disk.flip(damaged.path, damaged.offset + (50 if where == "header" else len(damaged.content) - 2))
    before = {path.name: path.read_bytes() for path in data.iterdir()}
    server = start(ready=False)
    assert server.wait() == 1
    assert server.find(rf"error storage: the log is damaged: {damaged.path} at offset {damaged.offset}: what was "
                       rf"written from position {damaged.previous} to at least \d+, and all after it, is lost$")
    assert server.lines[-1] == (f"trine: cannot open the data directory {data}: what it holds is damaged; see the log "
                                "lines above\n")
    assert {path.name: path.read_bytes() for path in data.iterdir()} == before

    server = start("--accept-loss")
    assert server.find(r"error storage: the log is damaged: .* is lost \(accepted\)$")
    intact = sum(batch.records for batch in batches[middle + 1:])
    assert intact > 0 and server.find(
        rf"warning storage: the log in {data} goes on at position {damaged.previous}: {intact} intact records behind "
        r"the damage are dropped, since what they rest on may be lost$")
    items = check(server, keys_in(batches[:middle], acknowledged))
    lost = keys_in(batches[middle:], acknowledged)
    assert lost and not any(key in items for key in lost)
    server.put("items", "after", v="1")
    server.stop()
    server = start()
    assert server.get("items", "after") == {"v": "1"}
    assert not server.find("damaged|lost")


def test_a_segment_that_is_gone(start, data):
    server = start()
    server.create("items")
    number = 0
    while len([p for p in disk.segments(data)]) < 3:
        server.put("items", f"k{number}", v="x" * 300_000)
        number += 1
    server.kill()
    gone = disk.segments(data)[1]
    gone.unlink()
    server = start(ready=False)
    assert server.wait() == 1
    assert server.find(rf"error storage: the log is damaged: {disk.segments(data)[0]} at offset \d+: what was written "
                       r"from position \d+ to at least \d+, and all after it, is lost$")


def test_what_is_no_file_of_the_log(start, data):
    """A FIFO in the place of a segment is refused at once; names that no segment has are left alone."""
    server = start()
    server.create("items")
    server.put("items", "a", v="1")
    server.stop()
    (data / "log-ffffffffffffffff").write_bytes(b"")
    server = start()
    for i in range(40):
        server.put("items", f"k{i}", v="x" * 300_000)
    server.stop()
    assert (data / "log-ffffffffffffffff").exists()
    last = sorted(disk.segments(data))[-1]
    last.unlink()
    os.mkfifo(last)
    server = start(ready=False)
    assert server.wait() == 1
    assert server.lines[-1] == (f"trine: cannot open the data directory {data}: no permission to read and write it, "
                                "or its file system is read-only\n")


# ---- The tree ----

@pytest.fixture
def stored(start, data):
    """A directory with 3,000 items in the tree, from a clean stop: the texts of all."""
    server = start()
    server.create("items")
    texts = {f"k{n:04}": f"<{n:04}>" + "x" * 200 for n in range(3000)}
    names = list(texts)
    for at in range(0, len(names), 25):
        server.call("BatchWriteItem", RequestItems={"items": [
            {"PutRequest": {"Item": {"pk": {"S": key}, "v": {"S": texts[key]}}}} for key in names[at:at + 25]]})
    server.stop()
    return data, texts


def test_flipped_bit_in_a_page(start, stored):
    """What is in the page is answered with 500 and counted; all the rest is served."""
    data, texts = stored
    victim = "k1234"
    for page in disk.pages_with(data, texts[victim][:6]):
        disk.flip(data / "tree", page * disk.PAGE + 5000)
    server = start("--admin", "0", "--cache", "2")
    assert server.metrics()["corrupt_pages_total"] == 0
    with pytest.raises(Refused) as refused:
        server.get("items", victim)
    assert (refused.value.status, refused.value.type) == (500, "InternalServerError")
    assert server.metrics()["corrupt_pages_total"] >= 1
    eventually(lambda: server.find(r"error storage: .*page \d+.*"), lambda: server.output)
    failed = 0
    for key, text in texts.items():
        try:
            assert server.get("items", key) == {"v": text}
        except Refused as fault:
            assert (fault.status, fault.type) == (500, "InternalServerError")
            failed += 1
    assert 1 <= failed < 100
    with pytest.raises(Refused) as refused:
        server.scan("items")
    assert (refused.value.status, refused.value.type) == (500, "InternalServerError")
    server.put("items", "new", v="1")
    assert server.get("items", "new") == {"v": "1"}
    server.kill()
    server = start()
    assert server.get("items", "new") == {"v": "1"}


def test_a_page_in_another_ones_place(start, stored):
    """Each page verifies by itself; that it is not the one that belongs there is found all the same."""
    data, texts = stored
    content = (data / "tree").read_bytes()
    one = disk.pages_with(data, texts["k1234"][:6])
    other = [p for p in disk.pages_with(data, texts["k2345"][:6]) if p not in one]
    for page in one:
        disk.change(data / "tree", page * disk.PAGE, content[other[0] * disk.PAGE:(other[0] + 1) * disk.PAGE])
    server = start()
    with pytest.raises(Refused) as refused:
        server.get("items", "k1234")
    assert (refused.value.status, refused.value.type) == (500, "InternalServerError")


def test_writes_to_a_damaged_page(start, stored):
    """They are refused, or kept in the log; the process lives, and serves the rest."""
    data, texts = stored
    for page in disk.pages_with(data, texts["k1234"][:6]):
        disk.flip(data / "tree", page * disk.PAGE + 5000)
    server = start("--admin", "0")
    with pytest.raises(Refused) as refused:
        server.put("items", "k1234", v="new")
    assert refused.value.status == 500
    assert server.get("items", "k0001") == {"v": texts["k0001"]}
    server.put("items", "other", v="1")
    assert server.get("items", "other") == {"v": "1"}
    server.send_signal(signal.SIGTERM)
    assert server.wait() == 0, server.output


INTERNAL = (500, "InternalServerError")


def refusal(call, *arguments, **members):
    with pytest.raises(Refused) as refused:
        call(*arguments, **members)
    return refused.value.status, refused.value.type


def test_each_operation_on_a_damaged_page(start, data):
    """What an operation cannot do is said in the form that it documents; the tables beside it are served."""
    server = start()
    server.create("items", StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"})
    server.create("other")
    server.put("items", "victim", v="<victim>" + "x" * 200)
    for at in range(0, 600, 25):
        server.call("BatchWriteItem", RequestItems={"items": [
            {"PutRequest": {"Item": {"pk": {"S": f"k{n}"}, "v": {"S": "x" * 400}}}} for n in range(at, at + 25)]})
    server.stop()
    for page in disk.pages_with(data, "<victim>"):
        disk.flip(data / "tree", page * disk.PAGE + 5000)
    server = start("--cache", "2", "--admin", "0")
    key = {"pk": {"S": "victim"}}
    statement = "UPDATE items SET v = 'new' WHERE pk = 'victim'"
    put = {"Put": {"TableName": "other", "Item": key}}
    for operation, members in (
            ("GetItem", {"TableName": "items", "Key": key}),
            ("BatchGetItem", {"RequestItems": {"items": {"Keys": [key]}}}),
            ("Query", {"TableName": "items", "KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": {"S": "victim"}}}),
            ("Scan", {"TableName": "items"}),
            ("TransactGetItems", {"TransactItems": [{"Get": {"TableName": "items", "Key": key}}]}),
            ("PutItem", {"TableName": "items", "Item": key}),
            ("UpdateItem", {"TableName": "items", "Key": key}),
            ("DeleteItem", {"TableName": "items", "Key": key}),
            ("TransactWriteItems", {"TransactItems": [put, {"Delete": {"TableName": "items", "Key": key}}]}),
            ("ExecuteStatement", {"Statement": statement}),
            ("ExecuteTransaction", {"TransactStatements": [{"Statement": statement}]})):
        assert refusal(server.call, operation, **members) == INTERNAL, operation
    ends = {end: server.metrics()[f'transactions_total{{end="{end}"}}'] for end in ("cancelled", "unknown")}
    assert ends == {"cancelled": 1, "unknown": 0}  # the one over two partitions did not wait for what cannot be read
    error = {"Code": "InternalServerError", "Message": "The request processing has failed because of an unknown error, exception or failure."}
    got = server.call("BatchExecuteStatement", Statements=[{"Statement": statement}, {"Statement": "INSERT INTO other VALUE {'pk': 'a'}"}])
    assert [response.get("Error") for response in got["Responses"]] == [error, None]
    requests = {"items": [{"PutRequest": {"Item": key}}]}
    assert server.call("BatchWriteItem", RequestItems={**requests, "other": [{"PutRequest": {"Item": key}}]}) == {"UnprocessedItems": requests}
    (arn,) = [stream["StreamArn"] for stream in ask(server, "ListStreams")["Streams"]]
    (iterator,) = iterators_of(server, arn)
    assert refusal(ask, server, "GetRecords", ShardIterator=iterator) == INTERNAL
    assert server.scan("other").keys() == {"a", "victim"}


def test_the_control_plane_over_a_damaged_page(start, data):
    """What is known of tables is served from memory; what would change it is refused, and nothing is changed."""
    server = start()
    server.create("catalogued")
    arn = server.call("DescribeTable", TableName="catalogued")["Table"]["TableArn"]
    policy = json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": "000000000000"}, "Action": "dynamodb:GetItem", "Resource": arn}]})
    server.call("PutResourcePolicy", ResourceArn=arn, Policy=policy)
    server.call("TagResource", ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}])
    server.create("fill")
    for at in range(25):  # more than the cache has room for
        server.call("BatchWriteItem", RequestItems={"fill": [
            {"PutRequest": {"Item": {"pk": {"S": f"{at}-{n}"}, "v": {"S": "y" * 6000}}}} for n in range(25)]})
    server.stop()
    server = start("--cache", "2")
    before = {operation: server.call(operation, **members) for operation, members in catalogued(arn)}
    for page in disk.pages_with(data, "catalogued"):
        disk.flip(data / "tree", page * disk.PAGE + 5000)
    assert len(server.scan("fill")) == 625
    for operation, members in (
            ("CreateTable", {"TableName": "catalogue", "BillingMode": "PAY_PER_REQUEST",
                             "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
                             "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}]}),
            ("UpdateTable", {"TableName": "catalogued", "DeletionProtectionEnabled": True}),
            ("UpdateTimeToLive", {"TableName": "catalogued", "TimeToLiveSpecification": {"Enabled": True, "AttributeName": "t"}}),
            ("TagResource", {"ResourceArn": arn, "Tags": [{"Key": "b", "Value": "2"}]}),
            ("UntagResource", {"ResourceArn": arn, "TagKeys": ["a"]}),
            ("PutResourcePolicy", {"ResourceArn": arn, "Policy": policy.replace("GetItem", "PutItem")}),
            ("DeleteResourcePolicy", {"ResourceArn": arn}),
            ("DeleteTable", {"TableName": "catalogued"})):
        assert refusal(server.call, operation, **members) == INTERNAL, operation
    assert {operation: server.call(operation, **members) for operation, members in catalogued(arn)} == before


def catalogued(arn):
    name = {"TableName": "catalogued"}
    return [("DescribeTable", name), ("ListTables", {}), ("DescribeTimeToLive", name), ("DescribeContinuousBackups", name),
            ("ListTagsOfResource", {"ResourceArn": arn}), ("GetResourcePolicy", {"ResourceArn": arn}), ("DescribeLimits", {}),
            ("UpdateContinuousBackups", {**name, "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": False}})]


def test_one_superblock_is_damaged(start, stored):
    data, texts = stored
    newer = max(disk.SUPERBLOCKS, key=lambda at: (data / "tree").read_bytes()[at + 56:at + 64][::-1])
    disk.flip(data / "tree", newer + 100)
    server = start()
    assert server.find("warning storage: one superblock of the tree file is damaged, the other is used$")
    assert server.scan("items") == {key: {"v": text} for key, text in texts.items()}
    server.stop()
    server = start()
    assert not server.find("warning")
    assert len(server.scan("items")) == len(texts)


def test_both_superblocks_are_damaged(start, stored):
    data, _ = stored
    for at in disk.SUPERBLOCKS:
        disk.flip(data / "tree", at + 100)
    server = start(ready=False)
    assert server.wait() == 1
    assert server.find("error storage: the tree file has no superblock that verifies$")
    assert server.lines[-1] == (f"trine: cannot open the data directory {data}: what it holds is damaged; see the log "
                                "lines above\n")


def test_tree_that_is_cut_off(start, stored):
    data, _ = stored
    tree = data / "tree"
    with open(tree, "r+b") as file:
        file.truncate(60 * disk.PAGE)
    server = start(ready=False)
    assert server.wait() == 1
    assert server.find(r"error storage: the tree file is cut off: it has 60 pages and needs \d+ or more$")
