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
    assert server.error("TagResource", ResourceArn=arn, Tags=[{"Key": "", "Value": "v" * 257}]) == (VALIDATION, (
        "2 validation errors detected: Value '' at 'tags.1.member.key' failed to satisfy constraint: Member must have length greater than or equal to 1; "
        f"Value '{'v' * 257}' at 'tags.1.member.value' failed to satisfy constraint: Member must have length less than or equal to 256"))


@pytest.mark.parametrize("operation,more,message", [
    ("TagResource", {"Tags": []}, "Atleast one Tag needs to be provided as Input."),
    ("TagResource", {"Tags": [{"Key": "aws:x", "Value": "v"}]}, "Tag Key cannot be prefixed with aws:, Key: aws:x"),
    ("TagResource", {"Tags": [{"Key": "k", "Value": "v"}, {"Key": "k", "Value": "w"}]},
     "Duplicate Tag Keys provided as input: Duplicate Tag Key found k"),
    ("UntagResource", {"TagKeys": []}, "Atleast one Tag Key needs to be provided as Input."),
    ("ListTagsOfResource", {"NextToken": "x"}, "Invalid NextToken")])
def test_errors_of_tags(server, arn, operation, more, message):
    assert server.error(operation, {"ResourceArn": arn, **more}) == (VALIDATION, message)


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
        "ResourceNotFoundException", f"Requested resource not found: ResourcArn: {missing} not found")
    other = "arn:aws:dynamodb:us-east-1:111111111111:table/table"
    assert server.error(operation, {"ResourceArn": other, **more})[0] == "AccessDeniedException"


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
