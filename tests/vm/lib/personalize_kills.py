# SPDX-License-Identifier: Apache-2.0
"""Copies of an image that become their own, and are killed meanwhile: cmkd and its child, or the whole node as by a power cut, at the N-th
call of a name (rotate_kills.py), or while the vault has a request. What is true afterwards, whichever point it was."""

import json

from . import luks2, product, revoke, rotate_kills

DISK = product.DISK.format("data3")
DEVICE = DISK + "-part1"
# 28 MiB, so that each point takes as little time as can be
PARTITION = f"""
import struct
with open("{DISK}", "r+b") as f:
    f.seek(446)
    f.write(struct.pack("<B3sB3sII", 0, bytes(3), 0x83, bytes(3), 2048, 57344) + bytes(48) + bytes((0x55, 0xaa)))
"""
POINT = "/run/cmkd-test-point"
COMMAND = "exec cmkctl personalize data1 --yes --drop-image-keyslots"
BAD = {"image", "image-volume-key", "personalize-begun", "left-over", "old-keyslot", "token-alone", "not-listed", "old-volume-key", "reencryption"}


class Copies:
    """One disk, which is a new copy of the same image each time."""

    def __init__(self, node, vault, artifacts):
        self.node, self.vault = node, vault
        self.points = 0
        node.sh("rm -rf /etc/cmkd/personalize /var/lib/cmkd/personalize")
        rotate_kills.install(node, artifacts)
        self.key = product.fresh(node, vault, policy=revoke.REVOKE)
        node.sh("systemctl restart cmkd.service", timeout=120)
        node.sh("python3 -", stdin=PARTITION.encode(), timeout=60)       # udev sees that it was written to, and reads the table
        node.wait_for(f"udevadm settle && test -b {DEVICE}", 60)
        product.volume(node, self.key, disk="data3-part1")
        revoke.known_file(node)
        node.sh("cmkctl recovery-key add data1 --yes > /dev/null", timeout=180)
        self.closed()
        header = luks2.read(node, DEVICE)
        self.image = header.uuid
        self.areas = [(int(k["area"]["offset"]), int(k["area"]["size"])) for k in header.metadata["keyslots"].values()]
        node.sh(f"rm -rf /root/list && cp -a /var/lib/cmkd/trust /root/list && dd if={DEVICE} of=/root/image.raw bs=1M status=none && sync", timeout=180)

    def closed(self):
        self.node.sh("umount -qA /dev/mapper/data1; udevadm settle; ! test -e /dev/mapper/data1 || cmkctl detach data1", timeout=240)

    def copy(self):
        """What the image had, and nothing of the last one."""
        self.closed()
        self.node.sh("rm -f /var/lib/cmkd/trust/* /etc/cmkd/trust/* /var/lib/cmkd/personalize/* && cp -a /root/list/* /var/lib/cmkd/trust && cp -a /root/list/* /etc/cmkd/trust && "
                     f"dd if=/root/image.raw of={DEVICE} bs=1M conv=fsync status=none && cmkctl config reload", timeout=180)
        self.closed()

    def arm(self, who, call, when, power=False):
        pid = 0 if power else self.node.out("systemctl show -P MainPID cmkd.service").strip()
        self.node.write(POINT, f"{who} {call} {when} {pid}")

    def finish(self, where):
        """From wherever it is: it opens, and the same command ends it."""
        node = self.node
        self.points += 1
        node.sh("systemctl start cmkd.service", timeout=120)
        # a part that was half-way: closed and opened again by cmkd itself, which is busy with it
        node.wait_for("cmkctl attach data1", 300)
        node.sh("mount /dev/mapper/data1 /mnt", timeout=60)
        revoke.assert_intact(node)
        at = product.status(node)["uuid"]  # of the copy of the header that counts, which may be the second one
        listed = node.out("cat /var/lib/cmkd/trust/*.conf")
        print(f"{where}: with the {'image' if at == self.image else 'copy'}'s header, {'' if 'Image=' in listed else 'not '}listed as a copy", flush=True)
        if at == self.image:               # while it is open with that header it is left as it is
            done = node.sh("cmkctl personalize data1 --yes --drop-image-keyslots", check=False, timeout=120)
            assert done.status == 5 and "detach it" in done.err, done
            self.closed()
        elif "OldKey" not in listed and listed.partition("\nDigest=")[2][:64] == listed.partition("ImageDigest=")[2][:64]:
            assert any("cmkctl personalize" in f for f in product.status(node)["findings"]), product.status(node)
        self.done()

    def done(self):
        node = self.node
        said = json.loads(node.out(COMMAND.removeprefix("exec ") + " --json", timeout=900))
        assert said["encryption"] == "done" and said["state"] == "attached", said
        node.sh("findmnt -S /dev/mapper/data1 || mount /dev/mapper/data1 /mnt", timeout=60)
        revoke.assert_intact(node)
        header, listed = luks2.read(node, DEVICE), node.out("cat /var/lib/cmkd/trust/*.conf")
        assert header.uuid == said["uuid"] != self.image and header.token["uuid"] == header.uuid, (header.uuid, said)
        assert len(header.metadata["keyslots"]) == len(header.metadata["tokens"]) == len(header.metadata["digests"]) == 1, header.metadata
        # a file that was about to be renamed is none of the list's
        names = node.out("ls -A /var/lib/cmkd/trust /etc/cmkd/trust /var/lib/cmkd/personalize").split()
        assert [n for n in names if n.endswith(".conf")] == 2 * [said["uuid"] + ".conf"] and listed.count(f"Image={self.image}") == 1, (names, listed)
        assert not [f for f in product.status(node)["findings"] if "image" in f], product.status(node)
        found = json.loads(node.sh("cmkctl doctor --json", check=False, timeout=120).out)["findings"]
        assert not [f for f in found if f["id"] in BAD], found
        for offset, size in self.areas:    # whatever opened the image is nowhere on it
            node.sh(f"! cmp -s -n 4096 -i {offset} /root/image.raw {DEVICE} && ! cmp -s -n 4096 -i {offset + size // 2} /root/image.raw {DEVICE}")
        self.closed()
        node.sh("cmkctl attach data1 && mount /dev/mapper/data1 /mnt", timeout=240)
        revoke.assert_intact(node)
        self.closed()

    def killed_at(self, who, call, when):
        """False: there is no such call, and it was done."""
        self.copy()
        self.arm(who, call, when)
        # what encrypts is at work after a command that does not wait has ended
        running = self.node.start_command(COMMAND + ("" if who == "encrypt-run" else " --background"))
        running.wait(300)
        if self.node.sh(f"test -e {POINT}", check=False).status == 0:
            self.node.sh(f"rm -f {POINT}")
            self.done()
            return False
        self.finish(f"killed at {who} {call} {when}")
        return True

    def killed_while_asked(self, op, skip):
        """While the vault has a request, which is never answered."""
        self.copy()
        fault = self.vault.fault("hang", "--op", op, "--key", "k1", "--skip", str(skip), "--count", "1")
        running = self.node.start_command(COMMAND)
        self.vault.wait_taken(fault, 180)
        self.node.sh("systemctl kill -s KILL --kill-whom=main cmkd.service")
        running.wait(120)
        self.vault.ctl("drop")
        self.finish(f"killed while the vault has {op} {skip + 1}")

    def power_cut_at(self, who, call, when):
        self.copy()
        self.node.sh("sync")
        self.arm(who, call, when, power=True)
        self.node.start_command(COMMAND + " --background")
        self.node.wait_ended(300)
        self.node.boot()
        product.start(self.node, timeout=300)
        self.finish(f"power cut at {who} {call} {when}")

    def end(self):
        self.node.sh("rm /etc/ld.so.preload && cmkctl audit verify", timeout=240)
        print("interrupted at", self.points, "points")
