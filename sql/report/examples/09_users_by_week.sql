-- Who used the server, week by week, in the last quarter.
select date_trunc('week', day)::date as week
     , user_name
     , sum(runs) as runs
     , round(sum(run_hours)::numeric, 1) as run_hours
  from report.user_activity
 where day > current_date - 91
 group by 1, 2
 order by 1, runs desc;
