"""Instructions a request, of this tree's server and of one built from a revision before it, counted by callgrind: what the
features that came since cost requests that use none of them.  Counts hardly depend on the machine or on other work on it."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from statistics import median

import servers
from servers import Failure, ROOT, WORK, load
from tables import spread, table

# The last one before local and global indexes, streams, time to live, throttling and transactions.
REVISION = os.environ.get("BENCH_BEFORE", "f77580fccef2")
OPERATIONS = [("GetItem", "GetItem"), ("PutItem", "PutItem"), ("UpdateItem", "UpdateItem with a condition"),
              ("Query", "Query of ten")]
GOAL = 1.05
ITEMS = 2000
CONNECTIONS = 16
REQUESTS = 3000
WARM_UP = 500
VALGRIND_S = 120


def git(*words):
    return subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True, check=False)


def commit_before():
    """Its whole name; None: this clone does not have it."""
    found = git("rev-parse", "--verify", "--quiet", f"{REVISION}^{{commit}}")
    return found.stdout.strip() if found.returncode == 0 else None


def build_before(commit):
    """The server of that revision, built as this one is; kept for the next run."""
    folder = WORK / "before"
    binary = folder / commit / "build/release/trine"
    if binary.exists():
        return binary
    shutil.rmtree(folder, ignore_errors=True)
    (folder / commit).mkdir(parents=True)
    print(f"Building {commit[:12]}", flush=True)
    archive = subprocess.Popen(["git", "-C", ROOT, "archive", commit], stdout=subprocess.PIPE)
    unpacked = subprocess.run(["tar", "-x", "-C", folder / commit], stdin=archive.stdout, check=False)
    archive.stdout.close()
    if archive.wait() != 0 or unpacked.returncode != 0:
        raise Failure(f"git archive {commit} cannot be unpacked")
    built = subprocess.run(["make", "-C", folder / commit, "build/release/trine"], capture_output=True, text=True, check=False)
    if built.returncode != 0 or not binary.exists():
        raise Failure(f"{commit[:12]} cannot be built: {(built.stdout + built.stderr)[-800:]}")
    return binary


class Counted(servers.Server):
    """A server in memory, without credentials, whose instructions are counted."""

    def __init__(self, name, binary):
        port = servers.free_port()
        self.counts = WORK / f"instructions-{name}.callgrind"
        super().__init__(f"instructions-{name}", [
            "valgrind", "--tool=callgrind", f"--callgrind-out-file={self.counts}", binary, "serve", "--in-memory", "--listen",
            f"127.0.0.1:{port}"], port)
        self.dumps = 0
        load(self, "--load", "--items", ITEMS)
        for operation, _ in OPERATIONS:
            self.ask(operation, WARM_UP)

    def ask(self, operation, requests):
        load(self, "--items", ITEMS, "--connections", CONNECTIONS, "--warmup", 0, "--seconds", VALGRIND_S, "--requests", requests,
             operation)

    def counted(self):
        """Instructions since the last call."""
        done = subprocess.run(["vgdb", f"--pid={self.pid}", "dump"], capture_output=True, text=True, check=False)
        self.dumps += 1
        path = Path(f"{self.counts}.{self.dumps}")
        found = re.search(r"^(?:summary|totals): (\d+)", path.read_text(), re.M) if path.exists() else None
        if done.returncode != 0 or found is None:
            raise Failure(f"callgrind's counts of {self.name}: {(done.stdout + done.stderr)[-500:]}")
        path.unlink()
        return int(found.group(1))

    def a_request(self, operation):
        self.counted()
        self.ask(operation, REQUESTS)
        return self.counted() / REQUESTS


def run(rounds, verdict):
    subprocess.run([ROOT / "tools/install-packages", "instructions"], check=True)
    commit = commit_before()
    if commit is None:
        print(f"\nInstructions a request: left out, this clone has no commit {REVISION} (a shallow one has not: git fetch "
              "--unshallow; or name another one by BENCH_BEFORE)", flush=True)
        return {"left_out": REVISION}
    running = {}
    seen = {operation: {"before": [], "now": []} for operation, _ in OPERATIONS}
    try:
        for name, binary in (("before", build_before(commit)), ("now", servers.TRINE)):
            running[name] = Counted(name, binary)
        for _ in range(rounds):
            for operation, counts in seen.items():
                for name, server in running.items():
                    counts[name].append(server.a_request(operation))
    finally:
        for server in running.values():
            server.stop()
    rows = []
    for operation, label in OPERATIONS:
        was, now = (seen[operation][name] for name in ("before", "now"))
        ratio = median(now) / median(was)
        rows.append([label, spread(was, 0), spread(now, 0), f"{ratio:.3f}", f"{GOAL}", verdict(ratio, GOAL)])
    table(f"Instructions a request without a signature, in memory, {CONNECTIONS} connections; before: {commit[:12]}",
          ["request", "before", "now", "ratio", "goal", "reached"], rows)
    return {"commit": commit, "a_request": seen}
