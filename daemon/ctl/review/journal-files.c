/* SPDX-License-Identifier: Apache-2.0 */
#include "journal-files.h"

#include <dirent.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "ctl/ctl.h"

struct file {
        sd_journal *journal;               /* NULL: it cannot be read, which was said */
        dev_t device;                      /* a file that is rotated keeps these two, under another name */
        ino_t inode;
        bool has_entry, is_over;           /* is_over: as of the last wait */
        uint64_t realtime_usec, monotonic_usec, sequence;
        sd_id128_t boot;
        char machine[33];
};

struct journal_files {
        char *dir, *match;
        size_t threshold;
        struct file *files;
        size_t n_files;
        sd_journal *watch;                 /* of the directory; NULL: nobody has waited yet */
};

struct journal_files *journal_files_free(struct journal_files *f) {
        if (!f)
                return NULL;
        for (size_t i = 0; i < f->n_files; i++)
                sd_journal_close(f->files[i].journal);
        sd_journal_close(f->watch);
        free(f->files);
        free(f->match);
        free(f->dir);
        free(f);
        return NULL;
}

static int open_file(struct journal_files *f, const char *path, struct file *ret) {
        const char *paths[] = { path, NULL };
        int r = sd_journal_open_files(&ret->journal, paths, 0);

        if (r >= 0)
                r = sd_journal_add_match(ret->journal, f->match, 0);
        if (r >= 0)
                r = sd_journal_set_data_threshold(ret->journal, f->threshold);
        if (r >= 0)
                r = sd_journal_seek_head(ret->journal);
        if (r < 0) {
                sd_journal_close(ret->journal);
                ret->journal = NULL;
        }
        return r;
}

static struct file *find_file(struct journal_files *f, const struct stat *st) {
        for (size_t i = 0; i < f->n_files; i++)
                if (f->files[i].device == st->st_dev && f->files[i].inode == st->st_ino)
                        return f->files + i;
        return NULL;
}

/* One that another program is just making can be read when it has been waited for. */
static int add_file(struct journal_files *f, const char *path) {
        struct file *file, *bigger;
        struct stat st;
        int r;

        if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
                return 0;
        file = find_file(f, &st);
        if (file && file->journal)
                return 0;
        if (!file) {
                bigger = reallocarray(f->files, f->n_files + 1, sizeof(*bigger));
                if (!bigger)
                        return -ENOMEM;
                f->files = bigger;
                file = f->files + f->n_files;
                *file = (struct file) { .device = st.st_dev, .inode = st.st_ino };
        }
        r = open_file(f, path, file);
        if (r == -ENOMEM)
                return r;
        if (file == f->files + f->n_files) {
                f->n_files++;
                if (r < 0)
                        (void) fail(EXIT_CODE_TRAIL, "%s: left out, it cannot be read: %s", path, strerror(-r));
        }
        return 0;
}

static bool is_journal(const char *name) {
        const char *dot = strrchr(name, '.');

        return *name != '.' && dot && (streq(dot, ".journal") || streq(dot, ".journal~"));
}

/* journald has a directory for each machine, with or without a namespace behind it. */
static bool is_machine(const char *name) {
        size_t n = strspn(name, "0123456789abcdef");

        return n == 32 && (name[n] == 0 || name[n] == '.');
}

static int scan(struct journal_files *f, const char *dir, bool machines) {
        DIR *d = opendir(dir);
        struct dirent *e;
        int r = d ? 0 : -errno;

        while (r >= 0 && (e = readdir(d))) {
                _cleanup_(freep) char *path = NULL;

                if (!is_journal(e->d_name) && !(machines && is_machine(e->d_name)))
                        continue;
                if (asprintf(&path, "%s/%s", dir, e->d_name) < 0) {
                        path = NULL;
                        r = -ENOMEM;
                } else if (is_journal(e->d_name))
                        r = add_file(f, path);
                else {
                        r = scan(f, path, false);
                        r = r == -ENOTDIR || r == -ENOENT ? 0 : r;
                }
        }
        if (d)
                closedir(d);
        return r;
}

static void raise_limit(void) {
        struct rlimit l;

        if (getrlimit(RLIMIT_NOFILE, &l) < 0)
                return;
        l.rlim_cur = l.rlim_max;
        (void) setrlimit(RLIMIT_NOFILE, &l);
}

static void journal_files_freep(struct journal_files **f) { journal_files_free(*f); }

int journal_files_open(const char *dir, const char *match, size_t threshold, struct journal_files **ret) {
        _cleanup_(journal_files_freep) struct journal_files *f = calloc(1, sizeof(*f));
        int r;

        if (!f)
                return -ENOMEM;
        f->dir = strdup(dir);
        f->match = strdup(match);
        f->threshold = threshold;
        if (!f->dir || !f->match)
                return -ENOMEM;
        raise_limit();                     /* a descriptor for each file */
        r = scan(f, dir, true);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(f);
        return 0;
}

void journal_get_text(sd_journal *j, const char *name, char *buf, size_t size) {
        size_t n, prefix = strlen(name) + 1;
        const void *data;

        *buf = 0;
        if (sd_journal_get_data(j, name, &data, &n) >= 0 && n > prefix)
                snprintf(buf, size, "%.*s", (int) (n - prefix), (const char *) data + prefix);
}

/* Returns 1, 0 (none now) or -errno. */
static int look(struct file *file) {
        char number[24];
        int r;

        if (file->has_entry || file->is_over || !file->journal)
                return file->has_entry;
        r = sd_journal_next(file->journal);
        if (r > 0) {
                r = sd_journal_get_realtime_usec(file->journal, &file->realtime_usec);
                if (r >= 0)
                        r = sd_journal_get_monotonic_usec(file->journal, &file->monotonic_usec, &file->boot);
                if (r < 0)
                        return r;
                journal_get_text(file->journal, "_MACHINE_ID", file->machine, sizeof(file->machine));
                journal_get_text(file->journal, "CMKD_SEQ", number, sizeof(number));
                file->sequence = 0;
                (void) parse_u64(number, UINT64_MAX, &file->sequence);
                file->has_entry = true;
                return 1;
        }
        file->is_over = r == 0;
        return r;
}

/* A node's own clock may have been set back: within a boot the other one counts. */
static bool is_earlier(const struct file *a, const struct file *b) {
        bool same = streq(a->machine, b->machine);

        if (same && sd_id128_equal(a->boot, b->boot) && a->monotonic_usec != b->monotonic_usec)
                return a->monotonic_usec < b->monotonic_usec;
        if (a->realtime_usec != b->realtime_usec)
                return a->realtime_usec < b->realtime_usec;
        return same && a->sequence < b->sequence;
}

int journal_files_next(struct journal_files *f, sd_journal **ret) {
        struct file *first = NULL;

        for (size_t i = 0; i < f->n_files; i++) {
                int r = look(f->files + i);

                if (r < 0)
                        return r;
                if (r > 0 && (!first || is_earlier(f->files + i, first)))
                        first = f->files + i;
        }
        if (!first)
                return 0;
        first->has_entry = false;
        *ret = first->journal;
        return 1;
}

int journal_files_wait(struct journal_files *f) {
        int r = f->watch ? 0 : sd_journal_open_directory(&f->watch, f->dir, 0);

        /* the first returns at once: what has come since the files were read is there then */
        if (r >= 0)
                r = sd_journal_wait(f->watch, UINT64_MAX);
        if (r >= 0)
                r = scan(f, f->dir, true);
        if (r < 0)
                return r;
        for (size_t i = 0; i < f->n_files; i++)
                f->files[i].is_over = false;
        return 1;
}
