/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/unit-name.c

/* Names of units: as systemd makes them, and who is never stopped. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "manager/unit-name.h"

/* As systemd-escape --path prints them. */
static void test_paths(void **state _unused_) {
        static const struct {
                const char *path, *name;
        } cases[] = {
                { "/", "-.mount" },
                { "/srv", "srv.mount" },
                { "/srv/", "srv.mount" },
                { "//srv//data", "srv-data.mount" },
                { "/srv/a b", "srv-a\\x20b.mount" },
                { "/srv/a-b/.x", "srv-a\\x2db-.x.mount" },
                { "/.x/y", "\\x2ex-y.mount" },
                { "/mnt/\xc3\xa4", "mnt-\\xc3\\xa4.mount" },
                { "/a/b:c_d", "a-b:c_d.mount" },
                { "/x\\y", "x\\x5cy.mount" },
        };
        char name[UNIT_NAME_SIZE], path[400];

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                assert_int_equal(unit_name_from_path(cases[i].path, ".mount", name), 0);
                assert_string_equal(name, cases[i].name);
                assert_true(unit_name_is_valid(name));
        }
        assert_int_equal(unit_name_from_path("srv", ".mount", name), -EINVAL);
        assert_int_equal(unit_name_from_path("", ".mount", name), -EINVAL);
        for (size_t n = 1; n < sizeof(path); n++) {
                memset(path, 'a', n);
                *path = '/';
                path[n] = 0;
                if (unit_name_from_path(path, ".automount", name) < 0)
                        assert_true(n > 230);
                else
                        assert_true(strlen(name) < UNIT_NAME_SIZE && unit_name_is_valid(name));
        }
}

static void test_control_groups(void **state _unused_) {
        static const struct {
                const char *path, *unit;
        } cases[] = {
                { "/system.slice/nginx.service", "nginx.service" },
                { "/system.slice/system-postgresql.slice/postgresql@15-main.service/worker", "postgresql@15-main.service" },
                { "/init.scope", "init.scope" },
                { "/user.slice/user-1000.slice/session-3.scope", "session-3.scope" },
                { "/user.slice/user-1000.slice/user@1000.service/app.slice/evil.service", "user@1000.service" },
                { "/machine.slice/libpod-0123456789abcdef.scope/container", "libpod-0123456789abcdef.scope" },
                { "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1.slice/cri-containerd-ab.scope",
                  "cri-containerd-ab.scope" },
                { "/system.slice/_cgroup.service", "cgroup.service" },
                { "/", NULL },
                { "", NULL },
                { "/user.slice", NULL },
                { "/system.slice/", NULL },
                { "/docker/0123456789abcdef", NULL },
                { "/system.slice/x.device", NULL },
                { "/system.slice/a b.service", NULL },
                { "/system.slice/a\nb.service", NULL },
                { "/lxc.payload.x/system.slice/cron.service", NULL },
        };
        char name[UNIT_NAME_SIZE];

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                int r = unit_name_from_cgroup(cases[i].path, name);

                assert_int_equal(r, cases[i].unit ? 0 : -ENOENT);
                if (r >= 0)
                        assert_string_equal(name, cases[i].unit);
        }
}

static void test_valid_names(void **state _unused_) {
        static const char *const good[] = { "a.service", "a@.service", "a@b.service", "a@b@c.service", "a\\x2db.mount", "-.mount", "a:b_c.timer" };
        static const char *const bad[] = {
                "", ".service", "a", "a.b", "@b.service", "a b.service", "a/b.service", "a.service\n",
                "a.conf", "\xc3\xa4.service", "a\"b.service", "a.Service",
        };
        char longest[UNIT_NAME_SIZE + 1];

        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                assert_true(unit_name_is_valid(good[i]));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_false(unit_name_is_valid(bad[i]));
        memset(longest, 'a', sizeof(longest));
        memcpy(longest + UNIT_NAME_SIZE - strlen(".service"), ".service", strlen(".service") + 1);
        assert_false(unit_name_is_valid(longest));
        assert_true(unit_name_is_valid(longest + 1));
}

static void test_who_is_never_stopped(void **state _unused_) {
        static const char *const never[] = {
                "init.scope", "cmkd.service", "cmkd-breaker.service", "cmkd-notice@data1.target", "dbus.service",
                "dbus-broker.service", "dbus.socket", "systemd-journald.service", "systemd-udevd.service", "systemd-logind.service",
                "user@0.service", "session-c1.scope", "ssh.service", "sshd.service", "ssh.socket", "sshd@1-2:22-3:4.service",
                "getty@tty1.service", "serial-getty@ttyS0.service", "emergency.service", "emergency.target", "rescue.target",
                "NetworkManager.service", "-.mount", "usr.mount", "var.mount", "-.slice", "dev-sda.device", "local-fs.target",
                "remote-fs.target", "multi-user.target", "graphical.target", "sysinit.target", "network-online.target",
                "swap.target", "umount.target", "remote-fs-pre.target", "initrd-root-fs.target",
        };
        static const char *const may[] = {
                "postgresql@15-main.service", "nginx.service", "docker.service", "cri-containerd-ab.scope", "srv-data.mount",
                "var-lib-docker.mount", "dev-mapper-swap0.swap", "machine-qemu\\x2d1\\x2dvm.scope", "backup.timer",
                "systemd-nspawn@box.service", "run-u12.service", "app.target", "app.socket", "srv.automount",
        };

        for (size_t i = 0; i < ELEMENTSOF(never); i++)
                assert_non_null(unit_never_stopped(never[i]));
        for (size_t i = 0; i < ELEMENTSOF(may); i++)
                assert_null(unit_never_stopped(may[i]));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_paths),
                cmocka_unit_test(test_control_groups),
                cmocka_unit_test(test_valid_names),
                cmocka_unit_test(test_who_is_never_stopped),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
