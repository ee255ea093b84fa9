/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/vault/transit-reply.c daemon/vault/transit-excess.c daemon/vault/reply-secret.c
// libs: json-c

/* A good reply of transit: one byte says of what, then the body. Nothing of a value may be left in the buffer. */

#include "common/algorithm.h"
#include "common/base64.h"
#include "vault/transit-excess.h"
#include "vault/transit-reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct key_uri asked = { .host = "bao.test", .port = 8200, .name = "k", .version = "2" };

/* How often a text stands in the body: it may be there by chance a second time, but never as often as it came. */
static size_t count(const char *body, size_t size, const char *text) {
        const char *p = body, *end = body + size;
        size_t n = 0;

        for (; (p = memmem(p, (size_t) (end - p), text, strlen(text))); p++)
                n++;
        return n;
}

static void check_printable(const char *s, size_t size) {
        if (strnlen(s, size) == size)
                abort();
        for (; *s; s++)
                if (*s < ' ' || *s > '~')
                        abort();
}

static void value(char *body, size_t size, const char *came, bool plain) {
        _cleanup_(secret_freep) struct secret *s = NULL;
        char text[BASE64_SIZE(VAULT_BLOB_MAX) + 1], id[129];
        const char *why = NULL;
        int r;

        r = plain ? transit_parse_plaintext(body, size, id, &s, &why) : transit_parse_ciphertext(body, size, 2, id, &s, &why);
        if (r < 0) {
                if (s || (r == -EBADMSG && !why))
                        abort();
                return;
        }
        check_printable(id, sizeof(id));
        if (secret_size(s) == 0 || secret_size(s) > VAULT_BLOB_MAX)
                abort();
        base64_encode(secret_cdata(s), secret_size(s), text);
        if (count(body, size, text) >= count(came, size, text))
                abort();
}

static void token(char *body, size_t size, const char *came) {
        struct transit_token t = {};
        const char *why = NULL;

        if (transit_parse_token(body, size, &t, &why) < 0) {
                if (t.token)
                        abort();
                return;
        }
        if (strlen((const char *) secret_cdata(t.token)) + 1 != secret_size(t.token))
                abort();
        check_printable((const char *) secret_cdata(t.token), secret_size(t.token));
        if (count(body, size, (const char *) secret_cdata(t.token)) >= count(came, size, (const char *) secret_cdata(t.token)))
                abort();
        secret_free(t.token);
}

static void secret_id(char *body, size_t size, const char *came) {
        _cleanup_(secret_freep) struct secret *s = NULL;
        const char *why = NULL;

        if (transit_parse_secret_id(body, size, &s, &why) < 0) {
                if (s)
                        abort();
                return;
        }
        if (strlen((const char *) secret_cdata(s)) + 1 != secret_size(s))
                abort();
        check_printable((const char *) secret_cdata(s), secret_size(s));
        if (count(body, size, (const char *) secret_cdata(s)) >= count(came, size, (const char *) secret_cdata(s)))
                abort();
}

static void key(const char *body, size_t size, bool newest) {
        struct key_uri u = asked, found;
        struct vault_reply y = {};
        const char *why = NULL;

        if (newest)
                u.version[0] = 0;
        if (transit_parse_key(body, size, &u, &y, &why) < 0) {
                if (y.spki_size > 0 || *y.kid)
                        abort();
                return;
        }
        if (key_uri_parse(y.kid, &found, NULL) < 0 || !key_uri_same_key(&found, &u) || transit_version(&found) == 0 ||
            y.spki_size > sizeof(y.spki))
                abort();
        if (algorithm_is_symmetric(y.key_type) ? y.spki_size > 0 : y.key_flags & VAULT_KEY_ENABLED && y.spki_size == 0)
                abort();
        if (!newest && !streq(found.version, asked.version))
                abort();
        check_printable(y.key_type, sizeof(y.key_type));
        check_printable(y.recovery_level, sizeof(y.recovery_level));
        check_printable(y.request_id, sizeof(y.request_id));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(freep) char *body = NULL;
        char cluster[65], path[257], excess[129];

        if (size < 2)
                return 0;
        size--;
        body = malloc(size);
        if (!body)
                return 0;
        memcpy(body, data + 1, size);
        switch (data[0] % 8) {
        case 0:
                value(body, size, (const char *) data + 1, true);
                break;
        case 1:
                value(body, size, (const char *) data + 1, false);
                break;
        case 2:
                (void) transit_wants_more(body, size);
                token(body, size, (const char *) data + 1);
                break;
        case 3:
        case 4:
                key(body, size, data[0] % 8 == 3);
                break;
        case 5:
                if (transit_parse_cluster(body, size, cluster) == 0)
                        check_printable(cluster, sizeof(cluster));
                break;
        case 6:
                if (transit_parse_wrapping(body, size, path) == 0)
                        check_printable(path, sizeof(path));
                if (transit_parse_excess(body, size, "transit", "k", excess, sizeof(excess)) == 0)
                        check_printable(excess, sizeof(excess));
                break;
        case 7:
                secret_id(body, size, (const char *) data + 1);
        }
        return 0;
}
