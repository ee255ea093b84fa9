# SPDX-License-Identifier: Apache-2.0
"""The server of OpenBao or of HashiCorp's Vault in development mode, and its API as its owner uses it."""

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import urllib.request
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "unit"))
from worker_client import wait_for              # noqa: E402

ROOT = "root-" + uuid.uuid4().hex


class NotThere(Exception):
    """The server has no such thing: a claim that is skipped, with this reason."""


# What HashiCorp's server lacks that is built as tests/interop/vault builds it.
LACKS = {"vault": {"soft delete": "OpenBao's alone", "namespaces": "in its Enterprise edition only",
                   "kubernetes": "this build has no such login", "xchacha20-poly1305": "OpenBao's alone"}, "openbao": {}}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """PROGRAM server -dev. With kind "vault" the audit device is switched on by its API: OpenBao has it in the configuration only."""

    def __init__(self, program, directory, kind="openbao"):
        self.port, self.dir = free_port(), directory
        self.audit = os.path.join(directory, "audit.log")
        config = os.path.join(directory, "audit.hcl")
        with open(config, "w") as f:
            if kind == "openbao":
                f.write('audit "file" "log" {\n  options {\n    file_path = "%s"\n  }\n}\n' % self.audit)
        self.who = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
        if self.who:
            os.chown(directory, 65534, 65534)
            os.chmod(config, 0o644)
        self.log = open(os.path.join(directory, "server.log"), "w+")
        own = os.path.join(directory, "bao")        # the cache may be where nobody gets to
        try:
            os.link(program, own)
        except OSError:
            shutil.copy(program, own)
        os.chmod(own, 0o755)
        self.proc = subprocess.Popen(
            [own, "server", "-dev", "-dev-tls", "-dev-tls-cert-dir=" + directory, "-dev-root-token-id=" + ROOT,
             "-dev-listen-address=127.0.0.1:%d" % self.port, "-dev-no-store-token", "-config=" + config],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, cwd=directory,
            env={"HOME": directory, "PATH": "/usr/bin:/bin"}, **self.who)
        self.ca = os.path.join(directory, "vault-ca.pem")
        wait_for(self.is_up, 60)
        if kind == "vault":
            self.call("PUT", "sys/audit/log", {"type": "file", "options": {"file_path": self.audit}})
        self.unseal_key = re.search(r"Unseal Key: (\S+)", open(self.log.name).read()).group(1)

    def is_up(self):
        assert self.proc.poll() is None, "the server ended: " + open(self.log.name).read()[-400:]
        try:
            return not self.get("sys/health")["sealed"] and "Unseal Key: " in open(self.log.name).read()
        except (OSError, ValueError):
            return False

    def call(self, method, path, body=None, namespace=None, wrap=False):
        q = urllib.request.Request("https://localhost:%d/v1/%s" % (self.port, path), method=method,
                                   data=None if body is None else json.dumps(body).encode(),
                                   headers={"X-Vault-Token": ROOT, **({"X-Vault-Wrap-TTL": "300"} if wrap else {})})
        if namespace:
            q.add_header("X-Vault-Namespace", namespace)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(
            context=ssl.create_default_context(cafile=self.ca)))
        with opener.open(q, timeout=120) as y:     # an RSA key of 4096 bits, on a machine under load
            text = y.read()
        return json.loads(text) if text else {}

    def get(self, where):
        return self.call("GET", where)

    def post(self, where, namespace=None, /, **body):
        return self.call("POST", where, body, namespace)

    def requests(self, path, kind="response"):
        """Lines of the audit log for a path."""
        with open(self.audit) as f:
            rows = [json.loads(line) for line in f]
        return [r for r in rows if r["type"] == kind and r["request"].get("path") == path]

    def stop(self):
        self.proc.kill()
        self.proc.wait()
