/* SPDX-License-Identifier: Apache-2.0 */
#include "azure-secret-reply.h"

#include "azure-reply.h"
#include "common/base64.h"
#include "common/json-text.h"

#define VERSION_MAX 64u

static int refuse(const char **ret_why, const char *why) {
        *ret_why = why;
        return -EBADMSG;
}

/* https://HOST[:PORT]/secrets/NAME/VERSION; compares case-insensitively, as all identifiers of a vault do. */
static bool is_id(const char *id, const struct key_uri *vault, const char *name) {
        char start[KEY_URI_MAX], port[8] = "";
        const char *version;
        int n;

        if (vault->port != 443)
                snprintf(port, sizeof(port), ":%u", vault->port);
        n = snprintf(start, sizeof(start), "https://%s%s/secrets/%s/", vault->host, port, name);
        if (!id || n < 0 || (size_t) n >= sizeof(start) || strncasecmp(id, start, (size_t) n) != 0)
                return false;
        version = id + n;
        return *version && strlen(version) <= VERSION_MAX &&
               strspn(version, "0123456789abcdefABCDEF") == strlen(version);
}

static int parse(const char *body, size_t size, const struct key_uri *vault, const char *name, struct json_object **ret,
                 const char **ret_why) {
        _cleanup_(json_object_putp) struct json_object *root = NULL;
        int r;

        r = json_parse(body, size, &root);
        if (r < 0)
                return r == -ENOMEM ? r : refuse(ret_why, "it is not strict JSON");
        if (!is_id(json_get_text(root, "id"), vault, name))
                return refuse(ret_why, "it is about another secret than the one asked for");
        *ret = TAKE_PTR(root);
        return 0;
}

int azure_parse_secret(const char *body, size_t size, const struct key_uri *vault, const char *name, struct azure_secret_reply *ret,
                       const char **ret_why) {
        _cleanup_(json_object_putp) struct json_object *root = NULL;
        struct azure_secret_reply s = {};
        struct json_object *attributes, *enabled;
        const char *value;
        int r;

        r = parse(body, size, vault, name, &root, ret_why);
        if (r < 0)
                return r;
        attributes = json_get(root, "attributes", json_type_object);
        enabled = json_get(attributes, "enabled", json_type_boolean);
        if (!enabled)
                return refuse(ret_why, "its attributes are not as they should be");
        s.enabled = json_object_get_boolean(enabled);
        azure_read_recovery_level(attributes, s.recovery_level, &s.flags);
        value = json_get_text(root, "value");
        if (!value)
                return refuse(ret_why, "it has no value");
        /* what somebody else wrote there is not ours, whatever it is; the empty value is nobody's digest */
        if (base64url_decode(value, strlen(value), s.value, sizeof(s.value), &s.value_size) < 0)
                s.value_size = 0;
        *ret = s;
        return 0;
}

int azure_parse_deleted_secret(const char *body, size_t size, const struct key_uri *vault, const char *name,
                               struct azure_secret_reply *ret, const char **ret_why) {
        _cleanup_(json_object_putp) struct json_object *root = NULL;
        struct azure_secret_reply s = {};
        int r;

        r = parse(body, size, vault, name, &root, ret_why);
        if (r < 0)
                return r;
        (void) json_get_u64(root, "scheduledPurgeDate", &s.purge);
        *ret = s;
        return 0;
}
