/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Bytes through a volume by the path of a control group, added up from records "io" (audit/workloads.h): each has the sums of one group
 * (cgroup_id: a unit that is started again has another one of the same path) since its use began, and of one use and group a later one takes
 * the place of an earlier one. */

#include "audit/record.h"

#define WORKLOADS_MAX 256u                 /* of one volume */
#define WORKLOAD_GROUPS_MAX 4096u          /* the last ones */

struct workload {
        char cgroup[192];
        uint64_t read, written;            /* bytes, of all groups and uses */
};

/* One group, its last use and the sums of that so far. */
struct workload_group {
        uint64_t id;
        size_t workload;
        char use[37];
        uint64_t read, written;
};

struct workloads_sum {
        struct workload *w;
        size_t n;
        struct workload_group *groups;
        size_t n_groups, next_group;
        uint64_t more;                     /* records of others than those */
};

/* Takes a record "io" in. Returns 0 or -ENOMEM. */
int workloads_add(struct workloads_sum *s, const struct record *r);

void workloads_free(struct workloads_sum *s);

/* The most bytes first; nothing is added afterwards. */
void workloads_sort(struct workloads_sum *s);

/* "512 B", "3.4 MiB". */
void format_bytes(uint64_t n, char *buf, size_t size);
