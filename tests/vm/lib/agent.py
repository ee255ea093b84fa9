# SPDX-License-Identifier: Apache-2.0
"""The host's side of the guest's agent: commands with streams, several at once. Frames: guest/agent.py."""

import collections
import contextlib
import importlib.util
import json
import re
import shlex
import socket
import threading
import time

from .common import VM, HarnessError

_spec = importlib.util.spec_from_file_location("guest_agent", VM / "guest/agent.py")
wire = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(wire)


class NodeLost(HarnessError):
    """The node is gone, or its agent: whatever a test waited for will not come."""


class CommandFailed(HarnessError):
    pass


class Expired(HarnessError):
    pass


class Frames:
    """Cuts a stream into frames; skips everything before SYNC if asked to."""

    def __init__(self, wait_for_sync=False):
        self.data = bytearray()
        self.synced = not wait_for_sync

    def feed(self, data):
        self.data += data
        if not self.synced:
            at = self.data.find(wire.SYNC)
            if at < 0:
                return
            del self.data[:at + len(wire.SYNC)]
            self.synced = True
        while len(self.data) >= wire.HEADER.size:
            channel, kind, length = wire.HEADER.unpack_from(self.data)
            end = wire.HEADER.size + length
            if len(self.data) < end:
                return
            payload = bytes(self.data[wire.HEADER.size:end])
            del self.data[:end]
            yield channel, kind, payload


def frame(channel, kind, payload=b""):
    if not isinstance(payload, (bytes, bytearray)):
        payload = json.dumps(payload).encode()
    return wire.HEADER.pack(channel, kind, len(payload)) + payload


Result = collections.namedtuple("Result", "status out err")


class Running:
    """A command in the guest. `out` and `err` grow while it runs; all waiting has a deadline."""

    def __init__(self, client, channel, words):
        self.client = client
        self.channel = channel
        self.words = words
        self.out = bytearray()
        self.err = bytearray()
        self.status = None
        self.sink = None
        self.seen = 0
        self.changed = client.changed

    def receive(self, kind, payload):
        """Called by the reader, with the lock held."""
        if kind == wire.EXIT:
            end = json.loads(payload)
            self.status = 128 + end["signal"] if end["signal"] else end["status"]
        elif self.sink:
            self.sink(kind, payload)
        else:
            stream = self.out if kind == wire.OUT else self.err
            stream += payload

    def until(self, condition, timeout, what):
        met = False

        def settled():
            nonlocal met
            met = met or bool(condition())
            return met or self.client.lost

        with self.changed:
            self.changed.wait_for(settled, timeout)
        if not met and self.client.lost:
            raise NodeLost(f"the node went away during: {self.words}")
        if not met:
            raise Expired(f"no {what} within {timeout} s: {self.words}{self.tail()}")

    def tail(self):
        text = (bytes(self.out) + bytes(self.err)).decode(errors="replace").strip()
        return f"\n{text[-1500:]}" if text else ""

    def wait(self, timeout=60):
        """The Result; kills the command at the deadline."""
        try:
            self.until(lambda: self.status is not None, timeout, "end")
        except Expired:
            self.kill()
            raise
        return Result(self.status, self.out.decode(errors="replace"), self.err.decode(errors="replace"))

    def expect(self, pattern, timeout=60):
        """The match in the next line of stdout that has one; lines before it are passed over."""
        regex = re.compile(pattern)
        found = []

        def look():
            while (end := self.out.find(b"\n", self.seen)) >= 0:
                match = regex.search(self.out[self.seen:end].decode(errors="replace"))
                self.seen = end + 1
                if match:
                    found.append(match)
                    return True
            return self.status is not None

        self.until(look, timeout, f"line with /{pattern}/")
        if not found:
            raise CommandFailed(f"ended ({self.status}) without a line with /{pattern}/: {self.words}{self.tail()}")
        return found[0]

    def write(self, data):
        data = data.encode() if isinstance(data, str) else data
        for at in range(0, len(data), 65536):
            self.client.send(self.channel, wire.DATA, data[at:at + 65536])

    def close_stdin(self):
        self.client.send(self.channel, wire.EOF)

    def kill(self, number=9):
        with contextlib.suppress(NodeLost):
            self.client.send(self.channel, wire.KILL, str(number).encode())


class Client:
    """A connection to a node's agent (through its supervisor)."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        try:
            self.sock.connect(str(path))
        except OSError as error:
            raise NodeLost(f"the node is not running ({error.strerror}: {path})") from None
        self.changed = threading.Condition()
        self.sending = threading.Lock()
        self.running = {}
        self.next_channel = 1
        self.lost = False
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        frames = Frames()
        while True:
            try:
                data = self.sock.recv(1 << 18)
            except OSError:
                data = b""
            with self.changed:
                for channel, kind, payload in frames.feed(data) if data else ():
                    if channel in self.running:
                        self.running[channel].receive(kind, payload)
                        if kind == wire.EXIT:
                            del self.running[channel]
                self.lost = not data
                self.changed.notify_all()
            if not data:
                return

    def send(self, channel, kind, payload=b""):
        try:
            with self.sending:
                self.sock.sendall(frame(channel, kind, payload))
        except OSError:
            self.lost = True
            raise NodeLost("the node went away") from None

    def start(self, command, stdin=b"", env=None, cwd=None, sink=None):
        """Starts a command: a string for the shell, or a list of words. stdin=None leaves stdin open for write()."""
        argv = ["/bin/bash", "-c", command] if isinstance(command, str) else [str(word) for word in command]
        words = command if isinstance(command, str) else shlex.join(argv)
        with self.changed:
            channel = self.next_channel
            self.next_channel += 1
            running = self.running[channel] = Running(self, channel, words if len(words) < 400 else words[:400] + " …")
            running.sink = sink
        self.send(channel, wire.EXEC, {"argv": argv, "env": env, "cwd": cwd})
        if stdin is not None:
            if stdin:
                running.write(stdin)
            running.close_stdin()
        return running

    def run(self, command, check=True, timeout=60, **options):
        result = self.start(command, **options).wait(timeout)
        if check and result.status:
            said = (result.err.strip() or result.out.strip())[-1500:]
            words = command if isinstance(command, str) else shlex.join(map(str, command))
            raise CommandFailed(f"exit {result.status}: {words}\n{said}")
        return result

    def wait_for(self, command, timeout=60):
        """Until the shell command succeeds. Only for what gives no event: the loop runs in the guest."""
        loop = f"until ( {command}\n) >/tmp/.wait-for 2>&1; do sleep 0.2; done"
        began = time.monotonic()
        try:
            self.start(loop).wait(timeout)
        except Expired:
            last = self.run("cat /tmp/.wait-for", check=False, timeout=20).out.strip()
            raise Expired(f"not true within {timeout} s: {command}\n{last[-1500:]}") from None
        return time.monotonic() - began

    def close(self):
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
