# shellcheck shell=bash
# Installs Debian packages without asking anything; used by deploy/quickstart and tests/run.

say() {
	printf 'tallyd: %s\n' "$*" >&2
}

is_installed() {
	[[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

have_postgres() {
	compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null
}

# Vite wants 20.19 or newer; tools/ui.sh fetches one with pip where there is none.
node_is_new() {
	local version
	version=$(node --version 2>/dev/null) || return 1
	[[ $version =~ ^v([0-9]+)\.([0-9]+) ]] && command -v npm >/dev/null && ((BASH_REMATCH[1] > 20 || (BASH_REMATCH[1] == 20 && BASH_REMATCH[2] >= 19)))
}

# Can every account walk down to this folder?
reachable_by_others() {
	local folder=$1
	while [[ $folder != / ]]; do
		[[ $(stat -c %A "$folder") == *[xt] ]] || return 1
		folder=$(dirname "$folder")
	done
}

as_root() {
	if ((EUID == 0)); then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		say "this needs root and there is no sudo: $*"
		return 1
	fi
}

apt_get() {
	as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l apt-get -q -y -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold -o DPkg::Lock::Timeout=300 "$@"
}

explain_missing() {
	case $1 in
	kore)
		say "no package kore here (Debian 12 has it, Debian 13 has not): unpack Kore's sources (version 4.1 or 4.2, https://kore.io) and name them: KORE_SRC=/path/to/kore $0"
		;;
	node-llhttp)
		say "no package node-llhttp here: unpack llhttp's release (C sources, https://github.com/nodejs/llhttp) and name its folders: LLHTTP_SRC=/path/src LLHTTP_INC=/path/include $0"
		;;
	*)
		say "no package $1 here"
		;;
	esac
}

install_packages() {
	local package log missing=() absent=no
	if ! command -v dpkg-query >/dev/null; then
		say "not a Debian system: make sure that these are there under whatever name: $*"
		return 0
	fi
	for package; do
		is_installed "$package" || missing+=("$package")
	done
	((${#missing[@]})) || return 0
	say "installing ${missing[*]}"
	log=$(mktemp)
	if ! apt_get update >"$log" 2>&1; then
		tail -n 20 "$log" >&2
		say "apt-get update failed; going on with the package lists that are here"
	fi
	for package in "${missing[@]}"; do
		if [[ ! $(LC_ALL=C apt-cache policy "$package") =~ Candidate:\ [^\(] ]]; then
			explain_missing "$package"
			absent=yes
		fi
	done
	[[ $absent == no ]] || return 1
	# The cluster that Debian would make for everybody is not wanted: tallyd makes its own.
	if [[ " ${missing[*]} " == *" postgresql "* && ! -e /etc/postgresql-common ]]; then
		as_root mkdir -p /etc/postgresql-common/createcluster.d
		echo 'create_main_cluster = false' | as_root tee /etc/postgresql-common/createcluster.d/tallyd.conf >/dev/null
	fi
	if ! apt_get install --no-install-recommends "${missing[@]}" >"$log" 2>&1 </dev/null; then
		tail -n 40 "$log" >&2
		say "apt-get could not install ${missing[*]}"
		return 1
	fi
	rm -f "$log"
}
