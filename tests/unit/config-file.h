/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A cmkd.conf(5) in a directory of its own: for tests that include cmocka.h before. */

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/config.h"

static char root[64];

static int setup(void **state _unused_) {
        strcpy(root, "/tmp/test-config.XXXXXX");
        return mkdtemp(root) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st _unused_, int flag _unused_, struct FTW *f _unused_) {
        return remove(path);
}

static int teardown(void **state _unused_) {
        return nftw(root, remove_one, 8, FTW_DEPTH|FTW_PHYS);
}

static void put(const char *file, const char *text) {
        char path[256], *slash;

        snprintf(path, sizeof(path), "%s%s", root, file);
        slash = strrchr(path, '/');
        *slash = 0;
        assert_int_equal(mkdir_parents(path, 0755), 0);
        *slash = '/';
        assert_int_equal(write_file_atomic(path, text, strlen(text), 0644), 0);
}

static struct config *load(void) {
        struct config *c = NULL;
        char *why = NULL;

        if (config_load(root, &c, &why) < 0)
                fail_msg("refused: %s", strempty(why));
        return c;
}

/* The text is refused, with each of the words (NULL at the end) in the reason. */
static void _unused_ refuse(const char *text, const char *const words[]) {
        struct config *c = NULL;
        char *why = NULL;

        put("/etc/cmkd/cmkd.conf", text);
        assert_int_equal(config_load(root, &c, &why), -EINVAL);
        assert_null(c);
        assert_non_null(why);
        for (; *words; words++)
                if (!strstr(why, *words))
                        fail_msg("said \"%s\", expected \"%s\" in it", why, *words);
        free(why);
        assert_int_equal(config_load(root, &c, NULL), -EINVAL);
}
#define REFUSE(text, ...) refuse(text, (const char *const []) { __VA_ARGS__, NULL })
