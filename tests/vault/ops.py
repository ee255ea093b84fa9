# SPDX-License-Identifier: Apache-2.0
"""The operations on keys: each takes a Call and returns (status, document)."""

import json
import time

import keycrypto
from errors import ApiError

KEY_OPS = ("encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey", "import", "export")
OP_NAME = {"wrap": "wrapKey", "unwrap": "unwrapKey", "encrypt": "encrypt", "decrypt": "decrypt"}


class Call:
    def __init__(self, store, req, key, version, op, from_memory=False, hsm=False):
        self.store, self.req, self.key, self.version, self.op = store, req, key, version, op
        self.from_memory = from_memory
        self.hsm = hsm          # a Managed HSM: keys of software are not there
        if hsm and key and not self.shows(key):
            raise ApiError("key-not-found", key=key, name=key)
        self.base = "https://%s" % req.headers.get("host", "vault.test")
        self._doc = None

    def shows(self, name):
        """Also where there is none of that name."""
        key = next((k for n, k in self.store.state["keys"].items() if n.lower() == name.lower()), None)
        return not self.hsm or key is None or all(v["kty"].endswith("-HSM") for v in key["versions"].values())

    @property
    def doc(self):
        """The request's JSON object."""
        if self._doc is None:
            try:
                self._doc = json.loads(self.req.body or b"{}")
            except (ValueError, RecursionError):
                raise ApiError("bad-parameter", message="The request body is not JSON.")
            if not isinstance(self._doc, dict):
                raise ApiError("bad-parameter", message="The request body is not an object.")
        return self._doc


def kid(call, name, version=None):
    return "%s/keys/%s" % (call.base, name) + ("/" + version if version else "")


def attributes(call, rec):
    level, days = call.store.recovery()
    out = {"enabled": rec["enabled"]}
    for field in ("nbf", "exp"):
        if rec.get(field) is not None:
            out[field] = rec[field]
    out.update(created=rec["created"], updated=rec["updated"], recoveryLevel=level, recoverableDays=days,
               exportable=False)
    if call.req.query.get("api-version", "") >= "7.5":
        out["hsmPlatform"] = "2" if rec["kty"].endswith("HSM") else "0"
    return out


def bundle(call, name, version, rec):
    key = {"kid": kid(call, name, version), "kty": rec["kty"], "key_ops": rec["key_ops"]}
    key.update(call.store.material(version, rec).jwk())
    doc = {"key": key, "attributes": attributes(call, rec)}
    if rec.get("tags"):
        doc["tags"] = rec["tags"]
    return doc


def get(call):
    with call.store.lock:
        name, version, rec = call.store.version(call.key, call.version)
        if not rec["enabled"] and call.store.get("get_disabled") == "403":
            raise ApiError("key-disabled", op="get")
        return 200, bundle(call, name, version, rec)


def page(call, rows):
    """One page of rows and the absolute nextLink, as the service pages."""
    try:
        size = int(call.req.query.get("maxresults", 25))
        start = int(call.req.query.get("$skiptoken", 0))
    except ValueError:
        raise ApiError("bad-parameter", message="maxresults is not a number.")
    if not 1 <= size <= 25 or start < 0:
        raise ApiError("bad-parameter", message="maxresults must be between 1 and 25.")
    link = None
    if start + size < len(rows):
        link = "%s%s?api-version=%s&$skiptoken=%d&maxresults=%d" % (
            call.base, call.req.path, call.req.query["api-version"], start + size, size)
    return 200, {"value": rows[start:start + size], "nextLink": link}


def _item(call, key_id, rec):
    row = {"kid": key_id, "attributes": attributes(call, rec)}
    if rec.get("tags"):
        row["tags"] = rec["tags"]
    return row


def list_keys(call):
    with call.store.lock:
        rows = [_item(call, kid(call, n), k["versions"][k["current"]])
                for n, k in sorted(call.store.state["keys"].items()) if call.shows(n)]
    return page(call, rows)


def list_versions(call):
    with call.store.lock:
        name, key = call.store.find(call.key)
        rows = [_item(call, kid(call, name, v), rec) for v, rec in sorted(key["versions"].items())]
    return page(call, rows)


def _given_attributes(doc):
    given = doc.get("attributes") or {}
    if not isinstance(given, dict):
        raise ApiError("bad-parameter", message="attributes is not an object.")
    out = {}
    if given.get("enabled") is not None:
        if not isinstance(given["enabled"], bool):
            raise ApiError("bad-parameter", message="enabled is not a boolean.")
        out["enabled"] = given["enabled"]
    for field in ("nbf", "exp"):
        if given.get(field) is not None:
            if not isinstance(given[field], int) or isinstance(given[field], bool):
                raise ApiError("bad-parameter", message="%s is not a number." % field)
            out[field] = given[field]
    return out


def _given_ops(doc):
    wanted = doc.get("key_ops")
    if wanted is not None and (not isinstance(wanted, list) or any(o not in KEY_OPS for o in wanted)):
        raise ApiError("bad-parameter", message="key_ops has an unknown operation.")
    return wanted


def create(call):
    doc = call.doc
    kty = doc.get("kty")
    if not kty:
        raise ApiError("bad-parameter", message="Property kty is required.")
    if call.hsm and not kty.endswith("-HSM"):
        raise ApiError("bad-parameter", message="Key type %s is not supported here." % kty)
    size = doc.get("key_size") or (256 if kty == "oct-HSM" else 2048)
    name, version, _ = call.store.create(call.key, kty, size, _given_ops(doc), _given_attributes(doc),
                                         doc.get("tags"))
    with call.store.lock:
        return 200, bundle(call, *call.store.version(name, version))


def update(call):
    changes = _given_attributes(call.doc)
    if _given_ops(call.doc) is not None:
        changes["key_ops"] = call.doc["key_ops"]
    if isinstance(call.doc.get("tags"), dict):
        changes["tags"] = call.doc["tags"]
    with call.store.lock:
        name, version, _ = call.store.update(call.key, call.version, **changes)
        return 200, bundle(call, *call.store.version(name, version))


def rotate(call):
    name, version, _ = call.store.rotate(call.key)
    with call.store.lock:
        return 200, bundle(call, *call.store.version(name, version))


def _deleted(call, name, entry):
    key = entry["key"]
    doc = {"recoveryId": "%s/deletedkeys/%s" % (call.base, name), "deletedDate": int(entry["deleted"]),
           "scheduledPurgeDate": int(entry["purge"])}
    doc.update(bundle(call, name, key["current"], key["versions"][key["current"]]))
    return doc


def delete(call):
    with call.store.lock:
        name, entry, _ = call.store.delete(call.key)
        return 200, _deleted(call, name, entry)


def get_deleted(call):
    with call.store.lock:
        name, entry = call.store.find_deleted(call.key)
        if time.time() < entry["deleted"] + call.store.get("delete_lag_s"):
            raise ApiError("deleted-key-not-found", name=name)
        return 200, _deleted(call, name, entry)


def list_deleted(call):
    with call.store.lock:
        rows = []
        for name, entry in sorted(call.store.state["deleted"].items()):
            row = _deleted(call, name, entry)
            row["kid"] = kid(call, name)
            row.pop("key")
            rows.append(row)
    return page(call, rows)


def recover(call):
    with call.store.lock:
        name, _ = call.store.recover(call.key)
        return 200, bundle(call, *call.store.version(name))


def purge(call):
    call.store.purge(call.key)
    return 204, None


def get_policy(call):
    with call.store.lock:
        name, key = call.store.find(call.key)
        doc = key.get("rotationpolicy") or {
            "lifetimeActions": [{"trigger": {"timeBeforeExpiry": "P30D"}, "action": {"type": "Notify"}}],
            "attributes": {}}
        return 200, dict(doc, id="%s/rotationpolicy" % kid(call, name))


def set_policy(call):
    with call.store.lock:
        _, key = call.store.find(call.key)
        now = int(time.time())
        key["rotationpolicy"] = {"lifetimeActions": call.doc.get("lifetimeActions") or [],
                                 "attributes": dict(call.doc.get("attributes") or {}, created=now, updated=now)}
        call.store.save()
    return get_policy(call)


def _key_for(call, takes_out):
    """The version to use, once its state and key_ops allow the operation. What
    takes a secret out (unwrap, decrypt) is refused for a disabled key and allowed
    outside of nbf..exp; what puts one in is the other way round."""
    store = call.store
    with store.lock:
        name, version, rec = store.version(call.key, call.version)
        if not rec["enabled"] and (takes_out or store.get("wrap_disabled") == "refuse"):
            raise ApiError("key-disabled")
        if OP_NAME[call.op] not in rec["key_ops"]:
            raise ApiError("op-not-permitted")
        now = time.time()
        if not takes_out and rec.get("exp") is not None and rec["exp"] <= now:
            raise ApiError("key-expired")
        if not takes_out and rec.get("nbf") is not None and rec["nbf"] > now:
            raise ApiError("key-not-yet-valid")
        return name, version, store.material(version, rec)


def _input(call):
    if not isinstance(call.doc.get("alg"), str):
        raise ApiError("bad-parameter", message="Property alg is required.")
    if call.doc["alg"] == "RSA-OAEP-256" and call.store.get("oaep") == "sha1":
        raise ApiError("bad-parameter", message="Algorithm RSA-OAEP-256 is not allowed by this key's policy.")
    return call.doc["alg"], keycrypto.unb64u(call.doc.get("value"))


def wrap(call):
    name, version, material = _key_for(call, False)
    out = material.wrap(*_input(call))
    return 200, {"kid": kid(call, name, version), "value": keycrypto.b64u(out)}


def unwrap(call):
    name, version, material = _key_for(call, True)
    alg, value = _input(call)
    old = call.store.last_plain.get(name)
    if call.from_memory and old is not None:
        return 200, {"kid": kid(call, name, version), "value": keycrypto.b64u(old)}
    plain = material.unwrap(alg, value)
    call.store.last_plain[name] = plain
    return 200, {"kid": kid(call, name, version), "value": keycrypto.b64u(plain)}
