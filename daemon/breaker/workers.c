/* SPDX-License-Identifier: Apache-2.0 */
#include "workers.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/reboot.h>
#include <unistd.h>

#define STACK_SIZE (64u * 1024u)

enum worker_state { WORKER_IDLE, WORKER_BUSY, WORKER_DONE };

struct worker {
        struct workers *all;
        pthread_t thread;
        sem_t wake;
        _Atomic int state;       /* enum worker_state; the fields below are the thread's while it is BUSY */
        uint64_t started_usec;
        int tag;
        int error;
        uint64_t sectors;
        char dm_uuid[128];
};

struct workers {
        _Atomic int control;
        int event_fd;
        struct worker worker[WORKERS_MAX];
        pthread_t power_thread;
        sem_t power_wake;
        _Atomic int power_command;
};

static struct workers the_workers;
static uint8_t stacks[WORKERS_MAX + 1][STACK_SIZE] __attribute__((aligned(4096)));

static void ignore_signal(int s _unused_) {
}

static void wait_for(sem_t *s) {
        while (sem_wait(s) < 0)
                ;
}

static void *worker_main(void *userdata) {
        struct worker *me = userdata;

        for (;;) {
                wait_for(&me->wake);
                me->error = dm_cut(me->all->control, (struct dm_id) { .uuid = me->dm_uuid }, me->sectors);
                atomic_store(&me->state, WORKER_DONE);
                (void) eventfd_write(me->all->event_fd, 1);
        }
        return NULL;
}

static void *power_main(void *userdata) {
        struct workers *w = userdata;

        for (;;) {
                wait_for(&w->power_wake);
                (void) reboot(atomic_load(&w->power_command));
        }
        return NULL;
}

static int start_thread(pthread_t *thread, uint8_t *stack, void *(*f)(void *), void *userdata) {
        pthread_attr_t attr;
        int r;

        r = pthread_attr_init(&attr);
        if (r != 0)
                return -r;
        r = pthread_attr_setstack(&attr, stack, STACK_SIZE);
        if (r == 0)
                r = pthread_create(thread, &attr, f, userdata);
        pthread_attr_destroy(&attr);
        return -r;
}

/* The threads inherit this mask: nothing but the signal that interrupts a hanging ioctl. */
static void block_signals(sigset_t *ret_old) {
        sigset_t all;

        sigfillset(&all);
        sigdelset(&all, SIGUSR1);
        pthread_sigmask(SIG_SETMASK, &all, ret_old);
}

int workers_start(int control, struct workers **ret) {
        const struct sigaction act = { .sa_handler = ignore_signal };
        struct workers *w = &the_workers;
        sigset_t old;
        int r = 0;

        w->control = control;
        w->event_fd = eventfd(0, EFD_CLOEXEC|EFD_NONBLOCK);
        if (w->event_fd < 0 || sigaction(SIGUSR1, &act, NULL) < 0 || sem_init(&w->power_wake, 0, 0) < 0)
                return -errno;
        block_signals(&old);
        for (size_t i = 0; i < WORKERS_MAX && r >= 0; i++) {
                struct worker *x = &w->worker[i];

                x->all = w;
                r = sem_init(&x->wake, 0, 0) < 0 ? -errno : start_thread(&x->thread, stacks[i], worker_main, x);
        }
        if (r >= 0)
                r = start_thread(&w->power_thread, stacks[WORKERS_MAX], power_main, w);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        if (r >= 0)
                *ret = w;
        return r;
}

void workers_reopen(struct workers *w) {
        if (w->control < 0)
                w->control = dm_open_control();
}

int workers_fd(const struct workers *w) {
        return w->event_fd;
}

int workers_cut(struct workers *w, int tag, const char dm_uuid[static 128], uint64_t sectors) {
        struct worker *idle = NULL, *oldest = NULL;

        for (size_t i = 0; i < WORKERS_MAX; i++) {
                struct worker *x = &w->worker[i];

                if (atomic_load(&x->state) == WORKER_IDLE) {
                        idle = idle ?: x;
                        continue;
                }
                if (strncmp(x->dm_uuid, dm_uuid, sizeof(x->dm_uuid)) == 0)
                        return -EALREADY;
                if (!oldest || x->started_usec < oldest->started_usec)
                        oldest = x;
        }
        if (!idle) {
                if (now_boottime_usec() - oldest->started_usec > WORKER_HUNG_USEC)
                        pthread_kill(oldest->thread, SIGUSR1);
                return -EAGAIN;
        }
        idle->tag = tag;
        idle->sectors = sectors;
        idle->started_usec = now_boottime_usec();
        memcpy(idle->dm_uuid, dm_uuid, sizeof(idle->dm_uuid));
        atomic_store(&idle->state, WORKER_BUSY);
        sem_post(&idle->wake);
        return 0;
}

bool workers_collect(struct workers *w, struct worker_result *ret) {
        for (size_t i = 0; i < WORKERS_MAX; i++) {
                struct worker *x = &w->worker[i];

                if (atomic_load(&x->state) != WORKER_DONE)
                        continue;
                *ret = (struct worker_result) { .tag = x->tag, .error = x->error };
                memcpy(ret->dm_uuid, x->dm_uuid, sizeof(ret->dm_uuid));
                atomic_store(&x->state, WORKER_IDLE);
                return true;
        }
        return false;
}

void workers_power(struct workers *w, bool restart) {
        atomic_store(&w->power_command, restart ? RB_AUTOBOOT : RB_POWER_OFF);
        sem_post(&w->power_wake);
}
