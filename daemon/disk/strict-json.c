/* SPDX-License-Identifier: Apache-2.0 */
#include "strict-json.h"

/* Members as the text has them: a colon outside a string belongs to exactly one. json-c takes more than JSON (names in
 * single quotes, even when strict), so what may stand outside strings is checked here. SIZE_MAX: something else. */
static size_t members_in_text(const char *text, size_t size) {
        bool string = false;
        size_t n = 0;

        for (size_t i = 0; i < size; i++)
                if (string && text[i] == '\\')
                        i++;
                else if (text[i] == '"')
                        string = !string;
                else if (!string && !strchr("{}[]:, \t\r\n0123456789+-.eEtrufalsn", text[i]))
                        return SIZE_MAX;
                else if (!string && text[i] == ':')
                        n++;
        return n;
}

static int count_members(const struct json_object *o, size_t *n, const char **why);

static int count_object(const struct json_object *o, size_t *n, const char **why) {
        int r;

        json_object_object_foreach((struct json_object *) o, name, value) {
                (void) name;
                (*n)++;
                r = count_members(value, n, why);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int count_array(const struct json_object *o, size_t *n, const char **why) {
        int r;

        for (size_t i = 0; i < json_object_array_length(o); i++) {
                r = count_members(json_object_array_get_idx(o, i), n, why);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Members as the tree has them, and no number of a kind that json-c rounds or clamps. */
static int count_members(const struct json_object *o, size_t *n, const char **why) {
        switch (json_object_get_type(o)) {
        case json_type_object:
                return count_object(o, n, why);
        case json_type_array:
                return count_array(o, n, why);
        case json_type_double:
                *why = "a number that is no integer";
                return -EBADMSG;
        case json_type_int:
                *why = "a number that is too large";
                return json_object_get_int64(o) == INT64_MAX || json_object_get_int64(o) == INT64_MIN ? -EBADMSG : 0;
        default:
                return 0;
        }
}

static int tokenize(const char *text, size_t size, struct json_object **ret, const char **why) {
        struct json_tokener *tokener;
        struct json_object *o;
        enum json_tokener_error error;
        size_t end;

        *why = "no memory";
        tokener = json_tokener_new_ex(STRICT_JSON_DEPTH);
        if (!tokener)
                return -ENOMEM;
        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT|JSON_TOKENER_VALIDATE_UTF8);
        o = json_tokener_parse_ex(tokener, text, (int) size);
        error = json_tokener_get_error(tokener);
        end = json_tokener_get_parse_end(tokener);
        json_tokener_free(tokener);
        *why = error == json_tokener_error_depth ? "nested too deeply" : "not JSON";
        if (error != json_tokener_success || !o) {
                json_object_put(o);
                return -EBADMSG;
        }
        *ret = o;
        *why = "something follows the JSON";
        return end == size ? 0 : -EBADMSG;
}

int strict_json_parse(const char *text, size_t size, struct json_object **ret, const char **ret_why) {
        _cleanup_(json_object_putp) struct json_object *o = NULL;
        const char *unused;
        size_t n = 0, members;
        int r;

        if (!ret_why)
                ret_why = &unused;
        *ret_why = "not JSON";
        if (size == 0 || size > INT32_MAX || memchr(text, 0, size) || text[0] != '{')
                return -EBADMSG;
        members = members_in_text(text, size);
        if (members == SIZE_MAX)
                return -EBADMSG;
        r = tokenize(text, size, &o, ret_why);
        if (r < 0)
                return r;
        r = count_members(o, &n, ret_why);
        if (r < 0)
                return r;
        *ret_why = "a name appears twice";
        if (n != members)
                return -EBADMSG;
        *ret_why = NULL;
        *ret = TAKE_PTR(o);
        return 0;
}

struct json_object *strict_json_get(const struct json_object *o, const char *name, enum json_type type) {
        struct json_object *m;

        if (!json_object_is_type(o, json_type_object) || !json_object_object_get_ex(o, name, &m))
                return NULL;
        return json_object_is_type(m, type) ? m : NULL;
}

const char *strict_json_string(const struct json_object *o, const char *name) {
        struct json_object *m = strict_json_get(o, name, json_type_string);
        const char *s;

        if (!m)
                return NULL;
        s = json_object_get_string(m);
        return strlen(s) == (size_t) json_object_get_string_len(m) ? s : NULL;
}

int strict_json_int(const struct json_object *o, const char *name, int64_t max, int64_t *ret) {
        struct json_object *m = strict_json_get(o, name, json_type_int);
        int64_t v;

        if (!m)
                return -EBADMSG;
        v = json_object_get_int64(m);
        if (v < 0 || v > max)
                return -EBADMSG;
        *ret = v;
        return 0;
}

int strict_json_u64(const struct json_object *o, const char *name, uint64_t max, uint64_t *ret) {
        const char *s = strict_json_string(o, name);

        if (!s || (s[0] == '0' && s[1]))
                return -EBADMSG;
        return parse_u64(s, max, ret) < 0 ? -EBADMSG : 0;
}

bool strict_json_only(const struct json_object *o, const char *const *names) {
        if (!json_object_is_type(o, json_type_object))
                return false;
        json_object_object_foreach((struct json_object *) o, name, value) {
                const char *const *n = names;

                (void) value;
                while (*n && !streq(*n, name))
                        n++;
                if (!*n)
                        return false;
        }
        return true;
}
