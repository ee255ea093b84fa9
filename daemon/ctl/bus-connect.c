/* SPDX-License-Identifier: Apache-2.0 */
#include "bus.h"

#include <unistd.h>

#include "common/paths.h"

/* No bus_client: there is no driver to say Hello to on the other end. */
static int open_private(sd_bus **ret) {
        sd_bus *bus = NULL;
        int r;

        r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_address(bus, "unix:path=" BUS_PRIVATE_SOCKET);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r < 0) {
                sd_bus_unref(bus);
                return r;
        }
        *ret = bus;
        return 0;
}

static int explain_no_connection(bool tried_private, int error) {
        if (tried_private && error == -ECONNREFUSED)
                return fail(EXIT_CODE_FAILED, "cmkd does not listen on " BUS_PRIVATE_SOCKET
                            ": it is not running (systemctl start cmkd.service)");
        if (geteuid() != 0)
                return fail(EXIT_CODE_FAILED, "only root may speak to cmkd (%s)", strerror(-error));
        if (!tried_private)
                return fail(EXIT_CODE_FAILED, "cmkd is not running: there is no " BUS_PRIVATE_SOCKET
                            " and no system bus (systemctl start cmkd.service)");
        return fail(EXIT_CODE_FAILED, "cannot connect to cmkd: %s", strerror(-error));
}

int bus_connect(sd_bus **ret) {
        bool private = geteuid() == 0 && access(BUS_PRIVATE_SOCKET, F_OK) == 0;
        int r;

        r = private ? open_private(ret) : sd_bus_open_system(ret);
        return r < 0 ? explain_no_connection(private, r) : EXIT_CODE_DONE;
}
