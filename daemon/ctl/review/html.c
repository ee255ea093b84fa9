/* SPDX-License-Identifier: Apache-2.0 */
#include "review.h"

#include "ctl/print.h"

#include <stdarg.h>

/* The report. What a trail holds came from processes and disks: everything but our own words goes through text(), and the
 * document forbids itself scripts and anything from elsewhere. */

static const char head[] =
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"referrer\" content=\"no-referrer\">\n"
        "<title>cmkd audit report</title>\n<style>\n"
        ":root{color-scheme:light dark;--ink:#1a1d21;--soft:#5b636d;--line:#d9dde2;--page:#fff;--box:#f5f6f8;"
        "--alert:#b3261e;--warning:#8a5a00;--note:#3a5a7d;--good:#1c6b3a;"
        "--open:#2f7d4f;--held:#c58a12;--recovery:#8e3fa8;--cut:#b3261e;--closed:#c3c8ce}\n"
        "@media screen and (prefers-color-scheme:dark){:root{--ink:#e4e7ea;--soft:#a0a8b1;--line:#383e45;--page:#16191c;--box:#1f2327;"
        "--alert:#ff8a80;--warning:#e8b45a;--note:#8fb8e0;--good:#7fd19b}}\n"
        "*{box-sizing:border-box}body{margin:0 auto;max-width:76rem;padding:2rem 1.5rem 4rem;background:var(--page);"
        "color:var(--ink);font:15px/1.5 system-ui,-apple-system,\"Segoe UI\",Roboto,\"DejaVu Sans\",sans-serif}\n"
        "h1{font-size:1.7rem;margin:0 0 .2rem}h2{font-size:1.25rem;margin:2.6rem 0 .6rem;border-bottom:1px solid var(--line);"
        "padding-bottom:.3rem}h3{font-size:1rem;margin:1.4rem 0 .4rem}p{margin:.4rem 0}\n"
        ".soft{color:var(--soft)}code,.mono{font-family:ui-monospace,\"DejaVu Sans Mono\",Menlo,Consolas,monospace;"
        "font-size:.86em;overflow-wrap:anywhere}\n"
        ".seal{display:inline-block;border:1.5px solid;border-radius:.4rem;padding:.35rem .8rem;margin:.8rem 0;font-weight:600}"
        ".good{color:var(--good)}.alert{color:var(--alert)}.warning{color:var(--warning)}.note{color:var(--note)}\n"
        ".facts{display:flex;flex-wrap:wrap;gap:.6rem;margin:.8rem 0;padding:0;list-style:none}"
        ".facts li{background:var(--box);border-radius:.4rem;padding:.45rem .8rem}.facts b{display:block;font-size:1.15rem}\n"
        ".scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.92rem}"
        "th,td{text-align:left;vertical-align:top;padding:.34rem .7rem .34rem 0;border-bottom:1px solid var(--line)}"
        "th{color:var(--soft);font-weight:600;white-space:nowrap}td.n,th.n{text-align:right;padding-right:1.4rem}td.t{white-space:nowrap}"
        "td.w{unicode-bidi:isolate;overflow-wrap:anywhere;min-width:9rem}\n"
        ".bar{position:relative;height:1.4rem;background:var(--box);border-radius:.3rem;margin:.6rem 0 .2rem;overflow:hidden;"
        "print-color-adjust:exact;-webkit-print-color-adjust:exact}.bar i{position:absolute;top:0;bottom:0;min-width:2px}"
        ".open{background:var(--open)}.held{background:var(--held)}.recovery{background:var(--recovery)}"
        ".cut{background:var(--cut)}.closed{background:var(--closed)}\n"
        ".ends{display:flex;justify-content:space-between;color:var(--soft);font-size:.82rem}"
        ".legend{display:flex;flex-wrap:wrap;gap:1rem;font-size:.82rem;color:var(--soft);margin:.2rem 0 .8rem}"
        ".legend i{display:inline-block;width:.8rem;height:.8rem;border-radius:.15rem;margin-right:.35rem;vertical-align:-.1rem;"
        "print-color-adjust:exact;-webkit-print-color-adjust:exact}\n"
        ".finding{border-left:4px solid;padding:.1rem 0 .1rem .9rem;margin:.9rem 0;break-inside:avoid}"
        ".finding p,.finding h3{color:var(--ink);margin:.15rem 0}.finding h3 span{text-transform:uppercase;font-size:.75rem;"
        "letter-spacing:.05em;margin-right:.5rem}\n"
        "@page{margin:15mm}@media print{body{max-width:none;padding:0;font-size:9.5pt}h2,h3{break-after:avoid}"
        "tr,.bar,.ends,.legend,.facts li,.seal{break-inside:avoid}.bar,.ends,.legend{break-after:avoid}p{orphans:3;widows:3}"
        ".facts li{print-color-adjust:exact;-webkit-print-color-adjust:exact}.scroll{overflow:visible}thead{display:table-header-group}}\n</style>\n</head>\n<body>\n";

static const char *const classes[_CONDITION_MAX] = {
        [CONDITION_CLOSED] = "closed", [CONDITION_OPEN] = "open", [CONDITION_HELD] = "held",
        [CONDITION_RECOVERY] = "recovery", [CONDITION_CUT] = "cut",
};

static void text(FILE *f, const char *s) {
        while (*s) {
                size_t n = control_length(s);

                if (n > 0)
                        fputs("&#xfffd;", f);
                else if (strchr("&<>\"'", *s))
                        fprintf(f, "&#%d;", *s);
                else
                        fputc(*s, f);
                s += MAX_OF(n, (size_t) 1);
        }
}

/* Our own markup, with text() for each %s. Only %s, %u (uint64_t) and %% are known. */
static void put(FILE *f, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        for (const char *p = format; *p; p++) {
                if (*p != '%')
                        fputc(*p, f);
                else if (*++p == 's')
                        text(f, va_arg(ap, const char *));
                else if (*p == 'u')
                        fprintf(f, "%llu", (unsigned long long) va_arg(ap, uint64_t));
                else
                        fputc(*p, f);
        }
        va_end(ap);
}

static void put_time(FILE *f, uint64_t usec) {
        char buf[64];

        review_time(usec, buf, sizeof(buf));
        put(f, "%s", usec > 0 ? buf : "-");
}

static void verification(FILE *f, const struct trail_report *t) {
        char hex[CHAIN_HEX_SIZE + 1];

        if (!t) {
                put(f, "<p class=\"seal note\">Journals of several nodes: not verified</p>\n<p>Records that are missing from them are "
                       "findings. What was changed in them does not show: verify the trails of the nodes for that.</p>\n");
                return;
        }
        chain_to_hex(t->head, hex);
        if (t->records == 0)
                put(f, "<p class=\"seal alert\">The trail has no records: there is nothing to verify</p>\n");
        else if (t->n_problems == 0)
                put(f, "<p class=\"seal good\">Verified: nothing was changed, removed or inserted</p>\n");
        else
                put(f, "<p class=\"seal alert\">The trail does not verify: %u problems</p>\n", t->n_problems);
        put(f, "<p>Records %u to %u, head <code>%s</code>%s</p>\n", t->first_sequence, t->last_sequence, hex,
            t->head_checked ? "" : " (no head file beside the trail: an end that was cut off would not show)");
        if (t->sealed > 0)
                put(f, "<p>%u of them are sealed. Whether the seals hold only the auditor's key says: <code>cmkctl audit verify "
                       "--private-key FILE</code>.</p>\n", t->sealed);
        if (t->n_problems > 0) {
                put(f, "<ul>\n");
                for (uint64_t i = 0; i < MIN_OF(t->n_problems, (uint64_t) TRAIL_PROBLEMS_MAX); i++)
                        put(f, "<li>%s line %u: %s: %s</li>\n", t->problems[i].file, t->problems[i].line, trail_problem_to_string(t->problems[i].kind),
                            t->problems[i].text);
                put(f, "</ul>\n");
        }
}

static void facts(FILE *f, const struct ledger *l, const struct trail_report *t) {
        uint64_t releases = 0, unauthorised = 0, granted = 0, revoked = 0, lost = 0;

        for (size_t i = 0; i < l->n_volumes; i++)
                releases += l->volumes[i].releases;
        for (size_t i = 0; i < l->n_findings; i++)
                unauthorised += rule_is_unauthorised(l->findings[i].rule) ? l->findings[i].count : 0;
        for (size_t i = 0; i < l->n_events; i++)
                lost += streq(l->events[i].event, "lost") ? l->events[i].daemon : 0;
        for (size_t i = 0; i < l->n_keys; i++) {
                granted += l->keys[i].polls;
                revoked += l->keys[i].verdicts[VERDICT_REVOKED];
        }
        put(f, "<ul class=\"facts\"><li><b>%u</b>records</li><li><b>%u</b>volumes</li><li><b>%u</b>keys released</li>"
               "<li><b>%u</b>challenges met by the vault</li><li><b>%u</b>answers: revoked</li>"
               "<li><b class=\"%s\">%u</b>unauthorised uses</li><li><b class=\"%s\">%u</b>findings</li><li><b>%u</b>events lost</li></ul>\n",
            l->records, (uint64_t) l->n_volumes, releases, granted, revoked, unauthorised > 0 ? "alert" : "good", unauthorised,
            l->n_findings > 0 ? "warning" : "good", (uint64_t) l->n_findings, t ? t->lost : lost);
}

static void findings(FILE *f, const struct ledger *l) {
        put(f, "<h2>Findings</h2>\n");
        if (l->n_findings == 0)
                put(f, "<p>None.</p>\n");
        for (size_t i = 0; i < l->n_findings; i++) {
                const struct review_finding *x = l->findings + i;
                const char *gravity = gravity_to_string(rule_gravity(x->rule));

                put(f, "<div class=\"finding %s\"><h3><span class=\"%s\">%s</span>%s", gravity, gravity, gravity, rule_what(x->rule));
                if (x->count > 1)
                        put(f, ", %u times", x->count);
                put(f, "</h3>\n<p>");
                put_time(f, x->first_usec);
                if (x->count > 1) {
                        put(f, " to ");
                        put_time(f, x->last_usec);
                }
                put(f, "%s%s &middot; record %u%s%s%s%s</p>\n", *x->node ? " · node " : "", x->node, x->first_sequence,
                    *x->volume ? " · volume " : "", x->volume, *x->who ? " · by " : "", x->who);
                if (*x->detail)
                        put(f, "<p class=\"mono\">%s</p>\n", x->detail);
                if (*rule_cure(x->rule))
                        put(f, "<p class=\"soft\">%s</p>\n", rule_cure(x->rule));
                put(f, "</div>\n");
        }
        if (l->more_findings > 0)
                put(f, "<p>And %u more, which are not listed.</p>\n", l->more_findings);
}

static double percent(const struct ledger *l, uint64_t usec) {
        uint64_t whole = l->last_usec - l->first_usec;

        if (whole == 0 || usec <= l->first_usec)
                return 0;
        return (double) MIN_OF(usec - l->first_usec, whole) * 100 / (double) whole;
}

static void bar(FILE *f, const struct ledger *l, const struct ledger_volume *v) {
        put(f, "<div class=\"bar\" role=\"img\" aria-label=\"The volume's condition over the time of the report\">");
        for (size_t i = 0; i < v->n_spans; i++) {
                double from = percent(l, v->spans[i].from_usec), to = percent(l, v->spans[i].to_usec);

                if (v->spans[i].condition == CONDITION_CLOSED)
                        continue;
                put(f, "<i class=\"%s\" style=\"", classes[v->spans[i].condition]);
                fprintf(f, "left:%.3f%%;width:%.3f%%\"", from, MAX_OF(to - from, 0.0));
                put(f, " title=\"%s\"></i>", condition_to_string(v->spans[i].condition));
        }
        put(f, "</div>\n<div class=\"ends\"><span>");
        put_time(f, l->first_usec);
        put(f, "</span><span>");
        put_time(f, l->last_usec);
        put(f, "</span></div>\n<div class=\"legend\">");
        for (unsigned c = CONDITION_OPEN; c < _CONDITION_MAX; c++)
                put(f, "<span><i class=\"%s\"></i>%s</span>", classes[c], condition_to_string((enum condition) c));
        put(f, "</div>\n");
}

static void history(FILE *f, const struct ledger_volume *v) {
        put(f, "<h3>What happened</h3>\n<div class=\"scroll\"><table><thead><tr><th>Time (UTC)</th><th>Event</th><th>What</th>"
               "<th class=\"n\">Record</th></tr></thead><tbody>\n");
        for (size_t i = 0; i < v->n_moments; i++) {
                const struct moment *m = v->moments + i;

                put(f, "<tr><td class=\"t\">");
                put_time(f, m->realtime_usec);
                put(f, "</td><td class=\"t %s\">%s</td><td class=\"w\">%s</td><td class=\"n\">%u</td></tr>\n",
                    m->priority <= 1 ? "alert" : m->priority <= 4 ? "warning" : "", m->event, m->text, m->sequence);
        }
        put(f, "</tbody></table></div>\n");
        if (v->more_moments > 0)
                put(f, "<p>And %u more, which are not listed.</p>\n", v->more_moments);
}

static void users(FILE *f, const struct ledger_volume *v) {
        if (v->n_users == 0)
                return;
        put(f, "<h3>Who opened it</h3>\n<div class=\"scroll\"><table><thead><tr><th>Program</th><th>Unit</th><th>User</th>"
               "<th class=\"n\">Reading</th><th class=\"n\">Writing</th><th>First</th><th>Last</th></tr></thead><tbody>\n");
        for (size_t i = 0; i < v->n_users; i++) {
                const struct user *u = v->users + i;

                put(f, "<tr><td class=\"w mono %s\">%s</td><td class=\"w\">%s</td><td class=\"t\">%s%s%s</td><td class=\"n\">%u</td>"
                       "<td class=\"n\">%u</td><td class=\"t\">", u->known ? "" : "warning", u->exe, u->unit, u->uid,
                    *u->loginuid ? ", login " : "", u->loginuid, u->reads, u->writes);
                put_time(f, u->first_usec);
                put(f, "</td><td class=\"t\">");
                put_time(f, u->last_usec);
                put(f, "</td></tr>\n");
        }
        put(f, "</tbody></table></div>\n");
        if (v->more_users > 0)
                put(f, "<p>And %u times by others, who are not listed.</p>\n", v->more_users);
}

static void workloads(FILE *f, const struct ledger_volume *v) {
        char read[32], written[32];

        if (v->io.n == 0)
                return;
        put(f, "<h3>Bytes by workload</h3>\n<div class=\"scroll\"><table><thead><tr><th>Control group</th><th class=\"n\">Read</th>"
               "<th class=\"n\">Written</th></tr></thead><tbody>\n");
        for (size_t i = 0; i < v->io.n; i++) {
                format_bytes(v->io.w[i].read, read, sizeof(read));
                format_bytes(v->io.w[i].written, written, sizeof(written));
                put(f, "<tr><td class=\"w\">%s</td><td class=\"n\">%s</td><td class=\"n\">%s</td></tr>\n", v->io.w[i].cgroup, read, written);
        }
        put(f, "</tbody></table></div>\n");
        if (v->io.more > 0)
                put(f, "<p>And %u records of others, who are not listed.</p>\n", v->io.more);
}

static void volumes(FILE *f, const struct ledger *l) {
        for (size_t i = 0; i < l->n_volumes; i++) {
                const struct ledger_volume *v = l->volumes + i;

                put(f, "<section>\n<h2>Volume %s%s%s</h2>\n<p class=\"soft\">UUID <code>%s</code>%s<code>%s</code></p>\n", v->name,
                    *v->node ? " on " : "", v->node, v->uuid, *v->key ? " · key " : "", v->key);
                bar(f, l, v);
                history(f, v);
                users(f, v);
                workloads(f, v);
                put(f, "</section>\n");
        }
        if (l->more_volumes > 0)
                put(f, "<p>%u records are of further volumes, which are not listed.</p>\n", l->more_volumes);
}

static void keys(FILE *f, const struct ledger *l) {
        if (l->n_keys == 0)
                return;
        put(f, "<h2>Keys</h2>\n<div class=\"scroll\"><table><thead><tr><th>Key</th><th>Answers, when they changed</th>"
               "<th class=\"n\">Challenges met</th><th class=\"n\">Round trip, mean</th><th>Last record</th></tr></thead><tbody>\n");
        for (size_t i = 0; i < l->n_keys; i++) {
                const struct ledger_key *k = l->keys + i;
                bool first = true;

                put(f, "<tr><td class=\"w mono\">%s</td><td>", k->key);
                for (unsigned v = 0; v < _VERDICT_MAX; v++) {
                        if (k->verdicts[v] == 0)
                                continue;
                        put(f, "%s%s %u", first ? "" : ", ", verdict_to_string((enum verdict) v), k->verdicts[v]);
                        first = false;
                }
                put(f, "</td><td class=\"n\">%u</td><td class=\"n\">%u ms</td><td class=\"t\">", k->polls,
                    k->round_trips > 0 ? k->round_trip_usec / k->round_trips / USEC_PER_MSEC : UINT64_C(0));
                put_time(f, k->last_usec);
                put(f, "</td></tr>\n");
        }
        put(f, "</tbody></table></div>\n<p class=\"soft\">Each challenge that the vault met renewed the lease of the key's volumes.</p>\n");
}

static void recording(FILE *f, const struct ledger *l, const struct trail_report *t) {
        put(f, "<h2>The recording itself</h2>\n<p>");
        if (t)
                put(f, "%u gaps and %u losses of events were recorded by cmkd-audit; %u records were joined from early trails; ", t->gaps,
                    t->lost, t->early);
        put(f, "%u %s no records.</p>\n<div class=\"scroll\"><table><thead><tr><th>Event</th><th class=\"n\">By cmkd</th>"
               "<th class=\"n\">By the kernel</th></tr></thead><tbody>\n", l->broken, t ? "lines are" : "entries are");
        for (size_t i = 0; i < l->n_events; i++)
                put(f, "<tr><td>%s</td><td class=\"n\">%u</td><td class=\"n\">%u</td></tr>\n", l->events[i].event,
                    l->events[i].daemon, l->events[i].kernel);
        put(f, "</tbody></table></div>\n");
}

int report_html(FILE *f, const char *path, const struct ledger *l, const struct trail_report *t, uint64_t now_usec) {
        fputs(head, f);
        put(f, "<header>\n<h1>cmkd audit report</h1>\n<p class=\"soft\"><code>%s</code> · ", path);
        put_time(f, l->first_usec);
        put(f, " to ");
        put_time(f, l->last_usec);
        put(f, " (UTC) · made ");
        put_time(f, now_usec);
        put(f, "</p>\n");
        verification(f, t);
        facts(f, l, t);
        put(f, "</header>\n<main>\n");
        findings(f, l);
        volumes(f, l);
        keys(f, l);
        recording(f, l, t);
        put(f, "</main>\n<footer class=\"soft\"><p>Check it again: <code>cmkctl audit verify --file FILE</code>; one record: "
               "<code>cmkctl audit show NUMBER</code>; one use from who asked to the key's end: <code>cmkctl audit show USE</code>."
               "</p></footer>\n</body>\n</html>\n");
        return fflush(f) == 0 && !ferror(f) ? 0 : -EIO;
}
