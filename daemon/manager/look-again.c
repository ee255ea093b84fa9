/* SPDX-License-Identifier: Apache-2.0 */
#include "look-again.h"

#include "manager.h"

#define AGAIN_MAX_SEC 15u

int look_again(struct volume *v, unsigned failures, sd_event_time_handler_t f, void *user) {
        unsigned doubled = MIN_OF(failures, 4u);
        uint64_t sec = MIN_OF(1u << doubled, AGAIN_MAX_SEC);
        int r;

        v->look_timer = sd_event_source_disable_unref(v->look_timer);
        r = sd_event_add_time_relative(v->manager->event, &v->look_timer, CLOCK_BOOTTIME, sec * USEC_PER_SEC, 0, f, user);
        if (r >= 0)
                (void) sd_event_source_set_destroy_callback(v->look_timer, free);
        return r < 0 ? r : 0;
}

void look_again_begin(struct volume *v) {
        (void) sd_event_source_set_destroy_callback(v->look_timer, NULL);
        v->look_timer = sd_event_source_disable_unref(v->look_timer);
}
