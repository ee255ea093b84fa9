/* SPDX-License-Identifier: Apache-2.0 */
#include "foreign.h"

#include "manifest.h"
#include "recovery-text.h"

#include <stdarg.h>

/* What stays: some of our tokens and their keyslots, and the recovery key of one token, if any. */
struct kept {
        const struct header_layout *layout;
        unsigned wraps;                        /* a bit each */
        const char *recovery_token;            /* NULL: none */
        const char *recovery_keyslot;
};

static bool is_number(const char *id, int n) {
        char text[12];

        snprintf(text, sizeof(text), "%d", n);
        return streq(id, text);
}

static bool keeps_token(const struct kept *k, const char *id) {
        for (unsigned i = 0; i < k->layout->n_wraps; i++)
                if (k->wraps & 1u << i && is_number(id, k->layout->wraps[i].token_id))
                        return true;
        return streq_ptr(id, k->recovery_token);
}

static bool keeps_keyslot(const struct kept *k, const char *id) {
        for (unsigned i = 0; i < k->layout->n_wraps; i++)
                if (k->wraps & 1u << i && is_number(id, k->layout->wraps[i].token.keyslot))
                        return true;
        return streq_ptr(id, k->recovery_keyslot);
}

static void _printf_(2, 3) name(struct header_why *ret, const char *format, ...) {
        size_t n = strlen(ret->text);
        va_list ap;

        if (n > 0)
                n += (size_t) snprintf(ret->text + n, sizeof(ret->text) - n, ", ");
        if (n >= sizeof(ret->text))
                return;
        va_start(ap, format);
        (void) vsnprintf(ret->text + n, sizeof(ret->text) - n, format, ap);
        va_end(ap);
}

/* Takes the members of an object that are not kept out of it. */
static void drop(struct json_object *o, const struct kept *k, bool (*keeps)(const struct kept *k, const char *id),
                 struct header_why *why) {
        struct json_object_iterator i = json_object_iter_begin(o), end = json_object_iter_end(o);
        const char *gone[HEADER_KEYSLOTS_MAX + HEADER_TOKENS_MAX];
        size_t n = 0;

        for (; !json_object_iter_equal(&i, &end) && n < ELEMENTSOF(gone); json_object_iter_next(&i)) {
                const char *id = json_object_iter_peek_name(&i);
                const char *type = strict_json_string(json_object_iter_peek_value(&i), "type");

                if (keeps(k, id))
                        continue;
                gone[n++] = id;
                if (keeps == keeps_token)
                        name(why, "token %.4s (%.32s)", id, strempty(type));
                else
                        name(why, "keyslot %.4s", id);
        }
        while (n-- > 0)
                json_object_object_del(o, gone[n]);
}

/* The digest lists every keyslot, in the order in which they came. */
static void drop_from_digest(struct json_object *digest, const struct kept *k) {
        struct json_object *a = strict_json_get(digest, "keyslots", json_type_array);

        for (size_t i = json_object_array_length(a); i-- > 0;)
                if (!keeps_keyslot(k, strempty(json_object_get_string(json_object_array_get_idx(a, i)))))
                        json_object_array_del_idx(a, i, 1);
}

/* The MAC that the kept tokens bear. NULL: they do not agree, or there is none. */
static const uint8_t *kept_mac(const struct kept *k) {
        const uint8_t *mac = NULL;

        for (unsigned i = 0; i < k->layout->n_wraps; i++) {
                const struct token *t = &k->layout->wraps[i].token;

                if (!(k->wraps & 1u << i))
                        continue;
                if (mac && memcmp(mac, t->mac, sizeof(t->mac)) != 0)
                        return NULL;
                mac = t->mac;
        }
        return mac;
}

/* Returns 0 where the manifest holds over what is kept and something was left out. The metadata passed
 * header_metadata_check(): what is looked up is there. */
static int try_kept(const struct json_object *metadata, const char *uuid, const struct secret *volume_key,
                    const struct kept *k, struct header_why *ret) {
        _cleanup_(json_object_putp) struct json_object *m = NULL;
        const uint8_t *mac = kept_mac(k);
        struct header_why why = {};
        int r;

        if (!mac)
                return -EUCLEAN;
        if (json_object_deep_copy((struct json_object *) metadata, &m, NULL) < 0)
                return -ENOMEM;
        drop(strict_json_get(m, "keyslots", json_type_object), k, keeps_keyslot, &why);
        drop(strict_json_get(m, "tokens", json_type_object), k, keeps_token, &why);
        drop_from_digest(strict_json_get(strict_json_get(m, "digests", json_type_object), "0", json_type_object), k);
        if (!why.text[0])
                return -EUCLEAN;
        r = manifest_verify(m, uuid, volume_key, mac);
        if (r >= 0)
                *ret = why;
        return r;
}

/* With these wraps: without a recovery key, then with each token that could be of one. */
static int try_wraps(const struct json_object *metadata, const char *uuid, const struct secret *volume_key,
                     const struct header_layout *l, unsigned wraps, struct header_why *ret) {
        struct kept k = { .layout = l, .wraps = wraps };
        int r;

        r = try_kept(metadata, uuid, volume_key, &k, ret);
        if (r != -EUCLEAN)
                return r;
        json_object_object_foreach(strict_json_get(metadata, "tokens", json_type_object), id, token) {
                const char *type = strict_json_string(token, "type");
                struct json_object *a = strict_json_get(token, "keyslots", json_type_array);

                if (!type || !streq(type, RECOVERY_TOKEN_TYPE) || !a || json_object_array_length(a) != 1)
                        continue;
                k.recovery_token = id;
                k.recovery_keyslot = json_object_get_string(json_object_array_get_idx(a, 0));
                r = try_kept(metadata, uuid, volume_key, &k, ret);
                if (r != -EUCLEAN)
                        return r;
        }
        return -EUCLEAN;
}

int foreign_find(const struct json_object *metadata, const char *uuid, const struct secret *volume_key,
                 const struct header_layout *l, const struct header_wrap *opener, struct header_why *ret) {
        unsigned must = opener ? 1u << (opener - l->wraps) : 0;

        for (unsigned wraps = (1u << l->n_wraps) - 1; wraps > 0; wraps--) {
                int r;

                if ((wraps & must) != must)
                        continue;
                r = try_wraps(metadata, uuid, volume_key, l, wraps, ret);
                if (r != -EUCLEAN)
                        return r;
        }
        return -EUCLEAN;
}
