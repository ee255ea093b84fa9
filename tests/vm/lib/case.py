# SPDX-License-Identifier: Apache-2.0
"""One test: its file, its settings, its run in a child process that must say a verdict.

A test is a Python file tests/vm/AREA-CLAIM:

  \"\"\"The claim, in a sentence.\"\"\"
  def test(node, vault):
      node.sh("…"); assert …

It names what it needs as parameters: node (fresh, the product installed), vault (a new one, introduced to the node),
start (a function for more nodes: start("b", cold=True)), boot (a node whose root is encrypted: lib/boot.py), artifacts (a
directory for what explains a failure). At module level it may set TIMEOUT = 300, GUEST = "trixie-dracut" (a test about that
guest), COLD, MEMORY, APPEND (kernel command line), INSTALL = False, SHARE = "name" (the node is
shared with other tests of that name that follow), SLOW = True (left out by --sample), SPLATS = [patterns that this test
provokes]. raise Skip("why") skips.
"""

import importlib.machinery
import importlib.util
import inspect
import json
import os
import pathlib
import select
import signal
import sys
import traceback

from .boot import Encrypted
from .common import HarnessError, die_with_parent
from .node import MEMORY, Node, unique_name
from .vault import Vault

AREAS = ("main", "boot", "attach", "revoke", "audit", "vault", "life", "node")
PARAMETERS = {"node", "vault", "start", "boot", "artifacts"}

# How many times longer than elsewhere a test may take: machine.py runs that guest's CPUs one after the other
PATIENCE = {"sid": 3}


class Skip(Exception):
    """This test cannot say anything here: counted, never a pass."""


class Case:
    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.name = self.path.name
        loader = importlib.machinery.SourceFileLoader("test_" + self.name.replace("-", "_"), str(self.path))
        self.module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
        loader.exec_module(self.module)
        self.function = getattr(self.module, "test", None)
        if not callable(self.function):
            raise HarnessError(f"{self.name} has no function test()")
        if not self.module.__doc__:
            raise HarnessError(f"{self.name} does not state its claim: it has no docstring")
        self.needs = set(inspect.signature(self.function).parameters)
        if self.needs - PARAMETERS:
            raise HarnessError(f"{self.name}: unknown parameters of test(): {', '.join(self.needs - PARAMETERS)}")

    def setting(self, name, default):
        return getattr(self.module, name, default)

    @property
    def timeout(self):
        return self.setting("TIMEOUT", 300)

    def start_node(self, guest):
        return Node.start(unique_name(self.setting("SHARE", self.name)), guest=guest, cold=self.setting("COLD", False),
                          memory=self.setting("MEMORY", MEMORY), append=self.setting("APPEND", ""),
                          installed=self.setting("INSTALL", True))

    # In the child

    def body(self, node, artifacts, guest):
        vault = boot = None
        more = []

        def start(name, **options):
            options.setdefault("installed", self.setting("INSTALL", True))
            found = Node.start(unique_name(f"{self.name}-{name}"), guest=guest, **options)
            more.append(found)
            return found

        try:
            if "vault" in self.needs:
                vault = Vault(artifacts / "vault")
                if node:
                    vault.introduce(node)
            if "boot" in self.needs:
                boot = Encrypted(guest, artifacts)
            given = {"node": node, "vault": vault, "start": start, "boot": boot, "artifacts": artifacts}
            self.function(**{name: given[name] for name in self.needs})
            if boot:
                boot.check_splats(self.setting("SPLATS", []))
        except BaseException:
            if boot:
                boot.explain()
            for found in more:
                found.log_to(artifacts / found.name)
            raise
        finally:
            for found in more:
                found.stop()
            if boot:
                boot.stop()
            if vault:
                vault.stop()

    def verdict_of(self, node, artifacts, guest):
        try:
            self.body(node, artifacts, guest)
            return "ok", ""
        except (Skip, SystemExit) as error:
            if isinstance(error, Skip) or error.code == 77:
                return "skip", str(error)
            return "fail", f"the test called exit({error.code})"
        except BaseException as error:
            (artifacts / "traceback.txt").write_text(traceback.format_exc())
            return "fail", f"{explain(error, self.path)}"

    def child(self, writer, node, artifacts, guest):
        os.setsid()
        die_with_parent()
        output = os.open(artifacts / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(output, 1)
        os.dup2(output, 2)
        verdict, why = self.verdict_of(node, artifacts, guest)
        sys.stdout.flush()
        os.write(writer, json.dumps([verdict, why[-3000:]]).encode())
        os._exit(0)

    # In the parent

    def run(self, node, artifacts, guest):
        """(verdict, why). The test runs in a process of its own: it cannot hang, leak or exit its way to a pass."""
        artifacts.mkdir(parents=True, exist_ok=True)
        reader, writer = os.pipe2(os.O_CLOEXEC)
        sys.stdout.flush()
        pid = os.fork()
        if not pid:
            try:
                os.close(reader)
                self.child(writer, node, artifacts, guest)
            finally:
                os._exit(70)
        os.close(writer)
        pidfd = os.pidfd_open(pid)
        limit = self.timeout * PATIENCE.get(guest, 1)
        ended, _, _ = select.select([pidfd], [], [], limit)
        if not ended:
            kill_group(pid)
        _, status = os.waitpid(pid, 0)
        kill_group(pid)
        os.close(pidfd)
        said = os.read(reader, 65536)
        os.close(reader)
        if not ended:
            return "fail", f"not done within {limit} s"
        if not said:
            return "fail", f"no verdict (the test's process ended with status {os.waitstatus_to_exitcode(status)})"
        return tuple(json.loads(said))


def kill_group(pid):
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def explain(error, path):
    """One paragraph: what failed, and where in the test."""
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    where = f"line {lines[-1].lineno}: {lines[-1].line}" if lines else ""
    what = str(error) if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}"
    return f"{what}\n({where})" if where else what
