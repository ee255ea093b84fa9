/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger.h"

#include "cgroup.h"

static const char *const conditions[_CONDITION_MAX] = {
        [CONDITION_CLOSED] = "closed", [CONDITION_OPEN] = "open", [CONDITION_HELD] = "held",
        [CONDITION_RECOVERY] = "open without the vault", [CONDITION_CUT] = "cut",
};

const char *condition_to_string(enum condition c) {
        return conditions[c];
}

/* Room for one more; a zeroed one, or NULL without memory. Grows by doubling. */
static void *grow(void *array, size_t *n, size_t size) {
        char *p;

        memcpy(&p, array, sizeof(p));      /* whatever it points to */
        if ((*n & (*n - 1)) == 0) {
                p = reallocarray(p, *n > 0 ? *n * 2 : 1, size);
                if (!p)
                        return NULL;
                memcpy(array, &p, sizeof(p));
        }
        memset(p + *n * size, 0, size);
        return p + (*n)++ * size;
}

static void copy(char *to, size_t size, const char *from) {
        snprintf(to, size, "%s", strempty(from));
}

static void extend(uint64_t *first, uint64_t *last, uint64_t now) {
        if (*first == 0 || now < *first)
                *first = now;
        *last = MAX_OF(*last, now);
}

static int add_event(struct ledger *l, const struct record *r) {
        struct event_count *e = NULL;

        for (size_t i = 0; i < l->n_events && !e; i++)
                if (streq(l->events[i].event, r->event))
                        e = l->events + i;
        if (!e && l->n_events >= LEDGER_EVENTS_MAX)
                return 0;
        if (!e) {
                e = grow(&l->events, &l->n_events, sizeof(*e));
                if (!e)
                        return -ENOMEM;
                copy(e->event, sizeof(e->event), r->event);
        }
        *(r->source == RECORD_KERNEL ? &e->kernel : &e->daemon) += record_count(r);
        return 0;
}

static struct ledger_volume *find_volume(struct ledger *l, const char *node, const char *uuid, const char *name) {
        for (size_t i = 0; uuid && i < l->n_volumes; i++)
                if (streq(l->volumes[i].uuid, uuid) && streq(l->volumes[i].node, node))
                        return l->volumes + i;
        /* Before a format there is a name only, and a verdict names the volume alone */
        for (size_t i = l->n_volumes; !uuid && i-- > 0;)
                if (streq(l->volumes[i].name, name) && streq(l->volumes[i].node, node))
                        return l->volumes + i;
        return NULL;
}

static int volume_of(struct ledger *l, const char *node, const struct record *r, struct ledger_volume **ret) {
        const char *uuid = record_field(r, "uuid"), *name = record_volume(r);
        struct ledger_volume *v;

        *ret = NULL;
        /* A name alone makes no volume: a mapping of somebody else's has one too */
        if (!name || (!uuid && !find_volume(l, node, NULL, name)))
                return 0;
        v = find_volume(l, node, uuid, name);
        if (!v && l->n_volumes >= LEDGER_VOLUMES_MAX) {
                l->more_volumes++;
                return 0;
        }
        if (!v) {
                v = grow(&l->volumes, &l->n_volumes, sizeof(*v));
                if (!v)
                        return -ENOMEM;
                copy(v->node, sizeof(v->node), node);
                copy(v->uuid, sizeof(v->uuid), uuid);
        }
        /* cmkd's own word for the name; a mapping of the kernel's has it before cmkd named the volume */
        if (!v->name[0] || (r->source == RECORD_DAEMON && record_field(r, "volume")))
                copy(v->name, sizeof(v->name), name);
        if (r->source == RECORD_DAEMON && record_field(r, "key"))
                copy(v->key, sizeof(v->key), record_field(r, "key"));
        *ret = v;
        return 0;
}

static int add_span(struct ledger_volume *v, enum condition c, uint64_t now) {
        struct span *s = v->n_spans > 0 ? v->spans + v->n_spans - 1 : NULL;

        if (s && s->condition == c)
                return 0;
        if (s && v->n_spans < LEDGER_MOMENTS_MAX)
                s->to_usec = now;
        if ((c == CONDITION_CLOSED && !s) || v->n_spans >= LEDGER_MOMENTS_MAX)
                return 0;
        s = grow(&v->spans, &v->n_spans, sizeof(*s));
        if (!s)
                return -ENOMEM;
        *s = (struct span) { .condition = c, .from_usec = now };
        return 0;
}

/* Events of a volume's history, and what they make of it. */
static const struct { const char *event; int condition; } history[] = {
        { "verdict", -1 }, { "request", -1 }, { "release", -1 }, { "formatted", -1 }, { "attached", CONDITION_OPEN }, { "adopted", CONDITION_OPEN },
        { "resumed", CONDITION_OPEN }, { "held", CONDITION_HELD }, { "recovery", CONDITION_RECOVERY }, { "cut", CONDITION_CUT },
        { "removed", -1 }, { "detached", CONDITION_CLOSED }, { "closed_elsewhere", CONDITION_CLOSED }, { "intent", -1 },
        { "called_off", -1 }, { "refused", -1 }, { "reported", -1 }, { "lingering", -1 }, { "paused", -1 },
        { "pause_ended", -1 }, { "foreign_keyslot", -1 }, { "header_changed", -1 }, { "header_accepted", -1 }, { "second_mapping", -1 }, { "resumed_elsewhere", -1 },
        { "disk_removed", -1 }, { "recovery_key_added", -1 }, { "recovery_key_removed", -1 }, { "recovery_key_rotated", -1 }, { "recovery_key_escrowed", -1 }, { "release_unused", -1 },
        { "breaker", -1 }, { "key_read", -1 }, { "owner_floors", -1 }, { "key_expired", -1 }, { "key_expires_soon", -1 }, { "key_outdated", -1 }, { "header_restored", -1 },
        { "taken_over", -1 }, { "keyslots_removed", -1 }, { "encrypt_begun", -1 }, { "personalized", -1 }, { "key_enrolled", -1 }, { "key_removed", -1 },
        { "key_rotated", -1 }, { "key_version_removed", -1 },
        { "key_unsafe", -1 }, { "login_alarm", -1 }, { "login_replaced", -1 }, { "vault_sealed", -1 },
};

/* The fields that say what is not in the event's name, in this order. */
static const char *const telling[] = {
        "verb", "spki_sha256", "key", "action", "cause", "verdict", "counted_as", "key_state", "code", "http_status", "condition", "until", "why", "reason", "result", "detail",
        "floors", "expires", "recovery_level", "request_id", "by", "first", "last", "count", "after",
};

/* Of most records the key is the volume's anyway; of a pinning the owner compares it. */
static bool is_told(const struct record *r, const char *field) {
        return record_field(r, field) && (!streq(field, "key") || record_field(r, "spki_sha256"));
}

static void describe(const struct record *r, char *buf, size_t size) {
        size_t n = 0;

        *buf = 0;
        for (size_t i = 0; i < ELEMENTSOF(telling) && n < size; i++)
                if (is_told(r, telling[i]))
                        n += (size_t) snprintf(buf + n, size - n, "%s%s %s", n > 0 ? "; " : "", telling[i],
                                               record_field(r, telling[i]));
}

static int add_moment(struct ledger_volume *v, const struct record *r) {
        struct moment *m;

        if (v->n_moments >= LEDGER_MOMENTS_MAX) {
                v->more_moments++;
                return 0;
        }
        m = grow(&v->moments, &v->n_moments, sizeof(*m));
        if (!m)
                return -ENOMEM;
        m->realtime_usec = r->realtime_usec;
        m->sequence = r->sequence;
        m->priority = r->priority;
        copy(m->event, sizeof(m->event), r->event);
        if (r->source == RECORD_KERNEL)
                record_who(r, m->text, sizeof(m->text));
        else
                describe(r, m->text, sizeof(m->text));
        return 0;
}

static int add_history(struct ledger_volume *v, const struct record *r) {
        int k = 0;

        for (size_t i = 0; i < ELEMENTSOF(history); i++) {
                if (!streq(history[i].event, r->event))
                        continue;
                if (history[i].condition >= 0)
                        k = add_span(v, (enum condition) history[i].condition, r->realtime_usec);
                return k < 0 ? k : add_moment(v, r);
        }
        return 0;
}

static bool is_same_user(const struct user *a, const struct user *b) {
        return streq(a->exe, b->exe) && streq(a->unit, b->unit) && streq(a->uid, b->uid) && streq(a->loginuid, b->loginuid);
}

static int add_user(struct ledger_volume *v, const struct record *r, enum rule rule) {
        const char *exe = record_field(r, "exe");
        struct user u = {}, *at = NULL;

        copy(u.exe, sizeof(u.exe), exe ? exe : record_field(r, "comm"));
        cgroup_unit(strempty(record_field(r, "cgroup")), u.unit, sizeof(u.unit));
        copy(u.uid, sizeof(u.uid), record_field(r, "uid"));
        copy(u.loginuid, sizeof(u.loginuid), record_field(r, "loginuid"));
        for (size_t i = 0; i < v->n_users && !at; i++)
                if (is_same_user(v->users + i, &u))
                        at = v->users + i;
        if (!at && v->n_users >= LEDGER_USERS_MAX) {
                v->more_users++;
                return 0;
        }
        if (!at) {
                at = grow(&v->users, &v->n_users, sizeof(*at));
                if (!at)
                        return -ENOMEM;
                *at = u;
                at->known = rule == RULE_NONE;
        }
        *(streq_ptr(record_field(r, "mode"), "write") ? &at->writes : &at->reads) += record_count(r);
        extend(&at->first_usec, &at->last_usec, r->realtime_usec);
        return 0;
}

static int add_to_volume(struct ledger *l, const char *node, const struct record *r, enum rule rule) {
        struct ledger_volume *v;
        int k;

        k = volume_of(l, node, r, &v);
        if (k < 0 || !v)
                return k;
        v->records++;
        extend(&v->first_usec, &v->last_usec, r->realtime_usec);
        v->releases += streq(r->event, "release");
        v->key_sets += r->source == RECORD_KERNEL && streq(r->event, "key_set") && streq_ptr(record_field(r, "result"), "ok");
        if (streq(r->event, "io") && r->source == RECORD_DAEMON)
                return workloads_add(&v->io, r);
        if (streq(r->event, "volume_open") && r->source == RECORD_KERNEL && streq_ptr(record_field(r, "result"), "ok"))
                return add_user(v, r, rule);
        return add_history(v, r);
}

static uint64_t count_words(const char *list) {
        uint64_t n = 0;

        for (const char *p = strempty(list); *p; p += strcspn(p, " "), p += strspn(p, " "))
                n++;
        return n;
}

static int add_verdict(struct ledger *l, const struct record *r) {
        const char *key = record_field(r, "key"), *word = record_field(r, "counted_as"),
                   *trip = record_field(r, "round_trip_usec");
        struct ledger_key *k = NULL;
        uint64_t usec;

        if (!key || (!word && !streq(r->event, "polls")) || r->source != RECORD_DAEMON)
                return 0;
        for (size_t i = 0; i < l->n_keys && !k; i++)
                if (streq(l->keys[i].key, key))
                        k = l->keys + i;
        if (!k && l->n_keys >= LEDGER_KEYS_MAX) {
                l->more_keys++;
                return 0;
        }
        if (!k) {
                k = grow(&l->keys, &l->n_keys, sizeof(*k));
                if (!k)
                        return -ENOMEM;
                copy(k->key, sizeof(k->key), key);
        }
        for (unsigned v = 0; v < _VERDICT_MAX; v++)
                k->verdicts[v] += word && streq(verdict_to_string((enum verdict) v), word);
        k->polls += count_words(record_field(r, "ids"));
        extend(&k->first_usec, &k->last_usec, r->realtime_usec);
        if (trip && parse_u64(trip, UINT32_MAX, &usec) >= 0) {
                k->round_trips++;
                k->round_trip_usec += usec;
                k->round_trip_max_usec = MAX_OF(k->round_trip_max_usec, usec);
        }
        return 0;
}

static int add_finding(struct ledger *l, const char *node, const struct record *r, enum rule rule) {
        struct review_finding one = { .rule = rule, .count = record_count(r), .first_sequence = r->sequence, .last_sequence = r->sequence,
                                      .first_usec = r->realtime_usec, .last_usec = r->realtime_usec }, *at;

        copy(one.node, sizeof(one.node), node);
        copy(one.volume, sizeof(one.volume), record_volume(r));
        record_who(r, one.who, sizeof(one.who));
        if (r->source == RECORD_KERNEL)
                snprintf(one.detail, sizeof(one.detail), "%s%s%s", r->event, record_field(r, "mode") ? ", " : "",
                         strempty(record_field(r, "mode")));
        else
                describe(r, one.detail, sizeof(one.detail));
        /* Of the daemon's records each is a story of its own; what a program does again and again is one */
        for (size_t i = 0; r->source == RECORD_KERNEL && i < l->n_findings; i++) {
                at = l->findings + i;
                if (at->rule == rule && streq(at->node, node) && streq(at->volume, one.volume) && streq(at->who, one.who) &&
                    streq(at->detail, one.detail)) {
                        at->count += one.count;
                        at->last_sequence = r->sequence;
                        extend(&at->first_usec, &at->last_usec, r->realtime_usec);
                        return 0;
                }
        }
        if (l->n_findings >= LEDGER_FINDINGS_MAX) {
                l->more_findings++;
                return 0;
        }
        at = grow(&l->findings, &l->n_findings, sizeof(*at));
        if (!at)
                return -ENOMEM;
        *at = one;
        return 0;
}

static int add(struct ledger *l, const struct filter *f, struct rules *rules, const char *node, const struct record *r) {
        enum rule rule;
        int k;

        /* The rules see everything: what came before decides what a record means */
        k = rules_judge(rules, node, r, &rule);
        if (k < 0 || !filter_wants(f, r, rule))
                return k;
        l->records++;
        extend(&l->first_usec, &l->last_usec, r->realtime_usec);
        k = add_event(l, r);
        if (k >= 0)
                k = add_to_volume(l, node, r, rule);
        if (k >= 0)
                k = add_verdict(l, r);
        if (k >= 0 && rule != RULE_NONE)
                k = add_finding(l, node, r, rule);
        return k;
}

static int by_gravity(const void *a, const void *b) {
        const struct review_finding *x = a, *y = b;

        if (rule_gravity(x->rule) != rule_gravity(y->rule))
                return rule_gravity(x->rule) < rule_gravity(y->rule) ? -1 : 1;
        return x->first_sequence < y->first_sequence ? -1 : x->first_sequence > y->first_sequence;
}

static void finish(struct ledger *l) {
        if (l->n_findings > 0)
                qsort(l->findings, l->n_findings, sizeof(*l->findings), by_gravity);
        for (size_t i = 0; i < l->n_volumes; i++)
                workloads_sort(&l->volumes[i].io);
        for (size_t i = 0; i < l->n_volumes; i++)
                if (l->volumes[i].n_spans > 0)
                        l->volumes[i].spans[l->volumes[i].n_spans - 1].to_usec = l->last_usec;
}

int ledger_read(struct source *source, const struct filter *f, struct ledger **ret) {
        _cleanup_(ledger_freep) struct ledger *l = calloc(1, sizeof(*l));
        _cleanup_(rules_freep) struct rules *rules = NULL;
        int r;

        r = l ? filter_rules(f, &rules) : -ENOMEM;
        while (r >= 0) {
                _cleanup_(record_done) struct record record = {};

                r = source_next(source, &record);
                if (r == 0)
                        break;
                if (source_is_of_one(r)) {
                        l->broken++;
                        r = 1;
                        continue;
                }
                if (r > 0)
                        r = add(l, f, rules, source_node(source), &record);
        }
        if (r < 0)
                return r;
        finish(l);
        *ret = TAKE_PTR(l);
        return 0;
}

struct ledger *ledger_free(struct ledger *l) {
        if (!l)
                return NULL;
        for (size_t i = 0; i < l->n_volumes; i++) {
                free(l->volumes[i].moments);
                free(l->volumes[i].spans);
                free(l->volumes[i].users);
                workloads_free(&l->volumes[i].io);
        }
        free(l->volumes);
        free(l->keys);
        free(l->findings);
        free(l->events);
        free(l);
        return NULL;
}
