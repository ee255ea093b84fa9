/* SPDX-License-Identifier: Apache-2.0 */
#include "pkcs11-uri.h"

#include <ctype.h>

#include "base64.h"

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"
#define UNRESERVED LETTERS DIGITS "-._~"
#define IN_PATH UNRESERVED ":[]@!$'()*+,=&"
#define IN_QUERY UNRESERVED ":[]@!$'()*+,=/?|"
#define HEX_LOWER DIGITS "abcdef"
/* what may still be added to an identifier that has neither: ";serial=" and sixteen escapes, the version */
#define SERIAL_ROOM (8u + 3 * PKCS11_SERIAL_MAX)
#define VERSION_ROOM (14u + PKCS11_VERSION_LENGTH)

struct bytes {
        uint8_t data[128];
        size_t size;
};

static int refuse(const char **ret_why, const char *why) {
        if (ret_why)
                *ret_why = why;
        return -EINVAL;
}

/* The n characters of s without their escapes. Returns 0 or -EINVAL (a character that must be escaped, no hex behind a %, too
 * long). */
static int unescape(const char *s, size_t n, const char *literal, size_t max, struct bytes *ret) {
        struct bytes b = {};

        while (n > 0) {
                size_t step = *s == '%' ? 3 : 1;

                if (b.size == max || step > n || (step == 1 && (!*s || !strchr(literal, *s))) ||
                    (step == 3 && hex_decode((char []) { s[1], s[2], 0 }, b.data + b.size, 1) < 0))
                        return -EINVAL;
                if (step == 1)
                        b.data[b.size] = (uint8_t) *s;
                b.size++;
                s += step;
                n -= step;
        }
        *ret = b;
        return 0;
}

/* buf has room for max characters and a NUL. */
static int take_text(const char *s, size_t n, const char *literal, char *buf, size_t max) {
        struct bytes b;

        if (n == 0 || max > sizeof(b.data) || unescape(s, n, literal, max, &b) < 0)
                return -EINVAL;
        for (size_t i = 0; i < b.size; i++)
                if (b.data[i] < ' ' || b.data[i] > '~')
                        return -EINVAL;
        memcpy(buf, b.data, b.size);
        buf[b.size] = 0;
        return 0;
}

int pkcs11_uri_text(const char *s, char *buf, size_t max) {
        return take_text(s, strlen(s), IN_PATH, buf, max);
}

static int take_id(const char *s, size_t n, char buf[static 2 * PKCS11_ID_MAX + 1]) {
        struct bytes b;

        if (n == 0 || unescape(s, n, IN_PATH, PKCS11_ID_MAX, &b) < 0)
                return -EINVAL;
        hex_encode(b.data, b.size, buf);
        return 0;
}

static bool names(const char *s, size_t n, const char *attribute) {
        return strlen(attribute) == n && memcmp(s, attribute, n) == 0;
}

/* One NAME=VALUE of the path. */
static int take_attribute(const char *s, size_t n, struct key_uri *u, bool *has_type, const char **ret_why) {
        const char *equals = memchr(s, '=', n), *value;
        size_t k, m;

        if (!equals)
                return refuse(ret_why, "it is not pkcs11: and NAME=VALUE with semicolons between");
        k = (size_t) (equals - s);
        value = equals + 1;
        m = n - k - 1;
        if ((names(s, k, "token") && *u->host) || (names(s, k, "serial") && *u->serial) || (names(s, k, "object") && *u->name) ||
            (names(s, k, "id") && *u->id) || (names(s, k, "type") && *has_type))
                return refuse(ret_why, "it has an attribute twice");
        if (names(s, k, "token"))
                return take_text(value, m, IN_PATH, u->host, PKCS11_LABEL_MAX) < 0 ?
                       refuse(ret_why, "the token's label is not 1 to 32 printable characters, escaped where they must be") : 0;
        if (names(s, k, "serial"))
                return take_text(value, m, IN_PATH, u->serial, PKCS11_SERIAL_MAX) < 0 ?
                       refuse(ret_why, "the token's serial is not 1 to 16 printable characters, escaped where they must be") : 0;
        if (names(s, k, "object"))
                return take_text(value, m, IN_PATH, u->name, sizeof(u->name) - 1) < 0 ?
                       refuse(ret_why, "the object's label is not 1 to 127 printable characters, escaped where they must be") : 0;
        if (names(s, k, "id"))
                return take_id(value, m, u->id) < 0 ? refuse(ret_why, "the id is not 1 to 32 bytes, escaped as %XX") : 0;
        if (!names(s, k, "type"))
                return refuse(ret_why, "it may have token, serial, object, id and type: leave the others out");
        *has_type = true;
        return names(value, m, "private") ? 0 : refuse(ret_why, "the type must be private");
}

static int take_version(const char *s, size_t n, struct key_uri *u) {
        if (n != PKCS11_VERSION_LENGTH || strspn(s, HEX_LOWER) < n)
                return -EINVAL;
        memcpy(u->version, s, n);
        u->version[n] = 0;
        return 0;
}

static int take_module(const char *s, size_t n, bool path, struct key_uri *u) {
        if (take_text(s, n, IN_QUERY, u->module, sizeof(u->module) - 1) < 0)
                return -EINVAL;
        return path == (*u->module == '/') && (path || !strchr(u->module, '/')) ? 0 : -EINVAL;
}

static int take_query(const char *s, size_t n, struct key_uri *u, const char **ret_why) {
        const char *equals = memchr(s, '=', n), *value = equals ? equals + 1 : s + n;
        size_t k = equals ? (size_t) (equals - s) : n, m = (size_t) (s + n - value);
        bool path = names(s, k, "module-path");

        if (names(s, k, "pin-value") || names(s, k, "pin-source"))
                return refuse(ret_why, "a PIN is no part of a key's identifier: PinFile= of [Vault NAME] says where it is");
        if (names(s, k, "cmkd-version"))
                return *u->version || take_version(value, m, u) < 0 ?
                       refuse(ret_why, "the version is not 32 digits of hex, once") : 0;
        if (!equals || (!path && !names(s, k, "module-name")))
                return refuse(ret_why, "behind the ? it may have module-path, module-name and cmkd-version");
        return *u->module || take_module(value, m, path, u) < 0 ?
               refuse(ret_why, "the module is not one absolute path or one name") : 0;
}

/* Each piece up to the separator, an empty one too. */
static int take_pieces(const char *s, size_t n, char separator, struct key_uri *u, bool *has_type, const char **ret_why) {
        for (;;) {
                const char *end = memchr(s, separator, n);
                size_t k = end ? (size_t) (end - s) : n;
                int r = has_type ? take_attribute(s, k, u, has_type, ret_why) : take_query(s, k, u, ret_why);

                if (r < 0 || !end)
                        return r;
                s += k + 1;
                n -= k + 1;
        }
}

int pkcs11_uri_parse(const char *s, struct key_uri *ret, const char **ret_why) {
        size_t path = strcspn(s, "?"), length;
        struct key_uri u = {};
        bool has_type = false;
        int r;

        r = take_pieces(s, path, ';', &u, &has_type, ret_why);
        if (r >= 0 && s[path])
                r = take_pieces(s + path + 1, strlen(s + path + 1), '&', &u, NULL, ret_why);
        if (r < 0)
                return r;
        if (!*u.host || !*u.name)
                return refuse(ret_why, "it must name the token and the object by their labels: pkcs11:token=...;object=...");
        length = pkcs11_uri_format(&u, NULL, 0);
        if (length + (*u.serial ? 0 : SERIAL_ROOM) + (*u.version ? 0 : VERSION_ROOM) >= KEY_URI_MAX - 1)
                return refuse(ret_why, "it is too long");
        *ret = u;
        return 0;
}

/* ---- printing ---- */

struct out {
        char *buf;
        size_t size, n;
};

static void put(struct out *o, const char *s) {
        for (; *s; s++, o->n++)
                if (o->n + 1 < o->size)
                        o->buf[o->n] = *s;
}

static void put_escaped(struct out *o, const char *name, const char *s, const char *literal) {
        put(o, name);
        for (; *s; s++) {
                char one[4] = { *s };

                if (!strchr(literal, *s))
                        snprintf(one, sizeof(one), "%%%02X", (unsigned char) *s);
                put(o, one);
        }
}

void pkcs11_uri_escape(const char *s, char *buf, size_t size) {
        struct out o = { .buf = buf, .size = size };

        put_escaped(&o, "", s, UNRESERVED);
        if (size > 0)
                buf[MIN_OF(o.n, size - 1)] = 0;
}

static void put_id(struct out *o, const char *hex) {
        put(o, ";id=");
        for (; hex[0] && hex[1]; hex += 2)
                put(o, (char []) { '%', (char) toupper(hex[0]), (char) toupper(hex[1]), 0 });
}

size_t pkcs11_uri_format(const struct key_uri *u, char *buf, size_t size) {
        struct out o = { .buf = buf, .size = size };
        const char *query = "?";

        put_escaped(&o, "pkcs11:token=", u->host, UNRESERVED);
        if (*u->serial)
                put_escaped(&o, ";serial=", u->serial, UNRESERVED);
        put_escaped(&o, ";object=", u->name, UNRESERVED);
        if (*u->id)
                put_id(&o, u->id);
        put(&o, ";type=private");
        if (*u->module) {
                put_escaped(&o, *u->module == '/' ? "?module-path=" : "?module-name=", u->module, UNRESERVED "/");
                query = "&";
        }
        if (*u->version) {
                put(&o, query);
                put_escaped(&o, "cmkd-version=", u->version, UNRESERVED);
        }
        if (size > 0)
                buf[MIN_OF(o.n, size - 1)] = 0;
        return o.n;
}

bool pkcs11_uri_takes_module(const struct key_uri *u, const char *path) {
        const char *file = strrchr(path, '/');
        size_t n = strlen(u->module);

        if (!*u->module || *u->module == '/')
                return !*u->module || streq(u->module, path);
        file = file ? file + 1 : path;
        if (strncmp(file, "lib", 3) == 0 && strncmp(file + 3, u->module, n) == 0 && streq(file + 3 + n, ".so"))
                return true;
        return strncmp(file, u->module, n) == 0 && (streq(file + n, ".so") || streq(file + n, "-pkcs11.so"));
}
