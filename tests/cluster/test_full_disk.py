"""A disk that fills up: writes are refused, reads go on, and freed space is taken up in place."""

import http.client
import shutil
import subprocess
import threading
import time

import pytest

from process import Refused, eventually


@pytest.fixture
def disk(tmp_path):
    """disk(mebibytes) mounts a small file system in RAM and gives its path."""
    mounted = []
    if shutil.which("mount") is None:
        pytest.skip("there is no mount to make a small disk with")

    def mount(mebibytes):
        path = tmp_path / f"disk{len(mounted)}"
        path.mkdir()
        result = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", path],
                                capture_output=True, text=True, check=False)
        if result.returncode != 0:
            pytest.skip(f"a file system cannot be mounted here: {result.stderr.strip()}")
        mounted.append(path)
        return path
    yield mount
    for path in mounted:
        subprocess.run(["umount", "-l", path], check=True)


REFUSED_SECONDS = 3  # the log finds space by itself, in old segments, within two


def fill(server, acknowledged, writers=4):
    """Write until each writer has been refused for so long that it is for good; give the refusals."""
    refusals = []

    def write(writer):
        since = None
        while True:
            key = f"k{writer}-{len(acknowledged)}"
            try:
                server.put("items", key, v=key + "x" * 5000)
            except Refused as refused:
                refusals.append(refused)
                since = since or time.monotonic()
                if time.monotonic() > since + REFUSED_SECONDS:
                    return
                time.sleep(0.02)
                continue
            except (OSError, http.client.HTTPException) as fault:
                refusals.append(fault)
                return
            since = None
            acknowledged.append(key)
    threads = [threading.Thread(target=write, args=(w,)) for w in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return refusals


def check(server, acknowledged):
    items = server.scan("items")
    assert set(acknowledged) <= set(items)
    assert all(item == {"v": key + "x" * 5000} for key, item in items.items())


def accepts(server, key, table="items"):
    try:
        server.put(table, key, v=key + "x" * 5000)
        return True
    except Refused as refused:
        assert (refused.status, refused.type) == (503, "ServiceUnavailableException")
        return False


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_full_disk(start, disk, end):
    path = disk(72)
    ballast = path / "ballast"
    ballast.write_bytes(b"b" * (44 << 20))
    server = start("--data", path / "data", "--admin", "0")
    server.create("items")
    assert server.admin("/ready") == (200, "ready\n")
    acknowledged = []
    for refused in fill(server, acknowledged):
        assert isinstance(refused, Refused), refused
        assert (refused.status, refused.type) == (503, "ServiceUnavailableException")
    assert len(acknowledged) > 500
    eventually(lambda: server.admin("/ready") == (503, "not writable: no space left on the device\n"),
               lambda: server.admin("/ready"))
    assert server.admin("/live") == (200, "live\n")
    assert server.find(r"(warning|error) storage: the (disk is full|log has no space): ")
    check(server, acknowledged)

    ballast.unlink()
    eventually(lambda: server.admin("/ready") == (200, "ready\n"), lambda: server.admin("/ready"))
    eventually(lambda: accepts(server, "after"), "writes are refused although there is space")
    acknowledged.append("after")
    check(server, acknowledged)
    getattr(server, end)()
    check(start("--data", path / "data"), acknowledged)


def test_kill_and_start_on_a_full_disk(start, disk):
    """It starts, serves reads and refuses writes; with space it takes them by itself."""
    path = disk(40)
    ballast = path / "ballast"
    ballast.write_bytes(b"b" * (12 << 20))
    server = start("--data", path / "data")
    server.create("items")
    acknowledged = []
    fill(server, acknowledged)
    server.kill()
    with open(ballast, "ab", buffering=0) as file:
        try:
            while True:
                file.write(b"b" * 65536)
        except OSError:
            pass
    server = start("--data", path / "data", "--admin", "0")
    check(server, acknowledged)
    for _ in range(3):
        started = time.monotonic()
        with pytest.raises(Refused) as refused:
            while True:
                server.put("items", "more", v="more" + "x" * 5000)
        assert (refused.value.status, refused.value.type) == (503, "ServiceUnavailableException")
        assert time.monotonic() - started < REFUSED_SECONDS
    eventually(lambda: server.admin("/ready") == (503, "not writable: no space left on the device\n"),
               lambda: server.admin("/ready"))
    check(server, acknowledged)
    ballast.unlink()
    check(server, acknowledged)
    eventually(lambda: accepts(server, "after"), "writes are refused although there is space")
    server.stop()


def test_deletes_on_a_full_disk(start, disk):
    """Items can be deleted when nothing else can be written; that makes space."""
    path = disk(32)
    server = start("--data", path / "data", "--admin", "0")
    server.create("items")
    acknowledged = []
    fill(server, acknowledged)
    eventually(lambda: server.admin("/ready")[0] == 503, lambda: server.admin("/ready"))
    for key in acknowledged[:50]:
        server.call("DeleteItem", TableName="items", Key={"pk": {"S": key}})
    for key in acknowledged[:50]:
        assert server.get("items", key) is None
    server.kill()
    server = start("--data", path / "data")
    items = server.scan("items")
    assert not set(acknowledged[:50]) & set(items) and set(acknowledged[50:]) <= set(items)


def transact(server, key, *tables):
    server.call("TransactWriteItems", TransactItems=[
        {"Put": {"TableName": table, "Item": {"pk": {"S": key}, "v": {"S": key + "x" * 5000}}}} for table in tables])


@pytest.mark.parametrize("end", ["none", "kill"])
def test_transactions_on_a_full_disk(start, disk, end):
    """Those that are under way when the disk is full come to an end: what they decide and release may use the reserve."""
    path = disk(40)
    server = start("--data", path / "data", "--admin", "0")
    server.create("one")
    server.create("two")
    acknowledged, unknown = [], []

    def write(writer):
        since, n = None, 0
        while since is None or time.monotonic() < since + REFUSED_SECONDS:
            key, n = f"k{writer}-{n}", n + 1
            try:
                transact(server, key, "one", "two")
                acknowledged.append(key)
                since = None
            except Refused as refused:
                assert refused.status in (500, 503), refused
                unknown.append(key)
                since = since or time.monotonic()
                time.sleep(0.02)
    threads = [threading.Thread(target=write, args=(w,)) for w in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(acknowledged) > 200 and unknown
    assert server.admin("/ready")[0] == 503
    assert server.metrics()['transactions_total{end="unknown"}'] == 0
    if end == "kill":
        server.kill()
        server = start("--data", path / "data", "--admin", "0")
    eventually(lambda: server.metrics()["intents"] == 0, lambda: f"{server.metrics()['intents']} items stay prepared")
    items = server.scan("one")
    assert items == server.scan("two")
    assert set(acknowledged) <= set(items) <= set(acknowledged) | set(unknown)


def gone(server, table):
    try:
        server.call("DescribeTable", TableName=table)
        return False
    except Refused as refused:
        assert refused.type == "ResourceNotFoundException"
        return True


@pytest.mark.parametrize("end", ["none", "kill"])
def test_delete_table_on_a_full_disk(start, disk, end):
    """A table can be deleted when nothing else can be written; then the others take writes again."""
    path = disk(40)
    server = start("--data", path / "data", "--admin", "0")
    server.create("items")
    server.create("others")
    server.put("others", "first", v="1")
    acknowledged = []
    fill(server, acknowledged)
    eventually(lambda: server.admin("/ready")[0] == 503, lambda: server.admin("/ready"))
    with pytest.raises(Refused) as refused:
        server.create("more")
    assert (refused.value.status, refused.value.type) == (503, "ServiceUnavailableException")
    answer = server.call("DeleteTable", TableName="items")
    assert answer["TableDescription"]["TableStatus"] == "DELETING"
    if end == "kill":
        server.kill()
        server = start("--data", path / "data", "--admin", "0")
    eventually(lambda: gone(server, "items"), "it stays DELETING")
    eventually(lambda: server.admin("/ready") == (200, "ready\n"), lambda: server.output)
    for i in range(len(acknowledged) // 2):
        eventually(lambda i=i: accepts(server, f"k{i}", "others"), lambda: server.output)
    assert server.get("others", "first") == {"v": "1"}
    server.create("items")
    assert server.scan("items") == {}
    server.stop()


def test_no_space_for_a_start(start, disk):
    path = disk(1)
    (path / "other").write_bytes(bytes(960 << 10))
    server = start("--data", path / "data", ready=False)
    assert server.wait() == 1
    assert server.lines[-1] == (f"trine: cannot open the data directory {path / 'data'}: there is no space left on its "
                                "disk\n")
