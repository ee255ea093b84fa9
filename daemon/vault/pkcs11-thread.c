/* SPDX-License-Identifier: Apache-2.0 */
#include "pkcs11-thread.h"

#include <pthread.h>
#include <time.h>

#include "vault.h"

struct task {
        struct task *next;               /* of those that wait */
        struct pkcs11_question question;
        struct vault_reply reply;
        struct secret *value;
        bool done;
        bool abandoned;                  /* nobody waits any more: the thread frees it */
};

/* All but the session, which is the thread's, is under the lock. */
struct pkcs11_thread {
        struct pkcs11_session *session;
        pthread_t thread;
        pthread_mutex_t lock;
        pthread_cond_t work, done;
        struct task *waiting, **tail;
        bool started, ends;
        bool hangs;                      /* in a call whose asker has gone */
};

static struct task *task_free(struct task *k) {
        if (!k)
                return NULL;
        secret_free(k->value);
        explicit_bzero(k, sizeof(*k));
        free(k);
        return NULL;
}

int pkcs11_thread_new(struct pkcs11_session *s, struct pkcs11_thread **ret) {
        struct pkcs11_thread *t = calloc(1, sizeof(*t));
        pthread_condattr_t a;

        if (!t) {
                pkcs11_session_free(s);
                return -ENOMEM;
        }
        t->session = s;
        t->tail = &t->waiting;
        pthread_mutex_init(&t->lock, NULL);
        pthread_condattr_init(&a);
        pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
        pthread_cond_init(&t->work, NULL);
        pthread_cond_init(&t->done, &a);
        pthread_condattr_destroy(&a);
        *ret = t;
        return 0;
}

/* With the lock. NULL: the thread is to end. */
static struct task *next_task(struct pkcs11_thread *t) {
        struct task *k;

        while (!t->waiting && !t->ends)
                pthread_cond_wait(&t->work, &t->lock);
        k = t->waiting;
        if (!k)
                return NULL;
        t->waiting = k->next;
        if (!t->waiting)
                t->tail = &t->waiting;
        return k;
}

static void *serve_tasks(void *arg) {
        struct pkcs11_thread *t = arg;
        struct task *k;

        pthread_mutex_lock(&t->lock);
        while ((k = next_task(t))) {
                pthread_mutex_unlock(&t->lock);
                pkcs11_session_ask(t->session, &k->question, &k->reply, &k->value);
                pthread_mutex_lock(&t->lock);
                k->done = true;
                if (k->abandoned) {
                        task_free(k);
                        t->hangs = false;
                }
                pthread_cond_broadcast(&t->done);
        }
        pthread_mutex_unlock(&t->lock);
        return NULL;
}

static bool start(struct pkcs11_thread *t) {
        if (!t->started)
                t->started = pthread_create(&t->thread, NULL, serve_tasks, t) == 0;
        return t->started;
}

/* False: it was not waiting any more, the thread has it. */
static bool take_back(struct pkcs11_thread *t, const struct task *k) {
        for (struct task **p = &t->waiting; *p; p = &(*p)->next)
                if (*p == k) {
                        *p = k->next;
                        if (!*p)
                                t->tail = p;
                        return true;
                }
        return false;
}

static void wait_done(struct pkcs11_thread *t, const struct task *k, uint64_t deadline_usec) {
        uint64_t now;

        while (!k->done && (now = now_boottime_usec()) < deadline_usec) {
                uint64_t left = deadline_usec - now;
                struct timespec until;

                clock_gettime(CLOCK_MONOTONIC, &until);
                until.tv_sec += (time_t) (left / USEC_PER_SEC);
                until.tv_nsec += (long) (left % USEC_PER_SEC) * 1000;
                if (until.tv_nsec >= 1000000000) {
                        until.tv_sec++;
                        until.tv_nsec -= 1000000000;
                }
                pthread_cond_timedwait(&t->done, &t->lock, &until);
        }
}

static void say(struct vault_reply *y, enum pkcs11_fact f) {
        struct judgement j;

        pkcs11_judge_fact(f, &j);
        *y = (struct vault_reply) {};
        vault_reply_judge(y, &j);
}

void pkcs11_thread_ask(struct pkcs11_thread *t, const struct pkcs11_question *q, uint64_t deadline_usec, struct vault_reply *y,
                       struct secret **ret_value) {
        struct task *k = calloc(1, sizeof(*k));

        if (!k)
                return say(y, PKCS11_NO_MEMORY);
        k->question = *q;
        pthread_mutex_lock(&t->lock);
        if (t->hangs || !start(t)) {
                say(y, t->hangs ? PKCS11_HANGS : PKCS11_NO_MEMORY);
                task_free(k);
                pthread_mutex_unlock(&t->lock);
                return;
        }
        *t->tail = k;
        t->tail = &k->next;
        pthread_cond_signal(&t->work);
        wait_done(t, k, deadline_usec);
        if (k->done) {
                *y = k->reply;
                *ret_value = TAKE_PTR(k->value);
                task_free(k);
        } else {
                say(y, PKCS11_HANGS);
                if (take_back(t, k))
                        task_free(k);
                else
                        k->abandoned = t->hangs = true;
        }
        pthread_mutex_unlock(&t->lock);
}

struct pkcs11_thread *pkcs11_thread_free(struct pkcs11_thread *t) {
        bool hangs;

        if (!t)
                return NULL;
        pthread_mutex_lock(&t->lock);
        hangs = t->hangs;
        t->ends = true;
        pthread_cond_signal(&t->work);
        pthread_mutex_unlock(&t->lock);
        if (hangs)
                return NULL;
        if (t->started)
                pthread_join(t->thread, NULL);
        pkcs11_session_free(t->session);
        pthread_cond_destroy(&t->work);
        pthread_cond_destroy(&t->done);
        pthread_mutex_destroy(&t->lock);
        free(t);
        return NULL;
}
