/* SPDX-License-Identifier: Apache-2.0 */
#include "image.h"

#include <sys/stat.h>

#define MODULES "usr/lib/modules/"
#define HEAD_MAX 65536u                     /* of other files: looked at for private keys */

int image_path(const char *path, char *buf, size_t size) {
        static const char *const merged[] = { "bin", "sbin", "lib", "lib32", "lib64", "libx32" };
        size_t n = 0;

        while (*path) {
                size_t k = strcspn(path, "/");

                if (k == 2 && path[0] == '.' && path[1] == '.')
                        return -EINVAL;
                if (k > 0 && !(k == 1 && *path == '.')) {
                        for (size_t i = 0; n == 0 && i < ELEMENTSOF(merged); i++)
                                if (strlen(merged[i]) == k && strncmp(merged[i], path, k) == 0 && size > 4)
                                        n = (size_t) snprintf(buf, size, "usr");
                        if (n + k + 2 > size)
                                return -EINVAL;
                        if (n > 0)
                                buf[n++] = '/';
                        memcpy(buf + n, path, k);
                        n += k;
                }
                path += k + strspn(path + k, "/");
        }
        buf[n] = 0;
        return n > 0 ? 0 : -EINVAL;
}

static bool ends_with(const char *s, const char *end) {
        size_t n = strlen(s), k = strlen(end);

        return n >= k && streq(s + n - k, end);
}

static bool is_module_table(const char *path) {
        return startswith(path, MODULES) && (ends_with(path, "/modules.dep") || ends_with(path, "/modules.builtin"));
}

/* What findings look into. */
static bool is_kept(const char *path, uint64_t size) {
        static const char *const prefixes[] = {
                "etc/", "conf/", "cryptroot/", "scripts/", "usr/lib/cmkd/", "run/cmkd/", "var/lib/cmkd/",
                "usr/share/ca-certificates/", "usr/local/share/ca-certificates/",
        };

        if (is_module_table(path))
                return size <= IMAGE_TABLE_MAX;
        if (size > IMAGE_FILE_MAX)
                return false;
        for (size_t i = 0; i < ELEMENTSOF(prefixes); i++)
                if (startswith(path, prefixes[i]))
                        return true;
        return ends_with(path, ".pem") || ends_with(path, ".crt");
}

static bool is_program_place(const char *path) {
        return startswith(path, "usr/lib") || startswith(path, "usr/bin/") || startswith(path, "usr/sbin/");
}

static void note_release(struct image *i, const char *path) {
        const char *rest = startswith(path, MODULES);
        size_t n = rest ? strcspn(rest, "/") : 0;

        if (n > 0 && rest[n] && n < sizeof(i->release) && !*i->release)
                memcpy(i->release, rest, n);
}

static int add_file(struct image *i, const char *path, const struct cpio_entry *e) {
        struct image_file *f;

        if (i->n_files == i->n_allocated) {
                size_t n = i->n_allocated ? 2 * i->n_allocated : 1024;
                struct image_file *bigger = reallocarray(i->files, n, sizeof(*bigger));

                if (!bigger)
                        return -ENOMEM;
                i->files = bigger;
                i->n_allocated = n;
        }
        f = i->files + i->n_files;
        *f = (struct image_file) { .path = strdup(path), .order = i->n_files, .mode = e->mode, .size = e->size };
        if (!f->path)
                return -ENOMEM;
        i->n_files++;
        i->current = f;
        return 0;
}

static int begin(void *user, const struct cpio_entry *e) {
        struct image *i = user;
        char path[CPIO_NAME_MAX + 8];
        uint64_t wanted = 0;
        int r;

        i->current = NULL;
        i->buffer_filled = i->buffer_size = 0;
        i->wants_content = i->wants_elf = i->wants_head = false;
        if (image_path(e->name, path, sizeof(path)) < 0) {
                i->n_odd_paths += !streq(e->name, ".") && !streq(e->name, "/");
                return 0;
        }
        r = add_file(i, path, e);
        if (r < 0)
                return r;
        note_release(i, path);
        if (S_ISLNK(e->mode)) {
                i->wants_content = e->size > 0 && e->size <= CPIO_NAME_MAX;
        } else if (S_ISREG(e->mode)) {
                i->wants_content = is_kept(path, e->size);
                i->wants_elf = is_program_place(path) && e->size <= IMAGE_ELF_MAX && !ends_with(path, ".ko");
                i->wants_head = true;
        }
        if (i->wants_content || i->wants_elf)
                wanted = e->size;
        else if (i->wants_head)
                wanted = MIN_OF(e->size, (uint64_t) HEAD_MAX);
        free(i->buffer);
        i->buffer = malloc(wanted + 1);
        i->buffer_size = (size_t) wanted;
        return i->buffer ? 0 : -ENOMEM;
}

static int data(void *user, const void *bytes, size_t size) {
        struct image *i = user;
        size_t n = MIN_OF(size, i->buffer_size - i->buffer_filled);

        if (n > 0)
                memcpy(i->buffer + i->buffer_filled, bytes, n);
        i->buffer_filled += n;
        /* Most of what is in usr/lib is no program: looked at once, then only its head is gathered. */
        if (i->wants_elf && !i->wants_content && i->buffer_filled >= 4 && memcmp(i->buffer, "\177ELF", 4) != 0) {
                i->wants_elf = false;
                i->buffer_size = MIN_OF(i->buffer_size, (size_t) HEAD_MAX);
                i->buffer_filled = MIN_OF(i->buffer_filled, i->buffer_size);
        }
        return 0;
}

/* Text with the first line of a private key in it; programs that know the line are no text. */
static bool holds_private_key(const uint8_t *p, size_t size) {
        static const char begin_mark[] = "-----BEGIN ", end_mark[] = "PRIVATE KEY-----";
        const uint8_t *at = p, *found;

        size = MIN_OF(size, (size_t) HEAD_MAX);
        if (size == 0 || memchr(p, 0, size))
                return false;
        while ((found = memmem(at, size - (size_t) (at - p), begin_mark, sizeof(begin_mark) - 1))) {
                const uint8_t *rest = found + sizeof(begin_mark) - 1;
                size_t left = size - (size_t) (rest - p);
                const uint8_t *line_end = memchr(rest, '\n', left);

                left = line_end ? (size_t) (line_end - rest) : left;
                if ((found == p || found[-1] == '\n') && memmem(rest, left, end_mark, sizeof(end_mark) - 1))
                        return true;
                at = rest;
        }
        return false;
}

static int keep(struct image *i, struct image_file *f) {
        char *bigger;

        i->n_kept += i->buffer_filled;
        if (i->n_kept > IMAGE_KEPT_MAX)
                return -E2BIG;
        i->buffer[i->buffer_filled] = 0;
        bigger = realloc(i->buffer, i->buffer_filled + 1);
        if (!bigger)
                return -ENOMEM;
        i->buffer = NULL;
        if (S_ISLNK(f->mode))
                f->link = bigger;
        else
                f->data = bigger;
        return 0;
}

static int end(void *user) {
        struct image *i = user;
        struct image_file *f = i->current;
        int r = 0;

        if (!f)
                return 0;
        if (S_ISREG(f->mode)) {
                f->is_private_key = holds_private_key(i->buffer, i->buffer_filled);
                if (i->wants_elf && i->buffer_filled == f->size) {
                        r = elf_read(i->buffer, i->buffer_filled, &f->elf);
                        f->is_elf = r >= 0;
                }
        }
        if (r != -ENOMEM && i->wants_content && !f->is_elf)
                r = keep(i, f);
        return r == -ENOMEM || r == -E2BIG ? r : 0;
}

struct cpio_sink image_sink(struct image *i) {
        return (struct cpio_sink) { .begin = begin, .data = data, .end = end, .user = i };
}

static int compare(const void *a, const void *b) {
        const struct image_file *x = a, *y = b;
        int c = strcmp(x->path, y->path);

        return c != 0 ? c : (x->order > y->order) - (x->order < y->order);
}

static void file_release(struct image_file *f) {
        free(f->path);
        free(f->link);
        free(f->data);
        elf_release(&f->elf);
}

void image_finish(struct image *i) {
        size_t n = 0;

        if (i->n_files > 0)
                qsort(i->files, i->n_files, sizeof(*i->files), compare);
        for (size_t k = 0; k < i->n_files; k++) {
                /* A directory that comes again changes nothing; of files the last one counts. */
                if (n > 0 && streq(i->files[n - 1].path, i->files[k].path))
                        file_release(i->files + --n);
                i->files[n++] = i->files[k];
        }
        i->n_files = n;
        i->current = NULL;
        free(i->buffer);
        i->buffer = NULL;
}

void image_release(struct image *i) {
        for (size_t k = 0; k < i->n_files; k++)
                file_release(i->files + k);
        free(i->files);
        free(i->buffer);
        *i = (struct image) {};
}

/* The first file whose path is not before path. */
static size_t lower_bound(const struct image *i, const char *path) {
        size_t low = 0, high = i->n_files;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (strcmp(i->files[middle].path, path) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

/* Where a link leads, lexically: ".." takes a part off. Returns 0 or -EINVAL. */
static int resolve(const char *path, const char *link, char *buf, size_t size) {
        char joined[2 * CPIO_NAME_MAX + 16], *parts[256], *rest = joined, *part;
        const char *slash = strrchr(path, '/');
        size_t n = 0, used = 0;

        if (*link == '/' || !slash)
                snprintf(joined, sizeof(joined), "%s", link);
        else
                snprintf(joined, sizeof(joined), "%.*s/%s", (int) (slash - path), path, link);
        while ((part = strsep(&rest, "/"))) {
                if (streq(part, "..")) {
                        n -= n > 0;
                        continue;
                }
                if (n == ELEMENTSOF(parts))
                        return -EINVAL;
                parts[n++] = part;
        }
        for (size_t k = 0; k < n; k++) {
                int written = snprintf(buf + used, size - used, "/%s", parts[k]);

                if (written < 0 || (size_t) written >= size - used)
                        return -EINVAL;
                used += (size_t) written;
        }
        return n > 0 ? 0 : -EINVAL;
}

const struct image_file *image_find(const struct image *i, const char *path) {
        char key[CPIO_NAME_MAX + 8], target[2 * CPIO_NAME_MAX + 16];

        for (unsigned depth = 0; depth < 8; depth++) {
                const struct image_file *f;
                size_t k;

                if (image_path(path, key, sizeof(key)) < 0)
                        return NULL;
                k = lower_bound(i, key);
                f = k < i->n_files && streq(i->files[k].path, key) ? i->files + k : NULL;
                if (!f || !S_ISLNK(f->mode))
                        return f;
                if (!f->link || resolve(key, f->link, target, sizeof(target)) < 0)
                        return NULL;
                path = target;
        }
        return NULL;
}

const char *image_text(const struct image *i, const char *path) {
        const struct image_file *f = image_find(i, path);

        return f && f->data && strlen(f->data) == f->size ? f->data : NULL;
}

bool image_any(const struct image *i, const char *prefix, bool (*match)(const struct image_file *f, void *user),
               void *user) {
        for (size_t k = lower_bound(i, prefix); k < i->n_files && startswith(i->files[k].path, prefix); k++)
                if (match(i->files + k, user))
                        return true;
        return false;
}

/* Whether the last part of path is NAME.ko or NAME.ko.xz and the like; dashes are underscores. */
static bool is_module_of(const char *path, size_t size, const char *name) {
        size_t start = size, n = strlen(name);

        while (start > 0 && path[start - 1] != '/')
                start--;
        if (size - start < n + 3 || strncmp(path + start + n, ".ko", 3) != 0)
                return false;
        for (size_t k = 0; k < n; k++) {
                char a = path[start + k], b = name[k];

                if ((a == '-' ? '_' : a) != (b == '-' ? '_' : b))
                        return false;
        }
        return true;
}

bool module_list_has(const char *list, const char *name) {
        while (list && *list) {
                size_t n = strcspn(list, "\n");

                if (is_module_of(list, n, name))
                        return true;
                list += n + (list[n] == '\n');
        }
        return false;
}

static bool match_module(const struct image_file *f, void *name) {
        return S_ISREG(f->mode) && is_module_of(f->path, strlen(f->path), name);
}

bool image_has_module(const struct image *i, const char *name) {
        char path[sizeof(MODULES) + sizeof(i->release) + 32];

        snprintf(path, sizeof(path), MODULES "%s/modules.builtin", i->release);
        return image_any(i, MODULES, match_module, (void *) name) || module_list_has(image_text(i, path), name);
}
