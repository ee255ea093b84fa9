/* SPDX-License-Identifier: Apache-2.0 */
#include "trust.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX ".conf"

/* ---- the list ---- */

struct trust_list *trust_free(struct trust_list *l) {
        if (!l)
                return NULL;
        for (size_t i = 0; i < l->n_bad; i++)
                free(l->bad[i]);
        free(l->bad);
        free(l->elsewhere);
        free(l->entries);
        free(l);
        return NULL;
}

int trust_note_bad(struct trust_list *l, const char *dir, const char *file, const char *why) {
        char **bigger = reallocarray(l->bad, l->n_bad + 2, sizeof(char *));
        char *text;

        if (!bigger)
                return -ENOMEM;
        l->bad = bigger;
        if (asprintf(&text, "%s/%s: %s", dir, file, why ? why : "out of memory") < 0)
                return -ENOMEM;
        bigger[l->n_bad++] = text;
        bigger[l->n_bad] = NULL;
        return 0;
}

bool trust_file_is_ours(int fd) {
        struct stat st;

        return fstat(fd, &st) >= 0 && S_ISREG(st.st_mode) && !(st.st_mode & 022) &&
               (st.st_uid == 0 || st.st_uid == geteuid());
}

static int refuse(char **ret_why, const char *why) {
        *ret_why = strdup(why);
        return -EINVAL;
}

/* Reads one file into e. Returns 0, -EINVAL with *ret_why, -ENOMEM, or -errno. */
static int read_file(int dirfd, const char *file, struct trust_entry *e, char **ret_why) {
        _cleanup_(closep) int fd = openat(dirfd, file, O_RDONLY|O_CLOEXEC|O_NOFOLLOW|O_NOCTTY|O_NONBLOCK);
        char text[TRUST_FILE_MAX + 1], uuid[37] = "";
        size_t size = 0, n = strlen(file) - strlen(SUFFIX);
        ssize_t k;

        if (fd < 0)
                return -errno;
        if (!trust_file_is_ours(fd))
                return refuse(ret_why, "it is not a file that only root may write");
        while ((k = read(fd, text + size, sizeof(text) - size)) > 0)
                size += (size_t) k;
        if (k < 0)
                return -errno;
        if (size > TRUST_FILE_MAX)
                return refuse(ret_why, "it is too large to be an entry");
        if (n < sizeof(uuid)) {
                memcpy(uuid, file, n);
                uuid[n] = 0;
        }
        return trust_parse(uuid, text, size, e, ret_why);
}

static int add_file(struct trust_list *l, const char *dir, int dirfd, const char *file) {
        _cleanup_(freep) char *why = NULL;
        struct trust_entry *bigger, *e;
        int r;

        bigger = reallocarray(l->entries, l->n_entries + 1, sizeof(*e));
        if (!bigger)
                return -ENOMEM;
        l->entries = bigger;
        e = bigger + l->n_entries;
        r = read_file(dirfd, file, e, &why);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return trust_note_bad(l, dir, file, why ? why : strerror(-r));
        l->n_entries++;
        return 0;
}

static bool is_entry_name(const char *s) {
        size_t n = strlen(s);

        return *s != '.' && n > strlen(SUFFIX) && streq(s + n - strlen(SUFFIX), SUFFIX);
}

static int compare_entries(const void *a, const void *b) {
        return strcmp(((const struct trust_entry *) a)->uuid, ((const struct trust_entry *) b)->uuid);
}

/* Two entries with one name: nobody can say which is meant, so neither is trusted. */
static int drop_duplicates(struct trust_list *l, const char *dir) {
        size_t kept = 0;

        for (size_t i = 0; i < l->n_entries; i++) {
                const struct trust_entry *e = l->entries + i;
                char file[64];
                size_t same = 0;

                for (size_t k = 0; k < l->n_entries; k++)
                        same += streq(l->entries[k].name, e->name);
                snprintf(file, sizeof(file), "%s" SUFFIX, e->uuid);
                if (same > 1 && trust_note_bad(l, dir, file, "another entry has the same name; neither is used") < 0)
                        return -ENOMEM;
                /* marked only: the others are still to be compared with it */
                if (same > 1)
                        l->entries[i].n_keys = 0;
        }
        for (size_t i = 0; i < l->n_entries; i++)
                if (l->entries[i].n_keys > 0)
                        l->entries[kept++] = l->entries[i];
        l->n_entries = kept;
        return 0;
}

/* Every good file, also those that share a name. */
static int load_files(const char *dir, struct trust_list **ret) {
        _cleanup_(trust_freep) struct trust_list *l = calloc(1, sizeof(*l));
        _cleanup_(closedirp) DIR *d = opendir(dir);
        struct dirent *e;
        int r;

        if (!l)
                return -ENOMEM;
        if (!d && errno != ENOENT)
                return -errno;
        while (d && (e = readdir(d))) {
                if (!is_entry_name(e->d_name))
                        continue;
                if (l->n_entries + l->n_bad >= TRUST_ENTRIES_MAX)
                        return -E2BIG;
                r = add_file(l, dir, dirfd(d), e->d_name);
                if (r < 0)
                        return r;
        }
        if (l->n_entries > 1)
                qsort(l->entries, l->n_entries, sizeof(*l->entries), compare_entries);
        *ret = TAKE_PTR(l);
        return 0;
}

int trust_load(const char *dir, struct trust_list **ret) {
        _cleanup_(trust_freep) struct trust_list *l = NULL;
        int r;

        r = load_files(dir, &l);
        if (r >= 0)
                r = drop_duplicates(l, dir);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(l);
        return 0;
}

/* ---- changes ---- */

static int entry_path(const char *dir, const char *uuid, char *buf, size_t size) {
        if (!uuid_is_valid(uuid))
                return -EINVAL;
        return snprintf(buf, size, "%s/%s" SUFFIX, dir, uuid) < (int) size ? 0 : -ENAMETOOLONG;
}

static int write_entry(const char *path, const struct trust_entry *e) {
        _cleanup_(freep) char *text = NULL;
        int r;

        r = trust_print(e, &text);
        if (r < 0)
                return r;
        return write_file_atomic(path, text, strlen(text), 0600);
}

int trust_add(const char *dir, const struct trust_entry *e) {
        _cleanup_(trust_freep) struct trust_list *l = NULL;
        char path[PATH_MAX];
        struct stat st;
        int r;

        if (!trust_entry_is_valid(e))
                return -EINVAL;
        r = entry_path(dir, e->uuid, path, sizeof(path));
        if (r < 0)
                return r;
        r = mkdir_parents(dir, 0700);
        if (r < 0)
                return r;
        r = load_files(dir, &l);
        if (r < 0)
                return r;
        if (trust_find_name(l, e->name) || lstat(path, &st) >= 0)
                return -EEXIST;
        return write_entry(path, e);
}

static bool goes_back(const struct trust_entry *old, const struct trust_entry *e) {
        for (unsigned n = 0; n < e->n_keys; n++) {
                const struct trust_key *k = trust_find_key(old, &e->keys[n].key);

                if (k && e->keys[n].generation < k->generation)
                        return true;
        }
        return false;
}

static int replace(const char *dir, const struct trust_entry *e, bool may_go_back) {
        _cleanup_(trust_freep) struct trust_list *l = NULL;
        const struct trust_entry *old;
        char path[PATH_MAX];
        int r;

        if (!trust_entry_is_valid(e))
                return -EINVAL;
        r = entry_path(dir, e->uuid, path, sizeof(path));
        if (r < 0)
                return r;
        r = load_files(dir, &l);
        if (r < 0)
                return r;
        old = trust_find_uuid(l, e->uuid);
        if (!old)
                return -ENOENT;
        for (size_t i = 0; i < l->n_entries; i++)
                if (l->entries + i != old && streq(l->entries[i].name, e->name))
                        return -EEXIST;
        return !may_go_back && goes_back(old, e) ? -ESTALE : write_entry(path, e);
}

int trust_update(const char *dir, const struct trust_entry *e) {
        return replace(dir, e, false);
}

int trust_put_back(const char *dir, const struct trust_entry *e) {
        return replace(dir, e, true);
}

int trust_copy(const char *dir, const struct trust_entry *e) {
        _cleanup_(trust_freep) struct trust_list *l = NULL;
        char path[PATH_MAX];
        int r;

        if (!trust_entry_is_valid(e))
                return -EINVAL;
        r = entry_path(dir, e->uuid, path, sizeof(path));
        if (r >= 0)
                r = mkdir_parents(dir, 0700);
        if (r >= 0)
                r = load_files(dir, &l);
        for (size_t i = 0; r >= 0 && i < l->n_entries; i++)
                if (streq(l->entries[i].name, e->name) && !streq(l->entries[i].uuid, e->uuid))
                        r = trust_remove(dir, l->entries[i].uuid);
        return r < 0 ? r : write_entry(path, e);
}

bool trust_is_same(const struct trust_entry *a, const struct trust_entry *b) {
        _cleanup_(freep) char *x = NULL, *y = NULL;

        return streq(a->uuid, b->uuid) && trust_print(a, &x) >= 0 && trust_print(b, &y) >= 0 && streq(x, y);
}

static int sync_directory(const char *dir) {
        _cleanup_(closep) int fd = open(dir, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

        return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

int trust_remove(const char *dir, const char *uuid) {
        char path[PATH_MAX];
        int r;

        r = entry_path(dir, uuid, path, sizeof(path));
        if (r < 0)
                return r;
        return unlink(path) < 0 ? -errno : sync_directory(dir);
}

int trust_set_aside(const char *dir, const char *uuid) {
        char path[PATH_MAX], aside[PATH_MAX];
        int r;

        r = entry_path(dir, uuid, path, sizeof(path));
        if (r < 0)
                return r;
        snprintf(aside, sizeof(aside), "%s/%s" TRUST_ASIDE, dir, uuid);
        return rename(path, aside) < 0 ? -errno : sync_directory(dir);
}
