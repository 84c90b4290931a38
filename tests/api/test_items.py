"""PutItem, GetItem, UpdateItem, DeleteItem."""

import base64

import pytest

from conftest import key

ALL_TYPES = {
    "S": {"S": "text \u00e4\U0001f600 \"quoted\" \\ \n\u0001"}, "empty": {"S": ""}, "N": {"N": "-12.5"}, "B": {"B": "AAEC/w=="},
    "no bytes": {"B": ""}, "T": {"BOOL": True}, "F": {"BOOL": False}, "NULL": {"NULL": True}, "L": {"L": [{"S": "a"}, {"N": "1"}, {"L": []}]},
    "M": {"M": {"a": {"S": "b"}, "deeper": {"M": {"x": {"NULL": True}}}}},
}
SETS = {"SS": {"SS": ["a", "b"]}, "NS": {"NS": ["1", "2.5"]}, "BS": {"BS": ["AA==", "AQ=="]}}


def put(server, table, item, **more):
    return server.call("PutItem", TableName=table, Item=item, **more)


def get(server, table, item_key, **more):
    return server.call("GetItem", TableName=table, Key=item_key, ConsistentRead=True, **more)


# ---- PutItem and GetItem ----

def test_every_type_comes_back(server, table):
    item = {**key("a"), **ALL_TYPES}
    assert put(server, table, {**item, **SETS}) == {}
    got = get(server, table, key("a"))["Item"]
    for name, value in SETS.items():
        assert sorted(got.pop(name)[name]) == sorted(value[name])
    assert got == item


@pytest.mark.parametrize("given,shown", [
    ("1.0", "1"), ("-0", "0"), ("1e3", "1000"), ("00012.500", "12.5"), ("1E-5", "0.00001"), ("+5", "5"),
    ("99999999999999999999999999999999999999", "99999999999999999999999999999999999999"), (".5", "0.5"),
    ("1e-130", "0." + "0" * 129 + "1"), ("9.9999999999999999999999999999999999999E+125", "9" * 38 + "0" * 88)])
def test_numbers_are_canonical(server, table, given, shown):
    put(server, table, {**key("n"), "n": {"N": given}})
    assert get(server, table, key("n"))["Item"]["n"]["N"] == shown


def test_an_item_that_is_not_there(server, table):
    assert get(server, table, key("absent")) == {}


def test_put_replaces_the_whole_item(server, table):
    put(server, table, {**key("r"), "a": {"S": "1"}, "b": {"S": "2"}})
    put(server, table, {**key("r"), "c": {"S": "3"}})
    assert get(server, table, key("r"))["Item"] == {**key("r"), "c": {"S": "3"}}


def test_put_returns_the_old_item(server, table):
    old = {**key("o"), "v": {"N": "1"}}
    assert put(server, table, old, ReturnValues="ALL_OLD") == {}
    assert put(server, table, {**key("o"), "v": {"N": "2"}}, ReturnValues="ALL_OLD") == {"Attributes": old}
    assert put(server, table, old, ReturnValues="NONE") == {}


@pytest.mark.parametrize("keys,values", [
    ("pk:S sk:N", [{"S": "p"}, {"N": "1.5"}]), ("pk:N sk:B", [{"N": "-3"}, {"B": "AAE="}]), ("pk:B sk:S", [{"B": "/w=="}, {"S": "s"}])])
def test_keys_of_every_type(server, make_table, keys, values):
    table = make_table(keys)
    item = {"pk": values[0], "sk": values[1], "v": {"S": "x"}}
    put(server, table, item)
    assert get(server, table, {"pk": values[0], "sk": values[1]})["Item"] == item


@pytest.mark.parametrize("byte", [b"\x00", b"\xff"])
def test_keys_of_maximum_length(server, make_table, byte):
    table = make_table("pk:B sk:B")
    item_key = {"pk": {"B": base64.b64encode(byte * 2048).decode()}, "sk": {"B": base64.b64encode(byte * 1024).decode()}}
    put(server, table, {**item_key, "v": {"N": "1"}})
    assert get(server, table, item_key)["Item"] == {**item_key, "v": {"N": "1"}}


def test_projection(server, table):
    put(server, table, {**key("p"), "a": {"M": {"b": {"L": [{"N": "1"}, {"N": "2"}]}, "c": {"S": "x"}}}, "d": {"S": "y"}})
    got = get(server, table, key("p"), ProjectionExpression="#a.b[1], d", ExpressionAttributeNames={"#a": "a"})
    assert got["Item"] == {"a": {"M": {"b": {"L": [{"N": "2"}]}}}, "d": {"S": "y"}}
    assert get(server, table, key("p"), ProjectionExpression="absent")["Item"] == {}


@pytest.mark.parametrize("size,eventual,strong", [(10, 0.5, 1.0), (4096, 0.5, 1.0), (4097, 1.0, 2.0), (100000, 12.5, 25.0)])
def test_read_capacity(server, table, size, eventual, strong):
    filler = size - len("pk") - len("c") - len("f")
    put(server, table, {**key("c"), "f": {"S": "x" * filler}})
    for consistent, units in ((False, eventual), (True, strong)):
        got = server.call("GetItem", TableName=table, Key=key("c"), ConsistentRead=consistent, ReturnConsumedCapacity="TOTAL")
        assert got["ConsumedCapacity"] == {"TableName": table, "CapacityUnits": units}


def test_capacity_of_what_is_not_there(server, table):
    got = server.call("GetItem", TableName=table, Key=key("none"), ReturnConsumedCapacity="INDEXES")
    assert got == {"ConsumedCapacity": {"TableName": table, "CapacityUnits": 0.5, "Table": {"CapacityUnits": 0.5}}}


@pytest.mark.parametrize("size,units", [(10, 1.0), (1024, 1.0), (1025, 2.0), (10240, 10.0)])
def test_write_capacity(server, table, size, units):
    filler = size - len("pk") - len("w") - len("f")
    got = put(server, table, {**key("w"), "f": {"S": "x" * filler}}, ReturnConsumedCapacity="TOTAL")
    assert got == {"ConsumedCapacity": {"TableName": table, "CapacityUnits": units}}
    got = put(server, table, key("w"), ReturnConsumedCapacity="TOTAL")
    assert got["ConsumedCapacity"]["CapacityUnits"] == units  # the larger of both images
    got = server.call("DeleteItem", TableName=table, Key=key("w"), ReturnConsumedCapacity="NONE")
    assert got == {}


@pytest.mark.parametrize("expression", ["REMOVE a", "REMOVE a, #b", "DELETE a :s", "REMOVE #b DELETE a :s"])
def test_an_update_that_only_takes_away_makes_no_item(server, table, expression):
    extra = {"ExpressionAttributeNames": {"#b": "b"}} if "#b" in expression else {}
    values = {":s": {"SS": ["x"]}} if ":s" in expression else None
    assert "Attributes" not in update(server, table, key("none"), expression, values, ReturnValues="ALL_NEW", **extra)
    assert get(server, table, key("none")) == {}


def test_metrics_of_collections_are_accepted(server, table):
    assert put(server, table, key("m"), ReturnItemCollectionMetrics="SIZE") == {}


def test_largest_item(server, table):
    limit = 400 * 1024
    filler = limit - len("pk") - len("l") - len("f")
    put(server, table, {**key("l"), "f": {"S": "x" * filler}})
    assert len(get(server, table, key("l"))["Item"]["f"]["S"]) == filler
    assert server.error("PutItem", TableName=table, Item={**key("l"), "f": {"S": "x" * (filler + 1)}}) == (
        "ValidationException", "Item size has exceeded the maximum allowed size")


def test_items_that_are_stored_longer_than_they_count(server, table):
    """What is acknowledged reaches the tree, however little the service counts for it; what never could is refused."""
    for i in range(15):  # more than may wait for the tree
        put(server, table, {**key("n"), "l": {"L": [{"N": "1E-130"}] * 130000}, "i": {"N": str(i)}})
    assert get(server, table, key("n"), ProjectionExpression="i, l[129999]")["Item"] == {
        "i": {"N": "14"}, "l": {"L": [{"N": "0." + "0" * 129 + "1"}]}}
    sets = {"L": [{"SS": [""]}] * 70000}
    put(server, table, {**key("s"), "l": sets})
    too_large = ("ValidationException", "Item size has exceeded the maximum allowed size")
    item = {**key("s"), "l": sets, "m": sets}
    assert server.error("PutItem", TableName=table, Item=item) == too_large
    assert server.error("BatchWriteItem", RequestItems={table: [{"PutRequest": {"Item": item}}]}) == too_large
    assert server.error("UpdateItem", TableName=table, Key=key("s"), UpdateExpression="SET m = list_append(l, l)") == (
        "ValidationException", "Item size to update has exceeded the maximum allowed size")
    update(server, table, key("s"), "REMOVE l")
    assert get(server, table, key("s"))["Item"] == key("s")


def test_unknown_members_are_ignored(server, table):
    assert put(server, table, key("u"), NoSuchMember={"a": [1]}) == {}


def test_a_table_by_its_arn(server, table):
    arn = f"arn:aws:dynamodb:us-east-1:000000000000:table/{table}"
    put(server, arn, {**key("arn"), "v": {"S": "x"}})
    got = server.call("GetItem", TableName=arn, Key=key("arn"), ReturnConsumedCapacity="TOTAL")
    assert got["Item"] == {**key("arn"), "v": {"S": "x"}}
    assert got["ConsumedCapacity"]["TableName"] == arn
    other = f"arn:aws:dynamodb:us-east-1:111111111111:table/{table}"
    assert server.error("GetItem", TableName=other, Key=key("arn"))[0] == "AccessDeniedException"


# ---- Conditions ----

def test_conditions(server, table):
    put(server, table, {**key("k"), "v": {"N": "1"}}, ConditionExpression="attribute_not_exists(pk)")
    failed = ("ConditionalCheckFailedException", "The conditional request failed")
    assert server.error("PutItem", TableName=table, Item=key("k"), ConditionExpression="attribute_not_exists(pk)") == failed
    put(server, table, {**key("k"), "v": {"N": "2"}}, ConditionExpression="v = :one", ExpressionAttributeValues={":one": {"N": "1.0"}})
    assert server.error("DeleteItem", TableName=table, Key=key("k"), ConditionExpression="v = :one",
                        ExpressionAttributeValues={":one": {"N": "1"}}) == failed
    assert get(server, table, key("k"))["Item"]["v"] == {"N": "2"}


def test_a_failed_condition_shows_the_item_when_asked(server, table):
    item = {**key("f"), "v": {"N": "1"}}
    put(server, table, item)
    for operation, member in (("PutItem", "Item"), ("UpdateItem", "Key"), ("DeleteItem", "Key")):
        body = {"TableName": table, member: key("f"), "ConditionExpression": "attribute_not_exists(pk)"}
        answer = server.signed(operation, {**body, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"})
        assert answer.json == {"__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
                               "message": "The conditional request failed", "Item": item}
        assert "Item" not in server.signed(operation, body).json


# ---- UpdateItem ----

def update(server, table, item_key, expression, values=None, **more):
    if values:
        more["ExpressionAttributeValues"] = values
    return server.call("UpdateItem", TableName=table, Key=item_key, UpdateExpression=expression, **more)


def test_update_makes_and_changes_items(server, table):
    update(server, table, key("u"), "SET a = :a, b = if_not_exists(b, :b) ADD n :n", {":a": {"S": "x"}, ":b": {"N": "5"}, ":n": {"N": "2"}})
    assert get(server, table, key("u"))["Item"] == {**key("u"), "a": {"S": "x"}, "b": {"N": "5"}, "n": {"N": "2"}}
    update(server, table, key("u"), "SET b = b + :n REMOVE a ADD n :n", {":n": {"N": "0.5"}})
    assert get(server, table, key("u"))["Item"] == {**key("u"), "b": {"N": "5.5"}, "n": {"N": "2.5"}}


def test_update_without_expression_makes_the_item(server, table):
    assert server.call("UpdateItem", TableName=table, Key=key("bare")) == {}
    assert get(server, table, key("bare"))["Item"] == key("bare")


@pytest.mark.parametrize("asked,expected", [
    ("NONE", None), ("ALL_OLD", {"pk": {"S": "v"}, "a": {"N": "1"}, "b": {"S": "x"}}), ("UPDATED_OLD", {"a": {"N": "1"}}),
    ("ALL_NEW", {"pk": {"S": "v"}, "a": {"N": "2"}, "b": {"S": "x"}}), ("UPDATED_NEW", {"a": {"N": "2"}})])
def test_update_returns_values(server, table, asked, expected):
    put(server, table, {**key("v"), "a": {"N": "1"}, "b": {"S": "x"}})
    got = update(server, table, key("v"), "SET a = a + :one", {":one": {"N": "1"}}, ReturnValues=asked)
    assert got == ({} if expected is None else {"Attributes": expected})


def test_update_of_an_absent_item_has_no_old_values(server, table):
    for asked in ("ALL_OLD", "UPDATED_OLD"):
        assert update(server, table, key(asked), "SET a = :a", {":a": {"N": "1"}}, ReturnValues=asked) == {}


def test_update_capacity(server, table):
    put(server, table, {**key("big"), "f": {"S": "x" * 3000}})
    got = update(server, table, key("big"), "SET g = :g", {":g": {"N": "1"}}, ReturnConsumedCapacity="TOTAL")
    assert got["ConsumedCapacity"]["CapacityUnits"] == 3.0
    got = update(server, table, key("big"), "REMOVE f", ReturnConsumedCapacity="INDEXES")
    assert got["ConsumedCapacity"] == {"TableName": table, "CapacityUnits": 3.0, "Table": {"CapacityUnits": 3.0}}


@pytest.mark.parametrize("expression,values,message", [
    ("SET pk = :v", {":v": {"S": "x"}}, "One or more parameter values were invalid: Cannot update attribute pk. This attribute is part of the key"),
    ("SET x = y", None, "The provided expression refers to an attribute that does not exist in the item"),
    ("SET a.b = :v", {":v": {"S": "x"}}, "The document path provided in the update expression is invalid for update"),
    ("SET s = s + :v", {":v": {"N": "1"}}, "An operand in the update expression has an incorrect data type"),
    ("ADD s :v", {":v": {"N": "1"}}, "An operand in the update expression has an incorrect data type")])
def test_update_errors(server, table, expression, values, message):
    put(server, table, {**key("e"), "s": {"S": "text"}})
    members = {"TableName": table, "Key": key("e"), "UpdateExpression": expression}
    if values:
        members["ExpressionAttributeValues"] = values
    assert server.error("UpdateItem", members) == ("ValidationException", message)
    assert get(server, table, key("e"))["Item"] == {**key("e"), "s": {"S": "text"}}


def test_an_update_that_doubles_lists_outgrows_the_limit(server, table):
    put(server, table, {**key("d"), "l": {"L": [{"N": "1"}] * 60000}})
    for expression in ("SET " + ", ".join(f"a{i} = list_append(l, l)" for i in range(100)), "SET a = list_append(l, l)"):
        assert server.error("UpdateItem", TableName=table, Key=key("d"), UpdateExpression=expression) == (
            "ValidationException", "Item size to update has exceeded the maximum allowed size")


def test_an_update_that_outgrows_the_limit(server, table):
    put(server, table, {**key("g"), "f": {"S": "x" * 300000}})
    assert server.error("UpdateItem", TableName=table, Key=key("g"), UpdateExpression="SET h = :h",
                        ExpressionAttributeValues={":h": {"S": "x" * 120000}}) == (
        "ValidationException", "Item size to update has exceeded the maximum allowed size")


# ---- DeleteItem ----

def test_delete(server, table):
    item = {**key("d"), "v": {"S": "x"}}
    put(server, table, item)
    assert server.call("DeleteItem", TableName=table, Key=key("d"), ReturnValues="ALL_OLD") == {"Attributes": item}
    assert get(server, table, key("d")) == {}
    assert server.call("DeleteItem", TableName=table, Key=key("d"), ReturnValues="ALL_OLD") == {}
    got = server.call("DeleteItem", TableName=table, Key=key("d"), ReturnConsumedCapacity="TOTAL")
    assert got["ConsumedCapacity"]["CapacityUnits"] == 1.0


# ---- Keys that do not fit ----

@pytest.mark.parametrize("item_key", [{}, {"pk": {"N": "1"}}, {"other": {"S": "x"}}, {"pk": {"S": "x"}, "sk": {"N": "1"}}, {"pk": {"L": []}}])
def test_keys_that_do_not_match_the_schema(server, table, item_key):
    message = ("ValidationException", "The provided key element does not match the schema")
    for operation in ("GetItem", "DeleteItem", "UpdateItem"):
        assert server.error(operation, TableName=table, Key=item_key) == message


@pytest.mark.parametrize("item,message", [
    ({}, "One or more parameter values were invalid: Missing the key pk in the item"),
    ({"pk": {"N": "1"}}, "One or more parameter values were invalid: Type mismatch for key pk expected: S actual: N"),
    ({"pk": {"S": ""}}, "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: pk"),
    ({"pk": {"S": "x" * 2049}}, "One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit of2048 bytes")])
def test_items_without_a_valid_key(server, table, item, message):
    assert server.error("PutItem", TableName=table, Item=item) == ("ValidationException", message)


def test_a_sort_key_that_is_too_long(server, make_table):
    table = make_table("pk:S sk:S")
    assert server.error("PutItem", TableName=table, Item={"pk": {"S": "a"}, "sk": {"S": "x" * 1025}}) == (
        "ValidationException", "One or more parameter values were invalid: Aggregated size of all range keys has exceeded the size limit of 1024 bytes")


@pytest.mark.parametrize("operation,member", [("GetItem", "Key"), ("PutItem", "Item"), ("UpdateItem", "Key"), ("DeleteItem", "Key")])
def test_a_table_that_is_not_there(server, operation, member):
    assert server.error(operation, {"TableName": "no-such-table", member: key("a")}) == (
        "ResourceNotFoundException", "Requested resource not found")


def test_boto3_puts_and_gets(boto, table):
    boto.put_item(TableName=table, Item={**key("boto"), "b": {"B": b"\x00\xff"}})
    assert boto.get_item(TableName=table, Key=key("boto"))["Item"] == {**key("boto"), "b": {"B": b"\x00\xff"}}
    with pytest.raises(boto.exceptions.ConditionalCheckFailedException):
        boto.put_item(TableName=table, Item=key("boto"), ConditionExpression="attribute_not_exists(pk)")
