-- Datasets by use: how many runs took each, since when, until when, for what.
select d.dataset
     , d.digest
     , d.source_type
     , count(distinct d.experiment_id) as experiments
     , sum(d.runs) as runs
     , min(d.first_used_at) as first_used_at
     , max(d.last_used_at) as last_used_at
  from report.datasets d
 group by d.dataset, d.digest, d.source_type
 order by runs desc, d.dataset, d.digest;
