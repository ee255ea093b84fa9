/* SPDX-License-Identifier: Apache-2.0 */
#include "bus.h"
#include "print.h"

int verb_config_reload(const struct invocation *in) {
        _cleanup_(call_release) struct call c = {};
        int code;

        code = call_begin(&c, BUS_MANAGER, "Reload");
        if (code == EXIT_CODE_DONE)
                code = call_send(&c, 0);
        if (code == EXIT_CODE_DONE && has_option(in, OPTION_JSON))
                return print_json_done("reloaded");
        if (code == EXIT_CODE_DONE)
                puts("cmkd goes by the configuration as it is now");
        return code;
}
