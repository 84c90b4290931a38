"""Many clients at once: conditions have one winner, counters lose nothing."""

from concurrent.futures import ThreadPoolExecutor

from conftest import key

CLIENTS = 16


def in_parallel(work, count):
    with ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(work, range(count)))


def test_conditional_puts_have_one_winner(server, table):
    def create(n):
        answer = server.signed("PutItem", {"TableName": table, "Item": {**key("one"), "by": {"N": str(n)}},
                                           "ConditionExpression": "attribute_not_exists(pk)"})
        if answer.status == 200:
            return n
        assert answer.error[0] == "ConditionalCheckFailedException"
        return None
    winners = [n for n in in_parallel(create, 200) if n is not None]
    assert len(winners) == 1
    assert server.call("GetItem", TableName=table, Key=key("one"), ConsistentRead=True)["Item"]["by"] == {"N": str(winners[0])}


def test_versions_go_up_one_by_one(server, table):
    server.call("PutItem", TableName=table, Item={**key("v"), "version": {"N": "0"}})

    def bump(n):
        version = n // CLIENTS  # many try the same step
        answer = server.signed("UpdateItem", {
            "TableName": table, "Key": key("v"), "UpdateExpression": "SET version = :new", "ConditionExpression": "version = :old",
            "ExpressionAttributeValues": {":old": {"N": str(version)}, ":new": {"N": str(version + 1)}}})
        return version if answer.status == 200 else None
    won = [version for version in in_parallel(bump, CLIENTS * 10) if version is not None]
    assert len(won) == len(set(won))
    assert int(server.call("GetItem", TableName=table, Key=key("v"))["Item"]["version"]["N"]) == len(won)


def test_counters_lose_nothing(server, table):
    def add(n):
        return server.call("UpdateItem", TableName=table, Key=key("c"), UpdateExpression="ADD hits :one",
                           ExpressionAttributeValues={":one": {"N": "1"}}, ReturnValues="UPDATED_NEW")["Attributes"]["hits"]["N"]
    seen = in_parallel(add, 400)
    assert sorted(map(int, seen)) == list(range(1, 401))


def test_deletes_have_one_winner(server, table):
    server.call("PutItem", TableName=table, Item=key("d"))
    got = in_parallel(lambda n: server.call("DeleteItem", TableName=table, Key=key("d"), ReturnValues="ALL_OLD"), 100)
    assert sum("Attributes" in answer for answer in got) == 1


def test_one_table_is_made_once(server):
    from conftest import definition, new_name
    name = new_name()
    got = in_parallel(lambda n: server.signed("CreateTable", definition(name)).status, 50)
    assert sorted(got)[:1] == [200] and got.count(200) == 1
    server.wait_active(name)
    server.call("DeleteTable", TableName=name)
