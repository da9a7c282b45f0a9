-- Registered models, versions and logged models as MLflow's JSON, and what takes more than one statement.

create or replace function stage_name(stage smallint) returns text
language sql immutable parallel safe
return (array['None', 'Staging', 'Production', 'Archived'])[stage + 1];
comment on function stage_name(smallint) is 'A stage''s word.';

create or replace function model_version_json(m registered_models, v model_versions) returns json
language sql stable
return json_strip_nulls(json_build_object(
  'name', m.name, 'version', v.version::text, 'creation_timestamp', v.creation_time, 'last_updated_timestamp', v.last_update_time, 'user_id', v.user_id
, 'current_stage', stage_name(v.stage), 'description', v.description, 'source', v.source, 'run_id', v.run_id, 'status', 'READY', 'status_message', v.status_message
, 'run_link', coalesce(v.run_link, '')
, 'tags', (select json_agg(json_build_object('key', t.key, 'value', t.value) order by t.key) from model_version_tags t where t.model = v.model and t.version = v.version)
, 'aliases', (select json_agg(a.alias order by a.alias) from registered_model_aliases a where a.model = v.model and a.version = v.version)));
comment on function model_version_json is 'A model version as MLflow''s JSON.';

create or replace function registered_model_json(m registered_models) returns json
language sql stable
return json_strip_nulls(json_build_object(
  'name', m.name, 'creation_timestamp', m.creation_time, 'last_updated_timestamp', m.last_update_time, 'description', nullif(m.description, ''), 'deployment_job_id', m.deployment_job_id
, 'latest_versions', (
    select json_agg(model_version_json(m, v) order by v.version)
      from (select distinct on (x.stage) x.* from model_versions x where x.model = m.id and not x.deleted order by x.stage, x.version desc) v
  )
, 'tags', (select json_agg(json_build_object('key', t.key, 'value', t.value) order by t.key) from registered_model_tags t where t.model = m.id)
, 'aliases', (select json_agg(json_build_object('alias', a.alias, 'version', a.version::text) order by a.alias) from registered_model_aliases a where a.model = m.id)));
comment on function registered_model_json is 'A registered model as MLflow''s JSON.';

create or replace function double_json(v double precision) returns json
language sql immutable
return (case
  when v = 'NaN' then '"NaN"'
  when abs(v) = 'Infinity' then (sign(v) * 1.7976931348623157e308)::text
  when v::text ~ '^-?[0-9]+$' then v::text || '.0'
  else v::text
end)::json;
comment on function double_json is 'A double as MLflow writes it: NaN as text, infinities clamped, whole numbers with a fraction.';

create or replace function logged_model_json(m logged_models) returns json
language sql stable
return json_build_object(
  'info', json_strip_nulls(json_build_object(
      'model_id', m.model_id, 'experiment_id', m.experiment_id::text, 'name', m.name, 'creation_timestamp_ms', m.creation_time, 'last_updated_timestamp_ms', m.last_update_time
    , 'artifact_uri', m.artifact_uri, 'status', (array['LOGGED_MODEL_PENDING', 'LOGGED_MODEL_READY', 'LOGGED_MODEL_UPLOAD_FAILED'])[m.status]
    , 'model_type', m.model_type, 'source_run_id', m.source_run_id, 'status_message', m.status_message
    , 'tags', (select json_agg(json_build_object('key', t.key, 'value', t.value) order by t.key) from logged_model_tags t where t.model = m.id)))
, 'data', json_strip_nulls(json_build_object(
      'params', (select json_agg(json_build_object('key', p.key, 'value', p.value) order by p.key) from logged_model_params p where p.model = m.id)
    , 'metrics', (
        select json_agg(json_build_object('key', x.key, 'value', double_json(x.value), 'timestamp', x.timestamp, 'step', x.step, 'dataset_name', x.dataset_name, 'dataset_digest', x.dataset_digest, 'model_id', m.model_id, 'run_id', x.run_id)
               order by x.key, x.timestamp, x.step)
          from logged_model_metrics x where x.model = m.id
      ))));
comment on function logged_model_json is 'A logged model as MLflow''s JSON.';

-- fail: exists, prompt, prompt exists, model exists.
create or replace function registered_model_create(repeat_key bytea, new_name text, new_description text, new_job text, now_ms bigint, tags jsonb, arrived bigint, out fail text, out registered_model json)
language plpgsql
as $$
#variable_conflict use_column
declare
  v_id bigint;
  v_first text := repeat_of(repeat_key, arrived, '');
begin
  if v_first is not null then
    select registered_model_json(m) into registered_model from registered_models m where m.id = nullif(split_part(v_first, ':', 2), '')::bigint;
    if found then
      return;
    end if;
  end if;
  insert into registered_models (name, description, deployment_job_id, creation_time, last_update_time)
  values (new_name, new_description, new_job, now_ms, now_ms)
      on conflict do nothing
  returning id into v_id;
  if v_id is null then
    delete from repeats where key = repeat_key;
    fail := case exists (
        select from registered_models m join registered_model_tags t on t.model = m.id
         where m.workspace = 'default' and m.name = new_name and t.key = 'mlflow.prompt.is_prompt' and lower(t.value) = 'true'
      )::text || exists (select from jsonb_array_elements(tags) t where t ->> 'key' = 'mlflow.prompt.is_prompt' and lower(t ->> 'value') = 'true')::text
      when 'truetrue' then 'prompt'
      when 'truefalse' then 'prompt exists'
      when 'falsetrue' then 'model exists'
      else 'exists' end;
    return;
  end if;
  insert into registered_model_tags (model, key, value)
  select distinct on (t.tag ->> 'key') v_id, t.tag ->> 'key', coalesce(t.tag ->> 'value', '')
    from jsonb_array_elements(tags) with ordinality as t(tag, i)
   order by t.tag ->> 'key', t.i desc;
  update repeats set object = 'model:' || v_id, created_at = now() where key = repeat_key;
  select registered_model_json(m) into registered_model from registered_models m where m.id = v_id;
end
$$;
comment on function registered_model_create is 'Creates a registered model or, for a repeated request, finds the first one.';

-- Version numbers come from the model's row: its lock puts creators one after the other, without error or gap. fail: no model.
create or replace function model_version_create(
  repeat_key bytea, model_name text, new_source text, new_location text, new_run_id text, new_run_link text, new_description text, new_model_id text, now_ms bigint, tags jsonb
, arrived bigint, out fail text, out model_version json
)
language plpgsql
as $$
#variable_conflict use_column
declare
  m registered_models;
  v_first text := repeat_of(repeat_key, arrived, '');
begin
  if v_first is not null then
    select model_version_json(r, v)
      into model_version
      from registered_models r
      join model_versions v on v.model = r.id
     where r.id = nullif(split_part(v_first, ':', 2), '')::bigint
       and v.version = split_part(v_first, ':', 3)::integer
       and not v.deleted;
    if found then
      return;
    end if;
  end if;
  update registered_models x
     set last_version = x.last_version + 1, last_update_time = now_ms
   where x.workspace = 'default'
     and x.name = model_name
  returning x.* into m;
  if not found then
    delete from repeats where key = repeat_key;
    fail := 'no model';
    return;
  end if;
  insert into model_versions (model, version, creation_time, last_update_time, description, source, storage_location, run_id, run_link, model_id)
  values (m.id, m.last_version, now_ms, now_ms, coalesce(new_description, ''), new_source, new_location, coalesce(new_run_id, ''), new_run_link, nullif(new_model_id, ''));
  insert into model_version_tags (model, version, key, value)
  select distinct on (t.tag ->> 'key') m.id, m.last_version, t.tag ->> 'key', coalesce(t.tag ->> 'value', '')
    from jsonb_array_elements(tags) with ordinality as t(tag, i)
   order by t.tag ->> 'key', t.i desc;
  if new_model_id <> '' then
    insert into logged_model_tags as t (model, key, value)
    select l.id, 'mlflow.modelVersions', jsonb_build_array(jsonb_build_object('name', model_name, 'version', m.last_version))::text
      from logged_models l
     where l.model_id = new_model_id
        on conflict (model, key) do update set value = (t.value::jsonb || jsonb_build_array(jsonb_build_object('name', model_name, 'version', m.last_version)))::text;
  end if;
  update repeats set object = 'version:' || m.id || ':' || m.last_version, created_at = now() where key = repeat_key;
  select model_version_json(m, v) into model_version from model_versions v where v.model = m.id and v.version = m.last_version;
end
$$;
comment on function model_version_create is 'Creates a model version or, for a repeated request, finds the first one.';

-- fail: no model, no version.
create or replace function model_version_stage(model_name text, model_version integer, new_stage smallint, archive boolean, now_ms bigint, out fail text, out version_json json)
language plpgsql
as $$
#variable_conflict use_column
declare
  m registered_models;
  v model_versions;
begin
  update registered_models x
     set last_update_time = now_ms
   where x.workspace = 'default'
     and x.name = model_name
     and exists (select from model_versions y where y.model = x.id and y.version = model_version and not y.deleted)
  returning x.* into m;
  if not found then
    fail := 'no version';
    return;
  end if;
  if archive then
    update model_versions x
       set stage = 3, last_update_time = now_ms
     where x.model = m.id
       and x.version <> model_version
       and x.stage = new_stage
       and not x.deleted;
  end if;
  update model_versions x
     set stage = new_stage, last_update_time = now_ms
   where x.model = m.id
     and x.version = model_version
  returning x.* into v;
  version_json := model_version_json(m, v);
end
$$;
comment on function model_version_stage is 'Moves a version to a stage; archive moves the others of that stage to Archived.';

-- fail: missing (experiment), inactive.
create or replace function logged_model_create(
  repeat_key bytea, new_model_id text, experiment bigint, new_name text, new_type text, new_run text, now_ms bigint, params jsonb, tags jsonb
, arrived bigint, out fail text, out model json
)
language plpgsql
as $$
#variable_conflict use_column
declare
  e experiments;
  v_id bigint;
  v_first text := repeat_of(repeat_key, arrived, 'logged:' || new_model_id);
begin
  if v_first is not null then
    select logged_model_json(l) into model from logged_models l where l.model_id = substr(v_first, 8);
    if found then
      return;
    end if;
    update repeats set object = 'logged:' || new_model_id, created_at = now() where key = repeat_key;
  end if;
  select x.* into e from experiments x where x.id = experiment for key share;
  if not found or e.deleted_time is not null then
    delete from repeats where key = repeat_key;
    fail := case when e.id is null then 'missing' else 'inactive' end;
    return;
  end if;
  insert into logged_models (model_id, experiment_id, name, artifact_uri, status, model_type, source_run_id, creation_time, last_update_time)
  values (new_model_id, experiment, new_name, location_join(e.artifact_location, 'models/' || new_model_id || '/artifacts'), 1, coalesce(new_type, ''), coalesce(new_run, ''), now_ms, now_ms)
  returning id into v_id;
  insert into logged_model_params (model, key, value)
  select v_id, p ->> 'key', coalesce(p ->> 'value', '') from jsonb_array_elements(params) p;
  insert into logged_model_tags (model, key, value)
  select distinct on (t.tag ->> 'key') v_id, t.tag ->> 'key', coalesce(t.tag ->> 'value', '')
    from jsonb_array_elements(tags) with ordinality as t(tag, i)
   order by t.tag ->> 'key', t.i desc;
  select logged_model_json(l) into model from logged_models l where l.id = v_id;
end
$$;
comment on function logged_model_create is 'Creates a logged model or, for a repeated request, finds the first one.';
