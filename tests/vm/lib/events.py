# SPDX-License-Identifier: Apache-2.0
"""Kernel events made on purpose, and how many of them are in the trail: for tests of what is lost, and benchmarks."""

import json
import pathlib
import subprocess
import tempfile

SOURCE = pathlib.Path(__file__).with_name("opener.c")
OPENER = "/run/opener"
PIN = "/sys/fs/bpf/cmkd/v*/"
# In the guest, where the trail is: what is in all of its files of one process, by event and number, and what says that
# something is missing. A record may stand for several equal events that follow on each other.
COUNT = """
import collections, glob, json, sys
pid, opens = sys.argv[1], int(sys.argv[2])
seen, said, records, merged = collections.defaultdict(collections.Counter), [], 0, 0
for path in sorted(glob.glob("/var/log/cmkd/trail-*.jsonl")) + ["/var/log/cmkd/trail.jsonl"]:
    for line in open(path):
        if not line.endswith("\\n"):
            break                           # being written: not one of those that this is about
        records += 1
        r = json.loads(line)
        f = r["fields"]
        if r["event"] in ("lost", "gap"):
            said.append([r["event"], f])
        if r["source"] == "kernel" and f["pid"] == pid and r["event"] in ("volume_open", "guard_open"):
            seen[r["event"]][f["comm"]] += int(f.get("count", 1))
            merged += int(f.get("count", 1)) > 1
out = {"records": records, "merged": merged, "said": said, "events": {}}
for event, names in seen.items():
    out["events"][event] = {"sum": sum(names.values()), "missing": [n for n in range(opens) if f"n{n}" not in names][:20],
                            "twice": [name for name, n in names.items() if n > 1][:20]}
print(json.dumps(out))
"""


def prepare(node):
    """The opener in the node, built here for it (static)."""
    with tempfile.TemporaryDirectory() as directory:
        built = pathlib.Path(directory) / "opener"
        subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-static", "-o", built, SOURCE], check=True)
        node.push(built, OPENER)


class Opener:
    """opener.c at work: until stop(), or its count is reached."""

    def __init__(self, node, device, count=0, rate=0, same=False):
        self.running = node.start_command([OPENER, device, str(count), str(rate), *(["same"] if same else [])])
        self.pid = self.running.expect(r"^(\d+)$", 60)[1]
        self.node = node

    def wait(self, timeout=300):
        """{pid, opens, wall_ns, cpu_ns}."""
        done = self.running.wait(timeout)
        assert done.status == 0, done.err
        return json.loads(done.out.splitlines()[-1])

    def stop(self):
        self.node.sh(["kill", "-TERM", self.pid])
        return self.wait()


def counters(node, name):
    """A pinned map of counters by kind, summed over the CPUs."""
    cells = json.loads(node.out(f"bpftool -j map dump pinned $(echo {PIN}{name})", timeout=120))
    return {c["formatted"]["key"]: sum(v["value"] for v in c["formatted"]["values"]) for c in cells}


def audit_status(node):
    return dict(line.split("=", 1) for line in node.read("/run/cmkd/audit.status").decode().splitlines())


def settle(node, timeout=300):
    """Until the ring is empty: all that the programs had sent when this began was read by the cmkd-audit that runs, or by
    one before. The places in the trail say so: the status alone does not know of the one before."""
    node.wait_for("sleep 1.2; " + SETTLED, timeout)


SETTLED = """python3 - <<'X'
import sys
s = dict(l.split("=", 1) for l in open("/run/cmkd/audit.status").read().splitlines())
try:
    old = open("/run/settle").read()
except OSError:
    old = ""
now = s["pid"] + " " + s["consumed"]
open("/run/settle", "w").write(now)
sys.exit(old != now)
X"""


def count(node, pid, opens, timeout=500):
    """What COUNT found of the opener's events."""
    node.sh("sync")
    return json.loads(node.out(["python3", "-c", COUNT, pid, str(opens)], timeout=timeout))
