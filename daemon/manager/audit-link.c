/* SPDX-License-Identifier: Apache-2.0 */
#include "audit-link.h"

#include <sys/queue.h>

#include "common/log.h"
#include "rpc.h"

#define ACK_TIMEOUT_USEC (30 * USEC_PER_SEC)

struct pending {
        LIST_ENTRY(pending) pending;
        struct audit_link *link;
        struct audit_message_record *record;
        sd_event_source *patience;     /* of whoever waits; the record goes its way all the same */
        bool retried;
        audit_callback callback;       /* NULL: nobody waits */
        void *user;
        sd_event_source *failed;
        int error;
};

struct audit_link {
        sd_event *event;
        struct rpc *rpc;
        uint64_t lost;
        audit_failed failed;
        void *user;
        audit_check_callback check;        /* of the one that is under way */
        void *check_user;
        LIST_HEAD(, pending) pending;
};

static void pending_free(struct pending *p) {
        LIST_REMOVE(p, pending);
        sd_event_source_disable_unref(p->failed);
        sd_event_source_disable_unref(p->patience);
        free(p->record);
        free(p);
}

static int send_record(struct pending *p);

static void finish(struct pending *p, int error, uint64_t sequence) {
        audit_callback callback = p->callback;
        struct audit_link *a = p->link;
        void *user = p->user;

        if (error < 0) {
                a->lost++;
                log_error("Record \"%s\" is not in the trail: %s", p->record->event, strerror(-error));
        }
        pending_free(p);
        if (callback)
                callback(error, sequence, user);
        if (error < 0 && error != -ECONNRESET)
                a->failed(error, a->user);
}

static void on_ack(int error, struct wire_cursor *c, void *user) {
        struct pending *p = user;
        struct audit_ack a = {};

        if (error == -ECONNRESET && !p->retried) {
                p->retried = true;
                error = send_record(p);
                if (error >= 0)
                        return;
        }
        if (error >= 0)
                error = audit_ack_decode(c, &a);
        finish(p, error < 0 ? error : a.error, a.sequence);
}

static int on_impatient(sd_event_source *s _unused_, uint64_t usec _unused_, void *user) {
        struct pending *p = user;
        audit_callback callback = p->callback;

        p->callback = NULL;
        p->patience = sd_event_source_disable_unref(p->patience);
        if (callback)
                callback(-ETIMEDOUT, 0, p->user);
        return 0;
}

static int on_failed(sd_event_source *s _unused_, void *user) {
        struct pending *p = user;

        finish(p, p->error, 0);
        return 0;
}

int audit_link_new(sd_event *event, audit_failed failed, void *user, struct audit_link **ret) {
        struct audit_link *a = calloc(1, sizeof(*a));
        int r;

        if (!a)
                return -ENOMEM;
        r = rpc_new(event, AUDIT_SOCKET, "cmkd-audit", &a->rpc);
        if (r < 0) {
                free(a);
                return r;
        }
        a->event = sd_event_ref(event);
        a->failed = failed;
        a->user = user;
        LIST_INIT(&a->pending);
        *ret = a;
        return 0;
}

struct audit_link *audit_link_free(struct audit_link *a) {
        if (!a)
                return NULL;
        rpc_free(a->rpc);
        while (!LIST_EMPTY(&a->pending))
                pending_free(LIST_FIRST(&a->pending));
        sd_event_unref(a->event);
        free(a);
        return NULL;
}

static int send_record(struct pending *p) {
        struct audit_link *a = p->link;
        uint32_t id = rpc_next_id(a->rpc);
        struct wire_frame f;
        int r;

        r = audit_record_encode(p->record, id, &f);
        if (r < 0)
                return r;
        return rpc_call(a->rpc, id, &f, -EBADF, ACK_TIMEOUT_USEC, on_ack, p);
}

int audit_write(struct audit_link *a, const struct audit_message_record *m, uint64_t timeout_usec,
                audit_callback callback, void *user) {
        struct pending *p = calloc(1, sizeof(*p));

        if (!p)
                return -ENOMEM;
        p->record = malloc(sizeof(*p->record));
        if (!p->record) {
                free(p);
                return -ENOMEM;
        }
        *p->record = *m;
        p->link = a;
        p->callback = callback;
        p->user = user;
        LIST_INSERT_HEAD(&a->pending, p, pending);
        if (callback &&
            sd_event_add_time_relative(a->event, &p->patience, CLOCK_BOOTTIME, timeout_usec, 0, on_impatient, p) < 0) {
                pending_free(p);
                return -ENOMEM;
        }
        p->error = send_record(p);
        if (p->error >= 0)
                return 0;
        /* Short of memory here the trail has not failed: who waits is told so at once. */
        if ((callback && p->error == -ENOMEM) || sd_event_add_defer(a->event, &p->failed, on_failed, p) < 0) {
                pending_free(p);
                return -ENOMEM;
        }
        return 0;
}

static void on_checked(int error, struct wire_cursor *c, void *user) {
        struct audit_link *a = user;
        audit_check_callback callback = a->check;
        struct audit_ack ack = {};

        if (error >= 0)
                error = audit_ack_decode(c, &ack);
        a->check = NULL;
        callback(error < 0 ? error : ack.error, error >= 0, a->check_user);
}

int audit_check(struct audit_link *a, audit_check_callback callback, void *user) {
        uint32_t id = rpc_next_id(a->rpc);
        struct wire_frame f;
        int r;

        if (a->check)
                return -EALREADY;
        r = audit_check_encode(id, &f);
        if (r >= 0)
                r = rpc_call(a->rpc, id, &f, -EBADF, ACK_TIMEOUT_USEC, on_checked, a);
        if (r < 0)
                return r;
        a->check = callback;
        a->check_user = user;
        return 0;
}

void audit_cancel(struct audit_link *a, void *user) {
        struct pending *p;

        LIST_FOREACH(p, &a->pending, pending)
                if (p->user == user)
                        p->callback = NULL;
}

uint64_t audit_lost(const struct audit_link *a) {
        return a->lost;
}

bool audit_is_connected(const struct audit_link *a) {
        return rpc_is_connected(a->rpc);
}
