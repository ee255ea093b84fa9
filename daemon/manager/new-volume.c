/* SPDX-License-Identifier: Apache-2.0 */
#include "new-volume.h"

#include <fcntl.h>
#include <stdarg.h>
#include <syslog.h>
#include <unistd.h>

#include "device-facts.h"
#include "drill.h"
#include "manager.h"
#include "new-secret.h"
#include "pin.h"

/* ---- what the trail says of it, and its end ---- */

static void start_record(const struct new_volume *v, struct audit_message_record *r, const char *event, bool durable) {
        char uri[KEY_URI_MAX];

        audit_record_start(r, event, v->outcome.code == EXIT_CODE_DONE ? LOG_NOTICE : LOG_WARNING, durable);
        audit_record_add(r, "verb", v->verb->name);
        audit_record_add(r, "drill", drill_of(v->manager, v->name));
        audit_record_add(r, "volume", v->name);
        audit_record_add(r, "uuid", v->made.uuid);
        audit_record_add(r, "use", v->use_id);
        audit_record_add(r, "device", v->device);
        key_uri_format(&v->key.uri, uri, sizeof(uri));
        audit_record_add(r, "key", uri);
        pin_record(r, v->key.spki, v->key.spki_size);
        audit_record_add(r, "secret", v->secret);
        if (*v->answer.code || v->answer.http_status > 0)
                manager_record_reply(r, &v->answer);
        audit_record_add(r, "accept_unsafe_vault", v->accept_unsafe);
        audit_record_add(r, "backup", v->outcome.kept);
        audit_record_add(r, "by", v->who.text);
        audit_record_add(r, "why", v->outcome.message);
}

void new_volume_record(const struct new_volume *v, const char *event) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));

        if (!r)
                return;
        start_record(v, r, event, false);
        manager_record(v->manager, r);
}

void new_volume_end(struct new_volume *v) {
        memcpy(v->outcome.uuid, v->made.uuid, sizeof(v->outcome.uuid));
        v->done(&v->outcome, v->user);
        safe_close(v->secret_fd);
        v->verb->free(v);
}

/* This node takes nothing out of a vault. */
static void say_what_is_left(struct new_volume *v) {
        if (*v->secret)
                outcome_add(&v->outcome, "; secret %s stays in the vault, of use to nobody", v->secret);
}

void new_volume_fail(struct new_volume *v) {
        say_what_is_left(v);
        new_volume_record(v, v->outcome.code == EXIT_CODE_POLICY ? "refused" : "failed");
        v->verb->undo(v);
}

static void fail_as(struct new_volume *v, const struct outcome *o) {
        v->outcome = *o;
        new_volume_fail(v);
}

void new_volume_refuse(struct new_volume *v, enum exit_code code, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        outcome_vset(&v->outcome, code, format, ap);
        va_end(ap);
        new_volume_fail(v);
}

void new_volume_not_listed(struct new_volume *v, int error) {
        new_volume_refuse(v, EXIT_CODE_FAILED, "%s: it could not be entered on the node's list in %s: %s", v->device, TRUST_DIRECTORY,
                          strerror(-error));
}

void new_volume_out_of_memory(struct new_volume *v) {
        new_volume_refuse(v, EXIT_CODE_FAILED, "%s: out of memory", v->device);
}

bool new_volume_has_expected_key(struct new_volume *v, const struct trust_entry *t) {
        const struct trust_key *k = trust_find_key(t, &v->key.uri);

        if (pin_check(NULL, &v->key, k->spki, k->spki_size, t->name, &v->outcome) >= 0)
                return true;
        new_volume_fail(v);
        return false;
}

/* ---- what was made ---- */

const struct disk_wrap *new_volume_wrap(const struct new_volume *v) {
        char uri[KEY_URI_MAX];

        key_uri_format(&v->key.uri, uri, sizeof(uri));
        for (unsigned i = 0; i < v->made.n_wraps; i++)
                if (streq(v->made.wraps[i].key, uri))
                        return v->made.wraps + i;
        return v->made.wraps;
}

void new_volume_fill(const struct new_volume *v, enum disk_op op, struct disk_request *q) {
        *q = (struct disk_request) { .op = op, .role = (uint8_t) v->role };
        snprintf(q->device, sizeof(q->device), "%s", v->device);
        snprintf(q->name, sizeof(q->name), "%s", v->name);
        memcpy(q->uuid, v->made.uuid, sizeof(q->uuid));
        memcpy(q->header_digest, v->made.header_digest, sizeof(q->header_digest));
}

void new_volume_entry(const struct new_volume *v, struct trust_entry *t) {
        const struct proven_key *k = &v->key;
        const struct disk_wrap *w = new_volume_wrap(v);
        struct device_facts facts;

        *t = (struct trust_entry) {
                .role = v->role, .n_keys = 1,
                .keys = { { .key = k->uri, .generation = w->generation, .proof_time = k->time, .spki_size = k->spki_size } },
        };
        *t->keys[0].key.version = 0;
        memcpy(t->uuid, v->made.uuid, sizeof(t->uuid));
        snprintf(t->name, sizeof(t->name), "%s", v->name);
        memcpy(t->digest, v->made.trust_digest, sizeof(t->digest));
        memcpy(t->keys[0].spki, k->spki, k->spki_size);
        memcpy(t->keys[0].proof_request_id, w->proof_request_id, sizeof(w->proof_request_id));
        if (device_facts_read(v->device, &facts) >= 0)
                memcpy(t->serial, facts.serial, sizeof(t->serial));
}

/* ---- the steps, the last one first ---- */

static void on_release_recorded(int error, uint64_t sequence _unused_, void *user) {
        struct new_volume *v = user;

        if (release_may_go_on(v->manager, error, v->device, &v->outcome))
                v->verb->prove(v);
        else
                new_volume_fail(v);
}

static void record_release(struct new_volume *v) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));

        if (r)
                start_record(v, r, "release", true);
        if (release_record(v->manager, r, on_release_recorded, v) < 0)
                new_volume_out_of_memory(v);
}

static void on_unwrapped(const struct vault_reply *y, void *user) {
        struct new_volume *v = user;
        char uri[KEY_URI_MAX];

        v->answer = *y;
        if (y->verdict != VERDICT_GRANTED) {
                key_uri_format(&v->key.uri, uri, sizeof(uri));
                outcome_from_vault(&v->outcome, v->name, uri, y);
                new_volume_fail(v);
        } else if (y->delivered != DISK_W_SIZE)
                new_volume_refuse(v, EXIT_CODE_UNREACHABLE, "%s: the vault unwrapped %u bytes where %u were wrapped", v->device,
                                  y->delivered, DISK_W_SIZE);
        else
                record_release(v);
}

static int ask_to_unwrap(struct new_volume *v, int fd) {
        _cleanup_(freep) struct vault_request *q = calloc(1, sizeof(*q));

        if (!q)
                return -ENOMEM;
        key_proof_request(&v->key, VAULT_OP_UNWRAP, v->use_id, q);
        q->flags = VAULT_FLAG_DELIVER;
        wrap_fill_request(new_volume_wrap(v), v->made.uuid, q);
        v->asked = instant_now();
        return worker_ask(v->manager->worker, q, fd, on_unwrapped, v);
}

static void on_made(const struct disk_reply *y, int fd, void *user) {
        _cleanup_(closep) int write_end = -EBADF;
        struct new_volume *v = user;
        int fds[2];

        safe_close(fd);
        v->secret_fd = safe_close(v->secret_fd);
        if (y->error < 0) {
                outcome_from_disk(&v->outcome, y);
                new_volume_fail(v);
                return;
        }
        v->made = *y;
        if (!v->verb->made(v))
                return;
        if (pipe2(fds, O_CLOEXEC) < 0) {
                new_volume_refuse(v, EXIT_CODE_FAILED, "%s: no pipe: %s", v->device, strerror(errno));
                return;
        }
        v->secret_fd = fds[0];
        write_end = fds[1];
        if (ask_to_unwrap(v, write_end) < 0)
                new_volume_out_of_memory(v);
}

/* s: NULL where the child makes W. */
static void make(struct new_volume *v, const struct new_secret *s) {
        struct disk_request q;
        int fd = -EBADF;

        new_volume_fill(v, 0, &q);
        key_proof_fill(&v->key, &q);
        if (s) {
                memcpy(q.uuid, v->uuid, sizeof(q.uuid));
                new_secret_fill(s, &q);
        }
        v->verb->fill(v, &q, &fd);
        if (disk_child_start(v->manager->children, &q, v->secret_fd, fd, MANAGER_DISK_TIMEOUT_USEC, on_made, v, NULL) < 0)
                new_volume_out_of_memory(v);
}

static void on_new_secret(const struct outcome *o, struct new_secret *s, void *user) {
        struct new_volume *v = user;

        (void) new_secret_name(s, v->uuid, v->secret);
        if (o->code != EXIT_CODE_DONE) {
                fail_as(v, o);
                return;
        }
        v->secret_fd = TAKE_FD(s->fd);
        make(v, s);
}

static void on_proven(const struct outcome *o, const struct proven_key *k, void *user) {
        struct new_volume *v = user;
        const struct new_secret_request n = {
                .key = &v->key, .verb = v->verb->name, .name = v->name, .uuid = v->uuid, .device = v->device, .use_id = v->use_id,
                .who = &v->who,
        };

        v->key = *k;
        v->answer = k->answer;
        if (o->code != EXIT_CODE_DONE) {
                fail_as(v, o);
                return;
        }
        if (!new_secret_is_needed(k)) {
                make(v, NULL);
                return;
        }
        if (!*v->uuid)
                random_uuid(v->uuid);
        if (new_secret_start(v->manager, &n, on_new_secret, v) < 0)
                new_volume_out_of_memory(v);
}

void new_volume_begin(struct new_volume *v, bool name_is_free, bool nothing_lost) {
        const struct key_proof_request p = {
                .subject = v->device, .key = v->key_text, .accept_unsafe = v->accept_unsafe, .use_id = v->use_id,
                .nothing_lost = nothing_lost,
        };

        if (!name_is_free) {
                new_volume_refuse(v, EXIT_CODE_POLICY, "%s: there is another volume of that name on this node's list (\"cmkctl trust list\")",
                                  v->name);
                return;
        }
        new_volume_record(v, "request");
        if (key_proof_start(v->manager, &p, &v->key, on_proven, v) < 0)
                new_volume_out_of_memory(v);
}

/* ---- the beginning ---- */

void new_volume_init(struct new_volume *v, struct manager *m, const struct new_volume_verb *verb, const struct requester *who,
                     operation_done done, void *user) {
        v->manager = m;
        v->verb = verb;
        v->who = *who;
        v->secret_fd = -EBADF;
        v->done = done;
        v->user = user;
        random_uuid(v->use_id);
}

bool new_volume_check_name(struct new_volume *v) {
        if (!volume_name_is_valid(v->name))
                outcome_set(&v->outcome, EXIT_CODE_USAGE, "A volume's name is 1 to 64 of A-Z a-z 0-9 _ . -, and begins with none of . and -");
        return v->outcome.code == EXIT_CODE_DONE;
}

static int on_refused(sd_event_source *s, void *user) {
        sd_event_source_disable_unref(s);
        new_volume_fail(user);
        return 0;
}

int new_volume_start(struct new_volume *v, const struct disk_request *q, bool valid, disk_callback on_looked) {
        sd_event_source *s = NULL;
        int r;

        if (valid)
                r = disk_child_start(v->manager->children, q, -EBADF, -EBADF, MANAGER_DISK_TIMEOUT_USEC, on_looked, v, NULL);
        else
                r = sd_event_add_defer(v->manager->event, &s, on_refused, v);
        return r < 0 ? -ENOMEM : 0;
}
