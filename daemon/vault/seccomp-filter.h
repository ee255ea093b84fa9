/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The system calls that libcurl with threads, the C library's resolver with its plug-ins, OpenSSL and this program
 * make; arguments are checked where a call can do more than that (files only for reading, no writable code, threads
 * but no processes, four socket families). A call that only an intruder makes ends the process, any other one is an
 * error (EPERM) for the caller. */

#include "common/util.h"

/* For all threads of the process. modules: PKCS#11 modules will run in it, some of which (SoftHSM, with each login) write to their
 * files: files may be opened for that too, and what may be written is what their permissions and the unit say; still nothing is
 * removed, renamed or made a link. Returns 0 or -errno of libseccomp. */
int seccomp_filter_load(bool modules);
