/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What is pinned in a directory of bpffs, held open as well: while cmkd-audit runs, removing a pin detaches nothing, is
 * noticed, and the pin is put back. One that stands for something else by now is as good as removed: the kernel's numbers of what is
 * held and of what is pinned are compared. */

#include "common/util.h"

#define PIN_NAME_MAX 48u

struct pins;

/* name: of the pin. error: 0, or why it could not be put back (it is tried again, and said once). detached: it was
 * removed while nobody held it: what it stood for was gone until now. */
typedef void (*pins_missing)(void *user, const char *name, int error, bool detached);

/* Returns 0 or -ENOMEM. */
int pins_new(const char *dir, struct pins **ret);
struct pins *pins_free(struct pins *p);            /* the pins stay */

/* Holds what is pinned as name, instead of what was. fd: becomes the pins', also on failure. Returns 0 or -ENOSPC. */
int pins_hold(struct pins *p, const char *name, int fd);

/* A descriptor that stays with p, or -ENOENT. */
int pins_fd(const struct pins *p, const char *name);

/* The pin held as name was found missing and is there again: the next check says so. */
void pins_was_missing(struct pins *p, const char *name);

/* What a descriptor is of: a map, a link, a program, by its number, which no other of its kind has. */
struct pin_object {
        char kind[32];                     /* begins with "map", "link", "prog" */
        uint32_t id;
};

/* Returns 0 or -errno: nothing of the kind. */
int pin_object_of(int fd, struct pin_object *ret);

/* To be called each second, or less often: looks whether the directory changed, and at each pin if it did, at every tenth call, and after a
 * change once more; calls missing for those that were removed since, or replaced, and puts them back. */
void pins_check(struct pins *p, pins_missing missing, void *user);
