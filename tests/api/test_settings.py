"""What tables are asked to be beside their keys: warm throughput, encryption, billing, resource policies, continuous backups."""

import json
import time

import pytest

from conftest import CREDENTIALS, SECONDS_MAX, Server, definition, new_name

VALIDATION = "ValidationException"
INVALID = "One or more parameter values were invalid: "
POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:user/a"},
                                                  "Action": "dynamodb:GetItem", "Resource": "*"}]}

OTHER = {**POLICY, "Version": "2008-10-17"}


def minified(policy):
    return json.dumps(policy, separators=(",", ":"))


def arn(table):
    return f"arn:aws:dynamodb:us-east-1:000000000000:table/{table}"


def describe(server, table):
    return server.call("DescribeTable", TableName=table)["Table"]


def update(server, table, **members):
    got = server.call("UpdateTable", TableName=table, **members)["TableDescription"]
    server.wait_active(table)
    return got


def logged(server, text, count=1):
    """The log has so many lines with the text; it is read behind the answers."""
    deadline = time.monotonic() + SECONDS_MAX
    while sum(text in line for line in server.log) < count:
        assert time.monotonic() < deadline, "".join(server.log)
        time.sleep(0.01)
    return [line for line in server.log if text in line]


# ---- Warm throughput ----

def test_warm_throughput_of_a_new_table(server, make_table):
    table = make_table(WarmThroughput={"ReadUnitsPerSecond": 20000, "WriteUnitsPerSecond": 5000})
    assert describe(server, table)["WarmThroughput"] == {"ReadUnitsPerSecond": 20000, "WriteUnitsPerSecond": 5000, "Status": "ACTIVE"}
    table = make_table(WarmThroughput={"ReadUnitsPerSecond": 20000})
    assert describe(server, table)["WarmThroughput"] == {"ReadUnitsPerSecond": 20000, "WriteUnitsPerSecond": 4000, "Status": "ACTIVE"}


def test_warm_throughput_only_grows(server, table):
    assert update(server, table, WarmThroughput={"WriteUnitsPerSecond": 6000})["WarmThroughput"] == {
        "ReadUnitsPerSecond": 12000, "WriteUnitsPerSecond": 6000, "Status": "UPDATING"}
    assert describe(server, table)["WarmThroughput"] == {"ReadUnitsPerSecond": 12000, "WriteUnitsPerSecond": 6000, "Status": "ACTIVE"}
    for members, name in (({"WriteUnitsPerSecond": 5999}, "WriteUnitsPerSecond"), ({"ReadUnitsPerSecond": 11999}, "ReadUnitsPerSecond")):
        assert server.error("UpdateTable", TableName=table, WarmThroughput=members) == (
            VALIDATION, INVALID + f"Requested {name} for WarmThroughput for table is lower than current WarmThroughput, decreasing "
            "WarmThroughput is not supported")
    assert describe(server, table)["WarmThroughput"]["WriteUnitsPerSecond"] == 6000


def provisioned(units):
    return {"ReadCapacityUnits": units, "WriteCapacityUnits": units}


def warm(units, writes=None):
    return {"ReadUnitsPerSecond": units, "WriteUnitsPerSecond": writes or units, "Status": "ACTIVE"}


def test_warm_throughput_is_the_most_that_there_was(server, make_table):
    table = make_table(ProvisionedThroughput=provisioned(5))
    for change, expected in (({"ProvisionedThroughput": provisioned(9)}, warm(9)), ({"ProvisionedThroughput": provisioned(2)}, warm(9)),
                             ({"ProvisionedThroughput": {"ReadCapacityUnits": 3, "WriteCapacityUnits": 11}}, warm(9, 11)),
                             ({"WarmThroughput": {"ReadUnitsPerSecond": 20}}, warm(20, 11)),
                             ({"BillingMode": "PAY_PER_REQUEST"}, warm(12000, 4000)),
                             ({"BillingMode": "PROVISIONED", "ProvisionedThroughput": provisioned(1)}, warm(12000, 4000)),
                             ({"ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 5000}}, warm(12000, 5000)),
                             ({"BillingMode": "PAY_PER_REQUEST"}, warm(12000, 5000))):
        update(server, table, **change)
        assert describe(server, table)["WarmThroughput"] == expected, change
    assert server.error("UpdateTable", TableName=table, WarmThroughput={"WriteUnitsPerSecond": 4999})[0] == VALIDATION


def test_warm_throughput_is_the_most_that_an_index_had(server, make_table):
    table = make_table("pk:S sk:S", ProvisionedThroughput=provisioned(5), GlobalSecondaryIndexes=[
        {"IndexName": "one", "KeySchema": [{"AttributeName": "sk", "KeyType": "HASH"}], "Projection": {"ProjectionType": "ALL"},
         "ProvisionedThroughput": provisioned(7)}])

    def of_index(members, **more):
        update(server, table, GlobalSecondaryIndexUpdates=[{"Update": {"IndexName": "one", **members}}], **more)
        return describe(server, table)["GlobalSecondaryIndexes"][0]["WarmThroughput"]
    assert of_index({"ProvisionedThroughput": provisioned(1)}) == warm(7)
    assert of_index({"ProvisionedThroughput": provisioned(8)}) == warm(8)
    update(server, table, BillingMode="PAY_PER_REQUEST")
    assert of_index({"ProvisionedThroughput": provisioned(2)}, BillingMode="PROVISIONED", ProvisionedThroughput=provisioned(5)) == warm(12000, 4000)
    assert describe(server, table)["WarmThroughput"] == warm(12000, 4000)


def test_warm_throughput_is_kept(tmp_path):
    options = ("--data", str(tmp_path / "data"))
    server = Server(*options)
    try:
        server.call("CreateTable", definition("tab", ProvisionedThroughput=provisioned(9)))
        server.wait_active("tab")
        update(server, "tab", ProvisionedThroughput=provisioned(2))
        server.stop()
        server = Server(*options)
        assert describe(server, "tab")["WarmThroughput"] == warm(9)
    finally:
        server.stop()


INITIAL = ("initial throughput for OnDemand. See: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html"
           "#on-demand-capacity-mode-initial")


@pytest.mark.parametrize("given,error", [
    ({"ReadUnitsPerSecond": 0}, (VALIDATION, INVALID + "Requested ReadUnitsPerSecond for WarmThroughput for table is lower than " + INITIAL)),
    ({"ReadUnitsPerSecond": -1}, (VALIDATION, INVALID + "Requested ReadUnitsPerSecond for WarmThroughput for table is lower than " + INITIAL)),
    ({"WriteUnitsPerSecond": 3999}, (VALIDATION, INVALID + "Requested WriteUnitsPerSecond for WarmThroughput for table is lower than " + INITIAL)),
    ({"WriteUnitsPerSecond": 40001}, ("LimitExceededException", "Subscriber limit exceeded: Requested WriteUnitsPerSecond for WarmThroughput for "
                                                                "table exceeds TableMaxWriteCapacityUnits of the account in region us-east-1"))])
def test_warm_throughput_that_is_refused(server, given, error):
    name = new_name()
    assert server.error("CreateTable", definition(name, WarmThroughput=given)) == error
    assert server.error("DescribeTable", TableName=name)[0] == "ResourceNotFoundException"


def test_warm_throughput_below_what_is_provisioned(server):
    for given, member in (({"ReadUnitsPerSecond": 5}, "Read"), ({"ReadUnitsPerSecond": 10, "WriteUnitsPerSecond": 5}, "Write")):
        assert server.error("CreateTable", definition(new_name(), ProvisionedThroughput=provisioned(10), WarmThroughput=given)) == (
            VALIDATION, INVALID + f"Requested {member}UnitsPerSecond for WarmThroughput for table is lower than {member}CapacityUnits of "
            "ProvisionedThroughput")


def test_no_warm_throughput_is_as_if_it_were_not_there(server, make_table):
    table = make_table(WarmThroughput={})
    assert describe(server, table)["WarmThroughput"] == warm(12000, 4000)
    error, text = server.error("UpdateTable", TableName=table, WarmThroughput={})
    assert error == VALIDATION and text.startswith("At least one of ProvisionedThroughput")


# ---- Encryption ----

def test_encryption_is_described(make_table):
    server = Server("--in-memory")
    try:
        server.call("CreateTable", definition("one", SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": "1234abcd"}))
        server.wait_active("one")
        assert describe(server, "one")["SSEDescription"] == {
            "Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": "arn:aws:kms:us-east-1:000000000000:key/1234abcd"}
        server.call("CreateTable", definition("two"))
        server.wait_active("two")
        got = update(server, "two", SSESpecification={"Enabled": True})
        assert got["SSEDescription"]["Status"] == "UPDATING"
        assert describe(server, "two")["SSEDescription"] == {
            "Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": "arn:aws:kms:us-east-1:000000000000:alias/aws/dynamodb"}
        key = "arn:aws:kms:eu-west-1:111122223333:key/other"
        update(server, "two", SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key})
        assert describe(server, "two")["SSEDescription"]["KMSMasterKeyArn"] == key
        assert server.error("UpdateTable", TableName="two", SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key}) == (
            VALIDATION, INVALID + "Table is already encrypted with given KMSMasterKeyId. Use KMSMasterKeyId parameter if you want to "
            "change Master Key")
        update(server, "two", SSESpecification={"Enabled": False})
        assert "SSEDescription" not in describe(server, "two")
        assert server.error("UpdateTable", TableName="two", SSESpecification={"Enabled": False}) == (
            VALIDATION, INVALID + "Table is already encrypted by default")
        told = logged(server, "does not encrypt", 3)
        assert len(told) == 3 and "table one" in told[0]
    finally:
        server.stop()


@pytest.mark.parametrize("sse,message", [
    ({"Enabled": True, "SSEType": "AES256"}, INVALID + "SSEType AES256 is not supported"),
    ({"Enabled": False, "SSEType": "KMS"}, INVALID + "SSEType can not be specified if Enabled is false"),
    ({"Enabled": False, "KMSMasterKeyId": "a"}, INVALID + "KMSMasterKeyId can not be specified if Enabled is false"),
    ({"Enabled": True, "KMSMasterKeyId": "a"}, INVALID + "SSEType KMS is required if KMSMasterKeyId is specified"),
    ({"KMSMasterKeyId": "a"}, INVALID + "SSEType KMS is required if KMSMasterKeyId is specified"),
    ({"SSEType": "KMS", "KMSMasterKeyId": ""}, INVALID + "KMSMasterKeyId is empty or too long"),
    ({"SSEType": "KMS", "KMSMasterKeyId": "x" * 2049}, INVALID + "KMSMasterKeyId is empty or too long"),
    ({"Enabled": True, "SSEType": "DES"}, "1 validation error detected: Value 'DES' at 'sSESpecification.sSEType' failed to satisfy constraint: "
                                          "Member must satisfy enum value set: [AES256, KMS]")])
def test_encryption_that_is_refused(server, table, sse, message):
    assert server.error("CreateTable", definition(new_name(), SSESpecification=sse)) == (VALIDATION, message)
    assert server.error("UpdateTable", TableName=table, SSESpecification=sse) == (VALIDATION, message)


# ---- Billing ----

def test_four_switches_to_on_demand_in_a_day(server, make_table):
    table = make_table(ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 5})

    def provision():
        update(server, table, BillingMode="PROVISIONED", ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 5})

    for _ in range(4):
        update(server, table, BillingMode="PAY_PER_REQUEST")
        update(server, table, BillingMode="PAY_PER_REQUEST")  # is none
        provision()
    error, text = server.error("UpdateTable", TableName=table, BillingMode="PAY_PER_REQUEST")
    assert error == "LimitExceededException"
    assert text.startswith("Subscriber limit exceeded: Update to PayPerRequest mode are limited to 4 times in 1 day(s). Last update at ")
    assert describe(server, table)["BillingModeSummary"]["BillingMode"] == "PROVISIONED"


# ---- Continuous backups ----

def test_continuous_backups_cannot_be_enabled(server, table):
    enabled = {"PointInTimeRecoveryEnabled": True}
    assert server.error("UpdateContinuousBackups", TableName=table, PointInTimeRecoverySpecification=enabled) == (
        VALIDATION, INVALID + "PointInTimeRecoveryEnabled is not supported")
    assert server.error("UpdateContinuousBackups", TableName=table, PointInTimeRecoverySpecification={
        "PointInTimeRecoveryEnabled": False, "RecoveryPeriodInDays": 3}) == (
            VALIDATION, "Invalid Request: Cannot specify RecoveryPeriodInDays when disabling point-in-time recovery.")
    disabled = {"PointInTimeRecoveryEnabled": False}
    got = server.call("UpdateContinuousBackups", TableName=table, PointInTimeRecoverySpecification=disabled)
    assert got == server.call("DescribeContinuousBackups", TableName=table) == {"ContinuousBackupsDescription": {
        "ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "DISABLED"}}}
    for members in (disabled, enabled, {**enabled, "RecoveryPeriodInDays": 3}):
        assert server.error("UpdateContinuousBackups", TableName="no-such-table", PointInTimeRecoverySpecification=members) == (
            "TableNotFoundException", "Table not found: no-such-table")
    error, text = server.error("UpdateContinuousBackups", TableName="no-such-table", PointInTimeRecoverySpecification={
        **enabled, "RecoveryPeriodInDays": 36})
    assert error == VALIDATION and "'pointInTimeRecoverySpecification.recoveryPeriodInDays' failed to satisfy constraint" in text
    assert server.error("UpdateContinuousBackups", TableName=table)[0] == VALIDATION


# ---- Resource policies ----

def put(server, table, policy=POLICY, **more):
    text = policy if isinstance(policy, str) else json.dumps(policy)
    return server.call("PutResourcePolicy", ResourceArn=arn(table), Policy=text, **more)["RevisionId"]


def get(server, table):
    got = server.call("GetResourcePolicy", ResourceArn=arn(table))
    return got["Policy"], got["RevisionId"]


def test_a_policy_is_kept_and_given_back(server, table):
    assert server.error("GetResourcePolicy", ResourceArn=arn(table)) == (
        "PolicyNotFoundException", f"Resource-based policy not found for the provided ResourceArn: {arn(table)}")
    text = json.dumps(POLICY, indent=3)
    first = put(server, table, text)
    assert get(server, table) == (minified(POLICY), first)
    for same in (text, minified(POLICY), get(server, table)[0]):  # the same again is no new revision
        assert put(server, table, same) == first
    second = put(server, table, OTHER)
    assert second != first and get(server, table) == (minified(OTHER), second)
    assert server.call("DeleteResourcePolicy", ResourceArn=arn(table)) == {"RevisionId": second}
    assert server.call("DeleteResourcePolicy", ResourceArn=arn(table)) == {}
    assert server.error("GetResourcePolicy", ResourceArn=arn(table))[0] == "PolicyNotFoundException"
    assert put(server, table) not in (first, second)


def test_expected_revisions(server, table):
    def refused(operation, **members):
        error, text = server.error(operation, ResourceArn=arn(table), **members)
        assert error == "PolicyNotFoundException" and text.startswith(
            "Resource-based policy not found for the provided ResourceArn: Requested update for policy with revision id "
            f"{members['ExpectedRevisionId']}, but the policy associated to target")

    refused("PutResourcePolicy", Policy=json.dumps(POLICY), ExpectedRevisionId="1")
    refused("DeleteResourcePolicy", ExpectedRevisionId="1")
    first = put(server, table, ExpectedRevisionId="NO_POLICY")
    refused("PutResourcePolicy", Policy=json.dumps(OTHER), ExpectedRevisionId="NO_POLICY")
    refused("PutResourcePolicy", Policy=json.dumps(OTHER), ExpectedRevisionId=first + "0")
    refused("DeleteResourcePolicy", ExpectedRevisionId="1")
    second = put(server, table, OTHER, ExpectedRevisionId=first)
    assert server.call("DeleteResourcePolicy", ResourceArn=arn(table), ExpectedRevisionId=second) == {"RevisionId": second}
    refused("DeleteResourcePolicy", ExpectedRevisionId=second)


@pytest.mark.parametrize("policy,fault", [
    ("", "This policy contains invalid Json"),
    ("[]", "This policy contains invalid Json"),
    ("{", "This policy contains invalid Json"),
    ('{"Statement": []} x', "This policy contains invalid Json"),
    ("null", "This text appears not to be a policy"),
    ("{}", "Syntax error at position (1,3)"),
    ('{"Version": "2020-01-01", "Statement": []}', "Version is neither 2012-10-17 nor 2008-10-17"),
    ('{"Statement": []}', "Could not parse the policy: Statement is empty!"),
    ('{"Statement": [{}]}', "Missing required field Effect"),
    ('{"Statement": [1]}', "Syntax error at position (1,16)"),
    ('{"Statement":\n {"Effect": "Maybe", "Principal": "*", "Action": "*"}}', "Syntax error at position (2,13)"),
    ('{"Statement":{"Effect":"Deny","Principal":"000000000000","Action":"*"}}', "Syntax error at position (1,43)"),
    ('{"Statement":{"Effect":"Deny","Principle":"*","Action":"*"}}', "Syntax error at position (1,43)"),
    ('{"Statement": [' + ", ".join(2 * ['{"Sid": "a", "Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"}']) + "]}",
     "The Statement Ids in the policy are not unique"),
    ('{"Statement": {"Effect": "Allow", "Action": "*"}}', "Missing required field Principal"),
    ('{"Statement": {"Effect": "Allow", "Principal": "*"}}', "Missing required field Action"),
    ('{"Statement": [{"Principal": "*", "Action": "*"}]}', "Missing required field Effect"),
    ('{"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*"}]}', "Missing required field Resource")])
def test_what_is_no_policy(server, table, policy, fault):
    expected = (VALIDATION, INVALID + "Invalid policy document: " + fault)
    assert server.error("PutResourcePolicy", ResourceArn=arn(table), Policy=policy) == expected
    assert server.error("CreateTable", definition(new_name(), ResourcePolicy=policy)) == expected


def statement(**elements):
    return {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:root"}, "Action": "dynamodb:GetItem", "Resource": "*", **elements}


@pytest.mark.parametrize("given,kept", [
    ({"Action": ["dynamodb:GetItem"], "Resource": ["*"]}, statement()),
    ({"Action": ["dynamodb:Query", "dynamodb:GetItem", "dynamodb:GetItem"]}, statement(Action=["dynamodb:Query", "dynamodb:GetItem", "dynamodb:GetItem"])),
    ({"Principal": {"AWS": "000000000000"}}, statement()),
    ({"Principal": {"AWS": ["000000000000"]}}, statement()),
    ({"Effect": "allow"}, statement()),
    ({"Effect": "Deny", "Principal": "*"}, statement(Effect="Deny", Principal="*")),
    ({"Condition": {"StringEquals": {"aws:PrincipalAccount": ["000000000000"]}}},
     statement(Condition={"StringEquals": {"aws:PrincipalAccount": "000000000000"}}))])
def test_the_form_of_a_policy(server, table, given, kept):
    """Statements in a list, elements in one order, a list of one string as that string; the same in that form is no new revision."""
    whole = {**statement(), **given}
    revision = put(server, table, {"Statement": dict(reversed(whole.items())), "Version": "2012-10-17"})
    policy = minified({"Version": "2012-10-17", "Statement": [kept]})
    assert get(server, table) == (policy, revision)
    assert put(server, table, policy) == revision


def test_a_policy_without_a_version(server, table):
    put(server, table, '{"Statement": ' + json.dumps(statement(Sid="V")).replace('"V"', '"\\u0056"') + "}")
    assert json.loads(get(server, table)[0]) == {"Version": "2008-10-17", "Statement": [statement(Sid="V")]}


@pytest.mark.parametrize("principal", ["*", {"AWS": "*"}, {"AWS": ["000000000000", "*"]}])
def test_a_policy_that_allows_everybody(server, table, principal):
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement(Principal=principal)]})
    expected = (VALIDATION, "Resource-based policy grants unbounded access in one or more elements. Please revise the policy to ensure "
                "least-privilege form of access")
    assert server.error("PutResourcePolicy", ResourceArn=arn(table), Policy=policy) == expected
    assert server.error("CreateTable", definition(new_name(), ResourcePolicy=policy)) == expected
    put(server, table, policy.replace('"Allow"', '"Deny"'))
    put(server, table, {"Statement": statement(Principal=principal, Condition={"Bool": {"aws:SecureTransport": "true"}})})


def test_a_policy_of_twenty_kilobytes(server, table):
    text = json.dumps(POLICY)
    most = text + " " * (20480 - len(text))
    assert get(server, table)[0] == minified(POLICY) if put(server, table, most) else False
    error, message = server.error("PutResourcePolicy", ResourceArn=arn(table), Policy=most + " ")
    assert (error, message) == (VALIDATION, INVALID + "Maximum policy size of 20480 bytes exceeded")


def test_policies_of_another_account(server, table):
    other = arn(table).replace("000000000000", "111111111111")
    for operation, members in (("PutResourcePolicy", {"Policy": json.dumps(POLICY)}), ("GetResourcePolicy", {}), ("DeleteResourcePolicy", {})):
        assert server.error(operation, ResourceArn=other, **members) == (
            VALIDATION, "This action is only supported by accounts that match the resource owner’s account.")


def test_policies_of_other_places(server, table):
    for away in (arn(table).replace("us-east-1", "eu-west-1"), arn(table).replace("arn:aws:", "arn:aws-cn:")):
        for operation, members in (("PutResourcePolicy", {"Policy": json.dumps(POLICY)}), ("GetResourcePolicy", {}), ("DeleteResourcePolicy", {})):
            assert server.error(operation, ResourceArn=away, **members) == (VALIDATION, INVALID + f"Invalid resource Arn: {away}")


def test_resources_that_have_no_policy(server):
    text = json.dumps(POLICY)
    for operation, more in (("PutResourcePolicy", {"Policy": text}), ("GetResourcePolicy", {}), ("DeleteResourcePolicy", {})):
        assert server.error(operation, ResourceArn=arn("no-such-table"), **more)[0] == "ResourceNotFoundException"
        assert server.error(operation, ResourceArn="table", **more)[0] == VALIDATION
        assert server.error(operation, **more)[0] == VALIDATION
    assert server.error("PutResourcePolicy", ResourceArn=arn("abc"))[0] == VALIDATION


def test_a_table_is_made_with_a_policy_that_survives(tmp_path):
    options = ("--data", str(tmp_path / "data"))
    server = Server(*options)
    try:
        server.call("CreateTable", definition("kept", ResourcePolicy=json.dumps(POLICY), SSESpecification={"Enabled": True},
                                              WarmThroughput={"ReadUnitsPerSecond": 13000}))
        server.wait_active("kept")
        before = get(server, "kept")
        assert before[0] == minified(POLICY)
        logged(server, "the resource policy of table kept is kept, but without --credentials")
    finally:
        server.stop()
    server = Server(*options)
    try:
        assert get(server, "kept") == before
        table = describe(server, "kept")
        assert table["WarmThroughput"]["ReadUnitsPerSecond"] == 13000 and table["SSEDescription"]["Status"] == "ENABLED"
        assert server.call("DeleteResourcePolicy", ResourceArn=arn("kept"), ExpectedRevisionId=before[1]) == {"RevisionId": before[1]}
    finally:
        server.stop()


def test_with_credentials_the_log_says_so_too(tmp_path):
    keys = tmp_path / "keys"
    keys.write_text(f"{CREDENTIALS.access_key} {CREDENTIALS.secret_key}\n")
    keys.chmod(0o600)
    server = Server("--in-memory", "--credentials", str(keys))
    try:
        server.call("CreateTable", definition("one"))
        server.wait_active("one")
        put(server, "one", ConfirmRemoveSelfResourceAccess=True)
        logged(server, "requests are not authorised yet")
    finally:
        server.stop()


def test_boto3_has_some_of_it(boto, table):
    assert boto.update_continuous_backups  # Debian's boto3 is older than resource policies and warm throughput
    got = boto.update_continuous_backups(TableName=table, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False})
    assert got["ContinuousBackupsDescription"]["ContinuousBackupsStatus"] == "ENABLED"
