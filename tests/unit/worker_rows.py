# SPDX-License-Identifier: Apache-2.0
"""Each way of revoking a key, and each kind of evidence, that is known of Azure Key Vault and Managed HSM: done to the test vault by its
owner's hand where it has one, as a fault where not, and the verdict of the worker compared. What the manager makes of the verdicts is
tested by revoke-every-answer. Rows that cannot be provoked are named with the reason, and counted as skipped."""

import email.utils
import os
import threading
import time

from worker_client import CHECK_DELETED, FRESH_CONNECTION, FRESH_TOKEN, GET_KEY, UNWRAP, WRAP

B, D, W, M, U, R, G, T = ("BROKEN", "DENIED", "DENIED_WEAK", "MISCONFIGURED", "UNREACHABLE", "REVOKED", "GRANTED",
                          "THROTTLED")
ROWS, UNTESTED = {}, {
    "subscription-disabled": "nobody has seen the reply; one that is not in the table is DENIED (4xx) or UNREACHABLE",
    "management-plane-errors": "cmkd never asks the management plane",
    "recovered-vault-without-its-role-assignments": "is role-assignment-removed",
    "vault-soft-deleted-or-purged-raised-to-denied": "not built: a name that does not resolve stays UNREACHABLE",
    "key-replaced-under-the-same-identifier": "no operation of the service does that; a 400 BadParameter is MISCONFIGURED",
}


def row(name, *wanted):
    """wanted: (verdict, code) of each reply that the function gives, in turn; a code of None is any."""
    def add(f):
        ROWS[name] = (f, wanted)
        return f
    return add


class Key:
    """A key of its own, and what a node does with it."""

    name, kty, vault, algorithm = "row", "RSA", "main", "RSA-OAEP-256"

    def __init__(self, b):
        self.b, self.ctl = b, b.vault.ctl
        self.kid = self.create()
        self.prepare()

    def create(self):
        return self.b.create(self.name, kty=self.kty)

    def prepare(self):
        self.spki = self.get().spki

    def challenge(self):
        plain = os.urandom(32)
        return plain, self.b.wrap(self.spki, plain)

    def call(self, op, *blob, **more):
        return self.b.client.call(op, more.pop("kid", self.kid), *blob, **dict({"vault": self.vault, "algorithm": self.algorithm}, **more))

    def unwrap(self, **more):
        plain, wrapped = self.challenge()
        y = self.call(UNWRAP, wrapped, **more)
        assert y.verdict != G or y.blob == plain, "a wrong plaintext"
        return y

    def get(self):
        return self.call(GET_KEY)

    def wrap(self):
        return self.call(WRAP, b"\1" * 32)

    def deleted(self):
        return self.call(CHECK_DELETED)

    def setting(self, name, value, default, ask=None):
        """What is said while a setting holds."""
        self.ctl("set", name=name, value=value)
        try:
            return (ask or self.unwrap)()
        finally:
            self.ctl("set", name=name, value=default)

    def fault(self, kind, op="unwrap", count=1, **options):
        self.b.vault.fault(kind, op=op, count=count, **options)
        return self.unwrap(flags=FRESH_TOKEN if op == "token" else 0)


class HsmKey(Key):
    """A symmetric key of a Managed HSM, which is polled by what it once wrapped."""

    name, kty, vault, algorithm = "hrow", "oct-HSM", "hsm", "A256KW"

    def create(self):
        return self.b.create(self.name, kty=self.kty, size=256).replace("localhost", "127.0.0.1")

    def prepare(self):
        self.plain = os.urandom(32)
        y = self.call(WRAP, self.plain)
        assert y.verdict == G, "it does not wrap: %r" % y
        self.wrapped = y.blob

    def challenge(self):
        return self.plain, self.wrapped


# where a Managed HSM answers otherwise than a vault does: its own denials, and no limit
HSM_ANSWERS = {
    "access-policy-entry-removed": ((D, "AccessDenied"), (D, "Forbidden/AccessDenied")),
    "role-assignment-removed": ((D, "AccessDenied"),),
    "rate-limit": ((G, ""), (T, "metadata: too_many_requests")),
}
HSM_ROWS_LEFT_OUT = ("metadata-upgrade", "metadata-upgrade-for-70-s")       # long, and the same code


def check_row(b, name, kind=Key):
    f, wanted = ROWS[name]
    if kind is HsmKey:
        wanted = HSM_ANSWERS.get(name, wanted)
    k = kind(b)
    got = [(y.verdict, y.code) for y in f(k)]
    after = k.unwrap(flags=FRESH_TOKEN) if name not in ("key-deleted-and-purged",) else None
    if len(got) != len(wanted) or any(g[0] != w[0] or w[1] not in (None, g[1]) for g, w in zip(got, wanted)):
        return "got %r, expected %r" % (got, wanted)
    return "does not work any more afterwards: %r" % after if after and after.verdict != G else None


def check_hsm_row(b, name):
    return check_row(b, name, HsmKey)


@row("works", (G, ""), (G, ""), (G, ""))
def _(k):
    return k.unwrap(), k.wrap(), k.get()


@row("version-disabled", (R, "Forbidden/KeyDisabled"), (G, ""), (R, "Forbidden/KeyDisabled"), (R, "Forbidden/KeyDisabled"))
def _(k):
    k.ctl("disable", name=k.name)
    told = k.setting("get_disabled", "403", "200", k.get)
    wrapped = k.setting("wrap_disabled", "refuse", "allow", k.wrap)
    out = k.unwrap(), k.get(), told, wrapped
    k.ctl("enable", name=k.name)
    return out


@row("older-version-disabled", (R, "Forbidden/KeyDisabled"), (G, ""))
def _(k):
    old = k.kid
    k.kid = k.create()
    k.ctl("disable", name=k.name, version=old.rpartition("/")[2])
    out = [k.unwrap(kid=old)]
    k.ctl("enable", name=k.name, version=old.rpartition("/")[2])
    k.prepare()
    return out + [k.unwrap()]


@row("key-deleted", (R, "KeyNotFound"), (R, "KeyNotFound"), (G, ""))
def _(k):
    k.ctl("delete", name=k.name)
    out = k.unwrap(), k.get(), k.deleted()
    k.ctl("recover", name=k.name)
    return out


@row("key-deleted-and-not-listed-yet", (R, "KeyNotFound"), (D, "KeyNotFound"), (G, ""))
def _(k):
    k.ctl("delete", name=k.name)
    out = [k.unwrap(), k.setting("delete_lag_s", "60", "0", k.deleted), k.deleted()]
    k.ctl("recover", name=k.name)
    return out


@row("key-deleted-and-purged", (R, "KeyNotFound"), (D, "KeyNotFound"))
def _(k):
    k.ctl("delete", name=k.name)
    k.ctl("purge", name=k.name, force=True)
    return k.unwrap(), k.deleted()


@row("wrong-version", (R, "KeyNotFound"))
def _(k):
    return [k.unwrap(kid=k.kid.rpartition("/")[0] + "/" + "0" * 32)]


@row("name-in-deleted-state", (D, "Conflict/ObjectIsDeletedButRecoverable"), (D, "Conflict/ObjectIsBeingDeleted"))
def _(k):
    return k.fault("conflict-deleted"), k.fault("conflict-being-deleted")


@row("access-policy-entry-removed", (D, "Forbidden/ForbiddenByPolicy"), (D, "Forbidden/AccessDenied"))
def _(k):
    k.ctl("policy-remove", name="node", perms=["unwrapKey"])
    y = k.unwrap()
    k.ctl("policy-add", name="node", perms=["unwrapKey"])
    return y, k.fault("access-denied")


@row("role-assignment-removed", (D, "Forbidden/ForbiddenByRbac"))
def _(k):
    k.ctl("policy-remove", name="node", perms=["unwrapKey"])
    y = k.setting("permission_model", "rbac", "policy")
    k.ctl("policy-add", name="node", perms=["unwrapKey"])
    return [y]


@row("managed-hsm-local-rbac", (D, "AccessDenied"), (D, "AccessDenied"))
def _(k):
    return k.fault("hsm-access-denied"), k.fault("hsm-access-denied", count=2, status=401)


@row("key-ops-lack-unwrap", (D, "Forbidden/KeyOperationForbidden"))
def _(k):
    k.ctl("update-key", name=k.name, key_ops=["wrapKey"])
    y = k.unwrap()
    k.ctl("update-key", name=k.name, key_ops=["wrapKey", "unwrapKey"])
    return [y]


@row("key-expired", (G, ""), (D, "Forbidden/KeyExpired"), (G, ""))
def _(k):
    k.ctl("update-key", name=k.name, exp=1000)
    y = k.unwrap(), k.wrap(), k.get()
    assert y[2].expires == 1000
    return y


@row("key-not-yet-valid", (G, ""), (D, "Forbidden/KeyNotYetValid"), (G, ""))
def _(k):
    k.ctl("update-key", name=k.name, nbf=4000000000)
    return k.unwrap(), k.wrap(), k.get()


@row("firewall-excludes-us", (W, "Forbidden/ForbiddenByFirewall"))
def _(k):
    return [k.setting("firewall", "firewall", "open")]


@row("public-access-disabled", (W, "Forbidden/ForbiddenByConnection"))
def _(k):
    return [k.setting("firewall", "private", "open")]


@row("network-security-perimeter", (D, "Forbidden/ForbiddenByNsp"))
def _(k):
    return [k.fault("forbidden-by-nsp")]


@row("token-of-another-tenant", (M, "AKV10032"))
def _(k):
    return [k.fault("imds-wrong-issuer", op="token")]


@row("token-for-another-audience", (M, "AKV10022"))
def _(k):
    return [k.fault("imds-wrong-audience", op="token")]


@row("unauthorized-with-a-fresh-token", (W, "AKV10046"), (W, "AKV10000"))
def _(k):
    k.b.vault.fault("akv10046", op="unwrap", count=1)
    first = k.unwrap(flags=FRESH_TOKEN)
    k.b.vault.fault("akv10000", op="unwrap", count=1)
    return first, k.unwrap(flags=FRESH_TOKEN)


@row("vault-deleted", (U, "curl: name not resolved"), (D, "VaultNotFound"))
def _(k):
    y = k.b.client.call(GET_KEY, "https://no-such-host.invalid/keys/k1", vault="no-name", timeout_ms=4000)
    return y, k.fault("vault-not-found")


@row("identity-detached", (D, "metadata: invalid_request"))
def _(k):
    k.ctl("detach-identity", name="node")
    y = k.unwrap(flags=FRESH_TOKEN)
    k.ctl("attach-identity", name="node")
    return [y]


@row("bad-ciphertext", (M, "BadParameter"))
def _(k):
    return [k.call(UNWRAP, b"\1" * 256)]


@row("rate-limit", (T, "Throttled"), (T, "metadata: too_many_requests"))
def _(k):
    first = k.setting("rate_limit", "1", "0", lambda: [k.unwrap(), k.unwrap()][1])
    return first, k.fault("imds-429", op="token")


@row("service-faults", (U, "InternalServerError"), (U, "BadGateway"), (U, "ServiceUnavailable"), (U, "GatewayTimeout"))
def _(k):
    return [k.fault(kind) for kind in ("server-error", "bad-gateway", "unavailable", "gateway-timeout")]


@row("in-between", (B, "HTTP 403"), (B, "HTTP 403"), (U, "curl: certificate"))
def _(k):
    out = [k.fault("key-disabled", html=True), k.fault("html", status=403)]
    k.b.vault.fault("wrong-cert-ca")
    out.append(k.unwrap(flags=FRESH_CONNECTION, timeout_ms=1500))
    k.ctl("fault-clear")
    return out


@row("content", (B, "bad reply"), (B, "bad reply"), (B, "length"), (B, "bad reply"), (B, "curl: too large"))
def _(k):
    return [k.fault(kind) for kind in ("wrong-kid", "bad-base64", "short-value", "missing-value", "oversized-body")]


@row("retry-after", *[(T, "Throttled")] * 6)
def _(k):
    """Seconds or a date, capped; what is neither, or gone by, is nothing."""
    def date(ahead):
        return email.utils.formatdate(time.time() + ahead, usegmt=True)
    out = []
    for said, least, most in ((7, 7, 7), (99999, 300, 300), (date(60), 50, 60), (date(86400), 300, 300), (date(-60), 0, 0),
                              ("soon", 0, 0)):
        out.append(k.fault("throttled", retry_after=said))
        assert least <= out[-1].retry_after <= most, "%s: %d" % (said, out[-1].retry_after)
    return out


@row("metadata-upgrade-for-70-s", (U, "metadata: gone"), (G, ""))
def _(k):
    """410 for as long as the service says that it may take: polls whose deadline is earlier end, one that may wait is answered when it is
    over; and the endpoint is asked every ten seconds at most by then."""
    k.b.vault.fault("imds-410", op="token")
    begun, before = time.monotonic(), len(k.b.vault.log(op="token"))
    y = k.unwrap(flags=FRESH_TOKEN, timeout_ms=5000)
    over = threading.Timer(72 - (time.monotonic() - begun), k.b.vault.ctl, ("fault-clear",))
    over.start()
    z = k.unwrap(flags=FRESH_TOKEN, timeout_ms=95000)
    over.join()
    asked = len(k.b.vault.log(op="token")) - before
    assert 72 <= time.monotonic() - begun < 90, time.monotonic() - begun
    assert asked < 20, "asked %d times" % asked
    return [y, z]


@row("metadata-upgrade", (G, ""))
def _(k):
    """410 for 12 s, longer than four tries took: as long as the deadline allows, or the next poll asks again. Each of the four pauses is up to
    an eighth shorter or longer."""
    k.b.vault.fault("imds-410", op="token", count=4)
    start = time.monotonic()
    y = k.unwrap(flags=FRESH_TOKEN, timeout_ms=20000)
    assert time.monotonic() - start >= 12 * 7 / 8, "that was too quick"
    return [y]
