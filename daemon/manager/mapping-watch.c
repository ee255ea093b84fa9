/* SPDX-License-Identifier: Apache-2.0 */
#include "mapping-watch.h"

#include <linux/netlink.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adopt.h"
#include "common/log.h"
#include "header-watch.h"
#include "manager.h"
#include "mount-watch.h"
#include "uevent.h"

#define KERNEL_GROUP 1u
#define MESSAGE_MAX 16384u
#define RECEIVE_BUFFER (4 << 20)
#define MESSAGES_A_TURN 64
#define FINDINGS_MAX 64u
#define SKIPPED_MAX 256u

struct mapping_watch {
        struct manager *manager;
        sd_event *event;
        int fd;
        sd_event_source *source, *timer;
        struct mapping_seen findings[FINDINGS_MAX];       /* said already, as long as they are there */
        size_t n_findings;
        struct { char uuid[37]; uint32_t major, minor; } skipped[SKIPPED_MAX];   /* 0:0: the volume itself */
        size_t n_skipped;
        bool skipped_more, all;
};

static void skip(struct mapping_watch *w, const char *uuid, uint32_t major, uint32_t minor) {
        size_t i = w->n_skipped;

        if (i == SKIPPED_MAX) {
                w->skipped_more = true;
                return;
        }
        snprintf(w->skipped[i].uuid, sizeof(w->skipped[i].uuid), "%s", uuid);
        w->skipped[i].major = major;
        w->skipped[i].minor = minor;
        w->n_skipped++;
}

static bool is_new_finding(struct mapping_watch *w, const struct mapping_seen *s) {
        for (size_t i = 0; i < w->n_findings; i++)
                if (w->findings[i].major == s->major && w->findings[i].minor == s->minor &&
                    streq(w->findings[i].uuid, s->uuid) && streq(w->findings[i].mapping, s->mapping))
                        return false;
        if (w->n_findings == FINDINGS_MAX)
                memmove(w->findings, w->findings + 1, --w->n_findings * sizeof(w->findings[0]));
        w->findings[w->n_findings++] = *s;
        return true;
}

static void forget_finding(struct mapping_watch *w, uint32_t major, uint32_t minor) {
        for (size_t i = w->n_findings; i-- > 0;) {
                struct mapping_seen *s = w->findings + i;
                struct volume *v;

                if (s->major != major || s->minor != minor)
                        continue;
                v = manager_volume_by_uuid(w->manager, s->uuid);
                if (v && streq(v->second_mapping, s->mapping))
                        *v->second_mapping = 0;
                *s = w->findings[--w->n_findings];
        }
}

static int on_mapping(const struct mapping_seen *s, void *user) {
        struct mapping_watch *w = user;
        struct manager *m = w->manager;
        struct volume *v = manager_volume_by_uuid(m, s->uuid);
        bool waits = v && v->state == VOLUME_ATTACHING && v->released && !v->unseen;

        if (v && v->state == VOLUME_ATTACHING && !waits) {
                skip(w, s->uuid, s->major, s->minor);     /* it is being made, or looked at until somebody has */
                return 0;
        }
        if (v && volume_is_open(v)) {
                if (streq(v->mapping, s->mapping)) {
                        if (v->state == VOLUME_HELD)
                                adopt_changed(v);
                } else if (is_new_finding(w, s))
                        adopt_second(v, s);
        } else if (v || trust_find_uuid(m->trust, s->uuid))
                adopt_found(m, s);
        else if (is_new_finding(w, s))
                adopt_foreign(m, s);
        return 0;
}

static bool may_go(const struct volume *v) {
        return v->state == VOLUME_ATTACHED || v->state == VOLUME_HELD || v->state == VOLUME_RECOVERY;
}

static bool may_be_pulled(const struct volume *v) {
        return volume_is_open(v) && v->state != VOLUME_NOTICE && v->state != VOLUME_CUTTING && v->state != VOLUME_LINGERING;
}

/* A device that is not below the volume any more (pvmove), or not alone (multipath), may go; of one that is, sysfs keeps the link
 * when it goes. */
static bool is_below(const struct volume *v, int i) {
        uint32_t major = i == 0 ? v->dev_major : v->below[i - 1].major;
        uint32_t minor = i == 0 ? v->dev_minor : v->below[i - 1].minor;
        char path[192];
        struct stat st;

        snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/slaves/%s", major, minor, v->below[i].name);
        if (i > 0 && !mapping_sysfs_exists(major, minor))
                return true;
        return lstat(path, &st) >= 0 && !mapping_sysfs_has_other(major, minor, v->below[i].name);
}

static void look_below(struct volume *v) {
        bool other = false;

        for (int i = 0; i < v->n_below; i++) {
                if (mapping_sysfs_exists(v->below[i].major, v->below[i].minor))
                        continue;
                if (is_below(v, i)) {
                        adopt_pulled(v, v->below[i].name);
                        return;
                }
                other = true;
        }
        if (other)
                mapping_watch_note(v);
}

static void look_at(struct volume *v) {
        struct mapping_seen s;

        if (may_go(v) && (mapping_sysfs_read(v->dev_major, v->dev_minor, &s) < 0 || !streq(s.uuid, v->uuid) ||
                          !streq(s.mapping, v->mapping)))
                adopt_changed(v);
        else if (may_be_pulled(v))
                look_below(v);
}

static bool stands_on(const struct volume *v, uint32_t major, uint32_t minor) {
        for (int i = 0; i < v->n_below; i++)
                if (v->below[i].major == major && v->below[i].minor == minor)
                        return true;
        return (v->dev_major == major && v->dev_minor == minor) || v->n_below == (int) ELEMENTSOF(v->below);
}

static void look_at_gone(struct mapping_watch *w, uint32_t major, uint32_t minor) {
        struct volume *v;

        LIST_FOREACH(v, &w->manager->volumes, volumes)
                if (stands_on(v, major, minor))
                        look_at(v);
}

static void look_at_all(struct mapping_watch *w) {
        struct volume *v;
        int r;

        if (!w->manager->adopted)
                return;
        r = mapping_sysfs_for_each(on_mapping, w);
        if (r < 0)
                log_warning("The mappings of this machine cannot be listed: %s", strerror(-r));
        LIST_FOREACH(v, &w->manager->volumes, volumes)
                look_at(v);
}

/* What was skipped and is to be skipped again is there once more. A resume that failed may have gone further than its child could say. */
static void look_at_skipped(struct mapping_watch *w) {
        size_t n = w->n_skipped;

        w->n_skipped = 0;
        for (size_t i = 0; i < n; i++) {
                const typeof(w->skipped[0]) x = w->skipped[i];
                struct mapping_seen s;
                struct volume *v;

                if (x.major > 0 && mapping_sysfs_read(x.major, x.minor, &s) >= 0)
                        (void) on_mapping(&s, w);
                v = manager_volume_by_uuid(w->manager, x.uuid);
                if (v)
                        look_at(v);
                if (v && v->state == VOLUME_HELD)
                        adopt_changed(v);
        }
}

static int on_kicked(sd_event_source *s _unused_, uint64_t usec _unused_, void *user) {
        struct mapping_watch *w = user;

        w->timer = sd_event_source_disable_unref(w->timer);
        if (w->all || w->skipped_more) {
                w->all = w->skipped_more = false;
                w->n_skipped = 0;
                look_at_all(w);
        } else if (w->manager->adopted)
                look_at_skipped(w);
        return 0;
}

static void soon(struct mapping_watch *w) {
        if (!w->timer && sd_event_add_time_relative(w->event, &w->timer, CLOCK_BOOTTIME, 0, 0, on_kicked, w) < 0)
                log_warning("Mappings are not looked for: out of memory");
}

void mapping_watch_kick(struct mapping_watch *w) {
        if (!w)
                return;
        w->all = true;
        soon(w);
}

void mapping_watch_made(struct mapping_watch *w, const struct volume *v) {
        if (!w)
                return;
        skip(w, v->uuid, 0, 0);
        soon(w);
}

void mapping_watch_note(struct volume *v) {
        v->n_below = mapping_sysfs_below(v->dev_major, v->dev_minor, v->below, ELEMENTSOF(v->below));
}

static void on_uevent(struct mapping_watch *w, const struct uevent *e) {
        struct mapping_seen s;

        /* Until then adopt.c takes over what stands; at its end everything is looked at. */
        if (!w->manager->adopted)
                return;
        if (e->action == UEVENT_REMOVE) {
                forget_finding(w, e->major, e->minor);
                look_at_gone(w, e->major, e->minor);
                return;
        }
        if (mapping_sysfs_read(e->major, e->minor, &s) >= 0)
                (void) on_mapping(&s, w);
        mount_watch_device(w->manager->mounts, e->major, e->minor);
        if (e->action == UEVENT_CHANGE)
                header_watch_event(w->manager, e->major, e->minor);
}

/* Returns 1 (there was a message), 0 (there is none now) or -errno. */
static int receive(struct mapping_watch *w) {
        char buffer[MESSAGE_MAX];
        struct sockaddr_nl from = {};
        struct iovec iov = { buffer, sizeof(buffer) };
        struct msghdr h = { .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1 };
        struct uevent e;
        ssize_t n;

        n = recvmsg(w->fd, &h, MSG_DONTWAIT);
        if (n < 0 && errno == ENOBUFS) {
                log_notice("Events of the kernel were lost: everything is looked at");
                mapping_watch_kick(w);
                return 1;
        }
        if (n < 0)
                return errno == EAGAIN ? 0 : errno == EINTR ? 1 : -errno;
        /* Port 0 is the kernel's: no process can send from there. */
        if (h.msg_namelen != sizeof(from) || from.nl_pid != 0 || (h.msg_flags & MSG_TRUNC))
                return 1;
        if (uevent_parse(buffer, (size_t) n, &e) >= 0)
                on_uevent(w, &e);
        return 1;
}

static int on_readable(sd_event_source *s _unused_, int fd _unused_, uint32_t events _unused_, void *user) {
        int r = 1;

        for (int i = 0; i < MESSAGES_A_TURN && r > 0; i++)
                r = receive(user);
        if (r < 0)
                log_error("Events of the kernel cannot be read: %s", strerror(-r));
        return r < 0 ? r : 0;
}

int mapping_watch_new(struct manager *m, sd_event *event, struct mapping_watch **ret) {
        struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = KERNEL_GROUP };
        struct mapping_watch *w = calloc(1, sizeof(*w));
        int size = RECEIVE_BUFFER, r;

        if (!w)
                return -ENOMEM;
        w->manager = m;
        w->event = sd_event_ref(event);
        w->fd = socket(AF_NETLINK, SOCK_RAW|SOCK_CLOEXEC|SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
        r = w->fd < 0 ? -errno : 0;
        if (r >= 0 && setsockopt(w->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
                (void) setsockopt(w->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
        if (r >= 0 && bind(w->fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                r = -errno;
        if (r >= 0)
                r = sd_event_add_io(event, &w->source, w->fd, EPOLLIN, on_readable, w);
        if (r < 0) {
                mapping_watch_free(w);
                return r;
        }
        *ret = w;
        return 0;
}

struct mapping_watch *mapping_watch_free(struct mapping_watch *w) {
        if (!w)
                return NULL;
        sd_event_source_disable_unref(w->source);
        sd_event_source_disable_unref(w->timer);
        safe_close(w->fd);
        sd_event_unref(w->event);
        free(w);
        return NULL;
}
