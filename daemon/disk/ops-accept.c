/* SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include "activation.h"
#include "edit.h"

#include <stdarg.h>

/* A header that somebody changed by cryptsetup's own commands becomes what is enrolled: a new manifest over what is there.
 *
 *   lock ─► header, checked as any ─► W opens its keyslot ─► the volume key is the one that this node trusts ─► said what is there
 *      ─► sealed anew, written as any change
 *
 * Whoever can write to the disk cannot have done more than what is said: a keyslot that opens needs the volume key, name and role are in
 * the trust digest, role and generation in the unlock key. Whether what is said is welcome, who asked knows. */

static void _printf_(3, 4) append(char *text, size_t size, const char *format, ...) {
        size_t n = strlen(text);
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(text + n, size - n, format, ap);
        va_end(ap);
}

/* "keyslots 0 (cmkd), 1; tokens 0 (cmkd, https://VAULT/keys/NAME/VERSION), 1 (systemd-tpm2); flags allow-discards". */
static void describe(const struct header *h, char *text, size_t size) {
        const struct header_layout *l = &h->layout;
        char flags[ACTIVATION_TEXT_SIZE];
        const char *between = "";

        append(text, size, "keyslots ");
        for (int i = 0; i < (int) HEADER_KEYSLOTS_MAX; i++) {
                bool ours = false;

                if (!l->areas[i].used)
                        continue;
                for (unsigned k = 0; k < l->n_wraps; k++)
                        ours |= l->wraps[k].token.keyslot == i;
                append(text, size, "%s%d%s", between, i, ours ? " (cmkd)" : i == l->recovery_keyslot ? " (recovery key)" : "");
                between = ", ";
        }
        between = "; tokens ";
        json_object_object_foreach(strict_json_get(h->metadata, "tokens", json_type_object), id, token) {
                const char *type = strempty(strict_json_string(token, "type"));

                append(text, size, "%s%.4s (%.32s%s%.120s)", between, id, type, streq(type, TOKEN_TYPE) ? ", " : "",
                       streq(type, TOKEN_TYPE) ? strempty(strict_json_string(token, "key")) : "");
                between = ", ";
        }
        activation_to_text(l->activation, flags);
        append(text, size, "; %s%s", *flags ? "flags " : "no flags", flags);
}

static int seal(struct edit *e, const struct disk_request *q, struct disk_reply *y) {
        const struct volume *v = &e->volume;
        _cleanup_(luks_close) struct luks l = {};
        _cleanup_(closep) int image = header_image(v->header);
        int r;

        r = image < 0 ? image : luks_reseal(&l, image, v->header, v->device.path, v->volume_key);
        return r < 0 ? edit_fail(r, q, l.said, y) : edit_commit(e, image, y);
}

int op_header_accept(const struct disk_request *q, int in_fd _unused_, int *ret_fd _unused_, struct disk_reply *y) {
        _cleanup_(edit_done) struct edit e = EDIT_NONE;
        char text[sizeof(y->message)] = "";
        int r;

        e.volume.as_it_is = true;
        r = edit_begin(&e, q, y);
        if (r < 0)
                return r;
        if (!(y->flags & DISK_FLAG_FOREIGN)) {
                *y->message = 0;
                return 0;
        }
        append(text, sizeof(text), "%.400s. What there is: ", y->message);
        describe(e.volume.header, text, sizeof(text));
        if (!(q->flags & DISK_FLAG_LOOK)) {
                r = seal(&e, q, y);
                if (r < 0)
                        return r;
        }
        y->count = 1;
        strcpy(y->message, text);
        return 0;
}
