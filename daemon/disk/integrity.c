/* SPDX-License-Identifier: Apache-2.0 */
#include "integrity.h"

#include <inttypes.h>

int integrity_name(const char *mapping, char ret[static DM_NAME_LEN]) {
        return (size_t) snprintf(ret, DM_NAME_LEN, "%s" DM_INTEGRITY_SUFFIX, mapping) < DM_NAME_LEN ? 0 : -EINVAL;
}

/* How its journal and buffers are sized, and with what sectors: none makes it another device, or has it check anything by itself. */
static bool is_known_option(const char *p, size_t size) {
        static const char *const options[] = {
                "journal_sectors:", "interleave_sectors:", "buffer_sectors:", "journal_watermark:", "commit_time:", "block_size:", "fix_padding",
                "fix_hmac", "legacy_recalculate",
        };

        for (size_t i = 0; i < ELEMENTSOF(options); i++) {
                size_t n = strlen(options[i]);

                if (n <= size && strncmp(p, options[i], n) == 0 && strspn(p + n, "0123456789") == size - n)
                        return true;
        }
        return false;
}

int integrity_check_params(const char *params, const struct integrity_expected *e) {
        char head[96];
        const char *p;

        snprintf(head, sizeof(head), "%" PRIu32 ":%" PRIu32 " %" PRIu64 " %u J ", e->major, e->minor, e->offset, e->tag_size);
        p = startswith(params, head);
        if (!p)
                return -EUCLEAN;
        p += strspn(p, "0123456789");
        while (*p == ' ') {
                size_t size = strcspn(++p, " ");

                if (size > 0 && !is_known_option(p, size))
                        return -EUCLEAN;
                p += size;
        }
        return *p ? -EUCLEAN : 0;
}

static bool is_of_volume(const char *dm_uuid, const char *name, const char *uuid) {
        const char *rest = dm_integrity_uuid_parse(dm_uuid);
        char wanted[DM_IOCTL_UUID_SIZE];

        return rest && dm_crypt_uuid(uuid, name, wanted) >= 0 && streq(rest, wanted + strlen(DM_CRYPT_UUID_PREFIX));
}

int integrity_check_table(const struct dm_ioctl *io, const struct integrity_expected *e, uint64_t *ret_sectors) {
        const struct dm_target_spec *target = (const void *) ((const char *) io + io->data_start);
        const char *params = (const char *) (target + 1);
        char name[DM_NAME_LEN];

        if (integrity_name(e->mapping, name) < 0 || !memchr(io->uuid, 0, sizeof(io->uuid)) || !is_of_volume(io->uuid, name, e->uuid))
                return -EUCLEAN;
        if (!(io->flags & DM_ACTIVE_PRESENT_FLAG) || io->flags & (DM_INACTIVE_PRESENT_FLAG|DM_SUSPEND_FLAG) ||
            !!(io->flags & DM_READONLY_FLAG) != e->read_only)
                return -EUCLEAN;
        if (io->target_count != 1 || io->data_size < io->data_start + sizeof(*target) + 1 ||
            !memchr(params, 0, io->data_size - io->data_start - sizeof(*target)) || target->sector_start != 0 ||
            strncmp(target->target_type, "integrity", sizeof(target->target_type)) != 0)
                return -EUCLEAN;
        *ret_sectors = target->length;
        return integrity_check_params(params, e);
}

int integrity_remove_left_over(int control, const char *mapping, const char *uuid) {
        char name[DM_NAME_LEN];
        struct dm_info info;
        int r;

        r = integrity_name(mapping, name);
        if (r >= 0)
                r = dm_query(control, (struct dm_id) { .name = name }, &info);
        if (r >= 0 && is_of_volume(info.uuid, name, uuid))
                r = dm_remove(control, (struct dm_id) { .uuid = info.uuid }, false);
        return r == -ENXIO ? 0 : r;
}
