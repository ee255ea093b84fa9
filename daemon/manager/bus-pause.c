/* SPDX-License-Identifier: Apache-2.0 */
#include "bus-manager.h"

#include "bus-call.h"
#include "manager.h"
#include "pause.h"

/* Returns 0, or what the handler returns, having said why this volume cannot be paused until then. */
static int check(sd_bus_message *message, struct volume *v, uint64_t until_usec) {
        struct instant until;
        const char *why;
        uint64_t latest;
        char text[32];
        int r;

        pause_look(v);
        r = volume_may_pause(v, &why);
        if (r < 0)
                return reply_error(message, r == -EBUSY ? EXIT_CODE_BUSY : EXIT_CODE_FAILED, "%s: %s", v->name, why);
        r = pause_check(v, until_usec, &until, &latest, &why);
        if (r == -EINVAL)
                return reply_error(message, EXIT_CODE_USAGE, "A pause cannot end in the past");
        if (r >= 0)
                return 0;
        format_local_time(latest, text, sizeof(text));
        return reply_error(message, EXIT_CODE_POLICY, "%s: a pause may last %llu s, now until %s: %s. Nothing was paused",
                           v->name, (unsigned long long) (pause_limit(v, &why) / USEC_PER_SEC), text, why);
}

/* Without a name those that are open and not about to be closed. */
static bool is_meant(const struct volume *v, const struct volume *only) {
        const char *why;
        int r;

        if (only)
                return v == only;
        r = volume_may_pause(v, &why);
        return r >= 0 || r == -ENOKEY;
}

/* All of them or none. Returns how many, or what the handler returns in *ret_done (then -1). */
static int check_all(sd_bus_message *message, struct manager *m, const struct volume *only, uint64_t until_usec,
                     int *ret_done) {
        struct volume *v;
        int n = 0;

        LIST_FOREACH(v, &m->volumes, volumes) {
                if (!is_meant(v, only))
                        continue;
                *ret_done = check(message, v, until_usec);
                if (*ret_done != 0)
                        return -1;
                n++;
        }
        return n;
}

static int begin_all(sd_bus_message *message, struct manager *m, const struct volume *only, uint64_t until_usec) {
        sd_bus_message *reply = NULL;
        struct requester who;
        struct volume *v;
        int r;

        get_requester(message, &who);
        r = sd_bus_message_new_method_return(message, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(st)");
        LIST_FOREACH(v, &m->volumes, volumes) {
                struct instant until;
                uint64_t latest;
                const char *why;

                if (r < 0 || !is_meant(v, only))
                        continue;
                r = pause_check(v, until_usec, &until, &latest, &why);
                if (r >= 0)
                        r = pause_begin(v, until, &who);
                if (r >= 0)
                        r = sd_bus_message_append(reply, "(st)", v->name, until.realtime_usec);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        if (r >= 0)
                r = sd_bus_message_send(reply);
        sd_bus_message_unref(reply);
        return r < 0 ? reply_error(message, EXIT_CODE_FAILED, "Not all could be paused: %s; see \"cmkctl status\"",
                                   strerror(-r)) : 1;
}

static bool is_listed(const struct manager *m, const char *name) {
        return trust_find_name(m->trust, name) || trust_find_uuid(m->trust, name);
}

int bus_method_pause(sd_bus_message *message, void *user, sd_bus_error *e _unused_) {
        struct manager *m = user;
        struct volume *only = NULL;
        const char *name;
        uint64_t until_usec;
        int r, done;

        r = sd_bus_message_read(message, "st", &name, &until_usec);
        if (r < 0)
                return r;
        if (!ready(m, message, &r))
                return r;
        if (*name) {
                only = find(m, name);
                if (!only)
                        return reply_error(message, EXIT_CODE_FAILED, is_listed(m, name) ? "%s: it is not attached" :
                                           "There is no volume %s open on this node", name);
        }
        /* It holds deadlines that could not follow, and would cut in the middle of the pause. */
        if (!breaker_is_ready(m->breaker))
                return reply_error(message, EXIT_CODE_FAILED, "cmkd-breaker does not run, and would not know of a pause. See "
                                   "\"systemctl status cmkd-breaker\"");
        r = check_all(message, m, only, until_usec, &done);
        if (r < 0)
                return done;
        if (r == 0)
                return reply_error(message, EXIT_CODE_FAILED, "No volume is open: there is nothing to pause");
        return begin_all(message, m, only, until_usec);
}

/* A volume that was closed in its pause is known by its mark only. Returns whether there was one to end. */
static bool end_closed(struct manager *m, const struct trust_entry *t, const struct requester *who) {
        struct volume *v;
        bool ended;

        if (manager_volume_by_uuid(m, t->uuid) || manager_volume_add(m, t->uuid, t->name, t->role, &v) < 0)
                return false;
        ended = pause_end(v, who);
        manager_volume_forget(m, v);
        return ended;
}

static bool is_named(const char *name, const char *volume, const char *uuid) {
        return !*name || streq(name, volume) || streq(name, uuid);
}

int bus_method_pause_end(sd_bus_message *message, void *user, sd_bus_error *e _unused_) {
        struct manager *m = user;
        sd_bus_message *reply = NULL;
        struct requester who;
        const char *name;
        struct volume *v;
        int r;

        r = sd_bus_message_read(message, "s", &name);
        if (r < 0)
                return r;
        if (!ready(m, message, &r))
                return r;
        if (*name && !find(m, name) && !is_listed(m, name))
                return reply_error(message, EXIT_CODE_FAILED, "There is no volume %s on this node", name);
        get_requester(message, &who);
        r = sd_bus_message_new_method_return(message, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "s");
        LIST_FOREACH(v, &m->volumes, volumes)
                if (is_named(name, v->name, v->uuid) && pause_end(v, &who) && r >= 0)
                        r = sd_bus_message_append(reply, "s", v->name);
        for (size_t i = 0; i < m->trust->n_entries; i++) {
                const struct trust_entry *t = m->trust->entries + i;

                if (is_named(name, t->name, t->uuid) && end_closed(m, t, &who) && r >= 0)
                        r = sd_bus_message_append(reply, "s", t->name);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        if (r >= 0)
                r = sd_bus_message_send(reply);
        sd_bus_message_unref(reply);
        return r < 0 ? r : 1;
}
