"""What the program says to right and wrong words."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from process import VERSION, eventually, run

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize("word", ["--version", "-V", "version"])
def test_version(word):
    result = run(word)
    assert (result.returncode, result.stdout, result.stderr) == (0, f"trine {VERSION}\n", "")


@pytest.mark.parametrize("word", ["--help", "-h", "help"])
def test_help(word):
    result = run(word)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("trine - DynamoDB, self-hosted\n")
    assert "trine serve [options]" in result.stdout


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_of_serve_names_the_options_that_are_documented(word):
    result = run("serve", word)
    assert (result.returncode, result.stderr) == (0, "")
    named = set(re.findall(r"^  (--[a-z-]+)", result.stdout, re.MULTILINE))
    documented = set(re.findall(r"--[a-z-]+", (DOCS / "operations.md").read_text()))
    assert {"--listen", "--data", "--in-memory"} <= named <= documented


def test_version_of_serve():
    result = run("serve", "--version")
    assert (result.returncode, result.stdout, result.stderr) == (0, f"trine {VERSION}\n", "")


@pytest.mark.parametrize("words,fault", [
    ([], "say what to do: trine serve"),
    (["dance"], "there is no command 'dance'"),
    (["--listen", "127.0.0.1:0"], "there is no command '--listen'")])
def test_wrong_commands(words, fault):
    result = run(*words)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"trine: {fault}\nSee 'trine --help'.\n"


@pytest.mark.parametrize("words,fault", [
    (["now"], "serve does not know 'now'"),
    (["--verbose"], "serve does not know '--verbose'"),
    (["--list", "127.0.0.1:0"], "serve does not know '--list'"),
    (["--listen"], "--listen wants HOST:PORT"),
    (["--listen", "8000"], "--listen wants HOST:PORT, not '8000'"),
    (["--listen", ":8000"], "--listen wants HOST:PORT, not ':8000'"),
    (["--listen", "127.0.0.1:"], "--listen wants HOST:PORT, not '127.0.0.1:'"),
    (["--listen", "127.0.0.1:65536"], "--listen wants HOST:PORT, not '127.0.0.1:65536'"),
    (["--listen=127.0.0.1:x"], "--listen wants HOST:PORT, not '127.0.0.1:x'"),
    (["--admin", "nine"], "--admin wants HOST:PORT or PORT, not 'nine'"),
    (["--data", ""], "--data wants a directory, not ''"),
    (["--in-memory=yes"], "--in-memory takes no value"),
    (["--accept-loss=1"], "--accept-loss takes no value"),
    (["--region", "EU"], "--region wants a region's name, such as eu-west-1, not 'EU'"),
    (["--account", "12"], "--account wants 12 digits, not '12'"),
    (["--account", "12345678901x"], "--account wants 12 digits, not '12345678901x'"),
    (["--on-demand-partitions", "0"], "--on-demand-partitions wants a number from 1 to 1024, not '0'"),
    (["--on-demand-partitions", "1025"], "--on-demand-partitions wants a number from 1 to 1024, not '1025'"),
    (["--status-delay", "-1"], "--status-delay wants milliseconds, at most 3600000, not '-1'"),
    (["--status-delay", "3600001"], "--status-delay wants milliseconds, at most 3600000, not '3600001'"),
    (["--cache", "1"], "--cache wants MiB, at least 2, not '1'"),
    (["--cache", "99999999999999999999"], "--cache wants MiB, at least 2, not '99999999999999999999'"),
    (["--request-memory", "0"], "--request-memory wants MiB, at least 1, not '0'"),
    (["--connections-max", "0"], "--connections-max wants a number from 1 to 1000000, not '0'"),
    (["--idle-timeout", "0"], "--idle-timeout wants seconds from 1 to 86400, not '0'"),
    (["--log-level", "loud"], "--log-level wants error, warning, info or debug, not 'loud'"),
    (["--in-memory", "--data", "d"], "--in-memory and --data exclude each other"),
    (["--tls-cert", "c.pem"], "--tls-cert and --tls-key go together"),
    (["--tls-key", "k.pem"], "--tls-cert and --tls-key go together"),
    (["--credentials", "f", "--accept-any-credentials"],
     "--credentials and --accept-any-credentials exclude each other"),
    (["--listen", "0.0.0.0:8000"],
     "0.0.0.0 is not a loopback address: give --credentials FILE, or say --accept-any-credentials if everyone who "
     "reaches it may do everything")])
def test_wrong_options_of_serve(words, fault, tmp_path):
    result = run("serve", *words, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"trine: {fault}\nSee 'trine serve --help'.\n"
    assert os.listdir(tmp_path) == []


def test_files_that_the_command_line_names(tmp_path):
    def fails(option, path, *more):
        result = run("serve", "--in-memory", "--listen", "127.0.0.1:0", option, path, *more)
        assert (result.returncode, result.stdout) == (2, "")
        return result.stderr

    gone = tmp_path / "gone"
    assert fails("--credentials", gone) == f"trine: cannot read {gone}: No such file or directory\n"
    open_to_all = tmp_path / "open"
    open_to_all.write_text("KEY SECRET\n")
    open_to_all.chmod(0o644)
    assert fails("--credentials", open_to_all) == \
        f"trine: cannot use {open_to_all}: it holds secrets, and others can read or write it; chmod 600 it\n"
    empty = tmp_path / "empty"
    empty.touch(0o600)
    assert fails("--credentials", empty) == f"trine: cannot use {empty}: it is empty or too large\n"


def test_content_of_the_files(tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("GOODKEY SECRET\nNOSECRET\n")
    keys.chmod(0o600)
    result = run("serve", "--in-memory", "--listen", "127.0.0.1:0", "--credentials", keys)
    assert result.returncode == 1
    assert "trine: the credentials file is at fault in line 2: " in result.stderr

    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    certificate.write_text("no certificate\n")
    key.write_text("no key\n")
    key.chmod(0o600)
    result = run("serve", "--in-memory", "--listen", "127.0.0.1:0", "--tls-cert", certificate, "--tls-key", key)
    assert result.returncode == 1
    assert "trine: TLS cannot be set up: " in result.stderr


def test_lines_when_ready(start, tmp_path):
    server = start("--in-memory", "--admin", "[::1]:0", "--examples")
    server.stop()
    lines = server.output.splitlines()
    assert lines[0] == f"Trine {VERSION} is ready: {server.url} (in memory: a stop loses everything)"
    assert re.fullmatch(r"Metrics and health: http://\[::1\]:\d+/metrics /live /ready", lines[1])
    assert lines[2] == "Try, in another shell, with the AWS CLI (any region and any key will do):"
    assert lines[3].startswith("  export ")
    assert [line.split()[4] for line in lines[4:]] == ["create-table", "put-item", "scan"]

    server = start("--data", tmp_path / "elsewhere")
    server.stop()
    assert server.output.splitlines()[0] == \
        f"Trine {VERSION} is ready: {server.url} (data in {tmp_path / 'elsewhere'})"


def test_default_place_of_the_data(start, tmp_path):
    start("--log-level", "error", "--data", "./trine-data", cwd=tmp_path).stop()
    assert sorted(name[:4] for name in os.listdir(tmp_path / "trine-data"))[-1] == "tree"


def test_the_printed_commands_work(start, tmp_path):
    """As printed, in a shell that knows of no region and no key; and README.md's table is not in their way."""
    server = start("--in-memory", "--examples")
    eventually(lambda: "dynamodb scan" in server.output, lambda: server.output)
    commands = "\n".join(line for line in server.output.splitlines() if line.startswith("  "))
    result = subprocess.run(["sh", "-euc", commands], capture_output=True, text=True, check=False, timeout=120, env={
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "AWS_PAGER": "", "AWS_EC2_METADATA_DISABLED": "true"})
    assert result.returncode == 0, result.stderr
    assert '"TableStatus": "CREATING"' in result.stdout
    assert '"S": "hello"' in result.stdout
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    assert set(re.findall(r"--table-name (\w+)", commands)).isdisjoint(re.findall(r"--table-name (\w+)", readme))
