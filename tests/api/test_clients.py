"""The AWS CLI and the JS SDK v3 as their users run them."""

import json
import os
import subprocess

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
