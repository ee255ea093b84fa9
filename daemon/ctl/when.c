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

/* ".123456", as a record has it: up to six digits. */
static bool take_fraction(const char **s, unsigned *ret_usec) {
        unsigned worth = 100000, usec = 0;

        if (!take(s, '.'))
                return true;
        if (**s < '0' || **s > '9')
                return false;
        for (; **s >= '0' && **s <= '9'; (*s)++, worth /= 10)
                usec += worth * (unsigned) (**s - '0');
        *ret_usec = usec;
        return true;
}

static int parse_date(const char *s, uint64_t *ret_usec) {
        struct tm tm = {};
        unsigned usec = 0;
        uint64_t at;
        bool utc;
        int r;

        if (!take_date(&s, &tm))
                return -EINVAL;
        if ((take(&s, ' ') || take(&s, 'T')) && (!take_time(&s, &tm) || !take_fraction(&s, &usec)))
                return -EINVAL;
        utc = take(&s, 'Z');
        if (*s)
                return -EINVAL;
        tm.tm_year -= 1900;
        tm.tm_mon -= 1;
        r = make_time(tm, utc, &at);
        if (r >= 0)
                *ret_usec = at + usec;
        return r;
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

/* now, today, yesterday, tomorrow: the days' beginnings, local, as journalctl has them. */
static int parse_word(const char *s, uint64_t now_usec, uint64_t *ret_usec) {
        static const struct { const char *word; int days; } words[] = { { "today", 0 }, { "yesterday", -1 }, { "tomorrow", 1 } };
        time_t now = (time_t) (now_usec / USEC_PER_SEC);
        struct tm today;

        if (streq(s, "now")) {
                *ret_usec = now_usec;
                return 0;
        }
        for (size_t i = 0; i < ELEMENTSOF(words); i++) {
                struct tm tm = {};
                time_t t;

                if (!streq(s, words[i].word) || !localtime_r(&now, &today))
                        continue;
                tm.tm_year = today.tm_year;
                tm.tm_mon = today.tm_mon;
                tm.tm_mday = today.tm_mday + words[i].days;        /* mktime() makes a date of the 0th */
                tm.tm_isdst = -1;
                t = mktime(&tm);
                if (t < 0)
                        return -EINVAL;
                *ret_usec = (uint64_t) t * USEC_PER_SEC;
                return 0;
        }
        return -EINVAL;
}

/* "10min", "-10min", "10min ago"; "+10min": to come. */
static int parse_distance(const char *s, uint64_t now_usec, uint64_t *ret_usec) {
        const char *digits = *s == '-' || *s == '+' ? s + 1 : s;
        size_t n = strlen(digits);
        char text[64];
        uint64_t span;

        if (n > 4 && streq(digits + n - 4, " ago") && *s != '+')
                n -= 4;
        if (n >= sizeof(text))
                return -EINVAL;
        snprintf(text, sizeof(text), "%.*s", (int) n, digits);
        if (parse_span(text, &span) < 0)
                return -EINVAL;
        if (*s == '+')
                return __builtin_add_overflow(now_usec, span, ret_usec) ? -EINVAL : 0;
        return __builtin_sub_overflow(now_usec, span, ret_usec) ? -EINVAL : 0;
}

static int parse_epoch(const char *s, uint64_t *ret_usec) {
        uint64_t seconds;

        if (*s != '@' || parse_u64(s + 1, INT64_C(253402300799), &seconds) < 0)
                return -EINVAL;
        *ret_usec = seconds * USEC_PER_SEC;
        return 0;
}

int parse_when(const char *s, uint64_t now_usec, uint64_t *ret_usec) {
        uint64_t at;

        if (parse_distance(s, now_usec, &at) < 0 && parse_word(s, now_usec, &at) < 0 && parse_epoch(s, &at) < 0 &&
            parse_time_of_today(s, now_usec, &at) < 0 && parse_date(s, &at) < 0)
                return -EINVAL;
        *ret_usec = at;
        return 0;
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
