/* SPDX-License-Identifier: Apache-2.0 */
#include "encryption.h"

#include <stdarg.h>

#define REQUIREMENT "online-reencrypt-v2"
#define CIPHER "aes-xts-plain64"

/* The segments of one: at most three that count (the moved one, the rest, what is done) and one half-way, and three that say how it
 * was and will be. */
#define SEGMENTS_MAX 7u

struct found {
        const struct json_object *previous, *final, *moved;
        const struct json_object *live[SEGMENTS_MAX];
        unsigned n_live;
        const char *keyslot, *digest;        /* the numbers of those that go when it is done */
};

static int refuse(struct header_why *why, int error, const char *format, ...) _printf_(3, 4);
static int refuse(struct header_why *why, int error, const char *format, ...) {
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

static bool text_is(const struct json_object *o, const char *member, const char *text) {
        const char *s = strict_json_string(o, member);

        return s && streq(s, text);
}

/* The only flag of a segment, "" where it has none, NULL where it has more. */
static const char *flag_of(const struct json_object *s) {
        const struct json_object *a, *e;

        if (!json_object_object_get_ex(s, "flags", NULL))
                return "";
        a = strict_json_get(s, "flags", json_type_array);
        e = a && json_object_array_length(a) == 1 ? json_object_array_get_idx(a, 0) : NULL;
        return json_object_is_type(e, json_type_string) ? json_object_get_string((struct json_object *) e) : NULL;
}

static int sort_segment(const struct json_object *s, const char *flag, struct found *f) {
        const struct json_object **backup = streq(flag, "backup-previous") ? &f->previous
                                          : streq(flag, "backup-final") ? &f->final
                                          : streq(flag, "backup-moved-segment") ? &f->moved : NULL;

        if (backup && !*backup) {
                *backup = s;
                return 0;
        }
        if (backup || (*flag && !streq(flag, "in-reencryption")))
                return -EPERM;
        f->live[f->n_live++] = s;
        return 0;
}

/* Those that count come first. */
static int find_segments(const struct json_object *metadata, struct found *f, struct header_why *why) {
        static const char *const members[] = { "type", "offset", "size", "iv_tweak", "encryption", "sector_size", "flags", NULL };
        const struct json_object *segments = strict_json_get(metadata, "segments", json_type_object);
        unsigned n = segments ? (unsigned) json_object_object_length(segments) : 0;

        if (n < 4 || n > SEGMENTS_MAX)
                return refuse(why, -EPERM, "its segments are not those of an encryption");
        for (unsigned i = 0; i < n; i++) {
                char id[8];
                const struct json_object *s;
                const char *flag;

                snprintf(id, sizeof(id), "%u", i);
                s = strict_json_get(segments, id, json_type_object);
                flag = s && strict_json_only(s, members) ? flag_of(s) : NULL;
                if (!flag || (f->n_live < i && (!*flag || streq(flag, "in-reencryption"))) || sort_segment(s, flag, f) < 0)
                        return refuse(why, -EPERM, "its segment %u is not one of an encryption", i);
        }
        if (!f->previous || !f->final || !f->moved || f->n_live == 0)
                return refuse(why, -EPERM, "its segments are not those of an encryption");
        return 0;
}

static bool extent(const struct json_object *s, uint64_t *ret_offset, uint64_t *ret_size) {
        return strict_json_u64(s, "offset", INT64_MAX, ret_offset) >= 0 && strict_json_u64(s, "size", INT64_MAX, ret_size) >= 0;
}

static int check_geometry(const struct found *f, uint64_t device_size, struct header_encryption *x, struct header_why *why) {
        uint64_t start, size;

        if (!text_is(f->previous, "type", "linear") || !text_is(f->moved, "type", "linear") || !text_is(f->final, "type", "crypt") ||
            !extent(f->previous, &start, &x->size) || !extent(f->moved, &x->moved, &size) ||
            strict_json_u64(f->final, "offset", INT64_MAX, &x->shift) < 0)
                return refuse(why, -EPERM, "it is not an encryption of a plain device");
        if (start != 0 || x->shift == 0 || x->shift % 4096 || x->shift > device_size / 3 || size != MIN_OF(x->shift, x->size) ||
            x->size != device_size - 2 * x->shift || x->moved != device_size - x->shift)
                return refuse(why, -EPERM, "its segments are not where those of an encryption are");
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

        return text_is(s, "type", "crypt") && text_is(s, "encryption", CIPHER) &&
               strict_json_u64(s, "offset", INT64_MAX, &offset) >= 0 && offset == x->shift + at &&
               strict_json_u64(s, "iv_tweak", INT64_MAX, &tweak) >= 0 && tweak == at / 512 &&
               strict_json_int(s, "sector_size", 4096, &a) >= 0 && strict_json_int(final, "sector_size", 4096, &b) >= 0 && a == b;
}

/* Plain parts, then at most one that is half-way, then at most one that is done. */
static int walk(const struct found *f, uint64_t device_size, struct header_encryption *x, struct header_why *why) {
        enum { PLAIN, HALF_WAY, DONE } before = PLAIN;
        uint64_t at = 0, size;

        x->plain = 0;
        for (unsigned i = 0; i < f->n_live; i++) {
                const struct json_object *s = f->live[i];
                bool half_way = streq(flag_of(s), "in-reencryption");

                /* All is done but that the header says so: it is as large as it will be. */
                if (i + 1 == f->n_live && at == 0 && text_is(s, "size", "dynamic"))
                        size = x->size = device_size - x->shift;
                else if (strict_json_u64(s, "size", INT64_MAX, &size) < 0 || size == 0 || size % 512 || size > x->size - at)
                        return refuse(why, -EPERM, "its segment %u has an impossible size", i);
                if (text_is(s, "type", "linear") && !half_way && before == PLAIN) {
                        if (!is_plain_part(s, x, at, size))
                                return refuse(why, -EPERM, "its segment %u makes something plain that is not to be encrypted", i);
                } else if (!is_crypt_part(s, f->final, x, at) || before == DONE || (half_way && before != PLAIN))
                        return refuse(why, -EPERM, "its segment %u is not where it would be encrypted", i);
                else
                        before = half_way ? HALF_WAY : DONE;
                if (before != DONE)
                        x->plain += size;
                at += size;
        }
        return at == x->size ? 0 : refuse(why, -EPERM, "its segments do not cover the volume");
}

/* The keyslot that says how it is done. Its digest is what libcryptsetup verifies it by. */
static int find_keyslot(const struct json_object *metadata, const struct header_encryption *x, struct found *f,
                        struct header_why *why) {
        static const char *const members[] = { "type", "key_size", "mode", "direction", "area", "priority", NULL };
        static const char *const area_members[] = { "type", "offset", "size", "shift_size", NULL };
        const struct json_object *keyslots = strict_json_get(metadata, "keyslots", json_type_object), *k = NULL, *area;
        uint64_t shift;

        json_object_object_foreach((struct json_object *) keyslots, id, slot) {
                if (!text_is(slot, "type", "reencrypt"))
                        continue;
                if (k)
                        return refuse(why, -EPERM, "it has two keyslots of a reencryption");
                k = slot;
                f->keyslot = id;
        }
        area = strict_json_get(k, "area", json_type_object);
        if (!area || !strict_json_only(k, members) || !strict_json_only(area, area_members) || !text_is(k, "mode", "encrypt") ||
            !text_is(k, "direction", "backward") || !text_is(area, "type", "datashift") ||
            strict_json_u64(area, "shift_size", INT64_MAX, &shift) < 0 || shift != x->shift)
                return refuse(why, -EPERM, "it is being reencrypted or decrypted, which this node did not begin");
        return 0;
}

static bool is_only(const struct json_object *a, const char *text) {
        const struct json_object *e = a && json_object_array_length(a) == 1 ? json_object_array_get_idx(a, 0) : NULL;

        return json_object_is_type(e, json_type_string) && streq(json_object_get_string((struct json_object *) e), text);
}

static int find_digest(const struct json_object *metadata, struct found *f, struct header_why *why) {
        const struct json_object *digests = strict_json_get(metadata, "digests", json_type_object), *segments;

        if (digests && json_object_object_length(digests) == 2) {
                json_object_object_foreach((struct json_object *) digests, id, d) {
                        segments = strict_json_get(d, "segments", json_type_array);
                        if (is_only(strict_json_get(d, "keyslots", json_type_array), f->keyslot) && segments &&
                            json_object_array_length(segments) == 0)
                                f->digest = id;
                }
        }
        return f->digest ? 0 : refuse(why, -EPERM, "its digests are not those of an encryption");
}

/* As libcryptsetup leaves it at the end. */
static int settle(struct json_object *copy, const struct found *f) {
        struct json_object *segments = json_object_new_object(), *list = json_object_new_array(), *final = NULL, *o;

        if (!segments || !list || json_object_deep_copy((struct json_object *) f->final, &final, NULL) < 0) {
                json_object_put(segments);
                json_object_put(list);
                return -ENOMEM;
        }
        json_object_object_del(final, "flags");
        json_object_object_add(segments, "0", final);
        json_object_object_add(copy, "segments", segments);
        json_object_object_del(json_object_object_get(copy, "config"), "requirements");
        json_object_object_del(json_object_object_get(copy, "keyslots"), f->keyslot);
        o = json_object_object_get(copy, "digests");
        json_object_object_del(o, f->digest);
        json_object_array_add(list, json_object_new_string("0"));
        json_object_object_foreach(o, id, d) {
                (void) id;
                if (json_object_is_type(d, json_type_object))
                        json_object_object_add(d, "segments", json_object_get(list));
        }
        json_object_put(list);
        return 0;
}

int header_settle(struct json_object *metadata, uint64_t device_size, struct json_object **ret_settled,
                  struct header_encryption *ret, struct header_why *why) {
        _cleanup_(json_object_putp) struct json_object *copy = NULL;
        struct header_encryption x = {};
        struct found f = {};
        int r;

        if (!is_required(metadata)) {
                *ret_settled = json_object_get(metadata);
                *ret = x;
                return 0;
        }
        r = find_segments(metadata, &f, why);
        if (r >= 0)
                r = check_geometry(&f, device_size, &x, why);
        if (r >= 0)
                r = walk(&f, device_size, &x, why);
        if (r >= 0)
                r = find_keyslot(metadata, &x, &f, why);
        if (r >= 0)
                r = find_digest(metadata, &f, why);
        if (r < 0)
                return r;
        if (json_object_deep_copy(metadata, &copy, NULL) < 0 || settle(copy, &f) < 0)
                return refuse(why, -ENOMEM, "out of memory");
        x.under_way = true;
        *ret_settled = TAKE_PTR(copy);
        *ret = x;
        return 0;
}
