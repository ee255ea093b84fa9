/* SPDX-License-Identifier: Apache-2.0 */
#include "cgroup.h"

void cgroup_unit(const char *cgroup, char *buf, size_t size) {
        static const char *const endings[] = { ".service", ".scope", ".mount", ".socket", ".swap" };
        const char *p = cgroup, *found = NULL, *end = NULL;

        while (*p) {
                const char *next = strchrnul(p, '/');

                for (size_t i = 0; i < ELEMENTSOF(endings); i++) {
                        size_t n = strlen(endings[i]);

                        if ((size_t) (next - p) > n && memcmp(next - n, endings[i], n) == 0) {
                                found = p;
                                end = next;
                        }
                }
                p = *next ? next + 1 : next;
        }
        if (found)
                snprintf(buf, size, "%.*s", (int) (end - found), found);
        else
                snprintf(buf, size, "%s", cgroup);
}

static bool is_between(const char *s, size_t n, const char *before, const char *word, const char *after) {
        size_t b = strlen(before), w = strlen(word), a = strlen(after);

        return n == b + w + a && memcmp(s, before, b) == 0 && memcmp(s + b, word, w) == 0 && memcmp(s + b + w, after, a) == 0;
}

/* Containers' groups are "docker-ID.scope", "cri-containerd-ID.scope", "libpod-ID.scope" or the id alone; people know the id's
 * first twelve digits. Machines' are named as below. */
static bool is_container(const char *wanted, const char *s, size_t n) {
        static const char *const machines[][2] = { { "machine-", ".scope" }, { "systemd-nspawn@", ".service" } };
        const char *dash = memrchr(s, '-', n), *id = dash ? dash + 1 : s;
        size_t size = strlen(wanted);

        for (size_t i = 0; i < ELEMENTSOF(machines); i++)
                if (is_between(s, n, machines[i][0], wanted, machines[i][1]))
                        return true;
        return size >= 12 && strspn(wanted, "0123456789abcdef") == size && (size_t) (s + n - id) >= size &&
               memcmp(id, wanted, size) == 0;
}

bool cgroup_is_of(const char *cgroup, const char *unit) {
        for (const char *p = cgroup; *p; ) {
                size_t n = strcspn(p, "/");

                if (is_between(p, n, "", unit, "") || is_container(unit, p, n))
                        return true;
                p += p[n] ? n + 1 : n;
        }
        return false;
}

bool cgroup_is_unit(const char *cgroup, const char *unit) {
        for (const char *p = cgroup; *p == '/' && !startswith(p, "/user.slice/"); ) {
                size_t n = strcspn(++p, "/");

                if (is_between(p, n, "", unit, ""))
                        return true;
                if (n < 6 || memcmp(p + n - 6, ".slice", 6) != 0)
                        return false;
                p += n;
        }
        return false;
}
