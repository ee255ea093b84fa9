/* SPDX-License-Identifier: Apache-2.0 */
#include "audit-proto.h"

#include <stdarg.h>
#include <syslog.h>

void audit_record_start(struct audit_message_record *m, const char *event, uint8_t priority, bool durable) {
        struct instant now = instant_now();

        m->durable = durable;
        m->priority = priority;
        m->realtime_usec = now.realtime_usec;
        m->boottime_usec = now.boottime_usec;
        m->n_fields = 0;
        snprintf(m->event, sizeof(m->event), "%s", event);
}

void audit_record_add(struct audit_message_record *m, const char *name, const char *value) {
        struct audit_field *f;

        if (!value || !*value || m->n_fields == AUDIT_FIELDS_MAX)
                return;
        f = m->fields + m->n_fields++;
        snprintf(f->name, sizeof(f->name), "%s", name);
        snprintf(f->value, sizeof(f->value), "%s", value);
        for (char *p = f->value; *p; p++)
                if ((unsigned char) *p < ' ' || *p == 127)
                        *p = '?';
}

void audit_record_addf(struct audit_message_record *m, const char *name, const char *format, ...) {
        char value[AUDIT_VALUE_MAX + 1];
        va_list ap;

        va_start(ap, format);
        vsnprintf(value, sizeof(value), format, ap);
        va_end(ap);
        audit_record_add(m, name, value);
}

int audit_record_encode(const struct audit_message_record *m, uint32_t id, struct wire_frame *ret) {
        wire_start(ret, AUDIT_MSG_RECORD, id);
        wire_put_u8(ret, m->durable);
        wire_put_u8(ret, m->priority);
        wire_put_u64(ret, m->realtime_usec);
        wire_put_u64(ret, m->boottime_usec);
        wire_put_string(ret, m->event);
        wire_put_u8(ret, (uint8_t) m->n_fields);
        for (size_t i = 0; i < m->n_fields; i++) {
                wire_put_string(ret, m->fields[i].name);
                wire_put_string(ret, m->fields[i].value);
        }
        return wire_finish(ret);
}

bool audit_name_is_valid(const char *s) {
        return *s && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(s);
}

static bool value_is_valid(const char *s) {
        for (; *s; s++)
                if ((unsigned char) *s < ' ' || *s == 127)
                        return false;
        return true;
}

int audit_record_decode(struct wire_cursor *c, struct audit_message_record *ret) {
        size_t n;

        if (c->type != AUDIT_MSG_RECORD)
                return -EBADMSG;
        ret->durable = wire_get_u8(c) != 0;
        ret->priority = wire_get_u8(c);
        ret->realtime_usec = wire_get_u64(c);
        ret->boottime_usec = wire_get_u64(c);
        wire_get_string(c, ret->event, sizeof(ret->event));
        n = wire_get_u8(c);
        if (c->error != 0 || n > AUDIT_FIELDS_MAX || ret->priority > LOG_DEBUG || !audit_name_is_valid(ret->event))
                return -EBADMSG;
        for (size_t i = 0; i < n; i++) {
                struct audit_field *f = ret->fields + i;

                wire_get_string(c, f->name, sizeof(f->name));
                wire_get_string(c, f->value, sizeof(f->value));
                if (c->error != 0 || !audit_name_is_valid(f->name) || !value_is_valid(f->value))
                        return -EBADMSG;
                for (size_t k = 0; k < i; k++)
                        if (streq(ret->fields[k].name, f->name))
                                return -EBADMSG;
        }
        ret->n_fields = n;
        return wire_end(c);
}

int audit_check_encode(uint32_t id, struct wire_frame *ret) {
        wire_start(ret, AUDIT_MSG_CHECK, id);
        return wire_finish(ret);
}

int audit_ack_encode(const struct audit_ack *a, uint32_t id, struct wire_frame *ret) {
        wire_start(ret, AUDIT_MSG_ACK, id);
        wire_put_u32(ret, (uint32_t) -a->error);
        wire_put_u64(ret, a->sequence);
        return wire_finish(ret);
}

int audit_ack_decode(struct wire_cursor *c, struct audit_ack *ret) {
        uint32_t error;
        int r;

        if (c->type != AUDIT_MSG_ACK)
                return -EBADMSG;
        error = wire_get_u32(c);
        ret->sequence = wire_get_u64(c);
        r = wire_end(c);
        if (r < 0)
                return r;
        if (error > 4095)
                return -EBADMSG;
        ret->error = -(int32_t) error;
        return 0;
}
