/* SPDX-License-Identifier: Apache-2.0 */
#include "bus-manager.h"

#include <limits.h>

#include "bus-call.h"
#include "bus.h"
#include "common/base64.h"
#include "device-facts.h"
#include "header-work.h"
#include "key.h"
#include "manager.h"
#include "pin.h"

#define USAGE_ROW "(sssssttss)"
#define PIN_ROW "(ssssst)"

/* Which versions of a key the volumes on the node's list need, or which public keys are pinned for them: of those that are known by their
 * header as it was last seen, of the others by one look at their disk each, one after the other. The answer grows as they are looked at. */

struct usage {
        struct manager *manager;
        sd_bus_message *message, *reply;
        struct key_uri key;            /* host empty: any */
        bool pins;                     /* PinnedKeys, not KeyUsage */
        char (*uuids)[37];             /* of the list as it was */
        size_t n, at;
        struct header_work work;       /* for its INSPECT */
};

static void go_on(struct usage *u);

static void usage_free(struct usage *u) {
        sd_bus_message_unref(u->reply);
        sd_bus_message_unref(u->message);
        free(u->uuids);
        free(u);
}

static bool is_wanted(const struct usage *u, const struct key_uri *key) {
        return !*u->key.host || (key_uri_same_key(&u->key, key) && (!*u->key.version || !*key->version ||
                                                                    streq(u->key.version, key->version)));
}

/* The key, where a volume that is open has it. */
static const struct key *find_key(const struct volume *v, const char *uri) {
        for (unsigned i = 0; v && i < v->n_wraps; i++)
                if (v->wraps[i]->key && streq(v->wraps[i]->uri, uri))
                        return v->wraps[i]->key;
        return NULL;
}

struct row {
        const char *key, *use;
        uint64_t generation, proof_time;
        const uint8_t *pin;
        size_t pin_size;
        char digest[2 * STORED_DIGEST_SIZE + 1];       /* of a wrapped key that the vault keeps; else empty */
};

static int append_pin(struct usage *u, const struct trust_entry *t, const struct row *row) {
        char digest[KEY_DIGEST_SIZE];

        if (streq(row->use, "left over"))
                return 0;
        pin_digest(row->pin, row->pin_size, digest);
        return sd_bus_message_append(u->reply, PIN_ROW, t->uuid, t->name, row->key, row->use, digest, row->proof_time);
}

static int append(struct usage *u, const struct trust_entry *t, const struct row *row) {
        const struct volume *v = manager_volume_by_uuid(u->manager, t->uuid);
        const struct key *k = find_key(v, row->key);

        if (u->pins)
                return append_pin(u, t, row);
        return sd_bus_message_append(u->reply, USAGE_ROW, t->uuid, t->name, v ? volume_state_to_string(v->state) : "closed", row->key, row->use,
                                     row->generation, k ? k->attributes.expires : UINT64_C(0), k ? k->follow.newest : "", row->digest);
}

/* What is on the list and in the header is needed; in the header alone, left over, and not pinned. */
static int append_header(struct usage *u, const struct trust_entry *t, const struct disk_reply *h) {
        struct wrap_choice c = {};
        char why[600];
        int r = 0;

        (void) wrap_choose(h, t, true, &c, why);
        for (unsigned i = 0; r >= 0 && i < h->n_wraps; i++) {
                const struct disk_wrap *w = h->wraps + i;
                struct row row = {
                        .key = w->key, .use = "left over", .generation = w->generation, .proof_time = w->proof_time, .pin = w->spki, .pin_size = w->spki_size,
                };
                struct key_uri key;

                for (unsigned j = 0; j < c.n; j++)
                        if (c.at[j] == i)
                                row.use = "needed";
                if (w->stored)
                        hex_encode(w->wrapped, STORED_DIGEST_SIZE, row.digest);
                if (key_uri_parse(w->key, &key, NULL) >= 0 && is_wanted(u, &key))
                        r = append(u, t, &row);
        }
        return MIN_OF(r, 0);
}

/* Nobody can say which version, only which key. */
static int append_unseen(struct usage *u, const struct trust_entry *t) {
        char uri[KEY_URI_MAX];
        int r = 0;

        for (unsigned i = 0; r >= 0 && i < t->n_keys; i++) {
                const struct trust_key *k = t->keys + i;
                const struct row row = {
                        .key = uri, .use = "not here", .generation = k->generation, .proof_time = k->proof_time, .pin = k->spki, .pin_size = k->spki_size,
                };

                if (!is_wanted(u, &k->key))
                        continue;
                key_uri_format(&k->key, uri, sizeof(uri));
                r = append(u, t, &row);
        }
        return MIN_OF(r, 0);
}

static void fail(struct usage *u, int error) {
        reply_error(u->message, EXIT_CODE_FAILED, "What volumes need cannot be said: %s", strerror(-error));
        usage_free(u);
}

static void on_inspected(const struct disk_reply *y, int fd, void *user) {
        struct usage *u = user;
        const struct trust_entry *t = trust_find_uuid(u->manager->trust, u->uuids[u->at]);
        int r = 0;

        safe_close(fd);
        if (t)
                r = y->error >= 0 && streq(y->uuid, t->uuid) ? append_header(u, t, y) : append_unseen(u, t);
        u->at++;
        if (r < 0)
                fail(u, r);
        else
                go_on(u);
}

/* Returns 1 where it is being looked at, 0 where all is said of it, or a negative errno. */
static int look(struct usage *u, const struct trust_entry *t) {
        const struct volume *v = manager_volume_by_uuid(u->manager, t->uuid);

        if (v && volume_is_open(v) && v->header.n_wraps > 0)
                return append_header(u, t, &v->header);
        header_work_resolve(&u->work, t->uuid);
        if (!device_is_there(u->work.device))
                return append_unseen(u, t);
        return header_work_inspect(&u->work, on_inspected, u) < 0 ? -ENOMEM : 1;
}

static void go_on(struct usage *u) {
        int r = 0;

        for (; r == 0 && u->at < u->n; u->at += r == 0) {
                const struct trust_entry *t = trust_find_uuid(u->manager->trust, u->uuids[u->at]);

                if (t && !t->drill)
                        r = look(u, t);
        }
        if (r > 0)
                return;
        if (r >= 0)
                r = sd_bus_message_close_container(u->reply);
        if (r >= 0)
                r = sd_bus_send(NULL, u->reply, NULL);
        if (r < 0)
                fail(u, r);
        else
                usage_free(u);
}

static struct usage *usage_new(struct manager *m, sd_bus_message *message, const struct key_uri *key, bool pins) {
        struct usage *u = calloc(1, sizeof(*u));

        if (!u)
                return NULL;
        u->manager = u->work.manager = m;
        u->message = sd_bus_message_ref(message);
        u->key = *key;
        u->pins = pins;
        u->uuids = calloc(m->trust->n_entries + 1, sizeof(*u->uuids));
        if (u->uuids && sd_bus_message_new_method_return(message, &u->reply) >= 0 &&
            sd_bus_message_open_container(u->reply, 'a', pins ? PIN_ROW : USAGE_ROW) >= 0) {
                for (size_t i = 0; i < m->trust->n_entries; i++)
                        memcpy(u->uuids[u->n++], m->trust->entries[i].uuid, sizeof(*u->uuids));
                return u;
        }
        usage_free(u);
        return NULL;
}

static int begin_usage(sd_bus_message *message, void *user, bool pins) {
        struct key_uri key = {};
        struct usage *u;
        const char *text, *why;
        int r;

        r = sd_bus_message_read(message, "s", &text);
        if (r < 0)
                return r;
        if (!ready(user, message, &r))
                return r;
        if (*text && key_uri_parse(text, &key, &why) < 0)
                return reply_error(message, EXIT_CODE_USAGE, "%s is no key: %s", text, why);
        u = usage_new(user, message, &key, pins);
        if (!u)
                return reply_error(message, EXIT_CODE_FAILED, "Out of memory");
        go_on(u);
        return 1;
}

int bus_method_key_usage(sd_bus_message *message, void *user, sd_bus_error *e _unused_) {
        return begin_usage(message, user, false);
}

int bus_method_pinned_keys(sd_bus_message *message, void *user, sd_bus_error *e _unused_) {
        return begin_usage(message, user, true);
}
