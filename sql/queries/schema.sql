-- The bookkeeping of migrations.

-- name: schema_lock
select true as locked
from pg_advisory_lock($1::bigint);

-- name: schema_exists
select to_regclass('public.schema_migrations') is not null as present
, current_setting('server_encoding') as encoding
, current_setting('server_version_num')::integer as version;

-- name: schema_applied
select name
, checksum
, repeatable
from schema_migrations
order by name collate "C";

-- name: schema_add
insert into schema_migrations (name, checksum, repeatable, applied_by)
values ($1::text, $2::text, $3::boolean, $4::text)
on conflict (name) do update
set checksum = excluded.checksum
, applied_at = now()
, applied_by = excluded.applied_by;

-- name: keys_check
-- Is this the database in which a worker learned its latest name? Then the numbers of all others are right, too.
select exists (select from keys k where k.id = $1::integer and k.key = $2::text);
