/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/ladder/tasks.c

/* The threads of a process: those that there were, also where the main one has ended. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "ladder/tasks.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 3u

/* No signal has a handler. */
static void *wait_for_the_end(void *user _unused_) {
        (void) pause();
        return NULL;
}

/* Makes a thread for each byte that it gets, and answers; 'x': the main one ends. */
static _Noreturn void serve(int from, int to) {
        char c;

        while (read(from, &c, 1) == 1) {
                pthread_t thread;

                if (c == 'x') {
                        (void) !write(to, &c, 1);
                        syscall(SYS_exit, 0);
                }
                if (pthread_create(&thread, NULL, wait_for_the_end, NULL) != 0 || write(to, &c, 1) != 1)
                        break;
        }
        _exit(1);
}

struct child {
        pid_t pid;
        char name[16];
        int to, from, proc;
        unsigned seen, live, stop_at;
        bool makes_more;
};

static void ask(struct child *c, char what) {
        assert_int_equal(write(c->to, &what, 1), 1);
        assert_int_equal(read(c->from, &what, 1), 1);
}

static int start(void **state) {
        static struct child child;
        int to[2], from[2];

        child = (struct child) { .proc = open("/proc", O_RDONLY|O_DIRECTORY|O_CLOEXEC) };
        assert_true(child.proc >= 0 && pipe(to) == 0 && pipe(from) == 0);
        child.pid = fork();
        if (child.pid == 0)
                serve(to[0], from[1]);
        close(to[0]);
        close(from[1]);
        child.to = to[1];
        child.from = from[0];
        snprintf(child.name, sizeof(child.name), "%d", child.pid);
        for (unsigned i = 1; i < THREADS; i++)
                ask(&child, 't');
        *state = &child;
        return 0;
}

static int end(void **state) {
        struct child *c = *state;

        kill(c->pid, SIGKILL);
        waitpid(c->pid, NULL, 0);
        close(c->to);
        close(c->from);
        close(c->proc);
        return 0;
}

static bool look(int proc, const char *tid, void *userdata) {
        struct child *c = userdata;

        assert_int_equal(proc, c->proc);
        c->live += task_is_live(proc, tid);
        if (c->makes_more)
                ask(c, 't');
        return ++c->seen == c->stop_at;
}

static void test_each(void **state) {
        struct child *c = *state;

        assert_int_equal(tasks_count(c->proc, c->name), THREADS);
        assert_false(tasks_each(c->proc, c->name, look, c));
        assert_int_equal(c->seen, THREADS);
        assert_int_equal(c->live, THREADS);
        c->seen = 0;
        c->stop_at = 2;
        assert_true(tasks_each(c->proc, c->name, look, c));
        assert_int_equal(c->seen, 2);
}

/* For each that is looked at there is one more. */
static void test_no_end_of_threads(void **state) {
        struct child *c = *state;

        c->makes_more = true;
        assert_false(tasks_each(c->proc, c->name, look, c));
        assert_int_equal(c->seen, THREADS);
        assert_int_equal(tasks_count(c->proc, c->name), 2 * THREADS);
}

static void test_main_thread_ends(void **state) {
        struct child *c = *state;

        assert_true(task_is_live(c->proc, c->name));
        ask(c, 'x');
        /* the answer comes before the end */
        while (task_is_live(c->proc, c->name))
                sched_yield();
        assert_false(tasks_each(c->proc, c->name, look, c));
        assert_int_equal(c->seen, THREADS);
        assert_int_equal(c->live, THREADS - 1);
}

static void test_gone(void **state) {
        struct child *c = *state;

        assert_int_equal(tasks_count(c->proc, "0"), 0);
        assert_false(task_is_live(c->proc, "0"));
        assert_false(tasks_each(c->proc, "0", look, c));
        assert_int_equal(c->seen, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_each, start, end),
                cmocka_unit_test_setup_teardown(test_no_end_of_threads, start, end),
                cmocka_unit_test_setup_teardown(test_main_thread_ends, start, end),
                cmocka_unit_test_setup_teardown(test_gone, start, end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
