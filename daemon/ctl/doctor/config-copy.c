/* SPDX-License-Identifier: Apache-2.0 */
#include "config-copy.h"

#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const places[] = { "etc/cmkd", "run/cmkd", "usr/lib/cmkd" };

/* A last part that config_load() would read, and nothing else: no directory can come out of it. */
static bool is_drop_in(const char *name) {
        size_t n = strlen(name);

        return n > 5 && n <= NAME_MAX && *name != '.' && !strchr(name, '/') && streq(name + n - 5, ".conf");
}

struct copy {
        const char *root;
        int error;
};

static bool copy_file(const struct image_file *f, void *user) {
        struct copy *k = user;
        char path[PATH_MAX];
        const char *rest = NULL;

        for (size_t i = 0; !rest && i < ELEMENTSOF(places); i++) {
                rest = startswith(f->path, places[i]);
                rest = rest && *rest == '/' ? rest + 1 : NULL;
        }
        if (!rest || !S_ISREG(f->mode) || !f->data)
                return false;
        if (!streq(rest, "cmkd.conf") && !(startswith(rest, "cmkd.conf.d/") && is_drop_in(rest + 12)))
                return false;
        if (snprintf(path, sizeof(path), "%s/%s", k->root, f->path) >= (int) sizeof(path))
                k->error = -ENAMETOOLONG;
        else
                k->error = write_file_atomic(path, f->data, (size_t) f->size, 0600);
        return k->error < 0;
}

/* The directories of places, deepest last; the names end at each slash in turn. */
static const char *const directories[] = {
        "etc", "etc/cmkd", "etc/cmkd/cmkd.conf.d", "run", "run/cmkd", "run/cmkd/cmkd.conf.d",
        "usr", "usr/lib", "usr/lib/cmkd", "usr/lib/cmkd/cmkd.conf.d",
};

static bool remove_file(const struct image_file *f, void *root) {
        char path[PATH_MAX];

        if (S_ISREG(f->mode) && snprintf(path, sizeof(path), "%s/%s", (char *) root, f->path) < (int) sizeof(path))
                (void) unlink(path);
        return false;
}

static void remove_all(const struct image *i, char *root) {
        char path[PATH_MAX];

        for (size_t k = 0; k < ELEMENTSOF(places); k++)
                image_any(i, places[k], remove_file, root);
        for (size_t k = ELEMENTSOF(directories); k-- > 0;) {
                snprintf(path, sizeof(path), "%s/%s", root, directories[k]);
                (void) rmdir(path);
        }
        (void) rmdir(root);
}

static int copy_all(const struct image *i, const char *root) {
        struct copy k = { .root = root };
        char path[PATH_MAX];

        for (size_t n = 0; n < ELEMENTSOF(directories); n++) {
                snprintf(path, sizeof(path), "%s/%s", root, directories[n]);
                if (mkdir(path, 0700) < 0)
                        return -errno;
        }
        for (size_t n = 0; n < ELEMENTSOF(places); n++)
                if (image_any(i, places[n], copy_file, &k))
                        return k.error;
        return 0;
}

/* Takes the private directory out of a sentence. */
static void strip_root(char *why, const char *root) {
        size_t n = strlen(root);

        for (char *p = why; p && (p = strstr(p, root));)
                memmove(p, p + n, strlen(p + n) + 1);
}

int config_from_image(const struct image *i, struct config **ret, char **ret_why) {
        char root[] = "/tmp/cmkctl-doctor.XXXXXX";
        int r;

        if (!mkdtemp(root))
                return -errno;
        r = copy_all(i, root);
        if (r >= 0)
                r = config_load(root, ret, ret_why);
        if (r < 0 && ret_why)
                strip_root(*ret_why, root);
        remove_all(i, root);
        return r;
}
