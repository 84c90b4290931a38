"""Documented limits: what is accepted at each, and what is refused one beyond it.  docs/compatibility.md, Limits, has the list."""

import pytest

from conftest import definition, key, new_name
from test_index_throttling import Clocked

VALIDATION = "ValidationException"
INVALID = "One or more parameter values were invalid: "
KILOBYTE, MEGABYTE = 1024, 1024 * 1024
HASH_TOO_LONG = (VALIDATION, INVALID + "Size of hashkey has exceeded the maximum size limit of2048 bytes")
RANGE_TOO_LONG = (VALIDATION, INVALID + "Aggregated size of all range keys has exceeded the size limit of 1024 bytes")
TOO_NESTED = "Nesting Levels have exceeded supported limits"


def constrained(place, text):
    """The end of a constraint's text, which begins with the value."""
    return f"' at '{place}' failed to satisfy constraint: {text}"


def at_most(place, most):
    return constrained(place, f"Member must have length less than or equal to {most}")


def at_least(place, least):
    return constrained(place, f"Member must have length greater than or equal to {least}")


def refused(server, operation, end, **members):
    error, text = server.error(operation, members)
    assert error == VALIDATION and text.endswith(end), text[-400:]


def sized(pk, size):
    """An item of so many bytes."""
    return {**key(pk), "f": {"S": "x" * (size - len("pk") - len(pk) - len("f"))}}


def indexed(name, index="index", hashes=("g",), ranges=(), projection=None):
    """CreateTable's members for a table with one global index."""
    members = definition(name)
    members["AttributeDefinitions"] += [{"AttributeName": one, "AttributeType": "S"} for one in (*hashes, *ranges)]
    members["GlobalSecondaryIndexes"] = [{
        "IndexName": index, "Projection": projection or {"ProjectionType": "ALL"},
        "KeySchema": [{"AttributeName": one, "KeyType": kind} for kind, ones in (("HASH", hashes), ("RANGE", ranges)) for one in ones]}]
    return members


@pytest.fixture
def created(server):
    """created(members) creates a table, which is deleted at the end."""
    names = []

    def create(members):
        server.call("CreateTable", members)
        names.append(server.wait_active(members["TableName"]))
        return names[-1]
    yield create
    for name in names:
        server.call("DeleteTable", TableName=name)


# ---- Names ----

def test_names_of_tables(server, created):
    for name in ("abc", "a_b", "-.-", "n" * 255):
        created(definition(name))
    refused(server, "CreateTable", at_least("tableName", 3), **definition("ab"))
    refused(server, "CreateTable", at_most("tableName", 255), **definition("n" * 256))
    refused(server, "CreateTable", "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+", **definition("a b"))


def test_names_of_indexes(server, created):
    place = "globalSecondaryIndexes.1.member.indexName"
    for name in ("abc", "-._", "n" * 255):
        created(indexed(new_name(), name))
    refused(server, "CreateTable", at_least(place, 3), **indexed(new_name(), "ab"))
    refused(server, "CreateTable", at_most(place, 255), **indexed(new_name(), "n" * 256))
    refused(server, "CreateTable", "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+", **indexed(new_name(), "a+b"))


def test_names_of_attributes_of_keys_and_projections(server, created):
    name = created(definition(new_name(), "k" * 255 + ":S"))
    server.call("PutItem", TableName=name, Item={"k" * 255: {"S": "x"}})
    refused(server, "CreateTable", at_most("keySchema.1.member.attributeName", 255), **definition(new_name(), "k" * 256 + ":S"))
    created(indexed(new_name(), projection={"ProjectionType": "INCLUDE", "NonKeyAttributes": ["n" * 255]}))
    refused(server, "CreateTable", constrained("globalSecondaryIndexes.1.member.projection.nonKeyAttributes", (
        "Member must satisfy constraint: [Member must have length less than or equal to 255, Member must have length greater than or equal to 1]")),
        **indexed(new_name(), projection={"ProjectionType": "INCLUDE", "NonKeyAttributes": ["n" * 256]}))


@pytest.mark.parametrize("operation,member,least,most,more", [
    ("TagResource", "ResourceArn", 1, 1283, {"Tags": [{"Key": "a", "Value": "b"}]}),
    ("DeleteResourcePolicy", "ExpectedRevisionId", 1, 255, {"ResourceArn": "arn:aws:dynamodb:us-east-1:000000000000:table/abc"}),
    ("ExecuteStatement", "NextToken", 1, 32768, {"Statement": "SELECT * FROM abc"}),
    ("DescribeStream", "StreamArn", 37, 1024, {}), ("GetRecords", "ShardIterator", 1, 2048, {}),
    ("GetShardIterator", "ShardId", 28, 65, {"StreamArn": "a" * 37, "ShardIteratorType": "LATEST"}),
    ("GetShardIterator", "SequenceNumber", 21, 40, {"StreamArn": "a" * 37, "ShardId": "s" * 28, "ShardIteratorType": "AT_SEQUENCE_NUMBER"})])
def test_lengths_of_members(server, operation, member, least, most, more):
    """At both ends it is something else that is wrong."""
    service = "DynamoDBStreams_20120810" if member in ("StreamArn", "ShardIterator", "ShardId", "SequenceNumber") else "DynamoDB_20120810"
    place = member[0].lower() + member[1:]
    for length, end in ((least, None), (most, None), (least - 1, at_least(place, least)), (most + 1, at_most(place, most))):
        error, text = server.signed(operation, {**more, member: "1" * length}, service=service).error
        if end:
            assert error == VALIDATION and text.endswith(end), text
        else:
            assert f"at '{place}' failed to satisfy constraint: Member must have length" not in text


# ---- Keys and items ----

@pytest.mark.parametrize("operation,member", [("PutItem", "Item"), ("GetItem", "Key"), ("UpdateItem", "Key"), ("DeleteItem", "Key")])
def test_lengths_of_keys(server, make_table, operation, member):
    """Bytes of UTF-8, not characters."""
    table = make_table("pk:S sk:S")
    most = {"pk": {"S": "\u00e9" * 1024}, "sk": {"S": "\u00e9" * 512}}
    server.call(operation, {"TableName": table, member: most})
    for name, error in (("pk", HASH_TOO_LONG), ("sk", RANGE_TOO_LONG)):
        longer = {**most, name: {"S": most[name]["S"] + "x"}}
        assert server.error(operation, {"TableName": table, member: longer}) == error


def test_lengths_of_keys_in_conditions(server, make_table):
    table = make_table("pk:S sk:S")

    def members(pk, sk):
        return {"TableName": table, "KeyConditionExpression": "pk = :p AND sk = :s",
                "ExpressionAttributeValues": {":p": {"S": "x" * pk}, ":s": {"S": "x" * sk}}}
    assert server.call("Query", members(2048, 1024))["Count"] == 0
    assert server.error("Query", members(2049, 1024)) == HASH_TOO_LONG
    assert server.error("Query", members(2048, 1025)) == RANGE_TOO_LONG


def test_lengths_of_keys_of_several_items(server, make_table):
    table = make_table("pk:S sk:S")
    most = {"pk": {"S": "x" * 2048}, "sk": {"S": "x" * 1024}}

    def each(item):
        condition = f"pk = '{item['pk']['S']}' AND sk = '{item['sk']['S']}'"
        yield "BatchGetItem", {"RequestItems": {table: {"Keys": [item]}}}
        yield "BatchWriteItem", {"RequestItems": {table: [{"PutRequest": {"Item": item}}]}}
        yield "BatchWriteItem", {"RequestItems": {table: [{"DeleteRequest": {"Key": item}}]}}
        yield "ExecuteStatement", {"Statement": f"SELECT * FROM \"{table}\" WHERE {condition}"}
        yield "ExecuteStatement", {"Statement": f"INSERT INTO \"{table}\" VALUE {{'pk': '{item['pk']['S']}', 'sk': '{item['sk']['S']}'}}"}
        yield "ExecuteStatement", {"Statement": f"DELETE FROM \"{table}\" WHERE {condition}"}
        yield "TransactWriteItems", {"TransactItems": puts(table, [item])}
        yield "TransactGetItems", {"TransactItems": [{"Get": {"TableName": table, "Key": item}}]}
    for name, error in (("pk", HASH_TOO_LONG), ("sk", RANGE_TOO_LONG)):
        for (operation, members), (_, beyond) in zip(each(most), each({**most, name: {"S": most[name]["S"] + "x"}})):
            server.call(operation, members)
            answer = server.signed(operation, beyond)
            if operation.startswith("Transact"):  # a reason of it
                assert answer.json["CancellationReasons"] == [{"Code": "ValidationError", "Message": error[1]}]
            else:
                assert answer.error == error


def test_lengths_of_keys_of_indexes(server, created):
    """Those of one type together."""
    table = created(indexed(new_name(), hashes=("g", "h"), ranges=("r", "s")))
    most = {"g": "x" * 2000, "h": "x" * 48, "r": "x" * 24, "s": "x" * 1000}

    def item(values):
        return {**key("a"), **{name: {"S": text} for name, text in values.items()}}
    server.call("PutItem", TableName=table, Item=item(most))
    for name, error in (("g", HASH_TOO_LONG), ("h", HASH_TOO_LONG), ("r", RANGE_TOO_LONG), ("s", RANGE_TOO_LONG)):
        longer = {**most, name: most[name] + "x"}
        assert server.error("PutItem", TableName=table, Item=item(longer)) == error
        assert server.error("UpdateItem", TableName=table, Key=key("a"), UpdateExpression=f"SET {name} = :v",
                            ExpressionAttributeValues={":v": {"S": longer[name]}}) == error
    assert server.call("GetItem", TableName=table, Key=key("a"), ConsistentRead=True)["Item"] == item(most)


def test_four_and_four_attributes_of_an_index_key(server, created):
    hashes, ranges = [f"h{n}" for n in range(5)], [f"r{n}" for n in range(5)]
    created(indexed(new_name(), hashes=hashes[:4], ranges=ranges[:4]))
    text = INVALID + "The KeySchema exceeds the maximum allowed number of {} key attributes"
    refused(server, "CreateTable", text.format("HASH"), **indexed(new_name(), hashes=hashes))
    refused(server, "CreateTable", text.format("RANGE"), **indexed(new_name(), hashes=hashes[:1], ranges=ranges))


def test_400_kilobytes_of_an_item(server, table):
    """Whoever writes it."""
    name, most, more = f'"{table}"', sized("a", 400 * KILOBYTE), sized("a", 400 * KILOBYTE + 1)
    update = {"TableName": table, "Key": key("a"), "UpdateExpression": "SET f = :f"}
    statement = f"INSERT INTO {name} VALUE {{'pk': 'a', 'f': ?}}"
    too_large = (VALIDATION, "Item size has exceeded the maximum allowed size")
    update_too_large = (VALIDATION, "Item size to update has exceeded the maximum allowed size")

    def each(item):
        yield "PutItem", {"TableName": table, "Item": item}, too_large
        yield "UpdateItem", {**update, "ExpressionAttributeValues": {":f": item["f"]}}, update_too_large
        yield "BatchWriteItem", {"RequestItems": {table: [{"PutRequest": {"Item": item}}]}}, too_large
        yield "ExecuteStatement", {"Statement": statement, "Parameters": [item["f"]]}, too_large
    for (operation, members, _), (_, beyond, error) in zip(each(most), each(more)):
        server.call("DeleteItem", TableName=table, Key=key("a"))
        server.call(operation, members)
        assert server.error(operation, beyond) == error
        assert server.call("GetItem", TableName=table, Key=key("a"), ConsistentRead=True)["Item"] == most


def nested(levels):
    value = {"S": "x"}
    for level in range(levels - 1):
        value = {"L": [value]} if level % 2 else {"M": {"a": value}}
    return value


def test_32_levels(server, table):
    server.call("PutItem", TableName=table, Item={**key("a"), "v": nested(32)})
    update = {"TableName": table, "Key": key("a"), "UpdateExpression": "SET v = :v"}
    server.call("UpdateItem", {**update, "ExpressionAttributeValues": {":v": nested(32)}})
    text = TOO_NESTED + ": Attributes in the item have nested levels beyond supported limit"
    assert server.error("PutItem", TableName=table, Item={**key("a"), "v": nested(33)}) == (VALIDATION, text)
    assert server.error("UpdateItem", {**update, "ExpressionAttributeValues": {":v": nested(33)}}) == (
        VALIDATION, f"ExpressionAttributeValues contains invalid value: {text} for key :v")
    for levels in (32, 33):
        statement = f"INSERT INTO \"{table}\" VALUE {{'pk': 'literal', 'v': {'[' * (levels - 1)}1{']' * (levels - 1)}}}"
        if levels == 32:
            server.call("ExecuteStatement", Statement=statement)
        else:
            assert server.error("ExecuteStatement", Statement=statement) == (VALIDATION, text)
    for levels, fits in ((31, True), (32, False)):  # one level deeper than the value is
        deeper = {**update, "UpdateExpression": "SET w.a = :v", "ExpressionAttributeValues": {":v": nested(levels)}}
        server.call("PutItem", TableName=table, Item={**key("a"), "w": {"M": {}}})
        if fits:
            server.call("UpdateItem", deeper)
        else:
            assert server.error("UpdateItem", deeper) == (VALIDATION, text)


def test_32_elements_of_a_path(server, table):
    server.call("PutItem", TableName=table, Item=key("a"))
    for element in (".a", "[0]"):
        server.call("GetItem", TableName=table, Key=key("a"), ProjectionExpression="v" + element * 31)
        assert server.error("GetItem", TableName=table, Key=key("a"), ProjectionExpression="v" + element * 32) == (
            VALIDATION, "Invalid ProjectionExpression: The document path has too many nesting elements; nesting levels: 33")


LARGEST = "9." + "9" * 37 + "E+125"


@pytest.mark.parametrize("most,beyond,message", [
    (LARGEST, "1E+126", "Number overflow. Attempting to store a number with magnitude larger than supported range"),
    ("-" + LARGEST, "-1E+126", "Number overflow. Attempting to store a number with magnitude larger than supported range"),
    ("1E-130", "9.9E-131", "Number underflow. Attempting to store a number with magnitude smaller than supported range"),
    ("-1E-130", "-9.9E-131", "Number underflow. Attempting to store a number with magnitude smaller than supported range"),
    ("1" * 38 + "0" * 50, "1" * 39, "Attempting to store more than 38 significant digits in a Number"),
    ("0." + "1" * 38, "1" + "0" * 37 + "1", "Attempting to store more than 38 significant digits in a Number")])
def test_numbers(server, table, most, beyond, message):
    server.call("PutItem", TableName=table, Item={**key("a"), "n": {"N": most}})
    assert server.error("PutItem", TableName=table, Item={**key("a"), "n": {"N": beyond}}) == (VALIDATION, message)
    assert server.error("UpdateItem", TableName=table, Key=key("a"), UpdateExpression="SET n = :n", ExpressionAttributeValues={
        ":n": {"N": beyond}}) == (VALIDATION, f"ExpressionAttributeValues contains invalid value: {message} for key :n")
    for number in (most, beyond):
        statement = f"UPDATE \"{table}\" SET n = {number} WHERE pk = 'a'"
        if number == most:
            server.call("ExecuteStatement", Statement=statement)
        else:
            assert server.error("ExecuteStatement", Statement=statement) == (VALIDATION, message + " under root")


@pytest.mark.parametrize("begin,fits,beyond,message", [
    (LARGEST, "0", "9E+125", "Number overflow. Attempting to store a number with magnitude larger than supported range"),
    ("9" * 37, "1", "0.01", "Attempting to store more than 38 significant digits in a Number")])
def test_sums(server, table, begin, fits, beyond, message):
    server.call("PutItem", TableName=table, Item={**key("a"), "n": {"N": begin}})
    for expression in ("SET m = n + :v", "ADD n :v"):
        update = {"TableName": table, "Key": key("a"), "UpdateExpression": expression}
        assert server.error("UpdateItem", {**update, "ExpressionAttributeValues": {":v": {"N": beyond}}}) == (VALIDATION, message)
        server.call("UpdateItem", {**update, "ExpressionAttributeValues": {":v": {"N": fits}}})


# ---- Expressions ----

@pytest.mark.parametrize("operation,member,text,more", [
    ("PutItem", "ConditionExpression", "attribute_not_exists(x)", {"Item": key("a")}),
    ("GetItem", "ProjectionExpression", "a", {"Key": key("a")}),
    ("UpdateItem", "UpdateExpression", "REMOVE a", {"Key": key("a")}),
    ("Query", "KeyConditionExpression", "pk = :p", {"ExpressionAttributeValues": {":p": {"S": "a"}}}),
    ("Scan", "FilterExpression", "attribute_exists(x)", {})])
def test_4_kilobytes_of_an_expression(server, table, operation, member, text, more):
    server.call(operation, {"TableName": table, **more, member: text.ljust(4096)})
    assert server.error(operation, {"TableName": table, **more, member: text.ljust(4097)}) == (
        VALIDATION, f"Invalid {member}: Expression size has exceeded the maximum allowed size; expression size: 4097")


def short_names():
    """150 of two characters each: an expression has 4 KB."""
    return (f"{letter}{digit}" for letter in "abcdefghijklmno" for digit in range(10))


def condition_of(count):
    return "NOT " * (count - 299) + "(" + " OR ".join(["a = :v"] * 150) + ")"


def sums(count):
    return "SET " + ",".join(f"a{n}=:v+:v" for n in range(count))


def functions(count):
    """Functions count as operators do."""
    parts = [f"{name}=if_not_exists(b,:v)+:v" for _, name in zip(range(count // 2), short_names())]
    return "SET " + ",".join(parts + (["b=:v+:v"] if count % 2 else []))


@pytest.mark.parametrize("operation,member,more,expression", [
    ("DeleteItem", "ConditionExpression", {"Key": key("a")}, condition_of), ("Scan", "FilterExpression", {}, condition_of),
    ("UpdateItem", "UpdateExpression", {"Key": key("a")}, sums), ("UpdateItem", "UpdateExpression", {"Key": key("a")}, functions)])
def test_300_operators(server, table, operation, member, more, expression):
    members = {"TableName": table, **more, "ExpressionAttributeValues": {":v": {"N": "1"}}}
    server.call(operation, {**members, member: expression(300)})
    assert server.error(operation, {**members, member: expression(301)}) == (
        VALIDATION, f"Invalid {member}: The expression contains too many operators; operator count: 301")


def test_100_operands_of_in(server, table):
    for count in (100, 101):
        members = {"TableName": table, "FilterExpression": f"a IN ({', '.join([':v'] * count)})", "ExpressionAttributeValues": {":v": {"N": "1"}}}
        statement = f"SELECT * FROM \"{table}\" WHERE a IN [{', '.join(['1'] * count)}]"
        text = f"The IN operator is provided with too many operands; number of operands: {count}"
        if count == 100:
            server.call("Scan", members)
            server.call("ExecuteStatement", Statement=statement)
        else:
            assert server.error("Scan", members) == (VALIDATION, "Invalid FilterExpression: " + text)
            assert server.error("ExecuteStatement", Statement=statement) == (VALIDATION, text)


def test_100_values_of_a_legacy_in(server, table):
    values = [{"N": str(n)} for n in range(101)]
    server.call("Scan", TableName=table, ScanFilter={"a": {"ComparisonOperator": "IN", "AttributeValueList": values[:100]}})
    assert server.error("Scan", TableName=table, ScanFilter={"a": {"ComparisonOperator": "IN", "AttributeValueList": values}}) == (
        VALIDATION, INVALID + "Invalid number of argument(s) for the IN ComparisonOperator")


def test_50_partition_keys_of_a_statement(server, table):
    statement = f"SELECT * FROM \"{table}\" WHERE pk IN [" + "{}]"
    server.call("ExecuteStatement", Statement=statement.format(", ".join(f"'{n}'" for n in range(50))))
    assert server.error("ExecuteStatement", Statement=statement.format(", ".join(f"'{n}'" for n in range(51)))) == (
        VALIDATION, "The IN operator is provided with too many operands; number of operands: 51")


def test_2_megabytes_of_names_and_values(server, table):
    """Placeholders count, too."""
    def values(size):
        half = MEGABYTE - len(":a")
        return {":a": {"S": "x" * half}, ":b": {"S": "x" * (size - MEGABYTE - len(":b"))}}

    def names(size):
        count = 32
        given = {f"#{n:02}": "n" * 65535 for n in range(count - 1)}
        given["#last"] = "n" * (size - sum(len(name) + len(text) for name, text in given.items()) - len("#last"))
        return given
    asked = {"TableName": table, "FilterExpression": "a = :a OR a = :b"}
    named = {"TableName": table, "FilterExpression": " OR ".join(f"attribute_exists({name})" for name in names(2 * MEGABYTE))}
    server.call("Scan", {**asked, "ExpressionAttributeValues": values(2 * MEGABYTE)})
    assert server.error("Scan", {**asked, "ExpressionAttributeValues": values(2 * MEGABYTE + 1)}) == (
        VALIDATION, "ExpressionAttributeValues exceeds max size")
    server.call("Scan", {**named, "ExpressionAttributeNames": names(2 * MEGABYTE)})
    assert server.error("Scan", {**named, "ExpressionAttributeNames": names(2 * MEGABYTE + 1)}) == (
        VALIDATION, "ExpressionAttributeNames exceeds max size")
    both = {"TableName": table, "FilterExpression": named["FilterExpression"] + " OR a = :v", "ExpressionAttributeNames": names(2 * MEGABYTE - 10)}
    server.call("Scan", {**both, "ExpressionAttributeValues": {":v": {"S": "x" * 8}}})
    assert server.error("Scan", {**both, "ExpressionAttributeValues": {":v": {"S": "x" * 9}}}) == (
        VALIDATION, "Combined size of ExpressionAttributeNames and ExpressionAttributeValues exceeds max size")


# ---- Several items ----

def puts(table, items):
    return [{"Put": {"TableName": table, "Item": item}} for item in items]


def test_100_items_of_a_transaction(server, table):
    for count in (100, 101):
        keys = [key(f"k{n}") for n in range(count)]
        for operation, member, actions in (
                ("TransactWriteItems", "TransactItems", puts(table, keys)),
                ("TransactGetItems", "TransactItems", [{"Get": {"TableName": table, "Key": one}} for one in keys]),
                ("ExecuteTransaction", "TransactStatements", [
                    {"Statement": f"DELETE FROM \"{table}\" WHERE pk = '{one['pk']['S']}'"} for one in keys])):
            if count == 100:
                server.call(operation, {member: actions})
            else:
                refused(server, operation, at_most(member[0].lower() + member[1:], 100), **{member: actions})


def test_4_megabytes_of_a_transaction(server, table):
    too_large = (VALIDATION, "Collective size of items in transaction exceeds the limit of 4 MB")

    def members(operation, more):
        items = [sized(f"{n:02}", 400 * KILOBYTE) for n in range(10)] + [sized("10", 96 * KILOBYTE + more)]
        if operation == "TransactWriteItems":
            return {"TransactItems": puts(table, items)}
        return {"TransactStatements": [{"Statement": f"INSERT INTO \"{table}\" VALUE {{'pk': '{item['pk']['S']}', 'f': ?}}",
                                        "Parameters": [item["f"]]} for item in items]}
    for operation in ("ExecuteTransaction", "TransactWriteItems"):
        assert server.error(operation, members(operation, 1)) == too_large
        server.call(operation, members(operation, 0))


@pytest.mark.parametrize("operation,member,action", [
    ("TransactWriteItems", "TransactItems", lambda table: puts(table, [key("a")])[0]),
    ("ExecuteTransaction", "TransactStatements", lambda table: {"Statement": f"DELETE FROM \"{table}\" WHERE pk = 'a'"})])
def test_36_characters_of_a_token(server, table, operation, member, action):
    server.call(operation, {member: [action(table)], "ClientRequestToken": f"{operation:x<36}"})
    refused(server, operation, at_most("clientRequestToken", 36), **{member: [action(table)], "ClientRequestToken": "x" * 37})
    refused(server, operation, at_least("clientRequestToken", 1), **{member: [action(table)], "ClientRequestToken": ""})


def test_ten_minutes_of_a_token():
    with Clocked() as clocked:
        server = clocked.server
        server.call("CreateTable", definition("counted"))
        server.wait_active("counted")

        def add(token="token"):
            server.call("TransactWriteItems", ClientRequestToken=token, TransactItems=[{"Update": {
                "TableName": "counted", "Key": key("a"), "UpdateExpression": "ADD n :one", "ExpressionAttributeValues": {":one": {"N": "1"}}}}])
            return int(server.call("GetItem", TableName="counted", Key=key("a"), ConsistentRead=True)["Item"]["n"]["N"])
        assert [add(), add()] == [1, 1]
        clocked.advance(595)
        assert add() == 1
        clocked.advance(10)
        assert [add(), add()] == [2, 2]


def test_items_of_a_batch_of_several_tables(server, make_table):
    one, two = make_table("pk:S"), make_table("pk:S")
    keys = [key(f"k{n}") for n in range(51)]

    def gets(count):
        return {one: {"Keys": keys[:count]}, two: {"Keys": keys[:50]}}

    def writes(count):
        return {one: [{"PutRequest": {"Item": item}} for item in keys[:count]], two: [{"PutRequest": {"Item": item}} for item in keys[:12]]}
    server.call("BatchGetItem", RequestItems=gets(50))
    assert server.error("BatchGetItem", RequestItems=gets(51)) == (VALIDATION, "Too many items requested for the BatchGetItem call")
    server.call("BatchWriteItem", RequestItems=writes(13))
    assert server.error("BatchWriteItem", RequestItems=writes(14)) == (VALIDATION, "Too many items requested for the BatchWriteItem call")


def test_items_of_a_batch(server, table):
    for count in (100, 101):
        request = {table: {"Keys": [key(f"k{n}") for n in range(count)]}}
        if count == 100:
            server.call("BatchGetItem", RequestItems=request)
        else:
            refused(server, "BatchGetItem", at_most(f"requestItems.{table}.member.keys", 100), RequestItems=request)
    for count in (25, 26):
        request = {table: [{"PutRequest": {"Item": key(f"k{n}")}} for n in range(count)]}
        statements = [{"Statement": f"SELECT * FROM \"{table}\" WHERE pk = 'k{n}'"} for n in range(count)]
        if count == 25:
            server.call("BatchWriteItem", RequestItems=request)
            assert len(server.call("BatchExecuteStatement", Statements=statements)["Responses"]) == 25
        else:
            refused(server, "BatchWriteItem", constrained("requestItems", (
                "Map value must satisfy constraint: [Member must have length less than or equal to 25, "
                "Member must have length greater than or equal to 1]")), RequestItems=request)
            refused(server, "BatchExecuteStatement", at_most("statements", 25), Statements=statements)


def test_8192_characters_of_a_statement(server, table):
    text = f"SELECT * FROM \"{table}\" WHERE pk = 'a'"
    for operation, place, members in (
            ("ExecuteStatement", "statement", lambda statement: {"Statement": statement}),
            ("BatchExecuteStatement", "statements.1.member.statement", lambda statement: {"Statements": [{"Statement": statement}]}),
            ("ExecuteTransaction", "transactStatements.1.member.statement", lambda statement: {"TransactStatements": [{"Statement": statement}]})):
        server.call(operation, members(text.ljust(8192)))
        refused(server, operation, at_most(place, 8192), **members(text.ljust(8193)))


# ---- Pages ----

def test_1_megabyte_of_a_page(server, sorted_table):
    """As the items are stored, before the filter and the projection."""
    def put(number, size):
        overhead = len("pk") + len("a") + len("sk") + 2 + len("f")  # a number of one digit has two bytes
        server.call("PutItem", TableName=sorted_table, Item={**key("a", number), "f": {"S": "x" * (size - overhead)}})
    put(1, 400 * KILOBYTE)
    put(2, 400 * KILOBYTE)
    put(4, 20)
    for size, count in ((224 * KILOBYTE, 3), (224 * KILOBYTE + 1, 2)):
        put(3, size)
        for more in ({}, {"FilterExpression": "attribute_not_exists(f)"}, {"ProjectionExpression": "pk"}, {"Select": "COUNT"}):
            for operation, condition in (("Scan", {}), ("Query", {"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": {"S": "a"}}})):
                got = server.call(operation, {"TableName": sorted_table, **condition, **more})
                assert (got["ScannedCount"], got["LastEvaluatedKey"]) == (count, key("a", count))
                assert got["Count"] == (0 if "FilterExpression" in more else count)


def test_1000000_segments(server, table):
    def constraint(member, most):
        return constrained(member, f"Member must have value less than or equal to {most}")
    server.call("Scan", TableName=table, TotalSegments=1000000, Segment=999999)
    refused(server, "Scan", constraint("totalSegments", 1000000), TableName=table, TotalSegments=1000001, Segment=0)
    refused(server, "Scan", constraint("segment", 999999), TableName=table, TotalSegments=1000000, Segment=1000000)


@pytest.mark.parametrize("operation,service,more,status", [
    ("ListTables", "DynamoDB_20120810", {}, 200), ("ListStreams", "DynamoDBStreams_20120810", {}, 200),
    ("DescribeStream", "DynamoDBStreams_20120810", {"StreamArn": "no such stream".ljust(37)}, 400)])
def test_100_names_of_a_list(server, operation, service, more, status):
    for limit, text in ((1, None), (100, None), (0, "greater than or equal to 1"), (101, "less than or equal to 100")):
        answer = server.signed(operation, {**more, "Limit": limit}, service=service)
        if text is None:
            assert answer.status == status and (status == 200 or answer.error[0] == "ResourceNotFoundException")
        else:
            assert answer.error == (VALIDATION, f"1 validation error detected: Value '{limit}{constrained('limit', f'Member must have value {text}')}")


# ---- Tables ----

def test_100_projected_attributes_of_a_table(server, created):
    """Of indexes that there are and those to come, local ones too."""
    members = definition(new_name(), "pk:S sk:S")
    members["AttributeDefinitions"].append({"AttributeName": "g", "AttributeType": "S"})

    def index(number, hashed, count=20):
        names = ("g",) if hashed == "g" else ("pk", "g")
        return {"IndexName": f"index{number}", "KeySchema": [{"AttributeName": name, "KeyType": kind} for name, kind in zip(names, ("HASH", "RANGE"))],
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": [f"n{n}" for n in range(count)]}}
    members["LocalSecondaryIndexes"] = [index(n, "pk") for n in range(2)]
    members["GlobalSecondaryIndexes"] = [index(n, "g") for n in range(2, 5)]
    text = INVALID + "The total number of NonKeyAttributes of all indexes exceeds the per-table limit of 100"
    refused(server, "CreateTable", text, **{**members, "GlobalSecondaryIndexes": [*members["GlobalSecondaryIndexes"], index(5, "g", 1)]})
    table = created(members)
    refused(server, "UpdateTable", text, TableName=table, AttributeDefinitions=members["AttributeDefinitions"],
            GlobalSecondaryIndexUpdates=[{"Create": index(5, "g", 1)}])


def test_35_days_of_recovery(server, table):
    """Which is not built: it is refused, but not for the number."""
    place = "pointInTimeRecoverySpecification.recoveryPeriodInDays"
    for days, end in ((1, "is not supported"), (35, "is not supported"), (0, constrained(place, "Member must have value greater than or equal to 1")),
                      (36, constrained(place, "Member must have value less than or equal to 35"))):
        refused(server, "UpdateContinuousBackups", end, TableName=table, PointInTimeRecoverySpecification={
            "PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": days})


def test_50_tags_of_a_new_table(server, created):
    tags = [{"Key": f"k{n}", "Value": ""} for n in range(51)]
    created(definition(new_name(), Tags=tags[:49] + [{"Key": "k" * 128, "Value": "v" * 256}]))
    assert server.error("CreateTable", definition(new_name(), Tags=tags)) == (
        VALIDATION, "Number of Tags exceed the current limit for the provided ResourceArn")
    for what, tag in (("Key", {"Key": "k" * 129, "Value": ""}), ("Value", {"Key": "k", "Value": "v" * 257})):
        assert server.error("CreateTable", definition(new_name(), Tags=[tag])) == (
            VALIDATION, f"The Tag {what} provided is invalid, {what}: {tag[what]}")
