# SPDX-License-Identifier: Apache-2.0
"""What the tests of cmkctl drill share: running it, and that nothing of it is left."""

import json

from . import product

NAME = "cmkd-drill"
# Mappings, loop devices, mounts in any namespace, processes, files, entries of the list, keys of the kernel.
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
