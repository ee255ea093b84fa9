/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/audit/pins.c
// Pins that are removed or replaced: noticed, put back, said once. The calls of libbpf are this file's and pin-files.h's.

#include "common/util.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "audit/pins.h"
#include "pin-files.h"

static char dir[64], parent[48], path[96];
static int refusal;                        /* of bpf_obj_pin() */
static unsigned n_said;
static int last_error;
static bool last_detached;

int bpf_obj_pin(int fd, const char *where);
int bpf_obj_get_info_by_fd(int fd, void *info, uint32_t *size);

int bpf_obj_get_info_by_fd(int fd, void *info, uint32_t *size) {
        assert_true(*size >= 2 * sizeof(uint32_t));
        return pread(fd, (uint32_t *) info + 1, sizeof(uint32_t), 0) == sizeof(uint32_t) ? 0 : -1;
}

int bpf_obj_pin(int fd, const char *where) {
        char self[64], name[64] = "";
        uint32_t id;

        assert_int_equal(pread(fd, &id, sizeof(id), 0), sizeof(id));
        if (refusal || access(where, F_OK) >= 0) {
                errno = refusal ? refusal : EEXIST;
                return -1;
        }
        snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
        assert_true(readlink(self, name, sizeof(name) - 1) > 0);
        name[strcspn(name, " ")] = 0;
        pin_file(where, name + strlen("/memfd:"), id);
        return 0;
}

static void on_missing(void *user _unused_, const char *name, int error, bool detached) {
        assert_non_null(startswith(name, "link-"));
        n_said++;
        last_error = error;
        last_detached = detached;
}

/* Looks are a second apart: what happens between two of them has another time than what was seen. */
static void pass_a_tick(void) {
        const struct timespec little = { .tv_nsec = 1000000 };
        struct timespec began, now;

        assert_int_equal(clock_gettime(CLOCK_REALTIME_COARSE, &began), 0);
        do {
                nanosleep(&little, NULL);
                assert_int_equal(clock_gettime(CLOCK_REALTIME_COARSE, &now), 0);
        } while (now.tv_sec == began.tv_sec && now.tv_nsec == began.tv_nsec);
}

static unsigned check(struct pins *p) {
        pass_a_tick();
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
                if (pins_hold(p, name + strlen(dir) + 1, object("bpf_link", 40 + i)) < 0)
                        return -1;
                pin_file(name, "bpf-link", 40 + i);
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
        assert_int_equal(pins_hold(*state, "link-a", object("bpf-link", 40)), 0);
        pins_was_missing(*state, "link-a");
        assert_true(pins_fd(*state, "link-a") >= 0);
        assert_int_equal(pins_fd(*state, "link-c"), -ENOENT);
        assert_int_equal(check(*state), 1);
        assert_true(last_detached);
        assert_int_equal(check(*state), 0);
}

static void looked_into_once(void **state) {
        n_looked = 0;
        for (unsigned i = 0; i < 3; i++)
                assert_int_equal(check(*state), 0);
        assert_int_equal(n_looked, 2);
}

/* As soon as one is removed; within ten looks if something is mounted over it, which its directory does not tell. */
static void unchanged_is_left_alone(void **state) {
        _cleanup_(closep) int fd = -EBADF;
        unsigned n;

        for (unsigned i = 0; i < 5; i++)
                assert_int_equal(check(*state), 0);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(check(*state), 1);
        for (unsigned i = 0; i < 5; i++)
                assert_int_equal(check(*state), 0);
        fd = open(path, O_WRONLY|O_TRUNC|O_CLOEXEC);
        assert_true(fd >= 0 && write_all(fd, "bpf-link 41", 11) >= 0);
        for (n = 1; check(*state) == 0; n++)
                assert_true(n < 10);
        assert_true(n > 1);
}

/* Another one, another kind with the same number, no pin at all: each takes the place of what was there. */
static void replaced_is_put_back(void **state) {
        static const struct { const char *kind; uint32_t id; } others[] = { { "bpf-link", 41 }, { "bpf-map", 40 }, { "none", 40 } };

        for (unsigned i = 0; i < ELEMENTSOF(others); i++) {
                assert_int_equal(check(*state), 0);
                pin_file(path, others[i].kind, others[i].id);
                assert_int_equal(check(*state), 1);
                assert_int_equal(last_error, 0);
                assert_int_equal(check(*state), 0);
        }
        /* The same once more is no replacement */
        pin_file(path, "bpf-link", 40);
        assert_int_equal(check(*state), 0);
}

static void no_pin_at_all(void **state) {
        char other[96];

        assert_int_equal(check(*state), 0);
        snprintf(other, sizeof(other), "%s/elsewhere", parent);
        assert_int_equal(rename(path, other), 0);
        assert_int_equal(symlink(other, path), 0);
        assert_int_equal(check(*state), 1);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(mkdir(path, 0700), 0);
        assert_int_equal(check(*state), 1);
        assert_int_equal(check(*state), 0);
}

/* With the file system the directories above are gone: they are nobody's to make. */
static void nothing_is_made_above(void **state) {
        char command[160];

        snprintf(command, sizeof(command), "rm -r %s", parent);
        assert_int_equal(system(command), 0);
        snprintf(command, sizeof(command), "%s/x/y/v1", parent);
        pins_free(*state);
        assert_int_equal(pins_new(command, (struct pins **) state), 0);
        assert_int_equal(pins_hold(*state, "link-a", object("bpf-link", 40)), 0);
        assert_int_equal(check(*state), 1);
        assert_int_equal(last_error, -ENOENT);
        assert_int_equal(access(parent, F_OK), -1);
        assert_int_equal(mkdir(parent, 0700), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(removed_is_put_back, set_up, tear_down),
                cmocka_unit_test_setup_teardown(refused_is_said_once, set_up, tear_down),
                cmocka_unit_test_setup_teardown(directory_is_made_again, set_up, tear_down),
                cmocka_unit_test_setup_teardown(found_missing_is_said, set_up, tear_down),
                cmocka_unit_test_setup_teardown(looked_into_once, set_up, tear_down),
                cmocka_unit_test_setup_teardown(unchanged_is_left_alone, set_up, tear_down),
                cmocka_unit_test_setup_teardown(replaced_is_put_back, set_up, tear_down),
                cmocka_unit_test_setup_teardown(no_pin_at_all, set_up, tear_down),
                cmocka_unit_test_setup_teardown(nothing_is_made_above, set_up, tear_down),
        };

        return cmocka_run_group_tests_name("pins", tests, NULL, NULL);
}
