# SPDX-License-Identifier: Apache-2.0
"""The product, as `make install` lays it out, into a node."""

import os
import pathlib
import subprocess
import tempfile

from .common import TOP, HarnessError, cache_dir, digest, lock, logged

_tars = {}


def product_tar():
    """A tar archive (bytes) of the installed product; made once a process."""
    if TOP not in _tars:
        with lock(f"install-{digest(str(TOP))}", "make install"), tempfile.TemporaryDirectory(dir=cache_dir()) as stage:
            log = cache_dir() / f"install-{digest(str(TOP))}.log"
            log.unlink(missing_ok=True)
            os.chmod(stage, 0o755)    # "." is in the archive, and becomes the guest's /
            logged(["make", "-C", str(TOP), "--no-print-directory", "install", f"DESTDIR={stage}", "PREFIX=/usr"], log,
                   env={name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")})
            if not any(pathlib.Path(stage).iterdir()):
                raise HarnessError("make install DESTDIR= installed nothing")
            _tars[TOP] = subprocess.run(["tar", "-cf", "-", "--owner=0", "--group=0", "--exclude=__pycache__", "-C",
                                         stage, "."], check=True, stdout=subprocess.PIPE).stdout
    return _tars[TOP]


ACTIVATE = """
ldconfig
if ls /usr/lib/sysusers.d/cmkd*.conf >/dev/null 2>&1; then systemd-sysusers; fi
if ls /usr/lib/tmpfiles.d/cmkd*.conf >/dev/null 2>&1; then systemd-tmpfiles --create /usr/lib/tmpfiles.d/cmkd*.conf; fi
systemctl daemon-reload
udevadm control --reload
if [ -e /usr/share/dbus-1/system.d/org.cmkd1.conf ]; then systemctl reload dbus; fi
"""


def into(node):
    node.push_tar(product_tar(), "/")
    node.sh(ACTIVATE, timeout=120)
