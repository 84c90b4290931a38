"""Errors that each operation documents and that take more than one request to provoke: docs/compatibility.md, Errors."""

import json
import threading
import time
import uuid

import pytest

from conftest import SECONDS_MAX, Server, definition, key, new_name

CONFLICT = ("TransactionConflictException", "Transaction is ongoing for the item")
MAXIMUM_TEXT = "Throughput exceeds the maximum OnDemandThroughput configured on table or index"
HUGE = "x" * 380_000
POLICY = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "000000000000"}, "Action": "dynamodb:GetItem",
                                                             "Resource": "*"}]})
CHANGES_MAX = 500


def arn(table):
    return f"arn:aws:dynamodb:us-east-1:000000000000:table/{table}"


def until_refused(server, operation, error, **members):
    """Ask until the answer is that error; every other one is a success."""
    deadline = time.monotonic() + SECONDS_MAX
    while time.monotonic() < deadline:
        answer = server.signed(operation, members)
        if answer.status != 200:
            assert answer.error[0] == error, answer.body
            return answer
    raise AssertionError(f"{operation} never met a {error}")


# ---- Transactions under way ----

@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """A server on whose item `shared` transactions run all the time: the disk's syncs make them long."""
    server = Server("--data", str(tmp_path_factory.mktemp("busy") / "data"), "--on-demand-partitions", "64")
    server.call("CreateTable", definition("busy"))
    server.wait_active("busy")
    stop = threading.Event()

    def work():
        while not stop.is_set():
            server.signed("TransactWriteItems", {"TransactItems": [
                {"Put": {"TableName": "busy", "Item": key(pk)}} for pk in ("shared", *"abcde")]})
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    yield server
    stop.set()
    for thread in threads:
        thread.join()
    server.stop()


@pytest.mark.parametrize("operation,members", [
    ("PutItem", {"TableName": "busy", "Item": key("shared")}),
    ("UpdateItem", {"TableName": "busy", "Key": key("shared")}),
    ("DeleteItem", {"TableName": "busy", "Key": key("shared")}),
    ("ExecuteStatement", {"Statement": "UPDATE busy SET v = 'x' WHERE pk = 'shared'"})])
def test_writes_meet_a_transaction(busy, operation, members):
    assert until_refused(busy, operation, CONFLICT[0], **members).error == CONFLICT


@pytest.mark.parametrize("operation,members", [
    ("TransactWriteItems", {"TransactItems": [{"Put": {"TableName": "busy", "Item": key("shared")}}]}),
    ("TransactGetItems", {"TransactItems": [{"Get": {"TableName": "busy", "Key": key("shared")}}]}),
    ("ExecuteTransaction", {"TransactStatements": [{"Statement": "UPDATE busy SET v = 'x' WHERE pk = 'shared'"}]})])
def test_transactions_meet_a_transaction(busy, operation, members):
    answer = until_refused(busy, operation, "TransactionCanceledException", **members)
    assert answer.json["CancellationReasons"] == [{"Code": "TransactionConflict", "Message": CONFLICT[1]}]


@pytest.mark.parametrize("operation", ["TransactWriteItems", "ExecuteTransaction"])
def test_a_token_whose_transaction_is_under_way(busy, operation):
    """Several clients send the same request at once: each hears of success, or that it is in progress."""
    progress, deadline = [], time.monotonic() + SECONDS_MAX
    while not progress and time.monotonic() < deadline:
        keys = [key(f"{operation}-{uuid.uuid4()}") for _ in range(4)]
        members = {"ClientRequestToken": str(uuid.uuid4())}
        if operation == "TransactWriteItems":
            members["TransactItems"] = [{"Put": {"TableName": "busy", "Item": k}} for k in keys]
        else:
            members["TransactStatements"] = [{"Statement": f"INSERT INTO busy VALUE {{'pk': '{k['pk']['S']}'}}"} for k in keys]

        def send():
            answer = busy.signed(operation, members)
            if answer.status != 200:
                progress.append(answer.error)
        threads = [threading.Thread(target=send) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert {error for error, _ in progress} == {"TransactionInProgressException"}


# ---- Throttling of on-demand tables ----

@pytest.mark.parametrize("operation,members", [
    ("PutItem", {"TableName": "{}", "Item": key("a")}),
    ("UpdateItem", {"TableName": "{}", "Key": key("a")}),
    ("DeleteItem", {"TableName": "{}", "Key": key("a")}),
    ("BatchWriteItem", {"RequestItems": {"{}": [{"DeleteRequest": {"Key": key("a")}}]}}),
    ("ExecuteStatement", {"Statement": "DELETE FROM \"{}\" WHERE pk = 'a'"}),
    ("GetItem", {"TableName": "{}", "Key": key("a")}),
    ("BatchGetItem", {"RequestItems": {"{}": {"Keys": [key("a")]}}}),
    ("Query", {"TableName": "{}", "KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": {"S": "a"}}}),
    ("Scan", {"TableName": "{}"}),
    ("ExecuteStatement", {"Statement": "SELECT * FROM \"{}\""})])
def test_maximums_of_each_operation(server, make_table, operation, members):
    table = make_table(OnDemandThroughput={"MaxReadRequestUnits": 1, "MaxWriteRequestUnits": 400})
    for _ in range(2):
        server.call("PutItem", TableName=table, Item={**key("huge"), "v": {"S": HUGE}})
    server.call("GetItem", TableName=table, Key=key("huge"))
    answer = server.signed(operation, json.dumps(members).replace("{}", table).encode())
    assert answer.error == ("ThrottlingException", MAXIMUM_TEXT)
    assert answer.json["throttlingReasons"][0]["resource"] == arn(table)


@pytest.mark.parametrize("statement", ["SELECT * FROM \"{}\" WHERE pk = 'a'", "DELETE FROM \"{}\" WHERE pk = 'a'"])
def test_a_batch_of_statements_that_are_throttled_is_answered(server, make_table, statement):
    table = make_table(OnDemandThroughput={"MaxReadRequestUnits": 1, "MaxWriteRequestUnits": 400})
    for _ in range(2):
        server.call("PutItem", TableName=table, Item={**key("huge"), "v": {"S": HUGE}})
    server.call("GetItem", TableName=table, Key=key("huge"))
    got = server.call("BatchExecuteStatement", Statements=[{"Statement": statement.format(table)}])["Responses"]
    assert [response["Error"] for response in got] == [{"Code": "ThrottlingError", "Message": MAXIMUM_TEXT}]


@pytest.mark.parametrize("more,code", [
    ({"OnDemandThroughput": {"MaxReadRequestUnits": 1, "MaxWriteRequestUnits": 400}}, "ThrottlingError"),
    ({"ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}}, "ProvisionedThroughputExceeded")])
def test_transactions_of_statements_are_throttled(server, make_table, more, code):
    table = make_table(**more)
    for _ in range(2):
        answer = server.signed("PutItem", {"TableName": table, "Item": {**key("huge"), "v": {"S": HUGE}}})
    for _ in range(10):
        answer = server.signed("ExecuteTransaction", {"TransactStatements": [{"Statement": f"SELECT * FROM \"{table}\" WHERE pk = 'huge'"}]})
        if answer.status != 200:
            break
    statements = [{"Statement": f"DELETE FROM \"{table}\" WHERE pk = 'a'"}]
    for refused in answer, server.signed("ExecuteTransaction", {"TransactStatements": statements}):
        assert refused.error[0] == "TransactionCanceledException"
        assert [reason["Code"] for reason in refused.json["CancellationReasons"]] == [code]


# ---- The control plane ----

def test_changes_at_one_time(tmp_path):
    """While 500 tables are being created nothing else is created, changed or deleted."""
    options = ("--data", str(tmp_path / "data"))
    server = Server(*options)
    try:
        server.call("CreateTable", definition("settled"))
        server.wait_active("settled")
    finally:
        server.stop()
    server = Server(*options, "--status-delay", "600000")
    try:
        for n in range(CHANGES_MAX):
            server.call("CreateTable", definition(f"table{n}"))
        text = "Subscriber limit exceeded: Only 500 tables can be created, updated, or deleted simultaneously"
        for operation, members in (
                ("CreateTable", definition("one-more")),
                ("UpdateTable", {"TableName": "settled", "TableClass": "STANDARD_INFREQUENT_ACCESS"}),
                ("UpdateTimeToLive", {"TableName": "settled", "TimeToLiveSpecification": {"Enabled": True, "AttributeName": "t"}}),
                ("DeleteTable", {"TableName": "settled"})):
            assert server.error(operation, members) == ("LimitExceededException", text)
        server.call("PutItem", TableName="settled", Item=key("a"))
    finally:
        server.stop()


def test_a_table_in_the_making_is_in_use():
    server = Server("--in-memory", "--status-delay", "600000")
    name = new_name()
    text = f"Attempt to change a resource which is still in use: Table is being created: {name}"
    try:
        server.call("CreateTable", definition(name))
        for operation, members in (
                ("PutResourcePolicy", {"ResourceArn": arn(name), "Policy": POLICY}), ("DeleteResourcePolicy", {"ResourceArn": arn(name)}),
                ("UpdateTimeToLive", {"TableName": name, "TimeToLiveSpecification": {"Enabled": True, "AttributeName": "t"}}),
                ("UpdateTable", {"TableName": name, "TableClass": "STANDARD"}), ("DeleteTable", {"TableName": name})):
            assert server.error(operation, members) == ("ResourceInUseException", text)
        assert server.error("CreateTable", definition(name)) == ("ResourceInUseException", text)
        server.call("TagResource", ResourceArn=arn(name), Tags=[{"Key": "a", "Value": "1"}])
        server.call("UntagResource", ResourceArn=arn(name), TagKeys=["a"])
    finally:
        server.stop()


@pytest.mark.parametrize("operation,members", [
    ("DescribeContinuousBackups", {}), ("DescribeTimeToLive", {}),
    ("UpdateContinuousBackups", {"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": False}})])
def test_a_table_is_named(server, operation, members):
    assert server.error(operation, members) == ("ValidationException", (
        "1 validation error detected: Value null at 'tableName' failed to satisfy constraint: Member must not be null"))


def test_a_list_of_streams_does_not_begin_behind_none(server):
    start = arn("no-such-table") + "/label/2026-01-01T00:00:00.000"
    answer = server.signed("ListStreams", {"ExclusiveStartStreamArn": start}, service="DynamoDBStreams_20120810")
    assert answer.error == ("ResourceNotFoundException", f"Requested resource not found: Stream: {start} not found")
