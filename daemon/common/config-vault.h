/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One [Vault NAME] of cmkd.conf(5): what it is before anything is said, and whether what was said makes sense together.
 * Which keys there are stands in config.c's table, with all others. */

#include "config.h"

/* A vault of that name with its defaults. Returns NULL where memory runs out. */
struct vault_config *config_vault_new(const char *name);

/* Accepts NULL. Does not follow ->next. */
void config_vault_free(struct vault_config *v);

/* Mount=, AuthMount= and Namespace=: words of A-Z a-z 0-9 - _ . with single slashes between them. */
bool config_vault_path_is_valid(const char *s);

/* HOST or HOST:PORT, as keys' identifiers have it. host: in lower case. Returns 0 or -EINVAL. */
int config_vault_authority(const char *s, char host[static 254], uint16_t *ret_port);

/* Proxy=: http:// or https:// and HOST:PORT, nothing else; *ret (replaced) in lower case. Returns 0, -EINVAL or -ENOMEM. */
int config_vault_proxy(const char *value, char **ret);

/* Several of them, separated by blanks: *list, NULL-terminated or NULL, is replaced by one of HOST:PORT. Returns 0, -EINVAL or
 * -ENOMEM; *list is untouched then. */
int config_vault_authorities(const char *value, char ***list);

/* Token=: a label with its escapes, into host. Returns 0, -EINVAL or -ENOMEM. */
int config_vault_token(const char *value, struct vault_config *v);

/* Objects=: such labels, separated by blanks: as config_vault_authorities(), without the escapes. */
int config_vault_labels(const char *value, char ***list);

/* PinnedKeys=: words sha256//BASE64 with blanks or semicolons between them; *ret (replaced) has semicolons, as libcurl wants them.
 * Returns 0, -EINVAL or -ENOMEM. */
int config_vault_pins(const char *value, char **ret);

/* What of the way to prove who the node is does not exist in an initramfs, whose files anybody can read: the setting, such as
 * "SecretIdFile=" or "Identity=arc" (static); NULL: nothing, the machine itself is the proof. v was checked. */
const char *config_vault_login_on_disk(const struct vault_config *v);

/* A setting of that vault was read there: kept where only one provider has it. */
void config_vault_note(struct vault_config *v, const char *key, const char *path, unsigned line);

/* What is wrong, for people; the caller frees it. */
char *vault_say(const char *format, ...) _printf_(1, 2);

/* Fills in what depends on the rest. Returns NULL, or what is wrong with that vault, or with it and one behind it in the list: for
 * people; the caller frees it. */
char *config_vault_check(struct vault_config *v);
