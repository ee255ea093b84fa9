/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/ctl/doctor/running.c daemon/ctl/doctor/findings.c
#include "ctl/doctor/running.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>          /* last: it has a macro fail() */

static void sees_what_does_not_run(void **state _unused_) {
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        struct findings l = {};
        char top[] = "/tmp/test-running.XXXXXX", status[64];
        int fd;

        assert_non_null(mkdtemp(top));
        snprintf(a.sun_path, sizeof(a.sun_path), "%s/private", top);
        snprintf(status, sizeof(status), "%s/audit.status", top);
        find_not_running(top, (uint64_t) time(NULL), &l);
        assert_int_equal(l.n, 2);
        assert_non_null(strstr(l.list[0].what, "cmkd does not run"));
        assert_non_null(strstr(l.list[1].what, "cmkd-audit does not run"));
        assert_int_equal(finding_severity(l.list[0].kind), SEVERITY_NOTE);
        findings_release(&l);
        l = (struct findings) {};
        fd = socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0);
        assert_int_equal(bind(fd, (struct sockaddr *) &a, sizeof(a)), 0);
        find_not_running(top, (uint64_t) time(NULL), &l);
        assert_int_equal(l.n, 2);                /* a socket that is left */
        findings_release(&l);
        l = (struct findings) {};
        assert_int_equal(listen(fd, 1), 0);
        assert_int_equal(write_file_atomic(status, "x", 1, 0600), 0);
        find_not_running(top, (uint64_t) time(NULL), &l);
        assert_int_equal(l.n, 0);
        find_not_running(top, (uint64_t) time(NULL) + 100, &l);
        assert_int_equal(l.n, 1);
        findings_release(&l);
        close(fd);
        unlink(a.sun_path);
        unlink(status);
        assert_int_equal(rmdir(top), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(sees_what_does_not_run) };

        return cmocka_run_group_tests_name("running", tests, NULL, NULL);
}
