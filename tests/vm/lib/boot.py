# SPDX-License-Identifier: Apache-2.0
"""Nodes whose root is a cmkd volume: made once, booted by tests from nothing to multi-user.

Three steps, the first two cached by a digest of their inputs:
  volume   a disk that `cmkctl format --role os` formatted in an ordinary node, the guest's root file system copied onto
           it; with the state of the test vault that holds its key, which answers on the same two ports ever after
           (they stand in the volume's token and in cmkd.conf, hence in the image)
  image    the product of this tree installed there, and the initramfs built in a chroot with it and with the node's
           configuration (initramfs-tools, or dracut where the guest has it)
  boot     a test's own copy of the vault, and a node with an overlay on the disk

A test names the parameter `boot` (an Encrypted):

  def test(boot):
      boot.vault.ctl("disable", "k1")              # a Vault, running; key "k1"
      node = boot.start(append="cmkd.wait=60")     # returns once QEMU runs; the kernel's command line may be added to
      node.wait_console(r"cmkd: volume osroot is closed", 120)
      node.type("recovery key\\n")                  # on the serial console
      node.wait_up(300)                            # the agent answers: from here on it is an ordinary node
      node.sh("cmkctl status")
      node.boot()                                  # an ended node again, with its disk as it is

One test at a time uses an image (a lock): the ports are fixed. boot.image has the paths, boot.volume what the volume is
(name, uuid, key, recovery_key, kib: the image's growth as the hook reported it).
"""

import contextlib
import inspect
import json
import os
import pathlib
import random
import re
import shutil
import socket
import subprocess
import tempfile
import time

from . import image, install, machine, node as nodes, product, splat
from .agent import NodeLost
from .common import TOP, HarnessError, cache_dir, digest, in_use, lock, prune, say
from .vault import CA_IN_NODE, Vault

NAME = "osroot"
KEY = "k1"
SIZE = 1200             # MiB, sparse. The guest's image has 4 GiB, most of it empty, which takes long where all of it is encrypted anew
FILE_SYSTEM = 1136      # MiB, of it
COMMAND_LINE = machine.COMMAND_LINE.replace("root=/dev/vda rw", f"root=/dev/mapper/{NAME} rw").replace(" panic=-1", "")
# A deadline for the breaker to hold; the other role os default, report, has none.
POLICY = {"PollSec": "5", "NoticeSec": "0", "OnUnreachable": "poweroff"}
VAULT_LINES = "TimeoutSec=30"
SERVICES = ("cmkd.service cmkd-vault.socket cmkd-disk.socket cmkd-ladder.socket cmkd-audit.socket cmkd-audit.service cmkd-breaker.socket "
            "cmkd-breaker.service")
DISK = "/dev/disk/by-id/virtio-os"

# The guest's pristine image, block by block: only those in use.
COPY = """
set -e
e2image -ra /dev/disk/by-id/virtio-pristine /dev/mapper/osroot
mkdir -p /new && mount /dev/mapper/osroot /new
mkdir -p /new/var/lib/cmkd/trust /new/etc/cmkd
cp -a /var/lib/cmkd/trust/. /new/var/lib/cmkd/trust/
cp -a /etc/cmkd/. /new/etc/cmkd/
cp /etc/hosts /new/etc/hosts
echo '/dev/mapper/osroot / ext4 defaults,noatime 0 0' > /new/etc/fstab
sync; umount /new
"""
# In the volume, after the product was unpacked there.
INSTALL = f"""
set -e
chroot /new /usr/sbin/ldconfig
chroot /new /usr/bin/systemd-sysusers 2>/dev/null
systemctl --root=/new -q enable {SERVICES}
sync; umount /new
"""
# On the host, in a chroot of the guest's packages with the product and the node's configuration: an emulated machine
# takes minutes for it. What the hook sees of the machine is one virtio network card. The modules of its disk and file
# system only, since a full image is decompressed for half a minute by such a machine.
BUILD_COMMON = """
set -e
cd "$1"
# As a slave, so that its end is not the end of the host's own mounts.
host_tree() { mount --rbind /$1 $1; mounted="$1 $mounted"; mount --make-rslave $1; }
trap 'for one in $mounted; do umount -R -l $one; done' EXIT
mkdir -p sys/module/virtio_net sys/class/net/eth0/device/driver
ln -s /sys/module/virtio_net sys/class/net/eth0/device/driver/module
# Where the device nodes cannot be made, in a user namespace, this one has a mount namespace too.
mknod -m 666 dev/null c 1 3 2>/dev/null && mknod -m 666 dev/zero c 1 5 && mknod -m 666 dev/urandom c 1 9 ||
    host_tree dev
release=$(ls usr/lib/modules)
in_new() { chroot . /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }
in_new ldconfig
"""
BUILD_INITRAMFS_TOOLS = """
sed -i 's/^MODULES=.*/MODULES=list/; s/^COMPRESS=.*/COMPRESS=gzip/' etc/initramfs-tools/initramfs.conf
printf 'virtio_pci\\nvirtio_blk\\next4\\ncrc32c_generic\\ncrc32c_intel\\n' > etc/initramfs-tools/modules
in_new mkinitramfs -o /boot/initrd.cmkd $release
"""
BUILD_DRACUT = """
host_tree proc
in_new dracut --force --no-hostonly --gzip --add-drivers 'virtio_pci virtio_blk virtio_net ext4' --omit "OMITTED" \\
    /boot/initrd.cmkd $release
"""
# What this machine does not have, and an emulated one would unpack.
OMITTED = """btrfs lvm mdraid nvdimm multipath iscsi nbd nfs hwdb overlay-root overlayfs qemu qemu-net lunmask resume terminfo
virtfs virtiofs kernel-modules kernel-modules-extra usrmount i18n bluetooth pcsc memstrack""".replace("\n", " ")


def free_ports():
    """Two that no ephemeral port can take; whoever runs another image meanwhile has others."""
    found = []
    while len(found) < 2:
        port = random.randrange(20000, 32000)
        with contextlib.suppress(OSError), socket.socket() as s:
            s.bind(("127.0.0.1", port))
            found.append(port)
    return found


def copy_vault(source, target):
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("requests.jsonl", "*.sock", "lock"))


def start_vault(directory, ports):
    return Vault(directory, "--vault-port", str(ports[0]), "--metadata-port", str(ports[1]))


def plug(node, path, form, name="os", port=0):
    """A disk from a file of its own."""
    options = {"read-only": True} if name == "pristine" else {"discard": "unmap"}
    node.qmp("blockdev-add", driver="file", filename=str(path), node_name=f"{name}-file", cache={"no-flush": True},
             **options)
    node.qmp("blockdev-add", driver=form, file=f"{name}-file", node_name=name, **options)
    node.qmp("device_add", driver="virtio-blk-pci", bus=f"hp{port}", drive=name, id=name, serial=name)
    node.wait_for(f"test -b /dev/disk/by-id/virtio-{name}", 60)


@contextlib.contextmanager
def workshop(guest, vault):
    """An ordinary node with the product and the vault, for what has to be made in one."""
    node = nodes.Node.start(nodes.unique_name("encrypt"), guest=guest, installed=True)
    try:
        vault.introduce(node)
        product.configure(node, vault, policy=POLICY, vault_lines=VAULT_LINES)
        product.start(node)
        yield node
    except BaseException:
        node.log_to(cache_dir() / "encrypted-failed")
        raise
    finally:
        node.stop()


def format_sources():
    """What decides how a formatted disk looks: a change makes a new one."""
    return [TOP / "daemon/disk" / name for name in ("luks-format.c", "manifest.c", "unlock-key.c")]


def small_root(guest, work):
    """The guest's image, without most of what is empty there."""
    path = work / "pristine.img"
    subprocess.run(["cp", "--sparse=always", str(image.ensure(guest) / "root.img"), str(path)], check=True)
    subprocess.run(["resize2fs", "-f", str(path), f"{FILE_SYSTEM}M"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    subprocess.run(["e2fsck", "-fn", str(path)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return path


def make_volume(guest, work):
    ports = free_ports()
    vault = start_vault(work / "vault", ports)
    try:
        key = vault.create_key(KEY)
        path = work / "disk.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), f"{SIZE}M"], check=True)
        with workshop(guest, vault) as node:
            plug(node, path, "qcow2")
            plug(node, small_root(guest, work), "raw", name="pristine", port=1)
            node.sh(f"cmkctl format {DISK} --name {NAME} --role os --key {key} --yes", timeout=300)
            node.sh(f"cmkctl attach {NAME}", timeout=300)
            node.sh(COPY, timeout=900)
            uuid = node.out(f"blkid -o value -s UUID {DISK}")
            (work / "trust.conf").write_bytes(node.read(f"/var/lib/cmkd/trust/{uuid}.conf"))
            node.sh(f"cmkctl detach {NAME} && sync", timeout=120)
    finally:
        vault.stop()
    (work / "pristine.img").unlink()
    return {"name": NAME, "uuid": uuid, "key": key, "ports": ports}


@contextlib.contextmanager
def scratch_root():
    """A directory for a guest's files, removed afterwards: never through a mount of the host's that was left in it."""
    root = tempfile.mkdtemp(dir=cache_dir(), prefix="chroot.")
    try:
        os.chmod(root, 0o755)
        yield root
    finally:
        left = [line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines() if f" {root}/" in line]
        if left:
            raise HarnessError(f"{root} is not removed: something is mounted in it:\n" + "\n".join(left))
        shutil.rmtree(root, ignore_errors=True)


def build_initrd(guest, work, files, packages=()):
    """The initrd and what was said while it was made. files: path in the guest -> text. packages: what
    the guest has not."""
    tar = image.rootfs(guest)
    if packages:
        name = f"{guest}-{packages[0]}"
        image.VARIANTS[name] = [*image.VARIANTS.get(guest, []), *packages]
        tar = image.rootfs(name)
    with scratch_root() as root:
        subprocess.run(["tar", "-xf", str(tar), "-C", root, "--exclude=./dev/*", "--no-same-owner"], check=True)
        subprocess.run(["tar", "-xzf", str(install.tar_path()), "-C", root, "--no-same-owner", "--keep-directory-symlink"],
                       check=True)
        for path, data in files.items():
            target = pathlib.Path(root + path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(data)
        script = BUILD_COMMON + (BUILD_DRACUT.replace("OMITTED", OMITTED) if guest.endswith("-dracut") else BUILD_INITRAMFS_TOOLS)
        done = subprocess.run([*([] if os.geteuid() == 0 else ["unshare", "-rm"]), "sh", "-c", script, "sh", root],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise HarnessError(f"the initramfs was not built ({done.returncode}):\n{done.stdout[-2500:]}")
        shutil.copyfile(f"{root}/boot/initrd.cmkd", work / "initrd")
    return done.stdout


def build_image(guest, work, base, volume):
    """The product in the volume, then vmlinuz and initrd."""
    copy_vault(base / "vault", work / "vault")
    vault = start_vault(work / "vault", volume["ports"])
    path = work / "disk.qcow2"
    nodes.overlay(path, base / "disk.qcow2", "qcow2")
    trust = f"/var/lib/cmkd/trust/{volume['uuid']}.conf"
    try:
        with workshop(guest, vault) as node:
            plug(node, path, "qcow2")
            node.write(trust, (base / "trust.conf").read_bytes(), mode=0o600)
            node.sh(f"systemctl restart cmkd; cmkctl attach {NAME} --wait=120", timeout=300)
            recovery_key = node.out(f"cmkctl recovery-key add {NAME}", timeout=300)
            files = {name: node.read(name).decode() for name in (trust, "/etc/cmkd/cmkd.conf", CA_IN_NODE, "/etc/hosts")}
            node.sh(f"mkdir -p /new && mount /dev/mapper/{NAME} /new", timeout=60)
            node.sh(install.UNPACK.replace("-C /", "-C /new"), stdin=install.tar_path().read_bytes(), timeout=180)
            node.sh(INSTALL, timeout=300)
            node.sh(f"cmkctl detach {NAME} && sync", timeout=120)
    finally:
        vault.stop()
    said = build_initrd(guest, work, files)
    (work / "files.json").write_text(json.dumps(files) + "\n")
    shutil.copyfile(image.ensure(guest) / "vmlinuz", work / "vmlinuz")
    grown = re.search(r"cmkd: (\d+) KiB more", said)
    if not grown:
        raise HarnessError(f"nobody reported the image's growth:\n{said[-1500:]}")
    return {**volume, "recovery_key": recovery_key, "kib": int(grown.group(1)),
            "initrd_kib": (work / "initrd").stat().st_size // 1024, "said": said}


def build_keyscript(guest, work, base, volume):
    """The same, with Debian's own scripts for crypttab in the initramfs, and a line there. What their hook would have made of
    /etc/crypttab is written as it makes it: it looks for the disk, which the host does not have."""
    files = json.loads((base / "files.json").read_text())
    files["/etc/cryptsetup-initramfs/conf-hook"] = "CRYPTSETUP=y\n"
    build_initrd(guest, work, files, ["cryptsetup", "cryptsetup-initramfs"])
    archive = image.Cpio()
    archive.add("cryptroot", 0o040755)
    line = f"{volume['name']} UUID={volume['uuid']} none luks,keyscript=/usr/lib/cmkd/cmkd-keyscript\n"
    archive.add("cryptroot/crypttab", 0o100644, line.encode())
    with open(work / "initrd", "ab") as handle:
        handle.write(b"\0" * (-handle.tell() % 512) + archive.finish())
    for name in ("vmlinuz", "disk.qcow2"):
        (work / name).symlink_to(base / name)
    return volume


def build_askpass(guest, work, base, volume):
    """The same, with Debian's askpass in it."""
    build_initrd(guest, work, json.loads((base / "files.json").read_text()), ["cryptsetup", "cryptsetup-initramfs"])
    for name in ("vmlinuz", "disk.qcow2"):
        (work / name).symlink_to(base / name)
    return volume


KINDS = {"keyscript": build_keyscript, "askpass": build_askpass}


def cached(path, what, make):
    """A directory of the cache with what make(directory) left there and info.json of what it returned."""
    if path.exists():
        return in_use(path)
    say(what)
    work = pathlib.Path(tempfile.mkdtemp(prefix="encrypted.", dir=cache_dir()))
    try:
        info = make(work)
        (work / "info.json").write_text(json.dumps(info) + "\n")
        work.chmod(0o755)
        work.rename(path)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return path


def ensure(guest):
    """The directory of this tree's image: disk.qcow2, vmlinuz, initrd, vault/, info.json."""
    img = image.ensure(guest)
    base = cache_dir() / f"encrypted-{guest}-{digest('volume-3', img.name, COPY, SIZE, FILE_SYSTEM, *format_sources())}"
    tar = install.tar_path()
    key = digest("image-2", base.name, tar, INSTALL, BUILD_COMMON, BUILD_INITRAMFS_TOOLS, BUILD_DRACUT, OMITTED)
    path = cache_dir() / f"encrypted-{guest}-{key}"

    with lock(f"encrypted-{guest}", f"making the {guest} guest's encrypted root"):
        prune(f"encrypted-{guest}-*", hours=12)
        cached(base, f"encrypting the {guest} guest's root (once, some minutes)", lambda work: make_volume(guest, work))
        info = json.loads((base / "info.json").read_text())
        return cached(path, f"building the {guest} guest's initramfs", lambda work: build_image(guest, work, base, info))


class BootNode(nodes.Node):
    """A node that may not come up by itself."""

    booted = False          # its agent answered

    def wait_up(self, timeout=300):
        """Until the agent answers; the seconds since QEMU was started."""
        end = time.monotonic() + timeout
        agent = pathlib.Path(self.state["sockets"]) / "agent.sock"
        while not agent.exists():
            if not self.alive():
                raise NodeLost(f"the node ended before it was up; its console:\n{self.console[-1500:]}")
            if time.monotonic() > end:
                raise HarnessError(f"the node is not up within {timeout} s; its console:\n{self.console[-1500:]}")
            time.sleep(0.1)
        self.reload()
        self.booted = True
        return time.monotonic() - self.started

    def wait_console(self, pattern, timeout=120):
        """The match of a pattern in what the console has said since the last such call; the console goes on."""
        end = time.monotonic() + timeout
        while True:
            text = self.console
            match = re.compile(pattern).search(text, self.console_seen)
            if match:
                self.console_seen = match.end()
                return match
            if time.monotonic() > end or not self.alive():
                raise HarnessError(f"the console does not say /{pattern}/:\n{text[-2500:]}")
            time.sleep(0.1)

    def type(self, text):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(pathlib.Path(self.state["sockets"]) / "console.sock"))
            s.sendall(text.encode())
            time.sleep(0.5)        # QEMU hands it on to a guest that may be slow to read; closing drops the rest

    def boot(self):
        self.console_seen = len(self.console)
        self.started = time.monotonic()
        super().boot()


class Encrypted:
    """What a test gets as `boot`."""

    def __init__(self, guest, artifacts):
        self.guest = guest
        self.artifacts = pathlib.Path(artifacts)
        self.stack = contextlib.ExitStack()
        self.nodes = []
        self.image = ensure(guest)
        self.vault = None
        self.volume = json.loads((self.image / "info.json").read_text())
        ports = self.volume["ports"]
        self.stack.enter_context(lock(f"encrypted-{ports[0]}", "another test that boots this image"))
        copy_vault(self.image / "vault", self.artifacts / "vault")
        self.start_vault()

    def start_vault(self):
        """Again after boot.vault.stop(): the same keys on the same ports."""
        self.vault = start_vault(self.artifacts / "vault", self.volume["ports"])

    def files(self, kind):
        if not kind:
            return self.image
        path = self.image.with_name(f"{self.image.name}-{kind}-{digest(inspect.getsource(KINDS[kind]))}")
        with lock(f"encrypted-{self.guest}", f"making the {self.guest} guest's encrypted root"):
            return cached(path, f"building an initramfs with {kind}",
                          lambda work: KINDS[kind](self.guest, work, self.image, self.volume))

    def start(self, append="", patience=900, kind=None):
        """A new node on an overlay of the disk. Returns once QEMU runs. kind: another initramfs (KINDS)."""
        files = self.files(kind)
        img = image.ensure(self.guest)
        spec = {**machine.spec_for(img, self.guest, nodes.MEMORY, nodes.CPUS, append), "command_line": COMMAND_LINE,
                "console_input": True, "patience": patience}
        nodes.sweep()
        directory = nodes.Node.home(nodes.unique_name("boot"))
        directory.mkdir(parents=True)
        (directory / "image").symlink_to(files)
        nodes.overlay(directory / "root.qcow2", self.image / "disk.qcow2", "qcow2")
        began = time.monotonic()
        process = nodes.launch(directory, files, spec, None, hostname="node")
        node = BootNode(directory)
        node.process = process
        node.started = began
        node.console_seen = 0
        self.nodes.append(node)
        return node

    def renew(self, node, files):
        """As update-initramfs does it: an image with these of the node's files (path -> text; its whole list) in place of those that it had,
        for this node's next boot."""
        work = pathlib.Path(tempfile.mkdtemp(prefix="renewed.", dir=self.artifacts))
        had = json.loads((self.image / "files.json").read_text())
        build_initrd(self.guest, work, {**{path: text for path, text in had.items() if not path.startswith("/var/lib/cmkd/")}, **files})
        for name in ("vmlinuz", "disk.qcow2"):
            (work / name).symlink_to(self.image / name)
        link = node.directory / "image"
        link.unlink()
        link.symlink_to(work)

    def explain(self):
        for node in self.nodes:
            node.log_to(self.artifacts / node.name)

    def check_splats(self, allowed=()):
        for node in self.nodes:
            said = node.console + (node.journal_splats() if node.alive() and node.booted else "")
            found = splat.find(said, node.state["accel"] == "tcg", allowed)
            if found:
                raise HarnessError(f"kernel splat: {found[0]}")

    def stop(self):
        for node in self.nodes:
            with contextlib.suppress(HarnessError):
                node.stop()
        if self.vault:
            self.vault.stop()
        self.stack.close()
