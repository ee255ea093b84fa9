/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Who uses a volume and what stands on it, as cmkd-ladder lists it for the manager: lines in a memfd that comes with the
 * reply to DISK_OP_USES.
 *
 *   KIND FLAGS NUMBER NAME EXTRA        "process 0 912 postgres /system.slice/postgresql.service"
 *   total MOUNTS SWAPS PROCESSES DEVICES  last: how many there are; listed are USES_LISTED_MAX of each at most
 *
 * White space, backslashes and what is not printable ASCII is written \xHH, an empty text "\-". Names are of whoever may
 * mount and start processes, and treated so. */

#include "util.h"

#define USES_LISTED_MAX 400u
#define USES_TEXT_MAX (1024u * 1024u)

enum use_kind { USE_MOUNT, USE_SWAP, USE_PROCESS, USE_DEVICE, _USE_KIND_MAX };

enum use_flags {
        USE_PROTECTED = 1 << 0,          /* PROCESS: never signalled (process 1, cmkd's own) */
        USE_BELOW = 1 << 1,              /* MOUNT: of another file system, somewhere below one of the volume's */
        _USE_FLAGS_ALL = (1 << 2) - 1,
};

struct use {
        enum use_kind kind;
        unsigned flags;                  /* enum use_flags */
        uint32_t number;                 /* PROCESS: its pid; MOUNT: of one in its namespace, 0: our own; DEVICE: depth */
        const char *name;                /* mount point, path of the swap area, name of the process or device */
        const char *extra;               /* PROCESS: its control group; DEVICE: "dm-3 252:3" */
};

struct uses {
        char *text;                      /* what the names point into */
        struct use *u;
        size_t n;
        uint64_t total[_USE_KIND_MAX];
};

/* Writes one line with its newline. Returns its length or -ENAMETOOLONG (buf is not to be used then). */
int use_line_format(const struct use *u, char *buf, size_t size);

/* The last line. The same errors. */
int uses_total_format(const uint64_t total[static _USE_KIND_MAX], char *buf, size_t size);

/* Reads a whole text, which is taken over (malloc()ed; freed on an error too). Returns 0, -EBADMSG (not of that form to the
 * letter, cut off, more lines than may be) or -ENOMEM. */
int uses_parse(char *text, struct uses *ret);

/* Reads it from the descriptor that came with the reply. Returns as uses_parse(), -EFBIG, or what pread(2) says. */
int uses_read(int fd, struct uses *ret);

void uses_done(struct uses *u);

/* A name as it stands in a line, for people and for what takes UTF-8 only; cut off to fit. */
void use_text_escape(const char *s, char *buf, size_t size);

const char *use_kind_to_string(enum use_kind k);
