#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The words of what cmkd says itself: those in the string literals of its sources, and the names in its eBPF programs; one
# quoted word a line, sorted as strcmp(3) does. Used by plain-words.c. Usage: plain-words.sh SOURCE...
export LC_ALL=C
{
	sed -n '/^#include/!p' "$@" | grep -oE '"([^"\\]|\\.)*"' | sed -E 's/\\./ /g; s/%[-0-9.*]*[a-zA-Z]+/ /g'
	for f in "$@"; do
		case $f in *.bpf.c) grep -oE '[a-z][a-z0-9]*(_[a-z0-9]+)+' "$f" ;; esac
	done
} | tr -cs "A-Za-z0-9'_-" '\n' | tr A-Z a-z | sed "s/^[-'_]*//; s/[-'_]*\$//" | grep -E "^[a-z][a-z'-]*[a-z]\$|^[a-z][a-z0-9]*(_[a-z0-9]+)+\$|^a\$" | sort -u | sed 's/.*/"&",/'
