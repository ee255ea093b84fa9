# SPDX-License-Identifier: Apache-2.0
"""Self tests: each fault mode does what faults.py says, to the requests it is for
and to no other."""

import http.client
import json
import os
import socket
import ssl
import time

import errors
import faults
import keycrypto
from probe import error, same

KEY, PLAIN = "faulty", b"The answer is 42"


def prepare(s):
    if not any(k["name"] == KEY for k in s.ctl("keys")["keys"]):
        s.ctl("create-key", name=KEY)
        s.ctl("create-key", name="sound")
    s.wrapped_key = s.wrapped(KEY, PLAIN)


def one(s, kind, **args):
    """The reply to the one unwrap that meets the fault, as (status, headers, bytes)."""
    s.fault(kind, **dict({"op": "unwrap", "key": KEY, "count": 1}, **args))
    body = {"alg": "RSA-OAEP-256", "value": keycrypto.b64u(s.wrapped_key)}
    try:
        return s.ask("POST", "/keys/%s/unwrapkey" % KEY, body, who="node", timeout=2)
    finally:
        s.ctl("fault-clear")


def fine(s, conn=None):
    status, _, doc = s.unwrap(KEY, s.wrapped_key, conn=conn)
    same((status, keycrypto.unb64u(doc["value"])), (200, PLAIN), "the request after it")


def each_error(s):
    prepare(s)
    for kind, (status, code, inner, _) in errors.ERRORS.items():
        got = one(s, kind)
        error((got[0], got[1], json.loads(got[2])), status, code, inner)
        same("WWW-Authenticate" in got[1], status == 401, kind)
        fine(s)
    same(one(s, "status", status=507)[0], 507)


def throttled_with_and_without_retry_after(s):
    prepare(s)
    same(one(s, "throttled")[1].get("Retry-After"), None)
    same(one(s, "throttled", retry_after=9)[1].get("Retry-After"), "9")


def error_modifiers(s):
    prepare(s)
    got = one(s, "key-disabled", bare=True)
    same((got[0], [h for h in got[1] if h.lower().startswith("x-ms-")]), (403, []))
    same(json.loads(got[2])["error"]["innererror"]["code"], "KeyDisabled")
    got = one(s, "key-disabled", html=True)
    assert got[0] == 403 and got[2].startswith(b"<html>") and got[1]["Content-Type"] == "text/html"
    head = one(s, "insufficient-claims")[1]["WWW-Authenticate"]
    assert 'error="insufficient_claims", claims="' in head, head


def count_skip_and_scope(s):
    prepare(s)
    s.fault("server-error", op="unwrap", key=KEY, count=2, skip=1)
    other = s.wrapped("sound", PLAIN)
    same([s.unwrap(KEY, s.wrapped_key)[0] for _ in range(4)], [200, 500, 500, 200])
    s.fault("server-error", op="unwrap", key=KEY)
    same(s.unwrap("sound", other)[0], 200, "another key")
    same(s.json("GET", "/keys/" + KEY)[0], 200, "another operation")
    same([s.unwrap(KEY, s.wrapped_key)[0] for _ in range(3)], [500] * 3, "until cleared")
    same(s.ctl("fault-clear")["cleared"], 1)
    fine(s)
    s.fault("server-error", op="unwrap", identity="admin", count=1)
    fine(s)
    same(s.unwrap(KEY, s.wrapped_key, who="admin")[0], 500)


def challenge_does_not_use_up_an_error(s):
    prepare(s)
    s.fault("key-disabled", op="unwrap", count=1)
    same(s.unwrap(KEY, s.wrapped_key, who=None)[0], 401)
    same(s.unwrap(KEY, s.wrapped_key)[0], 403)


def _raises(s, kind, *wanted, **args):
    try:
        got = one(s, kind, **args)
    except wanted:
        return
    raise AssertionError("%s: answered %r" % (kind, (got[0], got[2][:80])))


def broken_transport(s):
    prepare(s)
    lost = (ConnectionResetError, http.client.RemoteDisconnected, ssl.SSLError)
    cut = (http.client.IncompleteRead, ConnectionResetError, ssl.SSLError)
    _raises(s, "hang", socket.timeout)
    _raises(s, "reset", *lost)
    _raises(s, "close", *lost)
    _raises(s, "reset-mid-body", *cut)
    _raises(s, "truncated-body", *cut)
    _raises(s, "garbage", http.client.BadStatusLine)
    _raises(s, "oversized-headers", http.client.HTTPException)
    _raises(s, "drip", socket.timeout, delay=2500)
    fine(s)


def truncated_headers(s):
    prepare(s)
    try:
        got = one(s, "truncated-headers")
    except (http.client.HTTPException, OSError):
        return
    same((got[1].get("Content-Length") is None or len(got[2]) == 0), True, "a whole answer came")


def odd_framing(s):
    prepare(s)
    for kind in ("chunked", "http10"):
        same(keycrypto.unb64u(json.loads(one(s, kind)[2])["value"]), PLAIN, kind)
    lengths = one(s, "two-lengths")[1].get_all("Content-Length")
    assert len(set(lengths)) == 2, lengths
    same(one(s, "bad-length")[1]["Content-Length"], "-1x")


def big_bodies(s):
    prepare(s)
    got = one(s, "oversized-body", bytes=3 << 20)
    same((got[0], len(got[2])), (200, 3 << 20))
    json.loads(got[2])
    s.fault("endless-body", op="unwrap", key=KEY, count=1)
    conn = s.connect()
    conn.request("POST", "/keys/%s/unwrapkey?api-version=7.4" % KEY, "{}",
                 {"Authorization": "Bearer " + s.token("node")})
    reply = conn.getresponse()
    same(len(reply.read(4 << 20)), 4 << 20)
    conn.close()
    fine(s)


def redirect_html_empty(s):
    prepare(s)
    got = one(s, "redirect", url="https://evil.test/keys")
    same((got[0], got[1]["Location"]), (302, "https://evil.test/keys"))
    same(one(s, "redirect", status=307)[0], 307)
    got = one(s, "html")
    assert got[0] == 200 and got[1]["Content-Type"] == "text/html" and b"<html>" in got[2]
    same(one(s, "html", status=403)[0], 403)
    same(one(s, "empty")[2], b"")


def slow_and_latency(s):
    prepare(s)
    start = time.monotonic()
    one(s, "slow", delay=300)
    took = time.monotonic() - start
    assert 0.3 <= took < 1.5, took
    s.ctl("set", name="latency_ms", value="100")
    start = time.monotonic()
    fine(s)
    took = time.monotonic() - start
    s.ctl("set", name="latency_ms", value="0")
    assert took >= 0.1, took


def wrong_certificates(s):
    prepare(s)
    texts = {"wrong-cert-name": "mismatch", "wrong-cert-ca": "unable to get", "wrong-cert-expired": "expired"}
    for kind, text in texts.items():
        open_conn = s.connect()
        fine(s, open_conn)
        s.fault(kind, count=1)
        try:
            s.json("GET", "/keys")
            raise AssertionError("%s was taken" % kind)
        except ssl.SSLCertVerificationError as e:
            if text not in str(e) and not (kind == "wrong-cert-ca" and "self" in str(e)):
                raise AssertionError("%s: %s" % (kind, e))
        end = time.monotonic() + 5
        while [r["fault"] for r in s.ctl("log", op="connect", count=1)["log"]] != [kind]:
            assert time.monotonic() < end, "no log line says %s" % kind
            time.sleep(0.02)
        try:
            fine(s, open_conn)
            raise AssertionError("%s: an open connection was kept" % kind)
        except (OSError, http.client.HTTPException):
            pass
        fine(s)


def no_handshake(s):
    prepare(s)
    for kind, wanted in (("tls-hang", socket.timeout), ("tls-reset", OSError), ("tls-plain", ssl.SSLError)):
        s.fault(kind, count=1)
        try:
            s.json("GET", "/keys", timeout=1)
            raise AssertionError("%s: answered" % kind)
        except wanted:
            pass
    fine(s)


def _value_of(raw):
    return json.loads(raw)["value"]


def lies(s):
    prepare(s)
    got = keycrypto.unb64u(_value_of(one(s, "wrong-plaintext")[2]))
    assert got != PLAIN and len(got) == len(PLAIN)
    first, second = s.wrapped(KEY, b"first"), s.wrapped(KEY, b"second")
    s.unwrap(KEY, first)
    s.fault("from-memory", op="unwrap", count=1)
    same(keycrypto.unb64u(s.unwrap(KEY, second)[2]["value"]), b"first", "from memory")
    same(keycrypto.unb64u(s.unwrap(KEY, second)[2]["value"]), b"second", "honest again")


def spoilt_values(s):
    prepare(s)
    good = keycrypto.b64u(PLAIN)
    same(keycrypto.unb64u(_value_of(one(s, "short-value")[2])), PLAIN[:-1])
    same(len(keycrypto.unb64u(_value_of(one(s, "long-value")[2]))), len(PLAIN) + 16)
    same(len(keycrypto.unb64u(_value_of(one(s, "huge-value")[2]))), 1 << 20)
    same(_value_of(one(s, "empty-value")[2]), "")
    same(_value_of(one(s, "null-value")[2]), None)
    same(_value_of(one(s, "number-value")[2]), 42)
    same("value" in json.loads(one(s, "missing-value")[2]), False)
    assert _value_of(one(s, "bad-base64")[2])[0] == "*"
    same(_value_of(one(s, "padded-base64")[2]), good + "=" * (-len(good) % 4))
    s.wrapped_key = s.wrapped(KEY, b"\xfb\xef\xbe\xff\xff\xff")
    same(_value_of(one(s, "std-base64")[2]), "++++////")


def spoilt_documents(s):
    prepare(s)
    honest = s.unwrap(KEY, s.wrapped_key)[2]
    same(one(s, "duplicate-fields")[2].count(b'"value"'), 2)
    same(one(s, "duplicate-kid")[2].count(b'"kid"'), 2)
    assert one(s, "nested-json")[2].count(b"[") == 10000
    same(json.loads(one(s, "array")[2]), [honest])
    for kind in ("trailing-junk", "nul-byte", "bad-utf8"):
        try:
            json.loads(one(s, kind)[2])
        except ValueError:
            continue
        raise AssertionError("%s is good JSON" % kind)
    got = one(s, "error-in-200")
    same((got[0], "error" in json.loads(got[2])), (200, True))
    same(one(s, "wrong-type")[1]["Content-Type"], "text/html")
    same(json.loads(one(s, "extra-fields")[2])["value"], honest["value"])
    s.fault("foreign-link", op="list", count=1, url="https://x/")
    same(s.json("GET", "/keys")[2]["nextLink"], "https://x/")


def spoilt_kids(s):
    prepare(s)
    kid = s.unwrap(KEY, s.wrapped_key)[2]["kid"]
    got = {k: json.loads(one(s, k)[2])["kid"] for k in ("wrong-kid", "wrong-kid-version", "wrong-kid-host",
                                                        "upper-kid")}
    same(got["wrong-kid"], kid.replace("/" + KEY, "/another-key"))
    same(got["wrong-kid-version"], kid[:-32] + "0" * 32)
    same(got["wrong-kid-host"], kid.replace("vault.test:%d" % s.info["vault_port"], "elsewhere.test"))
    assert got["upper-kid"] != kid and got["upper-kid"].lower() == kid.lower()


def spoilt_gets(s):
    prepare(s)
    _, _, honest = s.json("GET", "/keys/" + KEY)
    s.fault("wrong-public-key", op="get", count=1)
    other = s.json("GET", "/keys/" + KEY)[2]["key"]["n"]
    assert other != honest["key"]["n"] and len(other) == len(honest["key"]["n"])
    s.fault("disabled-lie", op="get", count=1)
    same(s.json("GET", "/keys/" + KEY)[2]["attributes"]["enabled"], False)
    s.fault("error-case", op="unwrap", count=1)
    s.ctl("disable", name=KEY)
    doc = s.unwrap(KEY, s.wrapped_key)[2]
    s.ctl("enable", name=KEY)
    same(doc["error"]["innerError"]["code"], "KeyDisabled")


def _bearer(s, doc):
    return s.json("GET", "/keys", who=None, headers={"Authorization": "Bearer " + doc["access_token"]})


def metadata_errors(s):
    for kind, status in (("imds-404", 404), ("imds-410", 410), ("imds-429", 429), ("imds-500", 500),
                         ("imds-503", 503), ("imds-identity-not-found", 400), ("imds-invalid-resource", 400)):
        s.fault(kind, count=1)
        got = s.metadata()
        assert got[0] == status and got[1]["error"] and got[1]["error_description"], got
        same(s.metadata()[0], 200, "the request after it")
    s.fault("hang", op="token", count=1)
    try:
        s.metadata(timeout=0.5)
        raise AssertionError("answered")
    except socket.timeout:
        pass
    s.fault("slow", op="token", count=1, delay=300)
    start = time.monotonic()
    same(s.metadata()[0], 200)
    assert time.monotonic() - start >= 0.3


def metadata_tokens(s):
    want = {"imds-expired": "TokenExpired", "imds-wrong-audience": "AKV10022", "imds-wrong-issuer": "AKV10032",
            "imds-forged": "AKV10046"}
    for kind, text in want.items():
        s.fault(kind, count=1)
        error(_bearer(s, s.metadata()[1]), 401, "Unauthorized", text=text)
    got = {}
    for kind in ("imds-numbers", "imds-empty-token", "imds-crlf-token", "imds-huge-token", "imds-no-expiry"):
        s.fault(kind, count=1)
        got[kind] = s.metadata()[1]
    assert isinstance(got["imds-numbers"]["expires_in"], int)
    same(got["imds-empty-token"]["access_token"], "")
    assert "\r\n" in got["imds-crlf-token"]["access_token"]
    same(len(got["imds-huge-token"]["access_token"]), 1 << 20)
    same("expires_on" in got["imds-no-expiry"], False)
    s.fault("imds-stale", count=2)
    same(s.metadata()[1]["access_token"], s.metadata()[1]["access_token"])


def every_kind_is_tested(s):
    """Each fault mode is named in this file, but for those of the tables of errors."""
    with open(os.path.join(os.path.dirname(os.path.realpath(__file__)), "check_faults.py"), encoding="utf-8") as f:
        text = f.read()
    left = [k for k in faults.kinds() if k not in errors.ERRORS and k not in errors.AAD and '"%s"' % k not in text]
    same(left, [])
