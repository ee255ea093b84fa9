/* SPDX-License-Identifier: Apache-2.0 */
#include "foreign.h"

#include "activation.h"
#include "manifest.h"

#include <limits.h>
#include <stdarg.h>

/* Of each, keyslots and tokens, that are not of our tokens: 4 to the power of that many are tried at most. */
#define OTHERS_MAX 5u
/* With so many of them flags are tried too. */
#define OTHERS_WITH_FLAGS_MAX 4u
#define FLAGS_ABSENT (ACTIVATION_ALL + 1u)
#define FLAGS_AS_THEY_ARE (ACTIVATION_ALL + 2u)

struct other {
        const char *id;
        bool is_token;
};

/* What stays: some of our tokens and their keyslots, and some of the others. */
struct kept {
        const struct header_layout *layout;
        unsigned wraps;                        /* a bit each */
        struct other list[2 * OTHERS_MAX];
        unsigned n;
        unsigned others;                       /* a bit each */
        unsigned flags;                        /* FLAGS_*, or the bits that were enrolled */
};

static bool is_number(const char *id, int n) {
        char text[12];

        snprintf(text, sizeof(text), "%d", n);
        return streq(id, text);
}

static bool is_ours(const struct kept *k, bool is_token, const char *id, unsigned wraps) {
        for (unsigned i = 0; i < k->layout->n_wraps; i++) {
                const struct header_wrap *w = k->layout->wraps + i;

                if (wraps & 1u << i && is_number(id, is_token ? w->token_id : w->token.keyslot))
                        return true;
        }
        return false;
}

static bool keeps(const struct kept *k, bool is_token, const char *id) {
        for (unsigned i = 0; i < k->n; i++)
                if (k->others & 1u << i && k->list[i].is_token == is_token && streq(k->list[i].id, id))
                        return true;
        return is_ours(k, is_token, id, k->wraps);
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
static void drop(struct json_object *o, const struct kept *k, bool is_token, struct header_why *why) {
        struct json_object_iterator i = json_object_iter_begin(o), end = json_object_iter_end(o);
        const char *gone[HEADER_KEYSLOTS_MAX + HEADER_TOKENS_MAX];
        size_t n = 0;

        for (; !json_object_iter_equal(&i, &end) && n < ELEMENTSOF(gone); json_object_iter_next(&i)) {
                const char *id = json_object_iter_peek_name(&i);
                const char *type = strict_json_string(json_object_iter_peek_value(&i), "type");

                if (keeps(k, is_token, id))
                        continue;
                gone[n++] = id;
                if (is_token)
                        name(why, "token %.4s (%.32s)", id, strempty(type));
                else
                        name(why, "keyslot %.4s", id);
        }
        while (n-- > 0)
                json_object_object_del(o, gone[n]);
}

/* The digest, which has any number, lists every keyslot, in the order in which they came. */
static void drop_from_digest(struct json_object *digests, const struct kept *k) {
        struct json_object *digest, *a;
        char number[12];

        snprintf(number, sizeof(number), "%u", k->layout->digest);
        digest = strict_json_get(digests, number, json_type_object);
        a = strict_json_get(digest, "keyslots", json_type_array);
        for (size_t i = a ? json_object_array_length(a) : 0; i-- > 0;)
                if (!keeps(k, false, strempty(json_object_get_string(json_object_array_get_idx(a, i)))))
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

/* -EUCLEAN: that is what there is, tried as such. */
static int put_flags(struct json_object *metadata, unsigned flags) {
        struct json_object *config = strict_json_get(metadata, "config", json_type_object), *a = NULL, *now = NULL;
        bool present = json_object_object_get_ex(config, "flags", &now);

        if (flags == FLAGS_ABSENT) {
                json_object_object_del(config, "flags");
                return present ? 0 : -EUCLEAN;
        }
        a = activation_to_json(flags);
        if (!a || json_object_equal(a, now) || json_object_object_add(config, "flags", a) < 0) {
                int r = a && json_object_equal(a, now) ? -EUCLEAN : -ENOMEM;

                json_object_put(a);
                return r;
        }
        return 0;
}

static void name_flags(const struct kept *k, struct header_why *why) {
        char now[ACTIVATION_TEXT_SIZE], then[ACTIVATION_TEXT_SIZE];

        if (k->layout->activation == (k->flags & ACTIVATION_ALL))
                return;
        activation_to_text(k->layout->activation, now);
        activation_to_text(k->flags & ACTIVATION_ALL, then);
        name(why, "%s%s instead of %s%s", *now ? "the flags " : "no flags", now, *then ? "the flags " : "none", then);
}

/* Returns 0 where the manifest holds over what is kept and something was left out. The metadata passed
 * header_metadata_check(): what is looked up is there. */
static int try_kept(const struct json_object *metadata, const char *uuid, const struct secret *volume_key,
                    const struct kept *k, struct foreign *ret) {
        _cleanup_(json_object_putp) struct json_object *m = NULL;
        struct foreign f = { .activation = k->layout->activation };
        const uint8_t *mac = kept_mac(k);
        int r;

        if (!mac)
                return -EUCLEAN;
        if (json_object_deep_copy((struct json_object *) metadata, &m, NULL) < 0)
                return -ENOMEM;
        drop(strict_json_get(m, "keyslots", json_type_object), k, false, &f.what);
        drop(strict_json_get(m, "tokens", json_type_object), k, true, &f.what);
        drop_from_digest(strict_json_get(m, "digests", json_type_object), k);
        f.only_flags = !f.what.text[0];
        if (k->flags != FLAGS_AS_THEY_ARE) {
                r = put_flags(m, k->flags);
                if (r < 0)
                        return r;
                f.activation = k->flags & ACTIVATION_ALL;
                name_flags(k, &f.what);
        } else if (f.only_flags)
                return -EUCLEAN;
        r = manifest_verify(m, uuid, volume_key, mac);
        if (r >= 0)
                *ret = f;
        return r;
}

/* As they are, or, where that is asked for, as they may have been. */
static int try_flags(const struct json_object *metadata, const char *uuid, const struct secret *volume_key, struct kept *k, bool all,
                     struct foreign *ret) {
        int r = -EUCLEAN;

        for (k->flags = all ? 0 : FLAGS_AS_THEY_ARE; r == -EUCLEAN && k->flags <= (all ? FLAGS_ABSENT : FLAGS_AS_THEY_ARE); k->flags++)
                r = try_kept(metadata, uuid, volume_key, k, ret);
        return r;
}

/* Recovery keys, what opened a volume before it was taken over, tokens of other programs: any of it may have been enrolled, and the MAC
 * says which. */
static void find_others(const struct json_object *metadata, struct kept *k) {
        for (int is_token = 0; is_token < 2; is_token++) {
                unsigned end = k->n + OTHERS_MAX;

                json_object_object_foreach(strict_json_get(metadata, is_token ? "tokens" : "keyslots", json_type_object), id, value) {
                        (void) value;
                        if (k->n < end && !is_ours(k, is_token, id, UINT_MAX))
                                k->list[k->n++] = (struct other) { .id = id, .is_token = is_token };
                }
        }
}

static int try_all(const struct json_object *metadata, const char *uuid, const struct secret *volume_key, struct kept *k, unsigned must,
                   bool flags, struct foreign *ret) {
        int r;

        for (k->wraps = (1u << k->layout->n_wraps) - 1; k->wraps > 0; k->wraps--)
                for (k->others = 0; (k->wraps & must) == must && k->others < 1u << k->n; k->others++) {
                        r = try_flags(metadata, uuid, volume_key, k, flags, ret);
                        if (r != -EUCLEAN)
                                return r;
                }
        return -EUCLEAN;
}

int foreign_find(const struct json_object *metadata, const char *uuid, const struct secret *volume_key,
                 const struct header_layout *l, const struct header_wrap *opener, struct foreign *ret) {
        unsigned must = opener ? 1u << (opener - l->wraps) : 0;
        struct kept k = { .layout = l };
        int r;

        find_others(metadata, &k);
        /* Before anything is left out: all that there is, and only the flags are others. */
        k.wraps = (1u << l->n_wraps) - 1;
        k.others = (1u << k.n) - 1;
        r = try_flags(metadata, uuid, volume_key, &k, true, ret);
        if (r == -EUCLEAN)
                r = try_all(metadata, uuid, volume_key, &k, must, false, ret);
        if (r == -EUCLEAN && k.n <= OTHERS_WITH_FLAGS_MAX)
                r = try_all(metadata, uuid, volume_key, &k, must, true, ret);
        return r;
}
