/* SPDX-License-Identifier: Apache-2.0 */
#include "unpack.h"

#include <fcntl.h>
#include <grp.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#include "pe.h"

#define BUFFER_SIZE (256u * 1024u)
#define NOBODY 65534u

static const struct format {
        const char *program;
        uint8_t magic[6];
        size_t magic_size;
} formats[] = {
        { "gzip", { 0x1f, 0x8b }, 2 },
        { "zstd", { 0x28, 0xb5, 0x2f, 0xfd }, 4 },
        { "xz", { 0xfd, '7', 'z', 'X', 'Z', 0 }, 6 },
        { "lz4", { 0x02, 0x21, 0x4c, 0x18 }, 4 },
        { "lz4", { 0x04, 0x22, 0x4d, 0x18 }, 4 },
        { "bzip2", { 'B', 'Z', 'h' }, 3 },
        { "xz", { 0x5d, 0, 0 }, 3 },
};

static int _printf_(3, 4) explain(char **why, int r, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        if (vasprintf(why, format, ap) < 0)
                *why = NULL;
        va_end(ap);
        return r;
}

static int explain_cpio(char **why, int r, const struct cpio *c) {
        if (r == -E2BIG)
                return explain(why, r, "it holds more than an initramfs can hold");
        if (r == -EBADMSG)
                return explain(why, r, "it is damaged after %u archives and %u files", c->archives, c->entries);
        return explain(why, r, "it cannot be read: %s", strerror(-r));
}

static const struct format *find_format(const uint8_t *p, size_t size) {
        for (size_t i = 0; i < ELEMENTSOF(formats); i++)
                if (size >= formats[i].magic_size && memcmp(p, formats[i].magic, formats[i].magic_size) == 0)
                        return formats + i;
        return NULL;
}

/* The child: what is in the image is a stranger's, so it may write nothing but the pipe and open nothing of root's. */
_Noreturn static void run_decompressor(const char *program, int in, int out) {
        const struct rlimit none = { 0, 0 }, memory = { 2u << 30, 2u << 30 };
        const char *const argv[] = { program, "-dc", NULL };
        char *const environment[] = { (char *) "PATH=/usr/bin:/bin", NULL };
        char path[32];

        if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
            setrlimit(RLIMIT_FSIZE, &none) < 0 || setrlimit(RLIMIT_CORE, &none) < 0 ||
            setrlimit(RLIMIT_AS, &memory) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
            prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                _exit(126);
        in = open("/dev/null", O_WRONLY|O_CLOEXEC);
        if (in >= 0)
                dup2(in, STDERR_FILENO);
        close_range(3, ~0u, 0);
        if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
                               setresuid(NOBODY, NOBODY, NOBODY) < 0))
                _exit(126);
        snprintf(path, sizeof(path), "/usr/bin/%s", program);
        execve(path, (char *const *) argv, environment);
        snprintf(path, sizeof(path), "/bin/%s", program);
        execve(path, (char *const *) argv, environment);
        _exit(127);
}

/* Feeds what comes from the pipe. Returns 0, 1 (there is more that is no archive: not read) or as cpio_feed(). */
static int feed_pipe(int fd, uint8_t *buffer, struct cpio *c) {
        for (;;) {
                ssize_t n = read(fd, buffer, BUFFER_SIZE);
                size_t used;
                int r;

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : 0;
                r = cpio_feed(c, buffer, (size_t) n, &used);
                if (r != 0)
                        return r;
        }
}

static int reap(pid_t pid, bool kill_it) {
        int status;

        if (kill_it)
                kill(pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static int unpack_compressed(int fd, const struct format *f, uint8_t *buffer, struct cpio *c,
                             struct unpack_result *result, char **why) {
        uint32_t before = c->archives;
        int pipes[2], r, status;
        pid_t pid;

        if (pipe2(pipes, O_CLOEXEC) < 0)
                return -errno;
        pid = fork();
        if (pid == 0)
                run_decompressor(f->program, fd, pipes[1]);
        close(pipes[1]);
        if (pid < 0) {
                r = -errno;
                close(pipes[0]);
                return explain(why, r, "no process: %s", strerror(-r));
        }
        r = feed_pipe(pipes[0], buffer, c);
        close(pipes[0]);
        status = reap(pid, r != 0);
        if (status == 127)
                return explain(why, -ENOENT, "it is compressed with %s, which is not installed", f->program);
        if (r < 0)
                return explain_cpio(why, r, c);
        if (!cpio_is_complete(c) || c->archives == before)
                return explain(why, -EBADMSG, "its compressed part (%s) ends early or is damaged", f->program);
        snprintf(result->compression, sizeof(result->compression), "%s", f->program);
        /* In a UKI other sections follow. */
        result->rest_unread = !result->is_unified && (r > 0 || status != 0);
        return 0;
}

/* Where the archives begin and end: in a UKI, its section. */
static int find_archives(int fd, uint8_t *buffer, off_t *ret_start, off_t *ret_end, struct unpack_result *result) {
        ssize_t n = pread(fd, buffer, PE_HEAD_MAX, 0);
        struct pe_facts f;
        int r;

        if (n < 0)
                return -errno;
        *ret_start = 0;
        *ret_end = INT64_MAX;
        r = pe_read(buffer, (size_t) n, &f);
        if (r == -EINVAL)
                return 0;
        if (r < 0)
                return r;
        *ret_start = (off_t) f.initrd;
        *ret_end = (off_t) (f.initrd + f.initrd_size);
        result->is_unified = true;
        result->is_signed = f.is_signed;
        return 0;
}

static int unpack_with(int fd, uint8_t *buffer, struct cpio *c, struct unpack_result *result, char **why) {
        off_t at = 0, end = 0;
        int found = find_archives(fd, buffer, &at, &end, result);

        if (found < 0)
                return explain(why, -EBADMSG, "it is an executable without an initramfs in it");
        for (;;) {
                ssize_t n = at < end ? pread(fd, buffer, (size_t) MIN_OF((off_t) BUFFER_SIZE, end - at), at) : 0;
                const struct format *f;
                size_t used;
                int r;

                if (n < 0)
                        return explain(why, -errno, "%s", strerror(errno));
                if (n == 0)
                        break;
                r = cpio_feed(c, buffer, (size_t) n, &used);
                if (r < 0)
                        return explain_cpio(why, r, c);
                at += (off_t) used;
                if (r == 0)
                        continue;
                n = pread(fd, buffer, sizeof(formats->magic), at);
                f = n > 0 ? find_format(buffer, (size_t) n) : NULL;
                if (!f && c->archives > 0)
                        return explain(why, -EBADMSG, "what follows after %lld bytes is neither an archive nor "
                                       "compressed in a way that is known", (long long) at);
                if (!f)
                        return explain(why, -EBADMSG, "it is no initramfs: neither a cpio archive nor compressed in a "
                                       "way that is known");
                if (lseek(fd, at, SEEK_SET) < 0)
                        return explain(why, -errno, "%s", strerror(errno));
                return unpack_compressed(fd, f, buffer, c, result, why);
        }
        return cpio_is_complete(c) ? 0 : explain(why, -EBADMSG, "it ends in the middle of an archive");
}

int unpack_image(int fd, const struct cpio_sink *sink, struct unpack_result *ret, char **ret_why) {
        _cleanup_(freep) uint8_t *buffer = malloc(BUFFER_SIZE);
        _cleanup_(freep) struct cpio *c = malloc(sizeof(*c));
        struct unpack_result result = {};
        int r;

        if (!buffer || !c)
                return -ENOMEM;
        cpio_init(c, sink);
        r = unpack_with(fd, buffer, c, &result, ret_why);
        if (r >= 0)
                *ret = result;
        return r;
}
