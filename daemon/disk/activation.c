/* SPDX-License-Identifier: Apache-2.0 */
#include "activation.h"

#include <json-c/json.h>

/* In libcryptsetup's order, which is the kernel's too; the flags first. */
static const struct { const char *flag, *option; } names[] = {
        { "allow-discards", "allow_discards" },
        { "same-cpu-crypt", "same_cpu_crypt" },
        { "submit-from-crypt-cpus", "submit_from_crypt_cpus" },
        { "no-read-workqueue", "no_read_workqueue" },
        { "no-write-workqueue", "no_write_workqueue" },
        { "integrity:hmac-sha256", "integrity:32:aead" },
        { "integrity:hmac-sha512", "integrity:64:aead" },
};
#define N_FLAGS 5u
_Static_assert((1u << N_FLAGS) - 1 == ACTIVATION_ALL, "a name each");
_Static_assert(1u << (ELEMENTSOF(names) - 1) == ACTIVATION_HMAC_SHA512, "a name each");

unsigned activation_from_integrity(const char *type) {
        return streq(type, "hmac(sha256)") ? ACTIVATION_HMAC_SHA256 : streq(type, "hmac(sha512)") ? ACTIVATION_HMAC_SHA512 : 0;
}

unsigned activation_tag_size(unsigned flags) {
        return flags & ACTIVATION_HMAC_SHA256 ? 32 : flags & ACTIVATION_HMAC_SHA512 ? 64 : 0;
}

const char *activation_to_cipher(unsigned flags) {
        if (flags & ACTIVATION_HMAC_SHA256)
                return "capi:authenc(hmac(sha256),xts(aes))-plain64 ";
        return flags & ACTIVATION_HMAC_SHA512 ? "capi:authenc(hmac(sha512),xts(aes))-plain64 " : "aes-xts-plain64 ";
}

static unsigned find_flag(const char *name) {
        for (size_t i = 0; i < N_FLAGS; i++)
                if (streq(names[i].flag, name))
                        return 1u << i;
        return 0;
}

int activation_parse(struct json_object *array, unsigned *ret, const char **ret_name) {
        unsigned flags = 0;

        *ret_name = NULL;
        if (!json_object_is_type(array, json_type_array))
                return -EBADMSG;
        for (size_t i = 0; i < json_object_array_length(array); i++) {
                struct json_object *e = json_object_array_get_idx(array, i);
                unsigned flag;

                if (!json_object_is_type(e, json_type_string))
                        return -EBADMSG;
                flag = find_flag(json_object_get_string(e));
                if (flags & flag)
                        return -EBADMSG;
                if (flag == 0) {
                        *ret_name = json_object_get_string(e);
                        return streq(*ret_name, "no-journal") ? -EPERM : -EPROTONOSUPPORT;
                }
                flags |= flag;
        }
        *ret = flags;
        return 0;
}

struct json_object *activation_to_json(unsigned flags) {
        struct json_object *a = json_object_new_array();

        for (size_t i = 0; a && i < N_FLAGS; i++)
                if (flags & 1u << i && json_object_array_add(a, json_object_new_string(names[i].flag)) < 0) {
                        json_object_put(a);
                        return NULL;
                }
        return a;
}

void activation_to_text(unsigned flags, char ret[static ACTIVATION_TEXT_SIZE]) {
        size_t n = 0;

        *ret = 0;
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (flags & 1u << i)
                        n += (size_t) snprintf(ret + n, ACTIVATION_TEXT_SIZE - n, "%s%s", n > 0 ? " " : "", names[i].flag);
}

void activation_to_options(unsigned flags, unsigned sector_size, char ret[static ACTIVATION_OPTIONS_SIZE]) {
        unsigned count = (unsigned) __builtin_popcount(flags) + (sector_size != 512);
        size_t n;

        *ret = 0;
        if (count == 0)
                return;
        n = (size_t) snprintf(ret, ACTIVATION_OPTIONS_SIZE, "%u", count);
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (flags & 1u << i)
                        n += (size_t) snprintf(ret + n, ACTIVATION_OPTIONS_SIZE - n, " %s", names[i].option);
        if (sector_size != 512)
                snprintf(ret + n, ACTIVATION_OPTIONS_SIZE - n, " sector_size:%u", sector_size);
}

static unsigned find_option(const char *p, size_t size) {
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (strlen(names[i].option) == size && strncmp(p, names[i].option, size) == 0)
                        return 1u << i;
        return 0;
}

int activation_from_options(const char *options, unsigned sector_size, unsigned *ret) {
        const char *p = options + strspn(options, "0123456789");
        unsigned long count = strtoul(options, NULL, 10), n = 0;
        bool sized = sector_size == 512;
        unsigned flags = 0;

        while (*p == ' ') {
                size_t size = strcspn(++p, " ");
                unsigned flag = find_option(p, size);

                if (flag == 0 && sector_size == 4096 && size == strlen("sector_size:4096") &&
                    strncmp(p, "sector_size:4096", size) == 0)
                        sized = true;
                else if (flag == 0)
                        return -EUCLEAN;
                flags |= flag;
                n++;
                p += size;
        }
        if (*p || !sized || n != count)
                return -EUCLEAN;
        *ret = flags;
        return 0;
}
