/* SPDX-License-Identifier: Apache-2.0 */
#include "mirror.h"

#include "message-ids.h"

#include <ctype.h>
#include <inttypes.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define MESSAGE_MAX 65536u
#define QUEUE_MAX (2 * 1024u * 1024u)      /* twice what the trail takes in one commit */

/* Kernel events of a sort, for each second: journald is the slowest of all who read them. */
#define BUDGET_PER_SEC 100u

struct budget {
        uint64_t second;                   /* of the boot's clock */
        unsigned used;                     /* in that second */
};

struct mirror {
        int fd;
        uint64_t lost;
        bool is_silent;
        char node[65];                     /* "": not said */
        struct budget chatter, guards;     /* events of no urgency; and alarms that can be caused at will */
        char buf[MESSAGE_MAX];
        uint64_t left_out;                 /* of those that wait */
        size_t n_queue;
        char queue[QUEUE_MAX];             /* size_t and so many bytes, for each that waits */
};

static const struct { const char *prefix, *id; } classes[] = {
        { "key_set", MESSAGE_ID_KEY_SET }, { "key_replaced", MESSAGE_ID_KEY_SET },
        { "key_wiped", MESSAGE_ID_KEY_GONE }, { "key_freed", MESSAGE_ID_KEY_GONE },
        { "key_read", MESSAGE_ID_KEY_READ }, { "dm_table_read", MESSAGE_ID_KEY_READ },
        { "dm_", MESSAGE_ID_DM }, { "volume_open", MESSAGE_ID_VOLUME_OPEN }, { "guard_mode", MESSAGE_ID_GUARD_MODE },
        { "guard_confirm", MESSAGE_ID_GUARD_MODE }, { "guard_metadata", MESSAGE_ID_METADATA }, { "guard_", MESSAGE_ID_GUARD }, { "key_asked", MESSAGE_ID_KEY_ASKED },
        { "header_open", MESSAGE_ID_HEADER }, { "clock_back", MESSAGE_ID_CLOCK }, { "module_", MESSAGE_ID_MODULE },
        { "release", MESSAGE_ID_RELEASE }, { "verdict", MESSAGE_ID_VERDICT }, { "revoked", MESSAGE_ID_REVOKED },
        { "cut", MESSAGE_ID_CUT }, { "lost", MESSAGE_ID_LOST }, { "gap", MESSAGE_ID_GAP },
        { "blind", MESSAGE_ID_BLIND }, { "unseen", MESSAGE_ID_UNSEEN }, { "recovery_key_", MESSAGE_ID_RECOVERY_KEY },
        { "recovery", MESSAGE_ID_RECOVERY }, { "foreign_keyslot", MESSAGE_ID_FOREIGN }, { "header_changed", MESSAGE_ID_CHANGED },
        { "second_mapping", MESSAGE_ID_MAPPING },
        { "foreign_mapping", MESSAGE_ID_MAPPING }, { "disk_removed", MESSAGE_ID_DISK_REMOVED },
        { "resumed_elsewhere", MESSAGE_ID_RESUMED }, { "closed_elsewhere", MESSAGE_ID_CLOSED },
        { "pause", MESSAGE_ID_PAUSE }, { "drill_", MESSAGE_ID_DRILL },
};

const char *mirror_message_id(const char *event) {
        for (size_t i = 0; i < ELEMENTSOF(classes); i++)
                if (startswith(event, classes[i].prefix))
                        return classes[i].id;
        return MESSAGE_ID_OTHER;
}

/* A stream socket has no business here: datagrams arrive whole or not at all. */
static int connect_journal(void) {
        struct sockaddr_un sa = { .sun_family = AF_UNIX, .sun_path = JOURNAL_SOCKET };
        _cleanup_(closep) int fd = socket(AF_UNIX, SOCK_DGRAM|SOCK_CLOEXEC|SOCK_NONBLOCK, 0);
        int size = 1024 * 1024;

        if (fd < 0)
                return -errno;
        (void) setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
        if (connect(fd, (struct sockaddr *) &sa, sizeof(sa)) < 0)
                return -errno;
        return TAKE_FD(fd);
}

int mirror_new(struct mirror **ret) {
        struct mirror *m = malloc(sizeof(*m));

        if (!m)
                return -ENOMEM;
        m->lost = m->left_out = 0;
        m->n_queue = 0;
        m->is_silent = false;
        m->node[0] = 0;
        m->chatter = m->guards = (struct budget) {};
        m->fd = connect_journal();
        *ret = m;
        return 0;
}

struct mirror *mirror_free(struct mirror *m) {
        if (m)
                safe_close(m->fd);
        free(m);
        return NULL;
}

void mirror_set_node(struct mirror *m, const char *node) {
        m->is_silent = !node;
        snprintf(m->node, sizeof(m->node), "%s", strempty(node));
}

uint64_t mirror_lost(const struct mirror *m) {
        return m->lost;
}

/* "CMKD_NAME=value\n". Values hold no control characters: audit_record_add() and the decoder saw to it. */
static void add(struct mirror *m, size_t *n, const char *name, const char *value) {
        size_t start = *n;
        int k;

        k = snprintf(m->buf + start, sizeof(m->buf) - start, "CMKD_%s=%s\n", name, value);
        if (k < 0 || (size_t) k >= sizeof(m->buf) - start)
                return;            /* does not fit: the trail has it all */
        for (char *p = m->buf + start + 5; *p != '='; p++)
                *p = (char) toupper((unsigned char) *p);
        *n = start + (size_t) k;
}

static const char *field(const struct audit_message_record *r, const char *name) {
        for (size_t i = 0; i < r->n_fields; i++)
                if (streq(r->fields[i].name, name))
                        return r->fields[i].value;
        return NULL;
}

static size_t format(struct mirror *m, const struct audit_message_record *r, enum record_source source,
                     uint64_t sequence, const uint8_t hash[static CHAIN_HASH_SIZE]) {
        const char *volume = field(r, "volume"), *comm = field(r, "comm"), *pid = field(r, "pid");
        char hex[CHAIN_HEX_SIZE + 1], number[24];
        size_t n;

        n = (size_t) snprintf(m->buf, sizeof(m->buf),
                              "MESSAGE=%s%s%.128s%s%.32s%s%.16s%s\nMESSAGE_ID=%s\nPRIORITY=%u\n"
                              "SYSLOG_IDENTIFIER=cmkd-audit\n",
                              r->event, volume ? " on " : "", strempty(volume), comm ? " by " : "", strempty(comm),
                              pid ? "[" : "", strempty(pid), pid ? "]" : "", mirror_message_id(r->event), r->priority);
        chain_to_hex(hash, hex);
        snprintf(number, sizeof(number), "%" PRIu64, sequence);
        add(m, &n, "event", r->event);
        add(m, &n, "source", record_source_to_string(source));
        add(m, &n, "seq", number);
        add(m, &n, "hash", hex);
        if (*m->node)
                add(m, &n, "node", m->node);
        for (size_t i = 0; i < r->n_fields; i++)
                add(m, &n, r->fields[i].name, r->fields[i].value);
        return n;
}

static bool is_spent(struct budget *b) {
        uint64_t second = now_boottime_usec() / USEC_PER_SEC;

        if (second != b->second)
                *b = (struct budget) { .second = second };
        return b->used++ >= BUDGET_PER_SEC;
}

static bool is_too_much(struct mirror *m, const struct audit_message_record *r, enum record_source source) {
        if (source != RECORD_KERNEL)
                return false;
        if (startswith(r->event, "guard_"))
                return is_spent(&m->guards);
        return r->priority >= LOG_INFO && is_spent(&m->chatter);
}

void mirror_queue(struct mirror *m, const struct audit_message_record *r, enum record_source source, uint64_t sequence,
                  const uint8_t hash[static CHAIN_HASH_SIZE]) {
        size_t n = 0;

        if (m->is_silent)
                return;
        if (!is_too_much(m, r, source))
                n = format(m, r, source, sequence, hash);
        if (n == 0 || n + sizeof(n) > sizeof(m->queue) - m->n_queue) {
                m->left_out++;
                return;
        }
        memcpy(m->queue + m->n_queue, &n, sizeof(n));
        memcpy(m->queue + m->n_queue + sizeof(n), m->buf, n);
        m->n_queue += sizeof(n) + n;
}

static bool send_one(struct mirror *m, const char *data, size_t size) {
        for (unsigned attempt = 0; attempt < 2; attempt++) {
                if (m->fd < 0)
                        m->fd = connect_journal();
                if (m->fd < 0)
                        return false;
                if (send(m->fd, data, size, MSG_NOSIGNAL|MSG_DONTWAIT) >= 0)
                        return true;
                if (errno == EAGAIN || errno == EMSGSIZE)
                        return false;
                m->fd = safe_close(m->fd);     /* journald was restarted: its socket is a new one */
        }
        return false;
}

void mirror_flush(struct mirror *m) {
        for (size_t at = 0, n; at < m->n_queue; at += sizeof(n) + n) {
                memcpy(&n, m->queue + at, sizeof(n));
                m->lost += !send_one(m, m->queue + at + sizeof(n), n);
        }
        m->lost += m->left_out;
        mirror_drop(m);
}

void mirror_drop(struct mirror *m) {
        m->left_out = 0;
        m->n_queue = 0;
}
