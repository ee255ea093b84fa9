/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/audit/witness-match.c

/* The kernel's audit beside the ring: records as Linux writes them are read, and only one that the ring does not have is told. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "audit/witness-match.h"

#define SET "audit(1764237600.123:45): module=crypt op=ctr ppid=700 pid=812 auid=1000 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 " \
            "sgid=0 fsgid=0 tty=pts0 ses=3 comm=\"cryptsetup\" exe=\"/usr/sbin/cryptsetup\" subj=unconfined dev=253:1 " \
            "error_msg='success' res=1"

static int parse(const char *text, struct witness_word *ret) {
        return witness_parse(text, strlen(text), ret);
}

static void a_record_is_read(void **state _unused_) {
        struct witness_word w;

        assert_int_equal(parse(SET, &w), 0);
        assert_false(w.freed);
        assert_true(w.ok);
        assert_int_equal(w.dev_major, 253);
        assert_int_equal(w.dev_minor, 1);
        assert_int_equal(w.pid, 812);
        assert_int_equal(w.ppid, 700);
        assert_int_equal(w.uid, 0);
        assert_int_equal(w.loginuid, 1000);
        assert_int_equal(w.session, 3);
        assert_int_equal(w.realtime_usec, UINT64_C(1764237600123000));
        assert_string_equal(w.comm, "cryptsetup");
        assert_string_equal(w.exe, "/usr/sbin/cryptsetup");
        assert_int_equal(parse("audit(1.000:1): module=crypt op=dtr pid=1 comm=6120646576 exe=(null) dev=7:9 res=0", &w), 0);
        assert_true(w.freed);
        assert_false(w.ok);
        assert_string_equal(w.comm, "a dev");      /* in hex, for its space */
        assert_string_equal(w.exe, "");
        assert_int_equal(w.uid, UINT32_MAX);
}

static void what_is_none_is_refused(void **state _unused_) {
        static const struct { const char *text; int r; } table[] = {
                { "audit(1.000:1): module=integrity op=ctr pid=1 dev=7:9 res=1", -ENOMSG },
                { "audit(1.000:1): module=crypt op=integrity-checksum pid=1 dev=7:9 res=1", -ENOMSG },
                { "audit(1.000:1): xmodule=crypt op=ctr pid=1 dev=7:9 res=1", -ENOMSG },
                { "", -EBADMSG }, { "audit(", -EBADMSG }, { "audit(1.00:1): module=crypt op=ctr pid=1 dev=7:9", -EBADMSG },
                { "audit(1.000:1):", -EBADMSG }, { "audit(x.000:1): module=crypt op=ctr pid=1 dev=7:9", -EBADMSG },
                { "audit(1.000:1): module=crypt op=ctr pid=1", -EBADMSG },
                { "audit(1.000:1): module=crypt op=ctr pid=1 dev=7", -EBADMSG },
                { "audit(1.000:1): module=crypt op=ctr pid=1 dev=7:4294967296", -EBADMSG },
                { "audit(1.000:1): module=crypt op=ctr pid=-1 dev=7:9", -EBADMSG },
                { "audit(1.000:1): module=crypt op=ctr dev=7:9", -EBADMSG },
        };
        struct witness_word w;

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (parse(table[i].text, &w) != table[i].r)
                        fail_msg("%s", table[i].text);
}

static struct cmkd_event event(unsigned kind, uint32_t minor, uint32_t tgid) {
        return (struct cmkd_event) {
                .kind = (uint16_t) kind, .dev_major = 253, .dev_minor = minor, .tgid = tgid, .boottime_ns = 100 * NSEC_PER_SEC,
        };
}

static struct witness_word word(bool freed, uint32_t minor, uint32_t pid) {
        return (struct witness_word) { .freed = freed, .dev_major = 253, .dev_minor = minor, .pid = pid };
}

static void both_in_any_order_agree(void **state _unused_) {
        struct cmkd_event set = event(CMKD_KEY_SET, 1, 812), freed = event(CMKD_KEY_FREED, 1, 812), read = event(CMKD_KEY_READ, 1, 812);
        struct witness_word w = word(false, 1, 812), f = word(true, 1, 812), ret;
        struct witness_match m = {};

        witness_match_event(&m, &read);            /* none of the two */
        witness_match_event(&m, &set);
        witness_match_word(&m, &w, 101 * NSEC_PER_SEC);
        witness_match_word(&m, &f, 101 * NSEC_PER_SEC);
        witness_match_event(&m, &freed);
        assert_int_equal(m.agreed, 2);
        assert_false(witness_match_unseen(&m, 0, 0, 200 * NSEC_PER_SEC, &ret));
}

static void unseen(struct witness_match *m, bool freed, uint32_t minor, uint32_t pid) {
        struct witness_word w = word(freed, minor, pid), ret;

        witness_match_word(m, &w, 101 * NSEC_PER_SEC);
        assert_false(witness_match_unseen(m, 500, 500, 102 * NSEC_PER_SEC, &ret));       /* it may be on its way */
        assert_false(witness_match_unseen(m, 500, 400, 103 * NSEC_PER_SEC, &ret));       /* not read up to there yet */
        assert_false(witness_match_unseen(m, 900, 499, 104 * NSEC_PER_SEC, &ret));
        assert_true(witness_match_unseen(m, 900, 500, 104 * NSEC_PER_SEC, &ret));
        assert_memory_equal(&ret, &w, sizeof(w));
        assert_false(witness_match_unseen(m, 900, 900, 999 * NSEC_PER_SEC, &ret));
}

static void one_alone_is_told(void **state _unused_) {
        struct cmkd_event set = event(CMKD_KEY_SET, 1, 812);
        struct witness_match m = {};

        unseen(&m, false, 1, 812);
        witness_match_event(&m, &set);
        unseen(&m, true, 1, 812);                  /* another deed, device, process */
        unseen(&m, false, 2, 812);
        unseen(&m, false, 1, 813);
        assert_int_equal(m.agreed, 0);
}

static void one_event_vouches_once_and_not_for_long(void **state _unused_) {
        struct cmkd_event set = event(CMKD_KEY_SET, 1, 812);
        struct witness_word w = word(false, 1, 812), ret;
        struct witness_match m = {};

        witness_match_event(&m, &set);
        witness_match_word(&m, &w, 101 * NSEC_PER_SEC);
        unseen(&m, false, 1, 812);
        witness_match_event(&m, &set);
        witness_match_word(&m, &w, 161 * NSEC_PER_SEC);
        assert_int_equal(m.agreed, 1);
        assert_false(witness_match_unseen(&m, 1, 1, 162 * NSEC_PER_SEC, &ret));
        assert_true(witness_match_unseen(&m, 1, 1, 163 * NSEC_PER_SEC, &ret));
}

static void more_than_there_is_room_for(void **state _unused_) {
        struct witness_word w = word(false, 1, 812), ret;
        struct witness_match m = {};
        unsigned n = 0;

        for (size_t i = 0; i < 1000; i++) {
                struct cmkd_event e = event(CMKD_KEY_SET, 7, (uint32_t) i);

                witness_match_event(&m, &e);
                witness_match_word(&m, &w, 101 * NSEC_PER_SEC);
        }
        assert_int_equal(m.dropped, 1000 - WITNESS_PENDING);
        assert_false(witness_match_unseen(&m, 1, 0, 104 * NSEC_PER_SEC, &ret));
        while (witness_match_unseen(&m, 1, 1, 104 * NSEC_PER_SEC, &ret))
                n++;
        assert_int_equal(n, WITNESS_PENDING);
}

/* What another process has read is not told by this one; but nobody ends the telling by setting the clock back. */
static void only_what_is_older_is_left_out(void **state _unused_) {
        uint64_t began = 1000;

        assert_false(witness_is_since(&began, 1000, 999));
        assert_true(witness_is_since(&began, 1001, 1000));
        assert_true(witness_is_since(&began, 500, 499));
        assert_true(witness_is_since(&began, 2000, 500));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_record_is_read), cmocka_unit_test(what_is_none_is_refused),
                cmocka_unit_test(both_in_any_order_agree), cmocka_unit_test(one_alone_is_told),
                cmocka_unit_test(one_event_vouches_once_and_not_for_long), cmocka_unit_test(more_than_there_is_room_for),
                cmocka_unit_test(only_what_is_older_is_left_out),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
