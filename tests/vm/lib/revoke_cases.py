# SPDX-License-Identifier: Apache-2.0
"""Each way in which a volume is in use, one after the other, revoked and enabled again: tests/vm/revoke-cases-*."""

import time

from . import product, revoke, steps
from .revoke_busy import MAPPER, WRITER

# Nothing of it is open in there.
BOUND = "unshare -m --propagation private sh -c 'mkdir -p /run/bound; mount --bind /mnt /run/bound; umount /mnt; cd /; echo in; exec sleep 600'"
SWAPPER = """
import os, signal, time
with open("/sys/fs/cgroup/swapper/cgroup.procs", "w") as f: f.write(str(os.getpid()))
known = os.urandom(1 << 20)
held = [bytes(known) + bytes([i]) for i in range(24)]
def look(*_):
    print("intact" if all(h[:-1] == known for h in held) else "changed", flush=True)
    os._exit(0)
signal.signal(signal.SIGUSR1, look)
print("in", flush=True)
while True: signal.pause()
"""


def started(node, *commands):
    running = [node.start_command(command) for command in commands]
    for one in running:
        one.expect("line 3|mapped|^in$", 60)
    return running


def idle(node):
    return []


def writer(node):
    return started(node, WRITER.format("/mnt", "/mnt"))


def mapper(node):
    return started(node, ["python3", "-c", MAPPER])


def cwd(node):
    return started(node, "cd /mnt && echo in && exec sleep 600")


def raw(node):
    return started(node, "exec 7</dev/mapper/data1 && head -c 4096 <&7 >/dev/null && echo in && exec sleep 600")


def swapped(node, area):
    """A process with most of its memory swapped to that area."""
    node.sh(f"mkdir -p /sys/fs/cgroup/swapper; chmod 600 {area}; mkswap -q {area} && swapon {area}", timeout=60)
    running = started(node, ["python3", "-c", SWAPPER])
    node.sh("echo 24M > /sys/fs/cgroup/swapper/memory.reclaim; test $(cat /sys/fs/cgroup/swapper/memory.swap.current) -gt 4000000",
            timeout=60)
    return running


def end_swapped(node, running):
    """It lives, with everything, or it died of what it cannot get back; it does not hang."""
    swaps = node.out("cat /proc/swaps").splitlines()
    assert len(swaps) == 1, swaps
    node.sh("kill -USR1 $(cat /sys/fs/cgroup/swapper/cgroup.procs)", check=False)
    ended = running.wait(30)
    print(f"the process that was swapped out ended with {ended.status}, {ended.out.strip()!r}")
    assert "changed" not in ended.out and (ended.status != 0 or "intact" in ended.out), ended
    node.sh("rmdir /sys/fs/cgroup/swapper")


def swap_file(node):
    node.sh("dd if=/dev/zero of=/mnt/swap bs=1M count=40 status=none && sync", timeout=60)
    return swapped(node, "/mnt/swap")


def swap(node):
    return swapped(node, "/dev/mapper/data1")


class Revoked:
    """One case after the other; a line for each at the end."""

    def __init__(self, node, vault, fs):
        self.node, self.vault, self.fs = node, vault, fs
        self.clock, self.trail = revoke.Clock(node), revoke.Trail(node)
        self.lines = []

    def case(self, name, start, device="/dev/mapper/data1", mounted=True):
        if mounted:
            self.node.sh(f"mount {device} /mnt", timeout=60)
            revoke.known_file(self.node)
        running = start(self.node)
        self.trail.forget()
        disabled = self.clock.boot(self.vault.ctl("disable", "k1")["time"])
        cut = revoke.boot(self.trail.wait("cut", 60, volume="data1")) - disabled
        gone = revoke.boot(self.trail.wait("removed", 60, volume="data1")) - disabled
        trips = sum(int(r["fields"]["round_trip_usec"]) for r in self.trail.seen("verdict", counted_as="REVOKED")) / 1e6
        bound = revoke.POLL + revoke.CONFIRM + trips + revoke.MARGIN
        self.lines.append(f"{self.fs:5} {name:28} cut {cut:5.2f} s, gone {gone:5.2f} s after the vault's change; bound {bound:.2f}")
        print(self.lines[-1], "|", self.trail.story())
        assert cut <= bound and gone <= bound + 10, self.lines[-1]
        revoke.assert_gone(self.node)
        return running

    def again(self):
        self.trail.forget()
        self.vault.ctl("enable", "k1")
        self.trail.wait("attached", 60, volume="data1")

    def ended(self, running):
        for one in running:
            assert one.wait(20).status != 0, one.words
        self.again()


def test(node, vault, fs):
    key = product.fresh(node, vault, policy=revoke.REVOKE)
    product.volume(node, key, fs=None)
    steps.mkfs(node, fs, "/dev/mapper/data1", "/mnt")
    node.sh("umount /mnt")
    began = time.monotonic()
    r = Revoked(node, vault, fs)
    r.ended(r.case("idle, mounted", idle))
    for name, start in (("writer with fsync", writer), ("reader of a mapped file", mapper), ("working directory", cwd),
                        ("descriptor of the mapping", raw)):
        r.ended(r.case(name, start))
    inside, = r.case("bound in another namespace", lambda node: started(node, BOUND))
    node.sh("pgrep -f '[s]leep 600'")              # it uses nothing: it is spared
    inside.kill()
    r.again()
    swapper, = r.case("swap file", swap_file)
    end_swapped(node, swapper)
    r.again()
    node.sh("wipefs -qa /dev/mapper/data1 && pvcreate -qq -y /dev/mapper/data1 && vgcreate -qq vg /dev/mapper/data1 && "
            "lvcreate -qq -y -n lv -l 100%FREE vg", timeout=60)
    steps.mkfs(node, fs, "/dev/vg/lv", "/mnt")
    node.sh("umount /mnt")
    r.ended(r.case("logical volume, writer", writer, "/dev/vg/lv"))
    node.sh("udevadm settle; vgchange -qq -ay vg && mount /dev/vg/lv /mnt", timeout=60)
    revoke.assert_intact(node)
    node.sh("umount /mnt && vgremove -qq -fy vg && wipefs -qa /dev/mapper/data1", timeout=60)
    swapper, = r.case("swap", swap, mounted=False)
    end_swapped(node, swapper)
    r.again()
    print(f"{len(r.lines)} cases in {time.monotonic() - began:.0f} s:\n" + "\n".join(r.lines))
    node.sh("cmkctl detach data1 && cmkctl audit verify", timeout=90)
