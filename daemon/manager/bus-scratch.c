/* SPDX-License-Identifier: Apache-2.0 */
#include "bus-manager.h"

#include "bus-call.h"
#include "manager.h"
#include "scratch.h"

struct scratch_call {
        sd_bus_message *message;
        struct manager *manager;
        char name[65];
        bool remove;
};

static void on_done(const struct outcome *o, void *user) {
        struct scratch_call *c = user;
        const struct scratch_config *s = config_find_scratch(c->manager->config, c->name);
        char node[sizeof("/dev/mapper/") + 65];

        snprintf(node, sizeof(node), "/dev/mapper/%s", c->name);
        if (o->code != EXIT_CODE_DONE)
                reply_error(c->message, o->code, "%s", o->message);
        else if (c->remove)
                sd_bus_reply_method_return(c->message, "b", o->changed);
        else
                sd_bus_reply_method_return(c->message, "ssb", node, strempty(s ? s->file_system : NULL), o->changed);
        sd_bus_message_unref(c->message);
        free(c);
}

static int start(sd_bus_message *message, struct manager *m, enum scratch_verb verb) {
        struct scratch_call *c;
        struct requester who;
        struct options o;
        const char *name;
        int r;

        r = sd_bus_message_read(message, "s", &name);
        if (!begin(m, message, r, &o, &r))
                return r;
        if (!volume_name_is_valid(name))
                return reply_error(message, EXIT_CODE_USAGE, "%.100s is no name of a scratch disk", name);
        get_requester(message, &who);
        c = calloc(1, sizeof(*c));
        if (!c)
                return reply_error(message, EXIT_CODE_FAILED, "Out of memory");
        *c = (struct scratch_call) { .message = sd_bus_message_ref(message), .manager = m, .remove = verb == SCRATCH_REMOVE };
        snprintf(c->name, sizeof(c->name), "%s", name);
        r = scratch_start(m, verb, name, o.wipe, &who, on_done, c);
        if (r < 0) {
                free(c);
                return started(message, r);
        }
        return 1;
}

int bus_method_scratch_create(sd_bus_message *message, void *user, sd_bus_error *e _unused_) {
        return start(message, user, SCRATCH_CREATE);
}

int bus_method_scratch_renew(sd_bus_message *message, void *user, sd_bus_error *e _unused_) {
        return start(message, user, SCRATCH_RENEW);
}

int bus_method_scratch_remove(sd_bus_message *message, void *user, sd_bus_error *e _unused_) {
        return start(message, user, SCRATCH_REMOVE);
}

int bus_method_list_scratch(sd_bus_message *message, void *user, sd_bus_error *e _unused_) {
        const struct manager *m = user;
        sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(message, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(ssssst)");
        for (const struct scratch_config *c = m->config->scratches; r >= 0 && c; c = c->next) {
                struct scratch_seen s;

                scratch_look(m, c->name, &s);
                r = sd_bus_message_append(reply, "(ssssst)", c->name, s.busy ? "busy" : s.open ? "open" : "closed", c->device,
                                          strempty(c->file_system), s.open ? s.uuid : "", s.open ? s.since_usec : UINT64_C(0));
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        if (r >= 0)
                r = sd_bus_message_send(reply);
        sd_bus_message_unref(reply);
        return r;
}
