"""The real process `trine serve`, started, watched and ended by its pid."""

import http.client
import json
import os
import re
import signal
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

import compatibility

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("TRINE", str(ROOT / "build" / "release" / "trine"))
VERSION = re.search(r"project\(trine VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text()).group(1)
SECONDS_MAX = 30

# Without --credentials any well-formed signature will do.
HEADERS = {
    "Content-Type": "application/x-amz-json-1.0",
    "X-Amz-Date": "20260101T000000Z",
    "Authorization": "AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/dynamodb/aws4_request, "
                     "SignedHeaders=host;x-amz-date;x-amz-target, Signature=" + "0" * 64,
}


def eventually(condition, what, seconds=SECONDS_MAX):
    """Poll until condition() is true and return its value; fail with `what` at the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not in {seconds} s: {what() if callable(what) else what}"
        time.sleep(0.005)


class Refused(Exception):
    """The server answered an operation with an error."""

    def __init__(self, operation, status, body):
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body
        self.type = body.get("__type", "").rpartition("#")[2]
        self.message = body.get("message", body.get("Message"))
        compatibility.note(operation, self.type)


class Trine:
    """One process.  `prefix` is a command that runs it; `ready=False` does not wait for its ready line."""

    def __init__(self, *options, prefix=(), ready=True, binary=BINARY, cwd=None, limits=None):
        words = [*prefix, binary, "serve", *([] if "--listen" in options else ["--listen", "127.0.0.1:0"]),
                 *map(str, options)]
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, cwd=cwd, preexec_fn=limits)
        self.lines = []
        self.ended = threading.Event()
        self.started = time.monotonic()
        threading.Thread(target=self._read, daemon=True).start()
        self.local = threading.local()
        self.prefix = prefix
        if ready:
            self.wait_ready()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line)
        self.ended.set()

    @property
    def output(self):
        return "".join(self.lines)

    def find(self, pattern):
        return re.search(pattern, self.output, re.MULTILINE)

    def wait_ready(self):
        def seen():
            assert not self.ended.is_set() or self.find("is ready"), f"it did not start:\n{self.output}"
            return self.find(rf"^Trine {re.escape(VERSION)} is ready: (https?)://([\d.]+|\[::1\]):(\d+) \((.*)\)$")
        self.ready_line = eventually(seen, lambda: f"no ready line:\n{self.output}")
        self.port = int(self.ready_line.group(3))
        self.url = f"{self.ready_line.group(1)}://{self.ready_line.group(2)}:{self.port}"
        return self

    @property
    def admin_url(self):
        return "http://" + eventually(lambda: self.find(r"^Metrics and health: http://([\d.:]+)/metrics"),
                                      "no line of the admin endpoint").group(1)

    @property
    def pid(self):
        """The server's own pid, also when a prefix runs it."""
        pid = self.process.pid
        while self.prefix and os.readlink(f"/proc/{pid}/exe") != os.path.realpath(binary_of(self)):
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            pid = int(children[0])
        return pid

    # ---- Its end ----

    def wait(self, seconds=SECONDS_MAX):
        """Its exit status; everything that it printed is in `output` after it."""
        code = self.process.wait(seconds)
        assert self.ended.wait(seconds)
        return code

    def send_signal(self, number):
        os.kill(self.pid, number)

    def kill(self):
        """As by `kill -9`."""
        if self.process.poll() is None:
            self.send_signal(signal.SIGKILL)
        self.wait()

    def stop(self):
        """A clean stop."""
        if self.process.poll() is None:
            self.send_signal(signal.SIGTERM)
        code = self.wait()
        assert code == 0, f"exit status {code}:\n{self.output}"

    def end(self):
        """Whatever its state, it is gone after this; and it never died of a fault of its own."""
        if self.process.poll() is None:
            self.process.kill() if not self.prefix else self.send_signal(signal.SIGKILL)
        code = self.wait()
        faults = [w for w in ("AddressSanitizer", "runtime error:", "LeakSanitizer", "assertion") if w in self.output]
        assert not faults and code not in (-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS), \
            f"exit status {code}:\n{self.output}"

    # ---- Requests ----

    def connection(self):
        """This thread's connection."""
        if getattr(self.local, "connection", None) is None:
            self.local.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS_MAX)
        return self.local.connection

    def call(self, operation, **members):
        """The answer, or Refused; OSError or HTTPException when the connection breaks."""
        connection = self.connection()
        try:
            connection.request("POST", "/", json.dumps(members),
                               {**HEADERS, "X-Amz-Target": f"DynamoDB_20120810.{operation}"})
            response = connection.getresponse()
            body = response.read()
        except (http.client.HTTPException, OSError):
            connection.close()
            self.local.connection = None
            raise
        answer = json.loads(body) if body else {}
        if response.status != 200:
            raise Refused(operation, response.status, answer)
        return answer

    def create(self, table, keys="pk:S", **more):
        pairs = [key.split(":") for key in keys.split()]
        self.call("CreateTable", TableName=table, BillingMode="PAY_PER_REQUEST",
                  AttributeDefinitions=[{"AttributeName": n, "AttributeType": t} for n, t in pairs],
                  KeySchema=[{"AttributeName": n, "KeyType": k} for (n, _), k in zip(pairs, ("HASH", "RANGE"))],
                  **more)
        eventually(lambda: self.call("DescribeTable", TableName=table)["Table"]["TableStatus"] == "ACTIVE",
                   f"{table} is not ACTIVE")

    def put(self, table, pk, **attributes):
        self.call("PutItem", TableName=table, Item={"pk": {"S": pk}, **{k: {"S": v} for k, v in attributes.items()}})

    def get(self, table, pk):
        """The item's other attributes as texts, or None."""
        item = self.call("GetItem", TableName=table, Key={"pk": {"S": pk}}, ConsistentRead=True).get("Item")
        return item and {k: next(iter(v.values())) for k, v in item.items() if k != "pk"}

    def scan(self, table):
        """All items by pk, as texts."""
        items, start = {}, {}
        while True:
            page = self.call("Scan", TableName=table, ConsistentRead=True, **start)
            for item in page["Items"]:
                assert item["pk"]["S"] not in items
                items[item["pk"]["S"]] = {k: next(iter(v.values())) for k, v in item.items() if k != "pk"}
            if "LastEvaluatedKey" not in page:
                return items
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def boto(self):
        import boto3
        from botocore.config import Config
        return boto3.client("dynamodb", endpoint_url=self.url, region_name="us-east-1", aws_access_key_id="any",
                            aws_secret_access_key="any", config=Config(retries={"total_max_attempts": 1}))

    # ---- The admin endpoint ----

    def admin(self, path):
        """(status, text)"""
        try:
            with urllib.request.urlopen(self.admin_url + path, timeout=SECONDS_MAX) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metrics(self):
        status, text = self.admin("/metrics")
        assert status == 200
        return {name: float(value) for name, value in
                re.findall(r"^trine_(\S+) ([\d.e+-]+)$", text, re.MULTILINE)}


def binary_of(server):
    return next(word for word in server.process.args if os.path.basename(word) == "trine")


def run(*words, **more):
    """Run the program to its end."""
    return subprocess.run([BINARY, *map(str, words)], capture_output=True, text=True, timeout=SECONDS_MAX,
                          stdin=subprocess.DEVNULL, check=False, **more)
