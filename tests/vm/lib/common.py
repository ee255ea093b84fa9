# SPDX-License-Identifier: Apache-2.0
"""Where things are kept, locks, digests: the ground of the VM harness."""

import contextlib
import ctypes
import fcntl
import hashlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

VM = pathlib.Path(__file__).resolve().parent.parent
TOP = VM.parent.parent
# A name with a dash is a variant: the release's guest with more packages (image.VARIANTS).
GUESTS = ("bookworm", "trixie", "sid", "trixie-dracut", "bookworm-hardware", "bookworm-fio",
          "bookworm-clevis")


class HarnessError(Exception):
    """What went wrong, for people: printed without a traceback."""


def eventually(f, timeout, what, every=0.1):
    """Asks f until it says something true, which is returned: for what has no event to wait for."""
    end = time.monotonic() + timeout
    while not (value := f()):
        if time.monotonic() > end:
            raise HarnessError(f"not within {timeout} s: {what}" + (f"; last: {value}" if value not in (None, False) else ""))
        time.sleep(every)
    return value


def cache_dir():
    base = os.environ.get("CMKD_CACHE")
    if not base:
        base = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "cmkd-test")
    path = pathlib.Path(base)
    path.mkdir(parents=True, exist_ok=True)
    return path


def say(text):
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def lock(name, why=None):
    """Holds a lock in the cache; says why it waits if somebody else has it."""
    path = cache_dir() / f"{name}.lock"
    with open(path, "w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another run: {why or name}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def digest(*parts):
    """A short key for the cache from strings and the contents of files."""
    total = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, pathlib.Path) else str(part).encode()
        total.update(hashlib.sha256(data).digest())
    return total.hexdigest()[:16]


def in_use(path):
    """Marks a part of the cache as used, for prune()."""
    os.utime(path)
    return path


def prune(pattern, hours=7 * 24):
    """Removes what nothing has used for some time."""
    for path in cache_dir().glob(pattern):
        if time.time() - path.stat().st_mtime > hours * 3600:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def output_of(argv):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    if done.returncode:
        raise HarnessError(f"{argv[0]} failed ({done.returncode}): {done.stderr.strip()[-500:]}")
    return done.stdout


def logged(argv, log, **options):
    """Runs a long program with its output in a log; the log's end is in the error."""
    with open(log, "ab") as out:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, **options)
    if done.returncode:
        tail = pathlib.Path(log).read_text(errors="replace").splitlines()[-12:]
        raise HarnessError("\n  ".join([f"{argv[0]} failed ({done.returncode}), log {log}:", *tail]))


def die_with_parent():
    """For preexec_fn: no guest outlives the harness."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def host_release():
    release = {}
    with contextlib.suppress(FileNotFoundError):
        for line in open("/etc/os-release"):
            name, _, value = line.strip().partition("=")
            release[name] = value.strip('"')
    return release.get("VERSION_CODENAME", "")


def default_guest():
    chosen = os.environ.get("GUEST") or host_release()
    if os.environ.get("GUEST") and chosen not in GUESTS:
        raise HarnessError(f"GUEST={chosen}: must be one of {', '.join(GUESTS)}")
    return chosen if chosen in GUESTS else GUESTS[0]
