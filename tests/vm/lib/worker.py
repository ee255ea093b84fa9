# SPDX-License-Identifier: Apache-2.0
"""Runs the tests of one group (one, or those that share a node), one JSON line a verdict on stdout.

Owns the nodes, so that a test that hangs or dies leaves its node to be asked for its journal. What a test says is not
all: after each test dmesg and console are read for splats.
"""

import json
import pathlib
import time

from . import splat
from .agent import NodeLost
from .case import Case, Skip
from .common import HarnessError


class Worker:
    def __init__(self, guest, artifacts, report):
        self.guest = guest
        self.artifacts = pathlib.Path(artifacts)
        self.report = report
        self.node = None
        self.console_read = 0

    def run(self, paths):
        try:
            for path in paths:
                began = time.monotonic()
                verdict, why = self.run_one(path)
                self.report({"name": pathlib.Path(path).name, "verdict": verdict, "why": why,
                             "seconds": time.monotonic() - began})
        finally:
            self.end_node()

    def end_node(self):
        if self.node:
            self.node.stop()
        self.node = None

    def run_one(self, path):
        directory = self.artifacts / pathlib.Path(path).name
        try:
            case = Case(path)
            shared = case.setting("SHARE", None)
            if self.node and not (shared and self.node.alive()):
                self.end_node()
            if "node" in case.needs:
                self.prepare_node(case)
            verdict, why = case.run(self.node if "node" in case.needs else None, directory, self.guest_of(case))
            if self.node:
                verdict, why = self.after(case, verdict, why, directory)
            if not shared or verdict == "fail":
                self.end_node()
            return verdict, why
        except Skip as skip:
            return "skip", str(skip)
        except Exception as error:
            if self.node:
                self.node.log_to(directory)
            self.end_node()
            return "fail", str(error) if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}"

    def guest_of(self, case):
        return case.setting("GUEST", self.guest)

    def prepare_node(self, case):
        if not self.node:
            self.node = case.start_node(self.guest_of(case))
            self.console_read = 0
        self.marker = f"cmkd-test: {case.name}"
        self.node.sh(["/bin/sh", "-c", 'echo "<6>$1" > /dev/kmsg', "sh", self.marker])
        self.node.disconnect()

    def after(self, case, verdict, why, directory):
        """The kernel's side of the verdict; logs of what failed."""
        said = self.kernel_log()
        console = self.node.console
        said += console[self.console_read:]
        self.console_read = len(console)
        splats = splat.find(said, self.node.state["accel"] == "tcg", case.setting("SPLATS", []))
        if splats:
            why = f"kernel splat: {splats[0]}" + (f" (and: {why})" if verdict == "fail" else "")
            verdict = "fail"
        if verdict == "fail":
            self.node.log_to(directory)
        return verdict, why

    def kernel_log(self):
        """What the kernel said since the test began; nothing if the node is gone, which may be the test's point."""
        try:
            text = self.node.out("dmesg", timeout=60)
            return text[max(text.rfind(self.marker), 0):] + "\n" + self.node.journal_splats()
        except NodeLost:
            return ""


def main(guest, artifacts, paths):
    Worker(guest, artifacts, lambda line: print(json.dumps(line), flush=True)).run(paths)
