-- Finished runs of the last 90 days that nobody can repeat: no git commit was logged.
select user_name
     , count(*) as runs
     , count(*) filter (where git_commit is null) as without_commit
     , round(100.0 * count(*) filter (where git_commit is null) / count(*), 1) as percent
  from report.runs
 where started_at > now() - interval '90 days'
   and status = 'FINISHED'
   and not deleted
 group by user_name
 order by percent desc, runs desc;
