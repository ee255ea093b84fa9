/* SPDX-License-Identifier: Apache-2.0 */
#include "filesystem.h"

#include "ops.h"
#include "tool.h"

#include <blkid/blkid.h>
#include <endian.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#define TOOL_TIMEOUT_USEC (60 * 60 * USEC_PER_SEC)
#define E2FSCK_MENDED 1                   /* e2fsck(8): errors were corrected */

static void probe_freep(blkid_probe *p) { blkid_free_probe(*p); }

/* libblkid tells the size of ext4 from 2.39 on only. Offsets in the superblock: Documentation/filesystems/ext4/super.rst; of xfs:
 * fs/xfs/libxfs/xfs_format.h, struct xfs_dsb. */
static int read_size(const struct device *d, struct filesystem *f) {
        uint8_t s[1024];
        uint64_t blocks;
        uint32_t lo, hi = 0, shift, incompat;
        bool ext = startswith(f->type, "ext") && strlen(f->type) == 4;

        if (pread(d->fd, s, sizeof(s), ext ? 1024 : 0) != (ssize_t) sizeof(s))
                return -EIO;
        if (ext) {
                memcpy(&lo, s + 0x4, 4);
                memcpy(&shift, s + 0x18, 4);
                memcpy(&incompat, s + 0x60, 4);
                if (le32toh(incompat) & 0x80)     /* 64bit */
                        memcpy(&hi, s + 0x150, 4);
                if (le32toh(shift) > 6)
                        return -EUCLEAN;
                f->block_size = 1024u << le32toh(shift);
                blocks = le32toh(lo) | (uint64_t) le32toh(hi) << 32;
        } else if (streq(f->type, "xfs")) {
                memcpy(&shift, s + 4, 4);
                memcpy(&blocks, s + 8, 8);
                f->block_size = be32toh(shift);
                blocks = be64toh(blocks);
        } else
                return -EOPNOTSUPP;
        if (f->block_size < 512 || f->block_size > 65536 || blocks == 0 || blocks > d->size / f->block_size)
                return -EUCLEAN;
        f->size = blocks * f->block_size;
        return 0;
}

int filesystem_find(const struct device *d, const char *path, struct filesystem *ret, struct disk_reply *y) {
        _cleanup_(probe_freep) blkid_probe p = blkid_new_probe();
        struct filesystem f = {};
        const char *type = NULL, *usage = NULL;
        int r;

        if (!p || blkid_probe_set_device(p, d->fd, 0, 0) != 0 || blkid_probe_enable_superblocks(p, 1) != 0 ||
            blkid_probe_set_superblocks_flags(p, BLKID_SUBLKS_TYPE|BLKID_SUBLKS_USAGE) != 0 || blkid_probe_enable_partitions(p, 1) != 0)
                return op_fail(y, -EIO, EXIT_CODE_FAILED, "%s cannot be probed for what it holds: nothing was written", path);
        r = blkid_do_safeprobe(p);
        if (r == 1)
                return op_fail(y, -ENOENT, EXIT_CODE_FAILED, "%s holds nothing that is known: nothing was written (an empty device "
                               "is for \"cmkctl format\")", path);
        if (r == -2)
                return op_fail(y, -EEXIST, EXIT_CODE_FAILED, "%s holds several things that contradict each other: nothing was written",
                               path);
        if (r < 0)
                return op_fail(y, -EIO, EXIT_CODE_FAILED, "%s cannot be probed for what it holds: nothing was written", path);
        if (blkid_probe_lookup_value(p, "TYPE", &type, NULL) != 0 || blkid_probe_lookup_value(p, "USAGE", &usage, NULL) != 0 ||
            !streq(usage, "filesystem"))
                return op_fail(y, -EEXIST, EXIT_CODE_FAILED, "%s holds %s, which is no file system: nothing was written", path,
                               type ?: "a partition table");
        snprintf(f.type, sizeof(f.type), "%s", type);
        r = read_size(d, &f);
        if (r == -EOPNOTSUPP)
                return op_fail(y, r, EXIT_CODE_FAILED, "%s holds %s: encrypting in place knows ext2, ext3, ext4 and xfs. Nothing was "
                               "written", path, f.type);
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "How large the %s on %s is cannot be read: nothing was written", f.type, path);
        *ret = f;
        return 0;
}

static int check(const char *path, struct disk_reply *y) {
        char *const argv[] = { (char *) "/usr/sbin/e2fsck", (char *) "-f", (char *) "-p", (char *) path, NULL };
        char said[400];
        int r = tool_run(argv, TOOL_TIMEOUT_USEC, said, sizeof(said));

        if (r == 0 || r == E2FSCK_MENDED)
                return 0;
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "%s: e2fsck could not be run: %s", path, strerror(-r));
        return op_fail(y, -EUCLEAN, EXIT_CODE_FAILED, "%s: its file system is not in order, or e2fsck is not installed (exit status %d: "
                       "%s): look with \"e2fsck -f %s\"", path, r, said, path);
}

/* resize2fs's own idea of the least that a file system can be is for the worst case of moving all of it, and often near to its full
 * size. To take a little from its end, room for what is there is enough; twice that, and 5 % of all, is plenty. */
static bool has_plenty(const struct filesystem *f, const char *path, uint64_t size) {
        _cleanup_(closep) int fd = open(path, O_RDONLY|O_CLOEXEC);
        uint8_t s[1024];
        uint32_t lo, hi;
        uint64_t free;

        if (fd < 0 || pread(fd, s, sizeof(s), 1024) != (ssize_t) sizeof(s))
                return false;
        memcpy(&lo, s + 0xc, 4);
        memcpy(&hi, s + 0x158, 4);
        free = (le32toh(lo) | (f->size >> 32 ? (uint64_t) le32toh(hi) << 32 : 0)) * f->block_size;
        return free >= 2 * (f->size - size) + f->size / 20;
}

int filesystem_shrink(const struct filesystem *f, const char *path, uint64_t size, struct disk_reply *y) {
        char sectors[32], said[400];
        char *argv[] = { (char *) "/usr/sbin/resize2fs", (char *) "-f", (char *) path, sectors, NULL };
        int r;

        if (f->size <= size)
                return 0;
        if (!startswith(f->type, "ext"))
                return op_fail(y, -EOPNOTSUPP, EXIT_CODE_FAILED, "%s: %s cannot shrink, and it needs %" PRIu64 " of %" PRIu64 " bytes: "
                               "nothing was written. Make the device %u MiB larger, or copy it", path, f->type, f->size, size,
                               (unsigned) ((f->size - size + (1 << 20) - 1) >> 20));
        r = check(path, y);
        if (r < 0)
                return r;
        snprintf(sectors, sizeof(sectors), "%" PRIu64 "s", size / 512);
        if (!has_plenty(f, path, size)) {
                argv[1] = argv[0];
                r = tool_run(argv + 1, TOOL_TIMEOUT_USEC, said, sizeof(said));
        } else
                r = tool_run(argv, TOOL_TIMEOUT_USEC, said, sizeof(said));
        if (r == 0)
                return 0;
        if (r < 0)
                return op_fail(y, r, EXIT_CODE_FAILED, "%s: resize2fs could not be run, or was stopped (%s): \"e2fsck -f %s\" says whether "
                               "the file system is as it was", path, strerror(-r), path);
        return op_fail(y, -ENOSPC, EXIT_CODE_FAILED, "%s: its file system cannot be made smaller by resize2fs (exit status %d: %s)", path,
                       r, said);
}
