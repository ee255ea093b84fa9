/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What identity-imds and identity-aad have in common: one try after the other, and a reply that is a token.
 *
 *   try ─► token: done · no use: done · again? 0.8 s, doubling up to 10 s, each an eighth more or less; never before
 *         Retry-After is over; as long as the caller's deadline allows */

#include "http.h"
#include "identity.h"

/* Who says no, in messages: "the metadata endpoint", "metadata". */
struct token_speaker {
        const char *name, *code;
        void (*judge)(const struct http_response *y, struct judgement *ret, bool *ret_retry);     /* any but 200 */
};

/* Takes a token out of a finished exchange, r being its result. Returns 0 or -EACCES with f->failure; *ret_retry: it may be
 * different in a moment. */
int token_take_reply(const struct token_speaker *s, int r, struct http_response *y, struct token_fetched *f, bool *ret_retry);

/* try: 0 or -EACCES, as a source's fetch. Returns the same. */
int token_try(int (*try)(void *user, const struct token_wish *w, struct token_fetched *f, bool *ret_retry), void *user,
              const struct token_wish *w, struct token_fetched *f);
