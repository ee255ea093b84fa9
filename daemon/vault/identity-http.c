/* SPDX-License-Identifier: Apache-2.0 */
#include "identity-http.h"

#include <stdarg.h>
#include <time.h>

#include "imds-reply.h"

#define FIRST_PAUSE_USEC (800 * USEC_PER_MSEC)
#define LONGEST_PAUSE_USEC (10 * USEC_PER_SEC)

static int _printf_(5, 6) say(const struct token_speaker *s, struct token_fetched *f, enum verdict v, const char *what,
                              const char *format, ...) {
        char code[129], text[513];
        va_list ap;

        va_start(ap, format);
        vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        snprintf(code, sizeof(code), "%s: %s", s->code, what);
        judgement_set(&f->failure, v, code, "%s", text);
        return -EACCES;
}

static int no_answer(const struct token_speaker *s, int r, const struct http_response *y, struct token_fetched *f,
                     bool *ret_retry) {
        enum verdict v = VERDICT_UNREACHABLE;

        if (r == -EINVAL)
                v = VERDICT_MISCONFIGURED;
        else if (r == -EMSGSIZE || r == -EBADMSG)
                v = VERDICT_BROKEN;
        *ret_retry = r == -ECONNREFUSED || r == -ENXIO || r == -ETIMEDOUT || r == -ENETUNREACH;
        return say(s, f, v, r == -ETIMEDOUT ? "timed out" : r == -EKEYREJECTED ? "certificate" : "no answer",
                   "no token from %s: %s", s->name, *y->error ? y->error : strerror(-r));
}

int token_take_reply(const struct token_speaker *s, int r, struct http_response *y, struct token_fetched *f, bool *ret_retry) {
        struct imds_token t = {};
        const char *why = "";

        *ret_retry = false;
        f->retry_after_sec = 0;
        if (r < 0)
                return no_answer(s, r, y, f, ret_retry);
        if (y->status != 200) {
                s->judge(y, &f->failure, ret_retry);
                f->retry_after_sec = y->retry_after_sec;
                return -EACCES;
        }
        r = imds_parse_token(y->body, y->body_size, instant_now().realtime_usec / USEC_PER_SEC, &t, &why);
        if (r == -ENOMEM || r == -EPERM)
                return say(s, f, VERDICT_UNREACHABLE, "memory", "no memory for a token that stays secret");
        if (r == -EMSGSIZE)
                return say(s, f, VERDICT_MISCONFIGURED, "long token", "the token of %s has %zu characters, and %u are the most that are used: "
                           "take groups or roles from the identity", s->name, t.too_long, SECRET_LONG_MAX - 1);
        if (r < 0)
                return say(s, f, VERDICT_BROKEN, "bad reply", "the reply of %s is not usable: %s", s->name, why);
        f->token = t.token;
        f->lifetime_sec = t.lifetime_sec;
        f->refresh_sec = t.refresh_sec;
        return 0;
}

static void pause_usec(uint64_t usec) {
        struct timespec ts = { (time_t) (usec / USEC_PER_SEC), (long) (usec % USEC_PER_SEC * NSEC_PER_USEC) };

        nanosleep(&ts, NULL);
}

int token_try(int (*try)(void *user, const struct token_wish *w, struct token_fetched *f, bool *ret_retry), void *user,
              const struct token_wish *w, struct token_fetched *f) {
        bool retry = false;

        for (uint64_t pause = FIRST_PAUSE_USEC; ; pause = MIN_OF(pause * 2, LONGEST_PAUSE_USEC)) {
                uint64_t wait = pause - pause / 8 + random_up_to(pause / 4), said;

                f->retry_after_sec = 0;
                if (try(user, w, f, &retry) == 0)
                        return 0;
                said = f->retry_after_sec * USEC_PER_SEC;
                wait = MAX_OF(wait, said + random_up_to(said / 8));
                if (!retry || now_boottime_usec() + wait >= w->deadline_usec)
                        return -EACCES;
                pause_usec(wait);
        }
}
