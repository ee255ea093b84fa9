/* SPDX-License-Identifier: Apache-2.0 */
#include "trust-list.h"

#define ENTRY "(sssstss)"

int trust_list_begin(struct call *c) {
        int code, r;

        code = call_begin(c, BUS_MANAGER, "ListTrust");
        if (code == EXIT_CODE_DONE)
                code = call_send(c, 0);
        if (code != EXIT_CODE_DONE)
                return code;
        r = sd_bus_message_enter_container(c->reply, 'a', ENTRY);
        return r < 0 ? call_misunderstood(r) : EXIT_CODE_DONE;
}

int trust_list_next(struct call *c, struct trust_listed *ret) {
        return sd_bus_message_read(c->reply, ENTRY, &ret->uuid, &ret->name, &ret->role, &ret->keys, &ret->generation, &ret->source,
                                   &ret->serial);
}

int trust_list_find(struct call *c, const char *what, struct trust_listed *ret) {
        int r;

        r = sd_bus_message_rewind(c->reply, true);
        if (r >= 0)
                r = sd_bus_message_enter_container(c->reply, 'a', ENTRY);
        while (r >= 0 && (r = trust_list_next(c, ret)) > 0)
                if (streq(what, ret->uuid) || streq(what, ret->name))
                        return EXIT_CODE_DONE;
        return r < 0 ? call_misunderstood(r)
                     : fail(EXIT_CODE_POLICY, "there is no volume %s on this node's list; see \"cmkctl trust list\"", what);
}

bool trust_list_has(struct call *c, const char *what) {
        struct trust_listed l;

        if (call_begin(c, BUS_MANAGER, "ListTrust") != EXIT_CODE_DONE ||
            sd_bus_call(c->bus, c->request, CALL_TIMEOUT_USEC, NULL, &c->reply) < 0 ||
            sd_bus_message_enter_container(c->reply, 'a', ENTRY) < 0)
                return false;
        while (trust_list_next(c, &l) > 0)
                if (streq(what, l.uuid) || streq(what, l.name))
                        return true;
        return false;
}
