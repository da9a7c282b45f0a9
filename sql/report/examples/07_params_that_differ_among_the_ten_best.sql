-- Which params differ among the ten best runs of one experiment, and how; those that are the same in all ten are left out.
with best as materialized (
       select run_id
            , case direction when 'min' then last else - last end as place
         from report.metrics
        where experiment_id = 1
          and key = 'rmse'
          and last <> 'NaN'
          and not deleted
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
