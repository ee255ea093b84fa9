/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/ini-reader.h"
#include "common/util.h"

static void test_parse_u64(void **state _unused_) {
        static const struct { const char *s; uint64_t max; int r; uint64_t v; } table[] = {
                { "0", 0, 0, 0 }, { "007", 7, 0, 7 }, { "8", 7, -ERANGE, 0 }, { "", 7, -EINVAL, 0 }, { "-1", 7,
                -EINVAL, 0 },
                { "+1", 7, -EINVAL, 0 }, { " 1", 7, -EINVAL, 0 }, { "1 ", 7, -EINVAL, 0 }, { "0x1", 7, -EINVAL, 0 },
                { "18446744073709551615", UINT64_MAX, 0, UINT64_MAX },
                { "18446744073709551616", UINT64_MAX, -ERANGE, 0 }, { "99999999999999999999999", UINT64_MAX, -ERANGE,
                0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                uint64_t v = 4711;

                assert_int_equal(parse_u64(table[i].s, table[i].max, &v), table[i].r);
                assert_true(v == (table[i].r == 0 ? table[i].v : 4711));
        }
}

static void test_parse_span(void **state _unused_) {
        static const struct { const char *s; int r; uint64_t v; } table[] = {
                { "0", 0, 0 }, { "30", 0, 30 * USEC_PER_SEC }, { "500ms", 0, 500000 }, { "1h 30min", 0,
                5400 * USEC_PER_SEC },
                { "1h30min5s", 0, 5405 * USEC_PER_SEC }, { " 2d ", 0, 172800 * USEC_PER_SEC }, { "1 2", 0,
                3 * USEC_PER_SEC },
                { "", -EINVAL, 0 }, { " ", -EINVAL, 0 }, { "s", -EINVAL, 0 }, { "-1", -EINVAL, 0 }, { "1.5", -EINVAL,
                0 },
                { "1w", -EINVAL, 0 }, { "1 s x", -EINVAL, 0 }, { "5S", -EINVAL, 0 }, { "infinity", -EINVAL, 0 },
                { "99999999999999999999", -ERANGE, 0 }, { "18446744073709551615", -ERANGE, 0 },
                { "213503982334601d", -ERANGE, 0 }, { "18446744073709s 18446744073709s", -ERANGE, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                uint64_t v = 4711;

                if (parse_span(table[i].s, &v) != table[i].r || v != (table[i].r == 0 ? table[i].v : 4711))
                        fail_msg("\"%s\"", table[i].s);
        }
}

static void test_names(void **state _unused_) {
        static const char *const good[] = { "a", "A", "data-1", "a.b_c", "0", "_x" };
        static const char *const bad[] = { "", ".", "..", ".a", "-a", "a/b", "a b", "a\n", "\x7f", "\xc3\xa4", "a\\",
                "a%" };
        char name[70] = {};

        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                assert_true(volume_name_is_valid(good[i]));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_false(volume_name_is_valid(bad[i]));
        assert_false(volume_name_is_valid(NULL));
        memset(name, 'n', 64);
        assert_true(volume_name_is_valid(name));
        name[64] = 'n';
        assert_false(volume_name_is_valid(name));
}

static void test_uuids(void **state _unused_) {
        static const char *const bad[] = {
                "", "0f36a3a8-1c0e-4a53-9d0e-1f2d3c4b5a6", "0f36a3a8-1c0e-4a53-9d0e-1f2d3c4b5a699",
                "0F36a3a8-1c0e-4a53-9d0e-1f2d3c4b5a69", "0f36a3a8x1c0e-4a53-9d0e-1f2d3c4b5a69",
                "0f36a3a8-1c0e-4a53-9d0e-1f2d3c4b5a6/", "------------------------------------",
        };
        char a[37], b[37];

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_false(uuid_is_valid(bad[i]));
        assert_false(uuid_is_valid(NULL));
        for (int i = 0; i < 100; i++) {
                random_uuid(a);
                random_uuid(b);
                assert_true(uuid_is_valid(a));
                assert_string_not_equal(a, b);
                assert_int_equal(a[14], '4');
                assert_non_null(strchr("89ab", a[19]));
        }
}

static void test_exact(void **state _unused_) {
        char buf[8] = "";
        int p[2];

        assert_int_equal(pipe2(p, O_CLOEXEC), 0);
        assert_int_equal(write_all(p[1], "abcdef", 6), 0);
        assert_int_equal(read_exact(p[0], buf, 4), 0);
        assert_string_equal(buf, "abcd");
        close(p[1]);
        assert_int_equal(read_exact(p[0], buf, 4), -EPIPE);
        close(p[0]);
        assert_int_equal(read_exact(p[0], buf, 1), -EBADF);
        assert_int_equal(write_all(p[1], buf, 1), -EBADF);
}

static unsigned count_entries(const char *dir) {
        DIR *d = opendir(dir);
        unsigned n = 0;

        while (readdir(d))
                n++;
        closedir(d);
        return n - 2;
}

static void test_files(void **state _unused_) {
        char dir[] = "/tmp/test-util.XXXXXX", path[64], deep[96];
        _cleanup_(freep) char *text = NULL;
        struct stat st;
        size_t size;

        assert_non_null(mkdtemp(dir));
        snprintf(path, sizeof(path), "%s/file", dir);
        assert_int_equal(read_small_file(path, 10, &text, &size), -ENOENT);
        assert_int_equal(write_file_atomic(path, "0123456789", 10, 0640), 0);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0640);
        assert_int_equal(read_small_file(path, 9, &text, &size), -E2BIG);
        assert_null(text);
        assert_int_equal(read_small_file(path, 10, &text, &size), 0);
        assert_int_equal(size, 10);
        assert_string_equal(text, "0123456789");
        assert_int_equal(write_file_atomic(path, "new", 3, 0600), 0);
        free(TAKE_PTR(text));
        assert_int_equal(read_small_file(path, 10, &text, NULL), 0);
        assert_string_equal(text, "new");
        /* nothing is left beside it, also after a failure */
        assert_int_equal(count_entries(dir), 1);
        assert_int_equal(chdir(dir), 0);
        assert_int_equal(write_file_atomic("file", "again", 5, 0600), 0);
        assert_int_equal(chdir("/"), 0);
        assert_int_equal(count_entries(dir), 1);
        snprintf(deep, sizeof(deep), "%s/a/b/c", dir);
        assert_int_equal(write_file_atomic(deep, "x", 1, 0600), -ENOENT);
        assert_int_equal(mkdir_parents(deep, 0700), 0);
        assert_int_equal(mkdir_parents(deep, 0700), 0);
        assert_int_equal(write_file_atomic(deep, "x", 1, 0600), -EISDIR);
        snprintf(deep, sizeof(deep), "%s/a/b", dir);
        assert_int_equal(count_entries(deep), 1);
        snprintf(deep, sizeof(deep), "%s/file/b", dir);
        assert_int_equal(mkdir_parents(deep, 0700), -ENOTDIR);
        snprintf(deep, sizeof(deep), "%s/a/b/c", dir);
        for (int i = 0; i < 3; i++) {
                assert_int_equal(rmdir(deep), 0);
                deep[strlen(deep) - 2] = 0;
        }
        unlink(path);
        assert_int_equal(rmdir(dir), 0);
}

/* A link stays a link, and what is no file stays what it is. */
static void test_output(void **state _unused_) {
        char dir[] = "/tmp/cmkd-test-util.XXXXXX", file[64], link[64], fifo[64], through[64], got[8] = "";
        _cleanup_(freep) char *text = NULL;
        struct stat st;
        int fd;

        assert_non_null(mkdtemp(dir));
        snprintf(file, sizeof(file), "%s/file", dir);
        snprintf(link, sizeof(link), "%s/link", dir);
        snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
        snprintf(through, sizeof(through), "%s/through", dir);
        assert_int_equal(write_output(file, "old", 3, 0640), 0);
        assert_int_equal(symlink("file", link), 0);
        assert_int_equal(write_output(link, "new", 3, 0640), 0);
        assert_int_equal(lstat(link, &st), 0);
        assert_true(S_ISLNK(st.st_mode));
        assert_int_equal(read_small_file(file, 10, &text, NULL), 0);
        assert_string_equal(text, "new");
        assert_int_equal(mkfifo(fifo, 0600), 0);
        assert_int_equal(symlink("fifo", through), 0);
        fd = open(fifo, O_RDWR|O_NONBLOCK|O_CLOEXEC);
        assert_return_code(fd, errno);
        assert_int_equal(write_output(fifo, "abc", 3, 0640), 0);
        assert_int_equal(write_output(through, "def", 3, 0640), 0);
        assert_int_equal(read(fd, got, sizeof(got)), 6);
        assert_string_equal(got, "abcdef");
        close(fd);
        assert_int_equal(lstat(fifo, &st), 0);
        assert_true(S_ISFIFO(st.st_mode));
        assert_int_equal(count_entries(dir), 4);
        assert_int_equal(write_output("/dev/null", "x", 1, 0640), 0);
        assert_int_equal(write_output(dir, "x", 1, 0640), -EISDIR);
        /* a file without a path */
        fd = memfd_create("output", MFD_CLOEXEC);
        assert_int_equal(write(fd, "longer", 6), 6);
        snprintf(file, sizeof(file), "/proc/self/fd/%d", fd);
        assert_int_equal(write_output(file, "x", 1, 0640), 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_size, 1);
        close(fd);
        snprintf(file, sizeof(file), "%s/file", dir);
        assert_int_equal(unlink(file) | unlink(link) | unlink(fifo) | unlink(through) | rmdir(dir), 0);
}

/* What others wrote there before, and write behind it, stays. */
static void test_output_is_standard_output(void **state _unused_) {
        char path[] = "/tmp/cmkd-test-util.XXXXXX";
        _cleanup_(freep) char *text = NULL;
        int fd = mkostemp(path, O_APPEND|O_CLOEXEC), was = dup(STDOUT_FILENO);

        assert_return_code(fd, errno);
        fflush(stdout);
        assert_return_code(dup2(fd, STDOUT_FILENO), errno);
        assert_int_equal(write(fd, "head ", 5), 5);
        assert_int_equal(write_output("/dev/stdout", "said ", 5, 0644), 0);
        assert_int_equal(write(fd, "tail", 4), 4);
        assert_return_code(dup2(was, STDOUT_FILENO), errno);
        close(was);
        close(fd);
        assert_int_equal(read_small_file(path, 100, &text, NULL), 0);
        assert_string_equal(text, "head said tail");
        assert_int_equal(unlink(path), 0);
}

/* Who owns the directory does not choose what root writes to. */
static void test_output_in_anothers_directory(void **state _unused_) {
        char dir[] = "/tmp/cmkd-test-util.XXXXXX", file[64], link[64];
        _cleanup_(freep) char *text = NULL, *made = NULL;
        struct stat st;

        if (geteuid() != 0)
                skip();
        assert_non_null(mkdtemp(dir));
        snprintf(file, sizeof(file), "%s/file", dir);
        snprintf(link, sizeof(link), "%s/link", dir);
        assert_int_equal(write_file_atomic(file, "shadow", 6, 0600), 0);
        assert_int_equal(symlink("file", link), 0);
        assert_int_equal(lchown(link, 65534, 65534), 0);
        assert_int_equal(write_output(link, "new", 3, 0644), 0);
        assert_int_equal(lstat(link, &st), 0);
        assert_true(S_ISREG(st.st_mode));
        assert_int_equal(read_small_file(file, 10, &text, NULL), 0);
        assert_string_equal(text, "shadow");
        assert_int_equal(read_small_file(link, 10, &made, NULL), 0);
        assert_string_equal(made, "new");
        /* a disk is nobody's output, by whatever name */
        assert_int_equal(unlink(link), 0);
        if (mknod(link, S_IFBLK|0600, makedev(259, 1048575)) >= 0)
                assert_int_equal(write_output(link, "new", 3, 0644), -ENOTSUP);
        assert_int_equal(unlink(file) | unlink(link) | rmdir(dir), 0);
}

static void test_ownership(void **state _unused_) {
        char *p = strdup("x"), *q;
        int fd = 7, gone;

        q = TAKE_PTR(p);
        assert_null(p);
        assert_int_equal(free_and_strdup(&q, "y"), 0);
        assert_string_equal(q, "y");
        assert_int_equal(free_and_strdup(&q, NULL), 0);
        assert_null(q);
        gone = TAKE_FD(fd);
        assert_int_equal(gone, 7);
        assert_int_equal(fd, -EBADF);
        errno = ENOENT;
        assert_int_equal(safe_close(-1), -EBADF);
        assert_int_equal(safe_close(999), -EBADF);
        assert_int_equal(errno, ENOENT);
        assert_true(streq_ptr(NULL, NULL) && !streq_ptr("a", NULL) && streq_ptr("a", "a"));
        assert_string_equal(startswith("Volume x", "Volume "), "x");
        assert_null(startswith("Vol", "Volume "));
        assert_int_equal(MIN_OF(3, 2), 2);
        assert_int_equal(MAX_OF(3, 2), 3);
}

static void test_clocks(void **state _unused_) {
        struct instant a = instant_now(), b = instant_now();

        assert_true(b.boottime_usec >= a.boottime_usec && now_boottime_usec() >= b.boottime_usec);
        assert_true(a.realtime_usec > UINT64_C(1600000000) * USEC_PER_SEC);
}

/* ---- the reader of settings ---- */

static char seen[1024];

static int note(void *user _unused_, const char *section, const char *key, const char *value) {
        size_t n = strlen(seen);

        if (streq(key, "fail"))
                return -E2BIG;
        snprintf(seen + n, sizeof(seen) - n, "[%s]%s=%s;", section, key, value);
        return 0;
}

static int read_ini(const char *text, size_t size, unsigned *ret_line) {
        char *copy = malloc(size + 1);
        int r;

        memcpy(copy, text, size);
        copy[size] = 0;
        *seen = 0;
        *ret_line = 0;
        r = ini_read(copy, size, note, NULL, ret_line);
        free(copy);
        return r;
}

static void test_ini(void **state _unused_) {
        static const struct { const char *text; int r; unsigned line; const char *seen; } table[] = {
                { "", 0, 0, "" },
                { "[A]\nk=v\n[B c]\n k = v w \n#x\n;y\n\n", 0, 0, "[A]k=v;[B c]k=v w;" },
                { "[A]\r\nk=v\r\n", 0, 0, "[A]k=v;" },
                { "[A]\nk=v;w #x\nl=a=b\nm=\n\tn\t=\t1\t", 0, 0, "[A]k=v;w #x;[A]l=a=b;[A]m=;[A]n=1;" },
                { "k=v\n", -EINVAL, 1, "" },
                { "[A]\nk\n", -EINVAL, 2, "" },
                { "[A]\n=v\n", -EINVAL, 2, "" },
                { "[A\nk=v\n", -EINVAL, 1, "" },
                { "[]\n", -EINVAL, 1, "" },
                { "[ ]\n", -EINVAL, 1, "" },
                { "[A]x\n", -EINVAL, 1, "" },
                { "[A]\nk=v\x01\n", -EINVAL, 2, "" },
                { "[A]\n#\x1b[31m\n", -EINVAL, 2, "" },
                { "[A]\nk=v\nfail=\nl=v\n", -E2BIG, 3, "[A]k=v;" },
        };
        char longer[5000];
        unsigned line;

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (read_ini(table[i].text, strlen(table[i].text), &line) != table[i].r || line != table[i].line ||
                    !streq(seen, table[i].seen))
                        fail_msg("%zu: line %u, \"%s\"", i, line, seen);
        assert_int_equal(read_ini("[A]\nk=v\n\0l=w\n", 13, &line), -EINVAL);
        assert_int_equal(line, 3);
        /* nothing is cut off: a section of 70 characters, a value of 500 */
        snprintf(longer, sizeof(longer), "[%070d]\nk=%0500d\n", 1, 2);
        assert_int_equal(read_ini(longer, strlen(longer), &line), 0);
        assert_int_equal(strlen(seen), 72 + 2 + 500 + 1);
}

static void test_random_up_to(void **state _unused_) {
        unsigned drawn[4] = {};

        assert_int_equal(random_up_to(0), 0);
        for (unsigned i = 0; i < 1000; i++) {
                uint64_t n = random_up_to(3);

                assert_in_range(n, 0, 3);
                drawn[n]++;
                assert_in_range(random_up_to(UINT64_C(1) << 60), 0, UINT64_C(1) << 60);
        }
        for (unsigned i = 0; i < ELEMENTSOF(drawn); i++)
                assert_true(drawn[i] > 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_parse_u64),
                cmocka_unit_test(test_random_up_to),
                cmocka_unit_test(test_parse_span),
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_uuids),
                cmocka_unit_test(test_exact),
                cmocka_unit_test(test_files), cmocka_unit_test(test_output),
                cmocka_unit_test(test_output_in_anothers_directory),
                cmocka_unit_test(test_output_is_standard_output),
                cmocka_unit_test(test_ownership),
                cmocka_unit_test(test_clocks),
                cmocka_unit_test(test_ini),
        };
        return cmocka_run_group_tests_name("util", tests, NULL, NULL);
}
