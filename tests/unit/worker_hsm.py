# SPDX-License-Identifier: Apache-2.0
"""Checks of cmkd-vault with keys of a Managed HSM. As those of worker_more.py; the answers that revoke are those of worker_rows.py."""

import os
import subprocess
import sysconfig
import uuid

from cryptography.hazmat.primitives import hashes

from worker_client import (CAN_UNWRAP, CAN_WRAP, ENABLED, GET_KEY, HSM, PURGE_PROTECTED, UNWRAP, WRAP, WRAP_NEW)
from worker_more import check, differs, first
from worker_rows import B, G, M, HsmKey

MODULE = "/usr/lib/%s/ossl-modules/fips.so" % sysconfig.get_config_var("MULTIARCH")


@check
def managed_hsm_key_attributes(b):
    k = HsmKey(b)
    y = k.get()
    return first(differs("verdict", y.verdict, G), differs("kid", y.kid, k.kid), differs("type", (y.key_type, y.key_bits), ("A256KW", 256)),
                 differs("flags", y.key_flags, ENABLED | CAN_WRAP | CAN_UNWRAP | PURGE_PROTECTED | HSM),
                 differs("public key", y.spki, b""))


@check
def managed_hsm_makes_w(b):
    """The worker makes it, the HSM wraps it, and it comes back by a release only."""
    k = HsmKey(b)
    since = b.vault.log()[-1]["seq"]
    kept = {"vault": k.vault, "algorithm": k.algorithm}
    made = k.call(WRAP_NEW, volume=str(uuid.uuid4()))
    b.connect()                     # a worker that has made a secret, or released one, ends
    again = k.call(WRAP_NEW, volume=str(uuid.uuid4()))
    b.connect()
    reply, w = b.client.release(k.kid, made.blob, **kept)
    b.connect()
    shown = k.call(UNWRAP, made.blob)
    as_w, none = b.client.release(k.kid, k.wrapped, **kept)
    log = open(os.path.join(b.vault.dir, "requests.jsonl")).read()
    b.connect_to_new_worker()
    return first(differs("made", (made.verdict, len(made.blob)), (G, 72)), differs("the same", made.blob == again.blob, False),
                 differs("release", (reply.verdict, len(w), reply.delivered), (G, 64, 64)),
                 differs("without a pipe", (shown.verdict, shown.code, shown.blob), (B, "length", b"")),
                 differs("a canary as W", (as_w.verdict, as_w.code, none), (B, "length", b"")),
                 differs("requests", [r["op"] for r in b.vault.log(since=since) if r["op"] in ("wrap", "unwrap")],
                         ["wrap", "wrap", "unwrap", "unwrap", "unwrap"]),
                 differs("W in the log", w.hex() in log, False))


@check
def managed_hsm_key_of_another_size(b):
    """The HSM does not say how long a key is: that it does not wrap is all there is."""
    kid = b.create("hsmall", kty="oct-HSM", size=128).replace("localhost", "127.0.0.1")
    more = {"vault": "hsm", "algorithm": "A256KW"}
    y, z = b.client.call(GET_KEY, kid, **more), b.client.call(WRAP, kid, b"\1" * 32, **more)
    return first(differs("type", (y.verdict, y.key_type), (G, "A256KW")), differs("wrap", (z.verdict, z.code, z.status), (M, "BadParameter", 400)))


@check
def managed_hsm_other_algorithms(b):
    """Refused by the worker, or by the HSM; a challenge for an RSA key is none for it."""
    k = HsmKey(b)
    said = [k.call(UNWRAP, k.wrapped, algorithm=a) for a in ("A128KW", "A256GCM", "RSA1_5", "RSA-OAEP-256")]
    return differs("said", [(y.verdict, y.code) for y in said], [(M, "algorithm")] * 3 + [(M, "BadParameter")])


@check
def sha1_where_it_was_said_only(b):
    """What the key's policy demands, the node's configuration must say; where it does not, nothing is sent."""
    plain = os.urandom(32)
    old, new = b.wrap(b.spki, plain, hashes.SHA1), b.wrap(b.spki, plain)
    b.vault.ctl("set", name="oaep", value="sha1")
    try:
        y, z = b.client.call(UNWRAP, b.kid, old, vault="old", algorithm="RSA-OAEP"), b.client.call(UNWRAP, b.kid, new)
        before = len(b.vault.log())
        refused = b.client.call(UNWRAP, b.kid, old, algorithm="RSA-OAEP")
        sent = len(b.vault.log()) - before
    finally:
        b.vault.ctl("set", name="oaep", value="any")
    wrapped = b.client.call(WRAP, b.kid, plain, vault="old", algorithm="RSA-OAEP")
    again = b.client.call(UNWRAP, b.kid, wrapped.blob, vault="old", algorithm="RSA-OAEP")
    both = b.client.call(UNWRAP, b.kid, new, vault="old")         # what was wrapped before
    return first(differs("SHA-1", (y.verdict, y.blob), (G, plain)), differs("SHA-256", (z.verdict, z.code), (M, "BadParameter")),
                 differs("not said", (refused.verdict, refused.code, sent), (M, "algorithm", 0)),
                 differs("by the vault", (again.verdict, again.blob), (G, plain)), differs("both", (both.verdict, both.blob), (G, plain)))


@check
def fips_is_demanded(b):
    """Where OpenSSL has no such provider nothing starts, and each says why; a vault that wants SHA-1 is refused in any case."""
    root, said = os.path.join(b.dir, "fips"), []
    os.makedirs(os.path.join(root, "etc/cmkd"), exist_ok=True)
    section = "[Vault main]\nHost=localhost\nKeys=k1\n"
    cmkctl = os.path.join(os.path.dirname(b.worker.program), "cmkctl")
    for text in (section, "[Node]\nFips=yes\n" + section, "[Node]\nFips=yes\n" + section + "Algorithm=RSA-OAEP\n"):
        with open(os.path.join(root, "etc/cmkd/cmkd.conf"), "w") as f:
            f.write(text)
        for argv in ([b.worker.program, "--check-config", "--root", root], [cmkctl, "config", "check", "--root", root],
                     [cmkctl, "doctor", "--root", root]):
            done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={"OPENSSL_MODULES": b.dir})
            said.append((done.returncode, "FIPS provider cannot be loaded" in done.stdout, "is SHA-1" in done.stdout))
    real = os.path.exists(MODULE)           # the worker forgets its environment
    return first(differs("without", said[0:2], [(0, False, False)] * 2), differs("doctor without", said[2][1:], (False, False)),
                 differs("worker", said[3], (0, False, False) if real else (1, True, False)),
                 differs("cmkctl", said[4], (1, True, False)), differs("doctor", said[5][:2], (1, True)),
                 differs("SHA-1", said[6:8], [(1, False, True)] * 2))


@check
def managed_hsm_rsa_key(b):
    kid = b.create("hrsa", kty="RSA-HSM", size=3072).replace("localhost", "127.0.0.1")
    y = b.client.call(GET_KEY, kid, vault="hsm")
    plain = os.urandom(32)
    z = b.client.call(UNWRAP, kid, b.wrap(y.spki, plain), vault="hsm")
    return first(differs("key", (y.verdict, y.key_type, y.key_bits, bool(y.key_flags & HSM)), (G, "RSA-HSM", 3072, True)),
                 differs("unwrap", (z.verdict, z.blob), (G, plain)))


@check
def managed_hsm_is_not_the_vault(b):
    """Each has its own audience: a token for the one is none for the other."""
    k = HsmKey(b)
    software = b.client.call(GET_KEY, b.kid.replace("localhost", "127.0.0.1"), vault="hsm")
    return first(differs("key of software", (software.verdict, software.code), ("REVOKED", "KeyNotFound")),
                 differs("other audience", [(y.verdict, y.code) for y in (k.call(GET_KEY, vault="hsm-by-the-vaults-audience"),)],
                         [(M, "AKV10022")]))
