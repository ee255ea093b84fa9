/* SPDX-License-Identifier: Apache-2.0 */
#include "privacy-forms.h"

#include "common/known-programs.h"
#include "common/plain-words.h"

#include <ctype.h>

#define DIGITS "0123456789"
#define HEX DIGITS "abcdef"
#define NAME_MAX_LOWER 256u

static void put(struct form *f, const char *s, size_t n) {
        if (f->is_full || n >= f->size - f->n) {
                f->is_full = true;
                return;
        }
        memcpy(f->buf + f->n, s, n);
        f->n += n;
        f->buf[f->n] = 0;
}

static void puts_to(struct form *f, const char *s) {
        put(f, s, strlen(s));
}

static void put_word(struct form *f, const char *s, size_t n) {
        char word[18];

        if (n == 0)
                return;
        if (f->word(f->user, s, n, word))
                puts_to(f, word);
        else
                f->has_failed = true;
}

/* Hosts, mounts and keys compare without case. */
static void put_lower(struct form *f, const char *s, size_t n) {
        char lower[NAME_MAX_LOWER];

        if (n > sizeof(lower)) {
                put_word(f, s, n);
                return;
        }
        for (size_t i = 0; i < n; i++)
                lower[i] = (char) tolower((unsigned char) s[i]);
        put_word(f, lower, n);
}

static bool put_uuid(struct form *f, const char *s, size_t n) {
        char uuid[37], pseudonym[37];

        if (n != 36)
                return false;
        for (size_t i = 0; i < n; i++)
                uuid[i] = (char) tolower((unsigned char) s[i]);
        uuid[36] = 0;
        if (!uuid_is_valid(uuid))
                return false;
        if (f->uuid(f->user, uuid, pseudonym))
                puts_to(f, pseudonym);
        else
                f->has_failed = true;
        return true;
}

static bool is_among(const char *const *list, size_t n_list, const char *s, size_t n) {
        for (size_t i = 0; i < n_list; i++)
                if (strlen(list[i]) == n && memcmp(list[i], s, n) == 0)
                        return true;
        return false;
}

#define IS_AMONG(list, s, n) is_among(list, ELEMENTSOF(list), s, n)

static size_t span(const char *s, size_t n, const char *accept) {
        size_t k = 0;

        while (k < n && strchr(accept, s[k]) && s[k])
                k++;
        return k;
}

/* ---- plain ones ---- */

void form_name(struct form *f, const char *s) { put_word(f, s, strlen(s)); }

void form_number(struct form *f, const char *s) {
        if (span(s, strlen(s), DIGITS "+-.:TZ ") == strlen(s) && strpbrk(s, DIGITS))
                puts_to(f, s);
        else
                form_text(f, s);
}

void form_metadata(struct form *f, const char *s) {
        if (streq(s, "169.254.169.254") || streq(s, "::ffff:169.254.169.254"))
                puts_to(f, s);
        else
                form_text(f, s);
}

void form_hex(struct form *f, const char *s) {
        if (span(s, strlen(s), HEX "- ") == strlen(s))
                puts_to(f, s);
        else
                form_text(f, s);
}

void form_ring(struct form *f, const char *s) {
        const char *old = startswith(s, "old."), *p = old ? old : s;

        if (*p && span(p, strlen(p), HEX ".") == strlen(p))
                puts_to(f, s);
        else
                form_text(f, s);
}

void form_base64(struct form *f, const char *s) {
        size_t n = strlen(s);

        for (size_t i = 0; i < n; i++)
                if (!isalnum((unsigned char) s[i]) && !strchr("+/=", s[i]))
                        n = 0;
        if (n >= 128)
                puts_to(f, s);
        else
                form_text(f, s);
}

void form_uuid(struct form *f, const char *s) {
        if (!put_uuid(f, s, strlen(s)))
                form_name(f, s);
}

static bool is_uid_of_system(const char *s, size_t n) {
        return n > 0 && span(s, n, DIGITS) == n &&
               (n <= 3 || (n == 5 && memcmp(s, "65534", 5) == 0) || (n == 10 && memcmp(s, "4294967295", 10) == 0));
}

static void put_uid(struct form *f, const char *s, size_t n) {
        if (is_uid_of_system(s, n) || (n == 5 && memcmp(s, "unset", 5) == 0) || (n == 1 && *s == '?'))
                put(f, s, n);
        else
                put_word(f, s, n);
}

void form_uid(struct form *f, const char *s) { put_uid(f, s, strlen(s)); }

/* ---- of device-mapper, of keys ---- */

void form_dm_uuid(struct form *f, const char *s) {
        static const char *const types[] = { "LUKS1", "LUKS2", "PLAIN", "VERITY", "INTEGRITY", "TCRYPT", "BITLK", "LOOPAES" };
        const char *type = startswith(s, "CRYPT-"), *rest;
        char dashed[37], uuid[37];
        size_t n;

        n = type ? strcspn(type, "-") : 0;
        if (!type || !type[n] || !IS_AMONG(types, type, n)) {
                form_name(f, s);
                return;
        }
        rest = type + n + 1;
        put(f, s, (size_t) (rest - s));
        n = strcspn(rest, "-");
        if (n == 32 && span(rest, n, HEX) == n) {
                snprintf(dashed, sizeof(dashed), "%.8s-%.4s-%.4s-%.4s-%.12s", rest, rest + 8, rest + 12, rest + 16, rest + 20);
                if (!f->uuid(f->user, dashed, uuid))
                        f->has_failed = true;
                else
                        for (const char *p = uuid; *p; p++)
                                if (*p != '-')
                                        put(f, p, 1);
                rest += n;
                if (*rest)
                        put(f, rest++, 1);
        }
        form_name(f, rest);
}

static void put_version(struct form *f, const char *s) {
        size_t n = strlen(s);

        if ((n == 32 && span(s, n, HEX) == n) || (n <= 10 && span(s, n, DIGITS) == n))
                put(f, s, n);
        else
                put_lower(f, s, n);
}

/* As vault_key_split() of the reviewer takes it apart. */
void form_key(struct form *f, const char *s) {
        const char *host = startswith(s, "https://"), *slash, *keys, *name;

        slash = host ? strchr(host, '/') : NULL;
        keys = slash ? strcasestr(slash, "/keys/") : NULL;
        if (!keys) {
                if (streq(s, "keyring") || streq(s, "inline"))
                        puts_to(f, s);
                else
                        put_lower(f, s, strlen(s));
                return;
        }
        puts_to(f, "https://");
        put_lower(f, host, strcspn(host, ":/"));
        host += strcspn(host, ":/");
        if (span(host, (size_t) (slash - host), ":" DIGITS) == (size_t) (slash - host))
                put(f, host, (size_t) (slash - host));
        for (const char *p = slash; p < keys; ) {
                size_t n = (size_t) (MIN_OF(strchrnul(p + 1, '/'), keys) - p - 1);

                put(f, "/", 1);
                if (p == slash && n == 2 && strncasecmp(p + 1, "v1", 2) == 0)
                        put(f, p + 1, n);
                else
                        put_lower(f, p + 1, n);
                p += n + 1;
        }
        puts_to(f, "/keys/");
        name = keys + 6;
        put_lower(f, name, strcspn(name, "/"));
        name += strcspn(name, "/");
        if (*name == '/') {
                put(f, "/", 1);
                put_version(f, name + 1);
        }
}

void form_description(struct form *f, const char *s) {
        const char *uuid = startswith(s, "cryptsetup:"), *rest;

        if (!uuid || strlen(uuid) < 36 || !uuid_is_valid(strndupa(uuid, 36))) {
                form_name(f, s);
                return;
        }
        puts_to(f, "cryptsetup:");
        (void) put_uuid(f, uuid, 36);
        rest = uuid + 36;
        if (strlen(rest) <= 6 && span(rest, strlen(rest), "-d" DIGITS) == strlen(rest))
                puts_to(f, rest);
        else
                form_name(f, rest);
}

/* ---- paths ---- */

static const char *const directories[] = {
        ".", "..", "...", "bin", "block", "boot", "bpf", "by-designator", "by-diskseq", "by-id", "by-label", "by-partlabel", "by-partuuid",
        "by-path", "by-uuid", "cgroup", "class", "cmkd", "dev", "devices", "disk", "early", "etc", "fd", "fs", "home", "journal", "lib",
        "lib64", "libexec", "local", "log", "mapper", "media", "mnt", "null", "opt", "private", "proc", "root", "run", "sbin", "self", "shm",
        "srv", "strict", "sys", "systemd", "tmp", "user", "usr", "var", "virtual", "zero",
};

/* vda1, sdb, nvme0n1p2, dm-3, md127, loop0p1: as the kernel numbers them. */
static bool is_kernels(const char *s, size_t n) {
        static const char *const lettered[] = { "sd", "vd", "xvd", "hd" };
        static const char *const numbered[] = { "dm-", "md", "loop", "sr", "zram", "nbd", "ram", "nvme", "mmcblk" };
        size_t k;

        for (size_t i = 0; i < ELEMENTSOF(lettered); i++) {
                k = strlen(lettered[i]);
                if (n > k && n <= k + 6 && memcmp(s, lettered[i], k) == 0 && islower((unsigned char) s[k])) {
                        while (k < n && islower((unsigned char) s[k]))
                                k++;
                        if (k + span(s + k, n - k, DIGITS) == n)
                                return true;
                }
        }
        for (size_t i = 0; i < ELEMENTSOF(numbered); i++) {
                k = strlen(numbered[i]);
                if (n > k && n <= k + 12 && memcmp(s, numbered[i], k) == 0 && isdigit((unsigned char) s[k]) &&
                    k + span(s + k, n - k, DIGITS "np") == n)
                        return true;
        }
        return false;
}

static void put_component(struct form *f, const char *s, size_t n) {
        if (IS_AMONG(directories, s, n) || is_kernels(s, n))
                put(f, s, n);
        else if (!put_uuid(f, s, n))
                put_word(f, s, n);
}

static void put_path(struct form *f, const char *s, size_t size, void (*component)(struct form *, const char *, size_t)) {
        for (size_t i = 0; i < size; ) {
                const char *end = memchr(s + i, '/', size - i);
                size_t n = end ? (size_t) (end - s) - i : size - i;

                component(f, s + i, n);
                i += n;
                if (i < size)
                        put(f, s + i++, 1);
        }
}

void form_path(struct form *f, const char *s) { put_path(f, s, strlen(s), put_component); }

/* trail-00000000000000000001.jsonl */
static bool is_segment(const char *s, size_t n) {
        return n == 32 && memcmp(s, "trail-", 6) == 0 && span(s + 6, 20, DIGITS) == 20 && memcmp(s + 26, ".jsonl", 6) == 0;
}

static void put_ours(struct form *f, const char *s, size_t n) {
        if (word_is_plain(s, n) || is_segment(s, n) || span(s, n, DIGITS) == n || (n > 5 && memcmp(s, "link-", 5) == 0 && word_is_plain(s + 5, n - 5)))
                put(f, s, n);
        else
                put_component(f, s, n);
}

void form_ours(struct form *f, const char *s) { put_path(f, s, strlen(s), put_ours); }

/* ---- programs ---- */

static const char gone[] = " (deleted)";

/* Of each, as the kernel has it: 15 characters at most. */
static const char *const everybodys[] = {
        "(sd-pam)", "(udev-worker)", "agetty", "bash", "cmkctl", "cmkd", "cmkd-audit", "cmkd-breaker", "cmkd-disk", "cmkd-ladder",
        "cmkd-vault", "cron", "crond", "cryptsetup", "dash", "dd", "dmsetup", "init", "kthreadd", "login", "lvm", "mount", "perl",
        "python3", "sh", "sshd", "sshd-session", "su", "sudo", "swapper/0", "systemd", "systemd-cryptse", "systemd-executo", "systemd-journal",
        "systemd-logind", "systemd-shutdow", "systemd-udevd", "udevadm", "umount",
};

/* Who sets the clock, mostly in a mount namespace of its own: the reviewer knows them by their paths. */
static const char *const clocks[] = { "chronyd", "ntpd", "ntpdate", "systemd-timesyncd" };

/* A path of which every word is known: it is the same on each machine. */
static bool is_everybodys(const char *path) {
        const char *directory, *name;

        if (known_path_may(path) != 0)
                return true;
        for (size_t i = 0; (directory = known_directory(i)); i++) {
                name = startswith(path, directory);
                if (name && (IS_AMONG(everybodys, name, strlen(name)) || IS_AMONG(clocks, name, strlen(name))))
                        return true;
        }
        return false;
}

/* What a package brought names nobody; but for a process that is gone the kernel has three directories at most, and
 * a usr/lib/x in a home looks like one of them, and in another mount namespace /usr is a container's: there the whole path has to
 * be everybody's. */
static bool is_of_distribution(const struct form *f, const char *exe) {
        static const char *const places[] = {
                "/usr/bin/", "/usr/sbin/", "/usr/lib/", "/usr/lib64/", "/usr/libexec/", "/bin/", "/sbin/", "/lib/", "/lib64/",
        };
        const char *cut = startswith(exe, "...");
        size_t n = strlen(exe), k = sizeof(gone) - 1;

        if (cut || f->is_elsewhere)
                return is_everybodys(strndupa(cut ?: exe, n - (cut ? 3 : 0) - (n > k && streq(exe + n - k, gone) ? k : 0)));
        for (size_t i = 0; i < ELEMENTSOF(places) && !strstr(exe, "/../"); i++)
                if (startswith(exe, places[i]))
                        return true;
        return false;
}

void form_exe(struct form *f, const char *s) {
        size_t n = strlen(s), k = sizeof(gone) - 1;

        if (is_of_distribution(f, s)) {
                puts_to(f, s);
                return;
        }
        if (n > k && streq(s + n - k, gone)) {
                put_path(f, s, n - k, put_component);
                puts_to(f, gone);
        } else
                form_path(f, s);
}

static void put_comm(struct form *f, const char *s, size_t n) {
        const char *base = f->exe && is_of_distribution(f, f->exe) ? strrchr(f->exe, '/') + 1 : NULL;

        if (n > 8 && memcmp(s, "kworker/", 8) == 0)
                put(f, s, 7);
        else if (IS_AMONG(everybodys, s, n) || (base && n > 0 && strncmp(base, s, n) == 0 && (n >= 15 || !base[n])))
                put(f, s, n);
        else
                put_word(f, s, n);
}

void form_comm(struct form *f, const char *s) { put_comm(f, s, strlen(s)); }

void form_process(struct form *f, const char *s) {
        const char *bracket = strrchr(s, '[');
        size_t n = bracket ? strlen(bracket) : 0;

        if (n < 3 || span(bracket + 1, n - 2, DIGITS) != n - 2 || bracket[n - 1] != ']') {
                form_name(f, s);
                return;
        }
        put_comm(f, s, (size_t) (bracket - s));
        puts_to(f, bracket);
}

void form_by(struct form *f, const char *s) {
        static const char *const uids[] = { "uid=", "loginuid=" };

        if (!startswith(s, "uid=")) {
                form_text(f, s);
                return;
        }
        for (const char *p = s; *p; ) {
                size_t n = strcspn(p, " "), k = strcspn(p, "=") + 1;

                if (k <= n && IS_AMONG(uids, p, k)) {
                        put(f, p, k);
                        put_uid(f, p + k, n - k);
                } else if (startswith(p, "pid=") && span(p + 4, n - 4, DIGITS) == n - 4)
                        put(f, p, n);
                else if (startswith(p, "comm=")) {
                        n = strlen(p);                 /* the last: it may hold blanks */
                        put(f, p, 5);
                        put_comm(f, p + 5, n - 5);
                } else
                        put_word(f, p, n);
                p += n;
                if (*p)
                        put(f, p++, 1);
        }
}

/* ---- control groups and units ---- */

/* Whose names the distribution gave: what a reader needs to tell udev from a workload. */
static const char *const unit_stems[] = {
        "-", "app", "chrony", "chronyd", "cmkd", "cmkd-audit", "cmkd-breaker", "cmkd-vault", "containerd", "cri-containerd", "cron", "crond",
        "crio", "dbus", "docker", "emergency", "getty", "init", "kubelet", "kubepods", "kubepods-besteffort", "kubepods-burstable", "libpod",
        "libvirtd", "lvm2-lvmpolld", "lvm2-monitor", "lvm2-pvscan", "machine", "mdmonitor", "multipathd", "ntp", "rescue",
        "serial-getty", "session", "smartd", "smartmontools", "ssh", "sshd", "system", "system-cmkd", "systemd-cryptsetup", "systemd-fsck",
        "systemd-fsck-root", "systemd-growfs", "systemd-journald", "systemd-logind", "systemd-machined", "systemd-makefs",
        "systemd-modules-load", "systemd-networkd", "systemd-nspawn", "systemd-random-seed", "systemd-remount-fs", "systemd-resolved",
        "systemd-timesyncd", "systemd-tmpfiles-clean", "systemd-tmpfiles-setup", "systemd-udevd", "user",
};

/* The rest of such a name is a person's, a container's or a machine's. */
static bool put_prefixed(struct form *f, const char *s, size_t n) {
        static const char *const prefixes[] = { "docker-", "libpod-", "cri-containerd-", "crio-", "machine-" };

        if (n > 5 && memcmp(s, "user-", 5) == 0 && span(s + 5, n - 5, DIGITS) == n - 5) {
                put(f, s, 5);
                put_uid(f, s + 5, n - 5);
                return true;
        }
        if (n > 8 && memcmp(s, "session-", 8) == 0 && span(s + 8, n - 8, "c" DIGITS) == n - 8) {
                put(f, s, n);
                return true;
        }
        for (size_t i = 0; i < ELEMENTSOF(prefixes); i++) {
                size_t k = strlen(prefixes[i]);

                if (n > k && memcmp(s, prefixes[i], k) == 0) {
                        put(f, s, k);
                        put_word(f, s + k, n - k);
                        return true;
                }
        }
        return false;
}

static void put_stem(struct form *f, const char *s, size_t n) {
        const char *at = memchr(s, '@', n);
        size_t k = at ? (size_t) (at - s) : n;

        if (IS_AMONG(unit_stems, s, k))
                put(f, s, k);
        else if (!put_prefixed(f, s, k))
                put_word(f, s, k);
        if (!at)
                return;
        put(f, at++, 1);
        n -= k + 1;
        if (k == 4 && memcmp(s, "user", 4) == 0)
                put_uid(f, at, n);
        else
                put_word(f, at, n);
}

static void put_unit(struct form *f, const char *s, size_t n) {
        static const char *const endings[] = {
                ".service", ".scope", ".slice", ".mount", ".socket", ".swap", ".automount", ".timer", ".target", ".path", ".device",
        };

        for (size_t i = 0; i < ELEMENTSOF(endings); i++) {
                size_t k = strlen(endings[i]);

                if (n > k && memcmp(s + n - k, endings[i], k) == 0) {
                        put_stem(f, s, n - k);
                        puts_to(f, endings[i]);
                        return;
                }
        }
        if (n == 3 && memcmp(s, "...", 3) == 0)
                put(f, s, n);
        else
                put_word(f, s, n);
}

void form_cgroup(struct form *f, const char *s) { put_path(f, s, strlen(s), put_unit); }

void form_units(struct form *f, const char *s) {
        while (*s) {
                size_t n = strcspn(s, " ,");

                if (n > 0)
                        put_unit(f, s, n);
                s += n;
                if (*s)
                        put(f, s++, 1);
        }
}

/* ---- texts ---- */

static bool is_plain(struct form *f, const char *s, size_t n) {
        return (word_is_plain(s, n) || word_is_number(s, n)) && !(f->is_name && f->is_name(f->user, s, n));
}

/* One word without the punctuation around it. */
static void put_text_word(struct form *f, const char *s, size_t n, bool after_uid) {
        const char *equals = memchr(s, '=', n);

        if (n == 0)
                return;
        if (after_uid)
                put_uid(f, s, n);
        else if (is_plain(f, s, n))
                put(f, s, n);
        else if ((n > 8 && memcmp(s, "https://", 8) == 0) || (n > 7 && memcmp(s, "pkcs11:", 7) == 0))
                form_key(f, strndupa(s, n));
        else if (*s == '/')
                put_path(f, s, n, put_component);
        else if (equals && word_is_plain(s, (size_t) (equals - s))) {
                size_t k = (size_t) (equals - s);

                put(f, s, k + 1);
                put_text_word(f, equals + 1, n - k - 1, k >= 3 && memcmp(equals - 3, "uid", 3) == 0);
        } else if (!put_uuid(f, s, n))
                put_word(f, s, n);
}

void form_text(struct form *f, const char *s) {
        static const char opening[] = "([{<\"'", closing[] = ")]}>\"'.,;:!?";
        bool after_uid = false;

        /* One word is most of them; the texts of errors are sought for long */
        if (is_plain(f, s, strlen(s)) || text_is_error(s)) {
                puts_to(f, s);
                return;
        }
        while (*s) {
                size_t n = strcspn(s, " "), k = span(s, n, opening), end = n;

                while (end > k && strchr(closing, s[end - 1]))
                        end--;
                put(f, s, k);
                put_text_word(f, s + k, end - k, after_uid);
                put(f, s + end, n - end);
                after_uid = end - k >= 3 && memcmp(s + end - 3, "uid", 3) == 0;
                s += n;
                if (*s)
                        put(f, s++, 1);
        }
}

/* A volume called "granted" does not change a verdict. */
void form_words(struct form *f, const char *s) {
        f->is_name = NULL;
        form_text(f, s);
}
