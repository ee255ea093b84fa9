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

static int make_time(struct tm tm, bool utc, uint64_t *ret_usec) {
        struct tm given;
        time_t t;

        if (tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 59)
                return -EINVAL;
        tm.tm_isdst = -1;
        given = tm;
        t = utc ? timegm(&tm) : mktime(&tm);
        /* What does not exist (the 31st of February, an hour that summer time skips) was turned into something else. */
        if (t < 0 || tm.tm_mday != given.tm_mday || tm.tm_mon != given.tm_mon || tm.tm_year != given.tm_year ||
            tm.tm_hour != given.tm_hour || tm.tm_min != given.tm_min)
                return -EINVAL;
        *ret_usec = (uint64_t) t * USEC_PER_SEC;
        return 0;
}

static int parse_date(const char *s, uint64_t *ret_usec) {
        struct tm tm = {};
        bool utc;

        if (!take_date(&s, &tm))
                return -EINVAL;
        if ((take(&s, ' ') || take(&s, 'T')) && !take_time(&s, &tm))
                return -EINVAL;
        utc = take(&s, 'Z');
        if (*s)
                return -EINVAL;
        tm.tm_year -= 1900;
        tm.tm_mon -= 1;
        return make_time(tm, utc, ret_usec);
}

static int parse_time_of_today(const char *s, uint64_t now_usec, uint64_t *ret_usec) {
        time_t now = (time_t) (now_usec / USEC_PER_SEC);
        struct tm tm = {}, today;
        bool utc;

        if (!take_time(&s, &tm))
                return -EINVAL;
        utc = take(&s, 'Z');
        if (*s || !(utc ? gmtime_r(&now, &today) : localtime_r(&now, &today)))
                return -EINVAL;
        tm.tm_year = today.tm_year;
        tm.tm_mon = today.tm_mon;
        tm.tm_mday = today.tm_mday;
        return make_time(tm, utc, ret_usec);
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

/* A number alone could be meant as seconds, minutes, a year or an hour. */
static bool has_unit(const char *s) {
        size_t n = strlen(s);

        while (n > 0 && s[n - 1] == ' ')
                n--;
        return n > 0 && (s[n - 1] < '0' || s[n - 1] > '9');
}

int parse_until(const char *s, uint64_t now_usec, uint64_t *ret_usec) {
        const char *plus = startswith(s, "+");
        uint64_t at;

        if (parse_span(plus ? plus : s, &at) == 0) {
                if (!has_unit(s) || __builtin_add_overflow(at, now_usec, &at))
                        return -EINVAL;
        } else if (plus || (parse_time_of_today(s, now_usec, &at) < 0 && parse_date(s, &at) < 0))
                return -EINVAL;
        if (at <= now_usec)
                return -ETIME;
        *ret_usec = at;
        return 0;
}

void format_local_time(uint64_t usec, char *buf, size_t size) {
        time_t t = (time_t) (usec / USEC_PER_SEC);
        struct tm tm;

        if (!localtime_r(&t, &tm) || strftime(buf, size, "%Y-%m-%d %H:%M:%S", &tm) == 0)
                snprintf(buf, size, "?");
}
