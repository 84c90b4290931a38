"""`--seed DIR`: tables and items that are there when the server is ready."""

import base64
import gzip
import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest

from process import BINARY, ROOT, Trine, eventually
from test_start import refuses

ITEM = '{"pk": {"S": "%s"}, "v": {"S": "%s"}}\n'


def define(folder, table, stem=None, **more):
    folder.mkdir(exist_ok=True)
    (folder / f"{stem or table}.table.json").write_text(json.dumps(
        {"TableName": table, "BillingMode": "PAY_PER_REQUEST", **more,
         "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
         "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}]}))


def md5(content):
    return base64.b64encode(hashlib.md5(content).digest()).decode()


def export(folder, table, files, summary=None, md5s=True):
    """What ExportTableToPointInTime writes: one data file for each list of items."""
    (folder / "data").mkdir(parents=True)
    lines = []
    for number, items in enumerate(files):
        packed = gzip.compress("".join(json.dumps({"Item": item}) + "\n" for item in items).encode())
        (folder / "data" / f"file{number}.json.gz").write_bytes(packed)
        lines.append(json.dumps({"itemCount": len(items), "md5Checksum": md5(packed), "etag": "unused-1",
                                 "dataFileS3Key": f"prefix/AWSDynamoDB/01-ab/data/file{number}.json.gz"}))
    manifests = {
        "manifest-files": "\n".join(lines) + "\n",
        "manifest-summary": json.dumps(
            {"version": "2020-06-30", "exportArn": f"arn:aws:dynamodb:us-east-1:000000000000:table/{table}/export/01-ab",
             "tableArn": f"arn:aws:dynamodb:us-east-1:000000000000:table/{table}", "tableId": "unused",
             "s3Bucket": "bucket", "itemCount": sum(map(len, files)), "outputFormat": "DYNAMODB_JSON",
             "exportType": "FULL_EXPORT", **(summary or {})}, indent=1)}
    for name, text in manifests.items():
        (folder / f"{name}.json").write_text(text)
        if md5s:
            (folder / f"{name}.md5").write_text(md5(text.encode()))


@pytest.fixture
def seed(tmp_path):
    folder = tmp_path / "seed"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("where", [["--in-memory"], []], ids=["memory", "disk"])
def test_tables_and_items_are_there_when_it_is_ready(start, seed, where):
    define(seed, "empty")
    define(seed, "Orders", stem="orders")
    wrapped = [json.dumps({"Item": {"pk": {"S": f"w{n}"}, "v": {"S": "é\"\n"}}}) for n in range(100)]
    (seed / "orders.jsonl").write_text("".join(ITEM % (n, "x" * n) for n in range(1000)) + "\n \n"
                                       + "\r\n".join(wrapped))  # the last line without its end
    (seed / "notes.txt").write_text("what else lies there")
    server = start("--seed", seed, *where)
    items = server.scan("Orders")
    assert len(items) == 1100
    assert all(items[str(n)] == {"v": "x" * n} for n in range(1, 1000))
    assert all(items[f"w{n}"] == {"v": "é\"\n"} for n in range(100))
    assert server.scan("empty") == {}
    assert server.find(r"info ops: seed: Orders has been loaded: 1100 items$"), server.output
    assert server.find(r"info ops: seed: empty has been loaded: 0 items$")
    server.stop()


def test_tables_of_little_throughput_are_loaded_at_once(start, seed):
    define(seed, "tab", BillingMode="PROVISIONED",
           ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1})
    (seed / "tab.jsonl").write_text("".join(ITEM % (n, "x" * 900) for n in range(3000)))
    server = start("--in-memory", "--seed", seed)
    assert server.find("seed: tab has been loaded: 3000 items")
    server.put("tab", "more", v="x")  # all that it may burst is there


def test_second_start_leaves_tables_alone(start, seed):
    define(seed, "tab")
    (seed / "tab.jsonl").write_text(ITEM % ("a", "seed"))
    first = start("--seed", seed)
    first.put("tab", "a", v="mine")
    first.stop()
    (seed / "tab.jsonl").write_text("no JSON at all\n")
    define(seed, "other")
    second = start("--seed", seed)
    assert second.get("tab", "a") == {"v": "mine"}
    assert second.scan("other") == {}
    assert second.find(r"info ops: seed: tab is there already and is left alone$"), second.output


def test_the_last_of_equal_keys_wins(start, seed):
    define(seed, "tab")
    (seed / "tab.jsonl").write_text("".join(ITEM % (n % 7, n) for n in range(100)))
    assert start("--in-memory", "--seed", seed).scan("tab") == \
        {str(n % 7): {"v": str(n)} for n in range(93, 100)}


def test_large_items_and_long_lines(start, seed):
    define(seed, "tab")
    large = "\\u0001" * 380_000  # six bytes of JSON for one of the item
    (seed / "tab.jsonl").write_text("".join(ITEM % (n, large) for n in range(12)))
    items = start("--in-memory", "--seed", seed).scan("tab")
    assert {len(item["v"]) for item in items.values()} == {380_000} and len(items) == 12


def fails(start, seed, sentence):
    refuses(start("--in-memory", "--seed", seed, ready=False), sentence)


@pytest.mark.parametrize("line, message", [
    ('{"pk": {"S": "x"}', "it is not JSON"),
    ("[]", "it is no item: not a JSON object"),
    ('{"pk": {"S": "x"}} {}', "it is not JSON"),
    ('{"v": {"S": "x"}}', "One or more parameter values were invalid: Missing the key pk in the item"),
    ('{"pk": {"N": "1"}}',
     "One or more parameter values were invalid: Type mismatch for key pk expected: S actual: N"),
    ('{"pk": {"S": "x"}, "n": {"N": "abc"}}',
     "The parameter cannot be converted to a numeric value: abc"),
    ('{"pk": {"S": "x"}, "v": {"S": "' + "x" * 420_000 + '"}}', "Item size has exceeded the maximum allowed size"),
], ids=["cut", "array", "more", "no_key", "type", "number", "large"])
def test_wrong_lines_are_named(start, seed, line, message):
    define(seed, "tab")
    (seed / "tab.jsonl").write_text((ITEM % ("a", "1")) * 3 + "\n" + line + "\n" + ITEM % ("b", "1"))
    fails(start, seed, f"{seed}/tab.jsonl:5: {message}")


def test_other_faults_are_named(start, seed, tmp_path):
    fails(start, tmp_path / "none", f"{tmp_path}/none: there is no such directory")
    (seed / "a.jsonl").write_text("{}")
    fails(start, seed, f"{seed}/a.jsonl: there is no a.table.json beside it, which says how the table is defined")
    (seed / "a.table.json").write_text("{")
    fails(start, seed, f"{seed}/a.table.json: it is not a JSON object")
    (seed / "a.table.json").write_text("{}")
    fails(start, seed, f"{seed}/a.table.json: it has no TableName, or too long a one")
    (seed / "a.table.json").write_text('{"TableName": "abc", "BillingMode": "PAY_PER_REQUEST"}')
    fails(start, seed, f"{seed}/a.table.json: ValidationException: 2 validation errors detected: Value null at "
          "'attributeDefinitions' failed to satisfy constraint: Member must not be null; Value null at 'keySchema' "
          "failed to satisfy constraint: Member must not be null")
    (seed / "a.table.json").write_text(" " * (2 << 20))
    fails(start, seed, f"{seed}/a.table.json: it has more than 1048576 bytes")
    define(seed, "abc", stem="a")
    (seed / "a.jsonl").write_text(ITEM % ("x", "y" * (9 << 20)))
    fails(start, seed, f"{seed}/a.jsonl:1: the line has more than 8388608 bytes")


# ---- Definitions ----


DESCRIBED = ("TableName", "AttributeDefinitions", "KeySchema", "BillingModeSummary", "ProvisionedThroughput", "OnDemandThroughput",
             "TableClassSummary", "StreamSpecification", "DeletionProtectionEnabled", "LocalSecondaryIndexes", "GlobalSecondaryIndexes")


def without_state(description):
    """What two tables of the same definition have in common."""
    kept = {name: description[name] for name in DESCRIBED if name in description}
    text = json.dumps(kept, sort_keys=True)
    return re.sub(r'"(LastUpdate\w*|Last(In|De)creaseDateTime)": [\d.]+(, )?', "", text)


@pytest.mark.parametrize("billing", ["PAY_PER_REQUEST", "PROVISIONED"])
def test_what_describe_table_answers_is_a_definition(start, seed, billing):
    units = {"ProvisionedThroughput": {"ReadCapacityUnits": 7, "WriteCapacityUnits": 8}}
    maximums = {"OnDemandThroughput": {"MaxReadRequestUnits": 100}}
    provisioned = billing == "PROVISIONED"
    first = start("--in-memory")
    first.call("CreateTable", TableName="tab", BillingMode=billing, TableClass="STANDARD_INFREQUENT_ACCESS", DeletionProtectionEnabled=True,
               AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, kind in (("pk", "S"), ("sk", "N"), ("g", "B"))],
               KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
               StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}, **(units if provisioned else maximums),
               LocalSecondaryIndexes=[{"IndexName": "loc", "Projection": {"ProjectionType": "KEYS_ONLY"}, "KeySchema": [
                   {"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "g", "KeyType": "RANGE"}]}],
               GlobalSecondaryIndexes=[{"IndexName": f"glo{n}", "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}], "Projection": {
                   "ProjectionType": "INCLUDE", "NonKeyAttributes": ["a", "b"]}, **(units if provisioned else maximums)} for n in range(2)])
    eventually(lambda: first.call("DescribeTable", TableName="tab")["Table"]["TableStatus"] == "ACTIVE", "ACTIVE")
    if provisioned:
        units["ProvisionedThroughput"]["ReadCapacityUnits"] = 3
        first.call("UpdateTable", TableName="tab", **units)
        eventually(lambda: first.call("DescribeTable", TableName="tab")["Table"]["TableStatus"] == "ACTIVE", "ACTIVE")
    description = first.call("DescribeTable", TableName="tab")
    description["Table"]["Replicas"] = [{"RegionName": "eu-west-1"}]
    (seed / "tab.table.json").write_text(json.dumps(description, indent=4))
    (seed / "tab.jsonl").write_text('{"pk": {"S": "a"}, "sk": {"N": "1"}}')
    second = start("--in-memory", "--seed", seed)
    got = second.call("DescribeTable", TableName="tab")["Table"]
    assert got["ItemCount"] == 1
    wanted = description["Table"]
    if provisioned:
        wanted["ProvisionedThroughput"]["NumberOfDecreasesToday"] = 0
    assert without_state(got).replace('"ItemCount": 1', '"ItemCount": 0') == without_state(wanted)


def test_descriptions_that_are_none(start, seed):
    path = seed / "a.table.json"
    for text, sentence in (('{"Table": {}}', "it has no TableName, or too long a one"), ('{"Table": "tab"}', "it has no TableName, or too long a one"),
                           ('{"Table": {"TableName": "tab"}', "it is not a JSON object"), ('{"Table": {"TableName": "tab"}} x', "it is not a JSON object"),
                           ('{"Table": {"TableName": "tab", "GlobalSecondaryIndexes": [5]}}', "ValidationException: ")):
        path.write_text(text)
        server = start("--in-memory", "--seed", seed, ready=False)
        assert server.wait() == 1 and f"{path}: {sentence}" in "".join(server.output), server.output


# ---- Exports ----


def numbered(first, count):
    return [{"pk": {"S": str(n)}, "v": {"S": "é" * (n % 50)}} for n in range(first, first + count)]


@pytest.mark.parametrize("where", [".", "AWSDynamoDB/01693685827463-2d8752fd", "orders-export"])
def test_export(start, seed, where):
    define(seed, "Orders")
    folder = seed / where
    export(folder, "Orders", [numbered(0, 700), [], numbered(700, 41)], md5s=where != ".")
    server = start("--seed", seed)
    assert server.scan("Orders") == {str(n): {"v": "é" * (n % 50)} for n in range(741)}
    assert server.find(r"seed: Orders has been loaded: 741 items$")


def test_damaged_exports_are_refused(start, seed):
    define(seed, "Orders")
    good = seed / "good"
    export(good, "Orders", [numbered(0, 50), numbered(50, 50)])

    def damaged(change, sentence):
        shutil.copytree(good, seed / "export")
        shutil.move(good, seed.parent / "aside")
        change(seed / "export")
        fails(start, seed, sentence.replace("HERE", str(seed / "export")))
        shutil.move(seed.parent / "aside", good)
        shutil.rmtree(seed / "export")

    def flip(name):
        def change(folder):
            content = bytearray((folder / name).read_bytes())
            content[len(content) // 2] ^= 1
            (folder / name).write_bytes(content)
        return change

    def rewrite(name, old, new):
        def change(folder):
            text = (folder / f"{name}.json").read_text()
            assert old in text
            (folder / f"{name}.json").write_text(text.replace(old, new))
            (folder / f"{name}.md5").unlink()
        return change

    damaged(flip("data/file1.json.gz"),
            "HERE/data/file1.json.gz: it is damaged: its MD5 is not the manifest's")
    damaged(flip("manifest-files.json"), "HERE/manifest-files.json: it is damaged: its MD5 is not the manifest's")
    damaged(flip("manifest-summary.json"),
            "HERE/manifest-summary.json: it is damaged: its MD5 is not the manifest's")
    damaged(lambda folder: (folder / "data/file0.json.gz").unlink(),
            "HERE/manifest-files.json:1: the file HERE/data/file0.json.gz is not there")
    damaged(lambda folder: (folder / "manifest-files.json").unlink(), "HERE/manifest-files.json: it is not there")
    damaged(rewrite("manifest-files", '"itemCount": 50', '"itemCount": 49'),
            "HERE/data/file0.json.gz: it has 50 items, its manifest says 49")
    damaged(rewrite("manifest-summary", '"itemCount": 100', '"itemCount": 101'),
            "HERE/manifest-files.json: its files have 100 items, manifest-summary.json says 101")
    damaged(rewrite("manifest-summary", "DYNAMODB_JSON", "ION"),
            "HERE/manifest-summary.json: outputFormat is not DYNAMODB_JSON, the one that is read")
    damaged(rewrite("manifest-summary", "FULL_EXPORT", "INCREMENTAL_EXPORT"),
            "HERE/manifest-summary.json: exportType is not FULL_EXPORT, the one that is read")
    damaged(rewrite("manifest-summary", "table/Orders", "table/Others"),
            f"HERE: no *.table.json in {seed} says how its table Others is defined")
    damaged(rewrite("manifest-files", "data/file0.json.gz", "data/"),
            "HERE/manifest-files.json:1: it names no file, or no itemCount")


# ---- Interruptions ----


def test_load_that_failed_is_done_again(start, seed):
    define(seed, "tab")
    (seed / "tab.jsonl").write_text("".join(ITEM % (n, "old") for n in range(500)) + "no item\n")
    refuses(start("--seed", seed, ready=False), f"{seed}/tab.jsonl:501: it is no item: not a JSON object")
    (seed / "tab.jsonl").write_text("".join(ITEM % (n, "new") for n in range(600)))
    server = start("--seed", seed)
    assert server.scan("tab") == {str(n): {"v": "new"} for n in range(600)}
    assert server.find("seed: tab is loaded again: its load was interrupted")
    server.stop()
    assert start("--seed", seed).find("tab is there already and is left alone")


def test_kill_in_the_middle_of_the_load(start, seed, data):
    define(seed, "tab")
    (seed / "tab.jsonl").write_text("".join(ITEM % (n, "x" * 1000) for n in range(20_000)))

    def log_bytes():
        return sum(path.stat().st_blocks for path in data.glob("log-*")) * 512 if data.exists() else 0
    server = start("--seed", seed, "--admin", "0", ready=False)
    eventually(lambda: log_bytes() > 1 << 20, "nothing is being loaded")
    server.kill()
    assert "is ready" not in server.output
    again = start("--seed", seed)
    assert len(again.scan("tab")) == 20_000
    assert again.find("seed: tab is loaded again") or again.find("tab has been loaded: 20000 items")


def test_stop_in_the_middle_of_the_load(start, seed, data):
    define(seed, "tab")
    (seed / "tab.jsonl").write_text("".join(ITEM % (n, "x" * 1000) for n in range(100_000)))
    server = start("--seed", seed, ready=False)
    eventually(lambda: data.exists() and sum(p.stat().st_blocks for p in data.glob("log-*")) * 512 > 1 << 20,
               "nothing is being loaded")
    server.stop()
    assert "is ready" not in server.output


def test_first_seed_of_the_manual(tmp_path):
    """docs/operations.md shows a seed; it is loaded as printed."""
    text = (ROOT / "docs" / "operations.md").read_text()
    for name, content in re.findall(r"<!-- seed: (\S+) -->\n```\w*\n(.*?)```", text, re.DOTALL):
        (tmp_path / name).write_text(content)
    assert {path.name for path in tmp_path.iterdir()} == {"orders.table.json", "orders.jsonl"}
    server = Trine("--in-memory", "--seed", tmp_path, binary=BINARY)
    try:
        assert server.call("Scan", TableName="Orders")["Count"] == 2
    finally:
        server.end()
    assert Path(BINARY).exists()
