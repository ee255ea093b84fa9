/* SPDX-License-Identifier: Apache-2.0 */
#include "bus.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "bus-manager.h"
#include "bus-volume.h"
#include "common/link.h"
#include "common/log.h"
#include "drill.h"
#include "manager.h"

#define BUS_WAIT_USEC (3 * USEC_PER_SEC)
/* Of root's: udev's attach of each volume may wait for a vault, and then there are those who want to know, or to cut. */
#define CONNECTIONS_MAX (BREAKER_SLOTS + 64u)
#define SYSTEM_BUS_RETRY_USEC (15 * USEC_PER_SEC)

struct connection {
        LIST_ENTRY(connection) connections;
        struct bus *bus;
        sd_bus *sd;
};

struct bus {
        struct manager *manager;
        sd_event *event;
        int listening;
        sd_event_source *io, *retry;
        sd_bus *system;
        size_t n_connections;
        LIST_HEAD(, connection) connections;     /* of the private socket */
};

static void connection_free(struct connection *c) {
        LIST_REMOVE(c, connections);
        c->bus->n_connections--;
        drill_owner_gone(c->bus->manager, c->sd);
        sd_bus_close_unref(c->sd);
        free(c);
}

static int on_disconnected(sd_bus_message *m _unused_, void *user, sd_bus_error *e _unused_) {
        connection_free(user);
        return 0;
}

static int add_objects(struct bus *b, sd_bus *sd) {
        int r;

        r = sd_bus_add_object_manager(sd, NULL, BUS_ROOT);
        if (r >= 0)
                r = sd_bus_add_object_vtable(sd, NULL, BUS_ROOT, BUS_MANAGER_INTERFACE, bus_manager_vtable, b->manager);
        if (r >= 0)
                r = sd_bus_add_fallback_vtable(sd, NULL, BUS_VOLUMES, BUS_VOLUME_INTERFACE, bus_volume_vtable,
                                               bus_volume_find, b->manager);
        if (r >= 0)
                r = sd_bus_add_node_enumerator(sd, NULL, BUS_VOLUMES, bus_volume_enumerate, b->manager);
        return r;
}

static int serve(struct bus *b, int fd) {
        struct connection *c = calloc(1, sizeof(*c));
        sd_id128_t id;
        int r;

        if (!c)
                return -ENOMEM;
        c->bus = b;
        LIST_INSERT_HEAD(&b->connections, c, connections);
        b->n_connections++;
        r = sd_bus_new(&c->sd);
        if (r >= 0)
                r = sd_id128_randomize(&id);
        if (r >= 0)
                r = sd_bus_set_fd(c->sd, fd, fd);
        if (r >= 0)
                fd = -EBADF;       /* the connection's now */
        if (r >= 0)
                r = sd_bus_set_server(c->sd, 1, id);
        if (r >= 0)
                r = sd_bus_start(c->sd);
        if (r >= 0)
                r = sd_bus_attach_event(c->sd, b->event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_bus_match_signal_async(c->sd, NULL, "org.freedesktop.DBus.Local", "/org/freedesktop/DBus/Local",
                                              "org.freedesktop.DBus.Local", "Disconnected", on_disconnected, NULL, c);
        if (r >= 0)
                r = add_objects(b, c->sd);
        safe_close(fd);
        if (r < 0)
                connection_free(c);
        return r;
}

static int on_connect(sd_event_source *s _unused_, int fd, uint32_t events _unused_, void *user) {
        struct bus *b = user;
        uid_t uid;
        pid_t pid;
        int client, r;

        client = accept4(fd, NULL, NULL, SOCK_CLOEXEC|SOCK_NONBLOCK);
        if (client < 0)
                return 0;
        r = link_peer(client, &uid, &pid);
        if (r >= 0 && uid != 0)
                r = -EACCES;
        if (r >= 0 && b->n_connections >= CONNECTIONS_MAX)
                r = -EMFILE;
        if (r < 0)
                safe_close(client);
        else
                r = serve(b, client);
        if (r < 0)
                log_warning("A client of %s was turned away: %s", BUS_PRIVATE_SOCKET, strerror(-r));
        return 0;
}

static int open_private(struct bus *b) {
        struct sockaddr_un sa = { .sun_family = AF_UNIX, .sun_path = BUS_PRIVATE_SOCKET };
        int r;

        /* tmpfiles.d makes it; where nobody did, the worker must be able to pass through all the same. */
        r = mkdir_parents("/run/cmkd", 0755);
        if (r < 0)
                return r;
        if (chmod("/run/cmkd", 0755) < 0)
                return -errno;
        b->listening = socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK, 0);
        if (b->listening < 0)
                return -errno;
        if (unlink(BUS_PRIVATE_SOCKET) < 0 && errno != ENOENT)
                return -errno;
        /* The umask is 077: root only from the first moment. */
        if (bind(b->listening, (struct sockaddr *) &sa, sizeof(sa)) < 0 || listen(b->listening, SOMAXCONN) < 0)
                return -errno;
        return sd_event_add_io(b->event, &b->io, b->listening, EPOLLIN, on_connect, b);
}

static int on_retry(sd_event_source *s, uint64_t usec, void *user);

static void retry_later(struct bus *b) {
        b->system = sd_bus_close_unref(b->system);
        b->retry = sd_event_source_disable_unref(b->retry);
        if (sd_event_add_time_relative(b->event, &b->retry, CLOCK_BOOTTIME, SYSTEM_BUS_RETRY_USEC, 0, on_retry, b) < 0)
                log_warning("The system bus will not be tried again: out of memory");
}

static int on_system_gone(sd_bus_message *m _unused_, void *user, sd_bus_error *e _unused_) {
        retry_later(user);
        return 0;
}

static void open_system(struct bus *b) {
        int r;

        if (access("/run/dbus/system_bus_socket", F_OK) < 0) {
                retry_later(b);
                return;
        }
        r = sd_bus_open_system(&b->system);
        /* sd-bus asks the bus daemon about a caller and waits for it: not for the 25 s that it would wait by itself. */
        if (r >= 0)
                r = sd_bus_set_method_call_timeout(b->system, BUS_WAIT_USEC);
        if (r >= 0)
                r = sd_bus_attach_event(b->system, b->event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_bus_match_signal_async(b->system, NULL, "org.freedesktop.DBus.Local", "/org/freedesktop/DBus/Local",
                                              "org.freedesktop.DBus.Local", "Disconnected", on_system_gone, NULL, b);
        if (r >= 0)
                r = add_objects(b, b->system);
        if (r >= 0)
                r = sd_bus_request_name_async(b->system, NULL, "org.cmkd1", 0, NULL, NULL);
        if (r < 0) {
                log_debug("System bus: %s", strerror(-r));
                retry_later(b);
        }
}

static int on_retry(sd_event_source *s _unused_, uint64_t usec _unused_, void *user) {
        open_system(user);
        return 0;
}

int bus_new(struct manager *m, sd_event *event, struct bus **ret) {
        struct bus *b = calloc(1, sizeof(*b));
        int r;

        if (!b)
                return -ENOMEM;
        b->manager = m;
        b->event = sd_event_ref(event);
        b->listening = -EBADF;
        LIST_INIT(&b->connections);
        r = open_private(b);
        if (r < 0) {
                bus_free(b);
                return r;
        }
        open_system(b);
        *ret = b;
        return 0;
}

struct bus *bus_free(struct bus *b) {
        if (!b)
                return NULL;
        while (!LIST_EMPTY(&b->connections))
                connection_free(LIST_FIRST(&b->connections));
        sd_bus_close_unref(b->system);
        sd_event_source_disable_unref(b->io);
        sd_event_source_disable_unref(b->retry);
        safe_close(b->listening);
        sd_event_unref(b->event);
        free(b);
        return NULL;
}

static void emit(sd_bus *sd, const struct volume *v, const char *path) {
        (void) sd_bus_emit_signal(sd, BUS_ROOT, BUS_MANAGER_INTERFACE, "VolumeChanged", "ss", v->name,
                                  volume_state_to_string(v->state));
        (void) sd_bus_emit_properties_changed(sd, path, BUS_VOLUME_INTERFACE, "State", NULL);
}

void bus_volume_changed(struct bus *b, const struct volume *v) {
        _cleanup_(freep) char *path = NULL;
        struct connection *c;

        if (sd_bus_path_encode(BUS_VOLUMES, v->name, &path) < 0)
                return;
        LIST_FOREACH(c, &b->connections, connections)
                emit(c->sd, v, path);
        if (bus_system(b))
                emit(b->system, v, path);
}

sd_bus *bus_system(struct bus *b) {
        return b && b->system && sd_bus_is_ready(b->system) > 0 ? b->system : NULL;
}

void bus_start_unit(struct bus *b, const char *template, const char *volume) {
        char unit[128];
        int r;

        if (!bus_system(b))
                return;
        /* Names of volumes hold nothing that needs escaping in a unit's name but "-", which %I would turn into "/": the
         * hooks are told to use %i. */
        snprintf(unit, sizeof(unit), "%s@%s.target", template, volume);
        r = sd_bus_call_method_async(b->system, NULL, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                                     "org.freedesktop.systemd1.Manager", "StartUnit", NULL, NULL, "ss", unit, "replace");
        if (r < 0)
                log_warning("%s could not be started: %s", unit, strerror(-r));
}

void bus_restart_worker(struct bus *b) {
        int r;

        if (!bus_system(b))
                return;
        r = sd_bus_call_method_async(b->system, NULL, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                                     "org.freedesktop.systemd1.Manager", "TryRestartUnit", NULL, NULL, "ss",
                                     "cmkd-vault.service", "replace");
        if (r < 0)
                log_warning("The vault worker could not be started anew: %s", strerror(-r));
}
