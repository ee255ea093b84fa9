# SPDX-License-Identifier: Apache-2.0
"""Licence lines, lengths, words that must not be there."""

import re

FILE_MAX, FUNCTION_MAX = 600, 100
CODE = (".c", ".h", ".py")
TOP_LEVEL = {"daemon", "bpf", "udev", "tests", "Makefile", "README.md", "LICENSE"}
# Texts and data that have no place for a licence line.
NO_LICENCE = re.compile(r"(^LICENSE|^\..*|\.md|\.json|\.jsonl|\.txt|\.pem|\.lock)$|/corpus/|^\.|"
                        r"^daemon/data/deb/(control|copyright|changelog|source/format|[a-z-]*\.(install|triggers|lintian-overrides))$")

# In pieces, so that this file does not find itself.
WORDS = [
    r"/ho" r"me/[a-z]", r"/wo" r"rk/", r"/fa" r"rm/", r"\.li" r"brary/", r"cmkd-" r"team",
    r"py" r"pi\.org", r"python" r"hosted", r"registry\.np" r"mjs", r"proxy\.go" r"lang", r"crates\." r"io",
    r"de" r"b\.debian", r"maven\.or" r"g", r"/us" r"r/local/home",
]


def code(tree):
    return [n for n in tree.files if n.startswith(("daemon/", "bpf/", "tests/", "udev/")) and is_code(tree, n)]


def is_code(tree, name):
    if "/corpus/" in name:
        return False
    return name.endswith(CODE) or ("." not in name.rsplit("/", 1)[-1] and (tree.text(name) or "").startswith("#!"))


def licence(tree):
    for name in tree.files:
        if NO_LICENCE.search(name) or tree.text(name) is None:
            continue
        wanted = "GPL-2.0-only OR BSD-2-Clause" if name.startswith("bpf/") else "Apache-2.0"
        head = "\n".join(tree.lines(name)[:4])
        if f"SPDX-License-Identifier: {wanted}" not in head:
            yield f"{name} has no line SPDX-License-Identifier: {wanted} at its top"


def file_length(tree):
    for name in code(tree):
        n = len(tree.lines(name))
        if n > FILE_MAX:
            yield f"{name} has {n} lines"


def functions(lines):
    """(line number, length) of each thing that stands between a first column and a closing brace in it."""
    start = None
    for number, line in enumerate(lines, 1):
        if re.match(r"[A-Za-z_].*\(", line) and not line.rstrip().endswith(";"):
            start = number
        elif line.rstrip() == "}" and start:
            yield start, number - start + 1
            start = None


def function_length(tree):
    for name in code(tree):
        if not name.endswith((".c", ".h")):
            continue
        for start, n in functions(tree.lines(name)):
            if n > FUNCTION_MAX:
                yield f"{name}:{start} is a function of {n} lines"


def words(tree):
    bad = re.compile("|".join(WORDS))
    for name in tree.files:
        if tree.text(name) is None:
            continue
        for number, line in enumerate(tree.lines(name), 1):
            found = bad.search(line)
            if found:
                yield f"{name}:{number} says {found.group()}"


def top_level(tree):
    for first in sorted({n.split("/")[0] for n in tree.files}):
        if first not in TOP_LEVEL and not first.startswith("."):
            yield f"{first} is not one of {' '.join(sorted(TOP_LEVEL))}"


def test_sources(tree):
    """A unit test or fuzz target says in its first lines what it is linked with."""
    for name in tree.below("tests/unit/test-", ".c") + tree.below("tests/fuzz/fuzz-", ".c"):
        for line in tree.lines(name):
            found = re.match(r"// sources: *(.*)", line)
            for source in found.group(1).split() if found else ():
                if source not in tree.files:
                    yield f"{name} names {source}, which is not there"


def bpf_texts(tree):
    """The compiler may put them where the type information does not look for them: bpf/emit.h, TEXT()."""
    for name in tree.files:
        if name.startswith("bpf/") and name != "bpf/emit.h":
            for number, line in enumerate(tree.lines(name), 1):
                if re.search(r"\bstatic const char \w+\[\w*\] = ", line):
                    yield f"{name}:{number} is a text without TEXT()"
