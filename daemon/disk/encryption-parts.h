/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Between encryption.c and reencryption.c only: the parts of a header that say what is under way. */

#include "encryption.h"

#define ENCRYPTION_CIPHER "aes-xts-plain64"

/* At most three that count (the moved one, the rest, what is done) and one half-way, and three that say how it was and will be. */
#define SEGMENTS_MAX 7u

struct encryption_found {
        const struct json_object *previous, *final, *moved;
        int previous_id, final_id;
        const struct json_object *live[SEGMENTS_MAX];
        unsigned n_live;
        const struct json_object *reencrypt;     /* the keyslot that says how it is done */
        const char *keyslot, *digest;            /* its number, and that of its digest: they go when it is done */
        const char *old, *new;                   /* reencryption.c: the digests of the volume keys */
};

/* Fills why, returns error. */
int encryption_refuse(struct header_why *why, int error, const char *format, ...) _printf_(3, 4);

bool encryption_text_is(const struct json_object *o, const char *member, const char *text);
bool encryption_is_only(const struct json_object *array, const char *text);

/* The only flag of a segment, "" where it has none, NULL where it has more. */
const char *encryption_flag(const struct json_object *segment);

/* reencryption.c: header_settle() of a change of the volume key. settle: makes the copy what it will be. */
int reencryption_check(const struct json_object *metadata, uint64_t device_size, struct encryption_found *f, struct header_encryption *x,
                       struct header_why *why);
int reencryption_settle(struct json_object *copy, const struct encryption_found *f);

/* One segment, as the final one is, and nothing that is required. Returns 0 or -ENOMEM. */
int encryption_settle_segments(struct json_object *copy, const struct encryption_found *f);
