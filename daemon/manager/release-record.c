/* SPDX-License-Identifier: Apache-2.0 */
#include "release-record.h"

#include "manager.h"

int release_record(struct manager *m, const struct audit_message_record *r, audit_callback callback, void *user) {
        return r ? audit_write(m->audit, r, MANAGER_RELEASE_TIMEOUT_USEC, callback, user) : -ENOMEM;
}

bool release_may_go_on(const struct manager *m, int error, const char *subject, struct outcome *o) {
        if (error >= 0 || m->config->on_trail_failure == TRAIL_CONTINUE)
                return true;
        outcome_set(o, EXIT_CODE_FAILED,
                    "%s: the use of its key could not be written to the audit trail (%s): no audit, no key. See "
                    "\"systemctl status cmkd-audit\" and the space left in /var/log/cmkd", subject, strerror(-error));
        return false;
}
