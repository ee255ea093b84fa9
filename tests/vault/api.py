# SPDX-License-Identifier: Apache-2.0
"""The data plane of keys and secrets: which request is which operation, in which order it is
checked (api-version, rate, token, gate, permission, fault, key), and its reply.
The operations on keys themselves are in ops.py, those on secrets in secretops.py."""

import collections
import threading
import time

import authority
import errors
import ops
import secretops
import spoil
import tokens
from errors import ApiError
from httpd import Reply
from transit import Transit

VERSIONS = ("7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "2025-07-01", "2026-04-01")
# op: (permission, RBAC data action, function)
OPS = {
    "get": ("get", "keys/read", ops.get), "list": ("list", "keys/read", ops.list_keys),
    "versions": ("list", "keys/read", ops.list_versions), "create": ("create", "keys/create/action", ops.create),
    "update": ("update", "keys/update/action", ops.update), "delete": ("delete", "keys/delete", ops.delete),
    "wrap": ("wrapKey", "keys/wrap/action", ops.wrap), "unwrap": ("unwrapKey", "keys/unwrap/action", ops.unwrap),
    "encrypt": ("encrypt", "keys/encrypt/action", ops.wrap), "decrypt": ("decrypt", "keys/decrypt/action", ops.unwrap),
    "rotate": ("rotate", "keys/rotate/action", ops.rotate),
    "getrotationpolicy": ("getrotationpolicy", "keyrotationpolicies/read", ops.get_policy),
    "setrotationpolicy": ("setrotationpolicy", "keyrotationpolicies/write", ops.set_policy),
    "getdeleted": ("get", "keys/read", ops.get_deleted), "listdeleted": ("list", "keys/read", ops.list_deleted),
    "recover": ("recover", "keys/recover/action", ops.recover), "purge": ("purge", "keys/purge/action", ops.purge),
    **secretops.OPS,
}
CRYPTO = {"wrapkey": "wrap", "unwrapkey": "unwrap", "encrypt": "encrypt", "decrypt": "decrypt"}
# a rule of one of these answers by itself; the operation is not carried out
ALONE = ("hang", "reset", "close", "garbage", "redirect", "html", "empty", "endless-body", "oversized-body")


def route(method, path):
    """(op, key, version); op None: no such resource, '405': wrong method."""
    segs = [s for s in path.split("/") if s]
    if segs and segs[0].lower() in ("secrets", "deletedsecrets"):
        return secretops.route(method, segs[0].lower(), segs[1:])
    if not segs or segs[0].lower() not in ("keys", "deletedkeys") or len(segs) > 4:
        return None, None, None
    root, rest = segs[0].lower(), segs[1:]
    name = rest[0] if rest else None
    tail = rest[-1].lower() if len(rest) > 1 else ""
    if root == "deletedkeys":
        table = {(0, "GET"): "listdeleted", (1, "GET"): "getdeleted", (1, "DELETE"): "purge"}
        if len(rest) == 2 and tail == "recover":
            return ("recover" if method == "POST" else "405"), name, None
        return table.get((len(rest), method), "405" if len(rest) < 2 else None), name, None
    if tail in CRYPTO:
        return (CRYPTO[tail] if method == "POST" else "405"), name, rest[1] if len(rest) == 3 else None
    if len(rest) == 2 and tail in ("create", "rotate", "versions", "rotationpolicy"):
        table = {("create", "POST"): "create", ("rotate", "POST"): "rotate", ("versions", "GET"): "versions",
                 ("rotationpolicy", "GET"): "getrotationpolicy", ("rotationpolicy", "PUT"): "setrotationpolicy"}
        return table.get((tail, method), "405"), name, None
    if len(rest) == 0:
        return ("list" if method == "GET" else "405"), None, None
    if len(rest) == 1 and method == "DELETE":
        return "delete", name, None
    if len(rest) <= 2:
        return {"GET": "get", "PATCH": "update"}.get(method, "405"), name, rest[1] if len(rest) == 2 else None
    return None, name, None


class Vault:
    """The application behind the TLS listener."""

    where = "vault"

    def __init__(self, store, faults, names, hsm_names=()):
        self.store, self.faults, self.names, self.hsm_names = store, faults, names, hsm_names
        self.transit = Transit(store, faults)
        self.authority = authority.Authority(store, faults)
        self.window = collections.deque()
        self.window_lock = threading.Lock()

    def handle(self, req, entry):
        """(Reply or None, Rule or None). Never raises."""
        if req.path.startswith("/v1/"):
            latency = self.store.get("latency_ms")
            if latency:
                time.sleep(latency / 1000)
            return self.transit.handle(req, entry)
        if authority.PATH.match(req.path):
            return self.authority.handle(req, entry)
        op, key, version = route(req.method, req.path)
        entry.update(op=op or "none", key=key, version=version)
        ctx = {"op": op, "key": "/".join(filter(None, (key, version))), "name": key, "vault": self._vault(req),
               "peer": req.peer, "version": req.query.get("api-version"), "kind": "key", "resource": tokens.RESOURCE, "who": "?",
               "hsm": self._host(req) in self.hsm_names, "aud": "https://management.azure.com", "iss": "https://sts.windows.net/another-tenant/"}
        latency = self.store.get("latency_ms")
        if latency:
            time.sleep(latency / 1000)
        rule = None
        try:
            who = self._authenticate(req, entry, ctx, op, key)
            rule = self.faults.take(op, key, who, True, version)
            return self._answer(req, entry, ctx, op, key, version, who, rule), rule
        except ApiError as e:
            if e.name in errors.AUTH_ERRORS and rule is None:
                rule = self.faults.take(op, key, None, False)
                if self._delayed(rule, entry) and rule.kind in ALONE:
                    return None, rule
            return self._error(e.name, dict(ctx, **e.details), entry, rule), rule

    @staticmethod
    def _host(req):
        return req.headers.get("host", "").rsplit(":", 1)[0].lower()

    def _vault(self, req):
        return req.headers.get("host", self.names[0]).split(":")[0].split(".")[0]

    def _authenticate(self, req, entry, ctx, op, key):
        version = req.query.get("api-version")
        if version is None:
            raise ApiError("missing-api-version")
        if version not in VERSIONS and not version.endswith("-preview"):
            raise ApiError("bad-api-version", version=version)
        if self._host(req) not in self.names:
            raise ApiError("vault-not-found")
        if not self.store.get("auth"):
            return "anonymous"
        if ctx["hsm"]:
            ctx["resource"] = tokens.HSM_RESOURCE
        who = tokens.check(self.store, req.headers.get("authorization"), ctx["resource"])
        entry["identity"] = who
        ctx["who"] = tokens.describe(self.store, who)
        if op is None or op in secretops.OPS and ctx["hsm"]:       # a Managed HSM has keys alone
            raise ApiError("not-found")
        if op == "405":
            raise ApiError("method-not-allowed")
        perm, action, _ = OPS[op]
        ctx.update(op=perm, action="Microsoft.KeyVault/%s/%s" % ("managedHsm" if ctx["hsm"] else "vaults", action),
                   path="/subscriptions/0/resourcegroups/test/providers/microsoft.keyvault/vaults/%s/%s/%s"
                        % (ctx["vault"], "secrets" if op in secretops.OPS else "keys", key))
        if op in secretops.OPS:
            ctx.update(kind="secret", op=perm.removeprefix("secret-"))
        return who

    def _gates(self, op, who, hsm):
        gate = self.store.get("firewall")
        if gate != "open":
            raise ApiError("forbidden-by-firewall" if gate == "firewall" else "forbidden-by-connection")
        limit = self.store.get("rate_limit")
        if limit and not hsm:
            now = time.monotonic()
            with self.window_lock:
                while self.window and self.window[0] < now - 10:
                    self.window.popleft()
                if len(self.window) >= limit:
                    raise ApiError("throttled", retry_after=self.store.get("retry_after"))
                self.window.append(now)
        if who != "anonymous" and OPS[op][0] not in self.store.permissions(who):
            if hsm:                     # local RBAC, whatever the vaults have
                raise ApiError("hsm-access-denied")
            rbac = self.store.get("permission_model") == "rbac"
            raise ApiError("forbidden-by-rbac" if rbac else "forbidden-by-policy")

    def _answer(self, req, entry, ctx, op, key, version, who, rule):
        if self._delayed(rule, entry):
            if rule.kind in ALONE:
                return None
            if rule.group in ("error", "auth"):
                return self._error(rule.kind, ctx, entry, rule)
        self._gates(op, who, ctx["hsm"])
        memory = rule is not None and rule.kind == "from-memory"
        status, doc = OPS[op][2](ops.Call(self.store, req, key, version, op, memory, ctx["hsm"]))
        reply = Reply(status, doc)
        self._headers(reply, entry)
        if rule and rule.group == "content":
            spoil.apply(rule, reply)
        if rule and rule.opt("bare"):
            reply.strip_vendor()
        return reply

    @staticmethod
    def _delayed(rule, entry):
        """Note the rule and wait as it says. False without a rule."""
        if rule is None:
            return False
        entry["fault"] = rule.kind
        delay = rule.opt("delay", 1000 if rule.kind == "slow" else 0)
        if delay and rule.kind != "drip":
            time.sleep(delay / 1000)
        return True

    def _error(self, name, details, entry, rule):
        retry = details.get("retry_after")
        if name == "status":
            status, doc = rule.opt("status", 500), {"error": {"code": "Fault", "message": "A fault mode is on."}}
        else:
            status, doc = errors.body(name, details)
            if rule and rule.kind == name:
                status, retry = rule.opt("status", status), rule.opt("retry_after", retry)
        reply = Reply(status, doc)
        if rule:
            entry["fault"] = rule.kind
        if status == 401 or name in errors.AUTH_ERRORS:
            reply.headers.append(("WWW-Authenticate", errors.challenge(
                name, self.store.get("challenge_tenant") or tokens.TENANT,
                tokens.HSM_RESOURCE if details.get("hsm") else self.store.get("challenge_resource"))))
        if retry:
            reply.headers.append(("Retry-After", str(retry)))
        self._headers(reply, entry)
        if rule and rule.group == "content":
            spoil.apply(rule, reply)
        if rule and rule.opt("bare"):
            reply.strip_vendor()
        if rule and rule.opt("html"):
            reply.body, reply.ctype = b"<html><body>%d</body></html>" % status, "text/html"
        return reply

    def _headers(self, reply, entry):
        reply.headers += [
            ("Cache-Control", "no-cache"), ("Pragma", "no-cache"), ("Expires", "-1"),
            ("x-ms-keyvault-region", "testregion"), ("x-ms-request-id", entry["request_id"]),
            ("x-ms-keyvault-service-version", "1.9.2600.1"),
            ("x-ms-keyvault-network-info", "conn_type=Ipv4;addr=%s;act_addr_fam=InterNetwork;" % entry["peer"]),
            ("X-Content-Type-Options", "nosniff"), ("Strict-Transport-Security", "max-age=31536000;includeSubDomains")]
        if entry.get("client_request_id"):
            reply.headers.append(("x-ms-client-request-id", entry["client_request_id"]))
