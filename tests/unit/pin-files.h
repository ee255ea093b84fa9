/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A bpffs of plain files: a pin is a file that says what it stands for ("bpf-map 7"), a descriptor of that is a file in memory, by the
 * name of the kind. */

#include "common/util.h"

#include <sys/mman.h>
#include <unistd.h>

static unsigned n_looked;                  /* into a pin */

int bpf_obj_get(const char *where);

/* "bpf-map", "bpf-link", "bpf_link"; the number. */
static inline int object(const char *kind, uint32_t id) {
        int fd = memfd_create(kind, MFD_CLOEXEC);

        return fd >= 0 && write(fd, &id, sizeof(id)) == sizeof(id) ? fd : -1;
}

static inline void pin_file(const char *where, const char *kind, uint32_t id) {
        char text[32];

        snprintf(text, sizeof(text), "%s %u", kind, id);
        assert_int_equal(write_file_atomic(where, text, strlen(text), 0600), 0);
}

int bpf_obj_get(const char *where) {
        _cleanup_(freep) char *text = NULL;
        uint64_t id;
        char *space;

        n_looked++;
        if (read_small_file(where, 64, &text, NULL) < 0 || !(space = strchr(text, ' ')))
                return -1;
        *space = 0;
        return parse_u64(space + 1, UINT32_MAX, &id) < 0 ? -1 : object(text, (uint32_t) id);
}
