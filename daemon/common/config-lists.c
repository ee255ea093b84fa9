/* SPDX-License-Identifier: Apache-2.0 */
#include "config-lists.h"

#include <ctype.h>

#define UNIT_NAME_MAX 63u          /* as the kernel keeps it: bpf/connect.h */
#define KEY_CHARACTERS "abcdefghijklmnopqrstuvwxyz0123456789-"

void config_list_free(char **list) {
        for (char **p = list; p && *p; p++)
                free(*p);
        free(list);
}

static int parse(const char *value, const char *separators, bool (*is_good)(char *word), char ***list) {
        _cleanup_(freep) char *copy = strdup(value);
        char *rest = copy, *word, **l;
        size_t n = 0;
        int r = 0;

        l = calloc(strlen(value) / 2 + 2, sizeof(char *));
        if (!copy || !l) {
                free(l);
                return -ENOMEM;
        }
        while (r >= 0 && (word = strsep(&rest, separators))) {
                if (!*word)
                        continue;
                r = is_good(word) ? 0 : -EINVAL;
                if (r >= 0 && !(l[n++] = strdup(word)))
                        r = -ENOMEM;
        }
        if (r >= 0 && n == 0)
                r = -EINVAL;
        if (r < 0) {
                config_list_free(l);
                return r;
        }
        config_list_free(*list);
        *list = l;
        return 0;
}

static bool is_key(char *word) {
        for (char *p = word; *p; p++)
                *p = (char) tolower((unsigned char) *p);
        return word[strspn(word, KEY_CHARACTERS)] == 0;
}

static bool is_path(char *word) {
        return *word == '/';
}

static bool is_path_or_unit(char *word) {
        static const char *const endings[] = { ".service", ".scope", ".socket", ".mount", ".swap", ".slice" };
        const char *dot = strrchr(word, '.');

        for (size_t i = 0; dot && dot > word && i < ELEMENTSOF(endings); i++)
                if (streq(dot, endings[i]) && !strchr(word, '/'))
                        return true;
        return is_path(word);
}

static bool is_path_or_short_unit(char *word) {
        return is_path_or_unit(word) && (is_path(word) || strlen(word) <= UNIT_NAME_MAX);
}

int config_list_keys(const char *value, char ***list) {
        return parse(value, " \t,", is_key, list);
}

int config_list_paths(const char *value, char ***list) {
        return parse(value, " \t", is_path, list);
}

int config_list_programs(const char *value, char ***list) {
        return parse(value, " \t", is_path_or_unit, list);
}

int config_list_askers(const char *value, char ***list) {
        return parse(value, " \t", is_path_or_short_unit, list);
}
