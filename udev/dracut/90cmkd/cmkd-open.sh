#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Opens one volume of role os through the vault, and asks for a recovery key where that fails. Its disk is there.
#
#   cmkd.wait=SEC      how long the vault is asked before that (default 120)
#   cmkd.netwait=SEC   how long the network is waited for before the vault is asked at all (default 30)

name=$1
wait=120
netwait=30
for word in $(cat /proc/cmdline); do
    case $word in
    cmkd.wait=*[!0-9]* | cmkd.netwait=*[!0-9]*) ;;
    cmkd.wait=?*) wait=${word#cmkd.wait=} ;;
    cmkd.netwait=?*) netwait=${word#cmkd.netwait=} ;;
    esac
done
read -r uuid _ copy <<EOF
$(grep -E "^[^ ]+ $name( |\$)" /usr/lib/cmkd/boot-volumes)
EOF

say()
{
    echo "cmkd: $*"
}

# crypttab and rd.luks.uuid= leave a volume to systemd-cryptsetup, which asks cmkd by the token plugin.
is_left_to_systemd()
{
    grep -qsE "^$name[[:space:]]|$uuid" /etc/crypttab && return 0
    grep -qE "rd\.luks\.[a-z]+=[^ ]*$uuid" /proc/cmdline
}

now()
{
    uptime=$(cat /proc/uptime)
    echo "${uptime%%.*}"
}

# A copy of an image has one UUID or the other.
wait_for_disk()
{
    until [ -e "/dev/disk/by-uuid/$uuid" ] || [ -e "/dev/disk/by-uuid/$copy" ]; do
        sleep 0.2
    done
}

# It gets a header of its own while its volume is closed (cmkctl(1), personalize). Where that fails it is opened as the image's, and the
# next boot tries again.
make_own()
{
    cmkctl personalize "$name" --yes --wait="$wait" </dev/null
    [ ! -e "/dev/disk/by-uuid/$copy" ] || uuid=$copy
}

wait_for_network()
{
    end=$(($(now) + netwait))
    until grep -qv '^Iface' /proc/net/route; do
        if [ "$(now)" -ge "$end" ]; then
            say "no network after $netwait s"
            return
        fi
        sleep 0.2
    done
}

# systemd-networkd leaves resolv.conf to systemd-resolved, which need not be here. What the network says comes before what
# the image says. Another volume's turn finds it done. Fails where the network says nothing yet.
add_name_servers()
{
    [ ! -e /run/systemd/resolve/resolv.conf ] && [ ! -e /run/cmkd/early/resolv.done ] || return 0
    servers=$(sed -n 's/^DNS=//p' /run/systemd/netif/state 2>/dev/null)
    [ -n "$servers" ] || return 1
    {
        for server in $servers; do
            echo "nameserver $server"
        done
        cat /etc/resolv.conf
    } >"/etc/resolv.conf.$name" 2>/dev/null
    chmod 644 "/etc/resolv.conf.$name"
    mv -f "/etc/resolv.conf.$name" /etc/resolv.conf
    : >/run/cmkd/early/resolv.done
}

# It may say so after cmkd.netwait, while the vault is asked already or a key is waited for.
watch_network()
{
    trap 'kill -9 $! 2>/dev/null; exit' TERM
    until add_name_servers; do
        sleep 2 &
        wait $!
    done
}

# The typed key goes from one to the other by a pipe with a name: each has a pid, and both can be ended.
start_prompt()
{
    rm -f "$typed"
    mkfifo -m 600 "$typed" || return 1
    systemd-ask-password --no-tty --timeout=0 -n --id="cmkd:$name" "Recovery key for $name:" </dev/null >"$typed" &
    asking=$!
    cryptsetup open --type luks2 --disable-external-tokens --key-file=- "/dev/disk/by-uuid/$uuid" "$name" <"$typed" &
    reading=$!
}

# The question is taken back where it is shown; cryptsetup ends with what it reads, and never in the middle of its work.
end_prompt()
{
    [ -z "$asking" ] || kill "$asking" 2>/dev/null
}

# Tells the prompt when the volume is open. What it waits for ends with it, by SIGKILL: a child of a shell that has a trap loses any other
# signal until it has forgotten the trap. The vault's no ends it: it is not asked on.
watch_vault()
{
    trap 'kill -9 $! 2>/dev/null; exit' TERM
    code=4
    while [ $code != 3 ]; do
        sleep 60 &
        wait $!
        cmkctl attach "$name" --wait=1 </dev/null >/dev/null 2>&1 &
        wait $!
        code=$?
        [ $code = 0 ] && kill -USR1 $$ && return
    done
}

# A vault that is silent may come back with nobody there to type. One that said no is left alone.
ask_recovery_key()    # CODE
{
    asking=
    watching=
    typed=/run/cmkd/early/typed.$name
    trap end_prompt USR1
    if [ "$1" = 4 ]; then
        watch_vault &
        watching=$!
    fi
    while [ ! -e "/dev/mapper/$name" ]; do
        say "volume $name is closed (exit code $1, see above). Type its recovery key, or enable its key in the vault and reset."
        if start_prompt; then
            # said between the last look and now: the signal found nobody
            [ ! -e "/dev/mapper/$name" ] || end_prompt
            until_ended "$reading"
            end_prompt
        fi
        asking=
        [ -e "/dev/mapper/$name" ] || sleep 1
    done
    [ -z "$watching" ] || kill "$watching" 2>/dev/null
    rm -f "$typed"
}

# A signal ends a wait, not the process.
until_ended()    # PID
{
    while kill -0 "$1" 2>/dev/null; do
        wait "$1"
    done
}

# The audit's programs are in the kernel before the first key is. Where that takes too long the vault is asked all the same;
# the key then waits for its record.
wait_for_audit()
{
    end=$(($(now) + 60))
    until [ -e /run/cmkd/audit.status ] || [ "$(now)" -ge "$end" ]; do
        sleep 0.2
    done
}

[ -n "$uuid" ] || exit 1
is_left_to_systemd && exit 0
[ -z "$copy" ] || wait_for_disk
opening=/run/cmkd/early/opening.$name
: >"$opening"
wait_for_network
late=
add_name_servers || {
    watch_network &
    late=$!
}
wait_for_audit
[ -z "$copy" ] || make_own
cmkctl attach "$name" --wait="$wait" </dev/null
code=$?
[ $code = 0 ] || [ -e "/dev/mapper/$name" ] || ask_recovery_key $code
[ -z "$late" ] || kill "$late" 2>/dev/null
rm -f "$opening"
