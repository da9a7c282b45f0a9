-- Mean, spread and best of a metric for each value of a param in one experiment.
select p.value as alpha
     , count(*) as runs
     , avg(m.last) as mean
     , stddev_samp(m.last) as spread
     , min(m.last) as least
     , max(m.last) as most
  from report.metrics m
  join report.params p on p.run_id = m.run_id and p.experiment_id = m.experiment_id and p.key = 'alpha'
 where m.experiment_id = 1
   and m.key = 'rmse'
   and m.last <> 'NaN'
 group by p.value, p.number
 order by p.number nulls last, p.value;
