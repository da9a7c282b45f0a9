-- Experiments without a new run for 90 days, with what they store: ask their teams whether they may go.
select e.experiment
     , e.active_runs
     , e.last_run_at
     , pg_size_pretty(s.bytes) as stored
  from report.experiments e
  join report.storage_by_experiment s on s.experiment_id = e.experiment_id
 where e.lifecycle_stage = 'active'
   and coalesce(e.last_run_at, e.created_at) < now() - interval '90 days'
 order by s.bytes desc, e.experiment;
