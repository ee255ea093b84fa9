#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""In place of cmkd-vault, as /run/liar-mode says. honest: it is cmkd-vault. remembers: GRANTED with what it remembers, the
volume's very secret included (/run/liar-secret); floods: with frames nobody asked for; rubbish: with what is no frame;
silent: never answers."""

import os
import socket
import struct

MAGIC, VERSION, REPLY = 0x646B6D63, 1, 0x0102
REMEMBERED = bytes(range(32))


def text(data):
    return struct.pack("<H", len(data)) + data


def reply(number, delivered=0):
    payload = struct.pack("<BH", 0, 200) + text(b"") * 4 + struct.pack("<III", 0, 1000, 0)
    payload += struct.pack("<BH", 0, 0) + text(b"") + struct.pack("<QQ", 0, 0) + text(b"") + text(b"")
    payload += text(REMEMBERED) + struct.pack("<I", delivered)
    return struct.pack("<IHHII", MAGIC, VERSION, REPLY, number, len(payload)) + payload


def hand_over(fd):
    with open("/run/liar-secret", "rb") as file, open(fd, "wb") as pipe:
        return pipe.write(file.read())


def flood(peer):
    number = 1 << 31
    while True:
        number += 1
        peer.send(reply(number))


def serve(peer, mode):
    while True:
        frame, fds, _, _ = socket.recv_fds(peer, 65536, 1)
        if not frame:
            return
        number = struct.unpack_from("<I", frame, 8)[0]
        if mode == "remembers":
            peer.send(reply(number, sum(hand_over(fd) for fd in fds)))
        elif mode == "rubbish":
            peer.send(os.urandom(100))
        elif mode == "floods":
            flood(peer)


def main():
    with open("/run/liar-mode") as file:
        mode = file.read().strip()
    if mode == "honest":
        os.execv("/usr/lib/cmkd/cmkd-vault", ["cmkd-vault"])
    listener = socket.socket(fileno=3)
    listener.setblocking(True)
    while True:
        peer, _ = listener.accept()
        peer.setblocking(True)
        try:
            serve(peer, mode)
        except OSError:
            pass


main()
