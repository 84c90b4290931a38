"""The examples of README.md, each run as printed, in order, by the clients that they name.

Only the port differs: 8000 becomes that of the server of this test.
"""

import os
import re
import subprocess

import pytest

from conftest import ROOT, SECONDS_MAX, Server

EXAMPLE = re.compile(r"<!-- example: (\w+) -->\n```\w+\n(.*?)```", re.DOTALL)
EXAMPLES = EXAMPLE.findall((ROOT / "README.md").read_text())
JS = ROOT / "tests" / "js"


@pytest.fixture(scope="module")
def port():
    running = Server("--in-memory")
    yield running.port
    running.stop()


def of_kind(kind, port):
    (text,) = [text for k, text in EXAMPLES if k == kind]
    return text.replace("127.0.0.1:8000", f"127.0.0.1:{port}")


def run(command, port, script, **more):
    """Run an example after the shell lines that README.md says come first."""
    shell = "shopt -s expand_aliases\n" + of_kind("setup", port) + command
    result = subprocess.run(["bash", "-euo", "pipefail", "-c", shell], input=script, capture_output=True, text=True,
                            check=False, timeout=SECONDS_MAX * 4, env={
                                "PATH": os.environ["PATH"], "HOME": "/nonexistent", "AWS_PAGER": "",
                                "AWS_EC2_METADATA_DISABLED": "true"}, **more)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_every_example_is_known():
    assert [kind for kind, _ in EXAMPLES] == ["setup", "sh", "python", "javascript"]


def test_aws_cli(port):
    output = run("source /dev/stdin", port, of_kind("sh", port))
    assert '"TableStatus": "CREATING"' in output
    assert '"Count": 1' in output and '"S": "Sinnerman"' in output


def test_boto3(port):
    assert run("/usr/bin/python3 -", port, of_kind("python", port)) == "1\n"


def test_javascript(port):
    node = JS / "node_modules" / ".bin" / "node"
    output = run(f"{node} --input-type=module -", port, of_kind("javascript", port), cwd=JS)
    assert output == "3\n"
