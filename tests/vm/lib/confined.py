# SPDX-License-Identifier: Apache-2.0
"""Under which AppArmor profile the programs of cmkd run in a node, and what that refuses."""

from . import install
from .common import eventually

# Not confined, and why: daemon/data/apparmor.d/cmkd
UNCONFINED = {"cmkd-ladder"}
MODE = "complain" if install.SANITIZE else "enforce"
DAEMONS = {"cmkd", "cmkd-audit", "cmkd-breaker"}
# The program, its profile and its mount namespace, of each process that lives
LOOK = """
for p in /proc/[0-9]*; do
    exe=$(readlink $p/exe) || continue
    case $exe in /usr/lib/cmkd/*) echo "${exe##*/} $(readlink $p/ns/mnt) $(cat $p/attr/current 2> /dev/null)";; esac
done
true
"""


def profiles(node):
    """{program: (mount namespaces, profiles)} of what runs now."""
    found = {}
    for line in node.out(LOOK).splitlines():
        program, namespace, *profile = line.strip().split(" ", 2)      # nothing where there is no AppArmor
        namespaces, labels = found.setdefault(program.removesuffix(" (deleted)"), (set(), set()))
        namespaces.add(namespace)
        labels.add("".join(profile))
    return found


def all_of(node, wanted):
    found = profiles(node)
    return found if set(wanted) <= set(found) else None


def check(node, wanted=frozenset(DAEMONS)):
    """Each process is confined, in enforce; what tears volumes down is in PID 1's mount namespace."""
    # The worker ends after a release, and the next one needs a moment.
    found = eventually(lambda: all_of(node, wanted), 30, f"{wanted} run")
    for program, (_, labels) in found.items():
        label = "unconfined" if program in UNCONFINED else f"{program} ({MODE})"
        assert labels == {label}, f"{program} runs as {labels}, not as {label}"
    host = node.out("readlink /proc/1/ns/mnt")
    for program in (DAEMONS | {"cmkd-disk", "cmkd-ladder"}) & set(found):
        assert found[program][0] == {host}, f"{program} has a mount namespace of its own"
    return found
