/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What an answer of the vault, or its silence, means; and how a program says how it ended.
 * Both are contracts: names and numbers are in the command line's documentation, the wire and the trail. */

#include "util.h"

enum verdict {
        VERDICT_GRANTED,         /* the right plaintext, in time */
        VERDICT_REVOKED,         /* an exact, authenticated answer by the key's owner for a key that worked */
        VERDICT_DENIED,          /* refused, the cause is ambiguous */
        VERDICT_DENIED_WEAK,     /* 401 or a network gate: timers of UNREACHABLE */
        VERDICT_THROTTLED,
        VERDICT_UNREACHABLE,
        VERDICT_MISCONFIGURED,   /* our own request or credential is wrong */
        VERDICT_BROKEN,          /* an authenticated peer, a reply that fails validation */
        _VERDICT_MAX,
};

const char *verdict_to_string(enum verdict v);

enum exit_code {
        EXIT_CODE_DONE = 0,
        EXIT_CODE_FAILED = 1,
        EXIT_CODE_USAGE = 2,
        EXIT_CODE_REVOKED = 3,        /* revoked or denied by the vault */
        EXIT_CODE_UNREACHABLE = 4,    /* vault unreachable or throttled */
        EXIT_CODE_BUSY = 5,           /* busy or lingering */
        EXIT_CODE_TRAIL = 6,          /* audit trail fails verification */
        EXIT_CODE_POLICY = 7,         /* refused by policy */
        _EXIT_CODE_MAX,
};

/* The exit code of a command that failed with this verdict; VERDICT_GRANTED is EXIT_CODE_DONE. */
enum exit_code verdict_exit_code(enum verdict v);

/* D-Bus error names (org.cmkd1.Error.Policy, ...) and exit codes, both ways; unknown names are EXIT_CODE_FAILED. */
const char *exit_code_to_bus_error(enum exit_code c);
enum exit_code exit_code_from_bus_error(const char *name);

/* Also EXIT_CODE_BUSY, and worth another try soon: cmkd is starting. */
#define BUS_ERROR_NOT_READY "org.cmkd1.Error.NotReady"
