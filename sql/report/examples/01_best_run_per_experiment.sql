-- The best finished run of each experiment by the last value of one metric; change rmse to yours.
select distinct on (r.experiment_id) r.experiment
     , r.run_name
     , r.run_id
     , m.last as rmse
     , r.user_name
     , r.started_at
  from report.metrics m
  join report.runs r on r.run_id = m.run_id
 where m.key = 'rmse'
   and m.last <> 'NaN'
   and r.status = 'FINISHED'
   and r.lifecycle_stage = 'active'
 order by r.experiment_id
     , case m.direction when 'min' then m.last else - m.last end
     , r.started_at;
