# SPDX-License-Identifier: Apache-2.0
"""A SoftHSM token in a node, with a key that OpenSC made."""

STORE, MODULE = "/var/lib/cmkd-token", "/usr/lib/softhsm/libsofthsm2.so"
PIN = STORE + "/pin"
TOOL = f"SOFTHSM2_CONF={STORE}/softhsm2.conf pkcs11-tool --module {MODULE} --token-label {{token}} --login --pin $(cat {PIN})"
# As cmkctl keys create --local leaves it: root's; the worker reads, and writes what SoftHSM writes with each login, which is no key
SHARE = f"""chgrp -R cmkd-vault {STORE} && chmod 750 {STORE} && chmod 640 {PIN} {STORE}/softhsm2.conf
find {STORE}/tokens -type d -exec chmod 2750 {{}} + && find {STORE}/tokens -type f -exec chmod 640 {{}} +
find {STORE}/tokens -name token.object -o -name generation -o -name '*.lock' | xargs chmod 660"""
SECTION = """[Vault hsm]
Provider=pkcs11
Token={token}
Objects={objects}
Module=""" + MODULE + """
PinFile=""" + PIN + """
ModuleEnvironment=SOFTHSM2_CONF=""" + STORE + """/softhsm2.conf
TimeoutSec=60
"""


def make(node, token, label, ident="01"):
    """A store with one token and one RSA key in it; what was there is gone."""
    node.sh(f"""set -e; rm -rf {STORE}; mkdir -p {STORE}/tokens; umask 027
printf 'directories.tokendir = {STORE}/tokens\\nobjectstore.backend = file\\nobjectstore.umask = 0027\\n' > {STORE}/softhsm2.conf
openssl rand -hex 16 > {PIN}
SOFTHSM2_CONF={STORE}/softhsm2.conf softhsm2-util --init-token --free --label {token} --pin $(cat {PIN}) --so-pin $(cat {PIN})
{TOOL.format(token=token)} --keypairgen --key-type rsa:2048 --label {label} --id {ident}
{SHARE}""", timeout=180)


def tool(node, token, words, **more):
    return node.sh(TOOL.format(token=token) + " " + words, timeout=120, **more)
