/* SPDX-License-Identifier: Apache-2.0 */
#include "uses.h"

static const char *field(const struct audit_message_record *m, const char *name) {
        for (size_t i = 0; i < m->n_fields; i++)
                if (streq(m->fields[i].name, name))
                        return m->fields[i].value;
        return NULL;
}

static struct use *find(struct uses *u, const char *uuid) {
        for (size_t i = 0; i < USES_MAX; i++)
                if (streq(u->uses[i].uuid, uuid))
                        return u->uses + i;
        return NULL;
}

static void begin(struct uses *u, const char *uuid, const char *id, uint64_t at_usec) {
        struct use *e = find(u, uuid);

        if (e && streq(e->id, id))
                return;
        if (!e) {
                e = u->uses + u->next;
                u->next = (u->next + 1) % USES_MAX;
        }
        *e = (struct use) { .begin_usec = at_usec };
        snprintf(e->uuid, sizeof(e->uuid), "%s", uuid);
        snprintf(e->id, sizeof(e->id), "%s", id);
}

/* The end of an attach that came to nothing; "failed" is said of a detach too, which leaves the volume open. */
static bool is_refusal(const char *event) {
        return streq(event, "refused") || streq(event, "verdict");
}

void uses_note(struct uses *u, const struct audit_message_record *m) {
        const char *uuid = field(m, "uuid"), *id = field(m, "use");
        struct use *e;

        if (!uuid || !uuid_is_valid(uuid))
                return;
        if (id && uuid_is_valid(id) && (streq(m->event, "request") || streq(m->event, "release")))
                begin(u, uuid, id, m->boottime_usec);
        e = find(u, uuid);
        if (e && (streq(m->event, "detached") || streq(m->event, "removed") ||
                  (id && streq(id, e->id) && is_refusal(m->event))))
                e->end_usec = m->boottime_usec;
}

void uses_join(const struct uses *u, struct audit_message_record *m) {
        const char *uuid = field(m, "uuid");
        const struct use *e = uuid ? find((struct uses *) u, uuid) : NULL;

        if (e && *e->uuid && m->boottime_usec >= e->begin_usec && (e->end_usec == 0 || m->boottime_usec <= e->end_usec))
                audit_record_add(m, "use", e->id);
}
