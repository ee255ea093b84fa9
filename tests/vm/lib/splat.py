# SPDX-License-Identifier: Apache-2.0
"""Splats in what a guest's kernel and its systemd said, and what AppArmor refused to our programs: what a test must not have caused, whatever its verdict."""

import re

DENIED = re.compile(
    r"\bBUG:|WARNING:|\bOops\b|Call Trace|blocked for more than|possible (circular|recursive) locking|"
    r"inconsistent lock state|suspicious RCU usage|detected stalls|self-detected stall|general protection fault|"
    r"Kernel panic|soft lockup|hard LOCKUP|refcount_t:|UBSAN:|KASAN:|KFENCE:|kernel BUG at|list_(add|del) corruption|"
    r"unregister_netdevice: waiting|Internal error|scheduling while atomic|sleeping function called|"
    r"[Oo]rdering cycle|"
    r"Sanitizer: |runtime error: |"
    # what a profile of ours lacks; of others, what a test does on purpose
    r"apparmor=\"DENIED\".* profile=\"cmkd")
# An emulated guest on a busy host may not get a CPU for 20 seconds: what the watchdogs then say is about the host.
STALLS = re.compile(r"soft lockup - CPU|rcu.*(self-detected stall|detected stalls|kthread starved)|"
                    r"rcu.*(timer wakeup didn't happen|kthread timer)")
TRACE = re.compile(r"Call Trace|NMI backtrace")
TRACE_LINES = 80


def find(text, emulated, allowed=()):
    """The lines of dmesg or of the console that are splats. allowed: patterns that the test expects."""
    found = []
    trace_allowed_to = -1
    patterns = [re.compile(pattern) for pattern in allowed]
    for number, line in enumerate(text.splitlines()):
        if not DENIED.search(line):
            continue
        if any(pattern.search(line) for pattern in patterns) or emulated and STALLS.search(line):
            trace_allowed_to = number + TRACE_LINES
        elif not (TRACE.search(line) and number <= trace_allowed_to):
            found.append(line.strip())
    return found
