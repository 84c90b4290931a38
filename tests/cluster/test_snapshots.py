"""Snapshots and restores of tables that have more than items: indexes, streams, time to live."""

import json

import pytest

from process import eventually
from test_admin_testing import BY_V, create_indexed, done, in_index, put_indexed
from test_streams import BOTH, arn_of, records_of
from test_ttl import NOW, describe, enable, expire, number, set_clock, settled, update

WHERE = pytest.mark.parametrize("where", [["--in-memory"], []], ids=["memory", "disk"])


@pytest.fixture
def server(start):
    return start("--in-memory", "--admin", "0", "--admin-testing", "--on-demand-partitions", "3")


def restore(server, name="s"):
    return done(server, "POST", f"snapshots/{name}/restore")


def settle(server, table="tab"):
    """Wait for the table, and all its indexes, to be as they are to be."""
    def found():
        table_ = server.call("DescribeTable", TableName=table)["Table"]
        return table_["TableStatus"] == "ACTIVE" and all(
            i["IndexStatus"] == "ACTIVE" for i in table_.get("GlobalSecondaryIndexes", [])) and table_
    return eventually(found, "ACTIVE")


# ---- Indexes ----


def fill_indexed(server, count):
    for first in range(0, count, 25):
        server.call("BatchWriteItem", RequestItems={"tab": [
            {"PutRequest": {"Item": {"pk": {"S": f"k{n}"}, "sk": {"S": "s"}, "v": {"S": f"v{n % 9}"}, "at": {"S": f"a{n}"}}}}
            for n in range(first, min(first + 25, count))]})
    return {f"k{n}": f"v{n % 9}" for n in range(count)}, {f"k{n}": f"a{n}" for n in range(count)}


def has_rows(server, by_v, by_at):
    assert in_index(server, "by_at") == by_at  # a local one is never late
    eventually(lambda: in_index(server) == by_v, "the global index has them")


def change_indexed(server):
    for n in range(0, 300, 3):
        put_indexed(server, f"k{n}", v="other", at="other")
    for n in range(1, 300, 3):
        server.call("DeleteItem", TableName="tab", Key={"pk": {"S": f"k{n}"}, "sk": {"S": "s"}})
    for n in range(50):
        put_indexed(server, f"more{n}", v="v1")
    for n in range(50, 60):  # rows of no index
        server.call("PutItem", TableName="tab", Item={"pk": {"S": f"more{n}"}, "sk": {"S": "s"}})


@WHERE
@pytest.mark.parametrize("partitions", [1, 5])
def test_indexes_follow_a_restore(start, where, partitions):
    server = start("--admin", "0", "--admin-testing", "--on-demand-partitions", partitions, *where)
    create_indexed(server)
    by_v, by_at = fill_indexed(server, 300)
    has_rows(server, by_v, by_at)
    done(server, "PUT", "snapshots/s")
    table_id = settle(server)["TableId"]
    for _ in range(2):
        change_indexed(server)
        assert restore(server) == {"Tables": 1, "Items": 300, "ItemsPut": 200, "ItemsDeleted": 60}
        has_rows(server, by_v, by_at)
    assert settle(server)["TableId"] == table_id
    server.stop()
    after = start("--admin", "0", *(where or []))
    if not where:
        has_rows(after, by_v, by_at)


def test_restored_indexes_take_further_changes(server):
    """Rows that came back are newer than what was undone: later changes go on from them."""
    create_indexed(server)
    put_indexed(server, "a", v="1")
    done(server, "PUT", "snapshots/s")
    for n in range(20):
        put_indexed(server, "a", v=f"2{n}")
        put_indexed(server, "b", v="1")
        restore(server)
        put_indexed(server, "c", v="3")
    eventually(lambda: in_index(server) == {"a": "1", "c": "3"}, lambda: in_index(server))
    put_indexed(server, "a", v="4")
    eventually(lambda: in_index(server) == {"a": "4", "c": "3"}, lambda: in_index(server))


def test_tables_made_anew_have_their_indexes(server):
    create_indexed(server)
    by_v, by_at = fill_indexed(server, 100)
    before = settle(server)
    done(server, "PUT", "snapshots/s")
    for undo in ("reset", "delete"):
        if undo == "reset":
            done(server, "POST", "reset")
        else:
            server.call("DeleteTable", TableName="tab")
        assert restore(server)["ItemsPut"] == 100
        has_rows(server, by_v, by_at)
        after = settle(server)
        assert after["TableId"] != before["TableId"]
        for kind in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
            (was,), (now,) = before[kind], after[kind]
            assert [was[m] for m in ("IndexName", "KeySchema", "Projection")] == [now[m] for m in ("IndexName", "KeySchema", "Projection")]
        put_indexed(server, "k0", v="changed")
        eventually(lambda: in_index(server)["k0"] == "changed", "it goes on")


def test_an_index_that_came_or_went_since(server):
    create_indexed(server)
    by_v, by_at = fill_indexed(server, 100)
    done(server, "PUT", "snapshots/with")
    server.call("UpdateTable", TableName="tab", GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "by_v"}}])
    eventually(lambda: "GlobalSecondaryIndexes" not in settle(server), "it is gone")
    done(server, "PUT", "snapshots/without")
    for _ in range(2):
        assert restore(server, "with")["ItemsPut"] == 100
        has_rows(server, by_v, by_at)
        assert restore(server, "without")["ItemsPut"] == 100
        assert "GlobalSecondaryIndexes" not in settle(server) and in_index(server, "by_at") == by_at
    server.call("UpdateTable", TableName="tab", GlobalSecondaryIndexUpdates=[{"Create": BY_V}],
                AttributeDefinitions=[{"AttributeName": "v", "AttributeType": "S"}])
    done(server, "PUT", "snapshots/added")  # it waits until the index is there
    done(server, "POST", "reset")
    assert restore(server, "added")["ItemsPut"] == 100
    has_rows(server, by_v, by_at)


def test_seeds_and_restores_consume_nothing_of_an_index(start, tmp_path):
    """An index of one unit a second has 700 rows at once, twice; of a client it would take more than 300 in six minutes."""
    (tmp_path / "tab.table.json").write_text(json.dumps({
        "TableName": "tab", "ProvisionedThroughput": {"ReadCapacityUnits": 9, "WriteCapacityUnits": 9},
        "AttributeDefinitions": [{"AttributeName": n, "AttributeType": "S"} for n in ("pk", "v")],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "GlobalSecondaryIndexes": [{**BY_V, "ProvisionedThroughput": {"ReadCapacityUnits": 9, "WriteCapacityUnits": 1}}]}))
    (tmp_path / "tab.jsonl").write_text("".join(
        json.dumps({"pk": {"S": f"k{n}"}, "v": {"S": f"v{n}"}}) + "\n" for n in range(700)))
    server = start("--in-memory", "--admin", "0", "--admin-testing", "--seed", tmp_path)
    wanted = {f"k{n}": f"v{n}" for n in range(700)}
    eventually(lambda: in_index(server) == wanted, "the seed's rows")
    done(server, "PUT", "snapshots/s")
    done(server, "POST", "reset")
    assert restore(server)["ItemsPut"] == 700
    eventually(lambda: in_index(server) == wanted, "the restore's rows")


# ---- Streams ----


def events(server, arn):
    """(eventName, key, old value, new value) of all records."""
    def value(record, image):
        return record["dynamodb"].get(image, {}).get("v", {}).get("S")
    return [(r["eventName"], r["dynamodb"]["Keys"]["pk"]["S"], value(r, "OldImage"), value(r, "NewImage"))
            for shard in records_of(server, arn) for r in shard]


def test_a_stream_shows_what_a_restore_does(start):
    server = start("--in-memory", "--admin", "0", "--admin-testing")
    server.create("tab", StreamSpecification=BOTH)
    for pk in ("kept", "changed", "deleted"):
        server.put("tab", pk, v="1")
    arn = arn_of(server)
    done(server, "PUT", "snapshots/s")
    server.put("tab", "changed", v="2")
    server.call("DeleteItem", TableName="tab", Key={"pk": {"S": "deleted"}})
    server.put("tab", "new", v="1")
    eventually(lambda: len(events(server, arn)) == 6, "six records")
    restore(server)
    assert arn_of(server) == arn
    eventually(lambda: len(events(server, arn)) == 9, "nine records")
    assert events(server, arn)[:6] == [
        ("INSERT", "kept", None, "1"), ("INSERT", "changed", None, "1"), ("INSERT", "deleted", None, "1"),
        ("MODIFY", "changed", "1", "2"), ("REMOVE", "deleted", "1", None), ("INSERT", "new", None, "1")]
    assert sorted(events(server, arn)[6:]) == [
        ("INSERT", "deleted", None, "1"), ("MODIFY", "changed", "2", "1"), ("REMOVE", "new", "1", None)]
    restore(server)  # nothing differs
    assert len(events(server, arn)) == 9


def test_a_table_made_anew_has_a_new_stream(server):
    server.create("tab", StreamSpecification=BOTH)
    server.put("tab", "a", v="1")
    old = arn_of(server)
    done(server, "PUT", "snapshots/s")
    server.call("UpdateTable", TableName="tab", StreamSpecification={"StreamEnabled": False})
    settle(server)
    restore(server)
    table = settle(server)
    assert table["StreamSpecification"] == BOTH and table["LatestStreamArn"] != old
    eventually(lambda: events(server, table["LatestStreamArn"]) == [("INSERT", "a", None, "1")], "of what was put back")
    server.put("tab", "a", v="2")
    eventually(lambda: events(server, table["LatestStreamArn"])[1:] == [("MODIFY", "a", "1", "2")], "it goes on")


# ---- Time to live ----


def put_expiring(server, pk, second):
    server.call("PutItem", TableName="tab", Item={"pk": {"S": pk}, "ttl": number(second)})


@pytest.mark.parametrize("anew", [False, True], ids=["there", "anew"])
def test_items_expire_after_a_restore(server, anew):
    set_clock(server, NOW)
    server.create("tab")
    enable(server)
    for n in range(30):
        put_expiring(server, f"k{n}", NOW + 100 * (n % 3 + 1))
    table_id = settle(server)["TableId"]
    done(server, "PUT", "snapshots/s")
    for n in range(30):  # none would expire
        put_expiring(server, f"k{n}", NOW + 10_000)
    if anew:
        done(server, "POST", "reset")
    assert restore(server)["ItemsPut"] == 30
    assert (settle(server)["TableId"] != table_id) == anew
    assert describe(server) == {"TimeToLiveStatus": "ENABLED", "AttributeName": "ttl"}
    set_clock(server, NOW + 201)
    assert expire(server) == 20
    assert restore(server)["ItemsPut"] == 20
    assert len(server.scan("tab")) == 30
    assert expire(server) == 20
    set_clock(server, NOW + 9_000)
    assert expire(server) == 10 and server.scan("tab") == {}


@pytest.mark.parametrize("enabled", [True, False])
def test_a_snapshot_waits_for_changes_of_time_to_live(server, enabled):
    """One taken while it is on its way has the table as it comes to be, and is restored by its items alone."""
    server.create("tab")
    if not enabled:
        enable(server)
        done(server, "PUT", "clock", {"AdvanceSeconds": 3601})
    for n in range(500):
        put_expiring(server, f"k{n}", NOW * 2)
    update(server, enabled)
    done(server, "PUT", "snapshots/s")
    table_id = settle(server)["TableId"]
    settled(server, "ENABLED" if enabled else "DISABLED")
    put_expiring(server, "k0", 1)
    for _ in range(2):
        restore(server)
        assert settle(server)["TableId"] == table_id
    assert json.dumps(describe(server)).count("ABLED") == 1 and server.get("tab", "k0") == {"ttl": str(NOW * 2)}
