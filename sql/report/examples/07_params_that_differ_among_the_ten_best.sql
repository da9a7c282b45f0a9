-- Which params differ among the ten best runs of one experiment, and how; those that are the same in all ten are left out.
with best as (
       select m.run_id
            , row_number() over (order by case m.direction when 'min' then m.last else - m.last end) as place
         from report.metrics m
         join report.runs r on r.run_id = m.run_id
        where m.experiment_id = 1
          and m.key = 'rmse'
          and m.last <> 'NaN'
          and r.lifecycle_stage = 'active'
        order by place
        limit 10
     )
select p.key
     , count(distinct p.value) as different_values
     , array_agg(p.value order by b.place) as from_best_to_tenth
  from best b
  join report.params p on p.run_id = b.run_id
 group by p.key
having count(distinct p.value) > 1
    or count(*) < (select count(*) from best)
 order by p.key;
