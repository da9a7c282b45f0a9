-- name: artifact_used
-- Counts an upload or a removal: $1 run id, $2 bytes and $3 files more or less, $4 true when the old size was not known, $5 now. No row for a run that is not ours.
insert into artifact_usage as u (run, bytes, files, approximate, updated_time)
select r.id, greatest($2::bigint, 0), greatest($3::bigint, 0), $4::boolean, $5::bigint
  from runs r
 where r.run_id = $1::text
    on conflict (run) do update
   set bytes = greatest(u.bytes + $2::bigint, 0)
     , files = greatest(u.files + $3::bigint, 0)
     , approximate = u.approximate or $4::boolean
     , updated_time = excluded.updated_time;

-- name: artifact_model_used
-- The same of a logged model: $1 its id.
insert into model_usage as u (model, bytes, files, approximate, updated_time)
select l.id, greatest($2::bigint, 0), greatest($3::bigint, 0), $4::boolean, $5::bigint
  from logged_models l
 where l.model_id = $1::text
    on conflict (model) do update
   set bytes = greatest(u.bytes + $2::bigint, 0)
     , files = greatest(u.files + $3::bigint, 0)
     , approximate = u.approximate or $4::boolean
     , updated_time = excluded.updated_time;
