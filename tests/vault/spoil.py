# SPDX-License-Identifier: Apache-2.0
"""Content faults: how a right answer is spoiled before it is sent."""

import base64
import os
import re

import keycrypto
from errors import encode


def _kid_of(doc):
    """(holder, member) of the identifier: kid of a key, id of a secret."""
    for holder, member in ((doc, "kid"), (doc.get("key", {}), "kid"), (doc, "id")):
        if member in holder:
            return holder, member
    return None, None


def _value(doc, change):
    if "value" in doc and isinstance(doc["value"], str):
        raw = keycrypto.unb64u(doc["value"])
        doc["value"] = change(raw)
    return doc


def _with_plus(raw):
    """Standard base64 that surely differs from base64url: the bytes stay."""
    return base64.b64encode(raw).decode()


def _kid(pattern, replacement):
    def change(doc, rule):
        holder, member = _kid_of(doc)
        if holder:
            holder[member] = re.sub(pattern, replacement, holder[member])
        return doc
    return change


def _upper(doc, rule):
    holder, member = _kid_of(doc)
    if holder:
        holder[member] = holder[member].upper().replace("HTTPS://", "https://")
    return doc


def _drop(doc, rule):
    doc.pop("value", None)
    return doc


def _set_value(value):
    def change(doc, rule):
        doc["value"] = value
        return doc
    return change


def _wrong_key(doc, rule):
    if "n" in doc.get("key", {}):
        size = len(keycrypto.unb64u(doc["key"]["n"]))
        doc["key"]["n"] = keycrypto.b64u(bytes([0xC0 | os.urandom(1)[0]]) + os.urandom(size - 2) + b"\x01")
    return doc


def _disabled(doc, rule):
    if "attributes" in doc:
        doc["attributes"]["enabled"] = False
    return doc


def _extra(doc, rule):
    doc.update({"futureField": {"a": [1, 2.5, None]}, "x": True})
    return doc


def _error_case(doc, rule):
    if "innererror" in doc.get("error", {}):
        doc["error"]["innerError"] = doc["error"].pop("innererror")
    return doc


DOC = {
    "wrong-kid": _kid(r"/(keys|secrets)/[^/]+", r"/\1/another-key"),
    "wrong-kid-version": _kid(r"(/(?:keys|secrets)/[^/]+/).*", r"\g<1>00000000000000000000000000000000"),
    "wrong-kid-host": _kid(r"^https://[^/]+", "https://elsewhere.test"),
    "upper-kid": _upper,
    "short-value": lambda d, r: _value(d, lambda v: keycrypto.b64u(v[:-1])),
    "long-value": lambda d, r: _value(d, lambda v: keycrypto.b64u(v + os.urandom(16))),
    "empty-value": _set_value(""),
    "huge-value": lambda d, r: _value(d, lambda v: keycrypto.b64u(os.urandom(r.opt("bytes", 1 << 20)))),
    "bad-base64": lambda d, r: _value(d, lambda v: "*!" + keycrypto.b64u(v)[2:]),
    "padded-base64": lambda d, r: _value(d, lambda v: base64.urlsafe_b64encode(v).decode()),
    "std-base64": lambda d, r: _value(d, _with_plus),
    "wrong-plaintext": lambda d, r: _value(d, lambda v: keycrypto.b64u(os.urandom(len(v)))),
    "missing-value": _drop,
    "null-value": _set_value(None),
    "number-value": _set_value(42),
    "wrong-public-key": _wrong_key,
    "disabled-lie": _disabled,
    "extra-fields": _extra,
    "error-case": _error_case,
    "foreign-link": lambda d, r: dict(d, nextLink=r.opt("url", "https://elsewhere.test/keys?api-version=7.4")),
    "error-in-200": lambda d, r: {"error": {"code": "Forbidden", "message": "Operation is not allowed.",
                                            "innererror": {"code": "KeyDisabled"}}},
}


def _twice(doc, field):
    """The same field again with a false value: which one does a parser take?"""
    other = dict(doc)
    if field == "value" and isinstance(doc.get("value"), str):
        other = {"value": keycrypto.b64u(os.urandom(len(keycrypto.unb64u(doc["value"]))))}
    else:
        other = {"kid": "https://elsewhere.test/keys/another-key/" + "0" * 32}
    return encode(doc)[:-1] + b"," + encode(other)[1:]


def _nested(doc, rule):
    depth = rule.opt("bytes", 10000)
    return encode(doc)[:-1] + b',"deep":' + b"[" * depth + b"]" * depth + b"}"


BYTES = {
    "duplicate-fields": lambda d, r: _twice(d, "value"),
    "duplicate-kid": lambda d, r: _twice(d, "kid"),
    "nested-json": _nested,
    "array": lambda d, r: b"[" + encode(d) + b"]",
    "trailing-junk": lambda d, r: encode(d) + b'{"value":"AAAA"}',
    "nul-byte": lambda d, r: encode(d)[:10] + b"\0" + encode(d)[10:],
    "bad-utf8": lambda d, r: encode(d)[:-1] + b',"x":"\xff\xfe\xc0"}',
    "wrong-type": lambda d, r: encode(d),
    "from-memory": lambda d, r: encode(d),       # the lie is told by api.py
}


def apply(rule, reply):
    """Spoil reply (httpd.Reply with .doc) by a rule of group content."""
    if reply.doc is None:
        return
    if rule.kind in DOC:
        reply.doc = DOC[rule.kind](reply.doc, rule)
        reply.body = encode(reply.doc)
    else:
        reply.body = BYTES[rule.kind](reply.doc, rule)
    if rule.kind == "wrong-type":
        reply.ctype = "text/html"
    if rule.kind == "error-in-200":
        reply.status = 200
