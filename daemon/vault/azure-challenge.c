/* SPDX-License-Identifier: Apache-2.0 */
#include "azure-challenge.h"

#include <ctype.h>

#include "challenge-header.h"
#include "common/base64.h"
#include "common/json-text.h"

#define VALUE_MAX 512u
#define HOST_MAX 253u
#define ENCODED_MAX BASE64_SIZE(AZURE_CLAIMS_MAX)

static void lower(char *s) {
        for (; *s; s++)
                *s = (char) tolower((unsigned char) *s);
}

/* One of two names. */
static int get(const char *header, const char *name, const char *other, char *buf, size_t size) {
        int r = challenge_header_get(header, "Bearer", name, buf, size);

        return r == -ENOENT ? challenge_header_get(header, "Bearer", other, buf, size) : r;
}

/* The host of an https:// URL, and what follows. */
static const char *split_url(char *url, char host[static HOST_MAX + 1]) {
        const char *rest = startswith(url, "https://");
        size_t n = rest ? strcspn(rest, ":/") : 0;

        if (n == 0 || n > HOST_MAX)
                return NULL;
        memcpy(host, rest, n);
        host[n] = 0;
        lower(host);
        rest += n;
        return rest + strcspn(rest, "/");
}

static bool is_below(const char *host, const char *domain) {
        size_t n = strlen(host), k = strlen(domain);

        return n > k + 1 && host[n - k - 1] == '.' && streq(host + n - k, domain);
}

/* First part of the path, or the second where the first is a service's. */
static void take_tenant(const char *path, char ret[static 37]) {
        const char *rest = startswith(path, "/dstsv2/");
        size_t n;

        path = rest ? rest : path + (*path == '/');
        n = strcspn(path, "/");
        if (n != 36)
                return;
        memcpy(ret, path, n);
        ret[n] = 0;
        lower(ret);
        if (!uuid_is_valid(ret))
                ret[0] = 0;
}

static int take_claims(const char *header, char ret[static AZURE_CLAIMS_MAX + 1]) {
        char error[64], text[ENCODED_MAX + 1];
        uint8_t bytes[AZURE_CLAIMS_MAX];
        struct json_span at;
        size_t n;
        int r;

        r = challenge_header_get(header, "Bearer", "error", error, sizeof(error));
        if (r == -ENOENT || (r >= 0 && strcasecmp(error, "insufficient_claims") != 0))
                return 0;
        if (r >= 0)
                r = challenge_header_get(header, "Bearer", "claims", text, sizeof(text));
        if (r < 0 || (base64_decode(text, strlen(text), bytes, sizeof(bytes), &n) < 0 &&
                      base64url_decode(text, strlen(text), bytes, sizeof(bytes), &n) < 0))
                return -EBADMSG;
        if (memchr(bytes, 0, n) || json_check((const char *) bytes, n, NULL, &at) < 0)
                return -EBADMSG;
        memcpy(ret, bytes, n);
        ret[n] = 0;
        return 0;
}

int azure_challenge_parse(const char *header, const char *host, struct azure_challenge *ret) {
        char value[VALUE_MAX + 1], domain[HOST_MAX + 1], authority[HOST_MAX + 1];
        struct azure_challenge c = {};
        const char *path;

        if (get(header, "resource", "scope", value, sizeof(value)) < 0 || !split_url(value, domain))
                return -EBADMSG;
        if (!is_below(host, domain))
                return -EPERM;
        if (get(header, "authorization", "authorization_uri", value, sizeof(value)) < 0 ||
            !(path = split_url(value, authority)))
                return -EBADMSG;
        take_tenant(path, c.tenant);
        if (take_claims(header, c.claims) < 0)
                return -EBADMSG;
        *ret = c;
        return 0;
}
