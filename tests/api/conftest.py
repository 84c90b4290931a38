"""A Trine server for the tests of its API, and ways to talk to it.

TRINE names the binary; build/debug/trine without it.
"""

import http.client
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1])]

import compatibility  # noqa: E402 (the folder is on the path only now)
from compatibility import pytest_sessionfinish, pytest_terminal_summary  # noqa: E402, F401

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("TRINE", str(ROOT / "build" / "debug" / "trine"))
CREDENTIALS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
SECONDS_MAX = 30


class Answer:
    """One HTTP answer: its status, headers, and body as bytes and as JSON."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        """(exception, message) of an error; fails on any other answer."""
        assert self.status >= 400, self.body[:2000]
        body = self.json
        return body["__type"].split("#")[1], body.get("message", body.get("Message"))


class Server:
    """One process `trine serve`; options are appended to its command line."""

    def __init__(self, *options):
        self.process = subprocess.Popen(
            [BINARY, "serve", "--listen", "127.0.0.1:0", *options],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.log = []
        self.url = None
        ready = threading.Event()
        threading.Thread(target=self._read, args=(ready,), daemon=True).start()
        assert ready.wait(SECONDS_MAX), "".join(self.log)
        assert self.url, "".join(self.log)
        self.port = int(self.url.rsplit(":", 1)[1])
        self._local = threading.local()

    def _read(self, ready):
        for line in self.process.stdout:
            self.log.append(line)
            match = re.search(r"is ready: (http://[\d.]+:\d+)", line)
            if match:
                self.url = match.group(1)
                ready.set()
        ready.set()

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(SECONDS_MAX)
        if how == signal.SIGTERM:
            assert code == 0, (code, "".join(self.log))

    def connection(self):
        """This thread's connection."""
        if getattr(self._local, "connection", None) is None:
            self._local.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS_MAX)
        return self._local.connection

    def send(self, method="POST", path="/", body=b"", headers=None):
        connection = self.connection()
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
        except (http.client.HTTPException, OSError):
            self._local.connection = None
            raise
        answer = Answer(response.status, dict(response.getheaders()), response.read())
        if answer.status >= 400 and "X-Amz-Target" in (headers or {}) and answer.body.startswith(b"{"):
            compatibility.note(headers["X-Amz-Target"].rpartition(".")[2], answer.json["__type"].rpartition("#")[2])
        return answer

    def signed(self, operation, body, service="DynamoDB_20120810", headers=None, credentials=CREDENTIALS):
        """POST a body (bytes, or what JSON is made of) to an operation, with a valid signature."""
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        request = AWSRequest("POST", self.url + "/", data=body, headers={
            "Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"{service}.{operation}",
            **(headers or {})})
        SigV4Auth(credentials, "dynamodb", "us-east-1").add_auth(request)
        return self.send("POST", "/", body, dict(request.headers.items()))

    def call(self, operation, body=None, **members):
        """The answer's JSON; fails on an error."""
        answer = self.signed(operation, members if body is None else body)
        assert answer.status == 200, answer.body[:4000]
        return json.loads(answer.body) if answer.body else None

    def error(self, operation, body=None, **members):
        """(exception, message) of the answer; fails on any other."""
        return self.signed(operation, members if body is None else body).error

    def wait_active(self, table):
        deadline = time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline:
            if self.call("DescribeTable", TableName=table)["Table"]["TableStatus"] == "ACTIVE":
                return table
        raise AssertionError(f"{table} is not ACTIVE")

    def wait_gone(self, table):
        deadline = time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline:
            if self.signed("DescribeTable", {"TableName": table}).status == 400:
                return
        raise AssertionError(f"{table} is not gone")


_numbers = itertools.count(1)


def new_name(prefix="t"):
    return f"{prefix}-{next(_numbers)}-{os.getpid()}"


def definition(name, keys="pk:S", **more):
    """CreateTable's members; keys "pk:S" or "pk:S sk:N"."""
    pairs = [key.split(":") for key in keys.split()]
    if "ProvisionedThroughput" not in more:
        more.setdefault("BillingMode", "PAY_PER_REQUEST")
    return {"TableName": name,
            "AttributeDefinitions": [{"AttributeName": n, "AttributeType": t} for n, t in pairs],
            "KeySchema": [{"AttributeName": n, "KeyType": k} for (n, _), k in zip(pairs, ("HASH", "RANGE"))],
            **more}


@pytest.fixture(scope="session")
def server():
    running = Server("--in-memory")
    yield running
    running.stop()


@pytest.fixture
def make_table(server):
    """make_table("pk:S sk:N", ...) creates a table, waits until it is ACTIVE and gives its name."""
    made = []

    def make(keys="pk:S", **more):
        name = new_name()
        server.call("CreateTable", definition(name, keys, **more))
        made.append(name)
        return server.wait_active(name)

    yield make
    for name in made:
        server.signed("DeleteTable", {"TableName": name})


@pytest.fixture
def table(make_table):
    """A table with the string key pk."""
    return make_table("pk:S")


@pytest.fixture
def sorted_table(make_table):
    """A table with the string key pk and the numeric sort key sk."""
    return make_table("pk:S sk:N")


@pytest.fixture(scope="session")
def boto(server):
    """A boto3 client that neither checks parameters nor tries again."""
    import boto3
    from botocore.config import Config
    return boto3.client("dynamodb", endpoint_url=server.url, region_name="us-east-1",
                        aws_access_key_id=CREDENTIALS.access_key, aws_secret_access_key=CREDENTIALS.secret_key,
                        config=Config(parameter_validation=False, retries={"total_max_attempts": 1}))


def key(pk, sk=None):
    item = {"pk": {"S": pk}}
    if sk is not None:
        item["sk"] = {"N": str(sk)}
    return item
