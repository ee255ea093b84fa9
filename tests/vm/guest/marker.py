#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Puts a marker on a mounted volume and keeps it busy: marker.py SEED DIRECTORY DEVICE PAGES

The marker and the file's name are derived here, so that neither comes by a pipe, a port or a command line. Each page of the
file has the marker; it is written, read again, mapped, and read through the raw mapping, so that both page caches have it.
Then a small file with it is written and synced again and again. Says "busy" after the first time.
"""

import hashlib
import mmap
import os
import signal
import sys

PAGE = 4096


def marker(seed):
    return hashlib.sha256(f"{seed} marker".encode()).digest()[:24]


def name(seed):
    return hashlib.sha256(f"{seed} name".encode()).hexdigest()[:48]


def main():
    seed, directory, device, pages = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    path = f"{directory}/{name(seed)}"
    with open(path, "wb") as f:
        for at in range(pages):
            f.write((marker(seed) + at.to_bytes(8, "big")).ljust(PAGE, b"m"))
        os.fsync(f.fileno())
    kept = open(path, "rb")
    read = kept.read()
    mapped = mmap.mmap(kept.fileno(), 0, prot=mmap.PROT_READ)
    assert sum(mapped[at:at + 24] == marker(seed) for at in range(0, len(read), PAGE)) == pages
    raw = open(device, "rb")
    while raw.read(1 << 20):
        pass
    with open(path + "-busy", "wb", buffering=0) as busy:
        keep_busy(busy, marker(seed) * 100)


def keep_busy(f, data):
    """Until the disk says no. No traceback: it would have the name, and go to whoever started this."""
    said = False
    try:
        while True:
            os.pwrite(f.fileno(), data, 0)
            os.fsync(f.fileno())
            if not said:
                print("busy", flush=True)
                said = True
    except OSError:
        signal.pause()


if __name__ == "__main__":
    main()
