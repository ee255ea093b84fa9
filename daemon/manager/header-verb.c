/* SPDX-License-Identifier: Apache-2.0 */
#include "header-verb.h"

#include <syslog.h>

#include "manager.h"
#include "pin.h"

void header_verb_init(struct header_work *w, struct manager *m, const struct header_verb *verb, const char *what,
                      const struct requester *who, operation_done done, void *user) {
        w->manager = m;
        w->verb = verb;
        w->who = *who;
        w->done = done;
        w->user = user;
        header_work_resolve(w, what);
}

void header_verb_record_key(struct audit_message_record *r, const struct proven_key *k, const char *accept_unsafe) {
        char uri[KEY_URI_MAX];

        key_uri_format(&k->uri, uri, sizeof(uri));
        audit_record_add(r, "key", *k->uri.name ? uri : NULL);
        pin_record(r, k->spki, k->spki_size);
        if (*k->answer.code || k->answer.http_status > 0)
                manager_record_reply(r, &k->answer);
        audit_record_add(r, "accept_unsafe_vault", accept_unsafe);
}

void header_verb_record(const struct header_work *w, const char *event, uint8_t priority) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));

        if (!r)
                return;
        audit_record_start(r, event, priority, false);
        audit_record_add(r, "verb", w->verb->name);
        audit_record_add(r, "volume", w->name);
        if (!w->verb->names_uuid)
                audit_record_add(r, "uuid", w->uuid);
        audit_record_add(r, "device", w->device);
        if (w->verb->record)
                w->verb->record(w, r);
        audit_record_add(r, "by", w->who.text);
        audit_record_add(r, "why", w->outcome.message);
        manager_record(w->manager, r);
}

static void take_outcome(struct header_work *w, const struct outcome *o) {
        if (o)
                w->outcome = *o;
        if (w->outcome.code != EXIT_CODE_DONE && w->verb->failed)
                w->verb->failed(w);
}

static void end(struct header_work *w) {
        memcpy(w->outcome.uuid, w->uuid, sizeof(w->outcome.uuid));
        w->outcome.volume = manager_volume_by_uuid(w->manager, w->uuid);
        header_work_give_back(w);
        w->done(&w->outcome, w->user);
        w->verb->free(w);
}

void header_verb_end(struct header_work *w, const struct outcome *o) {
        take_outcome(w, o);
        end(w);
}

void header_verb_fail(struct header_work *w, const struct outcome *o) {
        take_outcome(w, o);
        header_verb_record(w, w->outcome.code == EXIT_CODE_POLICY ? "refused" : "failed", LOG_WARNING);
        end(w);
}

void header_verb_refuse(struct header_work *w, enum exit_code code, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        outcome_vset(&w->outcome, code, format, ap);
        va_end(ap);
        header_verb_fail(w, NULL);
}

void header_verb_out_of_memory(struct header_work *w) {
        header_verb_refuse(w, EXIT_CODE_FAILED, "%s: out of memory", *w->name ? w->name : w->device);
}
