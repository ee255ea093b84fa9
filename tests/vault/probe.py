# SPDX-License-Identifier: Apache-2.0
"""What the self tests share: a server of their own, and a client that shows a reply
as it came, or the exception that a careful client would raise."""

import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import tempfile

import control
import keycrypto

HERE = os.path.dirname(os.path.realpath(__file__))


class Server:
    def __init__(self, *extra, directory=None, quiet=False):
        self.own = directory is None
        self.dir = directory or tempfile.mkdtemp(prefix="cmkd-vault.")
        serve = os.environ.get("CMKD_TEST_SERVE") or os.path.join(HERE, "serve")
        self.proc = subprocess.Popen([serve, "--dir", self.dir, *extra], stdout=subprocess.PIPE, text=True,
                                     stderr=subprocess.DEVNULL if quiet else None)
        line = self.proc.stdout.readline()
        assert line, "the server did not start"
        self.info = json.loads(line)
        self.tls = ssl.create_default_context(cafile=self.info["ca"])
        self.tokens = {}

    def close(self):
        self.proc.terminate()
        status = self.proc.wait(10)
        self.proc.stdout.close()
        if self.own:
            shutil.rmtree(self.dir)
        return status

    def ctl(self, verb, **args):
        answer = control.call(self.dir, verb, **args)
        assert "error" not in answer, "%s: %s" % (verb, answer["error"])
        return answer

    def fault(self, kind, **args):
        options = {k: args.pop(k) for k in list(args) if k not in ("op", "key", "identity", "count", "skip")}
        return self.ctl("fault-set", kind=kind, options=options, **args)

    def token(self, who):
        if who not in self.tokens:
            self.tokens[who] = self.ctl("token", name=who)["token"]
        return self.tokens[who]

    def connect(self, timeout=5):
        conn = Conn("vault.test", self.info["vault_port"], context=self.tls, timeout=timeout)
        return conn

    def ask(self, method, path, body=None, who="admin", headers=None, conn=None, timeout=5, version="7.4"):
        """(status, headers, body as bytes)."""
        conn = conn or self.connect(timeout)
        head = {"x-ms-client-request-id": "0f0f", "Content-Type": "application/json"}
        if who:
            head["Authorization"] = "Bearer " + self.token(who)
        head.update(headers or {})
        if version:
            path += ("&" if "?" in path else "?") + "api-version=" + version
        conn.request(method, path, None if body is None else json.dumps(body), head)
        reply = conn.getresponse()
        return reply.status, reply.headers, reply.read()

    def json(self, method, path, body=None, **args):
        """(status, headers, document)."""
        status, headers, data = self.ask(method, path, body, **args)
        return status, headers, json.loads(data) if data else None

    def unwrap(self, key, wrapped, **args):
        body = {"alg": "RSA-OAEP-256", "value": keycrypto.b64u(wrapped)}
        return self.json("POST", "/keys/%s/unwrapkey" % key, body, **dict({"who": "node"}, **args))

    def wrap(self, key, plain, **args):
        body = {"alg": "RSA-OAEP-256", "value": keycrypto.b64u(plain)}
        return self.json("POST", "/keys/%s/wrapkey" % key, body, **dict({"who": "node"}, **args))

    def wrapped(self, key, plain):
        status, _, doc = self.wrap(key, plain, who="admin")
        assert status == 200, doc
        return keycrypto.unb64u(doc["value"])

    def metadata(self, query="api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net", headers=None, timeout=5,
                 path="/metadata/identity/oauth2/token"):
        conn = http.client.HTTPConnection("127.0.0.1", self.info["metadata_port"], timeout=timeout)
        conn.request("GET", path + "?" + query, headers={"Metadata": "true"} if headers is None else headers)
        reply = conn.getresponse()
        return reply.status, json.loads(reply.read())


class Conn(http.client.HTTPSConnection):
    """The vault's name leads to loopback; certificates are checked for the name."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._create_connection = lambda address, *a: socket.create_connection(("127.0.0.1", address[1]), *a)


def same(got, want, what=""):
    assert got == want, "%s: got %r, want %r" % (what, got, want)


def error(reply, status, code, inner=None, text=""):
    """The reply is the vendor's error with these codes and headers."""
    same(reply[0], status, "status")
    doc = reply[2]["error"]
    same(doc["code"], code, "code")
    same(doc.get("innererror", {}).get("code"), inner, "innererror")
    assert text in doc["message"], "message %r lacks %r" % (doc["message"], text)
    for name in ("x-ms-request-id", "x-ms-keyvault-region", "x-ms-keyvault-service-version",
                 "x-ms-keyvault-network-info"):
        assert reply[1].get(name), "no header %s" % name
    same(reply[1].get("x-ms-client-request-id"), "0f0f", "client request id")
