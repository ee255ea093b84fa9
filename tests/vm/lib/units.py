# SPDX-License-Identifier: Apache-2.0
"""Services that use a volume, for the tests of what a notice does to units: each writes when it starts and stops.

/run/units.log has a line "NAME start|stop UPTIME" a step; stop is written once the service has been asked to end and has
done its last work, which takes it a moment. One daemon-reload each way: it is what an emulated machine is slowest at."""

from . import product

WHERE = "/srv/data"
MOUNT = "srv-data.mount"
LOG = "/run/units.log"
FSTAB = "/dev/mapper/data1 /srv/data ext4 nofail,_netdev 0 2"
# $1: its name, $2: a file that it holds open, or a dash, $3: how long it takes to stop
PROGRAM = r"""#!/bin/bash
name=$1 file=$2 slow=$3
say() { read -r now _ < /proc/uptime; echo "$name $1 $now" >> /run/units.log; }
end() {
    kill $!
    sleep "$slow"
    [ "$file" = - ] || { echo bye > "$file.bye" && sync "$file.bye"; } || say broken
    say stop
    exit 0
}
trap end TERM
[ "$file" = - ] || exec 3>> "$file" || exit 1
sleep infinity 3>&- &
say start
wait
"""
UNIT = """[Unit]
Description=Test service {name}
{lines}
[Service]
ExecStart=/usr/local/bin/volume-user {name} {file} {slow}
KillMode=mixed
TimeoutStopSec=120
[Install]
WantedBy=multi-user.target
"""
HOOK = """[Unit]
Description=Test hook {0}
[Service]
Type=oneshot
EnvironmentFile=-/run/cmkd/notice/data1
ExecStart=/bin/bash -c 'read -r now rest < /proc/uptime; echo hook-{0} start $now >> /run/units.log; \\
    echo "{0} $CMKD_ACTION $((CMKD_UNTIL - $(date +%%s)))" >> /run/hooks'
"""


def service(node, name, file="-", lines="", slow=0):
    """Written and enabled; setup() starts it."""
    node.write(f"/etc/systemd/system/{name}.service", UNIT.format(name=name, file=file, lines=lines, slow=slow))
    return name


def hook(node, word):
    """Writes to the log, and to /run/hooks what it was told."""
    node.write(f"/run/systemd/system/hook-{word}.service", HOOK.format(word))
    node.sh(f"d=/run/systemd/system/cmkd-{word}@data1.target.wants; mkdir -p $d; ln -sf ../hook-{word}.service $d/")


def setup(node, key, services):
    """data1, mounted through fstab, and services (of service()) started."""
    node.write("/usr/local/bin/volume-user", PROGRAM, mode=0o755)
    product.volume(node, key, fs=None)
    wants = "/etc/systemd/system/multi-user.target.wants"
    links = " ".join(f"../{n}.service" for n in services)
    started = " && ".join(f"grep -q '^{n} start' {LOG}" for n in services)
    node.sh(f"rm -f {LOG} /run/hooks; mkdir -p {WHERE} {wants} && ln -sf -t {wants} {links} && "
            f"mkfs.ext4 -q /dev/mapper/data1 && echo '{FSTAB}' >> /etc/fstab && systemctl daemon-reload", timeout=240)
    node.sh(f"systemctl start {MOUNT} {' '.join(f'{n}.service' for n in services)} && mountpoint -q {WHERE}", timeout=240)
    node.wait_for(started, 120)


def clean(node, services):
    """What other tests that share the node must not find."""
    units = " ".join(f"{n}.service" for n in services)
    files = " ".join(f"/etc/systemd/system/{n}.service /etc/systemd/system/multi-user.target.wants/{n}.service" for n in services)
    node.sh(f"rm -f {' '.join(f'/run/systemd/system/{n}.service' for n in services)}; systemctl kill -s KILL {units}; "
            f"systemctl stop {units}; rm -rf {files} /run/systemd/system/cmkd-*@data1.target.wants /run/systemd/system/hook-*; "
            f"umount -q {WHERE}; sed -i '\\|{WHERE}|d' /etc/fstab; systemctl daemon-reload; systemctl reset-failed", check=False,
            timeout=300)


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
