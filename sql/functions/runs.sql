-- Creates that come twice: what the first one made, when this request is its repetition; else null, and the key's row stands for new_object, this request's own.
-- It is one when it arrived within ten minutes, and before the first one's answer was known to have reached the client; whoever waited in a queue meanwhile is told by `arrived`.
-- arrived: microseconds since 1970 times four, + 1 when this server is alone on the database: there equal calls come one after the other (engine/repeat.c). With others, an equal call that came shortly
-- before the answer arrived is a call of its own, as a client's threads make them (a repetition comes when somebody has lost patience, not within a second), and while it is not known whether it
-- arrived, TL001 asks to come again; + 2: often enough.
create or replace function repeat_of(repeat_key bytea, arrived bigint, new_object text) returns text
language plpgsql
as $$
declare
  r repeats;
  v_arrived bigint := arrived >> 2;
  v_alone boolean := arrived & 1 = 1;
begin
  loop
    insert into repeats (key, object, reply) values (repeat_key, new_object, '') on conflict do nothing;
    if found then
      return null;
    end if;
    select x.* into r from repeats x where x.key = repeat_key for update;
    if found then
      if r.created_at > now() - interval '10 minutes' then
        if r.answered_us is null and arrived & 3 = 0 then
          raise exception 'it is not known yet whether the answer to an equal call arrived' using errcode = 'TL001';
        end if;
        if r.answered_us is null or (v_arrived < r.answered_us and (v_alone or r.answered_us - v_arrived > 1000000)) then
          return r.object;
        end if;
      end if;
      update repeats x set object = new_object, created_at = now(), answered_us = null where x.key = repeat_key;
      return null;
    end if;
  end loop;
end
$$;
comment on function repeat_of is 'What the first of two equal creates made, for the second one; null for the first.';

-- Creating runs. fail: missing (no such experiment), inactive (deleted experiment).
create or replace function run_create(
  repeat_key bytea, new_run_id text, experiment bigint, new_user_id text, new_name text, new_start_time bigint, tag_keys integer[], tag_values text[], arrived bigint
, out fail text, out run_id text, out artifact_uri text, out name text
)
language plpgsql
as $$
#variable_conflict use_column
declare
  e record;
  v_id bigint;
  v_rank bigint := run_rank_of(new_run_id);
  v_first text := repeat_of(repeat_key, arrived, 'run:' || new_run_id);
begin
  if v_first is not null then
    select r.run_id, r.artifact_uri, r.name into run_id, artifact_uri, name from runs r where r.run_id = substr(v_first, 5);
    if found then
      return;
    end if;
    update repeats set object = 'run:' || new_run_id, created_at = now() where key = repeat_key;
  end if;
  select x.artifact_location, x.deleted_time into e from experiments x where x.id = experiment for key share;
  if not found then
    fail := 'missing';
  elsif e.deleted_time is not null then
    fail := 'inactive';
  end if;
  if fail is not null then
    delete from repeats where key = repeat_key;
    return;
  end if;
  run_id := new_run_id;
  name := new_name;
  artifact_uri := location_join(e.artifact_location, new_run_id || '/artifacts');
  insert into runs (run_id, experiment_id, run_rank, start_time, status, user_id, name, artifact_uri)
  values (new_run_id, experiment, v_rank, new_start_time, 1, new_user_id, new_name, artifact_uri)
  returning id into v_id;
  insert into tags (run, key_id, experiment_id, start_time, run_rank, value)
  select distinct on (t.key_id) v_id, t.key_id, experiment, new_start_time, v_rank, t.value
    from unnest(tag_keys, tag_values) with ordinality as t(key_id, value, i)
   order by t.key_id, t.i desc;
end
$$;
comment on function run_create is 'Creates a run or, for a repeated request, finds the first one.';

-- A location with a path added before its query string: gs://b/p?x=1 + a -> gs://b/p/a?x=1.
create or replace function location_join(location text, path text) returns text
language sql immutable strict parallel safe
return case
  when location ~ '\?' then rtrim(split_part(location, '?', 1), '/') || '/' || path || '?' || substr(location, strpos(location, '?') + 1)
  else rtrim(location, '/') || '/' || path
end;
comment on function location_join is 'A location with a path added before its query string.';

-- A run as MLflow's RunInfo; experiment_deleted: deleted_time of its experiment. One expression for each column, so that the planner puts it into the query.
create or replace function run_info(r runs, experiment_deleted bigint)
returns table (run_id text, run_uuid text, run_name text, experiment_id text, user_id text, status text, start_time bigint, end_time bigint, artifact_uri text, lifecycle_stage text)
language sql stable parallel safe
as $$
select r.run_id, r.run_id, r.name, r.experiment_id::text, r.user_id, (array['RUNNING', 'SCHEDULED', 'FINISHED', 'FAILED', 'KILLED'])[r.status], r.start_time, nullif(r.end_time, 0), r.artifact_uri
     , case when r.lifecycle = 1 or (r.lifecycle = 0 and experiment_deleted is not null) then 'deleted' else 'active' end;
$$;
comment on function run_info(runs, bigint) is 'A run as MLflow''s RunInfo.';
