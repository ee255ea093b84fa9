# SPDX-License-Identifier: Apache-2.0
"""Fault rules, set at run time. A rule has a kind, says which requests it is for
(operation, key and its version, identity), how many it skips first and how many it takes ('until
cleared' without a count), and options of its kind. The first rule that fits wins.

  errors     each name of errors.py (throttled takes --retry-after), status (--status N)
  transport  below; they answer even a request whose token is not good
  content    below; the request is carried out and the reply is spoiled
  metadata   for --op token: imds-*
  authority  for --op aad: aad-NUMBER and others of errors.py
Any error or content kind also takes --bare (no x-ms headers) and --delay MS."""

import threading
import time

import errors
import pki

TRANSPORT = {
    "slow": "answers rightly, after --delay MS (default 1000)",
    "drip": "sends one byte each --delay MS (default 100)",
    "hang": "reads the request and never answers",
    "reset": "connection reset instead of an answer",
    "close": "connection closed without an answer",
    "reset-mid-body": "half of the body, then a reset",
    "truncated-headers": "stops within the headers",
    "truncated-body": "half of the body, then an orderly close",
    "oversized-body": "--bytes N of JSON (default 8 MiB), with its length",
    "oversized-headers": "--bytes N of headers (default 1 MiB)",
    "endless-body": "chunks for ever",
    "garbage": "bytes that are no HTTP",
    "redirect": "302 (or --status) to --url (default https://elsewhere.test/)",
    "html": "a page of HTML, status 200 (or --status)",
    "empty": "an empty body, status 200 (or --status)",
    "chunked": "a right answer, chunked: harmless",
    "bad-length": "Content-Length that is no number",
    "two-lengths": "two different Content-Length headers",
    "http10": "a right answer in HTTP/1.0, then close: harmless",
}
TLS = {w: "a certificate that must be refused; for new connections, open ones are dropped" for w in pki.WRONG}
TLS.update({"tls-hang": "accepts and never shakes hands", "tls-reset": "resets instead of shaking hands",
            "tls-plain": "speaks plain HTTP on the TLS port"})
CONTENT = {
    "wrong-kid": "kid of another key", "wrong-kid-version": "kid with another version",
    "wrong-kid-host": "kid on another host", "upper-kid": "kid in other case: harmless",
    "short-value": "the value lacks its last byte", "long-value": "the value has 16 bytes more",
    "empty-value": "an empty value", "huge-value": "a value of 1 MiB (or --bytes)",
    "bad-base64": "a value with characters outside of base64url", "padded-base64": "base64url with padding",
    "std-base64": "base64 with + and /", "wrong-plaintext": "random bytes of the right length (a lie)",
    "from-memory": "the plaintext of the previous unwrap with this key (a lie)",
    "missing-value": "no value", "null-value": "value null", "number-value": "value is a number",
    "duplicate-fields": "value twice, the second one false", "duplicate-kid": "kid twice, the second one false",
    "nested-json": "10,000 nested arrays (--bytes N) beside the answer", "array": "the answer within an array",
    "trailing-junk": "bytes after the JSON", "nul-byte": "a NUL within the JSON", "bad-utf8": "broken UTF-8",
    "error-in-200": "an error body with status 200", "wrong-type": "right JSON called text/html",
    "wrong-public-key": "n of another key", "disabled-lie": "attributes.enabled=false",
    "foreign-link": "a list whose nextLink is --url",
    "extra-fields": "unknown fields: harmless", "error-case": "innerError spelt so (with an error): harmless",
}
METADATA = {
    "imds-404": "404", "imds-410": "410", "imds-429": "429", "imds-500": "500", "imds-503": "503",
    "imds-identity-not-found": "400 invalid_request Identity not found",
    "imds-invalid-resource": "400 invalid_resource",
    "imds-numbers": "numbers as numbers, not strings: harmless", "imds-expired": "a token already expired",
    "imds-wrong-audience": "a token for another service", "imds-wrong-issuer": "a token of another tenant",
    "imds-forged": "a token with a bad signature", "imds-empty-token": "access_token is empty",
    "imds-crlf-token": "a token with CR LF and a header in it", "imds-huge-token": "a token of 1 MiB (or --bytes)",
    "imds-no-expiry": "neither expires_in nor expires_on", "imds-stale": "repeats the first token it ever gave",
}
OPS = ("any", "unwrap", "wrap", "encrypt", "decrypt", "get", "list", "versions", "create", "update", "delete",
       "getdeleted", "listdeleted", "recover", "purge", "rotate", "getrotationpolicy", "setrotationpolicy", "token",
       "connect", "aad", "secret-get", "secret-set", "secret-getdeleted")


def group(kind):
    if kind in errors.ERRORS or kind == "status":
        return "auth" if kind in errors.AUTH_ERRORS else "error"
    for name, table in (("transport", TRANSPORT), ("tls", TLS), ("content", CONTENT), ("metadata", METADATA)):
        if kind in table:
            return name
    if kind in errors.AAD:
        return "authority"
    raise KeyError("no such fault: %s (ctl fault kinds lists them)" % kind)


def kinds():
    out = {k: "%d %s %s" % (v[0], v[1], v[2] or "") for k, v in errors.ERRORS.items()}
    out.update({k: "%d %s" % v[:2] for k, v in errors.AAD.items()})
    out["status"] = "--status N with a vendor error body"
    for table in (TRANSPORT, TLS, CONTENT, METADATA):
        out.update(table)
    return out


class Rule:
    def __init__(self, ident, kind, op=None, key=None, identity=None, count=None, skip=0, options=None, version=None):
        self.id, self.kind, self.group = ident, kind, group(kind)
        if op is None:
            op = {"metadata": "token", "tls": "connect", "authority": "aad"}.get(self.group, "any")
        if op not in OPS:
            raise KeyError("no such operation: %s (one of %s)" % (op, ", ".join(OPS)))
        if (self.group == "tls") != (op == "connect") or (self.group == "metadata" and op != "token") or \
                (self.group == "authority" and op != "aad"):
            raise KeyError("%s is not a fault of operation %s" % (kind, op))
        self.op, self.key, self.identity, self.version = op, key, identity, version
        self.count, self.skip, self.taken = count, skip or 0, 0
        self.options = options or {}

    def fits(self, op, key, identity, authorised, version):
        if self.op == "any":
            if op in ("token", "connect", "aad"):
                return False
        elif self.op != op:
            return False
        if self.key and (key or "").lower() != self.key.lower():
            return False
        if self.identity and identity != self.identity or self.version and version != self.version:
            return False
        return authorised or self.group in ("transport", "tls", "metadata")

    def opt(self, name, default=None):
        value = self.options.get(name)
        return default if value is None else value

    def as_dict(self):
        return {"id": self.id, "kind": self.kind, "op": self.op, "key": self.key, "identity": self.identity, "version": self.version,
                "left": self.count, "skip": self.skip, "taken": self.taken, "options": self.options}


class Faults:
    def __init__(self):
        self.lock = threading.Lock()
        self.rules = []
        self.next_id = 1

    def set(self, kind, **args):
        with self.lock:
            rule = Rule(self.next_id, kind, **args)
            self.next_id += 1
            self.rules.append(rule)
            return rule, time.time()

    def clear(self, ident=None):
        with self.lock:
            before = len(self.rules)
            self.rules = [r for r in self.rules if ident is not None and r.id != ident and r.kind != ident]
            return before - len(self.rules), time.time()

    def take(self, op, key=None, identity=None, authorised=True, version=None):
        """The rule for this request, used up by one; None if none fits."""
        with self.lock:
            for rule in self.rules:
                if not rule.fits(op, key, identity, authorised, version):
                    continue
                if rule.skip > 0:
                    rule.skip -= 1
                    return None
                rule.taken += 1
                if rule.count is not None:
                    rule.count -= 1
                    if rule.count <= 0:
                        self.rules.remove(rule)
                return rule
        return None

    def listing(self):
        with self.lock:
            return [r.as_dict() for r in self.rules]
