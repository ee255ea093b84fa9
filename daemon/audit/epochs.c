/* SPDX-License-Identifier: Apache-2.0 */
#include "epochs.h"

#include "common/base64.h"

#define LIST_MAX (1024u * 1024u)
#define STEPS_MAX UINT64_C(2000000)        /* over records that are not there, in the whole trail: a few seconds */

struct known {
        unsigned line;
        bool met;
        char id[SEAL_EPOCH_SIZE + 1];
        struct seal_key *key;
};

struct epochs {
        struct seal_private *private;
        struct known *known;               /* by their ids, once the list was read */
        size_t n_known;
        struct epoch *list;
        size_t n_list;
        bool open;                         /* the last of the list goes on */
        bool ended;                        /* it ended, and not because nothing is to be sealed any more */
        struct seal_key *key, *ahead;      /* of record next; room for one of a later record */
        uint64_t next, steps;
};

const char *epoch_handover_to_string(enum epoch_handover h) {
        static const char *const names[] = {
                [EPOCH_FIRST] = "first", [EPOCH_CLEAN] = "clean", [EPOCH_ENDED] = "ended", [EPOCH_LOST] = "lost",
        };

        return (unsigned) h < ELEMENTSOF(names) ? names[h] : NULL;
}

int epochs_new(struct epochs **ret) {
        _cleanup_(epochs_freep) struct epochs *e = calloc(1, sizeof(*e));
        int r;

        if (!e)
                return -ENOMEM;
        e->steps = STEPS_MAX;
        r = seal_key_new(&e->key);
        if (r >= 0)
                r = seal_key_new(&e->ahead);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(e);
        return 0;
}

struct epochs *epochs_free(struct epochs *e) {
        if (!e)
                return NULL;
        for (size_t i = 0; i < e->n_known; i++)
                seal_key_free(e->known[i].key);
        free(e->known);
        seal_private_free(e->private);
        seal_key_free(e->key);
        seal_key_free(e->ahead);
        free(e->list);
        free(e);
        return NULL;
}

int epochs_add_private(struct epochs *e, const char *path, const char **ret_why) {
        struct seal_private *p;
        int r = seal_private_load(path, &p, ret_why);

        if (r < 0)
                return r;
        seal_private_free(e->private);
        e->private = p;
        return 0;
}

static int add_known(struct epochs *e, const char *line, unsigned number) {
        const char *text = line + SEAL_EPOCH_SIZE + 1;
        struct known *k;
        size_t n;
        int r;

        if (strlen(line) <= SEAL_EPOCH_SIZE || line[SEAL_EPOCH_SIZE] != ' ')
                return -EINVAL;
        k = reallocarray(e->known, e->n_known + 1, sizeof(*k));
        if (!k)
                return -ENOMEM;
        e->known = k;
        k += e->n_known++;
        *k = (struct known) { .line = number };
        snprintf(k->id, sizeof(k->id), "%s", line);
        r = seal_key_new(&k->key);
        if (r < 0)
                return r;
        if (!seal_epoch_is_valid(k->id) ||
            base64_decode(text, strlen(text), seal_key_data(k->key), SEAL_KEY_SIZE, &n) < 0 || n != SEAL_KEY_SIZE)
                return -EINVAL;
        return 0;
}

static int by_id(const void *a, const void *b) {
        const struct known *x = a, *y = b;

        return strcmp(x->id, y->id);
}

static int by_id_and_line(const void *a, const void *b) {
        const struct known *x = a, *y = b;
        int c = by_id(a, b);

        return c != 0 ? c : x->line < y->line ? -1 : x->line > y->line;
}

/* By their ids; of one that is there more than once the last holds. */
static void sort_known(struct epochs *e) {
        size_t n = 0;

        if (e->n_known > 0)
                qsort(e->known, e->n_known, sizeof(*e->known), by_id_and_line);
        for (size_t i = 0; i < e->n_known; i++)
                if (i + 1 < e->n_known && by_id(e->known + i, e->known + i + 1) == 0)
                        seal_key_free(e->known[i].key);
                else
                        e->known[n++] = e->known[i];
        e->n_known = n;
}

int epochs_add_list(struct epochs *e, const char *path, unsigned *ret_line) {
        char *text = NULL, *rest;
        unsigned number = 0;
        size_t size;
        int r;

        r = read_small_file(path, LIST_MAX, &text, &size);
        if (r < 0)
                return r;
        rest = text;
        for (char *line; r >= 0 && (line = strsep(&rest, "\n")); ) {
                number++;
                if (*line && *line != '#')
                        r = add_known(e, line, number);
        }
        explicit_bzero(text, size);
        free(text);
        sort_known(e);
        if (r < 0)
                *ret_line = number;
        return r;
}

bool epochs_have_keys(const struct epochs *e) { return e->private || e->n_known > 0; }

/* The key that the last epoch began with, if it is to be had. */
static int find_key(struct epochs *e) {
        struct epoch *x = e->list + e->n_list - 1;
        struct known wanted = {}, *k;
        int r = -EKEYREJECTED;

        memcpy(wanted.id, x->id, sizeof(wanted.id));
        k = e->n_known > 0 ? bsearch(&wanted, e->known, e->n_known, sizeof(*e->known), by_id) : NULL;
        if (k) {
                k->met = x->has_key = true;
                seal_key_copy(e->ahead, k->key);
                return 0;
        }
        if (e->private && streq(seal_private_digest(e->private), x->digest))
                r = seal_private_unwrap(e->private, x->wrapped, e->ahead);
        x->has_key = r >= 0;
        return r == -EKEYREJECTED || r == -EINVAL ? 0 : r;
}

static int add_epoch(struct epochs *e, const struct record *r) {
        const char *id = record_field(r, "epoch"), *reason = record_field(r, "reason");
        const char *digest = record_field(r, "digest"), *wrapped = record_field(r, "wrapped");
        struct epoch *bigger, *x;

        if (!id || !seal_epoch_is_valid(id) || !reason || strlen(reason) > AUDIT_NAME_MAX || !digest ||
            strlen(digest) != CHAIN_HEX_SIZE || !wrapped || strlen(wrapped) > SEAL_WRAPPED_MAX)
                return -EBADMSG;
        bigger = reallocarray(e->list, e->n_list + 1, sizeof(*e->list));
        if (!bigger)
                return -ENOMEM;
        e->list = bigger;
        x = e->list + e->n_list++;
        *x = (struct epoch) { .first = r->sequence, .last = r->sequence };
        snprintf(x->id, sizeof(x->id), "%s", id);
        snprintf(x->reason, sizeof(x->reason), "%s", reason);
        snprintf(x->digest, sizeof(x->digest), "%s", digest);
        snprintf(x->wrapped, sizeof(x->wrapped), "%s", wrapped);
        return 0;
}

/* Checks the seal of a record of that number under the key that goes on; one that does not hold leaves it as it is. */
static int check(struct epochs *e, bool has_key, uint64_t sequence, const char *line, size_t size, enum epoch_answer *ret) {
        uint64_t ahead = sequence - e->next;
        int r;

        if (!has_key)
                *ret = epochs_have_keys(e) ? EPOCH_NO_KEY : EPOCH_UNCHECKED;
        else if (sequence < e->next)
                *ret = EPOCH_REPEATED;
        else if (ahead > e->steps)
                *ret = EPOCH_TOO_FAR;
        if (!has_key || sequence < e->next || ahead > e->steps)
                return 0;
        e->steps -= ahead;
        seal_key_copy(e->ahead, e->key);
        r = seal_next(e->ahead, ahead);
        if (r >= 0)
                r = seal_check_line(e->ahead, line, size);
        if (r == -EBADMSG || r == -EKEYREJECTED) {
                *ret = EPOCH_FORGED;
                return 0;
        }
        if (r >= 0)
                r = seal_next(e->ahead, 1);
        if (r < 0)
                return r;
        seal_key_copy(e->key, e->ahead);
        e->next = sequence + 1;
        *ret = EPOCH_PROVEN;
        return 0;
}

/* The record that begins an epoch: sealed by the one before, or by itself. */
static int judge_epoch(struct epochs *e, const struct record *r, const char *line, size_t size, enum epoch_answer *ret) {
        bool was_open = e->open, had_key = e->n_list > 0 && e->list[e->n_list - 1].has_key, by_itself;
        struct epoch *x;
        int k;

        k = add_epoch(e, r);
        if (k == -EBADMSG)
                *ret = EPOCH_FORGED;
        if (k < 0)
                return k == -EBADMSG ? 0 : k;
        x = e->list + e->n_list - 1;
        by_itself = !streq(x->reason, "rotated");
        x->handover = !was_open ? e->n_list == 1 ? EPOCH_FIRST : EPOCH_ENDED : by_itself ? EPOCH_LOST : EPOCH_CLEAN;
        if (streq(x->reason, "lost"))
                x->handover = EPOCH_LOST;              /* also where what was sealed before it is not there any more */
        if (!by_itself) {
                k = check(e, had_key, r->sequence, line, size, ret);
                if (k < 0)
                        return k;
                if (*ret == EPOCH_NO_KEY)
                        *ret = EPOCH_UNCHECKED;        /* the one before has no key, and that was said of it */
                if (!was_open || *ret == EPOCH_FORGED) {
                        *ret = EPOCH_FORGED;
                        x->handover = EPOCH_LOST;
                }
        }
        k = find_key(e);
        if (k < 0)
                return k;
        seal_key_copy(e->key, e->ahead);
        e->open = true;
        e->ended = false;
        e->next = by_itself ? r->sequence : r->sequence + 1;
        return by_itself ? check(e, x->has_key, r->sequence, line, size, ret) : 0;
}

int epochs_judge(struct epochs *e, const struct record *r, const char *line, size_t size, enum epoch_answer *ret) {
        struct epoch *x;
        int k = 0;

        if (!r->sealed) {
                *ret = e->open ? EPOCH_UNFINISHED : e->ended ? EPOCH_MISSING : EPOCH_UNSEALED;
                return 0;
        }
        if (streq(r->event, EPOCH_EVENT))
                k = judge_epoch(e, r, line, size, ret);
        else if (!e->open)
                *ret = EPOCH_ASTRAY;
        else
                k = check(e, e->list[e->n_list - 1].has_key, r->sequence, line, size, ret);
        if (k < 0 || !e->open || *ret == EPOCH_FORGED || *ret == EPOCH_ASTRAY || *ret == EPOCH_REPEATED ||
            *ret == EPOCH_TOO_FAR)
                return k;
        x = e->list + e->n_list - 1;
        x->last = r->sequence;
        x->proven += *ret == EPOCH_PROVEN;
        if (streq(r->event, EPOCH_END_EVENT)) {
                x->ended = true;
                e->ended = !streq_ptr(record_field(r, "reason"), EPOCH_END_UNCONFIGURED);
                e->open = false;
        }
        return 0;
}

const struct epoch *epochs_get(const struct epochs *e, size_t i) { return i < e->n_list ? e->list + i : NULL; }

const char *epochs_unmet(const struct epochs *e, size_t *i) {
        while (*i < e->n_known && e->known[*i].met)
                ++*i;
        return *i < e->n_known ? e->known[(*i)++].id : NULL;
}
