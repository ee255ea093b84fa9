/* SPDX-License-Identifier: Apache-2.0 */
/* Identifiers of keys: what is taken has a canonical form, which is taken again and is the same key. Host and name hold
 * nothing that could mean something else to a URL parser further on. The text also goes through the small parsers that
 * see what people and disks say. */
#include "common/base64.h"
#include "common/key-uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok) {
        if (!ok)
                abort();
}

static void try_uri(const char *s) {
        struct key_uri u, again;
        const char *why = NULL;
        char buf[KEY_URI_MAX];

        if (key_uri_parse(s, &u, &why) < 0) {
                check(why && *why);
                return;
        }
        check(*u.host && *u.name && u.port > 0);
        check(!strpbrk(u.host, "/@:?#%\\ \t") && !strpbrk(u.name, "/@:?#%\\ \t.") && !strpbrk(u.version,
                "/@:?#%\\ \t.-"));
        key_uri_format(&u, buf, sizeof(buf));
        check(strlen(buf) < sizeof(buf) - 1);
        check(key_uri_parse(buf, &again, NULL) == 0);
        check(key_uri_same_key(&u, &again) && streq(u.version, again.version));
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
