/* SPDX-License-Identifier: Apache-2.0 */
#include "config-scratch.h"

#include <stdarg.h>

#define DEVICE_MAX 256u

struct scratch_config *config_scratch_get(struct config *c, const char *name) {
        struct scratch_config *s, **tail = &c->scratches;

        for (s = c->scratches; s; tail = &s->next, s = s->next)
                if (streq(s->name, name))
                        return s;
        s = calloc(1, sizeof(*s));
        if (!s || !(s->name = strdup(name))) {
                free(s);
                return NULL;
        }
        return *tail = s;
}

void config_scratch_free(struct scratch_config *list) {
        for (struct scratch_config *s = list, *next; s; s = next) {
                next = s->next;
                free(s->name);
                free(s->device);
                free(s->file_system);
                free(s);
        }
}

int config_scratch_device(const char *value, char **to) {
        const char *rest = startswith(value, "/dev/");

        if (!rest || !*rest || strlen(value) > DEVICE_MAX || strstr(value, "/../") || strstr(value, "//"))
                return -EINVAL;
        return free_and_strdup(to, value);
}

int config_scratch_file_system(const char *value, char **to) {
        static const char *const known[] = { "ext4", "xfs", "btrfs", "swap" };

        for (size_t i = 0; i < ELEMENTSOF(known); i++)
                if (streq(value, known[i]))
                        return free_and_strdup(to, value);
        return -EINVAL;
}

static char * _printf_(1, 2) sentence(const char *format, ...) {
        char *text = NULL;
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&text, format, ap) < 0)
                text = NULL;
        va_end(ap);
        return text;
}

char *config_scratch_check(const struct config *c) {
        for (const struct scratch_config *s = c->scratches; s; s = s->next) {
                if (!s->device)
                        return sentence("[Scratch %s] has no Device=", s->name);
                if (config_find_volume(c, s->name))
                        return sentence("[Scratch %s] and [Volume %s] have one name", s->name, s->name);
                for (const struct scratch_config *t = s->next; t; t = t->next)
                        if (streq(s->device, t->device ? t->device : ""))
                                return sentence("[Scratch %s] and [Scratch %s] have one Device=", s->name, t->name);
        }
        return NULL;
}

const struct scratch_config *config_find_scratch(const struct config *c, const char *name) {
        for (const struct scratch_config *s = c->scratches; s; s = s->next)
                if (streq(s->name, name))
                        return s;
        return NULL;
}
