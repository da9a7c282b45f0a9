#!/usr/bin/env bash
# Start-up script of the VM that deploy/gcp/up makes. It runs as root at every
# boot and may run at any time: it installs the package named in the metadata,
# writes the settings and starts the service on the internal address. What is
# as it should be already is left alone.

set -euo pipefail

metadata=http://${GCE_METADATA_HOST:-metadata.google.internal}/computeMetadata/v1
storage=${STORAGE_EMULATOR_HOST:-https://storage.googleapis.com}
secrets=${CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER:-https://secretmanager.googleapis.com/}
state=/var/lib/tallyd-startup
data=/var/lib/tallyd
defaults=/etc/default/tallyd
disk=/dev/disk/by-id/google-tallyd-data

say() {
	printf 'tallyd startup: %s\n' "$*"
}

fail() {
	say "$*" >&2
	exit 1
}

meta() {
	curl -sf --retry 5 --retry-connrefused -H 'Metadata-Flavor: Google' "$metadata/$1"
}

# The value of a quoted field in a small JSON answer.
field() {
	tr -d '\n' | sed -n "s/.*\"$1\": *\"\\([^\"]*\\)\".*/\\1/p"
}

# Calls Google with the VM's own token, which is never in a command line.
with_token() {
	local token
	token=$(meta instance/service-accounts/default/token | field access_token)
	[[ -n $token ]] || fail "the metadata server gives no token"
	printf 'header = "Authorization: Bearer %s"\n' "$token" | curl -sSf --retry 5 --config - "$@"
}

# package=...;sha256=...;port=... from the metadata, each into a variable.
read_settings() {
	local all pair
	all=$(meta instance/attributes/tallyd-settings) || fail "no tallyd-settings in the metadata"
	package="" sha256="" port=5000 workers=2 artifacts=signed root="" database=embedded
	sql_address="" sql_port=5432 sql_user="" sql_database="" secret=""
	while IFS= read -r -d ';' pair; do
		case $pair in
		package=* | sha256=* | port=* | workers=* | artifacts=* | root=* | database=* | \
			sql_address=* | sql_port=* | sql_user=* | sql_database=* | secret=*)
			printf -v "${pair%%=*}" '%s' "${pair#*=}"
			;;
		esac
	done <<<"$all;"
	address=$(meta instance/network-interfaces/0/ip)
	[[ $package == gs://*/*.deb && $sha256 =~ ^[0-9a-f]{64}$ && -n $root && -n $address ]] ||
		fail "the settings in the metadata are not complete: $all"
}

# The data disk keeps the embedded database when the VM is replaced.
mount_disk() {
	[[ -e $disk ]] || return 0
	if [[ -z $(blkid -o value -s TYPE "$disk" || true) ]]; then
		say "formatting the new data disk"
		mkfs.ext4 -q -m 0 "$disk"
	fi
	mkdir -p "$data"
	if ! grep -qF "$disk " /etc/fstab; then
		printf '%s %s ext4 defaults,nofail,discard 0 2\n' "$disk" "$data" >>/etc/fstab
	fi
	mountpoint -q "$data" || mount "$data"
}

install_package() {
	if [[ -x /usr/bin/tallyd && $(cat "$state/sha256" 2>/dev/null) == "$sha256" ]]; then
		return
	fi
	say "installing ${package##*/}"
	local file path=${package#gs://}
	file=$(mktemp -d)/${package##*/}
	with_token -o "$file" "$storage/$path"
	# Whoever may write to the bucket must not thereby become root here: the
	# sum comes from the metadata, which only the project's admins can set.
	printf '%s  %s\n' "$sha256" "$file" | sha256sum --check --quiet || fail "the package is not the one that up uploaded"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -q
	if [[ $database == embedded ]]; then
		# Debian would start a cluster of its own beside ours.
		mkdir -p /etc/postgresql-common/createcluster.d
		printf 'create_main_cluster = false\n' >/etc/postgresql-common/createcluster.d/tallyd.conf
		apt-get install -q -y --no-install-recommends postgresql
	fi
	chmod 755 "${file%/*}"
	apt-get install -q -y --no-install-recommends --allow-downgrades -o Dpkg::Options::=--force-confold "$file"
	rm -rf "${file%/*}"
	mkdir -p "$state"
	printf '%s\n' "$sha256" >"$state/sha256"
	changed=yes
}

# put FILE MODE OWNER: standard input becomes the file, if it differs.
put() {
	local new
	new=$(mktemp)
	cat >"$new"
	if ! cmp -s "$new" "$1"; then
		install -m "$2" -o "$3" -g root "$new" "$1"
		changed=yes
	fi
	rm -f "$new"
}

defaults_text() {
	printf '# Written by the start-up script from the VM metadata; call deploy/gcp/up to change it.\n'
	printf 'TALLYD_HOST=%s\nTALLYD_PORT=%s\nTALLYD_WORKERS=%s\n' "$address" "$port" "$workers"
	if [[ $artifacts == direct ]]; then
		printf 'TALLYD_DEFAULT_ARTIFACT_ROOT=%s\n' "$root"
	else
		printf 'TALLYD_ARTIFACTS_DESTINATION=%s\n' "$root"
	fi
	if [[ $database == cloud-sql ]]; then
		printf 'TALLYD_DATABASE=postgresql://%s@%s:%s/%s?sslmode=require\n' "$sql_user" "$sql_address" "$sql_port" "$sql_database"
		printf 'PGPASSFILE=/etc/tallyd/pgpass\n'
	fi
}

# Not by pipes: put must set $changed in this shell.
write_settings() {
	put "$defaults" 644 root < <(defaults_text)
	if [[ $database == cloud-sql ]]; then
		local password
		password=$(with_token "${secrets%/}/v1/$secret/versions/latest:access" | field data | base64 -d)
		[[ -n $password ]] || fail "no password in $secret"
		put /etc/tallyd/pgpass 600 tallyd < <(printf '%s:%s:%s:%s:%s\n' "$sql_address" "$sql_port" "$sql_database" "$sql_user" "$password")
	fi
}

start_service() {
	if [[ ! -d /run/systemd/system ]]; then
		say "no systemd here: the service is not started"
		return
	fi
	systemctl enable -q tallyd
	if [[ $changed == yes ]]; then
		systemctl restart tallyd
	else
		systemctl start tallyd
	fi
	local tries=60
	until curl -sfI -o /dev/null "http://$address:$port/"; do
		((--tries > 0)) || fail "tallyd does not answer on http://$address:$port/: journalctl -u tallyd"
		sleep 1
	done
	say "tallyd answers on http://$address:$port/"
}

changed=no
read_settings
mount_disk
install_package
write_settings
start_service
