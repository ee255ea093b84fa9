/* SPDX-License-Identifier: Apache-2.0 */
#include "veil.h"

#include "ctl/print.h"

#define TEXT_MAX (AUDIT_VALUE_MAX + 1)

static const char *reason(int error) {
        return error == -EPERM ? "others than its owner may read it" : error == -EINVAL ? "it is no file of 32 to 4096 bytes" : strerror(-error);
}

int veil_key(const struct invocation *in, const struct config *config, struct privacy **ret) {
        const char *path = in->values[OPTION_PRIVACY_KEY];
        int r;

        if (path) {
                r = privacy_load(path, ret);
                return r < 0 ? fail(EXIT_CODE_FAILED, "%s: %s", path, reason(r)) : EXIT_CODE_DONE;
        }
        if (config && !in->values[OPTION_ROOT] && config->audit.privacy == PRIVACY_STRICT && config->audit.privacy_key)
                (void) privacy_load(config->audit.privacy_key, ret);
        return EXIT_CODE_DONE;
}

static bool is_unit(const char *s) {
        static const char *const endings[] = { ".service", ".scope", ".slice", ".mount", ".socket", ".swap" };
        size_t n = strlen(s);

        for (size_t i = 0; i < ELEMENTSOF(endings); i++) {
                size_t k = strlen(endings[i]);

                if (n > k && streq(s + n - k, endings[i]))
                        return true;
        }
        return false;
}

int veil_name(struct privacy *p, const char *name, char *buf, size_t size) {
        const char *field = startswith(name, "https://") ? "key" : uuid_is_valid(name) ? "uuid" : *name == '/' ? "exe" :
                            is_unit(name) ? "cgroup" : "volume";

        return privacy_value(p, field, name, buf, size);
}

/* A key's name, with or without a version behind it; or its address. */
static int veil_wanted_key(struct privacy *p, const char *key, char *buf, size_t size) {
        char uri[TEXT_MAX], text[TEXT_MAX];
        const char *name;
        int r;

        if (strstr(key, "://"))
                return privacy_value(p, "key", key, buf, size);
        snprintf(uri, sizeof(uri), "https://h/keys/%s", key);
        r = privacy_value(p, "key", uri, text, sizeof(text));
        name = r >= 0 ? strstr(text, "/keys/") : NULL;
        snprintf(buf, size, "%s", name ? name + 6 : "");
        return r;
}

static int veil_actor(struct privacy *p, const char *actor, char *buf, size_t size) {
        return privacy_value(p, strchr(actor, '=') ? "why" : *actor == '/' ? "exe" : "comm", actor, buf, size);
}

static int set(struct privacy *p, const char *wanted, int (*to_pseudonym)(struct privacy *, const char *, char *, size_t), char **ret) {
        char text[TEXT_MAX];
        int r;

        if (!wanted || !p)
                return 0;
        r = to_pseudonym(p, wanted, text, sizeof(text));
        if (r < 0)
                return r;
        *ret = strdup(text);
        return *ret ? 0 : -ENOMEM;
}

/* Of a program in a mount namespace of its own. */
static int veil_elsewhere(struct privacy *p, const char *path, char *buf, size_t size) {
        return privacy_value(p, "device", path, buf, size);
}

/* The word, and its pseudonyms. */
static int add_normal(struct veil *v, size_t *n, const char *word, size_t size) {
        char **bigger = reallocarray(v->normal, *n + 4, sizeof(char *));
        int r;

        if (!bigger)
                return -ENOMEM;
        v->normal = bigger;
        memset(bigger + *n, 0, 4 * sizeof(char *));
        if (size == 0)
                return 0;
        bigger[*n] = strndup(word, size);
        if (!bigger[*n])
                return -ENOMEM;
        r = set(v->privacy, bigger[*n], veil_name, bigger + *n + 1);
        if (r >= 0 && *word == '/')
                r = set(v->privacy, bigger[*n], veil_elsewhere, bigger + *n + 2);
        while (bigger[*n])
                ++*n;
        return r;
}

int veil_words(struct veil *v, const char *volume, const char *key, const char *actor, const char *unit, const char *expected,
               char *const *baseline) {
        size_t n = 0;
        int r;

        r = set(v->privacy, volume, veil_name, &v->volume);
        if (r >= 0)
                r = set(v->privacy, key, veil_wanted_key, &v->key);
        if (r >= 0)
                r = set(v->privacy, actor, veil_actor, &v->actor);
        if (r >= 0)
                r = set(v->privacy, unit, veil_name, &v->unit);
        for (; r >= 0 && baseline && *baseline; baseline++)
                r = add_normal(v, &n, *baseline, strlen(*baseline));
        for (const char *p = strempty(expected), *end; r >= 0 && *p; p = *end ? end + 1 : end) {
                end = strchrnul(p, ',');
                r = add_normal(v, &n, p, (size_t) (end - p));
        }
        return r;
}

void veil_done(struct veil *v) {
        for (char **p = v->normal; p && *p; p++)
                free(*p);
        free(v->normal);
        free(v->volume);
        free(v->key);
        free(v->actor);
        free(v->unit);
        privacy_free(v->privacy);
        *v = (struct veil) {};
}

static int print_one(struct privacy *p, const char *name, struct json_object *list) {
        char text[TEXT_MAX];
        struct json_object *one;

        if (veil_name(p, name, text, sizeof(text)) < 0)
                return fail(EXIT_CODE_FAILED, "no pseudonym: OpenSSL failed");
        if (!list) {
                printf("%s ", text);
                print_clean(stdout, name);
                putchar('\n');
                return EXIT_CODE_DONE;
        }
        one = json_object_new_object();
        json_put_text(one, "pseudonym", text);
        json_put_text(one, "name", name);
        json_object_array_add(list, one);
        return EXIT_CODE_DONE;
}

/* Names from standard input, one a line. */
static int print_lines(struct privacy *p, struct json_object *list) {
        char line[TEXT_MAX];
        int code = EXIT_CODE_DONE;

        while (code == EXIT_CODE_DONE && fgets(line, sizeof(line), stdin)) {
                line[strcspn(line, "\n")] = 0;
                if (*line)
                        code = print_one(p, line, list);
        }
        return code;
}

int verb_audit_pseudonym(const struct invocation *in) {
        _cleanup_(json_object_putp) struct json_object *list = has_option(in, OPTION_JSON) ? json_object_new_array() : NULL;
        _cleanup_(privacy_freep) struct privacy *p = NULL;
        _cleanup_(config_freep) struct config *config = NULL;
        int code;

        if (!in->values[OPTION_PRIVACY_KEY])
                (void) config_load("", &config, NULL);
        code = veil_key(in, config, &p);
        if (code == EXIT_CODE_DONE && !p)
                code = fail(EXIT_CODE_USAGE, "no key: --privacy-key FILE, or on a node with Privacy=strict the one of PrivacyKey=");
        for (size_t i = 0; code == EXIT_CODE_DONE && i < in->n_args; i++)
                code = streq(in->args[i], "-") ? print_lines(p, list) : print_one(p, in->args[i], list);
        return code == EXIT_CODE_DONE && list ? print_json(list) : code;
}
