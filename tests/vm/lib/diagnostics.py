# SPDX-License-Identifier: Apache-2.0
"""The test vault's requests as Azure's diagnostics (category AuditEvent) would have them."""

import json
import time


def entry(r):
    when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(r["time"])) + f"{r['time'] % 1:.7f}Z"[1:]
    return {"time": when, "category": "AuditEvent", "operationName": "KeyUnwrap", "resultType": "Success" if r["status"] == 200 else "",
            "resultSignature": "OK" if r["status"] == 200 else "Forbidden", "correlationId": r["client_request_id"],
            "callerIpAddress": r["peer"], "identity": {"claim": {"appid": r["identity"]}},
            "properties": {"httpStatusCode": r["status"], "requestUri": f"https://vault.test{r['path']}"}}


def lines(requests):
    return "".join(json.dumps(entry(r)) + "\n" for r in requests)


def unwraps(vault, since):
    """What the vault was asked to unwrap since then."""
    return [r for r in vault.requests() if r["where"] == "vault" and r["op"] == "unwrap" and r["time"] >= since]
