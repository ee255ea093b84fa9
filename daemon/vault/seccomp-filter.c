/* SPDX-License-Identifier: Apache-2.0 */
#include "seccomp-filter.h"

#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#define CALL(name) SCMP_SYS(name)
#define WRITING (O_ACCMODE|O_CREAT|O_TRUNC|O_APPEND)

/* Negative: not on this architecture. */
static const int allowed[] = {
        /* input and output on what is open */
        CALL(read), CALL(write), CALL(readv), CALL(writev), CALL(pread64), CALL(lseek), CALL(close), CALL(fcntl),
        CALL(dup), CALL(dup3), CALL(pipe2), CALL(eventfd2), CALL(poll), CALL(ppoll), CALL(select), CALL(pselect6),
        CALL(epoll_create1), CALL(epoll_ctl), CALL(epoll_wait), CALL(epoll_pwait), CALL(signalfd4),
        /* files, by name: only looked at */
        CALL(stat), CALL(lstat), CALL(fstat), CALL(newfstatat), CALL(statx), CALL(access), CALL(faccessat),
        CALL(faccessat2), CALL(readlink), CALL(readlinkat), CALL(getdents64), CALL(fstatfs), CALL(fadvise64),
        /* sockets */
        CALL(socketpair), CALL(connect), CALL(bind), CALL(accept), CALL(accept4), CALL(shutdown), CALL(getsockopt),
        CALL(setsockopt), CALL(getsockname), CALL(getpeername), CALL(sendto), CALL(recvfrom), CALL(sendmsg),
        CALL(recvmsg), CALL(sendmmsg), CALL(recvmmsg),
        /* memory */
        CALL(brk), CALL(munmap), CALL(mremap), CALL(madvise), CALL(mlock), CALL(mlock2), CALL(munlock),
        CALL(memfd_secret), CALL(ftruncate), CALL(membarrier),
        /* threads, time, ourselves */
        CALL(futex), CALL(futex_waitv), CALL(set_robust_list), CALL(rseq), CALL(set_tid_address), CALL(gettid),
        CALL(getpid), CALL(getppid), CALL(getuid), CALL(geteuid), CALL(getgid), CALL(getegid), CALL(sched_yield),
        CALL(sched_getaffinity), CALL(sysinfo), CALL(uname), CALL(getrandom), CALL(clock_gettime), CALL(clock_getres),
        CALL(clock_nanosleep), CALL(nanosleep), CALL(gettimeofday), CALL(time), CALL(restart_syscall),
        CALL(rt_sigaction), CALL(rt_sigprocmask), CALL(rt_sigreturn), CALL(sigaltstack), CALL(tgkill), CALL(getrlimit),
        CALL(exit), CALL(exit_group),
};

static const int deadly[] = {
        CALL(execve), CALL(execveat), CALL(fork), CALL(vfork), CALL(ptrace), CALL(process_vm_readv),
        CALL(process_vm_writev), CALL(setuid), CALL(setgid), CALL(setreuid), CALL(setregid), CALL(setresuid),
        CALL(setresgid), CALL(setgroups), CALL(capset), CALL(mount), CALL(umount2), CALL(pivot_root), CALL(chroot),
        CALL(unshare), CALL(setns), CALL(init_module), CALL(finit_module), CALL(delete_module), CALL(bpf),
        CALL(perf_event_open), CALL(keyctl), CALL(add_key), CALL(request_key), CALL(userfaultfd), CALL(io_uring_setup),
        CALL(io_uring_enter), CALL(io_uring_register), CALL(open_by_handle_at), CALL(kexec_load), CALL(kexec_file_load),
        CALL(reboot), CALL(listen), CALL(mknod), CALL(mknodat), CALL(pidfd_getfd), CALL(personality),
};

static const int families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK };

static int add_checked(scmp_filter_ctx f) {
        const uint64_t wx = PROT_WRITE|PROT_EXEC;
        const struct { int call; struct scmp_arg_cmp arg; } rules[] = {
                { CALL(openat), SCMP_A2(SCMP_CMP_MASKED_EQ, WRITING, O_RDONLY) },
                { CALL(open), SCMP_A1(SCMP_CMP_MASKED_EQ, WRITING, O_RDONLY) },
                { CALL(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0) },
                { CALL(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, wx, PROT_EXEC) },       /* the resolver's plug-ins */
                { CALL(mprotect), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0) },
                { CALL(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD) },
                { CALL(prctl), SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME) },
                { CALL(ioctl), SCMP_A1(SCMP_CMP_EQ, FIONREAD) },
                { CALL(ioctl), SCMP_A1(SCMP_CMP_EQ, FIONBIO) },
                { CALL(prlimit64), SCMP_A2(SCMP_CMP_EQ, 0) },                     /* asking, not setting */
        };
        int r;

        for (size_t i = 0; i < ELEMENTSOF(rules); i++) {
                r = seccomp_rule_add_array(f, SCMP_ACT_ALLOW, rules[i].call, 1, &rules[i].arg);
                if (r < 0 && r != -EDOM)
                        return r;
        }
        for (size_t i = 0; i < ELEMENTSOF(families); i++) {
                r = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(socket), 1,
                                     SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t) families[i]));
                if (r < 0)
                        return r;
        }
        /* its flags are in memory, where a filter cannot look: the C library falls back to clone */
        return seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), CALL(clone3), 0);
}

static int add_list(scmp_filter_ctx f, uint32_t action, const int *calls, size_t n) {
        for (size_t i = 0; i < n; i++) {
                int r = calls[i] < 0 ? 0 : seccomp_rule_add(f, action, calls[i], 0);

                if (r < 0)
                        return r;
        }
        return 0;
}

static void releasep(scmp_filter_ctx *f) {
        if (*f)
                seccomp_release(*f);
}

int seccomp_filter_load(bool modules) {
        _cleanup_(releasep) scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
        int r;

        if (!f)
                return -ENOMEM;
        r = seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
        if (r >= 0)
                r = add_list(f, SCMP_ACT_ALLOW, allowed, ELEMENTSOF(allowed));
        if (r >= 0)
                r = add_list(f, SCMP_ACT_KILL_PROCESS, deadly, ELEMENTSOF(deadly));
        if (r >= 0)
                r = add_checked(f);
        if (r >= 0 && modules)
                r = seccomp_rule_add(f, SCMP_ACT_ALLOW, CALL(openat), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, O_APPEND, 0));
        if (r >= 0)
                r = seccomp_load(f);
        return r;
}
