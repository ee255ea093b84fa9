/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The breaker as the manager sees it: it is told each volume's deadline, and told again whenever it was away. Nothing
 * is ever waited for: the manager acts by itself too, the breaker is there for when the manager does not. */

#include <systemd/sd-event.h>

#include "common/breaker-proto.h"

struct breaker_link;

struct breaker_events {
        /* The connection stands (again); found: what the breaker holds, n of them, valid during the call. Time to set every
         * volume's slot. */
        void (*ready)(const struct breaker_slot *found, size_t n, void *user);
        /* A slot's answer to SET, ACT: state and error tell what became of it. */
        void (*slot)(int error, const struct breaker_slot *s, void *user);
};

/* Connects at once and again every second while it fails. events: static. Returns 0 or -ENOMEM. */
int breaker_link_new(sd_event *event, const struct breaker_events *events, void *user, struct breaker_link **ret);
struct breaker_link *breaker_link_free(struct breaker_link *b);

/* Each returns 0 or a negative errno when the breaker is not there or does not read (the link then reconnects). */
int breaker_set(struct breaker_link *b, const struct breaker_slot *s);
int breaker_clear(struct breaker_link *b, const char *dm_uuid);
int breaker_act(struct breaker_link *b, const struct breaker_slot *s);

bool breaker_is_ready(const struct breaker_link *b);
