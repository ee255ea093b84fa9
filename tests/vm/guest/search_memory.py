#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Searches all memory of processes for byte strings: search_memory.py PID... < lines NAME=HEX

Prints one JSON object: {PID: {"comm": ..., "bytes": searched, "skipped": mappings that cannot be read, "found": [NAME...]}}.
A process that cannot be read at all is an error; one that ended is left out. Mappings are read in pieces that overlap by the longest string.
"""

import contextlib
import json
import os
import re
import sys

STEP = 1 << 20
RESERVED = 1 << 32       # no program of ours has as much, but for the address space that AddressSanitizer sets aside


def mappings(pid):
    with open(f"/proc/{pid}/maps") as handle:
        for line in handle:
            start, end, mode, name = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)", line).groups()
            yield int(start, 16), int(end, 16), mode, name


def search(pid, wanted):
    overlap = max(map(len, wanted.values())) - 1
    total, skipped, found = 0, [], set()
    memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
    for start, end, mode, name in mappings(pid):
        if end - start >= RESERVED:
            continue
        at, tail = start, b""
        while at < end:
            try:
                piece = os.pread(memory, min(STEP, end - at), at)
            except (OSError, OverflowError):
                skipped.append(f"{mode} {name}")
                break
            if not piece:
                break
            window = tail + piece
            found.update(label for label, text in wanted.items() if text in window)
            tail = window[-overlap:]
            at += len(piece)
            total += len(piece)
    os.close(memory)
    return {"comm": open(f"/proc/{pid}/comm").read().strip(), "bytes": total, "skipped": skipped, "found": sorted(found)}


def main():
    wanted = {}
    for line in sys.stdin:
        name, _, text = line.strip().partition("=")
        wanted[name] = bytes.fromhex(text)
    found = {}
    for pid in sys.argv[1:]:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found[pid] = search(int(pid), wanted)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
