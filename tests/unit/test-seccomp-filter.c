/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/vault/seccomp-filter.c
// libs: libseccomp

/* Each attempt is made by a child of its own that has just loaded the filter, with bare system calls. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vault/seccomp-filter.h"

#define KILLED (-1)     /* by SIGSYS */

static bool modules;

/* The errno of a call under the filter, 0, or KILLED. */
static int attempt(long call, long a, long b, long c, long d, long e) {
        pid_t pid = fork();
        int status;

        assert_true(pid >= 0);
        if (pid == 0) {
                long r;

                if (seccomp_filter_load(modules) < 0)
                        _exit(200);
                r = syscall(call, a, b, c, d, e, 0L);
                syscall(SYS_exit_group, r < 0 ? errno : 0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (WIFSIGNALED(status)) {
                assert_int_equal(WTERMSIG(status), SIGSYS);
                return KILLED;
        }
        assert_int_not_equal(WEXITSTATUS(status), 200);
        return WEXITSTATUS(status);
}

static void test_deadly(void **state _unused_) {
        static char *argv[] = { (char *) "/bin/true", NULL };

        assert_int_equal(attempt(SYS_execve, (long) argv[0], (long) argv, (long) argv, 0, 0), KILLED);
        assert_int_equal(attempt(SYS_execveat, AT_FDCWD, (long) argv[0], (long) argv, (long) argv, 0), KILLED);
        assert_int_equal(attempt(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0, 0), KILLED);
        assert_int_equal(attempt(SYS_setuid, 0, 0, 0, 0, 0), KILLED);
        assert_int_equal(attempt(SYS_setresuid, 0, 0, 0, 0, 0), KILLED);
        assert_int_equal(attempt(SYS_unshare, CLONE_NEWUSER, 0, 0, 0, 0), KILLED);
        assert_int_equal(attempt(SYS_mount, 0, 0, 0, 0, 0), KILLED);
        assert_int_equal(attempt(SYS_bpf, 0, 0, 0, 0, 0), KILLED);
        assert_int_equal(attempt(SYS_keyctl, 0, 0, 0, 0, 0), KILLED);
        assert_int_equal(attempt(SYS_add_key, 0, 0, 0, 0, 0), KILLED);
        assert_int_equal(attempt(SYS_io_uring_setup, 1, 0, 0, 0, 0), KILLED);
        assert_int_equal(attempt(SYS_listen, 0, 1, 0, 0, 0), KILLED);
}

static void test_refused(void **state _unused_) {
        assert_int_equal(attempt(SYS_openat, AT_FDCWD, (long) "/tmp", O_RDWR|O_CREAT, 0600, 0), EPERM);
        assert_int_equal(attempt(SYS_openat, AT_FDCWD, (long) "/dev/null", O_WRONLY, 0, 0), EPERM);
        assert_int_equal(attempt(SYS_openat, AT_FDCWD, (long) "/dev/null", O_RDONLY|O_TRUNC, 0, 0), EPERM);
        assert_int_equal(attempt(SYS_unlinkat, AT_FDCWD, (long) "/nonexistent", 0, 0, 0), EPERM);
        assert_int_equal(attempt(SYS_renameat2, AT_FDCWD, (long) "/a", AT_FDCWD, (long) "/b", 0), EPERM);
        assert_int_equal(attempt(SYS_socket, AF_PACKET, SOCK_RAW, 0, 0, 0), EPERM);
        assert_int_equal(attempt(SYS_socket, AF_VSOCK, SOCK_STREAM, 0, 0, 0), EPERM);
        assert_int_equal(attempt(SYS_socket, AF_ALG, SOCK_SEQPACKET, 0, 0, 0), EPERM);
        assert_int_equal(attempt(SYS_mmap, 0, 4096, PROT_WRITE|PROT_EXEC, MAP_PRIVATE|MAP_ANONYMOUS, -1), EPERM);
        assert_int_equal(attempt(SYS_mprotect, 0, 4096, PROT_READ|PROT_EXEC, 0, 0), EPERM);
        assert_int_equal(attempt(SYS_clone, SIGCHLD, 0, 0, 0, 0), EPERM);
        assert_int_equal(attempt(SYS_clone3, 0, 0, 0, 0, 0), ENOSYS);
        assert_int_equal(attempt(SYS_kill, 1, 0, 0, 0, 0), EPERM);
        assert_int_equal(attempt(SYS_prctl, 4 /* PR_SET_DUMPABLE */, 1, 0, 0, 0), EPERM);
        assert_int_equal(attempt(SYS_ioctl, 0, 0x5412 /* TIOCSTI */, 0, 0, 0), EPERM);
        assert_int_equal(attempt(SYS_prlimit64, 0, RLIMIT_CORE, (long) &(struct rlimit) { 1, 1 }, 0, 0), EPERM);
}

static void test_allowed(void **state _unused_) {
        struct rlimit l;

        assert_int_equal(attempt(SYS_openat, AT_FDCWD, (long) "/dev/null", O_RDONLY|O_CLOEXEC, 0, 0), 0);
        assert_int_equal(attempt(SYS_socket, AF_INET, SOCK_STREAM, 0, 0, 0), 0);
        assert_int_equal(attempt(SYS_socket, AF_UNIX, SOCK_STREAM, 0, 0, 0), 0);
        assert_int_equal(attempt(SYS_prlimit64, 0, RLIMIT_CORE, 0, (long) &l, 0), 0);
        assert_int_equal(attempt(SYS_getrandom, (long) &l, sizeof(l), 0, 0, 0), 0);
        assert_int_equal(attempt(SYS_mprotect, 0, 0, PROT_READ, 0, 0), 0);
}

/* With PKCS#11 modules files may be written, as far as their permissions go, and nothing else. */
static void test_modules(void **state _unused_) {
        modules = true;
        assert_int_equal(attempt(SYS_openat, AT_FDCWD, (long) "/dev/null", O_RDWR|O_CREAT, 0600, 0), 0);
        assert_int_equal(attempt(SYS_openat, AT_FDCWD, (long) "/dev/null", O_WRONLY|O_CREAT|O_TRUNC, 0600, 0), 0);
        assert_int_equal(attempt(SYS_unlinkat, AT_FDCWD, (long) "/nonexistent", 0, 0, 0), EPERM);
        assert_int_equal(attempt(SYS_renameat2, AT_FDCWD, (long) "/a", AT_FDCWD, (long) "/b", 0), EPERM);
        assert_int_equal(attempt(SYS_fchmodat, AT_FDCWD, (long) "/nonexistent", 0777, 0, 0), EPERM);
        assert_int_equal(attempt(SYS_mkdirat, AT_FDCWD, (long) "/nonexistent", 0777, 0, 0), EPERM);
        assert_int_equal(attempt(SYS_mmap, 0, 4096, PROT_WRITE|PROT_EXEC, MAP_PRIVATE|MAP_ANONYMOUS, -1), EPERM);
        assert_int_equal(attempt(SYS_execve, (long) "/bin/true", 0, 0, 0, 0), KILLED);
        modules = false;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_deadly), cmocka_unit_test(test_refused), cmocka_unit_test(test_allowed),
                cmocka_unit_test(test_modules),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
