#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# dracut module of cmkd, for images with systemd: what a node needs to open its volumes of role os through the vault, and
# nothing else. An image is public: a reusable secret among what it needs stops the build (exit 7).
#
#   cmkd-early.service ── cmkd --early, from before cryptsetup-pre.target until the switch to the system's root
#   cmkd-open@NAME.service ── one a volume: waits for its disk and the network, asks the vault, then for a recovery key
#   systemd-cryptsetup@ ── a volume that crypttab or rd.luks.uuid= names is left to it and cmkd's token plugin

cmkd_lib=/usr/lib/cmkd
cmkd_trust=/var/lib/cmkd/trust

# UUID and name of each volume of role os on this node's list.
cmkd_volumes() {
    local entry uuid
    for entry in "$dracutsysrootdir$cmkd_trust"/*.conf; do
        grep -qs '^Role=os$' "$entry" || continue
        uuid=${entry##*/}
        echo "${uuid%.conf} $(sed -n 's/^Name=//p' "$entry")"
    done
}

check() {
    require_binaries "$cmkd_lib/cmkd" cmkctl cryptsetup || return 1
    # Without such a volume only where it is asked for (--add cmkd).
    [[ $(cmkd_volumes) ]] || return 255
    return 0
}

depends() {
    echo systemd systemd-initrd systemd-ask-password network dm crypt
}

installkernel() {
    hostonly='' instmods dm_mod dm_crypt xts ecb cbc aes_generic aesni_intel aes sha256_generic sha512_generic \
        af_alg algif_skcipher algif_hash
}

cmkd_refuse() {
    dfatal "cmkd: $1 would go into the image, which anybody can read who can read /boot or the disk."
    dfatal "cmkd: use a managed identity, or take volumes of role os off this node's list; nothing was built"
    exit 7
}

# A text file as it is, at the same place; refused if it holds what an image must not show.
cmkd_text() {
    local source=$dracutsysrootdir$1
    [[ -f $source ]] || return 0
    grep -q 'PRIVATE KEY' "$source" && cmkd_refuse "the private key in $1"
    grep -qiE '^[[:space:]]*[a-z]*((secret|password|passphrase|token|credential)[a-z]*|pin(file)?)[[:space:]]*=' "$source" &&
        cmkd_refuse "the credential in $1"
    mkdir -p "$initdir${1%/*}"
    cp -L "$source" "$initdir$1"
    chmod 644 "$initdir$1"
}

# Every value that the configuration gives a setting.
cmkd_settings() {
    sed -n "s/^[[:space:]]*$1[[:space:]]*=[[:space:]]*\(.*[^[:space:]]\)[[:space:]]*\$/\1/p" \
        "${cmkd_files[@]/#/$dracutsysrootdir}" </dev/null
}

cmkd_configuration() {
    local file
    cmkd_files=()
    for file in /etc/cmkd/cmkd.conf $cmkd_lib/cmkd.conf; do
        [[ -f $dracutsysrootdir$file ]] && cmkd_files=("$file") && break
    done
    for file in "$dracutsysrootdir"/etc/cmkd/cmkd.conf.d/*.conf "$dracutsysrootdir$cmkd_lib"/cmkd.conf.d/*.conf; do
        [[ -f $file ]] && cmkd_files+=("${file#"$dracutsysrootdir"}")
    done
    for file in "${cmkd_files[@]}"; do
        cmkd_text "$file"
    done
    # Whom to believe: the vaults' own authorities, and the system's where a vault names none.
    for file in $(cmkd_settings CAFile) $(cmkd_settings CRLFile) $(cmkd_settings ProxyCAFile); do
        cmkd_text "$file"
    done
    if (($(cmkd_settings CAFile | wc -l) < $(cmkd_settings Host | wc -l) ||
        $(cmkd_settings ProxyCAFile | wc -l) < $(cmkd_settings Proxy | grep -c ^https:))); then
        cmkd_text /etc/ssl/certs/ca-certificates.crt
    fi
}

# What /etc/hosts says about the vaults, and the name servers where they are not this machine itself. The network's own
# come first while booting.
cmkd_names() {
    local host resolv=$dracutsysrootdir/etc/resolv.conf
    {
        echo "127.0.0.1 localhost"
        for host in $(cmkd_settings Host) $({ cmkd_settings Proxy; cmkd_settings MetadataEndpoint; } | sed 's|.*//||'); do
            awk -v host="${host%%[:/]*}" \
                '$1 !~ /^#/ { for (i = 2; i <= NF; i++) if ($i == host) { print $1, host; next } }' \
                "$dracutsysrootdir/etc/hosts"
        done
    } | sort -u >"$initdir/etc/hosts"
    grep -qsE '^nameserver[[:space:]]+127\.' "$resolv" && resolv=$dracutsysrootdir/run/systemd/resolve/resolv.conf
    rm -f "$initdir/etc/resolv.conf"
    sed -nE '/^nameserver[[:space:]]+(127\.|::1)/d; /^(nameserver|search|options)[[:space:]]/p' "$resolv" \
        >"$initdir/etc/resolv.conf" 2>/dev/null
    echo "hosts: files dns" >"$initdir/etc/nsswitch.conf"
}

cmkd_units() {
    local uuid name device unit=$initdir$systemdsystemunitdir
    inst_simple "$moddir/cmkd-early.service" "$systemdsystemunitdir/cmkd-early.service"
    inst_simple "$moddir/cmkd-open@.service" "$systemdsystemunitdir/cmkd-open@.service"
    inst_script "$moddir/cmkd-open.sh" "$cmkd_lib/cmkd-open"
    inst_hook initqueue/settled 50 "$moddir/cmkd-patience.sh"
    mkdir -p "$unit/initrd.target.wants" "$unit/systemd-cryptsetup@.service.d"
    ln -sf ../cmkd-early.service "$unit/initrd.target.wants/"
    inst_simple "$moddir/systemd-cryptsetup.conf" "$systemdsystemunitdir/systemd-cryptsetup@.service.d/cmkd.conf"
    cmkd_volumes >"$initdir$cmkd_lib/boot-volumes"
    while read -r uuid name; do
        mkdir -p "$unit/cmkd-open@$name.service.d"
        ln -sf ../cmkd-open@.service "$unit/initrd.target.wants/cmkd-open@$name.service"
        device="dev-disk-by\\x2duuid-${uuid//-/\\x2d}.device"
        printf '[Unit]\nWants=%s\nAfter=%s\n' "$device" "$device" >"$unit/cmkd-open@$name.service.d/device.conf"
        # However long the disk takes: the root's own time-out (rd.timeout=) says when that is too long.
        mkdir -p "$unit/$device.d"
        printf '[Unit]\nJobRunningTimeoutSec=infinity\n' >"$unit/$device.d/cmkd.conf"
        cmkd_text "$cmkd_trust/$uuid.conf"
    done <"$initdir$cmkd_lib/boot-volumes"
}

install() {
    local before after
    before=$(du -sk "$initdir" | cut -f1)
    inst_multiple "$cmkd_lib"/{cmkd,cmkd-vault,cmkd-audit,cmkd-breaker,cmkd-disk,cmkd-ladder} cmkctl cryptsetup \
        systemd-ask-password modprobe sh cat grep sed sleep cp chmod rm mkfifo
    inst_multiple -o "$cmkd_lib"/cmkd-keyscript
    # The plugin is looked up by name, and threads end by way of libgcc: no program is linked with either.
    inst_libdir_file "cryptsetup/libcryptsetup-token-cmkd.so" "libgcc_s.so.1"
    mkdir -p "$initdir/var/lib/cmkd" "$initdir$cmkd_lib" "$initdir/etc/cmdline.d"
    echo "rd.neednet=1" >"$initdir/etc/cmdline.d/50cmkd.conf"
    cmkd_configuration
    cmkd_names
    cmkd_units
    after=$(du -sk "$initdir" | cut -f1)
    dinfo "cmkd: $((after - before)) KiB more in the initramfs, before compression"
}
