# SPDX-License-Identifier: Apache-2.0
"""What the built programs are linked with, read from their dynamic sections."""

import os
import re
import shutil
import subprocess

from tree import Skip

CURL_TLS = ("libcurl", "libssl", "libgnutls")
PLUGIN, PLUGIN_VERSION = "libcryptsetup-token-cmkd.so", "CRYPTSETUP_TOKEN_1.0"
PLUGIN_SYMBOLS = ("open", "open_pin", "buffer_free", "validate", "dump", "version")
# program: libraries that it must never need
FORBIDDEN = {
    "cmkd": CURL_TLS + ("libcryptsetup", "libbpf", "libjson-c"),
    "cmkd-vault": ("libcryptsetup", "libbpf", "libsystemd", "libdevmapper"),
    "cmkd-disk": CURL_TLS + ("libbpf", "libsystemd"),
    "cmkd-audit": CURL_TLS + ("libcryptsetup",),
    "cmkctl": CURL_TLS + ("libcryptsetup", "libbpf"),
    "cmkd-breaker": CURL_TLS,
    "cmkd-ladder": CURL_TLS,
    "cmkd-keyscript": CURL_TLS + ("libcryptsetup", "libbpf", "libjson-c"),
    PLUGIN: CURL_TLS + ("libbpf",),
}
# program: libraries that it must need, or the check looks at the wrong thing
EXPECTED = {"cmkd-vault": "libcurl", "cmkd-disk": "libcryptsetup", "cmkd-audit": "libbpf", "cmkd": "libsystemd",
            PLUGIN: "libcryptsetup"}

STATIC = ("cmkd-breaker", "cmkd-ladder")


def program(tree, name):
    path = os.path.join(tree.build, name)
    if not shutil.which("readelf"):
        raise Skip("there is no readelf")
    if not os.path.isdir(tree.build):
        raise Skip(f"nothing is built in {os.path.basename(tree.build)}")
    return path if os.path.exists(path) else None


def readelf(path, what):
    return subprocess.run(["readelf", "-W", what, path], capture_output=True, check=True,
                          env={**os.environ, "LC_ALL": "C"}).stdout.decode()


def needed(path):
    return re.findall(r"\(NEEDED\)\s+Shared library: \[([^\]]+)\]", readelf(path, "-d"))


def libraries(tree):
    for name, forbidden in FORBIDDEN.items():
        path = program(tree, name)
        if path is None:
            yield f"{name} is not built"
            continue
        have = needed(path)
        for library in have:
            if library.startswith(forbidden):
                yield f"{name} is linked with {library}"
        wanted = EXPECTED.get(name)
        if wanted and not any(library.startswith(wanted) for library in have):
            yield f"{name} is not linked with {wanted}"


def plugin_symbols(tree):
    """What libcryptsetup looks for, at its version, and nothing else."""
    wanted = {f"cryptsetup_token_{n}@@{PLUGIN_VERSION}" for n in PLUGIN_SYMBOLS}
    path = program(tree, PLUGIN)
    if path is None:
        yield f"{PLUGIN} is not built"
        return
    lines = (line.split() for line in readelf(path, "--dyn-syms").splitlines())
    have = {f[7] for f in lines if len(f) >= 8 and f[4] in ("GLOBAL", "WEAK") and f[3] == "FUNC" and f[6] != "UND"}
    for name in sorted(have ^ wanted):
        yield f"{PLUGIN} {'exports' if name in have else 'does not export'} {name}"


def build_path(tree):
    """Where a program was built is in none of them: another directory would make other bytes."""
    for name in FORBIDDEN:
        path = program(tree, name)
        if path is None:
            continue
        with open(path, "rb") as f:
            found = re.search(re.escape(tree.root.encode()) + rb"[^\0]{0,80}", f.read())
        if found:
            yield f"{name} has {found.group().decode(errors='replace')} in it: what was compiled without $(SAME)?"


def statics(tree):
    for name in STATIC:
        path = program(tree, name)
        if path is None:
            yield f"{name} is not built"
        elif needed(path) or "INTERP" in readelf(path, "-l"):
            yield f"{name} is not static"
