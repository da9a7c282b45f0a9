#!/bin/sh
# Prints the schema of a migrated database as sql/schema.sql holds it: schema.sh URI. PG_BIN: folder of pg_dump.
set -eu
dump=${PG_BIN:+$PG_BIN/}pg_dump
echo '-- Made by tools/schema.sh from the migrations and functions; to read, not to run. schema `report` is in sql/report.'
"$dump" --schema-only --no-owner --no-privileges --exclude-schema=report "$1" |
	sed -e '/^--/d' -e '/^SET /d' -e '/^SELECT pg_catalog/d' -e '/^\\/d' -e '/^COMMENT ON EXTENSION/d' | cat -s
