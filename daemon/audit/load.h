/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Loads and attaches the programs of bpf/, object by object, and finds again what is pinned (probes.h has the names).
 * All links are held open: see pins.h. An object of which a link was removed is loaded once more; each of its programs
 * takes the place of the one that is attached, so that nothing is blind meanwhile. A program that this kernel's verifier
 * refuses is left out, and the others of its object are loaded without it. */

#include "pins.h"
#include "probes.h"

#define PROBES_DIR_MAX 96
#define LOAD_OBJECTS 6u

struct load {
        const char *dir;
        uint32_t ring_size;
        struct pins *pins;
        struct probes_coverage *coverage;
        struct btf *kernel;                /* NULL, except while objects are being loaded */
        bool settled[LOAD_OBJECTS];        /* loaded, or found so: what could not be attached then is not tried again */
};

/* Each object that is not completely there. Returns 1 (something was loaded), 0, or -errno. */
int load_objects(struct load *l);

/* Where this build pins. Returns 0 or -EIO. */
int load_dir(uint32_t ring_size, char ret[static PROBES_DIR_MAX]);
