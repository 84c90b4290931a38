"""What `--admin-testing` opens on the admin endpoint: each request, its bounds, and what a crash leaves."""

import contextlib
import http.client
import json
import re
import subprocess
import threading
import time

import pytest

from process import ROOT, Refused, eventually, run


@pytest.fixture
def server(start):
    return start("--in-memory", "--admin", "0", "--admin-testing")


def ask(server, method, path, body=None, headers=None):
    """(status, answer) of one request under /testing/."""
    connection = http.client.HTTPConnection(server.admin_url.removeprefix("http://"), timeout=30)
    connection.request(method, f"/testing/{path}", body if body is None or isinstance(body, (str, bytes))
                       else json.dumps(body), headers or {})
    response = connection.getresponse()
    text = response.read()
    assert response.headers["Content-Type"] == "application/json"
    connection.close()
    return response.status, json.loads(text)


def done(server, method, path, body=None):
    status, answer = ask(server, method, path, body)
    assert status == 200, answer
    return answer


def fill(server, table, count, value="x"):
    for first in range(0, count, 25):
        server.call("BatchWriteItem", RequestItems={table: [
            {"PutRequest": {"Item": {"pk": {"S": f"k{n}"}, "v": {"S": value}}}}
            for n in range(first, min(first + 25, count))]})


# ---- Not for everybody ----


def test_closed_without_the_flag(start):
    server = start("--in-memory", "--admin", "0")
    for method, path in (("POST", "reset"), ("GET", "clock"), ("PUT", "snapshots/a"), ("POST", "nothing")):
        assert ask(server, method, path) == (404, {"error": "the server was not started with --admin-testing"})
    assert server.admin("/ready") == (200, "ready\n")
    assert status_for_clients(server) == 404


def status_for_clients(server):
    connection = server.connection()
    connection.request("POST", "/testing/reset")
    response = connection.getresponse()
    response.read()
    return response.status


def test_needs_the_admin_endpoint():
    result = run("serve", "--in-memory", "--admin-testing")
    assert result.returncode == 2
    assert result.stderr.startswith("trine: --admin-testing needs --admin HOST:PORT, where it is served\n")


def test_not_from_a_page_in_a_browser_and_not_for_clients(server):
    server.create("tab")
    assert ask(server, "POST", "reset", headers={"Origin": "http://evil.example"}) == \
        (403, {"error": "pages that a browser shows may not do this"})
    assert status_for_clients(server) == 404
    assert server.call("ListTables")["TableNames"] == ["tab"]


# ---- Reset ----


def test_reset_deletes_all_tables(server):
    for n in range(30):
        server.create(f"tab{n}", **({"DeletionProtectionEnabled": True} if n % 3 == 0 else {}))
    server.put("tab1", "a", v="1")
    assert done(server, "POST", "reset") == {"TablesDeleted": 30}
    assert server.call("ListTables")["TableNames"] == []
    assert done(server, "POST", "reset", {}) == {"TablesDeleted": 0}
    server.create("tab1")
    assert server.scan("tab1") == {}


def test_reset_while_tables_change(start):
    server = start("--in-memory", "--admin", "0", "--admin-testing", "--status-delay", "50")
    for n in range(10):
        server.call("CreateTable", TableName=f"tab{n}", BillingMode="PAY_PER_REQUEST",
                    AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
                    KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}])
    assert done(server, "POST", "reset")["TablesDeleted"] == 10
    assert server.call("ListTables")["TableNames"] == []


def test_one_at_a_time(start):
    server = start("--in-memory", "--admin", "0", "--admin-testing", "--status-delay", "300")
    server.call("CreateTable", TableName="tab", BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
                KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}])
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(ask(server, "POST", "reset"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers, key=str)[0] == (200, {"TablesDeleted": 1})
    assert {status for status, _ in answers} <= {200, 409}


def test_a_stop_ends_what_runs(start):
    server = start("--admin", "0", "--admin-testing", "--status-delay", "3000000")
    server.call("CreateTable", TableName="tab", BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
                KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}])
    done(server, "GET", "snapshots")
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(ask(server, "POST", "reset"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(answers) == 1, "none is refused")  # so the other one runs, and waits for the table
    server.stop()
    for thread in threads:
        thread.join()
    assert [status for status, _ in answers] == [409, 503] and "cancel" in answers[1][1]["error"], answers


# ---- Snapshots ----


@pytest.mark.parametrize("where", [["--in-memory"], []], ids=["memory", "disk"])
@pytest.mark.parametrize("partitions", [1, 7])
def test_restore_brings_everything_back(start, where, partitions):
    server = start("--admin", "0", "--admin-testing", "--on-demand-partitions", partitions, *where)
    server.create("one")
    server.create("two", "pk:S sk:N")
    server.create("gone")
    fill(server, "one", 700)
    for n in range(40):
        server.call("PutItem", TableName="two", Item={"pk": {"S": f"p{n % 3}"}, "sk": {"N": str(n - 20)},
                                                      "v": {"L": [{"N": str(n)}]}})
    server.put("gone", "a", v="1")
    before = {table: items(server, table) for table in ("one", "two", "gone")}
    taken = done(server, "PUT", "snapshots/clean")
    assert (taken["Tables"], taken["Items"]) == (3, 741) and taken["Bytes"] > 741 * 10
    assert done(server, "POST", "snapshots/clean/restore") == \
        {"Tables": 3, "Items": 741, "ItemsPut": 0, "ItemsDeleted": 0}

    for n in range(0, 700, 7):
        server.call("DeleteItem", TableName="one", Key={"pk": {"S": f"k{n}"}})
    for n in range(1, 700, 7):
        server.put("one", f"k{n}", v="changed")
    for n in range(50):
        server.put("one", f"new{n}", v="1")
    server.call("DeleteItem", TableName="two", Key={"pk": {"S": "p0"}, "sk": {"N": "-20"}})
    server.call("PutItem", TableName="two", Item={"pk": {"S": "p0"}, "sk": {"N": "100"}})
    server.call("DeleteTable", TableName="gone")
    server.create("more")
    restored = done(server, "POST", "snapshots/clean/restore")
    assert restored == {"Tables": 3, "Items": 741, "ItemsPut": 202, "ItemsDeleted": 51}
    assert server.call("ListTables")["TableNames"] == ["gone", "one", "two"]
    assert {table: items(server, table) for table in before} == before
    assert done(server, "POST", "snapshots/clean/restore")["ItemsPut"] == 0
    server.stop()


def items(server, table):
    found = server.call("Scan", TableName=table, ConsistentRead=True)
    assert "LastEvaluatedKey" not in found
    return {json.dumps(item, sort_keys=True) for item in found["Items"]}


def test_tables_of_little_throughput(server):
    """A snapshot and its restore are not held to what their tables may consume, and consume nothing of it."""
    server.call("CreateTable", TableName="tab", ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1},
                AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
                KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}])
    eventually(lambda: server.call("DescribeTable", TableName="tab")["Table"]["TableStatus"] == "ACTIVE", "ACTIVE")
    for n in range(20):
        server.put("tab", f"k{n}", v="x")
    done(server, "PUT", "snapshots/s")
    for n in range(20):
        server.put("tab", f"k{n}", v="x" * 900)
    for _ in range(50):
        assert done(server, "POST", "snapshots/s/restore")["Items"] == 20
        done(server, "PUT", "snapshots/t")
    assert len(server.scan("tab")) == 20
    server.put("tab", "more", v="x")


def test_tokens_go_back_with_the_tables(server):
    """A transaction that was undone is done again under its token; the server's own tables are not counted."""
    for table in ("one", "two"):
        server.create(table)
    done(server, "PUT", "snapshots/before")

    def transact():
        server.call("TransactWriteItems", ClientRequestToken="the same", TransactItems=[
            {"Update": {"TableName": table, "Key": {"pk": {"S": "a"}}, "UpdateExpression": "ADD v :one",
                        "ExpressionAttributeValues": {":one": {"N": "1"}}}} for table in ("one", "two")])

    def values():
        return [server.get(table, "a") for table in ("one", "two")]
    for _ in range(2):
        transact()
        transact()
        assert values() == [{"v": "1"}] * 2
        assert done(server, "POST", "snapshots/before/restore") == {"Tables": 2, "Items": 0, "ItemsPut": 0, "ItemsDeleted": 2}
        assert values() == [None] * 2
    transact()
    taken = done(server, "PUT", "snapshots/after")
    assert (taken["Tables"], taken["Items"]) == (2, 2)
    for table in ("one", "two"):
        server.put(table, "a", v="9")
    assert done(server, "POST", "snapshots/after/restore") == {"Tables": 2, "Items": 2, "ItemsPut": 2, "ItemsDeleted": 0}
    transact()
    assert values() == [{"v": "1"}] * 2
    assert done(server, "POST", "reset") == {"TablesDeleted": 2}
    for table in ("one", "two"):
        server.create(table)
    transact()
    assert values() == [{"v": "1"}] * 2


def test_restore_of_empty_and_into_empty_tables(server):
    server.create("tab")
    done(server, "PUT", "snapshots/empty")
    fill(server, "tab", 3000)
    done(server, "PUT", "snapshots/full")
    assert done(server, "POST", "snapshots/empty/restore")["ItemsDeleted"] == 3000
    assert server.scan("tab") == {}
    assert done(server, "POST", "snapshots/full/restore")["ItemsPut"] == 3000
    assert len(server.scan("tab")) == 3000
    done(server, "POST", "reset")
    assert done(server, "POST", "snapshots/full/restore")["ItemsPut"] == 3000
    assert len(server.scan("tab")) == 3000


def test_restore_of_changed_tables_and_large_items(server):
    server.create("tab", Tags=[{"Key": "a", "Value": "1"}])
    for n in range(12):
        server.put("tab", f"k{n}", v=chr(97 + n) * 390_000)
    before = server.call("DescribeTable", TableName="tab")["Table"]
    done(server, "PUT", "snapshots/s")
    server.call("UpdateTable", TableName="tab", DeletionProtectionEnabled=True)
    eventually(lambda: server.call("DescribeTable", TableName="tab")["Table"]["TableStatus"] == "ACTIVE", "ACTIVE")
    server.call("TagResource", ResourceArn=before["TableArn"], Tags=[{"Key": "b", "Value": "2"}])
    done(server, "POST", "snapshots/s/restore")
    after = server.call("DescribeTable", TableName="tab")["Table"]
    assert (after["DeletionProtectionEnabled"], after["KeySchema"]) == (False, before["KeySchema"])
    assert after["TableId"] != before["TableId"]
    assert server.call("ListTagsOfResource", ResourceArn=before["TableArn"])["Tags"] == [{"Key": "a", "Value": "1"}]
    assert {k: len(v["v"]) for k, v in server.scan("tab").items()} == {f"k{n}": 390_000 for n in range(12)}


def test_local_indexes_follow_a_restore(server):
    server.call("CreateTable", TableName="tab", BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("pk", "sk", "at")],
                KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
                LocalSecondaryIndexes=[{"IndexName": "by_at", "Projection": {"ProjectionType": "ALL"}, "KeySchema": [
                    {"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}]}])
    eventually(lambda: server.call("DescribeTable", TableName="tab")["Table"]["TableStatus"] == "ACTIVE", "ACTIVE")

    def put(sk, at):
        server.call("PutItem", TableName="tab", Item={"pk": {"S": "p"}, "sk": {"S": sk}, "at": {"S": at}})

    def by_at():
        return [item["sk"]["S"] for item in server.call(
            "Query", TableName="tab", IndexName="by_at", KeyConditionExpression="pk = :p",
            ExpressionAttributeValues={":p": {"S": "p"}})["Items"]]
    for sk, at in ("a3", "b2", "c1"):
        put(sk, at)
    done(server, "PUT", "snapshots/s")
    put("a", "0")
    put("d", "9")
    server.call("DeleteItem", TableName="tab", Key={"pk": {"S": "p"}, "sk": {"S": "b"}})
    assert by_at() == ["a", "c", "d"]
    done(server, "POST", "snapshots/s/restore")
    assert by_at() == ["c", "b", "a"]


def test_names_and_bounds_of_snapshots(server):
    server.create("tab")
    wrong = {"error": "a snapshot's name has 1 to 64 of a-z, A-Z, 0-9, '-', '_' and '.'"}
    for name in ("", "%20", "a~b", "x" * 65, "..%2F"):
        status, answer = ask(server, "PUT", f"snapshots/{name}")
        assert (status, answer) == (400, wrong)
    assert ask(server, "PUT", "snapshots/a/b")[0] == 404
    for method, path in (("POST", "snapshots/none/restore"), ("DELETE", "snapshots/none")):
        assert ask(server, method, path) == (404, {"error": "there is no snapshot of this name"})
    for n in range(16):
        done(server, "PUT", f"snapshots/s{n}")
    assert ask(server, "PUT", "snapshots/more") == (409, {"error": "there are 16 snapshots, the most there may be"})
    done(server, "PUT", "snapshots/s3")  # again
    done(server, "DELETE", "snapshots/s4")
    done(server, "PUT", "snapshots/more")
    names = [s["Name"] for s in done(server, "GET", "snapshots")["Snapshots"]]
    assert names == [f"s{n}" for n in range(16) if n not in (3, 4)] + ["s3", "more"]


def test_snapshots_are_bounded_in_memory(server):
    server.create("tab")
    for n in range(100):
        server.put("tab", f"k{n}", v="x" * 400_000)
    for n in range(6):
        done(server, "PUT", f"snapshots/s{n}")
    assert ask(server, "PUT", "snapshots/s6") == \
        (409, {"error": "all snapshots together would need more than 256 MiB"})
    assert len(done(server, "GET", "snapshots")["Snapshots"]) == 6
    done(server, "DELETE", "snapshots/s0")
    done(server, "PUT", "snapshots/s6")


def test_a_kill_in_the_middle_of_a_restore(start):
    server = start("--admin", "0", "--admin-testing", "--on-demand-partitions", "3")
    server.create("tab")
    old, new = "old" * 700, "new" * 700  # a restore of some time
    fill(server, "tab", 4000, old)
    done(server, "PUT", "snapshots/s")
    fill(server, "tab", 4000, new)
    for n in range(500):
        server.put("tab", f"more{n}", v=new)

    def restore():
        with contextlib.suppress(OSError, http.client.HTTPException):  # the kill; it may come behind the last write, too
            ask(server, "POST", "snapshots/s/restore")
    thread = threading.Thread(target=restore)
    records = server.metrics()["log_records_total"]
    thread.start()
    eventually(lambda: server.metrics()["log_records_total"] > records + 500, "nothing is restored")
    server.kill()
    thread.join()
    after = start("--admin", "0", "--admin-testing")
    found = after.scan("tab")
    assert {v["v"] for k, v in found.items() if k.startswith("k")} <= {old, new}
    assert sum(1 for k in found if k.startswith("k")) == 4000
    assert all(v == {"v": new} for k, v in found.items() if k.startswith("more"))
    assert done(after, "GET", "snapshots") == {"Snapshots": []}
    after.put("tab", "k1", v="goes on")


# ---- Errors ----


def test_the_nth_that_fits_meets_the_error(server):
    server.create("tab")
    server.create("other")
    done(server, "POST", "errors", {"Operation": "PutItem", "Table": "tab", "Nth": 3, "Times": 2,
                                    "Error": "ProvisionedThroughputExceededException"})

    def put(table="tab"):
        try:
            server.put(table, "a", v="1")
            return "ok"
        except Refused as refused:
            assert refused.status == 400 and refused.message.startswith("The level of configured provisioned")
            return refused.type
    assert put("other") == "ok" and server.get("tab", "a") is None
    exceeded = "ProvisionedThroughputExceededException"
    assert [put() for _ in range(6)] == ["ok", "ok", exceeded, exceeded, "ok", "ok"]
    (rule,) = done(server, "GET", "errors")["Errors"]
    assert rule == {"Id": 1, "Operation": "PutItem", "Table": "tab", "Error": exceeded, "Nth": 3, "Times": 2,
                    "DelayMs": 0, "Fitted": 6, "Injected": 2}


@pytest.mark.parametrize("name, status", [
    ("InternalServerError", 500), ("ServiceUnavailableException", 503), ("ThrottlingException", 400),
    ("ConditionalCheckFailedException", 400), ("ResourceNotFoundException", 400), ("AccessDeniedException", 400)])
def test_any_error_of_the_service(server, name, status):
    server.create("tab")
    done(server, "POST", "errors", {"Error": name, "Message": "as asked for"})
    with pytest.raises(Refused) as refused:
        server.get("tab", "a")
    assert (refused.value.status, refused.value.type, refused.value.message) == (status, name, "as asked for")
    assert server.get("tab", "a") is None


def test_throttles_come_with_a_reason(server):
    server.create("tab")
    for error, member, operation, reason in (
            ("ProvisionedThroughputExceededException", "ThrottlingReasons", "Scan", "TableReadProvisionedThroughputExceeded"),
            ("ThrottlingException", "throttlingReasons", "DeleteItem", "TableWriteKeyRangeThroughputExceeded")):
        done(server, "POST", "errors", {"Table": "tab", "Error": error})
        with pytest.raises(Refused) as refused:
            server.call(operation, TableName="tab", **({"Key": {"pk": {"S": "a"}}} if operation == "DeleteItem" else {}))
        assert refused.value.body[member] == [{"reason": reason, "resource": "arn:aws:dynamodb:us-east-1:000000000000:table/tab"}]
    done(server, "POST", "errors", {"Error": "ThrottlingException"})  # of no table: without
    with pytest.raises(Refused) as refused:
        server.get("tab", "a")
    assert refused.value.type == "ThrottlingException" and "throttlingReasons" not in refused.value.body


def test_a_cancelled_transaction_comes_with_reasons(server):
    server.create("tab")
    puts = [{"Put": {"TableName": "tab", "Item": {"pk": {"S": name}}}} for name in "abc"]
    gets = [{"Get": {"TableName": "tab", "Key": {"pk": {"S": name}}}} for name in "ab"]
    statements = [{"Statement": "INSERT INTO tab VALUE {'pk': 'd'}"}]
    for rule, operation, members, codes in (
            ({"Key": {"pk": {"S": "b"}}}, "TransactWriteItems", {"TransactItems": puts}, ["None", "TransactionConflict", "None"]),
            ({"Table": "tab"}, "TransactGetItems", {"TransactItems": gets}, ["TransactionConflict"] * 2),
            ({}, "ExecuteTransaction", {"TransactStatements": statements}, ["TransactionConflict"])):
        done(server, "POST", "errors", {**rule, "Error": "TransactionCanceledException"})
        with pytest.raises(Refused) as refused:
            server.call(operation, **members)
        assert [reason["Code"] for reason in refused.value.body["CancellationReasons"]] == codes
        assert refused.value.message == \
            f"Transaction cancelled, please refer cancellation reasons for specific reasons [{', '.join(codes)}]"
        assert server.call("Scan", TableName="tab")["Count"] == 0


THROTTLES = ("ProvisionedThroughputExceededException", "ThrottlingException")


def key_of(name):
    return {"pk": {"S": name}}


def refused_by(server, operation, **members):
    with pytest.raises(Refused) as refused:
        server.call(operation, **members)
    return refused.value


@pytest.mark.parametrize("error", [*THROTTLES, "TransactionConflictException"])
def test_writes_of_a_batch_stay_unprocessed(server, error):
    server.create("tab")
    server.create("other")
    server.put("tab", "b", v="1")
    batch = {"tab": [{"PutRequest": {"Item": {**key_of("a"), "v": {"S": "2"}}}}, {"DeleteRequest": {"Key": key_of("b")}},
                     {"PutRequest": {"Item": key_of("c")}}], "other": [{"PutRequest": {"Item": key_of("a")}}]}
    done(server, "POST", "errors", {"Operation": "BatchWriteItem", "Table": "tab", "Key": key_of("b"), "Error": error})
    got = server.call("BatchWriteItem", RequestItems=batch, ReturnConsumedCapacity="TOTAL")
    assert got["UnprocessedItems"] == {"tab": [batch["tab"][1]]}
    assert {one["TableName"]: one["CapacityUnits"] for one in got["ConsumedCapacity"]} == {"tab": 2, "other": 1}
    assert set(server.scan("tab")) == {"a", "b", "c"} and set(server.scan("other")) == {"a"}
    assert server.call("BatchWriteItem", RequestItems=got["UnprocessedItems"]) == {"UnprocessedItems": {}}
    assert set(server.scan("tab")) == {"a", "c"}
    done(server, "POST", "errors", {"Operation": "BatchWriteItem", "Table": "tab", "Error": error})
    got = server.call("BatchWriteItem", RequestItems={"tab": batch["tab"][:1], "other": [{"DeleteRequest": {"Key": key_of("a")}}]})
    assert got["UnprocessedItems"] == {"tab": batch["tab"][:1]} and server.scan("other") == {}


@pytest.mark.parametrize("error", THROTTLES)
def test_a_batch_that_is_throttled_whole_fails(server, error):
    server.create("tab")
    for operation, reason, items in (
            ("BatchWriteItem", "Write", [{"PutRequest": {"Item": key_of(name)}} for name in "ab"]),
            ("BatchGetItem", "Read", {"Keys": [key_of("a"), key_of("b")]})):
        done(server, "POST", "errors", {"Table": "tab", "Error": error, "Message": "too much"})
        refused = refused_by(server, operation, RequestItems={"tab": items})
        assert (refused.type, refused.message) == (error, "too much")
        assert next(value for name, value in refused.body.items() if name.lower() == "throttlingreasons")[0]["reason"].startswith(f"Table{reason}")
    assert server.scan("tab") == {}
    done(server, "POST", "errors", {"Operation": "BatchWriteItem", "Error": "TransactionConflictException"})
    batch = {"tab": [{"PutRequest": {"Item": key_of("a")}}]}  # the service fails no batch for conflicts
    assert server.call("BatchWriteItem", RequestItems=batch) == {"UnprocessedItems": batch}


@pytest.mark.parametrize("error", THROTTLES)
def test_keys_of_a_batch_stay_unprocessed(server, error):
    server.create("tab")
    for name in "abc":
        server.put("tab", name, v=name)
    done(server, "POST", "errors", {"Key": key_of("b"), "Error": error})
    got = server.call("BatchGetItem", RequestItems={"tab": {"Keys": [key_of(name) for name in "abc"], "ConsistentRead": True}})
    assert [item["pk"]["S"] for item in got["Responses"]["tab"]] == ["a", "c"]
    assert got["UnprocessedKeys"] == {"tab": {"Keys": [key_of("b")], "ConsistentRead": True}}
    assert len(server.call("BatchGetItem", RequestItems=got["UnprocessedKeys"])["Responses"]["tab"]) == 1


@pytest.mark.parametrize("error, code, text", [
    ("TransactionConflictException", "TransactionConflict", "Transaction is ongoing for the item"),
    ("ConditionalCheckFailedException", "ConditionalCheckFailed", "The conditional request failed"),
    ("ProvisionedThroughputExceededException", "ProvisionedThroughputExceeded", "The level of configured provisioned throughput for the table was "
     "exceeded. Consider increasing your provisioning level with the UpdateTable API."),
    ("ThrottlingException", "ThrottlingError", "as asked for"),
    ("ItemCollectionSizeLimitExceededException", "ItemCollectionSizeLimitExceeded", "Collection size exceeded.")])
def test_an_error_of_one_action_cancels_a_transaction(server, error, code, text):
    server.create("tab")
    writes = [{"Put": {"TableName": "tab", "Item": key_of("a")}}, {"Delete": {"TableName": "tab", "Key": key_of("b")}}]
    gets = [{"Get": {"TableName": "tab", "Key": key_of(name)}} for name in "ab"]
    inserts = [{"Statement": f"INSERT INTO tab VALUE {{'pk': '{name}'}}"} for name in "ab"]
    selects = [{"Statement": f"SELECT * FROM tab WHERE pk = '{name}'"} for name in "ab"]
    for operation, members in (("TransactWriteItems", {"TransactItems": writes}), ("TransactGetItems", {"TransactItems": gets}),
                               ("ExecuteTransaction", {"TransactStatements": inserts}), ("ExecuteTransaction", {"TransactStatements": selects})):
        rule = {"Table": "tab", "Key": key_of("b"), "Error": error, **({"Message": text} if text == "as asked for" else {})}
        done(server, "POST", "errors", rule)
        refused = refused_by(server, operation, **members)
        assert refused.type == "TransactionCanceledException"
        assert refused.body["CancellationReasons"] == [{"Code": "None"}, {"Code": code, "Message": text}]
        assert refused.message.endswith(f"specific reasons [None, {code}]")
        assert server.scan("tab") == {}
    for operation, members in (("TransactWriteItems", {"TransactItems": writes}), ("ExecuteTransaction", {"TransactStatements": inserts})):
        server.call(operation, **members)
        server.call("DeleteItem", TableName="tab", Key=key_of("a"))
        server.call("DeleteItem", TableName="tab", Key=key_of("b"))


def test_errors_of_statements(server):
    server.create("tab")
    server.create("other")

    def statements(*texts):
        return [{"Statement": text} for text in texts]
    inserts = statements("INSERT INTO tab VALUE {'pk': 'a'}", "INSERT INTO tab VALUE {'pk': 'b'}", "nonsense", "INSERT INTO other VALUE {'pk': 'b'}")
    for error, code in (("ConditionalCheckFailedException", "ConditionalCheckFailed"), ("TransactionConflictException", "TransactionConflict"),
                        ("ProvisionedThroughputExceededException", "ProvisionedThroughputExceeded"), ("ThrottlingException", "ThrottlingError"),
                        ("DuplicateItemException", "DuplicateItem")):
        done(server, "POST", "errors", {"Table": "tab", "Key": key_of("b"), "Error": error, "Message": "hit"})
        got = server.call("BatchExecuteStatement", Statements=inserts)["Responses"]
        assert [one.get("Error", {}).get("Code") for one in got] == [None, code, "ValidationError", None]
        assert got[1] == {"TableName": "tab", "Error": {"Code": code, "Message": "hit"}}
        assert set(server.scan("tab")) == {"a"} and set(server.scan("other")) == {"b"}
        for table, name in (("tab", "a"), ("other", "b")):
            server.call("DeleteItem", TableName=table, Key=key_of(name))
    done(server, "POST", "errors", {"Operation": "BatchExecuteStatement", "Error": "ThrottlingException"})
    selects = statements(*(f"SELECT * FROM tab WHERE pk = '{name}'" for name in "ab"))
    assert [one["Error"]["Code"] for one in server.call("BatchExecuteStatement", Statements=selects)["Responses"]] == ["ThrottlingError"] * 2
    done(server, "POST", "errors", {"Table": "tab", "Error": "InternalServerError"})
    assert refused_by(server, "BatchExecuteStatement", Statements=selects).status == 500
    rule = {"Table": "tab", "Key": key_of("b"), "Error": "ConditionalCheckFailedException"}
    done(server, "POST", "errors", rule)
    for text, hit in (("INSERT INTO tab VALUE {'pk': 'a'}", False), ("INSERT INTO other VALUE {'pk': 'b'}", False),
                      ("SELECT * FROM tab WHERE pk = 'b'", False), ("INSERT INTO tab VALUE {'pk': 'b'}", True)):
        if hit:
            assert refused_by(server, "ExecuteStatement", Statement=text).type == "ConditionalCheckFailedException"
        else:
            server.call("ExecuteStatement", Statement=text)
    done(server, "POST", "errors", {"Table": "tab", "Error": "ThrottlingException"})
    server.call("ExecuteStatement", Statement="SELECT * FROM other")
    assert refused_by(server, "ExecuteStatement", Statement='SELECT * FROM "tab"').type == "ThrottlingException"
    assert {rule["Injected"] for rule in done(server, "GET", "errors")["Errors"]} == {1}


def test_keys_in_every_kind_of_request(server):
    server.create("tab", "pk:S sk:N")
    server.create("other", "pk:S sk:N")
    hit, miss = {"pk": {"S": "a"}, "sk": {"N": "1.0"}}, {"pk": {"S": "a"}, "sk": {"N": "2"}}
    done(server, "POST", "errors", {"Table": "tab", "Key": {"pk": {"S": "a"}, "sk": {"N": "1"}}, "Times": 1000,
                                    "Error": "InternalServerError"})

    def meets(operation, **members):
        try:
            server.call(operation, **members)
            return False
        except Refused as refused:
            assert refused.type == "InternalServerError", refused.message
            return True
    arn = "arn:aws:dynamodb:us-east-1:000000000000:table/tab"
    for table, fits in (("tab", True), (arn, True), ("other", False)):
        for key in (hit, miss):
            expected = fits and key is hit
            assert meets("PutItem", TableName=table, Item={**key, "v": {"S": "x"}}) == expected
            assert meets("GetItem", Key=key, TableName=table) == expected
            assert meets("UpdateItem", TableName=table, Key=key) == expected
            assert meets("DeleteItem", TableName=table, Key=key) == expected
            assert meets("BatchGetItem", RequestItems={table: {"Keys": [miss, key][key is miss:]}}) == expected
            assert meets("BatchWriteItem", RequestItems={table: [{"PutRequest": {"Item": key}}]}) == expected
            assert meets("BatchWriteItem", RequestItems={table: [{"DeleteRequest": {"Key": key}}]}) == expected
        assert not meets("Scan", TableName=table)
    assert not meets("DescribeTable", TableName="tab")


def test_delays(server):
    server.create("tab")
    done(server, "POST", "errors", {"Operation": "GetItem", "DelayMs": 120})
    done(server, "POST", "errors", {"Operation": "GetItem", "Nth": 2, "DelayMs": 60, "Error": "ThrottlingException"})
    began = time.monotonic()
    server.get("tab", "a")
    assert time.monotonic() - began >= 0.12
    began = time.monotonic()
    with pytest.raises(Refused):
        server.get("tab", "a")
    assert time.monotonic() - began >= 0.06
    server.get("tab", "a")


def test_errors_are_taken_back(server):
    server.create("tab")
    ids = [done(server, "POST", "errors", {"Error": "InternalServerError", "Times": 9})["Id"] for _ in range(3)]
    done(server, "DELETE", f"errors/{ids[1]}")
    assert [rule["Id"] for rule in done(server, "GET", "errors")["Errors"]] == [ids[0], ids[2]]
    for wrong in (ids[1], "x", "", "99999999999999999999", "1.5"):
        assert ask(server, "DELETE", f"errors/{wrong}") == (404, {"error": "there is none of this Id"})
    done(server, "DELETE", "errors")
    assert done(server, "GET", "errors") == {"Errors": []}
    assert server.get("tab", "a") is None


def test_errors_are_bounded(server):
    for _ in range(64):
        done(server, "POST", "errors", {"Operation": "ListTables", "Error": "InternalServerError"})
    assert ask(server, "POST", "errors", {"Error": "InternalServerError"}) == \
        (409, {"error": "there are 64 that wait for their requests"})
    with pytest.raises(Refused):
        server.call("ListTables")  # all have counted it: they have had their turn
    done(server, "POST", "errors", {"Operation": "PutItem", "Error": "InternalServerError"})
    assert len(done(server, "GET", "errors")["Errors"]) == 64


@pytest.mark.parametrize("body, error", [
    ("", "give an Error, a DelayMs, or both"), ("{", "the body is not a JSON object"),
    ("[]", "the body is not a JSON object"), ("{} {}", "the body is not a JSON object"),
    ({"Error": "NoSuchError"}, "Error"), ({"Error": 5}, "Error"), ({"Operation": "Nothing"}, "Operation"),
    ({"Nth": 0}, "Nth"), ({"Nth": -1}, "Nth"), ({"Nth": 1.5}, "Nth"), ({"Nth": 10 ** 30}, "Nth"), ({"Nth": "1"}, "Nth"),
    ({"Times": 0}, "Times"), ({"DelayMs": 60001}, "DelayMs"), ({"Table": ""}, "Table"), ({"Table": "x" * 2000}, "Table"),
    ({"Key": {}}, "Key"), ({"Key": {"a": "b"}}, "Key"), ({"Key": {"a": {"S": "x" * 10000}}}, "Key"), ({"Key": 1}, "Key"),
    ({"Key": {"a": {"N": "x"}}}, "Key"), ({"key": {}}, "key"), ({"x" * 100: {"deep": [[[1]]]}}, "x" * 64),
    ('{"Error": "InternalServerError", "Key": ' + "[" * 200 + "]" * 200 + "}", "the body is not a JSON object"),
], ids=str)
def test_wrong_rules(server, body, error):
    if " " not in error:
        error += ": there is no such member, or not with such a value"
    assert ask(server, "POST", "errors", body) == (400, {"error": error})
    assert done(server, "GET", "errors") == {"Errors": []}


# ---- How late indexes are ----

BY_V = {"IndexName": "by_v", "Projection": {"ProjectionType": "ALL"}, "KeySchema": [{"AttributeName": "v", "KeyType": "HASH"}]}
HOUR_MS = 3600000


def create_indexed(server, table="tab", **more):
    """A table with a global index by `v`, and a local one by `at`."""
    server.call("CreateTable", TableName=table, BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("pk", "sk", "v", "at")],
                KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
                GlobalSecondaryIndexes=[BY_V],
                LocalSecondaryIndexes=[{"IndexName": "by_at", "Projection": {"ProjectionType": "ALL"}, "KeySchema": [
                    {"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}]}], **more)
    eventually(lambda: server.call("DescribeTable", TableName=table)["Table"]["TableStatus"] == "ACTIVE", "ACTIVE")


def put_indexed(server, pk, v="1", at="1", table="tab", **more):
    server.call("PutItem", TableName=table, Item={"pk": {"S": pk}, "sk": {"S": "s"}, "v": {"S": v}, "at": {"S": at}, **more})


def in_index(server, index="by_v", table="tab"):
    """The keys of the rows of an index, with what it sorts by."""
    found = server.call("Scan", TableName=table, IndexName=index)
    assert "LastEvaluatedKey" not in found
    return {item["pk"]["S"]: item["v" if index == "by_v" else "at"]["S"] for item in found["Items"]}


def test_index_delay(server):
    create_indexed(server)
    assert done(server, "GET", "index-delay") == {"DelayMs": 0}
    put_indexed(server, "a")
    eventually(lambda: in_index(server) == {"a": "1"}, "a comes at once")
    assert done(server, "PUT", "index-delay", {"DelayMs": HOUR_MS}) == {"DelayMs": HOUR_MS}
    put_indexed(server, "a", v="2")
    for n in range(50):
        put_indexed(server, f"b{n}")
        assert in_index(server) == {"a": "1"}
    assert server.metrics()["index_pumps_active"] == 1
    done(server, "PUT", "index-delay", {"DelayMs": 0})
    eventually(lambda: in_index(server) == {"a": "2", **{f"b{n}": "1" for n in range(50)}}, "those that waited come")


def test_index_delay_goes_by_the_clock(server):
    create_indexed(server)
    done(server, "PUT", "index-delay", {"DelayMs": HOUR_MS})
    put_indexed(server, "a")
    done(server, "PUT", "clock", {"AdvanceSeconds": 3000})
    put_indexed(server, "b")
    assert in_index(server) == {}
    done(server, "PUT", "clock", {"AdvanceSeconds": 601})
    eventually(lambda: in_index(server) == {"a": "1"}, "a is an hour old")
    done(server, "DELETE", "clock")  # how old b is nobody can tell
    eventually(lambda: in_index(server) == {"a": "1", "b": "1"}, "b is of the future")
    put_indexed(server, "c")
    eventually(lambda: in_index(server) == {"a": "1", "b": "1", "c": "1"}, "until the clock is where it was")


def test_index_delay_is_taken_back(start):
    server = start("--in-memory", "--admin", "0", "--admin-testing", "--index-delay", "1234")
    assert done(server, "GET", "index-delay") == {"DelayMs": 1234}
    done(server, "PUT", "index-delay", {"DelayMs": 1})
    assert done(server, "DELETE", "index-delay") == {"DelayMs": 1234}
    assert ask(server, "PUT", "index-delay", {}) == (400, {"error": "give a DelayMs"})
    for wrong in ({"DelayMs": -1}, {"DelayMs": "1"}, {"DelayMs": 1.5}, {"DelayMs": HOUR_MS + 1}, {"DelayMs": 1, "x": 1}, "[]"):
        assert ask(server, "PUT", "index-delay", wrong)[0] == 400
    assert ask(server, "POST", "index-delay")[0] == 405
    assert done(server, "GET", "index-delay") == {"DelayMs": 1234}


# ---- The clock ----


def test_clock(server):
    first = done(server, "GET", "clock")
    assert abs(first["Now"] - time.time()) < 60 and first["Offset"] == 0
    moved = done(server, "PUT", "clock", {"AdvanceSeconds": 86400})
    assert 86399 < moved["Offset"] <= 86400.001 and moved["Now"] >= first["Now"] + 86400
    server.create("tab")
    created = server.call("DescribeTable", TableName="tab")["Table"]["CreationDateTime"]
    assert moved["Now"] - 0.001 <= created <= done(server, "GET", "clock")["Now"]
    assert 2_000_000_000 <= done(server, "PUT", "clock", {"Now": 2_000_000_000})["Now"] < 2_000_000_100
    assert 1 <= done(server, "PUT", "clock", {"Now": 1})["Now"] < 100  # signatures go by the machine's
    assert server.get("tab", "a") is None
    assert done(server, "DELETE", "clock")["Offset"] == 0
    for body in ({}, {"Now": 1, "AdvanceSeconds": 1}):
        assert ask(server, "PUT", "clock", body) == (400, {"error": "give either Now or AdvanceSeconds"})
    assert ask(server, "PUT", "clock", {"AdvanceSeconds": 253402300799}) == \
        (400, {"error": "the clock goes until the second 9223372036"})
    for body in ({"Now": -1}, {"Now": "1"}, {"Now": 10 ** 40}, {"Now": 1.5}):
        assert ask(server, "PUT", "clock", body)[0] == 400


def test_decreases_of_a_day_go_by_the_clock(server):
    server.call("CreateTable", TableName="tab", ProvisionedThroughput={"ReadCapacityUnits": 90, "WriteCapacityUnits": 90},
                AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
                KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}])

    def decrease(units):
        eventually(lambda: server.call("DescribeTable", TableName="tab")["Table"]["TableStatus"] == "ACTIVE", "ACTIVE")
        server.call("UpdateTable", TableName="tab",
                    ProvisionedThroughput={"ReadCapacityUnits": units, "WriteCapacityUnits": units})
    done(server, "PUT", "clock", {"Now": 86400 * 20000})
    for units in (80, 70, 60, 50):
        decrease(units)
    with pytest.raises(Refused, match="LimitExceededException"):
        decrease(40)
    done(server, "PUT", "clock", {"AdvanceSeconds": 3601})
    decrease(40)


# ---- Whatever is sent ----


def test_other_methods_and_paths(server):
    for method, path, status in (
            ("GET", "reset", 405), ("PUT", "reset", 405), ("POST", "snapshots", 405), ("GET", "snapshots/a", 405),
            ("PUT", "snapshots/a/restore", 405), ("PUT", "errors", 405), ("GET", "errors/1", 405), ("POST", "clock", 405),
            ("GET", "", 404), ("GET", "nothing", 404), ("POST", "reset/more", 404), ("OPTIONS", "reset", 405)):
        assert ask(server, method, path)[0] == status, (method, path)
    assert ask(server, "POST", "reset", {"Tables": ["a"]})[0] == 400
    assert ask(server, "PUT", "snapshots/a", {"x": 1})[0] == 400
    assert done(server, "GET", "snapshots") == {"Snapshots": []}


def test_examples_of_the_manual(server):
    text = (ROOT / "docs" / "operations.md").read_text()
    examples = re.findall(r"<!-- example: testing -->\n```sh\n(.*?)```", text, re.DOTALL)
    assert len(examples) >= 4
    server.create("Orders", "Id:S")
    for example in examples:
        script = example.replace("http://127.0.0.1:9100", server.admin_url)
        for command in re.split(r"\n(?=curl)", script.strip()):
            result = subprocess.run(["bash", "-euc", command], capture_output=True, text=True, timeout=30, check=False)
            assert result.returncode == 0, result.stderr
            assert "error" not in json.loads(result.stdout), (command, result.stdout)
