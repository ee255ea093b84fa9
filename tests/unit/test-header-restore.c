/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/header-restore.c daemon/manager/wrap-choice.c daemon/manager/trust.c daemon/manager/trust-find.c daemon/manager/outcome.c daemon/manager/pin.c daemon/manager/stored.c
// libs: libsystemd libcrypto

/* What a header that is put back may do to the node's list when that changes while the vault is waited for. The header, the vault and the
 * children are models; header-restore.c decides. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "manager/backup-mark.h"
#include "manager/header-work.h"
#include "manager/manager.h"
#include "manager/operation.h"
#include "manager/pin.h"
#include "manager/trust-places.h"

#define UUID "8d2f6e3c-5b1a-4f7e-9c0d-112233445566"
#define KEY "https://a.test/keys/k"

static struct manager manager;
static struct volume volume;                    /* the stand-in */
static struct trust_list list;
static struct trust_entry entry;
static struct unlock unlock;
static disk_callback running;                   /* HEADER_RESTORE, until it has answered */
static struct header_work *at_work;             /* who has the header; rotation: somebody else */
static struct header_work rotation;
static struct outcome end;
static unsigned ends, put_back;

struct volume *manager_volume_by_uuid(struct manager *m _unused_, const char *uuid _unused_) { return NULL; }
bool volume_is_open(const struct volume *v _unused_) { return false; }
bool volume_is_in_transit(const struct volume *v _unused_) { return false; }
const char *volume_key_text(const struct volume *v _unused_) { return KEY "/1"; }
int manager_reload_trust(struct manager *m _unused_) { return 0; }
void manager_record(struct manager *m _unused_, const struct audit_message_record *r _unused_) { }
void manager_record_start(struct audit_message_record *r, const struct volume *v _unused_, const char *event, uint8_t priority, bool durable) {
        audit_record_start(r, event, priority, durable);
}
void backup_mark_place(int fd _unused_, char *buf _unused_, size_t size _unused_) { }
int backup_mark_write(const char *uuid _unused_, const struct backup_mark *b _unused_) { return 0; }
struct volume *header_work_bind(struct header_work *w _unused_, int also _unused_) { return NULL; }

bool header_work_take(struct header_work *w) {
        assert_string_equal(w->uuid, UUID);
        assert_false(w->begun);
        if (at_work)
                return false;
        at_work = w;
        w->begun = true;
        return true;
}

void header_work_give_back(struct header_work *w) {
        if (w->begun)
                at_work = NULL;
        w->begun = false;
}

int trust_places_put_back(const struct trust_entry *e) {
        entry = *e;
        put_back++;
        return 0;
}

int unlock_header(struct manager *m, const struct unlock_verb *verb, const char *what _unused_, int key_fd _unused_, uint32_t flags _unused_,
                  const struct requester *who _unused_, operation_done done, void *user) {
        unlock = (struct unlock) { .manager = m, .verb = verb, .volume = &volume, .key_fd = -EBADF, .done = done, .user = user };
        return 0;
}

void unlock_run(struct unlock *u _unused_, enum disk_op op, disk_callback callback) {
        assert_int_equal(op, DISK_OP_HEADER_RESTORE);
        running = callback;
}

static bool next_key;                            /* the keyslot of the first one does not open */

bool unlock_went_well(struct unlock *u, const struct disk_reply *y _unused_) {
        if (!next_key)
                return true;
        next_key = false;
        u->verb->use(u);
        return false;
}

void unlock_end(struct unlock *u, struct outcome *o) { u->done(o, u->user); }
void unlock_fail(struct unlock *u, struct outcome *o, const char *event _unused_) { unlock_end(u, o); }

static void on_end(const struct outcome *o, void *user _unused_) {
        end = *o;
        ends++;
}

/* The file's header has passed the first look at the list, and the vault is being waited for. */
static void begin(bool older, uint64_t generation) {
        static const struct requester who = { .text = "a test" };
        const struct restore_request q = { .what = "data1", .older = older };

        ends = put_back = 0;
        assert_int_equal(header_restore_start(&manager, &q, -EBADF, &who, on_end, NULL), 0);
        unlock.header = (struct disk_reply) { .uuid = UUID, .n_wraps = 1,
                                              .wraps = { { .key = KEY "/1", .generation = generation, .spki = { 'a' }, .spki_size = 1 } } };
}

static enum exit_code go_on(void) {
        struct disk_reply y;

        unlock.verb->use(&unlock);
        while (running) {
                disk_callback callback = running;

                running = NULL;
                assert_non_null(at_work);
                y = unlock.header;
                y.count = 1;
                callback(&y, -EBADF, &unlock);
        }
        assert_int_equal(ends, 1);
        return end.code;
}

static int set_up(void **state _unused_) {
        entry = (struct trust_entry) { .uuid = UUID, .name = "data1", .n_keys = 1, .keys = { { .generation = 1, .spki = { 'a' }, .spki_size = 1 } } };
        assert_int_equal(key_uri_parse(KEY, &entry.keys[0].key, NULL), 0);
        list = (struct trust_list) { .entries = &entry, .n_entries = 1 };
        volume = (struct volume) { .manager = &manager, .uuid = UUID, .name = "data1" };
        manager.trust = &list;
        at_work = NULL;
        running = NULL;
        next_key = false;
        return 0;
}

static void test_restored(void **state _unused_) {
        begin(false, 1);
        assert_int_equal(go_on(), EXIT_CODE_DONE);
        assert_true(end.changed);
        assert_null(at_work);
        assert_int_equal(put_back, 0);
        next_key = true;                         /* it has the header already when the second key's turn comes */
        begin(false, 1);
        assert_int_equal(go_on(), EXIT_CODE_DONE);
        assert_null(at_work);
}

static void test_older_as_asked_for(void **state _unused_) {
        entry.keys[0].generation = 2;
        begin(true, 1);
        assert_int_equal(go_on(), EXIT_CODE_DONE);
        assert_int_equal(put_back, 1);
        assert_int_equal(entry.keys[0].generation, 1);
}

/* While the vault was waited for. */
static void test_rotated_meanwhile(void **state _unused_) {
        begin(false, 1);
        entry.keys[0].generation = 2;
        assert_int_equal(go_on(), EXIT_CODE_POLICY);
        assert_non_null(strstr(end.message, "data1: its header is of generation 1, this node has seen 2"));
        assert_int_equal(put_back, 0);
        assert_int_equal(entry.keys[0].generation, 2);
        assert_null(at_work);
}

static void test_being_rotated(void **state _unused_) {
        for (unsigned older = 0; older < 2; older++) {
                begin(older, 1);
                at_work = &rotation;
                assert_int_equal(go_on(), EXIT_CODE_BUSY);
                assert_int_equal(put_back, 0);
                assert_ptr_equal(at_work, &rotation);
                at_work = NULL;
        }
}

/* The list changed behind the work's back (it was signed, reloaded): nobody asked for an older one. */
static void test_list_goes_back_for_nobody(void **state _unused_) {
        begin(false, 1);
        unlock.verb->use(&unlock);
        assert_non_null(running);
        entry.keys[0].generation = 2;
        running(&unlock.header, -EBADF, &unlock);
        running = NULL;
        assert_int_equal(put_back, 0);
        assert_int_equal(entry.keys[0].generation, 2);
        assert_null(at_work);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(test_restored, set_up), cmocka_unit_test_setup(test_older_as_asked_for, set_up),
                cmocka_unit_test_setup(test_rotated_meanwhile, set_up), cmocka_unit_test_setup(test_being_rotated, set_up),
                cmocka_unit_test_setup(test_list_goes_back_for_nobody, set_up),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
