-- The longest finished runs of the last 30 days.
select experiment
     , run_name
     , user_name
     , round((duration_seconds / 3600)::numeric, 2) as hours
     , started_at
     , run_id
  from report.runs
 where started_at > now() - interval '30 days'
   and duration_seconds is not null
   and not deleted
 order by duration_seconds desc
 limit 50;
