#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the ladder as the manager does, one cmkd-ladder a step: ladder.py NAME UUID [STEP...]

Prints one JSON object: for each step what it said and how long it took, and when the volume was unreadable.
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


def run(name, uuid, steps=None):
    found, fd = {}, None
    began = time.monotonic()
    query, _ = disk_client.call("query", name=name, uuid=uuid)
    volume = {"name": name, "uuid": uuid, "dev_major": query["dev_major"], "dev_minor": query["dev_minor"],
              "sectors": query["sectors"]}
    for step in steps or LADDER:
        reply, seconds = disk_client.call(step, fd=fd if step in TAKES_FD else None, **volume)
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
    print(json.dumps(run(sys.argv[1], sys.argv[2], sys.argv[3:])))
