/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/audit/misses.c daemon/audit/linked.c

/* What the kernel passed a program over is said once, also by the next start, and from nothing where the program is another one. The
 * kernel's count and the map are this test's. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "audit/misses.h"

#include <bpf/bpf.h>
#include <fcntl.h>

#define LINK 1000

static uint32_t program;                   /* that the link attaches */
static uint64_t count;
static struct { char name[CMKD_PROGRAM_SIZE]; struct cmkd_missed missed; } map[4];
static size_t n_map;

int bpf_prog_get_fd_by_id(uint32_t id) {
        assert_int_equal(id, program);
        return open("/dev/null", O_RDONLY|O_CLOEXEC);
}

int bpf_obj_get_info_by_fd(int fd, void *info, __u32 *size) {
        if (fd == LINK) {
                assert_int_equal(*size, sizeof(struct bpf_link_info));
                ((struct bpf_link_info *) info)->prog_id = program;
        } else {
                assert_int_equal(*size, sizeof(struct bpf_prog_info));
                *(struct bpf_prog_info *) info = (struct bpf_prog_info) { .id = program, .recursion_misses = count };
        }
        return 0;
}

int bpf_map_lookup_elem(int fd _unused_, const void *key, void *value) {
        for (size_t i = 0; i < n_map; i++)
                if (memcmp(map[i].name, key, CMKD_PROGRAM_SIZE) == 0) {
                        memcpy(value, &map[i].missed, sizeof(map[i].missed));
                        return 0;
                }
        errno = ENOENT;
        return -1;
}

int bpf_map_update_elem(int fd _unused_, const void *key, const void *value, __u64 flags _unused_) {
        size_t i = 0;

        while (i < n_map && memcmp(map[i].name, key, CMKD_PROGRAM_SIZE) != 0)
                i++;
        assert_true(i < ELEMENTSOF(map));
        memcpy(map[i].name, key, CMKD_PROGRAM_SIZE);
        memcpy(&map[i].missed, value, sizeof(map[i].missed));
        n_map = i == n_map ? n_map + 1 : n_map;
        return 0;
}

static uint64_t look(const char *name, bool reported) {
        struct misses m;

        assert_int_equal(misses_look(0, LINK, name, &m), 0);
        assert_string_equal(m.program, name);
        if (reported)
                assert_int_equal(misses_reported(0, &m), 0);
        return m.n;
}

static void test_misses(void **state _unused_) {
        program = 7;
        assert_int_equal(look("on_crypt_ctr", true), 0);
        count = 3;
        assert_int_equal(look("on_crypt_ctr", false), 3);
        count = 5;
        assert_int_equal(look("on_crypt_ctr", true), 5);       /* the trail did not take the three */
        assert_int_equal(look("on_crypt_ctr", true), 0);
        count = 6;
        assert_int_equal(look("on_bio_queue", true), 6);       /* each has its own */
        assert_int_equal(look("on_crypt_ctr", true), 1);
        program = 8;
        count = 6;
        assert_int_equal(look("on_crypt_ctr", true), 6);       /* loaded anew */
        count = 2;
        assert_int_equal(look("on_crypt_ctr", true), 0);       /* never below nothing */
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_misses) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
