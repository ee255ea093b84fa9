# SPDX-License-Identifier: Apache-2.0
"""cmkd in a node, as its tests hold it: configuration, services, volumes, the trail."""

import json
import shlex

from .common import eventually
from .vault import CA_IN_NODE, HOST

DISK = "/dev/disk/by-id/virtio-{}"
SERVICES = "cmkd.service cmkd-audit.service cmkd-breaker.service"
CONFIG = """# SPDX-License-Identifier: Apache-2.0
[Vault test]
Host={host}:{port}
Keys={keys}
CAFile={ca}
MetadataEndpoint={metadata}
{vault}
[Policy]
{policy}
{more}
"""
# Quick enough to wait for, slow enough to be seen apart.
POLICY = {"PollSec": "5", "NoticeSec": "0"}
# What tests left that share a node. The trail stays: a test looks at records of its own volumes.
CLEAN = """
if [ -d /run/cmkd ]; then
    umount -qA /mnt* 2>/dev/null
    for name in $(dmsetup ls --target crypt | awk '!/^No / { print $1 }'); do
        cmkctl detach "$name" || dmsetup remove -f "$name" || exit 1
    done
    systemctl stop cmkd.service cmkd-vault.service
    rm -rf /run/cmkd/cut /run/cmkd/open /run/cmkd/pause /run/cmkd/attributes /run/cmkd/wraps /run/cmkd/units /run/cmkd/notice
    rm -rf /var/lib/cmkd/trust /etc/cmkd/trust /etc/cmkd/trust.d /etc/cmkd/cmkd.conf.d/*
fi
for n in 0 1 2 3; do
    blkdiscard -fz /dev/disk/by-id/virtio-data$n || exit 1
done
udevadm settle
"""


def configure(node, vault, keys=("k1",), policy=None, vault_lines="", more=""):
    """Writes /etc/cmkd/cmkd.conf for this vault. policy: dict over POLICY."""
    lines = "\n".join(f"{key}={value}" for key, value in {**POLICY, **(policy or {})}.items())
    node.write("/etc/cmkd/cmkd.conf", CONFIG.format(host=HOST, port=vault.vault_port, keys=" ".join(keys), ca=CA_IN_NODE,
                                                    metadata=vault.metadata_url, vault=vault_lines, policy=lines, more=more))


def start(node, timeout=120):
    """Starts the services and waits until verbs are answered (cmkd.service is Type=notify)."""
    node.sh("systemctl start cmkd.service", timeout=timeout)
    node.sh("systemctl is-active " + SERVICES)


def setup(node, vault, **options):
    """A key k1 in the vault, configuration and services. Returns the key's identifier."""
    key = vault.create_key("k1")
    configure(node, vault, **options)
    start(node)
    return key


def setup_keys(node, vault, *names):
    """setup() with several keys: {name: identifier}."""
    first = setup(node, vault, keys=names, vault_lines="TimeoutSec=60")
    return {names[0]: first, **{name: vault.create_key(name) for name in names[1:]}}


def fresh(node, vault, **options):
    """setup() in a node that other tests may have used: no volume, no trust, empty disks; the audit goes on."""
    node.sh(CLEAN, timeout=180)
    # An emulated machine beside others may take long for a handshake: only tests of time-outs want short ones.
    return setup(node, vault, **{"vault_lines": "TimeoutSec=60", **options})


def format_volume(node, key, name="data1", disk="data0", timeout=180):
    node.sh(f"cmkctl format {DISK.format(disk)} --name {name} --role data --key {shlex.quote(key)} --yes", timeout=timeout)


def volume(node, key, name="data1", disk="data0", fs="ext4", mount="/mnt"):
    """Formats, attaches, makes a file system and mounts it."""
    format_volume(node, key, name, disk)
    node.sh(f"cmkctl attach {name}", timeout=180)
    if fs:
        quiet = "-q" if fs == "ext4" else "-q -f"
        node.sh(f"mkdir -p {mount} && mkfs.{fs} {quiet} /dev/mapper/{name} && mount /dev/mapper/{name} {mount}", timeout=120)


def status(node, name="data1"):
    """cmkctl status --json of one volume, or None."""
    done = node.sh("cmkctl status --json", check=False, timeout=60)
    assert done.status == 0, done.err
    found = [v for v in json.loads(done.out)["volumes"] if v["name"] == name]
    return found[0] if found else None


def records(node, *words, timeout=60):
    """The trail's records, as dicts."""
    return [json.loads(line) for line in node.out("cmkctl audit list --json " + " ".join(words), timeout=timeout).splitlines()]


def events(node, event, *words, timeout=60, **fields):
    """Records of one kind whose fields are these. words: which to look at."""
    return [r for r in records(node, *words, timeout=timeout) if r["event"] == event and all(r["fields"].get(k) == v for k, v in fields.items())]


def wait_state(node, state, name="data1", timeout=120):
    """Until the volume is in that state, by the manager's own word."""
    node.wait_for(f"cmkctl status --json {name} | grep -q '\"state\": *\"{state}\"'", timeout)


def wait_poll(vault, key="k1", timeout=60):
    """Until the vault is asked about a key again: its volumes are still served."""
    def asked():
        return sum(r.get("op") == "unwrap" and r.get("key") == key for r in vault.requests())

    before = asked()
    eventually(lambda: asked() > before, timeout, f"{key} is polled")
