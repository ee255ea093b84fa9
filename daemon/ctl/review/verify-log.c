/* SPDX-License-Identifier: Apache-2.0 */
#include "verify-log.h"

#include "ctl/when.h"
#include "review.h"
#include "vault-log.h"

static int read_time(const char *text, uint64_t *ret) {
        if (text && parse_when(text, instant_now().realtime_usec, ret) < 0)
                return fail(EXIT_CODE_USAGE, "%s is no time: YYYY-MM-DD[ HH:MM[:SS]], HH:MM, today, yesterday, or a span ago such as 10min",
                            text);
        return EXIT_CODE_DONE;
}

static int own(struct verify_log *v, const char *machine_id) {
        uint8_t tag[ANCHOR_TAG_SIZE];
        int r = anchor_tag(machine_id, tag);

        return r < 0 ? r : anchor_log_own(&v->log, tag);
}

int verify_log_prepare(const struct invocation *in, struct verify_log *ret) {
        _cleanup_(freep) char *text = NULL;
        struct verify_log v = { .path = in->values[OPTION_VAULT_LOG] };
        const char *machine_id = in->values[OPTION_MACHINE_ID];
        int code;

        if (!v.path && (machine_id || has_option(in, OPTION_SINCE) || has_option(in, OPTION_UNTIL)))
                return fail(EXIT_CODE_USAGE, "--machine-id, --since and --until are for --vault-log");
        code = read_time(in->values[OPTION_SINCE], &v.log.since_usec);
        if (code == EXIT_CODE_DONE)
                code = read_time(in->values[OPTION_UNTIL], &v.log.until_usec);
        if (code != EXIT_CODE_DONE)
                return code;
        if (machine_id && own(&v, machine_id) < 0)
                return fail(EXIT_CODE_USAGE, "%s is no machine id: 32 digits, as in /etc/machine-id", machine_id);
        if (v.path && !in->values[OPTION_FILE] && read_small_file("/etc/machine-id", 64, &text, NULL) >= 0)
                (void) own(&v, text);
        *ret = v;
        return EXIT_CODE_DONE;
}

int verify_log_record(const struct record *r, const uint8_t hash[static CHAIN_HASH_SIZE], void *user) {
        struct verify_log *v = user;

        return v->path ? anchor_log_record(&v->log, r, hash) : 0;
}

int verify_log_read(struct verify_log *v) {
        _cleanup_(vault_log_freep) struct vault_log *l = NULL;
        struct vault_entry e;
        bool too_many = false;
        int r;

        if (!v->path)
                return EXIT_CODE_DONE;
        r = vault_log_open(v->path, &l);
        while (r >= 0) {
                r = vault_log_next(l, &e);
                if (r == 0)
                        break;
                if (r == -EBADMSG) {
                        if (v->unreadable++ == 0)
                                v->unreadable_line = vault_log_line(l);
                        r = 1;
                } else if (r > 0) {
                        r = anchor_log_entry(&v->log, &e, vault_log_line(l));
                        too_many = r == -E2BIG;
                }
        }
        if (too_many)
                return fail(EXIT_CODE_FAILED, "%s has ids of more than %u nodes, or more than %u of this one: take a part of it (--since)",
                            v->path, ANCHOR_NODES_MAX, ANCHOR_SEEN_MAX);
        if (r == -E2BIG)
                return fail(EXIT_CODE_FAILED, "%s is no log of a vault that is known here", v->path);
        if (r < 0)
                return fail(EXIT_CODE_FAILED, "%s: %s", v->path, strerror(-r));
        anchor_log_finish(&v->log);
        return EXIT_CODE_DONE;
}

static bool contradicts(const struct anchor_log *l) { return l->lost > 0 || l->backwards > 0; }

bool verify_log_holds(const struct verify_log *v) {
        return !v->path || (!contradicts(&v->log) && v->unreadable == 0 && v->log.found > 0);
}

/* What may have happened to the record of an anchor that has none. */
static const char *explain_lost(const struct anchor_log *l) {
        if (l->worst->first.usec + ANCHOR_SLACK_USEC < l->first_record_usec)
                return "the trail begins later: an earlier one of this node is not here (if that was archived: --since)";
        if (l->worst->first.usec > l->last_record_usec)
                return "its end was cut off, or this copy is older than the log: take a newer one";
        return "the trail was written anew from there on, or its end was cut off; or somebody else made the id (see who used it)";
}

static void put_place(struct json_object *o, const struct anchor_place *p) {
        json_put_text(o, "request", p->id);
        json_put_number(o, "line", p->line);
        json_put_text(o, "address", p->address);
        json_put_text(o, "identity", p->identity);
}

static void put_seen(struct json_object *o, const char *record, const char *at, const struct anchor_seen *s) {
        json_put_number(o, record, s->sequence);
        review_put_time(o, at, s->usec);
}

static struct json_object *problems_to_json(const struct anchor_log *l) {
        struct json_object *list = json_object_new_array(), *one;

        if (l->lost > 0) {
                one = json_object_new_object();
                json_put_text(one, "kind", "lost");
                json_put_number(one, "count", l->lost);
                review_put_time(one, "first", l->worst->first.usec);
                review_put_time(one, "last", l->worst->last.usec);
                put_place(one, &l->worst->first);
                put_seen(one, "kept_record", "kept_at", &l->kept);
                json_put_text(one, "text", explain_lost(l));
                json_object_array_add(list, one);
        }
        if (l->backwards > 0) {
                one = json_object_new_object();
                json_put_text(one, "kind", "backwards");
                json_put_number(one, "count", l->backwards);
                put_seen(one, "record", "at", &l->back_to);
                put_seen(one, "after_record", "after", &l->back_from);
                json_object_array_add(list, one);
        }
        return list;
}

void verify_log_to_json(const struct verify_log *v, struct json_object *o) {
        const struct anchor_log *l = &v->log;
        struct json_object *a;

        if (!v->path)
                return;
        a = json_object_new_object();
        json_put_text(a, "log", v->path);
        json_put_number(a, "entries", l->entries);
        json_put_number(a, "unreadable", v->unreadable);
        json_put_number(a, "found", l->found);
        put_seen(a, "record", "record_at", &l->newest);
        json_put_number(a, "newer_records", l->newer);
        put_seen(a, "slowest_record", "slowest_at", &l->slowest);
        json_put_number(a, "slowest_seconds", l->slowest_usec / USEC_PER_SEC);
        json_put_number(a, "without", l->plain);
        json_put_number(a, "of_others", l->others);
        json_put_number(a, "other_nodes", l->other_nodes);
        json_put_number(a, "of_others_by_our_identity", l->others_alike);
        json_put_number(a, "refused_strangers", l->strangers);
        json_put_number(a, "lost", l->lost);
        json_put_number(a, "backwards", l->backwards);
        json_object_object_add(a, "problems", problems_to_json(l));
        json_object_object_add(o, "anchors", a);
}

static void problems_to_people(const struct anchor_log *l) {
        char first[64], last[64];

        if (l->lost > 0) {
                const struct anchor_place *p = &l->worst->first;

                review_time(p->usec, first, sizeof(first));
                review_time(l->worst->last.usec, last, sizeof(last));
                printf("lost: %llu ids carry a head of this node's trail that is no record of it, from %s to %s (UTC, the vault's clock): %s\n",
                       (unsigned long long) l->lost, first, last, explain_lost(l));
                printf("    line %llu, request %s", (unsigned long long) p->line, p->id);
                fputs(*p->address ? ", from " : "", stdout);
                print_clean(stdout, p->address);
                fputs(*p->identity ? ", " : "", stdout);
                print_clean(stdout, p->identity);
                putchar('\n');
                review_time(l->kept.usec, first, sizeof(first));
                if (l->kept.sequence > 0)
                        printf("    before that record %llu was the head, at %s: up to there the trail is what it was\n",
                               (unsigned long long) l->kept.sequence, first);
        }
        if (l->backwards > 0) {
                review_time(l->back_from.usec, first, sizeof(first));
                review_time(l->back_to.usec, last, sizeof(last));
                printf("backwards: %llu ids carry an older head than ids before them, the first that of record %llu at %s, after that of "
                       "record %llu at %s: the trail was put back for a time, or somebody used the id of an older one\n",
                       (unsigned long long) l->backwards, (unsigned long long) l->back_to.sequence, last,
                       (unsigned long long) l->back_from.sequence, first);
        }
}

static void others_to_people(const struct anchor_log *l) {
        if (l->plain > 0)
                printf("%llu uses of keys carry no head: releases, polls before cmkd knew one, somebody else (cmkctl audit reconcile)\n",
                       (unsigned long long) l->plain);
        if (l->others > 0)
                printf("%llu carry heads of other nodes' trails (nodes: %llu)\n", (unsigned long long) l->others,
                       (unsigned long long) l->other_nodes);
        if (l->others_alike > 0)
                printf("    %llu of them by an identity that is this node's too: a trail that was written anew under another name looks "
                       "so; --machine-id with what is known of the node from elsewhere tells\n", (unsigned long long) l->others_alike);
        if (l->strangers > 0)
                printf("%llu were refused and came from nobody who is known: anybody can send such, they are not looked at\n",
                       (unsigned long long) l->strangers);
}

void verify_log_to_people(const struct verify_log *v, bool whole) {
        const struct anchor_log *l = &v->log;
        char first[64], last[64], span[32];

        if (!v->path)
                return;
        review_time(l->first_usec, first, sizeof(first));
        review_time(l->last_usec, last, sizeof(last));
        print_clean(stdout, v->path);
        printf(": %llu entries", (unsigned long long) l->entries);
        if (l->first_usec > 0)
                printf(" from %s to %s (UTC)", first, last);
        putchar('\n');
        if (v->unreadable > 0)
                printf("%llu places of the log are no entries, the first on line %llu\n", (unsigned long long) v->unreadable,
                       (unsigned long long) v->unreadable_line);
        if (l->found > 0) {
                review_time(l->newest.usec, last, sizeof(last));
                printf("%llu uses of keys carry a head of this trail: %s record %llu it is what it was at %s by the vault's clock; "
                       "%llu records are newer\n", (unsigned long long) l->found, whole ? "up to" : "in",
                       (unsigned long long) l->newest.sequence, last, (unsigned long long) l->newer);
        }
        if (l->slowest.sequence > 0) {
                review_time(l->slowest.usec, last, sizeof(last));
                format_span(l->slowest_usec / USEC_PER_SEC, span, sizeof(span));
                printf("record %llu had to wait longest for it, %s, until %s: until then it could have been written anew\n",
                       (unsigned long long) l->slowest.sequence, span, last);
        }
        others_to_people(l);
        problems_to_people(l);
}

int verify_log_judge(const struct verify_log *v, const char *trail) {
        if (!v->path)
                return EXIT_CODE_DONE;
        if (contradicts(&v->log))
                return fail(EXIT_CODE_TRAIL, "%s is not what %s says it was", trail, v->path);
        if (v->unreadable > 0)
                return fail(EXIT_CODE_FAILED, "%s: what cannot be read there may be anything", v->path);
        if (v->log.found == 0)
                return fail(EXIT_CODE_FAILED, "%s says nothing of this trail: is it that vault's, of that time? Without --machine-id only the "
                            "trail itself says whose it is", v->path);
        return EXIT_CODE_DONE;
}

void verify_log_done(struct verify_log *v) {
        anchor_log_done(&v->log);
}
