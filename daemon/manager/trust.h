/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The node's list of volumes it trusts: one small INI file an entry, DIR/UUID.conf, root only. `format` and `enroll`
 * write it; with Trust=listed nothing is opened that is not on it.
 *
 * Invariants of a list: UUIDs are unique, names are unique, every entry is complete and valid. A file that is not (also
 * one that others than root may write, or whose name is not its UUID) is left out and named in `bad`. */

#include "common/trust-entry.h"

#define TRUST_DIRECTORY "/var/lib/cmkd/trust"
#define TRUST_ENTRIES_MAX 1024u

/* On a signed list, and not for this node: why such a disk is refused. */
struct trust_elsewhere {
        char uuid[37];
        char node[65];
};

struct trust_list {
        struct trust_entry *entries;
        size_t n_entries;
        struct trust_elsewhere *elsewhere;
        size_t n_elsewhere;
        char **bad;                                /* "PATH: why", NULL-terminated; NULL: none */
        size_t n_bad;
};

/* Reads a directory; one that is missing is an empty list. Returns 0, -ENOMEM, -E2BIG (more than TRUST_ENTRIES_MAX
 * files), or what opendir(3) says. Bad files do not make it fail. */
int trust_load(const char *dir, struct trust_list **ret);

struct trust_list *trust_free(struct trust_list *l);
static inline void trust_freep(struct trust_list **l) { trust_free(*l); }

/* NULL where there is none. */
const struct trust_entry *trust_find_uuid(const struct trust_list *l, const char *uuid);
const struct trust_entry *trust_find_name(const struct trust_list *l, const char *name);

/* The node that a signed list names for a UUID which is not for this one, or NULL. */
const char *trust_find_elsewhere(const struct trust_list *l, const char *uuid);

/* The entry of a volume that was copied with the image whose volume had that UUID, or NULL. */
const struct trust_entry *trust_find_made_from(const struct trust_list *l, const char *image);

/* k: as its token in a header has it, but for its name. */
void trust_key_take(struct trust_key *k, const struct disk_wrap *w);

/* What a header may say of an encryption that is under way (disk_flags of INSPECT): how many bytes may not be done yet, 0: it may not. */
uint64_t trust_left(const struct trust_entry *e, uint32_t header_flags);

/* As the volume that a header is of (the same flags) is trusted: the digest of its volume key, and what it may say of an encryption. */
void trust_fill_request(const struct trust_entry *e, uint32_t header_flags, struct disk_request *q);

/* Notes what was left out, for `bad`. Returns 0 or -ENOMEM. */
int trust_note_bad(struct trust_list *l, const char *dir, const char *file, const char *why);

/* A file that nobody but root may write: fd. */
bool trust_file_is_ours(int fd);

/* Adds an entry, durably (a missing directory is made). Returns 0, -EINVAL (not valid), -EEXIST (the name is listed
 * already, or the UUID, be it in a bad file), or what writing it says. */
int trust_add(const char *dir, const struct trust_entry *e);

/* Replaces the entry of that UUID, for a new generation, key or digest. Returns 0, -EINVAL, -ENOENT (not listed),
 * -EEXIST (its name is another entry's), -ESTALE (a key's generation would go back), or what writing it says. */
int trust_update(const char *dir, const struct trust_entry *e);

/* The same for a header that was put back because somebody asked for it: a generation may go back too. */
int trust_put_back(const char *dir, const struct trust_entry *e);

/* What another list has: in the place of what there was of that UUID, at each moment the one or the other; an entry of another UUID with that
 * name, which the other list cannot have, goes before. Returns 0, -EINVAL, or what reading and writing says. */
int trust_copy(const char *dir, const struct trust_entry *e);

/* Whether both are the same file. False also without memory. */
bool trust_is_same(const struct trust_entry *a, const struct trust_entry *b);

/* Returns 0, -EINVAL, -ENOENT, or what unlink(2) and fsync(2) say. */
int trust_remove(const char *dir, const char *uuid);

/* The same, but that the file is kept, as UUID.gone, which nobody reads. Returns 0, -EINVAL, or what rename(2) and fsync(2) say. */
#define TRUST_ASIDE ".gone"
int trust_set_aside(const char *dir, const char *uuid);
