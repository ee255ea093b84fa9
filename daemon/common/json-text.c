/* SPDX-License-Identifier: Apache-2.0 */
#include "json-text.h"

#include <ctype.h>
#include <limits.h>

struct scanner {
        const char *start, *p, *end;
        const char *outer, *member;      /* outer NULL: of the outermost object */
        bool within;                     /* in outer just now */
        unsigned n_values;
        struct json_span found;
        bool is_found;
};

static int scan_value(struct scanner *s, unsigned depth);

static void skip_space(struct scanner *s) {
        while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
                s->p++;
}

static bool take(struct scanner *s, char c) {
        if (s->p == s->end || *s->p != c)
                return false;
        s->p++;
        return true;
}

/* Behind a backslash. A name must not spell as \uXXXX what names are made of: it could be a second "value". */
static int scan_escape(struct scanner *s, bool is_name) {
        unsigned v = 0;

        if (s->p == s->end)
                return -EBADMSG;
        if (*s->p != 'u')
                return *s->p && strchr("\"\\/bfnrt", *s->p++) ? 0 : -EBADMSG;
        s->p++;
        for (int i = 0; i < 4; i++, s->p++) {
                if (s->p == s->end || !isxdigit((unsigned char) *s->p))
                        return -EBADMSG;
                v = v << 4 | (unsigned) (*s->p <= '9' ? *s->p - '0' : (*s->p | 32) - 'a' + 10);
        }
        return is_name && v < 128 && (isalnum((int) v) || v == '_' || v == '-') ? -EBADMSG : 0;
}

static int scan_string(struct scanner *s, bool is_name, struct json_span *ret, bool *ret_plain) {
        const char *start;
        bool plain = true;

        if (!take(s, '"'))
                return -EBADMSG;
        start = s->p;
        while (s->p < s->end && *s->p != '"') {
                unsigned char c = (unsigned char) *s->p++;

                if (c < ' ')
                        return -EBADMSG;
                if (c != '\\')
                        continue;
                plain = false;
                if (scan_escape(s, is_name) < 0)
                        return -EBADMSG;
        }
        *ret = (struct json_span) { (size_t) (start - s->start), (size_t) (s->p - start) };
        if (ret_plain)
                *ret_plain = plain;
        return take(s, '"') ? 0 : -EBADMSG;
}

static size_t scan_digits(struct scanner *s) {
        const char *start = s->p;

        while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
                s->p++;
        return (size_t) (s->p - start);
}

static int scan_number(struct scanner *s) {
        take(s, '-');
        if (!take(s, '0') && scan_digits(s) == 0)
                return -EBADMSG;
        if (take(s, '.') && scan_digits(s) == 0)
                return -EBADMSG;
        if (take(s, 'e') || take(s, 'E')) {
                if (!take(s, '+'))
                        take(s, '-');
                if (scan_digits(s) == 0)
                        return -EBADMSG;
        }
        return 0;
}

static int scan_word(struct scanner *s, const char *word) {
        size_t n = strlen(word);

        if ((size_t) (s->end - s->p) < n || memcmp(s->p, word, n) != 0)
                return -EBADMSG;
        s->p += n;
        return 0;
}

static bool same_text(const struct scanner *s, const struct json_span *a, const struct json_span *b) {
        return a->size == b->size && memcmp(s->start + a->offset, s->start + b->offset, a->size) == 0;
}

static bool is_named(const struct scanner *s, const struct json_span *name, const char *text) {
        return text && strlen(text) == name->size && memcmp(s->start + name->offset, text, name->size) == 0;
}

/* Is it the string that is looked for, by name and place? */
static bool is_member(const struct scanner *s, unsigned depth, const struct json_span *name) {
        return is_named(s, name, s->member) && (s->outer ? s->within && depth == 2 : depth == 1);
}

/* The value of any other member; depth: of the object that it is in. */
static int scan_other(struct scanner *s, unsigned depth, const struct json_span *name) {
        int r;

        if (depth > 1 || !is_named(s, name, s->outer))
                return scan_value(s, depth);
        s->within = true;
        r = scan_value(s, depth);
        s->within = false;
        return r;
}

static int scan_member(struct scanner *s, unsigned depth, struct json_span *ret_name) {
        struct json_span value;
        bool plain;

        skip_space(s);
        if (scan_string(s, true, ret_name, NULL) < 0)
                return -EBADMSG;
        skip_space(s);
        if (!take(s, ':'))
                return -EBADMSG;
        skip_space(s);
        if (!is_member(s, depth, ret_name) || s->p == s->end || *s->p != '"')
                return scan_other(s, depth, ret_name);
        if (scan_string(s, false, &value, &plain) < 0)
                return -EBADMSG;
        if (plain) {
                s->found = value;
                s->is_found = true;
        }
        return 0;
}

static int scan_object(struct scanner *s, unsigned depth) {
        struct json_span names[JSON_MEMBERS_MAX];
        size_t n = 0;

        if (!take(s, '{') || depth > JSON_DEPTH_MAX)
                return -EBADMSG;
        skip_space(s);
        if (take(s, '}'))
                return 0;
        do {
                if (n == ELEMENTSOF(names) || scan_member(s, depth, names + n) < 0)
                        return -EBADMSG;
                for (size_t i = 0; i < n; i++)
                        if (same_text(s, names + i, names + n))
                                return -EBADMSG;
                n++;
                skip_space(s);
        } while (take(s, ','));
        return take(s, '}') ? 0 : -EBADMSG;
}

static int scan_array(struct scanner *s, unsigned depth) {
        if (!take(s, '[') || depth > JSON_DEPTH_MAX)
                return -EBADMSG;
        skip_space(s);
        if (take(s, ']'))
                return 0;
        do {
                skip_space(s);
                if (scan_value(s, depth) < 0)
                        return -EBADMSG;
                skip_space(s);
        } while (take(s, ','));
        return take(s, ']') ? 0 : -EBADMSG;
}

/* depth: of what encloses the value. */
static int scan_value(struct scanner *s, unsigned depth) {
        struct json_span unused;

        if (s->p == s->end || ++s->n_values > JSON_VALUES_MAX)
                return -EBADMSG;
        switch (*s->p) {
        case '{':
                return scan_object(s, depth + 1);
        case '[':
                return scan_array(s, depth + 1);
        case '"':
                return scan_string(s, false, &unused, NULL);
        case 't':
                return scan_word(s, "true");
        case 'f':
                return scan_word(s, "false");
        case 'n':
                return scan_word(s, "null");
        default:
                return scan_number(s);
        }
}

int json_check_in(const char *text, size_t size, const char *outer, const char *member, struct json_span *ret) {
        struct scanner s = { .start = text, .p = text, .end = text + size, .outer = outer, .member = member };

        skip_space(&s);
        if (scan_object(&s, 1) < 0)
                return -EBADMSG;
        skip_space(&s);
        if (s.p != s.end)
                return -EBADMSG;
        if (!member)
                return 0;
        if (!s.is_found)
                return -ENOENT;
        *ret = s.found;
        return 0;
}

int json_check(const char *text, size_t size, const char *member, struct json_span *ret) {
        return json_check_in(text, size, NULL, member, ret);
}

int json_parse(const char *text, size_t size, struct json_object **ret) {
        struct json_tokener *t;
        struct json_object *o;
        bool whole;

        if (size > INT_MAX || json_check(text, size, NULL, NULL) < 0)
                return -EBADMSG;
        t = json_tokener_new_ex((int) JSON_DEPTH_MAX + 2);
        if (!t)
                return -ENOMEM;
        json_tokener_set_flags(t, JSON_TOKENER_VALIDATE_UTF8);
        o = json_tokener_parse_ex(t, text, (int) size);
        whole = json_tokener_get_error(t) == json_tokener_success;
        json_tokener_free(t);
        if (!whole || !json_object_is_type(o, json_type_object)) {
                json_object_put(o);
                return -EBADMSG;
        }
        *ret = o;
        return 0;
}

struct json_object *json_get(struct json_object *o, const char *name, enum json_type type) {
        struct json_object *m;

        if (!json_object_is_type(o, json_type_object) || !json_object_object_get_ex(o, name, &m) ||
            !json_object_is_type(m, type))
                return NULL;
        return m;
}

const char *json_get_text(struct json_object *o, const char *name) {
        struct json_object *m = json_get(o, name, json_type_string);

        if (!m || strlen(json_object_get_string(m)) != (size_t) json_object_get_string_len(m))
                return NULL;
        return json_object_get_string(m);
}

int json_get_u64(struct json_object *o, const char *name, uint64_t *ret) {
        struct json_object *m = json_get(o, name, json_type_int);
        int64_t v;

        if (!m || (v = json_object_get_int64(m)) < 0)
                return -ENOENT;
        *ret = (uint64_t) v;
        return 0;
}

void text_printable(const char *s, char *buf, size_t size) {
        size_t n = 0;

        for (; s && *s && n + 1 < size; s++) {
                unsigned char c = (unsigned char) *s;

                buf[n++] = c < ' ' || c == 127 ? ' ' : c > 127 ? '?' : (char) c;
        }
        buf[n] = 0;
}
