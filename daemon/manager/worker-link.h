/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The network worker as the manager sees it: a question, a deadline, an answer that is never believed further than
 * vault-proto.h says. Whatever goes wrong with the worker is an answer too: UNREACHABLE when it is silent or gone,
 * BROKEN when it sends rubbish. */

#include <systemd/sd-event.h>

#include "common/vault-proto.h"

struct worker_link;

typedef void (*worker_callback)(const struct vault_reply *y, void *user);

/* Hears every answer, before whoever asked. Must not ask. */
typedef void (*worker_listener)(const struct vault_request *q, const struct vault_reply *y, void *user);

/* Returns 0 or -ENOMEM. */
int worker_link_new(sd_event *event, struct worker_link **ret);
struct worker_link *worker_link_free(struct worker_link *w);

/* Asks; q->timeout_ms is the worker's time, the link waits a little longer. fd: for a release, the write end of a pipe;
 * it is duplicated. Of very many releases some wait here for their turn, in the order in which they came; their time begins then. A request that was lost because the worker recycled itself is sent once more. The callback comes
 * exactly once, never from inside this call. Returns 0, -ENOMEM, or -EINVAL (the request cannot be encoded). */
int worker_ask(struct worker_link *w, const struct vault_request *q, int fd, worker_callback callback, void *user);

/* Questions with this user pointer end silently. */
void worker_cancel(struct worker_link *w, void *user);

void worker_link_listen(struct worker_link *w, worker_listener listener, void *user);

/* When the configuration was read that requests are made from (CLOCK_BOOTTIME): a worker that read an earlier one ends
 * instead of answering, and the next one is asked. */
void worker_link_configured(struct worker_link *w, uint64_t usec);

/* What came of the questions since this process began, whoever asked: answers by verdict, and how long the vault took for those
 * to which it gave one. */
struct worker_counts {
        uint64_t answers[_VERDICT_MAX];
        uint64_t round_trips, round_trip_usec;
};

const struct worker_counts *worker_counts(const struct worker_link *w);

bool worker_is_connected(const struct worker_link *w);
