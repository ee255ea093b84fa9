/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Bytes through a volume by control group, added up from records "io" (audit/workloads.h): each has the sums since its use began,
 * and of one use and group a later one takes the place of an earlier one. */

#include "audit/record.h"

#define WORKLOADS_MAX 256u                 /* of one volume */

struct workload {
        char cgroup[192];
        uint64_t read, written;            /* bytes, of all uses */
        char use[37];                      /* the last one, and its sums so far */
        uint64_t use_read, use_written;
};

struct workloads_sum {
        struct workload *w;
        size_t n;
        uint64_t more;                     /* records of others than those */
};

/* Takes a record "io" in. Returns 0 or -ENOMEM. */
int workloads_add(struct workloads_sum *s, const struct record *r);

/* The most bytes first. */
void workloads_sort(struct workloads_sum *s);

/* "512 B", "3.4 MiB". */
void format_bytes(uint64_t n, char *buf, size_t size);
