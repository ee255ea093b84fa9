/* SPDX-License-Identifier: Apache-2.0 */

/* A volume that was copied with an image: every copy has its UUID, volume key, W and list entry, so that each opens all the others. What is
 * to be done next is read from the header and the list, so that the same command goes on wherever an earlier one was interrupted:
 *
 *   header   list             next
 *   image's  image's          key-proof.h ─► PERSONALIZE_STAGE (child: another UUID, W and keyslot, none of before; a memfd)
 *                             ─► pending: Image=, ImageDigest=
 *   image's  both             ... ─► HEADER_CANDIDATE ─► W of the new one by a real unwrap, recorded ─► HEADER_RESTORE (child: it opens, to the
 *                             same volume key; one header or the other is whole at each moment; the image's keyslots are overwritten)
 *   copy's   both             the list: the copy's in the place of the image's (also by whoever else sees that header: personalize_seen())
 *   copy's   copy's           what no keyslot uses overwritten ─► attach.c ─► reencrypt.c
 *   copy's   OldKey=          attach.c, and encrypt-run.c goes on
 *   copy's   another digest   nothing
 *
 * A volume of role os is open by the time that the system runs. There the first two lines end with another initramfs (boot-image.h), whose
 * list has both; that one does the next, before it opens the volume, and no more; the system, once it runs, the rest.
 *
 * The vault keeps what it has of the image's volume: other copies need it. A header of the image's, put back, is of a UUID that is not on the
 * list any more, and refused in every mode of Trust= (unlock-claim.c); with its volume key it would still open this copy until reencrypt.c
 * is done, which status says. */

#include "personalize.h"

#include <fcntl.h>
#include <syslog.h>
#include <unistd.h>

#include "boot-image.h"
#include "common/image-volumes.h"
#include "common/log.h"
#include "header-verb.h"
#include "manager.h"
#include "new-secret.h"
#include "pin.h"
#include "trust-places.h"

struct personalize {
        struct header_work work;         /* first: it is what the steps are about */
        struct personalize_request request;
        struct proven_key key;
        struct new_secret new;           /* fd: -EBADF where there is none */
        char uuid[37];                   /* that the copy is to have */
        uint64_t generation;             /* of what is made */
        bool boots;                      /* the header is the initramfs's to write */
        int image;                       /* the header to be, once there is one */
};

/* ---- its end ---- */

static void record(const struct header_work *w, struct audit_message_record *r) {
        const struct personalize *e = (const struct personalize *) w;
        char secret[STORED_NAME_SIZE];
        bool made = *e->uuid;

        audit_record_add(r, "uuid", made ? e->uuid : w->uuid);
        audit_record_add(r, "image", made ? w->uuid : NULL);
        audit_record_add(r, "secret", made ? new_secret_name(&e->new, e->uuid, secret) : NULL);
        header_verb_record_key(r, &e->key, e->request.accept_unsafe);
}

static void personalize_free(struct header_work *w) {
        struct personalize *e = (struct personalize *) w;

        safe_close(e->new.fd);
        safe_close(e->image);
        free(e);
}

/* What went wrong after its header was another: that stays. A step has written it down by itself. */
static void end_half_way(struct personalize *e, const struct outcome *o) {
        outcome_set(&e->work.outcome, o->code, "%.1000s. It still has the volume key of its image: the same command goes on from here",
                    o->message);
        header_verb_end(&e->work, NULL);
}

/* As far as it goes here. */
static void _printf_(2, 3) end_until(struct personalize *e, const char *format, ...) {
        struct outcome *o = &e->work.outcome;
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(o->message, sizeof(o->message), format, ap);
        va_end(ap);
        log_notice("%s", o->message);
        header_verb_end(&e->work, NULL);
}

/* ---- the list ---- */

/* Returns 0, or a negative errno: the list has both still. */
static int settle(struct manager *m, const char *uuid, const char *by) {
        const struct trust_entry *t = trust_find_uuid(m->trust, uuid);
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));
        _cleanup_(freep) struct trust_entry *e = malloc(sizeof(*e));
        int error;

        if (!t || !t->pending)
                return 0;
        if (!e || !r)
                return -ENOMEM;
        *e = *t;
        error = trust_places_settle(e);
        if (error >= 0)
                error = manager_reload_trust(m);
        if (error < 0) {
                log_warning("%s: that it has a header of its own cannot be entered on the node's list in " TRUST_DIRECTORY " yet: %s", e->name,
                            strerror(-error));
                return error;
        }
        log_notice("%s: it has a header of its own, UUID %s in the place of its image's %s", e->name, e->uuid, e->image);
        if (m->initramfs)
                return 0;        /* what has that list is gone soon: the system's is settled, and recorded, when it is adopted */
        audit_record_start(r, "personalized", LOG_NOTICE, false);
        audit_record_add(r, "verb", "personalize");
        audit_record_add(r, "volume", e->name);
        audit_record_add(r, "uuid", e->uuid);
        audit_record_add(r, "image", e->image);
        pin_record(r, e->keys[0].spki, e->keys[0].spki_size);
        audit_record_addf(r, "generation", "%llu", (unsigned long long) e->keys[0].generation);
        audit_record_add(r, "by", by);
        manager_record(m, r);
        return 0;
}

void personalize_seen(struct manager *m, const char *uuid) {
        const struct trust_entry *t = trust_find_uuid(m->trust, uuid);
        const struct header_work *w;

        if (!t || !t->pending)
                return;
        LIST_FOREACH(w, &m->works, works)
                if (streq(w->uuid, t->image))
                        return;
        (void) settle(m, uuid, NULL);
}

/* Before the disk can have that header. Returns 0, or a negative errno. */
static int pend(struct personalize *e, const struct disk_reply *y) {
        const struct trust_entry *t = trust_find_uuid(e->work.manager->trust, e->work.uuid);
        _cleanup_(freep) struct trust_entry *n = malloc(sizeof(*n));
        int r;

        if (!t || y->n_wraps != 1)
                return -ESTALE;
        if (!n)
                return -ENOMEM;
        *n = *t;
        memcpy(n->uuid, e->uuid, sizeof(n->uuid));
        memcpy(n->image, e->work.uuid, sizeof(n->image));
        memcpy(n->digest, y->trust_digest, sizeof(n->digest));
        memcpy(n->image_digest, y->trust_digest, sizeof(n->image_digest));
        *n->serial = 0;                  /* of the image's disk, if it is any */
        trust_key_take(n->keys, y->wraps);
        r = e->boots ? boot_image_mark() : 0;
        if (r >= 0)
                r = trust_places_pend(n);
        return r < 0 ? r : manager_reload_trust(e->work.manager);
}

/* ---- its volume key ---- */

static void on_reencrypting(const struct outcome *o, void *user) {
        struct personalize *e = user;

        if (o->code != EXIT_CODE_DONE) {
                end_half_way(e, o);
                return;
        }
        e->work.outcome.changed |= o->changed;
        header_verb_end(&e->work, NULL);
}

/* Nothing has to be said of other keyslots: there are none. */
static void reencrypt(struct personalize *e) {
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0) {
                header_verb_refuse(&e->work, EXIT_CODE_FAILED, "%s: no descriptor: %s", e->work.name, strerror(errno));
                return;
        }
        safe_close(fds[1]);
        if (reencrypt_start(e->work.manager, e->work.uuid, fds[0], &e->work.who, on_reencrypting, e) >= 0)
                return;
        safe_close(fds[0]);
        header_verb_out_of_memory(&e->work);
}

static void on_attached(const struct outcome *o, void *user) {
        struct personalize *e = user;

        if (o->code == EXIT_CODE_DONE)
                reencrypt(e);
        else
                end_half_way(e, o);
}

/* By its device: udev may not know the new UUID yet, and the list learns the disk's serial. */
static void attach(struct personalize *e, operation_done done) {
        header_work_give_back(&e->work);
        if (attach_start(e->work.manager, e->work.device, 0, &e->work.who, done, e) < 0)
                header_verb_out_of_memory(&e->work);
}

static void on_going_on(const struct outcome *o, void *user) {
        struct personalize *e = user;

        if (o->code == EXIT_CODE_DONE)
                header_verb_end(&e->work, NULL);
        else
                end_half_way(e, o);
}

/* What comes next takes longer than a boot may. */
static void end_in_initramfs(struct personalize *e) {
        end_until(e, "%s: it has a header of its own; its volume key is changed once the system runs", e->work.name);
}

static void on_wiped(const struct outcome *o, void *user) {
        struct personalize *e = user;

        if (o->code == EXIT_CODE_DONE)
                attach(e, on_attached);
        else
                end_half_way(e, o);
}

static void fill(const struct header_work *w _unused_, struct disk_request *q, int *ret_fd _unused_) {
        q->flags |= DISK_FLAG_LOOK;
}

static void use_wipe(struct unlock *u) {
        header_work_use_change(u, DISK_OP_KEYSLOTS_REMOVE);
}

static const struct unlock_verb wipe_verb = { .name = "personalize", .header_only = true, .use = use_wipe };

/* ---- its header ---- */

static void on_own(const struct outcome *o, void *user) {
        struct personalize *e = user;
        int r;

        if (o->code != EXIT_CODE_DONE) {
                header_verb_end(&e->work, o);
                return;
        }
        r = settle(e->work.manager, e->uuid, e->work.who.text);
        if (r < 0) {
                header_verb_refuse(&e->work, EXIT_CODE_FAILED, "%s: it has a header of its own, but the node's list in %s cannot be "
                                   "written (%s): the same command goes on from here", e->work.name, TRUST_DIRECTORY, strerror(-r));
                return;
        }
        e->work.outcome.changed = true;
        memcpy(e->work.uuid, e->uuid, sizeof(e->work.uuid));
        *e->uuid = 0;
        if (e->work.manager->initramfs)
                end_in_initramfs(e);
        else
                attach(e, on_attached);
}

static void on_restored(const struct disk_reply *y, int fd, void *user) {
        struct unlock *u = user;
        struct outcome o = {};

        safe_close(fd);
        if (unlock_went_well(u, y))
                unlock_end(u, &o);
}

static void use_restore(struct unlock *u) {
        unlock_run(u, DISK_OP_HEADER_RESTORE, on_restored);
}

static const struct unlock_verb restore_verb = {
        .name = "personalize", .header_only = true, .look = DISK_OP_HEADER_CANDIDATE, .use = use_restore,
};

/* W of what was made, by its vault, before anything of before goes. */
static void put_in_place(struct personalize *e) {
        struct unlock *u = unlock_new(e->work.manager, &restore_verb, &e->work.who, on_own, e);

        if (!u) {
                header_verb_out_of_memory(&e->work);
                return;
        }
        memcpy(u->device, e->work.device, sizeof(u->device));
        memcpy(u->name_wanted, e->uuid, sizeof(e->uuid));
        memcpy(u->other_uuid, e->work.uuid, sizeof(u->other_uuid));
        u->key_fd = TAKE_FD(e->image);
        if (unlock_start(u) >= 0)
                return;
        unlock_free(u);
        header_verb_out_of_memory(&e->work);
}

static void on_image(const char *why, void *user) {
        struct personalize *e = user;

        if (why) {
                header_verb_refuse(&e->work, EXIT_CODE_FAILED, "%s: the initramfs, which is to give it a header of its own, could not be built "
                                   "anew: %s. The same command tries again", e->work.name, why);
                return;
        }
        e->work.outcome.changed = true;
        end_until(e, "%s: it gets a header of its own while this machine boots the next time, and cmkd-personalize.service, or the same "
                  "command, goes on from there: reboot now", e->work.name);
}

static void build_image(struct personalize *e) {
        int r = boot_image_build(e->work.manager, on_image, e);

        if (r < 0)
                on_image(boot_image_why(r), e);
}

static void on_staged(const struct outcome *o, void *user) {
        struct personalize *e = user;
        int r;

        e->new.fd = safe_close(e->new.fd);
        if (o->code != EXIT_CODE_DONE) {
                header_verb_end(&e->work, o);
                return;
        }
        r = pend(e, &e->work.header);
        if (r < 0) {
                header_verb_refuse(&e->work, EXIT_CODE_FAILED, "%s: what it is to be cannot be written to " TRUST_PENDING_DIRECTORY " "
                                   "(%s): nothing was changed", e->work.name, strerror(-r));
                return;
        }
        header_verb_record(&e->work, "personalize_begun", LOG_NOTICE);
        if (e->boots)
                build_image(e);
        else
                put_in_place(e);
}

static void on_made(const struct disk_reply *y, int fd, void *user) {
        struct unlock *u = user;
        struct personalize *e = u->user;
        struct outcome o = {};

        if (!unlock_went_well(u, y)) {
                safe_close(fd);
                return;
        }
        e->image = fd;
        e->work.header = *y;
        unlock_end(u, &o);
}

static void use_stage(struct unlock *u) {
        const struct personalize *e = u->user;
        struct disk_request q;

        unlock_disk_request(u, DISK_OP_PERSONALIZE_STAGE, &q);
        key_proof_fill(&e->key, &q);
        new_secret_fill(&e->new, &q);
        q.generation = e->generation;
        q.flags |= e->request.drop ? DISK_FLAG_DROP : 0;
        memcpy(q.other_uuid, e->uuid, sizeof(q.other_uuid));
        unlock_start_child(u, &q, e->new.fd, on_made);
}

static const struct unlock_verb stage_verb = { .name = "personalize", .header_only = true, .use = use_stage };

static void step(struct personalize *e, const struct unlock_verb *verb, operation_done done) {
        if (header_work_step(&e->work, verb, PICK_ANY, NULL, done) < 0)
                header_verb_out_of_memory(&e->work);
}

static void on_new_secret(const struct outcome *o, struct new_secret *s, void *user) {
        struct personalize *e = user;

        e->new = *s;
        s->fd = -EBADF;
        if (o->code == EXIT_CODE_DONE)
                step(e, &stage_verb, on_staged);
        else
                header_verb_fail(&e->work, o);
}

static void on_proven(const struct outcome *o, const struct proven_key *k, void *user) {
        struct personalize *e = user;
        const struct trust_entry *before = trust_find_made_from(e->work.manager->trust, e->work.uuid);
        const struct new_secret_request n = {
                .key = &e->key, .verb = "personalize", .name = e->work.name, .uuid = e->uuid, .device = e->work.device,
                .use_id = e->work.use_id, .who = &e->work.who,
        };

        e->key = *k;
        if (o->code != EXIT_CODE_DONE) {
                header_verb_fail(&e->work, o);
                return;
        }
        header_verb_record(&e->work, "request", LOG_INFO);
        /* An earlier run's, which did not come so far that it is anywhere but here. */
        if (before && before->pending)
                memcpy(e->uuid, before->uuid, sizeof(e->uuid));
        else
                random_uuid(e->uuid);
        if (!new_secret_is_needed(k))
                step(e, &stage_verb, on_staged);
        else if (new_secret_start(e->work.manager, &n, on_new_secret, e) < 0)
                header_verb_out_of_memory(&e->work);
}

/* ---- the beginning ---- */

/* Returns 0, or fills in the outcome. */
static int check(struct personalize *e, const struct trust_entry *t) {
        const struct volume *v = manager_volume_by_uuid(e->work.manager, e->work.uuid);
        const char *named = t->role == ROLE_OS ? image_volume_is_named(t->uuid) : NULL;

        e->boots = t->role == ROLE_OS && v && volume_is_open(v);
        if (named)
                outcome_set(&e->work.outcome, EXIT_CODE_POLICY, "%s: %s names it by the UUID that it has, and a boot would look for that in "
                            "vain: leave it to cmkd, which opens what is on its list", t->name, named);
        else if (t->role != ROLE_DATA && t->role != ROLE_OS)
                outcome_set(&e->work.outcome, EXIT_CODE_POLICY, "%s: a volume of role %s has nothing of an image's", t->name,
                            role_to_string(t->role));
        else if (e->work.manager->trust_early)
                outcome_set(&e->work.outcome, EXIT_CODE_POLICY, "%s: /var is not there yet, and with it this node's list: a volume that "
                            "carries /var cannot be made a copy's own", t->name);
        else if (t->n_keys != 1 || e->work.header.n_wraps != 1)
                outcome_set(&e->work.outcome, EXIT_CODE_POLICY, "%s: it has several keys, or a change of one did not end, and a copy of an "
                            "image becomes one of its own with one: take the others out (\"cmkctl enroll --remove\"), and enroll them "
                            "again afterwards", t->name);
        else if (e->work.header.flags & DISK_FLAG_RECOVERY_KEY && !e->request.drop)      /* of others its child says the same */
                outcome_set(&e->work.outcome, EXIT_CODE_USAGE, "%s: every copy of the image opens with its recovery key, and this one "
                            "would not any more: say --drop-image-keyslots, and afterwards \"cmkctl recovery-key add\" makes one that is "
                            "this copy's alone. Nothing was changed", t->name);
        else if (v && volume_is_open(v) && !e->boots)
                outcome_set(&e->work.outcome, EXIT_CODE_BUSY, "%s: it is open with its image's header: detach it first (\"cmkctl detach "
                            "%s\")", t->name, t->name);
        else
                return 0;
        return -EPERM;
}

/* What an initramfs is left with was asked for, and agreed to, where it was built. */
static void take_agreed(struct personalize *e, const struct trust_entry *t) {
        const struct trust_entry *before = trust_find_made_from(e->work.manager->trust, t->uuid);

        if (!e->work.manager->initramfs || !before || !before->pending)
                return;
        e->request.drop = true;
        snprintf(e->request.accept_unsafe, sizeof(e->request.accept_unsafe), "as it was when its initramfs was built");
}

static void begin(struct personalize *e, const struct trust_entry *t) {
        const struct disk_wrap *w = e->work.header.wraps;
        const struct key_proof_request p = {
                .subject = e->work.name, .key = w->key, .accept_unsafe = e->request.accept_unsafe, .use_id = e->work.use_id,
        };

        e->generation = MAX_OF(w->generation, t->keys[0].generation) + 1;
        take_agreed(e, t);
        if (check(e, t) < 0 || key_proof_check(e->work.manager, w->key, &e->key, &e->work.outcome) < 0 ||
            (w->stored && key_proof_check_store(e->work.manager, &e->key, &e->work.outcome) < 0))
                header_verb_fail(&e->work, NULL);
        else if (key_proof_start(e->work.manager, &p, &e->key, on_proven, e) < 0)
                header_verb_out_of_memory(&e->work);
}

/* Whose header it is, and how far that one has come. */
static void go_on(struct personalize *e, const struct trust_entry *t) {
        switch (streq(e->request.image, t->uuid) ? ORIGIN_OWN : trust_origin(t)) {
        case ORIGIN_OWN:
                begin(e, t);
                break;
        case ORIGIN_IMAGE:
                if (e->work.manager->initramfs)
                        end_in_initramfs(e);
                else
                        step(e, &wipe_verb, on_wiped);
                break;
        default:
                header_verb_end(&e->work, NULL);
        }
}

/* Of that image, where one is named: its volume itself, or what was made from it. */
static bool is_meant(struct personalize *e, const struct trust_entry *t) {
        const char *image = e->request.image;

        if (!*image || streq(image, t->uuid) || streq(image, t->image))
                return true;
        outcome_set(&e->work.outcome, EXIT_CODE_POLICY, "%s: it is neither the image's, UUID %s, nor was it made from that", t->name,
                    image);
        return false;
}

/* encrypt-run.h has its header, or will have it once it is attached. */
static bool is_on_its_way(const struct personalize *e, const struct disk_reply *y, const struct trust_entry *t) {
        return *t->image && !streq(e->request.image, t->uuid) && (y->flags & DISK_FLAG_REKEYING || trust_origin(t) == ORIGIN_CHANGING);
}

static void on_inspected(const struct disk_reply *y, int fd, void *user) {
        struct personalize *e = user;
        const struct trust_entry *t = NULL;

        safe_close(fd);
        if (y->error >= 0) {
                personalize_seen(e->work.manager, y->uuid);
                t = trust_find_uuid(e->work.manager->trust, y->uuid);
        }
        if (t && is_on_its_way(e, y, t)) {
                memcpy(e->work.uuid, t->uuid, sizeof(e->work.uuid));
                snprintf(e->work.name, sizeof(e->work.name), "%s", t->name);
                attach(e, on_going_on);
                return;
        }
        t = header_work_begin(&e->work, y);
        if (t && is_meant(e, t))
                go_on(e, t);
        else
                header_verb_fail(&e->work, NULL);
}

static const struct header_verb personalize_verb = {
        .name = "personalize", .names_uuid = true, .fill = fill, .record = record, .free = personalize_free,
};

int personalize_start(struct manager *m, const struct personalize_request *q, const struct requester *who, operation_done done, void *user) {
        struct personalize *e = calloc(1, sizeof(*e));

        if (!e)
                return -ENOMEM;
        header_verb_init(&e->work, m, &personalize_verb, q->what, who, done, user);
        e->request = *q;
        e->new.fd = e->image = -EBADF;
        if (header_work_inspect(&e->work, on_inspected, e) >= 0)
                return 0;
        free(e);
        return -ENOMEM;
}
