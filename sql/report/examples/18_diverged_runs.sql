-- Runs of the last 90 days whose metric ended as NaN or out of range.
select r.experiment
     , r.run_name
     , r.user_name
     , m.key
     , m.last
     , m.last_step
     , r.run_id
  from report.metrics m
  join report.runs r on r.run_id = m.run_id
 where (m.last = 'NaN' or abs(m.last) > 1e300)
   and m.run_started_at > now() - interval '90 days'
   and r.lifecycle_stage = 'active'
 order by r.started_at desc
 limit 200;
