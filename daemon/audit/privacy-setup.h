/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Whether names are written, decided once at the start:
 *
 *   configuration     key       what is done
 *   off               -         names; the mark is removed
 *   strict            good      pseudonyms; the mark is set
 *   strict            none      nothing is recorded at all: cmkd-audit ends (no audit, no key), and is started again and again
 *   strict, initramfs -         there is no key in an image: names stay in /run until the real start (privacy-early.h), nothing is
 *                               mirrored
 *   not readable      -         as strict without a key, if the mark is there or Privacy= is the mistake; else names
 *
 * The mark (DIR/trail.privacy) says that the last trail had pseudonyms: a mistake in the configuration tells no names. */

#include "audit.h"
#include "privacy.h"

#include "common/config.h"

/* config: NULL if it could not be read, why then says so. Fills in options->privacy, the caller's to free when all is over,
 * and unmirrored. Returns 0, or -ENOKEY: names must not be written and there is no key; it is logged. */
int privacy_setup(struct audit_options *options, const struct config *config, const char *why);

/* Sets or removes the mark. Returns 0 or -errno. */
int privacy_mark(const char *dir, bool strict);
