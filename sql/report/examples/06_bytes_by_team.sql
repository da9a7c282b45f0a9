-- Artifact storage by team, of runs and logged models, largest first, and what tallyd gc would free.
select team
     , count(*) as experiments
     , sum(runs) as runs
     , sum(models) as models
     , sum(files + model_files) as files
     , pg_size_pretty(sum(bytes + model_bytes)) as stored
     , pg_size_pretty(sum(deleted_bytes)) as of_deleted_runs
     , bool_or(approximate) as approximate
  from report.storage_by_experiment
 group by team
 order by sum(bytes + model_bytes) desc;
