# SPDX-License-Identifier: Apache-2.0
"""The token endpoint of a tenant (vault-protocols.md 1.6): POST /TENANT/oauth2/v2.0/token on the vault's own port, for identities
that have a secret, a certificate or a trusted assertion (ctl app). Strict: what the documentation does not allow is refused."""

import hashlib
import json
import re
import time
import urllib.parse

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding

import errors
import keycrypto
import pki
import tokens
from errors import ApiError
from httpd import Reply
from keystore import TENANT

PATH = re.compile(r"^/([^/]+)/(oauth2/v2\.0/token|v2\.0/\.well-known/openid-configuration)$")
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
FIELDS = {"grant_type", "client_id", "scope", "client_secret", "client_assertion_type", "client_assertion", "claims",
          "client_info"}           # of the vendor's library
ALONE = ("hang", "reset", "close", "garbage", "redirect", "html", "empty", "endless-body", "oversized-body")


class Refused(Exception):
    def __init__(self, number):
        super().__init__(number)
        self.number = number


def thumbprint(pem):
    der = x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER)
    return keycrypto.b64u(hashlib.sha256(der).digest())


class Authority:
    def __init__(self, store, faults):
        self.store, self.faults = store, faults

    # the owner's hand
    def act(self, name, action, value=None):
        self.store.identity(name)
        with self.store.lock:
            apps = self.store.state.setdefault("apps", {})
            app = apps.setdefault(name, {"secrets": [], "certificates": {}, "assertions": []})
            answer = {"time": time.time()}
            if action == "new-certificate":
                answer["certificate"], answer["key"] = pki.client_certificate(name)
                action, value = "certificate", answer["certificate"]
            if action == "secret":
                app["secrets"].append(value)
            elif action == "certificate":
                app["certificates"][thumbprint(value)] = value
            elif action == "assertion":
                app["assertions"].append(value)
            elif action == "forget":
                apps[name] = {"secrets": [], "certificates": {}, "assertions": []}
            else:
                raise KeyError("no such action: %s (secret, certificate, new-certificate, assertion, forget)" % action)
            self.store.save()
            return answer

    # requests
    def handle(self, req, entry):
        """(Reply or None, Rule or None)"""
        if req.path.endswith("/openid-configuration"):
            entry["op"] = "aad-discovery"           # clients of the vendor's library look there first; cmkd does not
            return Reply(200, self.discovery(req)), None
        entry["op"] = "aad"
        rule = self.faults.take("aad", None, None, True)
        if rule is not None:
            entry["fault"] = rule.kind
            delay = rule.opt("delay", 1000 if rule.kind == "slow" else 0)
            if delay and rule.kind != "drip":
                time.sleep(delay / 1000)
            if rule.kind in ALONE:
                return None, rule
        try:
            if rule is not None and rule.kind in errors.AAD:
                raise Refused(rule.kind[4:])
            reply = Reply(200, self.token(req, entry))
        except Refused as e:
            reply = self.refusal(str(e.number))
        if rule is not None and rule.opt("retry_after"):
            reply.headers.append(("Retry-After", str(rule.opt("retry_after"))))
        if rule is not None and rule.opt("html"):
            reply.body, reply.ctype = b"<html><body>%d</body></html>" % reply.status, "text/html"
        return reply, rule

    @staticmethod
    def discovery(req):
        here = "https://%s/%s" % (req.headers["host"], PATH.match(req.path).group(1))
        return {"issuer": here + "/v2.0", "token_endpoint": here + "/oauth2/v2.0/token", "authorization_endpoint": here + "/authorize"}

    @staticmethod
    def refusal(number):
        status, word, text = errors.AAD["aad-" + number]
        code = int(number) if number.isdigit() else 0
        doc = {"error": word, "error_description": text if not code else "AADSTS%d: %s Trace ID: 0" % (code, text),
               "error_codes": [code] if code else [], "timestamp": "2026-01-01 00:00:00Z", "trace_id": "0", "correlation_id": "0"}
        return Reply(status, doc)

    def token(self, req, entry):
        form = self.form(req)
        if PATH.match(req.path).group(1) != TENANT:
            raise Refused(90002)
        name = next((n for n, w in self.store.state["identities"].items() if w["client_id"] == form.get("client_id")), None)
        if name is None:
            raise Refused(700016)
        entry["identity"] = name
        if not self.store.identity(name)["present"]:
            raise Refused(7000112)
        resource, dot, _ = form["scope"].rpartition("/.default")
        if not dot or resource not in tokens.RESOURCES:
            raise Refused(500011)
        app = self.store.state.get("apps", {}).get(name, {"secrets": [], "certificates": {}, "assertions": []})
        if "client_secret" in form:
            if form["client_secret"] not in app["secrets"]:
                raise Refused(7000215)
        elif form["client_assertion"] not in app["assertions"]:
            self.assertion(req, form, app)
        extra = {"claims": json.loads(form["claims"])} if "claims" in form else {}
        token, start, end = tokens.issue(self.store, name, resource, extra=extra)
        return {"token_type": "Bearer", "expires_in": end - start, "ext_expires_in": end - start, "access_token": token}

    @staticmethod
    def form(req):
        if req.method != "POST" or req.headers.get("content-type") != "application/x-www-form-urlencoded":
            raise Refused("invalid_request")
        try:
            pairs = urllib.parse.parse_qsl(req.body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
        except ValueError:
            raise Refused("invalid_request")
        form = dict(pairs)
        kind = form.get("client_assertion_type")
        proven = kind is None and "client_assertion" not in form if "client_secret" in form else \
            kind == ASSERTION and "client_assertion" in form
        if len(form) != len(pairs) or set(form) - FIELDS or not proven or "scope" not in form or \
                form.get("grant_type") != "client_credentials":
            raise Refused("invalid_request")
        return form

    def assertion(self, req, form, app):
        """A JWT signed with a registered certificate."""
        try:
            parts = form["client_assertion"].split(".")
            head, claims = (json.loads(keycrypto.unb64u(p)) for p in parts[:2])
            signature = keycrypto.unb64u(parts[2])
        except (ApiError, ValueError, IndexError):
            raise Refused(70021)
        pem = app["certificates"].get(head.get("x5t#S256", "").rstrip("="))     # the vendor's library pads it
        if len(parts) != 3 or pem is None or head.get("alg") != "PS256" or head.get("typ") != "JWT":
            raise Refused(700027)
        try:
            x509.load_pem_x509_certificate(pem.encode()).public_key().verify(
                signature, ".".join(parts[:2]).encode(), padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
        except InvalidSignature:
            raise Refused(700027)
        now, here = time.time(), "https://%s%s" % (req.headers["host"], req.path)
        if claims.get("aud") != here or claims.get("iss") != form["client_id"] or claims.get("sub") != form["client_id"] or \
                not claims.get("jti"):
            raise Refused(700027)
        if not claims.get("nbf", 0) <= now + 5 or not claims["iat"] <= now + 5 or not now < claims["exp"] <= now + 605:
            raise Refused(700024)
