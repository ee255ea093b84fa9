/* SPDX-License-Identifier: Apache-2.0 */
#include "strict-json.h"

static int check_numbers(const struct json_object *o, const char **why);

static int check_object(const struct json_object *o, const char **why) {
        int r;

        json_object_object_foreach((struct json_object *) o, name, value) {
                (void) name;
                r = check_numbers(value, why);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int check_array(const struct json_object *o, const char **why) {
        int r;

        for (size_t i = 0; i < json_object_array_length(o); i++) {
                r = check_numbers(json_object_array_get_idx(o, i), why);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* No number of a kind that json-c rounds or clamps. */
static int check_numbers(const struct json_object *o, const char **why) {
        switch (json_object_get_type(o)) {
        case json_type_object:
                return check_object(o, why);
        case json_type_array:
                return check_array(o, why);
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

int strict_json_parse(const char *text, size_t size, struct json_object **ret, const char **ret_why) {
        _cleanup_(json_object_putp) struct json_object *o = NULL;
        const char *unused;
        int r;

        if (!ret_why)
                ret_why = &unused;
        *ret_why = "not JSON, or a name appears twice, or it is nested too deeply";
        r = json_parse(text, size, &o);
        if (r >= 0)
                r = check_numbers(o, ret_why);
        if (r < 0)
                return r;
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
