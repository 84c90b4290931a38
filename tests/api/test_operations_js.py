"""Every operation by the JS SDK v3, pinned with its node by tests/js/package-lock.json."""

import subprocess

from conftest import ROOT


def test_every_operation(server):
    folder = ROOT / "tests" / "js"
    result = subprocess.run([folder / "node_modules" / ".bin" / "node", "operations.mjs", server.url], cwd=folder,
                            capture_output=True, text=True, timeout=120, check=False)
    assert (result.returncode, result.stdout) == (0, "ok: 29 operations\n"), result.stdout + result.stderr
