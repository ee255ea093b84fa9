/* SPDX-License-Identifier: Apache-2.0 */
#include "review.h"

#include "match.h"
#include "vault-log.h"

/* cmkctl audit reconcile: what the vault says was done with the keys, against what the nodes' trails say they asked for. */

static int read_source(struct source *s, struct issued *t) {
        uint64_t broken = 0;
        int r = 1;

        while (r > 0) {
                _cleanup_(record_done) struct record record = {};

                r = source_next(s, &record);
                if (source_is_of_one(r)) {
                        broken++;
                        r = 1;
                } else if (r > 0) {
                        r = issued_add(t, &record);
                        r = r < 0 ? r : 1;
                }
        }
        if (r == -E2BIG)
                return fail(EXIT_CODE_FAILED, "%s: more than %u requests or %u records; take a part of it", source_name(s), ISSUED_IDS_MAX,
                            ANCHORS_MAX);
        if (r < 0)
                return fail(EXIT_CODE_FAILED, "%s: %s", source_name(s), strerror(-r));
        if (broken > 0)
                return fail(EXIT_CODE_TRAIL, "%s: %llu lines are no records: see cmkctl audit verify", source_name(s),
                            (unsigned long long) broken);
        return EXIT_CODE_DONE;
}

/* The trails that are named, else the one of the options. A broken line does not end it. */
static int read_trails(const struct invocation *in, struct issued *t, bool *ret_broken) {
        size_t n = in->n_args > 1 ? in->n_args - 1 : 1;

        if (in->n_args > 1 && in->values[OPTION_FILE])
                return fail(EXIT_CODE_USAGE, "name trails after the log or with --file, not both");
        for (size_t i = 0; i < n; i++) {
                _cleanup_(source_freep) struct source *s = NULL;
                struct invocation one = *in;
                int code;

                if (in->n_args > 1)
                        one.values[OPTION_FILE] = in->args[i + 1];
                code = source_new(&one, &s);
                if (code == EXIT_CODE_DONE)
                        code = read_source(s, t);
                if (code == EXIT_CODE_TRAIL)
                        *ret_broken = true;
                else if (code != EXIT_CODE_DONE)
                        return code;
        }
        return EXIT_CODE_DONE;
}

/* Host, mount and key of an entry as the trail has them, if it has no such names. */
static int hide_names(const struct issued *t, struct privacy *p, struct vault_entry *e) {
        char uri[sizeof(e->host) + sizeof(e->mount) + sizeof(e->key) + 32], text[AUDIT_VALUE_MAX + 1];
        bool host = *e->host, mount = *e->mount;
        int r;

        if (!p || !*e->key || issued_key_of(t, e))
                return 0;
        snprintf(uri, sizeof(uri), "https://%s/v1%s%s/keys/%s", host ? e->host : "h", mount ? "/" : "", e->mount, e->key);
        r = privacy_value(p, "key", uri, text, sizeof(text));
        if (r >= 0)
                r = vault_key_split(text, e->host, e->mount, e->key);
        if (!host)
                *e->host = 0;
        if (!mount)
                *e->mount = 0;
        return r;
}

static int read_log(const char *path, struct match *m, struct privacy *privacy, uint64_t *ret_unreadable, uint64_t *ret_line) {
        _cleanup_(vault_log_freep) struct vault_log *l = NULL;
        struct vault_entry e;
        int r = vault_log_open(path, &l);

        *ret_unreadable = 0;
        while (r >= 0) {
                r = vault_log_next(l, &e);
                if (r == 0)
                        break;
                if (r == -EBADMSG) {
                        if ((*ret_unreadable)++ == 0)
                                *ret_line = vault_log_line(l);
                        r = 1;
                } else if (r > 0) {
                        r = hide_names(m->issued, privacy, &e);
                        if (r >= 0)
                                r = match_entry(m, &e, vault_log_line(l));
                }
        }
        if (r >= 0)
                r = match_finish(m);
        if (r == -E2BIG)
                return fail(EXIT_CODE_FAILED, "%s is no log of a vault that is known here", path);
        return r < 0 ? fail(EXIT_CODE_FAILED, "%s: %s", path, strerror(-r)) : EXIT_CODE_DONE;
}

static int to_json(const struct match *m, const char *path, uint64_t unreadable) {
        _cleanup_(json_object_putp) struct json_object *o = json_object_new_object();
        struct json_object *list = json_object_new_array();

        json_put_text(o, "log", path);
        json_put_number(o, "entries", m->entries);
        json_put_number(o, "unreadable", unreadable);
        review_put_time(o, "first", m->first_usec);
        review_put_time(o, "last", m->last_usec);
        json_put_number(o, "uses_of_keys", m->unwraps);
        json_put_number(o, "ours", m->ours);
        json_put_number(o, "ours_by_anchor", m->by_anchor);
        json_put_number(o, "refused", m->refused);
        json_put_number(o, "before_the_trail", m->before);
        json_put_number(o, "of_other_keys", m->other_keys);
        for (size_t i = 0; i < m->n_findings; i++) {
                const struct match_finding *f = m->findings + i;
                struct json_object *one = json_object_new_object();

                json_put_text(one, "finding", mismatch_id(f->kind));
                json_put_text(one, "what", mismatch_what(f->kind));
                json_put_text(one, "key", f->key->text);
                json_put_text(one, "operation", f->operation);
                json_put_text(one, "address", f->address);
                json_put_text(one, "identity", f->identity);
                json_put_text(one, "client", f->client);
                json_put_text(one, "request", f->id);
                json_put_number(one, f->kind == MISMATCH_MISSING ? "record" : "line", f->place);
                json_put_number(one, "count", f->count);
                review_put_time(one, "first", f->first_usec);
                review_put_time(one, "last", f->last_usec);
                if (f->started_usec > 0)
                        review_put_time(one, "cmkd_started", f->started_usec);
                json_put_text(one, "cure", mismatch_cure(f->kind));
                json_object_array_add(list, one);
        }
        json_object_object_add(o, "findings", list);
        json_put_number(o, "left_out", m->more_findings);
        return print_json(o);
}

static void print_part(const char *before, const char *text) {
        if (!*text)
                return;
        fputs(before, stdout);
        print_clean(stdout, text);
}

static void print_finding(const struct match_finding *f) {
        char first[64], last[64];

        review_time(f->first_usec, first, sizeof(first));
        review_time(f->last_usec, last, sizeof(last));
        printf("%s: %s", mismatch_is_note(f->kind) ? "note" : "alert", mismatch_what(f->kind));
        if (f->count > 1)
                printf(", %llu times", (unsigned long long) f->count);
        printf("\n    %s%s%s, %s %llu", first, f->count > 1 ? " to " : "", f->count > 1 ? last : "",
               f->kind == MISMATCH_MISSING ? "record" : "line", (unsigned long long) f->place);
        print_part(", request ", f->id);
        print_part("\n    key ", f->key->text);
        print_part(", ", f->operation);
        print_part("\n    from ", f->address);
        print_part(", ", f->identity);
        print_part(", ", f->client);
        if (f->started_usec > 0) {
                review_time(f->started_usec, first, sizeof(first));
                printf("\n    cmkd was started at %s: had it been killed before, the ids of its last polls went with it", first);
        }
        printf("\n    %s\n", mismatch_cure(f->kind));
}

static void to_people(const struct match *m, const char *path, uint64_t unreadable, uint64_t line) {
        char first[64], last[64];

        review_time(m->first_usec, first, sizeof(first));
        review_time(m->last_usec, last, sizeof(last));
        print_clean(stdout, path);
        printf(": %llu entries", (unsigned long long) m->entries);
        for (unsigned k = 0; k < _VAULT_LOG_KIND_MAX; k++)
                if (m->kinds[k])
                        printf(" of %s", vault_log_kind_to_string((enum vault_log_kind) k));
        if (m->first_usec > 0)
                printf(" from %s to %s (UTC)", first, last);
        printf("\n%llu uses of keys that are in the trail: %llu for its requests, %llu refused; %llu of other keys\n",
               (unsigned long long) m->unwraps, (unsigned long long) m->ours, (unsigned long long) m->refused,
               (unsigned long long) m->other_keys);
        if (m->by_anchor > 0)
                printf("%llu of them carry a head of the trail for their id and nothing else: polls that cmkd had not recorded, or somebody "
                       "on this node who is root\n", (unsigned long long) m->by_anchor);
        if (m->before > 0)
                printf("%llu are older than the trail: nothing is known of them\n", (unsigned long long) m->before);
        if (unreadable > 0)
                printf("%llu places of the log are no entries, the first on line %llu\n", (unsigned long long) unreadable,
                       (unsigned long long) line);
        printf("\n%zu finding%s\n", m->n_findings, m->n_findings == 1 ? "" : "s");
        for (size_t i = 0; i < m->n_findings; i++)
                print_finding(m->findings + i);
        if (m->more_findings > 0)
                printf("and %llu more\n", (unsigned long long) m->more_findings);
}

static int judge(const struct match *m, const char *path, uint64_t unreadable, bool broken) {
        for (size_t i = 0; i < m->n_findings; i++)
                if (!mismatch_is_note(m->findings[i].kind))
                        return fail(EXIT_CODE_TRAIL, "the trail and %s do not agree", path);
        if (broken)
                return EXIT_CODE_TRAIL;
        if (unreadable > 0)
                return fail(EXIT_CODE_FAILED, "%s: what cannot be read there may be anything", path);
        if (m->unwraps == 0)
                return fail(EXIT_CODE_FAILED, "%s says nothing of a key that is in the trail: is it that vault's, of that time?", path);
        return EXIT_CODE_DONE;
}

int verb_audit_reconcile(const struct invocation *in) {
        _cleanup_(issued_done) struct issued issued = {};
        _cleanup_(match_done) struct match m = { .issued = &issued };
        _cleanup_(filter_done) struct filter f = {};
        uint64_t unreadable, line = 0;
        const char *path = in->args[0];
        bool broken = false;
        int code;

        code = filter_read(in, &f);
        if (code == EXIT_CODE_DONE)
                code = read_trails(in, &issued, &broken);
        if (code != EXIT_CODE_DONE)
                return code;
        if (issued.has_pseudonyms && !f.veil.privacy)
                return fail(EXIT_CODE_FAILED, "the trail has pseudonyms of keys (Privacy=strict), the log their names: --privacy-key FILE");
        m.since_usec = f.since_usec;
        m.until_usec = f.until_usec;
        m.only = issued.has_pseudonyms && f.veil.key ? f.veil.key : f.key;
        code = read_log(path, &m, f.veil.privacy, &unreadable, &line);
        if (code != EXIT_CODE_DONE)
                return code;
        if (has_option(in, OPTION_JSON))
                code = to_json(&m, path, unreadable);
        else
                to_people(&m, path, unreadable, line);
        return code == EXIT_CODE_DONE ? judge(&m, path, unreadable, broken) : code;
}
