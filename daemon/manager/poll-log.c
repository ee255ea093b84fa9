/* SPDX-License-Identifier: Apache-2.0 */
#include "poll-log.h"

#include <syslog.h>

static void drop_oldest(struct poll_log *l) {
        l->n--;
        memmove(l->ids, l->ids + 1, l->n * sizeof(*l->ids));
        memmove(l->granted, l->granted + 1, l->n * sizeof(*l->granted));
}

void poll_log_asked(struct poll_log *l, const char id[static 37], uint64_t boottime_usec) {
        if (l->n == POLL_LOG_MAX)          /* could not be recorded: the oldest goes */
                drop_oldest(l);
        if (l->n == 0)
                l->first_usec = boottime_usec;
        memcpy(l->ids[l->n], id, sizeof(l->ids[l->n]));
        l->granted[l->n++] = false;
}

void poll_log_granted(struct poll_log *l) {
        if (l->n > 0)
                l->granted[l->n - 1] = true;
}

bool poll_log_is_due(const struct poll_log *l, uint64_t boottime_usec) {
        return l->n >= POLL_LOG_MAX || (l->n > 0 && boottime_usec >= l->first_usec + POLL_LOG_USEC);
}

static void add_ids(const struct poll_log *l, bool granted, const char *name, struct audit_message_record *r) {
        char text[POLL_LOG_MAX * 37 + 1] = "";
        size_t n = 0;

        for (size_t i = 0; i < l->n; i++)
                if (l->granted[i] == granted)
                        n += (size_t) snprintf(text + n, sizeof(text) - n, "%s%s", n > 0 ? " " : "", l->ids[i]);
        audit_record_add(r, name, text);
}

void poll_log_take(struct poll_log *l, const char *key, struct audit_message_record *ret) {
        audit_record_start(ret, "polls", LOG_INFO, false);
        audit_record_add(ret, "key", key);
        audit_record_addf(ret, "count", "%zu", l->n);
        add_ids(l, true, "ids", ret);
        add_ids(l, false, "ids_other", ret);
        l->n = 0;
}
