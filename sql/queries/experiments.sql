-- name: experiment_default
-- The experiment 0, made at the first start; $1 the artifact root, $2 now.
insert into experiments (id, name, artifact_location, creation_time, last_update_time)
values (0, 'Default', location_join($1::text, '0'), $2::bigint, $2::bigint)
    on conflict do nothing;

-- name: experiment_create
select fail, experiment_id from experiment_create($1::bytea, $2::text, $3::text, $4::text, $5::bigint, $6::text::jsonb, $7::bigint);

-- name: experiment_get
select experiment_json(e) as experiment from experiments e where e.id = $1::bigint;

-- name: experiment_get_by_name
select experiment_json(e) as experiment from experiments e where e.workspace = 'default' and e.name = $1::text;

-- name: experiments_page
-- Experiments of a found page, in its order.
select experiment_json(e) as experiment
  from unnest($1::bigint[]) with ordinality as p(id, i)
  join experiments e on e.id = p.id
 order by p.i;

-- name: experiment_update
with e as (select e.id, e.deleted_time from experiments e where e.id = $1::bigint for no key update)
, taken as (select from experiments x where x.workspace = 'default' and x.name = $2::text and x.id <> $1::bigint)
, u as (
    update experiments x
       set name = $2::text, last_update_time = $3::bigint
      from e
     where x.id = e.id
       and e.deleted_time is null
       and not exists (select from taken)
  )
select case when e.deleted_time is not null then 'deleted' when exists (select from taken) then 'taken' end as fail from e;

-- name: experiment_delete
with e as (
    update experiments e
       set deleted_time = $2::bigint, last_update_time = $2::bigint
     where e.id = $1::bigint
       and e.deleted_time is null
    returning e.id
  )
, q as (delete from repeats x using e where x.object = 'experiment:' || e.id)
select id as _id from e;

-- name: experiment_restore
-- Every run becomes active again, also those deleted one by one before.
with e as (
    update experiments e
       set deleted_time = null, last_update_time = $2::bigint
     where e.id = $1::bigint
       and e.deleted_time is not null
    returning e.id
  )
, r as (
    update runs r
       set lifecycle = 0, deleted_time = null
      from e
     where r.experiment_id = e.id
       and r.lifecycle <> 0
    returning r.id
  )
, m as (update latest_metrics c set deleted = false from r where c.run = r.id and c.deleted)
, p as (update params c set deleted = false from r where c.run = r.id and c.deleted)
, t as (update tags c set deleted = false from r where c.run = r.id and c.deleted)
select id as _id from e;

-- name: experiment_set_tag
with e as (select e.id, e.deleted_time from experiments e where e.id = $1::bigint)
, t as (
    insert into experiment_tags (experiment_id, key, value)
    select e.id, $2::text, coalesce($3::text, '') from e where e.deleted_time is null
        on conflict (experiment_id, key) do update set value = excluded.value
  )
select case when e.deleted_time is not null then 'deleted' end as fail from e;

-- name: experiment_delete_tag
with e as (select e.id, e.deleted_time from experiments e where e.id = $1::bigint)
, t as (
    delete from experiment_tags t
     using e
     where t.experiment_id = e.id
       and e.deleted_time is null
       and t.key = $2::text
    returning 1
  )
select case when e.deleted_time is not null then 'deleted' when not exists (select from t) then 'no tag' end as fail from e;

-- name: experiments_overview
-- Every experiment, for the list of the web page. $1 view type; $2 with its counts, which read all runs.
select e.id::text as experiment_id, e.name, e.artifact_location, case when e.deleted_time is null then 'active' else 'deleted' end as lifecycle_stage
     , e.creation_time, e.last_update_time
     , case when $2::boolean then coalesce(c.runs, 0) end as run_count, c.last as last_run_time
     , t.tags
  from experiments e
  left join (select r.experiment_id, count(*) as runs, max(r.start_time) as last from runs r where $2::boolean and r.lifecycle <> 1 group by r.experiment_id) c on c.experiment_id = e.id
  left join (select x.experiment_id, json_agg(json_build_object('key', x.key, 'value', x.value) order by x.key) as tags from experiment_tags x group by x.experiment_id) t on t.experiment_id = e.id
 where $1::integer = 3
    or ($1::integer = 1 and e.deleted_time is null)
    or ($1::integer = 2 and e.deleted_time is not null)
 order by e.name;
