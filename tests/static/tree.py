# SPDX-License-Identifier: Apache-2.0
"""The sources under check: which files there are, and their text. A check takes a Tree and yields its findings."""

import os
import subprocess


class Skip(Exception):
    """A check cannot be run here; the text says why."""


class Tree:
    def __init__(self, root, build="build"):
        self.root = os.path.realpath(root)
        self.build = os.path.join(self.root, build)
        self._texts = {}
        self.files = sorted(self._list())

    def _list(self):
        """What git tracks, and what it would if it were asked to add all; every file where there is no git."""
        if os.path.exists(os.path.join(self.root, ".git")):
            out = subprocess.run(["git", "-C", self.root, "ls-files", "-zco", "--exclude-standard"],
                                 capture_output=True, check=True).stdout.decode()
            names = [n for n in out.split("\0") if n]
        else:
            names = [os.path.relpath(os.path.join(d, f), self.root)
                     for d, _, files in os.walk(self.root) for f in files]
        return [n for n in names if not n.startswith("build") and os.path.isfile(os.path.join(self.root, n))]

    def text(self, name):
        """The file as text; None if it is not text."""
        if name not in self._texts:
            try:
                with open(os.path.join(self.root, name), encoding="utf-8") as f:
                    self._texts[name] = f.read()
            except UnicodeDecodeError:
                self._texts[name] = None
        return self._texts[name]

    def lines(self, name):
        return (self.text(name) or "").splitlines()

    def need(self, name):
        """The text of a file that a check is about: without it there is nothing to check."""
        if name not in self.files:
            raise Skip(f"there is no {name} yet")
        return self.text(name)

    def below(self, folder, *endings):
        return [n for n in self.files if n.startswith(folder) and (not endings or n.endswith(endings))]
