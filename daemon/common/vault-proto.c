/* SPDX-License-Identifier: Apache-2.0 */
#include "vault-proto.h"

static bool is_printable(const char *s) {
        for (; *s; s++)
                if (*s < ' ' || *s > '~')
                        return false;
        return true;
}

static void get_printable(struct wire_cursor *c, char *buf, size_t size) {
        wire_get_string(c, buf, size);
        if (c->error == 0 && !is_printable(buf))
                c->error = -EBADMSG;
}

bool vault_tag_is_valid(const char *name, const char *value) {
        const char *rest = startswith(name, VAULT_TAG_PREFIX);

        return rest && *rest && strspn(rest, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(rest) &&
               strlen(name) <= VAULT_TAG_NAME_MAX && strlen(value) <= VAULT_TAG_VALUE_MAX && is_printable(value);
}

static bool tag_is_new(const struct vault_reply *y, const char *name) {
        for (unsigned i = 0; i < y->n_tags; i++)
                if (streq(y->tags[i].name, name))
                        return false;
        return true;
}

/* In a frame that has them there is one at least: each reply has one form only. */
static void get_tags(struct wire_cursor *c, struct vault_reply *y) {
        uint8_t n = wire_get_u8(c);

        if (n == 0 || n > VAULT_TAGS_MAX)
                c->error = -EBADMSG;
        while (c->error == 0 && y->n_tags < n) {
                struct vault_tag t = {};

                wire_get_string(c, t.name, sizeof(t.name));
                wire_get_string(c, t.value, sizeof(t.value));
                if (c->error < 0)
                        break;
                if (!vault_tag_is_valid(t.name, t.value) || !tag_is_new(y, t.name))
                        c->error = -EBADMSG;
                y->tags[y->n_tags++] = t;
        }
}

static void put_tags(struct wire_frame *f, const struct vault_reply *y) {
        if (y->n_tags > VAULT_TAGS_MAX) {
                f->error = -EINVAL;
                return;
        }
        wire_put_u8(f, y->n_tags);
        for (unsigned i = 0; i < y->n_tags; i++) {
                wire_put_string(f, y->tags[i].name);
                wire_put_string(f, y->tags[i].value);
        }
}

int vault_request_encode(const struct vault_request *q, uint32_t id, struct wire_frame *ret) {
        char uri[KEY_URI_MAX];

        key_uri_format(&q->key, uri, sizeof(uri));
        wire_start(ret, q->stored ? VAULT_MSG_REQUEST_STORED : *q->volume ? VAULT_MSG_REQUEST_BOUND : VAULT_MSG_REQUEST, id);
        wire_put_u8(ret, q->op);
        wire_put_u8(ret, q->flags);
        wire_put_string(ret, q->vault);
        wire_put_string(ret, uri);
        wire_put_string(ret, q->algorithm);
        wire_put_string(ret, q->client_request_id);
        wire_put_u32(ret, q->timeout_ms);
        wire_put_bytes(ret, q->blob, q->blob_size);
        wire_put_u64(ret, q->configured_usec);
        if (*q->volume || q->stored)
                wire_put_string(ret, q->volume);
        if (q->stored)
                wire_put_bytes(ret, q->digest, sizeof(q->digest));
        return wire_finish(ret);
}

int vault_request_decode(struct wire_cursor *c, struct vault_request *ret) {
        struct vault_request q = {};
        char uri[KEY_URI_MAX];
        int r;

        if (c->type != VAULT_MSG_REQUEST && c->type != VAULT_MSG_REQUEST_BOUND && c->type != VAULT_MSG_REQUEST_STORED)
                return -EBADMSG;
        q.stored = c->type == VAULT_MSG_REQUEST_STORED;
        q.op = wire_get_u8(c);
        q.flags = wire_get_u8(c);
        wire_get_string(c, q.vault, sizeof(q.vault));
        wire_get_string(c, uri, sizeof(uri));
        get_printable(c, q.algorithm, sizeof(q.algorithm));
        wire_get_string(c, q.client_request_id, sizeof(q.client_request_id));
        q.timeout_ms = wire_get_u32(c);
        wire_get_bytes(c, q.blob, sizeof(q.blob), &q.blob_size);
        q.configured_usec = wire_get_u64(c);
        if (c->type != VAULT_MSG_REQUEST)
                wire_get_string(c, q.volume, sizeof(q.volume));
        if (q.stored)
                wire_get_exact(c, q.digest, sizeof(q.digest));
        r = wire_end(c);
        if (r < 0)
                return r;
        if (c->type != VAULT_MSG_REQUEST && !uuid_is_valid(q.volume))
                return -EBADMSG;
        if (q.op < VAULT_OP_GET_KEY || q.op >= _VAULT_OP_MAX || !volume_name_is_valid(q.vault) ||
            !uuid_is_valid(q.client_request_id) || key_uri_parse(uri, &q.key, NULL) < 0)
                return -EBADMSG;
        *ret = q;
        return 0;
}

static void put_reply(struct wire_frame *f, const struct vault_reply *y) {
        wire_put_u8(f, (uint8_t) y->verdict);
        wire_put_u16(f, y->http_status);
        wire_put_string(f, y->code);
        wire_put_string(f, y->text);
        wire_put_string(f, y->request_id);
        wire_put_string(f, y->kid);
        wire_put_u32(f, y->retry_after_sec);
        wire_put_u32(f, y->round_trip_usec);
        wire_put_u32(f, y->token_usec);
        wire_put_u8(f, y->key_flags);
        wire_put_u16(f, y->key_bits);
        wire_put_string(f, y->key_type);
        wire_put_u64(f, y->not_before);
        wire_put_u64(f, y->expires);
        wire_put_string(f, y->recovery_level);
        wire_put_bytes(f, y->spki, y->spki_size);
        wire_put_bytes(f, y->blob, y->blob_size);
        wire_put_u32(f, y->delivered);
}

int vault_reply_encode(const struct vault_reply *y, uint32_t id, struct wire_frame *ret) {
        wire_start(ret, y->n_tags > 0 ? VAULT_MSG_REPLY_TAGS : VAULT_MSG_REPLY, id);
        put_reply(ret, y);
        if (y->n_tags > 0)
                put_tags(ret, y);
        return wire_finish(ret);
}

static void get_reply(struct wire_cursor *c, struct vault_reply *y) {
        uint8_t verdict = wire_get_u8(c);

        if (verdict >= _VERDICT_MAX)
                c->error = -EBADMSG;
        y->verdict = (enum verdict) verdict;
        y->http_status = wire_get_u16(c);
        get_printable(c, y->code, sizeof(y->code));
        get_printable(c, y->text, sizeof(y->text));
        get_printable(c, y->request_id, sizeof(y->request_id));
        get_printable(c, y->kid, sizeof(y->kid));
        y->retry_after_sec = wire_get_u32(c);
        y->round_trip_usec = wire_get_u32(c);
        y->token_usec = wire_get_u32(c);
        y->key_flags = wire_get_u8(c);
        y->key_bits = wire_get_u16(c);
        get_printable(c, y->key_type, sizeof(y->key_type));
        y->not_before = wire_get_u64(c);
        y->expires = wire_get_u64(c);
        get_printable(c, y->recovery_level, sizeof(y->recovery_level));
        wire_get_bytes(c, y->spki, sizeof(y->spki), &y->spki_size);
        wire_get_bytes(c, y->blob, sizeof(y->blob), &y->blob_size);
        y->delivered = wire_get_u32(c);
}

int vault_reply_decode(struct wire_cursor *c, struct vault_reply *ret) {
        struct vault_reply y = {};
        int r;

        if (c->type != VAULT_MSG_REPLY && c->type != VAULT_MSG_REPLY_TAGS)
                return -EBADMSG;
        get_reply(c, &y);
        if (c->type == VAULT_MSG_REPLY_TAGS)
                get_tags(c, &y);
        r = wire_end(c);
        if (r < 0)
                return r;
        *ret = y;
        return 0;
}

int vault_list_encode(const struct vault_reply *y, const struct vault_list *l, uint32_t id, struct wire_frame *ret) {
        if (y->verdict != VERDICT_GRANTED)
                return vault_reply_encode(y, id, ret);
        wire_start(ret, VAULT_MSG_REPLY_LIST, id);
        put_reply(ret, y);
        wire_put_u8(ret, l->n);
        for (unsigned i = 0; i < l->n; i++) {
                wire_put_string(ret, l->items[i].kid);
                wire_put_u8(ret, l->items[i].key_flags);
                wire_put_u64(ret, l->items[i].created);
                wire_put_u64(ret, l->items[i].not_before);
                wire_put_u64(ret, l->items[i].expires);
        }
        return wire_finish(ret);
}

int vault_list_decode(struct wire_cursor *c, struct vault_reply *ret, struct vault_list *ret_list) {
        struct vault_reply y = {};
        struct key_uri u;
        int r;

        ret_list->n = 0;
        if (c->type != VAULT_MSG_REPLY_LIST)
                return vault_reply_decode(c, ret);
        get_reply(c, &y);
        ret_list->n = wire_get_u8(c);
        if (ret_list->n > VAULT_LIST_MAX || y.verdict != VERDICT_GRANTED)
                return -EBADMSG;
        for (unsigned i = 0; i < ret_list->n && c->error == 0; i++) {
                wire_get_string(c, ret_list->items[i].kid, sizeof(ret_list->items[i].kid));
                ret_list->items[i].key_flags = wire_get_u8(c);
                ret_list->items[i].created = wire_get_u64(c);
                ret_list->items[i].not_before = wire_get_u64(c);
                ret_list->items[i].expires = wire_get_u64(c);
                if (c->error == 0 && key_uri_parse(ret_list->items[i].kid, &u, NULL) < 0)
                        c->error = -EBADMSG;
        }
        r = wire_end(c);
        if (r < 0)
                return r;
        *ret = y;
        return 0;
}
