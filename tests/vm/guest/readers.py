#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A process that kept hold of a volume in every way that one can read by: readers.py DIRECTORY DEVICE TOP-DEVICE

Prints "ready"; then for each line on its input one JSON object: what each way gives now, "read" (the plaintext), an errno's
name, "SIGBUS", or "other" (something was read, but not that).
"""

import ctypes
import errno
import json
import mmap
import os
import pathlib
import signal
import sys

libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE = 0x20000, 0x1000, 0x4000, 0x40000
MARKER = b"the plaintext of the customer"
FILE_SIZE = 4 << 20
BLOCK = 4096


def outcome(read):
    try:
        return "read" if MARKER in bytes(read()) else "other"
    except OSError as error:
        return errno.errorcode[error.errno]


def in_child(read):
    """For what may be a SIGBUS."""
    pid = os.fork()
    if not pid:
        signal.signal(signal.SIGBUS, signal.SIG_DFL)
        os._exit(outcome(read) != "read")
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return ["read", "other"][os.WEXITSTATUS(status)]


def direct(path):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    page = mmap.mmap(-1, BLOCK)

    def read():
        page[:] = bytes(BLOCK)
        os.preadv(fd, [page], 0)
        return page
    return read


def cached(path):
    fd = os.open(path, os.O_RDONLY)
    os.pread(fd, BLOCK, 0)
    return lambda: os.pread(fd, BLOCK, 0)


def find_marker(device):
    """Where on the device a block of the file is: raw readers look there."""
    with open(device, "rb") as handle:
        at = 0
        while chunk := handle.read(1 << 20):
            for start in range(0, len(chunk), BLOCK):
                if chunk[start:start + BLOCK].startswith(MARKER):
                    return at + start
            at += len(chunk)
    raise SystemExit(f"{device}: the file is not on it")


def raw(device, flags=0):
    at = find_marker(device)
    fd = os.open(device, os.O_RDONLY | flags)
    page = mmap.mmap(-1, BLOCK)

    def read():
        page[:] = bytes(BLOCK)
        os.preadv(fd, [page], at)
        return page
    read()
    return read


class Elsewhere:
    """A reader in a mount namespace of its own, where the directory is bound to another place."""

    def __init__(self, directory):
        ours, theirs = os.pipe(), os.pipe()
        self.pid = os.fork()
        if not self.pid:
            if libc.unshare(CLONE_NEWNS) < 0 or libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None) < 0:
                os._exit(1)
            os.makedirs("/run/elsewhere", exist_ok=True)
            if libc.mount(str(directory).encode(), b"/run/elsewhere", None, MS_BIND, None) < 0:
                os._exit(1)
            while os.read(ours[0], 1):
                os.write(theirs[1], outcome(lambda: pathlib.Path("/run/elsewhere/known").read_bytes()).encode() + b"\n")
            os._exit(0)
        self.ask, self.answer = ours[1], os.fdopen(theirs[0])

    def __call__(self):
        os.write(self.ask, b"?")
        return self.answer.readline().strip()


def main():
    directory, device, top = map(pathlib.Path, sys.argv[1:4])
    (directory / "known").write_bytes((MARKER + b"\n").ljust(BLOCK, b".") * (FILE_SIZE // BLOCK))
    (directory / "mapped").write_bytes((MARKER + b"\n").ljust(BLOCK, b".") * (FILE_SIZE // BLOCK))
    os.sync()
    with open(directory / "mapped", "rb") as handle:
        os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        view = mmap.mmap(handle.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ)
    view.madvise(mmap.MADV_RANDOM)
    assert view[0]
    os.chdir(directory)
    ways = {
        "open file": cached(directory / "known"),
        "open file, direct": direct(directory / "known"),
        "by path": lambda: pathlib.Path(directory / "known").read_bytes(),
        "from its directory": lambda: pathlib.Path("known").read_bytes(),
        "raw": raw(device),
        "raw, direct": raw(device, os.O_DIRECT),
        "stacked": raw(top),
        "stacked, direct": raw(top, os.O_DIRECT),
    }
    elsewhere = Elsewhere(directory)
    print("ready", flush=True)
    for number, _ in enumerate(sys.stdin):
        fresh = FILE_SIZE // 4 + number * (FILE_SIZE // 16)
        found = {name: outcome(read) for name, read in ways.items()}
        found["another namespace"] = elsewhere()
        found["mapped page, touched"] = in_child(lambda: view[:64])
        found["mapped page, not touched"] = in_child(lambda: view[fresh:fresh + 64])
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
