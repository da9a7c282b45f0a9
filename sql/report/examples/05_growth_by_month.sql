-- Runs, users and experiments by month.
select date_trunc('month', started_at)::date as month
     , count(*) as runs
     , count(distinct user_name) as users
     , count(distinct experiment_id) as experiments
  from report.runs
 group by 1
 order by 1;
