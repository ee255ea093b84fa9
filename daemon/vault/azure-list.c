/* SPDX-License-Identifier: Apache-2.0 */
#include "azure-list.h"

#include "azure-attributes.h"

#define QUERY_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%=&$+:,;/!*'()"

static int refuse(const char **ret_why, const char *why) {
        *ret_why = why;
        return -EBADMSG;
}

bool azure_query_is_valid(const char *query) {
        size_t n = strlen(query);

        return n > 0 && n <= AZURE_QUERY_MAX && strspn(query, QUERY_CHARACTERS) == n &&
               (startswith(query, "api-version=") || strstr(query, "&api-version="));
}

static int read_item(struct json_object *o, const struct azure_page *asked, struct vault_list *l) {
        struct json_object *a = json_get(o, "attributes", json_type_object), *enabled = json_get(a, "enabled", json_type_boolean);
        const char *kid = json_get_text(o, "kid"), *level = json_get_text(a, "recoveryLevel");
        struct key_uri u;

        if (!kid || !enabled || key_uri_parse(kid, &u, NULL) < 0 || u.port != asked->vault->port ||
            !streq(u.host, asked->vault->host) || !*u.version != !asked->versions ||
            (asked->versions && !key_uri_same_key(&u, asked->vault)))
                return -EBADMSG;
        key_uri_format(&u, l->items[l->n].kid, sizeof(l->items[l->n].kid));
        if (json_object_get_boolean(enabled))
                l->items[l->n].key_flags |= VAULT_KEY_ENABLED;
        if (azure_level_protects(level))
                l->items[l->n].key_flags |= VAULT_KEY_PURGE_PROTECTED;
        if (azure_read_time(a, "created", &l->items[l->n].created) < 0 || azure_read_time(a, "nbf", &l->items[l->n].not_before) < 0 ||
            azure_read_time(a, "exp", &l->items[l->n].expires) < 0)
                return -EBADMSG;
        l->n++;
        return 0;
}

/* HOST[:PORT]PATH?QUERY, the first three as they were asked for. */
static int read_link(const char *link, const struct azure_page *asked, char ret[static AZURE_QUERY_MAX + 1]) {
        const char *rest = startswith(link, "https://");
        char authority[272];
        size_t n;

        for (unsigned with_port = 0; rest && with_port < 2; with_port++) {
                if (!with_port && asked->vault->port != 443)
                        continue;
                snprintf(authority, sizeof(authority), with_port ? "%s:%u" : "%s", asked->vault->host, asked->vault->port);
                n = strlen(authority);
                if (strncasecmp(rest, authority, n) != 0 || rest[n] != '/')
                        continue;
                rest += n;
                n = strlen(asked->path);
                if (strncasecmp(rest, asked->path, n) != 0 || rest[n] != '?' || !azure_query_is_valid(rest + n + 1))
                        return -EBADMSG;
                strcpy(ret, rest + n + 1);
                return 0;
        }
        return -EBADMSG;
}

int azure_parse_list(const char *body, size_t size, const struct azure_page *asked, struct vault_list *ret,
                     char ret_query[static AZURE_QUERY_MAX + 1], const char **ret_why) {
        _cleanup_(json_object_putp) struct json_object *root = NULL;
        _cleanup_(freep) struct vault_list *l = calloc(1, sizeof(*l));
        char query[AZURE_QUERY_MAX + 1] = "";
        struct json_object *value, *link;
        int r;

        if (!l)
                return -ENOMEM;
        r = json_parse(body, size, &root);
        if (r < 0)
                return r == -ENOMEM ? r : refuse(ret_why, "it is not strict JSON");
        value = json_get(root, "value", json_type_array);
        if (!value || json_object_array_length(value) > VAULT_LIST_MAX)
                return refuse(ret_why, "it is no list, or one with more than was asked for");
        for (size_t i = 0; i < json_object_array_length(value); i++)
                if (read_item(json_object_array_get_idx(value, i), asked, l) < 0)
                        return refuse(ret_why, "there is something in it that is no key of this vault");
        if (json_object_object_get_ex(root, "nextLink", &link) && link) {
                const char *text = json_get_text(root, "nextLink");

                if (!text || read_link(text, asked, query) < 0)
                        return refuse(ret_why, "its nextLink leads elsewhere");
        }
        *ret = *l;
        strcpy(ret_query, query);
        return 0;
}
