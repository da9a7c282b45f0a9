-- What was applied to this database. New database: no locks to speak of.

create table schema_migrations (
  name text primary key
, checksum text not null
, repeatable boolean not null default false
, applied_at timestamptz not null default now()
, applied_by text not null
);
comment on table schema_migrations is 'The SQL files of tallyd that were applied to this database. A server that knows other ones does not start on it.';
comment on column schema_migrations.name is 'File name without .sql.';
comment on column schema_migrations.checksum is 'SHA-256 of the file as it was applied, in hex.';
comment on column schema_migrations.repeatable is 'Functions and views, applied again whenever their text changes; false: once for all.';
comment on column schema_migrations.applied_at is 'When it was applied last.';
comment on column schema_migrations.applied_by is 'Version of the server that applied it.';
