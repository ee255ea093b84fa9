/* SPDX-License-Identifier: Apache-2.0 */

/* From a device to a mapping, and from a held volume back to one that works:
 *
 *   INSPECT (child) ─► list, allow-list, generation ─► record "request" ─► unwrap into a pipe (worker)
 *      ─► record "release", durable ─► ACTIVATE or RESUME (child, reads the pipe) ─► breaker armed, key polled
 *
 * Secret W goes from the worker into the pipe and from there into the child: it is never in this process. */

#include <fcntl.h>
#include <limits.h>
#include <syslog.h>
#include <unistd.h>

#include "bus.h"
#include "common/log.h"
#include "disk-child.h"
#include "key.h"
#include "manager.h"
#include "operation.h"

#define INSPECT_TIMEOUT_USEC (60 * USEC_PER_SEC)

struct attach {
        struct manager *manager;
        struct volume *volume;           /* ours from the moment it is ATTACHING or RESUMING */
        enum volume_state before;        /* to go back to when it fails */
        bool created;                    /* the volume was not in the list before */
        bool read_only;
        char device[257];
        char name_wanted[65];            /* asked for by name or UUID: the disk must be that one */
        struct requester who;
        struct disk_reply header;
        const struct vault_config *vault;
        int secret_fd;                   /* read end */
        struct instant issued;           /* when the unwrap was asked for */
        struct vault_reply answer;       /* of the unwrap, once there is one */
        bool answered;
        operation_done done;
        void *user;
};

static struct attach *attach_free(struct attach *a) {
        if (!a)
                return NULL;
        safe_close(a->secret_fd);
        free(a);
        return NULL;
}

static void end(struct attach *a, struct outcome *o) {
        struct volume *v = a->volume;

        /* A teardown may have overtaken us: then the state is its business. */
        if (v && o->code != EXIT_CODE_DONE && (v->state == VOLUME_ATTACHING || v->state == VOLUME_RESUMING))
                volume_set_state(v, a->before);
        o->volume = v;
        a->done(o, a->user);
        if (v && a->created && v->state == VOLUME_CLOSED)
                manager_volume_forget(a->manager, v);
        attach_free(a);
}

/* Ends with an outcome that is a refusal or a failure, and writes it down. */
static void fail(struct attach *a, struct outcome *o, const char *event) {
        struct audit_message_record *r = malloc(sizeof(*r));

        if (r) {
                manager_record_start(r, a->volume, event, LOG_WARNING, false);
                if (!a->volume) {
                        audit_record_add(r, "uuid", a->header.uuid);
                        audit_record_add(r, "claimed_name", a->header.name);
                        audit_record_add(r, "key", a->header.key);
                }
                audit_record_add(r, "device", a->device);
                audit_record_add(r, "by", a->who.text);
                audit_record_add(r, "why", o->message);
                audit_record_addf(r, "exit_code", "%d", o->code);
                if (a->answered)
                        manager_record_reply(r, &a->answer);
                manager_record(a->manager, r);
                free(r);
        }
        end(a, o);
}

static void on_active(const struct disk_reply *y, int fd, void *user) {
        struct attach *a = user;
        struct volume *v = a->volume;
        struct audit_message_record *r;
        struct outcome o = {};

        safe_close(fd);
        a->secret_fd = safe_close(a->secret_fd);
        if (y->error < 0) {
                outcome_from_disk(&o, y);
                fail(a, &o, o.code == EXIT_CODE_POLICY ? "refused" : "failed");
                return;
        }
        if (v->state != VOLUME_ATTACHING && v->state != VOLUME_RESUMING) {
                outcome_set(&o, EXIT_CODE_REVOKED, "%s: it was cut meanwhile", v->name);
                fail(a, &o, "failed");
                return;
        }
        if (a->before != VOLUME_HELD) {
                v->dev_major = y->dev_major;
                v->dev_minor = y->dev_minor;
                v->sectors = y->sectors;
        }
        volume_set_state(v, VOLUME_ATTACHED);
        r = malloc(sizeof(*r));
        if (r) {
                manager_record_start(r, v, a->before == VOLUME_HELD ? "resumed" : "attached", LOG_NOTICE, false);
                audit_record_add(r, "device", v->device);
                audit_record_addf(r, "dev", "%u:%u", v->dev_major, v->dev_minor);
                audit_record_add(r, "request_id", a->answer.request_id);
                manager_record(a->manager, r);
                free(r);
        }
        key_granted(v->key, a->issued);
        key_evaluate_volume(v);
        o.changed = true;
        end(a, &o);
}

static void on_recorded(int error, uint64_t sequence _unused_, void *user) {
        struct attach *a = user;
        struct manager *m = a->manager;
        struct disk_request q;
        struct outcome o = {};
        const struct trust_entry *t;

        if (error < 0 && m->config->on_trail_failure != TRAIL_CONTINUE) {
                outcome_set(&o, EXIT_CODE_FAILED,
                            "%s: the release could not be written to the audit trail (%s): no audit, no key. See "
                            "\"systemctl status cmkd-audit\" and the space left in /var/log/cmkd",
                            a->volume->name, strerror(-error));
                fail(a, &o, "failed");
                return;
        }
        volume_disk_request(a->volume, a->before == VOLUME_HELD ? DISK_OP_RESUME : DISK_OP_ACTIVATE, &q);
        if (a->read_only)
                q.flags |= DISK_FLAG_READ_ONLY;
        t = trust_find_uuid(m->trust, a->volume->uuid);
        if (t)
                memcpy(q.trust_digest, t->digest, sizeof(q.trust_digest));
        else
                q.flags |= DISK_FLAG_UNTRUSTED_OK;
        if (disk_child_start(m->event, &q, a->secret_fd, -EBADF, MANAGER_DISK_TIMEOUT_USEC, on_active, a, NULL) < 0) {
                outcome_set(&o, EXIT_CODE_FAILED, "%s: out of memory", a->volume->name);
                end(a, &o);
        }
}

static void on_unwrapped(const struct vault_reply *y, void *user) {
        struct attach *a = user;
        struct audit_message_record *r;
        struct outcome o = {};

        a->answer = *y;
        a->answered = true;
        if (y->verdict != VERDICT_GRANTED || y->delivered != DISK_W_SIZE) {
                if (y->verdict == VERDICT_GRANTED)
                        a->answer.verdict = VERDICT_BROKEN;
                outcome_from_vault(&o, a->volume->name, a->header.key, &a->answer);
                fail(a, &o, "verdict");
                return;
        }
        r = malloc(sizeof(*r));
        if (!r) {
                outcome_set(&o, EXIT_CODE_FAILED, "%s: out of memory", a->volume->name);
                end(a, &o);
                return;
        }
        manager_record_start(r, a->volume, "release", LOG_NOTICE, true);
        manager_record_reply(r, y);
        audit_record_add(r, "by", a->who.text);
        if (audit_write(a->manager->audit, r, MANAGER_RELEASE_TIMEOUT_USEC, on_recorded, a) < 0) {
                outcome_set(&o, EXIT_CODE_FAILED, "%s: out of memory", a->volume->name);
                end(a, &o);
        }
        free(r);
}

static void write_request_record(struct attach *a) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));

        if (!r)
                return;
        manager_record_start(r, a->volume, "request", LOG_INFO, false);
        audit_record_add(r, "verb", a->before == VOLUME_HELD ? "resume" : "attach");
        audit_record_add(r, "device", a->device);
        audit_record_add(r, "vault", a->vault->name);
        audit_record_addf(r, "generation", "%llu", (unsigned long long) a->header.generation);
        audit_record_add(r, "by", a->who.text);
        manager_record(a->manager, r);
}

static int unwrap(struct attach *a, const struct key_uri *u) {
        _cleanup_(freep) struct vault_request *q = calloc(1, sizeof(*q));
        _cleanup_(closep) int write_end = -EBADF;
        int fds[2];

        if (!q)
                return -ENOMEM;
        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        a->secret_fd = fds[0];
        write_end = fds[1];
        q->op = VAULT_OP_UNWRAP;
        q->flags = VAULT_FLAG_DELIVER;
        q->key = *u;
        q->timeout_ms = (uint32_t) (a->vault->timeout_usec / USEC_PER_MSEC);
        snprintf(q->vault, sizeof(q->vault), "%s", a->vault->name);
        snprintf(q->algorithm, sizeof(q->algorithm), "%s", a->header.algorithm);
        memcpy(q->client_request_id, a->volume->use_id, sizeof(q->client_request_id));
        memcpy(q->blob, a->header.wrapped, a->header.wrapped_size);
        q->blob_size = a->header.wrapped_size;
        a->issued = instant_now();
        return worker_ask(a->manager->worker, q, write_end, on_unwrapped, a);
}

/* What the node's list says about the disk; with Trust=allowed-keys a disk may be unknown. Returns 0 with name and role,
 * or fills the outcome. */
static int check_identity(struct attach *a, struct outcome *o, const char **ret_name, enum role *ret_role) {
        const struct disk_reply *h = &a->header;
        const struct trust_entry *t = trust_find_uuid(a->manager->trust, h->uuid);

        if (!t) {
                if (a->manager->config->trust != TRUST_ALLOWED_KEYS) {
                        outcome_set(o, EXIT_CODE_POLICY, "%s: volume %s is not on this node's list; it was not made or "
                                    "enrolled here, and Trust=listed", a->device, h->uuid);
                        return -EPERM;
                }
                if (trust_find_name(a->manager->trust, h->name)) {
                        outcome_set(o, EXIT_CODE_POLICY, "%s: it calls itself %s, which is the name of another volume on "
                                    "this node's list", a->device, h->name);
                        return -EPERM;
                }
                *ret_name = h->name;
                *ret_role = (enum role) h->role;
                return 0;
        }
        if (*a->name_wanted && !streq(a->name_wanted, t->name) && !streq(a->name_wanted, t->uuid)) {
                outcome_set(o, EXIT_CODE_POLICY, "%s holds volume %s (%s), not %s", a->device, t->name, t->uuid, a->name_wanted);
                return -EPERM;
        }
        if (h->generation < t->generation) {
                outcome_set(o, EXIT_CODE_POLICY, "%s: its header is of generation %llu, this node has seen %llu: an old "
                            "header was put back", t->name, (unsigned long long) h->generation,
                            (unsigned long long) t->generation);
                return -EPERM;
        }
        if (h->spki_size != t->spki_size || memcmp(h->spki, t->spki, t->spki_size) != 0) {
                outcome_set(o, EXIT_CODE_POLICY, "%s: the public key in its token is not the one that was pinned when it "
                            "was enrolled", t->name);
                return -EPERM;
        }
        *ret_name = t->name;
        *ret_role = t->role;
        return 0;
}

/* Enters the volume into the manager's list, or finds it there and sees whether it may be attached. */
static int claim_volume(struct attach *a, const char *name, enum role role, struct outcome *o) {
        struct manager *m = a->manager;
        struct volume *v = manager_volume_by_uuid(m, a->header.uuid);
        const char *why;
        int r;

        if (v) {
                r = volume_may_attach(v, &why);
                if (r == -EALREADY && streq(v->device, a->device)) {
                        o->volume = v;
                        return r;
                }
                if (r < 0) {
                        bool second = !streq(v->device, a->device);

                        outcome_set(o, second ? EXIT_CODE_POLICY : EXIT_CODE_BUSY,
                                    second ? "%s: volume %s is in use from %s: a second disk with its UUID is refused"
                                           : "%s: volume %s: %s", a->device, v->name, second ? v->device : why);
                        return -EBUSY;
                }
        } else {
                r = manager_volume_add(m, a->header.uuid, name, role, &v);
                if (r < 0) {
                        outcome_set(o, r == -EEXIST ? EXIT_CODE_POLICY : EXIT_CODE_FAILED, "%s: %s", a->device,
                                    r == -EEXIST ? "a volume of this name is known already" : strerror(-r));
                        return r;
                }
                a->created = true;
        }
        a->before = v->state;
        a->volume = v;
        snprintf(v->device, sizeof(v->device), "%s", a->device);
        return volume_set_state(v, VOLUME_ATTACHING);
}

/* The volume is ours: ties it to its key and asks the vault. */
static void request_key(struct attach *a, const struct key_uri *u) {
        struct outcome o = {};
        int r;

        a->volume->header = a->header;
        random_uuid(a->volume->use_id);
        manager_volume_policy(a->manager, a->volume);
        r = key_bind(a->manager, a->volume, u, a->vault);
        if (r >= 0)
                r = unwrap(a, u);
        if (r < 0) {
                outcome_set(&o, EXIT_CODE_FAILED, "%s: %s", a->volume->name, strerror(-r));
                fail(a, &o, "failed");
                return;
        }
        write_request_record(a);
}

static int check_key(struct attach *a, struct key_uri *u, struct outcome *o) {
        const char *why;

        if (key_uri_parse(a->header.key, u, &why) < 0) {
                outcome_set(o, EXIT_CODE_POLICY, "%s: its token does not name a key: %s", a->device, why);
                return -EINVAL;
        }
        a->vault = config_find_vault(a->manager->config, u, &why);
        if (!a->vault) {
                outcome_set(o, EXIT_CODE_POLICY, "%s: key %s is refused: %s. Allowed vaults are in /etc/cmkd/cmkd.conf, "
                            "[Vault NAME]", a->device, a->header.key, why);
                return -EPERM;
        }
        return 0;
}

static void on_inspected(const struct disk_reply *y, int fd, void *user) {
        struct attach *a = user;
        struct outcome o = {};
        struct key_uri u;
        const char *name = NULL;
        enum role role = ROLE_DATA;

        safe_close(fd);
        if (y->error < 0) {
                outcome_from_disk(&o, y);
                fail(a, &o, "refused");
                return;
        }
        a->header = *y;
        if (check_identity(a, &o, &name, &role) < 0 || check_key(a, &u, &o) < 0) {
                fail(a, &o, "refused");
                return;
        }
        if (a->volume) {           /* held: it is ours already */
                request_key(a, &u);
                return;
        }
        switch (claim_volume(a, name, role, &o)) {
        case 0:
                request_key(a, &u);
                break;
        case -EALREADY:
                a->done(&o, a->user);
                attach_free(a);
                break;
        default:
                fail(a, &o, "refused");
        }
}

static struct attach *attach_new(struct manager *m, const struct requester *who, operation_done done, void *user) {
        struct attach *a = calloc(1, sizeof(*a));

        if (!a)
                return NULL;
        a->manager = m;
        a->secret_fd = -EBADF;
        a->who = *who;
        a->done = done;
        a->user = user;
        return a;
}

static int inspect(struct attach *a) {
        struct disk_request q = { .op = DISK_OP_INSPECT };

        memcpy(q.device, a->device, sizeof(q.device));
        return disk_child_start(a->manager->event, &q, -EBADF, -EBADF, INSPECT_TIMEOUT_USEC, on_inspected, a, NULL);
}

/* A path stays one, with its symlinks followed once, here: later steps all speak of the same device. */
static void resolve(struct attach *a, const char *what) {
        const struct trust_entry *t = NULL;
        char link[257], real[PATH_MAX];

        if (*what != '/') {
                t = trust_find_name(a->manager->trust, what);
                if (!t)
                        t = trust_find_uuid(a->manager->trust, what);
                snprintf(a->name_wanted, sizeof(a->name_wanted), "%s", what);
        }
        snprintf(link, sizeof(link), t || *what != '/' ? "/dev/disk/by-uuid/%s" : "%s", t ? t->uuid : what);
        if (!realpath(link, real) || strlen(real) >= sizeof(a->device))
                snprintf(real, sizeof(real), "%s", link);
        snprintf(a->device, sizeof(a->device), "%s", real);
}

int attach_start(struct manager *m, const char *what, bool read_only, const struct requester *who,
                 operation_done done, void *user) {
        struct attach *a = attach_new(m, who, done, user);
        int r;

        if (!a)
                return -ENOMEM;
        a->read_only = read_only;
        resolve(a, what);
        r = inspect(a);
        if (r < 0)
                attach_free(a);
        return r;
}

int resume_start(struct manager *m, struct volume *v, const struct requester *who, operation_done done, void *user) {
        struct attach *a = attach_new(m, who, done, user);
        int r;

        if (!a)
                return -ENOMEM;
        a->volume = v;
        a->before = v->state;
        memcpy(a->device, v->device, sizeof(a->device));
        r = volume_set_state(v, VOLUME_RESUMING);
        if (r >= 0) {
                r = inspect(a);
                if (r < 0)
                        (void) volume_set_state(v, a->before);
        }
        if (r < 0)
                attach_free(a);
        return r;
}
