/* SPDX-License-Identifier: Apache-2.0 */
#include "vault.h"

#include <stdarg.h>

void vault_reply_set(struct vault_reply *y, enum verdict v, const char *code, const char *format, ...) {
        char text[1024];
        struct judgement j;
        va_list ap;

        va_start(ap, format);
        vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        judgement_set(&j, v, code, "%s", text);
        vault_reply_judge(y, &j);
}

void vault_reply_judge(struct vault_reply *y, const struct judgement *j) {
        y->verdict = j->verdict;
        memcpy(y->code, j->code, sizeof(y->code));
        memcpy(y->text, j->text, sizeof(y->text));
}

void vault_reply_granted(struct vault_reply *y) {
        y->verdict = VERDICT_GRANTED;
        y->code[0] = y->text[0] = 0;
}

void vault_reply_unusable(struct vault_reply *y, int r, const char *why) {
        if (r == -EBADMSG)
                vault_reply_set(y, VERDICT_BROKEN, "bad reply", "the vault's reply is not usable: %s", why);
        else
                vault_reply_set(y, VERDICT_UNREACHABLE, "memory", "no memory for a key that stays secret: %s",
                                strerror(-r));
}
