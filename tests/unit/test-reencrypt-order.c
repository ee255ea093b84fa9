/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/manager/reencrypt.c daemon/manager/encrypt-run.c daemon/manager/header-verb.c daemon/manager/trust.c daemon/manager/trust-find.c daemon/manager/outcome.c daemon/manager/stored.c daemon/manager/pin.c
// libs: libsystemd libcrypto

/* Another volume key for the root file system, killed before or after every write, once and twice: whatever disk, list and initramfs are
 * then, the initramfs opens the header that the disk has, and the next start ends what was begun. The header, the list, the initramfs and the
 * children are models; reencrypt.c and encrypt-run.c decide. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <malloc.h>
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

/* ---- a run ---- */

static void encrypt_some(void) {
        struct disk_reply y;
        disk_callback callback = run.callback;

        run.callback = NULL;
        assert_true(disk.rekeying);
        if (other_keys > 0) {
                y = died();
                close(run.pipe);
                callback(&y, -EBADF, run.user);
                return;
        }
        for (unsigned n = 0; !dead && disk.plain > 0 && !(fails > 0 && (n == 2 || fails == 1 || stuck)); n++) {
                const struct disk_progress p = { SIZE, SIZE - disk.plain };

                assert_int_equal(write(run.pipe, &p, sizeof(p)), sizeof(p));
                assert_true(sd_event_run(manager.event, 0) >= 0);
                if (may_write())
                        disk.plain -= PART;
                check();
        }
        if (fails > 0) {
                fails--;
                y = died();
        } else {
                if (!dead && may_write()) {
                        disk.rekeying = false;
                        disk.done = true;
                        check();
                }
                y = dead ? died() : header();
        }
        close(run.pipe);
        callback(&y, -EBADF, run.user);
}

/* Until nobody waits for anything. A machine that is dead has nobody who waits. */
static void spin(void) {
        for (unsigned n = 0; n < 500; n++) {
                if (dead)
                        volume.state = VOLUME_CLOSED;
                if (child.callback) {
                        disk_callback callback = child.callback;

                        child.callback = NULL;
                        callback(&child.y, child.fd, child.u);
                } else if (inspect.callback && !(looks_early && has_header && !disk.rekeying)) {
                        struct disk_reply y = inspect.y;
                        disk_callback callback = inspect.callback;

                        inspect.callback = NULL;
                        callback(&y, -EBADF, inspect.user);
                } else if (build.done) {
                        boot_image_done done = build.done;

                        build.done = NULL;
                        done(make_image(), build.user);
                } else if (run.callback)
                        encrypt_some();
                else if (sd_event_run(manager.event, 0) == 0 && LIST_EMPTY(&manager.encryptions))
                        return;
                else if (no_image && n > 100) {
                        volume.state = VOLUME_CLOSED;      /* it would try again for ever */
                        (void) sd_event_run(manager.event, 0);
                }
        }
        fail_msg("it never ends");
}

static void on_end(const struct outcome *o, void *user _unused_) {
        end = *o;
        ended = true;
}

static void start(void) {
        volume.state = VOLUME_ATTACHED;
        volume.encrypt_failures = 0;
        volume.encrypt_progressed = dead = false;
        writes = 0;
}

static enum exit_code reencrypt(void) {
        static const struct requester who = { .text = "a test" };

        start();
        ended = false;
        assert_int_equal(reencrypt_start(&manager, "vda", -EBADF, &who, on_end, NULL), 0);
        spin();
        assert_true(ended && !has_header);
        return end.code;
}

/* The initramfs opens it; whoever wants cmkd-initramfs.service may be first or last. */
static void reboot_machine(bool unit_first) {
        check();
        start();
        volume.encrypt_half_way = marked = false;
        if (disk.rekeying && disk.plain == 0) {            /* encryption-end.h, when it is opened */
                disk.rekeying = false;
                disk.done = true;
                check();
        }
        if (due && unit_first)
                (void) make_image();
        encrypt_look(&volume);
        spin();
        if (due && !dead)
                (void) make_image();
        assert_false(has_header);
}

static void must_be_done(void) {
        if (!disk.done) {
                assert_false(disk.rekeying);
                next_key = NEW;
                stop_at = -1;
                assert_int_equal(reencrypt(), EXIT_CODE_DONE);
        }
        assert_true(disk.done && !due);
        assert_int_equal(entry.digest[0], NEW);
        assert_true(entry.unencrypted == 0 && !entry.rekeying && !entry.has_next);
        if (entry.role == ROLE_OS)
                assert_memory_equal(&image, &entry, sizeof(entry));
}

static void set_up(enum role role) {
        entry = (struct trust_entry) { .uuid = UUID, .name = "osroot", .role = role, .digest = { OLD }, .n_keys = 1 };
        image = entry;
        volume = (struct volume) { .manager = &manager, .uuid = UUID, .name = "osroot", .role = role, .sectors = SIZE / 512 };
        memset(&disk, 0, sizeof(disk));
        list = (struct trust_list) { .entries = &entry, .n_entries = 1 };
        manager.trust = &list;
        looks_early = due = no_image = stuck = stop_after = marked = manager.initramfs = false;
        images = reboots = cuts = fails = 0;
        stop_at = -1;
        next_key = NEW;
}

static void test_whole(void **state _unused_) {
        set_up(ROLE_OS);
        assert_int_equal(reencrypt(), EXIT_CODE_DONE);
        must_be_done();
        assert_int_equal(images, 3);
        set_up(ROLE_DATA);
        assert_int_equal(reencrypt(), EXIT_CODE_DONE);
        must_be_done();
        assert_int_equal(images, 0);
        set_up(ROLE_SCRATCH);
        assert_int_equal(reencrypt(), EXIT_CODE_POLICY);
}

static void test_killed(void **state _unused_) {
        unsigned runs = 0;
        bool reached = true;

        for (int first = 0; reached; first++)
                for (int second = -1; second < 24; second++)
                        for (unsigned how = 0; how < 8; how++) {
                                set_up(ROLE_OS);
                                stop_at = first;
                                stop_after = how & 1;
                                (void) reencrypt();
                                reached = dead;
                                stop_at = second;
                                stop_after = how & 2;
                                reboot_machine(how & 4);
                                stop_at = -1;
                                reboot_machine(how & 4);
                                must_be_done();
                                runs++;
                        }
        print_message("%u runs\n", runs);
        assert_true(runs > 1000);
}

static void test_no_image(void **state _unused_) {
        struct trust_entry before;

        set_up(ROLE_OS);
        before = entry;
        no_image = true;
        assert_int_equal(reencrypt(), EXIT_CODE_FAILED);
        assert_non_null(strstr(end.message, "could not be built"));
        assert_false(due || disk.rekeying);
        assert_false(entry.has_next || entry.rekeying);
        assert_memory_equal(entry.digest, before.digest, sizeof(entry.digest));
        /* only the second one fails: nothing is encrypted */
        set_up(ROLE_OS);
        stop_at = 6;
        stop_after = true;
        (void) reencrypt();
        assert_true(disk.rekeying && due);
        no_image = true;
        stop_at = -1;
        start();
        encrypt_look(&volume);
        spin();
        assert_true(disk.plain == SIZE && due);
        no_image = false;
        reboot_machine(false);
        must_be_done();
}

static void test_nothing_in_an_initramfs(void **state _unused_) {
        set_up(ROLE_OS);
        stop_at = 12;
        (void) reencrypt();
        assert_true(disk.rekeying);
        start();
        manager.initramfs = true;
        encrypt_look(&volume);
        manager.initramfs = false;
        manager.trust_early = true;
        encrypt_look(&volume);
        manager.trust_early = false;
        assert_true(LIST_EMPTY(&manager.encryptions));
        stop_at = -1;
        reboot_machine(false);
        must_be_done();
}

/* Booted again where it got on before; else it is followed by another one, once. */
static void test_child_dies(void **state _unused_) {
        set_up(ROLE_OS);
        fails = 1;
        assert_int_equal(reencrypt(), EXIT_CODE_DONE);
        must_be_done();
        assert_int_equal(reboots, 0);
        set_up(ROLE_OS);
        fails = 2;
        assert_int_equal(reencrypt(), EXIT_CODE_DONE);
        assert_int_equal(reboots, 1);
        reboot_machine(false);
        must_be_done();
        set_up(ROLE_OS);
        fails = 2;
        stuck = true;
        assert_int_equal(reencrypt(), EXIT_CODE_DONE);
        assert_true(reboots == 0 && disk.plain == SIZE);
        reboot_machine(false);
        must_be_done();
        set_up(ROLE_DATA);
        fails = 1;
        assert_int_equal(reencrypt(), EXIT_CODE_DONE);
        assert_int_equal(cuts, 1);
        reboot_machine(false);
        must_be_done();
}

/* While the verb works, and answered after it: that header is not the disk's any more. */
static void test_looked_at_too_early(void **state _unused_) {
        for (unsigned role = ROLE_DATA; role <= ROLE_OS; role++) {
                set_up((enum role) role);
                looks_early = true;
                assert_int_equal(reencrypt(), EXIT_CODE_DONE);
                assert_true(disk.done && !disk.rekeying);
                must_be_done();
        }
}

static unsigned descriptors(void) {
        unsigned n = 0;

        for (int fd = 0; fd < 256; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

/* Each child has a pipe that says how far it is: the one of before is not kept. */
static void test_another_key(void **state _unused_) {
        unsigned before;

        set_up(ROLE_DATA);
        assert_int_equal(reencrypt(), EXIT_CODE_DONE);          /* what is opened once and kept, is */
        before = descriptors();
        set_up(ROLE_DATA);
        other_keys = 3;
        assert_int_equal(reencrypt(), EXIT_CODE_DONE);
        assert_int_equal(other_keys, 0);
        assert_int_equal(descriptors(), before);
        must_be_done();
}

/* The manager was killed too: the next one needs nothing of what waits, and has the machine booted again where it got on. */
static void test_both_die(void **state _unused_) {
        unsigned booted = 0, left = 0;
        bool reached = true;
        uint64_t plain;

        for (int at = 0; reached; at++) {
                set_up(ROLE_OS);
                stop_at = at;
                (void) reencrypt();
                reached = dead;
                if (!dead || !disk.rekeying || entry.unencrypted == 0)
                        continue;
                plain = disk.plain;
                reboots = 0;
                stop_at = -1;
                start();
                volume.encrypt_half_way = true;
                volume.encrypt_progressed = marked;
                encrypt_look(&volume);
                spin();
                assert_int_equal(reboots, marked);
                assert_int_equal(volume.state, marked ? VOLUME_CUTTING : VOLUME_ATTACHED);
                assert_true(disk.plain == plain && writes == 0);
                booted += reboots;
                left += !reboots;
                reboot_machine(false);
                must_be_done();
        }
        assert_true(booted > 2 && left > 2);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_whole), cmocka_unit_test(test_killed), cmocka_unit_test(test_no_image),
                cmocka_unit_test(test_nothing_in_an_initramfs), cmocka_unit_test(test_child_dies), cmocka_unit_test(test_both_die),
                cmocka_unit_test(test_another_key), cmocka_unit_test(test_looked_at_too_early),
        };
        int r;

        (void) mallopt(M_PERTURB, 0xa5);          /* what is read after it was freed is not what it was */
        if (sd_event_new(&manager.event) < 0)
                return 1;
        r = cmocka_run_group_tests(tests, NULL, NULL);
        sd_event_unref(manager.event);
        return r;
}
