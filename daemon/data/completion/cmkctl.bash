# SPDX-License-Identifier: Apache-2.0
# Completion of cmkctl for bash. What there is to choose from, cmkctl says itself: what it is called with completes as it is installed.

__cmkctl_verbs() {
	# "  audit list  records ..." : the words before what is an argument (in capitals) or two spaces
	cmkctl --help 2>/dev/null | sed -n '/Verbs:$/,/^Options:/s/^  \([a-z-]*\( [a-z]\+\)\?\) .*/\1/p'
}

__cmkctl_options() {
	cmkctl "$@" --help 2>/dev/null | sed -n '/^Options:/,$s/^  \(-[a-zA-Z], \)\?\(--[a-z-]*\).*/\2/p'
}

__cmkctl_volumes() {
	cmkctl status --json 2>/dev/null | grep -o '"name": *"[^"]*"' | cut -d '"' -f 4
}

__cmkctl_scratches() {
	cmkctl config show 2>/dev/null | sed -n 's/^\[Scratch \(.*\)\]$/\1/p'
}

_cmkctl() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} word verbs
	local -a verb=()
	verbs=$(__cmkctl_verbs)
	for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
		[[ $word == -* ]] || verb+=("$word")
	done
	COMPREPLY=()
	# the verb itself, one word or two
	if [[ ${#verb[@]} -eq 0 && $cur != -* ]]; then
		COMPREPLY=($(compgen -W "$(cut -d ' ' -f 1 <<< "$verbs" | sort -u)" -- "$cur"))
		return
	fi
	if grep -q "^${verb[0]} " <<< "$verbs"; then
		if [[ ${#verb[@]} -eq 1 && $cur != -* ]]; then
			COMPREPLY=($(compgen -W "$(sed -n "s/^${verb[0]} //p" <<< "$verbs")" -- "$cur"))
			return
		fi
		verb=("${verb[@]:0:2}")
	else
		verb=("${verb[@]:0:1}")
	fi
	case $prev in
	--file | --output | --html | --private-key | --epoch-keys | --vault-log | --privacy-key | --initramfs | --header-backup | --passphrase-file)
		COMPREPLY=($(compgen -f -- "$cur"))
		return ;;
	--directory | --root)
		COMPREPLY=($(compgen -d -- "$cur"))
		return ;;
	--store)
		COMPREPLY=($(compgen -W "token vault" -- "$cur"))
		return ;;
	--role)
		case ${verb[*]} in
		encrypt) COMPREPLY=($(compgen -W "data" -- "$cur")) ;;
		drill) COMPREPLY=($(compgen -W "data scratch" -- "$cur")) ;;
		*) COMPREPLY=($(compgen -W "data os scratch" -- "$cur")) ;;
		esac
		return ;;
	--format)
		COMPREPLY=($(compgen -W "csv json" -- "$cur"))
		return ;;
	--volume)
		COMPREPLY=($(compgen -W "$(__cmkctl_volumes)" -- "$cur"))
		return ;;
	--name | --event | --key | --vault | --key-name | --key-version | --actor | --unit | --since | --until | --lines | --wait | --size)
		return ;;
	esac
	if [[ $cur == -* ]]; then
		COMPREPLY=($(compgen -W "$(__cmkctl_options "${verb[@]}")" -- "$cur"))
		return
	fi
	case "${verb[*]}" in
	format | encrypt) COMPREPLY=($(compgen -f -- "${cur:-/dev/}")) ;;
	status | enroll | rotate | rekey | reencrypt | personalize | attach | detach | hold | resume | cut | pause | "recovery-key "* | "header accept" | "trust remove")
		COMPREPLY=($(compgen -W "$(__cmkctl_volumes)" -- "$cur")) ;;
	"header backup" | "header restore") COMPREPLY=($(compgen -W "$(__cmkctl_volumes)" -- "$cur") $(compgen -f -- "$cur")) ;;
	"scratch "*) COMPREPLY=($(compgen -W "$(__cmkctl_scratches)" -- "$cur")) ;;
	*) COMPREPLY=($(compgen -f -- "$cur")) ;;
	esac
}
complete -o filenames -F _cmkctl cmkctl
