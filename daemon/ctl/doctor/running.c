/* SPDX-License-Identifier: Apache-2.0 */
#include "running.h"

#include "common/config.h"

#include <limits.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define STATUS_AGE_MAX_SEC 60u

void find_bad_config(const char *root, struct findings *l) {
        _cleanup_(config_freep) struct config *c = NULL;
        _cleanup_(freep) char *why = NULL;
        int r = config_load(root, &c, &why);

        if (r < 0)
                finding_add(l, FINDING_NODE_CONFIG_BAD, "%s", why ? why : strerror(-r));
}

static bool nobody_listens(const char *path) {
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        _cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK, 0);

        if (fd < 0 || strlen(path) >= sizeof(a.sun_path))
                return false;
        memcpy(a.sun_path, path, strlen(path));
        return connect(fd, (struct sockaddr *) &a, sizeof(a)) < 0 && (errno == ENOENT || errno == ECONNREFUSED);
}

void find_not_running(const char *run, uint64_t now, struct findings *l) {
        char path[PATH_MAX];
        struct stat st;

        snprintf(path, sizeof(path), "%s/private", run);
        if (nobody_listens(path))
                finding_add(l, FINDING_NOT_RUNNING, "nobody listens on %s: cmkd does not run", path);
        snprintf(path, sizeof(path), "%s/audit.status", run);
        if (stat(path, &st) < 0 ? errno == ENOENT : (uint64_t) st.st_mtim.tv_sec + STATUS_AGE_MAX_SEC < now)
                finding_add(l, FINDING_NOT_RUNNING, "%s is not kept up to date: cmkd-audit does not run", path);
}
