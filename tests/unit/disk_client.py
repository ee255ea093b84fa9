# SPDX-License-Identifier: Apache-2.0
"""Talks to one cmkd-disk or cmkd-ladder as the manager does: a frame on descriptor 3, the secret on descriptor 4.

As a program: disk_client.py [--programs DIRECTORY] OPERATION FIELD=VALUE... prints the reply as JSON; bytes are hex, role a
name, flags a sum of names (wipe+untrusted-ok); w=HEX or w=@FILE is the secret. Its exit status is the reply's."""

import argparse
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import time

OPERATIONS = ["", "inspect", "format", "check", "erase", "activate", "deactivate", "query", "open", "shut", "cut", "thaw",
              "flush", "kill", "unmount", "remove", "verify", "hold", "resume", "notice", "unlock-key", "recognize",
              "recovery-add", "recovery-remove", "recovery-test", "no-cores", "uses", "await", "wrap-add", "wrap-remove",
              "scratch", "recovery-rotate", "header-backup", "wrap-rotate", "wrap-drop",
              "header-candidate", "header-restore", "take-over-look", "take-over", "keyslots-remove",
              "encrypt-stage", "encrypt-begin", "encrypt-run", "reencrypt-stage", "reencrypt-wrap", "reencrypt-begin",
              "header-accept", "personalize-stage"]
HEADERS = {"inspect", "format", "check", "erase", "activate", "resume", "unlock-key", "recognize", "recovery-add",
           "recovery-remove", "recovery-test", "wrap-add", "wrap-remove", "scratch", "recovery-rotate",
           "header-backup", "wrap-rotate", "wrap-drop", "header-candidate", "header-restore", "take-over-look",
           "take-over", "keyslots-remove", "encrypt-stage", "encrypt-begin", "encrypt-run", "reencrypt-stage", "reencrypt-wrap",
           "reencrypt-begin", "header-accept", "personalize-stage"}
FLAGS = {"mapped": 1, "ours": 2, "suspended": 4, "error-table": 8, "mounted": 16, "swap": 32, "system": 64, "token": 128,
         "untrusted-ok": 256, "read-only": 512, "wipe": 1024, "half-way": 1 << 14, "recovery-key": 1 << 16, "foreign": 1 << 17,
         "foreign-ok": 1 << 18, "stored": 1 << 21, "convert": 1 << 22,
         "rekeying": 1 << 23, "look": 1 << 24, "drop": 1 << 25}
ROLES = ["data", "os", "scratch"]
MAGIC, VERSION, REQUEST, REPLY = 0x646b6d63, 1, 0x0201, 0x0202

# name: kind, in the order of disk-proto.c
REQUEST_FIELDS = {"op": "B", "flags": "I", "role": "B", "generation": "Q", "device": "s", "name": "s", "uuid": "s",
                  "key": "s", "algorithm": "s", "proof_request_id": "s", "proof_time": "Q", "dev_major": "I",
                  "dev_minor": "I", "sectors": "Q", "spki": "b", "header_digest": "d", "trust_digest": "d",
                  "mapping": "s", "opener": "s", "wrapped": "b", "plain_max": "Q",
                  "other_uuid": "s"}
REPLY_FIELDS = {"error": "I", "exit_code": "B", "message": "s", "flags": "I", "role": "B", "name": "s", "uuid": "s",
                "wraps": "w", "dev_major": "I", "dev_minor": "I", "sectors": "Q", "count": "I", "header_digest": "b",
                "trust_digest": "b", "plain": "Q", "activation": "s"}
WRAP_FIELDS = {"token": "B", "generation": "Q", "key": "s", "algorithm": "s", "proof_time": "Q", "proof_request_id": "s",
               "spki": "b", "wrapped": "b", "stored": "B"}


def encode(fields):
    payload = b""
    for name, kind in REQUEST_FIELDS.items():
        value = fields.get(name)
        if kind == "s":
            value = (value or "").encode()
        elif kind == "b":
            value = value or b""
        elif kind == "d":
            value = value or bytes(32)
        if kind in "sbd":
            payload += struct.pack("<H", len(value)) + value
        else:
            payload += struct.pack("<" + kind, value or 0)
    return struct.pack("<IHHII", MAGIC, VERSION, REQUEST, 0, len(payload)) + payload


def take(frame, at, fields):
    """Reads fields; a "w" is a number and as many wraps."""
    found = {}
    for name, kind in fields.items():
        if kind == "w":
            n, found[name] = frame[at], []
            at += 1
            for _ in range(n):
                wrap, at = take(frame, at, WRAP_FIELDS)
                found[name].append(wrap)
        elif kind in "sb":
            size, = struct.unpack_from("<H", frame, at)
            value = frame[at + 2:at + 2 + size]
            found[name] = value.decode() if kind == "s" else value
            at += 2 + size
        else:
            found[name], = struct.unpack_from("<" + kind, frame, at)
            at += struct.calcsize("<" + kind)
    return found, at


def decode(frame):
    """The reply, with what it says of the first key beside wraps."""
    magic, version, kind, _, length = struct.unpack_from("<IHHII", frame)
    if (magic, version, kind, length) != (MAGIC, VERSION, REPLY, len(frame) - 16):
        raise ValueError("not a reply")
    reply, at = take(frame, 16, REPLY_FIELDS)
    if at != len(frame):
        raise ValueError("bytes left over")
    reply["error"] = -reply["error"]
    return {**(reply["wraps"][0] if reply["wraps"] else {}), **reply}


def program_of(op):
    """The same as in manager/disk-child.c."""
    return "cmkd-disk" if op in HEADERS else "cmkd-ladder"


def call(op, w=None, programs="/usr/lib/cmkd", timeout=120, fd=None, **fields):
    """Runs one operation; returns (reply, seconds). fd goes along with the request; one that comes back is reply["fd"].
    An exit without a reply is a RuntimeError."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    secret_out, secret_in = os.pipe()
    # above 4, so that the two moves below cannot overwrite each other
    sock, pipe = (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (theirs.fileno(), secret_out))

    def move():
        os.dup2(sock, 3)
        os.dup2(pipe, 4)

    began = time.monotonic()
    child = subprocess.Popen([f"{programs}/{program_of(op)}", op], close_fds=False, preexec_fn=move, env={}, stdin=subprocess.DEVNULL)
    theirs.close()
    for other in (secret_out, sock, pipe):
        os.close(other)
    try:
        if w:
            os.write(secret_in, w)
        os.close(secret_in)
        ours.settimeout(timeout)
        frame = encode({"op": OPERATIONS.index(op), **fields})
        if fd is None:
            ours.send(frame)
        else:
            socket.send_fds(ours, [frame], [fd])
        frame, fds, _, _ = socket.recv_fds(ours, 65536, 1)
    finally:
        status = child.wait(timeout)
    if status != 0 or not frame:
        raise RuntimeError(f"{program_of(op)} {op} ended with {status} and no reply")
    reply = decode(frame)
    if fds:
        reply["fd"] = fds[0]
    return reply, time.monotonic() - began


def parse(name, text):
    if text.startswith("@"):
        with open(text[1:], "rb") as f:
            return f.read()
    if name == "flags":
        return sum(FLAGS[flag] for flag in text.split("+"))
    if name == "role":
        return ROLES.index(text)
    if name == "w" or REQUEST_FIELDS[name] in "bd":
        return bytes.fromhex(text)
    return text if REQUEST_FIELDS[name] == "s" else int(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", default="/usr/lib/cmkd")
    parser.add_argument("operation", choices=OPERATIONS[1:])
    parser.add_argument("fields", nargs="*", metavar="FIELD=VALUE")
    options = parser.parse_args()
    fields = {}
    for field in options.fields:
        name, _, text = field.partition("=")
        fields[name] = parse(name, text)
    reply, seconds = call(options.operation, programs=options.programs, **fields)
    print(json.dumps({**reply, "seconds": round(seconds, 3)}, indent=1, default=bytes.hex))
    return 1 if reply["error"] else 0


if __name__ == "__main__":
    sys.exit(main())
