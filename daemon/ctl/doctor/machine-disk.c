/* SPDX-License-Identifier: Apache-2.0 */
#include "machine-disk.h"

#include <fcntl.h>
#include <json-c/json.h>
#include <sys/wait.h>
#include <unistd.h>

#define HEADER_MAX (4u << 20)

static void exec_cryptsetup(const char *device, int out) {
        char *const argv[] = { (char *) "cryptsetup", (char *) "luksDump", (char *) "--dump-json-metadata",
                               (char *) "--", (char *) device, NULL };
        char *const environment[] = { (char *) "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
        int null = open("/dev/null", O_RDWR|O_CLOEXEC);

        if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 &&
            dup2(null, STDERR_FILENO) >= 0) {
                close_range(3, ~0u, 0);
                execve("/usr/sbin/cryptsetup", argv, environment);
                execve("/sbin/cryptsetup", argv, environment);
        }
        _exit(127);
}

static int read_answer(int fd, char *text, size_t size) {
        size_t n = 0;

        for (;;) {
                ssize_t k = read(fd, text + n, size - 1 - n);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                n += (size_t) k;
                if (k == 0)
                        break;
                if (n == size - 1)
                        return -EBADMSG;
        }
        text[n] = 0;
        return 0;
}

static int ask_cryptsetup(const char *device, char *text, size_t size) {
        int pipes[2], status, r;
        pid_t pid;

        if (pipe2(pipes, O_CLOEXEC) < 0)
                return -errno;
        pid = fork();
        if (pid == 0)
                exec_cryptsetup(device, pipes[1]);
        close(pipes[1]);
        r = pid < 0 ? -errno : read_answer(pipes[0], text, size);
        close(pipes[0]);
        while (pid > 0 && waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        if (r < 0)
                return r;
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
                return WIFEXITED(status) && WEXITSTATUS(status) == 127 ? -ENOENT : -EBADMSG;
        return 0;
}

int disk_read_metadata(const char *device, struct json_object **ret) {
        _cleanup_(freep) char *text = NULL;
        struct json_object *o;
        int r;

        if (geteuid() != 0)
                return -EPERM;
        text = malloc(HEADER_MAX);
        if (!text)
                return -ENOMEM;
        r = ask_cryptsetup(device, text, HEADER_MAX);
        if (r < 0)
                return r;
        o = json_tokener_parse(text);
        if (!json_object_is_type(o, json_type_object)) {
                json_object_put(o);
                return -EBADMSG;
        }
        *ret = o;
        return 0;
}

int disk_has_recovery_key(const char *device) {
        struct json_object *o, *tokens;
        int found = 0, r;

        r = disk_read_metadata(device, &o);
        if (r < 0)
                return r;
        if (!json_object_object_get_ex(o, "tokens", &tokens) || !json_object_is_type(tokens, json_type_object)) {
                json_object_put(o);
                return -EBADMSG;
        }
        json_object_object_foreach(tokens, number, token) {
                struct json_object *type;

                (void) number;
                found |= json_object_object_get_ex(token, "type", &type) &&
                         streq(strempty(json_object_get_string(type)), "systemd-recovery");
        }
        json_object_put(o);
        return found;
}
