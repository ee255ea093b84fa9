# SPDX-License-Identifier: Apache-2.0
"""The claims of tests/interop/openbao and tests/interop/vault, in order: each leaves the server as it found it, but for keys of its own."""

import base64
import datetime
import json
import os
import re
import sys
import time
import uuid

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "unit"))
from transit_server import LACKS, NotThere, Server, free_port    # noqa: E402
from token_review import TokenReview        # noqa: E402
from worker_client import (CAN_UNWRAP, CAN_WRAP, CHECK_DELETED, CHECK_EXCESS, ENABLED, FRESH_TOKEN, GET_KEY, PURGE_PROTECTED,  # noqa: E402
                           UNWRAP, WRAP, WRAP_NEW, Worker, remove, scratch, wait_for)

POLICY = 'path "transit/%s/*" { capabilities = ["%s"] }\n'
TEAM = 'path "team/keys/*" { capabilities = ["update", "read"] }\n'
NODE = TEAM + POLICY % ("decrypt", "update") + POLICY % ("encrypt", "update") + POLICY % ("keys", "read")


class Claims:
    def __init__(self, program, worker, kind="openbao"):
        self.dir = scratch()
        self.lacks = LACKS[kind]
        where = os.path.join(self.dir, "server")
        os.mkdir(where)
        self.bao = b = Server(program, where, kind)
        b.post("sys/mounts/transit", type="transit")
        b.post("sys/mounts/team/keys", type="transit")
        b.post("sys/auth/approle", type="approle")
        b.post("sys/auth/jwt", type="jwt")
        b.post("sys/policies/acl/node", policy=NODE)
        b.post("sys/config/auditing/request-headers/x-request-id", hmac=False)
        b.post("auth/approle/role/node", token_policies="node", token_ttl="1h")
        for name in ("k", "gone"):
            b.post("transit/keys/" + name, type="rsa-2048")
        self.set_up_jwt()
        self.set_up_certificates()
        if self.has("kubernetes"):
            self.set_up_kubernetes()
        self.write("secret-id", b.post("auth/approle/role/node/secret-id")["data"]["secret_id"])
        self.write("token", self.new_token())
        self.cluster = b.get("sys/health")["cluster_id"]
        self.log = open(os.path.join(self.dir, "worker.log"), "w+")
        self.closed = free_port()
        self.worker = Worker(worker, os.path.join(self.dir, "worker"), self.config(), ("--debug",), self.log)
        self.uri = "https://localhost:%d/keys/%%s" % b.port
        self.sealed = {}

    def has(self, what):
        return what not in self.lacks

    def needs(self, what):
        if not self.has(what):
            raise NotThere("%s: %s" % (what, self.lacks[what]))

    def set_up_jwt(self):
        self.signer = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = self.signer.public_key().public_bytes(serialization.Encoding.PEM,
                                                       serialization.PublicFormat.SubjectPublicKeyInfo).decode()
        self.bao.post("auth/jwt/config", jwt_validation_pubkeys=[public])
        self.bao.post("auth/jwt/role/node", role_type="jwt", user_claim="sub", bound_audiences=["cmkd"],
                      token_policies="node")
        self.write("jwt", self.jwt("node-1"))

    def set_up_certificates(self):
        self.authority, self.stranger = ((rsa.generate_private_key(public_exponent=65537, key_size=2048), name)
                                         for name in ("authority", "stranger"))
        self.bao.post("sys/auth/cert", type="cert")
        self.bao.post("auth/cert/certs/node", certificate=self.certificate(self.authority, *self.authority, ca=True),
                      token_policies="node")
        self.write_certificate("node-1", self.authority)

    cluster_api = None

    def set_up_kubernetes(self):
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        certificate = self.certificate(self.authority, key, "localhost")
        self.write("cluster.pem", certificate)
        self.write("cluster.key", self.private_pem(key))
        self.cluster_api = TokenReview(os.path.join(self.dir, "cluster.pem"), os.path.join(self.dir, "cluster.key"), {})
        self.bao.post("sys/auth/kubernetes", type="kubernetes")
        self.bao.post("auth/kubernetes/config", kubernetes_host=self.cluster_api.url, token_reviewer_jwt=self.account_token("reviewer"),
                      kubernetes_ca_cert=self.certificate(self.authority, *self.authority, ca=True), disable_local_ca_jwt=True)
        self.bao.post("auth/kubernetes/role/node", bound_service_account_names=["cmkd-node"],
                      bound_service_account_namespaces=["nodes"], token_policies="node")
        self.write("account", "none")

    def account_token(self, name):
        """As a cluster signs one for a pod."""
        return self.signed({"sub": "system:serviceaccount:nodes:" + name, "aud": ["kubernetes"], "jti": str(uuid.uuid4()),
                            "kubernetes.io": {"namespace": "nodes", "serviceaccount": {"name": name, "uid": "0d1c6d4e-uid"}}})

    @staticmethod
    def private_pem(key):
        return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()

    @staticmethod
    def certificate(by, key, name, ca=False):
        def called(text):
            return x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, text)])
        now = datetime.datetime.now(datetime.timezone.utc)
        made = (x509.CertificateBuilder().subject_name(called(name)).issuer_name(called(by[1])).public_key(key.public_key())
                .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
                .not_valid_after(now + datetime.timedelta(hours=1))
                .add_extension(x509.BasicConstraints(ca=ca, path_length=None), True)
                .add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH,
                                                      x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), False)
                .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False))
        return made.sign(by[0], hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    def write_certificate(self, name, by):
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.write("node.pem", self.certificate(by, key, name))
        self.write("node.key", self.private_pem(key))

    def jwt(self, subject, audience="cmkd"):
        return self.signed({"sub": subject, "aud": audience})

    def signed(self, claims):
        def part(data):
            return base64.urlsafe_b64encode(data).rstrip(b"=")
        now = int(time.time())
        claims = {**claims, "iat": now, "exp": now + 600}
        text = part(b'{"alg":"RS256","typ":"JWT"}') + b"." + part(json.dumps(claims).encode())
        return (text + b"." + part(self.signer.sign(text, padding.PKCS1v15(), hashes.SHA256()))).decode()

    def write(self, name, text, mode=0o640):
        """As root the worker is nobody's: the group may read it, as it is to be on a node."""
        path = os.path.join(self.dir, name)
        with open(path + ".new", "w") as f:
            f.write(text + "\n")
        os.chmod(path + ".new", mode)
        if os.geteuid() == 0:
            os.chown(path + ".new", 0, 65534)
        os.rename(path + ".new", path)

    def new_token(self, **more):
        return self.bao.post("auth/token/create", **dict({"policies": ["node"], "ttl": "1h"}, **more))["auth"]["client_token"]

    def config(self):
        role = self.bao.get("auth/approle/role/node/role-id")["data"]["role_id"]
        common = "Provider=transit\nHost=%s:%d\nKeys=%s\nCAFile=%s\n"
        approle = "RoleId=%s\nSecretIdFile=%s/secret-id\n" % (role, self.dir)
        b, d = self.bao, self.dir

        def vault(name, keys, more, host="localhost", port=b.port):
            return "[Vault %s]\n" % name + common % (host, port, keys, b.ca) + more + "\n"
        # one host, many sections: each has keys of its own
        return (vault("main", "k gone replaced sym versions soft limited", approle) +
                vault("file", "of-file", "TokenFile=%s/token\n" % d) +
                vault("jwt", "of-jwt", "Role=node\nJwtFile=%s/jwt\n" % d) +
                vault("kubernetes", "of-kubernetes", "AuthMount=kubernetes\nRole=node\nJwtFile=%s/account\n" % d) +
                vault("cluster", "of-cluster", approle + "ClusterId=%s\n" % self.cluster) +
                vault("other-login", "of-other-login", approle + "ClusterId=%s\n" % uuid.uuid4()) +
                vault("other", "of-other", "TokenFile=%s/token\nClusterId=%s\n" % (d, uuid.uuid4())) +
                vault("servers", "of-servers", approle + "ClusterId=%s\nServers=localhost:%d\n" % (self.cluster, b.port),
                      port=self.closed) +
                vault("mount", "of-mount", approle + "Mount=team/keys\n") +
                vault("nomount", "of-nomount", approle + "Mount=nowhere\n") +
                vault("space", "of-space", "Namespace=ns1\nTokenFile=%s/space-token\nClusterId=%s\n" % (d, self.cluster)) +
                vault("cert", "of-cert", "ClientCertificate=%s/node.pem\nClientKey=%s/node.key\n" % (d, d)) +
                vault("wrapped", "of-wrapped", "RoleId=%s\nSecretIdFile=%s/wrapped-id\nSecretIdWrapped=yes\n" % (role, d)) +
                vault("short", "of-short", "RoleId=short\nSecretIdFile=%s/short-id\n" % d))

    def client(self, vault="main"):
        return self.worker.client(vault)

    def key(self, name="k", vault="main", version="1"):
        """The key's identifier with a version, and its public half."""
        y = self.client(vault).call(GET_KEY, self.uri % name)
        assert y.verdict == "GRANTED", y
        return "%s/%s" % (self.uri % name, version), serialization.load_der_public_key(y.spki)

    def seal_for(self, name="k", vault="main", size=32):
        """(identifier, plaintext, wrapped as a node does it)"""
        uri, public = self.key(name, vault)
        plain = os.urandom(size)
        return uri, plain, public.encrypt(plain, padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None))

    def challenge(self, name="k", vault="main", **more):
        """The reply to a challenge wrapped when the key was still good."""
        if name not in self.sealed:
            self.sealed[name] = self.seal_for(name, vault)
        uri, plain, blob = self.sealed[name]
        y = self.client(vault).call(UNWRAP, uri, blob, **more)
        assert y.verdict != "GRANTED" or y.blob == plain, "a wrong answer"
        return y

    def sealed_k(self):
        self.expect(self.challenge(), "GRANTED")
        return self.sealed["k"]

    def expect(self, y, verdict, code=None, text=None):
        assert y.verdict == verdict and (code is None or y.code == code) and (text is None or text in y.text), repr(y)
        return y

    def make(self, name, mount="transit", **more):
        self.bao.post("%s/keys/%s" % (mount, name), **dict({"type": "rsa-2048"}, **more))

    # keys
    def c01_get_key(self):
        y = self.expect(self.client().call(GET_KEY, self.uri % "k"), "GRANTED")
        assert y.kid == self.uri % "k" + "/1" and y.key_type == "rsa-2048" and y.key_bits == 2048, y
        assert y.key_flags == ENABLED | CAN_WRAP | CAN_UNWRAP | PURGE_PROTECTED, y.key_flags
        assert y.recovery_level == "deletion not allowed", y.recovery_level

    def c02_challenge_wrapped_here(self):
        y = self.expect(self.challenge(), "GRANTED")
        assert y.kid == self.uri % "k" + "/1" and uuid.UUID(y.request_id)

    def c03_wrapped_by_the_vault(self):
        plain = os.urandom(32)
        y = self.expect(self.client().call(WRAP, self.uri % "k/1", plain), "GRANTED")
        assert len(y.blob) == 256, len(y.blob)
        assert self.expect(self.client().call(UNWRAP, self.uri % "k/1", y.blob), "GRANTED").blob == plain

    def c04_release_by_the_pipe_only(self):
        uri, plain, blob = self.seal_for(size=64)
        c = self.client()
        y, got = c.release(uri, blob)
        self.expect(y, "GRANTED")
        assert got == plain and y.delivered == 64 and not y.blob
        assert not any(plain in f for f in c.frames)

    def c05_sizes(self):
        for bits in (3072, 4096):
            self.make("versions", type="rsa-%d" % bits)
            y = self.expect(self.client().call(GET_KEY, self.uri % "versions"), "GRANTED")
            assert y.key_bits == bits, y
            uri, plain, blob = self.seal_for("versions", size=64)
            assert self.client().release(uri, blob)[1] == plain
            self.delete("versions")

    def delete(self, name):
        self.bao.post("transit/keys/%s/config" % name, deletion_allowed=True)
        self.bao.call("DELETE", "transit/keys/" + name)

    def c06_other_types_refused(self):
        for more in ({"type": "aes128-gcm96"}, {"type": "xchacha20-poly1305"}, {"type": "ed25519"},
                     {"type": "aes256-gcm96", "derived": True}):
            if not self.has(more["type"]):
                continue
            self.make("sym", **more)
            self.expect(self.client().call(GET_KEY, self.uri % "sym"), "MISCONFIGURED", "key type", "not supported")
            self.delete("sym")

    def symmetric(self, kind, algorithm):
        """A canary and W, each bound: W to its volume. One that the owner deletes and makes anew is another key."""
        self.make("sym", type=kind)
        y = self.expect(self.client().call(GET_KEY, self.uri % "sym"), "GRANTED")
        assert (y.key_type, y.key_bits, y.spki) == (algorithm, 256, b"") and y.key_flags & PURGE_PROTECTED, y
        uri, a, b = self.uri % "sym/1", str(uuid.uuid4()), str(uuid.uuid4())
        plain = os.urandom(32)
        canary = self.expect(self.client().call(WRAP, uri, plain, algorithm=algorithm), "GRANTED").blob
        assert self.expect(self.client().call(UNWRAP, uri, canary, algorithm=algorithm), "GRANTED").blob == plain
        made = self.expect(self.client().call(WRAP_NEW, uri, algorithm=algorithm, volume=a), "GRANTED").blob
        y, got = self.client().release(uri, made, algorithm=algorithm, volume=a)
        assert y.verdict == "GRANTED" and len(got) == 64 and len(made) == 92 and len(canary) == 60
        # nobody else's, and not without what it is bound to
        for blob, volume in ((made, b), (made, None), (canary, a)):
            y, got = self.client().release(uri, blob, algorithm=algorithm, volume=volume)
            self.expect(y, "DENIED", "other key", "message authentication failed")
            assert got == b""
        self.bao.post("transit/keys/sym/rotate")
        assert self.expect(self.client().call(UNWRAP, uri, canary, algorithm=algorithm), "GRANTED").blob == plain
        self.bao.post("transit/keys/sym/config", min_decryption_version=2)
        self.expect(self.client().call(UNWRAP, uri, canary, algorithm=algorithm), "REVOKED", "version barred")
        y, got = self.client().release(uri, made, algorithm=algorithm, volume=a)
        self.expect(y, "REVOKED", "version barred")
        assert not self.expect(self.client().call(GET_KEY, uri), "GRANTED").key_flags & ENABLED
        self.bao.post("transit/keys/sym/config", min_decryption_version=1)
        if self.has("soft delete"):
            self.bao.call("DELETE", "transit/keys/sym/soft-delete")
            self.expect(self.client().call(UNWRAP, uri, canary, algorithm=algorithm), "REVOKED", "key soft-deleted")
            self.bao.post("transit/keys/sym/soft-delete-restore")
        self.delete("sym")
        assert self.expect(self.client().call(UNWRAP, uri, canary, algorithm=algorithm), "REVOKED", "key not found").status == 404
        self.make("sym", type=kind)
        self.expect(self.client().call(UNWRAP, uri, canary, algorithm=algorithm), "DENIED", "other key")
        self.delete("sym")
        self.make("sym", type="rsa-2048")
        self.expect(self.client().call(UNWRAP, uri, canary, algorithm=algorithm), "DENIED", "other key", "non-AEAD")
        self.delete("sym")

    def c07_aes(self):
        self.symmetric("aes256-gcm96", "A256GCM")

    def c07_chacha20(self):
        self.symmetric("chacha20-poly1305", "C20P")

    def c07_other_mount(self):
        self.make("of-mount", "team/keys")
        self.expect(self.challenge("of-mount", "mount"), "GRANTED")

    def c08_safety_of_the_key(self):
        self.make("versions", exportable=True)
        y = self.expect(self.client().call(GET_KEY, self.uri % "versions"), "GRANTED")
        assert not y.key_flags & PURGE_PROTECTED and y.recovery_level == "deletion not allowed, exportable", y.recovery_level
        self.delete("versions")
        self.make("versions")
        self.bao.post("transit/keys/versions/config", deletion_allowed=True)
        y = self.expect(self.client().call(GET_KEY, self.uri % "versions"), "GRANTED")
        assert not y.key_flags & PURGE_PROTECTED and y.recovery_level == "deletion allowed", y.recovery_level
        self.delete("versions")

    # what the key's owner does
    def c10_soft_deleted(self):
        self.needs("soft delete")
        self.make("soft")
        self.expect(self.challenge("soft"), "GRANTED")
        self.bao.call("DELETE", "transit/keys/soft/soft-delete")
        self.expect(self.challenge("soft"), "REVOKED", "key soft-deleted", "refusing to use soft-deleted key")
        y = self.expect(self.client().call(GET_KEY, self.uri % "soft"), "GRANTED")
        assert not y.key_flags & ENABLED
        self.bao.post("transit/keys/soft/soft-delete-restore")
        self.expect(self.challenge("soft"), "GRANTED")

    def c11_version_barred(self):
        self.make("versions")
        self.expect(self.challenge("versions"), "GRANTED")
        self.bao.post("transit/keys/versions/rotate")
        self.expect(self.challenge("versions"), "GRANTED")
        y = self.client().call(GET_KEY, self.uri % "versions")
        assert y.kid.endswith("/2"), y.kid
        self.bao.post("transit/keys/versions/config", min_decryption_version=2)
        self.expect(self.challenge("versions"), "REVOKED", "version barred")
        y = self.expect(self.client().call(GET_KEY, self.uri % "versions/1"), "GRANTED")
        assert not y.key_flags & ENABLED
        self.bao.post("transit/keys/versions/config", min_decryption_version=1)
        self.expect(self.challenge("versions"), "GRANTED")
        self.bao.post("transit/keys/versions/config", min_decryption_version=2, min_encryption_version=2)
        self.bao.post("transit/keys/versions/trim", min_available_version=2)
        self.expect(self.challenge("versions"), "REVOKED", "version barred")

    def c12_deleted(self):
        self.expect(self.challenge("gone"), "GRANTED")
        self.delete("gone")
        y = self.expect(self.challenge("gone"), "REVOKED", "key not found", "encryption key not found")
        assert y.status == 404, y.status
        # transit lists nothing that is deleted
        self.expect(self.client().call(CHECK_DELETED, self.uri % "gone/1"), "DENIED", "no list")
        self.expect(self.client().call(GET_KEY, self.uri % "gone"), "REVOKED", "key not found")

    def c13_deleted_in_the_cluster_that_is_meant(self):
        self.make("of-cluster")
        self.expect(self.challenge("of-cluster", "cluster"), "GRANTED")
        self.expect(self.client("cluster").call(CHECK_DELETED, self.uri % "of-cluster/1"), "UNREACHABLE", "contradiction")
        self.delete("of-cluster")
        assert self.expect(self.challenge("of-cluster", "cluster"), "REVOKED", "key not found").status == 404
        self.expect(self.client("cluster").call(CHECK_DELETED, self.uri % "of-cluster/1"), "GRANTED")

    def c14_another_cluster_sees_no_login_and_is_not_believed(self):
        blob, before = self.sealed_k()[2], len(self.bao.requests("auth/approle/login"))
        self.make("of-other")
        for token in ("s.none", self.new_token()):
            self.write("token", token)
            for vault in ("other", "other-login"):
                self.expect(self.client(vault).call(UNWRAP, self.uri % ("of-%s/1" % vault), blob), "UNREACHABLE", "other cluster")
        self.delete("of-other")
        self.expect(self.client("other").call(CHECK_DELETED, self.uri % "of-other/1"), "UNREACHABLE", "other cluster")
        assert len(self.bao.requests("auth/approle/login")) == before

    def c15_another_key_of_the_same_name(self):
        self.make("replaced")
        self.expect(self.challenge("replaced"), "GRANTED")
        self.delete("replaced")
        self.make("replaced")
        self.expect(self.challenge("replaced"), "DENIED", "other key", "failed to RSA decrypt")
        uri, plain, blob = self.seal_for("replaced")
        self.expect(self.client().call(UNWRAP, self.uri % "replaced/7", blob), "DENIED", "version unknown")

    def c16_missing_key_that_may_not_be_read(self):
        self.make("of-file")
        self.expect(self.challenge("of-file", "file"), "GRANTED")
        self.bao.post("sys/policies/acl/blind", policy=POLICY % ("decrypt", "update"))
        self.write("token", self.new_token(policies=["blind"]))
        self.delete("of-file")
        self.expect(self.challenge("of-file", "file"), "DENIED", "key not found", "may not read the key")
        self.write("token", self.new_token())
        self.expect(self.challenge("of-file", "file"), "REVOKED", "key not found")
        self.make("of-file")
        del self.sealed["of-file"]

    def c17_more_permissions_than_needed(self):
        self.expect(self.client().call(CHECK_EXCESS, self.uri % "k/1"), "DENIED", "no more permissions")
        self.bao.post("sys/policies/acl/node", policy=NODE + 'path "transit/encrypt/k" { capabilities = ["create", "update"] }\n'
                      'path "transit/keys/k/config" { capabilities = ["update"] }\n')
        y = self.expect(self.client().call(CHECK_EXCESS, self.uri % "k/1"), "GRANTED", "more permissions", "create on transit/encrypt/k")
        assert y.text == "create on transit/encrypt/k, update on transit/keys/k/config", y.text
        self.bao.post("sys/policies/acl/node", policy=NODE)
        self.expect(self.client().call(CHECK_EXCESS, self.uri % "k/1"), "DENIED", "no more permissions")

    # permissions and tokens
    def c20_policy_removed(self):
        self.bao.post("sys/policies/acl/node", policy=POLICY % ("keys", "read"))
        self.expect(self.challenge(), "DENIED", "permission denied", "the token is good")
        self.bao.post("sys/policies/acl/node", policy=NODE)
        self.expect(self.challenge(), "GRANTED")

    def c21_dead_token_is_replaced(self):
        self.expect(self.challenge(), "GRANTED")
        before = len(self.bao.requests("auth/approle/login"))
        for entry in self.bao.call("LIST", "auth/token/accessors")["data"]["keys"]:
            found = self.bao.post("auth/token/lookup-accessor", accessor=entry)["data"]
            if found["path"] == "auth/approle/login":
                self.bao.post("auth/token/revoke-accessor", accessor=entry)
        self.expect(self.challenge(), "GRANTED")
        assert len(self.bao.requests("auth/approle/login")) == before + 1

    def c22_one_login_for_many(self):
        uri, plain, blob = self.sealed_k()
        self.worker.restart()
        before = len(self.bao.requests("auth/approle/login"))
        c = self.client()
        ids = [c.send(UNWRAP, uri, blob) for _ in range(8)]
        assert all(self.expect(c.receive(i), "GRANTED").blob == plain for i in ids)
        assert len(self.bao.requests("auth/approle/login")) == before + 1

    def c23_secret_id_destroyed(self):
        good = open(os.path.join(self.dir, "secret-id")).read().strip()
        self.write("secret-id", str(uuid.uuid4()))
        y = self.expect(self.challenge(flags=FRESH_TOKEN), "DENIED", "login refused", "invalid role or secret ID")
        assert good not in y.text
        self.expect(self.challenge(), "GRANTED")          # the token that is kept is still good
        self.write("secret-id", good)
        self.expect(self.challenge(flags=FRESH_TOKEN), "GRANTED")

    def c24_token_file_is_read_again(self):
        self.expect(self.challenge("of-file", "file"), "GRANTED")
        dead = self.new_token()
        self.bao.post("auth/token/revoke", token=dead)
        self.write("token", dead)
        self.expect(self.challenge("of-file", "file"), "DENIED", "token refused")
        self.write("token", self.new_token())
        self.expect(self.challenge("of-file", "file"), "GRANTED")

    def c25_bad_files(self):
        self.write("token", self.new_token(), 0o644)
        self.expect(self.challenge("of-file", "file"), "MISCONFIGURED", "token file", "open to everybody")
        self.write("token", "two words")
        self.expect(self.challenge("of-file", "file"), "MISCONFIGURED", "token file", "characters")
        os.unlink(os.path.join(self.dir, "token"))
        self.expect(self.challenge("of-file", "file"), "MISCONFIGURED", "token file")
        self.write("token", self.new_token())

    def c26_jwt(self):
        self.make("of-jwt")
        self.expect(self.challenge("of-jwt", "jwt"), "GRANTED")
        self.write("jwt", self.jwt("node-1", "somebody else"))
        self.expect(self.challenge("of-jwt", "jwt", flags=FRESH_TOKEN), "DENIED_WEAK", "login refused", "error validating token")
        self.write("jwt", self.jwt("node-1"), 0o644)       # as a cluster mounts it
        self.expect(self.challenge("of-jwt", "jwt", flags=FRESH_TOKEN), "GRANTED")
        role = self.bao.get("auth/jwt/role/node")["data"]
        self.bao.call("DELETE", "auth/jwt/role/node")
        self.expect(self.challenge("of-jwt", "jwt", flags=FRESH_TOKEN), "DENIED", None, "could not be found")
        self.bao.post("auth/jwt/role/node", **role)

    def c26_kubernetes(self):
        """The server's own method, which asks a stand-in for the cluster's API server."""
        self.needs("kubernetes")
        self.make("of-kubernetes")
        token, other = self.account_token("cmkd-node"), self.account_token("other")
        self.cluster_api.accounts.update({token: ("nodes", "cmkd-node"), other: ("nodes", "other")})
        # what the cluster does not know; one that does not work; what it knows and the role does not
        for text, fails, said in ((token, False, ("GRANTED",)), (self.account_token("cmkd-node"), False, ("DENIED_WEAK", "login refused")),
                                  (token, True, ("DENIED_WEAK", "login refused")),
                                  (other, False, ("DENIED", "login refused", "not authorized")), (token, False, ("GRANTED",))):
            self.write("account", text)
            self.cluster_api.fails = fails
            self.expect(self.challenge("of-kubernetes", "kubernetes", flags=FRESH_TOKEN), *said)
        assert token in self.cluster_api.reviewed and other not in self.cluster_api.reviewed

    def c28_certificate(self):
        """Logged in, renewed and refused by the certificate of the connection."""
        self.make("of-cert")
        self.expect(self.challenge("of-cert", "cert"), "GRANTED")
        assert self.bao.requests("auth/cert/login")
        self.write_certificate("nobody", self.stranger)
        self.expect(self.challenge("of-cert", "cert", flags=FRESH_TOKEN), "DENIED")
        self.write_certificate("node-2", self.authority)
        self.expect(self.challenge("of-cert", "cert", flags=FRESH_TOKEN), "GRANTED")
        os.chmod(os.path.join(self.dir, "node.key"), 0o644)
        self.expect(self.challenge("of-cert", "cert", flags=FRESH_TOKEN), "MISCONFIGURED", "login: file")

    def c27_renewed_then_logged_in_again(self):
        b = self.bao
        b.post("auth/approle/role/short", token_policies="node", token_ttl="6s", token_max_ttl="14s")
        b.post("auth/approle/role/short/role-id", role_id="short")
        self.write("short-id", b.post("auth/approle/role/short/secret-id")["data"]["secret_id"])
        self.make("of-short")
        logins, renewals = len(b.requests("auth/approle/login")), len(b.requests("auth/token/renew-self"))

        def both():
            self.expect(self.challenge("of-short", "short"), "GRANTED")
            return (len(b.requests("auth/token/renew-self")) > renewals and
                    len(b.requests("auth/approle/login")) > logins + 1)
        wait_for(both, 60)

    def c28_wrapped_secret_id_once(self):
        """Nobody keeps it here: to the next worker the same token is used up."""
        for path, restart, said in (("auth/approle/role/node/secret-id", False, ("GRANTED",)), (None, True, ("MISCONFIGURED", "secret id taken")),
                                    ("sys/wrapping/wrap", False, ("MISCONFIGURED", "secret id not its own", "sys/wrapping/wrap"))):
            if path:
                self.write("wrapped-id", self.bao.call("POST", path, {}, wrap=True)["wrap_info"]["token"])
            self.make("of-wrapped") if said == ("GRANTED",) else restart and self.worker.restart()
            self.expect(self.challenge("of-wrapped", "wrapped", flags=FRESH_TOKEN), *said)

    # the server
    def c30_sealed(self):
        self.expect(self.challenge(), "GRANTED")
        self.bao.post("sys/seal")
        self.expect(self.challenge(), "UNREACHABLE", "sealed", "Vault is sealed")
        self.expect(self.client().call(GET_KEY, self.uri % "k"), "UNREACHABLE", "sealed")
        self.bao.post("sys/unseal", key=self.bao.unseal_key)
        wait_for(self.bao.is_up, 30)
        wait_for(lambda: self.challenge().verdict == "GRANTED", 30)

    def c31_rate_limit(self):
        self.make("limited")
        self.expect(self.challenge("limited"), "GRANTED")
        self.bao.post("sys/quotas/rate-limit/q", rate=1, path="transit/decrypt/limited", interval="60s")
        found = {self.challenge("limited").verdict for _ in range(3)}
        self.bao.call("DELETE", "sys/quotas/rate-limit/q")
        assert "THROTTLED" in found and found <= {"THROTTLED", "GRANTED"}, found

    def c32_no_such_mount(self):
        blob = self.sealed_k()[2]
        self.bao.post("sys/policies/acl/node", policy=NODE + 'path "nowhere/*" { capabilities = ["update", "read"] }\n')
        self.expect(self.client("nomount").call(UNWRAP, self.uri % "of-nomount/1", blob), "UNREACHABLE", "no such mount")
        self.bao.post("sys/policies/acl/node", policy=NODE)

    def c33_namespace(self):
        self.needs("namespaces")
        b = self.bao
        b.post("sys/namespaces/ns1")
        b.post("sys/mounts/transit", "ns1", type="transit")
        b.post("transit/keys/of-space", "ns1", type="rsa-2048")
        b.post("sys/policies/acl/node", "ns1", policy=NODE)
        self.write("space-token", b.post("auth/token/create", "ns1", policies=["node"])["auth"]["client_token"])
        self.expect(self.challenge("of-space", "space"), "GRANTED")
        unlock = b.post("sys/namespaces/api-lock/lock/ns1")["data"]["unlock_key"]
        self.expect(self.challenge("of-space", "space"), "UNREACHABLE", "namespace locked")
        b.post("sys/namespaces/api-lock/unlock/ns1", unlock_key=unlock)
        self.expect(self.challenge("of-space", "space"), "GRANTED")
        # its cluster is found out outside of it
        b.call("DELETE", "transit/keys/of-space/soft-delete", namespace="ns1")
        self.expect(self.challenge("of-space", "space"), "REVOKED", "key soft-deleted")
        b.call("DELETE", "sys/mounts/transit", namespace="ns1")
        self.expect(self.challenge("of-space", "space"), "DENIED", "no such mount", "taken away there")
        b.call("DELETE", "sys/namespaces/ns1")
        wait_for(lambda: self.challenge("of-space", "space").code == "no such namespace", 30)
        self.expect(self.challenge("of-space", "space"), "DENIED", "no such namespace")

    def c34_one_of_several_servers(self):
        self.make("of-servers")
        uri = "https://localhost:%d/keys/of-servers" % self.closed
        spki = self.expect(self.client("servers").call(GET_KEY, uri), "GRANTED").spki
        plain = os.urandom(32)
        blob = serialization.load_der_public_key(spki).encrypt(plain, padding.OAEP(
            mgf=padding.MGF1(algorithm=hashes.SHA256()), algorithm=hashes.SHA256(), label=None))
        assert self.expect(self.client("servers").call(UNWRAP, uri + "/1", blob), "GRANTED").blob == plain
        self.delete("of-servers")
        self.expect(self.client("servers").call(UNWRAP, uri + "/1", blob), "REVOKED", "key not found")

    # the vault's own log
    def c40_ids_in_the_audit_log(self):
        uri, plain, blob = self.sealed_k()
        mine = str(uuid.uuid4())
        y = self.expect(self.client().call(UNWRAP, uri, blob, client_id=mine), "GRANTED")
        rows = [r for r in self.bao.requests("transit/decrypt/k") if r["request"]["id"] == y.request_id]
        assert len(rows) == 1 and rows[0]["request"]["headers"]["x-request-id"] == [mine], rows
        self.bao.post("sys/policies/acl/node", policy=POLICY % ("keys", "read"))
        refused = str(uuid.uuid4())
        y = self.expect(self.client().call(UNWRAP, uri, blob, client_id=refused), "DENIED")
        self.bao.post("sys/policies/acl/node", policy=NODE)
        rows = [r for r in self.bao.requests("transit/decrypt/k")
                if r["request"].get("headers", {}).get("x-request-id") == [refused]]
        assert len(rows) == 1 and "permission denied" in rows[0]["error"] and not y.request_id, (rows, y.request_id)

    def c41_no_secret_in_the_workers_log(self):
        self.worker.stop()
        text = open(self.log.name).read()
        for name in ("secret-id", "token", "jwt", *(["account"] if self.has("kubernetes") else []), "short-id", "wrapped-id"):
            assert open(os.path.join(self.dir, name)).read().strip() not in text, name
        assert not re.findall(r"\bs\.[A-Za-z0-9]{20,}", text), "a token"

    def stop(self):
        self.worker.stop()
        if self.cluster_api:
            self.cluster_api.stop()
        self.bao.stop()
        remove(self.dir)
