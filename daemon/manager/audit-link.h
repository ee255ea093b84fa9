/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The trail as the manager sees it: records go out; a release waits until its record is durable, nothing else waits. */

#include <systemd/sd-event.h>

#include "common/audit-proto.h"

struct audit_link;

/* error: 0: the record is kept (durable, if it was asked to be); else why it is not. */
typedef void (*audit_callback)(int error, uint64_t sequence, void *user);

/* A record could not be kept, for that reason; not called for what was only cut off by a restart of cmkd-audit. */
typedef void (*audit_failed)(int error, void *user);

/* Returns 0 or -ENOMEM. */
int audit_link_new(sd_event *event, audit_failed failed, void *user, struct audit_link **ret);
struct audit_link *audit_link_free(struct audit_link *a);

/* Sends a record, a second time if cmkd-audit restarted before it answered. callback NULL: nobody waits; a record that cannot be sent is logged (it is then in the journal, if
 * not in the trail) and counted. With a callback: it comes exactly once, never from inside this call, at the latest
 * after timeout_usec (then with -ETIMEDOUT, and the record may still be written). Returns 0; or -ENOMEM: nothing was sent, and the
 * callback does not come. */
int audit_write(struct audit_link *a, const struct audit_message_record *m, uint64_t timeout_usec,
                audit_callback callback, void *user);

/* What cmkd-audit said of its last write: 0, -ENOSPC, -EROFS ...; or, answered false, why it said nothing (as rpc_callback). */
typedef void (*audit_check_callback)(int error, bool answered, void *user);

/* Asks whether the trail can be written. The callback comes exactly once, never from inside this call. Returns 0, or -EALREADY (one
 * is under way), or what rpc_call() says: then it does not come. */
int audit_check(struct audit_link *a, audit_check_callback callback, void *user);

/* Callbacks with this user pointer will not come. */
void audit_cancel(struct audit_link *a, void *user);

/* Records that did not reach the trail since the start. */
uint64_t audit_lost(const struct audit_link *a);
bool audit_is_connected(const struct audit_link *a);
