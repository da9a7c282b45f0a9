-- name: repeat_answered
update repeats set answered_us = $2::bigint where key = $1::bytea;

-- name: keys_of
-- Numbers of key names, new ones made. A name that another transaction is making now may be missing: ask again.
with given as (select distinct unnest($1::text[]) as key)
, new as (
    insert into keys (key)
    select g.key
      from given g
     where not exists (select from keys k where k.key = g.key)
     order by g.key
        on conflict do nothing
    returning id, key
  )
select id, key from new
union all
select k.id, k.key from keys k join given g on k.key = g.key;

-- name: keys_by_id
select id, key from keys where id = any ($1::integer[]);

-- name: log_write
select req, problem, key_id, old, new
  from log_write($1::text[], $2::integer[], $3::integer[], $4::bigint[], $5::bigint[], $6::double precision[]
     , $7::integer[], $8::integer[], $9::bigint[], $10::bigint[], $11::double precision[]
     , $12::integer, $13::integer[], $14::integer[], $15::integer[]
     , $16::integer[], $17::integer[], $18::text[]
     , $19::integer[], $20::integer[], $21::text[]
     , $22::integer[], $23::text[], $24::text[], $25::bigint[], $26::bigint[], $27::double precision[], $28::text[], $29::text[]);

-- name: log_points
-- log_write() for a batch of nothing but metric points that go into metric_log: the same in one plan. A row for each request: its run's number, which holds until `changes` is another.
with x as materialized (
    select r.id, r.problem, row_number() over () as i from logged_runs($1::text[]) r
  )
, w as (
    insert into metric_log (runs, requests, keys, steps, timestamps, values)
    select array_agg(case when x.problem = 0 then x.id else 0 end order by x.i), $2::integer[], $3::integer[], $4::bigint[], $5::bigint[], $6::double precision[] from x
  )
select x.i::integer as req, x.problem, x.id, coalesce((select c.latest from run_changes c), 0) as changes from x;

-- name: log_known
-- The same for runs whose numbers are known. Nothing is stored when a run was deleted or restored since ($7: run_changes.latest of then).
insert into metric_log (runs, requests, keys, steps, timestamps, values)
select $1::bigint[], $2::integer[], $3::integer[], $4::bigint[], $5::bigint[], $6::double precision[]
 where (select c.latest from run_changes c) = $7::bigint;

-- name: log_apply
select batches, points, last, more from log_apply($1::bigint, $2::integer);

-- name: run_create
select fail, run_id, artifact_uri, name from run_create($1::bytea, $2::text, $3::bigint, $4::text, $5::text, $6::bigint, $7::integer[], $8::text[], $9::bigint);

-- name: run_update
-- $1 run ids, each once, $2 statuses, $3 end times, $4 names; null: stays as it is. A row for each run that is there. Rows are locked in the order of $1: sorted, so that nobody waits crosswise.
-- The limit changes nothing but the planner's guess: few, that is look-ups, whatever it thinks of the tables.
with g as (
    select * from unnest($1::text[], $2::integer[], $3::bigint[], $4::text[]) with ordinality as g(run_id, status, end_time, name, i) limit cardinality($1::text[])
  )
, u as (
    update runs r
       set status = coalesce(g.status, r.status), end_time = coalesce(g.end_time, r.end_time), name = coalesce(g.name, r.name)
      from g
     where r.run_id = g.run_id
       and (r.lifecycle = 2 or (r.lifecycle = 0 and (select e.deleted_time is null from experiments e where e.id = r.experiment_id)))
    returning r.*, g.i, g.name as new_name
  )
, n as (
    insert into tags as t (run, key_id, experiment_id, start_time, run_rank, value)
    select u.id, 1, u.experiment_id, u.start_time, u.run_rank, u.new_name
      from u
     where u.new_name is not null
        on conflict (run, key_id) do update set value = excluded.value
     where t.value <> excluded.value
  )
select u.i as _request, null::text as fail
     , u.run_id, u.run_id as run_uuid, u.name as run_name, u.experiment_id::text as experiment_id, u.user_id
     , (array['RUNNING', 'SCHEDULED', 'FINISHED', 'FAILED', 'KILLED'])[u.status] as status
     , u.start_time, nullif(u.end_time, 0) as end_time, u.artifact_uri, 'active' as lifecycle_stage
  from u
union all
select g.i, 'deleted', null, null, null, null, null, null, null, null, null, null
  from g
 cross join lateral (select from runs r where r.run_id = g.run_id limit 1) r
 where (select count(*) from u) < cardinality($1::text[])
   and not exists (select from u where u.i = g.i);

-- name: run_delete
with r as (
    update runs r
       set lifecycle = 1, deleted_time = coalesce(r.deleted_time, $2::bigint)
     where r.run_id = $1::text
    returning r.id, r.run_id
  )
, m as (update latest_metrics c set deleted = true from r where c.run = r.id and not c.deleted)
, p as (update params c set deleted = true from r where c.run = r.id and not c.deleted)
, t as (update tags c set deleted = true from r where c.run = r.id and not c.deleted)
, q as (delete from repeats x using r where x.object = 'run:' || r.run_id)
select id as _id from r;

-- name: run_restore
with r as (
    update runs r
       set lifecycle = case when e.deleted_time is null then 0 else 2 end, deleted_time = null
      from experiments e
     where r.run_id = $1::text
       and e.id = r.experiment_id
    returning r.id
  )
, m as (update latest_metrics c set deleted = false from r where c.run = r.id and c.deleted)
, p as (update params c set deleted = false from r where c.run = r.id and c.deleted)
, t as (update tags c set deleted = false from r where c.run = r.id and c.deleted)
select id as _id from r;

-- name: run_delete_tag
with r as (
    select r.id, r.lifecycle = 1 or (r.lifecycle = 0 and e.deleted_time is not null) as deleted
      from runs r
      join experiments e on e.id = r.experiment_id
     where r.run_id = $1::text
  )
, d as (
    delete from tags t
     using r
     where t.run = r.id
       and not r.deleted
       and t.key_id = (select id from keys where key = $2::text)
    returning 1
  )
select case when r.deleted then 'deleted' when not exists (select from d) then 'no tag' end as fail from r;

-- name: run_page
-- Runs by identity ($1), or one by its id ($2): a row for each run and kind (api/run_json.c). What a run has many of comes packed, keys as four bytes each, numbers as eight, texts with a zero byte
-- between: a row for each value took longer to send and to read.
with x as materialized (select array(select unnest($1::bigint[]) union all select id from runs where run_id = $2::text) as runs)
select r.id as run, 0 as kind, null::bytea as keys, null::bytea as numbers, null::bytea as timestamps, null::bytea as steps, null::bytea as texts, i.*
  from runs r
  join experiments e on e.id = r.experiment_id
 cross join lateral run_info(r, e.deleted_time) i
 where r.id = any ((select x.runs from x)::bigint[])
union all
select run, 1, string_agg(int4send(key_id), ''), string_agg(float8send(value), ''), string_agg(int8send(timestamp), ''), string_agg(int8send(step), ''), null, null, null, null, null, null, null, null, null, null, null
  from latest_metrics
 where run = any ((select x.runs from x)::bigint[])
 group by run
union all
select run, 2, string_agg(int4send(key_id), ''), null, null, null, string_agg(textsend(value), '\000'), null, null, null, null, null, null, null, null, null, null
  from params
 where run = any ((select x.runs from x)::bigint[])
 group by run
union all
select run, 3, string_agg(int4send(key_id), ''), null, null, null, string_agg(textsend(value), '\000'), null, null, null, null, null, null, null, null, null, null
  from tags
 where run = any ((select x.runs from x)::bigint[])
 group by run
union all
select i.run, 4, null, null, null, null
     , textsend(string_agg(json_strip_nulls(json_build_object('dataset', json_build_object('name', d.name, 'digest', d.digest, 'source_type', d.source_type, 'source', d.source, 'schema', d.schema, 'profile', d.profile), 'tags', nullif(i.tags, '[]')))::text, ',' order by i.dataset_id)), null, null, null, null, null, null, null, null, null, null
  from run_datasets i
  join datasets d on d.id = i.dataset_id
 where i.run = any ((select x.runs from x)::bigint[])
 group by i.run
union all
select run, case when output then 5 else 6 end, null, null, null, null
     , textsend(string_agg((case when output then json_build_object('model_id', model_id, 'step', step) else json_build_object('model_id', model_id) end)::text, ',' order by id)), null, null, null, null, null, null, null, null, null, null
  from run_models
 where run = any ((select x.runs from x)::bigint[])
 group by run, output;

-- name: log_inputs
-- $1 run id, $2 datasets as MLflow's JSON [{dataset:{name,digest,source_type,source,schema,profile},tags:[{key,value}]}], $3 models [{model_id}]
with r as (
    select r.id, r.experiment_id, r.lifecycle = 1 or (r.lifecycle = 0 and e.deleted_time is not null) as deleted
      from runs r
      join experiments e on e.id = r.experiment_id
     where r.run_id = $1::text
  )
, given as (
    select distinct on (i.dataset ->> 'name', i.dataset ->> 'digest')
           i.dataset ->> 'name' as name, i.dataset ->> 'digest' as digest, coalesce(i.dataset ->> 'source_type', i.dataset ->> 'sourceType', '') as source_type
         , coalesce(i.dataset ->> 'source', '') as source, i.dataset ->> 'schema' as schema, i.dataset ->> 'profile' as profile, coalesce(i.tags, '[]') as tags
         , i.place
      from rows from (jsonb_to_recordset($2::text::jsonb) as (dataset jsonb, tags jsonb)) with ordinality as i(dataset, tags, place)
     order by 1, 2, i.place
  )
-- Numbered in the order of the request, in which a run shows them; inserted in the order of their names, so that two requests do not wait for each other.
, numbered as (
    select g.*, nextval(pg_get_serial_sequence('datasets', 'id')) as id
      from (select * from given order by place) g
  )
, made as (
    insert into datasets (id, experiment_id, name, digest, source_type, source, schema, profile)
    select g.id, r.experiment_id, g.name, g.digest, g.source_type, g.source, g.schema, g.profile
      from numbered g
     cross join r
     where not r.deleted
     order by g.name, g.digest
        on conflict (experiment_id, name, digest) do update set name = excluded.name
    returning id, name, digest
  )
, linked as (
    insert into run_datasets (run, dataset_id, context, tags)
    select r.id, m.id, (select t.value ->> 'value' from jsonb_array_elements(g.tags) t where t.value ->> 'key' = 'mlflow.data.context' limit 1), g.tags
      from made m
      join given g on g.name = m.name and g.digest = m.digest
     cross join r
        on conflict do nothing
  )
, models as (
    insert into run_models (run, model_id, output)
    select r.id, n.model_id, false
      from (
        select coalesce(m.value ->> 'model_id', m.value ->> 'modelId') as model_id, min(m.ordinality) as place
          from jsonb_array_elements($3::text::jsonb) with ordinality m
         group by 1
      ) n
     cross join r
     where not r.deleted
       and not exists (select from run_models x where x.run = r.id and not x.output and x.model_id = n.model_id)
     order by n.place
  )
select case when r.deleted then 'deleted' end as fail from r;

-- name: log_outputs
-- $1 run id, $2 models [{model_id, step}]
with r as (
    select r.id, r.lifecycle = 1 or (r.lifecycle = 0 and e.deleted_time is not null) as deleted
      from runs r
      join experiments e on e.id = r.experiment_id
     where r.run_id = $1::text
  )
, models as (
    insert into run_models (run, model_id, output, step)
    select r.id, coalesce(m.value ->> 'model_id', m.value ->> 'modelId'), true, coalesce((m.value ->> 'step')::bigint, 0)
      from jsonb_array_elements($2::text::jsonb) with ordinality m
     cross join r
     where not r.deleted
     order by m.ordinality
  )
select case when r.deleted then 'deleted' end as fail from r;

-- name: log_model
-- Appends the model's JSON to the list in tag mlflow.log-model.history.
with r as (
    select r.id, r.experiment_id, r.start_time, r.run_rank, r.lifecycle = 1 or (r.lifecycle = 0 and e.deleted_time is not null) as deleted
      from runs r
      join experiments e on e.id = r.experiment_id
     where r.run_id = $1::text
  )
, t as (
    insert into tags as t (run, key_id, experiment_id, start_time, run_rank, value)
    select r.id, (select id from keys where key = 'mlflow.log-model.history'), r.experiment_id, r.start_time, r.run_rank, jsonb_build_array($2::text::jsonb)::text
      from r
     where not r.deleted
        on conflict (run, key_id) do update set value = (t.value::jsonb || $2::text::jsonb)::text
  )
select case when r.deleted then 'deleted' end as fail from r;

-- name: run_place
-- Where a run's artifacts lie, for the artifact routes.
select r.artifact_uri, r.id as _id from runs r where r.run_id = $1::text;

-- name: search_datasets
select d.experiment_id::text as experiment_id, d.name, d.digest, i.context
  from datasets d
  join run_datasets i on i.dataset_id = d.id
 where d.experiment_id = any ($1::bigint[])
 group by d.experiment_id, d.name, d.digest, i.context
 limit 1000;

-- name: settle
-- Before a search by metrics: brings the sort copies of the experiments' latest values up to date.
select settle($1::bigint[], interval '0');

-- name: run_jobs
select run_jobs();
