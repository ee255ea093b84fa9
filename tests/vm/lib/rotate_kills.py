# SPDX-License-Identifier: Apache-2.0
"""Rotations that are killed: cmkd and its child, or the whole node as by a power cut, at the N-th call of a name that the child makes
on a disk or cmkd on the node's list, or while the vault has a request. What is true afterwards, whichever point it was.
"""

import hashlib
import json
import subprocess

from . import luks2, product, revoke

DEVICE = product.DISK.format("data0")
LIBRARY = "/usr/local/lib/cmkd-test-killer.so"
# Preloaded into everything: looks for a point that is meant for this process. A template's copies bear the name of their operation.
KILLER = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#define POINT "/run/cmkd-test-point"      /* WHO CALL WHEN PID; PID 0: the power fails; -1: itself alone; -2: it is stopped */
#define NEXT "/run/cmkd-test-point-next"  /* what takes its place then, if there is one */
#define STEPS "/run/cmkd-test-steps"      /* WHO "any": its size counts changes of a disk or of what cmkd keeps, by any of its programs */
static size_t get(const char *path, char *buf, size_t size) {
        int fd = open(path, O_RDONLY|O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

        if (fd >= 0)
                close(fd);
        buf[n < 0 ? 0 : n] = 0;
        return n < 0 ? 0 : (size_t) n;
}
static int is_me(const char *who) {
        char text[256];
        size_t n = get("/proc/self/cmdline", text, sizeof(text)), first = strlen(text);
        const char *name = strrchr(text, '/') ? strrchr(text, '/') + 1 : text;

        return strcmp(name, who) == 0 || (n > first + 1 && strcmp(text + first + 1, who) == 0);
}
static int is_ours(void) {
        char text[256];
        const char *name;

        get("/proc/self/cmdline", text, sizeof(text));
        name = strrchr(text, '/') ? strrchr(text, '/') + 1 : text;
        return strcmp(name, "cmkd") == 0 || strcmp(name, "cmkd-disk") == 0;
}
static int is_step(const char *name, int fd, const char *path, int when) {
        struct stat st;
        int steps;

        if (!is_ours() || (strcmp(name, "pwrite") != 0 && strcmp(name, "fsync") != 0 && strcmp(name, "rename") != 0) ||
            (path && !strstr(path, "/lib/cmkd/")) || (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISBLK(st.st_mode))))
                return 0;
        steps = open(STEPS, O_WRONLY|O_APPEND|O_CREAT|O_CLOEXEC, 0600);
        if (steps < 0 || syscall(SYS_write, steps, name, 1) != 1 || fstat(steps, &st) < 0)
                return 0;
        close(steps);
        return st.st_size == when;
}
static void count(const char *name, int fd, const char *path) {
        static int calls;
        char text[128], *rest = text, *who, *call, *when, *pid;
        struct stat st;

        if (get(POINT, text, sizeof(text)) == 0)
                return;
        who = strsep(&rest, " ");
        call = strsep(&rest, " ");
        when = strsep(&rest, " ");
        pid = strsep(&rest, " ");
        if (!pid)
                return;
        if (strcmp(who, "any") == 0) {
                if (!is_step(name, fd, path, atoi(when)))
                        return;
        } else if (strcmp(call, name) != 0 || !is_me(who) || (path && !strstr(path, "/trust/") && !strstr(path, "/personalize/")) ||
                   (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISBLK(st.st_mode))) ||
                   (strcmp(name, "half") == 0 ? lseek(fd, 0, SEEK_CUR) >> 24 : ++calls) != atoi(when))
                return;
        if (syscall(SYS_rename, NEXT, POINT) < 0)
                unlink(POINT);
        if (atoi(pid) == -2) {
                kill(getpid(), SIGSTOP);
                return;
        }
        if (atoi(pid) == -1)
                kill(getpid(), SIGKILL);
        if (atoi(pid) > 0) {
                kill(atoi(pid), SIGKILL);
                kill(getpid(), SIGKILL);
        }
        fd = open("/proc/sysrq-trigger", O_WRONLY);
        for (;;)
                (void) !write(fd, "b", 1);
}
ssize_t pwrite(int fd, const void *buf, size_t size, off_t offset) {
        count("pwrite", fd, NULL);
        return syscall(SYS_pwrite64, fd, buf, size, offset);
}
/* progress: a word of cmkd-disk about its progress, which follows a part that is done; ended: the one that says that all are; part: what
 * libcryptsetup writes of one that is half-way; half: half of that is written, WHEN being which 16 MiB of the disk it is. */
ssize_t write(int fd, const void *buf, size_t size) {
        const unsigned long long *said = buf;
        size_t half = 0;
        ssize_t n;

        if (size == 2 * sizeof(*said)) {
                count("progress", -1, NULL);
                if (said[0] == said[1])
                        count("ended", -1, NULL);
        } else if (size >= 1 << 20)
                count("part", fd, NULL);
        if (size > 1 << 20) {
                half = size / 8192 * 4096;
                n = syscall(SYS_write, fd, buf, half);
                if (n != (ssize_t) half)
                        return n;
                count("half", fd, NULL);
        }
        n = syscall(SYS_write, fd, (const char *) buf + half, size - half);
        return n < 0 && half == 0 ? n : (ssize_t) half + (n < 0 ? 0 : n);
}
int fsync(int fd) {
        count("fsync", fd, NULL);
        return syscall(SYS_fsync, fd);
}
int flock(int fd, int operation) {
        count("flock", -1, NULL);
        return syscall(SYS_flock, fd, operation);
}
int rename(const char *from, const char *to) {
        count("rename", -1, to);
        return syscall(SYS_rename, from, to);
}
int posix_fadvise(int fd, off_t offset, off_t size, int advice) {
        count("fadvise", fd, NULL);
        return syscall(SYS_fadvise64, fd, offset, size, advice) < 0 ? errno : 0;
}
"""


def is_whole(copy):
    at = luks2.CHECKSUM
    zeroed = copy[:at.start] + bytes(at.stop - at.start) + copy[at.stop:]
    return copy[at][:32] == hashlib.sha256(zeroed).digest()


def install(node, artifacts):
    """From the next start of a program on it looks for its point: restart cmkd."""
    (artifacts / "killer.c").write_text(KILLER)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", artifacts / "killer.so", artifacts / "killer.c"], check=True)
    node.push(artifacts / "killer.so", LIBRARY)
    node.write("/etc/ld.so.preload", LIBRARY + "\n")


class Rotations:
    """A volume that is open and mounted, and is rotated again and again."""

    def __init__(self, node, vault, artifacts):
        self.node, self.vault = node, vault
        self.points = 0
        install(node, artifacts)
        self.key = product.fresh(node, vault, policy=revoke.REVOKE)
        node.sh("systemctl restart cmkd.service", timeout=120)
        product.volume(node, self.key)
        revoke.known_file(node)

    def header(self):
        """The metadata of the copy that counts: killed between the two, they differ."""
        running = self.node.start_command(["head", "-c", str(2 * luks2.SIZE), DEVICE])
        assert running.wait(60).status == 0
        copies = [bytes(running.out[at:at + luks2.SIZE]) for at in (0, luks2.SIZE)]
        best = max((c for c in copies if is_whole(c)), key=lambda c: luks2.BINARY.unpack_from(c)[3])
        return json.loads(best[4096:].rstrip(b"\0"))

    def tokens(self):
        return [t["key"] for t in self.header()["tokens"].values()]

    def new_version(self):
        return self.vault.ctl("rotate", "k1")["kid"]

    def arm(self, who, call, when, power=False):
        pid = 0 if power else self.node.out("systemctl show -P MainPID cmkd.service")
        self.node.write("/run/cmkd-test-point", f"{who} {call} {when} {pid}")

    def finish(self, new, where):
        """From wherever it is: it opens, what is left is said, and the same command ends it."""
        node = self.node
        self.points += 1
        product.wait_state(node, "attached", timeout=300)
        said, tokens = product.status(node), self.tokens()
        left = [t for t in tokens if t != said["key"]]
        print(f"{where}: as {'after' if said['key'] == new else 'before'} it, {len(left)} left over", flush=True)
        assert said["key"] in (self.key, new) and set(tokens) <= {self.key, new}, (said, tokens)
        assert all(any(t in f and "cmkctl rotate" in f for f in said["findings"]) for t in left), said["findings"]
        doctor = json.loads(node.sh("cmkctl doctor --json", check=False, timeout=120).out)["findings"]
        assert len([f for f in doctor if f["id"] == "left-over"]) == len(left), (left, doctor)
        # udev may have opened it already; nothing of before is in the page cache
        node.sh("umount -A /dev/mapper/data1; cmkctl detach data1; cmkctl attach data1 && mount /dev/mapper/data1 /mnt", timeout=240)
        revoke.assert_intact(node)
        node.sh("cmkctl rotate data1", timeout=240)
        self.done(new)

    def done(self, new):
        said, header = product.status(self.node), self.header()
        assert said["key"] == new and not said["findings"], said
        assert [t["key"] for t in header["tokens"].values()] == [new] and len(header["keyslots"]) == 1, header
        revoke.assert_intact(self.node)
        self.key = new

    def killed_at(self, who, call, when):
        """False: there is no such call, and it was rotated."""
        new = self.new_version()
        self.arm(who, call, when)
        done = self.node.sh("cmkctl rotate data1", check=False, timeout=240)
        if done.status == 0:
            self.node.sh("rm -f /run/cmkd-test-point")
            self.done(new)
            return False
        self.finish(new, f"killed at {who} {call} {when}")
        return True

    def killed_while_asked(self, op, skip, of_new=True):
        """While the vault has a request, which is never answered."""
        new = self.new_version()
        version = ["--version", new.rpartition("/")[2]] if of_new else []
        fault = self.vault.fault("hang", "--op", op, "--key", "k1", *version, "--skip", str(skip), "--count", "1")
        running = self.node.start_command("exec cmkctl rotate data1")
        self.vault.wait_taken(fault, 180)
        self.node.sh("systemctl kill -s KILL --kill-whom=main cmkd.service")
        running.wait(120)
        self.vault.ctl("drop")
        self.finish(new, f"killed while the vault has {op} {skip + 1}{' of the new version' if of_new else ''}")

    def power_cut_at(self, who, call, when):
        new = self.new_version()
        self.node.sh("sync")
        self.arm(who, call, when, power=True)
        self.node.start_command("exec cmkctl rotate data1")
        self.node.wait_ended(240)
        self.node.boot()
        product.start(self.node, timeout=300)
        self.node.sh("cmkctl attach data1 && mount /dev/mapper/data1 /mnt", timeout=240)
        self.finish(new, f"power cut at {who} {call} {when}")

    def end(self):
        self.node.sh("umount /mnt && cmkctl detach data1 && rm /etc/ld.so.preload && cmkctl audit verify", timeout=240)
        print("interrupted at", self.points, "points")
