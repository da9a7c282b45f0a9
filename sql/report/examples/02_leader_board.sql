-- The twenty best runs of one experiment with their params side by side; change the number and the metric.
select m.last as rmse
     , r.run_name
     , r.user_name
     , r.duration_seconds
     , (select string_agg(format('%s=%s', p.key, p.value), ' ' order by p.key) from report.params p where p.run_id = r.run_id) as params
     , r.git_commit
     , r.run_id
  from report.metrics m
  join report.runs r on r.run_id = m.run_id
 where m.experiment_id = 1
   and m.key = 'rmse'
   and m.last <> 'NaN'
   and r.lifecycle_stage = 'active'
 order by case m.direction when 'min' then m.last else - m.last end
 limit 20;
