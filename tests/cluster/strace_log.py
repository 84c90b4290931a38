"""Was every acknowledgement sent after a sync of its log record?  Read from what strace saw.

strace -f prints a call's beginning when it enters the kernel and, if another thread's call comes between, its end on a
line of its own: so the order of beginnings and ends in the file is the order in which they happened.
"""

import re
from dataclasses import dataclass

CALLS = "read,pwritev,pwritev2,pwrite64,fdatasync,fsync,write,writev,sendto,sendmsg"
SYNCS = ("fdatasync", "fsync")
LOG_WRITES = ("pwritev", "pwritev2", "pwrite64")
ANSWERS = ("write", "writev", "sendto", "sendmsg")

LINE = re.compile(r"^(\d+) +(?:[\d.]+ )?(.*)$")
BEGUN = re.compile(r"^(\w+)\((\d+)(?:<(.*?)>)?(.*)$")
RESUMED = re.compile(r"^<\.\.\. (\w+) resumed>(.*)$")
RESULT = re.compile(r"= (-?\d+)(?: \w+.*)?$")


@dataclass
class Call:
    """One system call; begun and ended are line numbers."""

    name: str
    file: str
    text: str
    begun: int
    ended: int
    result: int


def calls(lines):
    """The calls in the order of their beginnings; those that never ended are left out."""
    found, running = [], {}
    for number, line in enumerate(lines):
        match = LINE.match(line.rstrip("\n"))
        if not match:
            continue
        pid, text = match.groups()
        resumed = RESUMED.match(text)
        if resumed:
            call = running.pop(pid, None)
            if call is None or call.name != resumed.group(1):
                continue
            call.text += resumed.group(2)
        else:
            begun = BEGUN.match(text)
            if not begun:
                continue
            name, descriptor, path, rest = begun.groups()
            call = Call(name, path or descriptor, rest, number, -1, -1)
            found.append(call)
            if rest.endswith("<unfinished ...>"):
                call.text = rest[:-len("<unfinished ...>")]
                running[pid] = call
                continue
        result = RESULT.search(call.text)
        call.ended, call.result = number, int(result.group(1)) if result else -1
    return [call for call in found if call.ended >= 0]


def unsynced(lines, marker=r"marker-\d+-\d+;"):
    """(acknowledged markers, those of them whose answer did not wait for a sync of their record).

    A request with a marker is read from a connection; the next answer on that connection is the answer to it.
    """
    pattern = re.compile(marker)
    all_calls = calls(lines)
    asked, acknowledged, bad = {}, [], []
    for call in all_calls:
        is_log = "/log-" in call.file
        if call.name == "read" and not is_log:
            found = pattern.search(call.text)
            if found:
                asked[call.file] = found.group(0)
        elif call.name in ANSWERS and call.file in asked and "HTTP/1.1 200" in call.text:
            mark = asked.pop(call.file)
            acknowledged.append(mark)
            if not synced_before(all_calls, mark, call.begun):
                bad.append(mark)
    return acknowledged, bad


def synced_before(all_calls, mark, moment):
    """Has a sync of the file ended well before `moment`, begun after the record with the mark was written there?"""
    for written in all_calls:
        if written.name not in LOG_WRITES or "/log-" not in written.file or mark not in written.text:
            continue
        if written.result <= 0:
            continue
        for sync in all_calls:
            if sync.name in SYNCS and sync.file == written.file and sync.result == 0 \
                    and sync.begun >= written.ended and sync.ended <= moment:
                return True
    return False
