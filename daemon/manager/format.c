/* SPDX-License-Identifier: Apache-2.0 */

/* From a device to a volume that is proven to open:
 *
 *   INSPECT (already so?) ─► key-proof.h ─► FORMAT (child: W, keyslot, token) ─► unwrap of the real wrapped key ─► record,
 *   durable ─► CHECK (child: opens the keyslot with it) ─► entry on the node's list
 *
 * With a symmetric key, and where the vault keeps the wrapped key, new-secret.h comes before FORMAT, which is given W then and does
 * not make it: W is bound to a UUID that is chosen here.
 *
 * What could not be proven is erased again, by this operation and only what it made itself.
 *
 * A LUKS volume that somebody else made is taken over in the same way, by TAKE_OVER_LOOK and TAKE_OVER. Of that nothing is erased: a token
 * that could not be proven is not on the list, and not used. */

#include <fcntl.h>
#include <stdarg.h>
#include <syslog.h>
#include <unistd.h>

#include "adopt.h"
#include "common/log.h"
#include "disk-child.h"
#include "drill.h"
#include "manager.h"
#include "new-secret.h"
#include "new-volume.h"
#include "operation.h"
#include "pin.h"
#include "release-record.h"
#include "stored.h"
#include "trust-places.h"

struct format {
        struct manager *manager;
        struct format_request request;
        struct requester who;
        struct proven_key key;
        struct vault_reply answer;       /* the last one */
        struct disk_reply made;          /* by FORMAT */
        bool formatted;
        struct instant asked;            /* when the vault was asked to unwrap it */
        bool drill;                      /* of the drill's volume (drill.h) */
        int secret_fd;
        char use_id[37];
        char uuid[37];                   /* of the volume to be, where its W was made before it */
        char secret[STORED_NAME_SIZE];   /* the secret of the vault that has its wrapped key; empty: none */
        struct outcome outcome;
        operation_done done;
        void *user;
};

static struct format *format_free(struct format *f) {
        if (!f)
                return NULL;
        safe_close(f->secret_fd);
        safe_close(f->request.passphrase_fd);
        free(f);
        return NULL;
}

static const char *verb_of(const struct format *f) {
        return f->request.take_over ? "enroll" : "format";
}

static void start_record(const struct format *f, struct audit_message_record *r, const char *event, bool durable) {
        char uri[KEY_URI_MAX];

        audit_record_start(r, event, f->outcome.code == EXIT_CODE_DONE ? LOG_NOTICE : LOG_WARNING, durable);
        audit_record_add(r, "verb", verb_of(f));
        audit_record_add(r, "drill", drill_of(f->manager, f->request.name));
        audit_record_add(r, "volume", f->request.name);
        audit_record_add(r, "uuid", f->made.uuid);
        audit_record_add(r, "use", f->use_id);
        audit_record_add(r, "device", f->request.device);
        key_uri_format(&f->key.uri, uri, sizeof(uri));
        audit_record_add(r, "key", uri);
        pin_record(r, f->key.spki, f->key.spki_size);
        audit_record_add(r, "secret", f->secret);
        if (*f->answer.code || f->answer.http_status > 0)
                manager_record_reply(r, &f->answer);
        audit_record_add(r, "accept_unsafe_vault", f->request.accept_unsafe);
        audit_record_add(r, "backup", f->outcome.kept);
        audit_record_add(r, "by", f->who.text);
        audit_record_add(r, "why", f->outcome.message);
}

static void record(const struct format *f, const char *event) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));

        if (!r)
                return;
        start_record(f, r, event, false);
        manager_record(f->manager, r);
}

static void end(struct format *f) {
        memcpy(f->outcome.uuid, f->made.uuid, sizeof(f->outcome.uuid));
        if (f->drill)
                drill_formatting(f->manager, false);
        f->done(&f->outcome, f->user);
        format_free(f);
}

static void on_erased(const struct disk_reply *y, int fd, void *user) {
        struct format *f = user;

        safe_close(fd);
        if (y->error < 0)
                outcome_add(&f->outcome, "; and what was made of it could not be erased: %s", y->message);
        end(f);
}

/* This node takes nothing out of a vault. */
static void say_what_is_left(struct format *f) {
        if (*f->secret)
                outcome_add(&f->outcome, "; secret %s stays in the vault, of use to nobody", f->secret);
}

/* Ends with a failure: writes it down and takes back what was made. The outcome is filled in. */
static void fail(struct format *f) {
        struct disk_request q = { .op = DISK_OP_ERASE };

        say_what_is_left(f);
        record(f, f->outcome.code == EXIT_CODE_POLICY ? "refused" : "failed");
        if (f->formatted && f->request.take_over)
                outcome_add(&f->outcome, "; its header has the key, which is not used yet, and opens as before: the same command goes on "
                            "from here");
        else if (f->formatted) {
                memcpy(q.device, f->request.device, sizeof(q.device));
                memcpy(q.uuid, f->made.uuid, sizeof(q.uuid));
                memcpy(q.name, f->made.name, sizeof(q.name));
                memcpy(q.header_digest, f->made.header_digest, sizeof(q.header_digest));
                if (disk_child_start(f->manager->children, &q, -EBADF, -EBADF, MANAGER_DISK_TIMEOUT_USEC, on_erased, f, NULL) >= 0)
                        return;
        }
        end(f);
}

static void _printf_(3, 4) refuse(struct format *f, enum exit_code code, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        outcome_vset(&f->outcome, code, format, ap);
        va_end(ap);
        fail(f);
}

static void out_of_memory(struct format *f) {
        refuse(f, EXIT_CODE_FAILED, "%s: out of memory", f->request.device);
}

/* What stood all the time is under its lease from now on. */
static void adopt_open(struct format *f) {
        int r = f->made.flags & DISK_FLAG_MAPPED ? adopt_taken_over(f->manager, f->made.uuid, f->asked) : 0;

        f->outcome.adopted = f->made.flags & DISK_FLAG_MAPPED && r >= 0;
        if (r < 0 && r != -ENXIO)
                log_alert("%s: it is open, and not under its lease (%s): \"cmkctl attach %s\" puts it there", f->request.name, strerror(-r),
                          f->request.name);
}

static void on_checked(const struct disk_reply *y, int fd, void *user) {
        _cleanup_(freep) struct trust_entry *t = malloc(sizeof(*t));
        struct format *f = user;
        int r;

        safe_close(fd);
        f->secret_fd = safe_close(f->secret_fd);
        if (!t) {
                out_of_memory(f);
                return;
        }
        if (y->error < 0 || memcmp(y->trust_digest, f->made.trust_digest, sizeof(y->trust_digest)) != 0) {
                refuse(f, EXIT_CODE_FAILED, "%s: the new volume does not open with what the vault unwrapped: %s",
                       f->request.device, *y->message ? y->message : "another volume key");
                return;
        }
        new_volume_entry(&f->key, &f->made, f->request.name, f->request.role, f->request.device, t);
        r = f->drill ? trust_add(DRILL_DIRECTORY, t) : trust_places_add(t);
        if (r >= 0)
                r = manager_reload_trust(f->manager);
        if (r < 0) {
                refuse(f, EXIT_CODE_FAILED, "%s: it could not be entered on the node's list in %s: %s", f->request.device,
                       TRUST_DIRECTORY, strerror(-r));
                return;
        }
        f->outcome.changed = true;
        adopt_open(f);
        record(f, f->request.take_over ? "taken_over" : "formatted");
        end(f);
}

static void on_release_recorded(int error, uint64_t sequence _unused_, void *user) {
        struct format *f = user;
        struct disk_request q = { .op = DISK_OP_CHECK };

        if (!release_may_go_on(f->manager, error, f->request.device, &f->outcome)) {
                fail(f);
                return;
        }
        memcpy(q.device, f->request.device, sizeof(q.device));
        memcpy(q.uuid, f->made.uuid, sizeof(q.uuid));
        memcpy(q.name, f->request.name, sizeof(q.name));
        memcpy(q.header_digest, f->made.header_digest, sizeof(q.header_digest));
        q.role = (uint8_t) f->request.role;
        snprintf(q.opener, sizeof(q.opener), "%s", new_volume_wrap(&f->key, &f->made)->key);
        if (disk_child_start(f->manager->children, &q, f->secret_fd, -EBADF, MANAGER_DISK_TIMEOUT_USEC, on_checked, f, NULL) < 0)
                out_of_memory(f);
}

static void record_release(struct format *f) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));

        if (r)
                start_record(f, r, "release", true);
        if (release_record(f->manager, r, on_release_recorded, f) < 0)
                out_of_memory(f);
}

static void on_unwrapped(const struct vault_reply *y, void *user) {
        struct format *f = user;

        char uri[KEY_URI_MAX];

        f->answer = *y;
        if (y->verdict != VERDICT_GRANTED) {
                key_uri_format(&f->key.uri, uri, sizeof(uri));
                outcome_from_vault(&f->outcome, f->request.name, uri, y);
                fail(f);
                return;
        }
        if (y->delivered != DISK_W_SIZE) {
                refuse(f, EXIT_CODE_UNREACHABLE, "%s: the vault unwrapped %u bytes where %u were wrapped", f->request.device,
                       y->delivered, DISK_W_SIZE);
                return;
        }
        record_release(f);
}

static void on_formatted(const struct disk_reply *y, int fd, void *user) {
        _cleanup_(closep) int write_end = -EBADF;
        struct format *f = user;
        int fds[2];

        safe_close(fd);
        f->secret_fd = safe_close(f->secret_fd);
        if (y->error < 0) {
                outcome_from_disk(&f->outcome, y);
                fail(f);
                return;
        }
        f->made = *y;
        f->formatted = true;
        if (f->request.take_over)
                snprintf(f->outcome.kept, sizeof(f->outcome.kept), "%.*s", (int) sizeof(f->outcome.kept) - 1, y->message);
        if (pipe2(fds, O_CLOEXEC) < 0) {
                refuse(f, EXIT_CODE_FAILED, "%s: no pipe: %s", f->request.device, strerror(errno));
                return;
        }
        f->secret_fd = fds[0];
        write_end = fds[1];
        f->asked = instant_now();
        if (new_volume_unwrap(f->manager, &f->key, new_volume_wrap(&f->key, &f->made), f->made.uuid, f->use_id, write_end, on_unwrapped, f) < 0)
                out_of_memory(f);
}

static void make(struct format *f, const struct new_secret *s) {
        struct disk_request q = { .op = f->request.take_over ? DISK_OP_TAKE_OVER : DISK_OP_FORMAT, .role = (uint8_t) f->request.role };

        q.flags = (f->request.wipe ? DISK_FLAG_WIPE : 0) | (f->request.convert ? DISK_FLAG_CONVERT : 0);
        memcpy(q.device, f->request.device, sizeof(q.device));
        memcpy(q.name, f->request.name, sizeof(q.name));
        key_proof_fill(&f->key, &q);
        if (s || f->request.take_over)
                memcpy(q.uuid, f->uuid, sizeof(q.uuid));
        if (s)
                new_secret_fill(s, &q);
        automatic_know(f->manager, f->request.device);
        if (disk_child_start(f->manager->children, &q, f->secret_fd, f->request.passphrase_fd, MANAGER_DISK_TIMEOUT_USEC, on_formatted, f,
                             NULL) < 0)
                out_of_memory(f);
}

static void on_new_secret(const struct outcome *o, struct new_secret *s, void *user) {
        struct format *f = user;

        (void) new_secret_name(s, f->uuid, f->secret);
        if (o->code != EXIT_CODE_DONE) {
                f->outcome = *o;
                fail(f);
                return;
        }
        f->secret_fd = TAKE_FD(s->fd);
        make(f, s);
}

static void on_proven(const struct outcome *o, const struct proven_key *k, void *user) {
        struct format *f = user;
        const struct new_secret_request n = {
                .key = &f->key, .verb = verb_of(f), .name = f->request.name, .uuid = f->uuid, .device = f->request.device,
                .use_id = f->use_id, .who = &f->who,
        };

        f->key = *k;
        f->answer = k->answer;
        if (o->code != EXIT_CODE_DONE) {
                f->outcome = *o;
                fail(f);
                return;
        }
        if (!new_secret_is_needed(k)) {
                make(f, NULL);
                return;
        }
        if (!f->request.take_over)
                random_uuid(f->uuid);
        if (new_secret_start(f->manager, &n, on_new_secret, f) < 0)
                out_of_memory(f);
}

static bool name_is_taken(const struct format *f, const char *uuid) {
        const struct trust_entry *t = trust_find_name(f->manager->trust, f->request.name);

        return (t && !streq(t->uuid, uuid)) || (!t && manager_volume_by_name(f->manager, f->request.name));
}

static void say_it_is_already(struct format *f, const struct trust_entry *t) {
        const struct trust_key *k = trust_find_key(t, &f->key.uri);

        if (pin_check(NULL, &f->key, k->spki, k->spki_size, t->name, &f->outcome) < 0) {
                fail(f);
                return;
        }
        snprintf(f->outcome.message, sizeof(f->outcome.message), "%s is volume %s already", f->request.device, t->name);
        end(f);
}

static void on_inspected(const struct disk_reply *y, int fd, void *user) {
        struct format *f = user;
        const struct trust_entry *t = y->error >= 0 ? trust_find_uuid(f->manager->trust, y->uuid) : NULL;
        const struct volume *v = y->error >= 0 ? manager_volume_by_uuid(f->manager, y->uuid) : NULL;
        const struct key_proof_request p = {
                .subject = f->request.device, .key = f->request.key, .accept_unsafe = f->request.accept_unsafe, .use_id = f->use_id,
                .nothing_lost = f->drill,
        };

        safe_close(fd);
        if (f->request.take_over && y->error < 0) {
                outcome_from_disk(&f->outcome, y);
                fail(f);
                return;
        }
        memcpy(f->uuid, y->uuid, sizeof(f->uuid));
        if (t && streq(t->name, f->request.name) && t->role == f->request.role && trust_find_key(t, &f->key.uri)) {
                f->made = *y;
                say_it_is_already(f, t);
                return;
        }
        if (v && volume_is_open(v)) {
                refuse(f, EXIT_CODE_BUSY, "%s: it is volume %s and attached", f->request.device, v->name);
                return;
        }
        if (t && f->request.take_over) {
                refuse(f, EXIT_CODE_POLICY, "%s: it is the volume %s on this node's list already (\"cmkctl enroll %s --key\" gives it one more "
                       "key)", f->request.device, t->name, t->name);
                return;
        }
        if (name_is_taken(f, "")) {
                refuse(f, EXIT_CODE_POLICY, "%s: there is another volume of that name on this node's list (\"cmkctl trust list\")",
                       f->request.name);
                return;
        }
        record(f, "request");
        if (key_proof_start(f->manager, &p, &f->key, on_proven, f) < 0)
                out_of_memory(f);
}

/* What can be refused without looking at the disk or asking anybody. */
static bool request_is_valid(struct format *f) {
        const char *why = drill_objects(f->manager, f->request.device, f->request.name, f->request.role);

        if (why) {
                outcome_set(&f->outcome, EXIT_CODE_POLICY, "%s as %s: %s", f->request.device, f->request.name, why);
                return false;
        }
        if (volume_name_is_valid(f->request.name))
                return key_proof_check(f->manager, f->request.key, &f->key, &f->outcome) >= 0 &&
                       (f->request.store != STORE_VAULT || key_proof_check_store(f->manager, &f->key, &f->outcome) >= 0) &&
                       (f->request.role != ROLE_OS || key_proof_check_boot(f->manager, &f->key, &f->outcome) >= 0);
        outcome_set(&f->outcome, EXIT_CODE_USAGE, "A volume's name is 1 to 64 of A-Z a-z 0-9 _ . -, and begins with none of . and -");
        return false;
}

static int on_refused(sd_event_source *s, void *user) {
        struct format *f = user;

        sd_event_source_disable_unref(s);
        fail(f);
        return 0;
}

int format_start(struct manager *m, const struct format_request *request, const struct requester *who,
                 operation_done done, void *user) {
        struct format *f = calloc(1, sizeof(*f));
        struct disk_request q = { .op = request->take_over ? DISK_OP_TAKE_OVER_LOOK : DISK_OP_INSPECT };
        sd_event_source *s = NULL;
        int r;

        if (!f)
                return -ENOMEM;
        q.flags = request->convert ? DISK_FLAG_CONVERT : 0;
        f->manager = m;
        f->request = *request;
        memcpy(f->key.expected, request->expected, sizeof(f->key.expected));
        f->who = *who;
        f->secret_fd = -EBADF;
        f->done = done;
        f->user = user;
        random_uuid(f->use_id);
        if (request_is_valid(f)) {
                f->drill = drill_owns(m, f->request.device);
                if (f->drill)
                        drill_formatting(m, true);
                memcpy(q.device, f->request.device, sizeof(q.device));
                r = disk_child_start(m->children, &q, -EBADF, -EBADF, MANAGER_DISK_TIMEOUT_USEC, on_inspected, f, NULL);
        } else
                r = sd_event_add_defer(m->event, &s, on_refused, f);
        if (r < 0 && f->drill)
                drill_formatting(m, false);
        if (r < 0) {
                f->request.passphrase_fd = -EBADF;
                format_free(f);
        }
        return r < 0 ? -ENOMEM : 0;
}
