"""Tags, and the small descriptions: time to live, continuous backups, limits, endpoints."""

import pytest

from conftest import Server, definition, new_name

VALIDATION = "ValidationException"


@pytest.fixture
def arn(table):
    return f"arn:aws:dynamodb:us-east-1:000000000000:table/{table}"


def tags(server, arn):
    return {tag["Key"]: tag["Value"] for tag in server.call("ListTagsOfResource", ResourceArn=arn)["Tags"]}


def test_tags(server, arn):
    assert tags(server, arn) == {}
    answer = server.signed("TagResource", {"ResourceArn": arn, "Tags": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}]})
    assert (answer.status, answer.body) == (200, b"")
    server.call("TagResource", ResourceArn=arn, Tags=[{"Key": "a", "Value": "2"}, {"Key": "c", "Value": "3"}])
    assert tags(server, arn) == {"a": "2", "b": "", "c": "3"}
    answer = server.signed("UntagResource", {"ResourceArn": arn, "TagKeys": ["a", "absent"]})
    assert (answer.status, answer.body) == (200, b"")
    assert tags(server, arn) == {"b": "", "c": "3"}


def test_limits_of_tags(server, arn):
    server.call("TagResource", ResourceArn=arn, Tags=[{"Key": f"k{n}", "Value": "v" * 256} for n in range(50)])
    assert len(tags(server, arn)) == 50
    too_many = (VALIDATION, "Number of Tags exceed the current limit for the provided ResourceArn")
    assert server.error("TagResource", ResourceArn=arn, Tags=[{"Key": "one more", "Value": ""}]) == too_many
    assert server.error("TagResource", ResourceArn=arn, Tags=[{"Key": f"k{n}", "Value": ""} for n in range(51)]) == too_many
    assert server.error("UntagResource", ResourceArn=arn, TagKeys=[f"k{n}" for n in range(51)]) == too_many


@pytest.mark.parametrize("operation,more,message", [
    ("TagResource", {"Tags": []}, "Atleast one Tag needs to be provided as Input."),
    ("TagResource", {"Tags": [{"Key": "aws:x", "Value": "v"}]}, "Tag Key cannot be prefixed with aws:, Key: aws:x"),
    ("TagResource", {"Tags": [{"Key": "AwS:x", "Value": "v"}]}, "Tag Key cannot be prefixed with aws:, Key: AwS:x"),
    ("TagResource", {"Tags": [{"Key": "k", "Value": "v"}, {"Key": "k", "Value": "w"}]},
     "Duplicate Tag Keys provided as input: Duplicate Tag Key found k"),
    ("TagResource", {"Tags": [{}]}, "The Tag Key provided is invalid, Key: null"),
    ("TagResource", {"Tags": [{"Key": "k"}]}, "The Tag Value provided is invalid, Value: null"),
    ("TagResource", {"Tags": [{"Key": "k", "Value": "v"}, {"Key": "", "Value": "v"}]}, "The Tag Key provided is invalid, Key: "),
    ("TagResource", {"Tags": [{"Key": "k" * 129, "Value": "v"}]}, f"The Tag Key provided is invalid, Key: {'k' * 129}"),
    ("TagResource", {"Tags": [{"Key": "k", "Value": "v" * 257}]}, f"The Tag Value provided is invalid, Value: {'v' * 257}"),
    ("UntagResource", {"TagKeys": [""]}, "The Tag Key provided is invalid, Key: "),
    ("UntagResource", {"TagKeys": ["k" * 129]}, f"The Tag Key provided is invalid, Key: {'k' * 129}"),
    ("UntagResource", {"TagKeys": []}, "Atleast one Tag Key needs to be provided as Input."),
    ("UntagResource", {"TagKeys": ["k", "aws:x"]}, "Tag Key cannot be prefixed with aws:, Key: aws:x")])
def test_errors_of_tags(server, arn, operation, more, message):
    assert server.error(operation, {"ResourceArn": arn, **more}) == (VALIDATION, message)


def test_a_token_of_tags_is_not_looked_at(server, arn):
    server.call("TagResource", ResourceArn=arn, Tags=[{"Key": "myaws:a", "Value": ""}])
    assert server.call("ListTagsOfResource", ResourceArn=arn, NextToken="x") == {"Tags": [{"Key": "myaws:a", "Value": ""}]}


def test_letters_of_tags(server, arn):
    """Those of any script, digits, spaces and nine signs."""
    taken = {key: key for key in ("a+b-c=d.e_f:g/h@i", "caf\u00e9", "\u043a\u043b\u044e\u0447", "\u8868 \u3000\u00a0 1")}
    server.call("TagResource", ResourceArn=arn, Tags=[{"Key": key, "Value": value} for key, value in taken.items()])
    assert taken.items() <= tags(server, arn).items()
    server.call("UntagResource", ResourceArn=arn, TagKeys=list(taken))
    for text in ("\U0001f511", "a\u2192", "100%", "a,b", "it's", '"q"', "(x)", "[y]", "{z}", "a&b", "a*b", "a;b", "a?b", "a|b", "a\\b", "<a>", "~a", "#"):
        before = tags(server, arn)
        for what, tag in (("Key", {"Key": text, "Value": "v"}), ("Value", {"Key": "k", "Value": text})):
            assert server.error("TagResource", ResourceArn=arn, Tags=[{"Key": "good", "Value": ""}, tag]) == (
                VALIDATION, f"The Tag {what} provided is invalid, {what}: {text}")
        assert tags(server, arn) == before


@pytest.mark.parametrize("operation,more", [
    ("TagResource", {"Tags": [{"Key": "a", "Value": "b"}]}), ("UntagResource", {"TagKeys": ["a"]}), ("ListTagsOfResource", {})])
def test_resources_of_tags(server, operation, more):
    assert server.error(operation, {"ResourceArn": "no-arn", **more}) == (
        VALIDATION, "One or more parameter values were invalid: ARNs must start with 'arn:': no-arn")
    for arn, text in (("arn:aws:s3:us-east-1:000000000000:table/abc", "Provided Arn is not a DynamoDB resource arn: {}"),
                      ("arn:aws:dynamodb:us-east-1:000000000000:table/abc/index/i",
                       "Invalid resource arn provided, only table or stream is accepted. Provided resource arn: {}")):
        assert server.error(operation, {"ResourceArn": arn, **more}) == (
            VALIDATION, "One or more parameter values were invalid: " + text.format(arn))
    away = "arn:aws:dynamodb:eu-west-1:000000000000:table/abc"
    assert server.error(operation, {"ResourceArn": away, **more}) == (
        VALIDATION, f"Invalid TableArn: Invalid ResourceArn provided as input {away}")
    missing = "arn:aws:dynamodb:us-east-1:000000000000:table/no-such-table"
    assert server.error(operation, {"ResourceArn": missing, **more}) == (
        "ResourceNotFoundException", f"Requested resource not found: ResourceArn: {missing} not found")
    stream = missing + "/stream/2026-10-09T00:29:04.041"
    assert server.error(operation, {"ResourceArn": stream, **more}) == (
        "ResourceNotFoundException", f"Requested resource not found: ResourceArn: {stream} not found")
    backup = missing + "/backup/01791525400213-63b4d36a"
    assert server.error(operation, {"ResourceArn": backup, **more}) == (
        VALIDATION, f"One or more parameter values were invalid: Provided Arn is not a DynamoDB resource arn: {backup}")
    other = "arn:aws:dynamodb:us-east-1:111111111111:table/table"
    assert server.error(operation, {"ResourceArn": other, **more}) == ("AccessDeniedException", "Access is denied")


def test_time_to_live_of_a_table_in_the_making():
    server = Server("--in-memory", "--status-delay", "60000")
    try:
        name = new_name()
        server.call("CreateTable", definition(name))
        assert server.error("DescribeTimeToLive", TableName=name) == (
            VALIDATION, "Cannot describe time to live while table is in CREATING state: Current table state is CREATING")
    finally:
        server.stop()


def test_time_to_live(server, table):
    assert server.call("DescribeTimeToLive", TableName=table) == {"TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}}
    assert server.error("DescribeTimeToLive", TableName="no-such-table") == (
        "ResourceNotFoundException", "Requested resource not found: Table: no-such-table not found")


def test_continuous_backups(server, table):
    assert server.call("DescribeContinuousBackups", TableName=table) == {"ContinuousBackupsDescription": {
        "ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "DISABLED"}}}
    assert server.error("DescribeContinuousBackups", TableName="no-such-table") == (
        "TableNotFoundException", "Table not found: no-such-table")


def test_limits(server):
    assert server.call("DescribeLimits") == {"AccountMaxReadCapacityUnits": 80000, "AccountMaxWriteCapacityUnits": 80000,
                                             "TableMaxReadCapacityUnits": 40000, "TableMaxWriteCapacityUnits": 40000}


def test_endpoints_lead_back_here(server):
    assert server.call("DescribeEndpoints") == {"Endpoints": [{"Address": f"127.0.0.1:{server.port}", "CachePeriodInMinutes": 1440}]}
