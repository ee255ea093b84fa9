#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Searches files, block devices and standard streams for byte strings: search_files.py SINCE PATH... < lines NAME=HEX

Directories are walked on their own file system; of what is in them only regular files that were changed after SINCE (seconds) are
read. Prints {"files": how many were read, "bytes": ..., "found": {PATH: [NAME...]}}. What is named and cannot be read is an error; what
vanishes from a directory meanwhile is not.
"""

import json
import os
import stat
import sys

STEP = 1 << 20


def below(path, since):
    device = os.lstat(path).st_dev
    for directory, names, files in os.walk(path):
        names[:] = [n for n in names if os.lstat(os.path.join(directory, n)).st_dev == device]
        for name in files:
            one = os.path.join(directory, name)
            try:
                s = os.lstat(one)
            except FileNotFoundError:
                continue
            if stat.S_ISREG(s.st_mode) and s.st_mtime >= since:
                yield one


def search(path, wanted, must):
    overlap, found, total, tail = max(map(len, wanted.values())) - 1, set(), 0, b""
    try:
        with open(path, "rb", buffering=0) as handle:
            while piece := handle.read(STEP):
                window = tail + piece
                found.update(label for label, text in wanted.items() if text in window)
                tail = window[-overlap:]
                total += len(piece)
    except OSError:
        if must:
            raise
    return total, sorted(found)


def main():
    wanted = {}
    for line in sys.stdin:
        name, _, text = line.strip().partition("=")
        wanted[name] = bytes.fromhex(text)
    since, answer = float(sys.argv[1]), {"files": 0, "bytes": 0, "found": {}}
    for path in sys.argv[2:]:
        named = not os.path.isdir(path)
        for one in [path] if named else below(path, since):
            n, found = search(one, wanted, named)
            answer["files"] += 1
            answer["bytes"] += n
            if found:
                answer["found"][one] = found
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
