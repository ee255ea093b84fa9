/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle-file.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK 65536u

struct bundle_file {
        struct bundle_files *files;
        size_t at;                         /* which of them */
        int fd;
        EVP_MD_CTX *hash;
};

int bundle_files_begin(const char *dir, struct bundle_files *ret) {
        char *made;
        int fd;

        if (faccessat(AT_FDCWD, dir, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
                return -EEXIST;
        if (asprintf(&made, "%s.XXXXXX", dir) < 0)
                return -ENOMEM;
        if (!mkdtemp(made)) {
                free(made);
                return -errno;
        }
        fd = open(made, O_RDONLY|O_DIRECTORY|O_CLOEXEC);
        *ret = (struct bundle_files) { .dir = dir, .made = made, .fd = fd };
        return fd < 0 ? -errno : 0;
}

void bundle_files_done(struct bundle_files *b) {
        for (size_t i = 0; i < b->n; i++) {
                if (b->made)
                        (void) unlinkat(b->fd, b->f[i].name, 0);
                free(b->f[i].name);
        }
        if (b->made)
                (void) rmdir(b->made);
        free(b->made);
        b->made = NULL;
        b->fd = safe_close(b->fd);
        b->n = 0;
}

int bundle_files_end(struct bundle_files *b) {
        _cleanup_(freep) char *parent = strdup(b->dir);
        _cleanup_(closep) int fd = -EBADF;
        char *slash;

        if (!parent)
                return -ENOMEM;
        while ((slash = strrchr(parent, '/')) && !slash[1] && slash != parent)
                *slash = 0;
        if (fsync(b->fd) < 0)
                return -errno;
        if (renameat2(AT_FDCWD, b->made, AT_FDCWD, b->dir, RENAME_NOREPLACE) < 0) {
                /* Some file systems do not know the flag; and rename(2) takes the place of an empty directory alone */
                if (errno != EINVAL || faccessat(AT_FDCWD, b->dir, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
                        return errno == EINVAL ? -EEXIST : -errno;
                if (rename(b->made, b->dir) < 0)
                        return -errno;
        }
        free(b->made);
        b->made = NULL;
        if (slash)
                slash[slash == parent] = 0;
        fd = open(slash ? parent : ".", O_RDONLY|O_DIRECTORY|O_CLOEXEC);
        return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

struct bundle_file *bundle_file_free(struct bundle_file *f) {
        if (!f)
                return NULL;
        safe_close(f->fd);
        EVP_MD_CTX_free(f->hash);
        free(f);
        return NULL;
}

int bundle_file_new(struct bundle_files *b, const char *name, struct bundle_file **ret) {
        _cleanup_(bundle_file_freep) struct bundle_file *f = calloc(1, sizeof(*f));
        char *copy;

        if (b->n >= BUNDLE_FILES_MAX)
                return -E2BIG;
        if (!f)
                return -ENOMEM;
        f->files = b;
        f->fd = openat(b->fd, name, O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC|O_NOFOLLOW, 0600);
        if (f->fd < 0)
                return -errno;
        copy = strdup(name);
        if (!copy) {
                (void) unlinkat(b->fd, name, 0);
                return -ENOMEM;
        }
        f->at = b->n;
        b->f[b->n].size = 0;
        b->f[b->n++].name = copy;
        f->hash = EVP_MD_CTX_new();
        if (!f->hash)
                return -ENOMEM;
        if (EVP_DigestInit_ex(f->hash, EVP_sha256(), NULL) != 1)
                return -EIO;
        *ret = TAKE_PTR(f);
        return 0;
}

int bundle_file_add(struct bundle_file *f, const void *data, size_t size) {
        if (EVP_DigestUpdate(f->hash, data, size) != 1)
                return -EIO;
        f->files->f[f->at].size += size;
        return write_all(f->fd, data, size);
}

int bundle_file_end(struct bundle_file *f) {
        unsigned char sum[EVP_MAX_MD_SIZE];
        unsigned n;

        if (EVP_DigestFinal_ex(f->hash, sum, &n) != 1 || n != BUNDLE_SUM_SIZE / 2)
                return -EIO;
        for (unsigned i = 0; i < n; i++)
                snprintf(f->files->f[f->at].sum + (size_t) 2 * i, 3, "%02x", sum[i]);
        return fsync(f->fd) < 0 ? -errno : 0;
}

int bundle_file_text(struct bundle_files *b, const char *name, const char *text) {
        _cleanup_(bundle_file_freep) struct bundle_file *f = NULL;
        int r = bundle_file_new(b, name, &f);

        if (r >= 0)
                r = bundle_file_add(f, text, strlen(text));
        return r < 0 ? r : bundle_file_end(f);
}

/* Bytes up to the last newline, or all where that is not asked for. */
static int whole_size(int fd, bool lines, uint64_t *ret) {
        char buf[4096];
        struct stat st;
        uint64_t end;

        if (fstat(fd, &st) < 0)
                return -errno;
        end = (uint64_t) st.st_size;
        while (lines && end > 0) {
                size_t n = MIN_OF(end, (uint64_t) sizeof(buf));
                const char *newline;

                if (pread(fd, buf, n, (off_t) (end - n)) != (ssize_t) n)
                        return -EIO;
                newline = memrchr(buf, '\n', n);
                if (newline) {
                        end -= n - (size_t) (newline + 1 - buf);
                        break;
                }
                end -= n;
        }
        *ret = end;
        return 0;
}

static int copy_bytes(int fd, uint64_t left, struct bundle_file *f) {
        char buf[CHUNK];
        int r = 0;

        while (r >= 0 && left > 0) {
                ssize_t n = read(fd, buf, MIN_OF(left, (uint64_t) sizeof(buf)));

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : -EIO;
                r = bundle_file_add(f, buf, (size_t) n);
                left -= (uint64_t) n;
        }
        return r;
}

int bundle_file_copy(struct bundle_files *b, const char *dir, const char *name) {
        _cleanup_(bundle_file_freep) struct bundle_file *f = NULL;
        _cleanup_(closep) int dir_fd = -EBADF, fd = -EBADF;
        struct stat st;
        uint64_t size;
        int r;

        dir_fd = open(dir, O_RDONLY|O_DIRECTORY|O_CLOEXEC);
        if (dir_fd < 0)
                return -errno;
        if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return 0;
        fd = openat(dir_fd, name, O_RDONLY|O_NOFOLLOW|O_NONBLOCK|O_CLOEXEC);
        if (fd < 0)
                return -errno;
        r = whole_size(fd, strstr(name, ".jsonl") != NULL, &size);
        if (r >= 0)
                r = bundle_file_new(b, name, &f);
        if (r >= 0)
                r = copy_bytes(fd, size, f);
        return r < 0 ? r : bundle_file_end(f);
}

int bundle_files_sums(struct bundle_files *b, char ret[static BUNDLE_SUM_SIZE + 1]) {
        _cleanup_(freep) char *text = NULL;
        size_t size = 0, n = b->n;
        FILE *f = open_memstream(&text, &size);
        int r;

        if (!f)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                fprintf(f, "%s  %s\n", b->f[i].sum, b->f[i].name);
        if (fclose(f) != 0)
                return -ENOMEM;
        r = bundle_file_text(b, "SHA256SUMS", text);
        if (r >= 0)
                memcpy(ret, b->f[n].sum, BUNDLE_SUM_SIZE + 1);
        return r;
}
