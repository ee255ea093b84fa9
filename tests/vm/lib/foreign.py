# SPDX-License-Identifier: Apache-2.0
"""Volumes that cryptsetup made, by Debian's own defaults: the guest's tool, and that of the other Debian."""

import io
import re
import tarfile

from . import image, luks2, others, product, revoke

PASSPHRASE = "/root/passphrase"
OTHER = "/opt/other"
LIBRARIES = """ld-linux-x86-64 libc libm libcryptsetup libpopt libblkid libuuid libdevmapper libcrypto libssl libargon2 libjson-c libudev
libselinux libpcre2-8 libcap libz libzstd""".split()
WANTED = re.compile(r"\./(usr/)?(sbin/cryptsetup|lib/x86_64-linux-gnu/(%s)[.\d-]*\.so[.\d]*)" % "|".join(map(re.escape, LIBRARIES)))


def bring_other(node):
    """The cryptsetup of the Debian that the guest is not, with its libraries. Returns the command."""
    guest = node.out(". /etc/os-release && echo $VERSION_ID").strip()
    picked = io.BytesIO()
    with tarfile.open(image.rootfs("trixie" if guest == "12" else "bookworm")) as source, tarfile.open(fileobj=picked, mode="w") as small:
        for member in source:
            if WANTED.fullmatch(member.name):
                member.name = member.name.replace("./usr/", "./")
                small.addfile(member, source.extractfile(member) if member.isfile() else None)
    node.push_tar(picked.getvalue(), OTHER)
    libraries = f"{OTHER}/lib/x86_64-linux-gnu"
    command = f"{libraries}/ld-linux-x86-64.so.2 --library-path {libraries} {OTHER}/sbin/cryptsetup"
    theirs, ours = (re.search(r"\d+\.\d+\.\d+", node.out(f"{tool} --version"))[0] for tool in (command, "cryptsetup"))
    assert theirs != ours, (theirs, ours)
    print(f"cryptsetup {ours} is the guest's, {theirs} the other one")
    return command


def format_by(node, tool, device):
    """As it is made by who says nothing but the device."""
    node.write(PASSPHRASE, "a passphrase\n", mode=0o600)
    node.sh(f"wipefs -qa {device} && {tool} luksFormat -q {device} {PASSPHRASE}", timeout=600)
    metadata = luks2.read(node, device).metadata
    slot, = metadata["keyslots"].values()
    print(f"{slot['kdf']} sectors of {metadata['segments']['0']['sector_size']}")
    assert slot["kdf"]["type"] == "argon2id" and slot["key_size"] == 64, slot


def opens(node, device, path=PASSPHRASE):
    return node.sh(f"cryptsetup open --disable-external-tokens --test-passphrase -d {path} {device}", check=False,
                   timeout=300).status == 0


def enroll(node, device, name, key, status=0, says=""):
    done = node.sh(f"cmkctl enroll {device} --name {name} --key {key} --passphrase-file {PASSPHRASE}", check=False, timeout=600)
    assert done.status == status and says in done.err + done.out, done
    return done


def attached(node, name="data1"):
    """By udev, which saw that the disk was written to, or by us."""
    node.wait_for(f"cmkctl attach {name}", 240)
    product.wait_state(node, "attached", name)


def made_open_and_enrolled(node, device, tool, key, name):
    """Made by tool, filled, closed, enrolled, opened by the vault's key; and by its passphrase as before."""
    format_by(node, tool, device)
    node.sh(f"cryptsetup open -d {PASSPHRASE} {device} theirs && mkfs.ext4 -q /dev/mapper/theirs && mount /dev/mapper/theirs /mnt", timeout=300)
    revoke.known_file(node)
    node.sh("umount /mnt && cryptsetup close theirs")
    enroll(node, device, name, key, 0, f"is the volume {name} now")
    attached(node, name)
    node.sh(f"mount /dev/mapper/{name} /mnt")
    revoke.assert_intact(node)
    assert product.status(node, name)["findings"] == [], product.status(node, name)
    node.sh(f"umount /mnt && cmkctl detach {name}", timeout=120)
    assert opens(node, device)


def taken_over_while_open(node, vault, device, key):
    """Mounted and written to: nothing of it stops, and from then on the key's owner can."""
    node.sh(f"wipefs -qa {device} && cryptsetup luksFormat -q --iter-time 100 --pbkdf-memory 65536 {device} {PASSPHRASE} && "
            f"cryptsetup open -d {PASSPHRASE} {device} luks-theirs && mkfs.ext4 -q /dev/mapper/luks-theirs && "
            "mount /dev/mapper/luks-theirs /mnt", timeout=300)
    revoke.known_file(node)
    writer = node.start_command(revoke.WRITER)
    writer.expect("line 3", 60)
    trail = revoke.Trail(node)
    told = enroll(node, device, "data1", key, 0, "is the volume data1 now")
    assert "under its lease" in told.out, told
    product.wait_state(node, "attached")
    said = product.status(node)
    assert said["node"] == "/dev/mapper/luks-theirs" and said["findings"] == [] and said["lease_left_sec"] > 0, said
    assert not trail.seen("recovery")
    writer.expect("line", 30)
    product.wait_poll(vault)
    node.sh("systemctl kill -s KILL --kill-whom=main cmkd.service")
    product.wait_state(node, "attached")
    writer.expect("line", 30)
    vault.ctl("disable", "k1")
    trail.wait("removed", 120, volume="data1", cause="revoked")
    assert writer.wait(30).status != 0
    others.assert_nothing_left(node, "luks-theirs")
    assert node.sh("cat /mnt/known", check=False).status != 0
    vault.ctl("enable", "k1")
    product.wait_state(node, "attached", timeout=240)
    node.sh("mount /dev/mapper/data1 /mnt", timeout=60)
    revoke.assert_intact(node)
    node.sh("umount /mnt && cmkctl detach data1", timeout=120)


def refused_with_reason(node, device, key):
    """What cmkd cannot keep its promises for is not taken over, and nothing is written."""
    for options, says in (("--cipher aes-gcm-random --key-size 256 --integrity aead --integrity-no-wipe", "not with aes-xts-plain64"),
                          ("--cipher aes-cbc-essiv:sha256 --key-size 256", "not with aes-xts-plain64")):
        node.sh(f"wipefs -qa {device} && cryptsetup luksFormat -q --iter-time 100 --pbkdf-memory 65536 {options} {device} {PASSPHRASE}", timeout=300)
        was = luks2.digest(node, device)
        enroll(node, device, "other", key, 7, says)
        assert luks2.digest(node, device) == was and "other" not in node.out("cmkctl trust list")
    node.sh(f"wipefs -qa {device} && cryptsetup luksFormat -q --iter-time 100 --pbkdf-memory 65536 {device} {PASSPHRASE} && "
            f"cryptsetup open --disable-keyring -d {PASSPHRASE} {device} inline", timeout=300)
    was = luks2.digest(node, device)
    enroll(node, device, "other", key, 7, "does not come from the keyring")
    node.sh("cryptsetup close inline")
    node.sh(f"mkfs.ext4 -q -F {device} && mount {device} /mnt2 2>/dev/null || (mkdir -p /mnt2 && mount {device} /mnt2)")
    enroll(node, device, "other", key, 5, "mounted on /mnt2")
    node.sh("umount /mnt2")


def run(node, vault):
    key = product.fresh(node, vault, policy={**revoke.REVOKE, "Recovery": "never"})
    disks = [product.DISK.format(f"data{n}") for n in range(3)]
    other = bring_other(node)
    made_open_and_enrolled(node, disks[1], "cryptsetup", key, "ours")
    made_open_and_enrolled(node, disks[2], other, key, "theirs2")
    taken_over_while_open(node, vault, disks[0], key)
    node.sh("cmkctl audit verify", timeout=120)


def run_refused(node, vault):
    key = product.fresh(node, vault, policy=revoke.REVOKE)
    node.write(PASSPHRASE, "a passphrase\n", mode=0o600)
    refused_with_reason(node, product.DISK.format("data0"), key)
