"""Local secondary indexes: their definition, what they hold, reading them, and what that consumes."""

import random
import signal

import pytest

from conftest import Server, definition, key, new_name

VALIDATION = "ValidationException"
INVALID = "One or more parameter values were invalid: "


def attribute(name, kind="S"):
    return {"AttributeName": name, "AttributeType": kind}


def keys(partition="pk", sort=None):
    schema = [{"AttributeName": partition, "KeyType": "HASH"}]
    return schema + ([{"AttributeName": sort, "KeyType": "RANGE"}] if sort else [])


def index(name, sort="ik", projection="ALL", non_key=None):
    projection = {"ProjectionType": projection, **({"NonKeyAttributes": non_key} if non_key is not None else {})}
    return {"IndexName": name, "KeySchema": keys("pk", sort), "Projection": projection}


THREE = [index("all"), index("some", projection="INCLUDE", non_key=["kept", "other"]), index("keys", projection="KEYS_ONLY")]


def indexed(name, indexes=None, more=(attribute("ik"),), **members):
    made = definition(name, "pk:S sk:N", LocalSecondaryIndexes=THREE if indexes is None else indexes, **members)
    made["AttributeDefinitions"] += list(more)
    return made


@pytest.fixture
def make_indexed(server):
    made = []

    def make(*arguments, **members):
        name = new_name()
        server.call("CreateTable", indexed(name, *arguments, **members))
        made.append(name)
        return server.wait_active(name)

    yield make
    for name in made:
        server.signed("DeleteTable", {"TableName": name})


@pytest.fixture
def table(make_indexed):
    return make_indexed()


def item(pk, sk, ik=None, **more):
    got = {**key(pk, sk), **{name: {"S": text} for name, text in more.items()}}
    if ik is not None:
        got["ik"] = {"S": ik}
    return got


def put(server, table, *items):
    for one in items:
        server.call("PutItem", TableName=table, Item=one)


def query(server, table, name, condition="pk = :p", values=None, **more):
    return server.call("Query", TableName=table, IndexName=name, KeyConditionExpression=condition,
                       ExpressionAttributeValues={":p": {"S": "a"}, **(values or {})}, **more)


def shown(answer):
    return [(one["ik"]["S"], int(one["sk"]["N"])) for one in answer["Items"]]


def names(answer):
    return [sorted(one) for one in answer["Items"]]


# ---- Definition ----

def test_describe(server, table):
    got = server.call("DescribeTable", TableName=table)["Table"]
    arn = f"arn:aws:dynamodb:us-east-1:000000000000:table/{table}/index/"
    assert got["AttributeDefinitions"] == [attribute("ik"), attribute("pk"), attribute("sk", "N")]
    assert got["LocalSecondaryIndexes"] == [
        {**given, "IndexArn": arn + given["IndexName"], "IndexSizeBytes": 0, "ItemCount": 0} for given in THREE]


def test_counts(server, table):
    put(server, table, item("a", 1, "x", more="12345"), item("a", 2, "y"), item("a", 3), item("b", 1, "x"))
    server.call("DeleteItem", TableName=table, Key=key("a", 2))
    got = server.call("DescribeTable", TableName=table)["Table"]
    assert got["ItemCount"] == 3
    assert [one["ItemCount"] for one in got["LocalSecondaryIndexes"]] == [2, 2, 2]
    row = len("pka") + len("sk") + 2 + len("atx")
    assert [one["IndexSizeBytes"] for one in got["LocalSecondaryIndexes"]] == [2 * row + 9, 2 * row, 2 * row]


@pytest.mark.parametrize("members,message", [
    ({"LocalSecondaryIndexes": []}, INVALID + "List of LocalSecondaryIndexes is empty"),
    ({"KeySchema": keys("pk"), "AttributeDefinitions": [attribute("pk"), attribute("ik")]},
     INVALID + "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex"),
    ({"LocalSecondaryIndexes": [index(f"index{n}") for n in range(6)]}, INVALID + "Number of LocalSecondaryIndexes exceeds per-table limit of 5"),
    ({"LocalSecondaryIndexes": [index("same"), index("same")]}, INVALID + "Duplicate index name: same"),
    ({"LocalSecondaryIndexes": [index("one", "missing")]},
     INVALID + "Some index key attributes are not defined in AttributeDefinitions. Keys: [pk, missing], AttributeDefinitions: [pk, sk, ik]"),
    ({"LocalSecondaryIndexes": [index("one", None)]}, INVALID + "Index KeySchema does not have a range key for index: one"),
    ({"LocalSecondaryIndexes": [index("one", "pk")]}, "Both the Hash Key and the Range Key element in the KeySchema have the same name"),
    ({"LocalSecondaryIndexes": [{**index("one"), "KeySchema": keys("ik", "sk")}]},
     INVALID + "Index KeySchema does not have the same leading hash key as table KeySchema for index: one. index hash key: ik, table hash key: pk"),
    ({"LocalSecondaryIndexes": [{**index("one"), "KeySchema": keys("pk", "ik")[::-1]}]},
     "Invalid KeySchema: The first KeySchemaElement is not a HASH key type"),
    ({"LocalSecondaryIndexes": [index("one", "sk")]},
     INVALID + "Some AttributeDefinitions are not used. AttributeDefinitions: [pk, sk, ik], keys used: [pk, sk]"),
    ({"LocalSecondaryIndexes": [{**index("one"), "Projection": {}}]}, INVALID + "Unknown ProjectionType: null"),
    ({"LocalSecondaryIndexes": [index("one", non_key=["a"])]}, INVALID + "ProjectionType is ALL, but NonKeyAttributes is specified"),
    ({"LocalSecondaryIndexes": [index("one", projection="INCLUDE", non_key=["a", "a"])]}, INVALID + "Duplicate element in NonKeyAttributes: a"),
    ({"LocalSecondaryIndexes": [index("one", projection="KEYS_ONLY", non_key=["a"])]},
     INVALID + "ProjectionType is KEYS_ONLY, but NonKeyAttributes is specified"),
    ({"LocalSecondaryIndexes": [index("one", projection="INCLUDE")]},
     INVALID + "ProjectionType is INCLUDE, but NonKeyAttributes is not specified")])
def test_create_errors(server, members, message):
    name = new_name()
    assert server.error("CreateTable", {**indexed(name), **members}) == (VALIDATION, message)
    assert server.error("DescribeTable", TableName=name)[0] == "ResourceNotFoundException"


@pytest.mark.parametrize("given,text", [
    (index("xy"), "'localSecondaryIndexes.1.member.indexName' failed to satisfy constraint: Member must have length greater than or equal to 3"),
    (index("one", projection="INCLUDE", non_key=[f"n{n}" for n in range(21)]),
     "'localSecondaryIndexes.1.member.projection.nonKeyAttributes' failed to satisfy constraint: Member must have length less than or equal to 20"),
    (index("one", projection="SOME"), "Member must satisfy enum value set: [ALL, INCLUDE, KEYS_ONLY]")])
def test_constraints(server, given, text):
    error, message = server.error("CreateTable", indexed(new_name(), [given]))
    assert error == VALIDATION and text in message


def test_the_most_there_can_be(server, make_indexed):
    most = [index(f"index{n}", f"ik{n}", "INCLUDE", [f"n{n}-{m}" for m in range(20)]) for n in range(5)]
    table = make_indexed(most, [attribute(f"ik{n}") for n in range(5)])
    put(server, table, item("a", 1, **{f"ik{n}": f"v{n}" for n in range(5)}, **{"n3-7": "kept", "n9-9": "not"}))
    for n in range(5):
        kept = ["n3-7"] if n == 3 else []
        assert names(query(server, table, f"index{n}")) == [sorted(["pk", "sk", f"ik{n}"] + kept)]


def test_definitions_may_be_repeated_in_an_update(server, table):
    definitions = [attribute("pk"), attribute("sk", "N"), attribute("ik")]
    server.call("UpdateTable", TableName=table, BillingMode="PAY_PER_REQUEST", AttributeDefinitions=definitions)
    server.wait_active(table)
    server.call("UpdateTable", TableName=table, BillingMode="PAY_PER_REQUEST", AttributeDefinitions=definitions[:2])
    server.wait_active(table)
    got = server.call("DescribeTable", TableName=table)["Table"]["AttributeDefinitions"]
    assert got == sorted(definitions, key=lambda one: one["AttributeName"])


# ---- Query and Scan ----

def test_projections(server, table):
    put(server, table, item("a", 1, "x", kept="k", more="m"), item("a", 2, kept="sparse"))
    assert names(query(server, table, "all")) == [["ik", "kept", "more", "pk", "sk"]]
    assert names(query(server, table, "some")) == [["ik", "kept", "pk", "sk"]]
    assert names(query(server, table, "keys")) == [["ik", "pk", "sk"]]
    for name in ("all", "some", "keys"):
        assert names(query(server, table, name, Select="ALL_ATTRIBUTES")) == [["ik", "kept", "more", "pk", "sk"]]
        assert names(query(server, table, name, ProjectionExpression="more")) == [["more"]]
        assert query(server, table, name, Select="COUNT")["Count"] == 1
    assert names(query(server, table, "some", Select="ALL_PROJECTED_ATTRIBUTES")) == [["ik", "kept", "pk", "sk"]]


@pytest.mark.parametrize("condition,low,high,wanted", [
    ("ik = :l", "b", None, lambda ik: ik == "b"), ("ik < :l", "b", None, lambda ik: ik < "b"), ("ik <= :l", "b", None, lambda ik: ik <= "b"),
    ("ik > :l", "b", None, lambda ik: ik > "b"), ("ik >= :l", "b", None, lambda ik: ik >= "b"),
    ("ik BETWEEN :l AND :h", "b", "bb", lambda ik: "b" <= ik <= "bb"), ("begins_with(ik, :l)", "b", None, lambda ik: ik.startswith("b")),
    ("begins_with(ik, :l)", "bbbbbbbb", None, lambda ik: ik.startswith("bbbbbbbb"))])
@pytest.mark.parametrize("forward", [True, False])
def test_conditions(server, table, condition, low, high, wanted, forward):
    texts = ["a", "b", "b\0", "ba", "bb", "bbbbbbbb", "bbbbbbbb\0", "bbbbbbbbc", "c", "\U0010ffff"]
    rows = [(ik, sk) for sk, ik in enumerate(texts)] + [("b", 77), ("b", -1)]
    put(server, table, *[item(pk, sk, ik) for ik, sk in rows for pk in ("a", "other")])
    values = {":l": {"S": low}, **({":h": {"S": high}} if high else {})}
    expected = sorted(row for row in rows if wanted(row[0]))
    got = query(server, table, "keys", f"pk = :p AND {condition}", values, ScanIndexForward=forward, ConsistentRead=True)
    assert shown(got) == (expected if forward else expected[::-1])


@pytest.mark.parametrize("kind,values", [("N", ["-1e9", "-3", "0", "0.5", "2", "10"]), ("B", ["AA==", "AAA=", "AQ==", "/w==", "//8="])])
def test_sort_keys_of_other_types(server, make_indexed, kind, values):
    table = make_indexed([index("one")], [attribute("ik", kind)])
    for n in random.Random(3).sample(range(len(values)), len(values)):
        put(server, table, {**key("a", n), "ik": {kind: values[n]}})
    assert [int(one["sk"]["N"]) for one in query(server, table, "one")["Items"]] == list(range(len(values)))


@pytest.mark.parametrize("forward", [True, False])
def test_pages(server, table, forward):
    rows = sorted((f"t{n % 3}", n) for n in range(20))
    put(server, table, *[item("a", n, ik) for ik, n in rows])
    seen, start = [], {}
    for _ in range(30):
        got = query(server, table, "some", Limit=3, ScanIndexForward=forward, **start)
        seen += shown(got)
        if "LastEvaluatedKey" not in got:
            break
        assert sorted(got["LastEvaluatedKey"]) == ["ik", "pk", "sk"]
        start = {"ExclusiveStartKey": got["LastEvaluatedKey"]}
    assert seen == (rows if forward else rows[::-1])


@pytest.mark.parametrize("segments", [1, 3])
def test_scan(server, make_indexed, segments):
    table = make_indexed()
    rows = sorted((pk, f"t{n % 3}", n) for pk in ("a", "b", "c", "d") for n in range(5))
    put(server, table, *[item(pk, n, ik) for pk, ik, n in rows], item("a", 99))

    def scan(**more):
        seen = []
        for segment in range(segments):
            start = {}
            for _ in range(60):
                got = server.call("Scan", TableName=table, Limit=2, Segment=segment, TotalSegments=segments, **more, **start)
                seen += got["Items"]
                if "LastEvaluatedKey" not in got:
                    break
                start = {"ExclusiveStartKey": got["LastEvaluatedKey"]}
        return seen

    for name in ("all", "keys"):
        assert sorted((one["pk"]["S"], one["ik"]["S"], int(one["sk"]["N"])) for one in scan(IndexName=name)) == rows
    assert len(scan()) == 21  # the table itself, without rows of its indexes


def test_filters(server, table):
    put(server, table, item("a", 1, "x", kept="k", more="m"), item("a", 2, "y", kept="k", more="n"))
    values = {":m": {"S": "m"}}
    for name in ("all", "some", "keys"):
        got = query(server, table, name, values=values, FilterExpression="more = :m")
        assert shown(got) == [("x", 1)] and got["ScannedCount"] == 2
    assert names(query(server, table, "keys", values=values, FilterExpression="more = :m")) == [["ik", "pk", "sk"]]
    assert shown(query(server, table, "all", values={":m": {"N": "2"}}, FilterExpression="sk = :m")) == [("y", 2)]


@pytest.mark.parametrize("members,message", [
    ({"IndexName": "missing"}, "The table does not have the specified index: missing"),
    ({"KeyConditionExpression": "pk = :p AND sk = :p"}, "Query condition missed key schema element: ik"),
    ({"FilterExpression": "ik = :p"}, "Filter Expression can only contain non-primary key attributes: Primary key attribute: ik"),
    ({"ExclusiveStartKey": key("a", 1)}, "The provided starting key is invalid"),
    ({"ExclusiveStartKey": {**item("b", 1, "x")}},
     "The provided starting key is outside query boundaries based on provided conditions"),
    ({"KeyConditionExpression": "pk = :p AND ik > :p", "ExclusiveStartKey": item("a", 1, "A")},
     "The provided starting key does not match the range key predicate"),
    ({"Select": "ALL_PROJECTED_ATTRIBUTES", "ProjectionExpression": "pk"},
     "Cannot specify the ProjectionExpression when choosing to get ALL_PROJECTED_ATTRIBUTES")])
def test_query_errors(server, table, members, message):
    request = {"TableName": table, "IndexName": "all", "KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": {"S": "a"}}}
    assert server.error("Query", {**request, **members}) == (VALIDATION, message)


def test_an_index_of_a_table_without(server, make_table):
    name = make_table("pk:S sk:N")
    assert server.error("Scan", TableName=name, IndexName="one") == (VALIDATION, "The table does not have the specified index: one")


# ---- Writes ----

def test_rows_follow_their_items(server, table):
    put(server, table, item("a", 1, "x", kept="k"))
    server.call("UpdateItem", TableName=table, Key=key("a", 1), UpdateExpression="SET #ik = :v, kept = :k",
                ExpressionAttributeNames={"#ik": "ik"}, ExpressionAttributeValues={":v": {"S": "z"}, ":k": {"S": "new"}})
    for name in ("all", "some", "keys"):
        assert shown(query(server, table, name, ConsistentRead=True)) == [("z", 1)]
    assert query(server, table, "some")["Items"][0]["kept"] == {"S": "new"}
    server.call("UpdateItem", TableName=table, Key=key("a", 1), UpdateExpression="REMOVE #ik", ExpressionAttributeNames={"#ik": "ik"})
    assert query(server, table, "all")["Count"] == 0
    put(server, table, item("a", 1, "y"))
    assert shown(query(server, table, "all")) == [("y", 1)]
    server.call("DeleteItem", TableName=table, Key=key("a", 1))
    assert query(server, table, "all")["Count"] == query(server, table, "keys")["Count"] == 0


@pytest.mark.parametrize("operation", ["PutItem", "BatchWriteItem", "UpdateItem"])
@pytest.mark.parametrize("value,put_message,update_message", [
    ({"N": "1"}, INVALID + "Type mismatch for Index Key ik Expected: S Actual: N IndexName: all", None),
    ({"M": {}}, INVALID + "Type mismatch for Index Key ik Expected: S Actual: M IndexName: all", None),
    ({"S": ""}, "One or more parameter values are not valid. A value specified for a secondary index key is not supported. "
                "The AttributeValue for a key attribute cannot contain an empty string value. IndexName: all, IndexKey: ik",
     "One or more parameter values are not valid. The update expression attempted to update a secondary index key to a value that is not "
     "supported. The AttributeValue for a key attribute cannot contain an empty string value."),
    ({"S": "x" * 1025}, INVALID + "Aggregated size of all range keys has exceeded the size limit of 1024 bytes", None)])
def test_index_keys_are_checked(server, table, operation, value, put_message, update_message):
    whole = {**key("a", 1), "ik": value}
    if operation == "PutItem":
        error = server.error("PutItem", TableName=table, Item=whole)
    elif operation == "BatchWriteItem":
        error = server.error("BatchWriteItem", RequestItems={table: [{"PutRequest": {"Item": whole}}]})
    else:
        error = server.error("UpdateItem", TableName=table, Key=key("a", 1), UpdateExpression="SET #ik = :v",
                             ExpressionAttributeNames={"#ik": "ik"}, ExpressionAttributeValues={":v": value})
    assert error == (VALIDATION, update_message if operation == "UpdateItem" and update_message else put_message)
    assert "Item" not in server.call("GetItem", TableName=table, Key=key("a", 1))


def test_the_longest_keys(server, make_indexed):
    table = make_indexed([index("one")])
    put(server, table, {**key("p" * 2048, 1), "ik": {"S": "\U0010ffff" * 256}}, {**key("p" * 2048, 2), "ik": {"S": "\0" * 1024}})
    got = query(server, table, "one", values={":p": {"S": "p" * 2048}}, Limit=1)
    assert [one["sk"] for one in got["Items"]] == [{"N": "2"}]
    got = query(server, table, "one", values={":p": {"S": "p" * 2048}}, ExclusiveStartKey=got["LastEvaluatedKey"])
    assert [one["sk"] for one in got["Items"]] == [{"N": "1"}]


# ---- Capacity and collections ----

def written(answer):
    got = answer["ConsumedCapacity"]
    units = {name: one["CapacityUnits"] for name, one in got.get("LocalSecondaryIndexes", {}).items()}
    assert got["CapacityUnits"] == got["Table"]["CapacityUnits"] + sum(units.values())
    return got["Table"]["CapacityUnits"], units


def test_write_capacity(server, table):
    def put_one(one):
        return written(server.call("PutItem", TableName=table, Item=one, ReturnConsumedCapacity="INDEXES"))

    assert put_one(item("a", 1)) == (1, {})
    assert put_one(item("a", 1, "x", kept="k")) == (1, {"all": 1, "some": 1, "keys": 1})
    assert put_one(item("a", 1, "x", kept="k")) == (1, {})
    assert put_one(item("a", 1, "x", kept="k", more="m")) == (1, {"all": 1})
    assert put_one(item("a", 1, "x", kept="n", more="m")) == (1, {"all": 1, "some": 1})
    assert put_one(item("a", 1, "y", kept="n", more="m")) == (1, {"all": 2, "some": 2, "keys": 2})
    assert put_one(item("a", 1, "y", kept="n", more="m" * 3000)) == (3, {"all": 3})
    assert put_one(item("a", 1, "z", kept="n", more="m")) == (3, {"all": 4, "some": 2, "keys": 2})
    got = server.call("DeleteItem", TableName=table, Key=key("a", 1), ReturnConsumedCapacity="INDEXES")
    assert written(got) == (1, {"all": 1, "some": 1, "keys": 1})
    got = server.call("BatchWriteItem", RequestItems={table: [{"PutRequest": {"Item": item("a", n, "x")}} for n in range(3)]},
                      ReturnConsumedCapacity="INDEXES")["ConsumedCapacity"]
    assert len(got) == 1 and got[0]["CapacityUnits"] == 12.0
    assert got[0]["LocalSecondaryIndexes"]["keys"] == {"CapacityUnits": 3.0}
    got = server.call("PutItem", TableName=table, Item=item("a", 9, "x"), ReturnConsumedCapacity="TOTAL")["ConsumedCapacity"]
    assert got == {"TableName": table, "CapacityUnits": 4.0}


def test_read_capacity(server, table):
    put(server, table, *[item("a", n, f"t{n}", more="m" * 5000) for n in range(4)])

    def consumed(name, **more):
        return written(query(server, table, name, ConsistentRead=True, ReturnConsumedCapacity="INDEXES", **more))

    assert consumed("keys") == (0, {"keys": 1})
    assert consumed("all") == (0, {"all": 5})
    assert consumed("keys", Select="ALL_ATTRIBUTES") == (8, {"keys": 1})
    assert consumed("keys", ProjectionExpression="sk, #ik", ExpressionAttributeNames={"#ik": "ik"}) == (0, {"keys": 1})
    assert consumed("keys", ProjectionExpression="more", Limit=1) == (2, {"keys": 1})
    got = query(server, table, "keys", Select="ALL_ATTRIBUTES", ReturnConsumedCapacity="INDEXES")
    assert written(got) == (4, {"keys": 0.5})


def test_fetched_items_fill_the_page(server, table):
    put(server, table, *[item("a", n, f"t{n}", more="m" * 300000) for n in range(5)])
    got = query(server, table, "keys", Select="ALL_ATTRIBUTES")
    assert got["Count"] == 3 and "LastEvaluatedKey" in got
    got = query(server, table, "keys", Select="ALL_ATTRIBUTES", ExclusiveStartKey=got["LastEvaluatedKey"])
    assert got["Count"] == 2 and "LastEvaluatedKey" not in got


def test_collection_metrics(server, table, make_table):
    metrics = {"ItemCollectionKey": {"pk": {"S": "a"}}, "SizeEstimateRangeGB": [0.0, 1.0]}
    for operation, members in (("PutItem", {"Item": item("a", 1, "x")}), ("UpdateItem", {"Key": key("a", 2)}), ("DeleteItem", {"Key": key("a", 1)})):
        got = server.call(operation, {"TableName": table, **members, "ReturnItemCollectionMetrics": "SIZE"})
        assert got["ItemCollectionMetrics"] == metrics
        assert "ItemCollectionMetrics" not in server.call(operation, {"TableName": table, **members})
    requests = [{"PutRequest": {"Item": item(pk, n)}} for pk in ("a", "b") for n in range(2)]
    got = server.call("BatchWriteItem", RequestItems={table: requests}, ReturnItemCollectionMetrics="SIZE")["ItemCollectionMetrics"]
    assert got == {table: [metrics, {**metrics, "ItemCollectionKey": {"pk": {"S": "b"}}}]}
    plain = make_table("pk:S")
    assert "ItemCollectionMetrics" not in server.call("PutItem", TableName=plain, Item=key("a"), ReturnItemCollectionMetrics="SIZE")


# ---- Over time ----

def test_indexes_agree_with_their_items_over_a_kill(tmp_path):
    """Random writes, then a kill and a start: each index holds what its items say, over several partitions."""
    options = ("--data", str(tmp_path / "data"))
    rng = random.Random(5)
    name = "indexed"
    server = Server(*options)
    try:
        server.call("CreateTable", indexed(name, BillingMode="PROVISIONED", ProvisionedThroughput={"ReadCapacityUnits": 9000, "WriteCapacityUnits": 100}))
        server.wait_active(name)
        for _ in range(300):
            pk, sk = rng.choice("abcdefgh"), rng.randrange(12)
            what = rng.randrange(4)
            if what == 0:
                server.call("DeleteItem", TableName=name, Key=key(pk, sk))
            elif what == 1:
                server.call("UpdateItem", TableName=name, Key=key(pk, sk), UpdateExpression="SET kept = :k",
                            ExpressionAttributeValues={":k": {"S": str(rng.randrange(3))}})
            else:
                ik = rng.choice([None, "x", "y", "z" * rng.randrange(1, 30)])
                put(server, name, item(pk, sk, ik, kept=str(rng.randrange(3)), more="m" * rng.choice([1, 3000])))
        server.stop(signal.SIGKILL)
        server = Server(*options)
        items = server.call("Scan", TableName=name)["Items"]
        described = server.call("DescribeTable", TableName=name)["Table"]
        assert described["ItemCount"] == len(items)
        for held, given in zip(("kept more", "kept", ""), ("all", "some", "keys")):
            wanted = [{n: v for n, v in one.items() if n in ("pk", "sk", "ik", *held.split())} for one in items if "ik" in one]
            for pk in "abcdefgh":
                rows = server.call("Query", TableName=name, IndexName=given, KeyConditionExpression="pk = :p", ConsistentRead=True,
                                   ExpressionAttributeValues={":p": {"S": pk}})["Items"]
                expected = [one for one in wanted if one["pk"]["S"] == pk]
                assert rows == sorted(expected, key=lambda one: (one["ik"]["S"], int(one["sk"]["N"])))
            rows = server.call("Scan", TableName=name, IndexName=given)
            assert rows["Count"] == len(wanted)
            assert [one["ItemCount"] for one in described["LocalSecondaryIndexes"] if one["IndexName"] == given] == [len(wanted)]
    finally:
        server.stop()
