"""The model's table has every operation and member of the newest SDK, and docs/compatibility.md a row for each."""

import subprocess

from conftest import ROOT


def test_the_table_is_that_of_the_newest_sdk_and_the_document_that_of_the_table():
    check = subprocess.run([str(ROOT / "tools" / "compatibility-check"), "--sdk"], capture_output=True, text=True)
    assert check.returncode == 0, check.stdout + check.stderr
