"""Real processes on loopback, for the tests of starts, stops, crashes and full disks.

TRINE names the binary; build/release/trine without it.
"""

import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1])]

from compatibility import pytest_sessionfinish, pytest_terminal_summary  # noqa: E402, F401 (the folders are on the path only now)
from process import Trine  # noqa: E402


@pytest.fixture
def data(tmp_path):
    """A path for a data directory; nothing is there yet."""
    return tmp_path / "data"


@pytest.fixture
def start(data):
    """start(options...) runs a server on `data`; what is still running at the end is ended."""
    started = []

    def run(*options, **more):
        where = [] if "--data" in options or "--in-memory" in options else ["--data", data]
        server = Trine(*where, *options, **{"ready": False, **more})
        started.append(server)
        if more.get("ready", True):
            server.wait_ready()
        return server

    yield run
    for server in started:
        server.end()
