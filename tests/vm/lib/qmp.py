# SPDX-License-Identifier: Apache-2.0
"""QEMU's monitor protocol: one command at a time, events kept for whoever waits for them."""

import json
import socket
import time

from .common import HarnessError


class QmpError(HarnessError):
    pass


class Qmp:
    def __init__(self, sock):
        self.sock = sock
        self.received = bytearray()
        self.events = []
        self.next_message(time.monotonic() + 60)
        self.command("qmp_capabilities")

    @classmethod
    def connect(cls, path):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(10)
        sock.connect(str(path))
        return cls(sock)

    def close(self):
        self.sock.close()

    def next_message(self, deadline):
        while b"\n" not in self.received:
            self.sock.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                data = self.sock.recv(65536)
            except TimeoutError:
                raise QmpError("QEMU's monitor does not answer in time") from None
            if not data:
                raise QmpError("QEMU has gone away")
            self.received += data
        line, _, rest = bytes(self.received).partition(b"\n")
        self.received = bytearray(rest)
        return json.loads(line)

    def command(self, name, timeout=60, **arguments):
        """The command's result; QmpError if QEMU refuses. Arguments are spelled as the command is: with hyphens or not."""
        if "-" in name:
            arguments = {key.replace("_", "-"): value for key, value in arguments.items()}
        order = {"execute": name, "arguments": arguments}
        self.sock.settimeout(timeout)
        self.sock.sendall(json.dumps(order).encode() + b"\n")
        deadline = time.monotonic() + timeout
        while True:
            message = self.next_message(deadline)
            if "event" in message:
                self.events.append(message)
            elif "error" in message:
                raise QmpError(f"QEMU refuses {name}: {message['error']['desc']}")
            elif "return" in message:
                return message["return"]

    def wait_event(self, *names, timeout=60):
        """The first event of these names, from the kept ones or new."""
        deadline = time.monotonic() + timeout
        while True:
            for message in self.events:
                if message["event"] in names:
                    self.events.remove(message)
                    return message
            message = self.next_message(deadline)
            if "event" in message:
                self.events.append(message)
