/* SPDX-License-Identifier: Apache-2.0 */
#include "source-journal.h"
#include "journal-files.h"

#include "audit/privacy.h"

#include "common/json-text.h"

#include <ctype.h>
#include <syslog.h>
#include <time.h>

#define UNIT_MATCH "_SYSTEMD_UNIT=cmkd-audit.service"

struct node {
        char machine[33], name[80];
        uint64_t sequence;                 /* of the last record; 0: none yet */
        uint8_t hash[CHAIN_HASH_SIZE];
};

struct journal_source {
        struct journal_files *files;
        struct node *nodes;
        size_t n_nodes, at;                /* at: the last record's */
        uint64_t place;
        struct record waiting;             /* behind a sequence_gap */
        bool is_waiting;
};

struct journal_source *journal_source_free(struct journal_source *s) {
        if (!s)
                return NULL;
        if (s->is_waiting)
                record_done(&s->waiting);
        journal_files_free(s->files);
        free(s->nodes);
        free(s);
        return NULL;
}
static void journal_source_freep(struct journal_source **s) { journal_source_free(*s); }

int journal_source_open(const char *dir, struct journal_source **ret) {
        _cleanup_(journal_source_freep) struct journal_source *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return -ENOMEM;
        r = journal_files_open(dir, UNIT_MATCH, AUDIT_VALUE_MAX + AUDIT_NAME_MAX + 16, &s->files);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

static int find_node(struct journal_source *s, sd_journal *j, size_t *ret) {
        char machine[33], host[65];
        struct node *bigger, *n;
        bool twice = false;

        journal_get_text(j, "_MACHINE_ID", machine, sizeof(machine));
        for (size_t i = 0; i < s->n_nodes; i++)
                if (streq(s->nodes[i].machine, machine)) {
                        *ret = i;
                        return 0;
                }
        if (s->n_nodes >= JOURNAL_NODES_MAX)
                return -E2BIG;
        bigger = reallocarray(s->nodes, s->n_nodes + 1, sizeof(*bigger));
        if (!bigger)
                return -ENOMEM;
        s->nodes = bigger;
        journal_get_text(j, "_HOSTNAME", host, sizeof(host));
        for (size_t i = 0; i < s->n_nodes; i++)
                twice = twice || streq(s->nodes[i].name, host);
        n = s->nodes + s->n_nodes;
        *n = (struct node) {};
        memcpy(n->machine, machine, sizeof(n->machine));
        if (twice || !*host)
                snprintf(n->name, sizeof(n->name), "%s/%.8s", *host ? host : "?", machine);
        else
                snprintf(n->name, sizeof(n->name), "%s", host);
        *ret = s->n_nodes++;
        return 0;
}

/* A node whose names are pseudonyms has one for its own (Privacy=strict): journald's word for it is not to be told. */
static void name_node(struct journal_source *s, sd_journal *j, struct node *n) {
        char name[PRIVACY_WORD_SIZE];
        bool twice = false;

        journal_get_text(j, "CMKD_NODE", name, sizeof(name));
        if (*name != '~' || startswith(n->name, name))
                return;
        for (size_t i = 0; i < s->n_nodes; i++)
                twice = twice || streq(s->nodes[i].name, name);
        if (twice)
                snprintf(n->name, sizeof(n->name), "%s/%.8s", name, n->machine);
        else
                snprintf(n->name, sizeof(n->name), "%s", name);
}

static int set_time(struct record *r, uint64_t usec) {
        time_t t = (time_t) (usec / USEC_PER_SEC);
        struct tm tm;

        if (usec / USEC_PER_SEC > UINT64_C(253402300799) || !gmtime_r(&t, &tm))
                return -EBADMSG;
        r->realtime_usec = usec;
        snprintf(r->time, sizeof(r->time), "%04d-%02d-%02dT%02d:%02d:%02d.%06uZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                 tm.tm_hour, tm.tm_min, tm.tm_sec, (unsigned) (usec % USEC_PER_SEC));
        return 0;
}

/* A field, its text owned by r->json. */
static int add_field(struct record *r, const char *name, const char *value, size_t size) {
        struct json_object *v;

        if (r->n_fields >= AUDIT_FIELDS_MAX || !audit_name_is_valid(name) || strlen(name) > AUDIT_NAME_MAX)
                return 0;
        if (!r->json && !(r->json = json_object_new_object()))
                return -ENOMEM;
        v = json_object_new_string_len(value, (int) size);
        if (!v || json_object_object_add(r->json, name, v) < 0) {
                json_object_put(v);
                return -ENOMEM;
        }
        r->n_fields++;
        return 0;
}

/* Names and texts are the object's: only when all are in does none of them move any more. */
static void point_into(struct record *r) {
        r->n_fields = 0;
        if (!r->json)
                return;
        json_object_object_foreach((struct json_object *) r->json, name, v) {
                r->fields[r->n_fields].name = name;
                r->fields[r->n_fields++].value = json_object_get_string(v);
        }
}

static int take_special(struct record *r, const char *name, const char *value) {
        if (streq(name, "event")) {
                if (!audit_name_is_valid(value) || strlen(value) > AUDIT_NAME_MAX)
                        return -EBADMSG;
                snprintf(r->event, sizeof(r->event), "%s", value);
        } else if (streq(name, "source"))
                r->source = streq(value, "kernel") ? RECORD_KERNEL : RECORD_DAEMON;
        else if (streq(name, "seq"))
                return parse_u64(value, UINT64_MAX - 1, &r->sequence) < 0 ? -EBADMSG : 1;
        else if (streq(name, "hash"))
                return chain_from_hex(value, strlen(value), r->hash) < 0 ? -EBADMSG : 1;
        else if (streq(name, "node"))
                return 1;                      /* of the mirror, not of the record: name_node() */
        else
                return 0;
        return 1;
}

static int take_field(struct record *r, const char *data, size_t size) {
        const char *equals = memchr(data, '=', size);
        char name[AUDIT_NAME_MAX + 1], value[AUDIT_VALUE_MAX + 1];
        size_t n;
        int k;

        if (size < 6 || memcmp(data, "CMKD_", 5) != 0 || !equals || equals - data - 5 >= (ptrdiff_t) sizeof(name))
                return 0;
        n = (size_t) (equals - data - 5);
        for (size_t i = 0; i < n; i++)
                name[i] = (char) tolower((unsigned char) data[5 + i]);
        name[n] = 0;
        n = MIN_OF(size - (size_t) (equals + 1 - data), sizeof(value) - 1);
        memcpy(value, equals + 1, n);
        value[n] = 0;
        if (strlen(value) != n)
                return -EBADMSG;
        k = take_special(r, name, value);
        if (k != 0)
                return k < 0 ? k : 0;
        return add_field(r, name, value, n);
}

/* The entry at hand. Returns 0, -EBADMSG (no record), -ENOMEM or -errno. */
static int read_entry(sd_journal *j, struct record *ret) {
        struct record r = {};
        const void *data;
        char text[16];
        uint64_t usec, priority = LOG_INFO;
        size_t size;
        int k;

        k = sd_journal_get_realtime_usec(j, &usec);
        if (k >= 0)
                k = set_time(&r, usec);
        sd_journal_restart_data(j);
        while (k >= 0 && (k = sd_journal_enumerate_available_data(j, &data, &size)) > 0)
                k = take_field(&r, data, size);
        journal_get_text(j, "PRIORITY", text, sizeof(text));
        if (parse_u64(text, LOG_DEBUG, &priority) >= 0)
                r.priority = (int) priority;
        if (k >= 0 && (!*r.event || r.sequence == 0))
                k = -EBADMSG;
        if (k < 0) {
                record_done(&r);
                return k;
        }
        point_into(&r);
        *ret = r;
        return 0;
}

/* A record that nobody wrote: what is missing before that one. */
static int make_gap(const struct record *before, const struct node *n, struct record *ret) {
        struct record r = { .sequence = before->sequence, .realtime_usec = before->realtime_usec, .source = RECORD_DAEMON,
                            .priority = LOG_WARNING };
        char text[24];
        int k;

        memcpy(r.time, before->time, sizeof(r.time));
        snprintf(r.event, sizeof(r.event), SEQUENCE_GAP_EVENT);
        if (before->sequence > n->sequence) {
                snprintf(text, sizeof(text), "%llu", (unsigned long long) (n->sequence + 1));
                k = add_field(&r, "first", text, strlen(text));
                snprintf(text, sizeof(text), "%llu", (unsigned long long) (before->sequence - 1));
                k = k < 0 ? k : add_field(&r, "last", text, strlen(text));
                snprintf(text, sizeof(text), "%llu", (unsigned long long) (before->sequence - n->sequence - 1));
                k = k < 0 ? k : add_field(&r, "count", text, strlen(text));
        } else {
                snprintf(text, sizeof(text), "%llu", (unsigned long long) n->sequence);
                k = add_field(&r, "after", text, strlen(text));
                k = k < 0 ? k : add_field(&r, "why", "a number came again: rewritten, or begun anew", 45);
        }
        if (k < 0) {
                record_done(&r);
                return k;
        }
        point_into(&r);
        *ret = r;
        return 0;
}

static void count(struct node *n, const struct record *r) {
        n->sequence = r->sequence;
        memcpy(n->hash, r->hash, sizeof(n->hash));
}

int journal_source_next(struct journal_source *s, struct record *ret) {
        for (;;) {
                struct record r;
                struct node *n;
                sd_journal *j;
                int k;

                if (s->is_waiting) {
                        s->is_waiting = false;
                        *ret = s->waiting;
                        return 1;
                }
                k = journal_files_next(s->files, &j);
                if (k <= 0)
                        return k;
                s->place++;
                k = find_node(s, j, &s->at);
                if (k >= 0)
                        k = read_entry(j, &r);
                if (k < 0)
                        return k;
                n = s->nodes + s->at;
                name_node(s, j, n);
                if (n->sequence == r.sequence && memcmp(n->hash, r.hash, sizeof(r.hash)) == 0) {
                        record_done(&r);       /* collected twice */
                        continue;
                }
                if (n->sequence > 0 && r.sequence != n->sequence + 1) {
                        k = make_gap(&r, n, ret);
                        if (k < 0) {
                                record_done(&r);
                                return k;
                        }
                        count(n, &r);
                        s->waiting = r;
                        s->is_waiting = true;
                        return 1;
                }
                count(n, &r);
                *ret = r;
                return 1;
        }
}

const char *journal_source_node(const struct journal_source *s) {
        return s->n_nodes > 0 ? s->nodes[s->at].name : "";
}

uint64_t journal_source_place(const struct journal_source *s) {
        return s->place;
}

int journal_source_wait(struct journal_source *s) {
        return journal_files_wait(s->files);
}
