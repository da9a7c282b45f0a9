-- The best finished run of each experiment by the last value of one metric; change rmse to yours.
with best as materialized (
       select distinct on (experiment_id) run_id
            , last
         from report.metrics
        where key = 'rmse'
          and last <> 'NaN'
          and status = 'FINISHED'
          and not deleted
        order by experiment_id
            , case direction when 'min' then last else - last end
            , run_started_at
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
