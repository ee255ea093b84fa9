# SPDX-License-Identifier: Apache-2.0
"""Every error reply of the vault, in one table: name -> (status, code, inner code,
message). Sources: vault-protocols.md 1.4, 1.7, 1.8. Names are also fault names.
Messages may use {op} {key} {name} {who} {vault} {peer} {version} {resource} {aud}
{iss} {action} {path}. What the document marks as a guess is marked GUESS here."""

import json


class ApiError(Exception):
    """Raised by the operations; httpd turns it into a reply."""

    def __init__(self, name, /, **details):
        super().__init__(name)
        self.name = name
        self.details = details


RBAC = ("Caller is not authorized to perform action on resource.\r\n"
        "If role assignments, deny assignments or role definitions were changed recently, please observe "
        "propagation time.\r\nCaller: {who}\r\nAction: '{action}'\r\nResource: '{path}'\r\n"
        "Assignment: (not found)\r\nDenyAssignmentId: null\r\nDecisionReason: null \r\n"
        "Vault: {vault};location=testregion\r\n")
SECRET_GONE = ("A secret with (name/id) {key} was not found in this key vault. If you recently deleted this secret you may be "
               "able to recover it using the correct recovery command. For help resolving this issue, please see "
               "https://go.microsoft.com/fwlink/?linkid=2125182")
GONE = ("A key with (name/id) {key} was not found in this key vault. If you recently deleted this key you may be "
        "able to recover it using the correct recovery command. For help resolving this issue, please see "
        "https://go.microsoft.com/fwlink/?linkid=2125182")
POLICY = ("The user, group or application '{who}' does not have {kind}s {op} permission on key vault "
          "'{vault};location=testregion'. For help resolving this issue, please see "
          "https://go.microsoft.com/fwlink/?linkid=2125287")
FIREWALL = ("Client address is not authorized and caller is not a trusted service.\r\nClient address: {peer}\r\n"
            "Caller: {who}\r\nVault: {vault};location=testregion")
CONNECTION = ("Public network access is disabled and request is not from a trusted service nor via an approved "
              "private link.\r\nCaller: {who}\r\nVault: {vault};location=testregion")

ERRORS = {
    # the key's owner acted
    "key-disabled": (403, "Forbidden", "KeyDisabled", "Operation {op} is not allowed on a disabled key."),
    "key-not-found": (404, "KeyNotFound", None, GONE),
    "deleted-key-not-found": (404, "KeyNotFound", None, "Deleted Key not found: {name}"),
    "secret-disabled": (403, "Forbidden", "SecretDisabled", "Operation {op} is not allowed on a disabled secret."),
    "secret-not-found": (404, "SecretNotFound", None, SECRET_GONE),
    "deleted-secret-not-found": (404, "SecretNotFound", None, "Deleted Secret not found: {name}"),
    "vault-not-found": (404, "VaultNotFound", None, "The vault {vault} was not found."),
    "op-not-permitted": (403, "Forbidden", "KeyOperationForbidden",  # inner GUESS
                         "Operation {op} is not permitted on this key."),
    "key-expired": (403, "Forbidden", "KeyExpired", "Operation {op} is not allowed on an expired key."),  # GUESS
    "key-not-yet-valid": (403, "Forbidden", "KeyNotYetValid",  # GUESS
                          "Operation {op} is not allowed on a key that is not yet valid."),
    # permissions and network gates
    "forbidden-by-policy": (403, "Forbidden", "ForbiddenByPolicy", POLICY),
    "access-denied": (403, "Forbidden", "AccessDenied", POLICY),
    "forbidden-by-rbac": (403, "Forbidden", "ForbiddenByRbac", RBAC),
    "forbidden-by-firewall": (403, "Forbidden", "ForbiddenByFirewall", FIREWALL),
    "forbidden-by-connection": (403, "Forbidden", "ForbiddenByConnection", CONNECTION),
    "hsm-access-denied": (403, "AccessDenied", None,
                          "Not authorized to access {action} on /keys/{key}."),
    "forbidden-by-nsp": (403, "Forbidden", "ForbiddenByNsp",  # GUESS
                         "Access denied by the network security perimeter."),
    "forbidden-no-inner": (403, "Forbidden", None, "Forbidden."),
    "purge-protected": (403, "Forbidden", None,
                        "Operation \"purge\" is not allowed because purge protection is enabled for this vault."),
    # authentication
    "akv10000": (401, "Unauthorized", None, "AKV10000: Request is missing a Bearer or PoP token."),
    "akv10022": (401, "Unauthorized", None, "AKV10022: Invalid audience. Expected {resource}, found: {aud}."),
    "akv10032": (401, "Unauthorized", None, "AKV10032: Invalid issuer. Expected one of {resource}, found {iss}."),
    "akv10046": (401, "Unauthorized", None,
                 "AKV10046: Unable to resolve the key used for signature validation."),
    "token-expired": (401, "Unauthorized", None, "[TokenExpired] Error validating token: 'IDX10223'."),
    "insufficient-claims": (401, "Unauthorized", None,
                            "AKV10144: Continuous access evaluation resulted in a claims challenge."),
    # the request
    "missing-api-version": (400, "BadParameter", None, "api-version must be specified"),
    "bad-api-version": (400, "BadParameter", None, "The specified version ({version}) is not recognized."),
    "bad-parameter": (400, "BadParameter", None, "The parameter is incorrect.\r\n"),
    "bad-argument": (400, "BadArgument", None, "Property has invalid value\r\n"),
    "not-found": (404, "NotFound", None, "The requested resource was not found."),
    "method-not-allowed": (405, "MethodNotAllowed", None, "The method is not allowed here."),
    "conflict-deleted": (409, "Conflict", "ObjectIsDeletedButRecoverable",
                         "Key {name} is currently in a deleted but recoverable state, and its name cannot be "
                         "reused; in this state, the key can only be recovered or purged."),
    "secret-conflict-deleted": (409, "Conflict", "ObjectIsDeletedButRecoverable",
                                "Secret {name} is currently in a deleted but recoverable state, and its name cannot be "
                                "reused; in this state, the secret can only be recovered or purged."),
    "conflict-being-deleted": (409, "Conflict", "ObjectIsBeingDeleted", "Key {name} is currently being deleted."),
    "conflict": (409, "Conflict", None, "The key {name} already exists."),
    # the service
    "throttled": (429, "Throttled", None,
                  "Request was not processed because too many requests were received. "
                  "Reason: VaultRequestTypeLimitReached"),
    "server-error": (500, "InternalServerError", None, "An internal error occurred."),
    "bad-gateway": (502, "BadGateway", None, "Bad gateway."),
    "unavailable": (503, "ServiceUnavailable", None, "The service is unavailable."),
    "gateway-timeout": (504, "GatewayTimeout", None, "The gateway timed out."),
}

# of the token endpoint (1.6): name -> (status, error, text); the number is in the name
AAD = {
    "aad-700016": (400, "unauthorized_client", "Application was not found in the directory."),
    "aad-7000112": (400, "unauthorized_client", "Application is disabled."),
    "aad-7000215": (401, "invalid_client", "Invalid client secret provided."),
    "aad-7000222": (401, "invalid_client", "The provided client secret keys are expired."),
    "aad-700027": (401, "invalid_client", "The certificate used to sign the client assertion is not registered."),
    "aad-70021": (400, "invalid_request", "No matching federated identity record found for presented assertion."),
    "aad-700213": (401, "invalid_client", "No matching federated identity record found for presented assertion subject."),
    "aad-700024": (401, "invalid_client", "Client assertion is not within its valid time range."),
    "aad-53003": (400, "invalid_grant", "Access has been blocked by Conditional Access policies."),
    "aad-90002": (400, "invalid_request", "Tenant not found."),
    "aad-500011": (400, "invalid_resource", "The resource principal was not found in the tenant."),
    "aad-50001": (400, "invalid_resource", "The application was not found in the tenant."),
    "aad-90055": (400, "temporarily_unavailable", "The tenant is throttled."),
    "aad-50196": (400, "invalid_grant", "The server terminated an operation: it encountered a client request loop."),
    "aad-429": (429, "temporarily_unavailable", "Too many requests."),
    "aad-500": (500, "server_error", "Something went wrong."), "aad-503": (503, "temporarily_unavailable", "Come back later."),
    "aad-invalid_request": (400, "invalid_request", "AADSTS900144: The request body is not what it must be."),
    "aad-unknown": (400, "something_new", "Nobody knows."),
}

AUTH_ERRORS = ("akv10000", "akv10022", "akv10032", "akv10046", "token-expired", "insufficient-claims")


class _Blank(dict):
    def __missing__(self, key):
        return "?"


def body(name, details):
    """(status, document) of an error."""
    status, code, inner, message = ERRORS[name]
    text = details.get("message") or message.format_map(_Blank(details))
    doc = {"code": code, "message": text}
    if inner:
        doc["innererror"] = {"code": inner}
    return status, {"error": doc}


# {"access_token":{"nbf":{"essential":true,"value":"1"}}}
CLAIMS = "eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7ImVzc2VudGlhbCI6dHJ1ZSwidmFsdWUiOiIxIn19fQ=="


def challenge(name, tenant, resource):
    """The WWW-Authenticate header that goes with a 401."""
    text = 'Bearer authorization="https://login.test/%s", resource="%s"' % (tenant, resource)
    if name == "insufficient-claims":
        text += ', error="insufficient_claims", claims="%s"' % CLAIMS
    return text


def encode(doc):
    return json.dumps(doc, separators=(",", ":")).encode()
