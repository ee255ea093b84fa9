/* SPDX-License-Identifier: Apache-2.0 */
#include "live-table.h"
#include "activation.h"
#include "integrity.h"
#include "unlock-key.h"

#include "common/dm-ioctl.h"

#include <inttypes.h>
#include <linux/dm-ioctl.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#define BUFFER_SIZE 4096u

/* What follows the key, or NULL. A wiped key is shown as zeros (drivers/md/dm-crypt.c, crypt_wipe_key). */
static const char *skip_key(const char *params, const struct live_table_expected *e, unsigned digest) {
        const char *key = startswith(params, activation_to_cipher(e->integrity));
        unsigned size = VOLUME_KEY_SIZE + activation_tag_size(e->integrity);
        char named[128];

        if (!key)
                return NULL;
        if (e->held && strspn(key, "0") == size * 2 && key[size * 2] == ' ')
                return key + size * 2 + 1;
        snprintf(named, sizeof(named), ":%u:logon:cryptsetup:%s-d%u ", size, e->uuid, digest);
        return startswith(key, named);
}

static bool are_options_expected(const char *options, const struct live_table_expected *e) {
        char expected[ACTIVATION_OPTIONS_SIZE];

        activation_to_options(e->activation | e->integrity, e->sector_size, expected);
        return streq(options, expected);
}

int live_table_check_params(const char *params, const struct live_table_expected *e, const char **ret_options,
                            const char **ret_why) {
        char head[256];
        const char *rest;
        unsigned others;

        *ret_why = "its key does not come from the keyring, or its cipher is another";
        rest = skip_key(params, e, e->digest);
        if (!rest)
                return -EUCLEAN;
        *ret_why = "its device, offset or start of the tweak is another";
        snprintf(head, sizeof(head), "0 %" PRIu32 ":%" PRIu32 " %" PRIu64, e->major, e->minor, e->offset);
        rest = startswith(rest, head);
        if (!rest || (*rest && *rest != ' '))
                return -EUCLEAN;
        rest += strspn(rest, " ");
        *ret_options = rest;
        *ret_why = "its options are not what they were";
        if (e->before && !streq(rest, e->before->options))
                return -EUCLEAN;
        *ret_why = "its sector size is another, or it has options that nobody asked for";
        if (e->by_others)
                return activation_from_options(rest, e->sector_size, &others) < 0 || (others & ~(unsigned) ACTIVATION_ALL) != e->integrity ? -EUCLEAN : 0;
        return are_options_expected(rest, e) ? 0 : -EUCLEAN;
}

/* One ioctl says all: flags, identity and targets belong together. */
static int read_table(int control, const char *name, struct dm_ioctl *io, size_t size) {
        memset(io, 0, size);
        io->version[0] = DM_VERSION_MAJOR;
        io->data_size = (uint32_t) size;
        io->data_start = sizeof(*io);
        io->flags = DM_STATUS_TABLE_FLAG;
        snprintf(io->name, sizeof(io->name), "%s", name);
        if (ioctl(control, DM_TABLE_STATUS, io) < 0)
                return -errno;
        return io->flags & DM_BUFFER_FULL_FLAG ? -E2BIG : 0;
}

static bool is_size_expected(const struct dm_target_spec *target, const struct live_table_expected *e) {
        if (target->sector_start != 0)
                return false;
        if (e->before)
                return target->length == e->before->sectors;
        return e->by_others ? target->length <= e->sectors : target->length == e->sectors;
}

/* "254:16 32768": a part that is plain, or how an encrypted one goes on after its key. Returns what follows, or NULL. */
static const char *skip_place(const char *params, const struct live_table_expected *e, uint64_t offset) {
        char place[64];
        const char *rest;

        snprintf(place, sizeof(place), "%" PRIu32 ":%" PRIu32 " %" PRIu64, e->major, e->minor, offset);
        rest = startswith(params, place);
        return rest && (!*rest || *rest == ' ') ? rest + strspn(rest, " ") : NULL;
}

static bool is_plain_part(const char *params, const struct live_table_expected *e, uint64_t at) {
        const struct header_encryption *x = e->encryption;
        const char *rest = skip_place(params, e, at < x->shift / 512 ? x->moved / 512 + at : at);

        return rest && !*rest;
}

static bool is_crypt_part(const char *params, const struct live_table_expected *e, unsigned digest, uint64_t at) {
        const char *rest = skip_key(params, e, digest);
        char tweak[32];

        snprintf(tweak, sizeof(tweak), "%" PRIu64 " ", at);
        rest = rest ? startswith(rest, tweak) : NULL;
        rest = rest ? skip_place(rest, e, e->offset + at) : NULL;
        return rest && are_options_expected(rest, e);
}

/* Of a volume that is being encrypted: plain ones, then the one that is done. Of one whose key is changed: the one that is done, then one
 * of the old key. left: sectors that are not done. */
static bool is_part(const struct live_table_expected *e, const char *type, const char *params, uint64_t at, uint64_t length, bool *last,
                    uint64_t *left) {
        const struct header_encryption *x = e->encryption;

        if (*last)
                return false;
        if (!x->rekeys && streq(type, "linear") && is_plain_part(params, e, at)) {
                *left += length;
                return true;
        }
        if (!streq(type, "crypt"))
                return false;
        if (x->rekeys && is_crypt_part(params, e, x->old_digest, at)) {
                *left += length;
                return *last = true;
        }
        *last = !x->rekeys;
        return (at == 0 || !x->rekeys) && is_crypt_part(params, e, e->digest, at);
}

/* The parts of a volume that is being encrypted, from its beginning. */
static int compare_parts(const struct dm_ioctl *io, const struct live_table_expected *e, uint64_t *ret_sectors, const char **why) {
        const char *data = (const char *) io + io->data_start, *end = (const char *) io + io->data_size;
        const struct dm_target_spec *t = (const void *) data;
        uint64_t at = 0, left = 0;
        bool last = false;

        *why = "its parts are not those of its encryption";
        for (uint32_t i = 0; i < io->target_count; i++) {
                const char *params = (const char *) (t + 1);

                if (params >= end || !memchr(params, 0, (size_t) (end - params)) || t->sector_start != at ||
                    !memchr(t->target_type, 0, sizeof(t->target_type)) ||
                    !is_part(e, t->target_type, params, at, t->length, &last, &left))
                        return -EUCLEAN;
                at += t->length;
                if (i + 1 < io->target_count && (t->next % 8 || t->next >= (size_t) (end - data) - sizeof(*t)))
                        return -EUCLEAN;
                t = (const void *) (data + t->next);
        }
        *why = "less of it is done than its header says";
        *ret_sectors = at;
        return left <= e->encryption->plain / 512 && at == e->encryption->size / 512 ? 0 : -EUCLEAN;
}

static int compare(const struct dm_ioctl *io, const struct live_table_expected *e, const char **ret_options, uint64_t *ret_sectors,
                   const char **why) {
        const struct dm_target_spec *target = (const void *) ((const char *) io + io->data_start);
        const char *params = (const char *) (target + 1);
        char uuid[DM_IOCTL_UUID_SIZE];

        *why = "its UUID is not the volume's";
        if (!e->dm_uuid && dm_crypt_uuid(e->uuid, e->name, uuid) < 0)
                return -EUCLEAN;
        if (!streq(io->uuid, e->dm_uuid ? e->dm_uuid : uuid))
                return -EUCLEAN;
        *why = e->held ? "it is not held" : "it is not live";
        if (!(io->flags & DM_ACTIVE_PRESENT_FLAG) || (io->flags & DM_INACTIVE_PRESENT_FLAG) ||
            !!(io->flags & DM_SUSPEND_FLAG) != e->held)
                return -EUCLEAN;
        *why = "it is not read-only, or only";
        if (!!(io->flags & DM_READONLY_FLAG) != e->read_only)
                return -EUCLEAN;
        *ret_options = "";
        *ret_sectors = target->length;
        if (e->encryption && io->target_count > 0 && io->data_size >= io->data_start + sizeof(*target) + 1)
                return compare_parts(io, e, ret_sectors, why);
        *why = "it has not exactly one target, crypt, over the whole device";
        if (io->target_count != 1 || io->data_size < io->data_start + sizeof(*target) + 1 ||
            strncmp(target->target_type, "crypt", sizeof(target->target_type)) != 0 || !is_size_expected(target, e))
                return -EUCLEAN;
        if (!memchr(params, 0, io->data_size - io->data_start - sizeof(*target)))
                return -EUCLEAN;
        return live_table_check_params(params, e, ret_options, why);
}

static int take(const struct dm_ioctl *io, const struct live_table_expected *e, const char *options, uint64_t sectors,
                struct live_table *ret, const char **why) {
        struct live_table t = { .major = major(io->dev), .minor = minor(io->dev), .sectors = sectors };

        *why = "it has more options than there are";
        if (strlen(options) >= sizeof(t.options))
                return -EUCLEAN;
        strcpy(t.options, options);
        /* The parts of an encryption have them each, and were compared. */
        if (e->encryption || activation_from_options(options, e->sector_size, &t.activation) < 0)
                t.activation = e->activation | e->integrity;
        *ret = t;
        return 0;
}

/* What it stands on is the disk, or what stands on that and keeps its tags. */
static int find_below(int control, const struct live_table_expected *e, struct live_table_expected *ret, const char **why) {
        const struct integrity_expected below = {
                .mapping = e->name, .uuid = e->uuid, .major = e->major, .minor = e->minor, .offset = e->offset,
                .tag_size = activation_tag_size(e->integrity), .read_only = e->read_only,
        };
        _Alignas(8) uint8_t buffer[BUFFER_SIZE] = {};
        struct dm_ioctl *io = (struct dm_ioctl *) buffer;
        char name[DM_NAME_LEN];
        int r;

        *ret = *e;
        if (e->integrity == 0)
                return 0;
        *why = "what keeps its integrity tags is not what the header asks for";
        r = integrity_name(e->name, name);
        if (r >= 0)
                r = read_table(control, name, io, sizeof(buffer));
        if (r >= 0)
                r = integrity_check_table(io, &below, &ret->sectors);
        ret->major = major(io->dev);
        ret->minor = minor(io->dev);
        ret->offset = 0;
        /* Of a table that is not ours a journal's key may be in here. */
        explicit_bzero(buffer, sizeof(buffer));
        return r == -ENXIO ? -EUCLEAN : r < 0 ? r : 0;
}

int live_table_check(const struct live_table_expected *asked, struct live_table *ret, const char **ret_why) {
        _Alignas(8) uint8_t buffer[BUFFER_SIZE];
        struct dm_ioctl *io = (struct dm_ioctl *) buffer;
        struct live_table_expected on_tags, *e = &on_tags;
        _cleanup_(closep) int control = -EBADF;
        const char *options;
        uint64_t sectors;
        int r;

        *ret_why = "it cannot be read";
        control = dm_open_control();
        if (control < 0)
                return control;
        r = read_table(control, asked->name, io, sizeof(buffer));
        if (r >= 0)
                r = find_below(control, asked, &on_tags, ret_why);
        if (r >= 0)
                r = compare(io, e, &options, &sectors, ret_why);
        if (r >= 0)
                r = take(io, e, options, sectors, ret, ret_why);
        /* Had the key been given inline after all, it would be in here. */
        explicit_bzero(buffer, sizeof(buffer));
        return r;
}
