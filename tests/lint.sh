#!/bin/sh
# What a compiler does not see: house rules that can be found by looking.
# tests/lint.sh [FILE...]   without files: everything that git knows, or will know
set -u
cd "$(dirname "$0")/.." || exit 2
bad=0

say() {
	echo "lint: $1" >&2
	bad=1
}

# find NAME PATTERN GLOB...: complains about each line of the files that matches.
find_in() {
	name=$1
	pattern=$2
	shift 2
	found=$(git grep -nE --untracked "$pattern" -- "$@" 2>/dev/null)
	[ -z "$found" ] || {
		echo "$found" >&2
		say "$name"
	}
}

find_in "functions without a limit" '(^|[^a-z_])(sprintf|vsprintf|strcpy|strcat|strncat|strncpy|atoi|atol|atof|gets|strtok|alloca)\(' 'app/*.c' 'app/*.h' 'tools/*.c'
find_in "SQL belongs in sql/" '"[^"]*\b(select .* from|insert into|update [a-z_]+ set|delete from)\b' 'app/api/*.c' 'app/engine/*.c'
find_in "text nodes, never HTML from data" '\.(innerHTML|outerHTML)|insertAdjacentHTML|dangerouslySetInnerHTML' 'app/ui/src' 'tools/fallback'
find_in "unfinished work" '\b(TODO|FIXME|XXX|HACK)\b' 'app' 'sql' 'tests' 'deploy' 'conf' 'tools' 'Makefile' ':!tests/lint.sh' ':!app/ui/package-lock.json'
find_in "trailing blanks" '[ 	]+$' 'app/*.c' 'app/*.h' 'app/ui/src' 'sql' 'tests/*.py' 'tests/*.c' 'Makefile'
find_in "kore.h stays beside the loop" '#include <(kore|seccomp|http)\.h>' 'app/*.c' ':!app/server.c' ':!app/base/net.c' ':!app/base/loop.c'

# Every table that a migration makes says what it is for.
if [ -d sql/migrations ]; then
	for table in $(grep -hoiE '^create table (if not exists )?[a-z_.]+' sql/migrations/*.sql 2>/dev/null | awk '{ print $NF }' | sort -u); do
		grep -qiE "^[[:space:]]*comment on table $table " sql/migrations/*.sql || say "table $table has no comment"
	done
fi

# A landed migration stays as it is: databases have applied it. Needs no git history; with one, what is committed has to be on the list.
landed=sql/migrations/LANDED
changed=$(cd sql/migrations && sha256sum -c --quiet --strict LANDED 2>&1) || {
	echo "$changed" >&2
	say "a landed migration differs from $landed: put it back, and write a new one"
}
last=$(awk '{ print $2 }' $landed | sort | tail -n 1)
for file in sql/migrations/*.sql; do
	name=${file##*/}
	grep -q "  $name\$" $landed && continue
	if [ "$(printf '%s\n' "$last" "$name" | sort | tail -n 1)" = "$last" ]; then
		say "$file is not in $landed, but a later one is: databases would refuse it"
	elif git cat-file -e "HEAD:$file" 2>/dev/null; then
		say "$file is committed, but not in $landed: (cd sql/migrations && sha256sum $name >> LANDED)"
	fi
done

if command -v shellcheck >/dev/null; then
	scripts=$(git ls-files --cached --others --exclude-standard '*.sh' deploy tests tools | sort -u | while read -r f; do head -n 1 "$f" 2>/dev/null | grep -qE '^#!.*\b(ba)?sh\b' && echo "$f"; done)
	# shellcheck disable=SC2086
	[ -z "$scripts" ] || shellcheck -x -S warning -e SC2154,SC3013,SC1091 $scripts >&2 || say "shellcheck"
fi

[ "$bad" -eq 0 ] && echo "lint: nothing found"
exit "$bad"
