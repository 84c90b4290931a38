"""Unmodified libraries from npm, and dynamodb-admin in headless Chromium, each in a program of its own that does what its users do.

TRINE names the binary; build/release/trine without it.  package.json pins what is tested; node is that of tests/js.
"""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent
NODE = FOLDER.parent / "js" / "node_modules" / "node" / "bin" / "node"
SECONDS_MAX = 180
sys.path[:0] = [str(FOLDER.parent / "cluster"), str(FOLDER.parent)]

from process import Trine  # noqa: E402 (the folders are on the path only now)


@pytest.fixture(scope="module")
def server():
    server = Trine("--in-memory")
    yield server
    server.end()


@pytest.mark.parametrize("program", ["lib_dynamodb", "toolbox", "electrodb", "dynamoose", "onetable", "admin"])
def test_program(server, program):
    run = subprocess.run([NODE, f"{program}.mjs", server.url], cwd=FOLDER, capture_output=True, text=True, timeout=SECONDS_MAX)
    assert (run.returncode, run.stdout) == (0, "ok\n"), (run.stdout + run.stderr)[-4000:]
