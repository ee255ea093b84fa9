/* SPDX-License-Identifier: Apache-2.0 */
#include "open-elsewhere.h"

#include "live-table.h"
#include "ops.h"

#include "common/dm-ioctl.h"

#include <dirent.h>

/* One line of a file in sysfs. */
static int read_line(const char *holder, const char *file, char *buf, size_t size) {
        _cleanup_(fclosep) FILE *f = NULL;
        char path[320];

        snprintf(path, sizeof(path), "/sys/block/%s/%s", holder, file);
        f = fopen(path, "re");
        if (!f || !fgets(buf, (int) size, f))
                return -ENOENT;
        buf[strcspn(buf, "\n")] = 0;
        return 0;
}

/* What stands on a device. Returns 0 or -EBUSY: nothing does, or more than one. */
static int read_holder(const char *path, char *ret, size_t size) {
        _cleanup_(closedirp) DIR *dir = opendir(path);
        struct dirent *e;

        *ret = 0;
        while (dir && (e = readdir(dir))) {
                if (e->d_name[0] == '.')
                        continue;
                if (*ret)
                        return -EBUSY;
                snprintf(ret, size, "%.*s", (int) size - 1, e->d_name);
        }
        return *ret ? 0 : -EBUSY;
}

/* The same, but for what keeps a volume's integrity tags: what stands on that. */
static int find_holder(const struct device *d, char *ret, size_t size, char *ret_dm_uuid, size_t dm_uuid_size) {
        char path[320];
        int r;

        snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/holders", d->major, d->minor);
        r = read_holder(path, ret, size);
        if (r < 0)
                return r;
        r = read_line(ret, "dm/uuid", ret_dm_uuid, dm_uuid_size);
        if (r < 0 || !dm_integrity_uuid_parse(ret_dm_uuid))
                return r;
        snprintf(path, sizeof(path), "/sys/block/%s/holders", ret);
        r = read_holder(path, ret, size);
        return r < 0 ? r : read_line(ret, "dm/uuid", ret_dm_uuid, dm_uuid_size);
}

int open_elsewhere_check(const struct device *d, const struct header *h, struct disk_reply *y) {
        char holder[256], dm_uuid[DM_IOCTL_UUID_SIZE + 1], name[DM_IOCTL_UUID_SIZE + 1], ro[8] = "", uuid[37], mapping[DM_IOCTL_UUID_SIZE];
        uint64_t sectors = (d->size - h->layout.data_offset) / 512;
        struct live_table_expected e = {
                .name = name, .dm_uuid = dm_uuid, .uuid = h->copy.uuid, .major = d->major, .minor = d->minor,
                .sectors = sectors - sectors % (h->layout.sector_size / 512), .offset = h->layout.data_offset / 512,
                .sector_size = h->layout.sector_size, .digest = h->layout.digest, .by_others = true, .integrity = h->layout.integrity,
        };
        struct live_table live;
        const char *why;
        int r;

        if (find_holder(d, holder, sizeof(holder), dm_uuid, sizeof(dm_uuid)) < 0 ||
            read_line(holder, "dm/name", name, sizeof(name)) < 0 || read_line(holder, "ro", ro, sizeof(ro)) < 0 ||
            dm_crypt_uuid_parse(dm_uuid, uuid, mapping) < 0 || !streq(uuid, h->copy.uuid))
                return -EBUSY;
        e.read_only = streq(ro, "1");
        r = live_table_check(&e, &live, &why);
        return r < 0 ? op_fail(y, -EPERM, EXIT_CODE_POLICY, "It is open as %.64s, and that mapping is not what its header asks for (%s): close it, "
                               "then try again. Nothing was written", name, why) : 0;
}
