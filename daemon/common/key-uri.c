/* SPDX-License-Identifier: Apache-2.0 */
#include "key-uri.h"

#include <ctype.h>

#include "pkcs11-uri.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

static int refuse(const char **ret_why, const char *why) {
        if (ret_why)
                *ret_why = why;
        return -EINVAL;
}

static void lower(char *s) {
        for (; *s; s++)
                *s = (char) tolower((unsigned char) *s);
}

/* Copies the run of characters up to one of stop into buf, in lower case. False where it is empty or too long. */
static bool take_segment(const char **s, const char *stop, char *buf, size_t size) {
        size_t n = strcspn(*s, stop);

        if (n == 0 || n >= size)
                return false;
        memcpy(buf, *s, n);
        buf[n] = 0;
        lower(buf);
        *s += n;
        return true;
}

static bool host_is_valid(const char *h) {
        if (h[strspn(h, LOWER DIGITS ".-")] || *h == '.' || *h == '-' || strstr(h, ".."))
                return false;
        return h[strlen(h) - 1] != '-' && h[strlen(h) - 1] != '.';
}

static int parse_port(const char **s, uint16_t *ret) {
        char text[6];
        uint64_t v;

        if (!take_segment(s, "/", text, sizeof(text)) || parse_u64(text, UINT16_MAX, &v) < 0 || v == 0)
                return -EINVAL;
        *ret = (uint16_t) v;
        return 0;
}

int key_uri_parse(const char *s, struct key_uri *ret, const char **ret_why) {
        struct key_uri u = { .port = 443 };

        if (strlen(s) >= KEY_URI_MAX)
                return refuse(ret_why, "it is too long");
        if (strncasecmp(s, "pkcs11:", 7) == 0)
                return pkcs11_uri_parse(s + 7, ret, ret_why);
        if (strncasecmp(s, "https://", 8) != 0)
                return refuse(ret_why, "the scheme must be https:// or pkcs11:");
        s += 8;
        if (!take_segment(&s, ":/", u.host, sizeof(u.host)) || !host_is_valid(u.host))
                return refuse(ret_why, "the host is not valid");
        if (*s == ':') {
                s++;
                if (parse_port(&s, &u.port) < 0)
                        return refuse(ret_why, "the port is not valid");
        }
        if (strncasecmp(s, "/keys/", 6) != 0)
                return refuse(ret_why, "the path is not /keys/NAME or /keys/NAME/VERSION");
        s += 6;
        if (!take_segment(&s, "/", u.name, sizeof(u.name)) || u.name[strspn(u.name, LOWER DIGITS "-")])
                return refuse(ret_why, "the key's name is not 1 to 127 of A-Z a-z 0-9 and -");
        if (*s == '/') {
                s++;
                if (!take_segment(&s, "/", u.version, sizeof(u.version)) || u.version[strspn(u.version, LOWER DIGITS)])
                        return refuse(ret_why, "the key's version is not 1 to 32 letters and digits");
        }
        if (*s)
                return refuse(ret_why, "the path has more than NAME and VERSION");
        *ret = u;
        return 0;
}

void key_uri_format(const struct key_uri *u, char *buf, size_t size) {
        char port[8] = "";

        if (key_uri_is_pkcs11(u)) {
                (void) pkcs11_uri_format(u, buf, size);
                return;
        }
        if (u->port != 443)
                snprintf(port, sizeof(port), ":%u", u->port);
        snprintf(buf, size, "https://%s%s/keys/%s%s%s", u->host, port, u->name, *u->version ? "/" : "", u->version);
}

bool key_uri_same_key(const struct key_uri *a, const struct key_uri *b) {
        return a->port == b->port && streq(a->host, b->host) && streq(a->name, b->name) && streq(a->serial, b->serial) &&
               streq(a->id, b->id);
}

bool key_uri_answers(const struct key_uri *asked, const struct key_uri *found) {
        struct key_uri a = *asked;

        if (!*a.serial)
                memcpy(a.serial, found->serial, sizeof(a.serial));
        return key_uri_same_key(&a, found) && *found->version && (!*a.version || streq(a.version, found->version)) &&
               streq(a.module, found->module);
}
