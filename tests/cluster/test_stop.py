"""Clean stops: what runs is finished, what is new is refused, everything is on disk, the exit status is 0."""

import http.client
import json
import os
import signal
import socket
import threading

import pytest

from process import HEADERS, Refused, eventually


def connect(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=30)


def request_bytes(operation, **members):
    body = json.dumps(members).encode()
    head = {"Host": "localhost", **HEADERS, "X-Amz-Target": f"DynamoDB_20120810.{operation}",
            "Content-Length": str(len(body))}
    return ("POST / HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in head.items()) + "\r\n").encode() + body


def answer_of(connection):
    """(status, headers, body), then the end of the connection."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response.status, dict(response.getheaders()), response.read()


def put_bytes(pk):
    return request_bytes("PutItem", TableName="items", Item={"pk": {"S": pk}, "v": {"S": "1"}})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_requests_in_flight_are_finished(start, number):
    """Requests whose first half has come before the signal get their answer after it; new ones are refused."""
    server = start("--admin", "0")
    server.create("items")
    halves = [(connect(server), put_bytes(f"half-{i}")) for i in range(20)]
    for connection, content in halves:
        connection.sendall(content[:len(content) // 2])
    idle = [connect(server) for _ in range(5)]
    eventually(lambda: server.metrics()["connections"] >= 25, "connections do not come")
    received = server.metrics()["received_bytes_total"]
    wanted = sum(len(content) // 2 for _, content in halves)
    eventually(lambda: server.metrics()["received_bytes_total"] >= wanted, lambda: f"{received} bytes came")

    server.send_signal(number)
    eventually(lambda: server.admin("/ready") == (503, "draining\n"), "it is not draining")
    assert server.admin("/live") == (200, "live\n")
    for connection in idle:
        assert connection.recv(1) == b"", "connections at rest are closed"

    def refused():
        try:
            with connect(server) as late:
                late.sendall(put_bytes("late"))
                return late.recv(1) == b""
        except OSError:
            return True
    eventually(refused, "it accepts connections")
    for connection, content in halves:
        connection.sendall(content[len(content) // 2:])
    for connection, _ in halves:
        status, headers, _ = answer_of(connection)
        assert (status, headers["Connection"]) == (200, "close")
        assert connection.recv(1) == b""
    assert server.wait() == 0, server.output
    assert "trine:" not in server.output

    items = start().scan("items")
    assert set(items) == {f"half-{i}" for i in range(20)}


def test_writers_at_full_speed(start, data):
    """Whatever was acknowledged when the signal came is there; the log that is left is small, as it is in the tree."""
    server = start()
    server.create("items")
    acknowledged, faults = [], []

    def write(writer):
        for number in range(100_000):
            key = f"k{writer}-{number}"
            try:
                server.put("items", key, v="x" * 2000)
            except (OSError, http.client.HTTPException):
                return
            except Refused as fault:
                faults.append(fault)
                return
            acknowledged.append(key)
    threads = [threading.Thread(target=write, args=(w,)) for w in range(8)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(acknowledged) > 500, "no progress")
    server.send_signal(signal.SIGTERM)
    assert server.wait() == 0, server.output
    for thread in threads:
        thread.join()
    assert not [fault for fault in faults if fault.status != 503]
    assert sum(path.stat().st_size for path in data.glob("log-*")) <= 16 << 20

    server = start("--admin", "0")
    items = server.scan("items")
    assert set(acknowledged) <= set(items) and len(items) <= len(acknowledged) + 8
    assert server.metrics()["applied_total"] <= 8, "nothing is left to be applied from the log"


def test_a_log_of_many_segments(start, data):
    """It is made small, and the next start finds all in the tree."""
    server = start()
    server.create("items")
    for number in range(120):
        server.put("items", f"k{number}", v=f"{number:05}" * 60_000)
    assert sum(path.stat().st_size for path in data.glob("log-*")) > 30 << 20
    server.stop()
    assert sum(path.stat().st_size for path in data.glob("log-*")) <= 16 << 20
    server = start("--admin", "0")
    assert server.metrics()["applied_total"] <= 8
    assert server.scan("items") == {f"k{n}": {"v": f"{n:05}" * 60_000} for n in range(120)}


def test_a_second_signal_does_not_wait(start):
    server = start("--admin", "0")
    server.create("items")
    connection = connect(server)
    connection.sendall(put_bytes("half")[:100])
    eventually(lambda: server.metrics()["received_bytes_total"] >= 100, "nothing came")
    server.send_signal(signal.SIGTERM)
    eventually(lambda: server.admin("/ready") == (503, "draining\n"), "it is not draining")
    server.send_signal(signal.SIGINT)
    assert server.wait() == 128 + signal.SIGINT
    server = start()
    assert server.scan("items") == {}


def test_a_client_that_never_finishes(start):
    """It is not waited for longer than ten seconds."""
    server = start("--in-memory")
    connection = connect(server)
    connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n")
    eventually(lambda: os.path.exists(f"/proc/{server.pid}"), "it runs")
    server.send_signal(signal.SIGTERM)
    assert server.wait(15) == 0
    assert server.output.count("\n") == 1


def test_no_memory_of_a_stopped_server_in_memory(start):
    server = start("--in-memory")
    server.create("items")
    server.stop()
    assert start("--in-memory").call("ListTables") == {"TableNames": []}
