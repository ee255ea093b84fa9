/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What stands around reencrypt.c and encrypt-run.c in their test: a disk, the list and its copy in the initramfs, of which each change is counted,
 * and the children, whose answers wait until they are given. The machine dies before or after any change. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <unistd.h>

#include "manager/boot-image.h"
#include "manager/encrypt-run.h"
#include "manager/header-verb.h"
#include "manager/manager.h"
#include "manager/open-mark.h"
#include "manager/operation.h"
#include "manager/teardown.h"

#define UUID "8d2f6e3c-5b1a-4f7e-9c0d-112233445566"
#define KEY "https://a.test/keys/k"
#define PARTS 6u
#define PART (16ull << 20)
#define SIZE (PARTS * PART)
#define WHY "The disk helper died without an answer"
enum { OLD = 1, NEW = 2 };              /* volume keys, by the first byte of their digests */

static struct manager manager;
static struct volume volume;
static struct trust_list list;
static struct trust_entry entry, image;  /* of the list; of its copy in the initramfs */
static bool due, no_image;               /* it cannot be built */
static struct { bool rekeying, done; uint64_t plain; } disk;
static unsigned next_key;                /* of the header that is made */

static int writes, stop_at;              /* durable changes so far; the one at which it is killed, -1: none */
static bool stop_after, dead;
static unsigned images, reboots, cuts, fails;  /* fails: how many children die in the middle yet; all but the last one get on before */
static bool stuck;                       /* none does */
static unsigned other_keys;              /* that are asked for, one after the other, since the keyslot of the one before does not open */
static bool marked;                      /* that it got on since the machine was booted */
static struct outcome end;
static bool ended, has_header;

static struct { struct disk_reply y; int fd; disk_callback callback; struct unlock *u; } child;
static struct { disk_callback callback; void *user; struct unlock *u; int pipe; } run;
static struct { struct disk_reply y; disk_callback callback; void *user; } inspect;
static bool looks_early;                 /* by encrypt-run.c too, as soon as the list says that its key is to change */
static struct { boot_image_done done; void *user; } build;

/* ---- what is true at each point ---- */

static uint32_t flags(void) {
        return disk.rekeying ? DISK_FLAG_ENCRYPTING|DISK_FLAG_REKEYING : 0;
}

static bool opens(const struct trust_entry *t) {
        struct disk_request q = {};

        trust_fill_request(t, flags(), &q);
        return q.trust_digest[0] == (disk.rekeying || disk.done ? NEW : OLD) && (!disk.rekeying || (q.plain_max > 0 && disk.plain <= q.plain_max));
}

static bool may_write(void) {
        bool now = !dead && writes++ == stop_at;

        if (dead || (now && !stop_after)) {
                dead = true;
                return false;
        }
        dead |= now;
        return true;
}

static void check(void) {
        assert_true(opens(&entry));
        if (entry.role == ROLE_OS)
                assert_true(opens(&image));
}

/* ---- what stands around it ---- */

int sd_event_add_time_relative(sd_event *e, sd_event_source **ret, clockid_t clock, uint64_t usec _unused_, uint64_t accuracy _unused_,
                               sd_event_time_handler_t callback, void *user) {
        return sd_event_add_time(e, ret, clock, 1, 1, callback, user);
}

struct volume *manager_volume_by_uuid(struct manager *m _unused_, const char *uuid _unused_) {
        return &volume;
}

bool volume_is_open(const struct volume *v) {
        return v->state == VOLUME_ATTACHED;
}

void manager_record(struct manager *m _unused_, const struct audit_message_record *r _unused_) {
}

void manager_record_reply(struct audit_message_record *r _unused_, const struct vault_reply *y _unused_) {
}

void header_work_resolve(struct header_work *w, const char *what) {
        snprintf(w->device, sizeof(w->device), "/dev/%s", what);
}

static struct disk_reply header(void);

int header_work_inspect(struct header_work *w _unused_, disk_callback callback, void *user) {
        assert_null(inspect.callback);
        inspect.y = header();
        inspect.callback = callback;
        inspect.user = user;
        return 0;
}

static struct disk_reply header(void) {
        struct disk_reply y = { .flags = flags(), .uuid = UUID, .n_wraps = 1, .plain = disk.plain };

        strcpy(y.wraps[0].key, KEY "/1");
        return y;
}

const struct trust_entry *header_work_claim(struct header_work *w) {
        if (has_header) {
                w->outcome.code = EXIT_CODE_BUSY;
                return NULL;
        }
        has_header = w->begun = true;
        return &entry;
}

const struct trust_entry *header_work_begin(struct header_work *w, const struct disk_reply *y) {
        if (!header_work_claim(w))
                return NULL;
        w->header = *y;
        memcpy(w->uuid, UUID, sizeof(w->uuid));
        strcpy(w->name, "osroot");
        return &entry;
}

void header_work_give_back(struct header_work *w) {
        if (w->begun)
                has_header = w->begun = false;
}

struct volume *header_work_bind(struct header_work *w _unused_, int also _unused_) {
        return &volume;
}

int header_work_list(struct header_work *w _unused_, const struct trust_entry *t) {
        assert_ptr_not_equal(t, &entry);
        if (!may_write())
                return -EIO;
        entry = *t;
        check();
        if (looks_early && entry.has_next) {
                encrypt_look(&volume);
                assert_true(sd_event_run(manager.event, 0) > 0);
        }
        return dead ? -EIO : 0;
}

int header_work_step(struct header_work *w, const struct unlock_verb *verb, enum unlock_pick pick _unused_,
                     const struct key_uri *key _unused_, operation_done done) {
        struct unlock *u = calloc(1, sizeof(*u));

        assert_true(u && has_header && verb->header_only);
        *u = (struct unlock) { .manager = &manager, .verb = verb, .volume = &volume, .user = w, .done = done, .secret_fd = -EBADF };
        verb->use(u);
        return 0;
}

void unlock_disk_request(const struct unlock *u _unused_, enum disk_op op, struct disk_request *ret) {
        *ret = (struct disk_request) { .op = (uint8_t) op };
}

static struct disk_reply died(void) {
        return (struct disk_reply) { .error = -EPIPE, .exit_code = EXIT_CODE_FAILED, .message = WHY };
}

void unlock_start_child(struct unlock *u, const struct disk_request *q, int fd _unused_, disk_callback callback) {
        struct disk_reply y = header();
        int image_fd = -EBADF;

        if (q->op == DISK_OP_REENCRYPT_STAGE) {
                y.trust_digest[0] = (uint8_t) next_key;
                image_fd = dup(0);
        } else {
                assert_int_equal(q->op, DISK_OP_REENCRYPT_BEGIN);
                assert_false(disk.rekeying || disk.done);
                if (may_write()) {
                        disk.rekeying = true;
                        disk.plain = SIZE;
                        check();
                }
                y = dead ? died() : header();
        }
        child.y = dead ? died() : y;
        child.fd = image_fd;
        child.callback = callback;
        child.u = u;
}

int disk_child_start(struct disk_children *c _unused_, const struct disk_request *q, int secret_fd _unused_, int in_fd, uint64_t timeout _unused_,
                     disk_callback callback, void *user, struct disk_child **ret) {
        assert_int_equal(q->op, DISK_OP_ENCRYPT_RUN);
        run.callback = callback;
        run.user = user;
        run.pipe = dup(in_fd);
        *ret = (struct disk_child *) &run;
        return 0;
}

void disk_child_end(struct disk_child *d _unused_, int signal _unused_, uint64_t wait_usec _unused_) {
        fail();
}

bool unlock_try_next(struct unlock *u, const struct disk_reply *y _unused_) {
        if (other_keys == 0)
                return false;
        other_keys--;
        u->verb->use(u);
        return true;
}

bool unlock_went_well(struct unlock *u, const struct disk_reply *y) {
        struct outcome o = {};

        if (y->error >= 0)
                return true;
        outcome_from_disk(&o, y);
        unlock_fail(u, &o, "failed");
        return false;
}

void unlock_end(struct unlock *u, struct outcome *o) {
        u->done(o, u->user);
        free(u);
}

void unlock_fail(struct unlock *u, struct outcome *o, const char *event _unused_) {
        unlock_end(u, o);
}

int attach_start(struct manager *m _unused_, const char *what _unused_, unsigned f _unused_, const struct requester *who _unused_,
                 operation_done done _unused_, void *user _unused_) {
        return -ENOMEM;
}

int teardown_start(struct volume *v, enum action action, enum lease_cause cause, const char *why) {
        assert_int_equal(action, v->role == ROLE_OS ? ACTION_REBOOT : ACTION_CUT);
        assert_int_equal(cause, CAUSE_INTERRUPTED);
        if (!v->encrypt_half_way)
                assert_string_equal(why, WHY);
        v->state = VOLUME_CUTTING;
        if (v->role == ROLE_OS)
                reboots++;
        else
                cuts++;
        return 0;
}

void open_mark_progressed(const struct volume *v _unused_) {
        marked = true;
}

/* ---- the initramfs ---- */

int boot_image_list(struct header_work *w, const struct trust_entry *t) {
        if (entry.role == ROLE_OS) {
                if (!may_write())
                        return -EIO;
                due = true;
        }
        return header_work_list(w, t);
}

bool boot_image_is_due(void) {
        return due;
}

void boot_image_forget(void) {
        due = due && !may_write();
}

int boot_image_build(struct manager *m _unused_, boot_image_done done, void *user) {
        assert_null(build.done);
        build.done = done;
        build.user = user;
        return 0;
}

static const char *make_image(void) {
        if (no_image || !may_write())
                return "it cannot be built";
        image = entry;
        images++;
        check();
        if (dead || !may_write())
                return "killed";
        due = false;
        return dead ? "killed" : NULL;
}
