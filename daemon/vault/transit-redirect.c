/* SPDX-License-Identifier: Apache-2.0 */
#include "transit-redirect.h"

#define SCHEME "https://"
#define ROOT "/v1/"

/* The rest behind an authority that is this one: HOST:PORT, or HOST where the port is the usual one. */
static const char *behind(const char *s, const char *authority) {
        const char *port = strrchr(authority, ':');
        size_t n = strlen(authority);

        if (strncasecmp(s, authority, n) == 0 && s[n] == '/')
                return s + n;
        n = (size_t) (port - authority);
        return streq(port, ":443") && strncasecmp(s, authority, n) == 0 && s[n] == '/' ? s + n : NULL;
}

static bool leads_to(const char *location, const char *authority, const char *path) {
        const char *rest = strncasecmp(location, SCHEME, strlen(SCHEME)) == 0 ? behind(location + strlen(SCHEME), authority) : NULL;

        rest = rest ? startswith(rest, ROOT) : NULL;
        return rest && streq(rest, path);
}

int transit_redirect(const char *const *authorities, size_t n, const char *path, const char *location) {
        for (size_t i = 0; i < n; i++)
                if (leads_to(location, authorities[i], path))
                        return (int) i;
        return -EINVAL;
}
