/* SPDX-License-Identifier: Apache-2.0 */
#include "secret.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

struct secret {
        uint8_t *data;
        size_t size;
        size_t mapped;
        bool unmappable;
};

static int map_secret_memory(struct secret *s) {
#ifdef SYS_memfd_secret
        _cleanup_(closep) int fd = -EBADF;
        void *p;

        fd = (int) syscall(SYS_memfd_secret, O_CLOEXEC);
        if (fd < 0)
                return -errno;
        if (ftruncate(fd, (off_t) s->mapped) < 0)
                return -errno;
        p = mmap(NULL, s->mapped, PROT_READ|PROT_WRITE, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED)
                return -errno;
        s->data = p;
        s->unmappable = true;
        return madvise(p, s->mapped, MADV_DONTFORK) < 0 ? -errno : 0;
#else
        return -ENOSYS;
#endif
}

static int map_locked_memory(struct secret *s) {
        void *p;

        p = mmap(NULL, s->mapped, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
                return -ENOMEM;
        s->data = p;
        /* by number: sanitizers replace mlock(2) by nothing, and their builds are to be tested for this too */
        if (syscall(SYS_mlock, p, s->mapped) < 0 || madvise(p, s->mapped, MADV_DONTDUMP) < 0 ||
            madvise(p, s->mapped, MADV_WIPEONFORK) < 0)
                return -EPERM;
        return 0;
}

int secret_new(size_t size, struct secret **ret) {
        return size <= SECRET_MAX ? secret_new_long(size, ret) : -EINVAL;
}

int secret_new_long(size_t size, struct secret **ret) {
        _cleanup_(secret_freep) struct secret *s = NULL;
        int r;

        if (size == 0 || size > SECRET_LONG_MAX)
                return -EINVAL;
        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->size = size;
        s->mapped = size <= SECRET_MAX ? SECRET_MAX : SECRET_LONG_MAX;
        r = map_secret_memory(s);
        if (r < 0 && s->data) {
                munmap(s->data, s->mapped);
                s->data = NULL;
                s->unmappable = false;
        }
        if (r < 0)
                r = map_locked_memory(s);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

struct secret *secret_free(struct secret *s) {
        if (!s)
                return NULL;
        if (s->data) {
                explicit_bzero(s->data, s->mapped);
                munmap(s->data, s->mapped);
        }
        free(s);
        return NULL;
}

uint8_t *secret_data(struct secret *s) {
        return s->data;
}

const uint8_t *secret_cdata(const struct secret *s) {
        return s->data;
}

size_t secret_size(const struct secret *s) {
        return s->size;
}

void secret_shrink(struct secret *s, size_t size) {
        if (size >= s->size)
                return;
        explicit_bzero(s->data + size, s->size - size);
        s->size = size;
}

int secret_random(size_t size, struct secret **ret) {
        struct secret *s;
        int r;

        r = secret_new(size, &s);
        if (r < 0)
                return r;
        random_bytes(s->data, size);
        *ret = s;
        return 0;
}

int secret_take(void *source, size_t size, struct secret **ret) {
        struct secret *s;
        int r;

        r = secret_new(size, &s);
        if (r >= 0) {
                memcpy(s->data, source, size);
                *ret = s;
        }
        explicit_bzero(source, size);
        return r;
}

int secret_read(int fd, size_t size, struct secret **ret) {
        _cleanup_(secret_freep) struct secret *s = NULL;
        int r;

        r = secret_new(size, &s);
        if (r < 0)
                return r;
        r = read_exact(fd, s->data, size);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

int secret_write(int fd, const struct secret *s) {
        return write_all(fd, s->data, s->size);
}

bool secret_equal(const struct secret *a, const struct secret *b) {
        uint8_t diff = 0;

        if (a->size != b->size)
                return false;
        for (size_t i = 0; i < a->size; i++)
                diff |= (uint8_t) (a->data[i] ^ b->data[i]);
        return diff == 0;
}

bool secret_is_unmappable(const struct secret *s) {
        return s->unmappable;
}

int secret_process_init(void) {
        static const struct rlimit none = { 0, 0 };

        if (prctl(PR_SET_DUMPABLE, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
                return -errno;
        return 0;
}
