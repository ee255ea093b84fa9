/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/device-facts.c
// libs: libsystemd
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/util.h"
#include "manager/device-facts.h"

static char sys[64];

static void shell(const char *format, const char *a, const char *b) {
        char command[1024];

        snprintf(command, sizeof(command), format, sys, a, sys, b);
        assert_int_equal(system(command), 0);
}

/* A device at PLACE (below devices/), NAME being its last word. */
static void device(const char *name, const char *place) {
        char text[256];

        snprintf(text, sizeof(text), "%s/%s", place, name);
        shell("mkdir -p %s/devices/%s && cd %s/class/block && ln -s ../../devices/%s .", text, text);
}

static void stack(const char *upper, const char *lower) {
        char text[256];

        snprintf(text, sizeof(text), "%s/slaves/%s", upper, lower);
        shell("mkdir -p %s/class/block/%s && : %s %s", text, "");
}

static int set_up(void **state) {
        (void) state;
        strcpy(sys, "/tmp/cmkd-test-XXXXXX");
        assert_non_null(mkdtemp(sys));
        shell("mkdir -p %s/class/block%s %s%s", "", "/devices");
        device("vda", "pci0000:00/0000:00:07.0/virtio4/block");
        device("sdb", "pci0000:00/0000:00:14.0/usb1/1-1/1-1:1.0/host3/target3:0:0/3:0:0:0/block");
        device("sdb1", "pci0000:00/0000:00:14.0/usb1/1-1/1-1:1.0/host3/target3:0:0/3:0:0:0/block/sdb");
        device("sdc", "pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block");
        device("sdd", "pci0000:00/usbstick/block");
        device("sdd1", "pci0000:00/usbstick/block/sdd");
        device("loop0", "virtual/block");
        device("nbd3", "virtual/block");
        device("zram0", "virtual/block");
        device("loopy", "virtual/block");
        device("dm-0", "virtual/block");
        device("dm-1", "virtual/block");
        device("dm-2", "virtual/block");
        device("md0", "virtual/block");
        shell("echo 1 > %s/class/block/%s/partition; echo 1 > %s/class/block/%s/partition", "sdb1", "sdd1");
        shell("echo 1 > %s/class/block/%s/removable; echo 0 > %s/class/block/%s/removable", "sdd", "vda");
        stack("dm-0", "vda");
        stack("dm-1", "dm-0");
        stack("dm-1", "md0");
        stack("md0", "sdc");
        stack("md0", "sdb1");
        stack("dm-2", "dm-2");      /* the kernel makes no circles: a reader must end all the same */
        return 0;
}

static int tear_down(void **state) {
        (void) state;
        shell("rm -rf %s%s && : %s%s", "", "");
        return 0;
}

static void unfit(void **state) {
        (void) state;
        assert_null(device_unfit(sys, "vda"));
        assert_null(device_unfit(sys, "sdc"));
        assert_null(device_unfit(sys, "loopy"));
        assert_null(device_unfit(sys, "dm-0"));
        assert_null(device_unfit(sys, "gone"));
        assert_string_equal(device_unfit(sys, "sdb"), "a USB device");
        assert_string_equal(device_unfit(sys, "sdb1"), "a USB device");
        assert_string_equal(device_unfit(sys, "sdd"), "a removable device");
        assert_string_equal(device_unfit(sys, "sdd1"), "a removable device");
        assert_string_equal(device_unfit(sys, "loop0"), "a loop device");
        assert_string_equal(device_unfit(sys, "nbd3"), "a network block device (nbd)");
        assert_string_equal(device_unfit(sys, "zram0"), "a zram device");
}

static void stacks(void **state) {
        (void) state;
        assert_string_equal(device_unfit(sys, "md0"), "a USB device");
        assert_string_equal(device_unfit(sys, "dm-1"), "a USB device");
        assert_null(device_unfit(sys, "dm-2"));
        assert_true(device_stands_on(sys, "dm-1", "vda"));
        assert_true(device_stands_on(sys, "dm-1", "sdb1"));
        assert_false(device_stands_on(sys, "dm-0", "sdb1"));
        assert_false(device_stands_on(sys, "vda", "dm-0"));
}

static void nothing_there(void **state) {
        struct device_facts f;
        char twin[257];

        (void) state;
        assert_int_equal(device_facts_read("/dev/no-such-device", &f), -ENODEV);
        assert_int_equal(device_facts_read("/dev/null", &f), -ENODEV);
        assert_true(device_facts_find_twin("/dev/null", "x", twin) < 0);
        assert_false(device_is_there("/dev/no-such-device"));
        assert_true(device_is_there("/dev/null"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(unfit), cmocka_unit_test(stacks), cmocka_unit_test(nothing_there),
        };

        return cmocka_run_group_tests(tests, set_up, tear_down);
}
