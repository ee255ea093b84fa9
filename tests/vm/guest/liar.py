#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""In place of cmkd-vault, as /run/liar-mode says. honest: it is cmkd-vault. remembers: GRANTED with what it remembers, the
volume's very secret included (/run/liar-secret); floods: with frames nobody asked for; rubbish: with what is no frame;
silent: never answers; pins: asks cmkd-vault, but says that each public key is that of /run/liar.pem, and opens what is wrapped by that."""

import os
import socket
import struct
import subprocess

MAGIC, VERSION, REPLY = 0x646B6D63, 1, 0x0102
REMEMBERED = bytes(range(32))


def text(data):
    return struct.pack("<H", len(data)) + data


def reply(number, delivered=0, blob=REMEMBERED):
    payload = struct.pack("<BH", 0, 200) + text(b"") * 4 + struct.pack("<III", 0, 1000, 0)
    payload += struct.pack("<BH", 0, 0) + text(b"") + struct.pack("<QQ", 0, 0) + text(b"") + text(b"")
    payload += text(blob) + struct.pack("<I", delivered)
    return struct.pack("<IHHII", MAGIC, VERSION, REPLY, number, len(payload)) + payload


def hand_over(fd):
    with open("/run/liar-secret", "rb") as file, open(fd, "wb") as pipe:
        return pipe.write(file.read())


def flood(peer):
    number = 1 << 31
    while True:
        number += 1
        peer.send(reply(number))


# in the middle, with a key of its own

GET_KEY, UNWRAP = 1, 3
KEY = "/run/liar.pem"
OAEP = "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256".split()


class Cursor:
    def __init__(self, data, at):
        self.data, self.at = data, at

    def skip(self, n):
        self.at += n
        return self

    def bytes(self):
        n = struct.unpack_from("<H", self.data, self.at)[0]
        self.at += 2 + n
        return self.data[self.at - n:self.at]


class Honest:
    """A real worker behind this one, and another where it has ended."""

    def __init__(self):
        self.sock = None

    def start(self):
        self.sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        subprocess.Popen(["/usr/lib/cmkd/cmkd-vault", f"--socket-fd={theirs.fileno()}"], pass_fds=[theirs.fileno()])
        theirs.close()

    def ask(self, frame, fds):
        for _ in range(3):
            if not self.sock:
                self.start()
            try:
                socket.send_fds(self.sock, [frame], fds)
                answer = self.sock.recv(65536)
            except OSError:
                answer = b""
            if answer:
                return answer
            self.sock = None
        raise OSError("no worker")


def opened(frame):
    """What is wrapped by the key that is not the vault's, or None."""
    c = Cursor(frame, 18)
    for _ in range(4):
        c.bytes()
    done = subprocess.run(["openssl", "pkeyutl", "-decrypt", "-inkey", KEY, *OAEP], input=c.skip(4).bytes(), capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None


def with_own_key(answer):
    c = Cursor(answer, 19)
    for _ in range(4):
        c.bytes()
    c.skip(12 + 3).bytes()
    c.skip(16).bytes()
    at = c.at
    if not c.bytes():
        return answer
    own = subprocess.run(["openssl", "pkey", "-in", KEY, "-pubout", "-outform", "DER"], capture_output=True, check=True).stdout
    answer = answer[:at] + text(own) + answer[c.at:]
    return answer[:12] + struct.pack("<I", len(answer) - 16) + answer[16:]


def pin(frame, fds, honest):
    secret = opened(frame) if frame[16] == UNWRAP else None
    if secret is None:
        answer = honest.ask(frame, fds)
        for fd in fds:
            os.close(fd)
        return with_own_key(answer) if frame[16] == GET_KEY else answer
    for fd in fds:
        with open(fd, "wb") as pipe:
            pipe.write(secret)
    number = struct.unpack_from("<I", frame, 8)[0]
    return reply(number, len(secret), b"") if fds else reply(number, 0, secret)


def serve(peer, mode):
    honest = Honest()
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
        elif mode == "pins":
            peer.send(pin(frame, fds, honest))


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
