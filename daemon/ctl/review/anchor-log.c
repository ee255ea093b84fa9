/* SPDX-License-Identifier: Apache-2.0 */
#include "anchor-log.h"

/* The place of a tag among the nodes: of its own, or where it would be. */
static size_t place_of(const struct anchor_log *l, const uint8_t *tag) {
        size_t low = 0, high = l->n_nodes;

        while (low < high) {
                size_t middle = (low + high) / 2;

                if (memcmp(l->nodes[middle].tag, tag, ANCHOR_TAG_SIZE) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static int get_node(struct anchor_log *l, const uint8_t *tag, struct anchor_node **ret) {
        size_t i = place_of(l, tag);

        if (i == l->n_nodes || memcmp(l->nodes[i].tag, tag, ANCHOR_TAG_SIZE) != 0) {
                struct anchor_node *bigger;

                if (l->n_nodes >= ANCHOR_NODES_MAX)
                        return -E2BIG;
                bigger = reallocarray(l->nodes, l->n_nodes + 1, sizeof(*bigger));
                if (!bigger)
                        return -ENOMEM;
                l->nodes = bigger;
                memmove(bigger + i + 1, bigger + i, (l->n_nodes++ - i) * sizeof(*bigger));
                bigger[i] = (struct anchor_node) {};
                memcpy(bigger[i].tag, tag, ANCHOR_TAG_SIZE);
        }
        *ret = l->nodes + i;
        return 0;
}

int anchor_log_own(struct anchor_log *l, const uint8_t tag[static ANCHOR_TAG_SIZE]) {
        struct anchor_node *node;
        int r = get_node(l, tag, &node);

        if (r >= 0)
                node->is_ours = true;
        return r;
}

int anchor_log_record(struct anchor_log *l, const struct record *r, const uint8_t hash[static CHAIN_HASH_SIZE]) {
        const char *text = r->source == RECORD_DAEMON && streq(r->event, "started") ? record_field(r, "anchor_tag") : NULL;
        uint8_t tag[ANCHOR_TAG_SIZE];
        int k = 0;

        if (l->first_record_usec == 0)
                l->first_record_usec = r->realtime_usec;
        l->last_record_usec = MAX_OF(l->last_record_usec, r->realtime_usec);
        if (text && anchor_tag_parse(text, tag) >= 0)
                k = anchor_log_own(l, tag);
        /* What an early trail had was written here only when that was joined */
        return k < 0 ? k : anchors_add(&l->anchors, hash, r->sequence, record_field(r, RECORD_EARLY_FIELD) ? 0 : r->realtime_usec);
}

static int add_seen(struct anchor_log *l, uint64_t usec, uint64_t sequence) {
        if ((l->n_seen & (l->n_seen - 1)) == 0) {
                struct anchor_seen *bigger;

                if (l->n_seen >= ANCHOR_SEEN_MAX)
                        return -E2BIG;
                bigger = reallocarray(l->seen, l->n_seen > 0 ? l->n_seen * 2 : 1, sizeof(*bigger));
                if (!bigger)
                        return -ENOMEM;
                l->seen = bigger;
        }
        l->seen[l->n_seen++] = (struct anchor_seen) { .usec = usec, .sequence = sequence };
        return 0;
}

static void note_place(struct anchor_place *p, const struct vault_entry *e, const struct anchor *a, uint64_t line) {
        *p = (struct anchor_place) { .usec = e->realtime_usec, .line = line };
        anchor_format(a, p->id);
        memcpy(p->address, e->address, sizeof(p->address));
        memcpy(p->identity, e->identity, sizeof(p->identity));
}

/* The entry's anchor: one that has a record, or else the first. */
static bool find(const struct anchor_log *l, const struct vault_entry *e, struct anchor *ret, const struct anchored **ret_record) {
        bool any = false;

        *ret_record = NULL;
        for (size_t i = 0; i < e->n_ids; i++) {
                const struct anchored *record;
                struct anchor a;

                if (!anchor_parse(e->ids[i], &a))
                        continue;
                record = anchors_find(&l->anchors, &a);
                if (any && !record)
                        continue;
                *ret = a;
                *ret_record = record;
                any = true;
                if (record)
                        break;
        }
        return any;
}

int anchor_log_entry(struct anchor_log *l, const struct vault_entry *e, uint64_t line) {
        const struct anchored *record;
        struct anchor_node *node;
        struct anchor a;
        int r;

        l->entries++;
        if (e->realtime_usec < l->since_usec || (l->until_usec > 0 && e->realtime_usec > l->until_usec)) {
                l->outside++;
                return 0;
        }
        if (l->first_usec == 0 || e->realtime_usec < l->first_usec)
                l->first_usec = e->realtime_usec;
        l->last_usec = MAX_OF(l->last_usec, e->realtime_usec);
        if (!e->uses_key)
                return 0;
        if (!find(l, e, &a, &record)) {
                l->plain++;
                return 0;
        }
        if (!e->answered && !*e->identity) {
                l->strangers++;
                return 0;
        }
        r = get_node(l, a.tag, &node);
        if (r < 0)
                return r;
        if (!*node->identity)
                memcpy(node->identity, e->identity, sizeof(node->identity));
        if (record) {
                node->found++;
                return add_seen(l, e->realtime_usec, record->sequence);
        }
        if (node->lost == 0 || e->realtime_usec < node->first.usec)
                note_place(&node->first, e, &a, line);
        if (node->lost++ == 0 || e->realtime_usec >= node->last.usec)
                note_place(&node->last, e, &a, line);
        return 0;
}

static int by_time(const void *a, const void *b) {
        const struct anchor_seen *x = a, *y = b;

        if (x->usec != y->usec)
                return x->usec < y->usec ? -1 : 1;
        return x->sequence < y->sequence ? -1 : x->sequence > y->sequence;
}

static bool is_known(const struct anchor_log *l, const char *identity) {
        for (size_t i = 0; i < l->n_nodes; i++)
                if (l->nodes[i].is_ours && *identity && streq(l->nodes[i].identity, identity))
                        return true;
        return false;
}

static void judge_nodes(struct anchor_log *l) {
        for (size_t i = 0; i < l->n_nodes; i++) {
                struct anchor_node *node = l->nodes + i;

                node->is_ours |= node->found > 0;
                l->found += node->found;
                if (!node->is_ours)
                        continue;
                l->lost += node->lost;
                if (node->lost > 0 && (!l->worst || node->first.usec < l->worst->first.usec))
                        l->worst = node;
        }
        for (size_t i = 0; i < l->n_nodes; i++) {
                const struct anchor_node *node = l->nodes + i;

                if (node->is_ours)
                        continue;
                l->others += node->lost;
                l->other_nodes++;
                if (is_known(l, node->identity))
                        l->others_alike += node->lost;
        }
}

/* The vault's time and the numbers of records go the same way; what is older than the newest by the slack comes again. */
static void judge_order(struct anchor_log *l) {
        struct anchor_seen settled = {};       /* the newest of those that are older than the slack */
        size_t behind = 0;

        for (size_t i = 0; i < l->n_seen; i++) {
                const struct anchor_seen *at = l->seen + i;

                for (; l->seen[behind].usec + ANCHOR_SLACK_USEC < at->usec; behind++)
                        if (l->seen[behind].sequence > settled.sequence)
                                settled = l->seen[behind];
                if (at->sequence < settled.sequence && l->backwards++ == 0) {
                        l->back_from = settled;
                        l->back_to = *at;
                }
        }
}

/* Of what was found only those stay that are of a later record than all before: when the vault heard of it first. */
static void keep_steps(struct anchor_log *l) {
        size_t n = 0;

        for (size_t i = 0; i < l->n_seen; i++) {
                if (l->worst && l->seen[i].usec <= l->worst->first.usec)
                        l->kept = l->seen[i];
                if (n == 0 || l->seen[i].sequence > l->seen[n - 1].sequence)
                        l->seen[n++] = l->seen[i];
        }
        l->n_seen = n;
        if (n > 0)
                l->newest = l->seen[n - 1];
}

/* When a record was out of the node: with the first anchor of it or of a later one. */
static void judge_delays(struct anchor_log *l) {
        for (size_t i = 0; i < l->anchors.n_slots; i++) {
                const struct anchored *record = l->anchors.slots + i;
                size_t low = 0, high = l->n_seen;

                while (low < high) {
                        size_t middle = (low + high) / 2;

                        if (l->seen[middle].sequence < record->sequence)
                                low = middle + 1;
                        else
                                high = middle;
                }
                if (low == l->n_seen)
                        l->newer += record->sequence != 0;
                else if (record->realtime_usec >= l->first_usec && l->seen[low].usec > record->realtime_usec + l->slowest_usec) {
                        l->slowest_usec = l->seen[low].usec - record->realtime_usec;
                        l->slowest = (struct anchor_seen) { .usec = l->seen[low].usec, .sequence = record->sequence };
                }
        }
}

void anchor_log_finish(struct anchor_log *l) {
        if (l->n_seen > 0)
                qsort(l->seen, l->n_seen, sizeof(*l->seen), by_time);
        judge_nodes(l);
        judge_order(l);
        keep_steps(l);
        judge_delays(l);
}

void anchor_log_done(struct anchor_log *l) {
        anchors_done(&l->anchors);
        free(l->nodes);
        free(l->seen);
        *l = (struct anchor_log) {};
}
