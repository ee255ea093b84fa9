/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* No audit, no key: the one place where a release waits for its record, and where OnTrailFailure= is looked at for it. */

#include "audit-link.h"
#include "operation.h"

/* Sends the record of a release, which has to be durable; r may be NULL (there was no memory for it). Returns 0: the callback
 * comes, exactly once, never from inside this call, and asks release_may_go_on(). Or -ENOMEM: nothing was sent. That is no
 * failure of the trail, which OnTrailFailure=continue would go on after: the caller refuses. */
int release_record(struct manager *m, const struct audit_message_record *r, audit_callback callback, void *user);

/* error: what the callback was called with. False: the key is not to be used, and the outcome is filled in. */
bool release_may_go_on(const struct manager *m, int error, const char *subject, struct outcome *o);
