# SPDX-License-Identifier: Apache-2.0
"""The vault's state: settings, identities, keys and their versions, deleted keys.
One lock; every change is written to DIR/state.json before the lock is released,
so a restart keeps everything. Material is loaded once and kept."""

import json
import os
import re
import threading
import time
import uuid

import keycrypto
import pki
from errors import ApiError

ALL_PERMS = ("get", "list", "create", "update", "delete", "recover", "purge", "rotate", "wrapKey", "unwrapKey",
             "encrypt", "decrypt", "getrotationpolicy", "setrotationpolicy", "import", "backup", "restore", "sign",
             "verify", "secret-get", "secret-set", "secret-list", "secret-delete", "secret-recover", "secret-purge")
NODE_PERMS = ("get", "list", "wrapKey", "unwrapKey")
OPS_RSA = ["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"]
OPS_OCT = ["wrapKey", "unwrapKey"]
NAME = re.compile(r"^[0-9a-zA-Z-]{1,127}$")

SETTINGS = {                     # name: (default, meaning)
    "latency_ms": (0, "added to every vault request"),
    "metadata_latency_ms": (0, "added to every metadata request"),
    "purge_protection": (True, "recoveryLevel Recoverable rather than Recoverable+Purgeable"),
    "soft_delete": (True, "off: recoveryLevel Purgeable, DELETE is final"),
    "recoverable_days": (90, "7..90; less than 90 gives Customized…"),
    "delete_lag_s": (0.0, "seconds for which GET deletedkeys says 404 after a delete"),
    "policy_lag_s": (0.0, "seconds until a policy change takes effect"),
    "get_disabled": ("200", "GET of a disabled key: 200 or 403"),
    "wrap_disabled": ("allow", "wrapkey with a disabled key: allow or refuse"),
    "permission_model": ("policy", "policy or rbac: which 403 a missing permission gives"),
    "firewall": ("open", "open, firewall (ForbiddenByFirewall) or private (ForbiddenByConnection)"),
    "rate_limit": (0, "requests per 10 s after which 429 follows; 0: none"),
    "token_padding": (224, "bytes that nobody reads at the end of a token"),
    "retry_after": (0, "Retry-After seconds on a 429 of rate_limit; 0: no header"),
    "token_lifetime": (86399, "seconds"),
    "imds_cache": (False, "the metadata endpoint repeats a token until 5 minutes before it expires"),
    "cae": (False, "tokens must have been asked for with the claims that the 401 names"),
    "challenge_resource": ("https://vault.azure.net", "resource in the challenge beside a 401"),
    "challenge_tenant": ("", "tenant in that challenge; empty: the right one"),
    "oaep": ("any", "with which digest RSA keys unwrap: any, or sha1 (RSA-OAEP only)"),
    "auth": (True, "off: no token is asked for"),
}


def ident_uuid(kind, name):
    """The same name always gives the same ids, so tests can write them down."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, "%s.%s.cmkd.test" % (name.lower(), kind)))


TENANT = ident_uuid("tenant", "default")


class Store:
    def __init__(self, directory):
        self.path = os.path.join(directory, "state.json")
        self.lock = threading.RLock()
        self.loaded = {}
        self.last_plain = {}     # key name -> last plaintext, for the fault from-memory
        self.state = {"settings": {}, "identities": {}, "keys": {}, "deleted": {}, "secret": os.urandom(32).hex()}
        if os.path.exists(self.path):
            with open(self.path, "rb") as f:
                self.state = json.load(f)
        else:
            self._identity("node", "system", NODE_PERMS)
            self._identity("admin", "user", ALL_PERMS)
            self.save()

    def save(self):
        pki.write_file(self.path, json.dumps(self.state, indent=1).encode())

    # settings
    def get(self, name):
        return self.state["settings"].get(name, SETTINGS[name][0])

    def set(self, name, text):
        if name not in SETTINGS:
            raise KeyError("no such setting: %s (one of %s)" % (name, ", ".join(SETTINGS)))
        kind = type(SETTINGS[name][0])
        if kind is bool:
            if str(text).lower() not in ("on", "off", "true", "false", "1", "0"):
                raise ValueError("%s takes on or off" % name)
            value = str(text).lower() in ("on", "true", "1")
        else:
            value = kind(text)
        with self.lock:
            self.state["settings"][name] = value
            self.save()
            return time.time()

    # identities
    def _identity(self, name, kind, perms):
        rid = ("/subscriptions/%s/resourcegroups/test/providers/Microsoft.ManagedIdentity/userAssignedIdentities/%s"
               % (ident_uuid("subscription", "default"), name))
        self.state["identities"][name] = {
            "kind": kind, "client_id": ident_uuid("client", name), "object_id": ident_uuid("object", name),
            "msi_res_id": rid, "perms": sorted(perms), "generation": 0, "present": True, "pending": None}

    def add_identity(self, name, kind="user", perms=NODE_PERMS):
        with self.lock:
            if kind == "system":
                for other in self.state["identities"].values():
                    if other["kind"] == "system":
                        other["kind"] = "user"
            self._identity(name, kind, perms)
            self.save()
            return time.time()

    def identity(self, name):
        try:
            return self.state["identities"][name]
        except KeyError:
            raise KeyError("no such identity: %s" % name)

    def change_policy(self, name, add=(), remove=()):
        with self.lock:
            who = self.identity(name)
            old = self.permissions(name)
            who["perms"] = sorted((set(who["perms"]) | set(add)) - set(remove))
            lag = self.get("policy_lag_s")
            who["pending"] = {"until": time.time() + lag, "old": sorted(old)} if lag else None
            self.save()
            return time.time() + lag

    def permissions(self, name):
        who = self.identity(name)
        pending = who.get("pending")
        if pending and time.time() < pending["until"]:
            return set(pending["old"])
        return set(who["perms"])

    def bump_tokens(self, name=None):
        with self.lock:
            for n, who in self.state["identities"].items():
                if name in (None, n):
                    who["generation"] += 1
            self.save()
            return time.time()

    def set_present(self, name, present):
        with self.lock:
            self.identity(name)["present"] = present
            self.save()
            return time.time()

    # keys
    def find(self, name):
        """Key names compare without regard to case."""
        for n, key in self.state["keys"].items():
            if n.lower() == name.lower():
                return n, key
        raise ApiError("key-not-found", key=name, name=name)

    def find_deleted(self, name):
        for n, entry in self.state["deleted"].items():
            if n.lower() == name.lower():
                return n, entry
        raise ApiError("deleted-key-not-found", name=name)

    def version(self, name, version=None):
        """(name, version id, version record); no version: the newest."""
        n, key = self.find(name)
        if not version:
            return n, key["current"], key["versions"][key["current"]]
        for v, rec in key["versions"].items():
            if v.lower() == version.lower():
                return n, v, rec
        raise ApiError("key-not-found", key="%s/%s" % (name, version), name=name)

    def material(self, version_id, rec):
        with self.lock:
            m = self.loaded.get(version_id)
            if m is None:
                m = self.loaded[version_id] = keycrypto.Material(rec["kty"], rec["material"])
            return m

    def create(self, name, kty="RSA", size=2048, key_ops=None, attributes=None, tags=None):
        if not NAME.match(name):
            raise ApiError("bad-parameter", message="The key name %s is invalid." % name)
        self._refuse_deleted(name)
        text = keycrypto.generate(kty, size)
        material = keycrypto.Material(kty, text)
        attributes = attributes or {}
        with self.lock:
            self._refuse_deleted(name)
            now = int(time.time())
            rec = {"kty": kty, "material": text, "key_ops": key_ops or (OPS_RSA if kty != "oct-HSM" else OPS_OCT),
                   "enabled": attributes.get("enabled", True), "nbf": attributes.get("nbf"),
                   "exp": attributes.get("exp"), "created": now, "updated": now, "tags": tags}
            try:
                name, key = self.find(name)
            except ApiError:
                key = self.state["keys"][name] = {"versions": {}, "current": None, "rotationpolicy": None}
            vid = uuid.uuid4().hex
            key["versions"][vid] = rec
            key["current"] = vid
            self.loaded[vid] = material
            self.save()
            return name, vid, time.time()

    def _refuse_deleted(self, name):
        if any(n.lower() == name.lower() for n in self.state["deleted"]):
            raise ApiError("conflict-deleted", name=name)

    def rotate(self, name):
        n, _, rec = self.version(name)
        size = self.material(self.find(n)[1]["current"], rec).size
        return self.create(n, rec["kty"], size, list(rec["key_ops"]), {}, rec["tags"])

    def update(self, name, version=None, **changes):
        with self.lock:
            n, vid, rec = self.version(name, version)
            for field, value in changes.items():
                rec[field] = value
            rec["updated"] = int(time.time())
            self.save()
            return n, vid, time.time()

    def delete(self, name):
        with self.lock:
            n, key = self.find(name)
            del self.state["keys"][n]
            now = time.time()
            entry = {"key": key, "deleted": now, "purge": now + 86400 * self.get("recoverable_days")}
            if self.get("soft_delete"):
                self.state["deleted"][n] = entry
            self.save()
            return n, entry, time.time()

    def recover(self, name):
        with self.lock:
            n, entry = self.find_deleted(name)
            del self.state["deleted"][n]
            self.state["keys"][n] = entry["key"]
            self.save()
            return n, time.time()

    def purge(self, name, force=False):
        with self.lock:
            n, entry = self.find_deleted(name)
            if self.get("purge_protection") and not force:
                raise ApiError("purge-protected")
            del self.state["deleted"][n]
            for vid in entry["key"]["versions"]:
                self.loaded.pop(vid, None)
            self.last_plain.pop(n, None)
            self.save()
            return n, time.time()

    def recovery(self):
        """(recoveryLevel, recoverableDays) of everything in this vault."""
        if not self.get("soft_delete"):
            return "Purgeable", 0
        days = self.get("recoverable_days")
        level = "Recoverable" if days >= 90 else "CustomizedRecoverable"
        return (level if self.get("purge_protection") else level + "+Purgeable"), days
