/* SPDX-License-Identifier: Apache-2.0 */
#include "transit-excess.h"

#include "common/json-text.h"

#define PATH_MAX_SIZE 512u

static const struct { const char *verb, *rest, *needed; } paths[] = {
        { "keys", "", "read" }, { "decrypt", "", "update" }, { "encrypt", "", "update" }, { "rewrap", "", "update" },
        /* A policy for all that begins with "keys/" is no wider than it looks: nothing is read there */
        { "keys", "/config", "read" }, { "keys", "/rotate", "read" }, { "keys", "/trim", "read" }, { "keys", "/soft-delete", "read" },
        { "export/encryption-key", "", "" }, { "backup", "", "" },
};

static bool format_path(size_t i, const char *mount, const char *key, char buf[static PATH_MAX_SIZE]) {
        return snprintf(buf, PATH_MAX_SIZE, "%s/%s/%s%s", mount, paths[i].verb, key, paths[i].rest) < (int) PATH_MAX_SIZE;
}

int transit_excess_body(const char *mount, const char *key, char buf[static TRANSIT_EXCESS_BODY_MAX]) {
        char path[PATH_MAX_SIZE];
        size_t n = (size_t) snprintf(buf, TRANSIT_EXCESS_BODY_MAX, "{\"paths\":[");

        for (size_t i = 0; i < ELEMENTSOF(paths); i++) {
                if (!format_path(i, mount, key, path) || n + strlen(path) + 6 > TRANSIT_EXCESS_BODY_MAX)
                        return -EMSGSIZE;
                n += (size_t) snprintf(buf + n, TRANSIT_EXCESS_BODY_MAX - n, "%s\"%s\"", i > 0 ? "," : "", path);
        }
        strcpy(buf + n, "]}");
        return 0;
}

static int add_excess(struct json_object *list, const char *path, const char *needed, char *buf, size_t size) {
        for (size_t i = 0; i < json_object_array_length(list); i++) {
                struct json_object *one = json_object_array_get_idx(list, i);
                char name[33];
                size_t n = strlen(buf);

                if (!json_object_is_type(one, json_type_string))
                        return -EBADMSG;
                text_printable(json_object_get_string(one), name, sizeof(name));
                if (!streq(name, needed) && !streq(name, "deny") && n + strlen(name) + strlen(path) + 7 < size)
                        snprintf(buf + n, size - n, "%s%s on %s", n > 0 ? ", " : "", name, path);
        }
        return 0;
}

int transit_parse_excess(const char *body, size_t size, const char *mount, const char *key, char *ret, size_t ret_size) {
        _cleanup_(json_object_putp) struct json_object *root = NULL;
        struct json_object *data;
        char path[PATH_MAX_SIZE];

        *ret = 0;
        if (json_parse(body, size, &root) < 0)
                return -EBADMSG;
        data = json_get(root, "data", json_type_object);
        for (size_t i = 0; i < ELEMENTSOF(paths); i++) {
                struct json_object *list = format_path(i, mount, key, path) ? json_get(data, path, json_type_array) : NULL;

                if (!list || add_excess(list, path, paths[i].needed, ret, ret_size) < 0)
                        return -EBADMSG;
        }
        return 0;
}
