# SPDX-License-Identifier: Apache-2.0
"""The root file system's change of its volume key, for tests that interrupt it: the host builds the initramfs that the guest asks for."""

import time

from . import luks2, product

DEVICE = "/dev/vda"
UNIT = """[Service]
ExecStart=
ExecStart=/root/build
"""
# In place of update-initramfs, for which an emulated machine takes minutes, and whose image QEMU would not boot: the host makes one of the list
# that it sees, and says so.
BUILD = """#!/bin/sh
n=$(($(cat /root/images) + 1))
cat /var/lib/cmkd/trust/*.conf > /root/image-$n.new && mv /root/image-$n.new /root/image-$n
echo $n > /root/images
sync
until [ -e /root/built-$n ]; do sleep 0.5; done
rm /var/lib/cmkd/initramfs-due
sync
"""


def up(node):
    seconds = node.wait_up(900)
    print(f"up after {seconds:.0f} s", flush=True)
    node.wait_for("systemctl is-active -q multi-user.target && systemctl is-active -q cmkd.service", 300)
    product.wait_state(node, "attached", "osroot")


def prepare(boot, node):
    """Returns the number of the recovery key's keyslot; /root/recovery opens it."""
    node.write("/root/recovery", boot.volume["recovery_key"].strip(), mode=0o600)
    node.write("/etc/systemd/system/cmkd-initramfs.service.d/test.conf", UNIT)
    node.write("/root/build", BUILD, mode=0o755)
    node.sh("echo 0 > /root/images && systemctl daemon-reload", timeout=60)
    recovery, = [t["keyslots"][0] for t in luks2.read(node, DEVICE).metadata["tokens"].values() if t["type"] == "systemd-recovery"]
    return recovery


def command(recovery):
    return f"cmkctl reencrypt osroot --keyslot-file {recovery}:/root/recovery --yes"


def wait_image(node, n, timeout=300):
    """What the list says that the image is to have."""
    node.wait_for(f"test -e /root/image-{n}", timeout)
    return node.read(f"/root/image-{n}").decode()


def give_image(boot, node, n, text):
    boot.renew(node, {f"/var/lib/cmkd/trust/{boot.volume['uuid']}.conf": text})
    node.sh(f"touch /root/built-{n} && sync")


def wait_done(node, mib, timeout):
    """Until so much of it is encrypted by the new key."""
    end = time.monotonic() + timeout
    while True:
        v = product.status(node, "osroot")
        if not v.get("encryption") or v["encryption_done"] >= mib << 20:
            return v
        assert time.monotonic() < end, v
        time.sleep(2)
