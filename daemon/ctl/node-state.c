/* SPDX-License-Identifier: Apache-2.0 */
#include "node-state.h"
#include "print.h"

int node_state_manager(struct call *c, struct json_object **ret) {
        int r, code;

        code = call_begin(c, "org.freedesktop.DBus.Properties", "GetAll");
        if (code != EXIT_CODE_DONE)
                return code;
        code = call_send(c, sd_bus_message_append(c->request, "s", BUS_MANAGER));
        if (code != EXIT_CODE_DONE)
                return code;
        r = bus_message_to_json(c->reply, ret);
        return r < 0 ? call_misunderstood(r) : EXIT_CODE_DONE;
}

static int compare_names(const void *a, const void *b) {
        struct json_object *const *x = a, *const *y = b;

        return strcmp(json_text(*x, "name"), json_text(*y, "name"));
}

/* path -> interface -> properties, flattened to a list of properties sorted by name. */
int node_state_volumes(struct call *c, struct json_object **ret) {
        _cleanup_(json_object_putp) struct json_object *objects = NULL;
        _cleanup_(json_object_putp) struct json_object *list = json_object_new_array();
        int r, code;

        code = call_next(c, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects");
        if (code != EXIT_CODE_DONE)
                return code;
        code = call_send(c, 0);
        if (code != EXIT_CODE_DONE)
                return code;
        r = bus_message_to_json(c->reply, &objects);
        if (r < 0 || !list)
                return call_misunderstood(r < 0 ? r : -ENOMEM);
        json_object_object_foreach(objects, path, interfaces) {
                struct json_object *v;

                (void) path;
                if (json_object_object_get_ex(interfaces, BUS_VOLUME, &v) &&
                    json_object_array_add(list, json_object_get(v)) < 0)
                        return call_misunderstood(-ENOMEM);
        }
        json_object_array_sort(list, compare_names);
        *ret = TAKE_PTR(list);
        return EXIT_CODE_DONE;
}
