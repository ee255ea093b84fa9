/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/open-mark.c

/* The mark of a volume in each of its states: what the next manager will know. In a /run of its own. */

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "manager/given-out.h"
#include "manager/open-mark.h"
#include "manager/volume.h"
#include "manager/wrap-mark.h"
#include "manager/wrap.h"

#define UUID "01234567-89ab-cdef-0123-456789abcdef"

static const struct open_mark_text given = { .mark = OPEN_MARK_RELEASED, .issued = { 7, 8 }, .mapping = "luks-data1" };
static const struct instant issued = { 100, 200 };
static struct volume volume = { .uuid = UUID, .mapping = "data1" };
static bool is_given_out, has_heard;
static struct instant lease;

bool given_out_find(struct manager *m _unused_, const char *uuid _unused_, struct open_mark_text *ret, struct breaker_slot *ret_slot) {
        *ret = given;
        *ret_slot = (struct breaker_slot) {};
        return is_given_out;
}

struct instant wraps_lease_begin(const struct volume *v _unused_) { return lease; }
bool wraps_have_heard(const struct volume *v _unused_) { return has_heard; }
void wrap_mark_update(const struct volume *v _unused_) { }

static bool says(enum open_mark mark, uint64_t boottime_usec, const char *mapping) {
        struct open_mark_text t;

        open_mark_read(UUID, &t);
        return t.mark == mark && t.issued.boottime_usec == boottime_usec && streq(t.mapping, mapping) &&
               (access("/run/cmkd/roles/" UUID, F_OK) >= 0) == (mark != OPEN_MARK_NONE);
}

static bool becomes(enum volume_state s, enum open_mark mark, uint64_t boottime_usec, const char *mapping) {
        volume.state = s;
        open_mark_update(&volume);
        return says(mark, boottime_usec, mapping);
}

/* Attached, and closed in either way. */
static int closed(void) {
        static const enum volume_state ends[] = { VOLUME_CLOSED, VOLUME_CUT };

        for (size_t i = 0; i < ELEMENTSOF(ends); i++) {
                is_given_out = false;
                lease = issued;
                has_heard = true;
                if (!becomes(VOLUME_ATTACHED, OPEN_MARK_ATTACHED, 100, "data1"))
                        return 1;
                if (!becomes(ends[i], OPEN_MARK_NONE, 0, ""))
                        return 2;
        }
        return 0;
}

/* Whoever got its key before the start is waited for: whatever was begun with it meanwhile, a next manager knows of him. */
static int given_out(void) {
        static const enum volume_state ends[] = { VOLUME_CUT, VOLUME_CLOSED };

        is_given_out = has_heard = true;
        lease = issued;
        open_mark_released(&volume, issued);
        for (size_t i = 0; i < ELEMENTSOF(ends); i++) {
                if (!becomes(ends[i], OPEN_MARK_RELEASED, 7, "luks-data1"))
                        return 3;
                open_mark_released(&volume, issued);
                if (!says(OPEN_MARK_RELEASED, 100, "data1"))
                        return 4;
                if (!becomes(ends[i], OPEN_MARK_RELEASED, 7, "luks-data1"))
                        return 5;
        }
        if (!becomes(VOLUME_ATTACHED, OPEN_MARK_ATTACHED, 100, "data1") || !becomes(VOLUME_CLOSED, OPEN_MARK_RELEASED, 7, "luks-data1"))
                return 6;
        open_mark_forget(UUID);                  /* he has not come */
        is_given_out = false;
        return becomes(VOLUME_CLOSED, OPEN_MARK_NONE, 0, "") ? 0 : 7;
}

/* What its owner said to an earlier manager is not made another by the lease that this one works with. */
static int adopted(void) {
        is_given_out = false;
        has_heard = true;
        lease = issued;
        if (!becomes(VOLUME_ATTACHED, OPEN_MARK_ATTACHED, 100, "data1"))
                return 8;
        has_heard = false;
        lease.boottime_usec = 50;
        if (!becomes(VOLUME_ATTACHED, OPEN_MARK_ATTACHED, 100, "data1"))
                return 9;
        has_heard = true;
        lease.boottime_usec = 300;
        if (!becomes(VOLUME_ATTACHED, OPEN_MARK_ATTACHED, 300, "data1"))
                return 10;
        open_mark_forget(UUID);
        has_heard = false;
        return becomes(VOLUME_ATTACHED, OPEN_MARK_ATTACHED, 300, "data1") ? 0 : 11;
}

static int alone(int (*f)(void)) {
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC|MS_PRIVATE, NULL) < 0 || mount("none", "/run", "tmpfs", 0, NULL) < 0)
                return 77;
        return f();
}

static void run(int (*f)(void)) {
        pid_t pid = fork();
        int status;

        if (pid == 0)
                _exit(alone(f));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == 77)
                skip();
        assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_closed(void **state _unused_) { run(closed); }
static void test_given_out(void **state _unused_) { run(given_out); }
static void test_adopted(void **state _unused_) { run(adopted); }

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_closed), cmocka_unit_test(test_given_out), cmocka_unit_test(test_adopted),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
