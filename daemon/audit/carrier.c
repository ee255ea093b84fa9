/* SPDX-License-Identifier: Apache-2.0 */
#include "carrier.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/mountinfo.h"
#include "common/role-mark.h"
#include "common/stack.h"

/* The longest mount point is the one; of two of the same length the later one lies on top. */
int carrier_mount(char *mountinfo, const char *dir, uint32_t *ret_major, uint32_t *ret_minor, const char **ret_source) {
        size_t longest = 0;
        char *line;
        int found = 0;

        while ((line = strsep(&mountinfo, "\n"))) {
                struct mount_line m;

                if (mount_line_parse(line, &m) < 0 || !path_is_below(dir, m.point) || strlen(m.point) < longest)
                        continue;
                longest = strlen(m.point);
                *ret_major = m.major;
                *ret_minor = m.minor;
                *ret_source = m.source;
                found = 1;
        }
        return found;
}

/* "CRYPT-LUKS2-HEX-NAME" */
static bool read_uuid(uint32_t major, uint32_t minor, char ret[static 37]) {
        _cleanup_(freep) char *text = NULL;
        const char *hex;
        char path[64];

        snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/dm/uuid", major, minor);
        if (read_small_file(path, 256, &text, NULL) < 0)
                return false;
        hex = startswith(text, "CRYPT-LUKS2-");
        if (!hex || strspn(hex, "0123456789abcdef") != 32)
                return false;
        snprintf(ret, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
        return true;
}

int carrier_find(const char *dir, struct carrier *ret) {
        _cleanup_(closep) int fd = open("/proc/self/mountinfo", O_RDONLY|O_CLOEXEC);
        _cleanup_(freep) char *text = NULL;
        struct stack below = {};
        const char *source;
        uint32_t major, minor;
        struct stat st;
        int r;

        *ret = (struct carrier) {};
        r = fd < 0 ? -errno : mountinfo_read(fd, &text);
        if (r < 0)
                return r;
        if (carrier_mount(text, dir, &major, &minor, &source) == 0)
                return 0;
        if (major == 0) {
                if (*source != '/' || stat(source, &st) < 0 || !S_ISBLK(st.st_mode))
                        return 0;
                major = major(st.st_rdev);
                minor = minor(st.st_rdev);
        }
        stack_add_below(&below, major, minor, 0);
        for (size_t i = 0; i < below.n; i++) {
                struct carrier c;

                if (read_uuid(below.d[i].major, below.d[i].minor, c.uuid) && role_mark_read(c.uuid, &c.role) >= 0 &&
                    c.role != ROLE_OS) {
                        *ret = c;
                        return 1;
                }
        }
        return 0;
}
