# SPDX-License-Identifier: Apache-2.0
"""The transit secrets engine of OpenBao and HashiCorp Vault, as far as a node uses it: /v1/transit/{decrypt,encrypt,keys}/NAME,
logins by AppRole, lookup-self and renew-self, sys/health. Same port and certificate as the Key Vault. Statuses and messages
are those of OpenBao 2.7.2, measured; tests/interop/openbao holds the worker to the real server.

State stands in the store's "transit": keys, tokens, the policy of nodes, roles, whether it is sealed. `ctl transit ACTION` is
the owner's hand: see ACTIONS. Transport faults of `ctl fault` hit decrypt as unwrap, encrypt as wrap and the key as get."""

import base64
import binascii
import json
import os
import time
import uuid

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

import keycrypto
from errors import ApiError
from httpd import Reply

TYPES = {"rsa-2048": 2048, "rsa-3072": 3072, "rsa-4096": 4096}
SYMMETRIC = {"aes256-gcm96": AESGCM, "chacha20-poly1305": ChaCha20Poly1305}
VERBS = ("decrypt", "encrypt", "read")
FAULT_OPS = {"decrypt": "unwrap", "encrypt": "wrap", "read": "get", "login": "token"}
TOO_OLD = "ciphertext or signature version is disallowed by policy (too old)"
SOFT_DELETED = "refusing to use soft-deleted key"
# as in api.py: these answer by themselves
ALONE = ("hang", "reset", "close", "garbage", "redirect", "html", "empty", "endless-body", "oversized-body")
CONFIG = ("deletion_allowed", "exportable", "allow_plaintext_backup", "min_decryption_version", "min_encryption_version")


class Refused(Exception):
    def __init__(self, status, *messages):
        super().__init__(*messages)
        self.status, self.messages = status, list(messages)


def listed(message):
    """As Go prints a list of one error."""
    return "1 error occurred:\n\t* %s\n\n" % message


def fresh():
    return {"keys": {}, "tokens": {}, "roles": {}, "policy": list(VERBS), "sealed": False, "cluster_id": str(uuid.uuid4()),
            "answers": [], "ttl": 3600, "mount": "transit"}


class Transit:
    def __init__(self, store, faults):
        self.store, self.faults = store, faults

    @property
    def state(self):
        return self.store.state.setdefault("transit", fresh())

    # requests
    def handle(self, req, entry):
        """(Reply, Rule or None)"""
        path = req.path[len("/v1/"):]
        op, name = self.route(req.method, path)
        entry.update(op=op or "none", key=name, client_request_id=req.headers.get("x-request-id", "")[:128] or None)
        rule = self.faults.take(FAULT_OPS.get(op, op), name, None, True)
        if rule is not None and rule.group != "transport":
            rule = None
        if rule is not None:
            entry["fault"] = rule.kind
            if rule.opt("delay") and rule.kind != "drip":
                time.sleep(rule.opt("delay") / 1000)
            if rule.kind in ALONE:
                return None, rule
        try:
            with self.store.lock:
                doc = self.answer(req, entry, op, path, name)
            reply = Reply(503 if doc.get("sealed") else self.state.get("health", 200) if op == "health" else 200, doc, "application/json")
        except Refused as e:
            reply = Reply(e.status, {"errors": e.messages}, "application/json")
            if e.status == 307:
                reply.headers.append(("Location", e.messages[0]))
        reply.headers += [("Cache-Control", "no-store"), ("Strict-Transport-Security", "max-age=31536000; includeSubDomains")]
        return reply, rule

    def route(self, method, path):
        mount = self.state["mount"] + "/"
        fixed = {("GET", "sys/health"): "health", ("GET", "auth/token/lookup-self"): "lookup",
                 ("POST", "auth/token/renew-self"): "renew", ("POST", "auth/approle/login"): "login",
                 ("GET", "sys/wrapping/lookup"): "wrap-lookup", ("POST", "sys/wrapping/unwrap"): "wrap-unwrap",
                 ("POST", "sys/capabilities-self"): "capabilities"}
        if (method, path) in fixed:
            return fixed[method, path], None
        parts = path[len(mount):].split("/") if path.startswith(mount) else []
        table = {("POST", "decrypt"): "decrypt", ("POST", "encrypt"): "encrypt", ("GET", "keys"): "read"}
        if len(parts) == 2 and (method, parts[0]) in table:
            return table[method, parts[0]], parts[1]
        return None, None

    def answer(self, req, entry, op, path, name):
        if op == "health":
            if req.headers.get("x-vault-namespace"):
                raise Refused(400, "operation unavailable in namespaces")
            self.planned("health")
            return self.health()
        if self.state["sealed"]:
            raise Refused(503, "Vault is sealed")
        self.planned(op, "any")
        if op == "login":
            return self.good(entry, auth=self.login(self.body(req)))
        if op in ("wrap-lookup", "wrap-unwrap"):
            return self.good(entry, self.unwrap(req, op == "wrap-unwrap"))
        token = self.token(req)
        if op == "lookup":
            return self.good(entry, {"ttl": int(token["end"] - time.time()), "policies": ["default", "node"]})
        if op == "renew":
            token["end"] = time.time() + self.state["ttl"]
            return self.good(entry, auth=self.auth(token))
        if op == "capabilities":
            return self.good(entry, self.capabilities(self.body(req)))
        if op is None:
            raise Refused(404, 'no handler for route "%s". route entry not found.' % path)
        if op not in self.state["policy"]:
            raise Refused(403, listed("permission denied"))
        return self.good(entry, getattr(self, op)(name, self.body(req)))

    def planned(self, *ops):
        for planned in self.state["answers"]:
            if planned["op"] in ops:
                planned["count"] -= 1
                if planned["count"] == 0:
                    self.state["answers"].remove(planned)
                raise Refused(planned["status"], *planned["messages"])

    def capabilities(self, doc):
        """Of the policy: update on decrypt/* and encrypt/*, read on keys/*, and what the owner gave beyond that."""
        out, needs = {}, {"decrypt": ("decrypt", "update"), "encrypt": ("encrypt", "update"), "keys": ("read", "read")}
        for path in doc.get("paths") or []:
            verb, what = needs.get(path[len(self.state["mount"]) + 1:].split("/")[0], (None, None))
            given = [what] if verb in self.state["policy"] else []
            out[path] = sorted(given + self.state.get("capabilities", {}).get(path, [])) or ["deny"]
        return out

    def good(self, entry, data=None, auth=None):
        return {"request_id": entry["request_id"], "lease_id": "", "renewable": False, "lease_duration": 0, "data": data,
                "wrap_info": None, "warnings": None, "auth": auth}

    def health(self):
        doc = {"initialized": True, "sealed": self.state["sealed"], "standby": False, "version": "2.7.2",
               "server_time_utc": int(time.time())}
        if self.state["sealed"]:
            return doc
        return dict(doc, cluster_name="test", cluster_id=self.state["cluster_id"])

    @staticmethod
    def body(req):
        try:
            doc = json.loads(req.body or b"{}")
        except (ValueError, RecursionError):
            raise Refused(400, "failed to decode JSON input: unexpected EOF")
        if not isinstance(doc, dict):
            raise Refused(400, "failed to decode JSON input: not an object")
        return doc

    # tokens
    def token(self, req):
        scheme, _, text = req.headers.get("authorization", "").partition(" ")
        found = self.state["tokens"].get(req.headers.get("x-vault-token") or (text if scheme == "Bearer" else ""))
        if found is None or found["end"] <= time.time():
            raise Refused(403, "permission denied")
        return found

    def unwrap(self, req, once):
        """By the token that is shown: what it was made by, or what it wraps, after which it is no more."""
        wrapped = self.state.setdefault("wrapped", {})
        text = req.headers.get("authorization", "").partition(" ")[2]
        found = wrapped.get(text)
        if found is None:
            raise Refused(400, "wrapping token is not valid or does not exist")
        if not once:
            return {"creation_path": found["path"], "creation_time": "2026-01-01T00:00:00Z", "creation_ttl": 300}
        del wrapped[text]
        return {"secret_id": found["secret_id"], "secret_id_accessor": str(uuid.uuid4()), "secret_id_num_uses": 0, "secret_id_ttl": 0}

    def new_token(self, ttl=None):
        text = "s." + base64.b32encode(os.urandom(15)).decode().lower()
        self.state["tokens"][text] = {"token": text, "end": time.time() + (ttl or self.state["ttl"])}
        return self.state["tokens"][text]

    @staticmethod
    def auth(token):
        return {"client_token": token["token"], "accessor": "a", "policies": ["default", "node"],
                "lease_duration": max(1, round(token["end"] - time.time())), "renewable": True, "token_type": "service",
                "mfa_requirement": None}

    def login(self, doc):
        for field in ("role_id", "secret_id"):
            if not isinstance(doc.get(field), str):
                raise Refused(400, "missing " + field)
        if self.state["roles"].get(doc["role_id"]) != doc["secret_id"]:
            raise Refused(400, "invalid role or secret ID")
        if self.state.get("mfa"):
            return dict(self.auth({"token": "", "end": 0}), lease_duration=0, renewable=False,
                        mfa_requirement={"mfa_request_id": str(uuid.uuid4()), "mfa_constraints": {}})
        return self.auth(self.new_token())

    # keys
    def find(self, name):
        key = self.state["keys"].get(name)
        if key is None:
            raise Refused(400, "encryption key not found")
        if key["soft_deleted"]:
            raise Refused(400, SOFT_DELETED)
        return key

    @staticmethod
    def cipher(key, version):
        """Of a symmetric key, with a nonce of 12 bytes in front, as the server has it."""
        return SYMMETRIC[key["type"]](base64.b64decode(key["versions"][str(version)]))

    def associated(self, key, doc):
        text = doc.get("associated_data")
        if text and key["type"] not in SYMMETRIC:
            raise Refused(400, "'[0].associated_data' provided for non-AEAD cipher suite " + key["type"])
        return self.bytes(text, "associated_data") if text else None

    def material(self, name, key, version):
        return self.store.material("transit/%s/%s/%s" % (key["id"], name, version),
                                   {"kty": "RSA", "material": key["versions"][str(version)]})

    def read(self, name, _doc):
        key = self.state["keys"].get(name)
        if key is None:
            raise Refused(404)
        keys = {v: {"name": key["type"], "creation_time": "2026-01-01T00:00:00Z", "certificate_chain": "",
                    "public_key": keycrypto.public_pem(self.material(name, key, v))}
                for v in key["versions"] if int(v) >= key["min_decryption_version"]} if key["type"] in TYPES else \
            {v: 1767225600 for v in key["versions"] if int(v) >= key["min_decryption_version"]}
        both = key["type"] in TYPES or key["type"] in SYMMETRIC
        return dict({k: key[k] for k in CONFIG}, name=name, type=key["type"], keys=keys, latest_version=key["latest"],
                    soft_deleted=key["soft_deleted"], min_available_version=0, supports_encryption=both,
                    supports_decryption=both, derived=False, imported_key=False)

    def encrypt(self, name, doc):
        key = self.find(name)
        version = doc.get("key_version") or key["latest"]
        plain = self.bytes(doc.get("plaintext"), "plaintext")
        if not key["min_encryption_version"] <= version <= key["latest"]:
            raise Refused(400, "requested version for encryption is higher than the latest key version")
        associated = self.associated(key, doc)
        if key["type"] in SYMMETRIC:
            nonce = os.urandom(12)
            wrapped = nonce + self.cipher(key, version).encrypt(nonce, plain, associated)
        else:
            wrapped = self.material(name, key, version).wrap("RSA-OAEP-256", plain)
        return {"ciphertext": "vault:v%d:%s" % (version, base64.b64encode(wrapped).decode()), "key_version": version}

    @staticmethod
    def bytes(text, what):
        try:
            return base64.b64decode(text, validate=True)
        except (TypeError, ValueError, binascii.Error):
            raise Refused(400, "failed to base64-decode " + what)

    def decrypt(self, name, doc):
        key, text = self.find(name), doc.get("ciphertext")
        if not text:
            raise Refused(400, "missing ciphertext to decrypt")
        if not text.startswith("vault:v"):
            raise Refused(400, "invalid ciphertext: no prefix")
        number, _, rest = text[len("vault:v"):].partition(":")
        if not number.isdigit():
            raise Refused(400, "invalid ciphertext: version number could not be decoded")
        version = int(number) or 1
        if version > key["latest"]:
            raise Refused(400, "invalid ciphertext: version is too new")
        if version < key["min_decryption_version"]:
            raise Refused(400, TOO_OLD)
        try:
            blob = base64.b64decode(rest, validate=True)
        except (ValueError, binascii.Error):
            raise Refused(400, "invalid ciphertext: could not decode base64")
        if key["type"] in SYMMETRIC and len(blob) < 12:
            raise Refused(400, "invalid ciphertext length")
        associated = self.associated(key, doc)
        try:
            if key["type"] in SYMMETRIC:
                plain = self.cipher(key, version).decrypt(blob[:12], blob[12:], associated)
            else:
                plain = self.material(name, key, version).unwrap("RSA-OAEP-256", blob)
        except InvalidTag:
            raise Refused(400, "cipher: message authentication failed" if key["type"].startswith("aes")
                          else "chacha20poly1305: message authentication failed")
        except ApiError:
            raise Refused(500, listed("failed to RSA decrypt the ciphertext: crypto/rsa: decryption error"))
        return {"plaintext": base64.b64encode(plain).decode()}

    # the owner's hand
    ACTIONS = {
        "create-key": "NAME [TYPE]: rsa-2048 unless said", "rotate": "NAME", "config": "NAME FIELD=VALUE...",
        "delete": "NAME: needs deletion_allowed=true", "soft-delete": "NAME", "restore": "NAME", "seal": "", "unseal": "",
        "policy": "VERB...: what tokens of nodes may do (decrypt encrypt read)", "ttl": "SECONDS: of tokens",
        "capability": "PATH CAPABILITY...: what they may do beyond that; without any: no more", "token": "[SECONDS]: a token", "revoke-tokens": "all of them", "role": "a new role: its id and secret id",
        "remove-role": "ID", "health": "STATUS: of sys/health, where it is not sealed", "mfa": "yes or no: of a login", "wrap": "SECRET-ID [PATH]: a token that it can be had with once; PATH is who made it", "unwrap": "TOKEN: somebody was faster",
        "cluster": "ID: another cluster id", "answer": "OP STATUS COUNT [MESSAGE]: instead of an answer; "
        "OP may be any (but health), COUNT 0 is until cleared", "clear": "no such answers any more", "show": "the state, without secrets",
    }

    def act(self, action, words):
        if action not in self.ACTIONS:
            raise KeyError("no such action: %s (%s)" % (action, ", ".join(self.ACTIONS)))
        prepared = keycrypto.generate("RSA", TYPES[self.type_of(action, words)]) if self.type_of(action, words) in TYPES else None
        with self.store.lock:
            out = getattr(self, "do_" + action.replace("-", "_"))(*words, **({"material": prepared} if prepared else {})) or {}
            self.store.save()
            return dict(out, time=time.time())

    def type_of(self, action, words):
        """Of the key to be made: generating takes its time and must not hold the lock."""
        if action == "create-key":
            return words[1] if len(words) > 1 else "rsa-2048"
        return self.state["keys"][words[0]]["type"] if action == "rotate" else None

    def do_create_key(self, name, kind="rsa-2048", material=None):
        if kind not in TYPES and kind not in SYMMETRIC and kind != "aes128-gcm96":
            raise KeyError("no such type: " + kind)
        self.state["keys"][name] = {
            "id": uuid.uuid4().hex, "type": kind, "versions": {"1": material or self.secret()}, "latest": 1, "soft_deleted": False,
            "deletion_allowed": False, "exportable": False, "allow_plaintext_backup": False, "min_decryption_version": 1,
            "min_encryption_version": 0}
        return {"version": 1}

    @staticmethod
    def secret():
        return base64.b64encode(os.urandom(32)).decode()

    def do_health(self, status):
        self.state["health"] = int(status)

    def do_mfa(self, word):
        self.state["mfa"] = word == "yes"

    def do_rotate(self, name, material=None):
        key = self.state["keys"][name]
        key["latest"] += 1
        key["versions"][str(key["latest"])] = material or self.secret()
        return {"version": key["latest"]}

    def do_config(self, name, *pairs):
        for pair in pairs:
            field, _, value = pair.partition("=")
            if field not in CONFIG:
                raise KeyError("no such field: " + field)
            self.state["keys"][name][field] = int(value) if field.startswith("min_") else value == "true"

    def do_delete(self, name):
        if not self.state["keys"][name]["deletion_allowed"]:
            raise KeyError("error deleting policy %s: deletion is not allowed for this key" % name)
        del self.state["keys"][name]

    def do_soft_delete(self, name):
        self.state["keys"][name]["soft_deleted"] = True

    def do_restore(self, name):
        self.state["keys"][name]["soft_deleted"] = False

    def do_seal(self):
        self.state["sealed"] = True

    def do_unseal(self):
        self.state["sealed"] = False

    def do_capability(self, path, *more):
        self.state.setdefault("capabilities", {})[path] = list(more)

    def do_policy(self, *verbs):
        self.state["policy"] = list(verbs)

    def do_ttl(self, seconds):
        self.state["ttl"] = int(seconds)

    def do_token(self, seconds=None):
        return {"token": self.new_token(float(seconds) if seconds else None)["token"]}

    def do_revoke_tokens(self):
        self.state["tokens"] = {}

    def do_role(self):
        role, secret = str(uuid.uuid4()), str(uuid.uuid4())
        self.state["roles"][role] = secret
        return {"role_id": role, "secret_id": secret}

    def do_wrap(self, secret_id, path="auth/approle/role/node/secret-id"):
        token = "s." + base64.b32encode(os.urandom(15)).decode().lower()
        self.state.setdefault("wrapped", {})[token] = {"secret_id": secret_id, "path": path}
        return {"token": token}

    def do_unwrap(self, token):
        del self.state["wrapped"][token]

    def do_remove_role(self, role):
        del self.state["roles"][role]

    def do_cluster(self, ident):
        self.state["cluster_id"] = ident

    def do_answer(self, op, status, count, *message):
        self.state["answers"].append({"op": op, "status": int(status), "count": int(count) or -1, "messages": list(message)})

    def do_clear(self):
        self.state["answers"] = []

    def do_show(self):
        return {"cluster_id": self.state["cluster_id"], "sealed": self.state["sealed"], "policy": self.state["policy"],
                "tokens": len(self.state["tokens"]), "keys": sorted(self.state["keys"])}
