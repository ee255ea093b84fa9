/* SPDX-License-Identifier: Apache-2.0 */

/* From a device with a file system to a volume that is attached and being encrypted in place:
 *
 *   INSPECT (already so?) ─► key-proof.h ─► ENCRYPT_STAGE (child: W, keyslot, token, in a file) ─► unwrap of the real wrapped key
 *      ─► record, durable ─► entry on the node's list, all of it Unencrypted= ─► ENCRYPT_BEGIN (child: the keyslot opens; file system
 *      made smaller, header written) ─► attach.c, which encrypt-run.c goes on from
 *
 * Before BEGIN nothing is written to the device. What is left of an attempt that did not come to its header is found by STAGE, which
 * answers with that volume then, or taken away here: its entry has a file in ENCRYPT_DIRECTORY, and no disk has its header. */

#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "common/algorithm.h"
#include "common/log.h"
#include "encrypt-run.h"
#include "manager.h"
#include "new-secret.h"
#include "new-volume.h"
#include "operation.h"
#include "pin.h"
#include "release-record.h"
#include "trust-places.h"

#define BEGIN_TIMEOUT_USEC (150 * 60 * USEC_PER_SEC)      /* e2fsck and resize2fs have an hour each */

struct encrypt {
        struct manager *manager;
        struct encrypt_request request;
        struct requester who;
        struct proven_key key;
        struct vault_reply answer;       /* the last one */
        struct disk_reply made;          /* by STAGE */
        bool listed;                     /* by this run */
        int secret_fd;
        char use_id[37];
        char uuid[37];                   /* of the volume to be, where its W was made before it */
        struct outcome outcome;
        operation_done done;
        void *user;
};

static void start_record(const struct encrypt *e, struct audit_message_record *r, const char *event, bool durable) {
        char uri[KEY_URI_MAX];

        audit_record_start(r, event, e->outcome.code == EXIT_CODE_DONE ? LOG_NOTICE : LOG_WARNING, durable);
        audit_record_add(r, "verb", "encrypt");
        audit_record_add(r, "volume", e->request.name);
        audit_record_add(r, "uuid", e->made.uuid);
        audit_record_add(r, "use", e->use_id);
        audit_record_add(r, "device", e->request.device);
        key_uri_format(&e->key.uri, uri, sizeof(uri));
        audit_record_add(r, "key", uri);
        pin_record(r, e->key.spki, e->key.spki_size);
        if (*e->answer.code || e->answer.http_status > 0)
                manager_record_reply(r, &e->answer);
        audit_record_add(r, "accept_unsafe_vault", e->request.accept_unsafe);
        audit_record_add(r, "by", e->who.text);
        audit_record_add(r, "why", e->outcome.message);
}

static void record(const struct encrypt *e, const char *event) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));

        if (!r)
                return;
        start_record(e, r, event, false);
        manager_record(e->manager, r);
}

static void end(struct encrypt *e) {
        memcpy(e->outcome.uuid, e->made.uuid, sizeof(e->outcome.uuid));
        e->done(&e->outcome, e->user);
        safe_close(e->secret_fd);
        free(e);
}

static bool has_file(const char *uuid, const char *suffix) {
        char file[128];

        snprintf(file, sizeof(file), ENCRYPT_DIRECTORY "/%s%s", uuid, suffix);
        return access(file, F_OK) >= 0;
}

static void drop_file(const char *uuid) {
        char file[128];

        snprintf(file, sizeof(file), ENCRYPT_DIRECTORY "/%s.header", uuid);
        (void) unlink(file);
}

/* An attempt that did not come to its header: no disk says that it is that volume. STAGE knows whether this one was to be it. */
static bool is_attempt(const struct trust_entry *t) {
        char link[128];

        snprintf(link, sizeof(link), "/dev/disk/by-uuid/%s", t->uuid);
        return t->unencrypted > 0 && (has_file(t->uuid, ".header") || has_file(t->uuid, ".begun")) && access(link, F_OK) < 0;
}

/* The outcome is filled in. Nothing of it is on the device yet. */
static void fail(struct encrypt *e) {
        record(e, e->outcome.code == EXIT_CODE_POLICY ? "refused" : "failed");
        if (e->listed) {
                (void) trust_places_remove(e->made.uuid);
                (void) manager_reload_trust(e->manager);
        }
        if (*e->made.uuid && !trust_find_uuid(e->manager->trust, e->made.uuid))
                drop_file(e->made.uuid);
        end(e);
}

static void _printf_(3, 4) refuse(struct encrypt *e, enum exit_code code, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        outcome_vset(&e->outcome, code, format, ap);
        va_end(ap);
        fail(e);
}

static void out_of_memory(struct encrypt *e) {
        refuse(e, EXIT_CODE_FAILED, "%s: out of memory", e->request.device);
}

static void on_attached(const struct outcome *o, void *user) {
        struct encrypt *e = user;

        if (o->code != EXIT_CODE_DONE) {
                e->outcome = *o;
                record(e, "failed");
        }
        end(e);
}

static void attach(struct encrypt *e) {
        if (attach_start(e->manager, e->request.device, 0, &e->who, on_attached, e) < 0)
                out_of_memory(e);
}

static void on_begun(const struct disk_reply *y, int fd, void *user) {
        struct encrypt *e = user;

        safe_close(fd);
        e->secret_fd = safe_close(e->secret_fd);
        if (y->error < 0) {
                outcome_from_disk(&e->outcome, y);
                if (y->count > 0 || y->error == -EPIPE || y->error == -ETIMEDOUT) {
                        record(e, "failed");        /* the device may have a header: the entry stays */
                        end(e);
                } else
                        fail(e);
                return;
        }
        e->outcome.changed = true;
        record(e, "encrypt_begun");
        attach(e);
}

/* The list first: a header that it does not know is refused. */
static int list(struct encrypt *e) {
        const struct trust_entry *old = trust_find_name(e->manager->trust, e->request.name);
        _cleanup_(freep) struct trust_entry *t = malloc(sizeof(*t));
        int r;

        if (trust_find_uuid(e->manager->trust, e->made.uuid))
                return 0;
        if (old && is_attempt(old) && !has_file(old->uuid, ".begun")) {
                drop_file(old->uuid);
                r = trust_places_remove(old->uuid);
                if (r < 0)
                        return r;
        }
        if (!t)
                return -ENOMEM;
        new_volume_entry(&e->key, &e->made, e->request.name, e->request.role, e->request.device, t);
        t->unencrypted = e->made.plain;
        r = trust_places_add(t);
        if (r < 0)
                return r;
        e->listed = true;
        return manager_reload_trust(e->manager);
}

static void on_release_recorded(int error, uint64_t sequence _unused_, void *user) {
        struct encrypt *e = user;
        struct disk_request q = { .op = DISK_OP_ENCRYPT_BEGIN };
        const struct trust_entry *t;
        int r;

        if (!release_may_go_on(e->manager, error, e->request.device, &e->outcome)) {
                fail(e);
                return;
        }
        r = list(e);
        t = r >= 0 ? trust_find_uuid(e->manager->trust, e->made.uuid) : NULL;
        if (!t) {
                refuse(e, EXIT_CODE_FAILED, "%s: it could not be entered on the node's list in %s: %s", e->request.device,
                       TRUST_DIRECTORY, strerror(r < 0 ? -r : EINVAL));
                return;
        }
        memcpy(q.device, e->request.device, sizeof(q.device));
        memcpy(q.uuid, e->made.uuid, sizeof(q.uuid));
        memcpy(q.name, e->request.name, sizeof(q.name));
        memcpy(q.header_digest, e->made.header_digest, sizeof(q.header_digest));
        memcpy(q.trust_digest, t->digest, sizeof(q.trust_digest));
        q.role = (uint8_t) e->request.role;
        q.plain_max = t->unencrypted;
        automatic_know(e->manager, e->request.device);
        if (disk_child_start(e->manager->children, &q, e->secret_fd, -EBADF, BEGIN_TIMEOUT_USEC, on_begun, e, NULL) < 0)
                out_of_memory(e);
}

static void record_release(struct encrypt *e) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));

        if (r)
                start_record(e, r, "release", true);
        if (release_record(e->manager, r, on_release_recorded, e) < 0)
                out_of_memory(e);
}

static void on_unwrapped(const struct vault_reply *y, void *user) {
        struct encrypt *e = user;
        char uri[KEY_URI_MAX];

        e->answer = *y;
        if (y->verdict != VERDICT_GRANTED) {
                key_uri_format(&e->key.uri, uri, sizeof(uri));
                outcome_from_vault(&e->outcome, e->request.name, uri, y);
                fail(e);
        } else if (y->delivered != DISK_W_SIZE)
                refuse(e, EXIT_CODE_UNREACHABLE, "%s: the vault unwrapped %u bytes where %u were wrapped", e->request.device,
                       y->delivered, DISK_W_SIZE);
        else
                record_release(e);
}

/* An attempt of before that was for another key or name is not taken up under this one. */
static bool is_what_was_asked_for(struct encrypt *e) {
        struct key_uri u;

        return e->made.n_wraps == 1 && streq(e->made.name, e->request.name) &&
               key_uri_parse(e->made.wraps[0].key, &u, NULL) >= 0 && key_uri_same_key(&u, &e->key.uri);
}

static void on_staged(const struct disk_reply *y, int fd, void *user) {
        _cleanup_(closep) int write_end = -EBADF;
        struct encrypt *e = user;
        int fds[2];

        safe_close(fd);
        e->secret_fd = safe_close(e->secret_fd);
        if (y->error < 0) {
                outcome_from_disk(&e->outcome, y);
                fail(e);
                return;
        }
        e->made = *y;
        if (!is_what_was_asked_for(e)) {
                refuse(e, EXIT_CODE_POLICY, "%s: its encryption as %s, with key %s, was begun already: say the same again", e->request.device,
                       y->name, y->wraps[0].key);
                return;
        }
        (void) key_uri_parse(y->wraps[0].key, &e->key.uri, NULL);      /* with the version that it was wrapped with */
        if (pipe2(fds, O_CLOEXEC) < 0) {
                refuse(e, EXIT_CODE_FAILED, "%s: no pipe: %s", e->request.device, strerror(errno));
                return;
        }
        e->secret_fd = fds[0];
        write_end = fds[1];
        if (new_volume_unwrap(e->manager, &e->key, y->wraps, e->made.uuid, e->use_id, write_end, on_unwrapped, e) < 0)
                out_of_memory(e);
}

static void stage(struct encrypt *e, const struct new_secret *s) {
        struct disk_request q = { .op = DISK_OP_ENCRYPT_STAGE, .role = (uint8_t) e->request.role };

        memcpy(q.device, e->request.device, sizeof(q.device));
        memcpy(q.name, e->request.name, sizeof(q.name));
        key_proof_fill(&e->key, &q);
        if (s) {
                memcpy(q.uuid, e->uuid, sizeof(q.uuid));
                new_secret_fill(s, &q);
        }
        if (disk_child_start(e->manager->children, &q, e->secret_fd, -EBADF, MANAGER_DISK_TIMEOUT_USEC, on_staged, e, NULL) < 0)
                out_of_memory(e);
}

static void on_new_secret(const struct outcome *o, struct new_secret *s, void *user) {
        struct encrypt *e = user;

        if (o->code != EXIT_CODE_DONE) {
                e->outcome = *o;
                fail(e);
                return;
        }
        e->secret_fd = TAKE_FD(s->fd);
        stage(e, s);
}

static void on_proven(const struct outcome *o, const struct proven_key *k, void *user) {
        struct encrypt *e = user;
        const struct new_secret_request n = {
                .key = &e->key, .verb = "encrypt", .name = e->request.name, .uuid = e->uuid, .device = e->request.device,
                .use_id = e->use_id, .who = &e->who,
        };

        e->key = *k;
        e->answer = k->answer;
        if (o->code != EXIT_CODE_DONE) {
                e->outcome = *o;
                fail(e);
        } else if (!algorithm_is_symmetric(k->algorithm))
                stage(e, NULL);
        else {
                random_uuid(e->uuid);
                if (new_secret_start(e->manager, &n, on_new_secret, e) < 0)
                        out_of_memory(e);
        }
}

static bool name_is_free(struct encrypt *e) {
        const struct trust_entry *t = trust_find_name(e->manager->trust, e->request.name);

        return t ? is_attempt(t) : !manager_volume_by_name(e->manager, e->request.name);
}

/* It is a volume of the list already. */
static void go_on(struct encrypt *e, const struct trust_entry *t, const struct disk_reply *y) {
        const struct volume *v = manager_volume_by_uuid(e->manager, y->uuid);
        const struct trust_key *k = trust_find_key(t, &e->key.uri);

        e->made = *y;
        if (!streq(t->name, e->request.name) || !k)
                refuse(e, EXIT_CODE_POLICY, "%s: it is the volume %s already, with another name or key", e->request.device, t->name);
        else if (pin_check(NULL, &e->key, k->spki, k->spki_size, t->name, &e->outcome) < 0)
                fail(e);
        else if (t->unencrypted == 0 || (v && volume_is_open(v)))
                end(e);
        else
                attach(e);
}

static void on_inspected(const struct disk_reply *y, int fd, void *user) {
        struct encrypt *e = user;
        const struct trust_entry *t = y->error >= 0 ? trust_find_uuid(e->manager->trust, y->uuid) : NULL;
        const struct key_proof_request p = {
                .subject = e->request.device, .key = e->request.key, .accept_unsafe = e->request.accept_unsafe, .use_id = e->use_id,
        };

        safe_close(fd);
        if (t) {
                go_on(e, t, y);
                return;
        }
        if (y->error >= 0) {
                refuse(e, EXIT_CODE_POLICY, "%s: it is a volume of cmkd's already, UUID %s, and not on this node's list",
                       e->request.device, y->uuid);
                return;
        }
        if (!name_is_free(e)) {
                refuse(e, EXIT_CODE_POLICY, "%s: there is another volume of that name on this node's list (\"cmkctl trust list\")",
                       e->request.name);
                return;
        }
        record(e, "request");
        if (key_proof_start(e->manager, &p, &e->key, on_proven, e) < 0)
                out_of_memory(e);
}

static bool request_is_valid(struct encrypt *e) {
        if (!volume_name_is_valid(e->request.name))
                outcome_set(&e->outcome, EXIT_CODE_USAGE, "A volume's name is 1 to 64 of A-Z a-z 0-9 _ . -, and begins with none of . and -");
        else if (e->request.role != ROLE_DATA)
                outcome_set(&e->outcome, EXIT_CODE_POLICY, "%s: only volumes of role data are encrypted in place", e->request.name);
        else
                return key_proof_check(e->manager, e->request.key, &e->key, &e->outcome) >= 0;
        return false;
}

static int on_refused(sd_event_source *s, void *user) {
        sd_event_source_disable_unref(s);
        fail(user);
        return 0;
}

int encrypt_start(struct manager *m, const struct encrypt_request *request, const struct requester *who, operation_done done,
                  void *user) {
        struct encrypt *e = calloc(1, sizeof(*e));
        struct disk_request q = { .op = DISK_OP_INSPECT };
        sd_event_source *s = NULL;
        int r;

        if (!e)
                return -ENOMEM;
        e->manager = m;
        e->request = *request;
        memcpy(e->key.expected, request->expected, sizeof(e->key.expected));
        e->who = *who;
        e->secret_fd = -EBADF;
        e->done = done;
        e->user = user;
        random_uuid(e->use_id);
        if (request_is_valid(e)) {
                memcpy(q.device, e->request.device, sizeof(q.device));
                r = disk_child_start(m->children, &q, -EBADF, -EBADF, MANAGER_DISK_TIMEOUT_USEC, on_inspected, e, NULL);
        } else
                r = sd_event_add_defer(m->event, &s, on_refused, e);
        if (r < 0)
                free(e);
        return r < 0 ? -ENOMEM : 0;
}
