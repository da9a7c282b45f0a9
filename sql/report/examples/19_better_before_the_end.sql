-- Runs of one experiment whose best value was clearly better than their last: candidates for stopping early or keeping the best checkpoint.
select r.run_name
     , m.key
     , m.best
     , m.last
     , m.points
     , r.run_id
  from report.metrics m
  join report.runs r on r.run_id = m.run_id
 where m.experiment_id = 1
   and m.key = 'rmse'
   and r.lifecycle_stage = 'active'
   and r.started_at > now() - interval '90 days'
   and abs(m.last - m.best) > 0.05 * abs(m.best)
 order by abs(m.last - m.best) / nullif(abs(m.best), 0) desc
 limit 50;
