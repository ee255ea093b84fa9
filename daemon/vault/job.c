/* SPDX-License-Identifier: Apache-2.0 */
#include "job.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define STACK_SIZE (512u * 1024u)

struct jobs {
        struct vaults *vaults;
        int event_fd;
        pthread_attr_t attr;
        size_t n_running, n_waiting;
        size_t n_releases, n_releases_waiting;      /* of those */
        bool stopped;
        struct job *running;                        /* list, of the loop */
        struct job *waiting, **waiting_tail;        /* queue, of the loop */
        pthread_mutex_t lock;
        struct job *done[JOBS_RUNNING_MAX];                 /* under the lock */
        size_t n_done;
};

struct job *job_free(struct job *job) {
        if (!job)
                return NULL;
        safe_close(job->pipe_fd);
        free(job->list);
        explicit_bzero(job, sizeof(*job));
        free(job);
        return NULL;
}

int jobs_new(struct vaults *v, struct jobs **ret) {
        struct jobs *j;

        j = calloc(1, sizeof(*j));
        if (!j)
                return -ENOMEM;
        j->event_fd = eventfd(0, EFD_CLOEXEC|EFD_NONBLOCK);
        if (j->event_fd < 0) {
                free(j);
                return -errno;
        }
        j->vaults = v;
        j->waiting_tail = &j->waiting;
        pthread_mutex_init(&j->lock, NULL);
        pthread_attr_init(&j->attr);
        pthread_attr_setdetachstate(&j->attr, PTHREAD_CREATE_DETACHED);
        pthread_attr_setstacksize(&j->attr, STACK_SIZE);
        *ret = j;
        return 0;
}

struct jobs *jobs_free(struct jobs *j) {
        if (!j)
                return NULL;
        for (struct job *job = j->waiting, *next; job; job = next) {
                next = job->next;
                job_free(job);
        }
        pthread_attr_destroy(&j->attr);
        pthread_mutex_destroy(&j->lock);
        safe_close(j->event_fd);
        free(j);
        return NULL;
}

int jobs_fd(const struct jobs *j) {
        return j->event_fd;
}

size_t jobs_count(const struct jobs *j) {
        return j->n_running + (j->stopped ? 0 : j->n_waiting);
}

uint64_t jobs_stop(struct jobs *j) {
        uint64_t latest = 0;

        j->stopped = true;
        for (const struct job *job = j->running; job; job = job->next)
                latest = MAX_OF(latest, job->deadline_usec);
        return latest;
}

/* There is room: no more jobs can be done than can run. */
static void hand_back(struct job *job) {
        struct jobs *j = job->jobs;
        uint64_t one = 1;

        pthread_mutex_lock(&j->lock);
        j->done[j->n_done++] = job;
        (void) write_all(j->event_fd, &one, sizeof(one));
        pthread_mutex_unlock(&j->lock);
}

static void *run_job(void *arg) {
        struct job *job = arg;

        const struct vault_call call = { .request = &job->request, .deadline_usec = job->deadline_usec, .list = job->list };

        vault_run(job->jobs->vaults, &call, job->pipe_fd, &job->reply, &job->released);
        job->pipe_fd = safe_close(job->pipe_fd);
        hand_back(job);
        return NULL;
}

static void start(struct jobs *j, struct job *job) {
        pthread_t thread;

        j->n_running++;
        j->n_releases += job->is_release;
        job->next = j->running;
        j->running = job;
        if (pthread_create(&thread, &j->attr, run_job, job) == 0)
                return;
        vault_reply_set(&job->reply, VERDICT_UNREACHABLE, "busy", "the worker cannot start another thread");
        hand_back(job);
}

static bool may_start(const struct jobs *j, const struct job *job) {
        return !j->stopped && j->n_running < JOBS_RUNNING_MAX && (!job->is_release || j->n_releases < JOBS_RELEASES_MAX);
}

int jobs_submit(struct jobs *j, struct job *job) {
        job->jobs = j;
        job->is_release = job->pipe_fd >= 0;
        if (may_start(j, job)) {
                start(j, job);
                return 0;
        }
        if (j->n_waiting >= JOBS_WAITING_MAX || (job->is_release && j->n_releases_waiting >= JOBS_RELEASES_WAITING_MAX))
                return -EBUSY;
        job->next = NULL;
        *j->waiting_tail = job;
        j->waiting_tail = &job->next;
        j->n_waiting++;
        j->n_releases_waiting += job->is_release;
        return 0;
}

/* In the order in which they came, but for a release that has to wait for another. */
static void start_waiting(struct jobs *j) {
        for (struct job **p = &j->waiting, *job; (job = *p); ) {
                if (!may_start(j, job)) {
                        p = &job->next;
                        continue;
                }
                *p = job->next;
                if (!*p)
                        j->waiting_tail = p;
                j->n_waiting--;
                j->n_releases_waiting -= job->is_release;
                start(j, job);
        }
}

static void unlink_running(struct jobs *j, const struct job *job) {
        for (struct job **p = &j->running; *p; p = &(*p)->next)
                if (*p == job) {
                        *p = job->next;
                        break;
                }
        j->n_running--;
        j->n_releases -= job->is_release;
}

struct job *jobs_take_done(struct jobs *j) {
        struct job *job = NULL;
        uint64_t count;

        pthread_mutex_lock(&j->lock);
        if (j->n_done > 0)
                job = j->done[--j->n_done];
        else
                (void) !read(j->event_fd, &count, sizeof(count));
        pthread_mutex_unlock(&j->lock);
        if (!job)
                return NULL;
        unlink_running(j, job);
        start_waiting(j);
        return job;
}

void jobs_disown(struct jobs *j, const void *owner) {
        for (struct job *job = j->running; job; job = job->next)
                if (job->owner == owner)
                        job->owner = NULL;
        for (struct job *job = j->waiting; job; job = job->next)
                if (job->owner == owner)
                        job->owner = NULL;
}
