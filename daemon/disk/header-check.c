/* SPDX-License-Identifier: Apache-2.0 */
#include "header-check.h"
#include "activation.h"
#include "recovery-text.h"

#include <endian.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdarg.h>

#define CIPHER "aes-xts-plain64"

static int refuse(struct header_why *why, int error, const char *format, ...) _printf_(3, 4);
static int refuse(struct header_why *why, int error, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(why->text, sizeof(why->text), format, ap);
        va_end(ap);
        return error;
}

int header_copy_size(const uint8_t *p, bool secondary, uint64_t *ret_size) {
        struct luks2_binary b;
        uint64_t size;

        memcpy(&b, p, sizeof(b));
        if (memcmp(b.magic, secondary ? "SKUL\xba\xbe" : "LUKS\xba\xbe", sizeof(b.magic)) != 0 ||
            be16toh(b.version) != 2)
                return -ENODATA;
        size = be64toh(b.header_size);
        if (size < HEADER_SIZE_MIN || size > HEADER_SIZE_MAX || (size & (size - 1)) != 0)
                return -EBADMSG;
        *ret_size = size;
        return 0;
}

static bool checksum_holds(const uint8_t *p, size_t size, const struct luks2_binary *b) {
        static const uint8_t zeros[sizeof(b->checksum)];
        const size_t at = offsetof(struct luks2_binary, checksum);
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        uint8_t digest[32];
        bool ok;

        ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) && EVP_DigestUpdate(ctx, p, at) &&
             EVP_DigestUpdate(ctx, zeros, sizeof(zeros)) &&
             EVP_DigestUpdate(ctx, p + at + sizeof(zeros), size - at - sizeof(zeros)) &&
             EVP_DigestFinal_ex(ctx, digest, NULL);
        EVP_MD_CTX_free(ctx);
        return ok && memcmp(digest, b->checksum, sizeof(digest)) == 0 &&
               memcmp(b->checksum + sizeof(digest), zeros, sizeof(zeros) - sizeof(digest)) == 0;
}

int header_copy_check(const uint8_t *p, size_t size, uint64_t offset, struct header_copy *ret, struct header_why *why) {
        struct header_copy copy = {};
        struct luks2_binary b;
        int r;

        if (size < HEADER_SIZE_MIN)
                return refuse(why, -ENODATA, "there is no LUKS2 header");
        r = header_copy_size(p, offset != 0, &copy.header_size);
        if (r < 0)
                return refuse(why, r, r == -ENODATA ? "there is no LUKS2 header" : "its size is impossible");
        memcpy(&b, p, sizeof(b));
        if (copy.header_size != size || be64toh(b.header_offset) != offset || (offset != 0 && offset != size))
                return refuse(why, -EBADMSG, "its size or offset is not where it stands");
        if (strncmp(b.checksum_alg, "sha256", sizeof(b.checksum_alg)) != 0)
                return refuse(why, -EBADMSG, "its checksum is not SHA-256");
        if (!checksum_holds(p, size, &b))
                return refuse(why, -EBADMSG, "its checksum does not match");
        if (memchr(b.uuid, 0, sizeof(copy.uuid)) != b.uuid + 36)
                return refuse(why, -EBADMSG, "its UUID is not one");
        memcpy(copy.uuid, b.uuid, sizeof(copy.uuid));
        if (!uuid_is_valid(copy.uuid))
                return refuse(why, -EBADMSG, "its UUID is not one");
        copy.seqid = be64toh(b.seqid);
        *ret = copy;
        return 0;
}

int header_json_parse(const uint8_t *p, size_t size, struct json_object **ret, struct header_why *why) {
        const char *text = (const char *) p + HEADER_BINARY_SIZE, *reason;
        size_t area, n;
        int r;

        if (size < HEADER_SIZE_MIN)
                return refuse(why, -EBADMSG, "it is too short");
        area = size - HEADER_BINARY_SIZE;
        n = strnlen(text, area);
        for (size_t i = n; i < area; i++)
                if (text[i])
                        return refuse(why, -EBADMSG, "something follows its metadata");
        if (n == area)
                return refuse(why, -EBADMSG, "its metadata has no end");
        r = strict_json_parse(text, n, ret, &reason);
        return r < 0 ? refuse(why, r, "its metadata cannot be read: %s", reason) : 0;
}

static int read_token(const struct json_object *value, const char *id, struct header_layout *l, struct header_why *why) {
        struct header_wrap *w = l->wraps + l->n_wraps;
        const char *text, *reason;
        uint64_t n = 0;
        size_t size;
        int r;

        if (l->n_wraps == DISK_WRAPS_MAX)
                return refuse(why, -EFBIG, "it has more than %u tokens of type " TOKEN_TYPE, DISK_WRAPS_MAX);
        if (parse_u64(id, HEADER_TOKENS_MAX - 1, &n) < 0)
                return refuse(why, -EFBIG, "its token has a number beyond %u", HEADER_TOKENS_MAX - 1);
        text = json_object_to_json_string_length((struct json_object *) value,
                                                 JSON_C_TO_STRING_PLAIN|JSON_C_TO_STRING_NOSLASHESCAPE, &size);
        if (!text)
                return refuse(why, -ENOMEM, "there is no memory");
        r = token_parse(text, size, &w->token, &reason);
        if (r < 0)
                return refuse(why, r, "its token of type " TOKEN_TYPE " is not usable: %s", reason);
        w->token_id = (int) n;
        l->n_wraps++;
        return 0;
}

static int compare_wraps(const void *a, const void *b) {
        return ((const struct header_wrap *) a)->token_id - ((const struct header_wrap *) b)->token_id;
}

/* Tokens of one volume that could be meant together. Whether they are, the manifest says. */
static int check_tokens(const struct header_layout *l, const struct header_copy *copy, struct header_why *why) {
        const struct token *first = &l->wraps[0].token;

        for (unsigned i = 0; i < l->n_wraps; i++) {
                const struct token *t = &l->wraps[i].token;
                struct key_uri a, b;

                if (!streq(t->uuid, copy->uuid))
                        return refuse(why, -EPERM, "its token is of another volume (UUID %s)", t->uuid);
                if (!streq(t->name, first->name) || t->role != first->role)
                        return refuse(why, -EPERM, "its tokens of type " TOKEN_TYPE " have different names or roles");
                for (unsigned k = 0; k < i; k++) {
                        const struct token *other = &l->wraps[k].token;

                        if (other->keyslot == t->keyslot)
                                return refuse(why, -EPERM, "two tokens of type " TOKEN_TYPE " name keyslot %d", t->keyslot);
                        if (key_uri_parse(t->key, &a, NULL) >= 0 && key_uri_parse(other->key, &b, NULL) >= 0 &&
                            key_uri_same_key(&a, &b) && (streq(a.version, b.version) || t->generation == other->generation))
                                return refuse(why, -EPERM, "two tokens of type " TOKEN_TYPE " name one key");
                }
        }
        return 0;
}

static int find_tokens(const struct json_object *metadata, const struct header_copy *copy, bool plain, struct header_layout *l,
                       struct header_why *why) {
        const struct json_object *tokens = strict_json_get(metadata, "tokens", json_type_object);
        int r;

        if (!tokens)
                return refuse(why, -EBADMSG, "its metadata has no tokens");
        json_object_object_foreach((struct json_object *) tokens, id, value) {
                const char *type = strict_json_string(value, "type");

                if (!type || !streq(type, TOKEN_TYPE))
                        continue;
                r = read_token(value, id, l, why);
                if (r < 0)
                        return r;
        }
        if (l->n_wraps == 0 && !plain)
                return refuse(why, -ENOENT, "it has no token of type " TOKEN_TYPE);
        if (json_object_object_length(tokens) > (int) HEADER_TOKENS_MAX)
                return refuse(why, -EFBIG, "it has more than %u tokens", HEADER_TOKENS_MAX);
        qsort(l->wraps, l->n_wraps, sizeof(*l->wraps), compare_wraps);
        return check_tokens(l, copy, why);
}

static bool is_our_keyslot(const struct header_layout *l, int keyslot) {
        for (unsigned i = 0; i < l->n_wraps; i++)
                if (l->wraps[i].token.keyslot == keyslot)
                        return true;
        return false;
}

/* Persistent activation flags: they change the table. */
static int check_flags(const struct json_object *config, struct header_layout *l, struct header_why *why) {
        struct json_object *flags;
        const char *name;
        int r;

        if (!json_object_object_get_ex(config, "flags", &flags))
                return 0;
        r = activation_parse(flags, &l->activation, &name);
        if (r == -EBADMSG)
                return refuse(why, r, "its activation flags are not a list of different names");
        if (r == -EPERM)
                return refuse(why, r, "it asks for the activation flag %s, with which a crash leaves sectors whose integrity tags are of others", name);
        return r < 0 ? refuse(why, r, "it asks for the activation flag %.40s, which is not known here", name) : 0;
}

static int check_config(const struct json_object *metadata, const struct header_copy *copy, struct header_layout *l,
                        struct header_why *why) {
        static const char *const members[] = { "json_size", "keyslots_size", "flags", "requirements", NULL };
        static const char *const groups[] = { "mandatory", NULL };
        const struct json_object *config = strict_json_get(metadata, "config", json_type_object), *q, *a;
        uint64_t size;
        int r;

        if (!config || !strict_json_only(config, members))
                return refuse(why, -EBADMSG, "its configuration is missing or has members that are not known");
        if (strict_json_u64(config, "json_size", UINT64_MAX, &size) < 0 ||
            size != copy->header_size - HEADER_BINARY_SIZE)
                return refuse(why, -EBADMSG, "its metadata's size is not the header's");
        if (strict_json_u64(config, "keyslots_size", UINT64_MAX, &l->keyslots_size) < 0 || l->keyslots_size % 4096)
                return refuse(why, -EBADMSG, "its keyslots' size is impossible");
        if (l->keyslots_size > HEADER_KEYSLOTS_SIZE_MAX)
                return refuse(why, -EFBIG, "its keyslot areas are larger than %u MiB", HEADER_KEYSLOTS_SIZE_MAX >> 20);
        r = check_flags(config, l, why);
        if (r < 0)
                return r;
        if (!json_object_object_get_ex(config, "requirements", NULL))
                return 0;
        q = strict_json_get(config, "requirements", json_type_object);
        if (!q || !strict_json_only(q, groups))
                return refuse(why, -EPROTONOSUPPORT, "it has requirements that are not known");
        a = strict_json_get(q, "mandatory", json_type_array);
        if (!a || json_object_array_length(a) > 0)
                return refuse(why, -EPERM, "it has requirements (%.60s): a reencryption under way, or a newer format",
                              a ? json_object_to_json_string((struct json_object *) a) : "unreadable");
        return 0;
}

/* Of the kinds that there are those of our cipher, whose tags have a key: encrypted, then HMAC. */
static int check_integrity(const struct json_object *segment, struct header_layout *l, struct header_why *why) {
        static const char *const members[] = { "type", "journal_encryption", "journal_integrity", NULL };
        const struct json_object *i;
        const char *type, *encryption, *integrity;

        if (!json_object_object_get_ex(segment, "integrity", NULL))
                return 0;
        i = strict_json_get(segment, "integrity", json_type_object);
        type = strict_json_string(i, "type");
        encryption = strict_json_string(i, "journal_encryption");
        integrity = strict_json_string(i, "journal_integrity");
        if (!type || !encryption || !integrity)
                return refuse(why, -EBADMSG, "its integrity tags are not described");
        l->integrity = activation_from_integrity(type);
        if (l->integrity == 0)
                return refuse(why, -EPERM, "its integrity tags are of type %.30s: cmkd opens hmac(sha256) and hmac(sha512)", type);
        if (!strict_json_only(i, members) || !streq(encryption, "none") || !streq(integrity, "none"))
                return refuse(why, -EPERM, "the journal of its integrity tags has a key of its own, or something that is not known");
        if (l->activation & ACTIVATION_DISCARDS)
                return refuse(why, -EPERM, "it asks for discards, and has integrity tags, under which there are none");
        return 0;
}

static int check_segment(const struct json_object *metadata, const struct header_copy *copy, uint64_t device_size,
                         struct header_layout *l, struct header_why *why) {
        static const char *const members[] = {
                "type", "offset", "size", "iv_tweak", "encryption", "sector_size", "integrity", NULL,
        };
        const struct json_object *segments = strict_json_get(metadata, "segments", json_type_object), *s;
        const char *type, *cipher, *size;
        uint64_t tweak;
        int64_t sector;

        if (!segments || json_object_object_length(segments) != 1)
                return refuse(why, segments ? -EPERM : -EBADMSG, "it has not exactly one segment");
        s = strict_json_get(segments, "0", json_type_object);
        type = strict_json_string(s, "type");
        if (!type || !streq(type, "crypt"))
                return refuse(why, -EPERM, "its segment is not of type crypt");
        cipher = strict_json_string(s, "encryption");
        if (!cipher || !streq(cipher, CIPHER))
                return refuse(why, -EPERM, "its segment is encrypted with %.40s, not with " CIPHER, strempty(cipher));
        if (!strict_json_only(s, members))
                return refuse(why, -EPERM, "its segment has members that are not known");
        size = strict_json_string(s, "size");
        if (!size || !streq(size, "dynamic") || strict_json_u64(s, "iv_tweak", UINT64_MAX, &tweak) < 0 || tweak != 0)
                return refuse(why, -EPERM, "its segment does not cover the device, or has another start of its tweak");
        if (strict_json_int(s, "sector_size", 4096, &sector) < 0 || (sector != 512 && sector != 4096))
                return refuse(why, -EPERM, "its sectors have neither 512 nor 4096 bytes");
        if (strict_json_u64(s, "offset", INT64_MAX, &l->data_offset) < 0 || l->data_offset % 4096 ||
            l->data_offset < 2 * copy->header_size + l->keyslots_size)
                return refuse(why, -EBADMSG, "its data would begin inside of the header");
        if (l->data_offset >= device_size || device_size - l->data_offset < (uint64_t) sector)
                return refuse(why, -EBADMSG, "its data would begin behind the end of the device");
        l->sector_size = (unsigned) sector;
        return check_integrity(s, l, why);
}

static int check_kdf(const struct json_object *slot, const char *id, bool ours, struct header_why *why) {
        const struct json_object *kdf = strict_json_get(slot, "kdf", json_type_object);
        const char *type = strict_json_string(kdf, "type");
        int64_t n;

        if (type && streq(type, "pbkdf2")) {
                if (strict_json_int(kdf, "iterations", ours ? HEADER_ITERATIONS_MAX : INT32_MAX, &n) < 0 || n < 1000)
                        return refuse(why, -EBADMSG, "keyslot %.4s has an impossible number of iterations", id);
                return 0;
        }
        if (!type || (!streq(type, "argon2i") && !streq(type, "argon2id")))
                return refuse(why, -EPERM, "keyslot %.4s has a derivation that is not known", id);
        if (ours)
                return refuse(why, -EPERM, "keyslot %.4s, which the token names, is not one of cmkd (%s)", id, type);
        return 0;
}

static int check_area(const struct json_object *slot, const char *id, uint64_t n, const struct header_copy *copy,
                      struct header_layout *l, struct header_why *why) {
        const struct json_object *area = strict_json_get(slot, "area", json_type_object);
        const char *type = strict_json_string(area, "type"), *cipher = strict_json_string(area, "encryption");
        uint64_t start = 2 * copy->header_size, offset, size;
        int64_t key_size;

        if (!type || !streq(type, "raw"))
                return refuse(why, -EPERM, "keyslot %.4s has an area of a kind that is not known", id);
        if (!cipher || !streq(cipher, CIPHER) || strict_json_int(area, "key_size", 64, &key_size) < 0 ||
            (key_size != 32 && key_size != 64))
                return refuse(why, -EPERM, "keyslot %.4s is encrypted with %.40s, not with " CIPHER, id,
                              strempty(cipher));
        if (strict_json_u64(area, "offset", INT64_MAX, &offset) < 0 ||
            strict_json_u64(area, "size", INT64_MAX, &size) < 0 ||
            offset % 4096 || size % 4096 || size == 0 || offset < start || size > l->keyslots_size ||
            offset - start > l->keyslots_size - size)
                return refuse(why, -EBADMSG, "keyslot %.4s lies outside of the keyslot areas", id);
        for (size_t i = 0; i < HEADER_KEYSLOTS_MAX; i++)
                if (l->areas[i].used && offset < l->areas[i].offset + l->areas[i].size &&
                    l->areas[i].offset < offset + size)
                        return refuse(why, -EBADMSG, "keyslot %.4s lies on top of another", id);
        l->areas[n].offset = offset;
        l->areas[n].size = size;
        l->areas[n].used = true;
        return 0;
}

static int check_keyslot(const struct json_object *slot, const char *id, const struct header_copy *copy,
                         struct header_layout *l, struct header_why *why) {
        static const char *const members[] = { "type", "key_size", "priority", "af", "area", "kdf", NULL };
        const struct json_object *af = strict_json_get(slot, "af", json_type_object);
        const char *type = strict_json_string(slot, "type"), *split = strict_json_string(af, "type");
        int64_t key_size, stripes;
        uint64_t n;
        int r;

        if ((id[0] == '0' && id[1]) || parse_u64(id, HEADER_KEYSLOTS_MAX - 1, &n) < 0)
                return refuse(why, -EBADMSG, "a keyslot's number is not one");
        if (!type || !streq(type, "luks2"))
                return refuse(why, -EPERM, "keyslot %.4s is of type %.20s: a reencryption under way?", id,
                              strempty(type));
        if (!strict_json_only(slot, members))
                return refuse(why, -EPERM, "keyslot %.4s has members that are not known", id);
        if (strict_json_int(slot, "key_size", 128, &key_size) < 0 || key_size != 64 + (int64_t) activation_tag_size(l->integrity))
                return refuse(why, -EPERM, "keyslot %.4s does not hold a 512-bit key%s", id, l->integrity ? " and that of the tags" : "");
        if (!split || !streq(split, "luks1") || strict_json_int(af, "stripes", 4000, &stripes) < 0 || stripes != 4000)
                return refuse(why, -EPERM, "keyslot %.4s is split in a way that is not known", id);
        r = check_kdf(slot, id, is_our_keyslot(l, (int) n), why);
        return r < 0 ? r : check_area(slot, id, n, copy, l, why);
}

static bool array_names(const struct json_object *a, const char *id) {
        for (size_t i = 0; i < json_object_array_length(a); i++) {
                struct json_object *e = json_object_array_get_idx(a, i);

                if (json_object_is_type(e, json_type_string) && streq(json_object_get_string(e), id))
                        return true;
        }
        return false;
}

/* The only digest there is. */
static const struct json_object *find_digest(const struct json_object *digests, unsigned *ret_number) {
        const struct json_object *found = NULL;
        uint64_t n;

        if (!digests || json_object_object_length(digests) != 1)
                return NULL;
        json_object_object_foreach((struct json_object *) digests, id, d)
                if (id[0] && !id[1] && parse_u64(id, HEADER_DIGESTS_MAX - 1, &n) >= 0 && json_object_is_type(d, json_type_object)) {
                        *ret_number = (unsigned) n;
                        found = d;
                }
        return found;
}

static int check_digest(const struct json_object *metadata, const struct json_object *keyslots, struct header_layout *l,
                        struct header_why *why) {
        const struct json_object *digests = strict_json_get(metadata, "digests", json_type_object), *d, *k, *s;
        const char *type;
        int64_t n;

        d = find_digest(digests, &l->digest);
        if (!d)
                return refuse(why, digests ? -EPERM : -EBADMSG, "it has not exactly one digest of a volume key");
        type = strict_json_string(d, "type");
        if (!type || !streq(type, "pbkdf2") ||
            strict_json_int(d, "iterations", HEADER_ITERATIONS_MAX, &n) < 0 || n < 1000)
                return refuse(why, -EPERM, "its digest is not a PBKDF2 of bounded cost");
        k = strict_json_get(d, "keyslots", json_type_array);
        s = strict_json_get(d, "segments", json_type_array);
        if (!k || !s || json_object_array_length(s) != 1 || !array_names(s, "0"))
                return refuse(why, -EBADMSG, "its digest is not of the segment");
        if ((int) json_object_array_length(k) != json_object_object_length(keyslots))
                return refuse(why, -EPERM, "its digest is not of all keyslots");
        json_object_object_foreach((struct json_object *) keyslots, name, value) {
                (void) value;
                if (!array_names(k, name))
                        return refuse(why, -EPERM, "its digest is not of keyslot %.4s", name);
        }
        return 0;
}

/* One that names no keyslot of its own is not the token of a recovery key: the manifest says whether it may be there. */
static void find_recovery(const struct json_object *metadata, struct header_layout *l) {
        l->recovery_token_id = l->recovery_keyslot = -1;
        json_object_object_foreach(strict_json_get(metadata, "tokens", json_type_object), id, token) {
                const char *type = strict_json_string(token, "type"), *s;
                const struct json_object *a = strict_json_get(token, "keyslots", json_type_array), *e;
                uint64_t n, slot;

                if (!type || !streq(type, RECOVERY_TOKEN_TYPE) || !a || json_object_array_length(a) != 1 ||
                    parse_u64(id, HEADER_TOKENS_MAX - 1, &n) < 0)
                        continue;
                e = json_object_array_get_idx(a, 0);
                s = json_object_is_type(e, json_type_string) ? json_object_get_string((struct json_object *) e) : "";
                if (parse_u64(s, HEADER_KEYSLOTS_MAX - 1, &slot) < 0 || !l->areas[slot].used ||
                    is_our_keyslot(l, (int) slot))
                        continue;
                l->recovery_token_id = (int) n;
                l->recovery_keyslot = (int) slot;
                return;
        }
}

static int check_metadata(const struct json_object *metadata, const struct header_copy *copy, uint64_t device_size, bool plain,
                          struct header_layout *ret, struct header_why *why) {
        static const char *const members[] = { "keyslots", "tokens", "segments", "digests", "config", NULL };
        const struct json_object *keyslots;
        struct header_layout l = {};
        int r;

        r = find_tokens(metadata, copy, plain, &l, why);
        if (r < 0)
                return r;
        if (!strict_json_only(metadata, members))
                return refuse(why, -EPERM, "its metadata has members that are not known");
        r = check_config(metadata, copy, &l, why);
        if (r < 0)
                return r;
        r = check_segment(metadata, copy, device_size, &l, why);
        if (r < 0)
                return r;
        keyslots = strict_json_get(metadata, "keyslots", json_type_object);
        if (!keyslots)
                return refuse(why, -EBADMSG, "its metadata has no keyslots");
        if (json_object_object_length(keyslots) > (int) HEADER_KEYSLOTS_MAX)
                return refuse(why, -EFBIG, "it has more than %u keyslots", HEADER_KEYSLOTS_MAX);
        json_object_object_foreach((struct json_object *) keyslots, id, slot) {
                r = check_keyslot(slot, id, copy, &l, why);
                if (r < 0)
                        return r;
        }
        for (unsigned i = 0; i < l.n_wraps; i++)
                if (!l.areas[l.wraps[i].token.keyslot].used)
                        return refuse(why, -EBADMSG, "the keyslot that its token names is not there");
        r = check_digest(metadata, keyslots, &l, why);
        if (r < 0)
                return r;
        find_recovery(metadata, &l);
        *ret = l;
        return 0;
}

int header_metadata_check(const struct json_object *metadata, const struct header_copy *copy, uint64_t device_size,
                          struct header_layout *ret, struct header_why *why) {
        return check_metadata(metadata, copy, device_size, false, ret, why);
}

int header_metadata_check_plain(const struct json_object *metadata, const struct header_copy *copy, uint64_t device_size,
                                struct header_layout *ret, struct header_why *why) {
        return check_metadata(metadata, copy, device_size, true, ret, why);
}

const struct header_wrap *header_find_wrap(const struct header_layout *l, const char *key) {
        for (unsigned i = 0; i < l->n_wraps; i++)
                if (!*key || streq(l->wraps[i].token.key, key))
                        return l->wraps + i;
        return NULL;
}

const struct header_wrap *header_find_same_key(const struct header_layout *l, const struct key_uri *key) {
        for (unsigned i = 0; i < l->n_wraps; i++) {
                struct key_uri u;

                if (key_uri_parse(l->wraps[i].token.key, &u, NULL) >= 0 && key_uri_same_key(&u, key))
                        return l->wraps + i;
        }
        return NULL;
}
