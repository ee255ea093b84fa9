# SPDX-License-Identifier: Apache-2.0
"""What somebody without any right can do so that it looks like an attack on the recording: none of it may be a record, or he fills the
trail, and keeps the guard from arming."""

SCRIPT = """
import ctypes, os, signal, socket, struct, subprocess
libc = ctypes.CDLL(None, use_errno=True)
def refused(r):
    assert r < 0 and ctypes.get_errno() == 1, (r, ctypes.get_errno())
name = "/run/cmkd/../../tmp/forged"
if os.path.exists(name):
    os.unlink(name)
listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
listening.bind(name)
listening.listen(32)
for _ in range(20):
    socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).connect(name)
subprocess.run(["unshare", "-Urm", "sh", "-ec",
                # Not every kernel lets him mount one
                "mount -t bpf none /mnt || exit 0; mkdir /mnt/cmkd; ln -s x /mnt/cmkd/x; mv /mnt/cmkd/x /mnt/cmkd/y; rm /mnt/cmkd/y"],
               check=True)
refused(libc.mount(b"none", b"/usr/lib/cmkd", b"tmpfs", 0, None))
t = bytearray(208)
struct.pack_into("I", t, 0, 0x100)
struct.pack_into("q", t, 72, -1000)
refused(libc.adjtimex((ctypes.c_char * 208).from_buffer(t)))
serial = libc.syscall(248, b"user", b"cryptsetup:forged-d0", b"x", 1, -2)
assert libc.syscall(250, 11, serial, ctypes.create_string_buffer(8), 8) == 1
# A program of cmkd's that is his own process: it stops where it begins
own = subprocess.Popen(["/usr/lib/cmkd/cmkd-ladder"], preexec_fn=lambda: libc.ptrace(0, 0, None, None))
os.waitpid(own.pid, 0)
open(f"/proc/{own.pid}/mem", "rb").close()
os.kill(own.pid, signal.SIGKILL)
os.waitpid(own.pid, 0)
"""
UID = "65534"
EVENTS = ("guard_connect", "guard_pin", "guard_mount", "guard_ptrace", "guard_signal", "clock_back", "key_asked")


def forge(node):
    """As nobody; what is no error has been done."""
    node.write("/run/forge.py", SCRIPT)
    node.sh("runuser -u nobody -- python3 /run/forge.py", timeout=60)


def check(records):
    """Of the kernel's records, all until one that came after it."""
    found = [(r["event"], r["fields"]) for r in records if r["event"] in EVENTS and r["fields"].get("uid") == UID]
    assert not found, f"forged: {found[:3]}"
