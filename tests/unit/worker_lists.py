# SPDX-License-Identifier: Apache-2.0
"""Checks of cmkd-vault: what it lists, and cmkctl that asks it past cmkd. As those of worker_more.py."""

import json
import os
import subprocess

from worker_client import GET_KEY
from worker_more import check, differs, first


def cmkctl(b, *words):
    """As it would be called on a node whose files are below the worker's root."""
    run = os.path.join(b.worker.root, "run/cmkd")
    os.makedirs(run, exist_ok=True)
    if not os.path.lexists(run + "/vault.sock"):
        os.symlink("../../vault.sock", run + "/vault.sock")
    program = os.path.join(os.path.dirname(b.worker.program), "cmkctl")
    if b.worker.proc.poll() is not None:
        b.worker.start()
    return subprocess.run([program, *words, "--root", b.worker.root], capture_output=True, text=True, timeout=120)


@check
def keys_are_listed_page_by_page(b):
    for n in range(30):
        b.vault.ctl("create-key", name="many-%02d" % n, kty="oct-HSM", size=256)
    b.vault.ctl("update-key", name="many-07", exp=4000000000, nbf=1000)
    b.vault.ctl("disable", name="many-08")
    before = len(b.vault.log(op="list"))
    done = cmkctl(b, "keys", "list", "main", "--json")
    pages = len(b.vault.log(op="list")) - before
    plain = cmkctl(b, "keys", "list", "localhost:%d" % b.vault.info["vault_port"])
    for n in range(30):
        b.vault.ctl("delete", name="many-%02d" % n)
        b.vault.ctl("purge", name="many-%02d" % n, force=True)
    if done.returncode != 0 or plain.returncode != 0:
        return "%r %r" % (done, plain)
    rows = {r["name"]: r for r in json.loads(done.stdout)}
    seven = rows.get("many-07", {})
    return first(differs("pages", pages >= 2, True), differs("keys", sum(n.startswith("many-") for n in rows), 30),
                 differs("k1", {k: rows["k1"][k] for k in ("allowed", "enabled", "purge_protected", "kid")},
                         {"allowed": True, "enabled": True, "purge_protected": True, "kid": b.kid.rpartition("/")[0]}),
                 differs("dates", (seven.get("not_before"), seven.get("expires"), seven.get("allowed")), (1000, 4000000000, False)),
                 differs("disabled", rows["many-08"]["enabled"], False),
                 differs("table", any(line.split()[:3] == ["many-07", "no", "yes"] and "2096-10-02 07:06:40Z" in line
                                      for line in plain.stdout.splitlines()), True))


@check
def versions_are_listed(b):
    b.create("tagged")
    kid = b.create("tagged")
    done = cmkctl(b, "keys", "list", "main", "tagged", "--json")
    rows = json.loads(done.stdout) if done.returncode == 0 else []
    return first(differs("status", (done.returncode, done.stderr), (0, "")), differs("at least two", len(rows) >= 2, True),
                 differs("the newest", kid.rpartition("/")[2] in {r["version"] for r in rows}, True),
                 differs("of", {r["name"] for r in rows}, {"tagged"}))


@check
def a_next_page_elsewhere_is_not_asked_for(b):
    b.silent.knocks()
    why = None
    for url in ("https://localhost:%d/keys?api-version=7.4" % b.silent.port, "https://evil.test/keys?api-version=7.4",
                "https://localhost:%d/keys/k1?api-version=7.4" % b.vault.info["vault_port"]):
        before = len(b.vault.log(op="list"))
        b.vault.fault("foreign-link", op="list", url=url)
        done = cmkctl(b, "keys", "list", "main")
        b.vault.ctl("fault-clear")
        why = why or first(differs("status of " + url, done.returncode, 4), differs("words", "nextLink leads elsewhere" in done.stderr, True),
                           differs("requests", len(b.vault.log(op="list")) - before, 1))
    return first(why, differs("somebody came", b.silent.knocks(), 0))


@check
def a_list_without_end_ends(b):
    b.vault.fault("foreign-link", op="list", url="https://localhost:%d/keys?api-version=7.4&again" % b.vault.info["vault_port"])
    done = cmkctl(b, "keys", "list", "main")
    return first(differs("status", done.returncode, 4), differs("words", "its list has no end" in done.stderr, True),
                 differs("requests", len(b.vault.log(op="list")) < 60, True))


@check
def lists_that_are_refused(b):
    b.vault.ctl("policy-remove", name="node", perms=["list"])
    denied = cmkctl(b, "keys", "list", "main")
    b.vault.ctl("policy-add", name="node", perms=["list"])
    b.vault.fault("throttled", op="list", count=1)
    tries = {
        "denied": (denied, 3, "ForbiddenByPolicy"), "throttled": (cmkctl(b, "keys", "list", "main"), 4, "THROTTLED"),
        "vault": (cmkctl(b, "keys", "list", "elsewhere"), 7, "neither a [Vault NAME]"),
        "key": (cmkctl(b, "keys", "list", "main", "k9"), 7, "not in Keys="),
        "no socket": (subprocess.run([os.path.join(os.path.dirname(b.worker.program), "cmkctl"), "keys", "list", "main", "--root",
                                      empty_root(b)], capture_output=True, text=True), 1, "cmkd-vault.socket"),
    }
    return first(*(differs(n, (d.returncode, w in d.stderr, d.stdout), (code, True, "")) for n, (d, code, w) in tries.items()))


def empty_root(b):
    root = os.path.join(b.dir, "empty")
    os.makedirs(root + "/etc/cmkd", exist_ok=True)
    with open(root + "/etc/cmkd/cmkd.conf", "w") as f:
        f.write("[Vault main]\nHost=localhost\nKeys=k1\n")
    return root


@check
def doctor_asks_about_each_key(b):
    """k1 is as it should be; whatever else the configuration names is found."""
    for name in ("k2", "gone", "big"):
        b.create(name)
    b.create("hsm", key_ops=["unwrapKey"])
    b.vault.ctl("disable", name="k2")
    b.vault.ctl("update-key", name="big", exp=1000)
    b.vault.ctl("delete", name="gone")
    for name, kty, size in (("hrow", "oct-HSM", 256), ("hsmall", "oct-HSM", 192), ("hrsa", "RSA-HSM", 2048)):
        b.create(name, kty=kty, size=size)
    unwraps = len(b.vault.log(op="unwrap"))
    done = cmkctl(b, "doctor", "--vaults", "--json")
    b.vault.ctl("set", name="firewall", value="firewall")
    walled = cmkctl(b, "doctor", "--vaults")
    b.vault.ctl("set", name="firewall", value="open")
    b.vault.ctl("set", name="purge_protection", value="off")
    b.vault.ctl("policy-remove", name="node", perms=["wrapKey"])
    worse = cmkctl(b, "doctor", "--vaults")
    b.vault.ctl("policy-add", name="node", perms=["wrapKey"])
    b.vault.ctl("set", name="purge_protection", value="on")
    b.vault.ctl("recover", name="gone")
    b.vault.ctl("enable", name="k2")
    found = {(f["id"], f["what"].split(" of the vault ")[0] + " " + f["what"].split(" of the vault ")[1].split()[0].rstrip(","))
             for f in json.loads(done.stdout)["findings"]}
    expected = {("key-unfit", "key k2 main"), ("key-unfit", "key big main"), ("key-unfit", "key hsm main"), ("key-refused", "key gone main")}
    main = {f for f in found if f[1].endswith(" main") and f[1] not in ("key row main", "key tagged main")}     # other checks' keys
    hsm = {f for f in found if f[1].endswith(" hsm")}
    others = {f[1].split()[-1]: f[0] for f in found if not f[1].endswith((" main", " hsm")) and f[1] != "key row old"}
    return first(None if "risk vault-network: key k1 of the vault main, asked for itself: DENIED_WEAK (Forbidden/ForbiddenByFirewall" in walled.stdout
                 else "walled: " + walled.stdout, differs("status", (done.returncode, worse.returncode), (1, 1)), differs("found", main, expected),
                 differs("other vaults", others, {"nobody-there": "vault-silent", "no-name": "vault-silent", "system-ca": "vault-silent",
                                                  "no-metadata": "vault-silent", "no-ca": "key-refused",
                                                  "hsm-by-the-vaults-audience": "key-refused"}),
                 differs("HSM", hsm, {("key-unfit", "key hsmall hsm"), ("key-refused", "key k1 hsm")}),
                 differs("unprotected", "vault-unsafe: key k1 of the vault main" in worse.stdout, True),
                 differs("not to wrap", "key k1 of the vault main, asked to wrap: DENIED" in worse.stdout, True),
                 differs("nothing was unwrapped", len(b.vault.log(op="unwrap")), unwraps),
                 differs("still", b.client.call(GET_KEY, b.kid).verdict, "GRANTED"))
