# shellcheck shell=bash disable=SC1007,SC2034
# What up and down share: the options with their defaults, how a command is
# shown and run, and the mark by which down knows what up made.
#
# Everything that can carry labels gets made-by=tallyd-up and tallyd=NAME; a
# service account and a firewall rule have no labels, so their description
# says the same. What lacks the mark is used as it is and never removed.

set -euo pipefail

# Access control is not part of tallyd yet, so no range may be the whole world.
access_control=off

project= region=us-central1 zone= name=tallyd
bucket= bucket_path=artifacts bucket_role=object-user artifacts=signed
service_account= vm= disk= schedule= firewall= tag=mlflow-server
network=default subnet=
source_ranges= port=5000 workers=2
machine_type=e2-small image_family=debian-12 image_project=debian-cloud
boot_disk_size=10GB disk_size=50GB disk_type=pd-balanced snapshot_days=7
external_address=yes
database=embedded sql_instance= sql_tier=db-g1-small sql_version=POSTGRES_16
sql_availability=zonal sql_storage=10GB sql_backups=7 sql_range=
sql_user=tallyd sql_database=tallyd secret=
package= iap=no outside_check=yes data=ask dry_run=no
readonly mark=made-by=tallyd-up

fail() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

usage_error() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	printf "Try '%s --help'.\n" "$0" >&2
	exit 2
}

say() {
	printf '%s\n' "$*"
}

step() {
	printf '\n== %s\n' "$*"
}

# A command as a line that can be pasted into a shell.
show() {
	local word line=
	for word in "$@"; do
		if [[ $word =~ ^[A-Za-z0-9_./:=,@%+-]+$ ]]; then
			line+="$word "
		else
			line+="$(quote "$word") "
		fi
	done
	printf '%s\n' "${line% }"
}

quote() {
	printf "'%s'" "${1//\'/\'\\\'\'}"
}

# Runs a command that changes something.
run() {
	if [[ $dry_run == yes ]]; then
		show "$@"
		return 0
	fi
	printf '+ '
	show "$@"
	"$@"
}

# Asks without changing anything; the answer is left in $found. Fails when the
# thing is not there. In a dry run nothing is there, as on a new project.
found=
look() {
	found=
	if [[ $dry_run == yes ]]; then
		printf '# look: '
		show "$@"
		return 1
	fi
	local errors status=0
	errors=$(mktemp)
	found=$("$@" 2>"$errors") || status=$?
	# Not there and not allowed to look are different things: only the first
	# may lead to making it.
	if ((status != 0)) && ! grep -qiE 'not.?found|does not exist|404|SERVICE_DISABLED|it is disabled' "$errors"; then
		cat "$errors" >&2
		rm -f "$errors"
		fail "could not look: $(show "$@")"
	fi
	rm -f "$errors"
	return "$status"
}

take_option() {
	case $1 in
	--project) project=$2 ;;
	--region) region=$2 ;;
	--zone) zone=$2 ;;
	--name) name=$2 ;;
	--bucket) bucket=${2#gs://} ;;
	--bucket-path) bucket_path=$2 ;;
	--bucket-role) bucket_role=$2 ;;
	--artifacts) artifacts=$2 ;;
	--service-account) service_account=$2 ;;
	--vm) vm=$2 ;;
	--disk) disk=$2 ;;
	--schedule) schedule=$2 ;;
	--firewall-rule) firewall=$2 ;;
	--tag) tag=$2 ;;
	--network) network=$2 ;;
	--subnet) subnet=$2 ;;
	--source-ranges) source_ranges=$2 ;;
	--port) port=$2 ;;
	--workers) workers=$2 ;;
	--machine-type) machine_type=$2 ;;
	--image-family) image_family=$2 ;;
	--image-project) image_project=$2 ;;
	--boot-disk-size) boot_disk_size=$2 ;;
	--disk-size) disk_size=$2 ;;
	--disk-type) disk_type=$2 ;;
	--snapshot-days) snapshot_days=$2 ;;
	--database) database=$2 ;;
	--sql-instance) sql_instance=$2 ;;
	--sql-tier) sql_tier=$2 ;;
	--sql-version) sql_version=$2 ;;
	--sql-availability) sql_availability=$2 ;;
	--sql-storage) sql_storage=$2 ;;
	--sql-backups) sql_backups=$2 ;;
	--sql-range) sql_range=$2 ;;
	--sql-user) sql_user=$2 ;;
	--sql-database) sql_database=$2 ;;
	--secret) secret=$2 ;;
	--package) package=$2 ;;
	--data) data=$2 ;;
	*) usage_error "unknown option $1" ;;
	esac
}

is_number() {
	[[ $1 =~ ^[1-9][0-9]{0,6}$ ]] && (($1 >= $2 && $1 <= $3))
}

read_options() {
	while (($# > 0)); do
		case $1 in
		--help | -h)
			usage
			exit 0
			;;
		--dry-run) dry_run=yes ;;
		--iap) iap=yes ;;
		--no-external-address) external_address=no ;;
		--no-outside-check) outside_check=no ;;
		--*=*) take_option "${1%%=*}" "${1#*=}" ;;
		--*)
			(($# > 1)) || usage_error "$1 needs a value"
			take_option "$1" "$2"
			shift
			;;
		*) usage_error "unexpected argument $1" ;;
		esac
		shift
	done

	[[ -n $project ]] || usage_error "--project is needed"
	[[ $project =~ ^[a-z][a-z0-9-]{4,28}[a-z0-9]$ ]] || usage_error "not a project id: $project"
	[[ $name =~ ^[a-z]([a-z0-9-]{0,18}[a-z0-9])?$ ]] || usage_error "not a name of 1 to 20 letters, digits and hyphens: $name"
	zone=${zone:-$region-b}
	[[ $zone == "$region"-* ]] || usage_error "zone $zone is not in region $region"
	bucket=${bucket:-$project-$name}
	service_account=${service_account:-$name-server}
	((${#service_account} >= 6 && ${#service_account} <= 30)) || usage_error "a service account's name has 6 to 30 characters: $service_account"
	vm=${vm:-$name}
	disk=${disk:-$name-data}
	schedule=${schedule:-$name-daily}
	firewall=${firewall:-$name-allow-$port}
	sql_instance=${sql_instance:-$name-db}
	sql_range=${sql_range:-$name-sql-range}
	secret=${secret:-$name-db-password}
	account=$service_account@$project.iam.gserviceaccount.com
	labels=$mark,tallyd=$name
	description="$mark tallyd=$name"

	[[ $database == embedded || $database == cloud-sql ]] || usage_error "--database is embedded or cloud-sql"
	[[ $bucket_role == object-user || $bucket_role == viewer-creator ]] || usage_error "--bucket-role is object-user or viewer-creator"
	[[ $artifacts == signed || $artifacts == direct ]] || usage_error "--artifacts is signed or direct"
	[[ $sql_availability == zonal || $sql_availability == regional ]] || usage_error "--sql-availability is zonal or regional"
	[[ $data == ask || $data == keep || $data == delete ]] || usage_error "--data is ask, keep or delete"
	is_number "$port" 1024 65535 || usage_error "--port is 1024 to 65535: the service is not root"
	is_number "$workers" 1 64 || usage_error "--workers is 1 to 64"
	is_number "$snapshot_days" 1 365 || usage_error "--snapshot-days is 1 to 365"
	is_number "$sql_backups" 1 365 || usage_error "--sql-backups is 1 to 365"
	[[ $bucket_path =~ ^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$ && /$bucket_path/ != *"/../"* && /$bucket_path/ != *"/./"* ]] || usage_error "not a path in a bucket: $bucket_path"
	[[ $bucket_path != package && $bucket_path != package/* ]] || usage_error "package/ in the bucket holds the server's package"

	if [[ $dry_run == no ]] && ! command -v gcloud >/dev/null; then
		fail "gcloud is not installed (https://cloud.google.com/sdk/docs/install); --dry-run works without it"
	fi
	gcloud=(gcloud --project="$project" --quiet)
}

# True when a look-up's labels or description carry our mark and name.
is_ours() {
	local words=" ${1//[,;]/ } "
	[[ $words == *" $mark "* && $words == *" tallyd=$name "* ]]
}

on_vm() {
	local ssh=("${gcloud[@]}" compute ssh "$vm" --zone="$zone")
	[[ $iap == yes ]] && ssh+=(--tunnel-through-iap)
	run "${ssh[@]}" --command="$1"
}
