# SPDX-License-Identifier: Apache-2.0
"""Counts what a teardown must not leave behind, in a node; prints one JSON object: what -> number."""

import ctypes
import glob
import json
import os
import re
import struct
import subprocess

NR_BPF = 321
NEXT = {"bpf programs": 11, "bpf maps": 12, "bpf links": 31}     # BPF_..._GET_NEXT_ID
PROGRAMS = ("cmkd", "cmkd-audit", "cmkd-breaker")


def text(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()
    except OSError:
        return ""


def bpf_objects(command):
    libc = ctypes.CDLL(None, use_errno=True)
    ident, n = 0, 0
    while True:
        attr = ctypes.create_string_buffer(struct.pack("<III", ident, 0, 0), 128)
        if libc.syscall(NR_BPF, command, attr, 128) < 0:
            return n
        ident = struct.unpack_from("<I", attr.raw, 4)[0]
        n += 1


def pids():
    found = {}
    for path in glob.glob("/proc/[0-9]*/comm"):
        name = text(path).strip()
        if name.startswith("cmkd"):
            found.setdefault(name, []).append(path.split("/")[2])
    return found


def main():
    there = pids()
    out = {
        "mappings": len(subprocess.run(["dmsetup", "ls"], capture_output=True, text=True, check=True).stdout.splitlines()),
        "volume keys": len(re.findall(r"cryptsetup:|\blogon\b", text("/proc/keys"))),
        "keys of root": len([1 for line in text("/proc/keys").splitlines() if line.split()[5] == "0"]),
        "mounts": len(text("/proc/mounts").splitlines()),
        "loop devices": len(glob.glob("/sys/block/loop*/loop")),
        "files in /run/cmkd": sum(len(files) for _, _, files in os.walk("/run/cmkd")),
        "pins": sum(len(files) for _, _, files in os.walk("/sys/fs/bpf/cmkd")),
        "children": sum(len(p) for name, p in there.items() if name in ("cmkd-disk", "cmkd-ladder")),
        "mount namespaces": len({os.readlink(p) for p in glob.glob("/proc/[0-9]*/ns/mnt") if os.path.exists(p)}),
        "KiB SUnreclaim": int(re.search(r"SUnreclaim:\s+(\d+)", text("/proc/meminfo"))[1]),
    }
    out.update({what: bpf_objects(command) for what, command in NEXT.items()})
    for name in PROGRAMS:
        for pid in there.get(name, [])[:1]:
            out[f"descriptors of {name}"] = len(os.listdir(f"/proc/{pid}/fd"))
            out[f"threads of {name}"] = len(os.listdir(f"/proc/{pid}/task"))
            out[f"mounts of {name}"] = len(text(f"/proc/{pid}/mountinfo").splitlines())
            out[f"KiB of {name}"] = int(re.search(r"^Pss:\s+(\d+)", text(f"/proc/{pid}/smaps_rollup"), re.M)[1])
        out[f"processes {name}"] = len(there.get(name, []))
    print(json.dumps(out))


main()
