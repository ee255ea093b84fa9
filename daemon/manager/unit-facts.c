/* SPDX-License-Identifier: Apache-2.0 */
#include "unit-look.h"

static const char *const dependants[] = { "RequiredBy", "RequisiteOf", "BoundBy", "ConsistsOf", "PropagatesStopTo" };

static int read_names(sd_bus_message *m, struct unit_set *set) {
        const char *name;
        int r;

        r = sd_bus_message_enter_container(m, 'v', "as");
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "s");
        while (r >= 0 && (r = sd_bus_message_read(m, "s", &name)) > 0)
                if (unit_set_add(set, name) == -ENOMEM)
                        return -ENOMEM;
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_after(sd_bus_message *m, char ***ret) {
        int r;

        r = sd_bus_message_enter_container(m, 'v', "as");
        if (r >= 0)
                r = sd_bus_message_read_strv(m, ret);
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_text(sd_bus_message *m, char *buf, size_t size) {
        const char *text;
        int r;

        r = sd_bus_message_read(m, "v", "s", &text);
        if (r >= 0)
                snprintf(buf, size, "%s", text);
        return r;
}

static int read_flag(sd_bus_message *m, bool *ret) {
        int v, r;

        r = sd_bus_message_read(m, "v", "b", &v);
        if (r >= 0)
                *ret = v;
        return r;
}

static int read_id(sd_bus_message *m, char ret[static 33]) {
        const void *p;
        size_t n = 0;
        int r;

        r = sd_bus_message_enter_container(m, 'v', "ay");
        if (r >= 0)
                r = sd_bus_message_read_array(m, 'y', &p, &n);
        if (r >= 0 && n == 16)
                for (size_t i = 0; i < n; i++)
                        snprintf(ret + 2 * i, 3, "%02x", ((const uint8_t *) p)[i]);
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

struct reading {
        struct unit_facts f;
        char fragment[16];               /* only whether there is one */
        bool may_start, transient;
};

static int read_property(sd_bus_message *m, const char *name, struct reading *x) {
        for (size_t i = 0; i < ELEMENTSOF(dependants); i++)
                if (streq(name, dependants[i]))
                        return read_names(m, &x->f.dependants);
        if (streq(name, "TriggeredBy"))
                return read_names(m, &x->f.triggers);
        if (streq(name, "After") && !x->f.after)
                return read_after(m, &x->f.after);
        if (streq(name, "LoadState"))
                return read_text(m, x->f.load_state, sizeof(x->f.load_state));
        if (streq(name, "ActiveState"))
                return read_text(m, x->f.active_state, sizeof(x->f.active_state));
        if (streq(name, "UnitFileState"))
                return read_text(m, x->f.file_state, sizeof(x->f.file_state));
        if (streq(name, "FragmentPath"))
                return read_text(m, x->fragment, sizeof(x->fragment));
        if (streq(name, "CanStart"))
                return read_flag(m, &x->may_start);
        if (streq(name, "Transient"))
                return read_flag(m, &x->transient);
        if (streq(name, "RefuseManualStop"))
                return read_flag(m, &x->f.refuses_stop);
        if (streq(name, "InvocationID"))
                return read_id(m, x->f.invocation);
        return sd_bus_message_skip(m, "v");
}

int unit_facts_read(sd_bus_message *m, struct unit_facts *ret) {
        struct reading x = {};
        const char *name;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = sd_bus_message_read(m, "s", &name);
                if (r >= 0)
                        r = read_property(m, name, &x);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        x.f.can_start = x.may_start && !x.transient && *x.fragment;
        if (r < 0)
                unit_facts_done(&x.f);
        else
                *ret = x.f;
        return r;
}

void unit_facts_done(struct unit_facts *f) {
        for (char **a = f->after; a && *a; a++)
                free(*a);
        free(f->after);
        unit_set_done(&f->dependants);
        unit_set_done(&f->triggers);
        *f = (struct unit_facts) {};
}

int unit_manager_call(sd_bus *sd, const char *method, uint64_t answer_usec, sd_bus_message_handler_t reply, void *user,
                      sd_bus_slot **ret_slot, const char *types, ...) {
        sd_bus_message *m = NULL;
        va_list ap;
        int r;

        r = sd_bus_message_new_method_call(sd, &m, UNIT_SERVICE_NAME, UNIT_MANAGER_PATH, UNIT_MANAGER_INTERFACE, method);
        va_start(ap, types);
        if (r >= 0 && *types)
                r = sd_bus_message_appendv(m, types, ap);
        va_end(ap);
        if (r >= 0)
                r = sd_bus_call_async(sd, ret_slot, m, reply, user, answer_usec);
        sd_bus_message_unref(m);
        return r < 0 ? r : 0;
}

int unit_facts_ask(sd_bus *sd, const char *path, uint64_t answer_usec, sd_bus_message_handler_t reply, void *user,
                   sd_bus_slot **ret_slot) {
        sd_bus_message *m = NULL;
        int r;

        r = sd_bus_message_new_method_call(sd, &m, UNIT_SERVICE_NAME, path, "org.freedesktop.DBus.Properties", "GetAll");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", "org.freedesktop.systemd1.Unit");
        if (r >= 0)
                r = sd_bus_call_async(sd, ret_slot, m, reply, user, answer_usec);
        sd_bus_message_unref(m);
        return r < 0 ? r : 0;
}
