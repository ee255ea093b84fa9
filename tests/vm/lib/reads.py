# SPDX-License-Identifier: Apache-2.0
"""What a process that kept everything can read after each step of the ladder: tests/vm/revoke-reads-*."""

import json

from . import steps
from .common import TOP

MAPPED_PAGE = "mapped page, touched"
NEVER = {"raw, direct", "stacked, direct", "open file, direct", "mapped page, not touched"}
CACHED_RAW = {"raw", "stacked"}
BY_FILE = {"open file", "by path", "from its directory", "another namespace"}


def ask(running):
    running.write("\n")
    found = json.loads(running.expect(r"^(\{.*\})$", 60)[1])
    print(found)
    return {name for name, said in found.items() if said == "read"}, found


def test(node, fs, has_shutdown=True):
    steps.tools(node)
    node.push(TOP / "tests/vm/guest/readers.py", f"{steps.TOOLS}/readers.py")
    uuid = steps.luks(node)
    sectors = int(node.out("blockdev --getsz /dev/mapper/vol"))
    node.sh(f"dmsetup create top --table '0 {sectors} linear /dev/mapper/vol 0'")
    # blocks as large as those that the raw readers look for
    steps.mkfs(node, "ext4 -b 4096" if fs == "ext4" else fs, "/dev/mapper/top", "/mnt/vol")
    running = node.start_command(["python3", f"{steps.TOOLS}/readers.py", "/mnt/vol", "/dev/mapper/vol", "/dev/mapper/top"],
                                 stdin=None)
    running.expect("^ready$", 120)
    reads, found = ask(running)
    assert reads == NEVER | CACHED_RAW | BY_FILE | {MAPPED_PAGE}, found
    done = steps.ladder(node, uuid, steps=["open", "shut", "cut"])
    assert not any(said["error"] for said in done["steps"].values()), done
    reads, found = ask(running)
    assert not reads & NEVER, found
    assert reads <= CACHED_RAW | {MAPPED_PAGE} | (set() if has_shutdown else BY_FILE), found
    assert found["mapped page, not touched"] == "SIGBUS", found
    done = steps.ladder(node, uuid, steps=["flush"])
    reads, found = ask(running)
    assert not reads & CACHED_RAW, found
    assert reads <= {MAPPED_PAGE} | (set() if has_shutdown else BY_FILE), found
    rest = steps.ladder(node, uuid, steps=["kill", "unmount", "remove", "verify"])
    assert not any(said["error"] for said in rest["steps"].values()), rest
    assert running.wait(20).status != 0
    node.sh("! pgrep -f readers.py; ! grep /mnt/vol /proc/mounts; ! test -e /dev/mapper/top")
