/* SPDX-License-Identifier: Apache-2.0 */
#include "swap.h"

#include "apart.h"

#include <sys/swap.h>

static int swap_off(const void *path) {
        return swapoff(path) < 0 ? errno : 0;
}

int swap_switch_off(const char *path, unsigned wait_msec) {
        return apart(swap_off, path, wait_msec);
}
