# SPDX-License-Identifier: Apache-2.0
"""What cmkd-vault(8) tells a key's owner to do, done: PUBLIC KEYS, with what the vault's own command gives in its place."""

import hashlib
import json
import os
import re
import shlex
import ssl
import subprocess
import tempfile
import urllib.request

MAN = os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../daemon/man/cmkd-vault.8")


def recipe(beginning):
    """The lines of the block that begins so."""
    with open(MAN) as f:
        section = f.read().split(".SH PUBLIC KEYS\n")[1].split("\n.SH ")[0].replace("\\-", "-")
    blocks = [b.split("\n") for b in re.findall(r"^\.nf\n(.*?)\n\.fi$", section, re.M | re.S)]
    found = [b for b in blocks if b[0].startswith(beginning)]
    assert len(found) == 1, blocks
    return found[0]


def digest_of(spki):
    return hashlib.sha256(spki).hexdigest()


def run(script, **files):
    """The digest that it prints, in a directory with those files."""
    with tempfile.TemporaryDirectory() as where:
        for name, data in files.items():
            with open(os.path.join(where, name.replace("_", ".")), "wb") as f:
                f.write(data)
        done = subprocess.run(["bash", "-c", "set -eo pipefail\n" + script], cwd=where, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.split("= ")[1].strip()


def fetch(url, ca, headers, data=None):
    """A body, past the worker."""
    tls = ssl.create_default_context(cafile=ca) if url.startswith("https:") else None
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls))
    with opener.open(urllib.request.Request(url, data, headers), timeout=30) as answer:
        return answer.read()


def azure(pem):
    """pem: what az writes there, a SubjectPublicKeyInfo."""
    download, compute = recipe("az ")
    assert "--file key.pem" in download, download
    return run(compute, key_pem=pem)


def bao_read(vault, role, name):
    base = "https://localhost:%d/v1/" % vault["vault_port"]
    login = fetch(base + "auth/approle/login", vault["ca"], {}, json.dumps({k: role[k] for k in ("role_id", "secret_id")}).encode())
    return fetch(base + "transit/keys/" + name, vault["ca"], {"X-Vault-Token": json.loads(login)["auth"]["client_token"]})


def transit(body, version):
    """body: of GET keys/NAME, which is what bao prints as JSON."""
    line, = recipe("bao ")
    ask, rest = line.split(" | ", 1)
    assert ask == "bao read -format=json transit/keys/NAME", ask
    return run("cat key.json | " + rest.replace("VERSION", version), key_json=body)


def pkcs11(module, token, label, environment):
    line, = recipe("pkcs11-tool ")
    for word, value in (("MODULE", module), ("TOKEN", token), ("LABEL", label)):
        line = line.replace(word, shlex.quote(value))
    return run("".join("export %s=%s\n" % (k, shlex.quote(v)) for k, v in environment.items()) + line)
