# SPDX-License-Identifier: Apache-2.0
"""Each answer that the README's table names, and each fault of the test vault, given to many volumes at a time: for as long as the table
says nothing is done, and what it says is done then; an answer that comes once changes nothing at all.

`NAME` in the table is a fault of a challenge or of what comes before it, `secret/NAME` one of asking for the secret that has a volume's
wrapped key, or what its owner does."""

import contextlib
import re
import sys
import time

from . import hotplug, product, revoke
from .common import TOP, HarnessError
from .vault import HOST, PROGRAMS, Vault

sys.path.insert(0, str(PROGRAMS))
import faults  # noqa: E402

LEASE, GRACE = 24.0, 20.0
# Thirty volumes on an emulated machine: what is due for many at a time takes its time, and other tests measure that
LATE = 12.0
POLICY = {"PollSec": "8", "LeaseSec": "24", "GraceSec": "20", "HoldSec": "600", "ConfirmSec": "1", "NoticeSec": "0",
          "DeniedConfirmSec": "6"}
# Not an answer to a challenge, or not the same each time: tests of the worker have them
ELSEWHERE = {"disabled-lie", "wrong-public-key", "error-case", "std-base64", "deleted-key-not-found", "foreign-link",
             "hsm-access-denied", "deleted-secret-not-found", "secret-conflict-deleted"} | {k for k in faults.kinds() if faults.group(k) == "authority"}
VERBS = {"disable": "enable", "delete": "recover", "policy-remove": "policy-add", "detach-identity": "attach-identity",
         "down": "up"}
# What a secret's owner does, and how it is undone
SECRET_VERBS = {"disable": "enable", "delete": "recover", "expire": "unexpire"}
WHOLE_VAULT = {"policy-remove", "detach-identity", "down"}


class Row:
    def __init__(self, cells, name):
        self.verdicts = set(re.findall(r"`([A-Z_]+)`", cells[1]))
        before = re.findall(r"^nothing|`On(\w+)=`", cells[2])
        self.action = before[0] or re.findall(r"^nothing|`On(\w+)=`", cells[3])[0]      # "": never anything
        self.at_first = bool(before[0])
        self.unlisted = "30 s" in cells[2]
        self.name = name
        self.stored = name.startswith("secret/")
        self.kind, _, self.status = name.removeprefix("secret/").partition("=")
        self.verbs = SECRET_VERBS if self.stored else VERBS
        self.whole = not self.stored and self.kind in WHOLE_VAULT or self.kind not in self.verbs and faults.group(self.kind) in ("tls", "metadata")

    @property
    def event(self):
        return {"Revoked": "removed", "Denied": "held", "Unreachable": "held"}[self.action]

    @property
    def count(self):
        """How often the answer may come without effect; None: for as long as nothing is done about it."""
        return {"Revoked": 1, "Denied": 2}.get(self.action)


def table():
    text = (TOP / "README.md").read_text().split("### What each answer means")[1].split("\n#")[0]
    rows = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and not cells[0].startswith(("-", "what comes")):
            rows += [Row(cells, name) for name in cells[4].strip("`").split()]
    assert {r.kind for r in rows} == set(faults.kinds()) - ELSEWHERE | set(VERBS) | set(SECRET_VERBS), "the table does not have every fault"
    return rows


class Volume:
    def __init__(self, name, vault, key, identifier):
        self.name, self.vault, self.key, self.identifier = name, vault, key, identifier
        self.row = self.fault = self.secret = None

    def act(self, verb):
        if self.row.stored:
            self.vault.ctl("secret", self.secret, verb)
        else:
            self.vault.ctl(verb, *self.object())

    def begin(self, row, count=None):
        self.row = row
        if row.kind in row.verbs:
            self.act(row.kind)
        else:
            words = ["--status", row.status] if row.status else []
            words += ["--count", count] if count else []
            if row.stored:
                words += ["--op", "secret-get", "--key", self.secret]
            elif not row.whole:
                words += ["--op", "unwrap", "--key", self.key]
            self.fault = self.vault.fault(row.kind, *words)["id"]
        if row.kind.startswith("imds-") or row.kind == "detach-identity":
            self.vault.ctl("token-invalidate")

    def end(self):
        if self.row.kind in self.row.verbs:
            self.act(self.row.verbs[self.row.kind])
        else:
            self.vault.ctl("fault", "clear", self.fault)
            if self.row.kind in ("hang", "drip") or self.row.whole:
                self.vault.ctl("drop", "vault")

    def object(self):
        return {"policy-remove": ("node", "unwrapKey"), "detach-identity": ("node",), "down": ()}.get(self.row.kind, (self.key,))


class Records(revoke.Trail):
    def gather(self, wanted, timeout, what, since=None):
        """Reads on until each volume (a dict: name -> test of a record) had its record; {name: record}. since: the volumes'
        records after which it may have come already."""
        found, end = {}, time.monotonic() + timeout
        for record in self.records if since else ():
            name = record["fields"].get("volume")
            if name in since and record["seq"] > since[name]["seq"] and wanted[name](record):
                found.setdefault(name, record)
        while len(found) < len(wanted):
            try:
                record = revoke.json.loads(self.running.expect(revoke.LINE, max(end - time.monotonic(), 0.01))[1])
            except HarnessError:
                raise HarnessError(f"no {what} within {timeout} s of {sorted(set(wanted) - set(found))}") from None
            if record["seq"] <= self.after:
                continue
            self.records.append(record)
            name = record["fields"].get("volume")
            if name in wanted and name not in found and wanted[name](record):
                found[name] = record
        return found

    def of(self, volume, *events):
        return [r for r in self.records if r["fields"].get("volume") == volume.name and r["event"] in events]


ACTIONS = ("held", "intent", "cut", "removed", "breaker", "reported", "lingering")


def counted(row):
    return lambda r: r["event"] == "verdict" and r["fields"]["counted_as"] in row.verdicts


def is_granted(r):
    return r["event"] == "verdict" and r["fields"]["counted_as"] == "GRANTED"


def finish(running):
    for one in running:
        done = one.wait(300)
        assert done.status == 0, done


def make(node, volumes, options=""):
    hotplug.plug_many(node, [v.name for v in volumes])
    node.wait_for(" && ".join(f"test -b {product.DISK.format(v.name)}" for v in volumes), 120)
    for at in range(0, len(volumes), 4):
        running = [node.start_command(f"cmkctl format {product.DISK.format(v.name)} --name {v.name} --role data "
                                      f"--key {v.identifier} --yes {options}") for v in volumes[at:at + 4]]
        finish(running)
    # together: the worker is replaced after a release
    finish([node.start_command(f"cmkctl attach {v.name} --wait=240") for v in volumes])


def set_up(node, vault, stack, own, extra=0, options=""):
    """own: volumes whose key is in the main vault; extra: vaults with one key each, for what hits a whole vault."""
    others = []
    for n in range(extra):
        one = Vault(vault.directory / f"x{n}")
        stack.callback(one.stop)
        node.push(one.ca, f"/etc/cmkd/x{n}.pem")
        others.append(one)
    node.sh("chmod -f 644 /etc/cmkd/x*.pem || :")
    keys = [f"k{n}" for n in range(own)]

    def configure(timeout, **more):
        sections = "".join(f"[Vault x{n}]\nHost={HOST}:{one.vault_port}\nKeys=k\nCAFile=/etc/cmkd/x{n}.pem\n"
                           f"TimeoutSec={timeout}\nMetadataEndpoint={one.metadata_url}\n" for n, one in enumerate(others))
        product.configure(node, vault, keys=keys, policy={**POLICY, **more}, vault_lines=f"TimeoutSec={timeout}", more=sections)

    # many at once, on an emulated machine
    configure(60, LeaseSec="600", GraceSec="600")
    product.start(node)
    volumes = [Volume(f"m{n}", vault, key, vault.create_key(key)) for n, key in enumerate(keys)]
    volumes += [Volume(f"m{own + n}", one, "k", one.create_key("k")) for n, one in enumerate(others)]
    make(node, volumes, options)
    configure(10)
    node.sh("systemctl restart cmkd.service", timeout=120)
    return volumes


def walk(node, batches):
    """Each batch of (volume, row): first once, then for good."""
    clock = revoke.Clock(node)
    for now in batches:
        trail = Records(node)
        for v, row in now:
            v.row = row
        once(trail, [v for v, _ in now])
        trail.records.clear()
        for_good(trail, clock, [v for v, _ in now])
        trail.running.kill()
    assert all(state == "attached" for state in hotplug.states(node).values()), hotplug.states(node)
    node.sh("cmkctl audit verify", timeout=60)


def once(trail, volumes):
    """The answer comes, and the next one is right: a record, and nothing else."""
    for v in volumes:
        if v.row.kind not in v.row.verbs:
            v.begin(v.row, v.row.count)
    some = [v for v in volumes if v.row.kind not in v.row.verbs and v.row.action]
    said = trail.gather({v.name: counted(v.row) for v in some}, 60, "verdict")
    for v in volumes:
        if v.row.kind not in v.row.verbs:
            v.end()
    trail.gather({v.name: is_granted for v in some}, 60, "GRANTED", since=said)
    for v in volumes:
        acts = trail.of(v, *ACTIONS)
        assert not acts, (v.row.name, acts)


def is_of(volume):
    return lambda r: r.get("key") == volume.key and r["op"] == "unwrap" and r["status"] == 200 and not r["fault"]


def last_yes(volume, clock):
    return clock.boot([r for r in volume.vault.requests() if is_of(volume)(r)][-1]["time"])


def for_good(trail, clock, volumes):
    """It goes on and on: what the table says is done when the table says so, and nothing else."""
    since = {}
    for v in volumes:
        v.begin(v.row)
    acting = [v for v in volumes if v.row.action]
    found = trail.gather({v.name: lambda r, e=v.row.event: r["event"] == e for v in acting}, LEASE + GRACE + 60, "action")
    for v in volumes:
        said = {r["fields"]["counted_as"] for r in trail.of(v, "verdict")}
        # A machine that is busy may be too late for an answer; a token that is gone is refused first
        assert not v.row.action or said & v.row.verdicts, (v.row.name, said)
        assert said <= v.row.verdicts | {"UNREACHABLE"} | ({"DENIED_WEAK"} if v.row.whole else set()), (v.row.name, said)
        acts = trail.of(v, *ACTIONS)
        if not v.row.action:
            assert not acts, (v.row.name, acts)
            continue
        spent = since[v.row.name] = revoke.boot(found[v.name]) - last_yes(v, clock)
        if v.row.at_first:
            assert not v.row.unlisted or spent >= 30, (v.row.name, spent)
            assert spent <= (30 if v.row.unlisted else 0) + 8 + 6 + LATE, (v.row.name, spent)
        else:
            assert LEASE + GRACE - revoke.TRIP <= spent <= LEASE + GRACE + LATE, (v.row.name, spent)
        if v.row.event == "held":
            assert not trail.of(v, "cut", "removed"), (v.row.name, acts)
    print("; ".join(f"{name} {seconds:.1f}" for name, seconds in sorted(since.items(), key=lambda x: x[1])), flush=True)
    for v in volumes:
        v.end()
    undone = {"held": "resumed", "removed": "attached"}
    trail.gather({v.name: lambda r, e=undone[v.row.event]: r["event"] == e for v in acting}, 120, "end of it")
