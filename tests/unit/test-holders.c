/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/ladder/holders.c daemon/ladder/find-holders.c daemon/ladder/signal-holders.c daemon/ladder/mounts.c daemon/ladder/mounts-mark.c daemon/ladder/tasks.c daemon/ladder/loops.c

/* Who uses a mount: found by descriptor, directory and memory map on a file system of this machine, and signalled. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "ladder/holders.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void test_maps_line(void **state _unused_) {
        uint32_t major, minor;

        assert_int_equal(maps_line_parse("7f00-7f10 r--s 00000000 fd:1f 12        /mnt/a b\n", &major, &minor), 0);
        assert_int_equal(major, 0xfd);
        assert_int_equal(minor, 0x1f);
        assert_int_equal(maps_line_parse("7ffc00-7ffd00 rw-p 00000000 00:00 0    [stack]\n", &major, &minor), 0);
        assert_int_equal(major, 0);
        assert_int_equal(maps_line_parse("", &major, &minor), -EINVAL);
        assert_int_equal(maps_line_parse("7f00-7f10 r--s", &major, &minor), -EINVAL);
        assert_int_equal(maps_line_parse("7f00 r--s 0 fd:1f 12", &major, &minor), -EINVAL);
}

static void test_process_stat(void **state _unused_) {
        static const char good[] = "7 (a) b) (c\n) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 5512 1 1\n";
        struct process_stat s;

        assert_int_equal(process_stat_parse(good, &s), 0);
        assert_string_equal(s.comm, "a) b) (c?");
        assert_int_equal(s.state, 'S');
        assert_int_equal(s.flags, 4194560);
        assert_int_equal(s.start_time, 5512);
        assert_int_equal(process_stat_parse("", &s), -EINVAL);
        assert_int_equal(process_stat_parse("7 (a", &s), -EINVAL);
        assert_int_equal(process_stat_parse("7 )a( S", &s), -EINVAL);
        assert_int_equal(process_stat_parse("7 (a) S 1 7", &s), -EINVAL);
        assert_int_equal(process_stat_parse("7 (a)", &s), -EINVAL);
}

static void test_cgroup(void **state _unused_) {
        static const struct { const char *text; bool ours; } cases[] = {
                { "0::/system.slice/cmkd.service\n", true },
                { "0::/system.slice/cmkd-vault.service\n", true },
                { "0::/system.slice/cmkd-audit.service\n", true },
                { "0::/system.slice/cmkd-ladder@12-684-0.service\n", true },
                { "0::/system.slice/cmkd-ladder@12-118273-684_5123-0.service\n", true },
                { "0::/system.slice/cmkd-ladder@12-684-0.service/x\n", false },
                { "0::/cmkd-ladder@12-684-0.service\n", false },
                { "0::/cmkd.slice/cmkd-breaker.slice/cmkd-breaker.service\n", true },
                { "12:pids:/system.slice/cmkd.service\n1:name=systemd:/system.slice/cmkd.service\n0::/\n", true },
                /* as systemd-run --user --unit= and systemd-run --user --slice= make them */
                { "0::/user.slice/user-1000.slice/user@1000.service/app.slice/cmkd.service\n", false },
                { "0::/user.slice/user-1000.slice/user@1000.service/system.slice/cmkd.service\n", false },
                { "0::/user.slice/user-1000.slice/user@1000.service/app.slice/cmkd-breaker.service\n", false },
                { "0::/system.slice/docker-1.scope/system.slice/cmkd.service\n", false },
                { "0::/system.slice/cmkd.service/sub\n", false },
                { "0::/system.slice/cmkd.service (deleted)\n", false },
                { "0::/system.slice/cmkd.services\n", false },
                { "0::/cmkd.service\n", false },
                { "7:cpu,cpuacct:/system.slice/cmkd.service\n0::/user.slice\n", false },
                { "2:name=mine:/system.slice/cmkd.service\n", false },
                { "1:name=systemd:/user.slice/cmkd.service\n", false },
                { "0::/\n", false }, { "", false }, { "\n", false }, { ":", false },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(freep) char *text = strdup(cases[i].text);

                if (cgroup_is_ours(text) != cases[i].ours)
                        fail_msg("%s", cases[i].text);
        }
}

static void test_describe(void **state _unused_) {
        _cleanup_(holders_free) struct holders s = {};
        char text[100];

        holders_describe(&s, text, sizeof(text));
        assert_string_equal(text, "");
        for (int i = 0; i < 40; i++) {
                struct holder h = { .pid = 100 + i, .how = HOLDER_FD, .comm = "name" };

                assert_int_equal(holders_add(&s, &h), 0);
                if (i == 1) {
                        holders_describe(&s, text, sizeof(text));
                        assert_string_equal(text, "name (100), name (101)");
                }
        }
        assert_int_equal(holders_add(&s, &(struct holder) { .pid = 100, .how = HOLDER_MAP }), 0);
        assert_int_equal(s.n, 40);
        assert_int_equal(s.h[0].how, HOLDER_FD|HOLDER_MAP);
        holders_describe(&s, text, sizeof(text));
        assert_true(strlen(text) < sizeof(text));
        assert_non_null(strstr(text, " more"));
}

enum way { BY_FD, BY_CWD, BY_MAP, BY_NOTHING };

/* Who holds it: a process; a thread whose main one has ended; one that has its descriptors and directories alone. */
enum who { PROCESS, LEADERLESS, ALONE };

struct child {
        enum way way;
        enum who who;
        const char *directory, *file;
        int pipe;
};

static void *hold(void *user) {
        const struct child *c = user;
        int fd;

        if (c->who == ALONE && unshare(CLONE_FILES|CLONE_FS) < 0)
                _exit(1);
        fd = open(c->file, O_RDONLY);
        if (c->way == BY_MAP && mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED)
                _exit(1);
        if (c->way == BY_CWD && chdir(c->directory) < 0)
                _exit(1);
        if (c->way != BY_FD)
                close(fd);
        if (c->who == LEADERLESS)
                while (access("/proc/self/cwd", F_OK) >= 0)
                        sched_yield();
        (void) !write(c->pipe, "x", 1);
        close(c->pipe);
        for (;;)
                pause();
}

static pid_t start_as(enum who who, enum way way, const char *directory, const char *file) {
        struct child child = { way, who, directory, file, -EBADF };
        pthread_t thread;
        int pipefd[2];
        pid_t pid;
        char c;

        assert_int_equal(pipe(pipefd), 0);
        child.pipe = pipefd[1];
        pid = fork();
        if (pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                close(pipefd[0]);
                if (who == PROCESS)
                        hold(&child);
                if (pthread_create(&thread, NULL, hold, &child) != 0)
                        _exit(1);
                if (who == LEADERLESS)
                        syscall(SYS_exit, 0);
                for (;;)
                        pause();
        }
        close(pipefd[1]);
        assert_int_equal(read(pipefd[0], &c, 1), 1);
        close(pipefd[0]);
        return pid;
}

/* A child that holds the file in one way; returns once it does. */
static pid_t start(enum way way, const char *directory, const char *file) {
        return start_as(PROCESS, way, directory, file);
}

static void end(pid_t pid) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
}

static const struct holder *find(const struct holders *s, pid_t pid) {
        for (size_t i = 0; i < s->n; i++)
                if (s->h[i].pid == pid)
                        return &s->h[i];
        return NULL;
}

static void check_found(const struct holders *found, const pid_t *pids) {
        static const unsigned how[] = { HOLDER_FD, HOLDER_PATH, HOLDER_MAP };

        for (enum way w = BY_FD; w < BY_NOTHING; w++) {
                assert_non_null(find(found, pids[w]));
                assert_int_equal(find(found, pids[w])->how, how[w]);
        }
        assert_null(find(found, pids[BY_NOTHING]));
        assert_null(find(found, getpid()));
}

static void check_kill(const struct holders *found, const pid_t *pids) {
        _cleanup_(holders_free) struct holders mine = {}, left = {};
        unsigned sent;

        for (enum way w = BY_FD; w < BY_NOTHING; w++)
                assert_int_equal(holders_add(&mine, find(found, pids[w])), 0);
        mine.h[BY_CWD].is_protected = true;
        /* another process has got the number since: not the one that was found */
        mine.h[BY_MAP].start_time++;
        assert_int_equal(holders_signal(&mine, SIGKILL, 5 * USEC_PER_SEC, &sent, &left), 0);
        assert_int_equal(sent, 1);
        assert_int_equal(left.n, 1);
        assert_int_equal(left.h[0].pid, pids[BY_CWD]);
        assert_int_equal(waitpid(pids[BY_FD], NULL, WNOHANG), pids[BY_FD]);
        for (enum way w = BY_CWD; w <= BY_NOTHING; w++)
                assert_int_equal(waitpid(pids[w], NULL, WNOHANG), 0);
}

/* /dev/shm is a mount of its own. Processes of others there are found too, and left alone. */
static void test_find_and_kill(void **state _unused_) {
        char directory[] = "/dev/shm/cmkd-test-XXXXXX", file[64];
        _cleanup_(holders_free) struct holders found = {};
        _cleanup_(mounts_free) struct mounts mounts = {};
        struct stack stack = {};
        struct stat st;
        pid_t pids[4];
        int fd;

        assert_non_null(mkdtemp(directory));
        snprintf(file, sizeof(file), "%s/file", directory);
        fd = open(file, O_RDWR|O_CREAT|O_CLOEXEC, 0600);
        assert_int_equal(ftruncate(fd, 4096), 0);
        assert_int_equal(fstat(fd, &st), 0);
        close(fd);
        (void) stack_add(&stack, major(st.st_dev), minor(st.st_dev), 0);
        assert_int_equal(mounts_read(&mounts), 0);
        assert_int_equal(mounts_mark(&mounts, &stack), 0);
        for (enum way w = BY_FD; w <= BY_NOTHING; w++)
                pids[w] = start(w, directory, file);
        assert_int_equal(holders_find(&mounts, &stack, true, &found), 0);
        check_found(&found, pids);
        check_kill(&found, pids);
        for (enum way w = BY_CWD; w <= BY_NOTHING; w++)
                end(pids[w]);
        unlink(file);
        rmdir(directory);
}

/* A file on that mount, and what is on it by now. */
struct place {
        char directory[64], file[80];
        struct mounts mounts;
        struct stack stack;
};

static void place_fill(struct place *p, const char *below) {
        struct stat st;
        int fd;

        snprintf(p->directory, sizeof(p->directory), "%s/cmkd-test-XXXXXX", below);
        assert_non_null(mkdtemp(p->directory));
        snprintf(p->file, sizeof(p->file), "%s/file", p->directory);
        fd = open(p->file, O_RDWR|O_CREAT|O_CLOEXEC, 0600);
        assert_int_equal(ftruncate(fd, 4096), 0);
        assert_int_equal(fstat(fd, &st), 0);
        close(fd);
        (void) stack_add(&p->stack, major(st.st_dev), minor(st.st_dev), 0);
}

static void place_look(struct place *p) {
        assert_int_equal(mounts_read(&p->mounts), 0);
        assert_int_equal(mounts_mark(&p->mounts, &p->stack), 0);
}

static void place_done(struct place *p) {
        mounts_free(&p->mounts);
        unlink(p->file);
        rmdir(p->directory);
}

static void assert_holds(const struct place *p, bool deep, pid_t pid, unsigned how) {
        _cleanup_(holders_free) struct holders found = {};

        assert_int_equal(holders_find(&p->mounts, &p->stack, deep, &found), 0);
        if (how == 0)
                assert_null(find(&found, pid));
        else {
                assert_non_null(find(&found, pid));
                assert_int_equal(find(&found, pid)->how, how);
        }
}

/* What the others have is found, with and without a deep look. */
static void test_main_thread_has_ended(void **state _unused_) {
        static const unsigned how[] = { HOLDER_FD, HOLDER_PATH, HOLDER_MAP, 0 };
        _cleanup_(place_done) struct place p = {};

        place_fill(&p, "/dev/shm");
        place_look(&p);
        for (enum way w = BY_FD; w <= BY_NOTHING; w++) {
                pid_t pid = start_as(LEADERLESS, w, p.directory, p.file);

                assert_holds(&p, false, pid, how[w]);
                assert_holds(&p, true, pid, how[w]);
                end(pid);
        }
}

static void test_thread_alone(void **state _unused_) {
        static const unsigned how[] = { HOLDER_FD, HOLDER_PATH, HOLDER_MAP, 0 };
        _cleanup_(place_done) struct place p = {};

        place_fill(&p, "/dev/shm");
        place_look(&p);
        for (enum way w = BY_FD; w <= BY_NOTHING; w++) {
                pid_t pid = start_as(ALONE, w, p.directory, p.file);

                assert_holds(&p, false, pid, w == BY_MAP ? HOLDER_MAP : 0);
                assert_holds(&p, true, pid, how[w]);
                end(pid);
        }
}

#define MANY_THREADS 1000u
#define MANY_DESCRIPTORS 900u

/* No signal has a handler. */
static void *wait_for_the_end(void *user _unused_) {
        (void) pause();
        return NULL;
}

/* They have one table of descriptors between them, which is looked at once. */
static void test_many_threads(void **state _unused_) {
        _cleanup_(holders_free) struct holders found = {};
        _cleanup_(place_done) struct place p = {};
        struct timespec before, after;
        pthread_t thread;
        int pipefd[2];
        pid_t pid;
        char c;

        place_fill(&p, "/dev/shm");
        place_look(&p);
        assert_int_equal(pipe(pipefd), 0);
        pid = fork();
        if (pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                for (unsigned i = 0; i < MANY_DESCRIPTORS; i++)
                        (void) !dup(pipefd[0]);
                for (unsigned i = 0; i < MANY_THREADS; i++)
                        if (pthread_create(&thread, NULL, wait_for_the_end, NULL) != 0)
                                _exit(1);
                (void) !write(pipefd[1], "x", 1);
                wait_for_the_end(NULL);
        }
        close(pipefd[1]);
        assert_int_equal(read(pipefd[0], &c, 1), 1);
        close(pipefd[0]);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
        assert_int_equal(holders_find_open(&p.mounts, &p.stack, true, &found), 0);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
        end(pid);
        assert_null(find(&found, pid));
        assert_true(after.tv_sec - before.tv_sec < 2);
}

/* False: we may not, or are in a chroot. */
static bool leave_namespace(void) {
        return unshare(CLONE_NEWNS) >= 0 && mount(NULL, "/", NULL, MS_REC|MS_PRIVATE, NULL) >= 0 &&
               mount("cmkd-test", "/dev/shm", "tmpfs", 0, NULL) >= 0;
}

/* Says where it is: the namespace, the mount's device. */
static void *leave_in_thread(void *user) {
        struct stat st[2] = {};

        if (leave_namespace() && (stat("/proc/thread-self/ns/mnt", &st[0]) < 0 || stat("/dev/shm", &st[1]) < 0))
                _exit(1);
        (void) !write(*(int *) user, st, sizeof(st));
        for (;;)
                pause();
}

static pid_t start_with_namespace(struct stat ret[2]) {
        pthread_t thread;
        int pipefd[2];
        pid_t pid;

        assert_int_equal(pipe(pipefd), 0);
        pid = fork();
        if (pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (pthread_create(&thread, NULL, leave_in_thread, &pipefd[1]) != 0)
                        _exit(1);
                for (;;)
                        pause();
        }
        close(pipefd[1]);
        assert_int_equal(read(pipefd[0], ret, 2 * sizeof(*ret)), (ssize_t) (2 * sizeof(*ret)));
        close(pipefd[0]);
        return pid;
}

static void test_namespace_of_a_thread(void **state _unused_) {
        _cleanup_(holders_free) struct holders found = {};
        _cleanup_(mounts_free) struct mounts mounts = {};
        _cleanup_(closep) int root = -EBADF;
        const struct mount *m = NULL;
        struct stat st[2], there;
        pid_t pid;

        pid = start_with_namespace(st);
        if (st[0].st_ino != 0) {
                assert_int_equal(mounts_read(&mounts), 0);
                for (size_t i = 0; i < mounts.n && !m; i++)
                        if (mounts.m[i].line.minor == minor(st[1].st_dev) && mounts.m[i].line.major == major(st[1].st_dev))
                                m = &mounts.m[i];
                assert_non_null(m);
                assert_int_equal(m->ns, st[0].st_ino);
                root = mount_open_root(m);
                assert_int_equal(fstat(root, &there), 0);
                assert_int_equal(there.st_dev, st[1].st_dev);
                assert_int_equal(holders_find_in_namespace(m->ns, &found), 0);
                assert_int_equal(found.n, 1);
                assert_int_equal(found.h[0].pid, pid);
        }
        end(pid);
        if (st[0].st_ino == 0)
                skip();
}

/* A mount of its own, in no namespace of others, that is gone by when it is looked for. */
static void test_mount_went_lazily(void **state _unused_) {
        static const unsigned how[] = { HOLDER_FD, HOLDER_PATH, HOLDER_MAP, 0 };
        _cleanup_(place_done) struct place p = {};
        pid_t pids[BY_NOTHING + 1];

        if (!leave_namespace())
                skip();
        place_fill(&p, "/dev/shm");
        for (enum way w = BY_FD; w <= BY_NOTHING; w++)
                pids[w] = start(w, p.directory, p.file);
        assert_int_equal(umount2("/dev/shm", MNT_DETACH), 0);
        place_look(&p);
        assert_int_equal(p.mounts.n_ids, 0);
        for (enum way w = BY_FD; w <= BY_NOTHING; w++)
                assert_holds(&p, false, pids[w], how[w]);
        for (enum way w = BY_FD; w <= BY_NOTHING; w++)
                end(pids[w]);
}

struct told {
        pid_t first, stuck, last;
};

static unsigned ask_told(int proc _unused_, const char *pid, const void *userdata) {
        const struct told *t = userdata;
        pid_t number = atoi(pid);

        while (number == t->stuck)
                pause();
        return number == t->first || number == t->last ? HOLDER_MAP : 0;
}

/* As one whose maps cannot be read. */
static void test_stuck_process_is_passed_over(void **state _unused_) {
        _cleanup_(holders_free) struct holders found = {};
        struct told t;
        struct holders_question q = { .ask = ask_told, .userdata = &t, .self = getpid(), .parent = getppid() };
        pid_t pids[3];

        for (size_t i = 0; i < ELEMENTSOF(pids); i++)
                pids[i] = start(BY_NOTHING, "/", "/proc/self/exe");
        t = (struct told) { pids[0], pids[1], pids[2] };
        assert_int_equal(holders_ask_in_child(&q, &found), 0);
        assert_int_equal(found.n, 2);
        assert_int_equal(found.h[0].pid, t.first);
        assert_int_equal(found.h[1].pid, t.last);
        assert_false(found.h[0].is_protected || found.h[1].is_protected);
        assert_true(found.h[1].start_time > 0);
        for (size_t i = 0; i < ELEMENTSOF(pids); i++)
                end(pids[i]);
}

static void test_core_is_forbidden(void **state _unused_) {
        _cleanup_(holders_free) struct holders s = {};
        _cleanup_(freep) char *text = NULL;
        struct process_stat st;
        struct rlimit limit;
        char path[64];
        unsigned sent;
        pid_t pid;

        pid = start(BY_NOTHING, "/", "/proc/self/exe");
        snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        assert_int_equal(read_small_file(path, 4096, &text, NULL), 0);
        assert_int_equal(process_stat_parse(text, &st), 0);
        assert_int_equal(holders_add(&s, &(struct holder) { .pid = pid, .start_time = st.start_time }), 0);
        assert_int_equal(holders_signal(&s, SIGCONT, 0, &sent, NULL), 0);
        assert_int_equal(sent, 1);
        assert_int_equal(prlimit(pid, RLIMIT_CORE, NULL, &limit), 0);
        assert_true(limit.rlim_cur <= 1);
        end(pid);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_maps_line), cmocka_unit_test(test_process_stat), cmocka_unit_test(test_cgroup),
                cmocka_unit_test(test_describe), cmocka_unit_test(test_find_and_kill),
                cmocka_unit_test(test_stuck_process_is_passed_over), cmocka_unit_test(test_core_is_forbidden),
                cmocka_unit_test(test_main_thread_has_ended), cmocka_unit_test(test_thread_alone),
                cmocka_unit_test(test_many_threads),
                cmocka_unit_test(test_namespace_of_a_thread),
                /* the last: this process has another /dev/shm from there on */
                cmocka_unit_test(test_mount_went_lazily),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
