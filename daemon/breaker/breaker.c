/* SPDX-License-Identifier: Apache-2.0 */
#include "breaker.h"
#include "say.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

static void start_power(struct breaker *b, const struct breaker_slot *s, uint64_t now) {
        if (b->power_since_usec != 0)
                return;
        b->power_since_usec = now;
        b->power_restart = s->action == BREAKER_ACTION_REBOOT;
        say(LOG_EMERG, "%.64s: %s the machine", s->name, b->power_restart ? "restarting" : "powering off");
        workers_power(b->workers, b->power_restart);
}

/* reboot(2) goes through every driver and may hang in one; sysrq goes through fewer, and b through none. */
static void force_power(struct breaker *b, uint64_t now) {
        static const char steps[2][2] = { { 'o', 'b' }, { 'b', 'b' } };

        if (b->power_since_usec == 0 || b->power_forced >= ELEMENTSOF(steps) || b->sysrq_fd < 0 ||
            now < b->power_since_usec + (b->power_forced + 1) * BREAKER_POWER_FORCE_USEC)
                return;
        if (write(b->sysrq_fd, &steps[b->power_forced][b->power_restart], 1) != 1)
                say(LOG_ALERT, "sysrq is not to be had: %s", strerror(errno));
        b->power_forced++;
}

/* An outcome: said once for each kind of it, recorded, answered. */
static void finish(struct breaker *b, int i, int error, struct instant now) {
        struct breaker_slot *s = &b->table->slots[i];
        struct slot_work *w = &b->work[i];

        slot_finish(s, error, now);
        if (error == 0)
                say(LOG_ALERT, "%.64s: cut, %llu ms after it was due", s->name, (unsigned long long)
                    ((now.boottime_usec - (w->due_since_usec ?: now.boottime_usec)) / USEC_PER_MSEC));
        else if (error != w->last_error)
                say(LOG_ALERT, error == -ENXIO ? "%.64s: there is no such mapping (%s), looking on"
                                               : "%.64s: cannot be cut (%s), trying on", s->name, strerror(-error));
        w->last_error = error;
        w->retry_usec = now.boottime_usec + BREAKER_RETRY_USEC;
        clients_finish_act(b, i, error);
        /* -ENXIO: there is no such mapping, hence nothing that the power would have to go for. */
        if (slot_wants_power(s) && error != -ENXIO)
                start_power(b, s, now.boottime_usec);
}

static void collect(struct breaker *b, struct instant now) {
        struct worker_result result;
        eventfd_t n;

        (void) eventfd_read(workers_fd(b->workers), &n);
        while (workers_collect(b->workers, &result))
                if (table_find(b->table, result.dm_uuid) == result.tag)
                        finish(b, result.tag, result.error, now);
}

static void act(struct breaker *b, int i, struct instant now) {
        struct breaker_slot *s = &b->table->slots[i];
        struct slot_work *w = &b->work[i];
        int r;

        if (w->due_since_usec == 0) {
                w->due_since_usec = now.boottime_usec;
                say(LOG_ALERT, "%.64s: nobody renewed its lease, or it is to be cut now", s->name);
        }
        if (w->waited_for && now.boottime_usec >= w->reply_by_usec)
                clients_finish_act(b, i, -ETIMEDOUT);
        if (slot_wants_power(s) && now.boottime_usec >= w->due_since_usec + BREAKER_POWER_WAIT_USEC &&
            w->last_error != -ENXIO)
                start_power(b, s, now.boottime_usec);
        if (now.boottime_usec < w->retry_usec)
                return;
        if (s->action == BREAKER_ACTION_REPORT) {
                __atomic_store_n(&s->state, BREAKER_TRIPPED, __ATOMIC_SEQ_CST);
                clients_finish_act(b, i, 0);
                return;
        }
        r = workers_cut(b->workers, i, s->dm_uuid, s->sectors);
        if (r == -EALREADY && w->last_error != -EINPROGRESS &&
            now.boottime_usec >= w->due_since_usec + WORKER_HUNG_USEC) {
                w->last_error = -EINPROGRESS;
                say(LOG_ALERT, "%.64s: the cut hangs, the device below does not answer", s->name);
        }
        w->retry_usec = now.boottime_usec + (r == -EAGAIN ? 100 * USEC_PER_MSEC : BREAKER_RETRY_USEC);
}

static void arm(int fd, uint64_t usec, int flags) {
        struct itimerspec t = {
                .it_value.tv_sec = (time_t) (usec / USEC_PER_SEC),
                .it_value.tv_nsec = (long) (usec % USEC_PER_SEC * NSEC_PER_USEC),
        };

        (void) timerfd_settime(fd, TFD_TIMER_ABSTIME|flags, &t, NULL);
}

/* How long a slot that is due can be left alone. */
static uint64_t next_look(const struct slot_work *w, uint64_t now) {
        uint64_t at = w->waited_for ? MIN_OF(w->retry_usec, w->reply_by_usec) : w->retry_usec;

        return MAX_OF(at, now + 20 * USEC_PER_MSEC) - now;
}

/* What was ordered does not wait. */
static bool is_due(struct breaker *b, int i, struct instant now, uint64_t slept) {
        const struct breaker_slot *s = &b->table->slots[i];

        return b->work[i].ordered ? slot_is_due(s, now) : slot_is_to_be_done(s, &b->work[i].patience, now, slept);
}

uint64_t breaker_step(struct breaker *b) {
        struct instant now = instant_now(), next;
        uint64_t wait = 10 * USEC_PER_SEC, slept = sleep_look(&b->sleep, now.boottime_usec, now_monotonic_usec());

        collect(b, now);
        for (int i = 0; i < BREAKER_SLOTS; i++)
                if (is_due(b, i, now, slept)) {
                        act(b, i, now);
                        wait = MIN_OF(wait, next_look(&b->work[i], now.boottime_usec));
                } else if (b->work[i].patience.seen_usec != 0)
                        wait = MIN_OF(wait, 100 * USEC_PER_MSEC);
        force_power(b, now.boottime_usec);
        next = table_next_deadline(b->table, now);
        arm(b->boottime_fd, next.boottime_usec, 0);
        /* Armed in any case: it also tells that somebody set the clock. */
        arm(b->realtime_fd, next.realtime_usec ?: now.realtime_usec + 3600 * USEC_PER_SEC, TFD_TIMER_CANCEL_ON_SET);
        if (b->watchdog_usec > 0) {
                if (now.boottime_usec >= b->watchdog_next_usec) {
                        say_to_manager("WATCHDOG=1");
                        b->watchdog_next_usec = now.boottime_usec + b->watchdog_usec / 3;
                }
                wait = MIN_OF(wait, b->watchdog_next_usec - now.boottime_usec);
        }
        return b->power_since_usec != 0 ? MIN_OF(wait, USEC_PER_SEC) : wait;
}

static void handle_signal(struct breaker *b) {
        struct signalfd_siginfo si;
        unsigned armed = table_count_armed(b->table);

        if (read(b->signal_fd, &si, sizeof(si)) != sizeof(si))
                return;
        if (armed == 0)
                b->stop = true;
        else
                say(LOG_NOTICE, "Asked to stop by process %u: staying, %u volumes are armed", si.ssi_pid, armed);
}

static void drain(int fd) {
        uint64_t n;

        /* ECANCELED (the clock was set) is as good a wake-up as any: the step looks at both clocks anew. */
        if (read(fd, &n, sizeof(n)) < 0)
                return;
}

void breaker_run(struct breaker *b) {
        enum { LISTEN, SIGNAL, BOOTTIME, REALTIME, WORKERS, CLIENTS };
        struct pollfd p[CLIENTS + BREAKER_CLIENTS_MAX];

        while (!b->stop) {
                uint64_t wait = breaker_step(b);
                struct timespec ts = { (time_t) (wait / USEC_PER_SEC), (long) (wait % USEC_PER_SEC * NSEC_PER_USEC) };

                p[LISTEN] = (struct pollfd) { b->listen_fd, POLLIN, 0 };
                p[SIGNAL] = (struct pollfd) { b->signal_fd, POLLIN, 0 };
                p[BOOTTIME] = (struct pollfd) { b->boottime_fd, POLLIN, 0 };
                p[REALTIME] = (struct pollfd) { b->realtime_fd, POLLIN, 0 };
                p[WORKERS] = (struct pollfd) { workers_fd(b->workers), POLLIN, 0 };
                for (size_t i = 0; i < BREAKER_CLIENTS_MAX; i++)
                        p[CLIENTS + i] = (struct pollfd) {
                                b->clients[i].fd, b->clients[i].owes || b->clients[i].list_next >= 0 ? POLLOUT : POLLIN, 0 };
                if (ppoll(p, ELEMENTSOF(p), &ts, NULL) <= 0)
                        continue;
                if (p[SIGNAL].revents)
                        handle_signal(b);
                if (p[BOOTTIME].revents)
                        drain(b->boottime_fd);
                if (p[REALTIME].revents)
                        drain(b->realtime_fd);
                for (int i = 0; i < BREAKER_CLIENTS_MAX; i++)
                        if (p[CLIENTS + i].revents)
                                clients_serve(b, i);
                if (p[LISTEN].revents)
                        clients_accept(b);
        }
}
