/* SPDX-License-Identifier: Apache-2.0 */
#include "trust-entry.h"

#include <inttypes.h>
#include <stdarg.h>

#include "base64.h"
#include "ini-reader.h"

static int read_name(struct trust_entry *e, struct trust_key *k _unused_, const char *value) {
        if (!volume_name_is_valid(value))
                return -EINVAL;
        strcpy(e->name, value);
        return 0;
}

static int read_role(struct trust_entry *e, struct trust_key *k _unused_, const char *value) {
        int role = role_from_string(value);

        if (role < 0)
                return role;
        e->role = (enum role) role;
        return 0;
}

static int read_key(struct trust_entry *e _unused_, struct trust_key *k, const char *value) {
        int r = key_uri_parse(value, &k->key, NULL);

        *k->key.version = 0;
        return r;
}

static int read_hex(uint8_t to[static DISK_DIGEST_SIZE], const char *value) {
        return strlen(value) == 2 * DISK_DIGEST_SIZE ? hex_decode(value, to, DISK_DIGEST_SIZE) : -EINVAL;
}

static int read_digest(struct trust_entry *e, struct trust_key *k _unused_, const char *value) {
        return read_hex(e->digest, value);
}

static int read_generation(struct trust_entry *e _unused_, struct trust_key *k, const char *value) {
        int r = parse_u64(value, INT64_MAX, &k->generation);

        return r < 0 || k->generation == 0 ? -EINVAL : 0;
}

static int read_public_key(struct trust_entry *e _unused_, struct trust_key *k, const char *value) {
        int r = base64_decode(value, strlen(value), k->spki, sizeof(k->spki), &k->spki_size);

        return r < 0 || k->spki_size == 0 ? -EINVAL : 0;
}

static int read_proof_time(struct trust_entry *e _unused_, struct trust_key *k, const char *value) {
        return parse_u64(value, INT64_MAX, &k->proof_time);
}

static bool is_printable(const char *s) {
        for (; *s; s++)
                if (*s < ' ' || *s > '~')
                        return false;
        return true;
}

static int read_text(char *to, size_t size, const char *value) {
        if (strlen(value) >= size || !is_printable(value))
                return -EINVAL;
        strcpy(to, value);
        return 0;
}

static int read_proof_request_id(struct trust_entry *e _unused_, struct trust_key *k, const char *value) {
        return read_text(k->proof_request_id, sizeof(k->proof_request_id), value);
}

static int read_serial(struct trust_entry *e, struct trust_key *k _unused_, const char *value) {
        return read_text(e->serial, sizeof(e->serial), value);
}

static int read_unencrypted(struct trust_entry *e, struct trust_key *k _unused_, const char *value) {
        int r = parse_u64(value, INT64_MAX, &e->unencrypted);

        return r < 0 || e->unencrypted == 0 ? -EINVAL : 0;
}

static int read_old_key(struct trust_entry *e, struct trust_key *k, const char *value) {
        e->rekeying = true;
        return read_unencrypted(e, k, value);
}

static int read_next_digest(struct trust_entry *e, struct trust_key *k _unused_, const char *value) {
        e->has_next = true;
        return read_hex(e->next_digest, value);
}

static int read_image(struct trust_entry *e, struct trust_key *k _unused_, const char *value) {
        if (!uuid_is_valid(value))
                return -EINVAL;
        strcpy(e->image, value);
        return 0;
}

static int read_image_digest(struct trust_entry *e, struct trust_key *k _unused_, const char *value) {
        return read_hex(e->image_digest, value);
}

static const struct field {
        const char *name;
        int (*read)(struct trust_entry *e, struct trust_key *k, const char *value);
        bool required, of_key;
        const char *allowed;
} fields[] = {
        { "Name", read_name, true, false, "the name of a volume" },
        { "Role", read_role, true, false, "data, os or scratch" },
        { "Key", read_key, true, true, "the identifier of a key" },
        { "Digest", read_digest, true, false, "64 hexadecimal digits" },
        { "Generation", read_generation, true, true, "a number from 1" },
        { "PublicKey", read_public_key, true, true, "base64 of a SubjectPublicKeyInfo, or of a canary" },
        { "ProofTime", read_proof_time, false, true, "seconds since 1970" },
        { "ProofRequestId", read_proof_request_id, false, true, "up to 128 printable characters" },
        { "Serial", read_serial, false, false, "up to 64 printable characters" },
        { "Unencrypted", read_unencrypted, false, false, "a number of bytes from 1" },
        { "OldKey", read_old_key, false, false, "a number of bytes from 1" },
        { "NextDigest", read_next_digest, false, false, "64 hexadecimal digits" },
        { "ImageDigest", read_image_digest, false, false, "64 hexadecimal digits" },
        { "Image", read_image, false, false, "a UUID" },
};

struct parser {
        struct trust_entry *entry;
        uint64_t seen;              /* a bit a field and key */
        char *why;
};

static int _printf_(2, 3) complain(char **why, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        if (!*why && vasprintf(why, format, ap) < 0)
                *why = NULL;
        va_end(ap);
        return -EINVAL;
}

static uint64_t bit_of(size_t field, unsigned n) {
        return UINT64_C(1) << (field * VOLUME_KEYS_MAX + n);
}

/* "Key" is of the first key, "Key2" of the second. Returns -1 for what is no field. */
static int find_field(const char *key, unsigned *ret_n) {
        for (size_t i = 0; i < ELEMENTSOF(fields); i++) {
                const char *rest = startswith(key, fields[i].name);

                if (!rest)
                        continue;
                *ret_n = 0;
                if (!*rest)
                        return (int) i;
                if (!fields[i].of_key || *rest < '2' || *rest >= '1' + (int) VOLUME_KEYS_MAX || rest[1])
                        continue;
                *ret_n = (unsigned) (*rest - '1');
                return (int) i;
        }
        return -1;
}

int trust_read_setting(struct trust_entry *e, uint64_t *seen, const char *key, const char *value, char **ret_why) {
        unsigned n = 0;
        int i = find_field(key, &n);

        if (i < 0)
                return complain(ret_why, "there is no %s=", key);
        if (*seen & bit_of((size_t) i, n))
                return complain(ret_why, "%s= is there twice", key);
        *seen |= bit_of((size_t) i, n);
        e->n_keys = MAX_OF(e->n_keys, n + 1);
        if (fields[i].read(e, e->keys + n, value) < 0)
                return complain(ret_why, "%s= is not %s", key, fields[i].allowed);
        return 0;
}

int trust_check_complete(const struct trust_entry *e, uint64_t seen, char **ret_why) {
        for (unsigned n = 0; n < MAX_OF(e->n_keys, 1u); n++)
                for (size_t i = 0; i < ELEMENTSOF(fields); i++) {
                        char number[12] = "";

                        if (!fields[i].required || (n > 0 && !fields[i].of_key) || seen & bit_of(i, n))
                                continue;
                        if (n > 0)
                                snprintf(number, sizeof(number), "%u", n + 1);
                        return complain(ret_why, "%s%s= is missing", fields[i].name, number);
                }
        for (unsigned n = 1; n < e->n_keys; n++)
                if (trust_find_key(e, &e->keys[n].key) != e->keys + n)
                        return complain(ret_why, "Key%u= is there already", n + 1);
        return 0;
}

static int read_field(void *user, const char *section, const char *key, const char *value) {
        struct parser *p = user;

        if (!streq(section, "Volume"))
                return complain(&p->why, "[%s] is no section of it", section);
        return trust_read_setting(p->entry, &p->seen, key, value, &p->why);
}

int trust_parse(const char *uuid, const char *text, size_t size, struct trust_entry *ret, char **ret_why) {
        _cleanup_(freep) struct trust_entry *e = calloc(1, sizeof(*e));
        _cleanup_(freep) char *copy = malloc(size + 1);
        struct parser p = { .entry = e };
        unsigned line = 0;
        int r = 0;

        if (!e || !copy)
                return -ENOMEM;
        memcpy(copy, text, size);
        copy[size] = 0;
        if (!uuid_is_valid(uuid))
                r = complain(&p.why, "its name is not a UUID");
        else
                strcpy(e->uuid, uuid);
        if (r >= 0) {
                r = ini_read(copy, size, read_field, &p, &line);
                if (r < 0)
                        complain(&p.why, "line %u is neither [Volume], nor Key=value, nor a comment", line);
        }
        if (r >= 0)
                r = trust_check_complete(e, p.seen, &p.why);
        if (r < 0) {
                if (ret_why)
                        *ret_why = TAKE_PTR(p.why);
                free(p.why);
                return r;
        }
        *ret = *e;
        return 0;
}

static bool key_is_valid(const struct trust_key *k) {
        return *k->key.host && *k->key.name && k->generation > 0 && k->generation <= INT64_MAX &&
               k->proof_time <= INT64_MAX && k->spki_size > 0 && k->spki_size <= sizeof(k->spki) &&
               is_printable(k->proof_request_id);
}

bool trust_entry_is_valid(const struct trust_entry *e) {
        if (!uuid_is_valid(e->uuid) || !volume_name_is_valid(e->name) || (unsigned) e->role >= _ROLE_MAX ||
            !is_printable(e->serial) || e->n_keys == 0 || e->n_keys > VOLUME_KEYS_MAX)
                return false;
        for (unsigned n = 0; n < e->n_keys; n++)
                if (!key_is_valid(e->keys + n) || trust_find_key(e, &e->keys[n].key) != e->keys + n)
                        return false;
        return true;
}

static char *print_key(const struct trust_key *k, unsigned n) {
        char spki[BASE64_SIZE(DISK_SPKI_MAX) + 1], uri[KEY_URI_MAX], number[12] = "";
        struct key_uri key = k->key;
        char *text;

        *key.version = 0;
        key_uri_format(&key, uri, sizeof(uri));
        base64_encode(k->spki, k->spki_size, spki);
        if (n > 0)
                snprintf(number, sizeof(number), "%u", n + 1);
        return asprintf(&text, "Key%s=%s\nGeneration%s=%" PRIu64 "\nPublicKey%s=%s\nProofTime%s=%" PRIu64 "\n"
                        "ProofRequestId%s=%s\n", number, uri, number, k->generation, number, spki, number, k->proof_time,
                        number, k->proof_request_id) < 0 ? NULL : text;
}

/* What is under way, and where it is from. */
static char *print_encryption(const struct trust_entry *e) {
        char left[64] = "", digest[2 * DISK_DIGEST_SIZE + 1], next[sizeof(digest) + 16] = "", image[sizeof(digest) + 64] = "", *text;

        if (e->unencrypted > 0)
                snprintf(left, sizeof(left), "%s=%" PRIu64 "\n", e->rekeying ? "OldKey" : "Unencrypted", e->unencrypted);
        if (e->has_next) {
                hex_encode(e->next_digest, sizeof(e->next_digest), digest);
                snprintf(next, sizeof(next), "NextDigest=%s\n", digest);
        }
        hex_encode(e->image_digest, sizeof(e->image_digest), digest);
        if (*e->image)
                snprintf(image, sizeof(image), "Image=%s\nImageDigest=%s\n", e->image, digest);
        return asprintf(&text, "%s%s%s", left, next, image) < 0 ? NULL : text;
}

int trust_print(const struct trust_entry *e, char **ret) {
        char digest[2 * DISK_DIGEST_SIZE + 1];
        _cleanup_(freep) char *text = NULL, *encryption = NULL;

        if (!trust_entry_is_valid(e))
                return -EINVAL;
        hex_encode(e->digest, sizeof(e->digest), digest);
        encryption = print_encryption(e);
        if (!encryption || asprintf(&text, "[Volume]\nName=%s\nRole=%s\nDigest=%s\nSerial=%s\n%s", e->name, role_to_string(e->role), digest,
                                    e->serial, encryption) < 0) {
                text = NULL;
                return -ENOMEM;
        }
        for (unsigned n = 0; n < e->n_keys; n++) {
                _cleanup_(freep) char *before = TAKE_PTR(text), *key = print_key(e->keys + n, n);

                if (!key || asprintf(&text, "%s%s", before, key) < 0) {
                        text = NULL;
                        return -ENOMEM;
                }
        }
        *ret = TAKE_PTR(text);
        return 0;
}

const struct trust_key *trust_find_key(const struct trust_entry *e, const struct key_uri *key) {
        for (unsigned n = 0; n < e->n_keys; n++)
                if (key_uri_same_key(&e->keys[n].key, key))
                        return e->keys + n;
        return NULL;
}

enum trust_origin trust_origin(const struct trust_entry *e) {
        if (!*e->image)
                return ORIGIN_OWN;
        if (e->rekeying)
                return ORIGIN_CHANGING;
        return memcmp(e->digest, e->image_digest, sizeof(e->digest)) == 0 ? ORIGIN_IMAGE : ORIGIN_CHANGED;
}
