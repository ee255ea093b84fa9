/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Requests run in threads of their own, because libcurl and the resolver block; everything else of the worker runs in
 * one loop.
 *
 *   loop ── jobs_submit ─► running (at most JOBS_RUNNING_MAX) or waiting (at most JOBS_WAITING_MAX)
 *   loop ◄─ eventfd ────── thread has ended: jobs_take_done, reply, job_free; the next one that waits is started
 *
 * Releases (of attaches, any number of which may hang in a vault) leave some of both to challenges: keys that are open are
 * polled meanwhile.
 *
 * A job belongs to the loop until it is started and after it was taken; between, to its thread. */

#include "vault.h"

#define JOBS_RUNNING_MAX 32u
#define JOBS_WAITING_MAX 128u
#define JOBS_RELEASES_MAX 24u         /* running */
#define JOBS_RELEASES_WAITING_MAX 96u

struct jobs;

struct job {
        struct job *next;
        void *owner;                  /* the loop's: who gets the reply; NULL: nobody any more */
        uint32_t id;                  /* of the frame */
        int pipe_fd;
        bool is_release;              /* it had one when it came */
        uint64_t deadline_usec;
        struct vault_request request;
        struct vault_reply reply;
        struct vault_list *list;      /* of a job that lists, else NULL */
        bool released;                /* a secret W was in memory */
        struct jobs *jobs;
};


/* v must outlive the jobs. Returns 0, -ENOMEM, or what eventfd(2) says. */
int jobs_new(struct vaults *v, struct jobs **ret);

/* None may be running. Accepts NULL, returns NULL. */
struct jobs *jobs_free(struct jobs *j);

/* Readable when jobs are done. */
int jobs_fd(const struct jobs *j);

/* Takes over the job and runs it as soon as it can. Returns 0 or -EBUSY (too many wait; the job stays the caller's).
 * A job with a pipe is a release. */
int jobs_submit(struct jobs *j, struct job *job);

/* One that is done (the caller frees it), or NULL. Starts those that wait. */
struct job *jobs_take_done(struct jobs *j);

/* The owner has gone: its jobs still end, their replies go nowhere. */
void jobs_disown(struct jobs *j, const void *owner);

/* Running and waiting; after jobs_stop() those that run. */
size_t jobs_count(const struct jobs *j);

/* Those that wait are not started any more. Returns the latest deadline of those that run; 0: there are none. */
uint64_t jobs_stop(struct jobs *j);

/* Closes the pipe, wipes, frees. Accepts NULL, returns NULL. */
struct job *job_free(struct job *job);
