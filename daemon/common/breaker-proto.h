/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Manager <-> cmkd-breaker, over /run/cmkd/breaker.sock (SEQPACKET, root only): plain structures of a fixed size, since
 * the breaker allocates nothing after its start. It keeps a slot a volume, by dm uuid.
 *
 *   SET     arms or renews: at the deadline (either clock) the breaker does the action by itself
 *   CLEAR   the volume is closed, forget it
 *   ACT     do the action now (cut, power off)
 *   LIST    every slot, one reply each, then one with state BREAKER_END
 *
 * Each request has one reply (LIST: n + 1). When the connection goes, slots and deadlines stay. */

#include "util.h"

#define BREAKER_SOCKET "/run/cmkd/breaker.sock"
#define BREAKER_MAGIC UINT32_C(0x6b726263)
#define BREAKER_SLOTS 512

enum breaker_request_type { BREAKER_SET = 1, BREAKER_CLEAR, BREAKER_ACT, BREAKER_LIST };

enum breaker_action {
        BREAKER_ACTION_REPORT = 0,       /* say so in the log and keep the slot */
        BREAKER_ACTION_CUT,              /* load the error table */
        BREAKER_ACTION_POWEROFF,         /* cut, then power off */
        BREAKER_ACTION_REBOOT,
};

enum breaker_state { BREAKER_EMPTY = 0, BREAKER_ARMED, BREAKER_TRIPPED, BREAKER_FAILED, BREAKER_END };

struct breaker_slot {
        char name[64];                   /* of the volume, for messages; not NUL-terminated at 64 */
        char dm_uuid[128];               /* "CRYPT-LUKS2-<32 hex digits>-<mapping>": what must be the mapping's, or no cut */
        uint64_t sectors;
        uint64_t deadline_boottime_usec; /* 0: none by this clock */
        uint64_t deadline_realtime_usec;
        uint32_t action;                 /* enum breaker_action */
        uint32_t state;                  /* enum breaker_state; in replies */
        int32_t error;                   /* of the last act; negative errno */
        uint32_t reserved;
        uint64_t tripped_boottime_usec;  /* when the error table was in place; 0: not */
};

struct breaker_request {
        uint32_t magic;
        uint16_t version;                /* 1 */
        uint16_t type;
        uint32_t id;
        uint32_t reserved;
        struct breaker_slot slot;
};

struct breaker_reply {
        uint32_t magic;
        uint16_t version;
        uint16_t type;
        uint32_t id;
        int32_t error;                   /* of the request */
        struct breaker_slot slot;
};

_Static_assert(sizeof(struct breaker_slot) == 64 + 128 + 24 + 16 + 8, "wire layout");
_Static_assert(sizeof(struct breaker_request) == 16 + sizeof(struct breaker_slot), "wire layout");
_Static_assert(sizeof(struct breaker_reply) == sizeof(struct breaker_request), "wire layout");
