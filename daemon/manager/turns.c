/* SPDX-License-Identifier: Apache-2.0 */
#include "turns.h"

static void counts_no_more(struct turn *turn) {
        struct turns *t = turn->turns;

        if (!turn->end)
                return;
        turn->end = sd_event_source_disable_unref(turn->end);
        t->n--;
        if (!STAILQ_EMPTY(&t->waiting))
                (void) sd_event_source_set_enabled(t->next, SD_EVENT_ONESHOT);
}

static int on_end(sd_event_source *s _unused_, uint64_t usec _unused_, void *user) {
        counts_no_more(user);
        return 0;
}

/* Without memory it is not counted. */
static void begin(struct turns *t, struct turn *turn) {
        if (sd_event_add_time_relative(t->event, &turn->end, CLOCK_BOOTTIME, t->usec, 0, on_end, turn) >= 0)
                t->n++;
}

static int on_next(sd_event_source *s _unused_, void *user) {
        struct turns *t = user;
        struct turn *turn;

        while (t->n < t->max && (turn = STAILQ_FIRST(&t->waiting))) {
                STAILQ_REMOVE_HEAD(&t->waiting, waiting);
                turn->waits = false;
                begin(t, turn);
                turn->begin(turn->user);
        }
        return 0;
}

int turns_init(struct turns *t, sd_event *event, unsigned max, uint64_t usec) {
        *t = (struct turns) { .event = event, .max = max, .usec = usec };
        STAILQ_INIT(&t->waiting);
        if (sd_event_add_defer(event, &t->next, on_next, t) < 0 || sd_event_source_set_enabled(t->next, SD_EVENT_OFF) < 0)
                return -ENOMEM;
        return 0;
}

void turns_done(struct turns *t) {
        t->next = sd_event_source_disable_unref(t->next);
}

bool turn_take(struct turns *t, struct turn *turn, void (*begin_later)(void *user), void *user) {
        *turn = (struct turn) { .turns = t, .begin = begin_later, .user = user };
        if (t->n < t->max && STAILQ_EMPTY(&t->waiting)) {
                begin(t, turn);
                return true;
        }
        turn->waits = true;
        STAILQ_INSERT_TAIL(&t->waiting, turn, waiting);
        return false;
}

void turn_end(struct turn *turn) {
        if (turn->waits)
                STAILQ_REMOVE(&turn->turns->waiting, turn, turn, waiting);
        turn->waits = false;
        if (turn->turns)
                counts_no_more(turn);
}
