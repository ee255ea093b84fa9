# SPDX-License-Identifier: Apache-2.0
"""cmkd-audit, and now and then cmkd, killed with SIGKILL at random moments while events arrive: the trail has each of them once.

One opener makes events that all differ, each found by its number; another makes equal ones, which may stand together in a record
with a count: their sum is the opener's own.
"""

import json
import os
import random

from . import events, product

# In the guest, so that the moment is not the harness's: waits until the service has a new process and is that far, then for as
# long as it is told, and kills it. Prints who was killed. Lines: SERVICE STAGE SECONDS
KILLER = """
import os, re, signal, subprocess, sys, time

openers = [int(pid) for pid in sys.argv[1:]]

def show(service):
    text = subprocess.run(["systemctl", "show", "-p", "MainPID,ActiveState", service], capture_output=True, text=True).stdout
    found = dict(line.split("=") for line in text.split())
    return int(found["MainPID"]), found["ActiveState"]

def writes(pid):
    return f"pid={pid}" in open("/run/cmkd/audit.status").read().split()

STAGES = {"begins": lambda pid, state: True, "ready": lambda pid, state: state == "active",
          "writes": lambda pid, state: state == "active" and writes(pid)}

def backlog():
    # events in the ring: all that were sent, without those up to the place of the last one in the trail
    sent = int(re.search(r"^submitted=([0-9]+)$", open("/run/cmkd/audit.status").read(), re.M)[1])
    with open("/var/log/cmkd/trail.jsonl", "rb") as f:
        f.seek(max(0, os.fstat(f.fileno()).st_size - 262144))
        places = re.findall(rb'"ring":"[^"]*[.]([0-9]+)"', f.read())
    return sent - int(places[-1]) // EVENT if places else 0

def let_it_breathe():
    # A starved machine kills faster than it reads: the ring is never to be full
    if backlog() < MANY:
        return
    for pid in openers:
        os.kill(pid, signal.SIGSTOP)
    while backlog() >= MANY // 2:
        time.sleep(0.5)
    for pid in openers:
        os.kill(pid, signal.SIGCONT)

last = {}
for line in sys.stdin:
    service, stage, seconds = line.split()
    end = time.monotonic() + 300
    while True:
        pid, state = show(service)
        if pid not in (0, last.get(service)) and STAGES[stage](pid, state):
            break
        assert time.monotonic() < end, f"{service} does not come back"
        time.sleep(0.05)
    if stage == "writes":
        let_it_breathe()
    time.sleep(float(seconds))
    os.kill(pid, signal.SIGKILL)
    last[service] = pid
    print(service, pid, flush=True)
""".replace("EVENT", "792").replace("MANY", "6000")
# Opens a second by each of two: three events. Emulated and beside others the trail takes a few hundred a second, and a start seconds.
RATE = 25


def seed():
    """CMKD_SEED= repeats a run."""
    chosen = int(os.environ.get("CMKD_SEED") or random.randrange(1 << 32))
    print(f"seed {chosen}: CMKD_SEED={chosen} repeats it", flush=True)
    return random.Random(chosen)


def plan(rng, kills):
    """(service, stage, seconds): in the middle of its start, as soon as it is ready, at work; every fifth time cmkd as well."""
    words = []
    for i in range(kills):
        stage = rng.choice(("begins", "ready", "ready", "writes", "writes"))
        words.append(("cmkd-audit.service", stage, rng.uniform(0, 0.5 if stage == "begins" else 1.5)))
        if i % 5 == 4:
            words.append(("cmkd.service", "begins", rng.uniform(0, 0.5)))
    return words


def kill(node, words, openers, timeout):
    text = "".join(f"{service} {stage} {seconds:.3f}\n" for service, stage, seconds in words)
    said = node.out(["python3", "-c", KILLER, *(opener.pid for opener in openers)], stdin=text.encode(), timeout=timeout).splitlines()
    assert len(said) == len(words), said
    return [line.split() for line in said]


def kill_records(node, killed):
    """Each kill is in the trail too: the kernel told of it before the process was gone."""
    text = node.out("cat /var/log/cmkd/trail-*.jsonl /var/log/cmkd/trail.jsonl 2>/dev/null | grep guard_signal || true", timeout=120)
    told = {r["fields"]["to"].split("[")[1].rstrip("]") for r in map(json.loads, text.splitlines())
            if r["fields"]["signal"] == "9"}
    return [f"{service} {pid}" for service, pid in killed if pid not in told]


def check(node, pid, opens, kinds, names):
    """kinds: the events that each open is; names: whether each had a name of its own."""
    found = events.count(node, pid, opens if names else 0)
    print(f"{opens} opens; {found}", flush=True)
    assert set(found["events"]) == kinds, found
    for event, f in found["events"].items():
        assert f["sum"] == opens and not f["missing"], f"{event}: {opens} made, {f}"
        assert not names or not f["twice"], f
    return found


def run(node, vault, kills, timeout):
    rng = seed()
    events.prepare(node)
    key = product.setup(node, vault, vault_lines="TimeoutSec=60", more="[Audit]\nMaxFileSize=4M")
    product.volume(node, key, fs=None)
    node.sh("head -c 64 /dev/urandom > /run/plain.key && cryptsetup open --type plain -c aes-xts-plain64 -s 512 "
            f"--key-file /run/plain.key {product.DISK.format('data3')} plain && udevadm settle", timeout=120)
    each = events.Opener(node, "/dev/mapper/data1", rate=RATE)
    same = events.Opener(node, "/dev/mapper/plain", rate=RATE, same=True)
    killed = kill(node, plan(rng, kills), (each, same), timeout)
    made = [opener.stop()["opens"] for opener in (each, same)]
    events.settle(node)
    check(node, each.pid, made[0], {"volume_open", "guard_open"}, True)
    found = check(node, same.pid, made[1], {"volume_open"}, False)
    lost, said = sum(events.counters(node, "lost").values()), found["said"]
    print(f"{len(killed)} kills, {found['records']} records", flush=True)
    assert lost == 0 and not [s for s in said if s[0] == "lost"], (lost, said)
    # A kill in the middle of write(2) leaves half a record: set aside and said. Its event came again, see above.
    assert all(fields["reason"] == "torn" for _, fields in said), said
    missing = kill_records(node, killed)
    assert not missing, f"kills that are not in the trail: {missing}"
    product.wait_state(node, "attached")
    node.sh("cmkctl audit verify", timeout=180)
