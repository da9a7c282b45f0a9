-- Versions that carry an alias or stand in a stage, with the run, commit and metric behind them.
select v.model
     , v.version
     , v.stage
     , v.aliases
     , v.created_at
     , r.experiment
     , r.run_name
     , r.user_name
     , r.git_commit
     , (select m.last from report.metrics m where m.run_id = v.run_id and m.key = 'rmse') as rmse
  from report.model_versions v
  left join report.runs r on r.run_id = v.run_id
 where v.stage in ('Staging', 'Production')
    or v.aliases is not null
 order by v.model, v.version desc;
