# SPDX-License-Identifier: Apache-2.0
"""Random operations on the volumes of a node, and a model that says what must hold after each (tests/vm/node-soak). What is drawn depends
on the seed and on the model alone, never on the clock: a seed says it all again."""

import json
import random
import time

from . import hotplug, product, revoke
from .common import HarnessError

OPEN_STATES = {"attached"}
# kind and words of tests/vault/ctl: none of them says anything of a key
FAULTS = [("throttled",), ("throttled", "--retry-after", "5"), ("hang",), ("garbage",), ("html", ), ("empty",), ("wrong-kid",), ("tls-reset",),
          ("imds-429",)]
FAULT_SEC = 6                # of a lease of a minute
KILLED = ["cmkd.service", "cmkd-vault.service", "cmkd-audit.service"]
SETTLE_SEC = 150             # emulated, and beside other machines


class Volume:
    def __init__(self, name, key, disk):
        self.name, self.key, self.disk = name, key, disk
        self.open = self.mounted = False     # open: it is meant to be, and is cut while its key is disabled
        self.present = True                  # the disk
        self.mount = "/mnt/" + name

    def readable(self):
        return self.open and self.present and self.key.enabled


class Key:
    def __init__(self, name, kid):
        self.name, self.kid, self.enabled = name, kid, True

    def version(self):
        return self.kid.rpartition("/")[2]


class Soak:
    def __init__(self, node, vault, keys, volumes, seed):
        self.node, self.vault, self.keys, self.volumes = node, vault, keys, volumes
        self.random = random.Random(seed)
        self.history = []

    # ---- what is done, each with when it may be ----

    def steps(self):
        for v in self.volumes:
            if v.present and v.key.enabled:
                yield (4, "attach", self.attach, v) if not v.open else (1, "attach again", self.attach, v)
            if v.present and not v.key.enabled and not v.open:
                yield 2, "attach in vain", self.attach_refused, v
            if v.readable() and not v.mounted:
                yield 4, "mount", self.do_mount, v
                yield 2, "detach", self.detach, v
                yield 1, "cut", self.cut, v
            if v.mounted:
                yield 1, "umount", self.umount, v
                yield 1, "detach in use", self.detach_refused, v
                yield 1, "cut in use", self.cut, v
            if v.disk and v.readable():
                yield 1, "pull", self.pull, v
            if v.disk and not v.present and v.key.enabled:
                yield 6, "plug", self.plug, v
        for k in self.keys:
            yield (3, "disable", self.disable, k) if k.enabled else (8, "enable", self.enable, k)
            if k.enabled and all(v.present for v in self.volumes if v.key is k):
                yield 1, "rotate", self.rotate, k
        for unit in KILLED:
            yield 1, "kill", self.kill, unit
        if all(k.enabled for k in self.keys):
            yield 2, "fault", self.fault, self.random.choice(FAULTS)

    def step(self):
        offered = list(self.steps())
        weight, what, do, on = self.random.choices(offered, [o[0] for o in offered])[0]
        said = f"{len(self.history) + 1}: {what} {getattr(on, 'name', on)}"
        self.history.append(said)
        began = time.monotonic()
        do(on)
        self.settle()
        print(f"{said} ({time.monotonic() - began:.1f} s)", flush=True)

    def ctl(self, words, status=0):
        done = self.node.sh(f"cmkctl {words}", check=False, timeout=300)
        assert done.status == status, f"cmkctl {words}: {done.status}, not {status}: {done.err}"

    def attach(self, v):
        self.ctl(f"attach {v.name}")
        v.open = True

    def attach_refused(self, v):
        self.ctl(f"attach {v.name}", 3)

    def detach(self, v):
        self.ctl(f"detach {v.name}")
        v.open = False

    def detach_refused(self, v):
        self.ctl(f"detach {v.name}", 5)

    def cut(self, v):
        """An operator's: a key that is granted does not undo it."""
        self.ctl(f"cut {v.name} --yes")
        v.open = v.mounted = False

    def do_mount(self, v):
        self.node.sh(f"mount /dev/mapper/{v.name} {v.mount}", timeout=120)
        self.node.sh(f"sha256sum < {v.mount}/known | cmp - /root/{v.name}.sum && date > {v.mount}/date && sync {v.mount}/date", timeout=60)
        v.mounted = True

    def umount(self, v):
        self.node.sh(f"umount {v.mount}", timeout=60)
        v.mounted = False

    def pull(self, v):
        self.node.detach_disk(v.disk)
        v.present = v.open = v.mounted = False

    def plug(self, v):
        """udev opens what is on the list."""
        hotplug.plug(self.node, v.disk)
        v.present = v.open = True

    def disable(self, k):
        self.vault.ctl("disable", k.name, k.version())
        k.enabled = False
        for v in self.volumes:
            if v.key is k:
                v.mounted = False

    def enable(self, k):
        self.vault.ctl("enable", k.name, k.version())
        k.enabled = True

    def rotate(self, k):
        k.kid = self.vault.ctl("rotate", k.name)["kid"]
        for v in self.volumes:
            if v.key is k:
                self.ctl(f"rotate {v.name}")

    def kill(self, unit):
        self.node.sh(f"systemctl kill -s KILL {unit}; true")
        self.node.wait_for("systemctl -q is-active cmkd.service cmkd-audit.service cmkd-breaker.service && cmkctl status > /dev/null", 120)

    def fault(self, words):
        kind, *more = words
        self.vault.fault(kind, *more)
        try:
            self.node.sh(f"sleep {FAULT_SEC}", timeout=60)     # what is tested is that time passes and nothing comes of it
            self.check_now(self.status())
        finally:
            self.vault.ctl("fault", "clear")
        self.vault.ctl("drop")
        for k in self.keys:
            if any(v.key is k and v.readable() for v in self.volumes):
                revoke.wait_granted(self.vault, 1, k.name, 120)

    # ---- what must hold ----

    def status(self):
        return {v["name"]: v for v in json.loads(self.node.out("cmkctl status --json", timeout=120))["volumes"]}

    def wrong(self, now):
        """Of a volume that should be readable and is not, or the other way round; or ''."""
        for v in self.volumes:
            state = now[v.name]["state"] if v.name in now else "closed"
            if v.readable() != (state in OPEN_STATES) or (not v.readable() and state not in ("closed", "cut")):
                return f"{v.name} is {state}; open {v.open}, present {v.present}, key enabled {v.key.enabled}"
        return ""

    def check_now(self, now):
        assert not self.wrong(now), self.story(self.wrong(now))

    def settle(self):
        deadline = time.monotonic() + SETTLE_SEC
        while self.wrong(self.status()):
            assert time.monotonic() < deadline, self.story(self.wrong(self.status()))
            time.sleep(0.3)
        mapped = {line.split()[0] for line in self.node.out("dmsetup ls --target crypt").splitlines() if not line.startswith("No dev")}
        assert mapped == {v.name for v in self.volumes if v.readable()}, self.story(f"mapped: {mapped}")
        mounts = self.node.out("grep -o ' /mnt/v[0-9]* ' /proc/self/mountinfo; true").split()
        assert sorted(mounts) == sorted(v.mount for v in self.volumes if v.mounted), self.story(f"mounted: {mounts}")
        for v in self.volumes:
            if v.mounted:
                self.node.sh(f"sha256sum < {v.mount}/known | cmp - /root/{v.name}.sum", timeout=60)
        found = [f for v in self.status().values() for f in v["findings"] if "NOT CUT" in f or "not clean" in f]
        assert not found, self.story(found)

    def story(self, what):
        return f"{what}\nafter " + "; ".join(self.history[-12:])

    def home(self):
        """Everything open and mounted, to be compared with the last time."""
        for k in self.keys:
            if not k.enabled:
                self.enable(k)
        self.settle()
        for v in self.volumes:
            if not v.present:
                self.plug(v)
                self.settle()
            if not v.open:
                self.attach(v)
            if not v.mounted:
                self.do_mount(v)
        self.settle()
        for k in self.keys:
            revoke.wait_granted(self.vault, 2, k.name, 120)


def prepare(node, key, name, disk):
    if not disk.startswith("data"):
        device = node.attach_disk(disk, size=64)
        node.wait_for(f"test -b {device}", 60)
    product.format_volume(node, key, name, disk)
    node.sh(f"mkdir -p /mnt/{name} && cmkctl attach {name} && mkfs.ext4 -q /dev/mapper/{name} && mount /dev/mapper/{name} /mnt/{name} && "
            f"head -c 262144 /dev/urandom > /mnt/{name}/known && sha256sum < /mnt/{name}/known > /root/{name}.sum && "
            f"umount /mnt/{name} && cmkctl detach {name}", timeout=300)


def run(soak, seconds, census, every=25):
    """Until the time is over. Returns the censuses that were taken at home."""
    found, end = [], time.monotonic() + seconds
    while True:
        soak.home()
        found.append(census(soak.node))
        print(f"{len(soak.history)} steps: {found[-1]}", flush=True)
        if time.monotonic() >= end:
            return found
        for _ in range(every):
            if time.monotonic() >= end:
                break
            try:
                soak.step()
            except HarnessError as e:
                raise AssertionError(soak.story(e)) from e
