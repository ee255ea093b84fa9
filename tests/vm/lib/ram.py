# SPDX-License-Identifier: Apache-2.0
"""What a node's memory and disks hold of a volume, looked at from outside: QEMU writes the memory to a file, the host searches.

The keys are computed on the host, from the disk's file and the vault's own state: nothing of them is sent to the node. What
the volume's files have in them is made in the node from a seed (guest/marker.py), and found again here from the same.
"""

import base64
import contextlib
import hashlib
import hmac
import importlib.util
import json
import mmap
import os

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from . import aes, luks2, product, revoke, steps
from .common import VM

_spec = importlib.util.spec_from_file_location("guest_marker", VM / "guest/marker.py")
marker = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(marker)

PAGE = 4096
PAGES = 1024            # of a marked file
KINDS = ("volume key", "key schedule", "unlock key", "secret W", "file name", "marked pages")
KEYS = KINDS[:4]


# Keys, from the disk's file

def disk_file(node, disk):
    return node.directory / f"{disk}.img"


def header(node, disk):
    with open(disk_file(node, disk), "rb") as handle:
        return luks2.Header(handle.read(luks2.SIZE))


def area_key(keyslot, passphrase):
    """What a keyslot's passphrase becomes: it opens the slot on the disk as well as the passphrase does."""
    kdf = keyslot["kdf"]
    assert kdf["type"] == "pbkdf2", kdf
    return hashlib.pbkdf2_hmac(kdf["hash"], passphrase, base64.b64decode(kdf["salt"]), kdf["iterations"],
                               keyslot["area"]["key_size"])


def decrypt_xts(key, data):
    clear = b""
    for sector in range(len(data) // 512):
        turn = Cipher(algorithms.AES(key), modes.XTS(sector.to_bytes(16, "little"))).decryptor()
        clear += turn.update(data[sector * 512:(sector + 1) * 512])
    return clear


def diffuse(data, algorithm):
    width = hashlib.new(algorithm).digest_size
    return b"".join(hashlib.new(algorithm, at.to_bytes(4, "big") + data[at * width:(at + 1) * width]).digest()
                    for at in range(len(data) // width))


def merge_stripes(data, key_size, stripes, algorithm):
    """LUKS's anti-forensic splitter, backwards."""
    state = bytes(key_size)
    for at in range(stripes):
        state = bytes(a ^ b for a, b in zip(state, data[at * key_size:(at + 1) * key_size]))
        if at < stripes - 1:
            state = diffuse(state, algorithm)
    return state


def volume_key(node, disk, passphrase):
    """The volume key out of keyslot 0, as the header's own digest says."""
    metadata = header(node, disk).metadata
    keyslot, digest = metadata["keyslots"]["0"], metadata["digests"]["0"]
    af, size = keyslot["af"], keyslot["key_size"]
    with open(disk_file(node, disk), "rb") as handle:
        handle.seek(int(keyslot["area"]["offset"]))
        data = handle.read((af["stripes"] * size + 511) // 512 * 512)
    found = merge_stripes(decrypt_xts(area_key(keyslot, passphrase), data), size, af["stripes"], af["hash"])
    check = hashlib.pbkdf2_hmac(digest["hash"], found, base64.b64decode(digest["salt"]), digest["iterations"],
                                len(base64.b64decode(digest["digest"])))
    assert check == base64.b64decode(digest["digest"]), "this is not the volume key"
    return found


# What is searched for: {kind: {label: bytes}}

def of_key(label, key):
    return {f"{label} first half": key[:32], f"{label} second half": key[32:]}


def swapped(data, width):
    return b"".join(data[at:at + width][::-1] for at in range(0, len(data), width))


def as_hashed(label, key):
    """What SHA-2 makes of a key on its way in, which is the key to whoever knows how: its words in the other byte order
    (four bytes wide, or eight), and HMAC's two pads over it."""
    found = {}
    for pad, byte in (("", 0), (" inner", 0x36), (" outer", 0x5c)):
        data = bytes(b ^ byte for b in key)
        for at in (0, 32):
            piece = data[at:at + 16]
            if pad:
                found[f"{label}{pad} at {at}"] = piece
            found[f"{label}{pad} at {at}, by 4"] = swapped(piece, 4)
            found[f"{label}{pad} at {at}, by 8"] = swapped(piece, 8)
    return found


def schedules_of(label, key):
    return {f"{label} {half} {name}": value for half, part in (("1", key[:32]), ("2", key[32:]))
            for name, value in aes.schedules(part).items()}


def wanted_of_passphrase(node, disk, seed, passphrase):
    key = volume_key(node, disk, passphrase)
    area = area_key(header(node, disk).metadata["keyslots"]["0"], passphrase)
    return {"volume key": of_key("volume", key), "key schedule": schedules_of("volume", key),
            "unlock key": {**of_key("keyslot", area), **schedules_of("keyslot", area)},
            "secret W": {}, "file name": {"name": marker.name(seed).encode()}, "marked pages": {"marker": marker.marker(seed)}}


def wanted_of_cmkd(node, vault, disk, seed):
    token = header(node, disk).token
    w = luks2.unwrap(vault, "k1", token)
    unlock = luks2.unlock_key(w, token)
    wanted = wanted_of_passphrase(node, disk, seed, unlock)
    # HKDF's first step: the unlock key is one public step away
    extracted = hmac.new(base64.b64decode(token["salt"]), w, "sha512").digest()
    for label, key in (("unlock", unlock), ("extracted", extracted)):
        wanted["unlock key"].update({**of_key(label, key), **as_hashed(label, key)})
    wanted["secret W"] = {**of_key("W", w), **as_hashed("W", w), "W in the vault's reply": base64.urlsafe_b64encode(w)[:40],
                          "W in base64": base64.b64encode(w)[:40], "W in hexadecimal": w.hex().encode()[:64]}
    return wanted


# Searching

class Memory:
    """A node's memory in a file, or any other file, without its empty pages. Physical addresses are offsets."""

    def __init__(self, path):
        self.runs = []
        self.pages = 0
        zero = bytes(PAGE)
        with open(path, "rb") as handle, mmap.mmap(handle.fileno(), 0, prot=mmap.PROT_READ) as data:
            start = None
            for at in range(0, len(data), PAGE):
                if data[at:at + PAGE] == zero[:len(data) - at]:
                    if start is not None:
                        self.runs.append((start, data[start:at]))
                    start = None
                else:
                    self.pages += 1
                    start = at if start is None else start
            if start is not None:
                self.runs.append((start, data[start:]))

    def find(self, text):
        """Where it is, each time."""
        found = []
        for start, data in self.runs:
            at = data.find(text)
            while at >= 0:
                found.append(start + at)
                at = data.find(text, at + len(text))
        return found

    def look(self, wanted):
        """{kind: {label: [addresses]}} of what is there."""
        return {kind: {label: where for label, text in texts.items() if (where := self.find(text))}
                for kind, texts in wanted.items()}


@contextlib.contextmanager
def dumped(node):
    """The node's memory, written by QEMU while the machine stands still."""
    path = node.directory / "memory.dump"
    node.qmp("stop")
    try:
        node.qmp("pmemsave", val=0, size=json.loads((node.directory / "order.json").read_text())["spec"]["memory"] << 20,
                 filename=str(path), timeout=300)
    finally:
        node.qmp("cont")
    try:
        yield Memory(path)
    finally:
        path.unlink()


def counts(found):
    """{kind: places}; of the marker: pages that have it."""
    return {kind: sum(len({at // PAGE for at in where} if kind == "marked pages" else where) for where in labels.values())
            for kind, labels in found.items()}


def told(found):
    return "; ".join(f"{label}: " + ", ".join(f"{at:#x}" for at in where[:4]) + ("…" if len(where) > 4 else "")
                     for labels in found.values() for label, where in labels.items()) or "nothing"


def on_disks(node, wanted, but=()):
    """{disk: found} for all files of disks that the node has, and that QEMU keeps for it."""
    files = [path for path in sorted(node.directory.iterdir()) if path.suffix in (".img", ".qcow2") and path.stem not in but]
    assert len(files) >= 4, files
    return {path.name: found for path in files if any((found := Memory(path).look(wanted)).values())}


# The three ways to end the use of a volume

def busy(node, seed, mount, device):
    running = node.start_command(["python3", "/run/marker.py", seed, mount, device, str(PAGES)])
    running.expect("busy", 180)
    return running


def prepare(node, vault):
    """Three busy volumes: data1 is cmkd's, naive and held are plain. {name: wanted}"""
    node.push(VM / "guest/marker.py", "/run/marker.py")
    key = product.fresh(node, vault, policy=revoke.REVOKE)
    product.volume(node, key)
    for name, disk in (("naive", "data2"), ("held", "data3")):
        steps.luks(node, name, steps.DISK.format(disk))
        steps.mkfs(node, "ext4", f"/dev/mapper/{name}", f"/{name}")
    seeds = {name: os.urandom(16).hex() for name in ("data1", "naive", "held")}
    holders = [busy(node, seeds[name], where, f"/dev/mapper/{name}")
               for name, where in (("data1", "/mnt"), ("naive", "/naive"), ("held", "/held"))]
    return holders, {"data1": wanted_of_cmkd(node, vault, "data0", seeds["data1"]),
                     "naive": wanted_of_passphrase(node, "data2", seeds["naive"], b"a-test-password"),
                     "held": wanted_of_passphrase(node, "data3", seeds["held"], b"a-test-password")}


def end_all(node, vault):
    """`umount -l; cryptsetup close`, `luksSuspend`, and the owner's no."""
    node.sh("umount -l /naive; cryptsetup close naive", check=False, timeout=120)
    node.sh("cryptsetup luksSuspend held", timeout=120)
    trail = revoke.Trail(node)
    vault.ctl("disable", "k1")
    trail.wait("removed", 60, volume="data1")
    product.wait_state(node, "cut")
    print(trail.story())


def measure(node, vault):
    """(before, after, disks): what memory holds of each volume while they are in use and after their ends, and what the
    disks hold beside the volume itself."""
    _, wanted = prepare(node, vault)
    with dumped(node) as memory:
        print(f"in use: {memory.pages} pages are not empty")
        before = {name: memory.look(w) for name, w in wanted.items()}
    end_all(node, vault)
    with dumped(node) as memory:
        print(f"afterwards: {memory.pages} pages are not empty")
        after = {name: memory.look(w) for name, w in wanted.items()}
    for name in wanted:
        print(f"{name} in use: {counts(before[name])}: {told(before[name])}\n"
              f"{name} afterwards: {counts(after[name])}: {told(after[name])}", flush=True)
    # not of everything: what is suspended would be waited for
    node.sh("journalctl --sync; sync -f /")
    return before, after, {name: on_disks(node, w) for name, w in wanted.items()}


def assert_seen_in_use(before):
    """The positive control: what is not found afterwards would be found."""
    for name, found in before.items():
        n = counts(found)
        assert len(found["volume key"]) == 2, (name, found["volume key"])
        assert {f"volume {half} encrypt-{at}" for half in "12" for at in aes.LOOKED_FOR} <= set(found["key schedule"]), (
            name, found["key schedule"])
        assert f"volume 1 decrypt-{aes.LOOKED_FOR[0]}" in found["key schedule"], (name, found["key schedule"])
        assert n["file name"] and n["marked pages"] >= 2 * PAGES, (name, n)


def assert_no_keys(after):
    left = {kind: labels for kind, labels in after["data1"].items() if kind in KEYS and labels}
    assert not left, f"keys in memory: {told(left)}"
    # The comparison means something only where a way that is known to leave keys does
    assert counts(after["naive"])["volume key"] and counts(after["naive"])["key schedule"], after["naive"]
