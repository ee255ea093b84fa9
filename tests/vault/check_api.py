# SPDX-License-Identifier: Apache-2.0
"""Self tests: the keys API, its error bodies, identities, the metadata endpoint.
Each function is a claim and gets a Server (shared; a key of its own name)."""

import json
import os
import time

import control
import keycrypto
import probe
from probe import error, same


def api_version_is_mandatory(s):
    error(s.json("GET", "/keys/x", version=None), 400, "BadParameter", text="api-version")
    error(s.json("GET", "/keys/x", version="6.9"), 400, "BadParameter", text="6.9")


def challenge_without_token(s):
    reply = s.json("GET", "/keys/x", who=None)
    error(reply, 401, "Unauthorized", text="AKV10000")
    head = reply[1]["WWW-Authenticate"]
    assert head.startswith('Bearer authorization="https://login.test/'), head
    assert 'resource="https://vault.azure.net"' in head, head
    same(len(head.split("login.test/")[1].split('"')[0]), 36, "tenant")


def bad_tokens_are_refused(s):
    good = s.token("node")
    for token, text in (("x.y.z", "AKV10000"), (good.replace(".", "A.", 1), "AKV10046"),
                        (s.ctl("token", name="node", resource="https://management.azure.com")["token"], "AKV10022"),
                        (s.ctl("token", name="node", lifetime=-1)["token"], "TokenExpired")):
        error(s.json("GET", "/keys/x", who=None, headers={"Authorization": "Bearer " + token}), 401, "Unauthorized",
              text=text)


def create_and_get(s):
    for kty, size in (("RSA", 2048), ("RSA-HSM", 3072), ("RSA", 4096)):
        name = "made-%d" % size
        status, _, doc = s.json("POST", "/keys/%s/create" % name, {"kty": kty, "key_size": size, "tags": {"a": "b"}},
                                timeout=120)
        same(status, 200, doc)
        same(doc["key"]["kty"], kty)
        same(len(keycrypto.unb64u(doc["key"]["n"])), size // 8, "length of n")
        same(doc["key"]["e"], "AQAB")
        same(doc["attributes"]["recoveryLevel"], "Recoverable")
        same(doc["tags"], {"a": "b"})
        kid = doc["key"]["kid"]
        assert kid.startswith("https://vault.test:%d/keys/%s/" % (s.info["vault_port"], name)), kid
        same(len(kid.rsplit("/")[-1]), 32, "version")
        same(s.json("GET", "/keys/" + name)[2], doc, "latest")
        same(s.json("GET", kid[kid.index("/keys/"):])[2], doc, "by version")


def create_refuses_rubbish(s):
    for body in ({}, {"kty": "EC"}, {"kty": "RSA", "key_size": 1024}, {"kty": "RSA", "key_ops": ["fly"]}, [1],
                 {"kty": "RSA", "attributes": {"exp": "soon"}}):
        error(s.json("POST", "/keys/rubbish/create", body), 400, "BadParameter")
    error(s.json("POST", "/keys/bad_name/create", {"kty": "RSA"}), 400, "BadParameter")


def missing_key_and_version(s):
    error(s.json("GET", "/keys/absent"), 404, "KeyNotFound", text="A key with (name/id) absent was not found")
    s.ctl("create-key", name="present")
    error(s.json("GET", "/keys/present/" + "0" * 32), 404, "KeyNotFound", text="2125182")
    error(s.json("GET", "/deletedkeys/present"), 404, "KeyNotFound", text="Deleted Key not found")
    error(s.json("GET", "/certificates/x"), 404, "NotFound")


def wrap_and_unwrap(s):
    s.ctl("create-key", name="wu")
    for alg, most in (("RSA-OAEP-256", 190), ("RSA-OAEP", 214), ("RSA1_5", 245)):
        for pair in (("wrapkey", "unwrapkey"), ("encrypt", "decrypt")):
            plain = os.urandom(most)
            body = {"alg": alg, "value": keycrypto.b64u(plain)}
            _, _, doc = s.json("POST", "/keys/wu/" + pair[0], body)
            same(len(keycrypto.unb64u(doc["value"])), 256)
            _, _, back = s.json("POST", doc["kid"][doc["kid"].index("/keys/"):] + "/" + pair[1],
                                {"alg": alg, "value": doc["value"]})
            same(keycrypto.unb64u(back["value"]), plain, alg)
            same(back["kid"], doc["kid"])
        error(s.json("POST", "/keys/wu/wrapkey", {"alg": alg, "value": keycrypto.b64u(os.urandom(most + 1))}), 400,
              "BadParameter")
    error(s.unwrap("wu", os.urandom(256)), 400, "BadParameter", text="unwrap")
    for body in ({"alg": "RSA-OAEP-256"}, {"value": "AAAA"}, {"alg": "none", "value": "AAAA"},
                 {"alg": "RSA-OAEP-256", "value": "AA=="}, {"alg": "RSA-OAEP-256", "value": "+/+/"}):
        error(s.json("POST", "/keys/wu/unwrapkey", body), 400, "BadParameter")


def symmetric_key(s):
    s.ctl("create-key", name="oct", kty="oct-HSM", size=256)
    _, _, doc = s.json("GET", "/keys/oct")
    assert "k" not in doc["key"] and "n" not in doc["key"], "key material was shown"
    plain = os.urandom(64)
    _, _, out = s.json("POST", "/keys/oct/wrapkey", {"alg": "A256KW", "value": keycrypto.b64u(plain)})
    _, _, back = s.json("POST", "/keys/oct/unwrapkey", {"alg": "A256KW", "value": out["value"]})
    same(keycrypto.unb64u(back["value"]), plain)
    error(s.json("POST", "/keys/oct/unwrapkey", {"alg": "A128KW", "value": out["value"]}), 400, "BadParameter")


def disabled_key(s):
    s.ctl("create-key", name="dis")
    wrapped = s.wrapped("dis", b"x" * 32)
    when = s.ctl("disable", name="dis")["time"]
    assert abs(when - time.time()) < 5
    error(s.unwrap("dis", wrapped), 403, "Forbidden", "KeyDisabled",
          "Operation unwrapKey is not allowed on a disabled key.")
    status, _, doc = s.json("GET", "/keys/dis", who="node")
    same((status, doc["attributes"]["enabled"]), (200, False), "GET of a disabled key")
    same(s.wrap("dis", b"x")[0], 200, "wrap with a disabled key")
    s.ctl("set", name="get_disabled", value="403")
    s.ctl("set", name="wrap_disabled", value="refuse")
    error(s.json("GET", "/keys/dis"), 403, "Forbidden", "KeyDisabled")
    error(s.wrap("dis", b"x"), 403, "Forbidden", "KeyDisabled")
    s.ctl("set", name="get_disabled", value="200")
    s.ctl("set", name="wrap_disabled", value="allow")
    s.ctl("enable", name="dis")
    same(s.unwrap("dis", wrapped)[0], 200, "after enable")


def patch_changes_one_version(s):
    old = s.ctl("create-key", name="patch")["kid"].rsplit("/")[-1]
    wrapped = s.wrapped("patch", b"old")
    status, _, doc = s.json("POST", "/keys/patch/rotate")
    new = doc["key"]["kid"].rsplit("/")[-1]
    assert status == 200 and new != old
    status, _, doc = s.json("PATCH", "/keys/patch/" + old, {"attributes": {"enabled": False}, "tags": {"t": "1"}})
    same((status, doc["attributes"]["enabled"], doc["tags"]), (200, False, {"t": "1"}))
    error(s.unwrap("patch/" + old, wrapped), 403, "Forbidden", "KeyDisabled")
    same(s.json("GET", "/keys/patch")[2]["attributes"]["enabled"], True, "the newer version")
    s.json("PATCH", "/keys/patch/" + old, {"attributes": {"enabled": True}})
    same(keycrypto.unb64u(s.unwrap("patch/" + old, wrapped)[2]["value"]), b"old")
    error(s.unwrap("patch", wrapped), 400, "BadParameter")


def key_ops_and_times(s):
    s.ctl("create-key", name="times")
    wrapped = s.wrapped("times", b"t")
    s.json("PATCH", "/keys/times", {"attributes": {"exp": 1000}})
    same(s.unwrap("times", wrapped)[0], 200, "an expired key unwraps")
    error(s.wrap("times", b"t"), 403, "Forbidden", "KeyExpired")
    s.json("PATCH", "/keys/times", {"attributes": {"nbf": 4000000000, "exp": 4100000000}})
    same(s.unwrap("times", wrapped)[0], 200, "a future key unwraps")
    error(s.wrap("times", b"t"), 403, "Forbidden", "KeyNotYetValid")
    s.json("PATCH", "/keys/times", {"key_ops": ["wrapKey"]})
    error(s.unwrap("times", wrapped), 403, "Forbidden", "KeyOperationForbidden",
          "Operation unwrapKey is not permitted on this key.")


def delete_recover_purge(s):
    s.ctl("create-key", name="gone")
    wrapped = s.wrapped("gone", b"g")
    status, _, doc = s.json("DELETE", "/keys/gone")
    same(status, 200)
    assert doc["recoveryId"].endswith("/deletedkeys/gone") and doc["scheduledPurgeDate"] > doc["deletedDate"]
    error(s.unwrap("gone", wrapped), 404, "KeyNotFound", text="A key with (name/id) gone")
    same(s.json("GET", "/deletedkeys/gone", who="node")[0], 200)
    error(s.json("POST", "/keys/gone/create", {"kty": "RSA"}), 409, "Conflict", "ObjectIsDeletedButRecoverable")
    error(s.json("DELETE", "/deletedkeys/gone"), 403, "Forbidden", text="purge protection")
    same(s.json("POST", "/deletedkeys/gone/recover")[0], 200)
    same(s.unwrap("gone", wrapped)[0], 200, "after recover")
    s.ctl("set", name="delete_lag_s", value="0.3")
    s.ctl("delete", name="gone")
    error(s.json("GET", "/deletedkeys/gone"), 404, "KeyNotFound")
    time.sleep(0.35)
    same(s.json("GET", "/deletedkeys/gone")[0], 200, "after the lag")
    s.ctl("set", name="delete_lag_s", value="0")
    s.ctl("set", name="purge_protection", value="off")
    same(s.json("GET", "/deletedkeys/gone")[2]["attributes"]["recoveryLevel"], "Recoverable+Purgeable")
    same(s.ask("DELETE", "/deletedkeys/gone")[0], 204)
    s.ctl("set", name="purge_protection", value="on")
    error(s.json("GET", "/deletedkeys/gone"), 404, "KeyNotFound")


def secrets(s):
    """The forms of the secrets API, and who may what."""
    doc = {"value": "a b", "contentType": "text/x", "tags": {"a": "1"}, "attributes": {"exp": 1000}}
    status, _, first = s.json("PUT", "/secrets/s1", doc)
    same(status, 200)
    path = first["id"][first["id"].index("/secrets/s1/"):]
    assert first["value"] == "a b" and first["contentType"] == "text/x" and first["attributes"]["exp"] == 1000, first
    status, _, second = s.json("PUT", "/secrets/S1", {"value": "c"})
    assert second["id"] != first["id"] and second["tags"] == {}, second
    same(s.json("GET", "/secrets/s1")[2]["value"], "c", "the newest")
    same(s.json("GET", path)[2]["value"], "a b", "an expired version is given out")
    assert "value" not in s.json("PATCH", path, {"attributes": {"enabled": False}})[2]
    error(s.json("GET", path), 403, "Forbidden", "SecretDisabled", "not allowed on a disabled secret")
    same(s.json("GET", "/secrets/s1")[0], 200, "the newest is not")
    same(len(s.json("GET", "/secrets/s1/versions")[2]["value"]), 2)
    error(s.json("GET", "/secrets/absent"), 404, "SecretNotFound", text="A secret with (name/id) absent")
    error(s.json("GET", "/deletedsecrets/s1"), 404, "SecretNotFound", text="Deleted Secret not found: s1")
    error(s.json("PUT", "/secrets/s_1", {"value": "c"}), 400, "BadParameter")
    error(s.json("PUT", "/secrets/s1", {"value": 1}), 400, "BadParameter")
    error(s.json("GET", "/secrets/s1", who="node"), 403, "Forbidden", "ForbiddenByPolicy", "secrets get permission")
    s.ctl("policy-add", name="node", perms=["secret-get"])
    same(s.json("GET", "/secrets/s1", who="node")[0], 200)
    s.ctl("set", name="permission_model", value="rbac")
    error(s.json("PUT", "/secrets/s1", {"value": "x"}, who="node"), 403, "Forbidden", "ForbiddenByRbac", "secrets/setSecret/action")
    s.ctl("set", name="permission_model", value="policy")
    s.ctl("policy-remove", name="node", perms=["secret-get"])

    status, _, doc = s.json("DELETE", "/secrets/s1")
    assert doc["recoveryId"].endswith("/deletedsecrets/s1") and doc["scheduledPurgeDate"] - doc["deletedDate"] == 90 * 86400, doc
    assert "value" not in doc and "value" not in s.json("GET", "/deletedsecrets/s1")[2], "the value of a deleted secret"
    error(s.json("GET", "/secrets/s1"), 404, "SecretNotFound")
    error(s.json("PUT", "/secrets/s1", {"value": "x"}), 409, "Conflict", "ObjectIsDeletedButRecoverable", "Secret s1 is currently")
    error(s.json("DELETE", "/deletedsecrets/s1"), 403, "Forbidden", text="purge protection")
    same(s.json("POST", "/deletedsecrets/s1/recover")[0], 200)
    same(s.json("GET", "/secrets/s1")[2]["value"], "c", "after recover")
    assert [r["id"].endswith("/secrets/s1") for r in s.json("GET", "/secrets")[2]["value"]] == [True]
    s.ctl("secret", name="s1", action="delete")
    s.ctl("secret", name="s1", action="purge")
    error(s.json("GET", "/deletedsecrets/s1"), 404, "SecretNotFound")


def recovery_levels(s):
    s.ctl("create-key", name="level")
    for settings, want in (({"recoverable_days": "7"}, ("CustomizedRecoverable", 7)),
                           ({"purge_protection": "off"}, ("CustomizedRecoverable+Purgeable", 7)),
                           ({"soft_delete": "off"}, ("Purgeable", 0)),
                           ({"soft_delete": "on", "purge_protection": "on", "recoverable_days": "90"},
                            ("Recoverable", 90))):
        for name, value in settings.items():
            s.ctl("set", name=name, value=value)
        attributes = s.json("GET", "/keys/level")[2]["attributes"]
        same((attributes["recoveryLevel"], attributes["recoverableDays"]), want)


def paging(s):
    s.ctl("create-key", name="page")
    for _ in range(4):
        s.ctl("rotate", name="page")
    seen, path = [], "/keys/page/versions?maxresults=2"
    while path:
        _, _, doc = s.json("GET", path)
        seen += [row["kid"] for row in doc["value"]]
        assert len(doc["value"]) <= 2 and all("key" not in row for row in doc["value"])
        link = doc["nextLink"]
        assert link is None or link.startswith("https://vault.test:%d/" % s.info["vault_port"]), link
        path = link and link[link.index("/keys/"):].replace("api-version=7.4&", "")
    same(len(set(seen)), 5, "versions")
    error(s.json("GET", "/keys/page/versions?maxresults=26"), 400, "BadParameter")
    assert "https://vault.test:%d/keys/page" % s.info["vault_port"] in {
        row["kid"] for row in _all(s, "/keys?maxresults=25")}


def _all(s, path):
    rows = []
    while path:
        doc = s.json("GET", path)[2]
        rows += doc["value"]
        link = doc["nextLink"]
        path = link and link[link.index("/keys"):].replace("api-version=7.4&", "")
    return rows


def policies(s):
    s.ctl("create-key", name="pol")
    made = s.ctl("add-identity", name="guest", perms=["get"])
    wrapped = s.wrapped("pol", b"p")
    reply = s.unwrap("pol", wrapped, who="guest")
    error(reply, 403, "Forbidden", "ForbiddenByPolicy", "does not have keys unwrapKey permission on key vault 'vault;")
    assert made["client_id"] in reply[2]["error"]["message"], "the caller is not named"
    error(s.json("POST", "/keys/pol/create", {"kty": "RSA"}, who="guest"), 403, "Forbidden", "ForbiddenByPolicy")
    s.ctl("policy-add", name="guest", perms=["unwrapKey"])
    same(s.unwrap("pol", wrapped, who="guest")[0], 200)
    s.ctl("policy-remove", name="guest")
    s.ctl("set", name="permission_model", value="rbac")
    error(s.unwrap("pol", wrapped, who="guest"), 403, "Forbidden", "ForbiddenByRbac", "keys/unwrap/action")
    s.ctl("set", name="permission_model", value="policy")
    s.ctl("set", name="policy_lag_s", value="0.4")
    s.ctl("policy-add", name="guest", perms=["unwrapKey"])
    same(s.unwrap("pol", wrapped, who="guest")[0], 403, "before the lag is over")
    time.sleep(0.45)
    same(s.unwrap("pol", wrapped, who="guest")[0], 200, "after the lag")
    s.ctl("set", name="policy_lag_s", value="0")


def gates_and_rate(s):
    for gate, inner in (("firewall", "ForbiddenByFirewall"), ("private", "ForbiddenByConnection")):
        s.ctl("set", name="firewall", value=gate)
        error(s.json("GET", "/keys/pol"), 403, "Forbidden", inner)
    s.ctl("set", name="firewall", value="open")
    s.ctl("set", name="rate_limit", value="3")
    s.ctl("set", name="retry_after", value="7")
    replies = [s.json("GET", "/keys") for _ in range(4)]
    s.ctl("set", name="rate_limit", value="0")
    same([r[0] for r in replies], [200, 200, 200, 429])
    same(replies[3][1]["Retry-After"], "7")


def unknown_host_is_no_vault(s):
    error(s.json("GET", "/keys", headers={"Host": "other.test"}), 404, "VaultNotFound")


def metadata_token(s):
    status, doc = s.metadata()
    same(status, 200, doc)
    for field in ("expires_in", "expires_on", "not_before"):
        assert isinstance(doc[field], str) and doc[field].isdigit(), field
    same((doc["token_type"], doc["resource"]), ("Bearer", "https://vault.azure.net"))
    same(doc["access_token"].count("."), 2)
    same(s.json("GET", "/keys", who=None, headers={"Authorization": "Bearer " + doc["access_token"]})[0], 200)


def metadata_refusals(s):
    same(s.metadata(headers={}), (400, {"error": "bad_request_102",
                                        "error_description": "Required metadata header not specified"}))
    same(s.metadata(headers={"Metadata": "True"})[0], 400, "only lower case true")
    same(s.metadata(headers={"Metadata": "true", "X-Forwarded-For": "1.2.3.4"})[0], 400)
    same(s.metadata("resource=https%3A%2F%2Fvault.azure.net")[0], 400, "no api-version")
    same(s.metadata("api-version=2018-02-01")[1]["error"], "invalid_request")
    same(s.metadata("api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net%2F.default")[1]["error"],
         "invalid_resource")
    same(s.metadata(path="/metadata/instance")[0], 404)


def metadata_identities(s):
    base = "api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net&"
    ids = s.ctl("identities")["identities"]
    for field in ("client_id", "object_id", "msi_res_id"):
        status, doc = s.metadata(base + field + "=" + ids["admin"][field])
        same((status, doc["client_id"]), (200, ids["admin"]["client_id"]), field)
    same(s.metadata(base + "mi_res_id=" + ids["admin"]["msi_res_id"])[1]["client_id"], ids["node"]["client_id"])
    want = (400, {"error": "invalid_request", "error_description": "Identity not found"})
    same(s.metadata(base + "client_id=00000000-0000-0000-0000-000000000000"), want)
    for name in set(ids) - {"admin"}:          # of other claims too
        s.ctl("detach-identity", name=name)
    same(s.metadata(), want)
    one = s.ctl("add-identity", name="one")
    same(s.metadata()[1]["client_id"], one["client_id"], "the lone one")
    s.ctl("add-identity", name="two")
    status, doc = s.metadata()
    same((status, doc["error"], doc["error_description"][:40]), (400, "invalid_request", "Multiple user assigned identities exist,"))
    for name in ("one", "two"):
        s.ctl("detach-identity", name=name)
    s.ctl("attach-identity", name="node")
    same(s.metadata()[0], 200)


def token_lifetime_cache_and_invalidation(s):
    s.ctl("set", name="token_lifetime", value="1")
    token = s.metadata()[1]["access_token"]
    head = {"Authorization": "Bearer " + token}
    same(s.json("GET", "/keys", who=None, headers=head)[0], 200)
    time.sleep(2)
    error(s.json("GET", "/keys", who=None, headers=head), 401, "Unauthorized", text="TokenExpired")
    s.ctl("set", name="token_lifetime", value="86399")
    assert s.metadata()[1]["access_token"] != s.metadata()[1]["access_token"]
    s.ctl("set", name="imds_cache", value="on")
    same(s.metadata()[1]["access_token"], s.metadata()[1]["access_token"], "cached token")
    head = {"Authorization": "Bearer " + s.metadata()[1]["access_token"]}
    s.ctl("token-invalidate", name="node")
    s.tokens.pop("node", None)
    error(s.json("GET", "/keys", who=None, headers=head), 401, "Unauthorized", text="AKV10046")
    head = {"Authorization": "Bearer " + s.metadata()[1]["access_token"]}
    same(s.json("GET", "/keys", who=None, headers=head)[0], 200)
    s.ctl("set", name="imds_cache", value="off")


def log_counts_and_keeps_no_secret(s):
    s.ctl("create-key", name="log")
    plain = os.urandom(48)
    wrapped = s.wrapped("log", plain)
    before = s.ctl("stats")
    s.unwrap("log", wrapped)
    after = s.ctl("stats")
    same(after["by_op"]["unwrap"], before["by_op"]["unwrap"] + 1)
    row = s.ctl("log", op="unwrap", count=1)["log"][0]
    same((row["key"], row["identity"], row["client_request_id"], row["status"]), ("log", "node", "0f0f", 200))
    with open(os.path.join(s.dir, "requests.jsonl"), encoding="utf-8") as f:
        text = f.read()
    same(json.loads(text.splitlines()[-1])["request_id"], row["request_id"], "the file's last line")
    for secret in [keycrypto.b64u(plain), keycrypto.b64u(wrapped)] + list(s.tokens.values()):
        assert secret not in text and secret.rsplit(".")[-1][:40] not in text, "a secret is in the log"


def restart_keeps_keys(s):
    one = probe.Server("--vault-port", "0")
    try:
        kid = one.ctl("create-key", name="kept", tags={"x": "y"})["kid"]
        wrapped, token = one.wrapped("kept", b"still here"), one.token("node")
        one.ctl("disable", name="kept")
        one.ctl("set", name="purge_protection", value="off")
        port = one.info["vault_port"]
        same(one.proc.poll(), None)
        one.ctl("stop")
        same(one.proc.wait(10), 0, "exit status")
        two = probe.Server("--vault-port", str(port), directory=one.dir)
        two.tokens["node"] = token
        try:
            same(two.info["ca"], one.info["ca"])
            error(two.unwrap("kept", wrapped), 403, "Forbidden", "KeyDisabled")
            two.ctl("enable", name="kept")
            _, _, doc = two.unwrap("kept", wrapped)
            same((keycrypto.unb64u(doc["value"]), doc["kid"]), (b"still here", kid))
            same(two.json("GET", "/keys/kept")[2]["attributes"]["recoveryLevel"], "Recoverable+Purgeable")
        finally:
            same(two.close(), 0, "exit status on SIGTERM")
    finally:
        one.close()


def side_by_side_and_one_per_dir(s):
    other = probe.Server()
    try:
        other.ctl("create-key", name="only-there")
        error(s.json("GET", "/keys/only-there"), 404, "KeyNotFound")
        try:
            probe.Server(directory=other.dir, quiet=True)
        except AssertionError:
            return
        raise AssertionError("two servers in one directory")
    finally:
        other.close()


def down_and_up(s):
    s.ctl("down")
    try:
        s.json("GET", "/keys")
        raise AssertionError("answered while down")
    except ConnectionRefusedError:
        pass
    s.ctl("up")
    same(s.json("GET", "/keys")[0], 200)


def ctl_refuses_nonsense(s):
    for verb, args in (("fault-set", {"kind": "nonsense"}), ("set", {"name": "nonsense", "value": "1"}),
                       ("disable", {"name": "absent"}), ("policy-add", {"name": "node", "perms": ["fly"]}),
                       ("fault-set", {"kind": "wrong-cert-ca", "op": "unwrap"}), ("nonsense", {})):
        assert "error" in control.call(s.dir, verb, **args), verb
