-- A team's year, made by generate_series: :runs runs in 50 experiments (a 51st is empty), two metrics of 50 points each, four params, the usual tags, datasets, models, artifacts.
-- Numbers come from hashes of the run's number, so that every machine has the same ones. Half of the runs are sealed into metric_chunks.

insert into experiments (id, name, artifact_location, creation_time, last_update_time, deleted_time)
select i
     , case when i = 0 then 'Default' else format('team%s/project%s/experiment%s', i % 5, i % 10, i) end
     , format('mlflow-artifacts:/%s', i), t.now - 365 * 86400000::bigint, t.now
     , case when i = 49 then t.now end
  from generate_series(0, 50) i
 cross join (select (extract(epoch from date_trunc('day', now())) * 1000)::bigint as now) t
on conflict (id) do update set name = excluded.name;

insert into experiment_tags values (1, 'tallyd.direction.mae', 'max'), (1, 'mlflow.note.content', 'First of them');

insert into keys (key) values ('rmse'), ('mae'), ('alpha'), ('l1_ratio'), ('optimizer'), ('seed') on conflict do nothing;

-- Multiplicative hashing, stable between versions of PostgreSQL.
create function pg_temp.draw(i bigint, salt bigint) returns double precision language sql immutable
return ((i * 2654435761 + salt * 40503 + 12345) % 1000003) / 1000003.0;

create temp table made as
select i as id
     , md5(i::text) as run_id
     , i % 50 as experiment_id
     , t.now - (i * 7919 % 31536000)::bigint * 1000 as start_time
     , case when i % 40 = 0 then 1 when i % 23 = 0 then 4 when i % 61 = 0 then 5 else 3 end as status
     , case when i % 97 = 0 then 1 else 0 end as lifecycle
     , format('user%s', i % 17) as user_id
     , pg_temp.draw(i, 1) as quality
     , t.now
  from generate_series(1, :runs) i
 cross join (select (extract(epoch from date_trunc('day', now())) * 1000)::bigint as now) t;

insert into runs (id, run_id, experiment_id, run_rank, start_time, end_time, deleted_time, status, lifecycle, user_id, name, artifact_uri)
select id, run_id, experiment_id, run_rank_of(run_id), start_time
     , case when status <> 1 then start_time + 60000 + (id * 31 % 7200) * 1000 end
     , case when lifecycle = 1 then now end
     , status, lifecycle, user_id, format('run-%s', id), format('mlflow-artifacts:/%s/%s/artifacts', experiment_id, run_id)
  from made;

insert into tags (run, key_id, deleted, experiment_id, start_time, run_rank, value)
select m.id, k.id, m.lifecycle = 1, m.experiment_id, m.start_time, run_rank_of(m.run_id), v.value
  from made m
 cross join lateral (values
         ('mlflow.runName', format('run-%s', m.id))
       , ('mlflow.user', m.user_id)
       , ('mlflow.source.name', 'train.py')
       , ('mlflow.source.type', 'LOCAL')
       , ('mlflow.source.git.commit', case when m.id % 3 > 0 then md5((m.id / 500)::text) end)
       , ('mlflow.parentRunId', case when m.id % 10 = 5 then md5((m.id - 5)::text) end)
       ) v (key, value)
  join keys k on k.key = v.key
 where v.value is not null;

insert into params (run, key_id, deleted, experiment_id, start_time, run_rank, value)
select m.id, k.id, m.lifecycle = 1, m.experiment_id, m.start_time, run_rank_of(m.run_id), v.value
  from made m
 cross join lateral (values
         ('alpha', ((m.id / 50) % 10 / 10.0)::numeric(3, 1)::text)
       , ('l1_ratio', ((m.id / 500) % 10 / 10.0)::numeric(3, 1)::text)
       , ('optimizer', (array['sgd', 'adam', 'lbfgs'])[1 + m.id % 3])
       , ('seed', (m.id % 4)::text)
       ) v (key, value)
  join keys k on k.key = v.key;

create temp table points as
select m.id as run, k.id as key_id, m.experiment_id, m.start_time, m.run_id, m.lifecycle, s.step, m.start_time + s.step * 1000 as timestamp
     , case when m.id % 201 = 0 and s.step = 49 then 'NaN'::double precision
            else (1 + m.quality) / (1 + s.step * 0.1) + pg_temp.draw(m.id * 50 + s.step, k.id) * 0.01 end as value
  from made m
  join keys k on k.key in ('rmse', 'mae')
 cross join generate_series(0, 49) s (step);

insert into metrics (run, key_id, step, timestamp, value)
select run, key_id, step, timestamp, value
  from points
 where run % 2 = 0;

insert into metric_chunks (run, key_id, chunk, points, first_step, last_step, step_by, first_timestamp, last_timestamp, timestamp_deltas, values)
select run, key_id, 0, count(*), min(step), max(step), 1, min(timestamp), max(timestamp)
     , array_agg(case when step = 0 then 0 else 1000 end order by step)
     , array_agg(value order by step)
  from points
 where run % 2 = 1
 group by run, key_id;

insert into latest_metrics (run, key_id, deleted, experiment_id, value, search_value, step, timestamp, start_time, run_rank)
select run, key_id, lifecycle = 1, experiment_id, value, value, step, timestamp, start_time, run_rank_of(run_id)
  from points
 where step = 49;

insert into artifact_usage (run, bytes, files, approximate, updated_time)
select id, 1000000 + id % 1000 * 1000, 5, id % 500 = 0, now
  from made
 where id % 2 = 0;

insert into datasets (id, experiment_id, name, digest, source_type, source)
select i * 2 + j, i, format('wine-%s', j), md5(j::text), 'http', 'http://data.example/wine.csv'
  from generate_series(0, 49) i
 cross join generate_series(0, 1) j;
insert into run_datasets (run, dataset_id, context)
select id, experiment_id * 2 + id % 2, case when id % 4 < 3 then 'training' else 'eval' end
  from made
 where id % 5 <> 0;

insert into registered_models (id, name, creation_time, last_update_time, last_version)
select i, format('model-%s', i), t.now - 86400000::bigint * (i + 10), t.now - 86400000::bigint * i, 20
  from generate_series(1, 100) i
 cross join (select max(now) as now from made) t;
insert into registered_model_tags values (100, 'mlflow.prompt.is_prompt', 'true');
insert into model_versions (model, version, creation_time, last_update_time, user_id, stage, source, run_id, deleted)
select m, v, t.now - 86400000::bigint * (21 - v), t.now - 86400000::bigint * (21 - v), format('user%s', v % 17)
     , case when m > 90 then 0 when v = 20 then 1 when v = 19 then 2 when v = 18 then 3 else 0 end
     , format('models:/m-%s-%s', m, v), md5((m * 20 + v)::text), v = 1
  from generate_series(1, 100) m
 cross join generate_series(1, 20) v
 cross join (select max(now) as now from made) t;
insert into registered_model_aliases select i, 'champion', 19 from generate_series(1, 50) i;
insert into logged_models (model_id, experiment_id, name, artifact_uri, status, source_run_id, creation_time, last_update_time)
select 'm-' || run_id, experiment_id, 'model', format('mlflow-artifacts:/%s/models/m-%s/artifacts', experiment_id, run_id), 2, run_id, start_time, start_time
  from made
 where id % 10 = 0;
insert into model_usage (model, bytes, files, approximate, updated_time)
select l.id, 2000 + m.id % 100, 3, m.id % 200 = 0, now
  from made m
  join logged_models l on l.model_id = 'm-' || m.run_id
 where m.id % 20 = 0;
