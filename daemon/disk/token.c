/* SPDX-License-Identifier: Apache-2.0 */
#include "token.h"

#include "common/algorithm.h"
#include "common/base64.h"
#include "common/key-uri.h"
#include "strict-json.h"
#include "unlock-key.h"

#include <inttypes.h>

static const char *const members[] = {
        "type", "keyslots", "version", "uuid", "name", "role", "generation", "key", "algorithm", "store", "wrapped",
        "salt", "public_key", "proof", "manifest", NULL,
};
static const char *const members_symmetric[] = {
        "type", "keyslots", "version", "uuid", "name", "role", "generation", "key", "algorithm", "store", "wrapped",
        "salt", "canary", "proof", "manifest", NULL,
};
static const char *const members_stored[] = {
        "type", "keyslots", "version", "uuid", "name", "role", "generation", "key", "algorithm", "store", "wrapped_sha256",
        "salt", "public_key", "proof", "manifest", NULL,
};
/* By version, from 1. */
static const struct { const char *const *members; const char *why; } versions[] = {
        { members, "a member that version 1 does not have" },
        { members_symmetric, "a member that version 2 does not have" },
        { members_stored, "a member that version 3 does not have" },
};
static const char *const proof_members[] = { "time", "request_id", NULL };
static const char *const manifest_members[] = { "version", "mac", NULL };

static int get_bytes(const struct json_object *o, const char *name, uint8_t *buf, size_t max, size_t *ret_size) {
        const char *s = strict_json_string(o, name);

        if (!s || base64_decode(s, strlen(s), buf, max, ret_size) < 0)
                return -EBADMSG;
        return 0;
}

static int get_exact(const struct json_object *o, const char *name, uint8_t *buf, size_t size) {
        size_t n;

        return get_bytes(o, name, buf, size, &n) < 0 || n != size ? -EBADMSG : 0;
}

static int get_text(const struct json_object *o, const char *name, char *buf, size_t size) {
        const char *s = strict_json_string(o, name);

        if (!s || strlen(s) >= size)
                return -EBADMSG;
        for (const char *p = s; *p; p++)
                if ((unsigned char) *p < ' ' || (unsigned char) *p >= 127)
                        return -EBADMSG;
        strcpy(buf, s);
        return 0;
}

static int check_version(const struct json_object *o, int64_t *ret, const char **why) {
        const char *type = strict_json_string(o, "type");
        int64_t version;

        *why = "not a token of type cmkd";
        if (!type || !streq(type, TOKEN_TYPE))
                return -EBADMSG;
        *why = "its version is not a number";
        if (strict_json_int(o, "version", INT32_MAX, &version) < 0 || version == 0)
                return -EBADMSG;
        *why = "made by a newer cmkd";
        *ret = version;
        return version > TOKEN_VERSION_STORED ? -EPROTONOSUPPORT : 0;
}

static int parse_identity(const struct json_object *o, struct token *t, const char **why) {
        const char *s;
        int role;

        *why = "uuid is not a UUID";
        if (get_text(o, "uuid", t->uuid, sizeof(t->uuid)) < 0 || !uuid_is_valid(t->uuid))
                return -EBADMSG;
        *why = "name is not a volume's name";
        if (get_text(o, "name", t->name, sizeof(t->name)) < 0 || !volume_name_is_valid(t->name))
                return -EBADMSG;
        *why = "role is not one";
        s = strict_json_string(o, "role");
        role = s ? role_from_string(s) : -EINVAL;
        if (role < 0)
                return -EBADMSG;
        t->role = (enum role) role;
        *why = "generation is not a number from 1";
        return strict_json_u64(o, "generation", UINT64_MAX, &t->generation) < 0 || t->generation == 0 ? -EBADMSG : 0;
}

static int parse_keyslots(const struct json_object *o, struct token *t, const char **why) {
        const struct json_object *a = strict_json_get(o, "keyslots", json_type_array), *e;
        const char *s;
        uint64_t n;

        *why = "it does not name exactly one keyslot";
        if (!a || json_object_array_length(a) != 1)
                return -EBADMSG;
        e = json_object_array_get_idx(a, 0);
        s = json_object_is_type(e, json_type_string) ? json_object_get_string((struct json_object *) e) : NULL;
        if (!s || (s[0] == '0' && s[1]) || parse_u64(s, TOKEN_KEYSLOTS_MAX - 1, &n) < 0)
                return -EBADMSG;
        t->keyslot = (int) n;
        return 0;
}

static int parse_key(const struct json_object *o, struct token *t, const char **why) {
        struct key_uri uri;

        *why = "key is not the identifier of a key";
        if (get_text(o, "key", t->key, sizeof(t->key)) < 0 || key_uri_parse(t->key, &uri, NULL) < 0)
                return -EBADMSG;
        *why = "key names no version";
        if (!uri.version[0])
                return -EBADMSG;
        key_uri_format(&uri, t->key, sizeof(t->key));
        *why = "algorithm is none of its version";
        if (get_text(o, "algorithm", t->algorithm, sizeof(t->algorithm)) < 0)
                return -EBADMSG;
        if (strict_json_get(o, "canary", json_type_string) ? !algorithm_is_symmetric(t->algorithm) : !algorithm_is_rsa(t->algorithm))
                return -EBADMSG;
        return 0;
}

/* What is pinned, and how long W is that it wrapped; or -EBADMSG. */
static int parse_pinned(const struct json_object *o, struct token *t, const char **why) {
        if (algorithm_is_symmetric(t->algorithm)) {
                *why = "canary is not one";
                if (get_bytes(o, "canary", t->spki, sizeof(t->spki), &t->spki_size) < 0 ||
                    !canary_is_valid(t->algorithm, t->spki, t->spki_size))
                        return -EBADMSG;
                return DISK_W_SIZE + (int) algorithm_overhead(t->algorithm);
        }
        *why = "public_key is not base64 of a bounded length";
        if (get_bytes(o, "public_key", t->spki, sizeof(t->spki), &t->spki_size) < 0)
                return -EBADMSG;
        return public_key_check(t->spki, t->spki_size, why);
}

static int parse_wrapped(const struct json_object *o, struct token *t, const char **why) {
        const char *store = strict_json_string(o, "store");
        int block;

        *why = "store is not that of its version";
        if (!store || !streq(store, t->stored ? "vault" : "token"))
                return -EBADMSG;
        block = parse_pinned(o, t, why);
        if (block < 0)
                return -EBADMSG;
        *why = t->stored ? "wrapped_sha256 is not base64 of 32 bytes" : "wrapped is not as long as the key makes it";
        if (get_bytes(o, t->stored ? "wrapped_sha256" : "wrapped", t->wrapped, sizeof(t->wrapped), &t->wrapped_size) < 0 ||
            t->wrapped_size != (t->stored ? DISK_DIGEST_SIZE : (size_t) block))
                return -EBADMSG;
        *why = "salt is not base64 of 32 bytes";
        return get_exact(o, "salt", t->salt, sizeof(t->salt));
}

static int parse_proof(const struct json_object *o, struct token *t, const char **why) {
        const struct json_object *p = strict_json_get(o, "proof", json_type_object);

        *why = "proof is not as version 1 has it";
        if (!p || !strict_json_only(p, proof_members) || strict_json_u64(p, "time", INT64_MAX, &t->proof_time) < 0 ||
            get_text(p, "request_id", t->proof_request_id, sizeof(t->proof_request_id)) < 0)
                return -EBADMSG;
        return 0;
}

static int parse_manifest(const struct json_object *o, struct token *t, const char **why) {
        const struct json_object *m = strict_json_get(o, "manifest", json_type_object);
        int64_t version;

        *why = "manifest is not as version 1 has it";
        if (!m || !strict_json_only(m, manifest_members) || strict_json_int(m, "version", 1, &version) < 0 ||
            version != 1 || get_exact(m, "mac", t->mac, sizeof(t->mac)) < 0)
                return -EBADMSG;
        return 0;
}

int token_parse(const char *text, size_t size, struct token *ret, const char **ret_why) {
        static int (*const parts[])(const struct json_object *o, struct token *t, const char **why) = {
                parse_identity, parse_keyslots, parse_key, parse_wrapped, parse_proof, parse_manifest,
        };
        _cleanup_(json_object_putp) struct json_object *o = NULL;
        struct token t = {};
        const char *unused;
        int64_t version;
        int r;

        if (!ret_why)
                ret_why = &unused;
        *ret_why = "larger than a token may be";
        if (size > TOKEN_JSON_MAX)
                return -EFBIG;
        r = strict_json_parse(text, size, &o, ret_why);
        if (r < 0)
                return r;
        r = check_version(o, &version, ret_why);
        if (r < 0)
                return r;
        *ret_why = versions[version - 1].why;
        if (!strict_json_only(o, versions[version - 1].members))
                return -EBADMSG;
        t.stored = version == TOKEN_VERSION_STORED;
        for (size_t i = 0; i < ELEMENTSOF(parts); i++) {
                r = parts[i](o, &t, ret_why);
                if (r < 0)
                        return r;
        }
        *ret_why = NULL;
        *ret = t;
        return 0;
}

int token_format(const struct token *t, char **ret) {
        char wrapped[BASE64_SIZE(DISK_WRAPPED_MAX) + 1], spki[BASE64_SIZE(DISK_SPKI_MAX) + 1];
        char salt[BASE64_SIZE(DISK_SALT_SIZE) + 1], mac[BASE64_SIZE(TOKEN_MAC_SIZE) + 1];
        _cleanup_(freep) char *text = NULL;
        bool symmetric = algorithm_is_symmetric(t->algorithm);
        int version = t->stored ? TOKEN_VERSION_STORED : symmetric ? TOKEN_VERSION_SYMMETRIC : TOKEN_VERSION;
        struct token check;
        int n, r;

        /* No string here needs escapes, else token_parse() would refuse it below. */
        if (t->wrapped_size > DISK_WRAPPED_MAX || t->spki_size > DISK_SPKI_MAX || (unsigned) t->role >= _ROLE_MAX)
                return -EINVAL;
        if (strpbrk(t->proof_request_id, "\"\\") || strpbrk(t->key, "\"\\") || strpbrk(t->algorithm, "\"\\"))
                return -EINVAL;
        base64_encode(t->wrapped, t->wrapped_size, wrapped);
        base64_encode(t->spki, t->spki_size, spki);
        base64_encode(t->salt, sizeof(t->salt), salt);
        base64_encode(t->mac, sizeof(t->mac), mac);
        n = asprintf(&text, "{\"type\":\"" TOKEN_TYPE "\",\"keyslots\":[\"%d\"],\"version\":%d,\"uuid\":\"%s\","
                     "\"name\":\"%s\",\"role\":\"%s\",\"generation\":\"%" PRIu64 "\",\"key\":\"%s\","
                     "\"algorithm\":\"%s\",\"store\":\"%s\",\"%s\":\"%s\",\"salt\":\"%s\","
                     "\"%s\":\"%s\",\"proof\":{\"time\":\"%" PRIu64 "\",\"request_id\":\"%s\"},"
                     "\"manifest\":{\"version\":1,\"mac\":\"%s\"}}",
                     t->keyslot, version, t->uuid, t->name, role_to_string(t->role), t->generation, t->key,
                     t->algorithm, t->stored ? "vault" : "token", t->stored ? "wrapped_sha256" : "wrapped", wrapped, salt, symmetric ? "canary" : "public_key", spki, t->proof_time, t->proof_request_id, mac);
        if (n < 0) {
                text = NULL;
                return -ENOMEM;
        }
        r = token_parse(text, (size_t) n, &check, NULL);
        if (r < 0)
                return r == -ENOMEM ? r : -EINVAL;
        *ret = TAKE_PTR(text);
        return 0;
}
