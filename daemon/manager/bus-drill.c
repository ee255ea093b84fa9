/* SPDX-License-Identifier: Apache-2.0 */
#include "bus-manager.h"

#include "bus-call.h"
#include "drill.h"
#include "manager.h"

static void on_begun(const struct outcome *o, void *user) {
        sd_bus_message *m = user;

        if (o->code != EXIT_CODE_DONE)
                reply_error(m, o->code, "%s", o->message);
        else
                sd_bus_reply_method_return(m, "ss", o->uuid, DRILL_NAME);
        sd_bus_message_unref(m);
}

static void on_ended(const struct outcome *o, void *user) {
        sd_bus_message *m = user;

        if (o->code != EXIT_CODE_DONE)
                reply_error(m, o->code, "%s", o->message);
        else
                sd_bus_reply_method_return(m, NULL);
        sd_bus_message_unref(m);
}

/* The connection is what tells that whoever began it is gone: a bus in between would hide that. */
static bool is_allowed(sd_bus_message *message, struct manager *m, int *ret) {
        if (is_private_root(message))
                return ready(m, message, ret);
        *ret = reply_error(message, EXIT_CODE_POLICY, "A drill is for root on the private socket only");
        return false;
}

int bus_method_drill_begin(sd_bus_message *message, void *user, sd_bus_error *e _unused_) {
        struct manager *m = user;
        struct requester who;
        struct outcome o = {};
        int loop, file, r;

        r = sd_bus_message_read(message, "hh", &loop, &file);
        if (r < 0 || !is_allowed(message, m, &r))
                return r;
        get_requester(message, &who);
        r = drill_begin(m, sd_bus_message_get_bus(message), loop, file, &who, &o, on_begun,
                        sd_bus_message_ref(message));
        if (r >= 0)
                return 1;
        sd_bus_message_unref(message);
        return reply_error(message, o.code, "%s", o.message);
}

/* Names that end so are no other field's of that record. */
static bool is_measure(const char *name) {
        size_t n = strlen(name);

        return audit_name_is_valid(name) && n > 5 && n < sizeof(((struct drill_result *) 0)->measures[0].name) &&
               streq(name + n - 5, "_usec");
}

static bool is_there(const struct drill_result *x, const char *name) {
        for (size_t i = 0; i < x->n_measures; i++)
                if (streq(x->measures[i].name, name))
                        return true;
        return false;
}

static int read_measures(sd_bus_message *message, struct drill_result *x) {
        const char *name;
        uint64_t usec;
        int r;

        r = sd_bus_message_enter_container(message, 'a', "{st}");
        while (r >= 0 && (r = sd_bus_message_read(message, "{st}", &name, &usec)) > 0) {
                if (x->n_measures == DRILL_MEASURES_MAX || !is_measure(name) || is_there(x, name))
                        return -EINVAL;
                snprintf(x->measures[x->n_measures].name, sizeof(x->measures[0].name), "%s", name);
                x->measures[x->n_measures++].usec = usec;
        }
        return r < 0 ? r : sd_bus_message_exit_container(message);
}

int bus_method_drill_end(sd_bus_message *message, void *user, sd_bus_error *e _unused_) {
        struct drill_result x = {};
        struct manager *m = user;
        const char *id, *why;
        struct requester who;
        struct outcome o = {};
        int r, passed;

        r = sd_bus_message_read(message, "sbs", &id, &passed, &why);
        if (r < 0)
                return r;
        r = read_measures(message, &x);
        if (r < 0)
                return reply_error(message, EXIT_CODE_USAGE, "A drill's measures are not valid: %s", strerror(-r));
        if (!is_allowed(message, m, &r))
                return r;
        x.passed = passed;
        snprintf(x.why, sizeof(x.why), "%s", why);
        get_requester(message, &who);
        r = drill_end(m, id, &x, &who, &o, on_ended, sd_bus_message_ref(message));
        if (r >= 0)
                return 1;
        sd_bus_message_unref(message);
        return reply_error(message, o.code, "%s", o.message);
}
