-- name: run_columns
-- Chosen columns of a page of runs: $1 identities, $2 metric names, $3 param names, $4 tag names. Kinds as in run_page.
select r.id as run, 0 as kind, 0 as key_id, null::double precision as number, null::bigint as step, null::bigint as time
     , json_strip_nulls(json_build_object('run_id', r.run_id, 'run_uuid', r.run_id, 'run_name', r.name, 'experiment_id', r.experiment_id::text, 'user_id', r.user_id
     , 'status', (array['RUNNING', 'SCHEDULED', 'FINISHED', 'FAILED', 'KILLED'])[r.status], 'start_time', r.start_time, 'end_time', nullif(r.end_time, 0)
     , 'artifact_uri', r.artifact_uri, 'lifecycle_stage', case when r.lifecycle = 1 or (r.lifecycle = 0 and e.deleted_time is not null) then 'deleted' else 'active' end))::text as text
  from runs r
  join experiments e on e.id = r.experiment_id
 where r.id = any ($1::bigint[])
union all
select run, 1, key_id, value, step, timestamp, null from latest_metrics where run = any ($1::bigint[]) and key_id = any (array(select id from keys where key = any ($2::text[])))
union all
select run, 2, key_id, null, null, null, value from params where run = any ($1::bigint[]) and key_id = any (array(select id from keys where key = any ($3::text[])))
union all
select run, 3, key_id, null, null, null, value from tags where run = any ($1::bigint[]) and key_id = any (array(select id from keys where key = any ($4::text[])))
union all
select i.run, 4, 0, null, null, null, json_strip_nulls(json_build_object('name', d.name, 'digest', d.digest, 'context', i.context))::text
  from run_datasets i
  join datasets d on d.id = i.dataset_id
 where i.run = any ($1::bigint[])
union all
select run, 6, 0, null, step, id, model_id from run_models where run = any ($1::bigint[]) and output;

-- name: metric_keys
-- Names in use in experiments $1, holding $2 (any case); one step of the index for each.
with recursive k(experiment_id, key_id) as (
    select e.id, (select min(l.key_id) from latest_metrics l where l.experiment_id = e.id and not l.deleted) from unnest($1::bigint[]) as e(id)
     union all
    select k.experiment_id, (select min(l.key_id) from latest_metrics l where l.experiment_id = k.experiment_id and l.key_id > k.key_id and not l.deleted) from k where k.key_id is not null
  )
, n as (select distinct keys.key from k join keys on keys.id = k.key_id where position(lower($2::text) in lower(keys.key)) > 0)
select (select json_agg(x.key order by x.key) from (select key from n order by key limit $3::bigint) x) as keys, (select count(*) from n) as total;

-- name: param_keys
with recursive k(experiment_id, key_id) as (
    select e.id, (select min(l.key_id) from params l where l.experiment_id = e.id and not l.deleted) from unnest($1::bigint[]) as e(id)
     union all
    select k.experiment_id, (select min(l.key_id) from params l where l.experiment_id = k.experiment_id and l.key_id > k.key_id and not l.deleted) from k where k.key_id is not null
  )
, n as (select distinct keys.key from k join keys on keys.id = k.key_id where position(lower($2::text) in lower(keys.key)) > 0)
select (select json_agg(x.key order by x.key) from (select key from n order by key limit $3::bigint) x) as keys, (select count(*) from n) as total;

-- name: tag_keys
with recursive k(experiment_id, key_id) as (
    select e.id, (select min(l.key_id) from tags l where l.experiment_id = e.id and not l.deleted) from unnest($1::bigint[]) as e(id)
     union all
    select k.experiment_id, (select min(l.key_id) from tags l where l.experiment_id = k.experiment_id and l.key_id > k.key_id and not l.deleted) from k where k.key_id is not null
  )
, n as (select distinct keys.key from k join keys on keys.id = k.key_id where position(lower($2::text) in lower(keys.key)) > 0)
select (select json_agg(x.key order by x.key) from (select key from n order by key limit $3::bigint) x) as keys, (select count(*) from n) as total;

-- name: run_groups
-- $1 identities, $2 what to group by ("params.alpha"), $3 metric names.
with by as materialized (
    select b.name, b.i, split_part(b.name, '.', 1) as kind, (select k.id from keys k where k.key = substr(b.name, strpos(b.name, '.') + 1)) as key_id
      from unnest($2::text[]) with ordinality as b(name, i)
  )
, v as materialized (
    select r.run, r.i
         , jsonb_object_agg(b.name, coalesce((select p.value from params p where b.kind = 'params' and p.run = r.run and p.key_id = b.key_id), (select t.value from tags t where b.kind = 'tags' and t.run = r.run and t.key_id = b.key_id))) as key
      from unnest($1::bigint[]) with ordinality as r(run, i)
     cross join by b
     group by r.run, r.i
  )
, m as (
    select v.key, k.key as metric, avg(l.value) as mean, coalesce(stddev_pop(l.value), 0) as std, min(l.value) as min, max(l.value) as max, count(*) as count
      from v
      join latest_metrics l on l.run = v.run
      join keys k on k.id = l.key_id
     where k.key = any ($3::text[])
     group by v.key, k.key
  )
select g.key, g.count, g.run_ids
     , (select json_object_agg(m.metric, json_build_object('mean', m.mean, 'std', m.std, 'min', m.min, 'max', m.max, 'count', m.count)) from m where m.key = g.key) as metrics
  from (
         select v.key, count(*) as count, min(v.i) as first, to_json((array_agg(r.run_id order by v.i))[1:100]) as run_ids
           from v
           join runs r on r.id = v.run
          group by v.key
       ) g
 order by g.first;

-- name: views_list
select v.id::text as view_id, v.name, v.experiment_id::text as experiment_id, v.query, v.creation_time from views v where v.experiment_id = $1::bigint order by v.name;

-- name: view_save
insert into views as v (experiment_id, name, query, creation_time)
select e.id, $2::text, $3::text, $4::bigint from experiments e where e.id = $1::bigint
    on conflict (experiment_id, name) do update set query = excluded.query
returning v.id::text as view_id, v.name, v.experiment_id::text as experiment_id, v.query, v.creation_time;

-- name: view_delete
delete from views where id = $1::bigint returning id as _id;

-- name: graphql_experiment
select json_build_object('mlflowGetExperiment', json_build_object('__typename', 'MlflowGetExperimentResponse', 'apiError', null
     , 'experiment', json_build_object('__typename', 'MlflowExperiment', 'artifactLocation', e.artifact_location, 'creationTime', e.creation_time::text, 'effectiveTraceArchivalRetention', ''
       , 'experimentId', e.id::text, 'lastUpdateTime', e.last_update_time::text, 'lifecycleStage', case when e.deleted_time is null then 'active' else 'deleted' end, 'name', e.name
       , 'tags', coalesce((select json_agg(json_build_object('__typename', 'MlflowExperimentTag', 'key', t.key, 'value', t.value) order by t.key) from experiment_tags t where t.experiment_id = e.id), '[]')))) as data
  from experiments e
 where e.id = $1::bigint;

-- name: graphql_run
select json_build_object('mlflowGetRun', json_build_object('__typename', 'MlflowGetRunResponse', 'apiError', null, 'run', json_build_object('__typename', 'MlflowRunExtension'
     , 'info', json_build_object('__typename', 'MlflowRunInfo', 'runName', r.name, 'status', (array['RUNNING', 'SCHEDULED', 'FINISHED', 'FAILED', 'KILLED'])[r.status], 'runUuid', r.run_id
       , 'experimentId', r.experiment_id::text, 'artifactUri', r.artifact_uri, 'endTime', coalesce(r.end_time, 0)::text
       , 'lifecycleStage', case when r.lifecycle = 1 or (r.lifecycle = 0 and e.deleted_time is not null) then 'deleted' else 'active' end, 'startTime', r.start_time::text, 'userId', r.user_id)
     , 'experiment', json_build_object('__typename', 'MlflowExperiment', 'experimentId', e.id::text, 'name', e.name, 'artifactLocation', e.artifact_location
       , 'lifecycleStage', case when e.deleted_time is null then 'active' else 'deleted' end, 'lastUpdateTime', e.last_update_time::text
       , 'tags', coalesce((select json_agg(json_build_object('__typename', 'MlflowExperimentTag', 'key', t.key, 'value', t.value) order by t.key) from experiment_tags t where t.experiment_id = e.id), '[]'))
     , 'modelVersions', coalesce((
         select json_agg(json_build_object('__typename', 'MlflowModelVersion', 'status', 'READY', 'version', v.version::text, 'name', m.name, 'source', v.source))
           from model_versions v
           join registered_models m on m.id = v.model
          where v.run_id = r.run_id
            and not v.deleted
       ), '[]')
     , 'data', json_build_object('__typename', 'MlflowRunData'
       , 'metrics', coalesce((select json_agg(json_build_object('__typename', 'MlflowMetricExtension', 'key', k.key, 'value', nullif(l.value, 'NaN'), 'step', l.step::text, 'timestamp', l.timestamp::text) order by k.key) from latest_metrics l join keys k on k.id = l.key_id where l.run = r.id), '[]')
       , 'params', coalesce((select json_agg(json_build_object('__typename', 'MlflowParam', 'key', k.key, 'value', p.value) order by k.key) from params p join keys k on k.id = p.key_id where p.run = r.id), '[]')
       , 'tags', coalesce((select json_agg(json_build_object('__typename', 'MlflowRunTag', 'key', k.key, 'value', t.value) order by k.key) from tags t join keys k on k.id = t.key_id where t.run = r.id), '[]'))
     , 'inputs', json_build_object('__typename', 'MlflowRunInputs'
       , 'datasetInputs', coalesce((
           select json_agg(json_build_object('__typename', 'MlflowDatasetInput'
                , 'dataset', json_build_object('__typename', 'MlflowDataset', 'digest', d.digest, 'name', d.name, 'profile', coalesce(d.profile, ''), 'schema', coalesce(d.schema, ''), 'source', d.source, 'sourceType', d.source_type)
                , 'tags', (select coalesce(json_agg(json_build_object('__typename', 'MlflowInputTag', 'key', t ->> 'key', 'value', t ->> 'value')), '[]') from jsonb_array_elements(i.tags) t)))
             from run_datasets i
             join datasets d on d.id = i.dataset_id
            where i.run = r.id
         ), '[]')
       , 'modelInputs', coalesce((select json_agg(json_build_object('__typename', 'MlflowModelInput', 'modelId', x.model_id) order by x.id) from run_models x where x.run = r.id and not x.output), '[]'))
     , 'outputs', json_build_object('__typename', 'MlflowRunOutputs'
       , 'modelOutputs', coalesce((select json_agg(json_build_object('__typename', 'MlflowModelOutput', 'modelId', x.model_id, 'step', x.step::text) order by x.id) from run_models x where x.run = r.id and x.output), '[]'))))) as data
  from runs r
  join experiments e on e.id = r.experiment_id
 where r.run_id = $1::text;

-- name: runs_experiments
select distinct r.experiment_id::text from runs r where r.run_id = any ($1::text[]);
