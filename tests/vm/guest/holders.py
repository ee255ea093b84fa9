#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Everything that can hold a volume, started in a guest.

holders.py DIRECTORY DEVICE [KIND...] prints "KIND PID" for each holder once it holds, then "ready". They go on until
they are killed, or for ten minutes. The probe_* kinds read all the time, and write into /run/KIND when
(CLOCK_MONOTONIC) they last could.
"""

import ctypes
import mmap
import os
import pathlib
import signal
import struct
import sys
import threading
import time

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
SYS_EXIT = 60                       # of one thread; x86_64
IO_URING_SETUP, IO_URING_REGISTER, IORING_REGISTER_FILES = 425, 427, 2
CLONE_NEWNS, CLONE_FS, MS_REC, MS_PRIVATE = 0x20000, 0x200, 0x4000, 0x40000


def forever():
    signal.alarm(600)
    while True:
        signal.pause()


def writer(directory, _):
    """Writes on and on, into the page cache and through it. Errors do not stop it."""
    fd = os.open(directory / "written", os.O_RDWR | os.O_CREAT, 0o600)
    yield
    signal.alarm(600)
    while True:
        try:
            os.pwrite(fd, b"w" * 65536, 0)
            os.fsync(fd)
        except OSError:
            time.sleep(0.01)


def reader(directory, _):
    path = directory / "known"
    fd = os.open(path, os.O_RDONLY)
    yield
    signal.alarm(600)
    while True:
        try:
            os.pread(fd, 4096, 0)
        except OSError:
            pass
        time.sleep(0.01)


def descriptor(directory, _):
    fd = os.open(directory / "known", os.O_RDONLY)
    yield
    forever()


def map_alone(path):
    """A shared mapping without a descriptor: Python's own keeps one."""
    fd = os.open(path, os.O_RDONLY)
    at = libc.mmap(None, 4096, mmap.PROT_READ, mmap.MAP_SHARED, fd, 0)
    os.close(fd)
    assert ctypes.string_at(at, 1)


def mapper(directory, _):
    map_alone(directory / "known")
    yield
    forever()


def cwd(directory, _):
    os.chdir(directory)
    yield
    forever()


def raw(_, device):
    fd = os.open(device, os.O_RDONLY)
    os.pread(fd, 4096, 0)
    yield
    forever()


def raw_elsewhere(_, device):
    """Through a node of its own, by another name, outside of /dev/mapper."""
    node = f"/dev/elsewhere-{os.getpid()}"
    os.mknod(node, 0o600 | 0o060000, os.stat(device).st_rdev)
    fd = os.open(node, os.O_RDONLY)
    os.unlink(node)
    os.pread(fd, 4096, 0)
    yield
    forever()


def thread(directory, _):
    """Only one of its threads has its directory on the volume."""
    there = threading.Event()

    def run():
        libc.unshare(CLONE_FS)
        os.chdir(directory)
        there.set()
        forever_in_thread = threading.Event()
        forever_in_thread.wait(600)

    threading.Thread(target=run, daemon=True).start()
    there.wait()
    yield
    forever()


def deleted(directory, _):
    fd = os.open(directory / f"gone-{os.getpid()}", os.O_RDWR | os.O_CREAT, 0o600)
    os.unlink(directory / f"gone-{os.getpid()}")
    os.write(fd, b"still here")
    yield
    forever()


def namespace(directory, _):
    """A mount namespace with a copy of the mount and nothing open in it."""
    if libc.unshare(CLONE_NEWNS) < 0 or libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None) < 0:
        raise OSError(ctypes.get_errno(), "unshare")
    yield
    forever()


def without_leader(run):
    """run goes on in a thread once the main one has ended: what /proc/PID says is then that of a zombie."""
    there = threading.Event()

    def go():
        run()
        there.set()
        time.sleep(600)

    threading.Thread(target=go).start()
    there.wait()


def leaderless_map(directory, _):
    without_leader(lambda: map_alone(directory / "known"))
    yield
    libc.syscall(SYS_EXIT, 0)


def leaderless_cwd(directory, _):
    without_leader(lambda: os.chdir(directory))
    yield
    libc.syscall(SYS_EXIT, 0)


def lone_namespace(directory, _):
    """A copy of the mount in a namespace that one of its threads has, and nothing open in it."""
    failed = []

    def run():
        if libc.unshare(CLONE_NEWNS) < 0 or libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None) < 0:
            failed.append(ctypes.get_errno())
        there.set()
        time.sleep(600)

    there = threading.Event()
    threading.Thread(target=run, daemon=True).start()
    there.wait()
    if failed:
        raise OSError(failed[0], "unshare")
    yield
    forever()


def ring(directory, _):
    """A file that is registered with io_uring and has no descriptor."""
    parameters = (ctypes.c_char * 120)()
    fd = libc.syscall(IO_URING_SETUP, 4, parameters)
    mapped = mmap.mmap(fd, 4096, mmap.MAP_SHARED)
    file = os.open(directory / "known", os.O_RDONLY)
    if fd < 0 or libc.syscall(IO_URING_REGISTER, fd, IORING_REGISTER_FILES, (ctypes.c_int * 1)(file), 1) < 0:
        raise OSError(ctypes.get_errno(), "io_uring")
    os.close(file)
    yield
    forever()
    mapped.close()


def probing(name, read):
    stamp = os.open(f"/run/{name}", os.O_RDWR | os.O_CREAT, 0o600)
    signal.alarm(600)
    while True:
        try:
            read()
        except OSError:
            pass
        else:
            os.pwrite(stamp, struct.pack("d", time.monotonic()), 0)
        time.sleep(0.002)


def probe_file(directory, _):
    """Uncached reads of a file."""
    fd = os.open(directory / "known", os.O_RDONLY | os.O_DIRECT)
    page = mmap.mmap(-1, 4096)
    yield
    probing("probe_file", lambda: os.preadv(fd, [page], 0))


def probe_open(directory, _):
    """Cached reads by path."""
    yield
    probing("probe_open", (directory / "known").read_bytes)


def probe_raw(_, device):
    """Uncached reads of the device."""
    fd = os.open(device, os.O_RDONLY | os.O_DIRECT)
    page = mmap.mmap(-1, 4096)
    yield
    probing("probe_raw", lambda: os.preadv(fd, [page], 0))


def stubborn(directory, _):
    """Ignores what can be ignored, and is stopped."""
    fd = os.open(directory / "known", os.O_RDONLY)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    yield
    os.kill(os.getpid(), signal.SIGSTOP)
    forever()


KINDS = [writer, reader, descriptor, mapper, cwd, raw, raw_elsewhere, thread, deleted, namespace, stubborn,
         probe_file, probe_open, probe_raw]
# Those that have to be asked for
HIDDEN = [leaderless_map, leaderless_cwd, lone_namespace, ring]


def start(kind, directory, device):
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write_end)
        if os.read(read_end, 1) != b".":
            raise SystemExit(f"{kind.__name__} did not start")
        os.close(read_end)
        return pid
    os.close(read_end)
    os.setsid()
    pathlib.Path("/proc/self/comm").write_text("h-" + kind.__name__[:12])
    steps = kind(directory, device)
    next(steps)
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.write(write_end, b".")
    os.close(write_end)
    next(steps)
    os._exit(0)


def main():
    directory, device = pathlib.Path(sys.argv[1]), sys.argv[2]
    (directory / "known").write_bytes(b"the plaintext of the customer\n" * 4096)
    os.sync()
    wanted = sys.argv[3:]
    for kind in KINDS + HIDDEN:
        if kind.__name__ in wanted or (not wanted and kind in KINDS):
            print(kind.__name__, start(kind, directory, device), flush=True)
    print("ready", flush=True)


if __name__ == "__main__":
    main()
