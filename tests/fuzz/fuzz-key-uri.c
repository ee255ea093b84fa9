/* SPDX-License-Identifier: Apache-2.0 */
/* Identifiers of keys: what is taken has a canonical form, which is taken again and is the same key. Host and name hold
 * nothing that could mean something else to a URL parser further on. The text also goes through the small parsers that
 * see what people and disks say. */
#include "common/base64.h"
#include "common/pkcs11-uri.h"

#define PRINTABLE "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:/;=%?&"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok) {
        if (!ok)
                abort();
}

/* Labels are printable, and once a serial and a version are known there is room for them. */
static void try_pkcs11(const struct key_uri *u) {
        struct key_uri full = *u, again;
        char buf[KEY_URI_MAX], label[PKCS11_LABEL_MAX + 1];

        for (const char *p = u->host; *p; p++)
                check(*p >= ' ' && *p <= '~');
        for (const char *p = u->name; *p; p++)
                check(*p >= ' ' && *p <= '~');
        check(!*u->module || pkcs11_uri_takes_module(u, *u->module == '/' ? u->module : strcat(strcpy(buf, u->module), ".so")));
        pkcs11_uri_escape(u->host, buf, sizeof(buf));
        check(pkcs11_uri_text(buf, label, PKCS11_LABEL_MAX) == 0 && streq(label, u->host));
        if (!*full.serial)
                memset(full.serial, ' ', sizeof(full.serial) - 1);
        if (!*full.version)
                memset(full.version, 'a', sizeof(full.version) - 1);
        key_uri_format(&full, buf, sizeof(buf));
        check(strlen(buf) < sizeof(buf) - 1 && key_uri_parse(buf, &again, NULL) == 0 && key_uri_answers(u, &again));
}

static void try_uri(const char *s) {
        struct key_uri u, again;
        const char *why = NULL;
        char buf[KEY_URI_MAX];

        if (key_uri_parse(s, &u, &why) < 0) {
                check(why && *why);
                return;
        }
        check(*u.host && *u.name);
        check(key_uri_is_pkcs11(&u) || (!strpbrk(u.host, "/@:?#%\\ \t") && !strpbrk(u.name, "/@:?#%\\ \t.")));
        check(!strpbrk(u.version, "/@:?#%\\ \t.-"));
        key_uri_format(&u, buf, sizeof(buf));
        check(strlen(buf) < sizeof(buf) - 1);
        check(key_uri_parse(buf, &again, NULL) == 0);
        check(key_uri_same_key(&u, &again) && streq(u.version, again.version) && streq(u.module, again.module));
        check(!strpbrk(buf, "\"\\ \t#") && strlen(buf) == strspn(buf, PRINTABLE));
        if (key_uri_is_pkcs11(&u))
                try_pkcs11(&u);
}

static void try_numbers(const char *s, size_t size) {
        static uint8_t out[65536];
        static char text[BASE64_SIZE(sizeof(out)) + 1];
        uint64_t v;
        size_t n;

        (void) parse_span(s, &v);
        (void) parse_u64(s, UINT64_MAX, &v);
        if (volume_name_is_valid(s))
                check(strlen(s) <= 64 && !strchr(s, '/') && *s != '.');
        (void) uuid_is_valid(s);
        if (base64_decode(s, size, out, sizeof(out), &n) == 0) {
                base64_encode(out, n, text);
                check(strlen(text) == size && memcmp(text, s, size) == 0);
        }
        if (base64url_decode(s, size, out, sizeof(out), &n) == 0) {
                base64url_encode(out, n, text);
                check(memcmp(text, s, strlen(text)) == 0);
        }
        if (size % 2 == 0)
                (void) hex_decode(s, out, size / 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        char *s;

        if (size > 16384)
                return 0;
        s = malloc(size + 1);
        check(s != NULL);
        memcpy(s, data, size);
        s[size] = 0;
        try_uri(s);
        try_numbers(s, size);
        free(s);
        return 0;
}
