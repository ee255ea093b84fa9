/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <unistd.h>

#include "bus-manager.h"

#include "bus.h"
#include "bus-call.h"
#include "manager.h"

/* What gives a volume another volume key. */

int bus_method_reencrypt(sd_bus_message *message, void *user, sd_bus_error *e _unused_) {
        struct manager *m = user;
        struct requester who;
        const char *what;
        int r, fd;

        r = sd_bus_message_read(message, "sh", &what, &fd);
        if (r < 0)
                return r;
        if (!ready(m, message, &r))
                return r;
        if (!is_private_root(message))
                return reply_error(message, EXIT_CODE_POLICY, "Passphrases are for root on " BUS_PRIVATE_SOCKET " only");
        r = bus_check_what(m, message, what);
        if (r != 0)
                return r;
        fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (fd < 0)
                return reply_error(message, EXIT_CODE_FAILED, "No descriptor: %s", strerror(errno));
        get_requester(message, &who);
        r = reencrypt_start(m, what, fd, &who, reply_made, sd_bus_message_ref(message));
        if (r < 0)
                safe_close(fd);
        return started(message, r);
}

static void reply_personalized(const struct outcome *o, void *user) {
        sd_bus_message *m = user;

        if (o->code != EXIT_CODE_DONE)
                reply_error(m, o->code, "%s", o->message);
        else
                sd_bus_reply_method_return(m, "sbs", o->uuid, o->changed, o->message);
        sd_bus_message_unref(m);
}

int bus_method_personalize(sd_bus_message *message, void *user, sd_bus_error *e _unused_) {
        struct personalize_request q = {};
        const char *what, *image;
        struct manager *m = user;
        struct requester who;
        struct options o;
        int r, drop;

        r = sd_bus_message_read(message, "ssb", &what, &image, &drop);
        if (!begin(m, message, r, &o, &r))
                return r;
        r = bus_check_what(m, message, what);
        if (r != 0)
                return r;
        if (*image && !uuid_is_valid(image))
                return reply_error(message, EXIT_CODE_USAGE, "%.64s is no UUID", image);
        q.drop = drop;
        if (strlen(what) >= sizeof(q.what) || strlen(o.accept_unsafe) >= sizeof(q.accept_unsafe))
                return reply_error(message, EXIT_CODE_USAGE, "The device or the reason is too long");
        strcpy(q.what, what);
        strcpy(q.image, image);
        strcpy(q.accept_unsafe, o.accept_unsafe);
        get_requester(message, &who);
        return started(message, personalize_start(m, &q, &who, reply_personalized, sd_bus_message_ref(message)));
}
