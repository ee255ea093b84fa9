/* SPDX-License-Identifier: Apache-2.0 */
#include "arc-key.h"

#include "challenge-header.h"
#include "secret-file.h"

#define PATH_MAX_LENGTH 256u
#define NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
#define LINE "Authorization: Basic "

static bool path_is_right(const char *path, const char *directory) {
        const char *name = startswith(path, directory);
        size_t n;

        if (!name || *name++ != '/' || *name == '.')
                return false;
        n = strlen(name);
        return n > 4 && streq(name + n - 4, ".key") && strspn(name, NAME_CHARACTERS) == n;
}

int arc_key_read(const char *header, const char *directory, struct secret **ret, const char **ret_why) {
        _cleanup_(secret_freep) struct secret *key = NULL, *line = NULL;
        char path[PATH_MAX_LENGTH + 1];
        int r;

        if (challenge_header_get(header, "Basic", "realm", path, sizeof(path)) < 0) {
                *ret_why = "the agent did not say which file it wants to hear of";
                return -EBADMSG;
        }
        if (!path_is_right(path, directory)) {
                *ret_why = "the agent wants to hear of a file that is not one of its own";
                return -EBADMSG;
        }
        r = secret_file_read(path, SECRET_FILE_NO_LINK, &key, ret_why);
        if (r < 0)
                return r;
        r = secret_new(strlen(LINE) + secret_size(key), &line);
        if (r < 0) {
                *ret_why = "the agent's file is too long";
                return r == -EINVAL ? -EBADMSG : r;
        }
        memcpy(secret_data(line), LINE, strlen(LINE));
        memcpy(secret_data(line) + strlen(LINE), secret_cdata(key), secret_size(key));
        *ret = TAKE_PTR(line);
        return 0;
}
