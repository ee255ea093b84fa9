# SPDX-License-Identifier: Apache-2.0
"""One node's supervisor: owns QEMU for all its life and shares the guest's one agent port between many clients.

    tests, `node sh` ──► agent.sock ──► supervisor ──(socketpair)──► QEMU ──► guest agent
                                            └──(socketpair, QMP)──►

Runs as a process of its own with the node's directory as argument; says one line on stdout, `ready` or why not. Ends
when QEMU ends, on SIGTERM, or with its parent (unless order.json says that it stays).
"""

import contextlib
import json
import os
import pathlib
import select
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from lib import install, machine  # noqa: E402
from lib.agent import Frames, frame, wire  # noqa: E402
from lib.common import HarnessError, die_with_parent  # noqa: E402
from lib.qmp import Qmp, QmpError  # noqa: E402

COLD_SECONDS = 400
RESTORE_SECONDS = 120
# A guest that did not come up well must not be the start of every test.
QUIET = """state=$(systemctl is-system-running --wait)
[ "$state" = running ] || { echo "the guest is $state"; systemctl --failed --no-legend --no-pager; exit 1; }
udevadm settle; journalctl --sync; sync"""


class Supervisor:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.order = json.loads((self.directory / "order.json").read_text())
        self.qemu = None
        self.clients = {}
        self.routes = {}
        self.next_route = 1
        self.ending, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake)                            # a signal just ahead of poll(2) is not slept over
        self.frames = Frames(wait_for_sync=True)
        self.said = b""

    # Starting

    def start_qemu(self):
        self.agent, agent_end = socket.socketpair()
        monitor, monitor_end = socket.socketpair()
        sockets = pathlib.Path(self.order["sockets"])
        files = {**self.order["files"], "agent_fd": agent_end.fileno(), "qmp_fd": monitor_end.fileno(),
                 "qmp": str(sockets / "qmp.sock"), "console": str(self.directory / "console.log"),
                 "console_socket": str(sockets / "console.sock")}
        argv = machine.arguments(self.order["spec"], files)
        if self.order["state"]:
            argv += ["-incoming", f"exec:cat '{self.order['state']}'"]
        with open(self.directory / "qemu.log", "ab") as log:
            self.qemu = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                         pass_fds=[agent_end.fileno(), monitor_end.fileno()],
                                         preexec_fn=die_with_parent, start_new_session=True)
        agent_end.close()
        monitor_end.close()
        self.monitor = Qmp(monitor)

    def wait_for_agent(self):
        """patience: a guest that is not expected to come up by itself is the harness's from the start."""
        patience = self.order["spec"].get("patience")
        if patience:
            self.write_state()
            self.say_ready()
        deadline = time.monotonic() + (RESTORE_SECONDS if self.order["state"] else patience or COLD_SECONDS)
        self.agent.sendall(wire.SYNC + frame(0, wire.HELLO))
        hello = json.loads(self.answer(wire.HELLO, deadline))
        if self.order["as_saved"]:
            return hello
        setup = {"time": time.time_ns(), "seed": os.urandom(64).hex(), "hostname": self.order["hostname"]}
        self.agent.sendall(frame(0, wire.SETUP, setup))
        self.answer(wire.SETUP, deadline)
        return hello

    def execute(self, script, data, deadline):
        """A command in the guest before there are clients."""
        self.agent.sendall(frame(1, wire.EXEC, {"argv": ["/bin/sh", "-c", script]}))
        for at in range(0, len(data), 65536):
            self.agent.sendall(frame(1, wire.DATA, data[at:at + 65536]))
        self.agent.sendall(frame(1, wire.EOF))
        self.said = b""
        status = json.loads(self.answer(wire.EXIT, deadline))["status"]
        if status:
            raise HarnessError(f"exit {status} in the guest: {self.said.decode(errors='replace')[-800:]}")

    def answer(self, wanted, deadline):
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise HarnessError("the guest's agent does not answer: see console.log")
            ready, _, _ = select.select([self.agent, self.ending], [], [], left)
            try:
                data = self.agent.recv(65536) if self.agent in ready else None
            except ConnectionResetError:
                data = b""
            if data == b"":
                raise HarnessError(f"QEMU ended during the start: {self.qemu_said()}")
            for _, kind, payload in self.frames.feed(data or b""):
                if kind == wanted:
                    return payload
                if kind in (wire.OUT, wire.ERR):
                    self.said += payload

    def qemu_said(self):
        text = (self.directory / "qemu.log").read_text(errors="replace").strip()
        return text[-600:] or "see console.log"

    def write_state(self, **more):
        state = {"pid": os.getpid(), "qemu_pid": self.qemu.pid, "sockets": self.order["sockets"],
                 "guest": self.order["spec"]["guest"], "accel": self.order["spec"]["accel"], **more}
        partial = self.directory / "state.json.new"
        partial.write_text(json.dumps(state) + "\n")
        partial.rename(self.directory / "state.json")

    # Sharing the agent

    def serve(self):
        poll = select.poll()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(pathlib.Path(self.order["sockets"]) / "agent.sock"))
        listener.listen(16)
        for source in (listener, self.agent, self.monitor.sock, self.ending):
            poll.register(source, select.POLLIN)
        self.poll = poll
        self.say_ready()
        while True:
            for fd, _ in poll.poll():
                if fd == listener.fileno():
                    self.add_client(listener.accept()[0])
                elif fd == self.agent.fileno():
                    if not self.from_guest():
                        self.note_last_events()
                        return
                elif fd == self.monitor.sock.fileno():
                    self.note_events()
                elif fd in self.clients:
                    self.from_client(fd)

    def say_ready(self):
        if not sys.stdout.closed:
            print("ready", flush=True)
            sys.stdout.close()

    def add_client(self, sock):
        self.clients[sock.fileno()] = (sock, Frames())
        self.poll.register(sock, select.POLLIN)

    def drop_client(self, fd):
        """What a client started ends with it."""
        sock, _ = self.clients.pop(fd)
        self.poll.unregister(fd)
        for route, (owner, _) in list(self.routes.items()):
            if owner == fd:
                self.routes[route] = (None, 0)
                self.agent.sendall(frame(route, wire.KILL, b"9"))
        sock.close()

    def from_client(self, fd):
        sock, frames = self.clients[fd]
        try:
            data = sock.recv(1 << 18)
        except OSError:
            data = b""
        if not data:
            self.drop_client(fd)
            return
        for channel, kind, payload in frames.feed(data):
            route = next((r for r, owner in self.routes.items() if owner == (fd, channel)), None)
            if kind == wire.EXEC:
                route = self.next_route
                self.next_route += 1
                self.routes[route] = (fd, channel)
            if route:
                self.agent.sendall(frame(route, kind, payload))

    def from_guest(self):
        try:
            data = self.agent.recv(1 << 18)
        except OSError:
            data = b""
        for route, kind, payload in self.frames.feed(data):
            fd, channel = self.routes.get(route, (None, 0))
            if kind == wire.EXIT:
                self.routes.pop(route, None)
            if fd in self.clients:
                try:
                    self.clients[fd][0].sendall(frame(channel, kind, payload))
                except OSError:
                    self.drop_client(fd)
        return bool(data)

    def note_events(self):
        """Why the guest stopped, if it did, belongs in the node's state."""
        try:
            while True:
                self.note_event(time.monotonic() + 5)
                if b"\n" not in self.monitor.received:         # poll(2) knows of the socket only
                    return
        except QmpError:
            self.poll.unregister(self.monitor.sock)

    def note_event(self, deadline):
        message = self.monitor.next_message(deadline)
        if message.get("event") == "SHUTDOWN":
            self.write_state(ended=message["data"].get("reason", "unknown"))

    def note_last_events(self):
        """QEMU has closed the agent's channel, maybe before its last words on the monitor were read."""
        deadline = time.monotonic() + 5
        with contextlib.suppress(QmpError):
            while True:
                self.note_event(deadline)

    # Ending

    def save(self, path):
        """Waits until the guest is up and quiet, lets it forget this session, then writes its state to a file."""
        deadline = time.monotonic() + COLD_SECONDS
        if self.order["product"]:
            self.execute(install.SCRIPT, pathlib.Path(self.order["product"]).read_bytes(), deadline)
        self.execute(QUIET, b"", deadline)
        self.agent.sendall(frame(0, wire.BYE))
        self.answer(wire.BYE, deadline)
        self.agent.close()
        self.monitor.command("migrate-set-parameters", max_bandwidth=1 << 40)
        self.monitor.command("migrate", uri=f"exec:cat > '{path}'")
        while (state := self.monitor.command("query-migrate")["status"]) != "completed":
            if state in ("failed", "cancelled") or time.monotonic() > deadline:
                raise HarnessError(f"saving the guest's state: {state}")
            select.select([], [], [], 0.1)
        self.monitor.command("quit")
        self.qemu.wait()
        print("ready", flush=True)

    def stop(self):
        if self.qemu and self.qemu.poll() is None:
            self.qemu.kill()
        if self.qemu:
            self.qemu.wait()


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    supervisor = Supervisor(sys.argv[1])
    if not supervisor.order["stays"]:
        die_with_parent()
    try:
        supervisor.start_qemu()
        supervisor.write_state(**supervisor.wait_for_agent())
        if supervisor.order["save"]:
            supervisor.save(supervisor.order["save"])
        else:
            supervisor.serve()
    except HarnessError as error:
        print(str(error).replace("\n", " "), flush=True, file=sys.stderr if sys.stdout.closed else sys.stdout)
    finally:
        supervisor.stop()


if __name__ == "__main__":
    main()
