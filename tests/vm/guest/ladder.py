#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the ladder as the manager does, one cmkd-ladder a step: ladder.py NAME UUID [--batch] [STEP...]

--batch: as for a volume below a stack, where CUT waits for the others (common/batch.h): here there are none. Prints one JSON object: for each step what it said and how long it took, and when the volume was unreadable.
"""

import json
import os
import pathlib
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import disk_client  # noqa: E402

LADDER = ["open", "shut", "cut", "thaw", "flush", "kill", "unmount", "remove", "verify"]
TAKES_FD = {"shut", "thaw"}
BATCH = struct.Struct("=IIQ")        # expected, there, until (CLOCK_BOOTTIME)


def batch_of_one():
    fd = os.memfd_create("batch")
    os.write(fd, BATCH.pack(1, 0, time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000 + 60_000_000))
    return fd


def run(name, uuid, steps=None, batch=None):
    found, fd = {}, None
    began = time.monotonic()
    query, _ = disk_client.call("query", name=name, uuid=uuid)
    volume = {"name": name, "uuid": uuid, "dev_major": query["dev_major"], "dev_minor": query["dev_minor"],
              "sectors": query["sectors"]}
    for step in steps or LADDER:
        given = fd if step in TAKES_FD else batch if step == "cut" else None
        reply, seconds = disk_client.call(step, fd=given, **volume)
        fd = reply.get("fd", fd)
        if step == "thaw" and fd is not None:
            os.close(fd)
            fd = None
        found[step] = {"error": reply["error"], "message": reply["message"], "count": reply["count"],
                       "flags": reply["flags"], "seconds": round(seconds, 3),
                       "at": round(time.monotonic() - began, 3), "fd": "fd" in reply}
    shown = {name: query[name] for name in ("flags", "message", "sectors")}
    return {"probes": probes(began), "query": shown, "steps": found}


def probes(began):
    """Seconds from the beginning until each prober could read for the last time."""
    found = {}
    for path in sorted(pathlib.Path("/run").glob("probe_*")):
        last, = struct.unpack("d", path.read_bytes())
        found[path.name] = round(last - began, 3)
    return found


if __name__ == "__main__":
    named = [word for word in sys.argv[3:] if word != "--batch"]
    print(json.dumps(run(sys.argv[1], sys.argv[2], named, batch_of_one() if "--batch" in sys.argv else None)))
