# SPDX-License-Identifier: Apache-2.0
"""What must not be found in a node, and where it is looked for: memory of processes, files, devices."""

import json

from . import luks2
from .common import VM

HOLDER = ("import os, sys, time; key = bytearray(bytes.fromhex(sys.stdin.readline()));"
          "print('holds', os.getpid(), flush=True); time.sleep(300)")
PROGRAMS = ["cmkd", "cmkd-vault", "cmkd-audit", "cmkd-breaker", "cmkd-disk", "cmkd-ladder"]


def push(node):
    for name in ("search_memory.py", "search_files.py"):
        node.push(VM / "guest" / name, "/run/" + name)


def keys(node, vault, device):
    """Of a volume under k1: whole, in halves (the volume key's are two AES keys) and as hex text."""
    token = luks2.read(node, device).token
    w = luks2.unwrap(vault, "k1", token)
    unlock = luks2.unlock_key(w, token)
    node.write("/run/unlock", unlock)
    volume_key = luks2.dump_volume_key(node, device, "/run/unlock")
    assert len(w) == len(unlock) == len(volume_key) == 64
    found = {}
    for name, value in (("W", w), ("unlock", unlock), ("volume", volume_key)):
        found[name + "-first"], found[name + "-second"] = value[:32], value[32:]
        found[name + "-hex"], found[name + "-HEX"] = value[:16].hex().encode(), value[:16].hex().upper().encode()
    return found


def pids(node, programs=PROGRAMS):
    return node.out("pgrep -x '" + "|".join(programs) + "'").split()


def lines(wanted):
    return "".join(f"{name}={value.hex()}\n" for name, value in wanted.items()).encode()


def in_memory(node, wanted, of):
    """{pid: {"comm", "bytes", "skipped", "found"}} of those processes."""
    return json.loads(node.sh(["python3", "/run/search_memory.py", *of], stdin=lines(wanted), timeout=300).out)


def in_files(node, wanted, *paths, since=0):
    """{"files", "bytes", "found": {path: names}} of files, devices, and what was changed since then in directories."""
    return json.loads(node.sh(["python3", "/run/search_files.py", str(since), *paths], stdin=lines(wanted), timeout=300).out)


def finds_what_is_there(node, wanted, *names):
    """A process that does hold a key is found out, and a file."""
    for name in names:
        holder = node.start_command(["python3", "-c", HOLDER], stdin=wanted[name].hex().encode() + b"\n")
        pid = holder.expect(r"holds (\d+)", 60).group(1)
        found = in_memory(node, wanted, [pid])[pid]["found"]
        assert name in found, f"the search does not find {name} where it is: {found}"
        holder.kill()
        node.write("/tmp/holder", b"x" * 1048570 + wanted[name])
        assert name in in_files(node, wanted, "/tmp/holder")["found"]["/tmp/holder"]
        node.sh("shred -u /tmp/holder")
