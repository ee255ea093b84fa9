/* SPDX-License-Identifier: Apache-2.0 */
// sources: daemon/audit/privacy.c daemon/audit/privacy-forms.c
// Names as pseudonyms: every field of the schema has a decision, no name passes, forms stay, and what must be read stays.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "audit/privacy.h"

#define MARKER "acme-Zq7"
#define MAN "daemon/man/cmkd-audit.5"
#define SOURCES "daemon/manager/*.c daemon/audit/*.c"
#define UUID "11111111-2222-4333-8444-555555555555"

static struct privacy *privacy;

static struct privacy *make(uint8_t fill) {
        uint8_t bytes[PRIVACY_KEY_MIN];
        struct privacy *p = NULL;
        struct secret *key;

        memset(bytes, fill, sizeof(bytes));
        assert_int_equal(secret_take(bytes, sizeof(bytes), &key), 0);
        assert_int_equal(privacy_new(key, &p), 0);
        return p;
}

static int set_up(void **state _unused_) {
        privacy = make(7);
        return 0;
}

static int tear_down(void **state _unused_) {
        privacy = privacy_free(privacy);
        return 0;
}

static const char *value(const char *field, const char *text) {
        static char buf[AUDIT_VALUE_MAX + 1];

        assert_int_equal(privacy_value(privacy, field, text, buf, sizeof(buf)), 0);
        return buf;
}

static const char *word(const char *name) {
        static char buf[8][PRIVACY_WORD_SIZE];
        static unsigned n;

        assert_int_equal(privacy_word(privacy, name, buf[n % 8]), 0);
        return buf[n++ % 8];
}

/* %W stands for the word of the next name. */
static void expect(const char *field, const char *text, const char *format, ...) {
        char wanted[2048] = "";
        va_list ap;

        va_start(ap, format);
        for (const char *p = format; *p; p++) {
                size_t n = strlen(wanted);

                if (p[0] == '%' && p[1] == 'W') {
                        snprintf(wanted + n, sizeof(wanted) - n, "%s", word(va_arg(ap, const char *)));
                        p++;
                } else
                        snprintf(wanted + n, sizeof(wanted) - n, "%c", *p);
        }
        va_end(ap);
        assert_string_equal(value(field, text), wanted);
}

static bool is_in_table(const char *name) {
        for (size_t i = 0; privacy_field(i); i++)
                if (streq(privacy_field(i), name))
                        return true;
        return false;
}

static bool has(const char *const *names, const char *name) {
        for (size_t i = 0; names[i]; i++)
                if (streq(names[i], name))
                        return true;
        return false;
}

/* The names in the bold lines of the manual's FIELDS. */
static size_t read_manual(char names[][AUDIT_NAME_MAX + 1], size_t max) {
        FILE *f = fopen(MAN, "re");
        char line[1024];
        bool there = false;
        size_t n = 0;

        assert_non_null(f);
        while (fgets(line, sizeof(line), f)) {
                if (startswith(line, ".SH"))
                        there = streq(line, ".SH FIELDS\n");
                if (!there || !startswith(line, ".B "))
                        continue;
                for (char *p = strtok(line + 3, ", \n"); p; p = strtok(NULL, ", \n")) {
                        assert_true(n < max && strlen(p) <= AUDIT_NAME_MAX);
                        strcpy(names[n++], p);
                }
        }
        fclose(f);
        return n;
}

static void schema_and_table_agree(void **state _unused_) {
        static char names[256][AUDIT_NAME_MAX + 1];
        static const char *const elsewhere[] = { "early", NULL };        /* under RECORDS */
        size_t n = read_manual(names, ELEMENTSOF(names));

        assert_true(n > 100);
        for (size_t i = 0; i < n; i++)
                if (!is_in_table(names[i]))
                        fail_msg("%s is in the manual and not in the table", names[i]);
        for (size_t i = 0; privacy_field(i); i++) {
                bool found = has(elsewhere, privacy_field(i));

                for (size_t k = 0; k < n; k++)
                        found = found || streq(names[k], privacy_field(i));
                if (!found)
                        fail_msg("%s is in the table and not in the manual", privacy_field(i));
        }
}

/* What the sources add by name. */
static void sources_and_table_agree(void **state _unused_) {
        FILE *f = popen("grep -hoE 'audit_record_addf?\\([^,]*, *\"[a-z_0-9]+\"' " SOURCES
                        " | sed 's/.*\"\\(.*\\)\"/\\1/' | sort -u", "re");
        char line[128];
        size_t n = 0;

        assert_non_null(f);
        while (fgets(line, sizeof(line), f)) {
                line[strcspn(line, "\n")] = 0;
                if (!is_in_table(line))
                        fail_msg("%s is in a record and not in the table", line);
                n++;
        }
        assert_int_equal(pclose(f), 0);
        assert_true(n > 80);
}

/* In every field, in every place of a value where a name may be. */
static void no_marker_survives(void **state _unused_) {
        static const char *const values[] = {
                MARKER, "/dev/mapper/" MARKER, "/dev/disk/by-id/" MARKER "-part1", "/home/" MARKER "/bin/x", "/usr/local/bin/" MARKER,
                "https://" MARKER ".vault.example/keys/k/1", "https://h/keys/" MARKER "/0123456789abcdef0123456789abcdef",
                "https://h/v1/" MARKER "/keys/k", "https://h/keys/k/" MARKER, "https://" MARKER, "https://user:" MARKER "@h/keys/k",
                "https://h:" MARKER "/keys/k", "/system.slice/" MARKER ".service", "/user.slice/user-1000.slice/" MARKER ".scope",
                "/system.slice/systemd-fsck@" MARKER ".service", "/machine.slice/machine-" MARKER ".scope", "/docker-" MARKER ".scope",
                "/system.slice/" MARKER "@1.service", "a b " MARKER, "the disk of " MARKER ": it is busy", "volume \"" MARKER "\"", "x=" MARKER,
                "volume=" MARKER, MARKER ".service," MARKER ".mount", "uid=0 loginuid=unset pid=1 comm=" MARKER, "uid=" MARKER " pid=" MARKER,
                "uid=0 " MARKER "=1 pid=1", MARKER "[12]", "cryptsetup:" UUID "-" MARKER, "cryptsetup:" MARKER, "user:" MARKER,
                "CRYPT-LUKS2-11111111222243338444555555555555-" MARKER, "CRYPT-PLAIN-" MARKER, "LVM-" MARKER, "CRYPT-" MARKER "-x",
                "trail-" MARKER ".jsonl", "link-" MARKER, "1 2 " MARKER, "00-" MARKER, "(" MARKER ")", "/memfd:" MARKER " (deleted)", ".../" MARKER,
                "/usr/bin/../../home/" MARKER, "kworker/0:1-" MARKER, "old." MARKER, "12345678." MARKER, "%s/" MARKER,
        };
        static const char *const unknown[] = { "not_in_the_table", "describe_me" };
        char text[AUDIT_VALUE_MAX + 1];
        size_t n = 0;

        while (privacy_field(n))
                n++;
        for (size_t i = 0; i < n + ELEMENTSOF(unknown); i++)
                for (size_t k = 0; k < ELEMENTSOF(values); k++) {
                        const char *name = i < n ? privacy_field(i) : unknown[i - n];

                        assert_int_equal(privacy_value(privacy, name, values[k], text, sizeof(text)), 0);
                        if (strcasestr(text, MARKER) || strcasestr(text, "acme"))
                                fail_msg("%s=%s became %s", name, values[k], text);
                }
}

/* The same in a whole record, in all fields at once. */
static void no_marker_survives_in_a_record(void **state _unused_) {
        struct audit_message_record *m = malloc(sizeof(*m));

        assert_non_null(m);
        for (size_t i = 0; privacy_field(i); ) {
                audit_record_start(m, "volume_open", LOG_INFO, false);
                for (; privacy_field(i) && m->n_fields < AUDIT_FIELDS_MAX; i++)
                        audit_record_add(m, privacy_field(i), MARKER);
                assert_int_equal(privacy_record(privacy, m), 0);
                for (size_t k = 0; k < m->n_fields; k++)
                        if (strcasestr(m->fields[k].value, "acme") || !*m->fields[k].value)
                                fail_msg("%s became %s", m->fields[k].name, m->fields[k].value);
        }
        free(m);
}

static void one_name_has_one_pseudonym(void **state _unused_) {
        struct privacy *other = make(8), *again = make(7);
        char a[PRIVACY_WORD_SIZE], b[PRIVACY_WORD_SIZE];

        assert_int_equal(privacy_word(other, "data1", a), 0);
        assert_int_equal(privacy_word(again, "data1", b), 0);
        assert_string_not_equal(a, word("data1"));
        assert_string_equal(b, word("data1"));
        assert_string_not_equal(word("data1"), word("data2"));
        assert_int_equal(word("x")[0], '~');
        assert_int_equal(strspn(word("x") + 1, "0123456789abcdef"), 16);
        assert_string_not_equal(privacy_id(other), privacy_id(privacy));
        assert_string_equal(privacy_id(again), privacy_id(privacy));
        expect("address", "::ffff:169.254.169.254", "::ffff:169.254.169.254");
        expect("volume", "data1", "%W", "data1");
        expect("dm_uuid", "CRYPT-PLAIN-data1", "CRYPT-PLAIN-%W", "data1");
        expect("device", "/dev/mapper/data1", "/dev/mapper/%W", "data1");
        privacy_free(other);
        privacy_free(again);
}

static void uuids_keep_their_form(void **state _unused_) {
        char uuid[64], hex[64] = "";

        snprintf(uuid, sizeof(uuid), "%s", value("uuid", UUID));
        assert_true(uuid_is_valid(uuid));
        assert_int_equal(uuid[14], '8');
        assert_string_not_equal(uuid, UUID);
        for (const char *p = uuid; *p; p++)
                if (*p != '-')
                        snprintf(hex + strlen(hex), sizeof(hex) - strlen(hex), "%c", *p);
        assert_string_equal(strstr(value("dm_uuid", "CRYPT-LUKS2-11111111222243338444555555555555-data1"), "LUKS2-")+ 6,
                            strcat(strcat(hex, "-"), word("data1")));
        snprintf(hex, sizeof(hex), "cryptsetup:%s-d0", uuid);
        assert_string_equal(value("key_description", "cryptsetup:" UUID "-d0"), hex);
        assert_non_null(strstr(value("why", "the header of " UUID " was changed"), uuid));
        /* ids of requests are random, and stand in the vault's log */
        assert_string_equal(value("use", UUID), UUID);
        assert_string_equal(value("ids", UUID " " UUID), UUID " " UUID);
}

static void keys_can_be_taken_apart(void **state _unused_) {
        expect("key", "https://V.example/keys/K1/0123456789abcdef0123456789abcdef", "https://%W/keys/%W/0123456789abcdef0123456789abcdef",
               "v.example", "k1");
        expect("key", "https://v.example:8443/keys/k1", "https://%W:8443/keys/%W", "v.example", "k1");
        expect("key", "https://v.example/v1/transit/keys/k1/3", "https://%W/v1/%W/keys/%W/3", "v.example", "transit", "k1");
        expect("answer_of", "https://v.example/v1/a/b/keys/k1", "https://%W/v1/%W/%W/keys/%W", "v.example", "a", "b", "k1");
        expect("key", "keyring", "keyring");
        expect("key", "inline", "inline");
        expect("key", "pkcs11:token=x", "%W", "pkcs11:token=x");
}

static void units_keep_their_ends(void **state _unused_) {
        expect("cgroup", "/system.slice/train.service", "/system.slice/%W.service", "train");
        expect("cgroup", "/system.slice/systemd-udevd.service/udev", "/system.slice/systemd-udevd.service/%W", "udev");
        expect("cgroup", "/user.slice/user-1000.slice/session-3.scope", "/user.slice/user-%W.slice/session-3.scope", "1000");
        expect("cgroup", "/user.slice/user-0.slice/user@0.service/app.slice", "/user.slice/user-0.slice/user@0.service/app.slice");
        expect("cgroup", "/system.slice/docker-0123456789ab.scope", "/system.slice/docker-%W.scope", "0123456789ab");
        expect("cgroup", "/init.scope", "/init.scope");
        expect("cgroup", "/", "/");
        expect("units", "db.service srv-data1.mount", "%W.service %W.mount", "db", "srv-data1");
}

static void programs_of_packages_stay(void **state _unused_) {
        expect("exe", "/usr/bin/dd", "/usr/bin/dd");
        expect("exe", "/usr/lib/systemd/systemd-udevd (deleted)", "/usr/lib/systemd/systemd-udevd (deleted)");
        /* Of one that is gone the last three directories are all there is: a home's may have these names too */
        expect("exe", ".../usr/lib/systemd/systemd-udevd", ".../usr/lib/systemd/systemd-udevd");
        expect("exe", ".../usr/lib/systemd/systemd-udevd (deleted)", ".../usr/lib/systemd/systemd-udevd (deleted)");
        expect("exe", ".../usr/bin/udevadm", ".../usr/bin/udevadm");
        expect("exe", ".../usr/bin/xxd", ".../usr/bin/%W", "xxd");
        expect("exe", ".../bin/acme/merger/prog", ".../bin/%W/%W/%W", "acme", "merger", "prog");
        expect("exe", ".../lib/acme/bin/prog", ".../lib/%W/bin/%W", "acme", "prog");
        expect("exe", ".../usr/lib/acme/prog", ".../usr/lib/%W/%W", "acme", "prog");
        expect("exe", ".../usr/bin/acme/dd", ".../usr/bin/%W/%W", "acme", "dd");
        expect("exe", "...", "...");
        expect("exe", "/opt/train/go", "/opt/%W/%W", "train", "go");
        expect("exe", "/usr/local/bin/copy", "/usr/local/bin/%W", "copy");
        expect("comm", "dd", "dd");
        expect("comm", "train", "%W", "train");
        expect("parent", "bash", "bash");
        expect("to", "cmkd[12]", "cmkd[12]");
        expect("to", "train[12]", "%W[12]", "train");
}

static void comm_stays_with_its_program(void **state _unused_) {
        struct audit_message_record m;

        audit_record_start(&m, "volume_open", LOG_INFO, false);
        audit_record_add(&m, "comm", "xxd");
        audit_record_add(&m, "exe", "/usr/bin/xxd");
        assert_int_equal(privacy_record(privacy, &m), 0);
        assert_string_equal(m.fields[0].value, "xxd");
        audit_record_start(&m, "volume_open", LOG_INFO, false);
        audit_record_add(&m, "comm", "xx");
        audit_record_add(&m, "exe", "/usr/bin/xxd");
        assert_int_equal(privacy_record(privacy, &m), 0);
        assert_string_equal(m.fields[0].value, word("xx"));
}

static void program_at(const char *exe, const char *comm, const char *mnt_ns, const char *wanted_exe, const char *wanted_comm) {
        struct audit_message_record m;

        audit_record_start(&m, "volume_open", LOG_INFO, false);
        audit_record_add(&m, "exe", exe);
        audit_record_add(&m, "comm", comm);
        audit_record_add(&m, "mnt_ns", mnt_ns);
        assert_int_equal(privacy_record(privacy, &m), 0);
        assert_string_equal(m.fields[0].value, wanted_exe);
        assert_string_equal(m.fields[1].value, wanted_comm);
}

static int tear_down_again(void **state) {
        privacy = privacy_free(privacy);
        return set_up(state);
}

static int set_up_again(void **state) { return tear_down_again(state); }

/* A container has a /usr of its own: what is in it was named by whoever made it. */
static void programs_of_containers_do_not_stay(void **state _unused_) {
        char hidden[128];

        program_at(".../bin/acme/merger/prog", "prog", "5", strcpy(hidden, value("exe", ".../bin/acme/merger/prog")), word("prog"));
        program_at("/usr/bin/acme-train", "acme-train", "5", "/usr/bin/acme-train", "acme-train");
        privacy_set_place(privacy, 4026531841);
        snprintf(hidden, sizeof(hidden), "/usr/bin/%s", word("acme-train"));
        program_at("/usr/bin/acme-train", "acme-train", "4026531841", "/usr/bin/acme-train", "acme-train");
        program_at("/usr/bin/acme-train", "acme-train", "4026532900", hidden, word("acme-train"));
        program_at("/usr/bin/acme-train", "acme-train", NULL, hidden, word("acme-train"));
        program_at("/usr/bin/dd", "dd", "4026532900", "/usr/bin/dd", "dd");
        program_at("/usr/sbin/chronyd", "chronyd", "4026532900", "/usr/sbin/chronyd", "chronyd");
        program_at("/usr/lib/systemd/systemd-udevd", "systemd-udevd", "4026532900", "/usr/lib/systemd/systemd-udevd", "systemd-udevd");
        snprintf(hidden, sizeof(hidden), "/usr/lib/%s/%s", word("acme"), word("dd"));
        program_at("/usr/lib/acme/dd", "acme", "4026532900", hidden, word("acme"));
        privacy_set_place(privacy, 0);                         /* it could not be found out */
        snprintf(hidden, sizeof(hidden), "/usr/bin/%s", word("acme-train"));
        program_at("/usr/bin/acme-train", "acme-train", "4026531841", hidden, word("acme-train"));
}

static void people_only(void **state _unused_) {
        expect("uid", "0", "0");
        expect("uid", "105", "105");
        expect("uid", "1000", "%W", "1000");
        expect("loginuid", "1000", "%W", "1000");
        expect("by", "uid=0 loginuid=1000 pid=377 comm=cmkctl", "uid=0 loginuid=%W pid=377 comm=cmkctl", "1000");
        expect("by", "uid=0 loginuid=unset pid=377 comm=a b", "uid=0 loginuid=unset pid=377 comm=%W", "a b");
        expect("by", "cmkd", "cmkd");
        expect("why", "asked by uid 1000", "asked by uid %W", "1000");
}

static void texts_stay_readable(void **state _unused_) {
        expect("why", "the vault says that the key is disabled", "the vault says that the key is disabled");
        expect("result", "Device or resource busy", "Device or resource busy");
        expect("result", "EBUSY", "EBUSY");
        expect("verdict", "GRANTED", "GRANTED");
        expect("counted_as", "UNREACHABLE", "UNREACHABLE");
        expect("why", "the disk (/dev/vdb1) of \"data1\" is busy, 3 times in 30s",
               "the disk (/dev/vdb1) of \"%W\" is busy, 3 times in 30s", "data1");
        expect("why", "data1: busy", "%W: busy", "data1");
        expect("ring", "1a2b3c4d.17.4711", "1a2b3c4d.17.4711");
        expect("ring", "old.12", "old.12");
        expect("until", "2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z");
        expect("dev", "253:0", "253:0");
        expect("file", "trail-00000000000000000001.jsonl", "trail-00000000000000000001.jsonl");
        expect("place", "/run/cmkd/early", "/run/cmkd/early");
        expect("pin", "link-cmkd_key_set", "%W", "link-cmkd_key_set");
}

/* A volume may be called what cmkd says in its sentences. */
static void ordinary_words_are_names_where_the_record_says_so(void **state _unused_) {
        struct audit_message_record m;
        char wanted[128];

        audit_record_start(&m, "refused", LOG_NOTICE, false);
        audit_record_add(&m, "volume", "backup");
        audit_record_add(&m, "key", "https://vault/keys/disk");
        audit_record_add(&m, "why", "backup: the Disk is busy, the vault too");
        audit_record_add(&m, "step", "backup disk");
        assert_int_equal(privacy_record(privacy, &m), 0);
        snprintf(wanted, sizeof(wanted), "%s: the %s is busy, the %s too", word("backup"), word("Disk"), word("vault"));
        assert_string_equal(m.fields[2].value, wanted);
        assert_string_equal(m.fields[3].value, "backup disk");         /* not a sentence: the code's own words */
}

static void long_values_end_between_words(void **state _unused_) {
        char text[AUDIT_VALUE_MAX + 1] = "", *end;

        for (unsigned i = 0; i < 200; i++)
                snprintf(text + strlen(text), sizeof(text) - strlen(text), "x%03u ", i);
        snprintf(text, sizeof(text), "%s", value("why", text));
        assert_true(strlen(text) > AUDIT_VALUE_MAX - 40);
        end = strrchr(text, '~');
        assert_non_null(end);
        assert_int_equal(strcspn(end, " "), 17);
        assert_null(strchr(text, 'x'));
}

static void key_file_is_checked(void **state _unused_) {
        char path[] = "/tmp/test-privacy-XXXXXX";
        int fd = mkstemp(path);
        struct privacy *p = NULL;

        assert_true(fd >= 0);
        assert_int_equal(privacy_load("/nonexistent/key", &p), -ENOENT);
        assert_int_equal(privacy_load("/dev/null", &p), -EINVAL);
        assert_int_equal(write(fd, "0123456789012345678901234567890", 31), 31);
        assert_int_equal(privacy_load(path, &p), -EINVAL);
        assert_int_equal(write(fd, "1", 1), 1);
        assert_int_equal(privacy_load(path, &p), 0);
        p = privacy_free(p);
        assert_int_equal(fchmod(fd, 0640), 0);
        assert_int_equal(privacy_load(path, &p), -EPERM);
        assert_null(p);
        close(fd);
        unlink(path);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(schema_and_table_agree), cmocka_unit_test(sources_and_table_agree),
                cmocka_unit_test(no_marker_survives), cmocka_unit_test(no_marker_survives_in_a_record),
                cmocka_unit_test(one_name_has_one_pseudonym), cmocka_unit_test(uuids_keep_their_form),
                cmocka_unit_test(keys_can_be_taken_apart), cmocka_unit_test(units_keep_their_ends),
                cmocka_unit_test(programs_of_packages_stay), cmocka_unit_test(comm_stays_with_its_program),
                cmocka_unit_test_setup_teardown(programs_of_containers_do_not_stay, set_up_again, tear_down_again),
                cmocka_unit_test(people_only), cmocka_unit_test(texts_stay_readable),
                cmocka_unit_test(ordinary_words_are_names_where_the_record_says_so),
                cmocka_unit_test(long_values_end_between_words), cmocka_unit_test(key_file_is_checked),
        };

        return cmocka_run_group_tests(tests, set_up, tear_down);
}
