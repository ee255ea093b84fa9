#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# dracut module of cmkd, for images with systemd: what a node needs to open its volumes of role os through the vault, and
# nothing else. An image is public: a reusable secret among what it needs stops the build (exit 7).
#
#   cmkd-early.service ── cmkd --early, from before cryptsetup-pre.target until the switch to the system's root
#   cmkd-open@NAME.service ── one a volume: waits for its disk and the network, asks the vault, then for a recovery key
#   systemd-cryptsetup@ ── a volume that crypttab or rd.luks.uuid= names is left to it and cmkd's token plugin

cmkd_lib=/usr/lib/cmkd

check() {
    require_binaries "$cmkd_lib/cmkd" cmkctl cryptsetup || return 1
    # Without such a volume only where it is asked for (--add cmkd).
    [[ $("$dracutsysrootdir$cmkd_lib/cmkd-boot-files" volumes "$dracutsysrootdir") ]] || return 255
    return 0
}

depends() {
    echo systemd systemd-initrd systemd-ask-password network dm crypt
}

installkernel() {
    hostonly='' instmods dm_mod dm_crypt xts ecb cbc aes_generic aesni_intel aes sha256_generic sha512_generic \
        af_alg algif_skcipher algif_hash
}

cmkd_units() {
    local uuid name copy device unit=$initdir$systemdsystemunitdir
    inst_simple "$moddir/cmkd-early.service" "$systemdsystemunitdir/cmkd-early.service"
    inst_simple "$moddir/cmkd-open@.service" "$systemdsystemunitdir/cmkd-open@.service"
    inst_script "$moddir/cmkd-open.sh" "$cmkd_lib/cmkd-open"
    inst_hook initqueue/settled 50 "$moddir/cmkd-patience.sh"
    mkdir -p "$unit/initrd.target.wants" "$unit/systemd-cryptsetup@.service.d"
    ln -sf ../cmkd-early.service "$unit/initrd.target.wants/"
    inst_simple "$moddir/systemd-cryptsetup.conf" "$systemdsystemunitdir/systemd-cryptsetup@.service.d/cmkd.conf"
    "$dracutsysrootdir$cmkd_lib/cmkd-boot-files" volumes "$dracutsysrootdir" >"$initdir$cmkd_lib/boot-volumes"
    while read -r uuid name copy; do
        mkdir -p "$unit/cmkd-open@$name.service.d"
        ln -sf ../cmkd-open@.service "$unit/initrd.target.wants/cmkd-open@$name.service"
        # cmkd-open waits for it by itself
        [[ -z $copy ]] || continue
        device="dev-disk-by\\x2duuid-${uuid//-/\\x2d}.device"
        printf '[Unit]\nWants=%s\nAfter=%s\n' "$device" "$device" >"$unit/cmkd-open@$name.service.d/device.conf"
        # However long the disk takes: the root's own time-out (rd.timeout=) says when that is too long.
        mkdir -p "$unit/$device.d"
        printf '[Unit]\nJobRunningTimeoutSec=infinity\n' >"$unit/$device.d/cmkd.conf"
    done <"$initdir$cmkd_lib/boot-volumes"
}

install() {
    local before after
    before=$(du -sk "$initdir" | cut -f1)
    inst_multiple "$cmkd_lib"/{cmkd,cmkd-vault,cmkd-audit,cmkd-breaker,cmkd-disk,cmkd-ladder} cmkctl cryptsetup \
        systemd-ask-password modprobe sh cat grep sed sleep chmod mv rm mkfifo
    inst_multiple -o "$cmkd_lib"/cmkd-keyscript
    # The plugin is looked up by name, and threads end by way of libgcc: no program is linked with either.
    inst_libdir_file "cryptsetup/libcryptsetup-token-cmkd.so" "libgcc_s.so.1"
    mkdir -p "$initdir/var/lib/cmkd" "$initdir$cmkd_lib" "$initdir/etc/cmdline.d"
    echo "rd.neednet=1" >"$initdir/etc/cmdline.d/50cmkd.conf"
    "$dracutsysrootdir$cmkd_lib/cmkd-boot-files" copy "$dracutsysrootdir" "$initdir" || exit
    cmkd_units
    after=$(du -sk "$initdir" | cut -f1)
    dinfo "cmkd: $((after - before)) KiB more in the initramfs, before compression"
}
