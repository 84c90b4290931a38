"""TransactWriteItems and TransactGetItems: all or nothing, reasons, tokens, conflicts, limits, capacity."""

import random
import signal
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import Server, definition, key, new_name

CANCELED = "TransactionCanceledException"
VALIDATION = "ValidationException"
FAILED = {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}
NONE = {"Code": "None"}
EMPTY_KEY = ("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an "
             "empty string value. Key: pk")
MISMATCH = "The provided key element does not match the schema"


def cancelled(*codes):
    return "Transaction cancelled, please refer cancellation reasons for specific reasons [" + ", ".join(codes) + "]"


def put(table, item, **more):
    return {"Put": {"TableName": table, "Item": item, **more}}


def delete(table, item_key, **more):
    return {"Delete": {"TableName": table, "Key": item_key, **more}}


def check(table, item_key, condition, **more):
    return {"ConditionCheck": {"TableName": table, "Key": item_key, "ConditionExpression": condition, **more}}


def update(table, item_key, expression, **more):
    return {"Update": {"TableName": table, "Key": item_key, "UpdateExpression": expression, **more}}


def add(table, item_key, attribute, amount, **more):
    return update(table, item_key, f"ADD {attribute} :n", ExpressionAttributeValues={":n": {"N": str(amount)}}, **more)


def get(table, item_key, **more):
    return {"Get": {"TableName": table, "Key": item_key, **more}}


def write(server, *actions, **more):
    return server.signed("TransactWriteItems", {"TransactItems": list(actions), **more})


def reasons(answer):
    assert answer.error[0] == CANCELED, answer.body
    return answer.json["CancellationReasons"]


def item(server, table, item_key):
    return server.call("GetItem", TableName=table, Key=item_key, ConsistentRead=True).get("Item")


@pytest.fixture
def tables(make_table):
    """Three tables, each a partition of its own at least: with one key, with two, with several partitions."""
    many = {"BillingMode": "PROVISIONED", "ProvisionedThroughput": {"ReadCapacityUnits": 9000, "WriteCapacityUnits": 4000}}
    return make_table("pk:S"), make_table("pk:S sk:N"), make_table("pk:S", **many)


# ---- What they do ----

def test_all_kinds_over_tables(server, tables):
    one, two, many = tables
    server.call("PutItem", TableName=one, Item={**key("gone"), "v": {"N": "1"}})
    server.call("PutItem", TableName=two, Item={**key("there", 1), "v": {"N": "1"}})
    answer = write(server, put(one, {**key("new"), "v": {"S": "x"}}), delete(one, key("gone")),
                   check(two, key("there", 1), "v = :one", ExpressionAttributeValues={":one": {"N": "1"}}),
                   add(many, key("counter"), "hits", 5))
    assert (answer.status, answer.json) == (200, {})
    assert item(server, one, key("new")) == {**key("new"), "v": {"S": "x"}}
    assert item(server, one, key("gone")) is None
    assert item(server, two, key("there", 1)) == {**key("there", 1), "v": {"N": "1"}}
    assert item(server, many, key("counter")) == {**key("counter"), "hits": {"N": "5"}}


def test_boto_sends_its_tokens(boto, tables):
    one, _, many = tables
    boto.transact_write_items(TransactItems=[put(one, key("b")), put(many, key("b"))])
    got = boto.transact_get_items(TransactItems=[get(one, key("b")), get(many, key("b")), get(one, key("none"))])
    assert got["Responses"] == [{"Item": key("b")}, {"Item": key("b")}, {}]


def test_nothing_is_done_when_one_is_refused(server, tables):
    for table, other in ((tables[0], tables[0]), (tables[0], tables[2])):
        answer = write(server, put(table, key("no-1")), put(other, key("no-2")),
                       check(table, key("none"), "attribute_exists(pk)"))
        assert answer.error == (CANCELED, cancelled("None", "None", "ConditionalCheckFailed"))
        assert reasons(answer) == [NONE, NONE, FAILED]
        assert answer.json["__type"] == "com.amazonaws.dynamodb.v20120810#" + CANCELED
        assert item(server, table, key("no-1")) is None and item(server, other, key("no-2")) is None


def test_the_item_is_shown_when_its_condition_fails(server, tables):
    one, _, many = tables
    there = {**key("there"), "v": {"N": "7"}}
    server.call("PutItem", TableName=one, Item=there)
    answer = write(server, put(one, key("there"), ConditionExpression="attribute_not_exists(pk)",
                               ReturnValuesOnConditionCheckFailure="ALL_OLD"),
                   check(many, key("none"), "attribute_exists(pk)", ReturnValuesOnConditionCheckFailure="ALL_OLD"),
                   put(one, key("other"), ConditionExpression="attribute_not_exists(pk)"))
    assert reasons(answer) == [{"Item": there, **FAILED}, FAILED, NONE]


@pytest.mark.parametrize("kind", ["Put", "Delete", "Update", "ConditionCheck"])
def test_each_kind_shows_its_item(server, tables, kind):
    there = {**key("there"), "v": {"N": "7"}}
    for table in tables[0], tables[2]:
        server.call("PutItem", TableName=table, Item=there)
        member = {"TableName": table, "ConditionExpression": "#v = :v", "ExpressionAttributeNames": {"#v": "v"},
                  "ReturnValuesOnConditionCheckFailure": "ALL_OLD", "ExpressionAttributeValues": {":v": {"N": "8"}}}
        member.update({"Item": there} if kind == "Put" else {"Key": key("there")})
        if kind == "Update":
            member["UpdateExpression"] = "REMOVE #v"
        assert reasons(write(server, {kind: member}, put(tables[1], key("x", 1)))) == [{"Item": there, **FAILED}, NONE]
        assert reasons(write(server, {kind: {**member, "ReturnValuesOnConditionCheckFailure": "NONE"}})) == [FAILED]


def test_one_item_alone(server, table):
    assert write(server, put(table, key("alone"))).status == 200
    assert reasons(write(server, put(table, key("alone"), ConditionExpression="attribute_not_exists(pk)"))) == [FAILED]
    assert write(server, check(table, key("alone"), "attribute_exists(pk)")).status == 200
    assert write(server, check(table, key("none"), "attribute_not_exists(pk)")).status == 200
    assert write(server, delete(table, key("none"))).status == 200


def test_a_hundred_items(server, tables):
    for table in tables[0], tables[2]:
        assert write(server, *(put(table, {**key(f"h{i}"), "v": {"N": str(i)}}) for i in range(100))).status == 200
        got = server.call("TransactGetItems", TransactItems=[get(table, key(f"h{i}")) for i in range(100)])
        assert [r["Item"]["v"]["N"] for r in got["Responses"]] == [str(i) for i in range(100)]


def test_large_items_over_partitions(server, tables):
    big = {"pad": {"S": "x" * 380_000}}
    for one, other in ((tables[0], tables[2]), (tables[0], tables[0])):
        assert write(server, *(put((one, other)[i % 2], {**key(f"big{i}"), **big}) for i in range(10))).status == 200
        for i in range(10):
            assert len(item(server, (one, other)[i % 2], key(f"big{i}"))["pad"]["S"]) == 380_000


def test_local_indexes_follow(server):
    name = new_name()
    made = definition(name, "pk:S sk:N", LocalSecondaryIndexes=[{
        "IndexName": "by-v", "Projection": {"ProjectionType": "ALL"},
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "v", "KeyType": "RANGE"}]}])
    made["AttributeDefinitions"].append({"AttributeName": "v", "AttributeType": "N"})
    other = new_name()
    server.call("CreateTable", made)
    server.call("CreateTable", definition(other))
    for n in name, other:
        server.wait_active(n)

    def listed():
        return [(i["sk"]["N"], i["v"]["N"]) for i in server.call(
            "Query", TableName=name, IndexName="by-v", KeyConditionExpression="pk = :p", ConsistentRead=True,
            ExpressionAttributeValues={":p": {"S": "c"}})["Items"]]
    for extra in [], [put(other, key("x"))]:
        answer = write(server, *(put(name, {**key("c", i), "v": {"N": str(9 - i)}}) for i in range(4)), *extra,
                       ReturnItemCollectionMetrics="SIZE")
        assert answer.status == 200
        if not extra:
            assert answer.json["ItemCollectionMetrics"] == {
                name: [{"ItemCollectionKey": {"pk": {"S": "c"}}, "SizeEstimateRangeGB": [0.0, 1.0]}]}
        assert listed() == [("3", "6"), ("2", "7"), ("1", "8"), ("0", "9")]
        assert write(server, delete(name, key("c", 0)), update(name, key("c", 1), "SET v = :v", ExpressionAttributeValues={
            ":v": {"N": "1"}}), check(name, key("c", 2), "attribute_exists(pk)"), *extra).status == 200
        assert listed() == [("1", "1"), ("3", "6"), ("2", "7")]
        assert write(server, *(delete(name, key("c", i)) for i in range(1, 4)), *extra).status == 200
        assert listed() == []
    bad = write(server, update(name, key("c", 5), "SET v = :v", ExpressionAttributeValues={":v": {"S": "text"}}), put(other, key("y")))
    assert [r["Code"] for r in reasons(bad)] == ["ValidationError", "None"]
    for n in name, other:
        server.call("DeleteTable", TableName=n)


# ---- What is refused ----

def test_one_action_each(server, table):
    only = "TransactItems can only contain one of Check, Put, Update or Delete"
    assert server.error("TransactWriteItems", TransactItems=[{}]) == (VALIDATION, only)
    both = {**put(table, key("a")), **delete(table, key("b"))}
    assert server.error("TransactWriteItems", TransactItems=[both]) == (VALIDATION, only)


def test_an_item_comes_once(server, tables):
    twice = "Transaction request cannot include multiple operations on one item"
    for table in tables[0], tables[2]:
        assert write(server, put(table, key("a")), check(table, key("a"), "attribute_exists(pk)")).error == (VALIDATION, twice)
        assert server.error("TransactGetItems", TransactItems=[get(table, key("a")), get(table, key("a"))]) == (VALIDATION, twice)
    assert write(server, put(tables[0], key("a")), put(tables[2], key("a"))).status == 200


def test_lengths(server, table):
    message = "1 validation error detected: Value '[]' at 'transactItems' failed to satisfy constraint: Member must have length greater than or equal to 1"
    for operation in "TransactWriteItems", "TransactGetItems":
        assert server.error(operation, TransactItems=[]) == (VALIDATION, message)
    exception, text = write(server, *(put(table, key(f"{i}")) for i in range(101))).error
    assert exception == VALIDATION and text.endswith("Member must have length less than or equal to 100")
    exception, text = write(server, put(table, key("t")), ClientRequestToken="x" * 37).error
    assert exception == VALIDATION and "clientRequestToken" in text and text.endswith("less than or equal to 36")
    assert item(server, table, key("t")) is None


def test_required_members(server, table):
    exception, text = server.error("TransactWriteItems", TransactItems=[{"ConditionCheck": {"TableName": table, "Key": key("a")}}])
    assert exception == VALIDATION and "conditionExpression" in text
    exception, text = server.error("TransactGetItems", TransactItems=[{}])
    assert exception == VALIDATION and "transactItems.1.member.get" in text


def test_tables_that_are_not_there(server, table):
    missing = ("ResourceNotFoundException", "Requested resource not found")
    assert write(server, put(table, key("a")), put("no-such-table", key("a"))).error == missing
    assert server.error("TransactGetItems", TransactItems=[get(table, key("a")), get("no-such-table", key("a"))]) == missing
    assert item(server, table, key("a")) is None


def test_internal_tables_are_hidden(server, tables):
    assert write(server, put(tables[0], key("i")), put(tables[2], key("i")), ClientRequestToken=str(uuid.uuid4())).status == 200
    names, start = [], {}
    while True:
        page = server.call("ListTables", Limit=3, **start)
        names += page["TableNames"]
        if "LastEvaluatedTableName" not in page:
            break
        start = {"ExclusiveStartTableName": page["LastEvaluatedTableName"]}
    assert tables[0] in names and not [n for n in names if n.startswith("#")]
    assert server.error("DescribeTable", TableName="#ledger")[0] == VALIDATION
    assert server.error("Scan", TableName="#tokens")[0] == VALIDATION


def test_keys_at_fault(server, tables):
    one, two, _ = tables
    wrong = {"pk": {"N": "1"}}
    text = "One or more parameter values were invalid: Type mismatch for key pk expected: S actual: N"
    assert reasons(write(server, put(two, key("a", 1)), put(one, wrong))) == [NONE, {"Code": "ValidationError", "Message": text}]
    for action in (update(one, wrong, "SET v = v"), delete(one, wrong), check(one, wrong, "attribute_exists(pk)")):
        assert reasons(write(server, action, put(two, key("a", 1)))) == [{"Code": "ValidationError", "Message": MISMATCH}, NONE]
    for action in (put(one, key("")), delete(one, key("")), update(one, key(""), "SET v = v"), check(one, key(""), "attribute_exists(pk)")):
        assert write(server, action).error == (VALIDATION, EMPTY_KEY)
    assert item(server, two, key("a", 1)) is None


def test_expressions_at_fault(server, table):
    assert write(server, put(table, key("a"), ConditionExpression="bad (")).error[0] == VALIDATION
    assert write(server, put(table, key("a"), ExpressionAttributeValues={":x": {"N": "1"}})).error[0] == VALIDATION
    assert write(server, check(table, key("a"), "#x = :x", ExpressionAttributeNames={"#x": "x"})).error[0] == VALIDATION
    exception, text = server.error("TransactGetItems", TransactItems=[get(table, key("a"), ProjectionExpression="a..b")])
    assert exception == VALIDATION and text.startswith("Invalid ProjectionExpression")


def test_updates_at_fault(server, tables):
    one, _, many = tables
    server.call("PutItem", TableName=one, Item={**key("u"), "s": {"S": "x"}, "padded": {"S": "y" * 300_000}})
    for action, text in (
            (add(one, key("u"), "s", 1), "An operand in the update expression has an incorrect data type"),
            (update(one, key("u"), "SET p2 = padded"), "Item size to update has exceeded the maximum allowed size"),
            (update(one, key("u"), "SET n = absent"), "The provided expression refers to an attribute that does not exist in the item")):
        for other in one, many:
            assert reasons(write(server, put(other, key("o")), action)) == [NONE, {"Code": "ValidationError", "Message": text}]


def test_too_large_in_all(server, tables):
    pad = {"pad": {"S": "x" * 390_000}}
    exception, _ = write(server, *(put(tables[i % 2 * 2], {**key(f"m{i}"), **pad}) for i in range(11))).error
    assert exception == VALIDATION
    assert item(server, tables[0], key("m0")) is None
    for i in range(11):
        server.call("PutItem", TableName=tables[i % 2 * 2], Item={**key(f"m{i}"), **pad})
    gets = [get(tables[i % 2 * 2], key(f"m{i}")) for i in range(11)]
    too_large = (VALIDATION, "Collective size of items in transaction exceeds the limit of 4 MB")
    assert server.error("TransactGetItems", TransactItems=gets) == too_large
    assert server.error("TransactGetItems", TransactItems=[*gets[::2], *gets[1::2]]) == too_large
    rest = 4 * 1024 * 1024 - 10 * (390_000 + len("pkm0pad"))
    server.call("PutItem", TableName=tables[0], Item={"pk": {"S": "m10"}, "v": {"S": "x" * (rest - len("pkm10v"))}})
    assert len(server.call("TransactGetItems", TransactItems=gets)["Responses"]) == 11
    server.call("PutItem", TableName=tables[0], Item={"pk": {"S": "m10"}, "v": {"S": "x" * (rest - len("pkm10v") + 1)}})
    assert server.error("TransactGetItems", TransactItems=gets) == too_large
    for i in range(11):
        server.call("PutItem", TableName=tables[0], Item={**key(f"m{i}"), **pad})
    assert server.error("TransactGetItems", TransactItems=[get(tables[0], key(f"m{i}")) for i in range(11)]) == too_large


# ---- Capacity ----

def test_capacity(server, tables):
    one, two, _ = tables
    server.call("PutItem", TableName=one, Item={**key("big"), "pad": {"S": "x" * 3000}})
    answer = write(server, put(one, key("small")), delete(one, key("big")), check(one, key("none"), "attribute_not_exists(pk)"),
                   put(two, {**key("c", 1), "pad": {"S": "x" * 1500}}), ReturnConsumedCapacity="TOTAL").json
    assert answer["ConsumedCapacity"] == [{"TableName": one, "CapacityUnits": 10.0, "WriteCapacityUnits": 10.0},
                                          {"TableName": two, "CapacityUnits": 4.0, "WriteCapacityUnits": 4.0}]
    got = server.call("TransactGetItems", TransactItems=[get(one, key("small")), get(one, key("none")), get(two, key("c", 1))],
                      ReturnConsumedCapacity="INDEXES")
    arm = {"CapacityUnits": 4.0, "ReadCapacityUnits": 4.0}
    assert got["ConsumedCapacity"][0] == {"TableName": one, **arm, "Table": arm}
    assert got["ConsumedCapacity"][1]["CapacityUnits"] == 2.0
    assert "ConsumedCapacity" not in write(server, put(one, key("small")), ReturnConsumedCapacity="NONE").json


def test_capacity_of_indexes(server, table):
    """A transaction costs the table twice, and its indexes what any write costs them."""
    name = new_name()
    made = definition(
        name, "pk:S sk:N",
        LocalSecondaryIndexes=[{"IndexName": "local", "Projection": {"ProjectionType": "ALL"}, "KeySchema": [
            {"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "v", "KeyType": "RANGE"}]}],
        GlobalSecondaryIndexes=[{"IndexName": "global", "Projection": {"ProjectionType": "KEYS_ONLY"}, "KeySchema": [
            {"AttributeName": "v", "KeyType": "HASH"}]}])
    made["AttributeDefinitions"].append({"AttributeName": "v", "AttributeType": "N"})
    server.call("CreateTable", made)
    server.wait_active(name)
    pad = {"pad": {"S": "x" * 1500}}
    plain = server.call("PutItem", TableName=name, Item={**key("plain", 1), "v": {"N": "1"}, **pad},
                        ReturnConsumedCapacity="INDEXES")["ConsumedCapacity"]
    assert plain["Table"] == {"CapacityUnits": 2.0} and plain["LocalSecondaryIndexes"] == {"local": {"CapacityUnits": 2.0}}
    assert plain["GlobalSecondaryIndexes"] == {"global": {"CapacityUnits": 1.0}}
    for n, extra in enumerate(([], [put(table, key("x"))])):
        answer = write(server, put(name, {**key("t", n), "v": {"N": "1"}, **pad}), *extra, ReturnConsumedCapacity="INDEXES").json
        of = next(c for c in answer["ConsumedCapacity"] if c["TableName"] == name)
        assert (of["CapacityUnits"], of["Table"]["CapacityUnits"]) == (7.0, 4.0)
        assert of["LocalSecondaryIndexes"]["local"]["CapacityUnits"] == 2.0
        assert of["GlobalSecondaryIndexes"]["global"]["CapacityUnits"] == 1.0
    server.call("DeleteTable", TableName=name)


def test_maximums_are_held_to(server, table):
    """Of an on-demand table that has them."""
    name = new_name()
    server.call("CreateTable", definition(name, OnDemandThroughput={"MaxReadRequestUnits": 1, "MaxWriteRequestUnits": 1}))
    server.wait_active(name)
    for extra in [], [put(table, key("x"))]:
        for _ in range(10):
            answer = write(server, put(name, {**key("a"), "pad": {"S": "x" * 100_000}}), *extra)
            if answer.status != 200:
                break
        assert [(r["Code"], r["Message"][:35]) for r in reasons(answer)[:1]] == [("ThrottlingError", "Throughput exceeds the maximum OnDe")]
        assert reasons(answer)[1:] == [NONE][:len(extra)]
    for _ in range(50):
        answer = server.signed("TransactGetItems", {"TransactItems": [get(name, key("a")), get(table, key("a"))]})
        if answer.status != 200:
            break
    assert [r["Code"] for r in reasons(answer)] == ["ThrottlingError", "None"]
    server.call("DeleteTable", TableName=name)


def test_throughput_is_held_to():
    running = Server("--in-memory")
    slow, other = new_name(), new_name()
    running.call("CreateTable", definition(slow, ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}))
    running.call("CreateTable", definition(other))
    for name in slow, other:
        running.wait_active(name)
    big = {"pad": {"S": "x" * 100_000}}
    for actions in [put(slow, {**key("a"), **big})], [put(slow, {**key("b"), **big}), put(other, key("b"))]:
        for _ in range(10):
            answer = write(running, *actions)
            if answer.status != 200:
                break
        assert [r["Code"] for r in reasons(answer)] == ["ProvisionedThroughputExceeded", "None"][:len(actions)]
    for _ in range(50):
        answer = running.signed("TransactGetItems", {"TransactItems": [get(slow, key("a"))]})
        if answer.status != 200:
            break
    assert [r["Code"] for r in reasons(answer)] == ["ProvisionedThroughputExceeded"]
    running.stop()


# ---- Reading ----

def test_get_projects(server, tables):
    one, two, _ = tables
    server.call("PutItem", TableName=one, Item={**key("g"), "a": {"N": "1"}, "size": {"N": "2"}})
    server.call("PutItem", TableName=two, Item={**key("g", 2), "a": {"N": "3"}})
    got = server.call("TransactGetItems", TransactItems=[
        get(one, key("g"), ProjectionExpression="#s", ExpressionAttributeNames={"#s": "size"}), get(two, key("g", 2)),
        get(two, key("g", 3))])
    assert got["Responses"] == [{"Item": {"size": {"N": "2"}}}, {"Item": {**key("g", 2), "a": {"N": "3"}}}, {}]


def test_get_keys_at_fault(server, table):
    answer = server.signed("TransactGetItems", {"TransactItems": [get(table, {"pk": {"N": "1"}}), get(table, key("a"))]})
    assert reasons(answer) == [{"Code": "ValidationError", "Message": MISMATCH}, NONE]
    assert server.error("TransactGetItems", TransactItems=[get(table, key(""))]) == (VALIDATION, EMPTY_KEY)


# ---- Tokens ----

def test_a_token_makes_it_idempotent(server, tables):
    one, _, many = tables
    for other in one, many:
        token = str(uuid.uuid4())
        actions = add(one, key("t1"), "n", 1), add(other, key("t2"), "n", 1)
        for _ in range(3):
            assert write(server, *actions, ClientRequestToken=token).status == 200
        before = int(item(server, one, key("t1"))["n"]["N"])
        again = write(server, *actions, ClientRequestToken=token, ReturnConsumedCapacity="TOTAL").json["ConsumedCapacity"]
        assert sum(c["ReadCapacityUnits"] for c in again) == 4.0
        assert int(item(server, one, key("t1"))["n"]["N"]) == before
        assert write(server, *actions).status == 200
        assert int(item(server, one, key("t1"))["n"]["N"]) == before + 1
        exception, text = write(server, add(one, key("t1"), "n", 2), actions[1], ClientRequestToken=token).error
        assert exception == "IdempotentParameterMismatchException" and "idempotent token" in text


def test_a_token_of_one_that_was_cancelled_is_free(server, tables):
    one, _, many = tables
    for other in one, many:
        token = str(uuid.uuid4())
        refused = check(one, key("no"), "attribute_exists(pk)"), put(other, key("free"))
        for _ in range(2):
            assert reasons(write(server, *refused, ClientRequestToken=token))[0] == FAILED
        assert write(server, put(other, key("free")), put(one, key("other")), ClientRequestToken=token).status == 200
        assert item(server, other, key("free")) == key("free")


def test_one_token_many_clients(server, tables):
    one, _, many = tables
    for other in one, many:
        token, name = str(uuid.uuid4()), str(uuid.uuid4())
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: write(server, add(one, key(name), "n", 1), add(other, key(name + "x"), "n", 1),
                                                    ClientRequestToken=token), range(64)))
        assert {a.error[0] for a in answers if a.status != 200} <= {"TransactionInProgressException"}
        assert any(a.status == 200 for a in answers)
        assert item(server, one, key(name))["n"] == {"N": "1"} and item(server, other, key(name + "x"))["n"] == {"N": "1"}


# ---- Many at once ----

def in_parallel(work, count, clients=16):
    with ThreadPoolExecutor(clients) as pool:
        return list(pool.map(work, range(count)))


def conflict_or_failed(answer):
    codes = {r["Code"] for r in reasons(answer)}
    assert codes <= {"None", "TransactionConflict", "ConditionalCheckFailed"} and codes != {"None"}
    return codes


def test_conditional_transactions_have_one_winner(server, tables):
    one, _, many = tables
    for other in one, many:
        name = str(uuid.uuid4())

        def create(n, other=other, name=name):
            answer = write(server, put(one, {**key(name), "by": {"N": str(n)}}, ConditionExpression="attribute_not_exists(pk)"),
                           put(other, {**key(name + "x"), "by": {"N": str(n)}}))
            if answer.status != 200:
                conflict_or_failed(answer)
            return n if answer.status == 200 else None
        winners = [n for n in in_parallel(create, 300) if n is not None]
        assert len(winners) == 1
        by = {"N": str(winners[0])}
        assert item(server, one, key(name))["by"] == by and item(server, other, key(name + "x"))["by"] == by


def test_transfers_keep_the_sum(server, tables):
    one, _, many = tables
    accounts = [(one if i % 2 else many, key(f"account{i}")) for i in range(6)]
    for table, account in accounts:
        server.call("PutItem", TableName=table, Item={**account, "n": {"N": "100"}})
    done = []

    def transfer(n):
        chosen = random.Random(n).sample(range(6), 2)
        (t1, a), (t2, b) = accounts[chosen[0]], accounts[chosen[1]]
        enough = {":n": {"N": "-1"}, ":one": {"N": "1"}}
        answer = write(server, update(t1, a, "ADD n :n", ConditionExpression="n >= :one", ExpressionAttributeValues=enough), add(t2, b, "n", 1))
        if answer.status != 200:
            conflict_or_failed(answer)
        else:
            done.append(n)
        read = server.signed("TransactGetItems", {"TransactItems": [get(*account) for account in accounts]})
        if read.status == 200:
            assert sum(int(r["Item"]["n"]["N"]) for r in read.json["Responses"]) == 600
        else:
            assert {r["Code"] for r in reasons(read)} <= {"None", "TransactionConflict"}
    in_parallel(transfer, 300)
    assert done
    assert sum(int(item(server, *account)["n"]["N"]) for account in accounts) == 600


def test_single_writes_beside_transactions(server, tables):
    """Each counts what was acknowledged; a write that meets a transaction is refused with a conflict."""
    one, _, many = tables
    for table in one, many:
        server.call("PutItem", TableName=table, Item={**key("shared"), "n": {"N": "0"}})

    def count(n):
        if n % 2:
            answer = server.signed("UpdateItem", add(one, key("shared"), "n", 1)["Update"])
            if answer.status != 200:
                assert answer.error == ("TransactionConflictException", "Transaction is ongoing for the item")
            return (answer.status == 200, 0)
        answer = write(server, add(one, key("shared"), "n", 1), add(many, key("shared"), "n", 1))
        if answer.status != 200:
            conflict_or_failed(answer)
        return (answer.status == 200, answer.status == 200)
    counts = in_parallel(count, 400)
    assert item(server, one, key("shared"))["n"] == {"N": str(sum(c[0] for c in counts))}
    assert item(server, many, key("shared"))["n"] == {"N": str(sum(c[1] for c in counts))}


def test_batches_leave_what_a_transaction_has(server, tables):
    one, _, many = tables

    def work(n):
        if n % 2:
            return write(server, put(one, {**key("b"), "n": {"N": str(n)}}), put(many, {**key("b"), "n": {"N": str(n)}})).status
        answer = server.call("BatchWriteItem", RequestItems={one: [{"PutRequest": {"Item": {**key("b"), "n": {"N": str(n)}}}},
                                                                   {"PutRequest": {"Item": key(f"b{n}")}}]})
        assert len(answer["UnprocessedItems"].get(one, [])) <= 1
        assert item(server, one, key(f"b{n}")) == key(f"b{n}")
        return 200
    assert 200 in in_parallel(work, 200)


def test_scans_and_queries_show_items_alone(server, tables):
    one, _, many = tables

    def work(n):
        if n % 2:
            write(server, put(one, key(f"s{n % 7}")), put(many, key(f"s{n % 7}")))
        else:
            for table in one, many:
                for found in server.call("Scan", TableName=table)["Items"]:
                    assert found == key(found["pk"]["S"])
    in_parallel(work, 100)
    assert server.call("Scan", TableName=many)["Count"] == 7
    assert server.call("DescribeTable", TableName=many)["Table"]["ItemCount"] == 7


def test_survives_kill(tmp_path):
    """What was acknowledged is there after a kill -9, whole; what was not is there whole or not at all; and soon nothing is
    under way any more."""
    running = Server("--data", str(tmp_path / "data"))
    names = [new_name(), new_name()]
    for name in names:
        running.call("CreateTable", definition(name))
        running.wait_active(name)
    done = set()

    def work(n):
        try:
            if write(running, *(add(name, key(f"k{n % 5}"), "n", 1) for name in names), ClientRequestToken=f"kill-{n}").status == 200:
                done.add(n)
        except OSError:
            pass
        if n == 120:
            running.process.send_signal(signal.SIGKILL)
    try:
        in_parallel(work, 200, 8)
    except Exception:  # the answer that was cut off
        pass
    running.stop(signal.SIGKILL)
    running = Server("--data", str(tmp_path / "data"))
    totals = []
    for n in range(5):
        while True:
            read = running.signed("TransactGetItems", {"TransactItems": [get(name, key(f"k{n}")) for name in names]})
            if read.status == 200:
                break
            assert {r["Code"] for r in reasons(read)} <= {"None", "TransactionConflict"}
        counts = [int(r["Item"]["n"]["N"]) if "Item" in r else 0 for r in read.json["Responses"]]
        assert counts[0] == counts[1] >= sum(1 for d in done if d % 5 == n)
        totals.append(counts[0])
    for n in sorted(done):  # the tokens remember
        while True:
            answer = write(running, *(add(name, key(f"k{n % 5}"), "n", 1) for name in names), ClientRequestToken=f"kill-{n}")
            if answer.status == 200:
                break
            assert answer.error[0] == "TransactionInProgressException"
    assert [int(item(running, names[0], key(f"k{n}"))["n"]["N"]) for n in range(5)] == totals
    running.stop()


def test_global_indexes_follow(server, table):
    name = new_name()
    made = definition(name, GlobalSecondaryIndexes=[{
        "IndexName": "by-v", "Projection": {"ProjectionType": "ALL"}, "KeySchema": [{"AttributeName": "v", "KeyType": "HASH"}]}])
    made["AttributeDefinitions"].append({"AttributeName": "v", "AttributeType": "N"})
    server.call("CreateTable", made)
    server.wait_active(name)

    def wait_for(v, wanted):
        deadline = time.monotonic() + 30
        while True:
            got = sorted(i["pk"]["S"] for i in server.call(
                "Query", TableName=name, IndexName="by-v", KeyConditionExpression="v = :v",
                ExpressionAttributeValues={":v": {"N": str(v)}})["Items"])
            if got == wanted:
                return
            assert time.monotonic() < deadline, (v, got, wanted)
    for extra in [], [put(table, key("x"))]:
        assert write(server, put(name, {**key("a"), "v": {"N": "1"}}), put(name, {**key("b"), "v": {"N": "1"}}), *extra).status == 200
        wait_for(1, ["a", "b"])
        assert write(server, add(name, key("a"), "v", 1), check(name, key("b"), "attribute_exists(pk)"), *extra).status == 200
        wait_for(1, ["b"])
        wait_for(2, ["a"])
        assert write(server, delete(name, key("a")), delete(name, key("b")), *extra).status == 200
        wait_for(1, [])
        wait_for(2, [])
    server.call("DeleteTable", TableName=name)
