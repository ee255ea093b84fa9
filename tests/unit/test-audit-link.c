/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/audit-link.c
// libs: libsystemd

/* A record that cannot be sent: who waits for it hears that exactly once, from the call itself or by the callback. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "manager/audit-link.h"
#include "manager/rpc.h"

static sd_event *event;
static struct audit_link *audit;
static int call_gives, heard, n_heard, n_failed;

int rpc_new(sd_event *e _unused_, const char *path _unused_, const char *peer _unused_, struct rpc **ret _unused_) { return 0; }
struct rpc *rpc_free(struct rpc *r _unused_) { return NULL; }
uint32_t rpc_next_id(struct rpc *r _unused_) { return 1; }
bool rpc_is_connected(const struct rpc *r _unused_) { return false; }
int rpc_call(struct rpc *r _unused_, uint32_t id _unused_, const struct wire_frame *f _unused_, int fd _unused_,
             uint64_t timeout_usec _unused_, rpc_callback callback _unused_, void *user _unused_) {
        return call_gives;
}

static void on_heard(int error, uint64_t sequence _unused_, void *user _unused_) {
        heard = error;
        n_heard++;
}

static void on_failed(int error _unused_, void *user _unused_) { n_failed++; }

static int write_one(int gives, audit_callback callback) {
        static struct audit_message_record r;
        int q;

        audit_record_start(&r, "release", 5, true);
        call_gives = gives;
        n_heard = n_failed = 0;
        q = audit_write(audit, &r, USEC_PER_SEC, callback, NULL);
        assert_int_equal(n_heard, 0);
        while (sd_event_run(event, 0) > 0)
                ;
        return q;
}

static void test_no_trail(void **state _unused_) {
        assert_int_equal(write_one(-ENOENT, on_heard), 0);
        assert_int_equal(n_heard, 1);
        assert_int_equal(heard, -ENOENT);
        assert_int_equal(n_failed, 1);
}

/* OnTrailFailure= is not about our own memory. */
static void test_no_memory(void **state _unused_) {
        assert_int_equal(write_one(-ENOMEM, on_heard), -ENOMEM);
        assert_int_equal(n_heard, 0);
        assert_int_equal(n_failed, 0);
}

static void test_no_memory_and_nobody_waits(void **state _unused_) {
        uint64_t lost = audit_lost(audit);

        assert_int_equal(write_one(-ENOMEM, NULL), 0);
        assert_int_equal(audit_lost(audit), lost + 1);
}

static int set_up(void **state _unused_) {
        return sd_event_new(&event) < 0 ? -1 : audit_link_new(event, on_failed, NULL, &audit);
}

static int tear_down(void **state _unused_) {
        audit_link_free(audit);
        sd_event_unref(event);
        return 0;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_no_trail),
                cmocka_unit_test(test_no_memory),
                cmocka_unit_test(test_no_memory_and_nobody_waits),
        };

        return cmocka_run_group_tests(tests, set_up, tear_down);
}
