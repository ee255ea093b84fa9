/* SPDX-License-Identifier: Apache-2.0 */
#include "foreign.h"

#include "manifest.h"
#include "recovery-text.h"

#include <stdarg.h>

/* What stays: our token and keyslot, and the recovery key of one token, if any. */
struct kept {
        char token[12], keyslot[12];
        const char *recovery_token;            /* NULL: none */
        const char *recovery_keyslot;
};

static bool keeps_token(const struct kept *k, const char *id) {
        return streq(id, k->token) || streq_ptr(id, k->recovery_token);
}

static bool keeps_keyslot(const struct kept *k, const char *id) {
        return streq(id, k->keyslot) || streq_ptr(id, k->recovery_keyslot);
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

/* Returns 0 where the manifest holds over what is kept and something was left out. The metadata passed
 * header_metadata_check(): what is looked up is there. */
static int try_kept(const struct json_object *metadata, const char *uuid, const struct secret *volume_key,
                    const struct header_layout *l, const struct kept *k, struct header_why *ret) {
        _cleanup_(json_object_putp) struct json_object *m = NULL;
        struct header_why why = {};
        int r;

        if (json_object_deep_copy((struct json_object *) metadata, &m, NULL) < 0)
                return -ENOMEM;
        drop(strict_json_get(m, "keyslots", json_type_object), k, keeps_keyslot, &why);
        drop(strict_json_get(m, "tokens", json_type_object), k, keeps_token, &why);
        drop_from_digest(strict_json_get(strict_json_get(m, "digests", json_type_object), "0", json_type_object), k);
        if (!why.text[0])
                return -EUCLEAN;
        r = manifest_verify(m, uuid, volume_key, l->token.mac);
        if (r >= 0)
                *ret = why;
        return r;
}

int foreign_find(const struct json_object *metadata, const char *uuid, const struct secret *volume_key,
                 const struct header_layout *l, struct header_why *ret) {
        struct kept k = {};
        int r;

        snprintf(k.token, sizeof(k.token), "%d", l->token_id);
        snprintf(k.keyslot, sizeof(k.keyslot), "%d", l->token.keyslot);
        r = try_kept(metadata, uuid, volume_key, l, &k, ret);
        if (r != -EUCLEAN)
                return r;
        json_object_object_foreach(strict_json_get(metadata, "tokens", json_type_object), id, token) {
                const char *type = strict_json_string(token, "type");
                struct json_object *a = strict_json_get(token, "keyslots", json_type_array);

                if (!type || !streq(type, RECOVERY_TOKEN_TYPE) || !a || json_object_array_length(a) != 1)
                        continue;
                k.recovery_token = id;
                k.recovery_keyslot = json_object_get_string(json_object_array_get_idx(a, 0));
                r = try_kept(metadata, uuid, volume_key, l, &k, ret);
                if (r != -EUCLEAN)
                        return r;
        }
        return -EUCLEAN;
}
