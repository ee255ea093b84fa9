# SPDX-License-Identifier: Apache-2.0
"""The product, as `make install` lays it out, into a node."""

import os
import pathlib
import shutil
import subprocess
import tempfile

from .common import TOP, HarnessError, cache_dir, digest, lock, logged

KEPT = "CMKD_PRODUCT_TAR"
# CMKD_SANITIZE=address,undefined: what is installed is built so, and brings the host's libraries for it: the guest is of its release. The
# profiles of AppArmor, which know nothing of such programs, only complain then.
SANITIZE = os.environ.get("CMKD_SANITIZE", "")
SLOWER = 4 if SANITIZE else 1
# In each program: not all are started by a unit. Leaks are looked for by ptrace, which cmkd does not let anybody do. What is freed is kept
# back up to that size, so that memory does not seem to grow. A test preloads a library of its own.
OPTIONS = """const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "detect_leaks=0:log_to_syslog=1:quarantine_size_mb=4:thread_local_quarantine_size_kb=64:"
                                                         "verify_asan_link_order=0"; }
"""
LIBRARIES = {"address": "libasan.so", "undefined": "libubsan.so"}


def make_tar():
    """A tar archive (bytes, compressed) of what make install installs."""
    with lock(f"install-{digest(str(TOP))}", "make install"), tempfile.TemporaryDirectory(dir=cache_dir()) as stage:
        log = cache_dir() / f"install-{digest(str(TOP))}.log"
        log.unlink(missing_ok=True)
        os.chmod(stage, 0o755)    # "." is in the archive, and becomes the guest's /
        make = ["make", "-C", str(TOP), "--no-print-directory", "install", f"DESTDIR={stage}", "PREFIX=/usr"]
        made(make, log)
        if not any(pathlib.Path(stage).iterdir()):
            raise HarnessError("make install DESTDIR= installed nothing")
        if SANITIZE:
            sanitize(make, pathlib.Path(stage), log)
        return subprocess.run(["tar", "-czf", "-", "--owner=0", "--group=0", "--sort=name", "--mtime=@0", "-C", stage,
                               *sorted(os.listdir(stage))], check=True, stdout=subprocess.PIPE).stdout


def made(make, log):
    logged(make, log, env={name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")})


def sanitize(make, stage, log):
    """Puts programs that are built with sanitizers in the place of the others. The plugin, which cryptsetup loads, cannot be."""
    plugins = {path: path.read_bytes() for path in stage.glob("usr/lib/*/cryptsetup/*.so")}
    with tempfile.TemporaryDirectory(dir=cache_dir()) as kept:
        options = pathlib.Path(kept, "options.o")
        subprocess.run(["cc", "-x", "c", "-c", "-", "-o", options], check=True, input=OPTIONS, text=True)
        made([*make, "-j2", f"SANITIZE={SANITIZE}", "BUILD=build/sanitized", f"LDFLAGS={options}"], log)
    for path, plugin in plugins.items():
        path.write_bytes(plugin)
    for name in filter(None, SANITIZE.split(",")):
        library(stage, LIBRARIES[name])
    profile = stage / "etc/apparmor.d/cmkd"
    profile.write_text(profile.read_text().replace("flags=(", "flags=(complain,"))


def library(stage, name):
    """The compiler's, under the name that it is loaded by."""
    path = pathlib.Path(subprocess.run(["cc", f"-print-file-name={name}"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip())
    target = path.resolve()
    directory = stage / "usr/lib/x86_64-linux-gnu"
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copy2(target, directory / ".".join(target.name.split(".")[:3]))


def keep_tar(path):
    """Makes the archive once for all tests of a run, which are other processes."""
    path.write_bytes(make_tar())
    os.environ[KEPT] = str(path)


UNPACK = "tar -xzf - --no-same-owner --no-overwrite-dir --keep-directory-symlink -C /"
ACTIVATE = """
ldconfig
systemd-sysusers
if ls /usr/lib/tmpfiles.d/cmkd* >/dev/null 2>&1; then systemd-tmpfiles --create /usr/lib/tmpfiles.d/cmkd*; fi
if ls /usr/lib/systemd/catalog/cmkd* >/dev/null 2>&1; then journalctl --update-catalog; fi
systemctl daemon-reload
udevadm control --reload
if [ -e /etc/apparmor.d/cmkd ] && aa-enabled --quiet; then apparmor_parser --replace --write-cache /etc/apparmor.d/cmkd; fi
busctl call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus ReloadConfig
"""
# What a node runs, with the archive as its stdin.
SCRIPT = f"set -e; {UNPACK}{ACTIVATE}"


def tar_path():
    """The archive as a file: the run's, or a new one in the cache."""
    if KEPT not in os.environ:
        keep_tar(cache_dir() / f"product-{digest(str(TOP))}.tar.gz")
    return pathlib.Path(os.environ[KEPT])


def into(node):
    kept = os.environ.get(KEPT)
    node.sh(SCRIPT, stdin=pathlib.Path(kept).read_bytes() if kept else make_tar(), timeout=180)
