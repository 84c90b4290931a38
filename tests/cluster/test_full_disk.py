"""A disk that fills up: writes are refused, reads go on, and freed space is taken up in place."""

import http.client
import shutil
import socket
import subprocess
import threading
import urllib.error
import urllib.request

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


def fill(server, acknowledged, writers=4):
    """Write until each writer has been refused; give the refusals."""
    refusals = []

    def write(writer):
        while True:
            key = f"k{writer}-{len(acknowledged)}"
            try:
                server.put("items", key, v=key + "x" * 5000)
            except Refused as refused:
                refusals.append(refused)
                return
            except (OSError, http.client.HTTPException) as fault:
                refusals.append(fault)
                return
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


def accepts(server, key):
    try:
        server.put("items", key, v=key + "x" * 5000)
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
    eventually(lambda: server.find("error storage: the log has no space: writes are refused until there is some$"),
               lambda: server.output)
    check(server, acknowledged)

    ballast.unlink()
    eventually(lambda: server.admin("/ready") == (200, "ready\n"), lambda: server.admin("/ready"))
    eventually(lambda: server.find("info storage: the log takes writes again$"), lambda: server.output)
    eventually(lambda: accepts(server, "after"), "writes are refused although there is space")
    acknowledged.append("after")
    check(server, acknowledged)
    getattr(server, end)()
    check(start("--data", path / "data"), acknowledged)


def test_kill_and_start_on_a_full_disk(start, disk):
    """It waits for space before it serves anything, or serves everything; with space it does so by itself."""
    path = disk(32)
    server = start("--data", path / "data")
    server.create("items")
    acknowledged = []
    fill(server, acknowledged)
    server.kill()
    ballast = path / "ballast"
    with open(ballast, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"b" * 65536)
        except OSError:
            pass
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = start("--data", path / "data", "--admin", str(port), ready=False)

    def answers():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready") as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            return None
    eventually(lambda: server.find("no space") or server.find("is ready"), "it says nothing")
    assert answers() in [(503, b"recovering\n"), (503, b"not writable: no space left on the device\n")]
    ballast.unlink()
    server.wait_ready()
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


def test_no_space_for_a_start(start, disk):
    path = disk(1)
    server = start("--data", path / "data", ready=False)
    assert server.wait() == 1
    assert server.lines[-1] == (f"trine: cannot open the data directory {path / 'data'}: there is no space left on its "
                                "disk\n")
