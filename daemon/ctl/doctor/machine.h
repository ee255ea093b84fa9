/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* This machine, as far as booting is concerned: which drivers its network cards and the disks of the system need, which
 * volumes of role os the node's list has, clocks and the boot chain. Read from sysfs, /proc and files below a root (""
 * for the system's own), so that tests give it another one. What cannot be read is "unknown", never an error. */

#include "common/trust-entry.h"
#include "image.h"

#define MACHINE_DRIVERS_MAX 128u
#define MACHINE_VOLUMES_MAX 32u
#define MACHINE_ROUTES_MAX 256u

enum driver_kind { DRIVER_NETWORK, DRIVER_DISK };

struct machine_driver {
        enum driver_kind kind;
        char module[64], device[64];
};

/* An entry of the node's list, and its disk. */
struct os_volume {
        struct trust_entry entry;
        char device[64];                    /* of the kernel: vda2; empty: not found */
        int recovery_key;                   /* 1, 0, or -errno: not known */
};

/* An entry of the node's list that says nothing, its role neither. */
struct unreadable_volume {
        char uuid[37], why[256];
};

/* Of IPv4, in the order of bytes of numbers. */
struct machine_route {
        uint32_t to, mask;
        char device[32];
        bool is_virtual;                    /* neither it nor what is below it is a network card: a tunnel of the system's */
};

struct machine {
        const char *root;
        struct machine_driver drivers[MACHINE_DRIVERS_MAX];
        size_t n_drivers;
        struct os_volume volumes[MACHINE_VOLUMES_MAX];
        size_t n_volumes;
        struct unreadable_volume unreadable[MACHINE_VOLUMES_MAX];
        size_t n_unreadable;
        char *builtin;                      /* modules.builtin of the image's kernel, NULL: not installed here */
        char *command_line;                 /* of the running kernel, NULL: not known */
        char *cmkd_conf;                    /* the node's own, NULL: none */
        bool has_clock;
        int64_t clock_ahead;                /* seconds by which the hardware clock is ahead of ours */
        int secure_boot;                    /* as boot_chain_secure() */
        bool unified_image;                 /* booted through a stub: kernel and image are one file */
        struct machine_route routes[MACHINE_ROUTES_MAX];
        size_t n_routes;
};

/* release: of the image's kernel, for its list of modules. Never fails. */
void machine_read(struct machine *m, const char *root, const char *release);

void machine_release(struct machine *m);

/* The way that this machine has now to an address; NULL: none, or no address of IPv4. */
const struct machine_route *machine_find_route(const struct machine *m, const char *address);

/* Whether the address is this machine's own, on any of its cards; loopback too. */
bool machine_is_own(const struct machine *m, const char *address);

/* The text of a file that is installed here, for comparison (the caller's); NULL: there is none. */
char *machine_read_text(const struct machine *m, const char *path);

/* Calls for each name of a file in /etc/cmkd/cmkd.conf.d that is read as configuration. */
void machine_each_drop_in(const struct machine *m, void (*call)(const char *name, void *user), void *user);

/* The program that is installed here, for comparison. Returns 0, -ENOENT, -EINVAL (no ELF file) or -errno. */
int machine_read_program(const struct machine *m, const char *path, struct elf_facts *ret);
