/* SPDX-License-Identifier: Apache-2.0 */
#include "verdict.h"

static const struct {
        const char *name;
        enum exit_code exit;
} verdicts[_VERDICT_MAX] = {
        [VERDICT_GRANTED]       = { "GRANTED", EXIT_CODE_DONE },
        [VERDICT_REVOKED]       = { "REVOKED", EXIT_CODE_REVOKED },
        [VERDICT_DENIED]        = { "DENIED", EXIT_CODE_REVOKED },
        [VERDICT_DENIED_WEAK]   = { "DENIED_WEAK", EXIT_CODE_REVOKED },
        [VERDICT_THROTTLED]     = { "THROTTLED", EXIT_CODE_UNREACHABLE },
        [VERDICT_UNREACHABLE]   = { "UNREACHABLE", EXIT_CODE_UNREACHABLE },
        [VERDICT_MISCONFIGURED] = { "MISCONFIGURED", EXIT_CODE_FAILED },
        [VERDICT_BROKEN]        = { "BROKEN", EXIT_CODE_UNREACHABLE },
};

static const char *const bus_errors[_EXIT_CODE_MAX] = {
        [EXIT_CODE_FAILED]      = "org.cmkd1.Error.Failed",
        [EXIT_CODE_USAGE]       = "org.cmkd1.Error.InvalidArgument",
        [EXIT_CODE_REVOKED]     = "org.cmkd1.Error.Revoked",
        [EXIT_CODE_UNREACHABLE] = "org.cmkd1.Error.Unreachable",
        [EXIT_CODE_BUSY]        = "org.cmkd1.Error.Busy",
        [EXIT_CODE_TRAIL]       = "org.cmkd1.Error.Trail",
        [EXIT_CODE_POLICY]      = "org.cmkd1.Error.Policy",
};

const char *verdict_to_string(enum verdict v) {
        return (unsigned) v < _VERDICT_MAX ? verdicts[v].name : "unknown";
}

enum exit_code verdict_exit_code(enum verdict v) {
        return (unsigned) v < _VERDICT_MAX ? verdicts[v].exit : EXIT_CODE_FAILED;
}

const char *exit_code_to_bus_error(enum exit_code c) {
        if ((unsigned) c >= _EXIT_CODE_MAX || !bus_errors[c])
                c = EXIT_CODE_FAILED;
        return bus_errors[c];
}

enum exit_code exit_code_from_bus_error(const char *name) {
        for (unsigned i = 0; i < _EXIT_CODE_MAX; i++)
                if (bus_errors[i] && streq_ptr(bus_errors[i], name))
                        return (enum exit_code) i;
        return streq_ptr(name, BUS_ERROR_NOT_READY) ? EXIT_CODE_BUSY : EXIT_CODE_FAILED;
}
