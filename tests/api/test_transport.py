"""What lies around the operations: targets, content types, health, errors' form, signatures."""

import binascii
import http.client
import re

import pytest

from conftest import CREDENTIALS, Server

JSON = {"Content-Type": "application/x-amz-json-1.0"}


def test_health_is_at_the_root(server):
    answer = server.send("GET")
    assert answer.status == 200
    assert answer.body == b"healthy: dynamodb.us-east-1.amazonaws.com "
    assert int(answer.headers["x-amz-crc32"]) == binascii.crc32(answer.body)
    assert re.fullmatch(r"[0-9A-Z]{52}", answer.headers["x-amzn-RequestId"])


@pytest.mark.parametrize("method,path,headers", [
    ("PUT", "/", JSON), ("DELETE", "/", JSON), ("POST", "/other", JSON), ("GET", "/index.html", {}),
    ("POST", "/", {"Content-Type": "text/plain"}), ("POST", "/", {}),
    ("POST", "/", {"Content-Type": "application/x-amz-json-1.2"})])
def test_what_is_no_request_for_an_operation_is_404(server, method, path, headers):
    answer = server.send(method, path, b"{}", headers)
    assert answer.status == 404
    assert answer.body == b"<UnknownOperationException/>\n"


@pytest.mark.parametrize("content_type", ["application/x-amz-json-1.0", "application/x-amz-json-1.1",
                                          "application/x-amz-json-1.0; charset=utf-8", "Application/X-Amz-JSON-1.0"])
def test_content_types(server, content_type):
    answer = server.signed("ListTables", {}, headers={"Content-Type": content_type})
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/x-amz-json-1.0"


@pytest.mark.parametrize("target", ["DynamoDB_20120810.Nothing", "DynamoDB_20111205.ListTables", "ListTables", "",
                                    "DynamoDB_20120810.", "DynamoDB_20120810.listtables",
                                    "DynamoDBStreams_20120810.ListTables", "DynamoDB_20120810.ListStreams"])
def test_unknown_targets(server, target):
    answer = server.send("POST", "/", b"{}", {**JSON, "X-Amz-Target": target})
    assert answer.status == 400
    assert answer.json == {"__type": "com.amazon.coral.service#UnknownOperationException"}


@pytest.mark.parametrize("service,operation", [
    ("DynamoDB_20120810", "ExportTableToPointInTime"), ("DynamoDB_20120810", "ListBackups"),
    ("DynamoDB_20120810", "CreateBackup")])
def test_operations_that_are_not_built_are_unknown(server, service, operation):
    answer = server.signed(operation, {}, service=service)
    assert answer.status == 400
    assert answer.json == {"__type": "com.amazon.coral.service#UnknownOperationException", "message": f"{operation} is not supported"}


def test_answers_carry_id_checksum_and_type(server):
    answer = server.signed("ListTables", {})
    assert answer.headers["Content-Type"] == "application/x-amz-json-1.0"
    assert int(answer.headers["x-amz-crc32"]) == binascii.crc32(answer.body)
    assert re.fullmatch(r"[0-9A-Z]{52}", answer.headers["x-amzn-RequestId"])


def test_form_of_errors(server):
    answer = server.signed("GetItem", {"TableName": "no-such-table", "Key": {"pk": {"S": "a"}}})
    assert answer.status == 400
    assert answer.json == {"__type": "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException",
                           "message": "Requested resource not found"}
    answer = server.signed("GetItem", {})
    assert answer.json["__type"] == "com.amazon.coral.validate#ValidationException"
    answer = server.signed("GetItem", {"TableName": 3})
    assert answer.json == {"__type": "com.amazon.coral.service#SerializationException",
                           "Message": "NUMBER_VALUE cannot be converted to String"}


def test_a_request_without_signature_is_refused(server):
    answer = server.send("POST", "/", b"{}", {**JSON, "X-Amz-Target": "DynamoDB_20120810.ListTables"})
    assert answer.status == 400
    assert answer.error[0] == "MissingAuthenticationTokenException"


def test_a_malformed_signature_is_refused(server):
    answer = server.send("POST", "/", b"{}", {**JSON, "X-Amz-Target": "DynamoDB_20120810.ListTables",
                                              "Authorization": "AWS4-HMAC-SHA256 Credential=x"})
    assert answer.status == 400
    assert answer.error[0] == "IncompleteSignatureException"


def test_signatures_are_verified_with_credentials(tmp_path):
    keys = tmp_path / "keys"
    keys.write_text(f"{CREDENTIALS.access_key} {CREDENTIALS.secret_key}\n")
    keys.chmod(0o600)
    server = Server("--in-memory", "--credentials", str(keys))
    try:
        assert server.signed("ListTables", {}).status == 200
        wrong = type(CREDENTIALS)(CREDENTIALS.access_key, "another secret")
        assert server.signed("ListTables", {}, credentials=wrong).error[0] == "InvalidSignatureException"
        unknown = type(CREDENTIALS)("AKIDUNKNOWN", "secret")
        assert server.signed("ListTables", {}, credentials=unknown).error == (
            "UnrecognizedClientException", "The security token included in the request is invalid.")
    finally:
        server.stop()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\"a\"", b"{\"TableName\":\"abc\"", b"{} x", b"\xff\xfe",
                                  b"{\"TableName\":\"\xc3\x28\"}", b"{" * 200, b"[" * 100000])
def test_broken_bodies_are_serialization_exceptions(server, body):
    answer = server.signed("DescribeTable", body)
    assert answer.status == 400
    assert answer.json["__type"] == "com.amazon.coral.service#SerializationException"


def test_hostile_nesting_is_refused(server, table):
    deep = b"{\"L\":[" * 5000 + b"]}" * 5000
    answer = server.signed("PutItem", b"{\"TableName\":\"%s\",\"Item\":{\"pk\":%s}}" % (table.encode(), deep))
    assert answer.status == 400
    assert server.signed("ListTables", {}).status == 200


def test_a_body_over_the_limit_is_refused(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.putrequest("POST", "/")
    for name, value in {**JSON, "X-Amz-Target": "DynamoDB_20120810.ListTables", "Content-Length": str((16 << 20) + 1)}.items():
        connection.putheader(name, value)
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_the_largest_body_is_read(server):
    body = b"{\"Ignored\":\"" + b"x" * ((16 << 20) - 14) + b"\"}"
    assert len(body) == 16 << 20
    assert server.signed("ListTables", body).status == 200
