/* SPDX-License-Identifier: Apache-2.0 */
#include "pause.h"

#include <syslog.h>
#include <time.h>

#include "common/log.h"
#include "key.h"
#include "manager.h"
#include "operation.h"
#include "pause-mark.h"
#include "wrap.h"

static int on_timer(sd_event_source *s, uint64_t usec, void *user);

uint64_t pause_limit(const struct volume *v, const char **ret_why) {
        uint64_t owner = USEC_INFINITY;

        for (unsigned i = 0; i < v->n_wraps; i++)
                if (v->wraps[i]->key)
                        owner = MIN_OF(owner, v->wraps[i]->key->attributes.floors.pause_max_usec);

        *ret_why = owner < PAUSE_MAX_USEC ? "so the key's owner says (tag cmkd-pause-max-sec)"
                                          : "a pause is for work that somebody attends";
        return MIN_OF(owner, PAUSE_MAX_USEC);
}

bool pause_is_set(const struct volume *v) {
        return v->lease.paused_until.boottime_usec > 0;
}

/* By the clock that is further on. */
static uint64_t left(const struct instant *until, struct instant now) {
        if (now.boottime_usec >= until->boottime_usec || now.realtime_usec >= until->realtime_usec)
                return 0;
        return MIN_OF(until->boottime_usec - now.boottime_usec, until->realtime_usec - now.realtime_usec);
}

uint64_t pause_until(const struct volume *v) {
        const struct instant *until = &v->lease.paused_until;
        struct instant now = instant_now();
        uint64_t span = left(until, now);

        if (!pause_is_set(v) || span == 0)
                return USEC_INFINITY;
        /* The two clocks are not read at one moment: without a reason the end does not move. */
        return now.realtime_usec + span + USEC_PER_SEC > until->realtime_usec ? until->realtime_usec
                                                                            : now.realtime_usec + span;
}

int pause_check(const struct volume *v, uint64_t until_realtime_usec, struct instant *ret, uint64_t *ret_latest,
                const char **ret_why) {
        struct instant now = instant_now();
        uint64_t limit = pause_limit(v, ret_why), spent = 0;

        if (until_realtime_usec <= now.realtime_usec)
                return -EINVAL;
        if (pause_is_set(v))
                spent = now.boottime_usec - MIN_OF(now.boottime_usec, v->paused_since_usec);
        spent = MIN_OF(spent, limit);
        if (until_realtime_usec - now.realtime_usec > limit - spent) {
                *ret_latest = now.realtime_usec + limit - spent;
                return -EPERM;
        }
        *ret = (struct instant) {
                .boottime_usec = now.boottime_usec + (until_realtime_usec - now.realtime_usec),
                .realtime_usec = until_realtime_usec,
        };
        return 0;
}

static void utc(uint64_t usec, char *buf, size_t size) {
        time_t t = (time_t) (usec / USEC_PER_SEC);
        struct tm tm;

        if (!gmtime_r(&t, &tm) || strftime(buf, size, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
                snprintf(buf, size, "?");
}

static void record(struct volume *v, const char *event, uint8_t priority, struct instant until, const char *field,
                   const char *value) {
        _cleanup_(freep) struct audit_message_record *r = malloc(sizeof(*r));
        char text[32];

        if (!r)
                return;
        utc(until.realtime_usec, text, sizeof(text));
        manager_record_start(r, v, event, priority, false);
        audit_record_add(r, "until", text);
        audit_record_addf(r, "until_boottime_usec", "%llu", (unsigned long long) until.boottime_usec);
        audit_record_add(r, field, value);
        manager_record(v->manager, r);
}

static int arm(struct volume *v, struct instant until) {
        sd_event_source *timer = NULL;
        uint64_t span = left(&until, instant_now());
        int r;

        r = sd_event_add_time_relative(v->manager->event, &timer, CLOCK_BOOTTIME, span, USEC_PER_MSEC, on_timer, v);
        if (r < 0)
                return r;
        sd_event_source_disable_unref(v->pause_timer);
        v->pause_timer = timer;
        return 0;
}

static void finish(struct volume *v, const char *why) {
        struct instant until = v->lease.paused_until;

        v->lease.paused_until = (struct instant) {};
        v->paused_since_usec = 0;
        v->pause_timer = sd_event_source_disable_unref(v->pause_timer);
        pause_mark_remove(v->uuid);
        log_notice("%s: the pause has ended: %s", v->name, why);
        record(v, "pause_ended", LOG_NOTICE, until, "why", why);
}

static void decide(struct volume *v) {
        bool notice = v->state == VOLUME_NOTICE;

        key_evaluate_volume(v);
        /* Called off: what is withheld from now on is reported, and the breaker told. */
        if (notice && v->state != VOLUME_NOTICE)
                key_evaluate_volume(v);
        wraps_schedule(v);
}

int pause_begin(struct volume *v, struct instant until, const struct requester *who) {
        bool again = pause_is_set(v);
        struct pause_mark mark = { again ? v->paused_since_usec : now_boottime_usec(), until };
        char text[32];
        int r;

        r = arm(v, until);
        if (r < 0)
                return -ENOMEM;
        v->lease.paused_until = until;
        v->paused_since_usec = mark.since_boottime_usec;
        r = pause_mark_write(v->uuid, &mark);
        if (r < 0)
                log_warning("%s: that it is paused is not written down: %s; a new cmkd will not know", v->name, strerror(-r));
        utc(until.realtime_usec, text, sizeof(text));
        log_alert("%s: PAUSED until %s by %s: nothing is done to it for what the vault says", v->name, text, who->text);
        record(v, "paused", LOG_ALERT, until, "by", who->text);
        decide(v);
        return 0;
}

bool pause_end(struct volume *v, const struct requester *who) {
        char why[sizeof("ended by ") + sizeof(who->text)];

        pause_look(v);
        if (!pause_is_set(v))
                return false;
        snprintf(why, sizeof(why), "ended by %s", who->text);
        finish(v, why);
        decide(v);
        return true;
}

void pause_look(struct volume *v) {
        if (pause_is_set(v) && left(&v->lease.paused_until, instant_now()) == 0)
                finish(v, "expired");
}

static int on_timer(sd_event_source *s _unused_, uint64_t usec _unused_, void *user) {
        struct volume *v = user;

        pause_look(v);
        /* The wall clock was set back meanwhile: the boot clock ends it. */
        if (pause_is_set(v) && arm(v, v->lease.paused_until) < 0)
                finish(v, "no timer");
        decide(v);
        return 0;
}

void pause_restore(struct volume *v) {
        struct pause_mark m;
        char text[32];
        int r;

        r = pause_mark_read(v->uuid, PAUSE_MAX_USEC, instant_now(), &m);
        if (r == -ENOENT)
                return;
        if (r >= 0)
                r = arm(v, m.until);
        if (r < 0) {
                log_warning("%s: a pause of it is not taken up: %s", v->name, strerror(-r));
                pause_mark_remove(v->uuid);
                return;
        }
        v->lease.paused_until = m.until;
        v->paused_since_usec = m.since_boottime_usec;
        pause_look(v);
        if (!pause_is_set(v))
                return;
        utc(m.until.realtime_usec, text, sizeof(text));
        log_alert("%s: still PAUSED, until %s: nothing is done to it for what the vault says", v->name, text);
}
