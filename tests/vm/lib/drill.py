# SPDX-License-Identifier: Apache-2.0
"""What the tests of cmkctl drill share: running it, a point at which it waits, and that nothing of it is left."""

import json

from . import product

NAME = "cmkd-drill"
# Mappings, loop devices, mounts in any namespace, processes, files, entries of the list.
LEFT = f"""
dmsetup ls | grep {NAME}
losetup -nl -O NAME,BACK-FILE
grep -l {NAME} /proc/[0-9]*/mountinfo 2>/dev/null
ps -eo comm | grep ^drill-
find /var/lib/cmkd /etc/cmkd /run/cmkd -name '*drill*'
grep -l {NAME} -r /var/lib/cmkd /etc/cmkd /run/cmkd --include='*.conf'
cmkctl trust list | grep {NAME}
true
"""
# Claims with a time in them, for tests that are not about these: node-drill is.
TIMED = {"cut", "key", "removed"}
# In the place of mkfs.ext4: its volume is open, and nobody uses it yet.
WAITS = """#!/bin/sh
echo "$PPID" > /run/drill-waits
read word < /run/drill-goes
exec /usr/sbin/mke2fs -t ext4 "$@"
"""


def run(node, *words, timeout=300):
    """(exit code, the document, standard error)."""
    done = node.sh(f"cmkctl drill --json {' '.join(words)}", check=False, timeout=timeout)
    return done.status, json.loads(done.out) if done.out.strip() else None, done.err


def failed(document):
    return {c["claim"]: c["seen"] for c in document["claims"] if c["holds"] is not True}


def left(node, uuid=None):
    """What is still there of a drill, as text; "": nothing."""
    found = node.out(LEFT, timeout=60)
    if product.status(node, NAME):
        found += "\nin cmkctl status"
    if uuid:
        found += node.out(f"grep -l {uuid} /proc/keys; ls /run/cmkd/*/{uuid} 2>/dev/null; true")
    return found.strip()


class Waiting:
    """Drills that stop once their volume is open, until they are told to go on. For a with statement."""

    def __init__(self, node):
        self.node = node

    def __enter__(self):
        self.node.write("/root/mkfs", WAITS)
        self.node.sh("rm -f /run/drill-waits /run/drill-goes; mkfifo /run/drill-waits /run/drill-goes; "
                     "chmod 755 /root/mkfs; mv /usr/sbin/mkfs.ext4 /root/mkfs.was; mv /root/mkfs /usr/sbin/mkfs.ext4")
        return self

    def __exit__(self, *_):
        self.node.sh("mv /root/mkfs.was /usr/sbin/mkfs.ext4; rm -f /run/drill-waits /run/drill-goes")

    def start(self, *words):
        """The drill, once it waits."""
        running = self.node.start_command(f"exec cmkctl drill --json {' '.join(words)}")
        self.node.sh("read pid < /run/drill-waits", timeout=120)
        return running

    def go_on(self):
        self.node.sh("echo > /run/drill-goes", timeout=30)
