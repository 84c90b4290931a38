"""Each success answer to a write is sent only after a sync that covers its log record has completed.

Seen from outside, by strace; kill -9 alone proves nothing, as the page cache survives it.
"""

import os
import shutil
import subprocess
import threading

import pytest

import strace_log
from process import ROOT, SECONDS_MAX

WRITERS = 8
WRITES = 25


def traced(start, tmp_path, **more):
    """Lines of strace for a server that takes writes of several kinds from eight clients."""
    trace = tmp_path / "trace"
    strace = ["strace", "-f", "-y", "-qq", "-s", "262144", "-e", "signal=none", "-e", f"trace={strace_log.CALLS}",
              "-o", str(trace)]
    server = start(prefix=strace, **more)
    server.create("items")
    faults = []

    def write(writer):
        try:
            for number in range(WRITES):
                mark = f"marker-{writer}-{number};"
                key = {"pk": {"S": mark}}
                if number % 5 == 0:
                    server.call("UpdateItem", TableName="items", Key=key, UpdateExpression="SET v = :v",
                                ExpressionAttributeValues={":v": {"S": "1"}})
                elif number % 5 == 1:
                    server.call("BatchWriteItem", RequestItems={"items": [{"PutRequest": {"Item": key}}]})
                elif number % 5 == 2:
                    server.call("PutItem", TableName="items", Item={**key, "big": {"S": "x" * 9000}})
                else:
                    server.call("PutItem", TableName="items", Item=key,
                                ConditionExpression="attribute_not_exists(pk)")
        except BaseException as fault:
            faults.append(fault)
    threads = [threading.Thread(target=write, args=(w,)) for w in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS_MAX * 4)
        assert not thread.is_alive()
    assert not faults, faults
    server.stop()
    return trace.read_text(errors="replace").splitlines()


@pytest.fixture(autouse=True)
def strace_works(tmp_path):
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    result = subprocess.run(["strace", "-f", "-o", tmp_path / "probe", "true"], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        pytest.skip(f"strace cannot trace here: {result.stderr.strip()}")


def all_marks():
    return {f"marker-{w}-{n};" for w in range(WRITERS) for n in range(WRITES)}


def test_answers_wait_for_the_sync(start, tmp_path):
    lines = traced(start, tmp_path)
    acknowledged, bad = strace_log.unsynced(lines)
    assert set(acknowledged) == all_marks() and len(acknowledged) == WRITERS * WRITES
    assert bad == []
    syncs = sum(1 for c in strace_log.calls(lines) if c.name == "fdatasync" and "/log-" in c.file)
    assert syncs < len(acknowledged), "a sync covers several writes"


def test_a_server_that_skips_syncs_is_caught(start, tmp_path):
    """The check above is worth something: it rejects a build that reports syncs without making them."""
    build = ROOT / "build" / "skip-sync"
    build.parent.mkdir(exist_ok=True)
    for command in (["cmake", "-S", ROOT, "-B", build, "-G", "Ninja", "-DTRINE_FLAVOUR=release", "-DTRINE_SKIP_SYNC=ON"],
                    ["ninja", "-C", build, "trine"]):
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout + result.stderr
    acknowledged, bad = strace_log.unsynced(traced(start, tmp_path, binary=os.fspath(build / "trine")))
    assert set(acknowledged) == all_marks()
    assert set(bad) == all_marks()


# ---- The checker rejects each kind of bad history ----

GOOD = [
    '10 read(20<socket:[1]>, "POST marker-1-1; ", 65536) = 100',
    '11 pwritev(7</d/log-0000000000000001>, [{iov_base="\\1 marker-1-1; ", iov_len=4096}], 1, 4096) = 4096',
    '11 fdatasync(7</d/log-0000000000000001> <unfinished ...>',
    '10 read(21<socket:[2]>, "POST marker-2-1; ", 65536) = 100',
    '11 <... fdatasync resumed>) = 0',
    '10 write(20<socket:[1]>, "HTTP/1.1 200 OK", 100) = 100',
]


def test_checker_accepts_a_good_history():
    assert strace_log.unsynced(GOOD) == (["marker-1-1;"], [])


@pytest.mark.parametrize("why,order", [
    ("answered while the sync ran", [0, 1, 2, 3, 5, 4]),
    ("answered before the record was written", [0, 5, 1, 2, 3, 4]),
    ("synced before the record was written", [0, 2, 3, 4, 1, 5]),
    ("never synced", [0, 1, 3, 5]),
    ("never written", [0, 2, 3, 4, 5])])
def test_checker_rejects(why, order):
    assert strace_log.unsynced([GOOD[i] for i in order]) == (["marker-1-1;"], ["marker-1-1;"]), why


@pytest.mark.parametrize("line,instead", [
    (2, '11 fdatasync(8</d/tree> <unfinished ...>'),
    (4, '11 <... fdatasync resumed>) = -1 EIO (Input/output error)'),
    (1, GOOD[1].replace("marker-1-1", "marker-9-9")),
    (1, GOOD[1].replace("= 4096", "= -1 ENOSPC (No space left on device)"))])
def test_checker_rejects_other_calls(line, instead):
    assert strace_log.unsynced([*GOOD[:line], instead, *GOOD[line + 1:]]) == (["marker-1-1;"], ["marker-1-1;"])
