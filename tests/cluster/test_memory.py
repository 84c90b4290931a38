"""Memory that large requests took goes back to the system."""

import http.client
import json
import threading
import time
from pathlib import Path

MIB = 1 << 20
CLIENTS = 150
LEFT_MAX = 128 * MIB  # freed blocks between others that are in use; how many is a matter of luck
AUTHORIZATION = ("AWS4-HMAC-SHA256 Credential=KEY/20260101/us-east-1/dynamodb/aws4_request, "
                 "SignedHeaders=host;x-amz-date;x-amz-target, Signature=" + "0" * 64)
HEADERS = {"Content-Type": "application/x-amz-json-1.0", "Authorization": AUTHORIZATION,
           "X-Amz-Date": "20260101T000000Z", "X-Amz-Target": "DynamoDB_20120810.PutItem"}


def rss_bytes(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def send(port, body):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request("POST", "/", body, HEADERS)
        connection.getresponse().read()
    except OSError:
        pass  # refused in the midst of its body
    finally:
        connection.close()


def test_large_bodies_leave_nothing(start):
    server = start("--in-memory")
    before = rss_bytes(server.process.pid)
    many = {"L": [{"N": str(i)} for i in range(800_000)]}
    body = json.dumps({"TableName": "none", "Item": {"p": {"S": "k"}, "v": many}}).encode()
    clients = [threading.Thread(target=send, args=(server.port, body))
               for _ in range(CLIENTS)]
    highest = 0
    for client in clients:
        client.start()
    while any(client.is_alive() for client in clients):
        highest = max(highest, rss_bytes(server.process.pid))
        time.sleep(0.01)
    assert highest > before + LEFT_MAX
    until = time.monotonic() + 10
    while rss_bytes(server.process.pid) > before + LEFT_MAX and time.monotonic() < until:
        time.sleep(0.1)
    assert rss_bytes(server.process.pid) <= before + LEFT_MAX
