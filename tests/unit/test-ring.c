/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/audit/ring.c
// The kernel's ring as a reader that may be killed has it: what is in the trail already is stepped over, and nothing else. The ring is this
// file's, of the kernel's form.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "audit/ring.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <sys/mman.h>
#include <unistd.h>

#define EVENTS 10u
#define EVENT_SIZE 24u                     /* with its header */
#define AT(i) ((uint64_t) (i) * EVENT_SIZE)

static size_t page;
static int fd = -EBADF;
static struct ring *ring;

int bpf_obj_get_info_by_fd(int map_fd _unused_, void *info, __u32 *size _unused_) {
        *(struct bpf_map_info *) info = (struct bpf_map_info) { .type = BPF_MAP_TYPE_RINGBUF, .max_entries = (uint32_t) page };
        return 0;
}

static void put(size_t offset, const void *data, size_t size) {
        assert_int_equal(pwrite(fd, data, size, (off_t) offset), size);
}

static void put_header(unsigned i, uint32_t bits) {
        uint32_t length = (EVENT_SIZE - BPF_RINGBUF_HDR_SZ) | bits;

        put(2 * page + AT(i), &length, sizeof(length));
}

/* Ten events, of which the first was taken out. */
static int set_up(void **state _unused_) {
        uint64_t consumed = AT(1), produced = AT(EVENTS);

        page = (size_t) sysconf(_SC_PAGESIZE);
        fd = memfd_create("ring", MFD_CLOEXEC);
        assert_true(fd >= 0 && ftruncate(fd, (off_t) (4 * page)) >= 0);
        put(0, &consumed, sizeof(consumed));
        put(page, &produced, sizeof(produced));
        for (unsigned i = 0; i < EVENTS; i++)
                put_header(i, 0);
        return ring_open(fd, &ring);
}

static int tear_down(void **state _unused_) {
        ring_free(ring);
        return close(fd);
}

/* -1: there is none. */
static int next_event(void) {
        uint64_t position;
        const void *data;
        size_t size;

        return ring_next(ring, &data, &size, &position) > 0 ? (int) (position / EVENT_SIZE) : -1;
}

static void what_is_written_is_stepped_over(void **state _unused_) {
        assert_int_equal(ring_skip(ring, AT(3), 256), 3);
        assert_int_equal(ring_consumed(ring), AT(1));              /* until that is committed */
        ring_rewind(ring);
        assert_int_equal(next_event(), 1);
        assert_int_equal(ring_skip(ring, AT(3), 256), 3);
        ring_commit(ring);
        assert_int_equal(ring_consumed(ring), AT(4));
        assert_int_equal(next_event(), 4);
        assert_int_equal(ring_skip(ring, AT(0), 256), 0);
        assert_int_equal(next_event(), 4);
        assert_int_equal(ring_skip(ring, AT(EVENTS - 1), 256), 6);
        assert_int_equal(next_event(), -1);
        ring_commit(ring);
        assert_int_equal(ring_consumed(ring), AT(EVENTS));
}

/* Of a place that the ring has not come to somebody else told us. */
static void no_more_than_there_is(void **state _unused_) {
        assert_int_equal(ring_skip(ring, AT(EVENTS), 256), -ERANGE);
        assert_int_equal(ring_skip(ring, UINT64_MAX, 256), -ERANGE);
        assert_int_equal(ring_consumed(ring), AT(1));
        assert_int_equal(next_event(), 1);
}

static void no_more_than_can_be(void **state _unused_) {
        assert_int_equal(ring_skip(ring, AT(8), 7), -ERANGE);
        assert_int_equal(ring_consumed(ring), AT(1));
        assert_int_equal(next_event(), 1);
        assert_int_equal(ring_skip(ring, AT(8), 8), 8);
        assert_int_equal(next_event(), 9);
}

/* Discarded ones are no events; behind one that is being written nothing was read. */
static void events_that_are_none(void **state _unused_) {
        put_header(2, BPF_RINGBUF_DISCARD_BIT);
        put_header(5, BPF_RINGBUF_BUSY_BIT);
        assert_int_equal(ring_skip(ring, AT(8), 3), 3);
        assert_int_equal(next_event(), -1);
        ring_commit(ring);
        assert_int_equal(ring_consumed(ring), AT(5));
        put_header(5, 0);
        assert_int_equal(next_event(), 5);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(what_is_written_is_stepped_over), TEST(no_more_than_there_is), TEST(no_more_than_can_be), TEST(events_that_are_none),
        };

        return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
