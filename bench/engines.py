"""The tree and the log beside LMDB, WiredTiger and RocksDB: bench/micro/storage, a process per engine and round, the
engines in turn.  Installs the Debian packages that only this needs."""

import json
import os
import subprocess
from statistics import median

from servers import Failure, ROOT, WORK
from tables import spread, table

ENGINES = ["trine", "lmdb", "wiredtiger", "rocksdb"]
PACKAGES = {"lmdb": "liblmdb0", "wiredtiger": "libwiredtiger0", "rocksdb": "librocksdb7.8"}
PROGRAM = ROOT / "build/release/engines_bench"
TIMEOUT_S = 300
GOAL = 1.3

# label, items, MiB of cache, readers at the same time
DATA = [
    ("The data fits in the cache: 200,000 items, 45 MiB; cache 128 MiB; one reader", 200_000, 128, 1),
    ("The data is 3.5 times the cache: 1,000,000 items, 223 MiB; cache 64 MiB; 16 readers", 1_000_000, 64, 16),
]
# key of the driver's line, label
TIMED = [("get", "point read"), ("range", "range of ten"), ("update", "random update, durable"),
         ("delete", "delete, durable"), ("load", "bulk load, an item"), ("scan", "scan, an item")]
WAITS = [("p50_us", "median"), ("p99.9_us", "p99.9"), ("longest_us", "longest")]


def prepare():
    subprocess.run([ROOT / "tools/install-packages", "engines"], check=True)
    subprocess.run(["ninja", "-C", ROOT / "build/release", "--quiet", "engines_bench"], check=True)


def versions():
    found = []
    for engine, package in PACKAGES.items():
        query = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True,
                               check=False)
        found.append(f"{engine} {query.stdout or 'of unknown version'}")
    return ", ".join(found)


def measure(engine, items, cache, readers, seconds):
    command = [PROGRAM, "--engine", engine, "--dir", WORK / f"engine-{engine}", "--items", str(items), "--cache",
               str(cache), "--readers", str(readers), "--seconds", str(seconds)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as late:
        raise Failure(f"{engine} takes more than {TIMEOUT_S} s") from late
    if done.returncode != 0:
        raise Failure(f"{engine}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def rows_of(rounds, label, value, digits):
    """A row of figures, and under each its ratio to the best of its round."""
    figures, ratios = [], {}
    best = [min(value(lines[engine]) for engine in ENGINES) for lines in rounds]
    for engine in ENGINES:
        values = [value(lines[engine]) for lines in rounds]
        ratios[engine] = median(v / b for v, b in zip(values, best))
        figures.append(f"{spread(values, digits)} {ratios[engine]:.2f}x")
    reached = "best" if ratios["trine"] <= min(ratios.values()) else "yes" if ratios["trine"] <= GOAL else "NO"
    return [label, *figures, reached]


def compare(label, rounds, items):
    heads = ["", *ENGINES, f"within {GOAL}x"]
    bytes_of_items = items * 234
    rows = [rows_of(rounds, f"{name}: CPU us", lambda line, key=key: line[key]["cpu_us"], 2) for key, name in TIMED]
    rows += [rows_of(rounds, f"{name}: wall us", lambda line, key=key: line[key]["wall_us"], 2) for key, name in TIMED]
    rows += [rows_of(rounds, f"disk after {when}: x items", lambda line, key=key: line[key] / bytes_of_items, 2)
             for key, when in (("bytes_loaded", "the load"), ("bytes_after", "updates and deletes"))]
    rows += [rows_of(rounds, f"a reader's wait, {name}: us", lambda line, key=key: line["wait"][key], 1)
             for key, name in WAITS]
    rows.append(["updates/s meanwhile", *[spread([r[e]["wait"]["updates_per_s"] for r in rounds], 0) for e in ENGINES],
                 ""])
    table(label, heads, rows)


def run(options):
    prepare()
    print(f"\n{versions()}; load average {os.getloadavg()[0]:.1f}")
    result = {}
    for label, items, cache, readers in DATA:
        rounds = []
        for _ in range(options.rounds):
            rounds.append({engine: measure(engine, items, cache, readers, options.seconds) for engine in ENGINES})
        compare(label, rounds, items)
        result[label] = rounds
    print(f"\nload average at the end: {os.getloadavg()[0]:.1f}")
    return result
