#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The guest's side of the VM harness: runs commands for the host over a virtio-serial port.

Frames in both directions: channel (u32), kind (u8), length (u32), payload; big endian. A session starts with SYNC:
everything before it is left over from another session and is thrown away; between two frames it ends the session that
was. That makes the port usable after a restored snapshot, even one that was taken within a session. When the host goes away all commands of its session are killed.

  host  -> EXEC {argv, env, cwd}  DATA stdin  EOF  KILL signal  HELLO  SETUP {time, seed, hostname}  BYE
  guest -> OUT  ERR  EXIT {status, signal}  HELLO {kernel, boot_id}  SETUP  BYE
"""

import fcntl
import json
import os
import select
import signal
import struct
import subprocess
import sys
import time

SYNC = b"cmkd-agent-sync\n"
HEADER = struct.Struct(">IBI")
EXEC, DATA, EOF, KILL, HELLO, SETUP, OUT, ERR, EXIT, BYE = range(1, 11)
PORT_NAME = "cmkd-agent"
MAX_FRAME = 1 << 20
MAX_QUEUE = 4 << 20


def find_port():
    """The port's device node, once the driver has made it."""
    subprocess.run(["modprobe", "-q", "virtio_console"], check=False)
    while True:
        for entry in sorted(os.listdir("/sys/class/virtio-ports")):
            with open(f"/sys/class/virtio-ports/{entry}/name") as handle:
                if handle.read().strip() == PORT_NAME and os.path.exists(f"/dev/{entry}"):
                    return f"/dev/{entry}"
        time.sleep(0.05)


class Command:
    """One running command: its pipes and its pidfd."""

    def __init__(self, channel, spec):
        self.channel = channel
        self.process = subprocess.Popen(
            spec["argv"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
            start_new_session=True, cwd=spec.get("cwd") or "/root", env={**os.environ, **(spec.get("env") or {})})
        self.pidfd = os.pidfd_open(self.process.pid)
        self.input = bytearray()
        self.input_ends = False
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            os.set_blocking(pipe.fileno(), False)

    def kill(self, number):
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass

    def feed(self):
        """Writes what the command takes; closes its stdin after the last byte."""
        if self.process.stdin.closed:
            return
        try:
            while self.input:
                count = os.write(self.process.stdin.fileno(), self.input[:65536])
                del self.input[:count]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self.input.clear()
            self.input_ends = True
        if self.input_ends:
            self.process.stdin.close()

    def close(self):
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            pipe.close()
        os.close(self.pidfd)


class Agent:
    def __init__(self):
        self.port = os.open(find_port(), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self.wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGIO, lambda *_: None)
        fcntl.fcntl(self.port, fcntl.F_SETOWN, os.getpid())
        self.commands = {}
        self.connected = True
        self.reset()

    def reset(self):
        """Ends a session: nothing of it may be seen by the next."""
        for command in self.commands.values():
            command.kill(signal.SIGKILL)
            command.process.wait()
            command.close()
        self.commands = {}
        self.synced = False
        self.received = bytearray()
        self.queue = bytearray()

    def set_connected(self, connected):
        """The kernel says POLLHUP for as long as nobody is there: sleep until SIGIO instead."""
        if connected != self.connected:
            self.connected = connected
            flags = fcntl.fcntl(self.port, fcntl.F_GETFL)
            fcntl.fcntl(self.port, fcntl.F_SETFL, flags & ~os.O_ASYNC if connected else flags | os.O_ASYNC)

    def send(self, channel, kind, payload=b""):
        if not isinstance(payload, (bytes, bytearray)):
            payload = json.dumps(payload).encode()
        self.queue += HEADER.pack(channel, kind, len(payload)) + payload

    def read_port(self):
        """Takes in what has come; a read gives a page at most, so many at a time."""
        for _ in range(64):
            try:
                data = os.read(self.port, 65536)
            except BlockingIOError:
                break
            if not data:
                self.reset()
                self.set_connected(False)
                return
            self.received += data
        if self.synced and self.received.startswith(SYNC):      # no frame is that long
            received = self.received
            self.reset()
            self.received = received
        if not self.synced and not self.find_sync():
            return
        while len(self.received) >= HEADER.size:
            channel, kind, length = HEADER.unpack_from(self.received)
            if length > MAX_FRAME:
                raise SystemExit(f"frame of {length} bytes")
            if len(self.received) < HEADER.size + length:
                return
            payload = bytes(self.received[HEADER.size:HEADER.size + length])
            del self.received[:HEADER.size + length]
            self.handle(channel, kind, payload)

    def find_sync(self):
        at = self.received.find(SYNC)
        if at < 0:
            del self.received[:-len(SYNC)]
            return False
        del self.received[:at + len(SYNC)]
        self.synced = True
        self.queue += SYNC
        return True

    def handle(self, channel, kind, payload):
        command = self.commands.get(channel)
        if kind == HELLO:
            with open("/proc/sys/kernel/random/boot_id") as handle:
                self.send(channel, HELLO, {"kernel": os.uname().release, "boot_id": handle.read().strip()})
        elif kind == SETUP:
            setup(json.loads(payload))
            self.send(channel, SETUP)
        elif kind == BYE:
            self.reset()
            self.send(channel, BYE)
        elif kind == EXEC:
            self.execute(channel, json.loads(payload))
        elif command and kind == DATA:
            command.input += payload
        elif command and kind == EOF:
            command.input_ends = True
        elif command and kind == KILL:
            command.kill(int(payload))
        if command:
            command.feed()

    def execute(self, channel, spec):
        try:
            self.commands[channel] = Command(channel, spec)
        except OSError as error:
            self.send(channel, ERR, f"{spec['argv'][0]}: {error.strerror}\n".encode())
            self.send(channel, EXIT, {"status": 127, "signal": 0})

    def forward(self, command, pipe, kind):
        """One read of what a command says; False at its end."""
        try:
            data = os.read(pipe.fileno(), 65536)
        except BlockingIOError:
            return False
        if data:
            self.send(command.channel, kind, data)
        else:
            pipe.close()
        return bool(data)

    def finish(self, command):
        """A command counts as over when its process is, even if a child of it still holds the pipes."""
        for pipe, kind in ((command.process.stdout, OUT), (command.process.stderr, ERR)):
            while not pipe.closed and self.forward(command, pipe, kind):
                pass
        status = command.process.wait()
        self.send(command.channel, EXIT, {"status": max(status, 0), "signal": max(-status, 0)})
        command.close()
        del self.commands[command.channel]

    def interests(self):
        """What to poll for now, as {fd: (events, action)}."""
        found = {self.wake_read: (select.POLLIN, lambda: os.read(self.wake_read, 4096))}
        if self.connected:
            wanted = select.POLLIN | (select.POLLOUT if self.queue else 0)
            found[self.port] = (wanted, None)
        for command in self.commands.values():
            if command.input or command.input_ends:
                if not command.process.stdin.closed:
                    found[command.process.stdin.fileno()] = (select.POLLOUT, command.feed)
            if len(self.queue) > MAX_QUEUE:
                continue
            found[command.pidfd] = (select.POLLIN, lambda c=command: self.finish(c))
            for pipe, kind in ((command.process.stdout, OUT), (command.process.stderr, ERR)):
                if not pipe.closed:
                    found[pipe.fileno()] = (select.POLLIN, lambda c=command, p=pipe, k=kind: self.forward(c, p, k))
        return found

    def flush(self):
        try:
            while self.queue:
                count = os.write(self.port, self.queue[:32768])
                del self.queue[:count]
        except BlockingIOError:
            pass

    def on_port(self, events):
        if events & select.POLLHUP:
            self.reset()
            self.set_connected(False)
            return
        if events & select.POLLIN:
            self.read_port()
        self.flush()

    def turn(self):
        poll = select.poll()
        found = self.interests()
        for fd, (events, _) in found.items():
            poll.register(fd, events)
        ready = poll.poll(None if self.connected else 1000)
        if not self.connected:
            self.set_connected(True)
        ended = []
        for fd, events in ready:
            if fd == self.port:
                self.on_port(events)
                return
            action = found[fd][1]
            if any(fd == c.pidfd for c in self.commands.values()):
                ended.append(action)
            else:
                action()
        for action in ended:
            action()


def setup(order):
    """After a restore: the right time, randomness of one's own, a name."""
    time.clock_settime_ns(time.CLOCK_REALTIME, order["time"])
    seed = bytes.fromhex(order["seed"])
    with open("/dev/urandom", "wb", buffering=0) as handle:
        fcntl.ioctl(handle, 0x40085203, struct.pack("ii", len(seed) * 8, len(seed)) + seed)
        fcntl.ioctl(handle, 0x5207)
    with open("/proc/sys/kernel/hostname", "w") as handle:
        handle.write(order["hostname"])


def main():
    agent = Agent()
    while True:
        agent.turn()


if __name__ == "__main__":
    sys.exit(main())
