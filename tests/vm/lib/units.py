# SPDX-License-Identifier: Apache-2.0
"""Services that use a volume, for the tests of what a notice does to units: each writes when it starts and stops.

/run/units.log has a line "NAME start|stop UPTIME" a step; stop is written once the service has been asked to end and has
done its last work, which takes it a moment."""

from . import product

WHERE = "/srv/data"
MOUNT = "srv-data.mount"
LOG = "/run/units.log"
FSTAB = "/dev/mapper/data1 /srv/data ext4 nofail,_netdev 0 2"
# $1: its name, $2: a file that it holds open, $3: how long it takes to stop
PROGRAM = r"""#!/bin/bash
say() { echo "$1 $2 $(cut -d' ' -f1 /proc/uptime)" >> /run/units.log; }
name=$1
end() { sleep "$3"; [ "$2" = - ] || { echo bye > "$2.bye" && sync "$2.bye"; } || say "$name" broken; say "$name" stop; exit 0; }
trap "end '$1' '$2' '$3'" TERM
[ "$2" = - ] || exec 3>> "$2" || exit 1
say "$name" start
while :; do sleep 0.1; done
"""
UNIT = """[Unit]
Description=Test service {name}
{lines}
[Service]
ExecStart=/usr/local/bin/volume-user {name} {file} {slow}
KillMode={kill}
TimeoutStopSec=60
[Install]
WantedBy=multi-user.target
"""


def install(node):
    node.write("/usr/local/bin/volume-user", PROGRAM)
    node.sh(f"chmod 755 /usr/local/bin/volume-user; rm -f {LOG}; mkdir -p {WHERE}")


def service(node, name, file="-", lines="", slow=0, kill="mixed"):
    """Written, enabled and started."""
    node.write(f"/etc/systemd/system/{name}.service", UNIT.format(name=name, file=file, lines=lines, slow=slow, kill=kill))
    node.sh(f"systemctl daemon-reload && systemctl enable --quiet --now {name}.service && until grep -qs '^{name} start' {LOG}; "
            "do sleep 0.1; done", timeout=120)


def clean(node, names):
    """What other tests that share the node must not find."""
    units = " ".join(f"{n}.service" for n in names)
    files = " ".join(f"/etc/systemd/system/{n}.service" for n in names)
    node.sh(f"systemctl unmask --quiet {units} 2>/dev/null; systemctl stop {units} 2>/dev/null; systemctl disable --quiet {units} "
            f"2>/dev/null; rm -f {files} /etc/systemd/system/multi-user.target.wants/vol-*; umount -q {WHERE}; "
            f"sed -i '\\|{WHERE}|d' /etc/fstab; systemctl daemon-reload; systemctl reset-failed; true", check=False, timeout=120)


def volume(node, key):
    """data1, mounted through fstab."""
    product.volume(node, key, fs=None)
    node.sh(f"mkfs.ext4 -q /dev/mapper/data1 && echo '{FSTAB}' >> /etc/fstab && systemctl daemon-reload && "
            f"systemctl start {MOUNT} && mountpoint -q {WHERE}", timeout=120)


def log(node):
    """[(name, what, uptime)], in order."""
    return [(n, what, float(t)) for n, what, t in (line.split() for line in node.out(f"cat {LOG}").splitlines())]


def when(entries, name, what):
    found = [t for n, w, t in entries if (n, w) == (name, what)]
    assert found, f"{name} never said {what}: {entries}"
    return found[-1]


def show(node, unit, what):
    return node.out(f"systemctl show -P {what} '{unit}'")


def entered(node, unit, state="Active"):
    """When, in seconds since the machine's start."""
    return int(show(node, unit, f"{state}EnterTimestampMonotonic")) / 1e6
