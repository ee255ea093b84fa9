# SPDX-License-Identifier: Apache-2.0
"""The instance-metadata endpoint for managed identities (vault-protocols.md 1.5)."""

import threading
import time

import faults
import tokens
from errors import ERRORS
from httpd import Reply

PATH = "/metadata/identity/oauth2/token"
DESCRIPTIONS = {404: ("not_found", "The endpoint is updating."), 410: ("gone", "The endpoint is being upgraded."),
                429: ("too_many_requests", "Too many requests."), 500: ("internal_error", "Failed to get a token."),
                503: ("unavailable", "The service is unavailable.")}
# answered by transport.send alone, without a token being made
ALONE = ("hang", "reset", "close", "garbage", "redirect", "html", "empty", "endless-body", "oversized-body")


class Metadata:
    """The application behind the plain HTTP listener."""

    where = "metadata"

    def __init__(self, store, faults_):
        self.store, self.faults = store, faults_
        self.lock = threading.Lock()
        self.first = None
        self.cache = {}

    def forget(self):
        with self.lock:
            self.cache.clear()

    def handle(self, req, entry):
        entry["op"] = "token" if req.path == PATH else "metadata"
        latency = self.store.get("metadata_latency_ms")
        if latency:
            time.sleep(latency / 1000)
        bad = self._refuse(req)
        if bad:
            return bad, None
        name, bad = self._select(req)
        entry["identity"] = name
        rule = self.faults.take("token", None, name)
        if rule:
            entry["fault"] = rule.kind
            delay = rule.opt("delay", 1000 if rule.kind == "slow" else 0)
            if delay and rule.kind != "drip":
                time.sleep(delay / 1000)
            if rule.kind in ALONE:
                return None, rule
            reply = self._fault(rule)
            if reply:
                return reply, rule
        if bad:
            return bad, rule
        return self._token(name, req.query["resource"].rstrip("/"), rule), rule

    @staticmethod
    def _error(status, code, text):
        reply = Reply(status, {"error": code, "error_description": text})
        reply.headers.append(("Server", "IMDS/150.870.65.1854"))
        return reply

    def _refuse(self, req):
        if req.headers.get("metadata") != "true":
            return self._error(400, "bad_request_102", "Required metadata header not specified")
        if "x-forwarded-for" in req.headers:
            return self._error(400, "invalid_request", "X-Forwarded-For is not allowed")
        if req.path != PATH:
            return self._error(404, "not_found", "No such metadata")
        if req.method != "GET":
            return self._error(405, "method_not_allowed", "GET only")
        if req.query.get("api-version") is None:
            return self._error(400, "bad_request", "api-version was not specified in the request")
        if req.query["api-version"] not in ("2018-02-01", "2019-08-01", "2021-02-01", "2025-04-07"):
            return self._error(400, "bad_request", "api-version is invalid or not supported")
        if not req.query.get("resource"):
            return self._error(400, "invalid_request", "Required query variable 'resource' is missing")
        if req.query["resource"].rstrip("/") not in tokens.RESOURCES:
            return self._error(400, "invalid_resource", "AADSTS50001: The application named %s was not found in the "
                               "tenant" % req.query["resource"])
        return None

    def _select(self, req):
        """(identity's name or None, refusal or None). mi_res_id is another
        service's spelling and is ignored, as has been seen in the field."""
        wanted = [(k, req.query[k]) for k in ("client_id", "object_id", "msi_res_id") if k in req.query]
        if len(wanted) > 1:
            return None, self._error(400, "invalid_request", "Only one of client_id, object_id, msi_res_id")
        rows = {n: w for n, w in self.store.state["identities"].items() if w["present"]}
        if wanted:
            field, value = wanted[0]
            hits = [n for n, w in rows.items() if w[field].lower() == value.lower()]
        else:
            # without a system-assigned identity the lone user-assigned one; "admin" is the tests' own, and no machine's
            hits = [n for n, w in rows.items() if w["kind"] == "system"] or [n for n in rows if n != "admin"]
            if len(hits) > 1:
                return None, self._error(400, "invalid_request", "Multiple user assigned identities exist, please specify the clientId / "
                                         "resourceId of the identity in the token request")
        if not hits:
            return None, self._error(400, "invalid_request", "Identity not found")
        return hits[0], None

    def _fault(self, rule):
        """The reply of a fault that is an error; None if a token is still to be made."""
        if rule.kind == "imds-identity-not-found":
            return self._error(400, "invalid_request", "Identity not found")
        if rule.kind == "imds-invalid-resource":
            return self._error(400, "invalid_resource", "AADSTS50001: The application was not found in the tenant")
        if rule.kind[5:].isdigit() and rule.group == "metadata":
            status = int(rule.kind[5:])
        elif rule.group in ("error", "auth"):
            status = rule.opt("status") or ERRORS.get(rule.kind, (500,))[0]
        else:
            return None
        reply = self._error(status, *DESCRIPTIONS.get(status, ("error", "A fault mode is on.")))
        if rule.opt("retry_after"):
            reply.headers.append(("Retry-After", str(rule.opt("retry_after"))))
        if rule.opt("html"):
            reply.body, reply.ctype = b"<html><body>%d</body></html>" % status, "text/html"
        return reply

    def _issue(self, name, resource, kind):
        if kind == "imds-expired":
            return tokens.issue(self.store, name, resource, lifetime=-60)
        if kind == "imds-wrong-audience":
            return tokens.issue(self.store, name, "https://management.azure.com")
        if kind == "imds-wrong-issuer":
            return tokens.issue(self.store, name, resource, issuer="https://sts.windows.net/another-tenant/")
        with self.lock:
            if kind == "imds-stale" and self.first:
                return self.first
            kept = self.cache.get((name, resource))
            if kept and self.store.get("imds_cache") and kept[2] - time.time() > 300:
                return kept
            made = tokens.issue(self.store, name, resource)
            self.cache[(name, resource)] = made
            self.first = self.first or made
            return made

    def _token(self, name, resource, rule):
        kind = rule.kind if rule else None
        token, start, end = self._issue(name, resource, kind)
        if kind == "imds-forged":
            token = token.rpartition(".")[0] + "." + "A" * 342
        doc = {"access_token": token, "client_id": self.store.identity(name)["client_id"],
               "expires_in": str(end - int(time.time())), "expires_on": str(end),
               "ext_expires_in": str(end - start), "not_before": str(start), "resource": resource,
               "token_type": "Bearer"}
        if kind == "imds-numbers":
            doc.update({f: int(doc[f]) for f in ("expires_in", "expires_on", "ext_expires_in", "not_before")})
        elif kind == "imds-empty-token":
            doc["access_token"] = ""
        elif kind == "imds-crlf-token":
            doc["access_token"] = token + "\r\nX-Injected: yes"
        elif kind == "imds-huge-token":
            doc["access_token"] = "A" * rule.opt("bytes", 1 << 20)
        elif kind == "imds-no-expiry":
            for field in ("expires_in", "expires_on", "ext_expires_in", "not_before"):
                del doc[field]
        reply = Reply(200, doc)
        reply.headers.append(("Server", "IMDS/150.870.65.1854"))
        return reply


assert all(k in faults.TRANSPORT for k in ALONE)
