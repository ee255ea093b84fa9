/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/audit/keep.c daemon/audit/seal.c daemon/audit/chain.c
// libs: libsystemd
// The key between two records: whole after a kill at any place, nothing of an older one left, on a file nobody can reach.

#include "audit/keep.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

static struct keep *keep;
static struct seal_key *key;
static int fd;                             /* the service manager's */

static int set_up(void **state _unused_) {
        fd = memfd_create("keep", MFD_CLOEXEC);
        return keep_new(dup(fd), &keep) < 0 || seal_key_new(&key) < 0 ? -1 : 0;
}

static int tear_down(void **state _unused_) {
        keep = keep_free(keep);
        key = seal_key_free(key);
        fd = safe_close(fd);
        return 0;
}

/* Key and state of that number, which both show. */
static void store(uint64_t n) {
        struct keep_state s = { .sequence = n };

        memset(s.hash, (int) (n & 0xff), sizeof(s.hash));
        snprintf(s.epoch, sizeof(s.epoch), "%032llx", (unsigned long long) n);
        snprintf(s.digest, sizeof(s.digest), "digest");
        memset(seal_key_data(key), 0, SEAL_KEY_SIZE);
        memcpy(seal_key_data(key), &n, sizeof(n));
        keep_store(keep, &s, key);
}

static void holds(const struct keep *k, uint64_t n) {
        uint8_t hash[CHAIN_HASH_SIZE];
        struct keep_state s;
        char epoch[SEAL_EPOCH_SIZE + 1];

        assert_true(keep_load(k, &s, key));
        assert_int_equal(s.sequence, n);
        memset(hash, (int) (n & 0xff), sizeof(hash));
        assert_memory_equal(s.hash, hash, sizeof(hash));
        snprintf(epoch, sizeof(epoch), "%032llx", (unsigned long long) n);
        assert_string_equal(s.epoch, epoch);
        assert_memory_equal(seal_key_data(key), &n, sizeof(n));
}

/* How often those bytes are in the file. */
static unsigned found(uint64_t n) {
        char file[4096];
        unsigned times = 0;

        assert_int_equal(pread(fd, file, sizeof(file), 0), (ssize_t) sizeof(file));
        for (size_t i = 0; i + sizeof(n) <= sizeof(file); i++)
                times += memcmp(file + i, &n, sizeof(n)) == 0;
        return times;
}

static void the_last_one_holds(void **state _unused_) {
        struct keep_state s;
        struct keep *again;

        assert_false(keep_load(keep, &s, key));
        for (uint64_t n = 1; n < 100; n++) {
                store(n);
                holds(keep, n);
        }
        assert_int_equal(keep_new(dup(fd), &again), 0);
        holds(again, 99);
        keep_free(again);
        keep_wipe(keep);
        assert_false(keep_load(keep, &s, key));
}

static void nothing_older_is_left(void **state _unused_) {
        const uint64_t old = UINT64_C(0x1122334455667788), new = UINT64_C(0x99aabbccddeeff00);
        static const char zero[4096];
        char file[4096];

        store(old);
        assert_int_equal(found(old), 2);       /* state and key */
        store(new);
        assert_int_equal(found(old), 0);
        assert_int_equal(found(new), 2);
        keep_wipe(keep);
        assert_int_equal(pread(fd, file, sizeof(file), 0), (ssize_t) sizeof(file));
        assert_memory_equal(file, zero, sizeof(file));
}

/* Whoever is killed while it stores leaves the old or the new, as a whole. */
static void killed_at_any_place(void **state _unused_) {
        uint64_t last = 0;

        for (unsigned i = 0; i < 200; i++) {
                struct keep_state s;
                pid_t pid = fork();

                assert_true(pid >= 0);
                if (pid == 0) {
                        /* its own mappings: those of the parent are not inherited */
                        if (keep_new(dup(fd), &keep) < 0 || seal_key_new(&key) < 0)
                                _exit(1);
                        for (uint64_t n = last + 1; ; n++)
                                store(n);
                }
                while (!keep_load(keep, &s, key) || s.sequence < last + 1 + i % 7)
                        sched_yield();         /* somewhere behind that one, where it just is */
                assert_int_equal(kill(pid, SIGKILL), 0);
                assert_int_equal(waitpid(pid, NULL, 0), pid);
                assert_true(keep_load(keep, &s, key));
                assert_true(s.sequence > last);
                last = s.sequence;
                holds(keep, last);
        }
        assert_true(last > 0);
}

/* A slot that is half written, by hand: each state that the order of the stores allows. */
static void halves_are_not_believed(void **state _unused_) {
        char file[4096], *half;
        struct keep_state s;

        store(7);
        store(8);
        assert_int_equal(pread(fd, file, sizeof(file), 0), (ssize_t) sizeof(file));
        half = file + 2 * sizeof(uint64_t) + sizeof(struct keep_state) + SEAL_KEY_SIZE;
        half += -(half - file) & 7;
        /* the other slot: begun with a later number, not done */
        for (size_t which = 0; which < 2; which++) {
                uint64_t *slot = (uint64_t *) (void *) (which ? half : file);
                uint64_t begun = slot[0], done = slot[1];

                if (begun != 0)
                        continue;
                slot[0] = 1000;
                assert_int_equal(pwrite(fd, file, sizeof(file), 0), (ssize_t) sizeof(file));
                holds(keep, 8);
                slot[0] = begun;
                slot[1] = done;
        }
        memset(file, 0xff, sizeof(file));
        assert_int_equal(pwrite(fd, file, sizeof(file), 0), (ssize_t) sizeof(file));
        assert_false(keep_load(keep, &s, key));
}

static void file_is_on_a_ramfs_without_a_name(void **state _unused_) {
        char link[64], target[256];
        struct keep *k;
        struct statfs st;
        ssize_t n;
        int f = keep_make_file();

        if (f == -EPERM || f == -ENODEV || f == -ENOSYS)
                skip();
        assert_true(f >= 0);
        assert_int_equal(fstatfs(f, &st), 0);
        assert_int_equal(st.f_type, RAMFS_MAGIC);
        snprintf(link, sizeof(link), "/proc/self/fd/%d", f);
        n = readlink(link, target, sizeof(target) - 1);
        assert_true(n > 0);
        target[n] = 0;
        assert_non_null(strstr(target, "(deleted)"));
        assert_int_equal(keep_new(f, &k), 0);
        keep_free(k);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(the_last_one_holds), TEST(nothing_older_is_left), TEST(killed_at_any_place),
                TEST(halves_are_not_believed), TEST(file_is_on_a_ramfs_without_a_name),
        };

        return cmocka_run_group_tests_name("keep", tests, NULL, NULL);
}
