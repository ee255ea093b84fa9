/* SPDX-License-Identifier: Apache-2.0 */
#include "vault-entry.h"

#include <ctype.h>
#include <strings.h>
#include <time.h>

const char *vault_log_kind_to_string(enum vault_log_kind k) {
        return k == VAULT_LOG_AZURE ? "Azure Key Vault" : "OpenBao or Vault";
}

int uuid_bytes(const char *s, uint8_t ret[static UUID_BYTES]) {
        uint8_t out[UUID_BYTES];
        size_t n = 0;

        if (strnlen(s, 37) != 36)
                return -EINVAL;
        for (size_t i = 0; i < 36; ) {
                unsigned byte = 0;

                if (i == 8 || i == 13 || i == 18 || i == 23) {
                        if (s[i++] != '-')
                                return -EINVAL;
                        continue;
                }
                for (size_t end = i + 2; i < end; i++) {
                        const char *digits = "0123456789abcdef", *d = strchr(digits, tolower((unsigned char) s[i]));

                        if (!s[i] || !d)
                                return -EINVAL;
                        byte = byte * 16 + (unsigned) (d - digits);
                }
                out[n++] = (uint8_t) byte;
        }
        memcpy(ret, out, sizeof(out));
        return 0;
}

static void lower(char *buf, size_t size, const char *s, size_t n) {
        snprintf(buf, size, "%.*s", (int) MIN_OF(n, size), s);
        for (char *p = buf; *p; p++)
                *p = (char) tolower((unsigned char) *p);
}

int vault_key_split(const char *uri, char host[static 254], char mount[static 128], char key[static 128]) {
        const char *h = strcasestr(uri, "://"), *slash, *keys, *name;
        size_t n;

        if (!h)
                return -EINVAL;
        h += 3;
        slash = strchr(h, '/');
        keys = slash ? strcasestr(slash, "/keys/") : NULL;
        if (!keys || strcspn(h, ":/") == 0)
                return -EINVAL;
        name = keys + 6;
        n = strcspn(name, "/?#");
        if (n == 0 || n >= 128)
                return -EINVAL;
        lower(host, 254, h, strcspn(h, ":/"));
        if (strncasecmp(slash, "/v1/", 4) == 0 && keys >= slash + 4)
                lower(mount, 128, slash + 4, (size_t) (keys - slash - 4));
        else
                lower(mount, 128, slash + 1, keys > slash ? (size_t) (keys - slash - 1) : 0);
        lower(key, 128, name, n);
        return 0;
}

/* ---- members, whatever their case ---- */

static struct json_object *find(struct json_object *o, const char *name) {
        if (!json_object_is_type(o, json_type_object))
                return NULL;
        json_object_object_foreach(o, member, v)
                if (strcasecmp(member, name) == 0)
                        return v;
        return NULL;
}

/* The first of these that is a text; names: NULL at the end. */
static const char *find_text(struct json_object *o, const char *const *names) {
        for (; *names; names++) {
                struct json_object *v = find(o, *names);

                if (json_object_is_type(v, json_type_string) && *json_object_get_string(v))
                        return json_object_get_string(v);
        }
        return NULL;
}

#define TEXT(o, ...) find_text(o, (const char *const[]) { __VA_ARGS__, NULL })

static bool take_digits(const char **s, size_t digits, int *ret) {
        *ret = 0;
        for (size_t i = 0; i < digits; i++, (*s)++) {
                if (!isdigit((unsigned char) **s))
                        return false;
                *ret = *ret * 10 + (**s - '0');
        }
        return true;
}

static bool take(const char **s, const char *any) {
        if (!**s || !strchr(any, **s))
                return false;
        (*s)++;
        return true;
}

static uint64_t take_fraction(const char **s) {
        uint64_t worth = 100000, usec = 0;

        if (take(s, "."))
                for (; isdigit((unsigned char) **s); (*s)++, worth /= 10)
                        usec += worth * (uint64_t) (**s - '0');
        return usec;
}

/* RFC 3339 with any number of decimals; without a zone it is UTC. */
static int read_time(const char *s, uint64_t *ret) {
        int year, month, hours = 0, minutes = 0;
        struct tm tm = {};
        uint64_t usec;
        int64_t t;
        bool west;

        if (!s || !take_digits(&s, 4, &year) || !take(&s, "-") || !take_digits(&s, 2, &month) || !take(&s, "-") ||
            !take_digits(&s, 2, &tm.tm_mday) || !take(&s, "Tt ") || !take_digits(&s, 2, &tm.tm_hour) || !take(&s, ":") ||
            !take_digits(&s, 2, &tm.tm_min) || !take(&s, ":") || !take_digits(&s, 2, &tm.tm_sec))
                return -EBADMSG;
        usec = take_fraction(&s);
        west = *s == '-';
        if (take(&s, "+-") && (!take_digits(&s, 2, &hours) || !take(&s, ":") || !take_digits(&s, 2, &minutes)))
                return -EBADMSG;
        (void) take(&s, "Zz");
        if (*s || year < 1970 || month < 1 || month > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 ||
            tm.tm_min > 59 || tm.tm_sec > 60)
                return -EBADMSG;
        tm.tm_year = year - 1900;
        tm.tm_mon = month - 1;
        t = (int64_t) timegm(&tm) - (west ? -1 : 1) * (hours * 3600 + minutes * 60);
        if (t <= 0)
                return -EBADMSG;
        *ret = (uint64_t) t * USEC_PER_SEC + usec;
        return 0;
}

static void add_id(struct vault_entry *e, const char *text) {
        if (text && e->n_ids < VAULT_ENTRY_IDS_MAX && uuid_bytes(text, e->ids[e->n_ids]) >= 0)
                e->n_ids++;
}

static void copy(char *buf, size_t size, const char *s) {
        snprintf(buf, size, "%s", strempty(s));
}

static void append(char *buf, size_t size, const char *name, const char *value) {
        size_t n = strlen(buf);

        if (value && n < size)
                snprintf(buf + n, size - n, "%s%s %s", n > 0 ? ", " : "", name, value);
}

/* ---- Azure ---- */

/* A number, or a text that is one; 0: not said. */
static uint64_t read_status(struct json_object *o, const char *const *names) {
        for (; *names; names++) {
                struct json_object *v = find(o, *names);
                uint64_t n = 0;

                if (json_object_is_type(v, json_type_int) && json_object_get_int64(v) > 0)
                        return (uint64_t) json_object_get_int64(v);
                if (json_object_is_type(v, json_type_double) && json_object_get_double(v) >= 100 && json_object_get_double(v) < 1000)
                        return (uint64_t) json_object_get_double(v);
                if (json_object_is_type(v, json_type_string) && parse_u64(json_object_get_string(v), 999, &n) >= 0)
                        return n;
        }
        return 0;
}

/* The outcome is a status, or a word in either of two places. */
static int azure_outcome(struct json_object *o, struct json_object *properties, struct vault_entry *e) {
        static const char *const names[] = { "httpStatusCode", "httpStatusCode_d", NULL };
        const char *signature = TEXT(o, "resultSignature"), *type = TEXT(o, "resultType");
        uint64_t status = read_status(properties, names);

        if (status == 0)
                status = read_status(o, names);
        if (status == 0 && !signature && !type)
                return -EBADMSG;
        if (status > 0)
                e->answered = status < 300;
        else
                e->answered = (signature && strcasecmp(signature, "OK") == 0) || (type && strcasecmp(type, "Success") == 0);
        return 0;
}

/* Our client request id is the correlation id; members of the properties that are called so count too. */
static void azure_ids(struct json_object *o, struct json_object *properties, struct vault_entry *e) {
        struct json_object *const places[] = { o, properties };

        for (size_t i = 0; i < ELEMENTSOF(places); i++) {
                if (!json_object_is_type(places[i], json_type_object))
                        continue;
                json_object_object_foreach(places[i], name, v)
                        if (json_object_is_type(v, json_type_string) &&
                            (strcasestr(name, "correlation") || (strcasestr(name, "request") && strcasestr(name, "id"))))
                                add_id(e, json_object_get_string(v));
        }
}

static void azure_identity(struct json_object *o, struct vault_entry *e) {
        struct json_object *claim = find(find(o, "identity"), "claim");

        append(e->identity, sizeof(e->identity), "application", TEXT(claim, "appid", "azp"));
        append(e->identity, sizeof(e->identity), "object", TEXT(claim, "oid",
                "http://schemas.microsoft.com/identity/claims/objectidentifier"));
        append(e->identity, sizeof(e->identity), "user", TEXT(claim, "upn",
                "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn"));
        append(e->identity, sizeof(e->identity), "application", TEXT(o, "identity_claim_appid_g"));
        append(e->identity, sizeof(e->identity), "object", TEXT(o, "identity_claim_oid_g",
                "identity_claim_http_schemas_microsoft_com_identity_claims_objectidentifier_g"));
}

static int azure(struct json_object *o, const char *operation, struct vault_entry *e) {
        struct json_object *properties = find(o, "properties");
        const char *id = TEXT(properties, "id"), *uri = TEXT(properties, "requestUri");
        int r;

        e->kind = VAULT_LOG_AZURE;
        copy(e->operation, sizeof(e->operation), operation);
        /* KeyUnwrap, KeyDecrypt; and KeyRelease, which hands out the key itself */
        e->uses_key = strcasestr(operation, "unwrap") || strcasestr(operation, "decrypt") || strcasestr(operation, "keyrelease");
        id = id ? id : TEXT(o, "id_s", "id");
        uri = uri ? uri : TEXT(o, "requestUri_s", "requestUri");
        if ((!id || vault_key_split(id, e->host, e->mount, e->key) < 0) &&
            (!uri || vault_key_split(uri, e->host, e->mount, e->key) < 0) && e->uses_key)
                return -EBADMSG;
        e->mount[0] = 0;
        r = azure_outcome(o, properties, e);
        if (r < 0 && e->uses_key)
                return r;
        copy(e->address, sizeof(e->address), TEXT(o, "callerIpAddress"));
        copy(e->client, sizeof(e->client), TEXT(properties, "clientInfo") ? TEXT(properties, "clientInfo") :
                                           TEXT(o, "clientInfo_s", "clientInfo"));
        azure_identity(o, e);
        azure_ids(o, properties, e);
        return 0;
}

/* ---- OpenBao, Vault ---- */

/* MOUNT/decrypt/NAME, MOUNT/export/TYPE/NAME[/VERSION]: what leaves the vault in the clear, or the key itself. */
static bool transit_key(const char *path, struct vault_entry *e) {
        static const struct { const char *verb; bool typed; } verbs[] = {
                { "/decrypt/", false }, { "/export/", true }, { "/byok-export/", true },
        };

        for (size_t i = 0; i < ELEMENTSOF(verbs); i++) {
                const char *at = strstr(path, verbs[i].verb), *name;

                if (!at)
                        continue;
                name = at + strlen(verbs[i].verb);
                if (verbs[i].typed && name[strcspn(name, "/")])
                        name += strcspn(name, "/") + 1;
                if (strcspn(name, "/") == 0)
                        continue;
                lower(e->mount, sizeof(e->mount), path, (size_t) (at - path));
                lower(e->key, sizeof(e->key), name, strcspn(name, "/"));
                return true;
        }
        return false;
}

/* Headers that the vault was told to log, each a list of texts. */
static void transit_headers(struct json_object *headers, struct vault_entry *e) {
        if (!json_object_is_type(headers, json_type_object))
                return;
        json_object_object_foreach(headers, name, list) {
                size_t n = strcasestr(name, "request-id") && json_object_is_type(list, json_type_array) ?
                           json_object_array_length(list) : 0;

                for (size_t i = 0; i < n; i++) {
                        struct json_object *v = json_object_array_get_idx(list, i);

                        if (json_object_is_type(v, json_type_string))
                                add_id(e, json_object_get_string(v));
                }
        }
}

static int transit(struct json_object *o, const char *type, struct vault_entry *e) {
        struct json_object *request = find(o, "request"), *auth = find(o, "auth");
        const char *path = TEXT(request, "path"), *error = TEXT(o, "error");

        if (!path)
                return -EBADMSG;
        e->kind = VAULT_LOG_TRANSIT;
        snprintf(e->operation, sizeof(e->operation), "%s %s", strempty(TEXT(request, "operation")), path);
        /* A request stands there once before it is carried out and once with its outcome, which comes before the reply: that one
         * counts */
        e->uses_key = transit_key(path, e) && streq(type, "response");
        e->answered = !error;
        copy(e->address, sizeof(e->address), TEXT(request, "remote_address"));
        append(e->identity, sizeof(e->identity), "token", TEXT(auth, "display_name"));
        append(e->identity, sizeof(e->identity), "entity", TEXT(auth, "entity_id"));
        append(e->identity, sizeof(e->identity), "accessor", TEXT(auth, "accessor"));
        add_id(e, TEXT(request, "id"));
        transit_headers(find(request, "headers"), e);
        return 0;
}

int vault_entry_decode(struct json_object *o, struct vault_entry *ret) {
        const char *operation = TEXT(o, "operationName"), *type = TEXT(o, "type");
        struct vault_entry e = {};
        int r;

        r = read_time(TEXT(o, "time", "TimeGenerated", "TimeGenerated [UTC]"), &e.realtime_usec);
        if (r < 0)
                return r;
        if (json_object_is_type(find(o, "request"), json_type_object) && type && (streq(type, "request") || streq(type, "response")))
                r = transit(o, type, &e);
        else
                r = operation ? azure(o, operation, &e) : -EBADMSG;
        if (r >= 0)
                *ret = e;
        return r;
}
