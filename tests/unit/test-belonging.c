/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/audit/belonging.c daemon/audit/linked.c daemon/audit/pins.c
/* What an earlier start pinned, and what root put into its place. The kernel's objects are a table here, pins are files (pin-files.h). */

#include "audit/belonging.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "audit/pins.h"
#include "pin-files.h"

/* Two maps of ours that programs use, one that only cmkd-audit does, and those that somebody else brought. */
enum { EVENTS = 1, OWN, NOTES, FOREIGN_EVENTS, FOREIGN_PLAIN };
static const char *const map_names[] = { [EVENTS] = "events", [OWN] = "own", [NOTES] = "notes",
                                         [FOREIGN_EVENTS] = "events", [FOREIGN_PLAIN] = "x" };

static const char *const ours[] = { "events", "notes" };

enum { READ_KEY = 21, VERY_LONG, OTHER_OBJECT, WITHOUT_MAPS, OTHER_MAPS };
static const struct {
        const char *name;
        uint32_t origin, maps[3];
} programs[] = {
        [READ_KEY] = { "read_key", 7, { EVENTS, OWN } },
        [VERY_LONG] = { "a_name_that_the", 8, { EVENTS } },       /* the kernel has no more of it */
        [OTHER_OBJECT] = { "read_key", 9, { FOREIGN_PLAIN } },
        [WITHOUT_MAPS] = { "read_key", 0, { 0 } },
        [OTHER_MAPS] = { "read_key", 10, { FOREIGN_EVENTS } },
};

static uint32_t noted[4];                  /* the map "own" */
static size_t n_noted;
static char dir[64];

static uint32_t id_of(int fd) {
        uint32_t id;

        assert_int_equal(pread(fd, &id, sizeof(id), 0), sizeof(id));
        return id;
}

/* Nothing is put back here. */
int bpf_obj_pin(int fd _unused_, const char *where _unused_) {
        fail();
        return -1;
}

int bpf_prog_get_fd_by_id(uint32_t id) {
        return object("bpf-prog", id);
}

int bpf_map_get_fd_by_id(uint32_t id) {
        return object("bpf-map", id);
}

/* Links have the number of their program, plus a hundred. */
static void link_info(uint32_t id, struct bpf_link_info *ret) {
        *ret = (struct bpf_link_info) { .id = id, .prog_id = id - 100 };
}

static void prog_info(uint32_t id, struct bpf_prog_info *info) {
        uint32_t *maps = (uint32_t *) (uintptr_t) info->map_ids, room = info->nr_map_ids, n = 0;

        assert_true(id < ELEMENTSOF(programs) && programs[id].name);
        for (; n < 3 && programs[id].maps[n]; n++)
                if (n < room)
                        maps[n] = programs[id].maps[n];
        info->nr_map_ids = n;
        info->id = id;
        info->btf_id = programs[id].origin;
        strncpy(info->name, programs[id].name, sizeof(info->name) - 1);
}

static void map_info(uint32_t id, struct bpf_map_info *ret) {
        *ret = (struct bpf_map_info) { .id = id };
        assert_true(id < ELEMENTSOF(map_names) && map_names[id]);
        strcpy(ret->name, map_names[id]);
}

/* pins.c asks with room for the kind with the most in it, which is no larger than what the others here have. */
int bpf_obj_get_info_by_fd(int fd, void *info, uint32_t *size) {
        char self[64], name[64] = "";

        snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
        assert_true(readlink(self, name, sizeof(name) - 1) > 0);
        if (strstr(name, "link") && *size == sizeof(struct bpf_link_info))
                link_info(id_of(fd), info);
        else if (strstr(name, "prog") && *size == sizeof(struct bpf_prog_info))
                prog_info(id_of(fd), info);
        else if (strstr(name, "map"))
                map_info(id_of(fd), info);
        else
                ((struct bpf_map_info *) info)->id = id_of(fd);
        return 0;
}

int bpf_map_get_next_key(int fd, const void *key, void *next) {
        assert_int_equal(id_of(fd), OWN);
        assert_null(key);
        if (n_noted == 0)
                return -1;
        *(uint32_t *) next = noted[0];
        return 0;
}

int bpf_map_lookup_elem(int fd, const void *key, void *value _unused_) {
        assert_int_equal(id_of(fd), OWN);
        for (size_t i = 0; i < n_noted; i++)
                if (noted[i] == *(const uint32_t *) key)
                        return 0;
        return -1;
}

static void pin(const char *name, const char *kind, uint32_t id) {
        char path[128];

        snprintf(path, sizeof(path), "%s/%s", dir, name);
        pin_file(path, kind, id);
}

static void unpin(const char *name) {
        char path[128];

        snprintf(path, sizeof(path), "%s/%s", dir, name);
        assert_int_equal(unlink(path), 0);
}

static int set_up(void **state _unused_) {
        snprintf(dir, sizeof(dir), "/tmp/test-belonging.XXXXXX");
        if (!mkdtemp(dir))
                return -1;
        pin("events", "bpf-map", EVENTS);
        pin("notes", "bpf-map", NOTES);
        pin("own", "bpf-map", OWN);
        pin("link-read_key", "bpf-link", 100 + READ_KEY);
        pin("link-long", "bpf-link", 100 + VERY_LONG);
        noted[0] = NOTES;
        n_noted = 1;
        return 0;
}

static int tear_down(void **state _unused_) {
        static const char *const names[] = { "events", "notes", "own", "link-read_key", "link-long", "link-z" };
        char path[128];

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
                (void) unlink(path);
        }
        return rmdir(dir);
}

static const char *foreign(void) {
        return belonging_find_foreign_map(dir, ours, ELEMENTSOF(ours));
}

static bool is_ours(uint32_t program, const char *name) {
        _cleanup_(closep) int fd = object("bpf_link", 100 + program);
        struct belonging b;

        belonging_begin(&b, dir, "events");
        return belonging_has_link(&b, fd, name);
}

static void all_are_ours(void **state _unused_) {
        assert_null(foreign());
        assert_true(is_ours(READ_KEY, "read_key"));
        assert_true(is_ours(VERY_LONG, "a_name_that_the_kernel_cuts"));
}

static void a_map_that_is_not_there(void **state _unused_) {
        unpin("notes");
        assert_string_equal(foreign(), "notes");
        unpin("events");
        assert_string_equal(foreign(), "events");
}

/* Of the same name, and the programs write into another one. */
static void a_map_was_replaced(void **state _unused_) {
        pin("events", "bpf-map", FOREIGN_EVENTS);
        assert_string_equal(foreign(), "events");
}

static void something_else_has_its_name(void **state _unused_) {
        pin("events", "bpf-link", EVENTS);      /* each kind has numbers of its own */
        assert_string_equal(foreign(), "events");
}

/* No program says which one it is: cmkd-audit noted it down. */
static void a_map_that_no_program_uses(void **state _unused_) {
        pin("notes", "bpf-map", FOREIGN_PLAIN);
        assert_string_equal(foreign(), "notes");
        n_noted = 0;                           /* an older cmkd-audit did not */
        assert_null(foreign());
        n_noted = 1;
        unpin("own");
        assert_null(foreign());
}

static void links_that_are_not_ours(void **state _unused_) {
        assert_false(is_ours(READ_KEY, "another_name"));
        assert_false(is_ours(OTHER_OBJECT, "read_key"));
        assert_false(is_ours(WITHOUT_MAPS, "read_key"));
        assert_false(is_ours(OTHER_MAPS, "read_key"));
}

/* That a program of theirs is linked too makes it none of ours, nor our maps theirs. */
static void theirs_is_linked_beside(void **state _unused_) {
        pin("link-z", "bpf-link", 100 + OTHER_OBJECT);
        assert_null(foreign());
        assert_false(is_ours(OTHER_OBJECT, "read_key"));
        assert_true(is_ours(READ_KEY, "read_key"));
}

/* Its map has the name of ours: either may be the one that was replaced, so it is said. */
static void theirs_brings_a_map(void **state _unused_) {
        pin("link-z", "bpf-link", 100 + OTHER_MAPS);
        assert_string_equal(foreign(), "events");
}

static void what_is_no_link(void **state _unused_) {
        _cleanup_(closep) int fd = object("bpf-prog", READ_KEY);
        struct belonging b;

        pin("link-z", "bpf-map", EVENTS);
        assert_null(foreign());
        belonging_begin(&b, dir, "events");
        assert_int_equal(b.n, 2);
        assert_false(belonging_has_link(&b, fd, "read_key"));
        belonging_begin(&b, dir, "no-such-map");
        assert_int_equal(b.n, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(all_are_ours, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_map_that_is_not_there, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_map_was_replaced, set_up, tear_down),
                cmocka_unit_test_setup_teardown(something_else_has_its_name, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_map_that_no_program_uses, set_up, tear_down),
                cmocka_unit_test_setup_teardown(links_that_are_not_ours, set_up, tear_down),
                cmocka_unit_test_setup_teardown(theirs_is_linked_beside, set_up, tear_down),
                cmocka_unit_test_setup_teardown(theirs_brings_a_map, set_up, tear_down),
                cmocka_unit_test_setup_teardown(what_is_no_link, set_up, tear_down),
        };

        return cmocka_run_group_tests_name("belonging", tests, NULL, NULL);
}
