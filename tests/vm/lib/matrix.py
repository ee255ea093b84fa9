# SPDX-License-Identifier: Apache-2.0
"""Verbs by steps by what happens there: each verb that changes a header or the node's list is interrupted before each of its changes.

A step is a write or a sync of the disk, or a file that cmkd puts in place of another. They are counted over cmkd and its children, so that
nobody has to know which child does what. Between two of them nothing that lasts is changed.
"""

import json
import os
import re

from . import foreign, luks2, product, revoke, rotate_kills

DEVICE = product.DISK.format("data0")
TAKEN = product.DISK.format("data1")
FILE = "/root/kept.header"
SECOND = "/root/second"
POINT = "/run/cmkd-test-point"
CHEAP = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000"
BY = f"-q --disable-external-tokens {CHEAP} --key-file {foreign.PASSPHRASE}"
CLOSE = "umount -qA /dev/mapper/{0}; udevadm settle; ! test -e /dev/mapper/{0} || cmkctl detach {0}"


class World:
    """A node with a volume that a passphrase opens too, and two keys in its vault."""

    def __init__(self, node, vault, artifacts):
        self.node, self.vault, self.tried = node, vault, {}
        self.steps = ""                    # up to the last kill: a letter each
        rotate_kills.install(node, artifacts)
        first = product.fresh(node, vault, policy=revoke.REVOKE, keys=("k1", "k2"))
        self.keys = [first, vault.create_key("k2")]
        node.sh("systemctl restart cmkd.service", timeout=120)
        node.write(foreign.PASSPHRASE, "a passphrase\n", mode=0o600)
        node.write(SECOND, "another one\n", mode=0o600)
        self.make(DEVICE, "data1", "/mnt")
        foreign.enroll(node, DEVICE, "data1", first)
        self.opens_anew("data1", "/mnt")

    def make(self, device, name, mount):
        """As somebody has it who knows nothing of cmkd; closed."""
        self.node.sh(f"mkdir -p {mount}; wipefs -qa {device}; cryptsetup luksFormat {BY} {device} {foreign.PASSPHRASE} && "
                     f"cryptsetup open -d {foreign.PASSPHRASE} {device} {name} && mkfs.ext4 -q /dev/mapper/{name} && "
                     f"mount /dev/mapper/{name} {mount}", timeout=240)
        if device == DEVICE:
            revoke.known_file(self.node)
        else:
            self.node.sh(f"cp /mnt/known {mount}/known && sync {mount}/known")
        self.node.sh(f"umount {mount} && cryptsetup close {name}", timeout=60)

    def close(self, name="data1"):
        """udev opens what was written to, meanwhile."""
        self.node.wait_for(CLOSE.format(name), 240)

    def opens_anew(self, name, mount):
        self.close(name)
        foreign.attached(self.node, name)
        self.node.sh(f"mount /dev/mapper/{name} {mount}", timeout=60)
        revoke.assert_intact(self.node, mount)

    def key_of(self, n):
        """The newest version of the n-th key."""
        return self.keys[n]

    def rotated(self, n=0):
        self.keys[n] = self.vault.ctl("rotate", f"k{n + 1}")["kid"]

    def run(self, command, says="", timeout=300):
        said = self.node.sh(command, timeout=timeout)
        assert says in said.out + said.err, said
        return said

    def wraps(self):
        return [w["key"] for w in product.status(self.node)["wraps"]]

    def seen(self, device=DEVICE, name="data1"):
        """Whatever opens the volume beside what is enrolled is told by doctor."""
        metadata = luks2.read(self.node, device).metadata
        said = product.status(self.node, name)
        known = {"0"}                                        # the passphrase's, from the beginning
        for token in metadata["tokens"].values():
            if token["type"] == "systemd-recovery" or token.get("key") in {w["key"] for w in said["wraps"]}:
                known.update(token["keyslots"])
        unseen = set(metadata["keyslots"]) - known
        told = json.loads(self.node.sh("cmkctl doctor --json", check=False, timeout=180).out)["findings"]
        text = " ".join([*said["findings"], *(json.dumps(f) for f in told if f["id"] == "left-over")])
        keys = {slot: token.get("key") for token in metadata["tokens"].values() for slot in token["keyslots"]}
        untold = [slot for slot in unseen if not re.search(rf"keyslots? [0-9, ]*\b{slot}\b", text) and not (keys.get(slot) and keys[slot] in text)]
        assert not untold, f"keyslots {untold} are nobody's, and nobody says so: {text}"
        return unseen

    def arm(self, step, power):
        pid = 0 if power else self.node.out("systemctl show -P MainPID cmkd.service").strip()
        self.node.sh("rm -f /run/cmkd-test-steps")
        self.node.write(POINT, f"any any {step} {pid}")

    def count(self, verb):
        """How many steps it has."""
        assert not self.interrupted(verb, 1 << 20, power=False)
        return int(self.node.out("stat -c %s /run/cmkd-test-steps"))

    def interrupted(self, verb, step, power):
        """False: the verb has fewer steps, and is done."""
        verb.prepare(self)
        self.node.sh("udevadm settle; sync", timeout=60)
        self.arm(step, power)
        command = verb.command(self)
        if power:
            self.node.start_command("exec " + command)
            self.node.wait_ended(300)
            self.node.boot()
            product.start(self.node, timeout=300)
        else:
            done = self.node.sh(command, check=False, timeout=300)
            if self.node.sh(f"rm {POINT}", check=False).status == 0:
                assert done.status == 0, (verb.name, step, done)
                verb.done(self)
                return False
            product.start(self.node, timeout=120)
            self.steps = self.node.out("cat /run/cmkd-test-steps")
        left = verb.survives(self)
        print(f"{verb.name}: {'power cut' if power else f'killed after {self.steps},'} at step {step}; nobody's keyslots: {sorted(left) or 'none'}",
              flush=True)
        verb.again(self)
        verb.done(self)
        self.tried[verb.name] = self.tried.get(verb.name, 0) + 1
        return True

    def end(self):
        self.close()
        self.node.sh("rm /etc/ld.so.preload && cmkctl audit verify", timeout=240)
        print("interrupted at", sum(self.tried.values()), "points:", ", ".join(f"{name} {n}" for name, n in self.tried.items()))


class Verb:
    """The volume is open and mounted, what is left undone is done by the same command."""

    name, words = "", ""

    def prepare(self, world):
        """Whatever makes that the command has something to do."""

    def command(self, world):
        return f"cmkctl {self.words}"

    def survives(self, world):
        world.opens_anew("data1", "/mnt")
        assert foreign.opens(world.node, DEVICE), "the passphrase is gone"
        return world.seen()

    def again(self, world):
        world.run(self.command(world))

    def done(self, world):
        unseen, findings = world.seen(), product.status(world.node)["findings"]
        assert not unseen and not findings, (unseen, findings)
        revoke.assert_intact(world.node)


class Rotate(Verb):
    name, words = "rotate", "rotate data1"

    def prepare(self, world):
        world.rotated()

    def done(self, world):
        super().done(world)
        assert world.wraps() == [world.key_of(0)], world.wraps()


class Enroll(Verb):
    name = "enroll --key"

    def prepare(self, world):
        world.run(f"cmkctl enroll data1 --remove {world.key_of(1)} --yes")

    def command(self, world):
        return f"cmkctl enroll data1 --key {world.key_of(1)}"

    def done(self, world):
        super().done(world)
        assert sorted(world.wraps()) == sorted(world.keys), world.wraps()


class Remove(Verb):
    name = "enroll --remove"

    def prepare(self, world):
        world.run(f"cmkctl enroll data1 --key {world.key_of(1)}")

    def command(self, world):
        return f"cmkctl enroll data1 --remove {world.key_of(1)} --yes"

    def done(self, world):
        super().done(world)
        assert world.wraps() == [world.key_of(0)], world.wraps()


class Rekey(Verb):
    """There and back again."""

    name, to = "rekey", 0

    def prepare(self, world):
        self.to = 1 if world.wraps() == [world.key_of(0)] else 0

    def command(self, world):
        return f"cmkctl rekey data1 --key {world.key_of(self.to)} --yes"

    def done(self, world):
        super().done(world)
        assert world.wraps() == [world.key_of(self.to)], world.wraps()

    def leave(self, world):
        world.run(f"cmkctl rekey data1 --key {world.key_of(0)} --yes")


class RecoveryAdd(Verb):
    """One that nobody was shown is replaced."""

    name, words = "recovery-key add", "recovery-key add data1"

    def prepare(self, world):
        world.run("cmkctl recovery-key remove data1 --yes")

    def again(self, world):
        there = product.status(world.node)["recovery_key"] == "yes"
        world.run("cmkctl recovery-key rotate data1" if there else self.command(world))

    def done(self, world):
        super().done(world)
        assert product.status(world.node)["recovery_key"] == "yes"


class RecoveryRotate(RecoveryAdd):
    name, words = "recovery-key rotate", "recovery-key rotate data1"

    def prepare(self, world):
        if product.status(world.node)["recovery_key"] == "no":
            world.run("cmkctl recovery-key add data1")


class RecoveryRemove(Verb):
    name, words = "recovery-key remove", "recovery-key remove data1 --yes"

    def prepare(self, world):
        if product.status(world.node)["recovery_key"] == "no":
            world.run("cmkctl recovery-key add data1")

    def done(self, world):
        super().done(world)
        assert product.status(world.node)["recovery_key"] == "no"


class Accept(Verb):
    """What cryptsetup added, or took out again."""

    name, words = "header accept", "header accept data1 --yes"

    def prepare(self, world):
        if foreign.opens(world.node, DEVICE, SECOND):
            slot, = set(luks2.read(world.node, DEVICE).metadata["keyslots"]) - self.ours(world)
            world.run(f"cryptsetup luksKillSlot -q --disable-external-tokens --key-file {foreign.PASSPHRASE} {DEVICE} {slot}")
        else:
            world.run(f"cryptsetup luksAddKey {BY} {DEVICE} {SECOND}")

    @staticmethod
    def ours(world):
        tokens = luks2.read(world.node, DEVICE).metadata["tokens"].values()
        return {"0"}.union(*(t["keyslots"] for t in tokens))

    def survives(self, world):
        """Not enrolled, it may be refused; the same command is what helps then."""
        world.close()
        done = world.node.sh("cmkctl attach data1", check=False, timeout=240)
        assert done.status == 0 or (done.status == 7 and "header accept" in done.err), done
        assert foreign.opens(world.node, DEVICE)
        return set()

    def done(self, world):
        world.opens_anew("data1", "/mnt")
        findings = product.status(world.node)["findings"]
        assert not findings, findings

    def leave(self, world):
        if foreign.opens(world.node, DEVICE, SECOND):
            self.prepare(world)
            world.run(self.command(world))


class Restore(Verb):
    """Of a header with another recovery key, or none; life-header-restore-killed has those of older versions."""

    name, words = "header restore", f"header restore data1 {FILE} --yes"

    def prepare(self, world):
        world.run(f"rm -f {FILE}; cmkctl header backup data1 {FILE}")
        there = product.status(world.node)["recovery_key"] == "yes"
        world.run("cmkctl recovery-key " + ("remove data1 --yes" if there else "add data1"))
        world.close()

    def done(self, world):
        world.opens_anew("data1", "/mnt")
        super().done(world)

    def again(self, world):
        world.close()
        super().again(world)

    def leave(self, world):
        world.opens_anew("data1", "/mnt")


class TakeOver(Verb):
    """enroll of what somebody else made: closed."""

    name = "take-over"

    def prepare(self, world):
        if "taken" in world.node.out("cmkctl trust list"):
            world.close("taken")
            world.run("cmkctl trust remove taken --yes")
        if world.node.sh("mountpoint -q /mnt", check=False).status:          # since a power cut
            world.opens_anew("data1", "/mnt")
        world.make(TAKEN, "theirs", "/mnt2")

    def command(self, world):
        return f"cmkctl enroll {TAKEN} --name taken --key {world.key_of(0)} --passphrase-file {foreign.PASSPHRASE}"

    def survives(self, world):
        assert foreign.opens(world.node, TAKEN), "the passphrase is gone"
        if "taken" in world.node.out("cmkctl trust list"):
            world.opens_anew("taken", "/mnt2")
            return world.seen(TAKEN, "taken")
        return set()

    def done(self, world):
        world.opens_anew("taken", "/mnt2")
        assert not world.seen(TAKEN, "taken") and foreign.opens(world.node, TAKEN)


class TakeOverOpen(TakeOver):
    """The same, open and mounted."""

    name = "take-over open"

    def prepare(self, world):
        super().prepare(world)
        world.run(f"cryptsetup open -d {foreign.PASSPHRASE} {TAKEN} theirs && mount /dev/mapper/theirs /mnt2")

    def survives(self, world):
        """A power cut closed it."""
        assert foreign.opens(world.node, TAKEN), "the passphrase is gone"
        if world.node.sh("test -e /dev/mapper/theirs", check=False).status == 0:
            revoke.assert_intact(world.node, "/mnt2")
        return set()

    def done(self, world):
        world.node.wait_for(CLOSE.format("theirs").replace("cmkctl detach theirs", "cmkctl detach taken"), 240)
        super().done(world)


KINDS = (Rotate, Enroll, Remove, Rekey, RecoveryAdd, RecoveryRotate, RecoveryRemove, Accept, Restore, TakeOver, TakeOverOpen)


def verbs():
    """CMKD_CRASH_VERBS: names of some, divided by commas."""
    some = os.environ.get("CMKD_CRASH_VERBS")
    return [kind() for kind in KINDS if not some or kind.name in some.split(",")]
