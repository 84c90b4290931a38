"""The tables "Errors" and "Limits" of docs/compatibility.md, and what the tests that they name were answered.

tools/compatibility-check reads the rows.  The conftest.py of tests/api and tests/cluster take the two hooks at the end: a run of whole
files that passes fails all the same when a test did not meet an error that the document says it provokes.
"""

import os
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "compatibility.md"
THE_OTHERS, ANY = "the others", "any"  # in place of operations
TEST = r"`((?:[\w/-]+/)?\w+\.(?:py|c)::\w+)`"


def tests():
    """The names of all tests: test_file.py::function in tests/api, folder/file::function elsewhere."""
    found = set()
    for folder, prefix in (("api", ""), ("cluster", "cluster/"), ("libraries", "libraries/")):
        for path in (ROOT / "tests" / folder).glob("test_*.py"):
            found.update(f"{prefix}{path.name}::{name}" for name in re.findall(r"^def (test_\w+)", path.read_text(), re.M))
    for path in (ROOT / "tests" / "unit").glob("*/*_test.c"):
        found.update(f"unit/{path.parent.name}/{path.name}::{name}"
                     for name in re.findall(r"^static void (\w+)\(void \*\*state\)", path.read_text(), re.M))
    return found


def rows(heading):
    """The cells of each row of the table under a heading."""
    section = DOCUMENT.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def named(cell):
    return re.findall(TEST, cell)


def proof(cell):
    """The test that a cell begins with, or None: the cell is a reason."""
    match = re.match(TEST, cell)
    return match and match.group(1)


# ---- What was answered ----

_answered = {}  # test -> {(operation, error)}
_untrue = []


def note(operation, error):
    """The running test was answered this error by this operation."""
    current = os.environ.get("PYTEST_CURRENT_TEST", "").split(" ")[0].split("[")[0]
    folder, _, test = current.rpartition("/")
    prefix = "" if folder.endswith("api") or not folder else folder.rpartition("/")[2] + "/"
    _answered.setdefault(prefix + test, set()).add((operation, error))


def pytest_sessionfinish(session, exitstatus):
    partial = session.config.option.keyword or any("::" in argument for argument in session.config.args)
    if exitstatus != 0 or partial:
        return
    ran = {("" if item.path.parent.name == "api" else item.path.parent.name + "/") + f"{item.path.name}::{item.originalname}"
           for item in session.items}
    for error, operations, what in rows("Errors"):
        test = proof(what)
        if test not in ran:
            continue
        met = {operation for operation, name in _answered.get(test, ()) if name == error.strip("`")}
        missing = set(re.findall(r"`(\w+)`", operations)) - met if operations != ANY else () if met else (ANY,)
        _untrue.extend(f"{test} was not answered {error} by {operation}, as docs/compatibility.md says" for operation in missing)
    if _untrue:
        session.exitstatus = 1


def pytest_terminal_summary(terminalreporter):
    for line in _untrue:
        terminalreporter.write_line(line)
