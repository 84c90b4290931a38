"""What a data directory holds, read (and damaged) from outside by the formats in src/storage/*.h."""

import ctypes
import struct
from dataclasses import dataclass
from pathlib import Path

BLOCK = 4096
PAGE = 8192
SEGMENT_SEED = int.from_bytes(b"trine.se", "big")
SUPERBLOCK_SEED = int.from_bytes(b"superblk", "big")
SUPERBLOCKS = (0, 65536)

_xxhash = ctypes.CDLL("libxxhash.so.0")
_xxhash.XXH3_64bits_withSeed.restype = ctypes.c_uint64
_xxhash.XXH3_64bits_withSeed.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64]


def checksum(content, seed):
    return _xxhash.XXH3_64bits_withSeed(bytes(content), len(content), seed)


def change(path, offset, content):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(content)


def flip(path, offset, bit=3):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ (1 << bit)]))


# ---- The log ----

@dataclass
class Batch:
    """One batch, in its place; wal_format.h has the layout."""

    path: Path
    offset: int
    lsn: int
    previous: int
    synced: int
    records: int
    content: bytes

    @property
    def end(self):
        return self.lsn + len(self.content)


def segments(folder):
    """Paths of the log's segments in use, oldest first."""
    found = [p for p in sorted(folder.glob("log-*")) if p.read_bytes()[:8] == b"TRINELOG"]
    assert found
    return found


def batches(folder):
    """The batches of a log whose process is gone, in order."""
    found, end = [], None
    for path in segments(folder):
        content = path.read_bytes()
        nonce = content[40:48]
        offset = BLOCK
        while content[offset:offset + 4] == b"TBAT" and content[offset + 40:offset + 48] == nonce:
            lsn, previous, synced = struct.unpack_from("<3Q", content, offset + 48)
            length, records = struct.unpack_from("<2I", content, offset + 80)
            if end is not None and previous != end:
                break
            found.append(Batch(path, offset, lsn, previous, synced, records, content[offset:offset + length]))
            end = lsn + length
            offset += (length + BLOCK - 1) // BLOCK * BLOCK
    return found


def make_log_newer(folder):
    """The newest segment says that it is of the next version of the format."""
    path = segments(folder)[-1]
    header = bytearray(path.read_bytes()[:BLOCK])
    header[16:18] = struct.pack("<H", struct.unpack_from("<H", header, 16)[0] + 1)
    header[8:16] = struct.pack("<Q", checksum(header[16:], SEGMENT_SEED))
    change(path, 0, header)


# ---- The tree ----

def make_tree_newer(folder):
    """Both superblocks say that the file is of the next version of the format."""
    tree = folder / "tree"
    for offset in SUPERBLOCKS:
        block = bytearray(tree.read_bytes()[offset:offset + BLOCK])
        block[16:20] = struct.pack("<I", struct.unpack_from("<I", block, 16)[0] + 1)
        block[4088:] = struct.pack("<Q", checksum(block[:4088], SUPERBLOCK_SEED))
        change(tree, offset, block)


def page_kind(folder, number):
    return (folder / "tree").read_bytes()[number * PAGE + 30]


def pages_with(folder, text):
    """Numbers of the pages in which `text` is, current or not."""
    content, found, at = (folder / "tree").read_bytes(), set(), -1
    while (at := content.find(text.encode(), at + 1)) >= 0:
        found.add(at // PAGE)
    return sorted(found)
