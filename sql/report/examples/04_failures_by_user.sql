-- Share of failed and killed runs by user in the last 90 days.
select user_name
     , sum(runs) as runs
     , sum(failed) as failed
     , sum(killed) as killed
     , round(100 * sum(failed + killed) / sum(runs), 1) as percent
  from report.user_activity
 where day > current_date - 90
 group by user_name
 order by percent desc, runs desc;
