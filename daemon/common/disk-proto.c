/* SPDX-License-Identifier: Apache-2.0 */
#include "disk-proto.h"

#include "dm-ioctl.h"

static const char *const op_names[_DISK_OP_MAX] = {
        [DISK_OP_INSPECT] = "inspect", [DISK_OP_FORMAT] = "format", [DISK_OP_CHECK] = "check",
        [DISK_OP_ERASE] = "erase", [DISK_OP_ACTIVATE] = "activate", [DISK_OP_DEACTIVATE] = "deactivate",
        [DISK_OP_QUERY] = "query", [DISK_OP_STEP_OPEN] = "open", [DISK_OP_STEP_SHUT] = "shut",
        [DISK_OP_STEP_CUT] = "cut", [DISK_OP_STEP_THAW] = "thaw", [DISK_OP_STEP_FLUSH] = "flush",
        [DISK_OP_STEP_KILL] = "kill", [DISK_OP_STEP_UNMOUNT] = "unmount", [DISK_OP_STEP_REMOVE] = "remove",
        [DISK_OP_STEP_VERIFY] = "verify", [DISK_OP_HOLD] = "hold", [DISK_OP_RESUME] = "resume",
        [DISK_OP_NOTICE] = "notice", [DISK_OP_UNLOCK_KEY] = "unlock-key",
        [DISK_OP_RECOGNIZE] = "recognize",
        [DISK_OP_NO_CORES] = "no-cores", [DISK_OP_RECOVERY_ADD] = "recovery-add",
        [DISK_OP_USES] = "uses", [DISK_OP_AWAIT] = "await",
        [DISK_OP_RECOVERY_REMOVE] = "recovery-remove", [DISK_OP_RECOVERY_TEST] = "recovery-test",
        [DISK_OP_WRAP_ADD] = "wrap-add", [DISK_OP_WRAP_REMOVE] = "wrap-remove",
        [DISK_OP_SCRATCH] = "scratch", [DISK_OP_RECOVERY_ROTATE] = "recovery-rotate",
        [DISK_OP_HEADER_BACKUP] = "header-backup",
        [DISK_OP_WRAP_ROTATE] = "wrap-rotate", [DISK_OP_WRAP_DROP] = "wrap-drop",
        [DISK_OP_HEADER_CANDIDATE] = "header-candidate", [DISK_OP_HEADER_RESTORE] = "header-restore",
        [DISK_OP_TAKE_OVER_LOOK] = "take-over-look", [DISK_OP_TAKE_OVER] = "take-over",
        [DISK_OP_KEYSLOTS_REMOVE] = "keyslots-remove",
        [DISK_OP_ENCRYPT_STAGE] = "encrypt-stage", [DISK_OP_ENCRYPT_BEGIN] = "encrypt-begin",
        [DISK_OP_ENCRYPT_RUN] = "encrypt-run",
        [DISK_OP_REENCRYPT_STAGE] = "reencrypt-stage", [DISK_OP_REENCRYPT_WRAP] = "reencrypt-wrap",
        [DISK_OP_REENCRYPT_BEGIN] = "reencrypt-begin",
        [DISK_OP_HEADER_ACCEPT] = "header-accept", [DISK_OP_PERSONALIZE_STAGE] = "personalize-stage",
};

const char *disk_op_to_string(enum disk_op op) {
        return (unsigned) op < _DISK_OP_MAX && op_names[op] ? op_names[op] : "unknown";
}

static void get_name(struct wire_cursor *c, char *buf, size_t size) {
        wire_get_string(c, buf, size);
        if (c->error == 0 && *buf && !volume_name_is_valid(buf))
                c->error = -EBADMSG;
}

static void get_uuid(struct wire_cursor *c, char *buf, size_t size) {
        wire_get_string(c, buf, size);
        if (c->error == 0 && *buf && !uuid_is_valid(buf))
                c->error = -EBADMSG;
}

static void get_text(struct wire_cursor *c, char *buf, size_t size) {
        wire_get_string(c, buf, size);
        for (char *p = buf; *p; p++)
                if ((unsigned char) *p < ' ' || *p == 127)
                        c->error = -EBADMSG;
}

static uint8_t get_below(struct wire_cursor *c, uint8_t limit) {
        uint8_t v = wire_get_u8(c);

        if (c->error == 0 && v >= limit)
                c->error = -EBADMSG;
        return v;
}

int disk_request_encode(const struct disk_request *q, struct wire_frame *ret) {
        wire_start(ret, DISK_MSG_REQUEST, 0);
        wire_put_u8(ret, q->op);
        wire_put_u32(ret, q->flags);
        wire_put_u8(ret, q->role);
        wire_put_u64(ret, q->generation);
        wire_put_string(ret, q->device);
        wire_put_string(ret, q->name);
        wire_put_string(ret, q->uuid);
        wire_put_string(ret, q->key);
        wire_put_string(ret, q->algorithm);
        wire_put_string(ret, q->proof_request_id);
        wire_put_u64(ret, q->proof_time);
        wire_put_u32(ret, q->dev_major);
        wire_put_u32(ret, q->dev_minor);
        wire_put_u64(ret, q->sectors);
        wire_put_bytes(ret, q->spki, q->spki_size);
        wire_put_bytes(ret, q->header_digest, sizeof(q->header_digest));
        wire_put_bytes(ret, q->trust_digest, sizeof(q->trust_digest));
        wire_put_string(ret, q->mapping);
        wire_put_string(ret, q->opener);
        wire_put_bytes(ret, q->wrapped, q->wrapped_size);
        wire_put_u64(ret, q->plain_max);
        wire_put_string(ret, q->other_uuid);
        return wire_finish(ret);
}

int disk_request_decode(struct wire_cursor *c, struct disk_request *ret) {
        struct disk_request q = {};
        int r;

        if (c->type != DISK_MSG_REQUEST)
                return -EBADMSG;
        q.op = get_below(c, _DISK_OP_MAX);
        q.flags = wire_get_u32(c);
        q.role = get_below(c, _ROLE_MAX);
        q.generation = wire_get_u64(c);
        get_text(c, q.device, sizeof(q.device));
        get_name(c, q.name, sizeof(q.name));
        get_uuid(c, q.uuid, sizeof(q.uuid));
        get_text(c, q.key, sizeof(q.key));
        get_text(c, q.algorithm, sizeof(q.algorithm));
        get_text(c, q.proof_request_id, sizeof(q.proof_request_id));
        q.proof_time = wire_get_u64(c);
        q.dev_major = wire_get_u32(c);
        q.dev_minor = wire_get_u32(c);
        q.sectors = wire_get_u64(c);
        wire_get_bytes(c, q.spki, sizeof(q.spki), &q.spki_size);
        wire_get_exact(c, q.header_digest, sizeof(q.header_digest));
        wire_get_exact(c, q.trust_digest, sizeof(q.trust_digest));
        wire_get_string(c, q.mapping, sizeof(q.mapping));
        get_text(c, q.opener, sizeof(q.opener));
        wire_get_bytes(c, q.wrapped, sizeof(q.wrapped), &q.wrapped_size);
        q.plain_max = wire_get_u64(c);
        get_uuid(c, q.other_uuid, sizeof(q.other_uuid));
        r = wire_end(c);
        if (r < 0)
                return r;
        if (q.op == 0 || (*q.mapping && !dm_mapping_name_is_valid(q.mapping)))
                return -EBADMSG;
        if (!*q.mapping)
                memcpy(q.mapping, q.name, sizeof(q.name));
        *ret = q;
        return 0;
}

static void put_wrap(struct wire_frame *f, const struct disk_wrap *w) {
        wire_put_u8(f, w->token);
        wire_put_u64(f, w->generation);
        wire_put_string(f, w->key);
        wire_put_string(f, w->algorithm);
        wire_put_u64(f, w->proof_time);
        wire_put_string(f, w->proof_request_id);
        wire_put_bytes(f, w->spki, w->spki_size);
        wire_put_bytes(f, w->wrapped, w->wrapped_size);
        wire_put_u8(f, w->stored);
}

static void get_wrap(struct wire_cursor *c, struct disk_wrap *w) {
        w->token = wire_get_u8(c);
        w->generation = wire_get_u64(c);
        get_text(c, w->key, sizeof(w->key));
        get_text(c, w->algorithm, sizeof(w->algorithm));
        w->proof_time = wire_get_u64(c);
        get_text(c, w->proof_request_id, sizeof(w->proof_request_id));
        wire_get_bytes(c, w->spki, sizeof(w->spki), &w->spki_size);
        wire_get_bytes(c, w->wrapped, sizeof(w->wrapped), &w->wrapped_size);
        w->stored = get_below(c, 2);
        if (c->error == 0 && w->stored && w->wrapped_size != DISK_DIGEST_SIZE)
                c->error = -EBADMSG;
}

int disk_reply_encode(const struct disk_reply *y, struct wire_frame *ret) {
        wire_start(ret, DISK_MSG_REPLY, 0);
        wire_put_u32(ret, (uint32_t) -y->error);
        wire_put_u8(ret, y->exit_code);
        wire_put_string(ret, y->message);
        wire_put_u32(ret, y->flags);
        wire_put_u8(ret, y->role);
        wire_put_string(ret, y->name);
        wire_put_string(ret, y->uuid);
        wire_put_u8(ret, y->n_wraps);
        for (unsigned i = 0; i < MIN_OF(y->n_wraps, DISK_WRAPS_MAX); i++)
                put_wrap(ret, y->wraps + i);
        wire_put_u32(ret, y->dev_major);
        wire_put_u32(ret, y->dev_minor);
        wire_put_u64(ret, y->sectors);
        wire_put_u32(ret, y->count);
        wire_put_bytes(ret, y->header_digest, sizeof(y->header_digest));
        wire_put_bytes(ret, y->trust_digest, sizeof(y->trust_digest));
        wire_put_u64(ret, y->plain);
        wire_put_string(ret, y->activation);
        return wire_finish(ret);
}

int disk_reply_decode(struct wire_cursor *c, struct disk_reply *ret) {
        struct disk_reply y = {};
        uint32_t error;
        int r;

        if (c->type != DISK_MSG_REPLY)
                return -EBADMSG;
        error = wire_get_u32(c);
        y.exit_code = get_below(c, _EXIT_CODE_MAX);
        get_text(c, y.message, sizeof(y.message));
        y.flags = wire_get_u32(c);
        y.role = get_below(c, _ROLE_MAX);
        get_name(c, y.name, sizeof(y.name));
        get_uuid(c, y.uuid, sizeof(y.uuid));
        y.n_wraps = get_below(c, DISK_WRAPS_MAX + 1);
        for (unsigned i = 0; c->error == 0 && i < y.n_wraps; i++)
                get_wrap(c, y.wraps + i);
        y.dev_major = wire_get_u32(c);
        y.dev_minor = wire_get_u32(c);
        y.sectors = wire_get_u64(c);
        y.count = wire_get_u32(c);
        wire_get_exact(c, y.header_digest, sizeof(y.header_digest));
        wire_get_exact(c, y.trust_digest, sizeof(y.trust_digest));
        y.plain = wire_get_u64(c);
        get_text(c, y.activation, sizeof(y.activation));
        r = wire_end(c);
        if (r < 0)
                return r;
        if (error > 4095)
                return -EBADMSG;
        y.error = -(int32_t) error;
        *ret = y;
        return 0;
}
