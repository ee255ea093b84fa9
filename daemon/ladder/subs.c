/* SPDX-License-Identifier: Apache-2.0 */
#include "subs.h"

#include <dirent.h>

#define HEX 32

static inline void closedirp(DIR **d) { if (*d) closedir(*d); }

static int read_line(const char *directory, const char *file, char *buf, size_t size) {
        _cleanup_(freep) char *text = NULL;
        char path[512];
        int r;

        snprintf(path, sizeof(path), "%s/%s", directory, file);
        r = read_small_file(path, size, &text, NULL);
        if (r < 0)
                return r;
        snprintf(buf, size, "%.*s", (int) strcspn(text, "\n"), text);
        return 0;
}

void subs_find(const struct mapping *m, struct subs *ret) {
        _cleanup_(closedirp) DIR *d = opendir("/sys/block");
        const char *hex = startswith(m->dm_uuid, DM_CRYPT_UUID_PREFIX);
        char prefix[64], directory[300], dev[32];
        struct dirent *e;

        ret->n = 0;
        if (!hex || strlen(hex) < HEX)
                return;
        snprintf(prefix, sizeof(prefix), "CRYPT-SUBDEV-%.*s-", HEX, hex);
        while (d && (e = readdir(d)) && ret->n < SUBS_MAX) {
                struct dm_info *i = &ret->d[ret->n];

                if (!startswith(e->d_name, "dm-"))
                        continue;
                snprintf(directory, sizeof(directory), "/sys/block/%s", e->d_name);
                if (read_line(directory, "dm/uuid", i->uuid, sizeof(i->uuid)) >= 0 && startswith(i->uuid, prefix) &&
                    read_line(directory, "dm/name", i->name, sizeof(i->name)) >= 0 &&
                    read_line(directory, "dev", dev, sizeof(dev)) >= 0 &&
                    sscanf(dev, "%u:%u", &i->major, &i->minor) == 2)
                        ret->n++;
        }
}
