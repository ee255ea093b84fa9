/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One verb for one or several volumes: all calls are in flight at once, on one connection.
 *
 *   NAME NAME NAME ─► checked, all ─► Attach, Attach, Attach ─► a line each, as they end ─► exit code of the first in the
 *                                          ▲  failed, --wait │                              order given that failed
 *                                          └──── patience.h ◄┘
 *
 * What is wrong with one stops no other, but for usage: then nothing is asked of the daemon. With --json one volume is an
 * object, printed where it is done; several are a list in the order given, and what failed is in it too. */

#include "ctl.h"

struct volume_call {
        const char *member;            /* the manager's method; its first argument is the volume */
        const char *flag;              /* a boolean option of it; "": it takes options, none of them from here; NULL: none */
        bool says_node;                /* its reply: name, node, changed; else: changed */
        const char *done;              /* "open": for people */
        const char *json_state;        /* NULL, or the member "state" */
        int (*check)(const char *what);
        int (*run)(const char *what);  /* in place of a call: returns an exit code, prints by itself. NULL: the call */
};

enum calls_flags {
        CALLS_OPTION = 1 << 0,         /* with the call's boolean option */
        CALLS_JSON = 1 << 1,
        CALLS_LIST = 1 << 2,           /* JSON is a list even for one */
};

/* what: the volumes, n of them. flags: enum calls_flags. wait_seconds: how long to try again what may get better. Returns an exit
 * code. */
int calls_run(const struct volume_call *call, char *const *what, size_t n, unsigned flags, uint64_t wait_seconds);
