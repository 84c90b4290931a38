"""The admin endpoint: readiness and liveness in each state, and every metric moved by what it counts."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import struct
import ssl
import subprocess
import threading
import time
import urllib.request

import pytest

import disk
from process import HEADERS, Refused, eventually

MOVED = set()  # metrics that a test of this file has moved; the last test compares it with what there is


def metrics_text(server):
    status, text = server.admin("/metrics")
    assert status == 200
    return text


class Moves:
    """with Moves(server, "a_total", ...): each of these is higher afterwards (or, by `to`, as said)."""

    def __init__(self, server, *names):
        self.server, self.names = server, names

    def __enter__(self):
        self.before = self.server.metrics()

    def __exit__(self, kind, *_):
        if kind is not None:
            return
        for name in self.names:
            eventually(lambda n=name: self.server.metrics()[n] > self.before.get(n, 0), f"{name} does not move")
            MOVED.add(name.split("{")[0])


def seen(server, name, right, what="it never is"):
    """A gauge has a value for which right(value) holds."""
    eventually(lambda: right(server.metrics()[name]), lambda: f"{name}: {what} ({server.metrics()[name]})")
    MOVED.add(name)


def connect(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=30)


def request(operation, **members):
    body = json.dumps(members).encode()
    lines = {"Host": "localhost", **HEADERS, "X-Amz-Target": f"DynamoDB_20120810.{operation}",
             "Content-Length": len(body)}
    return ("POST / HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()) + "\r\n").encode() + body


def injected(call, fault, path=None):
    """The prefix that runs a server whose system calls are slow or fail."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    os.environ["ASAN_OPTIONS"] = "detect_leaks=0"  # which does not work when traced
    return ["strace", "-f", "-qq", "-o", "/dev/null", *(["-P", str(path)] if path else []), "-e", f"trace={call}",
            "-e", f"inject={call}:{fault}"]


# ---- The endpoint ----

def test_paths(start):
    server = start("--in-memory", "--admin", "0")
    assert server.admin("/live") == (200, "live\n")
    assert server.admin("/ready") == (200, "ready\n")
    assert server.admin("/") == (404, "there is /metrics, /live and /ready\n")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(server.admin_url + "/metrics", data=b"x")
    assert refused.value.code == 405
    with urllib.request.urlopen(server.admin_url + "/metrics") as response:
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"


def test_metrics_are_well_formed(start):
    """Each sample follows the HELP and TYPE of its family; buckets only grow and end with the count."""
    server = start("--in-memory", "--admin", "0")
    server.create("items")
    family, buckets = None, {}
    for line in metrics_text(server).splitlines():
        described = re.fullmatch(r"# (HELP|TYPE) (trine_\w+) (.+)", line)
        if described:
            family = described.group(2)
            continue
        sample = re.fullmatch(r'(trine_\w+)(?:\{((?:\w+="[^"]*",?)*)\})? (\S+)', line)
        assert sample, line
        assert re.fullmatch(rf"{family}(_bucket|_sum|_count)?", sample.group(1)), line
        value = float(sample.group(3))
        labels = re.sub(r',?le="[^"]*"', "", sample.group(2) or "")
        if sample.group(1).endswith("_bucket"):
            assert value >= buckets.get((family, labels), 0), line
            buckets[family, labels] = value
        elif sample.group(1).endswith("_count"):
            assert value == buckets[family, labels], line


def test_ready_while_recovering_and_draining(start, data):
    server = start()
    server.create("items")
    server.kill()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # Each sync of the start takes a while: meanwhile it recovers.
    server = start("--admin", str(port), prefix=injected("fdatasync", "delay_enter=200000"), ready=False)

    def ready():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready") as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            return None
    assert eventually(ready, "no admin endpoint") == (503, b"recovering\n")
    server.wait_ready()
    assert ready() == (200, b"ready\n")
    half = connect(server)
    half.sendall(b"POST / HTTP/1.1\r\n")
    eventually(lambda: server.metrics()["received_bytes_total"] > 0, "nothing came")
    server.send_signal(signal.SIGTERM)
    eventually(lambda: ready() == (503, b"draining\n"), "it is not draining")
    half.close()
    assert server.wait() == 0


# ---- What clients do ----

def test_operations_and_capacity(start):
    server = start("--in-memory", "--admin", "0")
    server.create("items")
    with Moves(server, 'operations_total{operation="PutItem",result="ok"}',
               'consumed_capacity_units_total{operation="PutItem",kind="write"}',
               'operation_seconds_count{operation="PutItem"}', "http_requests_total", "received_bytes_total",
               "sent_bytes_total"):
        server.put("items", "a", v="x" * 1500)
    assert server.metrics()['consumed_capacity_units_total{operation="PutItem",kind="write"}'] == 2
    server.get("items", "a")
    assert server.metrics()['consumed_capacity_units_total{operation="GetItem",kind="read"}'] == 1
    results = set(re.findall(r'trine_operations_total\{operation="GetItem",result="(\w+)"\}', metrics_text(server)))
    with pytest.raises(Refused):
        server.call("GetItem", TableName="items", Key={})
    failed = {result: value for result in results
              if (value := server.metrics()[f'operations_total{{operation="GetItem",result="{result}"}}'])}
    assert failed.pop("ok") == 1 and list(failed.values()) == [1]
    with Moves(server, "unnamed_requests_total"), pytest.raises(Refused):
        server.call("Nothing")


def test_throttling(start):
    """A table of one unit a second keeps 300; a put of 372 leaves it in debt, and the next is refused."""
    server = start("--in-memory", "--admin", "0")
    server.call("CreateTable", TableName="small", ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1},
                AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}], KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}])
    server.create("free")
    server.put("small", "a")
    seen(server, 'partition_units_least{kind="write"}', lambda value: 299 <= value <= 300)
    seen(server, 'node_spare_units{kind="read"}', lambda value: value == 45000)
    server.put("small", "huge", v="x" * 380_000)
    with Moves(server, 'throttled_total{reason="TableWriteProvisionedThroughputExceeded"}',
               'operations_total{operation="PutItem",result="throttled"}'), pytest.raises(Refused):
        server.put("small", "b")
    seen(server, 'partition_units_least{kind="write"}', lambda value: -100 < value < 0)
    MOVED.update({"partition_units_least", "node_spare_units"})


def test_conditions(start):
    server = start("--in-memory", "--admin", "0")
    server.create("items")
    with Moves(server, "condition_failures_total"), pytest.raises(Refused) as refused:
        server.call("PutItem", TableName="items", Item={"pk": {"S": "a"}}, ConditionExpression="attribute_exists(pk)")
    assert refused.value.type == "ConditionalCheckFailedException"


def test_items_that_expire(start):
    server = start("--in-memory", "--admin", "0", "--ttl-sweep-interval", "1")
    server.create("items")
    server.call("UpdateTimeToLive", TableName="items",
                TimeToLiveSpecification={"Enabled": True, "AttributeName": "time"})
    with Moves(server, "ttl_rows_total", "ttl_deleted_items_total"):
        server.call("PutItem", TableName="items", Item={"pk": {"S": "a"}, "time": {"N": str(int(time.time()) - 60)}})


def test_connections(start):
    server = start("--in-memory", "--admin", "0", "--connections-max", "3", "--idle-timeout", "1")
    with Moves(server, "connections_accepted_total", "connections_refused_total", "connections_timeouts_total"):
        open_now = [connect(server) for _ in range(4)]
        seen(server, "connections", lambda value: value >= 3)
        open_now[3].sendall(b"GET / HTTP/1.1\r\n\r\n")
        for connection in open_now:
            connection.recv(4096)
    seen(server, "connections", lambda value: value == 0)
    with Moves(server, "http_malformed_total"):
        with connect(server) as connection:
            connection.sendall(b"nonsense\r\n\r\n")
            assert connection.recv(12) == b"HTTP/1.1 400"


def test_tls(start, tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate")
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                    "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
                   check=True, capture_output=True)
    key.chmod(0o600)
    server = start("--in-memory", "--admin", "0", "--tls-cert", certificate, "--tls-key", key)
    assert server.url.startswith("https://127.0.0.1:")
    trust = ssl.create_default_context(cafile=certificate)
    with urllib.request.urlopen(server.url, context=trust) as response:
        assert response.read().startswith(b"healthy")
    with Moves(server, "tls_handshakes_failed_total"), connect(server) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        while connection.recv(4096):
            pass


def test_more_requests_at_once_than_flows(start, data):
    """Five thousand requests that all wait: what does not fit is told 503, and counted."""
    import resource
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # Each sync takes half a second, in which all requests come.
    server = start("--admin", "0", prefix=injected("fdatasync", "delay_enter=500000"))
    server.create("items")
    connections = [connect(server) for _ in range(4600)]
    seen(server, "connections", lambda value: value >= 4600)
    with Moves(server, "fibers_refused_total", "http_refused_total"):
        content = request("PutItem", TableName="items", Item={"pk": {"S": "a"}})
        for connection in connections:
            connection.sendall(content)
        statuses = [connection.recv(4096)[9:12] for connection in connections]
    assert set(statuses) == {b"200", b"503"}
    assert statuses.count(b"200") >= 4000
    for connection in connections:
        connection.close()
    assert server.get("items", "a") == {}


# ---- The log ----

def test_request_memory(start):
    """Clients that do not take their answers use up the memory for requests: what is large is refused then, before
    it changes anything; what is small is served."""
    server = start("--in-memory", "--request-memory", "8", "--admin", "0")
    seen(server, "request_memory_max_bytes", lambda value: value == 8 << 20)
    server.create("items")
    for i in range(3):
        server.put("items", f"large {i}", a="x" * 390000)
    server.put("items", "small", a="x")
    deaf = []
    read = request("GetItem", TableName="items", Key={"pk": {"S": "large 0"}}, ConsistentRead=True)
    with Moves(server, "request_memory_refused_total"):
        for _ in range(60):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(30)
            client.connect(("127.0.0.1", server.port))
            client.sendall(read * 16)  # the system takes the first few
            assert client.recv(12) in (b"HTTP/1.1 200", b"HTTP/1.1 503")
            deaf.append(client)
            seen(server, "requests_in_flight", lambda value: value == 0)  # not beside the next one's
    seen(server, "request_memory_bytes", lambda value: 5 << 20 < value <= 8 << 20)
    for call in (lambda: server.get("items", "large 1"), lambda: server.scan("items"),
                 lambda: server.put("items", "large 1", a="y" * 390000),
                 lambda: server.call("DeleteItem", TableName="items", Key={"pk": {"S": "large 2"}},
                                     ReturnValues="ALL_OLD"),
                 lambda: server.call("UpdateItem", TableName="items", Key={"pk": {"S": "large 2"}},
                                     UpdateExpression="SET b = :b", ReturnValues="ALL_NEW",
                                     ExpressionAttributeValues={":b": {"S": "b"}})):
        with pytest.raises(Refused) as refused:
            call()
        assert (refused.value.status, refused.value.type[:18]) == (503, "ServiceUnavailable")
    assert server.get("items", "small") == {"a": "x"}
    server.put("items", "small", a="y")
    for client in deaf:
        client.close()
    seen(server, "request_memory_bytes", lambda value: value == 0)
    assert server.get("items", "large 1") == {"a": "x" * 390000}
    assert server.get("items", "large 2") == {"a": "x" * 390000}
    assert server.get("items", "small") == {"a": "y"}


def test_log(start):
    server = start("--admin", "0")
    server.create("items")
    with Moves(server, "log_records_total", "log_appended_bytes_total", "log_syncs_total", "log_written_bytes_total",
               "log_group_records_count", "log_group_records_sum", "log_sync_seconds_count", "log_sync_seconds_sum",
               "proposals_total", "commits_total", "applied_total", "commit_seconds_count", "commit_seconds_sum",
               'lane_seconds_count{lane="log"}', "loop_turn_seconds_count", "loop_turn_seconds_sum"):
        server.put("items", "a", v="1")
    with Moves(server, "log_live_bytes"):
        for number in range(20):
            server.put("items", f"b{number}", v="x" * 300_000)
    with Moves(server, "replicas"):
        server.create("more")


def test_what_waits_for_a_slow_disk(start):
    server = start("--admin", "0", prefix=injected("fdatasync", "delay_enter=300000"))
    server.create("items")
    writers = [threading.Thread(target=server.put, args=("items", f"k{n}"), kwargs={"v": "x" * 10000}) for n in range(4)]
    for writer in writers:
        writer.start()
    seen(server, "requests_in_flight", lambda value: value >= 1)
    seen(server, "fibers", lambda value: value >= 3)
    seen(server, "log_unsynced_bytes", lambda value: value >= 10000)
    seen(server, "overlay_bytes", lambda value: value >= 10000)
    for writer in writers:
        writer.join()
    for name in ("requests_in_flight", "log_unsynced_bytes", "overlay_bytes"):
        eventually(lambda n=name: server.metrics()[n] == 0, f"{name} does not fall")


def test_clients_that_go_away(start):
    """A write that waits for the disk ends when its connection is reset; what is in the log is committed all the same."""
    server = start("--admin", "0", prefix=injected("fdatasync", "delay_enter=300000"))
    server.create("items")
    with Moves(server, "http_cancelled_total", 'operations_total{operation="PutItem",result="cancelled"}'):
        client = connect(server)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # its close is a reset
        client.sendall(request("PutItem", TableName="items", Item={"pk": {"S": "a"}, "v": {"S": "b"}}))
        seen(server, "requests_in_flight", lambda value: value >= 1)
        seen(server, "log_unsynced_bytes", lambda value: value > 0)
        client.close()
    seen(server, "requests_in_flight", lambda value: value == 0)
    eventually(lambda: server.get("items", "a") == {"v": "b"}, "the write is lost")


def test_writes_that_wait_for_the_tree(start):
    """A cache of 2 MiB takes large items more slowly than the log does."""
    server = start("--admin", "0", "--cache", "2")
    server.create("items")

    def write(writer):
        for number in range(12):
            server.put("items", f"k{writer}-{number}", v="x" * 390_000)

    def write_all():
        writers = [threading.Thread(target=write, args=(n,)) for n in range(12)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
    with Moves(server, "overlay_waits_total", "checkpoints_total", "checkpoint_seconds_count", "checkpoint_seconds_sum",
               "pages_written_total", "tree_pages", 'lane_seconds_count{lane="background"}'):
        write_all()
        write_all()  # more than the log between two checkpoints
    # What a write replaced is free after the second checkpoint behind it, until it is used again.
    for _ in range(6):
        if server.metrics()["tree_pages_free"] > 0:
            MOVED.add("tree_pages_free")
            break
        write_all()
    assert "tree_pages_free" in MOVED


def test_a_failed_condition_costs_the_item(start):
    server = start("--in-memory", "--admin", "0")
    server.create("items")
    server.put("items", "k", v="x" * 3000)
    consumed = 'consumed_capacity_units_total{operation="DeleteItem",kind="write"}'
    with pytest.raises(Refused):
        server.call("DeleteItem", TableName="items", Key={"pk": {"S": "k"}}, ConditionExpression="v = pk")
    assert server.metrics()[consumed] == 3


def test_failed_syncs(start, data):
    """A log whose syncs all fail acknowledges nothing more, says so, and serves the same after a restart."""
    server = start()
    server.create("items")
    server.put("items", "before", v="1")
    server.stop()
    # The syncs of the start and of the table's barriers succeed; later ones fail.
    server = start("--admin", "0", prefix=injected("fdatasync", "error=EIO:when=40+"))
    acknowledged = []
    with Moves(server, "unknown_outcomes_total"):
        with pytest.raises(Refused) as refused:
            for number in range(200):
                server.put("items", f"k{number}", v="1")
                acknowledged.append(f"k{number}")
        assert refused.value.status == 500
    eventually(lambda: server.admin("/ready") == (503, "not writable: input/output error\n"),
               lambda: server.admin("/ready"))
    assert server.admin("/live") == (200, "live\n")
    eventually(lambda: server.find("error storage: the log has failed: nothing more is acknowledged until a restart$"),
               lambda: server.output)
    with pytest.raises(Refused):
        server.put("items", "late", v="1")
    server.kill()
    items = start().scan("items")
    assert {"before", *acknowledged} <= set(items) and "late" not in items


def test_log_without_space(start):
    """What is in the log's memory waits for space; what comes then is refused."""
    server = start("--admin", "0", prefix=injected("pwritev", "error=ENOSPC:when=40+"))
    server.create("items")
    refusals = []

    def write(writer):
        try:
            for number in range(1000):
                server.put("items", f"k{writer}-{number}", v="1")
        except Refused as refused:
            refusals.append(refused)
        except (OSError, http.client.HTTPException):
            pass  # it waited until the server was killed
    with Moves(server, "log_refused_total"):
        first = threading.Thread(target=write, args=(0,))
        first.start()
        eventually(lambda: server.admin("/ready")[0] == 503, "it is ready")
        write(1)
    assert [(r.status, r.type) for r in refusals] == [(503, "ServiceUnavailableException")]
    server.kill()
    first.join()


def test_one_failed_sync(start, data):
    """The batch goes to another segment: nothing is lost, and nobody notices."""
    server = start("--admin", "0", prefix=injected("fdatasync", "error=EIO:when=30"))
    server.create("items")
    for number in range(60):
        server.put("items", f"k{number}", v="1")
    assert server.find(r"error storage: log segment log-\w+: writing \d+ bytes at \d+ failed: input/output error$")
    assert server.admin("/ready") == (200, "ready\n")
    server.kill()
    assert set(start().scan("items")) == {f"k{n}" for n in range(60)}


# ---- Global indexes ----

INDEX = {"IndexName": "by-v", "KeySchema": [{"AttributeName": "v", "KeyType": "HASH"}], "Projection": {"ProjectionType": "ALL"}}
V = {"AttributeName": "v", "AttributeType": "S"}


def create_indexed(server):
    server.call("CreateTable", TableName="items", BillingMode="PAY_PER_REQUEST", GlobalSecondaryIndexes=[INDEX],
                AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}, V], KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}])
    eventually(lambda: server.call("DescribeTable", TableName="items")["Table"]["TableStatus"] == "ACTIVE", "it is not ACTIVE")


def test_global_indexes(start):
    server = start("--in-memory", "--admin", "0")
    server.create("items")
    for number in range(5):
        server.put("items", f"k{number}", v="1")
    with Moves(server, "index_backfilled_total", "index_pumps"):
        server.call("UpdateTable", TableName="items", AttributeDefinitions=[V], GlobalSecondaryIndexUpdates=[{"Create": INDEX}])
    with Moves(server, "index_changes_total", "index_rows_total", "index_lag_seconds_count"):
        server.put("items", "k0", v="2")
    seen(server, "index_pumps_active", lambda value: value == 0)
    server = start("--in-memory", "--admin", "0", "--index-delay", "3600000")
    create_indexed(server)
    server.put("items", "k", v="1")
    seen(server, "index_pumps_active", lambda value: value == 1)


def test_an_index_without_capacity(start):
    """Its one unit a second keeps 300; an item of 372 leaves it in debt, and the next change of it waits."""
    server = start("--in-memory", "--admin", "0")
    one = {"ReadCapacityUnits": 1000, "WriteCapacityUnits": 1}
    server.call("CreateTable", TableName="items", GlobalSecondaryIndexes=[{**INDEX, "ProvisionedThroughput": one}],
                ProvisionedThroughput={"ReadCapacityUnits": 1000, "WriteCapacityUnits": 500},
                AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}, V], KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}])
    eventually(lambda: server.call("DescribeTable", TableName="items")["Table"]["TableStatus"] == "ACTIVE", "it is not ACTIVE")
    reason = 'throttled_total{reason="IndexWriteProvisionedThroughputExceeded"}'
    with Moves(server, "index_waits_total", "index_pumps_holding", reason), pytest.raises(Refused):
        server.put("items", "huge", v="1", more="x" * 380_000)
        for number in range(200):
            server.put("items", f"k{number}", v="1")


def test_an_index_that_cannot_follow(start):
    server = start("--admin", "0", prefix=injected("fdatasync", "error=EIO:when=60+"))
    create_indexed(server)
    with Moves(server, "index_failures_total"), pytest.raises(Refused):
        for number in range(200):
            server.put("items", f"k{number}", v="1")
    server.kill()


# ---- The tree ----

@pytest.fixture
def stored(start, data):
    """A directory with some 8 MiB of items in the tree."""
    server = start()
    server.create("items")
    for at in range(0, 2000, 25):
        server.call("BatchWriteItem", RequestItems={"items": [
            {"PutRequest": {"Item": {"pk": {"S": f"k{n:04}"}, "v": {"S": f"<{n:04}>" + "x" * 4000}}}}
            for n in range(at, at + 25)]})
    server.stop()
    return data


def test_cache(start, stored):
    server = start("--admin", "0", "--cache", "2")
    seen(server, "cache_frames_max", lambda value: value == 256)
    with Moves(server, "cache_misses_total", "cache_hits_total", "cache_evictions_total", "cache_frames", "heap_bytes",
               "page_read_seconds_count", "page_read_seconds_sum", 'lane_seconds_count{lane="read"}'):
        assert len(server.scan("items")) == 2000
    with Moves(server, "cache_frames_dirty"):
        server.put("items", "new", v="1")


def test_corrupt_pages(start, stored):
    for page in disk.pages_with(stored, "<1234>"):
        disk.flip(stored / "tree", page * disk.PAGE + 5000)
    server = start("--admin", "0")
    with Moves(server, "corrupt_pages_total"), pytest.raises(Refused):
        server.get("items", "k1234")


def test_failed_checkpoints(start, stored):
    """The tree's file cannot be synced after the start: the log keeps all, and it is counted."""
    server = start("--admin", "0", "--cache", "2", prefix=injected("fdatasync", "error=EIO:when=2+", stored / "tree"))
    acknowledged = []
    with Moves(server, "checkpoint_failures_total", "apply_failures_total"):
        try:
            for number in range(400):
                server.put("items", f"n{number}", v="x" * 20_000)
                acknowledged.append(f"n{number}")
        except Refused as refused:
            assert refused.status in (500, 503)
    server.kill()
    assert set(acknowledged) <= set(start().scan("items"))


def test_more_reads_at_once_than_the_lane_takes(start, data):
    """Requests for two thousand cold pages at once: what does not fit is told to come back, and counted."""
    import resource
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    server = start()
    server.create("items")
    for at in range(0, 2500, 25):
        server.call("BatchWriteItem", RequestItems={"items": [
            {"PutRequest": {"Item": {"pk": {"S": f"k{n:04}"}, "v": {"S": "x" * 7000}}}} for n in range(at, at + 25)]})
    server.stop()
    server = start("--admin", "0", prefix=injected("pread64", "delay_enter=2000"))
    connections = [connect(server) for _ in range(2500)]
    seen(server, "connections", lambda value: value >= 2500)
    with Moves(server, 'lane_refused_total{lane="read"}'):
        for number, connection in enumerate(connections):
            connection.sendall(request("GetItem", TableName="items", Key={"pk": {"S": f"k{number:04}"}}))
        statuses = {connection.recv(4096)[9:12] for connection in connections}
    assert statuses <= {b"200", b"400", b"503"} and b"200" in statuses
    for connection in connections:
        connection.close()


# ---- All of them ----

def test_uptime_and_version(start):
    server = start("--in-memory", "--admin", "0")
    assert re.search(r'^trine_info\{version="[\d.]+"\} 1$', metrics_text(server), re.MULTILINE)
    seen(server, "uptime_seconds", lambda value: value >= 1)
    MOVED.add("info")


def test_change_records(start):
    server = start("--in-memory", "--admin", "0", "--admin-testing")
    server.create("items", StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"})
    with Moves(server, "change_records_kept_total", "change_record_rows", "change_record_bytes"):
        for n in range(10):
            server.put("items", f"k{n}")
    with Moves(server, "change_records_trimmed_total"):
        connection = http.client.HTTPConnection(server.admin_url.removeprefix("http://"), timeout=30)
        connection.request("PUT", "/testing/clock", json.dumps({"AdvanceSeconds": 86400}))
        assert connection.getresponse().status == 200
        connection.close()
    seen(server, "change_record_rows", lambda value: value == 0)


def test_departed_tables(start):
    server = start("--in-memory", "--admin", "0", "--admin-testing")
    with Moves(server, "departed_tables_total", "departed_tables"):
        server.create("items", StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"})
        server.call("DeleteTable", TableName="items")
    with Moves(server, "departed_tables_early_total"):
        connection = http.client.HTTPConnection(server.admin_url.removeprefix("http://"), timeout=30)
        connection.request("POST", "/testing/reset")
        assert connection.getresponse().status == 200
        connection.close()
    seen(server, "departed_tables", lambda value: value == 0)


def transact(server, key, *tables, **more):
    server.call("TransactWriteItems", **more, TransactItems=[
        {"Put": {"TableName": table, "Item": {"pk": {"S": key}}, "ConditionExpression": "attribute_not_exists(pk)"}}
        for table in tables])


def test_transactions(start):
    """Each end is counted; one whose coordinator dies is taken up at the next start."""
    server = start("--admin", "0")
    server.create("one")
    server.create("two")
    with Moves(server, 'transactions_total{end="one_round"}'):
        transact(server, "a", "one")
    with Moves(server, 'transactions_total{end="two_phases"}', 'transactions_total{end="replayed"}'):
        for _ in range(2):
            transact(server, "b", "one", "two", ClientRequestToken="again")
    with Moves(server, 'transactions_total{end="cancelled"}'), pytest.raises(Refused):
        transact(server, "b", "one", "two")
    server.stop()
    server = start("--admin", "0", prefix=injected("fdatasync", "delay_enter=400000"))
    threading.Thread(target=lost, args=(transact, server, "c", "one", "two"), daemon=True).start()
    seen(server, "intents", lambda value: value == 2)
    seen(server, "transactions", lambda value: value == 1)
    with Moves(server, "transaction_conflicts_total", "log_syncs_total"), pytest.raises(Refused) as refused:
        server.put("one", "c")
    assert refused.value.type == "TransactionConflictException"
    server.kill()
    server = start("--admin", "0")
    seen(server, "transaction_recoveries_total", lambda value: value >= 1)
    seen(server, "intents", lambda value: value == 0)
    seen(server, "transactions", lambda value: value == 0)
    assert server.get("one", "c") == server.get("two", "c")


def lost(work, *arguments):
    """Its answer may never come."""
    try:
        work(*arguments)
    except (OSError, http.client.HTTPException):
        pass


def test_every_metric_is_moved_by_a_test(start, request):
    """Runs last, and can tell only when the whole file ran."""
    here = [item for item in request.session.items if item.path == request.path]
    with open(__file__, encoding="utf-8") as file:
        if len(here) < len(re.findall(r"^def test_", file.read(), re.MULTILINE)):
            pytest.skip("only a part of this file runs")
    families = set(re.findall(r"^# TYPE trine_(\w+) ", metrics_text(start("--admin", "0")), re.MULTILINE))
    moved = {re.sub(r"_(count|sum|bucket)$", "", name) for name in MOVED}
    assert families - moved == set()
