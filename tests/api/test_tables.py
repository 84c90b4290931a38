"""CreateTable, DescribeTable, ListTables, UpdateTable, DeleteTable."""

import re
import time

import pytest

from conftest import SECONDS_MAX, Server, definition, key, new_name

VALIDATION = "ValidationException"
INVALID = "One or more parameter values were invalid: "


# ---- CreateTable and DescribeTable ----

INDEX = {"IndexName": "one", "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}], "Projection": {"ProjectionType": "ALL"}}


def test_an_on_demand_table(server, make_table):
    before = time.time()
    name = make_table("pk:S sk:N")
    got = server.call("DescribeTable", TableName=name)["Table"]
    assert before - 1 <= got.pop("CreationDateTime") <= time.time() + 1
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", got.pop("TableId"))
    got["BillingModeSummary"].pop("LastUpdateToPayPerRequestDateTime", None)
    assert got == {
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "sk", "AttributeType": "N"}],
        "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"}, "DeletionProtectionEnabled": False, "ItemCount": 0,
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        "ProvisionedThroughput": {"NumberOfDecreasesToday": 0, "ReadCapacityUnits": 0, "WriteCapacityUnits": 0},
        "TableArn": f"arn:aws:dynamodb:us-east-1:000000000000:table/{name}", "TableName": name, "TableSizeBytes": 0,
        "TableStatus": "ACTIVE", "WarmThroughput": {"ReadUnitsPerSecond": 12000, "WriteUnitsPerSecond": 4000, "Status": "ACTIVE"}}


def test_a_provisioned_table(server, make_table):
    name = make_table(ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 6})
    got = server.call("DescribeTable", TableName=name)["Table"]
    assert got["ProvisionedThroughput"] == {"NumberOfDecreasesToday": 0, "ReadCapacityUnits": 5, "WriteCapacityUnits": 6}
    assert "BillingModeSummary" not in got and "TableClassSummary" not in got and "OnDemandThroughput" not in got
    assert got["WarmThroughput"] == {"ReadUnitsPerSecond": 5, "WriteUnitsPerSecond": 6, "Status": "ACTIVE"}


def test_create_answers_creating(server):
    name = new_name()
    got = server.call("CreateTable", definition(name))["TableDescription"]
    assert got["TableStatus"] == "CREATING"
    assert (got["TableName"], got["ItemCount"], got["TableSizeBytes"]) == (name, 0, 0)
    server.wait_active(name)
    got = server.call("DeleteTable", TableName=name)["TableDescription"]
    assert got["TableStatus"] == "DELETING" and got["TableName"] == name
    server.wait_gone(name)


def test_what_a_table_is_made_with(server, make_table):
    name = make_table(DeletionProtectionEnabled=True, TableClass="STANDARD_INFREQUENT_ACCESS",
                      OnDemandThroughput={"MaxReadRequestUnits": 10}, Tags=[{"Key": "a", "Value": "b"}],
                      StreamSpecification={"StreamEnabled": False}, SSESpecification={"Enabled": False})
    got = server.call("DescribeTable", TableName=name)["Table"]
    assert got["DeletionProtectionEnabled"] is True
    assert got["TableClassSummary"]["TableClass"] == "STANDARD_INFREQUENT_ACCESS"
    assert got["OnDemandThroughput"] == {"MaxReadRequestUnits": 10}
    assert "SSEDescription" not in got and "StreamSpecification" not in got
    assert server.call("ListTagsOfResource", ResourceArn=got["TableArn"]) == {"Tags": [{"Key": "a", "Value": "b"}]}
    server.call("UpdateTable", TableName=name, DeletionProtectionEnabled=False)
    server.wait_active(name)


def counted(server, name, items):
    """The description of a table once its items are counted, which they are when they are in the tree."""
    deadline = time.monotonic() + SECONDS_MAX
    while True:
        table = server.call("DescribeTable", TableName=name)["Table"]
        if table["ItemCount"] == items:
            return table
        assert time.monotonic() < deadline, table


def test_sizes_are_counted(server, table):
    for n in range(3):
        server.call("PutItem", TableName=table, Item={**key(str(n)), "f": {"S": "x" * 97}})
    bytes_in_all = 3 * (len("pk") + 1 + len("f") + 97)
    got = counted(server, table, 3)
    assert bytes_in_all <= got["TableSizeBytes"] <= bytes_in_all + 3 * 100  # the service allows as much for its index


def element(name, key_type):
    return {"AttributeName": name, "KeyType": key_type}


def attribute(name, attribute_type="S"):
    return {"AttributeName": name, "AttributeType": attribute_type}


THREE = "KeySchemaElement(attributeName=a, keyType=HASH), KeySchemaElement(attributeName=b, keyType=RANGE), KeySchemaElement(attributeName=c, keyType=RANGE)"


@pytest.mark.parametrize("changes,message", [
    ({"BillingMode": "PROVISIONED"}, INVALID + "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"),
    ({"BillingMode": None}, INVALID + "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"),
    ({"ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}},
     INVALID + "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"),
    ({"BillingMode": None, "ProvisionedThroughput": {"ReadCapacityUnits": 1000000000001, "WriteCapacityUnits": 1}},
     "Given value 1000000000001 for ReadCapacityUnits is out of bounds"),
    ({"KeySchema": []}, "1 validation error detected: Value '[]' at 'keySchema' failed to satisfy constraint: Member must have length greater than or equal to 1"),
    ({"KeySchema": [element("pk", "RANGE")]}, "Invalid KeySchema: The first KeySchemaElement is not a HASH key type"),
    ({"KeySchema": [element("pk", "HASH"), element("sk", "HASH")], "AttributeDefinitions": [attribute("pk"), attribute("sk")]},
     "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type"),
    ({"KeySchema": [element("pk", "HASH"), element("sk", "RANGE")]}, "Invalid KeySchema: Some index key attribute have no definition"),
    ({"KeySchema": [element("pk", "HASH"), element("pk", "RANGE")]}, "Invalid KeySchema: Some index key attribute have no definition"),
    ({"KeySchema": [element("pk", "HASH"), element("pk", "RANGE")], "AttributeDefinitions": [attribute("pk"), attribute("sk")]},
     "Both the Hash Key and the Range Key element in the KeySchema have the same name"),
    ({"AttributeDefinitions": [attribute("pk"), attribute("more")]},
     INVALID + "Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions"),
    ({"KeySchema": [element("a", "HASH"), element("b", "RANGE"), element("c", "RANGE")],
      "AttributeDefinitions": [attribute("a"), attribute("b"), attribute("c")]},
     f"1 validation error detected: Value '[{THREE}]' at 'keySchema' failed to satisfy constraint: Member must have length less than or equal to 2"),
    ({"KeySchema": [element("pk", "INVALID")]},
     "1 validation error detected: Value 'INVALID' at 'keySchema.1.member.keyType' failed to satisfy constraint: Member must satisfy enum value set: [HASH, RANGE]"),
    ({"AttributeDefinitions": [attribute("pk", "INVALID")]},
     "1 validation error detected: Value 'INVALID' at 'attributeDefinitions.1.member.attributeType' failed to satisfy constraint: "
     "Member must satisfy enum value set: [B, N, S]"),
    ({"BillingMode": "INVALID"},
     "1 validation error detected: Value 'INVALID' at 'billingMode' failed to satisfy constraint: Member must satisfy enum value set: [PROVISIONED, PAY_PER_REQUEST]"),
    ({"GlobalSecondaryIndexes": []}, INVALID + "List of GlobalSecondaryIndexes is empty"),
    ({"LocalSecondaryIndexes": []}, INVALID + "List of LocalSecondaryIndexes is empty"),
    ({"AttributeDefinitions": [attribute("pk"), attribute("pk")]}, "Attribute Name is duplicated: pk"),
    ({"TableClass": "FAST"}, "Invalid table-class parameter provided. Please try again with a valid table-class value: "
                             "[STANDARD, STANDARD_INFREQUENT_ACCESS]."),
    ({"VectorIndexes": []}, INVALID + "VectorIndexes is not supported")])
def test_create_errors(server, changes, message):
    name = new_name()
    members = {**definition(name), **changes}
    assert server.error("CreateTable", {k: v for k, v in members.items() if v is not None}) == (VALIDATION, message)
    assert server.error("DescribeTable", TableName=name)[0] == "ResourceNotFoundException"


def test_a_name_that_is_taken(server, table):
    assert server.error("CreateTable", definition(table)) == ("ResourceInUseException", f"Table already exists: {table}")


def test_throughput_has_a_quota(server, make_table):
    text = ("is above the per table maximum for the account in us-east-1. Per table maximum: 40000. Refer to the Amazon DynamoDB "
            "Developer Guide for current limits and how to request higher limits.")
    assert server.error("CreateTable", definition(new_name(), ProvisionedThroughput=provisioned(1, 40001))) == (
        "LimitExceededException", f"The requested WriteCapacityUnits, 40001, {text}")
    name = make_table(ProvisionedThroughput=provisioned(40000, 1))
    assert server.error("UpdateTable", TableName=name, ProvisionedThroughput=provisioned(40001, 1)) == (
        "LimitExceededException", f"The requested ReadCapacityUnits, 40001, {text}")


def test_names_are_not_arns_when_a_table_is_made(server):
    assert server.error("CreateTable", definition("arn:aws:dynamodb:us-east-1:000000000000:table/abc"))[0] == VALIDATION


@pytest.mark.parametrize("operation", ["DescribeTable", "DeleteTable", "UpdateTable"])
def test_a_table_that_is_not_there(server, operation):
    more = {"BillingMode": "PAY_PER_REQUEST"} if operation == "UpdateTable" else {}
    assert server.error(operation, {"TableName": "no-such-table", **more}) == (
        "ResourceNotFoundException", "Requested resource not found: Table: no-such-table not found")


def test_describe_by_arn(server, table):
    arn = server.call("DescribeTable", TableName=table)["Table"]["TableArn"]
    assert server.call("DescribeTable", TableName=arn)["Table"]["TableName"] == table
    for operation in ("DescribeTable", "DeleteTable", "DescribeTimeToLive", "DescribeContinuousBackups"):
        other = arn.replace("000000000000", "111111111111")
        assert server.error(operation, TableName=other) == ("AccessDeniedException", "Access is denied")
        for what, away in (("region", arn.replace("us-east-1", "eu-west-1")), ("partition", arn.replace("arn:aws:", "arn:aws-cn:"))):
            assert server.error(operation, TableName=away) == (
                "ValidationException", f"1 validation error detected: Invalid AWS {what} in '{away}'")


# ---- ListTables ----

def test_list_tables_by_pages():
    server = Server("--in-memory")
    try:
        names = sorted(f"list-{n:03}" for n in range(105))
        for name in reversed(names):
            server.call("CreateTable", definition(name))
        got = server.call("ListTables")
        assert got == {"TableNames": names[:100], "LastEvaluatedTableName": names[99]}
        assert server.call("ListTables", ExclusiveStartTableName=names[99]) == {"TableNames": names[100:]}
        seen, start = [], {}
        for _ in range(20):
            got = server.call("ListTables", Limit=13, **start)
            seen += got["TableNames"]
            if "LastEvaluatedTableName" not in got:
                break
            start = {"ExclusiveStartTableName": got["LastEvaluatedTableName"]}
        assert seen == names
        assert server.call("ListTables", ExclusiveStartTableName="list-050x", Limit=1)["TableNames"] == ["list-051"]
    finally:
        server.stop()


@pytest.mark.parametrize("limit,text", [(0, "greater than or equal to 1"), (101, "less than or equal to 100")])
def test_list_tables_limit(server, limit, text):
    assert server.error("ListTables", Limit=limit) == (
        VALIDATION, f"1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint: Member must have value {text}")


# ---- UpdateTable ----

def provisioned(read, write):
    return {"ReadCapacityUnits": read, "WriteCapacityUnits": write}


def test_update_throughput(server, make_table):
    name = make_table(ProvisionedThroughput=provisioned(5, 5))
    assert server.call("UpdateTable", TableName=name, ProvisionedThroughput=provisioned(10, 4))["TableDescription"]["TableStatus"] == "UPDATING"
    server.wait_active(name)
    got = server.call("DescribeTable", TableName=name)["Table"]["ProvisionedThroughput"]
    assert (got["ReadCapacityUnits"], got["WriteCapacityUnits"], got["NumberOfDecreasesToday"]) == (10, 4, 1)
    assert got["LastIncreaseDateTime"] > 1.6e9 and got["LastDecreaseDateTime"] > 1.6e9


def test_decreases_are_limited(server, make_table):
    """Four in a day at once, then one an hour; what increases is not limited."""
    name = make_table(ProvisionedThroughput=provisioned(10, 10))

    def update(read, write):
        answer = server.signed("UpdateTable", {"TableName": name, "ProvisionedThroughput": provisioned(read, write)})
        server.wait_active(name)
        return answer

    for read in (9, 8, 7, 6):
        assert update(read, 10).status == 200
    error, text = update(5, 10).error
    assert error == "LimitExceededException"
    moment = r"[A-Z][a-z]+day, [A-Z][a-z]+ \d{1,2}, 20\d\d at \d{1,2}:\d\d:\d\d [AP]M Coordinated Universal Time"
    assert re.fullmatch("Subscriber limit exceeded: Provisioned throughput decreases are limited within a given UTC day. After the first 4 "
                        "decreases, each subsequent decrease in the same UTC day can be performed at most once every 3600 seconds. Number of "
                        f"decreases today: 4. Last decrease at {moment}. Next decrease can be made at {moment}", text), text
    assert update(5, 11).error[0] == "LimitExceededException"
    assert update(6, 11).status == 200
    assert server.call("DescribeTable", TableName=name)["Table"]["ProvisionedThroughput"]["NumberOfDecreasesToday"] == 4


def test_update_billing_mode(server, make_table):
    name = make_table(ProvisionedThroughput=provisioned(5, 5))
    server.call("UpdateTable", TableName=name, BillingMode="PAY_PER_REQUEST")
    server.wait_active(name)
    got = server.call("DescribeTable", TableName=name)["Table"]
    assert got["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert got["BillingModeSummary"]["LastUpdateToPayPerRequestDateTime"] > 1.6e9
    assert got["ProvisionedThroughput"]["ReadCapacityUnits"] == 0
    server.call("UpdateTable", TableName=name, BillingMode="PROVISIONED", ProvisionedThroughput=provisioned(7, 8))
    server.wait_active(name)
    got = server.call("DescribeTable", TableName=name)["Table"]
    assert got["BillingModeSummary"]["BillingMode"] == "PROVISIONED"
    assert (got["ProvisionedThroughput"]["ReadCapacityUnits"], got["ProvisionedThroughput"]["WriteCapacityUnits"]) == (7, 8)


def test_update_class_and_maximums(server, make_table):
    name = make_table()
    server.call("UpdateTable", TableName=name, TableClass="STANDARD_INFREQUENT_ACCESS")
    server.wait_active(name)
    server.call("UpdateTable", TableName=name, OnDemandThroughput={"MaxReadRequestUnits": 20, "MaxWriteRequestUnits": 15})
    server.wait_active(name)
    got = server.call("DescribeTable", TableName=name)["Table"]
    assert got["TableClassSummary"]["TableClass"] == "STANDARD_INFREQUENT_ACCESS"
    assert got["OnDemandThroughput"] == {"MaxReadRequestUnits": 20, "MaxWriteRequestUnits": 15}


def test_a_maximum_that_is_not_given_stays(server, make_table):
    name = make_table(OnDemandThroughput={"MaxReadRequestUnits": 20, "MaxWriteRequestUnits": 15})
    for given, maximums in (({"MaxReadRequestUnits": 40}, {"MaxReadRequestUnits": 40, "MaxWriteRequestUnits": 15}),
                            ({"MaxWriteRequestUnits": -1}, {"MaxReadRequestUnits": 40}),
                            ({"MaxReadRequestUnits": -1}, None),
                            ({"MaxWriteRequestUnits": 5}, {"MaxWriteRequestUnits": 5})):
        before = server.call("DescribeTable", TableName=name)["Table"].get("OnDemandThroughput", {})
        echo = server.call("UpdateTable", TableName=name, OnDemandThroughput=given)["TableDescription"]["OnDemandThroughput"]
        assert echo == {**before, **given}  # -1 of the one that is taken away now, and of no other
        server.wait_active(name)
        assert server.call("DescribeTable", TableName=name)["Table"].get("OnDemandThroughput") == maximums


def test_no_maximum_is_as_if_it_were_not_there(server, make_table):
    name = make_table(OnDemandThroughput={})
    assert "OnDemandThroughput" not in server.call("DescribeTable", TableName=name)["Table"]
    error, text = server.error("UpdateTable", TableName=name, OnDemandThroughput={})
    assert error == VALIDATION and text.startswith("At least one of ProvisionedThroughput")


@pytest.mark.parametrize("given,member", [({"MaxReadRequestUnits": 0, "MaxWriteRequestUnits": 1}, "MaxReadRequestUnits"),
                                          ({"MaxWriteRequestUnits": 1}, "MaxWriteRequestUnits")])
def test_maximums_of_a_new_provisioned_table(server, given, member):
    members = definition("maximums", ProvisionedThroughput=provisioned(1, 1), OnDemandThroughput=given)
    assert server.error("CreateTable", **members) == (
        VALIDATION, INVALID + member + " for OnDemandThroughput cannot be specified when table BillingMode is PROVISIONED.")


@pytest.mark.parametrize("member", ["MaxReadRequestUnits", "MaxWriteRequestUnits"])
@pytest.mark.parametrize("maximum", [0, -1, -2])
def test_a_new_table_has_no_maximum_to_be_taken_away(server, member, maximum):
    assert server.error("CreateTable", **definition("maximums", OnDemandThroughput={member: maximum})) == (
        VALIDATION, INVALID + f"Requested {member} for OnDemandThroughput for table is outside of valid range")


@pytest.mark.parametrize("maximum", [0, -2])
def test_maximums_out_of_range(server, table, maximum):
    assert server.error("UpdateTable", TableName=table, OnDemandThroughput={"MaxReadRequestUnits": maximum}) == (
        VALIDATION, INVALID + "Requested MaxReadRequestUnits for OnDemandThroughput for table is outside of valid range")


def test_deletion_protection(server, make_table):
    name = make_table(DeletionProtectionEnabled=True)
    error, text = server.error("DeleteTable", TableName=name)
    assert error == VALIDATION and "protected against deletion" in text
    server.call("UpdateTable", TableName=name, DeletionProtectionEnabled=False)
    server.wait_active(name)
    server.call("DeleteTable", TableName=name)
    server.wait_gone(name)


@pytest.mark.parametrize("members,message", [
    ({}, "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates, SSESpecification, "
         "ReplicaUpdates, MultiAccountReplicaReady, ReplicaTransitRoleArn, MultiRegionConsistency, DeletionProtectionEnabled, "
         "OnDemandThroughput, WarmThroughput or TableClass is required"),
    ({"DeletionProtectionEnabled": True, "TableClass": "STANDARD"},
     INVALID + "DeletionProtection modification must be the only operation in the request"),
    ({"DeletionProtectionEnabled": True, "ProvisionedThroughput": provisioned(5, 6)},
     INVALID + "DeletionProtection modification must be the only operation in the request"),
    ({"BillingMode": "PAY_PER_REQUEST", "TableClass": "STANDARD"},
     INVALID + "TableClass modification must be the only operation in the request"),
    ({"SSESpecification": {"Enabled": True}, "DeletionProtectionEnabled": True},
     INVALID + "Server-Side Encryption modification must be the only operation in the request"),
    ({"WarmThroughput": {"ReadUnitsPerSecond": 20}, "ProvisionedThroughput": provisioned(6, 6)},
     INVALID + "WarmThroughput must be the only operation in the request"),
    ({"WarmThroughput": {"ReadUnitsPerSecond": 20}, "GlobalSecondaryIndexUpdates": [{"Create": INDEX}]},
     INVALID + "Create global secondary index cannot be specified when updating WarmThroughput"),
    ({"OnDemandThroughput": {"MaxReadRequestUnits": 20}, "WarmThroughput": {"ReadUnitsPerSecond": 20}},
     INVALID + "OnDemandThroughput can only be combined with BillingMode in an UpdateTable request"),
    ({"ProvisionedThroughput": provisioned(6, 6), "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}},
     INVALID + "You cannot modify stream status while updating table IOPS"),
    ({"ProvisionedThroughput": provisioned(6, 6), "GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": "one"}}]},
     INVALID + "You cannot create or delete index while updating table IOPS"),
    ({"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}, "GlobalSecondaryIndexUpdates": [{"Create": INDEX}]},
     INVALID + "You cannot create or delete index while changing stream status"),
    ({"OnDemandThroughput": {"MaxReadRequestUnits": 5}},
     INVALID + "MaxReadRequestUnits for OnDemandThroughput cannot be specified when the table BillingMode is PROVISIONED"),
    ({"BillingMode": "PAY_PER_REQUEST", "OnDemandThroughput": {"MaxWriteRequestUnits": 0}},
     INVALID + "Requested MaxWriteRequestUnits for OnDemandThroughput for table is outside of valid range"),
    ({"ProvisionedThroughput": provisioned(5, 5)},
     "The provisioned throughput for the table will not change. The requested value equals the current value. Current ReadCapacityUnits "
     "provisioned for the table: 5. Requested ReadCapacityUnits: 5. Current WriteCapacityUnits provisioned for the table: 5. Requested "
     "WriteCapacityUnits: 5. Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits."),
    ({"BillingMode": "PAY_PER_REQUEST", "ProvisionedThroughput": provisioned(5, 6)},
     INVALID + "ProvisionedThroughput cannot be specified when BillingMode is PAY_PER_REQUEST"),
    ({"BillingMode": "PROVISIONED"}, INVALID + "ProvisionedThroughput must be specified when BillingMode is PROVISIONED"),
    ({"ProvisionedThroughput": provisioned(0, 5)},
     "1 validation error detected: Value '0' at 'provisionedThroughput.readCapacityUnits' failed to satisfy constraint: "
     "Member must have value greater than or equal to 1"),
    ({"TableClass": "FAST"}, "Invalid table-class parameter provided. Please try again with a valid table-class value: "
                             "[STANDARD, STANDARD_INFREQUENT_ACCESS]."),
    ({"SSESpecification": {"Enabled": False}}, INVALID + "Table is already encrypted by default"),
    ({"ReplicaUpdates": [{"Create": {"RegionName": "eu-west-1"}}]}, INVALID + "ReplicaUpdates is not supported")])
def test_update_errors(server, make_table, members, message):
    name = make_table(ProvisionedThroughput=provisioned(5, 5))
    assert server.error("UpdateTable", {"TableName": name, **members}) == (VALIDATION, message)
    assert server.call("DescribeTable", TableName=name)["Table"]["ProvisionedThroughput"]["ReadCapacityUnits"] == 5


def test_update_of_an_on_demand_table(server, table):
    assert server.error("UpdateTable", TableName=table, ProvisionedThroughput=provisioned(1, 1)) == (
        VALIDATION, INVALID + "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST")
    for definitions in ([attribute("pk")], [attribute("pk", "N"), attribute("more")], []):  # nothing is made of them
        server.call("UpdateTable", TableName=table, BillingMode="PAY_PER_REQUEST", AttributeDefinitions=definitions)
        server.wait_active(table)
        assert server.call("DescribeTable", TableName=table)["Table"]["AttributeDefinitions"] == [attribute("pk")]
    error, text = server.error("UpdateTable", TableName=table, AttributeDefinitions=[attribute("pk")])
    assert error == VALIDATION and text.startswith("At least one of ")


# ---- States ----

def test_states_can_be_seen():
    server = Server("--in-memory", "--status-delay", "300")
    try:
        server.call("CreateTable", definition("slow"))
        assert server.call("DescribeTable", TableName="slow")["Table"]["TableStatus"] == "CREATING"
        assert server.error("PutItem", TableName="slow", Item=key("a")) == ("ResourceNotFoundException", "Requested resource not found")
        assert server.error("DeleteTable", TableName="slow")[0] == "ResourceInUseException"
        assert server.error("UpdateTable", TableName="slow", BillingMode="PAY_PER_REQUEST")[0] == "ResourceInUseException"
        server.wait_active("slow")
        server.call("DeleteTable", TableName="slow")
        assert server.call("DescribeTable", TableName="slow")["Table"]["TableStatus"] == "DELETING"
        assert server.error("GetItem", TableName="slow", Key=key("a"))[0] == "ResourceNotFoundException"
        server.wait_gone("slow")
    finally:
        server.stop()


def test_tables_and_items_survive_a_restart(tmp_path):
    options = ("--data", str(tmp_path / "data"))
    server = Server(*options)
    try:
        server.call("CreateTable", definition("kept", Tags=[{"Key": "a", "Value": "b"}]))
        server.wait_active("kept")
        server.call("PutItem", TableName="kept", Item={**key("a"), "v": {"N": "1"}})
        before = counted(server, "kept", 1)
    finally:
        server.stop()
    server = Server(*options)
    try:
        after = counted(server, "kept", 1)
        for member in ("TableId", "TableArn", "CreationDateTime", "ItemCount", "TableSizeBytes"):
            assert after[member] == before[member]
        assert server.call("GetItem", TableName="kept", Key=key("a"))["Item"] == {**key("a"), "v": {"N": "1"}}
        assert server.call("ListTagsOfResource", ResourceArn=after["TableArn"])["Tags"] == [{"Key": "a", "Value": "b"}]
    finally:
        server.stop()


def test_boto3_waits_for_a_table(boto):
    name = new_name()
    boto.create_table(**definition(name))
    boto.get_waiter("table_exists").wait(TableName=name)
    boto.delete_table(TableName=name)
    boto.get_waiter("table_not_exists").wait(TableName=name)


def test_describe_waits_for_what_is_under_way(tmp_path):
    """A waiter of boto3 or the AWS CLI that sees CREATING once asks again after 20 s."""
    server = Server("--data", str(tmp_path / "data"))
    try:
        for _ in range(10):
            name = new_name()
            assert server.call("CreateTable", definition(name))["TableDescription"]["TableStatus"] == "CREATING"
            assert server.call("DescribeTable", TableName=name)["Table"]["TableStatus"] == "ACTIVE"
            assert server.call("UpdateTable", TableName=name, TableClass="STANDARD")["TableDescription"]["TableStatus"] == "UPDATING"
            assert server.call("DescribeTable", TableName=name)["Table"]["TableStatus"] == "ACTIVE"
            assert server.call("DeleteTable", TableName=name)["TableDescription"]["TableStatus"] == "DELETING"
            assert server.error("DescribeTable", TableName=name)[0] == "ResourceNotFoundException"
    finally:
        server.stop()
