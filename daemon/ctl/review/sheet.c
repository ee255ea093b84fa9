/* SPDX-License-Identifier: Apache-2.0 */
#include "sheet.h"

#include "ctl/print.h"
#include "common/json-text.h"
#include "cgroup.h"

/* Columns of a sheet: what a record has of its own, then fields by their names; all other fields share the last one. */
static const char *const columns[] = {
        "volume", "uuid", "use", "key", "verb", "action", "cause", "step", "verdict", "counted_as", "code", "http_status",
        "request_id", "result", "mode", "dev", "by", "exe", "comm", "pid", "ppid", "uid", "loginuid", "session", "cgroup",
};

static bool is_column(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(columns); i++)
                if (streq(columns[i], name))
                        return true;
        return false;
}

/* What a spreadsheet would take for a formula becomes text: a quote before it is not shown. White space before it does not
 * stop every program from looking behind it. */
static void cell(FILE *f, bool first, const char *text) {
        const char *ink = text + strspn(text, " \t\r\n");

        fputs(first ? "\"" : ",\"", f);
        if (*ink && strchr("=+-@|%", *ink))
                fputc('\'', f);
        while (*text) {
                size_t n = control_length(text);

                if (*text == '"')
                        fputc('"', f);
                fputc(n > 0 ? ' ' : *text, f);
                text += MAX_OF(n, (size_t) 1);
        }
        fputc('"', f);
}

static void number(FILE *f, bool first, uint64_t v) {
        fprintf(f, "%s%llu", first ? "" : ",", (unsigned long long) v);
}

static void other_fields(const struct record *r, char *buf, size_t size) {
        size_t n = 0;

        *buf = 0;
        for (size_t i = 0; i < r->n_fields && n < size; i++)
                if (!is_column(r->fields[i].name))
                        n += (size_t) snprintf(buf + n, size - n, "%s%s=%s", n > 0 ? "; " : "", r->fields[i].name,
                                               r->fields[i].value);
}

static void csv_head(FILE *f) {
        fputs("node,number,time,source,event,priority,finding,gravity,unit", f);
        for (size_t i = 0; i < ELEMENTSOF(columns); i++)
                fprintf(f, ",%s", columns[i]);
        fputs(",other,hash\r\n", f);
}

static void csv_record(FILE *f, const char *node, const struct record *r, enum rule rule) {
        char text[AUDIT_FIELDS_MAX * (AUDIT_NAME_MAX + AUDIT_VALUE_MAX + 4)], hex[CHAIN_HEX_SIZE + 1];

        cell(f, true, node);
        number(f, false, r->sequence);
        cell(f, false, r->time);
        cell(f, false, record_source_to_string(r->source));
        cell(f, false, r->event);
        number(f, false, (uint64_t) r->priority);
        cell(f, false, rule == RULE_NONE ? "" : rule_id(rule));
        cell(f, false, rule == RULE_NONE ? "" : gravity_to_string(rule_gravity(rule)));
        cgroup_unit(strempty(record_field(r, "cgroup")), text, sizeof(text));
        cell(f, false, text);
        for (size_t i = 0; i < ELEMENTSOF(columns); i++)
                cell(f, false, strempty(record_field(r, columns[i])));
        other_fields(r, text, sizeof(text));
        cell(f, false, text);
        chain_to_hex(r->hash, hex);
        cell(f, false, hex);
        fputs("\r\n", f);
}

struct json_object *record_to_json(const char *node, const struct record *r, enum rule rule) {
        struct json_object *o = json_object_new_object(), *fields = json_object_new_object();
        char hex[CHAIN_HEX_SIZE + 1];

        if (!o || !fields) {
                json_object_put(o);
                json_object_put(fields);
                return NULL;
        }
        if (*node)
                json_put_text(o, "node", node);
        json_object_object_add(o, "number", json_object_new_uint64(r->sequence));
        json_put_text(o, "time", r->time);
        json_object_object_add(o, "boottime_us", json_object_new_uint64(r->boottime_usec));
        json_put_text(o, "source", record_source_to_string(r->source));
        json_put_text(o, "event", r->event);
        json_object_object_add(o, "priority", json_object_new_int(r->priority));
        json_put_text(o, "finding", rule == RULE_NONE ? "" : rule_id(rule));
        json_object_object_add(o, "unauthorised", json_object_new_boolean(rule_is_unauthorised(rule)));
        for (size_t i = 0; i < r->n_fields; i++)
                json_put_text(fields, r->fields[i].name, r->fields[i].value);
        json_object_object_add(o, "fields", fields);
        chain_to_hex(r->hash, hex);
        json_put_text(o, "hash", hex);
        return o;
}

static int json_record(FILE *f, const char *node, const struct record *r, enum rule rule, bool first) {
        _cleanup_(json_object_putp) struct json_object *o = record_to_json(node, r, rule);

        if (!o)
                return -ENOMEM;
        fprintf(f, "%s%s", first ? "\n" : ",\n", json_object_to_json_string_ext(o, RECORD_JSON_FLAGS));
        return 0;
}

int sheet_write(FILE *f, struct source *s, const struct filter *filter, enum sheet_format format, uint64_t *ret_records,
                uint64_t *ret_broken) {
        _cleanup_(rules_freep) struct rules *rules = NULL;
        uint64_t records = 0, broken = 0;
        enum rule rule;
        int r;

        r = filter_rules(filter, &rules);
        fputs(format == SHEET_JSON ? "[" : "", f);
        if (format == SHEET_CSV)
                csv_head(f);
        while (r >= 0) {
                _cleanup_(record_done) struct record record = {};

                r = source_next(s, &record);
                if (r == 0)
                        break;
                if (source_is_of_one(r)) {
                        broken++;
                        r = 1;
                        continue;
                }
                if (r > 0)
                        r = rules_judge(rules, source_node(s), &record, &rule);
                if (r < 0 || !filter_wants(filter, &record, rule))
                        continue;
                if (format == SHEET_CSV)
                        csv_record(f, source_node(s), &record, rule);
                else
                        r = json_record(f, source_node(s), &record, rule, records == 0);
                records++;
        }
        if (r < 0)
                return r;
        fputs(format == SHEET_JSON ? "\n]\n" : "", f);
        *ret_records = records;
        *ret_broken = broken;
        return fflush(f) == 0 && !ferror(f) ? 0 : -EIO;
}
