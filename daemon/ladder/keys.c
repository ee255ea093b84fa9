/* SPDX-License-Identifier: Apache-2.0 */
#include "dm.h"

#include <linux/keyctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* proc(5), /proc/keys: "ID flags usage timeout perm uid gid type description: summary". */
static unsigned drop_once(const char *uuid) {
        _cleanup_(freep) char *text = NULL;
        char wanted[64];
        unsigned n = 0;

        snprintf(wanted, sizeof(wanted), "cryptsetup:%s", uuid);
        if (read_small_file("/proc/keys", 4 * 1024 * 1024, &text, NULL) < 0)
                return 0;
        for (char *line, *p = text; (line = strsep(&p, "\n"));) {
                unsigned id;

                if (!strstr(line, wanted) || sscanf(line, "%x", &id) != 1)
                        continue;
                n++;
                /* May be refused (the key is another's): then it goes with its owner, or is reported. */
                (void) syscall(SYS_keyctl, KEYCTL_REVOKE, id);
                (void) syscall(SYS_keyctl, KEYCTL_INVALIDATE, id);
        }
        return n;
}

unsigned keys_drop(const char *uuid, uint64_t wait_usec) {
        const struct timespec pause = { 0, 20 * 1000 * 1000 };
        uint64_t until = now_boottime_usec() + wait_usec;
        unsigned n;

        if (!uuid_is_valid(uuid))
                return 0;
        while ((n = drop_once(uuid)) > 0 && now_boottime_usec() < until)
                (void) nanosleep(&pause, NULL);
        return n;
}
