"""Global secondary indexes: their definition, what they hold, reading them, what that consumes, and how they come and go."""

import random
import signal
import time

import pytest

from conftest import Server, definition, key, new_name

VALIDATION = "ValidationException"
INVALID = "One or more parameter values were invalid: "
SECONDS_MAX = 30


def attribute(name, kind="S"):
    return {"AttributeName": name, "AttributeType": kind}


def element(name, kind="HASH"):
    return {"AttributeName": name, "KeyType": kind}


def index(name, hashes="g", ranges="r", projection="ALL", non_key=None, **more):
    """An index whose keys are named by words: "g" or "g1 g2"."""
    schema = [element(word) for word in hashes.split()] + [element(word, "RANGE") for word in ranges.split()]
    projection = {"ProjectionType": projection, **({"NonKeyAttributes": non_key} if non_key is not None else {})}
    return {"IndexName": name, "KeySchema": schema, "Projection": projection, **more}


THREE = [index("all"), index("some", projection="INCLUDE", non_key=["kept", "other"]), index("keys", ranges="", projection="KEYS_ONLY")]
MORE = [attribute("g"), attribute("r", "N")]


def indexed(name, indexes=None, more=None, **members):
    made = definition(name, "pk:S sk:N", GlobalSecondaryIndexes=THREE if indexes is None else indexes, **members)
    made["AttributeDefinitions"] += MORE if more is None else more
    return made


@pytest.fixture(scope="module")
def server():
    """Tables of three partitions each."""
    server = Server("--in-memory", "--on-demand-partitions", "3")
    yield server
    server.stop()


def settled(server, table):
    """The table's description once it and its indexes are ACTIVE."""
    deadline = time.monotonic() + SECONDS_MAX
    while time.monotonic() < deadline:
        got = server.call("DescribeTable", TableName=table)["Table"]
        if got["TableStatus"] == "ACTIVE" and all(i["IndexStatus"] == "ACTIVE" for i in got.get("GlobalSecondaryIndexes", [])):
            return got
    raise AssertionError(got)


@pytest.fixture
def make_indexed(server):
    made = []

    def make(*arguments, **members):
        name = new_name()
        server.call("CreateTable", indexed(name, *arguments, **members))
        made.append(name)
        settled(server, name)
        return name

    yield make
    for name in made:
        server.signed("DeleteTable", {"TableName": name})


@pytest.fixture
def table(make_indexed):
    return make_indexed()


def item(pk, sk, g=None, r=None, **more):
    got = {**key(pk, sk), **{name: {"S": text} for name, text in more.items()}}
    if g is not None:
        got["g"] = {"S": g}
    if r is not None:
        got["r"] = {"N": str(r)}
    return got


def put(server, table, *items):
    for one in items:
        server.call("PutItem", TableName=table, Item=one)


def scan(server, table, name=None, **more):
    """All items, over all pages."""
    items, members = [], {"TableName": table, **({"IndexName": name} if name else {}), **more}
    while True:
        answer = server.call("Scan", members)
        items += answer["Items"]
        if "LastEvaluatedKey" not in answer:
            return items
        members["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def canonical(items):
    return sorted(repr(sorted((name, repr(value)) for name, value in one.items())) for one in items)


def until(wanted, ask):
    """What `ask` gives becomes what is wanted: an index follows its table."""
    deadline = time.monotonic() + SECONDS_MAX
    got = None
    while time.monotonic() < deadline:
        got = ask()
        if got == wanted:
            return
        time.sleep(0.001)
    assert got == wanted


def view(given, items):
    """What the index holds of the items."""
    keys = [one["AttributeName"] for one in given["KeySchema"]]
    projection = given["Projection"]
    kept = {"pk", "sk", *keys, *projection.get("NonKeyAttributes", [])}
    everything = projection["ProjectionType"] == "ALL"
    return [{n: v for n, v in one.items() if everything or n in kept} for one in items if all(k in one for k in keys)]


def holds_what_the_table_does(server, table, indexes):
    items = scan(server, table, ConsistentRead=True)
    for given in indexes:
        until(canonical(view(given, items)), lambda: canonical(scan(server, table, given["IndexName"])))


def query(server, table, name, condition="g = :g", values=None, **more):
    return server.call("Query", TableName=table, IndexName=name, KeyConditionExpression=condition,
                       ExpressionAttributeValues={":g": {"S": "a"}, **(values or {})}, **more)


# ---- Definition ----

def test_describe(server, table):
    got = settled(server, table)
    arn = f"arn:aws:dynamodb:us-east-1:000000000000:table/{table}/index/"
    assert got["AttributeDefinitions"] == [attribute("g"), attribute("pk"), attribute("r", "N"), attribute("sk", "N")]
    units = {"NumberOfDecreasesToday": 0, "ReadCapacityUnits": 0, "WriteCapacityUnits": 0}
    warm = {"ReadUnitsPerSecond": 12000, "WriteUnitsPerSecond": 4000, "Status": "ACTIVE"}
    assert got["GlobalSecondaryIndexes"] == [
        {**given, "IndexStatus": "ACTIVE", "ProvisionedThroughput": units, "IndexSizeBytes": 0, "ItemCount": 0,
         "IndexArn": arn + given["IndexName"], "WarmThroughput": warm} for given in THREE]


def test_provisioned_and_maximums(server, make_indexed):
    throughput = {"ReadCapacityUnits": 7, "WriteCapacityUnits": 9}
    table = make_indexed([index("one", ProvisionedThroughput=throughput)], BillingMode="PROVISIONED",
                         ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 2})
    got = settled(server, table)["GlobalSecondaryIndexes"][0]
    assert got["ProvisionedThroughput"] == {**throughput, "NumberOfDecreasesToday": 0}
    assert got["WarmThroughput"] == {"ReadUnitsPerSecond": 7, "WriteUnitsPerSecond": 9, "Status": "ACTIVE"}
    table = make_indexed([index("one", OnDemandThroughput={"MaxReadRequestUnits": 5})])
    got = settled(server, table)["GlobalSecondaryIndexes"][0]
    assert got["OnDemandThroughput"] == {"MaxReadRequestUnits": 5}


def units(read, write):
    return {"ReadUnitsPerSecond": read, "WriteUnitsPerSecond": write}


def warm_of(server, table, name):
    return next(one["WarmThroughput"] for one in settled(server, table)["GlobalSecondaryIndexes"] if one["IndexName"] == name)


def change(server, table, action, **members):
    definitions = {"AttributeDefinitions": [attribute("pk"), attribute("sk", "N"), *MORE]} if action == "Create" else {}
    return server.signed("UpdateTable", {"TableName": table, "GlobalSecondaryIndexUpdates": [{action: members}], **definitions})


def test_warm_throughput(server, make_indexed):
    table = make_indexed([index("one", WarmThroughput=units(13000, 4000)), index("two", WarmThroughput={"WriteUnitsPerSecond": 5000})])
    assert warm_of(server, table, "one") == {**units(13000, 4000), "Status": "ACTIVE"}
    assert warm_of(server, table, "two") == {**units(12000, 5000), "Status": "ACTIVE"}
    got = change(server, table, "Update", IndexName="one", WarmThroughput={"ReadUnitsPerSecond": 14000}).json["TableDescription"]
    assert got["GlobalSecondaryIndexes"][0]["WarmThroughput"] == {**units(14000, 4000), "Status": "UPDATING"}
    assert warm_of(server, table, "one") == {**units(14000, 4000), "Status": "ACTIVE"}
    assert warm_of(server, table, "two") == {**units(12000, 5000), "Status": "ACTIVE"}
    assert change(server, table, "Update", IndexName="one", WarmThroughput={"ReadUnitsPerSecond": 13999}).error == (
        VALIDATION, INVALID + "Requested ReadUnitsPerSecond for WarmThroughput for index one is lower than current WarmThroughput, decreasing "
        "WarmThroughput is not supported")
    assert change(server, table, "Create", **index("three", WarmThroughput=units(12000, 6000))).status == 200
    assert warm_of(server, table, "three") == {**units(12000, 6000), "Status": "ACTIVE"}
    assert settled(server, table)["WarmThroughput"] == {**units(12000, 4000), "Status": "ACTIVE"}


def test_warm_throughput_of_a_provisioned_index(server, make_indexed):
    throughput = {"ReadCapacityUnits": 7, "WriteCapacityUnits": 9}
    table = make_indexed([index("one", ProvisionedThroughput=throughput, WarmThroughput={"ReadUnitsPerSecond": 10})],
                         BillingMode="PROVISIONED", ProvisionedThroughput=throughput)
    assert warm_of(server, table, "one") == {**units(10, 9), "Status": "ACTIVE"}
    assert change(server, table, "Update", IndexName="one", WarmThroughput={"WriteUnitsPerSecond": 20}).status == 200
    assert warm_of(server, table, "one") == {**units(10, 20), "Status": "ACTIVE"}
    got = settled(server, table)["GlobalSecondaryIndexes"][0]
    assert got["ProvisionedThroughput"] == {**throughput, "NumberOfDecreasesToday": 0}


@pytest.mark.parametrize("members,error", [
    ({"WarmThroughput": {"ReadUnitsPerSecond": 0}},
     (VALIDATION, INVALID + "Requested ReadUnitsPerSecond for WarmThroughput for index one is lower than ")),
    ({"WarmThroughput": {"WriteUnitsPerSecond": 40001}},
     ("LimitExceededException", "Subscriber limit exceeded: Requested WriteUnitsPerSecond for WarmThroughput for index one exceeds "
                                "TableMaxWriteCapacityUnits of the account in region us-east-1")),
    ({"OnDemandThroughput": {"MaxReadRequestUnits": 0}},
     (VALIDATION, INVALID + "Requested MaxReadRequestUnits for OnDemandThroughput for index : one is outside of valid range")),
    ({"OnDemandThroughput": {"MaxWriteRequestUnits": 40001}},
     ("LimitExceededException", "Subscriber limit exceeded: Requested MaxWriteRequestUnits for OnDemandThroughput for index : one exceeds "
                                "TableMaxWriteCapacityUnits of the account in region us-east-1"))])
def test_throughput_that_is_refused(server, make_indexed, members, error):
    def more(text):
        return (error[0], error[1] + text) if error[1].endswith("lower than ") else error
    initial = more("initial throughput for OnDemand. See: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/"
                   "on-demand-capacity-mode.html#on-demand-capacity-mode-initial")
    name = new_name()
    assert server.error("CreateTable", {**indexed(name), "GlobalSecondaryIndexes": [index("one", **members)]}) == initial
    assert server.error("DescribeTable", TableName=name)[0] == "ResourceNotFoundException"
    table = make_indexed([index("one")])
    assert change(server, table, "Update", IndexName="one", **members).error == more(
        "current WarmThroughput, decreasing WarmThroughput is not supported")
    assert change(server, table, "Delete", IndexName="one").status == 200
    settled(server, table)
    assert change(server, table, "Create", **index("one", **members)).error == initial


def test_maximums_of_an_index_are_changed(server, make_indexed):
    table = make_indexed([index("one")])
    maximums = {"MaxReadRequestUnits": 6, "MaxWriteRequestUnits": 7}
    assert "OnDemandThroughput" not in settled(server, table)["GlobalSecondaryIndexes"][0]
    assert change(server, table, "Update", IndexName="one", OnDemandThroughput=maximums).status == 200
    assert settled(server, table)["GlobalSecondaryIndexes"][0]["OnDemandThroughput"] == maximums
    assert change(server, table, "Update", IndexName="one", OnDemandThroughput={"MaxWriteRequestUnits": 8}).status == 200
    assert settled(server, table)["GlobalSecondaryIndexes"][0]["OnDemandThroughput"] == {**maximums, "MaxWriteRequestUnits": 8}
    assert change(server, table, "Update", IndexName="one", OnDemandThroughput={"MaxWriteRequestUnits": -1}).status == 200
    assert settled(server, table)["GlobalSecondaryIndexes"][0]["OnDemandThroughput"] == {"MaxReadRequestUnits": 6}


def test_a_new_index_has_no_maximum_to_be_taken_away(server, table):
    made = index("one", OnDemandThroughput={"MaxReadRequestUnits": -1})
    error = (VALIDATION, INVALID + "Requested MaxReadRequestUnits for OnDemandThroughput for index : one is outside of valid range")
    assert server.error("CreateTable", {**indexed(new_name()), "GlobalSecondaryIndexes": [made]}) == error
    assert change(server, table, "Create", **made).error == error


def test_maximums_of_indexes_of_a_provisioned_table(server, make_indexed):
    members = {"ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}}
    maximums = {"OnDemandThroughput": {"MaxReadRequestUnits": 5}}
    table = make_indexed([index("one", **members)], BillingMode="PROVISIONED", **members)
    text = INVALID + "MaxReadRequestUnits for OnDemandThroughput for index{}one cannot be specified when {}table BillingMode is PROVISIONED{}"
    assert server.error("CreateTable", {**indexed(new_name()), "BillingMode": "PROVISIONED", **members, "GlobalSecondaryIndexes": [
        index("one", **members, **maximums)]}) == (VALIDATION, text.format(": ", "", "."))
    assert change(server, table, "Update", IndexName="one", **maximums).error == (VALIDATION, text.format(" : ", "the ", ""))


def test_counts(server, table):
    put(server, table, item("a", 1, "x", 1, more="12345"), item("a", 2, "y", 2), item("a", 3), item("b", 1, "x", 1))
    server.call("DeleteItem", TableName=table, Key=key("a", 2))
    holds_what_the_table_does(server, table, THREE)
    row = len("pka") + len("sk") + 2 + len("gx")
    until(([2, 2, 2], [2 * (row + 3) + 9, 2 * (row + 3), 2 * row]),
          lambda: tuple([one[what] for one in settled(server, table)["GlobalSecondaryIndexes"]] for what in ("ItemCount", "IndexSizeBytes")))
    assert settled(server, table)["ItemCount"] == 3


@pytest.mark.parametrize("members,message", [
    ({"GlobalSecondaryIndexes": []}, INVALID + "List of GlobalSecondaryIndexes is empty"),
    ({"GlobalSecondaryIndexes": [index(f"index{n}") for n in range(21)]}, INVALID + "GlobalSecondaryIndex count exceeds the per-table limit of 20"),
    ({"GlobalSecondaryIndexes": [index("same"), index("same")]}, INVALID + "Duplicate index name: same"),
    ({"GlobalSecondaryIndexes": [index("one", "missing", "")]},
     INVALID + "Some index key attributes are not defined in AttributeDefinitions. Keys: [missing], AttributeDefinitions: [pk, sk, g, r]"),
    ({"GlobalSecondaryIndexes": [index("one", "g", "")]},
     INVALID + "Some AttributeDefinitions are not used. AttributeDefinitions: [pk, sk, g, r], keys used: [g, pk, sk]"),
    ({"GlobalSecondaryIndexes": [{**index("one"), "KeySchema": [element("r", "RANGE"), element("g")]}]},
     "Invalid KeySchema: The first KeySchemaElement is not a HASH key type"),
    ({"GlobalSecondaryIndexes": [index("one", "g", "g")]}, "The KeySchema contains multiple key attributes with the same name"),
    ({"GlobalSecondaryIndexes": [{**index("one"), "KeySchema": [element("g"), element("r", "RANGE"), element("g")]}]},
     INVALID + "All HASH key attributes must precede RANGE key attributes in the KeySchema"),
    ({"GlobalSecondaryIndexes": [index("one", "a b c d e")]},
     INVALID + "The KeySchema exceeds the maximum allowed number of HASH key attributes"),
    ({"GlobalSecondaryIndexes": [index("one", "g", "a b c d e")]},
     INVALID + "The KeySchema exceeds the maximum allowed number of RANGE key attributes"),
    ({"GlobalSecondaryIndexes": [index("one", projection="INCLUDE")]}, INVALID + "ProjectionType is INCLUDE, but NonKeyAttributes is not specified"),
    ({"GlobalSecondaryIndexes": [index("one", projection="INCLUDE", non_key=["b", "a", "c", "a"])]},
     INVALID + "Duplicate element in NonKeyAttributes: a"),
    ({"GlobalSecondaryIndexes": [index(f"index{n}", projection="INCLUDE", non_key=[f"n{m}" for m in range(20)]) for n in range(6)]},
     INVALID + "The total number of NonKeyAttributes of all indexes exceeds the per-table limit of 100"),
    ({"GlobalSecondaryIndexes": [index("one", ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1})]},
     INVALID + "ProvisionedThroughput should not be specified for index: one when BillingMode is PAY_PER_REQUEST"),
    ({"BillingMode": "PROVISIONED", "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}},
     INVALID + "ProvisionedThroughput is not specified for index: all"),
    ({"LocalSecondaryIndexes": [{**index("all"), "KeySchema": [element("pk"), element("r", "RANGE")]}]}, INVALID + "Duplicate index name: all")])
def test_create_errors(server, members, message):
    name = new_name()
    assert server.error("CreateTable", {**indexed(name), **members}) == (VALIDATION, message)
    assert server.error("DescribeTable", TableName=name)[0] == "ResourceNotFoundException"


def test_the_most_there_can_be(server, make_indexed):
    most = [index(f"index{n}", f"h{n}", "", "INCLUDE", [f"n{n}-{m}" for m in range(5)]) for n in range(20)]
    table = make_indexed(most, [attribute(f"h{n}") for n in range(20)])
    one = {**key("a", 1), **{f"h{n}": {"S": "v"} for n in range(20)}, "n3-2": {"S": "kept"}, "n9-9": {"S": "not"}}
    put(server, table, one)
    for n in range(20):
        wanted = sorted(["pk", "sk", f"h{n}"] + (["n3-2"] if n == 3 else []))
        until([wanted], lambda: [sorted(got) for got in scan(server, table, f"index{n}")])


# ---- Query and Scan ----

def test_projections(server, table):
    put(server, table, item("p", 1, "a", 1, kept="k", more="m"), item("p", 2, kept="sparse"))
    holds_what_the_table_does(server, table, THREE)
    assert [sorted(one) for one in query(server, table, "all")["Items"]] == [["g", "kept", "more", "pk", "r", "sk"]]
    assert [sorted(one) for one in query(server, table, "some")["Items"]] == [["g", "kept", "pk", "r", "sk"]]
    assert [sorted(one) for one in query(server, table, "keys")["Items"]] == [["g", "pk", "sk"]]
    assert query(server, table, "all", Select="ALL_ATTRIBUTES")["Count"] == 1
    assert query(server, table, "some", Select="COUNT")["Count"] == 1
    assert query(server, table, "some", Select="ALL_PROJECTED_ATTRIBUTES")["Count"] == 1
    assert query(server, table, "some", ProjectionExpression="kept")["Items"] == [{"kept": {"S": "k"}}]


def test_what_is_projected_may_be_a_key(server, make_indexed):
    table = make_indexed([index("one", projection="INCLUDE", non_key=["z", "g", "sk", "pk", "a", "r"])])
    got = settled(server, table)["GlobalSecondaryIndexes"][0]
    assert got["Projection"] == {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["a", "g", "pk", "r", "sk", "z"]}
    put(server, table, item("p", 1, "a", 1, a="k", more="m"))
    holds_what_the_table_does(server, table, [index("one", projection="INCLUDE", non_key=["a", "z"])])
    assert [sorted(one) for one in query(server, table, "one")["Items"]] == [["a", "g", "pk", "r", "sk"]]


@pytest.mark.parametrize("name,members,message", [
    ("all", {"ConsistentRead": True}, "Consistent reads are not supported on global secondary indexes"),
    ("none", {}, "The table does not have the specified index: none"),
    ("some", {"Select": "ALL_ATTRIBUTES"},
     INVALID + "Select type ALL_ATTRIBUTES is not supported for global secondary index some because its projection type is not ALL"),
    ("some", {"ProjectionExpression": "pk, more, again"}, INVALID + "Global secondary index some does not project [again, more]"),
    ("some", {"FilterExpression": "more = :g"}, INVALID + "Global secondary index some does not project [more]"),
    ("all", {"FilterExpression": "r = :g"}, "Filter Expression can only contain non-primary key attributes: Primary key attribute: r"),
    ("all", {"KeyConditionExpression": "r = :g"}, "Query condition missed key schema element: g"),
    ("all", {"KeyConditionExpression": "g = :g AND pk = :g"}, "Query condition missed key schema element: r"),
    ("all", {"KeyConditionExpression": "g > :g"}, "Query key condition not supported")])
def test_query_errors(server, table, name, members, message):
    error = server.error("Query", {"TableName": table, "IndexName": name, "KeyConditionExpression": "g = :g",
                                   "ExpressionAttributeValues": {":g": {"S": "a"}}, **members})
    assert error == (VALIDATION, message)


@pytest.mark.parametrize("condition,low,high,wanted", [
    ("r = :l", 2, None, lambda r: r == 2), ("r < :l", 2, None, lambda r: r < 2), ("r <= :l", 2, None, lambda r: r <= 2),
    ("r > :l", 2, None, lambda r: r > 2), ("r >= :l", 2, None, lambda r: r >= 2), ("r BETWEEN :l AND :h", -1, 10, lambda r: -1 <= r <= 10)])
@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize("limit", [None, 2])
def test_conditions_in_pages(server, table, condition, low, high, wanted, forward, limit):
    """Equal keys come in one order, and each page goes on behind the one before."""
    numbers = [-30, -1, 0, 1, 2, 2, 2, 3, 10, 200]
    put(server, table, *[item(f"p{n % 3}", n, g, r) for n, r in enumerate(numbers) for g in ("a",)])
    put(server, table, item("other", 1, "b", 2))
    holds_what_the_table_does(server, table, THREE[:1])
    values = {":l": {"N": str(low)}, **({":h": {"N": str(high)}} if high is not None else {})}
    members = {"ScanIndexForward": forward, **({"Limit": limit} if limit else {})}
    items = []
    while True:
        answer = query(server, table, "all", f"g = :g AND {condition}", values, **members)
        items += answer["Items"]
        if "LastEvaluatedKey" not in answer:
            break
        assert sorted(answer["LastEvaluatedKey"]) == ["g", "pk", "r", "sk"]
        members["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
    got = [int(one["r"]["N"]) for one in items]
    assert got == sorted([r for r in numbers if wanted(r)], reverse=not forward)
    assert len({int(one["sk"]["N"]) for one in items}) == len(items)


def test_start_keys(server, table):
    put(server, table, *[item("p", n, "a", n) for n in range(4)])
    holds_what_the_table_does(server, table, THREE[:1])
    start = {**key("p", 1), "g": {"S": "a"}, "r": {"N": "1"}}
    assert [int(one["r"]["N"]) for one in query(server, table, "all", ExclusiveStartKey=start)["Items"]] == [2, 3]

    def refused(given, condition="g = :g"):
        return server.error("Query", TableName=table, IndexName="all", KeyConditionExpression=condition,
                            ExpressionAttributeValues={":g": {"S": "a"}, **({":r": {"N": "2"}} if ":r" in condition else {})},
                            ExclusiveStartKey=given)[1]
    assert refused({**start, "g": {"S": "b"}}) == "The provided starting key is outside query boundaries based on provided conditions"
    assert refused(start, "g = :g AND r > :r") == "The provided starting key does not match the range key predicate"
    for wrong in (key("p", 1), {**start, "more": {"S": "x"}}, {**start, "r": {"S": "1"}}):
        assert refused(wrong) == "The provided starting key is invalid"


def test_parallel_scan(server, table):
    put(server, table, *[item(f"p{n}", n, f"g{n % 7}", n) for n in range(60)])
    holds_what_the_table_does(server, table, THREE)
    parts = [scan(server, table, "all", Segment=n, TotalSegments=5, Limit=3) for n in range(5)]
    assert sum(len(part) > 0 for part in parts) > 1
    assert canonical([one for part in parts for one in part]) == canonical(scan(server, table))


# ---- Keys of several attributes ----

MULTI = index("multi", "a b", "c d", "KEYS_ONLY")
MULTI_TYPES = [attribute("a"), attribute("b", "N"), attribute("c"), attribute("d", "B")]


def multi(sk, a, b, c, d):
    return {**key("p", sk), "a": {"S": a}, "b": {"N": str(b)}, "c": {"S": c}, "d": {"B": d}}


def test_several_key_attributes(server, make_indexed):
    table = make_indexed([MULTI], MULTI_TYPES)
    rows = [multi(1, "x", 1, "c", "AA=="), multi(2, "x", 1, "c", "AQ=="), multi(3, "x", 1, "cc", "AA=="), multi(4, "x", 2, "c", "AA=="),
            multi(5, "xx", 1, "c", "AA==")]
    put(server, table, *rows, {name: value for name, value in multi(6, "x", 1, "c", "AA==").items() if name != "d"})
    holds_what_the_table_does(server, table, [MULTI])
    got = settled(server, table)["GlobalSecondaryIndexes"][0]
    assert got["KeySchema"] == MULTI["KeySchema"]

    def ask(condition, **values):
        given = {":a": {"S": "x"}, ":b": {"N": "1"}, **{f":{name}": value for name, value in values.items()}}
        return server.call("Query", TableName=table, IndexName="multi", KeyConditionExpression=condition, ExpressionAttributeValues=given)["Items"]

    def numbers(items):
        return [int(one["sk"]["N"]) for one in items]
    assert numbers(ask("a = :a AND b = :b")) == [1, 2, 3]
    assert numbers(ask("a = :a AND b = :b AND c = :c", c={"S": "c"})) == [1, 2]
    assert numbers(ask("a = :a AND b = :b AND begins_with(c, :c)", c={"S": "c"})) == [1, 2, 3]
    assert numbers(ask("a = :a AND b = :b AND c = :c AND d > :d", c={"S": "c"}, d={"B": "AA=="})) == [2]
    start = server.call("Query", TableName=table, IndexName="multi", KeyConditionExpression="a = :a AND b = :b", Limit=2,
                        ExpressionAttributeValues={":a": {"S": "x"}, ":b": {"N": "1"}})["LastEvaluatedKey"]
    assert start == rows[1]


@pytest.mark.parametrize("condition,message", [
    ("a = :a", "Query condition missed key schema element: b"),
    ("a = :a AND b > :b", "Query key condition not supported"),
    ("a = :a AND b = :b AND d = :d", "Query condition missed key schema element: c"),
    ("a = :a AND b = :b AND c > :a AND d = :d", "Query key condition not supported")])
def test_conditions_on_several(server, make_indexed, condition, message):
    table = make_indexed([MULTI], MULTI_TYPES)
    values = {name: value for name, value in {":a": {"S": "x"}, ":b": {"N": "1"}, ":d": {"B": "AA=="}}.items() if name in condition}
    assert server.error("Query", TableName=table, IndexName="multi", KeyConditionExpression=condition,
                        ExpressionAttributeValues=values) == (VALIDATION, message)


# ---- Writes ----

@pytest.mark.parametrize("name,value,message", [
    ("g", {"N": "1"}, INVALID + "Type mismatch for Index Key g Expected: S Actual: N IndexName: all"),
    ("r", {"S": "1"}, INVALID + "Type mismatch for Index Key r Expected: N Actual: S IndexName: all"),
    ("g", {"S": ""}, "One or more parameter values are not valid. A value specified for a secondary index key is not supported. The "
     "AttributeValue for a key attribute cannot contain an empty string value. IndexName: all, IndexKey: g"),
    ("g", {"S": "x" * 2049}, INVALID + "Size of hashkey has exceeded the maximum size limit of2048 bytes")])
def test_wrong_keys_are_refused(server, table, name, value, message):
    assert server.error("PutItem", TableName=table, Item={**item("a", 1, "x", 1), name: value}) == (VALIDATION, message)
    put(server, table, item("a", 1, "x", 1))
    error, _ = server.error("UpdateItem", TableName=table, Key=key("a", 1), UpdateExpression="SET #n = :v",
                            ExpressionAttributeNames={"#n": name}, ExpressionAttributeValues={":v": value})
    assert error == VALIDATION
    error, _ = server.error("BatchWriteItem", RequestItems={table: [{"PutRequest": {"Item": {**item("a", 2), name: value}}}]})
    assert error == VALIDATION
    assert scan(server, table) == [item("a", 1, "x", 1)]


def test_random_writes(server, table):
    chance = random.Random(4)
    for _ in range(400):
        pk, sk = f"p{chance.randrange(4)}", chance.randrange(8)
        g = chance.choice([None, "a", "b"])
        r = chance.choice([None, 1, 2])
        what = chance.randrange(4)
        if what == 0:
            server.call("DeleteItem", TableName=table, Key=key(pk, sk))
        elif what == 1:
            server.call("UpdateItem", TableName=table, Key=key(pk, sk), UpdateExpression="SET kept = :v, more = :v REMOVE r",
                        ExpressionAttributeValues={":v": {"S": str(chance.random())}})
        elif what == 2:
            server.call("BatchWriteItem", RequestItems={table: [{"PutRequest": {"Item": item(f"b{n}", sk, g, r)}} for n in range(3)]})
        else:
            put(server, table, item(pk, sk, g, r, kept=str(chance.random())))
    holds_what_the_table_does(server, table, THREE)


def consumed(server, operation, **members):
    got = server.call(operation, ReturnConsumedCapacity="INDEXES", **members)["ConsumedCapacity"]
    return (got["CapacityUnits"], got["Table"]["CapacityUnits"],
            {name: one["CapacityUnits"] for name, one in got.get("GlobalSecondaryIndexes", {}).items()})


def test_capacity(server, table):
    def write(**members):
        return consumed(server, "PutItem", TableName=table, **members)
    assert write(Item=item("a", 1)) == (1.0, 1.0, {})
    assert write(Item=item("a", 1, "x", 1)) == (4.0, 1.0, {"all": 1.0, "some": 1.0, "keys": 1.0})
    assert write(Item=item("a", 1, "x", 1)) == (1.0, 1.0, {})
    assert write(Item=item("a", 1, "x", 1, more="m")) == (2.0, 1.0, {"all": 1.0})
    assert write(Item=item("a", 1, "x", 2, more="m")) == (5.0, 1.0, {"all": 2.0, "some": 2.0})
    assert write(Item=item("a", 1, "y", 2, more="m" * 1024)) == (9.0, 2.0, {"all": 3.0, "some": 2.0, "keys": 2.0})
    got = consumed(server, "DeleteItem", TableName=table, Key=key("a", 1))
    assert got == (6.0, 2.0, {"all": 2.0, "some": 1.0, "keys": 1.0})
    put(server, table, item("a", 1, "a", 1, more="m" * 5000))
    holds_what_the_table_does(server, table, THREE)
    read = {"TableName": table, "KeyConditionExpression": "g = :g", "ExpressionAttributeValues": {":g": {"S": "a"}}}
    assert consumed(server, "Query", IndexName="all", **read) == (1.0, 0.0, {"all": 1.0})
    assert consumed(server, "Query", IndexName="keys", **read) == (0.5, 0.0, {"keys": 0.5})
    assert consumed(server, "Scan", TableName=table, IndexName="some") == (0.5, 0.0, {"some": 0.5})


def test_partiql(server, table):
    put(server, table, *[item("p", n, "a", n, kept=f"k{n}") for n in range(4)], item("p", 9, "b", 1))
    holds_what_the_table_does(server, table, THREE)

    def select(statement, *parameters, **more):
        return server.call("ExecuteStatement", Statement=statement.format(table), **({"Parameters": list(parameters)} if parameters else {}), **more)["Items"]
    assert [one["sk"] for one in select('SELECT sk FROM "{}"."all" WHERE g = ? AND r >= 2', {"S": "a"})] == [{"N": "2"}, {"N": "3"}]
    assert len(select('SELECT * FROM "{}"."keys"')) == 5
    assert select('SELECT * FROM "{}"."some" WHERE r = 1 AND g = \'b\'') == [item("p", 9, "b", 1)]
    for statement, more in (('SELECT more FROM "{}"."some"', {}), ('SELECT * FROM "{}"."some" WHERE more = 1', {}),
                            ('SELECT * FROM "{}"."all"', {"ConsistentRead": True})):
        assert server.error("ExecuteStatement", Statement=statement.format(table), **more)[0] == VALIDATION


def test_time_to_live_does_not_reach_an_index_before_its_table(server, table):
    put(server, table, {**item("p", 1, "a", 1), "until": {"N": str(int(time.time()) - 100)}})
    holds_what_the_table_does(server, table, THREE)
    server.call("UpdateTimeToLive", TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "until"})
    put(server, table, {**item("p", 2, "a", 2), "until": {"N": str(int(time.time()) + 10000)}})
    holds_what_the_table_does(server, table, THREE)


# ---- Coming and going ----

def test_online(server, make_indexed):
    """An index that is added to a table has what that held, and what is written meanwhile."""
    table = make_indexed(THREE[2:], MORE[:1])
    for batch in range(40):
        server.call("BatchWriteItem", RequestItems={table: [{"PutRequest": {"Item": item(f"p{n}", batch, f"g{n % 3}", n)}} for n in range(25)]})
    put(server, table, {**key("odd", 1), "g": {"S": "x"}, "r": {"S": "of another type"}})
    answer = server.call("UpdateTable", TableName=table, AttributeDefinitions=[attribute("g"), attribute("r", "N")],
                         GlobalSecondaryIndexUpdates=[{"Create": THREE[0]}])["TableDescription"]
    made = answer["GlobalSecondaryIndexes"][1]
    assert (answer["TableStatus"], made["IndexStatus"], made["Backfilling"]) == ("UPDATING", "CREATING", False)
    for n in range(25):
        server.call("DeleteItem", TableName=table, Key=key(f"p{n}", n))
        put(server, table, item(f"p{n}", n + 1, "moved", n))
    got = settled(server, table)
    assert "Backfilling" not in got["GlobalSecondaryIndexes"][1]
    items = [one for one in scan(server, table) if one["pk"]["S"] != "odd"]
    until(canonical(items), lambda: canonical(scan(server, table, "all")))
    assert scan(server, table, "keys", FilterExpression="pk = :p", ExpressionAttributeValues={":p": {"S": "odd"}}) != []


def test_an_index_that_is_being_made_is_not_read():
    server = Server("--in-memory", "--status-delay", "2000")
    try:
        server.call("CreateTable", definition("table"))
        server.wait_active("table")
        server.call("UpdateTable", TableName="table", AttributeDefinitions=[attribute("g")],
                    GlobalSecondaryIndexUpdates=[{"Create": index("one", ranges="")}])
        error = server.error("Query", TableName="table", IndexName="one", KeyConditionExpression="g = :g", ExpressionAttributeValues={":g": {"S": "a"}})
        assert error == (VALIDATION, "Cannot read from backfilling global secondary index: one")
    finally:
        server.stop()


def test_delete_and_create_again(server, table):
    put(server, table, *[item("a", n, "x", n) for n in range(5)])
    holds_what_the_table_does(server, table, THREE)
    answer = server.call("UpdateTable", TableName=table, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "some"}}])["TableDescription"]
    assert [one["IndexStatus"] for one in answer["GlobalSecondaryIndexes"]] == ["ACTIVE", "DELETING", "ACTIVE"]
    got = settled(server, table)
    assert [one["IndexName"] for one in got["GlobalSecondaryIndexes"]] == ["all", "keys"]
    assert server.error("Scan", TableName=table, IndexName="some") == (VALIDATION, "The table does not have the specified index: some")
    put(server, table, item("a", 9, "x", 9))
    server.call("UpdateTable", TableName=table, GlobalSecondaryIndexUpdates=[{"Create": THREE[1]}], AttributeDefinitions=MORE)
    settled(server, table)
    holds_what_the_table_does(server, table, THREE)
    for name in ("all", "keys", "some"):
        server.call("UpdateTable", TableName=table, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": name}}])
        settled(server, table)
    got = settled(server, table)
    assert "GlobalSecondaryIndexes" not in got and got["AttributeDefinitions"] == [attribute("pk"), attribute("sk", "N")]
    put(server, table, {**key("a", 10), "g": {"N": "1"}})


def test_throughput(server, make_indexed):
    units = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}
    table = make_indexed([index("one", ProvisionedThroughput=units)], BillingMode="PROVISIONED", ProvisionedThroughput=units)

    def update(**given):
        return {"TableName": table, "GlobalSecondaryIndexUpdates": [{"Update": {"IndexName": "one", **given}}]}
    error, message = server.error("UpdateTable", update(ProvisionedThroughput=units))
    assert error == VALIDATION and message.startswith("The provisioned throughput for the index one will not change.")
    answer = server.call("UpdateTable", update(ProvisionedThroughput={"ReadCapacityUnits": 8, "WriteCapacityUnits": 2}))["TableDescription"]
    assert answer["GlobalSecondaryIndexes"][0]["IndexStatus"] == "UPDATING"
    got = settled(server, table)["GlobalSecondaryIndexes"][0]["ProvisionedThroughput"]
    assert (got["ReadCapacityUnits"], got["WriteCapacityUnits"], got["NumberOfDecreasesToday"]) == (8, 2, 1)
    assert "LastIncreaseDateTime" in got and "LastDecreaseDateTime" in got
    server.call("UpdateTable", TableName=table, BillingMode="PAY_PER_REQUEST")
    assert settled(server, table)["GlobalSecondaryIndexes"][0]["ProvisionedThroughput"]["ReadCapacityUnits"] == 0
    back = {"TableName": table, "BillingMode": "PROVISIONED", "ProvisionedThroughput": units}
    assert server.error("UpdateTable", back) == (VALIDATION, INVALID + "ProvisionedThroughput must be specified for index: one")
    server.call("UpdateTable", {**back, **update(ProvisionedThroughput=units)})
    assert settled(server, table)["GlobalSecondaryIndexes"][0]["ProvisionedThroughput"]["ReadCapacityUnits"] == 5


@pytest.mark.parametrize("updates,error", [
    ([{"Create": index("all")}], (VALIDATION, "Attempting to create an index which already exists")),
    ([{"Update": {"IndexName": "ghost", "WarmThroughput": {}}}],
     (VALIDATION, INVALID + "WarmThroughput must have at least one of ReadUnitsPerSecond or WriteUnitsPerSecond specified for index: ghost")),
    ([{"Delete": {"IndexName": "none"}}], ("ResourceNotFoundException", "Requested resource not found: Index none for table TABLE")),
    ([{"Update": {"IndexName": "none", "OnDemandThroughput": {"MaxReadRequestUnits": 5}}}],
     ("ResourceNotFoundException", "Requested resource not found: Index none for table TABLE")),
    ([{"Delete": {"IndexName": "all"}}, {"Delete": {"IndexName": "some"}}],
     ("LimitExceededException", "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table")),
    ([{"Delete": {"IndexName": "all"}}, {"Create": index("all")}],
     (VALIDATION, INVALID + "Only one global secondary index update per index is allowed simultaneously. Index: all")),
    ([{"Create": index("new", "undefined", "")}],
     (VALIDATION, INVALID + "Some index key attributes are not defined in AttributeDefinitions. Keys: [undefined], AttributeDefinitions: [g, r]")),
    ([{"Create": index("new", "g", "", ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1})}],
     (VALIDATION, INVALID + "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified for index: new when BillingMode is PAY_PER_REQUEST")),
    ([{"Update": {"IndexName": "all", "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}}}],
     (VALIDATION, INVALID + "The only Updates for index: all when TableThroughputMode is PAY_PER_REQUEST can be to OnDemandThroughput, "
                            "WarmThroughput")),
    ([{"Create": index("new"), "Delete": {"IndexName": "all"}}],
     (VALIDATION, INVALID + "Only one global secondary index action is allowed per GlobalSecondaryIndexUpdate object")),
    ([{}], (VALIDATION, INVALID + "One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, "
                                  "GlobalSecondaryIndexUpdate.Delete must not be null"))])
def test_update_errors(server, table, updates, error):
    error = (error[0], error[1].replace("TABLE", table))
    before = settled(server, table)
    defined = {"AttributeDefinitions": MORE} if "Create" in updates[0] else {}
    assert server.error("UpdateTable", TableName=table, GlobalSecondaryIndexUpdates=updates, **defined) == error
    assert server.call("DescribeTable", TableName=table)["Table"] == before


@pytest.mark.parametrize("first", ["change", "update"])
def test_one_change_beside_updates(server, make_indexed, first):
    """An index is created, or deleted, while the throughput of others changes."""
    units, more = ({"ReadCapacityUnits": n, "WriteCapacityUnits": n} for n in (5, 8))
    table = make_indexed([index(name, ProvisionedThroughput=units) for name in ("one", "two")], BillingMode="PROVISIONED",
                         ProvisionedThroughput=units)
    put(server, table, {**key("a", 1), "g": {"S": "x"}, "r": {"N": "1"}})
    for change, raised, names in (({"Create": index("new", ProvisionedThroughput=units)}, "one", ["new", "one", "two"]),
                                  ({"Delete": {"IndexName": "one"}}, "two", ["new", "two"])):
        updates = [change, {"Update": {"IndexName": raised, "ProvisionedThroughput": more}}]
        server.call("UpdateTable", TableName=table, AttributeDefinitions=MORE if "Create" in change else [],
                    GlobalSecondaryIndexUpdates=updates if first == "change" else updates[::-1])
        got = {one["IndexName"]: one for one in settled(server, table)["GlobalSecondaryIndexes"]}
        assert sorted(got) == names
        assert got[raised]["ProvisionedThroughput"]["ReadCapacityUnits"] == 8


def test_twenty_is_the_most(server, make_indexed):
    table = make_indexed([index(f"index{n}") for n in range(20)])
    error = server.error("UpdateTable", TableName=table, GlobalSecondaryIndexUpdates=[{"Create": index("more")}], AttributeDefinitions=MORE)
    assert error == ("LimitExceededException", "Subscriber limit exceeded: Number of global secondary indexes exceeds per-table limit of 20")


def test_definitions_of_a_new_index(server, make_table):
    """Those of its keys that the table's have not; what is there for nothing is not looked at."""
    table = make_table("pk:S sk:N")
    updates = [{"Create": index("new", "g", "sk")}]
    assert server.error("UpdateTable", TableName=table, GlobalSecondaryIndexUpdates=updates) == (
        VALIDATION, INVALID + "AttributeDefinitions is not specified for index: new")
    server.call("UpdateTable", TableName=table, GlobalSecondaryIndexUpdates=updates, AttributeDefinitions=[attribute("g"), attribute("unused", "N")])
    assert settled(server, table)["AttributeDefinitions"] == [attribute("g"), attribute("pk"), attribute("sk", "N")]


def test_a_local_index_is_neither_updated_nor_deleted(server, make_table):
    table = make_table("pk:S sk:N", LocalSecondaryIndexes=[
        {"IndexName": "local", "KeySchema": [element("pk"), element("sk", "RANGE")], "Projection": {"ProjectionType": "ALL"}}])
    for verb, action in (("delete", {"Delete": {"IndexName": "local"}}),
                         ("update", {"Update": {"IndexName": "local", "OnDemandThroughput": {"MaxReadRequestUnits": 5}}})):
        assert server.error("UpdateTable", TableName=table, GlobalSecondaryIndexUpdates=[action]) == (
            VALIDATION, f"Cannot {verb} an index that is not a GlobalSecondaryIndex: local")


def test_a_new_index_of_a_provisioned_table_says_its_throughput(server, make_table):
    table = make_table("pk:S sk:N", ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1})
    assert server.error("UpdateTable", TableName=table, GlobalSecondaryIndexUpdates=[{"Create": index("new", "pk", "sk")}]) == (
        VALIDATION, INVALID + "Both ReadCapacityUnits and WriteCapacityUnits must be specified for index: new")


def test_deleting_a_table_takes_its_indexes(server, make_indexed):
    table = make_indexed()
    put(server, table, item("a", 1, "x", 1))
    server.call("DeleteTable", TableName=table)
    server.wait_gone(table)
    server.call("CreateTable", indexed(table))
    settled(server, table)
    assert scan(server, table, "all") == []


# ---- Time ----

def test_delay():
    """--index-delay: an index has a change when that is old enough."""
    server = Server("--in-memory", "--index-delay", "400")
    try:
        name = new_name()
        server.call("CreateTable", indexed(name))
        settled(server, name)
        started = time.monotonic()
        put(server, name, item("a", 1, "x", 1))
        assert scan(server, name, "all") == []
        holds_what_the_table_does(server, name, THREE)
        assert time.monotonic() - started >= 0.4
    finally:
        server.stop()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_restart(tmp_path, how):
    """Changes that were not yet in the index, and a backfill that was not at its end, go on."""
    options = ("--data", str(tmp_path / "data"), "--on-demand-partitions", "2")
    server = Server(*options, "--index-delay", "3600000")
    name = new_name()
    server.call("CreateTable", indexed(name))
    settled(server, name)
    for n in range(4):
        server.call("BatchWriteItem", RequestItems={name: [{"PutRequest": {"Item": item(f"p{m}", n, f"g{m % 3}", n)}} for m in range(25)]})
    for m in range(0, 25, 2):
        server.call("DeleteItem", TableName=name, Key=key(f"p{m}", 2))
    assert scan(server, name, "all") == []
    late = index("late", "r", "g")
    server.call("UpdateTable", TableName=name, GlobalSecondaryIndexUpdates=[{"Create": late}], AttributeDefinitions=MORE)
    server.stop(how)
    server = Server(*options)
    try:
        settled(server, name)
        holds_what_the_table_does(server, name, [*THREE, late])
        assert [one["ItemCount"] for one in settled(server, name)["GlobalSecondaryIndexes"]] == [87] * 4
    finally:
        server.stop()
