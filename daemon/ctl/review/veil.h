/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What somebody asks a trail for whose names are pseudonyms (Privacy=strict): the names of the question become pseudonyms too.
 *
 *   --volume data1 ── veil ──► ~1f3a... ── is what the record has
 *
 * The key is --privacy-key's, or on the node the configuration's, if it can be read. Without one only pseudonyms can be asked for. */

#include "audit/privacy.h"
#include "common/config.h"
#include "ctl/ctl.h"

struct veil {
        struct privacy *privacy;           /* owned; NULL: there is no key */
        char *volume, *key, *actor, *unit; /* owned: of the filter's; NULL: not asked for */
        char **normal;                     /* owned, NULL at the end: programs and units that are normal, by name and pseudonym */
};

/* The key that the command line names, or the node's (config may be NULL). ret stays NULL without one. As in ctl.h, an exit
 * code; a key of --privacy-key that cannot be used is one of failure. */
int veil_key(const struct invocation *in, const struct config *config, struct privacy **ret);

/* The pseudonyms of a filter's words; each may be NULL. baseline: NULL at the end, or NULL. v->privacy is set before. Returns 0,
 * -ENOMEM or -EIO. */
int veil_words(struct veil *v, const char *volume, const char *key, const char *actor, const char *unit, const char *expected,
               char *const *baseline);
void veil_done(struct veil *v);

/* A name as its form says: a key's address, a UUID, a path, a unit, else a plain one. Returns 0 or -EIO. */
int veil_name(struct privacy *p, const char *name, char *buf, size_t size);
