/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Privacy=strict: names become pseudonyms just before a record is encoded and mirrored. Pure, but for privacy_load().
 *
 *   writer ── privacy_record() ──┬── trail_append
 *                                └── mirror_queue           what joins by names (uses.h, workloads.h) has done so before
 *
 * A pseudonym is "~" and 16 hexadecimal digits of an HMAC-SHA-256 over the name: the same name has the same one wherever it
 * stands, so that records can be joined, counted and filtered by it, and only who has the key can say which name it is. It
 * does not depend on the field: a volume is the same in "volume", in its mapping's dm_uuid and in a message. The LUKS UUID
 * becomes one of version 8. What has a form keeps it: https://~HOST/keys/~KEY/VERSION, /dev/mapper/~NAME,
 * /system.slice/~UNIT.service.
 *
 * Each field of the schema (cmkd-audit(5)) stands in one table with what is done to it; a field that does not is a text. In
 * a text only words that cmkd's own messages are made of, numbers and errors stay (plain-words.h), unless the record has
 * them as a name. Nothing passes because it is not known.
 *
 * The key: a file of 32 bytes or more, which only its owner may read. Here it is in a struct secret, and in OpenSSL's
 * context only while a record is worked on. */

#include "common/audit-proto.h"
#include "common/secret.h"

#define PRIVACY_KEY_MIN 32u
#define PRIVACY_WORD_SIZE 18u              /* "~", 16 digits, the end */
#define PRIVACY_ID_SIZE 17u

struct privacy;

/* key becomes the privacy's, also on failure; at least PRIVACY_KEY_MIN bytes. Returns 0, -ENOMEM or -EIO (of OpenSSL). */
int privacy_new(struct secret *key, struct privacy **ret);
struct privacy *privacy_free(struct privacy *p);
static inline void privacy_freep(struct privacy **p) { privacy_free(*p); }

/* The same from a file. Returns 0, -EPERM (others may read it, or it is neither root's nor ours), -EINVAL (no regular
 * file, or not 32 to 4096 bytes), -ENOMEM, -EIO, or what open(2) says. */
int privacy_load(const char *path, struct privacy **ret);

/* In which mount namespace (the number of /proc/PID/ns/mnt; 0: not known) a path below /usr is a package's. From then on
 * programs of records of another one, or without one, keep their paths only if every word in them is everybody's. Not called: all are in one. */
void privacy_set_place(struct privacy *p, uint64_t mnt_ns);

/* Which key it is, for records: 16 digits of an HMAC over a constant. */
const char *privacy_id(const struct privacy *p);

/* Replaces every name in the values of m. A value that becomes too long is cut off between words. Returns 0 or -EIO: m is
 * as it was, and must not be written. */
int privacy_record(struct privacy *p, struct audit_message_record *m);

/* What becomes of a value in that field: of "volume" a pseudonym, of "uuid" one of that form. What does not fit is cut off.
 * Returns 0 or -EIO. */
int privacy_value(struct privacy *p, const char *field, const char *value, char *buf, size_t size);

/* The pseudonym of one name. Returns 0 or -EIO. */
int privacy_word(struct privacy *p, const char *name, char ret[static PRIVACY_WORD_SIZE]);

/* The table's fields, for tests: the one with that number, NULL behind the last. */
const char *privacy_field(size_t i);
