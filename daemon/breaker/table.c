/* SPDX-License-Identifier: Apache-2.0 */
#include "table.h"

#include "common/dm-ioctl.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define STORE(lvalue, v) __atomic_store_n(&(lvalue), (v), __ATOMIC_SEQ_CST)

bool slot_is_valid(const struct breaker_slot *s) {
        char name[sizeof(s->name) + 1] = {};
        const char *rest;

        memcpy(name, s->name, sizeof(s->name));
        if (!volume_name_is_valid(name) || !memchr(s->dm_uuid, 0, sizeof(s->dm_uuid)))
                return false;
        rest = startswith(s->dm_uuid, DM_CRYPT_UUID_PREFIX);
        if (!rest || strspn(rest, "0123456789abcdef") != 32 || rest[32] != '-')
                return false;
        return dm_mapping_name_is_valid(rest + 33) && s->action <= BREAKER_ACTION_REBOOT;
}

static unsigned clean(struct table *t) {
        unsigned dropped = 0;

        if (t->magic != TABLE_MAGIC || t->version != TABLE_VERSION || t->slots_max != BREAKER_SLOTS) {
                dropped = t->magic != 0;
                memset(t, 0, sizeof(*t));
                t->slots_max = BREAKER_SLOTS;
                t->version = TABLE_VERSION;
                STORE(t->magic, TABLE_MAGIC);
                return dropped;
        }
        for (size_t i = 0; i < BREAKER_SLOTS; i++) {
                struct breaker_slot *s = &t->slots[i];

                if (s->state == BREAKER_EMPTY || (slot_is_valid(s) && s->state < BREAKER_END))
                        continue;
                STORE(s->state, BREAKER_EMPTY);
                dropped++;
        }
        return dropped;
}

int table_open(const char *path, struct table **ret, unsigned *ret_dropped) {
        _cleanup_(closep) int fd = -EBADF;
        struct table *t;
        struct stat st;

        fd = open(path, O_RDWR|O_CREAT|O_CLOEXEC|O_NOFOLLOW|O_NONBLOCK, 0600);
        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_nlink != 1)
                return -EPERM;
        if (st.st_size != sizeof(*t) && ftruncate(fd, sizeof(*t)) < 0)
                return -errno;
        t = mmap(NULL, sizeof(*t), PROT_READ|PROT_WRITE, MAP_SHARED|MAP_POPULATE, fd, 0);
        if (t == MAP_FAILED)
                return -errno;
        *ret_dropped = clean(t);
        *ret = t;
        return 0;
}

int table_find(const struct table *t, const char dm_uuid[static 128]) {
        for (int i = 0; i < BREAKER_SLOTS; i++)
                if (t->slots[i].state != BREAKER_EMPTY &&
                    strncmp(t->slots[i].dm_uuid, dm_uuid, sizeof(t->slots[i].dm_uuid)) == 0)
                        return i;
        return -ENOENT;
}

static int find_empty(const struct table *t) {
        for (int i = 0; i < BREAKER_SLOTS; i++)
                if (t->slots[i].state == BREAKER_EMPTY)
                        return i;
        return -ENOSPC;
}

int table_set(struct table *t, const struct breaker_slot *s) {
        struct breaker_slot *mine;
        int i;

        if (!slot_is_valid(s))
                return -EINVAL;
        i = table_find(t, s->dm_uuid);
        if (i < 0) {
                i = find_empty(t);
                if (i < 0)
                        return i;
                mine = &t->slots[i];
                *mine = (struct breaker_slot) { .state = BREAKER_EMPTY };
                memcpy(mine->name, s->name, sizeof(mine->name));
                memcpy(mine->dm_uuid, s->dm_uuid, sizeof(mine->dm_uuid));
        }
        mine = &t->slots[i];
        STORE(mine->sectors, s->sectors);
        STORE(mine->action, s->action);
        STORE(mine->error, 0);
        STORE(mine->deadline_boottime_usec, s->deadline_boottime_usec);
        STORE(mine->deadline_realtime_usec, s->deadline_realtime_usec);
        STORE(mine->state, BREAKER_ARMED);
        return i;
}

void table_clear(struct table *t, const char dm_uuid[static 128]) {
        int i = table_find(t, dm_uuid);

        if (i >= 0)
                STORE(t->slots[i].state, BREAKER_EMPTY);
}

static bool deadline_passed(const struct breaker_slot *s, struct instant now) {
        return (s->deadline_boottime_usec != 0 && s->deadline_boottime_usec <= now.boottime_usec) ||
               (s->deadline_realtime_usec != 0 && s->deadline_realtime_usec <= now.realtime_usec);
}

bool slot_is_due(const struct breaker_slot *s, struct instant now) {
        return (s->state == BREAKER_ARMED || s->state == BREAKER_FAILED) && deadline_passed(s, now);
}

void slot_finish(struct breaker_slot *s, int error, struct instant now) {
        STORE(s->error, error);
        if (error == 0) {
                STORE(s->tripped_boottime_usec, now.boottime_usec);
                STORE(s->state, BREAKER_TRIPPED);
        } else
                STORE(s->state, deadline_passed(s, now) ? BREAKER_FAILED : BREAKER_ARMED);
}

static uint64_t earlier(uint64_t a, uint64_t b) {
        if (a == 0 || b == 0)
                return a + b;
        return MIN_OF(a, b);
}

struct instant table_next_deadline(const struct table *t, struct instant now) {
        struct instant next = {};

        for (size_t i = 0; i < BREAKER_SLOTS; i++) {
                const struct breaker_slot *s = &t->slots[i];

                if (s->state != BREAKER_ARMED || deadline_passed(s, now))
                        continue;
                next.boottime_usec = earlier(next.boottime_usec, s->deadline_boottime_usec);
                next.realtime_usec = earlier(next.realtime_usec, s->deadline_realtime_usec);
        }
        return next;
}

unsigned table_count_armed(const struct table *t) {
        unsigned n = 0;

        for (size_t i = 0; i < BREAKER_SLOTS; i++)
                n += t->slots[i].state == BREAKER_ARMED || t->slots[i].state == BREAKER_FAILED;
        return n;
}
