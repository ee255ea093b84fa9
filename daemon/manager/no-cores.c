/* SPDX-License-Identifier: Apache-2.0 */
#include "no-cores.h"

#include <sys/mman.h>
#include <unistd.h>

#include "common/log.h"
#include "disk-child.h"
#include "volume.h"

#define TIMEOUT_USEC (5 * USEC_PER_SEC)

struct no_cores {
        struct disk_children *children;
        sd_event *event;
        sd_event_source *defer;
        struct disk_request request;   /* as of the first volume */
        char list[DISK_CORES_LIST_MAX];
        size_t size;
};

int no_cores_new(struct disk_children *children, sd_event *event, struct no_cores **ret) {
        struct no_cores *n = calloc(1, sizeof(*n));

        if (!n)
                return -ENOMEM;
        n->children = children;
        n->event = sd_event_ref(event);
        *ret = n;
        return 0;
}

struct no_cores *no_cores_free(struct no_cores *n) {
        if (!n)
                return NULL;
        sd_event_source_disable_unref(n->defer);
        sd_event_unref(n->event);
        free(n);
        return NULL;
}

static void on_done(const struct disk_reply *y, int fd, void *user _unused_) {
        safe_close(fd);
        if (y->error < 0)
                log_debug("Core dumps of a volume's users could not be forbidden: %s", y->message);
}

static int start(struct no_cores *n) {
        _cleanup_(closep) int fd = memfd_create("volumes", MFD_CLOEXEC);
        int r;

        r = fd < 0 ? -errno : write_all(fd, n->list, n->size);
        if (r >= 0 && lseek(fd, 0, SEEK_SET) < 0)
                r = -errno;
        if (r >= 0)
                r = disk_child_start(n->children, &n->request, -EBADF, fd, TIMEOUT_USEC, on_done, NULL, NULL);
        n->size = 0;
        return r;
}

static int on_defer(sd_event_source *s _unused_, void *user) {
        struct no_cores *n = user;
        int r;

        n->defer = sd_event_source_disable_unref(n->defer);
        r = start(n);
        if (r < 0)
                log_debug("Users of volumes may dump core: %s", strerror(-r));
        return 0;
}

void no_cores_forbid(struct no_cores *n, const struct volume *v) {
        char uuid[DM_IOCTL_UUID_SIZE];
        int k;

        volume_dm_uuid(v, uuid);
        if (n->size == 0)
                volume_disk_request(v, DISK_OP_NO_CORES, &n->request);
        k = snprintf(n->list + n->size, sizeof(n->list) - n->size, "%s\n", uuid);
        if ((size_t) k >= sizeof(n->list) - n->size) {
                log_debug("%s: its users may dump core: too many volumes at once", v->name);
                return;
        }
        n->size += (size_t) k;
        if (!n->defer && sd_event_add_defer(n->event, &n->defer, on_defer, n) < 0)
                log_debug("%s: its users may dump core: out of memory", v->name);
}
