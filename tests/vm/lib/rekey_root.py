# SPDX-License-Identifier: Apache-2.0
"""The root file system's change of its volume key, for tests that interrupt it."""

import time

from . import asked_images, luks2, product

DEVICE = "/dev/vda"


def up(node):
    seconds = node.wait_up(900)
    print(f"up after {seconds:.0f} s", flush=True)
    node.wait_for("systemctl is-active -q multi-user.target && systemctl is-active -q cmkd.service", 300)
    product.wait_state(node, "attached", "osroot")


def prepare(boot, node):
    """Returns the number of the recovery key's keyslot; /root/recovery opens it."""
    node.write("/root/recovery", boot.volume["recovery_key"].strip(), mode=0o600)
    asked_images.install(node)
    node.wait_for("busctl status org.cmkd1 > /run/bus-status", 120)       # cmkd finds the bus a while after it is there
    recovery, = [t["keyslots"][0] for t in luks2.read(node, DEVICE).metadata["tokens"].values() if t["type"] == "systemd-recovery"]
    return recovery


def command(recovery):
    return f"cmkctl reencrypt osroot --keyslot-file {recovery}:/root/recovery --yes"


def wait_image(node, n, timeout=300):
    """What the list says that the image is to have."""
    text, = asked_images.wait(node, n, timeout).values()
    return text


def give_image(boot, node, n, text):
    asked_images.give(boot, node, n, {f"/var/lib/cmkd/trust/{boot.volume['uuid']}.conf": text})


def wait_done(node, mib, timeout):
    """Until so much of it is encrypted by the new key."""
    end = time.monotonic() + timeout
    while True:
        v = product.status(node, "osroot")
        if not v.get("encryption") or v["encryption_done"] >= mib << 20:
            return v
        assert time.monotonic() < end, v
        time.sleep(2)
