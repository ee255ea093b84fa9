# SPDX-License-Identifier: Apache-2.0
"""Two volumes and one stack above them: tests/vm/revoke-stack-*."""

import re

from . import product, revoke

LOG = "i=0; while :; do i=$((i+1)); echo $i >> /mnt/log && sync /mnt/log || exit 1; echo line $i; done"
NAMES = ("data1", "data2")


def two_volumes(node, vault, *keys):
    """data1 and data2, attached and empty: the first with the first key, the second with the last."""
    first = product.fresh(node, vault, keys=keys, policy=revoke.REVOKE)
    named = {keys[0]: first, **{name: vault.create_key(name) for name in keys[1:]}}
    product.volume(node, named[keys[0]], fs=None)
    product.volume(node, named[keys[-1]], name="data2", disk="data1", fs=None)


def writer(node):
    """Each line that it says is on the disk."""
    running = node.start_command(LOG)
    running.expect("line 5", 60)
    return running


def said(running):
    return max(int(n) for n in re.findall(r"^line (\d+)$", bytes(running.out).decode(), re.M))


def revoke_and_wait(vault, node, trail, key="k1"):
    """Seconds from the vault's change to each volume's cut, and to its removal."""
    clock = revoke.Clock(node)
    trail.forget()
    disabled = clock.boot(vault.ctl("disable", key)["time"])
    cut = {name: revoke.boot(trail.wait_any("cut", 60, volume=name)) - disabled for name in NAMES}
    gone = {name: revoke.boot(trail.wait_any("removed", 60, volume=name)) - disabled for name in NAMES}
    print(trail.story())
    asked = trail.seen("verdict", counted_as="REVOKED")
    trips = sum(int(r["fields"]["round_trip_usec"]) for r in asked) / 1e6
    bound = revoke.POLL + revoke.CONFIRM + trips + revoke.MARGIN
    print("; ".join(f"{name}: cut {cut[name]:.2f} s after {key} was disabled, gone {gone[name]:.2f} s" for name in NAMES) +
          f"; bound {bound:.2f}")
    assert max(cut.values()) <= bound and max(gone.values()) <= bound + 10, (cut, gone, bound)
    for name in NAMES:
        revoke.assert_gone(node, name)
    return {name: trail.seen("removed", volume=name)[0]["fields"]["cause"] for name in NAMES}


def attached_again(vault, trail, key="k1"):
    trail.forget()
    vault.ctl("enable", key)
    for name in NAMES:
        trail.wait_any("attached", 60, volume=name)


def assert_log(node, last):
    """All that was on the disk when it was said to be is there, in order; one line more may be."""
    lines = node.out("cat /mnt/log").split()
    print(f"{last} lines were written, {len(lines)} are there")
    assert lines == [str(n + 1) for n in range(len(lines))] and last <= len(lines) <= last + 1, (last, lines[-3:])
