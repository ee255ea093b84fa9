/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Loads, attaches and pins the programs of bpf/, and finds them again after a restart.
 *
 *   /sys/fs/bpf/cmkd/v2-DIGEST/   events lost submitted reported missed self   the shared maps
 *                                 guard programs devices own               and those of the guard (event.h)
 *                                 units metadata                           of connect.bpf.c (connect.h)
 *                                 workloads unattributed                   of io.bpf.c
 *                                 link-PROGRAM ...                         what keeps a program attached
 *                                 loaded-OBJECT                            all that this object could attach is pinned
 *                                 failed-PROGRAM                           and this one could not be attached
 *
 * DIGEST is of the programs' code and the ring's size: another build of cmkd-audit replaces them (what the old ring
 * still holds is handed out first), the same build goes on with them as they are. Events flow into the ring whether or
 * not cmkd-audit runs. A pin that somebody removes or replaces is put back and said: at once (pins.h), or by the next start
 * (belonging.h; also when all are gone, with their bpffs).
 * A hook that this kernel does not have, or a module that is not loaded, leaves the rest working: probes_coverage(). */

#include "event.h"
#include "misses.h"
#include "pins.h"

#define PROBES_ROOT "/sys/fs/bpf/cmkd"
#define PROBES_MARK "/run/cmkd/probes"       /* there from the first start of a boot on, until a release */
#define PROBES_MAX 64u

struct probe_status {
        char program[CMKD_PROGRAM_SIZE];   /* "on_crypt_ctr" */
        char why[96];                      /* empty: attached */
};

struct probes_coverage {
        size_t n;
        struct probe_status items[PROBES_MAX];
        size_t n_missing;
        bool reused;                       /* nothing had to be loaded: events went on while cmkd-audit was gone */
};

struct probes;

/* Loads what is not there yet. ring_size: in bytes, 0 for the usual one. Missing hooks are not an error.
 * Returns 0, -ENOMEM, or -errno (no bpffs, no permission:
 * nothing can be recorded from the kernel). */
int probes_open(uint32_t ring_size, struct probes **ret);
struct probes *probes_free(struct probes *p);      /* the programs stay attached */
static inline void probes_freep(struct probes **p) { probes_free(*p); }

/* Tries once more to load the objects that could not be (their module has come meanwhile). Returns 1 if the coverage
 * changed, 0, or -errno. */
int probes_retry(struct probes *p);

/* Once in a while: calls missing for each pin that was removed, and puts it back. */
void probes_check_pins(struct probes *p, pins_missing missing, void *user);

const struct probes_coverage *probes_coverage(const struct probes *p);

/* The ring buffer's map, and a name for it: never the same for another one ("BOOT.ID"). */
int probes_events_fd(const struct probes *p);
const char *probes_events_name(const struct probes *p);

/* The maps of io.bpf.c (workloads.h), or -errno: that one is not loaded. */
int probes_workloads_fd(const struct probes *p);
int probes_unattributed_fd(const struct probes *p);

/* Where the pins are. What another build left beside it is detached: see probes-old.h. */
const char *probes_dir(const struct probes *p);

/* Events that found no room, by kind, not counting those already reported; and says that these are now. Returns their
 * sum, or -errno. */
int64_t probes_lost(struct probes *p, uint64_t ret[static _CMKD_EVENT_MAX]);
int probes_lost_reported(struct probes *p, const uint64_t lost[static _CMKD_EVENT_MAX]);

/* What the kernel passed the i-th program of the coverage over, not counting what was reported; and says that it is now. Returns 0, or
 * -errno: not known (it is not attached). */
int probes_missed(const struct probes *p, size_t i, struct misses *ret);
int probes_missed_reported(const struct probes *p, const struct misses *m);

/* Events that were put into the ring since it is there. */
uint64_t probes_submitted(struct probes *p);

/* Removes what is pinned, of this build and of others: all programs are detached once nobody else holds them. Returns how
 * many pins that were. */
unsigned probes_release(void);

/* A map by its name ("guard"), which stays with p, or -ENOENT. */
int probes_map(const struct probes *p, const char *name);

/* Asks device-mapper for the status of a mapping that does not exist: an event has to come of it. Returns 0, or
 * -errno (no device-mapper: no echo to expect). */
int probes_heartbeat(void);
