/* SPDX-License-Identifier: Apache-2.0 */
#include "issued.h"

#define STARTS_MAX 4096u

/* Ids are random: their first bytes are as good as a hash. What somebody made up on purpose costs time, not memory. */
static size_t slot_of(const struct issued_id *ids, size_t n_slots, const uint8_t *id) {
        uint64_t h;
        size_t i;

        memcpy(&h, id, sizeof(h));
        h *= UINT64_C(0x9e3779b97f4a7c15);
        for (i = (size_t) (h >> 20) & (n_slots - 1); ids[i].usec != 0; i = (i + 1) & (n_slots - 1))
                if (memcmp(ids[i].id, id, UUID_BYTES) == 0)
                        break;
        return i;
}

static int make_room(struct issued *t) {
        size_t n = t->n_slots > 0 ? t->n_slots * 2 : 1024;
        struct issued_id *bigger;

        if (t->n_ids * 2 < t->n_slots)
                return 0;
        if (t->n_ids >= ISSUED_IDS_MAX)
                return -E2BIG;
        bigger = calloc(n, sizeof(*bigger));
        if (!bigger)
                return -ENOMEM;
        for (size_t i = 0; i < t->n_slots; i++)
                if (t->ids[i].usec != 0)
                        bigger[slot_of(bigger, n, t->ids[i].id)] = t->ids[i];
        free(t->ids);
        t->ids = bigger;
        t->n_slots = n;
        return 0;
}

static int add_id(struct issued *t, const char *text, enum issued_kind kind, uint16_t key, bool granted, const struct record *r) {
        uint8_t id[UUID_BYTES];
        struct issued_id *at;
        int k;

        if (!text || uuid_bytes(text, id) < 0)
                return 0;
        k = make_room(t);
        if (k < 0)
                return k;
        at = t->ids + slot_of(t->ids, t->n_slots, id);
        if (at->usec == 0) {
                *at = (struct issued_id) { .kind = (uint8_t) kind, .key = key, .usec = MAX_OF(r->realtime_usec, UINT64_C(1)),
                                           .sequence = r->sequence };
                memcpy(at->id, id, sizeof(at->id));
                t->n_ids++;
        }
        if (granted) {
                at->expected++;
                at->usec = MAX_OF(r->realtime_usec, UINT64_C(1));
                at->sequence = r->sequence;
        }
        if (key < ISSUED_KEYS_MAX)
                at->key = key;
        return 0;
}

static int add_ids(struct issued *t, const char *list, uint16_t key, bool granted, const struct record *r) {
        int k = 0;

        for (const char *p = strempty(list); k >= 0 && *p; p += strspn(p, " ")) {
                char text[40];
                size_t n = strcspn(p, " ");

                snprintf(text, sizeof(text), "%.*s", (int) MIN_OF(n, sizeof(text)), p);
                k = add_id(t, text, ISSUED_POLL, key, granted, r);
                p += n;
        }
        return k;
}

static int key_index(struct issued *t, const char *text, uint16_t *ret) {
        struct issued_key k = {}, *bigger;

        *ret = ISSUED_KEYS_MAX;
        if (!text || vault_key_split(text, k.host, k.mount, k.name) < 0)
                return 0;
        for (size_t i = 0; i < t->n_keys; i++)
                if (streq(t->keys[i].host, k.host) && streq(t->keys[i].mount, k.mount) && streq(t->keys[i].name, k.name)) {
                        *ret = (uint16_t) i;
                        return 0;
                }
        if (t->n_keys >= ISSUED_KEYS_MAX) {
                t->more_keys++;
                return 0;
        }
        bigger = reallocarray(t->keys, t->n_keys + 1, sizeof(*bigger));
        if (!bigger)
                return -ENOMEM;
        t->keys = bigger;
        snprintf(k.text, sizeof(k.text), "%s", text);
        t->has_pseudonyms = t->has_pseudonyms || *k.name == '~';
        t->keys[t->n_keys] = k;
        *ret = (uint16_t) t->n_keys++;
        return 0;
}

static int add_start(struct issued *t, uint64_t usec) {
        uint64_t *bigger;

        if (t->n_starts >= STARTS_MAX)
                return 0;
        bigger = reallocarray(t->starts, t->n_starts + 1, sizeof(*bigger));
        if (!bigger)
                return -ENOMEM;
        t->starts = bigger;
        t->starts[t->n_starts++] = usec;
        return 0;
}

/* Mostly behind the last one: of several trails, and where a clock was set back, somewhere before it. */
static int add_polled(struct issued_key *k, uint64_t usec) {
        size_t i = k->n_polled;

        if ((i & (i - 1)) == 0) {
                uint64_t *bigger = reallocarray(k->polled, i > 0 ? i * 2 : 1, sizeof(*bigger));

                if (!bigger)
                        return -ENOMEM;
                k->polled = bigger;
        }
        for (; i > 0 && k->polled[i - 1] > usec; i--)
                k->polled[i] = k->polled[i - 1];
        k->polled[i] = usec;
        k->n_polled++;
        return 0;
}

static bool opens(const char *verb) {
        static const char *const verbs[] = { "attach", "resume", "claim", "release" };

        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                if (streq(verbs[i], verb))
                        return true;
        return false;
}

static void mark_proves(struct issued *t, const char *use) {
        uint8_t id[UUID_BYTES];
        struct issued_id *at = uuid_bytes(use, id) >= 0 ? issued_find(t, id) : NULL;

        if (at)
                at->proves = true;
}

int issued_add(struct issued *t, const struct record *r) {
        bool granted = streq(r->event, "release") && streq_ptr(record_field(r, "verdict"), "GRANTED");
        const char *verb = record_field(r, "verb"), *use = record_field(r, "use");
        uint16_t key;
        int k;

        t->records++;
        if (t->first_usec == 0 || r->realtime_usec < t->first_usec)
                t->first_usec = r->realtime_usec;
        t->last_usec = MAX_OF(t->last_usec, r->realtime_usec);
        k = anchors_add(&t->anchors, r->hash, r->sequence, r->realtime_usec);
        if (k < 0 || r->source != RECORD_DAEMON)
                return k;
        if (streq(r->event, "started"))
                return add_start(t, r->realtime_usec);
        k = key_index(t, record_field(r, "key"), &key);
        if (k >= 0 && streq(r->event, "polls")) {
                k = add_ids(t, record_field(r, "ids"), key, true, r);
                if (k >= 0)
                        k = add_ids(t, record_field(r, "ids_other"), key, false, r);
                if (k >= 0 && key < ISSUED_KEYS_MAX)
                        k = add_polled(t->keys + key, r->realtime_usec);
        }
        if (k >= 0)
                k = add_id(t, use, ISSUED_USE, key, granted, r);
        /* Making or changing a volume has new keys proven as well, under the same id */
        if (k >= 0 && use && verb && !opens(verb))
                mark_proves(t, use);
        if (k >= 0)
                k = add_id(t, record_field(r, "request_id"), ISSUED_VAULTS, key, granted, r);
        return k;
}

struct issued_id *issued_find(const struct issued *t, const uint8_t id[static UUID_BYTES]) {
        size_t i;

        if (t->n_slots == 0)
                return NULL;
        i = slot_of(t->ids, t->n_slots, id);
        return t->ids[i].usec != 0 ? t->ids + i : NULL;
}

struct issued_key *issued_key_of(const struct issued *t, const struct vault_entry *e) {
        for (size_t i = 0; i < t->n_keys; i++) {
                struct issued_key *k = t->keys + i;

                if (streq(k->name, e->key) && (!*e->host || streq(k->host, e->host)) &&
                    (!*e->mount || !*k->mount || streq(k->mount, e->mount)))
                        return k;
        }
        return NULL;
}

uint64_t issued_start_in(const struct issued *t, uint64_t from_usec, uint64_t to_usec) {
        for (size_t i = 0; i < t->n_starts; i++)
                if (t->starts[i] >= from_usec && t->starts[i] <= to_usec)
                        return t->starts[i];
        return 0;
}

uint64_t issued_polled_from(const struct issued_key *k, uint64_t usec) {
        size_t low = 0, high = k->n_polled;

        while (low < high) {
                size_t middle = (low + high) / 2;

                if (k->polled[middle] < usec)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low < k->n_polled ? k->polled[low] : UINT64_MAX;
}

void issued_done(struct issued *t) {
        for (size_t i = 0; i < t->n_keys; i++)
                free(t->keys[i].polled);
        anchors_done(&t->anchors);
        free(t->ids);
        free(t->keys);
        free(t->starts);
        *t = (struct issued) {};
}
