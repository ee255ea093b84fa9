/* SPDX-License-Identifier: Apache-2.0 */
#include "mount-watch.h"

#include <fcntl.h>
#include <linux/major.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mountinfo.h"
#include "disk-child.h"
#include "encrypt-run.h"
#include "key.h"
#include "manager.h"
#include "mount-diff.h"
#include "trust-places.h"

#define SETTLE_USEC (500 * USEC_PER_MSEC)
#define RETRY_USEC (30 * USEC_PER_SEC)
#define QUERY_TIMEOUT_USEC (30 * USEC_PER_SEC)
#define LOOKS_MAX 4u

struct watched {
        int fd;
        char *text;                    /* as of the last look at it; NULL: could not be read */
        sd_event_source *source;
};

struct mount_watch {
        struct manager *manager;
        sd_event *event;
        struct watched mounts, swaps;
        sd_event_source *timer, *retry;
        uint64_t number;               /* of the last place in the queue, or look */
        unsigned running;
};

struct look {
        struct mount_watch *watch;
        char uuid[37];                 /* the volume may be gone by the time of the answer */
        uint64_t number;               /* ... or be of another use */
};

static int on_retry(sd_event_source *s _unused_, uint64_t usec _unused_, void *user) {
        struct mount_watch *w = user;
        struct volume *v;

        w->retry = sd_event_source_disable_unref(w->retry);
        LIST_FOREACH(v, &w->manager->volumes, volumes)
                if (v->look.failed) {
                        v->look.failed = false;
                        mount_watch_mark(w, v);
                }
        mount_watch_run(w);
        return 0;
}

static void look_failed(struct mount_watch *w, struct volume *v, const struct disk_reply *y) {
        log_debug("%s: its use cannot be looked at: %s", v->name, y->message);
        v->look.failed = true;
        if (!w->retry &&
            sd_event_add_time_relative(w->event, &w->retry, CLOCK_BOOTTIME, RETRY_USEC, 0, on_retry, w) < 0)
                log_warning("%s: its use is not looked at again: out of memory", v->name);
}

static void on_query(const struct disk_reply *y, int fd, void *user) {
        _cleanup_(freep) struct look *l = user;
        struct mount_watch *w = l->watch;
        struct volume *v = manager_volume_by_uuid(w->manager, l->uuid);

        safe_close(fd);
        w->running--;
        if (v && v->look.running == l->number) {
                v->look.running = 0;
                if (y->error < 0)
                        look_failed(w, v, y);
                else if ((y->flags & DISK_FLAG_OURS) && v->use_flags != y->flags) {
                        v->use_flags = y->flags;
                        manager_volume_policy(v->manager, v);
                        key_evaluate_volume(v);
                        manager_volume_changed(v->manager, v);
                }
        }
        mount_watch_run(w);
}

static int look_at(struct mount_watch *w, struct volume *v) {
        struct look *l = calloc(1, sizeof(*l));
        struct disk_request q;

        if (!l)
                return -ENOMEM;
        *l = (struct look) { .watch = w, .number = ++w->number };
        memcpy(l->uuid, v->uuid, sizeof(l->uuid));
        volume_disk_request(v, DISK_OP_QUERY, &q);
        if (disk_child_start(w->manager->children, &q, -EBADF, -EBADF, QUERY_TIMEOUT_USEC, on_query, l, NULL) < 0) {
                free(l);
                return -ENOMEM;
        }
        v->look = (struct volume_look) { .running = l->number };
        w->running++;
        return 0;
}

static bool may_begin(const struct volume *v) {
        return v->look.due > 0 && v->look.running == 0 && (v->state == VOLUME_ATTACHED || v->state == VOLUME_RECOVERY);
}

static struct volume *first_due(struct mount_watch *w) {
        struct volume *v, *first = NULL;

        LIST_FOREACH(v, &w->manager->volumes, volumes)
                if (may_begin(v) && (!first || v->look.due < first->look.due))
                        first = v;
        return first;
}

void mount_watch_run(struct mount_watch *w) {
        struct volume *v;

        while (w->running < LOOKS_MAX && (v = first_due(w)))
                if (look_at(w, v) < 0) {
                        log_warning("%s: its use is looked at when mounts change again: out of memory", v->name);
                        return;
                }
}

void mount_watch_mark(struct mount_watch *w, struct volume *v) {
        if (v->look.due == 0)
                v->look.due = ++w->number;
}

/* A device that is being taken apart is still there when sysfs does not say any more what it stood on. */
static bool is_made_of_devices(uint32_t major, uint32_t minor) {
        static const char *const kinds[] = { "dm", "md", "bcache" };
        char path[64];

        for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s", major, minor, kinds[i]);
                if (access(path, F_OK) >= 0)
                        return true;
        }
        return false;
}

/* Those that a device stands on, or, with itself, is. Returns false where that cannot be said: it has gone, or is going, or a
 * file is below it. */
static bool mark_below(struct mount_watch *w, uint32_t major, uint32_t minor, bool itself) {
        struct stack below = {};
        struct mapping_seen seen;

        stack_add_below(&below, major, minor, 0);
        for (size_t i = itself ? 0 : 1; i < below.n; i++) {
                const struct stack_device *d = &below.d[i];
                struct volume *v = NULL;

                if (d->major == LOOP_MAJOR)
                        return false;
                if (mapping_sysfs_read(d->major, d->minor, &seen) >= 0)
                        v = manager_volume_by_uuid(w->manager, seen.uuid);
                if (v)
                        mount_watch_mark(w, v);
        }
        return !below.incomplete && mapping_sysfs_exists(major, minor) &&
               (below.n > 1 || !is_made_of_devices(major, minor));
}

static void mark_changed(struct mount_watch *w, const struct mount_diff *d) {
        bool all = d->all;
        struct volume *v;

        for (size_t i = 0; i < d->devices.n && !all; i++)
                all = !mark_below(w, d->devices.d[i].major, d->devices.d[i].minor, true);
        LIST_FOREACH(v, &w->manager->volumes, volumes)
                if (all && (volume_is_open(v) || v->state == VOLUME_ATTACHING))
                        mount_watch_mark(w, v);
}

static int read_again(struct watched *f) {
        f->text = (free(f->text), NULL);
        return lseek(f->fd, 0, SEEK_SET) < 0 ? -errno : mountinfo_read(f->fd, &f->text);
}

static int compare(struct watched *f, int (*diff)(struct mount_diff *d, const char *before, const char *after),
                   struct mount_diff *d) {
        _cleanup_(freep) char *before = TAKE_PTR(f->text);
        int r = read_again(f);

        return r < 0 ? r : before ? diff(d, before, f->text) : -ENODATA;
}

/* What the copy of the list is not enough for. */
static void read_list(struct mount_watch *w) {
        struct volume *v;

        if (manager_reload_trust(w->manager) < 0) {
                log_warning("The node's list could not be read again; its copy holds");
                return;
        }
        if (!w->manager->trust_early)
                trust_places_follow();
        LIST_FOREACH(v, &w->manager->volumes, volumes)
                encrypt_look(v);
}

static int on_settled(sd_event_source *s _unused_, uint64_t usec _unused_, void *user) {
        struct mount_watch *w = user;
        struct mount_diff d = {};

        w->timer = sd_event_source_disable_unref(w->timer);
        if (w->manager->trust_early && trust_places_ready())
                read_list(w);
        if (compare(&w->mounts, mount_diff_mounts, &d) < 0)
                d.all = true;
        if (compare(&w->swaps, mount_diff_swaps, &d) < 0)
                d.all = true;
        mark_changed(w, &d);
        mount_watch_run(w);
        return 0;
}

static void kick(struct mount_watch *w) {
        if (!w->timer &&
            sd_event_add_time_relative(w->event, &w->timer, CLOCK_BOOTTIME, SETTLE_USEC, 0, on_settled, w) < 0)
                log_warning("A change of mounts goes unnoticed: out of memory");
}

/* A volume's own mapping changes all the time; that something new stands on it, or btrfs took it in, does not. */
static bool is_built_upon(uint32_t major, uint32_t minor) {
        struct stack above = {};

        stack_add_above(&above, major, minor, 0);
        return above.n > 1 || stack_shares_btrfs(&above, "/sys", major, minor);
}

/* A mapping is announced before sysfs says what it is (dm_setup_md_queue() in the kernel): then nothing stands on it yet. */
void mount_watch_device(struct mount_watch *w, uint32_t major, uint32_t minor) {
        uint64_t before = w->number;
        struct mapping_seen seen;
        bool is_volume = mapping_sysfs_read(major, minor, &seen) >= 0;

        if (!is_volume || is_built_upon(major, minor))
                (void) mark_below(w, major, minor, is_volume);
        if (w->number != before)
                kick(w);
}

static int on_change(sd_event_source *s _unused_, int fd, uint32_t events _unused_, void *user) {
        char first;

        /* The event stands until the file is read from again. */
        if (lseek(fd, 0, SEEK_SET) < 0 || read(fd, &first, 1) < 0)
                return -errno;
        kick(user);
        return 0;
}

/* What changes from the opening on is an event, so nothing is missed between the reading and the first of them. */
static int watch(struct mount_watch *w, const char *path, struct watched *f) {
        int r;

        f->fd = open(path, O_RDONLY|O_CLOEXEC);
        if (f->fd < 0)
                return -errno;
        r = read_again(f);
        return r < 0 ? r : sd_event_add_io(w->event, &f->source, f->fd, EPOLLPRI, on_change, w);
}

static void watched_done(struct watched *f) {
        sd_event_source_disable_unref(f->source);
        safe_close(f->fd);
        free(f->text);
}

int mount_watch_new(struct manager *m, sd_event *event, struct mount_watch **ret) {
        struct mount_watch *w = calloc(1, sizeof(*w));
        int r;

        if (!w)
                return -ENOMEM;
        *w = (struct mount_watch) {
                .manager = m, .event = sd_event_ref(event), .mounts.fd = -EBADF, .swaps.fd = -EBADF,
        };
        r = watch(w, "/proc/self/mountinfo", &w->mounts);
        if (r >= 0)
                r = watch(w, "/proc/swaps", &w->swaps);
        if (r < 0) {
                mount_watch_free(w);
                return r;
        }
        kick(w);                       /* the node's list may have got its place already */
        *ret = w;
        return 0;
}

struct mount_watch *mount_watch_free(struct mount_watch *w) {
        if (!w)
                return NULL;
        watched_done(&w->mounts);
        watched_done(&w->swaps);
        sd_event_source_disable_unref(w->timer);
        sd_event_source_disable_unref(w->retry);
        sd_event_unref(w->event);
        free(w);
        return NULL;
}
