/* SPDX-License-Identifier: Apache-2.0 */
#include "new-secret.h"

#include <fcntl.h>
#include <stdarg.h>
#include <syslog.h>
#include <unistd.h>

#include "common/algorithm.h"
#include "drill.h"
#include "manager.h"
#include "release-record.h"

struct making {
        struct manager *manager;
        struct proven_key key;
        char verb[16], name[65], uuid[37], device[257], use_id[37];
        struct requester who;
        struct new_secret secret;
        new_secret_done done;
        void *user;
};

static struct making *making_free(struct making *g) {
        if (!g)
                return NULL;
        safe_close(g->secret.fd);
        free(g);
        return NULL;
}

static void end(struct making *g, const struct outcome *o) {
        g->done(o, &g->secret, g->user);
        making_free(g);
}

static void _printf_(3, 4) refuse(struct making *g, enum exit_code code, const char *format, ...) {
        struct outcome o = {};
        va_list ap;

        va_start(ap, format);
        outcome_vset(&o, code, format, ap);
        va_end(ap);
        end(g, &o);
}

/* False: this has ended. */
static bool granted(struct making *g, const struct vault_reply *y) {
        struct outcome o = {};
        char uri[KEY_URI_MAX];

        if (y->verdict == VERDICT_GRANTED)
                return true;
        key_uri_format(&g->key.uri, uri, sizeof(uri));
        outcome_from_vault(&o, g->name, uri, y);
        end(g, &o);
        return false;
}

static void on_recorded(int error, uint64_t sequence _unused_, void *user) {
        struct outcome o = {};
        struct making *g = user;

        (void) release_may_go_on(g->manager, error, g->name, &o);
        end(g, &o);
}

static void record_release(struct making *g, const struct vault_reply *y) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));
        char uri[KEY_URI_MAX], secret[STORED_NAME_SIZE];

        if (r) {
                key_uri_format(&g->key.uri, uri, sizeof(uri));
                audit_record_start(r, "release", LOG_NOTICE, true);
                audit_record_add(r, "verb", g->verb);
                audit_record_add(r, "drill", drill_of(g->manager, g->name));
                audit_record_add(r, "volume", g->name);
                audit_record_add(r, "uuid", g->uuid);
                audit_record_add(r, "use", g->use_id);
                audit_record_add(r, "device", g->device);
                audit_record_add(r, "key", uri);
                audit_record_add(r, "secret", new_secret_name(&g->secret, g->uuid, secret));
                manager_record_reply(r, y);
                audit_record_add(r, "by", g->who.text);
        }
        if (release_record(g->manager, r, on_recorded, g) < 0)
                refuse(g, EXIT_CODE_FAILED, "%s: out of memory", g->name);
}

static void on_unwrapped(const struct vault_reply *y, void *user) {
        struct making *g = user;

        if (!granted(g, y))
                return;
        if (y->delivered != DISK_W_SIZE)
                refuse(g, EXIT_CODE_UNREACHABLE, "%s: the vault unwrapped %u bytes where %u were wrapped", g->name, y->delivered,
                       DISK_W_SIZE);
        else
                record_release(g, y);
}

/* A request about this volume's W. */
static struct vault_request *new_request(const struct making *g, enum vault_op op) {
        struct vault_request *q = calloc(1, sizeof(*q));

        if (!q)
                return NULL;
        key_proof_request(&g->key, op, g->use_id, q);
        memcpy(q->volume, g->uuid, sizeof(q->volume));
        q->stored = g->secret.stored;
        return q;
}

static int unwrap(struct making *g) {
        _cleanup_(freep) struct vault_request *q = new_request(g, VAULT_OP_UNWRAP);
        _cleanup_(closep) int write_end = -EBADF;
        int fds[2];

        if (!q)
                return -ENOMEM;
        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        g->secret.fd = fds[0];
        write_end = fds[1];
        q->flags = VAULT_FLAG_DELIVER;
        if (q->stored)
                memcpy(q->digest, g->secret.wrapped, sizeof(q->digest));
        else {
                memcpy(q->blob, g->secret.wrapped, g->secret.wrapped_size);
                q->blob_size = g->secret.wrapped_size;
        }
        return worker_ask(g->manager->worker, q, write_end, on_unwrapped, g);
}

static void on_made(const struct vault_reply *y, void *user) {
        struct making *g = user;
        size_t wanted = g->secret.stored ? STORED_DIGEST_SIZE : DISK_W_SIZE + algorithm_overhead(g->key.algorithm);
        int r;

        if (!granted(g, y))
                return;
        if (y->blob_size != wanted) {
                refuse(g, EXIT_CODE_UNREACHABLE, "%s: the vault did not wrap as keys of its type do", g->name);
                return;
        }
        memcpy(g->secret.wrapped, y->blob, y->blob_size);
        g->secret.wrapped_size = y->blob_size;
        r = unwrap(g);
        if (r < 0)
                refuse(g, EXIT_CODE_FAILED, "%s: %s", g->name, strerror(-r));
}

int new_secret_start(struct manager *m, const struct new_secret_request *q, new_secret_done done, void *user) {
        _cleanup_(freep) struct vault_request *v = NULL;
        struct making *g = calloc(1, sizeof(*g));
        int r = -ENOMEM;

        if (!g)
                return -ENOMEM;
        g->manager = m;
        g->key = *q->key;
        g->who = *q->who;
        g->secret.fd = -EBADF;
        g->secret.stored = q->key->stored;
        g->done = done;
        g->user = user;
        snprintf(g->verb, sizeof(g->verb), "%s", q->verb);
        snprintf(g->name, sizeof(g->name), "%s", q->name);
        snprintf(g->uuid, sizeof(g->uuid), "%s", q->uuid);
        snprintf(g->device, sizeof(g->device), "%s", q->device);
        snprintf(g->use_id, sizeof(g->use_id), "%s", q->use_id);
        v = new_request(g, VAULT_OP_WRAP_NEW);
        if (v)
                r = worker_ask(m->worker, v, -EBADF, on_made, g);
        if (r < 0)
                making_free(g);
        return r < 0 ? -ENOMEM : 0;
}

bool new_secret_is_needed(const struct proven_key *k) {
        return k->stored || algorithm_is_symmetric(k->algorithm);
}

const char *new_secret_name(const struct new_secret *s, const char uuid[static 37], char buf[static STORED_NAME_SIZE]) {
        if (!s->stored || s->wrapped_size == 0)
                return NULL;
        stored_key_name(uuid, s->wrapped, buf);
        return buf;
}

void new_secret_fill(const struct new_secret *s, struct disk_request *q) {
        if (s->stored)
                q->flags |= DISK_FLAG_STORED;
        memcpy(q->wrapped, s->wrapped, s->wrapped_size);
        q->wrapped_size = s->wrapped_size;
}
