/* SPDX-License-Identifier: Apache-2.0 */
#include "role-mark.h"

#include <unistd.h>

#include "log.h"
#include "util.h"

#define DIRECTORY "/run/cmkd/roles"
#define PATH_SIZE (sizeof(DIRECTORY) + 40)

void role_mark_write(const char *uuid, enum role role) {
        char path[PATH_SIZE], text[16];
        int r;

        snprintf(path, sizeof(path), DIRECTORY "/%s", uuid);
        snprintf(text, sizeof(text), "%s\n", role_to_string(role));
        r = mkdir_parents(DIRECTORY, 0700);
        if (r >= 0)
                r = write_file_atomic(path, text, strlen(text), 0600);
        if (r < 0)
                log_warning("%s: %s", path, strerror(-r));
}

void role_mark_remove(const char *uuid) {
        char path[PATH_SIZE];

        snprintf(path, sizeof(path), DIRECTORY "/%s", uuid);
        (void) unlink(path);
}

int role_mark_read(const char *uuid, enum role *ret) {
        _cleanup_(freep) char *text = NULL;
        char path[PATH_SIZE];
        int r;

        snprintf(path, sizeof(path), DIRECTORY "/%s", uuid);
        r = read_small_file(path, 16, &text, NULL);
        if (r < 0)
                return r;
        text[strcspn(text, "\n")] = 0;
        r = role_from_string(text);
        if (r < 0)
                return r;
        *ret = (enum role) r;
        return 0;
}
