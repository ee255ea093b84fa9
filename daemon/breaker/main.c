/* SPDX-License-Identifier: Apache-2.0 */

/* cmkd-breaker: everything that may fail for want of something is done here, before it says that it is ready. */

#include "breaker.h"
#include "say.h"
#include "takeover.h"

#include "common/link.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define STATE_DIRECTORY "/run/cmkd"
#define STATE_FILE STATE_DIRECTORY "/breaker.state"

static int listen_socket(void) {
        const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
        uint64_t v;
        int fd;

        if (pid && fds && parse_u64(pid, INT32_MAX, &v) >= 0 && (pid_t) v == getpid() &&
            parse_u64(fds, 1, &v) >= 0 && v == 1) {
                if (fcntl(3, F_SETFD, FD_CLOEXEC) < 0 || fcntl(3, F_SETFL, O_NONBLOCK) < 0)
                        return -errno;
                return 3;
        }
        fd = link_listen(BREAKER_SOCKET, 0600);
        if (fd >= 0 && fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
                return -errno;
        return fd;
}

static int open_clocks(struct breaker *b) {
        /* The alarm clock wakes a machine that sleeps with the key in its memory, where it is allowed to. */
        b->boottime_fd = timerfd_create(CLOCK_BOOTTIME_ALARM, TFD_CLOEXEC|TFD_NONBLOCK);
        if (b->boottime_fd < 0)
                b->boottime_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC|TFD_NONBLOCK);
        b->realtime_fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC|TFD_NONBLOCK);
        return b->boottime_fd < 0 || b->realtime_fd < 0 ? -errno : 0;
}

static int open_signals(struct breaker *b) {
        sigset_t mask;

        sigfillset(&mask);
        sigprocmask(SIG_SETMASK, &mask, NULL);
        sigemptyset(&mask);
        sigaddset(&mask, SIGTERM);
        sigaddset(&mask, SIGINT);
        b->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC|SFD_NONBLOCK);
        return b->signal_fd < 0 ? -errno : 0;
}

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#define REFUSE(number) \
        BPF_JUMP(BPF_JMP|BPF_JEQ|BPF_K, (number), 0, 1), BPF_STMT(BPF_RET|BPF_K, SECCOMP_RET_ERRNO|EPERM)

/* No program is ever started from here, and no socket made after the start. */
static int forbid_programs(void) {
#ifdef ARCHITECTURE
        static const struct sock_filter code[] = {
                BPF_STMT(BPF_LD|BPF_W|BPF_ABS, offsetof(struct seccomp_data, arch)),
                BPF_JUMP(BPF_JMP|BPF_JEQ|BPF_K, ARCHITECTURE, 1, 0),
                BPF_STMT(BPF_RET|BPF_K, SECCOMP_RET_KILL_PROCESS),
                BPF_STMT(BPF_LD|BPF_W|BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP|BPF_JGE|BPF_K, 0x40000000, 0, 1),       /* the x32 numbers */
                BPF_STMT(BPF_RET|BPF_K, SECCOMP_RET_ERRNO|EPERM),
                REFUSE(SYS_execve), REFUSE(SYS_execveat), REFUSE(SYS_socket), REFUSE(SYS_connect), REFUSE(SYS_ptrace),
                REFUSE(SYS_bpf), REFUSE(SYS_init_module), REFUSE(SYS_finit_module), REFUSE(SYS_mount),
                BPF_STMT(BPF_RET|BPF_K, SECCOMP_RET_ALLOW),
        };
        const struct sock_fprog program = { ELEMENTSOF(code), (struct sock_filter *) code };

        /* Positive: the number of a thread that cannot be brought under it. */
        long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);

        return r < 0 ? -errno : r > 0 ? -ESRCH : 0;
#else
        return 0;
#endif
}

/* From here on no page of ours has to come from anywhere. */
static int lock_memory(void) {
        static const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY }, none = { 0, 0 };
        const struct sched_param first = { .sched_priority = 1 };
        volatile char stack[256 * 1024];

        (void) setrlimit(RLIMIT_MEMLOCK, &all);
        (void) setrlimit(RLIMIT_CORE, &none);
        (void) prctl(PR_SET_DUMPABLE, 0);
        (void) prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        (void) sched_setscheduler(0, SCHED_FIFO, &first);
        if (mlockall(MCL_CURRENT|MCL_FUTURE) < 0)
                return -errno;
        for (size_t i = 0; i < sizeof(stack); i += 1024)
                stack[i] = 0;
        return 0;
}

static int setup(struct breaker *b) {
        unsigned dropped = 0;
        int control, r;

        umask(077);
        b->listen_fd = b->signal_fd = b->boottime_fd = b->realtime_fd = -EBADF;
        for (size_t i = 0; i < BREAKER_CLIENTS_MAX; i++)
                b->clients[i] = (struct client) { .fd = -EBADF, .list_next = -1 };
        (void) mkdir(STATE_DIRECTORY, 0755);
        r = lock_memory();
        if (r < 0)
                say(LOG_ALERT, "The memory of this process cannot be locked: %s", strerror(-r));
        r = table_open(STATE_FILE, &b->table, &dropped);
        if (r < 0) {
                say(LOG_ERR, "%s cannot be used: %s", STATE_FILE, strerror(-r));
                return r;
        }
        if (dropped > 0)
                say(LOG_ALERT, "%s was damaged or of another version: %u slots lost", STATE_FILE, dropped);
        control = dm_open_control();
        if (control < 0)
                say(LOG_ALERT, "device-mapper cannot be reached, nothing can be cut: %s", strerror(-control));
        b->sysrq_fd = open("/proc/sysrq-trigger", O_WRONLY|O_CLOEXEC);
        r = open_signals(b);
        if (r >= 0)
                r = open_clocks(b);
        if (r >= 0)
                r = workers_start(control, &b->workers);
        if (r >= 0)
                r = b->listen_fd = listen_socket();
        return r < 0 ? r : forbid_programs();
}

static void follow(void) {
        pid_t from = 0;
        int r;

        r = takeover(STATE_FILE, &from);
        if (r < 0)
                say(LOG_WARNING, "An earlier breaker may still run: %s", strerror(-r));
        else if (from > 0)
                say(LOG_NOTICE, "Took over from process %d", (int) from);
}

/* 0: go on. It takes nothing: what it has to know comes over its socket. */
static int read_arguments(int argc, char *argv[], int *ret_status) {
        bool is_help = argc == 2 && (streq(argv[1], "--help") || streq(argv[1], "-h"));

        if (argc <= 1)
                return 0;
        dprintf(is_help ? STDOUT_FILENO : STDERR_FILENO,
                "cmkd-breaker\n\nMakes volumes unreadable when their time is over. Started by cmkd-breaker.service, or by cmkd; it takes\n"
                "no arguments. See cmkd(8).\n");
        *ret_status = is_help ? EXIT_SUCCESS : 2;
        return 1;
}

int main(int argc, char *argv[]) {
        static struct breaker breaker;
        unsigned armed;
        int r, status;

        if (read_arguments(argc, argv, &status))
                return status;
        say_init();
        r = setup(&breaker);
        if (r < 0) {
                say(LOG_ERR, "Cannot start: %s", strerror(-r));
                return EXIT_FAILURE;
        }
        breaker.watchdog_usec = say_watchdog_usec();
        breaker.sleep.asleep_usec = sleep_total(now_boottime_usec(), now_monotonic_usec());
        (void) breaker_step(&breaker);          /* everything is armed: now the earlier one may go */
        follow();
        armed = table_count_armed(breaker.table);
        if (armed > 0)
                say(LOG_NOTICE, "%u volumes were armed before and still are", armed);
        say_to_manager("READY=1\nSTATUS=Holding deadlines");
        breaker_run(&breaker);
        say_to_manager("STOPPING=1");
        return EXIT_SUCCESS;
}
