/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* cmkd.conf(5): one table in config.c says which key stands in which section, how it is parsed and where it goes.
 *
 *   [Node]            Trust= OnTrailFailure= Guard...      what holds for the node
 *   [Policy]          OnRevoked= PollSec= ...              for every volume
 *   [Volume NAME]     the same keys, for one volume
 *   [Audit]           PublicKey= MaxFileSize= Baseline= ...   how the trail is kept, what is normal in it
 *   [Guard]           Mode= Allow= ...                     what the kernel refuses
 *   [Vault NAME]      Host= Keys= CAFile= Identity= ...    the allow-list: what is not here is refused
 *                     Token= Objects= Module= ...          the same, Provider=pkcs11
 *
 * Files: cmkd.conf from the first of /etc/cmkd, /run/cmkd, /usr/lib/cmkd that has it, then the .conf files in cmkd.conf.d of all
 * three, sorted by name, a name in an earlier directory hiding the same name in a later one. Later settings win. */

#include "key-uri.h"
#include "policy-values.h"
#include "util.h"

/* What a file said about policy. Negative numbers and USEC_INFINITY: not said. */
struct policy_settings {
        int on_revoked, on_denied, on_unreachable;     /* enum action */
        int on_reenable;                               /* enum reenable */
        int recovery;                                  /* enum recovery */
        int on_foreign;                                /* enum foreign_keyslot */
        int on_key_expiry;                             /* enum key_expiry */
        int revoke;                                    /* enum revoke */
        uint64_t notice_usec, poll_usec, lease_usec, grace_usec, hold_usec, confirm_usec, denied_confirm_usec;
};

struct volume_config {
        struct volume_config *next;
        char *name;
        struct policy_settings policy;
};

/* A setting that one provider has and others have not, where it stands first: "" is nowhere. */
struct first_use {
        char key[24];
        char place[224];               /* FILE:LINE */
};

#define AZURE_SETTINGS 12u             /* those that depend on Identity= */

struct vault_config {
        struct vault_config *next;
        char *name;                    /* of the section: for messages and the trail */
        char *provider;                /* "azure", "transit", "pkcs11" */
        char *host;                    /* lower case; pkcs11: the token's label, as it is */
        uint16_t port;                 /* pkcs11: 0 */
        char **public_keys;            /* ExpectPublicKeys=: sha256:HEX, lower case; NULL: any; NULL-terminated */
        char **keys;                   /* names allowed there, lower case (pkcs11: objects' labels, as they are); NULL-terminated */
        char *ca_file;                 /* NULL: the system's */
        char *pinned_keys;             /* "sha256//BASE64;sha256//..."; NULL: any key that CAFile= vouches for */
        char *crl_file;                /* NULL: no list is asked */
        bool stapled_status;           /* the server must show that its certificate is not revoked */
        char *proxy;                   /* "http://host:port" or "https://host:port", lower case; NULL: none */
        char *proxy_ca_file, *proxy_credentials_file;   /* NULL: the system's; none are shown */
        /* azure */
        int identity;                  /* enum azure_identity: which of the following there are, see config-azure.c */
        char *client_id, *object_id, *resource_id;     /* managed: of a user-assigned one; none: the system-assigned one */
        char *tenant_id;               /* lower case */
        char *authority, *authority_ca_file;   /* "https://login.microsoftonline.com"; NULL: the system's */
        char *client_secret_file;      /* beside jwt_file, client_certificate, client_key below */
        struct first_use said[AZURE_SETTINGS];
        char *metadata_endpoint;       /* "http://169.254.169.254"; NULL: none is asked */
        char *resource;                /* "https://vault.azure.net" */
        char *api_version;
        char *rsa_algorithm;           /* with which RSA keys wrap (algorithm.h); NULL: ALGORITHM_RSA, and no other is taken */
        uint64_t fleet_size;           /* nodes that poll this vault's keys; 0: not said */
        /* transit: one way to log in is complete, the others are NULL. JwtFile=, ClientCertificate= and ClientKey= azure has too */
        char *mount;                   /* "transit" */
        char *namespace;               /* NULL: the root namespace */
        char *cluster_id;              /* NULL: any */
        char **servers;                /* more of the cluster: "host:port", lower case; NULL-terminated, or NULL */
        char **redirect_hosts;         /* the same */
        char *auth_mount;              /* NULL: as the way to log in has it */
        char *token_file;
        char *role_id, *secret_id_file;
        bool secret_id_wrapped;        /* the file has a token to unwrap the secret id with, once */
        char *role, *jwt_file;
        char *client_certificate, *client_key;
        /* pkcs11 */
        char *module;                  /* path; else NULL. azure has these three where ClientKey= is in a token */
        char *pin_file;                /* NULL: no login */
        char **module_environment;     /* "NAME=VALUE"; NULL-terminated, or NULL */
        /* all */
        uint64_t timeout_usec;         /* of one request */
        int key_version;               /* enum key_version: follow.h */
        bool accept_unsafe;            /* AcceptUnsafeVault=: no purge protection, said by the owner in writing */
        struct first_use azure_only, transit_only, pkcs11_only, module_only, host_only;     /* host: azure and transit */
};

/* An ephemeral disk, [Scratch NAME]. */
struct scratch_config {
        struct scratch_config *next;
        char *name;
        char *device;                  /* a path below /dev */
        char *file_system;             /* "ext4", "swap"; NULL: none is made */
        bool wipe;                     /* whatever it holds may be overwritten, also without anybody's asking */
};

struct audit_config {
        char *public_key;              /* PEM file; NULL: the trail is not sealed */
        int privacy;                   /* enum privacy_mode */
        char *privacy_key;             /* file of the key of pseudonyms, or NULL */
        uint64_t max_file_size;        /* bytes; 0: no limit */
        uint64_t max_file_age_usec;    /* the same */
};

struct guard_settings {
        int mode;                      /* enum guard_mode */
        uint64_t arm_after_usec, confirm_usec;
        char **allow;                  /* programs that may open volumes; NULL-terminated, or NULL */
        char **allow_metadata;         /* programs (paths) and units that may connect to the metadata service; the same */
};

struct config {
        uint64_t read_usec;            /* when reading began, CLOCK_BOOTTIME: what was written before that is in it */
        int trust;                     /* enum trust_mode */
        int on_trail_failure;          /* enum trail_failure */
        char **owner_keys;             /* PEM files of those whose signed lists are trusted; NULL-terminated, or NULL */
        bool fips;                     /* OpenSSL's FIPS provider and no other; RSA-OAEP-256 and AES of 256 bits only */
        bool allow_removable;          /* udev may have loop, nbd, zram, USB and removable devices attached */
        char **baseline;               /* programs (paths) and units that may open decrypted devices; NULL-terminated, or NULL */
        struct guard_settings guard;
        struct policy_settings policy;
        struct audit_config audit;
        struct volume_config *volumes;
        struct vault_config *vaults;
        struct scratch_config *scratches;
        struct config_origin *origins; /* config-origin.h */
};

/* Reads the configuration below root ("" for the system's). A missing file is an empty one. On an error *ret_why holds
 * a sentence for people: file, line, what is allowed (the caller frees it). Returns 0, -EINVAL, -ENOMEM, or -errno of
 * a file that could not be read. */
int config_load(const char *root, struct config **ret, char **ret_why);

struct config *config_free(struct config *c);
static inline void config_freep(struct config **c) { config_free(*c); }

/* The vault that a key's identifier points into, or NULL: not allowed. ret_why (may be NULL): static text. Host and
 * port are compared exactly, and the key must be on the vault's list. */
const struct vault_config *config_find_vault(const struct config *c, const struct key_uri *u, const char **ret_why);

/* By the section's name, or NULL. */
const struct vault_config *config_vault_by_name(const struct config *c, const char *name);

const struct scratch_config *config_find_scratch(const struct config *c, const char *name);

const struct volume_config *config_find_volume(const struct config *c, const char *name);

/* Nothing said. */
void policy_settings_init(struct policy_settings *p);
