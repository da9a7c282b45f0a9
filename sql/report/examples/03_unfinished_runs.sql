-- Runs that say RUNNING but started more than a day ago: killed jobs never say goodbye.
select r.experiment
     , r.run_name
     , r.user_name
     , r.started_at
     , age(date_trunc('minute', now()), date_trunc('minute', r.started_at)) as age
     , r.run_id
  from report.runs r
 where r.status in ('RUNNING', 'SCHEDULED')
   and not r.deleted
   and r.started_at < now() - interval '1 day'
 order by r.started_at
 limit 200;
