# SPDX-License-Identifier: Apache-2.0
"""Kills a cmkd-disk at a point of its work: in the node, where the client of tests/unit drives it."""

import subprocess

# Preloaded into the child: SIGKILL instead of its N-th call of that name on a block device (flock: on the lock; progress: of a word about
# its progress, which follows a part that is done; ended: of the one that says that all are). Tracing
# it would take a minute a run, since libcryptsetup locks memory for every block of a keyslot.
KILLER = """
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
static void count(const char *name, int fd, int any) {
        static int calls;
        struct stat st;

        if (strcmp(getenv("KILL_CALL"), name) == 0 && (any || (fstat(fd, &st) == 0 && S_ISBLK(st.st_mode))) &&
            ++calls == atoi(getenv("KILL_WHEN")))
                kill(getpid(), SIGKILL);
}
ssize_t pwrite(int fd, const void *buf, size_t size, off_t offset) {
        count("pwrite", fd, 0);
        return syscall(SYS_pwrite64, fd, buf, size, offset);
}
ssize_t write(int fd, const void *buf, size_t size) {
        const unsigned long long *progress = buf;

        if (size == 2 * sizeof(*progress)) {
                count("progress", fd, 1);
                if (progress[0] == progress[1])
                        count("ended", fd, 1);
        }
        return syscall(SYS_write, fd, buf, size);
}
int fsync(int fd) {
        count("fsync", fd, 0);
        return syscall(SYS_fsync, fd);
}
int flock(int fd, int operation) {
        count("flock", fd, 1);
        return syscall(SYS_flock, fd, operation);
}
int posix_fadvise(int fd, off_t offset, off_t size, int advice) {
        count("fadvise", fd, 0);
        return syscall(SYS_fadvise64, fd, offset, size, advice) < 0 ? errno : 0;
}
"""
ARM = """
import os
def arm(call=None, when=0):
    start = f"LD_PRELOAD=/run/kill-at.so KILL_CALL={call} KILL_WHEN={when} exec" if call else "exec"
    with open("/run/killed/cmkd-disk", "w") as f:
        f.write(f'#!/bin/sh\\n{start} /usr/lib/cmkd/cmkd-disk "$@"\\n')
    os.chmod("/run/killed/cmkd-disk", 0o755)
"""


def prepare(node, artifacts):
    """/run/killer.py in the node: arm(call, n) kills the next child of programs="/run/killed" in place of its n-th call."""
    (artifacts / "killer.c").write_text(KILLER)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", artifacts / "kill-at.so", artifacts / "killer.c"], check=True)
    node.push(artifacts / "kill-at.so", "/run/kill-at.so")
    node.write("/run/killer.py", ARM)
    node.sh("mkdir -p /run/killed")
