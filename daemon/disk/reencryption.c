/* SPDX-License-Identifier: Apache-2.0 */
#include "encryption-parts.h"

/* Of the digests one is of the old volume key, one of the new one, and one of the keyslot that says how it is done; each of the first two
 * names the segments that its key encrypts, and the one that is half-way is both's. */
#define DIGESTS 3

static bool names(const struct json_object *digest, const char *member, const char *text) {
        const struct json_object *a = strict_json_get(digest, member, json_type_array);

        for (size_t i = 0; a && i < json_object_array_length(a); i++) {
                struct json_object *e = json_object_array_get_idx(a, i);

                if (json_object_is_type(e, json_type_string) && streq(json_object_get_string(e), text))
                        return true;
        }
        return false;
}

static bool names_segment(const struct json_object *digest, int segment) {
        char id[12];

        snprintf(id, sizeof(id), "%d", segment);
        return names(digest, "segments", id);
}

static int find_digests(const struct json_object *metadata, struct encryption_found *f, struct header_encryption *x,
                        struct header_why *why) {
        const struct json_object *digests = strict_json_get(metadata, "digests", json_type_object), *s;
        uint64_t n;

        if (!digests || json_object_object_length(digests) != DIGESTS)
                return encryption_refuse(why, -EPERM, "its digests are not those of a change of its key");
        json_object_object_foreach((struct json_object *) digests, id, d) {
                s = strict_json_get(d, "segments", json_type_array);
                if (!s || parse_u64(id, HEADER_DIGESTS_MAX - 1, &n) < 0)
                        continue;
                if (json_object_array_length(s) == 0 &&
                    encryption_is_only(strict_json_get(d, "keyslots", json_type_array), f->keyslot))
                        f->digest = id;
                else if (names_segment(d, f->final_id))
                        f->new = id;
                else if (names_segment(d, f->previous_id)) {
                        f->old = id;
                        x->old_digest = (unsigned) n;
                }
        }
        return f->digest && f->new && f->old ? 0 : encryption_refuse(why, -EPERM, "its digests are not those of a change of its key");
}

static const struct json_object *digest(const struct json_object *metadata, const char *id) {
        return strict_json_get(strict_json_get(metadata, "digests", json_type_object), id, json_type_object);
}

static bool is_whole(const struct json_object *s, uint64_t *ret_offset) {
        uint64_t tweak;

        return encryption_text_is(s, "type", "crypt") && encryption_text_is(s, "encryption", ENCRYPTION_CIPHER) &&
               encryption_text_is(s, "size", "dynamic") && strict_json_u64(s, "iv_tweak", INT64_MAX, &tweak) >= 0 && tweak == 0 &&
               strict_json_u64(s, "offset", INT64_MAX, ret_offset) >= 0;
}

static bool same_sectors(const struct json_object *a, const struct json_object *b) {
        int64_t x, y;

        return strict_json_int(a, "sector_size", 4096, &x) >= 0 && strict_json_int(b, "sector_size", 4096, &y) >= 0 && x == y;
}

static int check_geometry(const struct encryption_found *f, uint64_t device_size, struct header_encryption *x, struct header_why *why) {
        uint64_t offset;

        if (f->moved || !is_whole(f->previous, &offset) || !is_whole(f->final, &x->shift) || offset != x->shift ||
            !same_sectors(f->previous, f->final))
                return encryption_refuse(why, -EPERM, "it is not a change of the volume key alone");
        if (x->shift % 4096 || x->shift >= device_size)
                return encryption_refuse(why, -EPERM, "its data would begin behind the end of the device");
        x->size = device_size - x->shift;
        return 0;
}

static bool is_part(const struct json_object *s, const struct encryption_found *f, const struct header_encryption *x, uint64_t at) {
        uint64_t offset, tweak;

        return encryption_text_is(s, "type", "crypt") && encryption_text_is(s, "encryption", ENCRYPTION_CIPHER) &&
               strict_json_u64(s, "offset", INT64_MAX, &offset) >= 0 && offset == x->shift + at &&
               strict_json_u64(s, "iv_tweak", INT64_MAX, &tweak) >= 0 && tweak == at / 512 && same_sectors(s, f->final);
}

/* Whose it is by the digests: done, half-way, or to be done. */
/* What reencryption_settle() takes out by their numbers. */
static bool are_numbers(const struct json_object *keyslots) {
        for (size_t i = 0; keyslots && i < json_object_array_length(keyslots); i++)
                if (!json_object_is_type(json_object_array_get_idx(keyslots, i), json_type_string))
                        return false;
        return keyslots;
}

enum part { DONE, HALF_WAY, OLD, NOBODYS };

static enum part find_part(const struct json_object *metadata, const struct encryption_found *f, unsigned i) {
        bool new = names_segment(digest(metadata, f->new), (int) i), old = names_segment(digest(metadata, f->old), (int) i);
        bool half_way = streq(encryption_flag(f->live[i]), "in-reencryption");

        if (half_way)
                return new && old ? HALF_WAY : NOBODYS;
        return new == old ? NOBODYS : new ? DONE : OLD;
}

/* What is done, then at most one part that is half-way, then what is not. */
static int walk(const struct json_object *metadata, const struct encryption_found *f, struct header_encryption *x,
                struct header_why *why) {
        enum part before = DONE;
        uint64_t at = 0, size;

        x->plain = 0;
        for (unsigned i = 0; i < f->n_live; i++) {
                enum part part = find_part(metadata, f, i);

                if (i + 1 == f->n_live && encryption_text_is(f->live[i], "size", "dynamic"))
                        size = x->size - at;
                else if (strict_json_u64(f->live[i], "size", INT64_MAX, &size) < 0 || size % 512)
                        size = 0;
                if (size == 0 || size > x->size - at || part == NOBODYS || !is_part(f->live[i], f, x, at) ||
                    (i > 0 && part <= before))
                        return encryption_refuse(why, -EPERM, "its segment %u is not one of a change of its key", i);
                before = part;
                if (part != DONE)
                        x->plain += size;
                at += size;
        }
        return at == x->size ? 0 : encryption_refuse(why, -EPERM, "its segments do not cover the volume");
}

static int check_keyslot(const struct encryption_found *f, struct header_why *why) {
        static const char *const members[] = { "type", "offset", "size", "hash", "sector_size", NULL };
        const struct json_object *area = strict_json_get(f->reencrypt, "area", json_type_object);

        return area && strict_json_only(area, members) && encryption_text_is(f->reencrypt, "direction", "forward") &&
               encryption_text_is(area, "type", "checksum") ? 0
               : encryption_refuse(why, -EPERM, "its volume key is being changed in a way that this node does not begin");
}

int reencryption_check(const struct json_object *metadata, uint64_t device_size, struct encryption_found *f, struct header_encryption *x,
                       struct header_why *why) {
        int r;

        r = check_geometry(f, device_size, x, why);
        if (r >= 0)
                r = find_digests(metadata, f, x, why);
        if (r >= 0 && !are_numbers(strict_json_get(digest(metadata, f->old), "keyslots", json_type_array)))
                r = encryption_refuse(why, -EPERM, "its old digest is not one of keyslots");
        if (r >= 0)
                r = walk(metadata, f, x, why);
        return r < 0 ? r : check_keyslot(f, why);
}

static void take_out(struct json_object *numbers, const char *text) {
        for (size_t i = 0; numbers && i < json_object_array_length(numbers); i++)
                if (streq(strempty(json_object_get_string(json_object_array_get_idx(numbers, i))), text))
                        json_object_array_del_idx(numbers, i--, 1);
}

static void forget_keyslot(struct json_object *tokens, const char *keyslot) {
        if (!tokens)
                return;
        json_object_object_foreach(tokens, number, token) {
                (void) number;
                take_out(strict_json_get(token, "keyslots", json_type_array), keyslot);
        }
}

/* The old key's keyslots go with it, and what tokens say of them. */
int reencryption_settle(struct json_object *copy, const struct encryption_found *f) {
        struct json_object *keyslots = json_object_object_get(copy, "keyslots"), *digests = json_object_object_get(copy, "digests");
        struct json_object *gone = strict_json_get(json_object_object_get(digests, f->old), "keyslots", json_type_array);
        struct json_object *tokens = strict_json_get(copy, "tokens", json_type_object), *list = json_object_new_array();

        if (!list || encryption_settle_segments(copy, f) < 0) {
                json_object_put(list);
                return -ENOMEM;
        }
        for (size_t i = 0; gone && i < json_object_array_length(gone); i++) {
                const char *id = json_object_get_string(json_object_array_get_idx(gone, i));

                forget_keyslot(tokens, id);
                json_object_object_del(keyslots, id);
        }
        json_object_object_del(digests, f->old);
        json_object_array_add(list, json_object_new_string("0"));
        json_object_object_add(json_object_object_get(digests, f->new), "segments", list);
        return 0;
}
