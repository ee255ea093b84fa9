# SPDX-License-Identifier: Apache-2.0
"""LUKS2 headers and cmkd's token as a stranger or an auditor sees them: read, changed, forged on the host.

Written from the format's description, not with the product's code: a second opinion on digests and derivations.
"""

import base64
import hashlib
import hmac
import json
import os
import struct
import sys

from .common import TOP

sys.path.insert(0, str(TOP / "tests/vault"))
import keycrypto  # noqa: E402

SIZE = 16384                        # of one copy, as `cmkctl format` and cryptsetup make them
MAGIC = (b"LUKS\xba\xbe", b"SKUL\xba\xbe")
BINARY = struct.Struct(">6sHQQ48s32s64s40s48sQ")
CHECKSUM = slice(448, 512)


class Header:
    """The first copy of a device's header; metadata is the JSON, to be changed at will."""

    def __init__(self, copy):
        (magic, version, size, self.seqid, self.label, _, self.salt, uuid, self.subsystem, _) = BINARY.unpack_from(copy)
        assert (magic, version, size) == (MAGIC[0], 2, SIZE), (magic, version, size)
        self.uuid = uuid.rstrip(b"\0").decode()
        self.metadata = json.loads(copy[4096:].rstrip(b"\0"))

    @property
    def token(self):
        found = [t for t in self.metadata["tokens"].values() if t["type"] == "cmkd"]
        return found[0] if found else None

    def copies(self):
        """Both copies, checksums and all."""
        text = json.dumps(self.metadata, separators=(",", ":")).encode()
        assert len(text) < SIZE - 4096, "does not fit into the header"
        both = b""
        for at, magic in enumerate(MAGIC):
            copy = bytearray(SIZE)
            BINARY.pack_into(copy, 0, magic, 2, SIZE, self.seqid, self.label, b"sha256", self.salt, self.uuid.encode(),
                             self.subsystem, at * SIZE)
            copy[4096:4096 + len(text)] = text
            digest = hashlib.sha256(copy).digest()
            copy[CHECKSUM] = digest + bytes(64 - len(digest))
            both += copy
        return both


def read(node, device):
    running = node.start_command(["head", "-c", str(SIZE), device])
    assert running.wait(60).status == 0
    return Header(bytes(running.out))


def write(node, device, header):
    node.sh(["dd", f"of={device}", "conv=notrunc,fsync", "bs=32K", "iflag=fullblock", "status=none"],
            stdin=header.copies())


def digest(node, device):
    """What a refused operation must leave as it was: everything in front of the data and some of that, read from the
    disk's file on the host, behind the guest's back."""
    node.sh("sync")
    with open(node.directory / (device.rpartition("/virtio-")[2] + ".img"), "rb") as handle:
        return hashlib.sha256(handle.read(20 << 20)).hexdigest()


# Derivations

def hkdf(algorithm, key, salt, info, size):
    width = hashlib.new(algorithm).digest_size
    prk = hmac.new(salt or bytes(width), key, algorithm).digest()
    out, block = b"", b""
    while len(out) < size:
        block = hmac.new(prk, block + info + bytes([len(out) // width + 1]), algorithm).digest()
        out += block
    return out[:size]


def unlock_key(w, token):
    info = f"cmkd unlock v1|{token['uuid']}|{token['role']}|{token['generation']}"
    return hkdf("sha512", w, base64.b64decode(token["salt"]), info.encode(), 64)


def trust_digest(volume_key, uuid, name, role):
    return hmac.new(volume_key, f"cmkd trust v1|{uuid}|{name}|{role}".encode(), "sha256").hexdigest()


def manifest_mac(metadata, uuid, volume_key):
    """Over everything in the metadata but this MAC; tags and lengths in front of each value."""
    def put(value, path):
        if isinstance(value, dict):
            names = sorted(n for n in value if not (n == "mac" and path[-1:] == ["manifest"] and path[0] == "tokens"
                                                    and metadata["tokens"][path[1]]["type"] == "cmkd"))
            return f"o{len(names)}:".encode() + b"".join(put(n, []) + put(value[n], path + [n]) for n in names)
        if isinstance(value, list):
            return f"a{len(value)}:".encode() + b"".join(put(v, path + [""]) for v in value)
        text = str(value).encode()
        return f"{'i' if isinstance(value, int) else 's'}{len(text)}:".encode() + text

    key = hkdf("sha256", volume_key, b"", b"cmkd manifest v1", 32)
    return hmac.new(key, put(uuid, []) + put(metadata, []), "sha256").digest()


# The key, from both of its sides

def material(vault, name):
    """The vault's key with its private half, as its own process has it."""
    state = json.loads((vault.directory / "state.json").read_text())
    record = state["keys"][name]
    version = record["versions"][record["current"]]
    return keycrypto.Material(version["kty"], version["material"])


def unwrap(vault, name, token):
    return material(vault, name).unwrap("RSA-OAEP-256", base64.b64decode(token["wrapped"]))


def pin(token):
    """The digest of its public key, as records have it."""
    return hashlib.sha256(base64.b64decode(token["public_key"])).hexdigest()


def jwk_to_spki(jwk):
    """A public key (DER, base64) from what GET of a key answers: all that a stranger needs."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    n, e = (int.from_bytes(keycrypto.unb64u(jwk[part]), "big") for part in ("n", "e"))
    public = rsa.RSAPublicNumbers(e, n).public_key()
    return base64.b64encode(public.public_bytes(serialization.Encoding.DER,
                                                serialization.PublicFormat.SubjectPublicKeyInfo)).decode()


def wrap(spki, data):
    """RSA-OAEP-256 with a public key alone."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding
    public = serialization.load_der_public_key(base64.b64decode(spki))
    pad = padding.OAEP(mgf=padding.MGF1(algorithm=hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
    return base64.b64encode(public.encrypt(data, pad)).decode()


def dump_volume_key(node, device, key_file):
    """By cryptsetup, in the node; both files are gone afterwards."""
    node.sh(f"cryptsetup luksDump -q --dump-volume-key --volume-key-file /run/vk --key-file {key_file} {device}", timeout=60)
    volume_key = node.read("/run/vk")
    node.sh(f"rm /run/vk {key_file}")
    return volume_key


# A stranger's disk

def luks_format(node, device, uuid, passphrase, volume_key=None, more=""):
    """A plain LUKS2 with the passphrase (bytes) and, if given, the volume key of the stranger's choice."""
    node.write("/run/stranger.key", passphrase)
    words = ""
    if volume_key:
        node.write("/run/stranger.vk", volume_key)
        words = "--volume-key-file /run/stranger.vk"
    node.sh(f"cryptsetup luksFormat -q --type luks2 --uuid {uuid} --cipher aes-xts-plain64 --key-size 512 --hash sha512 "
            f"--pbkdf pbkdf2 --pbkdf-force-iterations 1000 --sector-size 512 {words} {more} {device} /run/stranger.key "
            "&& rm -f /run/stranger.key /run/stranger.vk", timeout=120)


def forge(node, device, uuid, name, key, spki, role="data", generation=1, **changes):
    """Makes a disk that a stranger can make who knows the public key: everything holds, but it is his. Returns his
    volume key. changes: members of the token that differ."""
    w, salt, volume_key = os.urandom(64), os.urandom(32), os.urandom(64)
    token = {"type": "cmkd", "keyslots": ["0"], "version": 1, "uuid": uuid, "name": name, "role": role,
             "generation": str(generation), "key": key, "algorithm": "RSA-OAEP-256", "store": "token",
             "wrapped": wrap(spki, w), "salt": base64.b64encode(salt).decode(), "public_key": spki,
             "proof": {"time": "1700000000", "request_id": "forged"},
             "manifest": {"version": 1, "mac": base64.b64encode(bytes(32)).decode()}}
    luks_format(node, device, uuid, unlock_key(w, token), volume_key)
    header = read(node, device)
    header.metadata["tokens"]["0"] = token
    seal(header, volume_key)
    token.update(changes)
    write(node, device, header)
    return volume_key


def seal(header, volume_key):
    """Puts the manifest's MAC right, as only somebody with the volume key can."""
    mac = manifest_mac(header.metadata, header.uuid, volume_key)
    header.token["manifest"]["mac"] = base64.b64encode(mac).decode()
