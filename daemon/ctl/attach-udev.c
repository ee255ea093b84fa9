/* SPDX-License-Identifier: Apache-2.0 */
#include "bus.h"
#include "trust-list.h"
#include "udev.h"

/* cmkctl attach --udev: called by cmkd@.service. What is not cmkd's is left alone with exit code 0 and a line for the
 * journal; refusals are in the trail, by the daemon. */

#define DISK_WAIT_USEC (80 * USEC_PER_SEC)      /* less than the 90 s that a mount unit waits for its device */
#define LINK_WAIT_USEC (10 * USEC_PER_SEC)

static int send_attach(struct call *c, const char *what, bool automatic) {
        int code, r;

        code = call_begin(c, BUS_MANAGER, "Attach");
        if (code != EXIT_CODE_DONE)
                return code;
        r = sd_bus_message_append(c->request, "s", what);
        if (r >= 0)
                r = automatic ? sd_bus_message_append(c->request, "a{sv}", 1, "automatic", "b", 1)
                              : sd_bus_message_append(c->request, "a{sv}", 0);
        return call_send(c, r);
}

static int attach(const char *what, bool automatic) {
        _cleanup_(call_release) struct call c = {};
        const char *name, *node;
        int code, r, changed;

        code = send_attach(&c, what, automatic);
        /* cmkd starts, or is being replaced: the unit tries again */
        if (code == EXIT_CODE_FAILED && (!c.bus || sd_bus_is_open(c.bus) <= 0))
                return EXIT_CODE_BUSY;
        if (code != EXIT_CODE_DONE)
                return code;
        r = sd_bus_message_read(c.reply, "ssb", &name, &node, &changed);
        if (r < 0)
                return call_misunderstood(r);
        if (*name)
                printf("%s is open%s as %s\n", name, changed ? "" : " already", node);
        else
                puts(node);
        return EXIT_CODE_DONE;
}

/* The UUID that the node's list has for a name. */
static int find_uuid(const char *name, char ret[static 37]) {
        _cleanup_(call_release) struct call c = {};
        struct trust_listed l;
        int code;

        code = trust_list_begin(&c);
        if (code == EXIT_CODE_DONE)
                code = trust_list_find(&c, name, &l);
        if (code == EXIT_CODE_DONE)
                snprintf(ret, 37, "%s", l.uuid);
        return code;
}

static int attach_by_name(const char *name) {
        char uuid[37], link[64];
        int code;

        if (!uuid_is_valid(name) && !volume_name_is_valid(name))
                return fail(EXIT_CODE_USAGE, "%s is neither a device's path in sysfs, escaped, nor a name", name);
        code = find_uuid(name, uuid);
        if (code != EXIT_CODE_DONE)
                return code;
        snprintf(link, sizeof(link), "/dev/disk/by-uuid/%s", uuid);
        (void) wait_for_link(link, DISK_WAIT_USEC);
        return attach(name, false);
}

int attach_udev(const char *instance) {
        char node[257];
        int r;

        r = udev_device_node(instance, node);
        if (r == -ENXIO)
                return attach_by_name(instance);
        if (r == -ENODEV) {
                printf("%s is gone\n", instance);
                return EXIT_CODE_DONE;
        }
        if (r < 0)
                return fail(EXIT_CODE_FAILED, "%s: sysfs and udev cannot be asked about it: %s", instance, strerror(-r));
        if (udev_is_in_crypttab(node)) {
                printf("%s: left alone: it is named in /etc/crypttab, systemd-cryptsetup opens it\n", node);
                return EXIT_CODE_DONE;
        }
        return attach(node, true);
}

void wait_for_volume(const char *uuid) {
        char link[64];

        snprintf(link, sizeof(link), "/dev/disk/by-uuid/%s", uuid);
        (void) wait_for_link(link, LINK_WAIT_USEC);
}
