-- name: run_columns
-- Chosen columns of a page of runs: $1 identities, $2 metric names, $3 param names, $4 tag names, $5 and $6 metrics of which the least and the largest value is wanted. As run_page; kinds 7 least and
-- 8 largest over the whole history of a metric, for these runs only.
select r.id as run, 0 as kind, null::bytea as keys, null::bytea as numbers, null::bytea as timestamps, null::bytea as steps, null::bytea as texts, i.*
  from runs r
  join experiments e on e.id = r.experiment_id
 cross join lateral run_info(r, e.deleted_time) i
 where r.id = any ($1::bigint[])
union all
select run, 1, string_agg(int4send(key_id), ''), string_agg(float8send(value), ''), null, null, null, null, null, null, null, null, null, null, null, null, null
  from latest_metrics
 where run = any ($1::bigint[])
   and key_id = any (array(select id from keys where key = any ($2::text[])))
 group by run
union all
select run, 2, string_agg(int4send(key_id), ''), null, null, null, string_agg(textsend(value), '\000'), null, null, null, null, null, null, null, null, null, null
  from params
 where run = any ($1::bigint[])
   and key_id = any (array(select id from keys where key = any ($3::text[])))
 group by run
union all
select run, 3, string_agg(int4send(key_id), ''), null, null, null, string_agg(textsend(value), '\000'), null, null, null, null, null, null, null, null, null, null
  from tags
 where run = any ($1::bigint[])
   and key_id = any (array(select id from keys where key = any ($4::text[])))
 group by run
union all
select i.run, 4, null, null, null, null, textsend(string_agg(json_strip_nulls(json_build_object('name', d.name, 'digest', d.digest, 'context', i.context))::text, ',' order by i.dataset_id)), null, null, null, null, null, null, null, null, null, null
  from run_datasets i
  join datasets d on d.id = i.dataset_id
 where i.run = any ($1::bigint[])
 group by i.run
union all
select run, 5, null, null, null, null, textsend(string_agg(to_json(model_id)::text, ',' order by id)), null, null, null, null, null, null, null, null, null, null
  from run_models
 where run = any ($1::bigint[])
   and output
 group by run
union all
select s.run, s.kind, string_agg(int4send(s.key_id), ''), string_agg(float8send(case s.kind when 7 then least(h.least, c.least) else greatest(h.most, c.most) end), ''), null, null, null, null, null, null, null, null, null, null, null, null, null
  from (
         select r.run, 7 as kind, k.id as key_id from unnest($1::bigint[]) as r(run) cross join keys k where k.key = any ($5::text[])
          union all
         select r.run, 8, k.id from unnest($1::bigint[]) as r(run) cross join keys k where k.key = any ($6::text[])
       ) s
 cross join lateral (select min(m.value) as least, max(m.value) as most from metrics m where m.run = s.run and m.key_id = s.key_id and m.value < 'NaN') h
 cross join lateral (
         select min(case when x.numbers is null then (select min(u.v) from unnest(x.values) as u(v) where u.v < 'NaN') else x.minimum end) as least
              , max(case when x.numbers is null then (select max(u.v) from unnest(x.values) as u(v) where u.v < 'NaN') else x.maximum end) as most
           from metric_chunks x
          where x.run = s.run
            and x.key_id = s.key_id
       ) c
 where coalesce(h.least, c.least) is not null
 group by s.run, s.kind;

-- name: metric_keys
-- Names in use in experiments $1, holding $2 (any case), at most $3, after $4; $5: only those that do not number things (layer/12/norm, fold_3). A search begins at the names that hold it, each looked up in the index. Else it is one step of the index for each key; after 1,000 of
-- them a short list goes on by the names in their order and stops when it is full: total is then a least, and `more` says so. Where names are far more than one experiment can use, every step is taken.
with recursive how as materialized (select c.reltuples > 200000 as vast, $2::text <> '' as asked, $3::bigint > 1000 as whole from pg_class c where c.oid = 'keys'::regclass)
, k(experiment_id, key_id) as (
    select e.id, (select min(l.key_id) from latest_metrics l where l.experiment_id = e.id and not l.deleted)
      from unnest($1::bigint[]) as e(id)
     where (select not h.asked or h.vast from how h)
     union all
    select k.experiment_id, (select min(l.key_id) from latest_metrics l where l.experiment_id = k.experiment_id and l.key_id > k.key_id and not l.deleted) from k where k.key_id is not null
  )
, few as materialized (select k.key_id from k where k.key_id is not null limit (select case when not (h.vast or h.whole) then 1001 end from how h))
, many as materialized (select count(*) > 1000 and not (h.vast or h.whole) as yes from few cross join how h group by h.vast, h.whole)
, n as (
    select keys.key from few join keys on keys.id = few.key_id where not (select m.yes from many m) and position(lower($2::text) in lower(keys.key)) > 0 and keys.key > $4::text and ($5::boolean is not true or keys.key !~ '(^|[^[:alpha:]])[0-9]')
     union
    (
    select f.key
      from (select keys.id, keys.key from keys where keys.key > $4::text and ($5::boolean is not true or keys.key !~ '(^|[^[:alpha:]])[0-9]') and position(lower($2::text) in lower(keys.key)) > 0 order by keys.key offset 0) f
     where ((select m.yes from many m) or (select h.asked and not h.vast from how h))
       and (select true from unnest($1::bigint[]) as e(id) where (select true from latest_metrics l where l.experiment_id = e.id and l.key_id = f.id and not l.deleted limit 1) limit 1)
     limit (select case when m.yes then $3::bigint end from many m)
    )
  )
select (select json_agg(x.key order by x.key) from (select key from n order by key limit $3::bigint) x) as keys
     , case when (select m.yes from many m) then 1001 else (select count(*) from n) end as total
     , (select m.yes from many m) or null as more;

-- like: param_keys metric_keys latest_metrics params
-- like: tag_keys metric_keys latest_metrics tags

-- name: run_groups
-- $1 identities, $2 what to group by ("params.alpha"), $3 metric names. NaN and what a square overflows (infinite is stored as the largest double) are in count, not in mean and spread.
with by as materialized (
    select b.name, b.i::integer as i, split_part(b.name, '.', 1) as kind, (select k.id from keys k where k.key = substr(b.name, strpos(b.name, '.') + 1)) as key_id
      from unnest($2::text[]) with ordinality as b(name, i)
  )
, v as materialized (
    select r.run, r.i, array_agg(x.value order by b.i) as key
      from unnest($1::bigint[]) with ordinality as r(run, i)
     cross join by b
      left join lateral (
             select p.value from params p where b.kind = 'params' and p.run = r.run and p.key_id = b.key_id
              union all
             select t.value from tags t where b.kind = 'tags' and t.run = r.run and t.key_id = b.key_id
           ) x on true
     group by r.run, r.i
  )
, m as materialized (
    select v.key, k.key as metric, avg(l.value) filter (where f.finite) as mean, coalesce(stddev_pop(l.value) filter (where f.finite), 0) as std, min(l.value) filter (where l.value < 'NaN') as min, max(l.value) filter (where l.value < 'NaN') as max, count(*) as count
         , count(*) filter (where f.finite) as finite
      from v
     cross join (select k.id, k.key from keys k where k.key = any ($3::text[]) offset 0) k
      join latest_metrics l on l.run = v.run and l.key_id = k.id
     cross join lateral (select l.value between -1e150 and 1e150 as finite) f
     group by v.key, k.key
  )
, s as materialized (
    select m.key, json_object_agg(m.metric, json_build_object('mean', m.mean, 'std', m.std, 'min', m.min, 'max', m.max, 'count', m.count, 'finite', m.finite)) as metrics from m group by m.key
  )
, g as materialized (
    select v.key, count(*) as count, min(v.i) as first, (array_agg(v.run order by v.i))[1:100] as runs from v group by v.key
  )
select (select json_object_agg(b.name, g.key[b.i] order by b.i) from by b) as key, g.count
     , (select json_agg(r.run_id order by o.i) from unnest(g.runs) with ordinality as o(run, i) join runs r on r.id = o.run) as run_ids
     , coalesce(s.metrics, '{}') as metrics
  from g
  left join s on s.key = g.key
 order by g.first;

-- name: experiment_counts
-- Number of active runs and last activity of every experiment that has any.
select r.experiment_id::text as experiment_id, count(*) as run_count, max(r.start_time) as last_run_time from runs r where r.lifecycle <> 1 group by r.experiment_id;

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
                , 'tags', (select coalesce(json_agg(json_build_object('__typename', 'MlflowInputTag', 'key', t ->> 'key', 'value', t ->> 'value')), '[]') from jsonb_array_elements(i.tags) t)) order by i.dataset_id)
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
