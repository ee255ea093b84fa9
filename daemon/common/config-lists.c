/* SPDX-License-Identifier: Apache-2.0 */
#include "config-lists.h"

#include <ctype.h>

#include "key-digest.h"

#define UNIT_NAME_MAX 63u          /* as the kernel keeps it: bpf/connect.h */

void config_list_free(char **list) {
        for (char **p = list; p && *p; p++)
                free(*p);
        free(list);
}

int config_list_take(const char *value, const char *separators, int (*take)(const char *word, char **ret), char ***list) {
        _cleanup_(freep) char *copy = strdup(value);
        char *rest = copy, *word, **new;
        size_t n = 0;
        int r = 0;

        new = calloc(strlen(value) / 2 + 2, sizeof(char *));
        if (!copy || !new) {
                free(new);
                return -ENOMEM;
        }
        while (r >= 0 && (word = strsep(&rest, separators)))
                if (*word)
                        r = take(word, new + n++);
        if (r >= 0 && n == 0)
                r = -EINVAL;
        if (r < 0) {
                config_list_free(new);
                return r;
        }
        config_list_free(*list);
        *list = new;
        return 0;
}

static int take_if(bool is_good, const char *word, char **ret) {
        if (!is_good)
                return -EINVAL;
        *ret = strdup(word);
        return *ret ? 0 : -ENOMEM;
}

static int take_key(const char *word, char **ret) {
        for (const char *p = word; *p; p++)
                if (!isalnum((unsigned char) *p) && *p != '-')
                        return -EINVAL;
        *ret = strdup(word);
        for (char *p = *ret; p && *p; p++)
                *p = (char) tolower((unsigned char) *p);
        return *ret ? 0 : -ENOMEM;
}

static bool is_path(const char *word) {
        return *word == '/';
}

static bool is_path_or_unit(const char *word) {
        static const char *const endings[] = { ".service", ".scope", ".socket", ".mount", ".swap", ".slice" };
        const char *dot = strrchr(word, '.');

        for (size_t i = 0; dot && dot > word && i < ELEMENTSOF(endings); i++)
                if (streq(dot, endings[i]) && !strchr(word, '/'))
                        return true;
        return is_path(word);
}

/* None by which the C library is told what to do. */
static bool is_variable(const char *word) {
        size_t n = strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

        return n > 0 && word[n] == '=' && word[n + 1] && strncmp(word, "LD_", 3) != 0 && strncmp(word, "GLIBC_", 6) != 0 &&
               strncmp(word, "PATH=", 5) != 0;
}

static int take_digest(const char *word, char **ret) {
        char digest[KEY_DIGEST_SIZE];

        if (key_digest_parse(word, digest) < 0)
                return -EINVAL;
        return asprintf(ret, "sha256:%s", digest) < 0 ? -ENOMEM : 0;
}

static int take_path(const char *word, char **ret) {
        return take_if(is_path(word), word, ret);
}

static int take_program(const char *word, char **ret) {
        return take_if(is_path_or_unit(word), word, ret);
}

static int take_asker(const char *word, char **ret) {
        return take_if(is_path_or_unit(word) && (is_path(word) || strlen(word) <= UNIT_NAME_MAX), word, ret);
}

static int take_variable(const char *word, char **ret) {
        return take_if(is_variable(word), word, ret);
}

int config_list_keys(const char *value, char ***list) {
        return config_list_take(value, " \t,", take_key, list);
}

int config_list_digests(const char *value, char ***list) {
        return config_list_take(value, " \t,", take_digest, list);
}

int config_list_paths(const char *value, char ***list) {
        return config_list_take(value, " \t", take_path, list);
}

int config_list_programs(const char *value, char ***list) {
        return config_list_take(value, " \t", take_program, list);
}

int config_list_askers(const char *value, char ***list) {
        return config_list_take(value, " \t", take_asker, list);
}

int config_list_environment(const char *value, char ***list) {
        return config_list_take(value, " \t", take_variable, list);
}
