"""Query and Scan."""

import pytest

from conftest import key

VALIDATION = "ValidationException"


def fill(server, table, items):
    for start in range(0, len(items), 25):
        requests = [{"PutRequest": {"Item": item}} for item in items[start:start + 25]]
        assert server.call("BatchWriteItem", RequestItems={table: requests})["UnprocessedItems"] == {}


def query(server, table, condition="pk = :p", values=None, **more):
    values = {":p": {"S": "a"}, **(values or {})}
    return server.call("Query", TableName=table, KeyConditionExpression=condition, ExpressionAttributeValues=values, **more)


def sort_keys(answer):
    return [float(item["sk"]["N"]) for item in answer["Items"]]


@pytest.fixture
def numbered(server, sorted_table):
    """Twenty items under "a" with sort keys -10..9, and some under others."""
    items = [{**key("a", n), "n": {"N": str(n % 3)}, "f": {"S": "x" * 10}} for n in range(-10, 10)]
    items += [{**key(pk, n), "n": {"N": "0"}} for pk in ("b", "c") for n in range(3)]
    fill(server, sorted_table, items)
    return sorted_table


# ---- Query ----

def test_items_come_in_the_order_of_the_sort_key(server, numbered):
    got = query(server, numbered)
    assert sort_keys(got) == list(range(-10, 10))
    assert got["Count"] == got["ScannedCount"] == 20
    assert "LastEvaluatedKey" not in got
    assert sort_keys(query(server, numbered, ScanIndexForward=False)) == list(range(9, -11, -1))


@pytest.mark.parametrize("condition,low,high,expected", [
    ("sk = :l", 3, None, [3]), ("sk < :l", -8, None, [-10, -9]), ("sk <= :l", -8, None, [-10, -9, -8]),
    ("sk > :l", 7, None, [8, 9]), ("sk >= :l", 7, None, [7, 8, 9]), ("sk BETWEEN :l AND :h", -1, 1, [-1, 0, 1]), ("sk = :l", 77, None, [])])
@pytest.mark.parametrize("forward", [True, False])
def test_sort_conditions(server, numbered, condition, low, high, expected, forward):
    values = {":l": {"N": str(low)}}
    if high is not None:
        values[":h"] = {"N": str(high)}
    got = query(server, numbered, f"pk = :p AND {condition}", values, ScanIndexForward=forward)
    assert sort_keys(got) == (expected if forward else expected[::-1])


def test_begins_with(server, make_table):
    table = make_table("pk:S sk:S")
    fill(server, table, [{"pk": {"S": "a"}, "sk": {"S": s}} for s in ("ab", "abc", "abd", "ac", "b", "\U0010ffff")])
    got = query(server, table, "pk = :p AND begins_with(sk, :s)", {":s": {"S": "ab"}})
    assert [item["sk"]["S"] for item in got["Items"]] == ["ab", "abc", "abd"]


def test_pages(server, numbered):
    for forward in (True, False):
        seen, start = [], {}
        for _ in range(20):
            got = query(server, numbered, Limit=7, ScanIndexForward=forward, **start)
            assert got["ScannedCount"] <= 7
            seen += sort_keys(got)
            if "LastEvaluatedKey" not in got:
                break
            assert set(got["LastEvaluatedKey"]) == {"pk", "sk"}
            start = {"ExclusiveStartKey": got["LastEvaluatedKey"]}
        assert sorted(seen) == list(range(-10, 10)) and len(seen) == 20


def test_filter_counts_after_the_limit(server, numbered):
    got = query(server, numbered, values={":n": {"N": "0"}}, FilterExpression="n = :n", Limit=9)
    assert got["ScannedCount"] == 9
    assert got["Count"] == len(got["Items"]) == 3
    assert got["LastEvaluatedKey"] == key("a", -2)


def test_select(server, numbered):
    got = query(server, numbered, Select="COUNT")
    assert got == {"Count": 20, "ScannedCount": 20}
    got = query(server, numbered, Select="SPECIFIC_ATTRIBUTES", ProjectionExpression="n", Limit=2)
    assert got["Items"] == [{"n": {"N": "2"}}, {"n": {"N": "0"}}]
    assert len(query(server, numbered, Select="ALL_ATTRIBUTES")["Items"][0]) == 4


def test_pages_end_at_one_megabyte(server, make_table):
    table = make_table("pk:S sk:N")
    fill(server, table, [{**key("a", n), "f": {"S": "x" * 99_000}} for n in range(25)])
    got = query(server, table, ReturnConsumedCapacity="TOTAL")
    assert got["Count"] == 10 and got["LastEvaluatedKey"] == key("a", 9)
    assert got["ConsumedCapacity"]["CapacityUnits"] == 121.0  # 10 x 99,010 bytes, eventually consistent
    got = query(server, table, values={":f": {"S": "y"}}, FilterExpression="f = :f")
    assert (got["Count"], got["ScannedCount"]) == (0, 10) and "LastEvaluatedKey" in got
    total, start = 0, {}
    for _ in range(5):
        got = server.call("Scan", TableName=table, **start)
        total += got["Count"]
        if "LastEvaluatedKey" not in got:
            break
        start = {"ExclusiveStartKey": got["LastEvaluatedKey"]}
    assert total == 25


def test_capacity_is_of_the_sum_of_bytes(server, sorted_table):
    fill(server, sorted_table, [{**key("a", n), "f": {"S": "x" * 1000}} for n in range(10)])  # 10 x about 1010 bytes
    for consistent, units in ((False, 1.5), (True, 3.0)):
        got = query(server, sorted_table, ConsistentRead=consistent, ReturnConsumedCapacity="INDEXES")
        assert got["ConsumedCapacity"] == {"TableName": sorted_table, "CapacityUnits": units, "Table": {"CapacityUnits": units}}
    got = query(server, sorted_table, "pk = :p AND sk > :n", {":n": {"N": "50"}}, ReturnConsumedCapacity="TOTAL")
    assert got["ConsumedCapacity"]["CapacityUnits"] == 0.5


@pytest.mark.parametrize("members,message", [
    ({}, "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."),
    ({"KeyConditionExpression": ""}, "Invalid KeyConditionExpression: The expression can not be empty;"),
    ({"KeyConditionExpression": "sk = :v", "ExpressionAttributeValues": {":v": {"N": "1"}}}, "Query condition missed key schema element: pk"),
    ({"KeyConditionExpression": "elsewhere = :v", "ExpressionAttributeValues": {":v": {"S": "1"}}}, "Query condition missed key schema element: pk"),
    ({"KeyConditionExpression": "pk = :v", "ExpressionAttributeValues": {":v": {"N": "1"}}},
     "One or more parameter values were invalid: Condition parameter type does not match schema type"),
    ({"KeyConditionExpression": "pk = :v", "FilterExpression": "sk > :v", "ExpressionAttributeValues": {":v": {"S": "1"}}},
     "Filter Expression can only contain non-primary key attributes: Primary key attribute: sk"),
    ({"KeyConditionExpression": "pk = :v", "FilterExpression": "#missing = :v", "ExpressionAttributeValues": {":v": {"S": "1"}}},
     "Invalid FilterExpression: An expression attribute name used in the document path is not defined; attribute name: #missing"),
    ({"KeyConditionExpression": "pk = :v", "ExpressionAttributeValues": {":v": {"S": "1"}}, "Select": "SPECIFIC_ATTRIBUTES"},
     "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES"),
    ({"KeyConditionExpression": "pk = :v", "ExpressionAttributeValues": {":v": {"S": "1"}}, "Select": "ALL_ATTRIBUTES", "ProjectionExpression": "a"},
     "Cannot specify the ProjectionExpression when choosing to get ALL_ATTRIBUTES"),
    ({"KeyConditionExpression": "pk = :v", "ExpressionAttributeValues": {":v": {"S": "1"}}, "Select": "COUNT", "ProjectionExpression": "a"},
     "Cannot specify the ProjectionExpression when choosing to get only the Count"),
    ({"KeyConditionExpression": "pk = :v", "ExpressionAttributeValues": {":v": {"S": "1"}}, "Select": "ALL_PROJECTED_ATTRIBUTES"},
     "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName"),
    ({"KeyConditionExpression": "pk = :v", "ExpressionAttributeValues": {":v": {"S": "1"}}, "ExclusiveStartKey": key("other", 1)},
     "The provided starting key is outside query boundaries based on provided conditions"),
    ({"KeyConditionExpression": "pk = :v", "ExpressionAttributeValues": {":v": {"S": "1"}}, "ExclusiveStartKey": key("1")},
     "The provided starting key is invalid"),
    ({"KeyConditionExpression": "pk = :v AND sk > :s", "ExpressionAttributeValues": {":v": {"S": "1"}, ":s": {"N": "3"}}, "ExclusiveStartKey": key("1", 2)},
     "The provided starting key does not match the range key predicate"),
    ({"ExpressionAttributeValues": {":v": {"S": "1"}}},
     "ExpressionAttributeValues can only be specified when using expressions: FilterExpression and KeyConditionExpression are null")])
def test_query_errors(server, sorted_table, members, message):
    assert server.error("Query", {"TableName": sorted_table, **members}) == (VALIDATION, message)


# ---- Scan ----

def everything(server, table, **more):
    items, start = [], {}
    for _ in range(1000):
        got = server.call("Scan", TableName=table, **more, **start)
        items += got["Items"]
        if "LastEvaluatedKey" not in got:
            return items
        start = {"ExclusiveStartKey": got["LastEvaluatedKey"]}
    raise AssertionError("no end")


def identity(item):
    return item["pk"]["S"], item["sk"]["N"]


def test_scan_sees_each_item_once(server, numbered):
    whole = sorted(map(identity, everything(server, numbered)))
    assert len(whole) == 26 == len(set(whole))
    assert sorted(map(identity, everything(server, numbered, Limit=4))) == whole


@pytest.mark.parametrize("segments", [1, 2, 7, 100])
def test_parallel_segments_share_the_items(server, make_table, segments):
    table = make_table("pk:S sk:N", ProvisionedThroughput={"ReadCapacityUnits": 100, "WriteCapacityUnits": 4000})  # several partitions
    fill(server, table, [key(f"p{n}", n) for n in range(100)])
    found = []
    for segment in range(segments):
        found += map(identity, everything(server, table, TotalSegments=segments, Segment=segment, Limit=13))
    assert sorted(found) == sorted((f"p{n}", str(n)) for n in range(100))


def test_scan_filters_keys_too(server, numbered):
    got = server.call("Scan", TableName=numbered, FilterExpression="pk = :b AND sk > :n", ExpressionAttributeValues={":b": {"S": "b"}, ":n": {"N": "0"}})
    assert sorted(map(identity, got["Items"])) == [("b", "1"), ("b", "2")]
    assert (got["Count"], got["ScannedCount"]) == (2, 26)


def test_scan_select_and_capacity(server, numbered):
    assert server.call("Scan", TableName=numbered, Select="COUNT", ReturnConsumedCapacity="TOTAL", ConsistentRead=True) == {
        "Count": 26, "ScannedCount": 26, "ConsumedCapacity": {"TableName": numbered, "CapacityUnits": 1.0}}
    got = server.call("Scan", TableName=numbered, ProjectionExpression="#k", ExpressionAttributeNames={"#k": "pk"})
    assert all(set(item) == {"pk"} for item in got["Items"])


@pytest.mark.parametrize("members,message", [
    ({"Segment": 0}, "The TotalSegments parameter is required but was not present in the request when Segment parameter is present"),
    ({"TotalSegments": 4}, "The Segment parameter is required but was not present in the request when parameter TotalSegments is present"),
    ({"Segment": 5, "TotalSegments": 5},
     "The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: 5 is not less than TotalSegments: 5"),
    ({"Segment": -1, "TotalSegments": 4},
     "1 validation error detected: Value '-1' at 'segment' failed to satisfy constraint: Member must have value greater than or equal to 0"),
    ({"TotalSegments": 1000001, "Segment": 0},
     "1 validation error detected: Value '1000001' at 'totalSegments' failed to satisfy constraint: Member must have value less than or equal to 1000000"),
    ({"Limit": 0}, "1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1"),
    ({"Select": "SPECIFIC_ATTRIBUTES"}, "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES"),
    ({"ExclusiveStartKey": {"pk": {"S": "a"}}}, "The provided starting key is invalid: The provided key element does not match the schema"),
    ({"ExpressionAttributeValues": {":v": {"S": "x"}}}, "ExpressionAttributeValues can only be specified when using expressions: FilterExpression is null")])
def test_scan_errors(server, sorted_table, members, message):
    assert server.error("Scan", {"TableName": sorted_table, **members}) == (VALIDATION, message)


def test_tables_that_are_not_there(server):
    missing = ("ResourceNotFoundException", "Requested resource not found")
    assert server.error("Scan", TableName="no-such-table") == missing
    assert server.error("Query", TableName="no-such-table", KeyConditionExpression="pk = :p",
                        ExpressionAttributeValues={":p": {"S": "a"}}) == missing


def test_boto3_paginates(boto, server, numbered):
    pages = boto.get_paginator("query").paginate(TableName=numbered, KeyConditionExpression="pk = :p",
                                                 ExpressionAttributeValues={":p": {"S": "a"}}, PaginationConfig={"PageSize": 6})
    assert sum(len(page["Items"]) for page in pages) == 20
