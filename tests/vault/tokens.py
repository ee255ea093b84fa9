# SPDX-License-Identifier: Apache-2.0
"""Bearer tokens that look like the real ones: three base64url parts, claims aud,
iss, oid, appid, tid, exp. The third part starts with an HMAC under a secret of
DIR, so that tokens outlive a restart and no forged or altered one is taken."""

import base64
import hashlib
import hmac
import json
import os
import time

import keycrypto
from errors import CLAIMS, ApiError
from keystore import TENANT

RESOURCE = "https://vault.azure.net"
HSM_RESOURCE = "https://managedhsm.azure.net"
RESOURCES = (RESOURCE, HSM_RESOURCE, "https://management.azure.com")
ISSUER = "https://sts.windows.net/%s/" % TENANT


def _sign(store, text):
    return hmac.new(bytes.fromhex(store.state["secret"]), text.encode(), hashlib.sha256).digest()


def issue(store, name, resource=RESOURCE, lifetime=None, issuer=ISSUER, extra=None):
    """(token, issued, expires) for the identity called name."""
    who = store.identity(name)
    now = int(time.time())
    end = now + int(store.get("token_lifetime") if lifetime is None else lifetime)
    claims = {"aud": resource, "iss": issuer, "iat": now, "nbf": now, "exp": end, "appid": who["client_id"],
              "oid": who["object_id"], "sub": who["object_id"], "tid": TENANT, "idtyp": "app", "ver": "1.0",
              "uti": keycrypto.b64u(os.urandom(16)), "gen": who["generation"], "xms_mirid": who["msi_res_id"]}
    claims.update(extra or {})
    head = {"typ": "JWT", "alg": "RS256", "kid": keycrypto.b64u(hashlib.sha1(TENANT.encode()).digest())}
    text = ".".join(keycrypto.b64u(json.dumps(p).encode()) for p in (head, claims))
    return "%s.%s" % (text, keycrypto.b64u(_sign(store, text) + os.urandom(int(store.get("token_padding"))))), now, end


def check(store, header, resource=RESOURCE):
    """The identity's name, or the 401 that the vault would give."""
    if not header:
        raise ApiError("akv10000")
    scheme, _, token = header.partition(" ")
    parts = token.strip().split(".")
    if scheme.lower() != "bearer" or len(parts) != 3:
        raise ApiError("akv10000")
    try:
        claims = json.loads(keycrypto.unb64u(parts[1]))
        mac = keycrypto.unb64u(parts[2])[:32]
    except (ApiError, ValueError):
        raise ApiError("akv10000")
    if not hmac.compare_digest(mac, _sign(store, ".".join(parts[:2]))):
        raise ApiError("akv10046")
    if claims["exp"] <= time.time():
        raise ApiError("token-expired")
    if claims["iss"] != ISSUER:
        raise ApiError("akv10032", resource=ISSUER, iss=claims["iss"])
    if claims["aud"].rstrip("/") != resource:
        raise ApiError("akv10022", resource=resource, aud=claims["aud"])
    for name, who in store.state["identities"].items():
        if who["object_id"] == claims["oid"]:
            if who["generation"] != claims["gen"]:
                raise ApiError("akv10046")
            if store.get("cae") and claims.get("claims") != json.loads(base64.b64decode(CLAIMS)):
                raise ApiError("insufficient-claims")
            return name
    raise ApiError("akv10046")


def describe(store, name):
    """The caller as the vault's messages name it."""
    who = store.identity(name)
    return "appid=%s;oid=%s;iss=%s" % (who["client_id"], who["object_id"], ISSUER)
