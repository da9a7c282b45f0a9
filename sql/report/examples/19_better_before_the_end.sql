-- Runs of one experiment whose best value was clearly better than their last: candidates for stopping early or keeping the best checkpoint.
with histories as materialized (
       select run_id
            , best
            , last
            , points
         from report.metrics
        where experiment_id = 1
          and key = 'rmse'
          and not deleted
          and run_started_at > now() - interval '90 days'
     )
select r.run_name
     , h.best
     , h.last
     , h.points
     , r.user_name
     , r.run_id
  from histories h
  join report.runs r on r.run_id = h.run_id
 where abs(h.last - h.best) > 0.05 * abs(h.best)
 order by abs(h.last - h.best) / nullif(abs(h.best), 0) desc
 limit 50;
