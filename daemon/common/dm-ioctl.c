/* SPDX-License-Identifier: Apache-2.0 */
#include "dm-ioctl.h"

#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define CONTROL "/dev/mapper/control"
#define MISC_MAJOR_NUMBER 10u
#define DM_MINOR_DEFAULT 236u
#define TABLE_BUFFER_SIZE 4096u

/* The minor of "device-mapper" in /proc/misc ("236 device-mapper" lines). The number is fixed since Linux 2.6.36, so
 * that opening the node loads the module. */
static unsigned control_minor(void) {
        char text[4096], *hit, *line;
        _cleanup_(closep) int fd = -EBADF;
        unsigned minor = DM_MINOR_DEFAULT;
        ssize_t n;

        fd = open("/proc/misc", O_RDONLY|O_CLOEXEC);
        n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
        if (n <= 0)
                return minor;
        text[n] = 0;
        hit = strstr(text, " device-mapper\n");
        if (!hit)
                return minor;
        for (line = hit; line > text && line[-1] != '\n'; line--)
                ;
        (void) sscanf(line, "%u", &minor);
        return minor;
}

int dm_open_control(void) {
        int fd;

        fd = open(CONTROL, O_RDWR|O_CLOEXEC);
        if (fd >= 0)
                return fd;
        if (errno != ENOENT)
                return -errno;
        if (mkdir("/dev/mapper", 0755) < 0 && errno != EEXIST)
                return -errno;
        if (mknod(CONTROL, S_IFCHR|0600, makedev(MISC_MAJOR_NUMBER, control_minor())) < 0 && errno != EEXIST)
                return -errno;
        fd = open(CONTROL, O_RDWR|O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

/* Few have more than one of a prefix; what is larger costs, as the kernel copies all of it twice. */
#define LIST_SMALL 4096u
#define LIST_LARGE (256u * 1024u)

static void prepare_any(struct dm_ioctl *p, size_t size) {
        memset(p, 0, sizeof(*p));
        p->version[0] = DM_VERSION_MAJOR;
        p->data_size = (uint32_t) size;
        p->data_start = sizeof(*p);
}

static int prepare(struct dm_ioctl *p, size_t size, struct dm_id id) {
        prepare_any(p, size);
        if (!id.uuid == !id.name)
                return -EINVAL;
        if (id.uuid) {
                if (!*id.uuid || strlen(id.uuid) >= sizeof(p->uuid))
                        return -EINVAL;
                strcpy(p->uuid, id.uuid);
        } else {
                if (!*id.name || strlen(id.name) >= sizeof(p->name))
                        return -EINVAL;
                strcpy(p->name, id.name);
        }
        return 0;
}

static int call(int control, unsigned long command, struct dm_ioctl *p) {
        return ioctl(control, command, p) < 0 ? -errno : 0;
}

static void take_info(const struct dm_ioctl *p, struct dm_info *ret) {
        *ret = (struct dm_info) {
                .major = major(p->dev),
                .minor = minor(p->dev),
                .open_count = p->open_count,
                .state = (p->flags & DM_SUSPEND_FLAG ? DM_STATE_SUSPENDED : 0) |
                         (p->flags & DM_READONLY_FLAG ? DM_STATE_READ_ONLY : 0) |
                         (p->flags & DM_ACTIVE_PRESENT_FLAG ? DM_STATE_LIVE_TABLE : 0) |
                         (p->flags & DM_INACTIVE_PRESENT_FLAG ? DM_STATE_INACTIVE_TABLE : 0) |
                         (p->flags & DM_DEFERRED_REMOVE ? DM_STATE_DEFERRED_REMOVE : 0),
        };
        memcpy(ret->name, p->name, MIN_OF(sizeof(p->name), sizeof(ret->name)));
        memcpy(ret->uuid, p->uuid, MIN_OF(sizeof(p->uuid), sizeof(ret->uuid)));
        ret->name[sizeof(ret->name) - 1] = 0;
        ret->uuid[sizeof(ret->uuid) - 1] = 0;
}

int dm_query(int control, struct dm_id id, struct dm_info *ret) {
        struct dm_ioctl p;
        int r;

        r = prepare(&p, sizeof(p), id);
        if (r >= 0)
                r = call(control, DM_DEV_STATUS, &p);
        if (r >= 0)
                take_info(&p, ret);
        return r;
}

int dm_query_dev(int control, uint32_t major, uint32_t minor, struct dm_info *ret) {
        struct dm_ioctl p;
        int r;

        prepare_any(&p, sizeof(p));
        p.dev = makedev(major, minor);
        r = call(control, DM_DEV_STATUS, &p);
        if (r >= 0)
                take_info(&p, ret);
        return r;
}

/* Walks the kernel's array of target specs; `next` is an offset from the start of the data area. */
static int parse_table(const uint8_t *data, size_t size, uint32_t count, struct dm_table *ret) {
        struct dm_table t = { .targets = count, .all_error = count > 0 };
        size_t at = 0;

        for (uint32_t i = 0; i < count; i++) {
                struct dm_target_spec spec;

                if (at > size || size - at < sizeof(spec))
                        return -E2BIG;
                memcpy(&spec, data + at, sizeof(spec));
                spec.target_type[sizeof(spec.target_type) - 1] = 0;
                if (i == 0)
                        memcpy(t.first_type, spec.target_type, sizeof(t.first_type));
                t.all_error = t.all_error && streq(spec.target_type, "error");
                t.sectors = MAX_OF(t.sectors, (uint64_t) (spec.sector_start + spec.length));
                at = spec.next;
        }
        *ret = t;
        return 0;
}

int dm_query_table(int control, struct dm_id id, struct dm_table *ret) {
        union {
                struct dm_ioctl p;
                uint8_t bytes[sizeof(struct dm_ioctl) + TABLE_BUFFER_SIZE];
        } u;
        uint32_t start;
        int r;

        r = prepare(&u.p, sizeof(u.bytes), id);
        if (r < 0)
                return r;
        u.p.flags = DM_NOFLUSH_FLAG;
        r = call(control, DM_TABLE_STATUS, &u.p);
        if (r < 0)
                return r;
        start = u.p.data_start;
        if ((u.p.flags & DM_BUFFER_FULL_FLAG) || start > sizeof(u.bytes))
                return -E2BIG;
        return parse_table(u.bytes + start, sizeof(u.bytes) - start, u.p.target_count, ret);
}

static int load_error(int control, struct dm_id id, uint64_t sectors, bool read_only) {
        struct {
                struct dm_ioctl p;
                struct dm_target_spec spec;
                char parameters[8];
        } b = {};
        int r;

        r = prepare(&b.p, sizeof(b), id);
        if (r < 0)
                return r;
        b.p.target_count = 1;
        b.p.flags = read_only ? DM_READONLY_FLAG : 0;
        b.spec.length = sectors;
        b.spec.next = sizeof(b.spec) + sizeof(b.parameters);
        strcpy(b.spec.target_type, "error");
        return call(control, DM_TABLE_LOAD, &b.p);
}

static int suspend_or_resume(int control, struct dm_id id, unsigned flags, uint32_t what) {
        struct dm_ioctl p;
        int r;

        r = prepare(&p, sizeof(p), id);
        if (r < 0)
                return r;
        p.flags = what | (flags & DM_IO_NOFLUSH ? DM_NOFLUSH_FLAG : 0) |
                  (flags & DM_IO_SKIP_LOCKFS ? DM_SKIP_LOCKFS_FLAG : 0);
        return call(control, DM_DEV_SUSPEND, &p);
}

int dm_suspend(int control, struct dm_id id, unsigned flags) {
        return suspend_or_resume(control, id, flags, DM_SUSPEND_FLAG);
}

int dm_resume(int control, struct dm_id id, unsigned flags) {
        return suspend_or_resume(control, id, flags, 0);
}

int dm_cut(int control, struct dm_id id, uint64_t sectors) {
        struct dm_table table = {};
        struct dm_info info;
        int r;

        r = dm_query(control, id, &info);
        if (r < 0)
                return r;
        r = dm_query_table(control, id, &table);
        if (r >= 0 && table.all_error && !(info.state & (DM_STATE_SUSPENDED|DM_STATE_INACTIVE_TABLE)))
                return 0;
        if (r >= 0 && table.sectors > 0)
                sectors = table.sectors;
        if (r >= 0 && sectors == 0)
                sectors = 1;                     /* nothing was ever there to be read; what is loaded goes with this */
        if (sectors == 0)
                return -EINVAL;
        r = load_error(control, id, sectors, info.state & DM_STATE_READ_ONLY);
        if (r >= 0)
                r = dm_resume(control, id, DM_IO_NOFLUSH|DM_IO_SKIP_LOCKFS);
        if (r >= 0)
                r = dm_query_table(control, id, &table);
        if (r >= 0 && !table.all_error)
                r = -EIO;
        return r;
}

int dm_message(int control, struct dm_id id, const char *message) {
        struct {
                struct dm_ioctl p;
                struct dm_target_msg target;
                char text[64];
        } b = {};
        int r;

        r = prepare(&b.p, sizeof(b), id);
        if (r < 0)
                return r;
        if (strlen(message) >= sizeof(b.text))
                return -EINVAL;
        strcpy((char *) &b + offsetof(__typeof__(b), target) + offsetof(struct dm_target_msg, message), message);
        return call(control, DM_TARGET_MSG, &b.p);
}

int dm_remove(int control, struct dm_id id, bool deferred) {
        struct dm_ioctl p;
        int r;

        r = prepare(&p, sizeof(p), id);
        if (r < 0)
                return r;
        p.flags = deferred ? DM_DEFERRED_REMOVE : 0;
        return call(control, DM_DEV_REMOVE, &p);
}

/* One entry; whether the mapping is there and one of those is asked once more: an older kernel lists all. */
static int tell_listed(int control, const char *prefix, const char *name, int (*f)(const struct dm_info *info, void *userdata),
                       void *userdata) {
        struct dm_info info;

        if (dm_query(control, (struct dm_id) { .name = name }, &info) < 0 || !startswith(info.uuid, prefix))
                return 0;
        return f(&info, userdata);
}

/* buffer: aligned to 8. Returns -E2BIG before f was called. */
static int list_into(int control, const char *prefix, void *buffer, size_t size,
                     int (*f)(const struct dm_info *info, void *userdata), void *userdata) {
        struct dm_ioctl *p = buffer;
        size_t at;
        int r;

        r = prepare(p, size, (struct dm_id) { .uuid = prefix });
        if (r < 0)
                return r;
        /* Where there is no mapping the kernel writes the header back and nothing behind it: its "no device" is ours. */
        memset((uint8_t *) buffer + sizeof(*p), 0, MIN_OF(size - sizeof(*p), sizeof(struct dm_name_list) + 64));
        r = call(control, DM_LIST_DEVICES, p);
        if (r < 0)
                return r;
        if (p->flags & DM_BUFFER_FULL_FLAG)
                return -E2BIG;
        for (at = p->data_start;;) {
                char listed[DM_IOCTL_NAME_SIZE];
                struct dm_name_list entry;
                size_t name = at + offsetof(struct dm_name_list, name);

                if (at > size || size - at < sizeof(entry))
                        return -EBADMSG;
                memcpy(&entry, (uint8_t *) buffer + at, sizeof(entry));
                if (entry.dev == 0)
                        return 0;
                snprintf(listed, sizeof(listed), "%.*s", (int) MIN_OF(size - name, sizeof(listed) - 1),
                         (const char *) buffer + name);
                r = tell_listed(control, prefix, listed, f, userdata);
                if (r != 0 || entry.next == 0)
                        return r;
                at += entry.next;
        }
}

int dm_list(int control, const char *prefix, int (*f)(const struct dm_info *info, void *userdata), void *userdata) {
        _cleanup_(freep) void *large = NULL;
        uint64_t small[LIST_SMALL / sizeof(uint64_t)];
        int r;

        r = list_into(control, prefix, small, sizeof(small), f, userdata);
        if (r != -E2BIG)
                return r;
        large = malloc(LIST_LARGE);
        return large ? list_into(control, prefix, large, LIST_LARGE, f, userdata) : -ENOMEM;
}

int dm_crypt_uuid(const char *uuid, const char *name, char ret[static DM_IOCTL_UUID_SIZE]) {
        size_t n = strlen(DM_CRYPT_UUID_PREFIX);

        if (!uuid_is_valid(uuid) || !*name || strlen(name) + n + 34 > DM_IOCTL_UUID_SIZE)
                return -EINVAL;
        memcpy(ret, DM_CRYPT_UUID_PREFIX, n);
        for (const char *p = uuid; *p; p++)
                if (*p != '-')
                        ret[n++] = *p;
        ret[n++] = '-';
        strcpy(ret + n, name);
        return 0;
}

const char *dm_integrity_uuid_parse(const char *s) {
        const char *rest = startswith(s, DM_SUBDEV_UUID_PREFIX) ?: startswith(s, DM_INTEGRITY_UUID_PREFIX);
        size_t n = strlen(s), suffix = strlen(DM_INTEGRITY_SUFFIX);

        return rest && strspn(rest, "0123456789abcdef") == 32 && rest[32] == '-' && streq(s + n - suffix, DM_INTEGRITY_SUFFIX) ? rest : NULL;
}

bool dm_mapping_name_is_valid(const char *s) {
        size_t n = 0;

        for (; s[n]; n++)
                if (s[n] < '!' || s[n] > '~' || s[n] == '/')
                        return false;
        return n > 0 && n + strlen(DM_CRYPT_UUID_PREFIX) + 34 <= DM_IOCTL_UUID_SIZE - 1;
}

int dm_crypt_uuid_parse(const char *s, char ret_uuid[static 37], char ret_mapping[static DM_IOCTL_UUID_SIZE]) {
        const char *hex = startswith(s, DM_CRYPT_UUID_PREFIX);

        if (!hex || strspn(hex, "0123456789abcdef") != 32 || hex[32] != '-' || !dm_mapping_name_is_valid(hex + 33))
                return -EINVAL;
        snprintf(ret_uuid, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
        snprintf(ret_mapping, DM_IOCTL_UUID_SIZE, "%s", hex + 33);
        return 0;
}
