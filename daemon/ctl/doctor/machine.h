/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* This machine, as far as booting is concerned: which drivers its network cards and the disks of the system need, which
 * volumes of role os the node's list has, clocks and the boot chain. Read from sysfs, /proc and files below a root (""
 * for the system's own), so that tests give it another one. What cannot be read is "unknown", never an error. */

#include "image.h"

#define MACHINE_DRIVERS_MAX 128u
#define MACHINE_VOLUMES_MAX 32u

enum driver_kind { DRIVER_NETWORK, DRIVER_DISK };

struct machine_driver {
        enum driver_kind kind;
        char module[64], device[64];
};

/* An entry of the trust list, the fields that a boot depends on. */
struct os_volume {
        char uuid[37], name[65], role[16], key[512], digest[65], generation[24];
        char device[64];                    /* of the kernel: vda2; empty: not found */
        int recovery_key;                   /* 1, 0, or -errno: not known */
};

struct machine {
        const char *root;
        struct machine_driver drivers[MACHINE_DRIVERS_MAX];
        size_t n_drivers;
        struct os_volume volumes[MACHINE_VOLUMES_MAX];
        size_t n_volumes;
        char *builtin;                      /* modules.builtin of the image's kernel, NULL: not installed here */
        char *command_line;                 /* of the running kernel, NULL: not known */
        char *cmkd_conf;                    /* the node's own, NULL: none */
        bool has_clock;
        int64_t clock_ahead;                /* seconds by which the hardware clock is ahead of ours */
        int secure_boot;                    /* 1, 0, -ENOENT: no EFI */
        bool unified_image;                 /* booted through a stub: kernel and image are one file */
        char virtual_route[32];             /* the device of the default route, if no network card is below it */
};

/* release: of the image's kernel, for its list of modules. Never fails. */
void machine_read(struct machine *m, const char *root, const char *release);

void machine_release(struct machine *m);

/* Fields of a trust list's entry, for the machine's list and the image's. Text is not changed. Returns 0 or -EINVAL. */
int os_volume_parse(const char *uuid, const char *text, struct os_volume *ret);

/* The file that is installed here, for comparison. Returns 0, -ENOENT, -EINVAL (no ELF file) or -errno. */
int machine_read_program(const struct machine *m, const char *path, struct elf_facts *ret);
