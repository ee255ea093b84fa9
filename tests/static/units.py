# SPDX-License-Identifier: Apache-2.0
"""The systemd units: valid, complete, and without what would hold a device busy."""

import json
import os
import re
import shutil
import subprocess
import tempfile

from tree import Skip

ENDINGS = (".service", ".socket", ".target", ".slice", ".timer", ".path")
# A private mount namespace keeps copies of mounts, and a copy keeps the device busy. cmkd-vault may have one: what was
# unmounted on the host goes from there too, and it never mounts.
NAMESPACING = re.compile(
    r"^(ProtectSystem|ProtectHome|ProtectProc|ProcSubset|ProtectControlGroups|ProtectKernel\w+|PrivateTmp|"
    r"PrivateNetwork|PrivateDevices|"
    r"PrivateMounts|PrivateUsers|PrivateIPC|ReadOnlyPaths|ReadWritePaths|InaccessiblePaths|BindPaths|BindReadOnlyPaths|"
    r"TemporaryFileSystem|RootDirectory|RootImage|MountFlags|DynamicUser|LogNamespace|ExecPaths|NoExecPaths)=", re.M)
MAY_HAVE_NAMESPACE = {"daemon/data/cmkd-vault.service"}


# What has to be there all the time
DAEMONS = {"cmkd", "cmkd-audit", "cmkd-breaker", "cmkd-vault"}
EXAMPLES = "daemon/data/examples/"


def unit_files(tree):
    """Those that are installed as units."""
    names = [n for n in tree.below("daemon/data/", *ENDINGS) if not n.startswith(EXAMPLES)]
    if not names:
        raise Skip("there are no units yet")
    return names


def verify(tree):
    if not shutil.which("systemd-analyze"):
        raise Skip("there is no systemd-analyze")
    names = unit_files(tree) + tree.below(EXAMPLES, *ENDINGS)
    with tempfile.TemporaryDirectory() as d:
        for name in names:
            text = re.sub(r"^(Exec\w+=[-+!@:]*)(?!/bin/sh\s)\S+", r"\1/bin/true", tree.text(name), flags=re.M)
            with open(os.path.join(d, os.path.basename(name)), "w", encoding="utf-8") as f:
                f.write(text)
        arguments = [os.path.join(d, os.path.basename(n).replace("@.", "@test.")) for n in names]
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *arguments],
                              capture_output=True, check=False,
                              env={**os.environ, "SYSTEMD_UNIT_PATH": f"{d}:", "SYSTEMD_LOG_LEVEL": "warning"})
    ours = [os.path.basename(n).split(".")[0].split("@")[0] for n in names]
    for line in done.stderr.decode().splitlines():
        if any(o in line for o in ours):
            yield line.replace(d + "/", "")
    if done.returncode != 0 and not done.stderr:
        yield f"systemd-analyze verify ended with {done.returncode}"


# `systemd-analyze security` of systemd 252, at most. What is left of some is explained where an operator looks.
EXPOSURE = {"cmkd-vault.service": 1.4, "cmkd.service": 2.8, "cmkd-disk@.service": 4.2, "cmkd-ladder@.service": 4.7, "cmkd-breaker.service": 4.2, "cmkd-audit.service": 4.6}
EXPLAINED = {"cmkd-vault.service", "cmkd.service", "cmkd-disk@.service", "cmkd-ladder@.service"}


def unexplained(said, page):
    """What of the points that `systemd-analyze security --json=short` (its output) counts is not in the page's CONFINEMENT."""
    section = re.search(r"^\.SH CONFINEMENT\n(.*?)^\.SH ", page, re.M | re.S)
    text = "\n".join(re.findall(r"^\.TP\n(.*)", section[1].replace("\\-", "-"), re.M)) if section else ""
    points = [p["name"].replace("…", "...") for p in json.loads(said) if p["exposure"]]
    return [p for p in points if not re.search(rf"(^|[\s,]){re.escape(p)}([\s,(]|$)", text)]


def exposure(tree):
    version = re.match(r"systemd (\d+)", subprocess.run(["systemctl", "--version"], capture_output=True, text=True, check=False).stdout
                       if shutil.which("systemd-analyze") else "")
    if not version or version[1] != "252":
        raise Skip("the numbers are systemd 252's")
    for name, most in EXPOSURE.items():
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, name)
            with open(path, "w", encoding="utf-8") as f:
                f.write(tree.need("daemon/data/" + name))
            done, points = (subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", *more, path], capture_output=True,
                                           text=True, check=False) for more in ([], ["--json=short"]))
        level = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
        if not level:
            yield f"{name}: {done.stderr.strip()[:200]}"
            continue
        if float(level[1]) > most:
            yield f"{name}: exposure level {level[1]}, at most {most} was promised"
        for point in unexplained(points.stdout, tree.need("daemon/man/cmkd.8")) if name in EXPLAINED else ():
            yield f"{name}: {point} is not explained in daemon/man/cmkd.8, CONFINEMENT"


STOPPED_BY_NOBODY = "cmkd.slice", "cmkd-breaker.slice", "cmkd-disk@.service", "cmkd-ladder@.service"


def example_hooks(tree):
    """An example of a hook is wanted by a target that there is, and is named in the manual page."""
    names = tree.below(EXAMPLES, *ENDINGS)
    if not names:
        yield f"no example found below {EXAMPLES}: the check is blind"
    page = tree.need("daemon/man/cmkd.8").replace("\\-", "-")
    for name in names:
        found = re.findall(r"^WantedBy=(cmkd-\w+@)%i\.target$", tree.text(name), re.M)
        if len(found) != 1 or f"daemon/data/{found[0]}.target" not in tree.files:
            yield f"{name} is wanted by no target of cmkd's"
        if os.path.basename(name) not in page:
            yield f"{name} is not in daemon/man/cmkd.8"


def programs(tree):
    """Every program that a unit starts is one that the Makefile builds, in its place, or modprobe and AppArmor's parser of the system."""
    made = set(re.findall(r"\bcmkd(?:-[a-z]+)?\b", tree.need("Makefile")))
    for name in unit_files(tree):
        for path in re.findall(r"^Exec\w+=[-+!@:]*(/\S+)", tree.text(name), re.M):
            directory, program = os.path.split(path)
            if path not in ("/sbin/modprobe", "/sbin/apparmor_parser", "/usr/bin/cmkctl") and (directory != "/usr/lib/cmkd" or program not in made):
                yield f"{name} starts {path}"


def no_mount_namespace(tree):
    for name in unit_files(tree):
        if name in MAY_HAVE_NAMESPACE:
            continue
        for option in NAMESPACING.findall(tree.text(name)):
            yield f"{name} has {option}=, which makes a mount namespace"


def installed(tree):
    """Every file of daemon/data, but what makes packages, is named, or matched by an ending, in the Makefile's install target."""
    makefile = tree.need("Makefile")
    if not re.search(r"^install:", makefile, re.M):
        raise Skip("the Makefile has no install target yet")
    for name in tree.below("daemon/data/"):
        if name.startswith(("daemon/data/deb/", "daemon/data/rpm/")):
            continue
        pattern = os.path.join(os.path.dirname(name), "*." + name.rsplit(".", 1)[-1])
        if name not in makefile and pattern not in makefile:
            yield f"{name} is not installed"


def values(text, option):
    return re.findall(rf"^{option}=(.*)$", text, re.M)


def refuses_stop(tree):
    """With these would go what works on volumes, or what cuts them."""
    for name in STOPPED_BY_NOBODY:
        if f"daemon/data/{name}" not in tree.files or values(tree.text(f"daemon/data/{name}"), "RefuseManualStop") != ["yes"]:
            yield f"daemon/data/{name} is not there, or has no RefuseManualStop=yes"


def secret_memory(tree):
    """memfd_secret(2) is in no group of systemd 252, and a process that may not use it takes the next best memory without a word."""
    for name in unit_files(tree):
        filters = values(tree.text(name), "SystemCallFilter")
        if filters and not filters[0].startswith("~") and "memfd_secret" not in " ".join(f for f in filters if not f.startswith("~")).split():
            yield f"{name} has a list of the system calls that it may use, and memfd_secret is not on it"


def stays_up(tree):
    """No unit gives up after some failures; what runs all the time is replaced when it hangs, and the last that memory goes for."""
    for name in unit_files(tree):
        text, unit = tree.text(name), os.path.basename(name)
        if unit.endswith(".socket") and values(text, "TriggerLimitIntervalSec") != ["0"]:
            yield f"{name} has no TriggerLimitIntervalSec=0: too many starts would end it"
        if not unit.endswith(".service") or not values(text, "Restart"):
            continue
        if values(text, "StartLimitIntervalSec") != ["0"]:
            yield f"{name} has no StartLimitIntervalSec=0: too many failures would end it"
    for unit in sorted(DAEMONS):
        name = f"daemon/data/{unit}.service"
        if name not in unit_files(tree):
            continue
        text = tree.text(name)
        if not values(text, "Restart"):
            yield f"{name} has no Restart="
        if not any(re.fullmatch(r"[1-9]\d*", v) for v in values(text, "WatchdogSec")):
            yield f"{name} has no WatchdogSec="
        if values(text, "WatchdogSignal") != ["SIGKILL"]:
            yield f"{name} has no WatchdogSignal=SIGKILL: a core file would be written, or its handler hang"
        if not any(int(v) <= -800 for v in values(text, "OOMScoreAdjust")):
            yield f"{name} has no OOMScoreAdjust= of -800 or less"
