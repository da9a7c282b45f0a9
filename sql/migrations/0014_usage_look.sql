-- What a run's or logged model's artifacts take is asked of the bucket where clients may have written past the server: at signed addresses, or straight to a gs:// root.

alter table artifact_usage
  add column look_after bigint
, add column looked_time bigint not null default 0
, add column open_until bigint not null default 0;
alter table model_usage
  add column look_after bigint
, add column looked_time bigint not null default 0
, add column open_until bigint not null default 0;
comment on column artifact_usage.look_after is 'Milliseconds since 1970 from when the bucket is asked what is there; null: nothing is to be asked.';
comment on column artifact_usage.looked_time is 'When it was last asked. Milliseconds since 1970.';
comment on column artifact_usage.open_until is 'Until then a client may write without the server''s knowledge. Milliseconds since 1970; the largest number: always, for roots at gs://.';
comment on column model_usage.look_after is 'Milliseconds since 1970 from when the bucket is asked what is there; null: nothing is to be asked.';
comment on column model_usage.looked_time is 'When it was last asked. Milliseconds since 1970.';
comment on column model_usage.open_until is 'Until then a client may write without the server''s knowledge. Milliseconds since 1970; the largest number: always, for roots at gs://.';

update artifact_usage set look_after = 0 where approximate;
update model_usage set look_after = 0 where approximate;
create index artifact_usage_look on artifact_usage (look_after) where look_after is not null;
create index model_usage_look on model_usage (look_after) where look_after is not null;

-- Clients write to a gs:// root by themselves: looked at a quarter of an hour after the start, and when the run or model ends.
create function usage_of_direct_run() returns trigger
language plpgsql
as $$
declare
  v_now bigint := extract(epoch from clock_timestamp()) * 1000;
begin
  insert into artifact_usage as u (run, approximate, updated_time, open_until, look_after)
  values (new.id, true, v_now, 9223372036854775807, v_now + case when new.status in (1, 2) then 900000 else 60000 end)
      on conflict (run) do update set approximate = true, open_until = excluded.open_until, look_after = excluded.look_after;
  return null;
end
$$;
comment on function usage_of_direct_run() is 'Notes that a run''s artifacts are to be counted in the bucket.';
create trigger usage_of_direct_run after insert on runs for each row when (starts_with(new.artifact_uri, 'gs://')) execute function usage_of_direct_run();
create trigger usage_of_direct_run_end after update of status on runs for each row when (starts_with(new.artifact_uri, 'gs://') and new.status <> old.status) execute function usage_of_direct_run();

create function usage_of_direct_model() returns trigger
language plpgsql
as $$
declare
  v_now bigint := extract(epoch from clock_timestamp()) * 1000;
begin
  insert into model_usage as u (model, approximate, updated_time, open_until, look_after)
  values (new.id, true, v_now, 9223372036854775807, v_now + case when new.status = 1 then 900000 else 60000 end)
      on conflict (model) do update set approximate = true, open_until = excluded.open_until, look_after = excluded.look_after;
  return null;
end
$$;
comment on function usage_of_direct_model() is 'Notes that a logged model''s artifacts are to be counted in the bucket.';
create trigger usage_of_direct_model after insert on logged_models for each row when (starts_with(new.artifact_uri, 'gs://')) execute function usage_of_direct_model();
create trigger usage_of_direct_model_end after update of status on logged_models for each row when (starts_with(new.artifact_uri, 'gs://') and new.status <> old.status) execute function usage_of_direct_model();

-- run_info() of earlier servers gave JSON; the one of sql/functions gives columns.
drop function if exists run_info(runs, bigint);
