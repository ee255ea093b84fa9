# SPDX-License-Identifier: Apache-2.0
"""A node: a guest with fresh disks, from a booted snapshot or from a cold boot. What tests hold in their hands."""

import contextlib
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from . import image, install, machine
from .agent import Client, NodeLost
from .common import VM, HarnessError, cache_dir, default_guest, digest, in_use, lock, prune, say
from .qmp import Qmp

MEMORY = 1024
CPUS = 2
END_SECONDS = 120        # of QEMU after SIGKILL: its last reads and writes wait for a disk that may be busy with snapshots


def overlay(path, backing, backing_format):
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(backing), "-F", backing_format, str(path)],
                   check=True, stdin=subprocess.DEVNULL)


def save_state(path, img, spec, base=None, product=None):
    """Fills a directory of the cache with a guest's saved state: root.qcow2 and state. Under the caller's lock."""
    work = pathlib.Path(tempfile.mkdtemp(prefix="saving.", dir=cache_dir()))
    try:
        launch(work, img, spec, base, save=str(work / "state"), product=product)
        for name, *_ in spec["disks"]:
            (work / f"{name}.img").unlink()
        work.chmod(0o755)
        work.rename(path)
    except HarnessError as error:
        console = cache_dir() / f"{path.name}.console.log"
        shutil.copyfile(work / "console.log", console)
        raise HarnessError(f"{error} (console: {console})") from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return path


def ensure_snapshot(img, spec, product=None):
    """The directory of a booted guest's state, booted once for all nodes of its kind. product: an archive (path) that
    is installed there, once for all nodes that get it."""
    base = cache_dir() / f"snapshot-{spec['guest']}-{machine.snapshot_key(img, spec)}"
    path = base
    if product:
        path = cache_dir() / f"installed-{spec['guest']}-{digest(base.name, product, install.SCRIPT)}"
    if base.exists() and path.exists():
        in_use(base)
        return in_use(path)
    with lock(f"snapshot-{spec['guest']}", f"booting the {spec['guest']} guest for the snapshot"):
        if not base.exists():
            prune("snapshot-*-*", hours=24)
            say(f"booting the {spec['guest']} guest once for the snapshot ({spec['accel']})")
            save_state(base, img, spec)
        in_use(base)
        if not path.exists():
            prune("installed-*-*", hours=3)
            say("installing the product in a node for its snapshot")
            save_state(path, img, spec, base, str(product))
        return in_use(path)


def launch(directory, img, spec, snapshot, save=None, product=None, stays=False, hostname="node", as_saved=False):
    """Makes a node's disks if they are not there and starts its supervisor; returns the process once it is ready.
    as_saved: the guest is not told that it was restored: no new time, name or seed."""
    root = directory / "root.qcow2"
    if not root.exists():
        overlay(root, *((snapshot / "root.qcow2", "qcow2") if snapshot else (img / "root.img", "raw")))
    files = {"kernel": str(img / "vmlinuz"), "initrd": str(img / "initrd"), "root": str(root)}
    for name, size, *_ in spec["disks"]:
        disk = directory / f"{name}.img"
        files[name] = str(disk)
        with open(disk, "ab") as handle:
            handle.truncate(size << 20)
    sockets = tempfile.mkdtemp(prefix="cmkd-node.")
    order = {"spec": spec, "files": files, "state": str(snapshot / "state") if snapshot else None, "save": save, "product": product,
             "stays": stays, "hostname": hostname, "sockets": sockets, "as_saved": as_saved}
    (directory / "order.json").write_text(json.dumps(order) + "\n")
    with open(directory / "qemu.log", "ab") as log:
        process = subprocess.Popen([sys.executable, "-B", str(VM / "lib/supervisor.py"), str(directory)],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, start_new_session=True)
    word = process.stdout.readline().decode().strip()
    if word == "ready":
        if save:
            process.wait()
            shutil.rmtree(sockets, ignore_errors=True)
        return process
    process.kill()
    process.wait()
    shutil.rmtree(sockets, ignore_errors=True)
    raise HarnessError(f"the node did not start: {word or (directory / 'qemu.log').read_text()[-800:]}")


class Node:
    """Starts with Node.start() or finds a running one with Node.attach(). Everything that waits has a deadline."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.name = self.directory.name
        self.process = None
        self.owner = os.getpid()
        self.monitor = None
        self._client = None
        self.reload()

    def reload(self):
        try:
            self.state = json.loads((self.directory / "state.json").read_text())
        except FileNotFoundError:
            raise NodeLost(f"no node named {self.name}") from None

    @classmethod
    def home(cls, name):
        return cache_dir() / "nodes" / name

    @classmethod
    def attach(cls, name):
        return cls(cls.home(name))

    @classmethod
    def start(cls, name, guest=None, cold=False, memory=MEMORY, cpus=CPUS, append="", stays=False, installed=False,
              counted=False):
        """A fresh node. cold: boots anew instead of from the snapshot. append: more for the kernel's command line.
        installed: with the product, as after install(). counted: its clock counts instructions (machine.spec_for)."""
        guest = guest or default_guest()
        img = image.ensure(guest)
        spec = machine.spec_for(img, guest, memory, cpus, append, counted)
        product = install.tar_path() if installed and not cold else None
        snapshot = None if cold else ensure_snapshot(img, spec, product)
        directory = cls.home(name)
        if (directory / "state.json").exists() and cls(directory).alive():
            raise HarnessError(f"a node named {name} is up already")
        sweep()
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        (directory / "image").symlink_to(img)
        process = launch(directory, img, spec, snapshot, stays=stays, hostname=name.split(".")[0][:60])
        node = cls(directory)
        node.process = process
        if installed and cold:
            node.install()
        return node

    def alive(self):
        """Whether the supervisor lives: a process id alone may be somebody else's by now."""
        try:
            words = pathlib.Path(f"/proc/{self.state['pid']}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return str(self.directory).encode() in words

    def stop(self, keep=False):
        """Ends the guest at once, as a power cut. Its files go too unless they are kept."""
        self.disconnect()
        if self.alive():
            os.kill(self.state["pid"], signal.SIGTERM)
        self.wait_gone(END_SECONDS)
        shutil.rmtree(self.state["sockets"], ignore_errors=True)
        if not keep:
            shutil.rmtree(self.directory, ignore_errors=True)

    def disconnect(self):
        for part in (self._client, self.monitor):
            if part:
                part.close()
        self._client = self.monitor = None

    def wait_gone(self, timeout):
        # A test runs in a child of the process that started its node: there, waiting for it would end at once
        if self.process and self.owner == os.getpid():
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout)
                return
            raise HarnessError(f"the node is still up after {timeout} s: {self.held_up_by()}")
        with contextlib.suppress(ProcessLookupError):
            pidfd = os.pidfd_open(self.state["pid"]) if self.alive() else None
            if pidfd is not None:
                ready, _, _ = select.select([pidfd], [], [], timeout)
                os.close(pidfd)
                if not ready:
                    raise HarnessError(f"the node is still up after {timeout} s: {self.held_up_by()}")

    def held_up_by(self):
        """What the kernel says of the threads of supervisor and QEMU: name, state, where each one waits."""
        found = []
        for who in ("pid", "qemu_pid"):
            for task in pathlib.Path(f"/proc/{self.state[who]}/task").glob("*"):
                with contextlib.suppress(OSError, IndexError):
                    name, rest = (task / "stat").read_text().split("(", 1)[1].rsplit(") ", 1)
                    found.append(f"{name} {rest[0]} {(task / 'wchan').read_text() or '-'}")
        return ", ".join(found) or "neither supervisor nor QEMU is left"

    def wait_ended(self, timeout=120):
        """Until the guest powers off, resets or panics by itself; says which (QEMU's reason)."""
        self.wait_gone(timeout)
        self.reload()
        return self.state.get("ended", "unknown")

    def boot(self):
        """A cold boot of an ended node, with the disks as they are."""
        self.disconnect()
        shutil.rmtree(self.state["sockets"], ignore_errors=True)
        order = json.loads((self.directory / "order.json").read_text())
        self.process = launch(self.directory, (self.directory / "image").resolve(), order["spec"], None,
                              stays=order["stays"], hostname=order["hostname"])
        self.owner = os.getpid()
        self.reload()

    # Commands

    @property
    def client(self):
        if not self._client:
            self._client = Client(pathlib.Path(self.state["sockets"]) / "agent.sock")
        return self._client

    def sh(self, command, check=True, timeout=60, **options):
        """Runs a shell command (or a list of words): Result(status, out, err). options: stdin, env, cwd."""
        return self.client.run(command, check=check, timeout=timeout, **options)

    def out(self, command, timeout=60, **options):
        """What a command that must succeed says on stdout, stripped."""
        return self.sh(command, timeout=timeout, **options).out.strip()

    def start_command(self, command, **options):
        """A command in the background: expect(regex, timeout), wait(timeout), write(), close_stdin(), kill()."""
        return self.client.start(command, **options)

    def wait_for(self, command, timeout=60):
        """Until a shell command succeeds; the seconds it took."""
        return self.client.wait_for(command, timeout)

    # Files

    def push(self, source, destination):
        """A file to a file, or a directory's contents into a directory."""
        source = pathlib.Path(source)
        if source.is_dir():
            data = subprocess.run(["tar", "-cf", "-", "--owner=0", "--group=0", "-C", str(source), "."], check=True,
                                  stdout=subprocess.PIPE).stdout
            self.push_tar(data, destination)
        else:
            self.write(destination, source.read_bytes(), mode=source.stat().st_mode & 0o777)

    def push_tar(self, data, destination="/"):
        unpack = 'mkdir -p "$1" && tar -xf - --no-same-owner --no-overwrite-dir --keep-directory-symlink -C "$1"'
        self.sh(["/bin/sh", "-c", unpack, "sh", str(destination)], stdin=data, timeout=120)

    def write(self, path, data, mode=0o644):
        data = data.encode() if isinstance(data, str) else data
        self.sh(["/bin/sh", "-c", 'mkdir -p "$(dirname "$1")" && cat > "$1" && chmod "$2" "$1"', "sh", path, f"{mode:o}"],
                stdin=data)

    def read(self, path, timeout=60):
        """A file's bytes."""
        running = self.client.start(["cat", str(path)])
        result = running.wait(timeout)
        if result.status:
            raise HarnessError(result.err.strip())
        return bytes(running.out)

    def pull(self, source, destination):
        pathlib.Path(destination).write_bytes(self.read(source))

    def install(self):
        """Puts the product into the node: what `make install` makes of this tree."""
        install.into(self)

    # Machine

    def qmp(self, command, **arguments):
        """A command of QEMU's monitor, e.g. qmp("stop"), qmp("dump-guest-memory", paging=False, protocol="file:…")."""
        if not self.monitor:
            self.monitor = Qmp.connect(pathlib.Path(self.state["sockets"]) / "qmp.sock")
        return self.monitor.command(command, **arguments)

    def attach_disk(self, name, size=64, block=512, port=0):
        """Hot-plugs a disk of `size` MiB: /dev/disk/by-id/virtio-NAME. Its file stays when it is unplugged."""
        path = self.directory / f"{name}.img"
        with open(path, "ab") as handle:
            handle.truncate(size << 20)
        self.qmp("blockdev-add", driver="file", filename=str(path), node_name=f"{name}-file", discard="unmap")
        self.qmp("blockdev-add", driver="raw", file=f"{name}-file", node_name=name)
        self.qmp("device_add", driver="virtio-blk-pci", bus=f"hp{port}", drive=name, id=name, serial=name,
                 logical_block_size=block, physical_block_size=block)
        return f"/dev/disk/by-id/virtio-{name}"

    def detach_disk(self, name, timeout=60):
        """Unplugs a disk, as a machine's owner would."""
        self.qmp("device_del", id=name)
        # an event for the device and one for its parts, which have no name of their own
        while self.monitor.wait_event("DEVICE_DELETED", timeout=timeout)["data"].get("device") != name:
            pass
        self.qmp("blockdev-del", node_name=name)
        self.qmp("blockdev-del", node_name=f"{name}-file")

    @property
    def console(self):
        return (self.directory / "console.log").read_text(errors="replace")

    def journal_splats(self):
        """What systemd said when it had to break an ordering of units, and what sanitizers say; for whoever looks for splats."""
        who = "" if install.SANITIZE else "_PID=1"
        return self.sh(f"journalctl -b {who} --no-pager -o cat | grep -iE 'ordering cycle|Sanitizer: |runtime error: '", check=False, timeout=60).out

    def log_to(self, directory):
        """Leaves what explains a failure: journal, dmesg, console, QEMU's words."""
        directory = pathlib.Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        for name in ("console.log", "qemu.log"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(self.directory / name, directory / name)
        commands = {"journal.txt": "journalctl -b --no-pager -o short-precise", "dmesg.txt": "dmesg",
                    "units.txt": "systemctl --failed --no-pager; dmsetup table; lsblk; ps axf"}
        for name, command in commands.items():
            with contextlib.suppress(HarnessError):
                (directory / name).write_text(self.sh(command, check=False, timeout=40).out)


def sweep():
    """Removes what tests left behind that were killed. A developer's node stays even when it has ended."""
    for path in (cache_dir() / "nodes").glob("*.*.*/order.json"):
        owner = path.parent.name.split(".")[-2]
        if owner.isdigit() and not os.path.exists(f"/proc/{owner}"):
            with contextlib.suppress(OSError, ValueError):
                shutil.rmtree(json.loads(path.read_text())["sockets"], ignore_errors=True)
            shutil.rmtree(path.parent, ignore_errors=True)


def running():
    """The nodes that are up."""
    found = []
    for path in sorted((cache_dir() / "nodes").glob("*/state.json")):
        node = Node(path.parent)
        if node.alive():
            found.append(node)
    return found


def unique_name(prefix):
    return f"{prefix}.{os.getpid()}.{time.monotonic_ns() % 1000000}"
