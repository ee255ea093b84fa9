# SPDX-License-Identifier: Apache-2.0
"""A node whose keys are in the transit engine of the test vault."""


from . import product, revoke
from .common import eventually
from .vault import CA_IN_NODE, HOST

SECRET = "/etc/cmkd/secret-id"
CONFIG = """# SPDX-License-Identifier: Apache-2.0
[Vault bao]
Provider=transit
Host={host}:{port}
Keys={keys}
CAFile={ca}
ClusterId={cluster}
RoleId={role}
SecretIdFile={secret}
TimeoutSec=60
[Policy]
{policy}
"""


def set_up(node, vault, **types):
    """As product.fresh(), with keys of those types there. Returns the function that gives a key's identifier."""
    node.sh(product.CLEAN, timeout=180)
    for name, kind in types.items():
        vault.ctl("transit", "create-key", name, kind)
    role, show = vault.ctl("transit", "role"), vault.ctl("transit", "show")
    node.write(SECRET, role["secret_id"] + "\n")
    node.sh(f"chown root:cmkd-vault {SECRET} && chmod 640 {SECRET}")
    lines = "\n".join(f"{k}={v}" for k, v in revoke.REVOKE.items())
    node.write("/etc/cmkd/cmkd.conf", CONFIG.format(host=HOST, port=vault.vault_port, ca=CA_IN_NODE, policy=lines, secret=SECRET,
                                                    cluster=show["cluster_id"], role=role["role_id"], keys=" ".join(types)))
    product.start(node)
    return lambda name: f"https://{HOST}:{vault.vault_port}/keys/{name}/1"


def requests(vault, op, status, after=0.0):
    return [r for r in vault.requests() if r["op"] == op and r["status"] == status and r["time"] > after]


def wait_requests(vault, op, status, n, after, timeout=90):
    """Until there are that many since. The vault's log is a file: there is no event to wait for."""
    eventually(lambda: len(requests(vault, op, status, after)) >= n, timeout, f"{n} times {op} with {status}")
