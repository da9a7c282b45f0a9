-- The best finished run of each experiment by the last value of one metric; change rmse to yours.
with good as materialized (
       select experiment_id
            , run_id
            , last
            , run_started_at
            , case direction when 'min' then last else - last end as cost
         from report.metrics
        where key = 'rmse'
          and last <> 'NaN'
          and status = 'FINISHED'
          and not deleted
     )
, lowest as (
       select experiment_id
            , min(cost) as cost
         from good
        group by experiment_id
     )
, best as (
       select distinct on (g.experiment_id) g.run_id
            , g.last
         from good g
         join lowest l on l.experiment_id = g.experiment_id and l.cost = g.cost
        order by g.experiment_id
            , g.run_started_at
     )
select r.experiment
     , r.run_name
     , r.run_id
     , b.last as rmse
     , r.user_name
     , r.started_at
  from best b
  join report.runs r on r.run_id = b.run_id
 order by r.experiment;
