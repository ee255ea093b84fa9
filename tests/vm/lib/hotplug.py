# SPDX-License-Identifier: Apache-2.0
"""Volumes on disks that come and go: made once, unplugged, plugged in again by QEMU's monitor."""

import json
import re
import time

from . import product
from .common import HarnessError

FSTAB = "nofail,_netdev,x-systemd.wanted-by=dev-mapper-{0}.device"


def make(node, key, name, disk=None, size=64, fs="ext4", file="known"):
    """A disk that is a volume with a file system and a file on it, unplugged. Returns its UUID."""
    disk = disk or name
    device = node.attach_disk(disk, size=size)
    node.wait_for(f"test -b {device}", 60)
    node.sh(f"cmkctl format {device} --name {name} --role data --key {key} --yes", timeout=180)
    node.sh(f"cmkctl attach {name}", timeout=180)
    if fs:
        node.sh(f"mkfs.{fs} -q /dev/mapper/{name} && mount /dev/mapper/{name} /mnt && echo {name} > /mnt/{file} && umount /mnt",
                timeout=120)
    node.sh(f"cmkctl detach {name}", timeout=120)
    uuid = node.out(f"blkid -o value -s UUID {device}")
    node.detach_disk(disk)
    node.wait_for(f"! test -e {device}", 60)
    return uuid


def plug(node, disk, size=64, port=0):
    return node.attach_disk(disk, size=size, port=port)


def fstab(node, name, where, options=None):
    options = (options or FSTAB).format(name)
    node.sh(f"mkdir -p {where} && echo '/dev/mapper/{name} {where} ext4 {options} 0 0' >> /etc/fstab && systemctl daemon-reload")


def monotonic(node, unit, what):
    """A unit's timestamp in seconds since the machine's start."""
    return int(node.out(f"systemctl show -P {what}Monotonic '{unit}'")) / 1e6


def kernel_times(text):
    """(seconds, action, path below /devices) of each block uevent that `udevadm monitor --kernel` printed."""
    return [(float(t), action, path) for t, action, path in
            re.findall(r"^KERNEL\[([\d.]+)\] (\w+)\s+(\S+) \(block\)", text, re.M)]


def record_time(node, event, volume):
    """Of the last record of that kind about a volume, in seconds since the machine's start."""
    found = [r for r in product.events(node, event) if r["fields"].get("volume") == volume]
    assert found, f"no record {event} of {volume}"
    return found[-1]["boottime_us"] / 1e6


def refusals(node, device):
    """What was refused on a device with nobody asking."""
    return [r["fields"] for r in product.events(node, "refused", trigger="udev") if r["fields"].get("device") == device]


def image(node, disk):
    """The disk's file on the host, for what nobody in the guest shall see."""
    return node.directory / f"{disk}.img"


def unit_of(node, link):
    return node.out(f"systemd-escape --path --template=cmkd@.service $(realpath /sys/class/block/$(basename $(realpath {link})))")


# systemd's messages about the end of a unit's main process: it failed with a status, and all is well.
PROCESS_EXIT, UNIT_SUCCESS = "98e322203f7a4ed290d09fe03c09fe15", "7ad2d189f7e94e70a38c781354912448"


def wait_ended(node, disk=None, timeout=120, link=None):
    """Until cmkd@ has looked at the disk since it is there; its exit status. From the journal: systemd forgets a unit that
    ended when the disk asks for it no more, as one does that is open. link: of a disk that is no virtio-blk."""
    link = link or f"/dev/disk/by-id/virtio-{disk}"
    node.wait_for(f"test -b {link}", 60)
    unit = unit_of(node, link)
    device = node.out(f"systemd-escape --path --suffix=device {link}")
    since = int(monotonic(node, device, "ActiveEnterTimestamp") * 1e6)
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        for line in node.out(f"journalctl -b -o json --no-pager _PID=1 UNIT='{unit}'").splitlines():
            entry = json.loads(line)
            if int(entry["__MONOTONIC_TIMESTAMP"]) >= since and entry.get("MESSAGE_ID") in (PROCESS_EXIT, UNIT_SUCCESS):
                return int(entry.get("EXIT_STATUS", 0))
        time.sleep(0.2)
    raise HarnessError(f"{unit} did not end within {timeout} s")


# Many disks: eight functions of one PCI device a root port, which the guest sees when the first of them comes, last.

def plug_many(node, names, size=20):
    for number in reversed(range(len(names))):
        name, path = names[number], image(node, names[number])
        with open(path, "ab") as handle:
            handle.truncate(size << 20)
        node.qmp("blockdev-add", driver="file", filename=str(path), node_name=name)
        node.qmp("device_add", driver="virtio-blk-pci", bus=f"hp{number // 8}", addr=f"0.{number % 8}", multifunction=True,
                 drive=name, id=name, serial=name)


def unplug_many(node, names):
    for name in names[::8]:
        node.qmp("device_del", id=name)
    left = set(names)
    while left:
        left.discard(node.monitor.wait_event("DEVICE_DELETED", timeout=120)["data"].get("device"))
    for name in names:
        node.qmp("blockdev-del", node_name=name)


def make_many(node, key, count, at_once=4, last_key=None):
    """Volumes m0, m1, ... on disks of their own, closed: {name: device}. last_key: of the last one."""
    names = [f"m{n}" for n in range(count)]
    plug_many(node, names)
    volumes = {name: product.DISK.format(name) for name in names}
    node.wait_for(" && ".join(f"test -b {d}" for d in volumes.values()), 120)
    format_all(node, volumes, lambda name: last_key if last_key and name == names[-1] else key, at_once)
    return volumes


def format_all(node, volumes, key_of, at_once=4):
    """volumes: {name: device}. key_of: gives the key of a name."""
    waiting = list(volumes.items())
    while waiting:
        now, waiting = waiting[:at_once], waiting[at_once:]
        running = [node.start_command(f"cmkctl format {d} --name {n} --role data --key {key_of(n)} --yes") for n, d in now]
        for one in running:
            done = one.wait(300)
            assert done.status == 0, done


def slices(node, count, size=20):
    """Linear devices of so many MiB each, on one disk: what needs hundreds does not need hundreds of disks."""
    disk = node.attach_disk("big", size=count * size)
    node.wait_for(f"test -b {disk}", 60)
    sectors = size << 11
    node.sh(f"set -e; for n in $(seq 0 {count - 1}); do "
            f"dmsetup create slice$n --table \"0 {sectors} linear {disk} $((n * {sectors}))\"; done; udevadm settle", timeout=300)
    return [f"/dev/mapper/slice{n}" for n in range(count)]


def states(node):
    return {v["name"]: v["state"] for v in json.loads(node.out("cmkctl status --json", timeout=60))["volumes"]}


def many(node, vault, count, timeout):
    """So many disks appear together, the vault hangs for the key of one: the others are attached, then that one too."""
    key = product.setup_keys(node, vault, "k1", "slow")
    names = list(make_many(node, key["k1"], count, last_key=key["slow"]))
    unplug_many(node, names)
    node.wait_for("! ls /dev/disk/by-id/ | grep -q virtio-m", 60)
    before = len(product.records(node))
    vault.fault("hang", "--op", "unwrap", "--key", "slow")
    began = time.monotonic()
    plug_many(node, names)
    others = " && ".join(f"test -b /dev/mapper/{n}" for n in names[:-1])
    node.wait_for(others, timeout)
    took = time.monotonic() - began
    assert not node.sh(f"test -b /dev/mapper/{names[-1]}", check=False).status == 0, "the one whose vault hangs is open"
    vault.ctl("fault", "clear")
    vault.ctl("drop", "vault")
    node.wait_for(f"test -b /dev/mapper/{names[-1]}", 200)
    node.wait_for(f"test $(cmkctl status --json | grep -c '\"state\": *\"attached\"') = {count}", 60)
    said = product.records(node)[before:]
    assert not [r for r in said if r["event"] in ("refused", "failed")], said
    times = sorted(r["boottime_us"] / 1e6 for r in said if r["event"] == "attached" and r["fields"]["volume"] != names[-1])
    first = min(r["boottime_us"] / 1e6 for r in said if r["event"] == "request")
    print(f"{count - 1} disks in {took:.1f} s from the first plug; attached {times[0] - first:.1f} to {times[-1] - first:.1f} s "
          "after the first look at one")
