-- Hours of running jobs by team and month: multiply by the price of your machines.
select date_trunc('month', started_at)::date as month
     , team
     , count(*) as runs
     , round((sum(duration_seconds) / 3600)::numeric, 1) as run_hours
  from report.runs
 where started_at > now() - interval '1 year'
 group by 1, 2
 order by 1, 2;
