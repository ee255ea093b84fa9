# SPDX-License-Identifier: Apache-2.0
"""The claims of tests/interop/akv-python; run by it in the virtual environment."""

import json
import os
import socket
import sys
import traceback


def control(info, verb, **args):
    """The control socket, spoken by hand: the server's modules need not import here."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(30)
        s.connect(info["control"])
        s.sendall(json.dumps(dict(args, verb=verb)).encode() + b"\n")
        return json.loads(s.makefile("rb").readline())


def resolve_to_loopback(name):
    """The vault's name resolves in this process only."""
    real = socket.getaddrinfo
    socket.getaddrinfo = lambda host, *a, **k: real("127.0.0.1" if host == name else host, *a, **k)


class Claims:
    def __init__(self, info):
        from azure.identity import ManagedIdentityCredential
        from azure.keyvault.keys import KeyClient
        self.info = info
        ids = control(info, "identities")["identities"]
        self.opts = {"connection_verify": info["ca"], "verify_challenge_resource": False, "retry_total": 2}
        self.admin = ManagedIdentityCredential(client_id=ids["admin"]["client_id"])
        self.node = ManagedIdentityCredential()
        self.client = KeyClient(info["url"], self.admin, **self.opts)
        made = control(info, "add-identity", name="wrapper", perms=["wrapKey", "unwrapKey"])
        self.wrapper = ManagedIdentityCredential(client_id=made["client_id"])
        self.plain = os.urandom(64)
        self.key = self.first = self.wrapped = None

    def count(self, what):
        return control(self.info, "stats")["by_op_status"].get(what, 0)

    def crypto(self, credential, key=None):
        from azure.keyvault.keys.crypto import CryptographyClient
        return CryptographyClient((key or self.key).id, credential, **self.opts)

    def c01_tls_needs_the_ca(self):
        from azure.core.exceptions import ServiceRequestError
        from azure.keyvault.keys import KeyClient
        other = KeyClient(self.info["url"], self.admin, verify_challenge_resource=False, retry_total=0)
        try:
            other.get_key("none")
        except ServiceRequestError as e:
            assert "certificate" in str(e).lower(), e
            return
        raise AssertionError("a certificate of an unknown CA was taken")

    def c02_create(self):
        self.key = self.first = self.client.create_rsa_key("interop", size=2048, tags={"a": "b"})
        assert self.key.key_type == "RSA" and len(self.key.key.n) == 256, self.key.key
        assert self.key.properties.recovery_level == "Recoverable", self.key.properties.recovery_level
        assert self.key.properties.recoverable_days == 90 and self.key.properties.tags == {"a": "b"}
        assert self.key.id.startswith(self.info["url"] + "/keys/interop/"), self.key.id
        assert self.count("create:401") >= 1, "the client was never challenged"

    def c03_create_hsm_3072(self):
        key = self.client.create_rsa_key("interop-hsm", size=3072, hardware_protected=True)
        assert key.key_type == "RSA-HSM" and len(key.key.n) == 384

    def c04_get(self):
        latest, exact = self.client.get_key("interop"), self.client.get_key("interop", self.key.properties.version)
        assert latest.id == exact.id == self.key.id and latest.key.n == self.key.key.n
        assert "unwrapKey" in latest.key_operations

    def c05_get_missing_is_not_found(self):
        from azure.core.exceptions import ResourceNotFoundError
        try:
            self.client.get_key("no-such-key")
        except ResourceNotFoundError as e:
            assert e.error.code == "KeyNotFound" and e.status_code == 404, e
            return
        raise AssertionError("found")

    def c06_list_keys_and_versions(self):
        assert {"interop", "interop-hsm"} <= {k.name for k in self.client.list_properties_of_keys()}
        for _ in range(3):
            self.client.rotate_key("interop")
        found = list(self.client.list_properties_of_key_versions("interop", max_page_size=2))
        assert len(found) == 4 and len({k.version for k in found}) == 4, found
        assert self.count("versions:200") >= 2, "nextLink was not followed"
        self.key = self.client.get_key("interop")
        assert self.key.id != self.first.id

    def c07_wrap_at_the_server(self):
        from azure.keyvault.keys.crypto import KeyWrapAlgorithm
        before = self.count("wrap:200")
        done = self.crypto(self.wrapper).wrap_key(KeyWrapAlgorithm.rsa_oaep_256, self.plain)
        assert done.key_id == self.key.id and len(done.encrypted_key) == 256
        assert self.count("wrap:200") == before + 1, "the client wrapped by itself"
        self.wrapped = done.encrypted_key

    def c08_unwrap_at_the_server(self):
        from azure.keyvault.keys.crypto import KeyWrapAlgorithm
        before = self.count("unwrap:200")
        done = self.crypto(self.node).unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, self.wrapped)
        assert done.key == self.plain and done.key_id == self.key.id
        assert self.count("unwrap:200") == before + 1

    def c09_wrap_here_unwrap_there(self):
        from azure.keyvault.keys.crypto import KeyWrapAlgorithm
        for alg in (KeyWrapAlgorithm.rsa_oaep_256, KeyWrapAlgorithm.rsa_oaep):
            crypto, before = self.crypto(self.node), self.count("wrap:200")
            here = crypto.wrap_key(alg, self.plain).encrypted_key
            assert self.count("wrap:200") == before, "the client did not wrap by itself"
            assert crypto.unwrap_key(alg, here).key == self.plain, alg

    def c10_encrypt_decrypt(self):
        from azure.keyvault.keys.crypto import EncryptionAlgorithm
        crypto = self.crypto(self.admin)
        done = crypto.encrypt(EncryptionAlgorithm.rsa_oaep_256, b"canary")
        assert crypto.decrypt(EncryptionAlgorithm.rsa_oaep_256, done.ciphertext).plaintext == b"canary"

    def refused(self, inner, credential=None):
        from azure.core.exceptions import HttpResponseError
        from azure.keyvault.keys.crypto import KeyWrapAlgorithm
        try:
            self.crypto(credential or self.node).unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, self.wrapped)
        except HttpResponseError as e:
            assert e.status_code == 403 and e.error.code == "Forbidden", e
            assert e.error.innererror["code"] == inner, e.error.innererror
            return
        raise AssertionError("unwrapped")

    def c11_disabled_refuses_unwrap(self):
        done = self.client.update_key_properties("interop", self.key.properties.version, enabled=False)
        assert done.properties.enabled is False
        self.refused("KeyDisabled")
        assert self.count("unwrap:403") >= 1
        assert self.client.get_key("interop").properties.enabled is False

    def c12_enabled_unwraps_again(self):
        self.client.update_key_properties("interop", self.key.properties.version, enabled=True)
        self.c08_unwrap_at_the_server()

    def c13_policy_removed_refuses_unwrap(self):
        control(self.info, "policy-remove", name="node", perms=["unwrapKey"])
        self.refused("ForbiddenByPolicy")
        control(self.info, "policy-add", name="node", perms=["unwrapKey"])
        self.c08_unwrap_at_the_server()

    def c14_delete(self):
        from azure.core.exceptions import ResourceNotFoundError
        done = self.client.begin_delete_key("interop").result()
        assert done.recovery_id and done.deleted_date and done.scheduled_purge_date > done.deleted_date
        try:
            self.client.get_key("interop")
        except ResourceNotFoundError:
            return
        raise AssertionError("still there")

    def c15_get_deleted(self):
        assert self.client.get_deleted_key("interop").id == self.key.id
        assert "interop" in {k.name for k in self.client.list_deleted_keys()}

    def c16_name_of_deleted_is_taken(self):
        from azure.core.exceptions import ResourceExistsError
        try:
            self.client.create_rsa_key("interop")
        except ResourceExistsError as e:
            assert e.error.innererror["code"] == "ObjectIsDeletedButRecoverable"
            return
        raise AssertionError("created over a deleted key")

    def c17_recover(self):
        self.client.begin_recover_deleted_key("interop").wait()
        assert self.client.get_key("interop").id == self.key.id
        self.c08_unwrap_at_the_server()

    def c18_purge(self):
        from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
        self.client.begin_delete_key("interop").wait()
        try:
            self.client.purge_deleted_key("interop")
            raise AssertionError("purged in spite of purge protection")
        except HttpResponseError as e:
            assert e.status_code == 403, e
        control(self.info, "set", name="purge_protection", value="off")
        assert self.client.get_deleted_key("interop").properties.recovery_level == "Recoverable+Purgeable"
        self.client.purge_deleted_key("interop")
        try:
            self.client.get_deleted_key("interop")
        except ResourceNotFoundError:
            return
        raise AssertionError("still listed as deleted")

    def c19_rotation_policy(self):
        policy = self.client.get_key_rotation_policy("interop-hsm")
        assert policy.lifetime_actions[0].time_before_expiry == "P30D", policy.lifetime_actions

    def principal(self):
        """How an application proves itself, by the vendor's own hand."""
        from azure.identity import ClientAssertionCredential, ClientSecretCredential
        ids = control(self.info, "identities")
        app = control(self.info, "add-identity", name="app", perms=["get", "list"])["client_id"]
        control(self.info, "app", name="app", action="secret", value="a b&c=d%20+/?#")
        control(self.info, "app", name="app", action="assertion", value="eyJ.of.another")
        opts = {"authority": self.info["url"], "disable_instance_discovery": True, "connection_verify": self.info["ca"],
                "retry_total": 0}
        return {"secret": ClientSecretCredential(ids["tenant"], app, "a b&c=d%20+/?#", **opts),
                "assertion": ClientAssertionCredential(ids["tenant"], app, lambda: "eyJ.of.another", **opts),
                "wrong": ClientSecretCredential(ids["tenant"], app, "another", **opts)}

    def c20_service_principals(self):
        from azure.core.exceptions import ClientAuthenticationError
        from azure.keyvault.keys import KeyClient
        credentials = self.principal()
        wrong = credentials.pop("wrong")
        for name, credential in credentials.items():
            with KeyClient(self.info["url"], credential, **self.opts) as client:
                assert client.get_key("interop-hsm").name == "interop-hsm", name
        try:
            KeyClient(self.info["url"], wrong, **self.opts).get_key("interop-hsm")
        except ClientAuthenticationError as e:
            assert "AADSTS7000215" in str(e), e
            return
        raise AssertionError("a wrong secret was taken")

    def c21_certificate(self):
        """By the library below azure-identity, which has PS256 and x5t#S256 (azure-identity still sends SHA-1)."""
        import msal
        import requests
        session = requests.Session()
        session.trust_env, session.verify = False, self.info["ca"]
        ids = control(self.info, "identities")
        pair = control(self.info, "app", name="app", action="new-certificate")
        app = msal.ConfidentialClientApplication(
            ids["identities"]["app"]["client_id"], authority="%s/%s" % (self.info["url"], ids["tenant"]), http_client=session,
            instance_discovery=False, client_credential={"private_key": pair["key"], "public_certificate": pair["certificate"]})
        answer = app.acquire_token_for_client(["https://vault.azure.net/.default"])
        assert answer.get("access_token"), answer

    def c22_secrets(self):
        from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
        from azure.keyvault.secrets import SecretClient
        client = SecretClient(self.info["url"], self.admin, **self.opts)
        node = SecretClient(self.info["url"], self.node, **self.opts)
        made = client.set_secret("wrapped", "AQID", content_type="application/x-cmkd-wrapped-key", tags={"cmkd-volume": "u"})
        read = client.get_secret("wrapped")
        assert (read.value, read.properties.content_type, read.properties.tags) == ("AQID", made.properties.content_type, {"cmkd-volume": "u"})
        assert read.id == made.id and read.properties.recoverable_days, read.properties
        newer = client.set_secret("wrapped", "BAUG")
        assert newer.properties.version != made.properties.version and client.get_secret("wrapped").value == "BAUG"
        assert client.get_secret("wrapped", made.properties.version).value == "AQID"
        assert {v.version for v in client.list_properties_of_secret_versions("wrapped")} == {newer.properties.version, made.properties.version}

        def refused(call, kind, inner=None):
            try:
                call()
            except kind as e:
                assert inner is None or e.error.innererror["code"] == inner, e.error.innererror
                return e
            raise AssertionError("not refused")

        refused(lambda: node.get_secret("wrapped"), HttpResponseError, "ForbiddenByPolicy")
        client.update_secret_properties("wrapped", newer.properties.version, enabled=False)
        refused(lambda: client.get_secret("wrapped"), HttpResponseError, "SecretDisabled")
        client.update_secret_properties("wrapped", newer.properties.version, enabled=True)
        gone = client.begin_delete_secret("wrapped").result()
        assert gone.scheduled_purge_date > gone.deleted_date and gone.recovery_id, gone
        assert refused(lambda: client.get_secret("wrapped"), ResourceNotFoundError).error.code == "SecretNotFound"
        assert client.get_deleted_secret("wrapped").scheduled_purge_date == gone.scheduled_purge_date
        refused(lambda: client.set_secret("wrapped", "x"), ResourceExistsError, "ObjectIsDeletedButRecoverable")
        client.begin_recover_deleted_secret("wrapped").wait()
        assert client.get_secret("wrapped").value == "BAUG"

    def c23_all_tokens_came_from_where_they_should(self):
        stats = control(self.info, "stats")["by_op_status"]
        assert stats.get("token:200", 0) >= 3 and stats.get("aad:200", 0) == 3, stats
        assert not any(k.startswith("none:") or k.endswith(":500") for k in stats), stats


def main():
    info = json.loads(sys.argv[1])
    resolve_to_loopback(info["host"])
    claims = Claims(info)
    passed = failed = 0
    for name in sorted(n for n in dir(Claims) if n.startswith("c") and n[1:3].isdigit()):
        label = "akv-python-" + name[4:].replace("_", "-")
        try:
            getattr(claims, name)()
        except Exception as e:
            failed += 1
            print("FAIL %s: %s: %s" % (label, type(e).__name__, str(e).splitlines()[0] if str(e) else ""), flush=True)
            if os.environ.get("V"):
                traceback.print_exc()
        else:
            passed += 1
            print("ok %s" % label, flush=True)
    print("%d passed, %d failed" % (passed, failed))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
