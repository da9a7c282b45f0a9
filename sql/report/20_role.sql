-- The role that reads schema report and nothing else. It can log in, but has no password until an admin gives one:
--   alter role tallyd_report password '...';
-- Roles belong to the whole cluster: another database or server may have made it already, and some owners may not make roles at all; then
-- an admin runs this file.

do $$
begin
  if not exists (select from pg_roles where rolname = 'tallyd_report') then
    create role tallyd_report login nosuperuser nocreatedb nocreaterole noinherit connection limit 10;
  end if;
exception
  when duplicate_object or unique_violation then null;
  when insufficient_privilege then raise notice 'role tallyd_report is missing and this user may not create roles: run sql/report/20_role.sql as an admin';
end
$$;

-- A report that runs away must not hold up training: half a minute, few locks, no forgotten transactions.
do $$
begin
  if exists (select from pg_roles where rolname = 'tallyd_report') then
    alter role tallyd_report set statement_timeout = '30s';
    alter role tallyd_report set lock_timeout = '5s';
    alter role tallyd_report set idle_in_transaction_session_timeout = '60s';
    alter role tallyd_report set work_mem = '32MB';
    -- Compiling takes a second or two; these reports take less.
    alter role tallyd_report set jit = off;
    alter role tallyd_report set default_transaction_read_only = on;
    alter role tallyd_report set search_path = report;
  end if;
exception
  when insufficient_privilege then raise notice 'role tallyd_report belongs to another user: its timeouts stay as they are';
end
$$;

do $$
begin
  if exists (select from pg_roles where rolname = 'tallyd_report') then
    revoke all on schema report from tallyd_report;
    revoke all on all tables in schema report from tallyd_report;
    grant usage on schema report to tallyd_report;
    grant select on all tables in schema report to tallyd_report;
    grant execute on all functions in schema report to tallyd_report;
  end if;
end
$$;

-- PostgreSQL lets everyone make temporary tables, before 15 also tables in public. Only their owner may take that back.
do $$
begin
  revoke create on schema public from public;
  execute format('revoke temporary on database %I from public', current_database());
exception
  when insufficient_privilege then raise notice 'schema public or this database belongs to another user: everyone''s rights there stay as they are';
end
$$;
