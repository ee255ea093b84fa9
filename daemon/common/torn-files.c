/* SPDX-License-Identifier: Apache-2.0 */
#include "torn-files.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util.h"

#define UUID_LENGTH 36u
#define RANDOM_LENGTH 6u        /* of mkostemp(3) */

static bool is_random(const char *s) {
        for (size_t i = 0; i < RANDOM_LENGTH; i++)
                if (!isalnum((unsigned char) s[i]))
                        return false;
        return !s[RANDOM_LENGTH];
}

static bool is_torn(const char *file, const char *name, const char *suffix) {
        char uuid[UUID_LENGTH + 1];
        const char *rest;

        snprintf(uuid, sizeof(uuid), "%s", file);
        if (!name && !uuid_is_valid(uuid))
                return false;
        rest = startswith(file, name ? name : uuid);
        rest = rest ? startswith(rest, suffix) : NULL;
        return rest && *rest == '.' && is_random(rest + 1);
}

static bool is_ours(int dir_fd, const char *file) {
        struct stat st;

        return fstatat(dir_fd, file, &st, AT_SYMLINK_NOFOLLOW) >= 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid();
}

int torn_files_remove(const char *dir, const char *name, const char *suffix) {
        _cleanup_(closedirp) DIR *d = opendir(dir);
        struct dirent *e;
        int n = 0;

        if (!d)
                return -errno;
        while ((e = readdir(d)))
                n += is_torn(e->d_name, name, suffix) && is_ours(dirfd(d), e->d_name) && unlinkat(dirfd(d), e->d_name, 0) >= 0;
        return n;
}
