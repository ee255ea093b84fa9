/* SPDX-License-Identifier: Apache-2.0 */
#include "privacy-setup.h"

#include "common/log.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

static int mark_path(const char *dir, char path[static PATH_MAX]) {
        return snprintf(path, PATH_MAX, "%s/trail.privacy", dir) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int privacy_mark(const char *dir, bool strict) {
        char path[PATH_MAX];
        int fd, r = mark_path(dir, path);

        if (r < 0)
                return r;
        if (!strict)
                return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
        fd = open(path, O_WRONLY|O_CREAT|O_CLOEXEC|O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;
        r = fsync(fd) < 0 ? -errno : 0;
        safe_close(fd);
        return r;
}

static int refuse(const char *why) {
        log_error("Names are not to be recorded, and %s: nothing is recorded, and no key is given out", why);
        return -ENOKEY;
}

static int without_configuration(const struct audit_options *options, const char *why) {
        char path[PATH_MAX];

        if ((why && strstr(why, "Privacy")) || (mark_path(options->trail_dir, path) >= 0 && access(path, F_OK) >= 0))
                return refuse("the configuration cannot be read");
        return 0;
}

int privacy_setup(struct audit_options *options, const struct config *config, const char *why) {
        char text[PATH_MAX + 128];
        struct stat st;
        int r;

        if (!config)
                return without_configuration(options, why);
        if (config->audit.privacy != PRIVACY_STRICT)
                return 0;
        if (options->early) {
                options->unmirrored = true;
                return 0;
        }
        if (!config->audit.privacy_key)
                return refuse("PrivacyKey= is not set");
        r = privacy_load(config->audit.privacy_key, &options->privacy);
        if (r >= 0) {
                privacy_set_place(options->privacy, stat("/proc/self/ns/mnt", &st) >= 0 ? st.st_ino : 0);
                return 0;
        }
        snprintf(text, sizeof(text), "PrivacyKey=%s cannot be used: %s", config->audit.privacy_key,
                 r == -EPERM ? "others than root may read it" : r == -EINVAL ? "it is no file of 32 to 4096 bytes" : strerror(-r));
        return refuse(text);
}
