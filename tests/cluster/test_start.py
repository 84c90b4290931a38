"""Starts that must fail, say why in a sentence, and leave what is there as it is."""

import os
import shutil
import socket

import pytest

import disk
from process import eventually


def refuses(server, sentence):
    """It ends with status 1, and its last line is the sentence."""
    code = server.wait()
    assert (code, server.lines[-1:]) == (1, [f"trine: {sentence}\n"]), server.output
    assert "is ready" not in server.output


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def filled(start, data):
    """A data directory in which a server has stopped cleanly; the table tab has the item a."""
    server = start()
    server.create("tab")
    server.put("tab", "a", v="1")
    server.stop()
    return data


def test_second_process_on_the_directory(start, data):
    first = start()
    first.create("tab")
    refuses(start(ready=False), f"cannot open the data directory {data}: another process uses it")
    first.put("tab", "a", v="1")
    assert first.get("tab", "a") == {"v": "1"}
    first.kill()
    assert start().get("tab", "a") == {"v": "1"}


def test_port_in_use(start, data, tmp_path):
    first = start()
    refuses(start("--listen", f"127.0.0.1:{first.port}", "--data", tmp_path / "other", ready=False),
            f"cannot listen on 127.0.0.1:{first.port}: the port is in use")
    first.create("tab")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refuses(start("--in-memory", "--admin", str(port), ready=False),
                f"cannot listen on 127.0.0.1:{port}: the port is in use")


def test_host_that_is_none(start):
    refuses(start("--in-memory", "--accept-any-credentials", "--listen", "no-such-host.invalid:0", ready=False),
            "cannot listen on no-such-host.invalid:0: there is no such host")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can start a process that may less")
def test_directories_without_permission(start, filled, tmp_path):
    tmp_path.chmod(0o755)
    for folder in tmp_path.parents:
        if folder.stat().st_uid == 0 and str(folder).startswith("/tmp/") and folder.stat().st_mode & 0o5 != 0o5:
            folder.chmod(folder.stat().st_mode | 0o55)
    nobody = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]
    before = content(filled)
    denied = "no permission to read and write it, or its file system is read-only"
    refuses(start(prefix=nobody, ready=False), f"cannot open the data directory {filled}: {denied}")
    assert content(filled) == before
    new = tmp_path / "new"
    refuses(start("--data", new, prefix=nobody, ready=False), f"cannot open the data directory {new}: {denied}")
    assert not new.exists()


def test_parent_that_does_not_exist(start, tmp_path):
    path = tmp_path / "no" / "data"
    refuses(start("--data", path, ready=False), f"cannot open the data directory {path}: "
            "its parent directory does not exist, or a file in it is missing")
    assert not path.parent.exists()


def test_file_instead_of_a_directory(start, data):
    data.write_text("mine\n")
    refuses(start(ready=False), f"cannot open the data directory {data}: it is not a data directory of trine")
    assert data.read_text() == "mine\n"


def test_directory_of_another_kind(start, data):
    data.mkdir()
    (data / "tree").write_text("An oak.\n" * 2000)
    refuses(start(ready=False), f"cannot open the data directory {data}: it is not a data directory of trine")
    assert content(data) == {"tree": b"An oak.\n" * 2000}


def test_directory_with_other_files(start, data):
    data.mkdir()
    (data / "letter.txt").write_text("Dear Nina\n")
    refuses(start(ready=False), f"cannot open the data directory {data}: it is not a data directory of trine")
    assert content(data) == {"letter.txt": b"Dear Nina\n"}


@pytest.mark.parametrize("make_newer", [disk.make_tree_newer, disk.make_log_newer])
def test_directory_of_a_newer_version(start, filled, make_newer):
    make_newer(filled)
    before = content(filled)
    refuses(start(ready=False), f"cannot open the data directory {filled}: it was written by another version of trine, in a format that this one does not know")
    assert content(filled) == before


def test_log_of_another_directory(start, filled, tmp_path):
    other = start("--data", tmp_path / "other")
    other.create("tub")
    other.stop()
    for path in disk.segments(filled):
        path.unlink()
    for path in (tmp_path / "other").glob("log-*"):
        shutil.copy(path, filled)
    before = content(filled)
    refuses(start(ready=False), f"cannot open the data directory {filled}: it is not a data directory of trine")
    assert content(filled) == before


def test_log_that_is_missing(start, filled):
    for path in filled.glob("log-*"):
        path.unlink()
    before = content(filled)
    server = start(ready=False)
    refuses(server, f"cannot open the data directory {filled}: what it holds is damaged; see the log lines above")
    assert server.find(rf"error storage: the log in {filled} ends before the checkpoint: positions 0 to \d+ are lost$")
    assert content(filled) == before


def test_tree_that_is_missing(start, filled):
    """The log says what was written since the checkpoint, not what was before it: twice refused, then put back."""
    tree = (filled / "tree").read_bytes()
    (filled / "tree").unlink()
    before = content(filled)
    for _ in range(2):
        server = start(ready=False)
        refuses(server, f"cannot open the data directory {filled}: what it holds is damaged; see the log lines above")
        assert server.find(rf"error node: {filled} has a log with records in it, but its tree file is gone, or cut off")
        after = content(filled)
        assert {name: after[name] for name in before} == before
    (filled / "tree").write_bytes(tree)
    assert start().get("tab", "a") == {"v": "1"}


def test_log_that_is_missing(start, data):
    """Before the first checkpoint all is in the log: without it nothing is left, which is said and not passed over."""
    server = start()
    server.create("tab")
    server.put("tab", "a", v="1")
    server.kill()
    for segment in disk.segments(data):
        segment.unlink()
    for _ in range(2):
        server = start(ready=False)
        refuses(server, f"cannot open the data directory {data}: what it holds is damaged; see the log lines above")
        assert server.find(rf"error node: the log files \(log-\*\) of {data} are gone, and with them all that was "
                           "written since the last checkpoint$")
    server = start("--accept-loss")
    assert server.find(r"since the last checkpoint \(accepted\)$")
    assert server.call("ListTables")["TableNames"] == []
    server.create("tab")
    server.put("tab", "b", v="2")
    server.kill()
    assert start().get("tab", "b") == {"v": "2"}


def test_everything_is_there_after_a_restart(start, data):
    server = start()
    server.create("tab", keys="pk:S", Tags=[{"Key": "team", "Value": "jazz"}])
    server.create("tub", keys="pk:S sk:N")
    server.put("tab", "a", v="1")
    fixed = ("TableId", "TableArn", "CreationDateTime", "KeySchema", "AttributeDefinitions", "BillingModeSummary")

    def about(server):
        tables = {name: server.call("DescribeTable", TableName=name)["Table"]
                  for name in server.call("ListTables")["TableNames"]}
        arn = tables["tab"]["TableArn"]
        return ({name: [table[member] for member in fixed] for name, table in tables.items()},
                server.call("ListTagsOfResource", ResourceArn=arn)["Tags"])
    before = about(server)
    assert list(before[0]) == ["tab", "tub"]
    for end in ("stop", "kill", "stop"):
        getattr(server, end)()
        server = start()
        assert about(server) == before
        assert server.get("tab", "a") == {"v": "1"}


def test_stop_while_it_starts(start, data):
    """A signal before the ready line is a clean stop too."""
    server = start(ready=False)
    eventually(lambda: (data / "tree").exists() or server.ended.is_set(), "no file is made")
    server.stop()
    server = start()
    server.create("tab")
