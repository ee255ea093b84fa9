/* SPDX-License-Identifier: Apache-2.0 */
#include "mount-watch.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/log.h"
#include "disk-child.h"
#include "key.h"
#include "manager.h"
#include "trust-places.h"

#define SETTLE_USEC (500 * USEC_PER_MSEC)
#define QUERY_TIMEOUT_USEC (30 * USEC_PER_SEC)

struct mount_watch {
        struct manager *manager;
        sd_event *event;
        int mounts, swaps;
        sd_event_source *mounts_source, *swaps_source, *timer;
};

struct look {
        struct manager *manager;
        char uuid[37];                 /* the volume may be gone by the time of the answer */
};

static void on_query(const struct disk_reply *y, int fd, void *user) {
        struct look *l = user;
        struct volume *v = manager_volume_by_uuid(l->manager, l->uuid);

        safe_close(fd);
        free(l);
        if (!v || y->error < 0 || !(y->flags & DISK_FLAG_OURS) || v->use_flags == y->flags)
                return;
        v->use_flags = y->flags;
        manager_volume_policy(v->manager, v);
        key_evaluate_volume(v);
        manager_volume_changed(v->manager, v);
}

static void look_at(struct mount_watch *w, const struct volume *v) {
        struct look *l = calloc(1, sizeof(*l));
        struct disk_request q;

        if (!l)
                return;
        l->manager = w->manager;
        memcpy(l->uuid, v->uuid, sizeof(l->uuid));
        volume_disk_request(v, DISK_OP_QUERY, &q);
        if (disk_child_start(w->manager->children, &q, -EBADF, -EBADF, QUERY_TIMEOUT_USEC, on_query, l, NULL) < 0)
                free(l);
}

static int on_settled(sd_event_source *s _unused_, uint64_t usec _unused_, void *user) {
        struct mount_watch *w = user;
        struct volume *v;

        w->timer = sd_event_source_disable_unref(w->timer);
        if (w->manager->trust_early && trust_places_ready() && manager_reload_trust(w->manager) < 0)
                log_warning("The node's list could not be read again; its copy holds");
        LIST_FOREACH(v, &w->manager->volumes, volumes)
                if (v->state == VOLUME_ATTACHED || v->state == VOLUME_RECOVERY)
                        look_at(w, v);
        return 0;
}

void mount_watch_kick(struct mount_watch *w) {
        if (!w->timer &&
            sd_event_add_time_relative(w->event, &w->timer, CLOCK_BOOTTIME, SETTLE_USEC, 0, on_settled, w) < 0)
                log_warning("A change of mounts goes unnoticed: out of memory");
}

static int on_change(sd_event_source *s _unused_, int fd, uint32_t events _unused_, void *user) {
        char first;

        /* The event stands until the file is read from again. */
        if (lseek(fd, 0, SEEK_SET) < 0 || read(fd, &first, 1) < 0)
                return -errno;
        mount_watch_kick(user);
        return 0;
}

static int watch(struct mount_watch *w, const char *path, int *ret_fd, sd_event_source **ret_source) {
        *ret_fd = open(path, O_RDONLY|O_CLOEXEC);
        if (*ret_fd < 0)
                return -errno;
        return sd_event_add_io(w->event, ret_source, *ret_fd, EPOLLPRI, on_change, w);
}

int mount_watch_new(struct manager *m, sd_event *event, struct mount_watch **ret) {
        struct mount_watch *w = calloc(1, sizeof(*w));
        int r;

        if (!w)
                return -ENOMEM;
        *w = (struct mount_watch) { .manager = m, .event = sd_event_ref(event), .mounts = -EBADF, .swaps = -EBADF };
        r = watch(w, "/proc/self/mountinfo", &w->mounts, &w->mounts_source);
        if (r >= 0)
                r = watch(w, "/proc/swaps", &w->swaps, &w->swaps_source);
        if (r < 0) {
                mount_watch_free(w);
                return r;
        }
        *ret = w;
        return 0;
}

struct mount_watch *mount_watch_free(struct mount_watch *w) {
        if (!w)
                return NULL;
        sd_event_source_disable_unref(w->mounts_source);
        sd_event_source_disable_unref(w->swaps_source);
        sd_event_source_disable_unref(w->timer);
        safe_close(w->mounts);
        safe_close(w->swaps);
        sd_event_unref(w->event);
        free(w);
        return NULL;
}
