# SPDX-License-Identifier: Apache-2.0
"""What the tests of deciding and acting share: short times, the trail as the clock, holders, what must be true after.

Times are CLOCK_BOOTTIME of the node, in seconds. The vault's own times are the host's: Clock brings them over.
"""

import json
import re
import time

from . import install, product
from .common import HarnessError, eventually

# Quick polls; silence means nothing for a while, so that a slow machine does not set it off.
POLL, CONFIRM, MARGIN = 2.0, 1.0, 2.0 * install.SLOWER
REVOKE = {"PollSec": "2", "LeaseSec": "60", "GraceSec": "60", "HoldSec": "60", "ConfirmSec": "1", "NoticeSec": "0",
          "DeniedConfirmSec": "3"}
# For what silence does. Volumes are made under REVOKE, then retime() puts this in force.
LEASE, GRACE, HOLD = 8.0, 8.0, 12.0
SILENCE = {**REVOKE, "LeaseSec": "8", "GraceSec": "8", "HoldSec": "12"}
# Works in the volume by its directory: with a path, it would go on in the one below once the volume is unmounted.
WRITER = "cd /mnt && i=0; while :; do i=$((i+1)); echo $i > busy && sync busy || exit 1; echo line $i; done"

ECHO = "import sys, time\nfor line in sys.stdin: print(time.clock_gettime(time.CLOCK_BOOTTIME), flush=True)"
LINE = r"^(\{.*\})$"
TOLD = ("step", "counted_as", "code", "cause", "action", "why", "result", "condition")


class Clock:
    """The node's boot clock in terms of the host's clock: the best of a few looks."""

    def __init__(self, node, looks=8):
        asked = node.start_command(["python3", "-c", ECHO], stdin=None)
        best = None
        for _ in range(looks):
            before = time.time()
            asked.write("\n")
            boot_now = float(asked.expect(r"^(\S+)$", 60)[1])
            after = time.time()
            if best is None or after - before < best:
                best = after - before
                self.offset = boot_now - (before + after) / 2
        asked.kill()

    def boot(self, host_time):
        return host_time + self.offset


def boot(record):
    return record["boottime_us"] / 1e6


def matches(record, fields):
    return all(record["fields"].get(k) == v for k, v in fields.items())


class Trail:
    """The records of the trail from now on, in order, as they are written."""

    def __init__(self, node):
        self.running = node.start_command("exec cmkctl audit follow --json --lines 1")
        self.after = json.loads(self.running.expect(LINE, 60)[1])["seq"]
        self.records = []
        self.taken = 0

    def wait(self, event, timeout=60, **fields):
        """The next record (after the one that the last wait() gave) of that event whose fields are these."""
        deadline = time.monotonic() + timeout
        while True:
            while self.taken < len(self.records):
                record = self.records[self.taken]
                self.taken += 1
                if record["event"] == event and matches(record, fields):
                    return record
            try:
                record = json.loads(self.running.expect(LINE, max(deadline - time.monotonic(), 0.01))[1])
            except HarnessError as error:
                raise HarnessError(f"no record {event} {fields} within {timeout} s; there were: {self.story()}") from error
            if record["seq"] > self.after:
                self.records.append(record)

    def wait_any(self, event, timeout=60, **fields):
        """A record of that event and these fields, wherever it is among those since forget()."""
        return (self.seen(event, **fields) or [self.wait(event, timeout, **fields)])[0]

    def wait_many(self, event, count, timeout=60, **fields):
        """So many records, wherever they are among those since forget(). Those of the kernel come through its ring: later than what was said
        of them."""
        while len(self.seen(event, **fields)) < count:
            self.wait(event, timeout, **fields)
        return self.seen(event, **fields)

    def forget(self):
        """What follows is counted anew."""
        self.records = self.records[self.taken:]
        self.taken = 0

    def seen(self, event, **fields):
        return [r for r in self.records if r["event"] == event and matches(r, fields)]

    def story(self):
        return "; ".join(f"{boot(r):.2f} {r['event']} " + " ".join(
            f"{k}={v[:60]}" for k, v in r["fields"].items() if k in TOLD) for r in self.records)


def retime(node, vault, policy, **options):
    """Other times for what is open: the manager starts anew, and takes over."""
    product.configure(node, vault, policy=policy, **options)
    node.sh("systemctl restart cmkd.service", timeout=120)


def granted(vault, after=0.0, key="k1"):
    """The vault's log of the challenges and releases that it answered, as of that time (the host's)."""
    return [r for r in vault.requests() if r["op"] == "unwrap" and r["status"] == 200 and not r["fault"] and
            r.get("key") == key and r["time"] > after]


def wait_granted(vault, n, key="k1", timeout=60):
    """Until the vault has said yes n times more. Its log is a file: there is no event to wait for."""
    after = time.time()
    eventually(lambda: len(granted(vault, after, key)) >= n, timeout, f"the vault is asked {n} times")


def until(record, clock, vault):
    """Seconds from the last yes of the vault to a record. The lease runs from when the challenge was made, which is a
    little earlier: a bound that holds from here held from there, and a wait that was long enough from there may seem
    short by that much."""
    return boot(record) - clock.boot(granted(vault)[-1]["time"])


# A challenge is made at most this long before the vault sees it: connection, handshake and token in an emulated node.
TRIP = 4.0


def assert_expired_in_time(record, clock, vault, lease=LEASE, grace=GRACE, margin=MARGIN):
    spent = until(record, clock, vault)
    print(f"{record['event']} {spent:.2f} s after the vault's last yes; lease + grace are {lease + grace:.0f}")
    assert lease + grace - TRIP <= spent <= lease + grace + margin, spent


def known_file(node, mount="/mnt"):
    node.sh(f"head -c 262144 /dev/urandom > {mount}/known && sync {mount}/known && sha256sum < {mount}/known > /root/known.sum")


def assert_intact(node, mount="/mnt"):
    node.sh(f"echo 3 > /proc/sys/vm/drop_caches; sha256sum < {mount}/known | cmp - /root/known.sum")


def assert_gone(node, name="data1", mount="/mnt"):
    """No mapping, no mount in any namespace, nothing readable."""
    node.sh(f"! test -e /dev/mapper/{name} && ! dmsetup info {name}")
    assert node.sh(f"cat {mount}/known", check=False).status != 0, "the file can be read"
    left = node.sh(f"grep -l /dev/mapper/{name} /proc/[0-9]*/mountinfo", check=False).out
    assert not left, f"mounted in {left}"


def pid_of(node, unit="cmkd.service"):
    return int(node.out(f"systemctl show -P MainPID {unit}"))


def journal(node, pattern):
    """The last match in what cmkd said in this node's journal."""
    found = re.findall(pattern, node.out("journalctl -b -u cmkd.service --no-pager -o cat"))
    assert found, f"cmkd never said {pattern}"
    return found[-1]


def cut_by_breaker(node, vault, trail, clock, stop, back):
    """The kernel says when the key was freed: nobody else is there to say so."""
    wait_granted(vault, 1)       # the worker ends after a release: the next one takes its time to start
    # and cmkd has heard that yes, which else would not count
    node.wait_for("cmkctl status --json data1 | grep -Eq '\"seconds_since_proof\": *[01],'", 60)
    trail.forget()
    node.sh(stop)
    freed = trail.wait("key_freed", 60)
    print(trail.story())
    assert_expired_in_time(freed, clock, vault)
    assert "error" in node.out("dmsetup table data1")
    assert not trail.seen("cut") and not trail.seen("removed"), trail.story()
    assert node.sh("echo 3 > /proc/sys/vm/drop_caches; cat /mnt/known", check=False).status != 0
    node.sh(back, timeout=60)
    trail.wait("removed", 60, volume="data1")
    print(trail.story())
    trail.wait("attached", 60, volume="data1")
    node.sh("mount /dev/mapper/data1 /mnt")
    assert_intact(node)
