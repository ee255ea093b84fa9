# SPDX-License-Identifier: Apache-2.0
"""Secrets of the vault, in the forms of the service: each operation takes a Call and returns (status, document). A secret has
versions as a key has; what is kept in it is any text. Names in soft-deleted state cannot be used again."""

import time
import uuid

import ops
from errors import ApiError
from keystore import NAME

VALUE_MAX = 25 * 1024


def _tables(call):
    return call.store.state.setdefault("secrets", {}), call.store.state.setdefault("deleted_secrets", {})


def _find(table, name, error="secret-not-found"):
    for n, entry in table.items():
        if n.lower() == name.lower():
            return n, entry
    raise ApiError(error, name=name, key=name)


def _version(call):
    name, secret = _find(_tables(call)[0], call.key)
    version = (call.version or secret["current"]).lower()
    if version not in secret["versions"]:
        raise ApiError("secret-not-found", name=name, key="%s/%s" % (name, version))
    return name, version, secret["versions"][version]


def _id(call, name, version=None):
    return "%s/secrets/%s" % (call.base, name) + ("/" + version if version else "")


def _attributes(call, rec):
    level, days = call.store.recovery()
    out = {"enabled": rec["enabled"]}
    for field in ("nbf", "exp"):
        if rec.get(field) is not None:
            out[field] = rec[field]
    out.update(created=rec["created"], updated=rec["updated"], recoveryLevel=level, recoverableDays=days)
    return out


def _bundle(call, name, version, rec, value=True):
    doc = {"value": rec["value"]} if value else {}
    if rec.get("contentType"):
        doc["contentType"] = rec["contentType"]
    doc.update(id=_id(call, name, version), attributes=_attributes(call, rec), tags=rec.get("tags") or {})
    return doc


def _deleted(call, name, entry):
    secret = entry["secret"]
    doc = {"recoveryId": "%s/deletedsecrets/%s" % (call.base, name), "deletedDate": int(entry["deleted"]),
           "scheduledPurgeDate": int(entry["purge"])}
    doc.update(_bundle(call, name, secret["current"], secret["versions"][secret["current"]], value=False))
    return doc


def get(call):
    with call.store.lock:
        name, version, rec = _version(call)
        if not rec["enabled"]:
            raise ApiError("secret-disabled", op="get")
        return 200, _bundle(call, name, version, rec)


def put(call):
    doc = call.doc
    if not isinstance(doc.get("value"), str) or len(doc["value"]) > VALUE_MAX:
        raise ApiError("bad-parameter", message="Property value has invalid value.")
    if not NAME.match(call.key):
        raise ApiError("bad-parameter", message="The request URI contains an invalid name: %s" % call.key)
    with call.store.lock:
        secrets, deleted = _tables(call)
        if any(n.lower() == call.key.lower() for n in deleted):
            raise ApiError("secret-conflict-deleted", name=call.key)
        try:
            name, secret = _find(secrets, call.key)
        except ApiError:
            name, secret = call.key, secrets.setdefault(call.key, {"versions": {}, "current": None})
        now, version = int(time.time()), uuid.uuid4().hex
        rec = dict({"enabled": True}, **ops._given_attributes(doc))
        rec.update(value=doc["value"], contentType=doc.get("contentType"), tags=doc.get("tags"), created=now, updated=now)
        secret["versions"][version] = rec
        secret["current"] = version
        call.store.save()
        return 200, _bundle(call, name, version, rec)


def update(call):
    with call.store.lock:
        name, version, rec = _version(call)
        rec.update(ops._given_attributes(call.doc), updated=int(time.time()))
        for field in ("contentType", "tags"):
            if call.doc.get(field) is not None:
                rec[field] = call.doc[field]
        call.store.save()
        return 200, _bundle(call, name, version, rec, value=False)


def list_all(call):
    with call.store.lock:
        rows = [dict(_bundle(call, n, s["current"], s["versions"][s["current"]], value=False), id=_id(call, n))
                for n, s in sorted(_tables(call)[0].items())]
    return ops.page(call, rows)


def list_versions(call):
    with call.store.lock:
        name, secret = _find(_tables(call)[0], call.key)
        rows = [_bundle(call, name, v, rec, value=False) for v, rec in sorted(secret["versions"].items())]
    return ops.page(call, rows)


def delete(call):
    with call.store.lock:
        secrets, deleted = _tables(call)
        name, secret = _find(secrets, call.key)
        now = time.time()
        entry = {"secret": secret, "deleted": now, "purge": now + 86400 * call.store.get("recoverable_days")}
        del secrets[name]
        if call.store.get("soft_delete"):
            deleted[name] = entry
        call.store.save()
        return 200, _deleted(call, name, entry)


def get_deleted(call):
    with call.store.lock:
        name, entry = _find(_tables(call)[1], call.key, "deleted-secret-not-found")
        if time.time() < entry["deleted"] + call.store.get("delete_lag_s"):
            raise ApiError("deleted-secret-not-found", name=name)
        return 200, _deleted(call, name, entry)


def list_deleted(call):
    with call.store.lock:
        rows = [dict(_deleted(call, n, e), id=_id(call, n)) for n, e in sorted(_tables(call)[1].items())]
    return ops.page(call, rows)


def recover(call):
    with call.store.lock:
        secrets, deleted = _tables(call)
        name, entry = _find(deleted, call.key, "deleted-secret-not-found")
        del deleted[name]
        secret = secrets[name] = entry["secret"]
        call.store.save()
        return 200, _bundle(call, name, secret["current"], secret["versions"][secret["current"]], value=False)


def purge(call, force=False):
    with call.store.lock:
        deleted = _tables(call)[1]
        name, _ = _find(deleted, call.key, "deleted-secret-not-found")
        if call.store.get("purge_protection") and not force:
            raise ApiError("purge-protected")
        del deleted[name]
        call.store.save()
        return 204, None


# op: (permission, RBAC data action, function), as in api.py
OPS = {
    "secret-get": ("secret-get", "secrets/getSecret/action", get),
    "secret-set": ("secret-set", "secrets/setSecret/action", put),
    "secret-update": ("secret-set", "secrets/update/action", update),
    "secret-list": ("secret-list", "secrets/readMetadata/action", list_all),
    "secret-versions": ("secret-list", "secrets/readMetadata/action", list_versions),
    "secret-delete": ("secret-delete", "secrets/delete", delete),
    "secret-getdeleted": ("secret-get", "secrets/readMetadata/action", get_deleted),
    "secret-listdeleted": ("secret-list", "secrets/readMetadata/action", list_deleted),
    "secret-recover": ("secret-recover", "secrets/recover/action", recover),
    "secret-purge": ("secret-purge", "secrets/purge/action", purge),
}
PERMS = tuple(sorted({perm for perm, _, _ in OPS.values()}))


def route(method, root, rest):
    """(op, name, version) below /secrets and /deletedsecrets; as in api.py."""
    name = rest[0] if rest else None
    if root == "deletedsecrets":
        if len(rest) == 2 and rest[1].lower() == "recover":
            return ("secret-recover" if method == "POST" else "405"), name, None
        table = {(0, "GET"): "secret-listdeleted", (1, "GET"): "secret-getdeleted", (1, "DELETE"): "secret-purge"}
        return table.get((len(rest), method), "405" if len(rest) < 2 else None), name, None
    if len(rest) == 2 and rest[1].lower() == "versions":
        return ("secret-versions" if method == "GET" else "405"), name, None
    table = {(0, "GET"): "secret-list", (1, "GET"): "secret-get", (1, "PUT"): "secret-set", (1, "DELETE"): "secret-delete",
             (1, "PATCH"): "secret-update", (2, "GET"): "secret-get", (2, "PATCH"): "secret-update"}
    return table.get((len(rest), method), "405" if len(rest) < 3 else None), name, rest[1] if len(rest) == 2 else None


class Hand:
    """The owner's hand, for the control socket: no request, no permission."""

    base, version = "https://vault.test", None

    def __init__(self, store, name, version=None, **doc):
        self.store, self.key, self.version, self.doc = store, name, version, doc
