# SPDX-License-Identifier: Apache-2.0
"""What the programs of this folder share: a virtual environment that is made once and cached under
${CMKD_CACHE:-${XDG_CACHE_HOME:-~/.cache}/cmkd-test}, with pinned packages from the registry; a skip where that is out of
reach. The last line of a program is `N passed, N failed[, N skipped]`, its exit status 0, 1 or 77."""

import hashlib
import os
import re
import subprocess
import sys

UNREACHABLE = re.compile(r"No matching distribution|Could not find a version|Retrying|timed out|Temporary failure|"
                         r"Max retries|Connection|Network is unreachable|ProxyError|Name or service", re.I)


def finish(name, reason, failed=False):
    if failed:
        print("FAIL %s-setup: %s\n0 passed, 1 failed" % (name, reason))
        sys.exit(1)
    print("skip %s: %s\n0 passed, 0 failed, 1 skipped" % (name, reason))
    sys.exit(77)


def cache_dir(name, pins):
    base = os.environ.get("CMKD_CACHE")
    if not base:
        base = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "cmkd-test")
    tag = hashlib.sha256(("%s %s" % (pins, sys.version)).encode()).hexdigest()[:12]
    return os.path.join(base, "%s-%s" % (name, tag))


def make_venv(name, pins, timeout):
    """The environment's interpreter; made once, marked complete last. pins: NAME==VERSION, or NAME==VERSION --hash=… ."""
    path = cache_dir(name, pins)
    python = os.path.join(path, "bin", "python")
    if os.path.exists(os.path.join(path, "complete")):
        return python
    os.makedirs(os.path.dirname(path), exist_ok=True)
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", path], capture_output=True, text=True)
    if made.returncode != 0:
        finish(name, "no virtual environment (Debian: python3-venv): %s" % (made.stdout + made.stderr).strip()[-200:])
    wanted = os.path.join(path, "requirements.txt")
    with open(wanted, "w") as f:
        f.write("\n".join(pins) + "\n")
    try:
        pip = subprocess.run([python, "-m", "pip", "install", "--quiet", "--retries", "1", "-r", wanted],
                             capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        finish(name, "the registry did not answer within %d s" % timeout)
    if pip.returncode != 0:
        text = (pip.stdout + pip.stderr).strip()
        last = text.splitlines()[-1] if text else "no message"
        if UNREACHABLE.search(text):
            finish(name, "the registry cannot be reached: %s" % last)
        finish(name, "pip: %s" % last, failed=True)
    open(os.path.join(path, "complete"), "w").close()
    return python
