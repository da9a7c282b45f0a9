-- Runs of the last 90 days whose metric ended as NaN or out of range.
with diverged as materialized (
       select run_id
            , key
            , last
            , last_step
         from report.metrics
        where (last = 'NaN' or abs(last) > 1e300)
          and run_started_at > now() - interval '90 days'
          and not deleted
        order by run_started_at desc
        limit 200
     )
select r.experiment
     , r.run_name
     , r.user_name
     , d.key
     , d.last
     , d.last_step
     , r.run_id
  from diverged d
  join report.runs r on r.run_id = d.run_id
 order by r.started_at desc;
