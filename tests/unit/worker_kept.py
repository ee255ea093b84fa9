# SPDX-License-Identifier: Apache-2.0
"""cmkd-vault started as by systemd, which keeps descriptors for the next worker; its part is played here."""

import array
import fcntl
import os
import socket
import subprocess
import sys
import threading

sys.dont_write_bytecode = True
from worker_client import Worker                    # noqa: E402


class Systemd:
    """The end of NOTIFY_SOCKET that keeps descriptors."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(path)
        os.chmod(path, 0o666)
        self.path, self.store, self.settled = path, [], threading.Event()
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            text, control, _, _ = self.sock.recvmsg(4096, socket.CMSG_SPACE(4 * 8))
            fds = array.array("i")
            for _, _, data in control:
                fds.frombytes(data)
            words = dict(line.partition("=")[::2] for line in text.decode().split("\n"))
            if "SETTLED" in words:
                self.settled.set()
            if words.get("FDSTOREREMOVE") == "1":
                self.forget(words["FDNAME"])
            if words.get("FDSTORE") == "1" and words["FDPOLL"] == "0":
                self.store.append((words["FDNAME"], fds[0]))

    def settle(self):
        """Returns when all that was sent until now has been taken."""
        self.settled.clear()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.sendto(b"SETTLED=1", self.path)
        assert self.settled.wait(10)

    def put(self, name, data):
        """As if an earlier worker had sent it; the next one that starts has it."""
        self.settle()
        self.forget(name)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.send(data)
        ours.close()
        self.store.append((name, theirs.detach()))

    def forget(self, name):
        for _, fd in [e for e in self.store if e[0] == name]:
            os.close(fd)
        self.store = [e for e in self.store if e[0] != name]


class Kept(Worker):
    """Started as by systemd: the listening socket is 3, what is kept follows."""

    def __init__(self, systemd, *args):
        self.systemd = systemd
        super().__init__(*args)

    def start(self):
        if not os.path.exists(self.sock):
            self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self.listener.bind(self.sock)
            self.listener.listen(16)
        self.systemd.settle()
        fds = [("cmkd-vault.socket", self.listener.fileno()), *self.systemd.store]
        # above what they are moved to: a descriptor must not be overwritten before its turn
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for _, fd in fds]
        moved = "".join(" %d<&%d" % (3 + i, fd) for i, fd in enumerate(high))
        self.proc = subprocess.Popen(["bash", "-c", 'LISTEN_PID=$$ exec "$@"' + moved, "sh", self.program, "--root", self.root, *self.args],
                                     pass_fds=high, stdin=subprocess.DEVNULL, stderr=self.stderr,
                                     env={"LISTEN_FDS": str(len(fds)), "LISTEN_FDNAMES": ":".join(name for name, _ in fds),
                                          "NOTIFY_SOCKET": self.systemd.path, "ASAN_OPTIONS": "detect_leaks=0"})
        for fd in high:
            os.close(fd)
