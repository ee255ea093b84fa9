/* SPDX-License-Identifier: Apache-2.0 */
#include "azure-reply.h"

#include "azure-attributes.h"
#include "common/algorithm.h"
#include "common/base64.h"
#include "reply-secret.h"
#include "rsa-public.h"

#define MODULUS_MAX 512u        /* RSA 4096 */
#define VALUE_MAX VAULT_BLOB_MAX

static int refuse(const char **ret_why, const char *why) {
        *ret_why = why;
        return -EBADMSG;
}

void azure_result_clear(struct azure_result *r) {
        r->value = secret_free(r->value);
}

/* Takes the decoded value out of the buffer and leaves spaces. */
static int cut_value(char *body, const struct json_span *at, struct secret **ret) {
        _cleanup_(secret_freep) struct secret *s = NULL;
        size_t n = 0;
        int r;

        r = secret_new(VALUE_MAX, &s);
        if (r >= 0)
                r = base64url_decode(body + at->offset, at->size, secret_data(s), VALUE_MAX, &n);
        reply_blank(body, at);
        if (r < 0)
                return r;
        if (n == 0)
                return -EINVAL;
        secret_shrink(s, n);
        *ret = TAKE_PTR(s);
        return 0;
}

/* The identifier in a reply is that of the key asked for, with a version; with the version asked for, if one was. */
static int check_kid(const char *kid, const struct key_uri *asked, char ret[static KEY_URI_MAX]) {
        struct key_uri u;

        if (!kid || key_uri_parse(kid, &u, NULL) < 0 || !key_uri_same_key(&u, asked) || !*u.version ||
            (*asked->version && !streq(u.version, asked->version)))
                return -EBADMSG;
        key_uri_format(&u, ret, KEY_URI_MAX);
        return 0;
}

int azure_parse_result(char *body, size_t size, const struct key_uri *asked, struct azure_result *ret,
                       const char **ret_why) {
        _cleanup_(json_object_putp) struct json_object *root = NULL;
        _cleanup_(secret_freep) struct secret *value = NULL;
        struct json_span at;
        char kid[KEY_URI_MAX];
        int r;

        r = json_check(body, size, "value", &at);
        if (r < 0) {
                explicit_bzero(body, size);
                return refuse(ret_why, r == -ENOENT ? "it has no value" : "it is not strict JSON");
        }
        r = cut_value(body, &at, &value);
        if (r == -ENOMEM || r == -EPERM)
                return r;
        if (r < 0)
                return refuse(ret_why, "its value is not base64url of a sensible length");
        r = json_parse(body, size, &root);
        if (r < 0)
                return r == -ENOMEM ? r : refuse(ret_why, "it is not JSON");
        if (check_kid(json_get_text(root, "kid"), asked, kid) < 0)
                return refuse(ret_why, "it is about another key than the one asked for");
        *ret = (struct azure_result) { .value = TAKE_PTR(value) };
        memcpy(ret->kid, kid, sizeof(kid));
        return 0;
}

/* One byte more than the longest: some write a leading zero. */
static int read_number(struct json_object *key, const char *name, uint8_t buf[static MODULUS_MAX + 1], size_t *ret_size) {
        const char *text = json_get_text(key, name);

        return text && base64url_decode(text, strlen(text), buf, MODULUS_MAX + 1, ret_size) >= 0 ? 0 : -EBADMSG;
}

static int read_rsa(struct json_object *key, struct vault_reply *ret, const char **ret_why) {
        uint8_t n[MODULUS_MAX + 1], e[MODULUS_MAX + 1];
        struct rsa_numbers k = { .modulus = n, .exponent = e };

        if (read_number(key, "n", n, &k.modulus_size) < 0 || read_number(key, "e", e, &k.exponent_size) < 0)
                return refuse(ret_why, "it has no public key (n, e)");
        return rsa_public_encode(&k, ret, ret_why);
}

static int read_key_ops(struct json_object *key, struct vault_reply *ret) {
        struct json_object *ops = json_get(key, "key_ops", json_type_array);

        if (!ops)
                return -EBADMSG;
        for (size_t i = 0; i < json_object_array_length(ops); i++) {
                struct json_object *op = json_object_array_get_idx(ops, i);

                if (!json_object_is_type(op, json_type_string))
                        return -EBADMSG;
                if (streq(json_object_get_string(op), "wrapKey"))
                        ret->key_flags |= VAULT_KEY_CAN_WRAP;
                else if (streq(json_object_get_string(op), "unwrapKey"))
                        ret->key_flags |= VAULT_KEY_CAN_UNWRAP;
        }
        return 0;
}

void azure_read_recovery_level(struct json_object *attributes, char buf[static 65], uint8_t *flags) {
        const char *level = json_get_text(attributes, "recoveryLevel");

        text_printable(level, buf, 65);
        if (azure_level_protects(level))
                *flags |= VAULT_KEY_PURGE_PROTECTED;
}

static int read_attributes(struct json_object *root, struct vault_reply *ret) {
        struct json_object *a = json_get(root, "attributes", json_type_object);
        struct json_object *enabled = json_get(a, "enabled", json_type_boolean);

        if (!enabled || azure_read_time(a, "nbf", &ret->not_before) < 0 || azure_read_time(a, "exp", &ret->expires) < 0)
                return -EBADMSG;
        if (json_object_get_boolean(enabled))
                ret->key_flags |= VAULT_KEY_ENABLED;
        azure_read_recovery_level(a, ret->recovery_level, &ret->key_flags);
        return 0;
}

/* Those for us, in the vault's order. What is no text, too long or too many is left out, and that is said: an owner's
 * mistake in one tag does not take the others along. */
static int read_tags(struct json_object *root, struct vault_reply *ret) {
        struct json_object *tags;

        ret->n_tags = 0;
        if (!json_object_object_get_ex(root, "tags", &tags) || !tags)
                return 0;
        if (!json_object_is_type(tags, json_type_object))
                return -EBADMSG;
        json_object_object_foreach(tags, name, member) {
                const char *value = json_object_is_type(member, json_type_string) ? json_get_text(tags, name) : NULL;
                struct vault_tag *t = ret->tags + ret->n_tags;

                if (!startswith(name, VAULT_TAG_PREFIX))
                        continue;
                if (!value || ret->n_tags == VAULT_TAGS_MAX || !vault_tag_is_valid(name, value)) {
                        ret->key_flags |= VAULT_KEY_TAGS_LEFT_OUT;
                        continue;
                }
                *t = (struct vault_tag) {};
                memcpy(t->name, name, strlen(name));
                memcpy(t->value, value, strlen(value));
                ret->n_tags++;
        }
        return 0;
}

static int parse_with_key(const char *body, size_t size, const struct key_uri *asked, struct json_object **ret_root,
                          char ret_kid[static KEY_URI_MAX], const char **ret_why) {
        _cleanup_(json_object_putp) struct json_object *root = NULL;
        int r;

        r = json_parse(body, size, &root);
        if (r < 0)
                return r == -ENOMEM ? r : refuse(ret_why, "it is not strict JSON");
        if (check_kid(json_get_text(json_get(root, "key", json_type_object), "kid"), asked, ret_kid) < 0)
                return refuse(ret_why, "it is about another key than the one asked for");
        *ret_root = TAKE_PTR(root);
        return 0;
}

int azure_parse_key(const char *body, size_t size, const struct key_uri *asked, struct vault_reply *ret,
                    const char **ret_why) {
        _cleanup_(json_object_putp) struct json_object *root = NULL;
        struct vault_reply y = *ret;
        struct json_object *key;
        const char *type;
        int r;

        r = parse_with_key(body, size, asked, &root, y.kid, ret_why);
        if (r < 0)
                return r;
        key = json_get(root, "key", json_type_object);
        type = json_get_text(key, "kty");
        if (!type || strlen(type) >= sizeof(y.key_type))
                return refuse(ret_why, "it has no key type");
        text_printable(type, y.key_type, sizeof(y.key_type));
        y.key_flags = 0;
        if (read_key_ops(key, &y) < 0)
                return refuse(ret_why, "it does not say which operations the key is for");
        if (read_attributes(root, &y) < 0)
                return refuse(ret_why, "its attributes are not as they should be");
        if (read_tags(root, &y) < 0)
                return refuse(ret_why, "its tags are not as they should be");
        if (strlen(type) > 4 && streq(type + strlen(type) - 4, "-HSM"))
                y.key_flags |= VAULT_KEY_HSM;
        if (streq(type, "RSA") || streq(type, "RSA-HSM")) {
                r = read_rsa(key, &y, ret_why);
                if (r < 0)
                        return r;
        } else if (streq(type, "oct-HSM")) {
                /* how long it is, the service does not say: one of another length does not wrap so */
                strcpy(y.key_type, ALGORITHM_KW);
                y.key_bits = 256;
        }
        *ret = y;
        return 0;
}

int azure_parse_deleted(const char *body, size_t size, const struct key_uri *asked, struct vault_reply *ret, const char **ret_why) {
        _cleanup_(json_object_putp) struct json_object *root = NULL;
        struct key_uri any_version = *asked;
        char kid[KEY_URI_MAX];
        int r;

        any_version.version[0] = 0;      /* the newest is named, whichever was asked about */
        r = parse_with_key(body, size, &any_version, &root, kid, ret_why);
        if (r < 0)
                return r;
        memcpy(ret->kid, kid, sizeof(kid));
        if (json_get_u64(root, "scheduledPurgeDate", &ret->expires) < 0)
                ret->expires = 0;
        return 0;
}
