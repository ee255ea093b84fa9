/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/ctl/crypttab.c daemon/ctl/udev.c
// libs: libsystemd json-c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/util.h"
#include "ctl/crypttab.h"
#include "ctl/udev.h"

static const struct crypttab_device disk = {
        .uuid = "0c8c1b5e-0000-4000-8000-00000000000a", .label = "", .partuuid = "AB-01", .partlabel = "my data",
        .paths = { "/dev/vdb1", "/dev/disk/by-uuid/0c8c1b5e-0000-4000-8000-00000000000a", "/dev/disk/by-id/x", NULL },
};

static void named(void **state) {
        (void) state;
        assert_true(crypttab_names("d UUID=0c8c1b5e-0000-4000-8000-00000000000a none luks\n", &disk));
        assert_true(crypttab_names("# c\n\n  d\tUUID=\"0C8C1B5E-0000-4000-8000-00000000000A\"", &disk));
        assert_true(crypttab_names("a /dev/vdc\nd PARTUUID=ab-01 - noauto", &disk));
        assert_true(crypttab_names("d PARTLABEL=my\\040data", &disk));
        assert_true(crypttab_names("d /dev/vdb1", &disk));
        assert_true(crypttab_names("d /dev/disk/by-id/x none\r\n", &disk));
}

static void not_named(void **state) {
        (void) state;
        assert_false(crypttab_names("", &disk));
        assert_false(crypttab_names("d", &disk));
        assert_false(crypttab_names("d \n/dev/vdb1\n", &disk));
        assert_false(crypttab_names("# d /dev/vdb1\n", &disk));
        assert_false(crypttab_names("d /dev/vdb none /dev/vdb1\n", &disk));
        assert_false(crypttab_names("d UUID=0c8c1b5e", &disk));
        assert_false(crypttab_names("d PARTLABEL=MY\\040DATA", &disk));
        assert_false(crypttab_names("d LABEL=", &disk));
        assert_false(crypttab_names("d UUID= ", &disk));
        assert_false(crypttab_names("/dev/vdb1 /dev/vdc", &disk));
}

static void long_field(void **state) {
        char text[5000];

        (void) state;
        memset(text, 'x', sizeof(text));
        text[1] = ' ';
        memcpy(text + sizeof(text) - 14, "\nd /dev/vdb1\n", 14);
        assert_true(crypttab_names(text, &disk));
}

static void unescape(void **state) {
        char path[64];

        (void) state;
        assert_int_equal(unit_path_unescape("sys-devices-pci0000:00-block-vdb", path, sizeof(path)), 0);
        assert_string_equal(path, "/sys/devices/pci0000:00/block/vdb");
        assert_int_equal(unit_path_unescape("sys-a\\x2db-c\\x21d", path, sizeof(path)), 0);
        assert_string_equal(path, "/sys/a-b/c!d");
        assert_int_equal(unit_path_unescape("a\\x2", path, sizeof(path)), -EINVAL);
        assert_int_equal(unit_path_unescape("a\\x00b", path, sizeof(path)), -EINVAL);
        assert_int_equal(unit_path_unescape("a\\y2d", path, sizeof(path)), -EINVAL);
        assert_int_equal(unit_path_unescape("a\\", path, sizeof(path)), -EINVAL);
        assert_int_equal(unit_path_unescape("abcdef", path, 6), -EINVAL);
        assert_int_equal(unit_path_unescape("abcd", path, 6), 0);
}

static void instances(void **state) {
        char node[257];

        (void) state;
        assert_int_equal(udev_device_node("data1", node), -ENXIO);
        assert_int_equal(udev_device_node("sys-devices-no-such-thing", node), -ENODEV);
}

/* It is there, or nobody would make it: no waiting either way. */
static void links(void **state) {
        char dir[] = "/tmp/cmkd-test-XXXXXX", path[64];

        (void) state;
        assert_non_null(mkdtemp(dir));
        assert_int_equal(wait_for_link(dir, 60 * USEC_PER_SEC), 0);
        snprintf(path, sizeof(path), "%s/a/b", dir);
        if (access("/run/udev/control", F_OK) < 0)
                assert_int_equal(wait_for_link(path, 60 * USEC_PER_SEC), -ENOENT);
        else
                assert_int_equal(wait_for_link(path, 1000), -ETIMEDOUT);
        assert_int_equal(rmdir(dir), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(named), cmocka_unit_test(not_named), cmocka_unit_test(long_field),
                cmocka_unit_test(unescape), cmocka_unit_test(instances), cmocka_unit_test(links),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
