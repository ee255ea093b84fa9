/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The secret id of AppRole where SecretIdFile= has a wrapping token in its place (SecretIdWrapped=yes): it is unwrapped once, and what
 * came out is kept from worker to worker (kept.h).
 *
 *   the file's token is the one that what is kept came out of, or there is no file any more ─► what is kept
 *          │ another one, or nothing is kept
 *          ▼
 *   sys/wrapping/lookup: was it made by auth/MOUNT/role/NAME/secret-id? ─► sys/wrapping/unwrap, on a connection of its own and of one
 *   server: asked twice it would seem to be taken ─► kept
 *
 * A token that is used up was read by somebody else, or its time is over: an alarm. What was kept from before goes on being used. */

#include "identity.h"
#include "transit-servers.h"

/* *ret: with its NUL. Returns 0, or -EACCES with f->failure (and f->retry_after_sec). */
int secret_id_unwrapped(const struct vault_config *c, struct transit_servers *servers, uint64_t deadline_usec, struct secret **ret,
                        struct token_fetched *f);
