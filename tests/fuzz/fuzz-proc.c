/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/ladder/mounts.c daemon/ladder/mounts-mark.c daemon/ladder/tasks.c daemon/ladder/loops.c daemon/ladder/holders.c daemon/ladder/find-holders.c daemon/breaker/table.c

/* What the kernel tells about processes and mounts holds names that anybody may choose: lines of mountinfo and maps,
 * stat, fdinfo. The first byte chooses the parser. Names that come out are shorter than what went in and printable where
 * they are shown. A slot of the breaker is tried as bytes, as its file and its socket give it. */

#include "breaker/table.h"
#include "ladder/holders.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok) {
        if (!ok)
                abort();
}

static void try_mountinfo(char *text, size_t size) {
        struct mount_line m;
        char *p = text, *line;

        while ((line = strsep(&p, "\n"))) {
                if (mount_line_parse(line, &m) < 0)
                        continue;
                check(m.root >= text && m.point > m.root && m.type > m.point && m.source > m.type && m.options > m.source);
                check(m.options + strlen(m.options) <= text + size);
        }
}

static void try_stat(const char *text) {
        struct process_stat s;

        if (process_stat_parse(text, &s) < 0)
                return;
        for (const char *c = s.comm; *c; c++)
                check(*c >= ' ' && *c < 127);
}

static void try_slot(const uint8_t *data, size_t size) {
        static struct table t;
        struct breaker_slot s = {};
        int i;

        memcpy(&s, data, MIN_OF(size, sizeof(s)));
        i = table_set(&t, &s);
        if (i < 0)
                return;
        check(table_find(&t, s.dm_uuid) == i);
        check(volume_name_is_valid(s.dm_uuid + 12 + 33));
        table_clear(&t, s.dm_uuid);
        check(table_count_armed(&t) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(freep) char *text = NULL;
        uint32_t major, minor;
        uint64_t id;

        if (size == 0)
                return 0;
        text = malloc(size);
        check(text);
        memcpy(text, data + 1, size - 1);
        text[size - 1] = 0;
        switch (*data) {
        case 'm':
                try_mountinfo(text, size);
                break;
        case 'f':
                (void) fdinfo_mount_id(text, &id);
                break;
        case 'a':
                (void) maps_line_parse(text, &major, &minor);
                break;
        case 's':
                try_stat(text);
                break;
        default:
                try_slot(data + 1, size - 1);
        }
        return 0;
}
