# SPDX-License-Identifier: Apache-2.0
"""A running node's memory and disks at one moment: taken, gone back to, and started as further machines.

  take(), go_back()    QEMU's savevm and loadvm: in the node itself. The data disks stay as they are.
  save(), Copies       into a directory, and nodes from there; each is a machine with an id of its own (vmgenid), which is
                       all that it is told: its clocks go on from where they were
"""

import json
import pathlib
import shutil
import subprocess
import tempfile
import time

from . import node as nodes
from .common import HarnessError, cache_dir


def job(node, name, timeout=180, **arguments):
    """A job of QEMU's, to its end."""
    node.qmp(name, job_id=name, **arguments)
    deadline = time.monotonic() + timeout
    while (state := node.qmp("query-jobs")[0])["status"] != "concluded":
        if time.monotonic() > deadline:
            raise HarnessError(f"{name} is not done within {timeout} s")
        node.monitor.wait_event("JOB_STATUS_CHANGE", timeout=timeout)
    node.qmp("job-dismiss", id=name)
    if "error" in state:
        raise HarnessError(f"{name}: {state['error']}")


def take(node, tag="open"):
    job(node, "snapshot-save", tag=tag, vmstate="root", devices=["root"])


def go_back(node, tag="open"):
    job(node, "snapshot-load", tag=tag, vmstate="root", devices=["root"])


def files_of(node):
    return [path for path in node.directory.iterdir() if path.suffix in (".img", ".qcow2")]


def copy(path, directory):
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", str(path), str(directory / path.name)], check=True)


def save(node, directory, timeout=180):
    """The node goes on afterwards. It is not stopped before: a copy would start as it was saved, and wait."""
    node.qmp("migrate-set-parameters", max_bandwidth=1 << 40)
    node.qmp("migrate", uri=f"exec:cat > '{directory}/state'")
    deadline = time.monotonic() + timeout
    while (status := node.qmp("query-migrate")["status"]) != "completed":
        if status in ("failed", "cancelled") or time.monotonic() > deadline:
            raise HarnessError(f"saving the node's state: {status}")
        time.sleep(0.1)
    for path in files_of(node):
        copy(path, directory)
    node.qmp("cont")


class Copies:
    """with Copies(node) as copies: a snapshot is taken at once; copies.start("a") is a node that goes on from it."""

    def __init__(self, node):
        self.node = node
        self.started = []

    def __enter__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="copies.", dir=cache_dir()))
        save(self.node, self.directory)
        return self

    def start(self, name):
        directory = nodes.Node.home(nodes.unique_name(name))
        directory.mkdir(parents=True)
        image = (self.node.directory / "image").resolve()
        (directory / "image").symlink_to(image)
        for path in self.directory.iterdir():
            if path.name != "state":
                copy(path, directory)
        order = json.loads((self.node.directory / "order.json").read_text())
        process = nodes.launch(directory, image, order["spec"], self.directory, as_saved=True)
        found = nodes.Node(directory)
        found.process = process
        self.started.append(found)
        return found

    def __exit__(self, *_):
        for found in self.started:
            found.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
