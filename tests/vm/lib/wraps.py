# SPDX-License-Identifier: Apache-2.0
"""A volume with keys in two vaults: what the tests of several wraps share."""

from . import product, revoke
from .vault import HOST, Vault

OTHER_CA = "/etc/cmkd/other-ca.pem"
OTHER = """[Vault other]
Host={host}:{port}
Keys=k1
CAFile={ca}
TimeoutSec=60
MetadataEndpoint={metadata}
{more}
"""


class Pair:
    """vault and another of its kind, known to the node; keys: of k1 in each. Use as a context."""

    def __init__(self, node, vault, directory, keys=("k1",), policy=None):
        self.node, self.vault, self.names = node, vault, keys
        self.policy = policy or revoke.REVOKE
        self.other = Vault(directory)
        node.push(self.other.ca, OTHER_CA)
        node.sh(f"chmod 644 {OTHER_CA}")
        first = product.fresh(node, vault, **self.options())
        self.keys = (first, self.other.create_key("k1"))

    def options(self, more=""):
        return {"policy": self.policy, "keys": self.names, "more": OTHER.format(
            host=HOST, port=self.other.vault_port, ca=OTHER_CA, metadata=self.other.metadata_url, more=more)}

    def reconfigure(self, more=""):
        product.configure(self.node, self.vault, vault_lines="TimeoutSec=60", **self.options(more))
        self.node.sh("cmkctl config reload", timeout=60)

    def format(self):
        self.node.sh(f"cmkctl format {product.DISK.format('data0')} --name data1 --key {self.keys[0]} --key {self.keys[1]} --yes",
                     timeout=300)

    def wraps(self):
        """{key: what status says of it}."""
        said = product.status(self.node)
        return {w["key"]: w for w in said["wraps"]}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.other.stop()
