/* SPDX-License-Identifier: Apache-2.0 */
#include "unit-name.h"

#include <fnmatch.h>

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

static const struct {
        const char *suffix;
        enum unit_kind kind;
} suffixes[] = {
        { ".service", UNIT_SERVICE }, { ".scope", UNIT_SCOPE },   { ".mount", UNIT_MOUNT },
        { ".swap", UNIT_SWAP },       { ".socket", UNIT_TRIGGER }, { ".timer", UNIT_TRIGGER },
        { ".path", UNIT_TRIGGER },    { ".automount", UNIT_TRIGGER }, { ".target", UNIT_TARGET },
        { ".slice", UNIT_OTHER },     { ".device", UNIT_OTHER },
};

/* What the machine, an operator's way in, or cmkd itself stands on. The first that matches counts. */
static const struct {
        const char *pattern, *why;
} never[] = {
        { "systemd-nspawn@*.service", NULL },
        { "cmkd*", "cmkd's own" },
        { "systemd-*", "systemd's own" },
        { "init.scope", "process 1" },
        { "dbus*", "the bus" },
        { "polkit.service", "the bus" },
        { "user@*.service", "sessions of a user" },
        { "user-runtime-dir@*.service", "sessions of a user" },
        { "session-*.scope", "a login session" },
        { "ssh.service", "the operator's way in" },
        { "sshd.service", "the operator's way in" },
        { "ssh@*.service", "a login session" },
        { "sshd@*.service", "a login session" },
        { "ssh*.socket", "the operator's way in" },
        { "*getty*@*.service", "a login session" },
        { "console-getty.service", "a login session" },
        { "emergency.*", "emergency" },
        { "rescue.*", "emergency" },
        { "debug-shell.service", "emergency" },
        { "NetworkManager*", "the way to the vault" },
        { "networking.service", "the way to the vault" },
        { "-.mount", "the system's own" },
        { "usr.mount", "the system's own" },
        { "var.mount", "the system's own" },
        { "run.mount", "the system's own" },
};

/* Targets of systemd.special(7): a mount of /etc/fstab is wanted by some, and the whole system hangs on them. */
static const char *const special[] = {
        "basic", "bluetooth", "boot-complete", "cryptsetup*", "ctrl-alt-del", "default", "exit", "factory-reset", "final",
        "first-boot-complete", "getty*", "graphical", "halt", "hibernate", "hybrid-sleep", "initrd*", "integritysetup*",
        "kexec", "local-fs*", "machines", "multi-user", "network*", "nss-*", "paths", "poweroff", "printer", "reboot",
        "remote-*", "rpcbind", "runlevel*", "shutdown", "sigpwr", "sleep", "slices", "smartcard", "sockets", "soft-reboot",
        "sound", "storage-target-mode", "suspend*", "swap", "sysinit", "system-update*", "time-*", "timers", "umount",
        "usb-gadget", "veritysetup*",
};

bool unit_name_is_valid(const char *name) {
        size_t n = strlen(name);
        const char *dot = strrchr(name, '.');

        if (n == 0 || n >= UNIT_NAME_SIZE || !dot || dot == name || *name == '@')
                return false;
        for (size_t i = 0; i < n; i++)
                if (!strchr(LETTERS "-_.:\\@", name[i]))
                        return false;
        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++)
                if (streq(dot, suffixes[i].suffix))
                        return true;
        return false;
}

enum unit_kind unit_kind_of(const char *name) {
        const char *dot = strrchr(name, '.');

        for (size_t i = 0; dot && i < ELEMENTSOF(suffixes); i++)
                if (streq(dot, suffixes[i].suffix))
                        return suffixes[i].kind;
        return UNIT_OTHER;
}

int unit_name_from_path(const char *path, const char *suffix, char ret[static UNIT_NAME_SIZE]) {
        char buf[UNIT_NAME_SIZE] = "-";
        size_t n = 0, left;

        if (*path != '/')
                return -EINVAL;
        path += strspn(path, "/");
        for (const char *p = path; *p; p++) {
                bool plain = strchr(LETTERS ":_.", *p) && !(*p == '.' && n == 0);

                if (n + 5 + strlen(suffix) > UNIT_NAME_SIZE)
                        return -ENAMETOOLONG;
                if (*p == '/') {
                        if (p[1] != '/' && p[1])
                                buf[n++] = '-';
                } else if (plain)
                        buf[n++] = *p;
                else
                        n += (size_t) snprintf(buf + n, sizeof(buf) - n, "\\x%02x", (unsigned char) *p);
        }
        n = MAX_OF(n, (size_t) 1);
        left = sizeof(buf) - n;
        if ((size_t) snprintf(buf + n, left, "%s", suffix) >= left)
                return -ENAMETOOLONG;
        memcpy(ret, buf, sizeof(buf));
        return 0;
}

int unit_name_from_cgroup(const char *path, char ret[static UNIT_NAME_SIZE]) {
        char part[UNIT_NAME_SIZE];

        for (;;) {
                const char *name;
                size_t n;

                path += strspn(path, "/");
                n = strcspn(path, "/");
                if (n == 0 || n >= sizeof(part))
                        return -ENOENT;
                memcpy(part, path, n);
                part[n] = 0;
                path += n;
                /* systemd puts an underscore before names that the kernel has a use for. */
                name = part + (*part == '_');
                if (!unit_name_is_valid(name))
                        return -ENOENT;
                if (streq(strrchr(name, '.'), ".slice"))
                        continue;
                if (unit_kind_of(name) == UNIT_OTHER)
                        return -ENOENT;
                memmove(ret, name, strlen(name) + 1);
                return 0;
        }
}

static bool is_special_target(const char *name) {
        char stem[UNIT_NAME_SIZE];
        const char *end = strrchr(name, '.');

        snprintf(stem, sizeof(stem), "%.*s", (int) (end - name), name);
        for (size_t i = 0; i < ELEMENTSOF(special); i++)
                if (fnmatch(special[i], stem, FNM_NOESCAPE) == 0)
                        return true;
        return false;
}

const char *unit_never_stopped(const char *name) {
        if (unit_kind_of(name) == UNIT_OTHER)
                return "nothing that can be stopped";
        for (size_t i = 0; i < ELEMENTSOF(never); i++)
                if (fnmatch(never[i].pattern, name, FNM_NOESCAPE) == 0)
                        return never[i].why;
        if (unit_kind_of(name) == UNIT_TARGET && is_special_target(name))
                return "the system's own";
        return NULL;
}
