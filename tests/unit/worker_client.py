# SPDX-License-Identifier: Apache-2.0
"""A client of cmkd-vault's socket for tests: the frames of daemon/common/wire.h and vault-proto.h, by hand, so that a
mistake in the C encoder cannot hide behind itself. Also starts the worker and the test vault."""

import json
import os
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import uuid

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "vault"))
import control                                      # noqa: E402

MAGIC, VERSION, REQUEST, REPLY, REPLY_TAGS, REQUEST_BOUND, REQUEST_STORED = 0x646B6D63, 1, 0x0101, 0x0102, 0x0103, 0x0105, 0x0106
GET_KEY, WRAP, UNWRAP, CHECK_DELETED, WRAP_NEW, CHECK_STORED, MAY_STORE, CHECK_EXCESS = 1, 2, 3, 4, 7, 8, 9, 10
FRESH_CONNECTION, FRESH_TOKEN, DELIVER = 1, 2, 4
ENABLED, CAN_WRAP, CAN_UNWRAP, PURGE_PROTECTED, HSM, TAGS_LEFT_OUT = 1, 2, 4, 8, 16, 32
KEPT = 75           # the exit status of a worker for which systemd keeps something
VERDICTS = ("GRANTED", "REVOKED", "DENIED", "DENIED_WEAK", "THROTTLED", "UNREACHABLE", "MISCONFIGURED", "BROKEN")


def _bytes(b):
    return struct.pack("<H", len(b)) + b


def frame(kind, ident, payload):
    return struct.pack("<IHHII", MAGIC, VERSION, kind, ident, len(payload)) + payload


def request(op, key, blob=b"", flags=0, vault="main", algorithm="RSA-OAEP-256", timeout_ms=5000, client_id=None,
            configured_usec=0, volume=None, digest=None):
    texts = [vault, key, algorithm, client_id or str(uuid.uuid4())]
    return struct.pack("<BB", op, flags) + b"".join(_bytes(t.encode()) for t in texts) + \
        struct.pack("<I", timeout_ms) + _bytes(blob) + struct.pack("<Q", configured_usec) + \
        (_bytes(volume.encode()) if volume else b"") + (_bytes(digest) if digest is not None else b"")


class Cursor:
    def __init__(self, data):
        self.data = data

    def take(self, form):
        size = struct.calcsize("<" + form)
        head, self.data = self.data[:size], self.data[size:]
        return struct.unpack("<" + form, head)[0]

    def bytes(self):
        n = self.take("H")
        head, self.data = self.data[:n], self.data[n:]
        assert len(head) == n
        return head

    def text(self):
        return self.bytes().decode("ascii")


class Reply:
    def __init__(self, data):
        magic, version, kind, self.id, length = struct.unpack("<IHHII", data[:16])
        assert (magic, version, length) == (MAGIC, VERSION, len(data) - 16), "bad header"
        assert kind in (REPLY, REPLY_TAGS), "bad type"
        self.raw = data
        c = Cursor(data[16:])
        self.verdict, self.status = VERDICTS[c.take("B")], c.take("H")
        self.code, self.text, self.request_id, self.kid = c.text(), c.text(), c.text(), c.text()
        self.retry_after, self.round_trip_usec, self.token_usec = c.take("I"), c.take("I"), c.take("I")
        self.key_flags, self.key_bits, self.key_type = c.take("B"), c.take("H"), c.text()
        self.not_before, self.expires, self.recovery_level = c.take("Q"), c.take("Q"), c.text()
        self.spki, self.blob, self.delivered = c.bytes(), c.bytes(), c.take("I")
        self.tags = {c.text(): c.text() for _ in range(c.take("B"))} if kind == REPLY_TAGS else {}
        assert bool(self.tags) == (kind == REPLY_TAGS), "tags without any"
        assert not c.data, "bytes left over"

    def __repr__(self):
        return "%s %d %s (%s)" % (self.verdict, self.status, self.code, self.text[:60])


class Client:
    """One connection to the worker."""

    def __init__(self, sock, vault="main", worker=None):
        self.sock, self.vault, self.worker, self.next, self.early = sock, vault, worker, 1, {}
        self.frames = []                            # every byte that ever came

    def send(self, op, key, blob=b"", pipe=None, **more):
        ident, self.next = self.next, self.next + 1
        kind = REQUEST_STORED if more.get("digest") is not None else REQUEST_BOUND if more.get("volume") else REQUEST
        data = frame(kind, ident, request(op, key, blob, **dict({"vault": self.vault}, **more)))
        if pipe is None:
            self.sock.send(data)
        else:
            socket.send_fds(self.sock, [data], [pipe])
        return ident

    def receive(self, ident, timeout=60):
        end = time.monotonic() + timeout
        while ident not in self.early:
            # a worker that was about to end leaves the connection in the socket's backlog: the next one takes it, as under systemd
            while self.worker and not select.select([self.sock], [], [], 0.1)[0] and time.monotonic() < end:
                self.worker.revive()
            self.sock.settimeout(max(end - time.monotonic(), 0.1))
            data = self.sock.recv(65536)
            if not data:
                raise EOFError("the worker closed the connection")
            self.frames.append(data)
            reply = Reply(data)
            self.early[reply.id] = reply
        return self.early.pop(ident)

    def call(self, *args, **more):
        return self.receive(self.send(*args, **more), max(60, more.get("timeout_ms", 0) / 1000 + 5))

    def release(self, key, blob, **more):
        """(reply, what came through the pipe)"""
        r, w = os.pipe()
        try:
            ident = self.send(UNWRAP, key, blob, pipe=w, **dict({"flags": DELIVER}, **more))
            os.close(w)
            w = -1
            reply = self.receive(ident)
            got = b""
            while True:
                piece = os.read(r, 4096)
                if not piece:
                    return reply, got
                got += piece
        finally:
            os.close(r)
            if w >= 0:
                os.close(w)


class TestVault:
    """tests/vault/serve in a directory of its own."""

    def __init__(self, directory, *args):
        self.dir = directory
        self.proc = subprocess.Popen([os.path.join(HERE, "..", "vault", "serve"), "--dir", directory, *args],
                                     stdout=subprocess.PIPE)
        self.info = json.loads(self.proc.stdout.readline())

    def ctl(self, verb, **args):
        answer = control.call(self.dir, verb, **args)
        assert "error" not in answer, answer
        return answer

    def fault(self, kind, op=None, count=None, skip=0, **options):
        return self.ctl("fault-set", kind=kind, op=op, count=count, skip=skip, options=options)

    def log(self, since=0, op=None):
        return self.ctl("log", since=since, op=op)["log"]

    def stop(self):
        self.proc.terminate()
        self.proc.wait()


class Worker:
    """cmkd-vault, started with a configuration of its own."""

    def __init__(self, program, directory, config, args=(), stderr=None):
        self.root, self.program, self.args = directory, program, args
        self.sock = os.path.join(directory, "vault.sock")
        os.makedirs(os.path.join(directory, "etc/cmkd"), exist_ok=True)
        with open(os.path.join(directory, "etc/cmkd/cmkd.conf"), "w") as f:
            f.write(config)
        self.stderr = stderr
        self.proc = None
        self.start()

    def start(self):
        # the listening socket is ours and outlives the worker, as under systemd
        if not os.path.exists(self.sock):
            self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self.listener.bind(self.sock)
            self.listener.listen(16)
        fd = self.listener.fileno()
        self.proc = subprocess.Popen([self.program, "--socket-fd", str(fd), "--root", self.root, *self.args],
                                     pass_fds=[fd], stdin=subprocess.DEVNULL, stderr=self.stderr,
                                     env={"HTTPS_PROXY": "http://127.0.0.1:1", "http_proxy": "http://127.0.0.1:1", "NO_PROXY": "*",
                                          "ASAN_OPTIONS": "detect_leaks=0"})

    def client(self, vault="main"):
        """A connection; the worker is started again if it has ended by itself."""
        self.revive()
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.connect(self.sock)
        return Client(s, vault, self)

    def revive(self):
        if self.proc.poll() is not None:
            assert self.proc.returncode in (0, KEPT), "the worker ended with status %d" % self.proc.returncode
            self.start()

    def restart(self):
        self.stop()
        self.start()

    def stop(self):
        if self.proc.poll() is None:
            self.proc.terminate()
        return self.proc.wait(20)


def scratch():
    path = tempfile.mkdtemp(prefix="cmkd-worker-")
    os.chmod(path, 0o755)
    return path


def remove(path):
    shutil.rmtree(path, ignore_errors=True)


def wait_for(what, seconds=10):
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            raise TimeoutError("waited %d s" % seconds)
        time.sleep(0.02)
