# SPDX-License-Identifier: Apache-2.0
"""The control socket DIR/control.sock: one JSON object a connection,
{"verb": …, arguments}, answered by one JSON object, {"time": when it took effect,
…} or {"error": text}. The client side (call) is used by ctl and by tests."""

import json
import os
import socket
import threading
import time

import errors
import faults
import keystore
import secretops
import tokens
from errors import ApiError


def _address(directory):
    """(open directory fd, short path): a socket's path is limited to 108 bytes."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    return fd, "/proc/self/fd/%d/control.sock" % fd


def call(directory, verb, timeout=60, **args):
    fd, path = _address(directory)
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(timeout)
            s.connect(path)
            s.sendall(json.dumps(dict(args, verb=verb)).encode() + b"\n")
            data = b""
            while not data.endswith(b"\n"):
                piece = s.recv(1 << 16)
                if not piece:
                    break
                data += piece
    finally:
        os.close(fd)
    return json.loads(data)


class Control:
    def __init__(self, directory, store, rules, log, metadata, listeners, public, stop):
        self.store, self.rules, self.log, self.metadata = store, rules, log, metadata
        self.listeners, self.public, self.stop = listeners, public, stop
        fd, path = _address(directory)
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(path)
        os.chmod(path, 0o600)
        os.close(fd)
        self.sock.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            sock, _ = self.sock.accept()
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        with sock, sock.makefile("rwb") as f:
            try:
                args = json.loads(f.readline(1 << 20))
                answer = getattr(self, "do_" + args.pop("verb").replace("-", "_"))(**args)
            except ApiError as e:
                answer = {"error": "%s: %s" % (e.name, errors.body(e.name, e.details)[1]["error"]["message"])}
            except Exception as e:
                answer = {"error": "%s: %s" % (type(e).__name__, e)}
            try:
                f.write(json.dumps(answer).encode() + b"\n")
            except OSError:
                pass

    def kid(self, name, version=None):
        return "https://%s/keys/%s%s" % (self.public, name, "/" + version if version else "")

    # keys
    def do_create_key(self, name, kty="RSA", size=2048, key_ops=None, disabled=False, nbf=None, exp=None, tags=None):
        attributes = {"enabled": not disabled, "nbf": nbf, "exp": exp}
        name, version, when = self.store.create(name, kty, size, key_ops, attributes, tags)
        return {"time": when, "kid": self.kid(name, version)}

    def do_rotate(self, name):
        name, version, when = self.store.rotate(name)
        return {"time": when, "kid": self.kid(name, version)}

    def do_disable(self, name, version=None, all=False):
        return self._update(name, version, all, enabled=False)

    def do_enable(self, name, version=None, all=False):
        return self._update(name, version, all, enabled=True)

    def do_update_key(self, name, version=None, all=False, **changes):
        return self._update(name, version, all, **{k: v for k, v in changes.items() if v is not None})

    def _update(self, name, version, every, **changes):
        with self.store.lock:
            ids = list(self.store.find(name)[1]["versions"]) if every else [version]
            for one in ids:
                when = self.store.update(name, one, **changes)[2]
        return {"time": when}

    def do_delete(self, name):
        return {"time": self.store.delete(name)[2]}

    def do_recover(self, name):
        return {"time": self.store.recover(name)[1]}

    def do_purge(self, name, force=False):
        return {"time": self.store.purge(name, force)[1]}

    def do_keys(self):
        with self.store.lock:
            rows = [{"name": n, "kid": self.kid(n, v), "kty": r["kty"], "enabled": r["enabled"],
                     "key_ops": r["key_ops"], "nbf": r["nbf"], "exp": r["exp"],
                     "current": v == k["current"], "deleted": gone, "tags": r["tags"]}
                    for gone, table in ((False, self.store.state["keys"]),
                                        (True, {n: e["key"] for n, e in self.store.state["deleted"].items()}))
                    for n, k in table.items() for v, r in k["versions"].items()]
        return {"time": time.time(), "keys": rows}

    # secrets
    def do_secret(self, name, action, value=None):
        """set (a new version), disable, enable, expire, unexpire, delete, recover, purge: what their owner does."""
        if action in ("disable", "enable"):
            secretops.update(secretops.Hand(self.store, name, attributes={"enabled": action == "enable"}))
        elif action in ("expire", "unexpire"):
            secretops.update(secretops.Hand(self.store, name, attributes={"exp": 1000 if action == "expire" else 1 << 32}))
        elif action == "set":
            secretops.put(secretops.Hand(self.store, name, value=value or ""))
        else:
            {"delete": secretops.delete, "recover": secretops.recover, "purge": secretops.purge}[action](
                secretops.Hand(self.store, name), **({"force": True} if action == "purge" else {}))
        return {"time": time.time()}

    def do_secrets(self):
        with self.store.lock:
            rows = [{"name": n, "deleted": gone, "enabled": s["versions"][s["current"]]["enabled"],
                     "tags": s["versions"][s["current"]]["tags"], "versions": len(s["versions"])}
                    for gone, table in ((False, self.store.state.get("secrets", {})),
                                        (True, {n: e["secret"] for n, e in self.store.state.get("deleted_secrets", {}).items()}))
                    for n, s in table.items()]
        return {"time": time.time(), "secrets": rows}

    # identities and permissions
    def do_add_identity(self, name, kind="user", perms=None):
        when = self.store.add_identity(name, kind, self._perms(perms) or keystore.NODE_PERMS)
        return dict(self._ids(name), time=when)

    def _ids(self, name):
        who = self.store.identity(name)
        return {f: who[f] for f in ("kind", "client_id", "object_id", "msi_res_id", "perms", "present")}

    def do_identities(self):
        with self.store.lock:
            return {"time": time.time(), "tenant": keystore.TENANT,
                    "identities": {n: self._ids(n) for n in self.store.state["identities"]}}

    def do_detach_identity(self, name):
        self.metadata.forget()
        return {"time": self.store.set_present(name, False)}

    def do_attach_identity(self, name):
        return {"time": self.store.set_present(name, True)}

    @staticmethod
    def _perms(perms):
        if perms and "all" in perms:
            return list(keystore.ALL_PERMS)
        lower = {p.lower(): p for p in keystore.ALL_PERMS}
        try:
            return [lower[p.lower()] for p in perms or ()]
        except KeyError as e:
            raise KeyError("no such permission: %s" % e)

    def do_policy_add(self, name, perms):
        return {"time": self.store.change_policy(name, add=self._perms(perms))}

    def do_policy_remove(self, name, perms=None):
        return {"time": self.store.change_policy(name, remove=self._perms(perms) or keystore.ALL_PERMS)}

    def do_token(self, name, resource=tokens.RESOURCE, lifetime=None):
        """For tests that speak to the vault by hand."""
        return {"time": time.time(), "token": tokens.issue(self.store, name, resource, lifetime)[0]}

    def do_token_invalidate(self, name=None):
        self.metadata.forget()
        return {"time": self.store.bump_tokens(name)}

    def do_app(self, name, action, value=None):
        return self.listeners["vault"].app.authority.act(name, action, value)

    def do_transit(self, action, words=()):
        return self.listeners["vault"].app.transit.act(action, list(words))

    # faults and settings
    def do_fault_set(self, kind, **args):
        rule, when = self.rules.set(kind, **args)
        if rule.group == "tls":
            self.listeners["vault"].drop()
        return {"time": when, "id": rule.id}

    def do_fault_clear(self, ident=None):
        count, when = self.rules.clear(ident)
        return {"time": when, "cleared": count}

    def do_fault_list(self):
        return {"time": time.time(), "faults": self.rules.listing()}

    def do_fault_kinds(self):
        return {"time": time.time(), "kinds": faults.kinds()}

    def do_set(self, name, value):
        if name.startswith("imds"):
            self.metadata.forget()
        return {"time": self.store.set(name, value)}

    def do_settings(self):
        return {"time": time.time(), "settings": {n: self.store.get(n) for n in keystore.SETTINGS}}

    # the server
    def do_down(self, which="vault"):
        return {"time": self.listeners[which].down()}

    def do_up(self, which="vault"):
        return {"time": self.listeners[which].up()}

    def do_drop(self, which="vault"):
        return {"time": self.listeners[which].drop()}

    def do_stats(self, reset=False):
        return dict(self.log.stats(reset), time=time.time())

    def do_log(self, since=0, op=None, count=None):
        return {"time": time.time(), "log": self.log.tail(since, op, count)}

    def do_stop(self):
        threading.Timer(0.05, self.stop).start()
        return {"time": time.time()}
