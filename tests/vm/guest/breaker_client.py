#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Talks to cmkd-breaker as the manager does.

breaker_client.py set|act|hold NAME DM-UUID SECTORS ACTION [SECONDS [WALL-SECONDS]]   (hold: sets and stays connected)
breaker_client.py clear NAME DM-UUID
breaker_client.py list

Deadlines are from now; a dash is none. Prints the reply as JSON.
"""

import json
import socket
import struct
import sys
import time

MAGIC = 0x6b726263
SLOT = struct.Struct("<64s128sQQQIIiIQ")
HEAD = struct.Struct("<IHHII")
REPLY = struct.Struct("<IHHIi")
SET, CLEAR, ACT, LIST = 1, 2, 3, 4
ACTIONS = {"report": 0, "cut": 1, "poweroff": 2, "reboot": 3}
STATES = ["empty", "armed", "tripped", "failed", "end"]


def slot(name="", dm_uuid="", sectors=0, boottime=0, realtime=0, action=0):
    return SLOT.pack(name.encode(), dm_uuid.encode(), sectors, boottime, realtime, action, 0, 0, 0, 0)


def connect(path="/run/cmkd/breaker.sock"):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.settimeout(30)
    sock.connect(path)
    return sock


def receive(sock):
    data = sock.recv(4096)
    if not data:
        raise SystemExit("the breaker closed the connection")
    _, _, kind, number, error = REPLY.unpack_from(data)
    fields = SLOT.unpack_from(data, REPLY.size)
    name, dm_uuid, sectors, boottime, realtime, action, state, slot_error, _, tripped = fields
    return {"type": kind, "id": number, "error": error, "name": name.rstrip(b"\0").decode(), "action": action,
            "dm_uuid": dm_uuid.rstrip(b"\0").decode(), "sectors": sectors, "state": STATES[state],
            "slot_error": slot_error, "boottime": boottime, "realtime": realtime, "tripped": tripped}


def request(sock, kind, body, number=1):
    sock.send(HEAD.pack(MAGIC, 1, kind, number, 0) + body)
    return receive(sock)


def slots(sock):
    found = [request(sock, LIST, slot())]
    while found[-1]["state"] != "end":
        found.append(receive(sock))
    return found[:-1]


def deadline(clock, seconds):
    return 0 if seconds == "-" else int((time.clock_gettime(clock) + float(seconds)) * 1e6)


def arguments(name, dm_uuid, sectors, action, seconds="-", wall="-"):
    return slot(name, dm_uuid, int(sectors), deadline(time.CLOCK_BOOTTIME, seconds),
                deadline(time.CLOCK_REALTIME, wall), ACTIONS[action])


def main():
    verb, *words = sys.argv[1:]
    sock = connect()
    if verb == "list":
        answer = slots(sock)
    elif verb == "clear":
        answer = request(sock, CLEAR, slot(words[0], words[1]))
    else:
        answer = request(sock, ACT if verb == "act" else SET, arguments(*words))
    print(json.dumps(answer), flush=True)
    if verb == "hold":
        time.sleep(600)


if __name__ == "__main__":
    main()
