/* SPDX-License-Identifier: Apache-2.0 */
#include "config-origin.h"

struct config_origin {
        struct config_origin *next;
        const char *key;
        char *section, *place;
};

static struct config_origin *find(const struct config *c, const char *section, const char *key) {
        for (struct config_origin *o = c->origins; o; o = o->next)
                if (streq(o->key, key) && streq(o->section, section))
                        return o;
        return NULL;
}

static struct config_origin *get(struct config *c, const char *section, const char *key) {
        struct config_origin *o = find(c, section, key);

        if (o)
                return o;
        o = calloc(1, sizeof(*o));
        if (!o || !(o->section = strdup(section))) {
                free(o);
                return NULL;
        }
        o->key = key;
        o->next = c->origins;
        return c->origins = o;
}

int config_origin_note(struct config *c, const char *section, const char *key, const char *path, unsigned line) {
        struct config_origin *o = get(c, section, key);
        char *place;

        if (!o || asprintf(&place, "%s:%u", path, line) < 0)
                return -ENOMEM;
        free(o->place);
        o->place = place;
        return 0;
}

const char *config_origin_find(const struct config *c, const char *section, const char *key) {
        const struct config_origin *o = find(c, section, key);

        return o ? o->place : NULL;
}

void config_origin_free(struct config_origin *list) {
        for (struct config_origin *next; list; list = next) {
                next = list->next;
                free(list->section);
                free(list->place);
                free(list);
        }
}
