"""The AWS CLI, boto3 and the JS SDK v3 as their users run them, and what Terraform asks for."""

import json
import os
import subprocess
from decimal import Decimal

from conftest import ROOT, new_name

SECONDS_MAX = 60


def test_js_sdk(server):
    node = ROOT / "tests" / "js" / "node_modules" / "node" / "bin" / "node"
    run = subprocess.run([str(node) if node.exists() else "node", "api_smoke.cjs", server.url], cwd=ROOT / "tests" / "js",
                         capture_output=True, text=True, timeout=SECONDS_MAX)
    assert (run.returncode, run.stdout) == (0, "ok\n"), run.stdout + run.stderr


def cli(server, *words):
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1",
                   "AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "AWS_MAX_ATTEMPTS": "1"}
    return subprocess.run(["/usr/bin/aws", "--endpoint-url", server.url, "--output", "json", "dynamodb", *words],
                          env=environment, capture_output=True, text=True, timeout=SECONDS_MAX)


def test_aws_cli(server):
    name = new_name("cli")
    made = cli(server, "create-table", "--table-name", name, "--attribute-definitions", "AttributeName=pk,AttributeType=S",
               "--key-schema", "AttributeName=pk,KeyType=HASH", "--provisioned-throughput", "ReadCapacityUnits=5,WriteCapacityUnits=5")
    assert json.loads(made.stdout)["TableDescription"]["TableStatus"] == "CREATING", made.stderr
    server.wait_active(name)
    item = {"pk": {"S": "a"}, "n": {"N": "1"}}
    assert cli(server, "put-item", "--table-name", name, "--item", json.dumps(item)).returncode == 0
    got = cli(server, "get-item", "--table-name", name, "--key", json.dumps({"pk": {"S": "a"}}))
    assert json.loads(got.stdout) == {"Item": item}
    failed = cli(server, "put-item", "--table-name", name, "--item", json.dumps(item), "--condition-expression", "attribute_not_exists(pk)")
    assert failed.returncode != 0
    assert "An error occurred (ConditionalCheckFailedException) when calling the PutItem operation" in failed.stderr
    assert "The conditional request failed" in failed.stderr
    assert json.loads(cli(server, "scan", "--table-name", name).stdout)["Count"] == 1
    assert cli(server, "delete-table", "--table-name", name).returncode == 0


def test_aws_cli_pages_and_waits(server):
    name = new_name("cli")
    table = ("--table-name", name)
    definition = {"TableName": name, "BillingMode": "PAY_PER_REQUEST",
                  "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "sk", "AttributeType": "N"}],
                  "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]}
    assert cli(server, "create-table", "--cli-input-json", json.dumps(definition), "--query", "TableDescription.TableName").stdout == f'"{name}"\n'
    assert cli(server, "wait", "table-exists", *table).returncode == 0
    requests = [{"PutRequest": {"Item": {"pk": {"S": "a"}, "sk": {"N": str(i)}, "b": {"B": "AAE="}}}} for i in range(5)]
    assert json.loads(cli(server, "batch-write-item", "--request-items", json.dumps({name: requests})).stdout) == {"UnprocessedItems": {}}
    first = json.loads(cli(server, "scan", *table, "--page-size", "2", "--max-items", "3").stdout)
    rest = json.loads(cli(server, "scan", *table, "--starting-token", first["NextToken"], "--query", "Items[].sk.N").stdout)
    assert [item["sk"]["N"] for item in first["Items"]] + rest == ["0", "1", "2", "3", "4"]
    assert json.loads(cli(server, "scan", *table, "--no-paginate", "--limit", "1", "--query", "LastEvaluatedKey").stdout) == {
        "pk": {"S": "a"}, "sk": {"N": "0"}}
    assert cli(server, "delete-table", *table).returncode == 0
    assert cli(server, "wait", "table-not-exists", *table).returncode == 0


def test_boto3_resource(server):
    """What applications in Python write: tables as objects, conditions as objects, Python's own types."""
    import boto3
    from boto3.dynamodb.conditions import Attr, Key
    from boto3.dynamodb.types import Binary
    resource = boto3.resource("dynamodb", endpoint_url=server.url, region_name="eu-central-1", aws_access_key_id="any", aws_secret_access_key="any")
    table = resource.create_table(
        TableName=new_name("boto"), BillingMode="PAY_PER_REQUEST", Tags=[{"Key": "team", "Value": "a"}],
        AttributeDefinitions=[{"AttributeName": "p", "AttributeType": "S"}, {"AttributeName": "s", "AttributeType": "N"}],
        KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "s", "KeyType": "RANGE"}])
    table.wait_until_exists()
    rich = {"d": Decimal("1.50"), "b": b"\x00\xff", "bs": {b"a", b"b"}, "ns": {1, Decimal("2.5")}, "ss": {"x", "y"}, "n": None, "t": True,
            "l": [1, {"a": "b"}], "m": {"x": {"y": []}}, "e": "", "eb": b""}
    with table.batch_writer(overwrite_by_pkeys=["p", "s"]) as batch:
        for i in range(60):
            batch.put_item(Item={"p": f"k{i % 2}", "s": i, **rich})
        batch.delete_item(Key={"p": "k0", "s": 0})
    got = table.get_item(Key={"p": "k1", "s": 1})["Item"]
    assert got == {"p": "k1", "s": 1, **rich, "b": Binary(b"\x00\xff"), "bs": {Binary(b"a"), Binary(b"b")}, "eb": Binary(b"")}
    assert table.query(KeyConditionExpression=Key("p").eq("k0") & Key("s").between(2, 6))["Count"] == 3
    for condition, count in ((Attr("d").eq(Decimal("1.5")), 59), (Attr("m.x.y").size().eq(0), 59), (Attr("l[1].a").is_in(["b", "c"]), 59),
                             (Attr("ss").contains("x") & ~Attr("t").eq(True), 0), (Attr("n").attribute_type("NULL") | Attr("zz").exists(), 59),
                             (Attr("s").lt(10), 9)):
        assert table.scan(FilterExpression=condition)["Count"] == count
    new = table.update_item(Key={"p": "k1", "s": 1}, UpdateExpression="SET d = d + :one REMOVE l[0] ADD ns :n DELETE ss :x", ReturnValues="UPDATED_NEW",
                            ExpressionAttributeValues={":one": 1, ":n": {3}, ":x": {"x"}})["Attributes"]
    assert (new["d"], new["ns"], new["ss"]) == (Decimal("2.5"), {1, Decimal("2.5"), 3}, {"y"})
    table.delete()
    table.wait_until_not_exists()


def test_the_calls_of_terraform(server):
    """aws_dynamodb_table made, changed, tagged and destroyed: the calls of the provider, in its order."""
    name = new_name("tf")
    made = server.call("CreateTable", TableName=name, BillingMode="PROVISIONED", TableClass="STANDARD", DeletionProtectionEnabled=False,
                       ProvisionedThroughput={"ReadCapacityUnits": 20, "WriteCapacityUnits": 20}, StreamSpecification={"StreamEnabled": False},
                       SSESpecification={"Enabled": False}, Tags=[{"Key": "Name", "Value": "t"}, {"Key": "Env", "Value": "prod"}],
                       AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("UserId", "GameTitle")],
                       KeySchema=[{"AttributeName": "UserId", "KeyType": "HASH"}, {"AttributeName": "GameTitle", "KeyType": "RANGE"}])
    arn = made["TableDescription"]["TableArn"]

    def refresh():
        table = server.call("DescribeTable", TableName=server.wait_active(name))["Table"]
        assert table["TableArn"] == arn
        backups = server.call("DescribeContinuousBackups", TableName=name)["ContinuousBackupsDescription"]
        assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "DISABLED"
        assert server.call("DescribeTimeToLive", TableName=name)["TimeToLiveDescription"] == {"TimeToLiveStatus": "DISABLED"}
        return table, server.call("ListTagsOfResource", ResourceArn=arn)["Tags"]

    table, tags = refresh()
    assert (table["ProvisionedThroughput"]["ReadCapacityUnits"], tags) == (20, [{"Key": "Name", "Value": "t"}, {"Key": "Env", "Value": "prod"}])
    for change, seen in (({"BillingMode": "PAY_PER_REQUEST"}, lambda t: t["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"),
                         ({"TableClass": "STANDARD_INFREQUENT_ACCESS"}, lambda t: t["TableClassSummary"]["TableClass"] == "STANDARD_INFREQUENT_ACCESS"),
                         ({"OnDemandThroughput": {"MaxReadRequestUnits": 10, "MaxWriteRequestUnits": -1}}, lambda t: t["OnDemandThroughput"]["MaxReadRequestUnits"] == 10),
                         ({"BillingMode": "PROVISIONED", "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}},
                          lambda t: t["ProvisionedThroughput"]["WriteCapacityUnits"] == 5),
                         ({"DeletionProtectionEnabled": True}, lambda t: t["DeletionProtectionEnabled"])):
        server.call("UpdateTable", TableName=name, **change)
        table, _ = refresh()
        assert seen(table), (change, table)
    server.call("UntagResource", ResourceArn=arn, TagKeys=["Name"])
    server.call("TagResource", ResourceArn=arn, Tags=[{"Key": "Owner", "Value": ""}])
    assert refresh()[1] == [{"Key": "Env", "Value": "prod"}, {"Key": "Owner", "Value": ""}]
    assert server.error("DeleteTable", TableName=name)[0] == "ValidationException"
    server.call("UpdateTable", TableName=name, DeletionProtectionEnabled=False)
    refresh()
    server.call("DeleteTable", TableName=name)
    server.wait_gone(name)
    assert server.error("DescribeTable", TableName=name) == ("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found")
