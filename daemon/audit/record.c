/* SPDX-License-Identifier: Apache-2.0 */
#include "record.h"

#include "common/json-text.h"

#include <inttypes.h>
#include <syslog.h>
#include <time.h>

static const char *const source_names[_RECORD_SOURCE_MAX] = { [RECORD_DAEMON] = "daemon", [RECORD_KERNEL] = "kernel" };

const char *record_source_to_string(enum record_source s) {
        return (unsigned) s < _RECORD_SOURCE_MAX ? source_names[s] : NULL;
}

/* Writing. Nothing is written past the end; full says that something was left out. */
struct writer {
        char *p, *end;
        bool full;
};

static void put(struct writer *w, const char *s, size_t size) {
        if ((size_t) (w->end - w->p) < size) {
                w->full = true;
                return;
        }
        memcpy(w->p, s, size);
        w->p += size;
}

static void puts_to(struct writer *w, const char *s) {
        put(w, s, strlen(s));
}

static void put_u64(struct writer *w, uint64_t v) {
        char text[24];

        snprintf(text, sizeof(text), "%" PRIu64, v);
        puts_to(w, text);
}

/* The length of the UTF-8 sequence at s, 0 if it is none (overlong, surrogate, too large, cut off). */
static size_t utf8_length(const unsigned char *s) {
        if (s[0] < 0x80)
                return 1;
        if (s[0] >= 0xc2 && s[0] <= 0xdf)
                return (s[1] & 0xc0) == 0x80 ? 2 : 0;
        if ((s[0] & 0xf0) == 0xe0) {
                if ((s[1] & 0xc0) != 0x80 || (s[2] & 0xc0) != 0x80 || (s[0] == 0xe0 && s[1] < 0xa0) ||
                    (s[0] == 0xed && s[1] > 0x9f))
                        return 0;
                return 3;
        }
        if (s[0] >= 0xf0 && s[0] <= 0xf4) {
                if ((s[1] & 0xc0) != 0x80 || (s[2] & 0xc0) != 0x80 || (s[3] & 0xc0) != 0x80 ||
                    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
                        return 0;
                return 4;
        }
        return 0;
}

/* What a reader makes of it has to be a value again (record_to_message()): replaced bytes are longer there. */
static void put_text(struct writer *w, const char *text) {
        const unsigned char *s = (const unsigned char *) text;
        size_t room = AUDIT_VALUE_MAX;

        put(w, "\"", 1);
        while (*s) {
                size_t n = 0;
                char escape[8];
                bool replaced;

                /* Plain ones at a go: nearly all of them are */
                while (n < room && s[n] >= ' ' && s[n] < 127 && s[n] != '"' && s[n] != '\\')
                        n++;
                put(w, (const char *) s, n);
                s += n;
                room -= n;
                if (!*s)
                        break;
                n = utf8_length(s);
                /* The replacement itself is written as one too: what was read is printed as it stood. */
                replaced = n == 0 || memcmp(s, "\xef\xbf\xbd", MIN_OF(n, (size_t) 3)) == 0;
                if ((replaced ? 3 : n) > room)
                        break;
                room -= replaced ? 3 : n;
                if (replaced) {
                        puts_to(w, "\\ufffd");
                        n = n == 0 ? 1 : n;
                } else if (*s < ' ' || *s == 127) {
                        snprintf(escape, sizeof(escape), "\\u%04x", *s);
                        puts_to(w, escape);
                } else {
                        if (*s == '"' || *s == '\\')
                                put(w, "\\", 1);
                        put(w, (const char *) s, n);
                }
                s += n;
        }
        put(w, "\"", 1);
}

/* RFC 3339, UTC, microseconds. */
static int format_time(uint64_t usec, char *buf, size_t size) {
        time_t t = (time_t) (usec / USEC_PER_SEC);
        struct tm tm;

        if (usec / USEC_PER_SEC > INT64_C(253402300799) || !gmtime_r(&t, &tm))
                return -ERANGE;
        snprintf(buf, size, "%04d-%02d-%02dT%02d:%02d:%02d.%06uZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                 tm.tm_hour, tm.tm_min, tm.tm_sec, (unsigned) (usec % USEC_PER_SEC));
        return 0;
}

/* Seals what is there of the line. */
static int put_mac(struct writer *w, struct seal_key *key, const char *line) {
        char hex[CHAIN_HEX_SIZE + 1];
        uint8_t mac[SEAL_SIZE];
        int r;

        r = seal_mac(key, line, (size_t) (w->p - line), mac);
        if (r < 0)
                return r;
        chain_to_hex(mac, hex);
        puts_to(w, ",\"mac\":\"");
        puts_to(w, hex);
        put(w, "\"", 1);
        return 0;
}

int record_encode(const struct audit_message_record *m, enum record_source source, uint64_t sequence,
                  const uint8_t prev[static CHAIN_HASH_SIZE], struct seal_key *key, struct record_line *ret) {
        struct writer w = { .p = ret->text, .end = ret->text + sizeof(ret->text) };
        char hex[CHAIN_HEX_SIZE + 1], when[40];
        int r;

        r = format_time(m->realtime_usec, when, sizeof(when));
        if (r < 0)
                return r;
        puts_to(&w, "{\"v\":");
        put_u64(&w, key ? RECORD_VERSION_SEALED : RECORD_VERSION);
        puts_to(&w, ",\"seq\":");
        put_u64(&w, sequence);
        puts_to(&w, ",\"time\":\"");
        puts_to(&w, when);
        puts_to(&w, "\",\"boottime_us\":");
        put_u64(&w, m->boottime_usec);
        puts_to(&w, ",\"source\":\"");
        puts_to(&w, source_names[source]);
        puts_to(&w, "\",\"event\":");
        put_text(&w, m->event);
        puts_to(&w, ",\"priority\":");
        put_u64(&w, m->priority);
        puts_to(&w, ",\"fields\":{");
        for (size_t i = 0; i < m->n_fields; i++) {
                puts_to(&w, i > 0 ? "," : "");
                put_text(&w, m->fields[i].name);
                put(&w, ":", 1);
                put_text(&w, m->fields[i].value);
        }
        puts_to(&w, "},\"prev\":\"");
        chain_to_hex(prev, hex);
        puts_to(&w, hex);
        put(&w, "\"", 1);
        if (w.full || (size_t) (w.end - w.p) < CHAIN_MAC_SIZE + CHAIN_TAIL_SIZE + 1)
                return -EMSGSIZE;
        r = key ? put_mac(&w, key, ret->text) : 0;
        if (r < 0)
                return r;
        put(&w, "}", 1);
        r = chain_hash(prev, ret->text, (size_t) (w.p - ret->text), ret->hash);
        if (r < 0)
                return r;
        w.p--;                     /* the brace moves behind the hash */
        chain_to_hex(ret->hash, hex);
        puts_to(&w, ",\"hash\":\"");
        puts_to(&w, hex);
        puts_to(&w, "\"}\n");
        ret->size = (size_t) (w.p - ret->text);
        return w.full ? -EMSGSIZE : 0;
}

void record_done(struct record *r) {
        if (r->json)
                json_object_put(r->json);
        r->json = NULL;
        r->n_fields = 0;
}

const char *record_field(const struct record *r, const char *name) {
        for (size_t i = 0; i < r->n_fields; i++)
                if (streq(r->fields[i].name, name))
                        return r->fields[i].value;
        return NULL;
}

static int get_text(struct json_object *o, const char *name, size_t max, const char **ret) {
        struct json_object *v;

        if (!json_object_object_get_ex(o, name, &v) || !json_object_is_type(v, json_type_string) ||
            (size_t) json_object_get_string_len(v) > max ||
            strlen(json_object_get_string(v)) != (size_t) json_object_get_string_len(v))
                return -EBADMSG;
        *ret = json_object_get_string(v);
        return 0;
}

static int get_number(struct json_object *o, const char *name, uint64_t max, uint64_t *ret) {
        struct json_object *v;
        uint64_t n;

        if (!json_object_object_get_ex(o, name, &v) || !json_object_is_type(v, json_type_int))
                return -EBADMSG;
        if (json_object_get_int64(v) < 0)
                return -EBADMSG;
        n = json_object_get_uint64(v);
        if (n > max)
                return -EBADMSG;
        *ret = n;
        return 0;
}

static int get_hash(struct json_object *o, const char *name, uint8_t ret[static CHAIN_HASH_SIZE]) {
        const char *hex;

        if (get_text(o, name, CHAIN_HEX_SIZE, &hex) < 0 || chain_from_hex(hex, strlen(hex), ret) < 0)
                return -EBADMSG;
        return 0;
}

/* Exactly the form that format_time() writes. */
static int parse_time_text(const char *s, uint64_t *ret) {
        struct tm tm = {};
        unsigned usec;
        char again[40];
        time_t t;

        if (strlen(s) != sizeof("2026-01-31T12:00:00.000001Z") - 1 ||
            sscanf(s, "%4d-%2d-%2dT%2d:%2d:%2d.%6uZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
                   &tm.tm_sec, &usec) != 7)
                return -EBADMSG;
        tm.tm_year -= 1900;
        tm.tm_mon--;
        t = timegm(&tm);
        if (t < 0 || format_time((uint64_t) t * USEC_PER_SEC + usec, again, sizeof(again)) < 0 || !streq(s, again))
                return -EBADMSG;
        *ret = (uint64_t) t * USEC_PER_SEC + usec;
        return 0;
}

static int get_fields(struct json_object *o, struct record *r) {
        struct json_object *fields;

        if (!json_object_object_get_ex(o, "fields", &fields) || !json_object_is_type(fields, json_type_object) ||
            json_object_object_length(fields) > (int) AUDIT_FIELDS_MAX)
                return -EBADMSG;
        json_object_object_foreach(fields, name, v) {
                if (!json_object_is_type(v, json_type_string) || strlen(name) > AUDIT_NAME_MAX ||
                    !audit_name_is_valid(name) ||
                    strlen(json_object_get_string(v)) != (size_t) json_object_get_string_len(v))
                        return -EBADMSG;
                r->fields[r->n_fields].name = name;
                r->fields[r->n_fields++].value = json_object_get_string(v);
        }
        return 0;
}

static int get_members(struct json_object *o, struct record *r) {
        const char *when, *source, *event;
        uint8_t mac[SEAL_SIZE];
        uint64_t priority;

        if (get_number(o, "seq", UINT64_MAX - 1, &r->sequence) < 0 || r->sequence == 0 ||
            get_text(o, "time", sizeof(r->time) - 1, &when) < 0 || parse_time_text(when, &r->realtime_usec) < 0 ||
            get_number(o, "boottime_us", UINT64_MAX, &r->boottime_usec) < 0 ||
            get_text(o, "source", 16, &source) < 0 || get_text(o, "event", AUDIT_NAME_MAX, &event) < 0 ||
            !audit_name_is_valid(event) ||
            get_number(o, "priority", LOG_DEBUG, &priority) < 0 || get_hash(o, "prev", r->prev) < 0 ||
            get_hash(o, "hash", r->hash) < 0 || (r->sealed && get_hash(o, "mac", mac) < 0) ||
            json_object_object_length(o) != (r->sealed ? 11 : 10))
                return -EBADMSG;
        r->source = _RECORD_SOURCE_MAX;
        for (unsigned i = 0; i < _RECORD_SOURCE_MAX; i++)
                if (streq(source, source_names[i]))
                        r->source = i;
        if (r->source == _RECORD_SOURCE_MAX)
                return -EBADMSG;
        r->priority = (int) priority;
        snprintf(r->time, sizeof(r->time), "%s", when);
        snprintf(r->event, sizeof(r->event), "%s", event);
        return get_fields(o, r);
}

void record_to_message(const struct record *r, struct audit_message_record *ret) {
        ret->durable = false;
        ret->priority = (uint8_t) r->priority;
        ret->realtime_usec = r->realtime_usec;
        ret->boottime_usec = r->boottime_usec;
        snprintf(ret->event, sizeof(ret->event), "%s", r->event);
        ret->n_fields = 0;
        for (size_t i = 0; i < r->n_fields; i++) {
                struct audit_field *f = ret->fields + ret->n_fields++;

                snprintf(f->name, sizeof(f->name), "%s", r->fields[i].name);
                snprintf(f->value, sizeof(f->value), "%s", r->fields[i].value);
        }
}

int record_early(const struct record *r, uint64_t *ret_sequence, uint8_t ret_hash[static CHAIN_HASH_SIZE]) {
        const char *text = record_field(r, RECORD_EARLY_FIELD), *space;
        char number[24];

        if (!text)
                return -ENOENT;
        space = strchr(text, ' ');
        if (!space || (size_t) (space - text) >= sizeof(number))
                return -EBADMSG;
        snprintf(number, sizeof(number), "%.*s", (int) (space - text), text);
        if (parse_u64(number, UINT64_MAX - 1, ret_sequence) < 0 || *ret_sequence == 0 ||
            chain_from_hex(space + 1, strlen(space + 1), ret_hash) < 0)
                return -EBADMSG;
        return 0;
}

int record_decode(const char *line, size_t size, struct record *ret) {
        struct json_object *o;
        struct record r = {};
        uint64_t version = 0;
        int e;

        e = size > RECORD_LINE_MAX ? -EBADMSG : json_parse(line, size, &o);
        if (e < 0)
                return e;
        r.json = o;
        e = get_number(o, "v", UINT64_MAX, &version);
        r.sealed = version == RECORD_VERSION_SEALED;
        if (e >= 0 && version > RECORD_VERSION_SEALED)
                e = -EPROTONOSUPPORT;
        else if (e >= 0)
                e = version >= RECORD_VERSION ? get_members(o, &r) : -EBADMSG;
        if (e < 0) {
                record_done(&r);
                return e;
        }
        *ret = r;
        return 0;
}
