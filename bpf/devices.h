/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* The devices that matter, by the kernel's number: crypt.bpf.c adds them as keys are set, cmkd-audit what was there
 * before; cmkd-audit takes out what is gone. */

#include "event.h"

struct {
        __uint(type, BPF_MAP_TYPE_HASH);
        __uint(max_entries, 8192);
        __type(key, __u32);
        __type(value, __u32);          /* enum cmkd_device */
        __uint(pinning, LIBBPF_PIN_BY_NAME);
} devices SEC(".maps");
