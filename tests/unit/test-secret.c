/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/secret.h"

/* Runs a test in a process of its own: 0 is good, else the line that failed. */
#define CHECK(x) do { if (!(x)) { fprintf(stderr, "line %d: %s\n", __LINE__, #x); _exit(1); } } while (0)

static void run_apart(void (*test)(void)) {
        int status;
        pid_t pid = fork();

        if (pid == 0) {
                test();
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

/* As on a kernel that has memfd_secret switched off. */
static void forbid_memfd_secret(void) {
        struct sock_filter code[] = {
                BPF_STMT(BPF_LD|BPF_W|BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP|BPF_JEQ|BPF_K, SYS_memfd_secret, 0, 1),
                BPF_STMT(BPF_RET|BPF_K, SECCOMP_RET_ERRNO|ENOSYS),
                BPF_STMT(BPF_RET|BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = { .len = ELEMENTSOF(code), .filter = code };

        CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
        CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

static void test_size(void **state _unused_) {
        struct secret *s = NULL;

        assert_int_equal(secret_new(0, &s), -EINVAL);
        assert_int_equal(secret_new(SECRET_MAX + 1, &s), -EINVAL);
        assert_null(s);
        assert_int_equal(secret_new(SECRET_MAX, &s), 0);
        for (size_t i = 0; i < SECRET_MAX; i++)
                assert_int_equal(secret_cdata(s)[i], 0);
        memset(secret_data(s), 0x5a, SECRET_MAX);
        secret_shrink(s, SECRET_MAX + 1);
        assert_int_equal(secret_size(s), SECRET_MAX);
        secret_shrink(s, 16);
        assert_int_equal(secret_size(s), 16);
        assert_int_equal(secret_cdata(s)[15], 0x5a);
        assert_int_equal(secret_cdata(s)[16], 0);                    /* what was cut off is wiped */
        assert_int_equal(secret_cdata(s)[SECRET_MAX - 1], 0);
        assert_null(secret_free(s));
        assert_null(secret_free(NULL));
}

/* All of it is there, and as secret as a short one. */
static void test_long(void **state _unused_) {
        struct secret *s = NULL, *t = NULL;

        assert_int_equal(secret_new_long(0, &s), -EINVAL);
        assert_int_equal(secret_new_long(SECRET_LONG_MAX + 1, &s), -EINVAL);
        assert_null(s);
        assert_int_equal(secret_new_long(SECRET_LONG_MAX, &s), 0);
        assert_int_equal(secret_new_long(SECRET_MAX, &t), 0);
        assert_int_equal(secret_is_unmappable(s), secret_is_unmappable(t));
        memset(secret_data(s), 0x5a, SECRET_LONG_MAX);
        secret_shrink(s, SECRET_MAX + 1);
        assert_int_equal(secret_size(s), SECRET_MAX + 1);
        assert_int_equal(secret_cdata(s)[SECRET_MAX], 0x5a);
        assert_int_equal(secret_cdata(s)[SECRET_LONG_MAX - 1], 0);
        secret_free(s);
        secret_free(t);
}

static void test_take_wipes_the_source(void **state _unused_) {
        uint8_t source[32], zero[32] = {};
        struct secret *s = NULL;

        memset(source, 7, sizeof(source));
        assert_int_equal(secret_take(source, sizeof(source), &s), 0);
        assert_memory_equal(source, zero, sizeof(zero));
        assert_int_equal(secret_cdata(s)[31], 7);
        secret_free(s);
}

static void test_equal(void **state _unused_) {
        struct secret *a = NULL, *b = NULL;

        assert_int_equal(secret_random(64, &a), 0);
        assert_int_equal(secret_random(64, &b), 0);
        assert_false(secret_equal(a, b));
        memcpy(secret_data(b), secret_cdata(a), 64);
        assert_true(secret_equal(a, b));
        secret_data(b)[63] ^= 1;
        assert_false(secret_equal(a, b));
        secret_data(b)[63] ^= 1;
        secret_shrink(b, 63);
        assert_false(secret_equal(a, b));
        secret_free(a);
        secret_free(b);
}

static void test_pipe(void **state _unused_) {
        struct secret *a = NULL, *b = NULL;
        int p[2];

        assert_int_equal(pipe2(p, O_CLOEXEC), 0);
        assert_int_equal(secret_random(64, &a), 0);
        assert_int_equal(secret_write(p[1], a), 0);
        assert_int_equal(secret_read(p[0], 64, &b), 0);
        assert_true(secret_equal(a, b));
        b = secret_free(b);
        secret_shrink(a, 63);
        assert_int_equal(secret_write(p[1], a), 0);
        close(p[1]);
        assert_int_equal(secret_read(p[0], 64, &b), -EPIPE);
        assert_null(b);
        close(p[0]);
        secret_free(a);
}

/* True where the mapping that holds p has that two-letter flag. */
static bool has_flag(const void *p, const char *flag) {
        FILE *f = fopen("/proc/self/smaps", "r");
        bool inside = false, found = false;
        char line[512];

        while (f && fgets(line, sizeof(line), f)) {
                unsigned long from, to;

                if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
                        inside = (unsigned long) p >= from && (unsigned long) p < to;
                else if (inside && startswith(line, "VmFlags:"))
                        found = strstr(line, flag);
        }
        fclose(f);
        return found;
}

static void check_pages(void) {
        struct secret *s = NULL;
        int status;
        pid_t pid;

        CHECK(secret_new(64, &s) == 0);
        memset(secret_data(s), 0xee, 64);
        if (secret_is_unmappable(s))
                CHECK(has_flag(secret_data(s), " dc"));             /* not in forked children */
        else {
                CHECK(has_flag(secret_data(s), " lo"));             /* locked */
                CHECK(has_flag(secret_data(s), " dd"));             /* not in core files */
                CHECK(has_flag(secret_data(s), " wf"));             /* wiped in forked children */
        }
        pid = fork();
        if (pid == 0) {
                const volatile uint8_t *p = secret_cdata(s);

                signal(SIGSEGV, SIG_DFL);
                _exit(p[0] == 0 && p[63] == 0 ? 0 : 1);
        }
        CHECK(waitpid(pid, &status, 0) == pid);
        CHECK(secret_is_unmappable(s) ? WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV : status == 0);
        CHECK(secret_cdata(s)[0] == 0xee);
        secret_free(s);
}

static void check_locked_pages(void) {
        struct secret *s = NULL;

        forbid_memfd_secret();
        CHECK(secret_new(1, &s) == 0);
        CHECK(!secret_is_unmappable(s));
        secret_free(s);
        check_pages();
}

static void test_pages(void **state _unused_) {
        run_apart(check_pages);
        run_apart(check_locked_pages);
}

static void check_not_lockable(void) {
        struct rlimit none = { 0, 0 };
        struct secret *s = NULL;
        uint8_t source[8] = { 1, 2, 3 };

        CHECK(setrlimit(RLIMIT_MEMLOCK, &none) == 0);
        if (geteuid() == 0)
                CHECK(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
        CHECK(secret_new(64, &s) == -EPERM);
        CHECK(secret_random(64, &s) == -EPERM);
        CHECK(secret_take(source, sizeof(source), &s) == -EPERM);
        CHECK(source[0] == 0 && source[2] == 0);                    /* wiped all the same */
        CHECK(!s);
}

static void test_no_secret_without_locked_memory(void **state _unused_) {
        run_apart(check_not_lockable);
}

static void check_process(void) {
        struct rlimit core;

        CHECK(secret_process_init() == 0);
        CHECK(prctl(PR_GET_DUMPABLE) == 0);
        CHECK(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == 0 && core.rlim_max == 0);
}

static void test_process_init(void **state _unused_) {
        run_apart(check_process);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_size), cmocka_unit_test(test_long),
                cmocka_unit_test(test_take_wipes_the_source),
                cmocka_unit_test(test_equal),
                cmocka_unit_test(test_pipe),
                cmocka_unit_test(test_pages),
                cmocka_unit_test(test_no_secret_without_locked_memory),
                cmocka_unit_test(test_process_init),
        };
        return cmocka_run_group_tests_name("secret", tests, NULL, NULL);
}
