# SPDX-License-Identifier: Apache-2.0
"""Checks of cmkd-vault: what the owner of a key does in the vault. As those of worker_more.py."""

import os

from worker_client import (CAN_UNWRAP, CAN_WRAP, CHECK_DELETED, CHECK_EXCESS, ENABLED, FRESH_TOKEN, GET_KEY, HSM, PURGE_PROTECTED,
                           TAGS_LEFT_OUT, UNWRAP, WRAP)
from worker_more import check, differs, first


@check
def key_attributes(b):
    y = b.client.call(GET_KEY, b.kid)
    newest = b.client.call(GET_KEY, b.kid.rpartition("/")[0])
    return first(differs("verdict", y.verdict, "GRANTED"), differs("kid", y.kid, b.kid),
                 differs("newest", newest.kid, b.kid),
                 differs("flags", y.key_flags, ENABLED | CAN_WRAP | CAN_UNWRAP | PURGE_PROTECTED),
                 differs("bits", (y.key_type, y.key_bits), ("RSA", 2048)),
                 differs("recovery", y.recovery_level, "Recoverable"))


@check
def key_attributes_of_a_4096_bit_hsm_key(b):
    y = b.client.call(GET_KEY, b.create("hsm", kty="RSA-HSM", size=4096, key_ops=["unwrapKey"], nbf=1000,
                                        exp=4000000000))
    return first(differs("flags", y.key_flags, ENABLED | CAN_UNWRAP | PURGE_PROTECTED | HSM),
                 differs("bits", y.key_bits, 4096),
                 differs("times", (y.not_before, y.expires), (1000, 4000000000)))


@check
def owner_tags_come_along(b):
    floors = {"cmkd-poll-sec": "5", "cmkd-on-revoked": "poweroff"}
    kid = b.create("tagged", tags=dict(floors, team="storage"))
    y = b.client.call(GET_KEY, kid)
    b.vault.ctl("update-key", name="tagged", exp=1000, tags={"cmkd-poll-sec": "x" * 33, "cmkd-grace-sec": "1h"})
    z = b.client.call(GET_KEY, kid)
    b.vault.ctl("update-key", name="tagged", tags={"team": "storage"})
    none = b.client.call(GET_KEY, kid)
    return first(differs("tags", (y.tags, y.key_flags & TAGS_LEFT_OUT), (floors, 0)),
                 differs("changed", (z.verdict, z.tags, z.key_flags & TAGS_LEFT_OUT, z.expires),
                         ("GRANTED", {"cmkd-grace-sec": "1h"}, TAGS_LEFT_OUT, 1000)),
                 differs("removed", (none.verdict, none.tags), ("GRANTED", {})),
                 differs("expired keys unwrap", b.client.call(UNWRAP, kid, b.wrap(none.spki, b"\5" * 32)).verdict,
                         "GRANTED"))


@check
def unprotected_vault_is_seen(b):
    b.vault.ctl("set", name="purge_protection", value="off")
    y = b.client.call(GET_KEY, b.kid)
    b.vault.ctl("set", name="purge_protection", value="on")
    return first(differs("flag", y.key_flags & PURGE_PROTECTED, 0),
                 None if "Purgeable" in y.recovery_level else "recovery level %s" % y.recovery_level)


@check
def more_permissions_than_needed_are_seen(b):
    """What changes nothing is tried, and nothing else."""
    kid = b.create("row", key_ops=["wrapKey", "unwrapKey", "encrypt"])
    before = len(b.vault.log())
    said = [b.client.call(CHECK_EXCESS, kid)]
    sent = [row["op"] for row in b.vault.log()[before:] if row["op"] != "token"]
    for more in (["encrypt"], ["getrotationpolicy"]):
        b.vault.ctl("policy-add", name="node", perms=more)
        said.append(b.client.call(CHECK_EXCESS, kid))
    b.vault.fault("throttled", op="encrypt", count=1)
    said.append(b.client.call(CHECK_EXCESS, kid))
    b.vault.ctl("policy-remove", name="node", perms=["encrypt", "getrotationpolicy"])
    return first(differs("said", [(y.verdict, y.code, y.text) for y in said[:3]],
                         [("DENIED", "no more permissions", "neither getrotationpolicy nor encrypt"), ("GRANTED", "more permissions", "encrypt"),
                          ("GRANTED", "more permissions", "getrotationpolicy, encrypt")]),
                 differs("throttled", said[3].verdict, "THROTTLED"), differs("sent", sent, ["getrotationpolicy", "encrypt"]))


@check
def wrap_and_unwrap(b):
    plain = os.urandom(32)
    y = b.client.call(WRAP, b.kid, plain)
    z = b.client.call(UNWRAP, b.kid, y.blob)
    return first(differs("size", len(y.blob), 256), differs("plaintext", z.blob, plain))


@check
def disabled_and_enabled(b):
    b.vault.ctl("disable", name="k1")
    try:
        off, get = b.challenge(), b.client.call(GET_KEY, b.kid)
        b.vault.ctl("set", name="get_disabled", value="403")
        refused = b.client.call(GET_KEY, b.kid)
    finally:
        b.vault.ctl("set", name="get_disabled", value="200")
        b.vault.ctl("enable", name="k1")
    return first(differs("unwrap", (off.verdict, off.code), ("REVOKED", "Forbidden/KeyDisabled")),
                 differs("get", (get.verdict, get.key_flags & ENABLED), ("GRANTED", 0)),
                 differs("get that is refused", refused.verdict, "REVOKED"),
                 differs("after", b.challenge().verdict, "GRANTED"))


@check
def deleted_and_recovered(b):
    kid = b.create("gone")
    before = b.client.call(CHECK_DELETED, kid)
    b.vault.ctl("delete", name="gone")
    y, deleted = b.client.call(UNWRAP, kid, b"\1" * 256), b.client.call(CHECK_DELETED, kid)
    b.vault.ctl("recover", name="gone")
    return first(differs("before", before.verdict in ("GRANTED", "REVOKED"), False),
                 differs("unwrap", (y.verdict, y.code), ("REVOKED", "KeyNotFound")),
                 differs("deleted", deleted.verdict, "GRANTED"),
                 differs("after", b.client.call(GET_KEY, kid).verdict, "GRANTED"))


@check
def permission_removed(b):
    b.vault.ctl("policy-remove", name="node", perms=["unwrapKey"])
    y = b.challenge()
    b.vault.ctl("policy-add", name="node", perms=["unwrapKey"])
    return differs("verdict", (y.verdict, y.code), ("DENIED", "Forbidden/ForbiddenByPolicy"))


@check
def identity_detached(b):
    b.vault.ctl("detach-identity", name="node")
    y = b.challenge(flags=FRESH_TOKEN)
    b.vault.ctl("attach-identity", name="node")
    return differs("verdict", (y.verdict, y.status), ("DENIED", 0))


@check
def error_case_is_harmless(b):
    b.vault.ctl("disable", name="k1")
    b.vault.fault("error-case", op="unwrap")
    y = b.challenge()
    b.vault.ctl("enable", name="k1")
    return differs("verdict", y.verdict, "REVOKED")


@check
def disabled_lie_is_only_a_flag(b):
    b.vault.fault("disabled-lie", op="get")
    y = b.client.call(GET_KEY, b.kid)
    return differs("get", (y.verdict, y.key_flags & ENABLED), ("GRANTED", 0))
