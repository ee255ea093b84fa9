# SPDX-License-Identifier: Apache-2.0
"""Arrows between folders, between the files of the manager, and to libraries."""

import os
import re

QUOTED = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
ANGLED = re.compile(r"^\s*#\s*include\s+<([^>]+)>", re.M)

# folder: which headers of other folders it may include (a folder, or single files)
ALLOWED = {
    "common": set(),
    "disk": {"common", "ladder/dm.h"},
    "ladder": {"common"},
    "vault": {"common"},
    "audit": {"common", "bpf/event.h", "bpf/io.h", "bpf/connect.h"},
    "breaker": {"common"},
    "manager": {"common"},
    "ctl": {"common", "audit/record.h", "audit/chain.h", "audit/reader.h", "audit/verify.h", "audit/privacy.h"},
    # the token's schema is read by the plugin too
    "token-plugin": {"common", "disk/token.h", "disk/unlock-key.h"},
    "keyscript": {"common", "token-plugin/client.h"},
    "bpf": set(),
}

# Inside the manager: manager -> {bus, key, volume, teardown, links, verbs} -> {lease, policy, plan, ...}, which are
# pure. A header includes nothing above it; bus.h and manager.h name each other's types by forward declaration only.
PURE = {"lease", "lease-keys", "key-track", "instants", "policy", "floors", "attributes", "plan", "trust-find", "wrap-choice", "stored",
        "challenge"}
LOW = PURE | {"trust"}          # the node's list, with its files: pure ones look into what was read
IMPURE = re.compile(r"fcntl\.h|unistd\.h|dirent\.h|sys/stat\.h|systemd/.*")
TOP = {"manager"}

# library header: who may include it
LIBRARIES = {
    r"libcryptsetup\.h": r"daemon/(disk/luks[^/]*|token-plugin/[^/]*)$",
    r"bpf/.*": r"(daemon/audit/|bpf/)",
    r"curl/.*": r"daemon/vault/",
    r"openssl/ssl\.h": r"daemon/vault/",
    r"systemd/sd-bus.*": r"daemon/(manager/|ctl/|token-plugin/|audit/leaving)",
    r"seccomp\.h": r"daemon/vault/",
}


def code_files(tree):
    return [n for n in tree.files if n.startswith(("daemon/", "bpf/")) and n.endswith((".c", ".h"))]


def folder_of(name):
    return "bpf" if name.startswith("bpf/") else name.split("/")[1]


def resolve(tree, name, what):
    """The file that an include means, or None: beside the file, then below daemon/, then below bpf/."""
    for base in (os.path.dirname(name), "daemon", "bpf", "."):
        path = os.path.normpath(os.path.join(base, what))
        if path in tree.files:
            return path
    return None


def arrows(tree):
    """(file, included file or None, as written) for each quoted include."""
    for name in code_files(tree):
        for what in QUOTED.findall(tree.text(name)):
            yield name, resolve(tree, name, what), what


def is_generated(what):
    return what.endswith(".skel.h") or what in ("vmlinux.h", "plain-words.inc")


def missing(tree):
    for name, target, what in arrows(tree):
        if target is None and not is_generated(what):
            yield f'{name} includes "{what}", which is not there'
        if "../" in what:
            yield f'{name} includes "{what}": write it from daemon/ on'


def folders(tree):
    for name, target, _ in arrows(tree):
        if target is None:
            continue
        own, other = folder_of(name), folder_of(target)
        if own not in ALLOWED:
            yield f"{name}: the folder {own} has no place in the include graph"
            continue
        relative = target.removeprefix("daemon/")
        if other != own and other not in ALLOWED[own] and relative not in ALLOWED[own]:
            yield f"{name} includes {target}: {own} stands below or beside {other}"


def level(name):
    stem = os.path.basename(name).rsplit(".", 1)[0]
    return 0 if stem in LOW else 2 if stem in TOP else 1


def manager_layers(tree):
    for name, target, _ in arrows(tree):
        if target is None or folder_of(name) != "manager" or folder_of(target) != "manager":
            continue
        if (name.endswith(".h") or level(name) == 0) and level(target) > level(name):
            yield f"{name} includes {target}, which stands above it"


def manager_pure(tree):
    for name in code_files(tree):
        if folder_of(name) == "manager" and os.path.basename(name).rsplit(".", 1)[0] in PURE:
            for what in filter(IMPURE.fullmatch, ANGLED.findall(tree.text(name))):
                yield f"{name} is pure and includes <{what}>"


def cycles(tree):
    graph = {}
    for name, target, _ in arrows(tree):
        if name.endswith(".h") and target and target.endswith(".h"):
            graph.setdefault(name, set()).add(target)
    done = set()

    def walk(node, path):
        if node in path:
            yield " -> ".join(path[path.index(node):] + [node])
        elif node not in done:
            for follower in sorted(graph.get(node, ())):
                yield from walk(follower, path + [node])
            done.add(node)

    for start in sorted(graph):
        yield from walk(start, [])


def libraries(tree):
    for name in code_files(tree):
        for what in ANGLED.findall(tree.text(name)):
            for library, allowed in LIBRARIES.items():
                if re.fullmatch(library, what) and not re.match(allowed, name.rsplit(".", 1)[0]):
                    yield f"{name} includes <{what}>"
