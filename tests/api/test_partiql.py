"""ExecuteStatement and BatchExecuteStatement."""

import time

import pytest

from conftest import definition, key, new_name

SECONDS_MAX = 30
VALIDATION = "ValidationException"
MALFORMED = "Statement wasn't well formed, can't be processed: "
NO_KEY = "Where clause does not contain a mandatory equality on all key attributes"


def run(server, statement, *parameters, **more):
    if parameters:
        more["Parameters"] = list(parameters)
    return server.call("ExecuteStatement", Statement=statement, **more)


def items(server, statement, *parameters, **more):
    return run(server, statement, *parameters, **more)["Items"]


def refused(server, statement, *parameters, **more):
    if parameters:
        more["Parameters"] = list(parameters)
    return server.error("ExecuteStatement", Statement=statement, **more)


def stored(server, table, item_key):
    return server.call("GetItem", TableName=table, Key=item_key, ConsistentRead=True).get("Item")


def pages(server, statement, *parameters, **more):
    """The items of each page."""
    token = {}
    while True:
        got = run(server, statement, *parameters, **token, **more)
        yield got["Items"]
        if "NextToken" not in got:
            return
        token = {"NextToken": got["NextToken"]}


@pytest.fixture
def filled(server, sorted_table):
    """Partitions a, b and c with sort keys 0 to 9, v = sk % 2."""
    for pk in "abc":
        for sk in range(10):
            server.call("PutItem", TableName=sorted_table, Item={**key(pk, sk), "v": {"N": str(sk % 2)}})
    return sorted_table


# ---- INSERT ----

def test_insert(server, table):
    got = run(server, f"INSERT INTO \"{table}\" VALUE {{'pk': 'a', 'n': 1.5, 'l': [1, 'x', {{'y': null}}], 's': <<'p', 'q'>>, 'p': ?}}",
              {"B": "AQI="})
    assert got == {"Items": []}
    assert stored(server, table, key("a")) == {
        **key("a"), "n": {"N": "1.5"}, "l": {"L": [{"N": "1"}, {"S": "x"}, {"M": {"y": {"NULL": True}}}]},
        "s": {"SS": ["p", "q"]}, "p": {"B": "AQI="}}


def test_insert_of_what_is_there(server, table):
    run(server, f"INSERT INTO \"{table}\" VALUE {{'pk': 'a', 'v': 1}}")
    assert refused(server, f"INSERT INTO \"{table}\" VALUE {{'pk': 'a', 'v': 2}}") == \
        ("DuplicateItemException", "Duplicate primary key exists in table")
    assert stored(server, table, key("a"))["v"] == {"N": "1"}
    run(server, f"DELETE FROM \"{table}\" WHERE pk = 'a'")
    run(server, f"INSERT INTO \"{table}\" VALUE {{'pk': 'a', 'v': 2}}")


def test_insert_of_no_key(server, table):
    assert refused(server, f"INSERT INTO \"{table}\" VALUE {{'v': 1}}") == \
        (VALIDATION, "One or more parameter values were invalid: Missing the key pk in the item")


# ---- UPDATE ----

def test_update(server, table):
    server.call("PutItem", TableName=table, Item={**key("a"), "n": {"N": "1"}, "l": {"L": [{"S": "x"}]}, "s": {"SS": ["p"]}, "gone": {"S": "g"}})
    assert run(server, f"UPDATE \"{table}\" SET n = n + ? SET l = list_append(l, ['y']) SET s = set_add(s, <<'q'>>) REMOVE gone WHERE pk = ?",
               {"N": "4"}, {"S": "a"}) == {"Items": []}
    assert stored(server, table, key("a")) == {
        **key("a"), "n": {"N": "5"}, "l": {"L": [{"S": "x"}, {"S": "y"}]}, "s": {"SS": ["p", "q"]}}


EVERY_TYPE = {"s": {"S": "s"}, "n": {"N": "1"}, "b": {"B": "AQI="}, "t": {"BOOL": True}, "z": {"NULL": True}, "l": {"L": [{"S": "x"}]},
              "m": {"M": {"a": {"N": "1"}}}, "ss": {"SS": ["a", "b"]}, "ns": {"NS": ["1", "2"]}, "bs": {"BS": ["AQ==", "Ag=="]}}


def test_parameters_of_every_type(server, table):
    members = ", ".join(f"'{name}': ?" for name in EVERY_TYPE)
    run(server, f"INSERT INTO \"{table}\" VALUE {{'pk': 'a', {members}}}", *EVERY_TYPE.values())
    assert stored(server, table, key("a")) == {**key("a"), **EVERY_TYPE}
    for name, value in EVERY_TYPE.items():
        assert items(server, f"SELECT {name} FROM \"{table}\" WHERE pk = 'a' AND {name} = ?", value) == [{name: value}]
        assert items(server, f"SELECT {name} FROM \"{table}\" WHERE pk = 'a' AND {name} <> ?", value) == []
        run(server, f"UPDATE \"{table}\" SET copy = ? WHERE pk = 'a'", value)
        assert stored(server, table, key("a"))["copy"] == value


@pytest.mark.parametrize("where", [
    "ss = <<'b', 'a'>> AND ns = <<2, 1>> AND l = ['x'] AND m = {'a': 1}", "t = TRUE AND z IS NULL AND z = null", "m.a = 1 AND l[0] = 'x'",
    "\"m\".\"a\" = 1 AND m['a'] = 1", "contains(ss, 'a') AND contains(ns, 2) AND contains(l, 'x') AND NOT contains(s, 'x')",
    "s IS STRING AND n IS INT AND b IS BLOB AND t IS BOOL AND l IS LIST AND m IS TUPLE AND bs IS BAG", "begins_with(s, 's') AND size(l) = 1",
    "attribute_type(ns, 'NS') AND attribute_exists(m.a) AND attribute_not_exists(m.b)", "m.b IS MISSING AND l[1] IS MISSING AND z IS NOT MISSING",
    "n BETWEEN 1 AND 1 AND n IN [0, 1.0] AND n IN (1e0, 2)", "n != 2 AND s != 'x' AND NOT (n < 1 OR n > 1)", "'s' = s AND 0 < n",
])
def test_literals_paths_and_functions(server, table, where):
    server.call("PutItem", TableName=table, Item={**key("a"), **EVERY_TYPE})
    assert items(server, f"SELECT pk FROM \"{table}\" WHERE pk = 'a' AND {where}") == [key("a")]
    assert items(server, f"SELECT pk FROM \"{table}\" WHERE {where}") == [key("a")]
    assert items(server, f"SELECT pk FROM \"{table}\" WHERE NOT ({where})") == []
    run(server, f"UPDATE \"{table}\" SET seen = 1 WHERE pk = 'a' AND {where}")


def test_the_guides_update(server, table):
    """Developer Guide, "PartiQL data types for DynamoDB"."""
    run(server, f"INSERT INTO \"{table}\" value {{'pk':'1', 'NumberType':1,'MapType' : {{'entryname1': 'value', 'entryname2': 4}}, "
        "'ListType': [1,'stringval'], 'NumberSetType':<<1,34,32,4.5>>, 'StringSetType':<<'stringval','stringval2'>> }")
    run(server, f"UPDATE \"{table}\" SET NumberType=NumberType + 100 SET MapType.NewMapEntry=[2020, 'stringvalue', 2.4] "
        "SET ListType = LIST_APPEND(ListType, [4, <<'string1', 'string2'>>]) SET NumberSetType= SET_ADD(NumberSetType, <<345, 48.4>>) "
        "SET StringSetType = SET_ADD(StringSetType, <<'stringsetvalue1', 'stringsetvalue2'>>) WHERE pk='1'")
    run(server, f"UPDATE \"{table}\" SET NumberType=NumberType - 1 REMOVE ListType[1] REMOVE MapType.NewMapEntry "
        "SET NumberSetType = SET_DELETE( NumberSetType, <<345>>) SET StringSetType = SET_DELETE( StringSetType, <<'stringsetvalue1'>>) WHERE pk='1'")
    got = stored(server, table, key("1"))
    assert got["NumberType"] == {"N": "100"} and got["MapType"] == {"M": {"entryname1": {"S": "value"}, "entryname2": {"N": "4"}}}
    assert got["ListType"] == {"L": [{"N": "1"}, {"N": "4"}, {"SS": ["string1", "string2"]}]}
    assert sorted(got["NumberSetType"]["NS"]) == ["1", "32", "34", "4.5", "48.4"]
    assert sorted(got["StringSetType"]["SS"]) == ["stringsetvalue2", "stringval", "stringval2"]


def test_update_from_first(server, table):
    server.call("PutItem", TableName=table, Item={**key("a"), "n": {"N": "1"}})
    run(server, f"from \"{table}\" where pk = 'a' and n = 1 set n = 2 remove x")
    assert stored(server, table, key("a"))["n"] == {"N": "2"}


def test_update_makes_no_item(server, table):
    assert refused(server, f"UPDATE \"{table}\" SET n = 1 WHERE pk = 'a'") == \
        ("ConditionalCheckFailedException", "The conditional request failed")
    assert stored(server, table, key("a")) is None


def test_condition_of_a_write(server, table):
    server.call("PutItem", TableName=table, Item={**key("a"), "n": {"N": "1"}})
    answer = server.signed("ExecuteStatement", {"Statement": f"UPDATE \"{table}\" SET n = 9 WHERE pk = 'a' AND n > 1",
                                                "ReturnValuesOnConditionCheckFailure": "ALL_OLD"})
    assert answer.error == ("ConditionalCheckFailedException", "The conditional request failed")
    assert answer.json["Item"] == {**key("a"), "n": {"N": "1"}}
    run(server, f"UPDATE \"{table}\" SET n = 9 WHERE pk = 'a' AND n IN [1, 2] AND attribute_exists(n)")
    assert stored(server, table, key("a"))["n"] == {"N": "9"}
    assert refused(server, f"DELETE FROM \"{table}\" WHERE pk = 'a' AND n IS MISSING")[0] == "ConditionalCheckFailedException"
    assert run(server, f"DELETE FROM \"{table}\" WHERE pk = 'absent' AND n = 1") == {"Items": []}


@pytest.mark.parametrize("returned, expected", [
    ("ALL OLD", {**key("a"), "n": {"N": "1"}, "m": {"M": {"x": {"N": "1"}, "y": {"N": "2"}}}}),
    ("ALL NEW", {**key("a"), "n": {"N": "1"}, "m": {"M": {"x": {"N": "5"}, "y": {"N": "2"}}}}),
    ("MODIFIED OLD", {"m": {"M": {"x": {"N": "1"}}}}),
    ("MODIFIED NEW", {"m": {"M": {"x": {"N": "5"}}}}),
])
def test_returning(server, table, returned, expected):
    server.call("PutItem", TableName=table, Item={**key("a"), "n": {"N": "1"}, "m": {"M": {"x": {"N": "1"}, "y": {"N": "2"}}}})
    assert items(server, f"UPDATE \"{table}\" SET m.x = 5 WHERE pk = 'a' RETURNING {returned} *") == [expected]


def test_returning_nothing(server, table):
    server.call("PutItem", TableName=table, Item={**key("a"), "n": {"N": "1"}})
    assert items(server, f"UPDATE \"{table}\" SET x = 5 WHERE pk = 'a' RETURNING MODIFIED OLD *") == []
    assert items(server, f"UPDATE \"{table}\" REMOVE x WHERE pk = 'a' RETURNING MODIFIED NEW *") == []
    assert items(server, f"DELETE FROM \"{table}\" WHERE pk = 'a' RETURNING ALL OLD *") == [{**key("a"), "n": {"N": "1"}}]
    assert items(server, f"DELETE FROM \"{table}\" WHERE pk = 'a' RETURNING ALL OLD *") == []


def test_writes_need_the_whole_key(server, table, sorted_table):
    for statement in (f"UPDATE \"{table}\" SET n = 1", f"UPDATE \"{table}\" SET n = 1 WHERE n = 1",
                      f"DELETE FROM \"{sorted_table}\" WHERE pk = 'a'", f"DELETE FROM \"{sorted_table}\" WHERE pk = 'a' AND sk > 1",
                      f"DELETE FROM \"{table}\" WHERE pk = 'a' OR pk = 'b'"):
        assert refused(server, statement) == (VALIDATION, NO_KEY)
    assert refused(server, f"UPDATE \"{table}\" SET pk = 'b' WHERE pk = 'a'") == \
        (VALIDATION, "One or more parameter values were invalid: Cannot update attribute pk. This attribute is part of the key")


# ---- SELECT ----

def test_select_by_key(server, filled):
    assert items(server, f"SELECT * FROM \"{filled}\" WHERE pk = 'a' AND sk = 3") == [{**key("a", 3), "v": {"N": "1"}}]
    got = items(server, f"SELECT sk FROM \"{filled}\" WHERE pk = ? AND sk BETWEEN 2 AND 4 ORDER BY sk DESC", {"S": "b"}, ConsistentRead=True)
    assert got == [{"sk": {"N": n}} for n in "432"]


def test_queries_and_scans_cost_what_they_read(server, filled):
    for pk in "abc":
        server.call("PutItem", TableName=filled, Item={**key(pk, 99), "f": {"S": "x" * 4000}})

    def units(where):
        got = run(server, f"SELECT sk FROM \"{filled}\" WHERE {where}", ReturnConsumedCapacity="TOTAL")
        assert got["ConsumedCapacity"]["TableName"] == filled
        return got["ConsumedCapacity"]["CapacityUnits"]

    assert units("pk = 'a' AND sk < 10") == 0.5
    assert units("pk = 'a'") == 1.0
    assert units("pk IN ['a', 'b']") == 2.0
    assert units("pk = 'a' OR pk = 'b' OR pk = 'c'") == 3.0
    assert units("pk > 'a'") == 2.0
    assert units("pk = 'a' OR v = 1") == 2.0


@pytest.mark.parametrize("where, count", [
    ("pk = 'a' AND v = 1", 5), ("pk IN ['a', 'b', 'x'] AND sk >= 5", 10), ("v = 0", 15), ("NOT v = 0", 15),
    ("pk = 'a' AND sk = 1 OR pk = 'b' AND sk = 2", 2), ("pk = 'a' AND NOT sk = 1 OR pk = 'a' AND sk = 1", 10),
    ("begins_with(pk, 'a') AND sk NOT IN [1, 2]", 8), ("v IS MISSING", 0), ("v IS NOT MISSING AND sk = 9", 3),
    ("attribute_type(v, 'N') AND pk = 'c'", 10), ("pk = 'a' AND (sk < 2 OR sk > 7)", 4), ("size(pk) = 1 AND v <> 1", 15),
])
def test_select_where(server, filled, where, count):
    assert len(items(server, f"SELECT * FROM \"{filled}\" WHERE {where}")) == count
    assert sum(len(page) for page in pages(server, f"SELECT * FROM \"{filled}\" WHERE {where}", Limit=3)) == count


def test_pages(server, filled):
    statement = f"SELECT * FROM \"{filled}\" WHERE pk IN ['c', 'a'] AND v = ?"
    got = list(pages(server, statement, {"N": "1"}, Limit=4))
    assert [len(page) for page in got[:2]] == [2, 2]
    found = [item for page in got for item in page]
    assert [(i["pk"]["S"], i["sk"]["N"]) for i in found] == [(pk, n) for pk in "ca" for n in "13579"]
    first = run(server, statement, {"N": "1"}, Limit=4)
    assert first["LastEvaluatedKey"] == key("c", 3)
    token = first["NextToken"]
    assert refused(server, statement, {"N": "0"}, NextToken=token) == (VALIDATION, "NextToken does not match request")
    assert refused(server, statement, {"N": "1"}, NextToken=token[:-8] + "AAAAAAA=") == (VALIDATION, "Invalid NextToken")
    assert refused(server, statement, {"N": "1"}, NextToken="?") == (VALIDATION, "Invalid NextToken")


def test_pages_of_a_megabyte(server, sorted_table):
    for pk in "ab":
        for sk in range(4):
            server.call("PutItem", TableName=sorted_table, Item={**key(pk, sk), "f": {"S": "x" * 200_000}})
    for statement in (f"SELECT pk, sk FROM \"{sorted_table}\"", f"SELECT pk, sk FROM \"{sorted_table}\" WHERE pk IN ['a', 'b']"):
        assert [len(page) for page in pages(server, statement)] == [5, 3]


def test_a_page_has_ten_values_of_the_partition_key(server, table):
    for n in range(25):
        server.call("PutItem", TableName=table, Item=key(f"k{n:02}"))
    values = ", ".join(f"'k{n:02}'" for n in range(25))
    assert [len(page) for page in pages(server, f"SELECT pk FROM \"{table}\" WHERE pk IN [{values}]")] == [10, 10, 5]
    first = run(server, f"SELECT pk FROM \"{table}\" WHERE pk IN [{values}]")
    assert "NextToken" in first and "LastEvaluatedKey" not in first
    assert [len(page) for page in pages(server, f"SELECT pk FROM \"{table}\" WHERE pk IN [{values}] AND pk <> 'k00'", Limit=7)] == [6, 7, 7, 4]
    ten = ", ".join(f"'k{n:02}'" for n in range(10))
    assert [len(page) for page in pages(server, f"SELECT pk FROM \"{table}\" WHERE pk IN [{ten}]")] == [10]


def test_columns(server, table):
    server.call("PutItem", TableName=table, Item={**key("a"), "m": {"M": {"k": {"L": [{"N": "1"}, {"N": "2"}]}, "z": {"S": "z"}}}, "with space": {"N": "1"}})
    assert items(server, f"SELECT pk, m.k[1], m['z'], \"with space\", absent FROM \"{table}\" WHERE pk = 'a'") == [
        {"pk": {"S": "a"}, "k[1]": {"N": "2"}, "z": {"S": "z"}, "with space": {"N": "1"}}]
    assert items(server, f"SELECT absent FROM \"{table}\"") == [{}]


# ---- SELECT from an index ----

def local_index(name, **projection):
    return {"IndexName": name, "Projection": projection,
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "ik", "KeyType": "RANGE"}]}


@pytest.fixture
def indexed(server):
    """Partitions a and b with sort keys 0 to 9; ik counts down and 9 has none; v = sk % 2."""
    made = definition(new_name(), "pk:S sk:N", LocalSecondaryIndexes=[
        local_index("all", ProjectionType="ALL"), local_index("some", ProjectionType="INCLUDE", NonKeyAttributes=["v"]),
        local_index("keys", ProjectionType="KEYS_ONLY")])
    made["AttributeDefinitions"].append({"AttributeName": "ik", "AttributeType": "S"})
    server.call("CreateTable", made)
    name = server.wait_active(made["TableName"])
    for pk in "ab":
        for sk in range(10):
            ik = {"ik": {"S": f"i{8 - sk}"}} if sk < 9 else {}
            server.call("PutItem", TableName=name, Item={**key(pk, sk), **ik, "v": {"N": str(sk % 2)}, "w": {"S": "w"}})
    yield name
    server.signed("DeleteTable", {"TableName": name})


@pytest.mark.parametrize("index, where, order, expected", [
    ("all", "pk = 'a'", "", "876543210"), ("all", "pk = 'a' AND ik = 'i3'", "", "5"), ("keys", "pk = 'a' AND ik > 'i5'", "", "210"),
    ("some", "pk = 'a' AND ik BETWEEN 'i2' AND 'i4' AND v = 1", "", "5"), ("keys", "pk = 'a' AND w = 'w' AND ik < 'i2'", "", "87"),
    ("all", "pk IN ['b', 'a'] AND begins_with(ik, 'i1')", "", "77"), ("all", "ik >= 'i7'", "", "1010"), ("keys", "pk = 'a' AND sk < 2", "", "10"),
    ("all", "pk = 'a'", "ORDER BY ik DESC", "012345678"),
])
def test_select_from_an_index(server, indexed, index, where, order, expected):
    statement = f"SELECT * FROM \"{indexed}\".\"{index}\" WHERE {where} {order}"
    got = items(server, statement, ConsistentRead=True)
    assert "".join(item["sk"]["N"] for item in got) == expected
    held = {"all": ["ik", "pk", "sk", "v", "w"], "some": ["ik", "pk", "sk", "v"], "keys": ["ik", "pk", "sk"]}[index]
    assert all(sorted(item) == held for item in got)
    assert [item for page in pages(server, statement, Limit=2) for item in page] == got


def test_columns_of_an_index(server, indexed):
    assert items(server, f"SELECT sk, w FROM \"{indexed}\".\"keys\" WHERE pk = 'a' AND ik = 'i0'") == [{"sk": {"N": "8"}, "w": {"S": "w"}}]
    assert items(server, f"SELECT v FROM \"{indexed}\".\"some\" WHERE pk = 'a' AND ik = 'i0'") == [{"v": {"N": "0"}}]


def test_what_an_index_costs(server, indexed):
    def consumed(columns, index, where):
        got = run(server, f"SELECT {columns} FROM \"{indexed}\".\"{index}\" WHERE {where}", ReturnConsumedCapacity="INDEXES")["ConsumedCapacity"]
        return got["CapacityUnits"], got["Table"]["CapacityUnits"], got["LocalSecondaryIndexes"][index]["CapacityUnits"]

    assert consumed("*", "all", "pk = 'a'") == (0.5, 0.0, 0.5)
    assert consumed("*", "keys", "pk = 'none'") == (0.5, 0.0, 0.5)
    assert consumed("w", "keys", "pk = 'a' AND ik < 'i2'") == (1.5, 1.0, 0.5)
    assert consumed("*", "all", "pk IN ['a', 'b']") == (1.0, 0.0, 1.0)


def test_a_write_costs_of_indexes(server, indexed):
    got = run(server, f"UPDATE \"{indexed}\" SET ik = 'j' WHERE pk = 'a' AND sk = 9", ReturnConsumedCapacity="INDEXES")
    assert got["ConsumedCapacity"] == {"TableName": indexed, "CapacityUnits": 4.0, "Table": {"CapacityUnits": 1.0},
                                       "LocalSecondaryIndexes": {name: {"CapacityUnits": 1.0} for name in ("all", "keys", "some")}}
    got = batch(server, f"DELETE FROM \"{indexed}\" WHERE pk = 'a' AND sk = 9", f"UPDATE \"{indexed}\" SET w = 'x' WHERE pk = 'a' AND sk = 1",
                ReturnConsumedCapacity="INDEXES")
    assert got["ConsumedCapacity"] == [{"TableName": indexed, "CapacityUnits": 6.0, "Table": {"CapacityUnits": 2.0},
                                        "LocalSecondaryIndexes": {"all": {"CapacityUnits": 2.0}, "keys": {"CapacityUnits": 1.0}, "some": {"CapacityUnits": 1.0}}}]
    assert items(server, f"SELECT w FROM \"{indexed}\".\"all\" WHERE pk = 'a' AND ik = 'i7'") == [{"w": {"S": "x"}}]


def test_indexes_are_read_only(server, indexed):
    for statement in (f"UPDATE \"{indexed}\".\"all\" SET w = 'x' WHERE pk = 'a' AND sk = 1", f"DELETE FROM \"{indexed}\".\"all\" WHERE pk = 'a' AND sk = 1",
                      f"INSERT INTO \"{indexed}\".\"all\" VALUE {{'pk': 'a', 'sk': 1}}"):
        assert refused(server, statement) == (VALIDATION, "This operation is not supported on an index")
    assert refused(server, f"SELECT * FROM \"{indexed}\".\"none\"") == (VALIDATION, "The table does not have the specified index")
    assert refused(server, f"SELECT * FROM \"{indexed}\".\"all\" WHERE pk = 'a' AND ik = 1") == \
        (VALIDATION, "Key attribute's data type should match its data type in table's schema")


def global_index(name, hashes, ranges, **projection):
    keys = [(h, "HASH") for h in hashes] + [(r, "RANGE") for r in ranges]
    return {"IndexName": name, "Projection": projection, "KeySchema": [{"AttributeName": n, "KeyType": t} for n, t in keys]}


@pytest.fixture
def everywhere(server):
    """Items 0 to 9, of which the even ones have g = sk % 3 and r = 9 - sk."""
    made = definition(new_name(), "pk:S sk:N", GlobalSecondaryIndexes=[
        global_index("all", "g", "r", ProjectionType="ALL"), global_index("keys", "g", "", ProjectionType="KEYS_ONLY"),
        global_index("some", "g", "r", ProjectionType="INCLUDE", NonKeyAttributes=["v"]), global_index("several", "gr", "", ProjectionType="ALL")])
    made["AttributeDefinitions"] += [{"AttributeName": "g", "AttributeType": "S"}, {"AttributeName": "r", "AttributeType": "N"}]
    server.call("CreateTable", made)
    name = server.wait_active(made["TableName"])
    for n in range(10):
        keys = {"g": {"S": f"g{n % 3}"}, "r": {"N": str(9 - n)}} if n % 2 == 0 else {}
        server.call("PutItem", TableName=name, Item={**key("a", n), **keys, "v": {"N": "1"}, "w": {"S": "w"}})
    deadline = time.monotonic() + SECONDS_MAX
    while any(len(items(server, f"SELECT * FROM \"{name}\".\"{index}\"")) < 5 for index in ("all", "keys", "some")):
        assert time.monotonic() < deadline
    yield name
    server.signed("DeleteTable", {"TableName": name})


@pytest.mark.parametrize("index, where, order, expected", [
    ("all", "g = 'g0'", "", "60"), ("all", "g = 'g0' AND r > 3", "", "0"), ("all", "g IN ['g2', 'g1'] AND r BETWEEN 1 AND 7", "", "824"),
    ("keys", "g = 'g2'", "", "28"), ("some", "g = 'g2' AND v = 1", "ORDER BY r DESC", "28"), ("all", "pk = 'a' AND sk = 4", "", "4"),
    ("all", "w = 'w' AND r = 9", "", "0"), ("keys", "sk > 4 AND sk < 8", "", "6"), ("all", "g = 'none'", "", ""),
])
def test_select_from_a_global_index(server, everywhere, index, where, order, expected):
    statement = f"SELECT * FROM \"{everywhere}\".\"{index}\" WHERE {where} {order}"
    got = items(server, statement)
    shown = "".join(item["sk"]["N"] for item in got)
    assert (sorted(shown), sorted(expected)) == (sorted(expected), sorted(shown)) if index == "keys" else shown == expected
    held = {"all": ["g", "pk", "r", "sk", "v", "w"], "some": ["g", "pk", "r", "sk", "v"], "keys": ["g", "pk", "sk"]}[index]
    assert all(sorted(item) == held for item in got)
    assert [item for page in pages(server, statement, Limit=1) for item in page] == got


def test_what_a_global_index_costs(server, everywhere):
    got = run(server, f"SELECT sk FROM \"{everywhere}\".\"all\" WHERE g IN ['g0', 'g1']", ReturnConsumedCapacity="INDEXES")
    assert got["ConsumedCapacity"] == {"TableName": everywhere, "CapacityUnits": 1.0, "Table": {"CapacityUnits": 0.0},
                                       "GlobalSecondaryIndexes": {"all": {"CapacityUnits": 1.0}}}


def test_refusals_of_global_indexes(server, everywhere):
    missing = "One or more parameter values were invalid: Global secondary index some does not project [w, x]"
    several = "PartiQL statements cannot be executed on tables with multi-attribute HASH keys or multi-attribute RANGE keys."
    for statement, message in (
            (f"SELECT w, sk, x FROM \"{everywhere}\".\"some\" WHERE g = 'g0'", missing), (f"SELECT w, x FROM \"{everywhere}\".\"some\"", missing),
            (f"SELECT sk FROM \"{everywhere}\".\"some\" WHERE g = 'g0' AND w = 'w' AND x = 1", missing),
            (f"SELECT * FROM \"{everywhere}\".\"several\" WHERE g = 'g0'", several), (f"SELECT * FROM \"{everywhere}\".\"several\" WHERE g = 5", several),
            (f"SELECT * FROM \"{everywhere}\".\"all\" WHERE g = 5", "Key attribute's data type should match its data type in table's schema")):
        assert refused(server, statement) == (VALIDATION, message)
    assert refused(server, f"SELECT * FROM \"{everywhere}\".\"all\"", ConsistentRead=True) == \
        (VALIDATION, "Strongly consistent read is not supported on Global Secondary Indexes")
    assert refused(server, f"SELECT * FROM \"{everywhere}\".\"none\"", ConsistentRead=True) == (VALIDATION, "The table does not have the specified index")
    got = batch(server, f"SELECT * FROM \"{everywhere}\".\"all\" WHERE g = 'g0'", f"SELECT * FROM \"{everywhere}\".\"several\" WHERE g = 'g0' AND r = 9",
                f"SELECT sk FROM \"{everywhere}\" WHERE pk = 'a' AND sk = 1")
    assert [r.get("Error", {}).get("Message", r.get("Item")) for r in got["Responses"]] == [
        "Select statements within BatchExecuteStatement must specify the primary key in the where clause.", several, {"sk": {"N": "1"}}]


def test_refusals(server, table):
    assert refused(server, f"ELECT * FROM \"{table}\"") == (VALIDATION, MALFORMED + "Expected data manipulation")
    assert refused(server, "SELECT * FROM \"no-such-table\"") == ("ResourceNotFoundException", "Requested resource not found")
    assert refused(server, f"SELECT * FROM \"{table}\".\"no-such-index\" WHERE pk = 'p'") == \
        (VALIDATION, "The table does not have the specified index")
    assert refused(server, f"SELECT * FROM \"{table}\" WHERE pk = ? AND a = ?", {"S": "a"}) == \
        (VALIDATION, "Number of parameters in request and statement don't match.")
    assert refused(server, f"SELECT * FROM \"{table}\" WHERE pk = ''")[0] == VALIDATION
    assert refused(server, f"EXISTS(SELECT * FROM \"{table}\" WHERE pk = 'a' AND n = 1)")[0] == VALIDATION
    assert refused(server, "x" * 8193)[0] == VALIDATION
    assert server.error("ExecuteStatement", {})[0] == VALIDATION
    assert refused(server, f"SELECT * FROM \"{table}\"", Limit=0)[0] == VALIDATION


@pytest.mark.parametrize("statement, message", [
    ("SELECT a" + "[1]" * 2000 + " FROM {}", "The document path has too many nesting elements; nesting levels: 2001"),
    ("SELECT * FROM {} WHERE pk IN [" + ", ".join(["'a'"] * 1000) + "]", "The IN operator is provided with too many operands; number of operands: 1000"),
    ("SELECT * FROM {} WHERE pk IN [" + ", ".join(f"'{n}'" for n in range(51)) + "]", "The IN operator is provided with too many operands; number of operands: 51"),
    ("SELECT * FROM {} WHERE v IN [" + ", ".join(["1"] * 101) + "]", "The IN operator is provided with too many operands; number of operands: 101"),
    ("INSERT INTO {} VALUE {{'s': <<" + ",".join(["1"] * 2500) + ">>}}",
     "One or more parameter values were invalid: Input collection [" + ", ".join(["1"] * 2500) + "] contains duplicates."),
    ("SELECT * FROM {} WHERE " + " AND ".join(["v = 1"] * 400), "The expression contains too many operators; operator count: 799"),
    ("SELECT * FROM {} WHERE " + "(" * 21 + "v = 1" + ")" * 21, "The statement has too many nested expressions; nesting levels: 21"),
])
def test_too_much_of_something(server, table, statement, message):
    assert refused(server, statement.format(f'"{table}"')) == (VALIDATION, message)


def test_no_functions_as_columns(server, table):
    for column, place in (("COUNT(*)", "1:8:5"), ("size(v)", "1:8:4"), ("count(v)", "1:8:5")):
        assert refused(server, f"SELECT {column} FROM \"{table}\"") == (VALIDATION, f"Unexpected path component at {place}")


def test_boto(boto, table):
    boto.execute_statement(Statement=f"INSERT INTO \"{table}\" VALUE {{'pk': ?}}", Parameters=[{"S": "a"}])
    assert boto.execute_statement(Statement=f"SELECT * FROM \"{table}\"")["Items"] == [{"pk": {"S": "a"}}]
    with pytest.raises(boto.exceptions.DuplicateItemException):
        boto.execute_statement(Statement=f"INSERT INTO \"{table}\" VALUE {{'pk': ?}}", Parameters=[{"S": "a"}])


# ---- BatchExecuteStatement ----

def batch(server, *statements, **more):
    return server.call("BatchExecuteStatement", Statements=[s if isinstance(s, dict) else {"Statement": s} for s in statements], **more)


def test_batch_of_reads(server, table, sorted_table):
    server.call("PutItem", TableName=table, Item={**key("a"), "v": {"N": "1"}})
    server.call("PutItem", TableName=sorted_table, Item=key("a", 1))
    got = batch(server, f"SELECT v FROM \"{table}\" WHERE pk = 'a'", f"SELECT * FROM \"{sorted_table}\" WHERE sk = 1 AND pk = 'a'",
                {"Statement": f"SELECT * FROM \"{table}\" WHERE pk = ?", "Parameters": [{"S": "absent"}], "ConsistentRead": True},
                ReturnConsumedCapacity="TOTAL")
    assert got == {"Responses": [{"TableName": table, "Item": {"v": {"N": "1"}}}, {"TableName": sorted_table, "Item": key("a", 1)}, {"TableName": table}],
                   "ConsumedCapacity": [{"TableName": table, "CapacityUnits": 1.5}, {"TableName": sorted_table, "CapacityUnits": 0.5}]}


def test_batch_of_writes(server, table):
    server.call("PutItem", TableName=table, Item={**key("u"), "v": {"N": "1"}})
    server.call("PutItem", TableName=table, Item={**key("d"), "v": {"N": "1"}})
    got = batch(server, f"INSERT INTO \"{table}\" VALUE {{'pk': 'i'}}", f"UPDATE \"{table}\" SET v = 2 WHERE pk = 'u' RETURNING MODIFIED NEW *",
                f"DELETE FROM \"{table}\" WHERE pk = 'd' RETURNING ALL OLD *", ReturnConsumedCapacity="INDEXES")
    assert got == {"Responses": [{"TableName": table}, {"TableName": table, "Item": {"v": {"N": "2"}}},
                                 {"TableName": table, "Item": {**key("d"), "v": {"N": "1"}}}],
                   "ConsumedCapacity": [{"TableName": table, "CapacityUnits": 3.0, "Table": {"CapacityUnits": 3.0}}]}
    assert stored(server, table, key("i")) == key("i")


def test_batch_errors_are_by_statement(server, table):
    server.call("PutItem", TableName=table, Item={**key("a"), "v": {"N": "1"}})
    got = batch(server, "ELECT", f"INSERT INTO \"{table}\" VALUE {{'pk': 'a'}}", "DELETE FROM \"no-such-table\" WHERE pk = 'a'",
                f"UPDATE \"{table}\" SET v = 2 WHERE pk = 'b'", f"INSERT INTO \"{table}\" VALUE {{'pk': 'c'}}")
    assert got["Responses"] == [
        {"Error": {"Code": "ValidationError", "Message": MALFORMED + "Expected data manipulation"}},
        {"TableName": table, "Error": {"Code": "DuplicateItem", "Message": "Duplicate primary key exists in table"}},
        {"TableName": "no-such-table", "Error": {"Code": "ResourceNotFound", "Message": "Requested resource not found"}},
        {"TableName": table, "Error": {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}},
        {"TableName": table}]
    got = batch(server, {"Statement": f"UPDATE \"{table}\" SET v = 2 WHERE pk = 'a' AND v = 3", "ReturnValuesOnConditionCheckFailure": "ALL_OLD"})
    assert got["Responses"][0]["Error"] == {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}


def test_batch_reads_are_by_key(server, table, sorted_table):
    got = batch(server, f"SELECT * FROM \"{sorted_table}\" WHERE pk = 'a'", f"SELECT * FROM \"{table}\" WHERE pk = 'a' AND attribute_exists(x)",
                f"SELECT * FROM \"{table}\".\"index\" WHERE pk = 'b'")
    assert [r["Error"]["Message"] for r in got["Responses"]] == [
        "Select statements within BatchExecuteStatement must specify the primary key in the where clause."] * 3


def test_batch_as_a_whole(server, table):
    select, insert = f"SELECT * FROM \"{table}\" WHERE pk = 'a'", f"INSERT INTO \"{table}\" VALUE {{'pk': 'a'}}"
    for statements in ([select, insert], [select, select], [insert, f"DELETE FROM \"{table}\" WHERE pk = 'a'"], [], [insert] * 26):
        assert server.error("BatchExecuteStatement", Statements=[{"Statement": s} for s in statements])[0] == VALIDATION
    assert stored(server, table, key("a")) is None


# ---- ExecuteTransaction ----

def transact(server, *statements, **more):
    return server.call("ExecuteTransaction", TransactStatements=[s if isinstance(s, dict) else {"Statement": s} for s in statements], **more)


def cancelled(server, *statements):
    answer = server.signed("ExecuteTransaction", {"TransactStatements": [s if isinstance(s, dict) else {"Statement": s} for s in statements]})
    name, message = answer.error
    assert name == "TransactionCanceledException"
    codes = [reason["Code"] for reason in answer.json["CancellationReasons"]]
    assert message == f"Transaction cancelled, please refer cancellation reasons for specific reasons [{', '.join(codes)}]"
    return answer.json["CancellationReasons"]


def test_a_transaction_of_writes(server, table, sorted_table):
    server.call("PutItem", TableName=table, Item={**key("u"), "v": {"N": "1"}})
    server.call("PutItem", TableName=table, Item={**key("e"), "v": {"N": "1"}})
    server.call("PutItem", TableName=sorted_table, Item=key("d", 1))
    got = transact(server, {"Statement": f"INSERT INTO \"{table}\" VALUE {{'pk': ?, 'v': 0}}", "Parameters": [{"S": "i"}]},
                   f"UPDATE \"{table}\" SET v = v + 1 WHERE pk = 'u' AND v = 1", f"DELETE FROM \"{sorted_table}\" WHERE pk = 'd' AND sk = 1",
                   f"EXISTS(SELECT * FROM \"{table}\" WHERE pk = 'e' AND v = 1 AND w IS MISSING)", ReturnConsumedCapacity="TOTAL")
    assert got["Responses"] == [{}, {}, {}, {}]
    assert [(c["TableName"], c["CapacityUnits"], c["WriteCapacityUnits"]) for c in got["ConsumedCapacity"]] == [(table, 6.0, 6.0), (sorted_table, 2.0, 2.0)]
    assert stored(server, table, key("i"))["v"] == {"N": "0"}
    assert stored(server, table, key("u"))["v"] == {"N": "2"}
    assert stored(server, sorted_table, key("d", 1)) is None


def test_a_transaction_that_is_cancelled(server, table):
    server.call("PutItem", TableName=table, Item={**key("a"), "v": {"N": "1"}})
    insert = f"INSERT INTO \"{table}\" VALUE {{'pk': 'new'}}"
    reasons = cancelled(server, insert, {"Statement": f"INSERT INTO \"{table}\" VALUE {{'pk': 'a'}}", "ReturnValuesOnConditionCheckFailure": "ALL_OLD"},
                        f"UPDATE \"{table}\" SET v = 2 WHERE pk = 'none'", f"EXISTS(SELECT * FROM \"{table}\" WHERE pk = 'gone')")
    assert reasons == [{"Code": "None"}, {"Code": "DuplicateItem", "Message": "Duplicate primary key exists in table", "Item": {**key("a"), "v": {"N": "1"}}},
                       *[{"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}] * 2]
    assert [r["Code"] for r in cancelled(server, f"EXISTS(SELECT * FROM \"{table}\" WHERE pk = 'a' AND v = 2)", insert)] == ["ConditionalCheckFailed", "None"]
    assert [r["Code"] for r in cancelled(server, insert, f"DELETE FROM \"{table}\" WHERE pk = 'a' AND v = 2")] == ["None", "ConditionalCheckFailed"]
    assert stored(server, table, key("new")) is None
    transact(server, insert, f"DELETE FROM \"{table}\" WHERE pk = 'absent' AND v = 2", f"EXISTS(SELECT * FROM \"{table}\" WHERE pk = 'a')")
    assert stored(server, table, key("new")) == key("new")


def test_a_transaction_of_reads(server, table, sorted_table):
    server.call("PutItem", TableName=table, Item={**key("a"), "v": {"N": "1"}, "w": {"N": "2"}})
    server.call("PutItem", TableName=sorted_table, Item=key("a", 1))
    got = transact(server, f"SELECT w FROM \"{table}\" WHERE pk = 'a'", {"Statement": f"SELECT * FROM \"{sorted_table}\" WHERE pk = ? AND sk = ?", "Parameters": [{"S": "a"}, {"N": "1"}]},
                   f"SELECT * FROM \"{table}\" WHERE pk = 'absent'", ReturnConsumedCapacity="TOTAL")
    assert got["Responses"] == [{"Item": {"w": {"N": "2"}}}, {"Item": key("a", 1)}, {}]
    assert [(c["TableName"], c["CapacityUnits"], c["ReadCapacityUnits"]) for c in got["ConsumedCapacity"]] == [(table, 4.0, 4.0), (sorted_table, 2.0, 2.0)]


def test_a_transaction_with_a_token(server, table):
    once = f"UPDATE \"{table}\" SET v = v + 1 WHERE pk = 'a'"
    server.call("PutItem", TableName=table, Item={**key("a"), "v": {"N": "1"}})
    for _ in range(2):
        transact(server, once, ClientRequestToken=f"{table}-token")
    assert stored(server, table, key("a"))["v"] == {"N": "2"}
    assert server.error("ExecuteTransaction", TransactStatements=[{"Statement": once.replace("+ 1", "+ 2")}], ClientRequestToken=f"{table}-token")[0] == \
        "IdempotentParameterMismatchException"


def test_refusals_of_transactions(server, table, sorted_table, indexed):
    select, insert = f"SELECT * FROM \"{table}\" WHERE pk = 'a'", f"INSERT INTO \"{table}\" VALUE {{'pk': 'a'}}"
    by_key = "Select statements within ExecuteTransaction must specify the primary key in the where clause."
    for statements, message in (
            ([select, insert], "ExecuteTransaction API does not support both read and write operations in the same request."),
            ([select, f"EXISTS({select})"], "ExecuteTransaction API does not support both read and write operations in the same request."),
            ([insert, f"DELETE FROM \"{table}\" WHERE pk = 'b' RETURNING ALL OLD *"], "RETURNING is not supported in ExecuteTransaction"),
            ([f"SELECT * FROM \"{sorted_table}\" WHERE pk = 'a'"], by_key), ([f"SELECT * FROM \"{indexed}\".\"all\" WHERE pk = 'a' AND sk = 1"], by_key),
            ([f"EXISTS(SELECT * FROM \"{indexed}\".\"all\" WHERE pk = 'a' AND sk = 1)"], "This operation is not supported on an index"),
            ([f"EXISTS(SELECT * FROM \"{sorted_table}\" WHERE pk = 'a')"], NO_KEY), ([insert, "ELECT"], MALFORMED + "Expected data manipulation"),
            ([insert, f"DELETE FROM \"{table}\" WHERE pk = 'a'"], "Transaction request cannot include multiple operations on one item")):
        assert server.error("ExecuteTransaction", TransactStatements=[{"Statement": s} for s in statements]) == (VALIDATION, message)
    assert server.error("ExecuteTransaction", TransactStatements=[{"Statement": insert}, {"Statement": "DELETE FROM \"no-such-table\" WHERE pk = 'a'"}])[0] == \
        "ResourceNotFoundException"
    assert server.error("ExecuteTransaction", TransactStatements=[])[0] == VALIDATION
    assert stored(server, table, key("a")) is None
