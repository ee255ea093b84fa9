/* SPDX-License-Identifier: Apache-2.0 */
#include "audit-status.h"

#include "common/util.h"

enum type { NUMBER, TRUTH, LIST };

static const struct {
        const char *name;
        enum type type;
} types[] = {
        { "version", NUMBER }, { "pid", NUMBER }, { "seq", NUMBER }, { "submitted", NUMBER }, { "consumed", NUMBER }, { "lost", NUMBER },
        { "mirror_lost", NUMBER }, { "agreed", NUMBER }, { "guard_clean", NUMBER }, { "guard_need", NUMBER }, { "guard_left", NUMBER },
        { "blind", TRUTH }, { "witness", TRUTH }, { "sealed", TRUTH }, { "covered", LIST }, { "missing", LIST },
};

struct json_object *audit_status_parse(char *text) {
        struct json_object *o = json_object_new_object();
        char *line;

        while (o && (line = strsep(&text, "\n"))) {
                char *value = strchr(line, '=');

                if (value) {
                        *value++ = 0;
                        json_object_object_add(o, line, json_object_new_string(value));
                }
        }
        return o;
}

static struct json_object *split(const char *text) {
        struct json_object *l = json_object_new_array();

        while (l && *(text += strspn(text, " "))) {
                size_t n = strcspn(text, " ");

                json_object_array_add(l, json_object_new_string_len(text, (int) n));
                text += n;
        }
        return l;
}

/* What is not what its name promises (of another version) stays a text. */
static struct json_object *typed(const char *name, const char *text) {
        uint64_t n;

        for (size_t i = 0; i < ELEMENTSOF(types); i++) {
                if (!streq(types[i].name, name))
                        continue;
                if (types[i].type == LIST)
                        return split(text);
                if (types[i].type == NUMBER && parse_u64(text, INT64_MAX, &n) >= 0)
                        return json_object_new_int64((int64_t) n);
                if (types[i].type == TRUTH && (streq(text, "yes") || streq(text, "no")))
                        return json_object_new_boolean(streq(text, "yes"));
        }
        return json_object_new_string(text);
}

struct json_object *audit_status_typed(struct json_object *o) {
        struct json_object *ret = json_object_new_object();

        if (!ret)
                return NULL;
        json_object_object_foreach(o, name, value)
                json_object_object_add(ret, name, typed(name, json_object_get_string(value)));
        return ret;
}
