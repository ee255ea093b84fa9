/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A verdict, and what there is to say about it: what judges of replies give back. Room as in struct vault_reply. */

#include "common/util.h"
#include "common/verdict.h"

struct judgement {
        enum verdict verdict;
        char code[129];
        char text[513];
};

/* Fills a judgement; what cannot be printed is replaced. */
void judgement_set(struct judgement *j, enum verdict v, const char *code, const char *format, ...) _printf_(4, 5);
