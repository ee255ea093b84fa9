/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The operations of cmkd-disk, one function each; main.c has the table, common/disk-serve.h says how they are called. */

#include "common/disk-serve.h"
#include "common/secret.h"
#include "luks.h"
#include "token.h"

/* Reads secret W from the child's pipe. Returns 0, or an error as of op_fail(): -EBADF (there is no pipe), -EPIPE (it
 * ended early: the worker gave nothing), -EPERM or -ENOMEM (no memory that a key may live in). */
int op_read_secret(struct secret **ret, struct disk_reply *y);

/* ops-inspect.c, ops-format.c, ops-open.c, ops-recognize.c */
int op_inspect(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_format(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_check(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_erase(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_activate(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_unlock_key(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_resume(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_recognize(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);

/* ops-wrap.c: one more key, and one less; a key's next version, and none of that version any more */
int op_wrap_add(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_wrap_remove(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_wrap_rotate(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_wrap_drop(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);

/* What a request says of a key that is to be enrolled. Fills y: -EINVAL, -EOPNOTSUPP (its algorithm). */
int op_check_new_key(const struct disk_request *q, struct disk_reply *y);

/* Whether W and what it is wrapped as come with the request: of a symmetric key, and where the vault keeps the wrapped key. Else both
 * are made here. */
bool op_is_given_secret(const struct disk_request *q);

/* W of a header that is to be made: from the pipe where the vault made it, else random. Returns 0, or an error as of op_fail(): those of
 * op_read_secret(). */
int op_new_secret(const struct disk_request *q, struct secret **ret, struct disk_reply *y);

/* The token of that key, of q's generation: W wrapped (here, or as the request has it), a new salt; keyslot
 * and MAC are for later. Returns 0 or an error of wrap_secret(). */
int op_fill_token(const struct disk_request *q, const char *uuid, const struct secret *w, struct token *ret);

/* A new keyslot's token and key: W is made here, or is what its vault made and unwrapped again, from fd. Returns 0, -EBADF (there is no fd
 * for it), or errors of secret_random(), secret_read(), op_fill_token() and unlock_key_derive(). */
int op_new_wrap(const struct disk_request *q, const char *uuid, int fd, struct token *ret, struct secret **ret_unlock_key);

/* Of FORMAT, for whoever makes a volume: whether the request has what a new one needs, and its header (uuid: q's, or a new one).
 * op_make_image() returns as luks_format_image(). */
int op_check_new_volume(const struct disk_request *q, struct disk_reply *y);
int op_make_image(const struct disk_request *q, unsigned sector_size, const struct secret *w, char uuid[static 37], struct luks *l,
                  int *ret_fd);

/* ops-encrypt.c: a device with a file system that stays */
int op_encrypt_stage(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_encrypt_begin(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_encrypt_run(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);

/* ops-reencrypt.c: another volume key */
int op_reencrypt_stage(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_reencrypt_wrap(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_reencrypt_begin(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);

/* ops-personalize.c: a copy of an image's header becomes one of its own */
int op_personalize_stage(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);

/* ops-backup.c: a copy of the header into a file */
int op_header_backup(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);

/* ops-restore.c: a header from a file, looked at; and put in the place of the one there is */
int op_header_candidate(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_header_restore(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);

/* ops-takeover.c: a LUKS volume that somebody else made */
int op_take_over_look(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_take_over(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_keyslots_remove(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);

/* ops-accept.c: what others changed in a header becomes what is enrolled */
int op_header_accept(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);

/* ops-scratch.c: a new key, known to nobody, for a disk whose content is nobody's any more */
int op_scratch(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);

/* The recovery key: ops-recovery.c */
int op_recovery_add(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_recovery_rotate(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_recovery_remove(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
int op_recovery_test(const struct disk_request *q, int in_fd, int *ret_fd, struct disk_reply *y);
