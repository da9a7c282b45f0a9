-- Models with many versions of which none has an alias or a stage.
select model
     , count(*) as versions
     , max(created_at) as newest_at
  from report.model_versions
 group by model
having count(*) > 5
   and count(*) filter (where aliases is not null or stage in ('Staging', 'Production')) = 0
 order by versions desc, model;
