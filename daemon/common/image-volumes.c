/* SPDX-License-Identifier: Apache-2.0 */
#include "image-volumes.h"

#include <limits.h>

#include "policy-values.h"

#define DROP "drop-image-keyslots"
#define FILE_MAX 16384u

static bool is_there(const struct image_volume *v, int n, const struct image_volume *new) {
        for (int i = 0; i < n; i++)
                if (streq(v[i].uuid, new->uuid) || streq(v[i].name, new->name))
                        return true;
        return false;
}

static int parse_line(char *line, struct image_volume *ret) {
        const char *uuid = strsep(&line, " "), *name = strsep(&line, " "), *word = strsep(&line, " ");
        struct image_volume v = { .drop = word && streq(word, DROP) };

        if (!name || line || (word && !v.drop) || !uuid_is_valid(uuid) || !volume_name_is_valid(name))
                return -EINVAL;
        strcpy(v.uuid, uuid);
        strcpy(v.name, name);
        *ret = v;
        return 0;
}

int image_volumes_parse(char *text, struct image_volume ret[static IMAGE_VOLUMES_MAX], unsigned *ret_line) {
        char *line;
        int n = 0;

        *ret_line = 0;
        while ((line = strsep(&text, "\n"))) {
                struct image_volume v;

                ++*ret_line;
                if (!*line || *line == '#')
                        continue;
                if (n == (int) IMAGE_VOLUMES_MAX || parse_line(line, &v) < 0 || is_there(ret, n, &v))
                        return -EINVAL;
                ret[n++] = v;
        }
        return n;
}

char *image_volumes_print(const struct image_volume *v, size_t n) {
        _cleanup_(freep) char *text = strdup("# Volumes of an image, each to be made its copy's own at first boot: cmkctl(1), personalize\n");

        for (size_t i = 0; text && i < n; i++) {
                _cleanup_(freep) char *before = TAKE_PTR(text);

                if (asprintf(&text, "%s%s %s%s\n", before, v[i].uuid, v[i].name, v[i].drop ? " " DROP : "") < 0)
                        text = NULL;
        }
        return TAKE_PTR(text);
}

int image_volumes_read(const char *root, struct image_volume ret[static IMAGE_VOLUMES_MAX], unsigned *ret_line) {
        _cleanup_(freep) char *text = NULL;
        char path[PATH_MAX];
        int r;

        *ret_line = 0;
        if (snprintf(path, sizeof(path), "%s" IMAGE_VOLUMES_FILE, root) >= (int) sizeof(path))
                return -ENAMETOOLONG;
        r = read_small_file(path, FILE_MAX, &text, NULL);
        if (r == -ENOENT)
                return 0;
        return r < 0 ? r : image_volumes_parse(text, ret, ret_line);
}

const char *image_volume_is_named(const char *uuid) {
        static const char *const files[] = { "/etc/crypttab", "/proc/cmdline", "/etc/kernel/cmdline", "/etc/default/grub" };

        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                _cleanup_(freep) char *text = NULL;

                if (read_small_file(files[i], FILE_MAX, &text, NULL) >= 0 && strcasestr(text, uuid))
                        return files[i];
        }
        return NULL;
}

bool image_volumes_has(const char *uuid) {
        struct image_volume v[IMAGE_VOLUMES_MAX];
        unsigned line;
        int n = image_volumes_read("", v, &line);

        for (int i = 0; i < n; i++)
                if (streq(v[i].uuid, uuid))
                        return true;
        return false;
}
