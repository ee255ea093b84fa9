#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Sourced in each turn of dracut's queue, which gives up after rd.retry= turns in which nobody is asked for a password. While
# cmkd asks the vault its own deadlines count (cmkd.wait=, cmkd.netwait=), and what follows them is a question.
for opening in /run/cmkd/early/opening.*; do
    # shellcheck disable=SC2034
    [ -e "$opening" ] && main_loop=0
done
