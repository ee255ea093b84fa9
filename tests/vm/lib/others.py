# SPDX-License-Identifier: Apache-2.0
"""Volumes that somebody else than cmkd maps: with cryptsetup, by a key that cmkd gave out or by one that it knows nothing of."""

from . import luks2, product

KEYSCRIPT = "/usr/lib/cmkd/cmkd-keyscript"


def key_file(node, vault, device, path, key="k1"):
    """The unlock key as its owner could compute it: the node's cmkd is not asked."""
    token = luks2.read(node, device).token
    node.write(path, luks2.unlock_key(luks2.unwrap(vault, key, token), token))


def open_with(node, device, path, mapping):
    # else cryptsetup asks the token plugin before it looks at the key file
    node.sh(f"cryptsetup open --disable-external-tokens --key-file {path} {device} {mapping}", timeout=120)


def open_released(node, device, mapping, name="data1", options=""):
    """By the keyscript: cmkd asks the vault, records the release and hands the key out."""
    # for cryptsetup too: the token plugin would ask for the key beside the keyscript
    node.sh(f"set -o pipefail; export CRYPTTAB_SOURCE={device} CRYPTTAB_NAME={name}; {KEYSCRIPT} | "
            f"cryptsetup open {options} --key-file - {device} {mapping}", timeout=180)


def crypt_mappings(node):
    return node.out("dmsetup ls --target crypt | awk '!/^No / { print $1 }'").split()


def assert_nothing_left(node, *mappings):
    for mapping in mappings:
        node.sh(f"! dmsetup info {mapping} 2>/dev/null")
        left = node.sh(f"grep -l /dev/mapper/{mapping} /proc/[0-9]*/mountinfo", check=False).out
        assert not left, f"mounted in {left}"


def findings(node, name="data1"):
    return " ".join(product.status(node, name)["findings"])
