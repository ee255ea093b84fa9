/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The initramfs of this machine, which has a copy of the node's list: built anew where what it has would refuse a volume of role os.
 *
 *   boot_image_list(): BOOT_IMAGE_DUE, then the list ─► boot_image_build(): cmkd-initramfs.service ─► it takes the mark away
 *
 * Invariants: the mark is there before the list is another one, and goes only where every image has the list of a time after it was made; so
 * that whoever finds none may write to the disk what only the new list opens. The unit is wanted by cmkd.service too: what was interrupted
 * is done by the next start. */

#include "common/paths.h"
#include "header-work.h"

#define BOOT_IMAGE_DUE_NAME "initramfs-due"
#define BOOT_IMAGE_DUE STATE_DIRECTORY "/" BOOT_IMAGE_DUE_NAME
#define BOOT_IMAGE_UNIT "cmkd-initramfs.service"

/* why: NULL, every image has the list; else a sentence without an end. */
typedef void (*boot_image_done)(const char *why, void *user);

/* As header_work_list(), of an entry that a volume of role os is opened by in the initramfs; marks it due first. For other roles: the same as
 * that. Returns its errors and those of write_file_atomic(). */
int boot_image_list(struct header_work *w, const struct trust_entry *t);

/* Marks it due, before something changes that it is to know. Returns as write_file_atomic(). */
int boot_image_mark(void);

bool boot_image_is_due(void);

/* What made it due was undone before anything depended on it. */
void boot_image_forget(void);

/* Builds it. done is called once, never from inside. Returns 0, -ENOTCONN (there is no system bus, on which systemd is) or
 * what unit_jobs_start() says: done is not called. */
int boot_image_build(struct manager *m, boot_image_done done, void *user);

/* What it returned, in the words of boot_image_done. */
static inline const char *boot_image_why(int error) {
        return error == -ENOTCONN ? "the system bus, on which systemd is, is not there" : strerror(-error);
}
