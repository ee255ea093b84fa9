// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/* The node's identity: who connects to the metadata service besides cmkd-vault. What is asked for there (a token, or the size
 * of the machine) the kernel does not see, so an agent of the cloud's is known by its unit or program only.
 *
 * On the root of the unified hierarchy, and so for every network namespace and container; like cgroup/sysctl independent of
 * ftrace and of the BPF LSM. TCP only: nothing else gives a token out. */

#include "guard.h"
#include "connect.h"
#include <bpf/bpf_endian.h>

#define SOCK_STREAM 1
#define METADATA_ADDRESS bpf_htonl(0xa9fea9fe)     /* 169.254.169.254 */

struct {
        __uint(type, BPF_MAP_TYPE_HASH);
        __uint(max_entries, CMKD_UNITS_MAX);
        __type(key, char[CMKD_UNIT_SIZE]);
        __type(value, __u32);
        __uint(pinning, LIBBPF_PIN_BY_NAME);
} units SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_HASH);
        __uint(max_entries, CMKD_METADATA_MAX);
        __type(key, struct cmkd_asker);
        __type(value, struct cmkd_asked);
        __uint(pinning, LIBBPF_PIN_BY_NAME);
} metadata SEC(".maps");

/* cmkd-vault, at home; and nobody is known before cmkd-audit has said where that is. */
static __always_inline bool is_vault(struct task_struct *task) {
        const struct cmkd_guard *g = guard_get();

        return !g || !g->dir_ino || (is_ours(task) && is_at_home(task) && IS_NAME(exe_of(task), "cmkd-va"));
}

static __always_inline bool is_allowed(const char *name) {
        return bpf_map_lookup_elem(&units, name) != NULL;
}

static __always_inline void count_more(struct cmkd_asked *asked) {
        __sync_fetch_and_add(&asked->more, 1);
        asked->last_ns = bpf_ktime_get_boot_ns();
}

static __always_inline void begin_cell(const struct cmkd_asker *asker) {
        struct cmkd_asked first = { .first_ns = bpf_ktime_get_boot_ns(), .events = 1 };

        first.last_ns = first.first_ns;
        bpf_map_update_elem(&metadata, asker, &first, BPF_NOEXIST);
}

/* Of this process, or of too many that run the same program in the same group. */
static __always_inline bool is_repeated(const struct cmkd_asker *asker) {
        struct cmkd_asked *asked = bpf_map_lookup_elem(&metadata, asker);
        struct cmkd_asker all = *asker;

        if (!asked) {
                all.start_boottime_ns = 0;
                all.tgid = 0;
                asked = bpf_map_lookup_elem(&metadata, &all);
                if (!asked)
                        begin_cell(&all);
                if (!asked || asked->events < CMKD_METADATA_PROCESSES) {
                        if (asked)
                                __sync_fetch_and_add(&asked->events, 1);
                        return false;
                }
        }
        count_more(asked);
        return true;
}

static __always_inline void send_asked(const struct cmkd_asker *asker, bool is_v6) {
        struct cmkd_event *e = event_begin(CMKD_GUARD_METADATA);

        if (!e)
                return;
        begin_cell(asker);
        e->number = (__s32) asker->port;
        if (is_v6)
                __builtin_memcpy(e->text, "::ffff:169.254.169.254", sizeof("::ffff:169.254.169.254"));
        else
                __builtin_memcpy(e->text, "169.254.169.254", sizeof("169.254.169.254"));
        send_judged(e, asker->how);
}

static __always_inline int asks(struct bpf_sock_addr *ctx, bool is_v6) {
        struct task_struct *task = (void *) bpf_get_current_task();
        struct cmkd_asker asker = {};

        if (ctx->type != SOCK_STREAM || is_vault(task))
                return 1;
        asker.start_boottime_ns = BPF_CORE_READ(task, group_leader, start_boottime);
        asker.exe_ino = BPF_CORE_READ(exe_of(task), d_inode, i_ino);
        asker.cgroup_id = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
        asker.tgid = current_tgid();
        asker.port = bpf_ntohs((__u16) ctx->user_port);
        asker.how = (program_may() & CMKD_MAY_METADATA) || is_in_unit(task, is_allowed) ? CMKD_HOW_ALLOWED : judge(false);
        if (!is_repeated(&asker))
                send_asked(&asker, is_v6);
        return asker.how & CMKD_HOW_REFUSED ? 0 : 1;
}

SEC("cgroup/connect4")
int on_connect4(struct bpf_sock_addr *ctx) {
        return ctx->user_ip4 == METADATA_ADDRESS ? asks(ctx, false) : 1;
}

/* The same address as IPv6 writes it. */
SEC("cgroup/connect6")
int on_connect6(struct bpf_sock_addr *ctx) {
        if (ctx->user_ip6[3] != METADATA_ADDRESS || ctx->user_ip6[2] != bpf_htonl(0xffff) || ctx->user_ip6[1] || ctx->user_ip6[0])
                return 1;
        return asks(ctx, true);
}
