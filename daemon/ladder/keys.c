/* SPDX-License-Identifier: Apache-2.0 */
#include "dm.h"

#include <linux/keyctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* proc(5), /proc/keys: "ID flags usage timeout perm uid gid type description: summary"; as many and as long as their owners like. */
static int drop_once(const char *uuid) {
        _cleanup_(fclosep) FILE *f = fopen("/proc/keys", "re");
        _cleanup_(freep) char *line = NULL;
        char wanted[64];
        size_t size = 0;
        int n = 0;

        if (!f)
                return errno == ENOENT ? 0 : -errno;         /* a kernel without keyrings */
        snprintf(wanted, sizeof(wanted), "cryptsetup:%s", uuid);
        for (errno = 0; getline(&line, &size, f) >= 0; errno = 0) {
                unsigned id;

                if (!strstr(line, wanted) || sscanf(line, "%x", &id) != 1)
                        continue;
                n++;
                /* May be refused (the key is another's): then it goes with its owner, or is reported. */
                (void) syscall(SYS_keyctl, KEYCTL_REVOKE, id);
                (void) syscall(SYS_keyctl, KEYCTL_INVALIDATE, id);
        }
        return ferror(f) || errno == ENOMEM ? -EIO : n;
}

int keys_drop(const char *uuid, uint64_t wait_usec) {
        const struct timespec pause = { 0, 20 * 1000 * 1000 };
        uint64_t until = now_boottime_usec() + wait_usec;
        int n;

        if (!uuid_is_valid(uuid))
                return 0;
        while ((n = drop_once(uuid)) > 0 && now_boottime_usec() < until)
                (void) nanosleep(&pause, NULL);
        return n;
}
