/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What would stop a node from booting with an image, judged from what the image holds and what the machine is; and where a
 * node leaks what its volumes hold (leaks.h).
 *
 *   image (image.h) ┐
 *   machine (machine.h) ┼─► judge() ─► findings, in the order of their severity
 *   its configuration ┘
 *
 * Pure but for the configuration, which is read from a private directory (config-copy.c). One table says what each kind
 * of finding means and what cures it; a finding adds what it is about. */

#include "common/config.h"
#include "image.h"
#include "machine.h"

enum severity {
        SEVERITY_STOP,                      /* the node does not boot, or not unattended */
        SEVERITY_RISK,                      /* it boots, and somebody will be sorry */
        SEVERITY_NOTE,                      /* reported, no finding: the exit code stays 0 */
};

enum finding_kind {
        FINDING_IMAGE_DAMAGED, FINDING_IMAGE_REST, FINDING_NO_MODULES, FINDING_NETWORK_DRIVER, FINDING_DISK_DRIVER,
        FINDING_CRYPTO, FINDING_MODULE_DEPENDENCY, FINDING_NETWORK_SETUP, FINDING_PROGRAM_MISSING,
        FINDING_PROGRAM_OTHER, FINDING_LIBRARY, FINDING_PLUGIN, FINDING_KEYSCRIPT, FINDING_START, FINDING_COMMAND_LINE,
        FINDING_CONFIG_MISSING, FINDING_CONFIG_BAD, FINDING_CONFIG_OTHER, FINDING_NO_VAULT, FINDING_CA_MISSING,
        FINDING_CA_BAD, FINDING_CA_OTHER, FINDING_IMAGE_CRL, FINDING_CRL_AGES, FINDING_RESOLVER, FINDING_RESOLVER_ON_DISK, FINDING_ROUTE_ON_DISK, FINDING_CLOCK,
        FINDING_IDENTITY, FINDING_LOGIN, FINDING_VOLUME_UNKNOWN, FINDING_VOLUME_OTHER, FINDING_VOLUME_KEY, FINDING_VOLUME_UNREADABLE, FINDING_VAULT_NOT_ALLOWED, FINDING_SECRET,
        FINDING_ODD_PATH, FINDING_NO_RECOVERY_KEY, FINDING_RECOVERY_UNKNOWN, FINDING_NO_OS_VOLUME,
        FINDING_SECURE_BOOT_OFF, FINDING_SECURE_BOOT_ON, FINDING_UNIFIED, FINDING_INIT_ON_FREE, FINDING_PLAIN_SWAP,
        FINDING_KDUMP, FINDING_HIBERNATION, FINDING_CORES, FINDING_CORES_BESIDE, FINDING_KEXEC,
        FINDING_NOT_COVERED, FINDING_BLIND, FINDING_GUARD, FINDING_VAULT_UNSAFE, FINDING_VAULT_ACCEPTED, FINDING_VAULT_SILENT, FINDING_VAULT_NETWORK,
        FINDING_KEY_UNFIT, FINDING_KEY_REFUSED, FINDING_KEY_EXCESS, FINDING_KEY_EXPIRES, FINDING_KEY_VERSION, FINDING_LEFT_OVER,
        FINDING_SECRET_REVOKED, FINDING_SECRET_ALTERED, FINDING_SECRET_REFUSED,
        FINDING_TOKEN_ALONE, FINDING_OLD_KEYSLOT, FINDING_REENCRYPTION, FINDING_ENCRYPTION, FINDING_OLD_KEY, FINDING_IMAGE, FINDING_IMAGE_KEY, FINDING_PENDING, FINDING_STAGED, FINDING_BEGUN, FINDING_NOT_LISTED,
        FINDING_HEADER_UNREAD, FINDING_KEPT, FINDING_CONVERSION, FINDING_SHA1, FINDING_FIPS, FINDING_CRL, FINDING_NODE_CONFIG_BAD, FINDING_NOT_RUNNING,
        _FINDING_MAX,
};

struct finding {
        enum finding_kind kind;
        char *what;
};

struct findings {
        struct finding *list;
        size_t n;
        bool out_of_memory;
};

/* What is said about every finding of a kind. Static texts. */
const char *finding_id(enum finding_kind kind);
enum severity finding_severity(enum finding_kind kind);
const char *finding_danger(enum finding_kind kind);
const char *finding_cure(enum finding_kind kind);

/* Adds one; the same text of the same kind only once. */
void finding_add(struct findings *l, enum finding_kind kind, const char *format, ...) _printf_(3, 4);

void findings_sort(struct findings *l);
void findings_release(struct findings *l);

/* All that is judged. config: NULL if it could not be read (why: the reason). now: seconds since 1970. */
struct case_file {
        const struct image *image;
        const struct machine *machine;
        const struct config *config;
        const char *config_why;
        uint64_t now;
};

/* Drivers, programs, libraries, network, what starts it. */
void judge_boot(const struct case_file *c, struct findings *l);

/* Configuration, certificates, names, clock, identity. */
void judge_vault(const struct case_file *c, struct findings *l);

/* Volumes of the system, recovery keys, secrets, the boot chain. */
void judge_volumes(const struct case_file *c, struct findings *l);
