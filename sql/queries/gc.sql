-- name: gc_lock
-- One gc at a time, whatever the server. Points on their way are moved first: nothing may come for a run that is gone.
select pg_try_advisory_lock(8386104252366954497) from log_apply(0);

-- name: gc_runs
-- Runs deleted (themselves or with their experiment) before $1, above id $2. kept_by: a model version that still needs the files.
select r.id
     , r.run_id
     , r.artifact_uri
     , (
         select m.name || ' version ' || v.version
           from model_versions v
           join registered_models m on m.id = v.model
          where not v.deleted
            and (v.run_id = r.run_id or starts_with(coalesce(nullif(v.storage_location, ''), v.source, ''), r.artifact_uri || '/'))
          limit 1
       ) as kept_by
  from runs r
  join experiments e on e.id = r.experiment_id
 where r.id > $2::bigint
   and ((r.lifecycle = 1 and r.deleted_time < $1::bigint) or (r.lifecycle = 0 and e.deleted_time < $1::bigint))
 order by r.id
 limit 200;

-- name: gc_run_claim
-- Holds a run against being restored while its files go; no row when it was restored meanwhile.
select r.id
  from runs r
  join experiments e on e.id = r.experiment_id
 where r.id = $1::bigint
   and (r.lifecycle = 1 or (r.lifecycle = 0 and e.deleted_time is not null))
   for update of r;

-- name: gc_run_delete
with gone as (
    delete from runs r where r.id = $1::bigint returning r.id, r.run_id
  )
, d1 as (delete from metrics x using gone g where x.run = g.id)
, d2 as (delete from latest_metrics x using gone g where x.run = g.id)
, d3 as (delete from metric_chunks x using gone g where x.run = g.id)
, d4 as (delete from params x using gone g where x.run = g.id)
, d5 as (delete from tags x using gone g where x.run = g.id)
, d6 as (delete from run_datasets x using gone g where x.run = g.id)
, d7 as (delete from run_models x using gone g where x.run = g.id)
, d8 as (delete from artifact_usage x using gone g where x.run = g.id)
, d9 as (delete from unsettled x using gone g where x.run = g.id)
, d10 as (delete from seal_queue x using gone g where x.run = g.id)
, d11 as (delete from seal_soon x using gone g where x.run = g.id)
select count(*) from gone;

-- name: gc_models
-- Logged models deleted (themselves or with their experiment) before $1, above id $2.
select l.id
     , l.model_id
     , l.artifact_uri
     , (
         select m.name || ' version ' || v.version
           from model_versions v
           join registered_models m on m.id = v.model
          where not v.deleted
            and (v.model_id = l.model_id or starts_with(coalesce(nullif(v.storage_location, ''), v.source, '') || '/', l.artifact_uri || '/'))
          limit 1
       ) as kept_by
  from logged_models l
  join experiments e on e.id = l.experiment_id
 where l.id > $2::bigint
   and (l.deleted_time < $1::bigint or e.deleted_time < $1::bigint)
 order by l.id
 limit 200;

-- name: gc_model_claim
select l.id
  from logged_models l
  join experiments e on e.id = l.experiment_id
 where l.id = $1::bigint
   and (l.deleted_time is not null or e.deleted_time is not null)
   for update of l;

-- name: gc_model_delete
with gone as (
    delete from logged_models l where l.id = $1::bigint returning l.id
  )
, d1 as (delete from model_usage x using gone g where x.model = g.id)
select count(*) from gone;

-- name: gc_experiments
-- Experiments deleted before $1 that hold nothing any more; $2 true: delete them.
with empty as (
    select e.id
      from experiments e
     where e.deleted_time < $1::bigint
       and e.id <> 0
       and not exists (select from runs r where r.experiment_id = e.id)
       and not exists (select from logged_models l where l.experiment_id = e.id)
  )
, gone as (
    delete from experiments e using empty x where $2::boolean and e.id = x.id
  )
select count(*) from empty;

-- name: gc_locations
-- Where experiments lie that are not folders of the roots $1 and $2 (with or without a slash at their end).
select distinct e.artifact_location
  from experiments e
 where rtrim(regexp_replace(rtrim(e.artifact_location, '/'), '/[^/]*$', ''), '/') not in (rtrim($1::text, '/'), rtrim($2::text, '/'));

-- name: gc_unknown
-- Of the names in the JSON list $1, those that are no run, nor a folder with experiments in it: $2 is the URI of their folder.
select x.name
  from json_array_elements_text($1::json) as x(name)
 where not exists (select from runs r where r.run_id = x.name)
   and not exists (select from experiments e where starts_with(e.artifact_location || '/', $2::text || '/' || x.name || '/'));

-- name: gc_unknown_models
-- Of the names in the JSON list $1, those that are no logged model. $2 is not used.
select x.name
  from json_array_elements_text($1::json) as x(name)
 where $2::text is not null
   and not exists (select from logged_models l where l.model_id = x.name);
