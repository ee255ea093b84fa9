/* SPDX-License-Identifier: Apache-2.0 */
#include "findings.h"

#include <stdarg.h>

#define BUILD_AGAIN "then " ONLY_BUILD
#define ONLY_BUILD "build the image again (update-initramfs -u, or dracut --force)"
#define NO_BOOT "the volume of the system cannot be unlocked"

static const struct {
        const char *id;
        enum severity severity;
        const char *danger, *cure;
} kinds[_FINDING_MAX] = {
        [FINDING_IMAGE_DAMAGED] = { "image-damaged", SEVERITY_STOP, "the kernel unpacks the same bytes, and panics",
                "build the image again; look whether /boot is full" },
        [FINDING_IMAGE_REST] = { "rest-unread", SEVERITY_NOTE, "what is there was not examined",
                "build the image so that the compressed part is its last" },
        [FINDING_NO_MODULES] = { "no-modules", SEVERITY_STOP, "neither disk nor network will be there",
                "build the image for an installed kernel" },
        [FINDING_NETWORK_DRIVER] = { "network-driver", SEVERITY_STOP, "the vault cannot be reached",
                "add the module to /etc/initramfs-tools/modules, or add_drivers of dracut, " BUILD_AGAIN },
        [FINDING_DISK_DRIVER] = { "disk-driver", SEVERITY_STOP, "the disk does not appear",
                "add the module to /etc/initramfs-tools/modules, or add_drivers of dracut, " BUILD_AGAIN },
        [FINDING_CRYPTO] = { "crypto-module", SEVERITY_STOP, NO_BOOT,
                "install cryptsetup-initramfs, or dracut's module crypt, " BUILD_AGAIN },
        [FINDING_MODULE_DEPENDENCY] = { "module-dependency", SEVERITY_STOP, "the module that needs it cannot be loaded",
                "run depmod, " BUILD_AGAIN },
        [FINDING_NETWORK_SETUP] = { "network-setup", SEVERITY_STOP, "the network card gets no address",
                "install initramfs-tools' or dracut's network support (dracut-network), " BUILD_AGAIN },
        [FINDING_PROGRAM_MISSING] = { "program-missing", SEVERITY_STOP, NO_BOOT,
                "install cmkd's hook (initramfs-tools/hooks/cmkd, or dracut's module 90cmkd), " BUILD_AGAIN },
        [FINDING_PROGRAM_OTHER] = { "program-other-version", SEVERITY_RISK,
                "the system boots with a cmkd that is not the one installed", ONLY_BUILD },
        [FINDING_LIBRARY] = { "library-missing", SEVERITY_STOP, "the program does not start", ONLY_BUILD },
        [FINDING_PLUGIN] = { "token-plugin", SEVERITY_STOP, "cryptsetup asks for a passphrase and nobody is there",
                "install libcryptsetup-token-cmkd.so, " BUILD_AGAIN },
        [FINDING_KEYSCRIPT] = { "keyscript", SEVERITY_STOP, NO_BOOT, "name an installed keyscript in /etc/crypttab, "
                BUILD_AGAIN },
        [FINDING_START] = { "not-started", SEVERITY_STOP, "cmkd is in the image and nothing runs it",
                "install cmkd's hook (initramfs-tools/scripts, or dracut's module 90cmkd), " BUILD_AGAIN },
        [FINDING_COMMAND_LINE] = { "command-line", SEVERITY_STOP, NO_BOOT,
                "take it off the kernel's command line (GRUB_CMDLINE_LINUX, update-grub)" },
        [FINDING_CONFIG_MISSING] = { "config-missing", SEVERITY_STOP, "every vault is refused",
                "write /etc/cmkd/cmkd.conf, " BUILD_AGAIN },
        [FINDING_CONFIG_BAD] = { "config-bad", SEVERITY_STOP, "cmkd does not start in the initramfs",
                "mend it (cmkctl config check), " BUILD_AGAIN },
        [FINDING_CONFIG_OTHER] = { "config-other", SEVERITY_RISK, "the boot goes by an older configuration",
                ONLY_BUILD },
        [FINDING_NO_VAULT] = { "no-vault", SEVERITY_STOP, "every vault is refused",
                "add a section [Vault NAME] to /etc/cmkd/cmkd.conf, " BUILD_AGAIN },
        [FINDING_CA_MISSING] = { "ca-missing", SEVERITY_STOP,
                                 "the vault's certificate cannot be checked, nothing is sent",
                "install ca-certificates or the file of CAFile=, " BUILD_AGAIN },
        [FINDING_CA_BAD] = { "ca-bad", SEVERITY_STOP, "the vault's certificate cannot be checked, nothing is sent",
                "put valid certificates, PEM, into the file of CAFile=, " BUILD_AGAIN },
        [FINDING_CA_OTHER] = { "ca-other", SEVERITY_RISK, "a vault whose certificate is of a newer authority is refused",
                ONLY_BUILD },
        [FINDING_IMAGE_CRL] = { "crl", SEVERITY_STOP, "nothing is sent to the vault",
                "fetch the list anew into the file of CRLFile=, " BUILD_AGAIN },
        [FINDING_CRL_AGES] = { "crl-ages", SEVERITY_NOTE, "from then on nothing is sent to the vault while booting",
                "build the image anew with each new list" },
        [FINDING_RESOLVER] = { "resolver", SEVERITY_STOP, "the vault's name has no address",
                "get addresses by DHCP, or put nameserver lines or the host into the image's /etc" },
        [FINDING_RESOLVER_ON_DISK] = { "resolver-on-disk", SEVERITY_STOP,
                "the resolver is a service of the system that is still locked",
                "give the image a resolver of the network (by DHCP, or nameserver lines), " BUILD_AGAIN },
        [FINDING_ROUTE_ON_DISK] = { "route-on-disk", SEVERITY_STOP,
                "the way to the vault is set up by the system that is still locked",
                "give the initramfs a way to the vault through a network card" },
        [FINDING_CLOCK] = { "clock", SEVERITY_STOP, "certificates seem not to be valid yet, nothing is sent",
                "set the hardware clock (hwclock --systohc), or bring a time source into the image" },
        [FINDING_IDENTITY] = { "identity", SEVERITY_STOP, "no token for the vault",
                "use the managed identity of the machine (MetadataEndpoint=http://169.254.169.254)" },
        [FINDING_LOGIN] = { "login", SEVERITY_STOP, "no token for the vault",
                "open by a managed identity what the boot needs: whoever reads the image would have the file" },
        [FINDING_VOLUME_UNKNOWN] = { "volume-unknown", SEVERITY_STOP, "the volume is refused as not listed",
                ONLY_BUILD },
        [FINDING_VOLUME_OTHER] = { "volume-other", SEVERITY_STOP, "the volume is refused as another one",
                ONLY_BUILD },
        [FINDING_VOLUME_KEY] = { "volume-key", SEVERITY_RISK, "that key does not open the volume while booting, another one has to",
                "allow the key in [Vault NAME] of /etc/cmkd/cmkd.conf where the image may ask for it, " BUILD_AGAIN },
        [FINDING_VOLUME_UNREADABLE] = { "volume-unreadable", SEVERITY_RISK, "that volume is not opened, and nothing else is known of it",
                "cmkctl trust list names what is wrong; restore the file or enroll the volume again, " BUILD_AGAIN },
        [FINDING_VAULT_NOT_ALLOWED] = { "vault-not-allowed", SEVERITY_STOP, "refused before a packet leaves",
                "allow the key in [Vault NAME] of /etc/cmkd/cmkd.conf, " BUILD_AGAIN },
        [FINDING_SECRET] = { "secret-in-image", SEVERITY_RISK, "an image is public: whoever reads /boot has the secret",
                "take it out of the image; use the managed identity, or seal it to the TPM (systemd-creds)" },
        [FINDING_ODD_PATH] = { "odd-path", SEVERITY_RISK, "whoever unpacks it by name writes elsewhere",
                "find out who built the image" },
        [FINDING_NO_RECOVERY_KEY] = { "no-recovery-key", SEVERITY_RISK,
                "if the vault or the network is lost, so is the system",
                "add one: cmkctl recovery-key add VOLUME" },
        [FINDING_RECOVERY_UNKNOWN] = { "recovery-unknown", SEVERITY_NOTE,
                                       "whether there is a recovery key is not known",
                "run it as root, with the disk there and cryptsetup installed" },
        [FINDING_NO_OS_VOLUME] = { "no-os-volume", SEVERITY_NOTE,
                                   "nothing to unlock at boot, as far as this node knows",
                "format or enroll the volume of the system with --role os" },
        [FINDING_SECURE_BOOT_OFF] = { "boot-chain", SEVERITY_NOTE,
                "whoever can write to /boot can change what unlocks the system",
                "enable Secure Boot and sign kernel and image as one file (UKI)" },
        [FINDING_SECURE_BOOT_ON] = { "boot-chain", SEVERITY_NOTE,
                "Secure Boot checks the kernel; it checks the image only in a signed UKI", "nothing to do" },
        [FINDING_UNIFIED] = { "unified-image", SEVERITY_NOTE, "whose signature it is, is for the firmware to check",
                "nothing to do, or sign it (sbsign, ukify)" },
        [FINDING_INIT_ON_FREE] = { "init-on-free", SEVERITY_RISK,
                "what was cached of a volume stays in free memory after a cut",
                "add init_on_free=1 to the kernel's command line" },
        [FINDING_PLAIN_SWAP] = { "plain-swap", SEVERITY_RISK,
                "what processes had read of a volume is written there, and stays after a cut",
                "swap to zram or to a dm-crypt volume with a random key (crypttab(5): swap); then overwrite what was used" },
        [FINDING_KDUMP] = { "kdump", SEVERITY_RISK,
                "a panic writes memory, keys of open volumes included, to where the dump goes",
                "disable kdump (kdump-tools, kdump.service), or have it dump to an encrypted place that the owner knows of" },
        [FINDING_HIBERNATION] = { "hibernation", SEVERITY_RISK,
                "the image has the keys of open volumes; after a resume they are as before",
                "add nohibernate to the kernel's command line and take resume= away" },
        [FINDING_CORES] = { "core-dumps", SEVERITY_RISK,
                "a process that crashes leaves there what it had read of a volume",
                "keep none (coredump.conf(5): Storage=none; or kernel.core_pattern empty and kernel.core_uses_pid=0), or on "
                "an encrypted disk" },
        [FINDING_CORES_BESIDE] = { "core-dumps", SEVERITY_NOTE,
                "where RLIMIT_CORE allows it, a process that crashes leaves there what it had read of a volume",
                "nothing to do where no service raises the limit (LimitCORE=)" },
        [FINDING_KEXEC] = { "kexec", SEVERITY_NOTE,
                "the next kernel starts with this one's memory as it is", "reboot through the firmware (kexec -u)" },
        [FINDING_NOT_COVERED] = { "not-covered", SEVERITY_RISK,
                "what these programs watch is not recorded, nor refused",
                "where it is for want of the BPF LSM, add bpf to lsm= on the kernel's command line" },
        [FINDING_BLIND] = { "blind", SEVERITY_RISK, "uses of keys are not recorded now",
                "see whether kernel.ftrace_enabled is 1; the trail says since when" },
        [FINDING_GUARD] = { "guard", SEVERITY_RISK, "Mode=enforce is configured, and nothing is refused",
                "cmkctl guard status says what is missing" },
        [FINDING_VAULT_UNSAFE] = { "vault-unsafe", SEVERITY_RISK, "whoever may delete the key can make every volume under it unreadable for ever",
                "switch on soft delete and purge protection of the vault (transit: deletion_allowed=false, and no export)" },
        [FINDING_VAULT_ACCEPTED] = { "vault-accepted", SEVERITY_NOTE, "somebody said that this is known", "none is needed" },
        [FINDING_VAULT_SILENT] = { "vault-silent", SEVERITY_RISK, "volumes are closed when lease and grace are over",
                "check network, name resolution, certificates and the vault itself" },
        [FINDING_VAULT_NETWORK] = { "vault-network", SEVERITY_RISK, "volumes are closed when lease and grace are over",
                "let this node's network in: the vault's firewall rules, or a private endpoint" },
        [FINDING_KEY_UNFIT] = { "key-unfit", SEVERITY_RISK, "no volume can be formatted with it, and those that are may not open",
                "ask the key's owner, or name another key in Keys=" },
        [FINDING_KEY_REFUSED] = { "key-refused", SEVERITY_RISK, "no volume can be formatted with it, and those that are may not open",
                "give this node's identity get, wrapKey and unwrapKey on the key (role Key Vault Crypto Service Encryption User)" },
        [FINDING_KEY_EXCESS] = { "key-excess", SEVERITY_NOTE, "whoever takes over this node can do that too",
                "leave this node's identity get, wrapKey and unwrapKey (transit: read, and update on decrypt and encrypt) alone" },
        [FINDING_KEY_EXPIRES] = { "key-expires", SEVERITY_NOTE, "with OnKeyExpiry=revoke its volumes are closed then",
                "ask the key's owner" },
        [FINDING_KEY_VERSION] = { "key-version", SEVERITY_NOTE, "its volumes are closed when that version is disabled, deleted or (with "
                "OnKeyExpiry=revoke) expires", "cmkctl rotate them, and have it disabled only then" },
        [FINDING_LEFT_OVER] = { "left-over", SEVERITY_NOTE, "its keyslot opens the volume, and its owner is not asked",
                "give the command that was interrupted once more (enroll, rotate), or take it out with cmkctl enroll --remove" },
        [FINDING_SECRET_REVOKED] = { "secret-revoked", SEVERITY_RISK, "nothing opens its volume, and one that is open is closed",
                "ask its owner: enable or recover it" },
        [FINDING_SECRET_ALTERED] = { "secret-altered", SEVERITY_RISK, "nothing opens its volume, and one that is open is closed when lease and grace are over",
                "find out who wrote there, and set its version before that again" },
        [FINDING_SECRET_REFUSED] = { "secret-refused", SEVERITY_RISK, "volumes whose wrapped key the vault keeps do not open, or do not follow their key",
                "give this node's identity get on secrets (role Key Vault Secrets User), and with KeyVersion=latest set as well (Secrets Officer)" },
        [FINDING_TOKEN_ALONE] = { "token-alone", SEVERITY_NOTE, "it opens nothing",
                "where it is of cmkd, cmkctl enroll --remove its key; else cryptsetup token remove, then cmkctl header accept" },
        [FINDING_OLD_KEYSLOT] = { "old-keyslot", SEVERITY_NOTE, "whoever has its passphrase opens the volume, and no vault is asked",
                "where nobody needs it, cmkctl enroll --remove-old-keyslots; where nobody enrolled it, find out whose it is" },
        [FINDING_REENCRYPTION] = { "reencryption", SEVERITY_RISK, "it is not attached",
                "let it end where it was begun, and then cmkctl attach; cryptsetup reencrypt --resume-only only with a backup: what was stopped "
                "after its last part it does twice, which destroys the volume" },
        [FINDING_ENCRYPTION] = { "encryption", SEVERITY_RISK, "whoever has the disk reads them",
                "cmkctl attach it and leave it open until cmkctl status does not speak of its encryption any more" },
        [FINDING_OLD_KEY] = { "old-volume-key", SEVERITY_NOTE, "whoever has the old volume key reads them",
                "cmkctl attach it and leave it open until cmkctl status does not speak of its encryption any more" },
        [FINDING_IMAGE] = { "image", SEVERITY_RISK, "whoever has another copy of the image opens it, whatever this node's key says",
                "on a copy of the image cmkctl personalize; on the machine that it was taken of remove the file" },
        [FINDING_IMAGE_KEY] = { "image-volume-key", SEVERITY_RISK, "whoever has another copy of the image has its volume key",
                "give cmkctl personalize once more, which goes on" },
        [FINDING_PENDING] = { "personalize-begun", SEVERITY_NOTE, "its disk may have either header, and this node opens both",
                "give cmkctl personalize once more, which goes on, or boot a root again; where its image's volume is not here any more, remove the file" },
        [FINDING_STAGED] = { "encryption-staged", SEVERITY_NOTE, "the disk is as it was, and not encrypted",
                "give the same cmkctl encrypt once more, which goes on or takes it away" },
        [FINDING_BEGUN] = { "encryption-begun", SEVERITY_RISK, "nothing mounts that disk; what is on it is there, and not encrypted",
                "keep the file, attach the disk to this node and give the same cmkctl encrypt once more" },
        [FINDING_NOT_LISTED] = { "not-listed", SEVERITY_NOTE, "it is not opened here",
                "where it was made here, give the command that was interrupted once more (format, enroll); else it is another node's (cmkctl trust list)" },
        [FINDING_HEADER_UNREAD] = { "header-unread", SEVERITY_NOTE, "what is left in it nobody can say",
                "cryptsetup luksDump says why; cmkctl header restore puts a copy back" },
        [FINDING_KEPT] = { "old-header", SEVERITY_NOTE, "with it and the old passphrase the volume can be opened, whatever the vault says",
                "destroy it when the volume was used for a while" },
        [FINDING_CONVERSION] = { "conversion", SEVERITY_RISK, "where its conversion was interrupted, that disk has no header that is whole",
                "keep the file, and give the same cmkctl enroll --from-ade once more, or dd it onto the disk" },
        [FINDING_FIPS] = { "fips", SEVERITY_RISK, "cmkd, its worker and the audit do not start, so that volumes are closed when lease and grace are over",
                "install OpenSSL's FIPS provider, or take Fips=yes away" },
        [FINDING_SHA1] = { "sha1", SEVERITY_NOTE, "nobody knows how to use that against OAEP; where SHA-1 is forbidden, this is",
                "where the key's owner allows it, take Algorithm=RSA-OAEP away and enroll the key anew" },
        [FINDING_NODE_CONFIG_BAD] = { "config-bad", SEVERITY_STOP, "cmkd does not start with it, and one that runs does not take it",
                "mend it (cmkctl config check)" },
        [FINDING_NOT_RUNNING] = { "not-running", SEVERITY_NOTE, "no volume is opened, and what is used is not recorded",
                "systemctl enable --now cmkd.service; systemctl status cmkd cmkd-audit says why it does not run" },
        [FINDING_CRL] = { "crl", SEVERITY_RISK, "nothing is sent to the vault: volumes are closed when lease and grace are over",
                "fetch the list anew into the file of CRLFile=, readable for the group cmkd-vault" },
};

const char *finding_id(enum finding_kind kind) {
        return kinds[kind].id;
}

enum severity finding_severity(enum finding_kind kind) {
        return kinds[kind].severity;
}

const char *finding_danger(enum finding_kind kind) {
        return kinds[kind].danger;
}

const char *finding_cure(enum finding_kind kind) {
        return kinds[kind].cure;
}

void finding_add(struct findings *l, enum finding_kind kind, const char *format, ...) {
        _cleanup_(freep) char *what = NULL;
        struct finding *bigger;
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&what, format, ap) < 0)
                what = NULL;
        va_end(ap);
        for (size_t i = 0; what && i < l->n; i++)
                if (l->list[i].kind == kind && streq(l->list[i].what, what))
                        return;
        bigger = what ? reallocarray(l->list, l->n + 1, sizeof(*bigger)) : NULL;
        if (!bigger) {
                l->out_of_memory = true;
                return;
        }
        l->list = bigger;
        bigger[l->n++] = (struct finding) { .kind = kind, .what = TAKE_PTR(what) };
}

static int compare(const void *a, const void *b) {
        const struct finding *x = a, *y = b;
        int by_severity = (int) kinds[x->kind].severity - (int) kinds[y->kind].severity;

        if (by_severity != 0)
                return by_severity;
        return x->kind != y->kind ? (int) x->kind - (int) y->kind : strcmp(x->what, y->what);
}

void findings_sort(struct findings *l) {
        if (l->n > 0)
                qsort(l->list, l->n, sizeof(*l->list), compare);
}

void findings_release(struct findings *l) {
        for (size_t i = 0; i < l->n; i++)
                free(l->list[i].what);
        free(l->list);
        *l = (struct findings) {};
}
