-- Groups of runs of one experiment with exactly the same params and commit: compute that may have been wasted.
with run_params as (
       select p.run_id
            , string_agg(format('%s=%s', p.key, p.value), ' ' order by p.key) as params
         from report.params p
        where p.experiment_id = 1
        group by p.run_id
     )
select p.params
     , r.git_commit
     , count(*) as runs
     , round((sum(r.duration_seconds) / 3600)::numeric, 1) as run_hours
     , array_agg(distinct r.user_name) as users
  from run_params p
  join report.runs r on r.run_id = p.run_id
 where r.experiment_id = 1
   and not r.deleted
 group by p.params, r.git_commit
having count(*) > 1
 order by runs desc, p.params
 limit 50;
