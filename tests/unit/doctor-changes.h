/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* An image and a machine without a finding, and what each change of one of their files must bring: test-doctor.c. */

#include "common/util.h"

#define RELEASE "6.1.0-test"
#define MODULES "usr/lib/modules/" RELEASE "/"
#define UUID "11111111-2222-3333-4444-555555555555"
#define DIGEST(two) two two two two two two two two two two two two two two two two two two two two two two two two two two two two two two two two
#define ENTRY(digest) "[Volume]\nName=root\nRole=os\nKey=https://v.example/keys/k\nDigest=" digest "\nGeneration=1\nPublicKey=AA==\n"
#define TRUST ENTRY(DIGEST("00"))
#define SECOND_OF(key, generation) "Key2=https://v.example/keys/" key "\nGeneration2=" generation "\nPublicKey2=AA==\n"
#define SECOND(generation) SECOND_OF("j", generation)
#define OTHER_UUID "99999999-2222-3333-4444-555555555555"
#define OTHER_ENTRY(key, more) \
        "[Volume]\nName=other\nRole=os\nKey=https://v.example/keys/" key "\nDigest=" DIGEST("22") "\nGeneration=1\nPublicKey=AA==\n" more
#define CONFIG "[Vault v]\nHost=v.example\nKeys=k\n"
#define ROUTE_HEAD "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
#define ROUTE(device, to, mask) device "\t" to "\t0100000A\t0003\t0\t0\t0\t" mask "\t0\t0\t0\n"
#define ROUTE_DEFAULT ROUTE("eth0", "00000000", "00000000")
#define LOADER "/lib64/ld-linux-x86-64.so.2"
#define KEY "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"

/* What a content stands for that is made when the tests start. */
#define PROGRAM "\1program"
#define OTHER_PROGRAM "\2program"
#define LIBRARY "\3library"
#define CERTIFICATE "\4certificate"
#define OLD_CERTIFICATE "\5certificate"
#define NOW "\6now"

struct file { const char *path, *content; };

static const struct file in_image[] = {
        { MODULES "kernel/drivers/net/virtio_net.ko.xz", "x" }, { MODULES "kernel/net/failover.ko.xz", "x" },
        { MODULES "kernel/drivers/virtio/virtio_pci.ko", "x" }, { MODULES "kernel/drivers/block/virtio_blk.ko.zst", "x" },
        { MODULES "kernel/drivers/md/dm-crypt.ko", "x" }, { MODULES "kernel/drivers/md/dm-mod.ko", "x" },
        { MODULES "kernel/arch/x86/crypto/aesni-intel.ko", "x" },
        { MODULES "modules.dep", "kernel/drivers/net/virtio_net.ko.xz: kernel/net/failover.ko.xz\n"
          "kernel/net/failover.ko.xz:\n" },
        { MODULES "modules.builtin", "kernel/crypto/ecb.ko\nkernel/crypto/xts.ko\n" },
        { "usr/lib/cmkd/cmkd", PROGRAM }, { "usr/lib/cmkd/cmkd-vault", PROGRAM }, { "usr/lib/cmkd/cmkd-disk", PROGRAM },
        { "usr/lib/cmkd/cmkd-ladder", PROGRAM }, { "usr/lib/cmkd/cmkd-audit", PROGRAM },
        { "usr/lib/cmkd/cmkd-breaker", PROGRAM }, { "usr/bin/cmkctl", PROGRAM },
        { "usr/lib/x86_64-linux-gnu/libc.so.6", LIBRARY }, { "usr/lib64/ld-linux-x86-64.so.2", LIBRARY },
        { "bin/ipconfig", LIBRARY }, { "scripts/local-top/cmkd", "#!/bin/sh\n" }, { "etc/cmkd/cmkd.conf", CONFIG },
        { "etc/ssl/certs/ca-certificates.crt", CERTIFICATE }, { "etc/resolv.conf", "nameserver 10.0.0.1\n" },
        { "var/lib/cmkd/trust/" UUID ".conf", TRUST }, { "etc/own.pem", CERTIFICATE },
        /* without systemd, which would start it */
        { "usr/lib/systemd/system/cmkd-early.service", "[Service]\n" },
};

/* "> target": a symbolic link. */
static const struct file in_machine[] = {
        { "sys/devices/pci0/virtio0/net/eth0/device", "> ../.." }, { "sys/devices/pci0/virtio0/driver",
                                                                     "> /drivers/net" },
        { "sys/devices/pci0/driver", "> /drivers/pci" }, { "sys/class/net/eth0",
                                                           "> /sys/devices/pci0/virtio0/net/eth0" },
        { "drivers/net/module", "> /modules/virtio_net" }, { "drivers/pci/module", "> /modules/virtio_pci" },
        { "drivers/blk/module", "> /modules/virtio_blk" }, { "modules/virtio_net/x", "" }, { "modules/virtio_pci/x",
                                                                                             "" },
        { "modules/virtio_blk/x", "" }, { "sys/devices/pci0/virtio1/driver", "> /drivers/blk" },
        { "sys/devices/pci0/virtio1/block/vda/vda2/x", "" }, { "dev/vda2", "" },
        { "sys/class/block/vda2", "> /sys/devices/pci0/virtio1/block/vda/vda2" },
        { "dev/disk/by-uuid/" UUID, "> /dev/vda2" }, { "var/lib/cmkd/trust/" UUID ".conf", TRUST },
        { "sys/class/rtc/rtc0/since_epoch", NOW }, { "etc/cmkd/cmkd.conf", CONFIG }, { "usr/lib/cmkd/cmkd", PROGRAM },
        { "sys/class/net/wg0/x", "" }, { "proc/cmdline", "root=/dev/mapper/root ip=dhcp\n" },
        { "proc/net/route", ROUTE_HEAD ROUTE_DEFAULT },
        { "etc/own.pem", "another" },
};

/* One change (content NULL: removed) of image or machine, and the finding that it must bring; none: "". */
static const struct change {
        const char *name;
        bool machine;
        const char *path, *content, *id, *says;
} changes[] = {
        { "nothing", false, "x", "x", "", "no findings" },
        { "no driver of the network card", false, MODULES "kernel/drivers/net/virtio_net.ko.xz", NULL, "network-driver",
          "virtio_net, which the network card eth0 needs" },
        { "no driver of the bus", false, MODULES "kernel/drivers/virtio/virtio_pci.ko", NULL, "disk-driver",
          "virtio_pci" },
        { "no driver of the disk", false, MODULES "kernel/drivers/block/virtio_blk.ko.zst", NULL, "disk-driver",
          "virtio_blk, which the disk vda2 needs" },
        { "driver is built in", true, "usr/lib/modules/" RELEASE "/modules.builtin", "kernel/x/virtio-rng.ko\n", "",
          "" },
        { "no dm-crypt", false, MODULES "kernel/drivers/md/dm-crypt.ko", NULL, "crypto-module", "dm_crypt" },
        { "no xts", false, MODULES "modules.builtin", "kernel/crypto/ecb.ko\n", "crypto-module", "xts" },
        { "no aes", false, MODULES "kernel/arch/x86/crypto/aesni-intel.ko", NULL, "crypto-module", "aes" },
        { "a module's module", false, MODULES "kernel/net/failover.ko.xz", NULL, "module-dependency",
          "virtio_net needs kernel/net/failover" },
        { "no worker", false, "usr/lib/cmkd/cmkd-vault", NULL, "program-missing", "/usr/lib/cmkd/cmkd-vault" },
        { "another build", false, "usr/lib/cmkd/cmkd", OTHER_PROGRAM, "program-other-version", "/usr/lib/cmkd/cmkd" },
        { "no libc", false, "usr/lib/x86_64-linux-gnu/libc.so.6", NULL, "library-missing", "libc.so.6" },
        { "no loader", false, "usr/lib64/ld-linux-x86-64.so.2", NULL, "library-missing", LOADER },
        { "no network set-up", false, "bin/ipconfig", NULL, "network-setup", "" },
        { "nothing starts it", false, "scripts/local-top/cmkd", NULL, "not-started", "" },
        { "a keyscript that is not there", false, "cryptroot/crypttab", "root /dev/x none luks,keyscript=/lib/ks,x\n",
          "keyscript", "/lib/ks," },
        { "no configuration", false, "etc/cmkd/cmkd.conf", NULL, "config-missing", "" },
        { "a mistake in it", false, "etc/cmkd/cmkd.conf.d/a.conf", "[Vault v]\nHots=x\n", "config-bad",
          ": /etc/cmkd/cmkd.conf.d/a.conf:2: " },
        { "an older one", true, "etc/cmkd/cmkd.conf", CONFIG "#\n", "config-other", "" },
        { "a newer drop-in", true, "etc/cmkd/cmkd.conf.d/z.conf", "# new\n", "config-other",
          "the image's /etc/cmkd/cmkd.conf.d/z.conf is not the one" },
        { "a drop-in of the past", false, "etc/cmkd/cmkd.conf.d/z.conf", "# old\n", "config-other",
          "/etc/cmkd/cmkd.conf.d/z.conf is not on this node" },
        { "no vault in it", false, "etc/cmkd/cmkd.conf", "# nothing\n", "no-vault", "" },
        { "another host", false, "etc/cmkd/cmkd.conf", "[Vault v]\nHost=w.example\nKeys=k\n", "vault-not-allowed",
          "https://v.example/keys/k" },
        { "another key", false, "etc/cmkd/cmkd.conf", "[Vault v]\nHost=v.example\nKeys=j\n", "vault-not-allowed", "" },
        { "no authorities", false, "etc/ssl/certs/ca-certificates.crt", NULL, "ca-missing", "ca-certificates.crt" },
        { "empty authorities", false, "etc/ssl/certs/ca-certificates.crt", "x", "ca-bad", "no certificate" },
        { "authorities of the past", false, "etc/ssl/certs/ca-certificates.crt", OLD_CERTIFICATE, "ca-bad",
          "valid now" },
        { "own authorities", false, "etc/cmkd/cmkd.conf", CONFIG "CAFile=/etc/ca.pem\n", "ca-missing", "/etc/ca.pem" },
        { "authorities that changed", false, "etc/cmkd/cmkd.conf", CONFIG "CAFile=/etc/own.pem\n", "ca-other",
          "/etc/own.pem is not the one" },
        { "no nameserver", false, "etc/resolv.conf", "search x\n", "resolver", "v.example" },
        { "a fixed address", true, "proc/cmdline", "ip=10.0.0.2::10.0.0.1:255.255.255.0::eth0:off\n", "", "" },
        { "a resolver of the system", false, "etc/resolv.conf", "nameserver 127.0.0.53\n", "resolver-on-disk",
          "127.0.0.53" },
        { "a host in hosts", false, "etc/hosts", "10.0.0.9 v.example\n", "", "" },
        { "names that nobody is asked for", false, "etc/nsswitch.conf", "hosts: files # dns\n", "resolver",
          "nsswitch.conf asks no server for the address of v.example" },
        { "names that the network is asked for", false, "etc/nsswitch.conf", "hosts: files dns\n", "", "" },
        { "a resolver that is not in the image", false, "etc/nsswitch.conf", "hosts: resolve\n", "resolver", "nsswitch" },
        { "a resolver on this machine", true, "proc/net/fib_trie",
          "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.0.1\n        /32 host LOCAL\n", "resolver-on-disk",
          "asks 10.0.0.1 " },
        { "an address of the network", true, "proc/net/fib_trie",
          "Main:\n     |-- 10.0.0.1\n        /24 link UNICAST\n     |-- 10.0.0.11\n        /32 host LOCAL\n", "", "" },
        { "a vault on this machine", false, "etc/hosts", "127.0.0.1 v.example\n", "route-on-disk",
          "v.example (vault) is at 127.0.0.1, which is this machine itself" },
        { "a tunnel", true, "proc/net/route", ROUTE_HEAD ROUTE("wg0", "00000000", "00000000"), "route-on-disk",
          "default route leads through wg0" },
        { "a tunnel in two halves", true, "proc/net/route",
          ROUTE_HEAD ROUTE_DEFAULT ROUTE("wg0", "00000000", "00000080") ROUTE("wg0", "00000080", "00000080"),
          "route-on-disk", "default route leads through wg0" },
        { "a resolver behind a tunnel", true, "proc/net/route",
          ROUTE_HEAD ROUTE_DEFAULT ROUTE("wg0", "0000000A", "000000FF"), "route-on-disk",
          "asks 10.0.0.1, behind wg0, for the address of v.example" },
        { "tokens behind a tunnel", true, "proc/net/route",
          ROUTE_HEAD ROUTE_DEFAULT ROUTE("wg0", "0000FEA9", "0000FFFF"), "route-on-disk",
          "(tokens) is at 169.254.169.254, behind wg0" },
        { "a more exact way", true, "proc/net/route",
          ROUTE_HEAD ROUTE("wg0", "0000FEA9", "0000FFFF") ROUTE("eth0", "FEA9FEA9", "FFFFFFFF") ROUTE_DEFAULT, "", "" },
        { "a tunnel to something else", true, "proc/net/route",
          ROUTE_HEAD ROUTE_DEFAULT ROUTE("wg0", "0000010A", "0000FFFF"), "", "" },
        { "no network by command", true, "proc/cmdline", "root=/dev/mapper/root ip=off\n", "command-line", "(ip=)" },
        { "switched off by command", true, "proc/cmdline", "ip=dhcp cmkd.off quiet\n", "command-line", "cmkd.off" },
        { "switched off is something else", true, "proc/cmdline", "ip=dhcp cmkd.offset ip=offline\n", "", "" },
        { "no clock", true, "sys/class/rtc/rtc0/since_epoch", NULL, "clock", "no hardware clock" },
        { "a clock behind", true, "sys/class/rtc/rtc0/since_epoch", "1000000\n", "clock", "days behind" },
        { "an agent of the system", false, "etc/cmkd/cmkd.conf", CONFIG "MetadataEndpoint=http://localhost:40342\n",
          "identity", "localhost" },
        { "a login file", false, "etc/cmkd/cmkd.conf", CONFIG "Provider=transit\nTokenFile=/etc/cmkd/token\n", "login",
          "no /etc/cmkd/token" },
        { "no list of revoked ones", false, "etc/cmkd/cmkd.conf", CONFIG "CRLFile=/etc/no.crl\n", "crl", "the image has no /etc/no.crl" },
        { "an empty list of revoked ones", false, "etc/cmkd/cmkd.conf", CONFIG "CRLFile=/etc/own.pem\n", "crl",
          "/etc/own.pem in the image holds no list" },
        { "the proxy's authorities", false, "etc/cmkd/cmkd.conf", CONFIG "Proxy=https://p.example:1\nProxyCAFile=/etc/ca.pem\n",
          "ca-missing", "/etc/ca.pem" },
        { "the proxy's credentials", false, "etc/cmkd/cmkd.conf", CONFIG "Proxy=http://p.example:1\nProxyCredentialsFile=/etc/p\n",
          "login", "no /etc/p" },
        { "a proxy on this machine", false, "etc/cmkd/cmkd.conf", CONFIG "Proxy=http://127.0.0.1:3128\n", "route-on-disk",
          "127.0.0.1 (proxy) is at 127.0.0.1, which is this machine itself" },
        { "not on the image's list", false, "var/lib/cmkd/trust/" UUID ".conf", NULL, "volume-unknown", UUID },
        { "an older entry", false, "var/lib/cmkd/trust/" UUID ".conf", ENTRY(DIGEST("11")), "volume-other", "root is not the node's" },
        { "an entry that cmkd refuses", false, "var/lib/cmkd/trust/" UUID ".conf", ENTRY("11"), "volume-other",
          "root cannot be read: Digest= is not 64 hexadecimal digits" },
        { "before another volume key", true, "var/lib/cmkd/trust/" UUID ".conf", TRUST "NextDigest=" DIGEST("11") "\n", "volume-other", "root" },
        { "while the old one is there", true, "var/lib/cmkd/trust/" UUID ".conf", TRUST "OldKey=4096\n", "volume-other", "root" },
        { "after another volume key", false, "var/lib/cmkd/trust/" UUID ".conf", TRUST "OldKey=4096\n", "", "no findings" },
        { "a second key that the image does not have", true, "var/lib/cmkd/trust/" UUID ".conf", TRUST SECOND("1"), "volume-key",
          "root does not have the key https://v.example/keys/j" },
        { "one that it does not allow", false, "var/lib/cmkd/trust/" UUID ".conf", TRUST SECOND("1"), "", "no findings" },
        { "an entry of another volume that cmkd refuses", false, "var/lib/cmkd/trust/" OTHER_UUID ".conf", ENTRY("11"), "volume-unreadable",
          "the image's /var/lib/cmkd/trust/" OTHER_UUID ".conf cannot be read: Digest=" },
        { "one of the node's", true, "var/lib/cmkd/trust/" OTHER_UUID ".conf", ENTRY("11"), "volume-unreadable",
          "the node's /var/lib/cmkd/trust/" OTHER_UUID ".conf cannot be read: Digest=" },
        { "an entry of another volume", false, "var/lib/cmkd/trust/" OTHER_UUID ".conf", OTHER_ENTRY("j", ""), "vault-not-allowed", "keys/j" },
        { "one with a second key that is allowed", false, "var/lib/cmkd/trust/" OTHER_UUID ".conf", OTHER_ENTRY("j", SECOND_OF("k", "1")),
          "volume-key", "keys/j" },
        { "a private key", false, "etc/ssh/key", "# mine\n" KEY, "secret-in-image", "/etc/ssh/key" },
        { "a key file", false, "cryptroot/keyfiles/root.key", "x", "secret-in-image", "root.key" },
        { "a password", false, "etc/cmkd/cmkd.conf.d/b.conf", "[Vault v]\nClientSecret=hunter2\n", "secret-in-image",
          "ClientSecret=" },
        { "a program that knows private keys", false, "usr/lib/x86_64-linux-gnu/libz.so", "\n" KEY "\1",
          "secret-in-image", "libz" },
        { "a path that leads out", false, "etc/../../x", "x", "odd-path", "1 paths" },
        { "Secure Boot", true, "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c",
          "\6\1\1\1\1", "", "the image is a file of its own" },
        { "Secure Boot that is off", true, "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c",
          "\6\1\1\1\2", "", "note boot-chain: Secure Boot is off: whoever can write to /boot" },
        { "no EFI", false, "x", "x", "", "note boot-chain: no Secure Boot: this machine did not boot by EFI" },
        { "no volume of the system", true, "var/lib/cmkd/trust/" UUID ".conf", NULL, "", "no findings" },
};
