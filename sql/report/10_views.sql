-- The admins' contract: schema `report`. It only grows: a column is never renamed, retyped or removed, new ones come last. Applied after the migrations
-- whenever this file changes; creating views takes a moment's lock on the views alone. Times are timestamptz, durations seconds, sizes bytes.
-- Columns that cost something (counts, minimum and maximum over a history) are lateral joins or subselects: a query that does not name them does not pay.

create schema if not exists report;
comment on schema report is 'Reports for admins: stable, documented views on experiments, runs, models and storage. Read by the role tallyd_report. Views and columns are only ever added.';

create or replace function report.instant(milliseconds bigint) returns timestamptz
language sql immutable strict parallel safe
return to_timestamp(milliseconds / 1000.0);
comment on function report.instant(bigint) is 'Milliseconds since 1970 as a timestamp.';

create or replace function report.direction_of(key text) returns text
language sql immutable strict parallel safe
return case
  when key ~* '(loss|error|mse|mae|mape|perplexity)|(^|[^a-z])(err|wer|cer|nll|fid|latency|duration|time)([^a-z]|$)' then 'min'
  else 'max'
end;
comment on function report.direction_of(text) is 'Whether less (min) or more (max) of a metric is better, guessed from its name. The experiment tag tallyd.direction.NAME with the value min or max overrides it in report.metrics.';

-- No exception block, which a parallel query may not have: lengths are bounded so that no spelling over- or underflows.
create or replace function report.number_of(value text) returns double precision
language sql immutable strict parallel safe
return case when value ~ '^\s*[+-]?(\d{1,200}(\.\d{0,200})?|\.\d{1,200})([eE][+-]?\d{1,2})?\s*$' then value::double precision end;
comment on function report.number_of(text) is 'A text as a number; null when it is none, has more than 200 digits on a side of the point, or an exponent of more than two digits.';

create or replace view report.experiments as
select e.id as experiment_id
     , e.name as experiment
     , split_part(e.name, '/', 1) as team
     , e.artifact_location
     , case when e.deleted_time is null then 'active' else 'deleted' end as lifecycle_stage
     , report.instant(e.creation_time) as created_at
     , report.instant(e.last_update_time) as updated_at
     , report.instant(e.deleted_time) as deleted_at
     , coalesce(c.active_runs, 0) as active_runs
     , coalesce(c.deleted_runs, 0) as deleted_runs
     , c.last_run_at
     , n.value as description
  from public.experiments e
  left join (
         select r.experiment_id
              , count(*) filter (where r.lifecycle <> 1) as active_runs
              , count(*) filter (where r.lifecycle = 1) as deleted_runs
              , report.instant(max(r.start_time) filter (where r.lifecycle <> 1)) as last_run_at
           from public.runs r
          group by r.experiment_id
       ) c on c.experiment_id = e.id
  left join public.experiment_tags n on n.experiment_id = e.id and n.key = 'mlflow.note.content';
comment on view report.experiments is 'One row an experiment, deleted ones too.';
comment on column report.experiments.experiment_id is 'The experiment''s number; 0 is Default.';
comment on column report.experiments.experiment is 'Its name; slashes make folders.';
comment on column report.experiments.team is 'First part of the name, up to the first slash.';
comment on column report.experiments.artifact_location is 'URI under which artifacts of new runs lie.';
comment on column report.experiments.lifecycle_stage is 'active or deleted.';
comment on column report.experiments.created_at is 'When it was created.';
comment on column report.experiments.updated_at is 'When it was last renamed, deleted or restored.';
comment on column report.experiments.deleted_at is 'When it was deleted; null while active.';
comment on column report.experiments.active_runs is 'Runs in it that were not deleted one by one.';
comment on column report.experiments.deleted_runs is 'Runs in it that were deleted one by one and not yet removed by gc.';
comment on column report.experiments.last_run_at is 'Start of the newest run that is not deleted.';
comment on column report.experiments.description is 'Its note, in Markdown.';

create or replace view report.experiment_tags as
select t.experiment_id
     , t.key
     , t.value
  from public.experiment_tags t;
comment on view report.experiment_tags is 'One row a tag of an experiment.';
comment on column report.experiment_tags.experiment_id is 'The experiment.';
comment on column report.experiment_tags.key is 'Name of the tag.';
comment on column report.experiment_tags.value is 'Its text.';

-- Numbers of the tags that every run may carry: rows 1 to 7 of keys, inserted in that order by the first migration.
create or replace view report.runs as
select r.run_id
     , r.experiment_id
     , e.name as experiment
     , split_part(e.name, '/', 1) as team
     , r.name as run_name
     , case r.status when 1 then 'RUNNING' when 2 then 'SCHEDULED' when 3 then 'FINISHED' when 4 then 'FAILED' when 5 then 'KILLED' end as status
     , case when r.lifecycle = 1 or (r.lifecycle = 0 and e.deleted_time is not null) then 'deleted' else 'active' end as lifecycle_stage
     , case when r.user_id <> '' then r.user_id else (select u.value from public.tags u where u.run = r.id and u.key_id = 2) end as user_name
     , s.value as source_name
     , y.value as source_type
     , g.value as git_commit
     , p.value as parent_run_id
     , report.instant(r.start_time) as started_at
     , report.instant(r.end_time) as ended_at
     , (r.end_time - r.start_time) / 1000.0::double precision as duration_seconds
     , report.instant(r.deleted_time) as deleted_at
     , r.artifact_uri
     , n.value as description
     , (r.lifecycle = 1 or (r.lifecycle = 0 and e.deleted_time is not null)) as deleted
  from public.runs r
  join public.experiments e on e.id = r.experiment_id
  left join public.tags s on s.run = r.id and s.key_id = 3
  left join public.tags y on y.run = r.id and y.key_id = 4
  left join public.tags g on g.run = r.id and g.key_id = 5
  left join public.tags p on p.run = r.id and p.key_id = 6
  left join public.tags n on n.run = r.id and n.key_id = 7;
comment on view report.runs is 'One row a run, deleted ones too.';
comment on column report.runs.run_id is 'The run''s id, as in the client and the browser.';
comment on column report.runs.experiment_id is 'Its experiment.';
comment on column report.runs.experiment is 'Name of the experiment.';
comment on column report.runs.team is 'First part of the experiment''s name, up to the first slash.';
comment on column report.runs.run_name is 'Name of the run.';
comment on column report.runs.status is 'RUNNING, SCHEDULED, FINISHED, FAILED or KILLED, as the client last said: a job that was killed may show RUNNING for ever.';
comment on column report.runs.lifecycle_stage is 'active or deleted; a run of a deleted experiment is deleted.';
comment on column report.runs.user_name is 'User as the client said it.';
comment on column report.runs.source_name is 'Script, notebook or project that was run.';
comment on column report.runs.source_type is 'LOCAL, NOTEBOOK, PROJECT, JOB or as the client said.';
comment on column report.runs.git_commit is 'Commit of the code, when the client knew it.';
comment on column report.runs.parent_run_id is 'Parent of a nested run.';
comment on column report.runs.started_at is 'Start, by the client''s clock.';
comment on column report.runs.ended_at is 'End, by the client''s clock; null while it runs.';
comment on column report.runs.duration_seconds is 'Seconds from start to end; null while it runs.';
comment on column report.runs.deleted_at is 'When it was deleted; null while active.';
comment on column report.runs.artifact_uri is 'Where its artifacts lie.';
comment on column report.runs.description is 'Its note, in Markdown.';
comment on column report.runs.deleted is 'lifecycle_stage as a boolean: the planner knows better how many rows it leaves.';
-- So that it also knows what a condition on the status leaves.
create statistics if not exists report.runs_status on (case status when 1 then 'RUNNING' when 2 then 'SCHEDULED' when 3 then 'FINISHED' when 4 then 'FAILED' when 5 then 'KILLED' end) from public.runs;
comment on statistics report.runs_status is 'How often each status of report.runs occurs.';

create or replace view report.params as
select r.run_id
     , p.experiment_id
     , k.key
     , p.value
     , report.number_of(p.value) as number
     , report.instant(p.start_time) as run_started_at
     , case r.status when 1 then 'RUNNING' when 2 then 'SCHEDULED' when 3 then 'FINISHED' when 4 then 'FAILED' when 5 then 'KILLED' end as status
     , (r.lifecycle = 1 or (r.lifecycle = 0 and e.deleted_time is not null)) as deleted
  from public.params p
  join public.runs r on r.id = p.run
  left join public.experiments e on e.id = r.experiment_id
  join public.keys k on k.id = p.key_id;
comment on view report.params is 'One row a param of a run.';
comment on column report.params.run_id is 'The run.';
comment on column report.params.experiment_id is 'Its experiment.';
comment on column report.params.key is 'Name of the param.';
comment on column report.params.value is 'Its text, as logged.';
comment on column report.params.number is 'Its text as a number, null when it is none.';
comment on column report.params.run_started_at is 'Start of the run.';
comment on column report.params.status is 'Status of the run.';
comment on column report.params.deleted is 'True when the run, or its experiment, is deleted.';

create or replace view report.metrics as
select r.run_id
     , l.experiment_id
     , k.key
     , l.value as last
     , l.step as last_step
     , report.instant(l.timestamp) as last_logged_at
     , h.minimum
     , h.maximum
     , case d.direction when 'min' then h.minimum else h.maximum end as best
     , d.direction
     , h.points
     , report.instant(l.start_time) as run_started_at
     , case r.status when 1 then 'RUNNING' when 2 then 'SCHEDULED' when 3 then 'FINISHED' when 4 then 'FAILED' when 5 then 'KILLED' end as status
     , (r.lifecycle = 1 or (r.lifecycle = 0 and e.deleted_time is not null)) as deleted
  from public.latest_metrics l
  join public.runs r on r.id = l.run
  left join public.experiments e on e.id = r.experiment_id
  join public.keys k on k.id = l.key_id
  left join public.experiment_tags t on t.experiment_id = l.experiment_id and t.key = 'tallyd.direction.' || k.key
  left join lateral (select max(report.direction_of(n.key)) as guess from public.keys n where n.id = l.key_id) g on true
 cross join lateral (select coalesce(case when t.value in ('min', 'max') then t.value end, g.guess) as direction) d
  left join lateral (
         select min(v.least) as minimum
              , max(v.most) as maximum
              , coalesce(sum(v.points), 0) as points
           from (
                  select nullif(m.value, 'NaN') as least, nullif(m.value, 'NaN') as most, 1 as points
                    from public.metrics m
                   where m.run = l.run
                     and m.key_id = l.key_id
                  union all
                  select c.minimum, c.maximum, c.points
                    from public.metric_chunks c
                   where c.run = l.run
                     and c.key_id = l.key_id
                     and c.numbers is not null
                  union all
                  select nullif(u.value, 'NaN'), nullif(u.value, 'NaN'), 1
                    from public.metric_chunks c
                   cross join unnest(c.values) as u(value)
                   where c.run = l.run
                     and c.key_id = l.key_id
                     and c.numbers is null
                ) v
       ) h on true;
-- (The guess is an aggregate so that the planner may keep one answer a key, and leave the join out of queries that do not ask for it.)
comment on view report.metrics is 'One row a metric of a run. minimum, maximum, best and points read the history of each row (its summaries, once it is sealed): name experiments or runs before asking for them.';
comment on column report.metrics.run_id is 'The run.';
comment on column report.metrics.experiment_id is 'Its experiment.';
comment on column report.metrics.key is 'Name of the metric.';
comment on column report.metrics.last is 'Last value: of the largest step, then the latest time. The unit is the metric''s own.';
comment on column report.metrics.last_step is 'Step of the last value.';
comment on column report.metrics.last_logged_at is 'Time of the last value, by the client''s clock.';
comment on column report.metrics.minimum is 'Least value of the history, NaN left out.';
comment on column report.metrics.maximum is 'Largest value of the history, NaN left out.';
comment on column report.metrics.best is 'minimum or maximum, by direction.';
comment on column report.metrics.direction is 'min: less is better; max: more is better. From the experiment''s tag tallyd.direction.NAME, otherwise guessed from the name.';
comment on column report.metrics.points is 'Points in the history.';
comment on column report.metrics.run_started_at is 'Start of the run.';
comment on column report.metrics.status is 'Status of the run.';
comment on column report.metrics.deleted is 'True when the run, or its experiment, is deleted.';

create or replace view report.metric_history as
select r.run_id
     , r.experiment_id
     , k.key
     , p.step
     , report.instant(p.timestamp) as logged_at
     , p.value
  from public.metric_points p
  join public.runs r on r.id = p.run
  join public.keys k on k.id = p.key_id;
comment on view report.metric_history is 'One row a point of a metric. Name run_id and key, or at least a few runs: the whole of it may be billions of rows. A point logged again long after its run has ended may show twice.';
comment on column report.metric_history.run_id is 'The run.';
comment on column report.metric_history.experiment_id is 'Its experiment.';
comment on column report.metric_history.key is 'Name of the metric.';
comment on column report.metric_history.step is 'Step.';
comment on column report.metric_history.logged_at is 'Time, by the client''s clock.';
comment on column report.metric_history.value is 'The value; NaN is kept, infinities are the largest double.';

create or replace view report.tags as
select r.run_id
     , t.experiment_id
     , k.key
     , t.value
     , case r.status when 1 then 'RUNNING' when 2 then 'SCHEDULED' when 3 then 'FINISHED' when 4 then 'FAILED' when 5 then 'KILLED' end as status
     , (r.lifecycle = 1 or (r.lifecycle = 0 and e.deleted_time is not null)) as deleted
  from public.tags t
  join public.runs r on r.id = t.run
  left join public.experiments e on e.id = r.experiment_id
  join public.keys k on k.id = t.key_id;
comment on view report.tags is 'One row a tag of a run.';
comment on column report.tags.run_id is 'The run.';
comment on column report.tags.experiment_id is 'Its experiment.';
comment on column report.tags.key is 'Name of the tag; those of MLflow itself begin with mlflow.';
comment on column report.tags.value is 'Its text.';
comment on column report.tags.status is 'Status of the run.';
comment on column report.tags.deleted is 'True when the run, or its experiment, is deleted.';

create or replace view report.models as
select m.name as model
     , m.description
     , report.instant(m.creation_time) as created_at
     , report.instant(m.last_update_time) as updated_at
     , (select count(*) from public.model_versions v where v.model = m.id and not v.deleted) as versions
     , (select max(v.version) from public.model_versions v where v.model = m.id and not v.deleted) as latest_version
     , (select array_agg(a.alias order by a.alias) from public.registered_model_aliases a where a.model = m.id) as aliases
     , exists (select from public.registered_model_tags t where t.model = m.id and t.key = 'mlflow.prompt.is_prompt' and lower(t.value) = 'true') as is_prompt
  from public.registered_models m;
comment on view report.models is 'One row a registered model; prompts are in it as well.';
comment on column report.models.model is 'Name.';
comment on column report.models.description is 'Description.';
comment on column report.models.created_at is 'When it was registered.';
comment on column report.models.updated_at is 'When it was last changed.';
comment on column report.models.versions is 'Versions that are not deleted.';
comment on column report.models.latest_version is 'Highest number among them.';
comment on column report.models.aliases is 'All aliases of the model.';
comment on column report.models.is_prompt is 'True for a prompt of MLflow''s prompt registry.';

create or replace view report.model_versions as
select m.name as model
     , v.version
     , case v.stage when 0 then 'None' when 1 then 'Staging' when 2 then 'Production' when 3 then 'Archived' end as stage
     , (select array_agg(a.alias order by a.alias) from public.registered_model_aliases a where a.model = m.id and a.version = v.version) as aliases
     , nullif(v.run_id, '') as run_id
     , v.model_id
     , v.source
     , v.user_id as user_name
     , v.description
     , report.instant(v.creation_time) as created_at
     , report.instant(v.last_update_time) as updated_at
  from public.model_versions v
  join public.registered_models m on m.id = v.model
 where not v.deleted;
comment on view report.model_versions is 'One row a version of a registered model, deleted ones left out.';
comment on column report.model_versions.model is 'Name of the model.';
comment on column report.model_versions.version is 'Number of the version.';
comment on column report.model_versions.stage is 'None, Staging, Production or Archived.';
comment on column report.model_versions.aliases is 'Aliases that point to this version.';
comment on column report.model_versions.run_id is 'Run it came from, when known.';
comment on column report.model_versions.model_id is 'Logged model it came from, when known.';
comment on column report.model_versions.source is 'Where its files lie, as the client said.';
comment on column report.model_versions.user_name is 'Who registered it, when known.';
comment on column report.model_versions.description is 'Description.';
comment on column report.model_versions.created_at is 'When it was registered.';
comment on column report.model_versions.updated_at is 'When it was last changed.';

create or replace view report.logged_models as
select l.model_id
     , l.experiment_id
     , l.name
     , l.model_type
     , case l.status when 1 then 'PENDING' when 2 then 'READY' when 3 then 'FAILED' end as status
     , case when l.deleted_time is null then 'active' else 'deleted' end as lifecycle_stage
     , nullif(l.source_run_id, '') as run_id
     , report.instant(l.creation_time) as created_at
     , report.instant(l.last_update_time) as updated_at
     , l.artifact_uri
     , coalesce(u.bytes, 0) as bytes
     , coalesce(u.files, 0) as files
     , coalesce(u.approximate, false) as approximate
  from public.logged_models l
  left join public.model_usage u on u.model = l.id;
comment on view report.logged_models is 'One row a model logged by a client of MLflow 3, registered or not.';
comment on column report.logged_models.model_id is 'Its id.';
comment on column report.logged_models.experiment_id is 'Its experiment.';
comment on column report.logged_models.name is 'Its name; need not be unique.';
comment on column report.logged_models.model_type is 'Kind, as the client said.';
comment on column report.logged_models.status is 'PENDING, READY or FAILED.';
comment on column report.logged_models.lifecycle_stage is 'active or deleted.';
comment on column report.logged_models.run_id is 'Run that made it, when known.';
comment on column report.logged_models.created_at is 'When it was made.';
comment on column report.logged_models.updated_at is 'When it was last changed.';
comment on column report.logged_models.artifact_uri is 'Where its files lie.';
comment on column report.logged_models.bytes is 'Stored bytes; 0 when nothing was counted: files uploaded before the server counted them, or to a bucket that is not the server''s.';
comment on column report.logged_models.files is 'Stored files.';
comment on column report.logged_models.approximate is 'True when a client may have written to the bucket since it was last counted: by a signed address that still holds, or by itself to a gs:// root.';

create or replace view report.datasets as
select d.id as dataset_id
     , d.experiment_id
     , d.name as dataset
     , d.digest
     , d.source_type
     , d.source
     , coalesce(u.runs, 0) as runs
     , u.first_used_at
     , u.last_used_at
  from public.datasets d
  left join (
         select i.dataset_id
              , count(*) as runs
              , report.instant(min(r.start_time)) as first_used_at
              , report.instant(max(r.start_time)) as last_used_at
           from public.run_datasets i
           join public.runs r on r.id = i.run
          group by i.dataset_id
       ) u on u.dataset_id = d.id;
comment on view report.datasets is 'One row a dataset of an experiment: the same name and digest in two experiments are two rows.';
comment on column report.datasets.dataset_id is 'Its number.';
comment on column report.datasets.experiment_id is 'Its experiment.';
comment on column report.datasets.dataset is 'Its name.';
comment on column report.datasets.digest is 'The client''s digest of its content.';
comment on column report.datasets.source_type is 'Kind of source, for example http, gcs or local.';
comment on column report.datasets.source is 'Where it came from.';
comment on column report.datasets.runs is 'Runs that took it, deleted ones too.';
comment on column report.datasets.first_used_at is 'Start of the first run that took it.';
comment on column report.datasets.last_used_at is 'Start of the last run that took it.';

create or replace view report.run_datasets as
select r.run_id
     , r.experiment_id
     , i.dataset_id
     , d.name as dataset
     , d.digest
     , i.context
  from public.run_datasets i
  join public.runs r on r.id = i.run
  join public.datasets d on d.id = i.dataset_id;
comment on view report.run_datasets is 'One row a dataset that a run took as input.';
comment on column report.run_datasets.run_id is 'The run.';
comment on column report.run_datasets.experiment_id is 'Its experiment.';
comment on column report.run_datasets.dataset_id is 'The dataset''s number in report.datasets.';
comment on column report.run_datasets.dataset is 'Name of the dataset.';
comment on column report.run_datasets.digest is 'Digest of the dataset.';
comment on column report.run_datasets.context is 'What it was used for, for example training.';

create or replace view report.artifact_usage as
select r.run_id
     , r.experiment_id
     , e.name as experiment
     , split_part(e.name, '/', 1) as team
     , case when r.lifecycle = 1 or (r.lifecycle = 0 and e.deleted_time is not null) then 'deleted' else 'active' end as lifecycle_stage
     , a.bytes
     , a.files
     , a.approximate
     , report.instant(a.updated_time) as updated_at
     , case when r.user_id <> '' then r.user_id else (select u.value from public.tags u where u.run = r.id and u.key_id = 2) end as user_name
  from public.artifact_usage a
  join public.runs r on r.id = a.run
  join public.experiments e on e.id = r.experiment_id;
comment on view report.artifact_usage is 'One row a run that has artifacts, had some, or whose client may have written some.';
comment on column report.artifact_usage.run_id is 'The run.';
comment on column report.artifact_usage.experiment_id is 'Its experiment.';
comment on column report.artifact_usage.experiment is 'Name of the experiment.';
comment on column report.artifact_usage.team is 'First part of the experiment''s name, up to the first slash.';
comment on column report.artifact_usage.lifecycle_stage is 'active, or deleted: its bytes are freed by tallyd gc.';
comment on column report.artifact_usage.bytes is 'Stored bytes.';
comment on column report.artifact_usage.files is 'Stored files.';
comment on column report.artifact_usage.approximate is 'True when a client may have written to the bucket since it was last counted: by a signed address that still holds, or by itself to a gs:// root.';
comment on column report.artifact_usage.updated_at is 'When it was last counted.';
comment on column report.artifact_usage.user_name is 'User of the run, as the client said it.';

create or replace view report.user_activity as
select case when r.user_id <> '' then r.user_id else (select u.value from public.tags u where u.run = r.id and u.key_id = 2) end as user_name
     , (report.instant(r.start_time) at time zone 'UTC')::date as day
     , count(*) as runs
     , count(*) filter (where r.status = 3) as finished
     , count(*) filter (where r.status = 4) as failed
     , count(*) filter (where r.status = 5) as killed
     , count(*) filter (where r.status in (1, 2)) as unfinished
     , count(distinct r.experiment_id) as experiments
     , coalesce(sum(r.end_time - r.start_time), 0)::double precision / 3600000 as run_hours
  from public.runs r
 group by 1, 2;
comment on view report.user_activity is 'One row a user and day on which the user started runs, deleted ones too.';
comment on column report.user_activity.user_name is 'User as the client said it.';
comment on column report.user_activity.day is 'Day of the runs'' start, in UTC.';
comment on column report.user_activity.runs is 'Runs started on that day.';
comment on column report.user_activity.finished is 'Of these: FINISHED.';
comment on column report.user_activity.failed is 'Of these: FAILED.';
comment on column report.user_activity.killed is 'Of these: KILLED.';
comment on column report.user_activity.unfinished is 'Of these: RUNNING or SCHEDULED.';
comment on column report.user_activity.experiments is 'Different experiments among these runs.';
comment on column report.user_activity.run_hours is 'Hours from start to end, summed over these runs; runs without an end count 0.';

create or replace view report.storage_by_experiment as
select e.id as experiment_id
     , e.name as experiment
     , split_part(e.name, '/', 1) as team
     , case when e.deleted_time is null then 'active' else 'deleted' end as lifecycle_stage
     , coalesce(s.runs, 0) as runs
     , coalesce(s.files, 0) as files
     , coalesce(s.bytes, 0) as bytes
     , case when e.deleted_time is null then coalesce(s.deleted_bytes, 0) else coalesce(s.bytes - s.restored_bytes, 0) end as deleted_bytes
     , coalesce(s.approximate, false) or coalesce(m.approximate, false) as approximate
     , coalesce(m.models, 0) as models
     , coalesce(m.files, 0) as model_files
     , coalesce(m.bytes, 0) as model_bytes
  from public.experiments e
  left join (
         select r.experiment_id
              , count(*) filter (where a.files > 0) as runs
              , sum(a.files)::bigint as files
              , sum(a.bytes)::bigint as bytes
              , coalesce(sum(a.bytes) filter (where r.lifecycle = 1), 0)::bigint as deleted_bytes
              , coalesce(sum(a.bytes) filter (where r.lifecycle = 2), 0)::bigint as restored_bytes
              , bool_or(a.approximate) as approximate
           from public.artifact_usage a
           join public.runs r on r.id = a.run
          group by r.experiment_id
       ) s on s.experiment_id = e.id
  left join (
         select l.experiment_id
              , count(*) filter (where u.files > 0) as models
              , sum(u.files)::bigint as files
              , sum(u.bytes)::bigint as bytes
              , bool_or(u.approximate) as approximate
           from public.model_usage u
           join public.logged_models l on l.id = u.model
          group by l.experiment_id
       ) m on m.experiment_id = e.id;
comment on view report.storage_by_experiment is 'One row an experiment with the bytes of its runs'' artifacts and of its logged models.';
comment on column report.storage_by_experiment.experiment_id is 'The experiment.';
comment on column report.storage_by_experiment.experiment is 'Its name.';
comment on column report.storage_by_experiment.team is 'First part of the name, up to the first slash.';
comment on column report.storage_by_experiment.lifecycle_stage is 'active or deleted.';
comment on column report.storage_by_experiment.runs is 'Runs that have artifacts.';
comment on column report.storage_by_experiment.files is 'Stored files.';
comment on column report.storage_by_experiment.bytes is 'Stored bytes of runs, deleted ones included; those of logged models are in model_bytes.';
comment on column report.storage_by_experiment.deleted_bytes is 'Of these: bytes of deleted runs, freed by tallyd gc.';
comment on column report.storage_by_experiment.approximate is 'True when at least one run''s or model''s bytes are approximate.';
comment on column report.storage_by_experiment.models is 'Logged models that have files.';
comment on column report.storage_by_experiment.model_files is 'Stored files of logged models, which lie beside the runs.';
comment on column report.storage_by_experiment.model_bytes is 'Stored bytes of logged models, deleted ones included; not part of bytes.';

create or replace view report.storage_by_user as
select o.user_name
     , count(*) filter (where o.is_run and o.files > 0) as runs
     , coalesce(sum(o.files) filter (where o.is_run), 0)::bigint as files
     , coalesce(sum(o.bytes) filter (where o.is_run), 0)::bigint as bytes
     , coalesce(sum(o.bytes) filter (where o.is_run and o.deleted), 0)::bigint as deleted_bytes
     , count(*) filter (where not o.is_run and o.files > 0) as models
     , coalesce(sum(o.files) filter (where not o.is_run), 0)::bigint as model_files
     , coalesce(sum(o.bytes) filter (where not o.is_run), 0)::bigint as model_bytes
     , bool_or(o.approximate) as approximate
  from (
         select case when r.user_id <> '' then r.user_id else (select t.value from public.tags t where t.run = r.id and t.key_id = 2) end as user_name
              , true as is_run
              , (r.lifecycle = 1 or (r.lifecycle = 0 and e.deleted_time is not null)) as deleted
              , a.files
              , a.bytes
              , a.approximate
           from public.artifact_usage a
           join public.runs r on r.id = a.run
           join public.experiments e on e.id = r.experiment_id
          union all
         select case when r.user_id <> '' then r.user_id else (select t.value from public.tags t where t.run = r.id and t.key_id = 2) end
              , false
              , l.deleted_time is not null
              , u.files
              , u.bytes
              , u.approximate
           from public.model_usage u
           join public.logged_models l on l.id = u.model
           left join public.runs r on r.run_id = l.source_run_id
       ) o
 group by o.user_name;
comment on view report.storage_by_user is 'One row a user with the bytes of the user''s runs and of the models logged by them.';
comment on column report.storage_by_user.user_name is 'User as the client said it; null for models whose run is unknown.';
comment on column report.storage_by_user.runs is 'Runs that have artifacts.';
comment on column report.storage_by_user.files is 'Stored files of runs.';
comment on column report.storage_by_user.bytes is 'Stored bytes of runs, deleted ones included.';
comment on column report.storage_by_user.deleted_bytes is 'Of these: bytes of deleted runs, freed by tallyd gc.';
comment on column report.storage_by_user.models is 'Logged models that have files.';
comment on column report.storage_by_user.model_files is 'Stored files of logged models.';
comment on column report.storage_by_user.model_bytes is 'Stored bytes of logged models, deleted ones included; not part of bytes.';
comment on column report.storage_by_user.approximate is 'True when at least one run''s or model''s bytes are approximate.';
