/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox.h"

#include <grp.h>
#include <linux/capability.h>
#include <malloc.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/secret.h"
#include "seccomp-filter.h"

#define DEFAULT_USER "cmkd-vault"
#define NOBODY 65534u
#define LAST_CAP_FALLBACK 63

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true          /* needs calls and address space that the worker must not have */
#else
#define SANITIZED false
#endif

static int find_user(const char *user, uid_t *ret_uid, gid_t *ret_gid) {
        const struct passwd *pw;
        uint64_t n;

        if (user && parse_u64(user, UINT32_MAX - 1, &n) >= 0 && n > 0) {
                pw = getpwuid((uid_t) n);
                *ret_uid = (uid_t) n;
                *ret_gid = pw ? pw->pw_gid : (gid_t) n;
                return 0;
        }
        pw = getpwnam(user ? user : DEFAULT_USER);
        if (!pw && user)
                return -ENOENT;
        if (pw && (pw->pw_uid == 0 || pw->pw_gid == 0))
                return -EPERM;
        *ret_uid = pw ? pw->pw_uid : NOBODY;
        *ret_gid = pw ? pw->pw_gid : NOBODY;
        return 0;
}

/* Lowers both limits; one that is lower already stays. */
static int limit(int what, rlim_t to) {
        struct rlimit l;

        if (getrlimit(what, &l) < 0)
                return -errno;
        l.rlim_max = MIN_OF(l.rlim_max, to);
        l.rlim_cur = l.rlim_max;
        return setrlimit(what, &l) < 0 ? -errno : 0;
}

/* Locked pages: 32 requests with a body's buffer and a few secrets each. Who may not raise the limit has the unit's,
 * and a request that cannot lock its pages fails. FSIZE holds for memory files too, so it is not zero. */
static int set_limits(void) {
        static const struct rlimit locked = { 16u << 20, 16u << 20 };
        int r;

        if (setrlimit(RLIMIT_MEMLOCK, &locked) < 0 && errno != EPERM)
                return -errno;
        r = limit(RLIMIT_CORE, 0);
        if (r >= 0)
                r = limit(RLIMIT_NOFILE, 512);
        if (r >= 0)
                r = limit(RLIMIT_FSIZE, 1u << 20);
        if (r >= 0 && !SANITIZED)
                r = limit(RLIMIT_AS, (rlim_t) 2u << 30);
        return r;
}

static int drop_bounding_set(void) {
        for (int cap = 0; cap <= LAST_CAP_FALLBACK; cap++) {
                int r = prctl(PR_CAPBSET_READ, cap);

                if (r < 0)
                        break;          /* the kernel knows no higher one */
                if (r > 0 && prctl(PR_CAPBSET_DROP, cap) < 0)
                        return -errno;
        }
        return 0;
}

static int become_user(const char *user) {
        uid_t uid;
        gid_t gid;
        int r;

        if (geteuid() != 0)
                return 0;
        r = find_user(user, &uid, &gid);
        if (r < 0)
                return r;
        r = drop_bounding_set();
        if (r < 0)
                return r;
        if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
                return -errno;
        return 0;
}

static int drop_capabilities(void) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct none[2] = {};

        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
                return -errno;
        return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

static int verify(void) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct d[2] = {};
        uid_t r, e, s;

        if (syscall(SYS_capget, &header, d) < 0 || getresuid(&r, &e, &s) < 0)
                return -errno;
        for (size_t i = 0; i < ELEMENTSOF(d); i++)
                if (d[i].effective || d[i].permitted || d[i].inheritable)
                        return -EPERM;
        return r == 0 || e == 0 || s == 0 || setuid(0) >= 0 ? -EPERM : 0;
}

static int no_new_privileges(void) {
        return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

int sandbox_enter(const char *user, bool modules, const char **ret_what) {
        static const struct { const char *what; int (*step)(void); } steps[] = {
                { "capabilities", drop_capabilities },
                { "no_new_privs", no_new_privileges },
                { "dumpable", secret_process_init },       /* changing the user has reset it */
                { "verification", verify },
        };
        int r;

        mallopt(M_ARENA_MAX, 2);
        *ret_what = "resource limits";
        r = set_limits();
        if (r < 0)
                return r;
        *ret_what = "user";
        r = become_user(user);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(steps); i++) {
                *ret_what = steps[i].what;
                r = steps[i].step();
        }
        if (r < 0 || SANITIZED)
                return r;
        *ret_what = "seccomp";
        return seccomp_filter_load(modules);
}
