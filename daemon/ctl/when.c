/* SPDX-License-Identifier: Apache-2.0 */
#include "when.h"

#include <time.h>

static bool take_number(const char **s, size_t digits, int *ret) {
        *ret = 0;
        for (size_t i = 0; i < digits; i++, (*s)++) {
                if (**s < '0' || **s > '9')
                        return false;
                *ret = *ret * 10 + (**s - '0');
        }
        return true;
}

static bool take(const char **s, char c) {
        if (**s != c)
                return false;
        (*s)++;
        return true;
}

static bool take_date(const char **s, struct tm *tm) {
        return take_number(s, 4, &tm->tm_year) && take(s, '-') && take_number(s, 2, &tm->tm_mon) && take(s, '-') &&
               take_number(s, 2, &tm->tm_mday);
}

static bool take_time(const char **s, struct tm *tm) {
        if (!take_number(s, 2, &tm->tm_hour) || !take(s, ':') || !take_number(s, 2, &tm->tm_min))
                return false;
        return !take(s, ':') || take_number(s, 2, &tm->tm_sec);
}

static int parse_date(const char *s, uint64_t *ret_usec) {
        struct tm tm = { .tm_isdst = -1 }, given;
        bool utc;
        time_t t;

        if (!take_date(&s, &tm))
                return -EINVAL;
        if ((take(&s, ' ') || take(&s, 'T')) && !take_time(&s, &tm))
                return -EINVAL;
        utc = take(&s, 'Z');
        if (*s || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 59)
                return -EINVAL;
        tm.tm_year -= 1900;
        tm.tm_mon -= 1;
        given = tm;
        t = utc ? timegm(&tm) : mktime(&tm);
        /* What does not exist (the 31st of February) was turned into something else. */
        if (t < 0 || tm.tm_mday != given.tm_mday || tm.tm_mon != given.tm_mon || tm.tm_year != given.tm_year)
                return -EINVAL;
        *ret_usec = (uint64_t) t * USEC_PER_SEC;
        return 0;
}

int parse_when(const char *s, uint64_t now_usec, uint64_t *ret_usec) {
        uint64_t span;

        if (parse_span(s, &span) == 0) {
                if (span > now_usec)
                        return -EINVAL;
                *ret_usec = now_usec - span;
                return 0;
        }
        return parse_date(s, ret_usec);
}
