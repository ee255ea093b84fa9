/* SPDX-License-Identifier: Apache-2.0 */
#include "early.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "common/audit-proto.h"
#include "common/breaker-proto.h"
#include "common/link.h"
#include "common/log.h"
#include "common/paths.h"
#include "common/vault-proto.h"

#define LISTEN_FD 3
#define DELAY_MIN_USEC (200 * USEC_PER_MSEC)
#define DELAY_MAX_USEC (10 * USEC_PER_SEC)
#define STOP_MSEC 5000

struct program {
        const char *path, *name, *argument, *socket;
        bool on_demand, stays;
};

/* In the order in which they are started; stopped in the opposite one. '@': systemd spares it in its killing sprees. */
static const struct program programs[] = {
        { "/usr/lib/cmkd/cmkd-breaker", "@cmkd-breaker", NULL, BREAKER_SOCKET, false, true },
        { "/usr/lib/cmkd/cmkd-audit", "cmkd-audit", "--early", AUDIT_SOCKET, false, false },
        { "/usr/lib/cmkd/cmkd-vault", "cmkd-vault", NULL, VAULT_SOCKET, true, false },
};

struct service {
        const struct program *program;
        sd_event *event;
        int listen_fd, pidfd;
        pid_t pid;                     /* 0: does not run */
        uint64_t started_usec;
        unsigned failures;             /* in a row */
        sd_event_source *wanted, *ended, *later;
};

struct early {
        sd_event *event;
        struct service services[ELEMENTSOF(programs)];
};

/* In the child: the socket as descriptor 3, nothing above it, signals as at birth. Async-signal-safe but for the
 * environment, which only this single-threaded process could disturb. */
static __attribute__((noreturn)) void become(const struct service *s, pid_t parent) {
        char pid[32], *const environment[] = {
                (char *) "PATH=/usr/sbin:/usr/bin:/sbin:/bin", (char *) "LC_ALL=C.UTF-8", (char *) "LISTEN_FDS=1", pid, NULL,
        };
        char *const argv[] = { (char *) s->program->name, (char *) s->program->argument, NULL };
        sigset_t none;
        int null;

        if (!s->program->stays && (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent))
                _exit(126);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        for (int n = 1; n < NSIG; n++)
                signal(n, SIG_DFL);
        (void) setsid();
        null = open("/dev/null", O_RDWR|O_CLOEXEC);
        if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
            (s->listen_fd == LISTEN_FD ? fcntl(LISTEN_FD, F_SETFD, 0) : dup2(s->listen_fd, LISTEN_FD)) < 0 ||
            syscall(SYS_close_range, LISTEN_FD + 1, ~0U, 0) < 0)
                _exit(126);
        snprintf(pid, sizeof(pid), "LISTEN_PID=%d", (int) getpid());
        execve(s->program->path, argv, environment);
        _exit(127);
}

static int start(struct service *s);

static int on_later(sd_event_source *source _unused_, uint64_t usec _unused_, void *user) {
        struct service *s = user;

        s->later = sd_event_source_disable_unref(s->later);
        if (s->program->on_demand)
                return sd_event_source_set_enabled(s->wanted, SD_EVENT_ON);
        return start(s);
}

static int start_later(struct service *s) {
        uint64_t delay = s->failures < 6 ? DELAY_MIN_USEC << s->failures : DELAY_MAX_USEC;

        s->later = sd_event_source_disable_unref(s->later);
        return sd_event_add_time_relative(s->event, &s->later, CLOCK_BOOTTIME, delay, 0, on_later, s);
}

static int on_ended(sd_event_source *source _unused_, int fd _unused_, uint32_t events _unused_, void *user) {
        struct service *s = user;
        int status = 0;
        pid_t pid;

        pid = waitpid(s->pid, &status, WNOHANG);
        if (pid == 0)
                return 0;
        s->ended = sd_event_source_disable_unref(s->ended);
        s->pidfd = safe_close(s->pidfd);
        s->pid = 0;
        if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
                s->failures = 0;
        else {
                s->failures = now_boottime_usec() - s->started_usec > DELAY_MAX_USEC ? 1 : s->failures + 1;
                log_error("%s ended (%s %d)", s->program->name, WIFSIGNALED(status) ? "signal" : "status",
                          WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        }
        return start_later(s);
}

/* Returns 0 or what adding an event source says; that it could not be started is logged and tried again. */
static int start(struct service *s) {
        pid_t parent = getpid();

        s->started_usec = now_boottime_usec();
        s->pid = fork();
        if (s->pid == 0)
                become(s, parent);
        if (s->pid > 0)
                s->pidfd = (int) syscall(SYS_pidfd_open, s->pid, 0);
        if (s->pid < 0 || s->pidfd < 0) {
                log_error("%s cannot be started: %s", s->program->name, strerror(errno));
                if (s->pid > 0) {
                        kill(s->pid, SIGKILL);
                        (void) waitpid(s->pid, NULL, 0);
                }
                s->pid = 0;
                s->failures++;
                return start_later(s);
        }
        return sd_event_add_io(s->event, &s->ended, s->pidfd, EPOLLIN, on_ended, s);
}

/* Somebody has connected and nobody accepts: it stays readable, hence not looked at again until the program ended. */
static int on_wanted(sd_event_source *source, int fd _unused_, uint32_t events _unused_, void *user) {
        int r = sd_event_source_set_enabled(source, SD_EVENT_OFF);

        return r < 0 ? r : start(user);
}

static int service_new(struct service *s, sd_event *event, const struct program *p) {
        s->program = p;
        s->event = event;
        s->listen_fd = link_listen(p->socket, 0600);
        if (s->listen_fd < 0) {
                log_error("%s: %s", p->socket, strerror(-s->listen_fd));
                return s->listen_fd;
        }
        return p->on_demand ? sd_event_add_io(event, &s->wanted, s->listen_fd, EPOLLIN, on_wanted, s) : start(s);
}

static int write_pid(void) {
        _cleanup_(closep) int fd = open(EARLY_DIRECTORY "/pid", O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC|O_NOFOLLOW, 0600);
        char text[16];

        if (fd < 0)
                return -errno;
        snprintf(text, sizeof(text), "%d\n", (int) getpid());
        return write_all(fd, text, strlen(text));
}

int early_new(struct early **ret) {
        _cleanup_(early_freep) struct early *e = calloc(1, sizeof(*e));
        int r;

        if (!e)
                return -ENOMEM;
        for (size_t i = 0; i < ELEMENTSOF(programs); i++)
                e->services[i].listen_fd = e->services[i].pidfd = -EBADF;
        /* 0755: the worker, which is not root, reads cmkd.conf.d there. */
        r = mkdir_parents("/run/cmkd", 0755);
        if (r >= 0 && chmod("/run/cmkd", 0755) < 0)
                r = -errno;
        if (r >= 0)
                r = mkdir_parents(EARLY_DIRECTORY, 0700);
        if (r >= 0)
                r = write_pid();
        if (r >= 0)
                r = sd_event_default(&e->event);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(programs); i++)
                r = service_new(&e->services[i], e->event, &programs[i]);
        if (r < 0) {
                log_error("The other programs cannot be started: %s", strerror(-r));
                return r;
        }
        *ret = TAKE_PTR(e);
        return 0;
}

static void stop(struct service *s) {
        struct pollfd p = { .fd = s->pidfd, .events = POLLIN };

        if (s->pid <= 0 || s->program->stays)
                return;
        for (int sent = SIGTERM;; sent = SIGKILL) {
                (void) syscall(SYS_pidfd_send_signal, s->pidfd, sent, NULL, 0);
                if (poll(&p, 1, STOP_MSEC) > 0 || sent == SIGKILL)
                        break;
                log_warning("%s does not end, killing it", s->program->name);
        }
        (void) waitpid(s->pid, NULL, WNOHANG);
}

struct early *early_free(struct early *e) {
        if (!e)
                return NULL;
        for (size_t i = ELEMENTSOF(programs); i-- > 0; ) {
                struct service *s = e->services + i;

                stop(s);
                sd_event_source_disable_unref(s->wanted);
                sd_event_source_disable_unref(s->ended);
                sd_event_source_disable_unref(s->later);
                safe_close(s->pidfd);
                safe_close(s->listen_fd);
                if (s->program && !s->program->stays)
                        (void) unlink(s->program->socket);
        }
        (void) unlink(BUS_PRIVATE_SOCKET);
        (void) unlink(EARLY_DIRECTORY "/pid");
        sd_event_unref(e->event);
        free(e);
        return NULL;
}
