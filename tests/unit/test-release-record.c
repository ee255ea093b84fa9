/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/release-record.c daemon/manager/new-secret.c daemon/manager/outcome.c daemon/manager/stored.c
// libs: libsystemd

/* No audit, no key, on the way that a new W goes: what the trail answers to its release, and what becomes of it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/algorithm.h"
#include "manager/drill.h"
#include "manager/manager.h"
#include "manager/new-secret.h"
#include "manager/release-record.h"

static struct config config;
static struct manager manager = { .config = &config };
static struct { worker_callback callback; void *user; } asked;
static struct { audit_callback callback; void *user; } recorded;
static int sent;                        /* what sending the record gives */
static bool may_use;
static struct outcome end;

int worker_ask(struct worker_link *l _unused_, const struct vault_request *q _unused_, int fd _unused_, worker_callback callback,
               void *user) {
        asked.callback = callback;
        asked.user = user;
        return 0;
}

int audit_write(struct audit_link *a _unused_, const struct audit_message_record *r, uint64_t timeout_usec, audit_callback callback,
                void *user) {
        assert_string_equal(r->event, "release");
        assert_true(r->durable);
        assert_true(timeout_usec > 0 && callback);
        recorded.callback = callback;
        recorded.user = user;
        return sent;
}

void manager_record_reply(struct audit_message_record *r _unused_, const struct vault_reply *y _unused_) {}
const char *drill_of(const struct manager *m _unused_, const char *name _unused_) { return NULL; }
void key_proof_request(const struct proven_key *k _unused_, enum vault_op op _unused_, const char *use_id _unused_,
                       struct vault_request *q _unused_) {}

static void on_done(const struct outcome *o, struct new_secret *s _unused_, void *user _unused_) {
        end = *o;
        may_use = o->code == EXIT_CODE_DONE;
}

/* Up to where the vault has given out W and its release is to be recorded. */
static void release(int setting, int result) {
        struct proven_key key = { .stored = true };
        struct requester who = { "test" };
        struct new_secret_request q = { &key, "format", "v", "uuid", "/dev/x", "use", &who };
        struct vault_reply y = { .verdict = VERDICT_GRANTED, .blob_size = STORED_DIGEST_SIZE, .delivered = DISK_W_SIZE };

        config.on_trail_failure = setting;
        sent = result;
        may_use = false;
        end = (struct outcome) {};
        assert_int_equal(new_secret_start(&manager, &q, on_done, NULL), 0);
        asked.callback(&y, asked.user);
        asked.callback(&y, asked.user);
}

static void test_not_sent(void **state _unused_) {
        for (int setting = 0; setting < _TRAIL_FAILURE_MAX; setting++) {
                release(setting, -ENOMEM);
                assert_false(may_use);
                assert_string_equal(end.message, "v: out of memory");
        }
        assert_int_equal(release_record(&manager, NULL, NULL, NULL), -ENOMEM);
}

static void test_answered(void **state _unused_) {
        static const int errors[] = { 0, -ENOSPC, -EROFS, -ETIMEDOUT, -ECONNRESET, -ENOMEM };

        for (int setting = 0; setting < _TRAIL_FAILURE_MAX; setting++)
                for (size_t i = 0; i < ELEMENTSOF(errors); i++) {
                        release(setting, 0);
                        assert_false(may_use);           /* nobody has said yet that it is durable */
                        recorded.callback(errors[i], 1, recorded.user);
                        assert_int_equal(may_use, errors[i] == 0 || setting == TRAIL_CONTINUE);
                        assert_int_equal(end.code, may_use ? EXIT_CODE_DONE : EXIT_CODE_FAILED);
                        if (!may_use)
                                assert_true(startswith(end.message, "v: ") && strstr(end.message, strerror(-errors[i])) &&
                                            strstr(end.message, "no audit, no key") && strstr(end.message, "systemctl status cmkd-audit"));
                }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_not_sent),
                cmocka_unit_test(test_answered),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
