/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "common/util.h"

/* True if the service manager stops this service for good (a stop, a shutdown) and not to start it again: what it keeps for
 * the service goes then. Asks it, for 2 s at most; what is not known is false. */
bool service_is_leaving(void);
