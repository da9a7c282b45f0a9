-- name: doctor_database
select current_setting('server_version') as version, current_setting('server_version_num')::integer as number
     , (extract(epoch from clock_timestamp()) * 1000)::bigint as now_ms
     , current_setting('fsync') = 'on' and current_setting('synchronous_commit') = 'on' as durable
     , current_setting('max_connections')::integer as max_connections
     , (select count(*) from pg_stat_activity)::integer as connections
     , to_regclass('public.schema_migrations') is not null as migrated
     , pg_size_pretty(pg_database_size(current_database())) as size
     , has_database_privilege(current_database(), 'create') as may_create;

-- name: doctor_schema
select count(*)::integer as applied, max(name) as newest from schema_migrations;
