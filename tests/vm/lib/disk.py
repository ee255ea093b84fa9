# SPDX-License-Identifier: Apache-2.0
"""cmkd-disk driven in a node as the manager drives it, without a manager: for tests of headers and mappings."""

import json
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[3]
DISK = "/dev/disk/by-id/virtio-"
KEY = "https://v.vault.azure.net/keys/k1/0123456789abcdef0123456789abcdef"
ZERO = "00" * 32
UNWRAP = ("openssl pkeyutl -decrypt -inkey /run/k.pem -pkeyopt rsa_padding_mode:oaep "
          "-pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256 -out /run/w && test $(stat -c %s /run/w) = 64")

# Rewrites text in both copies of a header and puts the checksums right, as a stranger with the disk would.
FORGE = """
import hashlib, sys
device, old, new, count = sys.argv[1], sys.argv[2].encode(), sys.argv[3].encode(), int(sys.argv[4])
assert len(old) == len(new)
with open(device, "r+b") as f:
    for at in (0, 16384):
        f.seek(at)
        copy = bytearray(f.read(16384))
        assert old in copy
        copy = bytearray(bytes(copy).replace(old, new, count))
        copy[448:512] = bytes(64)
        copy[448:480] = hashlib.sha256(copy).digest()
        f.seek(at)
        f.write(copy)
"""


def prepare(node):
    """The client, a key pair in the vault's place, and the modules that the first activation would wait for."""
    node.push(ROOT / "tests/unit/disk_client.py", "/run/disk_client.py")
    node.write("/run/forge.py", FORGE)
    node.sh("openssl genrsa -out /run/k.pem 2048 && openssl rsa -in /run/k.pem -pubout -outform DER -out /run/k.der",
            timeout=120)
    node.sh("modprobe -a dm_crypt xts; modprobe -q aesni_intel; true", timeout=120)


def call(node, operation, disk, **fields):
    words = [f"{name}={value}" for name, value in fields.items()]
    r = node.sh(f"python3 /run/disk_client.py {operation} device={DISK}{disk} {' '.join(words)}", check=False, timeout=300)
    assert r.out, r.err
    return json.loads(r.out)


def make(node, disk, name):
    node.sh(f"wipefs -qa {DISK}{disk}")
    y = call(node, "format", disk, name=name, key=KEY, algorithm="RSA-OAEP-256", spki="@/run/k.der", proof_time=1,
             proof_request_id="proof")
    assert y["error"] == 0, y["message"]
    node.sh(UNWRAP, stdin=bytes.fromhex(y["wrapped"]))
    return y


def activate(node, disk, made, **fields):
    wanted = {"name": made["name"], "uuid": made["uuid"], "w": "@/run/w", "header_digest": made["header_digest"],
              "trust_digest": made["trust_digest"], **fields}
    return call(node, "activate", disk, **wanted)


def no_mapping(node):
    assert node.out("dmsetup ls") == "No devices found"
    assert "cryptsetup:" not in node.out("cat /proc/keys")


def forge(node, disk, old, new):
    node.sh(f"python3 /run/forge.py {DISK}{disk} '{old}' '{new}' 1")


def expect(node, y, error, code, words):
    assert (y["error"], y["exit_code"]) == (error, code) and words in y["message"], (y["error"], y["message"])
    no_mapping(node)
