/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/audit/chain.c daemon/audit/seal.c daemon/audit/record.c daemon/audit/reader.c daemon/audit/trail.c daemon/audit/early.c
// sources: daemon/audit/segments.c daemon/audit/seal-rsa.c daemon/audit/epochs.c daemon/audit/verify.c daemon/audit/sealer.c daemon/audit/keep.c
// sources: daemon/audit/skip.c
// libs: json-c libsystemd
// What of the ring is not read because of what the trail has: by the early trail's word alone only if that is said. Ring and writer are this
// file's.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "audit/skip.h"

static uint64_t in_ring, cursor, consumed;         /* events; as if each were one byte */
static struct audit_message_record said;
static unsigned n_said;
static int fails_with;

int ring_skip(struct ring *r _unused_, uint64_t written, unsigned max) {
        if (written < consumed)
                return 0;
        if (written >= in_ring || written + 1 - consumed > max)
                return -ERANGE;
        cursor = written + 1;
        return (int) (cursor - consumed);
}

void ring_commit(struct ring *r _unused_) { consumed = cursor; }
void ring_rewind(struct ring *r _unused_) { cursor = consumed; }

int writer_say(struct writer *w _unused_, struct audit_message_record *m) {
        assert_int_equal(consumed, 10);            /* who is killed here has them in the ring */
        if (fails_with < 0)
                return fails_with;
        said = *m;
        n_said++;
        return 0;
}

int writer_commit(struct writer *w _unused_, bool sync _unused_) {
        ring_commit(NULL);
        return 0;
}

static int passed(const char *ring, const char *early_ring) {
        struct trail_recovery recovery = {};
        struct audit_message_record m;

        in_ring = 1000;
        cursor = consumed = 10;
        n_said = 0;
        snprintf(recovery.ring, sizeof(recovery.ring), "%s", ring);
        snprintf(recovery.early_ring, sizeof(recovery.early_ring), "%s", early_ring);
        return skip_written(NULL, "boot", &recovery, NULL, &m);
}

static void by_its_own_word(void **state _unused_) {
        assert_int_equal(passed("boot.19", "boot.200"), 10);
        assert_int_equal(consumed, 20);
        assert_int_equal(passed("boot.5", ""), 0);
        assert_int_equal(consumed, 10);
        assert_int_equal(passed("boot.1000", ""), -ERANGE);
        assert_int_equal(passed("other.19", ""), 0);
        assert_int_equal(consumed, 10);
        assert_int_equal(n_said, 0);
}

static void by_the_early_trails(void **state _unused_) {
        assert_int_equal(passed("", "boot.19"), 10);
        assert_int_equal(consumed, 20);
        assert_int_equal(n_said, 1);
        assert_string_equal(said.event, "lost");
        assert_string_equal(said.fields[0].name, "reason");
        assert_non_null(strstr(said.fields[0].value, "early"));
        assert_string_equal(said.fields[1].name, "count");
        assert_string_equal(said.fields[1].value, "10");
        /* One that ended in order took them all out */
        assert_int_equal(passed("other.500", "boot.9"), 0);
        assert_int_equal(passed("", "boot.999"), -ERANGE);
        assert_int_equal(consumed, 10);
        assert_int_equal(n_said, 0);
}

/* A trail that does not take the record gets the events. */
static void none_in_silence(void **state _unused_) {
        fails_with = -ENOSPC;
        assert_int_equal(passed("", "boot.19"), 0);
        fails_with = 0;
        assert_int_equal(cursor, 10);
        assert_int_equal(consumed, 10);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(by_its_own_word), cmocka_unit_test(by_the_early_trails), cmocka_unit_test(none_in_silence),
        };

        return cmocka_run_group_tests_name("skip", tests, NULL, NULL);
}
