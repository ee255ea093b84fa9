# SPDX-License-Identifier: Apache-2.0
"""What the checks of worker-faults stand on: one test vault with keys, one worker, one connection to it."""

import os
import select
import socket
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import load_der_public_key

from worker_client import FRESH_CONNECTION, GET_KEY, UNWRAP, TestVault, Worker, remove, scratch

CONFIG = """[Vault main]
Host=localhost:%(vault_port)d
Keys=k1 k2 gone big hsm tagged row
CAFile=%(ca)s
MetadataEndpoint=http://127.0.0.1:%(metadata_port)d

[Vault hsm]
Host=127.0.0.1:%(vault_port)d
Keys=hrow hrsa hsmall k1
CAFile=%(ca)s
Resource=https://managedhsm.azure.net
MetadataEndpoint=http://127.0.0.1:%(metadata_port)d

[Vault hsm-by-the-vaults-audience]
Host=127.0.0.1:%(vault_port)d
Keys=hrow
CAFile=%(ca)s
MetadataEndpoint=http://127.0.0.1:%(metadata_port)d

[Vault old]
Host=localhost:%(vault_port)d
Keys=k1 row
CAFile=%(ca)s
Algorithm=RSA-OAEP
MetadataEndpoint=http://127.0.0.1:%(metadata_port)d

[Vault nobody-there]
Host=localhost:%(silent)d
Keys=k1
CAFile=%(ca)s
MetadataEndpoint=http://127.0.0.1:%(metadata_port)d

[Vault no-name]
Host=no-such-host.invalid
Keys=k1
MetadataEndpoint=http://127.0.0.1:%(metadata_port)d

[Vault system-ca]
Host=localhost:%(vault_port)d
Keys=k1
MetadataEndpoint=http://127.0.0.1:%(metadata_port)d

[Vault no-ca]
Host=localhost:%(vault_port)d
Keys=k1
CAFile=/nonexistent.pem
MetadataEndpoint=http://127.0.0.1:%(metadata_port)d

[Vault no-metadata]
Host=localhost:%(vault_port)d
Keys=k1
CAFile=%(ca)s
MetadataEndpoint=http://127.0.0.1:%(silent)d
"""


class Bench:
    def __init__(self, program):
        self.dir = scratch()
        self.vault = TestVault(os.path.join(self.dir, "vault"), "--hsm-name", "127.0.0.1")
        os.chmod(self.vault.dir, 0o755)
        os.chmod(self.vault.info["ca"], 0o644)
        self.log = open(os.path.join(self.dir, "worker.log"), "w+")
        self.silent = Silent()
        info = dict(self.vault.info, silent=self.silent.port)
        self.worker = Worker(program, os.path.join(self.dir, "worker"), CONFIG % info, ("--debug",), self.log)
        self.kid = self.create("k1")
        self.client = None
        self.reset()
        reply = self.client.call(GET_KEY, self.kid)
        assert reply.verdict == "GRANTED", "the worker does not get the key: %r" % reply
        self.spki = reply.spki

    def create(self, name, **more):
        kid = self.vault.ctl("create-key", name=name, **more)["kid"]
        return kid.replace("vault.test", "localhost")

    def reset(self):
        """No faults; a connection to a worker that runs."""
        self.vault.ctl("fault-clear")
        if self.client is None or self.worker.proc.poll() is not None or self._ended():
            self.connect()

    def _ended(self):
        readable, _, _ = select.select([self.client.sock], [], [], 0)
        return bool(readable)           # nothing is under way, so it is the end

    def connect(self):
        if self.client:
            self.client.sock.close()
        self.client = self.worker.client()

    def connect_to_new_worker(self):
        self.worker.restart()
        self.connect()

    @staticmethod
    def wrap(spki, plain, digest=hashes.SHA256):
        oaep = padding.OAEP(padding.MGF1(digest()), digest(), None)
        return load_der_public_key(spki).encrypt(plain, oaep)

    def challenge(self, **more):
        """A challenge as the manager does it."""
        self.plain = os.urandom(32)
        return self.client.call(UNWRAP, more.pop("key", self.kid), self.wrap(self.spki, self.plain), **more)

    def timed(self, **more):
        start = time.monotonic()
        reply = self.challenge(**more)
        return reply, time.monotonic() - start

    def fresh(self, **more):
        return self.challenge(flags=FRESH_CONNECTION, **more)

    def close(self):
        self.worker.stop()
        self.vault.stop()
        self.silent.close()
        self.log.close()
        remove(self.dir)


class Silent:
    """A listener that counts who knocks, and says nothing."""

    def __init__(self):
        self.sock = socket.socket()
        self.sock.bind(("127.0.0.1", 0))
        self.sock.listen(16)
        self.sock.setblocking(False)
        self.port = self.sock.getsockname()[1]

    def knocks(self):
        n = 0
        while True:
            try:
                self.sock.accept()[0].close()
                n += 1
            except BlockingIOError:
                return n

    def close(self):
        self.sock.close()
