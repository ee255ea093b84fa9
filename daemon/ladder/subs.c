/* SPDX-License-Identifier: Apache-2.0 */
#include "subs.h"

#include <dirent.h>
#include <unistd.h>

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

struct search {
        int control;
        const char *prefix;
        struct subs *found;
};

/* What never had a table is no disk yet, and in no directory of sysfs: one may be loaded into it, with a key. */
static int add_without_table(const struct dm_info *listed, void *userdata) {
        struct search *s = userdata;
        struct dm_info *i = &s->found->d[s->found->n];
        char path[64];

        snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", listed->major, listed->minor);
        if (access(path, F_OK) >= 0)
                return 0;
        if (dm_query(s->control, (struct dm_id) { .name = listed->name }, i) >= 0 && startswith(i->uuid, s->prefix))
                s->found->n++;
        return s->found->n == SUBS_MAX;
}

static void find_without_table(const struct mapping *m, const char *prefix, struct subs *ret) {
        _cleanup_(freep) void *buffer = malloc(DM_LIST_SIZE);
        struct search s = { .control = m->control, .prefix = prefix, .found = ret };

        if (buffer && m->control >= 0 && ret->n < SUBS_MAX)
                (void) dm_list(m->control, buffer, DM_LIST_SIZE, add_without_table, &s);
}

void subs_find(const struct mapping *m, struct subs *ret) {
        _cleanup_(closedirp) DIR *d = opendir("/sys/block");
        const char *hex = startswith(m->dm_uuid, DM_CRYPT_UUID_PREFIX);
        char prefix[64], directory[300], dev[32];
        struct dirent *e;

        ret->n = ret->n_disks = 0;
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
        ret->n_disks = ret->n;
        find_without_table(m, prefix, ret);
}
