"""Exact texts of refused requests, and which comes first when several things are wrong."""

import pytest

from conftest import key

VALIDATION = "ValidationException"


def test_missing_members(server):
    assert server.error("GetItem", {}) == (VALIDATION, (
        "2 validation errors detected: Value null at 'tableName' failed to satisfy constraint: Member must not be null; "
        "Value null at 'key' failed to satisfy constraint: Member must not be null"))
    for operation in ("CreateTable", "DescribeTable", "UpdateTable", "DeleteTable"):
        assert server.error(operation, {}) == (
            VALIDATION, "The parameter 'TableName' is required but was not present in the request")


@pytest.mark.parametrize("name,faults", [
    ("", ["Value '' at 'tableName' failed to satisfy constraint: Member must have length greater than or equal to 1"]),
    ("ab", ["Value 'ab' at 'tableName' failed to satisfy constraint: Member must have length greater than or equal to 3"]),
    ("a" * 256, [f"Value '{'a' * 256}' at 'tableName' failed to satisfy constraint: Member must have length less than or equal to 255"]),
    ("bad table!@#", ["Value 'bad table!@#' at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"]),
    ("a;", ["Value 'a;' at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
            "Value 'a;' at 'tableName' failed to satisfy constraint: Member must have length greater than or equal to 3"])])
@pytest.mark.parametrize("operation,more", [("PutItem", {"Item": key("a")}), ("DescribeTable", {}), ("Scan", {})])
def test_names_of_tables(server, name, faults, operation, more):
    text = f"{len(faults)} validation error{'s' if len(faults) > 1 else ''} detected: {'; '.join(faults)}"
    assert server.error(operation, {"TableName": name, **more}) == (VALIDATION, text)


def test_serialization_comes_before_constraints(server):
    assert server.error("PutItem", {"TableName": "", "Item": 3})[0] == "SerializationException"


def test_constraints_come_before_the_operations_own_checks(server):
    name, text = server.error("Scan", {"TableName": "x!", "Limit": 0, "Segment": 5})
    assert (name, text) == (VALIDATION, "1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: "
                                        "Member must have value greater than or equal to 1")


def test_the_operations_own_checks_come_before_the_table(server):
    missing = {"TableName": "no-such-table"}
    assert server.error("PutItem", {**missing, "Item": {"a": {"SS": []}}}) == (
        VALIDATION, "One or more parameter values were invalid: An string set  may not be empty")
    assert server.error("GetItem", {**missing, "Key": {}, "ProjectionExpression": "a,,b"})[1].startswith("Invalid ProjectionExpression: Syntax error;")
    assert server.error("Query", missing)[0] == VALIDATION
    assert server.error("GetItem", {**missing, "Key": {}})[0] == "ResourceNotFoundException"


def test_mixed_parameters(server, table):
    assert server.error("PutItem", {"TableName": table, "Item": key("a"), "Expected": {"pk": {"Exists": False}},
                                    "ConditionExpression": "attribute_not_exists(pk)"}) == (VALIDATION, (
        "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {Expected} "
        "Expression parameters: {ConditionExpression}"))
    assert server.error("UpdateItem", {"TableName": table, "Key": key("a"), "AttributeUpdates": {}, "UpdateExpression": "SET a = b"}) == (VALIDATION, (
        "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {AttributeUpdates} "
        "Expression parameters: {UpdateExpression}"))


@pytest.mark.parametrize("operation,members,member", [
    ("UpdateTable", {"GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": "index"}}], "DisassociationProtectionEnabled": True},
     "DisassociationProtectionEnabled"),
    ("UpdateTable", {"DisassociationProtectionEnabled": True}, "DisassociationProtectionEnabled")])
def test_members_that_are_not_built_are_refused(server, table, operation, members, member):
    assert server.error(operation, {"TableName": table, **members}) == (
        VALIDATION, f"One or more parameter values were invalid: {member} is not supported")
    assert server.call("Scan", TableName=table)["Count"] == 0


@pytest.mark.parametrize("value,message", [
    ({}, "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"),
    ({"S": "a", "N": "1"}, "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"),
    ({"N": "x"}, "The parameter cannot be converted to a numeric value: x"),
    ({"N": ""}, "The parameter cannot be converted to a numeric value"),
    ({"N": "1e126"}, "Number overflow. Attempting to store a number with magnitude larger than supported range"),
    ({"N": "1e-131"}, "Number underflow. Attempting to store a number with magnitude smaller than supported range"),
    ({"N": "1" * 39}, "Attempting to store more than 38 significant digits in a Number"),
    ({"SS": []}, "One or more parameter values were invalid: An string set  may not be empty"),
    ({"NS": []}, "One or more parameter values were invalid: An number set  may not be empty"),
    ({"BS": []}, "One or more parameter values were invalid: Binary sets should not be empty"),
    ({"SS": ["a", "a"]}, "One or more parameter values were invalid: Input collection [a, a] contains duplicates."),
    ({"NS": ["1", "1.0"]}, "Input collection contains duplicates")])
def test_attribute_values(server, table, value, message):
    assert server.error("PutItem", TableName=table, Item={**key("a"), "v": value}) == (VALIDATION, message)


@pytest.mark.parametrize("text", ["!!!!", "AA", "AA=A", "AAE", "A A=", "AAE=\n", "=", "AA==AA=="])
def test_base64_is_strict(server, table, text):
    name, _ = server.error("PutItem", TableName=table, Item={**key("a"), "b": {"B": text}})
    assert name == "SerializationException"
    assert server.call("GetItem", TableName=table, Key=key("a")) == {}


def test_nesting(server, table):
    def nested(levels):
        value = {"S": "x"}
        for _ in range(levels):
            value = {"L": [value]}
        return value
    server.call("PutItem", TableName=table, Item={**key("a"), "v": nested(31)})
    assert server.error("PutItem", TableName=table, Item={**key("a"), "v": nested(40)}) == (
        VALIDATION, "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit")


@pytest.mark.parametrize("members,message", [
    ({"ExpressionAttributeValues": {":v": {"S": "x"}}}, "ExpressionAttributeValues can only be specified when using expressions: ConditionExpression is null"),
    ({"ExpressionAttributeNames": {"#a": "a"}}, "ExpressionAttributeNames can only be specified when using expressions"),
    ({"ConditionExpression": ""}, "Invalid ConditionExpression: The expression can not be empty;"),
    ({"ConditionExpression": "a = :v"}, "Invalid ConditionExpression: An expression attribute value used in expression is not defined; attribute value: :v"),
    ({"ConditionExpression": "#a = #a"}, "Invalid ConditionExpression: An expression attribute name used in the document path is not defined; attribute name: #a"),
    ({"ConditionExpression": "attribute_exists(a)", "ExpressionAttributeNames": {"#unused": "a"}},
     "Value provided in ExpressionAttributeNames unused in expressions: keys: {#unused}"),
    ({"ConditionExpression": "attribute_exists(a)", "ExpressionAttributeValues": {":unused": {"S": "x"}}},
     "Value provided in ExpressionAttributeValues unused in expressions: keys: {:unused}"),
    ({"ConditionExpression": "a = :v", "ExpressionAttributeValues": {":v": {}}},
     "ExpressionAttributeValues contains invalid value: Supplied AttributeValue is empty, must contain exactly one of the supported datatypes for key :v"),
    ({"ConditionExpression": "a = :v", "ExpressionAttributeValues": {}}, "ExpressionAttributeValues must not be empty"),
    ({"ConditionExpression": "attribute_exists(a)", "ExpressionAttributeNames": {}}, "ExpressionAttributeNames must not be empty"),
    ({"ConditionExpression": "((attribute_not_exists(pk)))"}, "Invalid ConditionExpression: The expression has redundant parentheses;"),
    ({"ConditionExpression": "_a = :v", "ExpressionAttributeValues": {":v": {"S": "x"}}},
     'Invalid ConditionExpression: Syntax error; token: "_", near: "_a"'),
    ({"ConditionExpression": "#a = :v", "ExpressionAttributeValues": {":v": {"S": "x"}}, "ExpressionAttributeNames": {"#a": ""}},
     "ExpressionAttributeNames contains invalid value: Empty attribute name for key #a"),
    ({"ConditionExpression": "#a = :v", "ExpressionAttributeValues": {":v": {"S": "x"}}, "ExpressionAttributeNames": {"": "a"}},
     "ExpressionAttributeNames contains invalid key: The expression attribute map contains an empty key"),
    ({"ConditionExpression": "a = :v", "ExpressionAttributeValues": {":" + "v" * 255: {"S": "x"}}},
     "ExpressionAttributeValues contains invalid key: The expression attribute map contains a key that is too long"),
    ({"ConditionExpression": "a = :v", "ExpressionAttributeNames": {"#" + "n" * 255: "x"}},
     "ExpressionAttributeNames contains invalid key: The expression attribute map contains a key that is too long"),
    ({"ReturnValues": "UPDATED_OLD"}, "ReturnValues can only be ALL_OLD or NONE"),
    ({"ReturnValues": "ALL_NEW"}, "ReturnValues can only be ALL_OLD or NONE")])
def test_expressions_of_put(server, table, members, message):
    assert server.error("PutItem", {"TableName": table, "Item": key("a"), **members}) == (VALIDATION, message)


def test_a_placeholder_of_255_bytes(server, table):
    name, value = "#" + "n" * 254, ":" + "v" * 254
    server.call("UpdateItem", TableName=table, Key=key("a"), UpdateExpression=f"SET {name} = {value}",
                ExpressionAttributeNames={name: "a"}, ExpressionAttributeValues={value: {"S": "x"}})


@pytest.mark.parametrize("names,values,message", [
    (34, 0, "ExpressionAttributeNames exceeds max size"),
    (0, 7, "ExpressionAttributeValues exceeds max size"),
    (20, 3, "Combined size of ExpressionAttributeNames and ExpressionAttributeValues exceeds max size")])
def test_names_and_values_have_two_megabytes(server, table, names, values, message):
    members = {"TableName": table, "Key": key("a"), "UpdateExpression": "SET a = :0", "ExpressionAttributeValues": {
        ":0": {"S": "x"}, **{f":{i}": {"S": "v" * 320000} for i in range(1, values + 1)}}}
    if names:
        members["ExpressionAttributeNames"] = {f"#{i}": "n" * 65000 for i in range(names)}
    assert server.error("UpdateItem", members) == (VALIDATION, message)


def test_names_of_attributes(server, table):
    """Documented: from one character to 64 KB.  Inside maps they may be empty."""
    longest = "n" * 65535
    server.call("PutItem", TableName=table, Item={**key("a"), longest: {"S": ""}, "m": {"M": {"": {"S": "x"}}}})
    assert server.error("PutItem", TableName=table, Item={**key("a"), "": {"S": "x"}}) == (
        VALIDATION, "One or more parameter values were invalid: Empty attribute name")
    for item in ({longest + "n": {"S": ""}}, {"m": {"M": {longest + "n": {"S": ""}}}}):
        assert server.error("PutItem", TableName=table, Item={**key("a"), **item}) == (
            VALIDATION, "One or more parameter values were invalid: Attribute name has exceeded the maximum size limit of 65535 bytes")
    assert server.error("GetItem", TableName=table, Key=key("a"), ProjectionExpression="#n", ExpressionAttributeNames={"#n": longest + "n"}) == (
        VALIDATION, "ExpressionAttributeNames contains invalid value: Attribute name has exceeded the maximum size limit of 65535 bytes for key #n")


@pytest.mark.parametrize("members,message", [
    ({"UpdateExpression": ""}, "Invalid UpdateExpression: The expression can not be empty;"),
    ({"UpdateExpression": "INVALID SYNTAX HERE"}, "Invalid UpdateExpression: Syntax error; token: \"INVALID\", near: \"INVALID SYNTAX\""),
    ({"UpdateExpression": "SET a = :v"}, "Invalid UpdateExpression: An expression attribute value used in expression is not defined; attribute value: :v"),
    ({"ExpressionAttributeValues": {":v": {"S": "x"}}},
     "ExpressionAttributeValues can only be specified when using expressions: UpdateExpression and ConditionExpression are null")])
def test_expressions_of_update(server, table, members, message):
    assert server.error("UpdateItem", {"TableName": table, "Key": key("a"), **members}) == (VALIDATION, message)


def test_arns_that_are_none(server, table):
    for arn in ("arn:aws:dynamodb:us-east-1:000000000000:index/x", f"arn:aws:s3:us-east-1:000000000000:table/{table}", "arn:"):
        assert server.error("DescribeTable", TableName=arn)[0] == VALIDATION
