/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/ctl/doctor/cpio.c daemon/ctl/doctor/image.c daemon/ctl/doctor/elf.c
// libs: json-c
#include "ctl/doctor/image.h"

#include <setjmp.h>
#include <stdarg.h>

#include "cpio-image.h"
#include <cmocka.h>          /* last: it has a macro fail() */

static void paths_are_merged(void **state _unused_) {
        char buf[64];

        assert_int_equal(image_path("/lib/x", buf, sizeof(buf)), 0);
        assert_string_equal(buf, "usr/lib/x");
        assert_int_equal(image_path("./sbin//x/./y", buf, sizeof(buf)), 0);
        assert_string_equal(buf, "usr/sbin/x/y");
        assert_int_equal(image_path("library/x", buf, sizeof(buf)), 0);
        assert_string_equal(buf, "library/x");
        assert_int_equal(image_path("a/../b", buf, sizeof(buf)), -EINVAL);
        assert_int_equal(image_path(".", buf, sizeof(buf)), -EINVAL);
        assert_int_equal(image_path("/lib/x", buf, 10), 0);
        assert_int_equal(image_path("/lib/x", buf, 9), -EINVAL);
}

/* However the bytes come, the same files come out. */
static void links_are_followed(void **state _unused_) {
        struct cpio_image bytes = {};
        struct image i = {};
        struct cpio_sink sink = image_sink(&i);
        struct cpio c;
        size_t used;

        cpio_add(&bytes, "etc/a", S_IFLNK | 0777, "../lib/b", 8);
        cpio_add(&bytes, "lib/b", S_IFLNK | 0777, "/etc/c", 6);
        cpio_add(&bytes, "etc/c", S_IFREG | 0644, "old", 3);
        cpio_add(&bytes, "loop", S_IFLNK | 0777, "loop", 4);
        cpio_end(&bytes);
        cpio_add(&bytes, "etc/c", S_IFREG | 0644, "new", 3);
        cpio_end(&bytes);
        cpio_init(&c, &sink);
        for (size_t k = 0; k < bytes.size; k++)
                assert_int_equal(cpio_feed(&c, bytes.data + k, 1, &used), 0);
        free(bytes.data);
        image_finish(&i);
        assert_true(cpio_is_complete(&c));
        assert_string_equal(image_text(&i, "/etc/a"), "new");
        assert_null(image_find(&i, "loop"));
        assert_null(image_find(&i, "etc"));
        image_release(&i);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(paths_are_merged), cmocka_unit_test(links_are_followed),
        };

        return cmocka_run_group_tests_name("doctor-image", tests, NULL, NULL);
}
