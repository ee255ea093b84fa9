/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The ground everything stands on: cleanup attributes, ownership macros, descriptors, clocks.
 *
 * Errors are negative errno. Outputs are named ret_..., come last and are untouched on failure. Ownership moves by
 * TAKE_PTR / TAKE_FD. Destructors accept NULL and return NULL. */

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _unused_ __attribute__((unused))
#define _pure_ __attribute__((pure))

#define ELEMENTSOF(a) (sizeof(a) / sizeof((a)[0]))
#define MIN_OF(a, b) ({ __typeof__(a) _a = (a); __typeof__(b) _b = (b); _a < _b ? _a : _b; })
#define MAX_OF(a, b) ({ __typeof__(a) _a = (a); __typeof__(b) _b = (b); _a > _b ? _a : _b; })

#define TAKE_PTR(p) ({ __typeof__(p) *_pp = &(p); __typeof__(p) _v = *_pp; *_pp = NULL; _v; })
#define TAKE_FD(fd) ({ int *_fp = &(fd); int _f = *_fp; *_fp = -EBADF; _f; })

#define USEC_PER_SEC UINT64_C(1000000)
#define USEC_PER_MSEC UINT64_C(1000)
#define NSEC_PER_SEC UINT64_C(1000000000)
#define NSEC_PER_USEC UINT64_C(1000)
#define USEC_INFINITY UINT64_MAX

/* Both clocks in one reading: decisions about leases look at whichever moved further. */
struct instant {
        uint64_t boottime_usec;   /* CLOCK_BOOTTIME: goes on during suspend */
        uint64_t realtime_usec;   /* CLOCK_REALTIME: what the owner's wall says */
};

static inline void freep(void *p) { free(*(void **) p); }
static inline void fclosep(FILE **f) { if (*f) fclose(*f); }
static inline void closedirp(DIR **d) { if (*d) closedir(*d); }

/* Closes fd if it is one. Keeps errno. Always returns -EBADF, for fd = safe_close(fd). */
int safe_close(int fd);
static inline void closep(int *fd) { *fd = safe_close(*fd); }

static inline bool streq(const char *a, const char *b) { return strcmp(a, b) == 0; }
static inline bool streq_ptr(const char *a, const char *b) { return a && b ? strcmp(a, b) == 0 : a == b; }
static inline const char *strempty(const char *s) { return s ? s : ""; }
static inline const char *startswith(const char *s, const char *prefix) {
        size_t n = strlen(prefix);
        return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

/* The value of a lower-case hexadecimal digit, -1 if it is none. Not for keys: what it takes depends on the digit (hex_decode()). */
static inline int hex_digit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

/* How many bytes of s are a control character: 1 (ASCII), 2 (U+0080 to U+009F in UTF-8), 3 (U+202A to U+202E and U+2066 to
 * U+2069, which turn the direction of what follows: one name could look like another), or 0: it begins with none. */
size_t control_length(const char *s) _pure_;

/* Puts a question mark in place of each. */
void replace_controls(char *s);

/* The same for each byte that is not printable ASCII. */
void replace_unprintable(char *s);

/* Replaces *p by a copy of s (NULL allowed). Returns 0 or -ENOMEM (*p is unchanged then). */
int free_and_strdup(char **p, const char *s);

/* Reads exactly size bytes. Returns 0, -EPIPE at an early end of file, or -errno. Restarts on EINTR. */
int read_exact(int fd, void *buf, size_t size);

/* Writes all of buf. Returns 0 or -errno. Restarts on EINTR. */
int write_all(int fd, const void *buf, size_t size);

/* The same at an offset, which stays where it is. Returns 0, -EIO (nothing more can be written there) or -errno. */
int pwrite_all(int fd, const void *data, size_t size, uint64_t offset);

/* Reads a whole small file (below max bytes) into a NUL-terminated string. Returns 0, -E2BIG when it is larger,
 * -ENOMEM, or what open(2) and read(2) say. */
int read_small_file(const char *path, size_t max, char **ret, size_t *ret_size);

/* Writes a file so that after a crash either the old or the new content is there: temporary file in the same
 * directory, fsync, rename, fsync of the directory. mode: of the file. Returns 0 or -errno. */
int write_file_atomic(const char *path, const void *data, size_t size, mode_t mode);

/* The same for a path that a person gives: a link to a file stays one, and what is no file (/dev/null, a FIFO), is one that
 * no path leads to, or is where standard output or error goes, is written to and not replaced. A link that is neither root's nor the
 * caller's is replaced: who owns the directory does not choose what is written. -ENOTSUP: a disk. */
int write_output(const char *path, const void *data, size_t size, mode_t mode);

/* Creates path and its missing parents (existing directories are fine). Returns 0 or -errno. */
int mkdir_parents(const char *path, mode_t mode);

/* What the clocks say now. Never fails. */
struct instant instant_now(void);
uint64_t now_boottime_usec(void);
uint64_t now_monotonic_usec(void);

/* "2026-01-31 12:00:30", local. buf: of 20 characters or more. */
static inline void format_local_time(uint64_t realtime_usec, char *buf, size_t size) {
        time_t t = (time_t) (realtime_usec / USEC_PER_SEC);
        struct tm tm;

        if (!localtime_r(&t, &tm) || strftime(buf, size, "%Y-%m-%d %H:%M:%S", &tm) == 0)
                snprintf(buf, size, "?");
}

/* Parses an unsigned decimal number, nothing before or after it. Returns 0, -EINVAL or -ERANGE (above max). */
int parse_u64(const char *s, uint64_t max, uint64_t *ret);

/* Parses a time span: a number of seconds, or numbers with the units ms, s, min, h, d ("1h 30min", "500ms").
 * Returns 0, -EINVAL or -ERANGE. */
int parse_span(const char *s, uint64_t *ret_usec);

/* True for names a device-mapper mapping and a D-Bus object may have: 1 to 64 characters of A-Z a-z 0-9 _ . -, not
 * beginning with a dot or a dash. The UUIDs and names of tokens are checked with this before they are used anywhere. */
bool volume_name_is_valid(const char *s);

/* True for the canonical lower-case form of a UUID, 36 characters. */
bool uuid_is_valid(const char *s);

/* How unlike two words are (Levenshtein, case ignored; two letters that changed places count once), for "did you mean". b of 64 characters or more: SIZE_MAX. */
size_t word_distance(const char *a, const char *b) _pure_;

/* Whether that is near enough to be proposed: a third of the longer word at most. */
bool words_are_near(const char *a, const char *b) _pure_;

/* Random bytes from the kernel, blocking until it is seeded. Aborts only if the kernel has no getrandom(2). */
void random_bytes(void *buf, size_t size);

/* A random number from 0 to max, for what many nodes are not to do at the same moment. */
uint64_t random_up_to(uint64_t max);

/* Fills a UUID (version 4) as 36 characters and NUL. */
void random_uuid(char ret[static 37]);
