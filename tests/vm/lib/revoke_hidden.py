# SPDX-License-Identifier: Apache-2.0
"""Who holds a volume where /proc/PID, or the table of mounts, says nothing of it: tests/vm/revoke-hidden-*."""

import time

from . import product, revoke, steps
from .revoke_cases import Revoked

LAZY = "umount -l /mnt"


class Holder:
    """A process of holders.py that begins by itself, as the kind that it is; its mount is then taken away by that command."""

    def __init__(self, kind, after="true", leader=True):
        self.kind, self.after, self.leader = kind, after, leader

    def __call__(self, node):
        self.pid = steps.hold(node, "/mnt", "/dev/mapper/data1", [self.kind])[self.kind]
        if not self.leader:
            node.wait_for(f"grep -q ') Z ' /proc/{self.pid}/stat", 30)
        node.sh(self.after, timeout=60)
        return self


# kind, what follows; whether it is killed (a namespace is only freed of its mount)
CASES = {
    "mapped, main thread ended": (Holder("leaderless_map", leader=False), True),
    "directory, main thread ended": (Holder("leaderless_cwd", leader=False), True),
    "directory, umount -l": (Holder("cwd", LAZY), True),
    "descriptor, umount -l": (Holder("descriptor", LAZY), True),
    "mapped, umount -l": (Holder("mapper", LAZY), True),
    "all three": (Holder("leaderless_cwd", LAZY, leader=False), True),
    "namespace of one thread": (Holder("lone_namespace", "umount /mnt"), False),
}


def check(node, r, name, holder, is_killed):
    """The file system was shut down, the holder is named and gone, and nothing is left to be tried again."""
    trail = r.trail
    opened = trail.seen("step", step="open")[0]["fields"]["result"]
    # The child that opens it may be too slow for its time here; it may not be unable to
    assert opened in ("done", "Connection timed out"), (name, trail.story())
    assert opened != "done" or trail.seen("step", step="shut", result="done"), (name, trail.story())
    kill = trail.seen("step", step="kill")[0]["fields"]
    if is_killed:
        # ps takes one whose main thread has ended for a zombie, whatever its others do
        node.wait_for(f"! test -e /proc/{holder.pid}", 10)
        assert f"h-{holder.kind[:12]} ({holder.pid})" in kill["detail"], (name, kill)
    else:
        assert steps.alive(node, [holder.pid]), (name, kill)
        node.sh(f"kill -9 {holder.pid}")
    found = product.status(node)
    assert found["state"] == "cut" and len(trail.seen("step", step="kill")) == 1, (name, found["state"], trail.story())


def check_ring(node, vault, r, fs):
    """A file that io_uring alone has keeps the device. Nothing can be read of it, and who may have it is named, not killed."""
    node.sh("mount /dev/mapper/data1 /mnt", timeout=60)
    holder = Holder("ring")(node)
    r.trail.forget()
    vault.ctl("disable", "k1")
    r.trail.wait("lingering", 90, volume="data1")
    print(f"{fs}: registered with io_uring |", r.trail.story())
    removal = r.trail.seen("step", step="remove")[0]["fields"]
    assert f"io_uring cannot be seen: h-ring ({holder.pid})" in removal["detail"], removal
    assert r.trail.seen("step", step="shut", result="done"), r.trail.story()
    assert steps.alive(node, [holder.pid]), "it was killed"
    node.sh(f"kill -9 {holder.pid}")
    r.trail.wait("removed", 60, volume="data1")
    revoke.assert_gone(node)
    r.again()


def test(node, vault, fs):
    key = product.fresh(node, vault, policy=revoke.REVOKE)
    steps.tools(node)
    product.volume(node, key, fs=None)
    steps.mkfs(node, fs, "/dev/mapper/data1", "/mnt")
    node.sh("umount /mnt")
    began = time.monotonic()
    r = Revoked(node, vault, fs)
    for name, (holder, is_killed) in CASES.items():
        r.case(name, holder)
        check(node, r, name, holder, is_killed)
        r.again()
    check_ring(node, vault, r, fs)
    print(f"{len(r.lines)} cases in {time.monotonic() - began:.0f} s:\n" + "\n".join(r.lines))
    node.sh("cmkctl detach data1 && cmkctl audit verify", timeout=90)
