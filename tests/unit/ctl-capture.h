/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Runs a verb of cmkctl on a command line, with standard output and error in memory files, for tests to look at. */

#include "ctl/ctl.h"

#include <sys/mman.h>
#include <unistd.h>

struct captured {
        int code;
        char out[65536], err[8192];
};

static inline int capture_start(int fd, int *ret_saved) {
        int file = memfd_create("captured", MFD_CLOEXEC);

        *ret_saved = dup(fd);
        dup2(file, fd);
        return file;
}

static inline void capture_end(int fd, int file, int saved, char *text, size_t size) {
        ssize_t n = pread(file, text, size - 1, 0);

        text[n > 0 ? n : 0] = 0;
        dup2(saved, fd);
        close(saved);
        close(file);
}

/* words: the arguments after the verb, NULL last. */
static inline struct captured *run_verb(int (*verb)(const struct invocation *), const char *const *words) {
        static struct captured c;
        static char *owned[32], *argv[32];         /* argv is reordered; both live until the next call */
        struct invocation in;
        int argc = 1, files[2], saved[2];

        for (size_t i = 0; i < ELEMENTSOF(owned); i++) {
                free(owned[i]);
                owned[i] = NULL;
        }
        argv[0] = owned[0] = strdup("cmkctl");
        for (; words[argc - 1]; argc++)
                argv[argc] = owned[argc] = strdup(words[argc - 1]);
        fflush(stdout);
        files[0] = capture_start(STDOUT_FILENO, saved + 0);
        files[1] = capture_start(STDERR_FILENO, saved + 1);
        c.code = options_parse(argc, argv, &in);
        if (c.code == EXIT_CODE_DONE)
                c.code = verb(&in);
        fflush(stdout);
        capture_end(STDOUT_FILENO, files[0], saved[0], c.out, sizeof(c.out));
        capture_end(STDERR_FILENO, files[1], saved[1], c.err, sizeof(c.err));
        return &c;
}

#define RUN(verb, ...) run_verb(verb, (const char *const[]) { __VA_ARGS__, NULL })
#define RUN_BARE(verb) run_verb(verb, (const char *const[]) { NULL })
