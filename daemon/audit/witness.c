/* SPDX-License-Identifier: Apache-2.0 */
#include "witness.h"

#include "common/log.h"

#include <inttypes.h>
#include <linux/audit.h>
#include <linux/netlink.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define RECORD_MAX 8970u                   /* MAX_AUDIT_MESSAGE_LENGTH */
#define BATCH 64u

struct witness {
        sd_event_source *source;
        uint64_t began_usec;               /* wall clock; witness_is_since() */
        uint64_t lost;                     /* as it was at the tick before */
        struct witness_match match;
};

struct witness *witness_free(struct witness *w) {
        if (!w)
                return NULL;
        sd_event_source_disable_unref(w->source);
        free(w);
        return NULL;
}

static void witness_freep(struct witness **w) { witness_free(*w); }

static void heard(struct witness *w, const char *text, size_t n) {
        struct witness_word word;
        int r = witness_parse(text, n, &word);

        if (r == -EBADMSG)
                log_debug("An audit record of device-mapper that cannot be read");
        if (r >= 0 && witness_is_since(&w->began_usec, instant_now().realtime_usec, word.realtime_usec))
                witness_match_word(&w->match, &word, now_boottime_usec() * NSEC_PER_USEC);
}

/* One record in each datagram, from the kernel: others may send to the group too. */
static int on_audit(sd_event_source *s _unused_, int fd, uint32_t events _unused_, void *user) {
        union { struct nlmsghdr header; char bytes[NLMSG_HDRLEN + RECORD_MAX]; } m;

        for (unsigned i = 0; i < BATCH; i++) {
                struct sockaddr_nl from = {};
                socklen_t size = sizeof(from);
                ssize_t n = recvfrom(fd, &m, sizeof(m), MSG_DONTWAIT, (struct sockaddr *) &from, &size);

                if (n < 0 && errno != ENOBUFS && errno != EINTR)
                        return 0;
                if (n > (ssize_t) NLMSG_HDRLEN && from.nl_pid == 0 && m.header.nlmsg_type == AUDIT_DM_CTRL)
                        heard(user, m.bytes + NLMSG_HDRLEN, (size_t) n - NLMSG_HDRLEN);
        }
        return 0;
}

int witness_new(sd_event *event, struct witness **ret) {
        _cleanup_(witness_freep) struct witness *w = calloc(1, sizeof(*w));
        struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = 1u << (AUDIT_NLGRP_READLOG - 1) };
        _cleanup_(closep) int fd = -EBADF;
        int r;

        if (!w)
                return -ENOMEM;
        fd = socket(AF_NETLINK, SOCK_RAW|SOCK_CLOEXEC|SOCK_NONBLOCK, NETLINK_AUDIT);
        if (fd < 0 || bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                return -errno;
        w->began_usec = instant_now().realtime_usec;
        r = sd_event_add_io(event, &w->source, fd, EPOLLIN, on_audit, w);
        if (r < 0)
                return r;
        r = sd_event_source_set_io_fd_own(w->source, true);
        if (r < 0)
                return r;
        TAKE_FD(fd);
        *ret = TAKE_PTR(w);
        return 0;
}

void witness_event(struct witness *w, const struct cmkd_event *e) {
        if (w)
                witness_match_event(&w->match, e);
}

static void add_number(struct audit_message_record *m, const char *name, uint32_t v) {
        if (v != UINT32_MAX)
                audit_record_addf(m, name, "%" PRIu32, v);
}

/* The volume's name, if the mapping is still there. */
static void add_mapping(struct audit_message_record *m, const struct witness_word *word) {
        static const struct { const char *file, *field; } names[] = { { "name", "volume" }, { "uuid", "dm_uuid" } };

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_(freep) char *text = NULL;
                char path[80];

                snprintf(path, sizeof(path), "/sys/dev/block/%" PRIu32 ":%" PRIu32 "/dm/%s", word->dev_major, word->dev_minor,
                         names[i].file);
                if (read_small_file(path, CMKD_DM_UUID_SIZE, &text, NULL) < 0)
                        continue;
                text[strcspn(text, "\n")] = 0;
                audit_record_add(m, names[i].field, text);
        }
}

static void say(const struct witness_word *word, struct writer *writer, struct audit_message_record *m) {
        audit_record_start(m, "unseen", LOG_ALERT, true);
        audit_record_add(m, "action", word->freed ? "key_freed" : "key_set");
        audit_record_add(m, "result", word->ok ? "ok" : "failed");
        if (!word->freed)
                add_mapping(m, word);
        audit_record_addf(m, "dev", "%" PRIu32 ":%" PRIu32, word->dev_major, word->dev_minor);
        add_number(m, "pid", word->pid);
        add_number(m, "ppid", word->ppid);
        add_number(m, "uid", word->uid);
        add_number(m, "loginuid", word->loginuid);
        add_number(m, "session", word->session);
        audit_record_add(m, "comm", word->comm);
        audit_record_add(m, "exe", word->exe);
        (void) writer_say(writer, m);
        log_alert("The kernel's audit has a dm-crypt key %s on %" PRIu32 ":%" PRIu32 " that was not seen by the probes",
                  word->freed ? "freed" : "set", word->dev_major, word->dev_minor);
}

void witness_tick(struct witness *w, const struct ring *ring, uint64_t lost, struct writer *writer, struct audit_message_record *m) {
        uint64_t filled = ring_produced(ring), consumed = ring_consumed(ring), now_ns = now_boottime_usec() * NSEC_PER_USEC;
        struct witness_word word;

        if (!w)
                return;
        while (witness_match_unseen(&w->match, filled, consumed, now_ns, &word))
                if (lost == w->lost)       /* else they found no room: that is said already */
                        say(&word, writer, m);
        w->lost = lost;
}

uint64_t witness_agreed(const struct witness *w) {
        return w ? w->match.agreed : 0;
}
