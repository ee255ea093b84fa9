/* SPDX-License-Identifier: Apache-2.0 */
#include "bus.h"
#include "print.h"

#include <ctype.h>

#define DEPTH_MAX 8u

static int convert(sd_bus_message *m, unsigned depth, struct json_object **ret);

/* LeaseLeftSec: lease_left_sec; UUID: uuid. */
static void snake_case(const char *s, char *buf, size_t size) {
        size_t n = 0;

        for (const char *p = s; *p && n + 2 < size; p++) {
                if (p > s && isupper((unsigned char) *p) && islower((unsigned char) p[-1]))
                        buf[n++] = '_';
                buf[n++] = (char) tolower((unsigned char) *p);
        }
        buf[n] = 0;
}

static int convert_number(sd_bus_message *m, char type, struct json_object **ret) {
        union { uint8_t y; int b; int16_t n; uint16_t q; int32_t i; uint32_t u; int64_t x; uint64_t t; double d; } v;
        int r = sd_bus_message_read_basic(m, type, &v);

        if (r < 0)
                return r;
        switch (type) {
        case 'y': *ret = json_object_new_uint64(v.y); break;
        case 'b': *ret = json_object_new_boolean(v.b); break;
        case 'n': *ret = json_object_new_int64(v.n); break;
        case 'q': *ret = json_object_new_uint64(v.q); break;
        case 'i': *ret = json_object_new_int64(v.i); break;
        case 'u': *ret = json_object_new_uint64(v.u); break;
        case 'x': *ret = json_object_new_int64(v.x); break;
        case 't':
                *ret = NULL;                    /* json-c's null: the daemon's "there is none" */
                if (v.t == UINT64_MAX)
                        return 0;
                *ret = json_object_new_uint64(v.t);
                break;
        case 'd': *ret = json_object_new_double(v.d); break;
        default: return -EBADMSG;
        }
        return *ret ? 0 : -ENOMEM;
}

static int convert_pair(sd_bus_message *m, const char *contents, unsigned depth, struct json_object *object) {
        struct json_object *value = NULL;
        const char *key;
        char name[256];
        int r;

        r = sd_bus_message_enter_container(m, 'e', contents);
        if (r >= 0)
                r = sd_bus_message_read_basic(m, contents[0], &key);
        if (r >= 0)
                r = convert(m, depth, &value);
        if (r < 0)
                return r;
        snake_case(key, name, sizeof(name));
        if (json_object_object_add(object, streq(contents, "sv") ? name : key, value) < 0) {
                json_object_put(value);
                return -ENOMEM;
        }
        return sd_bus_message_exit_container(m);
}

/* An array of dictionary entries is an object, another array and a struct are arrays. */
static int convert_container(sd_bus_message *m, char type, const char *contents, unsigned depth,
                             struct json_object **ret) {
        _cleanup_(json_object_putp) struct json_object *o = NULL;
        bool dictionary = type == 'a' && contents[0] == '{';
        char entry[64] = "";
        int r;

        if (dictionary) {
                if (contents[1] != 's' && contents[1] != 'o')
                        return -EBADMSG;
                snprintf(entry, sizeof(entry), "%.*s", (int) strlen(contents) - 2, contents + 1);
        }
        o = dictionary ? json_object_new_object() : json_object_new_array();
        if (!o)
                return -ENOMEM;
        r = sd_bus_message_enter_container(m, type, contents);
        while (r >= 0 && (r = sd_bus_message_at_end(m, 0)) == 0) {
                struct json_object *item = NULL;

                if (dictionary) {
                        r = convert_pair(m, entry, depth, o);
                        continue;
                }
                r = convert(m, depth, &item);
                if (r >= 0 && json_object_array_add(o, item) < 0) {
                        json_object_put(item);
                        r = -ENOMEM;
                }
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(o);
        return 0;
}

static int convert(sd_bus_message *m, unsigned depth, struct json_object **ret) {
        const char *contents, *text;
        char type;
        int r;

        if (depth == DEPTH_MAX)
                return -ELOOP;
        r = sd_bus_message_peek_type(m, &type, &contents);
        if (r <= 0)
                return r < 0 ? r : -EBADMSG;
        switch (type) {
        case 's': case 'o': case 'g':
                r = sd_bus_message_read_basic(m, type, &text);
                if (r < 0)
                        return r;
                *ret = json_object_new_string(text);
                return *ret ? 0 : -ENOMEM;
        case 'v':
                r = sd_bus_message_enter_container(m, 'v', contents);
                if (r >= 0)
                        r = convert(m, depth + 1, ret);
                return r < 0 ? r : sd_bus_message_exit_container(m);
        case 'a': case 'r':
                return convert_container(m, type, contents, depth + 1, ret);
        default:
                return convert_number(m, type, ret);
        }
}

int bus_message_to_json(sd_bus_message *m, struct json_object **ret) {
        struct json_object *o = NULL;
        int r = convert(m, 0, &o);

        if (r < 0) {
                json_object_put(o);
                return r;
        }
        *ret = o;
        return 0;
}
