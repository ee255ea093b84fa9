# SPDX-License-Identifier: Apache-2.0
"""The test vault (tests/vault) as tests hold it: a process on the host's loopback that ends with the test."""

import json
import pathlib
import select
import subprocess

from .common import TOP, HarnessError, die_with_parent, eventually

PROGRAMS = TOP / "tests/vault"
HOST = "vault.test"
HSM = "cmkd-test.managedhsm.azure.net"     # the same keys, as those of a Managed HSM
CA_IN_NODE = "/etc/cmkd/vault-ca.pem"


class Vault:
    """url, vault_port, metadata_port, ca (paths and ports of the host); verbs of tests/vault/ctl by ctl()."""

    def __init__(self, directory, *arguments):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.log = open(self.directory / "serve.log", "ab")
        argv = [str(PROGRAMS / "serve"), "--dir", str(self.directory), "--host-name", HOST, "--hsm-name", HSM, *arguments]
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log,
                                        preexec_fn=die_with_parent)
        ready, _, _ = select.select([self.process.stdout], [], [], 60)
        line = self.process.stdout.readline() if ready else b""
        if not line:
            self.stop()
            raise HarnessError(f"the test vault did not start: {(self.directory / 'serve.log').read_text()[-800:]}")
        self.ports = json.loads(line)
        self.vault_port = self.ports["vault_port"]
        self.metadata_port = self.ports["metadata_port"]
        self.ca = self.ports["ca"]
        self.url = self.ports["url"]
        self.metadata_url = f"http://169.254.169.254:{self.metadata_port}"

    def ctl(self, *words, timeout=60):
        """A verb of tests/vault/ctl; its whole answer as a dict. ctl("disable", "k1")["time"] is when it took effect."""
        argv = [str(PROGRAMS / "ctl"), "--dir", str(self.directory), "--json", *map(str, words)]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=timeout)
        if done.returncode:
            raise HarnessError(f"test vault: {' '.join(map(str, words))}: {(done.stderr or done.stdout).strip()}")
        return json.loads(done.stdout) if done.stdout.strip() else {}

    def create_key(self, name, *words):
        """A key's identifier with its version: https://vault.test:PORT/keys/NAME/VERSION."""
        return self.ctl("create-key", name, *words)["kid"]

    def fault(self, kind, *words):
        return self.ctl("fault", "set", kind, *words)

    def wait_taken(self, fault, timeout):
        """Until a fault that is set for a number of requests has had them all: then it is on no list any more."""
        eventually(lambda: all(rule["id"] != fault["id"] for rule in self.ctl("fault", "list")["faults"]), timeout,
                   "the vault is asked for what it is set to fail")

    def requests(self):
        """All requests so far, as the vault logged them."""
        path = self.directory / "requests.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def introduce(self, node):
        """Lets a node find the vault by its name and know its CA (CA_IN_NODE)."""
        for name in (HOST, HSM):
            node.sh(f"grep -q ' {name}$' /etc/hosts || echo '169.254.169.254 {name}' >> /etc/hosts")
        node.push(self.ca, CA_IN_NODE)
        node.sh(f"chmod 644 {CA_IN_NODE}")

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.log.close()
