/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/audit/mirror.c daemon/audit/chain.c daemon/audit/seal.c daemon/audit/record.c
// libs: json-c
// The mirror in the journal: what goes there, and how much of it. connect(2) and send(2) are this file's.

#include "audit/mirror.h"

#include <sys/socket.h>
#include <syslog.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const uint8_t hash[CHAIN_HASH_SIZE];
static unsigned sent;
static char last[65536];
static struct audit_message_record message;

int connect(int fd _unused_, const struct sockaddr *a _unused_, socklen_t size _unused_) {
        return 0;
}

ssize_t send(int fd _unused_, const void *data, size_t size, int flags _unused_) {
        assert_true(size < sizeof(last));
        memcpy(last, data, size);
        last[size] = 0;
        sent++;
        return (ssize_t) size;
}

static struct mirror *begin(void) {
        struct mirror *m;

        sent = 0;
        assert_int_equal(mirror_new(&m), 0);
        return m;
}

static void send_many(struct mirror *m, unsigned n, const char *event, uint8_t priority, enum record_source source) {
        unsigned before = sent;

        for (unsigned i = 0; i < n; i++) {
                audit_record_start(&message, event, priority, false);
                audit_record_add(&message, "volume", "data");
                mirror_queue(m, &message, source, i + 1, hash);
        }
        assert_int_equal(sent, before);
        mirror_flush(m);
}

static void has_number_and_hash(void **state _unused_) {
        struct mirror *m = begin();

        send_many(m, 1, "key_set", LOG_NOTICE, RECORD_KERNEL);
        assert_int_equal(sent, 1);
        assert_non_null(strstr(last, "MESSAGE=key_set on data\n"));
        assert_non_null(strstr(last, "\nCMKD_SEQ=1\nCMKD_HASH=0000"));
        mirror_free(m);
}

/* Whoever may unmount or be traced as often as he likes must not fill the journal; two seconds at most pass here. */
static void floods_are_bounded(void **state _unused_) {
        struct mirror *m = begin();

        send_many(m, 5000, "guard_umount", LOG_ALERT, RECORD_KERNEL);
        assert_in_range(sent, 1, 300);
        assert_int_equal(mirror_lost(m), 5000 - sent);
        mirror_free(m);
        m = begin();
        send_many(m, 5000, "volume_open", LOG_INFO, RECORD_KERNEL);
        assert_in_range(sent, 1, 300);
        mirror_free(m);
}

/* Opens do not push out what is urgent, and nothing keeps a daemon's record out. */
static void urgent_ones_have_room(void **state _unused_) {
        struct mirror *m = begin();

        send_many(m, 5000, "volume_open", LOG_INFO, RECORD_KERNEL);
        sent = 0;
        send_many(m, 1, "guard_umount", LOG_ALERT, RECORD_KERNEL);
        assert_int_equal(sent, 1);
        send_many(m, 500, "release", LOG_INFO, RECORD_DAEMON);
        assert_int_equal(sent, 501);
        mirror_free(m);
}

static void dropped_is_not_sent(void **state _unused_) {
        struct mirror *m = begin();

        audit_record_start(&message, "release", LOG_INFO, false);
        mirror_queue(m, &message, RECORD_DAEMON, 1, hash);
        mirror_drop(m);
        mirror_flush(m);
        assert_int_equal(sent, 0);
        assert_int_equal(mirror_lost(m), 0);
        mirror_free(m);
}

/* More than there is room for is counted. */
static void queue_is_bounded(void **state _unused_) {
        struct mirror *m = begin();

        send_many(m, 50000, "release", LOG_INFO, RECORD_DAEMON);
        assert_in_range(sent, 1000, 49999);
        assert_int_equal(mirror_lost(m), 50000 - sent);
        mirror_free(m);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(has_number_and_hash), cmocka_unit_test(floods_are_bounded),
                cmocka_unit_test(urgent_ones_have_room), cmocka_unit_test(dropped_is_not_sent),
                cmocka_unit_test(queue_is_bounded),
        };

        return cmocka_run_group_tests_name("mirror", tests, NULL, NULL);
}
