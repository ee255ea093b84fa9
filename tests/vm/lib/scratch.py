# SPDX-License-Identifier: Apache-2.0
"""Scratch disks in a node: no vault is needed for them."""

import json

from . import product

DISKS = {"tmp": "data0", "swap0": "data1", "raw": "data2"}
CONFIG = """[Scratch tmp]
Device={tmp}
FileSystem=ext4
[Scratch swap0]
Device={swap0}
FileSystem=swap
[Scratch raw]
Device={raw}
"""
# What a reader of the bare disk looks for; never on a command line, which ends up in logs.
MARKER = "a-line-of-a-job-that-nobody-else-may-read"
LOOK = """
import mmap, os, sys
marker = sys.stdin.buffer.read()
found = []
for path in sys.argv[1:]:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    size, buf, tail = os.lseek(fd, 0, os.SEEK_END), mmap.mmap(-1, 1 << 20), b""
    for at in range(0, size, 1 << 20):
        n = os.preadv(fd, [buf], at)
        if marker in tail + buf[:n]:
            found.append(path)
            break
        tail = buf[n - len(marker):n]
print(" ".join(found))
"""


def device(name):
    return product.DISK.format(DISKS[name])


def setup(node, policy=""):
    node.sh(product.CLEAN, timeout=180)
    node.write("/etc/cmkd/cmkd.conf", CONFIG.format(**{name: device(name) for name in DISKS}) + policy)
    node.write("/run/look.py", LOOK)
    node.write("/run/job", MARKER)
    product.start(node)


def seen(node, *paths):
    """Where the marker can be read."""
    return node.out(["/bin/sh", "-c", "python3 /run/look.py \"$@\" < /run/job", "sh", *paths], timeout=120).split()


def status(node, name="tmp"):
    found, = [s for s in json.loads(node.out("cmkctl status --json"))["scratch"] if s["name"] == name]
    return found
