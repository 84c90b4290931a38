"""The parameters that expressions replaced: Expected, AttributeUpdates, KeyConditions, QueryFilter, ScanFilter, AttributesToGet,
ConditionalOperator."""

import boto3
import pytest
from boto3.dynamodb.types import Binary
from botocore.config import Config
from botocore.exceptions import ClientError

from conftest import CREDENTIALS, key

VALIDATION = "ValidationException"
INVALID = "One or more parameter values were invalid: "
MIXED = ("Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {AttributesToGet} "
         "Expression parameters: {ProjectionExpression}")
FAILED = ("ConditionalCheckFailedException", "The conditional request failed")


def item_of(server, table, item_key):
    return server.call("GetItem", TableName=table, Key=item_key, ConsistentRead=True).get("Item")


def refused(server, operation, **members):
    exception, text = server.error(operation, **members)
    assert exception == VALIDATION
    return text


@pytest.fixture(scope="session")
def resource(server):
    """boto3's resource with its own checks of parameters, as applications use it."""
    return boto3.resource("dynamodb", endpoint_url=server.url, region_name="us-east-1", aws_access_key_id=CREDENTIALS.access_key,
                          aws_secret_access_key=CREDENTIALS.secret_key, config=Config(retries={"total_max_attempts": 1}))


# ---- As applications use them ----

def test_boto3(server, resource, sorted_table):
    table = resource.Table(sorted_table)
    for i in range(5):
        table.put_item(Item={"pk": "a", "sk": i, "v": i * 10, "tags": {"x", f"t{i}"}}, Expected={"pk": {"Exists": False}})
    with pytest.raises(ClientError) as failed:
        table.put_item(Item={"pk": "a", "sk": 1}, Expected={"pk": {"Exists": False}})
    assert failed.value.response["Error"] == {"Code": FAILED[0], "Message": FAILED[1]}
    answer = table.update_item(Key={"pk": "a", "sk": 1}, ReturnValues="ALL_NEW", Expected={"v": {"Value": 10}}, AttributeUpdates={
        "v": {"Action": "ADD", "Value": 5}, "tags": {"Action": "DELETE", "Value": {"x"}}, "b": {"Value": Binary(b"\x00\x01")}})
    assert answer["Attributes"] == {"pk": "a", "sk": 1, "v": 15, "tags": {"t1"}, "b": Binary(b"\x00\x01")}
    page = table.query(KeyConditions={"pk": {"ComparisonOperator": "EQ", "AttributeValueList": ["a"]},
                                      "sk": {"ComparisonOperator": "GE", "AttributeValueList": [1]}},
                       QueryFilter={"tags": {"ComparisonOperator": "CONTAINS", "AttributeValueList": ["x"]}}, AttributesToGet=["v"])
    assert (page["Items"], page["Count"], page["ScannedCount"]) == ([{"v": 20}, {"v": 30}, {"v": 40}], 3, 4)
    scan = table.scan(ScanFilter={"v": {"ComparisonOperator": "BETWEEN", "AttributeValueList": [10, 20]}})
    assert sorted(item["v"] for item in scan["Items"]) == [15, 20]
    assert table.get_item(Key={"pk": "a", "sk": 2}, AttributesToGet=["sk", "v", "none"])["Item"] == {"sk": 2, "v": 20}
    got = resource.batch_get_item(RequestItems={sorted_table: {"Keys": [{"pk": "a", "sk": 3}], "AttributesToGet": ["v"]}})
    assert got["Responses"][sorted_table] == [{"v": 30}]
    assert table.delete_item(Key={"pk": "a", "sk": 1}, Expected={"v": {"ComparisonOperator": "LT", "AttributeValueList": [16]}},
                             ReturnValues="ALL_OLD")["Attributes"]["v"] == 15


# ---- Expected ----

@pytest.mark.parametrize("expected,holds", [
    ({"v": {"Value": {"N": "5"}}}, True), ({"v": {"Value": {"N": "5.0"}, "Exists": True}}, True), ({"v": {"Value": {"S": "5"}}}, False),
    ({"x": {"Exists": False}}, True), ({"v": {"Exists": False}}, False), ({"x": {"Value": {"N": "5"}}}, False),
    ({"pk": {"ComparisonOperator": "NOT_NULL"}}, True), ({"x": {"ComparisonOperator": "NULL", "AttributeValueList": []}}, True),
    ({"v": {"ComparisonOperator": "EQ", "Value": {"N": "5"}}}, True), ({"v": {"ComparisonOperator": "GT", "Value": {"N": "5"}}}, False),
    ({"s": {"ComparisonOperator": "EQ", "AttributeValueList": [{"SS": ["b", "a"]}]}}, True),
    ({"x": {"ComparisonOperator": "NE", "AttributeValueList": [{"N": "5"}]}}, True),
    ({"x": {"ComparisonOperator": "NOT_CONTAINS", "AttributeValueList": [{"N": "5"}]}}, False),
    ({"a.b": {"Value": {"S": "dot"}}}, True), ({"m.c": {"ComparisonOperator": "NOT_NULL"}}, False),
    ({"v": {"Value": {"N": "5"}}, "x": {"Value": {"N": "5"}}}, False), ({}, True)])
@pytest.mark.parametrize("operation", ["PutItem", "UpdateItem", "DeleteItem"])
def test_expected(server, table, operation, expected, holds):
    item = {**key("a"), "v": {"N": "5"}, "s": {"SS": ["a", "b"]}, "a.b": {"S": "dot"}, "m": {"M": {"c": {"N": "1"}}}}
    server.call("PutItem", TableName=table, Item=item)
    request = {"TableName": table, **({"Item": key("a")} if operation == "PutItem" else {"Key": key("a")}), "Expected": expected}
    if holds:
        server.call(operation, request)
    else:
        assert server.error(operation, request) == FAILED
        assert item_of(server, table, key("a")) == item


def test_expected_returns_the_item_on_failure(server, table):
    item = {**key("a"), "v": {"N": "5"}}
    server.call("PutItem", TableName=table, Item=item)
    answer = server.signed("DeleteItem", {"TableName": table, "Key": key("a"), "Expected": {"v": {"Value": {"N": "6"}}},
                                          "ReturnValuesOnConditionCheckFailure": "ALL_OLD"})
    assert answer.error == FAILED and answer.json["Item"] == item


@pytest.mark.parametrize("operator,holds", [("OR", True), ("AND", False)])
@pytest.mark.parametrize("operation", ["PutItem", "UpdateItem", "DeleteItem"])
def test_conditional_operator_of_writes(server, table, operation, operator, holds):
    server.call("PutItem", TableName=table, Item={**key("a"), "v": {"N": "5"}})
    request = {"TableName": table, **({"Item": key("a")} if operation == "PutItem" else {"Key": key("a")}), "ConditionalOperator": operator,
               "Expected": {"v": {"Value": {"N": "6"}}, "x": {"Exists": False}}}
    if holds:
        server.call(operation, request)
    else:
        assert server.error(operation, request) == FAILED


@pytest.mark.parametrize("expected,message", [
    ({"Exists": True}, "Value must be provided when Exists is true for Attribute: v"),
    ({}, "Value must be provided when Exists is null for Attribute: v"),
    ({"Exists": False, "Value": {"N": "1"}}, "Value cannot be used when Exists is false for Attribute: v"),
    ({"Exists": True, "ComparisonOperator": "EQ", "AttributeValueList": [{"N": "1"}]},
     "Exists and ComparisonOperator cannot be used together for Attribute: v"),
    ({"AttributeValueList": [{"N": "1"}]}, "AttributeValueList can only be used with a ComparisonOperator for Attribute: v"),
    ({"Exists": True, "AttributeValueList": [{"N": "1"}]}, "AttributeValueList can only be used with a ComparisonOperator for Attribute: v"),
    ({"Value": {"N": "1"}, "ComparisonOperator": "EQ", "AttributeValueList": [{"N": "1"}]},
     "Value and AttributeValueList cannot be used together for Attribute: v"),
    ({"ComparisonOperator": "EQ"}, "Value or AttributeValueList must be used with ComparisonOperator: EQ for Attribute: v"),
    ({"ComparisonOperator": "NULL", "AttributeValueList": [{"N": "1"}]}, "Invalid number of argument(s) for the NULL ComparisonOperator"),
    ({"ComparisonOperator": "BETWEEN", "AttributeValueList": [{"N": "1"}]}, "Invalid number of argument(s) for the BETWEEN ComparisonOperator"),
    ({"ComparisonOperator": "BEGINS_WITH", "AttributeValueList": [{"N": "1"}]},
     "ComparisonOperator BEGINS_WITH is not valid for N AttributeValue type")])
def test_expected_that_is_refused(server, table, expected, message):
    for operation, member in (("PutItem", "Item"), ("UpdateItem", "Key"), ("DeleteItem", "Key")):
        assert refused(server, operation, TableName=table, **{member: key("a")}, Expected={"v": expected}) == INVALID + message
    assert item_of(server, table, key("a")) is None


def test_constraints_of_conditions(server, table):
    assert refused(server, "PutItem", TableName=table, Item=key("a"), ConditionalOperator="NOT",
                   Expected={"v": {"ComparisonOperator": "LIKE"}}) == (
        "2 validation errors detected: Value 'LIKE' at 'expected.v.member.comparisonOperator' failed to satisfy constraint: Member must satisfy "
        "enum value set: [IN, NULL, BETWEEN, LT, NOT_CONTAINS, EQ, GT, NOT_NULL, NE, LE, BEGINS_WITH, GE, CONTAINS]; "
        "Value 'NOT' at 'conditionalOperator' failed to satisfy constraint: Member must satisfy enum value set: [OR, AND]")
    assert refused(server, "Scan", TableName=table, ScanFilter={"v": {}}).startswith(
        "1 validation error detected: Value null at 'scanFilter.v.member.comparisonOperator' failed to satisfy constraint: ")
    assert refused(server, "PutItem", TableName=table, Item=key("a"), Expected={"v": {"Value": {"SS": []}}}) == (
        INVALID + "An string set  may not be empty")


@pytest.mark.parametrize("operation,members,conditions", [
    ("PutItem", {"Item": key("a")}, "Expected"), ("UpdateItem", {"Key": key("a")}, "Expected"), ("DeleteItem", {"Key": key("a")}, "Expected"),
    ("Query", {"KeyConditions": {"pk": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "a"}]}}}, "QueryFilter"),
    ("Scan", {}, "ScanFilter")])
def test_conditional_operator_that_is_refused(server, table, operation, members, conditions):
    request = {"TableName": table, **members, "ConditionalOperator": "OR"}
    assert refused(server, operation, **request) == "ConditionalOperator cannot be used without Filter or Expected"
    for given in ({}, {"v": {"ComparisonOperator": "NULL"}}):
        assert refused(server, operation, **request, **{conditions: given}) == (
            "ConditionalOperator can only be used when Filter or Expected has two or more elements")


# ---- AttributeUpdates ----

def update(server, table, changes, **more):
    return server.call("UpdateItem", TableName=table, Key=key("a"), AttributeUpdates=changes, **more)


def test_attribute_updates(server, table):
    old = {**key("a"), "n": {"N": "5"}, "s": {"NS": ["1", "2"]}, "l": {"L": [{"S": "x"}]}, "gone": {"S": "y"}, "same": {"BOOL": True}}
    server.call("PutItem", TableName=table, Item=old)
    changes = {"n": {"Action": "ADD", "Value": {"N": "-1.5"}}, "new.n": {"Action": "ADD", "Value": {"N": "3"}},
               "s": {"Action": "DELETE", "Value": {"NS": ["2", "7"]}}, "new s": {"Action": "ADD", "Value": {"SS": ["q"]}},
               "l": {"Action": "ADD", "Value": {"L": [{"NULL": True}]}}, "gone": {"Action": "DELETE"}, "never": {"Action": "DELETE"},
               "put": {"Value": {"M": {"a": {"N": "1"}}}}, "put too": {"Action": "PUT", "Value": {"B": "AAE="}}}
    assert update(server, table, changes) == {}
    assert item_of(server, table, key("a")) == {
        **key("a"), "n": {"N": "3.5"}, "new.n": {"N": "3"}, "s": {"NS": ["1"]}, "new s": {"SS": ["q"]}, "l": {"L": [{"S": "x"}, {"NULL": True}]},
        "same": {"BOOL": True}, "put": {"M": {"a": {"N": "1"}}}, "put too": {"B": "AAE="}}


def test_attribute_updates_make_items(server, table):
    update(server, table, {"a": {"Action": "DELETE"}, "b": {"Action": "DELETE", "Value": {"SS": ["x"]}}}, ReturnValues="ALL_NEW")
    assert item_of(server, table, key("a")) is None
    update(server, table, {"a": {"Action": "DELETE"}, "b": {"Value": {"N": "1"}}})
    assert item_of(server, table, key("a")) == {**key("a"), "b": {"N": "1"}}
    server.call("DeleteItem", TableName=table, Key=key("a"))
    update(server, table, {})
    assert item_of(server, table, key("a")) == key("a")


def test_deleting_a_whole_set_deletes_the_attribute(server, table):
    server.call("PutItem", TableName=table, Item={**key("a"), "s": {"SS": ["x", "y"]}})
    update(server, table, {"s": {"Action": "DELETE", "Value": {"SS": ["x", "y", "z"]}}})
    assert item_of(server, table, key("a")) == key("a")


def test_what_attribute_updates_return(server, table):
    server.call("PutItem", TableName=table, Item={**key("a"), "n": {"N": "5"}, "m": {"M": {"x": {"N": "1"}}}, "o": {"S": "o"}})
    changes = {"n": {"Action": "ADD", "Value": {"N": "1"}}, "m": {"Action": "DELETE"}, "new": {"Value": {"S": "v"}}}
    assert update(server, table, changes, ReturnValues="UPDATED_OLD")["Attributes"] == {"n": {"N": "5"}, "m": {"M": {"x": {"N": "1"}}}}
    assert update(server, table, changes, ReturnValues="UPDATED_NEW")["Attributes"] == {"n": {"N": "7"}, "new": {"S": "v"}}
    assert update(server, table, {"o": {"Action": "DELETE"}}, ReturnValues="UPDATED_NEW") == {}
    assert update(server, table, changes, ReturnValues="ALL_OLD")["Attributes"] == {**key("a"), "n": {"N": "7"}, "new": {"S": "v"}}
    assert update(server, table, changes, ReturnValues="ALL_NEW")["Attributes"] == {**key("a"), "n": {"N": "9"}, "new": {"S": "v"}}


@pytest.mark.parametrize("change,message", [
    ({}, INVALID + "Only DELETE action is allowed when no attribute value is specified"),
    ({"Action": "PUT"}, INVALID + "Only DELETE action is allowed when no attribute value is specified"),
    ({"Action": "ADD"}, INVALID + "Only DELETE action is allowed when no attribute value is specified"),
    ({"Action": "ADD", "Value": {"S": "a"}}, INVALID + "ADD action is not supported for the type S"),
    ({"Action": "ADD", "Value": {"M": {}}}, INVALID + "ADD action is not supported for the type M"),
    ({"Action": "DELETE", "Value": {"N": "1"}}, INVALID + "DELETE action with value is not supported for the type N"),
    ({"Action": "ADD", "Value": {"N": "1"}}, "Type mismatch for attribute to update"),
    ({"Action": "ADD", "Value": {"L": []}}, "Type mismatch for attribute to update"),
    ({"Action": "DELETE", "Value": {"NS": ["1"]}}, "Type mismatch for attribute to update"),
    ({"Value": {"N": "1e126"}}, "Number overflow. Attempting to store a number with magnitude larger than supported range"),
    ({"Action": "SET", "Value": {"N": "1"}},
     "1 validation error detected: Value 'SET' at 'attributeUpdates.v.member.action' failed to satisfy constraint: Member must satisfy enum value "
     "set: [ADD, PUT, DELETE]")])
def test_attribute_updates_that_are_refused(server, table, change, message):
    item = {**key("a"), "v": {"S": "text"}}
    server.call("PutItem", TableName=table, Item=item)
    changes = {"u": {"Value": {"N": "1"}}, "v": change}
    assert refused(server, "UpdateItem", TableName=table, Key=key("a"), AttributeUpdates=changes) == message
    assert item_of(server, table, key("a")) == item


@pytest.mark.parametrize("name", ["pk", "sk"])
@pytest.mark.parametrize("change", [{"Value": {"S": "b"}}, {"Action": "DELETE"}, {"Action": "ADD", "Value": {"N": "1"}}])
def test_keys_are_not_updated(server, sorted_table, name, change):
    assert refused(server, "UpdateItem", TableName=sorted_table, Key=key("a", 1), AttributeUpdates={name: change}) == (
        INVALID + f"Cannot update attribute {name}. This attribute is part of the key")


def test_names_of_updated_attributes(server, table):
    for name, message in (("", "Empty attribute name"), ("\u20ac" * 30000, "Attribute name has exceeded the maximum size limit of 65535 bytes")):
        assert refused(server, "UpdateItem", TableName=table, Key=key("a"), AttributeUpdates={name: {"Value": {"N": "1"}}}) == INVALID + message


def test_more_than_are_taken(server, table):
    many = {f"a{i}": {"Value": {"N": "1"}} for i in range(1025)}
    assert refused(server, "UpdateItem", TableName=table, Key=key("a"), AttributeUpdates=many) == (
        INVALID + "AttributeUpdates has more than 1024 elements")
    assert refused(server, "PutItem", TableName=table, Item=key("a"), Expected=many) == INVALID + "Expected has more than 1024 elements"
    assert refused(server, "GetItem", TableName=table, Key=key("a"), AttributesToGet=list(many)) == (
        INVALID + "AttributesToGet has more than 1024 elements")
    del many["a0"]
    update(server, table, many)
    assert len(item_of(server, table, key("a"))) == 1025
    server.call("PutItem", TableName=table, Item=key("a"), Expected=many)


# ---- KeyConditions, QueryFilter, ScanFilter ----

@pytest.fixture
def filled(server, sorted_table):
    for i in range(6):
        server.call("PutItem", TableName=sorted_table, Item={**key("a", i), "v": {"N": str(i % 3)}, **({"odd": {"BOOL": True}} if i % 2 else {})})
    return sorted_table


def condition(operator, *values):
    return {"ComparisonOperator": operator, "AttributeValueList": list(values)} if values else {"ComparisonOperator": operator}


PK = {"pk": condition("EQ", {"S": "a"})}


def numbers(*values):
    return [{"N": str(value)} for value in values]


def sort_keys(page):
    return [int(item["sk"]["N"]) for item in page["Items"]]


@pytest.mark.parametrize("operator,values,found", [
    ("EQ", (2,), [2]), ("LT", (2,), [0, 1]), ("LE", (2,), [0, 1, 2]), ("GT", (3,), [4, 5]), ("GE", (3,), [3, 4, 5]), ("BETWEEN", (1, 3), [1, 2, 3])])
def test_key_conditions(server, filled, operator, values, found):
    assert sort_keys(server.call("Query", TableName=filled, KeyConditions={**PK, "sk": condition(operator, *numbers(*values))})) == found
    assert sort_keys(server.call("Query", TableName=filled, KeyConditions={"sk": condition(operator, *numbers(*values)), **PK},
                                 ScanIndexForward=False)) == found[::-1]


def test_key_conditions_on_text(server, make_table):
    table = make_table("pk:S sk:S")
    for text in ("ab", "abc", "b"):
        server.call("PutItem", TableName=table, Item={"pk": {"S": "a"}, "sk": {"S": text}})
    page = server.call("Query", TableName=table, KeyConditions={**PK, "sk": condition("BEGINS_WITH", {"S": "ab"})})
    assert [item["sk"]["S"] for item in page["Items"]] == ["ab", "abc"]


@pytest.mark.parametrize("conditions,message", [
    ({}, "Conditions can be of length 1 or 2 only"),
    ({**PK, "sk": condition("EQ", {"N": "1"}), "v": condition("EQ", {"N": "1"})}, "Conditions can be of length 1 or 2 only"),
    ({"sk": condition("EQ", {"N": "1"})}, "Query condition missed key schema element: pk"),
    ({**PK, "v": condition("EQ", {"N": "1"})}, "Query condition missed key schema element: sk"),
    ({"pk": condition("GE", {"S": "a"})}, "Query key condition not supported"),
    ({"pk": condition("EQ", {"N": "1"})}, INVALID + "Condition parameter type does not match schema type"),
    ({**PK, "sk": condition("EQ", {"S": "1"})}, INVALID + "Condition parameter type does not match schema type"),
    ({**PK, "sk": condition("NE", {"N": "1"})}, "Attempted conditional constraint is not an indexable operation"),
    ({**PK, "sk": condition("IN", {"N": "1"})}, "Attempted conditional constraint is not an indexable operation"),
    ({**PK, "sk": condition("NOT_NULL")}, "Attempted conditional constraint is not an indexable operation"),
    ({**PK, "sk": condition("EQ")}, INVALID + "Invalid number of argument(s) for the EQ ComparisonOperator"),
    ({**PK, "sk": condition("BEGINS_WITH", {"N": "1"})}, INVALID + "ComparisonOperator BEGINS_WITH is not valid for N AttributeValue type"),
    ({**PK, "sk": condition("BETWEEN", {"N": "2"}, {"N": "1"})},
     "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound")])
def test_key_conditions_that_are_refused(server, sorted_table, conditions, message):
    assert refused(server, "Query", TableName=sorted_table, KeyConditions=conditions) == message


def test_query_filter(server, filled):
    page = server.call("Query", TableName=filled, KeyConditions=PK, QueryFilter={"v": condition("EQ", {"N": "1"}), "odd": condition("NOT_NULL")})
    assert (sort_keys(page), page["ScannedCount"]) == ([1], 6)
    assert server.call("Query", TableName=filled, KeyConditions=PK, QueryFilter={})["Count"] == 6
    for name in ("pk", "sk"):
        assert refused(server, "Query", TableName=filled, KeyConditions=PK, QueryFilter={name: condition("NOT_NULL")}) == (
            f"QueryFilter can only contain non-primary key attributes: Primary key attribute: {name}")


@pytest.mark.parametrize("operator,found", [("OR", [1, 3, 4, 5]), ("AND", [1])])
def test_conditional_operator_of_reads(server, filled, operator, found):
    conditions = {"v": condition("EQ", {"N": "1"}), "odd": condition("NOT_NULL")}
    assert sort_keys(server.call("Query", TableName=filled, KeyConditions=PK, QueryFilter=conditions, ConditionalOperator=operator)) == found
    assert sort_keys(server.call("Scan", TableName=filled, ScanFilter=conditions, ConditionalOperator=operator)) == found


def test_scan_filter(server, filled):
    page = server.call("Scan", TableName=filled, ScanFilter={"v": condition("IN", *numbers(0, 2)), "sk": condition("GE", {"N": "3"})})
    assert (sort_keys(page), page["Count"], page["ScannedCount"]) == ([3, 5], 2, 6)
    assert sort_keys(server.call("Scan", TableName=filled, ScanFilter={"odd": condition("NE", {"BOOL": True})})) == [0, 2, 4]
    assert refused(server, "Scan", TableName=filled, ScanFilter={"v": condition("CONTAINS", {"SS": ["a"]})}) == (
        INVALID + "ComparisonOperator CONTAINS is not valid for SS AttributeValue type")
    assert refused(server, "Scan", TableName=filled, ScanFilter={"v": condition("IN", {"N": "1"}, {"S": "1"})}) == (
        INVALID + "AttributeValues inside AttributeValueList must all be of the same type")


# ---- AttributesToGet ----

def test_attributes_to_get(server, filled):
    server.call("PutItem", TableName=filled, Item={**key("d", 1), "a.b": {"N": "1"}, "a": {"M": {"b": {"N": "2"}}}, "c": {"N": "3"}})
    wanted = {"TableName": filled, "AttributesToGet": ["a.b", "c", "none"]}
    assert server.call("GetItem", wanted | {"Key": key("d", 1)})["Item"] == {"a.b": {"N": "1"}, "c": {"N": "3"}}
    assert server.call("GetItem", TableName=filled, Key=key("d", 1), AttributesToGet=["none"])["Item"] == {}
    assert server.call("Query", wanted | {"KeyConditions": {"pk": condition("EQ", {"S": "d"})}, "Select": "SPECIFIC_ATTRIBUTES"})["Items"] == [
        {"a.b": {"N": "1"}, "c": {"N": "3"}}]
    assert {"a.b": {"N": "1"}, "c": {"N": "3"}} in server.call("Scan", wanted)["Items"]


def test_attributes_to_get_of_batches(server, table):
    item = {**key("big"), "v": {"S": "x" * 399_000}, "a.b": {"N": "1"}}
    keys = [key(f"k{i}") for i in range(60)]
    for item_key in keys:
        server.call("PutItem", TableName=table, Item={**item, **item_key})
    answer = server.call("BatchGetItem", RequestItems={table: {"Keys": keys, "AttributesToGet": ["pk", "a.b"]}})
    assert answer["Responses"][table][0] == {**keys[0], "a.b": {"N": "1"}}
    rest = answer["UnprocessedKeys"][table]
    assert rest["AttributesToGet"] == ["pk", "a.b"]
    assert len(answer["Responses"][table]) + len(rest["Keys"]) == 60
    assert refused(server, "BatchGetItem", RequestItems={table: {"Keys": keys[:1], "AttributesToGet": ["a", "a"]}}) == (
        INVALID + "Duplicate value in attribute name: a")
    assert refused(server, "BatchGetItem", RequestItems={table: {"Keys": keys[:1], "AttributesToGet": ["a"], "ProjectionExpression": "a"}}) == MIXED


def test_two_ways_to_project_in_one_batch(server, table):
    """The whole request is of one way: no table in it is of the other."""
    keys = {"Keys": [key("a")]}
    for one, other in (({"AttributesToGet": ["a"]}, {"ProjectionExpression": "a"}), ({"ProjectionExpression": "a"}, {"AttributesToGet": ["a"]})):
        assert refused(server, "BatchGetItem", RequestItems={table: {**keys, **one}, "no-such-table": {**keys, **other}}) == MIXED
    assert refused(server, "BatchGetItem", RequestItems={
        table: {**keys, "AttributesToGet": ["a"]}, "no-such-table": {**keys, "ExpressionAttributeNames": {"#a": "a"}}}) == (
        "ExpressionAttributeNames can only be specified when using expressions")


@pytest.mark.parametrize("operation,members", [("GetItem", {"Key": key("a")}), ("Query", {"KeyConditions": PK}), ("Scan", {})])
def test_attributes_to_get_that_are_refused(server, table, operation, members):
    assert refused(server, operation, TableName=table, **members, AttributesToGet=["b", "a", "c", "a"]) == (
        INVALID + "Duplicate value in attribute name: a")
    assert refused(server, operation, TableName=table, **members, AttributesToGet=[]) == (
        "1 validation error detected: Value '[]' at 'attributesToGet' failed to satisfy constraint: "
        "Member must have length greater than or equal to 1")


@pytest.mark.parametrize("select,what", [
    ("COUNT", "only the Count"), ("ALL_ATTRIBUTES", "ALL_ATTRIBUTES"), ("ALL_PROJECTED_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES")])
@pytest.mark.parametrize("operation,members", [("Query", {"KeyConditions": PK}), ("Scan", {})])
def test_attributes_to_get_beside_select(server, table, operation, members, select, what):
    assert refused(server, operation, TableName=table, **members, AttributesToGet=["a"], Select=select) == (
        f"Cannot specify the AttributesToGet when choosing to get {what}")


# ---- Beside expressions, and before the table ----

@pytest.mark.parametrize("operation,members,legacy,expressions", [
    ("UpdateItem", {"Key": key("a"), "AttributeUpdates": {}, "ConditionExpression": "a = b"}, "AttributeUpdates", "ConditionExpression"),
    ("DeleteItem", {"Key": key("a"), "ConditionalOperator": "AND", "ConditionExpression": "a = b"}, "ConditionalOperator", "ConditionExpression"),
    ("Query", {"KeyConditions": PK, "QueryFilter": {}, "FilterExpression": "a = b"}, "QueryFilter", "FilterExpression"),
    ("Query", {"KeyConditions": PK, "KeyConditionExpression": "pk = :a", "FilterExpression": "a = b"},
     "KeyConditions", "FilterExpression, KeyConditionExpression"),
    ("Query", {"KeyConditionExpression": "pk = :a", "QueryFilter": {}}, "QueryFilter", "KeyConditionExpression"),
    ("Query", {"KeyConditions": PK, "ConditionalOperator": "OR", "FilterExpression": "a = b"}, "ConditionalOperator", "FilterExpression"),
    ("Query", {"KeyConditions": PK, "AttributesToGet": ["a"], "FilterExpression": "a = b"}, "AttributesToGet", "FilterExpression"),
    ("Scan", {"ScanFilter": {}, "ProjectionExpression": "a"}, "ScanFilter", "ProjectionExpression"),
    ("GetItem", {"Key": key("a"), "AttributesToGet": ["a"], "ProjectionExpression": "a"}, "AttributesToGet", "ProjectionExpression")])
def test_legacy_parameters_beside_expressions(server, table, operation, members, legacy, expressions):
    assert refused(server, operation, TableName=table, **members) == (
        "Can not use both expression and non-expression parameters in the same request: "
        f"Non-expression parameters: {{{legacy}}} Expression parameters: {{{expressions}}}")


def test_key_conditions_beside_expressions(server, filled):
    """As DynamoDBMapper and the Document API of the SDK for Java send them."""
    query = {"TableName": filled, "KeyConditions": {**PK, "sk": condition("GT", {"N": "0"})}}
    one = {"ExpressionAttributeNames": {"#v": "v"}, "ExpressionAttributeValues": {":one": {"N": "1"}}}
    page = server.call("Query", **query, FilterExpression="#v = :one", **one)
    assert (sort_keys(page), page["ScannedCount"]) == ([1, 4], 5)
    page = server.call("Query", **query, FilterExpression="#v = :one", ProjectionExpression="sk", **one)
    assert page["Items"] == [{"sk": {"N": "1"}}, {"sk": {"N": "4"}}]
    page = server.call("Query", **query, ProjectionExpression="odd", Limit=2)
    assert (page["Items"], page["LastEvaluatedKey"]) == ([{"odd": {"BOOL": True}}, {}], key("a", 2))
    assert server.call("Query", **query, Select="SPECIFIC_ATTRIBUTES", ProjectionExpression="v", Limit=1)["Items"] == [{"v": {"N": "1"}}]
    assert refused(server, "Query", **query, FilterExpression="sk = :one", ExpressionAttributeValues=one["ExpressionAttributeValues"]) == (
        "Filter Expression can only contain non-primary key attributes: Primary key attribute: sk")
    assert refused(server, "Query", **query, FilterExpression="#v = :one", ExpressionAttributeValues=one["ExpressionAttributeValues"]).startswith(
        "Invalid FilterExpression: ")
    assert refused(server, "Query", TableName=filled, KeyConditions={}, FilterExpression="v = odd") == "Conditions can be of length 1 or 2 only"


def test_names_and_values_need_expressions(server, table):
    assert refused(server, "PutItem", TableName=table, Item=key("a"), Expected={"v": {"Exists": False}}, ExpressionAttributeNames={"#a": "a"}) == (
        "ExpressionAttributeNames can only be specified when using expressions")
    assert refused(server, "Query", TableName=table, KeyConditions=PK, ExpressionAttributeValues={":a": {"N": "1"}}).startswith(
        "ExpressionAttributeValues can only be specified when using expressions")


def test_legacy_checks_come_before_the_table(server):
    missing = {"TableName": "no-such-table"}
    assert refused(server, "PutItem", **missing, Item=key("a"), Expected={"v": {}}).startswith(INVALID)
    assert refused(server, "Query", **missing, KeyConditions={}) == "Conditions can be of length 1 or 2 only"
    assert server.error("Query", {**missing, "KeyConditions": PK})[0] == "ResourceNotFoundException"
