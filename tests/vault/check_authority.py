# SPDX-License-Identifier: Apache-2.0
"""The test vault's token endpoint: what it takes, and what it refuses. Certificates are checked by tests/unit/worker-identities."""

import json
import urllib.parse

import errors
import keystore
from probe import same

PATH = "/%s/oauth2/v2.0/token"
FORM = {"grant_type": "client_credentials", "client_id": keystore.ident_uuid("client", "node"),
        "scope": "https://vault.azure.net/.default", "client_secret": "right & proper"}


def _ask(s, tenant=keystore.TENANT, head="application/x-www-form-urlencoded", **changes):
    form = {k: v for k, v in dict(FORM, **changes).items() if v is not None}
    conn = s.connect()
    conn.request("POST", PATH % tenant, urllib.parse.urlencode(form), {"Content-Type": head})
    reply = conn.getresponse()
    return reply.status, json.loads(reply.read())


def _refused(reply, status, word, number):
    same((reply[0], reply[1]["error"], reply[1]["error_codes"]), (status, word, [number] if number else []))


def secret_and_assertion(s):
    _refused(_ask(s), 401, "invalid_client", 7000215)
    s.ctl("app", name="node", action="secret", value="right & proper")
    s.ctl("app", name="node", action="assertion", value="trusted")
    for changes in ({}, {"client_secret": None, "client_assertion": "trusted",
                         "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}):
        status, doc = _ask(s, **changes)
        same((status, doc["token_type"], doc["expires_in"] > 0), (200, "Bearer", True))
        s.tokens["by-form"] = doc["access_token"]
        same(s.json("GET", "/keys", who="by-form")[0], 200)
    s.ctl("app", name="node", action="forget")
    _refused(_ask(s), 401, "invalid_client", 7000215)


def refusals(s):
    s.ctl("app", name="node", action="secret", value="right & proper")
    _refused(_ask(s, tenant="1" * 8), 400, "invalid_request", 90002)
    _refused(_ask(s, client_id="me"), 400, "unauthorized_client", 700016)
    _refused(_ask(s, scope="https://elsewhere.test/.default"), 400, "invalid_resource", 500011)
    for bad in ({"grant_type": "password"}, {"scope": None}, {"client_secret": None}, {"client_assertion": "x"}, {"extra": "1"}):
        same(_ask(s, **{**bad, **({"client_assertion_type": "x"} if bad == {"client_secret": None} else {})})[1]["error"],
             "invalid_request", bad)
    same(_ask(s, head="application/json")[1]["error"], "invalid_request")
    s.ctl("detach-identity", name="node")
    _refused(_ask(s), 400, "unauthorized_client", 7000112)
    s.ctl("attach-identity", name="node")


def each_refusal_on_demand(s):
    for name, (status, word, _) in errors.AAD.items():
        s.fault(name, count=1)
        number = name[4:]
        _refused(_ask(s), status, word, int(number) if number.isdigit() else 0)


def claims_must_be_met(s):
    s.ctl("set", name="cae", value="on")
    status, head, doc = s.json("GET", "/keys", who="node")
    same((status, doc["error"]["message"][:8]), (401, "AKV10144"))
    assert 'error="insufficient_claims", claims="' in head["WWW-Authenticate"]
    s.tokens["met"] = _ask(s, claims='{"access_token":{"nbf":{"essential":true,"value":"1"}}}')[1]["access_token"]
    same(s.json("GET", "/keys", who="met")[0], 200)
    s.ctl("set", name="cae", value="off")
