/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* In which unit of the system's manager a process is, by the names of its control groups:
 *
 *   /system.slice/cmkd-vault.service/control      yes: slices only above the unit
 *   /user.slice/.../cmkd-vault.service            no: the users' managers name their groups as they like
 *   /system.slice/x.service/cmkd-vault.service    no: and so does whom a group was delegated to, a container's manager too
 *
 * Its twins in cmkd-audit: who_cgroup_is_ours(), our_unit(). */

#include "emit.h"
#include "connect.h"

#define GROUPS_DEEP 16

/* By the helper (5.17): comparing each character at each level is more than the verifier likes to walk through. The NUL of a literal is
 * one of its characters. */
#define IS_BEGUN(name, want)                                                    \
        ({                                                                      \
                TEXT(text, want);                                               \
                bpf_strncmp((name), sizeof(text) - 1, text) == 0;               \
        })
#define IS_WHOLE(name, want)                                                    \
        ({                                                                      \
                TEXT(text, want);                                               \
                bpf_strncmp((name), sizeof(text), text) == 0;                   \
        })

/* size: with its NUL. */
static __always_inline bool is_slice(const char *name, long size) {
        char end[8] = "";

        return size >= 7 && bpf_probe_read_kernel(end, 7, name + size - 7) == 0 && IS_WHOLE(end, ".slice");
}

/* Of CMKD_UNIT_SIZE, with zeros behind its end. The number behind an @ is systemd's own, as long as nobody but the system's manager
 * names units here. */
static __always_inline bool is_our_unit(const char *name) {
        return IS_BEGUN(name, "cmkd") &&
               (IS_WHOLE(name, "cmkd.service") || IS_WHOLE(name, "cmkd-vault.service") || IS_WHOLE(name, "cmkd-audit.service") ||
                IS_WHOLE(name, "cmkd-breaker.service") || IS_BEGUN(name, "cmkd-disk@") || IS_BEGUN(name, "cmkd-ladder@"));
}

static __always_inline bool is_in_root_group(struct task_struct *task) {
        struct cgroup *cgroup = BPF_CORE_READ(task, cgroups, dfl_cgrp);

        return cgroup && BPF_CORE_READ(cgroup, level) == 0;
}

/* In a unit whose name is wanted, or below it. */
static __always_inline bool is_in_unit(struct task_struct *task, bool (*is_wanted)(const char *name)) {
        struct cgroup *cgroup = BPF_CORE_READ(task, cgroups, dfl_cgrp);
        bool found = false;

        for (int i = 0; i < GROUPS_DEEP; i++) {
                const char *text = BPF_CORE_READ(cgroup, kn, name);
                char name[CMKD_UNIT_SIZE] = "";
                int level = BPF_CORE_READ(cgroup, level);
                long size;

                if (level <= 0)
                        return found;
                size = READ_TEXT(name, text);
                if (level == 1 && IS_WHOLE(name, "user.slice"))
                        return false;
                if (is_wanted(name))
                        found = true;
                else if (!is_slice(text, size))
                        found = false;
                cgroup = BPF_CORE_READ(cgroup, self.parent, cgroup);
        }
        return false;
}
