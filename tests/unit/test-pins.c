/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/audit/pins.c
// Pins that are removed: noticed, put back, said once. A pin is a plain file here, bpf_obj_pin() is this file's.

#include "common/util.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "audit/pins.h"

static char dir[64], parent[48], path[96];
static int refusal;                        /* of bpf_obj_pin() */
static unsigned n_said;
static int last_error;
static bool last_detached;

int bpf_obj_pin(int fd, const char *where);

int bpf_obj_pin(int fd, const char *where) {
        int file;

        assert_true(fcntl(fd, F_GETFD) >= 0);
        if (refusal) {
                errno = refusal;
                return -1;
        }
        file = open(where, O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC, 0600);
        return file < 0 ? -1 : close(file);
}

static void on_missing(void *user _unused_, const char *name, int error, bool detached) {
        assert_non_null(startswith(name, "link-"));
        n_said++;
        last_error = error;
        last_detached = detached;
}

static unsigned check(struct pins *p) {
        n_said = 0;
        pins_check(p, on_missing, NULL);
        return n_said;
}

/* Two pins; the tests remove link-a. */
static int set_up(void **state) {
        struct pins *p;

        refusal = 0;
        snprintf(parent, sizeof(parent), "/tmp/test-pins.XXXXXX");
        if (!mkdtemp(parent))
                return -1;
        snprintf(dir, sizeof(dir), "%s/v1", parent);
        snprintf(path, sizeof(path), "%s/link-a", dir);
        if (mkdir(dir, 0700) < 0 || pins_new(dir, &p) < 0)
                return -1;
        for (unsigned i = 0; i < 2; i++) {
                char name[96];

                snprintf(name, sizeof(name), "%s/link-%c", dir, 'a' + i);
                if (pins_hold(p, name + strlen(dir) + 1, open("/dev/null", O_RDONLY|O_CLOEXEC)) < 0)
                        return -1;
                close(creat(name, 0600));
        }
        *state = p;
        return 0;
}

static int tear_down(void **state) {
        char command[80];

        pins_free(*state);
        snprintf(command, sizeof(command), "rm -r %s", parent);
        return system(command);
}

static void removed_is_put_back(void **state) {
        assert_int_equal(check(*state), 0);
        for (unsigned i = 0; i < 2; i++) {
                assert_int_equal(unlink(path), 0);
                assert_int_equal(check(*state), 1);
                assert_int_equal(last_error, 0);
                assert_false(last_detached);
                assert_int_equal(access(path, F_OK), 0);
                assert_int_equal(check(*state), 0);
        }
}

static void refused_is_said_once(void **state) {
        assert_int_equal(unlink(path), 0);
        refusal = EPERM;
        assert_int_equal(check(*state), 1);
        assert_int_equal(last_error, -EPERM);
        assert_int_equal(check(*state), 0);
        refusal = 0;
        assert_int_equal(check(*state), 0);
        assert_int_equal(access(path, F_OK), 0);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(check(*state), 1);
}

static void directory_is_made_again(void **state) {
        char other[96];

        snprintf(other, sizeof(other), "%s/link-b", dir);
        assert_int_equal(unlink(path) + unlink(other) + rmdir(dir), 0);
        assert_int_equal(check(*state), 2);
        assert_int_equal(access(path, F_OK) + access(other, F_OK), 0);
}

static void found_missing_is_said(void **state) {
        assert_int_equal(pins_hold(*state, "link-a", open("/dev/null", O_RDONLY|O_CLOEXEC)), 0);
        pins_was_missing(*state, "link-a");
        assert_true(pins_fd(*state, "link-a") >= 0);
        assert_int_equal(pins_fd(*state, "link-c"), -ENOENT);
        assert_int_equal(check(*state), 1);
        assert_true(last_detached);
        assert_int_equal(check(*state), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(removed_is_put_back, set_up, tear_down),
                cmocka_unit_test_setup_teardown(refused_is_said_once, set_up, tear_down),
                cmocka_unit_test_setup_teardown(directory_is_made_again, set_up, tear_down),
                cmocka_unit_test_setup_teardown(found_missing_is_said, set_up, tear_down),
        };

        return cmocka_run_group_tests_name("pins", tests, NULL, NULL);
}
