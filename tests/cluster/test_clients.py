"""Clients that are many, slow, or hostile: each gets its answer, and the process serves the others."""

import json
import os
import random
import resource
import socket
import time

import pytest

from process import HEADERS, Refused, eventually

MIB = 1 << 20


def connect(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=30)


def everything(connection):
    """All that comes until the peer closes."""
    content = b""
    try:
        while more := connection.recv(65536):
            content += more
    except ConnectionResetError:
        pass
    return content


def status_of(content):
    assert content.startswith(b"HTTP/1.1 "), content[:200]
    return int(content[9:12])


def exchange(server, content):
    """The status that bytes are answered with; None when the connection is closed without one."""
    with connect(server) as connection:
        try:
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        answer = everything(connection)
        return status_of(answer) if answer else None


def head(length=None, operation="ListTables", **more):
    lines = {"Host": "localhost", **HEADERS, "X-Amz-Target": f"DynamoDB_20120810.{operation}", **more}
    if length is not None:
        lines["Content-Length"] = length
    return ("POST / HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()) + "\r\n").encode()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    from process import Trine
    running = Trine("--data", tmp_path_factory.mktemp("clients") / "data", "--admin", "0")
    running.create("items")
    running.put("items", "a", v="1")
    yield running
    try:
        running.stop()
    finally:
        running.end()


@pytest.fixture(autouse=True)
def still_serves(server):
    """After each test the same process answers as if nothing had been."""
    yield
    assert server.process.poll() is None, server.output
    assert server.get("items", "a") == {"v": "1"}
    assert server.admin("/ready") == (200, "ready\n")
    assert "assertion" not in server.output


# ---- Many ----

def test_ten_thousand_idle_connections(server):
    count = 10_000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < count + 500:
        pytest.skip(f"this process may have {hard} open files only")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    before = server.metrics()
    open_now = []
    try:
        for _ in range(count):
            open_now.append(connect(server))
        eventually(lambda: server.metrics()["connections"] >= count, lambda: server.metrics()["connections"])
        assert server.get("items", "a") == {"v": "1"}
        for connection in open_now[::997]:
            connection.sendall(head(2) + b"{}")
            assert connection.recv(12) == b"HTTP/1.1 200"
        assert server.metrics()["heap_bytes"] - before["heap_bytes"] <= 40 * MIB
    finally:
        for connection in open_now:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    eventually(lambda: server.metrics()["connections"] <= before["connections"] + 1,
               lambda: server.metrics()["connections"])


def test_more_connections_than_the_bound(start):
    server = start("--in-memory", "--connections-max", "10", "--admin", "0")
    open_now = [connect(server) for _ in range(10)]
    eventually(lambda: server.metrics()["connections"] == 10, "connections do not come")
    with connect(server) as over:
        over.sendall(head(2) + b"{}")
        assert status_of(everything(over)) == 503
    assert server.metrics()["connections_refused_total"] >= 1
    for connection in open_now:
        connection.close()
    eventually(lambda: server.metrics()["connections"] == 0, "connections do not go")
    assert server.call("ListTables") == {"TableNames": []}


def test_more_connections_than_open_files(start):
    """A process that may open 64 files serves what it has, and goes on when there is room."""
    server = start("--in-memory", limits=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    open_now = [connect(server) for _ in range(100)]
    open_now[0].sendall(head(2) + b"{}")
    assert open_now[0].recv(12) == b"HTTP/1.1 200"
    for connection in open_now:
        connection.close()

    def served():
        try:
            return server.call("ListTables") == {"TableNames": []}
        except (OSError, Refused):
            return False
    eventually(served, "it does not accept connections again")


def test_clients_leave_files_for_the_log(start):
    """However many connections come, what is written finds the files that it needs."""
    server = start(limits=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    server.create("items")
    open_now = [connect(server) for _ in range(100)]
    for i in range(60):  # several segments of the log, checkpoints
        server.put("items", f"item {i}", a="x" * 350000)
    for connection in open_now:
        connection.close()


# ---- Slow ----

def test_silent_connections_are_closed(start):
    server = start("--in-memory", "--idle-timeout", "1", "--admin", "0")
    with connect(server) as silent, connect(server) as served:
        served.sendall(head(2) + b"{}")
        assert everything(served).startswith(b"HTTP/1.1 200 OK\r\n")
        assert everything(silent) == b""
    assert server.metrics()["connections_timeouts_total"] == 2


def test_slow_loris(server):
    """A byte now and then does not keep a request open: 408 and the end, after the time for a head."""
    clients = [connect(server) for _ in range(20)]
    try:
        for client in clients:
            client.setblocking(False)
            client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        answers = {}

        def all_answered():
            for client in clients:
                if client in answers:
                    continue
                try:
                    client.sendall(b"a")
                    content = client.recv(4096)
                    answers[client] = content
                except BlockingIOError:
                    pass
                except OSError:
                    answers[client] = b""
            time.sleep(0.1)  # the pace of the slow clients
            return len(answers) == len(clients)
        eventually(all_answered, lambda: f"{len(answers)} of {len(clients)} were answered", seconds=40)
        assert all(status_of(content) == 408 for content in answers.values() if content)
        assert any(answers.values())
    finally:
        for client in clients:
            client.close()


# ---- Too large ----

def test_body_over_the_limit(server):
    assert exchange(server, head(16 * MIB + 1)) == 413
    chunk = b"%x\r\n" % MIB + b"x" * MIB + b"\r\n"
    with connect(server) as connection:
        connection.sendall(head(**{"Transfer-Encoding": "chunked"}))
        try:
            for _ in range(17):
                connection.sendall(chunk)
        except OSError:
            pass
        assert status_of(everything(connection)) == 413


def test_body_at_the_limit(server):
    body = b"{}" + b" " * (16 * MIB - 2)
    assert exchange(server, head(len(body)) + body) == 200


def test_head_over_the_limit(server):
    assert exchange(server, head(2, **{"X-Long": "x" * 16 * 1024}) + b"{}") == 400
    assert exchange(server, head(2, **{f"X-{i}": "x" for i in range(120)}) + b"{}") == 400
    assert exchange(server, b"POST /" + b"x" * 16 * 1024 + b" HTTP/1.1\r\n\r\n") == 400
    assert exchange(server, head(2, **{"X-Long": "x" * 14 * 1024}) + b"{}") == 200


@pytest.mark.parametrize("opening,closing", [(b"[", b"]"), (b'{"a":', b"}"), (b'{"M":{"a":', b"}}"),
                                             (b'{"L":[', b"]}")])
@pytest.mark.parametrize("depth", [100, 1000, 1_000_000])
@pytest.mark.parametrize("whole", [True, False])
def test_deep_nesting(server, opening, closing, depth, whole):
    depth = min(depth, 15 * MIB // (len(opening) + len(closing)))
    value = opening * depth + (b"1" + closing * depth if whole else b"")
    for body in (value, b'{"TableName": "items", "Item": {"pk": {"S": "deep"}, "v": ' + value + (b"}}" if whole else b"")):
        assert exchange(server, head(len(body), operation="PutItem") + body) == 400


# ---- Wrong ----

def malformed():
    good = head(2) + b"{}"
    yield b"\r\n\r\n"
    yield b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100  # TLS
    yield b"GET\r\n\r\n"
    yield b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    yield b"POST / HTTP/9.9\r\n\r\n"
    yield good.replace(b"Content-Length: 2", b"Content-Length: -2")
    yield good.replace(b"Content-Length: 2", b"Content-Length: 2\r\nContent-Length: 3")
    yield good.replace(b"Content-Length: 2", b"Content-Length: 99999999999999999999")
    yield good.replace(b"Content-Length: 2", b"Content-Length: 2\r\nTransfer-Encoding: chunked")
    yield good.replace(b"Content-Length: 2", b"Transfer-Encoding: chunked").replace(b"\r\n{}", b"\r\nzz\r\n{}\r\n0\r\n\r\n")
    yield good.replace(b"Host: localhost", b"Host : localhost")
    yield good.replace(b"Host: localhost", b"Host: local\x00host")
    yield good.replace(b"Content-Length: 2", b"Content-Length: 2\r\nContent-Encoding: gzip")
    yield good.replace(b"Content-Length: 2", b"Content-Length: 2\r\nContent-Encoding: br")
    yield good.replace(b"Content-Length: 2", b"Content-Length: 2\r\nExpect: a miracle")


@pytest.mark.parametrize("content", malformed(), ids=lambda content: repr(content[:30]))
def test_malformed_http(server, content):
    status = exchange(server, content)
    assert status is None or 400 <= status < 500


@pytest.mark.parametrize("body", [
    b"", b"{", b"}", b"nul", b"[]", b'"x"', b"{}{}", b"{'a': 1}", b'{"TableName": 1}', b'{"TableName": "items", "Key": []}',
    b'{"TableName": "items", "Key": {"pk": {"S": 1}}}', b'{"TableName": "items", "Key": {"pk": {"B": "*"}}}',
    b'{"TableName": "items", "Key": {"pk": {"B": "YQ"}}}', b'{"TableName": "items", "Key": {"pk": {"N": "one"}}}',
    b'{"TableName": "items", "Key": {"pk": {}}}', b'{"TableName": "items", "Key": {"pk": {"S": "a", "N": "1"}}}',
    b'{"TableName": "items", "Key": {"pk": {"X": "a"}}}', b'{"TableName": "items", "Key": {"pk": null}}',
    b'{"TableName": "\xff"}', b'{"TableName": "\\ud800"}', b'{"TableName": "items", "Key": {"pk": {"S": "a\x00"}}}',
    b'{"TableName": "items", "Key": {"pk": {"S": "a"}}, "ConsistentRead": "maybe"}', b"\x00" * 1000,
    b'{"TableName": "items", "Key": {"pk": {"N": "1e999999999999"}}}'])
def test_malformed_json(server, body):
    assert exchange(server, head(len(body), operation="GetItem") + body) == 400


def test_a_body_that_is_cut_off(server):
    with connect(server) as connection:
        connection.sendall(head(1000, operation="PutItem") + b'{"TableName": "items"')
    eventually(lambda: server.metrics()["connections"] <= 2, "the connection is not closed")


def test_bytes_flipped_in_good_requests(server):
    """Two thousand requests with some bytes changed: any answer but a 5xx."""
    chance = random.Random(20260501)
    body = json.dumps({"TableName": "items", "Key": {"pk": {"S": "b"}}, "UpdateExpression": "SET v = :v, #n = v + :v",
                       "ConditionExpression": "attribute_not_exists(v) OR size(v) > :v",
                       "ExpressionAttributeNames": {"#n": "number"}, "ExpressionAttributeValues": {":v": {"N": "1"}}}).encode()
    good = head(len(body), operation="UpdateItem") + body
    seen = set()
    for number in range(2000):
        content = bytearray(good)
        start = len(good) - len(body) if number % 2 else 0
        for _ in range(chance.randrange(1, 4)):
            content[chance.randrange(start, len(content))] = chance.randrange(256)
        status = exchange(server, bytes(content))
        assert status is None or status < 500, bytes(content)
        seen.add(status)
    assert {200, 400} <= seen


def test_garbage(server):
    for _ in range(200):
        status = exchange(server, os.urandom(300))
        assert status is None or 400 <= status < 500
