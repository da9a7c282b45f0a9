-- The twenty best runs of one experiment with their params side by side; change the number and the metric.
with best as materialized (
       select run_id
            , last
            , case direction when 'min' then last else - last end as place
         from report.metrics
        where experiment_id = 1
          and key = 'rmse'
          and last <> 'NaN'
          and not deleted
        order by place
        limit 20
     )
select b.last as rmse
     , r.run_name
     , r.user_name
     , r.duration_seconds
     , (select string_agg(format('%s=%s', p.key, p.value), ' ' order by p.key) from report.params p where p.run_id = b.run_id) as params
     , r.git_commit
     , r.run_id
  from best b
  join report.runs r on r.run_id = b.run_id
 order by b.place;
