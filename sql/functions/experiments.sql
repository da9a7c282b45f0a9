-- Creating experiments. fail: exists.
create or replace function experiment_create(repeat_key bytea, new_name text, location text, root text, now_ms bigint, tags jsonb, arrived bigint, out fail text, out experiment_id text)
language plpgsql
as $$
#variable_conflict use_column
declare
  v_id bigint;
  v_first text := repeat_of(repeat_key, arrived, '');
begin
  if v_first is not null then
    select e.id::text into experiment_id from experiments e where e.id = nullif(split_part(v_first, ':', 2), '')::bigint;
    if found then
      return;
    end if;
  end if;
  insert into experiments (name, artifact_location, creation_time, last_update_time)
  values (new_name, coalesce(location, ''), now_ms, now_ms)
      on conflict do nothing
  returning id into v_id;
  if v_id is null then
    delete from repeats where key = repeat_key;
    fail := 'exists';
    return;
  end if;
  if location is null or location = '' then
    update experiments set artifact_location = location_join(root, v_id::text) where id = v_id;
  end if;
  insert into experiment_tags (experiment_id, key, value)
  select distinct on (t.tag ->> 'key') v_id, t.tag ->> 'key', coalesce(t.tag ->> 'value', '')
    from jsonb_array_elements(tags) with ordinality as t(tag, i)
   order by t.tag ->> 'key', t.i desc;
  update repeats set object = 'experiment:' || v_id, created_at = now() where key = repeat_key;
  experiment_id := v_id::text;
end
$$;
comment on function experiment_create is 'Creates an experiment or, for a repeated request, finds the first one.';

-- An experiment as MLflow''s JSON.
create or replace function experiment_json(e experiments) returns json
language sql stable
return json_strip_nulls(json_build_object(
  'experiment_id', e.id::text, 'name', e.name, 'artifact_location', e.artifact_location
, 'lifecycle_stage', case when e.deleted_time is null then 'active' else 'deleted' end
, 'last_update_time', e.last_update_time, 'creation_time', e.creation_time, 'workspace', e.workspace
, 'tags', (select json_agg(json_build_object('key', t.key, 'value', t.value) order by t.key) from experiment_tags t where t.experiment_id = e.id)));
comment on function experiment_json is 'An experiment as MLflow''s JSON.';
