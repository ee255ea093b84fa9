/* SPDX-License-Identifier: Apache-2.0 */
#include "drill.h"

#include <dirent.h>
#include <sys/stat.h>

static void read_attribute(const char *device, const char *name, char *buf, size_t size) {
        _cleanup_(freep) char *text = NULL;
        char path[320];

        *buf = 0;
        snprintf(path, sizeof(path), "/sys/block/%s/dm/%s", device, name);
        if (read_small_file(path, 512, &text, NULL) < 0)
                return;
        text[strcspn(text, "\n")] = 0;
        snprintf(buf, size, "%s", text);
}

bool drill_has_mapping(const char *name, const char *uuid) {
        _cleanup_(closedirp) DIR *d = opendir("/sys/block");
        char prefix[64] = "CRYPT-LUKS2-", text[160];
        size_t n = strlen(prefix);
        struct dirent *e;

        for (const char *p = uuid; *p && n + 1 < sizeof(prefix); p++)
                if (*p != '-')
                        prefix[n++] = *p;
        prefix[n] = 0;
        while (d && (e = readdir(d))) {
                if (!startswith(e->d_name, "dm-"))
                        continue;
                read_attribute(e->d_name, "name", text, sizeof(text));
                if (*name && streq(text, name))
                        return true;
                read_attribute(e->d_name, "uuid", text, sizeof(text));
                if (*uuid && startswith(text, prefix))
                        return true;
        }
        return false;
}

/* A line of mountinfo: "36 35 254:3 / /mnt ...". */
static bool is_mounted(const char *pid, unsigned major, unsigned minor) {
        _cleanup_(fclosep) FILE *f = NULL;
        _cleanup_(freep) char *line = NULL;
        unsigned a, b;
        char path[320];
        size_t size = 0;

        snprintf(path, sizeof(path), "/proc/%s/mountinfo", pid);
        f = fopen(path, "re");
        while (f && getline(&line, &size, f) > 0)
                if (sscanf(line, "%*u %*u %u:%u ", &a, &b) == 2 && a == major && b == minor)
                        return true;
        return false;
}

unsigned drill_count_mounts(unsigned major, unsigned minor) {
        _cleanup_(closedirp) DIR *d = opendir("/proc");
        ino_t last = 0;
        unsigned found = 0;
        struct dirent *e;
        struct stat st;
        uint64_t pid;
        char path[320];

        while (d && (e = readdir(d))) {
                if (parse_u64(e->d_name, INT32_MAX, &pid) < 0)
                        continue;
                snprintf(path, sizeof(path), "/proc/%s/ns/mnt", e->d_name);
                /* Most processes have the namespace of the one before them: it is read again only where it changes. */
                if (stat(path, &st) < 0 || st.st_ino == last)
                        continue;
                last = st.st_ino;
                found += is_mounted(e->d_name, major, minor);
        }
        return found;
}

unsigned drill_count_keys(const char *uuid) {
        _cleanup_(fclosep) FILE *f = fopen("/proc/keys", "re");
        _cleanup_(freep) char *line = NULL;
        unsigned found = 0;
        size_t size = 0;

        while (f && getline(&line, &size, f) > 0)
                found += strstr(line, uuid) != NULL;
        return found;
}
