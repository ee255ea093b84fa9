/* SPDX-License-Identifier: Apache-2.0 */
#include "keep.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define KEEP_SIZE 4096u

struct slot {
        uint64_t begun, done;              /* equal and not 0: whole; the larger one is the newer */
        struct keep_state state;
        uint8_t key[SEAL_KEY_SIZE];
};

struct keep {
        int fd;
        struct slot *slots;                /* two of them */
};

_Static_assert(2 * sizeof(struct slot) <= KEEP_SIZE, "both slots are in the file");

struct keep *keep_free(struct keep *k) {
        if (!k)
                return NULL;
        if (k->slots)
                munmap(k->slots, KEEP_SIZE);
        safe_close(k->fd);
        free(k);
        return NULL;
}

static bool is_whole(const struct slot *s) {
        return s->begun != 0 && s->begun == s->done && memchr(s->state.epoch, 0, sizeof(s->state.epoch)) &&
               memchr(s->state.digest, 0, sizeof(s->state.digest));
}

static int newest(const struct keep *k) {
        bool first = is_whole(k->slots), second = is_whole(k->slots + 1);

        if (first && second)
                return k->slots[0].begun > k->slots[1].begun ? 0 : 1;
        return first ? 0 : second ? 1 : -1;
}

/* Whoever is killed has done all stores before a place, and none behind it: the order is the compiler's business only. */
static void in_order(void) { __atomic_signal_fence(__ATOMIC_SEQ_CST); }

static void wipe(struct slot *s) {
        s->done = 0;
        in_order();
        explicit_bzero(s, sizeof(*s));
        in_order();
}

int keep_new(int fd, struct keep **ret) {
        _cleanup_(keep_freep) struct keep *k = calloc(1, sizeof(*k));
        void *p;

        if (!k) {
                safe_close(fd);
                return -ENOMEM;
        }
        k->fd = fd;
        if (ftruncate(fd, KEEP_SIZE) < 0)
                return -errno;
        p = mmap(NULL, KEEP_SIZE, PROT_READ|PROT_WRITE, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED)
                return -errno;
        k->slots = p;
        if (madvise(p, KEEP_SIZE, MADV_DONTDUMP) < 0 || madvise(p, KEEP_SIZE, MADV_DONTFORK) < 0)
                return -errno;
        /* Who was killed in keep_store() left an older key, or half of one */
        for (int i = 0, last = newest(k); i < 2; i++)
                if (i != last)
                        wipe(k->slots + i);
        *ret = TAKE_PTR(k);
        return 0;
}

/* The mount is part of no tree; it lasts as long as the file is open somewhere. */
int keep_make_file(void) {
        _cleanup_(closep) int context = -EBADF, mount = -EBADF;
        int fd;

        context = (int) syscall(SYS_fsopen, "ramfs", FSOPEN_CLOEXEC);
        if (context < 0 || syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
                return -errno;
        mount = (int) syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID|MOUNT_ATTR_NODEV|MOUNT_ATTR_NOEXEC);
        if (mount < 0)
                return -errno;
        fd = openat(mount, ".", O_TMPFILE|O_RDWR|O_CLOEXEC, 0600);
        return fd < 0 ? -errno : fd;
}

static void freep_strings(char ***l) {
        for (char **p = *l; p && *p; p++)
                free(*p);
        free(*l);
}

/* The descriptor of that name among those that the service manager handed over, or -ENOENT. */
static int find_kept(void) {
        _cleanup_(freep_strings) char **names = NULL;
        int n = sd_listen_fds_with_names(0, &names), found = -ENOENT;

        for (int i = 0; i < n; i++) {
                if (!streq(names[i], KEEP_FD_NAME))
                        continue;
                if (found < 0)
                        found = SD_LISTEN_FDS_START + i;
                else
                        safe_close(SD_LISTEN_FDS_START + i);
        }
        return found;
}

int keep_open(bool create, struct keep **ret, bool *ret_kept) {
        int fd = find_kept(), r;

        if (fd >= 0) {
                *ret_kept = true;
                return keep_new(fd, ret);
        }
        if (!create)
                return -ENOENT;
        fd = keep_make_file();
        if (fd < 0)
                return fd;
        r = sd_pid_notify_with_fds(0, 0, "FDSTORE=1\nFDPOLL=0\nFDNAME=" KEEP_FD_NAME, &fd, 1);
        *ret_kept = r > 0;
        return keep_new(fd, ret);
}

bool keep_peek(const struct keep *k, struct keep_state *ret) {
        int i = newest(k);

        if (i >= 0)
                *ret = k->slots[i].state;
        return i >= 0;
}

bool keep_load(const struct keep *k, struct keep_state *ret, struct seal_key *key) {
        int i = newest(k);

        if (i < 0)
                return false;
        *ret = k->slots[i].state;
        memcpy(seal_key_data(key), k->slots[i].key, SEAL_KEY_SIZE);
        return true;
}

void keep_store(struct keep *k, const struct keep_state *state, struct seal_key *key) {
        int i = newest(k);
        struct slot *old = k->slots + (i < 0 ? 1 : i), *new = k->slots + (i == 0 ? 1 : 0);
        uint64_t generation = i < 0 ? 1 : old->begun + 1;

        wipe(new);
        new->state = *state;
        memcpy(new->key, seal_key_data(key), SEAL_KEY_SIZE);
        new->begun = generation;
        in_order();
        new->done = generation;
        in_order();
        wipe(old);
}

void keep_wipe(struct keep *k) {
        wipe(k->slots);
        wipe(k->slots + 1);
}
