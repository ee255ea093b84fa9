/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Values that have a form, written with their names replaced: pure, for privacy.c, which has the key. What a form does not
 * expect is a name. */

#include "common/util.h"

/* Where a value is written to. Whole words only: what does not fit is left out, and all after it. */
struct form {
        char *buf;
        size_t size, n;
        bool is_full, has_failed;
        void *user;
        /* the pseudonym of a name, with its end; and of a UUID. false: there is none */
        bool (*word)(void *user, const char *s, size_t n, char ret[static 18]);
        bool (*uuid)(void *user, const char *s, char ret[static 37]);
        /* of the record at hand: these words are names, whatever they mean else; may be NULL */
        bool (*is_name)(void *user, const char *s, size_t n);
        const char *exe;                   /* of the record; or NULL */
        bool is_elsewhere;                 /* the record's process is in another mount namespace than cmkd-audit, or it is not known which */
};

void form_name(struct form *f, const char *s);
void form_metadata(struct form *f, const char *s);   /* the metadata service's address: the same everywhere */
void form_number(struct form *f, const char *s);     /* and times, and device numbers */
void form_hex(struct form *f, const char *s);        /* hashes and random ids, one or several */
void form_ring(struct form *f, const char *s);       /* BOOT.MAP.POSITION: read again by the next start */
void form_base64(struct form *f, const char *s);     /* of 128 characters or more */
void form_uuid(struct form *f, const char *s);
void form_dm_uuid(struct form *f, const char *s);    /* CRYPT-LUKS2-32 DIGITS-NAME */
void form_key(struct form *f, const char *s);        /* https://HOST[:PORT][/v1/MOUNT]/keys/NAME[/VERSION] */
void form_description(struct form *f, const char *s); /* of a kernel key: cryptsetup:UUID-d0 */
void form_path(struct form *f, const char *s);
void form_ours(struct form *f, const char *s);       /* paths and names of cmkd's own things */
void form_exe(struct form *f, const char *s);        /* the distribution's programs stay */
void form_comm(struct form *f, const char *s);
void form_process(struct form *f, const char *s);    /* COMM[PID] */
void form_cgroup(struct form *f, const char *s);     /* or a unit: a path of one */
void form_units(struct form *f, const char *s);      /* several, with blanks or commas between them */
void form_uid(struct form *f, const char *s);        /* those of people; not root's, nor the system's below 1000 */
void form_by(struct form *f, const char *s);         /* uid=N loginuid=N pid=N comm=NAME, as cmkd says who asked */
void form_words(struct form *f, const char *s);      /* what the code says, one of a few: names of the record are none here */
void form_text(struct form *f, const char *s);
