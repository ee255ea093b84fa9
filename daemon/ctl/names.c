/* SPDX-License-Identifier: Apache-2.0 */
#include "names.h"

#include "ctl.h"

#include "common/key-uri.h"
#include "common/policy-values.h"

#include <sys/stat.h>

int check_name(const char *name) {
        if (volume_name_is_valid(name))
                return EXIT_CODE_DONE;
        return fail(EXIT_CODE_USAGE, "%s is no name of a volume: 1 to 64 of A-Z a-z 0-9 _ . -, neither . nor - first",
                    *name ? name : "an empty text");
}

int check_device(const char *path) {
        struct stat st;

        if (!startswith(path, "/dev/") || strlen(path) > 256)
                return fail(EXIT_CODE_USAGE, "%s is no device: give a path below /dev", path);
        if (stat(path, &st) < 0)
                return fail(EXIT_CODE_FAILED, "%s: %s", path, strerror(errno));
        if (!S_ISBLK(st.st_mode))
                return fail(EXIT_CODE_FAILED, "%s is not a block device", path);
        return EXIT_CODE_DONE;
}

int check_what(const char *what) {
        if (startswith(what, "/"))
                return check_device(what);
        return uuid_is_valid(what) ? EXIT_CODE_DONE : check_name(what);
}
