/* SPDX-License-Identifier: Apache-2.0 */
#include "known-programs.h"

#include "util.h"

static const char *const directories[] = {
        "/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/", "/usr/lib/systemd/", "/lib/systemd/",
};

/* systemd-growfs resizes a mapping by libcryptsetup, which reads its table; dmsetup has no reason of a unit's to read one. */
static const struct known_program programs[] = {
        { "systemd", KNOWN_OPEN|KNOWN_TABLE }, { "systemd-executor", KNOWN_OPEN|KNOWN_TABLE },
        { "systemd-shutdown", KNOWN_OPEN|KNOWN_TABLE }, { "udevadm", KNOWN_OPEN|KNOWN_TABLE },
        { "systemd-udevd", KNOWN_OPEN|KNOWN_TABLE },
        { "systemd-cryptsetup", KNOWN_OPEN|KNOWN_TABLE|KNOWN_CONNECT|KNOWN_KEYS },
        { "cryptsetup", KNOWN_OPEN|KNOWN_TABLE|KNOWN_CONNECT|KNOWN_KEYS }, { "integritysetup", KNOWN_OPEN|KNOWN_TABLE },
        { "cmkctl", KNOWN_OPEN|KNOWN_TABLE|KNOWN_CONNECT }, { "lvm", KNOWN_OPEN|KNOWN_TABLE },
        { "dmeventd", KNOWN_OPEN|KNOWN_TABLE }, { "multipathd", KNOWN_OPEN|KNOWN_TABLE },
        { "multipath", KNOWN_OPEN|KNOWN_TABLE }, { "kpartx", KNOWN_OPEN|KNOWN_TABLE },
        { "grub-probe", KNOWN_OPEN|KNOWN_TABLE }, { "dmsetup", KNOWN_OPEN }, { "mdadm", KNOWN_OPEN },
        { "systemd-fsck", KNOWN_OPEN }, { "systemd-makefs", KNOWN_OPEN }, { "systemd-growfs", KNOWN_OPEN|KNOWN_TABLE },
        { "mount", KNOWN_OPEN }, { "umount", KNOWN_OPEN }, { "blkid", KNOWN_OPEN }, { "lsblk", KNOWN_OPEN },
        { "blockdev", KNOWN_OPEN }, { "wipefs", KNOWN_OPEN }, { "fstrim", KNOWN_OPEN }, { "findfs", KNOWN_OPEN },
        { "swapon", KNOWN_OPEN }, { "swapoff", KNOWN_OPEN }, { "mkswap", KNOWN_OPEN }, { "fsfreeze", KNOWN_OPEN },
        { "fsck", KNOWN_OPEN }, { "mke2fs", KNOWN_OPEN }, { "e2fsck", KNOWN_OPEN }, { "resize2fs", KNOWN_OPEN },
        { "tune2fs", KNOWN_OPEN }, { "dumpe2fs", KNOWN_OPEN }, { "mkfs.xfs", KNOWN_OPEN }, { "xfs_repair", KNOWN_OPEN },
        { "xfs_growfs", KNOWN_OPEN }, { "mkfs.btrfs", KNOWN_OPEN }, { "btrfs", KNOWN_OPEN }, { "mkfs.fat", KNOWN_OPEN },
        { "fsck.fat", KNOWN_OPEN }, { "partx", KNOWN_OPEN }, { "sfdisk", KNOWN_OPEN }, { "fdisk", KNOWN_OPEN },
        { "parted", KNOWN_OPEN }, { "smartctl", KNOWN_OPEN },
};

const char *known_directory(size_t i) { return i < ELEMENTSOF(directories) ? directories[i] : NULL; }
const struct known_program *known_program(size_t i) { return i < ELEMENTSOF(programs) ? programs + i : NULL; }

unsigned known_path_may(const char *path) {
        for (size_t d = 0; d < ELEMENTSOF(directories); d++) {
                const char *name = startswith(path, directories[d]);

                for (size_t i = 0; name && i < ELEMENTSOF(programs); i++)
                        if (streq(name, programs[i].name))
                                return programs[i].may;
        }
        return 0;
}
