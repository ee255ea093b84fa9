/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* libcryptsetup, kept to what the operations need of it. The luks-*.c files are the only ones that include its header.
 *
 *   struct header (memfd) + data device ─► luks_open ─► luks_unlock ─► volume key ─► luks_activate / luks_resume
 *   luks_format_image: a new header in a memfd, nothing on any disk
 *
 * libcryptsetup sees a header only after header-check passed it, and only as the sealed memfd: it can neither read
 * another one nor write. Its own copies of keys are in its locked, wiped allocations. What it says when something fails
 * is kept in luks.said, for messages. */

#include "common/secret.h"
#include "header.h"

struct crypt_device;
struct dm_info;

struct luks {
        struct crypt_device *cd;
        char said[256];                /* its last error, empty: none */
};

/* Loads the header for a data device. l must stay where it is until luks_close(). Returns 0, -EUCLEAN (libcryptsetup
 * understands another header than header-check did), or its error. */
int luks_open(struct luks *l, const struct header *h, const char *device);

/* Opens a keyslot. Returns 0, -ENOKEY (the passphrase is not the one), -EBADMSG (a volume key of another size), errors of
 * secret_new(), or what libcryptsetup says. */
int luks_unlock(struct luks *l, int keyslot, const struct secret *passphrase, struct secret **ret_volume_key);

/* Makes the mapping, with these options (enum activation) and none that the header has besides; the volume key goes through this thread's keyring and is gone when the process is. Returns 0,
 * -EEXIST (a mapping of that name), -EBUSY (the device is in use), or what libcryptsetup says. */
int luks_activate(struct luks *l, const char *name, const struct secret *volume_key, unsigned activation, bool read_only);

/* Sets the volume key of a held mapping again and resumes it. Returns 0, -EINVAL (it is not held), or as above. */
int luks_resume(struct luks *l, const char *name, const struct secret *volume_key);

/* Removes a mapping that was just made and is not to stay. Returns 0 or what libcryptsetup says. */
int luks_remove(struct luks *l, const char *name);

void luks_close(struct luks *l);

/* What a new header is to be. */
struct luks_format {
        const char *uuid;
        const char *label;
        unsigned sector_size;
        const struct secret *volume_key;
        const struct secret *unlock_key;
        struct token *token;           /* its MAC is filled */
};

/* A recovery key that nobody is shown: its text, wrapped by the public half of a key in some vault, in a token of type
 * LUKS_ESCROW_TYPE beside the recovery key's. Whoever may decrypt with that key opens the volume. */
#define LUKS_ESCROW_TYPE "cmkd-escrow"

struct luks_escrow {
        const char *key, *algorithm;
        const uint8_t *wrapped;
        size_t wrapped_size;
};

/* luks-recovery.c. escrow: NULL: none. Each makes a new header from h, in a memfd that is the caller's, and writes to no disk. l is opened
 * for it (luks_close() as ever); device: as for luks_open(). Returns 0, -EEXIST or -ENOENT (there is a recovery key
 * already, there is none), the errors of luks_seal(), or what libcryptsetup says. */
int luks_recovery_add(struct luks *l, const struct header *h, const char *device, const struct secret *volume_key,
                      const struct secret *text, const struct luks_escrow *escrow, int *ret_image);
int luks_recovery_rotate(struct luks *l, const struct header *h, const char *device, const struct secret *volume_key,
                         const struct secret *text, int *ret_image);
int luks_recovery_remove(struct luks *l, const struct header *h, const char *device, const struct secret *volume_key,
                         int *ret_image);

/* luks-wrap.c: the same for one more key. t: of its token, whose keyslot is filled in; unlock_key: what opens it. Also
 * -ENOSPC (it has DISK_WRAPS_MAX already, or the only one is to go). */
int luks_wrap_add(struct luks *l, const struct header *h, const char *device, const struct secret *volume_key,
                  const struct secret *unlock_key, struct token *t, int *ret_image);
int luks_wrap_remove(struct luks *l, const struct header *h, const char *device, const struct secret *volume_key,
                     const struct header_wrap *w, int *ret_image);

/* The same for a header of another UUID, which t opens and nothing that h has: its keyslots and tokens are gone, its volume key is the
 * same. Also -ENOSPC (no room for one keyslot beside those of h). */
int luks_wrap_only(struct luks *l, const struct header *h, const char *device, const struct secret *volume_key,
                   const struct secret *unlock_key, const char *uuid, struct token *t, int *ret_image);

/* Of an image that was made from h, with keyslots in other places (header_successor()): a manifest over what it is now. Returns the
 * errors of luks_seal(), or what libcryptsetup says. */
int luks_reseal(struct luks *l, int image, const struct header *h, const char *device, const struct secret *volume_key);

/* luks-convert.c: what has a LUKS1 header in a file, with all of its keyslots and a little of its data, has one of LUKS2 then, with
 * the same UUID and keyslots. passphrase: of any of them. Returns 0, -ENOKEY (it opens none), -EINVAL (there is no room in front of
 * the data), or what libcryptsetup says. */
int luks_convert_image(struct luks *l, int image, const struct secret *passphrase, struct secret **ret_volume_key);

/* luks-convert.c: as luks_wrap_remove(), of all keyslots but those with keep[number], and of tokens that are left without one. */
int luks_keep_only(struct luks *l, const struct header *h, const char *device, const struct secret *volume_key, const bool *keep,
                   int *ret_image);

/* Opens the recovery key's keyslot of what luks_open() loaded. As luks_unlock(), and -ENOENT (there is no such key). */
int luks_recovery_unlock(struct luks *l, const struct header *h, const struct secret *text,
                         struct secret **ret_volume_key);

/* luks-scratch.c: a header that no keyslot opens, with the mark of a scratch disk (its name is f->label); of f, unlock_key and
 * token are not looked at. l can activate its mapping on device until luks_close(), and nobody ever again. The caller owns
 * *ret_fd. Returns 0, -errno of memfd_create(2), or what libcryptsetup says. */
int luks_scratch_image(struct luks *l, const struct luks_format *f, const char *device, int *ret_fd);

/* luks-encrypt.c: a device with plain data, in place. All return 0 or what libcryptsetup says; those that are given h also -EUCLEAN
 * (the header on the device is not h).
 * begin: header is a file with a header for the device, which is not in use; its first LUKS_FORMAT_DATA_OFFSET bytes are copied to its
 * end, and the file says then that the encryption has begun. Nothing else is written to the device.
 * The other two with header_lock_encryption().
 * activate: of such a header on the device; a part that was half-way is finished first. Also -EEXIST.
 * run: goes on with a mapping that is there, until all is done or progress (bytes; after each part) does not return 0. */
int luks_encrypt_begin(struct luks *l, const char *header, const char *device, int keyslot, const struct secret *unlock_key,
                       unsigned sector_size);
int luks_encrypt_activate(struct luks *l, const struct header *h, const char *device, const char *name, int keyslot,
                          const struct secret *unlock_key);
typedef int (*luks_progress)(uint64_t size, uint64_t done, void *user);
int luks_encrypt_run(struct luks *l, const struct header *h, const char *device, const char *name, int keyslot,
                     const struct secret *unlock_key, luks_progress progress, void *user);

/* luks-reencrypt.c: a header that gets another volume key beside the one it has, in an image. device: as for luks_open(). All return 0,
 * -ENOKEY (the bridge opens nothing), or what libcryptsetup says.
 * stage: of h: for its keyslot and each that there is a passphrase of, another one of the new key, which tokens name from then on. The caller
 * owns *ret_image. wrap: for one more keyslot. begin: without the bridge; under way from the beginning. token: the number of one whose
 * keyslot unlock_key opens. */
struct luks_rekey {
        const struct secret *new_key;
        int keyslot;                   /* which unlock_key opens */
        const struct secret *unlock_key;
        const struct secret *passphrases[HEADER_KEYSLOTS_MAX];     /* of others, by number; NULL: not known */
        bool drop[HEADER_KEYSLOTS_MAX];    /* of those, what may go */
        const struct secret *bridge;   /* NULL: none; else a keyslot with the new key that this opens, for wrap and begin */
};
int luks_rekey_stage(struct luks *l, const struct header *h, const char *device, const struct luks_rekey *k, int *ret_image);
int luks_rekey_wrap(struct luks *l, int image, const char *device, int keyslot, const struct secret *unlock_key,
                    const struct secret *bridge);
int luks_rekey_begin(struct luks *l, int image, const char *device, int token, const struct secret *unlock_key,
                     const struct secret *bridge, unsigned sector_size);

#define LUKS_FORMAT_DATA_OFFSET (16u << 20)

/* An empty memfd of so many bytes for a header of l's, and how libcryptsetup opens it. Returns the descriptor, the caller's, -errno of
 * memfd_create(2), or what libcryptsetup says. */
int luks_new_image(struct luks *l, const char *name, off_t size, char ret_path[static HEADER_PATH_MAX]);

/* Makes a LUKS2 header, with its keyslot, token and manifest, in a memfd of LUKS_FORMAT_DATA_OFFSET bytes or a little
 * more. The caller owns *ret_fd. Returns 0, the errors of token_format() and manifest_compute(), or what libcryptsetup
 * says. */
int luks_format_image(struct luks *l, const struct luks_format *f, int *ret_fd);
