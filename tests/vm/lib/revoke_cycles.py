# SPDX-License-Identifier: Apache-2.0
"""A key that is disabled and enabled again and again, for so many times: tests/vm/revoke-*-cycles. How long it takes is what other
tests measure."""

import json
import statistics
import time

from . import install, product, revoke
from .common import VM

CENSUS = "/usr/local/lib/cmkd-test/census.py"
# One that sleeps through all of it writes to what /mnt is then: not into a file of the volume
WRITER = "i=0; while :; do i=$((i+1)); [ -e /mnt/known ] && echo $i > /mnt/busy && sync /mnt/busy || exit 1; echo line $i; sleep 0.05; done"
# What the kernel and the other programs of the node use varies; ours may not grow
SLACK_KIB, SLACK_SLAB_KIB = 96, 4096
if install.SANITIZE:
    SLACK_KIB = 8192             # what is freed is kept back


def census(node):
    return json.loads(node.out(f"python3 -B {CENSUS}", timeout=60))


def cycle(node, vault, trail, clock):
    """From open, mounted and written to, to that again."""
    trail.forget()
    writer = node.start_command(WRITER)
    writer.expect("line 3", 60)
    disabled = clock.boot(vault.ctl("disable", "k1")["time"])
    freed = revoke.boot(trail.wait("key_freed", 60))
    trail.wait("removed", 60, volume="data1", cause="revoked")
    assert writer.wait(30).status != 0
    assert not trail.seen("lingering"), trail.story()
    vault.ctl("enable", "k1")
    trail.wait("attached", 90, volume="data1")
    node.sh("mount /dev/mapper/data1 /mnt", timeout=60)
    revoke.assert_intact(node)
    revoke.wait_granted(vault, 1)
    return freed - disabled


def compare(found):
    """Counts are what they were; memory of the last third is that of the middle third."""
    first, last = found[1], found[-1]
    counts = [what for what in first if not what.startswith("KiB")]
    differ = {what: (first[what], last[what]) for what in counts if first[what] != last[what]}
    assert not differ, differ
    third = len(found) // 3
    for what in (w for w in first if w.startswith("KiB")):
        values = [one[what] for one in found]
        middle, end = statistics.median(values[third:2 * third] or values), statistics.median(values[2 * third:])
        print(f"{what}: {values[0]} at first, {middle:.0f} in the middle, {end:.0f} at the end")
        assert end <= middle + (SLACK_SLAB_KIB if "SUnreclaim" in what else SLACK_KIB), (what, values)
    print(", ".join(f"{what} {last[what]}" for what in counts))


def test(node, vault, cycles):
    key = product.fresh(node, vault, policy=revoke.REVOKE)
    product.volume(node, key)
    revoke.known_file(node)
    node.push(VM / "guest/census.py", CENSUS)
    clock, trail = revoke.Clock(node), revoke.Trail(node)
    revoke.wait_granted(vault, 2)
    found, times = [census(node)], []
    for n in range(cycles):
        began = time.monotonic()
        times.append(cycle(node, vault, trail, clock))
        found.append(census(node))
        print(f"{n + 1}: key gone after {times[-1]:.2f} s, all again after {time.monotonic() - began:.1f} s; {found[-1]}", flush=True)
    print(f"{cycles} cycles: key gone after {min(times):.2f} to {max(times):.2f} s, median {statistics.median(times):.2f}")
    compare(found)
    node.sh("cmkctl audit verify", timeout=120)
