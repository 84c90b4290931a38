"""BatchGetItem and BatchWriteItem."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import key

VALIDATION = "ValidationException"


def put(item):
    return {"PutRequest": {"Item": item}}


def delete(item_key):
    return {"DeleteRequest": {"Key": item_key}}


def test_write_and_get_over_two_tables(server, table, sorted_table):
    got = server.call("BatchWriteItem", RequestItems={table: [put({**key("a"), "v": {"S": "1"}}), put(key("b"))],
                                                      sorted_table: [put(key("a", 1)), put(key("a", 2))]})
    assert got == {"UnprocessedItems": {}}
    got = server.call("BatchGetItem", RequestItems={table: {"Keys": [key("a"), key("b"), key("absent")], "ConsistentRead": True},
                                                    sorted_table: {"Keys": [key("a", 2)]}})
    assert got["UnprocessedKeys"] == {}
    assert sorted(map(str, got["Responses"][table])) == sorted(map(str, [{**key("a"), "v": {"S": "1"}}, key("b")]))
    assert got["Responses"][sorted_table] == [key("a", 2)]
    server.call("BatchWriteItem", RequestItems={table: [delete(key("a")), delete(key("absent"))], sorted_table: [delete(key("a", 1))]})
    got = server.call("BatchGetItem", RequestItems={table: {"Keys": [key("a"), key("b")]}, sorted_table: {"Keys": [key("a", 1)]}})
    assert got["Responses"] == {table: [key("b")], sorted_table: []}


def test_projection_is_by_table(server, table, sorted_table):
    server.call("BatchWriteItem", RequestItems={table: [put({**key("a"), "v": {"S": "1"}, "w": {"S": "2"}})], sorted_table: [put(key("a", 1))]})
    got = server.call("BatchGetItem", RequestItems={
        table: {"Keys": [key("a")], "ProjectionExpression": "#v", "ExpressionAttributeNames": {"#v": "v"}}, sorted_table: {"Keys": [key("a", 1)]}})
    assert got["Responses"] == {table: [{"v": {"S": "1"}}], sorted_table: [key("a", 1)]}


def test_capacity_is_rounded_by_item(server, table, sorted_table):
    got = server.call("BatchWriteItem", ReturnConsumedCapacity="TOTAL", RequestItems={
        table: [put({**key(str(n)), "f": {"S": "x" * 1500}}) for n in range(3)], sorted_table: [put(key("a", 1))]})
    assert got["ConsumedCapacity"] == [{"TableName": table, "CapacityUnits": 6.0}, {"TableName": sorted_table, "CapacityUnits": 1.0}]
    got = server.call("BatchGetItem", ReturnConsumedCapacity="INDEXES", RequestItems={
        table: {"Keys": [key(str(n)) for n in range(4)], "ConsistentRead": True}, sorted_table: {"Keys": [key("a", 1)]}})
    assert got["ConsumedCapacity"] == [{"TableName": table, "CapacityUnits": 4.0, "Table": {"CapacityUnits": 4.0}},
                                       {"TableName": sorted_table, "CapacityUnits": 0.5, "Table": {"CapacityUnits": 0.5}}]


def test_limits_are_reached(server, table):
    server.call("BatchWriteItem", RequestItems={table: [put(key(str(n))) for n in range(25)]})
    got = server.call("BatchGetItem", RequestItems={table: {"Keys": [key(str(n)) for n in range(100)]}})
    assert len(got["Responses"][table]) == 25


def test_answers_end_at_sixteen_megabytes(server, table):
    for n in range(60):
        server.call("PutItem", TableName=table, Item={**key(str(n)), "f": {"S": "x" * (300 * 1024 - 10)}})
    request = {table: {"Keys": [key(str(n)) for n in range(60)], "ConsistentRead": True, "ProjectionExpression": "pk, #f",
                       "ExpressionAttributeNames": {"#f": "f"}}}
    seen = []
    for _ in range(5):
        got = server.call("BatchGetItem", RequestItems=request)
        seen += [item["pk"]["S"] for item in got["Responses"].get(table, [])]
        request = got["UnprocessedKeys"]
        if not request:
            break
        assert request[table]["ConsistentRead"] is True
        assert request[table]["ProjectionExpression"] == "pk, #f"
        assert request[table]["ExpressionAttributeNames"] == {"#f": "f"}
        assert len(request[table]["Keys"]) == 8 and len(seen) == 52  # the API Reference's own example
    assert sorted(seen, key=int) == [str(n) for n in range(60)]


def test_nothing_is_written_when_one_is_wrong(server, table):
    assert server.error("BatchWriteItem", RequestItems={table: [put(key("good")), put({"other": {"S": "x"}})]})[0] == VALIDATION
    assert server.call("GetItem", TableName=table, Key=key("good")) == {}


DUPLICATES = "Provided list of item keys contains duplicates"


def test_duplicates(server, table):
    assert server.error("BatchGetItem", RequestItems={table: {"Keys": [key("a"), key("a")]}}) == (VALIDATION, DUPLICATES)
    assert server.error("BatchWriteItem", RequestItems={table: [put(key("a")), delete(key("a"))]}) == (VALIDATION, DUPLICATES)
    arn = f"arn:aws:dynamodb:us-east-1:000000000000:table/{table}"
    assert server.error("BatchGetItem", RequestItems={table: {"Keys": [key("a")]}, arn: {"Keys": [key("a")]}}) == (VALIDATION, DUPLICATES)


def test_errors_of_batch_get(server, table):
    many = [key(str(n)) for n in range(60)]
    assert server.error("BatchGetItem", RequestItems={}) == (VALIDATION, "The requestItems parameter is required for BatchGetItem")
    assert server.error("BatchGetItem", {}) == (
        VALIDATION, "1 validation error detected: Value null at 'requestItems' failed to satisfy constraint: Member must not be null")
    assert server.error("BatchGetItem", RequestItems={table: {"Keys": many}, "other-table": {"Keys": many}}) == (
        VALIDATION, "Too many items requested for the BatchGetItem call")
    name, text = server.error("BatchGetItem", RequestItems={table: {"Keys": many + many}})
    assert name == VALIDATION and text.endswith(
        f"at 'requestItems.{table}.member.keys' failed to satisfy constraint: Member must have length less than or equal to 100")
    assert server.error("BatchGetItem", RequestItems={"no-such-table": {"Keys": [key("a")]}}) == (
        "ResourceNotFoundException", "Requested resource not found")
    assert server.error("BatchGetItem", RequestItems={table: {"Keys": [{"pk": {"N": "1"}}]}}) == (
        VALIDATION, "The provided key element does not match the schema")
    assert server.error("BatchGetItem", RequestItems={table: {"Keys": [key("a")], "ProjectionExpression": "a, a"}}) == (VALIDATION, (
        "Invalid ProjectionExpression: Two document paths overlap with each other; must remove or rewrite one of these paths; "
        "path one: [a], path two: [a]"))


def test_errors_of_batch_write(server, table):
    many = [put(key(str(n))) for n in range(20)]
    assert server.error("BatchWriteItem", RequestItems={}) == (VALIDATION, "The requestItems parameter is required for BatchWriteItem")
    assert server.error("BatchWriteItem", RequestItems={table: many, "other-table": many}) == (
        VALIDATION, "Too many items requested for the BatchWriteItem call")
    name, text = server.error("BatchWriteItem", RequestItems={table: many + many})
    assert name == VALIDATION
    assert text.startswith(f"1 validation error detected: Value '{{{table}=[WriteRequest(putRequest=PutRequest(item={{pk=AttributeValue(s=0, ")
    assert text.endswith("' at 'requestItems' failed to satisfy constraint: Map value must satisfy constraint: "
                         "[Member must have length less than or equal to 25, Member must have length greater than or equal to 1]")
    assert server.error("BatchWriteItem", RequestItems={"no-such-table": [put(key("a"))]}) == (
        "ResourceNotFoundException", "Requested resource not found")
    for wrong in ({}, {**put(key("a")), **delete(key("b"))}):
        assert server.error("BatchWriteItem", RequestItems={table: [wrong]})[0] == VALIDATION


@pytest.mark.parametrize("item,message", [
    ({"pk": {"N": "5"}}, "The provided key element does not match the schema"),
    ({"pk": {"L": [{"S": "x"}]}}, "The provided key element does not match the schema"),
    ({"pk": {"S": ""}}, "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: pk")])
def test_keys_of_puts_in_a_batch(server, table, item, message):
    assert server.error("BatchWriteItem", RequestItems={table: [put(item)]}) == (VALIDATION, message)


def test_boto3_batch_writer(server, boto, table):
    import boto3
    from conftest import CREDENTIALS
    resource = boto3.resource("dynamodb", endpoint_url=server.url, region_name="us-east-1",
                              aws_access_key_id=CREDENTIALS.access_key, aws_secret_access_key=CREDENTIALS.secret_key)
    with resource.Table(table).batch_writer() as writer:
        for n in range(60):
            writer.put_item(Item={"pk": str(n), "n": n})
    assert boto.scan(TableName=table, Select="COUNT")["Count"] == 60


def test_many_large_answers_at_once(server, table):
    """More of them than are made at one time: each comes whole, and none waits for ever."""
    bodies = {str(i): "x" * (300000 + i) for i in range(6)}
    for name, body in bodies.items():
        server.call("PutItem", TableName=table, Item={**key(name), "v": {"S": body}})
    request = {table: {"Keys": [key(name) for name in bodies], "ConsistentRead": True}}

    def get(_):
        got = server.call("BatchGetItem", RequestItems=request)
        assert got["UnprocessedKeys"] == {}
        return {item["pk"]["S"]: item["v"]["S"] for item in got["Responses"][table]}
    with ThreadPoolExecutor(20) as pool:
        assert all(got == bodies for got in pool.map(get, range(40)))
