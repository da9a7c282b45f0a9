-- The best value of a metric by commit of the code, in the order of the commits' first runs: where did it get worse?
select r.git_commit
     , min(r.started_at) as first_run_at
     , count(*) as runs
     , min(m.last) as least_rmse
     , avg(m.last) as mean_rmse
  from report.metrics m
  join report.runs r on r.run_id = m.run_id and r.experiment_id = m.experiment_id
 where m.experiment_id = 1
   and m.key = 'rmse'
   and m.last <> 'NaN'
   and r.git_commit is not null
   and not r.deleted
 group by r.git_commit
 order by first_run_at;
