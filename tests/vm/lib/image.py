# SPDX-License-Identifier: Apache-2.0
"""Guest images: Debian packages -> root file system (tar) -> ext4 image, kernel and a small initramfs.

Two steps, each cached by a digest of its inputs: the packages change seldom and take long, the harness's own guest
files change often and take seconds. Both work without root (mmdebstrap's user namespace; fakeroot for ownership).
"""

import json
import lzma
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from .common import VM, HarnessError, cache_dir, digest, in_use, lock, logged, output_of, prune, say

# The cloud kernel lacks nothing that cmkd needs (dm_crypt, xfs, md, BTF, BPF LSM): see node-harness.
PACKAGES = """linux-image-cloud-amd64 systemd systemd-sysv udev dbus kmod cryptsetup-bin dmsetup e2fsprogs xfsprogs
util-linux iproute2 nftables ca-certificates libcryptsetup12 libbpf1 libcurl4 libjson-c5 libseccomp2 libinih1
libsystemd0 libp11-kit0 softhsm2 opensc openssl python3 bpftool keyutils strace lsof psmisc procps busybox-static lvm2 mdadm btrfs-progs
apparmor""".split()

KILLERS = """
/run/kill-at.so mr,
/usr/local/lib/cmkd-test-*.so mr,
/run/cmkd-test-* rwk,
@{PROC}/sysrq-trigger w,
signal (send) set=(kill) peer=cmkd,
signal (receive) set=(kill) peer=cmkd-disk,
"""

# What is a package of its own from Debian 13 on; and a guest that builds another kind of initramfs, apart from the ordinary
# ones, which need not change for it; and one with the kernel for real hardware, since the cloud kernel has no USB, and with
# what would look at the disks of other tests; and those for tests/bench/probes and tests/bench/compare.
VARIANTS = {"trixie": ["systemd-cryptsetup"], "sid": ["systemd-cryptsetup"],
            "trixie-dracut": ["dracut", "dracut-network", "systemd-cryptsetup"],
            "trixie-fips": ["openssl-provider-fips", "systemd-cryptsetup"],
            "bookworm-hardware": ["linux-image-amd64", "multipath-tools", "nbd-client"], "bookworm-fio": ["fio"],
            "bookworm-clevis": ["clevis-luks", "tang"]}

DPKG_OPTIONS = ["path-exclude=/usr/share/doc/*", "path-exclude=/usr/share/man/*", "path-exclude=/usr/share/locale/*",
                "path-exclude=/usr/share/info/*", "force-unsafe-io"]
MASKED = """getty@tty1.service serial-getty@ttyS0.service apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer
e2scrub_reap.service fstrim.timer man-db.timer logrotate.timer dpkg-db-backup.timer systemd-timesyncd.service
systemd-networkd-wait-online.service systemd-tmpfiles-clean.timer mdcheck_start.timer mdcheck_continue.timer
mdmonitor-oneshot.timer systemd-firstboot.service console-getty.service""".split()
ENABLED = ["cmkd-test-agent.service", "cmkd-test-net.service"]
MODULES = ["virtio_pci", "virtio_blk", "crc32c_generic", "crc32c_intel", "crc32c_cryptoapi", "ext4"]
MODULES_NEEDED = {"virtio_blk", "ext4"}
DISK_SIZE = "4G"
CONFINED = ["cmkd", "cmkd-audit", "cmkd-breaker", "cmkd-disk", "cmkd-keyscript", "cmkd-vault"]


def archives():
    """Debian's archive and its security archive as this host's apt knows them."""
    found = {"Debian": os.environ.get("CMKD_MIRROR", "")}
    listing = output_of(["apt-get", "indextargets", "--format", "$(REPO_URI)|$(ORIGIN)|$(LABEL)|$(COMPONENT)",
                         "Created-By: Packages"])
    for line in listing.splitlines():
        uri, origin, label, component = line.split("|")
        if origin == "Debian" and component == "main" and not found.get(label):
            found[label] = uri
    if not found["Debian"]:
        raise HarnessError("apt knows no Debian archive on this host: run tests/setup, or set CMKD_MIRROR=URI")
    return found["Debian"], found.get("Debian-Security")


def sources(guest):
    main, security = archives()
    lines = [f"deb {main} {guest} main"]
    if guest != "sid":
        lines.append(f"deb {main} {guest}-updates main")
        if security:
            lines.append(f"deb {security} {guest}-security main")
    return lines


def apt_options():
    """The host's proxies count for the guest too. A canary may come from a mirror that stands still."""
    wanted = [line for line in output_of(["apt-config", "dump"]).splitlines()
              if line.startswith("Acquire::http") and "::Proxy" in line]
    return ['Acquire::Check-Valid-Until "false";', *wanted]


def packages_of(guest):
    """A guest has one kernel: its own, if its variant names one."""
    more = VARIANTS.get(guest, [])
    replaced = any(name.startswith("linux-image-") for name in more)
    return [name for name in PACKAGES if not (replaced and name.startswith("linux-image-"))] + more


def rootfs(guest):
    """The packages' files as a tar archive; built if it is not cached."""
    suite = guest.partition("-")[0]
    packages = packages_of(guest)
    suite_sources = sources(suite)
    key = digest("rootfs-1", guest, *suite_sources, *packages, *DPKG_OPTIONS)
    path = cache_dir() / f"rootfs-{guest}-{key}.tar"
    if path.exists():
        return in_use(path)
    say(f"building the {guest} guest from packages (once, a minute or two)")
    log = cache_dir() / f"rootfs-{guest}.log"
    log.unlink(missing_ok=True)
    partial = path.with_suffix(".partial")
    argv = ["mmdebstrap", "--mode=" + ("root" if os.geteuid() == 0 else "auto"), "--variant=minbase", "--format=tar",
            "--architectures=amd64", "--include=" + ",".join(packages)]
    argv += [f"--dpkgopt={option}" for option in DPKG_OPTIONS]
    argv += [f"--aptopt={option}" for option in apt_options()]
    logged([*argv, suite, str(partial), *suite_sources], log, env={**os.environ, "SOURCE_DATE_EPOCH": "1"})
    partial.rename(path)
    prune("rootfs-*.tar")
    return path


def guest_files():
    return sorted(path for path in (VM / "guest").iterdir() if path.is_file())


def image_key(guest, tar):
    return digest("image-1", guest, tar.name, pathlib.Path(__file__), *guest_files())


def ensure(guest):
    """The directory of a guest's image: root.img, vmlinuz, initrd, info.json."""
    with lock(f"image-{guest}", f"building the {guest} guest image"):
        tar = rootfs(guest)
        path = cache_dir() / f"image-{guest}-{image_key(guest, tar)}"
        if path.exists():
            return in_use(path)
        say(f"making the {guest} guest's disk")
        work = pathlib.Path(tempfile.mkdtemp(prefix=f"image-{guest}.", dir=cache_dir()))
        try:
            argv = [sys.executable, str(VM / "image"), "--assemble", str(tar), str(work)]
            if os.geteuid() != 0:
                argv.insert(0, "fakeroot")
            log = cache_dir() / f"image-{guest}.log"
            log.unlink(missing_ok=True)
            logged(argv, log)
            (work / "info.json").write_text(json.dumps({"guest": guest, "key": path.name}) + "\n")
            work.chmod(0o755)
            work.rename(path)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        prune("image-*-*")
        return path


def assemble(tar, work):
    """Step two, as root or under fakeroot: the tar and the harness's files become the image."""
    root = work / "root"
    root.mkdir()
    subprocess.run(["tar", "-xf", str(tar), "-C", str(root), "--exclude=./dev/*"], check=True)
    customise(root)
    release = kernel_release(root)
    shutil.copyfile(root / "boot" / f"vmlinuz-{release}", work / "vmlinuz")
    (work / "initrd").write_bytes(make_initrd(root, release))
    for path in (root / "boot").glob("initrd*"):
        path.unlink()
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", str(root), "-L", "root", "-m", "0", "-E", "lazy_itable_init=1",
                    "-O", "^metadata_csum_seed", str(work / "root.img"), DISK_SIZE], check=True)
    shutil.rmtree(root)


def kernel_release(root):
    releases = sorted(path.name for path in (root / "usr/lib/modules").iterdir())
    if len(releases) != 1:
        raise HarnessError(f"the guest should have one kernel, has {releases or 'none'}")
    return releases[0]


def customise(root):
    """What makes the guest a harness guest."""
    library = root / "usr/local/lib/cmkd-test"
    library.mkdir(parents=True)
    shutil.copyfile(VM / "guest/agent.py", library / "agent.py")
    units = root / "etc/systemd/system"
    for name in ENABLED:
        shutil.copyfile(VM / "guest" / name, units / name)
        (units / "basic.target.wants").mkdir(exist_ok=True)
        (units / "basic.target.wants" / name).symlink_to(f"../{name}")
    for name in MASKED:
        (units / name).unlink(missing_ok=True)
        (units / name).symlink_to("/dev/null")
    (root / "etc/hostname").write_text("node\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n127.0.1.1 node\n169.254.169.254 host metadata\n")
    (root / "etc/fstab").write_text("")
    (root / "etc/machine-id").write_text(digest(str(root)) * 2 + "\n")
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/resolv.conf").write_text("")
    journal = root / "etc/systemd/journald.conf.d"
    journal.mkdir()
    (journal / "test.conf").write_text("[Journal]\nRateLimitIntervalSec=0\nStorage=persistent\nSystemMaxUse=64M\n")
    (root / "etc/modules-load.d").mkdir(exist_ok=True)
    only_our_profiles(root / "etc/apparmor.d")


def only_our_profiles(directory):
    """Debian's, of programs that no test runs, would be compiled at each boot. To ours what tests load into the programs, to end
    them, cmkd or the machine at a point of their work (killer.py, rotate_kills.py), and by which that says so."""
    for path in directory.iterdir():
        if path.is_file():
            path.unlink()
    for profile in CONFINED:
        (directory / "local" / profile).write_text(KILLERS)


def module_path(root, release, table, name):
    for path in table:
        if pathlib.Path(path).name.split(".")[0].replace("-", "_") == name:
            return path
    builtin = (root / "usr/lib/modules" / release / "modules.builtin").read_text()
    if name in MODULES_NEEDED and f"/{name}.ko" not in builtin:
        raise HarnessError(f"the guest's kernel {release} has no module {name}")
    return None


def module_order(root, release):
    """Paths of the modules to load, dependencies first."""
    table = {}
    for line in (root / "usr/lib/modules" / release / "modules.dep").read_text().splitlines():
        path, _, needs = line.partition(":")
        table[path] = needs.split()
    order = []
    for name in MODULES:
        path = module_path(root, release, table, name)
        if path:
            order += [found for found in [*reversed(table[path]), path] if found not in order]
    return order


def make_initrd(root, release):
    """A cpio archive with busybox and the modules that the root disk needs: boots in a fraction of a full one's time."""
    archive = Cpio()
    for name in ("bin", "dev", "proc", "sys", "root", "modules"):
        archive.add(name, 0o040755)
    archive.add("bin/busybox", 0o100755, (root / "usr/bin/busybox").read_bytes())
    for name in ("sh", "mount", "umount", "insmod", "grep", "usleep", "poweroff", "switch_root", "echo"):
        archive.add(f"bin/{name}", 0o120777, b"busybox")
    archive.add("init", 0o100755, (VM / "guest/initramfs-init").read_bytes())
    names = []
    for path in module_order(root, release):
        data = (root / "usr/lib/modules" / release / path).read_bytes()
        name = pathlib.Path(path).name
        if name.endswith(".xz"):
            data, name = lzma.decompress(data), name[:-3]
        if not name.endswith(".ko"):
            raise HarnessError(f"module {path}: cannot decompress this")
        names.append(name)
        archive.add(f"modules/{name}", 0o100644, data)
    archive.add("modules/order", 0o100644, "".join(f"{name}\n" for name in names).encode())
    return archive.finish()


class Cpio:
    """Just enough of the newc format."""

    def __init__(self):
        self.data = bytearray()
        self.count = 0

    def add(self, name, mode, content=b""):
        self.count += 1
        fields = [self.count, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0]
        self.data += b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        self.pad()
        self.data += content
        self.pad()

    def pad(self):
        self.data += b"\0" * (-len(self.data) % 4)

    def finish(self):
        self.add("TRAILER!!!", 0)
        return bytes(self.data)
