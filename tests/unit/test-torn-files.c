/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/trust.c daemon/manager/trust-find.c

/* write_file_atomic() killed before it gives the file its name: a list is read as if it was not there, and it goes with the next start;
 * whatever else is in the directory stays. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/torn-files.h"
#include "common/util.h"
#include "manager/trust.h"

#define UUID "01234567-89ab-cdef-0123-456789abcdef"
#define ENTRY "[Volume]\nName=data1\nRole=data\nKey=https://v.test/keys/k\nGeneration=1\nPublicKey=AA==\n" \
              "Digest=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"

static char dir[32];
static bool killed;

int rename(const char *from, const char *to) {
        if (killed)
                _exit(0);
        return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

static const char *in_dir(const char *name) {
        static char path[128];

        snprintf(path, sizeof(path), "%s/%s", dir, name);
        return path;
}

static void put(const char *name) {
        int fd = open(in_dir(name), O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        close(fd);
}

static void write_killed(const char *name) {
        pid_t pid = fork();
        int status;

        assert_true(pid >= 0);
        if (pid == 0) {
                killed = true;
                (void) write_file_atomic(in_dir(name), ENTRY, strlen(ENTRY), 0600);
                _exit(1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

static int set_up(void **state _unused_) {
        strcpy(dir, "/tmp/test-torn-files.XXXXXX");
        return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state _unused_) {
        char command[64];

        snprintf(command, sizeof(command), "rm -r '%s'", dir);
        return system(command);
}

static void expect(size_t entries) {
        struct trust_list *l = NULL;

        assert_int_equal(trust_load(dir, &l), 0);
        assert_int_equal(l->n_entries, entries);
        assert_int_equal(l->n_bad, 0);
        trust_free(l);
}

static void test_killed(void **state _unused_) {
        write_killed(UUID ".conf");
        expect(0);
        assert_int_equal(write_file_atomic(in_dir(UUID ".conf"), ENTRY, strlen(ENTRY), 0600), 0);
        write_killed(UUID ".conf");
        write_killed("initramfs-due");
        expect(1);
        assert_int_equal(torn_files_remove(dir, NULL, ".conf"), 2);
        assert_int_equal(torn_files_remove(dir, NULL, ".conf"), 0);
        assert_int_equal(torn_files_remove(dir, "initramfs-due", ""), 1);
        expect(1);
}

static void test_others_stay(void **state _unused_) {
        static const char *const stay[] = {
                UUID ".conf", UUID ".conf.abc", UUID ".conf.abcdefg", UUID ".conf.abc.ef", UUID ".conf.", UUID ".conf~abcdef", UUID ".abcdef",
                UUID ".luks1", UUID ".header", UUID ".luks1.abcdef", "x" UUID ".conf.abcdef", "data1.conf.abcdef", ".conf.abcdef", "abcdef",
                "01234567-89ab-cdef-0123-456789abcdeg.conf.abcdef",
        };

        for (size_t i = 0; i < ELEMENTSOF(stay); i++)
                put(stay[i]);
        assert_int_equal(symlink("/etc/passwd", in_dir(UUID ".conf.abcde1")), 0);
        assert_int_equal(mkdir(in_dir(UUID ".conf.abcde2"), 0700), 0);
        put(UUID ".conf.aB3dE9");
        assert_int_equal(torn_files_remove(dir, NULL, ".conf"), 1);
        for (size_t i = 0; i < ELEMENTSOF(stay); i++)
                assert_int_equal(access(in_dir(stay[i]), F_OK), 0);
        assert_true(access(in_dir(UUID ".conf.abcde1"), F_OK) >= 0 && access(in_dir(UUID ".conf.abcde2"), F_OK) >= 0);
        assert_int_equal(torn_files_remove("/nonexistent", NULL, ".conf"), -ENOENT);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_killed, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_others_stay, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
