/* SPDX-License-Identifier: Apache-2.0 */
#include "encryption-parts.h"

#include <stdarg.h>

#define REQUIREMENT "online-reencrypt-v2"
int encryption_refuse(struct header_why *why, int error, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(why->text, sizeof(why->text), format, ap);
        va_end(ap);
        return error;
}

static bool is_required(const struct json_object *metadata) {
        const struct json_object *c = strict_json_get(metadata, "config", json_type_object);
        const struct json_object *q = strict_json_get(c, "requirements", json_type_object);
        const struct json_object *a = strict_json_get(q, "mandatory", json_type_array), *e;

        if (!a || json_object_array_length(a) != 1)
                return false;
        e = json_object_array_get_idx(a, 0);
        return json_object_is_type(e, json_type_string) && streq(json_object_get_string((struct json_object *) e), REQUIREMENT);
}

bool encryption_text_is(const struct json_object *o, const char *member, const char *text) {
        const char *s = strict_json_string(o, member);

        return s && streq(s, text);
}

const char *encryption_flag(const struct json_object *s) {
        const struct json_object *a, *e;

        if (!json_object_object_get_ex(s, "flags", NULL))
                return "";
        a = strict_json_get(s, "flags", json_type_array);
        e = a && json_object_array_length(a) == 1 ? json_object_array_get_idx(a, 0) : NULL;
        return json_object_is_type(e, json_type_string) ? json_object_get_string((struct json_object *) e) : NULL;
}

static int sort_segment(const struct json_object *s, int id, const char *flag, struct encryption_found *f) {
        const struct json_object **backup = streq(flag, "backup-previous") ? &f->previous
                                          : streq(flag, "backup-final") ? &f->final
                                          : streq(flag, "backup-moved-segment") ? &f->moved : NULL;

        if (backup && !*backup) {
                *backup = s;
                if (backup == &f->previous)
                        f->previous_id = id;
                else if (backup == &f->final)
                        f->final_id = id;
                return 0;
        }
        if (backup || (*flag && !streq(flag, "in-reencryption")))
                return -EPERM;
        f->live[f->n_live++] = s;
        return 0;
}

/* Those that count come first. */
static int find_segments(const struct json_object *metadata, struct encryption_found *f, struct header_why *why) {
        static const char *const members[] = { "type", "offset", "size", "iv_tweak", "encryption", "sector_size", "flags", NULL };
        const struct json_object *segments = strict_json_get(metadata, "segments", json_type_object);
        unsigned n = segments ? (unsigned) json_object_object_length(segments) : 0;

        if (n < 3 || n > SEGMENTS_MAX)
                return encryption_refuse(why, -EPERM, "its segments are not those of an encryption");
        for (unsigned i = 0; i < n; i++) {
                char id[8];
                const struct json_object *s;
                const char *flag;

                snprintf(id, sizeof(id), "%u", i);
                s = strict_json_get(segments, id, json_type_object);
                flag = s && strict_json_only(s, members) ? encryption_flag(s) : NULL;
                if (!flag || (f->n_live < i && (!*flag || streq(flag, "in-reencryption"))) || sort_segment(s, (int) i, flag, f) < 0)
                        return encryption_refuse(why, -EPERM, "its segment %u is not one of an encryption", i);
        }
        if (!f->previous || !f->final || f->n_live == 0)
                return encryption_refuse(why, -EPERM, "its segments are not those of an encryption");
        return 0;
}

static bool extent(const struct json_object *s, uint64_t *ret_offset, uint64_t *ret_size) {
        return strict_json_u64(s, "offset", INT64_MAX, ret_offset) >= 0 && strict_json_u64(s, "size", INT64_MAX, ret_size) >= 0;
}

static int check_geometry(const struct encryption_found *f, uint64_t device_size, struct header_encryption *x, struct header_why *why) {
        uint64_t start, size;

        if (!f->moved || !encryption_text_is(f->previous, "type", "linear") || !encryption_text_is(f->moved, "type", "linear") || !encryption_text_is(f->final, "type", "crypt") ||
            !extent(f->previous, &start, &x->size) || !extent(f->moved, &x->moved, &size) ||
            strict_json_u64(f->final, "offset", INT64_MAX, &x->shift) < 0)
                return encryption_refuse(why, -EPERM, "it is not an encryption of a plain device");
        if (start != 0 || x->shift == 0 || x->shift % 4096 || x->shift > device_size / 3 || size != MIN_OF(x->shift, x->size) ||
            x->size != device_size - 2 * x->shift || x->moved != device_size - x->shift)
                return encryption_refuse(why, -EPERM, "its segments are not where those of an encryption are");
        return 0;
}

/* at: where it is in the volume. */
static bool is_plain_part(const struct json_object *s, const struct header_encryption *x, uint64_t at, uint64_t size) {
        uint64_t offset;

        return strict_json_u64(s, "offset", INT64_MAX, &offset) >= 0 &&
               (at == 0 ? offset == x->moved && size <= x->shift : at >= x->shift && offset == at);
}

static bool is_crypt_part(const struct json_object *s, const struct json_object *final, const struct header_encryption *x,
                          uint64_t at) {
        uint64_t offset, tweak;
        int64_t a, b;

        return encryption_text_is(s, "type", "crypt") && encryption_text_is(s, "encryption", ENCRYPTION_CIPHER) &&
               strict_json_u64(s, "offset", INT64_MAX, &offset) >= 0 && offset == x->shift + at &&
               strict_json_u64(s, "iv_tweak", INT64_MAX, &tweak) >= 0 && tweak == at / 512 &&
               strict_json_int(s, "sector_size", 4096, &a) >= 0 && strict_json_int(final, "sector_size", 4096, &b) >= 0 && a == b;
}

/* Plain parts, then at most one that is half-way, then at most one that is done. */
static int walk(const struct encryption_found *f, uint64_t device_size, struct header_encryption *x, struct header_why *why) {
        enum { PLAIN, HALF_WAY, DONE } before = PLAIN;
        uint64_t at = 0, size;

        x->plain = 0;
        for (unsigned i = 0; i < f->n_live; i++) {
                const struct json_object *s = f->live[i];
                bool half_way = streq(encryption_flag(s), "in-reencryption");

                /* All is done but that the header says so: it is as large as it will be. */
                if (i + 1 == f->n_live && at == 0 && encryption_text_is(s, "size", "dynamic"))
                        size = x->size = device_size - x->shift;
                else if (strict_json_u64(s, "size", INT64_MAX, &size) < 0 || size == 0 || size % 512 || size > x->size - at)
                        return encryption_refuse(why, -EPERM, "its segment %u has an impossible size", i);
                if (encryption_text_is(s, "type", "linear") && !half_way && before == PLAIN) {
                        if (!is_plain_part(s, x, at, size))
                                return encryption_refuse(why, -EPERM, "its segment %u makes something plain that is not to be encrypted", i);
                } else if (!is_crypt_part(s, f->final, x, at) || before == DONE || (half_way && before != PLAIN))
                        return encryption_refuse(why, -EPERM, "its segment %u is not where it would be encrypted", i);
                else
                        before = half_way ? HALF_WAY : DONE;
                if (before != DONE)
                        x->plain += size;
                at += size;
        }
        return at == x->size ? 0 : encryption_refuse(why, -EPERM, "its segments do not cover the volume");
}

/* The keyslot that says how it is done. Its digest is what libcryptsetup verifies it by. */
static int find_keyslot(const struct json_object *metadata, struct encryption_found *f, struct header_why *why) {
        static const char *const members[] = { "type", "key_size", "mode", "direction", "area", "priority", NULL };
        const struct json_object *keyslots = strict_json_get(metadata, "keyslots", json_type_object);

        if (!keyslots)
                return encryption_refuse(why, -EBADMSG, "its metadata has no keyslots");
        json_object_object_foreach((struct json_object *) keyslots, id, slot) {
                if (!encryption_text_is(slot, "type", "reencrypt"))
                        continue;
                if (f->reencrypt)
                        return encryption_refuse(why, -EPERM, "it has two keyslots of a reencryption");
                f->reencrypt = slot;
                f->keyslot = id;
        }
        if (!f->reencrypt || !strict_json_only(f->reencrypt, members))
                return encryption_refuse(why, -EPERM, "it has no keyslot of a reencryption that is known");
        return 0;
}

static int check_keyslot(const struct encryption_found *f, const struct header_encryption *x, struct header_why *why) {
        static const char *const members[] = { "type", "offset", "size", "shift_size", NULL };
        const struct json_object *area = strict_json_get(f->reencrypt, "area", json_type_object);
        uint64_t shift;

        if (!area || !strict_json_only(area, members) || !encryption_text_is(f->reencrypt, "mode", "encrypt") ||
            !encryption_text_is(f->reencrypt, "direction", "backward") || !encryption_text_is(area, "type", "datashift") ||
            strict_json_u64(area, "shift_size", INT64_MAX, &shift) < 0 || shift != x->shift)
                return encryption_refuse(why, -EPERM, "it is being reencrypted or decrypted, which this node did not begin");
        return 0;
}

bool encryption_is_only(const struct json_object *a, const char *text) {
        const struct json_object *e = a && json_object_array_length(a) == 1 ? json_object_array_get_idx(a, 0) : NULL;

        return json_object_is_type(e, json_type_string) && streq(json_object_get_string((struct json_object *) e), text);
}

static int find_digest(const struct json_object *metadata, struct encryption_found *f, struct header_why *why) {
        const struct json_object *digests = strict_json_get(metadata, "digests", json_type_object), *segments;

        if (digests && json_object_object_length(digests) == 2) {
                json_object_object_foreach((struct json_object *) digests, id, d) {
                        segments = strict_json_get(d, "segments", json_type_array);
                        if (encryption_is_only(strict_json_get(d, "keyslots", json_type_array), f->keyslot) && segments &&
                            json_object_array_length(segments) == 0)
                                f->digest = id;
                }
        }
        return f->digest ? 0 : encryption_refuse(why, -EPERM, "its digests are not those of an encryption");
}

int encryption_settle_segments(struct json_object *copy, const struct encryption_found *f) {
        struct json_object *segments = json_object_new_object(), *final = NULL;

        if (!segments || json_object_deep_copy((struct json_object *) f->final, &final, NULL) < 0) {
                json_object_put(segments);
                return -ENOMEM;
        }
        json_object_object_del(final, "flags");
        json_object_object_add(segments, "0", final);
        json_object_object_add(copy, "segments", segments);
        json_object_object_del(json_object_object_get(copy, "config"), "requirements");
        json_object_object_del(json_object_object_get(copy, "keyslots"), f->keyslot);
        json_object_object_del(json_object_object_get(copy, "digests"), f->digest);
        return 0;
}

static int settle(struct json_object *copy, const struct encryption_found *f) {
        struct json_object *list = json_object_new_array();
        int r = list ? encryption_settle_segments(copy, f) : -ENOMEM;

        if (r >= 0) {
                json_object_array_add(list, json_object_new_string("0"));
                json_object_object_foreach(json_object_object_get(copy, "digests"), id, d) {
                        (void) id;
                        if (json_object_is_type(d, json_type_object))
                                json_object_object_add(d, "segments", json_object_get(list));
                }
        }
        json_object_put(list);
        return r;
}

static int check(const struct json_object *metadata, uint64_t device_size, struct encryption_found *f, struct header_encryption *x,
                 struct header_why *why) {
        int r;

        r = check_geometry(f, device_size, x, why);
        if (r >= 0)
                r = walk(f, device_size, x, why);
        if (r >= 0)
                r = check_keyslot(f, x, why);
        return r < 0 ? r : find_digest(metadata, f, why);
}

int header_settle(struct json_object *metadata, uint64_t device_size, struct json_object **ret_settled,
                  struct header_encryption *ret, struct header_why *why) {
        _cleanup_(json_object_putp) struct json_object *copy = NULL;
        struct header_encryption x = {};
        struct encryption_found f = {};
        int r;

        if (!is_required(metadata)) {
                *ret_settled = json_object_get(metadata);
                *ret = x;
                return 0;
        }
        r = find_segments(metadata, &f, why);
        if (r >= 0)
                r = find_keyslot(metadata, &f, why);
        if (r < 0)
                return r;
        x.rekeys = encryption_text_is(f.reencrypt, "mode", "reencrypt");
        r = x.rekeys ? reencryption_check(metadata, device_size, &f, &x, why) : check(metadata, device_size, &f, &x, why);
        if (r < 0)
                return r;
        if (json_object_deep_copy(metadata, &copy, NULL) < 0 || (x.rekeys ? reencryption_settle(copy, &f) : settle(copy, &f)) < 0)
                return encryption_refuse(why, -ENOMEM, "out of memory");
        x.under_way = true;
        *ret_settled = TAKE_PTR(copy);
        *ret = x;
        return 0;
}
