# SPDX-License-Identifier: Apache-2.0
"""Checks of cmkd-vault where the wrapped key is a secret of the vault. The rows are as those of worker_rows.py: what the secret's owner
does, or a fault, and what a challenge then gives; the others as those of worker_more.py."""

import base64
import hashlib
import os
import time
import uuid

from worker_client import CHECK_DELETED, CHECK_STORED, DELIVER, FRESH_TOKEN, GET_KEY, MAY_STORE, PURGE_PROTECTED, UNWRAP, WRAP, WRAP_NEW
from worker_more import check, differs, first
from worker_rows import B, D, G, HsmKey, Key, M, R, T, U, W

ROWS = {}
EVERYTHING = ["secret-get", "secret-set"]


def row(name, *wanted):
    def add(f):
        ROWS["secret-" + name] = (f, wanted)
        return f
    return add


class StoredKey(Key):
    """A key, and a volume whose wrapped key the vault keeps."""

    def __init__(self, b):
        b.connect_to_new_worker()                   # one that had W in its memory ends soon, in the middle of what follows
        super().__init__(b)

    def prepare(self):
        super().prepare()
        self.ctl("policy-add", name="node", perms=EVERYTHING)
        self.volume = str(uuid.uuid4())
        y = self.call(WRAP_NEW, digest=bytes(32), volume=self.volume)
        assert y.verdict == G and len(y.blob) == 32, "it was not kept: %r" % y
        self.digest = y.blob
        self.secret = "cmkd-%s-%s" % (self.volume, self.digest[:16].hex())
        self.b.connect_to_new_worker()

    def about(self, **more):
        return dict({"volume": self.volume, "digest": self.digest}, **more)

    def unwrap(self, **more):
        return super().unwrap(**self.about(**more))

    def deleted(self, **more):
        return self.call(CHECK_DELETED, **self.about(**more))

    def release(self, **more):
        return self.b.client.release(self.kid, b"", **self.about(**more))

    def owner(self, action, **more):
        self.ctl("secret", name=self.secret, action=action, **more)

    def fault(self, kind, op="secret-get", count=1, **options):
        return super().fault(kind, op, count, **options)


def check_row(b, name):
    f, wanted = ROWS[name]
    k = StoredKey(b)
    try:
        got = [(y.verdict, y.code) for y in f(k)]
        b.vault.ctl("fault-clear")
        after = k.unwrap(flags=FRESH_TOKEN) if "purged" not in name else None
    finally:
        b.vault.ctl("policy-remove", name="node", perms=EVERYTHING)
    if len(got) != len(wanted) or any(g[0] != w[0] or w[1] not in (None, g[1]) for g, w in zip(got, wanted)):
        return "got %r, expected %r" % (got, wanted)
    return "does not work any more afterwards: %r" % after if after and after.verdict != G else None


@row("works", (G, ""))
def _(k):
    return [k.unwrap()]


@row("disabled", (R, "Forbidden/SecretDisabled"), (R, "Forbidden/SecretDisabled"), (G, ""))
def _(k):
    k.owner("disable")
    out = k.unwrap(), k.release()[0]
    k.owner("enable")
    return [*out, k.unwrap()]


@row("called-disabled", (R, "Forbidden/SecretDisabled"))
def _(k):
    return [k.fault("disabled-lie")]


@row("deleted", (R, "SecretNotFound"), (R, "SecretNotFound"), (G, ""))
def _(k):
    k.owner("delete")
    out = k.unwrap(), k.release()[0], k.deleted()
    assert 89 * 86400 < out[2].expires - time.time() <= 90 * 86400, "purged at %d" % out[2].expires
    k.owner("recover")
    return out


@row("deleted-and-not-listed-yet", (R, "SecretNotFound"), (D, "KeyNotFound"), (G, ""))
def _(k):
    k.owner("delete")
    out = k.unwrap(), k.setting("delete_lag_s", "60", "0", k.deleted), k.deleted()
    k.owner("recover")
    return out


@row("deleted-and-purged", (R, "SecretNotFound"), (D, "KeyNotFound"))
def _(k):
    k.owner("delete")
    k.owner("purge")
    return k.unwrap(), k.deleted()


@row("there-and-the-key-deleted", (R, "KeyNotFound"), (G, ""))
def _(k):
    k.ctl("delete", name=k.name)
    out = k.unwrap(), k.deleted()
    k.ctl("recover", name=k.name)
    return out


@row("there-and-the-key-disabled", (R, "Forbidden/KeyDisabled"))
def _(k):
    k.ctl("disable", name=k.name)
    y = k.unwrap()
    k.ctl("enable", name=k.name)
    return [y]


@row("with-more-fields", (G, ""))
def _(k):
    return [k.fault("extra-fields")]


@row("permission-removed", (D, "Forbidden/ForbiddenByPolicy"), (D, "Forbidden/ForbiddenByRbac"))
def _(k):
    k.ctl("policy-remove", name="node", perms=["secret-get"])
    out = k.unwrap(), k.setting("permission_model", "rbac", "policy")
    k.ctl("policy-add", name="node", perms=["secret-get"])
    assert all('the permission "get" on secrets' in y.text and k.secret in y.text for y in out), out
    return out


@row("altered", (B, "secret altered"), (B, "secret altered"))
def _(k):
    """Somebody wrote a new version: neither revoked nor good."""
    was = base64.urlsafe_b64encode(b"\0" * 256).rstrip(b"=").decode()
    k.owner("set", value=was)
    y = k.unwrap()
    k.owner("set", value="not base64 at all!")
    z = k.unwrap()
    k.prepare()
    return y, z


@row("gates", (W, "Forbidden/ForbiddenByFirewall"), (W, "Forbidden/ForbiddenByConnection"), (W, "AKV10046"), (M, "AKV10022"))
def _(k):
    out = k.setting("firewall", "firewall", "open"), k.setting("firewall", "private", "open")
    k.b.vault.fault("akv10046", op="secret-get", count=1)
    return *out, k.unwrap(flags=FRESH_TOKEN), k.fault("imds-wrong-audience", op="token")


@row("service-faults", (T, "Throttled"), (U, "InternalServerError"), (U, "ServiceUnavailable"), (U, "curl: timed out"),
     (D, "NotFound"), (D, "Conflict/ObjectIsBeingDeleted"))
def _(k):
    out = [k.fault(kind) for kind in ("throttled", "server-error", "unavailable")]
    k.b.vault.fault("hang", op="secret-get", count=1)
    return out + [k.unwrap(timeout_ms=700), k.fault("not-found"), k.fault("conflict-being-deleted")]


@row("of-another-code", (D, "KeyNotFound"), (D, "Forbidden/KeyDisabled"), (D, "SecretNotFound"), (U, "SecretNotFound"), (B, "HTTP 404"),
     (B, None))
def _(k):
    """Only a secret's codes with their statuses, in the vault's form, are its owner's word."""
    return [k.fault("key-not-found"), k.fault("key-disabled"), k.fault("secret-not-found", status=403),
            k.fault("secret-not-found", status=503), k.fault("secret-not-found", html=True), k.fault("secret-not-found", bare=True)]


@row("of-another-operation", (D, "SecretNotFound"), (D, "Forbidden/SecretDisabled"))
def _(k):
    """They say nothing where a key was asked for."""
    return [k.fault("secret-not-found", op="unwrap"), k.fault("secret-disabled", op="unwrap")]


@row("content", *[(B, "bad reply")] * 9, (B, "curl: too large"), (B, "secret altered"), (B, "secret altered"), (B, "secret altered"),
     (G, ""), (G, ""))
def _(k):
    bad = ("wrong-kid", "wrong-kid-host", "missing-value", "null-value", "number-value", "duplicate-fields", "nested-json", "array",
           "bad-utf8")
    altered = ("oversized-body", "short-value", "empty-value", "bad-base64")
    return [k.fault(kind) for kind in (*bad, *altered, "upper-kid", "padded-base64")]


@check
def stored_w_comes_by_a_release(b):
    """Made by the worker, kept by the vault, shown to nobody; each time one GET, one unwrap, no new token and no new connection."""
    k = StoredKey(b)
    y, w = k.release()
    before = len(b.vault.log())
    z, again = k.release()
    log = b.vault.log()[before:]
    kept, = [s for s in k.ctl("secrets")["secrets"] if s["name"] == k.secret]
    shown = any(w in frame for frame in b.client.frames)
    b.connect_to_new_worker()
    b.vault.ctl("policy-remove", name="node", perms=EVERYTHING)
    return first(differs("release", (y.verdict, y.delivered, len(w)), (G, 64, 64)), differs("again", again, w),
                 differs("requests", [row["op"] for row in log], ["secret-get", "unwrap"]),
                 differs("connections", len({row["conn"] for row in log}), 1),
                 differs("token", z.token_usec, 0),
                 differs("tags", kept["tags"], {"cmkd-volume": k.volume, "cmkd-key": k.kid.partition("/keys/")[2]}),
                 "W was in a reply" if shown else None)


@check
def stored_key_asks_for_one_fresh_token(b):
    """A request whose token is to be new asks for one, however many questions it puts to the vault with it."""
    k = StoredKey(b)
    before = len(b.vault.log())
    ys = k.unwrap(flags=FRESH_TOKEN), k.deleted(flags=FRESH_TOKEN)
    got = [row["op"] for row in b.vault.log()[before:]]
    b.vault.ctl("policy-remove", name="node", perms=EVERYTHING)
    return first(differs("verdict", ys[0].verdict, G),
                 differs("requests", got, ["token", "secret-get", "unwrap", "token", "secret-getdeleted", "getdeleted"]))


@check
def stored_name_is_of_the_volume_and_the_digest(b):
    """Another volume's secret, or one that hashes to something else, is never asked for by its name."""
    k, other = StoredKey(b), StoredKey(b)
    before = len(b.vault.log())
    y = k.unwrap(volume=other.volume)
    z = k.unwrap(digest=hashlib.sha256(b"another").digest())
    asked = [row["key"] for row in b.vault.log()[before:] if row["op"] == "secret-get"]
    b.vault.ctl("policy-remove", name="node", perms=EVERYTHING)
    return first(differs("other volume", (y.verdict, y.code), (R, "SecretNotFound")), differs("other digest", z.verdict, R),
                 "asked for %r" % asked if k.secret in asked or other.secret in asked or len(asked) != 2 else None)


@check
def stored_without_permission_to_set(b):
    k = Key(b)
    b.vault.ctl("policy-add", name="node", perms=["secret-get"])
    y = k.call(WRAP_NEW, digest=bytes(32), volume=str(uuid.uuid4()))
    b.vault.ctl("policy-remove", name="node", perms=["secret-get"])
    b.vault.ctl("policy-add", name="node", perms=["secret-set"])
    b.vault.fault("secret-conflict-deleted", op="secret-set", count=1)
    z = k.call(WRAP_NEW, digest=bytes(32), volume=str(uuid.uuid4()))
    b.vault.fault("bad-base64", op="secret-set", count=1)
    lie = k.call(WRAP_NEW, digest=bytes(32), volume=str(uuid.uuid4()))
    b.vault.ctl("policy-remove", name="node", perms=["secret-set"])
    b.connect_to_new_worker()
    return first(differs("verdict", (y.verdict, y.code, y.blob), (D, "Forbidden/ForbiddenByPolicy", b"")),
                 None if 'the permission "set" on secrets' in y.text else "text: %s" % y.text,
                 differs("deleted name", (z.verdict, z.code, z.blob), (M, "Conflict/ObjectIsDeletedButRecoverable", b"")),
                 differs("another value", (lie.verdict, lie.code, lie.blob), (B, "secret altered", b"")))


@check
def stored_secret_is_looked_at(b):
    """For doctor: one request, nothing unwrapped, and what a poll would say of the secret."""
    k = StoredKey(b)
    before = len(b.vault.log())
    said = [k.call(CHECK_STORED, **k.about())]
    sent = [row["op"] for row in b.vault.log()[before:] if row["op"] != "token"]
    b.vault.ctl("set", name="purge_protection", value="off")
    said.append(k.call(CHECK_STORED, **k.about()))
    b.vault.ctl("set", name="purge_protection", value="on")
    k.owner("disable")
    said.append(k.call(CHECK_STORED, **k.about()))
    k.owner("enable")
    k.owner("delete")
    said.append(k.call(CHECK_STORED, **k.about()))
    k.owner("recover")
    k.owner("set", value="bm90IHRoYXQ")
    said.append(k.call(CHECK_STORED, **k.about()))
    b.vault.ctl("policy-remove", name="node", perms=EVERYTHING)
    said.append(k.call(CHECK_STORED, **k.about()))
    return first(differs("said", [(y.verdict, y.code) for y in said],
                         [(G, ""), (G, ""), (R, "Forbidden/SecretDisabled"), (R, "SecretNotFound"), (B, "secret altered"),
                          (D, "Forbidden/ForbiddenByPolicy")]),
                 differs("protected", [bool(y.key_flags & PURGE_PROTECTED) for y in said[:2]], [True, False]),
                 differs("level", [y.recovery_level for y in said[:2]], ["Recoverable", "Recoverable+Purgeable"]),
                 differs("sent", sent, ["secret-get"]))


@check
def stored_permission_to_set_is_found_out(b):
    """Without anything being set."""
    k = StoredKey(b)
    kept = k.ctl("secrets")["secrets"]
    said = [k.call(MAY_STORE, **k.about())]
    b.vault.ctl("policy-remove", name="node", perms=["secret-set"])
    said.append(k.call(MAY_STORE, **k.about()))
    said.append(k.setting("permission_model", "rbac", "policy", lambda: k.call(MAY_STORE, **k.about())))
    b.vault.ctl("policy-add", name="node", perms=["secret-set"])
    b.vault.fault("secret-conflict-deleted", op="secret-set", count=1)
    said.append(k.call(MAY_STORE, **k.about()))
    b.vault.fault("throttled", op="secret-set", count=1)
    said.append(k.call(MAY_STORE, **k.about()))
    b.vault.ctl("policy-remove", name="node", perms=EVERYTHING)
    return first(differs("said", [(y.verdict, y.code) for y in said],
                         [(G, ""), (D, "Forbidden/ForbiddenByPolicy"), (D, "Forbidden/ForbiddenByRbac"), (G, ""), (T, "Throttled")]),
                 None if 'the permission "set" on secrets' in said[1].text else "text: %s" % said[1].text,
                 differs("kept", k.ctl("secrets")["secrets"], kept))


@check
def stored_requests_that_make_no_sense(b):
    """Refused before anything is sent: a Managed HSM has no secrets, and only W is kept."""
    k, h = StoredKey(b), HsmKey(b)
    before = len(b.vault.log())
    volume = {"volume": k.volume}
    said = [h.call(WRAP_NEW, digest=bytes(32), **volume), h.call(CHECK_STORED, digest=bytes(32), **volume), k.call(CHECK_STORED),
            k.call(MAY_STORE, volume=k.volume), k.call(GET_KEY, **k.about()), k.call(WRAP, b"\1" * 32, **k.about()),
            k.call(UNWRAP, **k.about()), k.release(flags=DELIVER)[0] and b.client.release(k.kid, b"\1" * 256, **k.about())[0]]
    sent = [row["op"] for row in b.vault.log()[before:] if row["op"] != "token"]
    b.connect_to_new_worker()
    b.vault.ctl("policy-remove", name="node", perms=EVERYTHING)
    return first(differs("said", [(y.verdict, y.code) for y in said], [(M, "request")] * 8),
                 differs("sent", sent, ["secret-get", "unwrap"]))
