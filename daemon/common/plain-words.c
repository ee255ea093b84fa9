/* SPDX-License-Identifier: Apache-2.0 */
#include "plain-words.h"

#include <ctype.h>

#define WORD_MAX 64u
#define ERRNO_MAX 134

static const char *const plain[] = {
#include "plain-words.inc"
};

static int compare(const void *key, const void *item) {
        return strcmp(key, *(const char *const *) item);
}

static bool is_in_error(const char *word, size_t n) {
        for (int e = 1; e < ERRNO_MAX; e++)
                for (const char *p = strerrordesc_np(e); p && *p; p += strspn(p, " /(),")) {
                        size_t k = strcspn(p, " /(),");

                        if (k == n && strncasecmp(p, word, n) == 0)
                                return true;
                        p += k;
                }
        return false;
}

static bool is_errno(const char *s) {
        for (int e = 1; e < ERRNO_MAX; e++)
                if (streq_ptr(strerrorname_np(e), s))
                        return true;
        return false;
}

bool word_is_plain(const char *s, size_t n) {
        char word[WORD_MAX], lower[WORD_MAX];

        if (n == 0 || n >= sizeof(word))
                return false;
        for (size_t i = 0; i < n; i++) {
                word[i] = s[i];
                lower[i] = (char) tolower((unsigned char) s[i]);
        }
        word[n] = lower[n] = 0;
        return bsearch(lower, plain, ELEMENTSOF(plain), sizeof(*plain), compare) || is_errno(word) || is_in_error(word, n);
}

bool word_is_number(const char *s, size_t n) {
        static const char *const units[] = {
                "", "us", "ms", "s", "sec", "min", "h", "d", "%", "B", "KiB", "MiB", "GiB", "TiB", "K", "M", "G",
        };
        size_t k = 0;

        while (k < n && (isdigit((unsigned char) s[k]) || (k > 0 && s[k] == '.')))
                k++;
        for (size_t i = 0; k > 0 && i < ELEMENTSOF(units); i++)
                if (strlen(units[i]) == n - k && strncmp(s + k, units[i], n - k) == 0)
                        return true;
        return false;
}

bool text_is_error(const char *s) {
        for (int e = 1; e < ERRNO_MAX; e++)
                if (streq_ptr(strerrorname_np(e), s) || streq_ptr(strerrordesc_np(e), s))
                        return true;
        return false;
}
