# SPDX-License-Identifier: Apache-2.0
"""The ladder's steps and the breaker, each by itself: plain LUKS2 volumes, no manager, no vault.

The scripts of tests/vm/guest run in the node, below TOOLS.
"""

import json

from .common import TOP

TOOLS = "/root/tools"
DISK = "/dev/disk/by-id/virtio-{}"
LADDER = ["open", "shut", "cut", "thaw", "flush", "kill", "unmount", "remove", "verify"]
KINDS = ["writer", "reader", "descriptor", "mapper", "cwd", "raw", "raw_elsewhere", "thread", "deleted", "stubborn"]
PROBES = ["probe_file", "probe_open", "probe_raw"]
PASSWORD = "echo -n a-test-password |"
MAPPED, OURS, SUSPENDED, ERROR_TABLE, MOUNTED, SWAP, SYSTEM = 1, 2, 4, 8, 16, 32, 64


def tools(node):
    for name in ("tests/unit/disk_client.py", "tests/vm/guest/holders.py", "tests/vm/guest/ladder.py",
                 "tests/vm/guest/breaker_client.py"):
        node.push(TOP / name, f"{TOOLS}/{name.rpartition('/')[2]}")


def luks(node, name="vol", device=None):
    """A LUKS2 volume, open as NAME; its UUID. libcryptsetup's own activation: the dm uuid is the one cmkd's have."""
    device = device or DISK.format("data0")
    node.sh(f"modprobe dm_crypt; {PASSWORD} cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 "
            f"--pbkdf-force-iterations 1000 {device} - && {PASSWORD} cryptsetup open {device} {name} --key-file -",
            timeout=120)
    return node.out(f"cryptsetup luksUUID {device}")


def mkfs(node, fs, device, where, options="defaults"):
    # xfs refuses below 300 MB, but for its own tests
    node.sh(f"QA_CHECK_FS=1 TEST_DIR=x TEST_DEV=x mkfs.{fs} -q {device} && mkdir -p {where} && "
            f"mount -o {options} {device} {where}", timeout=120)


def hold(node, where, device, kinds):
    """Starts holders; {kind: pid}."""
    out = node.out(f"python3 {TOOLS}/holders.py {where} {device} {' '.join(kinds)}", timeout=120)
    assert out.endswith("ready"), out
    return {kind: int(pid) for kind, pid in (line.split() for line in out.splitlines()[:-1])}


def ladder(node, uuid, name="vol", steps=(), timeout=120, batch=False):
    """Runs the ladder, or those steps of it. batch: as for a volume below a stack."""
    words = [*(["--batch"] if batch else []), *steps]
    found = json.loads(node.out(f"python3 {TOOLS}/ladder.py {name} {uuid} {' '.join(words)}", timeout=timeout))
    for step, said in found["steps"].items():
        print(f"{step:8} {said['at']:7.3f} s ({said['seconds']:.3f}) {said['error']} {said['message']}")
    for probe, last in found["probes"].items():
        print(f"{probe:12} could read until {last:.3f} s")
    return found


def step(node, operation, uuid, name="vol"):
    """One step without a descriptor; its reply."""
    return json.loads(node.sh(f"python3 {TOOLS}/disk_client.py {operation} name={name} uuid={uuid}", check=False).out)


def alive(node, pids):
    """Those of the processes that are there, zombies aside."""
    words = node.sh("ps -o pid=,stat= -p " + ",".join(map(str, pids)), check=False).out.split()
    return {int(pid) for pid, state in zip(words[::2], words[1::2]) if not state.startswith("Z")}


def assert_torn_down(node, found, holders, spared=()):
    """What every complete ladder must have done."""
    failed = {step: said for step, said in found["steps"].items() if said["error"]}
    assert not failed, failed
    assert list(found["steps"]) == LADDER, list(found["steps"])
    assert found["steps"]["cut"]["flags"] & ERROR_TABLE, found["steps"]["cut"]
    left = alive(node, (pid for kind, pid in holders.items() if kind != "probe_open"))   # holds nothing in between
    assert left == {holders[kind] for kind in spared}, (left, holders)
    assert "No devices found" in node.out("dmsetup ls --target crypt 2>&1"), node.out("dmsetup ls")
    assert "cryptsetup:" not in node.out("cat /proc/keys"), node.out("cat /proc/keys")
    cut = found["steps"]["cut"]["at"]
    late = {probe: last for probe, last in found["probes"].items() if last > cut}
    assert not late, (late, cut)
