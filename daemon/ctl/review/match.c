/* SPDX-License-Identifier: Apache-2.0 */
#include "match.h"

/* A request that got no answer on a kept connection is sent once more, and both may have been answered. */
#define AGAIN_USEC (2 * 60 * USEC_PER_SEC)

/* Between the vault's clock and ours. */
#define SKEW_USEC (60 * USEC_PER_SEC)

/* So long, and so many of a key, may polls wait for their record (manager/poll-log.h). */
#define POLLS_USEC (15 * 60 * USEC_PER_SEC)
#define POLLS_MAX 27u

static const struct { const char *id, *what, *cure; } texts[_MISMATCH_MAX] = {
        [MISMATCH_NOT_OURS] = { "not-ours", "The vault used a key for a request that is not in the trail",
                "Somebody else has the key's permission, or the node's identity: find out who from address and identity. Other nodes "
                "with this key: name their trails too." },
        [MISMATCH_ANCHORED] = { "anchored", "The vault used a key under an id that carries the trail's head, and cmkd did not poll so",
                "Whoever made it knows the head, as root on this node does. That cmkd polled and could not record it is another finding "
                "of that time (cmkctl audit stats)." },
        [MISMATCH_NOT_RELEASED] = { "not-released", "The vault unwrapped for a request of ours, and the trail has no release of it",
                "The node stopped in between, or a record is gone: see cmkctl audit verify." },
        [MISMATCH_REPEATED] = { "repeated", "A request id of ours was used again",
                "Ids can be read in the trail: whoever used it wanted to pass for this node." },
        [MISMATCH_AFTER_END] = { "after-end", "The vault used a key after the trail's last word on it",
                "Look again with a newer copy of the trail. If there is none, its end was cut off, or somebody else used the key." },
        [MISMATCH_MISSING] = { "missing", "The trail says that the vault unwrapped, and its log has no such request",
                "The vault's log is not complete (it comes minutes late), or the record is not true." },
        [MISMATCH_REFUSED] = { "refused", "Somebody else asked for a key and was refused", "See who it was." },
};

const char *mismatch_id(enum mismatch m) {
        return texts[m].id;
}

const char *mismatch_what(enum mismatch m) {
        return texts[m].what;
}

const char *mismatch_cure(enum mismatch m) {
        return texts[m].cure;
}

bool mismatch_is_note(enum mismatch m) {
        return m == MISMATCH_REFUSED;
}

static bool is_same(const struct match_finding *a, const struct match_finding *b) {
        return a->kind == b->kind && a->key == b->key && streq(a->operation, b->operation) && streq(a->address, b->address) &&
               streq(a->identity, b->identity) && streq(a->client, b->client) && !a->started_usec == !b->started_usec;
}

static int add(struct match *m, const struct match_finding *one) {
        struct match_finding *at;

        for (size_t i = 0; i < m->n_findings; i++) {
                at = m->findings + i;
                if (!is_same(at, one))
                        continue;
                at->count++;
                if (one->first_usec < at->first_usec) {
                        at->first_usec = one->first_usec;
                        at->place = one->place;
                        memcpy(at->id, one->id, sizeof(at->id));
                }
                at->last_usec = MAX_OF(at->last_usec, one->last_usec);
                return 0;
        }
        if (m->n_findings >= MATCH_FINDINGS_MAX) {
                m->more_findings++;
                return 0;
        }
        if ((m->n_findings & (m->n_findings - 1)) == 0) {
                at = reallocarray(m->findings, m->n_findings > 0 ? m->n_findings * 2 : 1, sizeof(*at));
                if (!at)
                        return -ENOMEM;
                m->findings = at;
        }
        m->findings[m->n_findings++] = *one;
        return 0;
}

static void format_id(const uint8_t b[static UUID_BYTES], char buf[static 37]) {
        size_t n = 0;

        for (size_t i = 0; i < UUID_BYTES; i++)
                n += (size_t) snprintf(buf + n, 37 - n, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", b[i]);
}

static int complain(struct match *m, enum mismatch kind, const struct vault_entry *e, const struct issued_key *k, uint64_t place) {
        struct match_finding f = { .kind = kind, .key = k, .count = 1, .first_usec = e->realtime_usec,
                                   .last_usec = e->realtime_usec, .place = place };

        memcpy(f.operation, e->operation, sizeof(f.operation));
        memcpy(f.address, e->address, sizeof(f.address));
        memcpy(f.identity, e->identity, sizeof(f.identity));
        memcpy(f.client, e->client, sizeof(f.client));
        if (e->n_ids > 0)
                format_id(e->ids[0], f.id);
        if (kind == MISMATCH_NOT_OURS)
                f.started_usec = issued_start_in(m->issued, e->realtime_usec, e->realtime_usec + POLLS_USEC + SKEW_USEC);
        return add(m, &f);
}

/* The entry's request, by any of the ids that stand in it. */
static struct issued_id *find(const struct match *m, const struct vault_entry *e) {
        for (size_t i = 0; i < e->n_ids; i++) {
                struct issued_id *id = issued_find(m->issued, e->ids[i]);

                if (id)
                        return id;
        }
        return NULL;
}

/* Of an id that is in the trail. */
static int judge_known(struct match *m, struct issued_id *id, const struct vault_entry *e, const struct issued_key *k,
                       uint64_t place) {
        uint64_t apart = e->realtime_usec > id->first_usec ? e->realtime_usec - id->first_usec : id->first_usec - e->realtime_usec;
        uint32_t allowed = MAX_OF(id->expected, id->kind == ISSUED_USE ? 0u : 1u);

        if (id->answered++ == 0)
                id->first_usec = e->realtime_usec;
        m->ours++;
        if (id->proves || id->answered <= allowed)
                return 0;
        if (allowed == 0)
                return complain(m, MISMATCH_NOT_RELEASED, e, k, place);
        return apart > AGAIN_USEC ? complain(m, MISMATCH_REPEATED, e, k, place) : 0;
}

/* An old head is nobody's who polls: it moves with each record of polls. */
static bool is_anchored(const struct match *m, const struct vault_entry *e) {
        for (size_t i = 0; i < e->n_ids; i++) {
                const struct anchored *head;
                struct anchor a;

                head = anchor_parse(e->ids[i], &a) ? anchors_find(&m->issued->anchors, &a) : NULL;
                if (head && head->realtime_usec <= e->realtime_usec + SKEW_USEC &&
                    head->realtime_usec + POLLS_USEC + SKEW_USEC >= e->realtime_usec)
                        return true;
        }
        return false;
}

/* Counts one more in that window. Returns 1 if cmkd may have polled so often, else 0; or -ENOMEM. */
static int count_in(struct match *m, const struct issued_key *k, uint64_t start) {
        struct match_window *w;

        for (size_t i = 0; i < m->n_windows; i++)
                if (m->windows[i].key == k && m->windows[i].start_usec == start)
                        return m->windows[i].n++ < POLLS_MAX;
        w = reallocarray(m->windows, m->n_windows + 1, sizeof(*w));
        if (!w)
                return -ENOMEM;
        m->windows = w;
        w[m->n_windows++] = (struct match_window) { .key = k, .start_usec = start, .n = 1 };
        return 1;
}

/* An id that carries a head of the trail proves no more than that its maker knew that. It is taken for a poll of cmkd only where cmkd
 * cannot have recorded it: before it was killed, or at the trail's end, and then for so many as it keeps. Returns as count_in(). */
static int explain_by_anchor(struct match *m, const struct vault_entry *e, const struct issued_key *k) {
        uint64_t t = e->realtime_usec, recorded = issued_polled_from(k, t + SKEW_USEC), start;

        start = issued_start_in(m->issued, t - MIN_OF(t, SKEW_USEC), MIN_OF(recorded, t + POLLS_USEC + SKEW_USEC));
        if (start == 0 && (recorded != UINT64_MAX || t + POLLS_USEC + SKEW_USEC < m->issued->last_usec))
                return 0;
        return count_in(m, k, start);
}

static int judge_unknown(struct match *m, const struct vault_entry *e, struct issued_key *k, uint64_t place) {
        uint64_t end = m->issued->last_usec;
        bool after;
        int r;

        if (e->realtime_usec + SKEW_USEC < m->issued->first_usec) {
                m->before++;
                return 0;
        }
        if (is_anchored(m, e)) {
                r = explain_by_anchor(m, e, k);
                if (r > 0) {
                        m->by_anchor++;
                        m->ours++;
                }
                return r != 0 ? MIN_OF(r, 0) : complain(m, MISMATCH_ANCHORED, e, k, place);
        }
        /* Also what may be a poll whose record is still to come */
        after = e->realtime_usec > end + SKEW_USEC ||
                (issued_polled_from(k, e->realtime_usec) == UINT64_MAX && e->realtime_usec + POLLS_USEC > end);
        return complain(m, after ? MISMATCH_AFTER_END : MISMATCH_NOT_OURS, e, k, place);
}

static bool is_wanted(const struct match *m, const struct issued_key *k) {
        const char *rest = m->only ? startswith(k->text, m->only) : NULL;

        return !m->only || streq(k->name, m->only) || (rest && (!*rest || *rest == '/'));
}

int match_entry(struct match *m, const struct vault_entry *e, uint64_t place) {
        struct issued_key *k;
        struct issued_id *id;

        m->entries++;
        if (e->realtime_usec < m->since_usec || (m->until_usec > 0 && e->realtime_usec > m->until_usec)) {
                m->outside++;
                return 0;
        }
        m->kinds[e->kind] = true;
        if (m->first_usec == 0 || e->realtime_usec < m->first_usec)
                m->first_usec = e->realtime_usec;
        m->last_usec = MAX_OF(m->last_usec, e->realtime_usec);
        if (!e->uses_key)
                return 0;
        k = issued_key_of(m->issued, e);
        if (!k || !is_wanted(m, k)) {
                m->other_keys++;
                return 0;
        }
        m->unwraps++;
        k->is_logged = true;
        id = find(m, e);
        if (!e->answered) {
                m->refused++;
                return id ? 0 : complain(m, MISMATCH_REFUSED, e, k, place);
        }
        return id ? judge_known(m, id, e, k, place) : judge_unknown(m, e, k, place);
}

/* Which of the two ids of one request such a log has. */
static bool is_in_log(const struct match *m, const struct issued_id *id) {
        return (m->kinds[VAULT_LOG_AZURE] && id->kind != ISSUED_VAULTS) || (m->kinds[VAULT_LOG_TRANSIT] && id->kind == ISSUED_VAULTS);
}

static int find_missing(struct match *m) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < m->issued->n_slots; i++) {
                const struct issued_id *id = m->issued->ids + i;
                struct match_finding f = { .kind = MISMATCH_MISSING, .count = 1, .first_usec = id->usec, .last_usec = id->usec,
                                           .place = id->sequence };

                if (id->usec == 0 || id->expected == 0 || id->answered > 0 || id->key >= m->issued->n_keys || !is_in_log(m, id))
                        continue;
                f.key = m->issued->keys + id->key;
                /* Polls are recorded up to a quarter of an hour after they were asked */
                if (!f.key->is_logged || !is_wanted(m, f.key) || id->usec < m->first_usec + POLLS_USEC + SKEW_USEC ||
                    id->usec + SKEW_USEC > m->last_usec)
                        continue;
                format_id(id->id, f.id);
                r = add(m, &f);
        }
        return r;
}

static int by_gravity(const void *a, const void *b) {
        const struct match_finding *x = a, *y = b;

        if (x->kind != y->kind)
                return x->kind < y->kind ? -1 : 1;
        return x->first_usec < y->first_usec ? -1 : x->first_usec > y->first_usec;
}

int match_finish(struct match *m) {
        int r = find_missing(m);

        if (r >= 0 && m->n_findings > 0)
                qsort(m->findings, m->n_findings, sizeof(*m->findings), by_gravity);
        return r;
}

void match_done(struct match *m) {
        free(m->windows);
        m->windows = NULL;
        m->n_windows = 0;
        free(m->findings);
        m->findings = NULL;
        m->n_findings = 0;
}
