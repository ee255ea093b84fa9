/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/new-volume.c daemon/manager/format.c daemon/manager/encrypt.c daemon/manager/trust.c daemon/manager/trust-find.c daemon/manager/outcome.c daemon/manager/stored.c daemon/manager/pin.c
// libs: libsystemd

/* A device becomes a volume: no key is used before the record of its release is durable, nothing is on the list that did not open, and
 * whichever step goes wrong or has no memory, that is recorded once, undone, and said once. Vault, children and list are models. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include "manager/adopt.h"
#include "manager/automatic.h"
#include "manager/device-facts.h"
#include "manager/drill.h"
#include "manager/manager.h"
#include "manager/new-secret.h"
#include "manager/new-volume.h"
#include "manager/operation.h"
#include "manager/trust-places.h"

#define KEY "https://a.test/keys/k"
#define UUID "8d2f6e3c-5b1a-4f7e-9c0d-112233445566"

static struct manager manager;
static struct trust_list list;
static struct trust_entry entry;
static bool is_listed, vault_wraps;      /* vault_wraps: a symmetric key */
static int step, fail_at, no_memory_at;  /* steps so far; -1: none */
static char history[400];
static struct outcome end;
static unsigned ends;

enum kind { NONE, CHILD, PROOF, SECRET, WORKER, RECORD, ATTACH, DEFER };

static struct {
        enum kind kind;
        void *user;
        bool fails;
        uint8_t op;                      /* of a child */
        union {
                disk_callback child;
                key_proof_done proof;
                new_secret_done secret;
                worker_callback worker;
                audit_callback record;
                operation_done attach;
                sd_event_handler_t defer;
        };
} pending;

static void note(const char *text) {
        size_t n = strlen(history);

        snprintf(history + n, sizeof(history) - n, "%s%s", n > 0 ? " " : "", text);
}

static int begin(enum kind kind, const char *name, void *user) {
        assert_int_equal(pending.kind, NONE);
        if (step == no_memory_at) {
                step++;
                return -ENOMEM;
        }
        note(name);
        pending.kind = kind;
        pending.user = user;
        pending.fails = step++ == fail_at;
        return 0;
}

/* ---- what stands around it ---- */

int disk_child_start(struct disk_children *c _unused_, const struct disk_request *q, int secret_fd, int in_fd _unused_, uint64_t timeout _unused_,
                     disk_callback callback, void *user, struct disk_child **ret _unused_) {
        bool uses = q->op == DISK_OP_CHECK || q->op == DISK_OP_ENCRYPT_BEGIN;

        assert_true(!uses || secret_fd >= 0);
        if (uses || q->op == DISK_OP_ERASE)
                assert_string_equal(q->uuid, UUID);
        pending.child = callback;
        pending.op = q->op;
        return begin(CHILD, disk_op_to_string((enum disk_op) q->op), user);
}

int key_proof_start(struct manager *m _unused_, const struct key_proof_request *q _unused_, const struct proven_key *k _unused_,
                    key_proof_done done, void *user) {
        pending.proof = done;
        return begin(PROOF, "proof", user);
}

int new_secret_start(struct manager *m _unused_, const struct new_secret_request *q, new_secret_done done, void *user) {
        assert_true(uuid_is_valid(q->uuid));
        pending.secret = done;
        return begin(SECRET, "secret", user);
}

int worker_ask(struct worker_link *w _unused_, const struct vault_request *q, int fd, worker_callback callback, void *user) {
        assert_int_equal(q->op, VAULT_OP_UNWRAP);
        assert_true(fd >= 0 && q->flags == VAULT_FLAG_DELIVER);
        pending.worker = callback;
        return begin(WORKER, "unwrap", user);
}

int release_record(struct manager *m _unused_, const struct audit_message_record *r, audit_callback callback, void *user) {
        assert_string_equal(r->event, "release");
        pending.record = callback;
        return begin(RECORD, "[release]", user);
}

int attach_start(struct manager *m _unused_, const char *what _unused_, unsigned flags _unused_, const struct requester *who _unused_,
                 operation_done done, void *user) {
        pending.attach = done;
        return begin(ATTACH, "attach", user);
}

int sd_event_add_defer(sd_event *e _unused_, sd_event_source **ret _unused_, sd_event_handler_t callback, void *user) {
        pending.defer = callback;
        return begin(DEFER, "later", user);
}

bool release_may_go_on(const struct manager *m _unused_, int error, const char *subject, struct outcome *o) {
        if (error < 0)
                outcome_set(o, EXIT_CODE_FAILED, "%s: not recorded", subject);
        return error >= 0;
}

void manager_record(struct manager *m _unused_, const struct audit_message_record *r) {
        char text[80];

        snprintf(text, sizeof(text), "[%s]", r->event);
        note(text);
}

int trust_places_add(const struct trust_entry *e) {
        entry = *e;
        is_listed = true;
        note("list");
        return 0;
}

int trust_places_remove(const char *uuid) {
        assert_string_equal(uuid, UUID);
        is_listed = false;
        note("unlist");
        return 0;
}

int manager_reload_trust(struct manager *m) {
        list = (struct trust_list) { .entries = &entry, .n_entries = is_listed };
        m->trust = &list;
        return 0;
}

int key_proof_check(struct manager *m _unused_, const char *key, struct proven_key *ret, struct outcome *o _unused_) {
        return key_uri_parse(key, &ret->uri, NULL);
}

int key_proof_check_boot(struct manager *m _unused_, const struct proven_key *k _unused_, struct outcome *o _unused_) { return 0; }
int key_proof_check_store(struct manager *m _unused_, struct proven_key *k _unused_, struct outcome *o _unused_) { return 0; }
void key_proof_fill(const struct proven_key *k _unused_, struct disk_request *q _unused_) { }
bool new_secret_is_needed(const struct proven_key *k _unused_) { return vault_wraps; }
void new_secret_fill(const struct new_secret *s _unused_, struct disk_request *q) { assert_true(uuid_is_valid(q->uuid)); }
void manager_record_reply(struct audit_message_record *r _unused_, const struct vault_reply *y _unused_) { }
struct volume *manager_volume_by_name(struct manager *m _unused_, const char *name _unused_) { return NULL; }
struct volume *manager_volume_by_uuid(struct manager *m _unused_, const char *uuid _unused_) { return NULL; }
bool volume_is_open(const struct volume *v _unused_) { return false; }
int adopt_taken_over(struct manager *m _unused_, const char *uuid _unused_, struct instant asked _unused_) { return 0; }
void automatic_know(const char *device _unused_) { }
int device_facts_read(const char *device _unused_, struct device_facts *ret _unused_) { return -ENODEV; }
bool device_is_there(const char *path _unused_) { return false; }
void drill_formatting(struct manager *m _unused_, bool on _unused_) { }
const char *drill_of(const struct manager *m _unused_, const char *name _unused_) { return NULL; }
bool drill_owns(const struct manager *m _unused_, const char *device _unused_) { return false; }
const char *drill_objects(const struct manager *m _unused_, const char *d _unused_, const char *n _unused_, enum role r _unused_) { return NULL; }

void key_proof_request(const struct proven_key *k _unused_, enum vault_op op, const char *use_id _unused_, struct vault_request *q) {
        q->op = (uint8_t) op;
}

const char *new_secret_name(const struct new_secret *s _unused_, const char uuid[static 37] _unused_, char buf[static STORED_NAME_SIZE]) {
        return strcpy(buf, "cmkd-1");
}

/* ---- a run ---- */

static void answer_child(bool fails) {
        struct disk_reply y = { .uuid = UUID, .name = "data1", .n_wraps = 1, .plain = 4096 };

        strcpy(y.wraps[0].key, KEY "/1");
        y.wraps[0].generation = 1;
        if (fails || pending.op == DISK_OP_INSPECT)
                y = (struct disk_reply) { .error = -EINVAL, .exit_code = EXIT_CODE_FAILED, .message = "a model" };
        pending.child(&y, -EBADF, pending.user);
}

static void answer_secret(const struct outcome *o) {
        struct new_secret s = { .fd = o->code == EXIT_CODE_DONE ? open("/dev/null", O_RDONLY|O_CLOEXEC) : -EBADF };

        pending.secret(o, &s, pending.user);
        if (s.fd >= 0)
                close(s.fd);
}

static void answer(void) {
        const struct outcome o = { .code = pending.fails ? EXIT_CODE_FAILED : EXIT_CODE_DONE };
        const struct vault_reply y = { .verdict = pending.fails ? VERDICT_DENIED : VERDICT_GRANTED, .delivered = DISK_W_SIZE };
        struct proven_key k = { .spki_size = 1 };
        enum kind kind = pending.kind;

        assert_int_equal(key_uri_parse(KEY "/1", &k.uri, NULL), 0);
        pending.kind = NONE;
        if (kind == CHILD)
                answer_child(pending.fails);
        else if (kind == PROOF)
                pending.proof(&o, &k, pending.user);
        else if (kind == SECRET)
                answer_secret(&o);
        else if (kind == WORKER)
                pending.worker(&y, pending.user);
        else if (kind == RECORD)
                pending.record(pending.fails ? -EIO : 0, 1, pending.user);
        else if (kind == ATTACH)
                pending.attach(&o, pending.user);
        else
                pending.defer(NULL, pending.user);
}

static void on_end(const struct outcome *o, void *user _unused_) {
        end = *o;
        ends++;
}

static unsigned descriptors(void) {
        unsigned n = 0;

        for (int fd = 0; fd < 256; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

/* Returns whether the step that was to go wrong was there. */
static bool run(bool encrypts, bool with_secret, const char *name, int fail, int no_memory) {
        struct format_request f = { .device = "/dev/x", .key = KEY, .passphrase_fd = -EBADF };
        struct encrypt_request e = { .device = "/dev/x", .key = KEY };
        const struct requester who = { .text = "a test" };
        unsigned before = descriptors();
        int r;

        strcpy(f.name, name);
        strcpy(e.name, name);
        is_listed = false;
        vault_wraps = with_secret;
        (void) manager_reload_trust(&manager);
        fail_at = fail;
        no_memory_at = no_memory;
        ends = 0;
        step = 0;
        *history = 0;
        pending.kind = NONE;
        r = encrypts ? encrypt_start(&manager, &e, &who, on_end, NULL) : format_start(&manager, &f, &who, on_end, NULL);
        assert_int_equal(r, no_memory == 0 ? -ENOMEM : 0);
        while (pending.kind != NONE)
                answer();
        assert_int_equal(ends, r == 0);
        assert_int_equal(descriptors(), before);
        return step > MAX_OF(fail, no_memory);
}

static void test_order(void **state _unused_) {
        (void) run(false, false, "data1", -1, -1);
        assert_string_equal(history, "inspect [request] proof format unwrap [release] check list [formatted]");
        assert_true(end.code == EXIT_CODE_DONE && end.changed && streq(end.uuid, UUID));
        (void) run(false, true, "data1", -1, -1);
        assert_string_equal(history, "inspect [request] proof secret format unwrap [release] check list [formatted]");
        (void) run(true, false, "data1", -1, -1);
        assert_string_equal(history, "inspect [request] proof encrypt-stage unwrap [release] list encrypt-begin [encrypt_begun] attach");
        assert_true(end.code == EXIT_CODE_DONE && end.changed && streq(end.uuid, UUID) && entry.unencrypted == 4096);
        (void) run(false, false, "-", -1, -1);
        assert_string_equal(history, "later [failed]");
        assert_int_equal(end.code, EXIT_CODE_USAGE);
}

static unsigned count(const char *word) {
        unsigned n = 0;

        for (const char *p = history; (p = strstr(p, word)); p++)
                n++;
        return n;
}

static void check_failure(bool encrypts, bool begun) {
        assert_int_not_equal(end.code, EXIT_CODE_DONE);
        assert_int_equal(count("[failed]") + count("[refused]"), 1);
        /* of what was begun on the device the entry stays */
        assert_int_equal(is_listed, begun);
        if (!encrypts)
                assert_int_equal(strstr(history, "erase") != NULL, strstr(history, "unwrap") != NULL);
        if (strstr(history, "check") || strstr(history, "list"))
                assert_non_null(strstr(history, "[release]"));
}

static void test_each_step_fails(void **state _unused_) {
        unsigned runs = 0;

        for (unsigned how = 0; how < 4; how++)
                for (int i = 1; run(how & 1, how & 2, "data1", i, -1); i++, runs++)
                        check_failure(how & 1, strstr(history, "[encrypt_begun]") != NULL);
        assert_true(runs >= 20);
}

static void test_each_step_without_memory(void **state _unused_) {
        unsigned runs = 0;

        for (unsigned how = 0; how < 4; how++) {
                assert_true(run(how & 1, how & 2, "data1", -1, 0));
                for (int i = 1; run(how & 1, how & 2, "data1", -1, i); i++, runs++) {
                        assert_non_null(strstr(end.message, "out of memory"));
                        assert_int_equal(count("[failed]"), 1);
                }
        }
        assert_true(runs >= 20);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_order), cmocka_unit_test(test_each_step_fails), cmocka_unit_test(test_each_step_without_memory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
