/* SPDX-License-Identifier: Apache-2.0 */
#include "judgement.h"

#include <stdarg.h>

#include "common/json-text.h"

void judgement_set(struct judgement *j, enum verdict v, const char *code, const char *format, ...) {
        char text[1024];
        va_list ap;

        va_start(ap, format);
        vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        j->verdict = v;
        text_printable(code, j->code, sizeof(j->code));
        text_printable(text, j->text, sizeof(j->text));
}
