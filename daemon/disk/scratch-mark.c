/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch-mark.h"

#include <unistd.h>

/* Copies are of the smallest size: ours are. */
#define COPY_SIZE HEADER_SIZE_MIN

int scratch_mark_format(const char *name, char **ret) {
        return asprintf(ret, "{\"type\":\"" SCRATCH_TOKEN_TYPE "\",\"keyslots\":[],\"version\":1,\"name\":\"%s\"}", name) < 0
                       ? -ENOMEM : 0;
}

static bool find_name(const struct json_object *metadata, char *ret) {
        const struct json_object *keyslots = strict_json_get(metadata, "keyslots", json_type_object);
        struct json_object *tokens = strict_json_get(metadata, "tokens", json_type_object);

        if (!keyslots || json_object_object_length(keyslots) > 0 || !tokens)
                return false;
        json_object_object_foreach(tokens, id, token) {
                const char *type = strict_json_string(token, "type"), *name = strict_json_string(token, "name");

                (void) id;
                if (!type || !streq(type, SCRATCH_TOKEN_TYPE) || !name || !volume_name_is_valid(name))
                        continue;
                snprintf(ret, 65, "%s", name);
                return true;
        }
        return false;
}

/* 1: ours, 0: another header, -ENODATA: no header that counts. */
static int read_copy(int fd, bool secondary, char *ret_name) {
        _cleanup_(json_object_putp) struct json_object *metadata = NULL;
        _cleanup_(freep) uint8_t *p = malloc(COPY_SIZE);
        off_t offset = secondary ? COPY_SIZE : 0;
        struct header_why why = {};
        struct header_copy copy;
        uint64_t size;
        ssize_t n;
        int r;

        if (!p)
                return -ENOMEM;
        n = pread(fd, p, COPY_SIZE, offset);
        if (n < 0)
                return -errno;
        if (n < (ssize_t) COPY_SIZE || header_copy_size(p, secondary, &size) < 0)
                return -ENODATA;
        if (size != COPY_SIZE)
                return 0;                  /* larger ones are not ours, damaged or not */
        if (header_copy_check(p, COPY_SIZE, (uint64_t) offset, &copy, &why) < 0)
                return -ENODATA;
        r = header_json_parse(p, COPY_SIZE, &metadata, &why);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        return find_name(metadata, ret_name);
}

int scratch_mark_read(int fd, struct scratch_found *ret) {
        char name[65] = "";
        int r;

        r = read_copy(fd, false, name);
        if (r == -ENODATA)
                r = read_copy(fd, true, name);
        if (r < 0 && r != -ENODATA)
                return r;
        ret->marked = r == 1;
        snprintf(ret->name, sizeof(ret->name), "%s", ret->marked ? name : "");
        return 0;
}

/* Beside the mark libblkid must know of nothing: whoever made something else of the disk may have left the mark where it was. */
enum scratch_verdict scratch_judge(const struct scratch_found *f, const char *name) {
        bool luks = startswith(f->signature, "crypto_LUKS");

        if (f->marked && (luks || !f->signature[0]))
                return streq(f->name, name) ? SCRATCH_OURS : SCRATCH_OTHERS;
        if (luks)
                return SCRATCH_ENCRYPTED;
        if (f->signature[0])
                return SCRATCH_HOLDS;
        return f->zeros ? SCRATCH_EMPTY : SCRATCH_UNKNOWN;
}
